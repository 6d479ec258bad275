//! The user timeout option (RFC 5482).
use super::super::constant::*;
use super::super::flags;
use super::super::host::ConnectionOption::{self, *};
use super::super::script::*;
use super::super::words::*;
use super::connection_options::{again_for, given_up};
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::isa::{pending, report};

/// The bit of minutes.
const MINUTES: u16 = 0x8000;

fn built() -> ToeConfig {
    ToeConfig {
        user_timeout_option: true,
        ..config()
    }
}

fn established() -> Script {
    Script::established_with(built(), seg(SYN, 0, 0).mss(1000))
}

/// Established, and the application has asked for it.
#[track_caller]
fn asked(seconds: u16) -> Script {
    let mut s = established();
    s.option(TimeoutOption(seconds));
    assert_eq!(s.expect(ACK, 1, 1, 0).timeout, Some(seconds));
    s.silence().reports();
    s
}

/// What was told of the peer's since the last time.
fn told(s: &mut Script) -> Vec<u32> {
    (s.reports().into_iter())
        .filter(|r| r.kind == report::USER_TIMEOUT)
        .map(|r| r.value)
        .collect()
}

/// The connection's timeout in ticks, if it has one.
fn timeout(s: &Script) -> Option<u32> {
    (s.word(FLAGS) & flags::USER_TIMEOUT != 0).then(|| s.word(USER_TIMEOUT))
}

/// That of a peer's option.
fn adjusted(seconds: u32) -> Option<u32> {
    Some(1000 * seconds + 125)
}

/// The host's command, and its event alone.
fn command(s: &mut Script, option: ConnectionOption) {
    let peer = (PEER_IP, PEER_PORT);
    let host = crate::config::Owner::Host;
    s.toe.set_option(HOST_PORT, peer, host, option);
    s.toe.step().expect("no fault");
}

/// Its event is posted: by what the peer says, or by the command.
fn posted(s: &mut Script, peer_s: bool, says: Seg) {
    if peer_s {
        s.arrive(says).toe.step().expect("no fault");
    } else {
        command(s, TimeoutOption(90));
    }
}

/// The same, ahead of the pending event that is next.
fn ahead_of_its_event(s: &mut Script, option: ConnectionOption) {
    let (conn, mask) = s.toe.blocks.events.pop().expect("its event");
    command(s, option);
    for bit in (0..8).filter(|bit| mask >> bit & 1 != 0) {
        s.toe.blocks.events.post(conn, bit);
    }
}

// ---- what comes ----------------------------------------------------------------------------------

#[test]
fn nobody_hears_it_who_has_not_asked() {
    // Section 3, ENABLED: false at first, and again with 0.
    for asks in [false, true] {
        let mut s = established();
        if asks {
            s.option(TimeoutOption(200)).expect(ACK, 1, 1, 0);
            s.option(TimeoutOption(0)).silence();
        }
        s.inject(seg(ACK, 1, 1).timeout(300)).silence();
        s.inject(seg(ACK, 1, 1).timeout(300).data(b"abc"));
        assert_eq!(s.expect(ACK, 1, 4, 0).timeout, None);
        assert_eq!((told(&mut s), timeout(&s)), (vec![], None));
        assert_eq!(s.silence().read(), b"abc");
    }
}

#[test]
fn the_timeout_is_adjusted_to_both_within_the_limits() {
    // Section 3.1: min (U_LIMIT, max (ADV_UTO, REMOTE_UTO, L_LIMIT)).
    for (own, peer, seconds) in [
        (150, 200, 200),
        (200, 150, 200),
        (1, 5, TIMEOUT_LEAST),
        (1, 100, 100),
        (1, 101, 101),
        (99, 1, 100),
        (101, 1, 101),
        (1, MINUTES | 1, TIMEOUT_LEAST),
        (1, MINUTES | 2, 120),
        (1, MINUTES | 136, 8160),
        (1, MINUTES | 137, TIMEOUT_MOST),
        (1, MINUTES | 0x7FFF, TIMEOUT_MOST),
        (1, 8191, 8191),
        (1, 8193, TIMEOUT_MOST),
        (1, 0x7FFF, TIMEOUT_MOST),
        (USER_TIMEOUT_MOST as u16, 1, USER_TIMEOUT_MOST),
    ] {
        let mut s = asked(own);
        s.inject(seg(ACK, 1, 1).timeout(peer)).silence();
        assert_eq!(timeout(&s), adjusted(seconds), "{own} {peer:#x}");
        assert_eq!(told(&mut s), [u32::from(peer)]);
    }
}

