//! A path narrower than its ends (RFC 1191): a router of an MTU of 576 between links of 1,500 drops what is too long and says so (ICMP type 3, code 4). Every byte arrives, in the segments that the path takes,
//! and without a wait for a retransmission timer.
use std::collections::{BTreeMap, VecDeque};

use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_host::board::{Backend, SimulatedBoard};
use toe_host::demo::{self, CYCLES_PER_TICK};
use toe_sim::fault::{FaultInjector, Faults};
use toe_sim::link::{Duration, Frame, Instant, Link, Medium};
use toe_sim::world::{Clock, World};
use toe_testbench::transfers::*;
use toe_testbench::wire::icmp_error;

/// The path's MTU.
const MTU: usize = 576;
/// What may still leave in the old size once the router has its answer, in cycles: two segments in the builder, one on the line, another while a frame of the peer's that is
/// on its way in is let past, and the answer's own way in.
const GRACE: u64 = 4 * 1_538 + 1_000;

/// The router and what is behind it.
struct Router<L> {
    inner: L,
    config: ToeConfig,
    /// Errors for the board, with the board's port that each is about.
    answers: VecDeque<(u16, Frame)>,
    /// The next-hop MTU that it tells of.
    tells: u16,
    /// When the first answer to each of the board's ports was handed out.
    first: BTreeMap<u16, Instant>,
    seen: Seen,
}

/// What the router saw of the board.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    dropped: u64,
    /// Packets that were too long, longer than `GRACE` after the first answer.
    late: u64,
    /// The longest packet that got through.
    longest: usize,
}

impl<L: Link> Router<L> {
    fn new(inner: L, config: &ToeConfig, tells: u16) -> Self {
        Self {
            inner,
            config: config.clone(),
            answers: VecDeque::new(),
            tells,
            first: BTreeMap::new(),
            seen: Seen::default(),
        }
    }
}

impl<L: Link> Link for Router<L> {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        if let Some((port, answer)) = self.answers.pop_front() {
            self.first.entry(port).or_insert(now);
            return Some(answer);
        }
        self.inner.receive(now)
    }

    fn send(&mut self, frame: Frame, now: Instant) {
        if frame.len() < 34 || frame[12..14] != [8, 0] {
            return self.inner.send(frame, now);
        }
        let packet = &frame[14..];
        let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        if total <= MTU {
            self.seen.longest = self.seen.longest.max(total);
            return self.inner.send(frame, now);
        }
        assert_eq!(packet[6..8], [0x40, 0], "DF, and no fragment");
        self.seen.dropped += 1;
        let port = u16::from_be_bytes([packet[20], packet[21]]);
        if let Some(first) = self.first.get(&port) {
            self.seen.late += u64::from((now - *first).total_micros() > GRACE);
        }
        // RFC 792: the header and 8 bytes; RFC 1812 section 4.3.2.3: as much as fits.
        let quoted = if self.seen.dropped.is_multiple_of(2) {
            28
        } else {
            548
        };
        let frame = icmp_error(&self.config, (3, 4), self.tells, &packet[..quoted]);
        self.answers.push_back((port, Frame::new(frame)));
    }

    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        if self.answers.is_empty() {
            self.inner.idle_until(now)
        } else {
            Some(now)
        }
    }

    fn medium(&self) -> Medium {
        self.inner.medium()
    }
}

/// Transfers over the router, and a line with these faults between it and the board; the board, and what the router saw.
fn over_the_router(
    name: &str,
    (config, backend): (&ToeConfig, Backend),
    calls: &[Call],
    tells: u16,
    faults: Faults,
) -> (SimulatedBoard, Seen) {
    let mut board = board(config, backend);
    let mut peer = demo::peer(config, 1);
    for (n, call) in calls.iter().enumerate() {
        let talk = call.talk(ip(config), n as u32);
        peer.add(talk.with_options(demo::options()));
    }
    for call in calls {
        call.connect(&mut board, demo::peer_ip(config).octets());
    }
    let router = Router::new(peer, config, tells);
    let line = FaultInjector::new(router, 1, faults, faults);
    let clock = Clock::simulated(CYCLES_PER_TICK * 1_000);
    let mut world = World::new(board, line, clock).with_queue(4);
    let run = world.run_until(60_000_000, |_, line| {
        line.inner().inner.finished() == Ok(true)
    });
    let finished = world.link.inner().inner.finished();
    if run.is_err() || finished != Ok(true) {
        let counters = world.board.counters();
        let moved: Vec<_> = counters.iter().filter(|c| c.value > 0).collect();
        panic!(
            "{name}: {run:?}, {finished:?}\n{}\n{moved:?}",
            world.link.inner().inner.report()
        );
    }
    println!("{name}: {} cycles", world.cycle());
    world.run(1_000).expect("the rules of the line");
    let seen = world.link.inner().seen;
    (world.board, seen)
}

