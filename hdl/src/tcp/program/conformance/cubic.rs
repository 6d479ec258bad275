//! CUBIC (RFC 9438), beside the RFC's formulas in floating point.
use super::super::dup;
use super::super::host::ConnectionOption::NewReno;
use super::super::script::*;
use super::super::words::*;
use crate::config::ToeConfig;
use crate::counters::Cause;

/// The peer's MSS in these scripts.
const MSS_HERE: u32 = 1000;

/// A connection whose send ring is larger than what it has descriptors for, 15 segments; the peer does SACK, its window is 60,000.
fn wide(cubic: bool) -> Script {
    let config = ToeConfig {
        tx_ring_bytes: 32768,
        cubic,
        ..config()
    };
    let syn = seg(SYN, 0, 0).mss(1000).wnd(60_000).sack_permitted();
    Script::established_with(config, syn)
}

fn ack(n: u32) -> Seg {
    seg(ACK, 1, n).wnd(60_000)
}

/// A word of connection 0's state becomes this.
fn put(s: &mut Script, word: crate::tcp::asm::Operand, value: u32) {
    let address = usize::from(word.address().expect("a state word"));
    s.toe.machine.state[0][if address < 64 { address } else { address - 32 }] = value;
}

/// Text enough for every descriptor; what may leave does.
fn feed(s: &mut Script) {
    s.toe.host_write(0, &[7; 32768]);
    s.settle();
    while s.next().is_some() {}
}

/// `cwnd` is this, all of it is on its way, and the next number is behind it.
fn full(s: &mut Script, cwnd: u32) {
    put(s, CWND, cwnd);
    put(s, DUP_ACKS, dup::GROWS);
    feed(s);
    assert!(flight(s) + MSS_HERE > cwnd && flight(s) <= cwnd);
}

fn flight(s: &Script) -> u32 {
    s.word(SND_MAX).wrapping_sub(s.word(SND_UNA))
}

/// The first segment on its way is lost, and all of recovery gone through.
fn lose(s: &mut Script) {
    let una = s.ours(SND_UNA);
    s.inject(ack(una).sack(&[(una + 1000, una + 4000)]));
    while s.next().is_some() {}
    let all = s.ours(SND_MAX);
    s.inject(ack(all));
    assert_eq!(s.word(DUP_ACKS) & dup::RECOVERY, 0);
}

/// One segment after the other is acknowledged, each in an ACK of its own, until a flight is; then a round trip goes by.
fn round_trip(s: &mut Script, ticks: u32, mut each: impl FnMut(&Script)) {
    for _ in 0..flight(s) / MSS_HERE {
        let una = s.ours(SND_UNA);
        s.inject(ack(una + MSS_HERE));
        feed(s);
        each(s);
    }
    s.ticks(ticks);
}

/// Round trips of so many ticks, so that SRTT is that.
fn measured(s: &mut Script, ticks: u32) {
    for _ in 0..20 {
        s.write(b"x");
        let at = s.ours(SND_MAX);
        while s.next().is_some() {}
        s.ticks(ticks).inject(ack(at));
    }
    assert!((s.word(SRTT) / 8).abs_diff(ticks) <= ticks / 10);
    put(s, SRTT, 8 * ticks);
}

// ---- section 4.6, 4.7: what a loss does ------------------------------------------------------------

#[test]
fn a_loss_leaves_seven_tenths_of_cwnd_and_two_segments_at_least() {
    for (cwnd, left) in [(14_000, 9842), (10_000, 7031), (5000, 3515), (4000, 2812)] {
        let mut s = wide(true);
        full(&mut s, cwnd);
        lose(&mut s);
        let beta = f64::from(s.word(SSTHRESH)) / f64::from(cwnd);
        assert!((beta - 0.7).abs() < 0.005, "{beta}");
        assert!(s.word(SSTHRESH).abs_diff(left) <= 4, "{}", s.word(SSTHRESH));
        assert_eq!(s.word(CWND), s.word(SSTHRESH));
        assert_eq!((s.word(W_MAX), s.word(CWND_PRIOR)), (cwnd, cwnd));
        s.counted(Cause::RtoExpired, 0);
    }
    let mut s = Script::established();
    s.write(&[1; 2000]);
    while s.next().is_some() {}
    put(&mut s, CWND, 2000);
    for _ in 0..3 {
        s.inject(seg(ACK, 1, 1));
    }
    assert_eq!(s.word(SSTHRESH), 2000);
}

