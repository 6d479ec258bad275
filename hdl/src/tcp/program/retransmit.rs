//! The retransmission timer, back-off, zero-window probes, giving up (RFC 6298 section 5, RFC 9293 sections 3.8.1, 3.8.3, 3.8.6.1).
use super::marks::*;
use super::transmit::forced;
use super::words::*;
use super::{constant, dup, flags, none, state, timer, zero};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::OK, k, operands::*, Asm};
use crate::tcp::isa::{cmd, report};

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    a.label("retransmission_timeout")
        .note("of data and FIN, or (b) of a SYN, which is outstanding too");
    a.ldi(state::ESTABLISHED).rsb(STATE).sign(B);
    if config.complete() {
        a.when(B).br("syn_timeout");
    }
    a.ld(SND_UNA).xor(SND_MAX).zero(A);
    a.when(A).br("probe");
    if config.scoreboard() {
        a.ld(PTO).sub(RTO).not_zero(A);
        if !config.complete() {
            a.when(B).clear(A);
        }
        a.when(A).br("probe_tail");
    }
    a.count(Cause::RtoExpired.number());
    a.ldi(constant::DATA_TRIES - 1);
    if config.complete() {
        a.sub(TRIES).sign(A);
        a.shl1(k(constant::BIT_16)).and(FLAGS).or_not_zero(A);
        a.when(A).br("user_timeout");
        a.label("try_again");
        a.ld(TRIES).not_zero(A);
    } else {
        a.when(B).ldi(constant::SYN_TRIES - 1);
        a.sub(TRIES).sign(A);
        a.when(A).br("give_up");
        a.ld(TRIES).or_not_zero(A);
        a.when(B).set(A);
    }
    a.note("RFC 5681 section 3.1: ssthresh at the first timeout of a segment, cwnd one segment at each");
    if config.user_timeout_option {
        a.when(A).br(".once_more");
        a.note("RFC 5482 counts from when it was sent")
            .ld(RTO)
            .rsb(TICK_LONG);
        a.st(SENT_SINCE);
        a.call("halve");
        a.label(".once_more");
    } else {
        a.unless(A).call("halve");
    }
    a.unless(B).ld(MSS).to(CWND);
    if config.complete() {
        a.label("back_off");
    }
    a.ldi(1).add(TRIES).to(TRIES);
    a.note("RFC 6298 sections 5.5 and 2.5").shl1(RTO);
    a.sub(k(constant::RTO_MAX)).not_sign(A);
    a.when(A).ld(k(constant::RTO_MAX));
    a.st(RTO);
    if config.scoreboard() {
        a.st(PTO);
    }
    a.when(B).br("syn_again");
    if config.scoreboard() {
        a.ldi(flags::SACK).and(FLAGS).not_zero(A);
        a.when(A).br("all_lost");
    }
    a.call("go_back");
    if config.cubic {
        a.ldi(dup::GROWS | dup::DUE).st(DUP_ACKS);
    }
    a.note("RFC 6298 section 5.4: the earliest segment not acknowledged");
    a.set(FORCE);
    a.br(forced(config));

    if config.complete() {
        a.label("syn_timeout");
        a.count(Cause::RtoExpired.number());
        a.note("an active open's, of which the application knows, or a passive one's (a)")
            .ldi(flags::APP)
            .and(FLAGS)
            .zero(A);
        a.ldi(constant::OPEN_TRIES - 1);
        a.when(A).ldi(constant::SYN_TRIES - 1);
        a.sub(TRIES).sign(A);
        a.when(A).br("give_up");
        a.br("back_off");

        a.label("user_timeout")
            .note("RFC 9293 section 3.10.8: if there is one, its time in place of R2, counted from when the timer that expired first was set: what that ran for is gone. RFC 5482 section 3.1: it is longer than RTO");
        a.ld(USER_TIMEOUT);
        a.rsb(RTO).not_sign(C);
        a.sub(RTO);
        a.when(C).ld(RTO);
        a.st(T0);
        a.shl1(k(constant::BIT_16)).and(FLAGS).zero(A);
        a.when(A).br("give_up");
        a.ld(TRIES).not_zero(A);
        a.unless(A).timer_set(timer::TIME_WAIT, T0);
        a.br("try_again");
    }

    a.label("probe")
        .note("nothing is outstanding: if the window is shut, send one byte into it");
    a.ld(SND_WND).not_zero(A);
    if config.complete() {
        a.ldi(1).add(SND_MAX);
        a.xor(TIMED_SEQ).not_zero(B);
        a.unless(A).br(".shut");
        a.note("if there is nothing to wait for, the connection has rested")
            .when(B)
            .br("rest");
        a.note("if it is small, it was the override timeout: what it takes goes now")
            .ld(SND_UNA)
            .st(TIMED_SEQ);
        a.set(LIMITED);
        a.br("output_now");
        a.label("probe.shut");
        a.cmd_a(cmd::TX_PEEK, TX_INDEX);
        a.unless(OK).br("rest");
    } else {
        a.when(A).br("output");
    }
    a.count(Cause::ZeroWindowProbe.number());
    a.note("if it can't be cut, or is a byte long, the whole head is the probe");
    a.set(FORCE);
    a.ldi(1).st(T0);
    a.cmd_a(cmd::TX_PEEK, TX_INDEX);
    a.ldi(0xFFF).and(RESULT).xor(T0).zero(A);
    a.when(A).br(forced(config));
    a.cmd_a(cmd::TX_RECUT, T0);
    a.br(forced(config));

    if config.complete() {
        rest(a, config);
    }

    a.label("syn_again");
    none(a, TIMED_AT);
    a.ldi(state::SYN_SENT).xor(STATE).zero(A);
    a.when(A).br("connect_route");
    a.count(Cause::Retransmit.number());
    a.br("send_syn_ack");

    a.label("give_up")
        .note("RFC 9293 section 3.8.3, R2; a half-open connection goes without a word");
    a.count(Cause::GaveUp.number());
    a.ldi(state::ESTABLISHED).rsb(STATE).sign(C);
    if config.complete() {
        a.note("section 3.10.8: who knows of it is told the cause")
            .ldi(flags::APP)
            .and(FLAGS)
            .not_zero(A);
        a.ld(TRIES);
        a.when(A).cmd_imm(cmd::REPORT, report::TIMED_OUT);
    }
    a.br("end_unless_c_with_rst");

    a.label("go_back")
        .note("the next to send is the head of the ring again; Karn: nothing sent again is timed");
    a.cmd_a(cmd::TX_FREE, SND_UNA);
    none(a, TIMED_AT);
    zero(a, TX_INDEX);
    a.ldi(dup::GROWS).st(DUP_ACKS);
    a.ldi(1).add(SND_MAX).to(RECOVER);
    a.ld(RESULT2).to(SND_NXT);
    a.ret();
}

