//! Timestamps and PAWS (RFC 7323), and what they do for TIME-WAIT (RFC 6191).
use super::super::script::*;
use super::super::words::*;
use super::super::{constant, dup, state};
use super::FAR;
use crate::config::{Owner, ToeConfig};
use crate::counters::Cause;

/// The peer's clock when a script begins: it wraps soon.
const T: u32 = 0xFFFF_FFF8;

/// The peer's timestamp, `n` later than its SYN's. The echo is our SYN-ACK's.
fn at(n: u32) -> u32 {
    T.wrapping_add(n)
}

/// A connection with timestamps; what it had in its SYN-ACK as TSval.
struct Stamped {
    s: Script,
    first: u32,
}

impl Stamped {
    fn with(config: ToeConfig, syn: Seg) -> Self {
        let mut s = Script::with(config);
        let wnd = syn.wnd;
        s.inject(syn.stamps(T, 0));
        let answer = s.expect(SYN | ACK, 0, 1, 0);
        let (first, echo) = answer.stamps.expect("timestamps");
        assert_eq!(echo, T);
        s.inject(seg(ACK, 1, 1).wnd(wnd).stamps(T, first)).silence();
        s.state("ESTABLISHED");
        Self { s, first }
    }

    fn new() -> Self {
        Self::with(config(), seg(SYN, 0, 0).mss(1000).sack_permitted())
    }

    /// A segment of the peer's whose timestamp is `n` later than its SYN's.
    fn seg(&self, flags: u8, seq: u32, ack: u32, n: u32) -> Seg {
        seg(flags, seq, ack).stamps(at(n), self.first)
    }

    /// The next segment out; what it echoes, as later than the peer's SYN.
    #[track_caller]
    fn echoes(&mut self, flags: u8, seq: u32, ack: u32, length: usize) -> u32 {
        let s = self.s.expect(flags, seq, ack, length);
        s.stamps.expect("timestamps").1.wrapping_sub(T)
    }
}

// ---- section 3: the option ----------------------------------------------------------------------

#[test]
fn a_syn_ack_has_them_if_the_syn_had() {
    for stamps in [false, true] {
        for sack in [false, true] {
            let mut s = Script::new();
            let mut syn = seg(SYN, 0, 0).mss(1000);
            syn.sack_permitted = sack;
            if stamps {
                syn = syn.stamps(T, 77);
            }
            s.inject(syn);
            // The first, and two that go again.
            let mut before = None;
            for wait in [1000, 2000, 0] {
                let answer = s.expect(SYN | ACK, 0, 1, 0);
                assert_eq!((answer.mss, answer.sack_permitted), (Some(1460), sack));
                assert_eq!(answer.stamps.map(|t| t.1), stamps.then_some(T));
                let value = answer.stamps.map(|t| t.0);
                if let (Some(now), Some((then, waited))) = (value, before) {
                    assert_eq!(now - then, waited, "the clock's milliseconds");
                }
                before = value.map(|v| (v, wait));
                s.silence().ticks(wait);
            }
        }
    }
}

#[test]
fn our_syn_has_them_with_no_echo_and_the_answer_decides() {
    for stamps in [false, true] {
        let mut s = Script::new();
        s.connect();
        let first = s.expect(SYN, 0, 0, 0);
        let (value, echo) = first.stamps.expect("timestamps");
        assert_eq!(echo, 0);
        s.ticks(1000);
        let again = s.expect(SYN, 0, 0, 0);
        assert_eq!(again.stamps, Some((value + 1000, 0)));
        let mut answer = seg(SYN | ACK, 0, 1).mss(1000);
        if stamps {
            answer = answer.stamps(T, value + 1000);
        }
        s.inject(answer);
        let ack = s.expect(ACK, 1, 1, 0);
        assert_eq!(ack.stamps.map(|t| t.1), stamps.then_some(T));
        s.write(&[1; 1000]);
        let text = s.expect(ACK, 1, 1, if stamps { 988 } else { 1000 });
        assert_eq!(text.stamps.map(|t| t.1), stamps.then_some(T));
    }
}

#[test]
fn a_simultaneous_open_has_them() {
    let mut s = Script::new();
    s.connect();
    let value = s.expect(SYN, 0, 0, 0).stamps.expect("timestamps").0;
    s.inject(seg(SYN, 0, 0).mss(900).stamps(T, 0));
    let answer = s.expect(SYN | ACK, 0, 1, 0);
    assert_eq!(answer.stamps, Some((value, T)));
    s.inject(seg(SYN | ACK, 0, 1).mss(900).stamps(at(1), value));
    assert_eq!(s.expect(ACK, 1, 1, 0).stamps, Some((value, T)));
    s.inject(seg(ACK, 1, 1).stamps(at(1), value)).silence();
    s.state("ESTABLISHED").write(&[1; 1000]);
    assert_eq!(s.expect(ACK, 1, 1, 888).stamps, Some((value, at(1))));
}

#[test]
fn the_options_of_a_syn_stand_as_linux_has_them() {
    // MSS, SACK-permitted, timestamps; without SACK two no-operations.
    for sack in [false, true] {
        let mut s = Script::new();
        let mut syn = seg(SYN, 0, 0).mss(1000).stamps(T, 0);
        syn.sack_permitted = sack;
        s.inject(syn);
        let p = s.toe.packet_out().expect("a SYN-ACK").bytes;
        let third = if sack { [4, 2, 8, 10] } else { [1, 1, 8, 10] };
        assert_eq!(p[40..48], [&[2, 4, 0x05, 0xB4], &third[..]].concat());
        assert_eq!((p[32] >> 4, p.len()), (9, 56));
        assert_eq!(p[52..56], T.to_be_bytes());
    }
}

