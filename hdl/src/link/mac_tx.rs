//! Puts Ethernet frames on a GMII: preamble, padding to 60 bytes, check sequence, 12 bytes of idle.
//!
//! Latency: `tx_en` rises with the second edge after `valid`; the first byte of the frame is taken 8 cycles after that of the preamble. Throughput: a byte a cycle; a frame of
//! n bytes takes max(n, 60) + 24 cycles and the next one's preamble follows the twelfth idle byte at once.
//!
//! Abort: a frame that ends in `error`, or whose source has nothing to offer in mid-frame, gets one byte with `tx_er` and a wrong check sequence. What
//! is left of a starved frame is swallowed.
use crate::counters::Cause;
use crate::link::fcs::Fcs;
use crate::link::mac_rx::cause;
use crate::stream::StreamIn;
use rust_hdl::prelude::*;

#[derive(LogicState, Clone, Copy, Debug, PartialEq)]
enum State {
    Idle,
    Preamble,
    Frame,
    /// zeros up to 60 bytes (IEEE 802.3 clause 4A.4.2: minimum frame size)
    Pad,
    Fcs,
    /// interpacket gap (clause 4A.4.2: 96 bits)
    Gap,
}

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct Registers {
    state: State,
    /// place within preamble, check sequence or gap
    step: Bits<4>,
    /// bytes of the frame so far, stops at 60
    length: Bits<6>,
    crc: Bits<32>,
    /// the check sequence will be wrong
    ruined: Bit,
    /// the rest of a starved frame is still to come
    swallow: Bit,
    tx_en: Bit,
    tx_er: Bit,
    txd: Bits<8>,
}

/// The sending MAC.
///
/// **Contract.** `tx_en`, `tx_er`, `txd` come from registers. `count` is high for one cycle a frame sent whole.
#[derive(LogicBlock, Debug)]
pub struct MacTx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // stream
    pub frame: StreamIn,
    // GMII
    pub tx_en: Signal<Out, Bit>,
    pub tx_er: Signal<Out, Bit>,
    pub txd: Signal<Out, Bits<8>>,
    // counting
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,

    r: DFF<Registers>,
    fcs: Fcs,
    /// the low byte of the check register
    crc_low: Signal<Local, Bits<8>>,
    /// a byte of frame or padding goes out
    payload: Signal<Local, Bits<8>>,
    starved: Signal<Local, Bit>,
    sent: Constant<Bits<6>>,
}

impl Default for MacTx {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            frame: Default::default(),
            tx_en: Default::default(),
            tx_er: Default::default(),
            txd: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            r: Default::default(),
            fcs: Default::default(),
            crc_low: Default::default(),
            payload: Default::default(),
            starved: Default::default(),
            sent: cause(Cause::FrameOut),
        }
    }
}

impl Logic for MacTx {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();

        // ---- named wires
        self.crc_low.next = bit_cast::<8, 32>(self.r.q.val().crc);
        self.payload.next = bits::<8>(0);
        if self.r.q.val().state == State::Frame {
            self.payload.next = self.frame.data.val();
        }
        self.starved.next = !self.frame.valid.val();
        self.fcs.crc.next = self.r.q.val().crc;
        // In the check sequence this shifts the register by a byte.
        self.fcs.data.next = self.payload.val();
        if self.r.q.val().state == State::Fcs {
            self.fcs.data.next = self.crc_low.val();
        }

        // ---- defaults
        self.r.d.next.tx_en = true;
        self.r.d.next.tx_er = false;
        self.r.d.next.txd = self.payload.val();
        self.r.d.next.step = self.r.q.val().step + bits::<4>(1);
        self.frame.ready.next = self.r.q.val().swallow;
        self.count.next = false;
        self.cause.next = self.sent.val();
        if self.r.q.val().swallow && self.frame.valid.val() && self.frame.last.val() {
            self.r.d.next.swallow = false;
        }

