//! Pending events: expired timers, and what the application wrote, read, closed, aborted or let go. All bits of the mask are seen to.
use super::marks::*;
use super::words::*;
use super::{constant, due, dup, flags, state, timer};
use crate::config::ToeConfig;
use crate::tcp::asm::{flags::*, k, operands::*, Asm};
use crate::tcp::isa::{cmd, pending, report};

/// A ring is small if it holds at most so many segments (4.4BSD has the same number): one of them more or less is felt.
const RING_OF: u32 = 8;
/// The bits of the mask that come once or twice in a connection's life.
const RARE: u32 = 1 << pending::RELEASED | 1 << pending::ABORT | 1 << pending::CLOSE;

pub(super) fn pending(a: &mut Asm, config: &ToeConfig) {
    a.label("pending");
    super::stamps::mark_pending(a, config);
    a.when(A).br("pending_closed");
    if config.complete() {
        let aside = u32::from(config.user_timeout_option) << pending::ASIDE;
        a.note("release, abort and close are rare")
            .ldi(RARE | aside)
            .and(RESULT)
            .not_zero(B);
        a.when(B).br(".rare");
    } else {
        a.when(P_RELEASED).br(".released");
        a.label(".after_released");
        a.when(P_ABORT).br("abort");
        a.when(P_CLOSE).br(".close");
    }
    a.label(".after_close");
    a.when(P_READ).br(".read");
    a.label(".after_read");
    a.when(P_TIMER).br(".timer");
    a.label(".send");
    a.ldi(state::ESTABLISHED).rsb(STATE).sign(A);
    if config.complete() {
        a.when(A).br(".opening");
    } else {
        a.when(A).done();
    }
    a.ldi(due::NOW).and(ACK_DUE).or_not_zero(ACK_NOW);
    if config.scoreboard() {
        a.ld(SND_WND).or_zero(SACK_ACK);
        let asked = if config.ecn { dup::ECE } else { 0 };
        a.ldi(dup::SCORE | dup::TWO | dup::lowers(config) | asked)
            .and(DUP_ACKS)
            .not_zero(A);
        a.when(A).br(".score");
    } else if config.ecn {
        a.ldi(dup::ECE).and(DUP_ACKS).not_zero(A);
        a.when(A).br("ecn_lower");
    }
    a.br("output");
    if config.scoreboard() {
        a.label(".score");
        if config.ecn {
            a.ldi(dup::ECE).and(DUP_ACKS).not_zero(A);
            a.when(A).br("ecn_lower");
        }
        if config.cubic {
            a.ldi(dup::DUE).and(DUP_ACKS).not_zero(A);
            a.when(A).br("cubic");
        }
        a.ldi(dup::SCORE).and(DUP_ACKS).zero(A);
        a.when(A).br(".owed");
        a.set(AGAIN);
        a.set(BUSY);
        a.br("again");
        a.label("pending.owed")
            .note("what an ACK that went alone has left: a hole again (RFC 6582), or with SACK new text beyond cwnd (RFC 3042). Else it is the second duplicate, and no more");
        a.ldi(dup::RECOVERY).and(DUP_ACKS).not_zero(AGAIN);
        a.ldi(flags::SACK).and(FLAGS).not_zero(LIMITED);
        a.ldi(dup::TWO).xor(DUP_ACKS);
        a.when(AGAIN).st(DUP_ACKS);
        a.when(LIMITED).st(DUP_ACKS);
        a.when(AGAIN).br("again");
        a.br("output");
    }

    if config.complete() {
        a.label(".opening");
        a.ldi(state::SYN_RECEIVED).xor(STATE).not_zero(A);
        super::cookies::opening(a, config);
        a.ld(CWND).or_not_zero(A);
        a.unless(A).call("send_side");
        a.done();
    }

    a.label(".released")
        .note("section 3.10.5: an ABORT ends TIME-WAIT, too; else its slot, or all of it, may be taken from now on");
    a.ldi(flags::RELEASED).or(FLAGS).to(FLAGS);
    a.clear(LIMITED);
    a.ldi(state::TIME_WAIT).xor(STATE).zero(A);
    a.when(P_ABORT).clear(A);
    if config.time_wait() > 0 {
        a.when(A).br("remember");
    } else {
        a.when(A)
            .timer_set(timer::TIME_WAIT, k(constant::TIME_WAIT));
        a.when(A).cmd_imm(cmd::RECYCLABLE, 1);
    }
    a.br(".after_released");

    if config.complete() {
        a.label(".rare");
        if config.user_timeout_option {
            a.note("what busy says in this place")
                .when(BUSY)
                .br("timeout_due");
            a.label("pending.later");
        }
        a.when(P_RELEASED).br(".released");
        a.label(".after_released");
        a.when(P_ABORT).br("abort");
        a.unless(P_CLOSE).br(".after_close");
    }

    a.label(".close")
        .note("section 3.10.4: a FIN behind the last byte; SYN-SENT just ends");
    a.ldi(flags::CLOSE).or(FLAGS).to(FLAGS);
    a.clear(AGAIN);
    a.ldi(state::SYN_SENT).xor(STATE).not_zero(A);
    a.when(A).br(".after_close");
    a.call("end_by_reset");
    a.done();

    a.label(".read")
        .note("section 3.8.6.2.2: a window that had become small is announced when it has grown by min(MSS, buffer / 2)");
    let mss = u32::from(config.receive_mss());
    let (small, more) = if config.complete() {
        a.note("small is what holds no two segments, or less than half of a ring of up to 8 KiB: the peer may wait for it with one on its way, and if that is lost nothing tells of it. Of a segment timestamps may have 12 bytes");
        let half = config.rx_ring_bytes as u32 / 2;
        let options = config.timestamps && mss == u32::from(config.mtu) - 40;
        let more = mss - if options { super::stamps::BYTES } else { 0 };
        (half.max(2 * mss).min(0xFFF), more)
    } else {
        (mss, mss)
    };
    if config.sack {
        a.clear(DUPLICATE);
    }
    a.ldi(state::PEER_FIN).and(STATE).not_zero(A);
    a.when(A).br(".read_to_the_end");
    a.cmd(cmd::RX_WINDOW);
    a.ldi(small - 1).add(RCV_NXT);
    a.sub(RCV_ADV).sign(A);
    if config.complete() && config.delayed_ack && config.rx_ring_bytes as u32 <= RING_OF * mss {
        a.note("nor is it wide if the ACK of two segments had to leave before the second was read, and that is a large part of the ring: the peer would have so much less on its way. An ACK that is still to come will say so")
            .when(A)
            .ld(ACK_DUE)
            .not_zero(A);
    }
    a.ldi(more - 1).add(RCV_ADV);
    a.sub(RESULT).sub(RESULT2).or_not_sign(A);
    a.unless(A).set(ACK_NOW);
    a.unless(A).ld(RESULT);
    a.unless(A).add(RESULT2).to(RCV_ADV);
    a.label(".was_read");
    if config.user_timeout_option {
        a.when(BUSY).br("timeout_alone");
    }
    a.br(".after_read");
    a.label(".read_to_the_end");
    a.ldi(state::TIME_WAIT).xor(STATE).zero(A);
    a.when(A).call("finish_read");
    a.br(".was_read");

    a.label("pending.timer");
    a.cmd(cmd::TIMER_TAKE);
    a.ldi(1 << timer::RETRANSMIT).and(RESULT).not_zero(B);
    if config.complete() {
        a.note("mostly it is alone").xor(RESULT).zero(A);
        a.when(A).br("retransmission_timeout");
    }
    a.ldi(1 << timer::TIME_WAIT).and(RESULT).not_zero(A);
    if config.complete() {
        a.when(A).br("third_timer");
        a.label("third_timer_seen");
    } else {
        a.when(A).br("time_wait_over");
    }
    a.note("released and in TIME-WAIT: begun anew as it expired")
        .ldi(flags::RELEASED)
        .and(FLAGS)
        .not_zero(A);
    a.when(A).done();
    a.ldi(1 << timer::DELAYED_ACK).and(RESULT).not_zero(A);
    a.when(A).ld(ACK_DUE).or_not_zero(ACK_NOW);
    a.ldi(1 << timer::KEEPALIVE).and(RESULT).not_zero(A);
    a.when(A).br("keepalive");
    a.label("not_probed");
    a.when(B).br("retransmission_timeout");
    a.br("pending.send");

    if config.complete() {
        a.label("third_timer")
            .note("TIME-WAIT's, or the user timeout (section 3.10.8), which is of no consequence if something was acknowledged since, or it was turned off");
        a.ldi(state::TIME_WAIT).xor(STATE).zero(A);
        a.when(A).br("time_wait_over");
        a.shl1(k(constant::BIT_16)).and(FLAGS).zero(A);
        a.ld(TRIES).or_zero(A);
        a.ldi(state::ESTABLISHED).rsb(STATE).or_sign(A);
        a.when(A).br("third_timer_seen");
        a.br("give_up");
    }

    a.label("keepalive")
        .note("RFC 9293 section 3.8.4, only while slots are short, in FIN-WAIT-2, or if the application asks for it; what is sent again is probe enough");
    a.ldi(constant::KEEPALIVE_INTERVAL).st(T0);
    if config.delayed_ack || config.sack {
        if config.complete() {
            a.ldi(flags::QUICK).and(FLAGS).xor(FLAGS).to(FLAGS);
        } else {
            a.ldi(!flags::QUICK & 0xFFF).and(FLAGS).to(FLAGS);
        }
    }
    if config.timestamps {
        a.ld(TICK_LONG);
        a.sub(TS_AGE).sign(C);
        a.when(C).br("stamps_aged");
        a.label("keepalive.aged");
    }
    if config.ecn {
        super::ecn::follow(a);
    }
    if config.syn_cookies {
        a.ldi(1).and(SHORT).not_zero(A);
    } else {
        a.ld(SHORT).not_zero(A);
    }
    a.ldi(state::FIN_WAIT_2).xor(STATE).or_zero(A);
    a.timer_set(timer::KEEPALIVE, T0);
    if config.complete() {
        a.note("section 3.8.3: from R1 on the application is told, once an interval (SHLD-9)")
            .ldi(constant::R1 - 1)
            .sub(TRIES)
            .sign(C);
        a.ld(TRIES);
        a.when(C).cmd_imm(cmd::REPORT, report::RETRYING);
        a.shl3(k(constant::BIT_16)).and(FLAGS).not_zero(C);
        a.when(C).br(".option");
        a.label(".asked");
    }
    a.note("silence counts only while it is asked about");
    a.unless(A).ld(k(0)).to(QUIET);
    a.unless(A).br("not_probed");
    a.ldi(constant::KEEPALIVE_PROBES + 1).xor(QUIET).zero(C);
    a.ld(QUIET).zero(A);
    a.ldi(1).add(QUIET).to(QUIET);
    a.when(C).br("give_up");
    a.when(A).br("not_probed");
    a.when(B).br("not_probed");
    a.note("<SEQ=SND.UNA-1><ACK=RCV.NXT><CTL=ACK>: unacceptable, so that a living peer answers; what else this event was to see to comes again");
    a.rsb(SND_UNA).to(T_SEQ);
    a.cmd(cmd::POST);
    a.ld(k(constant::CTL_ACK)).to(T_CTL);
    a.br("emit_counted");

    if config.complete() {
        a.label("keepalive.option")
            .note("MUST-26: nothing came for so many intervals, and nothing is outstanding: for then it is sent again, and R2 or the user timeout is the end");
        a.ld(QUIET).zero(C);
        a.ldi(1).add(IDLE).st(IDLE);
        a.when(C).br(".heard");
        a.sub(KEEP).sign(C);
        a.ld(SND_UNA).xor(SND_MAX).or_not_zero(C);
        a.unless(C).set(A);
        a.when(A).br(".asked");
        a.label("keepalive.silent")
            .note("silent for an interval, but not asked about: what follows once it is begins with the first probe");
        a.ldi(1).st(QUIET);
        a.br("not_probed");
        a.label("keepalive.heard");
        a.ldi(0).st(IDLE);
        a.when(A).br(".asked");
        a.br(".silent");
    }

    a.label("pending_closed")
        .note("over but for the application");
    a.when(P_RELEASED).br(".free");
    a.when(P_READ).call("finish_read");
    a.unless(P_TIMER).done();
    a.cmd(cmd::TIMER_TAKE);
    a.ldi(1 << timer::TIME_WAIT).and(RESULT).not_zero(A);
    a.when(A).br("time_wait_over");
    a.done();
    a.label(".free");
    a.timer_clear(timer::TIME_WAIT);
    a.cmd(cmd::FREE);
    a.done();
}