#[test]
fn a_peer_s_timeout_ends_the_connection_to_the_tick() {
    let mut s = asked(100);
    s.inject(seg(ACK, 1, 1).timeout(110)).silence();
    s.write(b"x");
    s.expect(ACK, 1, 1, 1);
    again_for(&mut s, 110_124, 1);
    given_up(&mut s, 2, 1);
}

/// What counts is how long text stays unacknowledged, not how long ago the peer has said so.
#[test]
fn it_begins_with_what_is_outstanding() {
    let mut s = asked(100);
    s.inject(seg(ACK, 1, 1).timeout(110)).silence();
    s.ticks(60_000).silence();
    s.write(b"x");
    s.expect(ACK, 1, 1, 1);
    again_for(&mut s, 110_124, 1);
    given_up(&mut s, 2, 1);
}

#[test]
fn the_last_that_came_counts() {
    let mut s = asked(150);
    for (peer, seconds) in [(200, 200), (300, 300), (120, 150)] {
        s.inject(seg(ACK, 1, 1).timeout(peer));
        assert_eq!(timeout(&s), adjusted(seconds));
        assert_eq!(told(&mut s), [u32::from(peer)]);
    }
    s.option(TimeoutOption(170));
    assert_eq!(s.expect(ACK, 1, 1, 0).timeout, Some(170));
    assert_eq!((told(&mut s), timeout(&s)), (vec![], adjusted(150)));
    s.inject(seg(ACK, 1, 1).timeout(1));
    assert_eq!((told(&mut s), timeout(&s)), (vec![1], adjusted(170)));
}

#[test]
fn what_the_application_has_set_is_not_changed_and_it_is_told() {
    // Section 3, CHANGEABLE.
    for before in [false, true] {
        let mut s = established();
        if before {
            s.option(UserTimeout(10));
        }
        s.option(TimeoutOption(200)).expect(ACK, 1, 1, 0);
        s.inject(seg(ACK, 1, 1).timeout(500));
        assert_eq!(told(&mut s), [500]);
        if !before {
            assert_eq!(timeout(&s), adjusted(500));
            s.option(UserTimeout(10));
        }
        s.inject(seg(ACK, 1, 1).timeout(501));
        assert_eq!(timeout(&s), Some(10_000));
        assert_eq!(told(&mut s), [501]);
        s.write(b"x");
        again_for(&mut s, 9_999, 1);
        given_up(&mut s, 2, 1);
    }
    // Without a timeout of its own it is changeable again.
    let mut s = asked(200);
    s.option(UserTimeout(10)).option(UserTimeout(0));
    s.inject(seg(ACK, 1, 1).timeout(500));
    assert_eq!(timeout(&s), adjusted(500));
}

#[test]
fn the_reserved_values_are_ignored() {
    // Section 3.4, and what has another length is none.
    for option in [
        &[28, 4, 0, 0][..],
        &[28, 4, 0x80, 0],
        &[28, 3, 9],
        &[28, 6, 0, 9, 0, 9],
    ] {
        let mut s = asked(200);
        s.inject(seg(ACK, 1, 1).raw(option)).silence();
        assert_eq!((told(&mut s), timeout(&s)), (vec![], None));
    }
}

#[test]
fn it_comes_with_text_fin_and_other_options() {
    let mut s = asked(200);
    s.inject(seg(ACK, 1, 1).timeout(300).data(b"abc"));
    s.expect(ACK, 1, 4, 0);
    assert_eq!(told(&mut s), [300]);
    // Urgent.
    s.inject(seg(ACK, 4, 1).timeout(301).data(b"d").urgent(1));
    s.expect(ACK, 1, 5, 0);
    let kinds: Vec<_> = s.reports().iter().map(|r| (r.kind, r.value)).collect();
    assert_eq!(kinds, [(report::URGENT, 1), (report::USER_TIMEOUT, 301)]);
    // Of a segment that acknowledges something, while more is to be sent.
    s.write(&[1; 3000]);
    for n in 0..3 {
        s.expect(ACK, 1 + 1000 * n, 5, 1000);
    }
    s.write(b"y").silence();
    s.inject(seg(ACK, 5, 3001).timeout(302));
    s.expect(ACK, 3001, 5, 1);
    assert_eq!(told(&mut s), [302]);
    s.inject(seg(ACK | FIN, 5, 3002).timeout(303));
    s.expect(ACK, 3002, 6, 0);
    assert_eq!(told(&mut s), [303]);
    assert_eq!(s.state("CLOSE-WAIT").read(), b"abcd");
    // Beside SACK blocks.
    let syn = seg(SYN, 0, 0).mss(1000).sack_permitted();
    let mut s = Script::established_with(built(), syn);
    s.option(TimeoutOption(200)).expect(ACK, 1, 1, 0);
    s.write(&[1; 3000]);
    while s.next().is_some() {}
    s.inject(seg(ACK, 1, 1).sack(&[(1001, 2001)]).timeout(304));
    assert_eq!(told(&mut s), [304]);
    assert_eq!(timeout(&s), adjusted(304));
}

