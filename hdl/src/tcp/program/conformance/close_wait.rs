//! CLOSE-WAIT (RFC 9293 section 3.10.7.4).
use super::super::script::*;
use super::super::words::*;
use super::*;

// ---- first to fifth check -----------------------------------------------------------------------

#[test]
fn the_number_of_a_segment_without_text_decides() {
    first_check_without_text(super::close_wait);
}

#[test]
fn the_number_of_a_segment_with_text_decides() {
    first_check_with_text(super::close_wait, false);
}

#[test]
fn a_reset_outside_the_window_is_dropped() {
    super::a_reset_outside_the_window_is_dropped(super::close_wait);
}

#[test]
fn a_reset_inside_the_window_is_challenged() {
    super::a_reset_inside_the_window_is_challenged(super::close_wait);
}

#[test]
fn a_reset_at_rcv_nxt_ends_it() {
    super::a_reset_at_rcv_nxt_ends_it(super::close_wait);
}

#[test]
fn a_syn_is_challenged() {
    super::a_syn_is_challenged(super::close_wait);
}

#[test]
fn without_ack_all_is_dropped() {
    super::without_ack_all_is_dropped(super::close_wait);
}

#[test]
fn an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped() {
    super::an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped(super::close_wait);
}

#[test]
fn an_old_ack_is_ignored() {
    super::an_old_ack_is_ignored(super::close_wait);
}

// ---- text, FIN, calls ----------------------------------------------------------------------------

#[test]
fn text_is_ignored() {
    super::text_is_ignored(super::close_wait);
}

#[test]
fn the_fin_again_is_acknowledged() {
    super::the_fin_again_is_acknowledged(super::close_wait);
}

#[test]
fn another_fin_changes_nothing() {
    super::another_fin_changes_nothing(super::close_wait);
}

#[test]
fn abort_sends_a_reset() {
    super::abort_sends_a_reset(super::close_wait);
}

#[test]
fn what_was_sent_is_acknowledged_as_before() {
    for (ack, una) in [(1, 1), (2, 2), (4, 4)] {
        each(super::close_wait, |mut at| {
            at.s.write(b"abc");
            at.s.expect(ACK, 1, 2, 3);
            at.s.inject(seg(ACK, 2, ack)).silence();
            assert_eq!(at.s.ours(SND_UNA), una);
        });
    }
}

#[test]
fn the_window_is_updated_as_before() {
    each(super::close_wait, |mut at| {
        at.s.inject(seg(ACK, 2, 1).wnd(77));
        at.still();
        assert_eq!(at.s.word(SND_WND), 77);
    });
}

#[test]
fn what_is_sent_carries_the_acknowledgement_of_the_fin() {
    each(super::close_wait, |mut at| {
        at.s.write(b"answer");
        assert_eq!(at.s.expect(ACK, 1, 2, 6).data, b"answer");
        at.still();
    });
}

#[test]
fn what_was_sent_comes_again_when_it_is_not_acknowledged() {
    each(super::close_wait, |mut at| {
        at.s.write(b"answer");
        at.s.expect(ACK, 1, 2, 6);
        let again = (0..=RTO_MOST).find_map(|_| at.s.ticks(1).next());
        assert_eq!(again.expect("text").data, b"answer");
    });
}

#[test]
fn a_close_leads_to_last_ack_behind_the_last_byte() {
    each(super::close_wait, |mut at| {
        at.s.write(b"last").close();
        at.s.expect(ACK, 1, 2, 4);
        at.s.expect(FIN | ACK, 5, 2, 0);
        at.s.silence().state("LAST-ACK");
    });
}

#[test]
fn what_came_before_the_fin_can_still_be_read() {
    each(super::established, |mut at| {
        at.s.inject(at.from(ACK | FIN, 0).data(b"to the end"))
            .acked(12);
        at.s.state("CLOSE-WAIT").ticks(60_000).state("CLOSE-WAIT");
        assert_eq!((at.s.read(), at.s.read()), (b"to the end".to_vec(), vec![]));
    });
}

#[test]
fn it_lasts_as_long_as_the_application_likes() {
    let mut at = super::close_wait((US, PEER));
    at.s.ticks(1_000_000);
    at.still();
}

#[test]
fn an_urgent_pointer_is_ignored() {
    each(super::close_wait, |mut at| {
        at.s.inject(at.from(ACK, 0).urgent(5));
        at.still();
    });
}
