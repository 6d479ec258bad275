//! ICMP errors about segments that are on their way (RFC 1122 sections 3.2.2.1 and 4.2.3.9, RFC 9293 section 3.9.2.2, RFC 5927), and path MTU discovery (RFC 1191). Only where
//! [`crate::config::ToeConfig::icmp_errors`] is set.
//!
//! The parser makes a record of what an error quotes ([`crate::tcp::isa::seg::QUOTED`]); no answer ever goes to one. It is believed only if the sequence number quoted is on its way (RFC 5927 section 4.1).
//!
//! | error | |
//! |---|---|
//! | protocol, port unreachable (3/2, 3/3) in SYN-SENT | the attempt ends, as by a RST (SHLD-26; RFC 5927 section 5.2) |
//! | the same in other states, and all else (3/0, 3/1, 3/5 to 3/15, 11, 12; MUST-56) | counted: what the peer does not acknowledge is given up in its time (RFC 5927 section 5.2) |
//! | fragmentation needed (3/4) | MSS = MTU - 40, less the options; all that is on its way goes again at once, `cwnd` as it was (RFC 1191 section 6.5) |
//!
//! **Deviations** from RFC 1191. An MTU below 576 is passed over: such links are none of IPv4's any more, and every attacker's first choice (RFC 5927 section 7; Linux has 552, `min_pmtu`). An MTU of 0, an old
//! router's, is taken for 576 (section 5 has this as the simplest way; DF stays set). The path MTU is the connection's: it is not kept for the next one to the same address, and never
//! grows again (section 6.3 has 10 minutes): a new connection begins anew.
//!
//! **Cut again.** The send ring is told the new size: what is written from here on is cut at that. What is cut already stays as it is until it is at the head: then 536 bytes are cut off, less those of options (`too_long`), a size that the next MTU can't be
//! below, so that no head needs a second descriptor to be free. What follows a segment that is too long waits until that is the head.
use super::marks::*;
use super::stamps::BYTES;
use super::words::*;
use super::{constant, state, zero};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, operands::*, Asm};
use crate::tcp::isa::{cmd, report};

/// The headers of a segment with text: IPv4 and TCP, without options ([`BYTES`]).
const HEADERS: u32 = 40;
/// The smallest MTU that is believed: what every host takes (RFC 791, RFC 1122 section 3.3.2).
const LEAST: u32 = 576;
/// Type << 8, code.
const PROTOCOL_UNREACHABLE: u32 = 0x302;
const PORT_UNREACHABLE: u32 = 0x303;
const FRAGMENTATION_NEEDED: u32 = 0x304;

/// Where the segments of no connection end: is it an error?
pub(super) fn stranger(a: &mut Asm) {
    a.ld(SEG_MSSOPT).sign(A);
    a.when(A).br("icmp_stray");
}

/// The same of a record that the parser had no connection for and the engine has.
pub(super) fn late(a: &mut Asm) {
    a.ld(SEG_MSSOPT).sign(A);
    a.when(A).br("icmp_error");
}

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    a.label("icmp_stray");
    a.count(Cause::IcmpStray.number());
    a.done();

    a.label("icmp_error")
        .note("RFC 5927 section 4.1: SND.UNA =< SEG.SEQ < SND.NXT. An entry in TIME-WAIT has no SND.UNA, one that is over nothing on its way");
    a.ld(SEG_SEQ).sub(SND_UNA).sign(A);
    a.ld(SEG_SEQ).sub(SND_MAX).or_not_sign(A);
    a.ldi(state::TIME_WAIT).xor(STATE).or_zero(A);
    a.ld(STATE).or_zero(A);
    a.when(A).br(".outside");
    a.shr16(SEG_ACK).st(T0);
    a.ldi(state::SYN_SENT).xor(STATE).zero(B);
    a.ldi(FRAGMENTATION_NEEDED).xor(T0).zero(A);
    a.when(A).br(".too_big");
    a.ldi(PROTOCOL_UNREACHABLE).xor(T0).zero(A);
    a.ldi(PORT_UNREACHABLE).xor(T0).or_zero(A);
    a.unless(B).clear(A);
    a.when(A).br(".refused");
    a.count(Cause::IcmpSoft.number());
    a.note("MUST-47")
        .ld(T0)
        .cmd_imm(cmd::REPORT, report::SOFT_ERROR);
    a.done();

    a.label("icmp_error.outside");
    a.count(Cause::IcmpOutside.number());
    a.done();

    a.label("icmp_error.refused");
    a.count(Cause::IcmpRefused.number());
    a.call("end_by_reset");
    a.done();

    a.label("icmp_error.too_big")
        .note("RFC 1191 section 4: T1 = next-hop MTU, at least 576; of an old router (0), 576");
    a.ldi(LEAST).rsb(SEG_WND).sign(A);
    a.ld(SEG_WND).zero(B);
    a.ld(SEG_WND);
    a.when(B).ldi(LEAST);
    a.when(B).clear(A);
    a.note("RFC 5927 section 7.2: less than the segment was long, and less than what is used; and the peer is known")
        .st(T1);
    a.sub(SEG_LEN).or_not_sign(A);
    a.ldi(state::ESTABLISHED).rsb(STATE).or_sign(A);
    if config.timestamps {
        a.ld(FLAGS).sign(B);
    }
    a.ldi(HEADERS);
    if config.timestamps {
        a.when(B).ldi(HEADERS + BYTES);
    }
    a.rsb(T1).st(T1);
    a.sub(MSS).or_not_sign(A);
    a.when(A).br(".no_smaller");
    a.count(Cause::MtuLowered.number());
    a.ld(T1).st(MSS);
    a.cmd_a(cmd::TX_RECUT, k(0));
    a.note("RFC 1191 section 6.5: what was too long goes again at once, and it was no congestion. The loss is explained: it was no try")
        .call("go_back");
    zero(a, TRIES);
    a.cmd(cmd::POST);
    a.done();

    a.label("icmp_error.no_smaller");
    a.count(Cause::MtuIgnored.number());
    a.done();

    a.label("too_long")
        .note("longer than the path takes: only the head can be cut again. What is ahead is on its way, and its ACK brings this to the head");
    a.ldi(constant::MSS_DEFAULT);
    if config.timestamps {
        a.ld(FLAGS).sign(A);
        a.when(A).ldi(constant::MSS_DEFAULT - BYTES);
    }
    a.st(T0);
    a.ld(TX_INDEX).not_zero(A);
    a.when(A).br("acknowledge");
    a.cmd_a(cmd::TX_RECUT, T0);
    a.when(OK).br("output_now");
    a.br("acknowledge");

    a.label("too_long_again")
        .note("what was lost was cut for a longer path: on from the head");
    a.call("go_back");
    a.br("output_now");
}
