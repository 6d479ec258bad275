//! Congestion control: slow start, congestion avoidance, fast retransmit and fast recovery (RFC 5681, RFC 6582), limited transmit (RFC 3042); CUBIC's is in [`super::cubic`].
use super::marks::*;
use super::words::*;
use super::{constant, dup, flags, none, state, timer, zero};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, operands::*, Asm};
use crate::tcp::isa::cmd;

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    let ring = config.tx_ring_bytes as u32;

    a.label("congestion")
        .note("SEG.ACK acknowledges something new, and cwnd may grow or duplicates came before");
    a.note("work enough for one event: a FIN's is done without")
        .when(FIN)
        .br("grown");
    a.sub(SND_UNA).to(T_ACKED);
    if config.scoreboard() {
        a.ldi(dup::SCORE | dup::PROBED | dup::PROBED_NEW)
            .and(DUP_ACKS)
            .not_zero(A);
        a.when(A).br("scored");
    }
    a.ldi(dup::RECOVERY).and(DUP_ACKS).not_zero(A);
    a.when(A).br(".recovery");
    if config.cubic {
        super::cubic::limits(a);
    }
    a.ld(CWND).sub(SSTHRESH).sign(A);
    if config.cubic {
        a.when(A).br(".slow_start");
        super::cubic::avoidance(a);
        slow_start(a);
        a.br(".grows");
        a.label("congestion.reno");
    } else {
        a.unless(A).br(".avoidance");
        slow_start(a);
        a.br(".grows");
        a.label("congestion.avoidance");
    }
    a.note("SMSS more for each cwnd acknowledged");
    a.ld(GAIN).add(T_ACKED).st(GAIN);
    a.sub(CWND).sign(A);
    a.unless(A).sub(CWND).to(GAIN);
    a.ld(MSS);
    a.unless(A).add(CWND).to(CWND);
    a.label("congestion.grows")
        .note("a window as large as the ring limits nothing, and grows no further");
    a.li(ring).rsb(CWND).sign(A);
    a.ldi(dup::GROWS);
    a.unless(A).ld(k(0));
    a.st(DUP_ACKS);
    a.ld(SEG_ACK);
    a.br("grown");

    a.label("congestion.recovery");
    if config.cubic {
        a.note("not before it is known what cwnd is lowered to");
        a.ld(SSTHRESH).sign(A);
        a.ld(SEG_ACK);
        a.when(A).br("grown");
    }
    a.note("RFC 6582 section 3.2, step 3: is all acknowledged that was outstanding when recovery began?");
    a.ldi(1).add(SEG_ACK).sub(RECOVER).sign(A);
    a.when(A).br(".partial");
    a.note("full: cwnd = min (ssthresh, max (FlightSize, SMSS) + SMSS)");
    a.ld(SND_MAX).sub(SEG_ACK);
    a.sub(MSS).sign(A);
    a.when(A).ld(MSS);
    a.add(MSS);
    a.sub(SSTHRESH).sign(A);
    a.unless(A).ld(SSTHRESH);
    a.st(CWND);
    a.br(".grows");
    a.label("congestion.partial")
        .note("partial: the next hole goes out; cwnd less what was acknowledged, and a segment more if that was one at least");
    if config.scoreboard() {
        a.note("by the next event, for this one's ACK may have to go alone")
            .ldi(dup::TWO);
        a.or(DUP_ACKS).to(DUP_ACKS);
    } else {
        a.set(AGAIN);
    }
    a.set(BUSY);
    a.ld(T_ACKED).sub(MSS).sign(A);
    a.rsb(CWND);
    a.unless(A).add(MSS);
    a.sub(MSS).sign(A);
    a.when(A).ld(MSS);
    a.st(CWND);
    a.ld(SEG_ACK);
    a.br("grown");

    a.label("duplicate")
        .note("another ACK for the same number. After a timeout only the timer and an ACK of something new send data");
    a.ld(TRIES).not_zero(A);
    if config.scoreboard() {
        a.note("with SACK it is the blocks that tell")
            .ldi(flags::SACK)
            .and(FLAGS)
            .or_not_zero(A);
    }
    a.when(A).br("text");
    a.note("RFC 5681 section 3.2, step 4: in recovery each has left the network");
    a.ldi(dup::RECOVERY).and(DUP_ACKS).not_zero(B);
    a.note("unless a FIN came with what ended it")
        .ldi(1)
        .add(SEG_ACK)
        .sub(RECOVER)
        .not_sign(A);
    a.when(A).clear(B);
    a.ld(MSS).add(CWND);
    a.when(B).st(CWND);
    a.when(B).br("text");
    a.note("RFC 6582 section 3.2, step 1: those of an earlier loss say nothing");
    a.ld(SEG_ACK).sub(RECOVER).sign(A);
    a.when(A).br("text");
    a.ldi(dup::TWO).and(DUP_ACKS).not_zero(C);
    a.ldi(1).add(DUP_ACKS).to(DUP_ACKS);
    a.note("RFC 3042: the first two let new data out, beyond cwnd");
    a.unless(C).set(LIMITED);
    a.unless(C).br("text");
    a.note("RFC 5681 section 3.2, steps 2 and 3: fast retransmit, cwnd = ssthresh + 3 SMSS");
    a.call(if config.hardened() {
        "halve_flight"
    } else {
        "halve"
    });
    a.ldi(dup::RECOVERY | dup::GROWS | dup::lowers(config))
        .st(DUP_ACKS);
    if config.ecn {
        super::ecn::reduced(a);
    }
    a.ldi(1).add(SND_MAX).to(RECOVER);
    if !config.cubic {
        a.shl1(MSS).add(MSS).add(SSTHRESH).to(CWND);
    }
    a.timer_set(timer::RETRANSMIT, RTO);
    a.set(AGAIN);
    a.set(BUSY);
    a.br("text");

    if config.hardened() {
        a.label("halve_flight")
            .note("step 2: FlightSize without what limited transmit has sent, which is what cwnd had no room for. (Where the ring is smaller than cwnd there is no such thing.)");
        a.ld(SND_MAX).sub(SND_UNA).st(T0);
        a.sub(CWND).sign(A);
        a.unless(A).ld(CWND).to(T0);
        a.br("halve.flight");
    }
    a.label("halve")
        .note("RFC 5681 section 3.1, (4): ssthresh = max (FlightSize / 2, 2 SMSS)");
    if config.cubic {
        super::cubic::lower(a);
    } else {
        halve(a);
    }

    if !config.scoreboard() {
        a.label("again");
    }
    a.label("head_again")
        .note("the first that is not acknowledged, alone: a segment, or the FIN behind the last");
    a.cmd_a(cmd::TX_FREE, SND_UNA);
    none(a, TIMED_AT);
    a.ld(RESULT2).to(T_SEQ);
    a.cmd_a(cmd::TX_PEEK, k(0));
    a.unless(OK).br(".fin");
    a.label("peeked_again");
    a.ldi(0xFFF).and(RESULT).st(T_LEN);
    if config.icmp_errors {
        a.rsb(MSS).sign(A);
        a.when(A).br("too_long_again");
    }
    a.ld(RESULT2).to(T_SUM);
    a.ld(k(constant::BIT_16)).and(RESULT).st(T_CTL);
    a.count(Cause::Retransmit.number());
    a.cmd(cmd::POST);
    a.shl3(T_CTL).or(k(constant::CTL_ACK)).to(T_CTL);
    a.count(Cause::SegmentOut.number());
    a.br("emit");
    a.label("head_again.fin");
    a.ldi(state::OWN_FIN).and(STATE).zero(A);
    a.when(A).br("acknowledge");
    a.timer_set(timer::RETRANSMIT, RTO);
    a.count(Cause::Retransmit.number());
    a.ld(k(constant::CTL_ACK)).or(k(constant::BIT_16)).to(T_CTL);
    a.br("emit_counted");
}

