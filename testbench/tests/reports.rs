//! The ports `report_…` of the whole engine: how connections begin and end, urgent text, errors that end nothing (RFC 9293 sections 3.8.5, 3.9.1.8). What is told when, the program's scripts hold.
use toe_hdl::config::ToeConfig;
use toe_hdl::tcp::isa::{notify, report};
use toe_host::board::{Backend, SimulatedBoard};
use toe_sim::gmii::GmiiPort;
use toe_sim::time::SimulatedTime;
use toe_testbench::liveness::{Bench, Client};
use toe_testbench::wire::*;

const URG: u8 = 32;

/// Kinds and values told of since the last time; all of them of one connection.
fn told(b: &mut Bench) -> Vec<(u8, u32)> {
    b.rest();
    b.segments.clear();
    let reports = b.board.take_reports();
    assert!(reports.windows(2).all(|two| two[0].conn == two[1].conn));
    reports.into_iter().map(|r| (r.kind, r.value)).collect()
}

/// The client's segment behind so many bytes sent before, with this text and an urgent pointer.
fn urgent(b: &Bench, c: &Client, sent: u32, data: &[u8], pointer: u16) -> Vec<u8> {
    let mut t = c.segment(ACK | URG);
    t.seq = t.seq.wrapping_add(sent);
    t.data = data.to_vec();
    let mut frame = t.frame(&b.config);
    frame[14 + 20 + 18..][..2].copy_from_slice(&pointer.to_be_bytes());
    mend(&mut frame);
    frame
}

fn open(b: &mut Bench) -> Client {
    let mut c = b.client(Vec::new());
    b.send(c.segment(SYN).frame(&b.config));
    b.rest();
    for t in std::mem::take(&mut b.segments) {
        c.take(&t).expect("a SYN-ACK");
    }
    b.send(c.segment(ACK).frame(&b.config));
    // The echo is owner 0.
    assert_eq!(told(b), [(notify::OPEN, 0)]);
    c
}

/// On the Verilog; that it and the blocks have the same on these ports in every cycle, `lockstep_whole` holds.
#[test]
fn the_ports_tell_what_nobody_asked_for() {
    let config = ToeConfig::default();
    let board = SimulatedBoard::new(
        &config,
        Backend::Verilog,
        GmiiPort::new(),
        SimulatedTime::new(1_000),
    );
    let mut b = Bench::around("reports", &config, board.expect("the board can be built"));
    b.board.keep_reports().expect("the ports are there");
    let c = open(&mut b);
    // Three of its six bytes are urgent; then a pointer beyond what has come.
    let frame = urgent(&b, &c, 0, b"abcdef", 3);
    b.send(frame);
    assert_eq!(told(&mut b), [(report::URGENT, 3)]);
    let frame = urgent(&b, &c, 6, b"", 0xFFFF);
    b.send(frame.clone());
    assert_eq!(told(&mut b), [(report::URGENT, 0xFFFF)]);
    b.send(frame);
    assert_eq!(told(&mut b), []);
    // Host unreachable, of the echo's text, which is on its way.
    let quote = quoted(&b.config, (7, c.ports.0), c.rcv_nxt());
    let error = icmp_error(&b.config, (3, 1), 0, &quote);
    b.send(error);
    assert_eq!(told(&mut b), [(report::SOFT_ERROR, 0x301)]);
    // An end by RST, and one in order, are not the same.
    let mut rst = c.segment(RST);
    rst.seq = rst.seq.wrapping_add(6);
    b.send(rst.frame(&b.config));
    let ended = told(&mut b);
    assert_eq!(
        ended.iter().map(|r| r.0).collect::<Vec<_>>(),
        [notify::RESET]
    );
    let c = open(&mut b);
    b.send(c.segment(FIN | ACK).frame(&b.config));
    b.rest();
    let kinds: Vec<u8> = told(&mut b).iter().map(|r| r.0).collect();
    assert_eq!(kinds, [notify::PEER_FIN]);
}
