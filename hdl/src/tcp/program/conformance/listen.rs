//! LISTEN (RFC 9293 section 3.10.7.2).
use super::super::script::*;
use super::super::words::*;
use super::*;
use crate::config::ToeConfig;
use crate::counters::Cause;

#[test]
fn first_a_reset_is_ignored() {
    for flags in [RST, RST | ACK, RST | SYN, RST | SYN | ACK, RST | FIN] {
        for numbers in NUMBERS {
            let mut s = Script::numbered(config(), numbers.0, numbers.1);
            s.inject(seg(flags, 0, 7)).silence();
            s.slots(0);
        }
    }
}

#[test]
fn second_an_ack_is_reset() {
    for flags in [ACK, SYN | ACK, FIN | ACK, SYN | FIN | ACK] {
        for ack in [0, 1, 7, FAR, u32::MAX] {
            let mut s = Script::new();
            s.inject(seg(flags, 0, ack).data(b"x"));
            s.expect(RST, ack, 0, 0);
            s.silence().slots(0);
        }
    }
}

#[test]
fn third_a_syn_is_answered_with_a_syn_and_its_acknowledgement() {
    for numbers in NUMBERS {
        let mut s = Script::numbered(config(), numbers.0, numbers.1);
        s.inject(seg(SYN, 0, 0));
        s.expect(SYN | ACK, 0, 1, 0);
        s.silence().state("SYN-RECEIVED");
        assert_eq!(s.theirs(RCV_NXT), 1);
        assert_eq!((s.ours(SND_UNA), s.ours(SND_NXT)), (0, 1));
    }
}

#[test]
fn a_syn_counts_whatever_its_number() {
    for seq in [0, 1, FAR - 1, FAR, u32::MAX] {
        let mut s = Script::new();
        s.inject(seg(SYN, seq, 0));
        s.expect(SYN | ACK, 0, seq.wrapping_add(1), 0);
    }
}

#[test]
fn the_remote_socket_is_filled_in_from_the_syn() {
    let mut s = Script::new();
    for (ip, port) in [(PEER_IP, 1), (PEER_IP, 2), ([10, 0, 0, 9], 1)] {
        s.inject(seg(SYN, 0, 0).with_address(ip).with_source(port));
        let answer = s.next().expect("a SYN-ACK");
        assert_eq!((answer.ip, answer.ports), (ip, (HOST_PORT, port)));
        assert_eq!(answer.flags, SYN | ACK);
    }
    s.silence();
}

#[test]
fn the_listener_goes_on_listening() {
    // RFC 9293 section 3.9.1.1: a passive OPEN is independent of any in a connection already (MUST-41, MUST-42).
    let mut s = Script::established();
    s.inject(seg(SYN, 0, 0).with_source(1));
    assert_eq!(s.next().expect("a SYN-ACK").flags, SYN | ACK);
    s.inject(seg(ACK, 1, 1).data(b"first"));
    s.acked(6);
    assert_eq!(s.state("ESTABLISHED").read(), b"first");
}

#[test]
fn an_old_duplicate_syn_ends_with_the_peer_s_reset_and_the_new_one_opens() {
    // Section 3.5, figure 8
    let mut s = Script::new();
    s.inject(seg(SYN, 90, 0));
    s.expect(SYN | ACK, 0, 91, 0);
    s.inject(seg(RST, 91, 0)).silence().slots(0);
    s.ticks(10).inject(seg(SYN, 200, 0));
    let answer = s.next().expect("a SYN-ACK");
    assert_eq!((answer.flags, answer.ack), (SYN | ACK, 201));
    let ours = answer.seq.wrapping_add(1);
    s.inject(seg(ACK, 201, ours)).silence().state("ESTABLISHED");
}

#[test]
fn two_listeners_do_not_mix() {
    let mut s = Script::new();
    s.inject(seg(SYN, 0, 0).with_target(7));
    assert_eq!(s.next().expect("a SYN-ACK").ports, (7, PEER_PORT));
    s.inject(seg(SYN, 0, 0));
    assert_eq!(s.next().expect("a SYN-ACK").ports, (HOST_PORT, PEER_PORT));
    s.silence();
}

#[test]
fn the_window_of_the_syn_holds() {
    for wnd in [1, 999, 1000, 1001] {
        let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(wnd));
        s.write(&[4; 3000]);
        let mut sent = 0;
        while let Some(text) = s.next() {
            sent += text.data.len();
        }
        assert!(sent <= usize::from(wnd), "{sent} of {wnd}");
    }
}

