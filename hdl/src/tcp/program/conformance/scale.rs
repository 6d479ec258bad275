//! The window scale (RFC 7323 section 2): who sends it, what it does to windows, and what comes before the shift is known.
use super::super::script::*;
use super::super::words::*;
use crate::config::{Owner, ToeConfig};
use crate::counters::Cause;

/// The options of the next segment out, which is a SYN.
fn options_out(s: &mut Script) -> Vec<u8> {
    let packet = s.toe.packet_out().expect("a segment").bytes;
    assert_eq!(packet[33] & SYN, SYN, "a SYN");
    packet[40..20 + usize::from(packet[32] >> 4) * 4].to_vec()
}

/// The option of ours in a SYN: a shift of 0, behind a no-operation.
const OURS: [u8; 4] = [1, 3, 3, 0];
const SACK: [u8; 4] = [1, 1, 4, 2];

/// With and without what it stands beside.
fn configs() -> impl Iterator<Item = ToeConfig> {
    (0..8).filter_map(|mix| {
        let c = ToeConfig {
            sack: mix & 1 != 0,
            timestamps: mix & 2 != 0,
            window_scale: mix & 4 != 0,
            ..config()
        };
        c.check().is_ok().then_some(c)
    })
}

/// A connection that the peer has opened, with this shift.
fn scaled_by(shift: u8) -> Script {
    Script::established_with(config(), seg(SYN, 0, 0).mss(1000).scale(shift))
}

#[test]
fn a_syn_ack_has_it_if_the_syn_had_and_so_has_each_that_follows() {
    // Section 2.2; the order of options is Linux's, whatever else there is
    for config in configs() {
        for mix in 0..8 {
            let mut syn = seg(SYN, 0, 0).mss(1000);
            let on = |bit: u32| mix >> bit & 1 != 0;
            if on(0) {
                syn = syn.scale(7);
            }
            if on(1) {
                syn = syn.sack_permitted();
            }
            if on(2) {
                syn = syn.stamps(0x1122_3344, 0);
            }
            let (scale, sack) = (on(0) && config.window_scale, on(1) && config.sack);
            let stamps = on(2) && config.timestamps;
            let mut s = Script::with(config.clone());
            s.inject(syn);
            // The first, and one after the timer: of the send side, too, that knows by then.
            for again in [false, true] {
                if again {
                    s.ticks(1001);
                }
                let got = options_out(&mut s);
                let mut want = vec![2, 4, 5, 0xB4];
                match (stamps, sack) {
                    (true, true) => want.extend([4, 2, 8, 10]),
                    (true, false) => want.extend([1, 1, 8, 10]),
                    (false, true) => want.extend(SACK),
                    (false, false) => {}
                }
                if stamps {
                    // Our clock, whatever it is.
                    want.extend(&got[8..12]);
                    want.extend([0x11, 0x22, 0x33, 0x44]);
                }
                if scale {
                    want.extend(OURS);
                }
                assert_eq!(got, want, "{mix}, again {again}, {config:?}");
            }
            s.inject(seg(ACK, 1, 1).stamps(0x1122_3345, 0));
            s.state("ESTABLISHED");
        }
    }
}

#[test]
fn our_syn_has_it_always() {
    for config in configs() {
        let mut s = Script::with(config.clone());
        s.connect();
        for again in [false, true] {
            if again {
                s.ticks(1001);
            }
            let got = options_out(&mut s);
            let mut want = vec![2, 4, 5, 0xB4];
            match (config.timestamps, config.sack) {
                (true, _) => want.extend([4, 2, 8, 10]),
                (false, true) => want.extend(SACK),
                (false, false) => {}
            }
            if config.timestamps {
                want.extend(&got[8..12]);
                want.extend([0; 4]);
            }
            if config.window_scale {
                want.extend(OURS);
            }
            assert_eq!(got, want, "again {again}, {config:?}");
        }
    }
}

