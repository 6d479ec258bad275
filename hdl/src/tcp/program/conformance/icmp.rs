//! RFC 5927, RFC 1191, RFC 9293 section 3.9.2.2, RFC 1122 sections 3.2.2.1 and 4.2.3.9: ICMP errors, by state.
use super::super::script::*;
use super::super::words::*;
use crate::config::ToeConfig;
use crate::counters::Cause;

/// Every verdict that an error may get.
const VERDICTS: [Cause; 6] = [
    Cause::IcmpStray,
    Cause::IcmpOutside,
    Cause::IcmpSoft,
    Cause::IcmpRefused,
    Cause::MtuLowered,
    Cause::MtuIgnored,
];

/// An error about a segment of ours: type and code, the sequence number quoted, and of "fragmentation needed" the next-hop MTU.
fn about(kind: u8, code: u8, seq: u32) -> Error {
    Error {
        kind,
        code,
        mtu: 0,
        length: 1040,
        seq,
        ports: (HOST_PORT, PEER_PORT),
    }
}

/// "Fragmentation needed" for the segment of 1,000 bytes that begins here.
fn too_big(mtu: u16, seq: u32) -> Error {
    Error {
        mtu,
        ..about(3, 4, seq)
    }
}

/// Injects an error that gets this verdict alone, and nothing is answered.
#[track_caller]
fn verdict(s: &mut Script, error: Error, wanted: Cause) {
    let before = VERDICTS.map(|c| s.toe.counter(c));
    s.error(error).silence();
    for (cause, before) in VERDICTS.into_iter().zip(before) {
        assert_eq!(
            s.toe.counter(cause) - before,
            u64::from(cause == wanted),
            "{}: {error:?}",
            cause.name()
        );
    }
}

/// All errors that there are but source quench, and "fragmentation needed", which has tests of its own: unreachable (RFC 792, RFC 1122 section 3.2.2.1), time exceeded, parameter problem.
fn all() -> Vec<(u8, u8)> {
    let unreachable = (0..=15).filter(|c| *c != 4).map(|c| (3, c));
    unreachable.chain([(11, 0), (11, 1), (12, 0)]).collect()
}

/// Three segments of 1,000 bytes are on their way; the peer's MSS is 1000.
fn three() -> Script {
    let mut s = Script::established();
    s.write(&pattern(3000));
    for n in 0..3 {
        s.expect(ACK, 1 + n * 1000, 1, 1000);
    }
    s.silence();
    s
}

fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|n| (n * 7 + n / 256) as u8).collect()
}

// ---- who is believed ------------------------------------------------------------------------

/// RFC 5927 section 4.1, at both edges; all numbers here lie across the wrap.
#[test]
fn only_a_number_that_is_on_its_way_is_believed() {
    let mut s = three();
    s.inject(seg(ACK, 1, 1001)).silence();
    for seq in [1001, 1002, 3000] {
        verdict(&mut s, about(3, 1, seq), Cause::IcmpSoft);
    }
    for seq in [0, 1, 1000, 3001, 3002, 1001 + (1 << 31), 1000 + (1 << 31)] {
        verdict(&mut s, about(3, 1, seq), Cause::IcmpOutside);
        verdict(&mut s, too_big(576, seq), Cause::IcmpOutside);
    }
    assert_eq!(s.word(MSS), 1000);
    s.inject(seg(ACK, 1, 3001)).state("ESTABLISHED");
    for seq in [3000, 3001] {
        verdict(&mut s, about(3, 1, seq), Cause::IcmpOutside);
    }
}

