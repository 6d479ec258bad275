//! 802.1Q tags, with [`ToeConfig::vlan`]: every segment of a connection has the tag that its SYN came with, and a stranger's RST that of what it answers.
use super::*;
use crate::config::{Owner, ToeConfig};
use crate::tcp::program::words::*;
use crate::tcp::program::{constant, program};

/// No tag; priority alone, with its complement's sign set and not; DEI; the last VLAN id.
const TAGS: [Option<u16>; 7] = [
    None,
    Some(0),
    Some(0xE000),
    Some(0x1000),
    Some(0x0FFE),
    Some(0xFFFE),
    Some(0x6064),
];

fn vlan() -> ToeConfig {
    ToeConfig {
        vlan: true,
        ..config()
    }
}

/// Whose frames have this tag; what it is sent must have it, too.
fn tagged(tag: Option<u16>) -> Script {
    let mut s = Script::with(vlan());
    s.tag = tag;
    s
}

#[test]
fn a_connection_has_the_tag_of_its_syn_for_life() {
    for tag in TAGS {
        let mut s = tagged(tag);
        s.inject(seg(SYN, 0, 0).mss(1000));
        s.expect(SYN | ACK, 0, 1, 0);
        // Again, by its timer.
        s.ticks(constant::RTO_INITIAL + 1);
        s.expect(SYN | ACK, 0, 1, 0);
        s.inject(seg(ACK, 1, 1)).silence().state("ESTABLISHED");
        s.inject(seg(ACK, 1, 1).data(b"hello"));
        s.expect(ACK, 1, 6, 0);
        s.write(&[7; 1500]);
        s.expect(ACK, 1, 6, 1000);
        s.inject(seg(ACK, 6, 1001));
        s.expect(ACK, 1001, 6, 500);
        let rto = s.word(RTO);
        s.ticks(rto + 1);
        s.expect(ACK, 1001, 6, 500);
        s.inject(seg(ACK, 6, 1501)).silence();
        // A challenge.
        s.inject(seg(SYN, 6, 0));
        s.expect(ACK, 1501, 6, 0);
        s.close();
        s.expect(FIN | ACK, 1501, 6, 0);
        s.inject(seg(ACK | FIN, 6, 1502));
        s.expect(ACK, 1502, 7, 0);
        assert_eq!(s.read(), b"hello");
        // The slot is free, its TIME-WAIT remembers.
        s.silence().waiting(1).slots(0);
        s.inject(seg(ACK | FIN, 6, 1502));
        s.expect(ACK, 1502, 7, 0);
        s.silence();
    }
}

#[test]
fn our_reset_has_it_too() {
    for tag in TAGS {
        let mut s = tagged(tag);
        s.inject(seg(SYN, 0, 0));
        s.expect(SYN | ACK, 0, 1, 0);
        s.inject(seg(ACK, 1, 1)).silence();
        s.abort();
        s.expect(RST | ACK, 1, 1, 0);
    }
}

#[test]
fn strangers_are_reset_with_the_tag_of_what_they_sent() {
    let mut s = tagged(None);
    for tag in TAGS {
        s.tag = tag;
        s.inject(seg(ACK, 500, 77).data(b"hello"));
        s.expect(RST, 77, 0, 0);
        s.inject(seg(SYN, 0, 0).with_target(81));
        let rst = s.next().expect("an answer");
        assert_eq!((rst.flags, rst.ack), (RST | ACK, 1));
    }
}

/// A tag is no part of a connection's name: who comes with another is taken, and answered with the first.
#[test]
fn connections_keep_their_own_tags_beside_each_other() {
    let mut s = tagged(None);
    for (port, tag) in (1000..).zip(&TAGS[..4]) {
        s.tag = *tag;
        s.inject(seg(SYN, 0, 0).with_source(port));
        s.expect(SYN | ACK, 0, 1, 0);
        s.inject(seg(ACK, 1, 1).with_source(port)).silence();
    }
    s.slots(4);
    for (port, tag) in (1000..).zip(&TAGS[..4]) {
        s.tag = Some(0x0123);
        s.arrive(seg(ACK, 1, 1).with_source(port).data(b"x"))
            .settle();
        s.tag = *tag;
        assert_eq!(s.expect(ACK, 1, 2, 0).ports.1, port);
    }
}

/// With the tag that ARP has of its next hop, also where its sign would be taken for ARP's silence; each further SYN is a retransmission.
#[test]
fn an_active_open_has_the_tag_of_its_next_hop() {
    for tag in TAGS {
        let mut s = tagged(tag);
        let ip = u32::from_be_bytes(PEER_IP);
        s.toe.blocks.neighbour_tags.extend(tag.map(|tag| (ip, tag)));
        let known = std::mem::take(&mut s.toe.blocks.neighbours);
        s.toe.connect(HOST_PORT, (PEER_IP, PEER_PORT), Owner::Host);
        s.settle().silence().counted(Cause::ArpWait, 1);
        s.toe.blocks.neighbours = known;
        s.ticks(constant::ARP_RETRY);
        s.expect(SYN, 0, 0, 0);
        assert_eq!((s.word(TRIES), s.word(RTO)), (0, constant::RTO_INITIAL));
        s.counted(Cause::Retransmit, 0);
        s.ticks(constant::RTO_INITIAL + 1);
        s.expect(SYN, 0, 0, 0);
        s.counted(Cause::Retransmit, 1);
        assert_eq!((s.word(TRIES), s.word(RTO)), (1, 2 * constant::RTO_INITIAL));
        s.inject(seg(SYN | ACK, 0, 1).mss(700));
        s.expect(ACK, 1, 1, 0);
        s.silence().state("ESTABLISHED");
        s.write(b"hello");
        s.expect(ACK, 1, 1, 5);
    }
}

#[test]
fn without_it_a_tagged_frame_is_of_another_type() {
    let mut s = Script::new();
    s.tag = Some(5);
    s.inject(seg(SYN, 0, 0)).silence();
    s.counted(Cause::EthOtherType, 1)
        .counted(Cause::TcpIn, 0)
        .slots(0);
}

/// One word at most, and not a cycle of a SYN's event or a reset's.
#[test]
fn it_costs_next_to_nothing() {
    let [without, with] = [config(), vlan()].map(|c| program(&c).words.len());
    assert!(with <= without + 1, "{without}, {with}");
    for segment in [
        seg(SYN, 0, 0).mss(1000),
        seg(SYN, 0, 0).with_target(81),
        seg(ACK, 1, 1),
    ] {
        let [without, with] = [config(), vlan()].map(|c| {
            let mut s = Script::with(c);
            s.arrive(segment.clone());
            s.toe.step().expect("no fault");
            s.toe.cost.cycles
        });
        assert!(with <= without, "{segment:?}: {without}, {with}");
    }
}