#[test]
fn every_segment_but_a_reset_has_them() {
    let mut c = Stamped::new();
    c.s.write(b"ab");
    assert_eq!(c.echoes(ACK, 1, 1, 2), 0);
    c.s.inject(c.seg(ACK, 1, 3, 1)).silence();
    c.s.inject(c.seg(ACK, 1, 3, 2).data(b"x"));
    assert_eq!(c.echoes(ACK, 3, 2, 0), 2);
    // A duplicate, a challenge, what is beyond the window, and a number that was never sent.
    c.s.inject(c.seg(ACK, 1, 3, 3).data(b"x"));
    assert_eq!(c.echoes(ACK, 3, 2, 0), 2);
    for odd in [
        c.seg(SYN, 5, 0, 3),
        c.seg(RST, 5, 0, 3),
        c.seg(ACK, 20_000, 3, 3),
        c.seg(ACK, 2, 4, 3),
    ] {
        c.s.inject(odd);
        let ack = c.s.expect(ACK, 3, 2, 0);
        assert_eq!(ack.stamps.map(|t| t.0), Some(c.first));
    }
    // An update of the window, and FINs.
    for n in 0..8 {
        c.s.inject(c.seg(ACK, 2 + n * 1024, 3, 4).data(&[1; 1024]));
        c.s.next().expect("an ACK");
    }
    c.s.silence().read();
    assert_eq!(c.echoes(ACK, 3, 8193, 0), 4);
    c.s.close();
    assert_eq!(c.echoes(FIN | ACK, 3, 8193, 0), 4);
    let rto = c.s.word(RTO);
    c.s.ticks(rto);
    assert_eq!(c.echoes(FIN | ACK, 3, 8193, 0), 4);
    c.s.inject(c.seg(ACK, 8193, 4, 5)).silence();
    c.s.state("FIN-WAIT-2");
    // The probe of FIN-WAIT-2.
    c.s.ticks(2 * constant::KEEPALIVE_INTERVAL);
    assert_eq!(c.echoes(ACK, 3, 8193, 0), 5);
    c.s.inject(c.seg(ACK, 8193, 4, 6)).silence().abort();
    let rst = c.s.expect(RST | ACK, 4, 8193, 0);
    assert_eq!(rst.stamps, None);
}

#[test]
fn a_zero_window_s_probe_and_the_ack_beside_it_have_them() {
    let mut c = Stamped::with(config(), seg(SYN, 0, 0).mss(1000).wnd(0).sack_permitted());
    c.s.write(b"text");
    let rto = c.s.word(RTO);
    c.s.ticks(rto);
    assert_eq!(c.echoes(ACK, 1, 1, 1), 0);
    c.s.inject(c.seg(ACK, 1, 1, 1).wnd(0).data(b"x"));
    // It stands at the window's edge.
    assert_eq!(c.echoes(ACK, 1, 2, 0), 1);
    c.s.inject(c.seg(ACK, 2, 1, 2));
    assert_eq!(c.echoes(ACK, 1, 2, 1), 2);
}

#[test]
fn a_segment_without_them_is_dropped_but_a_reset_is_not() {
    let mut c = Stamped::new();
    c.s.inject(seg(ACK, 1, 1).data(b"x")).silence();
    c.s.inject(seg(ACK, 5, 1).data(b"x")).silence();
    c.s.counted(Cause::Unacceptable, 2).slots(1);
    assert_eq!(c.s.read(), b"");
    // A SYN is challenged whatever it has: a peer that has lost all must be told.
    c.s.inject(seg(SYN, 900, 0));
    c.s.expect(ACK, 1, 1, 0);
    c.s.inject(seg(RST, 1, 0)).silence().state("CLOSED");
    c.s.slots(0);
}

#[test]
fn each_segment_has_so_much_less_text() {
    // RFC 6691: what the options take comes off the peer's MSS, and of ours.
    for (mss, most) in [
        (None, 524),
        (Some(1460), 1448),
        (Some(9000), 1448),
        (Some(536), 524),
        (Some(14), 2),
        (Some(13), 1),
        (Some(12), 1),
        (Some(1), 1),
    ] {
        let mut syn = seg(SYN, 0, 0);
        syn.mss = mss;
        let mut c = Stamped::with(config(), syn);
        c.s.model_only("the switch keeps some descriptors back, and offers less room");
        c.s.toe.host_write(0, &[7; 3000]);
        c.s.settle();
        assert_eq!(c.s.next().expect("text").data.len(), most, "{mss:?}");
    }
}

#[test]
fn beside_them_two_blocks_have_room() {
    let mut c = Stamped::new();
    for (seq, blocks) in [
        (11, vec![(11, 12)]),
        (21, vec![(21, 22), (11, 12)]),
        (31, vec![(31, 32), (21, 22)]),
    ] {
        c.s.inject(c.seg(ACK, seq, 1, 1).data(b"x"));
        let ack = c.s.expect(ACK, 1, 1, 0);
        assert_eq!(ack.sack, blocks);
        assert_eq!(ack.stamps.map(|t| t.1), Some(T));
    }
    // RFC 2883: what came twice is first.
    c.s.inject(c.seg(ACK, 1, 1, 2).data(b"y"));
    assert_eq!(c.s.expect(ACK, 1, 2, 0).sack.len(), 2);
    c.s.inject(c.seg(ACK, 1, 1, 3).data(b"y"));
    assert_eq!(c.s.expect(ACK, 1, 2, 0).sack, [(1, 2), (31, 32)]);
}

#[test]
fn what_came_twice_is_told_of_without_a_gap() {
    let mut c = Stamped::new();
    c.s.inject(c.seg(ACK, 1, 1, 1).data(b"abcd"));
    assert_eq!(c.s.expect(ACK, 1, 5, 0).sack, []);
    c.s.inject(c.seg(ACK, 1, 1, 2).data(b"abcd"));
    assert_eq!(c.s.expect(ACK, 1, 5, 0).sack, [(1, 5)]);
    c.s.inject(c.seg(ACK, 0, 1, 3));
    assert_eq!(c.s.expect(ACK, 1, 5, 0).sack, []);
}

#[test]
fn what_the_receive_ring_did_not_place_is_not_acknowledged() {
    // All in the queue before there is a connection: the text has to come again.
    let mut s = Script::new();
    s.model_only(
        "on the line they come one behind the other, and the first has had its answer by then",
    );
    s.arrive(seg(SYN, 0, 0).mss(1000).stamps(T, 0));
    s.arrive(seg(ACK, 1, 1).stamps(T, 0));
    s.arrive(seg(ACK, 1, 1).stamps(at(1), 0).data(b"text"));
    s.settle().expect(SYN | ACK, 0, 1, 0);
    assert_eq!(s.expect(ACK, 1, 1, 0).stamps.map(|t| t.1), Some(at(1)));
    s.silence()
        .state("ESTABLISHED")
        .counted(Cause::OutOfOrder, 0);
    s.inject(seg(ACK, 1, 1).stamps(at(2), 0).data(b"text"));
    assert_eq!(s.expect(ACK, 1, 5, 0).stamps.map(|t| t.1), Some(at(2)));
    assert_eq!(s.read(), b"text");
}

