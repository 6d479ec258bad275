//! Every figure, beside its bar.
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::Result;
use indicatif::ProgressBar;
use serde::Serialize;
use toe_hdl::config::{Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_sim::fault::{FaultInjector, Faults};
use toe_sim::link::{Frame, Instant, Link, Medium};
use toe_sim::peer::{Conversation, Peer};

use crate::board::Backend;
use crate::capture::{self, OnTheLine};
use crate::connections::{self, Connections, Size};
use crate::demo::{
    converse, exchange_over, fresh_board, latencies_in_parts, listener, options, peer_with_mtu,
    Exchange, HZ,
};
use crate::trace::Event;
use crate::{loss, say, synth};

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

/// Segments that found the record queue full, in a whole run.
fn dropped(done: &Exchange) -> u64 {
    (done.counters.iter())
        .filter(|c| c.name == Cause::RecordQueueFull.name())
        .map(|c| c.value)
        .sum()
}

/// Where a direction of the line went between its first and its last data frame.
fn lost(run: &Run, outward: bool) -> String {
    match capture::line_use(&run.done.line, outward) {
        None => "no data was seen".into(),
        Some(u) => format!(
            "{} data frames of {} bytes in {} cycles; {} ACKs alone; idle beyond the gap {} cycles, at most {} in a row; {} segments found no room",
            u.data, u.bytes, u.cycles, u.alone, u.idle, u.longest, dropped(&run.done)
        ),
    }
}

fn median(mut values: Vec<u64>) -> Option<f64> {
    values.sort_unstable();
    values.get(values.len() / 2).map(|v| *v as f64)
}

/// Full segments moved in each of the goodput runs; enough for the first round trip not to matter.
fn segments(backend: Backend) -> usize {
    match backend {
        Backend::Rust => 260,
        _ => 720,
    }
}

/// Full segments of each of four connections. Their goodput is told, not held to the bar of one: what four lose as they begin is in it.
fn segments_of_four(backend: Backend) -> usize {
    match backend {
        Backend::Rust => 33,
        _ => 360,
    }
}

/// Segments of each other size.
fn segments_of_other_sizes(backend: Backend) -> usize {
    match backend {
        Backend::Rust => 40,
        _ => 120,
    }
}

/// Other sizes of segments. A segment of 64 bytes is on the line for 142 cycles: less than its event and its application's take together.
const SIZES: [(usize, Bar); 4] = [
    (64, Bar::None),
    (256, Bar::AtLeast(0.999)),
    (536, Bar::AtLeast(0.999)),
    (1024, Bar::AtLeast(0.999)),
];

/// Which way the data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Receive,
    Send,
    Both,
}

impl Flow {
    const ALL: [(Self, &'static str); 3] = [
        (Self::Receive, "receive"),
        (Self::Send, "send"),
        (Self::Both, "both"),
    ];

    /// A conversation of `bytes` that way. The peer closes only when all is through, so that Nagle's algorithm is at work to the end: with a FIN to send smoltcp
    /// makes a segment of every odd rest of the window.
    fn talk(self, config: &ToeConfig, bytes: usize) -> Result<Conversation> {
        let ip = Ipv4Addr::from(config.ip);
        let data = || vec![0xA5; bytes];
        let talk = match self {
            Self::Receive => {
                Conversation::source_client(ip, listener(config, Owner::Discard)?, data())
                    .closing_when_acknowledged()
            }
            Self::Send => Conversation::sink_client(ip, listener(config, Owner::Chargen)?, bytes),
            Self::Both => Conversation::echo_client(ip, listener(config, Owner::Echo)?, data())
                .closing_after(bytes),
        };
        Ok(talk.with_options(options()))
    }

    /// The directions that it fills, by their names.
    fn ways(self) -> &'static [(&'static str, bool)] {
        match self {
            Self::Receive => &[("receive", false)],
            Self::Send => &[("send", true)],
            Self::Both => &[("both.receive", false), ("both.send", true)],
        }
    }
}

struct Run {
    done: Exchange,
    trace: Vec<Event>,
}

