//! The packet scripts on the hardware: [`Mirror`] does with the Verilog of the whole engine ([`Endpoint`]: packets in, packets out) what a script does with the model, and compares what both say: every packet, every
//! report, every byte read, and in the end every counter. The host's calls go through the port that applications use ([`crate::app`]).
//!
//! Only with `TOE_SCRIPTS=verilog`, for it takes minutes: the scripts of the usual configuration; with `TOE_SCRIPTS=all` those of every other one, too, each of which is compiled. Numbers and timestamps that begin by the clock are another's there, and are translated: whatever begins with a SYN is as far from the model's as that is.
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rust_hdl::prelude::*;
use toe_sim::cxxrtl::{CxxrtlMachine, CxxrtlOptions};
use toe_sim::machine::{Machine, PortId, PortInfo};

use crate::app::switch::TURN;
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::endpoint::Endpoint;
use crate::tcp::isa::{cmd, seg};
use crate::tcp::model::blocks::PacketOut;
use crate::tcp::model::toe::{Action, Report};

/// So long nothing happened: nothing will.
const QUIET: u64 = 300;
/// So long something goes on happening: it always will.
const RESTLESS: u64 = 200_000;
/// Cycles from one tick to the next if no timer expires. Looking at all timers takes longer; what expires is found after the last of them.
const TICK: u64 = 4;
/// Ticks and cycles after which a script goes on on the model alone.
const MOST_TICKS: usize = 20_000;
const MOST_CYCLES: u64 = 2_000_000;

/// Packets and cycles compared so far, for those who want to know.
static PACKETS: AtomicU64 = AtomicU64::new(0);
static CYCLES: AtomicU64 = AtomicU64::new(0);

/// How far the hardware's numbers are ahead of the model's.
#[derive(Clone, Copy, Default, Debug)]
struct Ahead {
    seq: u32,
    stamp: u32,
}

/// Remote address, remote port, local port.
type Tuple = ([u8; 4], u16, u16);

/// What the host wants of a connection.
#[derive(Default, Debug)]
struct Wants {
    read: usize,
    got: Vec<u8>,
    write: VecDeque<u8>,
    close: bool,
    abort: bool,
}

impl Wants {
    fn any(&self) -> bool {
        self.read > 0 || !self.write.is_empty() || self.close || self.abort
    }
}

/// A turn of the host's: what may still flow.
#[derive(Default)]
struct Turn {
    conn: u16,
    read: usize,
    write: usize,
}

/// The ports of [`Endpoint`] that are used here, by what they are called there.
macro_rules! ports {
    ($($name:ident $port:literal)*) => {
        struct Ports { $($name: PortId,)* }
        impl Ports {
            fn of(machine: &CxxrtlMachine) -> Self {
                let port = |name: &str| {
                    let of = |p: &PortInfo| p.name.replace('$', ".") == name;
                    let at = machine.ports().iter().position(of);
                    PortId(at.unwrap_or_else(|| panic!("the engine has no port {name}")))
                };
                Self { $($name: port($port),)* }
            }
        }
    };
}

ports! {
    arp_a "arp.a"
    arp_code "arp.code"
    arp_done "arp.done"
    arp_ok "arp.ok"
    arp_result "arp.result"
    arp_result2 "arp.result2"
    arp_valid "arp.valid"
    command_ip "command_ip"
    command_option "command_option"
    command_owner "command_owner"
    command_ports "command_ports"
    command_ready "command_ready"
    command_valid "command_valid"
    counter_address "counter_address"
    counter_data "counter_data"
    dst_hi "dst_hi"
    dst_lo "dst_lo"
    dst_tag "dst_tag"
    host_offer_conn "host.offer_conn"
    host_offer_readable "host.offer_readable"
    host_offer_valid "host.offer_valid"
    host_offer_writable "host.offer_writable"
    host_rx_data "host.rx_data"
    host_rx_ready "host.rx_ready"
    host_rx_valid "host.rx_valid"
    host_take_abort "host.take_abort"
    host_take_close "host.take_close"
    host_take_read "host.take_read"
    host_take_valid "host.take_valid"
    host_take_write "host.take_write"
    host_tx_data "host.tx_data"
    host_tx_ready "host.tx_ready"
    host_tx_valid "host.tx_valid"
    host_wake_conn "host.wake_conn"
    host_wake_valid "host.wake_valid"
    ip_data "ip.data"
    ip_last "ip.last"
    ip_valid "ip.valid"
    pace_conn "pace_conn"
    pace_hold "pace_hold"
    pace_wake "pace_wake"
    pace_wake_conn "pace_wake_conn"
    pace_wake_ready "pace_wake_ready"
    packet_data "packet.data"
    packet_last "packet.last"
    packet_ready "packet.ready"
    packet_valid "packet.valid"
    report_conn "report_conn"
    report_kind "report_kind"
    report_valid "report_valid"
    report_value "report_value"
    reset "reset"
    src_hi "src_hi"
    src_lo "src_lo"
    src_tag "src_tag"
    tick "tick"
    trace_done "trace_done"
    trace_event "trace_event"
}

