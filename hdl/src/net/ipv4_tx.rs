//! Puts the IPv4 header before a payload (RFC 791) and takes turns between two sources, a packet each.
//!
//! The header is 20 bytes: DSCP and ECN as the source says (RFC 2474 section 3, RFC 3168 section 5), don't fragment, identification 0 (RFC 6864 section 4.1: an atomic datagram), the configuration's time to live. Its checksum is summed while the first ten bytes leave.
//!
//! Latency: the first byte is offered 1 cycle after the source's `valid`. Throughput: a byte a cycle; one idle cycle between packets.
//!
//! Abort: none; a source of packets neither fails nor starves.
use crate::config::ToeConfig;
use crate::net::parts::{ByteTable, OnesSum, PickByte};
use crate::net::PacketIn;
use crate::stream::StreamOut;
use rust_hdl::prelude::*;

#[derive(LogicState, Clone, Copy, Debug, PartialEq)]
enum State {
    Choose,
    Header,
    Payload,
}

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct Registers {
    state: State,
    /// the packet is source b's
    turn: Bit,
    /// byte of the header
    index: Bits<5>,
    // the running sum
    older: Bits<8>,
    newer: Bits<8>,
    carry: Bit,
}

/// The IPv4 sender.
///
/// **Contract.** `dst_hi`, `dst_lo` are the Ethernet address the packet goes to, `dst_tag` its tag, stable from its first beat through its last. A payload is at most 2,027 bytes long.
#[derive(LogicBlock, Debug)]
pub struct Ipv4Tx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // packets in
    pub a: PacketIn,
    pub b: PacketIn,
    // stream out
    pub packet: StreamOut,
    pub dst_hi: Signal<Out, Bits<16>>,
    pub dst_lo: Signal<Out, Bits<32>>,
    pub dst_tag: Signal<Out, Bits<16>>,

    r: DFF<Registers>,
    sum: OnesSum,
    fixed: ByteTable<5>,
    pick: PickByte,
    // the chosen source
    data: Signal<Local, Bits<8>>,
    last: Signal<Local, Bit>,
    valid: Signal<Local, Bit>,
    protocol: Signal<Local, Bits<8>>,
    length: Signal<Local, Bits<16>>,
    tos: Signal<Local, Bits<8>>,
    /// the byte of DSCP and ECN, and they are not zero
    marked: Signal<Local, Bit>,
    low: Signal<Local, Bits<3>>,
    /// the header's byte from what the source says
    told: Signal<Local, Bits<8>>,
    inverted: Signal<Local, Bits<8>>,
    moved: Signal<Local, Bit>,
    fixed_upper: Constant<Bits<8>>,
    fixed_lower: Constant<Bits<8>>,
}

impl Ipv4Tx {
    /// A sender with the address `config.ip`.
    pub fn new(config: &ToeConfig) -> Self {
        let mut fixed = [None; 20];
        // Version and length, DSCP and ECN where they are zero; identification, flags and offset, time to live; source. Length, protocol, sum and destination are told.
        for (at, byte) in [
            (0, 0x45),
            (1, 0),
            (4, 0),
            (5, 0),
            (6, 0x40),
            (7, 0),
            (8, config.ttl),
        ] {
            fixed[at] = Some(byte);
        }
        for (at, byte) in config.ip.into_iter().enumerate() {
            fixed[12 + at] = Some(byte);
        }
        let mut sum = 0_u32;
        for (at, byte) in fixed.iter().enumerate() {
            sum += u32::from(byte.unwrap_or(0)) << (8 * (1 - at % 2));
        }
        while sum > 0xFFFF {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        Self {
            clock: Default::default(),
            reset: Default::default(),
            a: Default::default(),
            b: Default::default(),
            packet: Default::default(),
            dst_hi: Default::default(),
            dst_lo: Default::default(),
            dst_tag: Default::default(),
            r: Default::default(),
            sum: Default::default(),
            fixed: ByteTable::new(&fixed),
            pick: Default::default(),
            data: Default::default(),
            last: Default::default(),
            valid: Default::default(),
            protocol: Default::default(),
            length: Default::default(),
            tos: Default::default(),
            marked: Default::default(),
            low: Default::default(),
            told: Default::default(),
            inverted: Default::default(),
            moved: Default::default(),
            fixed_upper: Constant::new((sum >> 8).to_bits()),
            fixed_lower: Constant::new((sum & 0xFF).to_bits()),
        }
    }
}

impl Logic for Ipv4Tx {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();

