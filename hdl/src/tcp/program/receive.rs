//! A segment of a connection arrives: the tuple once more, then the checks of RFC 9293 section 3.10.7.4 in its order.
use super::marks::*;
use super::words::*;
use super::{dup, flags, state, zero};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, kf, operands::*, Asm};
use crate::tcp::isa::{cmd, notify};

/// From the vector to the ACK check: straight on in the common case.
pub(super) fn segment(a: &mut Asm, config: &ToeConfig) {
    a.label("segment")
        .note("is it still the connection that the parser looked up?");
    a.ld(SEG_IP).xor(IP).not_zero(UNCOMMON);
    a.ld(SEG_PORTS);
    a.xor(PORTS).or_not_zero(UNCOMMON);
    a.when(UNCOMMON).br("stale");
    a.ldi(state::ESTABLISHED).xor(STATE).not_zero(UNCOMMON);
    a.ld(SEG_SEQ).xor(RCV_NXT).or_not_zero(UNCOMMON);
    a.when(ODD).br("uncommon");
    a.when(UNCOMMON).br("uncommon");
    if config.timestamps {
        a.ld(FLAGS).sign(A);
        a.when(A).br("stamped");
    }
}

/// Seventh and eighth check: the segment text and FIN. Falls into `output`.
pub(super) fn text(a: &mut Asm, config: &ToeConfig) {
    a.label("text")
        .note("RFC 9293 section 3.10.7.4, seventh check");
    a.count(Cause::Accepted.number());
    a.ld(SEG_LEN).zero(A);
    zero(a, QUIET);
    a.when(FIN).br("fin_in");
    a.when(A).br("output");
    a.when(UNCOMMON).br("text_uncommon");
    a.label("commit");
    a.cmd(cmd::RX_COMMIT);
    a.ld(RESULT).st(RCV_NXT);
    a.xor(RCV_FIN).zero(B);
    a.add(RESULT2).to(RCV_ADV);
    a.unless(OK).br("out_of_order");
    if config.delayed_ack {
        a.ld(ACK_DUE).zero(A);
        a.when(A).br("delay");
    } else if config.sack {
        a.ldi(flags::QUICK).and(FLAGS).or_not_zero(SACK_ACK);
    }
    a.label("at_once");
    a.set(ACK_NOW);
    a.label("committed");
    a.when(B).br("fin_reached");
}

/// All that leaves the common path, in the RFC's order. Falls into `syn_received`.
pub(super) fn uncommon(a: &mut Asm, config: &ToeConfig) {
    a.label("stale")
        .note("the connection ended while the record waited: perhaps another has the tuple now");
    a.ld(SEG_IP);
    a.cmd_a(cmd::LOOKUP, SEG_PORTS);
    a.unless(OK).br("no_connection");
    a.label("late")
        .note("opened after the parser looked: flags and ACK count, the payload was not placed and must come again");
    a.cmd_a(cmd::SETCONN, RESULT);
    if config.icmp_errors {
        super::path::late(a);
    }
    a.set(NOT_PLACED);
    a.set(UNCOMMON);
    a.br("by_state");

    a.label("uncommon");
    if config.ecn {
        a.note("CWR's place: marks of ECN")
            .when(NOT_PLACED)
            .br("ecn_marked");
    } else {
        a.clear(NOT_PLACED);
    }
    a.label("by_state");
    a.ldi(state::SYN_RECEIVED).rsb(STATE).sign(A);
    a.when(A).br("unsynchronized");
    if config.timestamps {
        a.ld(FLAGS).sign(A);
        a.when(A).br("stamped");
        a.label("unstamped");
    }

    a.note("first check: sequence number (section 3.4, table 6). More than the table: the right edge itself, where every ACK stands of a peer");
    a.note("that has filled the window. Two such peers who lost each other's flights would refuse each other's ACKs, each with an ACK");
    a.ld(SEG_SEQ).sub(RCV_NXT).sign(A).zero(B);
    a.when(A).br("left");
    a.rsb(RCV_ADV).sign(C);
    a.when(RST).sub(RCV_ADV).not_sign(C);
    a.when(B).clear(C);
    a.when(C).br("unacceptable");
    a.label("in_window")
        .note("second check: RST; fourth: SYN; fifth: ACK");
    a.when(RST).br("rst_in");
    let syn = if config.hardened() {
        "syn_in_window"
    } else {
        "syn_in"
    };
    a.when(SYN).br(syn);
    a.unless(ACK).br("no_ack");
    super::stamps::mark(a, config);
    a.ldi(state::TIME_WAIT).xor(STATE).zero(A);
    a.when(A).br("time_wait");
    if config.complete() {
        a.when(ODD).br("odd");
        a.label("sack_seen");
    } else {
        a.note("the place of what would have something sent again")
            .clear(AGAIN);
    }
    a.ldi(state::SYN_RECEIVED).xor(STATE).not_zero(A);
    a.when(A).br("acknowledgement");
}

