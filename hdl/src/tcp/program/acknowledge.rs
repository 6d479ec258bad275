//! SEG.ACK and the send window (RFC 9293 section 3.10.7.4, fifth check), round-trip times (RFC 6298 section 2).
use super::marks::*;
use super::words::*;
use super::{constant, dup, flags, none, state, timer, zero};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, operands::*, Asm};
use crate::tcp::isa::cmd;

/// In the common case straight on from `segment`; falls into `text`.
pub(super) fn acknowledgement(a: &mut Asm, config: &ToeConfig) {
    a.label("acknowledgement");
    a.ld(SEG_ACK).sub(SND_UNA).sign(A).zero(C);
    a.rsb(SND_MAX).sign(B);
    a.when(B).br("bad_ack");
    a.when(A)
        .br(if config.hardened() { "old_ack" } else { "text" });
    a.when(C).ld(SEG_LEN).not_zero(A);
    a.when(A).br("window");
    a.when(C).br("same_ack");
    a.note("SND.UNA < SEG.ACK =< SND.NXT");
    a.ld(DUP_ACKS).not_zero(B);
    a.when(B).br("congestion");
    a.label("grown");
    a.cmd_a(cmd::TX_FREE, SEG_ACK);
    a.st(SND_UNA);
    a.xor(SND_MAX).zero(B);
    a.sub(TIMED_SEQ).sign(A);
    a.ld(TX_INDEX).sub(RESULT).sign(C);
    a.sub(RESULT).to(TX_INDEX);
    a.when(C).br("ahead");
    a.label("not_ahead");
    a.when(B).ld(SND_MAX).to(SND_NXT);
    if config.complete() {
        a.note("RFC 6298 section 5.3; and if all is acknowledged, the wait for the restart window (RFC 5681 section 4.1) in place of 5.2");
        a.timer_set(
            timer::RETRANSMIT,
            if config.scoreboard() { PTO } else { RTO },
        );
    } else {
        a.note("RFC 6298 sections 5.2 and 5.3");
        a.when(B).timer_clear(timer::RETRANSMIT);
        a.unless(B).timer_set(timer::RETRANSMIT, RTO);
    }
    zero(a, TRIES);
    a.ld(TIMED_AT).or_sign(A);
    a.unless(A).call("sample");
    a.when(UNCOMMON).br("fin_acked");
    a.label("window")
        .note("SND.WL1 < SEG.SEQ, or SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK");
    a.ld(SEG_SEQ).sub(SND_WL1).sign(A).zero(B);
    a.ld(SEG_ACK);
    a.when(B).sub(SND_WL2).or_sign(A);
    a.ld(SND_WND).zero(B);
    a.unless(A).ld(SEG_WND).to(SND_WND);
    a.unless(A).ld(SEG_SEQ).to(SND_WL1);
    a.unless(A).ld(SEG_ACK).to(SND_WL2);
    a.when(B).br("was_closed");
}

/// Flag A: SEG.ACK was never sent, or is older than any, so that nothing of its segment is to be heard (RFC 5961 section 5.2). `bad_ack` and `old_ack` answer it.
pub(super) fn refused(a: &mut Asm) {
    a.ld(SEG_ACK).rsb(SND_MAX).sign(A);
    a.add(k(constant::BIT_16)).rsb(SND_UNA).or_not_sign(A);
}

