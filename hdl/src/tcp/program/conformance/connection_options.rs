//! Options of a connection: Nagle's algorithm off (RFC 9293 section 3.7.4), keepalive (section 3.8.4), user timeout (section 3.10.8, RFC 5482 section 3), DSCP (section 3.9.2.1); and who may set them, and when.
use super::super::constant::*;
use super::super::flags;
use super::super::host::{
    self,
    ConnectionOption::{self, *},
};
use super::super::script::*;
use super::super::words::*;
use super::*;
use crate::config::Owner;
use crate::counters::Cause;

/// Those that are bits of the connection's.
const ALL: [ConnectionOption; 3] = [NoDelay(true), Keepalive(8), UserTimeout(10)];

/// The options that a connection has.
const BITS: u32 = flags::NO_DELAY | flags::KEEPALIVE | flags::USER_TIMEOUT;

fn bit(option: ConnectionOption) -> u32 {
    match option {
        NoDelay(_) => flags::NO_DELAY,
        Keepalive(_) => flags::KEEPALIVE,
        UserTimeout(_) => flags::USER_TIMEOUT,
        // Elsewhere ([`super::cubic`]).
        NewReno(_) => 0,
        // Elsewhere, too ([`super::user_timeout`]).
        TimeoutOption(_) => 0,
        // The builder has it.
        Diffserv(_) => 0,
    }
}

// ---- who may set them, and when ------------------------------------------------------------------

#[test]
fn a_connection_begins_without_and_each_is_set_and_cleared_alone() {
    let mut at = super::established((US, PEER));
    let before = at.s.word(FLAGS);
    assert_eq!(before & BITS, 0);
    let mut set = before;
    for option in ALL {
        set |= bit(option);
        assert_eq!(at.s.option(option).word(FLAGS), set);
    }
    for option in [NoDelay(false), Keepalive(0), UserTimeout(0)] {
        set &= !bit(option);
        assert_eq!(at.s.option(option).word(FLAGS), set);
    }
    assert_eq!(set, before);
    at.s.counted(Cause::ConnectRefused, 0);
    at.still();
}

#[test]
fn they_are_taken_from_syn_sent_and_syn_received_to_last_ack_and_refused_in_time_wait() {
    for (fixture, taken) in [
        (super::syn_received as Fixture, true),
        (super::established, true),
        (super::fin_wait_1, true),
        (super::fin_wait_2, true),
        (super::close_wait, true),
        (super::closing, true),
        (super::last_ack, true),
        (super::time_wait, false),
        (super::time_wait_unread, false),
        (super::closed_unread, false),
    ] {
        for option in ALL {
            let mut at = fixture((US, PEER));
            at.s.option(option);
            let name = at.name;
            at.s.counted(Cause::ConnectRefused, u64::from(!taken));
            let has = at.s.toe.machine.state.iter().any(|s| s[22] & BITS != 0);
            assert_eq!(has, taken, "{option:?} in {name}");
            at.still();
        }
    }
    let mut s = Script::connecting();
    for option in ALL {
        s.option(option).silence().state("SYN-SENT");
    }
    s.inject(seg(SYN | ACK, 0, 1).mss(1000));
    s.expect(ACK, 1, 1, 0);
    s.state("ESTABLISHED").counted(Cause::ConnectRefused, 0);
    assert_eq!(s.word(FLAGS) & BITS, BITS, "what was set before is kept");
}

#[test]
fn a_connection_that_is_over_or_was_never_there_has_none() {
    for option in ALL {
        let mut s = Script::new();
        s.option(option).silence().slots(0);
        s.counted(Cause::ConnectRefused, 1);
        // Over. And the next one in its place begins without.
        let mut s = Script::established();
        s.option(option);
        s.inject(seg(RST, 1, 0)).slots(0);
        s.option(option).counted(Cause::ConnectRefused, 1);
        s.inject(seg(SYN, 0, 0).mss(1000));
        assert_eq!(s.next().map(|s| s.flags), Some(SYN | ACK));
        assert_eq!(s.word(FLAGS) & BITS, 0);
    }
}