/// See the module.
pub struct Mirror {
    machine: CxxrtlMachine,
    ports: Ports,
    ahead: BTreeMap<Tuple, Ahead>,
    neighbours: BTreeMap<u32, [u8; 6]>,
    wants: BTreeMap<u16, Wants>,
    turn: Turn,
    held: BTreeMap<u16, bool>,
    wakes: VecDeque<u16>,
    out: Vec<u8>,
    sent: Vec<PacketOut>,
    told: Vec<Report>,
    vlan: bool,
    /// The engine is at an event.
    handling: bool,
    ticks: usize,
    last: u64,
    /// What was done, for the message.
    steps: usize,
}

/// The Verilog of each configuration: describing takes longer than most scripts.
fn verilog(config: &ToeConfig) -> Arc<String> {
    static KNOWN: Mutex<BTreeMap<String, Arc<String>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let of = || {
        let mut uut = Endpoint::new(config).expect("a sound configuration");
        uut.connect_all();
        toe_sim::verilog::legal(&generate_verilog(&uut))
            .expect("legal Verilog")
            .into()
    };
    known
        .entry(format!("{config:?}"))
        .or_insert_with(of)
        .clone()
}

impl Mirror {
    /// The machine for a configuration, if it is asked for.
    pub fn of(config: &ToeConfig) -> Option<Self> {
        let asked = std::env::var("TOE_SCRIPTS").ok()?;
        // Compiling takes most of a minute.
        if asked != "all" && (asked != "verilog" || *config != super::script::config()) {
            println!("on the model only: a configuration of its own");
            return None;
        }
        let config = ToeConfig {
            host_port: true,
            ..config.clone()
        };
        let options = CxxrtlOptions {
            optimise: 2,
            ..CxxrtlOptions::default()
        };
        let machine = CxxrtlMachine::new(&verilog(&config), &options).expect("it compiles");
        let mut new = Self {
            ports: Ports::of(&machine),
            machine,
            ahead: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            wants: BTreeMap::new(),
            turn: Turn::default(),
            held: BTreeMap::new(),
            wakes: VecDeque::new(),
            out: Vec::new(),
            sent: Vec::new(),
            told: Vec::new(),
            vlan: config.vlan,
            handling: false,
            ticks: 0,
            last: 0,
            steps: 0,
        };
        new.machine.poke(new.ports.reset, 1);
        new.cycle();
        new.cycle();
        new.machine.poke(new.ports.reset, 0);
        new.machine.poke(new.ports.packet_ready, 1);
        for _ in 0..256 + 16 * config.connections {
            new.cycle();
        }
        Some(new)
    }

    fn busy(&mut self) {
        self.last = self.machine.cycles();
    }

