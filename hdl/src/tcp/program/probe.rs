//! The probe for a loss of the tail (RFC 8985 section 7): without it only the retransmission timer tells that the last segments of a flight are lost. Only where
//! [`crate::config::ToeConfig::sack`] is set, and only on connections that do SACK.
//!
//! The timer runs for `pto` in place of `rto`. When it expires, new text goes, or the last segment once more: its acknowledgement, or its SACK block, tells of what is
//! missing before it, for which one segment above is then enough.
//!
//! PTO = 2 SRTT + 4 RTTVAR, at most RTO. RFC 8985 section 7.2 has 2 SRTT ("SHOULD"), so chosen because "network and end-host delay variance can cause an ACK to be delayed beyond the SRTT"; that variance is
//! measured here, and where there is little it adds little. Without it a queue that grows by more than a round trip in a round trip, as many connections that begin at once make it, was taken for a loss by each of them
//! again and again; now only in the first flight, of which the SYN's round trip is all that is known. PTO begins where RTO does, with the first segment that is outstanding and with each ACK of something new; RFC 8985 section 7.2
//! begins it with each new segment, too, which would cost every segment two cycles: here a segment that follows more than a round trip after the one before may be taken for a tail too early.
//!
//! Two deviations from RFC 8985, which has the timer neither run in recovery nor while something is sacked (section 7.2). With something sacked above what is not, PTO is the reordering timer of section 6.3: what lies below is lost, though fewer than three
//! tell of it. While the scoreboard rules the head's copy goes once more: it fills a gap, so its ACK is not delayed, and waiting for an RTO of 200 ms where a round trip takes five is what loss costs most; `cwnd` is lowered for it as for any copy that is lost.
//!
//! All that has something sacked above it is taken for lost then, not only the head, which alone is known to have been on its way for PTO: the head is lost by any measure, and with a loss known RACK waits for no reordering either (section 6.2, step 4: RACK_update_reo_wnd is 0 in recovery while no reordering has been seen),
//! so what left before something that has come is lost however lately it left. What left since has nothing sacked above it.
//!
//! One probe at a time; from it on the timer runs for `rto` again, until the probe is answered and a round trip measured.
use super::marks::*;
use super::transmit::{forced, next};
use super::words::*;
use super::{constant, dup, none, state, timer};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, operands::*, Asm};
use crate::tcp::isa::cmd;

/// From the next measurement on PTO is less than RTO again; the accumulator is lost.
pub(super) fn probe_anew(a: &mut Asm) {
    a.ldi(constant::PTO_MARGIN).st(PTO_MORE);
}

/// PTO is RTO until [`probe_anew`]; the accumulator is lost.
pub(super) fn no_probe(a: &mut Asm) {
    a.ld(k(constant::NO_PROBE)).st(PTO_MORE);
}