#[test]
fn another_application_s_or_another_peer_s_connection_is_not_touched() {
    for option in ALL {
        let mut at = super::established((US, PEER));
        for owner in [Owner::Echo, Owner::Discard, Owner::Chargen] {
            at.s.option_by(owner, option);
        }
        at.s.counted(Cause::ConnectRefused, 3);
        for (local, remote) in [
            (HOST_PORT, (PEER_IP, PEER_PORT + 1)),
            (HOST_PORT + 1, (PEER_IP, PEER_PORT)),
            (HOST_PORT, ([192, 168, 69, 3], PEER_PORT)),
        ] {
            at.s.toe.set_option(local, remote, Owner::Host, option);
        }
        at.s.settle().counted(Cause::ConnectRefused, 6);
        assert_eq!(at.s.word(FLAGS) & BITS, 0);
        at.still();
        at.s.slots(1);
    }
}

#[test]
fn a_number_that_there_is_not_is_refused() {
    let mut at = super::established((US, PEER));
    let mut refused = 0;
    for number in (0..=0xFF).filter(|n| !(1..=5).contains(n)) {
        for value in [0, 1, 8, 0xFFFF] {
            let word = number | value << 8;
            at.s.toe
                .command(HOST_PORT, (PEER_IP, PEER_PORT), Owner::Host, word);
            refused += 1;
            at.s.settle().counted(Cause::ConnectRefused, refused);
        }
    }
    // An open with too large a value, either, where nothing else would refuse it.
    for value in [64, 0x100, 0xFFFF] {
        at.s.toe
            .command(HOST_PORT, (PEER_IP, PEER_PORT + 1), Owner::Host, value << 8);
        refused += 1;
        at.s.settle().counted(Cause::ConnectRefused, refused);
    }
    assert_eq!(at.s.word(FLAGS) & BITS, 0);
    at.still();
    at.s.slots(1);
}

// ---- differentiated services ---------------------------------------------------------------------

#[test]
fn all_that_is_sent_has_the_dscp_that_was_set() {
    // MUST-48, SHLD-21, SHLD-22. `Script::next` looks at each packet.
    let mut at = super::established((US, PEER));
    for dscp in [46, 0, 63, 1, 32] {
        at.s.option(Diffserv(dscp));
        at.s.dscp = dscp;
        let (una, rcv) = (at.una, at.rcv);
        at.s.write(b"text").expect(ACK, una, rcv, 4);
        let rto = at.s.word(RTO);
        at.s.ticks(rto).expect(ACK, una, rcv, 4);
        while at.s.next().is_some() {}
        at.s.inject(seg(ACK, rcv, una + 4).data(b"more"));
        at.s.acked(rcv + 4);
        (at.una, at.nxt, at.rcv) = (una + 4, una + 4, rcv + 4);
        at.s.inject(at.from(ACK, BELOW).data(b"x"));
        at.acknowledged();
    }
    at.s.counted(Cause::ConnectRefused, 0);
    // A RST is like one that nobody's connection sends.
    at.s.abort();
    assert_eq!(at.s.next().map(|s| s.flags), Some(RST | ACK));
    // The next connection in its place begins without, and so does one that shows a cookie.
    at.s.dscp = 0;
    at.s.inject(seg(SYN, 0, 0).mss(1000));
    assert_eq!(at.s.next().map(|s| s.flags), Some(SYN | ACK));
    let first = at.s.word(SND_UNA).wrapping_sub(US);
    at.s.inject(seg(ACK, 1, first + 1)).silence();
    at.s.write(b"x");
    assert_eq!(at.s.next().map(|s| s.data.len()), Some(1));
    let mut c = config();
    c.listeners[1] = c.listeners[1].backlog(1);
    let mut s = Script::with(c);
    for port in [1000, 1001, 1002] {
        s.inject(seg(SYN, 0, 0).with_source(port));
        let first = s.next().expect("a SYN-ACK").seq + 1;
        let waits = port == 1000;
        if waits {
            // In every slot.
            s.toe.blocks.classes.fill(7);
        } else {
            s.inject(seg(ACK, 1, first).with_source(port));
            s.inject(seg(ACK, 1, first).with_source(port).data(b"x"));
            assert_eq!(s.next().map(|s| s.ack), Some(2));
        }
    }
}