#[test]
fn without_sack_there_are_timestamps_alone() {
    let mut c = Stamped::with(config(), seg(SYN, 0, 0).mss(1000));
    c.s.inject(c.seg(ACK, 11, 1, 1).data(b"x"));
    let ack = c.s.expect(ACK, 1, 1, 0);
    assert_eq!((ack.sack, ack.stamps), (vec![], Some((c.first, T))));
}

// ---- section 4: which one is echoed -------------------------------------------------------------

#[test]
fn a_delayed_ack_echoes_the_earliest_segment_it_is_for() {
    let delaying = ToeConfig {
        delayed_ack: true,
        ..config()
    };
    let mut c = Stamped::with(delaying, seg(SYN, 0, 0).mss(1000));
    c.s.inject(c.seg(ACK, 1, 1, 5).data(b"a")).silence();
    c.s.inject(c.seg(ACK, 2, 1, 9).data(b"b"));
    assert_eq!(c.echoes(ACK, 1, 3, 0), 5);
    c.s.inject(c.seg(ACK, 3, 1, 12).data(b"c")).silence();
    c.s.ticks(constant::DELAYED_ACK);
    assert_eq!(c.echoes(ACK, 1, 4, 0), 12);
    c.s.inject(c.seg(ACK, 4, 1, 20).data(b"d")).silence();
    c.s.write(b"text");
    assert_eq!(c.echoes(ACK, 1, 5, 4), 20);
}

#[test]
fn ahead_of_a_gap_the_last_that_advanced_and_then_the_one_that_fills_it() {
    let mut c = Stamped::new();
    c.s.inject(c.seg(ACK, 1, 1, 1).data(b"a"));
    assert_eq!(c.echoes(ACK, 1, 2, 0), 1);
    c.s.inject(c.seg(ACK, 3, 1, 3).data(b"c"));
    assert_eq!(c.echoes(ACK, 1, 2, 0), 1);
    c.s.inject(c.seg(ACK, 4, 1, 4).data(b"d"));
    assert_eq!(c.echoes(ACK, 1, 2, 0), 1);
    // It was sent earlier than those.
    c.s.inject(c.seg(ACK, 2, 1, 2).data(b"b"));
    assert_eq!(c.echoes(ACK, 1, 5, 0), 2);
    assert_eq!(c.s.read(), b"abcd");
    c.s.inject(c.seg(ACK, 5, 1, 5).data(b"e"));
    assert_eq!(c.echoes(ACK, 1, 6, 0), 5);
}

#[test]
fn what_is_kept_comes_from_acceptable_segments_and_never_decreases() {
    let mut c = Stamped::new();
    c.s.inject(c.seg(ACK, 1, 1, 10).data(b"abcd"));
    assert_eq!(c.echoes(ACK, 1, 5, 0), 10);
    for (seq, length, n, echo) in [
        // Left of the window, its end at RCV.NXT, right of it, and reaching into it.
        (1, 3, 50, 10),
        (1, 4, 50, 10),
        (4, 1, 50, 10),
        (9000, 1, 50, 10),
        (5 + FAR, 1, 50, 10),
        (4, 2, 50, 50),
        // As late as the last.
        (6, 1, 50, 50),
        (7, 0, 60, 60),
    ] {
        c.s.inject(c.seg(ACK, seq, 1, n).data(&vec![9; length]));
        while c.s.next().is_some() {}
        assert_eq!(
            c.s.word(TS_RECENT).wrapping_sub(T),
            echo,
            "{length} bytes at {seq}"
        );
    }
}

#[test]
fn a_fin_behind_text_that_came_before_is_kept_once() {
    let mut c = Stamped::new();
    c.s.inject(c.seg(ACK, 1, 1, 10).data(b"abcd"));
    assert_eq!(c.echoes(ACK, 1, 5, 0), 10);
    for (seq, length, n, ack, echo) in [
        (1, 3, 50, 5, 10),
        (1, 4, 50, 6, 50),
        (1, 4, 60, 6, 50),
        (1 + FAR, 4, 60, 6, 50),
        (6, 0, 60, 6, 60),
    ] {
        c.s.inject(c.seg(ACK | FIN, seq, 1, n).data(&vec![b'x'; length]));
        assert_eq!(c.echoes(ACK, 1, ack, 0), echo, "{length} bytes at {seq}");
    }
}

#[test]
fn a_late_segment_that_completes_the_handshake_counts() {
    let mut s = Script::new();
    s.inject(seg(SYN, 0, 0).mss(1000).stamps(T, 0));
    let first = s.expect(SYN | ACK, 0, 1, 0).stamps.expect("timestamps").0;
    // Its ACK is lost, and text comes a second later.
    s.inject(seg(ACK, 1, 1).stamps(at(1000), first).data(b"x"));
    assert_eq!(s.expect(ACK, 1, 2, 0).stamps, Some((first, at(1000))));
}

// ---- section 4.1: round trips -------------------------------------------------------------------

#[test]
fn what_went_again_is_measured_and_the_back_off_is_over() {
    for sack in [false, true] {
        let mut syn = seg(SYN, 0, 0).mss(1000);
        syn.sack_permitted = sack;
        let mut c = Stamped::with(config(), syn);
        c.s.write(b"a");
        c.s.expect(ACK, 1, 1, 1);
        c.s.ticks(20);
        let sent = c.first;
        c.s.inject(seg(ACK, 1, 2).stamps(at(20), sent));
        let rto = c.s.word(RTO);
        assert_eq!(rto, constant::RTO_MIN);
        c.s.write(b"b");
        c.s.expect(ACK, 2, 1, 1);
        c.s.ticks(rto);
        c.s.expect(ACK, 2, 1, 1);
        c.s.ticks(2 * rto);
        let again = c.s.expect(ACK, 2, 1, 1).stamps.expect("timestamps").0;
        assert_eq!(again - sent, 20 + 3 * rto);
        assert_eq!(c.s.word(RTO), 4 * rto);
        // The ACK echoes the last: a round trip of 30 ms, not of 630. (That of the SYN took none.)
        c.s.ticks(30);
        c.s.inject(seg(ACK, 1, 3).stamps(at(700), again)).silence();
        assert_eq!(c.s.word(RTO), constant::RTO_MIN);
        assert_eq!(c.s.word(SRTT), srtt_after(0, &[20, 30]));
        // And one that echoes the first measures what that took.
        c.s.write(b"c");
        let sent = c.s.expect(ACK, 3, 1, 1).stamps.expect("timestamps").0;
        let rto = c.s.word(RTO);
        c.s.ticks(rto);
        c.s.expect(ACK, 3, 1, 1);
        c.s.ticks(10);
        c.s.inject(seg(ACK, 1, 4).stamps(at(900), sent)).silence();
        let sample = rto + 10;
        assert_eq!(c.s.word(SRTT), srtt_after(0, &[20, 30, sample]));
    }
}

