//! The receive ring of `docs/design.md`, modelled.
//!
//! The byte with sequence number `s` lies at `s mod R`. A segment is clipped before its first byte is written, to one interval that touches nothing held and
//! nothing pending; it stays pending in its record's slot until the engine commits it or the slot is released. Of a segment of which every byte is there already an empty interval is pending, at the end of what holds them.

/// Held intervals a connection.
pub const HELD: usize = 4;
/// Record slots, each with one pending interval.
pub const SLOTS: usize = 4;

/// `start..end` in sequence space, modulo 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    pub start: u32,
    pub end: u32,
}

impl Interval {
    fn contains(self, x: u32) -> bool {
        x.wrapping_sub(self.start) < self.end.wrapping_sub(self.start)
    }

    fn len(self) -> u32 {
        self.end.wrapping_sub(self.start)
    }
}

/// `a` is before `b` modulo 2^32.
pub(crate) fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

#[derive(Clone, Debug)]
struct Connection {
    bytes: Vec<u8>,
    rcv_nxt: u32,
    rd_nxt: u32,
    /// The one that came or grew last is the last.
    held: Vec<Interval>,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// `rcv_nxt` moved.
    pub moved: bool,
    /// Every byte of it was held already, above `rcv_nxt`.
    pub twice: bool,
    /// The interval found no place among the held ones and was dropped.
    pub dropped: bool,
}

/// The rings of all connections.
#[derive(Clone, Debug)]
pub struct RxRing {
    connections: Vec<Connection>,
    pending: [Option<(u16, Interval)>; SLOTS],
}

impl RxRing {
    /// Rings of `bytes` (a power of two) for each connection.
    pub fn new(connections: usize, bytes: usize) -> Self {
        let one = Connection {
            bytes: vec![0; bytes],
            rcv_nxt: 0,
            rd_nxt: 0,
            held: Vec::new(),
        };
        Self {
            connections: vec![one; connections],
            pending: [None; SLOTS],
        }
    }

    /// `RX_INIT`: rcv_nxt = rd_nxt = `start`, nothing held, and what was pending for an earlier connection of this number is void.
    pub fn init(&mut self, conn: u16, start: u32) {
        let c = &mut self.connections[conn as usize];
        c.rcv_nxt = start;
        c.rd_nxt = start;
        c.held.clear();
        for slot in &mut self.pending {
            if slot.is_some_and(|(other, _)| other == conn) {
                *slot = None;
            }
        }
    }

    /// Clips a segment and writes what is left of it: the interval is then pending in `slot`.
    pub fn place(&mut self, conn: u16, slot: u8, seq: u32, payload: &[u8]) -> Option<Interval> {
        self.pending[slot as usize] = None;
        let taken: Vec<Interval> = self.connections[conn as usize]
            .held
            .iter()
            .copied()
            .chain(
                self.pending
                    .iter()
                    .flatten()
                    .filter(|(other, i)| *other == conn && i.len() > 0)
                    .map(|(_, i)| *i),
            )
            .collect();
        let c = &mut self.connections[conn as usize];
        let ring = c.bytes.len();
        let right_edge = c.rd_nxt.wrapping_add(ring as u32);

        let mut start = if before(seq, c.rcv_nxt) {
            c.rcv_nxt
        } else {
            seq
        };
        let first = start;
        let past = |start: u32| start.wrapping_sub(seq) as usize >= payload.len();
        for i in &taken {
            if !past(start) && i.contains(start) {
                start = i.end;
            }
        }
        if past(start) && !past(first) {
            self.pending[slot as usize] = Some((conn, Interval { start, end: start }));
            return None;
        }
        // Unsigned, so that a segment from half the sequence space away is outside as well.
        if past(start) || start.wrapping_sub(c.rd_nxt) as usize >= ring {
            return None;
        }
        let mut end = seq.wrapping_add(payload.len() as u32);
        if before(right_edge, end) {
            end = right_edge;
        }
        for i in &taken {
            if before(start, i.start) && before(i.start, end) {
                end = i.start;
            }
        }
        if !before(start, end) || taken.iter().any(|i| i.contains(start)) {
            return None;
        }

        let clipped = Interval { start, end };
        for n in 0..clipped.len() {
            let s = start.wrapping_add(n);
            c.bytes[s as usize % ring] = payload[s.wrapping_sub(seq) as usize];
        }
        self.pending[slot as usize] = Some((conn, clipped));
        Some(clipped)
    }

