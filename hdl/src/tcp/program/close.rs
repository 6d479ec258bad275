//! The end of a connection: FIN, TIME-WAIT, RST (RFC 9293 sections 3.5.2, 3.6, 3.10.4, 3.10.5).
use super::marks::*;
use super::words::*;
use super::{constant, flags, state, timer, zero};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::asm::{flags::*, k, operands::*, Asm};
use crate::tcp::isa::{cmd, notify, out};

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    a.label("last_ack_over");
    a.note("the counters take one occurrence of the engine's in three cycles: never two within two words of each other");
    a.count(Cause::Closed.number());
    zero(a, STATE);
    a.call("finish");
    a.count(Cause::Accepted.number());
    a.done();

    a.label("enter_time_wait");
    a.count(Cause::Closed.number());
    a.label("finish")
        .note("both directions are over: tell the application once it has read all, at the latest when this timer expires");
    if config.ethernet {
        a.shr1(k(constant::BIT_16)).st(T0);
        a.timer_clear(timer::RETRANSMIT);
        a.timer_set(timer::TIME_WAIT, T0);
    } else {
        a.note("the shared row has room for it where no addresses are needed");
        a.timer_clear(timer::RETRANSMIT);
        a.timer_set(timer::TIME_WAIT, k(constant::UNREAD));
    }
    a.label("finish_read");
    a.cmd(cmd::RX_WINDOW);
    a.li(config.rx_ring_bytes as u32).xor(RESULT).not_zero(A);
    a.when(A).ret();
    a.label("tell_closed");
    a.ldi(flags::TOLD).and(FLAGS).not_zero(A);
    a.when(A).ret();
    a.or(FLAGS).to(FLAGS);
    a.cmd_imm(cmd::NOTIFY, notify::CLOSED);
    a.ret();

    a.label("time_wait_over");
    zero(a, STATE);
    a.note("an entry that its switch still knows is freed when that has let go");
    a.ldi(flags::RELEASED).and(FLAGS).zero(B);
    a.when(B).call("tell_closed");
    a.unless(B).cmd(cmd::FREE);
    a.done();

    if config.time_wait() > 0 {
        time_wait(a, config);
    }

    a.label("end_by_reset")
        .note("the connection is over; its entry is freed when the application has let go");
    a.timer_clear(timer::RETRANSMIT);
    a.timer_clear(timer::TIME_WAIT);
    zero(a, STATE);
    a.ldi(flags::RELEASED).and(FLAGS).not_zero(A);
    a.ldi(flags::APP).and(FLAGS).or_zero(A);
    a.when(A).cmd(cmd::FREE);
    a.when(A).ret();
    a.ldi(flags::TOLD).and(FLAGS).not_zero(A);
    a.when(A).ret();
    a.or(FLAGS).to(FLAGS);
    a.cmd_imm(cmd::NOTIFY, notify::RESET);
    a.ret();

    a.label("end_unless_c_with_rst");
    a.call("end_by_reset");
    a.when(C).done();
    a.note("<SEQ=SND.NXT><ACK=RCV.NXT><CTL=RST,ACK>");
    a.ldi(4).st(T0);
    a.ld(SND_MAX).to(T_SEQ);
    a.count(Cause::ResetOut.number());
    a.shl16(T0).or(k(constant::CTL_ACK)).to(T_CTL);
    a.br("emit_bare");

    a.label("reset_reply")
        .note("section 3.5.2: <SEQ=SEG.ACK><CTL=RST>, or without an ACK <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>");
    a.ldi(0x04);
    a.when(ACK).ldi(0x14);
    a.st(T0);
    a.shl16(SEG_PORTS).st(T2);
    a.ldi(0);
    a.when(SYN).ldi(1);
    a.add(SEG_SEQ).add(SEG_LEN).st(T1);
    a.shl16(T0).xor(k(constant::CTL_ACK)).to(T_CTL);
    a.shr16(SEG_PORTS).or(T2).to(T2);
    a.ldi(1);
    a.when(FIN).add(T1).to(T1);
    a.when(ACK).ld(k(0)).to(T1);
    a.ld(k(0)).st(T_SEQ);
    a.when(ACK).ld(SEG_ACK).to(T_SEQ);
    if config.ethernet {
        if !config.vlan {
            a.shr16(SEG_MACURG).st(T0);
        }
        a.out(out::MAC_LO, SEG_MACLO);
    }
    a.out(out::IP, SEG_IP);
    a.out(out::PORTS, T2);
    if config.ethernet {
        a.out(out::MAC_HI, if config.vlan { SEG_MACURG } else { T0 });
    }
    a.out(out::SEQ, T_SEQ);
    a.out(out::ACK, T1);
    a.out(out::CTL, T_CTL);
    a.ld(k(0));
    a.cmd_a(cmd::SEND, k(0));
    a.count(Cause::ResetOut.number());
    a.done();

    a.label("abort")
        .note("section 3.10.5: RST from SYN-RECEIVED to CLOSE-WAIT, nothing from the other states");
    a.ldi(state::CLOSING).rsb(STATE).not_sign(C);
    a.ldi(state::SYN_SENT).xor(STATE).zero(B);
    a.when(B).set(C);
    a.br("end_unless_c_with_rst");
}

