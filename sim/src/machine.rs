//! One simulated design with named top-level ports, whatever runs it.
use crate::tools::ToolError;
use std::path::Path;

/// A top-level port, by its place in [`Machine::ports`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortId(pub usize);

/// Which way a port points, seen from the design.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortDirection {
    In,
    Out,
}

/// A top-level port. Interface ports are named as in the Verilog: `rx$data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortInfo {
    pub name: String,
    pub width: usize,
    pub direction: PortDirection,
}

/// Why a machine could not be built or used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MachineError {
    /// A tool is missing or refused the design.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// There is no such port.
    #[error("{machine} has no port `{port}`; it has: {known}")]
    NoPort {
        machine: String,
        port: String,
        known: String,
    },
    /// The compiled design could not be loaded.
    #[error("could not load {file}: {message}")]
    Load { file: String, message: String },
    /// Two machines that should have the same ports do not.
    #[error("port `{port}` differs: {left} against {right}")]
    Ports {
        port: String,
        left: String,
        right: String,
    },
}

/// A design that can be clocked. The port `clock` is driven by [`Machine::cycle`] and not listed.
///
/// Within a cycle: `poke` the inputs, `eval` if combinational outputs are wanted, `peek`, then `cycle`. After `cycle` all outputs
/// are up to date with the new state and the inputs that were poked last.
///
/// # Panics
/// `eval` and `cycle` panic when a combinational loop does not settle.
pub trait Machine {
    /// What runs the design: `rust`, `cxxrtl`, `verilator`.
    fn backend(&self) -> &str;
    /// All ports but the clock.
    fn ports(&self) -> &[PortInfo];
    /// Sets an input; bits above the port's width are ignored. It takes effect at the next `eval` or `cycle`.
    fn poke(&mut self, port: PortId, value: u64);
    /// Reads a port; of one wider than 64 bits, the low 64.
    fn peek(&self, port: PortId) -> u64;
    /// Settles the combinational logic.
    fn eval(&mut self);
    /// One clock period: settle, rising edge, settle, falling edge, settle.
    fn cycle(&mut self);
    /// How many cycles were run.
    fn cycles(&self) -> u64;
    /// Begins to record all signals in a VCD file; a running recording ends first. The file's time unit is 1 ns, a cycle is 10.
    ///
    /// # Errors
    /// When the file cannot be written.
    fn trace_start(&mut self, file: &Path) -> Result<(), MachineError>;
    /// Ends the recording, if there is one.
    ///
    /// # Errors
    /// When the file cannot be written.
    fn trace_stop(&mut self) -> Result<(), MachineError>;

    /// Finds a port by name.
    ///
    /// # Errors
    /// [`MachineError::NoPort`], which lists the names there are.
    fn port(&self, name: &str) -> Result<PortId, MachineError> {
        self.ports()
            .iter()
            .position(|port| port.name == name)
            .map(PortId)
            .ok_or_else(|| MachineError::NoPort {
                machine: self.backend().into(),
                port: name.into(),
                known: self
                    .ports()
                    .iter()
                    .map(|port| port.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            })
    }
}

/// The low `width` bits set.
pub(crate) fn mask(width: usize) -> u64 {
    if width >= 64 {
        u64::MAX
    } else {
        (1 << width) - 1
    }
}
