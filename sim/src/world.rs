//! The loop that ties a simulated board to a link.
//!
//! A [`Board`] is anything that can run one clock cycle with a [`Port`] at its pins; [`with_port`] makes one of a port and
//! a closure. Between events the loop does nothing but run cycles and compare two numbers: the link is asked only when
//! the board has sent something, when there is room again for frames the link holds, or when the link's own timer is due.

use std::time;

use thiserror::Error;

use crate::link::{Frame, Instant, Link, Medium};

/// The far side of a board's pins: frames on one hand, a value of the pins each cycle on the other.
pub trait Port {
    /// What a board can do wrong on this line.
    type Violation: std::error::Error + Clone + Send + Sync + 'static;

    /// Adds a frame to those to be played to the board.
    fn queue(&mut self, frame: Frame);
    /// Frames waiting, without the one being played.
    fn queued(&self) -> usize;
    /// Whether [`Port::take`] or [`Port::take_violation`] would give something.
    fn has_news(&self) -> bool;
    /// The next frame from the board.
    fn take(&mut self) -> Option<Frame>;
    /// The next thing the board did wrong.
    fn take_violation(&mut self) -> Option<Self::Violation>;
    /// Nothing waits, nothing is on the line, no gap is running.
    fn is_quiet(&self) -> bool;
    /// What the frames are.
    fn medium(&self) -> Medium;
}

/// A clocked design with a port at its pins.
pub trait Board {
    /// The kind of line it has.
    type Port: Port;
    /// Runs one clock cycle, [`Port`] included.
    fn cycle(&mut self);
    /// The port.
    fn port(&mut self) -> &mut Self::Port;
}

impl<B: Board + ?Sized> Board for Box<B> {
    type Port = B::Port;
    fn cycle(&mut self) {
        (**self).cycle();
    }
    fn port(&mut self) -> &mut B::Port {
        (**self).port()
    }
}

/// See [`with_port`].
#[derive(Debug)]
pub struct WithPort<P, F> {
    port: P,
    cycle: F,
}

/// Makes a board of a port and a closure that runs one cycle: it reads the design's outputs, hands them to the port's
/// `step`, sets the inputs it gives, and clocks the design.
pub fn with_port<P: Port, F: FnMut(&mut P)>(port: P, cycle: F) -> WithPort<P, F> {
    WithPort { port, cycle }
}

impl<P: Port, F: FnMut(&mut P)> Board for WithPort<P, F> {
    type Port = P;
    #[inline]
    fn cycle(&mut self) {
        (self.cycle)(&mut self.port);
    }
    #[inline]
    fn port(&mut self) -> &mut P {
        &mut self.port
    }
}

/// What the time is in a given cycle.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// Simulated time: cycles at this frequency. Deterministic. For the design and its peer to agree on the time, a thousand times
    /// the cycles of a tick ([`crate::time::SimulatedTime`]).
    Simulated {
        /// Cycles in a second.
        hz: u64,
    },
    /// Real time, read every so many cycles: for a link to the kernel, whose timers are real.
    Real {
        /// When the run began.
        start: time::Instant,
        /// Cycles between two looks at the clock.
        every: u64,
    },
}

impl Clock {
    /// Simulated time at this frequency.
    pub fn simulated(hz: u64) -> Self {
        Self::Simulated { hz: hz.max(1) }
    }

    /// Real time, from now on.
    pub fn real() -> Self {
        Self::Real {
            start: time::Instant::now(),
            every: 64,
        }
    }

    /// The time in this cycle.
    pub fn now(&self, cycle: u64) -> Instant {
        match self {
            Self::Simulated { hz } => {
                Instant::from_micros((u128::from(cycle) * 1_000_000 / u128::from(*hz)) as i64)
            }
            Self::Real { start, .. } => Instant::from_micros(start.elapsed().as_micros() as i64),
        }
    }

