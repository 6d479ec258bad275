//! Spoils frames on their way, by seed: a [`FaultInjector`] stands between the board and any other link.
//!
//! The two directions have their own rates, their own random streams and their own counts, so that a change to one
//! leaves what happens in the other the same.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::link::{Duration, Frame, Instant, Link, Medium, Tail};

/// What is done to the frames of one direction. Every rate is a probability per frame; the default does nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Faults {
    /// The frame is lost.
    pub loss: f64,
    /// A burst of losses begins with this frame.
    pub burst: f64,
    /// Longest burst, in frames; each burst has a length drawn evenly from 1 to this.
    pub burst_length: u32,
    /// Longest burst in time: however few frames came meanwhile, the line is sound again after this. Else a burst on a line at rest would outlast every
    /// retransmission.
    pub burst_time: Duration,
    /// The frame comes twice.
    pub duplicate: f64,
    /// The frame is held back by `reorder_by`, so that later ones overtake it.
    pub reorder: f64,
    /// How long a reordered frame is held back.
    pub reorder_by: Duration,
    /// A byte is changed before the FCS is made: only the Internet checksums can find it. Done to IPv4 alone and past
    /// the Ethernet header, because nothing protects an ARP body and no receiver could be blamed.
    pub corrupt_packet: f64,
    /// A byte is changed on the line: the FCS no longer matches.
    pub corrupt_line: f64,
    /// The frame breaks off somewhere.
    pub truncate: f64,
    /// The line signals an error somewhere in the frame.
    pub line_error: f64,
    /// A router has a queue: an IPv4 packet that is ECN-capable is marked, congestion experienced, in place of dropped (RFC 3168 section 5). Others pass.
    pub mark: f64,
    /// Every frame takes at least this long.
    pub delay: Duration,
    /// And up to this much longer, drawn evenly (which alone reorders, where frames are closer than this).
    pub jitter: Duration,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            loss: 0.0,
            burst: 0.0,
            burst_length: 8,
            burst_time: Duration::from_millis(50),
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: Duration::from_millis(1),
            corrupt_packet: 0.0,
            corrupt_line: 0.0,
            truncate: 0.0,
            line_error: 0.0,
            mark: 0.0,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
        }
    }
}

impl Faults {
    /// Nothing is done.
    pub fn none() -> Self {
        Self::default()
    }

    /// Only loss, at this rate.
    pub fn loss(rate: f64) -> Self {
        Self {
            loss: rate,
            ..Self::default()
        }
    }
}

/// What was done to the frames of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Frames that came in.
    pub frames: u64,
    /// Lost singly.
    pub lost: u64,
    /// Lost in bursts.
    pub lost_in_bursts: u64,
    /// Duplicates added.
    pub duplicated: u64,
    /// Held back.
    pub reordered: u64,
    /// Changed under a right FCS.
    pub packets_corrupted: u64,
    /// Changed under their old FCS.
    pub lines_corrupted: u64,
    /// Broken off.
    pub truncated: u64,
    /// Given a line error.
    pub line_errors: u64,
    /// Marked.
    pub marked: u64,
}

/// Marks an ECN-capable packet, with its header's sum made right; false if it is none.
fn mark(frame: &mut Frame, medium: Medium) -> bool {
    let first = match medium {
        Medium::Ip => 0,
        Medium::Ethernet if frame.bytes.get(12..14) == Some(&[8, 0]) => 14,
        Medium::Ethernet => return false,
    };
    let Some(header) = frame.bytes.get_mut(first..first + 20) else {
        return false;
    };
    if frame.tail != Tail::Sound || header[0] >> 4 != 4 || !matches!(header[1] & 3, 1 | 2) {
        return false;
    }
    // RFC 1624, equation 3: the sum's complement is less by as much as the first word is more.
    let more = u32::from(header[1] & 3 ^ 3);
    header[1] |= 3;
    let sum = u32::from(!u16::from_be_bytes([header[10], header[11]])) + more;
    let sum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    true
}

