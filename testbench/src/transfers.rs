//! Runs conversations against the simulated board and leaves a capture when one goes wrong.
use std::fs::File;
use std::io::BufWriter;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use toe_hdl::config::{Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_hdl::tcp::model::blocks;
use toe_host::board::{Backend, SimulatedBoard};
use toe_host::capture::{self, Recording};
use toe_host::demo::{self, CYCLES_PER_TICK};
use toe_sim::fault::{self, FaultInjector, Faults};
use toe_sim::gmii::GmiiPort;
pub use toe_sim::pattern::bytes;
use toe_sim::peer::{Conversation, Peer, TcpOptions, Times};
use toe_sim::time::SimulatedTime;
use toe_sim::world::{Clock, World};

use crate::liveness::{Bench, Counters};

/// What a peer looks like to a [`transfer`].
pub type Linked = Recording<FaultInjector<Peer>>;

/// A board in simulated time.
pub fn board(config: &ToeConfig, backend: Backend) -> SimulatedBoard {
    demo::fresh_board(config, backend).expect("the board can be built")
}

/// The board's address.
pub fn ip(config: &ToeConfig) -> Ipv4Addr {
    Ipv4Addr::from(config.ip)
}

/// How the board comes to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The peer connects.
    Passive,
    /// The board connects (active open).
    Active,
}

/// Which way the bytes go, seen from the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flow {
    /// Both at once: its echo.
    Both,
    /// In: its discard.
    In,
    /// Out: its chargen.
    Out,
}

impl Flow {
    /// The application that moves bytes so.
    pub fn owner(self) -> Owner {
        match self {
            Self::Both => Owner::Echo,
            Self::In => Owner::Discard,
            Self::Out => Owner::Chargen,
        }
    }
}

/// What the generator pours.
pub fn chargen(at: usize) -> u8 {
    blocks::chargen(at as u32)
}

/// A connection of the board to be: in a role, for a flow, of so many bytes each way.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub role: Role,
    pub flow: Flow,
    pub bytes: usize,
    /// The peer's port; the board's, where it connects, is this less 10,000.
    pub port: u16,
}

impl Call {
    /// With the peer on this port.
    pub fn new(role: Role, flow: Flow, bytes: usize, port: u16) -> Self {
        Self {
            role,
            flow,
            bytes,
            port,
        }
    }

    /// The peer's part of it. Whatever comes from the board is compared byte by byte, to the end of the stream.
    pub fn talk(&self, ip: Ipv4Addr, seed: u32) -> Conversation {
        let data = || bytes(self.bytes, seed);
        match (self.role, self.flow) {
            (Role::Passive, Flow::Both) => Conversation::echo_client(ip, 7, data()),
            (Role::Passive, Flow::In) => Conversation::source_client(ip, 9, data()),
            (Role::Passive, Flow::Out) => {
                Conversation::sink_client(ip, 19, self.bytes).expecting_stream(chargen)
            }
            (Role::Active, Flow::Both) => Conversation::echo_listener(self.port, data()),
            (Role::Active, Flow::In) => {
                Conversation::source_server(self.port, data()).expecting([])
            }
            (Role::Active, Flow::Out) => {
                Conversation::sink_listener(self.port, self.bytes).expecting_stream(chargen)
            }
        }
        .with_local_port(self.port)
    }

    /// The board's part of it, where it has one.
    ///
    /// # Panics
    /// If the board doesn't take the command.
    pub fn connect(&self, board: &mut SimulatedBoard, peer: [u8; 4]) {
        if self.role == Role::Active {
            board
                .connect(peer, self.port, self.port - 10_000, self.flow.owner() as u8)
                .expect("the command is taken");
        }
    }
}

/// What a transfer gave.
pub struct Done {
    pub board: SimulatedBoard,
    /// Cycles until the last conversation was over.
    pub cycles: u64,
    /// As the transfer left them: the check of life that follows moves them on.
    pub counters: Counters,
    /// When each conversation reached its stages.
    pub times: Vec<Times>,
    /// What was done to the frames for the board and from it.
    pub spoilt: (fault::Done, fault::Done),
}

/// Under what a transfer is made.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// The test's name, for the capture and the message.
    pub name: &'a str,
    pub config: &'a ToeConfig,
    /// Of each direction.
    pub faults: Faults,
    pub seed: u64,
    /// The most cycles that it may take.
    pub limit: u64,
    /// Those of the board's tick.
    pub cycles_per_tick: u64,
}

