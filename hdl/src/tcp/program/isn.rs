//! First sequence numbers (RFC 9293 section 3.4.1, RFC 6528): M + F, a clock and a keyed hash of the tuple.
//!
//! F is [`crate::tcp::keyed_hash`]'s, of gates, which is there when it is asked for; or, with 1,536 words of program ([`crate::config::ToeConfig::isn_in_program`]), the same function as a
//! routine of the program, for devices that have no cells left: HalfSipHash-2-4 with the same key gives the same numbers.
//!
//! The routine takes about 120 words and 800 cycles, in the event of a SYN that opens a connection, of an active open, and of a SYN that may end TIME-WAIT: 16 us at 50 MHz, in which a
//! line of 1 Mb/s brings two bytes. So it is nothing for lines where SYNs come faster than one in 1,000 cycles; there the queue of records would overflow, and they would come again. The key is in the shared row from the start and can't be replaced.
use super::marks::*;
use super::words::*;
use crate::config::ToeConfig;
use crate::tcp::asm::{kf, operands::*, Asm, Ins, Operand};
use crate::tcp::isa::cmd;
use crate::tcp::keyed_hash::{V2 as MIX_2, V3 as MIX_3};

// The words of the hash: scratch of the event, and state that a connection which is about to begin, or rests in TIME-WAIT, has no use for.
const V0: Operand = T_SEQ;
const V1: Operand = T_CTL;
const V2: Operand = T_LEN;
const V3: Operand = T0;
const X: Operand = T1;
const Y: Operand = SRTT;
const Z: Operand = RTTVAR;
const U: Operand = RTO;
/// The word of the message under way.
const WORD: Operand = MSS;
/// Rounds still to come, of ten.
const ROUNDS: Operand = CWND;

/// acc = the first sequence number, M + F (RFC 6528 section 3). With gates the tuple was given to LOOKUP before it, with which F begins; `ok` and `RESULT` are lost. In the program flags B and C, T_SEQ, T_CTL, T_LEN, T0, T1 and state are lost.
pub(super) fn first_number<'a>(a: &'a mut Asm, config: &ToeConfig) -> Ins<'a> {
    if config.isn_in_program() {
        a.call("isn_hash");
        a.add(ISN)
    } else if config.isn_hash {
        a.cmd(cmd::HASH);
        a.ld(ISN);
        a.add(RESULT)
    } else {
        a.ld(ISN)
    }
}

/// acc = F of ports and address in the record.
pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    let (low, high) = (config.isn_key as u32, (config.isn_key >> 32) as u32);

    a.label("isn_hash")
        .note("HalfSipHash-2-4: the key, and the first word into v3");
    a.ld(kf(low)).st(V0);
    a.ld(kf(high)).st(V1);
    a.ld(kf(low ^ MIX_2 as u32)).st(V2);
    a.ld(kf(high ^ MIX_3 as u32));
    a.xor(SEG_PORTS).st(V3);
    a.ld(SEG_PORTS);
    a.st(WORD);
    a.ldi(10).st(ROUNDS);
    round(a);
    a.note("two rounds a word").ldi(1).and(ROUNDS).not_zero(B);
    a.when(B).br(".round");
    a.ld(WORD).xor(V0).st(V0);
    a.when(C).br(".over");
    a.ldi(8).xor(ROUNDS).zero(B);
    a.ld(SEG_IP);
    a.when(B).br(".word");
    a.note("behind the message its length, 8, in the highest byte")
        .ldi(6)
        .xor(ROUNDS)
        .zero(B);
    a.shr1(kf(1 << 28));
    a.when(B).br(".word");
    a.note("four rounds to end").ldi(4).xor(ROUNDS).zero(B);
    a.ldi(0xFF).xor(V2);
    a.when(B).st(V2);
    a.ldi(0);
    a.label(".word");
    a.st(WORD);
    a.xor(V3).st(V3);
    a.br(".round");
    a.label(".over");
    a.ld(V1).xor(V3);
    a.ret();
}

/// A round, its rotations in the order that needs no waiting for what was stored. Flag C: it was the last.
fn round(a: &mut Asm) {
    a.label(".round")
        .note("v1 rotated by 5 (x, y) and v3 by 8 (u, z)");
    a.shl3(V1).st(X);
    a.shr16(V1).st(Y);
    a.shr16(V3).st(Z);
    a.shl1(X).st(X);
    a.shr8(Y).st(Y);
    a.shl8(V3).st(U);
    a.shl1(X).st(X);
    a.note("v0 += v1, v2 += v3");
    a.ld(V0).add(V1).st(V0);
    a.ld(V2).add(V3).st(V2);
    a.note("v1 ^= v0, v3 ^= v2");
    a.shr3(Y).or(X).xor(V0).st(V1);
    a.shr8(Z).or(U).xor(V2).st(V3);
    a.note("v0 rotated by 16; meanwhile v1 by 13 (z, y) and v3 by 7 (x, u)");
    a.shl16(V0).st(X);
    a.shr16(V1).st(Y);
    a.shl8(V1).st(Z);
    a.shr16(V0).or(X).st(V0);
    a.shr16(V3).st(U);
    a.shl3(V3).st(X);
    a.shl3(Z).st(Z);
    a.shr8(U).st(U);
    a.shl3(X).st(X);
    a.shl1(Z).st(Z);
    a.note("v2 += v1, v0 += v3");
    a.ld(V2).add(V1).st(V2);
    a.shl1(X).st(X);
    a.ld(V0).add(V3).st(V0);
    a.shl1(Z).st(Z);
    a.note("v3 ^= v0, v1 ^= v2");
    a.shr1(U).or(X).xor(V0).st(V3);
    a.shr3(Y).or(Z).xor(V2).st(V1);
    a.note("v2 rotated by 16");
    a.shl16(V2).st(X);
    a.ldi(1).rsb(ROUNDS).st(ROUNDS);
    a.acc().zero(C);
    a.shr16(V2).or(X).st(V2);
}
