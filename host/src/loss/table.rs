//! The runs of all rows, their medians, and what is shown of them: a table, a chart, rows of the bench.
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{bail, Context, Result};
use serde::{Deserialize, Serialize};
use toe_hdl::config::ToeConfig;
use toe_hdl::tcp::program::program;
use toe_sim::kernel;
use toe_sim::link::Medium;
use toe_sim::{netns, path};

use super::{cases, ends, real, slow_cases, Case, Near, Sample};
use crate::board::{self, Backend};
use crate::{bench, output, report, Refused};

/// Where the results go unless told.
pub const OUT: &str = "out/loss";

/// A run in which the path was later than this is made again, twice at most; the one that was least late counts.
const LATE: f64 = 10.0;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// Seeds 1 to this; the median counts.
    pub seeds: u64,
    /// The kernel's congestion control.
    pub congestion: String,
    /// Only rows whose names have one of these in them.
    pub only: Vec<String>,
    /// Runs at once.
    pub jobs: usize,
    /// Folder for what both ends of every run saw, and the plots of it.
    pub pcap: Option<PathBuf>,
}

/// One row with all its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub name: String,
    pub what: String,
    pub flow: String,
    /// Bytes of each connection.
    pub bytes: usize,
    /// Payload bits a second that there can be.
    pub limit: f64,
    /// Who stands for the engine.
    pub near: String,
    pub engine: Vec<Sample>,
    pub linux: Vec<Sample>,
}

/// Median, least and most of the goodputs, in bits a second. A run that failed has none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    pub failed: usize,
}

impl Spread {
    fn of(samples: &[Sample]) -> Self {
        let mut all: Vec<_> = samples.iter().map(|s| s.goodput.unwrap_or(0.0)).collect();
        all.sort_by(f64::total_cmp);
        Self {
            median: all.get(all.len() / 2).copied().unwrap_or(0.0),
            least: all.first().copied().unwrap_or(0.0),
            most: all.last().copied().unwrap_or(0.0),
            failed: samples.iter().filter(|s| s.goodput.is_none()).count(),
        }
    }

    /// In Mb/s, with the ends of the spread.
    fn shown(&self) -> String {
        let [median, least, most] = [self.median, self.least, self.most].map(mbit);
        let failed = match self.failed {
            0 => String::new(),
            n => format!(", {n} failed"),
        };
        format!("{median} ({least} – {most}){failed}")
    }
}

fn mbit(bits: f64) -> String {
    let mbit = bits / 1e6;
    match mbit {
        m if m >= 10.0 => format!("{m:.1}"),
        m if m >= 1.0 => format!("{m:.2}"),
        m => format!("{m:.3}"),
    }
}

/// Of a hundred segments with data, those that had been sent before; the median of the runs.
fn again(samples: &[Sample]) -> f64 {
    let share = |s: &Sample| 100.0 * s.again as f64 / s.data.max(1) as f64;
    let mut all: Vec<_> = samples.iter().map(share).collect();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or(0.0)
}

/// The most in flight of one connection, in KiB.
fn flight(samples: &[Sample]) -> f64 {
    samples.iter().map(|s| s.flight).max().unwrap_or(0) as f64 / 1024.0
}

/// Timers that expired in a run, on average.
fn timers(samples: &[Sample]) -> Option<f64> {
    let all: Option<u64> = samples.iter().map(|s| s.timers).sum();
    all.map(|n| n as f64 / samples.len().max(1) as f64)
}

impl Row {
    /// The engine's goodput.
    pub fn engine(&self) -> Spread {
        Spread::of(&self.engine)
    }

    /// The kernel's with itself.
    pub fn linux(&self) -> Spread {
        Spread::of(&self.linux)
    }

