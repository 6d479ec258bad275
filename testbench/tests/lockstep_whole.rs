//! Both tops against their own Verilog, and with them `Endpoint`, which stands in each; and the way of a frame through the link and net blocks, cause by cause.
use std::collections::BTreeMap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rust_hdl::prelude::*;
use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_hdl::toe::SlipToe;
use toe_host::board::{machine, Backend};
use toe_sim::cxxrtl::{CxxrtlMachine, CxxrtlOptions};
use toe_sim::link::{Frame, Tail};
use toe_sim::machine::{Machine, PortId};
use toe_sim::pair;
use toe_sim::rust::RustMachine;
use toe_sim::uart;
use toe_sim::world::Port as _;

const PEER: [u8; 6] = [0x02, 0x11, 0x22, 0x33, 0x44, 0x55];
const PEER_IP: [u8; 4] = [192, 168, 69, 100];

// ------------------------------------------------------------------------------------------------ frames

/// RFC 1071.
fn checksum(data: &[u8]) -> u16 {
    let words = data
        .chunks(2)
        .map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xFFFF) + (sum >> 16);
    !((sum & 0xFFFF) + (sum >> 16)) as u16
}

fn resum(packet: &mut [u8]) {
    let header = usize::from(packet[0] & 15) * 4;
    packet[10..12].fill(0);
    let sum = checksum(&packet[..header]).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
}

fn ip(config: &ToeConfig, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x45, 0];
    p.extend((20 + payload.len() as u16).to_be_bytes());
    p.extend([0, 1, 0x40, 0, 64, protocol, 0, 0]);
    p.extend(PEER_IP);
    p.extend(config.ip);
    p.extend(payload);
    resum(&mut p);
    p
}

fn icmp(kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut m = [&[kind, 0, 0, 0], rest].concat();
    let sum = checksum(&m).to_be_bytes();
    m[2..4].copy_from_slice(&sum);
    m
}

/// An ICMP error about a segment between these ports, ours first: its kind, and what stands in front of what it quotes.
fn icmp_about(config: &ToeConfig, kind: u8, front: u32, ports: (u16, u16), seq: u32) -> Vec<u8> {
    let mut rest = front.to_be_bytes().to_vec();
    rest.extend([0x45, 0, 5, 0xDC, 0, 0, 0x40, 0, 64, 6, 0, 0]);
    rest.extend(config.ip);
    rest.extend(PEER_IP);
    rest.extend(ports.0.to_be_bytes());
    rest.extend(ports.1.to_be_bytes());
    rest.extend(seq.to_be_bytes());
    icmp(kind, &rest)
}

struct Tcp<'a> {
    local: u16,
    remote: u16,
    seq: u32,
    ack: u32,
    flags: u8,
    data: &'a [u8],
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const ECE: u8 = 64;
const CWR: u8 = 128;

fn tcp(config: &ToeConfig, t: &Tcp) -> Vec<u8> {
    let mut s: Vec<u8> = vec![];
    s.extend(t.local.to_be_bytes());
    s.extend(t.remote.to_be_bytes());
    s.extend(t.seq.to_be_bytes());
    s.extend(t.ack.to_be_bytes());
    // Each connection has a window scale of its own (RFC 7323 section 2), with which its window is some 4 KiB.
    let shift = t.local as u8 & 15;
    let options: &[u8] = if t.flags & SYN == 0 {
        &[]
    } else {
        &[2, 4, 1, 0, 1, 3, 3, shift]
    };
    let window = (0x1000_u16 >> shift.min(14)).max(1).to_be_bytes();
    s.extend([
        (5 + options.len() as u8 / 4) << 4,
        t.flags,
        window[0],
        window[1],
        0,
        0,
        0,
        0,
    ]);
    s.extend(options);
    s.extend(t.data);
    let length = (s.len() as u16).to_be_bytes();
    let pseudo = [&PEER_IP[..], &config.ip, &[0, 6], &length, &s].concat();
    let sum = checksum(&pseudo).to_be_bytes();
    s[16..18].copy_from_slice(&sum);
    ip(config, 6, &s)
}

