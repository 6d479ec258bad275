//! RFC 3168: explicit congestion notification, by section.
use super::*;
use crate::config::ToeConfig;
use crate::tcp::isa::mark;
use crate::tcp::program::constant::{KEEPALIVE_INTERVAL, RTO_INITIAL};
use crate::tcp::program::flags;
use crate::tcp::program::host::ConnectionOption;
use crate::tcp::program::words::*;

/// A send ring larger than the initial window; text is acknowledged at once.
fn wide() -> ToeConfig {
    ToeConfig {
        tx_ring_bytes: 32768,
        ..config()
    }
}

fn asks() -> Seg {
    seg(SYN | ECE | CWR, 0, 0).mss(1000).wnd(60_000)
}

/// A connection that the peer opened, with ECN, by this SYN; both are at number 1.
#[track_caller]
fn opened(config: ToeConfig, syn: Seg) -> Script {
    let mut s = Script::with(config);
    s.inject(syn);
    s.expect(SYN | ACK | ECE, 0, 1, 0);
    s.inject(seg(ACK, 1, 1).wnd(60_000));
    s.silence().state("ESTABLISHED");
    s.ecn = true;
    s
}

fn both() -> Script {
    opened(wide(), asks())
}

/// The same with SACK, too.
fn with_sack() -> Script {
    opened(wide(), asks().sack_permitted())
}

/// An ACK of ours up to `n`.
fn ack(n: u32) -> Seg {
    seg(ACK, 1, n).wnd(60_000)
}

fn ece(n: u32) -> Seg {
    ack(n).and(ECE)
}

/// So many full segments of new text leave, with ECT(0), the first with these flags besides.
#[track_caller]
fn leave(s: &mut Script, from: u32, segments: u32, first: u8) {
    for n in 0..segments {
        let more = if n == 0 { first } else { 0 };
        let sent = s.expect(ACK | more, from + n * 1000, 1, 1000);
        assert_eq!(sent.tos, ECT_0, "{sent:?}");
    }
    s.silence();
}

/// Text enough for every descriptor.
fn feed(s: &mut Script) {
    s.toe.host_write(0, &[7; 32768]);
    s.settle();
}

/// Ten segments are on their way.
fn flight(mut s: Script) -> Script {
    feed(&mut s);
    leave(&mut s, 1, 10, 0);
    s
}

// ---- 5 ------------------------------------------------------------------------------------------

#[test]
fn new_text_has_ect_0_and_no_dscp() {
    let mut s = both();
    s.write(b"hello");
    assert_eq!(s.expect(ACK, 1, 1, 5).tos, ECT_0);
    s.silence();
    // Whatever DSCP the peer has.
    let mut marked = ack(6).at(1).data(b"x");
    marked.tos = 0xFC | ECT_0;
    s.inject(marked);
    assert_eq!(s.expect(ACK, 6, 2, 0).tos, 0);
    s.counted(Cause::CongestionExperienced, 0);
}

// ---- 6.1.1 --------------------------------------------------------------------------------------

#[test]
fn a_syn_that_asks_is_answered_with_ece_alone() {
    for stamps in [false, true] {
        for sack in [false, true] {
            let mut syn = asks();
            if stamps {
                syn = syn.stamps(7, 0);
            }
            if sack {
                syn = syn.sack_permitted();
            }
            let mut s = Script::with(wide());
            s.inject(syn);
            let answer = s.expect(SYN | ACK | ECE, 0, 1, 0);
            assert_eq!(answer.tos, 0, "section 6.1.1: no ECT on a SYN-ACK");
            assert_eq!(
                (answer.sack_permitted, answer.stamps.is_some()),
                (sack, stamps)
            );
            assert_eq!((answer.mss, answer.wnd), (Some(1460), 8192));
            s.silence().slots(0);
            assert_eq!(s.word(FLAGS) & flags::ECN, flags::ECN);
            assert_eq!(s.word(FLAGS) >> 31, u32::from(stamps));
        }
    }
}

