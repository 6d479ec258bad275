//! Selective acknowledgements: the scoreboard (RFC 6675) and our own blocks (RFC 2018, RFC 2883). Only where [`crate::config::ToeConfig::sack`] is set.
//!
//! The send ring keeps the score, a mark for each segment: sacked, lost, sent again. A segment is lost once three above it are sacked; a timeout makes all lost and forgets
//! what was sacked (RFC 2018 section 8). While there is anything to make good ([`dup::SCORE`]) every event that may send asks the ring how much is in the network and what is the
//! first that is lost: it goes if `cwnd` has room for it, else new text goes. `snd_nxt` never goes back.
//!
//! **What went again and is lost once more** is known by what was sent after it: once three segments of that are sacked, or all of it, the head goes again, in place of its copy, and `cwnd` is halved once more. One hole a round trip,
//! the lowest: RACK (RFC 8985) finds all at once, by a time for each segment. Where nothing can be sent after it, for want of text, window or ring, the probe's timer finds it ([`super::probe`]), once for each ACK of something new that is a measurement, as with timestamps all are; then the RTO does.
//!
//! As recovery begins the head goes at once, whatever is in the pipe (RFC 6675 section 5, (4.3)).
//!
//! Without [`crate::config::ToeConfig::scoreboard`] only our own blocks are here: the peer is told what is held, and what he tells is stepped over.
use super::marks::*;
use super::probe::{no_probe, probe_anew};
use super::words::*;
use super::{constant, dup, flags, none, state, timer};
use crate::config::ToeConfig;
use crate::tcp::asm::{flags::*, k, kf, operands::*, Asm, Operand};
use crate::tcp::isa::{cmd, out, seg, PIPE_ALL};

/// RFC 6675 section 2, DupThresh.
const DUP_THRESH: u8 = 3;
/// A SACK option of no blocks behind two no-operations (RFC 2018 section 3, as Linux aligns it), and what each block adds.
pub(super) const OPTION: u32 = 0x0101_0502;
pub(super) const BLOCK: u32 = 8;

/// A block's edges in the record.
const fn edges(block: u8) -> (Operand, Operand) {
    const NAMES: [(&str, &str); 3] = [
        ("sack0_left", "sack0_right"),
        ("sack1_left", "sack1_right"),
        ("sack2_left", "sack2_right"),
    ];
    let names = NAMES[block as usize];
    let first = seg::EDGES - 16 + 2 * block;
    (
        Operand::far_record(first, names.0),
        Operand::far_record(first + 1, names.1),
    )
}

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    if config.scoreboard() {
        blocks_in(a, config);
        output(a, config);
    }
    blocks_out(a, config);
}

/// What is sent again is not timed (RFC 6298 section 3), unless there are timestamps.
fn untimed(a: &mut Asm, config: &ToeConfig) {
    if config.timestamps {
        a.ld(FLAGS).sign(A);
        a.ldi(1).rsb(k(0));
        a.unless(A).st(TIMED_AT);
    } else {
        none(a, TIMED_AT);
    }
}

/// What an ACK's blocks say.
fn blocks_in(a: &mut Asm, config: &ToeConfig) {
    super::urgent::check(a, config);
    a.label("sack_in");
    if config.ecn {
        a.when(LIMITED).br("ecn_in");
        a.label("sack_in.seen");
    }
    a.note("are there blocks, and were they agreed on?");
    a.ld(kf(1 << 27)).rsb(SEG_MSSOPT).sign(A);
    a.ldi(flags::SACK).and(FLAGS).or_zero(A);
    a.clear(AGAIN);
    a.when(A).br("sack_seen");
    a.note("nor are they heard beside an ACK that is refused");
    super::acknowledge::refused(a);
    a.when(A).br("sack_seen");
    a.clear(B);
    for block in 0..3 {
        let (left, right) = edges(block);
        if block > 0 {
            a.ld(kf((u32::from(block) + 1) << 27))
                .rsb(SEG_MSSOPT)
                .sign(A);
            a.when(A).br(".marked");
        }
        a.ld(left).st(T0);
        a.ld(right).st(T1);
        a.call(".block");
    }
    a.label("sack_in.marked");
    a.unless(B).br("sack_seen");
    a.note("RFC 6675 section 5: something new is sacked. Is anything lost by it?")
        .call("pipe");
    a.clear(C);
    a.when(OK).set(C);
    a.ldi(dup::SCORE).and(DUP_ACKS).zero(A);
    a.unless(A).br(".scored");
    a.note("no: RFC 3042, new text may go beyond cwnd")
        .unless(C)
        .set(LIMITED);
    a.unless(C).br("sack_seen");
    a.note("an ACK that comes late stands below the head")
        .ld(SEG_ACK);
    a.sub(SND_UNA).sign(A);
    a.when(A).ld(SND_UNA);
    a.call("recovery");
    a.br("sack_seen");

    a.label("recovery")
        .note("yes: RecoveryPoint = HighData, cwnd = ssthresh = FlightSize / 2; the head (acc) goes whatever is in the pipe (RFC 6675 section 5, (4.3))");
    a.st(LOST_AGAIN);
    a.call("halve_flight");
    a.ldi(1).add(SND_MAX).to(RECOVER);
    untimed(a, config);
    if config.ecn {
        super::ecn::reduced(a);
    }
    a.timer_set(timer::RETRANSMIT, PTO);
    a.ldi(dup::SCORE | dup::RECOVERY | dup::GROWS | dup::lowers(config))
        .st(DUP_ACKS);
    if !config.cubic {
        a.ld(SSTHRESH).to(CWND);
    }
    a.cmd(cmd::POST);
    a.ret();

    a.label("sack_in.block")
        .note("SND.UNA, SEG.ACK =< left < right =< SND.NXT: what is older tells of a segment that came twice");
    a.rsb(SND_MAX).sign(A);
    a.ld(T0).sub(SND_UNA).or_sign(A);
    a.sub(SEG_ACK).or_sign(A);
    a.ldi(1).add(T0).rsb(T1).or_sign(A);
    a.when(A).call("void_block");
    a.ld(T1);
    a.unless(A).cmd_a(cmd::TX_SACK, T0);
    a.unless(OK).set(A);
    a.unless(A).set(B);
    a.ret();

    a.label("sack_in.scored")
        .note("in recovery: the next event looks what there is room for")
        .cmd(cmd::POST);
    a.note("is the head lost that went again? Not while there is something else to go again");
    a.when(C).br("sack_seen");
    a.note("what is sacked, the latest stands in the first block, is all that was sent since (b), or three segments of it (RFC 6675 section 4, IsLost)");
    a.ld(edges(0).1).xor(SND_MAX).zero(B);
    a.ld(edges(0).1).sub(RESENT);
    a.sub(k(0)).sign(A).or_zero(A);
    a.when(A).clear(B);
    a.sub(MSS);
    a.sub(MSS).sign(A).or_zero(A);
    a.when(B).clear(A);
    a.when(A).br("sack_seen");
    a.call("lost_again");
    a.br("sack_seen");

    a.label("lost_again").note(
        "RFC 5681 section 4.3: the loss of what was sent again lowers cwnd and ssthresh once more",
    );
    a.ld(SND_UNA).st(LOST_AGAIN);
    if config.ecn {
        super::ecn::reduced(a);
    }
    a.ld(SND_MAX).st(RESENT);
    if config.cubic {
        a.note("if it is still to be lowered for the last loss, both are one")
            .ld(SSTHRESH);
        a.acc().sign(A);
        a.unless(A).rsb(k(0)).to(SSTHRESH);
        a.ldi(dup::DUE).or(DUP_ACKS).to(DUP_ACKS);
    } else {
        a.shl1(MSS).st(T1);
        a.shr1(SSTHRESH).sub(T1).sign(A);
        a.when(A).ld(T1);
        a.st(SSTHRESH);
        a.st(CWND);
    }
    a.ret();

    a.label("scored")
        .note("something new is acknowledged while the scoreboard rules: what there is to send comes with the next event");
    a.ldi(dup::SCORE).and(DUP_ACKS).zero(A);
    a.when(A).br("probed");
    a.set(BUSY);
    a.note(
        "after a timeout, not in recovery: slow start up to ssthresh, by the last ACK of that, too",
    );
    a.ld(CWND).sub(SSTHRESH).sign(B);
    a.ldi(dup::RECOVERY).and(DUP_ACKS).not_zero(A);
    a.when(A).clear(B);
    a.ld(T_ACKED).sub(MSS).sign(A);
    a.unless(A).ld(MSS);
    a.add(CWND);
    a.when(B).st(CWND);
    a.ldi(1).add(SEG_ACK).sub(RECOVER).sign(A);
    a.unless(A).br(".over");
    a.note("what goes again next may be probed for");
    probe_anew(a);
    a.ld(SEG_ACK);
    a.br("grown");
    a.label("scored.over")
        .note("all that was outstanding when it began is acknowledged");
    if config.cubic {
        a.ldi(dup::GROWS | dup::DUE).and(DUP_ACKS).st(DUP_ACKS);
    } else {
        a.ldi(dup::GROWS).st(DUP_ACKS);
    }
    a.note("and the timer, which is set before this ACK's measurement is known, runs for PTO again: 2 SRTT, 4 RTTVAR and a little, at most RTO; if they are known")
        .shr3(SRTT)
        .st(T0);
    probe_anew(a);
    a.ldi(flags::SAMPLED).and(FLAGS).zero(B);
    a.ldi(constant::PTO_MARGIN).add(T0).add(T0).add(RTTVAR);
    a.rsb(RTO).or_sign(B);
    a.unless(B).st(PTO);
    a.ld(SEG_ACK);
    a.br("grown");

    a.label("all_lost")
        .note("a timeout: RFC 2018 section 8, RFC 6675 section 5.1");
    a.ld(TX_INDEX);
    a.cmd_imm(cmd::TX_PIPE, 0);
    none(a, TIMED_AT);
    if config.timestamps {
        a.note("RFC 7323 section 4: with timestamps the next ACK of something new is a measurement, and RTO right again");
        a.ld(FLAGS).sign(A);
        a.when(A).ld(TICK).to(TIMED_AT);
        a.ldi(1).add(SND_UNA);
        a.when(A).st(TIMED_SEQ);
    }
    a.ldi(1).add(SND_MAX).to(RECOVER);
    no_probe(a);
    a.ldi(dup::SCORE | dup::GROWS | dup::lowers(config))
        .st(DUP_ACKS);
    a.set(FORCE);
    a.set(AGAIN);
    a.set(BUSY);
    a.br("output");
}

