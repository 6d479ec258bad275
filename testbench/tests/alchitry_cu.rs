//! The board's top at its pins: bits in, bits out.
use rust_hdl::prelude::*;
use toe_bsp::alchitry_cu::{self, AlchitryCu};
use toe_hdl::tcp::keyed_hash::hash;
use toe_sim::board::SlipBoard;
use toe_sim::cxxrtl::{CxxrtlMachine, CxxrtlOptions};
use toe_sim::link::{Frame, Medium};
use toe_sim::machine::Machine;
use toe_sim::pair::Lockstep;
use toe_sim::peer::{Conversation, Peer, PeerConfig};
use toe_sim::rust::RustMachine;
use toe_sim::time::SimulatedTime;
use toe_sim::uart::SlipPort;
use toe_sim::world::{Board, Clock as Time, Port, World};
use toe_testbench::transfers::bytes;
use toe_testbench::wire::{mend_packet, Tcp, ACK, IP, RST, SYN};

/// Cycles of a bit and of a tick: shorter than on the board, or a test would wait for ever.
const BIT: u32 = 4;
const TICK: u32 = 2_000;

fn top() -> AlchitryCu {
    AlchitryCu::with(&alchitry_cu::config(), BIT, TICK).expect("a sound configuration")
}

fn rust() -> Box<dyn Machine> {
    let ports = toe_sim::rust_ports!(AlchitryCu { in: [reset_n, usb_rx], out: [usb_tx, led] });
    Box::new(RustMachine::new(top(), ports, |top, clk| {
        top.clock.next = Clock { clk }
    }))
}

fn verilog() -> Box<dyn Machine> {
    let mut uut = top();
    uut.connect_all();
    let options = CxxrtlOptions {
        optimise: 2,
        ..CxxrtlOptions::default()
    };
    Box::new(CxxrtlMachine::new(&generate_verilog(&uut), &options).expect("the Verilog compiles"))
}

fn on_the_line(mut m: Box<dyn Machine>) -> impl Board<Port = SlipPort> {
    let p = |n: &str| m.port(n).expect("a pin");
    let (reset, rx, led) = (p("reset_n"), p("usb_rx"), p("led"));
    m.poke(reset, 1);
    m.poke(rx, 1);
    for _ in 0..100 {
        m.cycle();
    }
    assert_eq!(m.peek(led) & 0x83, 0x80, "locked, and nothing else yet");
    // The board makes its own ticks: it has no such pin.
    let time = SimulatedTime::new(u64::from(TICK));
    SlipBoard::new(m, time, SlipPort::new(BIT), "usb_tx", "usb_rx").expect("pins")
}

fn peer() -> Peer {
    Peer::new(&PeerConfig {
        medium: Medium::Ip,
        mtu: 576,
        ..PeerConfig::default()
    })
}

fn run(machine: Box<dyn Machine>, mut peer: Peer, cycles: u64) {
    peer.interface();
    let mut world = World::new(
        on_the_line(machine),
        peer,
        Time::simulated(u64::from(TICK) * 1000),
    );
    let mut failure = None;
    let ended = world.run_until(cycles, |_, peer| match peer.finished() {
        Ok(done) => done,
        Err(e) => {
            failure = Some(e.to_string());
            true
        }
    });
    assert_eq!(failure, None);
    ended.unwrap_or_else(|e| panic!("{e}\n{}", world.link.report()));
}

/// Both, compared in every cycle; a difference is a panic.
fn both() -> Box<dyn Machine> {
    let pair = Lockstep::new(rust(), verilog()).expect("the same pins");
    Box::new(pair.strict())
}

#[test]
fn the_board_answers_a_ping_at_its_pins_on_both_back_ends_alike() {
    let mut peer = peer();
    peer.ping(alchitry_cu::config().ip.into(), 56, 2);
    run(both(), peer, 400_000);
}

