//! Puts the Ethernet header before IP packets and ARP packets and takes turns between the two, a frame each.
//!
//! With `vlan` a packet that comes with a tag ([`crate::net`]) gets it behind the addresses (IEEE 802.1Q clause 9); its frame is four bytes longer, the shortest frame on the line is not (IEEE 802.3 clause
//! 4.4.2 counts the tag: padding is the less).
//!
//! A register of two places stands at the way out: the bytes' way through builder, IPv4 and this block ends there, and so does the way back of `ready`, before the
//! check sum of the link's sender takes its time.
//!
//! Latency: the first byte is offered 2 cycles after the source's `valid`. Throughput: a byte a cycle; one idle cycle between frames.
//!
//! Abort: `error` passes through.
use crate::config::ToeConfig;
use crate::net::parts::{ByteTable, PickByte};
use crate::stream::{StreamIn, StreamOut};
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
    /// the frame is ARP's
    turn: Bit,
    /// byte of the header
    index: Bits<4>,
    /// bytes 12 to 15 are those of a tag; behind it bytes 12 and 13 come
    tagged: Bit,
}

/// The way out: the beat on offer and, when it was not taken, the one behind it. Only the two flags are control.
#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct Out {
    full: Bit,
    data: Bits<8>,
    last: Bit,
    error: Bit,
    spare: Bit,
    spare_data: Bits<8>,
    spare_last: Bit,
    spare_error: Bit,
}

/// The Ethernet sender.
///
/// **Contract.** `ip_dst_*`, `arp_dst_*` (address and tag) are stable from the first `valid` of a packet through its last beat.
#[derive(LogicBlock, Debug)]
pub struct EthTx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // packets in
    pub ip: StreamIn,
    pub ip_dst_hi: Signal<In, Bits<16>>,
    pub ip_dst_lo: Signal<In, Bits<32>>,
    pub ip_dst_tag: Signal<In, Bits<16>>,
    pub arp: StreamIn,
    pub arp_dst_hi: Signal<In, Bits<16>>,
    pub arp_dst_lo: Signal<In, Bits<32>>,
    pub arp_dst_tag: Signal<In, Bits<16>>,
    // frames out
    pub frame: StreamOut,

    r: DFF<Registers>,
    out: DFF<Out>,
    /// own address and the Ethertype's upper byte, at 6 to 12
    fixed: ByteTable<4>,
    pick: PickByte,
    valid: Signal<Local, Bit>,
    last: Signal<Local, Bit>,
    beat_data: Signal<Local, Bits<8>>,
    beat_valid: Signal<Local, Bit>,
    beat_last: Signal<Local, Bit>,
    beat_error: Signal<Local, Bit>,
    room: Signal<Local, Bit>,
    tag: Signal<Local, Bits<16>>,
    control: Signal<Local, Bits<16>>,
    ip_tagged: Signal<Local, Bit>,
    arp_tagged: Signal<Local, Bit>,
    vlan: Constant<Bit>,
}

impl EthTx {
    /// A sender with the address `config.mac`.
    pub fn new(config: &ToeConfig) -> Self {
        let mut fixed = vec![None; 6];
        fixed.extend(config.mac.map(Some));
        fixed.push(Some(0x08));
        Self {
            clock: Default::default(),
            reset: Default::default(),
            ip: Default::default(),
            ip_dst_hi: Default::default(),
            ip_dst_lo: Default::default(),
            ip_dst_tag: Default::default(),
            arp: Default::default(),
            arp_dst_hi: Default::default(),
            arp_dst_lo: Default::default(),
            arp_dst_tag: Default::default(),
            frame: Default::default(),
            r: Default::default(),
            out: Default::default(),
            fixed: ByteTable::new(&fixed),
            pick: Default::default(),
            valid: Default::default(),
            last: Default::default(),
            beat_data: Default::default(),
            beat_valid: Default::default(),
            beat_last: Default::default(),
            beat_error: Default::default(),
            room: Default::default(),
            tag: Default::default(),
            control: Default::default(),
            ip_tagged: Default::default(),
            arp_tagged: Default::default(),
            vlan: Constant::new(config.vlan),
        }
    }
}

impl Logic for EthTx {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.out.clock.next = self.clock.val();
        self.out.d.next = self.out.q.val();
        self.room.next = !self.out.q.val().spare;

