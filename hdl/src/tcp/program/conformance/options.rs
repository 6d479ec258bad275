//! Options and the other fields of the header (RFC 9293 sections 3.1, 3.2, 3.7.1).
use super::super::script::*;
use super::*;
use crate::config::ToeConfig;
use crate::counters::Cause;

/// How much of 3000 bytes the first segment takes, after a SYN with this in its header.
fn first_segment(syn: Seg, config: ToeConfig) -> usize {
    let mut s = Script::established_with(config, syn);
    s.model_only("the switch keeps some descriptors back, and offers less room");
    // As much as there is room for.
    s.toe.host_write(0, &[1; 3000]);
    s.settle().next().expect("text").data.len()
}

#[test]
fn without_an_mss_option_segments_have_536_bytes() {
    // MUST-15
    assert_eq!(first_segment(seg(SYN, 0, 0), config()), 536);
}

#[test]
fn no_segment_is_longer_than_the_peer_s_mss() {
    // MUST-14, MUST-16
    for mss in [64, 535, 537, 1459, 1460] {
        assert_eq!(first_segment(seg(SYN, 0, 0).mss(mss), config()), mss.into());
    }
}

#[test]
fn no_segment_is_longer_than_our_mtu_allows() {
    // MUST-16: Eff.snd.MSS = min(SendMSS + 20, MMS_S) - TCPhdrsize - IPoptionsize
    for (mtu, most) in [(576, 536), (1000, 960), (1500, 1460)] {
        let config = ToeConfig { mtu, ..config() };
        for mss in [1461, 9000, 0xFFFF] {
            assert_eq!(first_segment(seg(SYN, 0, 0).mss(mss), config.clone()), most);
        }
    }
}

#[test]
fn our_mss_is_what_our_mtu_takes() {
    // MUST-67, SHLD-5, MAY-3
    for (mtu, mss) in [(576, 536), (1000, 960), (1500, 1460)] {
        let mut s = Script::with(ToeConfig { mtu, ..config() });
        s.inject(seg(SYN, 0, 0));
        assert_eq!(s.next().expect("a SYN-ACK").mss, Some(mss));
        s.toe
            .connect(4000, (PEER_IP, 80), crate::config::Owner::Host);
        s.settle();
        assert_eq!(s.next().expect("a SYN").mss, Some(mss));
    }
}

#[test]
fn only_a_syn_has_an_mss_option() {
    // MUST-65
    let mut at = super::established((US, PEER));
    at.s.write(b"text").inject(seg(ACK, 1, 1).data(b"text"));
    at.s.inject(seg(SYN, 1, 0)).close();
    at.s.inject(seg(ACK, 5, 5)).ticks(5000);
    at.s.abort();
    let out: Vec<_> = std::iter::from_fn(|| at.s.next()).collect();
    assert!(out.len() > 4 && out.iter().all(|s| s.mss.is_none()));
}

#[test]
fn an_mss_option_in_a_later_segment_is_ignored() {
    let mut at = super::established((US, PEER));
    at.s.inject(at.from(ACK, 0).mss(10)).silence();
    at.s.write(&[1; 1000]);
    at.s.expect(ACK, 1, 1, 1000);
}

#[test]
fn options_come_in_any_segment() {
    // MUST-5
    let mut at = super::established((US, PEER));
    at.s.inject(at.from(ACK, 0).raw(&[1, 1, 1, 1]).data(b"abc"))
        .acked(4);
    at.s.inject(seg(ACK | FIN, 4, 1).raw(&[0, 0, 0, 0]))
        .acked(5);
    assert_eq!(at.s.state("CLOSE-WAIT").read(), b"abc");
}

#[test]
fn unknown_options_are_ignored() {
    // MUST-6, with a length as MUST-68 has it
    for option in [
        &[99, 2][..],
        &[254, 4, 1, 2],
        &[30, 8, 0, 0, 0, 0, 0, 0],
        &[253, 3, 0],
    ] {
        let mut s = Script::new();
        s.inject(seg(SYN, 0, 0).raw(option).mss(700));
        assert_eq!(s.next().expect("a SYN-ACK").flags, SYN | ACK);
        s.inject(seg(ACK, 1, 1).raw(option).data(b"abc")).acked(4);
        assert_eq!(s.read(), b"abc");
        s.write(&[1; 1000]);
        s.expect(ACK, 1, 4, 700);
    }
}

