//! The user timeout option (RFC 5482). Only where [`crate::config::ToeConfig::user_timeout_option`] is set, and only on connections whose application asks for it ([`super::host::ConnectionOption::TimeoutOption`]): ENABLED and ADV_UTO of section 3, so that no
//! peer chooses how long it holds a slot.
//!
//! **What comes** makes its segment odd, and stands in the record where a SYN has its MSS. An acceptable segment leaves it in the connection's state, and an event of its own ([`pending::ASIDE`]) deals with it, so that none of the common events pays. That event waits for one without a timer; what the peer says once more is no news. With keepalive's timer, or text and a FIN beside the option, an event may be some 20 cycles over 170. The application is
//! told of the peer's value; and unless it has set a timeout itself (CHANGEABLE, section 3.1) the connection's is min (U_LIMIT, max (ADV_UTO, REMOTE_UTO, L_LIMIT)).
//!
//! **What is sent** is an ACK of its own, by that event: with the command, or, of a connection that is not yet open, ahead of all else that has no SYN (section 3). It goes once, for nothing of it is acknowledged (section 3.2): if it is lost the peer has its own timeout. SYNs have no such option: what a SYN says of it a TCP need not
//! keep (section 3). What the peer's makes of our timeout is not told back: ADV_UTO is the application's, and two who told each other what they made of each other's would have no end.
//!
//! What the peer says once more is no news. While something is sent again, the end is counted from when that was sent first ([`SENT_SINCE`]; with SACK from the probe of the tail if there was one, and later where the RTO became shorter while the timer ran), whatever the timeout was in the meantime. If that is over, the connection ends in place of the next retransmission.
//!
//! A timeout that was adjusted stands where an application's does, by the same code, and an eighth of a second longer: so it is odd, which tells them apart.
use super::marks::*;
use super::words::*;
use super::{constant, due, none, state};
use crate::config::ToeConfig;
use crate::tcp::asm::{flags::*, k, kf, operands::*, Asm};
use crate::tcp::isa::{cmd, out, pending, report};

/// acc = [`super::flags::TIMEOUT_OPTION`]
fn enabled(a: &mut Asm) {
    a.shr8(kf(1 << 28));
}

/// acc = [`super::flags::TIMEOUT_DUE`]
fn wanted(a: &mut Asm) {
    a.shr1(kf(1 << 24));
}

/// Section 3.3: kind 28, length 4. Half of its upper half.
const OPTION: u32 = 0x1C04 / 2;

/// The bits of the mask beside [`pending::ASIDE`] that have their events first, for they come once, or not again before a tick; a reading application is dealt with besides.
const OTHERS: u32 =
    1 << pending::TIMER | 1 << pending::CLOSE | 1 << pending::ABORT | 1 << pending::RELEASED;

/// Flag A: an odd segment has the option. It takes no cycle: T0 is not there yet.
pub(super) fn comes(a: &mut Asm) {
    a.note("or a user timeout, where a SYN has its MSS?")
        .shl16(SEG_MSSOPT)
        .acc()
        .not_zero(A);
}

/// At `urgent`, with the upper half of SEG_CTL in T0: on where there is no option, or nobody wants it; and ends where the segment has no URG.
pub(super) fn heard(a: &mut Asm) {
    a.shl16(SEG_MSSOPT).acc().not_zero(A);
    a.when(A).br("timeout_in");
    a.label("timeout_seen").ldi(0x20).and(T0).zero(A);
    a.when(A).br("not_urgent");
}

/// The connection is established: if the option is to be sent, all else waits for its event. Flag A is lost.
pub(super) fn opened(a: &mut Asm) {
    a.note("RFC 5482 section 3: the first packet without SYN has the option, if it is asked for");
    wanted(a);
    a.and(FLAGS).not_zero(A);
    a.when(A).set(BUSY);
    a.when(A).cmd_imm(cmd::POST, 1);
}

/// The segment in SYN-RECEIVED that may have had it is answered with a reset.
pub(super) fn refused(a: &mut Asm) {
    super::zero(a, REMOTE_UTO);
}