#[test]
fn an_error_about_a_stranger_s_segment_is_dropped_without_an_answer() {
    let mut s = three();
    for (kind, code) in all().into_iter().chain([(3, 4)]) {
        for ports in [
            (HOST_PORT, PEER_PORT + 1),
            (HOST_PORT + 1, PEER_PORT),
            (9, 9),
        ] {
            let error = Error {
                ports,
                ..about(kind, code, 1)
            };
            verdict(&mut s, error, Cause::IcmpStray);
        }
    }
    s.state("ESTABLISHED").counted(Cause::ResetOut, 0);
    // Nor when what it quotes went to nobody.
    for address in [[0; 4], [224, 0, 0, 1], [255; 4], config().ip] {
        let before = s.toe.counter(Cause::IcmpStray);
        s.error_as(about(3, 4, 1), |p| {
            p[20 + 8 + 16..20 + 8 + 20].copy_from_slice(&address)
        });
        s.silence();
        assert_eq!(s.toe.counter(Cause::IcmpStray), before + 1);
    }
    s.counted(Cause::BadSource, 0).counted(Cause::Stray, 0);
}

#[test]
fn what_does_not_quote_a_segment_of_ours_is_malformed() {
    let mut s = three();
    let (ip, quoted) = (20, 28);
    let broken: [(usize, u8); 8] = [
        (quoted, 0x46),
        (quoted, 0x65),
        (quoted + 6, 0x01),
        (quoted + 7, 0x08),
        (quoted + 9, 17),
        (quoted + 12, 10),
        (quoted + 15, 9),
        (quoted + 14, 0),
    ];
    for (n, (at, byte)) in broken.into_iter().enumerate() {
        s.error_as(too_big(576, 1), |p| p[at] = byte).silence();
        s.counted(Cause::IcmpQuoteBad, n as u64 + 1);
    }
    // A wrong sum: nothing is believed, not even that it is an error.
    let mut packet = s.error_packet(too_big(576, 1));
    packet[ip + 7] ^= 1;
    s.packet(&packet).silence();
    for cause in VERDICTS {
        s.counted(cause, 0);
    }
    // The same, sound.
    s.error(too_big(576, 1)).counted(Cause::MtuLowered, 1);
}

/// RFC 9293 section 3.9.2.2, MUST-55; all other messages, too.
#[test]
fn source_quench_is_dropped_silently() {
    let mut s = three();
    let cwnd = s.word(CWND);
    for kind in (0..=255).filter(|kind| ![3, 11, 12].contains(kind)) {
        s.error(about(kind, 0, 1)).silence();
    }
    for cause in VERDICTS {
        s.counted(cause, 0);
    }
    s.counted(Cause::IcmpError, 0).state("ESTABLISHED");
    assert_eq!(s.word(CWND), cwnd);
}

#[test]
fn an_engine_built_without_hears_none() {
    let config = ToeConfig {
        icmp_errors: false,
        ..config()
    };
    let mut s = Script::established_with(config, seg(SYN, 0, 0).mss(1000));
    s.write(&[1; 1000]);
    s.expect(ACK, 1, 1, 1000);
    s.error(too_big(576, 1)).error(about(3, 3, 1)).silence();
    assert_eq!(s.word(MSS), 1000);
    s.counted(Cause::IcmpError, 0).state("ESTABLISHED");
}

// ---- hard and soft --------------------------------------------------------------------------

/// RFC 9293 section 3.9.2.2: SHLD-26 for SYN-SENT; MUST-56 for the soft ones.
#[test]
fn in_syn_sent_protocol_and_port_unreachable_end_the_attempt() {
    for (kind, code) in all() {
        let hard = (kind, code) == (3, 2) || (kind, code) == (3, 3);
        let mut s = Script::connecting();
        for wrong in [1, u32::MAX] {
            verdict(&mut s, about(kind, code, wrong), Cause::IcmpOutside);
        }
        s.state("SYN-SENT");
        if hard {
            verdict(&mut s, about(kind, code, 0), Cause::IcmpRefused);
            s.state("CLOSED").slots(0);
            s.ticks(10_000).silence();
        } else {
            verdict(&mut s, about(kind, code, 0), Cause::IcmpSoft);
            s.state("SYN-SENT");
            s.inject(seg(SYN | ACK, 0, 1).mss(1000));
            s.expect(ACK, 1, 1, 0);
            s.state("ESTABLISHED");
        }
    }
    // Of a SYN that is sent again as well; and a big one there is not.
    let mut s = Script::connecting();
    s.ticks(1000).expect(SYN, 0, 0, 0);
    verdict(&mut s, too_big(576, 0), Cause::MtuIgnored);
    verdict(&mut s, about(3, 3, 0), Cause::IcmpRefused);
    s.state("CLOSED");
}

