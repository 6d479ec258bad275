//! Every figure, beside its bar.
use std::net::Ipv4Addr;

use anyhow::Result;
use indicatif::ProgressBar;
use serde::Serialize;
use toe_hdl::config::{Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_sim::link::{Frame, Instant, Link, Medium};
use toe_sim::peer::{Conversation, Peer};

use crate::board::Backend;
use crate::capture::{self, OnTheLine};
use crate::demo::{
    exchange, exchange_over, fresh_board, latencies_in_parts, listener, options, Exchange,
};
use crate::trace::Event;
use crate::{say, synth};

/// One figure. The fields are the contract of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: String,
    /// `None`: could not be measured.
    pub value: Option<f64>,
    pub unit: &'static str,
    /// What the design is held to, `≥ 0.999` and the like.
    pub bar: String,
    pub met: bool,
    pub backend: String,
    /// What the same run shows of why it is not met.
    pub cause: Option<String>,
}

/// Which side of the bar is good.
#[derive(Clone, Copy, Debug)]
enum Bar {
    AtLeast(f64),
    AtMost(f64),
    /// Told, not judged.
    None,
}

fn row(name: &str, backend: &str, value: Option<f64>, unit: &'static str, bar: Bar) -> Row {
    let (text, met) = match (bar, value) {
        (Bar::AtLeast(b), v) => (format!("≥ {b}"), v.is_some_and(|v| v >= b)),
        (Bar::AtMost(b), v) => (format!("≤ {b}"), v.is_some_and(|v| v <= b)),
        (Bar::None, v) => ("–".into(), v.is_some()),
    };
    Row {
        name: name.into(),
        value,
        unit,
        bar: text,
        met,
        backend: backend.into(),
        cause: None,
    }
}

/// Cycles that a direction of the line lost between its first and its last data frame, as the stamps tell.
fn lost(run: &Run, outward: bool) -> String {
    // Preamble to FCS, the gap of IEEE 802.3 clause 4.4.2, then the next preamble.
    const GAP: u64 = 12;
    const FRAME: u64 = 1538;
    let frames: Vec<_> = (run.done.line.iter())
        .filter(|f| f.outward() == outward)
        .collect();
    let is_data = |f: &&OnTheLine| f.segment.is_some_and(|h| h.length > 0);
    let (Some(first), Some(last)) = (
        frames.iter().position(&is_data),
        frames.iter().rposition(is_data),
    ) else {
        return "no data was seen".into();
    };
    let (mut gaps, mut pauses, mut longest) = (0, 0, 0);
    for pair in frames[first..=last].windows(2) {
        let idle = (pair[1].stamp.first - pair[0].stamp.last).saturating_sub(1 + GAP);
        longest = longest.max(idle);
        *(if idle < FRAME { &mut gaps } else { &mut pauses }) += idle;
    }
    let short = (frames[first..=last].iter())
        .filter(|f| f.segment.is_none_or(|h| h.length < 1460))
        .count();
    format!(
        "{} frames; idle beyond the gap: {gaps} cycles in pauses shorter than a frame, {pauses} in longer ones (longest {longest}); {short} frames carry less than 1460 bytes",
        last - first + 1
    )
}

/// What an event's cycles were.
fn waits<'a>(events: impl Iterator<Item = &'a Event>) -> String {
    let (cycles, instructions): (Vec<_>, Vec<_>) =
        events.map(|e| (e.cycles, e.instructions)).unzip();
    let of = |values| median(values).unwrap_or(0.0);
    format!(
        "in {} events the median is {} cycles and {} instructions",
        cycles.len(),
        of(cycles),
        of(instructions)
    )
}

fn median(mut values: Vec<u64>) -> Option<f64> {
    values.sort_unstable();
    values.get(values.len() / 2).map(|v| *v as f64)
}

/// Bytes moved in each of the goodput runs; enough for the ends not to matter.
fn amount(backend: Backend) -> usize {
    match backend {
        Backend::Rust => 96 * 1024,
        _ => 1024 * 1024,
    }
}

struct Run {
    done: Exchange,
    trace: Vec<Event>,
}

fn talk(config: &ToeConfig, backend: Backend, talk: Conversation) -> Result<Run> {
    let mut board = fresh_board(config, backend)?;
    board.trace_engine(config)?;
    let talk = talk.with_options(options());
    let (done, board) = exchange(config, board, talk, &ProgressBar::hidden())?;
    Ok(Run {
        done,
        trace: board.engine_trace().to_vec(),
    })
}

/// Segments of a flood.
const FLOOD: usize = 500;

