//! SEG.ACK and the send window (RFC 9293 section 3.10.7.4, fifth check), round-trip times (RFC 6298 section 2).
use super::marks::*;
use super::words::*;
use super::{constant, flags, none, state, timer, zero};
use crate::counters::Cause;
use crate::tcp::asm::{k, operands::*, Asm};
use crate::tcp::isa::cmd;

/// In the common case straight on from `segment_tuple`; falls into `text`.
pub(super) fn acknowledgement(a: &mut Asm) {
    a.label("acknowledgement");
    a.ld(SEG_ACK).sub(SND_UNA).sign(A).zero(C);
    a.rsb(SND_MAX).sign(B);
    a.when(B).br("bad_ack");
    a.when(A).br("text");
    a.when(C).br("same_ack");
    a.note("SND.UNA < SEG.ACK =< SND.NXT");
    a.cmd_a(cmd::TX_FREE, SEG_ACK);
    a.st(SND_UNA);
    a.xor(SND_MAX).zero(B);
    a.ld(TX_INDEX).sub(RESULT).sign(C);
    a.sub(RESULT).to(TX_INDEX);
    a.note("the peer had more than was sent since going back: on from what it has");
    a.when(C).ld(k(0)).to(TX_INDEX);
    a.when(C).ld(RESULT2).to(SND_NXT);
    a.when(B).ld(SND_MAX).to(SND_NXT);
    a.note("RFC 6298 sections 5.2 and 5.3");
    a.when(B).timer_clear(timer::RETRANSMIT);
    a.unless(B).timer_set(timer::RETRANSMIT, RTO);
    zero(a, TRIES);
    zero(a, DUP_ACKS);
    a.ld(TIMED_AT).sign(C);
    a.ld(SEG_ACK).sub(TIMED_SEQ).or_sign(C);
    a.unless(C).call("sample");
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

/// What the common ACK does not need.
pub(super) fn rare(a: &mut Asm) {
    a.label("same_ack")
        .note("RFC 5681 section 2: a duplicate ACK has no text, no new window, and something is outstanding");
    a.xor(SND_MAX).zero(A);
    a.ld(SEG_LEN).not_zero(B);
    a.when(A).br("window");
    a.when(B).br("window");
    a.ld(SEG_WND).xor(SND_WND).not_zero(A);
    a.when(A).br("window");
    a.count(Cause::DuplicateAck.number());
    a.ld(SND_WND).zero(B);
    a.when(B).br("was_closed");
    a.ldi(1).add(DUP_ACKS).st(DUP_ACKS);
    a.st(T0);
    a.ldi(constant::DUP_ACK_THRESHOLD).xor(T0).not_zero(A);
    a.ld(TRIES).or_not_zero(A);
    a.ld(RECOVER).sub(SEG_ACK).or_not_sign(A);
    a.when(A).br("text");
    a.call("go_back");
    a.ldi(1).st(TRIES);
    a.set(FORCE);
    a.br("text");

    a.label("bad_ack")
        .note("acknowledges what was never sent: an ACK says so");
    a.count(Cause::BadAck.number());
    a.br("send_ack");

    a.label("fin_acked")
        .note("has it acknowledged our FIN? FIN-WAIT-1, CLOSING, LAST-ACK");
    a.ld(SEG_ACK).xor(SND_MAX).not_zero(A);
    a.when(A).br("window");
    a.ldi(state::OWN_FIN).and(STATE).zero(A);
    a.when(A).br("window");
    a.ldi(state::LAST_ACK).xor(STATE).zero(A);
    a.when(A).br("last_ack_over");
    a.ldi(1).add(STATE).st(STATE);
    a.st(T0);
    a.ldi(state::TIME_WAIT).xor(T0).zero(A);
    a.when(A).call("enter_time_wait");
    a.br("window");

    a.label("was_closed")
        .note("the window was zero: the peer lives (RFC 9293 section 3.8.6.1)");
    zero(a, TRIES);
    a.ld(SND_WND).zero(B);
    a.when(B).br("text");
    a.note("it has opened: what the probes sent was not taken, so begin at the head");
    zero(a, PERSIST);
    a.ld(SND_UNA).xor(SND_MAX).zero(B);
    a.when(B).br("text");
    a.call("go_back");
    a.call("compute_rto");
    a.br("text");

    a.label("sample")
        .note("RFC 6298 section 2; a sample across the tick's wrap is void");
    a.ld(TICK).sub(TIMED_AT).st(T0).sign(A);
    none(a, TIMED_AT);
    a.when(A).ret();
    a.ldi(flags::SAMPLED).and(FLAGS).not_zero(A);
    a.when(A).br(".next");
    a.note("2.2: SRTT = R, RTTVAR = R/2");
    a.ldi(flags::SAMPLED).or(FLAGS).to(FLAGS);
    a.shl3(T0).st(SRTT);
    a.shl1(T0).st(RTTVAR);
    a.br("compute_rto");
    a.label(".next")
        .note("2.3: RTTVAR += (|SRTT - R| - RTTVAR) / 4, SRTT += (R - SRTT) / 8");
    a.shr3(SRTT).rsb(T0).sign(A);
    a.rsb(T0);
    a.st(T1);
    a.add(SRTT).to(SRTT);
    a.when(A).rsb(k(0)).to(T1);
    a.shr1(RTTVAR).st(T2);
    a.shr1(T2).rsb(T1);
    a.add(RTTVAR).to(RTTVAR);
    a.label("compute_rto")
        .note("2.3, 2.4: RTO = SRTT + max(G, 4 RTTVAR), at least the minimum");
    a.ldi(flags::SAMPLED).and(FLAGS).zero(A);
    a.when(A).br(".first");
    a.shr3(SRTT).add(RTTVAR).st(RTO);
    a.st(T0);
    a.ldi(constant::RTO_MIN).sub(T0).sign(A);
    a.unless(A).st(RTO);
    a.ret();
    a.label(".first");
    a.ldi(constant::RTO_INITIAL).st(RTO);
    a.ret();
}
