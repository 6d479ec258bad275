//! The limit on the connections of one remote address (`ToeConfig::per_source`).
use super::*;
use crate::config::ToeConfig;

/// Every script's, with cookies.
fn config() -> ToeConfig {
    ToeConfig {
        syn_cookies: true,
        ..super::super::script::config()
    }
}

fn limited(most: usize) -> Script {
    limited_with(most, config())
}

fn limited_with(most: usize, config: ToeConfig) -> Script {
    let config = ToeConfig {
        per_source: Some(most),
        ..config
    };
    // Numbers of ours are absolute in these scripts.
    let mut s = Script::numbered(config, 0, PEER);
    s.toe.set_isn_key(7);
    s
}

const OTHER: [u8; 4] = [192, 168, 69, 77];

/// A SYN from there: what it is answered with.
fn syn(s: &mut Script, ip: [u8; 4], port: u16) -> Option<Seg> {
    s.inject(seg(SYN, 0, 0).with_address(ip).with_source(port));
    let answer = s.next();
    s.silence();
    answer
}

/// SYN and ACK, with our number as it comes.
fn opened(s: &mut Script, ip: [u8; 4], port: u16) -> u32 {
    let answer = syn(s, ip, port).expect("a SYN-ACK");
    let ack = seg(ACK, 1, answer.seq.wrapping_add(1)).with_address(ip);
    s.inject(ack.with_source(port)).silence();
    answer.seq
}

#[test]
fn a_syn_beyond_the_limit_is_dropped_and_counted() {
    let mut s = limited(2);
    opened(&mut s, PEER_IP, 1);
    opened(&mut s, PEER_IP, 2);
    assert_eq!(syn(&mut s, PEER_IP, 3), None);
    s.counted(Cause::SourceLimit, 1).counted(Cause::NoSlot, 0);
    s.slots(2);
    // It comes again.
    assert_eq!(syn(&mut s, PEER_IP, 3), None);
    s.counted(Cause::SourceLimit, 2);
}

#[test]
fn half_open_connections_count() {
    let mut s = limited(2);
    assert!(syn(&mut s, PEER_IP, 1).is_some());
    assert!(syn(&mut s, PEER_IP, 2).is_some());
    assert_eq!(syn(&mut s, PEER_IP, 3), None);
    s.counted(Cause::SourceLimit, 1);
    // A SYN of a half-open one is that one's.
    assert_eq!(syn(&mut s, PEER_IP, 1).map(|a| a.flags), Some(ACK));
}

#[test]
fn another_address_has_its_own() {
    let mut s = limited(1);
    opened(&mut s, PEER_IP, 1);
    opened(&mut s, OTHER, 1);
    assert_eq!(syn(&mut s, PEER_IP, 2), None);
    assert_eq!(syn(&mut s, OTHER, 2), None);
    s.counted(Cause::SourceLimit, 2).slots(2);
}

#[test]
fn all_listeners_of_ours_together() {
    let mut s = limited(1);
    opened(&mut s, PEER_IP, 1);
    s.inject(seg(SYN, 0, 0).with_target(7)).silence();
    s.counted(Cause::SourceLimit, 1);
    s.inject(seg(SYN, 0, 0).with_target(81));
    assert_eq!(s.next().map(|a| a.flags), Some(RST | ACK), "nobody listens");
}

#[test]
fn each_end_makes_room() {
    // A RST, and one half open that is given up.
    let mut s = limited(1);
    opened(&mut s, PEER_IP, 1);
    s.inject(seg(RST, 1, 0).with_source(1)).silence();
    assert!(syn(&mut s, PEER_IP, 2).is_some());
    assert_eq!(syn(&mut s, PEER_IP, 3), None);
    s.ticks(130_000);
    while s.next().is_some() {}
    assert!(syn(&mut s, PEER_IP, 4).is_some());
    s.counted(Cause::GaveUp, 1);
}