fn ethernet(to: [u8; 6], kind: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &PEER, &kind.to_be_bytes(), payload].concat()
}

fn arp(config: &ToeConfig, operation: u16) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4];
    let (hw, ours) = ([0; 6], config.ip);
    [
        &head[..],
        &operation.to_be_bytes(),
        &PEER,
        &PEER_IP,
        &hw,
        &ours,
    ]
    .concat()
}

fn random_bytes(rng: &mut impl Rng, length: usize) -> Vec<u8> {
    (0..length).map(|_| rng.random()).collect()
}

/// What the line carries for a frame: `rx_dv`, `rx_er`, `rxd` of each cycle, without the gap.
fn on_the_line(frame: &Frame) -> Vec<(bool, u8)> {
    let mut wire = vec![0x55; 7];
    wire.push(0xD5);
    let begin = wire.len();
    wire.extend(&frame.bytes);
    if frame.tail != Tail::Cut {
        wire.resize(wire.len().max(begin + 60), 0);
        let fcs = match frame.tail {
            Tail::Fcs(fcs) => fcs,
            _ => frame.right_fcs(),
        };
        wire.extend(fcs.to_le_bytes());
    }
    let error_at = frame.error_at.map(|at| begin + at);
    let marked = wire.iter().enumerate();
    marked.map(|(i, b)| (Some(i) == error_at, *b)).collect()
}

// ------------------------------------------------------------------------------------------------ an engine on Ethernet

/// A machine with its line: plays bytes in, gathers frames out.
struct Ethernet {
    machine: Box<dyn Machine>,
    pins: BTreeMap<&'static str, PortId>,
    cycle: u64,
    /// A tick comes every so many cycles.
    tick: u64,
    sending: Vec<u8>,
    /// Frames sent by the engine, without preamble and FCS.
    sent: Vec<Vec<u8>>,
}

impl Ethernet {
    fn new(config: &ToeConfig, backend: Backend) -> Self {
        let machine = machine(config, backend).expect("the engine can be built");
        let names = [
            "reset",
            "tick",
            "rx_dv",
            "rx_er",
            "rxd",
            "tx_en",
            "tx_er",
            "txd",
            "counter_address",
            "counter_data",
            "counter_lost",
            "command_valid",
            "command_ready",
            "command_ports",
            "command_ip",
            "command_owner",
            "command_option",
        ];
        let pins = names.map(|name| (name, machine.port(name).expect("a port")));
        let mut line = Self {
            machine,
            pins: BTreeMap::from(pins),
            cycle: 0,
            tick: 1_000,
            sending: vec![],
            sent: vec![],
        };
        line.reset();
        line
    }

    fn reset(&mut self) {
        self.poke("reset", 1);
        for _ in 0..2 {
            // A frame that the reset breaks off has no FCS.
            self.sending.clear();
            self.idle(1);
        }
        self.poke("reset", 0);
        // Memories clear themselves, and the gratuitous ARP leaves.
        self.sending.clear();
        self.idle(400);
        self.sent.clear();
    }

    fn poke(&mut self, pin: &str, value: u64) {
        self.machine.poke(self.pins[pin], value);
    }

    fn peek(&self, pin: &str) -> u64 {
        self.machine.peek(self.pins[pin])
    }

    fn cycle(&mut self, dv: bool, er: bool, data: u8) {
        self.poke("rx_dv", u64::from(dv));
        self.poke("rx_er", u64::from(er));
        self.poke("rxd", u64::from(data));
        self.poke("tick", u64::from(self.cycle % self.tick == self.tick - 1));
        self.machine.cycle();
        self.cycle += 1;
        if self.peek("tx_en") == 1 {
            assert_eq!(self.peek("tx_er"), 0, "cycle {}", self.cycle);
            self.sending.push(self.peek("txd") as u8);
        } else if !self.sending.is_empty() {
            let wire = std::mem::take(&mut self.sending);
            assert_eq!(wire[..8], [0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xD5]);
            let (frame, fcs) = wire[8..].split_at(wire.len() - 12);
            assert!(frame.len() >= 60);
            let right = Frame::new(frame).right_fcs().to_le_bytes();
            assert_eq!(fcs, right, "cycle {}", self.cycle);
            self.sent.push(frame.to_vec());
        }
    }

