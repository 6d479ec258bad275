//! Takes Ethernet frames off a GMII: finds the start delimiter, checks length and check sequence, and strips both ends.
//!
//! Latency: a byte leaves in the cycle in which the fifth byte after it is on `rxd` (four bytes may yet prove to be the check sequence, the
//! fifth makes sure that it is not the last). Throughput: a byte a cycle, for ever.
//!
//! Abort: a frame that proves bad ends with a beat marked `error`, or, if nothing of it was handed on, leaves no beat at all. `rx_er` and a frame
//! too long end it at once, the rest is passed over. One cause is counted for each frame that had a start delimiter and at least one byte.
use crate::counters::Cause;
use crate::link::fcs::{Fcs, RESIDUE};
use crate::stream::StreamOut;
use rust_hdl::prelude::*;

#[derive(LogicState, Clone, Copy, Debug, PartialEq)]
enum State {
    /// no carrier
    Idle,
    /// carrier, no start delimiter yet
    Preamble,
    Frame,
    /// passing over what is left
    Skip,
}

/// Bytes come in on the left: `d1` is the newest.
#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct Registers {
    state: State,
    d1: Bits<8>,
    d2: Bits<8>,
    d3: Bits<8>,
    d4: Bits<8>,
    d5: Bits<8>,
    crc: Bits<32>,
    /// bytes so far, FCS and all
    length: Bits<11>,
    /// at least five bytes came, so `d5` holds one to hand on
    full: Bit,
    /// something was handed on
    begun: Bit,
    /// a byte came
    some: Bit,
    /// at least 64 bytes came
    long_enough: Bit,
    /// a byte more would be one too many
    longest: Bit,
    /// `crc` is what a sound frame leaves
    fcs_good: Bit,
    /// the Ethertype is 0x8100: four bytes more are allowed (IEEE 802.3 clause 3.2.7)
    tagged: Bit,
}

/// The receiving MAC.
///
/// **Contract.** `rx_dv`, `rx_er`, `rxd` come straight from registers (the pins'). `frame.ready` is taken to be high. `count` is high
/// for the one cycle that ends a frame, with `cause`.
#[derive(LogicBlock, Debug)]
pub struct MacRx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // GMII
    pub rx_dv: Signal<In, Bit>,
    pub rx_er: Signal<In, Bit>,
    pub rxd: Signal<In, Bits<8>>,
    // stream
    pub frame: StreamOut,
    // counting
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,

    r: DFF<Registers>,
    fcs: Fcs,
    fcs_good: Signal<Local, Bit>,
    longest: Signal<Local, Bit>,
    abort: Signal<Local, Bit>,
    ended: Signal<Local, Bit>,
    good: Signal<Local, Bit>,
    residue: Constant<Bits<32>>,
    good_cause: Constant<Bits<6>>,
    bad_fcs: Constant<Bits<6>>,
    line_error: Constant<Bits<6>>,
    runt: Constant<Bits<6>>,
    oversize: Constant<Bits<6>>,
}

/// A cause as a constant of the hardware.
pub(crate) fn cause(cause: Cause) -> Constant<Bits<6>> {
    Constant::new(cause.number().to_bits())
}

impl Default for MacRx {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            rx_dv: Default::default(),
            rx_er: Default::default(),
            rxd: Default::default(),
            frame: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            r: Default::default(),
            fcs: Default::default(),
            fcs_good: Default::default(),
            longest: Default::default(),
            abort: Default::default(),
            ended: Default::default(),
            good: Default::default(),
            residue: Constant::new(RESIDUE.to_bits()),
            good_cause: cause(Cause::FrameIn),
            bad_fcs: cause(Cause::LinkBadFcs),
            line_error: cause(Cause::LinkError),
            runt: cause(Cause::LinkRunt),
            oversize: cause(Cause::LinkOversize),
        }
    }
}

impl Logic for MacRx {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.fcs.crc.next = self.r.q.val().crc;
        self.fcs.data.next = self.rxd.val();

