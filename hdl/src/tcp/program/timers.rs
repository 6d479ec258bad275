//! Pending events: expired timers, and what the application wrote, read, closed, aborted or let go. All bits of the mask are seen to.
use super::marks::*;
use super::words::*;
use super::{flags, state, timer};
use crate::config::ToeConfig;
use crate::tcp::asm::{flags::*, operands::*, Asm};
use crate::tcp::isa::cmd;

pub(super) fn pending(a: &mut Asm, config: &ToeConfig) {
    a.label("pending");
    a.when(A).br("pending_closed");
    a.when(P_RELEASED).br(".released");
    a.label(".after_released");
    a.when(P_ABORT).br("abort");
    a.when(P_CLOSE).br(".close");
    a.label(".after_close");
    a.when(P_READ).br(".read");
    a.label(".after_read");
    a.when(P_TIMER).br(".timer");
    a.label(".send");
    a.ldi(state::ESTABLISHED).rsb(STATE).sign(A);
    a.when(A).done();
    a.ld(ACK_DUE).or_not_zero(ACK_NOW);
    a.br("output");

    a.label(".released")
        .note("TIME-WAIT: from now on the entry may be taken");
    a.ldi(flags::RELEASED).or(FLAGS).to(FLAGS);
    a.ldi(state::TIME_WAIT).xor(STATE).zero(A);
    a.when(A).cmd(cmd::RECYCLABLE);
    a.br(".after_released");

    a.label(".close")
        .note("section 3.10.4: a FIN behind the last byte; SYN-SENT just ends");
    a.ldi(flags::CLOSE).or(FLAGS).to(FLAGS);
    a.ldi(state::SYN_SENT).xor(STATE).not_zero(A);
    a.when(A).br(".after_close");
    a.call("end_by_reset");
    a.done();

    a.label(".read")
        .note("section 3.8.6.2.2: a window that had become small is announced when it has grown by min(MSS, buffer / 2)");
    a.ldi(state::PEER_FIN).and(STATE).not_zero(A);
    a.when(A).br(".read_to_the_end");
    a.cmd(cmd::RX_WINDOW);
    a.ldi(u32::from(config.receive_mss()) - 1).add(RCV_NXT);
    a.sub(RCV_ADV).sign(A);
    a.ldi(u32::from(config.receive_mss()) - 1).add(RCV_ADV);
    a.sub(RESULT).sub(RESULT2).or_not_sign(A);
    a.unless(A).set(ACK_NOW);
    a.unless(A).ld(RESULT);
    a.unless(A).add(RESULT2).to(RCV_ADV);
    a.br(".after_read");
    a.label(".read_to_the_end");
    a.ldi(state::TIME_WAIT).xor(STATE).zero(A);
    a.when(A).call("finish_read");
    a.br(".after_read");

    a.label("finish_read");
    a.cmd(cmd::RX_WINDOW);
    a.li(config.rx_ring_bytes as u32).xor(RESULT).not_zero(A);
    a.when(A).ret();
    a.br("tell_closed");

    a.label("pending.timer");
    a.cmd(cmd::TIMER_TAKE);
    a.ldi(1 << timer::RETRANSMIT).and(RESULT).not_zero(B);
    a.ldi(1 << timer::TIME_WAIT).and(RESULT).not_zero(A);
    a.when(A).br("time_wait_over");
    a.when(B).br("retransmission_timeout");
    a.br("pending.send");

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
    use super::super::script::*;

    #[test]
    fn a_small_window_is_announced_when_it_has_grown_by_a_segment() {
        let mut s = Script::established();
        for n in 0..7 {
            s.inject(seg(ACK, 1 + n * 1000, 1).data(&[7; 1000]));
            s.expect(ACK, 1, 1001 + n * 1000, 0);
        }
        // 1192 are left, less than a segment of 1460.
        assert_eq!(s.toe.host_read(0, 1459).len(), 1459);
        s.settle().silence();
        assert_eq!(s.toe.host_read(0, 1).len(), 1);
        s.settle();
        assert_eq!(s.expect(ACK, 1, 7001, 0).wnd, 1192 + 1460);
        s.silence();
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
