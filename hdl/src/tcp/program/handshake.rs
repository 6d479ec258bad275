//! The opening of a connection (RFC 9293 sections 3.5 and 3.10.7.1 to 3.10.7.4).
use super::marks::*;
use super::words::*;
use super::{constant, dup, flags, state, timer, zero};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, kf, operands::*, Asm};
use crate::tcp::isa::{cmd, notify, out};

/// A segment of no connection: LISTEN (section 3.10.7.2) or CLOSED (section 3.10.7.1).
pub(super) fn passive_open(a: &mut Asm, config: &ToeConfig) {
    a.label("no_connection");
    if config.hardened() {
        no_peer(a, config);
        a.when(B).br("bad_source");
    }
    a.note("first RST, second ACK, third SYN");
    a.when(RST).br("stray");
    a.when(ACK).br(if config.syn_cookies {
        "cookie_ack"
    } else {
        "reset_stray"
    });
    let other = if config.hardened() {
        ".fourth"
    } else {
        "reset_stray"
    };
    a.cmd_a(cmd::LISTEN, SEG_PORTS);
    a.unless(SYN).br(other);
    a.unless(OK).br(".refused");
    if config.syn_cookies {
        a.note("one more half open would cost one")
            .ld(RESULT2)
            .not_zero(A);
        a.when(A).br("cookie");
    }
    a.ld(RESULT).to(T2);
    a.ld(SEG_IP);
    a.cmd_a(cmd::ALLOC, SEG_PORTS);
    a.unless(OK).br("no_slot");
    a.ld(RESULT2).zero(A);
    a.cmd_a(cmd::SETCONN, RESULT);
    a.label(".slot");
    a.unless(A).count(Cause::Recycled.number());
    a.note("the SYN-ACK first: the state is written while it leaves. As `send_syn` has it, and the window is the whole ring");
    if config.ethernet {
        a.out(out::MAC_LO, SEG_MACLO);
    }
    a.out(out::IP, SEG_IP);
    a.shl16(SEG_PORTS).st(OUT_PORTS);
    if config.vlan {
        a.ld(SEG_MACURG).to(MAC_HI);
    } else if config.ethernet {
        a.shr16(SEG_MACURG).st(MAC_HI);
    }
    super::isn::first_number(a, config).st(SND_UNA);
    a.shr16(SEG_PORTS).or(OUT_PORTS).to(OUT_PORTS);
    a.ldi(1).add(SEG_SEQ).to(RCV_NXT);
    a.li(config.rx_ring_bytes as u32)
        .or(k(constant::CTL_SYN_ACK));
    a.st(T_CTL);
    if config.ethernet {
        a.out(out::MAC_HI, MAC_HI);
    }
    a.out(out::PORTS, OUT_PORTS);
    a.out(out::SEQ, SND_UNA);
    a.out(out::ACK, RCV_NXT);
    a.out(out::OPTION, k(mss_option(config)));
    if config.ecn {
        a.note("timestamps, and the question for ECN (RFC 3168 section 6.1.1), likewise");
        super::ecn::setup_or_stamps_in(a, config);
        a.and(SEG_MSSOPT).not_zero(B);
        a.when(B)
            .br(if config.timestamps { ".stamps" } else { ".ecn" });
        a.label(".not_stamped");
    } else if config.timestamps {
        a.note("RFC 7323 section 3.2: timestamps likewise");
        super::stamps::stamps_in(a);
        a.and(SEG_MSSOPT).not_zero(B);
        a.when(B).br(".stamps");
    }
    if config.sack {
        a.note("RFC 2018 section 2: SACK-permitted, if the peer's SYN has it");
        sack_permitted(a, config);
        a.st(T0);
        sack_permitted_in(a);
        a.and(SEG_MSSOPT).zero(B);
        a.ld(kf(OPTION_WORD)).add(T_CTL);
        a.unless(B).st(T_CTL);
        a.unless(B).out(out::OPTION + 1, T0);
    }
    if config.window_scale {
        super::scale::passive_open(a, config);
    }
    if config.timestamps || config.window_scale {
        a.label(".options");
    }
    a.ld(k(0));
    a.out(out::CTL, T_CTL);
    a.cmd_a(cmd::SEND, k(0));
    a.count(Cause::PureAckOut.number());
    if config.syn_cookies {
        a.note("half open: the oldest one gives way when one that is more has no place")
            .cmd_imm(cmd::RECYCLABLE, 0);
    } else {
        a.note("half open: the oldest one gives way when a new SYN finds no place, so that a flood holds none for longer than itself,");
        a.note("and when its listener has more than its backlog (c)")
            .cmd_imm(cmd::RECYCLABLE, 0);
        a.clear(C);
        a.when(OK).set(C);
    }
    if config.ethernet {
        a.ld(SEG_MACLO).to(MAC_LO);
    }
    if config.complete() {
        new_state(a, config);
    } else {
        a.call("new_state");
    }
    if config.sack && !config.complete() {
        a.ldi(flags::SACK).st(T1);
    }
    a.ldi(state::SYN_RECEIVED).st(STATE);
    if config.sack && !config.complete() {
        a.shl8(T2);
        a.note("if the peer's SYN has it (not b)").unless(B).or(T1);
        a.st(FLAGS);
    } else {
        a.shl8(T2).st(FLAGS);
    }
    a.timer_set(timer::RETRANSMIT, RTO);
    a.count(Cause::Accepted.number());
    if config.complete() {
        peer_syn_known(a, config);
        a.note("the send side has time until the SYN-ACK is acknowledged, and an event of its own")
            .cmd(cmd::POST);
    } else {
        a.call("peer_syn_known");
    }
    if !config.syn_cookies {
        a.unless(C).done();
        a.cmd(cmd::EVICTED);
        a.cmd_a(cmd::SETCONN, RESULT);
        a.count(Cause::Recycled.number());
        zero(a, STATE);
    }
    a.done();

    if config.timestamps {
        super::stamps::passive_open(a, config);
    }
    if config.ecn {
        super::ecn::passive_open(a, config);
    }

    a.label(".refused");
    a.count(Cause::Refused.number());
    a.br("reset_reply");

    a.label("no_slot")
        .note("silence: the peer's SYN comes again");
    super::cookies::no_slot(a, config);
    a.count(Cause::NoSlot.number());
    super::cookies::short(a, config);
    a.done();

    if config.time_wait() > 0 {
        a.label("reopen")
            .note("a SYN ends TIME-WAIT, but only when there is a slot for it. A second one in the queue must not find the entry here any more");
        if config.syn_cookies {
            a.ld(RESULT2).not_zero(A);
            a.when(A).br("no_slot");
        }
        a.ld(RESULT).to(T2);
        a.ld(SEG_IP);
        a.cmd_a(cmd::ALLOC, SEG_PORTS);
        a.unless(OK).br("no_slot");
        a.ld(RESULT2).zero(A);
        a.ld(RESULT).to(T0);
        zero(a, PORTS);
        a.cmd(cmd::FREE);
        a.cmd_a(cmd::SETCONN, T0);
        a.br("no_connection.slot");
    }

    if config.hardened() {
        a.label("no_connection.fourth")
            .note("LISTEN, fourth: anything else is dropped");
        a.when(OK).br("stray");
    }
    a.label("reset_stray");
    a.count(Cause::Stray.number());
    a.br("reset_reply");
    a.label("stray");
    if config.icmp_errors {
        super::path::stranger(a);
    }
    a.count(Cause::Stray.number());
    a.done();
    if config.hardened() {
        a.label("bad_source");
        if config.icmp_errors {
            super::path::stranger(a);
        }
        a.count(Cause::BadSource.number());
        a.done();
    }
}