        // ---- the chosen source
        self.data.next = self.a.data.val();
        self.last.next = self.a.last.val();
        self.valid.next = self.a.valid.val();
        self.protocol.next = self.a.protocol.val();
        self.length.next = self.a.length.val();
        self.tos.next = self.a.tos.val();
        self.pick.lo.next = self.a.ip.val();
        self.dst_hi.next = self.a.mac_hi.val();
        self.dst_lo.next = self.a.mac_lo.val();
        self.dst_tag.next = self.a.tag.val();
        if self.r.q.val().turn {
            self.data.next = self.b.data.val();
            self.last.next = self.b.last.val();
            self.valid.next = self.b.valid.val();
            self.protocol.next = self.b.protocol.val();
            self.length.next = self.b.length.val();
            self.tos.next = self.b.tos.val();
            self.pick.lo.next = self.b.ip.val();
            self.dst_hi.next = self.b.mac_hi.val();
            self.dst_lo.next = self.b.mac_lo.val();
            self.dst_tag.next = self.b.tag.val();
        }

        // ---- named wires
        self.fixed.index.next = self.r.q.val().index;
        // Total length (2) and destination (4) in one row: bytes 2 to 7 and 16 to 19 of the header. At 4 to 7, where constants leave, the sum
        // takes the destination.
        self.pick.hi.next = self.length.val() + bits::<16>(20);
        self.low.next = bit_cast::<3, 5>(self.r.q.val().index);
        self.pick.index.next = self.low.val() + bits::<3>(6);
        if self.r.q.val().index > bits::<5>(15) {
            self.pick.index.next = self.low.val() + bits::<3>(2);
        }
        self.told.next = self.pick.picked.val();
        if self.r.q.val().index == bits::<5>(9) {
            self.told.next = self.protocol.val();
        }
        self.marked.next = self.tos.val().any() && (self.r.q.val().index == bits::<5>(1));
        self.sum.half.next = self.r.q.val().older;
        self.sum.carry.next = self.r.q.val().carry;
        self.sum.addend.next = self.told.val();
        if (self.r.q.val().index < bits::<5>(2))
            || (self.r.q.val().index == bits::<5>(8))
            || (self.r.q.val().index > bits::<5>(9))
        {
            self.sum.addend.next = bits::<8>(0);
        }
        if self.marked.val() {
            self.sum.addend.next = self.tos.val();
        }
        self.inverted.next = !self.sum.sum.val();
        self.moved.next = self.packet.ready.val()
            && ((self.r.q.val().state == State::Header)
                || ((self.r.q.val().state == State::Payload) && self.valid.val()));

        // ---- defaults
        self.a.ready.next = false;
        self.b.ready.next = false;
        self.packet.data.next = self.data.val();
        self.packet.valid.next = false;
        self.packet.last.next = false;
        self.packet.error.next = false;

