//! RFC 4987 section 3.6, SYN cookies. Numbers of ours are absolute in these scripts, F is HalfSipHash-2-4 with [`KEY`].
use super::super::cookies::SIZES;
use super::super::words::*;
use super::*;
use crate::config::{Owner, ToeConfig};
use crate::tcp::keyed_hash::hash;

/// Every script's, with cookies.
fn config() -> ToeConfig {
    ToeConfig {
        syn_cookies: true,
        ..super::super::script::config()
    }
}

const KEY: u64 = 0x0123_4567_89AB_CDEF;
/// Ticks in which t stays.
const MINUTE: u32 = 65_536;

fn with(config: ToeConfig) -> Script {
    let mut s = Script::numbered(config, 0, PEER);
    s.toe.set_isn_key(KEY);
    s
}

/// A backlog of one, which a SYN from port 1 has taken.
fn crowded() -> Script {
    crowded_with(config())
}

fn crowded_with(mut config: ToeConfig) -> Script {
    config.listeners[1] = config.listeners[1].backlog(1);
    let mut s = with(config);
    half_open(&mut s, 1);
    s
}

/// A SYN that nobody acknowledges.
#[track_caller]
fn half_open(s: &mut Script, port: u16) {
    s.inject(seg(SYN, 0, 0).with_source(port));
    assert_eq!(s.next().map(|a| a.flags), Some(SYN | ACK));
    s.silence();
}

/// The answer to a SYN, which is a cookie's.
#[track_caller]
fn cookie_for(s: &mut Script, syn: &Seg) -> u32 {
    let before = s.toe.counter(Cause::CookieOut);
    let slots = s.toe.blocks.table.used();
    let given = s.toe.blocks.table.given;
    s.inject(syn.clone());
    let answer = s.next().expect("an answer");
    assert_eq!(
        (answer.flags, answer.ack, answer.wnd),
        (SYN | ACK, syn.seq.wrapping_add(1), 8192)
    );
    assert_eq!(answer.ports, (syn.ports.1, syn.ports.0));
    s.silence().counted(Cause::CookieOut, before + 1);
    assert_eq!(s.toe.blocks.table.given, given, "nothing is kept");
    s.slots(slots);
    answer.seq
}

fn cookie(s: &mut Script) -> u32 {
    cookie_for(s, &seg(SYN, 0, 0).mss(1460))
}

/// What the peer answers to a cookie.
fn ack_of(cookie: u32) -> Seg {
    seg(ACK, 1, cookie.wrapping_add(1))
}

/// It is answered as a stranger's.
#[track_caller]
fn is_a_stranger_s(s: &mut Script, ack: Seg) {
    let opened = s.toe.counter(Cause::Opened);
    let strays = s.toe.counter(Cause::Stray);
    let number = ack.ack;
    s.inject(ack);
    let reset = s.next().expect("a reset");
    assert_eq!((reset.flags, reset.seq), (RST, number));
    s.silence().counted(Cause::Opened, opened);
    s.counted(Cause::Stray, strays + 1);
}

/// The cookie as RFC 4987's construction has it, computed by itself.
fn golden(key: u64, ip: [u8; 4], ports: (u16, u16), number: u32, minute: u32, size: u32) -> u32 {
    let f = hash(
        key,
        u32::from(ports.0) << 16 | u32::from(ports.1),
        u32::from_be_bytes(ip),
    );
    let g = hash(key, number, f.wrapping_add(minute));
    g & !7 | (f ^ ((2 * size) | (minute & 1))) & 7
}

// ---- the SYN --------------------------------------------------------------------------------------

#[test]
fn a_syn_beyond_the_backlog_is_answered_with_a_cookie_and_forgotten() {
    let mut s = crowded();
    let n = cookie(&mut s);
    s.counted(Cause::Accepted, 2).counted(Cause::Recycled, 0);
    // Nothing is sent again but the half-open one's.
    s.ticks(3000);
    while let Some(again) = s.next() {
        assert_eq!((again.ports.1, again.flags), (1, SYN | ACK));
    }
    assert_ne!(n, 0);
}

#[test]
fn a_cookie_is_the_keyed_hash_of_tuple_time_number_and_mss() {
    let mut s = crowded();
    for minute in 0..3 {
        for (port, last, number) in [(40_000, 1, 0), (40_001, 1, 7), (40_000, 9, 0x8000_0000)] {
            for (n, size) in SIZES.into_iter().enumerate() {
                let ip = [192, 168, 69, last];
                let syn = seg(SYN, number, 0).with_source(port).with_address(ip);
                let got = cookie_for(&mut s, &syn.mss(size as u16));
                let number = PEER.wrapping_add(number);
                let want = golden(KEY, ip, (port, HOST_PORT), number, minute, n as u32);
                assert_eq!(got, want, "{minute} {port} {last} {number} {size}");
            }
        }
        s.ticks(MINUTE);
        while s.next().is_some() {}
        // The one in the backlog has been given up.
        half_open(&mut s, 2 + minute as u16);
    }
}

#[test]
fn its_syn_ack_has_no_option_but_the_mss() {
    let mut s = crowded();
    let syn = seg(SYN, 0, 0).mss(1460).sack_permitted().stamps(7, 0);
    s.inject(syn.scale(7));
    let answer = s.next().expect("an answer");
    assert_eq!((answer.mss, answer.scale), (Some(1460), None));
    assert_eq!((answer.sack_permitted, answer.stamps), (false, None));
    s.counted(Cause::CookieOut, 1);
}