#[test]
fn any_other_syn_is_answered_without_and_no_text_has_ect() {
    for bits in [0, ECE, CWR] {
        for stamps in [false, true] {
            let mut syn = seg(SYN | bits, 0, 0).mss(1000);
            if stamps {
                syn = syn.stamps(7, 0);
            }
            let mut s = Script::with(wide());
            s.inject(syn);
            let answer = s.expect(SYN | ACK, 0, 1, 0);
            let ours = answer.stamps.map(|(value, _)| value);
            let stamped = |seg: Seg| match ours {
                Some(ours) => seg.stamps(8, ours),
                None => seg,
            };
            s.inject(stamped(seg(ACK, 1, 1))).silence();
            s.write(b"hello");
            assert_eq!(s.expect(ACK, 1, 1, 5).tos, 0);
            // Nor do marks count for anything.
            s.inject(stamped(seg(ACK | ECE, 1, 6)).data(b"x").ce());
            assert_eq!(s.expect(ACK, 6, 2, 0).flags, ACK);
            s.counted(Cause::CongestionExperienced, 0);
            assert_eq!(s.word(FLAGS) & flags::ECN, 0);
        }
    }
}

#[test]
fn without_the_switch_nothing_is_answered_sent_or_heard() {
    let config = ToeConfig {
        ecn: false,
        ..wide()
    };
    let mut s = Script::with(config);
    s.inject(asks());
    s.expect(SYN | ACK, 0, 1, 0);
    s.inject(ack(1)).silence();
    s.write(b"hello");
    s.expect(ACK, 1, 1, 5);
    s.inject(ece(6).at(1).data(b"x").ce());
    s.expect(ACK, 6, 2, 0);
    assert_eq!(s.word(SSTHRESH), 65_536);
    s.counted(Cause::CongestionExperienced, 0);
}

#[test]
fn the_syn_ack_that_comes_again_has_ece_again() {
    let mut s = Script::with(wide());
    s.inject(asks());
    s.expect(SYN | ACK | ECE, 0, 1, 0);
    s.ticks(RTO_INITIAL);
    assert_eq!(s.expect(SYN | ACK | ECE, 0, 1, 0).tos, 0);
    s.silence();
}

#[test]
fn an_active_open_asks_if_its_host_does() {
    let mut s = Script::with(wide());
    s.connect();
    s.expect(SYN, 0, 0, 0);
    let mut s = Script::with(wide());
    s.connect_with_ecn();
    let syn = s.expect(SYN | ECE | CWR, 0, 0, 0);
    assert_eq!(syn.tos, 0, "no ECT on a SYN");
    s.silence().state("SYN-SENT");
    s.inject(seg(SYN | ACK | ECE, 0, 1).mss(1000));
    assert_eq!(s.expect(ACK, 1, 1, 0).tos, 0);
    s.state("ESTABLISHED").slots(1);
    s.ecn = true;
    s.write(b"hello");
    assert_eq!(s.expect(ACK, 1, 1, 5).tos, ECT_0);
    s.counted(Cause::ConnectRefused, 0);
}

#[test]
fn a_syn_ack_without_ece_or_with_both_bits_agrees_to_nothing() {
    for bits in [0, ECE | CWR, CWR] {
        let mut s = Script::with(wide());
        s.connect_with_ecn();
        s.expect(SYN | ECE | CWR, 0, 0, 0);
        s.inject(seg(SYN | ACK | bits, 0, 1).mss(1000));
        s.expect(ACK, 1, 1, 0);
        s.write(b"hello");
        assert_eq!(s.expect(ACK, 1, 1, 5).tos, 0, "{bits:#x}");
        s.inject(seg(ACK, 1, 6).data(b"x").ce());
        s.expect(ACK, 6, 2, 0);
    }
}

#[test]
fn an_open_that_did_not_ask_agrees_to_nothing() {
    let mut s = Script::connecting();
    s.inject(seg(SYN | ACK | ECE, 0, 1).mss(1000));
    s.expect(ACK, 1, 1, 0);
    s.write(b"hello");
    assert_eq!(s.expect(ACK, 1, 1, 5).tos, 0);
}