#[test]
fn an_open_s_syn_has_it_too() {
    for ecn in [false, true] {
        let mut s = Script::new();
        s.dscp = 10;
        s.toe.command(
            HOST_PORT,
            (PEER_IP, PEER_PORT),
            Owner::Host,
            host::open(ecn, 10),
        );
        s.settle();
        let syn = s.next().expect("a SYN");
        assert_eq!(syn.flags, if ecn { SYN | ECE | CWR } else { SYN });
        s.ticks(RTO_INITIAL).expect(SYN, 0, 0, 0);
        s.inject(seg(SYN | ACK, 0, 1)).expect(ACK, 1, 1, 0);
        s.state("ESTABLISHED").write(b"x").expect(ACK, 1, 1, 1);
        s.counted(Cause::ConnectRefused, 0);
    }
}

#[test]
fn one_connection_s_is_no_other_s() {
    let mut s = Script::established();
    s.option(Diffserv(9));
    s.inject(seg(SYN, 0, 0).with_source(1000));
    let first = s.next().expect("a SYN-ACK").seq + 1;
    s.inject(seg(ACK, 1, first).with_source(1000).data(b"x"));
    assert_eq!(s.next().map(|s| (s.ports.1, s.ack)), Some((1000, 2)));
    s.dscp = 9;
    s.write(b"x").expect(ACK, 1, 1, 1);
}

#[test]
fn a_dscp_of_seven_bits_is_refused() {
    let mut at = super::established((US, PEER));
    for dscp in [64, 0xFF] {
        at.s.option(Diffserv(dscp));
    }
    at.s.counted(Cause::ConnectRefused, 2);
    at.s.write(b"x").expect(ACK, 1, 1, 1);
}

// ---- no delay ------------------------------------------------------------------------------------

#[test]
fn without_nagle_every_piece_leaves_at_once() {
    // MUST-17
    each(super::established, |mut at| {
        at.s.option(NoDelay(true));
        for n in 0..5 {
            at.s.write(b"abc");
            at.s.expect(ACK, 1 + 3 * n, 1, 3);
            at.s.silence();
        }
        at.s.inject(seg(ACK, 1, 16)).option(NoDelay(false));
        at.s.write(b"d");
        at.s.expect(ACK, 16, 1, 1);
        at.s.write(b"e").silence();
        at.s.inject(seg(ACK, 1, 17));
        at.s.expect(ACK, 17, 1, 1);
        at.s.silence();
    });
}

#[test]
fn what_nagle_held_goes_with_the_command() {
    let mut at = super::established((US, PEER));
    at.s.write(b"a");
    at.s.expect(ACK, 1, 1, 1);
    at.s.write(b"bc").silence();
    at.s.option(NoDelay(true));
    assert_eq!(at.s.expect(ACK, 2, 1, 2).data, b"bc");
    at.s.silence();
}

#[test]
fn without_nagle_the_peer_s_window_and_cwnd_still_bound_the_flight() {
    let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(5));
    s.option(NoDelay(true));
    s.write(b"abc");
    s.expect(ACK, 1, 1, 3);
    s.write(b"def").silence();
    s.write(b"ghi").silence();
    s.inject(seg(ACK, 1, 4).wnd(6));
    s.expect(ACK, 4, 1, 3);
    s.expect(ACK, 7, 1, 3);
    s.silence();
    // To the byte, cwnd.
    for (cwnd, leaves) in [(5, false), (6, true)] {
        let mut s = Script::established();
        s.option(NoDelay(true));
        s.write(b"abc");
        s.expect(ACK, 1, 1, 3);
        s.model_only("its cwnd is set by hand");
        s.toe.machine.state[0][28] = cwnd;
        s.write(b"def");
        assert_eq!(s.next().is_some(), leaves, "cwnd {cwnd}");
    }
}

#[test]
fn without_nagle_more_pieces_than_the_ring_has_descriptors_all_arrive() {
    let mut s = Script::established();
    s.model_only("the switch keeps some descriptors back, and offers less room");
    s.option(NoDelay(true));
    let (mut written, mut got) = (Vec::new(), Vec::new());
    for n in 0..200u32 {
        let piece = [n as u8; 3];
        let taken = s.toe.host_write(0, &piece);
        written.extend(&piece[..taken]);
        s.settle();
        if n % 40 == 39 {
            while let Some(out) = s.next() {
                if out.seq as usize == got.len() + 1 {
                    got.extend(out.data);
                }
                s.inject(seg(ACK, 1, got.len() as u32 + 1));
            }
        }
    }
    assert!(written.len() >= 3 * 50);
    assert_eq!(got, written);
}