/// The timer expired with nothing outstanding and nothing to send. RFC 5681 section 4.1: before a connection sends that has not done so for an RTO, cwnd becomes the restart window, min (IW, cwnd). Judged here, so that what
/// is sent needs no look at the clock. The timer runs from the ACK of all that was sent, which came a round trip after the last segment had left.
fn rest(a: &mut Asm, config: &ToeConfig) {
    a.label("rest");
    if config.ecn {
        super::ecn::rested(a);
    }
    if config.scoreboard() {
        a.note("it ran for PTO, as it does after each ACK; now for what is left of RTO since that segment. The second time nothing has been sent since the first");
        a.ld(REST).st(T0);
        a.ld(SND_MAX).st(REST);
        a.xor(T0).zero(A);
        a.shr3(SRTT).add(PTO).rsb(RTO).st(T0);
        a.sub(k(0)).or_sign(A).or_zero(A);
        a.unless(A).timer_set(super::timer::RETRANSMIT, T0);
        a.unless(A).br("pending.send");
    }
    if config.cubic {
        super::cubic::rest(a);
    }
    a.note("IW: RFC 6928");
    a.shl3(MSS).add(MSS).add(MSS).st(T0);
    a.sub(CWND).sign(A);
    a.when(A).st(CWND);
    a.ldi(dup::GROWS).or(DUP_ACKS);
    a.when(A).st(DUP_ACKS);
    a.br("pending.send");
}