/// What the common ACK does not need.
pub(super) fn rare(a: &mut Asm, config: &ToeConfig) {
    a.label("same_ack")
        .note("RFC 5681 section 2: a duplicate ACK has no text, no new window, and something is outstanding");
    a.ld(SEG_ACK).xor(SND_MAX).zero(A);
    a.ld(SEG_WND).xor(SND_WND).or_not_zero(A);
    a.when(FIN).set(A);
    a.when(A).br("window");
    a.count(Cause::DuplicateAck.number());
    a.ld(SND_WND).zero(B);
    a.when(B).br("was_closed");
    a.br("duplicate");

    a.label("ahead")
        .note("the peer had more than was sent since going back: on from what it has");
    a.ldi(1).rsb(TX_INDEX).add(RESULT).zero(A);
    a.unless(B).clear(A);
    a.note("it had all, and one segment alone went again: the next duplicates are of a new loss (RFC 6582 section 4)");
    a.when(A).ld(SND_UNA).to(RECOVER);
    a.ld(k(0)).to(TX_INDEX);
    a.ld(RESULT2).to(SND_NXT);
    a.br("not_ahead");

    if config.hardened() {
        a.label("old_ack")
            .note("RFC 5961 section 5.2: SND.UNA - MAX.SND.WND =< SEG.ACK, or who sent it has guessed; the ring keeps what is on its way below 65,536, whatever window the peer has");
        a.add(k(constant::BIT_16)).rsb(SND_UNA).sign(A);
        a.when(A).br("text");
    }
    a.label("bad_ack")
        .note("acknowledges what was never sent: an ACK says so");
    a.count(Cause::BadAck.number());
    a.br(if config.hardened() {
        "challenge.limited"
    } else {
        "send_ack"
    });

    a.label("fin_acked")
        .note("has it acknowledged our FIN? FIN-WAIT-1, CLOSING, LAST-ACK");
    a.ld(SEG_ACK).xor(SND_MAX).not_zero(A);
    a.ldi(state::OWN_FIN).and(STATE).or_zero(A);
    a.when(A).br("window");
    if config.complete() {
        a.timer_clear(timer::RETRANSMIT);
    }
    a.ldi(state::LAST_ACK).xor(STATE).zero(A);
    a.when(A).br("last_ack_over");
    a.note("FIN-WAIT-1 to FIN-WAIT-2, CLOSING to TIME-WAIT");
    a.ldi(state::PEER_FIN).and(STATE).not_zero(A);
    a.ldi(1).add(STATE).to(STATE);
    a.when(A).call("enter_time_wait");
    a.br("window");

    a.label("was_closed")
        .note("the window was zero: the peer lives (RFC 9293 section 3.8.6.1)");
    zero(a, TRIES);
    a.ld(SND_WND).zero(B);
    if config.scoreboard() {
        a.note("an ACK that leaves looks where it may stand")
            .when(B)
            .set(SACK_ACK);
    }
    a.when(B).br("text");
    a.note("it has opened: what the probes sent was not taken, so begin at the head");
    a.ld(SND_UNA).xor(SND_MAX).zero(B);
    a.when(B).br("text");
    a.call("go_back");
    a.call("compute_rto");
    a.br("text");

    a.label("sample");
    let recover = |a: &mut Asm| {
        a.note("all that was sent before going back is acknowledged: RECOVER follows SEG.ACK, or it would seem to lie ahead after 2^31 bytes");
        a.ld(SEG_ACK).to(RECOVER);
    };
    if !config.timestamps {
        recover(a);
    }
    a.note("RFC 6298 section 2; a sample across the tick's wrap is void, and one of a minute or more, which bounds RTO: by 5 times as long");
    a.ld(TICK).sub(TIMED_AT).st(T0);
    a.sub(k(constant::RTO_MAX)).carry(A);
    if config.timestamps {
        a.ld(FLAGS).or_sign(A);
    }
    a.when(A).br(".void");
    if config.timestamps {
        recover(a);
    }
    a.label("measured");
    a.ldi(flags::SAMPLED).and(FLAGS).zero(A);
    a.when(A).br("sample.first");
    a.note("2.3: RTTVAR += (|SRTT - R| - RTTVAR) / 4, SRTT += (R - SRTT) / 8");
    a.shr1(RTTVAR).st(T2);
    a.shr3(SRTT).rsb(T0).sign(A);
    a.rsb(T0).st(T1);
    a.when(A).rsb(k(0)).to(T1);
    a.add(SRTT).to(SRTT);
    a.note("work enough for one event: what there is to send comes with the next");
    a.set(BUSY);
    a.shr1(T2).rsb(T1);
    a.add(RTTVAR).to(RTTVAR);
    a.label("known")
        .note("2.3, 2.4: RTO = SRTT + max(G, 4 RTTVAR), at least the minimum");
    none(a, TIMED_AT);
    a.shr3(SRTT);
    if config.scoreboard() {
        a.st(T0);
        a.note("here, where the first measurement does not pass")
            .nop();
        a.label("known.srtt");
    }
    a.add(RTTVAR).st(RTO);
    if config.scoreboard() {
        a.note("RFC 8985 section 7.2: PTO = 2 SRTT and a little, at most RTO; and 4 RTTVAR ([`super::probe`])");
        a.add(PTO_MORE).add(T0).st(PTO);
        a.ldi(constant::RTO_MIN).sub(RTO).sign(A);
        a.when(A).ld(RTO);
        a.st(RTO);
        a.rsb(PTO).not_sign(A);
        a.when(A).st(PTO);
    } else {
        a.ldi(constant::RTO_MIN).sub(RTO).sign(A);
        a.unless(A).st(RTO);
    }
    a.ret();
    a.label("sample.first").note("2.2: SRTT = R, RTTVAR = R/2");
    a.or(FLAGS).to(FLAGS);
    a.note("and the SYN is acknowledged: from here on cwnd may grow, if it limits anything");
    a.li(config.tx_ring_bytes as u32).rsb(CWND).sign(A);
    a.ldi(dup::GROWS);
    a.when(A).st(DUP_ACKS);
    a.shl3(T0).st(SRTT);
    a.shl1(T0).st(RTTVAR);
    if config.scoreboard() {
        a.note("of the queue of ten segments it says nothing")
            .ldi(constant::FIRST_FLIGHT)
            .add(T0)
            .to(T0);
        none(a, TIMED_AT);
        a.shr3(SRTT);
        a.br("known.srtt");
    } else {
        a.br("known");
    }
    a.label("sample.void");
    if config.timestamps {
        a.note("with timestamps what was sent again is timed, too: is it all?");
        a.ldi(1).add(SEG_ACK).sub(RECOVER).sign(B);
        a.unless(B).ld(SEG_ACK).to(RECOVER);
        a.note("RFC 7323 section 4.1: by the timestamp that came back");
        a.ld(FLAGS).not_sign(A);
        a.ld(TICK_LONG).add(TS_OFFSET);
        a.sub(SEG_TSECR).st(T0);
        a.sub(k(constant::RTO_MAX)).or_carry(A);
        a.unless(A).br("measured");
    }
    none(a, TIMED_AT);
    a.ret();

    a.label("compute_rto")
        .note("RTO without the back-off; 2.1: no measurement yet");
    a.ldi(flags::SAMPLED).and(FLAGS).not_zero(A);
    a.when(A).br("known");
    a.ldi(constant::RTO_INITIAL).st(RTO);
    if config.scoreboard() {
        a.st(PTO);
    }
    a.ret();
}

