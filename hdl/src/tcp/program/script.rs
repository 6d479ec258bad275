//! Packet scripts: what arrives, what must leave, what state follows, which counter moved. For the tests of the program's files.
//!
//! Sequence numbers in scripts are relative: ours begin at 0xFFFF_FF00 ([`US`]), the peer's at 0xFFFF_FFF0 ([`PEER`]), so that every script crosses the wrap;
//! [`Script::numbered`] begins elsewhere.
use super::host::ConnectionOption;
use super::mirror::Mirror;
use super::words;
use crate::config::{Listener, Owner, ToeConfig};
use crate::counters::Cause;
use crate::tcp::asm::Operand;
use crate::tcp::isa::FAR;
use crate::tcp::model::toe::{ModelToe, Report};
use std::cell::Cell;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;
pub const URG: u8 = 32;
pub const ECE: u8 = 64;
pub const CWR: u8 = 128;

/// ECN's codepoints (RFC 3168 section 5).
pub const ECT_0: u8 = 2;
pub const ECT_1: u8 = 1;
pub const CE: u8 = 3;

/// Our initial sequence number.
pub const US: u32 = 0xFFFF_FF00;
/// The peer's.
pub const PEER: u32 = 0xFFFF_FFF0;
/// Ports of the peer and of the host's listener.
pub const PEER_PORT: u16 = 40_000;
pub const HOST_PORT: u16 = 80;
pub const PEER_IP: [u8; 4] = [192, 168, 69, 1];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// An ACK leaves at the latest so many ticks after its segment (RFC 9293 section 3.8.6.3 allows less than 500).
pub const ACK_DELAY: u32 = 200;

/// A segment; `seq` and `ack` relative to the sender's and the receiver's initial numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seg {
    /// The peer's address.
    pub ip: [u8; 4],
    pub ports: (u16, u16),
    pub flags: u8,
    /// DSCP and ECN of its packet (RFC 3168 section 5).
    pub tos: u8,
    pub seq: u32,
    pub ack: u32,
    pub wnd: u16,
    pub urgent: u16,
    pub mss: Option<u16>,
    /// RFC 7323 section 2.
    pub scale: Option<u8>,
    /// TSval and TSecr (RFC 7323 section 3).
    pub stamps: Option<(u32, u32)>,
    /// RFC 5482 section 3.3: the bit of minutes, and 15 bits.
    pub timeout: Option<u16>,
    /// RFC 2018 section 2.
    pub sack_permitted: bool,
    /// Edges, relative as `ack` is (RFC 2018 section 3).
    pub sack: Vec<(u32, u32)>,
    /// Options as bytes, in front of those above; only on the way in.
    pub raw: Vec<u8>,
    pub data: Vec<u8>,
}

/// A segment of the peer without text, window 8192.
pub fn seg(flags: u8, seq: u32, ack: u32) -> Seg {
    Seg {
        ip: PEER_IP,
        ports: (PEER_PORT, HOST_PORT),
        flags,
        tos: 0,
        seq,
        ack,
        wnd: 8192,
        urgent: 0,
        mss: None,
        scale: None,
        stamps: None,
        timeout: None,
        sack_permitted: false,
        sack: Vec::new(),
        raw: Vec::new(),
        data: Vec::new(),
    }
}

impl Seg {
    pub fn wnd(mut self, wnd: u16) -> Self {
        self.wnd = wnd;
        self
    }
    /// A router marked it: congestion experienced.
    pub fn ce(mut self) -> Self {
        self.tos |= CE;
        self
    }
    /// With these flags besides.
    pub fn and(mut self, flags: u8) -> Self {
        self.flags |= flags;
        self
    }
    pub fn mss(mut self, mss: u16) -> Self {
        self.mss = Some(mss);
        self
    }
    pub fn urgent(mut self, pointer: u16) -> Self {
        self.flags |= URG;
        self.urgent = pointer;
        self
    }
    pub fn scale(mut self, shift: u8) -> Self {
        self.scale = Some(shift);
        self
    }
    pub fn stamps(mut self, value: u32, echo: u32) -> Self {
        self.stamps = Some((value, echo));
        self
    }
    pub fn timeout(mut self, option: u16) -> Self {
        self.timeout = Some(option);
        self
    }
    pub fn sack_permitted(mut self) -> Self {
        self.sack_permitted = true;
        self
    }
    /// A SACK option of these blocks, relative to our numbers.
    pub fn sack(mut self, blocks: &[(u32, u32)]) -> Self {
        self.sack = blocks.to_vec();
        self
    }
    pub fn raw(mut self, options: &[u8]) -> Self {
        self.raw = options.to_vec();
        self
    }
    pub fn at(mut self, seq: u32) -> Self {
        self.seq = seq;
        self
    }
    pub fn data(mut self, data: &[u8]) -> Self {
        self.data = data.to_vec();
        self
    }
    pub fn with_source(mut self, port: u16) -> Self {
        self.ports.0 = port;
        self
    }
    pub fn with_target(mut self, port: u16) -> Self {
        self.ports.1 = port;
        self
    }