    /// A cycle: what is asked is answered, what is said is noted.
    fn cycle(&mut self) {
        // ARP, the pacer and the host answer in the cycle in which they are asked.
        self.machine.eval();
        let asks = self.machine.peek(self.ports.arp_valid) == 1
            && self.machine.peek(self.ports.arp_code) == u64::from(cmd::ARP);
        let mac = asks
            .then(|| {
                self.neighbours
                    .get(&(self.machine.peek(self.ports.arp_a) as u32))
                    .copied()
            })
            .flatten();
        self.machine.poke(self.ports.arp_done, asks.into());
        self.machine.poke(self.ports.arp_ok, mac.is_some().into());
        let mac = mac.unwrap_or_default();
        let low = u32::from_be_bytes([mac[2], mac[3], mac[4], mac[5]]);
        self.machine.poke(self.ports.arp_result, low.into());
        self.machine.poke(
            self.ports.arp_result2,
            u16::from_be_bytes([mac[0], mac[1]]).into(),
        );
        let held = self
            .held
            .get(&(self.machine.peek(self.ports.pace_conn) as u16));
        let held = held.copied().unwrap_or(false);
        self.machine.poke(self.ports.pace_hold, held.into());
        let wake = self.wakes.front().copied();
        self.machine
            .poke(self.ports.pace_wake, wake.is_some().into());
        self.machine
            .poke(self.ports.pace_wake_conn, wake.unwrap_or(0).into());
        let asked = self.wants.iter().find(|(_, w)| w.any()).map(|(c, _)| *c);
        self.machine
            .poke(self.ports.host_wake_valid, asked.is_some().into());
        self.machine
            .poke(self.ports.host_wake_conn, asked.unwrap_or(0).into());
        let offered = self.machine.peek(self.ports.host_offer_valid) == 1;
        self.machine
            .poke(self.ports.host_take_valid, offered.into());
        let (mut read, mut write, mut close, mut abort) = (0, 0, false, false);
        let conn = self.machine.peek(self.ports.host_offer_conn) as u16;
        if offered {
            let most = |port| self.machine.peek(port) as usize;
            let (readable, writable) = (
                most(self.ports.host_offer_readable),
                most(self.ports.host_offer_writable),
            );
            if let Some(w) = self.wants.get(&conn) {
                (read, write) = (w.read.min(readable), w.write.len().min(writable));
                close = w.close && write == w.write.len();
                abort = w.abort;
            }
        }
        self.machine.poke(self.ports.host_take_read, read as u64);
        self.machine.poke(self.ports.host_take_write, write as u64);
        self.machine.poke(self.ports.host_take_close, close.into());
        self.machine.poke(self.ports.host_take_abort, abort.into());
        let byte = self
            .wants
            .get(&self.turn.conn)
            .and_then(|w| w.write.front());
        let byte = byte.copied().unwrap_or(0);
        self.machine.poke(self.ports.host_tx_data, byte.into());
        self.machine
            .poke(self.ports.host_tx_valid, (self.turn.write > 0).into());
        self.machine
            .poke(self.ports.host_rx_ready, (self.turn.read > 0).into());
        self.machine.eval();

        if wake.is_some() && self.machine.peek(self.ports.pace_wake_ready) == 1 {
            self.wakes.pop_front();
            self.busy();
        }
        let wants = self.wants.entry(self.turn.conn).or_default();
        if self.turn.write > 0 && self.machine.peek(self.ports.host_tx_ready) == 1 {
            wants.write.pop_front();
            self.turn.write -= 1;
        }
        if self.turn.read > 0 && self.machine.peek(self.ports.host_rx_valid) == 1 {
            let byte = self.machine.peek(self.ports.host_rx_data);
            wants.got.push(byte as u8);
            wants.read -= 1;
            self.turn.read -= 1;
        }
        if offered {
            let wants = self.wants.entry(conn).or_default();
            wants.close &= !close;
            wants.abort &= !abort;
            self.turn = Turn { conn, read, write };
            self.busy();
        }
        if self.turn.read + self.turn.write > 0 {
            self.busy();
        }
        // An event may wait for long, as for the sums of a segment that is cut anew.
        if self.machine.peek(self.ports.trace_event) == 1 {
            self.handling = true;
        }
        if self.handling {
            self.busy();
        }
        if self.machine.peek(self.ports.trace_done) == 1 {
            self.handling = false;
        }
        if self.machine.peek(self.ports.report_valid) == 1 {
            self.told.push(Report {
                conn: self.machine.peek(self.ports.report_conn) as u16,
                kind: self.machine.peek(self.ports.report_kind) as u8,
                value: self.machine.peek(self.ports.report_value) as u32,
            });
        }
        if self.machine.peek(self.ports.packet_valid) == 1 {
            self.busy();
            self.out
                .push(self.machine.peek(self.ports.packet_data) as u8);
            if self.machine.peek(self.ports.packet_last) == 1 {
                let (high, low) = (
                    self.machine.peek(self.ports.dst_hi) as u16,
                    self.machine.peek(self.ports.dst_lo) as u32,
                );
                let mut mac = [0; 6];
                mac[..2].copy_from_slice(&high.to_be_bytes());
                mac[2..].copy_from_slice(&low.to_be_bytes());
                let tag = self.machine.peek(self.ports.dst_tag) as u16;
                self.sent.push(PacketOut {
                    mac,
                    tag: (self.vlan && tag != 0).then_some(!tag),
                    bytes: std::mem::take(&mut self.out),
                });
            }
        }
        self.machine.cycle();
    }

