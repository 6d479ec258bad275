//! The byte-wide Ethernet line: what a PHY does at a board's GMII pins, one byte a cycle.
//!
//! A [`GmiiPort`] plays frames to the board as preamble, SFD, padded frame, FCS and at least 12 idle cycles, and
//! collects what the board sends, checking it as strictly as IEEE 802.3 words it. It remembers the cycles of the first and
//! last byte of every frame, both ways, so that latency and goodput are measured at the pins.
//!
//! Cycles: call number n of [`GmiiPort::step`] (the first is 0) is handed the board's outputs as they stand in clock cycle
//! n, after its first edge, and gives the inputs that the board samples at the edge that ends cycle n.

use std::collections::VecDeque;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use crate::link::{Frame, Medium, Tail, MIN_FRAME};
use crate::world::Port;

const PREAMBLE: [u8; 8] = [0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xD5];
/// interPacketGap: 96 bit times (IEEE 802.3 clause 4.4.2).
pub const MIN_GAP: u64 = 12;
/// maxBasicFrameSize, with FCS (IEEE 802.3 clause 4.4.2); a tag (clause 3.2.7) adds [`TAG`].
pub const MAX_FRAME: usize = 1518;
/// Bytes of an IEEE 802.1Q tag, whose type is 0x8100.
pub const TAG: usize = 4;

/// What the board did wrong on the line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Violation {
    /// The frame doesn't begin with seven 0x55 and 0xD5.
    #[error("cycle {cycle}: the frame begins {found:02x?} instead of 7 x 55, d5")]
    Preamble {
        /// Cycle of the first byte.
        cycle: u64,
        /// The first bytes, up to eight.
        found: Vec<u8>,
    },
    /// The last four bytes are not the FCS of those before.
    #[error(
        "cycle {cycle}: FCS {found:08x} on a frame of {length} bytes whose FCS is {right:08x}"
    )]
    Fcs {
        /// Cycle of the first byte.
        cycle: u64,
        /// The FCS sent.
        found: u32,
        /// The FCS of the bytes sent.
        right: u32,
        /// Length with FCS.
        length: usize,
    },
    /// Under 64 bytes with FCS.
    #[error("cycle {cycle}: a runt of {length} bytes with FCS, under 64")]
    Runt {
        /// Cycle of the first byte.
        cycle: u64,
        /// Length with FCS.
        length: usize,
    },
    /// Over the longest frame, with FCS.
    #[error("cycle {cycle}: a frame of {length} bytes with FCS, over {limit}")]
    Oversize {
        /// Cycle of the first byte.
        cycle: u64,
        /// Length with FCS.
        length: usize,
        /// The longest allowed.
        limit: usize,
    },
    /// Fewer than 12 idle cycles before the frame.
    #[error("cycle {cycle}: only {idle} idle cycles before the frame, {MIN_GAP} needed")]
    Gap {
        /// Cycle of the first byte.
        cycle: u64,
        /// Idle cycles since the frame before.
        idle: u64,
    },
    /// `tx_er` inside a frame: the board gave it up.
    #[error("cycle {cycle}: tx_er in byte {at} of the frame")]
    Error {
        /// Cycle of the first byte.
        cycle: u64,
        /// Byte on the line, preamble counted.
        at: usize,
    },
}

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Played to the board (`rxd`).
    ToBoard,
    /// Sent by the board (`txd`).
    FromBoard,
}

/// When a frame was on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which way it went.
    pub way: Way,
    /// Cycle of the first byte of the preamble.
    pub first: u64,
    /// Cycle of the last byte of the FCS.
    pub last: u64,
    /// Bytes without preamble and FCS.
    pub length: usize,
}

/// How busy one direction of the line was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Frames ended.
    pub frames: u64,
    /// Cycles with a byte on the line, preamble and FCS counted.
    pub busy: u64,
    /// Cycles without.
    pub idle: u64,
    /// Bytes of frames, without preamble and FCS.
    pub bytes: u64,
}