/// TIME-WAIT without buffers.
fn time_wait(a: &mut Asm, config: &ToeConfig) {
    a.label("remember")
        .note("the application has let go: what TIME-WAIT needs moves to the oldest entry behind the connections, the slot is free");
    a.timer_clear(timer::TIME_WAIT);
    a.ld(PORTS).to(T_SEQ);
    a.ld(IP).to(T_CTL);
    if config.ethernet {
        a.ld(MAC_LO).to(T_LEN);
        a.ld(MAC_HI).to(T_SUM);
    }
    a.ld(SND_MAX).to(T0);
    a.ld(RCV_NXT).to(T1);
    a.ld(ACK_DUE).not_zero(ACK_NOW);
    if config.timestamps {
        a.ld(FLAGS).sign(B);
        a.ld(TS_RECENT).to(T_RECENT);
        a.ld(TS_OFFSET).to(T_OFFSET);
    }
    a.note("segments that wait in the queue must not find it here");
    zero(a, STATE);
    zero(a, PORTS);
    a.cmd(cmd::MOVE);
    a.ld(RESULT2).zero(A);
    a.ld(OUT_PORTS);
    a.cmd_a(cmd::SETCONN, RESULT);
    a.timer_set(timer::TIME_WAIT, k(constant::TIME_WAIT));
    a.unless(A).count(Cause::Recycled.number());
    a.or(k(0)).to(OUT_PORTS);
    a.ld(T_SEQ).to(PORTS);
    a.ld(T_CTL).to(IP);
    if config.ethernet {
        a.ld(T_LEN).to(MAC_LO);
        a.ld(T_SUM).to(MAC_HI);
    }
    a.ld(T0).st(SND_MAX);
    if config.hardened() {
        a.note("no window is shut here").st(SND_UNA);
    }
    a.ld(T1).st(RCV_NXT);
    a.li(config.rx_ring_bytes as u32).add(T1).to(RCV_ADV);
    a.ldi(state::TIME_WAIT).st(STATE);
    if config.timestamps {
        a.ld(T1).st(LAST_ACK);
        a.ldi(flags::RELEASED).st(T_LEN);
        a.ld(T_RECENT).to(TS_RECENT);
        a.ld(T_OFFSET).to(TS_OFFSET);
        a.ld(TICK_LONG).to(TS_AGE);
        super::stamps::stamped(a);
        a.unless(B).ld(k(0));
        a.or(T_LEN).to(FLAGS);
    } else {
        a.ldi(flags::RELEASED).st(FLAGS);
    }
    a.when(ACK_NOW).br("send_ack");
    a.done();
}

#[cfg(test)]
mod tests {
    use super::super::constant::{TIME_WAIT, UNREAD};
    use super::super::script::*;
    use super::super::words::*;
    use crate::config::{Owner, ToeConfig};
    use crate::counters::Cause;