/// A frame under way, ordered by time due, then by arrival.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub at: Instant,
    pub number: u64,
    pub frame: Frame,
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Debug)]
struct Direction {
    faults: Faults,
    done: Done,
    rng: ChaCha8Rng,
    burst_left: u32,
    burst_end: Instant,
    under_way: BinaryHeap<Reverse<Due>>,
    number: u64,
}

impl Direction {
    fn new(faults: Faults, seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self {
            faults,
            done: Done::default(),
            rng,
            burst_left: 0,
            burst_end: Instant::ZERO,
            under_way: BinaryHeap::new(),
            number: 0,
        }
    }

    fn chance(&mut self, rate: f64) -> bool {
        rate > 0.0 && self.rng.random_bool(rate.min(1.0))
    }

    fn take(&mut self, frame: Frame, now: Instant, medium: Medium) {
        let faults = self.faults;
        self.done.frames += 1;
        if now > self.burst_end {
            self.burst_left = 0;
        }
        if self.burst_left == 0 && self.chance(faults.burst) {
            self.burst_left = self.rng.random_range(1..=faults.burst_length.max(1));
            self.burst_end = now + faults.burst_time;
        }
        if self.burst_left > 0 {
            self.burst_left -= 1;
            self.done.lost_in_bursts += 1;
            return;
        }
        if self.chance(faults.loss) {
            self.done.lost += 1;
            return;
        }
        if self.chance(faults.duplicate) {
            self.done.duplicated += 1;
            let copy = frame.clone();
            self.spoil_and_queue(copy, now, medium);
        }
        self.spoil_and_queue(frame, now, medium);
    }

    fn spoil_and_queue(&mut self, mut frame: Frame, now: Instant, medium: Medium) {
        let faults = self.faults;
        if self.chance(faults.mark) && mark(&mut frame, medium) {
            self.done.marked += 1;
        }
        if self.chance(faults.corrupt_packet) && frame.tail == Tail::Sound {
            let first = match medium {
                Medium::Ip => Some(0),
                Medium::Ethernet if frame.bytes.get(12..14) == Some(&[8, 0]) => Some(14),
                Medium::Ethernet => None,
            };
            if let Some(first) = first {
                if frame.bytes.len() > first {
                    let at = self.rng.random_range(first..frame.bytes.len());
                    frame.bytes[at] ^= self.rng.random_range(1..=255u8);
                    self.done.packets_corrupted += 1;
                }
            }
        }
        if self.chance(faults.corrupt_line) && !frame.bytes.is_empty() {
            if frame.tail == Tail::Sound {
                frame.tail = Tail::Fcs(frame.right_fcs());
            }
            let at = self.rng.random_range(0..frame.bytes.len());
            frame.bytes[at] ^= self.rng.random_range(1..=255u8);
            self.done.lines_corrupted += 1;
        }
        if self.chance(faults.truncate) && !frame.bytes.is_empty() {
            let keep = self.rng.random_range(0..frame.bytes.len());
            frame.bytes.truncate(keep);
            frame.tail = Tail::Cut;
            self.done.truncated += 1;
        }
        if self.chance(faults.line_error) && !frame.bytes.is_empty() {
            frame.error_at = Some(self.rng.random_range(0..frame.bytes.len()));
            self.done.line_errors += 1;
        }
        let mut at = now + faults.delay;
        if faults.jitter > Duration::ZERO {
            at += Duration::from_micros(self.rng.random_range(0..=faults.jitter.total_micros()));
        }
        if self.chance(faults.reorder) {
            at += faults.reorder_by;
            self.done.reordered += 1;
        }
        self.number += 1;
        self.under_way.push(Reverse(Due {
            at,
            number: self.number,
            frame,
        }));
    }

    fn next(&mut self, now: Instant) -> Option<Frame> {
        if self.under_way.peek()?.0.at > now {
            return None;
        }
        self.under_way.pop().map(|due| due.0.frame)
    }

    fn next_at(&self) -> Option<Instant> {
        self.under_way.peek().map(|due| due.0.at)
    }
}

/// A link whose frames suffer by seed.
#[derive(Debug)]
pub struct FaultInjector<L> {
    inner: L,
    to_board: Direction,
    from_board: Direction,
}

