//! One design on all back ends: they must agree, port by port and cycle by cycle, whatever the ports' types.
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rust_hdl::prelude::*;
use std::time::{Duration, Instant};
use toe_sim::cxxrtl::{CxxrtlMachine, CxxrtlOptions};
use toe_sim::lockstep::{lockstep_observed, verilog, LockstepError};
use toe_sim::machine::{Machine, MachineError, PortDirection, PortId, PortInfo};
use toe_sim::pair::Lockstep;
use toe_sim::rust::{PortValue, RustMachine};
use toe_sim::verilator::VerilatorMachine;
use toe_sim::{rust_ports, tools};

#[derive(LogicInterface, Clone, Debug, Default)]
struct Bus {
    step: Signal<In, Bits<8>>,
    valid: Signal<In, Bit>,
    total: Signal<Out, Bits<40>>,
    odd: Signal<Out, Bit>,
}

#[derive(LogicBlock, Default)]
struct Adder {
    clock: Signal<In, Clock>,
    reset: Signal<In, Bit>,
    unused: Signal<In, Bits<3>>,
    bus: Bus,
    twice: Signal<Out, Bits<16>>,
    wide: Signal<Out, Bits<64>>,
    sum: DFF<Bits<32>>,
    next: Signal<Local, Bits<32>>,
}

impl Logic for Adder {
    #[hdl_gen]
    fn update(&mut self) {
        dff_setup!(self, clock, sum);
        self.next.next = self.sum.q.val() + bit_cast::<32, 8>(self.bus.step.val());
        if self.bus.valid.val() {
            self.sum.d.next = self.next.val();
        }
        if self.reset.val() {
            self.sum.d.next = bits::<32>(0);
        }
        self.bus.total.next = bit_cast::<40, 32>(self.sum.q.val());
        self.bus.odd.next = self.next.val().get_bit(0); // combinational, through the block
        self.twice.next = bit_cast::<16, 8>(self.bus.step.val());
        self.wide.next = bit_cast::<64, 32>(self.next.val());
    }
}

fn rust() -> Box<dyn Machine> {
    let ports = rust_ports!(Adder {
        in: [reset, unused, bus.step: 8, bus.valid],
        out: [bus.total: 40, bus.odd, twice, wide],
    });
    let set_clock = |top: &mut Adder, clk| top.clock.next = Clock { clk };
    Box::new(RustMachine::new(Adder::default(), ports, set_clock))
}

fn text() -> String {
    let mut block = Adder::default();
    block.connect_all();
    verilog("adder", &block).unwrap()
}

fn cxxrtl(text: &str) -> Box<dyn Machine> {
    Box::new(CxxrtlMachine::new(text, &CxxrtlOptions::default()).unwrap())
}

/// Random inputs for both; the first difference, if any.
fn drive(
    left: Box<dyn Machine>,
    right: Box<dyn Machine>,
) -> Result<(), toe_sim::pair::PairDifference> {
    let mut pair = Lockstep::new(left, right).unwrap();
    let inputs = ["reset", "unused", "bus$step", "bus$valid"].map(|name| pair.port(name).unwrap());
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    for _ in 0..5_000 {
        for port in inputs {
            pair.poke(port, rng.random());
        }
        pair.poke(inputs[0], u64::from(rng.random_bool(0.02)));
        pair.cycle();
        pair.check()?;
    }
    assert_eq!(pair.cycles(), 5_000);
    Ok(())
}

#[test]
fn rust_and_cxxrtl_agree() {
    drive(rust(), cxxrtl(&text())).unwrap();
}

#[test]
fn rust_and_verilator_agree() {
    if let Err(error) = tools::verilator() {
        toe_sim::skip::skipped("rust_and_verilator_agree", error);
        return;
    }
    let text = text();
    drive(
        rust(),
        Box::new(VerilatorMachine::new(&text, "top").unwrap()),
    )
    .unwrap();
    let mut machine = VerilatorMachine::new(&text, "top").unwrap();
    check_trace(&mut machine);
}

#[test]
fn the_pair_names_the_first_difference() {
    let wrong = text().replace("bus$odd = ", "bus$odd = ~");
    let difference = drive(rust(), cxxrtl(&wrong)).unwrap_err();
    assert_eq!((difference.port.as_str(), difference.cycle), ("bus$odd", 0));
    assert_eq!(difference.left_backend, "rust");
    let wrong = text().replace("bus$total", "bus$sum");
    let error = Lockstep::new(rust(), cxxrtl(&wrong)).err().unwrap();
    assert!(
        matches!(error, MachineError::Ports { ref port, .. } if port == "bus$total"),
        "{error}"
    );
}