    fn idle(&mut self, cycles: u64) {
        for _ in 0..cycles {
            self.cycle(false, false, 0);
        }
    }

    fn play(&mut self, frame: &Frame) {
        for (error, byte) in on_the_line(frame) {
            self.cycle(true, error, byte);
        }
    }

    fn counters(&mut self) -> BTreeMap<Cause, u64> {
        let mut read = |cause: &Cause| {
            self.poke("counter_address", u64::from(cause.number()));
            self.idle(8);
            (*cause, self.peek("counter_data"))
        };
        Cause::ALL.iter().map(&mut read).collect()
    }
}

// ------------------------------------------------------------------------------------------------ lockstep of the Ethernet engine

/// What the peer knows of a connection of its own.
struct Talk {
    local: u16,
    remote: u16,
    /// Next to send, next expected.
    seq: u32,
    ack: u32,
    open: bool,
}

/// A crude TCP peer: it opens, sends in order and ahead of gaps, acknowledges, closes and breaks off, all at random.
struct Crowd {
    config: ToeConfig,
    talks: Vec<Talk>,
    next_port: u16,
}

impl Crowd {
    fn heard(&mut self, frame: &[u8]) {
        if frame[12..14] != [8, 0] || frame[23] != 6 {
            return;
        }
        let segment = &frame[34..14 + usize::from(u16::from_be_bytes([frame[16], frame[17]]))];
        let port = u16::from_be_bytes([segment[2], segment[3]]);
        let seq = u32::from_be_bytes(segment[4..8].try_into().unwrap());
        let (header, flags) = (usize::from(segment[12] >> 4) * 4, segment[13]);
        let Some(at) = self.talks.iter().position(|t| t.local == port) else {
            return;
        };
        let talk = &mut self.talks[at];
        if flags & RST != 0 {
            self.talks.remove(at);
        } else if flags & SYN != 0 {
            talk.ack = seq.wrapping_add(1);
            talk.open = true;
        } else if seq == talk.ack {
            let text = (segment.len() - header) as u32;
            talk.ack = seq.wrapping_add(text + u32::from(flags & FIN));
        }
    }

    fn segment(&mut self, rng: &mut impl Rng) -> Vec<u8> {
        if self.talks.len() < 4 && rng.random_bool(0.4) {
            self.next_port += 1;
            self.talks.push(Talk {
                local: self.next_port,
                remote: [7, 7, 9, 19, 81][rng.random_range(0..5)],
                seq: rng.random(),
                ack: 0,
                open: false,
            });
        }
        if self.talks.is_empty() || rng.random_bool(0.1) {
            // Of no connection at all.
            let (seq, ack) = (rng.random(), rng.random());
            let (local, flags) = (rng.random(), ACK);
            let stray = Tcp {
                local,
                remote: 7,
                seq,
                ack,
                flags,
                data: b"stray",
            };
            return tcp(&self.config, &stray);
        }
        let at = rng.random_range(0..self.talks.len());
        let talk = &mut self.talks[at];
        let (local, remote, seq, ack) = (talk.local, talk.remote, talk.seq, talk.ack);
        if !talk.open {
            // Half of them ask for ECN.
            let (flags, data) = (SYN | [0, ECE | CWR][rng.random_range(0..2)], &[][..]);
            let syn = Tcp {
                local,
                remote,
                seq,
                ack: 0,
                flags,
                data,
            };
            let packet = tcp(&self.config, &syn);
            return packet;
        }
        let seq = seq.wrapping_add(1); // behind the SYN
        let length = rng.random_range(0..120);
        let data = random_bytes(rng, length);
        let (mut at_seq, mut flags) = (seq, ACK);
        match rng.random_range(0..12) {
            0 => at_seq = seq.wrapping_add(rng.random_range(1..200)), // ahead of a gap
            1 => at_seq = seq.wrapping_sub(rng.random_range(1..300)),
            2 => flags |= FIN,
            3 if rng.random_bool(0.3) => flags = RST,
            _ => talk.seq = talk.seq.wrapping_add(length as u32),
        }
        if flags & RST == 0 && rng.random_bool(0.3) {
            flags |= [ECE, CWR, ECE | CWR][rng.random_range(0..3)];
        }
        if flags == RST {
            self.talks.remove(at);
        }
        let segment = Tcp {
            local,
            remote,
            seq: at_seq,
            ack,
            flags,
            data: &data,
        };
        let mut packet = tcp(&self.config, &segment);
        // Any codepoint, congestion experienced among them.
        packet[1] = rng.random_range(0..4);
        resum(&mut packet);
        packet
    }