/// RFC 5681 section 3.2, step 3, of a peer that has no SACK.
#[test]
fn without_sack_three_segments_more_are_let_out_in_recovery() {
    let config = ToeConfig {
        tx_ring_bytes: 32768,
        ..config()
    };
    let mut s = Script::established_with(config, seg(SYN, 0, 0).mss(1000).wnd(60_000));
    feed(&mut s);
    for _ in 0..3 {
        s.inject(ack(1));
    }
    assert_eq!((s.word(SSTHRESH), s.word(CWND)), (7031, 10_031));
    s.inject(ack(12_001));
    assert_eq!(s.word(DUP_ACKS) & dup::RECOVERY, 0);
    assert!(s.word(CWND) <= 7031);
}

#[test]
fn w_max_is_less_than_cwnd_was_if_the_last_was_not_reached() {
    for (before, cwnd, after) in [
        (0, 10_000, 10_000),
        (9999, 10_000, 10_000),
        (10_001, 10_000, 8515),
    ] {
        let mut s = wide(true);
        put(&mut s, W_MAX, before);
        full(&mut s, cwnd);
        lose(&mut s);
        assert_eq!(s.word(W_MAX), after, "{before}");
        // Section 4.7: (1 + beta) / 2.
        assert!(after == cwnd || (f64::from(after) / f64::from(cwnd) - 0.85).abs() < 0.003);
    }
}

/// RFC 5681 section 4.3: what went again is lost once more.
#[test]
fn a_second_loss_of_the_same_lowers_it_again() {
    let mut s = wide(true);
    s.write(&[7; 6000]);
    while s.next().is_some() {}
    s.inject(ack(1).sack(&[(1001, 6001)]));
    s.write(&[7; 6000]);
    while s.next().is_some() {}
    let cwnd = s.word(CWND);
    let all = s.ours(SND_MAX);
    assert!(all > 6001, "something was sent after it");
    s.inject(ack(1).sack(&[(1001, all)]));
    assert!(
        s.word(CWND).abs_diff(cwnd * 45 / 64) <= 3,
        "{}",
        s.word(CWND)
    );
}

// ---- sections 4.2 to 4.5: how it grows -------------------------------------------------------------

/// The RFC in segments and seconds.
struct Rfc {
    w_max: f64,
    k: f64,
    prior: f64,
    est: f64,
    cwnd: f64,
}

impl Rfc {
    const C: f64 = 0.4;
    const BETA: f64 = 0.7;

    fn w_cubic(&self, t: f64) -> f64 {
        Self::C * (t - self.k).powi(3) + self.w_max
    }

    /// A segment is acknowledged `t` after the epoch began.
    fn acked(&mut self, t: f64, rtt: f64) {
        let alpha = if self.est < self.prior {
            3.0 * (1.0 - Self::BETA) / (1.0 + Self::BETA)
        } else {
            1.0
        };
        self.est += alpha / self.cwnd;
        if self.w_cubic(t) < self.est {
            self.cwnd = self.cwnd.max(self.est);
        } else {
            let target = self.w_cubic(t + rtt).clamp(self.cwnd, 1.5 * self.cwnd);
            self.cwnd += (target - self.cwnd) / self.cwnd;
        }
    }
}

/// A loss at `w_max` segments, then up to 13 of them: the largest distance between engine and RFC, in segments.
fn distance(w_max: u32, rtt: u32, lowered: Option<u32>) -> (f64, u32) {
    let mut s = wide(true);
    measured(&mut s, rtt);
    full(&mut s, w_max * MSS_HERE);
    lose(&mut s);
    if let Some(higher) = lowered {
        put(&mut s, W_MAX, higher * MSS_HERE);
    }
    feed(&mut s);
    let segments = |bytes: u32| f64::from(bytes) / f64::from(MSS_HERE);
    let begin = segments(s.word(CWND));
    let top = segments(s.word(W_MAX));
    let mut rfc = Rfc {
        w_max: top,
        k: ((top - begin) / Rfc::C).cbrt(),
        prior: f64::from(w_max),
        est: begin,
        cwnd: begin,
    };
    s.ticks(rtt);
    let (mut worst, mut ticks) = (0.0f64, 0);
    while s.word(CWND) < 13 * MSS_HERE && ticks < 60_000 {
        let (t, r) = (f64::from(ticks) / 1000.0, f64::from(rtt) / 1000.0);
        round_trip(&mut s, rtt, |s| {
            rfc.acked(t, r);
            worst = worst.max((segments(s.word(CWND)) - rfc.cwnd).abs());
        });
        ticks += rtt;
    }
    s.counted(Cause::RtoExpired, 0);
    (worst, ticks)
}