        // ---- named wires
        // Told a byte ahead and kept in registers: the verdict goes through Ethernet's and IPv4's header in the cycle in which the frame ends.
        self.fcs_good.next = self.fcs.after.val() == self.residue.val();
        // Longer than 1518 bytes, or 1522 with a tag: the byte after this one is the one too many.
        self.longest.next = (self.r.q.val().length == bits::<11>(1521))
            || ((self.r.q.val().length == bits::<11>(1517)) && !self.r.q.val().tagged);
        self.abort.next = (self.r.q.val().state == State::Frame)
            && self.rx_dv.val()
            && (self.rx_er.val() || self.r.q.val().longest);
        // A frame of no bytes never was one.
        self.ended.next =
            (self.r.q.val().state == State::Frame) && !self.rx_dv.val() && self.r.q.val().some;
        self.good.next = self.r.q.val().fcs_good && self.r.q.val().long_enough;

        // ---- state machine
        match self.r.q.val().state {
            State::Idle => {
                if self.rx_dv.val() {
                    self.r.d.next.state = State::Preamble;
                    if self.rxd.val() == bits::<8>(0xD5) {
                        self.r.d.next.state = State::Frame;
                    }
                }
            }
            State::Preamble => {
                if !self.rx_dv.val() {
                    self.r.d.next.state = State::Idle;
                } else if self.rxd.val() == bits::<8>(0xD5) {
                    self.r.d.next.state = State::Frame;
                }
            }
            State::Frame => {
                if !self.rx_dv.val() {
                    self.r.d.next.state = State::Idle;
                } else if self.abort.val() {
                    self.r.d.next.state = State::Skip;
                }
            }
            _ => {
                if !self.rx_dv.val() {
                    self.r.d.next.state = State::Idle;
                }
            }
        }
        if self.r.q.val().state == State::Frame {
            if self.rx_dv.val() {
                self.r.d.next.d1 = self.rxd.val();
                self.r.d.next.d2 = self.r.q.val().d1;
                self.r.d.next.d3 = self.r.q.val().d2;
                self.r.d.next.d4 = self.r.q.val().d3;
                self.r.d.next.d5 = self.r.q.val().d4;
                self.r.d.next.crc = self.fcs.after.val();
                self.r.d.next.length = self.r.q.val().length + bits::<11>(1);
                self.r.d.next.some = true;
                self.r.d.next.longest = self.longest.val();
                self.r.d.next.fcs_good = self.fcs_good.val();
                self.r.d.next.begun = self.r.q.val().full;
                if self.r.q.val().length == bits::<11>(4) {
                    self.r.d.next.full = true;
                }
                if self.r.q.val().length == bits::<11>(63) {
                    self.r.d.next.long_enough = true;
                }
                if (self.r.q.val().length == bits::<11>(13))
                    && (self.r.q.val().d1 == bits::<8>(0x81))
                    && (self.rxd.val() == bits::<8>(0x00))
                {
                    self.r.d.next.tagged = true;
                }
            }
        } else {
            self.r.d.next.crc = bits::<32>(0xFFFF_FFFF_u64);
            self.r.d.next.length = bits::<11>(0);
            self.r.d.next.full = false;
            self.r.d.next.begun = false;
            self.r.d.next.some = false;
            self.r.d.next.long_enough = false;
            self.r.d.next.longest = false;
            self.r.d.next.fcs_good = false;
            self.r.d.next.tagged = false;
        }

        // ---- outputs
        self.frame.data.next = self.r.q.val().d5;
        self.frame.last.next = self.abort.val() || self.ended.val();
        self.frame.error.next = self.abort.val() || !self.good.val();
        self.frame.valid.next = (self.r.q.val().state == State::Frame)
            && self.r.q.val().full
            && ((self.rx_dv.val() && !self.abort.val())
                || self.r.q.val().begun
                || (self.ended.val() && self.good.val()));
        self.count.next = self.abort.val() || self.ended.val();
        self.cause.next = self.bad_fcs.val();
        if self.rx_dv.val() {
            self.cause.next = self.oversize.val();
            if self.rx_er.val() {
                self.cause.next = self.line_error.val();
            }
        } else if !self.r.q.val().long_enough {
            self.cause.next = self.runt.val();
        } else if self.r.q.val().fcs_good {
            self.cause.next = self.good_cause.val();
        }