#[test]
fn text_of_a_syn_is_not_acknowledged_unless_it_is_kept() {
    for length in [1, 100, 1000] {
        let mut s = Script::new();
        s.inject(seg(SYN, 0, 0).data(&vec![6; length]));
        let acked = s.next().expect("a SYN-ACK").ack;
        s.inject(seg(ACK, 1, 1)).silence().state("ESTABLISHED");
        assert_eq!(s.read().len(), acked as usize - 1);
        s.inject(seg(ACK, 1, 1).data(&vec![6; length]));
        s.acked(1 + length as u32);
        assert_eq!(s.read().len(), length);
    }
}

#[test]
#[ignore = "reason: the text of a SYN is not placed; it must come again"]
fn text_of_a_syn_is_queued_for_later() {
    let mut s = Script::new();
    s.inject(seg(SYN, 0, 0).data(b"early"));
    s.next().expect("a SYN-ACK");
    s.inject(seg(ACK, 6, 1)).state("ESTABLISHED");
    assert_eq!(s.read(), b"early");
}

#[test]
#[ignore = "reason: the FIN of a SYN is dropped; it must come again"]
fn a_fin_beside_the_syn_is_queued_for_later() {
    let mut s = Script::new();
    s.inject(seg(SYN | FIN, 0, 0));
    s.next().expect("a SYN-ACK");
    s.inject(seg(ACK, 2, 1));
    s.state("CLOSE-WAIT");
}

/// What is done instead: nothing of it is acknowledged, and so it comes again.
#[test]
fn text_and_fin_beside_a_syn_count_when_they_come_again() {
    for (fin, text) in [(0, &b"early"[..]), (FIN, b""), (FIN, b"early")] {
        for numbers in NUMBERS {
            let mut s = Script::numbered(config(), numbers.0, numbers.1);
            let beside = |seq, ack, flags| seg(flags | fin, seq, ack).data(text);
            s.inject(beside(0, 0, SYN)).expect(SYN | ACK, 0, 1, 0);
            // The SYN again, as it was, and the ACK of who has sent all of it.
            s.inject(beside(0, 0, SYN)).expect(ACK, 1, 1, 0);
            let end = 1 + text.len() as u32 + u32::from(fin);
            s.inject(seg(ACK, end, 1)).state("ESTABLISHED");
            while let Some(out) = s.next() {
                assert_eq!((out.flags, out.ack), (ACK, 1));
            }
            assert_eq!(s.read(), b"");
            for _ in 0..2 {
                s.inject(beside(1, 1, ACK)).acked(end);
            }
            assert_eq!(s.read(), text);
            s.state(if fin == 0 {
                "ESTABLISHED"
            } else {
                "CLOSE-WAIT"
            });
        }
    }
}

#[test]
fn a_syn_with_fin_opens_no_less() {
    let mut s = Script::new();
    s.inject(seg(SYN | FIN, 0, 0));
    assert_eq!(s.next().expect("a SYN-ACK").flags, SYN | ACK);
    s.inject(seg(ACK, 1, 1)).silence().state("ESTABLISHED");
    s.inject(seg(ACK | FIN, 1, 1)).acked(2);
    s.state("CLOSE-WAIT");
}

#[test]
pub(super) fn fourth_anything_else_is_dropped() {
    for (flags, text) in [(0, &b""[..]), (FIN, b""), (PSH, b"x"), (FIN | URG, b"x")] {
        let mut s = Script::new();
        s.inject(seg(flags, 0, 0).data(text)).silence();
        s.slots(0);
    }
}

/// Addresses that no peer has, beside 192.168.69.2/24.
const NO_PEER: [[u8; 4]; 12] = [
    [0, 0, 0, 0],
    [0, 255, 255, 255],
    [127, 0, 0, 1],
    [127, 255, 255, 255],
    [192, 168, 69, 2],
    [192, 168, 69, 255],
    [224, 0, 0, 1],
    [239, 1, 1, 1],
    [239, 255, 255, 255],
    [240, 0, 0, 0],
    [255, 255, 255, 254],
    [255; 4],
];

/// Addresses beside those.
const PEERS: [[u8; 4]; 9] = [
    [1, 0, 0, 0],
    [126, 255, 255, 255],
    [128, 0, 0, 0],
    [128, 255, 255, 255],
    [192, 168, 68, 255],
    [192, 168, 69, 3],
    [192, 168, 69, 254],
    [192, 168, 70, 255],
    [223, 255, 255, 255],
];