/// What those checks branch to.
pub(super) fn exceptions(a: &mut Asm, config: &ToeConfig) {
    a.label("left")
        .note("begins left of the window: acceptable if its end, FIN counted, reaches into it");
    a.add(SEG_LEN);
    a.note("and half of the number space away has a sign either way")
        .unless(FIN)
        .rsb(RCV_NXT)
        .not_sign(C);
    a.sub(RCV_NXT).or_sign(C);
    a.when(C).br("unacceptable");
    a.br("in_window");

    a.label("no_ack");
    a.count(Cause::NoAck.number());
    a.done();

    a.label("unacceptable");
    a.when(RST).br("drop_unacceptable");
    a.when(SYN).br("syn_in");
    super::stamps::mark(a, config);
    if config.sack {
        a.note("RFC 2883: text that has all come before is told of");
        a.ld(SEG_SEQ).sub(RCV_NXT).not_sign(A);
        a.ld(SEG_LEN).or_zero(A);
        a.unless(A).set(SACK_ACK);
        a.unless(A).set(DUPLICATE);
    }
    if config.scoreboard() {
        a.note("and while the window is shut an ACK looks where it may stand")
            .ld(SND_WND)
            .or_zero(SACK_ACK);
    }
    a.unless(FIN).br("unacceptable.answer");
    a.note("TIME-WAIT begins anew with every FIN, but not the time that an application has to read to the end");
    a.ldi(flags::RELEASED).and(FLAGS).not_zero(A);
    a.when(A)
        .timer_set(super::timer::TIME_WAIT, k(super::constant::TIME_WAIT));
    a.br("unacceptable.answer");

    a.label("time_wait")
        .note("fifth to eighth check: all of ours is acknowledged, all of theirs has come");
    a.ld(SEG_ACK).rsb(SND_MAX).sign(A);
    a.when(A).br("bad_ack");
    a.count(Cause::Accepted.number());
    a.ld(SEG_LEN).zero(A);
    a.when(FIN).clear(A);
    a.unless(A).br("send_ack");
    a.done();

    if config.hardened() {
        a.label("syn_in_window")
            .note("fourth check, SYN-RECEIVED after a passive open, of which no application knows: back to LISTEN. But not by the SYN itself once more, which only the text beside it brings into the window");
        a.ldi(state::SYN_RECEIVED).xor(STATE).not_zero(A);
        a.ld(SEG_SEQ).sub(RCV_NXT).or_sign(A);
        a.ldi(flags::APP).and(FLAGS).or_not_zero(A);
        a.unless(A).br("reset_by_peer");
    }
    a.label("syn_in")
        .note("RFC 1122 section 4.2.2.13, RFC 6191: in TIME-WAIT a SYN above all that the peer has sent opens anew,")
        .note("if our first number is above all that we have sent, too, and the application has let go");
    if config.timestamps {
        a.note("by the timestamps, if both have them and they differ");
        super::stamps::reuse(a);
        a.ldi(state::TIME_WAIT).xor(STATE).not_zero(A);
        a.when(C).set(A);
    } else {
        a.ldi(state::TIME_WAIT).xor(STATE).not_zero(A);
        a.ld(SEG_SEQ).sub(RCV_NXT).or_sign(A);
    }
    if config.isn_in_program() {
        a.note("(nobody's state is scratch but that of TIME-WAIT's end)")
            .ldi(flags::RELEASED)
            .and(FLAGS)
            .or_zero(A);
        a.when(ACK).set(A);
        a.when(A).br("challenge");
    } else if config.isn_hash {
        a.ld(SEG_IP);
        a.unless(A).cmd_a(cmd::LOOKUP, SEG_PORTS);
        a.note("begins F; where A is set the number does not count")
            .unless(A);
    }
    super::isn::first_number(a, config);
    a.sub(SND_MAX).or_sign(A);
    if !config.isn_in_program() {
        a.ldi(flags::RELEASED).and(FLAGS).or_zero(A);
        a.when(ACK).set(A);
    }
    a.note("and our port is still listened on")
        .unless(A)
        .cmd_a(cmd::LISTEN, SEG_PORTS);
    a.unless(OK).set(A);
    if config.time_wait() > 0 {
        a.unless(A).br("reopen");
    } else {
        a.unless(A).cmd(cmd::FREE);
        a.unless(A).br("no_connection");
    }
    a.label("challenge")
        .note("RFC 5961 sections 3.2 and 4.2: SYN, or RST not exactly at rcv_nxt, is answered with an ACK");
    if config.timestamps {
        a.ld(FLAGS).sign(SACK_ACK);
        a.clear(DUPLICATE);
    } else if config.sack {
        a.clear(SACK_ACK);
    }
    if config.hardened() {
        a.count(Cause::Unacceptable.number());
        challenge(a);
    }
    a.label("unacceptable.answer");
    a.count(Cause::Unacceptable.number());
    a.br("send_ack");
    a.label("drop_unacceptable");
    a.count(Cause::Unacceptable.number());
    a.done();

    a.label("rst_in");
    a.ld(SEG_SEQ).xor(RCV_NXT).not_zero(A);
    a.when(A).br("challenge");
    a.note("RFC 1337: RST does not cut TIME-WAIT short");
    a.ldi(state::TIME_WAIT).xor(STATE).zero(A);
    a.when(A).br("drop_unacceptable");
    a.label("reset_by_peer");
    a.count(Cause::ResetIn.number());
    a.call("end_by_reset");
    a.done();

    a.label("text_uncommon")
        .note("text is taken in ESTABLISHED, FIN-WAIT-1 and FIN-WAIT-2 only; elsewhere the peer's FIN came before");
    a.set(ACK_NOW);
    a.when(NOT_PLACED).br("output");
    a.ldi(state::PEER_FIN).and(STATE).zero(B);
    a.when(B).br("commit");
    a.br("output");

    a.label("out_of_order")
        .note("RFC 5681 section 4.2: each is answered at once, and so is what fills the gap");
    if config.sack {
        a.note("RFC 2883 section 4: and told of first if it was held already, the block that holds it behind it")
            .ld(RESULT2)
            .sign(DUPLICATE);
        a.when(DUPLICATE).br("twice");
        a.label("out_of_order.known");
    }
    a.count(Cause::OutOfOrder.number());
    if config.delayed_ack || config.sack {
        a.ldi(flags::QUICK).or(FLAGS).to(FLAGS);
    }
    if config.sack {
        a.set(SACK_ACK);
        a.note("alone, for it is to tell of the gap (RFC 2018 section 4), and data bears no blocks; without SACK it is no duplicate beside data (RFC 5681 section 2). Data comes with the next event");
        if config.scoreboard() {
            a.note("and so does new text beyond cwnd, which this segment's ACK is to let out")
                .ldi(dup::TWO);
            a.when(LIMITED).or(DUP_ACKS).to(DUP_ACKS);
        }
    }
    if !config.scoreboard() {
        a.note(
            "but for the hole that this segment's ACK is to have sent again: the ACK goes with it",
        )
        .when(AGAIN)
        .br("at_once");
    }
    if config.sack {
        a.unless(B).cmd(cmd::POST);
        a.unless(B).br("send_ack");
    }
    a.clear(BUSY);
    a.br("at_once");

    if config.sack {
        a.label("twice")
            .note("what said so is no part of the window: 2^31 off again");
        a.shl3(kf(1 << 28));
        a.add(RCV_ADV).to(RCV_ADV);
        a.br("out_of_order.known");
    }

    if config.delayed_ack {
        a.label("delay")
            .note("RFC 9293 section 3.8.6.3: the first of two segments waits for the other, for data to go with, or for the timer");
        a.ldi(super::constant::DELAYED_ACK).st(T0);
        a.ldi(flags::QUICK).and(FLAGS).not_zero(A);
        if config.sack {
            a.when(A).set(SACK_ACK);
        }
        a.when(A).br("at_once");
        a.ldi(super::due::DELAYED).st(ACK_DUE);
        a.timer_set(super::timer::DELAYED_ACK, T0);
        a.br("committed");
    }

    a.label("fin_in")
        .note("eighth check: where the FIN stands is kept, it counts when all before it has come");
    a.set(ACK_NOW);
    a.ldi(state::PEER_FIN).and(STATE).not_zero(B);
    a.when(B).br("output");
    a.ld(SEG_SEQ).add(SEG_LEN).to(RCV_FIN);
    a.ldi(flags::FIN_SEEN).or(FLAGS).to(FLAGS);
    a.when(A).br(".alone");
    a.unless(UNCOMMON).br("commit");
    a.unless(NOT_PLACED).br("commit");
    a.br("output");
    a.label(".alone");
    a.ld(RCV_NXT).xor(RCV_FIN).zero(B);
    a.unless(B).br("output");

    a.label("fin_reached");
    a.ldi(flags::FIN_SEEN).and(FLAGS).zero(B);
    a.when(B).br("output");
    a.ldi(1).add(RCV_NXT).to(RCV_NXT);
    a.add(RCV_ADV).to(RCV_ADV);
    a.cmd_imm(cmd::NOTIFY, notify::PEER_FIN);
    a.ldi(state::FIN_WAIT_2).xor(STATE).zero(B);
    a.ldi(state::PEER_FIN).or(STATE).to(STATE);
    a.when(B).call("enter_time_wait");
    a.when(BUSY).br("busy");
    a.note("all of ours is acknowledged").when(B).br("send_ack");
    a.br("output_now");
}