#[test]
fn who_has_guessed_is_not_heard() {
    let mut s = asked(200);
    s.inject(seg(ACK, 1, 9).timeout(300)).silence_but_acks();
    s.inject(seg(ACK, 30_000, 1).timeout(300))
        .silence_but_acks();
    s.inject(seg(RST, 30_000, 1).timeout(300)).silence();
    // Nor who has hit the window, but acknowledges what is older than any: half of all numbers are (RFC 5961 section 5.2).
    for back in [65_536, 100_000, 1 << 30] {
        s.inject(seg(ACK, 1, 1_u32.wrapping_sub(back)).timeout(300))
            .silence_but_acks();
    }
    assert_eq!((told(&mut s), timeout(&s)), (vec![], None));
    s.inject(seg(ACK, 1, 1_u32.wrapping_sub(65_535)).timeout(300));
    assert_eq!(told(&mut s), [300]);
}

/// Section 3: the timeout is how long text may stay unacknowledged, whatever it was in the meantime.
#[test]
fn while_text_goes_again_it_is_counted_from_when_it_was_sent() {
    // Seconds from then, and what the peer says; the last is not yet over.
    for says in [
        &[(3, 110)][..],
        &[(3, 4000), (50, 110)],
        &[(50, 110), (51, 111), (52, 110)],
        // Nobody gets longer by ever saying something else.
        &[(50, 4000), (70, 110), (90, 4000), (105, 110)],
        &[(3, 110), (90, 130)],
    ] {
        let mut s = asked(1);
        s.ticks(50_000).silence();
        s.write(b"x");
        s.expect(ACK, 1, 1, 1);
        let mut at = 0;
        for &(then, option) in says {
            again_for(&mut s, then * 1000 - at, 1);
            at = then * 1000;
            s.inject(seg(ACK, 1, 1).timeout(option));
        }
        let last = u32::from(says[says.len() - 1].1);
        again_for(&mut s, last * 1000 + 124 - at, 1);
        given_up(&mut s, 2, 1);
    }
    // A tick before its end, and at it: what is over has the time of a retransmission.
    for (late, left) in [(0, Some(1)), (1, None), (2, None)] {
        let mut s = asked(1);
        s.write(b"x");
        s.expect(ACK, 1, 1, 1);
        again_for(&mut s, 1000, 1);
        s.inject(seg(ACK, 1, 1).timeout(4000));
        again_for(&mut s, 110_124 - 1000 + late, 1);
        s.inject(seg(ACK, 1, 1).timeout(110));
        let left = left.unwrap_or(s.word(RTO));
        again_for(&mut s, left - 1, 1);
        given_up(&mut s, 2, 1);
    }
    // And long after it.
    let mut s = asked(1);
    s.write(b"x");
    s.expect(ACK, 1, 1, 1);
    again_for(&mut s, 1000, 1);
    s.inject(seg(ACK, 1, 1).timeout(4000));
    again_for(&mut s, 130_000, 1);
    s.inject(seg(ACK, 1, 1).timeout(110));
    let rto = s.word(RTO);
    again_for(&mut s, rto - 1, 1);
    given_up(&mut s, 2, 1);
}

/// Section 3.1: L_LIMIT is above the RTO. The peer's answers get ever later, and so does the RTO.
#[test]
fn a_timeout_below_the_rto_leaves_a_retransmission_its_time() {
    let mut s = asked(1);
    let mut at = 1;
    while s.word(RTO) < 130_000 {
        s.write(b"x");
        s.expect(ACK, at, 1, 1);
        let wait = (s.word(RTO) - 1).min(60_000);
        at += 1;
        s.ticks(wait).inject(seg(ACK, 1, at)).silence();
    }
    let rto = s.word(RTO);
    s.write(b"x");
    s.expect(ACK, at, 1, 1);
    s.ticks(rto);
    s.expect(ACK, at, 1, 1);
    s.inject(seg(ACK, 1, at).timeout(5)).silence();
    assert_eq!(timeout(&s), adjusted(TIMEOUT_LEAST));
    again_for(&mut s, RTO_MAX - 1, at);
    given_up(&mut s, at + 1, 1);
}

