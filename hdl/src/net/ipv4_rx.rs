//! Takes the IPv4 header off (RFC 791): checks it, steps over options, trims the link's padding.
//!
//! Latency: a payload byte leaves in the cycle after the next one comes; the last one two cycles after the frame's last beat. The way out is a register, so that neither
//! the link's `valid` nor this header's verdict is in the way of what the parsers do with the byte. Throughput: a byte a cycle.
//!
//! Abort: a frame that proves void, or ends before its total length, ends the payload with a beat marked `error`, or, if none of it was handed on, leaves nothing.
//! One cause is counted for each packet that is dropped, in the cycle after its last beat; none for a packet that came in `error`: who voided it has counted it. There is no reassembly: fragments are dropped (declared deviation from RFC 791 section 3.2).
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::link::mac_rx::cause;
use crate::net::parts::{Append, ByteTable, OnesSum};
use crate::stream::{StreamIn, StreamOut};
use rust_hdl::prelude::*;

#[derive(LogicState, Clone, Copy, Debug, PartialEq)]
enum State {
    Header,
    /// all bytes of the header are in; the sum's last carry is added; the first byte of payload may be here
    Verdict,
    Payload,
    /// padding, or what is left of a dropped packet
    Skip,
}

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct Registers {
    state: State,
    /// byte of the header
    index: Bits<6>,
    /// words of the header still to come
    words: Bits<4>,
    // the running sum
    older: Bits<8>,
    newer: Bits<8>,
    carry: Bit,
    // verdicts
    bad_header: Bit,
    bad_length: Bit,
    not_us: Bit,
    fragment: Bit,
    /// bytes of payload still to come
    left: Bits<11>,
    // what is told of the packet
    src: Bits<32>,
    protocol: Bits<8>,
    length: Bits<11>,
    ce: Bit,
    // the payload byte held back
    held: Bits<8>,
    have: Bit,
    /// something was handed on
    begun: Bit,
    /// the frame is over: hand on the byte held back …
    finish: Bit,
    /// … as void
    void: Bit,
    /// the packet that has just ended is dropped for `cause`
    drop: Bit,
    cause: Bits<6>,
}

/// The beat that leaves.
#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct Beat {
    data: Bits<8>,
    last: Bit,
    error: Bit,
    valid: Bit,
}

/// The IPv4 parser.
///
/// **Contract.** `ip.ready` is high always; `payload.ready` is taken to be. `info_*` are stable from the first payload beat through its
/// last. A packet without payload leaves nothing and is counted `Ip4BadLength`.
#[derive(LogicBlock, Debug)]
pub struct Ipv4Rx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // stream in: a packet and perhaps padding
    pub ip: StreamIn,
    // stream out
    pub payload: StreamOut,
    pub info_src: Signal<Out, Bits<32>>,
    pub info_dst: Signal<Out, Bits<32>>,
    pub info_protocol: Signal<Out, Bits<8>>,
    /// payload bytes
    pub info_length: Signal<Out, Bits<16>>,
    /// congestion experienced (RFC 3168 section 5)
    pub info_ce: Signal<Out, Bit>,
    // counting
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,

    r: DFF<Registers>,
    out: DFF<Beat>,
    sum: OnesSum,
    append_src: Append,
    append_length: Append,
    /// own address at 16 to 19
    own: ByteTable<6>,
    place: Signal<Local, Bits<2>>,
    codepoint: Signal<Local, Bits<2>>,
    ihl: Signal<Local, Bits<4>>,
    offset: Signal<Local, Bits<6>>,
    step: Signal<Local, Bits<11>>,
    fewer: Signal<Local, Bits<11>>,
    older: Signal<Local, Bits<8>>,
    older_high: Signal<Local, Bits<7>>,
    sum_good: Signal<Local, Bit>,
    claimed: Signal<Local, Bit>,
    dropped: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
    whole: Signal<Local, Bit>,
    own_ip: Constant<Bits<32>>,
    bad_header: Constant<Bits<6>>,
    bad_length: Constant<Bits<6>>,
    fragment: Constant<Bits<6>>,
    other_address: Constant<Bits<6>>,
    other_protocol: Constant<Bits<6>>,
}