/// RFC 9293 section 3.9.2.3, RFC 1122 sections 3.2.1.3 and 4.2.3.10: flag B, SEG_IP is an address that no peer has: this net (0/8), loopback, multicast and beyond, broadcast, our own.
pub(super) fn no_peer(a: &mut Asm, config: &ToeConfig) {
    let own = u32::from_be_bytes(config.ip);
    let mask = u32::from_be_bytes(config.netmask);
    let net = |first: u8| u32::from(first) << 24;

    a.ld(SEG_IP).xor(k(own)).zero(B);
    // RFC 3021: a net of two has none.
    if !mask > 1 {
        a.xor(kf(own | !mask)).or_zero(B);
    }
    a.sub(kf(net(1))).or_not_carry(B);
    a.sub(kf(net(224))).or_carry(B);
    a.sub(kf(net(127)));
    a.sub(kf(net(1))).or_not_carry(B);
}

/// States below SYN-RECEIVED.
pub(super) fn syn_sent(a: &mut Asm, config: &ToeConfig) {
    a.label("unsynchronized");
    a.ld(STATE).zero(A);
    a.unless(A).br("syn_sent");
    a.note("CLOSED, the slot waits for its application: a SYN may come again, all else is answered as by nobody");
    a.when(RST).br("stray");
    a.when(ACK).br("reset_stray");
    a.unless(SYN).br("reset_stray");
    a.count(Cause::StaleRecord.number());
    a.done();

    a.label("syn_sent").note("section 3.10.7.3, first: ACK");
    a.unless(ACK).br(".no_ack");
    a.ld(SEG_ACK).xor(SND_NXT).zero(A);
    a.when(A).br(".no_ack");
    a.when(RST).br("stray");
    a.count(Cause::BadAck.number());
    a.br("reset_reply");
    a.label(".no_ack").note("second: RST, only with a good ACK");
    a.unless(RST).br(".no_rst");
    a.when(ACK).br("reset_by_peer");
    a.br("stray");
    a.label(".no_rst").note("fourth: SYN");
    a.unless(SYN).br("no_ack");
    a.call("peer_syn");
    a.note("what a SYN brings besides must come again");
    a.set(NOT_PLACED);
    a.clear(FIN);
    a.set(ACK_NOW);
    a.clear(AGAIN);
    a.when(ACK).br("established");
    a.note("simultaneous open (figure 7)");
    if config.complete() {
        a.cmd(cmd::POST);
    }
    a.count(Cause::Accepted.number());
    a.ldi(state::SYN_RECEIVED).st(STATE);
    a.br("send_syn_ack");
}