#[test]
fn both_ask_at_once() {
    let mut s = Script::with(wide());
    s.connect_with_ecn();
    s.expect(SYN | ECE | CWR, 0, 0, 0);
    s.inject(asks());
    s.expect(SYN | ACK | ECE, 0, 1, 0);
    s.state("SYN-RECEIVED");
    s.inject(ack(1)).silence().state("ESTABLISHED");
    s.ecn = true;
    s.write(b"hello");
    assert_eq!(s.expect(ACK, 1, 1, 5).tos, ECT_0);
}

#[test]
fn where_nothing_is_built_an_open_that_asks_is_refused() {
    let mut s = Script::with(ToeConfig {
        ecn: false,
        ..wide()
    });
    s.connect_with_ecn().silence();
    s.counted(Cause::ConnectRefused, 1).slots(0);
}

#[test]
fn an_open_that_asks_and_has_a_value_is_refused() {
    use crate::config::Owner;
    use crate::tcp::program::host::open;
    let mut s = Script::with(wide());
    let remote = (PEER_IP, PEER_PORT);
    (s.toe).command(HOST_PORT, remote, Owner::Host, open(true, 64));
    s.settle().silence();
    s.counted(Cause::ConnectRefused, 1).slots(0);
    s.connect_with_ecn();
    s.expect(SYN | ECE | CWR, 0, 0, 0);
    // The tuple is in use.
    s.connect_with_ecn().silence();
    s.counted(Cause::ConnectRefused, 2).slots(1);
}

// ---- 6.1.1.1 ------------------------------------------------------------------------------------

#[test]
fn a_syn_that_nobody_answers_goes_again_without() {
    let mut s = Script::with(wide());
    s.connect_with_ecn();
    s.expect(SYN | ECE | CWR, 0, 0, 0);
    s.ticks(RTO_INITIAL);
    s.expect(SYN, 0, 0, 0);
    s.ticks(2 * RTO_INITIAL);
    s.expect(SYN, 0, 0, 0);
    // The answer to the first may be late: a SYN has gone that asked for nothing.
    s.inject(seg(SYN | ACK | ECE, 0, 1).mss(1000));
    s.expect(ACK, 1, 1, 0);
    s.write(b"hello");
    assert_eq!(s.expect(ACK, 1, 1, 5).tos, 0);
}

#[test]
fn an_open_that_waits_for_arp_asks_all_the_same() {
    let mut s = Script::with(wide());
    let peer = u32::from_be_bytes(PEER_IP);
    let mac = s.toe.blocks.neighbours.remove(&peer).expect("known");
    s.connect_with_ecn().silence();
    s.ticks(150).silence();
    s.toe.blocks.neighbours.insert(peer, mac);
    s.ticks(200);
    s.expect(SYN | ECE | CWR, 0, 0, 0);
}

// ---- 6.1.2: the sender --------------------------------------------------------------------------

/// With NewReno, whose numbers are easier to see.
fn reno(mut s: Script) -> Script {
    s.option(ConnectionOption::NewReno(true));
    s
}

#[test]
fn ece_halves_cwnd_and_the_next_new_text_has_cwr() {
    for fixture in [both, with_sack] {
        let mut s = flight(reno(fixture()));
        assert_eq!(s.word(CWND), 10_000);
        s.inject(ece(1001)).silence();
        assert_eq!((s.word(CWND), s.word(SSTHRESH)), (5000, 5000));
        // 9,000 are on their way: nothing is sent again, and nothing new before half has left.
        for n in 2..6 {
            s.inject(ece(1 + n * 1000)).silence();
        }
        assert_eq!(s.word(CWND), 5000);
        s.inject(ece(6001));
        leave(&mut s, 10_001, 1, CWR);
        s.inject(ece(7001));
        leave(&mut s, 11_001, 1, 0);
        s.counted(Cause::Retransmit, 0);
        s.slots(1);
    }
}