/// RFC 6298 section 2.3 with 8 SRTT.
fn srtt_after(mut srtt: u32, samples: &[u32]) -> u32 {
    for r in samples {
        srtt = (i64::from(srtt) + i64::from(*r) - i64::from(srtt >> 3)) as u32;
    }
    srtt
}

#[test]
fn an_echo_of_what_was_never_sent_measures_nothing() {
    for echo in [0, 1, FAR] {
        let mut c = Stamped::new();
        c.s.write(b"a");
        c.s.expect(ACK, 1, 1, 1);
        let before = (c.s.word(SRTT), c.s.word(RTO));
        c.s.inject(seg(ACK, 1, 2).stamps(at(1), c.first.wrapping_add(1 + echo)))
            .silence();
        assert_eq!((c.s.word(SRTT), c.s.word(RTO)), before, "echo + {echo}");
        assert_eq!(c.s.ours(SND_UNA), 2);
        // The next is measured again.
        c.s.write(b"b");
        let sent = c.s.expect(ACK, 2, 1, 1).stamps.expect("timestamps").0;
        c.s.ticks(40);
        c.s.inject(seg(ACK, 1, 3).stamps(at(2), sent)).silence();
        assert_ne!(c.s.word(SRTT), before.0);
    }
}

#[test]
fn one_measurement_a_round_trip() {
    // Section 4.2: several would have to be weighed.
    let mut c = Stamped::with(config(), seg(SYN, 0, 0).mss(1012).wnd(60_000));
    c.s.toe.host_write(0, &[7; 4000]);
    c.s.settle();
    let sent = c.s.expect(ACK, 1, 1, 1000).stamps.expect("timestamps").0;
    for n in 1..4 {
        c.s.expect(ACK, 1 + n * 1000, 1, 1000);
    }
    c.s.ticks(24);
    let srtt = c.s.word(SRTT);
    let mut moved = 0;
    let mut last = srtt;
    for n in 1..=4 {
        c.s.inject(seg(ACK, 1, 1 + n * 1000).wnd(60_000).stamps(at(n), sent));
        moved += u32::from(c.s.word(SRTT) != last);
        last = c.s.word(SRTT);
    }
    assert_eq!(moved, 1);
    assert_eq!(last, srtt_after(srtt, &[24]));
}

/// Ten segments of 1,000 bytes are on their way.
fn ten(sack: bool) -> Stamped {
    let config = ToeConfig {
        tx_ring_bytes: 32768,
        ..config()
    };
    let mut syn = seg(SYN, 0, 0).mss(1012).wnd(60_000);
    syn.sack_permitted = sack;
    let mut c = Stamped::with(config, syn);
    c.s.toe.host_write(0, &[7; 10_000]);
    c.s.settle();
    for n in 0..10 {
        c.s.expect(ACK, 1 + n * 1000, 1, 1000);
    }
    c.s.silence().ticks(20);
    c
}

impl Stamped {
    /// An ACK of number `n`, and blocks; what it echoes was sent 20 ms ago.
    fn ack(&mut self, n: u32, blocks: &[(u32, u32)]) -> &mut Script {
        let now = self.s.toe.blocks.timers.clock();
        let sent = self.s.word(TS_OFFSET).wrapping_add(now).wrapping_sub(20);
        let ack = seg(ACK, 1, n).wnd(60_000).sack(blocks);
        self.s.inject(ack.stamps(at(20), sent))
    }
}

#[test]
fn a_hole_that_is_filled_does_not_end_recovery() {
    // RFC 6582 section 3.2, step 3: three of ten are lost, one partial ACK brings the next.
    let mut c = ten(false);
    for _ in 0..7 {
        c.ack(1, &[]);
    }
    c.s.expect(ACK, 1, 1, 1000);
    for (n, next) in [(2001, 2001), (4001, 4001), (6001, 6001)] {
        c.s.silence();
        c.ack(n, &[]).expect(ACK, next, 1, 1000);
        assert_eq!(c.s.ours(RECOVER), 10_002);
        assert_ne!(c.s.word(DUP_ACKS) & dup::RECOVERY, 0);
    }
    let srtt = c.s.word(SRTT);
    c.ack(10_001, &[]).silence();
    assert_eq!(c.s.word(DUP_ACKS) & dup::RECOVERY, 0);
    assert_eq!(c.s.word(SRTT), srtt_after(srtt, &[20]));
    c.s.counted(Cause::Retransmit, 4);
}

#[test]
fn nor_does_it_with_sack() {
    let mut c = ten(true);
    let blocks = [(5001, 10_001), (3001, 4001), (1001, 2001)];
    c.ack(1, &blocks[2..]);
    c.ack(1, &blocks[1..]);
    c.ack(1, &blocks);
    for hole in [1, 2001, 4001] {
        c.s.expect(ACK, hole, 1, 1000);
    }
    c.s.silence();
    let (cwnd, srtt) = (c.s.word(CWND), srtt_after(c.s.word(SRTT), &[20]));
    for (n, left) in [(2001, 2), (4001, 1)] {
        c.ack(n, &blocks[..left]).silence();
        assert_eq!(c.s.ours(RECOVER), 10_002);
        assert_ne!(c.s.word(DUP_ACKS) & dup::SCORE, 0);
        // The first is the measurement that was under way.
        assert_eq!((c.s.word(CWND), c.s.word(SRTT)), (cwnd, srtt));
    }
    c.ack(10_001, &[]).silence();
    assert_eq!(c.s.word(DUP_ACKS) & dup::SCORE, 0);
    assert_eq!(c.s.word(SRTT), srtt);
    c.s.counted(Cause::Retransmit, 3);
}

