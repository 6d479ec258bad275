//! Windows (RFC 9293 section 3.8.6): what is sent into the peer's, what is offered of our own.
use super::super::constant::OVERRIDE;
use super::super::script::*;
use super::super::words::*;
use super::*;
use crate::config::ToeConfig;
use crate::counters::Cause;

/// With this window of the peer, MSS 1000.
fn opened(wnd: u16) -> Script {
    Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(wnd))
}

/// One in which the window then holds one segment. (Of a SYN's that does half is sent at a time.)
fn one_segment() -> Script {
    let mut s = opened(2000);
    s.inject(seg(ACK, 1, 1).wnd(1000)).silence();
    s
}

/// The ends of what leaves now.
fn ends(s: &mut Script) -> Vec<u32> {
    std::iter::from_fn(|| s.next())
        .map(|out| out.seq + out.data.len() as u32)
        .collect()
}

// ---- the peer's ----------------------------------------------------------------------------------

/// Two segments are on their way where the SYN's window holds one of the MSS, but not two: one tells of the other's loss.
#[test]
fn of_a_window_that_holds_no_two_segments_half_is_sent_at_a_time() {
    for (wnd, most) in [
        (1000, 500),
        (1460, 730),
        (1999, 999),
        (2000, 1000),
        (999, 1000),
        (1, 1000),
        (0, 1000),
    ] {
        let mut s = opened(wnd);
        assert_eq!(s.word(MSS), most, "{wnd}");
        if wnd < 1000 {
            continue;
        }
        s.write(&vec![1; 2 * most as usize]);
        s.expect(ACK, 1, 1, most as usize);
        s.expect(ACK, 1 + most, 1, most as usize);
        s.silence();
    }
    // Of the peer's MSS, with 12 bytes of timestamps; and the second's block brings the first again.
    let mut s = Script::with(config());
    let syn = seg(SYN, 0, 0).mss(1460).wnd(1460).sack_permitted();
    s.inject(syn.stamps(7, 0));
    let syn_ack = s.expect(SYN | ACK, 0, 1, 0);
    let at = syn_ack.stamps.expect("timestamps").0;
    let ack = |n: u32| seg(ACK, 1, n).wnd(1460).stamps(7, at);
    s.inject(ack(1)).silence();
    s.write(&[1; 1460]);
    s.expect(ACK, 1, 1, 730);
    s.expect(ACK, 731, 1, 730);
    s.inject(ack(1).sack(&[(731, 1461)]));
    s.expect(ACK, 1, 1, 730);
    s.counted(Cause::RtoExpired, 0);
}

/// Half of a byte is none: the send ring takes no MSS of 0, and a connection that may send nothing would stand still for ever.
#[test]
fn a_window_of_one_byte_is_not_halved() {
    for (mss, wnd, most) in [(1, 1, 1), (1, 2, 1), (2, 2, 1), (2, 3, 1), (3, 3, 1)] {
        let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(mss).wnd(wnd));
        assert_eq!(s.word(MSS), most, "{mss} {wnd}");
        s.write(b"x");
        s.expect(ACK, 1, 1, 1);
        s.inject(seg(ACK, 1, 2).wnd(wnd)).silence();
        s.close().expect(FIN | ACK, 2, 1, 0);
    }
}

#[test]
fn the_window_is_an_unsigned_number() {
    // MUST-1
    for wnd in [0x7FFF, 0x8000, 0xFFFF] {
        let mut s = opened(wnd);
        assert_eq!(s.word(SND_WND), u32::from(wnd));
        s.write(&[1; 1000]);
        s.expect(ACK, 1, 1, 1000);
    }
}

#[test]
fn nothing_new_is_sent_beyond_the_window() {
    for wnd in [1, 999, 1000, 1001, 2000, 2999, 3000] {
        let mut s = opened(wnd);
        s.write(&[1; 4000]);
        let edge = 1 + u32::from(wnd);
        assert!(ends(&mut s).iter().all(|end| *end <= edge), "{wnd}");
    }
}

#[test]
fn the_window_is_counted_from_what_is_acknowledged() {
    let mut s = opened(2000);
    s.write(&[1; 4000]);
    assert_eq!(ends(&mut s), [1001, 2001]);
    s.inject(seg(ACK, 1, 1001).wnd(1000)).silence();
    s.inject(seg(ACK, 1, 2001).wnd(1000));
    assert_eq!(ends(&mut s), [3001]);
}

