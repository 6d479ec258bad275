//! SYN cookies (RFC 4987 section 3.6), and the limit on the connections of one address. Only where [`crate::config::ToeConfig::syn_cookies`] and [`crate::config::ToeConfig::per_source`] are set.
//!
//! A SYN for which a half-open connection would have to go ([`crate::tcp::table`], *Crowded*) is answered and forgotten: our number is a **cookie**, and whoever acknowledges it has shown that he is where he says. So nothing half open
//! gives way to a SYN any more; it gives way to such an ACK when no slot is free.
//!
//! | bits | of the cookie |
//! |---|---|
//! | 31:3 | those of G = F(SEG.SEQ, F(tuple) + t): the keyed hash ([`crate::tcp::keyed_hash`]) of the peer's number and of the hash of ports and address, to which t is added, the time in 2^16 ticks |
//! | 2:1 | the peer's MSS as a number of [`SIZES`], masked with F(tuple) |
//! | 0 | t's lowest bit, likewise |
//!
//! The construction is that of RFC 4987 appendix A and of Linux (`secure_tcp_syn_cookie`), but that one hash covers all, and that nothing of it can be told apart without the key. An ACK gives t's lowest bit, so one G is enough to judge it: t is of this or the last 65.5 s,
//! and **a guess is right with 2^-29**. The clock of first sequence numbers is not in it. It is looked at only if a cookie was sent in this or the last of these times; else, and if it is wrong, the ACK is a stranger's.
//!
//! What is lost: SACK, timestamps and the window scale of the peer's SYN (timestamps could carry them, as Linux has it; that needs a hash more in the SYN's event). The MSS is one of four; a SYN with a smaller one than the least is dropped. Text and FIN of the ACK that shows the cookie
//! are not placed, and come again. A cookie sent before the key was replaced, which is possible only while nobody is connected, or in the last 65.5 s before t wraps (every 49.7 days) and shown after it, is wrong.
//! A SYN-ACK with a cookie goes once: the peer's SYN comes again. In TIME-WAIT a SYN that may open anew has no cookie, which would not lie above all that was sent: it is dropped until there is room.
//! The limit of an address is asked when the connection is made, so with a cookie at its ACK.
//!
//! The ACK makes the connection in two events, for one would be too long: the first has all that its record knows, and SYN-RECEIVED; the second sets up the rest and opens it. What comes between is dropped.
//!
//! **Nobody is reset who may be one of them** (RFC 9293 section 3.5.2: "A reset must not be sent if it is not clear that this is the case"). A peer's SYN may come again while its cookie is under way, find room, and have a half-open connection with another number: its ACK
//! of the cookie is checked there, too, and opens that connection, as the cookie has it: without SACK, timestamps and window scale, whatever its second SYN-ACK had. In SYN-RECEIVED a number that is wrong by either is dropped as long as cookies are about, for it may be of text behind an ACK
//! that was lost; an ACK that finds no slot is dropped, and the text behind it, which shows no cookie (G has the peer's first number), is a stranger's that is dropped as long as slots are short. What is left, as in Linux: where there is room, text that comes ahead of both that ACK and the first text is reset.
//! And a half-open connection that has made way is a stranger's.
//!
//! The longest of these events takes 170 cycles, the waits for the table counted, and for the parser's look-up once.
use super::marks::*;
use super::words::*;
use super::{constant, flags, none, state, timer, zero};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, operands::*, Asm};
use crate::tcp::isa::{cmd, notify, out};

/// What of an MSS a cookie keeps: the largest of these that is not above it. Linux's (`msstab`), after Alcock and Nelson, "An Analysis of TCP Maximum Segment Sizes" (2010).
pub const SIZES: [u32; 4] = [constant::MSS_DEFAULT, 1300, 1440, 1460];

/// Where a slot is refused: for want of one, or is it that the address has too many?
pub(super) fn no_slot(a: &mut Asm, config: &ToeConfig) {
    if config.per_source.is_some() {
        a.ldi(2).and(RESULT2).not_zero(A);
        a.when(A).br("source_limit");
    }
}

