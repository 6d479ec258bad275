//! Packet scripts: what arrives, what must leave, what state follows, which counter moved. For the tests of the program's files.
//!
//! Sequence numbers in scripts are relative: ours begin at 0xFFFF_FF00 ([`US`]), the peer's at 0xFFFF_FFF0 ([`PEER`]), so that every script crosses the wrap.
use super::words;
use crate::config::{Listener, Owner, ToeConfig};
use crate::counters::Cause;
use crate::tcp::asm::Operand;
use crate::tcp::model::toe::ModelToe;

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

/// Our initial sequence number.
pub const US: u32 = 0xFFFF_FF00;
/// The peer's.
pub const PEER: u32 = 0xFFFF_FFF0;
/// Ports of the peer and of the host's listener.
pub const PEER_PORT: u16 = 40_000;
pub const HOST_PORT: u16 = 80;
const PEER_IP: [u8; 4] = [192, 168, 69, 1];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// A segment; `seq` and `ack` relative to the sender's and the receiver's initial numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seg {
    pub ports: (u16, u16),
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    pub wnd: u16,
    pub mss: Option<u16>,
    pub data: Vec<u8>,
}

/// A segment of the peer without text, window 8192.
pub fn seg(flags: u8, seq: u32, ack: u32) -> Seg {
    Seg {
        ports: (PEER_PORT, HOST_PORT),
        flags,
        seq,
        ack,
        wnd: 8192,
        mss: None,
        data: Vec::new(),
    }
}

impl Seg {
    pub fn wnd(mut self, wnd: u16) -> Self {
        self.wnd = wnd;
        self
    }
    pub fn mss(mut self, mss: u16) -> Self {
        self.mss = Some(mss);
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

    /// As an IP packet from the peer.
    fn packet(&self, own_ip: [u8; 4]) -> Vec<u8> {
        let options = if self.mss.is_some() { 4 } else { 0 };
        let length = 40 + options + self.data.len();
        let mut p = vec![0x45, 0];
        p.extend((length as u16).to_be_bytes());
        p.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        p.extend(PEER_IP);
        p.extend(own_ip);
        let sum = !fold(&p, 0);
        p[10..12].copy_from_slice(&sum.to_be_bytes());
        p.extend(self.ports.0.to_be_bytes());
        p.extend(self.ports.1.to_be_bytes());
        p.extend(PEER.wrapping_add(self.seq).to_be_bytes());
        let ack = if self.flags & ACK != 0 {
            US.wrapping_add(self.ack)
        } else {
            0
        };
        p.extend(ack.to_be_bytes());
        p.extend([(((20 + options) / 4) << 4) as u8, self.flags]);
        p.extend(self.wnd.to_be_bytes());
        p.extend([0; 4]);
        if let Some(mss) = self.mss {
            p.extend([2, 4]);
            p.extend(mss.to_be_bytes());
        }
        p.extend(&self.data);
        let sum = !fold(&p[12..], 6 + (length as u32 - 20));
        p[36..38].copy_from_slice(&sum.to_be_bytes());
        p
    }

    /// From an IP packet of ours; checks both checksums and the length.
    fn parse(p: &[u8]) -> Self {
        let half = |at: usize| u16::from_be_bytes([p[at], p[at + 1]]);
        let word = |at: usize| u32::from_be_bytes([p[at], p[at + 1], p[at + 2], p[at + 3]]);
        assert_eq!(half(2) as usize, p.len(), "total length");
        assert_eq!(fold(&p[..20], 0), 0xFFFF, "header checksum");
        assert_eq!(fold(&p[12..], 6 + p.len() as u32 - 20), 0xFFFF, "checksum");
        assert_eq!(p[16..20], PEER_IP);
        let header = usize::from(p[32] >> 4) * 4;
        let flags = p[33];
        let mss = (header > 20).then(|| {
            assert_eq!(p[40..42], [2, 4], "an MSS option");
            half(42)
        });
        Seg {
            ports: (half(20), half(22)),
            flags,
            seq: word(24).wrapping_sub(US),
            ack: if flags & ACK != 0 {
                word(28).wrapping_sub(PEER)
            } else {
                assert_eq!(word(28), 0);
                0
            },
            wnd: half(34),
            mss,
            data: p[20 + header..].to_vec(),
        }
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

/// An engine with its program, and what it said.
pub struct Script {
    pub toe: ModelToe,
    config: ToeConfig,
}

/// The usual configuration with a listener of the host's. Text is acknowledged at once, so that a script need not wait.
pub fn config() -> ToeConfig {
    ToeConfig {
        delayed_ack: false,
        listeners: vec![
            Listener::new(7, Owner::Echo),
            Listener::new(HOST_PORT, Owner::Host),
        ],
        ..ToeConfig::default()
    }
}

impl Script {
    pub fn new() -> Self {
        Self::with(config())
    }

    pub fn with(config: ToeConfig) -> Self {
        let mut toe = ModelToe::new(&config, &super::program(&config));
        toe.set_isn(US);
        toe.machine.tracing = true;
        toe.blocks
            .neighbours
            .insert(u32::from_be_bytes(PEER_IP), PEER_MAC);
        Self { toe, config }
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

    /// A segment arrives, and the engine does all it can do without time passing.
    pub fn inject(&mut self, segment: Seg) -> &mut Self {
        self.arrive(segment).settle()
    }

    /// A segment arrives and waits.
    pub fn arrive(&mut self, segment: Seg) -> &mut Self {
        self.toe
            .packet_in(&segment.packet(self.config.ip), PEER_MAC);
        self
    }

    pub fn settle(&mut self) -> &mut Self {
        let settled = self.toe.settle(10_000);
        assert_eq!(settled, Ok(true), "{:?}", self.toe.machine.trace);
        assert_eq!(self.toe.blocks.complaints, Vec::<String>::new());
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
        assert_eq!(p.mac, PEER_MAC);
        Some(Seg::parse(&p.bytes))
    }

    /// The next segment out has these flags, numbers and this much text (PSH is not looked at).
    #[track_caller]
    pub fn expect(&mut self, flags: u8, seq: u32, ack: u32, length: usize) -> Seg {
        let s = self.next().expect("a segment");
        assert_eq!(
            (s.flags & !PSH, s.seq, s.ack, s.data.len()),
            (flags, seq, ack, length),
            "flags, seq, ack, length of {s:?}"
        );
        s
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
        self.toe.machine.state[0][word.address().expect("a state word") as usize]
    }

    #[track_caller]
    pub fn counted(&mut self, cause: Cause, times: u64) -> &mut Self {
        assert_eq!(self.toe.counter(cause), times, "{}", cause.name());
        self
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
            Cause::Stray,
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
