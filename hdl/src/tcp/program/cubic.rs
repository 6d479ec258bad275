//! CUBIC (RFC 9438). Only where [`crate::config::ToeConfig::cubic`] is set, and on connections whose application has not chosen NewReno ([`super::host::ConnectionOption::NewReno`]).
//!
//! **In events of its own** ([`dup::DUE`]), so that no other gets longer: an ACK in congestion avoidance counts what it acknowledges, and once that is a `cwnd`, or its share of target - cwnd has added up to one, the next event
//! does the rest. What lowers `cwnd` (`halve`) just notes from what, as `ssthresh` less than nothing; the next event lowers both, NewReno's too. So whoever calls it sets [`dup::DUE`], and does not touch `cwnd` or `ssthresh`.
//!
//! **No multiplication.** W_cubic(t) = C (t - K)^3 + W_max is taken in steps of 64 ticks by its differences: three additions a step, a step an event. K is looked for the same way, as an epoch begins: down from W_max - cwnd_epoch, by as many steps
//! as it takes; the differences are then those at -K. All is in integers, W_cubic in 256ths of a byte, and exact but for C, which is rounded to MSS / 36.6 of these a step: 0.38 to 0.43 for an MSS of 536 or more.
//! So what RFC 9438 has as a curve is a stair whose steps are 64 ms wide, and no more than half a segment high with windows of 32 KiB. Beside the RFC's formulas `cwnd` is up to one and a half segments behind (`conformance::cubic`).
//!
//! | RFC 9438 | |
//! |---|---|
//! | 4.2, t | is counted while `cwnd` limits: an ACK that finds a segment's room between the flight and `cwnd` stops it ([`dup::RESTED`]), and nothing grows, slow start neither; one that does not lets it go on. A rest of an RTO stops it, too; a shorter one behind a whole window acknowledged at once is counted |
//! | 4.3, W_est | by alpha = 17/32 SMSS (0.529) for each `cwnd` acknowledged, a whole one from cwnd_prior on |
//! | 4.4, 4.5 | target - cwnd, half a `cwnd` at most, is credited by each ACK; a `cwnd` of it adds a segment. What is less than a segment is added once a `cwnd` is acknowledged. Of t + RTT the RTT is that at the epoch's begin |
//! | 4.6 | beta = 45/64 (0.7), of `cwnd` and not of the flight: nothing grows that is not used |
//! | 4.7 | (1 + beta) / 2 |
//! | 4.8 | after a timeout the plateau is where congestion avoidance begins |
//! | 4.9, 4.10 | nothing is undone; no HyStart++ |
use super::marks::*;
use super::words::*;
use super::{constant, dup, none, zero};
use crate::config::ToeConfig;
use crate::tcp::asm::{k, operands::*, Asm};
use crate::tcp::isa::cmd;

/// Ticks of a step.
const STEP: u32 = 64;
/// What of `dup_acks` an ACK of something new leaves in congestion avoidance.
pub(super) const KEPT: u32 =
    dup::GROWS | dup::EPOCH | dup::RESTED | dup::SEARCH | dup::DUE | dup::ECE;
/// What a loss ends.
const ENDS: u32 = dup::EPOCH | dup::RESTED | dup::SEARCH | dup::DUE;

/// Before anything grows. Lost: A.
pub(super) fn limits(a: &mut Asm) {
    a.note("sections 4.2 and 4.6: is cwnd what limits? Else it does not grow");
    a.ld(SND_MAX).sub(SND_UNA);
    a.add(MSS);
    a.sub(CWND).sign(A);
    a.when(A).br("unused");
}

/// Congestion avoidance, up to NewReno's.
pub(super) fn avoidance(a: &mut Asm) {
    a.ldi(dup::EPOCH).and(DUP_ACKS).zero(A);
    a.when(A).br("no_epoch");
    a.label("congestion.counted")
        .note("a cwnd acknowledged, or a cwnd of credit? The next event sees to it");
    a.ld(GAIN).add(T_ACKED).st(GAIN);
    a.sub(CWND).sign(A);
    a.ld(CREDIT).add(DELTA).st(CREDIT);
    a.sub(CWND).sign(B);
    a.unless(B).clear(A);
    a.ldi(KEPT).and(DUP_ACKS).st(DUP_ACKS);
    a.ld(SEG_ACK);
    a.when(A).br("grown");
    a.label("congestion.due");
    a.ldi(dup::DUE).or(DUP_ACKS).to(DUP_ACKS);
    a.set(BUSY);
    a.ld(SEG_ACK);
    a.br("grown");
}