        // ---- state machine
        match self.r.q.val().state {
            State::Idle => {
                self.r.d.next.tx_en = false;
                self.r.d.next.step = bits::<4>(0);
                self.r.d.next.length = bits::<6>(0);
                self.r.d.next.ruined = false;
                self.r.d.next.crc = bits::<32>(0xFFFF_FFFF_u64);
                if self.frame.valid.val() && !self.r.q.val().swallow {
                    self.r.d.next.state = State::Preamble;
                }
            }
            State::Preamble => {
                self.r.d.next.txd = bits::<8>(0x55);
                if self.r.q.val().step == bits::<4>(7) {
                    self.r.d.next.txd = bits::<8>(0xD5);
                    self.r.d.next.state = State::Frame;
                }
            }
            State::Frame => {
                self.frame.ready.next = true;
                self.r.d.next.step = bits::<4>(0);
                self.r.d.next.crc = self.fcs.after.val();
                if self.r.q.val().length != bits::<6>(60) {
                    self.r.d.next.length = self.r.q.val().length + bits::<6>(1);
                }
                if self.frame.last.val() || self.starved.val() {
                    self.r.d.next.state = State::Fcs;
                    if self.r.q.val().length < bits::<6>(59) {
                        self.r.d.next.state = State::Pad;
                    }
                }
                if self.starved.val() {
                    self.r.d.next.swallow = true;
                }
                if self.starved.val() || (self.frame.last.val() && self.frame.error.val()) {
                    self.r.d.next.ruined = true;
                    self.r.d.next.tx_er = true;
                }
            }
            State::Pad => {
                self.r.d.next.step = bits::<4>(0);
                self.r.d.next.crc = self.fcs.after.val();
                self.r.d.next.length = self.r.q.val().length + bits::<6>(1);
                if self.r.q.val().length == bits::<6>(59) {
                    self.r.d.next.state = State::Fcs;
                }
            }
            State::Fcs => {
                self.r.d.next.crc = self.fcs.after.val();
                self.r.d.next.txd = !self.crc_low.val();
                if self.r.q.val().ruined {
                    self.r.d.next.txd = self.crc_low.val();
                }
                if self.r.q.val().step == bits::<4>(3) {
                    self.count.next = !self.r.q.val().ruined;
                    self.r.d.next.state = State::Gap;
                }
            }
            _ => {
                // Steps 4 to 14; the state Idle makes the twelfth.
                self.r.d.next.tx_en = false;
                if self.r.q.val().step == bits::<4>(14) {
                    self.r.d.next.state = State::Idle;
                }
            }
        }

        // ---- outputs
        self.tx_en.next = self.r.q.val().tx_en;
        self.tx_er.next = self.r.q.val().tx_er;
        self.txd.next = self.r.q.val().txd;

        // ---- reset
        if self.reset.val() {
            self.r.d.next.state = State::Idle;
            self.r.d.next.swallow = false;
            self.r.d.next.tx_en = false;
            self.r.d.next.tx_er = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testgen::{cycle, random_bytes, settle, with_fcs, Player};
    use rand::{Rng, SeedableRng};

    /// What was on the line: one entry a cycle.
    type Line = Vec<(bool, bool, u8)>;

    /// Offers beats (`None`: starve for a cycle) for `cycles` cycles.
    fn run(beats: &[Option<(u8, bool, bool)>], cycles: usize) -> (Line, usize) {
        let mut uut = MacTx::default();
        uut.connect_all();
        let (mut line, mut at, mut counted) = (vec![], 0, 0);
        for _ in 0..cycles {
            let beat = beats.get(at).copied().flatten();
            uut.frame.valid.next = beat.is_some();
            let (data, last, error) = beat.unwrap_or_default();
            uut.frame.data.next = data.to_bits();
            uut.frame.last.next = last;
            uut.frame.error.next = error;
            settle(&mut uut);
            line.push((uut.tx_en.val(), uut.tx_er.val(), uut.txd.val().to_u8()));
            counted += usize::from(uut.count.val());
            // A hole lasts one cycle, a beat until it moves.
            if (beat.is_none() && at < beats.len()) || (beat.is_some() && uut.frame.ready.val()) {
                at += 1;
            }
            cycle!(uut);
        }
        (line, counted)
    }

    fn beats(frame: &[u8], error: bool) -> Vec<Option<(u8, bool, bool)>> {
        let n = frame.len() - 1;
        let beat = |(i, b): (usize, &u8)| Some((*b, i == n, error && i == n));
        frame.iter().enumerate().map(beat).collect()
    }

    fn on_wire(frame: &[u8]) -> Vec<u8> {
        let head = [0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xD5];
        [&head[..], &with_fcs(frame.to_vec())].concat()
    }

    /// Bursts of `tx_en` with their distance from the former and whether `tx_er` was seen.
    fn bursts(line: &Line) -> Vec<(usize, Vec<u8>, bool)> {
        let (mut out, mut gap, mut open) = (vec![], 0, false);
        for (en, er, data) in line {
            if *en {
                if !open {
                    out.push((gap, vec![], false));
                    gap = 0;
                }
                let burst = out.last_mut().unwrap();
                burst.1.push(*data);
                burst.2 |= er;
            } else {
                gap += 1;
            }
            open = *en;
        }
        out
    }

    #[test]
    fn frames_of_every_boundary_length() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        for length in [1, 2, 13, 14, 58, 59, 60, 61, 62, 1513, 1514] {
            let frame = random_bytes(&mut rng, length);
            let (line, counted) = run(&beats(&frame, false), length + 120);
            let sent = bursts(&line);
            assert_eq!(sent.len(), 1);
            assert_eq!(sent[0].1, on_wire(&frame), "{length}");
            assert!(!sent[0].2);
            assert_eq!(counted, 1);
        }
    }