#[test]
fn while_there_is_room_a_syn_has_a_half_open_connection() {
    let mut s = with(config());
    for port in 1..=4 {
        half_open(&mut s, port);
    }
    s.counted(Cause::CookieOut, 0);
    // No slot is free, but some are half open.
    cookie(&mut s);
    s.counted(Cause::NoSlot, 0).counted(Cause::Recycled, 0);
}

#[test]
fn each_listener_has_its_own_backlog() {
    let mut s = crowded();
    s.inject(seg(SYN, 0, 0).with_target(7).with_source(2));
    s.next().expect("a SYN-ACK");
    s.counted(Cause::CookieOut, 0);
    cookie(&mut s);
}

#[test]
fn with_all_slots_open_a_syn_is_dropped() {
    let mut s = with(config());
    for port in 1..=4 {
        s.inject(seg(SYN, 0, 0).with_source(port));
        let n = s.next().expect("a SYN-ACK").seq;
        s.inject(ack_of(n).with_source(port)).silence();
    }
    s.inject(seg(SYN, 0, 0)).silence();
    s.counted(Cause::NoSlot, 1).counted(Cause::CookieOut, 0);
    s.slots(4);
}

#[test]
fn nothing_half_open_gives_way_to_syns() {
    let mut s = with(config());
    let mut numbers = vec![];
    for port in 1..=4 {
        s.inject(seg(SYN, 0, 0).with_source(port));
        numbers.push((port, s.next().expect("a SYN-ACK").seq));
    }
    for n in 0..1000 {
        cookie_for(&mut s, &seg(SYN, n, 0).with_source(5000 + n as u16));
    }
    s.counted(Cause::Recycled, 0);
    for (port, n) in numbers {
        s.inject(ack_of(n).with_source(port)).silence();
    }
    s.counted(Cause::Opened, 4).slots(4);
}

#[test]
fn what_is_no_syn_gets_no_cookie() {
    let mut s = crowded();
    for flags in [0, FIN, PSH, SYN | RST, SYN | ACK, FIN | RST] {
        s.inject(seg(flags, 0, 7));
        while let Some(answer) = s.next() {
            assert_eq!(answer.flags & SYN, 0);
        }
    }
    s.inject(seg(SYN, 0, 0).with_target(81));
    assert_eq!(s.next().map(|a| a.flags), Some(RST | ACK), "nobody listens");
    s.inject(seg(SYN, 0, 0).with_address([224, 0, 0, 1]))
        .silence();
    s.counted(Cause::CookieOut, 0).slots(0);
}

/// The clock of first numbers moves on, the cookie stays.
#[test]
fn a_cookie_says_nothing_of_the_clock_of_first_numbers() {
    let mut s = crowded();
    let n = cookie(&mut s);
    s.ticks(500);
    assert_eq!(cookie(&mut s), n);
    // And another peer's number differs in half of the bits, the lowest three among them.
    let (mut ones, mut low) = (0, [0; 8]);
    for port in 1000..1400 {
        let other = cookie_for(&mut s, &seg(SYN, 0, 0).mss(1460).with_source(port));
        ones += (n ^ other).count_ones();
        low[(other & 7) as usize] += 1;
    }
    assert!((400 * 15..400 * 17).contains(&ones), "{ones}");
    assert!(low.iter().all(|n| *n > 25), "{low:?}");
}

#[test]
fn a_syn_that_comes_again_has_the_same_cookie_until_the_time_is_another() {
    let mut s = crowded();
    let n = cookie(&mut s);
    assert_eq!(cookie(&mut s), n);
    s.ticks(MINUTE);
    while s.next().is_some() {}
    half_open(&mut s, 2);
    assert_ne!(cookie(&mut s), n);
}

#[test]
fn a_smaller_mss_than_the_least_is_dropped() {
    let mut s = crowded();
    for mss in [1, 535] {
        s.inject(seg(SYN, 0, 0).mss(mss)).silence();
    }
    s.counted(Cause::NoSlot, 2).counted(Cause::CookieOut, 0);
    cookie_for(&mut s, &seg(SYN, 0, 0).mss(536));
}

// ---- the ACK --------------------------------------------------------------------------------------

#[test]
fn the_ack_of_a_cookie_opens_the_connection() {
    let mut s = crowded();
    let n = cookie(&mut s);
    s.inject(ack_of(n)).silence();
    s.counted(Cause::Opened, 1).slots(1);
    s.counted(Cause::Accepted, 3).counted(Cause::Recycled, 0);
    let at = s.toe.machine.state.iter().position(|w| w[0] == 3);
    assert_eq!(at, Some(1));
    assert_eq!(s.toe.blocks.attached[1].owner, Some(Owner::Host as u8));
    // Text both ways.
    s.inject(seg(ACK, 1, n.wrapping_add(1)).data(b"hello"));
    s.expect(ACK, n.wrapping_add(1), 6, 0);
    assert_eq!(s.toe.host_read(1, 100), b"hello");
    assert_eq!(s.toe.host_write(1, b"world"), 5);
    s.settle();
    let text = s.expect(ACK, n.wrapping_add(1), 6, 5);
    assert_eq!(text.data, b"world");
    s.inject(seg(ACK, 6, n.wrapping_add(6))).silence();
    // And a close in order.
    s.inject(seg(ACK | FIN, 6, n.wrapping_add(6)));
    s.expect(ACK, n.wrapping_add(6), 7, 0);
    s.toe.host_close(1);
    s.settle();
    s.expect(FIN | ACK, n.wrapping_add(6), 7, 0);
    s.inject(seg(ACK, 7, n.wrapping_add(7))).silence();
    s.counted(Cause::Closed, 1).slots(0);
}

