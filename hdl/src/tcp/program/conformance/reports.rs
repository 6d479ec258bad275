//! RFC 9293 sections 3.8.3, 3.9.1.8 and 3.9.2.2: what an application is told without having asked. Urgent text has its scripts in `program::urgent`.
use super::super::constant::{DATA_TRIES, KEEPALIVE_INTERVAL, OPEN_TRIES, R1};
use super::super::host::ConnectionOption;
use super::super::script::*;
use super::super::words::*;
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::tcp::isa::{notify, report};

/// Kinds and values told since the last time, of connection 0.
#[track_caller]
fn told(s: &mut Script) -> Vec<(u8, u32)> {
    let reports = s.reports();
    assert!(reports.iter().all(|r| r.conn == 0));
    reports.into_iter().map(|r| (r.kind, r.value)).collect()
}

/// The kinds among them.
#[track_caller]
fn kinds(s: &mut Script) -> Vec<u8> {
    told(s).into_iter().map(|(kind, _)| kind).collect()
}

/// MUST-12.
#[test]
fn whether_it_ended_in_order_or_was_aborted() {
    let mut s = Script::established();
    assert_eq!(kinds(&mut s), [notify::OPEN]);
    s.inject(seg(ACK | FIN, 1, 1)).expect(ACK, 1, 2, 0);
    assert_eq!(kinds(&mut s), [notify::PEER_FIN]);
    s.close().expect(FIN | ACK, 1, 2, 0);
    s.inject(seg(ACK, 2, 2)).silence().state("CLOSED");
    assert_eq!(kinds(&mut s), [notify::CLOSED]);
    // By the peer's RST, and by too many tries.
    let mut s = Script::established();
    s.reports();
    s.inject(seg(RST, 1, 0)).silence();
    assert_eq!(kinds(&mut s), [notify::RESET]);
    let mut s = Script::established();
    s.write(b"x");
    s.reports();
    s.ticks(200_000);
    s.counted(Cause::GaveUp, 1);
    assert_eq!(kinds(&mut s).last(), Some(&notify::RESET));
}

/// Section 3.10.8, USER TIMEOUT: "error: connection aborted due to user timeout". R2 of text and of a SYN, the user timeout, keepalive.
#[test]
fn the_application_is_told_that_it_was_a_timeout() {
    let ended = |s: &mut Script, tries: u32| {
        s.counted(Cause::GaveUp, 1);
        let told = told(s);
        assert_eq!(told[told.len() - 2], (report::TIMED_OUT, tries));
        assert_eq!(told.last().map(|r| r.0), Some(notify::RESET));
    };
    let mut s = Script::established();
    s.write(b"x").ticks(200_000);
    ended(&mut s, DATA_TRIES);
    let mut s = Script::connecting();
    s.ticks(200_000);
    ended(&mut s, OPEN_TRIES);
    // RTO was 200 at least: 200 + 400 + 800 of 2,000 ticks.
    let mut s = Script::established();
    s.option(ConnectionOption::UserTimeout(2)).write(b"x");
    s.ticks(3_000);
    ended(&mut s, 3);
    let mut s = Script::established();
    s.option(ConnectionOption::Keepalive(4)).ticks(60_000);
    ended(&mut s, 0);
}

/// Nobody is told of a connection that nobody knows, nor of a timeout where there was none.
#[test]
fn no_other_end_is_a_timeout() {
    let mut s = Script::new();
    s.inject(seg(SYN, 0, 0)).ticks(200_000);
    s.counted(Cause::GaveUp, 1);
    assert_eq!(told(&mut s), []);
    for aborted in [false, true] {
        let mut s = Script::established();
        s.reports();
        if aborted {
            s.abort();
        } else {
            s.inject(seg(RST, 1, 0));
        }
        assert_eq!(kinds(&mut s), [notify::RESET]);
    }
}

/// MUST-47, SHLD-25: all that is no reason to end a connection.
#[test]
fn soft_errors_are_reported() {
    let mut s = Script::established();
    s.write(&[1; 1000]);
    s.expect(ACK, 1, 1, 1000);
    s.reports();
    let error = |kind, code, seq| Error {
        kind,
        code,
        mtu: 0,
        length: 1040,
        seq,
        ports: (HOST_PORT, PEER_PORT),
    };
    for (kind, code) in [(3, 0), (3, 1), (3, 3), (3, 5), (11, 0), (11, 1), (12, 0)] {
        s.error(error(kind, code, 1)).silence();
        let value = u32::from(kind) << 8 | u32::from(code);
        assert_eq!(told(&mut s), [(report::SOFT_ERROR, value)]);
    }
    // Not of what is not on its way (RFC 5927 section 4.1).
    s.error(error(3, 1, 1001)).silence();
    assert_eq!(told(&mut s), []);
}

/// SHLD-9: from R1 on, to the end.
#[test]
fn the_application_knows_that_nothing_gets_through() {
    for sack in [false, true] {
        let mut s = Script::established_with(
            ToeConfig {
                sack,
                timestamps: false,
                ..config()
            },
            seg(SYN, 0, 0),
        );
        // Two tries are none of its business.
        s.write(b"x");
        s.reports();
        while s.word(TRIES) < R1 - 1 {
            s.ticks(1);
        }
        assert_eq!(told(&mut s), []);
        s.inject(seg(ACK, 1, 2));
        s.ticks(KEEPALIVE_INTERVAL);
        assert_eq!(told(&mut s), []);
        s.write(b"y");
        while s.word(TRIES) < R1 {
            s.ticks(1);
        }
        s.ticks(KEEPALIVE_INTERVAL);
        let first = told(&mut s);
        assert_eq!(first.len(), 1);
        assert_eq!(first[0].0, report::RETRYING);
        assert!(first[0].1 >= R1 && first[0].1 <= s.word(TRIES));
        s.ticks(KEEPALIVE_INTERVAL);
        assert_eq!(kinds(&mut s), [report::RETRYING]);
        // Once it does there is nothing more to tell.
        s.inject(seg(ACK, 1, 3));
        s.ticks(3 * KEEPALIVE_INTERVAL);
        assert_eq!(told(&mut s), []);
    }
}