#[test]
fn what_is_in_time_wait_does_not_count() {
    for time_wait in [None, Some(0)] {
        let mut s = limited_with(
            1,
            ToeConfig {
                time_wait,
                ..config()
            },
        );
        let n = opened(&mut s, PEER_IP, 1);
        s.close().next().expect("a FIN");
        assert_eq!(syn(&mut s, PEER_IP, 2), None, "FIN-WAIT-1 does");
        let fin = seg(ACK | FIN, 1, n.wrapping_add(2)).with_source(1);
        s.inject(fin).next().expect("an ACK");
        s.silence();
        assert!(syn(&mut s, PEER_IP, 2).is_some());
        assert_eq!(syn(&mut s, PEER_IP, 3), None);
        // Nor does its end take anything back.
        s.inject(seg(RST, 1, 0).with_source(2)).silence();
        s.ticks(70_000).silence();
        assert!(syn(&mut s, PEER_IP, 4).is_some());
        assert_eq!(syn(&mut s, PEER_IP, 5), None);
    }
}

#[test]
fn an_active_open_is_not_limited_but_counts() {
    let mut s = limited(1);
    opened(&mut s, PEER_IP, 1);
    s.connect();
    assert_eq!(s.next().map(|a| a.flags), Some(SYN));
    s.counted(Cause::ConnectRefused, 0);
    s.inject(seg(RST, 1, 0).with_source(1)).silence();
    assert_eq!(syn(&mut s, PEER_IP, 2), None);
}

#[test]
fn where_all_slots_are_taken_it_is_for_want_of_one() {
    let mut s = limited(4);
    for port in 1..=4 {
        opened(&mut s, PEER_IP, port);
    }
    assert_eq!(syn(&mut s, PEER_IP, 5), None);
    s.counted(Cause::NoSlot, 1).counted(Cause::SourceLimit, 0);
}

#[test]
fn cookies_do_not_lead_past_it() {
    let mut c = config();
    c.listeners[1] = c.listeners[1].backlog(1);
    let mut s = limited_with(1, c);
    assert!(syn(&mut s, OTHER, 1).is_some());
    let first = opened(&mut s, PEER_IP, 2);
    s.counted(Cause::CookieOut, 1).counted(Cause::Opened, 1);
    let second = syn(&mut s, PEER_IP, 3).expect("a cookie").seq;
    let ack = seg(ACK, 1, second.wrapping_add(1)).with_source(3);
    s.inject(ack.clone()).silence();
    s.counted(Cause::SourceLimit, 1).counted(Cause::Opened, 1);
    s.slots(1);
    s.inject(seg(RST, 1, first).with_source(2)).silence();
    s.inject(ack).silence();
    s.counted(Cause::Opened, 2).slots(1);
}

#[test]
fn a_syn_in_time_wait_is_limited_too() {
    let mut s = limited(1);
    let n = opened(&mut s, PEER_IP, 1);
    s.close().next().expect("a FIN");
    s.inject(seg(ACK | FIN, 1, n.wrapping_add(2)).with_source(1));
    s.next().expect("an ACK");
    opened(&mut s, PEER_IP, 2);
    s.ticks(1).inject(seg(SYN, 100, 0).with_source(1)).silence();
    s.counted(Cause::SourceLimit, 1);
    assert_eq!(s.toe.blocks.table.waiting(), 1, "it is as it was");
}

#[test]
fn without_cookies_it_holds_as_well() {
    let mut s = limited_with(
        1,
        ToeConfig {
            syn_cookies: false,
            ..config()
        },
    );
    opened(&mut s, PEER_IP, 1);
    assert_eq!(syn(&mut s, PEER_IP, 2), None);
    // One that makes way takes its count with it.
    for port in 1..=4 {
        let ip = [10, 0, 0, port as u8];
        assert!(syn(&mut s, ip, port).is_some());
    }
    s.counted(Cause::Recycled, 1);
    assert!(syn(&mut s, [10, 0, 0, 1], 9).is_some());
    s.counted(Cause::SourceLimit, 1);
}

#[test]
fn the_limit_costs_a_syn_no_cycle_that_does_not_meet_it() {
    let cost = |per_source| {
        let mut s = Script::with(ToeConfig {
            per_source,
            ..config()
        });
        s.arrive(seg(SYN, 0, 0).mss(1000));
        s.toe.step().expect("no fault");
        s.toe.cost.cycles
    };
    assert_eq!(cost(None), cost(Some(2)));
}
