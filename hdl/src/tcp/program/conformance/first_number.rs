//! RFC 6528: ISN = M + F(addresses, ports, secret key). M moves on by 250 a tick in these scripts; F is HalfSipHash-2-4, held to its published vectors in `keyed_hash`.
use super::super::words;
use super::*;
use crate::config::{Owner, ToeConfig};
use crate::tcp::keyed_hash::hash;

const KEY: u64 = 0x0123_4567_89AB_CDEF;
/// Where M stands at first.
const M: u32 = 0xFFFF_0000;

/// Numbers of ours are absolute in these scripts.
fn keyed(key: u64) -> Script {
    let mut s = Script::numbered(config(), 0, PEER);
    s.toe.set_isn(M);
    s.toe.set_isn_key(key);
    s
}

fn f(key: u64, remote: u16, local: u16, ip: [u8; 4]) -> u32 {
    let ports = u32::from(remote) << 16 | u32::from(local);
    hash(key, ports, u32::from_be_bytes(ip))
}

/// The number that a SYN from there gets; its connection is over again.
#[track_caller]
fn number(s: &mut Script, syn: &Seg) -> u32 {
    s.inject(syn.clone());
    let answer = s.next().expect("SYN-ACK");
    assert_eq!((answer.flags, answer.ack), (SYN | ACK, 1));
    let reset = seg(RST, 1, 0).with_source(syn.ports.0);
    let reset = reset.with_target(syn.ports.1).with_address(syn.ip);
    s.inject(reset).silence().slots(0);
    answer.seq
}

#[test]
fn two_tuples_get_unrelated_numbers() {
    let mut s = keyed(KEY);
    let mut seen = std::collections::BTreeSet::new();
    let mut ones = 0;
    for (remote, local, last) in (0..200).map(|n| (1000 + n, HOST_PORT, 1)).chain([
        (1000, 7, 1),
        (1000, HOST_PORT, 3),
        (1001, 7, 3),
        (7, HOST_PORT, 1),
    ]) {
        let ip = [192, 168, 69, last];
        let syn = seg(SYN, 0, 0).with_source(remote).with_target(local);
        let got = number(&mut s, &syn.with_address(ip));
        let want = f(KEY, remote, local, ip);
        assert_eq!(got.wrapping_sub(M), want, "{remote}, {local}");
        assert!(seen.insert(got), "{got:#x} twice");
        ones += (want ^ f(KEY, remote + 1, local, ip)).count_ones();
    }
    // A neighbour's number differs in half of the bits.
    let bits = 32 * seen.len() as u32;
    assert!((bits * 9 / 20..bits * 11 / 20).contains(&ones), "{ones}");
}

#[test]
fn the_same_tuple_s_numbers_rise_with_the_clock() {
    let mut s = keyed(KEY);
    let mut before = number(&mut s, &seg(SYN, 0, 0));
    for ticks in [1, 10, 1_000] {
        let now = number(s.ticks(ticks), &seg(SYN, 0, 0));
        assert_eq!(now.wrapping_sub(before), 250 * ticks);
        before = now;
    }
    assert_eq!(
        number(&mut s, &seg(SYN, 0, 0)),
        before,
        "no time has passed"
    );
}

#[test]
fn another_key_gives_other_numbers() {
    let keys = [KEY, KEY ^ 1, KEY ^ 1 << 63, 0];
    let numbers = keys.map(|key| number(&mut keyed(key), &seg(SYN, 0, 0)));
    for (n, number) in numbers.iter().enumerate() {
        assert!(!numbers[..n].contains(number), "{numbers:x?}");
    }
    // Without a key of the script's it is the configuration's.
    let mut s = Script::numbered(config(), 0, PEER);
    s.toe.set_isn(M);
    s.toe.set_isn_key(config().isn_key);
    let got = number(&mut s, &seg(SYN, 0, 0));
    let mut toe =
        crate::tcp::model::toe::ModelToe::new(&config(), &super::super::program(&config()));
    std::mem::swap(&mut s.toe, &mut toe);
    assert_eq!(number(&mut s, &seg(SYN, 0, 0)).wrapping_add(M), got);
}