/// RFC 5927 section 5.2: in every other state no error ends a connection.
#[test]
fn no_error_ends_a_connection_that_is_not_in_syn_sent() {
    let all = all();
    let soft = |s: &mut Script, seq: u32, name: &str| {
        for (kind, code) in &all {
            verdict(s, about(*kind, *code, seq), Cause::IcmpSoft);
        }
        s.state(name);
    };
    let mut s = Script::new();
    s.inject(seg(SYN, 0, 0).mss(1000));
    s.expect(SYN | ACK, 0, 1, 0);
    soft(&mut s, 0, "SYN-RECEIVED");
    verdict(&mut s, too_big(576, 0), Cause::MtuIgnored);
    s.inject(seg(ACK, 1, 1)).state("ESTABLISHED");

    let mut s = three();
    soft(&mut s, 1, "ESTABLISHED");
    s.close();
    s.expect(FIN | ACK, 3001, 1, 0);
    soft(&mut s, 3001, "FIN-WAIT-1");
    s.inject(seg(ACK, 1, 3002)).state("FIN-WAIT-2");
    verdict(&mut s, about(3, 3, 3001), Cause::IcmpOutside);
    s.state("FIN-WAIT-2");

    let mut s = three();
    s.inject(seg(ACK | FIN, 1, 1));
    s.expect(ACK, 3001, 2, 0);
    soft(&mut s, 1, "CLOSE-WAIT");
    s.close();
    s.expect(FIN | ACK, 3001, 2, 0);
    soft(&mut s, 1, "LAST-ACK");

    let mut s = three();
    s.close();
    s.expect(FIN | ACK, 3001, 1, 0);
    s.inject(seg(ACK | FIN, 1, 1001));
    s.expect(ACK, 3002, 2, 0);
    soft(&mut s, 1001, "CLOSING");
    s.inject(seg(ACK, 2, 3002));
}

/// In TIME-WAIT nothing of ours is on its way, whatever an entry's words hold; nor in CLOSED.
#[test]
fn in_time_wait_and_closed_every_error_is_outside() {
    for time_wait in [Some(0), None] {
        let config = ToeConfig {
            time_wait,
            ..config()
        };
        let mut s = Script::established_with(config, seg(SYN, 0, 0).mss(1000));
        s.close();
        s.expect(FIN | ACK, 1, 1, 0);
        s.inject(seg(ACK | FIN, 1, 2));
        s.expect(ACK, 2, 2, 0);
        s.silence();
        for seq in [0, 1, 2, 0u32.wrapping_sub(US), 1u32.wrapping_sub(US)] {
            for (kind, code) in [(3, 3), (3, 4), (11, 0)] {
                let error = Error {
                    mtu: 576,
                    ..about(kind, code, seq)
                };
                verdict(&mut s, error, Cause::IcmpOutside);
            }
        }
    }
    // Over, but its application has not let go: the host's does at its next visit, so it is stopped here.
    let mut s = three();
    s.arrive(seg(RST, 1, 0));
    s.arrive_error(too_big(576, 1));
    s.settle().silence().state("CLOSED");
    let counted = [Cause::IcmpOutside, Cause::IcmpStray].map(|c| s.toe.counter(c));
    assert_eq!(counted.iter().sum::<u64>(), 1, "{counted:?}");
}

// ---- path MTU -------------------------------------------------------------------------------