/// RFC 5961 section 7: a challenge ACK, if there were not too many of late, whoever they went to. What is merely old or early is always answered: a peer may need it.
fn challenge(a: &mut Asm) {
    use super::constant::{CHALLENGE_BURST, CHALLENGE_INTERVAL};
    let ahead = CHALLENGE_BURST * CHALLENGE_INTERVAL;

    a.label("challenge.limited")
        .note("how far the next one would be ahead of the clock; behind it, or beyond what can be, it is due now");
    a.note("the microsecond moves the limit")
        .ldi(ahead / 2 - 1)
        .and(ISN)
        .st(T1);
    a.ldi(ahead).st(T0);
    a.ldi(ahead - CHALLENGE_INTERVAL).sub(T1).st(T2);
    a.ldi(CHALLENGE_INTERVAL).add(CHALLENGE);
    a.sub(TICK_LONG);
    a.rsb(T0).not_carry(A);
    a.when(A).ld(k(0));
    a.rsb(T2).not_carry(B);
    a.when(B).br(".held");
    a.add(TICK_LONG).to(CHALLENGE);
    a.br("send_ack");
    a.label(".held");
    a.count(Cause::ChallengeHeld.number());
    a.done();
}

#[cfg(test)]
mod tests {
    use super::super::constant::{DELAYED_ACK, KEEPALIVE_INTERVAL};
    use super::super::script::*;
    use super::super::words::{SND_MAX, SND_UNA};
    use crate::counters::Cause;