/// What is said again is no news: neither is it told of, nor does it keep round trips from being measured.
#[test]
fn a_peer_that_says_it_with_every_segment_is_measured_and_told_of_once() {
    for stamps in [false, true] {
        let mut s = Script::with(built());
        let mut syn = seg(SYN, 0, 0).mss(1000).sack_permitted();
        if stamps {
            syn = syn.stamps(1, 0);
        }
        s.inject(syn);
        let echo = s.expect(SYN | ACK, 0, 1, 0).stamps.map(|s| s.0);
        let peer = |at: u32, now: u32| {
            let seg = seg(ACK, 1, 1 + at).timeout(300);
            match echo {
                Some(echo) => seg.stamps(1 + now, echo.wrapping_add(now)),
                None => seg,
            }
        };
        s.inject(peer(0, 0));
        s.option(TimeoutOption(150)).next();
        let mut now = 0;
        for n in 0..20 {
            s.write(b"x");
            s.expect(ACK, 1 + n, 1, 1);
            s.ticks(30);
            now += 30;
            s.inject(peer(1 + n, now - if stamps { 30 } else { 0 }))
                .silence();
        }
        assert!((200..=240).contains(&s.word(SRTT)), "{}", s.word(SRTT));
        assert_eq!(told(&mut s), [300]);
        // Once it is asked for anew it counts anew.
        s.option(TimeoutOption(160)).next();
        s.inject(peer(20, now)).silence();
        assert_eq!(told(&mut s), [300]);
    }
}

/// What comes with a segment that SYN-RECEIVED answers with a reset is not heard.
#[test]
fn nothing_is_told_of_a_connection_that_is_not_open() {
    let mut s = Script::with(built());
    s.connect();
    s.expect(SYN, 0, 0, 0);
    s.option(TimeoutOption(150));
    s.inject(seg(SYN, 0, 0).mss(900));
    s.expect(SYN | ACK, 0, 1, 0);
    s.reports();
    s.inject(seg(ACK, 1, 0).timeout(300));
    assert_eq!(s.next().map(|out| out.flags), Some(RST));
    s.silence().state("SYN-RECEIVED");
    assert_eq!(told(&mut s), []);
    s.inject(seg(ACK, 1, 1));
    assert_eq!(s.expect(ACK, 1, 1, 0).timeout, Some(150));
    s.silence().state("ESTABLISHED");
    assert_eq!((told(&mut s), timeout(&s)), (vec![], None));
    s.inject(seg(ACK, 1, 1).timeout(301)).silence();
    assert_eq!(told(&mut s), [301]);
}

// ---- what is sent --------------------------------------------------------------------------------

#[test]
fn it_goes_at_once_when_a_new_one_is_named() {
    let mut s = asked(150);
    s.option(TimeoutOption(151));
    assert_eq!(s.expect(ACK, 1, 1, 0).timeout, Some(151));
    // Once, and nothing else has it.
    s.silence().write(b"text");
    assert_eq!(s.expect(ACK, 1, 1, 4).timeout, None);
    s.inject(seg(ACK, 1, 5).data(b"abc"));
    assert_eq!(s.expect(ACK, 5, 4, 0).timeout, None);
    s.ticks(20_000).silence();
    s.option(TimeoutOption(0)).silence();
    // It is an ACK like any: what is due goes with it.
    assert_eq!(s.word(ACK_DUE), 0);
    let most = USER_TIMEOUT_MOST as u16;
    s.option(TimeoutOption(most));
    assert_eq!(s.expect(ACK, 5, 4, 0).timeout, Some(most));
    s.counted(Cause::ConnectRefused, 0);
    for seconds in [most + 1, 0x7FFF, 0x8001, 0xFFFF] {
        s.option(TimeoutOption(seconds)).silence();
    }
    s.counted(Cause::ConnectRefused, 4);
}

