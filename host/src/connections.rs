//! What one more connection costs on the whole engine: LUTs, memory and cycles for several numbers of connections, as a table and a chart.
//!
//! Cells and memory are what Yosys makes of the top for the ECP5 (`toe_bsp::ecp5_25f`), not placed, for most of these fit no ECP5-25F. Cycles are counted while **all** connections are open, on an idle
//! line: the last few openings, and one byte each to a few connections far apart, which echo it.
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use anyhow::{bail, ensure, Context, Result};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpAddress, IpProtocol,
    Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};
use toe_bsp::ecp5_25f;
use toe_bsp::flow::{self, Cost, Device};
use toe_hdl::config::{Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_sim::gmii::{GmiiPort, Way};
use toe_sim::link::Frame;
use toe_sim::time::SimulatedTime;
use toe_sim::world::{Board, Port};

use crate::board::{Backend, SimulatedBoard};
use crate::capture::{self, Header};
use crate::demo::{listener, peer_ip};
use crate::trace::Event;
use crate::{output, Refused};

/// The numbers that the documentation shows.
pub const SIZES: [usize; 5] = [4, 16, 64, 256, 1024];

/// Where the results go unless told.
pub const OUT: &str = "out/connections";

/// Bytes of each ring: the least that there may be, so that as many connections as possible fit.
const RING: usize = 256;

/// Connections that are measured, as many as there are but no more.
const PROBES: usize = 8;

/// Cycles in which the line must stay quiet before the next question.
const QUIET: u64 = 3_000;

/// Cycles after which an answer is given up.
const PATIENCE: u64 = 1_000_000;

/// What was found for one number of connections. Latencies and events are medians over the connections that were measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Size {
    pub connections: usize,
    /// `None`: not synthesised.
    pub cost: Option<Cost>,
    /// SYN → SYN-ACK of the last that open, data → ACK, byte → its echo: cycles from the last byte that asks to the first that answers.
    pub syn: u64,
    pub ack: u64,
    pub echo: u64,
    /// Cycles of the engine's event for a SYN, for a segment with data, and for an ACK of data.
    pub syn_event: u64,
    pub data_event: u64,
    pub ack_event: u64,
    /// Of all events.
    pub longest_event: u64,
    /// Of the simulation; depends on the machine.
    pub cycles_per_second: f64,
    /// Until the simulation stood, compiling included where it was not done before.
    pub seconds_to_build: f64,
}

/// All sizes, and what they were measured of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Connections {
    pub sizes: Vec<Size>,
    pub ring_bytes: usize,
    pub backend: String,
    /// Of the Verilog of all sizes ([`digest`]).
    pub verilog_sha256: String,
}

/// The configuration of a size.
pub fn config(connections: usize) -> ToeConfig {
    ToeConfig {
        connections,
        rx_ring_bytes: RING,
        tx_ring_bytes: RING,
        // So that each segment is answered and the answer can be measured.
        delayed_ack: false,
        ..ToeConfig::default()
    }
}

/// What tells whether an old result is of this design.
///
/// # Errors
/// When the design cannot be described.
pub fn digest(sizes: &[usize]) -> Result<String> {
    let mut all = String::new();
    for &n in sizes {
        all += &flow::digest(&ecp5_25f::verilog(&config(n))?);
    }
    Ok(flow::digest(&all))
}

