//! Random and mutated frames, by seed: answers to what the engine itself said, bent in one field or several, with checksums made right most of the time.
//!
//! The byte at a sequence number is a function of that number and the port ([`byte_at`]), whoever sends it. So whatever the engine echoes can be held to what was
//! sent, however the segments overlapped: a byte out of place, invented, or taken from a void frame differs.
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use toe_hdl::config::ToeConfig;
use toe_sim::link::{Frame, Tail};

use crate::wire::*;

/// Remote ports in use: few, so that connections are met again.
const PORTS: u16 = 12;
/// Answers remembered.
const REMEMBERED: usize = 24;
/// SYN-ACKs remembered of each pair of ports: with cookies (RFC 4987) an ACK of any that is among the answers may open.
const OPENINGS: usize = 64;

/// What whoever uses this port sends at this sequence number.
pub fn byte_at(port: u16, seq: u32) -> u8 {
    let x = (seq ^ u32::from(port) << 16).wrapping_mul(0x9E37_79B1);
    (x ^ x >> 15).wrapping_mul(0x85EB_CA6B).to_be_bytes()[0]
}

/// An engine that can be given frames.
pub trait Target {
    fn config(&self) -> ToeConfig;
    /// A frame comes in.
    fn put(&mut self, frame: Frame);
    /// Time passes: more or less of it.
    fn work(&mut self, rng: &mut ChaCha8Rng);
    /// Everything there is to do is done.
    fn rest(&mut self);
    /// The answer to what was put in last has come, if a short one.
    fn answered(&mut self) {
        self.rest();
    }
    /// Accounts and life are checked, at rest.
    fn check(&mut self);
    /// Segments that left since the last call.
    fn answers(&mut self) -> Vec<Tcp>;
    /// Ends the test, leaving a capture if it can.
    fn fail(&mut self, message: &str) -> !;
}

/// The generator, and the judge of what comes back.
pub struct Mutator {
    rng: ChaCha8Rng,
    config: ToeConfig,
    recent: VecDeque<Tcp>,
    /// By (peer's port, board's): the first numbers of the board and the peer, of each SYN-ACK, the latest last.
    open: BTreeMap<(u16, u16), Vec<(u32, u32)>>,
    talked: BTreeSet<(u16, u16)>,
    /// Bytes echoed and found right.
    pub echoed: u64,
}

