//! The retransmission timer, back-off, zero-window probes, giving up (RFC 6298 section 5, RFC 9293 sections 3.8.1, 3.8.3, 3.8.6.1).
use super::marks::*;
use super::words::*;
use super::{constant, none, state, zero};
use crate::counters::Cause;
use crate::tcp::asm::{operands::*, Asm};
use crate::tcp::isa::cmd;

pub(super) fn code(a: &mut Asm) {
    a.label("retransmission_timeout");
    a.ldi(state::ESTABLISHED).rsb(STATE).sign(A);
    a.when(A).br("syn_timeout");
    a.ld(SND_UNA).xor(SND_MAX).zero(A);
    a.when(A).br("probe");
    a.count(Cause::RtoExpired.number());
    a.ldi(constant::DATA_TRIES - 1).sub(TRIES).sign(A);
    a.when(A).br("give_up");
    a.ldi(1).add(TRIES).to(TRIES);
    a.call("back_off");
    a.call("go_back");
    a.note("RFC 6298 section 5.4: the earliest segment not acknowledged");
    a.set(FORCE);
    a.br("output");

    a.label("probe")
        .note("nothing is outstanding: if the window is shut, send one byte into it");
    a.ld(PERSIST).zero(A);
    zero(a, PERSIST);
    a.when(A).br("output");
    a.ld(SND_WND).not_zero(A);
    a.when(A).br("output");
    a.count(Cause::ZeroWindowProbe.number());
    a.note("if it can't be cut the whole head is the probe");
    a.ldi(1).st(T0);
    a.cmd_a(cmd::TX_RECUT, T0);
    a.set(FORCE);
    a.br("output");

    a.label("syn_timeout");
    a.count(Cause::RtoExpired.number());
    a.ldi(constant::SYN_TRIES - 1).sub(TRIES).sign(A);
    a.when(A).br("give_up");
    a.ldi(1).add(TRIES).to(TRIES);
    none(a, TIMED_AT);
    a.call("back_off");
    a.ldi(state::SYN_SENT).xor(STATE).zero(A);
    a.when(A).br("connect_route");
    a.count(Cause::Retransmit.number());
    a.br("send_syn_ack");

    a.label("give_up")
        .note("RFC 9293 section 3.8.3, R2; a half-open connection goes without a word");
    a.count(Cause::GaveUp.number());
    a.ldi(state::ESTABLISHED).rsb(STATE).sign(C);
    a.call("end_by_reset");
    a.when(C).done();
    a.br("send_rst");

    a.label("go_back")
        .note("the next to send is the head of the ring again; Karn: nothing sent again is timed");
    a.cmd_a(cmd::TX_FREE, SND_UNA);
    none(a, TIMED_AT);
    zero(a, TX_INDEX);
    zero(a, DUP_ACKS);
    a.ld(SND_MAX).to(RECOVER);
    a.ld(RESULT2).to(SND_NXT);
    a.ret();

    a.label("back_off").note("RFC 6298 sections 5.5 and 2.5");
    a.ldi(constant::RTO_MAX >> 4).st(T1);
    a.shl1(RTO).st(T0);
    a.shl3(T1).st(T1);
    a.shl1(T1);
    a.sub(T0).sign(A);
    a.unless(A).ld(T0);
    a.st(RTO);
    a.ret();
    const { assert!(constant::RTO_MAX.is_multiple_of(16)) };
}
