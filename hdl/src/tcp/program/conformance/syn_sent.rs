//! SYN-SENT (RFC 9293 section 3.10.7.3).
use super::super::script::*;
use super::super::words::*;
use super::*;
use crate::counters::Cause;

/// With these initial numbers.
fn connecting((us, peer): (u32, u32)) -> At {
    let mut s = Script::numbered(config(), us, peer);
    s.connect().expect(SYN, 0, 0, 0);
    s.silence().state("SYN-SENT");
    At {
        s,
        name: "SYN-SENT",
        una: 0,
        nxt: 1,
        rcv: 0,
    }
}

#[test]
fn first_an_ack_at_or_below_iss_is_reset() {
    for ack in [0, u32::MAX, FAR + 1] {
        for flags in [ACK, SYN | ACK, FIN | ACK] {
            each(connecting, |mut at| {
                at.s.inject(seg(flags, 0, ack));
                at.s.expect(RST, ack, 0, 0);
                at.still().s.counted(Cause::BadAck, 1);
            });
        }
    }
}

#[test]
fn first_an_ack_above_snd_nxt_is_reset() {
    for ack in [2, 3, FAR] {
        for flags in [ACK, SYN | ACK] {
            each(connecting, |mut at| {
                at.s.inject(seg(flags, 0, ack));
                at.s.expect(RST, ack, 0, 0);
                at.still();
            });
        }
    }
}

#[test]
fn first_a_bad_ack_with_rst_is_dropped() {
    for ack in [0, 2, FAR, u32::MAX] {
        for flags in [RST | ACK, RST | SYN | ACK] {
            each(connecting, |mut at| {
                at.s.inject(seg(flags, 0, ack));
                at.still();
            });
        }
    }
}

#[test]
fn second_a_reset_with_a_good_ack_ends_it() {
    for seq in [0, 1, FAR] {
        for flags in [RST | ACK, RST | SYN | ACK] {
            each(connecting, |mut at| {
                at.s.inject(seg(flags, seq, 1));
                at.gone().s.counted(Cause::ResetIn, 1);
                at.s.ticks(10_000).silence();
            });
        }
    }
}

#[test]
fn second_a_reset_without_ack_is_dropped() {
    for flags in [RST, RST | SYN, RST | FIN] {
        each(connecting, |mut at| {
            at.s.inject(seg(flags, 0, 0));
            at.still();
        });
    }
}

#[test]
fn fourth_a_syn_with_a_good_ack_establishes_and_is_acknowledged() {
    each(connecting, |mut at| {
        at.s.inject(seg(SYN | ACK, 0, 1));
        at.s.expect(ACK, 1, 1, 0);
        at.s.silence().state("ESTABLISHED");
        assert_eq!((at.s.ours(SND_UNA), at.s.theirs(RCV_NXT)), (1, 1));
    });
}

#[test]
fn fourth_the_peer_s_number_may_be_any() {
    for seq in [1, FAR - 1, FAR, u32::MAX] {
        each(connecting, |mut at| {
            at.s.inject(seg(SYN | ACK, seq, 1));
            at.s.expect(ACK, 1, seq.wrapping_add(1), 0);
            at.s.state("ESTABLISHED");
        });
    }
}

#[test]
fn fourth_the_syn_acknowledged_is_not_sent_again() {
    each(connecting, |mut at| {
        at.s.inject(seg(SYN | ACK, 0, 1));
        at.s.expect(ACK, 1, 1, 0);
        at.s.ticks(10_000).silence().counted(Cause::RtoExpired, 0);
    });
}

#[test]
fn fourth_the_window_of_the_syn_holds() {
    for wnd in [0, 1, 500] {
        let mut at = connecting((US, PEER));
        at.s.inject(seg(SYN | ACK, 0, 1).mss(1000).wnd(wnd));
        at.s.expect(ACK, 1, 1, 0);
        at.s.write(&[1; 1000]);
        let sent = at.s.next().map_or(0, |s| s.data.len());
        assert_eq!(sent, usize::from(wnd));
        assert_eq!(at.s.theirs(SND_WL1), 0);
    }
}