/// RFC 7323 section 4, RFC 6298 section 5: what was sent again is a measurement, too, and not only once all of it is acknowledged.
#[test]
fn the_first_hole_filled_after_a_timeout_makes_the_rto_right_again() {
    let mut c = ten(true);
    let (pto, rto) = (c.s.word(PTO), c.s.word(RTO));
    c.s.ticks(pto);
    while c.s.next().is_some() {}
    c.s.ticks(rto);
    c.s.expect(ACK, 1, 1, 1000);
    c.s.silence().counted(Cause::RtoExpired, 1);
    assert_eq!(c.s.word(RTO), 2 * rto);
    let recover = c.s.ours(RECOVER);
    c.ack(1001, &[]);
    assert!(c.s.word(RTO) <= rto, "{} of {rto}", c.s.word(RTO));
    assert_eq!(c.s.ours(RECOVER), recover, "it is not all");
    assert_ne!(c.s.word(DUP_ACKS) & dup::SCORE, 0);
}

#[test]
fn after_a_timeout_duplicates_of_the_same_loss_say_nothing() {
    // RFC 6582 section 3.2, step 1 and section 4: what the peer has already comes again, and each draws a duplicate.
    let mut c = ten(false);
    let rto = c.s.word(RTO);
    c.s.ticks(rto);
    c.s.expect(ACK, 1, 1, 1000);
    let halved = c.s.word(SSTHRESH);
    c.ack(1001, &[]);
    for _ in 0..5 {
        c.ack(1001, &[]);
    }
    while let Some(s) = c.s.next() {
        assert_eq!(s.seq % 1000, 1);
    }
    assert_eq!(c.s.word(DUP_ACKS) & dup::RECOVERY, 0);
    assert_eq!((c.s.word(SSTHRESH), c.s.ours(RECOVER)), (halved, 10_002));
}

#[test]
fn a_reset_that_is_challenged_is_told_of_in_no_block() {
    for data in [&b""[..], b"why"] {
        let mut c = Stamped::new();
        c.s.inject(c.seg(RST, 5, 0, 3).data(data));
        let ack = c.s.expect(ACK, 1, 1, 0);
        assert_eq!((ack.sack, ack.stamps), (vec![], Some((c.first, T))));
        // Nor with what is held ahead of a gap.
        c.s.inject(c.seg(ACK, 11, 1, 3).data(b"x"));
        assert_eq!(c.s.expect(ACK, 1, 1, 0).sack, [(11, 12)]);
        c.s.inject(c.seg(RST, 5, 0, 3).data(data));
        assert_eq!(c.s.expect(ACK, 1, 1, 0).sack, [(11, 12)]);
    }
}

#[test]
fn a_guessed_ack_s_timestamp_is_not_kept() {
    // RFC 5961 section 5.2: from less than 65,536 below SND.UNA to SND.NXT.
    for (ack, kept) in [
        (3, false),
        (FAR, false),
        (2, true),
        (1, true),
        (2u32.wrapping_sub(65_535), true),
        (2u32.wrapping_sub(65_537), false),
        (2u32.wrapping_sub(FAR), false),
    ] {
        let mut c = Stamped::new();
        c.s.write(b"a");
        c.s.expect(ACK, 1, 1, 1);
        c.s.inject(c.seg(ACK, 1, 2, 1)).silence();
        c.s.inject(c.seg(ACK, 1, ack, 0x7000_0000).data(b"forged"));
        while c.s.next().is_some() {}
        let recent = c.s.word(TS_RECENT).wrapping_sub(T);
        assert_eq!(recent, if kept { 0x7000_0000 } else { 1 }, "{ack}");
        if !kept {
            c.s.inject(c.seg(ACK, 1, 2, 2).data(b"x"));
            assert_eq!(c.echoes(ACK, 2, 2, 0), 2);
            assert_eq!(c.s.read(), b"x");
        }
    }
}

#[test]
fn a_probe_without_text_is_not_timed() {
    // Of a small window's wait the same words tell.
    let mut c = Stamped::new();
    c.s.close();
    c.echoes(FIN | ACK, 1, 1, 0);
    c.s.ticks(20);
    c.s.inject(c.seg(ACK, 1, 2, 1)).silence();
    let before = (c.s.word(TIMED_AT), c.s.word(TIMED_SEQ));
    assert_eq!(before.0, u32::MAX);
    c.s.ticks(2 * constant::KEEPALIVE_INTERVAL);
    c.echoes(ACK, 1, 1, 0);
    assert_eq!((c.s.word(TIMED_AT), c.s.word(TIMED_SEQ)), before);
}

// ---- section 5: PAWS ----------------------------------------------------------------------------

#[test]
fn an_old_timestamp_is_answered_and_its_segment_dropped() {
    for (n, old) in [
        (10, false),
        (9, true),
        (11, false),
        (10u32.wrapping_sub(FAR), true),
        (9 + FAR, false),
    ] {
        let mut c = Stamped::new();
        c.s.inject(c.seg(ACK, 1, 1, 10).data(b"a"));
        c.s.expect(ACK, 1, 2, 0);
        c.s.inject(c.seg(ACK, 2, 1, n).data(b"b"));
        c.s.expect(ACK, 1, if old { 2 } else { 3 }, 0);
        c.s.silence()
            .counted(Cause::OldTimestamp, u64::from(old))
            .counted(Cause::Unacceptable, u64::from(old))
            .slots(1);
        assert_eq!(c.s.read(), if old { &b"a"[..] } else { b"ab" });
        // A FIN likewise, an ACK, and what is ahead.
        if old {
            c.s.write(b"text");
            c.s.expect(ACK, 1, 2, 4);
            c.s.inject(c.seg(ACK | FIN, 2, 5, n));
            c.s.expect(ACK, 5, 2, 0);
            c.s.silence().state("ESTABLISHED");
            assert_eq!(c.s.ours(SND_UNA), 1);
            c.s.inject(c.seg(ACK, 4, 1, n).data(b"x"));
            assert_eq!(c.s.expect(ACK, 5, 2, 0).sack, []);
        }
    }
}