    #[test]
    fn text_in_order_is_delivered_and_acknowledged() {
        let mut s = Script::established();
        s.inject(seg(ACK, 1, 1).data(b"hello "));
        let ack = s.expect(ACK, 1, 7, 0);
        assert_eq!(ack.wnd, 8192 - 6);
        s.inject(seg(ACK, 7, 1).data(b"world"));
        s.expect(ACK, 1, 12, 0);
        assert_eq!(s.silence().read(), b"hello world");
        s.silence().slots(1);
    }

    #[test]
    fn a_gap_is_acknowledged_at_once_and_filled() {
        let mut s = Script::established();
        s.inject(seg(ACK, 7, 1).data(b"world"));
        s.expect(ACK, 1, 1, 0);
        s.inject(seg(ACK, 1, 1).data(b"hello "));
        s.expect(ACK, 1, 12, 0);
        assert_eq!(s.silence().read(), b"hello world");
        s.counted(Cause::OutOfOrder, 1).slots(1);
    }

    #[test]
    fn a_fin_ahead_of_a_gap_counts_when_it_is_filled() {
        let mut s = Script::established();
        s.inject(seg(ACK | FIN, 7, 1).data(b"world"));
        s.expect(ACK, 1, 1, 0);
        s.state("ESTABLISHED");
        s.inject(seg(ACK, 1, 1).data(b"hello "));
        s.expect(ACK, 1, 13, 0);
        s.silence().state("CLOSE-WAIT");
        assert_eq!(s.read(), b"hello world");
        s.slots(1);
    }

