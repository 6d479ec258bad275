//! The Rust back end: steps the block itself, without rust-hdl's scheduler and its threads.
use crate::machine::{Machine, MachineError, PortDirection, PortId, PortInfo};
use crate::tools::ToolError;
use crate::vcd::Recorder;
use rust_hdl::prelude::*;
use std::path::{Path, PathBuf};

/// More passes than this mean a combinational loop.
pub(crate) const PASSES: usize = 1_000;

/// A value that fits a port.
pub trait PortValue: Synth {
    fn to_u64(self) -> u64;
    /// Bits above the width are ignored.
    fn from_u64(value: u64) -> Self;
}

impl PortValue for bool {
    fn to_u64(self) -> u64 {
        u64::from(self)
    }
    fn from_u64(value: u64) -> Self {
        value & 1 == 1
    }
}

impl<const N: usize> PortValue for Bits<N> {
    fn to_u64(self) -> u64 {
        const { assert!(N <= 64, "a port is at most 64 bits wide") };
        Bits::to_u64(self)
    }
    fn from_u64(value: u64) -> Self {
        const { assert!(N <= 64, "a port is at most 64 bits wide") };
        (value & crate::machine::mask(N)).to_bits()
    }
}

type Set<B> = Option<fn(&mut B, u64)>;

/// Reads and writes one port of a block. Made by [`rust_ports!`](crate::rust_ports).
pub struct RustPort<B> {
    pub info: PortInfo,
    pub get: fn(&B) -> u64,
    /// `None` for an output.
    pub set: Set<B>,
}

/// The width of a signal's type, for [`rust_ports!`](crate::rust_ports): the closure is never called.
pub fn width_of<B, D: Direction, T: PortValue>(_: fn(&B) -> &Signal<D, T>) -> usize {
    T::BITS
}

/// The table of a block's ports for [`RustMachine::new`]; `rx.data` is named `rx$data`, as in the Verilog.
///
/// `rust_ports!(Top { in: [reset, rx.data, rx.valid], out: [tx.data] })`. A width that the caller relies on may be stated,
/// `rx.data: 8`, and is checked.
#[macro_export]
macro_rules! rust_ports {
    ($block:ty { in: [$($($in:ident).+ $(: $in_width:expr)?),* $(,)?], out: [$($($out:ident).+ $(: $out_width:expr)?),* $(,)?] $(,)? }) => {
        vec![
            $($crate::rust_ports!(@port $block, In, $($in).+ $(: $in_width)?,
                Some(|block: &mut $block, value: u64| block.$($in).+.next = $crate::rust::PortValue::from_u64(value))),)*
            $($crate::rust_ports!(@port $block, Out, $($out).+ $(: $out_width)?, None),)*
        ]
    };
    (@port $block:ty, $direction:ident, $($field:ident).+ $(: $expected:expr)?, $set:expr) => {{
        let name = stringify!($($field).+).replace([' ', '\n'], "").replace('.', "$");
        let width = $crate::rust::width_of::<$block, _, _>(|block| &block.$($field).+);
        $(assert_eq!(width, $expected, "the width of port {name}");)?
        $crate::rust::RustPort::<$block> {
            info: $crate::machine::PortInfo {
                name,
                width,
                direction: $crate::machine::PortDirection::$direction,
            },
            get: |block: &$block| $crate::rust::PortValue::to_u64(block.$($field).+.val()),
            set: $set,
        }
    }};
}

/// A rust-hdl block as a [`Machine`].
pub struct RustMachine<B: Block> {
    block: B,
    set_clock: fn(&mut B, bool),
    get: Vec<fn(&B) -> u64>,
    set: Vec<Set<B>>,
    ports: Vec<PortInfo>,
    cycles: u64,
    /// Whether the falling edge settles by itself.
    both_edges: bool,
    trace: Option<(Recorder, PathBuf)>,
}

