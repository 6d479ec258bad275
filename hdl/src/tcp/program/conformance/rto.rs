//! RFC 6298, paragraph by paragraph.
use super::super::constant::*;
use super::super::script::*;
use super::super::words::*;
use super::*;
use crate::counters::Cause;

/// Sends a byte and has it acknowledged after `r` ticks.
fn round_trip(s: &mut Script, r: u32) {
    let at = s.ours(SND_MAX);
    s.write(b"x");
    s.expect(ACK, at, 1, 1);
    s.ticks(r);
    s.inject(seg(ACK, 1, at + 1)).silence();
}

/// A connection without a measurement: its SYN-ACK was lost once.
fn unmeasured() -> At {
    let mut at = super::syn_received((US, PEER));
    at.s.ticks(RTO_INITIAL);
    at.s.expect(SYN | ACK, 0, 1, 0);
    at.s.inject(seg(ACK, 1, 1));
    at.name = "ESTABLISHED";
    at.una = 1;
    at.still();
    at
}

#[test]
fn before_a_measurement_the_rto_is_a_second() {
    // (2.1)
    for mut s in [Script::connecting(), super::syn_received((US, PEER)).s] {
        assert_eq!(s.word(RTO), 1000);
        s.ticks(999).silence().ticks(1);
        assert_eq!(s.next().expect("again").flags & SYN, SYN);
    }
}

#[test]
fn the_first_measurement_sets_srtt_and_half_of_it_rttvar() {
    // (2.2), of the handshake: SRTT = R, RTTVAR = R/2, RTO = R + 4 R/2
    for r in [100, 400, 999] {
        let mut at = super::syn_received((US, PEER));
        at.s.ticks(r);
        at.s.inject(seg(ACK, 1, 1));
        assert_eq!((at.s.word(SRTT), at.s.word(RTTVAR)), (8 * r, 2 * r));
        assert_eq!(at.s.word(RTO), 3 * r);
    }
}

#[test]
fn the_first_measurement_of_an_active_open_is_its_syn() {
    let mut s = Script::connecting();
    s.ticks(300);
    s.inject(seg(SYN | ACK, 0, 1));
    s.expect(ACK, 1, 1, 0);
    assert_eq!(
        (s.word(SRTT), s.word(RTTVAR), s.word(RTO)),
        (2400, 600, 900)
    );
}

#[test]
fn rttvar_is_renewed_before_srtt() {
    // (2.3): RTTVAR <- 3/4 RTTVAR + 1/4 |SRTT - R'| with the SRTT before
    let mut at = super::syn_received((US, PEER));
    at.s.ticks(400);
    at.s.inject(seg(ACK, 1, 1));
    round_trip(&mut at.s, 800);
    // RTTVAR = 3/4 200 + 1/4 400 = 250, SRTT = 7/8 400 + 1/8 800 = 450
    assert_eq!((at.s.word(SRTT), at.s.word(RTTVAR)), (8 * 450, 4 * 250));
    assert_eq!(at.s.word(RTO), 1450);
}

#[test]
fn a_shorter_round_trip_counts_by_its_distance() {
    let mut at = super::syn_received((US, PEER));
    at.s.ticks(800);
    at.s.inject(seg(ACK, 1, 1));
    round_trip(&mut at.s, 400);
    // RTTVAR = 3/4 400 + 1/4 400 = 400, SRTT = 7/8 800 + 1/8 400 = 750
    assert_eq!((at.s.word(SRTT), at.s.word(RTTVAR)), (8 * 750, 4 * 400));
}

#[test]
#[ignore = "reason: the least RTO is 200 ms, as Linux has it (RFC 6298 section 2, 2.4)"]
fn the_rto_is_never_below_a_second() {
    let mut at = super::established((US, PEER));
    for _ in 0..5 {
        round_trip(&mut at.s, 1);
    }
    assert_eq!(at.s.word(RTO), 1000);
}

#[test]
fn the_rto_is_never_below_the_least() {
    let mut at = super::established((US, PEER));
    for _ in 0..5 {
        round_trip(&mut at.s, 1);
        assert_eq!(at.s.word(RTO), RTO_MIN);
    }
}

#[test]
fn backing_off_ends_at_a_minute_or_more() {
    // (2.5)
    let mut at = super::established((US, PEER));
    at.s.write(b"x");
    let mut most = 0;
    for _ in 0..150_000 {
        at.s.ticks(1);
        if at.s.word(TRIES) > 0 {
            most = most.max(at.s.word(RTO));
        }
    }
    assert!(most <= RTO_MAX && RTO_MAX >= 60_000, "{most}");
}

#[test]
fn what_was_sent_again_gives_no_measurement() {
    // Section 3, Karn's algorithm
    let mut at = super::established((US, PEER));
    round_trip(&mut at.s, 150);
    let before = (at.s.word(SRTT), at.s.word(RTTVAR));
    at.s.write(b"y");
    at.s.expect(ACK, 2, 1, 1);
    let rto = at.s.word(RTO);
    at.s.ticks(rto);
    at.s.expect(ACK, 2, 1, 1);
    at.s.ticks(7);
    at.s.inject(seg(ACK, 1, 3)).silence();
    assert_eq!((at.s.word(SRTT), at.s.word(RTTVAR)), before);
}

