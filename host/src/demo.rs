//! The main job: a file through the simulated engine to a TCP peer and back.
use std::cell::Cell;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{bail, Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sha2::{Digest, Sha256};
use toe_hdl::config::{Owner, ToeConfig};
use toe_sim::gmii::GmiiPort;
use toe_sim::link::{Link, Medium};
use toe_sim::pattern;
use toe_sim::peer::{Conversation, Peer, PeerConfig, TcpOptions};
use toe_sim::time::SimulatedTime;
use toe_sim::world::{Clock, World};

use crate::board::{self, Backend, SimulatedBoard};
use crate::capture::{self, Header, OnTheLine, Recording};
use crate::output::{self, Output};
use crate::report::{self, grouped, Counter, Page, StateWord, Traffic};
use crate::trace::{self, Event};

/// Simulated cycles in a tick. A board has 50,000 to 125,000; a simulation that waits for a timer would wait for ever, so its milliseconds are
/// shorter. No result depends on it but the length of pauses.
pub const CYCLES_PER_TICK: u64 = 1_000;
/// Cycles in a simulated second.
pub const HZ: u64 = CYCLES_PER_TICK * 1_000;

/// What the demo found. The fields are the contract of `--json`.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub bytes: usize,
    pub cycles: u64,
    pub identical: bool,
    pub goodput: Goodput,
    pub latency_cycles: Latency,
    pub cycles_per_second: f64,
    pub backend: String,
    /// What ran on that back end, with its version.
    pub machine: String,
    pub files: Vec<PathBuf>,
    pub sha256: String,
}

/// Shares of the line's limit.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Goodput {
    pub send: Option<f64>,
    pub receive: Option<f64>,
}

/// From the last byte of a segment to the first byte of its answer.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Latency {
    pub syn: Option<u64>,
    /// The median of several alignments.
    pub ack: Option<u64>,
    /// The longest of these.
    pub ack_most: Option<u64>,
    pub echo: Option<u64>,
}

/// A peer for the engine: fast to acknowledge, with the largest window that needs no scaling. Its send buffer holds whole segments: smoltcp ends a segment
/// where its buffer's end comes.
pub fn options() -> TcpOptions {
    TcpOptions {
        ack_delay: None,
        send_buffer: 44 * 1460,
        ..TcpOptions::default()
    }
}

/// The address of a peer on the engine's network.
pub fn peer_ip(config: &ToeConfig) -> Ipv4Addr {
    let [a, b, c, d] = config.ip;
    Ipv4Addr::new(a, b, c, if d == 100 { 101 } else { 100 })
}

/// A peer on the engine's network.
pub fn peer(config: &ToeConfig, seed: u64) -> Peer {
    peer_with_mtu(config, seed, PeerConfig::default().mtu)
}

/// The same, with packets no longer than `mtu`.
pub fn peer_with_mtu(config: &ToeConfig, seed: u64, mtu: usize) -> Peer {
    Peer::new(&PeerConfig {
        medium: Medium::Ethernet,
        ip: peer_ip(config),
        seed,
        mtu,
        ..PeerConfig::default()
    })
}

/// A finished exchange.
pub struct Exchange {
    pub line: Vec<OnTheLine>,
    pub cycles: u64,
    pub seconds: f64,
    pub received: Vec<u8>,
    pub counters: Vec<Counter>,
    pub events: u64,
    /// What the engine's trace shows of the first connection's words that are plotted.
    pub words: Vec<StateWord>,
}

/// One conversation over a clean line, start to end.
///
/// # Errors
/// When it does not end well within the cycles that its size allows.
pub fn exchange(
    config: &ToeConfig,
    board: SimulatedBoard,
    talk: Conversation,
    bar: &ProgressBar,
) -> Result<(Exchange, SimulatedBoard)> {
    exchange_over(config, board, talk, bar, |peer| peer, |peer| peer)
}

