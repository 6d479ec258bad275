//! Explicit congestion notification (RFC 3168). Only where [`crate::config::ToeConfig::ecn`] is set, and only on connections whose both ends do it: [`super::flags::ECN`].
//!
//! **What is sent** gets its marks from the builder ([`mark`]): ECT(0) on text that goes for the first time, ECE while the peer is to hear of a CE mark, CWR on the first new text behind a smaller `cwnd`. The program sets and
//! clears them; and the builder hears what is counted: `Retransmit` and `ZeroWindowProbe` ahead of text that is not new, `RtoExpired`, which lowers `cwnd`. So what is sent, first or again, costs no cycle more.
//!
//! **What comes** with CE, ECE or CWR is marked by the parser, *odd* besides, so that it leaves the common path; the others pay nothing. The marks are looked at where SACK blocks are, once the segment is found acceptable:
//! so those of what is outside the window count for nothing (section 6.1.5).
//!
//! **Set-up.** A SYN that asks is told by one bit of its record, beside that of timestamps: one question for both. An active open asks if its host's command does ([`super::host::open`]), and with its first SYN alone: the next go without, and
//! then there is no ECN in that connection, whatever is answered (section 6.1.1.1). A RST in answer to the first is taken for one.
//!
//! **ECE** lowers `cwnd` to `ssthresh` as a loss does, once a window of data, and not in the window of a loss (section 6.1.2); an event of its own does it ([`dup::ECE`]), so that none gets longer than others. What overtakes that, an ACK or a loss, may void it: the next ACK has ECE, too, until the peer hears of a smaller `cwnd`. An ACK with ECE lets `cwnd` grow no further, but for one with SACK blocks, or while a loss is made good.
//! With a `cwnd` of one segment nothing new is sent until the retransmission timer expires: `cwnd` is zero until then, or until an ACK of something new without ECE.
use super::marks::*;
use super::words::*;
use super::{dup, none, state, timer};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{k, kf, operands::*, Asm};
use crate::tcp::isa::{cmd, mark};

/// acc = [`super::flags::ECN`]
fn agreed(a: &mut Asm) {
    a.shr3(kf(1 << 24));
}

/// acc: the bits of SEG_MSSOPT that tell of an ECN-setup SYN or SYN-ACK ([`crate::tcp::isa::seg::ECN_SETUP`]), and of timestamps.
pub(super) fn setup_or_stamps_in(a: &mut Asm, config: &ToeConfig) {
    if config.timestamps {
        a.shr1(kf(3 << 27));
    } else {
        a.ld(kf(1 << 27));
    }
}

/// Flag A: the SYN asks for ECN.
pub(super) fn asked(a: &mut Asm) {
    a.ld(kf(1 << 27));
    a.and(SEG_MSSOPT).not_zero(A);
}

/// The SYN-ACK has ECE if its SYN asked. T2 becomes the state word `flags`. On to the timestamps, if the SYN has some.
pub(super) fn passive_open(a: &mut Asm, config: &ToeConfig) {
    a.label("no_connection.ecn")
        .note("RFC 3168 section 6.1.1: an ECN-setup SYN-ACK");
    a.ldi(0x40).st(T0);
    a.shr3(k(super::constant::BIT_16)).or(T2).to(T2);
    if config.timestamps {
        super::stamps::stamps_in(a);
        a.and(SEG_MSSOPT).not_zero(B);
    }
    a.shl16(T0).or(T_CTL).to(T_CTL);
    if config.timestamps {
        a.when(B).br("no_connection.stamped");
    }
    a.br("no_connection.not_stamped");
}

/// The peer's SYN or SYN-ACK in SYN-SENT: is it agreed?
pub(super) fn peer_syn(a: &mut Asm) {
    a.note(
        "RFC 3168 section 6.1.1: ECN, if it was asked for and this is an ECN-setup SYN or SYN-ACK",
    );
    asked(a);
    agreed(a);
    a.and(FLAGS).xor(FLAGS);
    a.unless(A).st(FLAGS);
}

/// The connection is established, or soon; acc = SND.UNA.
pub(super) fn begin(a: &mut Asm) {
    a.st(ECN_RECOVER);
    agreed(a);
    a.and(FLAGS).not_zero(A);
    a.when(A)
        .cmd_imm(cmd::ECN, mark::ECT | mark::off(mark::CWR));
}

/// Our SYN: T_CTL. Asked for once (section 6.1.1.1).
pub(super) fn syn_out(a: &mut Asm) {
    a.note("ECE and CWR, if ECN is asked for; but no SYN after the first does");
    a.ldi(0xC0).st(T0);
    a.ld(TRIES).zero(A);
    agreed(a);
    a.and(FLAGS).zero(B);
    a.when(B).clear(A);
    a.and(FLAGS).xor(FLAGS);
    a.unless(A).st(FLAGS);
    a.shl16(T0).or(T_CTL);
    a.when(A).st(T_CTL);
}

/// A SYN-ACK but for the first: T_CTL.
pub(super) fn syn_ack_out(a: &mut Asm) {
    a.ldi(0x40).st(T0);
    agreed(a);
    a.and(FLAGS).zero(A);
    a.shl16(T0);
    a.when(A).ld(k(0));
    a.or(k(super::constant::CTL_SYN_ACK)).to(T_CTL);
}

/// `cwnd` becomes smaller, for whatever reason but a timeout, of which the builder knows: the peer hears of it (section 6.1.2). (Of no effect without ECN.)
pub(super) fn reduced(a: &mut Asm) {
    a.cmd_imm(cmd::ECN, mark::CWR);
}