#[test]
fn when_the_window_shrinks_nothing_new_is_sent() {
    // SHLD-15
    let mut s = opened(3000);
    s.write(&[1; 4000]);
    assert_eq!(ends(&mut s), [1001, 2001, 3001]);
    s.inject(seg(ACK, 1, 1001).wnd(1000)).silence();
    s.inject(seg(ACK, 1, 2001).wnd(1000)).silence();
    s.inject(seg(ACK, 1, 3001).wnd(1000));
    assert_eq!(ends(&mut s), [4001]);
}

#[test]
fn when_the_window_shrinks_what_is_in_it_is_sent_again() {
    // SHLD-16, MUST-34
    let mut s = opened(3000);
    s.write(&[1; 3000]);
    assert_eq!(ends(&mut s), [1001, 2001, 3001]);
    s.inject(seg(ACK, 1, 1).wnd(1000)).silence();
    let again = (0..RTO_MOST).find_map(|_| s.ticks(1).next());
    let again = again.expect("the first segment again");
    assert_eq!((again.seq, again.data.len()), (1, 1000));
    s.inject(seg(ACK, 1, 1001).wnd(1000));
    assert_eq!(ends(&mut s), [2001]);
    s.state("ESTABLISHED");
}

#[test]
fn a_window_shrunk_below_what_is_on_its_way_ends_no_connection() {
    // SHLD-17: what lies past the right edge may be sent again for ever, as long as the peer answers.
    let mut s = one_segment();
    s.write(&[1; 1000]);
    assert_eq!(ends(&mut s), [1001]);
    s.inject(seg(ACK, 1, 501).wnd(0)).silence();
    for _ in 0..300_000 {
        if s.ticks(1).next().is_some() {
            s.inject(seg(ACK, 1, 501).wnd(0));
        }
    }
    s.state("ESTABLISHED").counted(Cause::GaveUp, 0);
}

#[test]
fn what_lies_past_the_right_edge_is_sent_again() {
    // MAY-7
    let mut s = one_segment();
    s.write(&[1; 1000]);
    assert_eq!(ends(&mut s), [1001]);
    s.inject(seg(ACK, 1, 1).wnd(400)).silence();
    let again = (0..RTO_MOST).find_map(|_| s.ticks(1).next());
    assert_eq!(again.map(|s| (s.seq, s.data.len())), Some((1, 1000)));
}

#[test]
fn a_window_that_shuts_with_text_on_its_way_ends_no_connection() {
    let mut s = one_segment();
    s.write(&[1; 1000]);
    assert_eq!(ends(&mut s), [1001]);
    for _ in 0..300_000 {
        if s.ticks(1).next().is_some() {
            s.inject(seg(ACK, 1, 1).wnd(0));
        }
    }
    s.state("ESTABLISHED").counted(Cause::GaveUp, 0);
}

#[test]
fn a_shut_window_is_probed_after_the_rto() {
    // MUST-36, SHLD-29
    let mut s = opened(0);
    s.write(b"text").silence();
    let rto = s.word(RTO);
    s.ticks(rto - 1).silence().ticks(1);
    let probe = s.next().expect("a probe");
    assert_eq!((probe.seq, probe.data.len()), (1, 1));
}

#[test]
fn probes_come_at_twice_the_interval_each_time() {
    // SHLD-30
    let mut s = opened(0);
    s.write(b"text").silence();
    let mut wait = s.word(RTO);
    for n in 0..6 {
        s.ticks(wait - 1).silence().ticks(1);
        assert!(s.next().is_some(), "probe {n}");
        s.inject(seg(ACK, 1, 1).wnd(0)).silence();
        if n > 0 {
            wait *= 2;
        }
    }
}

#[test]
fn a_shut_window_may_stay_so_for_ever() {
    // MUST-37: as long as the peer answers
    let mut s = opened(0);
    s.write(b"text");
    for _ in 0..1_000_000 {
        if s.ticks(1).next().is_some() {
            s.inject(seg(ACK, 1, 1).wnd(0));
        }
    }
    s.state("ESTABLISHED").counted(Cause::GaveUp, 0);
}

#[test]
fn without_text_a_shut_window_is_not_probed() {
    let mut s = opened(0);
    s.ticks(100_000).silence();
}

#[test]
fn a_window_that_opens_lets_all_through_that_was_held() {
    let mut s = opened(0);
    s.write(&[1; 2000]).silence();
    s.inject(seg(ACK, 1, 1).wnd(8192));
    assert_eq!(ends(&mut s), [1001, 2001]);
}