    /// Any frame, sound or spoilt somewhere.
    fn frame(&mut self, rng: &mut impl Rng) -> Frame {
        let config = self.config.clone();
        let bytes = match rng.random_range(0..23) {
            20..23 if !self.talks.is_empty() => {
                let talk = &self.talks[rng.random_range(0..self.talks.len())];
                let ports = (talk.remote, talk.local);
                let seq = talk.ack.wrapping_sub(rng.random_range(0..200));
                let kind = [3, 3, 3, 11, 12][rng.random_range(0..5)];
                let mut error = icmp_about(&config, kind, 700, ports, seq);
                if kind == 3 {
                    // Fragmentation needed, most often.
                    error[1] = [1, 3, 4, 4, 4][rng.random_range(0..5)];
                    error[2..4].fill(0);
                    let sum = checksum(&error).to_be_bytes();
                    error[2..4].copy_from_slice(&sum);
                }
                ethernet(config.mac, 0x0800, &ip(&config, 1, &error))
            }
            0 => ethernet([0xFF; 6], 0x0806, &arp(&config, 1)),
            1 => {
                let mut wrong = arp(&config, 1);
                wrong[rng.random_range(0..8)] ^= 1 << rng.random_range(0..8);
                ethernet(config.mac, 0x0806, &wrong)
            }
            2 | 3 => {
                let length = rng.random_range(4..100);
                let echo = icmp(8, &random_bytes(rng, length));
                ethernet(config.mac, 0x0800, &ip(&config, 1, &echo))
            }
            4 => ethernet(config.mac, rng.random_range(0x900..0xFFFF), &[1; 60]),
            5 => ethernet(PEER, 0x0800, &self.segment(rng)),
            6 => ethernet(config.mac, 0x0800, &ip(&config, 17, b"udp")),
            7 => {
                let mut other = ip(&config, 6, b"for somebody else");
                other[19] ^= 1;
                resum(&mut other);
                ethernet(config.mac, 0x0800, &other)
            }
            _ => ethernet(config.mac, 0x0800, &self.segment(rng)),
        };
        let mut frame = Frame::new(bytes);
        match rng.random_range(0..24) {
            // Before the FCS is made: checksums, lengths and addresses are wrong.
            0..3 => {
                let at = rng.random_range(14..frame.bytes.len());
                frame.bytes[at] ^= 1 << rng.random_range(0..8);
            }
            3 => frame.tail = Tail::Fcs(rng.random()),
            4 => {
                frame.bytes.truncate(rng.random_range(0..60));
                frame.tail = Tail::Cut;
            }
            5 => {
                let keep = rng.random_range(14..=frame.bytes.len());
                frame.bytes.truncate(keep);
            }
            6 => frame.error_at = Some(rng.random_range(0..frame.bytes.len())),
            _ => {}
        }
        frame
    }
}

