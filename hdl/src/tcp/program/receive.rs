//! A segment of a connection arrives: the tuple once more, then the checks of RFC 9293 section 3.10.7.4 in its order.
use super::marks::*;
use super::words::*;
use super::{flags, state};
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, operands::*, Asm};
use crate::tcp::isa::{cmd, notify};

/// From the vector to the ACK check: straight on in the common case.
pub(super) fn segment(a: &mut Asm) {
    a.label("segment_tuple")
        .note("is it still the connection that the parser looked up?");
    a.xor(PORTS).or_not_zero(UNCOMMON);
    a.when(UNCOMMON).br("stale");
    a.ldi(state::ESTABLISHED).xor(STATE).not_zero(UNCOMMON);
    a.ld(SEG_SEQ).xor(RCV_NXT).or_not_zero(UNCOMMON);
    a.when(SYN).br("uncommon");
    a.when(RST).br("uncommon");
    a.unless(ACK).br("uncommon");
    a.when(UNCOMMON).br("uncommon");
}

/// Seventh and eighth check: the segment text and FIN. Falls into `output`.
pub(super) fn text(a: &mut Asm) {
    a.label("text")
        .note("RFC 9293 section 3.10.7.4, seventh check");
    a.count(Cause::Accepted.number());
    a.ld(SEG_LEN).zero(A);
    a.when(FIN).br("fin_in");
    a.when(A).br("output");
    a.when(UNCOMMON).br("text_uncommon");
    a.label("commit");
    a.cmd(cmd::RX_COMMIT);
    a.set(ACK_NOW);
    a.ld(RESULT).st(RCV_NXT);
    a.xor(RCV_FIN).zero(B);
    a.unless(OK).count(Cause::OutOfOrder.number());
    a.when(B).br("fin_reached");
}

/// All that leaves the common path, in the RFC's order.
pub(super) fn uncommon(a: &mut Asm) {
    a.label("stale")
        .note("the connection ended while the record waited: perhaps another has the tuple now");
    a.ld(SEG_IP);
    a.cmd_a(cmd::LOOKUP, SEG_PORTS);
    a.unless(OK).br("no_connection");
    a.label("late")
        .note("opened after the parser looked: flags and ACK count, the payload was not placed and must come again");
    a.cmd_a(cmd::SETCONN, RESULT);
    a.set(NOT_PLACED);
    a.set(UNCOMMON);
    a.br("by_state");

    a.label("uncommon");
    a.clear(NOT_PLACED);
    a.label("by_state");
    a.ldi(state::SYN_RECEIVED).rsb(STATE).sign(A);
    a.when(A).br("unsynchronized");

    a.note("first check: sequence number (section 3.4, table 6)");
    a.ld(SEG_SEQ).sub(RCV_NXT).sign(A).zero(B);
    a.when(A).br(".left");
    a.sub(RCV_ADV).not_sign(C);
    a.when(B).clear(C);
    a.when(C).br("unacceptable");
    a.br("in_window");
    a.label(".left")
        .note("begins left of the window: acceptable if its end, FIN counted, reaches into it");
    a.add(SEG_LEN);
    a.unless(FIN).rsb(RCV_NXT).not_sign(C);
    a.when(FIN).sub(RCV_NXT).sign(C);
    a.when(C).br("unacceptable");

    a.label("in_window")
        .note("second check: RST; fourth: SYN; fifth: ACK");
    a.when(RST).br("rst_in");
    a.when(SYN).br("challenge");
    a.unless(ACK).br("no_ack");
    a.ldi(state::SYN_RECEIVED).xor(STATE).zero(A);
    a.when(A).br("syn_received");
    a.br("acknowledgement");

    a.label("no_ack");
    a.count(Cause::NoAck.number());
    a.done();

    a.label("unacceptable");
    a.when(RST).br("drop_unacceptable");
    a.unless(FIN).br("challenge");
    a.note("TIME-WAIT begins anew with every FIN");
    a.ldi(super::constant::TIME_WAIT).st(T0);
    a.ldi(state::TIME_WAIT).xor(STATE).zero(A);
    a.when(A).timer_set(super::timer::TIME_WAIT, T0);
    a.label("challenge")
        .note("RFC 5961 sections 3.2 and 4.2: SYN, or RST not exactly at rcv_nxt, is answered with an ACK");
    a.count(Cause::Unacceptable.number());
    a.br("send_ack");
    a.label("drop_unacceptable");
    a.count(Cause::Unacceptable.number());
    a.done();

    a.label("rst_in");
    a.ld(SEG_SEQ).xor(RCV_NXT).not_zero(A);
    a.when(A).br("challenge");
    a.note("RFC 1337: RST does not cut TIME-WAIT short");
    a.ldi(state::TIME_WAIT).xor(STATE).zero(A);
    a.when(A).br("drop_unacceptable");
    a.label("reset_by_peer");
    a.count(Cause::ResetIn.number());
    a.call("end_by_reset");
    a.done();

    a.label("text_uncommon")
        .note("text is taken in ESTABLISHED, FIN-WAIT-1 and FIN-WAIT-2 only; elsewhere the peer's FIN came before");
    a.set(ACK_NOW);
    a.when(NOT_PLACED).br("output");
    a.ldi(state::PEER_FIN).and(STATE).zero(B);
    a.when(B).br("commit");
    a.br("output");

    a.label("fin_in")
        .note("eighth check: where the FIN stands is kept, it counts when all before it has come");
    a.set(ACK_NOW);
    a.ldi(state::PEER_FIN).and(STATE).not_zero(B);
    a.when(B).br("output");
    a.ld(SEG_SEQ).add(SEG_LEN).to(RCV_FIN);
    a.ldi(flags::FIN_SEEN).or(FLAGS).to(FLAGS);
    a.unless(A).br(".with_text");
    a.label(".alone");
    a.ld(RCV_NXT).xor(RCV_FIN).zero(B);
    a.when(B).br("fin_reached");
    a.br("output");
    a.label(".with_text");
    a.unless(UNCOMMON).br("commit");
    a.unless(NOT_PLACED).br("commit");
    a.br("output");

    a.label("fin_reached");
    a.ldi(flags::FIN_SEEN).and(FLAGS).zero(B);
    a.when(B).br("output");
    a.ldi(1).add(RCV_NXT).to(RCV_NXT);
    a.cmd_imm(cmd::NOTIFY, notify::PEER_FIN);
    a.ldi(state::PEER_FIN).or(STATE).st(STATE);
    a.st(T0);
    a.ldi(state::TIME_WAIT).xor(T0).zero(B);
    a.when(B).call("enter_time_wait");
    a.br("output");
}