#[test]
fn once_a_window_of_data() {
    let mut s = flight(reno(both()));
    s.inject(ece(1001));
    for n in 2..=10 {
        s.inject(ece(1 + n * 1000));
    }
    while s.next().is_some() {}
    // All that was outstanding is acknowledged, the segment with CWR is not.
    assert_eq!((s.word(CWND), s.word(SSTHRESH)), (5000, 5000));
    s.inject(ece(11_001));
    while s.next().is_some() {}
    assert_eq!(s.word(CWND), 2500, "that is beyond it");
    s.inject(ece(12_001));
    while s.next().is_some() {}
    assert_eq!(s.word(CWND), 2500);
}

#[test]
fn ece_lets_cwnd_grow_no_further() {
    let mut s = flight(reno(both()));
    // Slow start: two for each that is acknowledged.
    s.inject(ack(1001));
    leave(&mut s, 10_001, 2, 0);
    assert_eq!(s.word(CWND), 11_000);
    s.inject(ece(2001)).silence();
    let lowered = s.word(CWND);
    assert_eq!(lowered, 5500);
    for n in 3..=12 {
        s.inject(ece(1 + n * 1000));
        while s.next().is_some() {}
        assert_eq!((s.word(CWND), s.word(GAIN)), (lowered, 0), "{n}");
    }
    // Without it congestion avoidance goes on: a segment more for each cwnd.
    let mut at = 12_001;
    for grown in [0, 0, 0, 0, 0, 1000] {
        feed(&mut s);
        while s.next().is_some() {}
        at += 1000;
        s.inject(ack(at));
        assert_eq!(s.word(CWND), lowered + grown);
    }
}

#[test]
fn ece_of_the_window_of_a_loss_says_nothing_more() {
    let mut s = flight(both());
    for _ in 0..2 {
        s.inject(ack(1));
    }
    while s.next().is_some() {}
    s.inject(ack(1));
    let again = s.expect(ACK, 1, 1, 1000);
    assert_eq!(again.tos, 0, "section 6.1.5");
    let lowered = (s.word(SSTHRESH), s.word(CWND));
    s.inject(ece(1));
    assert_eq!(s.word(SSTHRESH), lowered.0);
    s.inject(ece(12_001));
    assert_eq!(s.word(SSTHRESH), lowered.0);
    while s.next().is_some() {}
    // What was sent since does.
    feed(&mut s);
    while s.next().is_some() {}
    s.inject(ece(13_001));
    assert_eq!(s.word(SSTHRESH), 2000);
}

#[test]
fn a_loss_has_cwr_with_the_next_new_text_but_not_with_what_goes_again() {
    for fixture in [both, with_sack] {
        let mut s = flight(fixture());
        let rto = s.word(RTO);
        s.ticks(2 * rto + 100);
        let mut again = 0;
        while let Some(sent) = s.next() {
            assert_eq!(sent.flags & (ECE | CWR), 0, "{sent:?}");
            if sent.seq < 10_001 {
                assert_eq!(sent.tos, 0, "{sent:?}");
                again += 1;
            }
        }
        assert!(again > 0);
        let max = s.ours(SND_MAX);
        s.inject(ack(max));
        feed(&mut s);
        let new = s.next().expect("new text");
        assert_eq!(
            (new.seq, new.flags & !PSH, new.tos),
            (max, ACK | CWR, ECT_0)
        );
        while let Some(more) = s.next() {
            assert_eq!(more.flags & CWR, 0);
        }
    }
}

#[test]
fn a_fast_retransmission_is_told_of_by_cwr_too() {
    let mut s = flight(both());
    for _ in 0..3 {
        s.inject(ack(1));
    }
    let mut sent = Vec::new();
    while let Some(segment) = s.next() {
        sent.push((segment.seq, segment.flags & CWR, segment.tos));
    }
    // RFC 3042 lets two more out before.
    assert_eq!(sent, [(10_001, 0, ECT_0), (11_001, 0, ECT_0), (1, 0, 0)]);
    s.inject(ack(12_001));
    feed(&mut s);
    let new = s.next().expect("new text");
    assert_eq!((new.seq, new.flags & !PSH), (12_001, ACK | CWR));
}

