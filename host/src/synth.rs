//! A bitstream for a board, and what it costs.
use std::path::Path;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use toe_bsp::flow::{self, Report};

use crate::{output, say, Refused};

/// The boards that can be built for.
pub const BOARDS: [&str; 1] = ["alchitry-cu"];

/// Builds for `board` in `out`.
///
/// # Errors
/// An unknown board, a missing tool, a folder that cannot be written.
pub fn run(board: &str, seed: u32, out: &Path) -> Result<Report> {
    if !BOARDS.contains(&board) {
        return Err(Refused(format!(
            "there is no board `{board}`; there are: {}",
            BOARDS.join(", ")
        ))
        .into());
    }
    output::folder(out)?;
    // What an earlier run left must not pass for the result of one that fails.
    for old in flow::RESULTS.iter().chain(&["report.json"]) {
        let _ = std::fs::remove_file(out.join(old));
    }
    let job = toe_bsp::alchitry_cu::job(seed)?;
    let bar = ProgressBar::new(flow::STEPS.len() as u64).with_style(
        ProgressStyle::with_template("{spinner} {msg} ({pos}/{len}, {elapsed})")
            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let report = flow::ice40(&job, out, |step| {
        bar.set_message(step.to_string());
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    output::write(
        &out.join("report.json"),
        serde_json::to_vec_pretty(&report)?,
    )?;
    Ok(report)
}

/// Prints the report.
///
/// # Errors
/// When the standard output cannot be written.
pub fn print(report: &Report) -> Result<()> {
    say!(
        "{} ({}), placement seed {}",
        report.board,
        report.device,
        report.seed
    )?;
    say!(
        "  logic cells  {:>6} of {} ({:.0} %)",
        report.cells,
        report.cells_available,
        100.0 * report.cells as f64 / report.cells_available as f64
    )?;
    say!(
        "  block RAMs   {:>6} of {}",
        report.block_rams,
        report.block_rams_available
    )?;
    for clock in &report.clocks {
        say!(
            "  clock        {:>6.1} MHz reached, {:.1} MHz needed: {}  ({})",
            clock.fmax_mhz,
            clock.needed_mhz,
            if clock.met { "met" } else { "NOT met" },
            clock.name
        )?;
    }
    say!("  what each module costs, before neighbours share (cells, block RAMs):")?;
    for m in report
        .modules
        .iter()
        .filter(|m| m.name.matches('.').count() <= 3)
    {
        say!("    {:<44} {:>6} {:>4}", m.name, m.cells, m.block_rams)?;
    }
    for tool in &report.tools {
        say!("  {} {}", tool.name, tool.version)?;
    }
    if let Some(b) = &report.bitstream {
        say!("  bitstream    {}  sha256 {}", b.path.display(), b.sha256)?;
    }
    Ok(())
}