/// Behind `dyn Machine` nobody asks for the difference: it must end the run by itself.
#[test]
#[should_panic(expected = "`bus$odd` differs in cycle 0: rust")]
fn a_strict_pair_ends_the_run() {
    let wrong = text().replace("bus$odd = ", "bus$odd = ~");
    let pair = Lockstep::new(rust(), cxxrtl(&wrong)).unwrap().strict();
    let mut machine: Box<dyn Machine> = Box::new(pair);
    machine.cycle();
}

fn check_trace(machine: &mut dyn Machine) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (step, valid) = (
        machine.port("bus$step").unwrap(),
        machine.port("bus$valid").unwrap(),
    );
    machine.poke(step, 1);
    machine.poke(valid, 1);
    (0..3).for_each(|_| machine.cycle());
    machine.trace_start(file.path()).unwrap();
    (0..2).for_each(|_| machine.cycle());
    machine.trace_stop().unwrap();
    machine.cycle();
    let text = std::fs::read_to_string(file.path()).unwrap();
    for part in ["bus$total", "#30\n", "#45\n"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("#25\n") && !text.contains("#50\n"));
    assert_eq!(machine.peek(machine.port("bus$total").unwrap()), 6);
}

#[test]
fn cxxrtl_records_the_window_only() {
    check_trace(&mut *cxxrtl(&text()));
}

#[test]
fn another_instance_begins_anew() {
    let mut first = CxxrtlMachine::new(&text(), &CxxrtlOptions::default()).unwrap();
    let [step, valid, total] =
        ["bus$step", "bus$valid", "bus$total"].map(|n| first.port(n).unwrap());
    first.poke(step, 200);
    first.poke(valid, 1);
    (0..10).for_each(|_| first.cycle());
    assert_eq!((first.peek(total), first.again().peek(total)), (2_000, 0));
}

/// A memory that is read at once, a path from input to output, registers that are set from one another.
const QUICK: &str = "module top(input clock, input [7:0] a, input w, output [7:0] y, output reg [15:0] z, output [8:0] s);
    reg [7:0] m [0:255];
    integer i;
    initial begin z = 0; for (i = 0; i < 256; i = i + 1) m[i] = 0; end
    assign y = m[a];
    assign s = a + z[7:0];
    always @(posedge clock) begin
        if (w) m[a] <= z[7:0];
        z <= {z[7:0], y} + 16'd12345;
    end
endmodule";

fn compile(text: &str, optimise: u8) -> CxxrtlMachine {
    let options = CxxrtlOptions {
        optimise,
        ..CxxrtlOptions::default()
    };
    CxxrtlMachine::new(text, &options).unwrap()
}

/// One evaluation a cycle is what three are: outputs after each cycle, and after inputs that were changed since.
fn quick_is_plain(quick: CxxrtlMachine) {
    let plain = quick.again().plainly();
    assert!(quick.is_quick() && !plain.is_quick());
    let ports = quick.ports().to_vec();
    let (mut quick, mut plain, mut rng) = (quick, plain, ChaCha8Rng::seed_from_u64(5));
    let mut changes = vec![0; ports.len()];
    let mut seen = vec![0; ports.len()];
    for cycle in 0..20_000 {
        for (i, port) in ports.iter().enumerate() {
            if port.direction == PortDirection::In {
                let value = match port.name.as_str() {
                    "reset" => u64::from(rng.random_bool(0.01)),
                    _ => rng.random(),
                };
                quick.poke(PortId(i), value);
                plain.poke(PortId(i), value);
            }
        }
        // The rising edge must see inputs that were never evaluated, too.
        if cycle % 3 == 0 {
            quick.eval();
            plain.eval();
            compare(&quick, &plain, &ports);
        }
        // As lockstep does it: the clock by hand.
        if cycle % 5 == 0 {
            for machine in [&mut quick, &mut plain] {
                for level in [true, false] {
                    machine.set_clock(level);
                    machine.eval();
                }
            }
        } else {
            quick.cycle();
            plain.cycle();
        }
        compare(&quick, &plain, &ports);
        for (i, before) in seen.iter_mut().enumerate() {
            let now = quick.peek(PortId(i));
            changes[i] += u32::from(now != *before);
            *before = now;
        }
    }
    assert!(changes.iter().all(|changes| *changes > 50), "{changes:?}");
}

fn compare(quick: &CxxrtlMachine, plain: &CxxrtlMachine, ports: &[PortInfo]) {
    for (i, port) in ports.iter().enumerate() {
        let [quick, plain] = [quick, plain].map(|machine| machine.peek(PortId(i)));
        assert_eq!(quick, plain, "{}", port.name);
    }
}