// ---- keepalive -----------------------------------------------------------------------------------

/// Ticks until something leaves, and that; none if it takes more than `most`.
fn waited(s: &mut Script, most: u32) -> Option<(u32, Seg)> {
    let mut passed = 0;
    while passed < most {
        let skipped = s.toe.skip(most - passed);
        passed += skipped;
        if skipped == 0 {
            s.ticks(1);
            passed += 1;
        }
        if let Some(out) = s.next() {
            return Some((passed, out));
        }
    }
    None
}

/// Ticks from here to the next probe.
#[track_caller]
fn probe(s: &mut Script) -> u32 {
    let (wait, out) = waited(s, 80_000_000).expect("a probe");
    let below = s.ours(SND_UNA).wrapping_sub(1);
    assert_eq!((out.flags, out.seq, out.data.len()), (ACK, below, 0));
    s.silence();
    wait
}

/// Just behind the end of an interval, at which something had come: the next ends are whole intervals from here.
fn at_an_interval_s_end() -> Script {
    let mut s = Script::established();
    let before = s.toe.blocks.timers.next().expect("the first interval");
    s.ticks(before).silence();
    s
}

#[test]
fn the_first_probe_comes_after_so_many_seconds_and_no_sooner() {
    // MUST-24, MUST-27
    for (seconds, intervals) in [(2, 1), (4, 1), (5, 2), (8, 2), (9, 3), (100, 25), (101, 26)] {
        let mut s = at_an_interval_s_end();
        s.option(Keepalive(seconds));
        s.ticks(KEEPALIVE_INTERVAL - 1);
        // At the latest moment of the interval, to the tick.
        s.inject(seg(ACK, 1, 1)).silence();
        let wait = probe(&mut s);
        assert_eq!(wait, 1 + intervals * KEEPALIVE_INTERVAL, "{seconds} s");
        assert!(wait >= u32::from(seconds) * 1000);
    }
}

#[test]
fn by_default_it_is_two_hours() {
    // MUST-28
    for (option, seconds) in [(1, 7_200), (0xFFFF, 65_536)] {
        let mut s = at_an_interval_s_end();
        s.option(Keepalive(option));
        s.inject(seg(ACK, 1, 1)).silence();
        let wait = probe(&mut s);
        assert_eq!(wait, KEEPALIVE_INTERVAL + 1000 * seconds);
    }
}

#[test]
fn whatever_comes_begins_the_silence_anew() {
    let mut s = at_an_interval_s_end();
    s.option(Keepalive(8));
    for n in 0..20 {
        s.ticks(2 * KEEPALIVE_INTERVAL).silence();
        s.inject(seg(ACK, 1 + n, 1).data(b"x")).silence_but_acks();
    }
    assert_eq!(probe(&mut s), 3 * KEEPALIVE_INTERVAL);
    // An answer to a probe does, too.
    for _ in 0..20 {
        s.inject(seg(ACK, 21, 1)).silence();
        assert_eq!(probe(&mut s), 3 * KEEPALIVE_INTERVAL);
    }
    s.state("ESTABLISHED").counted(Cause::GaveUp, 0);
}

#[test]
fn eight_probes_without_an_answer_are_the_end() {
    let mut s = at_an_interval_s_end();
    s.option(Keepalive(60));
    s.inject(seg(ACK, 1, 1)).silence();
    assert_eq!(probe(&mut s), 16 * KEEPALIVE_INTERVAL);
    for _ in 1..KEEPALIVE_PROBES {
        assert_eq!(probe(&mut s), KEEPALIVE_INTERVAL);
    }
    s.ticks(KEEPALIVE_INTERVAL - 1)
        .silence()
        .state("ESTABLISHED");
    s.ticks(1);
    s.expect(RST | ACK, 1, 1, 0);
    s.silence().state("CLOSED").counted(Cause::GaveUp, 1);
    s.slots(0);
}