    /// What the near end does.
    fn does(&self) -> &'static str {
        match self.flow.as_str() {
            "send" => "sends",
            "receive" => "receives",
            _ => "echoes",
        }
    }

    /// One of its runs was disturbed, and is in it nevertheless.
    pub fn is_late(&self) -> bool {
        self.engine.iter().chain(&self.linux).any(|s| s.late > LATE)
    }

    /// Of the medians.
    pub fn ratio(&self) -> Option<f64> {
        let linux = self.linux().median;
        (linux > 0.0).then(|| self.engine().median / linux)
    }
}

/// All that was found, and under what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    pub rows: Vec<Row>,
    pub seeds: u64,
    /// The kernel, its congestion control and its switches.
    pub kernel: String,
    pub congestion: String,
    /// Of the program that the engine ran ([`digest`]).
    pub program_sha256: String,
}

/// What tells whether an old result is of the program as it is.
pub fn digest() -> String {
    let program = program(&ToeConfig::default());
    toe_bsp::flow::digest(&format!("{:?}", program.words))
}

fn kernel_in_words(congestion: &str) -> String {
    let on = |name: &str| match kernel::sysctl(name).as_str() {
        "0" => "off",
        _ => "on",
    };
    format!(
        "{}, congestion control {congestion}, SACK {}, timestamps {}, RACK {}, tail loss probes {}",
        kernel::release(),
        on("tcp_sack"),
        on("tcp_timestamps"),
        on("tcp_recovery"),
        on("tcp_early_retrans"),
    )
}

/// Where the system lets nobody make the ends: says so, with the remedy.
fn forbidden(why: &str) -> anyhow::Error {
    let source = std::io::Error::other(why.to_string());
    toe_sim::tap::TapError::Other {
        step: "have a network of its own (as root, or where `sysctl kernel.unprivileged_userns_clone` is 1)",
        name: "toe0".into(),
        source,
    }
    .into()
}

/// The engine's part of a row, or the kernel's.
#[derive(Clone, Copy)]
struct Job {
    row: usize,
    near: Near,
    seed: u64,
}

fn one(case: &Case, job: Job, options: &Options) -> Result<Sample> {
    let mut best: Option<super::Ran> = None;
    for _ in 0..3 {
        let ran = real(case, job.near, job.seed, &options.congestion)
            .with_context(|| format!("{}, {:?}, seed {}", case.name(), job.near, job.seed))?;
        if best
            .as_ref()
            .is_none_or(|b| ran.sample.late < b.sample.late)
        {
            best = Some(ran);
        }
        if best.as_ref().is_some_and(|b| b.sample.late <= LATE) {
            break;
        }
    }
    let best = best.context("no run was made")?;
    if let Some(folder) = &options.pcap {
        let who = format!("{:?}", job.near).to_lowercase();
        let run = format!("{}-{who}-{}", case.name(), job.seed);
        for (near, end) in [(true, "near"), (false, "far")] {
            let mut bytes = vec![];
            path::write_pcap(&best.seen, near, Medium::Ip, &mut bytes)?;
            output::write(&folder.join(format!("{run}-{end}.pcap")), bytes)?;
        }
        let page = report::html(&best.page(case, job.near));
        output::write(&folder.join(format!("{run}.html")), page)?;
    }
    Ok(best.sample)
}

