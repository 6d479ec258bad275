//! Timestamps and protection against wrapped sequence numbers (RFC 7323). Only where [`crate::config::ToeConfig::timestamps`] is set, and only on connections whose both ends do them.
//!
//! `flags`' sign tells such a connection ([`super::flags::STAMPED`]); it is set by the peer's SYN. Others pay two cycles a segment for the question, and one each for pending events and what is sent. What is sent finds its way here through [`SACK_ACK`], which events of these connections set.
//!
//! **The clock** is the engine's tick, a millisecond (section 5.4 allows 1 ms to 1 s), in 32 bits, and for each connection the keyed hash of its tuple more (section 5.4; RFC 6528's of an address that no peer has, so that it says nothing
//! of first sequence numbers): a later connection of the same tuple goes on above (RFC 6191), and whoever has no address that differs in its first three bits alone learns nothing of it. Without the hash the clock is bare.
//!
//! **Round trips** are taken from the timestamp that comes back, once a round trip as without (section 4.2), and of what was sent again, too (RFC 6298 section 3): so an RTO that was doubled is right again with the first ACK of something new.
//!
//! **Deviations.** A RST carries none (section 3.2 has SHOULD). A SYN within a connection is challenged whatever its timestamp.
use super::marks::*;
use super::words::*;
use super::{constant, flags, state};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, kf, operands::*, Asm};
use crate::tcp::isa::{cmd, out};

/// Section 3.2: kind 8, length 10, behind two no-operations (appendix A).
pub(super) const OPTION: u32 = 0x0101_080A;
/// In a SYN SACK-permitted stands in their place, as Linux has it.
const WITH_SACK_PERMITTED: u32 = 0x0402_080A;
/// More bytes of header in each segment.
pub(super) const BYTES: u32 = 12;
/// An address that no peer has: multicast, and beyond.
const NO_PEER: u32 = 0xE000_0000;

/// acc: the bit of SEG_MSSOPT that tells of timestamps.
pub(super) fn stamps_in(a: &mut Asm) {
    a.shr1(kf(1 << 27));
}

/// acc = [`flags::STAMPED`]
pub(super) fn stamped(a: &mut Asm) {
    a.shl3(kf(1 << 28));
}

/// T_CTL has the three words more.
pub(super) fn three_more_words(a: &mut Asm) {
    a.shl1(kf(3 << 27)).add(T_CTL).to(T_CTL);
}

/// acc = the time for a timestamp of this connection's.
fn now(a: &mut Asm) {
    a.ld(TICK_LONG).add(TS_OFFSET);
}

/// Pending events of such a connection say so by [`SACK_ACK`], and others not, whatever the mask says in its place.
pub(super) fn mark_pending(a: &mut Asm, config: &ToeConfig) {
    if config.timestamps {
        a.ld(FLAGS).sign(SACK_ACK);
    }
}

/// Segments of such a connection, too, once SYN was looked at.
pub(super) fn mark(a: &mut Asm, config: &ToeConfig) {
    if config.timestamps {
        a.ld(FLAGS).or_sign(SACK_ACK);
    }
}

/// The options of a SYN-ACK whose SYN had timestamps; T_CTL has one word of options. On to `no_connection.options`.
pub(super) fn passive_open(a: &mut Asm, config: &ToeConfig) {
    a.label("no_connection.stamps");
    if config.ecn {
        super::ecn::asked(a);
        a.when(A).br("no_connection.ecn");
        a.label("no_connection.stamped");
    }
    a.ld(SEG_TSVAL).st(TS_RECENT);
    a.call("stamp_offset");
    a.ld(RCV_NXT).st(LAST_ACK);
    a.ld(TICK_LONG).to(TS_AGE);
    a.note("the owner's word becomes that of the flags")
        .shr1(kf(1 << 24));
    a.or(T2).to(T2);
    now(a);
    a.st(T0);
    a.ld(kf(OPTION)).st(T1);
    a.shl1(kf(1 << 24)).and(SEG_MSSOPT).zero(B);
    a.ld(kf(WITH_SACK_PERMITTED));
    a.unless(B).st(T1);
    a.out(out::OPTION + 2, T0);
    three_more_words(a);
    a.out(out::OPTION + 3, SEG_TSVAL);
    a.out(out::OPTION + 1, T1);
    super::scale::passive_open_stamped(a, config);
}