    pub fn with_address(mut self, ip: [u8; 4]) -> Self {
        self.ip = ip;
        self
    }

    /// What it takes of the sequence space.
    pub fn length(&self) -> u32 {
        let controls = u32::from(self.flags & SYN != 0) + u32::from(self.flags & FIN != 0);
        self.data.len() as u32 + controls
    }

    /// No option but what the fields say, filled up with no-operations.
    fn options(&self, us: u32) -> Vec<u8> {
        let mut o = self.raw.clone();
        if let Some(mss) = self.mss {
            o.extend([2, 4]);
            o.extend(mss.to_be_bytes());
        }
        if let Some(shift) = self.scale {
            o.extend([3, 3, shift]);
        }
        if self.sack_permitted {
            o.extend([4, 2]);
        }
        if let Some(timeout) = self.timeout {
            o.extend([28, 4]);
            o.extend(timeout.to_be_bytes());
        }
        if !self.sack.is_empty() {
            o.extend([5, 2 + 8 * self.sack.len() as u8]);
            for (left, right) in &self.sack {
                o.extend(us.wrapping_add(*left).to_be_bytes());
                o.extend(us.wrapping_add(*right).to_be_bytes());
            }
        }
        if let Some((value, echo)) = self.stamps {
            o.extend([8, 10]);
            o.extend(value.to_be_bytes());
            o.extend(echo.to_be_bytes());
        }
        while !o.len().is_multiple_of(4) {
            o.push(1);
        }
        assert!(o.len() <= 40, "{} bytes of options", o.len());
        o
    }

    /// As an IP packet from the peer.
    fn packet(&self, own_ip: [u8; 4], us: u32, peer: u32) -> Vec<u8> {
        let options = self.options(us);
        let length = 40 + options.len() + self.data.len();
        let mut p = vec![0x45, self.tos];
        p.extend((length as u16).to_be_bytes());
        p.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        p.extend(self.ip);
        p.extend(own_ip);
        let sum = !fold(&p, 0);
        p[10..12].copy_from_slice(&sum.to_be_bytes());
        p.extend(self.ports.0.to_be_bytes());
        p.extend(self.ports.1.to_be_bytes());
        p.extend(peer.wrapping_add(self.seq).to_be_bytes());
        let ack = if self.flags & ACK != 0 {
            us.wrapping_add(self.ack)
        } else {
            0
        };
        p.extend(ack.to_be_bytes());
        p.extend([(((20 + options.len()) / 4) << 4) as u8, self.flags]);
        p.extend(self.wnd.to_be_bytes());
        p.extend([0; 2]);
        p.extend(self.urgent.to_be_bytes());
        p.extend(&options);
        p.extend(&self.data);
        let sum = !fold(&p[12..], 6 + (length as u32 - 20));
        p[36..38].copy_from_slice(&sum.to_be_bytes());
        p
    }

