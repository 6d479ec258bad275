//! Takes the Ethernet header off: frames for us or for all go on to IPv4 or to ARP.
//!
//! With `vlan` one 802.1Q tag (IEEE 802.1Q clause 9: Ethertype 0x8100, then 16 bits of control information and the Ethertype proper) is taken off, too, and told as `src_tag` ([`crate::net`] says how).
//! A second one is another Ethertype, and so is the reserved VLAN id 0xFFF; without `vlan` the first is.
//!
//! Latency: none, the payload passes through. Throughput: a byte a cycle.
//!
//! Abort: the payload's last beat carries the frame's `error`. A frame that ends within its header leaves nothing. A frame passed over is counted
//! when it ends, unless it was void.
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::link::mac_rx::cause;
use crate::net::parts::{Append, ByteTable};
use crate::stream::{StreamIn, StreamOut};
use rust_hdl::prelude::*;

#[derive(LogicState, Clone, Copy, Debug, PartialEq)]
enum State {
    Header,
    /// the two bytes behind Ethertype 0x8100
    Tag,
    Ip,
    Arp,
    OtherAddress,
    OtherType,
}

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct Registers {
    state: State,
    /// byte of the header
    index: Bits<4>,
    not_us: Bit,
    not_all: Bit,
    /// upper byte of the Ethertype is not 0x08
    not_eight: Bit,
    src_hi: Bits<16>,
    src_lo: Bits<32>,
    /// upper byte of the Ethertype is 0x81, and this frame had no tag yet
    maybe_tag: Bit,
    /// this frame had a tag: bytes 12 and 13 come for the second time
    tagged: Bit,
    tag: Bits<16>,
}

/// The Ethernet parser.
///
/// **Contract.** `frame.ready` is high always; `ip.ready` and `arp.ready` are taken to be. `src_hi`, `src_lo` hold the sender of the frame from its
/// byte 11 until byte 6 of the next frame, so through all of the payload and, on a line with preamble and gap, for 26 cycles after it. `src_tag` holds its tag from before
/// the payload until byte 12 of the next frame.
#[derive(LogicBlock, Debug)]
pub struct EthRx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // stream in
    pub frame: StreamIn,
    // streams out
    pub ip: StreamOut,
    pub arp: StreamOut,
    pub src_hi: Signal<Out, Bits<16>>,
    pub src_lo: Signal<Out, Bits<32>>,
    pub src_tag: Signal<Out, Bits<16>>,
    // counting
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,

    r: DFF<Registers>,
    /// own address at 0 to 5
    own_mac: ByteTable<4>,
    append_hi: Append,
    append_lo: Append,
    append_tag: Append,
    inverted: Signal<Local, Bits<8>>,
    tag_low: Signal<Local, Bits<4>>,
    vlan: Constant<Bit>,
    other_address: Constant<Bits<6>>,
    other_type: Constant<Bits<6>>,
}

impl EthRx {
    /// A parser for the station `config.mac`.
    pub fn new(config: &ToeConfig) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            frame: Default::default(),
            ip: Default::default(),
            arp: Default::default(),
            src_hi: Default::default(),
            src_lo: Default::default(),
            src_tag: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            r: Default::default(),
            own_mac: ByteTable::new(&config.mac.map(Some)),
            append_hi: Default::default(),
            append_lo: Default::default(),
            append_tag: Default::default(),
            inverted: Default::default(),
            tag_low: Default::default(),
            vlan: Constant::new(config.vlan),
            other_address: cause(Cause::EthOtherAddress),
            other_type: cause(Cause::EthOtherType),
        }
    }
}

impl Logic for EthRx {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();

        // ---- named wires
        self.own_mac.index.next = self.r.q.val().index;
        self.append_hi.word.next = bit_cast::<32, 16>(self.r.q.val().src_hi);
        self.append_hi.tail.next = self.frame.data.val();
        self.append_lo.word.next = self.r.q.val().src_lo;
        self.append_lo.tail.next = self.frame.data.val();
        self.inverted.next = !self.frame.data.val();
        self.append_tag.word.next = bit_cast::<32, 16>(self.r.q.val().tag);
        self.append_tag.tail.next = self.inverted.val();
        self.tag_low.next = bit_cast::<4, 16>(self.r.q.val().tag);