/// The connection has rested for an RTO.
pub(super) fn rest(a: &mut Asm) {
    a.note("RFC 9438 section 4.2").ldi(dup::EPOCH);
    a.and(DUP_ACKS).zero(A);
    a.when(A).br(".cwnd");
    a.ldi(dup::EPOCH | dup::RESTED).xor(DUP_ACKS).to(DUP_ACKS);
    a.ld(RTO).rsb(TICK_LONG).st(RESTED_AT);
    a.label("rest.cwnd");
}

/// `halve`, and `halve.flight` with the flight in T0: what cwnd is to be lowered from is noted.
pub(super) fn lower(a: &mut Asm) {
    a.ld(SND_MAX).sub(SND_UNA).st(T0);
    a.label("halve.flight")
        .note("the next event lowers cwnd: from the flight, or with CUBIC from cwnd");
    a.ld(W_MAX).sign(C);
    a.cmd(cmd::POST);
    a.ld(T0);
    a.unless(C).ld(CWND);
    a.rsb(k(0)).st(SSTHRESH);
    a.ret();
}

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    a.label("unused").note("time stands still");
    a.ldi(dup::EPOCH).and(DUP_ACKS).zero(A);
    a.ldi(KEPT).and(DUP_ACKS).st(DUP_ACKS);
    a.when(A).br(".seen");
    a.ldi(dup::EPOCH | dup::RESTED).xor(DUP_ACKS).to(DUP_ACKS);
    a.ld(TICK_LONG).st(RESTED_AT);
    a.br(".on");
    a.label("unused.seen")
        .note("before the first loss: the question is not asked again before something is held back by cwnd (`limited`)");
    a.ldi(KEPT & !dup::GROWS).and(DUP_ACKS).st(DUP_ACKS);
    a.label("unused.on").ld(SEG_ACK);
    a.br("grown");

    a.label("limited")
        .note("text waits while something is in flight: for want of cwnd? Then that may grow");
    a.ld(SND_NXT).sub(SND_UNA).add(T_LEN);
    a.rsb(CWND).not_sign(A);
    a.when(A).br("acknowledge");
    a.ldi(dup::GROWS).or(DUP_ACKS).to(DUP_ACKS);
    a.br("acknowledge");

    a.label("no_epoch").note("NewReno?");
    a.ld(W_MAX).sign(A);
    a.when(A).br("congestion.reno");
    a.ldi(dup::RESTED).and(DUP_ACKS).zero(A);
    a.when(A).br("congestion.due");
    a.note("time goes on");
    a.ldi(dup::EPOCH | dup::RESTED).xor(DUP_ACKS).to(DUP_ACKS);
    a.ld(TICK_LONG).sub(RESTED_AT).add(CUBIC_AT).st(CUBIC_AT);
    a.br("congestion.counted");

    a.label("cubic");
    a.ld(SSTHRESH).sign(A);
    a.when(A).br("reduce");
    a.ldi(dup::EPOCH).and(DUP_ACKS).not_zero(A);
    a.when(A).br(".advance");
    a.ldi(dup::SEARCH).and(DUP_ACKS).not_zero(A);
    a.when(A).br(".search");
    a.note("nothing to begin, as after the second timeout, or with NewReno?");
    a.ld(W_MAX).sign(A);
    a.ld(CWND).sub(SSTHRESH).or_sign(A);
    a.when(A).br(".none");
    epoch(a);
    search(a);
    advance(a);
    target(a, config);
    reduce(a);

    a.label("new_reno").note("the option");
    none(a, T2);
    a.ld(T0).zero(A);
    a.ld(T2);
    a.when(A).ld(k(0));
    a.st(W_MAX);
    a.ldi(0xFFF & !ENDS | dup::DUE).and(DUP_ACKS).to(DUP_ACKS);
    a.done();
}