        // ---- reset: pass over what is on the line
        if self.reset.val() {
            self.r.d.next.state = State::Skip;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testgen::{cycle, random_bytes, with_fcs, Collector, Received};
    use rand::{Rng, SeedableRng};

    struct Bench {
        uut: MacRx,
        out: Collector,
        causes: Vec<u8>,
        /// of each beat
        cycles: Vec<usize>,
        now: usize,
    }

    impl Bench {
        fn new() -> Self {
            let mut uut = MacRx::default();
            uut.connect_all();
            uut.frame.ready.next = true;
            Self {
                uut,
                out: Collector::default(),
                causes: vec![],
                cycles: vec![],
                now: 0,
            }
        }

        fn step(&mut self, dv: bool, er: bool, data: u8) {
            self.uut.rx_dv.next = dv;
            self.uut.rx_er.next = er;
            self.uut.rxd.next = data.to_bits();
            crate::net::testgen::settle(&mut self.uut);
            let f = &self.uut.frame;
            if f.valid.val() {
                let data = f.data.val().to_u8();
                self.out.beat(data, f.last.val(), f.error.val());
                self.cycles.push(self.now);
            }
            if self.uut.count.val() {
                self.causes.push(self.uut.cause.val().to_u8());
            }
            cycle!(self.uut);
            self.now += 1;
        }

        /// Preamble, the bytes, one idle cycle; `rx_er` with byte `er`.
        fn frame(&mut self, bytes: &[u8], er: Option<usize>) {
            for _ in 0..7 {
                self.step(true, false, 0x55);
            }
            self.step(true, false, 0xD5);
            for (i, b) in bytes.iter().enumerate() {
                self.step(true, er == Some(i), *b);
            }
            self.step(false, false, 0);
        }

        fn cause(&mut self) -> Vec<Cause> {
            std::mem::take(&mut self.causes)
                .into_iter()
                .map(|n| *Cause::ALL.iter().find(|c| c.number() == n).unwrap())
                .collect()
        }
    }

    /// `length` bytes with FCS and all.
    fn sound(length: usize) -> Vec<u8> {
        let mut rng = rand::rngs::StdRng::seed_from_u64(length as u64);
        let mut f = random_bytes(&mut rng, length - 4);
        if length > 18 {
            f[12..14].copy_from_slice(&[8, 0]);
        }
        let sequence = crate::net::testgen::fcs(&f).to_le_bytes();
        f.extend(sequence);
        f
    }

    #[test]
    fn frames_of_every_boundary_length() {
        let mut b = Bench::new();
        for length in [64, 65, 66, 67, 68, 100, 1517, 1518] {
            let f = sound(length);
            b.frame(&f, None);
            assert_eq!(b.out.good(), [&f[..length - 4]], "{length}");
            assert_eq!(b.cause(), [Cause::FrameIn], "{length}");
        }
    }

    #[test]
    fn runts() {
        let mut b = Bench::new();
        for length in 4..64 {
            b.frame(&sound(length), None);
            assert_eq!(b.cause(), [Cause::LinkRunt], "{length}");
            let beats = std::mem::take(&mut b.out.frames);
            if length < 6 {
                assert_eq!(beats, [], "{length}");
            } else {
                assert_eq!(beats.len(), 1, "{length}");
                assert!(beats[0].error);
            }
        }
        for length in 1..4 {
            b.frame(&[0; 3][..length], None);
            assert_eq!(b.cause(), [Cause::LinkRunt], "{length}");
        }
        b.frame(&[], None);
        assert_eq!(b.cause(), [], "a delimiter alone is no frame");
        assert!(b.out.frames.is_empty() && !b.out.open());
    }

    #[test]
    fn oversize() {
        let mut b = Bench::new();
        for length in [1519, 1520, 1600, 4000] {
            b.frame(&sound(length), None);
            assert_eq!(b.cause(), [Cause::LinkOversize], "{length}");
            let frames = std::mem::take(&mut b.out.frames);
            assert!(frames.len() == 1 && frames[0].error, "{length}");
        }
        let tagged = |length: usize| {
            let mut f = sound(length);
            f.truncate(length - 4);
            f[12..14].copy_from_slice(&[0x81, 0]);
            with_fcs(f)
        };
        b.frame(&tagged(1522), None);
        assert_eq!(b.cause(), [Cause::FrameIn]);
        assert_eq!(b.out.good()[0].len(), 1518);
        b.frame(&tagged(1523), None);
        assert_eq!(b.cause(), [Cause::LinkOversize]);
    }

    #[test]
    fn every_single_bit_error_is_found() {
        let mut b = Bench::new();
        for bit in 0..64 * 8 {
            let mut f = sound(64);
            f[bit / 8] ^= 1 << (bit % 8);
            b.frame(&f, None);
            assert_eq!(b.cause(), [Cause::LinkBadFcs]);
            let frames = std::mem::take(&mut b.out.frames);
            assert!(frames.len() == 1 && frames[0].error);
        }
    }

    #[test]
    fn a_line_error_anywhere() {
        let mut b = Bench::new();
        for at in 0..64 {
            b.frame(&sound(64), Some(at));
            assert_eq!(b.cause(), [Cause::LinkError], "{at}");
            let frames = std::mem::take(&mut b.out.frames);
            assert_eq!(frames.len(), usize::from(at >= 6), "{at}");
            assert!(frames.iter().all(|f: &Received| f.error), "{at}");
            assert!(!b.out.open());
        }
        b.frame(&sound(64), None);
        assert_eq!(b.cause(), [Cause::FrameIn]);
    }

    #[test]
    fn carrier_without_a_delimiter_is_nothing() {
        let mut b = Bench::new();
        for _ in 0..100 {
            b.step(true, false, 0x55);
        }
        b.step(false, false, 0);
        b.step(false, true, 0x0E); // false carrier
        assert_eq!(b.cause(), []);
        b.frame(&sound(64), None);
        assert_eq!(b.cause(), [Cause::FrameIn]);
    }

    #[test]
    fn latency_and_throughput() {
        let mut b = Bench::new();
        b.frame(&sound(200), None);
        // The first byte is on the line in cycle 8, the last data byte in 8 + 195.
        let expected: Vec<_> = (0..196).map(|k| 8 + k + 5).collect();
        assert_eq!(b.cycles, expected);
    }

    #[test]
    fn lockstep() {
        let mut line: Vec<(bool, bool, u8)> = vec![];
        toe_sim::lockstep!("mac_rx", MacRx::default(), 20_000, |uut, cycle, rng| {
            if line.is_empty() {
                let length = match rng.random_range(0..10) {
                    0 => rng.random_range(4..70),
                    1 => rng.random_range(1515..1530),
                    _ => rng.random_range(64..150),
                };
                let mut f = sound(length);
                match rng.random_range(0..8) {
                    0 => f[rng.random_range(0..length)] ^= 1,
                    1 => f.truncate(rng.random_range(0..length)),
                    2 if length > 100 => {
                        f[12..14].copy_from_slice(&[0x81, 0]);
                        f.truncate(length - 4);
                        f = with_fcs(f);
                    }
                    _ => {}
                }
                let preamble = rng.random_range(0..9);
                line.extend(vec![(true, false, 0x55); preamble]);
                line.push((true, false, 0xD5));
                line.extend(f.iter().map(|b| (true, false, *b)));
                if rng.random_bool(0.1) {
                    let at = rng.random_range(0..line.len());
                    line[at].1 = true;
                }
                let idle = rng.random_range(1..20);
                line.extend(vec![(false, rng.random_bool(0.1), 0); idle]);
                line.reverse();
            }
            let (dv, er, data) = line.pop().unwrap();
            uut.rx_dv.next = dv;
            uut.rx_er.next = er;
            uut.rxd.next = data.to_bits();
            uut.frame.ready.next = true;
            uut.reset.next = cycle < 3 || rng.random_bool(0.001);
        })
        .assert_active();
    }
}