/// A segment from the peer; the window and the addresses are always the same.
fn segment(
    config: &ToeConfig,
    ports: (u16, u16),
    seq: u32,
    ack: Option<u32>,
    data: &[u8],
) -> Frame {
    let tcp = TcpRepr {
        src_port: ports.0,
        dst_port: ports.1,
        control: match (ack, data) {
            (None, _) => TcpControl::Syn,
            (_, []) => TcpControl::None,
            _ => TcpControl::Psh,
        },
        seq_number: TcpSeqNumber(seq as i32),
        ack_number: ack.map(|ack| TcpSeqNumber(ack as i32)),
        window_len: 8192,
        window_scale: None,
        max_seg_size: ack.is_none().then_some(1460),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: data,
    };
    let ip = Ipv4Repr {
        src_addr: peer_ip(config),
        dst_addr: config.ip.into(),
        next_header: IpProtocol::Tcp,
        payload_len: tcp.buffer_len(),
        hop_limit: 64,
    };
    let ethernet = EthernetRepr {
        src_addr: EthernetAddress([2, 0, 0, 0, 0, 100]),
        dst_addr: EthernetAddress(config.mac),
        ethertype: EthernetProtocol::Ipv4,
    };
    let header = ethernet.buffer_len();
    // The shortest frame has 60 bytes before its FCS.
    let mut bytes = vec![0; (header + ip.buffer_len() + tcp.buffer_len()).max(60)];
    ethernet.emit(&mut EthernetFrame::new_unchecked(&mut bytes));
    let sums = ChecksumCapabilities::default();
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes[header..]);
    ip.emit(&mut packet, &sums);
    let (from, to) = (IpAddress::Ipv4(ip.src_addr), IpAddress::Ipv4(ip.dst_addr));
    let mut inside = TcpPacket::new_unchecked(packet.payload_mut());
    tcp.emit(&mut inside, &from, &to, &sums);
    Frame::new(bytes)
}

/// An open connection, as its peer sees it.
#[derive(Clone, Copy)]
struct Peer {
    ports: (u16, u16),
    snd_nxt: u32,
    rcv_nxt: u32,
}

/// What the board answered, each with its latency.
type Answers = Vec<(u64, Header)>;

/// A board and what is asked of it.
struct Asker<'a> {
    config: &'a ToeConfig,
    board: SimulatedBoard,
    longest: u64,
}

impl Asker<'_> {
    /// Sends a frame on an idle line and gives what the board answers to these ports until `enough`, each with its latency, and the engine's events until all is quiet again.
    fn ask(
        &mut self,
        frame: Frame,
        port: u16,
        mut enough: impl FnMut(&Header) -> bool,
    ) -> Result<(Answers, Vec<Event>)> {
        // What came unasked, as the announcement of the board's address, would be taken for the first answer.
        self.board.line_mut().restart_measurement();
        while self.board.line_mut().take().is_some() {}
        self.board.take_engine_trace();
        self.board.line_mut().queue(frame);
        let (mut answers, mut done) = (vec![], false);
        let start = self.board.cycles();
        let mut busy = start;
        let mut taken = 0;
        while !done || self.board.cycles() < busy + QUIET {
            self.board.cycle();
            let now = self.board.cycles();
            if !self.board.line().is_quiet() {
                busy = now;
            }
            ensure!(now < start + PATIENCE, "no answer in {PATIENCE} cycles");
            if !self.board.line().has_news() {
                continue;
            }
            while let Some(frame) = self.board.line_mut().take() {
                let stamps = self.board.line().stamps();
                let asked = stamps.iter().find(|s| s.way == Way::ToBoard);
                let stamp = stamps.iter().filter(|s| s.way == Way::FromBoard).nth(taken);
                taken += 1;
                let header = capture::parse(&frame).filter(|h| h.ports.1 == port);
                let (Some(asked), Some(stamp), Some(header)) = (asked, stamp, header) else {
                    continue;
                };
                ensure!(!header.rst, "a reset for port {port}");
                done |= enough(&header);
                answers.push((stamp.first - asked.last, header));
            }
        }
        let events = self.board.take_engine_trace();
        let longest = events.iter().map(|e| e.cycles).max();
        self.longest = self.longest.max(longest.unwrap_or(0));
        Ok((answers, events))
    }

    /// Sends what needs no answer.
    fn tell(&mut self, peer: &Peer) -> Result<Vec<Event>> {
        let frame = segment(
            self.config,
            peer.ports,
            peer.snd_nxt,
            Some(peer.rcv_nxt),
            &[],
        );
        self.board.take_engine_trace();
        self.board.line_mut().queue(frame);
        let mut busy = self.board.cycles();
        while self.board.cycles() < busy + QUIET {
            self.board.cycle();
            if !self.board.line().is_quiet() {
                busy = self.board.cycles();
            }
        }
        let events = self.board.take_engine_trace();
        let longest = events.iter().map(|e| e.cycles).max();
        self.longest = self.longest.max(longest.unwrap_or(0));
        Ok(events)
    }

    /// Opens one; gives the latency and the event's cycles.
    fn open(&mut self, ports: (u16, u16)) -> Result<(Peer, u64, u64)> {
        let iss = u32::from(ports.0) << 12;
        let syn = segment(self.config, ports, iss, None, &[]);
        let (answers, events) = self.ask(syn, ports.0, |h| h.syn && h.ack.is_some())?;
        let (latency, header) = answers[0];
        ensure!(header.ack == Some(iss.wrapping_add(1)), "a strange SYN-ACK");
        let peer = Peer {
            ports,
            snd_nxt: iss.wrapping_add(1),
            rcv_nxt: header.seq.wrapping_add(1),
        };
        self.tell(&peer)?;
        Ok((peer, latency, first(&events)?))
    }

    /// Has one byte echoed; gives the latencies of ACK and echo and the cycles of both events.
    fn echo(&mut self, peer: &mut Peer) -> Result<[u64; 4]> {
        let data = segment(
            self.config,
            peer.ports,
            peer.snd_nxt,
            Some(peer.rcv_nxt),
            &[0x55],
        );
        peer.snd_nxt = peer.snd_nxt.wrapping_add(1);
        let (answers, events) = self.ask(data, peer.ports.0, |h| h.length > 0)?;
        let at = |wanted: &dyn Fn(&Header) -> bool| {
            let found = answers.iter().find(|(_, h)| wanted(h));
            found.map(|f| f.0).context("no such answer")
        };
        let ack = at(&|h| h.ack == Some(peer.snd_nxt))?;
        let echo = at(&|h| h.length > 0)?;
        peer.rcv_nxt = peer.rcv_nxt.wrapping_add(1);
        let ack_event = first(&self.tell(peer)?)?;
        Ok([ack, echo, first(&events)?, ack_event])
    }
}