/// An epoch begins.
fn epoch(a: &mut Asm) {
    a.note("section 4.2: congestion avoidance begins. C, in 256ths of a byte and steps, is 7/256 MSS; the differences of -C n^3 at 0");
    a.shl3(MSS).sub(MSS).st(T0);
    a.shr8(T0).st(T1);
    a.ldi(1).or(T1).st(T1);
    a.rsb(k(0)).st(CUBIC_1);
    a.shl1(T1).add(T1).st(T0);
    a.shl1(T0).rsb(k(0)).st(CUBIC_2);
    a.st(CUBIC_3);
    a.note("W_max - cwnd_epoch, at least 0");
    a.ld(W_MAX).sub(CWND).sign(A);
    a.sub(CWND);
    a.when(A).ld(k(0));
    a.st(T0);
    a.shl8(T0).st(W_CUBIC);
    a.note("section 4.3: W_est begins with cwnd_epoch");
    a.ld(k(0)).st(GAIN);
    a.st(CREDIT);
    a.st(DELTA);
    a.ld(CWND).st(W_EST);
    a.note("t + RTT");
    a.shr3(SRTT).rsb(TICK_LONG).st(CUBIC_AT);
    a.ldi(dup::SEARCH).or(DUP_ACKS).to(DUP_ACKS);
    a.label("cubic.over").set(BUSY);
    a.br("busy");
    a.label("cubic.none");
    a.ldi(0xFFF & !dup::DUE).and(DUP_ACKS).to(DUP_ACKS);
    a.br(".over");
}

/// The number of steps up to K.
fn search(a: &mut Asm) {
    a.label("cubic.search")
        .note("K is reached once nothing is left of the difference");
    a.call(".step");
    a.acc().sign(A);
    a.unless(A).br(".over");
    a.note("the differences of C (t - K)^3 at 0, from those of -C n^3 at K");
    a.ld(CUBIC_2).sub(CUBIC_1).sub(CUBIC_3).st(CUBIC_1);
    a.ld(CUBIC_2).sub(CUBIC_3).sub(CUBIC_3).st(CUBIC_2);
    a.ld(k(0)).sub(CUBIC_3).st(CUBIC_3);
    a.shl8(CWND).add(W_CUBIC);
    a.acc().sign(A);
    a.when(A).ld(k(0));
    a.st(W_CUBIC);
    a.ldi(dup::SEARCH | dup::EPOCH).xor(DUP_ACKS).to(DUP_ACKS);
    a.br(".over");

    a.label("cubic.step").note("acc = what is left");
    a.ld(W_CUBIC).add(CUBIC_1).st(W_CUBIC);
    a.ld(CUBIC_1).add(CUBIC_2).st(CUBIC_1);
    a.ld(CUBIC_2).add(CUBIC_3).st(CUBIC_2);
    a.ld(W_CUBIC);
    a.ret();
}

/// W_cubic as of now, W_est as of what is acknowledged.
fn advance(a: &mut Asm) {
    a.label("cubic.advance")
        .note("has a step's time gone by? Beyond 64 KiB there is nothing to go for");
    a.shr8(W_CUBIC).st(T2);
    a.sub(k(constant::BIT_16)).not_sign(A);
    a.ld(TICK_LONG).sub(CUBIC_AT).st(T1);
    a.ldi(STEP).rsb(T1).or_sign(A);
    a.when(A).br(".now");
    a.call(".step");
    a.ldi(STEP).add(CUBIC_AT).st(CUBIC_AT);
    a.br(".over");
    a.label("cubic.now")
        .note("section 4.3: W_est by alpha for a cwnd acknowledged, if there is one (not C)");
    a.ld(GAIN).sub(CWND).sign(C);
    a.when(C).br(".region");
    a.sub(CWND).to(GAIN);
    a.shl3(MSS).st(T1);
    a.ld(W_EST).sub(CWND_PRIOR).sign(A);
    a.shr8(T1).st(T1);
    a.shr1(MSS).add(T1);
    a.unless(A).ld(MSS);
    a.add(W_EST).st(W_EST);
}

