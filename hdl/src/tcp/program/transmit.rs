//! What may be sent now, and the headers of every segment of a connection (RFC 9293 sections 3.7 and 3.8.6).
use super::marks::*;
use super::words::*;
use super::{constant, due, dup, flags, state, timer, zero};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, operands::*, Asm};
use crate::tcp::isa::{cmd, out};

/// Every event's end: data, else FIN, else the ACK asked for, else nothing.
pub(super) fn output(a: &mut Asm, config: &ToeConfig) {
    // What a pacer holds is as if it were not there, and the tail is not cut; RESULT keeps the FIN behind it.
    let next = next(config);
    a.label("output");
    a.when(BUSY).br("busy");
    a.label("output_now");
    a.cmd_a(next, TX_INDEX);
    a.when(OK).br("descriptor");
    a.label("output_nothing");
    a.ld(RESULT).not_zero(B);
    a.ldi(flags::CLOSE).and(FLAGS).not_zero(C);
    a.when(B).br("tail");
    a.when(C).br("fin_out");
    a.label("acknowledge");
    a.unless(ACK_NOW).done();
    a.label("send_ack").note(
        "<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>, the window as the last text or reading left it",
    );
    if config.sack {
        a.when(SACK_ACK).br("sack_ack");
        a.label("send_plain_ack");
    }
    a.ld(RCV_ADV).sub(RCV_NXT);
    a.or(k(constant::CTL_ACK)).to(T_CTL);
    a.label("send_ack_headers");
    if config.scoreboard() || !config.hardened() {
        addresses(a, config);
        a.out(out::SEQ, SND_MAX);
    } else {
        a.note("not where a probe of a shut window was sent beyond it: an ACK there would be as unacceptable to the peer (section 3.10.7.4), who would never hear what came");
        a.ld(SND_UNA).add(SND_WND).st(T_SEQ);
        a.sub(SND_MAX).sign(A);
        a.note("nor in SYN-RECEIVED ahead of our SYN")
            .ldi(state::ESTABLISHED)
            .rsb(STATE)
            .sign(B);
        a.when(B).clear(A);
        addresses(a, config);
        a.unless(A).out(out::SEQ, SND_MAX);
        a.when(A).out(out::SEQ, T_SEQ);
    }
    a.label("send_ack_rest");
    a.out(out::ACK, RCV_NXT);
    a.out(out::CTL, T_CTL);
    a.ld(k(0));
    a.cmd_a(cmd::SEND, k(0));
    zero(a, ACK_DUE);
    a.count(Cause::PureAckOut.number());
    a.done();

    if config.pacing {
        a.label("output_forced")
            .note("what a timer sends a pacer does not hold");
        a.cmd_a(cmd::TX_PEEK, TX_INDEX);
        a.when(OK).br("descriptor");
        a.br("output_nothing");
    }

    a.label("busy")
        .note("the line is taken for longer than an event lasts: come again. Nothing would leave sooner, other connections get their turn, and an ACK can go with data");
    a.when(AGAIN).br("again");
    a.when(FORCE).br("output_now");
    a.cmd(cmd::POST);
    a.unless(ACK_NOW).done();
    a.ldi(due::NOW).st(ACK_DUE);
    a.done();

    a.label("tail").note(
        "RFC 9293 section 3.7.4, Nagle: the tail goes when nothing is in flight, or ahead of a FIN",
    );
    a.ld(SND_UNA).xor(SND_NXT).zero(A);
    a.when(C).set(A);
    if config.complete() {
        a.note("or if the application says so (MUST-17)")
            .ld(k(flags::NO_DELAY))
            .and(FLAGS)
            .or_not_zero(A);
    }
    a.unless(A).br("acknowledge");
    a.cmd(cmd::TX_CUT);
    a.cmd_a(next, TX_INDEX);
    a.unless(OK).br("acknowledge");

    a.label("descriptor");
    a.ldi(0xFFF).and(RESULT).st(T_LEN);
    a.ld(RESULT2).to(T_SUM);
    a.ld(k(constant::BIT_16)).and(RESULT).st(T_CTL);
    a.ld(TRIES).not_zero(A);
    a.note("SND.WND and cwnd bound the flight");
    a.ld(SND_NXT).sub(SND_UNA).add(T_LEN);
    a.rsb(SND_WND).or_sign(A);
    a.unless(LIMITED).rsb(CWND).or_sign(A);
    if config.icmp_errors {
        a.note("and the path its length")
            .ld(MSS)
            .sub(T_LEN)
            .or_sign(A);
    }
    a.when(A).br("held");

    a.label("transmit");
    a.shl3(T_CTL).or(k(constant::CTL_ACK)).to(T_CTL);
    a.ld(SND_NXT).st(T_SEQ);
    a.note("new data (a), or again; the first outstanding (b)");
    a.sub(SND_MAX).not_sign(A);
    a.rsb(SND_UNA).not_sign(B);
    a.add(T_LEN).st(SND_NXT);
    a.when(A).st(SND_MAX);
    a.note("RFC 6298 section 3: one segment is timed at a time, and never one sent again");
    a.ld(TIMED_AT).not_sign(C);
    a.unless(A).set(C);
    a.unless(C).st(TIMED_SEQ);
    a.unless(C).ld(TICK).to(TIMED_AT);
    if config.scoreboard() {
        a.note("RFC 6298 section 5.1, and so for PTO");
        a.when(B).timer_set(timer::RETRANSMIT, PTO);
    } else {
        a.note("RFC 6298 section 5.1");
        a.when(B).timer_set(timer::RETRANSMIT, RTO);
    }
    a.unless(A).count(Cause::Retransmit.number());
    a.ldi(1).add(TX_INDEX).to(TX_INDEX);
    a.count(Cause::SegmentOut.number());
    a.cmd(cmd::POST);

    a.label("emit")
        .note("T_SEQ, T_CTL without window, T_LEN, T_SUM");
    if config.timestamps {
        a.when(SACK_ACK).br("emit_stamped");
        a.label("emit_plain");
    }
    a.cmd(cmd::RX_WINDOW);
    a.ld(T_CTL);
    a.or(RESULT).to(T_CTL);
    a.ld(RCV_NXT).add(RESULT).to(RCV_ADV);
    addresses(a, config);
    a.out(out::SEQ, T_SEQ);
    a.out(out::ACK, RCV_NXT);
    a.out(out::CTL, T_CTL);
    a.ld(T_SUM);
    a.cmd_a(cmd::SEND, T_LEN);
    zero(a, ACK_DUE);
    a.done();

    a.label("held")
        .note("after a loss, or no room in the peer's window");
    if config.icmp_errors {
        a.ld(MSS).sub(T_LEN).sign(A);
        a.when(A).br("too_long");
    }
    a.when(FORCE).br("transmit");
    a.ld(TRIES).not_zero(A);
    a.when(A).br("acknowledge");
    a.note("something in flight: its ACK will open the window");
    a.ld(SND_UNA).sub(SND_NXT).sign(A);
    a.when(A).br(if config.cubic {
        "limited"
    } else {
        "acknowledge"
    });
    a.ld(SND_WND).zero(A);
    a.when(A).br("persist");
    if config.ecn {
        a.note("no cwnd: RFC 3168 section 6.1.2")
            .ld(CWND)
            .sub(MSS)
            .sign(A);
        a.when(A).br("persist");
    }
    if config.complete() {
        a.note("section 3.8.6.2.1: new text (b) for less than half of the largest window waits for the override timeout");
        a.ld(MAX_WND).sub(SND_WND).sign(A);
        a.ld(MAX_WND);
        a.when(A).ld(SND_WND);
        a.st(MAX_WND);
        a.st(T0);
        a.ld(SND_NXT).xor(SND_MAX).zero(B);
        a.shl1(SND_WND);
        a.sub(T0).sign(A);
        a.unless(B).clear(A);
        a.when(LIMITED).clear(A);
        a.when(A).br("small_window");
    }
    a.note("the window ends within the head and nothing is in flight: send what it takes, counted from the head's first byte");
    a.ld(SND_UNA).add(SND_WND);
    a.sub(SND_NXT).st(T0);
    a.cmd_a(cmd::TX_RECUT, T0);
    a.when(OK).br("output");
    a.label("persist")
        .note("RFC 9293 section 3.8.6.1: the first probe one RTO after the peer, or the application, was last heard of");
    a.timer_set(timer::RETRANSMIT, RTO);
    if config.complete() {
        a.ld(SND_UNA).to(TIMED_SEQ);
    }
    a.br("acknowledge");
    if config.complete() {
        a.label("small_window")
            .note("it runs from the first event that found the window small: what comes and what is written do not put it off");
        a.ldi(constant::OVERRIDE).st(T0);
        a.ldi(1).add(SND_MAX);
        a.xor(TIMED_SEQ).zero(A);
        a.when(A).br("acknowledge");
        a.st(TIMED_SEQ);
        a.timer_set(timer::RETRANSMIT, T0);
        a.br("acknowledge");
    }

    a.label("fin_out")
        .note("all text is sent: FIN, for the first time (not a) or again");
    a.ldi(state::OWN_FIN).and(STATE).not_zero(A);
    a.ld(SND_NXT).xor(SND_MAX).zero(B);
    a.ld(TRIES).not_zero(C);
    a.when(FORCE).clear(C);
    a.unless(A).clear(B);
    a.when(B).br("acknowledge");
    a.when(C).br("acknowledge");
    a.note("cwnd has no more to grow for; what is being made good still is")
        .ldi(dup::RECOVERY | dup::SCORE | dup::TWO | 1 | dup::lowers(config) | dup::ECE);
    a.and(DUP_ACKS).to(DUP_ACKS);
    a.note("ESTABLISHED to FIN-WAIT-1, CLOSE-WAIT to LAST-ACK");
    a.ldi(state::PEER_FIN).and(STATE).zero(B);
    a.ldi(state::FIN_WAIT_1);
    a.unless(B).ldi(state::LAST_ACK);
    a.unless(A).st(STATE);
    a.when(A).count(Cause::Retransmit.number());
    a.ld(SND_NXT).to(T_SEQ);
    a.ldi(1).add(SND_NXT).st(SND_NXT);
    a.st(SND_MAX);
    a.ld(k(constant::CTL_ACK)).or(k(constant::BIT_16)).to(T_CTL);
    a.timer_set(
        timer::RETRANSMIT,
        if config.scoreboard() { PTO } else { RTO },
    );
    a.label("emit_counted").note("no text: T_SEQ, T_CTL");
    a.count(Cause::PureAckOut.number());
    a.label("emit_bare");
    zero(a, T_LEN);
    zero(a, T_SUM);
    a.br("emit");
}

