//! The pacer's hook: what stands between the engine and whoever decides when a connection's text may leave.
//!
//! **What a pacer sees.** `conn` is the connection whose event the engine is at. While `hold` is high for it, its new text is not begun: the send ring says that there is none it could send, and cuts no tail. ACKs, FINs behind
//! sent text, retransmissions of what was lost and probes go as ever; what goes again after a timeout waits as new text does. `hold` may come up to [`HOLD_CYCLES`] cycles later than `conn`, and may change at any time: it is asked for once a segment. `sent` is high for one
//! cycle with each segment that has text, the first time or again, `sent_length` its bytes and `sent_conn` whose they are. A connection that was held is asked again only if something happens to it: so a pacer that lets it go says
//! so by `wake` with `wake_conn`, held until `wake_ready`. It may do that for any connection at any time: one without anything to send takes it for a burst of nothing.
//!
//! **Contract**: a pacer that holds for ever stops that connection's text, and nothing else. **Latency**: `hold` goes past here, into a register of the send ring; `sent` a cycle behind the command; a wake is posted in the cycle after one in which neither the ring has a post nor
//! another wake is under way, and takes what a post takes. **Throughput**: a wake every 2 cycles and what the post takes; none is lost. **Abort**: `reset` ends a wake under way.
//!
//! Without [`crate::config::ToeConfig::pacing`] nothing of it is there, here or in the ring: `hold` is not looked at, nothing is told, and `wake_ready` is low.
use super::events::PostOut;
use rust_hdl::prelude::*;

/// How much later than the connection's number its hold may come.
pub const HOLD_CYCLES: usize = 4;

/// What was sent.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
struct Sent {
    valid: Bit,
    conn: Bits<10>,
    length: Bits<11>,
    // the post on its way is a wake
    waking: Bit,
}

/// See the module.
#[derive(LogicBlock)]
pub struct Pacing {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,

    /// A segment is handed over, with so many bytes of text.
    pub send: Signal<In, Bit>,
    pub send_conn: Signal<In, Bits<10>>,
    pub send_length: Signal<In, Bits<11>>,

    // The send ring's posts.
    pub ring_valid: Signal<In, Bit>,
    pub ring_conn: Signal<In, Bits<10>>,
    pub ring_bit: Signal<In, Bits<3>>,
    pub ring_ready: Signal<Out, Bit>,
    /// Theirs and the wakes.
    pub post: PostOut,

    // The pacer.
    pub wake: Signal<In, Bit>,
    pub wake_conn: Signal<In, Bits<10>>,
    pub wake_ready: Signal<Out, Bit>,
    pub sent: Signal<Out, Bit>,
    pub sent_conn: Signal<Out, Bits<10>>,
    pub sent_length: Signal<Out, Bits<11>>,

    r: DFF<Sent>,
    built: Constant<Bit>,
    written: Constant<Bits<3>>,
}

impl Pacing {
    /// Built, or none of it.
    pub fn new(built: bool) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            send: Default::default(),
            send_conn: Default::default(),
            send_length: Default::default(),
            ring_valid: Default::default(),
            ring_conn: Default::default(),
            ring_bit: Default::default(),
            ring_ready: Default::default(),
            post: Default::default(),
            wake: Default::default(),
            wake_conn: Default::default(),
            wake_ready: Default::default(),
            sent: Default::default(),
            sent_conn: Default::default(),
            sent_length: Default::default(),
            r: Default::default(),
            built: Constant::new(built),
            written: Constant::new(u64::from(super::isa::pending::WRITTEN).into()),
        }
    }
}