#[test]
fn turned_off_it_asks_nobody_even_in_the_midst_of_it() {
    let mut s = at_an_interval_s_end();
    s.option(Keepalive(4));
    s.inject(seg(ACK, 1, 1)).silence();
    for _ in 1..KEEPALIVE_PROBES {
        probe(&mut s);
    }
    s.option(Keepalive(0));
    s.ticks(1_000_000).silence().state("ESTABLISHED");
    // And on again all begins anew.
    s.option(Keepalive(4));
    for _ in 0..KEEPALIVE_PROBES {
        probe(&mut s);
    }
    s.ticks(KEEPALIVE_INTERVAL);
    s.expect(RST | ACK, 1, 1, 0);
}

#[test]
fn set_again_the_silence_counts_from_then() {
    let mut s = at_an_interval_s_end();
    s.option(Keepalive(8));
    s.ticks(2 * KEEPALIVE_INTERVAL).silence();
    s.option(Keepalive(8));
    assert_eq!(probe(&mut s), 2 * KEEPALIVE_INTERVAL);
}

#[test]
fn what_is_outstanding_puts_it_off() {
    // MUST-26. The peer has vanished: it is R2 that ends the connection.
    let mut s = at_an_interval_s_end();
    s.option(Keepalive(4));
    s.write(b"x");
    for _ in 0..99_000 {
        s.ticks(1);
        while let Some(out) = s.next() {
            assert_eq!((out.seq, out.data.len()), (1, 1), "no probe");
        }
    }
    s.state("ESTABLISHED").counted(Cause::GaveUp, 0);
    s.inject(seg(ACK, 1, 2)).silence();
    let wait = probe(&mut s);
    assert!((KEEPALIVE_INTERVAL..=2 * KEEPALIVE_INTERVAL).contains(&wait));
}

#[test]
fn a_shortage_asks_at_once_and_counts_for_itself() {
    // Silent for an hour with keepalive on, then slots are short: eight probes all the same, and the bound.
    let mut s = Script::established();
    s.option(Keepalive(0xFFFF));
    s.ticks(3_600_000).silence();
    for port in 1000..1004 {
        s.inject(seg(SYN, 0, 0).with_source(port).mss(1000));
        if let Some(answer) = s.next() {
            let ack = answer.seq.wrapping_add(1);
            s.inject(seg(ACK, 1, ack).with_source(port)).silence();
        }
    }
    s.counted(Cause::NoSlot, 1).slots(4);
    let (mut probes, mut ended) = (0, 0);
    for n in 1..=KEEPALIVE_BOUND {
        s.ticks(1);
        while let Some(out) = s.next() {
            match (out.ports.1, out.flags & RST) {
                (PEER_PORT, 0) => probes += 1,
                (PEER_PORT, _) => ended = n,
                _ => {}
            }
        }
    }
    assert_eq!(probes, KEEPALIVE_PROBES);
    assert!((8 * KEEPALIVE_INTERVAL..=9 * KEEPALIVE_INTERVAL).contains(&ended));
}

#[test]
fn set_in_syn_sent_it_counts_from_established() {
    let mut s = Script::connecting();
    s.option(Keepalive(8));
    s.inject(seg(SYN | ACK, 0, 1).mss(1000));
    s.expect(ACK, 1, 1, 0);
    let first = s.toe.blocks.timers.next().expect("the first interval");
    assert_eq!(probe(&mut s), first + 2 * KEEPALIVE_INTERVAL);
}

// ---- user timeout --------------------------------------------------------------------------------

/// All that leaves in so many ticks is what was sent before, from number `seq` on.
#[track_caller]
pub(super) fn again_for(s: &mut Script, ticks: u32, seq: u32) {
    let mut left = ticks;
    loop {
        while let Some(out) = s.next() {
            assert_eq!((out.flags & RST, out.seq), (0, seq));
        }
        match waited(s, left) {
            Some((passed, out)) => {
                assert_eq!((out.flags & RST, out.seq), (0, seq));
                left -= passed;
            }
            None => return,
        }
    }
}

/// The connection is given up at the next tick.
#[track_caller]
pub(super) fn given_up(s: &mut Script, seq: u32, ack: u32) {
    s.counted(Cause::GaveUp, 0).ticks(1);
    s.expect(RST | ACK, seq, ack, 0);
    s.silence().state("CLOSED").counted(Cause::GaveUp, 1);
    s.slots(0);
    assert!(!s.attached());
    s.ticks(2 * KEEPALIVE_INTERVAL).silence();
    assert_eq!(s.toe.blocks.timers.in_use(), 0);
}

