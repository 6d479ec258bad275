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

/// What an earlier run may have left in the folder that is not of this one, of which `files` are told.
pub fn left_over(out: &Path, files: &[PathBuf]) -> Vec<PathBuf> {
    (["toe.v", "alchitry_cu.v", "alchitry_cu.pcf"].iter())
        .map(|name| out.join(name))
        .filter(|file| file.exists() && !files.contains(file))
        .collect()
}

/// Writes `toe.v`, the engine at a GMII, or for a configuration without Ethernet the Alchitry Cu's `alchitry_cu.v` and `alchitry_cu.pcf`, or for none both; with them `counters.md` and `program.lst`, whose
/// program is that of `toe.v` where there is one. Gives their paths.
///
/// # Errors
/// When the configuration is bad or the folder cannot be written.
pub fn write(config: Option<&ToeConfig>, out: &Path) -> Result<Vec<PathBuf>> {
    let default = ToeConfig::default();
    let mine = config.unwrap_or(&default);
    settings::check(mine)?;
    output::folder(out)?;
    let mut texts = vec![
        ("program.lst", program::program(mine).listing),
        ("counters.md", counter_map()),
    ];
    if mine.ethernet {
        texts.insert(0, ("toe.v", board::verilog(mine)?));
    }
    let cu = match config {
        None => Some(toe_bsp::alchitry_cu::job(&[1])?),
        Some(mine) if !mine.ethernet => Some(toe_bsp::alchitry_cu::job_for(mine, &[1])?),
        Some(_) => None,
    };
    if let Some(cu) = cu {
        texts.push(("alchitry_cu.v", cu.verilog));
        texts.push(("alchitry_cu.pcf", cu.constraints));
    }
    let files: Vec<_> = (texts.iter())
        .map(|(name, _)| Output::new(&out.join(name)))
        .collect::<Result<_>>()?;
    let paths = texts.iter().map(|(name, _)| out.join(name)).collect();
    for (file, (_, text)) in files.into_iter().zip(texts) {
        file.write(text)?;
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_run_has_left_is_told() {
        let dir = tempfile::tempdir().expect("a folder");
        let out = dir.path();
        for name in ["toe.v", "alchitry_cu.v", "notes.txt"] {
            std::fs::write(out.join(name), "").expect("a file");
        }
        let own = [out.join("alchitry_cu.v"), out.join("program.lst")];
        assert_eq!(left_over(out, &own), [out.join("toe.v")]);
    }
}