/// RFC 1191 section 4: what lowers the path MTU, and what does not. The segments have 1,040 bytes.
#[test]
fn the_next_hop_s_mtu_is_taken_from_576_up_to_what_is_used() {
    for (mtu, mss) in [
        (0, Some(536)),
        (1, None),
        (68, None),
        (552, None),
        (575, None),
        (576, Some(536)),
        (577, Some(537)),
        (1039, Some(999)),
        (1040, None),
        (1041, None),
        (1499, None),
        (1500, None),
        (65535, None),
    ] {
        let mut s = three();
        let Some(mss) = mss else {
            verdict(&mut s, too_big(mtu, 1), Cause::MtuIgnored);
            assert_eq!(s.word(MSS), 1000, "{mtu}");
            continue;
        };
        s.error(too_big(mtu, 1)).counted(Cause::MtuLowered, 1);
        assert_eq!(s.word(MSS), mss, "{mtu}");
        assert_eq!(s.expect(ACK, 1, 1, 536).data, pattern(536));
        // What is behind it is at most that long, or waits.
        while let Some(next) = s.next() {
            assert!(next.data.len() <= mss as usize, "{mtu}: {next:?}");
        }
        // The others of that flight bring nothing new.
        for seq in [1001, 2001] {
            verdict(&mut s, too_big(mtu, seq), Cause::MtuIgnored);
        }
    }
    let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1460));
    s.write(&[1; 1460]);
    s.expect(ACK, 1, 1, 1460);
    let full = |mtu| Error {
        length: 1500,
        ..too_big(mtu, 1)
    };
    verdict(&mut s, full(1500), Cause::MtuIgnored);
    s.error(full(1499)).counted(Cause::MtuLowered, 1);
    s.expect(ACK, 1, 1, 536);
    s.expect(ACK, 537, 1, 924);
}

/// RFC 5927 section 7.2: a segment that was no longer than the MTU can't have met it.
#[test]
fn a_short_segment_says_nothing_of_the_path() {
    for (length, wanted) in [
        (40, Cause::MtuIgnored),
        (575, Cause::MtuIgnored),
        (576, Cause::MtuIgnored),
        (577, Cause::MtuLowered),
    ] {
        let mut s = three();
        let error = Error {
            length,
            ..too_big(576, 1)
        };
        s.error(error).counted(wanted, 1);
    }
}

/// RFC 1191 section 6.5: what is on its way goes again at once, without a timer and with `cwnd` as it was; all bytes, in order, no segment longer than the path takes. Numbers wrap on the way.
#[test]
fn what_was_too_long_goes_again_at_once_in_shorter_segments() {
    for sack in [false, true] {
        for text in [3000, 8192] {
            let mut syn = seg(SYN, 0, 0).mss(1000).wnd(60_000);
            syn.sack_permitted = sack;
            let mut s = Script::established_with(config(), syn);
            let wanted = pattern(text + 600);
            s.write(&wanted[..text]);
            while s.next().is_some() {}
            let (cwnd, ssthresh) = (s.word(CWND), s.word(SSTHRESH));
            s.error(too_big(576, 1));
            assert_eq!((s.word(CWND), s.word(SSTHRESH)), (cwnd, ssthresh));
            let mut got = vec![];
            let mut written = false;
            for _ in 0..60 {
                while let Some(next) = s.next() {
                    assert_eq!(next.seq, 1 + got.len() as u32, "in order, each byte once");
                    assert!((1..=536).contains(&next.data.len()), "{}", next.data.len());
                    got.extend(next.data);
                }
                s.inject(seg(ACK, 1, 1 + got.len() as u32).wnd(60_000));
                // What is written later is cut at the new size from the first.
                if got.len() == text && !written {
                    written = true;
                    s.write(&wanted[text..]);
                    assert_eq!(s.expect(ACK, 1 + text as u32, 1, 536).data.len(), 536);
                    got.extend(&wanted[text..][..536]);
                }
            }
            assert_eq!(got, wanted, "{sack}, {text}");
            s.counted(Cause::RtoExpired, 0)
                .counted(Cause::MtuLowered, 1)
                .state("ESTABLISHED");
        }
    }
}