    #[test]
    fn back_to_back_frames_are_twelve_apart() {
        let frames = [vec![1; 60], vec![2; 20], vec![3; 100]];
        let all: Vec<_> = frames.iter().flat_map(|f| beats(f, false)).collect();
        let (line, counted) = run(&all, 400);
        let sent = bursts(&line);
        assert_eq!(counted, 3);
        let wire: Vec<_> = sent.iter().map(|(_, b, _)| b.clone()).collect();
        assert_eq!(wire, frames.map(|f| on_wire(&f)));
        // The header promises: second edge after valid; then twelve idle bytes.
        let gaps: Vec<_> = sent.iter().map(|(gap, ..)| *gap).collect();
        assert_eq!(gaps, [2, 12, 12]);
    }

    #[test]
    fn a_void_or_starved_frame_cannot_be_mistaken_for_a_good_one() {
        for length in [1, 2, 40, 59, 60, 61, 100] {
            for starve in [false, true] {
                let mut all = beats(&vec![7; length], !starve);
                if starve && length == 1 {
                    continue; // it ends before it can starve
                }
                if starve {
                    all.insert((length / 2).max(1), None);
                }
                all.extend(beats(&[9; 64], false));
                let (line, counted) = run(&all, 500);
                let sent = bursts(&line);
                assert_eq!(sent.len(), 2, "{length} {starve}");
                assert!(sent[0].2, "tx_er");
                let bytes = &sent[0].1[8..];
                assert!(bytes.len() >= 64);
                let (body, fcs) = bytes.split_at(bytes.len() - 4);
                assert_ne!(crate::net::testgen::fcs(body).to_le_bytes(), fcs);
                assert_eq!(sent[1].1, on_wire(&[9; 64]), "{length} {starve}");
                assert_eq!(counted, 1);
            }
        }
    }

    #[test]
    fn lockstep() {
        let mut player = Player::default();
        let mut hole = 0;
        toe_sim::lockstep!("mac_tx", MacTx::default(), 20_000, |uut, cycle, rng| {
            // `ready` depends on registers alone, so it tells whether this beat moves.
            if player.idle() && hole == 0 && rng.random_bool(0.3) {
                hole = rng.random_range(1..60);
            } else if hole == 0 && rng.random_bool(0.003) {
                hole = 1;
            }
            uut.frame.valid.next = hole == 0;
            if hole > 0 {
                hole -= 1;
            } else {
                let (data, last, error) = player.beat(rng, |rng| {
                    let length = rng.random_range(1..90);
                    random_bytes(rng, length)
                });
                uut.frame.data.next = data.to_bits();
                uut.frame.last.next = last;
                uut.frame.error.next = error;
                if uut.frame.ready.val() {
                    player.moved();
                }
            }
            uut.reset.next = cycle < 2 || rng.random_bool(0.0005);
        });
    }
}