#[cfg(test)]
mod tests {
    use super::super::script::*;
    use super::super::words::*;
    use crate::counters::Cause;

    #[test]
    fn an_ack_of_what_was_never_sent_is_answered() {
        let mut s = Script::established();
        s.write(b"abc");
        s.expect(ACK, 1, 1, 3);
        s.inject(seg(ACK, 1, 5).data(b"x"));
        s.expect(ACK, 4, 1, 0);
        s.counted(Cause::BadAck, 1);
        assert_eq!(s.read(), b"");
        s.inject(seg(ACK, 1, 4)).silence();
        assert_eq!(s.word(SND_UNA), s.word(SND_MAX));
        s.slots(1);
    }

    #[test]
    fn an_old_ack_moves_nothing_but_its_text_counts() {
        let mut s = Script::established();
        s.write(b"abc");
        s.expect(ACK, 1, 1, 3);
        s.inject(seg(ACK, 1, 4));
        s.inject(seg(ACK, 1, 2).data(b"x").wnd(5));
        s.expect(ACK, 4, 2, 0);
        assert_eq!(s.word(SND_WND), 8192);
        assert_eq!(s.read(), b"x");
    }

    #[test]
    fn part_of_a_segment_acknowledged_keeps_the_timer_and_all_of_the_segment() {
        let mut s = Script::established();
        s.write(b"abcdef");
        s.expect(ACK, 1, 1, 6);
        s.inject(seg(ACK, 1, 4)).silence();
        s.ticks(201);
        assert_eq!(s.expect(ACK, 1, 1, 6).data, b"abcdef");
        s.inject(seg(ACK, 1, 7)).silence();
        assert_eq!((s.word(TX_INDEX), s.word(SND_NXT)), (0, s.word(SND_MAX)));
    }