impl Ipv4Rx {
    /// A parser for the address `config.ip`.
    pub fn new(config: &ToeConfig) -> Self {
        let own: Vec<_> = [None; 16].into_iter().chain(config.ip.map(Some)).collect();
        Self {
            clock: Default::default(),
            reset: Default::default(),
            ip: Default::default(),
            payload: Default::default(),
            info_src: Default::default(),
            info_dst: Default::default(),
            info_protocol: Default::default(),
            info_length: Default::default(),
            info_ce: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            r: Default::default(),
            out: Default::default(),
            sum: Default::default(),
            append_src: Default::default(),
            append_length: Default::default(),
            own: ByteTable::new(&own),
            place: Default::default(),
            codepoint: Default::default(),
            ihl: Default::default(),
            offset: Default::default(),
            step: Default::default(),
            fewer: Default::default(),
            older: Default::default(),
            older_high: Default::default(),
            sum_good: Default::default(),
            claimed: Default::default(),
            dropped: Default::default(),
            accept: Default::default(),
            whole: Default::default(),
            own_ip: Constant::new(u32::from_be_bytes(config.ip).to_bits()),
            bad_header: cause(Cause::Ip4BadHeader),
            bad_length: cause(Cause::Ip4BadLength),
            fragment: cause(Cause::Ip4Fragment),
            other_address: cause(Cause::Ip4OtherAddress),
            other_protocol: cause(Cause::Ip4OtherProtocol),
        }
    }
}

impl Logic for Ipv4Rx {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.out.clock.next = self.clock.val();
        self.out.d.next = self.out.q.val();

        // ---- named wires
        self.sum.half.next = self.r.q.val().older;
        self.sum.carry.next = self.r.q.val().carry;
        self.sum.addend.next = bits::<8>(0);
        if self.r.q.val().state == State::Header {
            self.sum.addend.next = self.ip.data.val();
        }
        self.append_src.word.next = self.r.q.val().src;
        self.append_src.tail.next = self.ip.data.val();
        // The upper byte of the total length waits where payload will be held later.
        self.append_length.word.next = bit_cast::<32, 8>(self.r.q.val().held);
        self.append_length.tail.next = self.ip.data.val();
        self.own.index.next = self.r.q.val().index;
        self.place.next = bit_cast::<2, 6>(self.r.q.val().index);
        self.codepoint.next = bit_cast::<2, 8>(self.ip.data.val());
        self.ihl.next = bit_cast::<4, 8>(self.ip.data.val());
        self.offset.next = bit_cast::<6, 8>(self.ip.data.val());
        // The total length arrives in byte 3 and was not counted down for bytes 0 to 3: bytes 4 to 7 count twice.
        self.step.next = bits::<11>(1);
        if (self.r.q.val().state == State::Header) && (self.r.q.val().index < bits::<6>(8)) {
            self.step.next = bits::<11>(2);
        }
        self.fewer.next = self.r.q.val().left - self.step.val();
        // In the verdict, where nothing is added but the last carry: all ones with it, told without the adder.
        self.older.next = self.r.q.val().older;
        self.older_high.next = self.older.val().get_bits::<7>(1);
        self.sum_good.next = self.older_high.val().all()
            && (self.older.val().get_bit(0) != self.r.q.val().carry)
            && self.r.q.val().newer.all();
        self.claimed.next =
            (self.r.q.val().protocol == bits::<8>(1)) || (self.r.q.val().protocol == bits::<8>(6));
        self.dropped.next = !self.sum_good.val()
            || self.r.q.val().bad_header
            || self.r.q.val().bad_length
            || self.r.q.val().not_us
            || self.r.q.val().fragment
            || !self.claimed.val()
            || !self.r.q.val().left.any();
        self.accept.next = (self.r.q.val().state == State::Payload)
            || ((self.r.q.val().state == State::Verdict) && !self.dropped.val());