/// cwnd grows by what is acknowledged.
fn slow_start(a: &mut Asm) {
    a.label("congestion.slow_start")
        .note("RFC 5681 section 3.1, (2): cwnd += min (N, SMSS)");
    a.ld(T_ACKED).sub(MSS).sign(A);
    a.unless(A).ld(MSS);
    a.add(CWND).st(CWND);
}

/// `halve` at once.
fn halve(a: &mut Asm) {
    a.ld(SND_MAX).sub(SND_UNA).st(T0);
    a.label("halve.flight");
    a.shl1(MSS).st(T1);
    zero(a, GAIN);
    a.shr1(T0).sub(T1).sign(A);
    a.when(A).ld(T1);
    a.st(SSTHRESH);
    a.ret();
}

#[cfg(test)]
mod tests {
    use super::super::constant::RTO_INITIAL;
    use super::super::script::*;
    use super::super::words::*;
    use crate::config::ToeConfig;
    use crate::counters::Cause;

    /// A connection whose send ring is larger than its initial window; the peer's MSS is 1000, its window 60,000.
    fn wide() -> Script {
        let config = ToeConfig {
            tx_ring_bytes: 32768,
            ..config()
        };
        Script::new_reno(config, seg(SYN, 0, 0).mss(1000).wnd(60_000))
    }

