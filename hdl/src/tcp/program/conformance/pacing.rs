//! A pacer's hook ([`crate::tcp::pacing`]): what waits while a connection is held, and what does not.
use super::super::script::*;
use super::super::words::*;
use crate::counters::Cause;

/// A connection whose peer takes segments of 1,000 bytes.
fn established() -> Script {
    Script::established_with(config(), seg(SYN, 0, 0).mss(1000).sack_permitted())
}

/// The pacer's word for the connection in slot 0.
fn hold(s: &mut Script, hold: bool) {
    s.toe.hold(0, hold);
    s.settle();
}

#[test]
fn new_text_waits_until_it_is_let_go() {
    let mut s = established();
    hold(&mut s, true);
    s.write(&[1; 2500]).silence();
    s.ticks(3_000).silence();
    hold(&mut s, false);
    s.expect(ACK, 1, 1, 1000);
    s.expect(ACK, 1001, 1, 1000);
    s.silence();
}

#[test]
fn what_is_held_in_the_middle_of_a_flight_goes_on_where_it_was() {
    let mut s = established();
    s.write(&[1; 2000]);
    s.expect(ACK, 1, 1, 1000);
    s.expect(ACK, 1001, 1, 1000);
    hold(&mut s, true);
    s.write(&[2; 2000]).inject(seg(ACK, 1, 2001)).silence();
    assert_eq!(s.word(SND_UNA), s.word(SND_MAX));
    hold(&mut s, false);
    s.expect(ACK, 2001, 1, 1000);
    s.expect(ACK, 3001, 1, 1000);
    s.silence();
}

#[test]
fn little_pieces_written_meanwhile_are_one_segment() {
    let mut s = established();
    hold(&mut s, true);
    for piece in [b"one ", b"two ", b"tri "] {
        s.write(piece).silence();
    }
    hold(&mut s, false);
    assert_eq!(s.expect(ACK, 1, 1, 12).data, b"one two tri ");
    s.silence();
}

#[test]
fn what_comes_is_acknowledged_all_the_same() {
    let mut s = established();
    hold(&mut s, true);
    s.write(b"held");
    s.inject(seg(ACK, 1, 1).data(&[7; 1000]));
    s.expect(ACK, 1, 1001, 0);
    s.inject(seg(ACK, 1001, 1).data(&[7; 1000]));
    s.expect(ACK, 1, 2001, 0);
    s.inject(seg(ACK, 5001, 1).data(b"ahead of a gap"));
    s.expect(ACK, 1, 2001, 0);
    s.silence();
}

#[test]
fn the_fin_stays_behind_the_text() {
    let mut s = established();
    hold(&mut s, true);
    s.write(b"last words").close().silence();
    s.state("ESTABLISHED");
    hold(&mut s, false);
    s.expect(ACK, 1, 1, 10);
    s.expect(FIN | ACK, 11, 1, 0);
    s.silence().state("FIN-WAIT-1");
    // Of a whole segment, too, of which the ring tells as a descriptor.
    let mut s = established();
    hold(&mut s, true);
    s.write(&[1; 1000]).close().silence();
    s.state("ESTABLISHED");
    hold(&mut s, false);
    s.expect(ACK, 1, 1, 1000);
    s.expect(FIN | ACK, 1001, 1, 0);
}

#[test]
fn a_fin_with_nothing_before_it_goes() {
    let mut s = established();
    hold(&mut s, true);
    s.close();
    s.expect(FIN | ACK, 1, 1, 0);
    s.state("FIN-WAIT-1");
}

#[test]
fn what_is_lost_goes_again() {
    let mut s = established();
    s.write(&[1; 5000]);
    for n in 0..5 {
        s.expect(ACK, 1 + 1000 * n, 1, 1000);
    }
    hold(&mut s, true);
    s.write(&[2; 2000]);
    for n in 2..5 {
        s.inject(seg(ACK, 1, 1).sack(&[(1001, 1001 + 1000 * (n - 1))]));
    }
    s.expect(ACK, 1, 1, 1000);
    s.silence().counted(Cause::Retransmit, 1);
    s.inject(seg(ACK, 1, 5001)).silence();
    hold(&mut s, false);
    s.expect(ACK, 5001, 1, 1000);
}