#[test]
fn a_cycle_in_one_evaluation_is_one_in_three() {
    quick_is_plain(compile(QUICK, 1));
    quick_is_plain(compile(QUICK, 3));
    quick_is_plain(compile(&text(), 1));
}

/// A design that one evaluation is not enough for, or that has more than one clock, must not be run so.
#[test]
fn what_needs_more_than_one_evaluation_gets_it() {
    for (wrong, right) in [
        (
            "reading what is stored at the falling edge",
            ("posedge", "negedge"),
        ),
        (
            "a register that is set without the clock",
            ("posedge clock", "posedge clock or posedge w"),
        ),
        ("a clock of another name", ("posedge clock", "posedge a[0]")),
        (
            "the clock as data",
            ("assign y =", "assign y = {8{clock}} ^"),
        ),
    ] {
        let mut text = QUICK.replace(right.0, right.1);
        if wrong.contains("without the clock") {
            text = text
                .replace("if (w) m[a] <= z[7:0];", "if (w) z <= 5; else")
                .replace("input w", "input w, input v");
        }
        assert!(text != QUICK && !compile(&text, 1).is_quick(), "{wrong}");
    }
    // A loop that is none, bit by bit.
    let fold = "module top(input clock, input [3:0] a, output [3:0] y); wire [3:0] t; assign t = {t[2:0] ^ a[3:1], a[0]}; assign y = t; endmodule";
    let mut machine = compile(fold, 1);
    assert!(!machine.is_quick());
    let [a, y] = ["a", "y"].map(|name| machine.port(name).unwrap());
    for value in 0..16 {
        machine.poke(a, value);
        machine.cycle();
        let want = (0..4).fold((0, 0), |(all, bit), i| {
            let bit = bit ^ (value >> i & 1);
            (all | bit << i, bit)
        });
        assert_eq!(machine.peek(y), want.0, "of {value}");
    }
}

#[test]
fn a_missing_top_is_reported() {
    let error = CxxrtlMachine::new("module x(); endmodule", &CxxrtlOptions::default());
    assert!(error.err().unwrap().to_string().contains("top"));
}

#[derive(LogicState, Copy, Clone, Debug, PartialEq)]
enum Command {
    Nothing,
    Open,
    Close,
}

#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
struct Record {
    low: Bits<3>,
    command: Command,
    flag: Bit,
    high: Bits<40>,
}

/// Ports of every kind: struct, enum, more than 64 bits, arrays, a clock that is not called `clock`.
#[derive(LogicBlock, Default)]
struct Kinds {
    beat: Signal<In, Clock>,
    record: Signal<In, Record>,
    wide: Signal<In, Bits<100>>,
    several: [Signal<In, Bits<5>>; 3],
    out_record: Signal<Out, Record>,
    out_command: Signal<Out, Command>,
    out_wide: Signal<Out, Bits<100>>,
    out_several: [Signal<Out, Bits<5>>; 3],
    register: DFF<Record>,
    wide_register: DFF<Bits<100>>,
}

impl Logic for Kinds {
    #[hdl_gen]
    fn update(&mut self) {
        self.register.clock.next = self.beat.val();
        self.wide_register.clock.next = self.beat.val();
        self.register.d.next = self.record.val();
        self.wide_register.d.next = self.wide.val();
        self.out_record.next = self.register.q.val();
        self.out_command.next = self.register.q.val().command;
        self.out_wide.next = self.wide_register.q.val();
        for i in 0..3 {
            self.out_several[i].next = self.several[i].val();
        }
    }
}

fn fill(uut: &mut Kinds, rng: &mut ChaCha8Rng) {
    uut.record.next = Record {
        low: PortValue::from_u64(rng.random()),
        command: [Command::Nothing, Command::Open, Command::Close][rng.random_range(0..3)],
        flag: rng.random(),
        high: PortValue::from_u64(rng.random()),
    };
    let halves: [u64; 2] = rng.random();
    let [low, high] = halves.map(|half| {
        let half: Bits<50> = PortValue::from_u64(half);
        bit_cast::<100, 50>(half)
    });
    uut.wide.next = low | (high << 50_u64);
    for port in &mut uut.several {
        port.next = PortValue::from_u64(rng.random());
    }
}

#[test]
fn ports_of_every_kind_are_compared() {
    let mut moved = 0;
    let report = lockstep_observed(
        "kinds",
        Kinds::default,
        |uut, clk| uut.beat.next = Clock { clk },
        2_000,
        3,
        |uut, _, rng| fill(uut, rng),
        // Before the edge a combinational output already follows this cycle's input.
        |uut, _| moved += u64::from(uut.several[2].val() == uut.out_several[2].val()),
    )
    .unwrap();
    report.assert_active();
    assert_eq!(moved, 2_000);
    assert_eq!(report.outputs.len(), 6);
}

