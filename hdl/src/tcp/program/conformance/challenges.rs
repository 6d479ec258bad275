//! Challenge ACKs (RFC 5961 section 7): not too many, and never more out than in.
use super::super::constant::{CHALLENGE_BURST, CHALLENGE_INTERVAL};
use super::super::script::*;
use super::*;
use crate::counters::Cause;

/// The most in any second, as the RFC's example has it.
const PER_SECOND: u64 = 100;

/// How many segments leave.
fn leave(s: &mut Script) -> u64 {
    std::iter::from_fn(|| s.next()).count() as u64
}

/// What is challenged in a connection just established: SYN, RST in the window, an ACK too high, one too old.
fn challenged(at: &At) -> [Seg; 4] {
    let mut high = at.from(ACK, 0);
    high.ack = at.nxt + 1;
    let mut old = at.from(ACK, 0);
    old.ack = at.una.wrapping_sub(100_000);
    [at.from(SYN, 0), at.from(RST, 5), high, old]
}

#[test]
pub(super) fn they_are_limited_and_what_is_too_much_is_counted() {
    each(super::established, |at| {
        for segment in challenged(&at) {
            let mut s = Script::established();
            s.model_only("how many are challenged is drawn by the clock of first numbers");
            for _ in 0..1000 {
                s.inject(segment.clone());
            }
            let sent = leave(&mut s);
            let most = u64::from(CHALLENGE_BURST);
            assert!((most / 2 - 1..=most).contains(&sent), "{sent} sent");
            s.counted(Cause::ChallengeHeld, 1000 - sent)
                .state("ESTABLISHED")
                .slots(1);
        }
    });
}

/// Ten a tick for ten seconds, from the first and from behind the tick's wrap.
#[test]
pub(super) fn no_second_has_more_than_its_share_and_none_goes_without() {
    for skipped in [0, 0xFF_FFFF - 5000] {
        let at = super::established((US, PEER));
        let segments = challenged(&at);
        let mut s = at.s;
        s.model_only("how many are challenged is drawn by the clock of first numbers");
        for _ in 0..skipped {
            s.toe.tick();
        }
        s.settle();
        let mut sent = Vec::new();
        for n in 0..10_000 {
            for segment in &segments {
                s.inject(segment.clone());
            }
            sent.push(leave(&mut s));
            if n % 3 == 0 {
                s.inject(segments[0].clone());
                sent[n] += leave(&mut s);
            }
            s.ticks(1);
        }
        // As many fewer as the limit may be lower at a second's end than at its beginning.
        let least = u64::from(1000 / CHALLENGE_INTERVAL - CHALLENGE_BURST / 2);
        let seconds: Vec<u64> = sent.windows(1000).map(|w| w.iter().sum()).collect();
        // The tick's wrap forgets what was sent before it.
        let most = seconds.iter().max().expect("seconds");
        let allowed = if skipped == 0 { PER_SECOND } else { 150 };
        assert!(*most <= allowed, "{most} in a second");
        let fewest = seconds.iter().min().expect("seconds");
        assert!(*fewest >= least, "{fewest} in a second");
    }
}

#[test]
pub(super) fn the_limit_is_one_for_all_connections_and_passes() {
    let mut s = Script::established();
    s.model_only("how many are challenged is drawn by the clock of first numbers");
    s.inject(seg(SYN, 0, 0).with_source(1000));
    let ours = s.next().expect("SYN-ACK").seq;
    s.inject(seg(ACK, 1, ours.wrapping_add(1)).with_source(1000));
    for _ in 0..100 {
        s.inject(seg(SYN, 1, 0));
    }
    let first = leave(&mut s);
    // Each time that the limit is drawn anew there may be room for some more, up to the most of all.
    for _ in 0..100 {
        s.inject(seg(SYN, 1, 0).with_source(1000));
    }
    assert!(first + leave(&mut s) <= u64::from(CHALLENGE_BURST));
    s.ticks(CHALLENGE_BURST * CHALLENGE_INTERVAL);
    s.inject(seg(SYN, 1, 0).with_source(1000));
    assert_eq!(leave(&mut s), 1);
}

/// A peer whose ACKs are lost, or who probes, must be answered however many do.
#[test]
pub(super) fn what_is_merely_old_is_always_answered() {
    let mut s = Script::established();
    s.inject(seg(ACK, 1, 1).data(b"text")).acked(5);
    for _ in 0..1000 {
        s.inject(seg(ACK, 1, 1).data(b"text"));
        s.inject(seg(ACK, 4, 1));
    }
    assert_eq!(leave(&mut s), 2000);
    s.counted(Cause::ChallengeHeld, 0);
}

/// Thousands of segments with random fields, in and about a connection that has nothing to send: for each at most one leaves, without text and no longer.
#[test]
pub(super) fn nothing_draws_more_than_it_is() {
    for (seed, fixture) in [
        (1, super::established as Fixture),
        (2, super::syn_received),
        (3, super::fin_wait_1),
        (4, super::close_wait),
        (5, super::last_ack),
        (6, super::time_wait),
    ] {
        let mut at = fixture((US, PEER));
        at.s.model_only("how many are challenged is drawn by the clock of first numbers");
        let mut state = 0x9E37_79B9_7F4A_7C15u64.wrapping_mul(seed);
        let mut below = |n: u32| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 16) as u32 % n
        };
        let mut answered = 0;
        for n in 0..5000 {
            let near = |x: u32, r: u32| x.wrapping_add(r).wrapping_sub(8);
            let seq = if below(3) == 0 {
                below(u32::MAX)
            } else {
                near(at.rcv, below(16))
            };
            let ack = if below(3) == 0 {
                below(u32::MAX)
            } else {
                near(at.nxt, below(16))
            };
            let length = below(4) as usize * below(4) as usize;
            // RST seldom, or little would be left.
            let flags = below(256) as u8 & if below(20) == 0 { 0x37 } else { 0x33 };
            let segment = seg(flags, seq, ack)
                .wnd(below(65_536) as u16)
                .data(&vec![7; length])
                .with_source([PEER_PORT, 1000 + below(20) as u16][usize::from(below(8) == 0)])
                .with_target([HOST_PORT, 81][usize::from(below(16) == 0)]);
            let accepted = at.s.toe.counter(Cause::Accepted);
            at.s.inject(segment.clone());
            let first = at.s.next();
            assert_eq!(at.s.next(), None, "{n}: a second answer to {segment:?}");
            if let Some(answer) = first {
                answered += 1;
                assert_eq!(answer.data, b"", "{n}: {answer:?} to {segment:?}");
                let opens = answer.flags & SYN != 0;
                let unchanged = at.s.toe.counter(Cause::Accepted) == accepted;
                assert!(!(opens && unchanged), "{n}: {answer:?} to {segment:?}");
            }
        }
        assert!(answered > 500, "{answered} answers");
        for cause in [Cause::Unacceptable, Cause::Stray] {
            assert!(at.s.toe.counter(cause) > 50, "{}", cause.name());
        }
    }
}
