//! The calls (RFC 9293 sections 3.9.1 and 3.10.1 to 3.10.6), through the ports that an application has. What one state alone knows stands in that state's file.
use super::super::script::*;
use super::super::words::*;
use super::*;
use crate::config::{Owner, ToeConfig};
use crate::counters::Cause;

const STATES: [(&str, Fixture); 8] = [
    ("SYN-RECEIVED", super::syn_received),
    ("ESTABLISHED", super::established),
    ("FIN-WAIT-1", super::fin_wait_1),
    ("FIN-WAIT-2", super::fin_wait_2),
    ("CLOSE-WAIT", super::close_wait),
    ("CLOSING", super::closing),
    ("LAST-ACK", super::last_ack),
    ("TIME-WAIT", super::time_wait),
];

// ---- OPEN ----------------------------------------------------------------------------------------

#[test]
fn an_active_open_sends_a_syn_with_the_initial_number() {
    for (us, peer) in NUMBERS {
        let mut s = Script::numbered(config(), us, peer);
        s.connect().expect(SYN, 0, 0, 0);
        s.silence().state("SYN-SENT");
        assert_eq!((s.ours(SND_UNA), s.ours(SND_NXT)), (0, 1));
    }
}

#[test]
fn an_open_of_a_connection_that_exists_is_refused_in_every_state() {
    for (name, fixture) in STATES {
        let mut at = fixture((US, PEER));
        at.s.connect();
        at.s.counted(Cause::ConnectRefused, 1);
        at.still();
        assert_eq!(at.name, name);
    }
    let mut s = Script::connecting();
    s.connect().silence().state("SYN-SENT");
    s.counted(Cause::ConnectRefused, 1).slots(1);
}

#[test]
fn an_open_without_room_is_refused() {
    let mut s = Script::new();
    for port in 0..5 {
        s.toe.connect(1000 + port, (PEER_IP, 80), Owner::Host);
        s.settle();
    }
    for _ in 0..4 {
        assert_eq!(s.next().expect("a SYN").flags, SYN);
    }
    s.silence().counted(Cause::ConnectRefused, 1).slots(4);
}

#[test]
fn the_same_local_port_serves_two_peers() {
    let mut s = Script::connecting();
    s.toe
        .connect(HOST_PORT, (PEER_IP, PEER_PORT + 1), Owner::Host);
    s.settle();
    let syn = s.next().expect("a SYN");
    assert_eq!((syn.flags, syn.ports), (SYN, (HOST_PORT, PEER_PORT + 1)));
    s.slots(2);
}

#[test]
fn the_source_address_of_an_open_is_the_engine_s_own() {
    // Seg::parse checks the pseudo-header, so the address is in the checksum, too (MUST-44, MUST-45).
    let mut s = Script::with(ToeConfig {
        ip: [192, 168, 69, 77],
        ..config()
    });
    s.connect();
    let packet = s.toe.packet_out().expect("a SYN");
    assert_eq!(packet.bytes[12..16], [192, 168, 69, 77]);
}

#[test]
pub(super) fn an_open_to_a_multicast_or_broadcast_address_is_refused() {
    for ip in [
        [224, 0, 0, 1],
        [239, 1, 1, 1],
        [255; 4],
        [192, 168, 69, 255],
        [127, 0, 0, 1],
        [0; 4],
        [192, 168, 69, 2],
    ] {
        let mut s = Script::new();
        s.toe.connect(HOST_PORT, (ip, PEER_PORT), Owner::Host);
        s.settle().silence();
        s.counted(Cause::ConnectRefused, 1).slots(0);
        assert_eq!(s.toe.blocks.arp_requests, Vec::<u32>::new());
        assert_eq!(s.toe.machine.shared[6] & 1, 0, "no slot was short");
    }
}

#[test]
fn initial_numbers_move_on_with_the_clock() {
    let mut s = Script::new();
    let mut first = Vec::new();
    for _ in 0..3 {
        s.inject(seg(SYN, 0, 0));
        first.push(s.next().expect("a SYN-ACK").seq);
        s.inject(seg(RST, 1, 0)).slots(0);
        s.ticks(100);
    }
    // 250 a millisecond, for one tuple: a step in 4 microseconds (section 3.4.1).
    assert!(first.windows(2).all(|w| w[1].wrapping_sub(w[0]) == 25_000));
}

// ---- SEND ----------------------------------------------------------------------------------------

#[test]
fn what_is_written_is_cut_into_segments_and_carries_an_acknowledgement() {
    each(super::established, |mut at| {
        at.s.inject(seg(ACK, 1, 1).data(b"question"));
        at.s.write(b"answer");
        let sent = std::iter::from_fn(|| at.s.next()).last().expect("text");
        assert_eq!((sent.ack, &sent.data[..]), (9, &b"answer"[..]));
    });
}

#[test]
fn a_write_without_room_takes_what_fits() {
    let mut at = super::established((US, PEER));
    at.s.inject(seg(ACK, 1, 1).wnd(0)).silence();
    let mut taken = 0;
    for _ in 0..10 {
        taken += at.s.toe.host_write(0, &[1; 4000]);
        at.s.settle().silence();
    }
    assert!((6000..=8192).contains(&taken), "{taken}");
    assert_eq!(at.s.toe.host_write(0, &[1; 4000]), 0);
}