/// A probe goes: the timer runs for RTO from here on.
fn goes(a: &mut Asm) {
    no_probe(a);
    a.timer_set(timer::RETRANSMIT, RTO);
    a.count(Cause::TailProbe.number());
}

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    a.label("probe_tail")
        .note("the timer ran for PTO. No probe of one segment alone, nor while part of the flight goes again for a smaller path MTU");
    a.ld(PTO).rsb(RTO).st(T0);
    a.ld(RTO).to(PTO);
    a.ldi(1).rsb(TX_INDEX).st(T1);
    a.ldi(2).rsb(TX_INDEX).sign(A);
    a.ld(SND_NXT).xor(SND_MAX).or_not_zero(A);
    a.when(A).br(".alone");
    a.ldi(dup::SCORE).and(DUP_ACKS).not_zero(A);
    a.when(A).br(".again");
    a.note("is something sacked above what is not? Two round trips are more than any reordering: that is lost (RFC 8985 section 6.3), though fewer than three tell of it");
    a.ld(TX_INDEX);
    a.cmd_imm(cmd::TX_PIPE, 1);
    a.when(OK).br(".lost");
    a.note("section 7.3: new text if there is some and the peer's window has room for it, whatever cwnd says");
    a.cmd_a(next(config), TX_INDEX);
    a.unless(OK).br(".last");
    a.ldi(0xFFF).and(RESULT).add(SND_NXT).sub(SND_UNA);
    a.rsb(SND_WND).sign(A);
    a.when(A).br(".last");
    goes(a);
    a.ldi(dup::PROBED_NEW).or(DUP_ACKS).to(DUP_ACKS);
    a.ldi(1).add(SND_MAX).to(RECOVER);
    a.set(LIMITED);
    a.note("whatever a pacer says meanwhile").br(forced(config));
    a.label("probe_tail.last")
        .note("else the last segment of text, which ends ahead of our FIN if that has been sent");
    goes(a);
    none(a, TIMED_AT);
    a.ldi(dup::PROBED).or(DUP_ACKS).to(DUP_ACKS);
    a.ldi(state::OWN_FIN).and(STATE).not_zero(A);
    a.ldi(0);
    a.when(A).ldi(1);
    a.st(T0);
    a.cmd_a(cmd::TX_PEEK, T1);
    a.ldi(1).add(SND_MAX).sub(T0).to(RECOVER);
    a.ldi(0xFFF).and(RESULT).add(T0).rsb(SND_MAX).to(T_SEQ);
    a.br("peeked_again");
    a.label("probe_tail.alone")
        .note("one segment alone: its ACK may be delayed (section 7.2, max_ack_delay), so what is left of RTO");
    a.timer_set(timer::RETRANSMIT, T0);
    a.br("pending.send");

    a.label("probe_tail.lost");
    a.ld(T0).rsb(RTO).st(PTO);
    a.ld(SND_UNA);
    a.call("recovery");
    a.done();
    a.label("probe_tail.again")
        .note("while the scoreboard rules: the head's copy fills a gap, so its ACK would not have been delayed (RFC 5681 section 4.2). It goes once more");
    goes(a);
    a.call("lost_again");
    a.set(AGAIN);
    a.br("again");

    a.label("probed")
        .note("section 7.4.2: more is acknowledged than was sent before the probe. Work enough for one event: no measurement besides");
    none(a, TIMED_AT);
    a.set(BUSY);
    a.ldi(1).add(SEG_ACK).sub(RECOVER).sign(A).zero(B);
    a.when(B).set(A);
    a.when(A).ld(SEG_ACK);
    a.when(A).br("grown");
    a.ldi(dup::PROBED).and(DUP_ACKS).zero(A);
    a.when(A).br(".new");
    a.note("and no D-SACK has said that the last segment came twice: it has mended a loss")
        .call("halve");
    if config.cubic {
        a.ldi(dup::DUE).st(DUP_ACKS);
    }
    if config.ecn {
        super::ecn::reduced(a);
    }
    if config.cubic {
        a.label("probed.new");
        a.ldi(super::cubic::KEPT).and(DUP_ACKS).st(DUP_ACKS);
        probe_anew(a);
        a.ldi(dup::GROWS).or(DUP_ACKS).to(DUP_ACKS);
    } else {
        a.ld(SSTHRESH).to(CWND);
        a.label("probed.new");
        a.ldi(dup::GROWS).st(DUP_ACKS);
        probe_anew(a);
    }
    a.ld(SEG_ACK);
    a.br("grown");

    a.label("void_block")
        .note("RFC 2883: does it tell that the probe came twice? Nothing was lost then");
    a.ldi(1).add(T1).xor(RECOVER).not_zero(C);
    a.ldi(dup::PROBED).and(DUP_ACKS).or_zero(C);
    a.when(C).ret();
    a.xor(DUP_ACKS).to(DUP_ACKS);
    probe_anew(a);
    a.ret();
}

#[cfg(test)]
mod tests {
    use super::super::constant::{PTO_MARGIN, RTO_AFTER_SYN_LOSS, RTO_INITIAL};
    use super::super::script::*;
    use super::super::words::*;
    use super::super::{dup, flags};
    use crate::config::ToeConfig;
    use crate::counters::Cause;