#[test]
fn a_wrapped_number_does_not_let_an_old_duplicate_in() {
    let mut c = Stamped::new();
    c.s.inject(c.seg(ACK, 1, 1, 1).data(b"old"));
    c.s.expect(ACK, 1, 4, 0);
    // 2^32 bytes later the numbers are the same again.
    c.s.inject(c.seg(ACK, 4, 1, 50_000).data(b"a"));
    c.s.expect(ACK, 1, 5, 0);
    c.s.inject(c.seg(ACK, 5, 1, 2).data(b"dup"));
    c.s.expect(ACK, 1, 5, 0);
    c.s.counted(Cause::OldTimestamp, 1);
    assert_eq!(c.s.read(), b"olda");
}

#[test]
fn a_reset_needs_none_and_may_have_an_old_one() {
    let mut c = Stamped::new();
    c.s.inject(c.seg(ACK, 1, 1, 100).data(b"a"));
    c.s.expect(ACK, 1, 2, 0);
    c.s.inject(c.seg(RST, 2, 0, 1)).silence().state("CLOSED");
    c.s.counted(Cause::OldTimestamp, 0)
        .counted(Cause::ResetIn, 1);
}

#[test]
fn it_comes_before_the_check_of_the_number() {
    let mut c = Stamped::new();
    c.s.inject(c.seg(ACK, 1, 1, 100).data(b"a"));
    c.s.expect(ACK, 1, 2, 0);
    c.s.inject(c.seg(ACK, 40_000, 1, 99).data(b"x"));
    c.s.expect(ACK, 1, 2, 0);
    c.s.silence()
        .counted(Cause::OldTimestamp, 1)
        .counted(Cause::Unacceptable, 1)
        .slots(1);
}

#[test]
fn after_24_days_of_silence_any_timestamp_will_do() {
    for (age, old) in [(FAR - 1, true), (FAR, false), (FAR + 5, false)] {
        let mut c = Stamped::new();
        c.s.inject(c.seg(ACK, 1, 1, 100).data(b"a"));
        c.s.expect(ACK, 1, 2, 0);
        c.s.model_only("its age is set by hand");
        let now = c.s.toe.blocks.timers.clock();
        c.s.toe.machine.state[0][32 + 4] = now.wrapping_sub(age);
        c.s.inject(c.seg(ACK, 2, 1, 7).data(b"b"));
        let echo = c.echoes(ACK, 1, if old { 2 } else { 3 }, 0);
        assert_eq!(echo, if old { 100 } else { 7 });
    }
}

#[test]
fn the_age_begins_with_each_that_is_kept() {
    let mut c = Stamped::new();
    c.s.model_only("its age is set by hand");
    let now = c.s.toe.blocks.timers.clock();
    c.s.toe.machine.state[0][32 + 4] = now.wrapping_sub(FAR - 1);
    c.s.inject(c.seg(ACK, 1, 1, 100).data(b"a"));
    assert_eq!(c.echoes(ACK, 1, 2, 0), 100);
    c.s.ticks(5);
    c.s.inject(c.seg(ACK, 2, 1, 99).data(b"b"));
    assert_eq!(c.echoes(ACK, 1, 2, 0), 100);
    c.s.counted(Cause::OldTimestamp, 1);
}

#[test]
fn and_after_50_days_too() {
    let mut c = Stamped::new();
    c.s.inject(c.seg(ACK, 1, 1, 100).data(b"a"));
    c.s.expect(ACK, 1, 2, 0);
    c.s.model_only("its age is set by hand");
    let now = c.s.toe.blocks.timers.clock();
    c.s.toe.machine.state[0][32 + 4] = now.wrapping_sub(FAR + 1);
    // An interval looks at it; from then on it stays as old as that.
    c.s.ticks(2 * constant::KEEPALIVE_INTERVAL).silence();
    let age = c.s.toe.blocks.timers.clock().wrapping_sub(c.s.word(TS_AGE));
    assert!((FAR..=FAR + constant::KEEPALIVE_INTERVAL).contains(&age));
    c.s.inject(c.seg(ACK, 2, 1, 7).data(b"b"));
    assert_eq!(c.echoes(ACK, 1, 3, 0), 7);
}

#[test]
fn the_clock_runs_on_where_the_timers_have_wrapped() {
    // The timers know 24 bits of it.
    let mut c = Stamped::new();
    let before = c.s.toe.blocks.timers.clock();
    let mut left = 0x200_0000 - 100;
    while left > 0 {
        left -= c.s.toe.skip(left);
        if left > 0 {
            c.s.ticks(1);
            left -= 1;
        }
    }
    c.s.toe.machine.state[0][21] = u32::MAX;
    c.s.write(b"a");
    let (value, _) = c.s.expect(ACK, 1, 1, 1).stamps.expect("timestamps");
    let passed = c.s.toe.blocks.timers.clock().wrapping_sub(before);
    assert_eq!(passed, 0x200_0000 - 100);
    assert_eq!(value.wrapping_sub(c.first), passed);
}

#[test]
fn path_mtu_discovery_makes_room_for_them() {
    // Section 5.7
    for (mtu, most) in [(1400, 1348), (576, 524)] {
        let mut c = Stamped::with(config(), seg(SYN, 0, 0).mss(1460).sack_permitted());
        c.s.toe.host_write(0, &[7; 4000]);
        c.s.settle();
        let first = c.s.next().expect("text");
        assert_eq!(first.data.len(), 1448);
        while c.s.next().is_some() {}
        c.s.error(Error {
            kind: 3,
            code: 4,
            mtu,
            length: 1500,
            seq: 1,
            ports: (HOST_PORT, PEER_PORT),
        });
        // What was cut already goes again in pieces that every path takes.
        assert_eq!(c.s.next().expect("the head again").data.len(), 524);
        assert_eq!(c.s.word(MSS), most);
        c.s.counted(Cause::MtuLowered, 1);
    }
}

// ---- section 7: the offset ----------------------------------------------------------------------