        // ---- the chosen source
        self.pick.hi.next = self.ip_dst_hi.val();
        self.pick.lo.next = self.ip_dst_lo.val();
        self.beat_data.next = self.ip.data.val();
        self.beat_error.next = self.ip.error.val();
        self.valid.next = self.ip.valid.val();
        self.tag.next = self.ip_dst_tag.val();
        self.last.next = self.ip.last.val();
        if self.r.q.val().turn {
            self.pick.hi.next = self.arp_dst_hi.val();
            self.pick.lo.next = self.arp_dst_lo.val();
            self.beat_data.next = self.arp.data.val();
            self.beat_error.next = self.arp.error.val();
            self.valid.next = self.arp.valid.val();
            self.last.next = self.arp.last.val();
            self.tag.next = self.arp_dst_tag.val();
        }
        self.control.next = !self.tag.val();
        self.ip_tagged.next = self.vlan.val() && self.ip_dst_tag.val().any();
        self.arp_tagged.next = self.vlan.val() && self.arp_dst_tag.val().any();

        // ---- defaults
        self.fixed.index.next = self.r.q.val().index;
        self.pick.index.next = bit_cast::<3, 4>(self.r.q.val().index);
        self.ip.ready.next = false;
        self.arp.ready.next = false;
        self.beat_valid.next = false;
        self.beat_last.next = false;

        // ---- state machine
        match self.r.q.val().state {
            State::Choose => {
                self.r.d.next.index = bits::<4>(0);
                if self.ip.valid.val() && (self.r.q.val().turn || !self.arp.valid.val()) {
                    self.r.d.next.turn = false;
                    self.r.d.next.tagged = self.ip_tagged.val();
                    self.r.d.next.state = State::Header;
                } else if self.arp.valid.val() {
                    self.r.d.next.turn = true;
                    self.r.d.next.tagged = self.arp_tagged.val();
                    self.r.d.next.state = State::Header;
                }
            }
            State::Header => {
                self.beat_valid.next = true;
                self.beat_data.next = self.pick.picked.val();
                self.beat_error.next = false;
                if self.fixed.known.val() {
                    self.beat_data.next = self.fixed.value.val();
                }
                if self.r.q.val().index == bits::<4>(13) {
                    self.beat_data.next = bits::<8>(0);
                    if self.r.q.val().turn {
                        self.beat_data.next = bits::<8>(6);
                    }
                }
                if self.vlan.val() && self.r.q.val().tagged {
                    if self.r.q.val().index == bits::<4>(12) {
                        self.beat_data.next = bits::<8>(0x81);
                    }
                    if self.r.q.val().index == bits::<4>(13) {
                        self.beat_data.next = bits::<8>(0);
                    }
                    if self.r.q.val().index == bits::<4>(14) {
                        self.beat_data.next = self.control.val().get_bits::<8>(8);
                    }
                    if self.r.q.val().index == bits::<4>(15) {
                        self.beat_data.next = bit_cast::<8, 16>(self.control.val());
                    }
                }
                if self.room.val() {
                    self.r.d.next.index = self.r.q.val().index + bits::<4>(1);
                    if self.vlan.val() && self.r.q.val().tagged {
                        if self.r.q.val().index == bits::<4>(15) {
                            self.r.d.next.tagged = false;
                            self.r.d.next.index = bits::<4>(12);
                        }
                    } else if self.r.q.val().index == bits::<4>(13) {
                        self.r.d.next.state = State::Payload;
                    }
                }
            }
            _ => {
                self.beat_valid.next = self.valid.val();
                self.beat_last.next = self.last.val();
                self.ip.ready.next = self.room.val() && !self.r.q.val().turn;
                self.arp.ready.next = self.room.val() && self.r.q.val().turn;
                if self.room.val() && self.valid.val() && self.last.val() {
                    self.r.d.next.state = State::Choose;
                }
            }
        }

        // ---- the way out
        if !self.out.q.val().full || self.frame.ready.val() {
            self.out.d.next.full = self.beat_valid.val() || self.out.q.val().spare;
            self.out.d.next.spare = false;
            self.out.d.next.data = self.beat_data.val();
            self.out.d.next.last = self.beat_last.val();
            self.out.d.next.error = self.beat_error.val();
            if self.out.q.val().spare {
                self.out.d.next.data = self.out.q.val().spare_data;
                self.out.d.next.last = self.out.q.val().spare_last;
                self.out.d.next.error = self.out.q.val().spare_error;
            }
        } else if self.beat_valid.val() {
            self.out.d.next.spare = true;
        }
        if self.room.val() {
            self.out.d.next.spare_data = self.beat_data.val();
            self.out.d.next.spare_last = self.beat_last.val();
            self.out.d.next.spare_error = self.beat_error.val();
        }
        self.frame.valid.next = self.out.q.val().full;
        self.frame.data.next = self.out.q.val().data;
        self.frame.last.next = self.out.q.val().last;
        self.frame.error.next = self.out.q.val().error;