    /// The slot is free again; what is still pending in it is dropped.
    pub fn release(&mut self, slot: u8) {
        if let Some(pending) = self.pending.get_mut(slot as usize) {
            *pending = None;
        }
    }

    /// `RX_COMMIT`: merges the slot's pending interval.
    pub fn commit(&mut self, conn: u16, slot: u8) -> Commit {
        let nothing = Commit {
            moved: false,
            twice: false,
            dropped: false,
        };
        let Some((owner, new)) = self
            .pending
            .get_mut(slot as usize)
            .and_then(|pending| pending.take())
        else {
            return nothing;
        };
        if owner != conn {
            return nothing;
        }
        let c = &mut self.connections[conn as usize];
        if new.len() == 0 {
            let Some(at) = c.held.iter().position(|h| h.end == new.end) else {
                return nothing;
            };
            let whole = c.held.remove(at);
            c.held.push(whole);
            return Commit {
                twice: true,
                ..nothing
            };
        }
        if new.start == c.rcv_nxt {
            c.rcv_nxt = new.end;
            while let Some(at) = c.held.iter().position(|h| h.start == c.rcv_nxt) {
                c.rcv_nxt = c.held.remove(at).end;
            }
            return Commit {
                moved: true,
                ..nothing
            };
        }
        // What it touches grows by it, and stands last from then on.
        let mut grown = new;
        if let Some(below) = c.held.iter().position(|h| h.end == new.start) {
            grown.start = c.held.remove(below).start;
        }
        if let Some(above) = c.held.iter().position(|h| h.start == new.end) {
            grown.end = c.held.remove(above).end;
        }
        if c.held.len() == HELD {
            return Commit {
                dropped: true,
                ..nothing
            };
        }
        c.held.push(grown);
        nothing
    }

    /// `RX_SACK`: the held interval `n` of them, from the one that changed last on, as distances from `rcv_nxt` modulo 2^16.
    pub fn sack(&self, conn: u16, n: u8) -> Option<(u32, u32)> {
        let c = &self.connections[conn as usize];
        let block = c.held.iter().rev().nth(n as usize)?;
        let from = |s: u32| s.wrapping_sub(c.rcv_nxt) & 0xFFFF;
        Some((from(block.start), from(block.end)))
    }

    /// Next byte wanted from the peer (without FIN).
    pub fn rcv_nxt(&self, conn: u16) -> u32 {
        self.connections[conn as usize].rcv_nxt
    }

    /// Space for bytes from `rcv_nxt` on; at most 65,535.
    pub fn window(&self, conn: u16) -> u32 {
        let c = &self.connections[conn as usize];
        (c.bytes.len() as u32 - c.rcv_nxt.wrapping_sub(c.rd_nxt)).min(0xFFFF)
    }

    /// Bytes the application may read.
    pub fn readable(&self, conn: u16) -> usize {
        let c = &self.connections[conn as usize];
        c.rcv_nxt.wrapping_sub(c.rd_nxt) as usize
    }

    /// The application reads `count` bytes, no more than are readable.
    pub fn read(&mut self, conn: u16, count: usize) -> Vec<u8> {
        assert!(count <= self.readable(conn), "read past rcv_nxt");
        let c = &mut self.connections[conn as usize];
        let ring = c.bytes.len();
        let from = c.rd_nxt as usize;
        c.rd_nxt = c.rd_nxt.wrapping_add(count as u32);
        (0..count).map(|n| c.bytes[(from + n) % ring]).collect()
    }