/// What is written while the flight is on its way fills segments of the new size, whatever was open.
#[test]
fn what_is_written_later_is_cut_at_the_new_size() {
    let mut s = three();
    s.write(&[9; 900]).silence();
    s.error(too_big(600, 1));
    s.write(&[9; 2000]);
    let mut longest = 0;
    let mut at = 1;
    for _ in 0..40 {
        while let Some(next) = s.next() {
            assert_eq!(next.seq, at);
            at += next.data.len() as u32;
            longest = longest.max(next.data.len());
        }
        s.inject(seg(ACK, 1, at));
    }
    assert_eq!((at, longest), (5901, 560));
    s.counted(Cause::RtoExpired, 0);
}

#[test]
fn a_lost_piece_comes_again() {
    for sack in [false, true] {
        let mut syn = seg(SYN, 0, 0).mss(1000);
        syn.sack_permitted = sack;
        let mut s = Script::established_with(config(), syn);
        s.write(&pattern(3000));
        while s.next().is_some() {}
        s.error(too_big(576, 1));
        s.expect(ACK, 1, 1, 536);
        s.expect(ACK, 537, 1, 464);
        s.silence();
        // Both are lost: the timer, and the first alone.
        let rto = s.word(RTO);
        s.ticks(rto);
        assert_eq!(s.expect(ACK, 1, 1, 536).data, pattern(536));
        s.silence().counted(Cause::RtoExpired, 1);
        s.inject(seg(ACK, 1, 537));
        assert_eq!(s.expect(ACK, 537, 1, 464).data, pattern(1000)[536..]);
        s.inject(seg(ACK, 1, 1001));
        s.expect(ACK, 1001, 1, 536);
        s.expect(ACK, 1537, 1, 464);
        // The error comes again for what was sent in the old size long ago: nothing new.
        verdict(&mut s, too_big(576, 2001), Cause::MtuIgnored);
        s.inject(seg(ACK, 1, 3001)).silence();
        s.state("ESTABLISHED");
    }
}

/// The timer expires before the head is cut again: what it sends is no longer than the path takes, either.
#[test]
fn a_timeout_at_the_same_time_sends_nothing_too_long() {
    for sack in [false, true] {
        let mut syn = seg(SYN, 0, 0).mss(1000);
        syn.sack_permitted = sack;
        let mut s = Script::established_with(config(), syn);
        s.write(&pattern(3000));
        while s.next().is_some() {}
        if sack {
            let pto = s.word(PTO);
            s.ticks(pto);
            s.expect(ACK, 2001, 1, 1000);
        }
        let rto = s.word(RTO);
        s.ticks(rto - 1).silence();
        s.arrive_error(too_big(576, 1));
        s.toe.step().expect("no fault");
        s.counted(Cause::MtuLowered, 1);
        s.toe.tick();
        s.settle().counted(Cause::RtoExpired, 1);
        let mut at = 1;
        for _ in 0..20 {
            while let Some(next) = s.next() {
                assert!(next.data.len() <= 536, "{sack}: {}", next.data.len());
                at = at.max(next.seq + next.data.len() as u32);
            }
            s.inject(seg(ACK, 1, at));
        }
        assert_eq!(at, 3001, "{sack}");
    }
}

/// Two hops, each narrower than the one before.
#[test]
fn a_second_narrower_hop_is_learnt_too() {
    let mut s = three();
    s.error(too_big(900, 1));
    s.expect(ACK, 1, 1, 536);
    s.expect(ACK, 537, 1, 464);
    assert_eq!(s.word(MSS), 860);
    let again = Error {
        length: 620,
        ..too_big(600, 1)
    };
    s.error(again).counted(Cause::MtuLowered, 2);
    assert_eq!(s.word(MSS), 560);
    s.expect(ACK, 1, 1, 536);
    s.expect(ACK, 537, 1, 464);
    // The other way never.
    verdict(&mut s, too_big(900, 1), Cause::MtuIgnored);
}