/// The same over what `wrap` makes of the peer.
///
/// # Errors
/// As [`exchange`].
pub fn exchange_over<L: Link>(
    config: &ToeConfig,
    board: SimulatedBoard,
    talk: Conversation,
    bar: &ProgressBar,
    wrap: impl FnOnce(Peer) -> L,
    peer_in: impl Fn(&L) -> &Peer,
) -> Result<(Exchange, SimulatedBoard)> {
    let mut peer = peer(config, 1);
    let handle = peer.add(talk);
    let (mut done, board, link) = converse(board, wrap(peer), &peer_in, |peer| {
        bar.set_position(peer.app(handle).received() as u64);
    })?;
    done.received = peer_in(&link).app(handle).received_bytes().to_vec();
    Ok((done, board))
}

/// All that the peer's apps have to say over a clean line, start to end; what they received stays with them.
///
/// # Errors
/// As [`exchange`].
pub fn converse<L: Link>(
    board: SimulatedBoard,
    link: L,
    peer_in: impl Fn(&L) -> &Peer,
    mut watch: impl FnMut(&Peer),
) -> Result<(Exchange, SimulatedBoard, L)> {
    let before = board.cycles();
    let start = Instant::now();
    let mut world = World::new(board, Recording::new(link), Clock::simulated(HZ));
    let mut failure = None;
    let limit = 400_000_000;
    world
        .run_until(limit, |_, link| {
            let peer = peer_in(&link.inner);
            watch(peer);
            match peer.finished() {
                Ok(done) => done,
                Err(e) => {
                    failure = Some(e);
                    true
                }
            }
        })
        .context("the exchange did not end")?;
    if let Some(e) = failure {
        return Err(e).context("the exchange failed");
    }
    let seconds = start.elapsed().as_secs_f64();
    let cycles = world.board.cycles() - before;
    // Let the last acknowledgement arrive.
    world.run(1_000).context("the exchange did not end")?;
    let mut board = world.board;
    let line = world.link.on_the_line(board.line().stamps());
    let counters = board.counters();
    let events = board.engine_trace().len() as u64;
    let words = trace::words(board.engine_trace(), report::is_plotted);
    let done = Exchange {
        line,
        cycles,
        seconds,
        received: vec![],
        counters,
        events,
        words,
    };
    Ok((done, board, world.link.inner))
}

/// A board on a clean line in simulated time.
///
/// # Errors
/// When the configuration is bad or a tool is missing.
pub fn fresh_board(config: &ToeConfig, backend: Backend) -> Result<SimulatedBoard> {
    let time = SimulatedTime::new(CYCLES_PER_TICK);
    SimulatedBoard::new(config, backend, GmiiPort::new(), time)
}

/// The port on which an application listens.
///
/// # Errors
/// When the configuration has none.
pub fn listener(config: &ToeConfig, owner: Owner) -> Result<u16> {
    let found = config.listeners.iter().find(|l| l.owner == owner);
    let app = format!("{owner:?}").to_lowercase();
    let usual = match owner {
        Owner::Discard => 9,
        Owner::Chargen => 19,
        _ => 7,
    };
    let taken = |port: &u16| config.listeners.iter().any(|l| l.port == *port);
    let none = || {
        let free = (usual..u16::MAX).find(|port| !taken(port)).unwrap_or(usual);
        crate::Refused(format!(
            "no port in `listeners` has the application {app}, which this needs; add one to the configuration, say {{ port = {free}, app = \"{app}\" }}"
        ))
    };
    Ok(found.ok_or_else(none)?.port)
}

/// The three latencies, each on an idle line of its own.
///
/// # Errors
/// When a conversation does not end, or there is no port for one.
pub fn latencies(config: &ToeConfig, backend: Backend) -> Result<Latency> {
    Ok(latencies_in_parts(config, backend)?.0)
}

/// Lengths of the second of two segments whose acknowledgement is timed: of them the median counts.
const SECOND: [usize; 5] = [1460, 1200, 900, 600, 300];