impl Mutator {
    /// By seed.
    pub fn new(config: &ToeConfig, seed: u64) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            config: config.clone(),
            recent: VecDeque::new(),
            open: BTreeMap::new(),
            talked: BTreeSet::new(),
            echoed: 0,
        }
    }

    /// Takes what the board said.
    ///
    /// # Errors
    /// An echoed byte that was never sent at its place.
    pub fn heard(&mut self, t: &Tcp) -> Result<(), String> {
        let key = (t.ports.1, t.ports.0);
        if t.flags & (SYN | ACK) == SYN | ACK {
            let numbers = (t.seq, t.ack.wrapping_sub(1));
            let open = self.open.entry(key).or_default();
            open.retain(|o| *o != numbers);
            open.push(numbers);
            if open.len() > OPENINGS {
                open.remove(0);
            }
        }
        if t.flags & RST == 0 {
            self.talked.insert(key);
            self.recent.push_back(t.clone());
            if self.recent.len() > REMEMBERED {
                self.recent.pop_front();
            }
        }
        if t.data.is_empty() || t.ports.0 != 7 {
            return Ok(());
        }
        // The one that these numbers go on from; of two with one number of ours the latest. Of a cookie two bits are the peer's MSS: who acknowledges it with others has that number, and another MSS.
        let open = self.open.get(&key).into_iter().flatten().rev();
        let Some((iss, irs)) = open.min_by_key(|o| t.seq.wrapping_sub(o.0 & !7)) else {
            return Err(format!("data on a connection that never opened: {t:?}"));
        };
        // The echo's n-th byte is the n-th that came.
        let first = |size: u32| t.seq.wrapping_sub(iss ^ size).wrapping_add(*irs);
        let right = |at: u32| {
            let sent = (0..).map(|i| byte_at(key.0, at.wrapping_add(i)));
            sent.zip(&t.data).all(|(sent, byte)| sent == *byte)
        };
        if !(0..4).any(|size| right(first(2 * size))) {
            let at = first(0);
            return Err(format!(
                "not what was sent from {at} on, {:02x}…, of {:?}: {t:?}",
                byte_at(key.0, at),
                self.open[&key]
            ));
        }
        self.echoed += t.data.len() as u64;
        Ok(())
    }

    fn fill(t: &mut Tcp, length: usize) {
        t.data = (0..length as u32)
            .map(|i| byte_at(t.ports.0, t.seq.wrapping_add(i)))
            .collect();
    }

    fn offset(&mut self) -> u32 {
        let r = &mut self.rng;
        let edges = [1, 2, 100, 1460, 8191, 8192, 8193, 0x7FFF_FFFF, 0x8000_0000];
        let step: u32 = match r.random_range(0..4) {
            0 => r.random(),
            1 => r.random_range(0..20_000),
            _ => edges[r.random_range(0..edges.len())],
        };
        if r.random() {
            step
        } else {
            step.wrapping_neg()
        }
    }

    /// A segment that a peer could well send now.
    fn plausible(&mut self) -> Tcp {
        let r = &mut self.rng;
        if self.recent.is_empty() || r.random_bool(0.08) {
            let mss: u16 = [0, 1, 88, 536, 1460, 1460, 9000, 65535][r.random_range(0..8)];
            let mut options = [&[2, 4][..], &mss.to_be_bytes()].concat();
            if r.random_bool(0.5) {
                options.extend([1, 3, 3, r.random_range(0..20)]);
            }
            return Tcp {
                ports: (
                    10_000 + r.random_range(0..PORTS),
                    [7, 7, 7, 7, 9, 19, 80][r.random_range(0..7)],
                ),
                seq: if r.random_bool(0.3) {
                    0xFFFF_FF00
                } else {
                    r.random()
                },
                flags: SYN,
                wnd: [0, 500, 8192, 65535][r.random_range(0..4)],
                options,
                ..Tcp::default()
            };
        }
        let said = &self.recent[r.random_range(0..self.recent.len())];
        let length =
            said.data.len() as u32 + u32::from(said.flags & SYN != 0) + u32::from(said.flags & FIN);
        let mut t = Tcp {
            ports: (said.ports.1, said.ports.0),
            seq: said.ack,
            ack: said.seq.wrapping_add(length),
            flags: ACK,
            wnd: [0, 1, 1000, 8192, 8192, 65535][r.random_range(0..6)],
            ..Tcp::default()
        };
        let length = match r.random_range(0..10) {
            0..4 => 0,
            4..7 => r.random_range(1..40),
            7 | 8 => r.random_range(1..600),
            _ => r.random_range(1..=1460),
        };
        if r.random_bool(0.04) {
            t.flags |= FIN;
        }
        if r.random_bool(0.03) {
            t.flags |= RST;
        }
        Self::fill(&mut t, length);
        t
    }

    /// A segment, bent in up to three fields, checksums right.
    fn bent(&mut self) -> Vec<u8> {
        let mut t = self.plausible();
        let mut patches: Vec<(usize, u8)> = Vec::new();
        let mut bare = false;
        for _ in 0..[0, 0, 1, 1, 1, 2, 3][self.rng.random_range(0..7)] {
            let length = t.data.len();
            match self.rng.random_range(0..12) {
                0..3 => {
                    t.seq = t.seq.wrapping_add(self.offset());
                    Self::fill(&mut t, length);
                }
                3..5 => t.ack = t.ack.wrapping_add(self.offset()),
                5 => t.wnd = self.rng.random(),
                6 => t.flags ^= 1 << self.rng.random_range(0..8),
                7 => t.flags = self.rng.random(),
                8 => {
                    let words = self.rng.random_range(0..=10);
                    t.options = (0..4 * words).map(|_| self.rng.random()).collect();
                    // Random bytes hardly ever make an option that is right.
                    if self.rng.random() && words > 0 {
                        t.options.fill(1);
                        let at = self.rng.random_range(0..t.options.len() - 1);
                        t.options[at] = self.rng.random_range(0..10);
                        t.options[at + 1] = self.rng.random_range(0..12);
                    }
                }
                9 => {
                    // A data offset that is too small, or beyond the segment's end.
                    bare = true;
                    let offset = [0, 1, 4, 6, 10, 15][self.rng.random_range(0..6)];
                    patches.push((14 + 20 + 12, offset << 4));
                }
                10 => {
                    // Version, type of service, total length's upper byte, fragment, TTL, protocol.
                    let at = [0, 1, 2, 6, 7, 8, 9][self.rng.random_range(0..7)];
                    patches.push((14 + at, self.rng.random()));
                }
                _ => {
                    t.ports.0 = 10_000 + self.rng.random_range(0..PORTS);
                    Self::fill(&mut t, length);
                }
            }
        }
        if bare {
            // Else options would become payload, or payload options, and the bytes would not be where they say.
            t.data.clear();
            t.options.clear();
        }
        let mut f = t.frame(&self.config);
        for (at, value) in patches {
            f[at] = value;
        }
        mend(&mut f);
        f
    }

    /// The next frame.
    pub fn frame(&mut self) -> Frame {
        match self.rng.random_range(0..100) {
            0..2 => {
                let operation = self.rng.random_range(1..3);
                Frame::new(arp(&self.config, operation))
            }
            2..4 => {
                let length = self.rng.random_range(0..600);
                Frame::new(ping(&self.config, length))
            }
            4..6 => {
                let length = self.rng.random_range(0..200);
                let noise: Vec<u8> = (0..length).map(|_| self.rng.random()).collect();
                Frame::new(ethernet(self.config.mac, 0x0800, &noise))
            }
            // One bit only: two can cancel in an Internet checksum, and nothing could be blamed.
            6..10 => {
                let mut f = self.bent();
                let bit = self.rng.random_range(0..f.len() * 8);
                f[bit / 8] ^= 1 << (bit % 8);
                Frame::new(f)
            }
            10..13 => {
                let mut f = Frame::new(self.bent());
                f.tail = Tail::Fcs(f.right_fcs());
                for _ in 0..self.rng.random_range(1..4) {
                    let bit = self.rng.random_range(0..f.bytes.len() * 8);
                    f.bytes[bit / 8] ^= 1 << (bit % 8);
                }
                f
            }
            13..15 => {
                let f = on_the_line(&Frame::new(self.bent()));
                let keep = self.rng.random_range(0..f.len());
                Frame::cut(&f[..keep])
            }
            15..17 => {
                let mut f = Frame::new(self.bent());
                f.error_at = Some(self.rng.random_range(0..f.bytes.len()));
                f
            }
            _ => Frame::new(self.bent()),
        }
    }

    /// Judges what the target said since it was last asked.
    pub fn hear(&mut self, target: &mut impl Target) -> Vec<Tcp> {
        let answers = target.answers();
        for t in &answers {
            if let Err(e) = self.heard(t) {
                target.fail(&e);
            }
        }
        answers
    }

    /// All peers have forgotten everything: asked, the board says where it stands, and a RST at just that number ends it, as a host that knows nothing answers
    /// (RFC 9293 section 3.5.1, figure 9; RFC 5961 section 3.2).
    fn vanish(&mut self, target: &mut impl Target) {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for key in std::mem::take(&mut self.talked) {
            for probe in 0..3u32 {
                // One number in three at least is outside the window, which is always answered; a SYN's challenge is limited (RFC 5961 section 7).
                let ask = Tcp {
                    ports: key,
                    seq: probe.wrapping_mul(0x5555_5555),
                    flags: ACK,
                    // Where timestamps are in use, what has none is not even answered (RFC 7323 section 3.2).
                    options: vec![1, 1, 8, 10, 0, 0, 0, 0, 0, 0, 0, 0],
                    ..Tcp::default()
                };
                target.put(Frame::new(ask.frame(&self.config)));
                target.work(&mut rng);
                self.reset_all(target);
                target.work(&mut rng);
            }
        }
        self.talked.clear();
        self.recent.clear();
    }

    /// Answers what was said with a RST at just the number acknowledged.
    fn reset_all(&mut self, target: &mut impl Target) {
        for t in self.hear(target) {
            if t.flags & RST == 0 && t.flags & ACK != 0 {
                let reset = Tcp {
                    ports: (t.ports.1, t.ports.0),
                    seq: t.ack,
                    flags: RST,
                    ..Tcp::default()
                };
                target.put(Frame::new(reset.frame(&self.config)));
            }
        }
    }

    /// All peers vanish, and accounts and life are checked.
    pub fn finish(&mut self, target: &mut impl Target) {
        self.vanish(target);
        // What was under way is still heard: a SYN-ACK says where a connection begins.
        target.rest();
        self.reset_all(target);
        target.rest();
        self.hear(target);
        target.check();
        self.hear(target);
        self.talked.clear();
        self.recent.clear();
    }

    /// Throws `frames` at the target; after each `every` of them the peers vanish, and accounts and life are checked.
    pub fn run(&mut self, target: &mut impl Target, frames: u64, every: u64) {
        for n in 1..=frames {
            let frame = self.frame();
            target.put(frame);
            let mut rng = self.rng.clone();
            target.work(&mut rng);
            self.rng = rng;
            self.hear(target);
            if n % every == 0 || n == frames {
                self.finish(target);
            }
        }
    }
}