/// The ACK of our SYN (section 3.10.7.4, fifth check).
pub(super) fn syn_received(a: &mut Asm, config: &ToeConfig) {
    a.label("syn_received");
    a.ld(SEG_ACK).xor(SND_MAX).not_zero(A);
    a.when(A).br("syn_received.bad");
    a.label("established")
        .note("the application gets to know the connection");
    a.ldi(state::ESTABLISHED).st(STATE);
    a.ld(TRIES).not_zero(A);
    if config.complete() {
        a.ld(CWND).or_zero(A);
    }
    a.when(A).br("syn_was_lost");
    a.label("opened");
    if config.user_timeout_option {
        super::user_timeout::opened(a);
    }
    a.ldi(flags::APP).or(FLAGS).to(FLAGS);
    a.count(Cause::Opened.number());
    a.cmd(cmd::KEEP);
    a.note("the first interval is shorter, which does no harm");
    a.timer_set(timer::KEEPALIVE, RTO);
    a.shr8(FLAGS);
    a.cmd_imm(cmd::NOTIFY, notify::OPEN);
    a.note("from here on it is like any other, and the check of the window takes this segment's");
    a.unless(NOT_PLACED).clear(UNCOMMON);
    a.note("its ACK is SND.NXT, which has been looked at");
    if config.complete() {
        a.note("what `grown` does, where nothing was sent but the SYN")
            .ld(SEG_ACK)
            .to(SND_UNA);
        a.timer_clear(timer::RETRANSMIT);
        a.ld(TIMED_AT).sign(A);
        a.unless(A).call("sample");
        a.br("window");
    } else {
        a.ld(SEG_ACK);
        a.br("grown");
    }
    a.label("syn_was_lost");
    if config.complete() {
        super::cookies::meanwhile(a, config);
        a.note("or it is ours, of which the send side knows nothing yet");
        a.ld(CWND).zero(A);
        a.when(A).call("send_side");
        a.ld(TRIES).zero(A);
        a.when(A).br("opened");
    }
    a.note("RFC 6298 section 5.7, RFC 5681 section 3.1: RTO is three seconds, cwnd one segment");
    a.ldi(constant::RTO_AFTER_SYN_LOSS).st(RTO);
    if config.scoreboard() {
        a.st(PTO);
    }
    if config.complete() {
        zero(a, TRIES);
    }
    a.ld(MSS).to(CWND);
    a.ldi(dup::GROWS).st(DUP_ACKS);
    a.br("opened");
    a.label("syn_received.bad");
    if config.user_timeout_option {
        super::user_timeout::refused(a);
    }
    super::cookies::half_open(a, config);
    a.count(Cause::BadAck.number());
    a.br("reset_reply");
}

