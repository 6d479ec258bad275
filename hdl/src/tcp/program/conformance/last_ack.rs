//! LAST-ACK (RFC 9293 section 3.10.7.4).
use super::super::script::*;
use super::*;
use crate::counters::Cause;

// ---- first to fifth check -----------------------------------------------------------------------

#[test]
fn the_number_of_a_segment_without_text_decides() {
    first_check_without_text(super::last_ack);
}

#[test]
fn the_number_of_a_segment_with_text_decides() {
    first_check_with_text(super::last_ack, false);
}

#[test]
fn a_reset_outside_the_window_is_dropped() {
    super::a_reset_outside_the_window_is_dropped(super::last_ack);
}

#[test]
fn a_reset_inside_the_window_is_challenged() {
    super::a_reset_inside_the_window_is_challenged(super::last_ack);
}

#[test]
fn a_reset_at_rcv_nxt_ends_it() {
    super::a_reset_at_rcv_nxt_ends_it(super::last_ack);
}

#[test]
fn a_syn_is_challenged() {
    super::a_syn_is_challenged(super::last_ack);
}

#[test]
fn without_ack_all_is_dropped() {
    super::without_ack_all_is_dropped(super::last_ack);
}

#[test]
fn an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped() {
    super::an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped(super::last_ack);
}

#[test]
fn an_old_ack_is_ignored() {
    super::an_old_ack_is_ignored(super::last_ack);
}

// ---- text, FIN, calls ----------------------------------------------------------------------------

#[test]
fn text_is_ignored() {
    super::text_is_ignored(super::last_ack);
}

#[test]
fn the_fin_again_is_acknowledged() {
    super::the_fin_again_is_acknowledged(super::last_ack);
}

#[test]
fn another_fin_changes_nothing() {
    super::another_fin_changes_nothing(super::last_ack);
}

#[test]
fn our_fin_is_sent_again() {
    super::our_fin_is_sent_again(super::last_ack);
}

#[test]
fn another_close_sends_no_second_fin() {
    super::another_close_sends_no_second_fin(super::last_ack);
}

#[test]
fn abort_ends_it_silently() {
    super::abort_ends_it_silently(super::last_ack);
}

#[test]
fn the_ack_of_our_fin_ends_it() {
    each(super::last_ack, |mut at| {
        at.s.inject(seg(ACK, 2, 2));
        at.gone().s.counted(Cause::Closed, 1);
    });
}

/// Behind four that wait it finds no record, as it may where several peers close at once: that is counted, and our FIN that goes again asks for another.
#[test]
fn an_ack_of_our_fin_that_finds_no_record_is_asked_for_again() {
    each(super::last_ack, |mut at| {
        at.s.model_only("the machine's queue empties as they come");
        for _ in 0..4 {
            at.s.arrive(seg(0, 2, 0));
        }
        at.s.inject(seg(ACK, 2, 2));
        at.s.counted(Cause::RecordQueueFull, 1)
            .silence()
            .state("LAST-ACK");
        let rto = at.s.word(super::super::words::RTO);
        at.s.ticks(rto - 1).silence().ticks(1);
        at.s.expect(FIN | ACK, 1, 2, 0);
        at.s.inject(seg(ACK, 2, 2));
        at.gone().s.counted(Cause::Closed, 1);
    });
}

#[test]
fn an_ack_of_less_does_not() {
    each(super::close_wait, |mut at| {
        at.s.write(b"text").close();
        at.s.expect(ACK, 1, 2, 4);
        at.s.expect(FIN | ACK, 5, 2, 0);
        at.s.inject(seg(ACK, 2, 5)).silence().state("LAST-ACK");
        at.s.inject(seg(ACK, 2, 6));
        at.gone();
    });
}

#[test]
fn after_it_the_peer_s_fin_again_is_a_stranger_s() {
    each(super::last_ack, |mut at| {
        at.s.inject(seg(ACK, 2, 2));
        at.gone();
        at.s.inject(seg(ACK | FIN, 1, 2));
        at.s.expect(RST, 2, 0, 0);
        at.s.silence();
    });
}

#[test]
fn after_it_a_syn_opens_anew() {
    each(super::last_ack, |mut at| {
        at.s.inject(seg(ACK, 2, 2));
        at.gone();
        at.s.inject(seg(SYN, 700, 0));
        let answer = at.s.next().expect("an answer");
        assert_eq!((answer.flags, answer.ack), (SYN | ACK, 701));
    });
}