/// It is as one whose SYN was kept: every word of its state that means something.
#[test]
fn the_connection_is_like_any_other() {
    let mut s = crowded();
    let n = cookie_for(&mut s, &seg(SYN, 0, 0).mss(1460));
    s.inject(ack_of(n)).silence();
    let mut other = with(config());
    half_open(&mut other, 1);
    other.inject(seg(SYN, 0, 0).mss(1460));
    let m = other.next().expect("a SYN-ACK").seq;
    other.inject(ack_of(m)).silence();
    let of = |s: &Script, word: crate::tcp::asm::Operand| {
        let address = word.address().expect("a word");
        let far = crate::tcp::isa::FAR;
        s.toe.machine.state[1][usize::from(address - address / far * 32)]
    };
    for word in [
        STATE, PORTS, IP, MAC_LO, MAC_HI, OUT_PORTS, SND_WND, RCV_NXT, RCV_ADV, TX_INDEX, TRIES,
        FLAGS, MSS, ACK_DUE, QUIET, CWND, SSTHRESH, MAX_WND,
    ] {
        // A round trip was measured there, of the SYN.
        let sampled = if word == FLAGS { flags_sampled() } else { 0 };
        assert_eq!(of(&s, word), of(&other, word) & !sampled, "{}", word.name());
    }
    for word in [SND_UNA, SND_NXT, SND_MAX] {
        assert_eq!(of(&s, word).wrapping_sub(n), 1, "{}", word.name());
        assert_eq!(of(&other, word).wrapping_sub(m), 1, "{}", word.name());
    }
    let timers = |s: &Script| s.toe.blocks.timers.in_use();
    assert_eq!(timers(&s), timers(&other));
}

fn flags_sampled() -> u32 {
    super::super::flags::SAMPLED
}

#[test]
fn the_mss_is_the_largest_of_four_that_is_not_above_the_peer_s() {
    for (offered, used) in [
        (None, 536),
        (Some(536), 536),
        (Some(1299), 536),
        (Some(1300), 1300),
        (Some(1439), 1300),
        (Some(1440), 1440),
        (Some(1459), 1440),
        (Some(1460), 1460),
        (Some(9000), 1460),
    ] {
        let mut s = crowded();
        let mut syn = seg(SYN, 0, 0);
        syn.mss = offered;
        let n = cookie_for(&mut s, &syn);
        s.inject(ack_of(n)).silence();
        assert_eq!(s.toe.host_write(1, &[7; 2000]), 2000);
        s.settle();
        s.expect(ACK, n.wrapping_add(1), 1, used);
    }
}

#[test]
fn a_guess_is_a_stranger_s() {
    let mut s = crowded();
    let n = cookie(&mut s);
    // Every bit but those of MSS and time; and those of them that say another time.
    for bit in 3..32 {
        is_a_stranger_s(&mut s, ack_of(n ^ 1 << bit));
    }
    is_a_stranger_s(&mut s, ack_of(n ^ 1));
    // Another number, port, address or listener of the peer's.
    is_a_stranger_s(&mut s, seg(ACK, 2, n.wrapping_add(1)));
    is_a_stranger_s(&mut s, seg(ACK, 0, n.wrapping_add(1)));
    is_a_stranger_s(&mut s, ack_of(n).with_source(PEER_PORT + 1));
    is_a_stranger_s(&mut s, ack_of(n).with_target(7));
    is_a_stranger_s(&mut s, ack_of(n).with_target(81));
    s.inject(ack_of(n).with_address([192, 168, 69, 3]));
    assert_eq!(s.next().map(|a| a.flags), Some(RST));
    s.slots(0).inject(ack_of(n)).silence();
    s.counted(Cause::Opened, 1).slots(1);
}

#[test]
fn only_an_ack_without_syn_and_rst_shows_a_cookie() {
    let mut s = crowded();
    let n = cookie(&mut s);
    for (flags, answered) in [
        (SYN | ACK, true),
        (RST | ACK, false),
        (RST, false),
        (FIN, false),
    ] {
        let mut t = ack_of(n);
        t.flags = flags;
        s.inject(t);
        assert_eq!(s.next().is_some(), answered, "{flags}");
        s.silence().counted(Cause::Opened, 0).slots(0);
    }
}

#[test]
fn a_cookie_is_good_in_its_time_and_the_next() {
    for (begin, wait, good) in [
        (0, 0, true),
        (0, MINUTE - 1, true),
        (0, 2 * MINUTE - 1, true),
        (0, 2 * MINUTE, false),
        (MINUTE - 1, MINUTE, true),
        (MINUTE - 1, MINUTE + 1, false),
        (3 * MINUTE, 2 * MINUTE - 1, true),
        (3 * MINUTE, 2 * MINUTE, false),
        (3 * MINUTE, 3 * MINUTE, false),
        (3 * MINUTE, 4 * MINUTE, false),
    ] {
        let mut s = with(config());
        s.model_only("timers of one tick expire in an order of their own");
        s.toe.skip(begin);
        for port in 1..=4 {
            half_open(&mut s, port);
        }
        let n = cookie(&mut s);
        let mut left = wait;
        while left > 0 {
            s.settle();
            let skipped = s.toe.skip(left.saturating_sub(1));
            left -= skipped;
            if left > 0 {
                s.ticks(1);
                left -= 1;
            }
        }
        while s.next().is_some() {}
        // Others have had cookies since.
        for port in 11..=14 {
            s.inject(seg(SYN, 0, 0).with_source(port)).next();
        }
        cookie_for(&mut s, &seg(SYN, 0, 0).with_source(2000));
        if good {
            s.inject(ack_of(n)).silence();
            s.counted(Cause::Opened, 1).slots(1);
        } else {
            is_a_stranger_s(&mut s, ack_of(n));
        }
    }
}

