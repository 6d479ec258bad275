//! The host's command: active open (RFC 9293 section 3.10.1). Record: ports, address, owner.
use super::marks::*;
use super::words::*;
use super::{constant, flags, none, state, timer, zero};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, operands::*, Asm};
use crate::tcp::isa::cmd;

pub(super) fn command(a: &mut Asm, config: &ToeConfig) {
    let own = u32::from_be_bytes(config.ip);
    let mask = u32::from_be_bytes(config.netmask);
    let gateway = u32::from_be_bytes(config.gateway);

    a.label("command");
    a.cmd_a(cmd::LOOKUP, SEG_PORTS);
    a.when(OK).br("no_slot");
    a.cmd_a(cmd::ALLOC, SEG_PORTS);
    a.unless(OK).br("no_slot");
    a.ld(RESULT2).zero(A);
    a.cmd_a(cmd::SETCONN, RESULT);
    a.unless(A).count(Cause::Recycled.number());
    a.call("new_connection");
    a.ldi(state::SYN_SENT).st(STATE);
    a.ldi(flags::APP).st(FLAGS);
    a.ld(SEG_CTL).to(OWNER);
    zero(a, RCV_NXT);
    none(a, MAC_HI);
    a.cmd_a(cmd::RX_INIT, k(0));
    a.label("connect_route")
        .note("RFC 1122 section 3.3.1.1: the peer itself on the own net, else the gateway");
    a.ld(IP);
    if gateway != 0 {
        a.xor(k(own)).and(k(mask)).zero(A);
        a.ld(IP);
        a.unless(A).ld(k(gateway));
    }
    a.st(T0);
    a.cmd_a(cmd::ARP, T0);
    a.unless(OK).br(".wait");
    a.ld(RESULT).to(MAC_LO);
    a.ld(RESULT2).to(T1);
    a.ld(MAC_HI).not_sign(A);
    a.when(A).count(Cause::Retransmit.number());
    a.when(A).br(".send");
    a.note("the first SYN leaves now: tries, RTO and the round trip begin here");
    zero(a, TRIES);
    a.ld(TICK).to(TIMED_AT);
    a.ldi(constant::RTO_INITIAL).st(RTO);
    a.label(".send");
    a.ld(T1).to(MAC_HI);
    a.ldi(0x10).st(T0);
    a.shl16(T0).xor(k(constant::CTL_SYN_ACK)).to(T_CTL);
    a.br("send_syn");
    a.label(".wait");
    a.count(Cause::ArpWait.number());
    a.ldi(constant::ARP_RETRY).st(T0);
    a.timer_set(timer::RETRANSMIT, T0);
    a.done();
}
