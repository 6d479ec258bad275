//! The host's command: active open (RFC 9293 section 3.10.1). Record: ports, address, owner.
use super::handshake::no_peer;
use super::marks::*;
use super::words::*;
use super::{constant, flags, none, state, timer, zero};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, operands::*, Asm};
use crate::tcp::isa::cmd;

pub(super) fn command(a: &mut Asm, config: &ToeConfig) {
    a.label("command");
    if config.complete() {
        a.note("MUST-46: an OPEN to an address that no peer has");
        no_peer(a, config);
        a.when(B).br(".bad_address");
        a.ld(SEG_IP);
    }
    a.cmd_a(cmd::LOOKUP, SEG_PORTS);
    a.when(OK).br(".refused");
    a.cmd_a(cmd::ALLOC, SEG_PORTS);
    a.unless(OK).br(".refused");
    a.ld(RESULT2).zero(A);
    a.cmd_a(cmd::SETCONN, RESULT);
    a.unless(A).count(Cause::Recycled.number());
    a.call("new_connection");
    a.shl8(SEG_CTL).st(FLAGS);
    a.ldi(state::SYN_SENT).st(STATE);
    a.note("while ARP does not answer it is asked again each eighth of RTO, which each time is doubled");
    a.ldi(8 * constant::ARP_RETRY).st(RTO);
    zero(a, RCV_NXT);
    if config.complete() {
        zero(a, SHORT);
        a.timer_clear(timer::KEEPALIVE);
    }
    a.ldi(flags::APP).or(FLAGS).to(FLAGS);
    a.cmd_a(cmd::RX_INIT, k(0));
    if config.ethernet {
        none(a, MAC_HI);
        route(a, config);
    } else {
        a.ldi(constant::RTO_INITIAL).st(RTO);
        a.br("send_first_syn");
        a.label("connect_route");
        a.count(Cause::Retransmit.number());
        a.br("send_first_syn");
    }
    a.label("command.refused");
    a.note("no slot, or the tuple is in use; COUNT clears OK");
    a.ldi(1);
    a.unless(OK).st(SHORT);
    if config.complete() {
        a.label("command.bad_address");
    }
    a.count(Cause::ConnectRefused.number());
    a.done();
}

/// Where the SYN goes, by ARP.
fn route(a: &mut Asm, config: &ToeConfig) {
    let own = u32::from_be_bytes(config.ip);
    let mask = u32::from_be_bytes(config.netmask);
    let gateway = u32::from_be_bytes(config.gateway);

    a.label("connect_route")
        .note("RFC 1122 section 3.3.1.1: the peer itself on the own net, else the gateway");
    if gateway == 0 {
        a.cmd_a(cmd::ARP, IP);
    } else {
        a.ld(IP).xor(k(own)).and(k(mask)).zero(A);
        a.when(A).cmd_a(cmd::ARP, IP);
        a.unless(A).cmd_a(cmd::ARP, k(gateway));
    }
    a.unless(OK).br(".wait");
    a.ld(RESULT).to(MAC_LO);
    a.ld(RESULT2).to(T1);
    if config.vlan {
        a.note("a tag may have the sign: all ones are no answer's")
            .ldi(1);
        a.add(MAC_HI).not_zero(A);
    } else {
        a.ld(MAC_HI).not_sign(A);
    }
    a.when(A).count(Cause::Retransmit.number());
    a.when(A).br(".send");
    a.note("the first SYN leaves now: tries, RTO and the round trip begin here");
    zero(a, TRIES);
    a.ld(TICK).to(TIMED_AT);
    a.ldi(constant::RTO_INITIAL).st(RTO);
    a.label(".send");
    a.ld(T1).to(MAC_HI);
    a.br("send_first_syn");
    a.label(".wait");
    a.shr3(RTO).st(T0);
    a.count(Cause::ArpWait.number());
    a.timer_set(timer::RETRANSMIT, T0);
    a.done();
}

#[cfg(test)]
mod tests {
    use super::super::script::*;
    use super::super::words::*;
    use crate::config::{Owner, ToeConfig};
    use crate::counters::Cause;

    const FAR: [u8; 4] = [10, 9, 8, 7];

    #[test]
    fn it_waits_for_arp_and_then_sends_the_syn() {
        let mut s = Script::new();
        let known = std::mem::take(&mut s.toe.blocks.neighbours);
        s.toe
            .connect(HOST_PORT, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        s.settle()
            .silence()
            .state("SYN-SENT")
            .counted(Cause::ArpWait, 1);
        assert_eq!(s.toe.blocks.arp_requests, [0xC0A8_4501]);
        s.toe.blocks.neighbours = known;
        s.ticks(99).silence().ticks(1);
        let syn = s.next().expect("SYN");
        assert_eq!(syn.flags, SYN);
        assert_eq!((s.word(TRIES), s.word(RTO)), (0, 1000));
        s.silence().slots(1);
    }

    #[test]
    fn a_neighbour_that_never_answers_is_given_up() {
        let mut s = Script::new();
        s.toe.blocks.neighbours.clear();
        s.toe
            .connect(HOST_PORT, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        // 100 + 200 + ... + 6,400
        s.settle().ticks(12_699).silence().state("SYN-SENT");
        s.ticks(1).silence().state("CLOSED");
        s.counted(Cause::GaveUp, 1)
            .counted(Cause::ArpWait, 7)
            .slots(0);
    }

    #[test]
    fn a_neighbour_that_takes_seconds_to_answer_is_waited_for() {
        let mut s = Script::new();
        let known = std::mem::take(&mut s.toe.blocks.neighbours);
        s.toe
            .connect(HOST_PORT, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        // 100 + 200 + 400 + 800 + 1,600 = 3,100
        s.settle().ticks(3_000).silence().state("SYN-SENT");
        s.toe.blocks.neighbours = known;
        s.ticks(99).silence().ticks(1);
        let syn = s.next().expect("SYN");
        assert_eq!(syn.flags, SYN);
        assert_eq!((s.word(TRIES), s.word(RTO)), (0, 1000));
        s.silence().slots(1);
    }

    #[test]
    fn other_nets_are_reached_through_the_gateway() {
        for (gateway, hop) in [([192, 168, 69, 1], 0xC0A8_4501), ([0; 4], 0x0A09_0807)] {
            let mut s = Script::with(ToeConfig {
                gateway,
                ..config()
            });
            s.toe.blocks.neighbours.clear();
            s.toe.connect(HOST_PORT, (FAR, 9), Owner::Host);
            s.settle();
            assert_eq!(s.toe.blocks.arp_requests, [hop]);
        }
    }

    #[test]
    fn a_tuple_in_use_and_a_full_table_are_refused() {
        let mut s = Script::established();
        s.toe
            .connect(HOST_PORT, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        s.settle()
            .silence()
            .counted(Cause::ConnectRefused, 1)
            .state("ESTABLISHED");
        for port in 0..4 {
            s.toe
                .connect(1000 + port, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        }
        s.settle().counted(Cause::ConnectRefused, 2).slots(4);
    }

    #[test]
    fn closing_and_aborting_a_syn_sent_just_ends_it() {
        for abort in [false, true] {
            let mut s = Script::new();
            s.toe
                .connect(HOST_PORT, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
            s.settle();
            s.expect(SYN, 0, 0, 0);
            if abort {
                s.abort();
            } else {
                s.close();
            }
            s.silence().state("CLOSED").slots(0);
        }
    }
}