    /// From an IP packet of ours; checks both checksums, the lengths and every option.
    pub(super) fn parse(p: &[u8], us: u32, peer: u32) -> Self {
        let half = |at: usize| u16::from_be_bytes([p[at], p[at + 1]]);
        let word = |at: usize| u32::from_be_bytes([p[at], p[at + 1], p[at + 2], p[at + 3]]);
        assert_eq!(half(2) as usize, p.len(), "total length");
        assert_eq!(fold(&p[..20], 0), 0xFFFF, "header checksum");
        assert_eq!(fold(&p[12..], 6 + p.len() as u32 - 20), 0xFFFF, "checksum");
        let header = usize::from(p[32] >> 4) * 4;
        let flags = p[33];
        let mut segment = Seg {
            ip: [p[16], p[17], p[18], p[19]],
            ports: (half(20), half(22)),
            tos: p[1],
            wnd: half(34),
            urgent: half(38),
            data: p[20 + header..].to_vec(),
            ..seg(flags, word(24).wrapping_sub(us), 0)
        };
        if flags & ACK != 0 {
            segment.ack = word(28).wrapping_sub(peer);
        } else {
            assert_eq!(word(28), 0);
        }
        let mut at = 40;
        while at < 20 + header {
            let length = match p[at] {
                0 => {
                    assert!(p[at..20 + header].iter().all(|b| *b == 0), "padding");
                    break;
                }
                1 => 1,
                _ => usize::from(p[at + 1]),
            };
            assert!(at + length <= 20 + header, "an option past the header");
            match (p[at], length) {
                (1, 1) => {}
                (2, 4) => segment.mss = Some(half(at + 2)),
                (3, 3) => segment.scale = Some(p[at + 2]),
                (4, 2) => segment.sack_permitted = true,
                (5, 10 | 18 | 26 | 34) => {
                    let edges = (at + 2..at + length).step_by(8);
                    segment.sack = edges
                        .map(|e| (word(e).wrapping_sub(peer), word(e + 4).wrapping_sub(peer)))
                        .collect();
                }
                (28, 4) => segment.timeout = Some(half(at + 2)),
                (8, 10) => segment.stamps = Some((word(at + 2), word(at + 6))),
                (kind, length) => panic!("option {kind} of {length} bytes"),
            }
            at += length;
        }
        segment
    }
}