impl<B: Block> RustMachine<B> {
    /// Connects the block and settles it in its initial state.
    ///
    /// ```
    /// use rust_hdl::prelude::*;
    /// use toe_sim::machine::Machine;
    /// use toe_sim::rust::RustMachine;
    /// # #[derive(LogicBlock, Default)]
    /// # struct Top { clock: Signal<In, Clock>, a: Signal<In, Bits<8>>, y: Signal<Out, Bits<8>> }
    /// # impl Logic for Top { #[hdl_gen] fn update(&mut self) { self.y.next = self.a.val(); } }
    /// let ports = toe_sim::rust_ports!(Top { in: [a: 8], out: [y] });
    /// let mut machine = RustMachine::new(Top::default(), ports, |top, clk| top.clock.next = Clock { clk });
    /// let (a, y) = (machine.port("a").unwrap(), machine.port("y").unwrap());
    /// machine.poke(a, 7);
    /// machine.cycle();
    /// assert_eq!(machine.peek(y), 7);
    /// ```
    ///
    /// # Panics
    /// If the block does not settle.
    pub fn new(mut block: B, ports: Vec<RustPort<B>>, set_clock: fn(&mut B, bool)) -> Self {
        block.connect_all();
        let mut machine = Self {
            block,
            set_clock,
            get: ports.iter().map(|port| port.get).collect(),
            set: ports.iter().map(|port| port.set).collect(),
            ports: ports.into_iter().map(|port| port.info).collect(),
            cycles: 0,
            both_edges: true,
            trace: None,
        };
        machine.settle();
        machine
    }

    /// For a block that does nothing at the falling edge and does not use the clock as data: the edge then settles together with what
    /// is poked next, which saves the engine five passes of 30 a cycle.
    #[must_use]
    pub fn rising_only(mut self) -> Self {
        self.both_edges = false;
        self
    }

    /// The block, to look inside.
    pub fn block(&self) -> &B {
        &self.block
    }

    #[inline]
    fn settle(&mut self) {
        for _ in 0..PASSES {
            self.block.update_all();
            if !self.block.has_changed() {
                return;
            }
        }
        panic!(
            "combinational loop: not settled after {PASSES} passes in cycle {}",
            self.cycles
        );
    }

    fn sample(&mut self, time: u64) {
        if let Some((recorder, _)) = &mut self.trace {
            recorder.sample(&self.block, time);
        }
    }
}

impl<B: Block> Machine for RustMachine<B> {
    fn backend(&self) -> &str {
        "rust"
    }

    fn ports(&self) -> &[PortInfo] {
        &self.ports
    }

    fn poke(&mut self, port: PortId, value: u64) {
        match self.set[port.0] {
            Some(set) => set(&mut self.block, value),
            None => debug_assert!(
                self.ports[port.0].direction == PortDirection::In,
                "poke of the output {}",
                self.ports[port.0].name
            ),
        }
    }

    fn peek(&self, port: PortId) -> u64 {
        (self.get[port.0])(&self.block)
    }

    fn eval(&mut self) {
        self.settle();
    }

    fn cycle(&mut self) {
        self.settle();
        self.sample(self.cycles * 10);
        (self.set_clock)(&mut self.block, true);
        self.settle();
        self.sample(self.cycles * 10 + 5);
        (self.set_clock)(&mut self.block, false);
        if self.both_edges {
            self.settle();
        }
        self.cycles += 1;
    }

    fn cycles(&self) -> u64 {
        self.cycles
    }

    fn trace_start(&mut self, file: &Path) -> Result<(), MachineError> {
        self.trace_stop()?;
        self.trace = Some((Recorder::new(&self.block, None), file.into()));
        Ok(())
    }