    /// The application knows nothing of connection 0 any more.
    fn forgotten(s: &Script) -> bool {
        s.toe.blocks.attached[0] == Default::default()
    }

    #[test]
    fn we_close_first() {
        let mut s = Script::established();
        s.close();
        s.expect(FIN | ACK, 1, 1, 0);
        s.silence().state("FIN-WAIT-1");
        s.inject(seg(ACK, 1, 2)).silence().state("FIN-WAIT-2");
        s.inject(seg(ACK, 1, 2).data(b"late"));
        s.expect(ACK, 2, 5, 0);
        s.inject(seg(ACK | FIN, 5, 2));
        s.expect(ACK, 2, 6, 0);
        s.silence().state("TIME-WAIT");
        assert!(!forgotten(&s), "there is something to read");
        assert_eq!(s.read(), b"late");
        assert!(forgotten(&s));
        s.silence().waiting(1).slots(0);
        // Every FIN is answered and begins TIME-WAIT anew; RST does not cut it short.
        s.ticks(TIME_WAIT - 1).inject(seg(ACK | FIN, 5, 2));
        assert_eq!(s.expect(ACK, 2, 6, 0).wnd, 8192);
        s.inject(seg(RST, 6, 0)).silence().waiting(1);
        s.ticks(TIME_WAIT - 1)
            .waiting(1)
            .ticks(1)
            .silence()
            .waiting(0);
        s.counted(Cause::Closed, 1).slots(0);
    }

    /// RFC 9293 section 3.10.7.4: in TIME-WAIT there is nothing to come but the FIN again.
    #[test]
    fn time_wait_answers_text_and_takes_none() {
        let mut s = Script::established();
        s.close();
        s.expect(FIN | ACK, 1, 1, 0);
        s.inject(seg(ACK | FIN, 1, 2));
        s.expect(ACK, 2, 2, 0);
        s.waiting(1);
        // Another connection has the slot and its rings.
        s.inject(seg(SYN, 0, 0).with_source(1000).mss(1000));
        let ours = s.next().expect("SYN-ACK").seq;
        s.inject(seg(ACK, 1, ours.wrapping_add(1)).with_source(1000));
        s.write(b"not for the peer that is gone");
        s.next().expect("its text");
        s.state("ESTABLISHED");
        s.inject(seg(ACK, 2, 2)).silence();
        s.inject(seg(ACK, 2, 1)).silence();
        s.inject(seg(ACK, 2, 2).data(b"no"));
        assert_eq!(s.expect(ACK, 2, 2, 0).ports, (HOST_PORT, PEER_PORT));
        s.inject(seg(ACK | FIN, 2, 2));
        s.expect(ACK, 2, 2, 0);
        s.counted(Cause::BadAck, 0).inject(seg(ACK, 2, 3));
        s.expect(ACK, 2, 2, 0);
        s.counted(Cause::BadAck, 1);
        s.inject(seg(0, 2, 0)).silence().counted(Cause::NoAck, 1);
        assert_eq!(s.silence().read(), b"");
        assert_eq!(s.toe.blocks.table.waiting(), 1);
        s.slots(1);
    }

    #[test]
    fn a_fin_that_waits_in_the_queue_while_its_connection_moves_is_answered() {
        let mut s = Script::established();
        s.close();
        s.expect(FIN | ACK, 1, 1, 0);
        for _ in 0..3 {
            s.arrive(seg(ACK | FIN, 1, 2));
        }
        s.settle();
        for _ in 0..3 {
            s.expect(ACK, 2, 2, 0);
        }
        s.silence().waiting(1).slots(0);
    }