    #[test]
    fn rto_follows_rfc_6298() {
        // The arithmetic in floating point, beside what the program makes of it in eighths and quarters of a tick.
        let mut s = Script::established();
        let (mut srtt, mut rttvar) = (0.0f64, 0.0f64);
        let mut at = 1;
        for (n, r) in [
            0u32, 150, 190, 250, 500, 100, 100, 100, 300, 30, 30, 30, 30, 30, 30,
        ]
        .into_iter()
        .enumerate()
        {
            let r = r.min(s.word(RTO) - 1);
            let rtt = f64::from(r);
            if n > 0 {
                s.write(b"x");
                s.expect(ACK, at, 1, 1);
                at += 1;
                s.ticks(r);
                s.inject(seg(ACK, 1, at));
            }
            if n == 0 {
                srtt = rtt;
                rttvar = rtt / 2.0;
            } else {
                rttvar += ((srtt - rtt).abs() - rttvar) / 4.0;
                srtt += (rtt - srtt) / 8.0;
            }
            let rto = (srtt + 4.0 * rttvar).max(200.0);
            let got = f64::from(s.word(RTO));
            assert!(
                (got - rto).abs() <= 6.0,
                "sample {n} of {r}: RTO {got}, by the RFC {rto}"
            );
            s.silence();
        }
        s.counted(Cause::RtoExpired, 0);
    }

    #[test]
    fn a_peer_that_answers_ever_later_does_not_draw_the_rto_past_its_limit() {
        let mut s = Script::established();
        let mut most = 0;
        for at in 1..25 {
            s.write(b"x");
            s.expect(ACK, at, 1, 1);
            let rto = s.word(RTO);
            most = most.max(rto);
            s.ticks(rto - 1);
            s.inject(seg(ACK, 1, at + 1)).silence();
        }
        s.counted(Cause::RtoExpired, 0);
        assert!((65_536..5 * 65_536).contains(&most), "RTO {most}");
        // Backed off it is held to the maximum, and a round trip below that counts again.
        s.write(b"x");
        s.expect(ACK, 25, 1, 1);
        let rto = s.word(RTO);
        s.ticks(rto);
        s.expect(ACK, 25, 1, 1);
        assert_eq!(s.word(RTO), 65_536);
        s.inject(seg(ACK, 1, 26)).silence();
        for (r, counts) in [(65_536, false), (65_535, true)] {
            s.toe.machine.state[0][18] = 70_000; // the RTO
            let before = (s.word(SRTT), s.word(RTTVAR));
            let at = s.word(SND_MAX).wrapping_sub(US);
            s.write(b"x");
            s.expect(ACK, at, 1, 1);
            s.ticks(r);
            s.inject(seg(ACK, 1, at + 1)).silence();
            assert_eq!((s.word(SRTT), s.word(RTTVAR)) != before, counts, "{r}");
        }
    }

    #[test]
    fn recover_follows_so_that_it_never_seems_to_lie_ahead() {
        let mut s = Script::established();
        for n in 0..5 {
            s.write(b"x");
            s.expect(ACK, 1 + n, 1, 1);
            s.inject(seg(ACK, 1, 2 + n)).silence();
            assert_eq!(s.word(RECOVER), s.word(SND_UNA));
        }
        s.write(&[1; 4000]);
        for n in 0..4 {
            s.expect(ACK, 6 + n * 1000, 1, 1000);
        }
        s.inject(seg(ACK, 1, 6)).inject(seg(ACK, 1, 6)).silence();
        s.inject(seg(ACK, 1, 6));
        s.expect(ACK, 6, 1, 1000);
    }