#[test]
fn a_measurement_is_taken_at_least_once_a_round_trip() {
    // Section 3
    let mut at = super::established((US, PEER));
    for r in [50, 60, 70, 80] {
        let before = (at.s.word(SRTT), at.s.word(RTTVAR));
        round_trip(&mut at.s, r);
        assert_ne!((at.s.word(SRTT), at.s.word(RTTVAR)), before, "{r}");
    }
}

#[test]
fn the_timer_runs_from_the_first_segment_sent() {
    // (5.1): a segment sent while it runs does not set it anew
    let mut at = super::established((US, PEER));
    at.s.write(&[1; 1000]);
    at.s.expect(ACK, 1, 1, 1000);
    at.s.ticks(RTO_MIN - 50);
    at.s.write(&[2; 1000]);
    at.s.expect(ACK, 1001, 1, 1000);
    at.s.ticks(49).silence().ticks(1);
    at.s.expect(ACK, 1, 1, 1000);
}

#[test]
fn the_timer_is_off_when_all_is_acknowledged() {
    // (5.2)
    let mut at = super::established((US, PEER));
    round_trip(&mut at.s, 10);
    at.s.ticks(10_000).silence().counted(Cause::RtoExpired, 0);
}

#[test]
fn an_ack_of_something_new_begins_the_timer_anew() {
    // (5.3)
    let mut at = super::established((US, PEER));
    at.s.write(&[1; 3000]);
    for n in 0..3 {
        at.s.expect(ACK, 1 + n * 1000, 1, 1000);
    }
    at.s.ticks(100).inject(seg(ACK, 1, 1001)).silence();
    let rto = at.s.word(RTO);
    at.s.ticks(rto - 1).silence().ticks(1);
    at.s.expect(ACK, 1001, 1, 1000);
}

#[test]
fn an_ack_of_nothing_new_does_not() {
    let mut at = super::established((US, PEER));
    at.s.write(&[1; 3000]);
    for n in 0..3 {
        at.s.expect(ACK, 1 + n * 1000, 1, 1000);
    }
    at.s.ticks(100).inject(seg(ACK, 1, 1)).silence();
    at.s.ticks(RTO_MIN - 101).silence().ticks(1);
    at.s.expect(ACK, 1, 1, 1000);
}

#[test]
fn the_earliest_segment_is_sent_again() {
    // (5.4)
    let mut at = super::established((US, PEER));
    at.s.write(&[1; 2000]);
    at.s.expect(ACK, 1, 1, 1000);
    at.s.expect(ACK, 1001, 1, 1000);
    at.s.ticks(RTO_MIN);
    at.s.expect(ACK, 1, 1, 1000);
    at.s.silence();
}

#[test]
fn each_expiry_doubles_the_rto() {
    // (5.5), (5.6)
    let mut at = super::established((US, PEER));
    at.s.write(b"x");
    at.s.expect(ACK, 1, 1, 1);
    for n in 0..6 {
        at.s.ticks((RTO_MIN << n) - 1).silence().ticks(1);
        at.s.expect(ACK, 1, 1, 1);
        assert_eq!(at.s.word(RTO), RTO_MIN << (n + 1));
    }
}

#[test]
fn a_measurement_ends_the_back_off() {
    // Section 5, end
    let mut at = super::established((US, PEER));
    at.s.write(b"x");
    at.s.expect(ACK, 1, 1, 1);
    at.s.ticks(RTO_MIN);
    at.s.expect(ACK, 1, 1, 1);
    at.s.inject(seg(ACK, 1, 2)).silence();
    assert_eq!(at.s.word(RTO), 2 * RTO_MIN);
    round_trip(&mut at.s, 10);
    assert_eq!(at.s.word(RTO), RTO_MIN);
}

#[test]
fn after_a_lost_syn_it_begins_with_three_seconds() {
    // (5.7)
    let mut at = unmeasured();
    assert_eq!(at.s.word(RTO), 3000);
    at.s.write(b"x");
    at.s.expect(ACK, 1, 1, 1);
    at.s.ticks(2999).silence().ticks(1);
    at.s.expect(ACK, 1, 1, 1);
}

#[test]
fn the_first_measurement_after_a_lost_syn_is_of_data() {
    let mut at = unmeasured();
    round_trip(&mut at.s, 200);
    assert_eq!((at.s.word(SRTT), at.s.word(RTTVAR)), (1600, 400));
    assert_eq!(at.s.word(RTO), 600);
}

#[test]
fn the_retransmission_timer_s_tick_is_a_millisecond() {
    // Section 4: a finer clock than 100 ms is better
    let mut at = super::syn_received((US, PEER));
    at.s.ticks(101);
    at.s.inject(seg(ACK, 1, 1));
    assert_eq!(at.s.word(SRTT), 808);
}