/// RFC 3168 section 6.1.2 for a loss that SACK tells of, and for that of what went again.
#[test]
fn what_sack_finds_lost_and_lost_again_is_told_of_by_cwr_too() {
    let mut s = flight(with_sack());
    let sent = |s: &mut Script| -> Vec<(u32, bool)> {
        std::iter::from_fn(|| s.next())
            .map(|sent| (sent.seq, sent.flags & CWR != 0))
            .collect()
    };
    s.inject(ack(1).sack(&[(1001, 4001)]));
    assert_eq!(sent(&mut s), [(1, false)]);
    s.inject(ack(1).sack(&[(1001, 10_001)]));
    let new = sent(&mut s);
    let from_10 = [
        (10_001, true),
        (11_001, false),
        (12_001, false),
        (13_001, false),
    ];
    assert_eq!(new[..4], from_10);
    // Three that were sent after the copy.
    s.inject(ack(1).sack(&[(1001, 13_001)]));
    assert_eq!(sent(&mut s)[0], (1, false));
    let next = 10_001 + 1000 * new.len() as u32;
    s.inject(ack(next));
    feed(&mut s);
    assert_eq!(sent(&mut s)[..2], [(next, true), (next + 1000, false)]);
}

#[test]
fn an_ece_that_acknowledges_nothing_of_ours_is_of_no_consequence() {
    let mut s = flight(both());
    // Of what was never sent, and from outside the window.
    s.inject(ece(10_002));
    s.expect(ACK, 10_001, 1, 0);
    s.inject(ece(1001).at(9000));
    s.expect(ACK, 10_001, 1, 0);
    assert_eq!(s.word(CWND), 10_000);
    // Nothing is outstanding.
    let mut s = both();
    s.inject(ece(1)).silence();
    assert_eq!(s.word(SSTHRESH), 65_536);
}

#[test]
fn with_a_cwnd_of_one_segment_new_text_waits_for_the_timer() {
    let mut s = both();
    s.write(&[1; 1000]);
    s.expect(ACK, 1, 1, 1000);
    s.toe.machine.state[0][28] = 1000; // cwnd
    s.toe.machine.state[0][24] = super::super::dup::GROWS;
    s.write(&[2; 3000]).silence();
    s.inject(ece(1001)).silence();
    let rto = s.word(RTO);
    s.ticks(rto - 1).silence().ticks(1);
    let new = s.expect(ACK | CWR, 1001, 1, 1000);
    assert_eq!(new.tos, ECT_0);
    s.silence();
    assert_eq!(s.word(CWND), 1000);
    // An ACK without ECE: slow start or avoidance goes on.
    s.inject(ack(2001));
    s.expect(ACK, 2001, 1, 1000);
}

#[test]
fn with_a_cwnd_of_one_segment_ece_begins_the_timer_anew() {
    let mut s = both();
    s.write(&[1; 1000]);
    s.expect(ACK, 1, 1, 1000);
    s.toe.machine.state[0][28] = 1000; // cwnd
    let rto = s.word(RTO);
    s.ticks(rto / 2);
    // Text of the peer's, whose ACK acknowledges nothing new.
    s.inject(ece(1).at(1).data(b"x"));
    s.expect(ACK, 1001, 2, 0);
    s.ticks(rto - 1).silence().ticks(1);
    assert_eq!(s.expect(ACK, 1, 2, 1000).tos, 0);
}

#[test]
fn cwnd_goes_down_to_one_segment() {
    // CUBIC lowers cwnd, not the flight, by 45/64 (RFC 9438 section 4.6).
    for (fixture, large) in [(reno(both()), 2000), (both(), 5625)] {
        let mut s = fixture;
        s.write(&[1; 1000]);
        s.expect(ACK, 1, 1, 1000);
        for (before, after) in [(8000, large), (2000, 1000), (1500, 1000)] {
            let mut s = s.toe.clone();
            s.machine.state[0][28] = before;
            let mut t = both();
            t.toe = s;
            t.inject(ece(1001)).silence();
            assert_eq!((before, t.word(CWND)), (before, after));
        }
    }
}