/// Random frames, sound and spoilt, with gaps from the shortest on, counters read and connections asked for meanwhile, and a reset in the middle
/// of a frame: not one output may differ in one cycle (the pair ends the run if so).
#[test]
fn the_ethernet_engine_is_its_verilog_over_random_frames() {
    let config = ToeConfig::default();
    let mut line = Ethernet::new(&config, Backend::Lockstep);
    let seed = toe_sim::lockstep::seed_or(1);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut seen: BTreeMap<Cause, u64> = BTreeMap::new();
    for _ in 0..2 {
        let mut crowd = Crowd {
            config: config.clone(),
            talks: vec![],
            next_port: 30_000,
        };
        let end = line.cycle + 12_000;
        while line.cycle < end {
            line.play(&crowd.frame(&mut rng));
            let gap = if rng.random_bool(0.4) {
                12
            } else {
                rng.random_range(12..150)
            };
            let ask = rng.random_bool(0.05);
            // An option of a connection, or its opening.
            let (ports, owner, option) = match crowd.talks.last() {
                Some(talk) if rng.random() => {
                    let ports = u64::from(talk.remote) << 16 | u64::from(talk.local);
                    let number = rng.random_range(0..6);
                    (
                        ports,
                        rng.random_range(0..2),
                        number | rng.random_range(0..100) << 8,
                    )
                }
                // With ECN asked for or not, and some DSCP.
                _ => (
                    rng.random_range(0..1 << 32),
                    0,
                    [0, 32][rng.random_range(0..2)] | rng.random_range(0..64) << 8,
                ),
            };
            line.poke("command_valid", u64::from(ask));
            line.poke("command_ip", u64::from(u32::from_be_bytes(PEER_IP)));
            line.poke("command_ports", ports);
            line.poke("command_owner", owner);
            line.poke("command_option", option);
            line.poke("counter_address", rng.random_range(0..64));
            for _ in 0..gap {
                line.cycle(false, false, rng.random());
                if line.peek("command_ready") == 1 {
                    line.poke("command_valid", 0);
                }
            }
            for frame in std::mem::take(&mut line.sent) {
                crowd.heard(&frame);
            }
        }
        line.poke("command_valid", 0);
        for (cause, count) in line.counters() {
            *seen.entry(cause).or_default() += count;
        }
        assert_eq!(line.peek("counter_lost"), 0);
        for (error, byte) in on_the_line(&crowd.frame(&mut rng)).into_iter().take(50) {
            line.cycle(true, error, byte);
        }
        line.poke("rx_dv", 0);
        line.reset();
    }
    println!("{seen:?}");
    for cause in [
        Cause::LinkBadFcs,
        Cause::LinkError,
        Cause::LinkRunt,
        Cause::EthOtherAddress,
        Cause::EthOtherType,
        Cause::ArpIn,
        Cause::ArpMalformed,
        Cause::Ip4BadHeader,
        Cause::Ip4BadLength,
        Cause::Ip4OtherAddress,
        Cause::Ip4OtherProtocol,
        Cause::IcmpEcho,
        Cause::IcmpError,
        Cause::IcmpOutside,
        Cause::TcpIn,
        Cause::TcpBadChecksum,
        Cause::Opened,
        Cause::Refused,
        Cause::Accepted,
        Cause::CongestionExperienced,
        Cause::Unacceptable,
        Cause::OutOfOrder,
        Cause::Stray,
        Cause::SegmentOut,
        Cause::FrameOut,
    ] {
        assert!(seen[&cause] > 0, "never seen: {cause:?}; {seen:?}");
    }
}

// ------------------------------------------------------------------------------------------------ lockstep of the SLIP engine

/// Cycles of a bit on the serial line.
const BIT: u32 = 4;