#[test]
fn cwnd_follows_the_rfc_through_all_regions() {
    for (w_max, rtt, higher) in [
        // Reno-friendly, with alpha and then 1.
        (6, 10, None),
        (10, 20, None),
        // Concave, then convex.
        (10, 100, None),
        (8, 150, None),
        (12, 150, None),
        // From far below W_max.
        (6, 100, Some(12)),
    ] {
        let (worst, ticks) = distance(w_max, rtt, higher);
        println!("W_max {w_max}, {higher:?}, RTT {rtt}: {worst:.2} segments off in {ticks} ms");
        assert!(
            worst < 1.5,
            "W_max {w_max}, RTT {rtt}: {worst} segments off"
        );
        assert!(ticks < 60_000);
    }
}

#[test]
fn in_the_reno_friendly_region_a_round_trip_adds_half_a_segment_up_to_cwnd_prior_and_then_one() {
    let mut s = wide(true);
    measured(&mut s, 4);
    full(&mut s, 8000);
    lose(&mut s);
    feed(&mut s);
    let mut grown = Vec::new();
    for _ in 0..12 {
        let before = s.word(CWND);
        round_trip(&mut s, 4, |_| ());
        grown.push((before, s.word(CWND) - before));
    }
    for (cwnd, more) in grown.into_iter().skip(2) {
        // A round trip's ACKs now and then hold two cwnds, or none.
        let alpha = if cwnd < 8000 { 531 } else { 1000 };
        assert!(
            more % alpha == 0 || cwnd < 8000 && cwnd + more > 8000,
            "{cwnd}: {more}"
        );
    }
    assert!(s.word(CWND) > 9000);
}

#[test]
fn target_is_one_and_a_half_cwnd_at_most() {
    let mut s = wide(true);
    measured(&mut s, 100);
    full(&mut s, 6000);
    lose(&mut s);
    feed(&mut s);
    round_trip(&mut s, 100, |_| ());
    // As if it had been at this for long.
    put(&mut s, W_CUBIC, 256 * 60_000);
    let cwnd = s.word(CWND);
    for _ in 0..2 {
        round_trip(&mut s, 100, |s| {
            assert!(s.word(DELTA) <= s.word(CWND) / 2);
        });
    }
    assert!(s.word(CWND) > cwnd + 2000);
    assert!(s.word(CWND) <= cwnd * 9 / 4 + 1000);
}

/// Sections 4.2, 4.6, 5.8.
#[test]
fn what_is_not_used_does_not_grow_and_time_stands_still() {
    let mut s = wide(true);
    measured(&mut s, 20);
    full(&mut s, 10_000);
    lose(&mut s);
    feed(&mut s);
    round_trip(&mut s, 20, |_| ());
    assert_ne!(s.word(DUP_ACKS) & dup::EPOCH, 0);
    let at = s.word(CUBIC_AT);
    // All is acknowledged; then a little at a time, for ten seconds.
    let all = s.ours(SND_MAX);
    s.inject(ack(all));
    while s.next().is_some() {
        let all = s.ours(SND_MAX);
        s.inject(ack(all));
    }
    let all = s.ours(SND_MAX);
    s.inject(ack(all)).silence();
    let cwnd = s.word(CWND);
    let mut n = all;
    for _ in 0..100 {
        s.write(b"x");
        while s.next().is_some() {}
        n += 1;
        s.ticks(100).inject(ack(n));
        while s.next().is_some() {}
    }
    assert_eq!(s.word(CWND), cwnd);
    assert_ne!(s.word(DUP_ACKS) & dup::RESTED, 0);
    feed(&mut s);
    round_trip(&mut s, 20, |_| ());
    assert_ne!(s.word(DUP_ACKS) & dup::EPOCH, 0);
    let gone = s.word(CUBIC_AT).wrapping_sub(at);
    assert!((9_900..=10_400).contains(&gone), "{gone}");
    // A rest without any ACK, likewise.
    let at = s.word(CUBIC_AT);
    s.inject(ack(s.ours(SND_MAX)));
    while s.next().is_some() {
        let all = s.ours(SND_MAX);
        s.inject(ack(all));
    }
    s.ticks(5000).silence();
    assert_eq!(s.word(DUP_ACKS) & dup::EPOCH, 0);
    put(&mut s, SSTHRESH, 5000);
    feed(&mut s);
    round_trip(&mut s, 20, |_| ());
    let gone = s.word(CUBIC_AT).wrapping_sub(at);
    assert!((4_900..=5_300).contains(&gone), "{gone}");
}