/// Every event's end while the scoreboard rules.
fn output(a: &mut Asm, config: &ToeConfig) {
    a.label("pipe")
        .note("TX_PIPE with the segments sent. RFC 5827: of two or three on their way no three can be sacked; then all but one will do. After a probe one will");
    a.ldi(dup::PROBED | dup::PROBED_NEW)
        .and(DUP_ACKS)
        .not_zero(A);
    a.ldi(2).xor(TX_INDEX).or_zero(A);
    a.ldi(3).xor(TX_INDEX).zero(B);
    a.ld(TX_INDEX);
    a.when(A).cmd_imm(cmd::TX_PIPE, 1);
    a.when(A).ret();
    a.when(B).cmd_imm(cmd::TX_PIPE, 2);
    a.when(B).ret();
    a.cmd_imm(cmd::TX_PIPE, DUP_THRESH);
    a.ret();

    a.label("again");
    a.ldi(dup::SCORE).and(DUP_ACKS).zero(A);
    a.when(A).br("head_again");
    a.ld(LOST_AGAIN).xor(SND_UNA).zero(A);
    a.when(A).br(".head");
    a.note("RFC 6675 section 5, (C): cwnd - pipe >= 1 SMSS")
        .call("pipe");
    a.ld(CWND).sub(RESULT);
    a.sub(MSS).sign(A);
    a.ld(TRIES).or_not_zero(A);
    a.when(FORCE).clear(A);
    a.when(A).br("acknowledge");
    a.when(OK).br(".lost");
    a.note("nothing is lost: new text (NextSeg, rule 2), whatever the flight; by force, the FIN");
    a.when(FORCE).br("head_again");
    a.set(LIMITED);
    a.cmd_a(cmd::TX_PEEK, TX_INDEX);
    a.when(OK).br("output_now");
    a.note("neither is there new text. What went again has come (SND.UNA moved on, no sooner than half a round trip after it), and nothing new was sent since: all that was sent before it is lost (RFC 8985 section 6.2, step 5)");
    a.shr3(SRTT).st(T1);
    a.ld(RESENT).xor(SND_MAX).not_zero(A);
    a.ld(RESENT_UNA).xor(SND_UNA).or_zero(A);
    a.shr1(T1).st(T1);
    a.ld(TICK_LONG).sub(RESENT_AT).sub(T1).or_sign(A);
    a.ld(TX_INDEX);
    a.unless(A).cmd_imm(cmd::TX_PIPE, PIPE_ALL);
    a.note("else what lies below something sacked (NextSeg, rule 3)")
        .when(A)
        .cmd_imm(cmd::TX_PIPE, 1);
    a.unless(OK).br("output_now");
    a.label("again.lost")
        .note("NextSeg, rule 1: the first that is lost and was not sent again");
    a.shr16(RESULT2).st(T0);
    a.ldi(0x1F).and(RESULT2).st(T1);
    a.label("again.marked");
    a.ld(SND_MAX).st(RESENT);
    a.ld(SND_UNA).st(RESENT_UNA);
    a.ld(TICK_LONG).st(RESENT_AT);
    a.cmd_a(cmd::TX_FREE, SND_UNA);
    untimed(a, config);
    a.ld(RESULT2).add(T0).to(T_SEQ);
    a.cmd_a(cmd::TX_MARK, T1);
    a.note("the timer begins anew, so that it is not the next that it sends");
    a.timer_set(timer::RETRANSMIT, PTO);
    a.cmd_a(cmd::TX_PEEK, T1);
    a.br("peeked_again");
    a.label("again.head")
        .note("lost once more: the pipe counts it already");
    a.ldi(1).rsb(SND_UNA);
    a.st(LOST_AGAIN);
    a.ld(k(0)).st(T0);
    a.st(T1);
    a.br(".marked");
}