/// A ring of as many segments as writers make (`tcp/tx_ring`: 13, and an open tail), with a FIN waiting or without: the head can still be cut.
#[test]
fn the_head_of_a_full_ring_can_be_cut() {
    for (close, text) in [(false, 13_500), (true, 12_500), (true, 13_500)] {
        let config = ToeConfig {
            tx_ring_bytes: 32768,
            // So that cwnd grows though it does not limit.
            cubic: false,
            ..config()
        };
        let syn = seg(SYN, 0, 0).mss(1000).wnd(60_000);
        let mut s = Script::established_with(config, syn);
        // cwnd grows beyond what is written: all leaves before the error comes.
        s.write(&[1; 10_000]);
        while s.next().is_some() {}
        for n in 1..=10 {
            s.inject(seg(ACK, 1, 1 + 1000 * n).wnd(60_000)).silence();
        }
        s.write(&pattern(text));
        if close {
            s.close();
        }
        let mut all = 0;
        while let Some(next) = s.next() {
            all += next.data.len();
        }
        assert!(all >= 12_000, "{all}");
        s.error(too_big(576, 10_001));
        let (mut at, mut rounds) = (10_001, 0);
        while at < 10_001 + text as u32 {
            rounds += 1;
            assert!(rounds < 100, "{close}, {text}: stuck at {at}");
            while let Some(next) = s.next() {
                assert!(next.data.len() <= 536);
                at = at.max(next.seq + next.data.len() as u32);
            }
            s.inject(seg(ACK, 1, at).wnd(60_000));
        }
        s.counted(Cause::RtoExpired, 0)
            .counted(Cause::MtuLowered, 1);
    }
}

/// The peer's window is shut meanwhile: nothing goes beyond it, and what it takes later is short.
#[test]
fn a_shut_window_holds_the_pieces_back() {
    let mut s = three();
    s.inject(seg(ACK, 1, 1001).wnd(0)).silence();
    s.error(too_big(576, 1001)).silence();
    s.counted(Cause::MtuLowered, 1);
    s.inject(seg(ACK, 1, 1001).wnd(8192));
    s.expect(ACK, 1001, 1, 536);
    s.expect(ACK, 1537, 1, 464);
    s.silence();
    s.inject(seg(ACK, 1, 2001));
    s.expect(ACK, 2001, 1, 536);
}

/// While the timer backs off the error is what explains the loss: the tries begin anew, and nothing waits for the timer.
#[test]
fn after_timeouts_the_error_lets_all_go_on() {
    let mut s = three();
    for _ in 0..3 {
        let rto = s.word(RTO);
        s.ticks(rto);
        s.expect(ACK, 1, 1, 1000);
    }
    s.error(too_big(1000, 1));
    s.expect(ACK, 1, 1, 536);
    s.expect(ACK, 537, 1, 464);
    assert_eq!(s.word(TRIES), 0);
}

/// The event of an error takes no longer than any other.
#[test]
fn an_error_keeps_the_bound() {
    for (error, wanted) in [
        (too_big(576, 1), Cause::MtuLowered),
        (about(3, 1, 1), Cause::IcmpSoft),
        (about(3, 1, 0), Cause::IcmpOutside),
    ] {
        let mut s = three();
        s.arrive_error(error);
        s.toe.step().expect("no fault");
        let cycles = s.toe.cost.cycles;
        println!("{}: {cycles} cycles of 170", wanted.name());
        assert!(cycles <= 170, "{cycles}");
        s.counted(wanted, 1);
    }
    let mut s = Script::connecting();
    s.arrive_error(about(3, 3, 0));
    s.toe.step().expect("no fault");
    println!("IcmpRefused: {} cycles of 170", s.toe.cost.cycles);
    assert!(s.toe.cost.cycles <= 170);
    // Cutting again takes a cycle a byte besides.
    let mut s = three();
    s.arrive_error(too_big(576, 1));
    s.toe.step().expect("no fault");
    s.toe.step().expect("no fault");
    println!(
        "cut again and sent: {} cycles of 170 and 536",
        s.toe.cost.cycles
    );
    assert!(s.toe.cost.cycles <= 170 + 536);
    s.expect(ACK, 1, 1, 536);
}