    fn rest(&mut self) {
        self.busy();
        let begun = self.last;
        while self.machine.cycles() < self.last + QUIET {
            self.cycle();
            let restless = self.machine.cycles() > begun + RESTLESS;
            assert!(!restless, "no rest, step {}: {:?}", self.steps, self.wants);
        }
    }

    fn packet(&mut self, packet: &[u8], mac: [u8; 6], tag: Option<u16>) {
        let half = |at: usize| u64::from(u16::from_be_bytes([mac[at], mac[at + 1]]));
        self.machine.poke(self.ports.src_hi, half(0));
        self.machine
            .poke(self.ports.src_lo, half(2) << 16 | half(4));
        self.machine
            .poke(self.ports.src_tag, tag.map_or(0, |tag| !tag).into());
        for (n, byte) in packet.iter().enumerate() {
            self.machine.poke(self.ports.ip_data, (*byte).into());
            self.machine
                .poke(self.ports.ip_last, (n + 1 == packet.len()).into());
            self.machine.poke(self.ports.ip_valid, 1);
            self.cycle();
        }
        self.machine.poke(self.ports.ip_valid, 0);
        // As much as lies between two frames.
        for _ in 0..38 {
            self.cycle();
        }
    }

    /// All of [`Switch`](crate::app::switch)'s turns that one call takes begin and end at one time on the model.
    pub fn is_too_much(done: &[Action]) -> bool {
        let of = |bytes: &Vec<u8>| bytes.len() > usize::from(TURN);
        done.iter().any(|action| match action {
            Action::Read(_, bytes) | Action::Write(_, bytes) => of(bytes),
            _ => false,
        })
    }

    /// What a script may have is used up, or would be by this.
    pub fn is_tired(&self, done: &[Action]) -> bool {
        let ticks = done.iter().filter(|a| matches!(a, Action::Tick(_))).count();
        self.ticks + ticks > MOST_TICKS || self.machine.cycles() > MOST_CYCLES
    }