fn slip_pair(config: &ToeConfig) -> Box<dyn Machine> {
    let make = || SlipToe::new(config, BIT).expect("a sound configuration");
    let ports = toe_sim::rust_ports!(SlipToe {
        in: [reset, tick, rx],
        out: [
            tx, packet_in, packet_out, packet_bad, any_open,
            report_valid, report_conn, report_kind, report_value,
            trace_pc, trace_valid, trace_event, trace_kind, trace_conn, trace_done,
            trace_store, trace_store_conn, trace_operand, trace_data
        ],
    });
    let rust = RustMachine::new(make(), ports, |toe, clk| toe.clock.next = Clock { clk });
    let rust = rust.rising_only();
    let mut uut = make();
    uut.connect_all();
    let options = CxxrtlOptions {
        optimise: 2,
        ..CxxrtlOptions::default()
    };
    let verilog = CxxrtlMachine::new(&generate_verilog(&uut), &options).expect("it compiles");
    let pair = pair::Lockstep::new(Box::new(rust), Box::new(verilog)).expect("the same ports");
    Box::new(pair.strict())
}

/// The levels of a line that carries these bytes, a byte perhaps without its stop bit, some with rests behind them.
fn levels(bytes: Vec<u8>, broken: Option<usize>, rng: &mut impl Rng) -> Vec<bool> {
    let mut line = vec![];
    for (i, byte) in bytes.into_iter().enumerate() {
        for n in 0..10 {
            let level = match n {
                0 => false,
                9 => broken != Some(i),
                _ => byte >> (n - 1) & 1 == 1,
            };
            line.extend([level; BIT as usize]);
        }
        if rng.random_bool(0.1) {
            let rest = rng.random_range(1..60);
            line.extend(std::iter::repeat_n(true, rest));
        }
    }
    line.extend([true; 200]);
    line
}

/// Packets, sound and spoilt, and noise, and resets in the middle: not one output may differ in one cycle (the pair ends the run if so).
#[test]
fn the_slip_engine_is_its_verilog_over_random_bytes() {
    let config = ToeConfig {
        mtu: 576,
        connections: 1,
        rx_ring_bytes: 1024,
        tx_ring_bytes: 1024,
        ..ToeConfig::default()
    };
    let mut m = slip_pair(&config);
    let p = |name: &str| m.port(name).expect("a port");
    let (reset, tick, rx, tx) = (p("reset"), p("tick"), p("rx"), p("tx"));
    let pulses = ["packet_in", "packet_out", "packet_bad", "any_open"].map(p);
    let mut seen = [0; 4];
    let mut echoes = 0;
    let mut rng = ChaCha8Rng::seed_from_u64(toe_sim::lockstep::seed_or(1));
    for _ in 0..2 {
        let mut crowd = Crowd {
            config: config.clone(),
            talks: vec![],
            next_port: 30_000,
        };
        // Reads the packets that come out.
        let mut ear = uart::SlipPort::new(BIT);
        let mut line = vec![].into_iter();
        for cycle in 0..60_000 {
            m.poke(reset, u64::from(cycle < 2));
            m.poke(tick, u64::from(cycle % 500 == 499));
            ear.step(m.peek(tx) == 1);
            while let Some(packet) = ear.take() {
                echoes += usize::from(packet.bytes.get(9) == Some(&1));
                if packet.bytes.len() >= 40 {
                    crowd.heard(&[&[0; 12], &[8, 0][..], &packet.bytes].concat());
                }
            }
            let level = line.next().unwrap_or_else(|| {
                let mut bytes = match rng.random_range(0..10) {
                    0..4 => {
                        let length = rng.random_range(4..30);
                        uart::encode(&ip(&config, 1, &icmp(8, &random_bytes(&mut rng, length))))
                    }
                    4 => random_bytes(&mut rng, 20),
                    _ => uart::encode(&crowd.segment(&mut rng)),
                };
                if rng.random_bool(0.15) {
                    let at = rng.random_range(0..bytes.len());
                    bytes[at] ^= 1 << rng.random_range(0..8);
                }
                let broken = rng.random_bool(0.2);
                let broken = broken.then(|| rng.random_range(0..bytes.len()));
                line = levels(bytes, broken, &mut rng).into_iter();
                true
            });
            m.poke(rx, u64::from(level));
            m.cycle();
            for (count, port) in seen.iter_mut().zip(pulses) {
                *count += m.peek(port);
            }
        }
    }
    println!("{seen:?}, {echoes} echoes");
    let [came, sent, bad, open] = seen;
    assert!(came > 20 && sent > 10 && bad > 4, "{seen:?}");
    assert!(open > 1_000 && echoes > 3, "{seen:?}, {echoes} echoes");
}