    /// A connection whose first round trips took `rtt` ticks. The peer's MSS is 1000, its window 60,000.
    fn open(rtt: u32, sack: bool) -> Script {
        let config = ToeConfig {
            tx_ring_bytes: 32768,
            ..config()
        };
        let mut syn = seg(SYN, 0, 0).mss(1000).wnd(60_000);
        if sack {
            syn = syn.sack_permitted();
        }
        let mut s = Script::new_reno(config, syn);
        for n in 1..20 {
            s.write(b"x");
            s.expect(ACK, n, 1, 1);
            s.ticks(rtt).inject(ack(n + 1)).silence();
        }
        assert!((rtt * 7..=rtt * 8).contains(&s.word(SRTT)));
        s
    }

    fn ack(n: u32) -> Seg {
        seg(ACK, 1, n).wnd(60_000)
    }

    /// Of what [`open`] sends and has acknowledged.
    const FIRST: u32 = 20;

    /// Writes so many segments, which leave.
    fn send(s: &mut Script, from: u32, segments: u32) {
        s.write(&vec![7; segments as usize * 1000]);
        for n in 0..segments {
            s.expect(ACK, from + n * 1000, 1, 1000);
        }
        s.silence();
    }

    /// Two round trips, four times what they vary and a little, to the tick.
    fn pto(s: &Script) -> u32 {
        let pto = 2 * (s.word(SRTT) / 8) + s.word(RTTVAR) + PTO_MARGIN;
        assert_eq!(s.word(PTO), pto);
        pto
    }

    #[test]
    fn a_lost_tail_is_mended_without_a_timeout() {
        let mut s = open(20, true);
        send(&mut s, FIRST, 6);
        let wait = pto(&s);
        assert!(wait < s.word(RTO) / 2);
        s.ticks(20).inject(ack(FIRST + 2000)).silence();
        s.ticks(wait - 1).silence().ticks(1);
        s.expect(ACK, FIRST + 5000, 1, 1000);
        s.silence().counted(Cause::TailProbe, 1);
        // One block above is enough: all before it is lost, and goes as cwnd allows, half of the flight.
        s.ticks(20)
            .inject(ack(FIRST + 2000).sack(&[(FIRST + 5000, FIRST + 6000)]));
        for n in 2..4 {
            s.expect(ACK, FIRST + n * 1000, 1, 1000);
        }
        s.silence();
        assert_ne!(s.word(DUP_ACKS) & dup::RECOVERY, 0);
        s.inject(ack(FIRST + 4000).sack(&[(FIRST + 5000, FIRST + 6000)]));
        s.expect(ACK, FIRST + 4000, 1, 1000);
        s.ticks(20).inject(ack(FIRST + 6000)).silence();
        s.counted(Cause::RtoExpired, 0)
            .counted(Cause::Retransmit, 4);
        send(&mut s, FIRST + 6000, 1);
        s.ticks(20).inject(ack(FIRST + 7000)).silence();
        pto(&s);
    }

    /// Many who begin at once: what each sends is behind all that the others have sent, twice and thrice as long.
    #[test]
    fn a_queue_that_grows_is_no_loss() {
        let mut s = open(20, true);
        let mut at = FIRST;
        for rtt in [39, 60, 100, 150] {
            send(&mut s, at, 3);
            let patience = 2 * (s.word(SRTT) / 8) + PTO_MARGIN;
            let late = rtt > 39;
            assert_eq!(rtt > patience, late, "{rtt} of {patience}");
            s.ticks(rtt).silence();
            at += 3000;
            s.inject(ack(at)).silence();
        }
        s.counted(Cause::TailProbe, 0).counted(Cause::RtoExpired, 0);
        // And when it varies no more all is as before.
        for _ in 0..40 {
            send(&mut s, at, 1);
            at += 1000;
            s.ticks(20).inject(ack(at)).silence();
        }
        assert!((43..=50).contains(&pto(&s)), "{}", s.word(PTO));
    }

