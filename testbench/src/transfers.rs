//! Runs conversations against the simulated board and leaves a capture when one goes wrong.
use std::fs::File;
use std::io::BufWriter;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_host::board::{Backend, SimulatedBoard};
use toe_host::capture::{self, Recording};
use toe_host::demo::{self, CYCLES_PER_TICK, HZ};
use toe_sim::fault::{FaultInjector, Faults};
use toe_sim::gmii::GmiiPort;
use toe_sim::peer::{Conversation, Peer, TcpOptions};
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

/// Bytes that differ everywhere, by seed.
pub fn bytes(count: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 11) as u8
        })
        .collect()
}

/// What a transfer gave.
pub struct Done {
    pub board: SimulatedBoard,
    pub cycles: u64,
    /// As the transfer left them: the check of life that follows moves them on.
    pub counters: Counters,
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
    let mut peer = demo::peer(config, seed);
    for talk in talks {
        peer.add(talk);
    }
    let faulty = FaultInjector::new(peer, seed, *faults, *faults);
    let mut world = World::new(board, Recording::new(faulty), Clock::simulated(HZ)).with_queue(4);
    let mut failure = None;
    let run = world.run_until(cycles, |_, link| match link.inner.inner().finished() {
        Ok(done) => done,
        Err(e) => {
            failure = Some(e.to_string());
            true
        }
    });
    let failure = failure.or(run.as_ref().err().map(ToString::to_string));
    if let Some(failure) = failure {
        let file = capture_file(name);
        let line = world.link.on_the_line(world.board.line().stamps());
        let out = BufWriter::new(File::create(&file).expect("target can be written"));
        capture::write_pcap(&line, HZ, out).expect("the capture can be written");
        let counters: String = world
            .board
            .counters()
            .iter()
            .filter(|c| c.value > 0)
            .map(|c| format!("  {} {}\n", c.name, c.value))
            .collect();
        panic!(
            "{name}, seed {seed}: {failure}\n{}\ncounters:\n{counters}capture: {}",
            world.link.inner.inner().report(),
            file.display()
        );
    }
    let cycles = world.cycle();
    // Let the last acknowledgement arrive.
    world
        .run(1_000)
        .expect("the board keeps the rules of its line");
    let mut board = world.board;
    let counters = Cause::ALL.iter().map(|&c| (c, board.counter(c))).collect();
    Done {
        cycles,
        board: still_alive(name, config, board),
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
    let port = GmiiPort::new().with_jitter(40, seed);
    SimulatedBoard::new(config, backend, port, SimulatedTime::new(CYCLES_PER_TICK))
        .expect("the board can be built")
}