/// A newcomer found no slot. Beside it in the word stands when a cookie was sent last.
pub(super) fn short(a: &mut Asm, config: &ToeConfig) {
    if config.syn_cookies {
        a.ldi(1).or(SHORT).to(SHORT);
    } else {
        a.ldi(1).st(SHORT);
    }
}

/// One got in.
pub(super) fn not_short(a: &mut Asm, config: &ToeConfig) {
    if config.syn_cookies {
        a.ldi(1).and(SHORT).xor(SHORT).to(SHORT);
    } else {
        zero(a, SHORT);
    }
}

/// In SYN-RECEIVED: is it one that has shown a cookie, and waits for its second event?
pub(super) fn opening(a: &mut Asm, config: &ToeConfig) {
    if config.syn_cookies {
        a.when(A).done();
        a.ld(MSS).sign(B);
        a.when(B).br("cookie_open");
    }
}

/// In SYN-RECEIVED the number acknowledged is not ours: flows into what answers that, but on a connection with timestamps, which none by cookie has.
pub(super) fn half_open(a: &mut Asm, config: &ToeConfig) {
    if config.syn_cookies {
        if config.timestamps {
            a.ld(FLAGS).sign(A);
            a.unless(A).br("cookie_half_open");
        } else {
            a.br("cookie_half_open");
        }
        a.label("syn_received.wrong");
    }
}

/// A segment came before that event. (`established` has set the state.)
pub(super) fn meanwhile(a: &mut Asm, config: &ToeConfig) {
    if config.syn_cookies {
        a.ld(MSS).sign(B);
        a.when(B).br("cookie_meanwhile");
    }
}

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    if config.per_source.is_some() {
        a.label("source_limit")
            .note("silence, as for want of a slot, but nobody else is asked to make room");
        a.count(Cause::SourceLimit.number());
        a.done();
    }
    if config.syn_cookies {
        a.init(SHORT, LONG_AGO);
        send(a, config);
        acknowledged(a, config);
        open(a, config);
    }
}

/// More than twice the number of any of [`SIZES`].
const BELOW: u32 = 2 * SIZES.len() as u32;

/// Before the first cookie: 24.8 days before, or after, the clock begins.
const LONG_AGO: u32 = 1 << 31;

/// The SYN's answer. F of the tuple is there, or under way.
fn send(a: &mut Asm, config: &ToeConfig) {
    a.label("cookie").note("t, and when a cookie was sent last");
    a.cmd(cmd::HASH);
    a.shr16(TICK_LONG).st(T0);
    a.shl16(T0).st(T_CTL);
    a.ldi(1).and(T0);
    a.xor(RESULT).st(T2);
    a.ld(RESULT).add(T0);
    a.cmd_a(cmd::HASH_OF, SEG_SEQ);
    a.note("what follows until `HASH` costs nothing, for G takes as long")
        .shl16(SEG_MSSOPT)
        .st(T_LEN);
    a.ldi(1).and(SHORT).or(T_CTL).to(SHORT);
    a.ldi(1).add(SEG_SEQ).to(T1);
    a.note("RFC 9293 section 3.7.1: without the option it is 536")
        .shr16(T_LEN)
        .zero(A);
    a.when(A).ldi(constant::MSS_DEFAULT);
    a.st(T0);
    a.ldi(SIZES[0]).rsb(T0).sign(A);
    a.when(A).br("no_slot");
    for (n, flag) in [A, B, C].into_iter().enumerate() {
        a.ldi(SIZES[n + 1]).rsb(T0).sign(flag);
    }
    a.cmd(cmd::HASH);
    a.ldi(0);
    for (n, flag) in [A, B, C].into_iter().enumerate() {
        a.unless(flag).ldi(2 * (n as u32 + 1));
    }
    a.note("all of G but three bits").xor(T2);
    a.xor(RESULT).st(T2);
    a.shl16(SEG_PORTS).st(T_LEN);
    a.ldi(7).and(T2).xor(RESULT).st(T2);
    a.shr16(SEG_PORTS).or(T_LEN).to(T_LEN);
    a.note("as to any SYN, with no option but the MSS")
        .count(Cause::CookieOut.number());
    if config.ethernet {
        if !config.vlan {
            a.shr16(SEG_MACURG).st(T0);
        }
        a.out(out::MAC_LO, SEG_MACLO);
    }
    a.out(out::IP, SEG_IP);
    a.li(config.rx_ring_bytes as u32)
        .or(k(constant::CTL_SYN_ACK))
        .st(T_CTL);
    a.out(out::PORTS, T_LEN);
    if config.ethernet {
        a.out(out::MAC_HI, if config.vlan { SEG_MACURG } else { T0 });
    }
    a.count(Cause::Accepted.number());
    a.out(out::SEQ, T2);
    a.out(out::ACK, T1);
    a.out(out::OPTION, k(super::handshake::mss_option(config)));
    a.ld(k(0));
    a.out(out::CTL, T_CTL);
    a.cmd_a(cmd::SEND, k(0));
    a.count(Cause::PureAckOut.number());
    a.done();
}