// ------------------------------------------------------------------------------------------------ the way of a frame

/// Sound frames and one fault each, all through MAC, Ethernet, ARP, IPv4 and ICMP: every good echo is answered with its own bytes,
/// every other frame counted under exactly one cause and answered by nothing.
#[test]
fn every_echo_is_answered_and_every_bad_frame_has_one_cause() {
    let config = ToeConfig::default();
    let mut line = Ethernet::new(&config, Backend::Verilog);
    line.tick = 1_000_000;
    let seed = toe_sim::lockstep::seed_or(2);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut kinds = BTreeMap::new();
    let mut before = line.counters();
    for turn in 0..1_700 {
        let length = rng.random_range(4..=508);
        let rest = random_bytes(&mut rng, length);
        let echo = ip(&config, 1, &icmp(8, &rest));
        let whole = |packet: &[u8]| Frame::new(ethernet(config.mac, 0x0800, packet));
        let good = whole(&echo);
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut packet = echo.clone();
            change(&mut packet);
            resum(&mut packet);
            whole(&packet)
        };
        let any = rng.random_range(0..good.bytes.len());
        let bit = 1 << rng.random_range(0..8);
        let kind = rng.random_range(0..22);
        let (frame, causes): (Frame, &[Cause]) = match kind {
            0 => {
                let mut f = good.clone();
                f.tail = Tail::Fcs(f.right_fcs() ^ 1 << rng.random_range(0..32));
                (f, &[Cause::LinkBadFcs])
            }
            1 => {
                // Anything may be wrong in a frame whose sequence says so.
                let mut f = good.clone();
                f.tail = Tail::Fcs(f.right_fcs());
                f.bytes[any] ^= bit;
                (f, &[Cause::LinkBadFcs])
            }
            2 => {
                let mut f = good.clone();
                f.error_at = Some(any);
                (f, &[Cause::LinkError])
            }
            3 => {
                let f = Frame::cut(&good.bytes[..rng.random_range(1..46)]);
                (f, &[Cause::LinkRunt])
            }
            4 => {
                let f = ethernet(config.mac, 0x0800, &random_bytes(&mut rng, 1501));
                (Frame::new(f), &[Cause::LinkOversize])
            }
            5 => {
                let mut f = good.clone();
                f.bytes[rng.random_range(0..6)] ^= bit;
                (f, &[Cause::FrameIn, Cause::EthOtherAddress])
            }
            6 => {
                let mut f = good.clone();
                f.bytes[12] ^= 0x40;
                (f, &[Cause::FrameIn, Cause::EthOtherType])
            }
            7 => {
                let f = ethernet([0xFF; 6], 0x0806, &arp(&config, 1));
                (
                    Frame::new(f),
                    &[Cause::FrameIn, Cause::ArpIn, Cause::FrameOut],
                )
            }
            8 => {
                let f = ethernet(config.mac, 0x0806, &arp(&config, 2));
                (Frame::new(f), &[Cause::FrameIn, Cause::ArpIn])
            }
            9 => {
                let mut f = ethernet([0xFF; 6], 0x0806, &arp(&config, 1));
                f[14 + rng.random_range(0..6)] ^= bit;
                (Frame::new(f), &[Cause::FrameIn, Cause::ArpMalformed])
            }
            10 => {
                let mut f = good.clone();
                f.bytes[14 + rng.random_range(0..20)] ^= bit;
                (f, &[Cause::FrameIn, Cause::Ip4BadHeader])
            }
            11 => (
                with(&|p| p[6] |= 0x20),
                &[Cause::FrameIn, Cause::Ip4Fragment],
            ),
            12 => (
                with(&|p| p[19] ^= bit),
                &[Cause::FrameIn, Cause::Ip4OtherAddress],
            ),
            13 => (
                // Past the frame's end, padding included.
                with(&|p| p[2..4].copy_from_slice(&600_u16.to_be_bytes())),
                &[Cause::FrameIn, Cause::Ip4BadLength],
            ),
            14 => (
                with(&|p| p[9] = 17),
                &[Cause::FrameIn, Cause::Ip4OtherProtocol],
            ),
            15 => {
                let mut f = good.clone();
                f.bytes[34 + rng.random_range(0..4 + length)] ^= bit;
                (f, &[Cause::FrameIn, Cause::IcmpIn, Cause::IcmpBad])
            }
            16 => (
                whole(&ip(&config, 1, &icmp(0, &rest))),
                &[Cause::FrameIn, Cause::IcmpIn, Cause::IcmpOther],
            ),
            18 => (
                // An error about a segment of nobody.
                {
                    let kind = [3, 11, 12][rng.random_range(0..3)];
                    let (front, ports) = (rng.random(), (7, rng.random()));
                    let error = icmp_about(&config, kind, front, ports, rng.random());
                    whole(&ip(&config, 1, &error))
                },
                &[
                    Cause::FrameIn,
                    Cause::IcmpIn,
                    Cause::IcmpError,
                    Cause::IcmpStray,
                ],
            ),
            19 => (
                whole(&ip(
                    &config,
                    1,
                    &icmp([3, 11, 12][rng.random_range(0..3)], &rest),
                )),
                &[Cause::FrameIn, Cause::IcmpIn, Cause::IcmpQuoteBad],
            ),
            17 => {
                let long = random_bytes(&mut rng, 509);
                (
                    whole(&ip(&config, 1, &icmp(8, &long))),
                    &[Cause::FrameIn, Cause::IcmpIn, Cause::IcmpTooLong],
                )
            }
            _ => (
                good,
                &[
                    Cause::FrameIn,
                    Cause::IcmpIn,
                    Cause::IcmpEcho,
                    Cause::FrameOut,
                ],
            ),
        };
        let counted: &[Cause] = causes;
        *kinds.entry(counted.to_vec()).or_insert(0) += 1;
        line.play(&frame);
        line.idle(700);
        let after = line.counters();
        // `IcmpIn` counts what begins: for a message that proves void later it may stand beside the cause.
        let void = !counted.contains(&Cause::FrameIn) || counted.contains(&Cause::Ip4BadLength);
        let moved: Vec<Cause> = Cause::ALL
            .iter()
            .filter(|c| !(void && **c == Cause::IcmpIn))
            .flat_map(|c| std::iter::repeat_n(*c, (after[c] - before[c]) as usize))
            .collect();
        let mut wanted = counted.to_vec();
        wanted.sort();
        assert_eq!(
            moved, wanted,
            "turn {turn}, kind {kind}, seed {seed}: {frame:02x?}"
        );
        before = after;
        let sent = std::mem::take(&mut line.sent);
        if counted.contains(&Cause::FrameOut) {
            let [reply] = &sent[..] else {
                panic!("turn {turn}: {} answers", sent.len());
            };
            assert_eq!(reply[..6], PEER);
            if counted.contains(&Cause::IcmpEcho) {
                assert_eq!(reply[34..38], icmp(0, &rest)[..4]);
                assert_eq!(reply[38..38 + length], rest);
            }
        } else {
            assert!(sent.is_empty(), "turn {turn}, kind {kind}: answered");
        }
    }
    assert!(
        kinds.len() >= 20 && kinds.values().all(|n| *n > 30),
        "{kinds:?}"
    );
}