#[test]
fn the_first_segment_without_syn_has_it() {
    // Of an active open, asked for in SYN-SENT.
    let mut s = Script::with(built());
    s.connect();
    assert_eq!(s.expect(SYN, 0, 0, 0).timeout, None);
    s.option(TimeoutOption(150)).silence().state("SYN-SENT");
    s.inject(seg(SYN | ACK, 0, 1).mss(1000));
    assert_eq!(s.expect(ACK, 1, 1, 0).timeout, Some(150));
    s.silence().state("ESTABLISHED").write(b"text");
    assert_eq!(s.expect(ACK, 1, 1, 4).timeout, None);
    // A simultaneous one.
    let mut s = Script::with(built());
    s.connect();
    s.expect(SYN, 0, 0, 0);
    s.option(TimeoutOption(150));
    s.inject(seg(SYN, 0, 0).mss(900));
    assert_eq!(s.expect(SYN | ACK, 0, 1, 0).timeout, None);
    s.inject(seg(ACK, 1, 1));
    assert_eq!(s.expect(ACK, 1, 1, 0).timeout, Some(150));
    s.silence();
    // Of a passive one, in SYN-RECEIVED: and what the peer says with the first of its own is heard. Its SYN's is not.
    for text in [&b""[..], b"hello"] {
        for stamps in [false, true] {
            let mut s = Script::with(built());
            let mut syn = seg(SYN, 0, 0).mss(1000).timeout(400);
            if stamps {
                syn = syn.sack_permitted().stamps(1, 0);
            }
            s.inject(syn);
            let syn_ack = s.expect(SYN | ACK, 0, 1, 0);
            assert_eq!(syn_ack.timeout, None);
            s.option(TimeoutOption(150)).silence();
            let mut ack = seg(ACK, 1, 1).timeout(300).data(text);
            if let Some((value, _)) = syn_ack.stamps {
                ack = ack.stamps(2, value);
            }
            s.inject(ack);
            let first = s.expect(ACK, 1, 1 + text.len() as u32, 0);
            assert_eq!(first.timeout, Some(150));
            assert_eq!(first.stamps.is_some(), stamps);
            s.silence().state("ESTABLISHED");
            assert_eq!((told(&mut s), timeout(&s)), (vec![300], adjusted(300)));
        }
    }
}

#[test]
fn it_goes_in_every_state_that_has_a_connection_and_with_timestamps() {
    let mut s = Script::with(built());
    let syn = seg(SYN, 0, 0).mss(1000).sack_permitted().stamps(1, 0);
    s.inject(syn);
    let (value, _) = s.expect(SYN | ACK, 0, 1, 0).stamps.expect("timestamps");
    s.inject(seg(ACK, 1, 1).stamps(2, value)).silence();
    s.option(TimeoutOption(77));
    let out = s.expect(ACK, 1, 1, 0);
    assert_eq!((out.timeout, out.stamps.map(|s| s.1)), (Some(77), Some(2)));
    // Behind our FIN, and behind the peer's.
    let mut s = established();
    s.close().expect(FIN | ACK, 1, 1, 0);
    s.option(TimeoutOption(78));
    assert_eq!(s.expect(ACK, 2, 1, 0).timeout, Some(78));
    s.inject(seg(ACK | FIN, 1, 1)).expect(ACK, 2, 2, 0);
    s.option(TimeoutOption(79));
    assert_eq!(s.state("CLOSING").expect(ACK, 2, 2, 0).timeout, Some(79));
}

/// Behind the probe it would be unacceptable to the peer (RFC 9293 section 3.10.7.4), and so would be the ACK that was due and is thought to have gone with it.
#[test]
fn beside_a_probe_it_stands_inside_the_shut_window() {
    for stamps in [false, true] {
        let c = ToeConfig {
            delayed_ack: true,
            ..built()
        };
        let mut s = Script::with(c);
        let mut syn = seg(SYN, 0, 0).mss(1000).wnd(2000);
        if stamps {
            syn = syn.sack_permitted().stamps(1, 0);
        }
        s.inject(syn);
        let value = s.expect(SYN | ACK, 0, 1, 0).stamps;
        let shut = seg(ACK, 1, 1).wnd(0);
        let shut = match value {
            Some((value, _)) => shut.stamps(2, value),
            None => shut,
        };
        s.inject(shut.clone()).silence();
        s.write(b"text").ticks(1_500);
        s.expect(ACK, 1, 1, 1);
        while s.next().is_some() {}
        // The peer expects 1.
        s.inject(shut.data(b"abc")).silence();
        s.option(TimeoutOption(150));
        let out = s.expect(ACK, 1, 4, 0);
        assert_eq!((out.timeout, out.stamps.is_some()), (Some(150), stamps));
    }
}

