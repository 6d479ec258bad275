//! CLOSING (RFC 9293 section 3.10.7.4).
use super::super::script::*;
use super::*;

// ---- first to fifth check -----------------------------------------------------------------------

#[test]
fn the_number_of_a_segment_without_text_decides() {
    first_check_without_text(super::closing);
}

#[test]
fn the_number_of_a_segment_with_text_decides() {
    first_check_with_text(super::closing, false);
}

#[test]
fn a_reset_outside_the_window_is_dropped() {
    super::a_reset_outside_the_window_is_dropped(super::closing);
}

#[test]
fn a_reset_inside_the_window_is_challenged() {
    super::a_reset_inside_the_window_is_challenged(super::closing);
}

#[test]
fn a_reset_at_rcv_nxt_ends_it() {
    super::a_reset_at_rcv_nxt_ends_it(super::closing);
}

#[test]
fn a_syn_is_challenged() {
    super::a_syn_is_challenged(super::closing);
}

#[test]
fn without_ack_all_is_dropped() {
    super::without_ack_all_is_dropped(super::closing);
}

#[test]
fn an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped() {
    super::an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped(super::closing);
}

#[test]
fn an_old_ack_is_ignored() {
    super::an_old_ack_is_ignored(super::closing);
}

// ---- text, FIN, calls ----------------------------------------------------------------------------

#[test]
fn text_is_ignored() {
    super::text_is_ignored(super::closing);
}

#[test]
fn the_fin_again_is_acknowledged() {
    super::the_fin_again_is_acknowledged(super::closing);
}

#[test]
fn another_fin_changes_nothing() {
    super::another_fin_changes_nothing(super::closing);
}

#[test]
fn our_fin_is_sent_again() {
    super::our_fin_is_sent_again(super::closing);
}

#[test]
fn another_close_sends_no_second_fin() {
    super::another_close_sends_no_second_fin(super::closing);
}

#[test]
fn abort_ends_it_silently() {
    super::abort_ends_it_silently(super::closing);
}

#[test]
fn the_ack_of_our_fin_leads_to_time_wait() {
    each(super::closing, |mut at| {
        at.s.inject(seg(ACK, 2, 2)).silence().waiting(1).slots(0);
    });
}

#[test]
fn an_ack_of_less_is_ignored() {
    each(super::established, |mut at| {
        at.s.write(b"text").close();
        at.s.expect(ACK, 1, 1, 4);
        at.s.expect(FIN | ACK, 5, 1, 0);
        at.s.inject(seg(ACK | FIN, 1, 1)).acked(2);
        at.s.state("CLOSING");
        at.s.inject(seg(ACK, 2, 5)).silence().state("CLOSING");
        at.s.inject(seg(ACK, 2, 6)).silence().waiting(1);
    });
}

#[test]
fn the_fin_again_with_the_ack_of_ours_leads_to_time_wait() {
    each(super::closing, |mut at| {
        // Its number is old, so by the first check it is answered and dropped; the ACK alone does it.
        at.s.inject(seg(ACK | FIN, 1, 2));
        at.acknowledged();
        at.s.inject(seg(ACK, 2, 2)).silence().waiting(1);
    });
}

#[test]
fn what_is_unread_can_be_read_before_time_wait_moves() {
    each(super::established, |mut at| {
        at.s.close();
        at.s.expect(FIN | ACK, 1, 1, 0);
        at.s.inject(seg(ACK | FIN, 1, 1).data(b"bye")).acked(5);
        at.s.state("CLOSING");
        at.s.inject(seg(ACK, 5, 2)).silence().state("TIME-WAIT");
        assert_eq!(at.s.read(), b"bye");
        at.s.silence().waiting(1);
    });
}