/// The PHY's side of the pins.
#[derive(Debug)]
pub struct GmiiPort {
    cycle: u64,
    // To the board.
    queue: VecDeque<Frame>,
    wire: Vec<u8>,
    position: usize,
    error_at: usize,
    playing_length: usize,
    gap_left: u64,
    extra_gap: u64,
    rng: ChaCha8Rng,
    rx: Usage,
    // From the board.
    collected: Vec<u8>,
    tx_error: Option<usize>,
    idle_run: u64,
    limit: usize,
    tx: Usage,
    received: VecDeque<Frame>,
    violations: VecDeque<Violation>,
    stamps: Vec<Stamp>,
}

impl Default for GmiiPort {
    fn default() -> Self {
        Self::new()
    }
}

impl GmiiPort {
    /// An idle line.
    pub fn new() -> Self {
        Self {
            cycle: 0,
            queue: VecDeque::new(),
            wire: Vec::with_capacity(2048),
            position: 0,
            error_at: usize::MAX,
            playing_length: 0,
            gap_left: 0,
            extra_gap: 0,
            rng: ChaCha8Rng::seed_from_u64(0),
            rx: Usage::default(),
            collected: Vec::with_capacity(2048),
            tx_error: None,
            idle_run: MIN_GAP,
            limit: MAX_FRAME,
            tx: Usage::default(),
            received: VecDeque::new(),
            violations: VecDeque::new(),
            stamps: Vec::new(),
        }
    }

    /// Adds 0 to `extra` idle cycles, drawn by `seed`, to every gap between frames for the board.
    pub fn with_jitter(mut self, extra: u64, seed: u64) -> Self {
        self.extra_gap = extra;
        self.rng = ChaCha8Rng::seed_from_u64(seed);
        self
    }

    /// Sets the longest untagged frame the board may send, with FCS (default [`MAX_FRAME`]).
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The number of the next call of [`GmiiPort::step`].
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// One clock cycle: takes the board's `tx_en, tx_er, txd`, gives its `rx_dv, rx_er, rxd`.
    #[inline]
    pub fn step(&mut self, tx_en: bool, tx_er: bool, txd: u8) -> (bool, bool, u8) {
        if tx_en {
            if tx_er && self.tx_error.is_none() {
                self.tx_error = Some(self.collected.len());
            }
            self.collected.push(txd);
            self.tx.busy += 1;
        } else {
            if !self.collected.is_empty() {
                self.end_of_frame();
            }
            self.idle_run += 1;
            self.tx.idle += 1;
        }
        let to_board = if self.position < self.wire.len() || self.next_frame() {
            let at = self.position;
            let byte = self.wire[at];
            self.position += 1;
            self.rx.busy += 1;
            if self.position == self.wire.len() {
                self.played();
            }
            (true, at == self.error_at, byte)
        } else {
            self.rx.idle += 1;
            (false, false, 0)
        };
        self.cycle += 1;
        to_board
    }

    /// Loads the next frame if the gap is over.
    #[inline]
    fn next_frame(&mut self) -> bool {
        if self.gap_left > 0 {
            self.gap_left -= 1;
            return false;
        }
        if self.queue.is_empty() {
            return false;
        }
        self.load()
    }

    fn load(&mut self) -> bool {
        let Some(frame) = self.queue.pop_front() else {
            return false;
        };
        self.wire.clear();
        self.position = 0;
        self.wire.extend(PREAMBLE);
        self.wire.extend(&frame.bytes);
        if frame.tail != Tail::Cut && frame.bytes.len() < MIN_FRAME {
            self.wire.resize(PREAMBLE.len() + MIN_FRAME, 0);
        }
        self.playing_length = self.wire.len() - PREAMBLE.len();
        match frame.tail {
            Tail::Sound => self.wire.extend(frame.right_fcs().to_le_bytes()),
            Tail::Fcs(fcs) => self.wire.extend(fcs.to_le_bytes()),
            Tail::Cut => {}
        }
        self.error_at = frame.error_at.map_or(usize::MAX, |at| at + PREAMBLE.len());
        true
    }