/// An ACK of no connection: F of the tuple is there, or under way. Or of a half-open one, whose number it does not acknowledge (flag C).
fn acknowledged(a: &mut Asm, config: &ToeConfig) {
    a.label("cookie_ack").when(SYN).br("reset_stray");
    a.clear(C);
    a.label(".tuple").cmd(cmd::HASH);
    a.ldi(1).rsb(SEG_SEQ).st(T_SEQ);
    a.ldi(1).rsb(SEG_ACK).st(T2);
    a.xor(RESULT).st(T_LEN);
    a.note("is it not long ago that a cookie was sent?").ldi(1);
    a.note("beside the time there is another bit")
        .add(TICK_LONG);
    a.sub(SHORT).st(T1);
    a.shr16(TICK_LONG).st(T0);
    a.xor(T_LEN).st(T_CTL);
    a.shl1(k(constant::BIT_16)).rsb(T1).carry(A);
    a.when(A).br(".none");
    a.note("t, this one or the last").ldi(1).and(T_CTL).rsb(T0);
    a.add(RESULT);
    a.cmd_a(cmd::HASH_OF, T_SEQ);
    a.cmd_a(cmd::LISTEN, SEG_PORTS);
    a.unless(OK).br(".none");
    a.shl8(RESULT).st(T_CTL);
    a.ldi(6).and(T_LEN).st(T_LEN);
    a.ldi(7).st(T_SEQ);
    a.shl16(SEG_PORTS).st(T1);
    a.cmd(cmd::HASH);
    a.ld(RESULT).xor(T2);
    a.bic(T_SEQ).not_zero(A);
    a.when(A).br(".false");
    a.note("it is ours").when(C).br(".half_open");
    a.ld(SEG_IP);
    a.cmd_a(cmd::ALLOC, SEG_PORTS);
    a.unless(OK).br("no_slot");
    a.ld(RESULT2).zero(A);
    a.cmd_a(cmd::SETCONN, RESULT);
    a.label(".slot");
    super::scale::unknown(a, config);
    a.unless(A).count(Cause::Recycled.number());
    a.note("below zero until the second event")
        .ldi(BELOW)
        .rsb(T_LEN)
        .to(MSS);
    if config.ethernet {
        a.ld(SEG_MACLO).to(MAC_LO);
        if config.vlan {
            a.ld(SEG_MACURG).to(MAC_HI);
        } else {
            a.shr16(SEG_MACURG).st(MAC_HI);
        }
    }
    a.ld(SEG_PORTS).to(PORTS);
    a.ld(SEG_IP).to(IP);
    a.shr16(SEG_PORTS).or(T1).to(OUT_PORTS);
    a.ld(SEG_ACK).to(SND_MAX);
    a.ld(SEG_WND).to(SND_WND);
    a.ld(SEG_SEQ).to(RCV_NXT);
    a.li(config.rx_ring_bytes as u32).add(SEG_SEQ).to(RCV_ADV);
    zero(a, CWND);
    a.ld(T_CTL).to(FLAGS);
    a.ldi(state::SYN_RECEIVED).st(STATE);
    a.timer_clear(timer::RETRANSMIT);
    a.count(Cause::Accepted.number());
    a.cmd(cmd::POST);
    a.done();

    a.label("cookie_ack.half_open")
        .note("the SYN that came again is the same connection's, its number nobody's any more")
        .cmd(cmd::KEEP);
    a.set(A);
    a.br(".slot");

    a.label("cookie_ack.false")
        .note("while slots are short it may be what follows an ACK that was dropped for want of one: silence, for it is not clear that it is not meant for us (RFC 9293 section 3.5.2)")
        .when(C)
        .br("cookie_half_open.false");
    a.ldi(1).and(SHORT).not_zero(A);
    a.when(A).br("stray");
    a.count(Cause::Stray.number());
    a.br("reset_reply");
    a.label("cookie_ack.none");
    a.unless(C).br("reset_stray");
    a.label("cookie_half_open.wrong");
    if config.timestamps {
        a.ld(FLAGS).sign(A);
        a.when(A).br("drop_unacceptable");
    }
    a.br("syn_received.wrong");
    a.label("cookie_half_open.false")
        .note("here, too, it may be what follows a cookie's ACK that was lost")
        .count(Cause::BadAck.number());
    a.done();

    if config.timestamps {
        a.label("cookie_unstamped")
            .note("a segment without timestamps where there must be some: in SYN-RECEIVED perhaps a cookie's ACK");
        a.ldi(state::SYN_RECEIVED).xor(STATE).not_zero(A);
        a.unless(ACK).set(A);
        a.when(A).br("drop_unacceptable");
    }
    a.label("cookie_half_open")
        .note("SYN-RECEIVED, and another number acknowledged: had the SYN a cookie before it came again, and found room? Not that of an active open");
    a.ldi(flags::APP).and(FLAGS).not_zero(A);
    a.when(A).br(".wrong");
    a.set(C);
    a.ld(SEG_IP);
    a.cmd_a(cmd::HASH_OF, SEG_PORTS);
    a.br("cookie_ack.tuple");
}