    /// The table of TIME-WAIT has three entries beside four connections: the oldest makes way, its FIN is a stranger's then.
    #[test]
    fn the_oldest_time_wait_makes_way() {
        let mut s = Script::new();
        for port in 1000..1005 {
            s.inject(seg(SYN, 0, 0).with_source(port));
            let ours = s.next().expect("SYN-ACK").seq;
            s.inject(seg(ACK, 1, ours.wrapping_add(1)).with_source(port));
            s.close();
            s.expect(FIN | ACK, ours.wrapping_add(1), 1, 0);
            s.inject(seg(ACK | FIN, 1, ours.wrapping_add(2)).with_source(port));
            s.expect(ACK, ours.wrapping_add(2), 2, 0);
            s.silence().slots(0);
        }
        s.waiting(3)
            .counted(Cause::Recycled, 2)
            .counted(Cause::Opened, 5);
        for port in 1000..1005 {
            s.inject(seg(ACK | FIN, 1, 2).with_source(port));
            let answer = s.next().expect("an answer");
            let flags = if port < 1002 { RST } else { ACK };
            assert_eq!(answer.flags, flags, "{port}");
        }
        s.ticks(TIME_WAIT).waiting(0).slots(0);
    }

    #[test]
    fn the_peer_closes_first() {
        let mut s = Script::established();
        s.inject(seg(ACK | FIN, 1, 1).data(b"bye"));
        s.expect(ACK, 1, 5, 0);
        s.silence().state("CLOSE-WAIT");
        assert_eq!(s.read(), b"bye");
        s.write(b"answer");
        s.expect(ACK, 1, 5, 6);
        s.close();
        s.expect(FIN | ACK, 7, 5, 0);
        s.silence().state("LAST-ACK");
        s.inject(seg(ACK, 5, 7)).silence().state("LAST-ACK");
        s.inject(seg(ACK, 5, 8)).silence().state("CLOSED");
        assert!(forgotten(&s));
        s.counted(Cause::Closed, 1).slots(0);
    }

    #[test]
    fn both_close_at_once() {
        let mut s = Script::established();
        s.close();
        s.expect(FIN | ACK, 1, 1, 0);
        s.inject(seg(ACK | FIN, 1, 1));
        s.expect(ACK, 2, 2, 0);
        s.silence().state("CLOSING");
        s.inject(seg(ACK, 2, 2)).silence().waiting(1).slots(0);
        s.ticks(TIME_WAIT).waiting(0);
    }

    #[test]
    fn their_fin_with_the_ack_of_ours() {
        let mut s = Script::established();
        s.close();
        s.expect(FIN | ACK, 1, 1, 0);
        s.inject(seg(ACK | FIN, 1, 2));
        s.expect(ACK, 2, 2, 0);
        s.silence().waiting(1).slots(0).ticks(TIME_WAIT).waiting(0);
    }