/// `connections` conversations at once, of `each` segments of `size` bytes.
fn flow(
    config: &ToeConfig,
    backend: Backend,
    flow: Flow,
    connections: usize,
    each: usize,
    size: usize,
) -> Result<Run> {
    let mut board = fresh_board(config, backend)?;
    board.trace_engine(config)?;
    let mut peer = peer_with_mtu(config, 1, size + 40);
    for _ in 0..connections {
        // smoltcp ends a segment where its buffer's end comes.
        let mut options = options();
        options.send_buffer -= options.send_buffer % size;
        peer.add(flow.talk(config, each * size)?.with_options(options));
    }
    let (done, board, _) = converse(board, peer, |peer| peer, |_| {})?;
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
    let dropped = dropped(&done);
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
    let start = rows.len();
    let mut causes = HashMap::new();
    let mut add = |n: &str, v: Option<f64>, unit, b| rows.push(row(n, &name, v, unit, b));
    let share = Bar::AtLeast(0.999);
    const OF_THE_LIMIT: &str = "of the line's limit";

    let mut runs = vec![];
    for (way, what) in Flow::ALL {
        bar.set_message(format!("{name}: {what}"));
        runs.push(flow(&config, backend, way, 1, segments(backend), 1460)?);
        bar.inc(1);
    }
    let Ok([receive, send, both]) = <[Run; 3]>::try_from(runs) else {
        anyhow::bail!("a direction was not measured");
    };
    for ((way, _), run) in Flow::ALL.iter().zip([&receive, &send, &both]) {
        for &(what, outward) in way.ways() {
            let used = capture::line_use(&run.done.line, outward);
            let key = format!("goodput.{what}");
            add(&key, used.map(|u| u.goodput(1460)), OF_THE_LIMIT, share);
            causes.insert(key, lost(run, outward));
            add(
                &format!("line.idle.{what}"),
                used.map(|u| u.idle_share()),
                "of the cycles",
                Bar::AtMost(0.001),
            );
            add(
                &format!("line.acks_alone.{what}"),
                used.map(|u| u.alone as f64),
                "frames beside the data",
                Bar::None,
            );
        }
    }
    for (way, what) in Flow::ALL {
        bar.set_message(format!("{name}: {what}, 4 at once"));
        // Four begin: chargen writes as fast as the line sends, so that what it writes first leaves in odd pieces (Nagle) until the rings have filled.
        let each = segments_of_four(backend);
        let run = flow(&config, backend, way, 4, each, 1460)?;
        for &(what, outward) in way.ways() {
            let key = format!("goodput.{what}.4");
            let value = capture::line_use(&run.done.line, outward).map(|u| u.goodput(1460));
            add(&key, value, "of the limit, 4 at once", Bar::None);
            causes.insert(key, lost(&run, outward));
        }
        bar.inc(1);
    }
    for (size, held_to) in SIZES {
        // Both at once is what 1460 bytes show: here it is the engine's events that count.
        for (way, what) in &Flow::ALL[..2] {
            bar.set_message(format!("{name}: {what}, {size} bytes"));
            let each = segments_of_other_sizes(backend);
            let run = flow(&config, backend, *way, 1, each, size)?;
            for &(what, outward) in way.ways() {
                let key = format!("goodput.{what}.{size}");
                let used = capture::line_use(&run.done.line, outward);
                let value = used.map(|u| u.goodput(size as u64));
                add(&key, value, "of their line's limit", held_to);
                causes.insert(key, lost(&run, outward));
            }
        }
        bar.inc(1);
    }

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
        "latency.ack.most",
        cycles(latency.ack_most),
        "cycles, an event in between",
        Bar::None,
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

    // Of a segment's events, those that took a sample of the round-trip time apart.
    let of_a_segment = |run: &Run, sample: bool| -> Vec<u64> {
        let takes = |e: &&Event| e.path.iter().any(|at| at == "sample") == sample;
        (run.trace.iter())
            .filter(|e| e.kind == "segment")
            .filter(takes)
            .map(|e| e.cycles)
            .collect()
    };
    for (key, cycles, most) in [
        ("data", of_a_segment(&receive, false), 90.0),
        ("ack", of_a_segment(&send, false), 84.0),
        ("ack_with_sample", of_a_segment(&send, true), 170.0),
    ] {
        let key = format!("engine.cycles_per_event.{key}");
        causes.insert(key.clone(), format!("in {} events", cycles.len()));
        add(&key, median(cycles), "cycles, median", Bar::AtMost(most));
    }
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

    let longest = [&receive, &send, &both]
        .into_iter()
        .flat_map(|r| &r.trace)
        .max_by_key(|e| e.cycles);
    let machine = backend.machine_name()?;
    for row in &mut rows[start..] {
        row.cause = match row.name.as_str() {
            "latency.syn" => parts[0].clone(),
            "latency.ack" => parts[1].clone(),
            "latency.echo" => parts[2].clone(),
            "segments.min_frame.recovered" => flood.failure.clone(),
            "engine.cycles_per_event.most" => longest.map(|e| {
                let (kind, n) = (e.kind, e.instructions);
                format!("a {kind} event of {n} instructions: {}", e.path.join(" → "))
            }),
            "sim.cycles_per_second" => Some(match backend {
                Backend::Rust => format!("run by {machine}, which settle each cycle in passes, a virtual call for each block in each pass"),
                _ => format!("run by {machine}, on one core, with a call for each pin and the engine's trace in every cycle"),
            }),
            key => causes.remove(key),
        };
    }
    Ok(())
}