    /// The hardware does what was done, and comes to rest; what it said must be what the model said.
    pub fn follow(
        &mut self,
        done: Vec<Action>,
        mut sent: Vec<PacketOut>,
        mut told: Vec<Report>,
        neighbours: &BTreeMap<u32, [u8; 6]>,
    ) {
        if done.is_empty() && sent.is_empty() && told.is_empty() {
            return;
        }
        self.neighbours.clone_from(neighbours);
        let before = self.machine.cycles();
        let mut rests = true;
        let mut read: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
        for action in &done {
            self.steps += 1;
            rests = true;
            match action {
                Action::Packet(packet, mac, tag) => {
                    let packet = self.incoming(packet);
                    self.packet(&packet, *mac, *tag);
                }
                Action::Tick(expired) => {
                    self.ticks += 1;
                    self.machine.poke(self.ports.tick, 1);
                    self.cycle();
                    self.machine.poke(self.ports.tick, 0);
                    for _ in 1..TICK {
                        self.cycle();
                    }
                    rests = *expired;
                }
                Action::Command(record) => {
                    let word = |n: u8| u64::from(record[n as usize]);
                    self.machine
                        .poke(self.ports.command_ports, word(seg::PORTS));
                    self.machine.poke(self.ports.command_ip, word(seg::IP));
                    self.machine
                        .poke(self.ports.command_owner, word(seg::CTL) & 0xFF);
                    self.machine
                        .poke(self.ports.command_option, word(seg::CTL) >> 8);
                    self.machine.poke(self.ports.command_valid, 1);
                    loop {
                        self.machine.eval();
                        let taken = self.machine.peek(self.ports.command_ready) == 1;
                        self.cycle();
                        if taken {
                            break;
                        }
                    }
                    self.machine.poke(self.ports.command_valid, 0);
                }
                Action::Read(conn, bytes) => {
                    read.entry(*conn).or_default().extend(bytes);
                    self.wants.entry(*conn).or_default().read += bytes.len();
                }
                Action::Write(conn, bytes) => {
                    self.wants.entry(*conn).or_default().write.extend(bytes);
                }
                Action::Close(conn) => self.wants.entry(*conn).or_default().close = true,
                Action::Abort(conn) => self.wants.entry(*conn).or_default().abort = true,
                Action::Hold(conn, hold) => {
                    if self.held.insert(*conn, *hold) == Some(true) && !hold {
                        self.wakes.push_back(*conn);
                    }
                }
            }
        }
        if rests || !sent.is_empty() || !told.is_empty() {
            self.rest();
        }
        CYCLES.fetch_add(self.machine.cycles() - before, Ordering::Relaxed);
        PACKETS.fetch_add(sent.len() as u64, Ordering::Relaxed);
        let mut heard = std::mem::take(&mut self.sent);
        // Pings, which the model leaves alone.
        heard.retain(|packet| packet.bytes.get(9) != Some(&1));
        // Timers of several connections that expire in one tick are found in an order of their own.
        if done.iter().any(|a| matches!(a, Action::Tick(true))) {
            let of = |packet: &PacketOut| packet.bytes.get(16..24).map(<[u8]>::to_vec);
            sent.sort_by_key(of);
            heard.sort_by_key(of);
            told.sort_by_key(|report| report.conn);
            self.told.sort_by_key(|report| report.conn);
        }
        let same = sent.len() == heard.len();
        let ours: Vec<_> = heard
            .into_iter()
            .enumerate()
            .map(|(n, packet)| self.outgoing(packet, sent.get(n)))
            .collect();
        let at = format!("step {}, after {done:x?}", self.steps);
        let show = |packets: &[PacketOut]| -> String {
            packets.iter().map(|p| format!("  {p:x?}\n")).collect()
        };
        assert!(
            same && sent == ours,
            "{at}\nthe model sends\n{}the hardware\n{}",
            show(&sent),
            show(&ours)
        );
        assert_eq!(told, std::mem::take(&mut self.told), "reports, {at}");
        for (conn, bytes) in read {
            let wants = self.wants.entry(conn).or_default();
            assert_eq!(
                bytes,
                std::mem::take(&mut wants.got),
                "read of {conn}, {at}"
            );
        }
        let left: Vec<_> = self.wants.iter().filter(|(_, w)| w.any()).collect();
        assert!(
            left.is_empty(),
            "the hardware does not let the host: {left:?}, {at}"
        );
    }

    /// Every counter is the model's.
    pub fn account(&mut self, counters: &[u64; 64]) {
        let mut differ = Vec::new();
        for cause in Cause::ALL {
            self.machine
                .poke(self.ports.counter_address, cause.number().into());
            for _ in 0..8 {
                self.cycle();
            }
            let (model, hardware) = (
                counters[usize::from(cause.number())],
                self.machine.peek(self.ports.counter_data),
            );
            // The link counts these, and there is none.
            let link = matches!(cause, Cause::FrameOut | Cause::EthOtherType);
            if model != hardware && !link {
                differ.push((cause, model, hardware));
            }
        }
        assert!(
            differ.is_empty(),
            "counters, model's and hardware's: {differ:?}"
        );
        println!(
            "on the Verilog, too: {} packets in {} cycles by now",
            PACKETS.load(Ordering::Relaxed),
            CYCLES.load(Ordering::Relaxed)
        );
    }

    /// The model's packet with the hardware's numbers.
    fn incoming(&self, packet: &[u8]) -> Vec<u8> {
        let mut p = packet.to_vec();
        if p.len() < 20 {
            return p;
        }
        let header = usize::from(p[0] & 15) * 4;
        let end = usize::from(u16::from_be_bytes([p[2], p[3]])).min(p.len());
        if p[9] == 6 && end >= header + 20 {
            let (remote, local) = (half(&p, header), half(&p, header + 2));
            let tuple = (address(&p, 12), remote, local);
            let ahead = self.ahead.get(&tuple).copied().unwrap_or_default();
            let sum = header + 16;
            if p[header + 13] & 16 != 0 {
                shift(&mut p, header + 8, ahead.seq, sum);
                for (kind, at, length) in options(&p[..end], header) {
                    if kind == 8 && length == 10 {
                        shift(&mut p, at + 6, ahead.stamp, sum);
                    }
                    if kind == 5 {
                        for edge in (at + 2..at + length)
                            .step_by(4)
                            .filter(|e| e + 4 <= at + length)
                        {
                            shift(&mut p, edge, ahead.seq, sum);
                        }
                    }
                }
            }
        }
        if p[9] == 1 && end >= header + 8 + 28 && matches!(p[header], 3 | 4 | 11 | 12) {
            let quoted = header + 8;
            let inner = quoted + usize::from(p[quoted] & 15) * 4;
            if end >= inner + 8 {
                let tuple = (
                    address(&p, quoted + 16),
                    half(&p, inner + 2),
                    half(&p, inner),
                );
                let ahead = self.ahead.get(&tuple).copied().unwrap_or_default();
                shift(&mut p, inner + 4, ahead.seq, header + 2);
            }
        }
        p
    }