/// A peer whose first bare acknowledgement, the one that opens the connection, comes [`FLOOD`] times again without a pause; the
/// peer itself is heard again only afterwards.
struct Flood {
    peer: Peer,
    segment: Option<Frame>,
    left: usize,
}

impl Link for Flood {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        if let (Some(segment), 1..) = (&self.segment, self.left) {
            self.left -= 1;
            return Some(segment.clone());
        }
        let frame = self.peer.receive(now)?;
        let header = capture::parse(&frame);
        if header.is_some_and(|h| h.length == 0 && !h.syn && h.ack.is_some()) {
            self.segment.get_or_insert_with(|| frame.clone());
        }
        Some(frame)
    }
    fn send(&mut self, frame: Frame, now: Instant) {
        self.peer.send(frame, now);
    }
    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        match (&self.segment, self.left) {
            (Some(_), 1..) => Some(now),
            _ => self.peer.idle_until(now),
        }
    }
    fn medium(&self) -> Medium {
        self.peer.medium()
    }
}

/// What became of the shortest segments that came back to back.
struct Shortest {
    /// Between the ends of the first and the last of them.
    cycles: u64,
    /// Segment events that the engine ended in these.
    handled: usize,
    /// Segments that found no room, in the whole run.
    dropped: u64,
    /// Why the transfer after it failed.
    failure: Option<String>,
}

impl Shortest {
    fn cycles_each(&self) -> Option<f64> {
        (self.handled > 0).then(|| self.cycles as f64 / self.handled as f64)
    }

    fn rate(&self) -> Option<f64> {
        self.cycles_each().map(|cycles| (125e6 / cycles).round())
    }
}

/// Floods an open connection with bare acknowledgements of 60 bytes at line rate, then has 8 KiB echoed over it.
fn shortest(config: &ToeConfig, backend: Backend) -> Result<Shortest> {
    let mut board = fresh_board(config, backend)?;
    board.trace_engine(config)?;
    let port = listener(config, Owner::Echo)?;
    let data = vec![0x3C; 8192];
    let talk = Conversation::echo_client(Ipv4Addr::from(config.ip), port, data.clone())
        .with_options(options())
        .keeping();
    let flood = |peer| Flood {
        peer,
        segment: None,
        left: FLOOD,
    };
    let quiet = ProgressBar::hidden();
    let (done, board) = match exchange_over(config, board, talk, &quiet, flood, |l| &l.peer) {
        Ok(done) => done,
        Err(e) => {
            return Ok(Shortest {
                cycles: 0,
                handled: 0,
                dropped: 0,
                failure: Some(format!("{e:#}")),
            })
        }
    };
    let bare = |f: &&OnTheLine| !f.outward() && f.segment.is_some_and(|h| h.length == 0 && !h.syn);
    let flood: Vec<_> = (done.line.iter()).filter(bare).take(1 + FLOOD).collect();
    let [first, .., last] = &flood[..] else {
        anyhow::bail!("the flood did not cross the line");
    };
    let (from, to) = (first.stamp.last, last.stamp.last);
    let handled = (board.engine_trace().iter())
        .filter(|e| e.kind == "segment" && (from..to).contains(&(e.cycle + e.cycles)))
        .count();
    let dropped = (done.counters.iter())
        .filter(|c| c.name == Cause::RecordQueueFull.name())
        .map(|c| c.value)
        .sum();
    let failure = (done.received != data).then(|| "other bytes came back".to_string());
    Ok(Shortest {
        cycles: to - from,
        handled,
        dropped,
        failure,
    })
}