/// Cells, block RAMs and clock of each board, built now or taken from what `toe synth` left, if that is of this very design.
fn area(rows: &mut Vec<Row>, build: bool) -> Result<()> {
    for board in synth::BOARDS {
        let out = Path::new("out/synth").join(board);
        let report = match build {
            true => Some(synth::run(board, None, &[], false, &out)?),
            false => synth::kept(board, &out)?,
        };
        let mut add = |n: &str, v: Option<f64>, unit, b, cause: String| {
            let mut row = row(n, board, v, unit, b);
            row.cause = Some(match v {
                Some(_) => cause,
                None => format!("not measured: run make synth ARGS=\"--board {board}\""),
            });
            rows.push(row);
        };
        let at_most = |most: Option<u64>| most.map_or(Bar::None, |m| Bar::AtMost(m as f64));
        let budget = synth::budget(board);
        let costs = "docs/area.md tells what each part costs";
        for (name, value, unit, most) in [
            (
                "area.cells",
                report.as_ref().map(|r| r.cells),
                "logic cells",
                budget.map(|b| b.0),
            ),
            (
                "area.block_rams",
                report.as_ref().map(|r| r.block_rams),
                "block RAMs",
                budget.map(|b| b.1),
            ),
        ] {
            add(
                name,
                value.map(|v| v as f64),
                unit,
                at_most(most),
                costs.into(),
            );
        }
        let Some(report) = report else {
            let needed = Bar::AtLeast(synth::needed_mhz(board)?);
            add("fmax", None, "MHz", needed, String::new());
            continue;
        };
        for clock in &report.clocks {
            let name = format!("fmax.{}", clock.name);
            let seeds: Vec<_> = (report.seeds.iter())
                .map(|s| format!("{:.1}", s.fmax_mhz))
                .collect();
            let cause = format!(
                "placement seeds reach {} MHz; docs/area.md tells what limits the clock",
                seeds.join(", ")
            );
            add(
                &name,
                Some(clock.fmax_mhz),
                "MHz",
                Bar::AtLeast(clock.needed_mhz),
                cause,
            );
        }
    }
    Ok(())
}

/// LUTs that twice the connections may cost: a bit more in each number of a connection, of which the whole engine has some dozens.
const DOUBLING: f64 = 150.0;