    /// As many segments of 1,000 bytes as leave, from sequence number `from` on.
    #[track_caller]
    fn leave(s: &mut Script, from: u32, segments: u32) {
        for n in 0..segments {
            s.expect(ACK, from + n * 1000, 1, 1000);
        }
        s.silence();
    }

    fn ack(n: u32) -> Seg {
        seg(ACK, 1, n).wnd(60_000)
    }

    /// Bytes enough for every descriptor, so that the ring never keeps a script waiting.
    fn feed(s: &mut Script) {
        s.toe.host_write(0, &[7; 32768]);
        s.settle();
    }

    #[test]
    fn ten_segments_leave_at_first_and_two_for_each_acknowledged() {
        let mut s = wide();
        feed(&mut s);
        leave(&mut s, 1, 10);
        assert_eq!(s.word(CWND), 10_000);
        s.inject(ack(1001));
        leave(&mut s, 10_001, 2);
        // An ACK for several segments counts as one of them (RFC 5681 section 3.1, L = 1).
        s.inject(ack(4001));
        assert_eq!(s.word(CWND), 12_000);
        feed(&mut s);
        leave(&mut s, 12_001, 4);
        // And one for less than a segment for what it acknowledges.
        s.inject(ack(4501));
        assert_eq!(s.word(CWND), 12_500);
    }

    #[test]
    fn a_lost_syn_leaves_one_segment() {
        let mut s = Script::with(ToeConfig {
            tx_ring_bytes: 32768,
            ..config()
        });
        s.inject(seg(SYN, 0, 0).mss(1000));
        s.expect(SYN | ACK, 0, 1, 0);
        s.ticks(RTO_INITIAL);
        s.expect(SYN | ACK, 0, 1, 0);
        s.inject(seg(ACK, 1, 1)).silence();
        feed(&mut s);
        leave(&mut s, 1, 1);
        s.inject(ack(1001));
        leave(&mut s, 1001, 2);
    }

    /// A loss of the first of ten segments: until the third duplicate.
    fn in_recovery() -> Script {
        let mut s = wide();
        feed(&mut s);
        leave(&mut s, 1, 10);
        // RFC 3042: each of the first two duplicates lets one more out.
        s.inject(ack(1));
        leave(&mut s, 10_001, 1);
        s.inject(ack(1));
        leave(&mut s, 11_001, 1);
        s.inject(ack(1));
        leave(&mut s, 1, 1);
        // 12,000 are in flight, two of them by limited transmit.
        assert_eq!((s.word(SSTHRESH), s.word(CWND)), (5000, 8000));
        s.counted(Cause::Retransmit, 1);
        s
    }

    #[test]
    fn fast_recovery_lets_new_data_out_when_half_has_left() {
        let mut s = in_recovery();
        for _ in 0..4 {
            s.inject(ack(1)).silence();
        }
        assert_eq!(s.word(CWND), 12_000);
        s.inject(ack(1));
        leave(&mut s, 12_001, 1);
        // All that was outstanding at the third duplicate is acknowledged: cwnd = min (ssthresh, FlightSize + SMSS).
        s.inject(ack(12_001));
        assert_eq!(s.word(CWND), 2000);
        leave(&mut s, 13_001, 1);
        s.counted(Cause::Retransmit, 1);
    }