/// One more word in a data offset.
pub(super) const OPTION_WORD: u32 = 1 << 28;
/// acc: where a record says that its segment has the option SACK-permitted. No constant of its own: half of it is `net(1)`.
fn sack_permitted_in(a: &mut Asm) {
    a.shl1(kf(1 << 24));
}
/// RFC 2018 section 2: kind 4, length 2, behind two no-operations as Linux has them.
const SACK_PERMITTED: u32 = 0x0101_0402;

/// acc = that option. Where all of them are built in it is made of the timestamps', so that the row has room for the window scale's.
fn sack_permitted(a: &mut Asm, config: &ToeConfig) {
    if config.timestamps && config.window_scale {
        a.ldi(super::stamps::OPTION - SACK_PERMITTED);
        a.rsb(kf(super::stamps::OPTION));
    } else {
        a.ld(kf(SACK_PERMITTED));
    }
}

/// The MSS option of our SYN: kind 2, length 4 (RFC 9293 section 3.7.1).
pub(super) fn mss_option(config: &ToeConfig) -> u32 {
    0x0204_0000 | u32::from(config.receive_mss())
}

/// What the SYN says of the window, and of its options; RCV.NXT is known.
fn peer_syn_known(a: &mut Asm, config: &ToeConfig) {
    a.ld(SEG_WND).to(SND_WND);
    if !config.complete() {
        a.shl16(SEG_MSSOPT).st(T0);
        a.ld(SEG_SEQ).to(SND_WL1);
        a.ld(SEG_ACK).to(SND_WL2);
    }
    a.cmd_a(cmd::RX_INIT, RCV_NXT);
    a.li(config.rx_ring_bytes as u32).add(RCV_NXT).to(RCV_ADV);
    if config.complete() {
        a.ld(SEG_MSSOPT).st(MSS);
        super::scale::peer_syn(a, config);
    }
}

/// The state of a connection that begins.
fn new_state(a: &mut Asm, config: &ToeConfig) {
    a.timer_clear(timer::TIME_WAIT);
    if config.complete() {
        a.cmd_a(cmd::DIFFSERV, k(0));
    } else {
        a.timer_clear(timer::KEEPALIVE);
    }
    a.ld(SEG_PORTS).to(PORTS);
    if !config.complete() {
        a.ld(SND_UNA).st(RECOVER);
    }
    a.ldi(1).add(SND_UNA).st(SND_NXT);
    a.st(SND_MAX);
    if !config.complete() {
        a.st(TIMED_SEQ);
    }
    a.ld(SEG_IP).to(IP);
    a.ld(TICK).to(TIMED_AT);
    a.ldi(constant::RTO_INITIAL).st(RTO);
    a.ld(k(0)).st(TRIES);
    a.st(if config.complete() { CWND } else { SHORT });
    if config.cubic {
        a.st(W_MAX);
    }
}