/// Cycles of the first event that a segment made.
fn first(events: &[Event]) -> Result<u64> {
    let segment = events
        .iter()
        .find(|e| e.kind == "segment" || e.kind == "stranger");
    Ok(segment.context("no event of a segment")?.cycles)
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

/// Opens all connections of an engine of so many, and measures.
///
/// # Errors
/// When one does not open or does not answer.
pub fn measure(connections: usize, backend: Backend) -> Result<Size> {
    let config = config(connections);
    let start = Instant::now();
    let time = SimulatedTime::new(config.tick_cycles as u64);
    let mut board = SimulatedBoard::new(&config, backend, GmiiPort::new(), time)?;
    board.trace_engine(&config)?;
    let seconds_to_build = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let before = board.cycles();
    let mut asker = Asker {
        config: &config,
        board,
        longest: 0,
    };
    let port = listener(&config, Owner::Echo)?;
    let (mut peers, mut syn, mut syn_event) = (vec![], vec![], vec![]);
    for i in 0..connections {
        let opened = asker.open((10_000 + i as u16, port));
        let (peer, latency, event) =
            opened.with_context(|| format!("connection {} of {connections}", i + 1))?;
        peers.push(peer);
        if i + PROBES >= connections {
            syn.push(latency);
            syn_event.push(event);
        }
    }
    let open = asker.board.counter(Cause::Opened) - asker.board.counter(Cause::Closed);
    ensure!(
        open == connections as u64,
        "only {open} of {connections} are open"
    );
    let step = connections.div_ceil(PROBES);
    let mut found: [Vec<u64>; 4] = Default::default();
    for peer in peers.iter_mut().step_by(step) {
        let values = asker.echo(peer).context("with all open")?;
        for (all, value) in found.iter_mut().zip(values) {
            all.push(value);
        }
    }
    let [ack, echo, data_event, ack_event] = found.map(median);
    Ok(Size {
        connections,
        cost: None,
        syn: median(syn),
        ack,
        echo,
        syn_event: median(syn_event),
        data_event,
        ack_event,
        longest_event: asker.longest,
        cycles_per_second: (asker.board.cycles() - before) as f64 / start.elapsed().as_secs_f64(),
        seconds_to_build,
    })
}

/// Measures these numbers of connections, and leaves `connections.json`, `connections.md` and `connections.svg` in `out`.
///
/// # Errors
/// A number that cannot be, a missing tool, an engine that does not answer, a folder that cannot be written.
pub fn run(
    sizes: &[usize],
    backend: Backend,
    with_synthesis: bool,
    out: &Path,
) -> Result<Connections> {
    for &n in sizes {
        config(n).check().map_err(|e| Refused(e.to_string()))?;
    }
    if sizes.is_empty() {
        return Err(Refused("--connections wants numbers, say 4,16,64".into()).into());
    }
    output::folder(out)?;
    for old in ["connections.json", "connections.md", "connections.svg"] {
        let _ = std::fs::remove_file(out.join(old));
    }
    let steps = sizes.len() * (1 + usize::from(with_synthesis));
    let bar = crate::demo::bar(steps as u64, "bench");
    // Synthesis and simulation have nothing to do with each other, and each takes one core.
    let failed = AtomicBool::new(false);
    let (costs, measured) = std::thread::scope(|scope| {
        let synthesis = scope.spawn(|| {
            sizes
                .iter()
                .map(|&n| cost(n, with_synthesis && !failed.load(Relaxed), out, &bar))
                .collect()
        });
        let measured: Result<Vec<Size>> = (sizes.iter())
            .map(|&n| {
                bar.set_message(format!("{backend}: {n} connections"));
                let size = measure(n, backend);
                bar.inc(1);
                failed.fetch_or(size.is_err(), Relaxed);
                size
            })
            .collect();
        let costs: std::thread::Result<Result<Vec<Option<Cost>>>> = synthesis.join();
        (costs, measured)
    });
    bar.finish_and_clear();
    let Ok(costs) = costs else {
        bail!("the synthesis broke off");
    };
    let mut found = Connections {
        sizes: measured?,
        ring_bytes: RING,
        backend: backend.machine_name()?,
        verilog_sha256: digest(sizes)?,
    };
    for (size, cost) in found.sizes.iter_mut().zip(costs?) {
        size.cost = cost;
    }
    output::write(
        &out.join("connections.json"),
        serde_json::to_vec_pretty(&found)?,
    )?;
    output::write(&out.join("connections.md"), table(&found))?;
    output::write(&out.join("connections.svg"), chart(&found))?;
    Ok(found)
}

fn cost(connections: usize, wanted: bool, out: &Path, bar: &ProgressBar) -> Result<Option<Cost>> {
    if !wanted {
        return Ok(None);
    }
    let verilog = ecp5_25f::verilog(&config(connections))?;
    let dir = out.join(format!("ecp5-{connections}"));
    let cost = flow::synthesise(Device::Lfe5u25f, &verilog, &dir)?;
    bar.inc(1);
    Ok(Some(cost))
}

fn grouped(value: Option<u64>) -> String {
    value.map_or_else(|| "–".into(), crate::report::grouped)
}

/// The table in Markdown.
pub fn table(found: &Connections) -> String {
    let mut text = format!(
        "With rings of {} bytes each way. Cells and memory: Yosys for the ECP5, not placed. Cycles: {}, all connections open.\n\n\
         | connections | LUTs | registers | memory, bits | block RAMs | SYN → SYN-ACK | data → ACK | byte → echo | event: SYN | data | ACK | longest |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|\n",
        found.ring_bytes, found.backend,
    );
    for s in &found.sizes {
        let of = |what: fn(&Cost) -> u64| grouped(s.cost.as_ref().map(what));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            grouped(Some(s.connections as u64)),
            of(|c| c.luts),
            of(|c| c.registers),
            of(|c| c.memory_bits),
            of(|c| c.block_rams),
            s.syn,
            s.ack,
            grouped(Some(s.echo)),
            s.syn_event,
            s.data_event,
            s.ack_event,
            s.longest_event,
        );
    }
    text
}