#[test]
fn ece_counts_after_more_than_half_of_the_number_space() {
    let mut s = both();
    // As if 2^31 bytes and more had been acknowledged since: what the keepalive interval makes of it.
    s.toe.machine.state[0][32 + 25] = s.word(SND_UNA).wrapping_sub(0x7000_0000);
    s.ticks(2 * KEEPALIVE_INTERVAL).silence();
    assert_eq!(s.word(ECN_RECOVER), s.word(SND_UNA));
    let mut s = flight(reno(s));
    s.inject(ece(1001)).silence();
    assert_eq!(s.word(CWND), 5000);
}

// ---- 6.1.3: the receiver ------------------------------------------------------------------------

#[test]
fn every_ack_has_ece_from_ce_until_cwr() {
    for fixture in [both, with_sack] {
        let mut s = fixture();
        s.inject(ack(1).data(b"a"));
        s.expect(ACK, 1, 2, 0);
        s.inject(ack(1).at(2).data(b"b").ce());
        s.expect(ACK | ECE, 1, 3, 0);
        s.inject(ack(1).at(3).data(b"c"));
        assert_eq!(s.expect(ACK | ECE, 1, 4, 0).tos, 0, "section 6.1.4");
        // With text, too, and ahead of a gap.
        s.write(b"x");
        assert_eq!(s.expect(ACK | ECE, 1, 4, 1).tos, ECT_0);
        s.inject(ack(2).at(9).data(b"z"));
        s.expect(ACK | ECE, 2, 4, 0);
        s.inject(ack(2).at(4).data(b"d").and(CWR));
        s.expect(ACK, 2, 5, 0);
        s.inject(ack(2).at(5).data(b"e"));
        s.expect(ACK, 2, 6, 0);
        s.counted(Cause::CongestionExperienced, 1);
        assert_eq!(s.read(), b"abcde");
    }
}

#[test]
fn cwr_with_ce_begins_anew() {
    let mut s = both();
    s.inject(ack(1).data(b"a").ce());
    s.expect(ACK | ECE, 1, 2, 0);
    s.inject(ack(1).at(2).data(b"b").and(CWR).ce());
    s.expect(ACK | ECE, 1, 3, 0);
    s.inject(ack(1).at(3).data(b"c").and(CWR));
    s.expect(ACK, 1, 4, 0);
    s.counted(Cause::CongestionExperienced, 2);
}

#[test]
fn ect_alone_is_no_mark() {
    for codepoint in [ECT_0, ECT_1] {
        let mut s = both();
        let mut text = ack(1).data(b"a");
        text.tos = codepoint;
        s.inject(text);
        s.expect(ACK, 1, 2, 0);
        s.counted(Cause::CongestionExperienced, 0);
    }
}

#[test]
fn ce_with_timestamps_delayed_acks_and_a_fin() {
    let config = ToeConfig {
        delayed_ack: true,
        ..wide()
    };
    let mut s = Script::with(config);
    s.inject(asks().stamps(7, 0));
    let (first, _) = s
        .expect(SYN | ACK | ECE, 0, 1, 0)
        .stamps
        .expect("timestamps");
    s.ecn = true;
    let seg = |seq: u32| ack(1).at(seq).stamps(9, first);
    s.inject(seg(1)).silence();
    s.inject(seg(1).data(b"a").ce());
    let told = s.expect(ACK | ECE, 1, 2, 0);
    assert!(told.stamps.is_some());
    s.inject(seg(2).data(b"b")).silence();
    s.ticks(200);
    s.expect(ACK | ECE, 1, 3, 0);
    s.inject(seg(3).data(b"c").and(FIN).ce());
    s.expect(ACK | ECE, 1, 5, 0);
    s.close();
    s.expect(FIN | ACK | ECE, 1, 5, 0);
    s.counted(Cause::CongestionExperienced, 2);
    s.inject(seg(5).at(5)).state("LAST-ACK");
}