/// The same, each with what the engine did meanwhile (in the order of the fields).
///
/// # Errors
/// As [`latencies`].
pub fn latencies_in_parts(
    config: &ToeConfig,
    backend: Backend,
) -> Result<(Latency, [Option<String>; 3])> {
    let ip = Ipv4Addr::from(config.ip);
    let quiet = ProgressBar::hidden();
    let talk = Conversation::echo_client(ip, listener(config, Owner::Echo)?, vec![0x55])
        .with_options(options());
    let run = |talk| {
        let mut board = fresh_board(config, backend)?;
        board.trace_engine(config)?;
        exchange(config, board, talk, &quiet)
    };
    let (one, one_board) = run(talk)?;
    let port = listener(config, Owner::Discard)?;
    // Two segments: the first one's acknowledgement waits for the second, whose length says when it comes: between or beside the engine's other events.
    let mut acks = vec![];
    for second in SECOND {
        let talk = Conversation::source_client(ip, port, vec![0x55; 1460 + second])
            .with_options(options());
        let (full, board) = run(talk)?;
        let text = Cell::new(0);
        let second = |h: &Header| {
            text.set(text.get() + u32::from(h.length > 0));
            text.get() == 2
        };
        if let Some(span) = capture::span(&full.line, second, |h| h.ack.is_some()) {
            acks.push((span.1 - span.0, parts(span, board.engine_trace())));
        }
    }
    acks.sort();
    let ack = acks.get(acks.len() / 2).cloned();
    let spans = [
        capture::span(&one.line, |h| h.syn, |h| h.syn),
        capture::span(&one.line, |h| h.length > 0, |h| h.length > 0),
    ];
    let [syn, echo] = spans.map(|span| span.map(|(asked, answered)| answered - asked));
    let [syn_parts, echo_parts] =
        spans.map(|span| span.map(|span| parts(span, one_board.engine_trace())));
    let latency = Latency {
        syn,
        ack: ack.as_ref().map(|(cycles, _)| *cycles),
        ack_most: acks.last().map(|(cycles, _)| *cycles),
        echo,
    };
    Ok((
        latency,
        [syn_parts, ack.map(|(_, parts)| parts), echo_parts],
    ))
}

/// The engine's events between two cycles, counted from the first of them.
fn parts((asked, answered): (u64, u64), trace: &[Event]) -> String {
    let mut text = String::from("from the last byte in:");
    for e in (trace.iter()).filter(|e| (asked..answered).contains(&e.cycle)) {
        let (begin, end) = (e.cycle - asked, e.cycle + e.cycles - asked);
        text += &format!(
            " engine {begin} to {end} ({}, {} instructions),",
            e.kind, e.instructions
        );
    }
    text + &format!(" first byte out {}", answered - asked)
}

fn hex(data: &[u8]) -> String {
    Sha256::digest(data)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect()
}

/// A bar for a long job; invisible when nobody looks.
pub fn bar(length: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:14} {wide_bar} {percent:>3} % {eta:>4}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length)
        .with_style(style)
        .with_message(what)
}

/// Runs the demo.
///
/// # Errors
/// With exit code 2 for a file or folder that won't do, 1 when the exchange fails.
pub fn run(
    config: &ToeConfig,
    file: Option<&Path>,
    backend: Backend,
    out: &Path,
) -> Result<Outcome> {
    crate::settings::check_gmii(config)?;
    let echo = listener(config, Owner::Echo)?;
    let data = match file {
        None => pattern::bytes(65_536, 0),
        Some(path) => fs::read(path)
            .map_err(|e| crate::Refused(format!("cannot read {}: {e}", path.display())))?,
    };
    if data.is_empty() {
        bail!(crate::Refused(format!(
            "{} is empty: there is nothing to send; give a file of at least one byte",
            file.unwrap_or(Path::new("the file")).display()
        )));
    }
    output::folder(out)?;
    let files = ["toe.v", "demo.pcap", "demo.html"]
        .map(|f| out.join(f))
        .to_vec();
    let [verilog, pcap, html] = [0, 1, 2].map(|i| Output::new(&files[i]));
    let (verilog, pcap, html) = (verilog?, pcap?, html?);
    let machine = backend.machine_name()?;
    let latency_cycles = latencies(config, backend)?;
    let mut board = fresh_board(config, backend)?;
    board.trace_engine(config)?;
    let progress = bar(data.len() as u64, "echo");
    let talk = Conversation::echo_client(Ipv4Addr::from(config.ip), echo, data.clone())
        .with_options(options())
        .keeping();
    let (done, _) = exchange(config, board, talk, &progress)?;
    progress.finish_and_clear();

    let identical = hex(&data) == hex(&done.received);
    let goodput = Goodput {
        send: capture::goodput(&done.line, true),
        receive: capture::goodput(&done.line, false),
    };
    verilog.write(board::verilog(config)?)?;
    capture::write_pcap(&done.line, HZ, pcap.writer()?).with_context(|| pcap.wrong())?;
    pcap.commit()?;
    let outcome = Outcome {
        bytes: data.len(),
        cycles: done.cycles,
        identical,
        goodput,
        latency_cycles,
        cycles_per_second: done.cycles as f64 / done.seconds,
        backend: backend.to_string(),
        machine,
        files,
        sha256: hex(&done.received),
    };
    html.write(report::html(&page(&done, &outcome)))?;
    Ok(outcome)
}