        // ---- reset
        if self.reset.val() {
            self.out.d.next.full = false;
            self.out.d.next.spare = false;
            self.r.d.next.state = State::Choose;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testgen::*;
    use rand::Rng;
    use std::cell::Cell;

    const ARP_DST: [u8; 6] = [0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5];

    /// Sends packets of both kinds; frames as they left, `error`s, and the cycle of each beat.
    fn run(ip: &[&[u8]], arp: &[&[u8]], void: bool) -> (Vec<Received>, Vec<usize>) {
        run_tagged(&ToeConfig::default(), [0, 0], ip, arp, void)
    }

    /// The same with tags for the two kinds.
    fn run_tagged(
        config: &ToeConfig,
        tags: [u16; 2],
        ip: &[&[u8]],
        arp: &[&[u8]],
        void: bool,
    ) -> (Vec<Received>, Vec<usize>) {
        let mut uut = EthTx::new(config);
        uut.connect_all();
        uut.ip_dst_tag.next = tags[0].to_bits();
        uut.arp_dst_tag.next = tags[1].to_bits();
        uut.ip_dst_hi.next = 0x0211_u16.to_bits();
        uut.ip_dst_lo.next = 0x2233_4455_u32.to_bits();
        uut.arp_dst_hi.next = 0xA0A1_u16.to_bits();
        uut.arp_dst_lo.next = 0xA2A3_A4A5_u32.to_bits();
        uut.frame.ready.next = true;
        let flat = |packets: &[&[u8]]| -> Vec<(u8, bool)> {
            let one = |p: &&[u8]| -> Vec<_> {
                let n = p.len();
                p.iter()
                    .enumerate()
                    .map(|(i, b)| (*b, i + 1 == n))
                    .collect()
            };
            packets.iter().flat_map(one).collect()
        };
        let (ip, arp) = (flat(ip), flat(arp));
        let (mut i, mut a) = (0, 0);
        let (mut out, mut beats) = (Collector::default(), vec![]);
        for now in 0..2_000 {
            uut.ip.valid.next = i < ip.len();
            let (data, last) = *ip.get(i).unwrap_or(&(0, false));
            uut.ip.data.next = data.to_bits();
            uut.ip.last.next = last;
            uut.ip.error.next = last && void;
            uut.arp.valid.next = a < arp.len();
            let (data, last) = *arp.get(a).unwrap_or(&(0, false));
            uut.arp.data.next = data.to_bits();
            uut.arp.last.next = last;
            settle(&mut uut);
            let f = &uut.frame;
            if f.valid.val() {
                out.beat(f.data.val().to_u8(), f.last.val(), f.error.val());
                beats.push(now);
            }
            i += usize::from(uut.ip.valid.val() && uut.ip.ready.val());
            a += usize::from(uut.arp.valid.val() && uut.arp.ready.val());
            cycle!(uut);
        }
        assert!(!out.open());
        (out.frames, beats)
    }

    #[test]
    fn the_two_take_turns_with_their_own_headers() {
        let (frames, _) = run(&[&[1], &[2, 3], &[4]], &[&[9, 9]], false);
        let right = [
            ethernet(ARP_DST, MAC, 0x0806, &[9, 9]),
            ethernet(PEER_MAC, MAC, 0x0800, &[1]),
            ethernet(PEER_MAC, MAC, 0x0800, &[2, 3]),
            ethernet(PEER_MAC, MAC, 0x0800, &[4]),
        ];
        let sent: Vec<_> = frames.iter().map(|f| f.data.clone()).collect();
        assert_eq!(sent, right);
        assert!(frames.iter().all(|f| !f.error));
    }

    fn vlan() -> ToeConfig {
        ToeConfig {
            vlan: true,
            ..ToeConfig::default()
        }
    }

    #[test]
    fn each_kind_has_its_own_tag_or_none() {
        // Priority alone, DEI, the last VLAN id, and any.
        for control in [0, 0x1000, 0xFFFE, 0xA123] {
            let of = |dst, tag: u16, ethertype, payload: &[u8]| match tag {
                0 => ethernet(dst, MAC, ethertype, payload),
                _ => tagged(dst, MAC, !tag, ethertype, payload),
            };
            for [ip, arp] in [[!control, 0], [0, !control], [!control, !5]] {
                let tags = [ip, arp];
                let (frames, _) = run_tagged(&vlan(), tags, &[&[1], &[2, 3]], &[&[9, 9]], false);
                let right = [
                    of(ARP_DST, arp, 0x0806, &[9, 9]),
                    of(PEER_MAC, ip, 0x0800, &[1]),
                    of(PEER_MAC, ip, 0x0800, &[2, 3]),
                ];
                let sent: Vec<_> = frames.iter().map(|f| f.data.clone()).collect();
                assert_eq!(sent, right, "{tags:04x?}");
                // Without `vlan` nothing is put in.
                let off = ToeConfig::default();
                let (frames, _) = run_tagged(&off, tags, &[&[1]], &[], false);
                assert_eq!(frames[0].data, ethernet(PEER_MAC, MAC, 0x0800, &[1]));
            }
        }
    }

    #[test]
    fn void_stays_void() {
        let (frames, _) = run(&[&[1, 2, 3]], &[], true);
        assert_eq!(frames.len(), 1);
        assert!(frames[0].error);
    }

    #[test]
    fn latency_and_throughput() {
        let (_, beats) = run(&[&[7; 50], &[7; 50]], &[], false);
        let expected: Vec<_> = (2..66).chain(67..131).collect();
        assert_eq!(beats, expected);
        let (_, beats) = run_tagged(&vlan(), [!7, 0], &[&[7; 50], &[7; 50]], &[], false);
        let expected: Vec<_> = (2..70).chain(71..139).collect();
        assert_eq!(beats, expected);
    }

    #[test]
    fn lockstep() {
        for vlan in [false, true] {
            in_lockstep(vlan);
        }
    }

    fn in_lockstep(vlan: bool) {
        let config = ToeConfig {
            vlan,
            ..ToeConfig::default()
        };
        let mut players = [Player::default(), Player::default()];
        let mut offering = [false; 2];
        let moved = Cell::new([false; 2]);
        toe_sim::lockstep::lockstep_observed(
            if vlan { "eth_tx_vlan" } else { "eth_tx" },
            || EthTx::new(&config),
            |uut, clk| uut.clock.next = Clock { clk },
            15_000,
            15_000,
            |uut: &mut EthTx, cycle, rng| {
                for n in 0..2 {
                    if moved.get()[n] {
                        players[n].moved();
                        offering[n] = !players[n].idle();
                    }
                    offering[n] |= rng.random_bool(0.05);
                    let idle = players[n].idle();
                    let (data, last, error) = if offering[n] {
                        players[n].beat(rng, |rng| {
                            let length = rng.random_range(1..40);
                            random_bytes(rng, length)
                        })
                    } else {
                        (0, false, false)
                    };
                    let port = if n == 0 { &mut uut.ip } else { &mut uut.arp };
                    port.valid.next = offering[n];
                    port.data.next = data.to_bits();
                    port.last.next = last;
                    port.error.next = error;
                    let tag = if rng.random() { rng.random() } else { 0_u16 };
                    if idle && offering[n] && n == 0 {
                        uut.ip_dst_tag.next = tag.to_bits();
                        uut.ip_dst_hi.next = rng.random::<u16>().to_bits();
                        uut.ip_dst_lo.next = rng.random::<u32>().to_bits();
                    } else if idle && offering[n] {
                        uut.arp_dst_tag.next = tag.to_bits();
                        uut.arp_dst_hi.next = rng.random::<u16>().to_bits();
                        uut.arp_dst_lo.next = rng.random::<u32>().to_bits();
                    }
                }
                uut.frame.ready.next = rng.random_bool(0.8);
                uut.reset.next = cycle < 2 || rng.random_bool(0.0005);
            },
            |uut: &EthTx, _| {
                moved.set([
                    uut.ip.valid.val() && uut.ip.ready.val(),
                    uut.arp.valid.val() && uut.arp.ready.val(),
                ]);
            },
        )
        .unwrap_or_else(|error| panic!("{error}"))
        .assert_active();
    }
}