/// What one more connection costs, from what `toe bench --connections` left, if that is of this very design.
fn one_more(rows: &mut Vec<Row>) -> Result<()> {
    let kept = std::fs::read(Path::new(connections::OUT).join("connections.json"));
    let mut found = None;
    if let Ok(text) = kept {
        if let Ok(of) = serde_json::from_slice::<Connections>(&text) {
            let sizes: Vec<_> = of.sizes.iter().map(|s| s.connections).collect();
            if connections::digest(&sizes)? == of.verilog_sha256 {
                found = Some(of);
            }
        }
    }
    rows.extend(rows_of_one_more(found.as_ref()));
    Ok(())
}

fn rows_of_one_more(found: Option<&Connections>) -> Vec<Row> {
    let ends = found.and_then(|of| {
        let (first, last) = (of.sizes.first()?, of.sizes.last()?);
        (first.connections < last.connections).then_some((first, last, of))
    });
    let costs = ends.and_then(|(first, last, of)| Some((first, first.cost?, last, last.cost?, of)));
    let doublings = |a: &Size, b: &Size| (b.connections as f64 / a.connections as f64).log2();
    let luts =
        costs.map(|(a, from, b, to, _)| (to.luts as f64 - from.luts as f64) / doublings(a, b));
    let bits = costs.map(|(a, from, b, to, of)| {
        let more = (b.connections - a.connections) as f64;
        (to.memory_bits as f64 - from.memory_bits as f64) / more - 16.0 * of.ring_bytes as f64
    });
    // Of all sizes, with all connections open.
    let most = |of: fn(&Size) -> u64| {
        let all = found.map(|f| f.sizes.iter().map(of).max().unwrap_or(0));
        all.map(|cycles| cycles as f64)
    };
    let held = Bar::AtMost(160.0);
    let name = found.map_or("", |of| &of.backend);
    let missing = "not measured: run make bench ARGS=\"--connections\"";
    [
        (
            "connections.luts",
            luts,
            "LUTs, twice as many",
            Bar::AtMost(DOUBLING),
        ),
        ("connections.bits", bits, "bits beside its rings", Bar::None),
        (
            "connections.latency.syn",
            most(|s| s.syn),
            "cycles, all open",
            held,
        ),
        (
            "connections.latency.ack",
            most(|s| s.ack),
            "cycles, all open",
            held,
        ),
    ]
    .map(|(n, value, unit, bar)| {
        let mut row = row(n, name, value, unit, bar);
        row.cause = Some(match value {
            None => missing.into(),
            Some(_) => "docs/connections.md tells what grows with the number of connections".into(),
        });
        row
    })
    .into()
}

/// Losses of frames in per cent, each way.
const LOSSES: [u32; 3] = [1, 3, 10];
/// Transfers with each, of so many full segments; the median counts.
const LOSSY: (u64, usize) = (5, 45);

/// Share of the line's limit that the engine's data have on a line that loses frames, from the peer's first call until it has them all; and the times that a timer sent again.
fn lossy(config: &ToeConfig, backend: Backend, percent: u32, seed: u64) -> Result<(f64, u64)> {
    let board = fresh_board(config, backend)?;
    let mut peer = peer_with_mtu(config, seed as u32 as u64, 1500);
    let bytes = LOSSY.1 * 1460;
    let handle = peer.add(Flow::Send.talk(config, bytes)?);
    let loss = || Faults::loss(f64::from(percent) / 100.0);
    let link = FaultInjector::new(peer, seed, loss(), loss());
    let (done, _, link) = converse(board, link, |link| link.inner(), |_| {})?;
    let all = link.inner().app(handle).times().done;
    let cycles = all.map_or(done.cycles, |at| at.total_micros() as u64 * HZ / 1_000_000);
    let expired = (done.counters.iter())
        .find(|c| c.name == Cause::RtoExpired.name())
        .map_or(0, |c| c.value);
    Ok((bytes as f64 * 1538.0 / 1460.0 / cycles as f64, expired))
}

