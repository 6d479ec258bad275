//! RFC 9293 section 3.10 row by row: what each state makes of each arrival, call and timeout; beside it RFC 6298, RFC 6191, RFC 5961 and the windows of section 3.8. A file a state.
//! `docs/conformance.md` names these tests. What is marked `ignore` is what the RFC says and the program does not do.
//!
//! Tests of what arrives run with initial numbers that put the segment's number, the window's right edge or the sign's change at the wrap ([`NUMBERS`]).
use super::script::*;
use crate::counters::Cause;

mod acks;
mod calls;
mod challenges;
mod close_wait;
mod closed;
mod closing;
mod congestion;
mod connection_options;
mod cookies;
mod cubic;
mod ecn;
mod established;
mod fin_wait_1;
mod fin_wait_2;
mod first_number;
mod hardened;
mod icmp;
mod last_ack;
mod listen;
mod options;
mod pacing;
mod reports;
mod rto;
mod scale;
mod sources;
mod syn_received;
mod syn_sent;
mod tags;
mod time_wait;
mod timeouts;
mod timestamps;
mod user_timeout;
mod window;

/// The receive window of every script, empty.
const WND: u32 = 8192;
/// One below.
const BELOW: u32 = u32::MAX;
/// As far as can be.
const FAR: u32 = 0x8000_0000;

/// Initial numbers, ours and the peer's.
const NUMBERS: [(u32, u32); 5] = [
    (US, PEER),
    (0, 0),
    // The first byte has number zero.
    (0xFFFF_FFFF, 0xFFFF_FFFF),
    // RCV.NXT + RCV.WND is zero.
    (0xFFFF_FFFE, 0xFFFF_DFFF),
    // The sign changes.
    (0x7FFF_FFFE, 0x7FFF_FFFE),
];

/// An RTO that scripts without a slow answer stay below.
const RTO_MOST: u32 = 3000;

/// A connection in a state: SND.UNA, SND.NXT and RCV.NXT, relative. The window each way is 8192, the peer's MSS 1000.
struct At {
    s: Script,
    name: &'static str,
    una: u32,
    nxt: u32,
    rcv: u32,
}

type Fixture = fn((u32, u32)) -> At;

impl At {
    /// A segment `offset` behind RCV.NXT that acknowledges nothing new.
    fn from(&self, flags: u8, offset: u32) -> Seg {
        let ack = if flags & ACK == 0 { 0 } else { self.una };
        seg(flags, self.rcv.wrapping_add(offset), ack)
    }

    /// <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>
    #[track_caller]
    fn acknowledged(&mut self) -> &mut Self {
        self.s.expect(ACK, self.nxt, self.rcv, 0);
        self
    }

    /// Nothing more leaves, the state is what it was.
    #[track_caller]
    fn still(&mut self) -> &mut Self {
        self.s.silence();
        match self.name {
            "TIME-WAIT" => self.s.waiting(1),
            "TIME-WAIT, unread" => self.s.state("TIME-WAIT"),
            name => self.s.state(name),
        };
        self
    }

    /// The connection is over, and its slot free.
    #[track_caller]
    fn gone(&mut self) -> &mut Self {
        self.s.silence().waiting(0).slots(0);
        assert!(!self.s.attached(), "the application has it still");
        self
    }
}

// ---- the states -----------------------------------------------------------------------------------

fn syn_received((us, peer): (u32, u32)) -> At {
    let mut s = Script::numbered(config(), us, peer);
    s.inject(seg(SYN, 0, 0).mss(1000));
    s.expect(SYN | ACK, 0, 1, 0);
    At {
        s,
        name: "SYN-RECEIVED",
        una: 0,
        nxt: 1,
        rcv: 1,
    }
}

fn established(numbers: (u32, u32)) -> At {
    let mut at = syn_received(numbers);
    at.s.inject(seg(ACK, 1, 1));
    at.name = "ESTABLISHED";
    at.una = 1;
    at.still();
    at
}

