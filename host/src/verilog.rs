//! The Verilog, the program's listing and the register map.
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_hdl::tcp::program;

use crate::board;
use crate::output::{self, Output};
use crate::settings;

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
    let names = [
        "toe.v",
        "program.lst",
        "counters.md",
        "alchitry_cu.v",
        "alchitry_cu.pcf",
    ];
    let files: Vec<_> = (names.iter())
        .map(|name| Output::new(&out.join(name)))
        .collect::<Result<_>>()?;
    let cu = toe_bsp::alchitry_cu::job(&[1])?;
    let texts = [
        board::verilog(config)?,
        program::program(config).listing,
        counter_map(),
        cu.verilog,
        cu.constraints,
    ];
    for (file, text) in files.into_iter().zip(texts) {
        file.write(text)?;
    }
    Ok(names.map(|name| out.join(name)).to_vec())
}