#[cfg(test)]
mod tests {
    use super::super::script::*;
    use super::super::words::*;
    use crate::counters::Cause;

    #[test]
    fn the_head_comes_again_and_the_rest_follows_its_ack() {
        let mut s = Script::established();
        s.write(&[1; 3000]);
        for n in 0..3 {
            s.expect(ACK, 1 + n * 1000, 1, 1000);
        }
        s.ticks(201);
        s.expect(ACK, 1, 1, 1000);
        s.silence();
        s.write(b"tail").silence();
        s.inject(seg(ACK, 1, 1001));
        s.expect(ACK, 1001, 1, 1000);
        s.expect(ACK, 2001, 1, 1000);
        s.silence();
        s.inject(seg(ACK, 1, 3001));
        s.expect(ACK, 3001, 1, 4);
        s.counted(Cause::RtoExpired, 1)
            .counted(Cause::Retransmit, 3);
    }

    #[test]
    fn an_ack_of_everything_after_going_back_ends_it() {
        let mut s = Script::established();
        s.write(&[1; 3000]);
        for n in 0..3 {
            s.expect(ACK, 1 + n * 1000, 1, 1000);
        }
        s.ticks(201);
        s.expect(ACK, 1, 1, 1000);
        s.inject(seg(ACK, 1, 2001));
        s.expect(ACK, 2001, 1, 1000);
        s.inject(seg(ACK, 1, 3001)).silence();
        assert_eq!((s.word(TX_INDEX), s.word(TRIES)), (0, 0));
        s.ticks(3000).silence();
    }

    #[test]
    fn data_is_given_up_after_eight_tries_with_a_reset() {
        let mut s = Script::established();
        s.write(b"x");
        s.expect(ACK, 1, 1, 1);
        let mut wait = s.word(RTO);
        for _ in 0..8 {
            s.ticks(wait - 1).silence().ticks(1);
            s.expect(ACK, 1, 1, 1);
            s.silence();
            wait = (wait * 2).min(65_536);
        }
        s.ticks(wait - 1).silence().ticks(1);
        s.expect(RST | ACK, 2, 1, 0);
        s.silence().state("CLOSED");
        s.counted(Cause::GaveUp, 1)
            .counted(Cause::Retransmit, 8)
            .slots(0);
    }

