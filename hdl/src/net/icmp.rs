//! Answers ICMP echo requests (RFC 792, RFC 1122 section 3.2.2.6).
//!
//! The message is stored as it comes, already turned into its reply: type 0, and the checksum adjusted (RFC 1624) for what the type lost.
//!
//! Latency: the reply is offered 2 cycles after the request's last beat. Throughput: in, a byte a cycle; out, a byte a cycle, one reply at a time: a request that comes
//! while a reply is sending is dropped and counted.
//!
//! Abort: a void message leaves nothing (IPv4 has counted it).
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::link::mac_rx::cause;
use crate::memory::Memory;
use crate::net::parts::OnesSum;
use crate::net::PacketOut;
use crate::stream::StreamIn;
use rust_hdl::prelude::*;

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct Registers {
    // ---- receiving
    /// byte of the message; 0 between messages
    index: Bits<11>,
    /// the message is not ICMP
    foreign: Bit,
    /// type or code is not echo request's
    other: Bit,
    /// no room
    refused: Bit,
    short: Bit,
    older: Bits<8>,
    newer: Bits<8>,
    carry: Bit,
    /// carry out of the upper byte of the new checksum, out of the lower
    carry_upper: Bit,
    carry_lower: Bit,
    /// the message is whole: judge it
    check: Bit,
    // ---- sending
    sending: Bit,
    sent: Bits<11>,
    /// byte `sent` as the buffer had it
    byte: Bits<8>,
    length: Bits<11>,
    mac_hi: Bits<16>,
    mac_lo: Bits<32>,
    tag: Bits<16>,
    ip: Bits<32>,
}

/// The echo responder.
///
/// **Contract.** `payload.ready` is high always. Messages of other protocols pass by unseen, and so do errors that are `taken` if their sum is right. Replies go to the Ethernet and IP address the request came from,
/// with `vlan` under its tag.
/// A message may be `icmp_bytes` long, header and all.
#[derive(LogicBlock, Debug)]
pub struct Icmp {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // stream in
    pub payload: StreamIn,
    pub info_src: Signal<In, Bits<32>>,
    pub info_protocol: Signal<In, Bits<8>>,
    pub info_length: Signal<In, Bits<16>>,
    pub src_hi: Signal<In, Bits<16>>,
    pub src_lo: Signal<In, Bits<32>>,
    pub src_tag: Signal<In, Bits<16>>,
    /// High in the cycle after a message's last beat if it is an error that the parser has taken, which counts it, too.
    pub taken: Signal<In, Bit>,
    // packets out
    pub packet: PacketOut,
    // counting
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,

    r: DFF<Registers>,
    buffer: Memory<Bits<8>, 11>,
    sum: OnesSum,
    first: Signal<Local, Bit>,
    mine: Signal<Local, Bit>,
    addend: Signal<Local, Bits<8>>,
    good: Signal<Local, Bit>,
    after: Signal<Local, Bits<11>>,
    later: Signal<Local, Bits<11>>,
    moved: Signal<Local, Bit>,
    final_beat: Signal<Local, Bit>,
    room: Constant<Bits<16>>,
    vlan: Constant<Bit>,
    in_cause: Constant<Bits<6>>,
    echo: Constant<Bits<6>>,
    other: Constant<Bits<6>>,
    bad: Constant<Bits<6>>,
    too_long: Constant<Bits<6>>,
}

impl Icmp {
    /// A responder with a buffer of `config.icmp_bytes`.
    pub fn new(config: &ToeConfig) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            payload: Default::default(),
            info_src: Default::default(),
            info_protocol: Default::default(),
            info_length: Default::default(),
            src_hi: Default::default(),
            src_lo: Default::default(),
            src_tag: Default::default(),
            taken: Default::default(),
            packet: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            r: Default::default(),
            buffer: Memory::new(config.icmp_bytes),
            sum: Default::default(),
            first: Default::default(),
            mine: Default::default(),
            addend: Default::default(),
            good: Default::default(),
            after: Default::default(),
            later: Default::default(),
            moved: Default::default(),
            final_beat: Default::default(),
            room: Constant::new(config.icmp_bytes.to_bits()),
            vlan: Constant::new(config.vlan),
            in_cause: cause(Cause::IcmpIn),
            echo: cause(Cause::IcmpEcho),
            other: cause(Cause::IcmpOther),
            bad: cause(Cause::IcmpBad),
            too_long: cause(Cause::IcmpTooLong),
        }
    }
}