fn measure(backend: Backend, bar: &ProgressBar, rows: &mut Vec<Row>) -> Result<()> {
    let config = ToeConfig::default();
    let name = backend.to_string();
    let ip = Ipv4Addr::from(config.ip);
    let data = vec![0xA5; amount(backend)];
    let start = rows.len();
    let mut add = |n: &str, v: Option<f64>, unit, b| rows.push(row(n, &name, v, unit, b));
    let share = Bar::AtLeast(0.999);

    bar.set_message(format!("{name}: receive"));
    let receive = talk(
        &config,
        backend,
        Conversation::source_client(ip, 9, data.clone()),
    )?;
    add(
        "goodput.receive",
        capture::goodput(&receive.done.line, false),
        "of the line's limit",
        share,
    );
    bar.inc(1);
    bar.set_message(format!("{name}: send"));
    let send = talk(
        &config,
        backend,
        Conversation::sink_client(ip, 19, data.len()),
    )?;
    add(
        "goodput.send",
        capture::goodput(&send.done.line, true),
        "of the line's limit",
        share,
    );
    bar.inc(1);
    bar.set_message(format!("{name}: both"));
    let both = talk(&config, backend, Conversation::echo_client(ip, 7, data))?;
    add(
        "goodput.both.receive",
        capture::goodput(&both.done.line, false),
        "of the line's limit",
        share,
    );
    add(
        "goodput.both.send",
        capture::goodput(&both.done.line, true),
        "of the line's limit",
        share,
    );
    bar.inc(1);

    bar.set_message(format!("{name}: latency"));
    let (latency, parts) = latencies_in_parts(&config, backend)?;
    let cycles = |v: Option<u64>| v.map(|v| v as f64);
    add(
        "latency.syn",
        cycles(latency.syn),
        "cycles",
        Bar::AtMost(160.0),
    );
    add(
        "latency.ack",
        cycles(latency.ack),
        "cycles",
        Bar::AtMost(160.0),
    );
    add(
        "latency.echo",
        cycles(latency.echo),
        "cycles",
        Bar::AtMost(320.0),
    );
    bar.inc(1);

    bar.set_message(format!("{name}: flood"));
    let flood = shortest(&config, backend)?;
    add(
        "segments.min_frame",
        flood.rate(),
        "segments/s at 125 MHz",
        Bar::None,
    );
    add(
        "segments.min_frame.cycles",
        flood.cycles_each(),
        "cycles a segment",
        Bar::None,
    );
    add(
        "segments.min_frame.dropped",
        Some(flood.dropped as f64),
        "of 500 at line rate",
        Bar::None,
    );
    add(
        "segments.min_frame.recovered",
        Some(f64::from(u8::from(flood.failure.is_none()))),
        "transfers of 1 after it",
        Bar::AtLeast(1.0),
    );
    bar.inc(1);

    let segments = |run: &Run| -> Vec<u64> {
        run.trace
            .iter()
            .filter(|e| e.kind == "segment")
            .map(|e| e.cycles)
            .collect()
    };
    add(
        "engine.cycles_per_event.data",
        median(segments(&receive)),
        "cycles, median",
        Bar::AtMost(90.0),
    );
    add(
        "engine.cycles_per_event.ack",
        median(segments(&send)),
        "cycles, median",
        Bar::AtMost(84.0),
    );
    let most = [&receive, &send, &both]
        .iter()
        .flat_map(|r| r.trace.iter().map(|e| e.cycles))
        .max();
    add(
        "engine.cycles_per_event.most",
        cycles(most),
        "cycles",
        Bar::AtMost(170.0),
    );

    let seconds: f64 = [&receive, &send, &both]
        .iter()
        .map(|r| r.done.seconds)
        .sum();
    let total: u64 = [&receive, &send, &both].iter().map(|r| r.done.cycles).sum();
    let speed = match backend {
        Backend::Rust => Bar::AtLeast(10_000.0),
        Backend::Verilog | Backend::Cxxrtl | Backend::Verilator => Bar::AtLeast(500_000.0),
        Backend::Lockstep => Bar::None,
    };
    add(
        "sim.cycles_per_second",
        Some(total as f64 / seconds),
        "cycles/s",
        speed,
    );

    let of_segments = |run: &Run| waits(run.trace.iter().filter(|e| e.kind == "segment"));
    let longest = [&receive, &send, &both]
        .into_iter()
        .flat_map(|r| &r.trace)
        .max_by_key(|e| e.cycles);
    let machine = backend.machine_name()?;
    for row in &mut rows[start..] {
        row.cause = match row.name.as_str() {
            "goodput.receive" => Some(lost(&receive, false)),
            "goodput.send" => Some(lost(&send, true)),
            "goodput.both.receive" => Some(lost(&both, false)),
            "goodput.both.send" => Some(lost(&both, true)),
            "latency.syn" => parts[0].clone(),
            "latency.ack" => parts[1].clone(),
            "latency.echo" => parts[2].clone(),
            "segments.min_frame.recovered" => flood.failure.clone(),
            "engine.cycles_per_event.data" => Some(of_segments(&receive)),
            "engine.cycles_per_event.ack" => Some(of_segments(&send)),
            "engine.cycles_per_event.most" => longest.map(|e| {
                let (kind, n) = (e.kind, e.instructions);
                format!("a {kind} event of {n} instructions: {}", e.path.join(" → "))
            }),
            "sim.cycles_per_second" => Some(match backend {
                Backend::Rust => format!("run by {machine}, which settle each cycle in passes, a virtual call for each block in each pass"),
                _ => format!("run by {machine}, on one core, with a call for each pin and the engine's trace in every cycle"),
            }),
            _ => None,
        };
    }
    Ok(())
}

