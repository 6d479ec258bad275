//! The timeouts (RFC 9293 section 3.10.8), giving up (section 3.8.3) and keepalive (section 3.8.4).
use super::super::constant::*;
use super::super::script::*;
use super::*;
use crate::counters::Cause;

/// Ticks until something leaves, and that.
#[track_caller]
fn next_within(s: &mut Script, most: u32) -> (u32, Seg) {
    (0..most)
        .find_map(|n| s.ticks(1).next().map(|out| (n + 1, out)))
        .expect("nothing leaves")
}

#[test]
fn the_retransmission_timeout_sends_the_first_segment_of_the_queue() {
    each(super::established, |mut at| {
        at.s.write(&[1; 3000]);
        for n in 0..3 {
            at.s.expect(ACK, 1 + n * 1000, 1, 1000);
        }
        let (_, again) = next_within(&mut at.s, RTO_MOST);
        assert_eq!((again.seq, again.data.len()), (1, 1000));
        at.s.silence();
    });
}

#[test]
fn the_retransmission_timer_begins_anew_when_it_has_expired() {
    each(super::established, |mut at| {
        at.s.write(b"x");
        at.s.expect(ACK, 1, 1, 1);
        let (first, _) = next_within(&mut at.s, RTO_MOST);
        let (second, again) = next_within(&mut at.s, 2 * RTO_MOST);
        assert_eq!((again.seq, second), (1, 2 * first));
    });
}

#[test]
fn what_is_sent_again_has_the_newest_acknowledgement_and_window() {
    let mut at = super::established((US, PEER));
    at.s.write(b"x");
    at.s.expect(ACK, 1, 1, 1);
    at.s.inject(seg(ACK, 1, 1).data(b"abc")).silence_but_acks();
    let again = (0..RTO_MOST).find_map(|_| at.s.ticks(1).next().filter(|s| !s.data.is_empty()));
    let again = again.expect("the text again");
    assert_eq!((again.ack, again.wnd), (4, 8189));
}

#[test]
fn data_unanswered_end_the_connection_at_r2_and_no_sooner_than_100_seconds() {
    // MUST-20, SHLD-11
    let mut at = super::established((US, PEER));
    at.s.write(b"x");
    at.s.ticks(99_999).state("ESTABLISHED");
    at.s.ticks(100_000);
    let mut last = 0;
    while let Some(out) = at.s.next() {
        last = out.flags;
    }
    assert_eq!(last & RST, RST);
    at.gone().s.counted(Cause::GaveUp, 1);
}

#[test]
fn data_are_sent_at_least_three_times_before_r2() {
    // SHLD-10
    let mut at = super::established((US, PEER));
    at.s.write(b"x");
    for _ in 0..4 {
        at.s.state("ESTABLISHED");
        while at.s.next().is_none() {
            at.s.ticks(1);
        }
    }
    at.s.state("ESTABLISHED");
}

#[test]
fn a_syn_is_sent_for_three_minutes() {
    // MUST-23, also of an open that turns out to be a simultaneous one.
    let mut s = Script::connecting();
    s.ticks(180_000).state("SYN-SENT");
    let sent = std::iter::from_fn(|| s.next()).filter(|out| out.flags == SYN);
    assert_eq!(sent.count(), 7);
    s.ticks(20_000).state("CLOSED").counted(Cause::GaveUp, 1);
    let mut s = Script::connecting();
    s.inject(seg(SYN, 0, 0));
    s.ticks(180_000).state("SYN-RECEIVED");
}

#[test]
fn a_syn_ack_is_given_up_sooner() {
    // A slot is not held for it any longer: the peer's SYN comes again.
    let mut s = super::syn_received((US, PEER)).s;
    s.ticks(126_999).state("SYN-RECEIVED");
    s.ticks(1).state("CLOSED").counted(Cause::GaveUp, 1);
}

#[test]
fn a_syn_unanswered_ends_the_open() {
    // MUST-22: R1 and R2 hold for SYNs, too.
    let mut s = Script::connecting();
    s.ticks(400_000);
    while let Some(out) = s.next() {
        assert_eq!((out.flags, out.seq), (SYN, 0));
    }
    s.state("CLOSED").counted(Cause::GaveUp, 1).slots(0);
    assert!(!s.attached());
}

#[test]
fn a_fin_unanswered_ends_the_connection() {
    for fixture in [
        super::fin_wait_1 as Fixture,
        super::closing,
        super::last_ack,
    ] {
        let mut at = fixture((US, PEER));
        at.s.ticks(400_000);
        while at.s.next().is_some() {}
        at.gone().s.counted(Cause::GaveUp, 1);
    }
}

#[test]
fn an_answer_begins_the_count_to_r2_anew() {
    let mut at = super::established((US, PEER));
    at.s.write(&[1; 3000]);
    for n in 0..3u32 {
        at.s.ticks(60_000).state("ESTABLISHED");
        at.s.inject(seg(ACK, 1, 1001 + n * 1000));
    }
    while at.s.next().is_some() {}
    at.s.state("ESTABLISHED").counted(Cause::GaveUp, 0);
}

#[test]
fn the_time_wait_timeout_deletes_the_connection() {
    each(super::time_wait, |mut at| {
        at.s.ticks(TIME_WAIT).silence().waiting(0).slots(0);
    });
}

#[test]
fn an_idle_connection_is_left_alone_for_two_hours_and_more() {
    // MUST-25, MUST-26, MUST-28
    let mut at = super::established((US, PEER));
    at.s.ticks(7_200_000);
    at.still();
}

#[test]
fn a_keepalive_probe_has_no_text_and_the_number_before() {
    // SHLD-12: SEG.SEQ = SND.NXT - 1
    let mut at = super::fin_wait_2((US, PEER));
    let (_, probe) = next_within(&mut at.s, 2 * KEEPALIVE_INTERVAL + RTO_INITIAL);
    assert_eq!((probe.flags, probe.seq, probe.ack), (ACK, 1, 1));
    assert_eq!(probe.data.len(), 0);
}

#[test]
fn one_keepalive_probe_unanswered_is_not_the_end() {
    // MUST-29
    let mut at = super::fin_wait_2((US, PEER));
    for _ in 0..3 {
        next_within(&mut at.s, 2 * KEEPALIVE_INTERVAL + RTO_INITIAL);
        at.still();
    }
    at.s.inject(seg(ACK, 1, 2));
    at.still();
}

#[test]
fn a_keepalive_probe_of_the_peer_is_answered() {
    // Section 3.8.4: SEG.SEQ = SND.NXT - 1, with or without a garbage octet.
    for text in [&b""[..], b"?"] {
        each(super::established, |mut at| {
            at.s.inject(at.from(ACK, BELOW).data(text));
            at.acknowledged().still();
            assert_eq!(at.s.read(), b"");
        });
    }
}

#[test]
fn nothing_is_sent_again_after_the_end() {
    for fixture in [super::established as Fixture, super::close_wait] {
        let mut at = fixture((US, PEER));
        at.s.write(b"x");
        at.s.next().expect("text");
        at.s.inject(seg(RST, at.rcv, 0));
        at.gone().s.ticks(100_000).silence();
    }
}

#[test]
fn a_half_open_connection_s_timeout_needs_no_reset() {
    let mut at = super::syn_received((US, PEER));
    at.s.ticks(400_000);
    while let Some(out) = at.s.next() {
        assert_eq!(out.flags, SYN | ACK);
    }
    at.s.state("CLOSED").slots(0);
}
