//! The Linux kernel as the peer, over a TAP device in a namespace that the test makes itself.
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_host::board::{self, Backend, SimulatedBoard};
use toe_host::report::Counter;
use toe_sim::gmii::GmiiPort;
use toe_sim::link::Medium;
use toe_sim::netns::in_namespace;
use toe_sim::tap::{self, TapLink};
use toe_sim::time::{RealTime, TickSource};
use toe_sim::world::{Clock, World};
use toe_testbench::transfers::{bytes, still_alive};

/// Runs the board on a TAP device while `body` talks to it, and gives its counters.
fn with_board(
    config: &ToeConfig,
    time: impl TickSource + Send + 'static,
    body: impl FnOnce(SocketAddr),
) -> Vec<Counter> {
    let device = TapLink::open("toe0", Medium::Ethernet).expect("a TAP device");
    device.without_ipv6().expect("IPv6 can be turned off");
    device
        .configure([192, 168, 69, 1].into(), 24, None)
        .expect("an address");
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let board_config = config.clone();
    let (up, is_up) = channel();
    let runner = thread::spawn(move || {
        let board = SimulatedBoard::new(&board_config, Backend::Verilog, GmiiPort::new(), time)
            .expect("the board");
        let mut world = World::new(board, device, Clock::real());
        up.send(()).expect("the test waits");
        while !flag.load(Ordering::Relaxed) {
            world
                .run(2_000)
                .expect("the board keeps the rules of its line");
        }
        let mut board = world.board;
        let counters = board.counters();
        // Whatever the kernel did, the board lives.
        still_alive("kernel", &board_config, board);
        counters
    });
    // The kernel gives up asking for an address after three seconds.
    is_up.recv().expect("the board runs");
    body(SocketAddr::from((config.ip, 7)));
    stop.store(true, Ordering::Relaxed);
    runner.join().expect("the board ran")
}

fn value(counters: &[Counter], cause: Cause) -> u64 {
    let of = |c: &&Counter| c.name == cause.name();
    counters.iter().find(of).map_or(0, |c| c.value)
}

fn echo(address: SocketAddr, data: &[u8]) {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(60)).expect("connected");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a timeout");
    let mut writer = stream.try_clone().expect("a second handle");
    let sent = data.to_vec();
    let writing = thread::spawn(move || {
        writer.write_all(&sent).expect("written");
        writer.shutdown(Shutdown::Write).expect("half-closed");
    });
    let mut back = vec![];
    (&stream).read_to_end(&mut back).expect("read to the end");
    writing.join().expect("the writer");
    assert!(
        back == data,
        "{} bytes came back of {}",
        back.len(),
        data.len()
    );
}

/// The tools may have to be fetched, which can't be done inside the namespace.
fn warm(config: &ToeConfig) {
    board::machine(config, Backend::Verilog).expect("the verilog back end");
}

#[test]
fn the_kernel_pings_the_board_and_four_connections_echo_a_mebibyte_each() {
    let config = ToeConfig::default();
    warm(&config);
    in_namespace(
        "the_kernel_pings_the_board_and_four_connections_echo_a_mebibyte_each",
        || {
            let counters = with_board(&config, RealTime::new(), |address| {
                for length in [0, 1, 56, 500] {
                    let back = tap::ping(config.ip.into(), length).expect("an answer");
                    assert_eq!(back.len(), length);
                }
                let threads: Vec<_> = (0..4)
                    .map(|i| thread::spawn(move || echo(address, &bytes(1 << 20, i + 1))))
                    .collect();
                for t in threads {
                    t.join().expect("an echo");
                }
            });
            assert_eq!(value(&counters, Cause::Opened), 4);
            assert_eq!(value(&counters, Cause::NoSlot), 0);
        },
    );
}

#[test]
fn a_hundred_connections_one_after_another_none_refused() {
    let config = ToeConfig::default();
    warm(&config);
    in_namespace(
        "a_hundred_connections_one_after_another_none_refused",
        || {
            let counters = with_board(&config, RealTime::new(), |address| {
                for i in 0..100 {
                    echo(address, &bytes(1 + i * 13, i as u32));
                }
            });
            assert_eq!(value(&counters, Cause::Opened), 100);
            assert_eq!(value(&counters, Cause::NoSlot), 0);
            assert_eq!(value(&counters, Cause::Refused), 0);
        },
    );
}