    #[test]
    fn acceptability() {
        // Table 6 of section 3.4 and the right edge, window 8192 from 1; (seq, length, acceptable)
        for (seq, length, good) in [
            (1, 0, true),
            (0, 0, false),
            (8192, 0, true),
            (8193, 0, true),
            (8194, 0, false),
            (0, 1, false),
            (0, 2, true),
            (8192, 1, true),
            (8193, 1, true),
            (8194, 1, false),
            (0x8000_0001, 10, false),
            (0x7FFF_FFFF, 10, false),
        ] {
            let mut s = Script::established();
            s.inject(super::super::script::seg(ACK, seq, 1).data(&vec![5; length]));
            s.counted(Cause::Unacceptable, u64::from(!good))
                .counted(Cause::Accepted, 2 + u64::from(good));
            if good && length == 0 {
                s.silence();
            } else {
                let next = if good && seq < 2 { 2 } else { 1 };
                s.expect(ACK, 1, next, 0);
            }
            s.silence().slots(1);
        }
    }

    #[test]
    fn a_shut_window_takes_acks_and_probes_are_answered() {
        let mut s = Script::established();
        for n in 0..8 {
            s.inject(seg(ACK, 1 + n * 1024, 1).data(&[n as u8; 1024]));
            s.expect(ACK, 1, 1025 + n * 1024, 0);
        }
        s.inject(seg(ACK, 8193, 1).data(&[9]));
        let ack = s.expect(ACK, 1, 8193, 0);
        assert_eq!(ack.wnd, 0);
        s.write(b"x");
        s.expect(ACK, 1, 8193, 1);
        s.inject(seg(ACK, 8193, 2)).silence();
        assert_eq!(s.read().len(), 8192);
        let update = s.expect(ACK, 2, 8193, 0);
        assert_eq!(update.wnd, 8192);
        s.silence().slots(1);
    }

    #[test]
    fn when_both_flights_are_lost_acks_count_and_are_not_answered() {
        let mut s = Script::established();
        s.write(&[1; 8000]);
        for n in 0..8 {
            s.expect(ACK, 1 + n * 1000, 1, 1000);
        }
        // The peer's own 8192 bytes never came, its ACKs stand behind them.
        s.inject(seg(ACK, 8193, 1001)).silence();
        s.inject(seg(ACK, 8193, 8001)).silence();
        s.counted(Cause::Unacceptable, 0);
        assert_eq!(s.word(SND_UNA), s.word(SND_MAX));
    }

    #[test]
    fn rst_ends_the_connection_only_at_the_exact_number() {
        for (seq, answered) in [(2, true), (8192, true), (0, false), (8193, false)] {
            let mut s = Script::established();
            s.inject(super::super::script::seg(RST, seq, 0));
            if answered {
                s.expect(ACK, 1, 1, 0);
            }
            s.silence().state("ESTABLISHED").slots(1);
        }
        let mut s = Script::established();
        s.inject(seg(RST, 1, 0)).silence().state("CLOSED").slots(0);
        s.counted(Cause::ResetIn, 1);
    }

