//! Urgent text (RFC 9293 section 3.8.5, RFC 6093): it is delivered in line, and the application is told how far it reaches. Only in the large program.
//!
//! A report ([`crate::tcp::isa::report::URGENT`]) says how many bytes lie between what has come in order before this segment and the end of the urgent text, each time that this end moves on. What
//! lies unread before that the application knows by its offers; together they are what is left to read of it (MUST-33). The pointer is that of RFC 9293, one past the last octet of urgent text.
//! Where records carry a tag ([`crate::config::ToeConfig::vlan`]) the pointer has no room in them: all of the segment's text is urgent then. We send none.
use super::marks::*;
use super::state;
use super::words::*;
use crate::config::ToeConfig;
use crate::tcp::asm::{k, operands::*, Asm};
use crate::tcp::isa::{cmd, report};

use super::constant::BIT_16;

/// The sixth check of RFC 9293 section 3.10.7.4, early: of what has just been taken nothing is counted yet, so the pointer is ahead of RCV.NXT. Ends where the segment has no such flag, or goes on there.
pub(super) fn check(a: &mut Asm, config: &ToeConfig) {
    a.label("odd").note("URG?");
    a.shr16(SEG_CTL).st(T0);
    if config.user_timeout_option {
        super::user_timeout::comes(a);
        a.ldi(0x20).and(T0).or_not_zero(A);
    } else {
        a.ldi(0x20).and(T0).not_zero(A);
    }
    a.when(A).br("urgent");
    a.label("not_urgent");
}

pub(super) fn code(a: &mut Asm, config: &ToeConfig) {
    if !config.sack {
        check(a, config);
        if config.ecn {
            a.when(LIMITED).br("ecn_in");
            a.br("sack_in.seen");
        } else {
            a.clear(AGAIN);
            a.br("sack_seen");
        }
    }
    a.label("urgent").note("not beside an ACK that is refused");
    super::acknowledge::refused(a);
    a.when(A).br("not_urgent");
    if config.user_timeout_option {
        super::user_timeout::heard(a);
    }
    a.note("not after the peer's FIN. SEG.UP as a sequence number");
    a.ldi(state::PEER_FIN).and(STATE).not_zero(A);
    a.when(A).br("not_urgent");
    if !config.vlan {
        a.shl16(SEG_MACURG).st(T0);
    }
    a.shl1(k(BIT_16)).st(T1);
    if config.vlan {
        a.ld(SEG_SEQ).add(SEG_LEN).st(T0);
    } else {
        a.shr16(T0).add(SEG_SEQ).st(T0);
    }
    a.note("ahead of RCV.NXT, and of the RCV.UP before if that is still ahead: by no more than a window and a pointer");
    a.sub(RCV_NXT).sign(A).zero(B);
    a.when(B).set(A);
    a.sub(RCV_UP).sign(C);
    a.xor(RCV_UP).zero(B);
    a.when(B).set(C);
    a.ld(RCV_UP);
    a.sub(RCV_NXT);
    a.sub(T1).not_carry(B);
    a.unless(B).clear(C);
    a.when(C).set(A);
    a.when(A).br("not_urgent");
    a.ld(T0).sub(RCV_NXT);
    a.cmd_imm(cmd::REPORT, report::URGENT);
    a.ld(T0);
    a.st(RCV_UP);
    a.br("not_urgent");
}

#[cfg(test)]
mod tests {
    use super::super::script::*;
    use super::super::words::{RCV_NXT, RCV_UP};
    use crate::config::ToeConfig;
    use crate::counters::Cause;
    use crate::tcp::isa::report;

    /// What was told of urgent text since the last time.
    #[track_caller]
    fn told(s: &mut Script, bytes: &[u32]) {
        let told: Vec<u32> = (s.reports().into_iter())
            .filter(|r| r.kind == report::URGENT)
            .map(|r| r.value)
            .collect();
        assert_eq!(told, bytes);
    }

    /// With SACK, without it, and with timestamps.
    fn each(run: impl Fn(&mut Script, &dyn Fn(u32) -> Seg)) {
        for (sack, timestamps) in [(true, false), (false, false), (true, true)] {
            let c = ToeConfig {
                sack,
                timestamps,
                ..config()
            };
            let syn = seg(SYN, 0, 0).mss(1000).wnd(60_000);
            if timestamps {
                let mut s = Script::with(c);
                s.inject(syn.sack_permitted().stamps(1, 0));
                let ours = s.expect(SYN | ACK, 0, 1, 0).stamps.expect("timestamps").0;
                s.inject(seg(ACK, 1, 1).stamps(1, ours)).silence();
                run(&mut s, &|at| seg(ACK, at, 1).stamps(1, ours));
            } else {
                run(&mut Script::established_with(c, syn), &|at| seg(ACK, at, 1));
            }
        }
    }