/// A line of the chart: its name, its colour, a value for each size.
type Line<'a> = (&'a str, &'a str, Vec<Option<u64>>);
/// One panel of the chart: what it shows, whether on a logarithmic scale, and its lines.
type Panel<'a> = (&'a str, bool, Vec<Line<'a>>);

const WIDE: f64 = 250.0;
const HIGH: f64 = 190.0;
const MARGIN: f64 = 62.0;

/// The chart, as SVG: LUTs, memory (on a logarithmic scale: it grows with the number) and cycles against the number of connections, each step of which is the same factor.
pub fn chart(found: &Connections) -> String {
    let sizes = &found.sizes;
    let of = |what: fn(&Size) -> Option<u64>| sizes.iter().map(what).collect::<Vec<_>>();
    let panels: [Panel; 3] = [
        (
            "logic",
            false,
            vec![
                ("LUTs", "#2f6f9f", of(|s| s.cost.map(|c| c.luts))),
                ("registers", "#c4572e", of(|s| s.cost.map(|c| c.registers))),
            ],
        ),
        (
            "memory, bits (logarithmic)",
            true,
            vec![(
                "all memories",
                "#2f6f9f",
                of(|s| s.cost.map(|c| c.memory_bits)),
            )],
        ),
        (
            "cycles, all connections open",
            false,
            vec![
                ("ACK", "#2f6f9f", of(|s| Some(s.ack))),
                ("SYN-ACK", "#c4572e", of(|s| Some(s.syn))),
                ("data event", "#4f8a3c", of(|s| Some(s.data_event))),
            ],
        ),
    ];
    let width = 3.0 * (WIDE + MARGIN + 24.0) + 10.0;
    let height = HIGH + 120.0;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' font-family='sans-serif' font-size='12'>\n<rect width='100%' height='100%' fill='#ffffff'/>\n"
    );
    for (i, panel) in panels.iter().enumerate() {
        let left = MARGIN + i as f64 * (WIDE + MARGIN + 24.0);
        draw(&mut svg, panel, sizes, left, 40.0);
    }
    let _ = writeln!(
        svg,
        "<text x='{}' y='{}' text-anchor='middle' fill='#59636e'>connections</text>",
        width / 2.0,
        height - 8.0
    );
    svg + "</svg>\n"
}