/// So is one that a cookie has opened.
pub(super) fn opened_by_cookie(a: &mut Asm) {
    a.cmd_imm(cmd::POST, 1);
}

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    a.label("timeout_in").note("RFC 5482: is it wanted?");
    enabled(a);
    a.and(FLAGS).zero(A);
    a.note("what it has said before is no news, and takes no measurement")
        .shl16(SEG_MSSOPT);
    a.xor(REMOTE_UTO).or_zero(A);
    a.when(A).br("timeout_seen");
    a.st(REMOTE_UTO);
    a.note("work enough for one event, no measurement besides")
        .set(BUSY);
    none(a, TIMED_AT);
    a.cmd_imm(cmd::POST, 1);
    a.br("timeout_seen");

    a.label("timeout_option")
        .note("the application's: T0 seconds. What the peer said before does not count any more, and what it says next is news");
    enabled(a);
    a.st(T1);
    a.ld(T0).st(ADV_UTO);
    a.ld(k(0)).st(REMOTE_UTO);
    wanted(a);
    a.or(T1).st(T2);
    a.cmd_imm(cmd::POST, 1);
    a.br("option.set");

    a.label("timeout_due").note("what comes seldom goes first");
    a.ldi(OTHERS).and(RESULT).not_zero(A);
    a.when(A).clear(BUSY);
    a.when(A).cmd_imm(cmd::POST, 1);
    a.when(A).br("pending.later");
    a.note("who reads all the time must not put it off")
        .when(P_READ)
        .br("pending.read");
    a.label("timeout_alone").clear(BUSY);
    a.note("what was read may have to be told, by this event or the next")
        .ldi(due::NOW);
    a.when(ACK_NOW).st(ACK_DUE);
    a.note("not before it is open, which posts it again")
        .ldi(state::ESTABLISHED)
        .rsb(STATE)
        .sign(A);
    a.when(A).br("pending.send");
    a.note("is ours to be sent?");
    wanted(a);
    a.and(FLAGS).zero(A);
    a.unless(A).br("timeout_out");
    a.note("has the peer said anything, of minutes (b), and is it asked for?");
    enabled(a);
    a.and(FLAGS).zero(A);
    a.ld(REMOTE_UTO).st(T0);
    a.acc().sign(B);
    a.acc().or_zero(A);
    a.when(A).br("pending.send");
    a.shl1(T0).st(T1);
    a.note("section 3.1: the application is told").shr16(T0);
    a.cmd_imm(cmd::REPORT, report::USER_TIMEOUT);
    a.note("twice as many seconds, or minutes").shr16(T1).st(T2);
    a.shr3(k(constant::BIT_16)).st(T_LEN);
    a.ldi(constant::TIMEOUT_LEAST).rsb(ADV_UTO).sign(A);
    a.note("60 in a minute: 4 times 16 less 2 times 2")
        .shl3(T2)
        .st(T1);
    a.note("max (ADV_UTO, L_LIMIT)").ld(ADV_UTO);
    a.when(A).ldi(constant::TIMEOUT_LEAST);
    a.st(T0);
    a.ld(T1).add(T1).add(T1).add(T1);
    a.sub(T2).sub(T2);
    a.unless(B).shr1(T2);
    a.note("REMOTE_UTO in seconds, at least that, at most U_LIMIT")
        .sub(T0)
        .sign(A);
    a.when(A).ld(T0);
    a.sub(T_LEN).sign(A);
    a.unless(A).ld(T_LEN);
    a.st(T0);
    a.note("CHANGEABLE: no timeout is set, or one of these (odd)")
        .shl1(k(constant::BIT_16))
        .st(T2);
    a.and(FLAGS).zero(A);
    a.ldi(1).and(USER_TIMEOUT).or_not_zero(A);
    a.shl3(T0).st(T1);
    a.unless(A).br("pending.send");
    a.note("what is being sent again (b) has it, too")
        .ld(TRIES)
        .not_zero(B);
    a.set(C);
    a.ldi(1).add(T1).st(T1);
    a.br("option.timed");

    a.label("timeout_since")
        .note("counted from when it was sent");
    a.ld(SENT_SINCE).add(T1).sub(TICK_LONG);
    a.acc().sign(A);
    a.note("if that is over (or hardly begun: section 3.1 has it above the RTO), with the next retransmission")
        .acc()
        .or_zero(A);
    a.when(A).ld(RTO);
    a.st(T1);
    a.br("option.since");

    a.label("timeout_out").ldi(OPTION).st(T2);
    a.ld(RCV_ADV).sub(RCV_NXT).or(k(constant::CTL_ACK));
    a.add(kf(super::handshake::OPTION_WORD)).st(T_CTL);
    a.shl16(T2).st(T1);
    a.note("only once");
    wanted(a);
    a.xor(FLAGS).to(FLAGS);
    a.note("the peer's, and what else there is to send, come with the next event")
        .cmd_imm(cmd::POST, 1);
    a.shl1(T1);
    a.add(ADV_UTO).st(T2);
    if config.scoreboard() {
        a.note("beside a probe of a shut window where the peer takes it, as any ACK")
            .ld(SND_UNA)
            .add(SND_WND)
            .st(T_SEQ);
        a.sub(SND_MAX).sign(B);
    }
    if config.timestamps {
        a.ld(FLAGS).sign(A);
        a.when(A).br(".stamped");
    }
    a.out(out::OPTION, T2);
    a.label("timeout_out.headers");
    if config.scoreboard() {
        a.when(B).br("shut_headers");
    }
    a.br("send_ack_headers");
    if config.timestamps {
        a.label("timeout_out.stamped");
        super::stamps::three_more_words(a);
        a.out(out::OPTION + 3, T2);
        a.call("stamp");
        a.br(".headers");
    }
}