/// Measures all rows. With no right to make the ends it runs the command again in a namespace of its own, and gives nothing but that run's exit code.
///
/// # Errors
/// A congestion control that the kernel has not, an end that cannot be made, a folder that cannot be written.
pub fn run(options: &Options, out: &Path) -> Result<std::result::Result<Found, i32>> {
    let known = kernel::congestion_controls()?;
    if !known.contains(&options.congestion) {
        let known = known.join(", ");
        let text = format!(
            "the kernel has no congestion control `{}`; it has {known}",
            options.congestion
        );
        return Err(Refused(text).into());
    }
    let wanted = |case: &Case| {
        let name = case.name();
        options.only.is_empty() || options.only.iter().any(|part| name.contains(part.as_str()))
    };
    let rows: Vec<_> = (cases().into_iter().map(|c| (c, Near::Model)))
        .chain(slow_cases().into_iter().map(|c| (c, Near::Verilog)))
        .filter(|(case, _)| wanted(case))
        .collect();
    if options.seeds == 0 {
        return Err(Refused("--seeds 0: one run of each row at least".into()).into());
    }
    if rows.is_empty() || options.only.iter().any(String::is_empty) {
        let names: Vec<_> = cases()
            .iter()
            .chain(&slow_cases())
            .map(Case::name)
            .collect();
        let text = format!(
            "no row has such a name as --only asks for; there are {}",
            names.join(", ")
        );
        return Err(Refused(text).into());
    }
    output::folder(out)?;
    if let Some(folder) = &options.pcap {
        output::folder(folder)?;
    }
    // The tools may have to be fetched, which can't be done in a namespace.
    if let Some((case, _)) = rows.iter().find(|(_, near)| *near == Near::Verilog) {
        board::machine(&ends::config(case, false), Backend::Verilog)?;
    }
    if let Err(why) = netns::may_enter() {
        return match netns::again() {
            Ok(Some(code)) => Ok(Err(code)),
            Ok(None) => Err(forbidden(&why)),
            Err(error) => Err(forbidden(&error.to_string())),
        };
    }
    let found = measure(&rows, options)?;
    output::write(&out.join("loss.json"), serde_json::to_vec_pretty(&found)?)?;
    output::write(&out.join("loss.md"), table(&found))?;
    output::write(&out.join("loss.svg"), chart(&found))?;
    Ok(Ok(found))
}

fn measure(rows: &[(Case, Near)], options: &Options) -> Result<Found> {
    let mut jobs = vec![];
    for (row, (_, engine)) in rows.iter().enumerate() {
        for seed in 1..=options.seeds {
            for near in [*engine, Near::Linux] {
                jobs.push(Job { row, near, seed });
            }
        }
    }
    let mut found: Vec<_> = (rows.iter())
        .map(|(case, near)| Row {
            name: case.name(),
            what: case.what.clone(),
            flow: case.flow.name().into(),
            bytes: case.bytes,
            limit: 8.0 * case.limit(),
            near: format!("{near:?}").to_lowercase(),
            engine: vec![],
            linux: vec![],
        })
        .collect();
    let bar = crate::demo::bar(jobs.len() as u64, "bench");
    let next = AtomicUsize::new(0);
    let samples = Mutex::new(vec![]);
    // Most of a run is waiting; those that simulate the Verilog go one at a time, for they don't.
    let simulating = Mutex::new(());
    let outcome: Result<()> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs.max(1))
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let case = &rows[job.row].0;
                        bar.set_message(format!("{}: {:?}", case.name(), job.near));
                        let alone = (job.near == Near::Verilog)
                            .then(|| simulating.lock().unwrap_or_else(PoisonError::into_inner));
                        let sample = one(case, *job, options);
                        drop(alone);
                        if sample.is_err() {
                            next.store(jobs.len(), Ordering::Relaxed);
                        }
                        let mut all = samples.lock().unwrap_or_else(PoisonError::into_inner);
                        all.push((*job, sample?));
                        bar.inc(1);
                    }
                    Ok(())
                })
            })
            .collect();
        for worker in workers {
            match worker.join() {
                Ok(done) => done?,
                Err(_) => bail!("a run broke off"),
            }
        }
        Ok(())
    });
    bar.finish_and_clear();
    outcome?;
    let mut samples = samples.into_inner().unwrap_or_else(PoisonError::into_inner);
    samples.sort_by_key(|(job, _)| (job.row, job.seed));
    for (job, sample) in samples {
        let row = &mut found[job.row];
        match job.near {
            Near::Linux => row.linux.push(sample),
            _ => row.engine.push(sample),
        }
    }
    Ok(Found {
        rows: found,
        seeds: options.seeds,
        kernel: kernel_in_words(&options.congestion),
        congestion: options.congestion.clone(),
        program_sha256: digest(),
    })
}

