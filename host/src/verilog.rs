//! The Verilog, the program's listing and the register map.
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_hdl::tcp::program;

use crate::board;
use crate::{output, settings};

/// The counters as a table, from the one list in the code.
pub fn counter_map() -> String {
    let mut text = String::from("# Counters\n\nRead through `counter_address`; 32 bits each.\n\n| address | name | counts |\n|---|---|---|\n");
    for cause in Cause::ALL {
        let _ = writeln!(
            text,
            "| {} | `{}` | {} |",
            cause.number(),
            cause.name(),
            cause.meaning()
        );
    }
    text
}

/// Writes `toe.v`, `program.lst`, `counters.md` and the Alchitry Cu's `alchitry_cu.v` and `alchitry_cu.pcf`; gives their paths.
///
/// # Errors
/// When the configuration is bad or the folder cannot be written.
pub fn write(config: &ToeConfig, out: &Path) -> Result<Vec<PathBuf>> {
    settings::check(config)?;
    output::folder(out)?;
    let cu = toe_bsp::alchitry_cu::job(1)?;
    let files = [
        ("toe.v", board::verilog(config)?),
        ("program.lst", program::program(config).listing),
        ("counters.md", counter_map()),
        ("alchitry_cu.v", cu.verilog),
        ("alchitry_cu.pcf", cu.constraints),
    ];
    files
        .into_iter()
        .map(|(name, text)| {
            let path = out.join(name);
            output::write(&path, text)?;
            Ok(path)
        })
        .collect()
}