fn draw(svg: &mut String, (title, log, lines): &Panel, sizes: &[Size], left: f64, top: f64) {
    let values = || lines.iter().flat_map(|l| &l.2).flatten().copied();
    let most = values().max().unwrap_or(1).max(1) as f64;
    let least = values().min().unwrap_or(1).max(1) as f64;
    // Whole decades, or from nothing to a round number above the most.
    let (low, high) = if *log {
        (least.log10().floor(), most.log10().ceil().max(1.0))
    } else {
        let unit = 10f64.powf(most.log10().floor());
        (0.0, (most * 1.1 / unit * 2.0).ceil() * unit / 2.0)
    };
    let bottom = top + HIGH;
    let scale = |value: f64| {
        let at = if *log { value.max(1.0).log10() } else { value };
        bottom - (at - low) / (high - low) * HIGH
    };
    let x = |i: usize| left + 20.0 + i as f64 * (WIDE - 40.0) / (sizes.len().max(2) - 1) as f64;
    let _ = writeln!(
        svg,
        "<text x='{left}' y='{}' font-weight='bold' fill='#1f2328'>{title}</text>",
        top - 18.0
    );
    let steps = if *log { (high - low) as usize } else { 4 };
    for step in 0..=steps {
        let at = low + (high - low) * step as f64 / steps as f64;
        let value = if *log { 10f64.powf(at) } else { at };
        let y = scale(value);
        let _ = writeln!(
            svg,
            "<line x1='{left}' x2='{}' y1='{y:.1}' y2='{y:.1}' stroke='#d8dee4'/><text x='{}' y='{:.1}' text-anchor='end' fill='#59636e'>{}</text>",
            left + WIDE,
            left - 6.0,
            y + 4.0,
            crate::report::grouped(value.round() as u64)
        );
    }
    for (i, size) in sizes.iter().enumerate() {
        let _ = writeln!(
            svg,
            "<text x='{:.1}' y='{}' text-anchor='middle' fill='#59636e'>{}</text>",
            x(i),
            bottom + 17.0,
            crate::report::grouped(size.connections as u64)
        );
    }
    for (i, (name, colour, values)) in lines.iter().enumerate() {
        let points: Vec<_> = (values.iter().enumerate())
            .filter_map(|(i, v)| v.map(|v| (x(i), scale(v as f64))))
            .collect();
        let path: Vec<_> = points
            .iter()
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points='{}' fill='none' stroke='{colour}' stroke-width='2'/>",
            path.join(" ")
        );
        for (x, y) in &points {
            let _ = writeln!(
                svg,
                "<circle cx='{x:.1}' cy='{y:.1}' r='3.5' fill='{colour}'/>"
            );
        }
        let at = left + i as f64 * WIDE / lines.len() as f64;
        let _ = writeln!(
            svg,
            "<rect x='{at:.1}' y='{}' width='10' height='10' fill='{colour}'/><text x='{:.1}' y='{}' font-size='11' fill='#1f2328'>{name}</text>",
            bottom + 32.0,
            at + 14.0,
            bottom + 41.0
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(connections: usize, luts: u64) -> Size {
        Size {
            connections,
            cost: Some(Cost {
                luts,
                registers: 2500,
                block_rams: 12,
                memory_bits: 75_276,
            }),
            syn: 107,
            ack: 149,
            echo: 1274,
            syn_event: 60,
            data_event: 88,
            ack_event: 78,
            longest_event: 165,
            cycles_per_second: 5e5,
            seconds_to_build: 60.0,
        }
    }

    fn found() -> Connections {
        Connections {
            sizes: vec![size(4, 7000), size(1024, 7300)],
            ring_bytes: 256,
            backend: "X 1".into(),
            verilog_sha256: String::new(),
        }
    }

    #[test]
    fn the_table_has_a_row_for_each_size() {
        let mut found = found();
        found.sizes[1].cost = None;
        let text = table(&found);
        let want = "| 4 | 7,000 | 2,500 | 75,276 | 12 | 107 | 149 | 1,274 | 60 | 88 | 78 | 165 |";
        assert!(text.contains(want), "{text}");
        let want = "| 1,024 | – | – | – | – | 107 |";
        assert!(text.contains(want), "{text}");
    }

    #[test]
    fn the_chart_has_a_point_for_each_value_and_higher_ones_stand_higher() {
        let svg = chart(&found());
        assert_eq!(svg.matches("<circle").count(), 2 * (2 + 1 + 3));
        let heights: Vec<f64> = svg
            .lines()
            .filter_map(|l| l.strip_prefix("<circle cx='")?.split_once("cy='"))
            .map(|(_, rest)| rest.split('\'').next().unwrap().parse().unwrap())
            .collect();
        // LUTs: 7,000, then 7,300; registers below both.
        assert!(heights[1] < heights[0] && heights[0] < heights[2]);
        assert!(
            heights.iter().all(|y| (40.0..=40.0 + HIGH).contains(y)),
            "{heights:?}"
        );
    }

    /// The frames are taken, all connections open, and with four open each cycle count is what `toe bench` finds with one: none of them depends on the number that is open.
    #[test]
    fn four_are_opened_and_measured() {
        let size = measure(4, Backend::Rust).unwrap();
        assert!(size.syn <= 160 && size.ack <= 160, "{size:?}");
        assert!(size.echo >= size.ack && size.echo <= 320, "{size:?}");
        assert!(
            size.data_event <= 90 && size.longest_event <= 170,
            "{size:?}"
        );
    }
}