/// The second event.
fn open(a: &mut Asm, config: &ToeConfig) {
    a.label("cookie_open")
        .note("what `new_state` and `peer_syn_known` do, from what is known of it");
    let kept = [A, B, C].into_iter().zip(1..);
    for (flag, n) in kept.clone() {
        a.ldi(BELOW - 2 * n).add(MSS).zero(flag);
    }
    a.ldi(SIZES[0]);
    for (flag, n) in kept {
        a.when(flag).ldi(SIZES[n as usize]);
    }
    a.st(MSS);
    a.ldi(1).rsb(SND_MAX).to(SND_UNA);
    a.ld(SND_MAX).to(SND_NXT);
    a.timer_clear(timer::TIME_WAIT);
    a.cmd_a(cmd::DIFFSERV, k(0));
    a.ldi(constant::RTO_INITIAL).st(RTO);
    none(a, TIMED_AT);
    zero(a, TRIES);
    if config.cubic {
        a.ld(k(0)).st(W_MAX);
    }
    a.cmd_a(cmd::RX_INIT, RCV_NXT);
    a.call("send_side");
    a.note("and `opened`, where it stands in no list");
    a.ld(SND_MAX).to(SND_UNA);
    a.ldi(state::ESTABLISHED).st(STATE);
    a.ldi(flags::APP).or(FLAGS).to(FLAGS);
    a.count(Cause::Opened.number());
    a.timer_set(timer::KEEPALIVE, RTO);
    a.shr8(FLAGS);
    a.cmd_imm(cmd::NOTIFY, notify::OPEN);
    if config.user_timeout_option {
        super::user_timeout::opened_by_cookie(a);
    }
    a.done();

    a.label("cookie_meanwhile");
    a.ldi(state::SYN_RECEIVED).st(STATE);
    a.count(Cause::StaleRecord.number());
    a.done();
}
