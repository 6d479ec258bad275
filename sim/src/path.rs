//! A line between two ends: a rate, a queue, a delay, and what it does to frames. The same code stands between every pair of ends that is compared, in simulated time and in real time.
//!
//! A [`Path`] is a link around the far end. Each direction has a [`Line`] of its own. A frame waits in the queue until those before it have left, takes the line for as long as its
//! bytes take at the rate, and is at the other end a delay later. One that finds the queue full is dropped.
//!
//! [`crate::fault::FaultInjector`] spoils frames in more ways; here **the fate of the n-th frame of a direction depends on the seed, the direction and n alone**: not on its length, nor on what befell those
//! before it, nor on which faults there are. So two pairs of ends on paths of one seed lose frames of the same numbers, and more loss loses all that less loss has lost.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, Write};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::fault::Due;
use crate::link::{Duration, Frame, Instant, Link, Medium, MIN_FRAME};
use crate::pcap::PcapFile;

/// Byte times of a frame on Ethernet beside its bytes: preamble 8, FCS 4, gap 12 (IEEE 802.3 clause 4.4.2).
pub const BESIDE: usize = 8 + 4 + 12;
/// Destination, source and type.
pub const HEADER: usize = 14;

/// One direction of a path. Every rate of a fault is a probability per frame; the default carries everything at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Line {
    /// Bits a second; 0: a frame takes no time. IP packets are counted as if Ethernet carried them.
    pub rate: u64,
    /// From the frame's last bit in to its last bit out.
    pub delay: Duration,
    /// Frames that may wait while another is on the line.
    pub queue: usize,
    /// The frame is lost, after it has had its time on the line.
    pub loss: f64,
    /// It comes twice, back to back.
    pub duplicate: f64,
    /// A byte is changed under a right FCS: only the Internet checksums can find it. Done to IPv4 alone and past the Ethernet header.
    pub corrupt: f64,
    /// It is held back by `reorder_by`, so that later ones overtake it.
    pub reorder: f64,
    /// How long it is held back.
    pub reorder_by: Duration,
    /// So many frames at the beginning come to no harm: those that open connections. What a lost SYN costs, a second at every end, would hide what the data's loss costs.
    pub spared: u64,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            rate: 0,
            delay: Duration::ZERO,
            queue: 100,
            loss: 0.0,
            duplicate: 0.0,
            corrupt: 0.0,
            reorder: 0.0,
            reorder_by: Duration::from_millis(1),
            spared: 0,
        }
    }
}

impl Line {
    /// Nanoseconds that a frame of so many bytes is on the line, with its padding and all that Ethernet has beside it.
    fn time_of(&self, bytes: usize, medium: Medium) -> u64 {
        let bytes = match medium {
            Medium::Ethernet => bytes,
            _ => bytes + HEADER,
        };
        let bits = 8 * (bytes.max(MIN_FRAME) + BESIDE) as u64;
        (bits * 1_000_000_000).checked_div(self.rate).unwrap_or(0)
    }

    /// Bytes of payload a second that TCP can have of the line at most, in segments of `mss` bytes without options.
    pub fn limit(&self, mss: usize) -> f64 {
        let frame = mss + 40 + HEADER + BESIDE;
        self.rate as f64 / 8.0 * mss as f64 / frame as f64
    }
}

/// What befell the frames of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Frames that came in.
    pub frames: u64,
    /// Found the queue full.
    pub overflowed: u64,
    /// Lost.
    pub lost: u64,
    /// Came twice.
    pub duplicated: u64,
    /// Were changed.
    pub corrupted: u64,
    /// Were held back.
    pub reordered: u64,
    /// The longest that one was handed out after it was due: in real time, what the machine owes to the measurement. Zero in simulated time.
    pub latest: Duration,
}

/// What happens to a frame. Drawn in full for each, whether it is asked for or not.
#[derive(Clone, Copy, Debug)]
struct Fate {
    /// Each below its rate: it happens.
    loss: f64,
    duplicate: f64,
    corrupt: f64,
    reorder: f64,
    /// Of the changed byte: where, and by what.
    place: u32,
    by: u32,
}

#[derive(Debug)]
struct Way {
    line: Line,
    rng: ChaCha8Rng,
    passed: Passed,
    /// When the line is free, in nanoseconds: a short frame's time is no whole number of microseconds.
    free: u64,
    /// When each frame that waits or is on the line will have left.
    leaving: VecDeque<u64>,
    under_way: BinaryHeap<Reverse<Due>>,
    number: u64,
}

fn nanos(at: Instant) -> u64 {
    at.total_micros().max(0) as u64 * 1_000
}

impl Way {
    fn new(line: Line, seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self {
            line,
            rng,
            passed: Passed::default(),
            free: 0,
            leaving: VecDeque::new(),
            under_way: BinaryHeap::new(),
            number: 0,
        }
    }

