//! Frames and the links that carry them between a simulated board and the world.
//!
//! A [`Link`] is the far end of the board's cable: it hands out frames *for* the board ([`Link::receive`]) and
//! takes frames *from* it ([`Link::send`]). Peers, the kernel and capture files are links; the fault injector, the pcap
//! writer and the tracer are links around a link, as in smoltcp. Time is always handed in, so that a run is a
//! function of its seed.

use std::ops::Deref;

pub use smoltcp::phy::Medium;
pub use smoltcp::time::{Duration, Instant};

/// Shortest Ethernet frame without FCS (IEEE 802.3 clause 4.4.2, minFrameSize 64 octets with FCS).
pub const MIN_FRAME: usize = 60;

/// How the line ends a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tail {
    /// Padded to the minimum and followed by the right FCS. SLIP lines have neither.
    #[default]
    Sound,
    /// Padded, then followed by this FCS, right or wrong: corruption on the line changes bytes and leaves the FCS.
    Fcs(u32),
    /// Nothing follows: neither padding nor FCS. The bytes are all the line carries (runts, frames broken off).
    Cut,
}

/// One frame: Ethernet from destination address to the end of the payload, or one IP packet on a SLIP line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// The bytes, without preamble and FCS.
    pub bytes: Vec<u8>,
    /// What the line puts after them.
    pub tail: Tail,
    /// The line signals an error (`rx_er`, a missing stop bit) while it carries this byte.
    pub error_at: Option<usize>,
}

impl Frame {
    /// A sound frame of these bytes.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            ..Self::default()
        }
    }

    /// These bytes and nothing after them: no padding, no FCS.
    pub fn cut(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            tail: Tail::Cut,
            error_at: None,
        }
    }

    /// The FCS the line would append to the bytes, padded as it would pad them.
    pub fn right_fcs(&self) -> u32 {
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.bytes);
        if self.bytes.len() < MIN_FRAME {
            crc.update(&[0; MIN_FRAME][self.bytes.len()..]);
        }
        crc.finalize()
    }

    /// Whether a correct receiver at the other end of the line keeps the frame. On a SLIP line (no FCS) only a
    /// signalled error spoils it.
    pub fn is_sound(&self, medium: Medium) -> bool {
        if self.error_at.is_some() {
            return false;
        }
        if medium != Medium::Ethernet {
            return true;
        }
        match self.tail {
            Tail::Sound => true,
            Tail::Fcs(fcs) => fcs == self.right_fcs(),
            Tail::Cut => match self.bytes.split_last_chunk::<4>() {
                Some((body, fcs)) => {
                    body.len() >= MIN_FRAME && crc32fast::hash(body) == u32::from_le_bytes(*fcs)
                }
                None => false,
            },
        }
    }
}

impl From<Vec<u8>> for Frame {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl Deref for Frame {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The far end of the board's line.
pub trait Link {
    /// The next frame for the board, if there is one at `now`. To be called until it gives `None`.
    fn receive(&mut self, now: Instant) -> Option<Frame>;

    /// Takes a frame the board has sent, its last byte leaving at `now`.
    fn send(&mut self, frame: Frame, now: Instant);

    /// When [`Link::receive`] is worth calling again although nothing was sent: `None` is never,
    /// a time that is not after `now` is at once.
    fn idle_until(&mut self, now: Instant) -> Option<Instant>;

    /// Ethernet frames or bare IP packets.
    fn medium(&self) -> Medium;
}

impl<L: Link + ?Sized> Link for &mut L {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        (**self).receive(now)
    }
    fn send(&mut self, frame: Frame, now: Instant) {
        (**self).send(frame, now)
    }
    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        (**self).idle_until(now)
    }
    fn medium(&self) -> Medium {
        (**self).medium()
    }
}

impl<L: Link + ?Sized> Link for Box<L> {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        (**self).receive(now)
    }
    fn send(&mut self, frame: Frame, now: Instant) {
        (**self).send(frame, now)
    }
    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        (**self).idle_until(now)
    }
    fn medium(&self) -> Medium {
        (**self).medium()
    }
}

