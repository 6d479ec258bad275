//! Congestion control (RFC 5681, RFC 3042): what the scripts beside the program itself leave open.
use super::super::dup;
use super::super::script::*;
use super::super::words::*;
use crate::config::ToeConfig;
use crate::counters::Cause;

/// A connection whose send ring is larger than the initial window; the peer's MSS is 1000. All that may leave has left.
fn flight(wnd: u16) -> Script {
    let config = ToeConfig {
        tx_ring_bytes: 32768,
        ..config()
    };
    let mut s = Script::new_reno(config, seg(SYN, 0, 0).mss(1000).wnd(wnd));
    feed(&mut s);
    while s.next().is_some() {}
    s
}

fn feed(s: &mut Script) {
    s.toe.host_write(0, &[7; 32768]);
    s.settle();
}

/// Where the last segment that leaves now ends.
fn end(s: &mut Script) -> Option<u32> {
    std::iter::from_fn(|| s.next())
        .map(|out| out.seq + out.data.len() as u32)
        .last()
}

#[test]
fn ssthresh_begins_above_every_window() {
    assert!(flight(60_000).word(SSTHRESH) >= 65_535);
}

#[test]
fn what_is_on_its_way_stays_within_cwnd_and_the_window() {
    for wnd in [60_000, 12_345, 5000] {
        let mut s = flight(wnd);
        let mut acked = 1;
        for _ in 0..60 {
            let out = s.word(SND_MAX).wrapping_sub(s.word(SND_UNA));
            let cwnd = s.word(CWND);
            assert!(out <= cwnd.min(wnd.into()), "{out} of {cwnd} and {wnd}");
            // The ring has descriptors for fifteen segments.
            assert!(out > cwnd.min(wnd.into()) - 1000 || out >= 14_000, "{out}");
            acked += 1000;
            s.inject(seg(ACK, 1, acked).wnd(wnd));
            feed(&mut s);
            end(&mut s);
        }
    }
}

/// RFC 3042 section 2.
#[test]
fn limited_transmit_leaves_cwnd_as_it_was() {
    let mut s = flight(60_000);
    for duplicates in 1..=2 {
        s.inject(seg(ACK, 1, 1).wnd(60_000));
        assert_eq!(end(&mut s), Some(10_001 + duplicates * 1000));
        assert_eq!(s.word(CWND), 10_000);
    }
}

#[test]
fn limited_transmit_keeps_to_the_window() {
    let mut s = flight(10_999);
    for _ in 1..=2 {
        s.inject(seg(ACK, 1, 1).wnd(10_999)).silence();
    }
}

/// RFC 5681 section 3.2, step 2.
#[test]
fn ssthresh_does_not_count_what_limited_transmit_sent() {
    let mut s = flight(60_000);
    for _ in 1..=3 {
        s.inject(seg(ACK, 1, 1).wnd(60_000));
    }
    assert_eq!(s.word(SSTHRESH), 5000);
}

/// RFC 5681 section 4.1.
#[test]
fn after_an_idle_time_cwnd_is_the_restart_window() {
    let mut s = flight(60_000);
    let (mut acked, mut most) = (1, 0);
    while let Some(out) = (acked < 40_000).then(|| s.ours(SND_MAX)) {
        acked = out;
        s.inject(seg(ACK, 1, acked).wnd(60_000));
        feed(&mut s);
        end(&mut s);
        most = most.max(s.word(CWND));
    }
    assert!(most > 10_000);
    let all = s.ours(SND_MAX);
    s.inject(seg(ACK, 1, all).wnd(60_000));
    while end(&mut s).is_some() {
        let all = s.ours(SND_MAX);
        s.inject(seg(ACK, 1, all).wnd(60_000));
    }
    let rto = s.word(RTO);
    s.ticks(rto + 1);
    feed(&mut s);
    end(&mut s);
    assert!(s.word(CWND) <= 10_000);
}

/// Round trips took 20 ticks so far, the next number is 20, and `cwnd` is 15 segments.
fn rested(sack: bool) -> Script {
    let config = ToeConfig {
        tx_ring_bytes: 32768,
        ..config()
    };
    let mut syn = seg(SYN, 0, 0).mss(1000).wnd(60_000);
    syn.sack_permitted = sack;
    let mut s = Script::new_reno(config, syn);
    for n in 1..20 {
        s.write(b"x");
        s.expect(ACK, n, 1, 1);
        s.ticks(20).inject(seg(ACK, 1, n + 1).wnd(60_000)).silence();
    }
    s.toe.machine.state[0][28] = 15_000;
    s.toe.machine.state[0][24] = dup::GROWS;
    s
}

#[test]
fn the_restart_window_comes_an_rto_after_the_last_segment() {
    for sack in [true, false] {
        let mut s = rested(sack);
        s.write(&[7; 3000]);
        assert_eq!(end(&mut s), Some(3020));
        s.ticks(20).inject(seg(ACK, 1, 3020).wnd(60_000)).silence();
        assert_eq!(s.word(CWND), 15_000, "it was not what limited");
        // Without SACK an RTO after the last ACK.
        let (rto, since) = (s.word(RTO), if sack { 21 } else { 1 });
        s.ticks(rto - since).silence();
        assert_eq!(s.word(CWND), 15_000);
        s.ticks(2).silence();
        assert_eq!(s.word(CWND), 10_000);
        feed(&mut s);
        assert_eq!(end(&mut s), Some(13_020));
        s.inject(seg(ACK, 1, 4020).wnd(60_000));
        assert_eq!(s.word(CWND), 11_000, "it grows as before");
        for cause in [Cause::RtoExpired, Cause::TailProbe, Cause::ZeroWindowProbe] {
            s.counted(cause, 0);
        }
    }
}

#[test]
fn what_is_sent_in_time_keeps_the_window() {
    for sack in [true, false] {
        let mut s = rested(sack);
        for n in 20..30 {
            s.write(b"x");
            s.expect(ACK, n, 1, 1);
            s.ticks(20).inject(seg(ACK, 1, n + 1).wnd(60_000)).silence();
            let rto = s.word(RTO);
            s.ticks(rto - 25).silence();
        }
        assert!(s.word(CWND) >= 15_000);
    }
}

#[test]
fn a_window_below_the_restart_window_stays_and_the_rest_costs_nothing_else() {
    let mut s = rested(true);
    s.toe.machine.state[0][28] = 4000;
    s.ticks(100_000).silence();
    assert_eq!(s.word(CWND), 4000);
    feed(&mut s);
    assert_eq!(end(&mut s), Some(4020));
}

#[test]
fn what_is_written_as_the_rest_ends_leaves_at_once_and_is_not_forgotten() {
    for sack in [true, false] {
        let rests = if sack { vec![PTO, RTO] } else { vec![RTO] };
        for rest in rests {
            let mut s = rested(sack);
            // Its first part, or all of it.
            let rest = s.word(rest) - if rest == RTO && sack { 20 } else { 0 };
            s.ticks(rest - 1);
            s.toe.tick();
            s.write(&[7; 1000]);
            s.expect(ACK, 20, 1, 1000);
            let rto = s.word(RTO);
            s.ticks(rto - 1).silence().ticks(1);
            s.expect(ACK, 20, 1, 1000);
        }
    }
}