#[test]
fn after_a_timeout_the_first_goes_and_the_others_wait() {
    // NewReno, where what follows the first goes as new text does.
    let mut s = Script::new_reno(config(), seg(SYN, 0, 0).mss(1000));
    s.write(&[1; 3000]);
    for n in 0..3 {
        s.expect(ACK, 1 + 1000 * n, 1, 1000);
    }
    hold(&mut s, true);
    s.ticks(250);
    s.expect(ACK, 1, 1, 1000);
    s.silence();
    s.inject(seg(ACK, 1, 1001)).silence();
    hold(&mut s, false);
    s.expect(ACK, 1001, 1, 1000);
    // And a timer runs for what waits: it is never forgotten.
    let mut s = Script::new_reno(config(), seg(SYN, 0, 0).mss(1000));
    s.write(&[1; 2000]);
    s.expect(ACK, 1, 1, 1000);
    s.expect(ACK, 1001, 1, 1000);
    hold(&mut s, true);
    s.ticks(250);
    s.expect(ACK, 1, 1, 1000);
    s.inject(seg(ACK, 1, 1001)).silence();
    s.ticks(500);
    s.expect(ACK, 1001, 1, 1000);
}

#[test]
fn the_probe_of_a_tail_sends_the_last_once_more() {
    let mut s = established();
    s.write(&[1; 3000]);
    for n in 0..3 {
        s.expect(ACK, 1 + 1000 * n, 1, 1000);
    }
    s.ticks(20).inject(seg(ACK, 1, 3001)).silence();
    s.write(&[2; 2000]);
    s.expect(ACK, 3001, 1, 1000);
    s.expect(ACK, 4001, 1, 1000);
    hold(&mut s, true);
    s.write(&[3; 1000]).silence();
    s.ticks(199);
    s.expect(ACK, 4001, 1, 1000);
    s.counted(Cause::TailProbe, 1);
}

#[test]
fn a_shut_window_is_probed_once_it_is_let_go() {
    let mut s = established();
    s.inject(seg(ACK, 1, 1).wnd(0));
    hold(&mut s, true);
    s.write(&[1; 1000]);
    s.ticks(3_000).silence();
    hold(&mut s, false);
    s.silence().ticks(1_001);
    assert_eq!(s.next().map(|s| s.seq), Some(1));
    s.counted(Cause::ZeroWindowProbe, 1);
}

/// A probe is the timer's, whose time runs on.
#[test]
fn a_shut_window_that_is_probed_already_is_probed_on_while_it_is_held() {
    for length in [1, 1000] {
        let mut s = established();
        s.inject(seg(ACK, 1, 1).wnd(0));
        s.write(&vec![1; length]).silence();
        hold(&mut s, true);
        s.ticks(1_000);
        s.expect(ACK, 1, 1, 1);
        s.counted(Cause::ZeroWindowProbe, 1);
    }
}

#[test]
fn one_who_has_nothing_to_send_is_let_go_without_a_word() {
    // Of a connection in each state, and of nobody's slot.
    let mut s = Script::with(config());
    hold(&mut s, true);
    hold(&mut s, false);
    s.silence().slots(0);
    s.inject(seg(SYN, 0, 0));
    s.next();
    hold(&mut s, true);
    hold(&mut s, false);
    s.silence().state("SYN-RECEIVED");
    s.inject(seg(ACK, 1, 1)).silence();
    hold(&mut s, true);
    hold(&mut s, false);
    s.silence().state("ESTABLISHED");
    s.inject(seg(FIN | ACK, 1, 1));
    s.expect(ACK, 1, 2, 0);
    hold(&mut s, true);
    hold(&mut s, false);
    s.silence().state("CLOSE-WAIT");
    s.close();
    s.expect(FIN | ACK, 1, 2, 0);
    hold(&mut s, true);
    hold(&mut s, false);
    s.silence().state("LAST-ACK");
}