fn fold(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += (u32::from(pair[0]) << 8) | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

/// An ICMP error about a segment of ours (RFC 792; RFC 1191 section 4).
#[derive(Clone, Copy, Debug)]
pub struct Error {
    pub kind: u8,
    pub code: u8,
    /// Next-hop MTU.
    pub mtu: u16,
    /// Total length of the packet that it quotes.
    pub length: u16,
    /// Relative, as in [`Seg`] of ours.
    pub seq: u32,
    /// Ours, the peer's.
    pub ports: (u16, u16),
}

/// An engine with its program, and what it said.
pub struct Script {
    pub toe: ModelToe,
    /// The 802.1Q tag of what comes, and what leaves must have it, too.
    pub tag: Option<u16>,
    /// The connection does ECN, so that packets may have ECT(0); else none has.
    pub ecn: bool,
    /// The DSCP of what leaves, but RST and SYN-ACK, which have 0.
    pub dscp: u8,
    config: ToeConfig,
    us: u32,
    peer: u32,
    mirror: Option<Mirror>,
}

thread_local! {
    /// Scripts of this thread run in the program of 1,536 words.
    static HARDENED: Cell<bool> = const { Cell::new(false) };
}

/// Runs a script, or several, in the program of 1,536 words in place of the default's ([`ToeConfig::hardened`]).
pub fn hardened(scripts: impl FnOnce()) {
    HARDENED.set(true);
    scripts();
    HARDENED.set(false);
}

/// What the program of 1,536 words has. First numbers are the clock's, so that a script may name them.
pub fn hardened_config() -> ToeConfig {
    ToeConfig {
        program_words: 1536,
        timestamps: false,
        window_scale: false,
        cubic: false,
        icmp_errors: false,
        isn_hash: false,
        syn_cookies: false,
        ecn: false,
        ..ToeConfig::default()
    }
}

/// The same without SACK, and so without timestamps and CUBIC.
pub fn without_sack(config: ToeConfig) -> ToeConfig {
    ToeConfig {
        sack: false,
        timestamps: false,
        cubic: false,
        ..config
    }
}

/// The usual configuration with a listener of the host's. Text is acknowledged at once, so that a script need not wait.
pub fn config() -> ToeConfig {
    let base = match HARDENED.get() || std::env::var_os("TOE_SMALLER").is_some() {
        true => hardened_config(),
        false => ToeConfig::default(),
    };
    ToeConfig {
        delayed_ack: false,
        listeners: vec![
            Listener::new(7, Owner::Echo),
            Listener::new(HOST_PORT, Owner::Host),
        ],
        ..base
    }
}

impl Script {
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: ToeConfig) -> Self {
        Self::numbered(config, US, PEER)
    }

    /// With these initial numbers, ours and the peer's.
    pub fn numbered(config: ToeConfig, us: u32, peer: u32) -> Self {
        let mut toe = ModelToe::new(&config, &super::program(&config));
        toe.set_isn(us);
        let mirror = Mirror::of(&config);
        toe.done = mirror.is_some().then(Vec::new);
        toe.machine.tracing = true;
        toe.blocks
            .neighbours
            .insert(u32::from_be_bytes(PEER_IP), PEER_MAC);
        Self {
            toe,
            tag: None,
            ecn: false,
            dscp: 0,
            config,
            us,
            peer,
            mirror,
        }
    }

    /// The machine that does the same does no longer: what follows only the model can.
    pub fn model_only(&mut self, why: &str) -> &mut Self {
        if self.mirror.take().is_some() {
            println!("from here on on the model only: {why}");
        }
        self.toe.done = None;
        self
    }

    fn mirrored(&mut self) {
        let (Some(mirror), Some(done)) = (&mut self.mirror, &mut self.toe.done) else {
            return;
        };
        if mirror.is_tired(done) {
            self.model_only("too long");
            return;
        }
        if Mirror::is_too_much(done) {
            self.model_only("more bytes at once than a turn of the switch has");
            return;
        }
        let blocks = &mut self.toe.blocks;
        let (sent, told) = (
            std::mem::take(&mut blocks.sent),
            std::mem::take(&mut blocks.told),
        );
        mirror.follow(std::mem::take(done), sent, told, &blocks.neighbours);
    }

    /// A connection that the peer opened to `HOST_PORT`; both sides are at sequence number 1. The peer's MSS is 1000, its window 8192.
    pub fn established() -> Self {
        Self::established_with(config(), seg(SYN, 0, 0).mss(1000))
    }

    pub fn established_with(config: ToeConfig, syn: Seg) -> Self {
        let mut s = Self::with(config);
        let wnd = syn.wnd;
        s.inject(syn);
        s.expect(SYN | ACK, 0, 1, 0);
        s.inject(seg(ACK, 1, 1).wnd(wnd));
        s.silence();
        s.state("ESTABLISHED");
        s
    }

    /// The same with NewReno in place of CUBIC.
    pub fn new_reno(config: ToeConfig, syn: Seg) -> Self {
        let mut s = Self::established_with(config, syn);
        s.option(ConnectionOption::NewReno(true));
        s
    }

    /// A segment arrives, and the engine does all it can do without time passing.
    pub fn inject(&mut self, segment: Seg) -> &mut Self {
        self.arrive(segment).settle()
    }

    /// A segment arrives whose packet was changed on the way.
    pub fn inject_as(&mut self, segment: &Seg, change: impl Fn(&mut [u8])) -> &mut Self {
        let mut packet = segment.packet(self.config.ip, self.us, self.peer);
        change(&mut packet);
        self.toe.tagged_in(&packet, PEER_MAC, self.tag);
        self.settle()
    }

    /// A segment arrives in a packet with these IP options (RFC 791 section 3.1), whole words of them.
    pub fn inject_with(&mut self, segment: &Seg, options: &[u8]) -> &mut Self {
        let mut packet = segment.packet(self.config.ip, self.us, self.peer);
        packet.splice(20..20, options.iter().copied());
        packet[0] += (options.len() / 4) as u8;
        let length = (packet.len() as u16).to_be_bytes();
        packet[2..4].copy_from_slice(&length);
        packet[10..12].fill(0);
        let sum = !fold(&packet[..20 + options.len()], 0);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
        self.packet(&packet)
    }

    /// A segment arrives and waits.
    pub fn arrive(&mut self, segment: Seg) -> &mut Self {
        let packet = segment.packet(self.config.ip, self.us, self.peer);
        self.toe.tagged_in(&packet, PEER_MAC, self.tag);
        self
    }

    /// An ICMP error arrives, from a router in between.
    pub fn error(&mut self, error: Error) -> &mut Self {
        self.arrive_error(error).settle()
    }

    /// An ICMP error arrives whose packet was changed on the way, and its sum made right again.
    pub fn error_as(&mut self, error: Error, change: impl Fn(&mut [u8])) -> &mut Self {
        let mut packet = self.error_packet(error);
        change(&mut packet);
        packet[22..24].fill(0);
        let sum = !fold(&packet[20..], 0);
        packet[22..24].copy_from_slice(&sum.to_be_bytes());
        self.packet(&packet)
    }

    /// An ICMP error arrives and waits.
    pub fn arrive_error(&mut self, error: Error) -> &mut Self {
        let packet = self.error_packet(error);
        self.toe.tagged_in(&packet, PEER_MAC, self.tag);
        self
    }

    /// An IP packet arrives as it is.
    pub fn packet(&mut self, packet: &[u8]) -> &mut Self {
        self.toe.tagged_in(packet, PEER_MAC, self.tag);
        self.settle()
    }

    /// The packet of an error.
    pub fn error_packet(&self, error: Error) -> Vec<u8> {
        let mut quoted = vec![0x45, 0];
        quoted.extend(error.length.to_be_bytes());
        quoted.extend([0, 0, 0x40, 0, 1, 6, 0xAA, 0xAA]);
        quoted.extend(self.config.ip);
        quoted.extend(PEER_IP);
        quoted.extend(error.ports.0.to_be_bytes());
        quoted.extend(error.ports.1.to_be_bytes());
        quoted.extend(self.us.wrapping_add(error.seq).to_be_bytes());
        let mut message = vec![error.kind, error.code, 0, 0, 0, 0];
        message.extend(error.mtu.to_be_bytes());
        message.extend(quoted);
        let sum = !fold(&message, 0);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mut p = vec![0x45, 0, 0, 20 + message.len() as u8];
        p.extend([0, 0, 0, 0, 64, 1, 0, 0]);
        p.extend([10, 0, 0, 1]);
        p.extend(self.config.ip);
        let sum = !fold(&p, 0);
        p[10..12].copy_from_slice(&sum.to_be_bytes());
        p.extend(message);
        p
    }

    pub fn settle(&mut self) -> &mut Self {
        let settled = self.toe.settle(10_000);
        assert_eq!(settled, Ok(true), "{:?}", self.toe.machine.trace);
        assert_eq!(self.toe.blocks.complaints, Vec::<String>::new());
        self.mirrored();
        self
    }

    /// Time passes.
    pub fn ticks(&mut self, n: u32) -> &mut Self {
        for _ in 0..n {
            self.toe.tick();
            self.settle();
        }
        self
    }

    /// The next segment out, whatever it is.
    pub fn next(&mut self) -> Option<Seg> {
        let p = self.toe.packet_out()?;
        assert_eq!((p.mac, p.tag), (PEER_MAC, self.tag));
        let s = Seg::parse(&p.bytes, self.us, self.peer);
        let bare = s.flags & RST != 0 || s.flags & (SYN | ACK) == SYN | ACK;
        let dscp = if bare { 0 } else { self.dscp };
        assert!(
            s.tos >> 2 == dscp && (s.tos & 3 == 0 || self.ecn && s.tos & 3 == ECT_0),
            "DSCP and ECN of {s:?}"
        );
        Some(s)
    }

    /// The next segment out has these flags, numbers and this much text (PSH is not looked at).
    #[track_caller]
    pub fn expect(&mut self, flags: u8, seq: u32, ack: u32, length: usize) -> Seg {
        let s = self.next().expect("a segment");
        assert_eq!(s.ip, PEER_IP);
        assert_eq!(
            (s.flags & !PSH, s.seq, s.ack, s.data.len()),
            (flags, seq, ack, length),
            "flags, seq, ack, length of {s:?}"
        );
        s
    }

    /// Time passes until number `n` is acknowledged, which an ACK that may wait for a second segment or for [`ACK_DELAY`] does; nothing but ACKs leaves until then. The last of them.
    #[track_caller]
    pub fn acked(&mut self, n: u32) -> Seg {
        for waited in 0..=ACK_DELAY {
            while let Some(s) = self.next() {
                assert_eq!((s.flags, s.data.len()), (ACK, 0), "an ACK alone: {s:?}");
                if s.ack == n {
                    return s;
                }
            }
            if waited < ACK_DELAY {
                self.ticks(1);
            }
        }
        panic!("{n} is not acknowledged in {ACK_DELAY} ticks")
    }

    /// Nothing leaves but ACKs, which are dropped.
    #[track_caller]
    pub fn silence_but_acks(&mut self) -> &mut Self {
        while let Some(s) = self.next() {
            assert_eq!((s.flags, s.data.len()), (ACK, 0), "an ACK alone: {s:?}");
        }
        self
    }

    /// A word of connection 0 that holds a sequence number of ours, relative.
    pub fn ours(&self, word: Operand) -> u32 {
        self.word(word).wrapping_sub(self.us)
    }

    /// The same of the peer's.
    pub fn theirs(&self, word: Operand) -> u32 {
        self.word(word).wrapping_sub(self.peer)
    }

    /// An active open from `HOST_PORT` to the peer; its SYN has left.
    pub fn connecting() -> Self {
        let mut s = Self::new();
        s.connect();
        s.expect(SYN, 0, 0, 0);
        s.silence().state("SYN-SENT");
        s
    }

    /// The host's command, to the peer from `HOST_PORT`, that asks for ECN.
    pub fn connect_with_ecn(&mut self) -> &mut Self {
        let remote = (PEER_IP, PEER_PORT);
        self.toe.connect_with_ecn(HOST_PORT, remote, Owner::Host);
        self.settle()
    }

    /// The host's command, to the peer from `HOST_PORT`.
    pub fn connect(&mut self) -> &mut Self {
        let remote = (PEER_IP, PEER_PORT);
        self.toe.connect(HOST_PORT, remote, Owner::Host);
        self.settle()
    }

    /// An option of the connection with the peer, set by the host's application.
    pub fn option(&mut self, option: ConnectionOption) -> &mut Self {
        self.option_by(Owner::Host, option)
    }

    /// The same, set by another.
    pub fn option_by(&mut self, owner: Owner, option: ConnectionOption) -> &mut Self {
        let remote = (PEER_IP, PEER_PORT);
        self.toe.set_option(HOST_PORT, remote, owner, option);
        self.settle()
    }

    /// The application still has connection 0.
    pub fn attached(&self) -> bool {
        self.toe.blocks.attached[0] != Default::default()
    }

    /// Nothing (more) leaves.
    #[track_caller]
    pub fn silence(&mut self) -> &mut Self {
        assert_eq!(self.next(), None);
        self
    }

    /// The state of connection 0.
    #[track_caller]
    pub fn state(&mut self, name: &str) -> &mut Self {
        assert_eq!(super::state::name(self.word(words::STATE)), name);
        self
    }

    /// So many connections are remembered in TIME-WAIT; connection 0 is not among them.
    #[track_caller]
    pub fn waiting(&mut self, entries: usize) -> &mut Self {
        self.state("CLOSED");
        assert_eq!(self.toe.blocks.table.waiting(), entries, "in TIME-WAIT");
        self
    }

    /// A word of connection 0's state.
    pub fn word(&self, word: Operand) -> u32 {
        // The far words stand behind the near ones.
        let address = word.address().expect("a state word");
        self.toe.machine.state[0][usize::from(address - address / FAR * 32)]
    }

    #[track_caller]
    pub fn counted(&mut self, cause: Cause, times: u64) -> &mut Self {
        assert_eq!(self.toe.counter(cause), times, "{}", cause.name());
        self
    }

    /// What applications were told since the last time.
    pub fn reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.toe.blocks.reports)
    }

    /// The host writes.
    #[track_caller]
    pub fn write(&mut self, bytes: &[u8]) -> &mut Self {
        assert_eq!(self.toe.host_write(0, bytes), bytes.len());
        self.settle()
    }

    /// The host reads all that is readable.
    pub fn read(&mut self) -> Vec<u8> {
        let bytes = self.toe.host_read(0, usize::MAX);
        self.settle();
        bytes
    }

    pub fn close(&mut self) -> &mut Self {
        self.toe.host_close(0);
        self.settle()
    }

    pub fn abort(&mut self) -> &mut Self {
        self.toe.host_abort(0);
        self.settle()
    }

    /// The table has this many entries, and every segment that came is counted under one cause.
    #[track_caller]
    pub fn slots(&mut self, used: usize) -> &mut Self {
        assert_eq!(self.toe.blocks.table.used(), used);
        let dispositions: u64 = [
            Cause::Accepted,
            Cause::Unacceptable,
            Cause::BadAck,
            Cause::NoAck,
            Cause::Refused,
            Cause::NoSlot,
            Cause::SourceLimit,
            Cause::Stray,
            Cause::BadSource,
            Cause::StaleRecord,
            Cause::ResetIn,
        ]
        .iter()
        .map(|c| self.toe.counter(*c))
        .sum();
        assert_eq!(dispositions, self.toe.counter(Cause::TcpIn));
        self
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.mirrored();
        if let Some(mirror) = &mut self.mirror {
            mirror.account(&self.toe.blocks.counters);
        }
    }
}