/// None was sent: even what would be a right one is a stranger's. And not before the first, nor long after the last.
#[test]
fn without_a_cookie_sent_lately_none_is_looked_at() {
    let mut s = with(config());
    let n = golden(KEY, PEER_IP, (PEER_PORT, HOST_PORT), PEER, 0, 3);
    is_a_stranger_s(&mut s, ack_of(n));
    let mut s = crowded();
    cookie_for(&mut s, &seg(SYN, 0, 0).with_source(1000));
    s.ticks(MINUTE);
    while s.next().is_some() {}
    let n = golden(KEY, PEER_IP, (PEER_PORT, HOST_PORT), PEER, 1, 3);
    let mut again = s.toe.clone();
    s.inject(ack_of(n)).silence().counted(Cause::Opened, 1);
    // A time later nobody has been sent one for two.
    std::mem::swap(&mut s.toe, &mut again);
    s.ticks(MINUTE);
    let n = golden(KEY, PEER_IP, (PEER_PORT, HOST_PORT), PEER, 2, 3);
    is_a_stranger_s(&mut s, ack_of(n));
}

#[test]
fn an_ack_that_comes_again_finds_the_connection_or_opens_nothing() {
    let mut s = crowded();
    let n = cookie(&mut s);
    s.inject(ack_of(n)).inject(ack_of(n)).silence();
    s.counted(Cause::Opened, 1).slots(1);
    s.inject(seg(RST, 1, 0)).silence().slots(0);
    s.counted(Cause::ResetIn, 1);
    // Replayed: within its time a cookie is a cookie. Later it is none.
    s.ticks(2 * MINUTE);
    while s.next().is_some() {}
    is_a_stranger_s(&mut s, ack_of(n));
    half_open(&mut s, 3);
    cookie_for(&mut s, &seg(SYN, 0, 0).with_source(1000));
    is_a_stranger_s(&mut s, ack_of(n));
}

#[test]
fn two_acks_in_the_queue_open_one_connection() {
    // The second comes behind both events of the first, or between them: then another connection's stands in front of the second.
    for (text, between) in [
        (&b""[..], false),
        (b"early", false),
        (b"", true),
        (b"early", true),
    ] {
        let mut s = crowded();
        let n = cookie(&mut s);
        if between {
            for conn in [0, 2] {
                let bit = crate::tcp::isa::pending::WRITTEN;
                s.toe.blocks.events.post(conn, bit);
            }
        }
        s.arrive(ack_of(n)).arrive(ack_of(n).data(text)).settle();
        s.counted(Cause::StaleRecord, u64::from(between));
        while let Some(answer) = s.next() {
            assert_eq!((answer.flags, answer.ack), (ACK, 1), "none of it is taken");
        }
        s.counted(Cause::Opened, 1).slots(1);
        assert_eq!(s.toe.host_read(1, 100), b"");
        s.inject(seg(ACK, 1, n.wrapping_add(1)).data(b"early"));
        s.expect(ACK, n.wrapping_add(1), 6, 0);
        assert_eq!(s.toe.host_read(1, 100), b"early");
    }
}

/// What comes between the two events of an opening: dropped if it is an ACK, and a RST ends it before it has begun.
#[test]
fn a_reset_between_the_two_events_ends_it() {
    let mut s = crowded();
    let n = cookie(&mut s);
    s.arrive(ack_of(n));
    s.toe.step().expect("no fault");
    s.inject(seg(RST, 1, 0)).silence();
    if s.toe.counter(Cause::Opened) == 0 {
        s.slots(0);
        assert_eq!(s.toe.blocks.attached[1].owner, None);
    }
    s.counted(Cause::ResetIn, 1);
    // Its slot is as good as any.
    s.inject(ack_of(n)).silence();
    s.slots(1);
}

#[test]
fn text_with_the_ack_comes_again() {
    let mut s = crowded();
    let n = cookie(&mut s);
    s.inject(ack_of(n).data(b"early")).silence();
    s.counted(Cause::Opened, 1).slots(1);
    assert_eq!(s.toe.host_read(1, 100), b"");
    s.inject(seg(ACK, 1, n.wrapping_add(1)).data(b"early"));
    s.expect(ACK, n.wrapping_add(1), 6, 0);
    assert_eq!(s.toe.host_read(1, 100), b"early");
}

#[test]
fn a_fin_with_the_ack_comes_again() {
    let mut s = crowded();
    let n = cookie(&mut s);
    let mut fin = ack_of(n);
    fin.flags |= FIN;
    s.inject(fin.clone()).silence();
    s.counted(Cause::Opened, 1).slots(1);
    s.inject(fin);
    s.expect(ACK, n.wrapping_add(1), 2, 0);
    assert!(s.toe.blocks.attached[1].peer_fin);
}