#[test]
fn nor_does_slow_start() {
    let mut s = wide(true);
    s.write(&[7; 3000]);
    while s.next().is_some() {}
    s.inject(ack(3001));
    assert_eq!(s.word(CWND), 10_000);
    feed(&mut s);
    s.inject(ack(4001));
    assert_eq!(s.word(CWND), 11_000);
}

/// Section 4.10.
/// Before the first loss nothing is asked of an ACK once one has found `cwnd` too large to matter, until `cwnd` holds something back: then it grows as before.
#[test]
fn what_is_held_back_begins_growth_again() {
    let mut s = wide(true);
    s.write(&[7; 3000]);
    while s.next().is_some() {}
    s.inject(ack(3001)).silence();
    assert_eq!((s.word(CWND), s.word(DUP_ACKS)), (10_000, 0));
    feed(&mut s);
    assert_eq!((flight(&s), s.word(DUP_ACKS)), (10_000, dup::GROWS));
    s.inject(ack(4001));
    while s.next().is_some() {}
    assert_eq!((s.word(CWND), flight(&s)), (11_000, 11_000));
    // What the peer's window holds back does not.
    let mut s = wide(true);
    s.write(&[7; 3000]);
    while s.next().is_some() {}
    s.inject(ack(3001).wnd(2000)).silence();
    feed(&mut s);
    assert_eq!((flight(&s), s.word(DUP_ACKS)), (2000, 0));
}

#[test]
fn below_ssthresh_it_is_slow_start() {
    let mut s = wide(true);
    put(&mut s, SSTHRESH, 8000);
    full(&mut s, 4000);
    for more in 1..=4 {
        let una = s.ours(SND_UNA);
        s.inject(ack(una + 1000));
        feed(&mut s);
        assert_eq!(s.word(CWND), 4000 + more * 1000);
    }
    for _ in 0..4 {
        let una = s.ours(SND_UNA);
        s.inject(ack(una + 1000));
        feed(&mut s);
        assert!(s.word(CWND) < 9000);
    }
}

/// Section 4.8.
#[test]
fn after_a_timeout_the_plateau_is_where_avoidance_begins() {
    for sack in [true, false] {
        let config = ToeConfig {
            tx_ring_bytes: 32768,
            ..config()
        };
        let mut syn = seg(SYN, 0, 0).mss(1000).wnd(60_000);
        syn.sack_permitted = sack;
        let mut s = Script::established_with(config, syn);
        full(&mut s, 10_000);
        put(&mut s, W_MAX, 9000);
        let wait = s.word(RTO) + if sack { s.word(PTO) } else { 0 };
        s.ticks(wait);
        while s.next().is_some() {}
        s.counted(Cause::RtoExpired, 1);
        assert_eq!(
            (s.word(SSTHRESH), s.word(CWND), s.word(W_MAX)),
            (7031, 1000, 0)
        );
        // Once for a loss, however often the timer expires.
        let rto = s.word(RTO);
        s.ticks(rto);
        while s.next().is_some() {}
        assert_eq!(
            (s.word(SSTHRESH), s.word(CWND), s.word(CWND_PRIOR)),
            (7031, 1000, 10_000)
        );
        let all = s.ours(SND_MAX);
        s.inject(ack(all));
        for _ in 0..10 {
            feed(&mut s);
            round_trip(&mut s, 10, |_| ());
            if s.word(DUP_ACKS) & dup::EPOCH != 0 {
                break;
            }
        }
        assert_ne!(s.word(DUP_ACKS) & dup::EPOCH, 0);
        let (cwnd, w_cubic) = (s.word(CWND), s.word(W_CUBIC) / 256);
        assert!(cwnd.abs_diff(w_cubic) < 1200, "{cwnd}, {w_cubic}");
        assert!(w_cubic >= 7000, "{w_cubic}");
        assert!(s.word(W_EST) >= 7000);
    }
}

// ---- NewReno, by connection ------------------------------------------------------------------------