    #[test]
    fn the_fin_waits_for_the_text() {
        let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(2000));
        s.write(&[3; 2500]);
        s.expect(ACK, 1, 1, 1000);
        s.expect(ACK, 1001, 1, 1000);
        s.close().silence().state("ESTABLISHED");
        s.inject(seg(ACK, 1, 2001).wnd(2000));
        s.expect(ACK, 2001, 1, 500);
        s.expect(FIN | ACK, 2501, 1, 0);
        s.silence().state("FIN-WAIT-1");
    }

    #[test]
    fn the_fin_is_sent_again() {
        let mut s = Script::established();
        s.write(b"x").close();
        s.expect(ACK, 1, 1, 1);
        s.expect(FIN | ACK, 2, 1, 0);
        s.ticks(201);
        s.expect(ACK, 1, 1, 1);
        s.silence();
        s.inject(seg(ACK, 1, 2));
        s.expect(FIN | ACK, 2, 1, 0);
        s.ticks(401);
        s.expect(FIN | ACK, 2, 1, 0);
        s.inject(seg(ACK, 1, 3)).silence().state("FIN-WAIT-2");
        s.ticks(3000).silence();
    }

    #[test]
    fn text_behind_the_peers_fin_is_ignored() {
        let mut s = Script::established();
        s.inject(seg(ACK | FIN, 1, 1));
        s.expect(ACK, 1, 2, 0);
        s.inject(seg(ACK, 2, 1).data(b"no"));
        s.expect(ACK, 1, 2, 0);
        assert_eq!(s.read(), b"");
        s.state("CLOSE-WAIT").slots(1);
    }

    #[test]
    fn abort_sends_rst_and_frees_the_slot() {
        let mut s = Script::established();
        s.write(b"x");
        s.expect(ACK, 1, 1, 1);
        s.abort();
        s.expect(RST | ACK, 2, 1, 0);
        s.silence().state("CLOSED").slots(0);
        s.ticks(5000).silence().counted(Cause::ResetOut, 1);
        assert!(forgotten(&s));
        s.inject(seg(ACK, 1, 2).data(b"x"));
        s.expect(RST, 2, 0, 0);
        s.silence();
    }

    #[test]
    fn an_application_that_does_not_read_to_the_end_is_told_after_time_wait() {
        let mut s = Script::established();
        s.close();
        s.expect(FIN | ACK, 1, 1, 0);
        s.inject(seg(ACK | FIN, 1, 2).data(b"unread"));
        s.expect(ACK, 2, 8, 0);
        s.state("TIME-WAIT");
        // FINs that come again give it no more time.
        s.ticks(UNREAD - 1).inject(seg(ACK | FIN, 7, 2));
        s.expect(ACK, 2, 8, 0);
        s.state("TIME-WAIT").slots(1);
        assert!(!forgotten(&s));
        s.ticks(1).silence().waiting(0).slots(0);
        assert!(forgotten(&s));
    }

    #[test]
    fn a_fin_behind_a_full_window_leaves_a_window_of_zero() {
        let mut s = Script::established();
        for n in 0..8 {
            s.inject(seg(ACK, 1 + n * 1024, 1).data(&[n as u8; 1024]));
            s.expect(ACK, 1, 1025 + n * 1024, 0);
        }
        s.inject(seg(ACK | FIN, 8193, 1));
        assert_eq!(s.expect(ACK, 1, 8194, 0).wnd, 0);
        s.state("CLOSE-WAIT").write(b"x");
        assert_eq!(s.expect(ACK, 1, 8194, 1).wnd, 0);
        s.inject(seg(ACK, 8194, 2)).silence();
        assert_eq!(s.read().len(), 8192);
        s.close();
        s.expect(FIN | ACK, 2, 8194, 0);
        s.inject(seg(ACK, 8194, 3)).silence().slots(0);
    }

    #[test]
    fn an_abort_that_comes_with_the_release_leaves_no_entry() {
        let mut s = Script::established();
        s.close();
        s.expect(FIN | ACK, 1, 1, 0);
        s.inject(seg(ACK | FIN, 1, 2).data(b"x"));
        s.expect(ACK, 2, 3, 0);
        s.state("TIME-WAIT");
        assert_eq!(s.toe.host_read(0, 1), b"x");
        assert_eq!(s.toe.step(), Ok(true));
        assert!(forgotten(&s));
        s.toe.host_abort(0);
        s.settle().silence().waiting(0).slots(0);
    }

    #[test]
    fn last_ack_with_something_unread_waits_for_the_application() {
        let mut s = Script::established();
        s.inject(seg(ACK | FIN, 1, 1).data(b"unread"));
        s.expect(ACK, 1, 8, 0);
        s.close();
        s.expect(FIN | ACK, 1, 8, 0);
        s.inject(seg(ACK, 8, 2)).silence().state("CLOSED").slots(1);
        s.inject(seg(SYN, 9, 0))
            .silence()
            .counted(Cause::StaleRecord, 1);
        assert_eq!(s.read(), b"unread");
        s.slots(0);
        assert!(forgotten(&s));
    }

    #[test]
    fn without_a_table_of_their_own_a_time_wait_is_recycled_when_its_application_has_let_go() {
        let mut s = Script::with(ToeConfig {
            time_wait: Some(0),
            ..config()
        });
        for port in 1000..1005 {
            s.inject(seg(SYN, 0, 0).with_source(port));
            let ours = s.next().expect("SYN-ACK").seq;
            s.inject(seg(ACK, 1, ours.wrapping_add(1)).with_source(port));
            let conn = (0..4)
                .find(|c| s.toe.machine.state[*c][1] >> 16 == u32::from(port))
                .expect("open");
            s.toe.host_close(conn as u16);
            s.settle();
            s.expect(FIN | ACK, ours.wrapping_add(1), 1, 0);
            s.inject(seg(ACK | FIN, 1, ours.wrapping_add(2)).with_source(port));
            s.expect(ACK, ours.wrapping_add(2), 2, 0);
            s.silence();
        }
        s.counted(Cause::Recycled, 1).counted(Cause::Opened, 5);
        s.state("TIME-WAIT").ticks(TIME_WAIT).waiting(0).slots(0);
    }

    /// What was connection 0 in TIME-WAIT, both sides at 2, our clock ten ticks on.
    fn time_wait() -> Script {
        let mut s = Script::established();
        s.close();
        s.expect(FIN | ACK, 1, 1, 0);
        s.inject(seg(ACK | FIN, 1, 2));
        s.expect(ACK, 2, 2, 0);
        s.ticks(10).silence().waiting(1);
        s
    }

    #[test]
    fn a_syn_above_all_that_was_sent_opens_anew_in_time_wait() {
        for seq in [2, 3, 100_000, 0x7FFF_0000] {
            let mut s = time_wait();
            s.inject(seg(SYN, seq, 0).mss(1000));
            s.expect(SYN | ACK, 2500, seq + 1, 0);
            s.silence().state("SYN-RECEIVED");
            s.inject(seg(ACK, seq + 1, 2501).data(b"x"));
            s.expect(ACK, 2501, seq + 2, 0);
            s.state("ESTABLISHED").counted(Cause::Opened, 2).slots(1);
            assert_eq!(s.read(), b"x");
            s.ticks(TIME_WAIT + 1).state("ESTABLISHED");
            assert_eq!(s.toe.blocks.table.waiting(), 0);
        }
    }

    #[test]
    fn a_syn_that_comes_twice_in_time_wait_opens_one_connection() {
        let mut s = time_wait();
        let again = || seg(SYN, 5000, 0).mss(1000);
        s.arrive(again()).arrive(again()).settle();
        s.expect(SYN | ACK, 2500, 5001, 0);
        s.expect(ACK, 2501, 5001, 0);
        s.silence().state("SYN-RECEIVED");
        let used = |s: &Script| s.toe.machine.state.iter().filter(|w| w[0] == 2).count();
        assert_eq!(used(&s), 1, "half open");
        s.inject(seg(ACK, 5001, 2501)).silence().slots(1);
    }

    #[test]
    fn a_syn_that_finds_no_slot_leaves_time_wait_as_it_was() {
        let mut s = time_wait();
        for port in 1000..1004 {
            s.inject(seg(SYN, 0, 0).with_source(port).mss(1000));
            let ours = s.next().expect("SYN-ACK").seq;
            s.inject(seg(ACK, 1, ours.wrapping_add(1)).with_source(port));
        }
        s.slots(4).inject(seg(SYN, 5000, 0)).silence();
        s.counted(Cause::NoSlot, 1);
        s.inject(seg(ACK | FIN, 1, 2));
        s.expect(ACK, 2, 2, 0);
        assert_eq!(s.toe.blocks.table.waiting(), 1);
        // One goes: it gets in.
        s.inject(seg(RST, 1, 0).with_source(1002)).slots(3);
        s.inject(seg(SYN, 5000, 0));
        s.expect(SYN | ACK, 2500, 5001, 0);
        assert_eq!(s.toe.blocks.table.waiting(), 0);
    }

    /// Slots in TIME-WAIT go before handshakes that are under way.
    #[test]
    fn newcomers_take_the_slots_in_time_wait_and_not_each_others() {
        let mut s = Script::with(ToeConfig {
            time_wait: Some(0),
            ..config()
        });
        for conn in 0..4 {
            let port = 1000 + conn;
            s.inject(seg(SYN, 0, 0).with_source(port));
            let ours = s.next().expect("SYN-ACK").seq;
            s.inject(seg(ACK, 1, ours.wrapping_add(1)).with_source(port));
            s.toe.host_close(conn);
            s.settle();
            s.expect(FIN | ACK, ours.wrapping_add(1), 1, 0);
            s.inject(seg(ACK | FIN, 1, ours.wrapping_add(2)).with_source(port));
            s.expect(ACK, ours.wrapping_add(2), 2, 0);
        }
        s.slots(0);
        for port in 2000..2004 {
            s.inject(seg(SYN, 0, 0).with_source(port));
            s.expect(SYN | ACK, 0, 1, 0);
        }
        for port in 2000..2004 {
            s.inject(seg(ACK, 1, 1).with_source(port)).silence();
        }
        s.counted(Cause::Opened, 8).slots(4);
    }

    #[test]
    fn any_other_syn_in_time_wait_is_challenged() {
        for (seq, flags) in [(1, SYN), (0, SYN), (0x8000_0002, SYN), (2, SYN | ACK)] {
            let mut s = time_wait();
            s.inject(seg(flags, seq, 0));
            s.expect(ACK, 2, 2, 0);
            s.silence().waiting(1).slots(0);
        }
        // Our first number would lie among those of the connection before.
        let mut s = time_wait();
        s.toe.set_isn(US);
        s.model_only("first numbers go by the clock");
        s.inject(seg(SYN, 100, 0));
        s.expect(ACK, 2, 2, 0);
        s.silence().waiting(1);
        // The application still has something to read.
        let mut s = Script::established();
        s.close();
        s.expect(FIN | ACK, 1, 1, 0);
        s.inject(seg(ACK | FIN, 1, 2).data(b"unread"));
        s.expect(ACK, 2, 8, 0);
        s.ticks(10).inject(seg(SYN, 100, 0));
        s.expect(ACK, 2, 8, 0);
        assert_eq!(s.silence().state("TIME-WAIT").read(), b"unread");
        s.inject(seg(SYN, 100, 0));
        s.expect(SYN | ACK, 2500, 101, 0);
    }

    /// Nobody would answer at that port any more, so TIME-WAIT must not end for it.
    #[test]
    fn a_syn_for_a_port_not_listened_on_does_not_end_time_wait() {
        let mut s = Script::new();
        s.toe
            .connect(5_000, ([192, 168, 69, 1], PEER_PORT), Owner::Host);
        s.settle();
        assert_eq!(s.next().expect("SYN").flags, SYN);
        s.inject(seg(SYN | ACK, 0, 1).with_target(5_000));
        s.expect(ACK, 1, 1, 0);
        s.close();
        s.expect(FIN | ACK, 1, 1, 0);
        s.inject(seg(ACK | FIN, 1, 2).with_target(5_000));
        s.expect(ACK, 2, 2, 0);
        s.ticks(10).silence().waiting(1);
        s.inject(seg(SYN, 100, 0).with_target(5_000));
        s.expect(ACK, 2, 2, 0);
        s.silence().waiting(1);
    }

    #[test]
    fn echo_ends_with_its_peer() {
        let mut s = Script::new();
        s.model_only("the echo writes while the engine is at its event");
        let to_echo = |s: Seg| s.with_target(7);
        s.inject(to_echo(seg(SYN, 0, 0)));
        s.expect(SYN | ACK, 0, 1, 0);
        s.inject(to_echo(seg(ACK, 1, 1)));
        assert_eq!(s.toe.blocks.attached[0].owner, Some(Owner::Echo as u8));
        s.inject(to_echo(seg(ACK | FIN, 1, 1).data(b"echo me")));
        s.expect(ACK, 1, 9, 0);
        assert_eq!(s.expect(ACK, 1, 9, 7).data, b"echo me");
        s.expect(FIN | ACK, 8, 9, 0);
        s.silence();
        s.inject(to_echo(seg(ACK, 9, 9)))
            .silence()
            .state("CLOSED")
            .slots(0);
        assert_eq!(s.word(STATE), 0);
    }
}