#[test]
fn without_a_free_slot_the_oldest_half_open_connection_makes_way() {
    let mut s = with(config());
    for port in 1..=4 {
        half_open(&mut s, port);
    }
    let n = cookie(&mut s);
    s.inject(ack_of(n)).silence();
    s.counted(Cause::Opened, 1).counted(Cause::Recycled, 1);
    s.slots(1);
    // It was port 1's: its ACK is a stranger's now, and its SYN-ACK is not sent again.
    s.ticks(1500);
    let again: Vec<u16> = std::iter::from_fn(|| s.next().map(|a| a.ports.1)).collect();
    assert_eq!(again, [2, 3, 4]);
}

/// A SYN-ACK is due again in the very tick in which its slot is another's.
#[test]
fn the_timer_of_who_made_way_is_over_too() {
    let mut s = with(config());
    s.inject(seg(SYN, 0, 0).with_source(9));
    let ours = s.next().expect("a SYN-ACK").seq;
    s.inject(seg(ACK, 1, ours.wrapping_add(1)).with_source(9))
        .silence();
    for port in 1..=3 {
        half_open(&mut s, port);
    }
    let n = cookie(&mut s);
    s.ticks(super::super::constant::RTO_INITIAL - 1).silence();
    // The event of the one that is open comes first, then the ACK, then those of the half-open ones.
    s.toe.tick();
    s.inject(ack_of(n));
    let again: Vec<u16> = std::iter::from_fn(|| s.next().map(|a| a.ports.1)).collect();
    assert_eq!(again, [2, 3]);
    s.counted(Cause::Opened, 2).counted(Cause::RtoExpired, 2);
}

/// Nor does TIME-WAIT's run on where it had a slot of its own: nothing but the keepalive interval does in a connection at rest.
#[test]
fn no_timer_of_the_slot_s_last_connection_runs_on() {
    let config = ToeConfig {
        time_wait: Some(0),
        ..config()
    };
    let mut s = with(config);
    s.inject(seg(SYN, 0, 0).with_source(9));
    let ours = s.next().expect("a SYN-ACK").seq.wrapping_add(1);
    let nine = |flags, seq, n: u32| seg(flags, seq, ours.wrapping_add(n)).with_source(9);
    s.inject(nine(ACK, 1, 0)).silence();
    for port in 1..=3 {
        half_open(&mut s, port);
    }
    let n = cookie(&mut s);
    s.close();
    s.expect(FIN | ACK, ours, 1, 0);
    s.inject(nine(ACK | FIN, 1, 1));
    s.expect(ACK, ours.wrapping_add(1), 2, 0);
    s.silence().state("TIME-WAIT");
    let running = s.toe.blocks.timers.in_use();
    s.inject(ack_of(n)).silence();
    s.state("ESTABLISHED").counted(Cause::Recycled, 1);
    assert_eq!(
        s.toe.blocks.timers.in_use(),
        running - 1,
        "TIME-WAIT's and its keepalive interval; this one's keepalive interval"
    );
}

#[test]
fn without_any_slot_the_ack_is_dropped_and_good_later() {
    let mut s = with(config());
    for port in 1..=4 {
        half_open(&mut s, port);
    }
    let mine = cookie(&mut s);
    let mut others = vec![];
    for port in 11..=14 {
        let n = cookie_for(&mut s, &seg(SYN, 0, 0).with_source(port));
        s.inject(ack_of(n).with_source(port)).silence();
        others.push((port, n));
    }
    s.slots(4).counted(Cause::Opened, 4);
    s.inject(ack_of(mine)).silence();
    s.counted(Cause::NoSlot, 1).slots(4);
    // One goes: the peer's text shows the cookie as well as its first ACK.
    s.inject(seg(RST, 1, 0).with_source(11)).silence();
    s.inject(ack_of(mine).data(b"x")).silence();
    s.counted(Cause::Opened, 5).slots(4);
}

#[test]
fn half_open_counts_are_not_touched() {
    let mut s = crowded();
    for port in 11..=13 {
        let n = cookie_for(&mut s, &seg(SYN, 0, 0).with_source(port));
        s.inject(ack_of(n).with_source(port)).silence();
    }
    s.slots(3);
    // The one of port 1 is still half open, and the only one: once it is open there is room for one in the backlog, but no slot; so nobody is half open.
    s.inject(seg(RST, 1, 0).with_source(1)).silence();
    half_open(&mut s, 2);
    s.counted(Cause::Recycled, 0);
    s.inject(seg(RST, 1, 0).with_source(2)).silence().slots(3);
}

#[test]
fn a_replaced_key_makes_cookies_void() {
    let mut s = crowded();
    let n = cookie(&mut s);
    s.toe.set_isn_key(KEY ^ 1);
    is_a_stranger_s(&mut s, ack_of(n));
    let n = cookie(&mut s);
    assert_eq!(
        n,
        golden(KEY ^ 1, PEER_IP, (PEER_PORT, HOST_PORT), PEER, 0, 3)
    );
    s.inject(ack_of(n)).silence().counted(Cause::Opened, 1);
}

#[test]
fn a_syn_may_come_again_while_the_cookie_is_under_way() {
    // Now there is room: the SYN has a half-open connection, and the answer that comes is to its number.
    let mut s = crowded();
    cookie(&mut s);
    s.inject(seg(RST, 1, 0).with_source(1)).silence();
    s.inject(seg(SYN, 0, 0));
    let n = s.next().expect("a SYN-ACK").seq;
    s.inject(ack_of(n)).silence();
    s.counted(Cause::Opened, 1).slots(1);
}