fn fin_wait_1(numbers: (u32, u32)) -> At {
    let mut at = established(numbers);
    at.s.close();
    at.s.expect(FIN | ACK, 1, 1, 0);
    at.name = "FIN-WAIT-1";
    at.nxt = 2;
    at.still();
    at
}

fn fin_wait_2(numbers: (u32, u32)) -> At {
    let mut at = fin_wait_1(numbers);
    at.s.inject(seg(ACK, 1, 2));
    at.name = "FIN-WAIT-2";
    at.una = 2;
    at.still();
    at
}

fn close_wait(numbers: (u32, u32)) -> At {
    let mut at = established(numbers);
    at.s.inject(seg(ACK | FIN, 1, 1)).acked(2);
    at.name = "CLOSE-WAIT";
    at.rcv = 2;
    at.still();
    at
}

fn closing(numbers: (u32, u32)) -> At {
    let mut at = fin_wait_1(numbers);
    at.s.inject(seg(ACK | FIN, 1, 1)).acked(2);
    at.name = "CLOSING";
    at.rcv = 2;
    at.still();
    at
}

fn last_ack(numbers: (u32, u32)) -> At {
    let mut at = close_wait(numbers);
    at.s.close();
    at.s.expect(FIN | ACK, 1, 2, 0);
    at.name = "LAST-ACK";
    at.nxt = 2;
    at.still();
    at
}

fn time_wait(numbers: (u32, u32)) -> At {
    let mut at = fin_wait_2(numbers);
    at.s.inject(seg(ACK | FIN, 1, 2)).acked(2);
    at.name = "TIME-WAIT";
    at.rcv = 2;
    at.still();
    at
}

/// TIME-WAIT in a connection's own slot, for its application has not read to the end.
fn time_wait_unread(numbers: (u32, u32)) -> At {
    let mut at = fin_wait_2(numbers);
    at.s.inject(seg(ACK | FIN, 1, 2).data(b"unread")).acked(8);
    at.name = "TIME-WAIT, unread";
    at.rcv = 8;
    at.still();
    at
}

/// CLOSED after LAST-ACK, in a slot that waits for its application to read to the end.
fn closed_unread(numbers: (u32, u32)) -> At {
    let mut at = established(numbers);
    at.s.inject(seg(ACK | FIN, 1, 1).data(b"unread")).acked(8);
    at.s.close();
    at.s.expect(FIN | ACK, 1, 8, 0);
    at.s.inject(seg(ACK, 8, 2));
    at.name = "CLOSED";
    (at.una, at.nxt, at.rcv) = (2, 2, 8);
    at.still().s.slots(1);
    at
}

// ---- what several states have in common -----------------------------------------------------------

/// With every pair of initial numbers.
fn each(fixture: Fixture, check: impl Fn(At)) {
    for numbers in NUMBERS {
        check(fixture(numbers));
    }
}

/// First check, table 6, second row: SEG.LEN = 0, RCV.WND > 0.
fn first_check_without_text(fixture: Fixture) {
    for (offset, good) in [
        (FAR + 1, false),
        (BELOW, false),
        (0, true),
        (1, true),
        (WND - 1, true),
        (WND + 1, false),
        (FAR - 1, false),
    ] {
        each(fixture, |mut at| {
            at.s.inject(at.from(ACK, offset));
            at.s.counted(Cause::Unacceptable, u64::from(!good));
            if !good {
                at.acknowledged();
            }
            at.still();
        });
    }
}

/// First check, table 6, fourth row: SEG.LEN > 0, RCV.WND > 0. `takes`: the state takes text.
fn first_check_with_text(fixture: Fixture, takes: bool) {
    for (offset, length, good) in [
        (FAR, 10, false),
        (BELOW, 1, false),
        (BELOW - 1, 2, false),
        (BELOW, 2, true),
        (0, 1, true),
        (WND - 1, 1, true),
        (WND - 1, 2, true),
        (WND + 1, 1, false),
        (FAR - 10, 10, false),
    ] {
        each(fixture, |mut at| {
            at.s.inject(at.from(ACK, offset).data(&vec![7; length]));
            at.s.counted(Cause::Unacceptable, u64::from(!good));
            let new = takes && good && (offset == 0 || offset == BELOW);
            if new {
                at.rcv += 1;
                at.s.acked(at.rcv);
            } else if takes || !good {
                at.acknowledged();
            } else if let Some(answer) = at.s.next() {
                assert_eq!((answer.flags, answer.ack), (ACK, at.rcv));
            }
            at.still();
            assert_eq!(at.s.read().len(), usize::from(new));
        });
    }
}

