//! The engine's trace: every event it handled, by which path, in how many cycles.
use anyhow::Result;
use toe_hdl::config::ToeConfig;
use toe_hdl::tcp::program;
use toe_sim::machine::{Machine, PortId};

/// One event that the engine has handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Cycle in which it began.
    pub cycle: u64,
    /// Cycles from its beginning to `DONE`, waits counted.
    pub cycles: u64,
    /// Instructions that retired.
    pub instructions: u64,
    /// `segment`, `stranger`, `pending`, `command`.
    pub kind: &'static str,
    /// Connection it began with.
    pub conn: u64,
    /// Labels of the program it went through.
    pub path: Vec<String>,
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:>10}  conn {:>3}  {:<8} {:>4} cycles {:>4} instructions  {}",
            self.cycle,
            self.conn,
            self.kind,
            self.cycles,
            self.instructions,
            self.path.join(" → ")
        )
    }
}

struct Ports {
    pc: PortId,
    valid: PortId,
    event: PortId,
    kind: PortId,
    conn: PortId,
    done: PortId,
}

/// Follows the trace ports.
pub struct EngineTrace {
    ports: Ports,
    /// Label of each program word that has one.
    labels: Vec<Option<String>>,
    events: Vec<Event>,
    open: Option<Event>,
}

impl EngineTrace {
    /// Finds the ports, and the labels of the program.
    ///
    /// # Errors
    /// When the machine has no trace ports or the program does not assemble.
    pub fn new(machine: &dyn Machine, config: &ToeConfig) -> Result<Self> {
        let program = program::program(config);
        let mut labels = vec![None; program.words.len()];
        for (address, names) in &program.symbols.labels {
            if let Some(label) = labels.get_mut(usize::from(*address)) {
                *label = Some(names.join(" = "));
            }
        }
        let p = |name: &str| machine.port(name);
        Ok(Self {
            ports: Ports {
                pc: p("trace_pc")?,
                valid: p("trace_valid")?,
                event: p("trace_event")?,
                kind: p("trace_kind")?,
                conn: p("trace_conn")?,
                done: p("trace_done")?,
            },
            labels,
            events: vec![],
            open: None,
        })
    }

    /// The events so far.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Looks at the ports after a cycle.
    pub fn sample(&mut self, machine: &dyn Machine, cycle: u64) {
        let p = &self.ports;
        if machine.peek(p.event) == 1 {
            const KINDS: [&str; 4] = ["segment", "stranger", "pending", "command"];
            self.open = Some(Event {
                cycle,
                cycles: 0,
                instructions: 0,
                kind: KINDS[machine.peek(p.kind) as usize & 3],
                conn: machine.peek(p.conn),
                path: vec![],
            });
        }
        let Some(open) = &mut self.open else { return };
        if machine.peek(p.valid) == 1 {
            open.instructions += 1;
            if let Some(Some(label)) = self.labels.get(machine.peek(p.pc) as usize) {
                open.path.push(label.clone());
            }
        }
        if machine.peek(p.done) == 1 {
            open.cycles = cycle - open.cycle + 1;
            self.events.extend(self.open.take());
        }
    }
}