#[test]
fn what_comes_with_its_event_is_done_too() {
    for close in [false, true] {
        let mut s = established();
        s.inject(seg(ACK, 1, 1).data(&[7; 1000])).acked(1001);
        command(&mut s, TimeoutOption(90));
        assert_eq!(s.toe.host_write(0, b"text"), 4);
        if close {
            s.toe.host_close(0);
        } else {
            assert_eq!(s.toe.host_read(0, 1000).len(), 1000);
        }
        s.settle();
        let out: Vec<_> = std::iter::from_fn(|| s.next()).collect();
        let options = out.iter().filter(|s| s.timeout == Some(90)).count();
        let text: usize = out.iter().map(|s| s.data.len()).sum();
        let fins = out.iter().filter(|s| s.flags & FIN != 0).count();
        assert_eq!((options, text, fins), (1, 4, usize::from(close)), "{out:?}");
    }
}

/// Something is read in every event of its connection.
#[test]
fn who_reads_all_the_time_does_not_put_it_off() {
    for peer_s in [false, true] {
        let mut s = if peer_s { asked(90) } else { established() };
        s.inject(seg(ACK, 1, 1).data(&[7; 1000])).acked(1001);
        s.model_only("each event is taken by hand");
        posted(&mut s, peer_s, seg(ACK, 1001, 1).timeout(300));
        for _ in 0..3 {
            assert_eq!(s.toe.host_read(0, 10).len(), 10);
            s.toe.step().expect("no fault");
        }
        if peer_s {
            assert_eq!(told(&mut s), [300]);
        } else {
            assert_eq!(s.next().and_then(|out| out.timeout), Some(90));
        }
        s.settle();
    }
}

/// What is read with its event is announced all the same: the ring was full. And in the cycles of any other.
#[test]
fn what_is_read_with_its_event_opens_the_window() {
    for peer_s in [false, true] {
        let mut s = if peer_s { asked(90) } else { established() };
        for n in 0..8 {
            s.inject(seg(ACK, 1 + n * 1024, 1).data(&[7; 1024]));
            s.acked(1 + (n + 1) * 1024);
        }
        s.model_only("each event is taken by hand");
        posted(&mut s, peer_s, seg(ACK, 8193, 1).timeout(MINUTES | 3));
        assert_eq!(s.toe.host_read(0, 8192).len(), 8192);
        let cycles = event(&mut s);
        println!("the peer's {peer_s}: {cycles} cycles");
        assert!(cycles <= 170, "{cycles}");
        s.settle();
        let out = s.expect(ACK, 1, 8193, 0);
        assert_eq!((out.wnd, out.timeout.is_some()), (8192, !peer_s));
        s.silence();
    }
}

/// What the peer says is told, though the application sets a timeout before its event.
#[test]
fn what_was_said_before_a_timeout_is_set_is_told() {
    let mut s = asked(200);
    s.model_only("the order of the events is chosen");
    s.arrive(seg(ACK, 1, 1).timeout(300));
    s.toe.step().expect("no fault");
    ahead_of_its_event(&mut s, UserTimeout(10));
    s.settle();
    assert_eq!((told(&mut s), timeout(&s)), (vec![300], Some(10_000)));
}

/// The retransmission timer expires ahead of its event.
#[test]
fn a_timer_that_expires_with_its_event_counts() {
    let mut s = established();
    s.write(b"x");
    s.expect(ACK, 1, 1, 1);
    let rto = s.word(RTO);
    s.ticks(rto - 1).silence();
    s.model_only("each event is taken by hand");
    command(&mut s, TimeoutOption(90));
    s.toe.tick();
    s.settle();
    let out: Vec<_> = std::iter::from_fn(|| s.next()).collect();
    let options = out.iter().filter(|s| s.timeout == Some(90)).count();
    let again = out.iter().filter(|s| s.data == b"x").count();
    assert_eq!((options, again, out.len()), (1, 1, 2), "{out:?}");
    s.counted(Cause::RtoExpired, 1);
}

/// Something is posted that waits for nobody: none of it is lost.
#[test]
fn what_ends_a_connection_with_its_event_counts() {
    let mut s = established();
    s.model_only("each event is taken by hand");
    command(&mut s, TimeoutOption(90));
    s.toe.host_abort(0);
    s.settle();
    s.expect(RST | ACK, 1, 1, 0);
    s.silence().slots(0);
    // Released, with what the peer says beside the ACK of our FIN.
    let mut s = asked(90);
    s.close().expect(FIN | ACK, 1, 1, 0);
    s.inject(seg(ACK | FIN, 1, 2).timeout(300)).acked(2);
    s.ticks(100).waiting(1).slots(0);
}