#[test]
fn a_window_update_in_an_old_segment_is_not_taken() {
    let mut s = opened(0);
    s.write(b"text").silence();
    s.inject(seg(ACK, 1, 1).wnd(0).data(b"abc")).acked(4);
    s.inject(seg(ACK, 3, 1).wnd(1000).data(b"c"))
        .silence_but_acks();
    assert_eq!(s.word(SND_WND), 0);
}

// ---- Nagle, silly windows ------------------------------------------------------------------------

#[test]
fn a_full_segment_does_not_wait() {
    let mut s = opened(8000);
    s.write(b"a");
    s.expect(ACK, 1, 1, 1);
    s.write(&[1; 1000]);
    s.write(&[1; 999]);
    assert_eq!(s.next().map(|s| s.data.len()), Some(1000));
}

#[test]
fn less_than_a_segment_waits_for_the_acknowledgement() {
    // SHLD-7
    for length in [1, 500, 999] {
        let mut s = opened(8000);
        s.write(b"a");
        s.expect(ACK, 1, 1, 1);
        s.write(&vec![2; length]).silence();
        s.ticks(100).silence();
        s.inject(seg(ACK, 1, 2));
        s.expect(ACK, 2, 1, length);
    }
}

#[test]
fn when_nothing_is_on_its_way_less_than_a_segment_leaves_at_once() {
    let mut s = opened(8000);
    for n in 0..5 {
        s.write(b"a");
        s.expect(ACK, 1 + n, 1, 1);
        s.inject(seg(ACK, 1, 2 + n)).silence();
    }
}

/// The peer's window was 8000, is 100, and 2000 bytes wait.
fn small() -> Script {
    let mut s = opened(8000);
    s.inject(seg(ACK, 1, 1).wnd(100));
    s.write(&[1; 2000]).silence();
    s
}

#[test]
fn a_small_window_is_not_filled_at_once() {
    // Neither a full segment, nor all there is, nor half of the largest window: the override timeout alone lets it go, after 0.1 to 1 s.
    let mut s = small();
    s.ticks(99).silence();
    let waited = (100..=1000).find(|_| {
        s.ticks(1);
        s.toe.counter(Cause::SegmentOut) > 0
    });
    assert_eq!(waited, Some(OVERRIDE));
    s.expect(ACK, 1, 1, 100);
    s.ticks(100).silence();
    s.inject(seg(ACK, 1, 101).wnd(100)).silence();
    s.ticks(OVERRIDE - 1).silence().ticks(1);
    s.expect(ACK, 101, 1, 100);
    s.counted(Cause::RtoExpired, 0)
        .counted(Cause::ZeroWindowProbe, 0);
}

#[test]
fn what_comes_and_what_is_written_do_not_put_the_override_timeout_off() {
    let mut s = small();
    for n in 0..OVERRIDE {
        assert_eq!(s.toe.counter(Cause::SegmentOut), 0, "after {n}");
        s.inject(seg(ACK, 1 + n, 1).data(b"x").wnd(100 + n as u16 % 7));
        s.write(b"y");
        s.silence_but_acks().ticks(1);
    }
    let sent = std::iter::from_fn(|| s.next()).last().expect("text");
    assert!((100..107).contains(&sent.data.len()), "{sent:?}");
}

#[test]
fn half_of_the_largest_window_is_filled_at_once() {
    for (largest, wnd, at_once) in [(1500, 750, true), (1500, 749, false), (600, 300, true)] {
        let mut s = opened(largest);
        s.inject(seg(ACK, 1, 1).wnd(wnd));
        s.write(&[1; 2000]);
        if at_once {
            s.expect(ACK, 1, 1, usize::from(wnd));
        }
        s.silence().ticks(OVERRIDE);
        if !at_once {
            s.expect(ACK, 1, 1, usize::from(wnd));
        }
    }
    // A larger one than the SYN's counts once it has held something back.
    let mut s = opened(300);
    s.inject(seg(ACK, 1, 1).wnd(900));
    s.write(&[1; 2000]);
    s.expect(ACK, 1, 1, 900);
    // The rest of the segment that was cut is one of its own.
    s.inject(seg(ACK, 1, 901).wnd(449));
    s.expect(ACK, 901, 1, 100);
    s.inject(seg(ACK, 1, 1001).wnd(449)).silence();
    s.ticks(OVERRIDE);
    s.expect(ACK, 1001, 1, 449);
}

#[test]
fn all_there_is_goes_into_a_small_window() {
    let mut s = opened(8000);
    s.inject(seg(ACK, 1, 1).wnd(100));
    s.write(&[1; 100]);
    s.expect(ACK, 1, 1, 100);
}