#[test]
fn the_user_timeout_ends_a_connection_to_the_tick() {
    // MUST-21; shorter than R2, and longer, where R2 no longer counts.
    for seconds in [1, 2, 10, 99, 100, 150, 1000] {
        let mut s = Script::established();
        s.option(UserTimeout(seconds));
        s.write(b"x");
        s.expect(ACK, 1, 1, 1);
        let rto = s.word(RTO);
        assert_eq!(rto, RTO_MIN);
        again_for(&mut s, u32::from(seconds) * 1000 - 1, 1);
        given_up(&mut s, 2, 1);
    }
}

#[test]
fn the_longest_is_that_and_a_longer_one_is_refused() {
    let most = USER_TIMEOUT_MOST as u16;
    for (seconds, taken) in [(most, true), (most + 1, false), (0xFFFF, false)] {
        let mut s = Script::established();
        s.option(UserTimeout(10)).option(UserTimeout(seconds));
        s.counted(Cause::ConnectRefused, u64::from(!taken));
        s.write(b"x");
        let seconds = if taken { seconds } else { 10 };
        again_for(&mut s, u32::from(seconds) * 1000 - 1, 1);
        given_up(&mut s, 2, 1);
    }
}

#[test]
fn what_is_acknowledged_in_time_begins_it_anew() {
    let mut s = Script::established();
    s.option(UserTimeout(100));
    s.write(&[1; 3000]);
    for n in 0..3 {
        s.expect(ACK, 1 + n * 1000, 1, 1000);
    }
    for n in 0..2 {
        again_for(&mut s, 99_999, 1 + n * 1000);
        s.inject(seg(ACK, 1, 1001 + n * 1000));
        s.expect(ACK, 1001 + n * 1000, 1, 1000);
        while s.next().is_some() {}
    }
    s.counted(Cause::GaveUp, 0);
    again_for(&mut s, 99_999, 2001);
    given_up(&mut s, 3001, 1);
}

#[test]
fn text_that_is_acknowledged_leaves_no_timeout_behind() {
    let mut s = Script::established();
    s.option(UserTimeout(10));
    s.write(b"x");
    again_for(&mut s, 5_000, 1);
    s.inject(seg(ACK, 1, 2)).silence();
    s.ticks(100_000).silence().state("ESTABLISHED");
    s.counted(Cause::GaveUp, 0);
    // The timer of the first loss does not speak for the second.
    s.write(b"y");
    again_for(&mut s, 9_999, 2);
    given_up(&mut s, 3, 1);
}

#[test]
fn it_is_longer_than_the_rto() {
    // RFC 5482 section 3.1
    let mut s = Script::established();
    s.option(UserTimeout(1));
    s.model_only("its RTO is set by hand");
    s.toe.machine.state[0][18] = 1000; // the RTO
    s.toe.machine.state[0][31] = 1000;
    s.write(b"x");
    s.expect(ACK, 1, 1, 1);
    s.ticks(1000);
    s.expect(ACK, 1, 1, 1);
    s.ticks(999).silence();
    given_up(&mut s, 2, 1);
}

#[test]
fn the_peer_s_option_changes_nothing() {
    // RFC 5482: kind 28, of 5 s and of 20 minutes.
    for timeout in [[28, 4, 0, 5], [28, 4, 0x80, 20]] {
        let mut s = Script::new();
        s.inject(seg(SYN, 0, 0).mss(1000).raw(&timeout));
        s.expect(SYN | ACK, 0, 1, 0);
        s.option(UserTimeout(10));
        s.inject(seg(ACK, 1, 1).raw(&timeout)).silence();
        s.write(b"x");
        s.expect(ACK, 1, 1, 1);
        s.inject(seg(ACK, 1, 1).raw(&timeout));
        again_for(&mut s, 9_999, 1);
        given_up(&mut s, 2, 1);
    }
}

#[test]
fn a_fin_has_it_too() {
    for fixture in [
        super::fin_wait_1 as Fixture,
        super::closing,
        super::last_ack,
    ] {
        let mut at = fixture((US, PEER));
        at.s.option(UserTimeout(5));
        let (nxt, rcv, una) = (at.nxt, at.rcv, at.una);
        again_for(&mut at.s, 4_999, una);
        given_up(&mut at.s, nxt, rcv);
    }
}