/// Each keepalive interval: ECN_RECOVER follows SND.UNA, or it would seem to lie ahead after 2^31 bytes. Flag C is lost.
pub(super) fn follow(a: &mut Asm) {
    a.ld(ECN_RECOVER);
    a.sub(SND_UNA).sign(C);
    a.when(C).ld(SND_UNA);
    a.st(ECN_RECOVER);
}

/// The timer expired with nothing outstanding: a `cwnd` of one segment, of which ECE made none, is one again.
pub(super) fn rested(a: &mut Asm) {
    a.note(
        "RFC 3168 section 6.1.2: cwnd was one segment as an ACK with ECE came, now that one may go",
    );
    a.ld(CWND).sub(MSS).sign(A);
    a.when(A).ld(MSS);
    a.st(CWND);
}

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    a.label("ecn_marked")
        .note("a segment with CE, ECE or CWR: for `ecn_in`, if it gets there");
    a.clear(NOT_PLACED);
    a.set(LIMITED);
    a.br("by_state");

    a.label("ecn_in")
        .note("RFC 3168: CE, ECE, CWR of an acceptable segment");
    a.clear(LIMITED);
    agreed(a);
    a.and(FLAGS).zero(A);
    a.when(A).br("sack_in.seen");
    a.note(
        "section 6.1.3: CWR ends ECE, CE begins it anew; that of what has no text is none of ours",
    );
    a.shl8(SEG_CTL).st(T0).acc().sign(A);
    a.when(A).cmd_imm(cmd::ECN, mark::off(mark::ECE));
    a.ld(kf(1 << 24));
    a.and(SEG_CTL).zero(A);
    a.ld(SEG_LEN).or_zero(A);
    a.unless(A).count(Cause::CongestionExperienced.number());
    a.unless(A).cmd_imm(cmd::ECN, mark::ECE);
    a.unless(A).set(ACK_NOW);
    a.note("section 6.1.2: ECE, with SND.UNA =< SEG.ACK =< SND.NXT; ahead of a gap there is enough to do, and the next one has it, too");
    a.shl1(T0).acc().not_sign(A);
    a.ld(SEG_SEQ).xor(RCV_NXT).or_not_zero(A);
    a.ldi(state::ESTABLISHED).rsb(STATE).or_sign(A);
    a.ld(SEG_ACK).rsb(SND_MAX).or_sign(A);
    a.sub(SND_UNA).or_sign(A);
    a.when(A).br("sack_in.seen");
    a.note("work enough for one event").set(BUSY);
    a.note("once a window of data: something is outstanding, and SEG.ACK is beyond what was when cwnd became smaller last, by ECE or a loss");
    a.sub(ECN_RECOVER);
    a.sub(k(0)).sign(A).or_zero(A);
    a.ldi(1).rsb(RECOVER).sub(SEG_ACK).or_not_sign(A);
    a.ld(SND_UNA).xor(SND_MAX).or_zero(A);
    a.when(A).br(".lowered");
    a.note("so cwnd is lowered, by the next event; no measurement besides")
        .ldi(dup::ECE)
        .or(DUP_ACKS)
        .to(DUP_ACKS);
    a.ld(SND_MAX).sub(SND_UNA).st(ECN_FLIGHT);
    none(a, TIMED_AT);
    a.label("ecn_in.lowered")
        .note("an ACK of something new lets cwnd grow no further");
    a.ld(SEG_ACK).xor(SND_UNA).zero(A);
    a.ldi(dup::RECOVERY | dup::SCORE | dup::PROBED | dup::PROBED_NEW)
        .and(DUP_ACKS)
        .or_not_zero(A);
    a.note("unless there are SACK blocks").ld(kf(1 << 27));
    a.rsb(SEG_MSSOPT).or_not_sign(A);
    a.when(A).br("sack_in.seen");
    a.clear(AGAIN);
    let kept = if config.cubic { super::cubic::KEPT } else { 0 };
    a.ldi(dup::GROWS | dup::ECE | kept)
        .and(DUP_ACKS)
        .to(DUP_ACKS);
    a.ld(SEG_ACK);
    a.br("grown");

    a.label("ecn_lower")
        .note("section 6.1.2, as a loss does: cwnd = ssthresh, from FlightSize as the ACK came");
    a.ld(ECN_FLIGHT).st(T0);
    a.sub(CWND).sign(A);
    a.unless(A).ld(CWND).to(T0);
    a.ldi(dup::GROWS | dup::lowers(config)).st(DUP_ACKS);
    a.ld(SND_MAX).st(ECN_RECOVER);
    a.call("halve.flight");
    reduced(a);
    a.note("or one segment where that is no less; one segment (a) becomes none, and the timer begins anew");
    if config.cubic {
        a.note("(the event that lowers both comes behind this one; two segments are the least that ssthresh is)");
        a.shl1(MSS).st(T1);
    }
    a.ld(MSS).sub(CWND).not_sign(A);
    if config.cubic {
        a.ld(T1).sub(CWND).not_sign(B);
        a.ld(CWND);
    } else {
        a.ld(SSTHRESH).sub(CWND).not_sign(B);
    }
    a.when(B).ld(MSS);
    a.when(A).ld(k(0));
    a.st(CWND);
    a.when(A).timer_set(timer::RETRANSMIT, RTO);
    if config.cubic {
        a.set(BUSY);
        a.br("busy");
    } else {
        a.br("output");
    }
    if !config.sack {
        a.label("sack_in.seen");
        a.clear(AGAIN);
        a.br("sack_seen");
    }
}