#[test]
fn an_active_open_still_takes_a_half_open_slot() {
    let mut s = with(config());
    for port in 1..=4 {
        half_open(&mut s, port);
    }
    s.connect();
    assert_eq!(s.next().map(|a| a.flags), Some(SYN));
    s.counted(Cause::Recycled, 1);
}

#[test]
fn a_syn_in_time_wait_waits_for_room() {
    let mut config = config();
    config.listeners[1] = config.listeners[1].backlog(1);
    let mut s = with(config);
    s.inject(seg(SYN, 0, 0));
    let n = s.next().expect("a SYN-ACK").seq;
    s.inject(ack_of(n)).silence();
    s.close().expect(FIN | ACK, n.wrapping_add(1), 1, 0);
    s.inject(seg(ACK | FIN, 1, n.wrapping_add(2)));
    s.expect(ACK, n.wrapping_add(2), 2, 0);
    half_open(&mut s, 1);
    s.ticks(1).inject(seg(SYN, 100, 0)).silence();
    s.counted(Cause::NoSlot, 1).counted(Cause::CookieOut, 0);
    assert_eq!(s.toe.blocks.table.waiting(), 1, "it is as it was");
    s.inject(seg(RST, 1, 0).with_source(1)).silence();
    s.inject(seg(SYN, 100, 0));
    assert_eq!(s.next().map(|a| a.flags), Some(SYN | ACK));
}

#[test]
fn in_its_slot_time_wait_ends_for_a_cookie() {
    let mut config = ToeConfig {
        time_wait: Some(0),
        ..config()
    };
    config.listeners[1] = config.listeners[1].backlog(1);
    let mut s = with(config);
    half_open(&mut s, 1);
    let n = cookie(&mut s);
    s.inject(ack_of(n)).silence();
    s.counted(Cause::Opened, 1).slots(1);
}

#[test]
fn over_slip_and_with_tags() {
    let mut tagged = crowded_with(ToeConfig {
        vlan: true,
        ..config()
    });
    tagged.tag = Some(0x6005);
    let n = cookie(&mut tagged);
    tagged.inject(ack_of(n)).silence();
    assert_eq!(tagged.toe.host_write(1, b"x"), 1);
    tagged.settle();
    tagged.expect(ACK, n.wrapping_add(1), 1, 1);
}

#[test]
fn every_mix_of_other_switches_has_cookies() {
    for mix in 0..16 {
        let on = |bit: u32| mix >> bit & 1 == 1;
        let mut s = crowded_with(ToeConfig {
            sack: on(0),
            timestamps: on(0) && on(1),
            icmp_errors: on(2),
            delayed_ack: on(3),
            ..config()
        });
        let n = cookie(&mut s);
        s.inject(ack_of(n)).silence();
        s.inject(seg(ACK, 1, n.wrapping_add(1)).data(b"hello"));
        s.acked(6);
        assert_eq!(s.toe.host_read(1, 100), b"hello");
        is_a_stranger_s(&mut s, ack_of(n ^ 1 << 20).with_source(77));
    }
}

/// A flood of so many SYNs from random addresses, and what is false of ACKs, beside honest clients with ports of their own, between whose SYN and ACK a few of the flood come: how many clients there were.
fn flood(s: &mut Script, syns: u32) -> u32 {
    let mut number = 1_u32;
    let mut random = || {
        number ^= number << 13;
        number ^= number >> 17;
        number ^= number << 5;
        number
    };
    let mut clients = 0;
    for n in 0..syns {
        let from = random();
        let ip = [10, (from >> 16) as u8, (from >> 8) as u8, from as u8];
        let syn = seg(SYN, random(), 0).with_address(ip);
        s.inject(syn.with_source(random() as u16 | 1024));
        // Never more than one frame out for one in.
        assert!(s.next().is_some());
        s.silence();
        if n % 7 == 0 {
            s.inject(seg(ACK, random(), random()).with_address(ip));
            assert_eq!(s.next().map(|a| a.flags), Some(RST));
        }
        if n % 50 == 0 {
            let port = 20_000 + n as u16;
            s.inject(seg(SYN, n, 0).with_source(port).mss(1460));
            let ours = s.next().expect("a SYN-ACK").seq;
            for k in 0..5 {
                s.inject(seg(SYN, random(), 0).with_address([10, 0, 1, k]));
                s.next().expect("an answer");
            }
            let ack = seg(ACK, n.wrapping_add(1), ours.wrapping_add(1)).with_source(port);
            s.inject(ack);
            clients += 1;
            // It is served at once or not at all, and goes.
            s.inject(seg(RST, n.wrapping_add(1), 0).with_source(port));
            while s.next().is_some() {}
        }
        if n % 100 == 0 {
            s.ticks(40);
            while s.next().is_some() {}
        }
    }
    clients
}

/// Each gets in at its first try. After the flood, too: what it left half open goes by itself.
#[test]
fn beside_a_flood_of_ten_thousand_syns_every_honest_client_gets_in() {
    let mut s = with(config());
    let clients = flood(&mut s, 10_000);
    assert_eq!(clients, 200);
    s.counted(Cause::Opened, 200).slots(0);
    assert!(s.toe.counter(Cause::CookieOut) > 9_000);
    s.ticks(130_000);
    while s.next().is_some() {}
    half_open(&mut s, 9);
    s.counted(Cause::Opened, 200);
}

/// The same without cookies: four SYNs later nothing is known of a client.
#[test]
fn without_cookies_the_same_flood_keeps_every_client_out() {
    let mut s = with(ToeConfig {
        syn_cookies: false,
        ..config()
    });
    assert_eq!(flood(&mut s, 1_000), 20);
    s.counted(Cause::Opened, 0).counted(Cause::CookieOut, 0);
    assert!(s.toe.counter(Cause::Recycled) > 1_000);
}

