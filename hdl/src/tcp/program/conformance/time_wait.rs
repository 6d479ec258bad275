//! TIME-WAIT (RFC 9293 section 3.10.7.4).
use super::super::script::*;
use super::*;
use crate::counters::Cause;

// ---- first to fifth check -----------------------------------------------------------------------

#[test]
fn the_number_of_a_segment_without_text_decides() {
    first_check_without_text(super::time_wait);
}

#[test]
fn the_number_of_a_segment_with_text_decides() {
    first_check_with_text(super::time_wait, false);
}

#[test]
fn a_reset_outside_the_window_is_dropped() {
    super::a_reset_outside_the_window_is_dropped(super::time_wait);
}

#[test]
pub(super) fn a_reset_inside_the_window_is_challenged() {
    super::a_reset_inside_the_window_is_challenged(super::time_wait);
}

#[test]
fn without_ack_all_is_dropped() {
    super::without_ack_all_is_dropped(super::time_wait);
}

#[test]
fn an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped() {
    super::an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped(super::time_wait);
}

#[test]
fn an_old_ack_is_ignored() {
    super::an_old_ack_is_ignored(super::time_wait);
}

// ---- text, FIN, calls ----------------------------------------------------------------------------

#[test]
fn text_is_ignored() {
    super::text_is_ignored(super::time_wait);
}

#[test]
fn the_fin_again_is_acknowledged() {
    super::the_fin_again_is_acknowledged(super::time_wait);
}

/// The 2 MSL of this engine.
const TIME_WAIT: u32 = super::super::constant::TIME_WAIT;

#[test]
#[ignore = "reason: RFC 1337 section 3 is followed: a reset does not cut TIME-WAIT short"]
fn a_reset_at_rcv_nxt_ends_it() {
    each(super::time_wait, |mut at| {
        at.s.inject(at.from(RST, 0));
        at.s.silence().waiting(0).slots(0);
    });
}

#[test]
fn a_reset_never_ends_it_before_its_time() {
    // RFC 1337 section 3, fix F1.
    for offset in [0, 1, BELOW, WND] {
        each(super::time_wait, |mut at| {
            at.s.inject(at.from(RST, offset));
            while at.s.next().is_some() {}
            at.s.waiting(1);
        });
    }
}

#[test]
fn while_unread_it_is_the_same_out_of_the_window() {
    each(super::time_wait_unread, |mut at| {
        at.s.inject(at.from(ACK, BELOW)).expect(ACK, 2, 8, 0);
        at.s.inject(at.from(RST, WND)).silence();
        at.s.inject(at.from(ACK, WND + 1).data(b"x"));
        at.acknowledged().still();
        assert_eq!(at.s.read(), b"unread");
    });
}

#[test]
fn while_unread_a_reset_takes_nothing_away() {
    for offset in [0, 1, BELOW, WND] {
        each(super::time_wait_unread, |mut at| {
            at.s.inject(at.from(RST, offset)).silence_but_acks();
            assert_eq!(at.still().s.read(), b"unread");
            at.s.silence().waiting(1);
        });
    }
}

#[test]
fn while_unread_a_syn_is_challenged() {
    for offset in [BELOW, 0, 1, WND, FAR] {
        each(super::time_wait_unread, |mut at| {
            let segment = at.from(SYN, offset);
            at.s.ticks(10).inject(segment);
            at.acknowledged().still();
        });
    }
}

#[test]
fn while_unread_text_and_fin_are_acknowledged_and_not_taken() {
    for (flags, offset, text) in [
        (ACK | FIN, BELOW, &b""[..]),
        (ACK | FIN, BELOW - 6, b"unread"),
        (ACK, 0, b"more"),
        (ACK | FIN, 0, b"more"),
    ] {
        each(super::time_wait_unread, |mut at| {
            at.s.inject(at.from(flags, offset).data(text));
            at.acknowledged().still();
            assert_eq!(at.s.read(), b"unread");
        });
    }
}

#[test]
fn while_unread_what_acknowledges_too_much_is_answered() {
    each(super::time_wait_unread, |mut at| {
        at.s.inject(seg(ACK, 8, 3));
        at.acknowledged().still();
    });
}

#[test]
fn a_syn_with_ack_is_challenged() {
    for offset in [FAR, BELOW, 0, 1, WND, FAR - 1] {
        each(super::time_wait, |mut at| {
            at.s.inject(at.from(SYN | ACK, offset));
            at.acknowledged().still();
        });
    }
}

#[test]
fn a_syn_below_what_the_peer_has_sent_is_challenged() {
    for offset in [BELOW, BELOW - 1, FAR, FAR + 1] {
        each(super::time_wait, |mut at| {
            at.s.ticks(10);
            at.s.inject(at.from(SYN, offset));
            at.acknowledged().still();
        });
    }
}

#[test]
fn a_syn_above_what_the_peer_has_sent_opens_anew_with_a_number_above_ours() {
    for offset in [0, 1, 100_000, FAR - 1] {
        each(super::time_wait, |mut at| {
            at.s.ticks(10);
            at.s.inject(at.from(SYN, offset).mss(1000));
            let answer = at.s.next().expect("a SYN-ACK");
            let ack = at.rcv.wrapping_add(offset).wrapping_add(1);
            assert_eq!((answer.flags, answer.ack), (SYN | ACK, ack));
            assert!((1..FAR).contains(&answer.seq.wrapping_sub(at.nxt - 1)));
            at.s.silence().state("SYN-RECEIVED");
            let ours = answer.seq.wrapping_add(1);
            at.s.inject(seg(ACK, ack, ours))
                .silence()
                .state("ESTABLISHED");
            assert_eq!(at.s.toe.blocks.table.waiting(), 0);
        });
    }
}