/// Where what a timer sends goes on.
pub(super) fn forced(config: &ToeConfig) -> &'static str {
    if config.pacing {
        "output_forced"
    } else {
        "output_now"
    }
}

/// Asks for the next descriptor to be sent, which a pacer may hold.
pub(super) fn next(config: &ToeConfig) -> u8 {
    if config.pacing {
        cmd::TX_NEXT
    } else {
        cmd::TX_PEEK
    }
}

/// Where the segment goes.
pub(super) fn addresses(a: &mut Asm, config: &ToeConfig) {
    if config.ethernet {
        a.out(out::MAC_LO, MAC_LO);
        a.out(out::MAC_HI, MAC_HI);
    }
    a.out(out::IP, IP);
    a.out(out::PORTS, OUT_PORTS);
}

#[cfg(test)]
mod tests {
    use super::super::script::*;
    use super::super::words::*;
    use crate::counters::Cause;

    #[test]
    fn text_leaves_in_segments_of_mss_while_the_window_lasts() {
        let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(2500));
        let text: Vec<u8> = (0..4000).map(|n| n as u8).collect();
        s.write(&text);
        let mut sent = s.expect(ACK, 1, 1, 1000).data;
        sent.extend(s.expect(ACK, 1001, 1, 1000).data);
        s.silence();
        s.inject(seg(ACK, 1, 1001).wnd(2500));
        sent.extend(s.expect(ACK, 2001, 1, 1000).data);
        s.silence();
        s.inject(seg(ACK, 1, 3001).wnd(2500));
        sent.extend(s.expect(ACK, 3001, 1, 1000).data);
        assert_eq!(sent, text);
        s.inject(seg(ACK, 1, 4001)).silence();
        assert_eq!(s.word(SND_UNA), s.word(SND_MAX));
        s.counted(Cause::SegmentOut, 4).slots(1);
    }

    #[test]
    fn the_tail_waits_while_something_is_in_flight() {
        let mut s = Script::established();
        s.write(b"a");
        s.expect(ACK, 1, 1, 1);
        s.write(b"b").write(b"c").silence();
        s.inject(seg(ACK, 1, 2));
        assert_eq!(s.expect(ACK, 2, 1, 2).data, b"bc");
        s.silence();
    }

    #[test]
    fn text_carries_the_acknowledgement() {
        let mut s = Script::established();
        s.write(b"first");
        s.expect(ACK, 1, 1, 5);
        s.write(b"second").silence();
        s.inject(seg(ACK, 1, 6).data(b"request"));
        s.expect(ACK, 6, 8, 6);
        s.silence();
    }

    #[test]
    fn a_window_smaller_than_a_segment_is_filled_when_nothing_is_in_flight() {
        let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(300));
        let text: Vec<u8> = (0..1000).map(|n| (n / 3) as u8).collect();
        s.write(&text);
        let mut sent = s.expect(ACK, 1, 1, 300).data;
        s.silence();
        s.inject(seg(ACK, 1, 301).wnd(301));
        sent.extend(s.expect(ACK, 301, 1, 301).data);
        s.silence();
        s.inject(seg(ACK, 1, 602).wnd(8000));
        sent.extend(s.expect(ACK, 602, 1, 399).data);
        assert_eq!(sent, text);
        s.silence();
    }

    #[test]
    fn the_window_is_taken_from_the_latest_segment_only() {
        let mut s = Script::established();
        // WL1 = 1, WL2 = 1. A later segment shrinks it, an earlier one may not open it again.
        s.inject(seg(ACK, 1, 1).data(b"ab").wnd(100));
        s.expect(ACK, 1, 3, 0);
        assert_eq!(s.word(SND_WND), 100);
        s.inject(seg(ACK, 2, 1).data(b"b").wnd(9000));
        s.expect(ACK, 1, 3, 0);
        assert_eq!(s.word(SND_WND), 100);
        s.inject(seg(ACK, 3, 1).wnd(200)).silence();
        assert_eq!(s.word(SND_WND), 200);
    }

    #[test]
    fn psh_marks_what_was_flushed() {
        let mut s = Script::established();
        s.write(&[1; 1500]);
        assert_eq!(s.next().map(|s| s.flags), Some(ACK));
        s.inject(seg(ACK, 1, 1001));
        assert_eq!(s.next().map(|s| s.flags), Some(ACK | PSH));
    }
}