/// What several of them share.
pub(super) fn routines(a: &mut Asm, config: &ToeConfig) {
    a.label("new_connection")
        .note("the state of a connection that has sent nothing; tuple from the record");
    a.shl16(SEG_PORTS).st(OUT_PORTS);
    super::isn::first_number(a, config).st(SND_UNA);
    a.shr16(SEG_PORTS).or(OUT_PORTS).to(OUT_PORTS);
    if config.timestamps {
        a.call("stamp_offset");
        a.ld(k(0)).st(TS_RECENT);
    }
    super::scale::unknown(a, config);
    a.label("new_state")
        .note("all of it but SND.UNA, the ports as sent and the retransmission timer, which runs from its SYN");
    new_state(a, config);
    a.ret();

    a.label("peer_syn")
        .note("RCV.NXT = SEG.SEQ + 1, the window, the MSS");
    a.ldi(1).add(SEG_SEQ).to(RCV_NXT);
    if config.sack {
        sack_permitted_in(a);
        a.and(SEG_MSSOPT).not_zero(A);
        a.ldi(flags::SACK).or(FLAGS);
        a.when(A).st(FLAGS);
    }
    if config.timestamps {
        super::stamps::peer_syn(a);
    }
    if config.ecn {
        super::ecn::peer_syn(a);
    }
    if !config.complete() {
        a.label("peer_syn_known");
    }
    peer_syn_known(a, config);
    if config.complete() {
        super::scale::kept_at_once(a, config);
        a.ret();
    }

    a.label("send_side")
        .note("what a connection needs once it is established: the MSS, the send ring, cwnd, and what its peer's SYN says of the rest");
    if config.complete() {
        a.timer_clear(timer::KEEPALIVE);
        super::cookies::not_short(a, config);
        a.ld(SND_NXT).to(TIMED_SEQ);
        a.note("of an ACK in the SYN nothing is kept: any later one counts");
        a.ldi(1).rsb(RCV_NXT).to(SND_WL1);
        a.ld(SND_UNA).st(SND_WL2);
        a.st(RECOVER);
        if config.ecn {
            super::ecn::begin(a);
        }
        super::scale::kept(a, config);
        a.shl16(MSS).st(T0);
        if config.sack {
            sack_permitted_in(a);
            a.and(MSS).not_zero(A);
            a.ldi(flags::SACK);
            a.when(A).or(FLAGS).to(FLAGS);
        }
    }
    let absent = if config.complete() { B } else { A };
    a.shr16(T0).zero(absent);
    a.when(absent).ldi(constant::MSS_DEFAULT);
    a.st(T0);
    for word in [TX_INDEX, DUP_ACKS, ACK_DUE, QUIET] {
        zero(a, word);
    }
    if config.complete() {
        a.ld(RCV_NXT).st(RCV_UP);
    }
    if config.scoreboard() {
        a.ldi(constant::PTO_MARGIN);
        a.note("without SACK none is to be sent")
            .unless(A)
            .ld(k(constant::NO_PROBE));
        a.st(PTO_MORE);
    }
    if config.timestamps {
        a.ldi(super::stamps::BYTES).st(T1);
    }
    a.ldi(u32::from(config.send_mss())).sub(T0).sign(A);
    a.unless(A).ld(T0);
    if config.timestamps {
        a.note("RFC 7323 appendix A, RFC 6691: what each segment has of options comes off, but for one byte");
        a.ld(FLAGS).sign(A);
        a.unless(A).br(".mss");
        a.rsb(T1).not_sign(B);
        a.sub(T1);
        a.when(B).ldi(1);
        a.label(".mss");
    }
    a.st(MSS);
    if config.complete() {
        a.ld(SND_WND).st(MAX_WND);
        a.note("of a window that holds one segment, but not two, half at a time (Linux: `tcp_bound_to_half_wnd`): two are on their way then, of which one tells of the other's loss, and none waits for a delayed ACK: half of a window that is free again is announced");
        a.sub(MSS).sign(A);
        a.shr1(SND_WND).sub(MSS).or_not_sign(A);
        a.note("but never none: an MSS and a window of one byte are a peer's to choose")
            .acc()
            .or_zero(A);
        a.unless(A).st(MSS);
    }
    a.ld(k(constant::SSTHRESH_INITIAL)).to(SSTHRESH);
    if config.scoreboard() {
        a.ld(RTO).to(PTO);
    }
    a.ld(MSS);
    a.cmd_a(cmd::TX_INIT, SND_NXT);
    a.note("RFC 6928 section 2: ten segments, with an MSS of at most 1,460 never more than 14,600 bytes");
    a.shl3(MSS).add(MSS).add(MSS).st(CWND);
    a.ret();

    a.label("send_first_syn");
    if config.ethernet {
        if config.sack {
            a.note("the ACK bit is 2^20").shr8(kf(1 << 28));
            a.xor(k(constant::CTL_SYN_ACK)).to(T_CTL);
        } else {
            a.ldi(0x10).st(T0);
            a.shl16(T0).xor(k(constant::CTL_SYN_ACK)).to(T_CTL);
        }
    } else {
        a.ld(k(constant::CTL_SYN)).to(T_CTL);
    }
    if config.ecn {
        super::ecn::syn_out(a);
    }
    a.br("send_syn");
    a.label("send_syn_ack");
    if config.ecn {
        super::ecn::syn_ack_out(a);
    } else {
        a.ld(k(constant::CTL_SYN_ACK)).to(T_CTL);
    }
    a.label("send_syn").note("T_CTL");
    a.timer_set(timer::RETRANSMIT, RTO);
    a.ld(SND_UNA).to(T_SEQ);
    a.out(out::OPTION, k(mss_option(config)));
    super::scale::wanted(a, config);
    if config.timestamps {
        super::stamps::syn_out(a, config);
    }
    if config.sack {
        a.note("SACK-permitted: in a SYN always, in a SYN-ACK if the peer's SYN had it");
        a.ldi(state::SYN_SENT).xor(STATE).zero(A);
        a.ldi(flags::SACK).and(FLAGS).or_not_zero(A);
        a.unless(A).br(if config.window_scale {
            "send_syn.plain"
        } else {
            "emit_counted"
        });
        sack_permitted(a, config);
        a.st(T0);
        a.ld(kf(OPTION_WORD)).add(T_CTL).to(T_CTL);
        a.out(out::OPTION + 1, T0);
    }
    if config.window_scale {
        super::scale::syn_out(a, config);
    }
    a.br("emit_counted");
}