#[test]
fn a_small_window_that_grows_is_filled_and_the_rto_runs_as_before() {
    let mut s = small();
    s.ticks(OVERRIDE - 10);
    s.inject(seg(ACK, 1, 1).wnd(1000));
    s.expect(ACK, 1, 1, 1000);
    let rto = s.word(RTO);
    s.ticks(rto - 1).silence().ticks(1);
    s.expect(ACK, 1, 1, 1000);
    s.counted(Cause::RtoExpired, 1);
}

#[test]
fn a_small_window_that_shuts_is_probed_and_waits_anew_when_it_opens() {
    let mut s = small();
    s.ticks(OVERRIDE - 10);
    s.inject(seg(ACK, 1, 1).wnd(0)).silence();
    let rto = s.word(RTO);
    s.ticks(rto - 1).silence();
    s.inject(seg(ACK, 1, 1).wnd(100)).silence();
    s.ticks(OVERRIDE - 1).silence().ticks(1);
    s.expect(ACK, 1, 1, 100);
    s.inject(seg(ACK, 1, 101).wnd(0)).silence();
    let rto = s.word(RTO);
    s.ticks(rto);
    s.expect(ACK, 101, 1, 1);
    s.counted(Cause::ZeroWindowProbe, 1);
}

#[test]
fn a_window_grows_for_the_peer_only_by_enough() {
    // MUST-39: by min(buffer / 2, MSS)
    let mut at = super::established((US, PEER));
    for n in 0..8 {
        at.s.inject(seg(ACK, 1 + n * 1024, 1).data(&[7; 1024]));
    }
    assert_eq!(at.s.acked(8193).wnd, 0);
    let (mut edge, mut read) = (8193, 0);
    while read < 8192 {
        read += at.s.toe.host_read(0, 73).len() as u32;
        at.s.settle();
        while let Some(update) = at.s.next() {
            let new = update.ack + u32::from(update.wnd);
            assert!(new - edge >= 1460, "from {edge} to {new}");
            edge = new;
        }
        assert!(edge > 8193 || read < 1460, "{read} read");
    }
}

#[test]
fn a_small_buffer_s_window_grows_by_half_of_it() {
    let mut s = Script::established_with(
        ToeConfig {
            rx_ring_bytes: 1024,
            ..config()
        },
        seg(SYN, 0, 0).mss(512),
    );
    for n in 0..2 {
        s.inject(seg(ACK, 1 + n * 512, 1).data(&[7; 512]));
    }
    assert_eq!(s.acked(1025).wnd, 0);
    s.toe.host_read(0, 511);
    s.settle().silence();
    s.toe.host_read(0, 1);
    s.settle();
    assert_eq!(s.next().map(|s| s.wnd), Some(512));
}

#[test]
fn our_window_never_shrinks() {
    // SHLD-14
    let mut at = super::established((US, PEER));
    let mut edge = 1 + 8192;
    let mut seq = 1;
    for round in 0..20 {
        let length = 100 + 61 * round;
        at.s.inject(seg(ACK, seq, 1).data(&vec![1; length]));
        seq += length as u32;
        if round % 3 == 0 {
            at.s.toe.host_read(0, 300);
            at.s.settle();
        }
        while let Some(out) = at.s.next() {
            let new = out.ack + u32::from(out.wnd);
            assert!(new >= edge, "from {edge} to {new}");
            edge = new;
        }
        at.s.read();
        while let Some(out) = at.s.next() {
            edge = edge.max(out.ack + u32::from(out.wnd));
        }
    }
}

#[test]
fn our_window_may_stay_shut() {
    // MAY-8
    let mut at = super::established((US, PEER));
    for n in 0..8 {
        at.s.inject(seg(ACK, 1 + n * 1024, 1).data(&[7; 1024]));
    }
    assert_eq!(at.s.acked(8193).wnd, 0);
    for _ in 0..5 {
        at.s.ticks(10_000).silence();
        at.s.inject(seg(ACK, 8193, 1).data(b"?"));
        assert_eq!(at.s.expect(ACK, 1, 8193, 0).wnd, 0);
    }
}

#[test]
fn push_is_set_on_the_last_segment_of_what_was_written() {
    // MUST-61, and MUST-60: it does not stay behind
    let mut s = opened(8000);
    s.write(&[1; 1000]);
    s.inject(seg(ACK, 1, 1001));
    while s.next().is_some() {}
    s.write(&[1; 10]);
    assert_eq!(s.next().map(|s| s.flags & PSH), Some(PSH));
}