#[test]
fn an_active_open_has_the_number_of_its_tuple() {
    let mut s = keyed(KEY);
    s.connect();
    let syn = s.next().expect("SYN");
    assert_eq!(syn.flags, SYN);
    let want = M.wrapping_add(f(KEY, PEER_PORT, HOST_PORT, PEER_IP));
    assert_eq!(syn.seq, want);
    assert_eq!(s.word(words::SND_NXT), want.wrapping_add(1));
}

/// A record that waited while the connection of its tuple ended, with another connection's SYN before it.
#[test]
fn a_syn_whose_connection_is_gone_has_the_number_of_its_own_tuple() {
    let mut s = keyed(KEY);
    s.inject(seg(SYN, 0, 0));
    let ours = s.next().expect("SYN-ACK").seq;
    s.arrive(seg(RST, 1, 0));
    s.arrive(seg(SYN, 0, 0).with_source(1000));
    s.arrive(seg(SYN, 0, 0)).settle();
    let other = s.next().expect("SYN-ACK");
    let want = f(KEY, 1000, HOST_PORT, PEER_IP);
    assert_eq!((other.ports.1, other.seq), (1000, M.wrapping_add(want)));
    let again = s.next().expect("SYN-ACK");
    assert_eq!((again.ports.1, again.seq), (PEER_PORT, ours));
}

/// RFC 6528 section 3: a tuple's space of numbers keeps rising, so that RFC 1122 section 4.2.2.13 lets a SYN open anew in TIME-WAIT.
#[test]
fn in_time_wait_a_syn_opens_anew_once_m_and_f_are_above_all_that_was_sent() {
    for time_wait in [None, Some(0)] {
        let config = ToeConfig {
            time_wait,
            ..config()
        };
        let mut s = Script::numbered(config, 0, PEER);
        s.toe.set_isn(M);
        s.toe.set_isn_key(KEY);
        s.inject(seg(SYN, 0, 0).mss(1000));
        let ours = s.next().expect("SYN-ACK").seq;
        assert_eq!(ours, M.wrapping_add(f(KEY, PEER_PORT, HOST_PORT, PEER_IP)));
        let at = |n: u32| ours.wrapping_add(n);
        s.inject(seg(ACK, 1, at(1))).silence().state("ESTABLISHED");
        s.write(&[7; 600]).next().expect("text");
        s.inject(seg(ACK, 1, at(601)));
        s.close().expect(FIN | ACK, at(601), 1, 0);
        s.inject(seg(ACK | FIN, 1, at(602)));
        s.expect(ACK, at(602), 2, 0);
        // The tuple that was looked up last is another.
        s.inject(seg(ACK, 1, 1).with_source(1000)).next();
        // 500 of the 602 numbers have passed: not above all that was sent.
        s.ticks(2).inject(seg(SYN, 100, 0).mss(1000));
        s.expect(ACK, at(602), 2, 0);
        s.silence();
        s.ticks(1).inject(seg(SYN, 100, 0).mss(1000));
        s.expect(SYN | ACK, at(750), 101, 0);
        s.inject(seg(ACK, 101, at(751))).silence().slots(1);
    }
}

/// Nothing of F is left in the program, and the clock alone gives the number.
#[test]
fn without_the_hash_the_number_is_the_clock() {
    let config = ToeConfig {
        isn_hash: false,
        syn_cookies: false,
        ..config()
    };
    let mut s = Script::numbered(config, 0, PEER);
    s.toe.set_isn(M);
    s.toe.set_isn_key(KEY);
    for port in 1000..1010 {
        assert_eq!(number(&mut s, &seg(SYN, 0, 0).with_source(port)), M);
    }
    s.toe.connect(HOST_PORT, (PEER_IP, 9), Owner::Host);
    assert_eq!(s.settle().next().map(|s| s.seq), Some(M));
}
