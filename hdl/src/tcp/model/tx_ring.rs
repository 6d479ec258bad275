//! The send ring of `docs/design.md`, modelled.
//!
//! Bytes are cut into segments as they are written. A descriptor keeps a segment's length and the ones' complement sum of its bytes as if
//! the first were at an even address, so that a segment, first time or again, needs no second pass.
use super::rx_ring::before;
use std::collections::VecDeque;

/// Descriptors a connection. Writers leave one free, for a segment that must be cut again.
pub const DESCRIPTORS: usize = 16;
/// `TX_RECUT` is refused while more are used, and `TX_CUT`. Where segments may become shorter `TX_CUT` leaves it one.
const MOST_FOR_CUT: usize = 13;

/// One segment that is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    pub length: u16,
    /// Folded 16-bit ones' complement sum.
    pub sum: u16,
    pub psh: bool,
    /// The peer has selectively acknowledged it.
    pub sacked: bool,
    pub lost: bool,
    /// It was sent again since it was lost.
    pub again: bool,
}

/// What `TX_PIPE` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pipe {
    /// Bytes on their way.
    pub bytes: u32,
    /// The segment to be sent again next: how far from the head's first byte, and which from the head.
    pub next: Option<(u32, u32)>,
}

/// Folds a sum of 16-bit words (RFC 1071).
pub fn fold(mut sum: u32) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

/// Folded ones' complement sum of bytes, the first at an even place.
pub fn sum_of(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    fold(words.sum())
}

#[derive(Clone, Debug)]
struct Connection {
    bytes: Vec<u8>,
    una: u32,
    wr_nxt: u32,
    mss: u16,
    segments: VecDeque<Descriptor>,
    tail: Descriptor,
}

impl Connection {
    fn close_tail(&mut self, psh: bool) {
        self.segments.push_back(Descriptor { psh, ..self.tail });
        self.tail = Descriptor::default();
    }
}

/// The rings of all connections.
#[derive(Clone, Debug)]
pub struct TxRing {
    connections: Vec<Connection>,
    shorter: bool,
}

impl TxRing {
    /// Rings of `bytes` (a power of two) for each connection, whose segments may become shorter or not.
    pub fn new(connections: usize, bytes: usize, shorter: bool) -> Self {
        let one = Connection {
            bytes: vec![0; bytes],
            una: 0,
            wr_nxt: 0,
            mss: 0,
            segments: VecDeque::new(),
            tail: Descriptor::default(),
        };
        Self {
            connections: vec![one; connections],
            shorter,
        }
    }

    /// `TX_INIT`: empty, first byte `start`, cut at `mss` bytes.
    pub fn init(&mut self, conn: u16, start: u32, mss: u16) {
        let c = &mut self.connections[conn as usize];
        c.una = start;
        c.wr_nxt = start;
        c.mss = mss;
        c.segments.clear();
        c.tail = Descriptor::default();
    }

    /// Bytes that may be written now: space, and descriptors to close every segment they make.
    pub fn writable(&self, conn: u16) -> usize {
        let c = &self.connections[conn as usize];
        let space = c.bytes.len() - c.wr_nxt.wrapping_sub(c.una) as usize;
        let long = usize::from(c.mss > 0 && c.tail.length >= c.mss);
        let free = (DESCRIPTORS - 1).saturating_sub(c.segments.len() + long);
        let open = if long > 0 { 0 } else { c.tail.length };
        let cuts = (free * c.mss as usize).saturating_sub(open as usize);
        space.min(cuts)
    }

    /// The application writes; no more than is writable.
    pub fn write(&mut self, conn: u16, bytes: &[u8]) {
        assert!(bytes.len() <= self.writable(conn), "more than is writable");
        let c = &mut self.connections[conn as usize];
        let ring = c.bytes.len();
        if !bytes.is_empty() && c.tail.length >= c.mss {
            c.close_tail(false);
        }
        for byte in bytes {
            c.bytes[c.wr_nxt as usize % ring] = *byte;
            c.wr_nxt = c.wr_nxt.wrapping_add(1);
            let place = if c.tail.length.is_multiple_of(2) {
                8
            } else {
                0
            };
            c.tail.sum = fold(u32::from(c.tail.sum) + (u32::from(*byte) << place));
            c.tail.length += 1;
            if c.tail.length == c.mss {
                c.close_tail(false);
            }
        }
    }

    /// `TX_PEEK`: descriptor `n` from the head.
    pub fn peek(&self, conn: u16, n: u32) -> Option<Descriptor> {
        let segments = &self.connections[conn as usize].segments;
        segments.get(n as usize).copied()
    }