fn area(rows: &mut Vec<Row>) -> Result<()> {
    let board = synth::BOARDS[0];
    let out = std::path::Path::new("out/synth").join(board);
    let report = synth::run(board, &[], &out)?;
    let mut add = |n: &str, v: f64, unit, b| rows.push(row(n, board, Some(v), unit, b));
    add(
        "area.cells",
        report.cells as f64,
        "logic cells",
        Bar::AtMost(7_000.0),
    );
    add(
        "area.block_rams",
        report.block_rams as f64,
        "block RAMs",
        Bar::AtMost(32.0),
    );
    for clock in &report.clocks {
        let name = format!("fmax.{}", clock.name);
        add(&name, clock.fmax_mhz, "MHz", Bar::AtLeast(clock.needed_mhz));
    }
    Ok(())
}

/// Measures on these back ends, and synthesises if asked to.
///
/// # Errors
/// When a run fails or a tool is missing.
pub fn run(backends: &[Backend], with_synthesis: bool) -> Result<Vec<Row>> {
    let bar = crate::demo::bar(
        5 * backends.len() as u64 + u64::from(with_synthesis),
        "bench",
    );
    let mut rows = vec![];
    for &backend in backends {
        measure(backend, &bar, &mut rows)?;
    }
    if with_synthesis {
        bar.set_message("synthesis");
        area(&mut rows)?;
    }
    bar.finish_and_clear();
    Ok(rows)
}

/// Breaks a text at blanks into lines of at most `width` characters, where its words let it.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        match lines.last_mut() {
            Some(last) if line == 0 || line + 1 + word.chars().count() <= width => {
                if line > 0 {
                    last.push(' ');
                }
                last.push_str(word);
            }
            _ => lines.push(word.into()),
        }
    }
    lines
}

/// Prints the table.
///
/// # Errors
/// When the standard output cannot be written.
pub fn print(rows: &[Row]) -> Result<()> {
    say!(
        "{:<32} {:>12}  {:<20} {:>9}  {:<4} back end",
        "figure",
        "value",
        "unit",
        "bar",
        "met"
    )?;
    for r in rows {
        let value = match r.value {
            None => "–".into(),
            Some(v) if v >= 1000.0 => crate::report::grouped(v as u64),
            Some(v) if v.fract() == 0.0 => format!("{v}"),
            Some(v) => format!("{v:.3}"),
        };
        say!(
            "{:<32} {value:>12}  {:<20} {:>9}  {:<4} {}",
            r.name,
            r.unit,
            r.bar,
            if r.met { "yes" } else { "NO" },
            r.backend
        )?;
        if let Some(cause) = r.cause.as_ref().filter(|_| !r.met) {
            for line in wrapped(&format!("not met: {cause}"), 100) {
                say!("    {line}")?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_met_at_their_edge_and_not_by_what_was_not_measured() {
        assert!(row("x", "rust", Some(0.999), "", Bar::AtLeast(0.999)).met);
        assert!(!row("x", "rust", Some(0.998), "", Bar::AtLeast(0.999)).met);
        assert!(row("x", "rust", Some(160.0), "", Bar::AtMost(160.0)).met);
        assert!(!row("x", "rust", Some(161.0), "", Bar::AtMost(160.0)).met);
        assert!(!row("x", "rust", None, "", Bar::AtMost(160.0)).met);
    }

    #[test]
    fn long_lines_are_broken_at_blanks() {
        assert_eq!(
            wrapped("aa bb ccc dddddd e", 5),
            ["aa bb", "ccc", "dddddd", "e"]
        );
        assert_eq!(wrapped("→→ →→", 5), ["→→ →→"]);
    }

    #[test]
    fn a_flood_of_shortest_segments_is_accounted_for_and_got_over() {
        let found = shortest(&ToeConfig::default(), Backend::Rust).unwrap();
        assert_eq!(found.failure, None);
        // Preamble, 60 bytes, FCS, gap: without a pause.
        assert_eq!(found.cycles, FLOOD as u64 * (8 + 60 + 4 + 12));
        assert!(found.handled > 0 && found.handled as u64 + found.dropped <= FLOOD as u64 + 1);
        // What is left was in the queue when the last one came.
        assert!(FLOOD as u64 - found.handled as u64 - found.dropped < 64);
    }

    #[test]
    fn a_row_s_json_keeps_its_contract() {
        let json = serde_json::to_value(row("x", "rust", Some(2.0), "cycles", Bar::AtMost(1.0)));
        let want = serde_json::json!({
            "name": "x", "value": 2.0, "unit": "cycles", "bar": "≤ 1", "met": false, "backend": "rust", "cause": null,
        });
        assert_eq!(json.unwrap(), want);
    }
}