#[test]
fn fourth_a_syn_alone_leads_to_syn_received() {
    each(connecting, |mut at| {
        at.s.inject(seg(SYN, 0, 0));
        at.s.expect(SYN | ACK, 0, 1, 0);
        at.s.silence().state("SYN-RECEIVED");
        assert_eq!((at.s.word(SND_WND), at.s.theirs(SND_WL1)), (8192, 0));
    });
}

#[test]
fn a_simultaneous_open_ends_with_an_ack() {
    // Section 3.5, figure 7, with both SYN-ACKs lost on the other side's way but one ACK.
    each(connecting, |mut at| {
        at.s.inject(seg(SYN, 0, 0));
        at.s.expect(SYN | ACK, 0, 1, 0);
        at.s.inject(seg(ACK, 1, 1)).silence().state("ESTABLISHED");
        assert!(at.s.attached());
    });
}

#[test]
fn a_simultaneous_open_ends_with_the_peer_s_syn_ack_and_ours() {
    each(connecting, |mut at| {
        at.s.inject(seg(SYN, 0, 0));
        at.s.expect(SYN | ACK, 0, 1, 0);
        // Its number is that of the SYN, so by the first check it is answered.
        at.s.inject(seg(SYN | ACK, 0, 1));
        at.s.expect(ACK, 1, 1, 0);
        at.s.inject(seg(ACK, 1, 1)).silence().state("ESTABLISHED");
    });
}

#[test]
fn in_a_simultaneous_open_the_syn_ack_is_sent_again() {
    each(connecting, |mut at| {
        at.s.inject(seg(SYN, 0, 0));
        at.s.expect(SYN | ACK, 0, 1, 0);
        let again = (0..RTO_MOST).find_map(|_| at.s.ticks(1).next());
        let again = again.expect("the SYN-ACK again");
        assert_eq!((again.flags, again.seq, again.ack), (SYN | ACK, 0, 1));
    });
}

#[test]
fn fifth_without_syn_and_rst_it_is_dropped() {
    for (flags, ack) in [(ACK, 1), (ACK | FIN, 1), (FIN, 0), (0, 0), (PSH, 0)] {
        each(connecting, |mut at| {
            at.s.inject(seg(flags, 0, ack).data(b"x"));
            at.still();
        });
    }
}

#[test]
fn what_is_dropped_does_not_keep_the_handshake_from_its_end() {
    let mut at = connecting((US, PEER));
    at.s.inject(seg(ACK, 0, 1)).inject(seg(RST, 0, 0));
    at.s.inject(seg(SYN | ACK, 0, 5));
    at.s.expect(RST, 5, 0, 0);
    at.s.inject(seg(SYN | ACK, 0, 1));
    at.s.expect(ACK, 1, 1, 0);
    at.s.silence().state("ESTABLISHED");
}

#[test]
fn the_syn_ack_again_is_acknowledged_again() {
    // Our ACK was lost.
    each(connecting, |mut at| {
        for _ in 0..3 {
            at.s.inject(seg(SYN | ACK, 0, 1));
            at.s.expect(ACK, 1, 1, 0);
            at.s.silence().state("ESTABLISHED").ticks(1000);
        }
        at.s.counted(Cause::Opened, 1).slots(1);
    });
}

#[test]
fn a_peer_with_the_half_of_an_earlier_connection_is_reset_and_then_opens() {
    // Section 3.5.1, figure 9, lines 4 to 7: it answers the SYN with an ACK of its own numbers.
    each(connecting, |mut at| {
        at.s.inject(seg(ACK, 300, 100));
        at.s.expect(RST, 100, 0, 0);
        at.still();
        let syn = (0..RTO_MOST).find_map(|_| at.s.ticks(1).next());
        assert_eq!(syn.map(|s| (s.flags, s.seq)), Some((SYN, 0)));
        at.s.inject(seg(SYN | ACK, 0, 1));
        at.s.expect(ACK, 1, 1, 0);
        at.s.silence().state("ESTABLISHED");
    });
}

