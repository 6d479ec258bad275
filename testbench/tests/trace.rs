//! The engine's trace is no privilege of one top: it is switched on here for the endpoint on the serial line, on both back ends.
use rust_hdl::prelude::*;
use toe_hdl::config::ToeConfig;
use toe_hdl::toe::SlipToe;
use toe_host::trace::EngineTrace;
use toe_sim::cxxrtl::{CxxrtlMachine, CxxrtlOptions};
use toe_sim::link::Medium;
use toe_sim::machine::Machine;
use toe_sim::peer::{Conversation, Peer, PeerConfig};
use toe_sim::rust::RustMachine;
use toe_sim::uart::SlipPort;
use toe_sim::world::{with_port, Clock as Time, World};
use toe_testbench::transfers::bytes;

/// Cycles of a bit, and of a tick.
const BIT: u32 = 4;
const TICK: u64 = 2_000;

fn config() -> ToeConfig {
    ToeConfig {
        mtu: 576,
        rx_ring_bytes: 512,
        tx_ring_bytes: 512,
        ..ToeConfig::default()
    }
}

fn rust() -> Box<dyn Machine> {
    let ports = toe_sim::rust_ports!(SlipToe {
        in: [reset, tick, rx],
        out: [
            tx, any_open, trace_pc, trace_valid, trace_event, trace_kind, trace_conn, trace_done,
            trace_store, trace_store_conn, trace_operand, trace_data
        ],
    });
    let toe = SlipToe::new(&config(), BIT).expect("a sound configuration");
    Box::new(RustMachine::new(toe, ports, |toe, clk| {
        toe.clock.next = Clock { clk }
    }))
}

fn verilog() -> Box<dyn Machine> {
    let mut toe = SlipToe::new(&config(), BIT).expect("a sound configuration");
    toe.connect_all();
    let options = CxxrtlOptions {
        optimise: 2,
        ..CxxrtlOptions::default()
    };
    Box::new(CxxrtlMachine::new(&generate_verilog(&toe), &options).expect("the Verilog compiles"))
}

/// What the engine did during an echo of 300 bytes.
fn traced(mut m: Box<dyn Machine>) -> Vec<String> {
    let p = |name: &str| m.port(name).expect("a port");
    let (reset, tick, rx, tx) = (p("reset"), p("tick"), p("rx"), p("tx"));
    let mut trace = EngineTrace::new(&*m, &config()).expect("the trace ports are there");
    m.poke(rx, 1);
    m.poke(reset, 1);
    m.cycle();
    m.cycle();
    m.poke(reset, 0);
    for _ in 0..500 {
        m.cycle();
    }
    let mut cycle = 0;
    let board = with_port(SlipPort::new(BIT), |port: &mut SlipPort| {
        let bit = port.step(m.peek(tx) == 1);
        m.poke(rx, u64::from(bit));
        m.poke(tick, u64::from(cycle % TICK == TICK - 1));
        m.cycle();
        trace.sample(&*m, cycle);
        cycle += 1;
    });
    let mut peer = Peer::new(&PeerConfig {
        medium: Medium::Ip,
        mtu: 576,
        ..PeerConfig::default()
    });
    peer.add(Conversation::echo_client(
        config().ip.into(),
        7,
        bytes(300, 1),
    ));
    let mut world = World::new(board, peer, Time::simulated(TICK * 1000));
    let ended = world.run_until(2_000_000, |_, peer| peer.finished().expect("no failure"));
    ended.expect("an echo");
    drop(world);
    trace.events().iter().map(ToString::to_string).collect()
}

#[test]
fn the_serial_endpoint_is_traced_alike_on_both_back_ends() {
    let (rust, verilog) = (traced(rust()), traced(verilog()));
    assert!(rust.len() > 8, "{rust:#?}");
    assert!(rust[0].contains("no_connection.slot → "), "{}", rust[0]);
    assert!(rust.iter().any(|e| e.contains("commit")), "{rust:#?}");
    assert_eq!(rust, verilog);
}