/// An ACK that tells what is held ahead of a gap.
fn blocks_out(a: &mut Asm, config: &ToeConfig) {
    let block = |a: &mut Asm, n: u8| {
        a.call("edges");
        a.out(out::OPTION + 1 + 2 * n, T0);
        a.out(out::OPTION + 2 + 2 * n, T1);
    };
    a.label("sack_ack");
    if config.scoreboard() {
        a.note("a probe of a shut window was sent beyond it: an ACK there would be as unacceptable to the peer (RFC 9293 section 3.10.7.4), and so stands at the window's edge");
        a.ld(SND_UNA).add(SND_WND).st(T_SEQ);
        a.sub(SND_MAX).sign(A);
        a.when(A).br("shut_ack");
    }
    if config.timestamps {
        a.ld(FLAGS).sign(A);
        a.when(A).br("stamped_ack");
    }
    a.ldi(flags::SACK).and(FLAGS).zero(A);
    a.when(A).br("send_plain_ack");
    a.when(DUPLICATE).br(".duplicate");
    a.cmd_imm(cmd::RX_SACK, 0);
    a.unless(OK).br("send_plain_ack");
    block(a, 0);
    a.cmd_imm(cmd::RX_SACK, 1);
    a.label("sack_ack.second");
    a.unless(OK).br(".one");
    block(a, 1);
    a.when(DUPLICATE).cmd_imm(cmd::RX_SACK, 1);
    a.unless(DUPLICATE).cmd_imm(cmd::RX_SACK, 2);
    a.unless(OK).br(".two");
    block(a, 2);
    a.ldi(3 * BLOCK).st(T0);
    a.ld(kf(1 << 28));
    a.add(kf(3 << 27));
    a.add(kf(3 << 27));
    a.br(".words");
    a.label("sack_ack.two");
    a.ldi(2 * BLOCK).st(T0);
    a.ld(kf(1 << 28));
    a.add(kf(1 << 28));
    a.br(".words");
    a.label("sack_ack.one");
    a.ldi(BLOCK).st(T0);
    a.ld(k(0));
    a.label("sack_ack.words").note(
        "acc, and three more words of options: the edges of a block and what stands before it",
    );
    a.add(kf(3 << 27));
    a.add(kf(3 << 27));
    a.add(k(constant::CTL_ACK)).st(T_CTL);
    a.ld(T0);
    a.add(kf(OPTION)).st(T0);
    a.ld(RCV_ADV).sub(RCV_NXT);
    a.out(out::OPTION, T0);
    a.or(T_CTL).to(T_CTL);
    a.br("send_ack_headers");
    a.label("sack_ack.duplicate")
        .note("RFC 2883 section 4: first what came twice, then what is held");
    a.ld(SEG_SEQ).st(T0);
    a.add(SEG_LEN).st(T1);
    a.out(out::OPTION + 1, T0);
    a.out(out::OPTION + 2, T1);
    a.cmd_imm(cmd::RX_SACK, 0);
    a.br(".second");

    a.label("edges").note("of the interval that RX_SACK told");
    a.ld(RESULT).add(RCV_NXT).st(T0);
    a.ld(RESULT2).add(RCV_NXT).st(T1);
    a.ret();

    if config.scoreboard() {
        shut_ack(a, config);
    }
}

