//! SLIP: IP packets on a serial line (RFC 1055).
//!
//! `END` (0xC0) ends a packet; `END` and `ESC` (0xDB) within one are sent as `ESC ESC_END` and `ESC ESC_ESC`. Each packet
//! is also *begun* with `END`, so that noise on an idle line is thrown away with it.
//!
//! **Latency**: `SlipRx` holds one byte back, to know the last one: a byte leaves 1 cycle after the next byte of the packet came in.
//! `SlipTx` offers the opening `END` 1 cycle after `packet.valid`. **Throughput**: one byte a cycle each way; an escaped one two.
//! **Abort**: a byte after `ESC` that is neither `ESC_END` nor `ESC_ESC`, a framing error, and a packet above `mtu` bytes end the packet with
//! `error`; what follows up to the next `END` is thrown away.
use rust_hdl::prelude::*;

use crate::counters::Cause;
use crate::stream::{StreamIn, StreamOut};

/// RFC 1055: frame end.
pub const END: u8 = 0o300;
/// RFC 1055: escape.
pub const ESC: u8 = 0o333;
/// RFC 1055: after ESC, stands for END.
pub const ESC_END: u8 = 0o334;
/// RFC 1055: after ESC, stands for ESC.
pub const ESC_ESC: u8 = 0o335;

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct RxState {
    held: Bits<8>,
    have: Bit,
    escaped: Bit,
    /// Rest of a broken packet: passed over up to END.
    skip: Bit,
    length: Bits<11>,
    data: Bits<8>,
    valid: Bit,
    last: Bit,
    error: Bit,
    count: Bit,
    cause: Bits<6>,
}

/// Line bytes in, packets out. The packet stream cannot wait: the consumer holds `ready` high.
#[derive(LogicBlock)]
pub struct SlipRx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub data: Signal<In, Bits<8>>,
    pub valid: Signal<In, Bit>,
    /// With `valid`: a framing error of the UART.
    pub error: Signal<In, Bit>,
    pub packet: StreamOut,
    /// One cycle for each packet that came whole (`FrameIn`) or was broken (`LinkError`, `LinkOversize`).
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,
    r: DFF<RxState>,
    byte: Signal<Local, Bits<8>>,
    take: Signal<Local, Bit>,
    broken: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
    length_more: Signal<Local, Bits<11>>,
    mtu: Constant<Bits<11>>,
    mark: Constant<Bits<8>>,
    esc: Constant<Bits<8>>,
    esc_end: Constant<Bits<8>>,
    esc_esc: Constant<Bits<8>>,
    frame_in: Constant<Bits<6>>,
    link_error: Constant<Bits<6>>,
    link_oversize: Constant<Bits<6>>,
}

fn byte(value: u8) -> Constant<Bits<8>> {
    Constant::new(u64::from(value).into())
}

fn cause(value: Cause) -> Constant<Bits<6>> {
    Constant::new(u64::from(value.number()).into())
}

impl SlipRx {
    /// Packets of up to `mtu` bytes (1 to 2047).
    ///
    /// # Panics
    /// If `mtu` is out of these limits.
    pub fn new(mtu: u16) -> Self {
        assert!(
            (1..2048).contains(&mtu),
            "SlipRx: mtu is {mtu}, but must be from 1 to 2047"
        );
        Self {
            clock: Default::default(),
            reset: Default::default(),
            data: Default::default(),
            valid: Default::default(),
            error: Default::default(),
            packet: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            r: Default::default(),
            byte: Default::default(),
            take: Default::default(),
            broken: Default::default(),
            ends: Default::default(),
            length_more: Default::default(),
            mtu: Constant::new(u64::from(mtu).into()),
            mark: byte(END),
            esc: byte(ESC),
            esc_end: byte(ESC_END),
            esc_esc: byte(ESC_ESC),
            frame_in: cause(Cause::FrameIn),
            link_error: cause(Cause::LinkError),
            link_oversize: cause(Cause::LinkOversize),
        }
    }
}