/// A link that goes nowhere: frames for the board are put in `incoming`, frames from it found in `outgoing`.
#[derive(Debug)]
pub struct Queues {
    /// Frames for the board, handed out at once.
    pub incoming: std::collections::VecDeque<Frame>,
    /// Frames the board sent, with their times.
    pub outgoing: std::collections::VecDeque<(Instant, Frame)>,
    medium: Medium,
}

impl Queues {
    /// Two empty queues.
    pub fn new(medium: Medium) -> Self {
        Self {
            incoming: Default::default(),
            outgoing: Default::default(),
            medium,
        }
    }
}

impl Link for Queues {
    fn receive(&mut self, _now: Instant) -> Option<Frame> {
        self.incoming.pop_front()
    }
    fn send(&mut self, frame: Frame, now: Instant) {
        self.outgoing.push_back((now, frame));
    }
    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        (!self.incoming.is_empty()).then_some(now)
    }
    fn medium(&self) -> Medium {
        self.medium
    }
}

/// Why [`join`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The condition held at this time.
    Done(Instant),
    /// Time ran out.
    OutOfTime,
    /// Neither end will ever do anything again.
    Silent(Instant),
}

/// Ties two links together without a board: each gets what the other hands out, in simulated time that jumps from
/// event to event. Frames that are not sound are dropped, as a network card drops them. `done` is asked after every event.
pub fn join<A: Link, B: Link>(
    a: &mut A,
    b: &mut B,
    start: Instant,
    end: Instant,
    mut done: impl FnMut(&mut A, &mut B) -> bool,
) -> Joined {
    let mut now = start;
    loop {
        let mut moved = true;
        while moved {
            moved = false;
            while let Some(frame) = a.receive(now) {
                moved = true;
                if frame.is_sound(a.medium()) {
                    b.send(Frame::new(frame.bytes), now);
                }
            }
            while let Some(frame) = b.receive(now) {
                moved = true;
                if frame.is_sound(b.medium()) {
                    a.send(Frame::new(frame.bytes), now);
                }
            }
        }
        if done(a, b) {
            return Joined::Done(now);
        }
        let next = match (a.idle_until(now), b.idle_until(now)) {
            (Some(x), Some(y)) => x.min(y),
            (Some(x), None) | (None, Some(x)) => x,
            (None, None) => return Joined::Silent(now),
        };
        now = next.max(now + Duration::from_micros(1));
        if now > end {
            return Joined::OutOfTime;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check value of CRC-32 (all catalogues: "123456789" gives CBF43926) fixes polynomial, order and inversion.
    #[test]
    fn fcs_is_the_ethernet_crc() {
        assert_eq!(crc32fast::hash(b"123456789"), 0xCBF4_3926);
        let short = Frame::new(vec![1, 2, 3]);
        let mut padded = vec![1, 2, 3];
        padded.resize(MIN_FRAME, 0);
        assert_eq!(short.right_fcs(), crc32fast::hash(&padded));
        assert_eq!(short.right_fcs(), Frame::new(padded).right_fcs());
    }

    #[test]
    fn soundness_follows_tail_error_and_medium() {
        let good = Frame::new(vec![7; 80]);
        assert!(good.is_sound(Medium::Ethernet));
        let mut wrong = good.clone();
        wrong.tail = Tail::Fcs(good.right_fcs());
        assert!(wrong.is_sound(Medium::Ethernet));
        wrong.bytes[3] ^= 1;
        assert!(!wrong.is_sound(Medium::Ethernet));
        assert!(wrong.is_sound(Medium::Ip));
        let mut whole = good.bytes.clone();
        whole.extend(good.right_fcs().to_le_bytes());
        assert!(Frame::cut(whole.clone()).is_sound(Medium::Ethernet));
        whole.pop();
        assert!(!Frame::cut(whole).is_sound(Medium::Ethernet));
        let mut erred = good;
        erred.error_at = Some(0);
        assert!(!erred.is_sound(Medium::Ip));
    }
}