    #[test]
    fn a_partial_acknowledgement_brings_the_next_hole() {
        let mut s = in_recovery();
        for hole in [4001, 6001, 8001] {
            s.inject(ack(hole));
            leave(&mut s, hole, 1);
        }
        // 8,000 - 4,000 + 1,000, then twice - 2,000 + 1,000
        assert_eq!(s.word(CWND), 3000);
        s.counted(Cause::Retransmit, 4)
            .counted(Cause::RtoExpired, 0);
        s.inject(ack(12_001));
        feed(&mut s);
        // FlightSize is nothing: one segment and one more.
        assert_eq!(s.word(CWND), 2000);
        leave(&mut s, 12_001, 2);
    }

    /// Six segments are on their way and no more text, and the first has gone again for three duplicates; with NewReno or CUBIC.
    fn of_six(reno: bool) -> Script {
        let config = ToeConfig {
            tx_ring_bytes: 32768,
            ..config()
        };
        let syn = seg(SYN, 0, 0).mss(1000).wnd(60_000);
        let mut s = match reno {
            true => Script::new_reno(config, syn),
            false => Script::established_with(config, syn),
        };
        s.write(&[7; 6000]);
        leave(&mut s, 1, 6);
        s.inject(ack(1)).inject(ack(1)).silence();
        s.inject(ack(1));
        leave(&mut s, 1, 1);
        s
    }

    /// Text ahead of a gap is answered alone and at once: what its ACK is to have sent again follows. With CUBIC, and without.
    #[test]
    fn a_partial_acknowledgement_beside_text_ahead_of_a_gap_brings_the_next_hole_too() {
        for reno in [true, false] {
            let mut s = of_six(reno);
            for (text, hole) in [(3, 2001), (5, 4001)] {
                s.inject(ack(hole).data(b"x").at(text));
                s.expect(ACK, 6001, 1, 0);
                leave(&mut s, hole, 1);
            }
            // Each time once, and not for the second duplicate of the next loss.
            s.inject(ack(6001)).silence();
            s.write(&[7; 2000]);
            leave(&mut s, 6001, 2);
            s.inject(ack(6001)).inject(ack(6001)).silence();
            s.write(b"x").silence();
            s.counted(Cause::Retransmit, 3)
                .counted(Cause::RtoExpired, 0);
        }
    }

    /// What an ACK that went alone has left is done with by the next partial acknowledgement: no hole goes twice.
    #[test]
    fn a_partial_acknowledgement_right_behind_one_that_was_answered_alone_brings_one_hole() {
        let mut s = of_six(true);
        // Another connection's event comes between the two, and before the one that the first has left something to.
        s.inject(seg(SYN, 0, 0).with_source(1000).mss(1000));
        let ours = s.next().expect("a SYN-ACK").seq;
        s.inject(seg(ACK, 1, ours.wrapping_add(1)).with_source(1000));
        s.silence().model_only("what comes between is chosen");
        s.toe.host_write(1, b"y");
        s.arrive(ack(2001).data(b"x").at(3)).inject(ack(4001));
        let out: Vec<_> = std::iter::from_fn(|| s.next()).collect();
        let out: Vec<_> = (out.iter())
            .map(|out| (out.ports.1, out.seq, out.data.len()))
            .collect();
        let here = PEER_PORT;
        assert_eq!(
            out,
            [(1000, ours + 1, 1), (here, 6001, 0), (here, 4001, 1000)]
        );
        s.counted(Cause::Retransmit, 2);
    }

    /// So does one beside text that fills a gap up to the peer's FIN.
    #[test]
    fn a_partial_acknowledgement_beside_what_reaches_a_fin_brings_the_next_hole_too() {
        let hole = |reno: bool| {
            let mut s = of_six(reno);
            s.inject(ack(1).and(FIN).data(b"bc").at(2));
            s.expect(ACK, 6001, 1, 0);
            s.silence().inject(ack(2001).data(b"a"));
            let out: Vec<_> = std::iter::from_fn(|| s.next()).collect();
            assert_eq!(out.last().map(|o| (o.seq, o.ack)), Some((2001, 5)));
            s.counted(Cause::Retransmit, 2);
        };
        hole(true);
        hole(false);
    }