/// First check: an unacceptable RST is dropped without an answer; RFC 5961 section 3.2, case 1.
fn a_reset_outside_the_window_is_dropped(fixture: Fixture) {
    for offset in [FAR + 1, BELOW, WND, WND + 1, FAR - 1] {
        for flags in [RST, RST | ACK] {
            each(fixture, |mut at| {
                at.s.inject(at.from(flags, offset));
                at.still().s.counted(Cause::ResetIn, 0);
            });
        }
    }
}

/// Second check, case 3: in the window, but not at RCV.NXT.
fn a_reset_inside_the_window_is_challenged(fixture: Fixture) {
    for offset in [1, 2, WND - 1] {
        for flags in [RST, RST | ACK] {
            each(fixture, |mut at| {
                at.s.inject(at.from(flags, offset));
                at.acknowledged().still().s.counted(Cause::ResetIn, 0);
            });
        }
    }
}

/// Second check, case 2: at RCV.NXT; without ACK, with one, and with text (section 3.5.3).
fn a_reset_at_rcv_nxt_ends_it(fixture: Fixture) {
    for flags in [RST, RST | ACK] {
        for text in [&b""[..], b"why"] {
            each(fixture, |mut at| {
                at.s.inject(at.from(flags, 0).data(text));
                at.gone().s.counted(Cause::ResetIn, 1);
                at.s.ticks(10_000).silence();
            });
        }
    }
}

/// Fourth check: SYN, irrespective of the sequence number.
fn a_syn_is_challenged(fixture: Fixture) {
    for offset in [FAR, BELOW, 0, 1, WND - 1, WND, FAR - 1] {
        for flags in [SYN, SYN | ACK] {
            each(fixture, |mut at| {
                at.s.inject(at.from(flags, offset));
                at.acknowledged().still();
            });
        }
    }
}

/// Fifth check: without ACK the segment is dropped, and all that is in it.
fn without_ack_all_is_dropped(fixture: Fixture) {
    for (flags, text) in [
        (0, &b""[..]),
        (0, b"x"),
        (PSH, b"x"),
        (FIN, b""),
        (FIN, b"x"),
    ] {
        each(fixture, |mut at| {
            at.s.inject(at.from(flags, 0).data(text));
            at.still().s.counted(Cause::NoAck, 1);
            assert_eq!(at.s.read(), b"");
        });
    }
}

/// Fifth check: SEG.ACK > SND.NXT: send an ACK, drop the segment.
fn an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped(fixture: Fixture) {
    for ahead in [1, 2, FAR - 1] {
        for flags in [ACK, ACK | FIN] {
            each(fixture, |mut at| {
                let mut segment = at.from(flags, 0).data(b"x");
                segment.ack = at.nxt.wrapping_add(ahead);
                at.s.inject(segment);
                at.acknowledged().still();
                assert_eq!(at.s.read(), b"");
            });
        }
    }
}

/// Fifth check: SEG.ACK < SND.UNA can be ignored: it takes nothing back and opens no window.
fn an_old_ack_is_ignored(fixture: Fixture) {
    for old in [1, 2, 8192] {
        each(fixture, |mut at| {
            let mut segment = at.from(ACK, 0).wnd(1);
            segment.ack = at.una.wrapping_sub(old);
            at.s.inject(segment);
            at.still().s.counted(Cause::BadAck, 0);
        });
    }
}