#[cfg(test)]
mod tests {
    use super::super::script::*;
    use super::super::words::*;
    use crate::config::{Owner, ToeConfig};
    use crate::counters::Cause;

    // ---- LISTEN ---------------------------------------------------------------------------------

    #[test]
    fn a_connection_opens() {
        let mut s = Script::new();
        s.inject(seg(SYN, 0, 0).mss(1000));
        let syn_ack = s.expect(SYN | ACK, 0, 1, 0);
        assert_eq!((syn_ack.mss, syn_ack.wnd), (Some(1460), 8192));
        assert_eq!(syn_ack.ports, (HOST_PORT, PEER_PORT));
        s.silence().state("SYN-RECEIVED");
        assert_eq!(s.toe.blocks.attached[0].owner, None);
        s.inject(seg(ACK, 1, 1)).silence().state("ESTABLISHED");
        assert_eq!(s.toe.blocks.attached[0].owner, Some(Owner::Host as u8));
        s.counted(Cause::Opened, 1).slots(1);
    }

    #[test]
    fn a_closed_port_is_refused() {
        let mut s = Script::new();
        s.inject(seg(SYN, 0, 0).with_target(81));
        let rst = s.next().expect("an answer");
        assert_eq!(
            (rst.flags, rst.ack, rst.ports),
            (RST | ACK, 1, (81, PEER_PORT))
        );
        assert_eq!(rst.seq.wrapping_add(US), 0, "no ACK in, so number zero");
        s.silence().counted(Cause::Refused, 1).slots(0);
    }

    #[test]
    fn strangers_are_reset_as_section_3_5_2_says() {
        let mut s = Script::new();
        s.inject(seg(ACK, 500, 77).data(b"hello"));
        s.expect(RST, 77, 0, 0);
        s.inject(seg(SYN | ACK, 500, 77));
        s.expect(RST, 77, 0, 0);
        s.inject(seg(FIN, 500, 0).with_target(81).data(b"hello"));
        let rst = s.next().expect("an answer");
        assert_eq!((rst.flags, rst.ack), (RST | ACK, 506));
        s.inject(seg(RST, 500, 0)).silence();
        s.inject(seg(RST | ACK, 500, 77)).silence();
        s.counted(Cause::Stray, 5)
            .counted(Cause::ResetOut, 3)
            .slots(0);
    }

    #[test]
    fn a_full_table_is_silent() {
        let mut s = Script::new();
        for port in 0..4 {
            s.inject(seg(SYN, 0, 0).with_source(1000 + port));
            s.expect(SYN | ACK, 0, 1, 0);
            s.inject(seg(ACK, 1, 1).with_source(1000 + port)).silence();
        }
        s.inject(seg(SYN, 0, 0).with_source(1004)).silence();
        s.counted(Cause::NoSlot, 1).slots(4);
    }

    #[test]
    fn the_oldest_half_open_connection_gives_way() {
        let mut s = Script::with(ToeConfig {
            syn_cookies: false,
            ..config()
        });
        for port in 0..4 {
            s.inject(seg(SYN, 0, 0).with_source(1000 + port));
            s.expect(SYN | ACK, 0, 1, 0);
        }
        s.inject(seg(ACK, 1, 1).with_source(1000)).silence();
        s.inject(seg(SYN, 0, 0).with_source(1004));
        s.expect(SYN | ACK, 0, 1, 0);
        s.counted(Cause::Recycled, 1).counted(Cause::NoSlot, 0);
        // 1001 was the oldest: a stranger now. 1000 is open, 1002 and 1004 still may be.
        s.inject(seg(ACK, 1, 1).with_source(1001));
        s.expect(RST, 1, 0, 0);
        for port in [1002, 1004] {
            s.inject(seg(ACK, 1, 1).with_source(port)).silence();
        }
        s.counted(Cause::Opened, 3).slots(3);
        s.inject(seg(ACK, 1, 1).with_source(1000).data(b"x"));
        s.expect(ACK, 1, 2, 0);
    }