    /// Duplicates are counted across a FIN that goes meanwhile.
    #[test]
    fn the_third_duplicate_behind_a_fin_brings_the_head() {
        let third = || {
            for before in [1, 2] {
                let mut s = Script::established();
                s.write(&[7; 3000]);
                leave(&mut s, 1, 3);
                for n in 0..3 {
                    if n == before {
                        s.close().expect(FIN | ACK, 3001, 1, 0);
                    }
                    s.silence().inject(seg(ACK, 1, 1));
                }
                leave(&mut s, 1, 1);
            }
        };
        third();
        hardened(third);
    }

    #[test]
    fn avoidance_adds_a_segment_for_each_window_acknowledged() {
        let mut s = in_recovery();
        s.inject(ack(12_001));
        let mut acked = 12_001;
        let grown = [(); 11].map(|()| {
            feed(&mut s);
            acked += 1000;
            s.inject(ack(acked));
            while s.next().is_some() {}
            s.word(CWND) / 1000
        });
        // Slow start from two segments up to ssthresh, then five are acknowledged for the next one.
        assert_eq!(grown, [3, 4, 5, 5, 5, 5, 5, 6, 6, 6, 6]);
        assert_eq!(s.word(SSTHRESH), 5000);
    }

    #[test]
    fn a_timeout_halves_once_and_begins_with_one_segment() {
        let mut s = wide();
        feed(&mut s);
        leave(&mut s, 1, 10);
        let rto = s.word(RTO);
        s.ticks(rto);
        leave(&mut s, 1, 1);
        assert_eq!((s.word(SSTHRESH), s.word(CWND)), (5000, 1000));
        s.ticks(2 * rto);
        leave(&mut s, 1, 1);
        assert_eq!((s.word(SSTHRESH), s.word(CWND)), (5000, 1000));
        for (acked, segments) in [(1001, 2), (3001, 3)] {
            s.inject(ack(acked));
            leave(&mut s, acked, segments);
        }
        s.counted(Cause::RtoExpired, 2);
    }

    #[test]
    fn a_small_flight_is_halved_to_two_segments() {
        let mut s = Script::new_reno(config(), seg(SYN, 0, 0).mss(1000));
        s.write(&[1; 2000]);
        leave(&mut s, 1, 2);
        for _ in 0..3 {
            s.inject(seg(ACK, 1, 1));
        }
        leave(&mut s, 1, 1);
        assert_eq!(s.word(SSTHRESH), 2000);
    }

    #[test]
    fn what_carries_a_fin_is_no_duplicate() {
        let mut s = Script::established();
        s.write(&[1; 4000]);
        leave(&mut s, 1, 4);
        s.inject(seg(ACK | FIN, 1, 1));
        s.expect(ACK, 4001, 2, 0);
        for _ in 0..2 {
            s.inject(seg(ACK, 2, 1)).silence();
        }
        s.counted(Cause::DuplicateAck, 2)
            .counted(Cause::Retransmit, 0);
        s.inject(seg(ACK, 2, 1));
        s.expect(ACK, 1, 2, 1000);
    }

    #[test]
    fn a_fin_alone_comes_again_too() {
        let mut s = Script::established();
        s.close();
        s.expect(FIN | ACK, 1, 1, 0);
        for _ in 0..3 {
            s.silence();
            s.inject(seg(ACK, 1, 1));
        }
        s.expect(FIN | ACK, 1, 1, 0);
        s.inject(seg(ACK, 1, 2)).silence().state("FIN-WAIT-2");
        s.counted(Cause::Retransmit, 1);
    }

    #[test]
    fn cwnd_grows_no_further_than_the_ring() {
        let mut s = Script::established();
        s.write(b"x");
        s.expect(ACK, 1, 1, 1);
        s.inject(seg(ACK, 1, 2)).silence();
        assert_eq!((s.word(CWND), s.word(DUP_ACKS)), (10_000, 0));
    }
}