    /// The first cycle, after `cycle`, in which it can be `at`.
    fn cycle_of(&self, at: Instant, cycle: u64) -> u64 {
        match self {
            Self::Simulated { hz } => {
                let micros = at.total_micros().max(0) as u128;
                let due = (micros * u128::from(*hz)).div_ceil(1_000_000);
                // At least a microsecond on, the resolution of time, so that a link that is always due can't take every cycle.
                u64::try_from(due)
                    .unwrap_or(u64::MAX)
                    .max(cycle.saturating_add((hz / 1_000_000).max(1)))
            }
            Self::Real { every, .. } => cycle + every,
        }
    }
}

/// Why a run ended without its condition.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum WorldError<V: std::error::Error + 'static> {
    /// The board broke the rules of the line.
    #[error("the board broke the rules of its line: {0}")]
    Line(#[source] V),
    /// The cycles allowed are used up.
    #[error("the condition did not hold within {cycles} cycles")]
    OutOfCycles {
        /// Cycles run.
        cycles: u64,
    },
}

/// A board, a link and the time.
#[derive(Debug)]
pub struct World<B: Board, L: Link> {
    /// The board.
    pub board: B,
    /// The link.
    pub link: L,
    clock: Clock,
    cycle: u64,
    wake: u64,
    room: usize,
    full: bool,
    strict: bool,
    violations: Vec<<B::Port as Port>::Violation>,
}

impl<B: Board, L: Link> World<B, L> {
    /// Ties the two together at cycle 0.
    pub fn new(board: B, link: L, clock: Clock) -> Self {
        Self {
            board,
            link,
            clock,
            cycle: 0,
            wake: 0,
            room: 16,
            full: false,
            strict: true,
            violations: Vec::new(),
        }
    }

    /// Lets so many frames (default 16, at least 1) wait at the port; the rest waits in the link.
    pub fn with_queue(mut self, room: usize) -> Self {
        self.room = room.max(1);
        self
    }

    /// Collects violations ([`World::violations`]) instead of ending the run at the first.
    pub fn lenient(mut self) -> Self {
        self.strict = false;
        self
    }

    /// Cycles run.
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// The time now.
    pub fn now(&self) -> Instant {
        self.clock.now(self.cycle)
    }

    /// What the board did wrong, if [`World::lenient`].
    pub fn violations(&self) -> &[<B::Port as Port>::Violation] {
        &self.violations
    }

    /// Has the link asked in the next cycle: to be called after something was changed in it from outside.
    pub fn wake(&mut self) {
        self.wake = 0;
    }

    /// Runs until `done` holds; it is asked whenever frames or timers moved, and at the end. Gives the cycles run by
    /// this call.
    pub fn run_until(
        &mut self,
        cycles: u64,
        mut done: impl FnMut(&mut B, &mut L) -> bool,
    ) -> Result<u64, WorldError<<B::Port as Port>::Violation>> {
        let start = self.cycle;
        let end = start.saturating_add(cycles);
        self.wake = 0;
        while self.cycle < end {
            let port = self.board.port();
            let room = self.full && port.queued() < self.room;
            if room || self.cycle >= self.wake || port.has_news() {
                self.exchange()?;
                if done(&mut self.board, &mut self.link) {
                    return Ok(self.cycle - start);
                }
            }
            self.board.cycle();
            self.cycle += 1;
        }
        self.exchange()?;
        if done(&mut self.board, &mut self.link) {
            return Ok(self.cycle - start);
        }
        Err(WorldError::OutOfCycles { cycles })
    }