#[test]
fn a_syn_has_its_own() {
    // RFC 5482 section 3.3
    let mut s = Script::connecting();
    s.ticks(1_500);
    s.expect(SYN, 0, 0, 0);
    s.option(UserTimeout(3));
    s.ticks(100_000).state("SYN-SENT").counted(Cause::GaveUp, 0);
    while s.next().is_some() {}
    s.inject(seg(SYN | ACK, 0, 1).mss(1000));
    s.expect(ACK, 1, 1, 0);
    s.write(b"x");
    s.expect(ACK, 1, 1, 1);
    again_for(&mut s, 5_999, 1);
    given_up(&mut s, 2, 1);
}

#[test]
fn a_probe_of_the_tail_comes_before_it_begins() {
    let syn = seg(SYN, 0, 0).mss(1000).sack_permitted();
    let mut s = Script::established_with(config(), syn);
    s.inject(seg(ACK, 1, 1)).option(UserTimeout(10));
    // A round trip, so that there is a PTO.
    s.write(b"a");
    s.expect(ACK, 1, 1, 1);
    s.ticks(20).inject(seg(ACK, 1, 2)).silence();
    s.write(&[1; 2000]);
    s.expect(ACK, 2, 1, 1000);
    s.expect(ACK, 1002, 1, 1000);
    let pto = s.word(PTO);
    assert!(pto < s.word(RTO));
    s.ticks(pto);
    s.expect(ACK, 1002, 1, 1000);
    s.counted(Cause::TailProbe, 1);
    again_for(&mut s, 9_999, 2);
    given_up(&mut s, 2002, 1);
}

#[test]
fn set_while_text_goes_again_it_counts_from_then() {
    let mut s = Script::established();
    s.write(b"x");
    again_for(&mut s, 3_000, 1);
    s.option(UserTimeout(7));
    again_for(&mut s, 6_999, 1);
    given_up(&mut s, 2, 1);
    // A longer one takes its place, and R2 once there is none.
    let mut s = Script::established();
    s.option(UserTimeout(7));
    s.write(b"x");
    again_for(&mut s, 6_900, 1);
    s.option(UserTimeout(8));
    again_for(&mut s, 7_999, 1);
    s.option(UserTimeout(0));
    again_for(&mut s, 20_000, 1);
    s.state("ESTABLISHED");
    s.ticks(100_000).state("CLOSED").counted(Cause::GaveUp, 1);
}

#[test]
fn a_shut_window_that_is_answered_may_stay_so() {
    // MUST-37 beside it; a peer that no longer answers has it.
    let mut s = Script::established();
    s.option(UserTimeout(10));
    s.inject(seg(ACK, 1, 1).wnd(0)).silence();
    s.write(b"text");
    for _ in 0..300 {
        s.ticks(1_000);
        while let Some(out) = s.next() {
            assert_eq!(out.flags & RST, 0);
            s.inject(seg(ACK, 1, 1).wnd(0));
        }
    }
    s.state("ESTABLISHED").counted(Cause::GaveUp, 0);
    s.ticks(200_000).state("CLOSED").counted(Cause::GaveUp, 1);
}

#[test]
fn in_time_wait_the_timer_is_time_wait_s() {
    let mut at = super::fin_wait_1((US, PEER));
    at.s.option(UserTimeout(60));
    at.s.ticks(5_000);
    while at.s.next().is_some() {}
    at.s.inject(seg(ACK | FIN, 1, 2));
    at.s.expect(ACK, 2, 2, 0);
    at.s.waiting(1).ticks(TIME_WAIT - 1).waiting(1);
    at.s.ticks(1).waiting(0).counted(Cause::GaveUp, 0);
    // And the time to read is the application's.
    let mut at = super::fin_wait_1((US, PEER));
    at.s.option(UserTimeout(20)).ticks(5_000);
    while at.s.next().is_some() {}
    at.s.inject(seg(ACK | FIN, 1, 2).data(b"unread")).acked(8);
    at.s.ticks(UNREAD - 1).silence().state("TIME-WAIT");
    assert!(at.s.attached());
    at.s.ticks(1).silence().counted(Cause::GaveUp, 0);
    assert!(!at.s.attached());
}
