//! The program of 1,536 words ([`ToeConfig::hardened`], without [`ToeConfig::complete`]), which a small device has: what keeps strangers out, our own SACK blocks, NewReno, first numbers of RFC 6528 by the program itself.
//! Most are the scripts of the large program, run in it.
use super::super::{program, sack::tests as sack, words};
use super::*;
use crate::config::ToeConfig;
use crate::tcp::isa::Far;
use crate::tcp::keyed_hash::hash;

/// With the hash as a routine of the program.
fn keyed(key: u64) -> Script {
    let config = ToeConfig {
        isn_hash: true,
        isn_key: key,
        ..config()
    };
    let mut s = Script::numbered(config, 0, PEER);
    s.toe.set_isn(M);
    s
}

const KEY: u64 = 0x0123_4567_89AB_CDEF;
/// Where the clock of first numbers stands.
const M: u32 = 0xFFFF_0000;

fn f(key: u64, remote: u16, ip: [u8; 4]) -> u32 {
    let ports = u32::from(remote) << 16 | u32::from(HOST_PORT);
    hash(key, ports, u32::from_be_bytes(ip))
}

#[test]
fn it_needs_no_state_of_the_far_bank_and_has_words_left() {
    let config = ToeConfig {
        isn_hash: true,
        ..hardened_config()
    };
    for ethernet in [false, true] {
        let config = ToeConfig {
            ethernet,
            ..config.clone()
        };
        assert_eq!(config.check(), Ok(()));
        assert!(config.isn_in_program() && !config.scoreboard());
        let program = program(&config);
        assert_eq!(program.far, Far::Shared);
        println!("{} words, ethernet {ethernet}", program.words.len());
    }
}

#[test]
fn first_numbers_are_the_keyed_hash_s() {
    hardened(|| {
        for key in [KEY, 0, u64::MAX, 1 << 63] {
            let mut s = keyed(key);
            for (remote, ip) in (0..50).map(|n| (n * 1311 + 1, [10, n as u8, 3, 5])) {
                let syn = seg(SYN, 0, 0).with_source(remote).with_address(ip);
                s.inject(syn);
                let answer = s.next().expect("SYN-ACK");
                assert_eq!(
                    (answer.flags, answer.ack, answer.mss),
                    (SYN | ACK, 1, Some(1460))
                );
                assert_eq!(answer.seq.wrapping_sub(M), f(key, remote, ip), "{remote}");
                let reset = seg(RST, 1, 0).with_source(remote).with_address(ip);
                s.inject(reset).silence().slots(0);
            }
        }
    });
}

#[test]
fn an_active_open_has_the_keyed_number_and_what_follows_is_as_usual() {
    hardened(|| {
        let mut s = keyed(KEY);
        s.connect();
        let syn = s.next().expect("SYN");
        let ours = M.wrapping_add(f(KEY, PEER_PORT, PEER_IP));
        assert_eq!((syn.flags, syn.seq, syn.mss), (SYN, ours, Some(1460)));
        assert!(syn.sack_permitted);
        let at = |n: u32| ours.wrapping_add(n);
        s.inject(seg(SYN | ACK, 0, at(1)).mss(1000));
        s.expect(ACK, at(1), 1, 0);
        s.silence().state("ESTABLISHED");
        s.write(&[7; 600]).expect(ACK, at(1), 1, 600);
        s.inject(seg(ACK, 1, at(601)).data(b"text"));
        s.expect(ACK, at(601), 5, 0);
        assert_eq!(s.read(), b"text");
        assert_eq!(s.word(words::RTO), super::super::constant::RTO_MIN);
    });
}