impl Logic for Icmp {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.buffer.clock.next = self.clock.val();

        // ---- named wires
        self.first.next = !self.r.q.val().index.any();
        self.mine.next = self.info_protocol.val() == bits::<8>(1);
        self.sum.half.next = self.r.q.val().older;
        self.sum.carry.next = self.r.q.val().carry;
        self.sum.addend.next = self.payload.data.val();
        if self.r.q.val().check {
            self.sum.addend.next = bits::<8>(0);
        }
        self.good.next =
            self.sum.sum.val().all() && self.r.q.val().newer.all() && !self.sum.carry_out.val();
        // The reply's type is less by 8, so its checksum is more by 0x0800.
        self.addend.next = bits::<8>(0);
        if self.first.val() {
            self.addend.next = bits::<8>(0xF8);
        }
        if self.r.q.val().index == bits::<11>(2) {
            self.addend.next = bits::<8>(8);
        }
        if (self.r.q.val().index == bits::<11>(3)) && self.r.q.val().carry_upper {
            self.addend.next = bits::<8>(1);
        }
        self.after.next = self.r.q.val().sent + bits::<11>(1);
        self.later.next = self.r.q.val().sent + bits::<11>(2);
        self.final_beat.next = self.after.val() == self.r.q.val().length;
        self.moved.next = self.r.q.val().sending && self.packet.ready.val();

        // ---- buffer
        self.buffer.write_address.next = self.r.q.val().index;
        self.buffer.write_data.next = self.payload.data.val() + self.addend.val();
        self.buffer.write_enable.next = self.payload.valid.val() && !self.r.q.val().sending;
        // The byte on offer stands in a register, the one behind it is what the buffer gives.
        self.buffer.read_address.next = bits::<11>(0);
        if self.r.q.val().check {
            self.buffer.read_address.next = bits::<11>(1);
        }
        if self.r.q.val().sending {
            self.buffer.read_address.next = self.after.val();
        }
        if self.moved.val() {
            self.buffer.read_address.next = self.later.val();
        }
        if self.moved.val() || !self.r.q.val().sending {
            self.r.d.next.byte = self.buffer.read_data.val();
        }

        // ---- receive
        self.count.next = false;
        self.cause.next = self.in_cause.val();
        self.r.d.next.check = false;
        if self.payload.valid.val() {
            self.r.d.next.index = self.r.q.val().index + bits::<11>(1);
            self.r.d.next.older = self.r.q.val().newer;
            self.r.d.next.newer = self.sum.sum.val();
            self.r.d.next.carry = self.sum.carry_out.val();
            if self.first.val() {
                self.r.d.next.foreign = !self.mine.val();
                self.r.d.next.other = self.payload.data.val() != bits::<8>(8);
                self.r.d.next.refused =
                    self.r.q.val().sending || (self.info_length.val() > self.room.val());
                self.r.d.next.short = self.info_length.val() < bits::<16>(8);
                self.count.next = self.mine.val() && (self.info_length.val() > bits::<16>(7));
                if !self.r.q.val().sending {
                    self.r.d.next.length = bit_cast::<11, 16>(self.info_length.val());
                    self.r.d.next.mac_hi = self.src_hi.val();
                    self.r.d.next.mac_lo = self.src_lo.val();
                    if self.vlan.val() {
                        self.r.d.next.tag = self.src_tag.val();
                    }
                    self.r.d.next.ip = self.info_src.val();
                }
            }
            if (self.r.q.val().index == bits::<11>(1)) && self.payload.data.val().any() {
                self.r.d.next.other = true;
            }
            // A refused message must leave the carries of the reply that is sending.
            if (self.r.q.val().index == bits::<11>(2)) && !self.r.q.val().sending {
                self.r.d.next.carry_upper = self.payload.data.val() > bits::<8>(0xF7);
            }
            if (self.r.q.val().index == bits::<11>(3)) && !self.r.q.val().sending {
                self.r.d.next.carry_lower =
                    self.r.q.val().carry_upper && self.payload.data.val().all();
            }
            if self.payload.last.val() {
                self.r.d.next.index = bits::<11>(0);
                self.r.d.next.check = !self.payload.error.val()
                    && ((self.first.val() && self.mine.val())
                        || (!self.first.val() && !self.r.q.val().foreign));
            }
        }
        if self.r.q.val().check {
            self.count.next = true;
            if !self.good.val() || self.r.q.val().short {
                self.cause.next = self.bad.val();
            } else if self.r.q.val().other {
                self.cause.next = self.other.val();
                self.count.next = !self.taken.val();
            } else if self.r.q.val().refused {
                self.cause.next = self.too_long.val();
            } else {
                self.cause.next = self.echo.val();
                self.r.d.next.sending = true;
            }
        }
        if !self.payload.valid.val() && self.first.val() {
            self.r.d.next.older = bits::<8>(0);
            self.r.d.next.newer = bits::<8>(0);
            self.r.d.next.carry = false;
        }