impl Logic for SlipRx {
    #[hdl_gen]
    fn update(&mut self) {
        // Registers, defaults.
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.r.d.next.valid = false;
        self.r.d.next.last = false;
        self.r.d.next.error = false;
        self.r.d.next.count = false;
        // What this byte is: `take` a byte of the packet, `ends` the packet, or `broken`.
        self.byte.next = self.data.val();
        self.take.next = false;
        self.broken.next = false;
        self.ends.next = false;
        self.length_more.next = self.r.q.val().length + 1;
        if self.valid.val() {
            self.r.d.next.escaped = false;
            if self.error.val() {
                self.broken.next = true;
            } else {
                if self.data.val() == self.mark.val() {
                    // ESC END is a protocol violation (RFC 1055), but END always ends.
                    self.ends.next = true;
                } else {
                    if self.r.q.val().escaped {
                        if self.data.val() == self.esc_end.val() {
                            self.byte.next = self.mark.val();
                            self.take.next = true;
                        } else {
                            if self.data.val() == self.esc_esc.val() {
                                self.byte.next = self.esc.val();
                                self.take.next = true;
                            } else {
                                self.broken.next = true;
                            }
                        }
                    } else {
                        if self.data.val() == self.esc.val() {
                            self.r.d.next.escaped = true;
                        } else {
                            self.take.next = true;
                        }
                    }
                }
            }
        }
        if self.take.val() & !self.r.q.val().skip {
            if self.r.q.val().length == self.mtu.val() {
                self.r.d.next.valid = true;
                self.r.d.next.last = true;
                self.r.d.next.error = true;
                self.r.d.next.have = false;
                self.r.d.next.skip = true;
                self.r.d.next.count = true;
                self.r.d.next.cause = self.link_oversize.val();
            } else {
                self.r.d.next.data = self.r.q.val().held;
                self.r.d.next.valid = self.r.q.val().have;
                self.r.d.next.held = self.byte.val();
                self.r.d.next.have = true;
                self.r.d.next.length = self.length_more.val();
            }
        }
        // Noise between packets is no packet: nothing is counted for it.
        if self.broken.val() & !self.r.q.val().skip {
            self.r.d.next.skip = true;
            if self.r.q.val().have {
                self.r.d.next.valid = true;
                self.r.d.next.last = true;
                self.r.d.next.error = true;
                self.r.d.next.have = false;
                self.r.d.next.count = true;
                self.r.d.next.cause = self.link_error.val();
            }
        }
        if self.ends.val() {
            self.r.d.next.skip = false;
            self.r.d.next.have = false;
            self.r.d.next.length = 0.into();
            if self.r.q.val().have {
                self.r.d.next.data = self.r.q.val().held;
                self.r.d.next.valid = true;
                self.r.d.next.last = true;
                self.r.d.next.error = self.r.q.val().escaped;
                self.r.d.next.count = true;
                if self.r.q.val().escaped {
                    self.r.d.next.cause = self.link_error.val();
                } else {
                    self.r.d.next.cause = self.frame_in.val();
                }
            }
        }
        // Outputs.
        self.packet.data.next = self.r.q.val().data;
        self.packet.valid.next = self.r.q.val().valid;
        self.packet.last.next = self.r.q.val().last;
        self.packet.error.next = self.r.q.val().error;
        self.count.next = self.r.q.val().count;
        self.cause.next = self.r.q.val().cause;
        // Reset.
        if self.reset.val() {
            self.r.d.next.have = false;
            self.r.d.next.escaped = false;
            self.r.d.next.skip = false;
            self.r.d.next.length = 0.into();
            self.r.d.next.valid = false;
            self.r.d.next.count = false;
        }
    }
}

#[derive(LogicState, Clone, Copy, Debug, PartialEq)]
enum TxPhase {
    Idle,
    Bytes,
    Escaped,
    Close,
}

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct TxState {
    phase: TxPhase,
    /// The second byte of an escaped pair.
    second: Bits<8>,
    last: Bit,
}

/// Packets in, line bytes out. A byte moves when `valid` and `ready` are both high.
///
/// A packet that ends in `error` is ended like any other: its checksum is what stops it (nothing upstream of this block makes one).
#[derive(LogicBlock)]
pub struct SlipTx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub packet: StreamIn,
    pub data: Signal<Out, Bits<8>>,
    pub valid: Signal<Out, Bit>,
    pub ready: Signal<In, Bit>,
    /// One cycle for each packet sent (`FrameOut`).
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,
    r: DFF<TxState>,
    mark: Constant<Bits<8>>,
    esc: Constant<Bits<8>>,
    esc_end: Constant<Bits<8>>,
    esc_esc: Constant<Bits<8>>,
    frame_out: Constant<Bits<6>>,
}

impl Default for SlipTx {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            packet: Default::default(),
            data: Default::default(),
            valid: Default::default(),
            ready: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            r: Default::default(),
            mark: byte(END),
            esc: byte(ESC),
            esc_end: byte(ESC_END),
            esc_esc: byte(ESC_ESC),
            frame_out: cause(Cause::FrameOut),
        }
    }
}