#[test]
#[ignore = "reason: the text of a SYN is not placed; it must come again"]
fn text_of_the_syn_ack_is_delivered() {
    let mut at = connecting((US, PEER));
    at.s.inject(seg(SYN | ACK, 0, 1).data(b"early")).acked(6);
    assert_eq!(at.s.state("ESTABLISHED").read(), b"early");
}

#[test]
#[ignore = "reason: the FIN of a SYN is dropped; it must come again"]
fn a_fin_of_the_syn_ack_leads_to_close_wait() {
    let mut at = connecting((US, PEER));
    at.s.inject(seg(SYN | ACK | FIN, 0, 1)).acked(2);
    at.s.state("CLOSE-WAIT");
}

/// What is done instead: nothing of it is acknowledged, and so it comes again. Of a SYN without ACK, too.
#[test]
fn text_and_fin_beside_a_syn_count_when_they_come_again() {
    for (fin, text) in [(0, &b"early"[..]), (FIN, b""), (FIN, b"early")] {
        for ack in [ACK, 0] {
            each(connecting, |mut at| {
                let beside = |seq, flags: u8| {
                    let ack = u32::from(flags & ACK != 0);
                    seg(flags | fin, seq, ack).data(text)
                };
                at.s.inject(beside(0, SYN | ack));
                if ack == 0 {
                    at.s.expect(SYN | ACK, 0, 1, 0);
                    at.s.state("SYN-RECEIVED").inject(seg(ACK, 1, 1));
                } else {
                    at.s.expect(ACK, 1, 1, 0);
                }
                at.s.silence().state("ESTABLISHED");
                assert_eq!(at.s.read(), b"");
                let end = 1 + text.len() as u32 + u32::from(fin);
                for _ in 0..2 {
                    at.s.inject(beside(1, ACK)).acked(end);
                }
                assert_eq!(at.s.read(), text);
                at.s.state(if fin == 0 {
                    "ESTABLISHED"
                } else {
                    "CLOSE-WAIT"
                });
                at.s.counted(Cause::Opened, 1).slots(1);
            });
        }
    }
}

#[test]
fn text_of_the_syn_ack_is_not_acknowledged_unless_it_is_kept() {
    each(connecting, |mut at| {
        at.s.inject(seg(SYN | ACK, 0, 1).data(b"early"));
        let ack = at.s.next().expect("an ACK").ack;
        assert_eq!(at.s.read().len(), ack as usize - 1);
    });
}

#[test]
fn the_syn_has_a_window_and_an_mss_and_no_ack() {
    let mut s = Script::new();
    s.connect();
    let syn = s.next().expect("a SYN");
    assert_eq!((syn.flags, syn.wnd, syn.mss), (SYN, 8192, Some(1460)));
    assert_eq!(syn.data.len(), 0);
}

#[test]
fn a_close_deletes_it_without_a_word() {
    each(connecting, |mut at| {
        at.s.model_only("an application has no offer before the connection is open");
        at.s.close();
        at.gone();
        at.s.ticks(10_000).silence();
        at.s.inject(seg(SYN | ACK, 0, 1).with_target(HOST_PORT));
        at.s.expect(RST, 1, 0, 0);
    });
}

#[test]
fn an_abort_deletes_it_without_a_word() {
    each(connecting, |mut at| {
        at.s.model_only("an application has no offer before the connection is open");
        at.s.abort();
        at.gone();
        at.s.ticks(10_000).silence().counted(Cause::ResetOut, 0);
    });
}

#[test]
fn the_syn_is_sent_again_with_the_same_number_and_options() {
    each(connecting, |mut at| {
        let again = (0..RTO_MOST).find_map(|_| at.s.ticks(1).next());
        let again = again.expect("the SYN again");
        assert_eq!((again.flags, again.seq, again.mss), (SYN, 0, Some(1460)));
        at.still();
    });
}