#[test]
#[ignore = "reason: TIME-WAIT is over with the SYN that opens anew; a reset of it leaves nothing (RFC 9293 section 3.6.1, MAY-2, second condition)"]
fn it_comes_back_if_the_syn_turns_out_to_be_an_old_duplicate() {
    let mut at = super::time_wait((US, PEER));
    at.s.ticks(10).inject(seg(SYN, 900, 0));
    assert_eq!(at.s.next().expect("a SYN-ACK").flags, SYN | ACK);
    at.s.inject(seg(RST, 901, 0));
    at.still();
}

/// What is done instead: TIME-WAIT has its end, nothing of either connection is left, and its peer, of whom nothing more is awaited, may begin anew.
#[test]
fn it_is_over_if_the_syn_turns_out_to_be_an_old_duplicate() {
    each(super::time_wait, |mut at| {
        at.s.ticks(10);
        at.s.inject(at.from(SYN, 900));
        assert_eq!(at.s.next().expect("a SYN-ACK").flags, SYN | ACK);
        at.s.inject(at.from(RST, 901));
        at.gone();
        at.s.inject(at.from(SYN, 2000));
        assert_eq!(at.s.next().expect("a SYN-ACK").flags, SYN | ACK);
    });
}

#[test]
fn a_syn_with_a_later_timestamp_opens_anew_whatever_its_number() {
    let mut s = Script::new();
    s.inject(seg(SYN, 0, 0).mss(1000).stamps(1000, 0));
    let ours = s.next().expect("a SYN-ACK").stamps.expect("stamps").0;
    s.inject(seg(ACK, 1, 1).stamps(1001, ours)).close();
    s.expect(FIN | ACK, 1, 1, 0);
    s.inject(seg(ACK | FIN, 1, 2).stamps(1002, ours));
    s.expect(ACK, 2, 2, 0);
    s.ticks(10).inject(seg(SYN, 1, 0).stamps(1003, 0));
    assert_eq!(s.next().expect("a SYN-ACK").flags, SYN | ACK);
}

#[test]
fn it_lasts_its_time_and_no_longer() {
    each(super::time_wait, |mut at| {
        // The ACK of the FIN may have waited.
        at.s.ticks(TIME_WAIT - ACK_DELAY - 1);
        at.still();
        at.s.ticks(ACK_DELAY + 1).silence().waiting(0).slots(0);
    });
}

#[test]
#[ignore = "reason: TIME-WAIT is 65.5 s, not twice an MSL of 2 minutes (RFC 9293 section 3.4.2, MUST-13)"]
fn it_lasts_twice_the_maximum_segment_lifetime() {
    let mut at = super::time_wait((US, PEER));
    at.s.ticks(240_000 - 1);
    at.still();
}

#[test]
fn the_fin_again_begins_it_anew() {
    each(super::time_wait, |mut at| {
        at.s.ticks(TIME_WAIT - 1000);
        at.s.inject(at.from(ACK | FIN, BELOW));
        at.acknowledged();
        at.s.ticks(TIME_WAIT - 1);
        at.still();
        at.s.ticks(1).silence().waiting(0);
    });
}

#[test]
fn no_other_segment_begins_it_anew() {
    for (flags, offset) in [(ACK, 0), (ACK, BELOW), (SYN | ACK, 0), (RST, BELOW), (0, 0)] {
        let mut at = super::time_wait((US, PEER));
        at.s.ticks(TIME_WAIT - 1000);
        at.s.inject(at.from(flags, offset));
        while at.s.next().is_some() {}
        at.s.ticks(1000).silence().waiting(0);
    }
}

#[test]
fn after_it_the_peer_is_a_stranger() {
    each(super::time_wait, |mut at| {
        at.s.ticks(TIME_WAIT).waiting(0);
        at.s.inject(at.from(ACK | FIN, BELOW));
        at.s.expect(RST, 2, 0, 0);
        at.s.silence();
    });
}

#[test]
fn text_that_comes_again_with_the_fin_is_acknowledged() {
    let mut at = super::fin_wait_2((US, PEER));
    at.s.inject(at.from(ACK | FIN, 0).data(b"bye")).acked(5);
    assert_eq!(at.s.read(), b"bye");
    at.s.waiting(1).inject(seg(ACK | FIN, 1, 2).data(b"bye"));
    at.s.expect(ACK, 2, 5, 0);
    at.s.silence().waiting(1);
}

#[test]
fn an_abort_while_the_application_has_it_ends_it_silently() {
    let mut at = super::fin_wait_2((US, PEER));
    at.s.inject(at.from(ACK | FIN, 0).data(b"unread")).acked(8);
    at.s.state("TIME-WAIT").abort();
    at.s.silence()
        .counted(Cause::ResetOut, 0)
        .waiting(0)
        .slots(0);
}

#[test]
fn another_close_sends_nothing() {
    let mut at = super::fin_wait_2((US, PEER));
    at.s.inject(at.from(ACK | FIN, 0).data(b"unread")).acked(8);
    at.s.close().silence().state("TIME-WAIT");
}