    #[test]
    fn a_listener_s_oldest_half_open_connection_gives_way_at_its_backlog() {
        let mut c = config();
        c.listeners[1] = c.listeners[1].backlog(2);
        c.syn_cookies = false;
        let mut s = Script::with(c);
        for (n, port) in (1000..1006).enumerate() {
            s.inject(seg(SYN, 0, 0).with_source(port));
            s.expect(SYN | ACK, 0, 1, 0);
            s.silence().slots(0);
            s.counted(Cause::Recycled, (n as u64).saturating_sub(1));
        }
        // There were free slots all the time, which another listener's may have.
        for port in [1, 2] {
            s.inject(seg(SYN, 0, 0).with_source(port).with_target(7));
            s.expect(SYN | ACK, 0, 1, 0);
        }
        s.counted(Cause::Recycled, 4);
        for port in 1000..1006 {
            s.inject(seg(ACK, 1, 1).with_source(port));
            if port < 1004 {
                s.expect(RST, 1, 0, 0);
            }
            s.silence();
        }
        for port in [1, 2] {
            s.inject(seg(ACK, 1, 1).with_source(port).with_target(7))
                .silence();
        }
        s.counted(Cause::Opened, 4).slots(4);
        // Those that had to go send nothing more.
        s.ticks(30_000).silence();
    }

    // ---- SYN-RECEIVED ---------------------------------------------------------------------------

    fn syn_received() -> Script {
        let mut s = Script::new();
        s.inject(seg(SYN, 0, 0));
        s.expect(SYN | ACK, 0, 1, 0);
        s
    }

    #[test]
    fn syn_received_resets_a_wrong_ack() {
        for ack in [0, 2, 0x8000_0000] {
            let mut s = syn_received();
            s.inject(seg(ACK, 1, ack));
            s.expect(RST, ack, 0, 0);
            s.silence().state("SYN-RECEIVED").counted(Cause::BadAck, 1);
            s.inject(seg(ACK, 1, 1))
                .silence()
                .state("ESTABLISHED")
                .slots(1);
        }
    }

    #[test]
    fn syn_received_answers_the_same_syn_with_an_ack() {
        let mut s = syn_received();
        s.inject(seg(SYN, 0, 0));
        s.expect(ACK, 1, 1, 0);
        s.silence().state("SYN-RECEIVED").slots(0);
    }

    #[test]
    fn syn_received_returns_to_listen_on_rst() {
        let mut s = syn_received();
        s.inject(seg(RST, 1, 0)).silence().state("CLOSED");
        s.counted(Cause::ResetIn, 1).slots(0);
        s.inject(seg(SYN, 0, 0));
        s.expect(SYN | ACK, 0, 1, 0);
    }

    #[test]
    fn syn_received_takes_data_and_fin_with_the_ack() {
        let mut s = syn_received();
        s.inject(seg(ACK | FIN, 1, 1).data(b"hello"));
        s.expect(ACK, 1, 7, 0);
        s.silence().state("CLOSE-WAIT");
        assert_eq!(s.read(), b"hello");
        assert!(s.toe.blocks.attached[0].peer_fin);
        s.slots(1);
    }

    #[test]
    fn the_syn_ack_is_sent_again_and_given_up() {
        let mut s = syn_received();
        let mut wait = 1000;
        for _ in 0..6 {
            s.ticks(wait - 1).silence().ticks(2);
            s.expect(SYN | ACK, 0, 1, 0);
            s.silence();
            wait *= 2;
            // One tick of the next wait is gone already.
            s.toe.blocks.timers.set(0, 0, wait);
        }
        s.ticks(wait + 1).silence().state("CLOSED");
        s.counted(Cause::GaveUp, 1)
            .counted(Cause::Retransmit, 6)
            .slots(0);
    }

    #[test]
    fn after_a_lost_syn_ack_the_rto_begins_at_three_seconds() {
        let mut s = syn_received();
        s.ticks(1001);
        s.expect(SYN | ACK, 0, 1, 0);
        s.inject(seg(ACK, 1, 1)).silence().state("ESTABLISHED");
        assert_eq!(s.word(RTO), 3000);
        assert_eq!(s.word(TRIES), 0);
    }