/// Runs `talks` at once on one peer, with these faults each way, until all have ended well; then the accounts must balance and a new connection open,
/// echo and close ([`still_alive`]).
///
/// # Panics
/// If one fails or the cycles run out: with the peer's report, the seed, and a pcap under `target/captures/NAME.pcap`.
pub fn transfer(
    name: &str,
    config: &ToeConfig,
    board: SimulatedBoard,
    talks: Vec<Conversation>,
    faults: &Faults,
    seed: u64,
    cycles: u64,
) -> Done {
    let setting = Setting {
        name,
        config,
        faults: *faults,
        seed,
        limit: cycles,
        cycles_per_tick: CYCLES_PER_TICK,
    };
    transfer_in(&setting, board, talks)
}

/// Runs `talks` at once on one peer until all have ended well.
///
/// # Panics
/// As [`transfer`].
pub fn transfer_in(setting: &Setting, board: SimulatedBoard, talks: Vec<Conversation>) -> Done {
    let Setting {
        name, faults, seed, ..
    } = *setting;
    let hz = setting.cycles_per_tick * 1_000;
    let mut peer = demo::peer(setting.config, seed);
    let talks: Vec<_> = talks.into_iter().map(|talk| peer.add(talk)).collect();
    let faulty = FaultInjector::new(peer, seed, faults, faults);
    let mut world = World::new(board, Recording::new(faulty), Clock::simulated(hz)).with_queue(4);
    let mut failure = None;
    let run = world.run_until(setting.limit, |_, link| {
        match link.inner.inner().finished() {
            Ok(done) => done,
            Err(e) => {
                failure = Some(e.to_string());
                true
            }
        }
    });
    let failure = failure.or(run.as_ref().err().map(ToString::to_string));
    if failure.is_some() || std::env::var_os("TOE_CAPTURES").is_some() {
        let file = capture_file(name);
        let line = world.link.on_the_line(world.board.line().stamps());
        let out = BufWriter::new(File::create(&file).expect("target can be written"));
        capture::write_pcap(&line, hz, out).expect("the capture can be written");
        let counters: String = world
            .board
            .counters()
            .iter()
            .filter(|c| c.value > 0)
            .map(|c| format!("  {} {}\n", c.name, c.value))
            .collect();
        let spoilt = (world.link.inner.to_board(), world.link.inner.from_board());
        let report = format!(
            "counters:\n{counters}to the board {:?}\nfrom it {:?}\ncapture: {}",
            spoilt.0,
            spoilt.1,
            file.display()
        );
        match failure {
            None => println!("{name}, seed {seed}: {report}"),
            Some(failure) => panic!(
                "{name}, seed {seed}, {faults:?}: {failure}\n{}\n{report}",
                world.link.inner.inner().report()
            ),
        }
    }
    let cycles = world.cycle();
    // Let the last acknowledgement arrive.
    world
        .run(1_000)
        .expect("the board keeps the rules of its line");
    let peer = world.link.inner.inner();
    let times = talks.iter().map(|talk| peer.app(*talk).times()).collect();
    let spoilt = (world.link.inner.to_board(), world.link.inner.from_board());
    let mut board = world.board;
    let counters = Cause::ALL.iter().map(|&c| (c, board.counter(c))).collect();
    Done {
        cycles,
        times,
        spoilt,
        board: still_alive(name, setting.config, board),
        counters,
    }
}

/// Where the capture of a failed test goes.
pub fn capture_file(name: &str) -> PathBuf {
    let dir = toe_sim::tools::target().join("captures");
    std::fs::create_dir_all(&dir).expect("target can be written");
    dir.join(format!("{name}.pcap"))
}

/// An echo of `data`, as fast as it goes.
pub fn echo(config: &ToeConfig, data: Vec<u8>) -> Conversation {
    Conversation::echo_client(ip(config), 7, data).with_options(demo::options())
}

/// The same with the peer's buffer so small.
pub fn small_echo(config: &ToeConfig, data: Vec<u8>, buffer: usize) -> Conversation {
    echo(config, data).with_options(TcpOptions {
        receive_buffer: buffer,
        ..demo::options()
    })
}

/// After whatever came before: the accounts of [`crate::liveness`] balance, and a new connection opens, echoes and closes within its bound.
///
/// # Panics
/// If not.
pub fn still_alive(name: &str, config: &ToeConfig, board: SimulatedBoard) -> SimulatedBoard {
    let mut bench = Bench::around(&format!("{name}-afterwards"), config, board);
    bench.alive();
    bench.board
}

/// A board with gaps of random length between the frames it gets.
pub fn jittery(config: &ToeConfig, backend: Backend, seed: u64) -> SimulatedBoard {
    jittery_at(config, backend, seed, CYCLES_PER_TICK)
}

/// The same with so many cycles in a tick.
pub fn jittery_at(config: &ToeConfig, backend: Backend, seed: u64, tick: u64) -> SimulatedBoard {
    let port = GmiiPort::new().with_jitter(40, seed);
    SimulatedBoard::new(config, backend, port, SimulatedTime::new(tick))
        .expect("the board can be built")
}
