//! FIN-WAIT-1 (RFC 9293 section 3.10.7.4).
use super::super::script::*;
use super::*;

// ---- first to fifth check -----------------------------------------------------------------------

#[test]
fn the_number_of_a_segment_without_text_decides() {
    first_check_without_text(super::fin_wait_1);
}

#[test]
fn the_number_of_a_segment_with_text_decides() {
    first_check_with_text(super::fin_wait_1, true);
}

#[test]
fn a_reset_outside_the_window_is_dropped() {
    super::a_reset_outside_the_window_is_dropped(super::fin_wait_1);
}

#[test]
fn a_reset_inside_the_window_is_challenged() {
    super::a_reset_inside_the_window_is_challenged(super::fin_wait_1);
}

#[test]
fn a_reset_at_rcv_nxt_ends_it() {
    super::a_reset_at_rcv_nxt_ends_it(super::fin_wait_1);
}

#[test]
fn a_syn_is_challenged() {
    super::a_syn_is_challenged(super::fin_wait_1);
}

#[test]
fn without_ack_all_is_dropped() {
    super::without_ack_all_is_dropped(super::fin_wait_1);
}

#[test]
fn an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped() {
    super::an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped(super::fin_wait_1);
}

#[test]
fn an_old_ack_is_ignored() {
    super::an_old_ack_is_ignored(super::fin_wait_1);
}

// ---- text, FIN, calls ----------------------------------------------------------------------------

#[test]
fn text_is_delivered_and_acknowledged() {
    super::text_is_delivered_and_acknowledged(super::fin_wait_1);
}

#[test]
fn text_ahead_is_held() {
    super::text_ahead_is_held(super::fin_wait_1);
}

#[test]
fn our_fin_is_sent_again() {
    super::our_fin_is_sent_again(super::fin_wait_1);
}

#[test]
fn another_close_sends_no_second_fin() {
    super::another_close_sends_no_second_fin(super::fin_wait_1);
}

#[test]
fn abort_sends_a_reset() {
    super::abort_sends_a_reset(super::fin_wait_1);
}

#[test]
fn the_ack_of_our_fin_leads_to_fin_wait_2() {
    each(super::fin_wait_1, |mut at| {
        at.s.inject(seg(ACK, 1, 2)).silence().state("FIN-WAIT-2");
    });
}

#[test]
fn the_ack_of_all_but_the_fin_does_not() {
    each(super::established, |mut at| {
        at.s.write(b"text").close();
        at.s.expect(ACK, 1, 1, 4);
        at.s.expect(FIN | ACK, 5, 1, 0);
        at.s.inject(seg(ACK, 1, 4)).silence().state("FIN-WAIT-1");
        at.s.inject(seg(ACK, 1, 5)).silence().state("FIN-WAIT-1");
        at.s.inject(seg(ACK, 1, 6)).silence().state("FIN-WAIT-2");
    });
}

#[test]
fn the_ack_of_our_fin_may_come_with_text() {
    each(super::fin_wait_1, |mut at| {
        at.s.inject(seg(ACK, 1, 2).data(b"x")).acked(2);
        assert_eq!(at.s.state("FIN-WAIT-2").read(), b"x");
    });
}

#[test]
fn the_ack_of_our_fin_may_come_ahead_of_a_gap() {
    each(super::fin_wait_1, |mut at| {
        at.s.inject(seg(ACK, 2, 2).data(b"x"));
        at.s.expect(ACK, 2, 1, 0);
        at.s.silence().state("FIN-WAIT-2");
    });
}

#[test]
fn a_fin_without_the_ack_of_ours_leads_to_closing() {
    each(super::fin_wait_1, |mut at| {
        at.s.inject(seg(ACK | FIN, 1, 1)).acked(2);
        at.s.silence().state("CLOSING");
    });
}

#[test]
fn a_fin_with_the_ack_of_ours_leads_to_time_wait() {
    each(super::fin_wait_1, |mut at| {
        at.s.inject(seg(ACK | FIN, 1, 2)).acked(2);
        at.s.silence().waiting(1).slots(0);
    });
}

#[test]
fn text_and_fin_and_the_ack_of_ours_all_count() {
    each(super::fin_wait_1, |mut at| {
        at.s.inject(seg(ACK | FIN, 1, 2).data(b"bye")).acked(5);
        at.s.state("TIME-WAIT");
        assert_eq!(at.s.read(), b"bye");
        at.s.silence().waiting(1);
    });
}

#[test]
fn a_fin_ahead_of_a_gap_leads_to_closing_when_it_is_filled() {
    each(super::fin_wait_1, |mut at| {
        at.s.inject(seg(ACK | FIN, 4, 1));
        at.acknowledged().still();
        at.s.inject(seg(ACK, 1, 1).data(b"bye")).acked(5);
        at.s.silence().state("CLOSING");
    });
}

#[test]
fn text_that_was_not_acknowledged_comes_again_in_front_of_the_fin() {
    each(super::established, |mut at| {
        at.s.write(b"text").close();
        at.s.expect(ACK, 1, 1, 4);
        at.s.expect(FIN | ACK, 5, 1, 0);
        let again = (0..=RTO_MOST).find_map(|_| at.s.ticks(1).next());
        assert_eq!(again.expect("text").data, b"text");
        at.s.inject(seg(ACK, 1, 5));
        at.s.expect(FIN | ACK, 5, 1, 0);
        at.s.inject(seg(ACK, 1, 6)).silence().state("FIN-WAIT-2");
    });
}

#[test]
fn the_window_opens_and_queued_text_goes_before_the_fin() {
    let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(0));
    s.write(b"text").close();
    s.silence().inject(seg(ACK, 1, 1).wnd(100));
    assert_eq!(s.expect(ACK, 1, 1, 4).data, b"text");
    s.expect(FIN | ACK, 5, 1, 0);
    s.silence().state("FIN-WAIT-1");
}

#[test]
fn what_came_may_be_read_and_opens_the_window() {
    let mut at = super::fin_wait_1((US, PEER));
    for n in 0..8 {
        at.s.inject(seg(ACK, 1 + n * 1024, 1).data(&[7; 1024]));
    }
    assert_eq!(at.s.acked(8193).wnd, 0);
    assert_eq!(at.s.read().len(), 8192);
    let update = at.s.expect(ACK, 2, 8193, 0);
    assert_eq!(update.wnd, 8192);
    at.still();
}