    #[test]
    fn a_shut_window_is_probed_for_ever_while_answered() {
        let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(0));
        s.write(b"hello").silence();
        let rto = s.word(RTO);
        s.ticks(rto - 1).silence().ticks(1);
        assert_eq!(s.expect(ACK, 1, 1, 1).data, b"h");
        let mut wait = rto;
        for n in 0..20 {
            s.inject(seg(ACK, 1, 1).wnd(0)).silence();
            s.ticks(wait - 1).silence().ticks(1);
            assert_eq!(s.expect(ACK, 1, 1, 1).data, b"h", "probe {n}");
            wait = (wait * 2).min(65_536);
        }
        s.inject(seg(ACK, 1, 1).wnd(100));
        assert_eq!(s.expect(ACK, 1, 1, 1).data, b"h");
        assert_eq!(s.expect(ACK, 2, 1, 4).data, b"ello");
        s.inject(seg(ACK, 1, 6).wnd(100)).silence();
        s.counted(Cause::GaveUp, 0).slots(1);
    }

    #[test]
    fn a_probe_of_the_only_byte_there_is() {
        let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(0));
        s.write(b"h").silence();
        let mut wait = s.word(RTO);
        for _ in 0..3 {
            s.ticks(wait - 1).silence().ticks(1);
            assert_eq!(s.expect(ACK, 1, 1, 1).data, b"h");
            s.inject(seg(ACK, 1, 1).wnd(0)).silence();
            wait = s.word(RTO);
        }
        s.inject(seg(ACK, 1, 2).wnd(10)).silence();
        s.write(b"i");
        assert_eq!(s.expect(ACK, 2, 1, 1).data, b"i");
    }

    #[test]
    fn a_window_that_shuts_while_acks_of_the_first_flight_still_come_is_probed() {
        let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(3000));
        s.write(&[1; 5000]);
        for n in 0..3 {
            s.expect(ACK, 1 + n * 1000, 1, 1000);
        }
        let rto = s.word(RTO);
        s.ticks(rto);
        s.expect(ACK, 1, 1, 1000);
        s.inject(seg(ACK, 1, 1001).wnd(0)).silence();
        s.inject(seg(ACK, 1, 3001).wnd(0)).silence();
        let rto = s.word(RTO);
        s.ticks(rto - 1).silence().ticks(1);
        s.expect(ACK, 3001, 1, 1);
        s.silence();
    }

    #[test]
    fn a_window_that_ends_in_a_segment_half_acknowledged_is_counted_from_what_is() {
        let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(2000));
        s.inject(seg(ACK, 1, 1).wnd(1000)).silence();
        s.write(&[1; 2000]);
        s.expect(ACK, 1, 1, 1000);
        s.inject(seg(ACK, 1, 501).wnd(0)).silence();
        s.inject(seg(ACK, 1, 501).wnd(400));
        // 501 to 900 are new to the peer.
        s.expect(ACK, 1, 1, 900);
        s.inject(seg(ACK, 1, 901).wnd(99));
        s.expect(ACK, 901, 1, 99);
        s.inject(seg(ACK, 1, 1000).wnd(5000));
        s.expect(ACK, 1000, 1, 1);
        s.expect(ACK, 1001, 1, 1000);
        s.silence();
    }

    #[test]
    fn a_probe_that_is_taken_goes_on_with_the_rest() {
        let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(0));
        s.write(b"hello").silence();
        let rto = s.word(RTO);
        s.ticks(rto);
        s.expect(ACK, 1, 1, 1);
        s.inject(seg(ACK, 1, 2).wnd(3));
        assert_eq!(s.expect(ACK, 2, 1, 3).data, b"ell");
        s.inject(seg(ACK, 1, 5).wnd(3));
        assert_eq!(s.expect(ACK, 5, 1, 1).data, b"o");
    }

    #[test]
    fn a_peer_that_never_answers_a_probe_is_given_up() {
        let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(0));
        s.write(b"hello");
        s.ticks(250_000);
        while let Some(probe) = s.next() {
            if probe.flags & RST != 0 {
                break;
            }
            assert_eq!(probe.data, b"h");
        }
        s.silence()
            .state("CLOSED")
            .counted(Cause::GaveUp, 1)
            .slots(0);
    }

    #[test]
    fn every_byte_arrives_whatever_is_lost() {
        // The peer of this test keeps what it gets in order and acknowledges it; every third segment each way is lost.
        let mut s = Script::established();
        let text: Vec<u8> = (0..6000u32).map(|n| ((n * 7) >> 3) as u8).collect();
        let (mut got, mut n) = (Vec::<u8>::new(), 0);
        s.write(&text);
        for _ in 0..2000 {
            let mut acks = Vec::new();
            while let Some(segment) = s.next() {
                n += 1;
                if n % 3 == 0 {
                    continue;
                }
                if segment.seq as usize == got.len() + 1 {
                    got.extend(&segment.data);
                }
                acks.push(got.len() as u32 + 1);
            }
            for ack in acks {
                n += 1;
                if n % 3 != 0 {
                    s.inject(seg(ACK, 1, ack));
                }
            }
            s.ticks(100);
        }
        assert!(got == text, "{} of {} bytes", got.len(), text.len());
        s.state("ESTABLISHED").slots(1);
        assert_eq!(s.word(SND_UNA), s.word(SND_MAX));
    }
}