    fn draw(&mut self) -> Fate {
        let rng = &mut self.rng;
        Fate {
            loss: rng.random(),
            duplicate: rng.random(),
            corrupt: rng.random(),
            reorder: rng.random(),
            place: rng.random(),
            by: rng.random(),
        }
    }

    fn take(&mut self, mut frame: Frame, now: Instant, medium: Medium) {
        let line = self.line;
        let fate = self.draw();
        self.passed.frames += 1;
        let spared = self.passed.frames <= line.spared;
        let happens = |drawn: f64, rate: f64| !spared && drawn < rate;
        let at = nanos(now);
        while self.leaving.front().is_some_and(|left| *left <= at) {
            self.leaving.pop_front();
        }
        if self.leaving.len() > line.queue {
            self.passed.overflowed += 1;
            return;
        }
        let left = self.free.max(at) + line.time_of(frame.bytes.len(), medium);
        self.free = left;
        self.leaving.push_back(left);
        if happens(fate.loss, line.loss) {
            self.passed.lost += 1;
            return;
        }
        let inside = match medium {
            Medium::Ethernet if frame.bytes.get(12..14) != Some(&[8, 0]) => usize::MAX,
            Medium::Ethernet => HEADER,
            _ => 0,
        };
        if happens(fate.corrupt, line.corrupt) && frame.bytes.len() > inside {
            let place = inside + fate.place as usize % (frame.bytes.len() - inside);
            frame.bytes[place] ^= (1 + fate.by % 255) as u8;
            self.passed.corrupted += 1;
        }
        let mut due = Instant::from_micros(left.div_ceil(1_000) as i64) + line.delay;
        if happens(fate.reorder, line.reorder) {
            due += line.reorder_by;
            self.passed.reordered += 1;
        }
        if happens(fate.duplicate, line.duplicate) {
            self.passed.duplicated += 1;
            self.push(due, frame.clone());
        }
        self.push(due, frame);
    }

    fn push(&mut self, at: Instant, frame: Frame) {
        self.number += 1;
        let number = self.number;
        self.under_way.push(Reverse(Due { at, number, frame }));
    }

    fn next(&mut self, now: Instant) -> Option<Frame> {
        let at = self.under_way.peek()?.0.at;
        if at > now {
            return None;
        }
        self.passed.latest = self.passed.latest.max(now - at);
        self.under_way.pop().map(|due| due.0.frame)
    }

    fn next_at(&self) -> Option<Instant> {
        self.under_way.peek().map(|due| due.0.at)
    }
}

/// Where a frame was seen, and going where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Sent by the near end.
    NearSent,
    /// Come to the near end.
    NearGot,
    /// Sent by the far end.
    FarSent,
    /// Come to the far end.
    FarGot,
}

/// A frame at one of the path's ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// When.
    pub at: Instant,
    /// Where.
    pub place: Place,
    /// The frame's bytes.
    pub bytes: Vec<u8>,
}

/// Writes what one end saw.
///
/// # Errors
/// When the file cannot be written.
pub fn write_pcap(
    seen: &[Sighting],
    near: bool,
    medium: Medium,
    out: impl Write,
) -> io::Result<()> {
    let mut file = PcapFile::new(out, medium)?;
    for s in seen {
        let here = matches!(s.place, Place::NearSent | Place::NearGot);
        if here == near {
            file.write(s.at, &s.bytes)?;
        }
    }
    file.finish().map(drop)
}

/// A link at the far end of a line.
#[derive(Debug)]
pub struct Path<L> {
    far: L,
    to_near: Way,
    to_far: Way,
    seen: Option<Vec<Sighting>>,
}

impl<L: Link> Path<L> {
    /// Puts a line between whoever uses this link and `far`, the same each way but for what is drawn.
    pub fn new(far: L, seed: u64, line: Line) -> Self {
        Self {
            far,
            to_near: Way::new(line, seed, 0),
            to_far: Way::new(line, seed, 1),
            seen: None,
        }
    }

    /// Keeps every frame that an end sends or gets.
    pub fn keeping(mut self) -> Self {
        self.seen = Some(vec![]);
        self
    }

    /// What was kept.
    pub fn seen(&self) -> &[Sighting] {
        self.seen.as_deref().unwrap_or(&[])
    }

    /// What befell frames for the near end.
    pub fn to_near(&self) -> Passed {
        self.to_near.passed
    }

    /// What befell frames for the far end.
    pub fn to_far(&self) -> Passed {
        self.to_far.passed
    }

    /// The far end.
    pub fn far(&self) -> &L {
        &self.far
    }

    /// The far end.
    pub fn far_mut(&mut self) -> &mut L {
        &mut self.far
    }