fn percent(share: Option<f64>) -> String {
    share.map_or("too short to measure".into(), |s| {
        format!("{:.1} % of the line's limit", s * 100.0)
    })
}

fn cycles(n: Option<u64>) -> String {
    n.map_or("–".into(), |n| format!("{n} cycles"))
}

impl Outcome {
    /// What the demo prints and the page heads with.
    pub fn facts(&self) -> Vec<(String, String)> {
        [
            ("Bytes there and back", grouped(self.bytes as u64)),
            (
                "Identical (SHA-256)",
                if self.identical { "yes" } else { "NO" }.into(),
            ),
            ("Clock cycles", grouped(self.cycles)),
            ("Goodput, engine sends", percent(self.goodput.send)),
            ("Goodput, engine receives", percent(self.goodput.receive)),
            ("SYN → SYN-ACK", cycles(self.latency_cycles.syn)),
            ("Data → ACK", cycles(self.latency_cycles.ack)),
            ("One byte → its echo", cycles(self.latency_cycles.echo)),
            (
                "Simulation",
                format!(
                    "{} cycles/s on the {} back end ({})",
                    grouped(self.cycles_per_second as u64),
                    self.backend,
                    self.machine
                ),
            ),
        ]
        .map(|(a, b)| (a.to_string(), b))
        .to_vec()
    }
}

fn page(done: &Exchange, outcome: &Outcome) -> Page {
    let value = |name: &str| {
        done.counters
            .iter()
            .find(|c| c.name == name)
            .map_or(0, |c| c.value)
    };
    let bytes = |outward: bool| {
        done.line
            .iter()
            .filter(|f| f.outward() == outward)
            .filter_map(|f| f.segment)
            .map(|h| u64::from(h.length))
            .sum()
    };
    Page {
        title: "A file through the engine".into(),
        facts: outcome.facts(),
        segments: capture::segments(&done.line),
        cycles: done.line.iter().map(|f| f.stamp.last).max().unwrap_or(0),
        counters: done.counters.clone(),
        unit: None,
        part: None,
        words: done.words.clone(),
        traffic: Some(Traffic {
            frames_in: value("FrameIn"),
            frames_out: value("FrameOut"),
            segments_in: value("TcpIn"),
            segments_out: done
                .line
                .iter()
                .filter(|f| f.outward() && f.segment.is_some())
                .count() as u64,
            bytes_in: bytes(false),
            bytes_out: bytes(true),
            events: done.events,
            arp: value("ArpIn"),
            icmp: value("IcmpIn"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use toe_hdl::config::Listener;

    #[test]
    fn the_port_that_is_proposed_is_free() {
        let mut config = ToeConfig {
            listeners: vec![Listener::new(9, Owner::Echo)],
            ..ToeConfig::default()
        };
        let told = listener(&config, Owner::Discard).unwrap_err().to_string();
        assert!(told.contains("{ port = 10, app = \"discard\" }"), "{told}");
        config.listeners.push(Listener::new(10, Owner::Discard));
        assert_eq!(listener(&config, Owner::Discard).expect("it is there"), 10);
    }
}