#[test]
fn room_comes_back_with_the_acknowledgement() {
    let mut at = super::established((US, PEER));
    at.s.write(&[1; 1000]);
    at.s.expect(ACK, 1, 1, 1000);
    let before = at.s.toe.blocks.tx.writable(0);
    at.s.inject(seg(ACK, 1, 1001)).silence();
    assert!(at.s.toe.blocks.tx.writable(0) >= before);
    for n in 0..20 {
        at.s.write(&[1; 1000]);
        at.s.expect(ACK, 1001 + n * 1000, 1, 1000);
        at.s.inject(seg(ACK, 1, 2001 + n * 1000)).silence();
    }
}

#[test]
fn bytes_leave_in_the_order_in_which_they_were_written() {
    each(super::established, |mut at| {
        let text: Vec<u8> = (0..3000u32).map(|n| ((n * 7) >> 2) as u8).collect();
        let mut sent = Vec::new();
        for piece in text.chunks(700) {
            at.s.write(piece);
            while let Some(s) = at.s.next() {
                sent.extend(s.data);
                at.s.inject(seg(ACK, 1, 1 + sent.len() as u32));
            }
        }
        assert_eq!(sent, text);
    });
}

// ---- RECEIVE -------------------------------------------------------------------------------------

#[test]
fn what_is_read_is_what_came_and_no_more() {
    each(super::established, |mut at| {
        assert_eq!(at.s.read(), b"");
        at.s.inject(seg(ACK, 1, 1).data(b"abcdef")).acked(7);
        assert_eq!(at.s.toe.host_read(0, 2), b"ab");
        at.s.settle();
        assert_eq!(at.s.toe.host_read(0, 100), b"cdef");
        at.s.settle().silence();
        assert_eq!(at.s.read(), b"");
    });
}

#[test]
fn reading_opens_the_window_by_what_was_read() {
    let mut at = super::established((US, PEER));
    at.s.inject(seg(ACK, 1, 1).data(&[1; 1460]));
    assert_eq!(at.s.acked(1461).wnd, 8192 - 1460);
    assert_eq!(at.s.read().len(), 1460);
    at.s.silence_but_acks();
    at.s.inject(seg(ACK, 1461, 1).data(&[1; 1000]));
    assert_eq!(at.s.acked(2461).wnd, 8192 - 1000);
}

#[test]
fn the_application_is_offered_the_end_once_all_is_read() {
    let mut at = super::established((US, PEER));
    at.s.inject(seg(ACK | FIN, 1, 1).data(b"abc")).acked(5);
    assert!(at.s.toe.blocks.attached[0].peer_fin);
    assert_eq!(at.s.read(), b"abc");
    assert_eq!(at.s.state("CLOSE-WAIT").read(), b"");
}

// ---- CLOSE ---------------------------------------------------------------------------------------

#[test]
fn a_close_sends_all_that_was_written_before() {
    let mut s = Script::established_with(config(), seg(SYN, 0, 0).mss(1000).wnd(1500));
    s.write(&[8; 4000]).close();
    let (mut sent, mut fin) = (0, None);
    for _ in 0..10 {
        while let Some(out) = s.next() {
            assert_eq!(out.seq, 1 + sent, "in order");
            sent += out.data.len() as u32;
            if out.flags & FIN != 0 {
                fin = Some(out.seq + out.data.len() as u32);
            }
        }
        s.inject(seg(ACK, 1, 1 + sent).wnd(1500));
    }
    assert_eq!((sent, fin), (4000, Some(4001)));
}

#[test]
fn a_close_before_the_peer_s_leaves_the_other_direction_open() {
    each(super::fin_wait_2, |mut at| {
        for n in 0..5 {
            at.s.inject(seg(ACK, 1 + n * 10, 2).data(&[n as u8; 10]));
            at.s.acked(11 + n * 10);
        }
        assert_eq!(at.s.read().len(), 50);
        at.still();
    });
}

// ---- ABORT ---------------------------------------------------------------------------------------

#[test]
fn an_abort_loses_what_was_not_read() {
    let mut at = super::established((US, PEER));
    at.s.inject(seg(ACK, 1, 1).data(b"unread")).acked(7);
    at.s.abort();
    at.s.next().expect("a reset");
    at.gone();
}

#[test]
fn after_an_abort_the_same_tuple_may_open_at_once() {
    each(super::established, |mut at| {
        at.s.abort();
        at.s.next().expect("a reset");
        at.gone();
        at.s.inject(seg(SYN, 900, 0));
        let answer = at.s.next().expect("a SYN-ACK");
        assert_eq!((answer.flags, answer.ack), (SYN | ACK, 901));
    });
}

#[test]
fn the_peer_s_segments_after_an_abort_are_reset() {
    each(super::established, |mut at| {
        at.s.abort();
        at.s.next().expect("a reset");
        at.s.inject(seg(ACK, 1, 1).data(b"still here"));
        at.s.expect(RST, 1, 0, 0);
        at.s.silence();
    });
}

// ---- STATUS --------------------------------------------------------------------------------------

#[test]
fn each_state_has_its_number_and_the_number_its_name() {
    for (name, fixture) in STATES {
        let mut at = fixture((US, PEER));
        // TIME-WAIT is kept beside the connections.
        let entry = if name == "TIME-WAIT" { 4 } else { 0 };
        let number = at.s.toe.machine.state[entry][STATE.address().expect("a state word") as usize];
        assert_eq!(super::super::state::name(number), name);
        at.still();
    }
}
