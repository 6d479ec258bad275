//! SYN-RECEIVED (RFC 9293 section 3.10.7.4).
use super::super::script::*;
use super::super::words::*;
use super::*;
use crate::config::ToeConfig;
use crate::counters::Cause;

/// Reached by an active open that met the peer's.
fn active((us, peer): (u32, u32)) -> At {
    let mut s = Script::numbered(config(), us, peer);
    s.connect().expect(SYN, 0, 0, 0);
    s.inject(seg(SYN, 0, 0).mss(1000));
    s.expect(SYN | ACK, 0, 1, 0);
    s.silence().state("SYN-RECEIVED");
    At {
        s,
        name: "SYN-RECEIVED",
        una: 0,
        nxt: 1,
        rcv: 1,
    }
}

#[test]
fn first_a_segment_left_of_the_window_is_answered() {
    for offset in [BELOW, BELOW - 1, FAR + 1] {
        for fixture in [super::syn_received as Fixture, active] {
            each(fixture, |mut at| {
                let mut segment = at.from(ACK, offset);
                segment.ack = 1;
                at.s.inject(segment);
                at.acknowledged().still();
            });
        }
    }
}

#[test]
fn first_a_segment_right_of_the_window_is_answered() {
    for offset in [WND + 1, WND + 2, FAR - 1] {
        each(super::syn_received, |mut at| {
            let mut segment = at.from(ACK, offset).data(b"x");
            segment.ack = 1;
            at.s.inject(segment);
            at.acknowledged().still();
        });
    }
}

#[test]
fn first_the_window_s_last_byte_is_in_it() {
    each(super::syn_received, |mut at| {
        at.s.inject(seg(ACK, WND, 1).data(b"x"));
        at.s.expect(ACK, 1, 1, 0);
        at.s.silence().state("ESTABLISHED");
    });
}

#[test]
fn a_reset_outside_the_window_is_dropped() {
    super::a_reset_outside_the_window_is_dropped(super::syn_received);
    super::a_reset_outside_the_window_is_dropped(active);
}

#[test]
pub(super) fn a_reset_inside_the_window_is_challenged() {
    super::a_reset_inside_the_window_is_challenged(super::syn_received);
    super::a_reset_inside_the_window_is_challenged(active);
}

#[test]
fn second_a_reset_returns_a_passive_open_to_listen_and_nobody_is_told() {
    each(super::syn_received, |mut at| {
        assert!(!at.s.attached());
        at.s.inject(at.from(RST, 0));
        at.gone().s.ticks(10_000).silence();
        at.s.inject(seg(SYN, 50, 0));
        let answer = at.s.next().expect("a SYN-ACK");
        assert_eq!((answer.flags, answer.ack), (SYN | ACK, 51));
    });
}

#[test]
fn second_a_reset_ends_an_active_open() {
    each(active, |mut at| {
        at.s.inject(at.from(RST, 0));
        at.gone().s.counted(Cause::ResetIn, 1);
        at.s.ticks(10_000).silence();
    });
}

#[test]
pub(super) fn fourth_a_syn_in_the_window_returns_a_passive_open_to_listen() {
    for offset in [0, 1, WND - 1] {
        for flags in [SYN, SYN | ACK] {
            each(super::syn_received, |mut at| {
                at.s.inject(at.from(flags, offset)).silence().slots(0);
                at.s.state("CLOSED").counted(Cause::ResetIn, 1);
                at.s.ticks(10_000).silence();
                at.s.inject(seg(SYN, 900, 0));
                assert_eq!(at.s.next().map(|s| s.ack), Some(901));
            });
        }
    }
}

#[test]
pub(super) fn fourth_a_syn_in_the_window_is_challenged_in_an_active_open() {
    for offset in [0, 1, WND - 1] {
        for flags in [SYN, SYN | ACK] {
            each(active, |mut at| {
                at.s.inject(at.from(flags, offset));
                at.acknowledged().still();
            });
        }
    }
}

#[test]
fn the_same_syn_again_is_answered_and_opens_nothing_else() {
    each(super::syn_received, |mut at| {
        at.s.inject(at.from(SYN, BELOW));
        let answer = at.s.next().expect("an answer");
        assert_eq!((answer.flags & (ACK | RST), answer.ack), (ACK, 1));
        at.still().s.slots(0);
    });
}

#[test]
fn without_ack_all_is_dropped() {
    super::without_ack_all_is_dropped(active);
}

#[test]
fn fifth_the_ack_of_the_syn_establishes() {
    for fixture in [super::syn_received as Fixture, active] {
        each(fixture, |mut at| {
            at.s.inject(seg(ACK, 1, 1).wnd(4321)).silence();
            at.s.state("ESTABLISHED").counted(Cause::Opened, 1).slots(1);
            assert!(at.s.attached());
            // SND.WND <- SEG.WND, SND.WL1 <- SEG.SEQ, SND.WL2 <- SEG.ACK
            assert_eq!((at.s.word(SND_WND), at.s.theirs(SND_WL1)), (4321, 1));
            assert_eq!((at.s.ours(SND_WL2), at.s.ours(SND_UNA)), (1, 1));
        });
    }
}