#[test]
fn the_mandatory_options_are_understood_at_any_place() {
    // MUST-4, MUST-64: end of list, no-operation, maximum segment size; on no word's border
    for raw in [
        &[2, 4, 2, 188, 0, 9, 9, 9][..],
        &[1, 2, 4, 2, 188, 0, 0, 0],
        &[1, 1, 2, 4, 2, 188, 1, 1],
        &[1, 1, 1, 2, 4, 2, 188, 0],
        &[3, 3, 0, 2, 4, 2, 188, 1],
    ] {
        let syn = seg(SYN, 0, 0).raw(raw);
        assert_eq!(first_segment(syn, config()), 700, "{raw:?}");
    }
}

#[test]
fn what_stands_behind_the_end_of_the_list_is_not_read() {
    let syn = seg(SYN, 0, 0).raw(&[2, 4, 2, 188, 0, 0, 0, 0, 2, 4, 0, 100]);
    assert_eq!(first_segment(syn, config()), 700);
}

#[test]
fn an_illegal_option_length_costs_its_segment_and_is_counted() {
    // MUST-7
    for raw in [
        &[2, 0, 0, 0][..],
        &[2, 1, 0, 0],
        &[99, 0, 0, 0],
        &[99, 5, 0, 0],
        &[1, 1, 1, 2],
    ] {
        let mut s = Script::new();
        s.inject(seg(SYN, 0, 0).raw(raw)).silence();
        s.counted(Cause::TcpBadOption, 1).slots(0);
        let mut at = super::established((US, PEER));
        at.s.inject(at.from(ACK, 0).raw(raw).data(b"x"));
        at.still().s.counted(Cause::TcpBadOption, 1);
        assert_eq!(at.s.read(), b"");
    }
}

#[test]
fn a_segment_that_an_option_filled_is_not_longer_than_the_header_s_limit() {
    let syn = seg(SYN, 0, 0).mss(700).raw(&[1; 36]);
    assert_eq!(first_segment(syn, config()), 700);
}

#[test]
fn options_not_offered_are_not_used() {
    // RFC 7323 sections 2.2, 3.2 and RFC 2018 section 2: only after they came in the SYN
    let mut s = Script::new();
    s.inject(seg(SYN, 0, 0).mss(1000));
    let answer = s.next().expect("a SYN-ACK");
    assert_eq!((answer.scale, answer.stamps), (None, None));
    assert!(!answer.sack_permitted);
    s.inject(seg(ACK, 1, 1)).silence();
    s.inject(seg(ACK, 11, 1).data(b"x"));
    let ack = s.expect(ACK, 1, 1, 0);
    assert_eq!((ack.stamps, ack.sack), (None, vec![]));
    assert!(!ack.sack_permitted);
}

#[test]
fn timestamps_not_negotiated_are_ignored() {
    // RFC 7323 section 3.2
    let mut at = super::established((US, PEER));
    for (n, value) in [5, 4, 0, FAR].into_iter().enumerate() {
        at.s.inject(seg(ACK, 1 + n as u32, 1).stamps(value, 9).data(b"x"));
        let ack = at.s.acked(2 + n as u32);
        assert_eq!(ack.stamps, None);
    }
    assert_eq!(at.s.read(), b"xxxx");
}

#[test]
fn a_segment_without_timestamps_ends_no_connection() {
    // RFC 7323 section 3.2: it may be dropped, no more
    let mut s = Script::new();
    s.inject(seg(SYN, 0, 0).mss(1000).stamps(1000, 0));
    let answer = s.next().expect("a SYN-ACK");
    let echo = answer.stamps.map_or(0, |(value, _)| value);
    s.inject(seg(ACK, 1, 1).stamps(1001, echo)).silence();
    s.inject(seg(ACK, 1, 1).data(b"x")).silence_but_acks();
    s.state("ESTABLISHED");
    s.inject(seg(ACK, 1, 1).stamps(1002, echo).data(b"x"));
    s.ticks(ACK_DELAY).silence_but_acks();
    assert_eq!(s.state("ESTABLISHED").read(), b"x");
}

#[test]
fn a_window_scale_option_in_a_later_segment_is_ignored() {
    // RFC 7323 section 2.2
    let mut at = super::established((US, PEER));
    at.s.inject(at.from(ACK, 0).scale(7).wnd(1000)).silence();
    at.s.inject(at.from(ACK, 0).wnd(2000)).silence();
    assert_eq!(at.s.word(super::super::words::SND_WND), 2000);
}

