//! When to acknowledge (RFC 9293 sections 3.8.6.3 and 3.10.7.4, RFC 5681 section 4.2). They hold with an ACK for each segment and with delayed ones.
use super::super::script::*;
use super::*;
use crate::config::ToeConfig;

#[test]
fn text_alone_is_acknowledged_within_half_a_second() {
    // MUST-40
    each(super::established, |mut at| {
        at.s.inject(seg(ACK, 1, 1).data(b"x"));
        let ack = (0..500).find_map(|_| at.s.next().or_else(|| at.s.ticks(1).next()));
        assert_eq!(ack.map(|s| (s.flags, s.ack)), Some((ACK, 2)));
    });
}

#[test]
fn every_second_full_sized_segment_is_acknowledged_at_once() {
    // SHLD-19; RFC 5681 section 4.2
    each(super::established, |mut at| {
        let (mut acked, mut arrived) = (1, 1);
        for _ in 0..20 {
            at.s.inject(seg(ACK, arrived, 1).data(&[1; 1460]));
            arrived += 1460;
            at.s.read();
            while let Some(ack) = at.s.next() {
                acked = ack.ack;
            }
            assert!(arrived - acked < 2 * 1460, "{acked} of {arrived}");
        }
    });
}

#[test]
fn a_segment_ahead_of_a_gap_is_answered_at_once() {
    // MAY-13; RFC 5681 section 4.2: a duplicate ACK
    for offset in [1, 1000, 8191] {
        each(super::established, |mut at| {
            at.s.inject(at.from(ACK, offset).data(b"x"));
            at.acknowledged().still();
        });
    }
}

#[test]
fn each_segment_ahead_of_a_gap_is_answered() {
    let mut at = super::established((US, PEER));
    for n in 1..5 {
        at.s.inject(at.from(ACK, n * 1000).data(&[1; 1000]));
        at.acknowledged().still();
    }
}

#[test]
fn a_segment_that_fills_a_gap_is_acknowledged_at_once() {
    // RFC 5681 section 4.2, also if it fills a part only.
    each(super::established, |mut at| {
        at.s.inject(at.from(ACK, 300).data(&[3; 100]));
        at.acknowledged();
        at.s.inject(at.from(ACK, 0).data(&[1; 100]));
        at.s.expect(ACK, 1, 101, 0);
        at.s.inject(at.from(ACK, 100).data(&[2; 200]));
        at.s.expect(ACK, 1, 401, 0);
    });
}

#[test]
fn an_acknowledgement_goes_with_text_if_there_is_some() {
    each(super::established, |mut at| {
        at.s.model_only("what comes at one time comes in an order of its own");
        at.s.arrive(seg(ACK, 1, 1).data(b"ping"));
        at.s.toe.host_write(0, b"pong");
        at.s.settle();
        let out: Vec<_> = std::iter::from_fn(|| at.s.next()).collect();
        assert_eq!(out.iter().map(|s| s.data.len()).sum::<usize>(), 4);
        assert!(out.len() <= 2, "{out:?}");
        assert_eq!(out.last().map(|s| s.ack), Some(5));
    });
}

#[test]
fn an_ack_without_text_is_not_acknowledged() {
    each(super::established, |mut at| {
        for _ in 0..3 {
            at.s.inject(at.from(ACK, 0));
        }
        at.s.ticks(ACK_DELAY + 300);
        at.still();
    });
}

#[test]
fn a_fin_is_acknowledged_within_half_a_second() {
    each(super::established, |mut at| {
        at.s.inject(at.from(ACK | FIN, 0)).acked(2);
    });
}

/// As it is by default: ACKs may wait.
fn delaying(numbers: (u32, u32)) -> Script {
    let config = ToeConfig {
        delayed_ack: true,
        ..config()
    };
    let mut s = Script::numbered(config, numbers.0, numbers.1);
    s.inject(seg(SYN, 0, 0).mss(1460));
    s.expect(SYN | ACK, 0, 1, 0);
    s.inject(seg(ACK, 1, 1)).silence();
    s
}

#[test]
fn an_acknowledgement_waits_for_a_second_segment() {
    for numbers in NUMBERS {
        let mut s = delaying(numbers);
        s.inject(seg(ACK, 1, 1).data(&[1; 1460])).silence();
        s.inject(seg(ACK, 1461, 1).data(&[1; 1460]));
        s.expect(ACK, 1, 2921, 0);
        s.ticks(1000).silence();
    }
}

#[test]
fn two_queued_segments_are_both_processed_before_an_ack_leaves() {
    for numbers in NUMBERS {
        let mut s = delaying(numbers);
        s.arrive(seg(ACK, 1, 1).data(&[1; 10]))
            .arrive(seg(ACK, 11, 1).data(&[1; 10]));
        s.settle();
        s.expect(ACK, 1, 21, 0);
        s.ticks(1000).silence();
    }
}

#[test]
#[ignore = "reason: every second of the queued segments is acknowledged by an event of its own, unless the line is taken (RFC 9293 section 3.10.7.4, MUST-58 and MUST-59)"]
fn queued_segments_are_all_processed_before_an_ack_leaves() {
    let mut s = delaying((US, PEER));
    for n in 0..3 {
        s.arrive(seg(ACK, 1 + n * 10, 1).data(&[1; 10]));
    }
    s.settle();
    let first = (0..ACK_DELAY).find_map(|_| s.next().or_else(|| s.ticks(1).next()));
    assert_eq!(first.map(|s| s.ack), Some(31));
    s.silence();
}

#[test]
fn each_ack_states_the_whole_of_what_came_in_order() {
    each(super::established, |mut at| {
        let mut last = 1;
        for (seq, length) in [(1, 10), (31, 10), (11, 5), (16, 15), (41, 1)] {
            at.s.inject(seg(ACK, seq, 1).data(&vec![1; length]));
            while let Some(ack) = at.s.next() {
                assert!(ack.ack >= last, "back to {} from {last}", ack.ack);
                last = ack.ack;
            }
        }
        if last != 42 {
            at.s.acked(42);
        }
    });
}