/// An ACK while the peer's window is shut and a probe was sent beyond it.
fn shut_ack(a: &mut Asm, config: &ToeConfig) {
    a.label("shut_ack")
        .note("nor does one in SYN-RECEIVED stand ahead of our SYN")
        .ldi(state::ESTABLISHED)
        .rsb(STATE)
        .sign(A);
    a.when(A).ld(SND_MAX).st(T_SEQ);
    a.ld(RCV_ADV).sub(RCV_NXT);
    a.or(k(constant::CTL_ACK)).to(T_CTL);
    if config.timestamps {
        a.ld(FLAGS).sign(A);
        a.when(A).br("shut_stamped");
    }
    a.label("shut_headers");
    super::transmit::addresses(a, config);
    a.out(out::SEQ, T_SEQ);
    a.br("send_ack_rest");
    if config.timestamps {
        a.label("shut_stamped");
        super::stamps::three_more_words(a);
        a.call("stamp");
        a.br("shut_headers");
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::constant::PTO_MARGIN;
    use super::super::script::*;
    use super::super::words::*;
    use crate::config::ToeConfig;
    use crate::counters::Cause;

    /// A connection of two ends that do SACK; the peer's MSS is 1000, its window 60,000.
    fn both() -> Script {
        Script::new_reno(wide(true), syn())
    }

    fn wide(cubic: bool) -> ToeConfig {
        ToeConfig {
            tx_ring_bytes: 32768,
            cubic,
            ..config()
        }
    }

    fn syn() -> Seg {
        seg(SYN, 0, 0).mss(1000).wnd(60_000).sack_permitted()
    }

    /// So many segments of 1,000 bytes are on their way, and no more text; with CUBIC, or where it is not built.
    fn of(segments: u32, cubic: bool) -> Script {
        let mut s = Script::established_with(wide(cubic), syn());
        s.write(&vec![7; segments as usize * 1000]);
        let at: Vec<u32> = (0..segments).map(|n| 1 + n * 1000).collect();
        leave(&mut s, &at);
        s
    }

    fn ack(n: u32) -> Seg {
        seg(ACK, 1, n).wnd(60_000)
    }

    /// Ten segments of 1,000 bytes are on their way.
    fn ten() -> Script {
        let mut s = both();
        s.toe.host_write(0, &[7; 32768]);
        s.settle();
        leave(
            &mut s,
            &[1, 1001, 2001, 3001, 4001, 5001, 6001, 7001, 8001, 9001],
        );
        s
    }

    /// Segments of 1,000 bytes that begin here, and no more.
    #[track_caller]
    fn leave(s: &mut Script, at: &[u32]) {
        for seq in at {
            s.expect(ACK, *seq, 1, 1000);
        }
        s.silence();
    }

    // ---- the handshake --------------------------------------------------------------------------

    #[test]
    pub(in super::super) fn sack_is_permitted_to_a_peer_that_permits_it() {
        for permits in [false, true] {
            let mut s = Script::new();
            let mut syn = seg(SYN, 0, 0).mss(1000);
            syn.sack_permitted = permits;
            s.inject(syn);
            for _ in 0..2 {
                let syn_ack = s.expect(SYN | ACK, 0, 1, 0);
                assert_eq!((syn_ack.sack_permitted, syn_ack.mss), (permits, Some(1460)));
                s.silence().ticks(super::super::constant::RTO_INITIAL);
            }
        }
    }

    #[test]
    pub(in super::super) fn our_syn_permits_sack_and_the_answer_decides() {
        for permits in [false, true] {
            let mut s = Script::connecting();
            s.ticks(super::super::constant::RTO_INITIAL);
            let syn = s.expect(SYN, 0, 0, 0);
            assert!(syn.sack_permitted);
            let mut answer = seg(SYN | ACK, 0, 1);
            answer.ports = (syn.ports.1, syn.ports.0);
            answer.sack_permitted = permits;
            let ports = answer.ports;
            s.inject(answer);
            s.expect(ACK, 1, 1, 0);
            let mut text = seg(ACK, 2, 1).data(b"b");
            text.ports = ports;
            s.inject(text);
            let told = s.expect(ACK, 1, 1, 0).sack;
            assert_eq!(told.is_empty(), !permits);
        }
    }

    // ---- our blocks -----------------------------------------------------------------------------

    #[test]
    pub(in super::super) fn the_first_block_is_the_latest_and_three_are_told_at_most() {
        let mut s = both();
        for (seq, blocks) in [
            (3, vec![(3, 4)]),
            (7, vec![(7, 8), (3, 4)]),
            (5, vec![(5, 6), (7, 8), (3, 4)]),
            // Touches the oldest, which becomes the latest.
            (4, vec![(3, 6), (7, 8)]),
            (9, vec![(9, 10), (3, 6), (7, 8)]),
            (11, vec![(11, 12), (9, 10), (3, 6)]),
        ] {
            s.inject(ack(1).data(b"x").at(seq));
            assert_eq!(s.expect(ACK, 1, 1, 0).sack, blocks, "{seq}");
        }
        // What fills the first gap but not all: at once, with blocks.
        s.inject(ack(1).data(b"x").at(1));
        assert_eq!(s.expect(ACK, 1, 2, 0).sack.len(), 3);
        for (seq, next, blocks) in [(2, 6, 3), (6, 8, 2), (8, 10, 1), (10, 12, 0)] {
            s.inject(ack(1).data(b"x").at(seq));
            assert_eq!(s.expect(ACK, 1, next, 0).sack.len(), blocks, "{seq}");
        }
        assert_eq!(s.read(), b"xxxxxxxxxxx");
    }

    #[test]
    pub(in super::super) fn what_comes_twice_is_told_first() {
        let mut s = both();
        s.inject(ack(1).data(b"abcd"));
        s.expect(ACK, 1, 5, 0);
        s.inject(ack(1).data(b"gh").at(7));
        assert_eq!(s.expect(ACK, 1, 5, 0).sack, [(7, 9)]);
        s.inject(ack(1).data(b"bc").at(2));
        assert_eq!(s.expect(ACK, 1, 5, 0).sack, [(2, 4), (7, 9)]);
        s.inject(ack(1).data(b"ef").at(5));
        s.expect(ACK, 1, 9, 0);
        s.inject(ack(1).data(b"bc").at(2));
        assert_eq!(s.expect(ACK, 1, 9, 0).sack, [(2, 4)]);
        // Nothing of the kind without text, or beyond the window.
        s.inject(ack(1).at(2));
        assert_eq!(s.expect(ACK, 1, 9, 0).sack, []);
        s.inject(ack(1).data(b"x").at(9000));
        assert_eq!(s.expect(ACK, 1, 9, 0).sack, []);
    }

    /// RFC 2883 section 4, where what came twice lies above RCV.NXT: it is the first block, and what holds it the second (section 4.2.1, of which RFC 2018 makes the first where it is news).
    #[test]
    fn what_is_held_and_comes_again_is_told_first_and_then_what_holds_it() {
        let mut s = both();
        for (from, text) in [(11, &b"abcdef"[..]), (31, b"ghi"), (51, b"jkl")] {
            s.inject(ack(1).data(text).at(from));
            s.expect(ACK, 1, 1, 0);
        }
        // A piece of the oldest, the whole of another, the same again, what begins in one and goes on.
        s.inject(ack(1).data(b"bcd").at(12));
        let out = s.expect(ACK, 1, 1, 0);
        assert_eq!(
            (out.sack, out.wnd),
            (vec![(12, 15), (11, 17), (51, 54)], 8192)
        );
        for _ in 0..2 {
            s.inject(ack(1).data(b"ghi").at(31));
            let out = s.expect(ACK, 1, 1, 0);
            assert_eq!(out.sack, [(31, 34), (31, 34), (11, 17)]);
        }
        s.inject(ack(1).data(b"klm").at(52));
        assert_eq!(
            s.expect(ACK, 1, 1, 0).sack,
            [(51, 55), (31, 34), (11, 17)],
            "not all of it was there"
        );
        // Nothing new: held no longer once it is in order, and then below RCV.NXT.
        s.inject(ack(1).data(b"0123456789").at(1));
        assert_eq!(s.expect(ACK, 1, 17, 0).sack, [(51, 55), (31, 34)]);
        s.inject(ack(1).data(b"bcd").at(12));
        assert_eq!(s.expect(ACK, 1, 17, 0).sack, [(12, 15), (51, 55), (31, 34)]);
        assert_eq!(s.read(), b"0123456789abcdef");
        // What came right behind what it repeats, before that was dealt with.
        s.arrive(ack(1).data(b"xyz").at(71));
        s.inject(ack(1).data(b"yz").at(72));
        assert_eq!(s.expect(ACK, 1, 17, 0).sack[0], (71, 74));
        assert_eq!(s.expect(ACK, 1, 17, 0).sack[..2], [(72, 74), (71, 74)]);
        // And what was held as it came, but is in order as its turn comes.
        s.arrive(ack(1).data(&[1; 14]).at(17));
        s.inject(ack(1).data(b"gh").at(31));
        s.expect(ACK, 1, 34, 0);
        assert_eq!(s.expect(ACK, 1, 34, 0).sack[0], (31, 33));
    }

    /// With three blocks to tell of, in the cycles of the event that tells.
    #[test]
    fn what_telling_of_it_costs() {
        let mut s = both();
        let mut cost = |from: u32, bound: u64| {
            s.arrive(ack(1).data(b"abc").at(from));
            s.toe.step().expect("no fault");
            let cycles = s.toe.cost.cycles;
            println!("{from}: {cycles} cycles of {bound}");
            assert!(cycles <= bound, "{from}: {cycles}");
            s.settle();
            s.next().expect("an ACK").sack
        };
        cost(11, 240);
        cost(31, 240);
        assert_eq!(cost(51, 240).len(), 3);
        assert_eq!(cost(31, 240), [(31, 34), (31, 34), (51, 54)]);
    }

    /// Data bears no blocks: where there is some to send, too, the ACK goes first, alone.
    #[test]
    fn a_gap_is_told_of_alone_where_there_is_data_to_send() {
        let mut s = ten();
        s.inject(ack(1001).data(b"x").at(2));
        assert_eq!(s.expect(ACK, 10_001, 1, 0).sack, [(2, 3)]);
        leave(&mut s, &[10_001, 11_001]);
    }

    /// RFC 3042: and what its own blocks let out beyond cwnd follows.
    #[test]
    fn new_text_for_the_first_block_leaves_behind_an_ack_that_goes_alone() {
        let mut s = ten();
        s.inject(ack(1).data(b"x").at(2).sack(&[(1001, 2001)]));
        assert_eq!(s.expect(ACK, 10_001, 1, 0).sack, [(2, 3)]);
        leave(&mut s, &[10_001]);
        // Once.
        s.inject(ack(1).data(b"y").at(4));
        assert_eq!(s.expect(ACK, 11_001, 1, 0).sack, [(4, 5), (2, 3)]);
        s.silence();
    }

    #[test]
    fn without_agreement_there_are_no_blocks_and_none_count() {
        let mut s = Script::established();
        s.inject(seg(ACK, 3, 1).data(b"x"));
        assert_eq!(s.expect(ACK, 1, 1, 0).sack, []);
        s.write(&[1; 5000]);
        leave(&mut s, &[1, 1001, 2001, 3001, 4001]);
        s.inject(seg(ACK, 1, 1).sack(&[(2001, 5001)])).silence();
        s.counted(Cause::DuplicateAck, 1)
            .counted(Cause::Retransmit, 0);
    }

    // ---- the peer's blocks ----------------------------------------------------------------------

    #[test]
    fn three_sacked_above_make_a_loss_which_goes_again_at_once_and_new_text_when_the_pipe_has_room()
    {
        let mut s = ten();
        // RFC 3042
        s.inject(ack(1).sack(&[(1001, 2001)]));
        leave(&mut s, &[10_001]);
        s.inject(ack(1).sack(&[(1001, 3001)]));
        leave(&mut s, &[11_001]);
        // RFC 6675 section 5, (4.3): the first goes whatever is in the pipe, which are 12 less 3 sacked; cwnd 5, for limited transmit has sent two of the 12.
        s.inject(ack(1).sack(&[(1001, 4001)]));
        leave(&mut s, &[1]);
        assert_eq!((s.word(SSTHRESH), s.word(CWND)), (5000, 5000));
        for right in [5001, 6001, 7001, 8001] {
            s.inject(ack(1).sack(&[(1001, right)])).silence();
        }
        s.inject(ack(1).sack(&[(1001, 9001)]));
        leave(&mut s, &[12_001]);
        s.inject(ack(12_001));
        assert_eq!((s.word(CWND), s.word(DUP_ACKS)), (5000, super::dup::GROWS));
        s.toe.host_write(0, &[7; 32768]);
        s.settle();
        leave(&mut s, &[13_001, 14_001, 15_001, 16_001]);
        s.counted(Cause::Retransmit, 1)
            .counted(Cause::RtoExpired, 0);
    }

    /// The head goes at once where the ACK that tells of the loss acknowledges something new, too, and without CUBIC, whose event would do it besides.
    #[test]
    fn the_head_is_that_behind_the_ack_that_tells_of_the_loss() {
        for (cubic, una) in [(true, 1001), (false, 1001), (false, 1)] {
            let mut s = of(10, cubic);
            // In the pipe 5 or 6, and cwnd is 5, or 7 with CUBIC.
            s.inject(ack(una).sack(&[(una + 1000, una + 4000)]));
            leave(&mut s, &[una]);
            s.counted(Cause::Retransmit, 1);
        }
    }

    #[test]
    fn all_holes_go_again_in_order_and_none_that_has_come() {
        let mut s = ten();
        s.inject(ack(1).sack(&[(9001, 10_001), (5001, 7001), (1001, 3001)]));
        // Lost are 1 and those from 3,001 up to 5,001; 7,001 and 8,001 have one above them only. cwnd 5, in the pipe 2: three go.
        leave(&mut s, &[1, 3001, 4001]);
        assert_eq!(s.word(CWND), 5000);
        // The first has come: another may leave, and nothing more is lost.
        s.inject(ack(3001).sack(&[(9001, 10_001), (5001, 7001)]));
        leave(&mut s, &[10_001]);
        s.inject(ack(7001).sack(&[(9001, 10_001)]));
        leave(&mut s, &[11_001, 12_001]);
        s.inject(ack(7001).sack(&[(9001, 13_001)]));
        leave(&mut s, &[7001, 8001, 13_001, 14_001]);
        s.counted(Cause::Retransmit, 5)
            .counted(Cause::RtoExpired, 0);
    }

    /// The first of six has gone again, all others are sacked, and two segments of so many bytes of new text followed.
    fn gone_again(new: usize) -> Script {
        let mut s = both();
        s.write(&[7; 6000]);
        leave(&mut s, &[1, 1001, 2001, 3001, 4001, 5001]);
        s.inject(ack(1).sack(&[(1001, 6001)]));
        leave(&mut s, &[1]);
        assert_eq!(s.word(CWND), 3000);
        s.toe.host_write(0, &vec![7; new]);
        s.settle();
        leave(&mut s, &[6001, 7001]);
        s
    }

    /// The head is probed for in vain, then the retransmission timer expires.
    fn timeout(s: &mut Script) {
        let (pto, rto) = (s.word(PTO), s.word(RTO));
        for wait in [pto, rto] {
            s.ticks(wait);
            leave(s, &[1]);
        }
        s.counted(Cause::RtoExpired, 1);
    }

    #[test]
    fn what_went_again_is_lost_once_three_sent_after_it_are_sacked() {
        let mut s = gone_again(32768);
        s.inject(ack(1).sack(&[(1001, 7001)]));
        leave(&mut s, &[8001]);
        s.inject(ack(1).sack(&[(1001, 8001)]));
        leave(&mut s, &[9001]);
        assert_eq!(s.word(CWND), 3000);
        s.inject(ack(1).sack(&[(1001, 9001)]));
        leave(&mut s, &[1]);
        // RFC 5681 section 4.3: half once more, two segments at least.
        assert_eq!((s.word(SSTHRESH), s.word(CWND)), (2000, 2000));
        // The timer runs from then on.
        let pto = s.word(PTO);
        s.ticks(pto - 1).silence();
        // What was sent before says nothing of the new copy.
        s.inject(ack(1).sack(&[(1001, 10_001)]));
        leave(&mut s, &[10_001]);
        s.inject(ack(11_001));
        assert_eq!((s.word(CWND), s.word(DUP_ACKS)), (2000, super::dup::GROWS));
        s.counted(Cause::Retransmit, 2)
            .counted(Cause::RtoExpired, 0);
    }

    #[test]
    fn or_all_that_was_sent_after_it() {
        let mut s = gone_again(2000);
        s.inject(ack(1).sack(&[(1001, 7001)])).silence();
        s.inject(ack(1).sack(&[(1001, 8001)]));
        leave(&mut s, &[1]);
        // Of the third copy nothing is known, whatever is told again.
        s.inject(ack(1).sack(&[(1001, 8001)])).silence();
        s.inject(ack(8001)).silence();
        assert_eq!((s.word(CWND), s.word(DUP_ACKS)), (2000, super::dup::GROWS));
        s.counted(Cause::Retransmit, 2)
            .counted(Cause::RtoExpired, 0);
    }

    #[test]
    fn what_was_sent_before_it_does_not_say_that_it_is_lost() {
        let mut s = ten();
        s.inject(ack(1).sack(&[(1001, 7001)]));
        leave(&mut s, &[1, 10_001]);
        // These were on their way before.
        for right in [8001, 9001, 10_001] {
            s.inject(ack(1).sack(&[(1001, right)]));
            while let Some(out) = s.next() {
                assert_ne!(out.seq, 1, "{right}");
            }
        }
        s.counted(Cause::Retransmit, 1);
    }

    /// The timer expires as an ACK tells that the copy is lost: it is lost once, and cwnd and ssthresh are lowered once more, not made what they were.
    #[test]
    fn a_copy_found_lost_twice_before_cwnd_is_lowered_lowers_it_once() {
        let mut s = of(6, true);
        let beta = |cwnd: u32| cwnd * 45 / 64;
        let first = s.word(CWND);
        s.inject(ack(1).sack(&[(1001, 6001)]));
        leave(&mut s, &[1]);
        s.write(&[7; 2000]);
        leave(&mut s, &[6001, 7001]);
        let lowered = s.word(SSTHRESH);
        assert!(lowered.abs_diff(beta(first)) <= 8, "{first} {lowered}");
        let pto = s.word(PTO);
        s.ticks(pto - 1).silence();
        // Both before the event that lowers it.
        s.arrive(ack(1).sack(&[(1001, 8001)]));
        s.toe.tick();
        s.settle();
        s.expect(ACK, 1, 1, 1000);
        let twice = s.word(SSTHRESH);
        assert!(twice.abs_diff(beta(lowered)) <= 8, "{lowered} {twice}");
        assert!(s.word(CWND) <= twice);
        s.counted(Cause::TailProbe, 1).counted(Cause::RtoExpired, 0);
    }

    /// An ACK that was overtaken tells of the loss: the head is what later ones have left.
    #[test]
    fn a_late_ack_that_tells_of_the_loss_brings_the_head() {
        for cubic in [true, false] {
            let mut s = of(10, cubic);
            s.inject(ack(2001)).silence();
            s.write(&[7; 3000]);
            leave(&mut s, &[10_001, 11_001, 12_001]);
            // In the pipe are 7 of 11, and cwnd is 5, or less than 8 with CUBIC.
            s.inject(ack(1001).sack(&[(3001, 6001)]));
            leave(&mut s, &[2001]);
            s.counted(Cause::Retransmit, 1);
        }
    }

    /// RFC 6675 section 4, NextSeg, rule 3: a second hole, above which only one segment is sacked, goes as soon as there is room and nothing else to send.
    #[test]
    fn a_hole_below_something_sacked_goes_when_there_is_no_new_text() {
        let mut s = of(8, false);
        // 1 is lost, 6,001 is not yet: cwnd 4, in the pipe 6,001 and the first's copy.
        s.inject(ack(1).sack(&[(1001, 6001)]));
        leave(&mut s, &[1]);
        s.inject(ack(1).sack(&[(7001, 8001), (1001, 6001)]));
        leave(&mut s, &[6001]);
        s.inject(ack(8001)).silence();
        s.counted(Cause::Retransmit, 2)
            .counted(Cause::RtoExpired, 0);
        // New text comes first (rule 2).
        let mut s = of(8, false);
        s.inject(ack(1).sack(&[(1001, 6001)]));
        leave(&mut s, &[1]);
        s.toe.host_write(0, &[7; 2000]);
        s.inject(ack(1).sack(&[(7001, 8001), (1001, 6001)]));
        leave(&mut s, &[8001, 9001]);
    }

    /// The first and the last two of six are lost: the copy of the first has come, and no SACK tells of the others.
    fn tail_lost(rtt: u32) -> Script {
        let mut s = both();
        for n in 1..20 {
            s.write(b"x");
            s.expect(ACK, n, 1, 1);
            s.ticks(20).inject(ack(n + 1)).silence();
        }
        s.write(&[7; 6000]);
        leave(&mut s, &[20, 1020, 2020, 3020, 4020, 5020]);
        s.ticks(20).inject(ack(20).sack(&[(1020, 4020)]));
        leave(&mut s, &[20]);
        assert_ne!(s.word(DUP_ACKS) & super::dup::RECOVERY, 0);
        s.ticks(rtt).inject(ack(4020));
        s
    }

    /// RFC 8985 section 6.2, step 5, as far as it goes without a time for each segment.
    #[test]
    fn what_was_sent_before_a_copy_that_has_come_is_lost() {
        // Half a round trip of 20 is enough.
        for rtt in [12, 20] {
            let mut s = tail_lost(rtt);
            leave(&mut s, &[4020, 5020]);
            s.inject(ack(6020)).silence();
            assert_eq!(s.word(DUP_ACKS), super::dup::GROWS);
            s.counted(Cause::Retransmit, 3)
                .counted(Cause::RtoExpired, 0);
        }
    }

    /// An ACK sooner than half a round trip after the copy speaks of what was only late.
    #[test]
    fn an_early_ack_is_not_that_of_the_copy() {
        let mut s = tail_lost(8);
        s.silence();
        s.counted(Cause::Retransmit, 1);
    }

    #[test]
    fn and_neither_is_one_that_acknowledges_nothing_or_where_new_text_went_since() {
        let mut s = tail_lost(0);
        // SND.UNA has not moved since the copy left.
        s.ticks(20).inject(ack(4020)).silence();
        s.counted(Cause::Retransmit, 1);
        // The first and the last of eight are lost, and a new one followed the first's copy: it will tell.
        let mut s = of(8, false);
        s.inject(ack(1).sack(&[(1001, 7001)]));
        leave(&mut s, &[1]);
        s.write(&[7; 1000]);
        leave(&mut s, &[8001]);
        s.ticks(20).inject(ack(7001)).silence();
        s.counted(Cause::Retransmit, 1);
    }

    #[test]
    fn what_follows_a_recovery_is_probed_for_after_two_round_trips_again() {
        let mut s = both();
        for n in 1..20 {
            s.write(b"x");
            s.expect(ACK, n, 1, 1);
            s.ticks(20).inject(ack(n + 1)).silence();
        }
        s.write(&[7; 6000]);
        leave(&mut s, &[20, 1020, 2020, 3020, 4020, 5020]);
        s.inject(ack(20).sack(&[(1020, 6020)]));
        leave(&mut s, &[20]);
        s.write(&[7; 2000]);
        leave(&mut s, &[6020, 7020]);
        // All but what was sent last. The timer is set before the measurement is known that comes with it.
        let pto = 2 * (s.word(SRTT) / 8) + s.word(RTTVAR) + PTO_MARGIN;
        assert!(pto < s.word(RTO) / 2, "{pto}");
        s.ticks(20).inject(ack(7020)).silence();
        s.write(&[7; 1000]);
        leave(&mut s, &[8020]);
        s.ticks(pto - 1).silence().ticks(1);
        leave(&mut s, &[8020]);
        s.counted(Cause::TailProbe, 1).counted(Cause::RtoExpired, 0);
    }

    #[test]
    fn of_two_or_three_segments_all_but_one_sacked_make_a_loss() {
        for (segments, sacked) in [(2, 1), (3, 2)] {
            let mut s = both();
            s.write(&vec![1; segments * 1000]);
            for n in 0..segments as u32 {
                s.expect(ACK, 1 + n * 1000, 1, 1000);
            }
            for n in 1..sacked {
                s.inject(ack(1).sack(&[(1001, 1001 + n * 1000)])).silence();
            }
            s.inject(ack(1).sack(&[(1001, 1001 + sacked * 1000)]));
            leave(&mut s, &[1]);
            s.counted(Cause::RtoExpired, 0);
        }
    }

    #[test]
    fn a_timeout_forgets_what_was_sacked_and_sends_all_again_slowly() {
        let mut s = ten();
        s.inject(ack(1).sack(&[(9001, 10_001)]));
        leave(&mut s, &[10_001]);
        let pto = s.word(PTO);
        s.ticks(pto);
        leave(&mut s, &[1, 1001, 2001, 3001]);
        timeout(&mut s);
        assert_eq!(s.word(CWND), 1000);
        s.inject(ack(1001));
        leave(&mut s, &[1001, 2001]);
        s.inject(ack(3001));
        leave(&mut s, &[3001, 4001, 5001]);
        // What the peer tells again counts again.
        s.inject(ack(4001).sack(&[(9001, 11_001)]));
        leave(&mut s, &[6001, 7001]);
        s.inject(ack(7001).sack(&[(9001, 11_001)]));
        leave(&mut s, &[8001, 11_001, 12_001, 13_001]);
        s.inject(ack(12_001));
        assert_eq!(s.word(DUP_ACKS), super::dup::GROWS);
        // Four that lay below what was sacked, the probe, and nine after the timeout.
        s.counted(Cause::RtoExpired, 1)
            .counted(Cause::Retransmit, 4 + 1 + 9);
    }

    /// RFC 2018 section 8, RFC 6675 sections 4 and 5.1: sacked is not acknowledged, and the peer may have thrown it away.
    #[test]
    fn what_was_sacked_is_kept_and_goes_again_after_a_timeout() {
        let mut s = of(5, false);
        s.inject(ack(1).sack(&[(2001, 5001)]));
        leave(&mut s, &[1, 1001]);
        let rto = s.word(RTO);
        s.ticks(2 * rto);
        while s.next().is_some() {}
        s.counted(Cause::RtoExpired, 1);
        // Without blocks from now on: all of it.
        for at in [1001, 3001] {
            s.inject(ack(at));
            leave(&mut s, &[at, at + 1000]);
        }
        s.inject(ack(5001)).silence();
        assert_eq!(s.word(DUP_ACKS), super::dup::GROWS);
    }

    /// RFC 6675 section 5, (A): what was sacked above counts for the next loss.
    #[test]
    fn the_end_of_a_recovery_forgets_nothing_that_was_sacked_above_it() {
        for told in [true, false] {
            let mut s = ten();
            s.inject(ack(1).sack(&[(1001, 10_001)]));
            leave(&mut s, &[1, 10_001, 11_001, 12_001, 13_001]);
            if told {
                s.inject(ack(1).sack(&[(11_001, 12_001), (1001, 10_001)]));
            }
            s.inject(ack(10_001));
            while s.next().is_some() {}
            assert_eq!(s.word(DUP_ACKS) & super::dup::RECOVERY, 0);
            let again = s.toe.counter(Cause::Retransmit);
            // Two more are not three.
            s.inject(ack(10_001).sack(&[(12_001, 14_001)]));
            s.counted(Cause::Retransmit, again + u64::from(told));
        }
    }

    /// RFC 6675 section 5.1.
    #[test]
    fn a_timeout_ends_recovery_and_none_begins_before_all_of_it_is_acknowledged() {
        let mut s = gone_again(2000);
        assert_ne!(s.word(DUP_ACKS) & super::dup::RECOVERY, 0);
        timeout(&mut s);
        assert_eq!(s.word(DUP_ACKS) & super::dup::RECOVERY, 0);
        assert_eq!(s.ours(RECOVER), 8002);
        let ssthresh = s.word(SSTHRESH);
        s.inject(ack(1).sack(&[(1001, 4001)])).silence();
        s.inject(ack(4001).sack(&[(5001, 8001)]));
        leave(&mut s, &[4001]);
        assert_eq!((s.word(SSTHRESH), s.word(CWND)), (ssthresh, 2000));
        assert_eq!(s.word(DUP_ACKS) & super::dup::RECOVERY, 0);
        s.inject(ack(8001)).silence();
        assert_eq!(s.word(DUP_ACKS), super::dup::GROWS);
    }

    /// RFC 5681 section 3.1: the ACK of what the timer sent again is one of slow start, and two segments go: one alone would wait for the peer's delayed ACK.
    #[test]
    fn the_last_ack_after_a_timeout_counts_in_slow_start() {
        let mut s = gone_again(2000);
        timeout(&mut s);
        assert_eq!(s.word(CWND), 1000);
        s.inject(ack(8001)).silence();
        assert_eq!(s.word(CWND), 2000);
        s.write(&[7; 3000]);
        leave(&mut s, &[8001, 9001]);
        // In recovery none counts.
        let mut s = gone_again(2000);
        s.inject(ack(8001)).silence();
        assert_eq!(s.word(CWND), 3000);
    }

    /// RFC 5681 section 3.1: under the scoreboard, too, slow start is over at ssthresh.
    #[test]
    fn slow_start_after_a_timeout_ends_at_ssthresh() {
        let mut s = ten();
        let (pto, rto) = (s.word(PTO), s.word(RTO));
        s.ticks(pto);
        while s.next().is_some() {}
        s.ticks(rto);
        leave(&mut s, &[1]);
        assert_eq!((s.word(CWND), s.word(SSTHRESH)), (1000, 5500));
        let mut grown = vec![];
        for n in 1..9 {
            s.inject(ack(1 + n * 1000));
            while s.next().is_some() {}
            grown.push(s.word(CWND) / 1000);
        }
        assert_eq!(grown, [2, 3, 4, 5, 6, 6, 6, 6]);
    }

    /// RFC 2883 section 4: a block below the ACK that comes with it tells of what came twice.
    #[test]
    fn a_block_below_its_own_ack_says_nothing_of_a_loss() {
        let mut s = ten();
        let cwnd = s.word(CWND);
        s.inject(ack(9001).sack(&[(4001, 8001)]));
        while s.next().is_some() {}
        assert!(s.word(CWND) >= cwnd);
        assert_eq!(s.word(DUP_ACKS) & super::dup::RECOVERY, 0);
        s.counted(Cause::Retransmit, 0);
    }

    #[test]
    fn blocks_outside_what_is_on_its_way_are_void() {
        let mut s = ten();
        s.inject(ack(2001));
        while s.next().is_some() {}
        let sent = s.ours(SND_MAX);
        for block in [
            (1, 1001),
            (1, 9001),
            (3001, 3001),
            (5001, 4001),
            (9001, sent + 1),
            (0x8000_0000, 0x8000_2000),
        ] {
            s.inject(ack(2001).sack(&[block; 3])).silence();
        }
        // Parts of segments don't count either.
        s.inject(ack(2001).sack(&[(3002, 5000), (3002, 4000)]))
            .silence();
        s.counted(Cause::Retransmit, 0);
        // What stands behind a block that says nothing does.
        assert_eq!(s.word(DUP_ACKS) & super::dup::RECOVERY, 0);
        s.inject(ack(2001).sack(&[(1, 1001), (3001, 6001)]));
        assert_ne!(s.word(DUP_ACKS) & super::dup::RECOVERY, 0);
    }

    /// RFC 5961 section 5.2: who does not know what is acknowledged has guessed, and his blocks are as little heard as his ACK.
    #[test]
    fn blocks_beside_an_ack_older_than_any_are_not_heard() {
        for (back, heard) in [(65_535, true), (65_536, false), (1 << 30, false)] {
            let mut s = of(10, true);
            let old = ack(1_u32.wrapping_sub(back));
            s.inject(old.sack(&[(1001, 4001)]));
            assert_eq!(s.word(DUP_ACKS) & super::dup::RECOVERY != 0, heard);
            if heard {
                leave(&mut s, &[1]);
                continue;
            }
            // It is challenged, as without blocks.
            s.expect(ACK, 10_001, 1, 0);
            s.silence();
            s.counted(Cause::BadAck, 1).counted(Cause::Retransmit, 0);
            // And nothing is kept of what it said.
            s.inject(ack(1).sack(&[(4001, 6001)])).silence();
            s.counted(Cause::Retransmit, 0);
        }
    }

    /// The FIN goes while the holes are made good: they go on being so, by the scoreboard, and `cwnd` is lowered once.
    #[test]
    fn a_fin_that_goes_in_recovery_does_not_end_it() {
        for cubic in [true, false] {
            let mut s = of(10, cubic);
            s.inject(ack(1).sack(&[(1001, 2001), (3001, 4001), (5001, 9001)]));
            leave(&mut s, &[1, 2001, 4001]);
            s.close().expect(FIN | ACK, 10_001, 1, 0);
            let cwnd = s.word(CWND);
            s.silence().state("FIN-WAIT-1");
            for (una, left) in [(2001, 3001), (4001, 5001)] {
                s.inject(ack(una).sack(&[(left, left + 1000), (5001, 10_001)]));
                s.silence();
            }
            s.inject(ack(10_001)).silence();
            assert_eq!(s.word(CWND), cwnd, "lowered once");
            s.inject(ack(10_002)).silence().state("FIN-WAIT-2");
            s.counted(Cause::Retransmit, 3)
                .counted(Cause::RtoExpired, 0);
        }
    }

    #[test]
    fn a_fin_behind_a_loss_comes_again_after_the_text() {
        let mut s = both();
        s.write(&[1; 3000]);
        leave(&mut s, &[1, 1001, 2001]);
        s.close();
        s.expect(FIN | ACK, 3001, 1, 0);
        let (pto, rto) = (s.word(PTO), s.word(RTO));
        s.ticks(pto);
        leave(&mut s, &[2001]);
        s.ticks(rto);
        leave(&mut s, &[1]);
        s.inject(ack(3001)).silence();
        for _ in 0..3 {
            let rto = s.word(RTO);
            s.ticks(rto - 1).silence().ticks(1);
            s.expect(FIN | ACK, 3001, 1, 0);
        }
        s.inject(ack(3002)).silence().state("FIN-WAIT-2");
    }

    /// A peer that keeps what it gets and tells of it; every so many segments each way are lost.
    #[test]
    fn every_byte_arrives_whatever_is_lost() {
        for every in 5..13 {
            let mut s = both();
            let text: Vec<u8> = (0..60_000_u32).map(|n| ((n * 7) >> 3) as u8).collect();
            let mut got = vec![None; text.len()];
            let (mut n, mut written) = (0, 0);
            for _ in 0..4000 {
                written += s.toe.host_write(0, &text[written..]);
                s.settle();
                let mut acks = Vec::new();
                while let Some(segment) = s.next() {
                    n += 1;
                    if n % every == 0 {
                        continue;
                    }
                    let at = segment.seq as usize - 1;
                    for (k, byte) in segment.data.iter().enumerate() {
                        got[at + k] = Some(*byte);
                    }
                    let next = got.iter().take_while(|b| b.is_some()).count();
                    let mut blocks: Vec<(u32, u32)> = Vec::new();
                    let mut k = next;
                    while k < got.len() {
                        let len = got[k..].iter().take_while(|b| b.is_some()).count();
                        if len > 0 {
                            blocks.push((k as u32 + 1, (k + len) as u32 + 1));
                        }
                        k += len.max(1);
                    }
                    blocks.sort_by_key(|b| !(b.0..b.1).contains(&(at as u32 + 1)));
                    blocks.truncate(3);
                    acks.push(ack(next as u32 + 1).sack(&blocks));
                }
                for ack in acks {
                    n += 1;
                    if n % every != 0 {
                        s.inject(ack);
                    }
                }
                if s.word(SND_UNA) == s.word(SND_MAX) && written == text.len() {
                    break;
                }
                s.ticks(20);
            }
            let next = got.iter().take_while(|b| b.is_some()).count();
            assert_eq!(
                next,
                text.len(),
                "every {every}: SND.UNA {} SND.MAX {} cwnd {} rto {} tries {}",
                s.ours(SND_UNA),
                s.ours(SND_MAX),
                s.word(CWND),
                s.word(RTO),
                s.word(TRIES)
            );
            assert!(got.iter().zip(&text).all(|(g, t)| *g == Some(*t)));
            assert_eq!(s.word(SND_UNA), s.word(SND_MAX), "every {every}");
            s.state("ESTABLISHED").slots(1);
        }
    }
}