#[cfg(test)]
mod tests {
    use super::super::constant::*;
    use super::super::script::*;
    use super::super::words::*;
    use crate::config::{Owner, ToeConfig};
    use crate::counters::Cause;

    /// The bound on a connection just opened: its first interval is one RTO.
    const SOONEST: u32 = KEEPALIVE_BOUND - KEEPALIVE_INTERVAL + RTO_INITIAL;

    /// Four established connections, of the ports 1000 to 1003.
    fn full() -> Script {
        let mut s = Script::new();
        for port in 1000..1004 {
            s.inject(seg(SYN, 0, 0).with_source(port).mss(1000));
            let ours = s.next().expect("SYN-ACK").seq;
            s.inject(seg(ACK, 1, ours.wrapping_add(1)).with_source(port))
                .silence();
        }
        s.slots(4);
        s
    }

    /// And a newcomer that has found no slot.
    fn crowded() -> Script {
        let mut s = full();
        s.inject(seg(SYN, 0, 0)).silence();
        s.counted(Cause::NoSlot, 1).slots(4);
        s
    }

    // ---- keepalive ------------------------------------------------------------------------------

    #[test]
    fn nobody_is_probed_while_there_is_room() {
        let mut s = Script::established();
        s.ticks(100_000).silence().state("ESTABLISHED").slots(1);
    }