        // ---- state machine
        if self.frame.valid.val() {
            if self.r.q.val().state == State::Header {
                self.r.d.next.index = self.r.q.val().index + bits::<4>(1);
                if self.own_mac.known.val() {
                    if self.frame.data.val() != self.own_mac.value.val() {
                        self.r.d.next.not_us = true;
                    }
                    if !self.frame.data.val().all() {
                        self.r.d.next.not_all = true;
                    }
                } else if self.r.q.val().index < bits::<4>(8) {
                    self.r.d.next.src_hi = bit_cast::<16, 32>(self.append_hi.appended.val());
                } else if self.r.q.val().index < bits::<4>(12) {
                    self.r.d.next.src_lo = self.append_lo.appended.val();
                } else if self.r.q.val().index == bits::<4>(12) {
                    self.r.d.next.not_eight = self.frame.data.val() != bits::<8>(8);
                    self.r.d.next.maybe_tag = self.vlan.val()
                        && !self.r.q.val().tagged
                        && (self.frame.data.val() == bits::<8>(0x81));
                    if !self.r.q.val().tagged {
                        self.r.d.next.tag = bits::<16>(0);
                    }
                } else {
                    self.r.d.next.state = State::OtherType;
                    if self.r.q.val().not_us && self.r.q.val().not_all {
                        self.r.d.next.state = State::OtherAddress;
                    } else if !self.r.q.val().not_eight {
                        if self.frame.data.val() == bits::<8>(0) {
                            self.r.d.next.state = State::Ip;
                        }
                        if self.frame.data.val() == bits::<8>(6) {
                            self.r.d.next.state = State::Arp;
                        }
                    } else if self.r.q.val().maybe_tag && !self.frame.data.val().any() {
                        self.r.d.next.state = State::Tag;
                    }
                }
            }
            if self.vlan.val() && (self.r.q.val().state == State::Tag) {
                self.r.d.next.tag = bit_cast::<16, 32>(self.append_tag.appended.val());
                self.r.d.next.index = self.r.q.val().index + bits::<4>(1);
                if self.r.q.val().index == bits::<4>(15) {
                    self.r.d.next.index = bits::<4>(12);
                    self.r.d.next.tagged = true;
                    self.r.d.next.state = State::Header;
                    if self.frame.data.val().all() && !self.tag_low.val().any() {
                        self.r.d.next.state = State::OtherType;
                    }
                }
            }
            if self.frame.last.val() {
                self.r.d.next.state = State::Header;
                self.r.d.next.tagged = false;
                self.r.d.next.index = bits::<4>(0);
                self.r.d.next.not_us = false;
                self.r.d.next.not_all = false;
            }
        }

        // ---- outputs
        self.frame.ready.next = true;
        self.ip.data.next = self.frame.data.val();
        self.ip.last.next = self.frame.last.val();
        self.ip.error.next = self.frame.error.val();
        self.ip.valid.next = self.frame.valid.val() && (self.r.q.val().state == State::Ip);
        self.arp.data.next = self.frame.data.val();
        self.arp.last.next = self.frame.last.val();
        self.arp.error.next = self.frame.error.val();
        self.arp.valid.next = self.frame.valid.val() && (self.r.q.val().state == State::Arp);
        self.src_hi.next = self.r.q.val().src_hi;
        self.src_lo.next = self.r.q.val().src_lo;
        self.src_tag.next = self.r.q.val().tag;
        self.cause.next = self.other_type.val();
        if self.r.q.val().state == State::OtherAddress {
            self.cause.next = self.other_address.val();
        }
        self.count.next = self.frame.valid.val()
            && self.frame.last.val()
            && !self.frame.error.val()
            && ((self.r.q.val().state == State::OtherAddress)
                || (self.r.q.val().state == State::OtherType));