/// Seventh check: text after the peer's FIN is ignored.
fn text_is_ignored(fixture: Fixture) {
    for (offset, text) in [(0, &b"x"[..]), (0, b"more"), (1, b"x"), (BELOW, b"xyz")] {
        each(fixture, |mut at| {
            at.s.inject(at.from(ACK, offset).data(text));
            while let Some(answer) = at.s.next() {
                assert_eq!((answer.flags, answer.ack), (ACK, at.rcv));
            }
            at.still();
            assert_eq!(at.s.read(), b"");
        });
    }
}

/// Seventh check: text is delivered and acknowledged with <SEQ=SND.NXT><ACK=RCV.NXT>.
fn text_is_delivered_and_acknowledged(fixture: Fixture) {
    each(fixture, |mut at| {
        at.s.inject(at.from(ACK, 0).data(b"some text"));
        assert_eq!(at.s.acked(at.rcv + 9).seq, at.nxt);
        at.still();
        assert_eq!(at.s.read(), b"some text");
    });
}

/// Seventh check: what lies ahead is held until the gap is filled (SHLD-31).
fn text_ahead_is_held(fixture: Fixture) {
    each(fixture, |mut at| {
        at.s.inject(at.from(ACK, 5).data(b"text"));
        at.acknowledged();
        assert_eq!(at.s.read(), b"");
        at.s.inject(at.from(ACK, 0).data(b"some "));
        at.s.acked(at.rcv + 9);
        at.still();
        assert_eq!(at.s.read(), b"some text");
    });
}

/// Eighth check: the peer's FIN comes again, in front of RCV.NXT; the state stays, the FIN is acknowledged.
fn the_fin_again_is_acknowledged(fixture: Fixture) {
    each(fixture, |mut at| {
        at.s.inject(at.from(ACK | FIN, BELOW));
        at.acknowledged().still();
    });
}

/// A second FIN behind the first, which can't be: the state stays, RCV.NXT stays.
fn another_fin_changes_nothing(fixture: Fixture) {
    each(fixture, |mut at| {
        at.s.inject(at.from(ACK | FIN, 0));
        while let Some(answer) = at.s.next() {
            assert_eq!((answer.flags, answer.ack), (ACK, at.rcv));
        }
        at.still();
    });
}

/// Our FIN that is not acknowledged comes again and again with the same number, each time after twice as long.
fn our_fin_is_sent_again(fixture: Fixture) {
    each(fixture, |mut at| {
        let mut wait = at.s.word(super::words::RTO);
        // Some of it may have passed on the way here.
        let first = (0..wait).find_map(|_| at.s.ticks(1).next());
        assert_eq!(first.map(|s| (s.flags, s.seq)), Some((FIN | ACK, at.una)));
        for _ in 0..3 {
            wait *= 2;
            at.s.ticks(wait - 1).silence().ticks(1);
            at.s.expect(FIN | ACK, at.una, at.rcv, 0);
            at.still();
        }
    });
}

/// A CLOSE that comes twice sends no second FIN.
fn another_close_sends_no_second_fin(fixture: Fixture) {
    each(fixture, |mut at| {
        at.s.close();
        at.still();
        assert_eq!(at.nxt, 2, "ours has been sent");
    });
}

/// ABORT: <SEQ=SND.NXT><CTL=RST>, and the connection is over.
fn abort_sends_a_reset(fixture: Fixture) {
    each(fixture, |mut at| {
        if at.name == "SYN-RECEIVED" {
            at.s.model_only("an application has no offer before the connection is open");
        }
        at.s.abort();
        let reset = at.s.next().expect("a reset");
        assert_eq!((reset.flags & RST, reset.seq), (RST, at.nxt));
        at.gone().s.counted(Cause::ResetOut, 1);
        at.s.ticks(10_000).silence();
    });
}

/// ABORT: "ok", and the connection is over without a word.
fn abort_ends_it_silently(fixture: Fixture) {
    each(fixture, |mut at| {
        at.s.abort();
        at.gone().s.counted(Cause::ResetOut, 0);
        at.s.ticks(10_000).silence();
    });
}