    #[test]
    fn a_newcomer_gets_in_when_the_peers_have_vanished() {
        let mut s = crowded();
        s.ticks(SOONEST - 1);
        s.slots(4).counted(Cause::GaveUp, 0);
        for _ in 0..4 * KEEPALIVE_PROBES {
            let probe = s.next().expect("a probe");
            assert_eq!((probe.flags, probe.data.len()), (ACK, 0));
        }
        s.silence();
        s.ticks(1).slots(0);
        for _ in 0..4 {
            assert_eq!(s.next().expect("a reset").flags, RST | ACK);
        }
        s.silence().counted(Cause::GaveUp, 4);
        s.inject(seg(SYN, 0, 0));
        assert_eq!(s.next().expect("SYN-ACK").flags, SYN | ACK);
    }

    #[test]
    fn one_who_answers_keeps_his_slot_and_is_left_alone_again() {
        let mut s = crowded();
        let ours = s.word(SND_UNA).wrapping_sub(US);
        let mut probes = 0;
        for _ in 0..10 * KEEPALIVE_INTERVAL {
            s.ticks(1);
            while let Some(segment) = s.next() {
                if segment.ports.1 == 1000 {
                    // As any peer: below its window, so it answers.
                    assert_eq!((segment.seq, segment.ack), (ours.wrapping_sub(1), 1));
                    probes += 1;
                    s.inject(seg(ACK, 1, ours).with_source(1000));
                }
            }
        }
        // The answer to each makes the next interval one that was not silent.
        assert_eq!(probes, 5);
        s.state("ESTABLISHED").slots(1).counted(Cause::GaveUp, 3);
        s.inject(seg(SYN, 0, 0));
        assert_eq!(s.next().expect("SYN-ACK").flags, SYN | ACK);
        s.inject(seg(RST, 1, 0)).silence();
        s.ticks(100_000).silence().state("ESTABLISHED").slots(1);
    }