    fn trace_stop(&mut self) -> Result<(), MachineError> {
        if let Some((recorder, file)) = self.trace.take() {
            recorder
                .write(&file)
                .map_err(ToolError::io(format!("writing {}", file.display())))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(LogicInterface, Clone, Debug, Default)]
    struct Bus {
        step: Signal<In, Bits<8>>,
        total: Signal<Out, Bits<40>>,
    }

    #[derive(LogicBlock, Default)]
    struct Counter {
        clock: Signal<In, Clock>,
        enable: Signal<In, Bit>,
        bus: Bus,
        even: Signal<Out, Bit>,
        count: DFF<Bits<32>>,
    }

    impl Logic for Counter {
        #[hdl_gen]
        fn update(&mut self) {
            dff_setup!(self, clock, count);
            if self.enable.val() {
                self.count.d.next = self.count.q.val() + bit_cast::<32, 8>(self.bus.step.val());
            }
            self.bus.total.next = bit_cast::<40, 32>(self.count.q.val());
            self.even.next = !self.count.q.val().get_bit(0);
        }
    }

    fn counter() -> RustMachine<Counter> {
        RustMachine::new(
            Counter::default(),
            rust_ports!(Counter { in: [enable: 1, bus.step: 8], out: [bus.total: 40, even] }),
            |top, clk| top.clock.next = Clock { clk },
        )
    }

    #[test]
    fn a_counter_counts_once_a_cycle() {
        let mut machine = counter();
        let [enable, step, total, even] =
            ["enable", "bus$step", "bus$total", "even"].map(|name| machine.port(name).unwrap());
        machine.poke(enable, 1);
        machine.poke(step, 0x103); // of which 8 bits count
        for n in 0..5 {
            assert_eq!(
                (machine.peek(total), machine.peek(even)),
                (3 * n, 1 - n % 2)
            );
            machine.cycle();
        }
        machine.poke(enable, 0);
        machine.cycle();
        assert_eq!((machine.peek(total), machine.cycles()), (15, 6));
        let error = machine.port("bus.total").unwrap_err().to_string();
        assert!(
            error.contains("bus.total") && error.contains("bus$total"),
            "{error}"
        );
    }

    /// The same outputs and the same waveform, however the falling edge settles.
    #[test]
    fn rising_edges_alone_are_the_same() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let run = |mut machine: RustMachine<Counter>| {
            let [enable, step] = ["enable", "bus$step"].map(|name| machine.port(name).unwrap());
            let outputs = ["bus$total", "even"].map(|name| machine.port(name).unwrap());
            let mut seen = vec![];
            machine.trace_start(file.path()).unwrap();
            for cycle in 0..1_000u64 {
                machine.poke(enable, u64::from(cycle % 7 != 3));
                machine.poke(step, cycle * cycle % 251);
                if cycle % 3 == 0 {
                    machine.eval();
                    seen.push(outputs.map(|port| machine.peek(port)));
                }
                machine.cycle();
                seen.push(outputs.map(|port| machine.peek(port)));
            }
            machine.trace_stop().unwrap();
            (seen, std::fs::read_to_string(file.path()).unwrap())
        };
        let (both, rising) = (run(counter()), run(counter().rising_only()));
        assert_eq!(both.0, rising.0);
        assert!(both.1 == rising.1, "the waveforms differ");
    }

    #[test]
    fn a_trivial_counter_runs_a_million_cycles_a_second() {
        #[derive(LogicBlock, Default)]
        struct Tiny {
            clock: Signal<In, Clock>,
            y: Signal<Out, Bits<8>>,
            count: DFF<Bits<8>>,
        }
        impl Logic for Tiny {
            #[hdl_gen]
            fn update(&mut self) {
                dff_setup!(self, clock, count);
                self.count.d.next = self.count.q.val() + 1;
                self.y.next = self.count.q.val();
            }
        }
        let ports = rust_ports!(Tiny { in: [], out: [y] });
        let mut machine = RustMachine::new(Tiny::default(), ports, |top, clk| {
            top.clock.next = Clock { clk }
        });
        // The best of several: other work on the machine only ever slows it.
        let best = (0..20)
            .map(|_| {
                let start = std::time::Instant::now();
                for _ in 0..20_000 {
                    machine.cycle();
                }
                start.elapsed()
            })
            .min()
            .unwrap();
        assert_eq!(machine.peek(PortId(0)), 400_000 % 256);
        assert!(best.as_micros() < 20_000, "20,000 cycles took {best:?}");
    }

    #[test]
    #[should_panic(expected = "combinational loop")]
    fn a_loop_is_named() {
        #[derive(LogicBlock, Default)]
        struct Ring {
            clock: Signal<In, Clock>,
            a: Signal<Out, Bit>,
        }
        impl Logic for Ring {
            #[hdl_gen]
            fn update(&mut self) {
                self.a.next = !self.a.val();
            }
        }
        RustMachine::new(
            Ring::default(),
            rust_ports!(Ring { in: [], out: [a] }),
            |top, clk| top.clock.next = Clock { clk },
        );
    }

    #[test]
    fn a_waveform_holds_the_window_and_the_hierarchy() {
        let mut machine = counter();
        let file = tempfile::NamedTempFile::new().unwrap();
        let (enable, step) = (
            machine.port("enable").unwrap(),
            machine.port("bus$step").unwrap(),
        );
        machine.poke(enable, 1);
        machine.poke(step, 1);
        (0..3).for_each(|_| machine.cycle());
        machine.trace_start(file.path()).unwrap();
        (0..2).for_each(|_| machine.cycle());
        machine.trace_stop().unwrap();
        machine.cycle();
        let text = std::fs::read_to_string(file.path()).unwrap();
        let last_count = format!("b{:032b} ", 5);
        for part in [
            "$scope module bus $end",
            "$scope module count $end",
            "#30\n",
            "#45\n",
            &last_count,
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
        assert!(!text.contains("#25\n") && !text.contains("#50\n"));
    }
}