#[test]
fn each_connection_has_an_offset_of_its_own_and_the_next_of_its_tuple_the_same() {
    let first = |key: u64, port: u16, ip: [u8; 4]| {
        let mut s = Script::with(ToeConfig {
            isn_key: key,
            ..config()
        });
        s.toe.set_isn_key(key);
        s.inject(
            seg(SYN, 0, 0)
                .mss(1000)
                .stamps(T, 0)
                .with_source(port)
                .with_address(ip),
        );
        let p = s.toe.packet_out().expect("a SYN-ACK").bytes;
        let word = |at: usize| u32::from_be_bytes([p[at], p[at + 1], p[at + 2], p[at + 3]]);
        (word(48), word(24))
    };
    let a = first(1, 1000, PEER_IP);
    assert_eq!(a, first(1, 1000, PEER_IP));
    let others = [
        first(2, 1000, PEER_IP),
        first(1, 1001, PEER_IP),
        first(1, 1000, [192, 168, 69, 3]),
    ];
    for other in others {
        assert_ne!(a.0, other.0);
        // The difference says nothing of first numbers.
        assert_ne!(a.0.wrapping_sub(other.0), a.1.wrapping_sub(other.1));
    }
}

#[test]
fn without_the_keyed_hash_the_clock_is_bare() {
    let c = Stamped::with(
        ToeConfig {
            isn_hash: false,
            syn_cookies: false,
            ..config()
        },
        seg(SYN, 0, 0).mss(1000),
    );
    assert_eq!(c.first, c.s.toe.blocks.timers.clock());
}

// ---- RFC 6191 -----------------------------------------------------------------------------------

/// A connection in TIME-WAIT, with timestamps or without: both have closed, the peer's last timestamp is `at(10)`, its next number 2.
fn time_wait(stamps: bool) -> Script {
    let stamp = |s: Seg, n: u32| if stamps { s.stamps(at(n), 0) } else { s };
    let mut s = Script::new();
    s.inject(stamp(seg(SYN, 0, 0).mss(1000), 0));
    s.expect(SYN | ACK, 0, 1, 0);
    s.inject(stamp(seg(ACK, 1, 1), 5)).close();
    s.expect(FIN | ACK, 1, 1, 0);
    s.inject(stamp(seg(ACK | FIN, 1, 2), 10));
    let ack = s.expect(ACK, 2, 2, 0);
    assert_eq!(ack.stamps.map(|t| t.1), stamps.then_some(at(10)));
    s.waiting(1).ticks(10);
    // The FIN again.
    let fin = stamp(seg(ACK | FIN, 1, 2), 10);
    let again = s.inject(fin).expect(ACK, 2, 2, 0);
    assert_eq!(again.stamps.map(|t| t.1), stamps.then_some(at(10)));
    s
}

#[test]
fn in_time_wait_a_later_timestamp_opens_anew_and_an_earlier_one_does_not() {
    for (before, now, seq, opens) in [
        (true, Some(11), 2, true),
        (true, Some(11), 2u32.wrapping_sub(40_000), true),
        (true, Some(11), 1, true),
        (true, Some(10), 2, true),
        (true, Some(10), 1, false),
        (true, Some(9), 2, false),
        (true, Some(9), 100, false),
        (true, None, 2, true),
        (true, None, 1, false),
        (false, Some(9), 2, true),
        (false, Some(9), 1, true),
        (false, None, 2, true),
        (false, None, 1, false),
    ] {
        let mut s = time_wait(before);
        let mut syn = seg(SYN, seq, 0).mss(1000);
        if let Some(n) = now {
            syn = syn.stamps(at(n), 0);
        }
        let what = format!("{before}, {now:?}, {seq}");
        s.inject(syn);
        let answer = s.next().expect("an answer");
        s.silence();
        if opens {
            assert_eq!(answer.flags, SYN | ACK, "{what}");
            assert_eq!(answer.ack, seq.wrapping_add(1));
            assert_eq!(answer.stamps.map(|t| t.1), now.map(at));
            // Section 2: ours goes on above, too.
            assert!(answer.seq.wrapping_sub(2) < FAR);
            s.state("SYN-RECEIVED");
        } else {
            assert_eq!((answer.flags, answer.ack), (ACK, 2), "{what}");
            s.waiting(1);
        }
    }
}

#[test]
fn timestamps_of_one_connection_alone_are_not_compared() {
    // The SYN has none, where zero would be later than what the connection had; or the connection had none, and its slot some of an earlier one.
    let half = FAR.wrapping_add(100).wrapping_sub(T);
    let mut c = Stamped::new();
    c.s.inject(c.seg(ACK, 1, 1, FAR - 1)).silence();
    c.s.inject(c.seg(ACK, 1, 1, half)).silence();
    assert_eq!(c.s.word(TS_RECENT), FAR + 100);
    c.s.close();
    c.echoes(FIN | ACK, 1, 1, 0);
    c.s.inject(c.seg(ACK | FIN, 1, 2, half));
    c.echoes(ACK, 2, 2, 0);
    c.s.waiting(1).ticks(10).inject(seg(SYN, 1, 0).mss(1000));
    c.s.expect(ACK, 2, 2, 0);
    c.s.waiting(1);

    let mut s = Script::established();
    s.toe.machine.state[0][32 + 2] = at(1000);
    s.close().expect(FIN | ACK, 1, 1, 0);
    s.inject(seg(ACK | FIN, 1, 2)).expect(ACK, 2, 2, 0);
    s.waiting(1)
        .ticks(10)
        .inject(seg(SYN, 1, 0).stamps(at(9), 0));
    assert_eq!(s.next().map(|s| s.flags), Some(SYN | ACK));
}

#[test]
fn our_timestamps_of_a_tuple_go_on_above_those_of_the_connection_before() {
    let mut s = Script::new();
    let mut last = None;
    for round in 0..3 {
        let number = 10 * round;
        s.inject(seg(SYN, number, 0).mss(1000).stamps(at(100 * round), 0));
        let answer = s.next().expect("a SYN-ACK");
        let (value, _) = answer.stamps.expect("timestamps");
        if let Some(last) = last {
            assert!((1..1000).contains(&value.wrapping_sub(last)), "{value}");
        }
        let us = answer.seq;
        let stamp = |s: Seg, n: u32| s.stamps(at(100 * round + n), value);
        s.inject(stamp(seg(ACK, number + 1, us + 1), 1)).close();
        s.expect(FIN | ACK, us + 1, number + 1, 0);
        s.inject(stamp(seg(ACK | FIN, number + 1, us + 2), 2));
        let ack = s.expect(ACK, us + 2, number + 2, 0);
        last = ack.stamps.map(|t| t.0);
        s.ticks(10).waiting(1);
    }
}