/// A primitive whose Verilog differs from its Rust in one place.
#[derive(LogicBlock)]
struct Primitive {
    clock: Signal<In, Clock>,
    d: Signal<In, Bits<72>>,
    q: Signal<Out, Bits<72>>,
    _verilog: &'static str,
}

impl Logic for Primitive {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.q.next = self.d.val();
        }
    }
    fn connect(&mut self) {
        self.q.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(self._verilog.into())
    }
}

fn primitive(name: &str, text: &'static str, d: impl Fn(u64) -> u64) -> Result<(), LockstepError> {
    toe_sim::lockstep(
        name,
        || Primitive {
            clock: Default::default(),
            d: Default::default(),
            q: Default::default(),
            _verilog: text,
        },
        |uut, clk| uut.clock.next = Clock { clk },
        1_000,
        1,
        |uut, cycle, _| {
            let value: Bits<72> = d(cycle).to_bits();
            uut.d.next = value << 12_u64;
        },
    )
    .map(|_| ())
}

#[test]
fn one_wrong_bit_in_one_cycle_is_found() {
    let right = "initial q = 0; always @(posedge clock) q <= d;";
    primitive("right", right, |cycle| cycle << 50).unwrap();

    let Err(LockstepError::Difference(found)) = primitive(
        "high_bit",
        "initial q = 0; always @(posedge clock) q <= {1'b0, d[70:0]};",
        |cycle| u64::from(cycle == 700) << 59,
    ) else {
        panic!("bit 71 was not compared");
    };
    assert_eq!(
        (found.cycle, found.after_edge, &*found.port),
        (700, true, "q")
    );
    assert_eq!(
        (&*found.rust, &*found.verilog),
        ("0x800000000000000000", "0x0")
    );

    let Err(LockstepError::Difference(found)) = primitive(
        "initial_value",
        "initial q = 1; always @(posedge clock) q <= d;",
        |_| 0,
    ) else {
        panic!("the initial value was not compared");
    };
    assert_eq!((found.cycle, found.after_edge), (0, false));

    let Err(LockstepError::Difference(found)) = primitive(
        "falling",
        "initial q = 0; always @(negedge clock) q <= d;",
        |cycle| cycle,
    ) else {
        panic!("the edge was not told apart");
    };
    assert_eq!((found.cycle, found.after_edge), (1, true));
}

#[test]
fn a_failed_assertion_of_the_test_leaves_the_waveforms() {
    let file = tools::target().join("lockstep/stopped.cxxrtl.vcd");
    let _ = std::fs::remove_file(&file);
    let stopped = std::panic::catch_unwind(|| {
        toe_sim::lockstep(
            "stopped",
            Kinds::default,
            |uut, clk| uut.beat.next = Clock { clk },
            1_000,
            1,
            |uut, cycle, rng| {
                assert!(cycle < 500, "on purpose");
                fill(uut, rng);
            },
        )
    });
    assert!(stopped.is_err());
    let text = std::fs::read_to_string(file).unwrap();
    // The window: at least 200 cycles, and not from the beginning.
    assert!(text.contains("#3000\n") && text.contains("#4990\n") && !text.contains("#1000\n"));
}

/// This thread's time on a processor where the system tells it, so that other work does not count; else the time of day.
fn busy_time(start: Instant) -> Duration {
    std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .map_or_else(|| start.elapsed(), Duration::from_nanos)
}

/// 60 ports, 10,000 cycles: lockstep must not be what a test waits for.
#[test]
fn lockstep_is_fast_enough() {
    #[derive(LogicBlock, Default)]
    struct Many {
        clock: Signal<In, Clock>,
        a: [Signal<In, Bits<16>>; 30],
        y: [Signal<Out, Bits<16>>; 30],
    }
    impl Logic for Many {
        #[hdl_gen]
        fn update(&mut self) {
            for i in 0..30 {
                self.y[i].next = !self.a[i].val();
            }
        }
    }
    let run = |cycles| {
        let start = Instant::now();
        let before = busy_time(start);
        let report = toe_sim::lockstep!("many", Many::default(), cycles, |uut, _, rng| {
            for port in &mut uut.a {
                port.next = PortValue::from_u64(rng.random());
            }
        });
        report.assert_active();
        busy_time(start) - before
    };
    run(10); // builds
    let best = (0..3).map(|_| run(10_000)).min().unwrap();
    println!("10,000 cycles of 60 ports: {best:?}");
    assert!(best < Duration::from_secs(2), "{best:?}");
}