        // ---- defaults
        self.ip.ready.next = true;
        self.out.d.next.data = self.r.q.val().held;
        self.out.d.next.last = self.r.q.val().finish;
        self.out.d.next.error = self.r.q.val().void;
        self.out.d.next.valid =
            self.r.q.val().finish && (self.r.q.val().begun || !self.r.q.val().void);
        self.count.next = self.r.q.val().drop;
        self.cause.next = self.r.q.val().cause;
        self.whole.next = self.ip.valid.val() && self.ip.last.val() && !self.ip.error.val();
        self.r.d.next.drop = false;
        self.r.d.next.finish = false;
        if self.r.q.val().finish {
            self.r.d.next.have = false;
            self.r.d.next.begun = false;
        }

        // ---- header
        if (self.r.q.val().state == State::Header) && self.ip.valid.val() {
            self.r.d.next.index = self.r.q.val().index + bits::<6>(1);
            self.r.d.next.older = self.r.q.val().newer;
            self.r.d.next.newer = self.sum.sum.val();
            self.r.d.next.carry = self.sum.carry_out.val();
            if self.place.val() == bits::<2>(3) {
                self.r.d.next.words = self.r.q.val().words - bits::<4>(1);
                if self.r.q.val().words == bits::<4>(1) {
                    self.r.d.next.state = State::Verdict;
                }
            }
            if self.r.q.val().index == bits::<6>(0) {
                self.r.d.next.words = self.ihl.val();
                self.r.d.next.bad_header = (self.ip.data.val() < bits::<8>(0x45))
                    || (self.ip.data.val() > bits::<8>(0x4F));
            }
            if self.r.q.val().index == bits::<6>(1) {
                self.r.d.next.ce = self.codepoint.val().all();
            }
            if self.r.q.val().index == bits::<6>(2) {
                self.r.d.next.held = self.ip.data.val();
                // No frame is as long as 2,048 bytes.
                self.r.d.next.bad_length = self.ip.data.val() > bits::<8>(7);
            }
            if self.r.q.val().index == bits::<6>(3) {
                self.r.d.next.left = bit_cast::<11, 32>(self.append_length.appended.val());
            }
            if self.r.q.val().index > bits::<6>(3) {
                self.r.d.next.left = self.fewer.val();
                if !self.r.q.val().left.any() {
                    self.r.d.next.bad_length = true;
                }
            }
            if self.r.q.val().index == bits::<6>(6) {
                // More fragments, or an offset. Don't Fragment and the reserved bit do not matter.
                self.r.d.next.fragment = self.offset.val().any();
            }
            if (self.r.q.val().index == bits::<6>(7)) && self.ip.data.val().any() {
                self.r.d.next.fragment = true;
            }
            if self.r.q.val().index == bits::<6>(9) {
                self.r.d.next.protocol = self.ip.data.val();
            }
            if (self.r.q.val().index > bits::<6>(11)) && (self.r.q.val().index < bits::<6>(16)) {
                self.r.d.next.src = self.append_src.appended.val();
            }
            if self.own.known.val() && (self.own.value.val() != self.ip.data.val()) {
                self.r.d.next.not_us = true;
            }
            if self.ip.last.val() {
                self.r.d.next.state = State::Header;
                self.r.d.next.drop = self.whole.val();
                self.r.d.next.cause = self.bad_length.val();
                if self.r.q.val().bad_header {
                    self.r.d.next.cause = self.bad_header.val();
                }
            }
        }