/// As `first_number` has it for the large program; and a SYN in a connection disturbs nothing of it.
#[test]
fn in_time_wait_a_syn_opens_anew_once_the_keyed_number_is_above_all_that_was_sent() {
    hardened(|| {
        for time_wait in [None, Some(0)] {
            let config = ToeConfig {
                time_wait,
                isn_hash: true,
                isn_key: KEY,
                ..config()
            };
            let mut s = Script::numbered(config, 0, PEER);
            s.toe.set_isn(M);
            s.inject(seg(SYN, 0, 0).mss(1000));
            let ours = s.next().expect("SYN-ACK").seq;
            assert_eq!(ours, M.wrapping_add(f(KEY, PEER_PORT, PEER_IP)));
            let at = |n: u32| ours.wrapping_add(n);
            s.inject(seg(ACK, 1, at(1))).silence().state("ESTABLISHED");
            s.write(&[7; 600]).next().expect("text");
            let before = s.toe.machine.state[0];
            s.inject(seg(SYN, 100, 0).mss(1000));
            s.expect(ACK, at(601), 1, 0);
            assert_eq!(s.toe.machine.state[0], before);
            s.inject(seg(ACK, 1, at(601)));
            s.close().expect(FIN | ACK, at(601), 1, 0);
            s.inject(seg(ACK | FIN, 1, at(602)));
            s.expect(ACK, at(602), 2, 0);
            // 500 of the 602 numbers have passed.
            s.ticks(2).inject(seg(SYN, 100, 0).mss(1000));
            s.expect(ACK, at(602), 2, 0);
            s.silence();
            s.ticks(1).inject(seg(SYN, 100, 0).mss(1000));
            s.expect(SYN | ACK, at(750), 101, 0);
            s.inject(seg(ACK, 101, at(751))).silence().slots(1);
        }
    });
}

/// 16 us at 50 MHz.
#[test]
fn a_syn_takes_so_long() {
    hardened(|| {
        let mut s = keyed(KEY);
        s.arrive(seg(SYN, 0, 0).mss(1000).sack_permitted());
        s.toe.step().expect("no fault");
        println!("SYN: {} cycles", s.toe.cost.cycles);
        assert!(s.toe.cost.cycles < 1000, "{}", s.toe.cost.cycles);
    });
}

#[test]
fn challenges_are_limited() {
    hardened(|| {
        challenges::they_are_limited_and_what_is_too_much_is_counted();
        challenges::no_second_has_more_than_its_share_and_none_goes_without();
        challenges::the_limit_is_one_for_all_connections_and_passes();
        challenges::what_is_merely_old_is_always_answered();
        challenges::nothing_draws_more_than_it_is();
    });
}

#[test]
fn blind_segments_are_challenged_or_dropped() {
    hardened(|| {
        established::a_reset_outside_the_window_is_dropped();
        established::a_reset_inside_the_window_is_challenged();
        established::a_reset_at_rcv_nxt_ends_it();
        established::a_syn_is_challenged();
        established::the_reset_that_answers_a_challenge_ends_it();
        established::an_ack_of_what_was_never_sent_is_answered_and_its_segment_dropped();
        established::an_ack_older_than_the_largest_window_is_answered_and_its_segment_dropped();
        established::an_ack_as_old_as_the_largest_window_lets_its_text_in();
        syn_received::a_reset_inside_the_window_is_challenged();
        time_wait::a_reset_inside_the_window_is_challenged();
    });
}

#[test]
fn strangers_are_answered_as_listen_has_it() {
    hardened(|| {
        listen::fourth_anything_else_is_dropped();
        listen::a_syn_from_a_multicast_or_broadcast_address_is_ignored();
        listen::nothing_is_sent_to_an_address_that_no_peer_has();
        listen::a_syn_from_ourselves_is_ignored();
        listen::the_broadcast_address_follows_from_the_netmask();
        listen::half_open_connections_take_no_slot_from_established_ones();
        calls::an_open_to_a_multicast_or_broadcast_address_is_refused();
        syn_received::fourth_a_syn_in_the_window_returns_a_passive_open_to_listen();
        syn_received::fourth_a_syn_in_the_window_is_challenged_in_an_active_open();
    });
}

#[test]
fn our_blocks_are_told() {
    hardened(|| {
        sack::sack_is_permitted_to_a_peer_that_permits_it();
        sack::our_syn_permits_sack_and_the_answer_decides();
        sack::the_first_block_is_the_latest_and_three_are_told_at_most();
        sack::what_comes_twice_is_told_first();
    });
}