#[test]
fn fifth_any_other_ack_is_reset() {
    for ack in [0, 2, FAR, FAR + 1, u32::MAX] {
        each(super::syn_received, |mut at| {
            at.s.inject(seg(ACK, 1, ack).data(b"x"));
            at.s.expect(RST, ack, 0, 0);
            at.still().s.counted(Cause::BadAck, 1);
        });
    }
}

#[test]
fn fifth_the_ack_may_come_with_text() {
    each(super::syn_received, |mut at| {
        at.s.inject(seg(ACK, 1, 1).data(b"hello")).acked(6);
        assert_eq!(at.s.state("ESTABLISHED").read(), b"hello");
    });
}

#[test]
fn fifth_the_ack_may_come_ahead_of_a_gap() {
    each(super::syn_received, |mut at| {
        at.s.inject(seg(ACK, 6, 1).data(b"world"));
        at.s.expect(ACK, 1, 1, 0);
        at.s.state("ESTABLISHED");
        at.s.inject(seg(ACK, 1, 1).data(b"hello")).acked(11);
        assert_eq!(at.s.read(), b"helloworld");
    });
}

#[test]
fn eighth_a_fin_leads_to_close_wait() {
    for text in [&b""[..], b"bye"] {
        each(super::syn_received, |mut at| {
            at.s.inject(seg(ACK | FIN, 1, 1).data(text));
            at.s.acked(2 + text.len() as u32);
            assert_eq!(at.s.state("CLOSE-WAIT").read(), text);
        });
    }
}

#[test]
fn the_syn_ack_is_not_sent_again_once_it_is_acknowledged() {
    each(super::syn_received, |mut at| {
        at.s.inject(seg(ACK, 1, 1));
        at.s.ticks(10_000).silence().counted(Cause::RtoExpired, 0);
    });
}

#[test]
fn the_syn_ack_again_is_the_same() {
    each(super::syn_received, |mut at| {
        let again = (0..RTO_MOST).find_map(|_| at.s.ticks(1).next());
        let again = again.expect("the SYN-ACK again");
        assert_eq!((again.flags, again.seq, again.ack), (SYN | ACK, 0, 1));
        assert_eq!((again.mss, again.wnd), (Some(1460), 8192));
        at.still();
    });
}

#[test]
#[ignore = "reason: a CLOSE is kept until ESTABLISHED also if nothing was written: a FIN sent again would need the SYN with it"]
fn a_close_with_nothing_to_send_sends_the_fin_at_once() {
    let mut at = active((US, PEER));
    at.s.close();
    at.s.expect(FIN | ACK, 1, 1, 0);
    at.s.state("FIN-WAIT-1");
}

#[test]
fn a_close_is_seen_to_once_established() {
    each(active, |mut at| {
        at.s.model_only("an application has no offer before the connection is open");
        at.s.close();
        if at.s.next().is_none() {
            at.s.inject(seg(ACK, 1, 1));
            at.s.expect(FIN | ACK, 1, 1, 0);
        }
        at.s.silence().state("FIN-WAIT-1");
    });
}

#[test]
fn an_abort_sends_a_reset() {
    super::abort_sends_a_reset(active);
}

/// A shut window begins behind our SYN: an ACK that stood at the SYN itself would be as unacceptable to the peer as his was.
#[test]
fn an_ack_stands_behind_our_syn_though_the_peers_window_is_shut() {
    let answers = |config: ToeConfig, stamps: bool| {
        let mut s = Script::with(config);
        let mut syn = seg(SYN, 0, 0).mss(1000).wnd(0);
        if stamps {
            syn = syn.sack_permitted().stamps(1, 0);
        }
        s.inject(syn);
        let echo = s.expect(SYN | ACK, 0, 1, 0).stamps.map(|s| s.0);
        let peer = |flags: u8, at: u32| match echo {
            Some(echo) => seg(flags, at, 1).wnd(0).stamps(2, echo),
            None => seg(flags, at, 1).wnd(0),
        };
        s.inject(peer(ACK, 50_000)).expect(ACK, 1, 1, 0);
        s.inject(peer(SYN, 50_000)).expect(ACK, 1, 1, 0);
        s.state("SYN-RECEIVED").inject(peer(ACK, 1)).silence();
        s.state("ESTABLISHED");
        assert_eq!(s.word(SND_WND), 0);
    };
    answers(config(), false);
    answers(config(), true);
    answers(without_sack(config()), false);
    hardened(|| {
        answers(config(), false);
        answers(without_sack(config()), false);
    });
}