/// Does the peer's SYN have timestamps? Of SYN and SYN-ACK in SYN-SENT.
pub(super) fn peer_syn(a: &mut Asm) {
    a.note("RFC 7323 section 3.2: timestamps, if both have them");
    stamps_in(a);
    a.and(SEG_MSSOPT).zero(A);
    stamped(a);
    a.or(FLAGS);
    a.unless(A).st(FLAGS);
    a.ld(SEG_TSVAL).st(TS_RECENT);
    a.ld(TICK_LONG).to(TS_AGE);
}

/// RFC 6191 section 2: flag C, a SYN in TIME-WAIT is not above all that the peer has sent. A and B are lost.
pub(super) fn reuse(a: &mut Asm) {
    a.ld(SEG_SEQ).sub(RCV_NXT).sign(C);
    stamps_in(a);
    a.and(SEG_MSSOPT).zero(A);
    a.note("it has them, the last connection had none")
        .ld(FLAGS)
        .sign(B);
    a.when(A).set(B);
    a.unless(B).clear(C);
    a.ld(FLAGS).or_not_sign(A);
    a.when(A).br(".by_number");
    a.ld(SEG_TSVAL);
    a.rsb(TS_RECENT).sign(B);
    a.when(B).clear(C);
    a.sub(TS_RECENT).sign(B);
    a.when(B).set(C);
    a.label(".by_number");
}

/// Our SYN, and a SYN-ACK but for the first: on to `emit_counted`, or `send_syn.unstamped`.
pub(super) fn syn_out(a: &mut Asm, config: &ToeConfig) {
    a.ldi(state::SYN_SENT).xor(STATE).zero(B);
    a.ld(FLAGS).sign(A);
    a.when(B).set(A);
    a.unless(A).br("send_syn.unstamped");
    a.ldi(flags::SACK).and(FLAGS).or_not_zero(B);
    a.ld(kf(OPTION)).st(T1);
    a.ld(kf(WITH_SACK_PERMITTED));
    a.when(B).st(T1);
    three_more_words(a);
    now(a);
    a.st(T0);
    a.out(out::OPTION + 3, TS_RECENT);
    a.ld(RCV_NXT).st(LAST_ACK);
    a.out(out::OPTION + 1, T1);
    a.out(out::OPTION + 2, T0);
    super::scale::syn_out_stamped(a, config);
    a.label("send_syn.unstamped");
}

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    segment(a, config);

    a.label("stamp_offset")
        .note("of the tuple in the record. OK and RESULT are lost");
    if config.isn_hash {
        a.ld(SEG_IP);
        a.or(kf(NO_PEER));
        a.cmd_a(cmd::LOOKUP, SEG_PORTS);
        a.cmd(cmd::HASH);
        a.ld(RESULT).st(TS_OFFSET);
    } else {
        a.ld(k(0)).st(TS_OFFSET);
    }
    a.ret();

    a.label("stamps_aged")
        .note("section 5.5: TS.Recent is not believed after 24 days, 2^31 ticks here, nor ever later until one comes");
    stamped(a);
    a.add(TICK_LONG).st(TS_AGE);
    a.br("keepalive.aged");

    a.label("emit_stamped")
        .note("text and FIN: our SYN has its own, a RST none");
    a.ldi(state::ESTABLISHED).rsb(STATE).sign(A);
    a.ld(FLAGS).or_not_sign(A);
    a.when(A).br("emit_plain");
    a.note("Karn's algorithm (RFC 6298 section 3) is for those without timestamps: if nothing is timed, text that goes again is, by the ACK of all that was on its way when it was lost: `sample` has RECOVER follow, which an earlier one may not")
        .ld(TIMED_AT)
        .not_sign(A);
    a.ld(T_LEN).or_zero(A);
    three_more_words(a);
    a.ld(TICK);
    a.unless(A).st(TIMED_AT);
    a.ldi(1).rsb(RECOVER);
    a.unless(A).st(TIMED_SEQ);
    a.call("stamp");
    a.br("emit_plain");

    a.label("stamp")
        .note("TSval, TSecr = TS.Recent, and Last.ACK.sent (section 4.3); T0 is lost");
    now(a);
    a.st(T0);
    a.out(out::OPTION, kf(OPTION));
    a.out(out::OPTION + 2, TS_RECENT);
    a.ld(RCV_NXT).st(LAST_ACK);
    a.out(out::OPTION + 1, T0);
    a.ret();

    blocks_out(a);
}