        // ---- reset
        if self.reset.val() {
            self.r.d.next.state = State::Header;
            self.r.d.next.tagged = false;
            self.r.d.next.index = bits::<4>(0);
            self.r.d.next.not_us = false;
            self.r.d.next.not_all = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testgen::*;
    use rand::Rng;

    struct Bench {
        uut: EthRx,
        ip: Collector,
        arp: Collector,
        causes: Vec<u8>,
        /// with the last frame's payload
        tag: Option<u16>,
    }

    impl Bench {
        fn new() -> Self {
            Self::with(false)
        }

        fn with(vlan: bool) -> Self {
            let mut uut = EthRx::new(&ToeConfig {
                vlan,
                ..ToeConfig::default()
            });
            uut.connect_all();
            Self {
                uut,
                ip: Default::default(),
                arp: Default::default(),
                causes: vec![],
                tag: None,
            }
        }

        fn frame(&mut self, bytes: &[u8], error: bool) {
            let uut = &mut self.uut;
            // Told with the payload's beats, and the same through all of them.
            let mut tags = vec![];
            for (i, b) in bytes.iter().enumerate() {
                uut.frame.valid.next = true;
                uut.frame.data.next = b.to_bits();
                uut.frame.last.next = i + 1 == bytes.len();
                uut.frame.error.next = error && i + 1 == bytes.len();
                settle(uut);
                for (port, to) in [(&uut.ip, &mut self.ip), (&uut.arp, &mut self.arp)] {
                    if port.valid.val() {
                        to.beat(port.data.val().to_u8(), port.last.val(), port.error.val());
                        tags.push(uut.src_tag.val().to_u16());
                    }
                }
                if uut.count.val() {
                    self.causes.push(uut.cause.val().to_u8());
                }
                cycle!(*uut);
            }
            uut.frame.valid.next = false;
            cycle!(*uut);
            tags.dedup();
            assert!(tags.len() < 2, "the tag moved: {tags:04x?}");
            self.tag = tags.first().copied();
        }

        fn took(&mut self) -> Vec<u8> {
            std::mem::take(&mut self.causes)
        }
    }

    #[test]
    fn sorts_by_address_and_type() {
        let mut b = Bench::new();
        let body: Vec<u8> = (0..46).collect();
        for dst in [MAC, BROADCAST] {
            b.frame(&ethernet(dst, PEER_MAC, 0x0800, &body), false);
            assert_eq!(b.ip.good(), [&body[..]]);
            assert_eq!(b.uut.src_hi.val().to_u16(), 0x0211);
            assert_eq!(b.uut.src_lo.val().to_u32(), 0x2233_4455);
            b.frame(&ethernet(dst, PEER_MAC, 0x0806, &body), false);
            assert_eq!(b.arp.good(), [&body[..]]);
            assert_eq!(b.took(), []);
            for other in [0x86DD, 0x8100, 0x0801, 0x0700, 0x0006, 0x002E] {
                b.frame(&ethernet(dst, PEER_MAC, other, &body), false);
                assert_eq!(b.took(), [Cause::EthOtherType.number()]);
            }
        }
        for byte in 0..6 {
            for station in [MAC, BROADCAST] {
                let mut dst = station;
                dst[byte] ^= 0x10;
                b.frame(&ethernet(dst, PEER_MAC, 0x0800, &body), false);
                assert_eq!(b.took(), [Cause::EthOtherAddress.number()]);
            }
        }
        let multicast = [1, 0, 0x5E, 0, 0, 1];
        b.frame(&ethernet(multicast, PEER_MAC, 0x0800, &body), true);
        assert_eq!(b.took(), [], "a void frame is counted by the link");
        assert!(b.ip.frames.is_empty() && b.arp.frames.is_empty());
    }

    #[test]
    fn short_and_void_frames() {
        let mut b = Bench::new();
        let frame = ethernet(MAC, PEER_MAC, 0x0800, &[1, 2, 3]);
        for length in 1..=14 {
            b.frame(&frame[..length], true);
            assert!(b.ip.frames.is_empty() && !b.ip.open(), "{length}");
            b.frame(&frame, false);
            assert_eq!(b.ip.good(), [[1, 2, 3]], "{length}");
        }
        b.frame(&frame, true);
        let data = vec![1, 2];
        assert_eq!(b.ip.frames, [Received { data, error: true }]);
        assert_eq!(b.took(), []);
    }

    #[test]
    fn one_tag_is_taken_off_and_told() {
        let mut b = Bench::with(true);
        let body: Vec<u8> = (0..46).collect();
        // Priority alone, DEI alone, the last VLAN id; all but the reserved one, near to it in every bit.
        let mut controls = vec![0, 0x1000, 0x0FFE, 0xFFFE, 0xE07B, 0x2001];
        controls.extend((0..12).map(|bit| 0xFFFF ^ 1 << bit));
        for control in controls {
            for dst in [MAC, BROADCAST] {
                b.frame(&tagged(dst, PEER_MAC, control, 0x0800, &body), false);
                assert_eq!(b.ip.good(), [&body[..]], "{control:04x}");
                assert_eq!(b.tag, Some(!control));
                assert_eq!(b.uut.src_hi.val().to_u16(), 0x0211);
                assert_eq!(b.uut.src_lo.val().to_u32(), 0x2233_4455);
                b.frame(&tagged(dst, PEER_MAC, control, 0x0806, &body), false);
                assert_eq!(b.arp.good(), [&body[..]]);
                assert_eq!(b.tag, Some(!control));
            }
            // The next without one has none.
            b.frame(&ethernet(MAC, PEER_MAC, 0x0800, &body), false);
            assert_eq!((b.ip.good().len(), b.tag), (1, Some(0)));
            assert_eq!(b.took(), []);
        }
    }

    #[test]
    fn a_second_tag_and_the_reserved_id_are_other_types() {
        let mut b = Bench::with(true);
        let body: Vec<u8> = (0..46).collect();
        let twice = [&[0, 5, 0x08, 0x00][..], &body].concat();
        let mut others: Vec<_> = (0..16)
            .map(|n| tagged(MAC, PEER_MAC, n << 12 | 0x0FFF, 0x0800, &body))
            .collect();
        others.extend(
            [0x8100, 0x88A8, 0x86DD, 0x0801, 0x0006, 0x8106]
                .map(|ethertype| tagged(MAC, PEER_MAC, 0x2005, ethertype, &twice)),
        );
        // Neither is a tag.
        others.extend(
            [0x8101, 0x8000, 0x88A8, 0x0100]
                .map(|ethertype| ethernet(MAC, PEER_MAC, ethertype, &twice)),
        );
        for frame in &others {
            b.frame(frame, false);
            assert_eq!(b.took(), [Cause::EthOtherType.number()], "{frame:02x?}");
        }
        let elsewhere = [2, 9, 9, 9, 9, 9];
        b.frame(&tagged(elsewhere, PEER_MAC, 5, 0x0800, &body), false);
        assert_eq!(b.took(), [Cause::EthOtherAddress.number()]);
        assert!(b.ip.frames.is_empty() && b.arp.frames.is_empty());
        // Without `vlan` all that is tagged is.
        let mut b = Bench::new();
        for ethertype in [0x0800, 0x0806] {
            b.frame(&tagged(MAC, PEER_MAC, 5, ethertype, &body), false);
            assert_eq!(b.took(), [Cause::EthOtherType.number()]);
        }
        assert!(b.ip.frames.is_empty() && b.arp.frames.is_empty());
    }

    #[test]
    fn a_frame_cut_within_its_tag_leaves_nothing() {
        let mut b = Bench::with(true);
        let frame = tagged(MAC, PEER_MAC, 0xE123, 0x0800, &[1, 2, 3]);
        for length in 1..=18 {
            b.frame(&frame[..length], true);
            assert!(b.ip.frames.is_empty() && !b.ip.open(), "{length}");
            b.frame(&frame, false);
            assert_eq!(b.ip.good(), [[1, 2, 3]], "{length}");
            assert_eq!(b.tag, Some(!0xE123));
            b.frame(&frame[..length], true);
            b.frame(&ethernet(MAC, PEER_MAC, 0x0806, &[4]), false);
            assert_eq!(b.arp.good(), [[4]], "{length}");
            assert_eq!(b.tag, Some(0));
        }
        assert_eq!(b.took(), []);
    }

    #[test]
    fn lockstep() {
        for vlan in [false, true] {
            let mut player = Player::default();
            let config = ToeConfig {
                vlan,
                ..ToeConfig::default()
            };
            let name = if vlan { "eth_rx_vlan" } else { "eth_rx" };
            let report =
                toe_sim::lockstep!(name, EthRx::new(&config), 15_000, |uut, cycle, rng| {
                    let valid = rng.random_bool(0.9);
                    uut.frame.valid.next = valid;
                    if valid {
                        let (data, last, error) =
                            player.beat(rng, |rng| random_tagged_frame(rng, 60));
                        uut.frame.data.next = data.to_bits();
                        uut.frame.last.next = last;
                        uut.frame.error.next = error;
                        player.moved();
                    }
                    uut.ip.ready.next = true;
                    uut.arp.ready.next = true;
                    uut.reset.next = cycle < 2 || rng.random_bool(0.0005);
                });
            let tagless = report.never_changed().contains(&"src_tag");
            assert_eq!(tagless, !vlan);
        }
    }
}
