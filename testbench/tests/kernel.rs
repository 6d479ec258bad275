//! The Linux kernel as the peer, over a TAP device in a namespace that the test makes itself.
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Sender};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use toe_hdl::config::{Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_host::board::{self, Backend, SimulatedBoard};
use toe_host::report::Counter;
use toe_sim::fault::{self, FaultInjector, Faults};
use toe_sim::gmii::GmiiPort;
use toe_sim::link::Medium;
use toe_sim::netns::in_namespace;
use toe_sim::pcap::PcapWriter;
use toe_sim::tap::{self, TapLink};
use toe_sim::time::{RealTime, TickSource};
use toe_sim::world::{Clock, World};
use toe_testbench::mixes;
use toe_testbench::transfers::{bytes, capture_file, still_alive};

/// The kernel's address on the device.
const KERNEL: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 1);

/// A connection that the board is asked to open: the kernel's port, its own, for whom, and if with ECN.
type Command = (u16, u16, Owner, bool);

/// What a run leaves.
struct Seen {
    counters: Vec<Counter>,
    /// What was done to frames for the board and from it.
    spoilt: (fault::Done, fault::Done),
    capture: Vec<u8>,
}

/// Runs the board on a TAP device while `body` talks to it, and gives its counters.
fn with_board(
    config: &ToeConfig,
    time: impl TickSource + Send + 'static,
    body: impl FnOnce(SocketAddr),
) -> Vec<Counter> {
    let sound = Faults::none();
    let (seen, outcome) = with_board_over(config, time, (sound, 0), |address, _| body(address));
    if let Err(failure) = outcome {
        resume_unwind(failure);
    }
    seen.counters
}

/// The same over a line with these faults each way, of this seed; `body` may have the board open connections, and how it ended is given too.
fn with_board_over(
    config: &ToeConfig,
    time: impl TickSource + Send + 'static,
    (faults, seed): (Faults, u64),
    body: impl FnOnce(SocketAddr, &Sender<Command>),
) -> (Seen, thread::Result<()>) {
    let device = TapLink::open("toe0", Medium::Ethernet).expect("a TAP device");
    device.without_ipv6().expect("IPv6 can be turned off");
    device.configure(KERNEL, 24, None).expect("an address");
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let well = Arc::new(AtomicBool::new(false));
    let is_well = well.clone();
    let board_config = config.clone();
    let (up, is_up) = channel();
    let (command, commands) = channel::<Command>();
    let runner = thread::spawn(move || {
        let board = SimulatedBoard::new(&board_config, Backend::Verilog, GmiiPort::new(), time)
            .expect("the board");
        let line = FaultInjector::new(device, seed, faults, faults);
        let line = PcapWriter::new(line, vec![]).expect("memory can be written");
        let mut world = World::new(board, line, Clock::real());
        up.send(()).expect("the test waits");
        while !flag.load(Ordering::Acquire) {
            world
                .run(2_000)
                .expect("the board keeps the rules of its line");
            for (remote, local, owner, ecn) in commands.try_iter() {
                let (ip, board) = (KERNEL.octets(), &mut world.board);
                let taken = if ecn {
                    board.connect_with_ecn(ip, remote, local, owner as u8)
                } else {
                    board.connect(ip, remote, local, owner as u8)
                };
                taken.expect("the command is taken");
            }
        }
        let mut board = world.board;
        let counters = board.counters();
        // Whatever the kernel and the line did, the board lives.
        if is_well.load(Ordering::Relaxed) {
            still_alive("kernel", &board_config, board);
        }
        let (line, capture) = world.link.finish().expect("memory can be written");
        Seen {
            counters,
            spoilt: (line.to_board(), line.from_board()),
            capture,
        }
    });
    // The kernel gives up asking for an address after three seconds.
    is_up.recv().expect("the board runs");
    let address = SocketAddr::from((config.ip, 7));
    let outcome = catch_unwind(AssertUnwindSafe(|| body(address, &command)));
    well.store(outcome.is_ok(), Ordering::Relaxed);
    stop.store(true, Ordering::Release);
    (runner.join().expect("the board ran"), outcome)
}

fn value(counters: &[Counter], cause: Cause) -> u64 {
    let of = |c: &&Counter| c.name == cause.name();
    counters.iter().find(of).map_or(0, |c| c.value)
}

fn echo(address: SocketAddr, data: &[u8]) {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(60)).expect("connected");
    converse(stream, data);
}

/// The board connects, from this port.
fn echo_of_a_caller(command: &Sender<Command>, local: u16, ecn: bool, data: &[u8]) {
    let listener = TcpListener::bind((KERNEL, 0)).expect("a listener");
    listener.set_nonblocking(true).expect("a listener");
    let port = listener.local_addr().expect("an address").port();
    let call = (port, local, Owner::Echo, ecn);
    command.send(call).expect("the board runs");
    let begin = Instant::now();
    let stream = loop {
        match listener.accept() {
            Ok((stream, _)) => break stream,
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                assert!(begin.elapsed().as_secs() < 60, "the board does not call");
                thread::sleep(Duration::from_millis(5));
            }
            Err(e) => panic!("{e}"),
        }
    };
    stream.set_nonblocking(false).expect("a stream");
    converse(stream, data);
}