    /// Nothing is to be read, nothing held, and nothing pending in any slot.
    pub fn is_empty(&self, conn: u16) -> bool {
        let held = &self.connections[conn as usize].held;
        let pending = self.pending.iter().flatten().any(|(c, _)| *c == conn);
        self.readable(conn) == 0 && held.is_empty() && !pending
    }

    /// The intervals held above `rcv_nxt`, the one that changed last at the end.
    pub fn held(&self, conn: u16) -> &[Interval] {
        &self.connections[conn as usize].held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The byte that belongs at sequence number `s`.
    fn byte(s: u32) -> u8 {
        (s.wrapping_mul(31) >> 3) as u8
    }

    fn bytes(from: u32, count: u32) -> Vec<u8> {
        (0..count).map(|n| byte(from.wrapping_add(n))).collect()
    }

    fn interval(start: u32, len: u32) -> Option<Interval> {
        Some(Interval {
            start,
            end: start.wrapping_add(len),
        })
    }

    /// A ring of 256 bytes near the wrap: every test crosses 2^32.
    const ISN: u32 = 0xFFFF_FFF0;

    fn ring() -> RxRing {
        let mut r = RxRing::new(2, 256);
        r.init(1, ISN);
        r
    }

    #[test]
    fn in_order_bytes_advance_and_are_read_across_the_wrap() {
        let mut r = ring();
        assert_eq!(r.place(1, 0, ISN, &bytes(ISN, 32)), interval(ISN, 32));
        assert_eq!(r.readable(1), 0, "pending is not yet readable");
        assert!(r.commit(1, 0).moved);
        assert_eq!(r.rcv_nxt(1), 16);
        assert_eq!(r.window(1), 224);
        assert_eq!(r.read(1, 32), bytes(ISN, 32));
        assert_eq!(r.window(1), 256);
        assert!(!r.commit(1, 0).moved, "once only");
    }

    #[test]
    fn the_window_clips_to_the_byte() {
        for (len, kept) in [(255, 255), (256, 256), (257, 256)] {
            let mut r = ring();
            assert_eq!(r.place(1, 0, ISN, &bytes(ISN, len)), interval(ISN, kept));
        }
        let mut r = ring();
        r.place(1, 0, ISN, &bytes(ISN, 256));
        r.commit(1, 0);
        assert_eq!(r.window(1), 0);
        let next = ISN.wrapping_add(256);
        assert_eq!(r.place(1, 0, next, &bytes(next, 1)), None, "window closed");
        r.read(1, 1);
        assert_eq!(r.place(1, 0, next, &bytes(next, 2)), interval(next, 1));
    }

    #[test]
    fn old_bytes_are_cut_off_in_front() {
        let mut r = ring();
        let old = ISN.wrapping_sub(10);
        assert_eq!(r.place(1, 0, old, &bytes(old, 10)), None);
        assert_eq!(r.place(1, 0, old, &bytes(old, 11)), interval(ISN, 1));
        r.commit(1, 0);
        assert_eq!(r.read(1, 1), bytes(ISN, 1));
        let far = ISN.wrapping_add(0x8000_0000);
        assert_eq!(r.place(1, 0, far, &bytes(far, 50)), None);
    }

    #[test]
    fn held_and_pending_bytes_are_never_written_again() {
        let mut r = ring();
        let gap = ISN.wrapping_add(10);
        r.place(1, 0, gap, &bytes(gap, 10));
        // Pending in slot 0: a longer segment from below stops short of it, and a wrong one can't spoil it.
        assert_eq!(r.place(1, 1, ISN, &[0xEE; 30]), interval(ISN, 10));
        r.release(1);
        r.commit(1, 0);
        assert_eq!(r.held(1), [interval(gap, 10).unwrap()]);
        // One that starts in the held interval goes on behind it.
        let inside = ISN.wrapping_add(15);
        assert_eq!(
            r.place(1, 1, inside, &bytes(inside, 10)),
            interval(ISN.wrapping_add(20), 5)
        );
        r.commit(1, 1);
        assert_eq!(
            r.held(1),
            [interval(gap, 15).unwrap()],
            "touching ones merge"
        );
        r.place(1, 2, ISN, &bytes(ISN, 10));
        assert!(r.commit(1, 2).moved);
        assert_eq!(r.rcv_nxt(1), ISN.wrapping_add(25));
        assert_eq!(r.held(1), []);
        assert_eq!(r.read(1, 25), bytes(ISN, 25));
    }

    #[test]
    fn a_fifth_held_interval_is_dropped() {
        let mut r = ring();
        for n in 0..4 {
            let s = ISN.wrapping_add(10 + 20 * n);
            r.place(1, 0, s, &bytes(s, 10));
            assert!(!r.commit(1, 0).dropped);
        }
        let s = ISN.wrapping_add(95);
        r.place(1, 0, s, &bytes(s, 10));
        assert!(r.commit(1, 0).dropped);
        // One that fills the gap between two still merges.
        let s = ISN.wrapping_add(20);
        r.place(1, 0, s, &bytes(s, 10));
        assert!(!r.commit(1, 0).dropped);
        assert_eq!(r.held(1).len(), 3);
    }

    #[test]
    fn the_interval_that_changed_last_is_told_of_first() {
        let mut r = ring();
        let hold = |r: &mut RxRing, from: u32, count: u32| {
            let s = ISN.wrapping_add(from);
            r.place(1, 0, s, &bytes(s, count));
            r.commit(1, 0);
        };
        let told = |r: &RxRing| -> Vec<(u32, u32)> { (0..6).map_while(|n| r.sack(1, n)).collect() };
        for from in [10, 30, 50, 70] {
            hold(&mut r, from, 10);
        }
        assert_eq!(told(&r), [(70, 80), (50, 60), (30, 40), (10, 20)]);
        hold(&mut r, 90, 10);
        assert_eq!(told(&r), [(70, 80), (50, 60), (30, 40), (10, 20)], "full");
        hold(&mut r, 20, 5);
        assert_eq!(told(&r), [(10, 25), (70, 80), (50, 60), (30, 40)]);
        hold(&mut r, 60, 10);
        assert_eq!(told(&r), [(50, 80), (10, 25), (30, 40)]);
        hold(&mut r, 0, 10);
        assert_eq!(told(&r), [(25, 55), (5, 15)], "from the new rcv_nxt on");
        assert_eq!(r.sack(1, 63), None);
    }

    #[test]
    fn a_new_connection_of_the_same_number_knows_nothing_of_the_old() {
        let mut r = ring();
        r.place(1, 0, ISN, &bytes(ISN, 10));
        r.init(1, 5);
        assert!(!r.commit(1, 0).moved);
        assert_eq!(r.rcv_nxt(1), 5);
    }

    #[test]
    fn any_order_of_any_cuts_gives_the_stream() {
        // A small generator of our own: xorshift.
        let mut x = 0x1234_5678u32;
        let mut random = move |n: u32| {
            x ^= x << 13;
            x ^= x >> 17;
            x ^= x << 5;
            x % n
        };
        for _ in 0..200 {
            let start = 0u32.wrapping_sub(random(600));
            let mut r = RxRing::new(1, 256);
            r.init(0, start);
            let mut got = Vec::new();
            while got.len() < 1000 {
                // Up to four frames under way at once; some prove bad, their bytes being rubbish.
                let mut good = [false; SLOTS];
                for (slot, good) in good.iter_mut().enumerate() {
                    let seq = r.rcv_nxt(0).wrapping_add(random(300)).wrapping_sub(60);
                    *good = random(4) > 0;
                    let len = random(90);
                    let payload = if *good {
                        bytes(seq, len)
                    } else {
                        vec![0xEE; len as usize]
                    };
                    r.place(0, slot as u8, seq, &payload);
                }
                for (slot, good) in good.into_iter().enumerate() {
                    if good {
                        r.commit(0, slot as u8);
                    }
                    r.release(slot as u8);
                }
                let count = random(r.readable(0) as u32 + 1) as usize;
                got.extend(r.read(0, count));
            }
            assert_eq!(got, bytes(start, got.len() as u32));
        }
    }
}
