//! CLOSED: a segment for no connection (RFC 9293 sections 3.5.2, group 1, and 3.10.7.1). The host listens at two ports, so all others are closed.
use super::super::script::*;
use super::*;
use crate::config::ToeConfig;

const CLOSED_PORT: u16 = 81;

fn stranger(flags: u8, seq: u32, ack: u32) -> Seg {
    super::super::script::seg(flags, seq, ack).with_target(CLOSED_PORT)
}

fn nobody(numbers: (u32, u32)) -> Script {
    Script::numbered(config(), numbers.0, numbers.1)
}

#[test]
fn a_reset_is_discarded() {
    for flags in [RST, RST | ACK, RST | SYN, RST | FIN | ACK] {
        for text in [&b""[..], b"x"] {
            let mut s = Script::new();
            s.inject(stranger(flags, 5, 7).data(text)).silence();
            s.slots(0);
        }
    }
}

#[test]
fn without_ack_the_reset_is_number_zero_and_acknowledges_all_of_the_segment() {
    for flags in [0, SYN, FIN, SYN | FIN, PSH, URG] {
        for length in [0, 1, 100] {
            for numbers in NUMBERS {
                let segment = stranger(flags, 1, 0).data(&vec![1; length]);
                let mut s = nobody(numbers);
                s.inject(segment.clone());
                let reset = s.next().expect("a reset");
                assert_eq!(
                    (reset.flags, reset.seq.wrapping_add(numbers.0)),
                    (RST | ACK, 0)
                );
                assert_eq!(reset.ack, 1 + segment.length());
                s.silence();
            }
        }
    }
}

#[test]
fn with_ack_the_reset_has_the_number_acknowledged_and_no_ack() {
    for flags in [ACK, ACK | SYN, ACK | FIN, ACK | PSH] {
        for ack in [0, 1, FAR, u32::MAX] {
            for numbers in NUMBERS {
                let mut s = nobody(numbers);
                s.inject(stranger(flags, 9, ack).data(b"text"));
                s.expect(RST, ack, 0, 0);
                s.silence();
            }
        }
    }
}

#[test]
fn the_reset_goes_back_where_the_segment_came_from() {
    let mut s = Script::new();
    let far = [10, 1, 2, 3];
    s.inject(stranger(ACK, 9, 3).with_source(12).with_address(far));
    let reset = s.next().expect("a reset");
    assert_eq!((reset.ip, reset.ports), (far, (CLOSED_PORT, 12)));
}

#[test]
fn a_syn_to_a_closed_port_is_refused_and_leaves_nothing() {
    for numbers in NUMBERS {
        let mut s = nobody(numbers);
        s.inject(stranger(SYN, 0, 0));
        let reset = s.next().expect("a reset");
        assert_eq!((reset.flags, reset.ack), (RST | ACK, 1));
        s.silence().counted(Cause::Refused, 1).slots(0);
    }
}

#[test]
fn a_reset_has_no_text_and_no_options() {
    let mut s = Script::new();
    for segment in [
        stranger(SYN, 0, 0).mss(1000),
        stranger(ACK, 1, 1).data(b"x"),
    ] {
        s.inject(segment);
        let reset = s.next().expect("a reset");
        assert_eq!((reset.data.len(), reset.mss, reset.urgent), (0, None, 0));
    }
}

#[test]
fn a_connection_is_known_by_all_four_of_its_socket_s_parts() {
    let mut s = Script::established();
    for other in [
        seg(ACK, 1, 1).with_source(PEER_PORT + 1),
        seg(ACK, 1, 1).with_target(7),
        seg(ACK, 1, 1).with_address([192, 168, 69, 9]),
    ] {
        s.inject(other.data(b"x"));
        assert_eq!(s.next().expect("a reset").flags, RST);
        assert_eq!(s.silence().state("ESTABLISHED").read(), b"");
    }
}

// ---- a slot that waits for its application to read to the end ------------------------------------

#[test]
fn while_unread_a_reset_is_discarded() {
    for flags in [RST, RST | ACK] {
        each(super::closed_unread, |mut at| {
            at.s.inject(at.from(flags, 0));
            assert_eq!(at.still().s.read(), b"unread");
            at.gone();
        });
    }
}

#[test]
fn while_unread_an_ack_is_reset_and_its_text_discarded() {
    for text in [&b""[..], b"more"] {
        each(super::closed_unread, |mut at| {
            at.s.inject(seg(ACK, 8, 77).data(text));
            at.s.expect(RST, 77, 0, 0);
            assert_eq!(at.still().s.read(), b"unread");
            at.gone();
        });
    }
}

#[test]
fn while_unread_what_has_no_ack_is_reset() {
    each(super::closed_unread, |mut at| {
        at.s.inject(seg(FIN, 8, 0).data(b"more"));
        let reset = at.s.next().expect("a reset");
        assert_eq!((reset.flags, reset.ack), (RST | ACK, 13));
        at.still();
    });
}

#[test]
#[ignore = "reason: a connection that is over keeps its tuple until its application has read to the end, at most 30 s; until then its SYN is dropped without an answer"]
fn while_unread_a_syn_opens_anew() {
    let mut at = super::closed_unread((US, PEER));
    at.s.ticks(10).inject(seg(SYN, 900, 0));
    let answer = at.s.next().expect("a SYN-ACK");
    assert_eq!((answer.flags, answer.ack), (SYN | ACK, 901));
}

#[test]
fn a_stranger_s_segment_takes_no_slot_of_a_full_table() {
    let mut s = Script::with(ToeConfig {
        connections: 1,
        ..config()
    });
    s.connect().expect(SYN, 0, 0, 0);
    for _ in 0..3 {
        s.inject(stranger(ACK, 1, 1));
        s.expect(RST, 1, 0, 0);
    }
    s.silence().state("SYN-SENT").slots(1);
}
