//! The end of a connection: FIN, TIME-WAIT, RST (RFC 9293 sections 3.5.2, 3.6, 3.10.4, 3.10.5).
use super::marks::*;
use super::words::*;
use super::{constant, flags, state, timer, zero};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, operands::*, Asm};
use crate::tcp::isa::{cmd, notify, out};

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    a.label("last_ack_over");
    zero(a, STATE);
    a.count(Cause::Closed.number());
    a.count(Cause::Accepted.number());
    a.call("finish");
    a.done();

    a.label("enter_time_wait");
    a.count(Cause::Closed.number());
    a.timer_clear(timer::RETRANSMIT);
    a.label("finish")
        .note("both directions are over: tell the application once it has read all, at the latest when this timer expires");
    a.ldi(constant::TIME_WAIT).st(T0);
    a.cmd(cmd::RX_WINDOW);
    a.li(config.rx_ring_bytes as u32).xor(RESULT).not_zero(A);
    a.timer_set(timer::TIME_WAIT, T0);
    a.when(A).ret();
    a.label("tell_closed");
    a.ldi(flags::TOLD).and(FLAGS).not_zero(A);
    a.when(A).ret();
    a.ldi(flags::TOLD).or(FLAGS).to(FLAGS);
    a.cmd_imm(cmd::NOTIFY, notify::CLOSED);
    a.ret();

    a.label("time_wait_over");
    zero(a, STATE);
    a.ldi(flags::RELEASED).and(FLAGS).zero(A);
    a.when(A).call("tell_closed");
    a.unless(A).cmd(cmd::FREE);
    a.done();

    a.label("end_by_reset")
        .note("the connection is over; its entry is freed when the application has let go");
    a.timer_clear(timer::RETRANSMIT);
    a.timer_clear(timer::TIME_WAIT);
    zero(a, STATE);
    a.ldi(flags::APP).and(FLAGS).not_zero(A);
    a.unless(A).cmd(cmd::FREE);
    a.unless(A).ret();
    a.ldi(flags::TOLD).and(FLAGS).not_zero(A);
    a.when(A).ret();
    a.ldi(flags::TOLD).or(FLAGS).to(FLAGS);
    a.cmd_imm(cmd::NOTIFY, notify::RESET);
    a.ret();

    a.label("send_rst")
        .note("<SEQ=SND.NXT><ACK=RCV.NXT><CTL=RST,ACK>");
    a.ldi(4).st(T0);
    a.ld(SND_MAX).to(T_SEQ);
    zero(a, T_LEN);
    zero(a, T_SUM);
    a.count(Cause::ResetOut.number());
    a.shl16(T0).or(k(constant::CTL_ACK)).to(T_CTL);
    a.br("emit");

    a.label("reset_reply")
        .note("section 3.5.2: <SEQ=SEG.ACK><CTL=RST>, or without an ACK <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>");
    a.ldi(0x04);
    a.when(ACK).ldi(0x14);
    a.st(T0);
    a.shl16(SEG_PORTS).st(T2);
    a.ldi(0);
    a.when(SYN).ldi(1);
    a.add(SEG_SEQ).add(SEG_LEN).st(T1);
    a.shl16(T0).xor(k(constant::CTL_ACK)).to(T_CTL);
    a.shr16(SEG_PORTS).or(T2).to(T2);
    a.ldi(1);
    a.when(FIN).add(T1).to(T1);
    a.when(ACK).ld(k(0)).to(T1);
    a.ld(k(0)).st(T_SEQ);
    a.when(ACK).ld(SEG_ACK).to(T_SEQ);
    a.shr16(SEG_MACURG).st(T0);
    a.out(out::MAC_LO, SEG_MACLO);
    a.out(out::IP, SEG_IP);
    a.out(out::PORTS, T2);
    a.out(out::MAC_HI, T0);
    a.out(out::SEQ, T_SEQ);
    a.out(out::ACK, T1);
    a.out(out::CTL, T_CTL);
    a.ld(k(0));
    a.cmd_a(cmd::SEND, k(0));
    a.count(Cause::ResetOut.number());
    a.done();

    a.label("abort")
        .note("section 3.10.5: RST from SYN-RECEIVED to CLOSE-WAIT, nothing from the other states");
    a.ldi(state::CLOSING).rsb(STATE).not_sign(C);
    a.ldi(state::SYN_SENT).xor(STATE).zero(B);
    a.when(B).set(C);
    a.call("end_by_reset");
    a.when(C).done();
    a.br("send_rst");
}
