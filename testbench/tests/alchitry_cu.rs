//! The board's top at its pins: bits in, bits out.
use rust_hdl::prelude::*;
use toe_bsp::alchitry_cu::{self, AlchitryCu};
use toe_sim::board::SlipBoard;
use toe_sim::cxxrtl::{CxxrtlMachine, CxxrtlOptions};
use toe_sim::link::Medium;
use toe_sim::machine::Machine;
use toe_sim::pair::Lockstep;
use toe_sim::peer::{Conversation, Peer, PeerConfig};
use toe_sim::rust::RustMachine;
use toe_sim::time::SimulatedTime;
use toe_sim::uart::SlipPort;
use toe_sim::world::{Board, Clock as Time, World};
use toe_testbench::transfers::bytes;

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