#[test]
fn ce_on_the_text_that_comes_with_the_ack_of_our_syn() {
    let mut s = Script::with(wide());
    s.inject(asks());
    s.expect(SYN | ACK | ECE, 0, 1, 0);
    s.inject(ack(1).data(b"a").ce());
    s.expect(ACK | ECE, 1, 2, 0);
    s.state("ESTABLISHED")
        .counted(Cause::CongestionExperienced, 1);
    s.ecn = true;
    s.write(b"x");
    assert_eq!(s.expect(ACK | ECE, 1, 2, 1).tos, ECT_0);
}

#[test]
fn a_rst_has_no_mark_and_the_next_connection_of_the_slot_none_of_this_one_s() {
    let mut s = both();
    s.inject(ack(1).data(b"a").ce());
    s.expect(ACK | ECE, 1, 2, 0);
    s.abort();
    assert_eq!(s.expect(RST | ACK, 1, 2, 0).tos, 0);
    s.silence().slots(0);
    s.ecn = false;
    s.inject(seg(SYN, 0, 0).mss(1000));
    let ours = s.next().expect("SYN-ACK");
    assert_eq!(ours.flags, SYN | ACK);
    let next = ours.seq.wrapping_add(1);
    s.inject(seg(ACK, 1, next)).silence();
    s.write(b"x");
    s.expect(ACK, next, 1, 1);
    assert_eq!(s.toe.blocks.marks[0] & (mark::ECT | mark::ECE), 0);
}

// ---- 6.1.4 to 6.1.6 -----------------------------------------------------------------------------

#[test]
fn pure_acks_fins_and_keepalive_probes_have_no_ect() {
    let mut s = both();
    s.inject(ack(1).data(b"a"));
    assert_eq!(s.expect(ACK, 1, 2, 0).tos, 0);
    s.option(crate::tcp::program::host::ConnectionOption::Keepalive(4));
    s.ticks(4 * KEEPALIVE_INTERVAL);
    let probe = s.next().expect("a probe");
    assert_eq!((probe.seq, probe.tos), (0, 0));
    s.inject(ack(1).at(2));
    s.close();
    while let Some(fin) = s.next() {
        assert_eq!(fin.tos, 0);
    }
}

#[test]
fn what_goes_again_has_no_ect() {
    // By the timer, and as a probe of the tail.
    for (fixture, segments) in [(both as fn() -> Script, 1), (with_sack, 3)] {
        let mut s = fixture();
        s.write(&vec![1; segments * 1000]);
        for n in 0..segments {
            assert_eq!(s.expect(ACK, 1 + n as u32 * 1000, 1, 1000).tos, ECT_0);
        }
        s.ticks(5000);
        let mut again = 0;
        while let Some(sent) = s.next() {
            assert_eq!((sent.tos, sent.flags & CWR), (0, 0), "{sent:?}");
            again += 1;
        }
        assert!(again >= 2, "{again}");
    }
}

#[test]
fn what_sack_finds_lost_goes_again_without_ect() {
    let mut s = flight(with_sack());
    s.inject(ack(1).sack(&[(1001, 8001)]));
    let mut again = 0;
    while let Some(sent) = s.next() {
        assert_eq!(sent.tos, if sent.seq < 10_001 { 0 } else { ECT_0 });
        again += u32::from(sent.seq == 1);
    }
    assert_eq!(again, 1);
}

#[test]
fn ce_out_of_the_window_is_ignored() {
    let mut s = both();
    s.inject(ack(1).data(b"a"));
    s.expect(ACK, 1, 2, 0);
    // Old text, and text beyond the window.
    s.inject(ack(1).at(1).data(b"a").ce());
    s.expect(ACK, 1, 2, 0);
    s.inject(ack(1).at(9000).data(b"z").ce());
    s.expect(ACK, 1, 2, 0);
    s.counted(Cause::CongestionExperienced, 0);
    // And so is CWR.
    s.inject(ack(1).at(2).data(b"b").ce());
    s.expect(ACK | ECE, 1, 3, 0);
    s.inject(ack(1).at(2).data(b"b").and(CWR));
    s.expect(ACK | ECE, 1, 3, 0);
}

