//! Two machines of the same design as one: the slow check that the fast one tells the truth.
use crate::machine::{Machine, MachineError, PortDirection, PortId, PortInfo};
use std::path::Path;

/// The first difference between two machines.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{port}` differs in cycle {cycle}: {left_backend} {left:#x}, {right_backend} {right:#x}")]
pub struct PairDifference {
    pub port: String,
    pub cycle: u64,
    pub left_backend: String,
    pub left: u64,
    pub right_backend: String,
    pub right: u64,
}

/// Pokes both machines and compares all outputs, before each rising edge and after each cycle. It answers as the left one does.
pub struct Lockstep {
    left: Box<dyn Machine>,
    right: Box<dyn Machine>,
    name: String,
    /// The right one's number of each of the left one's ports.
    ids: Vec<PortId>,
    difference: Option<PairDifference>,
    strict: bool,
}

impl Lockstep {
    /// Joins two machines, whose ports must agree in name, width and direction.
    ///
    /// # Errors
    /// [`MachineError::Ports`] names the first port that does not.
    pub fn new(left: Box<dyn Machine>, right: Box<dyn Machine>) -> Result<Self, MachineError> {
        let describe = |port: Option<&PortInfo>| {
            port.map_or("nothing".into(), |p| {
                format!("{:?}, {} bits", p.direction, p.width)
            })
        };
        let find = |in_: &dyn Machine, name: &str| in_.ports().iter().position(|p| p.name == name);
        let differs = |port: &str, left: Option<&PortInfo>, right: Option<&PortInfo>| {
            Err(MachineError::Ports {
                port: port.into(),
                left: describe(left),
                right: describe(right),
            })
        };
        let mut ids = vec![];
        for port in left.ports() {
            let id = find(&*right, &port.name);
            let other = id.map(|id| &right.ports()[id]);
            match id {
                Some(id) if other == Some(port) => ids.push(PortId(id)),
                _ => return differs(&port.name, Some(port), other),
            }
        }
        let extra = right
            .ports()
            .iter()
            .find(|port| find(&*left, &port.name).is_none());
        if let Some(port) = extra {
            return differs(&port.name, None, Some(port));
        }
        let name = format!("{}+{}", left.backend(), right.backend());
        let mut pair = Self {
            left,
            right,
            name,
            ids,
            difference: None,
            strict: false,
        };
        pair.eval();
        Ok(pair)
    }

    /// The same, but a difference ends the run at once: for use behind `dyn Machine`, where nobody can ask [`Self::check`].
    ///
    /// # Panics
    /// If they differ, now or later, in `eval` or `cycle`.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self.halt();
        self
    }

    fn halt(&self) {
        if let (true, Some(difference)) = (self.strict, &self.difference) {
            panic!("{difference}");
        }
    }

    /// The first difference so far. Check it after each cycle or at the end: the machines go on.
    ///
    /// # Errors
    /// The difference.
    pub fn check(&self) -> Result<(), PairDifference> {
        self.difference.clone().map_or(Ok(()), Err)
    }

    fn compare(&mut self) {
        if self.difference.is_some() {
            return;
        }
        for (i, port) in self.left.ports().iter().enumerate() {
            if port.direction == PortDirection::In {
                continue;
            }
            let (left, right) = (self.left.peek(PortId(i)), self.right.peek(self.ids[i]));
            if left != right {
                self.difference = Some(PairDifference {
                    port: port.name.clone(),
                    cycle: self.left.cycles(),
                    left_backend: self.left.backend().into(),
                    left,
                    right_backend: self.right.backend().into(),
                    right,
                });
                self.halt();
                return;
            }
        }
    }
}

impl Machine for Lockstep {
    fn backend(&self) -> &str {
        &self.name
    }

    fn ports(&self) -> &[PortInfo] {
        self.left.ports()
    }

    fn poke(&mut self, port: PortId, value: u64) {
        self.left.poke(port, value);
        self.right.poke(self.ids[port.0], value);
    }

    fn peek(&self, port: PortId) -> u64 {
        self.left.peek(port)
    }

    fn eval(&mut self) {
        self.left.eval();
        self.right.eval();
        self.compare();
    }

    fn cycle(&mut self) {
        self.eval();
        self.left.cycle();
        self.right.cycle();
        self.compare();
    }

    fn cycles(&self) -> u64 {
        self.left.cycles()
    }

    /// Writes two files: `FILE` with `.left` and `.right` before its ending.
    fn trace_start(&mut self, file: &Path) -> Result<(), MachineError> {
        self.left.trace_start(&file.with_extension("left.vcd"))?;
        self.right.trace_start(&file.with_extension("right.vcd"))
    }

    fn trace_stop(&mut self) -> Result<(), MachineError> {
        self.left.trace_stop()?;
        self.right.trace_stop()
    }
}