// ---- a SYN that comes again -----------------------------------------------------------------------

/// A cookie is under way to the peer when its SYN comes again and finds room: it acknowledges the first of the two answers.
#[track_caller]
fn answered_twice(config: ToeConfig, syn: &Seg) -> (Script, u32, u32) {
    let mut s = crowded_with(config);
    let n = cookie_for(&mut s, syn);
    s.inject(seg(RST, 1, 0).with_source(1)).silence();
    s.inject(syn.clone());
    let m = s.next().expect("a SYN-ACK").seq;
    assert_ne!(n, m);
    s.silence();
    (s, n, m)
}

/// The peer that has acknowledged cookie `n` has its connection: text goes both ways, with no option, and the window that it names.
#[track_caller]
fn is_open(s: &mut Script, n: u32) {
    s.silence().counted(Cause::Opened, 1);
    s.inject(seg(ACK, 1, n.wrapping_add(1)).wnd(200).data(b"hello"));
    let ack = s.acked(6);
    assert_eq!((ack.stamps, ack.scale), (None, None));
    assert_eq!(s.toe.host_read(0, 100), b"hello");
    assert_eq!(s.word(SND_WND), 200);
    assert_eq!(s.toe.host_write(0, &[7; 100]), 100);
    s.settle();
    let text = s.expect(ACK, n.wrapping_add(1), 6, 100);
    assert_eq!(text.stamps, None);
    s.inject(seg(ACK, 6, n.wrapping_add(101))).silence();
}

#[test]
fn who_acknowledges_a_cookie_has_it_though_the_syn_came_again_and_found_room() {
    for mix in 0..8 {
        let on = |bit: u32| mix >> bit & 1 == 1;
        let mut syn = seg(SYN, 0, 0).mss(1460);
        if on(0) {
            syn = syn.sack_permitted();
        }
        if on(1) {
            syn = syn.stamps(7, 0);
        }
        if on(2) {
            syn = syn.scale(7);
        }
        let (mut s, n, _) = answered_twice(config(), &syn);
        s.inject(ack_of(n));
        is_open(&mut s, n);
        s.slots(1)
            .counted(Cause::Recycled, 0)
            .counted(Cause::BadAck, 0);
        // It is half open no more: the backlog has room for another, and nothing is sent again.
        half_open(&mut s, 5);
        s.ticks(500).silence();
        // The answer that came too late is one to an old SYN.
        s.inject(seg(SYN, 0, 0).mss(1460));
        s.acked(6);
    }
}

#[test]
fn nor_does_it_lose_its_connection_to_text_with_the_ack() {
    for stamps in [false, true] {
        let mut syn = seg(SYN, 0, 0).mss(1460);
        if stamps {
            syn = syn.stamps(7, 0);
        }
        let (mut s, n, _) = answered_twice(config(), &syn);
        s.arrive(ack_of(n).data(b"hello"))
            .arrive(ack_of(n).data(b"hello"))
            .settle();
        while let Some(answer) = s.next() {
            assert_eq!((answer.flags, answer.ack), (ACK, 1));
        }
        is_open(&mut s, n);
    }
}

#[test]
fn the_other_answer_may_be_acknowledged_as_well() {
    let (mut s, _, m) = answered_twice(config(), &seg(SYN, 0, 0).mss(1460));
    s.inject(ack_of(m));
    is_open(&mut s, m);
}

/// No other number than these two is, and nobody else's segment. It may be what follows a cookie's ACK that was lost, so that nobody is reset for it.
#[test]
fn in_syn_received_a_wrong_cookie_is_dropped() {
    let (mut s, n, m) = answered_twice(config(), &seg(SYN, 0, 0).mss(1460));
    for wrong in [n ^ 8, n ^ 1, n.wrapping_add(1), m.wrapping_add(1)] {
        s.inject(ack_of(wrong)).silence();
    }
    s.inject(seg(ACK, 2, n.wrapping_add(1)).data(b"behind"))
        .silence();
    s.counted(Cause::BadAck, 5).counted(Cause::Opened, 0);
    s.inject(ack_of(n));
    is_open(&mut s, n);
    // Where there must be timestamps, what has none is dropped without a word (RFC 7323 section 3.2).
    let syn = seg(SYN, 0, 0).mss(1460).stamps(7, 0);
    let (mut s, n, m) = answered_twice(config(), &syn);
    for t in [ack_of(n ^ 8), ack_of(m), seg(FIN, 1, n.wrapping_add(1))] {
        s.inject(t).silence().counted(Cause::Opened, 0);
    }
    s.counted(Cause::BadAck, 2).counted(Cause::Unacceptable, 1);
    // And what has them shows no cookie.
    s.inject(ack_of(n).stamps(8, 0));
    assert_eq!(s.next().map(|t| t.flags), Some(RST));
    s.silence().counted(Cause::BadAck, 3);
    s.inject(ack_of(m).stamps(8, 0)).silence();
    s.counted(Cause::Opened, 1).slots(1);
    // When cookies are too old a wrong ACK is reset as ever (RFC 9293 section 3.10.7.4).
    let (mut s, n, m) = answered_twice(config(), &seg(SYN, 0, 0).mss(1460));
    s.toe.blocks.timers.clear(0, 0);
    s.toe.skip(2 * MINUTE);
    for t in [ack_of(n), ack_of(m.wrapping_add(1))] {
        s.inject(t);
        assert_eq!(s.next().map(|t| t.flags), Some(RST));
    }
    s.silence().counted(Cause::BadAck, 2);
    s.inject(ack_of(m));
    is_open(&mut s, m);
    // But not where it has no timestamps and must.
    let (mut s, n, m) = answered_twice(config(), &syn);
    s.toe.blocks.timers.clear(0, 0);
    s.toe.skip(2 * MINUTE);
    for t in [ack_of(n), ack_of(m)] {
        s.inject(t).silence();
    }
    s.counted(Cause::Unacceptable, 2)
        .counted(Cause::BadAck, 0)
        .counted(Cause::Opened, 0);
}