    #[test]
    fn the_smaller_mss_is_used() {
        for (offered, used) in [
            (None, 536),
            (Some(100), 100),
            (Some(1460), 1460),
            (Some(9000), 1460),
        ] {
            let mut syn = seg(SYN, 0, 0);
            syn.mss = offered;
            let mut s = Script::established_with(config(), syn);
            if used < 1460 {
                s.model_only("the switch keeps some descriptors back, and offers less room");
            }
            s.write(&[7; 1500]);
            s.expect(ACK, 1, 1, used);
        }
    }

    // ---- SYN-SENT -------------------------------------------------------------------------------

    /// An active open from `HOST_PORT`, its SYN sent.
    fn syn_sent() -> Script {
        let mut s = Script::new();
        s.toe
            .connect(HOST_PORT, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        s.settle();
        let syn = s.expect(SYN, 0, 0, 0);
        assert_eq!((syn.mss, syn.wnd), (Some(1460), 8192));
        s.silence().state("SYN-SENT");
        s
    }

    #[test]
    fn an_active_open_establishes() {
        let mut s = syn_sent();
        s.inject(seg(SYN | ACK, 0, 1).mss(700));
        s.expect(ACK, 1, 1, 0);
        s.silence().state("ESTABLISHED");
        assert_eq!(s.toe.blocks.attached[0].owner, Some(Owner::Host as u8));
        s.write(&[1; 1000]);
        s.expect(ACK, 1, 1, 700);
        s.counted(Cause::Opened, 1).slots(1);
    }

    #[test]
    fn what_a_syn_ack_brings_besides_must_come_again() {
        let mut s = syn_sent();
        s.inject(seg(SYN | ACK | FIN, 0, 1).mss(700).data(b"early"));
        s.expect(ACK, 1, 1, 0);
        s.silence().state("ESTABLISHED");
        assert_eq!((s.read(), s.word(TRIES)), (vec![], 0));
        s.inject(seg(ACK | FIN, 1, 1).data(b"early"));
        s.expect(ACK, 1, 7, 0);
        assert_eq!(s.state("CLOSE-WAIT").read(), b"early");
        s.slots(1);
    }

    #[test]
    fn a_syn_ack_to_the_second_syn_is_not_timed_and_begins_with_three_seconds() {
        let mut s = syn_sent();
        s.ticks(1000);
        s.expect(SYN, 0, 0, 0);
        s.inject(seg(SYN | ACK, 0, 1));
        s.expect(ACK, 1, 1, 0);
        s.silence().state("ESTABLISHED");
        assert_eq!((s.word(RTO), s.word(TRIES)), (3000, 0));
        s.ticks(10_000).silence();
    }

    #[test]
    fn syn_sent_checks_ack_before_anything() {
        for ack in [0, 2] {
            let mut s = syn_sent();
            s.inject(seg(SYN | ACK, 0, ack));
            s.expect(RST, ack, 0, 0);
            s.silence().state("SYN-SENT");
            s.inject(seg(RST | ACK, 0, ack)).silence().state("SYN-SENT");
            s.inject(seg(RST, 0, 0)).silence().state("SYN-SENT");
            s.inject(seg(ACK, 0, 1)).silence().state("SYN-SENT");
            s.slots(1);
        }
    }

    #[test]
    fn a_refused_active_open_is_told() {
        let mut s = syn_sent();
        s.inject(seg(RST | ACK, 0, 1)).silence().state("CLOSED");
        s.counted(Cause::ResetIn, 1).slots(0);
    }

    #[test]
    fn simultaneous_open() {
        let mut s = syn_sent();
        s.inject(seg(SYN, 0, 0).mss(900));
        s.expect(SYN | ACK, 0, 1, 0);
        s.silence().state("SYN-RECEIVED");
        s.inject(seg(SYN | ACK, 0, 1).mss(900));
        s.expect(ACK, 1, 1, 0);
        s.inject(seg(ACK, 1, 1)).silence().state("ESTABLISHED");
        s.write(&[1; 1000]);
        s.expect(ACK, 1, 1, 900);
        s.slots(1);
    }

    #[test]
    fn the_syn_is_sent_again_and_given_up() {
        let mut s = syn_sent();
        s.ticks(192_535);
        for _ in 0..7 {
            s.expect(SYN, 0, 0, 0);
        }
        s.silence().state("SYN-SENT");
        s.ticks(1).silence().state("CLOSED");
        s.counted(Cause::GaveUp, 1).slots(0);
    }
}