#[test]
fn windows_are_shifted_but_those_of_syns() {
    // Sections 2.2 and 2.3
    for stamped in [false, true] {
        let with = |segment: Seg| match stamped {
            true => segment.sack_permitted().stamps(10, 0),
            false => segment,
        };
        let plain = |segment: Seg| match stamped {
            true => segment.stamps(10, 0),
            false => segment,
        };
        let mut s = Script::new();
        let mss = if stamped { 1012 } else { 1000 };
        s.inject(with(seg(SYN, 0, 0).mss(mss).scale(3).wnd(200)));
        s.expect(SYN | ACK, 0, 1, 0);
        assert_eq!(s.word(SND_WND), 200);
        // The ACK of our SYN, pure ACKs, text, a FIN: 3, 5, 6 and 250 times 8.
        s.inject(plain(seg(ACK, 1, 1).wnd(3))).silence();
        assert_eq!(s.state("ESTABLISHED").word(SND_WND), 24);
        s.inject(plain(seg(ACK, 1, 1).wnd(5))).silence();
        assert_eq!(s.word(SND_WND), 40);
        s.inject(plain(seg(ACK, 1, 1).wnd(6).data(b"x")));
        s.expect(ACK, 1, 2, 0);
        assert_eq!(s.word(SND_WND), 48);
        s.inject(plain(seg(ACK | FIN, 2, 1).wnd(250)));
        s.expect(ACK, 1, 3, 0);
        assert_eq!(s.state("CLOSE-WAIT").word(SND_WND), 2000);
        s.write(&[7; 4000]);
        s.expect(ACK, 1, 3, 1000);
        let last = s.expect(ACK, 1001, 3, 1000);
        s.silence();
        // Ours are not: a byte is unread.
        assert_eq!(last.wnd, 8191);
    }
}

#[test]
fn an_active_open_scales_if_the_syn_ack_says_so() {
    for (shift, want) in [(None, 100), (Some(0), 100), (Some(4), 1600)] {
        let mut s = Script::connecting();
        let mut answer = seg(SYN | ACK, 0, 1).mss(1000).wnd(300);
        answer.scale = shift;
        s.inject(answer);
        s.expect(ACK, 1, 1, 0);
        assert_eq!(s.state("ESTABLISHED").word(SND_WND), 300);
        s.inject(seg(ACK, 1, 1).wnd(100)).silence();
        assert_eq!(s.word(SND_WND), want, "{shift:?}");
    }
}

#[test]
fn a_simultaneous_open_scales() {
    for (shift, option, want) in [(Some(4), Some(0), 1600), (None, None, 100)] {
        let mut s = Script::connecting();
        let mut syn = seg(SYN, 0, 0).mss(1000).wnd(300);
        syn.scale = shift;
        s.inject(syn.clone());
        // Section 2.2: the SYN-ACK has it if the SYN had.
        assert_eq!(s.expect(SYN | ACK, 0, 1, 0).scale, option);
        s.ticks(1001);
        assert_eq!(s.expect(SYN | ACK, 0, 1, 0).scale, option);
        syn.flags |= ACK;
        syn.ack = 1;
        s.inject(syn);
        s.expect(ACK, 1, 1, 0);
        s.inject(seg(ACK, 1, 1).wnd(100)).silence();
        assert_eq!(s.state("ESTABLISHED").word(SND_WND), want, "{shift:?}");
    }
}

#[test]
fn a_shift_above_14_is_14() {
    // Section 2.3
    for (shift, want) in [
        (13, 8192),
        (14, 16384),
        (15, 16384),
        (30, 16384),
        (255, 16384),
    ] {
        let mut s = scaled_by(shift);
        s.inject(seg(ACK, 1, 1).wnd(1)).silence();
        assert_eq!(s.word(SND_WND), want, "{shift}");
    }
}

#[test]
fn an_option_of_another_length_is_none() {
    for raw in [&[3, 2, 1, 1][..], &[3, 4, 7, 1], &[3, 4, 7, 7]] {
        let mut s = Script::new();
        s.inject(seg(SYN, 0, 0).mss(1000).raw(raw));
        assert_eq!(s.expect(SYN | ACK, 0, 1, 0).scale, None, "{raw:?}");
        s.inject(seg(ACK, 1, 1).wnd(100)).silence();
        assert_eq!(s.word(SND_WND), 100);
    }
}

#[test]
fn without_the_switch_nothing_is_scaled() {
    let config = ToeConfig {
        window_scale: false,
        ..config()
    };
    let mut s = Script::established_with(config, seg(SYN, 0, 0).mss(1000).scale(7));
    s.inject(seg(ACK, 1, 1).wnd(100)).silence();
    assert_eq!(s.word(SND_WND), 100);
}

#[test]
fn a_window_beyond_16_bits_holds_back_nothing_that_the_ring_has() {
    let config = ToeConfig {
        tx_ring_bytes: 32_768,
        ..config()
    };
    // 65,536, 65,664 (one bit left at the top), and all that 30 bits have.
    for (shift, wnd) in [(14, 4), (7, 513), (7, 65_535), (14, 65_535), (1, 32_768)] {
        let syn = seg(SYN, 0, 0).mss(1000).scale(shift);
        let mut s = Script::established_with(config.clone(), syn);
        s.inject(seg(ACK, 1, 1).wnd(wnd)).silence();
        let (mut at, mut acked) = (1, 1);
        // cwnd grows until the ring's descriptors are all that there is.
        for _ in 0..8 {
            while s.toe.host_write(0, &[7; 1000]) == 1000 {
                s.settle();
            }
            s.settle();
            while let Some(text) = s.next() {
                assert_eq!(text.seq, at);
                at += text.data.len() as u32;
            }
            assert!(at - acked <= 32_768);
            if at - acked >= 12_000 {
                break;
            }
            for _ in 0..(at - acked) / 1000 {
                acked += 1000;
                s.inject(seg(ACK, 1, acked).wnd(wnd));
                while let Some(text) = s.next() {
                    assert_eq!(text.seq, at);
                    at += text.data.len() as u32;
                }
            }
        }
        // What a ring of 16 descriptors holds.
        assert!(at - acked >= 12_000, "{} on their way", at - acked);
        s.counted(Cause::Retransmit, 0);
    }
}