    #[test]
    fn a_loss_that_the_probe_mends_halves_cwnd_once_more_is_acknowledged() {
        for d_sack in [false, true] {
            let mut s = open(20, true);
            send(&mut s, FIRST, 4);
            s.ticks(20).inject(ack(FIRST + 3000)).silence();
            // With another segment behind it the last is not alone.
            send(&mut s, FIRST + 4000, 1);
            s.ticks(pto(&s));
            s.expect(ACK, FIRST + 4000, 1, 1000);
            let cwnd = s.word(CWND);
            s.inject(ack(FIRST + 5000)).silence();
            assert_eq!(s.word(CWND), cwnd, "the end itself says nothing yet");
            assert_eq!(s.word(PTO), s.word(RTO), "one probe at a time");
            if d_sack {
                s.inject(ack(FIRST + 5000).sack(&[(FIRST + 4000, FIRST + 5000)]))
                    .silence();
                assert_eq!(s.word(PTO_MORE), PTO_MARGIN);
            }
            send(&mut s, FIRST + 5000, 4);
            s.inject(ack(FIRST + 6000)).silence();
            if d_sack {
                assert!(s.word(CWND) >= cwnd, "the original had come");
            } else {
                assert_eq!((s.word(CWND), s.word(SSTHRESH)), (2000, 2000));
            }
            assert_eq!(s.word(DUP_ACKS) & (dup::PROBED | dup::RECOVERY), 0);
            s.inject(ack(FIRST + 9000)).silence();
            send(&mut s, FIRST + 9000, 1);
            s.ticks(20).inject(ack(FIRST + 10_000)).silence();
            pto(&s);
            s.counted(Cause::RtoExpired, 0)
                .counted(Cause::TailProbe, 1)
                .counted(Cause::Retransmit, 1);
        }
    }

    #[test]
    fn a_d_sack_of_something_else_does_not_speak_for_the_probe() {
        let mut s = open(20, true);
        send(&mut s, FIRST, 3);
        s.ticks(pto(&s));
        s.expect(ACK, FIRST + 2000, 1, 1000);
        s.inject(ack(FIRST + 3000).sack(&[(FIRST, FIRST + 1000)]))
            .silence();
        assert_ne!(s.word(DUP_ACKS) & dup::PROBED, 0);
    }

    /// RFC 5961 section 5.2: nor does what stands beside an ACK of what was never sent.
    #[test]
    fn a_d_sack_beside_a_refused_ack_does_not_speak_for_the_probe() {
        for ack_of in [FIRST + 9000, FIRST.wrapping_sub(70_000)] {
            let mut s = open(20, true);
            send(&mut s, FIRST, 3);
            s.ticks(pto(&s));
            s.expect(ACK, FIRST + 2000, 1, 1000);
            let block = (FIRST + 2000, FIRST + 3000);
            s.inject(ack(ack_of).sack(&[block]));
            s.counted(Cause::BadAck, 1);
            assert_ne!(s.word(DUP_ACKS) & dup::PROBED, 0);
        }
    }

    #[test]
    fn new_text_is_probe_enough_if_the_window_takes_it() {
        for (window, new) in [(11_000, true), (10_999, false)] {
            let mut s = open(20, true);
            s.inject(ack(FIRST).wnd(window));
            assert_eq!(s.word(CWND) / 1000, 10);
            s.toe.host_write(0, &[7; 12_000]);
            s.settle();
            for n in 0..10 {
                s.expect(ACK, FIRST + n * 1000, 1, 1000);
            }
            s.silence();
            s.ticks(pto(&s));
            s.expect(ACK, FIRST + if new { 10_000 } else { 9000 }, 1, 1000);
            s.silence().counted(Cause::Retransmit, u64::from(!new));
        }
        // And here cwnd does not.
        let mut s = open(20, true);
        s.toe.machine.state[0][28] = 3000;
        s.toe.machine.state[0][24] = dup::GROWS;
        s.toe.host_write(0, &[7; 8000]);
        s.settle();
        for n in 0..3 {
            s.expect(ACK, FIRST + n * 1000, 1, 1000);
        }
        s.silence();
        s.ticks(pto(&s));
        s.expect(ACK, FIRST + 3000, 1, 1000);
        s.silence()
            .counted(Cause::Retransmit, 0)
            .counted(Cause::TailProbe, 1);
        let rto = s.word(RTO);
        s.ticks(rto - 1).silence().ticks(1);
        s.expect(ACK, FIRST, 1, 1000);
    }