        // ---- state machine
        match self.r.q.val().state {
            State::Choose => {
                self.r.d.next.index = bits::<5>(0);
                self.r.d.next.older = self.fixed_upper.val();
                self.r.d.next.newer = self.fixed_lower.val();
                self.r.d.next.carry = false;
                if self.a.valid.val() && (self.r.q.val().turn || !self.b.valid.val()) {
                    self.r.d.next.turn = false;
                    self.r.d.next.state = State::Header;
                } else if self.b.valid.val() {
                    self.r.d.next.turn = true;
                    self.r.d.next.state = State::Header;
                }
            }
            State::Header => {
                self.packet.valid.next = true;
                self.packet.data.next = self.told.val();
                if self.fixed.known.val() {
                    self.packet.data.next = self.fixed.value.val();
                } else if (self.r.q.val().index == bits::<5>(10))
                    || (self.r.q.val().index == bits::<5>(11))
                {
                    self.packet.data.next = self.inverted.val();
                }
                if self.marked.val() {
                    self.packet.data.next = self.tos.val();
                }
                if self.moved.val() {
                    self.r.d.next.index = self.r.q.val().index + bits::<5>(1);
                    self.r.d.next.older = self.r.q.val().newer;
                    self.r.d.next.newer = self.sum.sum.val();
                    self.r.d.next.carry = self.sum.carry_out.val();
                    if self.r.q.val().index == bits::<5>(19) {
                        self.r.d.next.state = State::Payload;
                    }
                }
            }
            _ => {
                self.packet.valid.next = self.valid.val();
                self.packet.last.next = self.last.val();
                self.a.ready.next = self.packet.ready.val() && !self.r.q.val().turn;
                self.b.ready.next = self.packet.ready.val() && self.r.q.val().turn;
                if self.moved.val() && self.last.val() {
                    self.r.d.next.state = State::Choose;
                }
            }
        }

        // ---- reset
        if self.reset.val() {
            self.r.d.next.state = State::Choose;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testgen::*;
    use rand::{Rng, SeedableRng};
    use std::cell::Cell;

    /// Payload, protocol, destination; MAC, tag, DSCP and ECN are made of the destination.
    type Packet = (Vec<u8>, u8, [u8; 4]);

    fn expected((payload, protocol, dst): &Packet, ttl: u8) -> Vec<u8> {
        let mut ip = Ip::to_us(*protocol, payload);
        ip.ttl = ttl;
        ip.src = IP;
        ip.dst = *dst;
        ip.tos = dst[3];
        ip.build()
    }

    macro_rules! offer {
        ($port:expr, $packet:expr, $at:expr) => {
            $port.valid.next = $packet.is_some();
            if let Some((payload, protocol, dst)) = $packet {
                $port.data.next = payload[$at].to_bits();
                $port.last.next = $at + 1 == payload.len();
                $port.protocol.next = protocol.to_bits();
                $port.ip.next = u32::from_be_bytes(*dst).to_bits();
                $port.mac_hi.next = u16::from_be_bytes([dst[0], dst[1]]).to_bits();
                $port.mac_lo.next = (!u32::from_be_bytes(*dst)).to_bits();
                $port.tag.next = u16::from_be_bytes([dst[3], dst[1]]).to_bits();
                $port.tos.next = dst[3].to_bits();
                $port.length.next = payload.len().to_bits();
            }
        };
    }

    /// Sends both lists; packets in the order they left, and the cycle of each beat.
    fn run(a: &[Packet], b: &[Packet], ready: f64) -> (Vec<Vec<u8>>, Vec<usize>) {
        run_with(a, b, ready, 64)
    }

    /// The same with a time to live.
    fn run_with(a: &[Packet], b: &[Packet], ready: f64, ttl: u8) -> (Vec<Vec<u8>>, Vec<usize>) {
        let mut rng = rand::rngs::StdRng::seed_from_u64(791);
        let mut uut = Ipv4Tx::new(&ToeConfig {
            ttl,
            ..ToeConfig::default()
        });
        uut.connect_all();
        let (mut out, mut beats) = (Collector::default(), vec![]);
        let (mut ai, mut at, mut bi, mut bt) = (0, 0, 0, 0);
        for now in 0..60_000 {
            let (pa, pb) = (a.get(ai), b.get(bi));
            offer!(uut.a, pa, at);
            offer!(uut.b, pb, bt);
            uut.packet.ready.next = rng.random_bool(ready);
            settle(&mut uut);
            if uut.packet.valid.val() && uut.packet.ready.val() {
                beats.push(now);
                let p = &uut.packet;
                out.beat(p.data.val().to_u8(), p.last.val(), p.error.val());
                let told = (
                    uut.dst_hi.val().to_u16(),
                    uut.dst_lo.val().to_u32(),
                    uut.dst_tag.val().to_u16(),
                );
                let of = |p: Option<&Packet>| {
                    p.map(|(_, _, d)| {
                        let ip = u32::from_be_bytes(*d);
                        let tag = u16::from_be_bytes([d[3], d[1]]);
                        ((ip >> 16) as u16, !ip, tag)
                    })
                };
                assert!(of(pa) == Some(told) || of(pb) == Some(told));
            }
            if let Some(p) = pa.filter(|_| uut.a.ready.val()) {
                at += 1;
                if at == p.0.len() {
                    (ai, at) = (ai + 1, 0);
                }
            }
            if let Some(p) = pb.filter(|_| uut.b.ready.val()) {
                bt += 1;
                if bt == p.0.len() {
                    (bi, bt) = (bi + 1, 0);
                }
            }
            cycle!(uut);
            if ai == a.len() && bi == b.len() {
                break;
            }
        }
        (out.good(), beats)
    }

    #[test]
    fn headers_and_sums_at_every_length() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        for (ready, ttl) in [(1.0, 64), (0.4, 64), (1.0, 1), (1.0, 255)] {
            let packets: Vec<Packet> = [1, 2, 3, 235, 236, 237, 1479, 1480]
                .into_iter()
                .chain((0..60).map(|i| 1 + i % 7))
                .map(|n| {
                    // Destinations of ones and zeros make every carry.
                    let dst = [(); 4].map(|()| [0, 0xFF, rng.random()][rng.random_range(0..3)]);
                    let protocol = if n % 2 == 0 { 1 } else { 6 };
                    (random_bytes(&mut rng, n), protocol, dst)
                })
                .collect();
            let (sent, _) = run_with(&packets, &[], ready, ttl);
            let right: Vec<_> = packets.iter().map(|p| expected(p, ttl)).collect();
            assert_eq!(sent, right);
        }
    }