/// What cwnd becomes, and where it goes from there.
fn target(a: &mut Asm, config: &ToeConfig) {
    a.label("cubic.region")
        .note("section 4.3: W_cubic < W_est, the Reno-friendly region?");
    a.ld(T2);
    a.sub(W_EST).not_sign(A);
    a.ld(W_EST);
    a.sub(CWND).or_sign(A);
    a.unless(A).st(CWND);
    a.note(
        "sections 4.4, 4.5: target - cwnd; less than a segment is added for a cwnd acknowledged",
    );
    a.ld(T2).sub(CWND).sign(A);
    a.sub(CWND);
    a.when(A).ld(k(0));
    a.st(T0);
    a.sub(MSS).sign(A);
    a.unless(A).br(".whole");
    a.ld(CWND).add(T0);
    a.unless(C).st(CWND);
    a.ld(k(0)).st(CREDIT);
    a.br(".delta");
    a.label("cubic.whole")
        .note("a segment for a cwnd of credit");
    a.ld(CREDIT);
    a.sub(CWND).sign(A);
    a.when(A).br(".bounded");
    a.sub(CWND).st(CREDIT);
    a.ld(CWND).add(MSS).to(CWND);
    a.note("and the rest anew").br(".over");
    a.label("cubic.bounded").note("target is 1.5 cwnd at most");
    a.shr1(CWND).st(T1);
    a.rsb(T0).not_sign(A);
    a.ld(T0);
    a.when(A).ld(T1);
    a.label("cubic.delta").st(DELTA);
    a.note("a window as large as the ring limits nothing");
    a.li(config.tx_ring_bytes as u32).rsb(CWND).sign(A);
    a.ldi(dup::DUE).xor(DUP_ACKS);
    a.unless(A).ld(k(0));
    a.st(DUP_ACKS);
    a.br(".over");
}

/// ssthresh and cwnd after a loss.
fn reduce(a: &mut Asm) {
    a.label("reduce");
    a.ld(SSTHRESH).rsb(k(0)).st(T0);
    a.ldi(0xFFF & !ENDS).and(DUP_ACKS).to(DUP_ACKS);
    zero(a, GAIN);
    a.shl1(MSS).st(T2);
    a.ld(W_MAX).sign(B);
    a.note("NewReno: RFC 5681 section 3.1, (4), half of it");
    a.shr1(T0).st(T1);
    a.when(B).br(".to");
    a.note("section 4.6: beta of it, 1/2 + 1/8 + 1/16 + 1/64");
    a.shr3(T0).st(T_CTL);
    a.ld(T0).st(CWND_PRIOR);
    a.shr1(T_CTL).add(T1).st(T1);
    a.shr3(T_CTL).add(T_CTL).add(T1).st(T1);
    a.note("section 4.7: W_max, or (1 + beta) / 2 of it if it has not been reached; 4.8: none after a timeout");
    a.ld(T0);
    a.sub(W_MAX).sign(B);
    a.add(T1).st(T_CTL);
    a.ld(TRIES).not_zero(A);
    a.shr1(T_CTL);
    a.unless(B).ld(T0);
    a.when(A).ld(k(0));
    a.st(W_MAX);
    a.label("reduce.to").note("two segments at least");
    a.ld(T1).sub(T2).sign(A);
    a.when(A).ld(T2);
    a.st(SSTHRESH);
    a.st(T1);
    a.note("in NewReno's recovery three more (RFC 5681 section 3.2, step 3)");
    a.ldi(dup::RECOVERY).and(DUP_ACKS).zero(A);
    a.ldi(dup::SCORE).and(DUP_ACKS).or_not_zero(A);
    a.ld(T2).add(MSS).add(T1);
    a.unless(A).st(CWND);
    a.ld(T1).sub(CWND).sign(B);
    a.unless(A).clear(B);
    a.when(B).st(CWND);
    a.br("cubic.over");
}