#[test]
fn a_shut_window_is_shut_and_opens_by_what_its_scale_says() {
    let mut s = scaled_by(5);
    s.inject(seg(ACK, 1, 1).wnd(0)).silence();
    s.write(&[7; 1000]).silence();
    let rto = s.word(RTO);
    s.ticks(rto + 1);
    s.expect(ACK, 1, 1, 1);
    s.silence();
    // 17 times 32 bytes: what was one descriptor for the probe, and the rest, go as far as that.
    s.inject(seg(ACK, 1, 1).wnd(17));
    let mut at = 1;
    while let Some(text) = s.next() {
        assert_eq!(text.seq, at);
        at += text.data.len() as u32;
    }
    assert!(at == 2 || at == 545, "{at}");
    s.inject(seg(ACK, 1, at).wnd(17));
    while let Some(text) = s.next() {
        at = text.seq.wrapping_add(text.data.len() as u32);
    }
    s.ticks(300);
    while let Some(text) = s.next() {
        at = at.max(text.seq.wrapping_add(text.data.len() as u32));
    }
    assert_eq!(at, 546);
}

#[test]
fn a_window_that_shrinks_is_honoured_as_it_is_scaled() {
    // Section 2.4: what is new stays within the window of the latest ACK
    let mut s = scaled_by(6);
    s.inject(seg(ACK, 1, 1).wnd(100)).silence();
    s.write(&[7; 8000]);
    for n in 0..6 {
        s.expect(ACK, 1 + 1000 * n, 1, 1000);
    }
    s.silence();
    // From 6400 to 4544 bytes: four are on their way beyond the first two, and nothing follows.
    s.inject(seg(ACK, 1, 2001).wnd(71)).silence();
    s.inject(seg(ACK, 1, 3001).wnd(63));
    s.expect(ACK, 6001, 1, 1000);
    s.silence();
}

#[test]
fn large_windows_that_differ_make_no_duplicates() {
    // RFC 5681 section 2 (e): the window of a duplicate is that of the ACK before it
    let mut s = scaled_by(7);
    s.inject(seg(ACK, 1, 1).wnd(1000)).silence();
    s.write(&[7; 2000]);
    s.expect(ACK, 1, 1, 1000);
    s.expect(ACK, 1001, 1, 1000);
    for wnd in [1001, 1002, 1003, 1004, 2004] {
        s.inject(seg(ACK, 1, 1).wnd(wnd)).silence();
    }
    s.counted(Cause::DuplicateAck, 0);
    for _ in 0..3 {
        s.inject(seg(ACK, 1, 1).wnd(2004));
    }
    s.counted(Cause::DuplicateAck, 3);
    s.expect(ACK, 1, 1, 1000);
}

// ---- what comes before the shift is known ---------------------------------------------------------

#[test]
fn text_right_behind_a_syn_ack_is_taken_for_less_than_it_offers_until_the_next() {
    // Looked up before our event of the SYN-ACK: by the shift of nobody, whatever the number's last connection had.
    let mut s = scaled_by(9);
    s.inject(seg(RST, 1, 0)).silence().state("CLOSED");
    s.connect();
    s.expect(SYN, 0, 0, 0);
    s.arrive(seg(SYN | ACK, 0, 1).mss(1000).scale(5));
    s.arrive(seg(ACK, 1, 1).wnd(50).data(b"early"));
    s.settle();
    // The text itself came before the ring was there for it, and must come again.
    s.expect(ACK, 1, 1, 0);
    s.expect(ACK, 1, 1, 0);
    assert_eq!(s.silence().state("ESTABLISHED").word(SND_WND), 50);
    // It does not stay so: what it lets out draws an ACK.
    s.write(&[7; 1000]);
    s.ticks(300);
    s.expect(ACK, 1, 1, 50);
    s.inject(seg(ACK, 1, 51).wnd(50));
    assert_eq!(s.word(SND_WND), 1600);
    s.expect(ACK, 51, 1, 950);
}