        // ---- send
        if self.moved.val() {
            self.r.d.next.sent = self.after.val();
            if self.final_beat.val() {
                self.r.d.next.sent = bits::<11>(0);
                self.r.d.next.sending = false;
            }
        }

        // ---- outputs
        self.payload.ready.next = true;
        self.packet.data.next = self.r.q.val().byte;
        if (self.r.q.val().sent == bits::<11>(2)) && self.r.q.val().carry_lower {
            // End-around: the upper byte has just overflowed, so this cannot.
            self.packet.data.next = self.r.q.val().byte + bits::<8>(1);
        }
        self.packet.valid.next = self.r.q.val().sending;
        self.packet.last.next = self.final_beat.val();
        self.packet.mac_hi.next = self.r.q.val().mac_hi;
        self.packet.mac_lo.next = self.r.q.val().mac_lo;
        self.packet.tag.next = self.r.q.val().tag;
        self.packet.tos.next = 0.into();
        self.packet.ip.next = self.r.q.val().ip;
        self.packet.protocol.next = bits::<8>(1);
        self.packet.length.next = bit_cast::<16, 11>(self.r.q.val().length);

        // ---- reset
        if self.reset.val() {
            self.r.d.next.index = bits::<11>(0);
            self.r.d.next.check = false;
            self.r.d.next.sending = false;
            self.r.d.next.sent = bits::<11>(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testgen::*;
    use rand::{Rng, SeedableRng};

    struct Bench {
        uut: Icmp,
        out: Collector,
        causes: Vec<u8>,
    }

    impl Bench {
        fn new() -> Self {
            Self::with(false)
        }

        fn with(vlan: bool) -> Self {
            let mut uut = Icmp::new(&ToeConfig {
                vlan,
                ..ToeConfig::default()
            });
            uut.connect_all();
            uut.info_src.next = u32::from_be_bytes(PEER_IP).to_bits();
            uut.info_protocol.next = 1_u8.to_bits();
            uut.src_hi.next = 0x0211_u16.to_bits();
            uut.src_lo.next = 0x2233_4455_u32.to_bits();
            uut.packet.ready.next = true;
            Self {
                uut,
                out: Default::default(),
                causes: vec![],
            }
        }

        fn step(&mut self) {
            let uut = &mut self.uut;
            settle(uut);
            let p = &uut.packet;
            if p.valid.val() && p.ready.val() {
                self.out.beat(p.data.val().to_u8(), p.last.val(), false);
            }
            if uut.count.val() {
                self.causes.push(uut.cause.val().to_u8());
            }
            cycle!(*uut);
        }

        fn message(&mut self, bytes: &[u8], error: bool) {
            self.uut.info_length.next = bytes.len().to_bits();
            for (i, b) in bytes.iter().enumerate() {
                self.uut.payload.valid.next = true;
                self.uut.payload.data.next = b.to_bits();
                self.uut.payload.last.next = i + 1 == bytes.len();
                self.uut.payload.error.next = error && i + 1 == bytes.len();
                self.step();
            }
            self.uut.payload.valid.next = false;
            self.step();
        }

        fn idle(&mut self, cycles: usize) {
            for _ in 0..cycles {
                self.step();
            }
        }

        fn took(&mut self, expected: &[Cause]) {
            let numbers: Vec<_> = expected.iter().map(|c| c.number()).collect();
            assert_eq!(std::mem::take(&mut self.causes), numbers);
        }
    }

    #[test]
    fn replies_at_every_length() {
        let mut b = Bench::new();
        let mut rng = rand::rngs::StdRng::seed_from_u64(792);
        for length in [8, 9, 10, 63, 64, 65, 511, 512] {
            let rest = random_bytes(&mut rng, length - 4);
            b.message(&icmp(8, 0, &rest), false);
            b.idle(length + 2);
            assert_eq!(b.out.good(), [icmp(0, 0, &rest)], "{length}");
            b.took(&[Cause::IcmpIn, Cause::IcmpEcho]);
            assert_eq!(b.uut.packet.ip.val().to_u32(), u32::from_be_bytes(PEER_IP));
            assert_eq!(b.uut.packet.mac_hi.val().to_u16(), 0x0211);
            assert_eq!(b.uut.packet.mac_lo.val().to_u32(), 0x2233_4455);
            assert_eq!(usize::from(b.uut.packet.length.val().to_u16()), length);
        }
    }

    #[test]
    fn the_checksum_is_right_at_every_carry() {
        let mut b = Bench::new();
        // The identifier runs through every value that makes the checksum's upper byte overflow, and some that don't.
        for id in (0..=0x0900_u16).chain(0xF700..=0xFFFF) {
            let rest = [id.to_be_bytes(), [0, 0]].concat();
            b.message(&icmp(8, 0, &rest), false);
            b.idle(9);
            let mut expected = icmp(0, 0, &rest);
            if expected[2..4] == [0, 0] {
                // The other zero: which one an adjusted sum ends at depends on the way (RFC 1624 section 3); both verify.
                expected[2..4].fill(0xFF);
            }
            assert_eq!(checksum(&expected), 0);
            assert_eq!(b.out.good(), [expected], "{id:04x}");
        }
    }

    #[test]
    fn each_fault_has_its_cause() {
        let mut b = Bench::new();
        let sound = icmp(8, 0, &[0, 1, 0, 2, 9, 9]);
        for bit in 0..sound.len() * 8 {
            let mut m = sound.clone();
            m[bit / 8] ^= 1 << (bit % 8);
            b.message(&m, false);
            b.took(&[Cause::IcmpIn, Cause::IcmpBad]);
        }
        for kind in [0, 3, 11, 13] {
            b.message(&icmp(kind, 0, &[0; 8]), false);
            b.took(&[Cause::IcmpIn, Cause::IcmpOther]);
        }
        b.message(&icmp(8, 1, &[0; 8]), false);
        b.took(&[Cause::IcmpIn, Cause::IcmpOther]);
        // What the parser takes is its to count, but for a wrong sum and for what is no message.
        b.uut.taken.next = true;
        b.message(&icmp(3, 4, &[0; 8]), false);
        b.took(&[Cause::IcmpIn]);
        let mut wrong = icmp(3, 4, &[0; 8]);
        wrong[7] ^= 1;
        b.message(&wrong, false);
        b.took(&[Cause::IcmpIn, Cause::IcmpBad]);
        b.message(&icmp(3, 4, &[]), false);
        b.took(&[Cause::IcmpBad]);
        b.uut.taken.next = false;
        for length in 4..8 {
            b.message(&icmp(8, 0, &[0; 4][..length - 4]), false);
            b.took(&[Cause::IcmpBad]);
        }
        b.message(&[8], false);
        b.took(&[Cause::IcmpBad]);
        b.message(&icmp(8, 0, &[7; 509]), false);
        b.took(&[Cause::IcmpIn, Cause::IcmpTooLong]);
        b.message(&sound, true);
        b.took(&[Cause::IcmpIn]);
        b.uut.info_protocol.next = 6_u8.to_bits();
        b.message(&sound, false);
        b.took(&[]);
        b.idle(30);
        assert!(b.out.frames.is_empty() && !b.out.open());
    }

    #[test]
    fn a_request_while_sending_is_refused_and_spoils_nothing() {
        let mut b = Bench::new();
        // A checksum that overflows in both bytes, then one that does not.
        let rest = (0..=u16::MAX)
            .map(|id| [id.to_be_bytes(), [0, 0]].concat())
            .find(|rest| icmp(8, 0, rest)[2..4] == [0xF8, 0xFF])
            .unwrap();
        b.uut.packet.ready.next = false;
        b.message(&icmp(8, 0, &rest), false);
        b.message(&icmp(8, 0, &[1; 20]), false);
        b.took(&[
            Cause::IcmpIn,
            Cause::IcmpEcho,
            Cause::IcmpIn,
            Cause::IcmpTooLong,
        ]);
        b.uut.packet.ready.next = true;
        b.idle(10);
        assert_eq!(b.out.good(), [icmp(0, 0, &rest)]);
    }

    /// The reply keeps the request's tag while others come by.
    #[test]
    fn the_reply_has_the_tag_of_its_request() {
        for vlan in [true, false] {
            let mut b = Bench::with(vlan);
            for tag in [0_u16, 0xFFFF, 0x1234, 0, 0x8001] {
                b.uut.packet.ready.next = false;
                b.uut.src_tag.next = tag.to_bits();
                b.message(&icmp(8, 0, &[0; 4]), false);
                b.uut.src_tag.next = (!tag).to_bits();
                b.message(&icmp(8, 0, &[1; 4]), false);
                b.uut.packet.ready.next = true;
                let wanted = if vlan { tag } else { 0 };
                for _ in 0..8 {
                    settle(&mut b.uut);
                    assert!(b.uut.packet.valid.val());
                    assert_eq!(b.uut.packet.tag.val().to_u16(), wanted);
                    b.step();
                }
                assert_eq!(b.out.good(), [icmp(0, 0, &[0; 4])]);
            }
        }
    }

    #[test]
    fn latency() {
        let mut b = Bench::new();
        b.message(&icmp(8, 0, &[0; 4]), false);
        // `message` ran one cycle after the last beat; the reply is offered in the second.
        settle(&mut b.uut);
        assert!(b.uut.packet.valid.val());
        assert!(b.out.frames.is_empty() && !b.out.open());
        b.idle(8);
        assert_eq!(b.out.frames.len(), 1, "a byte a cycle");
    }

    #[test]
    fn lockstep() {
        for vlan in [false, true] {
            in_lockstep(vlan);
        }
    }

    fn in_lockstep(vlan: bool) {
        let mut player = Player::default();
        let mut gap = 0;
        let config = ToeConfig {
            vlan,
            ..ToeConfig::default()
        };
        let name = if vlan { "icmp_vlan" } else { "icmp" };
        toe_sim::lockstep!(name, Icmp::new(&config), 20_000, |uut, cycle, rng| {
            if player.idle() && gap == 0 {
                gap = rng.random_range(2..60);
            }
            gap = if gap > 0 { gap - 1 } else { 0 };
            let valid = gap == 0 && rng.random_bool(0.9);
            uut.payload.valid.next = valid;
            if valid {
                if player.idle() {
                    let protocol = if rng.random_bool(0.9) { 1_u8 } else { 6 };
                    uut.info_protocol.next = protocol.to_bits();
                    uut.info_src.next = rng.random::<u32>().to_bits();
                    uut.src_hi.next = rng.random::<u16>().to_bits();
                    uut.src_lo.next = rng.random::<u32>().to_bits();
                    uut.src_tag.next = rng.random::<u16>().to_bits();
                }
                let mut length = None;
                let (data, last, error) = player.beat(rng, |rng| {
                    let size = rng.random_range(0..60);
                    let kind = if rng.random_bool(0.9) {
                        8
                    } else {
                        rng.random()
                    };
                    let mut m = icmp(kind, 0, &random_bytes(rng, size));
                    if rng.random_bool(0.1) {
                        m[2] ^= 1;
                    }
                    length = Some(m.len());
                    m
                });
                if let Some(length) = length {
                    uut.info_length.next = length.to_bits();
                }
                uut.payload.data.next = data.to_bits();
                uut.payload.last.next = last;
                uut.payload.error.next = error;
                player.moved();
            }
            uut.packet.ready.next = rng.random_bool(0.6);
            uut.reset.next = cycle < 2 || rng.random_bool(0.0005);
        });
    }
}