    #[test]
    fn syn_in_a_connection_is_challenged() {
        for seq in [0, 1, 100, 9000] {
            let mut s = Script::established();
            s.inject(super::super::script::seg(SYN, seq, 0));
            s.expect(ACK, 1, 1, 0);
            s.silence().state("ESTABLISHED").slots(1);
        }
    }

    #[test]
    fn without_ack_a_segment_is_dropped() {
        let mut s = Script::established();
        s.inject(seg(0, 1, 0).data(b"x"))
            .silence()
            .state("ESTABLISHED");
        s.counted(Cause::NoAck, 1).slots(1);
        assert_eq!(s.read(), b"");
    }

    #[test]
    fn segments_behind_their_syn_in_the_queue_find_the_connection() {
        let mut s = Script::new();
        s.model_only(
            "on the line they come one behind the other, and the first has had its answer by then",
        );
        s.arrive(seg(SYN, 0, 0))
            .arrive(seg(ACK, 1, 1))
            .arrive(seg(ACK, 1, 1).data(b"hello"));
        s.settle();
        s.expect(SYN | ACK, 0, 1, 0);
        s.expect(ACK, 1, 1, 0);
        s.silence().state("ESTABLISHED");
        assert_eq!(s.read(), b"", "its payload was not placed");
        s.inject(seg(ACK, 1, 1).data(b"hello"));
        s.expect(ACK, 1, 6, 0);
        assert_eq!(s.read(), b"hello");
        s.slots(1);
    }

    #[test]
    fn segments_behind_their_rst_in_the_queue_are_strangers() {
        let mut s = Script::established();
        s.arrive(seg(RST, 1, 0))
            .arrive(seg(ACK, 1, 1).data(b"hello"));
        s.settle();
        s.expect(RST, 1, 0, 0);
        s.silence().slots(0);
    }

    // ---- delayed ACK ----------------------------------------------------------------------------

    fn delaying() -> Script {
        let config = crate::config::ToeConfig {
            delayed_ack: true,
            ..config()
        };
        Script::established_with(config, seg(SYN, 0, 0).mss(1000))
    }

    #[test]
    fn every_second_segment_is_acknowledged_at_once() {
        let mut s = delaying();
        for n in 0..3 {
            s.inject(seg(ACK, 1 + n * 200, 1).data(&[1; 100])).silence();
            s.inject(seg(ACK, 101 + n * 200, 1).data(&[1; 100]));
            s.expect(ACK, 1, 201 + n * 200, 0);
        }
        s.ticks(1000).silence();
    }

    #[test]
    fn a_single_segment_is_acknowledged_after_40_ms() {
        let mut s = delaying();
        s.inject(seg(ACK, 1, 1).data(b"x"));
        s.ticks(DELAYED_ACK - 1).silence().ticks(1);
        s.expect(ACK, 1, 2, 0);
        s.ticks(1000).silence();
    }

    #[test]
    fn an_acknowledgement_goes_with_data() {
        let mut s = delaying();
        s.inject(seg(ACK, 1, 1).data(b"x")).silence();
        s.write(b"y");
        s.expect(ACK, 1, 2, 1);
        s.ticks(100).silence();
        // What was read does not hurry it.
        s.inject(seg(ACK, 2, 2).data(b"x"));
        assert_eq!(s.read(), b"xx");
        s.silence().ticks(DELAYED_ACK);
        s.expect(ACK, 2, 3, 0);
    }

    #[test]
    fn gaps_what_fills_them_and_a_fin_are_acknowledged_at_once() {
        let mut s = delaying();
        s.inject(seg(ACK, 2, 1).data(b"b"));
        s.expect(ACK, 1, 1, 0);
        s.inject(seg(ACK, 1, 1).data(b"a"));
        s.expect(ACK, 1, 3, 0);
        // At once until the interval is over, then as before.
        s.inject(seg(ACK, 3, 1).data(b"c"));
        s.expect(ACK, 1, 4, 0);
        s.ticks(2 * KEEPALIVE_INTERVAL).silence();
        s.inject(seg(ACK, 4, 1).data(b"d")).silence();
        s.inject(seg(ACK | FIN, 5, 1));
        s.expect(ACK, 1, 6, 0);
        assert_eq!(s.read(), b"abcd");
    }
}