/// The table in Markdown.
pub fn table(found: &Found) -> String {
    let mut text = format!(
        "Base: 10 Mb/s, 2 ms each way, 100 frames of queue, 8 KiB of window, 1 connection, MTU 1,500. Median of {} seeds (least – most), Mb/s of payload one way. Called: the engine, or the kernel; calling: the kernel ({}).\n\n\
         | row | path | near end | limit | engine | Linux | ratio | engine: sent again, % | timers a run | Linux: sent again, % | in flight, KiB: engine, Linux |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
        found.seeds, found.kernel,
    );
    for row in &found.rows {
        let ratio = row
            .ratio()
            .map_or_else(|| "–".into(), |r| format!("{r:.2}"));
        let flow = row.does();
        let late = if row.is_late() { " †" } else { "" };
        let verilog = if row.near == "verilog" {
            " (Verilog)"
        } else {
            ""
        };
        let timers = timers(&row.engine).map_or_else(|| "–".into(), |t| format!("{t:.1}"));
        let _ = writeln!(
            text,
            "| `{}` | {} | {flow}{verilog} | {} | {} | {} | {ratio}{late} | {:.1} | {timers} | {:.1} | {:.1}, {:.1} |",
            row.name,
            row.what,
            mbit(row.limit),
            row.engine().shown(),
            row.linux().shown(),
            again(&row.engine),
            again(&row.linux),
            flight(&row.engine),
            flight(&row.linux),
        );
    }
    if found.rows.iter().any(Row::is_late) {
        let _ = writeln!(
            text,
            "\n† A run of this row was handed frames more than {LATE} ms late, three times over: the machine was busy with other things, and the row says less than it might. Measure it again on a quiet one."
        );
    }
    text
}

/// The rows of the bench: the ratio, held to what Linux reaches.
pub fn rows(found: &Found) -> Vec<bench::Row> {
    let of = |row: &Row| bench::Row {
        name: row.name.clone(),
        value: row.ratio(),
        unit: "of Linux to Linux",
        bar: "≥ 1".into(),
        met: row.ratio().is_some_and(|r| r >= 1.0),
        backend: row.near.clone(),
        cause: Some(format!(
            "Mb/s: engine {}, Linux {}; sent again {:.1} % and {:.1} %; {:.1} timers a run",
            row.engine().shown(),
            row.linux().shown(),
            again(&row.engine),
            again(&row.linux),
            timers(&row.engine).unwrap_or(0.0),
        )),
    };
    found.rows.iter().map(of).collect()
}

const ENGINE: &str = "#2f6f9f";
const LINUX: &str = "#c4572e";
const ROW: f64 = 16.0;
const LEFT: f64 = 300.0;
const WIDE: f64 = 520.0;