/// Behind the peer's FIN.
#[test]
fn what_is_read_to_the_end_does_not_swallow_it() {
    for peer_s in [false, true] {
        let mut s = if peer_s { asked(90) } else { established() };
        s.inject(seg(ACK | FIN, 1, 1).data(&[7; 1000])).acked(1002);
        s.model_only("each event is taken by hand");
        posted(&mut s, peer_s, seg(ACK, 1002, 1).timeout(300));
        assert_eq!(s.toe.host_read(0, 1000).len(), 1000);
        s.settle();
        let out: Vec<_> = std::iter::from_fn(|| s.next()).collect();
        let options: Vec<_> = out.iter().map(|out| out.timeout).collect();
        assert_eq!(options, [Some(90)][usize::from(peer_s)..]);
        assert_eq!(told(&mut s), [300][usize::from(!peer_s)..]);
    }
}

/// Of a connection that a cookie opens, asked for before its second event: as the hardware takes turns, for a command may come between.
#[test]
fn a_connection_that_a_cookie_opens_has_it_too() {
    let mut c = ToeConfig {
        syn_cookies: true,
        ..built()
    };
    c.listeners[1] = c.listeners[1].backlog(1);
    let mut s = Script::with(c);
    s.inject(seg(SYN, 0, 0).with_source(1));
    s.next().expect("a SYN-ACK");
    s.inject(seg(SYN, 0, 0));
    let cookie = s.next().expect("a cookie").seq;
    s.model_only("the order of the events is chosen");
    s.arrive(seg(ACK, 1, cookie.wrapping_add(1)));
    s.toe.step().expect("no fault");
    ahead_of_its_event(&mut s, TimeoutOption(90));
    s.settle().counted(Cause::Opened, 1);
    let out: Vec<_> = std::iter::from_fn(|| s.next()).collect();
    let options: Vec<_> = out.iter().map(|out| out.timeout).collect();
    assert_eq!(options, [Some(90)]);
}

#[test]
fn a_lost_one_is_missed_by_nobody() {
    // Section 3.2: nothing waits for it, nothing goes again.
    let mut s = asked(150);
    s.ticks(100_000).silence().state("ESTABLISHED");
    assert_eq!((timeout(&s), s.word(TRIES)), (None, 0));
    s.write(b"x");
    s.expect(ACK, 1, 1, 1);
    s.inject(seg(ACK, 1, 2)).silence();
}

#[test]
fn two_of_us_come_to_an_end() {
    // Each one's option is answered by no other.
    let mut s = asked(150);
    for _ in 0..3 {
        s.inject(seg(ACK, 1, 1).timeout(150)).silence();
    }
    s.ticks(10_000).silence();
}

#[test]
fn the_next_connection_begins_without() {
    let mut s = asked(200);
    s.inject(seg(ACK, 1, 1).timeout(300));
    s.inject(seg(RST, 1, 0)).slots(0);
    s.reports();
    s.inject(seg(SYN, 0, 0).mss(1000));
    let first = s.next().expect("a SYN-ACK").seq.wrapping_add(1);
    s.inject(seg(ACK, 1, first).timeout(300)).silence();
    assert_eq!((told(&mut s), timeout(&s)), (vec![], None));
    s.ticks(5_000).silence();
}

/// What the last one's peer has said stays in the slot's state, and an event that was left for it may come to the next: who has not asked is told nothing.
#[test]
fn an_event_left_over_says_nothing_to_the_next_connection() {
    let mut s = asked(200);
    s.inject(seg(ACK, 1, 1).timeout(300));
    s.inject(seg(RST, 1, 0)).slots(0);
    s.reports();
    s.inject(seg(SYN, 0, 0).mss(1000));
    let first = s.next().expect("a SYN-ACK").seq.wrapping_add(1);
    s.inject(seg(ACK, 1, first)).silence();
    assert_eq!(s.word(REMOTE_UTO), 300 << 16);
    s.model_only("the event is posted by hand");
    s.toe.blocks.events.post(0, pending::ASIDE);
    s.settle().silence();
    assert_eq!((told(&mut s), timeout(&s)), (vec![], None));
}

#[test]
fn without_the_switch_there_is_no_such_option() {
    let option: ConnectionOption = TimeoutOption(150);
    let mut s = Script::established();
    s.option(option).silence().counted(Cause::ConnectRefused, 1);
    s.inject(seg(ACK, 1, 1).timeout(300).data(b"abc"));
    s.expect(ACK, 1, 4, 0);
    assert_eq!((told(&mut s), timeout(&s)), (vec![], None));
}