    #[test]
    fn what_an_event_had_to_see_to_besides_the_probe_is_done() {
        let mut s = crowded();
        let ours = s.word(SND_UNA).wrapping_sub(US);
        s.ticks(RTO_INITIAL + KEEPALIVE_INTERVAL - 1).silence();
        s.toe.tick();
        s.write(b"x");
        let mut seen = Vec::new();
        while let Some(segment) = s.next() {
            if segment.ports.1 == 1000 {
                seen.push((
                    segment.flags & !PSH,
                    segment.seq.wrapping_sub(ours),
                    segment.data.len(),
                ));
            }
        }
        assert_eq!(seen, [(ACK, u32::MAX, 0), (ACK, 0, 1)]);
    }

    /// An outage while slots were short, then an hour later another shortage: everybody is asked anew.
    #[test]
    fn probes_unanswered_in_an_earlier_shortage_do_not_count() {
        let mut s = crowded();
        s.ticks(SOONEST - 1);
        while s.next().is_some() {}
        s.inject(seg(RST, 1, 0).with_source(1003)).silence();
        for port in [1004, 1005] {
            s.counted(Cause::GaveUp, 0)
                .inject(seg(SYN, 0, 0).with_source(port));
            if let Some(answer) = s.next() {
                assert_eq!((port, answer.flags), (1004, SYN | ACK));
                s.inject(seg(ACK, 1, answer.seq.wrapping_add(1)).with_source(port));
                s.silence().ticks(KEEPALIVE_BOUND).silence();
            }
        }
        s.counted(Cause::NoSlot, 2).ticks(2 * KEEPALIVE_INTERVAL);
        s.counted(Cause::GaveUp, 0).slots(4);
        // A silent interval, then the first probe to each.
        let probes = std::iter::from_fn(|| s.next()).collect::<Vec<_>>();
        assert!(probes.iter().all(|p| p.flags == ACK) && (4..=8).contains(&probes.len()));
    }