    #[cold]
    fn played(&mut self) {
        self.rx.frames += 1;
        self.rx.bytes += self.playing_length as u64;
        self.stamps.push(Stamp {
            way: Way::ToBoard,
            first: self.cycle + 1 - self.wire.len() as u64,
            last: self.cycle,
            length: self.playing_length,
        });
        self.gap_left = MIN_GAP;
        if self.extra_gap > 0 {
            self.gap_left += self.rng.random_range(0..=self.extra_gap);
        }
    }

    #[cold]
    fn end_of_frame(&mut self) {
        let cycle = self.cycle - self.collected.len() as u64;
        if self.idle_run < MIN_GAP {
            self.violations.push_back(Violation::Gap {
                cycle,
                idle: self.idle_run,
            });
        }
        self.idle_run = 0;
        let collected = std::mem::take(&mut self.collected);
        if let Err(violation) = self.judge(cycle, &collected) {
            self.violations.push_back(violation);
        } else {
            let body = &collected[PREAMBLE.len()..collected.len() - 4];
            self.tx.frames += 1;
            self.tx.bytes += body.len() as u64;
            self.stamps.push(Stamp {
                way: Way::FromBoard,
                first: cycle,
                last: self.cycle - 1,
                length: body.len(),
            });
            self.received.push_back(Frame::new(body));
        }
        self.tx_error = None;
        self.collected = collected;
        self.collected.clear();
    }

    fn judge(&self, cycle: u64, line: &[u8]) -> Result<(), Violation> {
        if let Some(at) = self.tx_error {
            return Err(Violation::Error { cycle, at });
        }
        let Some(frame) = line.strip_prefix(&PREAMBLE) else {
            return Err(Violation::Preamble {
                cycle,
                found: line[..line.len().min(8)].to_vec(),
            });
        };
        let length = frame.len();
        let runt = Violation::Runt { cycle, length };
        let Some((body, fcs)) = frame.split_last_chunk::<4>() else {
            return Err(runt);
        };
        let found = u32::from_le_bytes(*fcs);
        let right = crc32fast::hash(body);
        if found != right {
            return Err(Violation::Fcs {
                cycle,
                found,
                right,
                length,
            });
        }
        if body.len() < MIN_FRAME {
            return Err(runt);
        }
        let tagged = body[12..14] == [0x81, 0x00];
        let limit = self.limit + if tagged { TAG } else { 0 };
        if length > limit {
            return Err(Violation::Oversize {
                cycle,
                length,
                limit,
            });
        }
        Ok(())
    }

    /// How busy `rxd` was.
    pub fn to_board(&self) -> Usage {
        self.rx
    }

    /// How busy `txd` was. Frames with a violation count in cycles alone.
    pub fn from_board(&self) -> Usage {
        self.tx
    }

    /// When each sound frame was on the line, both ways, in the order they ended. Frames played to the board are here
    /// whether sound or not.
    pub fn stamps(&self) -> &[Stamp] {
        &self.stamps
    }

    /// Forgets stamps and usage, so that a measurement begins here. A frame on the line is counted where it ends.
    pub fn restart_measurement(&mut self) {
        self.stamps.clear();
        self.rx = Usage::default();
        self.tx = Usage::default();
    }
}

impl Port for GmiiPort {
    type Violation = Violation;