    /// The hardware's packet with the model's numbers, and what a SYN says of how far they lie apart.
    fn outgoing(&mut self, mut packet: PacketOut, model: Option<&PacketOut>) -> PacketOut {
        let p = &mut packet.bytes;
        if p.len() < 40 {
            return packet;
        }
        let tuple = (address(p, 16), half(p, 22), half(p, 20));
        let stamp = |p: &[u8]| {
            let at = options(p, 20).into_iter().find(|o| o.0 == 8 && o.2 == 10);
            at.map(|(_, at, _)| at + 2)
        };
        if let Some(model) = model.map(|m| &m.bytes).filter(|m| m.len() >= 40) {
            let of = (address(model, 16), half(model, 22), half(model, 20));
            if p[33] & 2 != 0 && model[33] & 2 != 0 && of == tuple {
                let ahead = self.ahead.entry(tuple).or_default();
                ahead.seq = word(p, 24).wrapping_sub(word(model, 24));
                if let (Some(ours), Some(theirs)) = (stamp(p), stamp(model)) {
                    ahead.stamp = word(p, ours).wrapping_sub(word(model, theirs));
                }
            }
        }
        let ahead = self.ahead.get(&tuple).copied().unwrap_or_default();
        // A RST to what had no ACK has number zero, whatever the clock says (RFC 9293 section 3.5.2).
        if p[33] & 4 == 0 || word(p, 24) != 0 {
            shift(p, 24, ahead.seq.wrapping_neg(), 36);
        }
        if let Some(at) = stamp(p) {
            shift(p, at, ahead.stamp.wrapping_neg(), 36);
        }
        packet
    }
}

fn half(p: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([p[at], p[at + 1]])
}

fn word(p: &[u8], at: usize) -> u32 {
    u32::from(half(p, at)) << 16 | u32::from(half(p, at + 2))
}

fn address(p: &[u8], at: usize) -> [u8; 4] {
    [p[at], p[at + 1], p[at + 2], p[at + 3]]
}

/// Kind, place and length of the options of the TCP header at `header`.
fn options(p: &[u8], header: usize) -> Vec<(u8, usize, usize)> {
    let end = (header + usize::from(p[header + 12] >> 4) * 4).min(p.len());
    let mut at = header + 20;
    let mut found = Vec::new();
    while at < end {
        match p[at] {
            0 => break,
            1 => at += 1,
            kind => {
                let length = p.get(at + 1).map_or(0, |l| usize::from(*l));
                if length < 2 || at + length > end {
                    break;
                }
                found.push((kind, at, length));
                at += length;
            }
        }
    }
    found
}

/// Adds to a word, and has the sum follow (RFC 1624), so that a wrong one stays wrong. A word at an odd place has its bytes the other way round in it.
fn shift(p: &mut [u8], at: usize, by: u32, sum: usize) {
    if by == 0 {
        return;
    }
    let new = word(p, at).wrapping_add(by);
    let halves = |p: &[u8]| -> u32 {
        let odd = (at ^ sum) & 1;
        let turned = |n: usize| {
            let h = half(p, at + n);
            u32::from(if odd == 1 { h.swap_bytes() } else { h })
        };
        turned(0) + turned(2)
    };
    let before = halves(p);
    p[at..at + 4].copy_from_slice(&new.to_be_bytes());
    let after = halves(p);
    let mut total = u32::from(!half(p, sum)) + 2 * 0xFFFF - before + after;
    while total > 0xFFFF {
        total = (total & 0xFFFF) + (total >> 16);
    }
    p[sum..sum + 2].copy_from_slice(&(!(total as u16)).to_be_bytes());
}