    #[test]
    fn the_block_of_new_text_that_was_the_probe_tells_of_what_is_lost_before_it() {
        let mut s = open(20, true);
        s.toe.machine.state[0][28] = 3000;
        s.toe.machine.state[0][24] = dup::GROWS;
        s.toe.host_write(0, &[7; 8000]);
        s.settle();
        for n in 0..3 {
            s.expect(ACK, FIRST + n * 1000, 1, 1000);
        }
        s.ticks(pto(&s));
        s.expect(ACK, FIRST + 3000, 1, 1000);
        // Of four on their way three above would be needed without a probe.
        s.inject(ack(FIRST + 1000).sack(&[(FIRST + 3000, FIRST + 4000)]));
        s.expect(ACK, FIRST + 1000, 1, 1000);
        assert_ne!(s.word(DUP_ACKS) & dup::RECOVERY, 0);
        s.counted(Cause::RtoExpired, 0);
    }

    /// The head's copy fills a gap, so that its ACK is not delayed: two round trips tell that it is lost, too. Once; then it is the RTO.
    #[test]
    fn in_recovery_the_copy_of_the_head_is_probed_for() {
        for moved in [false, true] {
            let mut s = open(20, true);
            send(&mut s, FIRST, 6);
            let wait = pto(&s);
            s.inject(
                ack(FIRST).sack(&[(FIRST + 1000, FIRST + 2000), (FIRST + 3000, FIRST + 6000)]),
            );
            s.expect(ACK, FIRST, 1, 1000);
            s.expect(ACK, FIRST + 2000, 1, 1000);
            assert_eq!((s.word(CWND), s.word(SSTHRESH)), (3000, 3000));
            s.silence().ticks(wait - 1).silence().ticks(1);
            s.expect(ACK, FIRST, 1, 1000);
            s.silence()
                .counted(Cause::TailProbe, 1)
                .counted(Cause::RtoExpired, 0);
            // RFC 5681 section 4.3: lowered once more.
            assert_eq!((s.word(CWND), s.word(SSTHRESH)), (2000, 2000));
            let rto = s.word(RTO);
            if moved {
                // The second's copy, once the first has come, not before the RTO: what goes again is no measurement without timestamps.
                s.ticks(20);
                s.inject(ack(FIRST + 2000).sack(&[(FIRST + 3000, FIRST + 6000)]));
                s.silence().ticks(rto - 1).silence().ticks(1);
                s.expect(ACK, FIRST + 2000, 1, 1000);
                s.counted(Cause::RtoExpired, 1);
            } else {
                s.ticks(rto - 1).silence().ticks(1);
                s.expect(ACK, FIRST, 1, 1000);
                s.silence().counted(Cause::RtoExpired, 1);
            }
        }
    }

    /// A connection with timestamps whose first round trips took 20 ticks, as [`open`]'s do; what the last segment said of its time.
    fn stamped() -> (Script, u32) {
        let config = ToeConfig {
            tx_ring_bytes: 32768,
            ..config()
        };
        let mut s = Script::with(config);
        let syn = seg(SYN, 0, 0).mss(1012).wnd(60_000).sack_permitted();
        s.inject(syn.stamps(7, 0));
        let mut at = s.expect(SYN | ACK, 0, 1, 0).stamps.expect("timestamps").0;
        s.inject(ack(1).stamps(7, at)).silence();
        for n in 1..20 {
            s.write(b"x");
            at = s.expect(ACK, n, 1, 1).stamps.expect("timestamps").0;
            s.ticks(20).inject(ack(n + 1).stamps(7, at)).silence();
        }
        (s, at)
    }