/// The goodput under loss at the full rate, which no kernel keeps up with here: told. What is held to Linux are the rows of [`kept_loss`].
fn under_loss(config: &ToeConfig, backend: Backend, rows: &mut Vec<Row>) -> Result<()> {
    for percent in LOSSES {
        let mut values = vec![];
        let mut expired = 0;
        for seed in 1..=LOSSY.0 {
            let (value, timers) = lossy(config, backend, percent, seed)?;
            values.push(value);
            expired += timers;
        }
        values.sort_by(f64::total_cmp);
        let value = values.get(values.len() / 2).copied();
        let name = format!("goodput.loss.{percent}");
        let backend = backend.to_string();
        let mut row = row(&name, &backend, value, "of the line's limit", Bar::None);
        row.cause = Some(format!(
            "{expired} timers expired in {} transfers of {} KiB, which reached {:.3} to {:.3}; beside Linux: the rows loss.…",
            LOSSY.0,
            LOSSY.1 * 1460 / 1024,
            values.first().copied().unwrap_or(0.0),
            values.last().copied().unwrap_or(0.0),
        ));
        rows.push(row);
    }
    Ok(())
}

/// Loss in per cent of the rows of `toe bench --loss` that stand among all others.
const BESIDE_LINUX: [&str; 3] = ["1", "3", "10"];

/// The engine beside Linux under loss, from what `toe bench --loss` left, if that is of the program as it is.
fn kept_loss(rows: &mut Vec<Row>) {
    let kept = std::fs::read(Path::new(loss::OUT).join("loss.json"));
    let found = kept
        .ok()
        .and_then(|text| serde_json::from_slice::<loss::Found>(&text).ok());
    let found = found.filter(|found| found.program_sha256 == loss::digest());
    rows.extend(rows_beside_linux(found.as_ref()));
}

fn rows_beside_linux(found: Option<&loss::Found>) -> Vec<Row> {
    let kept = found.map(loss::rows).unwrap_or_default();
    let wanted = BESIDE_LINUX.iter().flat_map(|loss| {
        let flows = loss::Flow::ALL.iter();
        flows.map(move |flow| format!("loss.{loss}.{}", flow.name()))
    });
    wanted
        .map(|name| match kept.iter().find(|row| row.name == name) {
            Some(row) => row.clone(),
            None => {
                let none = Bar::AtLeast(1.0);
                let mut row = row(&name, "model", None, "of Linux to Linux", none);
                row.cause = Some("not measured: run make bench ARGS=\"--loss\"".into());
                row
            }
        })
        .collect()
}

