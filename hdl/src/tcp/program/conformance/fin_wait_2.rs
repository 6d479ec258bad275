//! FIN-WAIT-2 (RFC 9293 section 3.10.7.4).
use super::super::script::*;
use super::*;
use crate::counters::Cause;

// ---- first to fifth check -----------------------------------------------------------------------

#[test]
fn the_number_of_a_segment_without_text_decides() {
    first_check_without_text(super::fin_wait_2);
}

#[test]
fn the_number_of_a_segment_with_text_decides() {
    first_check_with_text(super::fin_wait_2, true);
}

#[test]
fn a_reset_outside_the_window_is_dropped() {
    super::a_reset_outside_the_window_is_dropped(super::fin_wait_2);
}

#[test]
fn a_reset_inside_the_window_is_challenged() {
    super::a_reset_inside_the_window_is_challenged(super::fin_wait_2);
}

#[test]
fn a_reset_at_rcv_nxt_ends_it() {
    super::a_reset_at_rcv_nxt_ends_it(super::fin_wait_2);
}

#[test]
fn a_syn_is_challenged() {
    super::a_syn_is_challenged(super::fin_wait_2);
}

#[test]
fn without_ack_all_is_dropped() {
    super::without_ack_all_is_dropped(super::fin_wait_2);
}

#[test]
fn an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped() {
    super::an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped(super::fin_wait_2);
}

#[test]
fn an_old_ack_is_ignored() {
    super::an_old_ack_is_ignored(super::fin_wait_2);
}

// ---- text, FIN, calls ----------------------------------------------------------------------------

#[test]
fn text_is_delivered_and_acknowledged() {
    super::text_is_delivered_and_acknowledged(super::fin_wait_2);
}

#[test]
fn text_ahead_is_held() {
    super::text_ahead_is_held(super::fin_wait_2);
}

#[test]
fn another_close_sends_no_second_fin() {
    super::another_close_sends_no_second_fin(super::fin_wait_2);
}

#[test]
fn abort_sends_a_reset() {
    super::abort_sends_a_reset(super::fin_wait_2);
}

#[test]
fn a_fin_leads_to_time_wait() {
    each(super::fin_wait_2, |mut at| {
        at.s.inject(at.from(ACK | FIN, 0)).acked(2);
        at.s.silence().waiting(1).slots(0);
    });
}

#[test]
fn a_fin_behind_text_leads_to_time_wait_and_its_text_can_be_read() {
    each(super::fin_wait_2, |mut at| {
        at.s.inject(at.from(ACK | FIN, 0).data(b"bye")).acked(5);
        assert_eq!(at.s.state("TIME-WAIT").read(), b"bye");
        at.s.silence().waiting(1);
    });
}

#[test]
fn a_fin_ahead_of_a_gap_waits_for_it() {
    each(super::fin_wait_2, |mut at| {
        at.s.inject(at.from(ACK | FIN, 3));
        at.acknowledged().still();
        at.s.inject(at.from(ACK, 0).data(b"bye")).acked(5);
        at.s.state("TIME-WAIT");
    });
}

#[test]
fn the_retransmission_timer_is_off() {
    each(super::fin_wait_2, |mut at| {
        at.s.ticks(3000);
        at.still().s.counted(Cause::RtoExpired, 0);
    });
}

#[test]
fn what_came_may_be_read_and_opens_the_window() {
    let mut at = super::fin_wait_2((US, PEER));
    for n in 0..8 {
        at.s.inject(seg(ACK, 1 + n * 1024, 2).data(&[7; 1024]));
    }
    assert_eq!(at.s.acked(8193).wnd, 0);
    assert_eq!(at.s.read().len(), 8192);
    assert_eq!(at.s.expect(ACK, 2, 8193, 0).wnd, 8192);
    at.still();
}