/// An active open in SYN-RECEIVED has an application: nobody else's cookie ends that.
#[test]
fn an_active_open_is_not_taken_over() {
    let mut s = crowded();
    let n = cookie_for(&mut s, &seg(SYN, 0, 0).mss(1460));
    s.connect();
    let m = s.next().expect("a SYN").seq;
    s.inject(seg(SYN, 0, 0));
    s.expect(SYN | ACK, m, 1, 0);
    s.silence();
    s.inject(ack_of(n));
    assert_eq!(s.next().map(|t| t.flags), Some(RST));
    s.silence()
        .counted(Cause::BadAck, 1)
        .counted(Cause::Opened, 0);
    s.inject(ack_of(m)).silence().counted(Cause::Opened, 1);
}

// ---- slots are short ------------------------------------------------------------------------------

/// Text behind an ACK that was dropped for want of a slot shows no cookie: nothing resets its sender, who holds his connection for open, until there is room again.
#[test]
fn what_follows_an_ack_that_found_no_slot_is_not_reset() {
    let mut s = with(config());
    for port in 1..=4 {
        half_open(&mut s, port);
    }
    let n = cookie(&mut s);
    for port in 11..=14 {
        let n = cookie_for(&mut s, &seg(SYN, 0, 0).with_source(port));
        s.inject(ack_of(n).with_source(port)).silence();
    }
    let behind = || seg(ACK, 1001, n.wrapping_add(1)).data(b"more");
    // Nobody was refused yet.
    is_a_stranger_s(&mut s, behind());
    s.inject(ack_of(n).data(&[7; 1000])).silence();
    s.counted(Cause::NoSlot, 1).counted(Cause::Stray, 1);
    s.inject(behind()).silence().counted(Cause::Stray, 2);
    // But where nobody listens, and what is no answer to a SYN-ACK.
    is_a_stranger_s(&mut s, behind().with_target(81));
    is_a_stranger_s(&mut s, behind().and(SYN));
    // One goes.
    s.inject(seg(RST, 1, 0).with_source(11)).silence();
    s.inject(behind()).silence();
    s.inject(ack_of(n).data(&[7; 1000])).silence();
    s.counted(Cause::Opened, 5).slots(4);
    s.inject(seg(ACK, 1, n.wrapping_add(1)).data(&[7; 1000]));
    s.acked(1001);
    // Then strangers are what they were.
    is_a_stranger_s(&mut s, behind().with_source(15));
    // And while slots are short, too, where nobody can have a cookie.
    let mut s = with(config());
    for port in 1..=4 {
        s.inject(seg(SYN, 0, 0).with_source(port));
        let n = s.next().expect("a SYN-ACK").seq;
        s.inject(ack_of(n).with_source(port)).silence();
    }
    s.inject(seg(SYN, 0, 0)).silence().counted(Cause::NoSlot, 1);
    is_a_stranger_s(&mut s, behind());
}

// ---- a slot's former life -------------------------------------------------------------------------

/// Slot 0 is the one that was freed last, after this SYN and what `before` did; the connection by cookie has it then.
fn after(syn: Seg, before: impl Fn(&mut Script)) -> (Script, u32) {
    let mut config = config();
    config.listeners[1] = config.listeners[1].backlog(1);
    let mut s = with(config);
    s.inject(syn);
    let n = s.next().expect("a SYN-ACK").seq;
    s.inject(ack_of(n)).silence().counted(Cause::Opened, 1);
    before(&mut s);
    half_open(&mut s, 1);
    s.inject(seg(RST, 1, 0)).silence().slots(0);
    let n = cookie(&mut s);
    s.inject(ack_of(n)).silence().counted(Cause::Opened, 2);
    s.state("ESTABLISHED");
    (s, n)
}

#[test]
fn a_window_is_not_shifted_as_the_slot_s_last_peer_had_it() {
    let (mut s, n) = after(seg(SYN, 0, 0).mss(1460).scale(7), |s| {
        let ack = s.ours(SND_MAX);
        s.inject(seg(ACK, 1, ack).wnd(3)).silence();
        assert_eq!(s.word(SND_WND), 3 << 7, "it was");
    });
    s.inject(seg(ACK, 1, n.wrapping_add(1)).wnd(300)).silence();
    assert_eq!(s.word(SND_WND), 300);
}

#[test]
fn congestion_control_begins_as_in_any_connection() {
    let (s, _) = after(seg(SYN, 0, 0).mss(1460), |s| {
        s.option(crate::tcp::program::host::ConnectionOption::NewReno(true));
        assert_eq!(s.word(W_MAX), u32::MAX, "it was chosen");
    });
    assert_eq!(s.word(W_MAX), 0);
    assert_eq!(s.word(FLAGS) & super::super::flags::STAMPED, 0);
}