    #[test]
    fn the_two_take_turns() {
        let packet = |n: u8| (vec![n; 5], 6, [10, 0, 0, n]);
        let a = [packet(1), packet(2), packet(3)];
        let b = [packet(11), packet(12)];
        let (sent, _) = run(&a, &b, 1.0);
        let order: Vec<_> = sent.iter().map(|p| p[20]).collect();
        assert_eq!(order, [11, 1, 12, 2, 3]);
        assert_eq!(sent[0], expected(&b[0], 64));
    }

    #[test]
    fn latency_and_throughput() {
        let packet = (vec![7; 10], 6, PEER_IP);
        let (_, beats) = run(&[packet.clone(), packet], &[], 1.0);
        let expected: Vec<_> = (1..31).chain(32..62).collect();
        assert_eq!(beats, expected);
    }

    #[test]
    fn lockstep() {
        let mut packets: [Option<(Packet, usize)>; 2] = [None, None];
        let moved = Cell::new((false, false));
        toe_sim::lockstep::lockstep_observed(
            "ipv4_tx",
            || Ipv4Tx::new(&ToeConfig::default()),
            |uut, clk| uut.clock.next = Clock { clk },
            15_000,
            15_000,
            |uut: &mut Ipv4Tx, _, rng| {
                for (slot, moved) in packets.iter_mut().zip([moved.get().0, moved.get().1]) {
                    if let (Some((packet, at)), true) = (slot.as_mut(), moved) {
                        *at += 1;
                        if *at == packet.0.len() {
                            *slot = None;
                        }
                    }
                    if slot.is_none() && rng.random_bool(0.05) {
                        let n = rng.random_range(1..50);
                        *slot = Some(((random_bytes(rng, n), rng.random(), rng.random()), 0));
                    }
                }
                let [a, b] = &packets;
                let at = a.as_ref().map_or(0, |p| p.1);
                offer!(uut.a, a.as_ref().map(|p| &p.0), at);
                let at = b.as_ref().map_or(0, |p| p.1);
                offer!(uut.b, b.as_ref().map(|p| &p.0), at);
                uut.packet.ready.next = rng.random_bool(0.7);
                uut.reset.next = rng.random_bool(0.0005);
            },
            |uut: &Ipv4Tx, _| {
                moved.set((
                    uut.a.valid.val() && uut.a.ready.val(),
                    uut.b.valid.val() && uut.b.ready.val(),
                ));
            },
        )
        .unwrap_or_else(|error| panic!("{error}"));
    }
}