#[test]
fn a_window_scale_option_leaves_the_syn_s_window_as_it_is() {
    // RFC 7323 section 2.2
    let mut s = Script::new();
    s.inject(seg(SYN, 0, 0).mss(1000).scale(3).wnd(1500));
    let answer = s.next().expect("a SYN-ACK");
    assert_eq!((answer.flags, answer.wnd), (SYN | ACK, 8192));
    assert_eq!(s.word(super::super::words::SND_WND), 1500);
}

#[test]
fn a_syn_with_every_option_opens() {
    let mut s = Script::new();
    let syn = seg(SYN, 0, 0).mss(700).scale(7).sack_permitted();
    // Without ACK there is nothing to echo: TSecr is not read.
    s.inject(syn.stamps(1000, 77));
    let answer = s.next().expect("a SYN-ACK");
    assert_eq!((answer.flags, answer.ack), (SYN | ACK, 1));
    // RFC 7323 section 3.2: TSecr of a SYN-ACK that has it is the SYN's TSval.
    assert!(answer.stamps.is_none_or(|(_, echo)| echo == 1000));
    let echo = answer.stamps.map_or(0, |(value, _)| value);
    s.inject(seg(ACK, 1, 1).stamps(1001, echo)).silence();
    s.inject(seg(ACK, 1, 1).stamps(1002, echo).data(b"abc"));
    s.acked(4);
    assert_eq!(s.state("ESTABLISHED").read(), b"abc");
    s.write(&[1; 1000]);
    let text = s.next().expect("text");
    let options = if text.stamps.is_some() { 12 } else { 0 };
    assert_eq!(text.data.len(), 700 - options);
}

#[test]
fn reserved_bits_of_the_header_are_ignored() {
    // Section 3.1: must be ignored in received segments. The lowest of the four belongs to RFC 3540, now historic.
    let mut at = super::established((US, PEER));
    let segment = at.from(ACK, 0).data(b"abc");
    // The checksum of one bit more in the upper half of a word is so much less.
    at.s.inject_as(&segment, |p| {
        p[32] |= 0x0F;
        p[36] = p[36].wrapping_sub(0x0F);
    });
    at.s.acked(4);
    assert_eq!(at.s.read(), b"abc");
}

#[test]
fn reserved_bits_of_what_is_sent_are_zero() {
    let mut s = Script::new();
    s.inject(seg(SYN, 0, 0));
    let packet = s.toe.packet_out().expect("a SYN-ACK");
    assert_eq!(packet.bytes[32] & 0x0F, 0);
}

#[test]
fn a_wrong_checksum_costs_the_segment() {
    // MUST-3
    for bit in 0..8 {
        let mut at = super::established((US, PEER));
        let segment = at.from(ACK, 0).data(b"abc");
        at.s.inject_as(&segment, |p| p[36] ^= 1 << bit);
        at.still().s.counted(Cause::TcpBadChecksum, 1);
        assert_eq!(at.s.read(), b"");
    }
}

#[test]
fn an_urgent_pointer_without_the_flag_means_nothing() {
    let mut at = super::established((US, PEER));
    let mut segment = at.from(ACK, 0).data(b"abc");
    segment.urgent = 2;
    at.s.inject(segment).acked(4);
    assert_eq!(at.s.read(), b"abc");
}

/// MUST-51, MUST-53, SHLD-24, what is done instead: a route that somebody else chose is none to take (RFC 7126 section 4.3 has such packets dropped by default, for what can be done with them).
#[test]
fn a_source_route_is_passed_over_and_no_way_back() {
    // Loose and strict, one hop of two taken, and one option more for the words to be whole.
    for kind in [131, 137] {
        let route = [kind, 11, 8, 10, 0, 0, 1, 10, 0, 0, 2, 1];
        let mut s = Script::new();
        s.inject_with(&seg(SYN, 0, 0), &route);
        // The answer has no IP option, and goes to whom the header names.
        s.expect(SYN | ACK, 0, 1, 0);
        s.inject_with(&seg(ACK, 1, 1), &route).silence();
        s.state("ESTABLISHED");
        s.inject_with(&seg(ACK, 1, 1).data(b"x"), &route);
        s.expect(ACK, 1, 2, 0);
        assert_eq!(s.read(), b"x");
        s.write(b"y");
        assert_eq!(s.expect(ACK, 1, 2, 1).data, b"y");
        s.slots(1);
    }
}