        // ---- verdict
        if self.r.q.val().state == State::Verdict {
            self.r.d.next.length = self.r.q.val().left;
            self.r.d.next.state = State::Payload;
            self.r.d.next.cause = self.bad_length.val();
            if self.dropped.val() {
                self.r.d.next.state = State::Skip;
                self.r.d.next.drop = self.whole.val();
                if !self.sum_good.val() || self.r.q.val().bad_header {
                    self.r.d.next.cause = self.bad_header.val();
                } else if !self.r.q.val().bad_length && self.r.q.val().left.any() {
                    self.r.d.next.cause = self.other_protocol.val();
                    if self.r.q.val().fragment {
                        self.r.d.next.cause = self.fragment.val();
                    }
                    if self.r.q.val().not_us {
                        self.r.d.next.cause = self.other_address.val();
                    }
                }
            }
        }

        // ---- payload
        if self.accept.val() && self.ip.valid.val() {
            self.r.d.next.finish = self.ip.last.val();
            self.r.d.next.void = self.ip.error.val();
            if self.r.q.val().left.any() {
                self.out.d.next.valid = self.r.q.val().have;
                self.r.d.next.begun = self.r.q.val().have;
                self.r.d.next.held = self.ip.data.val();
                self.r.d.next.have = true;
                self.r.d.next.left = self.fewer.val();
                if self.r.q.val().left != bits::<11>(1) {
                    self.r.d.next.void = true;
                    self.r.d.next.drop = self.whole.val();
                }
            }
        }
        if self.r.q.val().state == State::Skip {
            self.r.d.next.drop = self.whole.val();
        }

        // ---- the frame's end makes ready for the next
        if (self.r.q.val().state != State::Header) || (self.ip.valid.val() && self.ip.last.val()) {
            self.r.d.next.index = bits::<6>(0);
            self.r.d.next.older = bits::<8>(0);
            self.r.d.next.newer = bits::<8>(0);
            self.r.d.next.carry = false;
            self.r.d.next.bad_header = false;
            self.r.d.next.bad_length = false;
            self.r.d.next.not_us = false;
            self.r.d.next.fragment = false;
        }
        if self.ip.valid.val() && self.ip.last.val() {
            self.r.d.next.state = State::Header;
        }

        // ---- outputs
        self.payload.data.next = self.out.q.val().data;
        self.payload.last.next = self.out.q.val().last;
        self.payload.error.next = self.out.q.val().error;
        self.payload.valid.next = self.out.q.val().valid;
        self.info_src.next = self.r.q.val().src;
        self.info_dst.next = self.own_ip.val();
        self.info_protocol.next = self.r.q.val().protocol;
        self.info_length.next = bit_cast::<16, 11>(self.r.q.val().length);
        self.info_ce.next = self.r.q.val().ce;