/// The peer's are stepped over: three duplicates begin fast recovery, blocks or none, and each partial ACK sends the next hole (RFC 6582).
#[test]
fn the_peer_s_blocks_are_not_heard_and_newreno_is() {
    hardened(|| {
        let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).sack_permitted());
        s.write(&[1; 8000]);
        for n in 0..8 {
            s.expect(ACK, 1 + 1000 * n, 1, 1000);
        }
        s.silence();
        for n in 1..3 {
            s.inject(seg(ACK, 1, 1).sack(&[(1001, 1001 + 1000 * n)]));
            s.silence();
        }
        s.inject(seg(ACK, 1, 1).sack(&[(1001, 4001)]));
        s.expect(ACK, 1, 1, 1000);
        s.silence();
        s.inject(seg(ACK, 1, 5001).sack(&[(6001, 8001)]));
        s.expect(ACK, 5001, 1, 1000);
        s.silence();
        s.inject(seg(ACK, 1, 8001)).silence();
        s.counted(Cause::RtoExpired, 0)
            .counted(Cause::Retransmit, 2);
    });
}

/// URG shares a flag's number with what has the head sent again where an event has done enough, as one with a measurement has.
#[test]
fn urgent_text_has_nothing_sent_again() {
    hardened(|| {
        let mut s = Script::established();
        s.write(&[1; 2000]);
        s.expect(ACK, 1, 1, 1000);
        s.expect(ACK, 1001, 1, 1000);
        s.ticks(10);
        s.inject(seg(ACK, 1, 1001).data(b"text").urgent(1));
        s.expect(ACK, 2001, 5, 0);
        s.silence().counted(Cause::Retransmit, 0);
        assert_eq!(s.read(), b"text");
    });
}

/// Without the scoreboard an ACK that tells of a gap leaves nothing for a later event: what is to go again goes with it.
#[test]
fn a_partial_acknowledgement_beside_text_ahead_of_a_gap_brings_the_next_hole() {
    let comes = |config: ToeConfig| {
        let mut s = Script::established_with(config, seg(SYN, 0, 0).mss(1000));
        s.write(&[7; 6000]);
        for n in 0..6 {
            s.expect(ACK, 1 + n * 1000, 1, 1000);
        }
        for _ in 0..3 {
            s.silence().inject(seg(ACK, 1, 1));
        }
        s.expect(ACK, 1, 1, 1000);
        for (text, hole) in [(3, 2001), (5, 4001)] {
            s.inject(seg(ACK, text, hole).data(b"x"));
            s.expect(ACK, hole, 1, 1000);
            s.silence();
        }
        s.counted(Cause::Retransmit, 3)
            .counted(Cause::RtoExpired, 0);
    };
    // The large program, too, where SACK is not built.
    comes(without_sack(config()));
    hardened(|| {
        comes(config());
        comes(without_sack(config()));
    });
}

/// The soak found it: both windows shut, each end probes, and neither takes an ACK from beyond its own.
#[test]
fn an_ack_beside_a_probe_stays_inside_the_shut_window() {
    hardened(|| {
        let mut s = Script::established();
        s.inject(seg(ACK, 1, 1).wnd(0)).silence();
        s.write(b"text").ticks(1_500);
        // The probe, which the peer does not take: it goes on to expect 1.
        s.expect(ACK, 1, 1, 1);
        while s.next().is_some() {}
        s.inject(seg(ACK, 1, 1).data(b"x").wnd(0)).ticks(50);
        s.expect(ACK, 1, 2, 0);
        // With a gap, whose edges are told, and for what is out of the window.
        s.inject(seg(ACK, 3, 1).data(b"z").wnd(0));
        s.expect(ACK, 1, 2, 0);
        s.inject(seg(ACK, 1, 1).data(b"x").wnd(0));
        s.expect(ACK, 1, 2, 0);
        // It takes the probe: the next stands behind it.
        s.inject(seg(ACK, 2, 2).data(b"y").wnd(0)).ticks(50);
        s.expect(ACK, 2, 4, 0);
    });
}