    /// With timestamps what goes again is a measurement, and the copy of the next hole is probed for, too: without the probe that went before, it would wait for the RTO.
    #[test]
    fn after_a_probe_in_recovery_the_copy_of_a_later_hole_is_probed_for() {
        let (mut s, at) = stamped();
        send(&mut s, FIRST, 8);
        let wait = s.word(PTO);
        let block = |from: u32, to: u32| (FIRST + from * 1000, FIRST + to * 1000);
        let ack = |n: u32, at: u32| ack(FIRST + n * 1000).stamps(7, at);
        s.inject(ack(0, at).sack(&[block(1, 2), block(3, 4), block(5, 8)]));
        for hole in [0, 2, 4] {
            s.expect(ACK, FIRST + hole * 1000, 1, 1000);
        }
        s.silence().ticks(wait - 1).silence().ticks(1);
        let copy = s.expect(ACK, FIRST, 1, 1000).stamps.expect("timestamps").0;
        s.counted(Cause::TailProbe, 1);
        assert_eq!(s.word(PTO), s.word(RTO), "one probe at a time");
        s.ticks(20);
        s.inject(ack(2, copy).sack(&[block(3, 4), block(5, 8)]));
        s.inject(ack(4, copy).sack(&[block(5, 8)])).silence();
        let (pto, rto) = (s.word(PTO), s.word(RTO));
        assert!(pto < rto / 2, "{pto} {rto}");
        s.ticks(pto - 1).silence().ticks(1);
        s.expect(ACK, FIRST + 4000, 1, 1000);
        s.counted(Cause::TailProbe, 2).counted(Cause::RtoExpired, 0);
    }

    /// And what was sent just now, above which nothing is sacked, is not: not yet two round trips old, it is for what follows to tell.
    #[test]
    fn what_was_sent_just_before_the_timer_expires_is_not_lost() {
        let mut s = open(20, true);
        send(&mut s, FIRST, 5);
        let wait = pto(&s);
        s.ticks(20)
            .inject(ack(FIRST + 1000).sack(&[(FIRST + 2000, FIRST + 3000)]))
            .silence();
        s.ticks(wait - 1).silence();
        send(&mut s, FIRST + 5000, 2);
        // 1,000 is lost; 3,000 and 4,000 have nothing sacked above them, nor have 5,000 and 6,000.
        s.ticks(1);
        s.expect(ACK, FIRST + 1000, 1, 1000);
        s.silence().counted(Cause::Retransmit, 1);
        // Everything else came.
        s.ticks(20).inject(ack(FIRST + 7000)).silence();
        s.counted(Cause::Retransmit, 1)
            .counted(Cause::RtoExpired, 0);
        assert_eq!(s.word(DUP_ACKS), dup::GROWS);
    }

    /// RFC 8985 section 6.3: what was sent before something sacked is lost, however few tell of it, once no reordering can be the cause.
    #[test]
    fn what_lies_below_something_sacked_is_lost_after_two_round_trips() {
        for sacked in [1, 2] {
            let mut s = open(20, true);
            send(&mut s, FIRST, 5);
            let wait = pto(&s);
            let right = FIRST + 2000 + sacked * 1000;
            s.ticks(20)
                .inject(ack(FIRST + 1000).sack(&[(FIRST + 2000, right)]))
                .silence();
            // The timer was set before this ACK's measurement was known.
            s.ticks(wait - 1).silence().ticks(1);
            s.expect(ACK, FIRST + 1000, 1, 1000);
            assert_ne!(s.word(DUP_ACKS) & dup::RECOVERY, 0);
            assert_eq!(s.word(CWND), 2000);
            s.counted(Cause::TailProbe, 0).counted(Cause::RtoExpired, 0);
        }
    }

    /// Whatever sets RTO anew: else what is left of it would be less than nothing.
    #[test]
    fn the_probe_never_waits_longer_than_an_rto_that_became_shorter() {
        let mut s = Script::new();
        let syn = seg(SYN, 0, 0).mss(1000).wnd(0).sack_permitted();
        s.inject(syn);
        s.expect(SYN | ACK, 0, 1, 0);
        s.ticks(RTO_INITIAL);
        s.expect(SYN | ACK, 0, 1, 0);
        s.inject(seg(ACK, 1, 1).wnd(0)).silence();
        s.write(b"text");
        s.ticks(RTO_AFTER_SYN_LOSS);
        s.expect(ACK, 1, 1, 1);
        s.inject(seg(ACK, 1, 1));
        s.expect(ACK, 1, 1, 1);
        s.expect(ACK, 2, 1, 3);
        assert_eq!((s.word(RTO), s.word(PTO)), (RTO_INITIAL, RTO_INITIAL));
        s.ticks(RTO_INITIAL - 1).silence().ticks(1);
        s.expect(ACK, 1, 1, 1);
    }