    /// RFC 5961 section 5.2.
    #[test]
    fn nobody_is_told_of_it_beside_a_refused_ack() {
        for ack in [9, 1_u32.wrapping_sub(70_000)] {
            let mut s = Script::established();
            s.inject(seg(ACK, 1, ack).urgent(9));
            s.counted(Cause::BadAck, 1);
            told(&mut s, &[]);
        }
    }

    #[test]
    fn the_application_is_told_how_far_it_reaches() {
        each(|s, from| {
            s.inject(from(1).data(b"abcdef").urgent(3));
            told(s, &[3]);
            s.acked(7);
            assert_eq!(s.read(), b"abcdef");
            // Nothing urgent, nothing told.
            s.inject(from(7).data(b"gh"));
            told(s, &[]);
        });
    }

    #[test]
    fn and_again_as_often_as_its_end_moves_on() {
        each(|s, from| {
            // 20 bytes ahead of what comes now, and the same end again in the next segments.
            s.inject(from(1).data(b"abcdef").urgent(20));
            told(s, &[20]);
            s.inject(from(7).data(b"ghijkl").urgent(14));
            told(s, &[]);
            s.inject(from(13).data(b"m").urgent(9));
            told(s, &[9]);
            // Its end does not go back, and behind RCV.NXT there is none.
            s.inject(from(14).data(b"n").urgent(1));
            told(s, &[]);
            s.inject(from(15).data(b"opqrstuvwx"));
            s.inject(from(25).data(b"y").urgent(0));
            told(s, &[]);
            // Once it has all come, the next is new, however short.
            s.inject(from(26).data(b"z").urgent(1));
            told(s, &[1]);
            assert_eq!(s.read(), b"abcdefghijklmnopqrstuvwxyz");
        });
    }

    #[test]
    fn it_may_come_without_text_and_ahead_of_a_gap() {
        each(|s, from| {
            s.inject(from(1).urgent(0xFFFF));
            told(s, &[0xFFFF]);
            s.inject(from(1).data(b"ab"));
            s.inject(from(5).data(b"ef").urgent(0xFFFF));
            told(s, &[0xFFFF + 2]);
        });
    }

    #[test]
    fn none_is_told_by_a_segment_that_is_not_acceptable_nor_after_a_fin() {
        each(|s, from| {
            s.reports();
            let mut refused = from(30_000).data(b"x").urgent(9);
            s.inject(refused.clone());
            // Nor by one that acknowledges what was never sent.
            refused.ack = 9;
            s.inject(refused.at(1));
            while s.next().is_some() {}
            told(s, &[]);
            // The same without that is told of.
            s.inject(from(1).urgent(9));
            told(s, &[9]);
            let mut fin = from(1);
            fin.flags |= FIN;
            s.inject(fin);
            s.inject(from(2).urgent(100));
            told(s, &[]);
        });
    }

    /// MUST-66: text that a shut window refuses may be urgent, and the application is to read.
    #[test]
    fn it_is_told_of_behind_a_shut_window_too() {
        each(|s, from| {
            for n in 0..8 {
                s.inject(from(1 + n * 1024).data(&[7; 1024]));
            }
            assert_eq!(s.acked(8193).wnd, 0);
            told(s, &[]);
            // A probe, a whole segment, a piece that has come before with one that has not.
            s.inject(from(8193).data(b"x").urgent(1));
            told(s, &[1]);
            s.inject(from(8193).data(&[8; 1000]).urgent(900));
            told(s, &[900]);
            s.inject(from(8192).data(b"7x").urgent(1000));
            told(s, &[999]);
            s.inject(from(8193).urgent(1001));
            told(s, &[1001]);
            assert_eq!(s.acked(8193).wnd, 0);
            assert_eq!(s.read(), [7; 8192]);
        });
    }

    /// Another connection in the same slot knows nothing of the one before.
    #[test]
    fn a_new_connection_has_none() {
        let mut s = Script::established();
        s.inject(seg(ACK, 1, 1).urgent(1000));
        told(&mut s, &[1000]);
        s.inject(seg(RST, 1, 0));
        s.settle();
        s.inject(seg(SYN, 0, 0)).expect(SYN | ACK, 0, 1, 0);
        s.inject(seg(ACK, 1, 1)).silence();
        s.inject(seg(ACK, 1, 1).urgent(900));
        told(&mut s, &[900]);
    }

    /// What was told of more than half of the number space ago seems to lie ahead, and holds back nothing.
    #[test]
    fn an_old_end_is_none() {
        let mut s = Script::established();
        let old = s.word(RCV_NXT).wrapping_add(0x7000_0000);
        s.toe.machine.state[0][32 + 31] = old;
        assert_eq!(s.word(RCV_UP), old);
        s.inject(seg(ACK, 1, 1).urgent(5));
        told(&mut s, &[5]);
    }

    #[test]
    fn with_tags_all_of_the_segment_s_text_is_urgent() {
        let mut s = Script::established_with(
            ToeConfig {
                vlan: true,
                ..config()
            },
            seg(SYN, 0, 0),
        );
        s.inject(seg(ACK, 1, 1).data(b"abcdef").urgent(3));
        told(&mut s, &[6]);
    }
}