    /// Runs so many cycles.
    pub fn run(&mut self, cycles: u64) -> Result<(), WorldError<<B::Port as Port>::Violation>> {
        match self.run_until(cycles, |_, _| false) {
            Err(WorldError::OutOfCycles { .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn exchange(&mut self) -> Result<(), WorldError<<B::Port as Port>::Violation>> {
        let now = self.clock.now(self.cycle);
        let port = self.board.port();
        while let Some(violation) = port.take_violation() {
            if self.strict {
                return Err(WorldError::Line(violation));
            }
            self.violations.push(violation);
        }
        while let Some(frame) = port.take() {
            self.link.send(frame, now);
        }
        self.full = true;
        while port.queued() < self.room {
            match self.link.receive(now) {
                Some(frame) => port.queue(frame),
                None => {
                    self.full = false;
                    break;
                }
            }
        }
        self.wake = match self.link.idle_until(now) {
            // A full port is asked again when it has room.
            _ if self.full => u64::MAX,
            Some(at) => self.clock.cycle_of(at, self.cycle),
            None => u64::MAX,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{FaultInjector, Faults};
    use crate::gmii::{GmiiPort, Usage, Violation, Way};
    use crate::peer::{App, Conversation, EchoServer, Peer, PeerConfig, TcpOptions};
    use crate::uart::SlipPort;
    use std::net::Ipv4Addr;

    const BOARD: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 2);
    const HZ: u64 = 125_000_000;

    fn peer(medium: Medium, ip: Ipv4Addr) -> Peer {
        Peer::new(&PeerConfig {
            medium,
            ip,
            mac: [2, 0, 0, 0, 0, ip.octets()[3]],
            mtu: if medium == Medium::Ip { 576 } else { 1500 },
            ..PeerConfig::default()
        })
    }

    /// A stand-in for a design at GMII pins: another port, wire to wire, with smoltcp behind it.
    fn board_with(app: impl App) -> impl Board<Port = GmiiPort> {
        let mut far = GmiiPort::new();
        let mut server = peer(Medium::Ethernet, BOARD);
        server.add(app);
        let mut from = (false, false, 0);
        with_port(GmiiPort::new(), move |port: &mut GmiiPort| {
            let now = Clock::simulated(HZ).now(far.cycle());
            let to = port.step(from.0, from.1, from.2);
            from = far.step(to.0, to.1, to.2);
            while let Some(frame) = far.take() {
                server.send(frame, now);
            }
            while far.take_violation().is_some() {}
            if far.queued() < 4 && far.cycle().is_multiple_of(64) {
                while let Some(frame) = server.receive(now) {
                    far.queue(frame);
                }
            }
        })
    }

    #[test]
    fn an_echo_crosses_the_pins_with_and_without_faults() {
        for (seed, loss) in [(1, 0.0), (2, 0.02)] {
            println!("seed {seed}, loss {loss}");
            let mut client = peer(Medium::Ethernet, Ipv4Addr::new(192, 168, 69, 1));
            let data: Vec<u8> = (0..50_000u32).map(|n| (n / 3) as u8).collect();
            client.add(Conversation::echo_client(BOARD, 7, data));
            client.ping(BOARD, 56, 3);
            let faults = Faults {
                corrupt_line: loss,
                truncate: loss,
                line_error: loss,
                ..Faults::loss(loss)
            };
            let link = FaultInjector::new(client, seed, faults, faults);
            let mut world = World::new(
                board_with(EchoServer::new(7, 4)),
                link,
                Clock::simulated(HZ),
            );
            let cycles = world.run_until(2_000_000_000, |_, link| link.inner().is_over());
            let cycles = cycles.unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(world.link.inner().finished(), Ok(true));
            assert_eq!(world.cycle(), cycles);
            if loss > 0.0 {
                assert!(world.link.to_board().line_errors > 0);
            } else {
                let polls = world.link.inner().polls();
                assert!(polls * 50 < cycles, "{polls} polls in {cycles} cycles");
            }
        }
    }

    /// The peer alone never lets the line idle while its window allows: the queue is refilled in time.
    #[test]
    fn a_peer_with_much_to_send_keeps_the_line_full() {
        let mut client = peer(Medium::Ethernet, Ipv4Addr::new(192, 168, 69, 1));
        let options = TcpOptions {
            nagle: false,
            ..TcpOptions::default()
        };
        let data = vec![0x5A; 400_000];
        client.add(Conversation::source_client(BOARD, 7, data.clone()).with_options(options));
        let board = board_with(Conversation::sink_server(7, data));
        let mut world = World::new(board, client, Clock::simulated(HZ)).with_queue(2);
        world.run(100_000).unwrap();
        world.board.port().restart_measurement();
        world.run(100_000).unwrap();
        let Usage { busy, idle, .. } = world.board.port().to_board();
        assert_eq!(busy + idle, 100_000);
        // 12 idle cycles after each 1526.
        assert!(busy >= 99_100, "{busy} busy cycles of 100000");
    }

    #[test]
    fn a_violation_ends_a_strict_run_and_is_kept_by_a_lenient_one() {
        let noisy = || {
            let mut cycle = 0u64;
            with_port(GmiiPort::new(), move |port: &mut GmiiPort| {
                cycle += 1;
                port.step(cycle % 100 == 50, false, 7);
            })
        };
        let link = || crate::link::Queues::new(Medium::Ethernet);
        let mut world = World::new(noisy(), link(), Clock::simulated(HZ));
        let error = world.run(1000).unwrap_err();
        let violation = Violation::Preamble {
            cycle: 49,
            found: vec![7],
        };
        assert_eq!(error, WorldError::Line(violation));
        let mut world = World::new(noisy(), link(), Clock::simulated(HZ)).lenient();
        world.run(1000).unwrap();
        assert_eq!(world.violations().len(), 10);
        assert_eq!(
            world.run_until(10, |_, _| false),
            Err(WorldError::OutOfCycles { cycles: 10 })
        );
    }

    /// Frames go in and come back in the cycles the line rate says.
    #[test]
    fn stamps_are_those_of_the_pins() {
        let mut pins = (false, false, 0);
        let board = with_port(GmiiPort::new(), move |port: &mut GmiiPort| {
            pins = port.step(pins.0, pins.1, pins.2);
        });
        let mut link = crate::link::Queues::new(Medium::Ethernet);
        link.incoming.push_back(Frame::new(vec![1; 100]));
        let mut world = World::new(board, link, Clock::simulated(1_000_000));
        world
            .run_until(1000, |_, link| !link.outgoing.is_empty())
            .unwrap();
        let stamps = world.board.port().stamps().to_vec();
        assert_eq!((stamps[0].way, stamps[0].first), (Way::ToBoard, 0));
        assert_eq!(stamps[0].last, 8 + 100 + 4 - 1);
        assert_eq!((stamps[1].way, stamps[1].first), (Way::FromBoard, 1));
        // Taken when the line falls idle, one cycle after the last byte.
        assert_eq!(
            world.link.outgoing[0].0,
            Instant::from_micros(stamps[1].last as i64 + 2)
        );
    }

    #[test]
    fn an_echo_crosses_a_serial_line() {
        const CYCLES_PER_BIT: u32 = 4;
        let mut far = SlipPort::new(CYCLES_PER_BIT);
        let mut server = peer(Medium::Ip, BOARD);
        server.add(EchoServer::new(7, 1));
        let mut from = true;
        let clock = Clock::simulated(12_000_000);
        let board = with_port(SlipPort::new(CYCLES_PER_BIT), move |port: &mut SlipPort| {
            let to = port.step(from);
            from = far.step(to);
            if far.cycle().is_multiple_of(64) {
                let now = clock.now(far.cycle());
                while let Some(frame) = far.take() {
                    server.send(frame, now);
                }
                while let Some(frame) = server.receive(now) {
                    far.queue(frame);
                }
            }
        });
        let mut client = peer(Medium::Ip, Ipv4Addr::new(192, 168, 69, 1));
        client.add(Conversation::echo_client(BOARD, 7, vec![0xC0; 2048]));
        client.ping(BOARD, 100, 2);
        let mut world = World::new(board, client, clock);
        let result = world.run_until(100_000_000, |_, client| client.is_over());
        assert!(result.is_ok(), "{result:?}");
        assert_eq!(world.link.finished(), Ok(true));
    }
}