/// Sends all and half-closes, and meanwhile reads to the end what must be the same.
fn converse(stream: TcpStream, data: &[u8]) {
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

/// Echoes over a line with one mix after another, the kernel connecting and the board connecting at once; every byte is compared.
///
/// # Panics
/// With the mix, the seed, the counters and a capture.
fn over(mixes: impl Iterator<Item = (String, Faults)>, seeds: u64, size: usize) {
    let config = ToeConfig::default();
    for (name, faults) in mixes {
        for seed in 1..=seeds {
            let begin = Instant::now();
            let time = RealTime::new();
            let (seen, outcome) = with_board_over(&config, time, (faults, seed), |to, command| {
                thread::scope(|s| {
                    let seed = seed as u32;
                    s.spawn(move || echo(to, &bytes(size, seed)));
                    echo_of_a_caller(command, 4_000, false, &bytes(size, seed + 1_000));
                });
            });
            let [to, from] = [seen.spoilt.0, seen.spoilt.1];
            if let Err(failure) = outcome {
                let file = capture_file(&format!("kernel-{}-{seed}", name.replace(' ', "-")));
                std::fs::write(&file, &seen.capture).expect("target can be written");
                for c in seen.counters.iter().filter(|c| c.value > 0) {
                    println!("  {} {}", c.name, c.value);
                }
                println!("{name}, seed {seed}, {faults:?}\nto the board {to:?}\nfrom it {from:?}");
                println!("capture: {}", file.display());
                resume_unwind(failure);
            }
            println!(
                "{name}, seed {seed}: {:.1} s, {} and {} frames, sent again {}, timer {}",
                begin.elapsed().as_secs_f64(),
                to.frames,
                from.frames,
                value(&seen.counters, Cause::Retransmit),
                value(&seen.counters, Cause::RtoExpired)
            );
            assert!(value(&seen.counters, Cause::Opened) >= 2);
        }
    }
}

/// Frames are held back for longer than a simulated board takes for a few.
const HELD: toe_sim::link::Duration = toe_sim::link::Duration::from_millis(30);

#[test]
fn the_kernel_calls_and_is_called_over_three_mixes_of_faults() {
    warm(&ToeConfig::default());
    in_namespace(
        "the_kernel_calls_and_is_called_over_three_mixes_of_faults",
        || {
            let chosen = ["reordering", "3 %", "everything"];
            let mixes = mixes::all(HELD).into_iter();
            over(
                mixes.filter(|(name, _)| chosen.contains(&&**name)),
                1,
                16 * 1024,
            );
        },
    );
}

/// The kernel has ECN: it asks as it connects, and agrees as the board does. The line marks in place of dropping, each way.
#[test]
fn the_kernel_calls_and_is_called_with_ecn_over_a_line_that_marks() {
    let config = ToeConfig::default();
    warm(&config);
    in_namespace(
        "the_kernel_calls_and_is_called_with_ecn_over_a_line_that_marks",
        || {
            std::fs::write("/proc/sys/net/ipv4/tcp_ecn", "1").expect("the kernel has ECN");
            let faults = Faults {
                mark: 0.1,
                ..Faults::none()
            };
            let time = RealTime::new();
            let (seen, outcome) = with_board_over(&config, time, (faults, 1), |to, command| {
                echo(to, &bytes(256 * 1024, 1));
                echo_of_a_caller(command, 4_000, true, &bytes(256 * 1024, 2));
            });
            if let Err(failure) = outcome {
                let file = capture_file("kernel-ecn");
                std::fs::write(&file, &seen.capture).expect("target can be written");
                println!("capture: {}", file.display());
                resume_unwind(failure);
            }
            let [to, from] = [seen.spoilt.0, seen.spoilt.1];
            let count = |cause| value(&seen.counters, cause);
            println!(
                "marked {} and {}, sent again {}, timer {}",
                to.marked,
                from.marked,
                count(Cause::Retransmit),
                count(Cause::RtoExpired)
            );
            assert!(to.marked > 10 && from.marked > 10, "{to:?}, {from:?}");
            // Each mark was of text in the window, but for what the kernel sent twice.
            assert_eq!(count(Cause::CongestionExperienced), to.marked);
            // Of either connection the kernel has heard that its marks were seen, and has told that it had seen ours.
            for call in [KERNEL_CALLS, BOARD_CALLS] {
                let told = signs(&seen.capture, config.ip, call);
                assert!(told.iter().all(|n| *n > 0), "{told:?}");
            }
        },
    );
}

/// The board's port where the kernel connects, and where the board does.
const KERNEL_CALLS: u16 = 7;
const BOARD_CALLS: u16 = 4_000;

/// Of a capture: segments of the board with ECE and with CWR, of the kernel with ECE and with CWR, on connections of this port of the board's; SYNs don't count.
fn signs(capture: &[u8], board: [u8; 4], port: u16) -> [u64; 4] {
    let mut seen = [0; 4];
    let mut at = 24;
    while let Some(head) = capture.get(at..at + 16) {
        let length = u32::from_le_bytes([head[8], head[9], head[10], head[11]]) as usize;
        let frame = &capture[at + 16..at + 16 + length];
        at += 16 + length;
        if frame.len() < 54 || frame[12..14] != [8, 0] || frame[23] != 6 || frame[47] & 2 != 0 {
            continue;
        }
        let ours = frame[26..30] == board;
        let half = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
        if half(if ours { 34 } else { 36 }) != port {
            continue;
        }
        let first = if ours { 0 } else { 2 };
        seen[first] += u64::from(frame[47] >> 6 & 1);
        seen[first + 1] += u64::from(frame[47] >> 7 & 1);
    }
    seen
}

#[test]
#[ignore = "takes minutes of real time: all mixes of faults, three seeds each, against the kernel"]
fn the_kernel_calls_and_is_called_over_every_mix_of_faults() {
    warm(&ToeConfig::default());
    in_namespace(
        "the_kernel_calls_and_is_called_over_every_mix_of_faults",
        || over(mixes::all(HELD).into_iter(), 3, 64 * 1024),
    );
}