    #[test]
    fn a_tuple_in_use_is_no_shortage() {
        let mut s = Script::established();
        s.toe
            .connect(HOST_PORT, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        s.settle().counted(Cause::ConnectRefused, 1);
        s.ticks(KEEPALIVE_BOUND).silence().state("ESTABLISHED");
    }

    #[test]
    fn an_earlier_life_s_keepalive_ends_with_it() {
        let mut s = full();
        // The slot of 1003 becomes an active open's; its place is the fourth.
        s.inject(seg(RST, 1, 0).with_source(1003)).silence();
        s.toe
            .connect(HOST_PORT, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        s.settle();
        assert_eq!(s.next().expect("SYN").flags, SYN);
        s.inject(seg(SYN, 0, 0).with_source(1004)).silence();
        s.counted(Cause::NoSlot, 1);
        for _ in 0..KEEPALIVE_BOUND {
            s.ticks(1);
            while let Some(segment) = s.next() {
                assert!(segment.ports.1 != PEER_PORT || segment.flags == SYN);
            }
        }
        s.counted(Cause::GaveUp, 3);
    }

    #[test]
    fn a_peer_with_a_shut_window_keeps_its_slot_while_it_answers() {
        let mut s = crowded();
        let ours = s.word(SND_UNA).wrapping_sub(US);
        s.inject(seg(ACK, 1, ours).with_source(1000).wnd(0))
            .silence();
        s.write(b"text");
        for _ in 0..3 * KEEPALIVE_BOUND {
            s.ticks(1);
            while let Some(segment) = s.next() {
                if segment.ports.1 == 1000 {
                    assert_eq!(segment.flags & RST, 0);
                    s.inject(seg(ACK, 1, ours).with_source(1000).wnd(0));
                }
            }
        }
        s.state("ESTABLISHED").slots(1).counted(Cause::GaveUp, 3);
    }

    #[test]
    fn an_ack_beside_a_probe_stays_inside_the_shut_window() {
        let mut s = Script::established();
        s.inject(seg(ACK, 1, 1).wnd(0)).silence();
        s.write(b"text");
        s.ticks(1_500);
        // The probe, which the peer does not take: it goes on to expect 1.
        s.expect(ACK, 1, 1, 1);
        while s.next().is_some() {}
        s.inject(seg(ACK, 1, 1).data(b"x").wnd(0)).ticks(50);
        s.expect(ACK, 1, 2, 0);
        // What came before is answered there, too, and what lies beyond the window.
        for seq in [1, 20_000] {
            s.inject(seg(ACK, seq, 1).data(b"x").wnd(0));
            s.expect(ACK, 1, 2, 0);
        }
        s.inject(seg(ACK, 2, 2).wnd(0)).silence();
        s.write(b"more");
        s.inject(seg(ACK, 2, 2).data(b"y"));
        assert_eq!(s.next().map(|s| s.ack), Some(3));
    }

    #[test]
    fn so_does_a_delayed_one() {
        let config = ToeConfig {
            delayed_ack: true,
            ..config()
        };
        let mut s = Script::established_with(config, seg(SYN, 0, 0).mss(1000));
        s.inject(seg(ACK, 1, 1).wnd(0)).silence();
        s.write(b"text");
        s.ticks(1_500);
        s.expect(ACK, 1, 1, 1);
        while s.next().is_some() {}
        s.inject(seg(ACK, 1, 1).data(b"x").wnd(0)).silence();
        s.ticks(DELAYED_ACK);
        s.expect(ACK, 1, 2, 0);
    }

    #[test]
    fn a_refused_active_open_makes_slots_short_too() {
        let mut s = Script::established();
        for port in 0..4 {
            s.toe
                .connect(1000 + port, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        }
        s.settle().counted(Cause::ConnectRefused, 1);
        while s.next().is_some() {}
        s.ticks(KEEPALIVE_BOUND).state("CLOSED");
    }

    #[test]
    fn fin_wait_2_has_a_limit() {
        let mut s = Script::established();
        s.close();
        s.expect(FIN | ACK, 1, 1, 0);
        s.inject(seg(ACK, 1, 2)).silence().state("FIN-WAIT-2");
        s.ticks(SOONEST - 1).state("FIN-WAIT-2");
        for _ in 0..KEEPALIVE_PROBES {
            s.expect(ACK, 1, 1, 0);
        }
        // One who answers is heard again for as long.
        s.silence().inject(seg(ACK, 1, 2)).silence();
        s.ticks(KEEPALIVE_BOUND - KEEPALIVE_INTERVAL)
            .state("FIN-WAIT-2");
        for _ in 0..KEEPALIVE_PROBES {
            s.expect(ACK, 1, 1, 0);
        }
        s.silence().ticks(1);
        s.expect(RST | ACK, 2, 1, 0);
        s.silence()
            .state("CLOSED")
            .counted(Cause::GaveUp, 1)
            .slots(0);
    }

    // ---- what the application did ---------------------------------------------------------------

    #[test]
    fn a_small_window_is_announced_when_it_has_grown_by_a_segment() {
        let mut s = Script::established();
        for n in 0..7 {
            s.inject(seg(ACK, 1 + n * 1000, 1).data(&[7; 1000]));
            s.expect(ACK, 1, 1001 + n * 1000, 0);
        }
        // 1192 are left, less than a segment of 1448, as timestamps leave it.
        assert_eq!(s.toe.host_read(0, 1447).len(), 1447);
        s.settle().silence();
        assert_eq!(s.toe.host_read(0, 1).len(), 1);
        s.settle();
        assert_eq!(s.expect(ACK, 1, 7001, 0).wnd, 1192 + 1448);
        s.silence();
    }

    /// What is less than half of the ring, and holds no two segments, keeps the peer from having two on their way.
    #[test]
    fn a_window_of_less_than_two_segments_is_small() {
        for (ring, taken, announced) in [
            (8192, 4096, false),
            (8192, 4098, true),
            (4096, 1176, false),
            (4096, 1448, true),
        ] {
            let config = ToeConfig {
                rx_ring_bytes: ring,
                ..config()
            };
            let mut s = Script::established_with(config, seg(SYN, 0, 0).mss(1000));
            // Ahead of a gap, so that all of it is acknowledged at once.
            let rest = vec![7; taken - 1];
            for (n, piece) in rest.chunks(1400).enumerate() {
                let at = seg(ACK, 2 + 1400 * n as u32, 1);
                s.inject(at.data(piece));
                s.expect(ACK, 1, 1, 0);
            }
            s.inject(seg(ACK, 1, 1).data(&[7]));
            let told = s.expect(ACK, 1, 1 + taken as u32, 0);
            assert_eq!(usize::from(told.wnd), ring - taken);
            assert_eq!(s.read().len(), taken);
            let wnd = s.next().map(|s| usize::from(s.wnd));
            assert_eq!(wnd, announced.then_some(ring), "{ring} {taken}");
        }
    }

    /// The ACK of two segments leaves before the application can have read the second; once it has, the peer may fill the ring again.
    #[test]
    fn a_segment_read_behind_its_ack_is_announced_where_the_ring_holds_few() {
        for (ring, announced) in [(8192, true), (16_384, false)] {
            let config = ToeConfig {
                rx_ring_bytes: ring,
                delayed_ack: true,
                ..config()
            };
            let mut s = Script::established_with(config, seg(SYN, 0, 0).mss(1000));
            for pair in 0..3 {
                let at = 1 + 2896 * pair;
                s.inject(seg(ACK, at, 1).data(&[7; 1448])).silence();
                // Its ACK is still to come.
                assert_eq!(s.read().len(), 1448);
                s.silence();
                s.inject(seg(ACK, at + 1448, 1).data(&[7; 1448]));
                let told = s.expect(ACK, 1, at + 2896, 0);
                assert_eq!(usize::from(told.wnd), ring - 1448);
                // A byte less is none.
                assert_eq!(s.toe.host_read(0, 1447).len(), 1447);
                s.settle().silence();
                assert_eq!(s.toe.host_read(0, 1).len(), 1);
                let wnd = s.settle().next().map(|s| usize::from(s.wnd));
                assert_eq!(wnd, announced.then_some(ring));
                s.silence();
            }
        }
    }

    #[test]
    fn a_wide_window_is_not_announced() {
        let mut s = Script::established();
        s.inject(seg(ACK, 1, 1).data(&[7; 1460]))
            .inject(seg(ACK, 1461, 1).data(&[7; 1460]));
        s.expect(ACK, 1, 1461, 0);
        s.expect(ACK, 1, 2921, 0);
        assert_eq!(s.read().len(), 2920);
        s.silence();
    }

    #[test]
    fn all_wishes_of_one_event_are_granted() {
        let mut s = Script::established();
        for n in 0..8 {
            s.inject(seg(ACK, 1 + n * 1024, 1).data(&[7; 1024]));
            s.expect(ACK, 1, 1025 + n * 1024, 0);
        }
        assert_eq!(s.toe.host_read(0, 8192).len(), 8192);
        assert_eq!(s.toe.host_write(0, b"last words"), 10);
        s.toe.host_close(0);
        s.settle();
        let first = s.expect(ACK, 1, 8193, 10);
        assert_eq!(first.wnd, 8192);
        s.expect(FIN | ACK, 11, 8193, 0);
        s.silence();
    }
}