#[test]
fn a_narrow_path_is_found_and_every_byte_arrives() {
    let small = ToeConfig::default();
    let large = ToeConfig {
        tx_ring_bytes: 32_768,
        ..ToeConfig::default()
    };
    let without = ToeConfig {
        sack: false,
        timestamps: false,
        cubic: false,
        ..ToeConfig::default()
    };
    for (name, config, flow, role, tells) in [
        ("narrow-out", &small, Flow::Out, Role::Passive, 576),
        ("narrow-echo", &small, Flow::Both, Role::Passive, 576),
        ("narrow-large", &large, Flow::Out, Role::Passive, 576),
        ("narrow-active", &small, Flow::Out, Role::Active, 576),
        ("narrow-plain", &without, Flow::Out, Role::Passive, 576),
        ("narrow-old", &small, Flow::Out, Role::Passive, 0),
    ] {
        let call = Call::new(role, flow, 65_536, 50_001);
        let (mut board, seen) = over_the_router(
            name,
            (config, Backend::Verilog),
            &[call],
            tells,
            Faults::none(),
        );
        let count = |board: &mut SimulatedBoard, cause| board.counter(cause);
        assert!(seen.dropped > 0, "{name}: nothing was too long");
        assert_eq!((seen.late, seen.longest), (0, MTU), "{name}");
        assert_eq!(count(&mut board, Cause::MtuLowered), 1, "{name}");
        // An active open that waits for its neighbour does so by the same timer.
        let waited = count(&mut board, Cause::ArpWait);
        assert!(count(&mut board, Cause::RtoExpired) <= waited, "{name}");
        assert_eq!(count(&mut board, Cause::IcmpError), seen.dropped, "{name}");
        still_alive(name, config, board);
    }
}

/// Each connection learns it for itself.
#[test]
fn four_connections_find_it_each() {
    let config = ToeConfig::default();
    let calls: Vec<_> = (0..4)
        .map(|n| Call::new(Role::Active, Flow::Out, 65_536, 50_001 + n))
        .collect();
    let (mut board, seen) = over_the_router(
        "narrow-four",
        (&config, Backend::Verilog),
        &calls,
        576,
        Faults::none(),
    );
    assert_eq!((seen.late, seen.longest), (0, MTU));
    assert_eq!(board.counter(Cause::MtuLowered), 4);
    let waited = board.counter(Cause::ArpWait);
    assert!(waited <= 4 && board.counter(Cause::RtoExpired) <= waited);
    still_alive("narrow-four", &config, board);
}

/// The blocks and their Verilog, compared in every cycle.
#[test]
fn the_blocks_find_it_as_their_verilog_does() {
    let config = ToeConfig::default();
    let call = Call::new(Role::Passive, Flow::Both, 12_000, 50_001);
    let by = (&config, Backend::Lockstep);
    let (mut board, seen) = over_the_router("narrow-lockstep", by, &[call], 576, Faults::none());
    assert_eq!((seen.late, seen.longest), (0, MTU));
    assert_eq!(board.counter(Cause::MtuLowered), 1);
}

/// A line between board and router that takes its time, and loses frames and errors.
#[test]
fn errors_that_come_late_or_not_at_all_do_no_harm() {
    let config = ToeConfig::default();
    for (name, loss) in [("narrow-late", 0.0), ("narrow-lossy", 0.03)] {
        let faults = Faults {
            delay: Duration::from_millis(5),
            loss,
            ..Faults::none()
        };
        let call = Call::new(Role::Passive, Flow::Both, 65_536, 50_001);
        let (mut board, seen) =
            over_the_router(name, (&config, Backend::Verilog), &[call], 576, faults);
        assert_eq!(seen.longest, MTU, "{name}");
        assert_eq!(board.counter(Cause::MtuLowered), 1, "{name}");
        still_alive(name, &config, board);
    }
}

/// An engine that is built without it never gets through: what the router is for.
#[test]
fn without_icmp_errors_the_path_is_a_black_hole() {
    let config = ToeConfig {
        icmp_errors: false,
        ..ToeConfig::default()
    };
    let board = board(&config, Backend::Verilog);
    let mut peer = demo::peer(&config, 1);
    let call = Call::new(Role::Passive, Flow::Out, 65_536, 50_001);
    peer.add(call.talk(ip(&config), 0).with_options(demo::options()));
    let router = Router::new(peer, &config, 576);
    let clock = Clock::simulated(CYCLES_PER_TICK * 1_000);
    let mut world = World::new(board, router, clock).with_queue(4);
    let run = world.run_until(2_000_000, |_, router| router.inner.finished() == Ok(true));
    assert!(run.is_err() || world.link.inner.finished() != Ok(true));
    assert!(world.board.counter(Cause::RtoExpired) > 0);
    assert!(world.board.counter(Cause::IcmpOther) > 0);
    assert_eq!(world.board.counter(Cause::IcmpError), 0);
}