/// The engine's next event alone, in cycles.
fn event(s: &mut Script) -> u64 {
    s.toe.step().expect("no fault");
    s.toe.cost.cycles
}

#[test]
fn none_of_its_events_is_longer_than_others() {
    let cost = |s: &mut Script, what: &str| {
        let cycles = event(s);
        println!("{what:44} {cycles:4} cycles");
        assert!(cycles <= 170, "{what}: {cycles}");
    };
    let mut s = asked(150);
    let peer = (PEER_IP, PEER_PORT);
    let host = crate::config::Owner::Host;
    s.inject(seg(ACK, 1, 1).timeout(MINUTES | 3));
    s.toe.set_option(HOST_PORT, peer, host, TimeoutOption(200));
    cost(&mut s, "the command");
    cost(&mut s, "ours");
    s.settle();
    s.arrive(seg(ACK, 1, 1).timeout(MINUTES | 3));
    event(&mut s);
    cost(&mut s, "the peer's");
    let mut s = Script::with(built());
    s.inject(seg(SYN, 0, 0).mss(1000));
    s.next().expect("a SYN-ACK");
    s.option(TimeoutOption(150));
    s.arrive(seg(ACK, 1, 1).timeout(300));
    cost(&mut s, "ACK of our SYN, with the option");
    // With timestamps.
    let mut s = Script::with(built());
    s.inject(seg(SYN, 0, 0).mss(1000).sack_permitted().stamps(1, 0));
    let (value, _) = s.next().expect("a SYN-ACK").stamps.expect("timestamps");
    s.inject(seg(ACK, 1, 1).stamps(2, value)).silence();
    s.option(TimeoutOption(150)).next();
    s.inject(seg(ACK, 1, 1).stamps(2, value).timeout(MINUTES | 3));
    s.toe.set_option(HOST_PORT, peer, host, TimeoutOption(200));
    cost(&mut s, "the command");
    cost(&mut s, "ours, with timestamps");
}

/// A segment with the option, the first time and again, takes no longer than the same that is urgent, without the option built, which is as odd.
#[test]
fn a_segment_with_it_is_no_longer_than_an_urgent_one() {
    for stamps in [false, true] {
        for (what, shape) in [
            ("pure ACK of nothing new", seg(ACK, 1, 1)),
            ("ACK of something new", seg(ACK, 1, 2001)),
            ("text", seg(ACK, 1, 1).data(&[1; 100])),
            ("text and new ACK", seg(ACK, 1, 2001).data(&[1; 100])),
            ("text ahead of a gap", seg(ACK, 2, 1).data(&[1; 100])),
            ("that and new ACK", seg(ACK, 2, 2001).data(&[1; 100])),
            ("text and FIN", seg(ACK | FIN, 1, 1).data(&[1; 100])),
            ("all", seg(ACK | FIN, 1, 2001).data(&[1; 100])),
        ] {
            let [urgent, optional, again] = [0, 1, 2].map(|times| {
                let option = times > 0;
                let mut s = Script::with(if option { built() } else { config() });
                let mut syn = seg(SYN, 0, 0).mss(1012);
                if stamps {
                    syn = syn.sack_permitted().stamps(1, 0);
                }
                s.inject(syn);
                let value = s.next().expect("a SYN-ACK").stamps;
                let stamped = |seg: Seg| match value {
                    Some((value, _)) => seg.stamps(2, value),
                    None => seg,
                };
                s.inject(stamped(seg(ACK, 1, 1)));
                if option {
                    s.option(TimeoutOption(150));
                }
                if times == 2 {
                    s.inject(stamped(seg(ACK, 1, 1).timeout(300)));
                }
                s.write(&[2; 2000]);
                while s.next().is_some() {}
                s.toe.host_write(0, &[3; 500]);
                s.settle();
                let shape = if option {
                    shape.clone().timeout(300)
                } else {
                    shape.clone().urgent(1)
                };
                s.arrive(stamped(shape));
                let cycles = event(&mut s);
                s.settle();
                cycles
            });
            println!("{what:32} {urgent:4} urgent, {optional:4} with the option, {again:4} again");
            assert!(optional <= urgent.max(170), "{what}: {optional}, {urgent}");
            assert!(again <= urgent.max(170), "{what}: {again}, {urgent}");
        }
    }
}