impl Logic for Pacing {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, r);
        // ---- What is sent ----
        self.r.d.next.valid =
            self.built.val() & self.send.val() & (self.send_length.val() != bits::<11>(0));
        self.r.d.next.conn = self.send_conn.val();
        self.r.d.next.length = self.send_length.val();
        self.sent.next = self.r.q.val().valid;
        self.sent_conn.next = self.r.q.val().conn;
        self.sent_length.next = self.r.q.val().length;
        // ---- Posts: one that has begun stays ----
        self.post.valid.next = self.ring_valid.val();
        self.post.conn.next = self.ring_conn.val();
        self.post.bit.next = self.ring_bit.val();
        self.ring_ready.next = self.post.ready.val();
        self.wake_ready.next = false;
        if self.r.q.val().waking {
            self.post.valid.next = true;
            self.post.conn.next = self.wake_conn.val();
            self.post.bit.next = self.written.val();
            self.ring_ready.next = false;
            self.wake_ready.next = self.post.ready.val();
            if self.post.ready.val() {
                self.r.d.next.waking = false;
            }
        } else if self.built.val() & self.wake.val() & !self.ring_valid.val() {
            self.r.d.next.waking = true;
        }
        if self.reset.val() {
            self.r.d.next.waking = false;
            self.r.d.next.valid = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    fn settle(uut: &mut Pacing) {
        for _ in 0..20 {
            uut.update_all();
            if !uut.has_changed() {
                return;
            }
        }
        panic!("does not settle");
    }

    fn cycle(uut: &mut Pacing) {
        for level in [true, false] {
            uut.clock.next = Clock::from(level);
            settle(uut);
        }
    }

    fn built() -> Pacing {
        let mut uut = Pacing::new(true);
        uut.connect_all();
        uut
    }

    /// Every post of the ring and every wake arrives once, each in its own order, none changes once it is offered, and none waits for more than one of the other kind.
    #[test]
    fn posts_and_wakes_arrive_once_each() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let mut uut = built();
        let (mut posts, mut wakes, mut behind, mut both) = (0, 0, 0, 0);
        let mut offered = None;
        for round in 0..50_000 {
            let busy = if round / 1_000 % 2 == 0 { 0.5 } else { 0.02 };
            if !uut.ring_valid.val() && rng.random_bool(busy) {
                uut.ring_valid.next = true;
                uut.ring_conn.next = rng.random_range(0..16_u64).to_bits();
                uut.ring_bit.next = 1_u64.to_bits();
            }
            if !uut.wake.val() && rng.random_bool(busy) {
                uut.wake.next = true;
                uut.wake_conn.next = rng.random_range(16..32_u64).to_bits();
                behind = 0;
            }
            uut.post.ready.next = false;
            settle(&mut uut);
            uut.post.ready.next = uut.post.valid.val() && rng.random_bool(0.3);
            settle(&mut uut);
            both += u32::from(uut.ring_valid.val() && uut.wake.val());
            let says = uut
                .post
                .valid
                .val()
                .then(|| (uut.post.conn.val(), uut.post.bit.val()));
            if offered.is_some() {
                assert_eq!(says, offered, "an offer has changed");
            }
            offered = says.filter(|_| !uut.post.ready.val());
            let (ring, wake) = (uut.ring_ready.val(), uut.wake_ready.val());
            assert_eq!(ring || wake, uut.post.ready.val());
            assert!(!(ring && wake));
            if ring {
                assert_eq!(says, Some((uut.ring_conn.val(), uut.ring_bit.val())));
                posts += 1;
                behind += u32::from(uut.wake.val());
                assert!(behind <= 1, "a wake waits for two of the ring's");
            }
            if wake {
                assert_eq!(says, Some((uut.wake_conn.val(), 1_u64.to_bits())));
                wakes += 1;
            }
            cycle(&mut uut);
            if ring {
                uut.ring_valid.next = false;
            }
            if wake {
                uut.wake.next = false;
            }
        }
        assert!(
            posts > 1_000 && wakes > 1_000 && both > 1_000,
            "{posts} {wakes} {both}"
        );
    }

    /// `sent` one cycle behind the command, for text alone; a wake posted in the cycle after.
    #[test]
    fn latency_is_as_documented() {
        let mut uut = built();
        uut.send.next = true;
        uut.send_conn.next = 7_u64.to_bits();
        uut.send_length.next = 1460_u64.to_bits();
        settle(&mut uut);
        assert!(!uut.sent.val());
        cycle(&mut uut);
        assert!(uut.sent.val());
        assert_eq!(uut.sent_conn.val().to_u64(), 7);
        assert_eq!(uut.sent_length.val().to_u64(), 1460);
        uut.send_length.next = 0_u64.to_bits();
        cycle(&mut uut);
        assert!(!uut.sent.val(), "an ACK is no text");
        uut.send.next = false;
        uut.wake.next = true;
        uut.wake_conn.next = 3_u64.to_bits();
        settle(&mut uut);
        assert!(!uut.post.valid.val());
        cycle(&mut uut);
        assert!(uut.post.valid.val() && !uut.wake_ready.val());
        assert_eq!(uut.post.conn.val().to_u64(), 3);
        // A reset ends it; what is still asked for begins anew.
        uut.reset.next = true;
        cycle(&mut uut);
        assert!(!uut.post.valid.val());
        uut.reset.next = false;
        cycle(&mut uut);
        assert!(uut.post.valid.val());
    }

    #[test]
    fn left_out_it_tells_nothing_and_wakes_nobody() {
        let mut uut = Pacing::new(false);
        uut.connect_all();
        uut.wake.next = true;
        uut.send.next = true;
        uut.send_length.next = 5_u64.to_bits();
        uut.post.ready.next = true;
        for _ in 0..5 {
            cycle(&mut uut);
            assert!(!uut.sent.val());
            assert!(!uut.post.valid.val() && !uut.wake_ready.val());
            assert!(uut.ring_ready.val());
        }
    }

    #[test]
    fn equals_its_verilog() {
        for on in [true, false] {
            let name = if on { "pacing" } else { "pacing_off" };
            let report = toe_sim::lockstep!(name, Pacing::new(on), 20_000, |uut, _cycle, rng| {
                uut.reset.next = rng.random_bool(0.001);
                uut.send.next = rng.random_bool(0.2);
                uut.send_conn.next = rng.random_range(0..1024_u64).to_bits();
                uut.send_length.next = rng.random_range(0..3_u64).to_bits();
                if !uut.ring_valid.val() || uut.ring_ready.val() {
                    uut.ring_valid.next = rng.random_bool(0.3);
                    uut.ring_conn.next = rng.random_range(0..1024_u64).to_bits();
                    uut.ring_bit.next = rng.random_range(0..8_u64).to_bits();
                }
                if !uut.wake.val() || uut.wake_ready.val() {
                    uut.wake.next = rng.random_bool(0.3);
                    uut.wake_conn.next = rng.random_range(0..1024_u64).to_bits();
                }
                uut.post.ready.next = rng.random_bool(0.3);
            });
            if on {
                report.assert_active();
            }
        }
    }
}