#[test]
fn what_comes_before_the_connection_is_known_is_taken_as_it_is() {
    // A SYN and, before its event, the ACK of a SYN-ACK that has not left: a guess. The look-up found nobody.
    let mut s = Script::new();
    s.model_only(
        "on the line they come one behind the other, and the first has had its answer by then",
    );
    s.arrive(seg(SYN, 0, 0).mss(1000).scale(5));
    s.arrive(seg(ACK, 1, 1).wnd(50));
    s.settle();
    s.expect(SYN | ACK, 0, 1, 0);
    assert_eq!(s.silence().state("ESTABLISHED").word(SND_WND), 50);
    s.inject(seg(ACK, 1, 1).wnd(50)).silence();
    assert_eq!(s.word(SND_WND), 1600);
}

#[test]
fn the_next_connection_of_a_number_has_its_own_shift() {
    let mut s = scaled_by(9);
    for (shift, want) in [(None, 50), (Some(2), 200), (None, 50), (Some(14), 0x8000)] {
        s.inject(seg(RST, 1, 0)).silence().state("CLOSED");
        let mut syn = seg(SYN, 0, 0).mss(1000);
        syn.scale = shift;
        s.inject(syn);
        s.expect(SYN | ACK, 0, 1, 0);
        s.inject(seg(ACK, 1, 1).wnd(50)).silence();
        let got = s.state("ESTABLISHED").word(SND_WND);
        assert_eq!(got.min(0x8000), want, "{shift:?}");
    }
}

#[test]
fn a_syn_s_window_stays_as_it_is_whatever_the_last_connection_of_its_tuple_had() {
    // Looked up while that is in TIME-WAIT, without entries of its own.
    let config = ToeConfig {
        time_wait: Some(0),
        ..config()
    };
    let mut s = Script::established_with(config, seg(SYN, 0, 0).mss(1000).scale(9));
    s.close();
    s.expect(ACK | FIN, 1, 1, 0);
    s.inject(seg(ACK | FIN, 1, 2));
    s.expect(ACK, 2, 2, 0);
    s.state("TIME-WAIT");
    s.toe.set_isn(US.wrapping_add(1000));
    s.inject(seg(SYN, 100, 0).mss(1000).wnd(50));
    s.expect(SYN | ACK, 1000, 101, 0);
    assert_eq!(s.state("SYN-RECEIVED").word(SND_WND), 50);
    s.inject(seg(ACK, 101, 1001).wnd(60)).silence();
    assert_eq!(s.word(SND_WND), 60);
}

#[test]
fn connections_have_their_shifts_side_by_side() {
    let mut s = Script::new();
    for (n, shift) in [3, 0, 6, 1].into_iter().enumerate() {
        let port = 1000 + n as u16;
        s.inject(seg(SYN, 0, 0).with_source(port).scale(shift));
        s.expect(SYN | ACK, 0, 1, 0);
    }
    let near = usize::from(SND_WND.address().expect("a word"));
    for (n, want) in [80, 10, 640, 20].into_iter().enumerate() {
        let port = 1000 + n as u16;
        s.inject(seg(ACK, 1, 1).wnd(10).with_source(port)).silence();
        assert_eq!(s.toe.machine.state[n][near], want);
    }
}

#[test]
fn a_connection_out_of_time_wait_has_the_shift_of_its_own_syn() {
    let mut s = scaled_by(9);
    s.close();
    s.expect(ACK | FIN, 1, 1, 0);
    s.inject(seg(ACK | FIN, 1, 2));
    s.expect(ACK, 2, 2, 0);
    s.waiting(1);
    // Our first number must be above all that we have sent; and text may wait behind the SYN, looked up while the tuple was in TIME-WAIT.
    s.model_only("first numbers go by the clock");
    s.toe.set_isn(US.wrapping_add(1000));
    s.arrive(seg(SYN, 100, 0).mss(1000));
    s.arrive(seg(ACK, 101, 1001).wnd(50));
    s.settle();
    s.expect(SYN | ACK, 1000, 101, 0);
    s.silence();
    assert_eq!(s.state("ESTABLISHED").word(SND_WND), 50);
    s.inject(seg(ACK, 101, 1001).wnd(60)).silence();
    assert_eq!(s.word(SND_WND), 60);
}

#[test]
fn a_connection_refused_is_forgotten_with_its_shift() {
    // An active open that meets a RST, and then one whose peer has no scale.
    let mut s = Script::connecting();
    s.inject(seg(RST | ACK, 0, 1)).silence().state("CLOSED");
    let remote = (PEER_IP, PEER_PORT);
    s.toe.connect(HOST_PORT, remote, Owner::Host);
    s.settle();
    s.expect(SYN, 0, 0, 0);
    s.inject(seg(SYN | ACK, 0, 1).mss(1000));
    s.expect(ACK, 1, 1, 0);
    s.inject(seg(ACK, 1, 1).wnd(77)).silence();
    assert_eq!(s.word(SND_WND), 77);
}