/// A segment of a connection with timestamps, the common one and all others in SYN-RECEIVED and later: sections 4.3 and 5.3, rules R1 to R3.
fn segment(a: &mut Asm, config: &ToeConfig) {
    a.label("stamped");
    a.when(RST).br("unstamped");
    a.when(SYN).br("unstamped");
    a.note("section 3.2: without one it is dropped without a word");
    stamps_in(a);
    a.and(SEG_MSSOPT).zero(A);
    a.when(A).br(if config.syn_cookies {
        "cookie_unstamped"
    } else {
        "drop_unacceptable"
    });
    a.note("R1").ld(SEG_TSVAL);
    a.sub(TS_RECENT).sign(A);
    a.when(A).br(".old");
    a.label("stamped.fresh")
        .note("R3: TS.Recent = SEG.TSval if SEG.SEQ =< Last.ACK.sent (not a) and it is acceptable: at RCV.NXT (b), or reaching beyond (not c)");
    a.ld(SEG_SEQ);
    a.rsb(LAST_ACK).sign(A);
    a.sub(RCV_NXT).zero(B);
    a.add(SEG_LEN);
    a.note("a FIN that stands there reaches beyond, too")
        .unless(FIN)
        .rsb(RCV_NXT)
        .not_sign(C);
    a.sub(RCV_NXT).or_sign(C);
    a.when(B).clear(C);
    a.when(C).set(A);
    a.note("and its ACK is none that was guessed (RFC 5961 section 5.2): or whoever hits the window once makes all that the peer sends old")
        .ld(SEG_ACK);
    a.rsb(SND_MAX).or_sign(A);
    a.add(k(constant::BIT_16));
    a.rsb(SND_UNA).or_not_sign(A);
    a.when(A).br(".kept");
    a.ld(SEG_TSVAL).st(TS_RECENT);
    a.ld(TICK_LONG).to(TS_AGE);
    a.label("stamped.kept").when(UNCOMMON).br("unstamped");
    a.when(ODD).br("unstamped");
    a.set(SACK_ACK);
    a.br("acknowledgement");

    a.label("stamped.old")
        .note("unless TS.Recent is too old to be believed (section 5.5)");
    a.ld(TICK_LONG);
    a.sub(TS_AGE).sign(A);
    a.when(A).br(".fresh");
    a.note("an ACK, as for a challenge and limited like one: two ends that hold each other's for old must not go on answering")
        .count(Cause::OldTimestamp.number());
    a.br("challenge");
}

/// An ACK: timestamps, and what is held ahead of a gap as far as there is room.
fn blocks_out(a: &mut Asm) {
    let block = |a: &mut Asm, n: u8| {
        a.call("edges");
        a.out(out::OPTION + 4 + 2 * n, T0);
        a.out(out::OPTION + 5 + 2 * n, T1);
    };
    a.label("stamped_ack").call("stamp");
    a.shl1(kf(3 << 27)).add(k(constant::CTL_ACK)).st(T_CTL);
    a.ldi(flags::QUICK).and(FLAGS).zero(A);
    a.when(DUPLICATE).clear(A);
    a.ldi(flags::SACK).and(FLAGS).or_zero(A);
    a.when(A).br(".window");
    a.when(DUPLICATE).br(".duplicate");
    a.cmd_imm(cmd::RX_SACK, 0);
    a.unless(OK).br(".window");
    block(a, 0);
    a.cmd_imm(cmd::RX_SACK, 1);
    a.label("stamped_ack.second");
    a.ldi(super::sack::BLOCK);
    a.unless(OK).br(".one");
    block(a, 1);
    a.shl1(kf(1 << 28)).add(T_CTL).to(T_CTL);
    a.ldi(2 * super::sack::BLOCK);
    a.label("stamped_ack.one").st(T2);
    three_more_words(a);
    a.ld(T2);
    a.add(kf(super::sack::OPTION)).st(T0);
    a.out(out::OPTION + 3, T0);
    a.label("stamped_ack.window");
    a.ld(RCV_ADV).sub(RCV_NXT);
    a.or(T_CTL).to(T_CTL);
    a.br("send_ack_headers");
    a.label("stamped_ack.duplicate")
        .note("RFC 2883 section 4: first what came twice, then what is held");
    a.ld(SEG_SEQ).st(T0);
    a.add(SEG_LEN).st(T1);
    a.out(out::OPTION + 4, T0);
    a.out(out::OPTION + 5, T1);
    a.cmd_imm(cmd::RX_SACK, 0);
    a.br(".second");
}