impl Logic for SlipTx {
    #[hdl_gen]
    fn update(&mut self) {
        // Registers, defaults.
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.data.next = self.packet.data.val();
        self.valid.next = false;
        self.packet.ready.next = false;
        self.count.next = false;
        self.cause.next = self.frame_out.val();
        // State machine: END, the bytes, END. An END or ESC among them is offered as ESC; when that has moved, its packet byte has too.
        match self.r.q.val().phase {
            TxPhase::Idle => {
                self.data.next = self.mark.val();
                if self.packet.valid.val() {
                    self.valid.next = true;
                    if self.ready.val() {
                        self.r.d.next.phase = TxPhase::Bytes;
                    }
                }
            }
            TxPhase::Bytes => {
                self.valid.next = self.packet.valid.val();
                self.packet.ready.next = self.ready.val();
                if self.packet.data.val() == self.mark.val() {
                    self.data.next = self.esc.val();
                }
                if self.packet.valid.val() & self.ready.val() {
                    self.r.d.next.last = self.packet.last.val();
                    if self.packet.last.val() {
                        self.r.d.next.phase = TxPhase::Close;
                    }
                    if self.packet.data.val() == self.mark.val() {
                        self.r.d.next.second = self.esc_end.val();
                        self.r.d.next.phase = TxPhase::Escaped;
                    }
                    if self.packet.data.val() == self.esc.val() {
                        self.r.d.next.second = self.esc_esc.val();
                        self.r.d.next.phase = TxPhase::Escaped;
                    }
                }
            }
            TxPhase::Escaped => {
                self.data.next = self.r.q.val().second;
                self.valid.next = true;
                if self.ready.val() {
                    self.r.d.next.phase = TxPhase::Bytes;
                    if self.r.q.val().last {
                        self.r.d.next.phase = TxPhase::Close;
                    }
                }
            }
            TxPhase::Close => {
                self.data.next = self.mark.val();
                self.valid.next = true;
                if self.ready.val() {
                    self.count.next = true;
                    self.r.d.next.phase = TxPhase::Idle;
                }
            }
            _ => {
                self.r.d.next.phase = TxPhase::Idle;
            }
        }
        // Reset.
        if self.reset.val() {
            self.r.d.next.phase = TxPhase::Idle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    /// As RFC 1055's own program does it.
    fn encode(packet: &[u8]) -> Vec<u8> {
        let mut line = vec![END];
        for &b in packet {
            match b {
                END => line.extend([ESC, ESC_END]),
                ESC => line.extend([ESC, ESC_ESC]),
                _ => line.push(b),
            }
        }
        line.push(END);
        line
    }

    fn settle(uut: &mut impl Block) {
        uut.update_all();
        while uut.has_changed() {
            uut.update_all();
        }
    }

    /// Plays `(byte, framing error)` and gives back packets with their verdict, and the causes counted.
    fn receive(line: &[(u8, bool)], mtu: u16) -> (Vec<(Vec<u8>, bool)>, Vec<u64>) {
        let mut uut = SlipRx::new(mtu);
        uut.connect_all();
        let (mut packets, mut packet, mut causes) = (vec![], vec![], vec![]);
        for i in 0..line.len() + 4 {
            let (data, error) = *line.get(i).unwrap_or(&(0, false));
            uut.valid.next = i < line.len();
            uut.data.next = u64::from(data).into();
            uut.error.next = error;
            for clk in [true, false] {
                uut.clock.next = Clock { clk };
                settle(&mut uut);
            }
            if uut.count.val() {
                causes.push(uut.cause.val().to_u64());
            }
            if uut.packet.valid.val() {
                let error = uut.packet.error.val();
                if !error {
                    packet.push(uut.packet.data.val().to_u64() as u8);
                }
                if uut.packet.last.val() {
                    packets.push((std::mem::take(&mut packet), error));
                }
            }
        }
        assert!(packet.is_empty(), "a packet without an end");
        (packets, causes)
    }

    fn clean(line: Vec<u8>) -> Vec<(u8, bool)> {
        line.into_iter().map(|b| (b, false)).collect()
    }

    #[test]
    fn packets_come_out_as_they_went_in() {
        for packet in [
            vec![1],
            vec![END],
            vec![ESC],
            vec![ESC, ESC_END, END, ESC_ESC],
            (0..=255).collect::<Vec<u8>>(),
        ] {
            let (got, causes) = receive(&clean(encode(&packet)), 576);
            assert_eq!(got, [(packet, false)]);
            assert_eq!(causes, [u64::from(Cause::FrameIn.number())]);
        }
    }

    #[test]
    fn the_length_limit_is_exact() {
        let whole = vec![7u8; 100];
        assert_eq!(
            receive(&clean(encode(&whole)), 100).0,
            [(whole.clone(), false)]
        );
        let (got, causes) = receive(&clean([encode(&whole), encode(&[9])].concat()), 99);
        assert!(got[0].1, "one byte more is void");
        assert_eq!(got[1], (vec![9], false));
        let expected = [Cause::LinkOversize, Cause::FrameIn].map(|c| u64::from(c.number()));
        assert_eq!(causes, expected);
    }

    #[test]
    fn a_broken_packet_is_void_and_the_next_is_whole() {
        let bad_escape = clean(vec![END, 1, 2, ESC, 3, 4, END]);
        let mut framing = clean(vec![END, 1, 2, 3, 4, END]);
        framing[3].1 = true;
        let cut_escape = clean(vec![END, 1, 2, ESC, END]);
        for broken in [bad_escape, framing, cut_escape] {
            let (got, causes) = receive(&[broken, clean(encode(&[5, 6]))].concat(), 576);
            assert_eq!(got.len(), 2);
            assert!(got[0].1);
            assert_eq!(got[1], (vec![5, 6], false));
            let expected = [Cause::LinkError, Cause::FrameIn].map(|c| u64::from(c.number()));
            assert_eq!(causes, expected);
        }
    }

    #[test]
    fn silence_between_packets_is_no_packet() {
        assert_eq!(receive(&clean(vec![END; 9]), 576).0, []);
        assert_eq!(receive(&[(3, true), (END, false)], 576).1, [0u64; 0]);
    }

    /// Sends packets with random waits on both sides; gives back the line and the cycles it took.
    fn send(packets: &[Vec<u8>], wait: f64, seed: u64) -> (Vec<u8>, usize) {
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        let mut uut = SlipTx::default();
        uut.connect_all();
        let mut beats = packets.iter().flat_map(|p| {
            let n = p.len();
            p.iter().enumerate().map(move |(i, b)| (*b, i + 1 == n))
        });
        let (mut line, mut cycles, mut counted) = (vec![], 0, 0);
        let mut beat = beats.next();
        while counted < packets.len() {
            let (data, last) = beat.unwrap_or_default();
            uut.packet.valid.next = beat.is_some();
            uut.packet.data.next = u64::from(data).into();
            uut.packet.last.next = last;
            uut.ready.next = !rng.random_bool(wait);
            settle(&mut uut);
            if uut.valid.val() && uut.ready.val() {
                line.push(uut.data.val().to_u64() as u8);
            }
            counted += usize::from(uut.count.val());
            let moves = uut.packet.ready.val() && beat.is_some();
            for clk in [true, false] {
                uut.clock.next = Clock { clk };
                settle(&mut uut);
            }
            if moves {
                beat = beats.next();
            }
            cycles += 1;
            assert!(cycles < 100_000, "stalled");
        }
        (line, cycles)
    }

    #[test]
    fn the_line_is_what_rfc_1055_says() {
        let packets = [vec![1, END, 2, ESC, 3], vec![END], vec![ESC, 0]];
        let expected: Vec<u8> = packets.iter().flat_map(|p| encode(p)).collect();
        let (line, cycles) = send(&packets, 0.0, 1);
        assert_eq!(line, expected);
        assert_eq!(cycles, expected.len(), "a byte a cycle");
        assert_eq!(send(&packets, 0.6, 2).0, expected);
    }

    #[test]
    fn receiver_equals_its_verilog() {
        let report = toe_sim::lockstep!("slip_rx", SlipRx::new(40), 20_000, |uut, cycle, rng| {
            uut.reset.next = cycle == 0 || rng.random_ratio(1, 3000);
            uut.valid.next = rng.random_bool(0.6);
            uut.error.next = rng.random_ratio(1, 200);
            let byte = match rng.random_range(0..20) {
                0 => END,
                1 => ESC,
                2 => ESC_END,
                3 => ESC_ESC,
                _ => rng.random(),
            };
            uut.data.next = u64::from(byte).into();
        });
        report.assert_active();
    }

    #[test]
    fn sender_equals_its_verilog() {
        let report = toe_sim::lockstep!("slip_tx", SlipTx::default(), 20_000, |uut, cycle, rng| {
            uut.reset.next = cycle == 0 || rng.random_ratio(1, 3000);
            uut.ready.next = rng.random_bool(0.6);
            uut.packet.valid.next = rng.random_bool(0.7);
            uut.packet.last.next = rng.random_ratio(1, 8);
            uut.packet.error.next = rng.random();
            let byte = match rng.random_range(0..8) {
                0 => END,
                1 => ESC,
                _ => rng.random(),
            };
            uut.packet.data.next = u64::from(byte).into();
        });
        report
            .never_changed()
            .iter()
            .for_each(|n| assert_eq!(*n, "cause"));
    }
}