/// The chart, as SVG: a line a row, goodput on a logarithmic scale, medians as dots and the spread as a bar through each.
pub fn chart(found: &Found) -> String {
    let rows = &found.rows;
    let all = rows.iter().flat_map(|r| [r.engine(), r.linux()]);
    let least = all.clone().map(|s| s.least.max(1e3)).fold(1e9, f64::min);
    let most = all.map(|s| s.most).fold(1e4, f64::max);
    let (low, high) = (least.log10().floor(), most.log10().ceil());
    let top = 58.0;
    let height = top + ROW * rows.len() as f64 + 40.0;
    let width = LEFT + WIDE + 80.0;
    let x = |bits: f64| LEFT + (bits.max(1.0).log10() - low).max(0.0) / (high - low) * WIDE;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' font-family='sans-serif' font-size='12'>\n<rect width='100%' height='100%' fill='#ffffff'/>\n"
    );
    let _ = writeln!(
        svg,
        "<text x='{LEFT}' y='20' font-weight='bold' fill='#1f2328'>goodput, Mb/s (logarithmic): median, least and most</text><text x='{}' y='38' text-anchor='end' fill='#1f2328'>ratio</text>",
        width - 10.0
    );
    for (i, (name, colour)) in [("engine and Linux", ENGINE), ("Linux and Linux", LINUX)]
        .into_iter()
        .enumerate()
    {
        let at = LEFT + 150.0 * i as f64;
        let _ = writeln!(
            svg,
            "<circle cx='{:.1}' cy='34' r='4' fill='{colour}'/><text x='{:.1}' y='38' fill='#1f2328'>{name}</text>",
            at + 5.0,
            at + 14.0
        );
    }
    let bottom = height - 34.0;
    for decade in low as i32..=high as i32 {
        for step in [1.0, 2.0, 5.0] {
            let bits = step * 10f64.powi(decade);
            if bits.log10() > high {
                continue;
            }
            let at = x(bits);
            let _ = writeln!(
                svg,
                "<line x1='{at:.1}' x2='{at:.1}' y1='{:.1}' y2='{bottom:.1}' stroke='#d8dee4'/><text x='{at:.1}' y='{:.1}' text-anchor='middle' fill='#59636e'>{}</text>",
                top - 8.0,
                bottom + 16.0,
                bits / 1e6
            );
        }
    }
    for (i, row) in rows.iter().enumerate() {
        let y = top + ROW * i as f64 + ROW / 2.0;
        let verilog = if row.near == "verilog" {
            " (Verilog)"
        } else {
            ""
        };
        if i % 2 == 0 {
            let _ = writeln!(
                svg,
                "<rect x='0' y='{:.1}' width='{width}' height='{ROW}' fill='#59636e' fill-opacity='0.06'/>",
                y - ROW / 2.0
            );
        }
        let _ = writeln!(
            svg,
            "<text x='{:.1}' y='{:.1}' text-anchor='end' fill='#1f2328'>{}: {}{verilog}</text>",
            LEFT - 8.0,
            y + 4.0,
            row.what,
            row.does()
        );
        for (spread, colour, shift) in [(row.linux(), LINUX, 3.0), (row.engine(), ENGINE, -3.0)] {
            let y = y + shift;
            let _ = writeln!(
                svg,
                "<line x1='{:.1}' x2='{:.1}' y1='{y:.1}' y2='{y:.1}' stroke='{colour}' stroke-width='1.5'/><circle cx='{:.1}' cy='{y:.1}' r='3.2' fill='{colour}'/>",
                x(spread.least),
                x(spread.most),
                x(spread.median)
            );
        }
        let ratio = row
            .ratio()
            .map_or_else(|| "–".into(), |r| format!("{r:.2}"));
        let _ = writeln!(
            svg,
            "<text x='{:.1}' y='{:.1}' text-anchor='end' fill='#1f2328'>{ratio}</text>",
            width - 10.0,
            y + 4.0
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(seed: u64, goodput: Option<f64>, again: u64) -> Sample {
        Sample {
            seed,
            goodput,
            seconds: 1.0,
            data: 200,
            again,
            flight: 7300,
            window: 8192,
            timers: Some(seed),
            late: 0.1,
            failure: goodput.is_none().then(|| "other bytes".into()),
        }
    }

    fn found() -> Found {
        let of = |goodputs: [Option<f64>; 3]| {
            let all = goodputs.into_iter().zip(1..);
            all.map(|(g, seed)| sample(seed, g, 2 * seed)).collect()
        };
        let row = |name: &str, near: &str, engine, linux| Row {
            name: name.into(),
            what: "3 % lost".into(),
            flow: "send".into(),
            bytes: 1 << 19,
            limit: 9.49e6,
            near: near.into(),
            engine: of(engine),
            linux: of(linux),
        };
        let (a, b, c) = (Some(2e6), Some(8e6), Some(4e6));
        Found {
            rows: vec![
                row("loss.3.send", "model", [a, b, c], [b, b, b]),
                row("loss.slow.send", "verilog", [b, b, None], [c, a, c]),
                row("loss.1.send", "model", [b, b, b], [None, None, a]),
            ],
            seeds: 3,
            kernel: "Linux 1.2, congestion control reno".into(),
            congestion: "reno".into(),
            program_sha256: String::new(),
        }
    }

    #[test]
    fn the_median_counts_and_a_failed_run_counts_as_nothing_moved() {
        let found = found();
        let want = Spread {
            median: 4e6,
            least: 2e6,
            most: 8e6,
            failed: 0,
        };
        assert_eq!(found.rows[0].engine(), want);
        assert_eq!(found.rows[0].ratio(), Some(0.5));
        let failed = found.rows[1].engine();
        assert_eq!((failed.median, failed.least, failed.failed), (8e6, 0.0, 1));
        assert_eq!(failed.shown(), "8.00 (0.000 – 8.00), 1 failed");
        // Nothing to compare with.
        assert_eq!(found.rows[2].ratio(), None);
    }

    #[test]
    fn the_table_has_a_row_for_each_and_names_the_kernel() {
        let text = table(&found());
        assert!(
            text.contains("Linux 1.2, congestion control reno"),
            "{text}"
        );
        let want = "| `loss.3.send` | 3 % lost | sends | 9.49 | 4.00 (2.00 – 8.00) | 8.00 (8.00 – 8.00) | 0.50 | 2.0 | 2.0 | 2.0 | 7.1, 7.1 |";
        assert!(text.contains(want), "{text}");
        assert!(text.contains("sends (Verilog)"), "{text}");
        assert_eq!(text.lines().count(), 4 + 3);
    }

    #[test]
    fn a_row_that_was_disturbed_says_so() {
        let mut found = found();
        found.rows[0].linux[1].late = 37.0;
        let text = table(&found);
        assert!(text.contains("| 0.50 † | 2.0 |"), "{text}");
        assert_eq!(text.matches('†').count(), 2, "{text}");
        assert!(text.lines().last().unwrap().contains("10 ms late"));
    }

    #[test]
    fn a_row_of_the_bench_is_the_ratio_held_to_one() {
        let rows = rows(&found());
        let json = serde_json::to_value(&rows[0]).unwrap();
        assert_eq!(json["name"], "loss.3.send");
        assert_eq!(json["value"], 0.5);
        assert_eq!(json["bar"], "≥ 1");
        assert_eq!(json["met"], false);
        assert_eq!(json["backend"], "model");
        assert!(rows[1].met && rows[1].value == Some(2.0));
        assert!(!rows[2].met && rows[2].value.is_none());
    }

    #[test]
    fn the_chart_has_two_dots_a_row_and_more_stands_further_right() {
        let svg = chart(&found());
        let dots: Vec<f64> = (svg.lines())
            .filter_map(|l| l.split_once("r='3.2'")?.0.rsplit_once("cx='"))
            .map(|(_, rest)| rest.split('\'').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(dots.len(), 2 * 3);
        // Linux first: 8, 4; 4, 8; nothing, 8.
        assert!(dots[0] > dots[1] && dots[2] < dots[3] && dots[4] < dots[5]);
        assert_eq!(dots[0], dots[3]);
        assert!(
            dots.iter().all(|x| (LEFT..=LEFT + WIDE).contains(x)),
            "{dots:?}"
        );
    }

    /// What the bench keeps of an old result, it reads from its JSON.
    #[test]
    fn what_was_found_survives_its_file() {
        let text = serde_json::to_vec(&found()).unwrap();
        assert_eq!(serde_json::from_slice::<Found>(&text).unwrap(), found());
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        let options = |congestion: &str, only: &str| Options {
            seeds: 1,
            congestion: congestion.into(),
            only: vec![only.into()],
            jobs: 1,
            pcap: None,
        };
        let dir = tempfile::tempdir().unwrap();
        for (congestion, only, why) in [
            ("none such", "loss", "no congestion control `none such`"),
            ("reno", "no such row", "loss.32k.3.send"),
            ("reno", "", "no row has such a name"),
        ] {
            let error = run(&options(congestion, only), dir.path()).unwrap_err();
            assert!(error.is::<Refused>(), "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
