//! A bitstream for a board, and what it costs.
use std::path::Path;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use toe_bsp::flow::{self, Job, Report};
use toe_bsp::{alchitry_cu, ecp5_25f};
use toe_hdl::config::ToeConfig;

use crate::{area, output, say, Refused};

/// The boards that can be built for. The last is a chip without a board: area and timing of the bare engine, no bitstream.
pub const BOARDS: [&str; 2] = ["alchitry-cu", "ecp5-25f"];

/// Cells and block RAMs that a board's top is held to.
pub fn budget(board: &str) -> Option<(u64, u64)> {
    (board == "alchitry-cu").then_some((7_000, 32))
}

/// Whether there is such a board, and takes a configuration where there is one.
fn known(board: &str, config: Option<&ToeConfig>) -> Result<()> {
    match (board, config) {
        ("alchitry-cu", Some(config)) => Ok(alchitry_cu::takes(config)?),
        ("alchitry-cu" | "ecp5-25f", None) => Ok(()),
        ("ecp5-25f", Some(_)) => Err(Refused(
            "ecp5-25f is built as it is, without --config; alchitry-cu takes one".into(),
        )
        .into()),
        _ => Err(Refused(format!(
            "there is no board `{board}`; there are: {}",
            BOARDS.join(", ")
        ))
        .into()),
    }
}

/// A board's job: of its own configuration, or another; placed with these seeds, or its own where there are none.
fn job_of(board: &str, config: Option<&ToeConfig>, seeds: &[u32]) -> Result<Job> {
    known(board, config)?;
    let or_own = |own: &'static [u32]| if seeds.is_empty() { own } else { seeds }.to_vec();
    match (board, config) {
        ("alchitry-cu", None) => alchitry_cu::job(&or_own(&alchitry_cu::SEEDS)),
        ("alchitry-cu", Some(config)) => alchitry_cu::job_for(config, &or_own(&alchitry_cu::SEEDS)),
        _ => ecp5_25f::job(&or_own(&ecp5_25f::SEEDS)),
    }
}

/// The clock that a board needs, in MHz.
///
/// # Errors
/// An unknown board.
pub fn needed_mhz(board: &str) -> Result<f64> {
    Ok(job_of(board, None, &[])?.needed_mhz)
}

/// The report that an earlier build for `board` left in `out`, if it is of the very design that would be built now.
///
/// # Errors
/// An unknown board; a design that cannot be described.
pub fn kept(board: &str, out: &Path) -> Result<Option<Report>> {
    let Ok(text) = std::fs::read(out.join("report.json")) else {
        return Ok(None);
    };
    let Ok(report) = serde_json::from_slice::<Report>(&text) else {
        return Ok(None);
    };
    let job = job_of(board, None, &[])?;
    let same = report.verilog_sha256 == flow::digest(&job.verilog);
    Ok(same.then_some(report))
}

/// Builds for `board` in `out`, its own configuration or another, placed with each of the seeds, or with the board's own when there are none; with `alone` each module of the budget by itself too.
///
/// # Errors
/// An unknown board, a configuration that won't do, a missing tool, a folder that cannot be written.
pub fn run(
    board: &str,
    config: Option<&ToeConfig>,
    seeds: &[u32],
    alone: bool,
    out: &Path,
) -> Result<Report> {
    known(board, config)?;
    output::folder(out)?;
    // What an earlier run left must not pass for the result of one that fails.
    flow::clear(out);
    let _ = std::fs::remove_file(out.join("report.json"));
    let job = job_of(board, config, seeds)?;
    let bar = ProgressBar::new(job.steps() as u64).with_style(
        ProgressStyle::with_template("{spinner} {msg} ({pos}/{len}, {elapsed})")
            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
    );
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let step = |step: &str| {
        bar.set_message(step.to_string());
        bar.inc(1);
    };
    let mut report = flow::build(&job, out, step)?;
    if alone {
        let wanted = || report.modules.iter().filter(|m| area::counts(m));
        bar.inc_length(wanted().count() as u64);
        let wanted = report.modules.iter_mut().filter(|m| area::counts(m));
        flow::alone(&job, out, wanted, step)?;
    }
    bar.finish_and_clear();
    output::write(
        &out.join("report.json"),
        serde_json::to_vec_pretty(&report)?,
    )?;
    if alone {
        let beside: Vec<_> = BOARDS
            .iter()
            .filter_map(|other| with_modules(other, &report, out))
            .collect();
        let tables: Vec<_> = beside.iter().map(area::table).collect();
        output::write(&out.join("area.md"), tables.join("\n"))?;
        output::write(&out.join("area.svg"), area::chart(&beside))?;
    }
    Ok(report)
}

/// This report, or another board's in the folder beside this one's, if its modules were built alone there.
fn with_modules(board: &str, report: &Report, out: &Path) -> Option<Report> {
    if board == report.board {
        return Some(report.clone());
    }
    let text = std::fs::read(out.parent()?.join(board).join("report.json")).ok()?;
    let report: Report = serde_json::from_slice(&text).ok()?;
    let alone = report.modules.iter().any(|m| m.fmax_mhz.is_some());
    alone.then_some(report)
}

/// Prints the report.
///
/// # Errors
/// When the standard output cannot be written.
pub fn print(report: &Report) -> Result<()> {
    say!(
        "{} ({}), placement seed {}{}",
        report.board,
        report.device,
        report.seed,
        match report.seeds.len() {
            1 => String::new(),
            n => format!(", the median of {n}"),
        }
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
    if report.seeds.len() > 1 {
        for run in &report.seeds {
            say!(
                "  seed {:<6}  {:>6.1} MHz{}",
                run.seed,
                run.fmax_mhz,
                if run.met { "" } else { ", NOT met" }
            )?;
        }
    }
    say!("  what each module costs, before neighbours share (cells, block RAMs):")?;
    for m in report
        .modules
        .iter()
        .filter(|m| m.name.matches('.').count() <= 3)
    {
        let alone = m
            .fmax_mhz
            .map_or_else(String::new, |f| format!("  {f:>6.1} MHz alone"));
        say!(
            "    {:<44} {:>6} {:>4}{alone}",
            m.name,
            m.cells,
            m.block_rams
        )?;
    }
    for tool in &report.tools {
        say!("  {} {}", tool.name, tool.version)?;
    }
    if let Some(b) = &report.bitstream {
        say!("  bitstream    {}  sha256 {}", b.path.display(), b.sha256)?;
    }
    Ok(())
}