/// Measures on these back ends, and synthesises if asked to; else what `toe synth` left stands for it.
///
/// # Errors
/// When a run fails or a tool is missing.
pub fn run(backends: &[Backend], with_synthesis: bool) -> Result<Vec<Row>> {
    let bar = crate::demo::bar(
        (8 + SIZES.len() as u64) * backends.len() as u64 + u64::from(with_synthesis),
        "bench",
    );
    let mut rows = vec![];
    for &backend in backends {
        measure(backend, &bar, &mut rows)?;
    }
    if let Some(&backend) = backends.iter().find(|b| b.is_compiled()) {
        bar.set_message(format!("{backend}: loss"));
        under_loss(&ToeConfig::default(), backend, &mut rows)?;
    }
    bar.set_message("synthesis");
    area(&mut rows, with_synthesis)?;
    one_more(&mut rows)?;
    kept_loss(&mut rows);
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
        "{:<37} {:>12}  {:<20} {:>9}  {:<4} back end",
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
            "{:<37} {value:>12}  {:<20} {:>9}  {:<4} {}",
            r.name,
            r.unit,
            r.bar,
            match (r.value, r.met) {
                (None, _) => "–",
                (_, true) => "yes",
                (_, false) => "NO",
            },
            r.backend
        )?;
        if let Some(cause) = r.cause.as_ref().filter(|_| !r.met) {
            let cause = match r.value {
                None => cause.clone(),
                Some(_) => format!("not met: {cause}"),
            };
            for line in wrapped(&cause, 100) {
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

    /// Every number that the design is held to has a row, measured or not.
    #[test]
    fn what_is_not_measured_has_a_row_that_says_so() {
        let mut rows = rows_of_one_more(None);
        // The tests run in a folder without `out`.
        area(&mut rows, false).unwrap();
        kept_loss(&mut rows);
        for name in [
            "loss.1.send",
            "loss.10.both",
            "connections.luts",
            "connections.latency.syn",
            "area.cells",
            "area.block_rams",
            "fmax",
        ] {
            let row = rows.iter().find(|r| r.name == name).expect(name);
            assert!(!row.met && row.value.is_none(), "{row:?}");
            let cause = row.cause.as_deref().unwrap_or_default();
            assert!(cause.starts_with("not measured: run make "), "{row:?}");
        }
        let bar = |board: &str, name: &str| {
            let row = rows.iter().find(|r| r.backend == board && r.name == name);
            row.expect(name).bar.clone()
        };
        assert_eq!(bar("ecp5-25f", "fmax"), "≥ 125");
        assert_eq!(bar("alchitry-cu", "fmax"), "≥ 50");
        assert_eq!(bar("alchitry-cu", "area.cells"), "≤ 7000");
    }

    #[test]
    fn what_was_found_beside_linux_is_told_and_judged() {
        let sample = |goodput| loss::Sample {
            seed: 1,
            goodput: Some(goodput),
            seconds: 1.0,
            data: 10,
            again: 1,
            flight: 0,
            window: 0,
            timers: Some(1),
            late: 0.0,
            failure: None,
        };
        let of = |name: &str, engine, linux| loss::Row {
            name: name.into(),
            what: String::new(),
            flow: "send".into(),
            bytes: 1,
            limit: 1.0,
            near: "model".into(),
            engine: vec![sample(engine)],
            linux: vec![sample(linux)],
        };
        let found = loss::Found {
            rows: vec![
                of("loss.1.send", 9e6, 9e6),
                of("loss.3.both", 1e6, 4e6),
                of("loss.x4.send", 1e6, 4e6),
            ],
            seeds: 1,
            kernel: String::new(),
            congestion: String::new(),
            program_sha256: String::new(),
        };
        let rows = rows_beside_linux(Some(&found));
        assert_eq!(rows.len(), 9);
        let of = |name: &str| {
            rows.iter()
                .find(|r| r.name == name)
                .map(|r| (r.value, r.met))
        };
        assert_eq!(of("loss.1.send"), Some((Some(1.0), true)));
        assert_eq!(of("loss.3.both"), Some((Some(0.25), false)));
        assert_eq!(of("loss.10.send"), Some((None, false)));
        assert_eq!(of("loss.x4.send"), None);
    }

    #[test]
    fn one_more_connection_is_what_the_ends_differ_by() {
        let size = |connections, luts, memory_bits, ack| Size {
            connections,
            cost: Some(toe_bsp::flow::Cost {
                luts,
                registers: 0,
                block_rams: 0,
                memory_bits,
            }),
            syn: 100,
            ack,
            echo: 0,
            syn_event: 0,
            data_event: 0,
            ack_event: 0,
            longest_event: 0,
            cycles_per_second: 0.0,
            seconds_to_build: 0.0,
        };
        let of = |luts, ack| Connections {
            sizes: vec![
                size(4, 7000, 100_000, 149),
                size(64, luts, 100_000 + 60 * 8_000, ack),
            ],
            ring_bytes: 256,
            backend: "verilog".into(),
            verilog_sha256: String::new(),
        };
        let rows = |luts, ack| -> Vec<_> {
            let rows = rows_of_one_more(Some(&of(luts, ack)));
            rows.iter().map(|r| (r.value, r.met)).collect()
        };
        let bits = (Some(8_000.0 - 4_096.0), true);
        let syn = (Some(100.0), true);
        let met = [(Some(100.0), true), bits, syn, (Some(160.0), true)];
        assert_eq!(rows(7400, 160), met);
        let unmet = [(Some(151.0), false), bits, syn, (Some(161.0), false)];
        assert_eq!(rows(7604, 161), unmet);
    }
}