    #[test]
    fn what_is_sent_again_is_not_timed() {
        let mut s = Script::established();
        let before = s.word(SRTT);
        s.write(b"x");
        s.expect(ACK, 1, 1, 1);
        let rto = s.word(RTO);
        s.ticks(rto + 1);
        s.expect(ACK, 1, 1, 1);
        s.ticks(100);
        s.inject(seg(ACK, 1, 2)).silence();
        assert_eq!(
            (s.word(SRTT), s.word(RTO)),
            (before, 2 * rto),
            "Karn: the back-off stays"
        );
    }

    #[test]
    fn the_third_duplicate_ack_brings_the_head_again() {
        let mut s = Script::established();
        s.write(&[1; 4000]);
        for n in 0..4 {
            s.expect(ACK, 1 + n * 1000, 1, 1000);
        }
        s.inject(seg(ACK, 1, 1)).inject(seg(ACK, 1, 1)).silence();
        s.inject(seg(ACK, 1, 1));
        s.expect(ACK, 1, 1, 1000);
        s.inject(seg(ACK, 1, 1)).inject(seg(ACK, 1, 1)).silence();
        s.inject(seg(ACK, 1, 4001)).silence();
        s.counted(Cause::Retransmit, 1)
            .counted(Cause::RtoExpired, 0)
            .counted(Cause::DuplicateAck, 5);
        assert_eq!(s.word(TX_INDEX), 0);
        s.write(b"more");
        s.expect(ACK, 4001, 1, 4);
        s.slots(1);
    }

    #[test]
    fn a_loss_right_after_a_timeout_that_one_segment_mended_needs_no_other_timeout() {
        let mut s = Script::established();
        s.write(&[1; 3000]);
        for n in 0..3 {
            s.expect(ACK, 1 + n * 1000, 1, 1000);
        }
        s.ticks(201);
        s.expect(ACK, 1, 1, 1000);
        s.inject(seg(ACK, 1, 3001)).silence();
        s.write(&[2; 4000]);
        // Slow start allows two, the first two duplicates one each (RFC 3042).
        s.expect(ACK, 3001, 1, 1000);
        s.expect(ACK, 4001, 1, 1000);
        s.silence();
        for seq in [5001, 6001, 3001] {
            s.inject(seg(ACK, 1, 3001));
            s.expect(ACK, seq, 1, 1000);
            s.silence();
        }
        s.counted(Cause::RtoExpired, 1);
    }

    #[test]
    fn duplicates_that_what_was_sent_again_may_have_made_bring_nothing_again() {
        let mut s = Script::established();
        s.write(&[1; 5000]);
        for n in 0..5 {
            s.expect(ACK, 1 + n * 1000, 1, 1000);
        }
        s.ticks(201);
        s.expect(ACK, 1, 1, 1000);
        for ack in [1001, 3001] {
            s.inject(seg(ACK, 1, ack));
            s.expect(ACK, ack, 1, 1000);
            s.expect(ACK, ack + 1000, 1, 1000);
            s.silence();
        }
        s.inject(seg(ACK, 1, 5001)).silence();
        s.write(&[2; 2000]);
        s.expect(ACK, 5001, 1, 1000);
        s.expect(ACK, 6001, 1, 1000);
        for _ in 0..3 {
            s.inject(seg(ACK, 1, 5001)).silence();
        }
        s.counted(Cause::RtoExpired, 1)
            .counted(Cause::Retransmit, 5);
    }

    #[test]
    fn a_segment_with_text_or_a_new_window_is_no_duplicate_ack() {
        let mut s = Script::established();
        s.write(&[1; 1000]);
        s.expect(ACK, 1, 1, 1000);
        for n in 0..4 {
            s.inject(seg(ACK, 1 + n, 1).data(b"x"));
            s.expect(ACK, 1001, 2 + n, 0);
            s.inject(seg(ACK, 2 + n, 1).wnd(8000 + n as u16)).silence();
        }
        s.counted(Cause::DuplicateAck, 0)
            .counted(Cause::Retransmit, 0);
    }
}