#[test]
pub(super) fn a_syn_from_a_multicast_or_broadcast_address_is_ignored() {
    for ip in NO_PEER {
        let mut s = Script::new();
        s.inject(seg(SYN, 0, 0).with_address(ip)).silence();
        s.counted(Cause::BadSource, 1).slots(0);
    }
    for ip in PEERS {
        let mut s = Script::new();
        s.inject(seg(SYN, 0, 0).with_address(ip));
        let answer = s.next().expect("a SYN-ACK");
        assert_eq!((answer.flags, answer.ip), (SYN | ACK, ip));
        s.counted(Cause::BadSource, 0).slots(0);
    }
}

/// Whatever else comes from there draws no reset either, not even at a port that nobody listens on (RFC 1122 section 3.2.1.3).
#[test]
pub(super) fn nothing_is_sent_to_an_address_that_no_peer_has() {
    for ip in NO_PEER {
        for flags in [0, ACK, FIN, RST, SYN, SYN | ACK] {
            let mut s = Script::new();
            let segment = seg(flags, 0, 7).with_address(ip).with_target(81);
            s.inject(segment).silence();
            s.counted(Cause::BadSource, 1).counted(Cause::ResetOut, 0);
            s.slots(0);
        }
    }
}

/// "Land": from our own address and the very port that it goes to.
#[test]
pub(super) fn a_syn_from_ourselves_is_ignored() {
    let mut s = Script::new();
    let own = config().ip;
    s.inject(seg(SYN, 0, 0).with_address(own).with_source(HOST_PORT));
    s.silence().counted(Cause::BadSource, 1).slots(0);
}

#[test]
pub(super) fn the_broadcast_address_follows_from_the_netmask() {
    // Own address, netmask, source, ignored.
    for (ip, netmask, source, ignored) in [
        ([10, 1, 2, 3], [255, 0, 0, 0], [10, 255, 255, 255], true),
        ([10, 1, 2, 3], [255, 0, 0, 0], [10, 1, 2, 255], false),
        ([10, 1, 2, 3], [255, 0, 0, 0], [11, 255, 255, 255], false),
        ([10, 1, 2, 3], [255, 240, 0, 0], [10, 15, 255, 255], true),
        ([10, 1, 2, 3], [255, 240, 0, 0], [10, 31, 255, 255], false),
        ([10, 1, 2, 3], [255, 255, 240, 0], [10, 1, 15, 255], true),
        ([10, 1, 2, 1], [255, 255, 255, 252], [10, 1, 2, 3], true),
        ([10, 1, 2, 1], [255, 255, 255, 252], [10, 1, 2, 2], false),
        // RFC 3021
        ([10, 1, 2, 2], [255, 255, 255, 254], [10, 1, 2, 3], false),
        ([10, 1, 2, 3], [255; 4], [10, 1, 2, 4], false),
    ] {
        for gateway in [[0; 4], [10, 1, 2, 1]] {
            let mut s = Script::with(ToeConfig {
                ip,
                netmask,
                gateway,
                ..config()
            });
            s.inject(seg(SYN, 0, 0).with_address(source));
            assert_eq!(s.next().is_none(), ignored, "{source:?} in {netmask:?}");
            s.counted(Cause::BadSource, u64::from(ignored)).slots(0);
        }
    }
}

#[test]
fn a_syn_that_comes_twice_makes_one_connection() {
    let mut s = Script::new();
    s.inject(seg(SYN, 0, 0));
    s.expect(SYN | ACK, 0, 1, 0);
    s.inject(seg(SYN, 0, 0));
    while let Some(answer) = s.next() {
        assert_eq!((answer.flags & RST, answer.ack), (0, 1));
    }
    s.inject(seg(ACK, 1, 1)).state("ESTABLISHED");
    s.counted(Cause::Opened, 1).slots(1);
}

#[test]
fn ecn_bits_of_a_syn_keep_it_from_nothing() {
    // RFC 3168 section 6.1.1: all forms of SYN that set up ECN or do not; a SYN-ACK never has both bits.
    for bits in [0, ECE, CWR, ECE | CWR] {
        let mut s = Script::new();
        s.inject(seg(SYN | bits, 0, 0));
        let answer = s.next().expect("a SYN-ACK");
        assert_eq!((answer.flags & !ECE, answer.ack), (SYN | ACK, 1));
        assert!(bits == ECE | CWR || answer.flags & ECE == 0, "{bits:#x}");
        s.inject(seg(ACK, 1, 1)).silence().state("ESTABLISHED");
    }
}

#[test]
pub(super) fn half_open_connections_take_no_slot_from_established_ones() {
    let mut s = Script::established();
    for port in 0..20 {
        s.inject(seg(SYN, 0, 0).with_source(port));
        s.next();
    }
    s.state("ESTABLISHED").inject(seg(ACK, 1, 1).data(b"x"));
    while s.next().is_some() {}
    assert_eq!(s.read(), b"x");
}