#[test]
fn an_application_chooses_new_reno_and_cubic_again() {
    let mut s = wide(true);
    s.option(NewReno(true));
    full(&mut s, 10_000);
    lose(&mut s);
    assert_eq!((s.word(SSTHRESH), s.word(CWND)), (5000, 5000));
    feed(&mut s);
    for trip in 0..4 {
        let before = s.word(CWND);
        round_trip(&mut s, 10, |_| ());
        assert!(s.word(CWND) <= before + 1000, "{trip}");
    }
    assert!(s.word(CWND) >= 8000);
    assert_eq!(s.word(DUP_ACKS) & dup::EPOCH, 0);
    s.option(NewReno(false));
    let cwnd = s.word(CWND);
    lose(&mut s);
    assert_eq!(
        s.word(SSTHRESH),
        cwnd / 2 + cwnd / 8 + cwnd / 16 + cwnd / 64
    );
    // In the midst of an epoch.
    feed(&mut s);
    round_trip(&mut s, 10, |_| ());
    assert_ne!(s.word(DUP_ACKS) & dup::EPOCH, 0);
    s.option(NewReno(true));
    assert_eq!(s.word(DUP_ACKS) & dup::EPOCH, 0);
    feed(&mut s);
    let cwnd = s.word(CWND);
    lose(&mut s);
    assert!(s.word(SSTHRESH) <= cwnd / 2 && s.word(SSTHRESH) + 1000 > cwnd / 2);
    s.counted(Cause::ConnectRefused, 0);
}

#[test]
fn each_connection_begins_with_cubic() {
    let mut s = Script::established();
    s.option(NewReno(true));
    assert_ne!(s.word(W_MAX), 0);
    s.inject(seg(RST, 1, 0)).slots(0);
    s.inject(seg(SYN, 0, 0).mss(1000));
    s.expect(SYN | ACK, 0, 1, 0);
    assert_eq!(s.word(W_MAX), 0);
    // And one that chooses before it is established keeps to it.
    s.option(NewReno(true)).inject(seg(ACK, 1, 1));
    s.state("ESTABLISHED");
    assert_eq!(s.word(W_MAX), u32::MAX);
}

#[test]
fn where_cubic_is_not_built_there_is_no_choice() {
    let mut s = wide(false);
    s.option(NewReno(true)).counted(Cause::ConnectRefused, 1);
    full(&mut s, 10_000);
    lose(&mut s);
    assert_eq!(s.word(SSTHRESH), 5000);
}

// ---- what it costs ---------------------------------------------------------------------------------

/// The longest event of some seconds of congestion avoidance behind a loss, with text both ways.
fn longest(cubic: bool) -> u64 {
    let mut most = 0;
    for (rtt, w_max, text) in [
        (4, 6, false),
        (100, 10, false),
        (150, 12, true),
        (400, 12, true),
    ] {
        let mut s = wide(cubic);
        measured(&mut s, rtt);
        full(&mut s, w_max * 1000);
        lose(&mut s);
        feed(&mut s);
        let mut theirs = 1;
        for _ in 0..40 {
            for _ in 0..flight(&s) / 1000 {
                let una = s.ours(SND_UNA);
                let mut segment = ack(una + 1000).at(theirs);
                if text {
                    segment = segment.data(b"x");
                    theirs += 1;
                }
                s.toe.host_write(0, &[7; 4000]);
                s.arrive(segment);
                while s.toe.step().expect("no fault") {
                    most = most.max(s.toe.cost.cycles);
                }
                while s.next().is_some() {}
                s.read();
            }
            s.ticks(rtt);
        }
    }
    most
}

#[test]
fn no_event_takes_longer_than_without() {
    let [without, with] = [false, true].map(longest);
    println!("congestion avoidance: {without} cycles, with CUBIC {with}");
    assert!(with <= without.max(170), "{with}, without {without}");
}

/// After a loss or a probe of the tail: in cycles.
#[test]
fn the_ack_of_our_fin_is_no_longer_than_other_events() {
    let config = ToeConfig {
        tx_ring_bytes: 32768,
        ..config()
    };
    let ack = |n: u32| seg(ACK, 1, n).wnd(60_000);
    for before in ["nothing", "a loss", "a probe"] {
        let syn = seg(SYN, 0, 0).mss(1000).wnd(60_000).sack_permitted();
        let mut s = Script::established_with(config.clone(), syn);
        s.write(&[7; 10_000]);
        match before {
            "a loss" => {
                s.inject(ack(1).sack(&[(1001, 4001)])).inject(ack(10_001));
                s.write(&[7; 10_000]).inject(ack(14_001));
            }
            "a probe" => {
                let pto = s.word(PTO);
                s.ticks(pto);
                assert_ne!(s.word(DUP_ACKS) & dup::PROBED, 0);
            }
            _ => {}
        }
        s.close();
        while s.next().is_some() {}
        let last = ack(s.ours(SND_MAX));
        s.state("FIN-WAIT-1").arrive(last);
        s.toe.step().expect("no fault");
        let cycles = s.toe.cost.cycles;
        println!("behind {before}: {cycles} cycles");
        assert!(cycles <= 170, "behind {before}: {cycles}");
    }
}