        // ---- reset
        if self.reset.val() {
            self.out.d.next.valid = false;
            self.r.d.next.state = State::Header;
            self.r.d.next.index = bits::<6>(0);
            self.r.d.next.older = bits::<8>(0);
            self.r.d.next.newer = bits::<8>(0);
            self.r.d.next.carry = false;
            self.r.d.next.bad_header = false;
            self.r.d.next.bad_length = false;
            self.r.d.next.not_us = false;
            self.r.d.next.fragment = false;
            self.r.d.next.have = false;
            self.r.d.next.begun = false;
            self.r.d.next.finish = false;
            self.r.d.next.drop = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testgen::*;
    use rand::Rng;

    struct Bench {
        uut: Ipv4Rx,
        out: Collector,
        causes: Vec<u8>,
        info: (u32, u8, u16),
        ce: bool,
    }

    impl Bench {
        fn new() -> Self {
            let mut uut = Ipv4Rx::new(&ToeConfig::default());
            uut.connect_all();
            Self {
                uut,
                out: Default::default(),
                causes: vec![],
                info: (0, 0, 0),
                ce: false,
            }
        }

        fn step(&mut self) {
            let uut = &mut self.uut;
            settle(uut);
            let p = &uut.payload;
            if p.valid.val() {
                let info = (
                    uut.info_src.val().to_u32(),
                    uut.info_protocol.val().to_u8(),
                    uut.info_length.val().to_u16(),
                );
                assert!(
                    !self.out.open() || (info, uut.info_ce.val()) == (self.info, self.ce),
                    "info moved"
                );
                self.info = info;
                self.ce = uut.info_ce.val();
                self.out
                    .beat(p.data.val().to_u8(), p.last.val(), p.error.val());
            }
            if uut.count.val() {
                self.causes.push(uut.cause.val().to_u8());
            }
            cycle!(*uut);
        }

        /// A frame and the two cycles after it.
        fn frame(&mut self, bytes: &[u8], error: bool) {
            for (i, b) in bytes.iter().enumerate() {
                self.uut.ip.valid.next = true;
                self.uut.ip.data.next = b.to_bits();
                self.uut.ip.last.next = i + 1 == bytes.len();
                self.uut.ip.error.next = error && i + 1 == bytes.len();
                self.step();
            }
            self.uut.ip.valid.next = false;
            self.step();
            self.step();
        }

        fn dropped(&mut self, packet: &[u8], cause: Cause) {
            self.frame(packet, false);
            assert_eq!(std::mem::take(&mut self.causes), [cause.number()]);
            assert!(self.out.frames.is_empty() && !self.out.open());
        }

        fn passed(&mut self, packet: &[u8], payload: &[u8]) {
            self.frame(packet, false);
            assert_eq!(self.out.good(), [payload]);
            assert_eq!(self.causes, []);
            assert_eq!(usize::from(self.info.2), payload.len());
        }
    }

    #[test]
    fn every_length_with_and_without_padding_and_options() {
        let mut b = Bench::new();
        for length in [1, 2, 3, 8, 25, 26, 27, 1459, 1480] {
            let data: Vec<u8> = (0..length).map(|i| i as u8).collect();
            for options in [0, 1, 10] {
                let mut ip = Ip::to_us(6, &data);
                ip.options = vec![0x5A; 4 * options];
                let mut packet = ip.build();
                b.passed(&packet, &data);
                assert_eq!(b.info, (u32::from_be_bytes(PEER_IP), 6, length as u16));
                packet.extend([0xEE; 7]);
                b.passed(&packet, &data);
            }
        }
    }

    #[test]
    fn congestion_experienced_is_told_of_and_no_other_codepoint() {
        let mut b = Bench::new();
        for tos in 0..=255 {
            let mut ip = Ip::to_us(6, &[1, 2, 3]);
            ip.tos = tos;
            b.passed(&ip.build(), &[1, 2, 3]);
            assert_eq!(b.ce, tos & 3 == 3, "{tos:#x}");
        }
    }

    #[test]
    fn each_fault_has_its_cause() {
        let mut b = Bench::new();
        let sound = Ip::to_us(1, &[1, 2, 3, 4, 5]);
        let with = |change: &dyn Fn(&mut Ip)| {
            let mut ip = sound.clone();
            change(&mut ip);
            ip.build()
        };
        // Every single wrong bit of the header's fixed part is found by version, length or sum.
        for bit in 0..160 {
            let mut p = sound.build();
            p[bit / 8] ^= 0x80 >> (bit % 8);
            p.extend([0; 50]);
            b.dropped(&p, Cause::Ip4BadHeader);
        }
        let resum = |p: &mut Vec<u8>| {
            p[10..12].fill(0);
            let sum = checksum(&p[..20]).to_be_bytes();
            p[10..12].copy_from_slice(&sum);
        };
        for version in [0x35, 0x55, 0x65, 0x44, 0x40] {
            let mut p = sound.build();
            p[0] = version;
            resum(&mut p);
            p.extend([0; 60]);
            b.dropped(&p, Cause::Ip4BadHeader);
        }
        for total in [0, 7, 8, 19, 20, 26, 1500, 2048 + 25, 65535] {
            let mut p = sound.build();
            p[2..4].copy_from_slice(&u16::to_be_bytes(total));
            resum(&mut p);
            b.frame(&p, false);
            assert_eq!(
                std::mem::take(&mut b.causes),
                [Cause::Ip4BadLength.number()]
            );
            let frames = std::mem::take(&mut b.out.frames);
            assert!(frames.iter().all(|f| f.error), "{total}");
            assert!(!b.out.open());
        }
        for fragment in [0x2000, 0x2001, 1, 0x1FFF, 0x6000, 0x100] {
            b.dropped(&with(&|ip| ip.fragment = fragment), Cause::Ip4Fragment);
        }
        for fragment in [0, 0x4000, 0x8000, 0xC000] {
            b.passed(&with(&|ip| ip.fragment = fragment), &sound.payload);
        }
        for byte in 0..4 {
            b.dropped(&with(&|ip| ip.dst[byte] ^= 1), Cause::Ip4OtherAddress);
        }
        b.dropped(&with(&|ip| ip.dst = [255; 4]), Cause::Ip4OtherAddress);
        for protocol in [0, 2, 5, 7, 17, 255] {
            b.dropped(&with(&|ip| ip.protocol = protocol), Cause::Ip4OtherProtocol);
        }
        b.dropped(&with(&|ip| ip.payload.clear()), Cause::Ip4BadLength);
        b.passed(&sound.build(), &sound.payload);
    }

    #[test]
    fn cut_short_or_void_anywhere() {
        let mut b = Bench::new();
        let payload = [1, 2, 3, 4];
        let packet = Ip::to_us(6, &payload).build();
        for length in 1..packet.len() {
            for error in [false, true] {
                b.frame(&packet[..length], error);
                // Whoever voided it has counted it.
                let expected = vec![Cause::Ip4BadLength.number(); usize::from(!error)];
                assert_eq!(std::mem::take(&mut b.causes), expected);
                let frames = std::mem::take(&mut b.out.frames);
                assert_eq!(frames.len(), usize::from(length >= 22), "{length}");
                assert!(frames.iter().all(|f| f.error) && !b.out.open());
                b.passed(&packet, &payload);
            }
        }
        let mut padded = packet.clone();
        padded.extend([0; 9]);
        for p in [packet, padded] {
            b.frame(&p, true);
            assert_eq!(std::mem::take(&mut b.causes), []);
            assert!(std::mem::take(&mut b.out.frames)[0].error);
        }
        // Of a packet that would be dropped anyway it is known only at its end whether it was void.
        let mut other = Ip::to_us(6, &payload);
        other.dst[3] ^= 1;
        b.frame(&other.build(), true);
        assert_eq!(std::mem::take(&mut b.causes), []);
        b.dropped(&other.build(), Cause::Ip4OtherAddress);
    }

    #[test]
    fn latency() {
        let mut b = Bench::new();
        let packet = Ip::to_us(6, &[1, 2, 3]).build();
        let mut at = vec![];
        for cycle in 0..26 {
            let byte = packet.get(cycle).copied();
            b.uut.ip.valid.next = byte.is_some();
            b.uut.ip.data.next = byte.unwrap_or(0).to_bits();
            b.uut.ip.last.next = cycle + 1 == packet.len();
            settle(&mut b.uut);
            if b.uut.payload.valid.val() {
                at.push(cycle);
            }
            b.step();
        }
        // Payload comes in cycles 20 to 22.
        assert_eq!(at, [22, 23, 24]);
    }

    #[test]
    fn lockstep() {
        let mut player = Player::default();
        let make = || Ipv4Rx::new(&ToeConfig::default());
        toe_sim::lockstep!("ipv4_rx", make(), 20_000, |uut, cycle, rng| {
            let valid = rng.random_bool(0.9);
            uut.ip.valid.next = valid;
            if valid {
                let (data, last, error) = player.beat(rng, |rng| random_ip(rng, 40));
                uut.ip.data.next = data.to_bits();
                uut.ip.last.next = last;
                uut.ip.error.next = error;
                player.moved();
            }
            uut.payload.ready.next = true;
            uut.reset.next = cycle < 2 || rng.random_bool(0.0005);
        });
    }
}