    fn see(&mut self, at: Instant, place: Place, frame: &Frame) {
        if let Some(seen) = &mut self.seen {
            let bytes = frame.bytes.clone();
            seen.push(Sighting { at, place, bytes });
        }
    }

    fn deliver(&mut self, now: Instant) {
        while let Some(frame) = self.to_far.next(now) {
            self.see(now, Place::FarGot, &frame);
            self.far.send(frame, now);
        }
    }
}

impl<L: Link> Link for Path<L> {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        self.deliver(now);
        let medium = self.far.medium();
        while let Some(frame) = self.far.receive(now) {
            // As a network card: what is not sound ends here.
            if frame.is_sound(medium) {
                self.see(now, Place::FarSent, &frame);
                self.to_near.take(Frame::new(frame.bytes), now, medium);
            }
        }
        let frame = self.to_near.next(now)?;
        self.see(now, Place::NearGot, &frame);
        Some(frame)
    }

    fn send(&mut self, frame: Frame, now: Instant) {
        let medium = self.far.medium();
        if frame.is_sound(medium) {
            self.see(now, Place::NearSent, &frame);
            self.to_far.take(Frame::new(frame.bytes), now, medium);
        }
        self.deliver(now);
    }

    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        let of_the_line = [self.to_near.next_at(), self.to_far.next_at()];
        let far = self.far.idle_until(now);
        of_the_line.into_iter().chain([far]).flatten().min()
    }

    fn medium(&self) -> Medium {
        self.far.medium()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Queues;
    use std::collections::BTreeSet;

    /// A packet of so many bytes that says which it is.
    fn packet(number: u32, bytes: usize) -> Frame {
        let mut all = vec![0; bytes];
        all[..4].copy_from_slice(&number.to_be_bytes());
        Frame::new(all)
    }

    fn number(bytes: &[u8]) -> u32 {
        u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
    }

    /// Sends packets of these lengths at these microseconds; gives what arrives, and when.
    fn through(line: Line, seed: u64, sent: &[(i64, usize)]) -> (Vec<(i64, Frame)>, Passed) {
        let mut path = Path::new(Queues::new(Medium::Ip), seed, line);
        let mut left = sent.iter().enumerate().peekable();
        let mut now = Instant::ZERO;
        loop {
            while let Some((n, (_, bytes))) = left.next_if(|(_, s)| s.0 <= now.total_micros()) {
                path.send(packet(n as u32, *bytes), now);
            }
            path.receive(now);
            let next = left.peek().map(|(_, s)| Instant::from_micros(s.0));
            match [path.idle_until(now), next].into_iter().flatten().min() {
                Some(at) => now = at.max(now),
                None => break,
            }
        }
        let passed = path.to_far();
        let came = path.far_mut().outgoing.drain(..);
        (came.map(|(at, f)| (at.total_micros(), f)).collect(), passed)
    }

    fn numbers(came: &[(i64, Frame)]) -> Vec<u32> {
        came.iter().map(|(_, f)| number(&f.bytes)).collect()
    }

    /// 1,500 bytes of IP are 1,538 byte times: 1,230.4 µs at 10 Mb/s. Three that come at once leave one after another, and a fourth after the line was idle.
    #[test]
    fn a_frame_takes_its_time_on_the_line_and_its_delay_behind_it() {
        let line = Line {
            rate: 10_000_000,
            delay: Duration::from_millis(20),
            ..Line::default()
        };
        let sent = [(0, 1500), (0, 1500), (0, 1500), (10_000, 40)];
        let (came, _) = through(line, 1, &sent);
        let at: Vec<_> = came.iter().map(|c| c.0).collect();
        // A pure ACK is padded to 60 bytes: 84 byte times, 67.2 µs.
        assert_eq!(at, [21_231, 22_461, 23_692, 30_068]);
        assert_eq!(line.limit(1460).round(), 1_186_606.0);
    }

    #[test]
    fn without_a_rate_nothing_waits() {
        let (came, passed) = through(Line::default(), 1, &[(5, 1500); 500]);
        assert!(came.iter().map(|c| c.0).eq([5; 500]));
        assert_eq!(passed.overflowed, 0);
    }

    /// One on the line and three that wait; when two have left there is room for two.
    #[test]
    fn a_full_queue_drops_what_comes_last() {
        let line = Line {
            rate: 10_000_000,
            queue: 3,
            ..Line::default()
        };
        let mut sent = vec![(0, 1500); 6];
        sent.extend([(2_470, 1500); 3]);
        let (came, passed) = through(line, 1, &sent);
        assert_eq!(numbers(&came), [0, 1, 2, 3, 6, 7]);
        assert_eq!((passed.frames, passed.overflowed), (9, 3));
    }

    fn apart(count: usize) -> Vec<(i64, usize)> {
        (0..count)
            .map(|n| (n as i64 * 100, 40 + n % 1400))
            .collect()
    }

    /// What is drawn for a frame is drawn whatever else happens: the same are lost with other faults beside the loss, with other lengths, and with more loss.
    #[test]
    fn a_frame_s_fate_is_a_matter_of_seed_and_number() {
        let lossy = Line {
            loss: 0.05,
            ..Line::default()
        };
        let (few, passed) = through(lossy, 7, &apart(4_000));
        assert!((120..280).contains(&passed.lost), "{passed:?}");
        assert_eq!(few.len() as u64, 4_000 - passed.lost);
        let others = Line {
            duplicate: 0.2,
            reorder: 0.2,
            ..lossy
        };
        let short: Vec<_> = apart(4_000).iter().map(|s| (s.0, 60)).collect();
        let (beside, _) = through(others, 7, &short);
        let kept: BTreeSet<_> = numbers(&few).into_iter().collect();
        assert_eq!(numbers(&beside).into_iter().collect::<BTreeSet<_>>(), kept);
        let spoilt = Line {
            corrupt: 0.5,
            ..lossy
        };
        assert_eq!(through(spoilt, 7, &short).1.lost, passed.lost);
        let more = Line { loss: 0.1, ..lossy };
        let (fewer, _) = through(more, 7, &apart(4_000));
        assert!(numbers(&fewer).iter().all(|n| kept.contains(n)));
        assert_ne!(numbers(&through(lossy, 8, &apart(4_000)).0), numbers(&few));
    }

    #[test]
    fn duplicates_reordering_and_corruption_are_done_and_counted() {
        let line = Line {
            duplicate: 0.1,
            reorder: 0.25,
            reorder_by: Duration::from_micros(350),
            ..Line::default()
        };
        let (came, passed) = through(line, 3, &apart(2_000));
        assert!((150..250).contains(&passed.duplicated), "{passed:?}");
        assert!((400..600).contains(&passed.reordered), "{passed:?}");
        assert_eq!(came.len() as u64, 2_000 + passed.duplicated);
        for (at, frame) in &came {
            let late = at - i64::from(number(&frame.bytes)) * 100;
            assert!([0, 350].contains(&late), "{late}");
        }
        let overtaken = numbers(&came).windows(2).filter(|w| w[1] < w[0]).count();
        assert!(overtaken > 100, "{overtaken}");
        let line = Line {
            corrupt: 0.25,
            ..Line::default()
        };
        let (came, passed) = through(line, 3, &apart(2_000));
        let changed = (came.iter().enumerate())
            .filter(|(n, (_, f))| *f != packet(*n as u32, f.bytes.len()))
            .count();
        assert_eq!((changed as u64, came.len()), (passed.corrupted, 2_000));
        assert!((400..600).contains(&changed), "{passed:?}");
    }

    #[test]
    fn the_first_frames_are_spared_and_the_rest_lost_as_without() {
        let line = Line {
            loss: 1.0,
            spared: 3,
            ..Line::default()
        };
        assert_eq!(numbers(&through(line, 1, &apart(10)).0), [0, 1, 2]);
    }

    /// Both ends see what they send and what they get, and each direction has fates of its own.
    #[test]
    fn what_is_seen_is_kept_by_end() {
        let line = Line {
            loss: 0.5,
            delay: Duration::from_micros(10),
            ..Line::default()
        };
        let mut path = Path::new(Queues::new(Medium::Ip), 5, line).keeping();
        for n in 0..64 {
            path.send(packet(n, 60), Instant::ZERO);
            path.far_mut().incoming.push_back(packet(n, 60));
        }
        assert_eq!(path.receive(Instant::ZERO), None);
        let late = Instant::from_micros(25);
        while path.receive(late).is_some() {}
        let of = |place| path.seen().iter().filter(|s| s.place == place).count() as u64;
        assert_eq!((of(Place::NearSent), of(Place::FarSent)), (64, 64));
        assert_eq!(of(Place::NearGot), 64 - path.to_near().lost);
        assert_eq!(of(Place::FarGot), 64 - path.to_far().lost);
        assert_eq!(path.to_near().latest, Duration::from_micros(15));
        let got = |place| {
            let mine = path.seen().iter().filter(|s| s.place == place);
            mine.map(|s| number(&s.bytes)).collect::<Vec<_>>()
        };
        assert_ne!(got(Place::NearGot), got(Place::FarGot));
        let mut file = vec![];
        write_pcap(path.seen(), true, Medium::Ip, &mut file).unwrap();
        let records = 64 + of(Place::NearGot) as usize;
        assert_eq!(file.len(), 24 + records * (16 + 60));
    }
}
