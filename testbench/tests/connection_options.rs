//! Options of a connection through the port of the whole engine: no delay, keepalive, user timeout, DSCP (RFC 9293 sections 3.7.4, 3.8.4, 3.10.8, 3.9.2.1). To the tick they are held by the program's scripts.
use toe_hdl::config::{Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_hdl::tcp::program::constant::{KEEPALIVE_INTERVAL, RTO_MIN};
use toe_hdl::tcp::program::host::ConnectionOption::{self, *};
use toe_host::board::{Backend, SimulatedBoard};
use toe_sim::gmii::GmiiPort;
use toe_sim::time::SimulatedTime;
use toe_testbench::liveness::{Bench, Client};
use toe_testbench::wire::*;

fn bench(name: &str, cycles_per_tick: u64) -> Bench {
    let config = ToeConfig::default();
    let time = SimulatedTime::new(cycles_per_tick);
    let board = SimulatedBoard::new(&config, Backend::Verilog, GmiiPort::new(), time);
    Bench::around(name, &config, board.expect("the board can be built"))
}

/// An application's command.
fn set(b: &mut Bench, c: &Client, owner: Owner, option: ConnectionOption) {
    let (remote, local) = c.ports;
    let taken = (b.board).set_option(IP, remote, local, owner as u8, option);
    taken.expect("the engine takes the command");
}

/// What the board says to this client until the line is at rest.
fn heard(b: &mut Bench, c: &Client) -> Vec<Tcp> {
    b.rest();
    let segments = std::mem::take(&mut b.segments);
    let to = (c.ports.1, c.ports.0);
    segments.into_iter().filter(|t| t.ports == to).collect()
}

/// The text among it.
fn text(b: &mut Bench, c: &Client) -> Vec<u8> {
    heard(b, c).into_iter().flat_map(|t| t.data).collect()
}

/// A connection to the echo.
fn open(b: &mut Bench) -> Client {
    let mut c = b.client(Vec::new());
    let mut syn = c.segment(SYN);
    syn.options = vec![2, 4, 5, 0xB4];
    b.send(syn.frame(&b.config));
    for t in heard(b, &c) {
        c.take(&t).expect("a SYN-ACK");
    }
    assert!(c.is_open(), "no answer to a SYN: {c:?}");
    b.send(c.segment(ACK).frame(&b.config));
    assert_eq!(heard(b, &c), []);
    c
}

/// Sends a byte, the `n`th, and acknowledges none of its echoes.
fn send(b: &mut Bench, c: &Client, n: u32) {
    let mut t = c.segment(ACK | PSH);
    t.seq = t.seq.wrapping_add(n);
    t.data = vec![b'a' + n as u8];
    b.send(t.frame(&b.config));
}

#[test]
fn a_command_turns_nagle_off_for_the_connection_of_its_application() {
    let mut b = bench("connection_options_no_delay", 1_000);
    let (c, other) = (open(&mut b), open(&mut b));
    send(&mut b, &c, 0);
    assert_eq!(text(&mut b, &c), b"a");
    send(&mut b, &c, 1);
    assert_eq!(text(&mut b, &c), b"");
    set(&mut b, &c, Owner::Discard, NoDelay(true));
    assert_eq!(text(&mut b, &c), b"");
    assert_eq!(b.board.counter(Cause::ConnectRefused), 1);
    set(&mut b, &c, Owner::Echo, NoDelay(true));
    assert_eq!(text(&mut b, &c), b"b");
    for n in 2..6 {
        send(&mut b, &c, n);
        assert_eq!(text(&mut b, &c), [b'a' + n as u8]);
    }
    assert_eq!(b.board.counter(Cause::Retransmit), 0);
    // The other goes on as it was.
    send(&mut b, &other, 0);
    assert_eq!(text(&mut b, &other), b"a");
    send(&mut b, &other, 1);
    assert_eq!(text(&mut b, &other), b"");
    assert_eq!(b.board.counter(Cause::ConnectRefused), 1);
    b.account();
}

#[test]
fn a_silent_peer_is_asked_and_one_that_acknowledges_nothing_given_up() {
    const TICK: u64 = 128;
    let mut b = bench("connection_options_timeouts", TICK);
    let mut c = open(&mut b);
    set(&mut b, &c, Owner::Echo, Keepalive(4));
    set(&mut b, &c, Owner::Echo, UserTimeout(2));
    let from = b.board.cycles();
    while b.segments.is_empty() {
        b.cycle();
    }
    let ticks = (b.board.cycles() - from) / TICK;
    let interval = u64::from(KEEPALIVE_INTERVAL);
    assert!((interval..=2 * interval).contains(&ticks), "{ticks} ticks");
    let [probe] = &heard(&mut b, &c)[..] else {
        panic!("no probe, or more")
    };
    assert_eq!((probe.flags, probe.data.len()), (ACK, 0));
    assert_eq!(probe.seq, c.rcv_nxt().wrapping_sub(1));
    b.send(c.segment(ACK).frame(&b.config));
    set(&mut b, &c, Owner::Echo, Keepalive(0));
    b.run(3 * interval * TICK);
    assert_eq!(heard(&mut b, &c), []);

    send(&mut b, &c, 0);
    while !b.segments.iter().any(|t| !t.data.is_empty()) {
        b.cycle();
    }
    let from = b.board.cycles();
    let before = b.board.counter(Cause::GaveUp);
    while !b.segments.iter().any(|t| t.flags & RST != 0) {
        b.cycle();
        assert!(b.board.cycles() < from + 4_000 * TICK, "it is not given up");
    }
    let ticks = (b.board.cycles() - from) / TICK;
    assert!((1_998..=2_002).contains(&ticks), "{ticks} ticks");
    let again = heard(&mut b, &c);
    let again = again.iter().filter(|t| !t.data.is_empty()).count();
    // 200, 400, 800 ticks apart.
    assert_eq!((again, RTO_MIN), (1 + 3, 200));
    assert_eq!(b.board.counter(Cause::GaveUp), before + 1);
    set(&mut b, &c, Owner::Echo, UserTimeout(2));
    b.rest();
    assert_eq!(b.board.counter(Cause::ConnectRefused), 1);
    c = open(&mut b);
    assert!(c.is_open());
    b.account();
}

/// What leaves since the last time, with its DSCP.
fn classes(b: &mut Bench) -> Vec<(u8, u8)> {
    b.rest();
    let segments = std::mem::take(&mut b.segments);
    let tos = b.tos.split_off(b.tos.len() - segments.len());
    let both = segments.iter().zip(tos);
    both.map(|(t, tos)| (t.flags & !PSH, tos >> 2)).collect()
}

#[test]
fn a_dscp_is_that_of_its_connection_and_may_change_while_it_lasts() {
    let mut b = bench("connection_options_dscp", 1_000);
    let (c, other) = (open(&mut b), open(&mut b));
    send(&mut b, &c, 0);
    assert_eq!(classes(&mut b), [(ACK, 0)]);
    for (n, dscp) in [(1, 46), (2, 63), (3, 0), (4, 8)] {
        set(&mut b, &c, Owner::Echo, NoDelay(true));
        set(&mut b, &c, Owner::Echo, Diffserv(dscp));
        send(&mut b, &c, n);
        assert_eq!(classes(&mut b), [(ACK, dscp)]);
        send(&mut b, &other, n - 1);
        assert!(classes(&mut b).iter().all(|sent| sent.1 == 0));
    }
    set(&mut b, &c, Owner::Echo, Diffserv(64));
    b.rest();
    assert_eq!(b.board.counter(Cause::ConnectRefused), 1);
    // An active open begins with its own.
    let (ip, remote, local) = (IP, 40_009, 2_000);
    let reply = arp(&b.config, 2);
    b.send(reply);
    b.rest();
    let asked = b.board.connect_with_diffserv(ip, remote, local, 0, 10);
    asked.expect("the engine takes the command");
    assert_eq!(classes(&mut b), [(SYN, 10)]);
    b.account();
}
