//! The window scale (RFC 7323 section 2). Only where [`crate::config::ToeConfig::window_scale`] is set.
//!
//! Ours is zero always: no ring has more than 32,768 bytes. It is sent all the same, for a peer may scale its windows only if both SYNs have the option (section 2.2). What shifts the peer's windows is hardware
//! ([`crate::tcp::scale`]): here it is told once for each connection, when the peer's SYN comes, by how much; an active open clears it before that. Both ends have the option if the peer's SYN has it: ours has it too, then.
//!
//! **What comes too early.** The hardware shifts a window as its segment comes in, by what it was told until then; of a segment whose connection the look-up does not know, by nothing. So a window may be seen unshifted
//! that should be larger (it is right again with the next segment, and what goes out until then is acknowledged by one), and none larger than it is: nobody's segment finds the shift of another connection, for the look-up goes by the tuple, and a
//! number's next connection is told of before its peer can have heard of it. Which segments these are, and that they do no harm, is in `conformance::scale`.
use super::marks::*;
use super::state;
use super::words::*;
use crate::config::ToeConfig;
use crate::tcp::asm::{k, kf, operands::*, Asm};
use crate::tcp::isa::{cmd, out};

/// Section 2.2: kind 3, length 3, a shift of 0, behind a no-operation. The last option of a SYN, as Linux has it.
const OPTION: u32 = 0x0103_0300;

/// acc: where SEG_MSSOPT tells that a segment has the option.
fn scaled_in(a: &mut Asm) {
    a.ld(kf(1 << 24));
}

/// T_CTL has a word more.
fn one_more_word(a: &mut Asm) {
    a.ld(kf(super::handshake::OPTION_WORD));
    a.add(T_CTL).to(T_CTL);
}

/// A connection begins of whose peer nothing is known.
pub(super) fn unknown(a: &mut Asm, config: &ToeConfig) {
    if config.window_scale {
        a.cmd_a(cmd::SCALE, k(0));
    }
}

/// The peer's SYN.
pub(super) fn peer_syn(a: &mut Asm, config: &ToeConfig) {
    if config.window_scale {
        a.note("RFC 7323 section 2.2").cmd_a(cmd::SCALE, SEG_MSSOPT);
    }
}

/// The send side is set up: what the SYN said is kept for a SYN-ACK that goes again.
pub(super) fn kept(a: &mut Asm, config: &ToeConfig) {
    if config.window_scale {
        a.ld(MSS).st(PEER_OPTIONS);
    }
}

/// In SYN-SENT it is kept at once, for the first SYN-ACK: here an event may last. The accumulator has it.
pub(super) fn kept_at_once(a: &mut Asm, config: &ToeConfig) {
    if config.window_scale {
        a.st(PEER_OPTIONS);
    }
}

/// A SYN-ACK without timestamps; flag B: without SACK-permitted. Falls into `no_connection.options`.
pub(super) fn passive_open(a: &mut Asm, config: &ToeConfig) {
    a.note("RFC 7323 section 2.2: the window scale, if the peer's SYN has it");
    scaled_in(a);
    a.and(SEG_MSSOPT).zero(C);
    a.when(C).br(".options");
    one_more_word(a);
    if config.sack {
        a.when(B).br("scale_alone");
        a.out(out::OPTION + 2, kf(OPTION));
    } else {
        a.out(out::OPTION + 1, kf(OPTION));
    }
}

/// A SYN-ACK with timestamps: on to `no_connection.options`.
pub(super) fn passive_open_stamped(a: &mut Asm, config: &ToeConfig) {
    if config.window_scale {
        scaled_in(a);
        a.and(SEG_MSSOPT).zero(B);
        a.when(B).br("no_connection.options");
        a.out(out::OPTION + 4, kf(OPTION));
        one_more_word(a);
    }
    a.br("no_connection.options");
}

/// Flag C: our SYN has the option, or a SYN-ACK but for the first.
pub(super) fn wanted(a: &mut Asm, config: &ToeConfig) {
    if config.window_scale {
        a.ldi(state::SYN_SENT).xor(STATE).zero(C);
        scaled_in(a);
        a.and(PEER_OPTIONS).or_not_zero(C);
    }
}

/// It has timestamps: on to `emit_counted`.
pub(super) fn syn_out_stamped(a: &mut Asm, config: &ToeConfig) {
    if config.window_scale {
        a.unless(C).br("emit_counted");
        a.out(out::OPTION + 4, kf(OPTION));
        a.br("scale_counted");
    } else {
        a.br("emit_counted");
    }
}

/// It has none: behind SACK-permitted, or (`send_syn.plain`) the MSS.
pub(super) fn syn_out(a: &mut Asm, config: &ToeConfig) {
    if config.sack {
        a.unless(C).br("emit_counted");
        a.out(out::OPTION + 2, kf(OPTION));
        a.br("scale_counted");
        a.label("send_syn.plain");
    }
    a.unless(C).br("emit_counted");
    a.out(out::OPTION + 1, kf(OPTION));
    a.label("scale_counted");
    one_more_word(a);
}

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    if config.sack {
        a.label("scale_alone").out(out::OPTION + 1, kf(OPTION));
        a.br("no_connection.options");
    }
}