#[test]
fn a_segment_in_time_wait_is_held_to_paws() {
    let mut s = time_wait(true);
    s.inject(seg(ACK | FIN, 1, 2).stamps(at(9), 0));
    s.expect(ACK, 2, 2, 0);
    s.counted(Cause::OldTimestamp, 1);
    s.inject(seg(ACK, 2, 2)).silence().waiting(1);
}

// ---- floods and slots ---------------------------------------------------------------------------

#[test]
fn a_slot_that_had_them_has_none_with_the_next_peer() {
    let mut c = Stamped::new();
    c.s.inject(c.seg(RST, 1, 0, 1)).silence().slots(0);
    c.s.inject(seg(SYN, 0, 0).mss(1000));
    assert_eq!(c.s.expect(SYN | ACK, 0, 1, 0).stamps, None);
    c.s.inject(seg(ACK, 1, 1)).silence();
    c.s.inject(seg(ACK, 1, 1).stamps(0, 0).data(b"x"));
    assert_eq!(c.s.expect(ACK, 1, 2, 0).stamps, None);
    c.s.write(&[1; 1000]);
    assert_eq!(c.s.expect(ACK, 1, 2, 1000).stamps, None);
    c.s.state("ESTABLISHED").slots(1);
    assert_eq!(c.s.word(STATE), state::ESTABLISHED);
}

#[test]
fn two_connections_have_clocks_of_their_own() {
    let mut s = Script::new();
    s.toe.set_isn_key(1);
    let mut values = vec![];
    for port in [1000, 1001] {
        s.inject(seg(SYN, 0, 0).mss(1000).stamps(T, 0).with_source(port));
        let answer = s.next().expect("a SYN-ACK");
        values.push((answer.seq, answer.stamps.expect("timestamps").0));
    }
    assert_ne!(values[0].1, values[1].1);
    for (port, (us, value)) in [1000, 1001].into_iter().zip(values) {
        let ack = seg(ACK, 1, us.wrapping_add(1))
            .stamps(T, value)
            .with_source(port);
        s.inject(ack.clone());
        s.inject(ack.data(b"x"));
        let ack = s.expect(ACK, us.wrapping_add(1), 2, 0);
        assert_eq!(ack.stamps, Some((value, T)));
    }
    let owner = s.toe.blocks.attached[1].owner;
    assert_eq!(owner, Some(Owner::Host as u8));
}

/// All that leaves in a few connections with timestamps, one after the other, if that is what is in the far words of each slot, and of each entry of TIME-WAIT, before.
fn dialogues(left: u32) -> Vec<Seg> {
    let mut all = vec![];
    for opening in ["passive", "active", "simultaneous"] {
        let mut s = Script::new();
        s.toe.set_isn(US);
        for words in &mut s.toe.machine.state {
            words[32..].fill(left);
        }
        let mut came = vec![];
        match opening {
            "passive" => {
                came.push(seg(SYN, 0, 0).mss(1000).sack_permitted().stamps(T, 0));
                came.push(seg(ACK, 1, 1).stamps(at(0).wrapping_sub(1), 0));
            }
            "active" => {
                s.connect();
                let answer = seg(SYN | ACK, 0, 1).mss(1000).sack_permitted();
                came.push(answer.stamps(T, 0));
            }
            _ => {
                s.connect();
                came.push(seg(SYN, 0, 0).mss(1000).stamps(T, 0));
                came.push(seg(ACK, 1, 1).stamps(at(3), 0));
            }
        }
        // Old, later, old, ahead of a gap, and what fills it.
        came.push(seg(ACK, 1, 1).stamps(at(0).wrapping_sub(1), 0).data(b"a"));
        came.push(seg(ACK, 1, 1).stamps(at(5), 0).data(b"a"));
        came.push(seg(ACK, 2, 1).stamps(at(4), 0).data(b"b"));
        came.push(seg(ACK, 3, 1).stamps(at(7), 0).data(b"c"));
        came.push(seg(ACK, 2, 1).stamps(at(6), 0).data(b"b"));
        let mut take = |s: &mut Script| all.extend(std::iter::from_fn(|| s.next()));
        for segment in came {
            take(s.inject(segment));
        }
        s.state("ESTABLISHED");
        take(s.write(b"text"));
        // Goes again twice, and all is well then.
        let rto = s.word(RTO);
        take(s.ticks(4 * rto));
        take(s.inject(seg(ACK, 4, 5).stamps(at(8), 0)));
        s.read();
        take(s.close());
        take(s.inject(seg(ACK | FIN, 4, 6).stamps(at(9), 0)));
        s.waiting(1);
        // TIME-WAIT: a later one to echo, an old FIN, or the other way round, the FIN, and a SYN that is too early.
        let mut last = [
            seg(ACK, 5, 6).stamps(at(20), 0),
            seg(ACK | FIN, 4, 6).stamps(at(8), 0),
            seg(ACK | FIN, 4, 6).stamps(at(20), 0),
            seg(SYN, 5, 0).mss(1000).stamps(at(19), 0),
        ];
        if opening == "active" {
            last.swap(0, 1);
        }
        for segment in last {
            take(s.inject(segment));
        }
        s.waiting(1).counted(
            Cause::OldTimestamp,
            if opening == "passive" { 4 } else { 3 },
        );
        // And from there anew.
        take(s.inject(seg(SYN, 5, 0).mss(1000).stamps(at(21), 0)));
        s.state("SYN-RECEIVED");
    }
    all
}

#[test]
fn what_a_slot_s_last_connection_left_says_nothing() {
    let fresh = dialogues(0);
    assert!(fresh.len() > 30);
    for left in [FAR / 2, FAR, FAR + FAR / 2, u32::MAX] {
        let others = dialogues(left);
        assert_eq!(others.len(), fresh.len(), "{left:x} left");
        for (n, pair) in fresh.iter().zip(others).enumerate() {
            assert_eq!(*pair.0, pair.1, "segment {n}, {left:x} left");
        }
    }
}