impl<L: Link> FaultInjector<L> {
    /// Spoils what `inner` gives and takes: `to_board` is what it gives, `from_board` what it takes.
    pub fn new(inner: L, seed: u64, to_board: Faults, from_board: Faults) -> Self {
        Self {
            inner,
            to_board: Direction::new(to_board, seed, 0),
            from_board: Direction::new(from_board, seed, 1),
        }
    }

    /// Changes the rates from here on, say to none, so that a connection can be seen to recover.
    pub fn set_faults(&mut self, to_board: Faults, from_board: Faults) {
        self.to_board.faults = to_board;
        self.from_board.faults = from_board;
    }

    /// What was done to frames for the board.
    pub fn to_board(&self) -> Done {
        self.to_board.done
    }

    /// What was done to frames from the board.
    pub fn from_board(&self) -> Done {
        self.from_board.done
    }

    /// The link inside.
    pub fn inner(&self) -> &L {
        &self.inner
    }

    /// The link inside.
    pub fn inner_mut(&mut self) -> &mut L {
        &mut self.inner
    }

    fn deliver(&mut self, now: Instant) {
        while let Some(frame) = self.from_board.next(now) {
            self.inner.send(frame, now);
        }
    }
}

impl<L: Link> Link for FaultInjector<L> {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        self.deliver(now);
        let medium = self.inner.medium();
        while let Some(frame) = self.inner.receive(now) {
            self.to_board.take(frame, now, medium);
        }
        self.to_board.next(now)
    }

    fn send(&mut self, frame: Frame, now: Instant) {
        let medium = self.inner.medium();
        self.from_board.take(frame, now, medium);
        self.deliver(now);
    }

    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        [
            self.inner.idle_until(now),
            self.to_board.next_at(),
            self.from_board.next_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn medium(&self) -> Medium {
        self.inner.medium()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Queues;

    fn frames(count: u32) -> Vec<Frame> {
        (0..count)
            .map(|n| {
                let mut bytes = vec![0u8; 100];
                bytes[12..14].copy_from_slice(&[8, 0]);
                bytes[14..18].copy_from_slice(&n.to_be_bytes());
                Frame::new(bytes)
            })
            .collect()
    }

    /// Everything that comes out, in order, when the frames go in a microsecond apart.
    fn through(faults: Faults, seed: u64, count: u32) -> (Vec<Frame>, Done) {
        let mut link =
            FaultInjector::new(Queues::new(Medium::Ethernet), seed, faults, Faults::none());
        let mut out = Vec::new();
        for (n, frame) in frames(count).into_iter().enumerate() {
            link.inner_mut().incoming.push_back(frame);
            let now = Instant::from_micros(n as i64);
            out.extend(std::iter::from_fn(|| link.receive(now)));
        }
        let late = Instant::from_secs(100);
        out.extend(std::iter::from_fn(|| link.receive(late)));
        (out, link.to_board())
    }

    #[test]
    fn no_faults_change_nothing() {
        let (out, done) = through(Faults::none(), 1, 500);
        assert_eq!(out, frames(500));
        assert_eq!(
            done,
            Done {
                frames: 500,
                ..Done::default()
            }
        );
    }

    #[test]
    fn what_is_ecn_capable_is_marked_and_nothing_else() {
        let sum = |header: &[u8]| -> u32 {
            let sum: u32 = (header.chunks(2))
                .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
                .sum();
            (sum & 0xFFFF) + (sum >> 16)
        };
        for medium in [Medium::Ip, Medium::Ethernet] {
            let first = if medium == Medium::Ip { 0 } else { 14 };
            let faults = Faults {
                mark: 1.0,
                ..Faults::none()
            };
            let mut link = FaultInjector::new(Queues::new(medium), 1, faults, Faults::none());
            for id in 0..=u16::MAX {
                let tos = (id % 7) as u8;
                let mut bytes = vec![0u8; first + 60];
                if first > 0 {
                    bytes[12..14].copy_from_slice(&[8, 0]);
                }
                let header = &mut bytes[first..first + 20];
                header[..2].copy_from_slice(&[0x45, tos]);
                header[4..6].copy_from_slice(&id.to_be_bytes());
                let check = !(sum(header) as u16);
                header[10..12].copy_from_slice(&check.to_be_bytes());
                let before = bytes.clone();
                link.inner_mut().incoming.push_back(Frame::new(bytes));
                let out = link.receive(Instant::ZERO).expect("it passes").bytes;
                if matches!(tos & 3, 1 | 2) {
                    assert_eq!(out[first + 1], tos | 3);
                    assert_eq!(sum(&out[first..first + 20]), 0xFFFF, "{id}");
                } else {
                    assert_eq!(out, before);
                }
            }
            assert_eq!(
                link.to_board().marked,
                (0..=65535)
                    .filter(|id| matches!((id % 7) & 3, 1 | 2))
                    .count() as u64
            );
        }
    }

    #[test]
    fn loss_bursts_and_duplicates_are_counted() {
        let faults = Faults {
            loss: 0.1,
            burst: 0.02,
            burst_length: 5,
            duplicate: 0.1,
            ..Faults::none()
        };
        let (out, done) = through(faults, 2, 5000);
        assert!((400..600).contains(&done.lost), "{done:?}");
        assert!((150..500).contains(&done.lost_in_bursts), "{done:?}");
        assert!((350..550).contains(&done.duplicated), "{done:?}");
        assert_eq!(
            out.len() as u64,
            5000 - done.lost - done.lost_in_bursts + done.duplicated
        );
        assert_eq!(through(faults, 2, 5000).0, out);
        assert_ne!(through(faults, 3, 5000).0, out);
    }

    #[test]
    fn a_burst_is_over_after_its_frames_and_after_its_time() {
        let faults = Faults {
            burst: 1.0,
            burst_length: 1_000,
            burst_time: Duration::from_micros(99),
            ..Faults::none()
        };
        let mut link = FaultInjector::new(Queues::new(Medium::Ip), 1, faults, Faults::none());
        let pass = |link: &mut FaultInjector<Queues>, at| {
            link.inner_mut().incoming.push_back(Frame::new(vec![0; 60]));
            link.receive(Instant::from_micros(at)).is_some()
        };
        assert!(!pass(&mut link, 0));
        // No other begins from here on.
        let none = Faults {
            burst: 0.0,
            ..faults
        };
        link.set_faults(none, none);
        assert!(!pass(&mut link, 1));
        assert!(!pass(&mut link, 99));
        assert!(pass(&mut link, 100));
        assert_eq!(link.to_board().lost_in_bursts, 3);
        let short = Faults {
            burst_length: 1,
            burst_time: Duration::from_secs(1),
            ..faults
        };
        link.set_faults(short, none);
        assert!(!pass(&mut link, 200));
        link.set_faults(none, none);
        assert!(pass(&mut link, 200));
    }

    #[test]
    fn jitter_is_drawn_evenly_above_the_delay() {
        let faults = Faults {
            delay: Duration::from_micros(50),
            jitter: Duration::from_micros(20),
            ..Faults::none()
        };
        let mut link = FaultInjector::new(Queues::new(Medium::Ip), 8, faults, Faults::none());
        let mut late = std::collections::BTreeMap::new();
        for n in 0..2_000 {
            let start = n * 1_000;
            link.inner_mut().incoming.push_back(Frame::new(vec![0; 60]));
            let came = (0..200).find(|t| link.receive(Instant::from_micros(start + t)).is_some());
            *late.entry(came.expect("it comes")).or_insert(0) += 1;
        }
        assert!(late.keys().copied().eq(50..=70), "{late:?}");
        assert!(late.values().all(|n| (50..150).contains(n)), "{late:?}");
    }

    #[test]
    fn each_kind_happens_alone_and_is_counted_by_its_own_count_each_way() {
        let rate = 0.2;
        let none = Faults::none();
        type Count = fn(&Done) -> u64;
        let kinds: [(Faults, Count); 8] = [
            (Faults { loss: rate, ..none }, |d| d.lost),
            (
                Faults {
                    burst: rate,
                    ..none
                },
                |d| d.lost_in_bursts,
            ),
            (
                Faults {
                    duplicate: rate,
                    ..none
                },
                |d| d.duplicated,
            ),
            (
                Faults {
                    reorder: rate,
                    ..none
                },
                |d| d.reordered,
            ),
            (
                Faults {
                    corrupt_packet: rate,
                    ..none
                },
                |d| d.packets_corrupted,
            ),
            (
                Faults {
                    corrupt_line: rate,
                    ..none
                },
                |d| d.lines_corrupted,
            ),
            (
                Faults {
                    truncate: rate,
                    ..none
                },
                |d| d.truncated,
            ),
            (
                Faults {
                    line_error: rate,
                    ..none
                },
                |d| d.line_errors,
            ),
        ];
        for (n, (faults, count)) in kinds.iter().enumerate() {
            let mut link = FaultInjector::new(Queues::new(Medium::Ethernet), 9, *faults, *faults);
            for (at, frame) in frames(1_000).into_iter().enumerate() {
                let now = Instant::from_millis(at as i64);
                link.inner_mut().incoming.push_back(frame.clone());
                link.send(frame, now);
                while link.receive(now).is_some() {}
            }
            for done in [link.to_board(), link.from_board()] {
                assert!((100..900).contains(&count(&done)), "{n}: {done:?}");
                let others: u64 = kinds.iter().map(|(_, count)| count(&done)).sum();
                assert_eq!(
                    (others, done.frames),
                    (count(&done), 1_000),
                    "{n}: {done:?}"
                );
            }
            assert_ne!(link.to_board(), link.from_board(), "{n}: two streams");
        }
    }

    #[test]
    fn reordering_lets_later_frames_overtake_and_loses_none() {
        let faults = Faults {
            reorder: 0.1,
            reorder_by: Duration::from_micros(3),
            ..Faults::none()
        };
        let (out, done) = through(faults, 4, 1000);
        assert!(done.reordered > 50);
        assert_ne!(out, frames(1000));
        let mut sorted = out;
        sorted.sort_by(|a, b| a.bytes.cmp(&b.bytes));
        assert_eq!(sorted, frames(1000));
    }

    #[test]
    fn corruption_leaves_the_fcs_right_or_wrong_as_asked() {
        let (out, done) = through(
            Faults {
                corrupt_packet: 1.0,
                ..Faults::none()
            },
            5,
            100,
        );
        assert_eq!(done.packets_corrupted, 100);
        for (got, sent) in out.iter().zip(frames(100)) {
            assert!(got.is_sound(Medium::Ethernet));
            assert_eq!(got.bytes[..14], sent.bytes[..14]);
            let changed = (got.iter().zip(sent.iter())).filter(|(a, b)| a != b);
            assert_eq!(changed.count(), 1);
        }
        for faults in [
            Faults {
                corrupt_line: 1.0,
                ..Faults::none()
            },
            Faults {
                truncate: 1.0,
                ..Faults::none()
            },
            Faults {
                line_error: 1.0,
                ..Faults::none()
            },
        ] {
            let (out, _) = through(faults, 6, 100);
            assert_eq!(out.len(), 100);
            assert!(out.iter().all(|frame| !frame.is_sound(Medium::Ethernet)));
        }
    }

    #[test]
    fn delay_holds_both_directions() {
        let slow = Faults {
            delay: Duration::from_micros(10),
            ..Faults::none()
        };
        let mut link = FaultInjector::new(Queues::new(Medium::Ethernet), 7, slow, slow);
        link.inner_mut().incoming.push_back(Frame::new(vec![1; 60]));
        link.send(Frame::new(vec![2; 60]), Instant::from_micros(5));
        assert_eq!(link.receive(Instant::from_micros(5)), None);
        assert_eq!(
            link.idle_until(Instant::from_micros(5)),
            Some(Instant::from_micros(15))
        );
        assert_eq!(link.receive(Instant::from_micros(14)), None);
        assert!(link.inner().outgoing.is_empty());
        assert!(link.receive(Instant::from_micros(15)).is_some());
        assert_eq!(link.inner().outgoing.len(), 1);
    }
}