    fn queue(&mut self, frame: Frame) {
        self.queue.push_back(frame);
    }
    fn queued(&self) -> usize {
        self.queue.len()
    }
    #[inline]
    fn has_news(&self) -> bool {
        !self.received.is_empty() || !self.violations.is_empty()
    }
    fn take(&mut self) -> Option<Frame> {
        self.received.pop_front()
    }
    fn take_violation(&mut self) -> Option<Violation> {
        self.violations.pop_front()
    }
    fn is_quiet(&self) -> bool {
        self.queue.is_empty()
            && self.position >= self.wire.len()
            && self.collected.is_empty()
            && self.gap_left == 0
    }
    fn medium(&self) -> Medium {
        Medium::Ethernet
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps with the line looped back, one cycle of delay, until nothing moves.
    fn loop_back(port: &mut GmiiPort) -> Vec<(bool, bool, u8)> {
        let mut pins = (false, false, 0);
        let mut seen = Vec::new();
        loop {
            pins = port.step(pins.0, pins.1, pins.2);
            seen.push(pins);
            if port.is_quiet() && !pins.0 {
                return seen;
            }
        }
    }

    fn send(port: &mut GmiiPort, bytes: &[u8], idle: usize) {
        for &byte in bytes {
            port.step(true, false, byte);
        }
        for _ in 0..idle {
            port.step(false, false, 0);
        }
    }

    fn whole(body: &[u8]) -> Vec<u8> {
        let mut line = PREAMBLE.to_vec();
        line.extend(body);
        line.extend(crc32fast::hash(body).to_le_bytes());
        line
    }

    #[test]
    fn a_frame_on_the_line_is_what_the_standard_says() {
        // A gratuitous ARP and its FCS as seen in captures would need a source; the residue of the CRC proves the same:
        // over frame and FCS together it is a constant of the polynomial (0x2144DF1C inverted, IEEE 802.3 clause 3.2.9).
        let mut port = GmiiPort::new();
        port.queue(Frame::new(vec![0xAB; 10]));
        let seen = loop_back(&mut port);
        let line: Vec<u8> = (seen.iter().filter(|pin| pin.0)).map(|pin| pin.2).collect();
        assert_eq!(line.len(), 8 + 60 + 4);
        assert_eq!(line[..8], PREAMBLE);
        assert_eq!(line[8..18], [0xAB; 10]);
        assert_eq!(line[18..68], [0; 50]);
        assert_eq!(crc32fast::hash(&line[8..]), 0x2144_DF1C);
        assert_eq!(port.take().map(|frame| frame.bytes.len()), Some(60));
    }

    #[test]
    fn frames_of_every_length_come_back_at_line_rate() {
        let mut port = GmiiPort::new();
        let sent: Vec<Frame> = (0..60)
            .chain(1400..=1514)
            .map(|n: usize| Frame::new((0..n).map(|i| (i * 7 + n) as u8).collect::<Vec<_>>()))
            .collect();
        for frame in &sent {
            port.queue(frame.clone());
        }
        loop_back(&mut port);
        for frame in &sent {
            let back = port.take().unwrap();
            assert_eq!(back.bytes[..frame.len()], frame.bytes[..]);
            assert_eq!(back.len(), frame.len().max(60));
        }
        assert_eq!(port.take_violation(), None);
        assert_eq!(port.to_board().frames, sent.len() as u64);
        assert_eq!(port.from_board().frames, sent.len() as u64);
        // The gaps are 12 cycles exactly, and the echo is one cycle behind.
        let of = |way| move |stamp: &&Stamp| stamp.way == way;
        let there: Vec<_> = port.stamps().iter().filter(of(Way::ToBoard)).collect();
        let back: Vec<_> = port.stamps().iter().filter(of(Way::FromBoard)).collect();
        assert_eq!(there[0].first, 0);
        for pair in there.windows(2) {
            assert_eq!(pair[1].first - pair[0].last - 1, MIN_GAP);
        }
        for (there, back) in there.iter().zip(&back) {
            assert_eq!(there.first + 1, back.first);
            assert_eq!(there.last + 1, back.last);
            assert_eq!(there.length, back.length);
        }
    }

    #[test]
    fn jitter_only_widens_gaps_and_follows_its_seed() {
        let gaps = |seed| {
            let mut port = GmiiPort::new().with_jitter(20, seed);
            for _ in 0..100 {
                port.queue(Frame::new(vec![0; 60]));
            }
            loop_back(&mut port);
            assert_eq!(port.take_violation(), None);
            let stamps: Vec<_> = (port.stamps().iter())
                .filter(|stamp| stamp.way == Way::ToBoard)
                .collect();
            stamps
                .windows(2)
                .map(|pair| pair[1].first - pair[0].last - 1)
                .collect::<Vec<_>>()
        };
        let first = gaps(1);
        assert_eq!(*first.iter().min().unwrap(), 12);
        assert_eq!(*first.iter().max().unwrap(), 32);
        assert_eq!(first, gaps(1));
        assert_ne!(first, gaps(2));
    }

    #[test]
    fn every_violation_is_told() {
        let body = vec![0x42; 60];
        let good = whole(&body);
        let check = |line: &[u8]| {
            let mut port = GmiiPort::new();
            send(&mut port, line, 1);
            assert_eq!(port.take(), None);
            assert!(port.has_news());
            port.take_violation().unwrap()
        };
        assert_eq!(
            check(&good[1..]),
            Violation::Preamble {
                cycle: 0,
                found: vec![0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0xD5, 0x42]
            }
        );
        let mut line = good.clone();
        line[20] ^= 1;
        assert!(matches!(check(&line), Violation::Fcs { length: 64, .. }));
        assert_eq!(
            check(&whole(&body[1..])),
            Violation::Runt {
                cycle: 0,
                length: 63
            }
        );
        assert_eq!(
            check(&PREAMBLE),
            Violation::Runt {
                cycle: 0,
                length: 0
            }
        );
        let long = |count: usize, tagged: bool| {
            let mut body = vec![0; count];
            body[12] = if tagged { 0x81 } else { 0x08 };
            whole(&body)
        };
        assert!(matches!(
            check(&long(1515, false)),
            Violation::Oversize { length: 1519, .. }
        ));
        assert!(matches!(
            check(&long(1519, true)),
            Violation::Oversize { length: 1523, .. }
        ));
        for line in [long(1514, false), long(1518, true)] {
            let mut port = GmiiPort::new();
            send(&mut port, &line, 1);
            assert!(port.take().is_some() && !port.has_news());
        }
        // A short gap is told, the frame delivered nonetheless.
        for (idle, wrong) in [(1, true), (11, true), (12, false)] {
            let mut port = GmiiPort::new();
            send(&mut port, &good, idle);
            send(&mut port, &good, 1);
            assert!(port.take().is_some() && port.take().is_some());
            let expected = wrong.then(|| Violation::Gap {
                cycle: (72 + idle) as u64,
                idle: idle as u64,
            });
            assert_eq!(port.take_violation(), expected);
        }
        // tx_er anywhere gives the frame up; the next is clean.
        let mut port = GmiiPort::new();
        for (at, &byte) in good.iter().enumerate() {
            port.step(true, at == 30, byte);
        }
        send(&mut port, &[], 12);
        send(&mut port, &good, 1);
        let error = Violation::Error { cycle: 0, at: 30 };
        assert_eq!(port.take_violation(), Some(error));
        assert_eq!(port.take().unwrap().bytes, body);
    }

    #[test]
    fn spoiled_frames_are_played_as_asked() {
        let mut port = GmiiPort::new();
        port.queue(Frame::cut(vec![1, 2, 3]));
        port.queue(Frame {
            bytes: vec![9; 70],
            tail: Tail::Fcs(0xDDCC_BBAA),
            error_at: Some(5),
        });
        let seen = loop_back(&mut port);
        let line: Vec<_> = seen.iter().filter(|pin| pin.0).collect();
        assert_eq!(line.len(), 8 + 3 + 8 + 70 + 4);
        assert_eq!(
            line[89..].iter().map(|pin| pin.2).collect::<Vec<_>>(),
            [0xAA, 0xBB, 0xCC, 0xDD]
        );
        let errors: Vec<_> = (0..line.len()).filter(|&at| line[at].1).collect();
        assert_eq!(errors, [8 + 3 + 8 + 5]);
        assert!(matches!(
            port.take_violation(),
            Some(Violation::Runt { length: 3, .. })
        ));
        assert_eq!(
            port.take_violation(),
            Some(Violation::Error { cycle: 24, at: 13 })
        );
    }
}
