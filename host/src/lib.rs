//! The `toe` command, and the place of the toedev driver library.
//!
//! Exit codes: 0 done · 1 the run failed · 2 the request won't do as given (arguments, files, folders, configuration) · 3 something is missing
//! or forbidden on this machine (a tool, a TAP device).
pub mod area;
pub mod bench;
pub mod board;
pub mod capture;
pub mod connections;
pub mod demo;
pub mod loss;
pub mod output;
pub mod report;
pub mod settings;
pub mod sim;
pub mod synth;
pub mod trace;
pub mod verilog;

/// The request won't do as given: exit code 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// The exit code that an error deserves.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    use toe_bsp::flow::FlowError;
    use toe_sim::machine::MachineError;
    use toe_sim::tap::TapError;
    use toe_sim::tools::ToolError;
    for cause in error.chain() {
        if cause.is::<Refused>() || cause.is::<toe_hdl::config::ConfigError>() {
            return 2;
        }
        if let Some(e) = cause.downcast_ref::<TapError>() {
            return if matches!(e, TapError::Name { .. }) {
                2
            } else {
                3
            };
        }
        // An error that is transparent hides the tool's from the chain.
        let tool = match (cause.downcast_ref(), cause.downcast_ref()) {
            (Some(MachineError::Tool(e)), _) | (_, Some(FlowError::Tool(e))) => Some(e),
            _ => cause.downcast_ref(),
        };
        if let Some(ToolError::Missing { .. }) = tool {
            return 3;
        }
    }
    1
}