#[test]
fn the_top_is_its_verilog_over_random_bits_and_resets() {
    let mut m = both();
    let p = |n: &str| m.port(n).expect("a pin");
    let (reset, rx, led) = (p("reset_n"), p("usb_rx"), p("led"));
    let mut bits = bytes(20_000, 11).into_iter();
    let mut lights = std::collections::BTreeSet::new();
    for cycle in 0..20_000u32 {
        // Noise in pieces of some bits, idles between, the button now and then.
        let noise = bits.next().expect("as many as cycles");
        if cycle % BIT == 0 {
            let idle = cycle / 1_000 % 4 == 3;
            m.poke(rx, u64::from(idle || noise & 1 == 1));
        }
        m.poke(reset, u64::from(cycle % 7_000 > 20));
        m.cycle();
        lights.insert(m.peek(led));
    }
    // The clock is locked throughout; noise lights the light of a broken packet, and being no packet, no other.
    assert!(lights.iter().any(|l| l & 0x10 != 0), "{lights:x?}");
    assert!(lights.iter().all(|l| l & !0x10 == 0x80), "{lights:x?}");
}

#[test]
fn two_kibibytes_are_echoed_at_the_pins() {
    for machine in [verilog(), rust()] {
        let mut peer = peer();
        peer.add(Conversation::echo_client(
            alchitry_cu::config().ip.into(),
            7,
            bytes(2048, 1),
        ));
        run(machine, peer, 2_000_000);
    }
}

/// Queues a packet and runs until one comes back; fewer cycles than a tick has pass unless the line itself needs more.
fn answer(board: &mut impl Board<Port = SlipPort>, packet: &[u8]) -> Option<Tcp> {
    board.port().queue(Frame::new(packet));
    for _ in 0..20_000 {
        board.cycle();
        if let Some(frame) = board.port().take() {
            return Tcp::from_packet(&frame.bytes);
        }
    }
    None
}

/// What the board has against strangers, in its Verilog at its pins: first numbers are a clock and the keyed hash, blocks tell what is held, a challenge is an ACK, and an address that no peer has gets nothing.
#[test]
fn strangers_find_it_hardened() {
    let config = alchitry_cu::config();
    assert!(config.hardened() && config.isn_in_program());
    let mut board = on_the_line(verilog());
    let segment = |port: u16, flags: u8, seq: u32, ack: u32| Tcp {
        ports: (port, 7),
        seq,
        ack,
        flags,
        wnd: 500,
        ..Tcp::default()
    };
    // M of RFC 6528 is ticks and cycles since the start: small, and it rises.
    let mut before = 0;
    for port in [1_000, 1_001, 40_000, 1_000] {
        let mut syn = segment(port, SYN, 1_000, 0);
        // MSS 100, SACK permitted.
        syn.options = vec![2, 4, 0, 100, 1, 1, 4, 2];
        let got = answer(&mut board, &syn.packet(&config)).expect("SYN-ACK");
        assert_eq!((got.flags, got.ack), (SYN | ACK, 1_001));
        assert_eq!(got.options[4..], [1, 1, 4, 2]);
        let ports = u32::from(port) << 16 | 7;
        let f = hash(config.isn_key, ports, u32::from_be_bytes(IP));
        let m = got.seq.wrapping_sub(f);
        assert!(m < 1 << 16 && m >> 8 >= before >> 8, "{m:#x}, {before:#x}");
        before = m;
        let ours = got.seq.wrapping_add(1);
        let ack = segment(port, ACK, 1_001, ours).packet(&config);
        assert_eq!(answer(&mut board, &ack), None);
        // Text ahead of a gap: its edges are told.
        let mut text = segment(port, ACK, 1_011, ours);
        text.data = vec![7; 5];
        let got = answer(&mut board, &text.packet(&config)).expect("ACK");
        let edges = [1_011u32.to_be_bytes(), 1_016u32.to_be_bytes()].concat();
        assert_eq!((got.flags, got.ack), (ACK, 1_001));
        assert_eq!(got.options, [&[1, 1, 5, 10], &edges[..]].concat());
        // RFC 5961: a SYN, and a RST that only lies in the window, are challenged.
        for flags in [SYN, RST] {
            let blind = segment(port, flags, 1_100, 0).packet(&config);
            let got = answer(&mut board, &blind).expect("a challenge");
            assert_eq!((got.flags, got.seq, got.ack), (ACK, ours, 1_001));
        }
        let reset = segment(port, RST, 1_001, 0).packet(&config);
        assert_eq!(answer(&mut board, &reset), None);
    }
    // A SYN from a broadcast address.
    let mut bad = segment(1_000, SYN, 1_000, 0).packet(&config);
    bad[12..16].copy_from_slice(&[192, 168, 69, 255]);
    mend_packet(&mut bad);
    assert_eq!(answer(&mut board, &bad), None);
}