#[test]
fn a_pure_ack_with_ce_is_ignored() {
    let mut s = both();
    s.inject(ack(1).ce()).silence();
    s.inject(ack(1).data(b"a"));
    s.expect(ACK, 1, 2, 0);
    s.counted(Cause::CongestionExperienced, 0);
}

#[test]
fn a_window_probe_has_neither_ect_nor_cwr() {
    let mut s = opened(wide(), asks().wnd(0));
    s.inject(ack(1).wnd(0)).silence();
    s.write(b"hello").silence();
    s.toe.blocks.marks[0] |= mark::CWR;
    for _ in 0..3 {
        let rto = s.word(RTO);
        s.ticks(rto);
        let probe = s.expect(ACK, 1, 1, 1);
        assert_eq!(probe.tos, 0);
        s.inject(ack(1).wnd(0)).silence();
    }
    s.inject(ack(1).wnd(100));
    assert_eq!(s.expect(ACK, 1, 1, 1).tos, 0, "again");
    assert_eq!(s.expect(ACK | CWR, 2, 1, 4).tos, ECT_0);
}

#[test]
fn ce_on_a_window_probe_counts() {
    let mut s = both();
    for _ in 0..8 {
        let at = s.theirs(RCV_NXT);
        s.inject(ack(1).at(at).data(&[1; 1024]));
        while s.next().is_some() {}
    }
    assert_eq!(s.theirs(RCV_NXT), 8193);
    // The window is shut: its edge is where a probe stands. It holds nothing that is taken, so its mark is one of what is out of the window.
    s.inject(ack(1).at(8193).data(b"p").ce());
    s.expect(ACK | ECE, 1, 8193, 0);
    s.counted(Cause::CongestionExperienced, 1);
}

// ---- what it costs ------------------------------------------------------------------------------

#[test]
fn what_marks_cost() {
    let bound = |s: &mut Script, what: &str, segment: Seg, most: u64| {
        s.arrive(segment);
        s.toe.step().expect("no fault");
        let cycles = s.toe.cost.cycles;
        println!("{what:40} {cycles:4} cycles of {most}");
        assert!(
            cycles <= most,
            "{what}: {cycles} cycles, {}",
            s.toe.machine.trace.as_ref().expect("traced")
        );
        s.settle();
        while s.next().is_some() {}
    };
    let mut s = Script::with(wide());
    bound(&mut s, "SYN that asks", asks(), 170);
    bound(&mut s, "ACK of our SYN", ack(1), 170);
    s.ecn = true;
    bound(&mut s, "text in order", ack(1).data(&[1; 100]), 90);
    bound(
        &mut s,
        "text with CE",
        ack(1).at(101).data(&[1; 100]).ce(),
        180,
    );
    bound(
        &mut s,
        "text in order, ECE",
        ack(1).at(201).data(&[1; 100]),
        90,
    );
    feed(&mut s);
    while s.next().is_some() {}
    bound(&mut s, "ECE that lowers cwnd", ece(1001).at(301), 170);
    bound(&mut s, "ECE that does not", ece(2001).at(301), 170);
    let mut text = ece(3001).at(301).data(&[1; 100]).and(CWR).ce();
    bound(&mut s, "all at once", text.clone(), 180);
    let unmarked = ack(3001).at(601).data(&[1; 100]);
    bound(&mut s, "ahead of a gap, text of ours waits", unmarked, 200);
    text.seq = 901;
    bound(&mut s, "the same with marks", text, 265);
    let mut s = Script::with(wide());
    bound(
        &mut s,
        "SYN with timestamps",
        seg(SYN, 0, 0).mss(1000).stamps(7, 0),
        190,
    );
    let mut s = Script::with(wide());
    bound(
        &mut s,
        "that asks",
        asks().stamps(7, 0).sack_permitted(),
        200,
    );
    let mut s = Script::with(wide());
    s.connect_with_ecn();
    s.next().expect("a SYN");
    bound(
        &mut s,
        "SYN-ACK that agrees",
        seg(SYN | ACK | ECE, 0, 1).mss(1000),
        285,
    );
}
