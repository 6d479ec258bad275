//! Timestamps on the whole engine (RFC 7323): against a peer that has them every segment of the board's but a RST has them and a right sum, whatever the line does to it.

use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_host::board::{Backend, SimulatedBoard};
use toe_host::demo::{self, CYCLES_PER_TICK};
use toe_sim::fault::{FaultInjector, Faults};
use toe_sim::link::{Duration, Frame, Instant, Link, Medium};
use toe_sim::peer::TcpOptions;
use toe_sim::world::{Clock, World};
use toe_testbench::transfers::*;

/// Looks at what the board sends.
struct Look<L> {
    inner: L,
    seen: Seen,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    segments: u64,
    /// ACKs that have SACK blocks behind their timestamps.
    told: u64,
    /// The longest packet.
    longest: usize,
}

impl<L: Link> Link for Look<L> {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        self.inner.receive(now)
    }

    fn send(&mut self, frame: Frame, now: Instant) {
        if frame.len() >= 54 && frame[12..14] == [8, 0] && frame[23] == 6 {
            self.look(&frame[14..]);
        }
        self.inner.send(frame, now);
    }

    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        self.inner.idle_until(now)
    }

    fn medium(&self) -> Medium {
        self.inner.medium()
    }
}

impl<L> Look<L> {
    fn look(&mut self, packet: &[u8]) {
        let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        let tcp = &packet[20..total];
        let mut sum = 6 + tcp.len() as u64;
        for pair in packet[12..total].chunks(2) {
            sum += u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
        }
        while sum >> 16 != 0 {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        assert_eq!(sum, 0xFFFF, "the sum of {packet:02x?}");
        let (flags, header) = (tcp[13], usize::from(tcp[12] >> 4) * 4);
        let options = &tcp[20..header];
        if flags & 4 != 0 {
            assert_eq!(options.len(), 0);
            return;
        }
        // In a SYN behind MSS and SACK-permitted.
        let at = if flags & 2 != 0 { 6 } else { 2 };
        assert_eq!(options[at..at + 2], [8, 10], "{packet:02x?}");
        self.seen.segments += 1;
        self.seen.told += u64::from(options.len() > 12 && flags & 2 == 0);
        self.seen.longest = self.seen.longest.max(total);
    }
}

/// One transfer over a line with these faults.
fn talk(
    name: &str,
    (config, backend): (&ToeConfig, Backend),
    call: Call,
    faults: Faults,
) -> (SimulatedBoard, Seen) {
    let mut board = board(config, backend);
    let mut peer = demo::peer(config, 1);
    let options = TcpOptions {
        timestamps: true,
        keep_alive: Some(Duration::from_secs(10)),
        ..demo::options()
    };
    peer.add(call.talk(ip(config), 1).with_options(options));
    call.connect(&mut board, demo::peer_ip(config).octets());
    let look = Look {
        inner: peer,
        seen: Seen::default(),
    };
    let line = FaultInjector::new(look, 1, faults, faults);
    let clock = Clock::simulated(CYCLES_PER_TICK * 1_000);
    let mut world = World::new(board, line, clock).with_queue(4);
    let run = world.run_until(100_000_000, |_, line| {
        line.inner().inner.finished() == Ok(true)
    });
    let finished = world.link.inner().inner.finished();
    assert!(
        run.is_ok() && finished == Ok(true),
        "{name}: {run:?}, {finished:?}\n{}",
        world.link.inner().inner.report()
    );
    println!("{name}: {} cycles", world.cycle());
    world.run(1_000).expect("the rules of the line");
    let seen = world.link.inner().seen;
    (world.board, seen)
}

#[test]
fn every_segment_has_them_and_every_byte_arrives() {
    let config = ToeConfig::default();
    let lossy = |loss, reorder| Faults {
        loss,
        reorder,
        reorder_by: Duration::from_millis(3),
        ..Faults::none()
    };
    for (name, role, flow, faults, told) in [
        (
            "stamped-echo",
            Role::Passive,
            Flow::Both,
            Faults::none(),
            false,
        ),
        (
            "stamped-out",
            Role::Passive,
            Flow::Out,
            Faults::none(),
            false,
        ),
        (
            "stamped-active",
            Role::Active,
            Flow::Both,
            Faults::none(),
            false,
        ),
        (
            "stamped-lossy",
            Role::Passive,
            Flow::Both,
            lossy(0.03, 0.0),
            true,
        ),
        (
            "stamped-late",
            Role::Active,
            Flow::In,
            lossy(0.0, 0.25),
            true,
        ),
    ] {
        let call = Call::new(role, flow, 65_536, 50_001);
        let by = (&config, Backend::Verilog);
        let (mut board, seen) = talk(name, by, call, faults);
        println!("{name}: {seen:?}");
        assert!(seen.segments > 20, "{name}: {seen:?}");
        assert_eq!(seen.told > 0, told, "{name}: {seen:?}");
        if flow != Flow::In {
            assert_eq!(seen.longest, 1500, "{name}");
        }
        if faults.reorder == 0.0 {
            assert_eq!(board.counter(Cause::OldTimestamp), 0, "{name}");
        }
        still_alive(name, &config, board);
    }
}

/// The blocks and their Verilog, compared in every cycle.
#[test]
fn the_blocks_have_them_as_their_verilog_does() {
    let config = ToeConfig::default();
    let call = Call::new(Role::Passive, Flow::Both, 8_000, 50_001);
    let by = (&config, Backend::Lockstep);
    let (_, seen) = talk("stamped-lockstep", by, call, Faults::none());
    assert!(seen.segments > 6);
}