    /// Bytes in the open tail.
    pub fn tail(&self, conn: u16) -> u16 {
        self.connections[conn as usize].tail.length
    }

    /// `TX_CUT`: closes the open tail with PSH; false if there is none (or, after cutting again, no descriptor).
    pub fn cut(&mut self, conn: u16) -> bool {
        let c = &mut self.connections[conn as usize];
        let can = c.tail.length > 0 && c.segments.len() <= MOST_FOR_CUT - usize::from(self.shorter);
        if can {
            c.close_tail(true);
        }
        can
    }

    /// `TX_FREE`: frees the segments that end at or below `ack`; how many, and the new `una`.
    pub fn free(&mut self, conn: u16, ack: u32) -> (u32, u32) {
        let c = &mut self.connections[conn as usize];
        let mut count = 0;
        while let Some(head) = c.segments.front() {
            let end = c.una.wrapping_add(u32::from(head.length));
            if before(ack, end) {
                break;
            }
            c.una = end;
            c.segments.pop_front();
            count += 1;
        }
        (count, c.una)
    }

    /// `TX_RECUT` at 0: segments are cut at `mss` bytes from here on. A tail that is longer is closed as more is written.
    pub fn shorten(&mut self, conn: u16, mss: u16) {
        self.connections[conn as usize].mss = mss;
    }

    /// `TX_RECUT`: splits the head segment at `at` bytes.
    pub fn recut(&mut self, conn: u16, at: u32) -> bool {
        let c = &mut self.connections[conn as usize];
        let Some(head) = c.segments.front().copied() else {
            return false;
        };
        assert!(
            at > 0 && at < u32::from(head.length),
            "TX_RECUT of a head of {} bytes at {at}",
            head.length
        );
        if c.segments.len() > MOST_FOR_CUT {
            return false;
        }
        let ring = c.bytes.len();
        let first: Vec<u8> = (0..at)
            .map(|n| c.bytes[c.una.wrapping_add(n) as usize % ring])
            .collect();
        let sum = sum_of(&first);
        // What is left of the whole when the first is taken away; behind an odd number of bytes high and low change places.
        let mut rest = fold(u32::from(head.sum) + u32::from(!sum));
        if at % 2 == 1 {
            rest = rest.swap_bytes();
        }
        c.segments[0] = Descriptor {
            length: head.length - at as u16,
            sum: rest,
            psh: head.psh,
            ..Descriptor::default()
        };
        c.segments.push_front(Descriptor {
            length: at as u16,
            sum,
            ..Descriptor::default()
        });
        true
    }

    /// `TX_SACK`: marks each segment that lies wholly inside `[left, right)`; bytes newly marked, and how many segments end at or below `right`. Edges count
    /// by their distance from the head's first byte, modulo 2^16.
    pub fn sack(&mut self, conn: u16, left: u32, right: u32) -> (u32, u32) {
        let c = &mut self.connections[conn as usize];
        let [left, right] = [left, right].map(|edge| edge.wrapping_sub(c.una) & 0xFFFF);
        let (mut bytes, mut below, mut at) = (0, 0, 0);
        for d in &mut c.segments {
            let end = at + u32::from(d.length);
            below += u32::from(end <= right);
            if left <= at && end <= right && !d.sacked {
                d.sacked = true;
                bytes += u32::from(d.length);
            }
            at = end;
        }
        (bytes, below)
    }

    /// `TX_PIPE`: what is lost of the first `sent` segments, and how many of their bytes are on their way (RFC 6675 section 4). Threshold 0: a timeout.
    pub fn pipe(&mut self, conn: u16, sent: u32, threshold: u8) -> Pipe {
        let segments = &mut self.connections[conn as usize].segments;
        assert!(
            sent as usize <= segments.len(),
            "TX_PIPE of {sent} segments, of which there are {}",
            segments.len()
        );
        let mut above = (segments.iter().take(sent as usize))
            .filter(|d| d.sacked)
            .count();
        let mut pipe = Pipe {
            bytes: 0,
            next: None,
        };
        let mut at = 0;
        for (n, d) in segments.iter_mut().take(sent as usize).enumerate() {
            if d.sacked {
                above -= 1;
            }
            if threshold == 0 {
                (d.sacked, d.lost, d.again) = (false, true, false);
            } else if !d.sacked && !d.again && above >= usize::from(threshold & 31) {
                d.lost = true;
            }
            if !d.sacked && (!d.lost || d.again) {
                pipe.bytes += u32::from(d.length);
            } else if !d.sacked && pipe.next.is_none() {
                pipe.next = Some((at, n as u32));
            }
            at += u32::from(d.length);
        }
        pipe
    }