    #[test]
    fn one_segment_alone_waits_for_the_rto_to_the_tick() {
        let mut s = open(20, true);
        send(&mut s, FIRST, 1);
        let rto = s.word(RTO);
        s.ticks(rto - 1).silence().ticks(1);
        s.expect(ACK, FIRST, 1, 1000);
        s.silence()
            .counted(Cause::RtoExpired, 1)
            .counted(Cause::TailProbe, 0);
    }

    #[test]
    fn a_probe_without_an_answer_is_followed_by_the_rto() {
        let mut s = open(20, true);
        send(&mut s, FIRST, 3);
        let rto = s.word(RTO);
        s.ticks(pto(&s));
        s.expect(ACK, FIRST + 2000, 1, 1000);
        s.ticks(rto - 1).silence().ticks(1);
        s.expect(ACK, FIRST, 1, 1000);
        s.ticks(2 * rto - 1).silence().ticks(1);
        s.expect(ACK, FIRST, 1, 1000);
        s.counted(Cause::RtoExpired, 2).counted(Cause::TailProbe, 1);
        s.inject(ack(FIRST + 3000)).silence();
    }

    #[test]
    fn each_ack_of_something_new_puts_the_probe_off() {
        let mut s = open(20, true);
        send(&mut s, FIRST, 5);
        let mut wait = pto(&s);
        for n in 1..3 {
            s.ticks(wait - 1).silence();
            wait = pto(&s);
            s.inject(ack(FIRST + n * 1000)).silence();
        }
        s.ticks(wait - 1).silence().ticks(1);
        s.expect(ACK, FIRST + 4000, 1, 1000);
    }

    #[test]
    fn a_peer_without_sack_is_not_probed() {
        let mut s = open(20, false);
        assert_eq!(s.word(FLAGS) & flags::SACK, 0);
        send(&mut s, FIRST, 3);
        let rto = s.word(RTO);
        s.ticks(rto - 1).silence().ticks(1);
        s.expect(ACK, FIRST, 1, 1000);
        s.counted(Cause::TailProbe, 0);
    }

    #[test]
    fn ahead_of_a_fin_the_last_text_is_the_probe() {
        let mut s = open(20, true);
        send(&mut s, FIRST, 3);
        s.close();
        s.expect(FIN | ACK, FIRST + 3000, 1, 0);
        s.ticks(pto(&s));
        s.expect(ACK, FIRST + 2000, 1, 1000);
        s.silence();
        s.inject(ack(FIRST).sack(&[(FIRST + 2000, FIRST + 3000)]));
        s.expect(ACK, FIRST, 1, 1000);
        s.expect(ACK, FIRST + 1000, 1, 1000);
        s.silence();
        s.inject(ack(FIRST + 3000)).silence();
        let rto = s.word(RTO);
        s.ticks(rto - 1).silence().ticks(1);
        s.expect(FIN | ACK, FIRST + 3000, 1, 0);
        s.inject(ack(FIRST + 3001)).silence().state("FIN-WAIT-2");
        s.counted(Cause::TailProbe, 1);
    }

    #[test]
    fn it_never_waits_longer_than_the_rto() {
        let mut s = open(20, true);
        // SRTT of 400 ms, and a sample of 150.
        s.toe.machine.state[0][16] = 8 * 400;
        s.write(b"x");
        s.expect(ACK, FIRST, 1, 1);
        s.ticks(150).inject(ack(FIRST + 1)).silence();
        assert!(2 * s.word(SRTT) / 8 > s.word(RTO));
        assert_eq!(s.word(PTO), s.word(RTO));
    }
}