    /// `TX_MARK`: segment `n` from the head is sent again; false if there is none.
    pub fn mark(&mut self, conn: u16, n: u32) -> bool {
        let segments = &mut self.connections[conn as usize].segments;
        let segment = segments.get_mut(n as usize & 31);
        segment.map(|d| d.again = true).is_some()
    }

    /// No bytes, and all descriptors are free.
    pub fn is_empty(&self, conn: u16) -> bool {
        let c = &self.connections[conn as usize];
        c.una == c.wr_nxt && c.segments.is_empty() && c.tail == Descriptor::default()
    }

    /// Payload for the builder.
    pub fn payload(&self, conn: u16, seq: u32, length: u16) -> Vec<u8> {
        let c = &self.connections[conn as usize];
        (0..u32::from(length))
            .map(|n| c.bytes[seq.wrapping_add(n) as usize % c.bytes.len()])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISN: u32 = 0xFFFF_FFF0;

    fn ring(mss: u16) -> TxRing {
        let mut r = TxRing::new(2, 256, false);
        r.init(1, ISN, mss);
        r
    }

    fn pattern(from: usize, count: usize) -> Vec<u8> {
        (from..from + count).map(|n| (n * 7 + 3) as u8).collect()
    }

    /// Equal as ones' complement numbers: 0 and 0xFFFF are both zero.
    fn same(a: u16, b: u16) -> bool {
        a % 0xFFFF == b % 0xFFFF
    }

    #[test]
    fn bytes_are_cut_at_the_mss_whatever_the_bursts() {
        for burst in [1, 7, 9, 10, 11, 40] {
            let mut r = ring(10);
            let data = pattern(0, 40);
            for part in data.chunks(burst) {
                r.write(1, part);
            }
            for n in 0..4 {
                let d = r.peek(1, n as u32).unwrap();
                assert_eq!((d.length, d.psh), (10, false));
                assert_eq!(d.sum, sum_of(&data[10 * n..10 * n + 10]));
            }
            assert_eq!(r.peek(1, 4), None);
            assert_eq!(r.tail(1), 0);
        }
    }

    #[test]
    fn the_tail_is_cut_on_demand_with_psh() {
        let mut r = ring(10);
        assert!(!r.cut(1));
        r.write(1, &pattern(0, 9));
        assert_eq!((r.tail(1), r.peek(1, 0)), (9, None));
        assert!(r.cut(1));
        let d = r.peek(1, 0).unwrap();
        assert_eq!((d.length, d.psh, d.sum), (9, true, sum_of(&pattern(0, 9))));
        assert_eq!(r.payload(1, ISN, 9), pattern(0, 9));
    }

    #[test]
    fn writable_counts_space_and_descriptors() {
        let mut r = ring(100);
        assert_eq!(r.writable(1), 256);
        r.write(1, &pattern(0, 255));
        assert_eq!(r.writable(1), 1);
        r.write(1, &[1]);
        assert_eq!(r.writable(1), 0);
        assert_eq!(r.free(1, ISN.wrapping_add(99)), (0, ISN));
        assert_eq!(
            r.free(1, ISN.wrapping_add(100)),
            (1, ISN.wrapping_add(100)),
            "across the wrap"
        );
        assert_eq!(r.writable(1), 100);
        // 15 segments of one byte: no descriptor left for a writer, one for cutting again.
        let mut r = ring(1);
        assert_eq!(r.writable(1), 15);
        r.write(1, &pattern(0, 15));
        assert_eq!(r.writable(1), 0);
        let mut r = ring(10);
        for n in 0..14 {
            r.write(1, &pattern(n, 1));
            r.cut(1);
        }
        r.write(1, &pattern(0, 3));
        assert_eq!(r.writable(1), 7);
        r.write(1, &pattern(3, 7));
        assert_eq!(r.writable(1), 0);
    }

    #[test]
    fn acknowledgements_free_whole_segments_only() {
        let mut r = ring(10);
        r.write(1, &pattern(0, 30));
        let at = |n| ISN.wrapping_add(n);
        assert_eq!(r.free(1, at(0)), (0, at(0)));
        assert_eq!(r.free(1, at(9)), (0, at(0)));
        assert_eq!(r.free(1, at(21)), (2, at(20)));
        assert_eq!(
            r.free(1, at(31)),
            (1, at(30)),
            "a FIN's number is past the data"
        );
    }

    /// Ten segments of 10 bytes across the wrap, of which all are sent.
    fn ten() -> TxRing {
        let mut r = ring(10);
        r.write(1, &pattern(0, 100));
        r
    }

    fn at(n: u32) -> u32 {
        ISN.wrapping_add(n)
    }

    #[test]
    fn only_whole_segments_are_selectively_acknowledged() {
        let mut r = ten();
        assert_eq!(
            r.sack(1, at(11), at(40)),
            (20, 4),
            "from the second byte on"
        );
        assert_eq!(
            r.sack(1, at(10), at(49)),
            (10, 4),
            "the rest, to the last but one"
        );
        assert_eq!(r.sack(1, at(10), at(40)), (0, 4), "once only");
        let marked = |r: &TxRing| {
            (0..10)
                .map(|n| r.peek(1, n).unwrap().sacked)
                .collect::<Vec<_>>()
        };
        let want: Vec<bool> = (0..10).map(|n| (1..4).contains(&n)).collect();
        assert_eq!(marked(&r), want);
        // Nonsense: empty, the wrong way round, below the head, beyond what is there.
        for (left, right) in [
            (50, 50),
            (60, 50),
            (1 << 31, 1 << 30),
            (100, 5000),
            (0u32.wrapping_sub(9), 9),
        ] {
            assert_eq!(r.sack(1, at(left), at(right)).0, 0, "{left}, {right}");
        }
        assert_eq!(r.sack(1, at(90), at(5000)), (10, 10), "beyond the end");
    }

    #[test]
    fn what_has_three_above_it_is_lost_and_sent_again_once() {
        let mut r = ten();
        let next = |r: &mut TxRing| {
            let pipe = r.pipe(1, 10, 3);
            (pipe.bytes, pipe.next)
        };
        assert_eq!(next(&mut r), (100, None));
        r.sack(1, at(20), at(40));
        assert_eq!(next(&mut r), (80, None), "two are not enough");
        r.sack(1, at(70), at(80));
        // 0 and 1 have three above them, 4 has one.
        assert_eq!(next(&mut r), (50, Some((0, 0))));
        assert!(r.mark(1, 0));
        assert_eq!(next(&mut r), (60, Some((10, 1))));
        assert!(r.mark(1, 1));
        assert_eq!(next(&mut r), (70, None));
        r.sack(1, at(80), at(100));
        assert_eq!(
            next(&mut r),
            (20, Some((40, 4))),
            "what was sent again is on its way"
        );
        // Of those that are sent only: what lies above does not count.
        let mut r = ten();
        r.sack(1, at(70), at(100));
        assert_eq!(
            r.pipe(1, 9, 3),
            Pipe {
                bytes: 70,
                next: None
            }
        );
        // A timeout forgets it all.
        r.mark(1, 2);
        assert_eq!(
            r.pipe(1, 9, 0),
            Pipe {
                bytes: 0,
                next: Some((0, 0))
            }
        );
        r.mark(1, 0);
        assert_eq!(
            r.pipe(1, 9, 3),
            Pipe {
                bytes: 10,
                next: Some((10, 1))
            }
        );
        assert!(!r.mark(1, 10));
        assert_eq!(
            r.pipe(1, 0, 3),
            Pipe {
                bytes: 0,
                next: None
            }
        );
    }

    #[test]
    fn what_is_cut_again_has_no_marks() {
        let mut r = ten();
        r.pipe(1, 10, 0);
        r.sack(1, at(0), at(10));
        assert!(r.mark(1, 0) && r.recut(1, 4));
        for n in [0, 1] {
            let d = r.peek(1, n).unwrap();
            assert!(!d.sacked && !d.lost && !d.again);
        }
        assert_eq!(r.pipe(1, 11, 3).next, Some((10, 2)));
    }

    #[test]
    fn recutting_keeps_the_sums_true_at_every_place() {
        for at in 1..20u16 {
            let mut r = ring(20);
            let data = pattern(5, 20);
            r.write(1, &data);
            assert!(r.recut(1, u32::from(at)));
            let (first, second) = (r.peek(1, 0).unwrap(), r.peek(1, 1).unwrap());
            let split = at as usize;
            assert_eq!((first.length, second.length), (at, 20 - at));
            assert_eq!(first.sum, sum_of(&data[..split]));
            assert!(same(second.sum, sum_of(&data[split..])), "at {at}");
        }
        let mut r = ring(20);
        assert!(!r.recut(1, 1));
        r.write(1, &pattern(0, 20));
    }
}
