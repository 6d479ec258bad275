//! Runs a block as Rust and as its own Verilog, side by side, and compares every output in every cycle.
//!
//! This is what makes a rust-hdl simulation worth something: the two disagree silently in many ways. A test is:
//!
//! ```
//! use rand::Rng;
//! use rust_hdl::prelude::*;
//! use toe_sim::rust::PortValue;
//!
//! #[derive(LogicBlock, Default)]
//! struct Adder {
//!     clock: Signal<In, Clock>,
//!     enable: Signal<In, Bit>,
//!     step: Signal<In, Bits<8>>,
//!     total: Signal<Out, Bits<8>>,
//!     register: DFF<Bits<8>>,
//! }
//!
//! impl Logic for Adder {
//!     #[hdl_gen]
//!     fn update(&mut self) {
//!         dff_setup!(self, clock, register);
//!         if self.enable.val() {
//!             self.register.d.next = self.register.q.val() + self.step.val();
//!         }
//!         self.total.next = self.register.q.val();
//!     }
//! }
//!
//! let report = toe_sim::lockstep!("adder", Adder::default(), 10_000, |uut, _cycle, rng| {
//!     uut.enable.next = rng.random_bool(0.7);
//!     uut.step.next = PortValue::from_u64(rng.random()); // cut to the port's width
//! });
//! report.assert_active(); // every output changed at least once: the stimulus reached something
//! ```
//!
//! The closure runs once a cycle, with the clock low and everything settled, and sets `.next` of inputs (never the clock). It may read
//! outputs: they show the state *after* the last edge, under the *last* cycle's inputs. So with a registered `ready`, the beat offered now
//! moves in this cycle if `uut.rx.ready.val()` is high now. Where `ready` depends on inputs, or to feed a scoreboard, use
//! [`lockstep_observed`], whose second closure runs just before the rising edge.
//!
//! The macro wants the clock in a field `clock` and panics with the whole story; [`lockstep()`] takes a setter and returns an error. On a
//! difference `target/lockstep` holds NAME.v and both waveforms of the last cycles, NAME.rust.vcd and NAME.cxxrtl.vcd (a cycle is
//! 10 ns, the rising edge at 5), and the message names the seed: `TOE_SEED=…` reruns it, or tries another.
//! Latches, undeclared names, slices past the end and undriven signals are refused before the first cycle.
use crate::cxxrtl::{CxxrtlMachine, CxxrtlOptions};
use crate::machine::{Machine, MachineError, PortDirection, PortId};
use crate::rust::PASSES;
use crate::tools;
use crate::vcd::Recorder;
use rand_chacha::rand_core::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rust_hdl::core::atom::AtomKind;
use rust_hdl::core::check_error::{CheckError, PathedName};
use rust_hdl::prelude::*;
use std::fmt::Write as _;
use std::panic::{catch_unwind, resume_unwind, AssertUnwindSafe};
use std::path::PathBuf;

/// How often the waveform recorder begins anew: twice a cycle, so it holds 200 to 400 cycles.
const KEEP: usize = 400;

/// What a run without differences tells.
#[derive(Debug, Clone)]
pub struct LockstepReport {
    pub name: String,
    pub cycles: u64,
    pub seed: u64,
    /// Each output, with the number of cycles in which it changed.
    pub outputs: Vec<(String, u64)>,
}

impl LockstepReport {
    /// The outputs that kept one value throughout.
    pub fn never_changed(&self) -> Vec<&str> {
        let still = self.outputs.iter().filter(|(_, changes)| *changes == 0);
        still.map(|(name, _)| name.as_str()).collect()
    }

    /// Checks that the stimulus was worth its name.
    ///
    /// # Panics
    /// If an output never changed.
    pub fn assert_active(&self) {
        let still = self.never_changed();
        assert!(
            still.is_empty(),
            "{}: outputs that never changed: {}",
            self.name,
            still.join(", ")
        );
    }
}

/// The first difference between the two.
#[derive(Debug, Clone)]
pub struct Difference {
    pub name: String,
    pub port: String,
    pub cycle: u64,
    /// False: under the cycle's inputs, before its rising edge. True: after it.
    pub after_edge: bool,
    /// Hexadecimal.
    pub rust: String,
    /// Hexadecimal.
    pub verilog: String,
    pub seed: u64,
    /// Where Verilog and waveforms are.
    pub files: PathBuf,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "lockstep {}: `{}` differs in cycle {}, {} the rising edge: Rust {}, Verilog {}\nrerun with TOE_SEED={}; Verilog and waveforms: {}.*",
            self.name,
            self.port,
            self.cycle,
            if self.after_edge { "after" } else { "before" },
            self.rust,
            self.verilog,
            self.seed,
            self.files.display(),
        )
    }
}

/// Why a lockstep run ended early.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LockstepError {
    /// `check_all` refused the block.
    #[error("{name} is not well connected: {problem}")]
    Check { name: String, problem: String },
    /// rust-hdl could not write the Verilog.
    #[error("{name}: the Verilog generator panicked: {problem}")]
    Generate { name: String, problem: String },
    /// The Verilog could not be compiled. A latch, an undeclared name or a slice past the end ends here too.
    #[error("{name}: its Verilog, kept as {file}, was not accepted: {source}", file = file.display())]
    Machine {
        name: String,
        file: PathBuf,
        source: Box<MachineError>,
    },
    /// A port of the block is not in the Verilog, or has another width.
    #[error("{name}: port `{port}`: {problem}")]
    Port {
        name: String,
        port: String,
        problem: String,
    },
    /// The Rust simulation does not come to rest.
    #[error("{name}: combinational loop: not settled after {PASSES} passes in cycle {cycle} (TOE_SEED={seed})")]
    Loop { name: String, cycle: u64, seed: u64 },
    /// They differ.
    #[error("{0}")]
    Difference(Box<Difference>),
}

/// Lockstep in one call, for a block whose clock is the field `clock`: name, block, cycles, stimulus. Panics on any error. The seed is
/// the cycle count unless TOE_SEED is set.
#[macro_export]
macro_rules! lockstep {
    ($name:expr, $make:expr, $cycles:expr, $stimulus:expr $(,)?) => {
        $crate::lockstep::lockstep(
            $name,
            || $make,
            |uut, clk| uut.clock.next = $crate::rust_hdl::prelude::Clock { clk },
            $cycles,
            $cycles,
            $stimulus,
        )
        .unwrap_or_else(|error| panic!("{error}"))
    };
}

/// The run's seed: TOE_SEED, decimal or 0x…, or else the given one.
///
/// # Panics
/// If TOE_SEED is not a number: a rerun with another seed than the one meant would mislead.
pub fn seed_or(default: u64) -> u64 {
    let Ok(text) = std::env::var("TOE_SEED") else {
        return default;
    };
    let number = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    number.unwrap_or_else(|_| panic!("TOE_SEED={text} is not a number"))
}

/// A top-level port as the Rust block shows it.
struct RustPort {
    name: String,
    kind: AtomKind,
    width: usize,
    /// Bits, not an enum or a struct: readable the quick way.
    plain: bool,

    /// Its first 32-bit word in the flat array of values.
    at: usize,
    words: usize,
    id: Option<PortId>,
}

/// Visits the atoms of the top block and of its interfaces, but not those of its submodules.
struct Top<F: FnMut(&str, &str, &dyn Atom)> {
    depth: usize,
    namespace: String,
    visit: F,
}

impl<F: FnMut(&str, &str, &dyn Atom)> Probe for Top<F> {
    fn visit_start_scope(&mut self, _: &str, _: &dyn Block) {
        self.depth += 1;
    }
    fn visit_start_namespace(&mut self, name: &str, _: &dyn Block) {
        if self.depth == 1 {
            self.namespace.push_str(name);
            self.namespace.push('$');
        }
    }
    fn visit_atom(&mut self, name: &str, signal: &dyn Atom) {
        if self.depth == 1 {
            (self.visit)(&self.namespace, name, signal);
        }
    }
    fn visit_end_namespace(&mut self, name: &str, _: &dyn Block) {
        if self.depth == 1 {
            let rest = self.namespace.len() - name.len() - 1;
            self.namespace.truncate(rest);
        }
    }
    fn visit_end_scope(&mut self, _: &str, _: &dyn Block) {
        self.depth -= 1;
    }
}

fn visit_top(block: &dyn Block, visit: impl FnMut(&str, &str, &dyn Atom)) {
    block.accept(
        "top",
        &mut Top {
            depth: 0,
            namespace: String::new(),
            visit,
        },
    );
}

fn set_bits(words: &mut [u32], bits: &[vcd::Value]) {
    for (i, bit) in bits.iter().rev().enumerate() {
        if *bit == vcd::Value::V1 {
            words[i / 32] |= 1 << (i % 32);
        }
    }
}

fn read_atom(signal: &dyn Atom, plain: bool, words: &mut [u32]) {
    words.fill(0);
    if plain {
        match signal.vcd() {
            VCDValue::Single(bit) => set_bits(words, &[bit]),
            VCDValue::Vector(bits) => set_bits(words, &bits),
            _ => {}
        }
        return;
    }
    // Enums and structs: the literal is packed as the Verilog packs it.
    let text = format!("{:x}", signal.verilog());
    let digits = text.rsplit(['h', '\'']).next().unwrap_or_default();
    for (i, digit) in digits.chars().rev().enumerate() {
        if let (Some(word), Some(value)) = (words.get_mut(i / 8), digit.to_digit(16)) {
            *word |= value << (4 * (i % 8));
        }
    }
}

fn hex(words: &[u32]) -> String {
    let mut text = String::new();
    for word in words.iter().rev() {
        let _ = if text.is_empty() {
            write!(text, "{word:x}")
        } else {
            write!(text, "{word:08x}")
        };
    }
    let short = text.trim_start_matches('0');
    format!("0x{}", if short.is_empty() { "0" } else { short })
}

/// `check_all` in words.
pub fn check(block: &dyn Block) -> Result<(), String> {
    let name = |p: &PathedName| format!("{}.{}", p.path.replace('$', "."), p.name);
    let list = |names: Vec<String>| {
        let mut names = names;
        names.sort();
        names.join(", ")
    };
    check_all(block).map_err(|error| match error {
        CheckError::OpenSignal(open) => {
            format!("never driven: {}", list(open.values().map(name).collect()))
        }
        CheckError::LogicLoops(loops) => format!(
            "read before written, or a loop: {}",
            list(loops.iter().map(name).collect())
        ),
        CheckError::WritesToInputs(writes) => format!(
            "an input of its own is written: {}",
            list(writes.iter().map(name).collect())
        ),
    })
}

/// The block's Verilog, after `connect_all`; a panic of the generator becomes an error.
///
/// # Errors
/// When `check_all` refuses the block, or the generator panics.
pub fn verilog<B: Block>(name: &str, block: &B) -> Result<String, LockstepError> {
    check(block).map_err(|problem| LockstepError::Check {
        name: name.into(),
        problem,
    })?;
    catch_unwind(AssertUnwindSafe(|| generate_verilog(block))).map_err(|panic| {
        LockstepError::Generate {
            name: name.into(),
            problem: panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string))
                .unwrap_or_default(),
        }
    })
}

/// Where a test of this name leaves its files, without the ending.
fn files(name: &str) -> PathBuf {
    let dir = tools::target().join("lockstep");
    let _ = std::fs::create_dir_all(&dir);
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    dir.join(name.chars().map(plain).collect::<String>())
}

struct Run<B: Block> {
    name: String,
    seed: u64,
    rust: B,
    verilog: CxxrtlMachine,
    text: String,
    ports: Vec<RustPort>,
    /// The Rust side's values of all ports, and those poked into the Verilog last.
    values: Vec<u32>,
    poked: Vec<u32>,
    /// The outputs as compared last.
    seen: Vec<u32>,
    changes: Vec<u64>,
    /// Every change of an input, to replay the Verilog for its waveform: time, word, value.
    history: Vec<(u64, usize, u32)>,
    recorder: Recorder,
    cycle: u64,
}

impl<B: Block> Run<B> {
    fn new(name: &str, mut rust: B, seed: u64) -> Result<Self, LockstepError> {
        rust.connect_all();
        let text = verilog(name, &rust)?;
        let options = CxxrtlOptions::default();
        let machine = CxxrtlMachine::new(&text, &options).map_err(|source| {
            let file = files(name).with_extension("v");
            let _ = std::fs::write(&file, &text);
            LockstepError::Machine {
                name: name.into(),
                file,
                source: source.into(),
            }
        })?;
        let mut ports: Vec<RustPort> = vec![];
        let mut at = 0;
        visit_top(&rust, |namespace, atom, signal| {
            let descriptor = signal.descriptor();
            let width = signal.bits();
            let words = width.div_ceil(32);
            ports.push(RustPort {
                name: format!("{namespace}{atom}"),
                kind: signal.kind(),
                width,
                plain: matches!(descriptor.kind, TypeKind::Bits(_) | TypeKind::Signed(_)),

                at,
                words,
                id: None,
            });
            at += words;
        });
        let error = |port: &RustPort, problem: String| LockstepError::Port {
            name: name.into(),
            port: port.name.clone(),
            problem,
        };
        for port in &mut ports {
            let direction = match port.kind {
                AtomKind::InputParameter => PortDirection::In,
                AtomKind::OutputParameter => PortDirection::Out,
                AtomKind::InOutParameter => {
                    return Err(error(port, "an inout cannot be compared".into()))
                }
                _ => continue,
            };
            if port.name == "clock" {
                continue; // the machine drives it
            }
            match machine.port(&port.name) {
                Ok(id) => {
                    let info = &machine.ports()[id.0];
                    if info.width != port.width || info.direction != direction {
                        return Err(error(
                            port,
                            format!("{} bits in Rust, {info:?} in Verilog", port.width),
                        ));
                    }
                    port.id = Some(id);
                }
                // An input that nothing reads may be gone.
                Err(_) if direction == PortDirection::In => {}
                Err(source) => return Err(error(port, source.to_string())),
            }
        }
        let recorder = Recorder::new(&rust, Some(KEEP));
        Ok(Self {
            name: name.into(),
            seed,
            text,
            values: vec![0; at],
            poked: vec![0; at],
            seen: vec![0; at],
            changes: vec![0; ports.len()],
            history: vec![],
            recorder,
            cycle: 0,
            rust,
            verilog: machine,
            ports,
        })
    }

    /// Settles the Rust, carries its inputs over, settles the Verilog, compares.
    fn phase(&mut self, after_edge: bool) -> Result<(), LockstepError> {
        self.settle()?;
        let time = self.cycle * 10 + if after_edge { 5 } else { 0 };
        self.recorder.sample(&self.rust, time);
        let (values, ports) = (&mut self.values, &self.ports);
        let mut index = 0;
        visit_top(&self.rust, |_, _, signal| {
            let port = &ports[index];
            index += 1;
            if port.id.is_some() {
                read_atom(
                    signal,
                    port.plain,
                    &mut values[port.at..port.at + port.words],
                );
            }
        });
        for port in &self.ports {
            let (Some(id), AtomKind::InputParameter) = (port.id, port.kind) else {
                continue;
            };
            let range = port.at..port.at + port.words;
            if self.poked[range.clone()] != self.values[range.clone()] {
                for word in range.clone() {
                    self.history.push((time, word, self.values[word]));
                    self.poked[word] = self.values[word];
                }
                self.verilog.poke_words(id, &self.values[range]);
            }
        }
        // The short way where the design has it, so that each test of a block is one of that, too.
        let quick = self.verilog.is_quick();
        if after_edge && quick {
            self.verilog.cycle();
        } else {
            self.verilog.set_clock(after_edge);
            self.verilog.eval();
        }
        let mut words = [0; 64];
        for (i, port) in self.ports.iter().enumerate() {
            let (Some(id), AtomKind::OutputParameter) = (port.id, port.kind) else {
                continue;
            };
            let range = port.at..port.at + port.words;
            let mut long;
            let got = if port.words <= words.len() {
                &mut words[..port.words]
            } else {
                long = vec![0; port.words];
                &mut long[..]
            };
            self.verilog.peek_words(id, got);
            let want = &self.values[range.clone()];
            if want != got {
                return Err(LockstepError::Difference(Box::new(Difference {
                    name: self.name.clone(),
                    port: port.name.clone(),
                    cycle: self.cycle,
                    after_edge,
                    rust: hex(want),
                    verilog: hex(got),
                    seed: self.seed,
                    files: self.leave_files(),
                })));
            }
            if *want != self.seen[range.clone()] {
                self.changes[i] += 1;
                self.seen[range.clone()].copy_from_slice(&self.values[range]);
            }
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<(), LockstepError> {
        for _ in 0..PASSES {
            self.rust.update_all();
            if !self.rust.has_changed() {
                return Ok(());
            }
        }
        self.leave_files();
        Err(LockstepError::Loop {
            name: self.name.clone(),
            cycle: self.cycle,
            seed: self.seed,
        })
    }

    /// Writes the Verilog and both waveforms; gives their common path without the ending. What cannot be written is left out.
    fn leave_files(&self) -> PathBuf {
        let base = files(&self.name);
        let _ = std::fs::write(base.with_extension("v"), &self.text);
        let _ = self.recorder.write(&base.with_extension("rust.vcd"));
        let mut machine = self.verilog.again();
        let mut words = vec![0; self.values.len()];
        let mut history = self.history.iter().peekable();
        for cycle in 0..=self.cycle {
            for (time, level) in [(cycle * 10, false), (cycle * 10 + 5, true)] {
                while let Some((_, word, value)) = history.next_if(|change| change.0 <= time) {
                    words[*word] = *value;
                }
                for port in &self.ports {
                    if let (Some(id), AtomKind::InputParameter) = (port.id, port.kind) {
                        machine.poke_words(id, &words[port.at..port.at + port.words]);
                    }
                }
                machine.set_clock(level);
                machine.eval();
                if time == self.recorder.begin() {
                    let _ = machine.trace_start(&base.with_extension("cxxrtl.vcd"));
                }
                machine.sample(time);
            }
        }
        base
    }
}

/// Runs `make()` as Rust and as its own Verilog side by side for `cycles` clocks. `stimulus` sets the inputs of each cycle.
/// See the [module's text](self) for when it runs and what it may read.
///
/// # Errors
/// The first difference; or that the block or its Verilog is refused before the first cycle.
pub fn lockstep<B: Block>(
    name: &str,
    make: impl FnOnce() -> B,
    set_clock: impl Fn(&mut B, bool),
    cycles: u64,
    seed: u64,
    stimulus: impl FnMut(&mut B, u64, &mut ChaCha8Rng),
) -> Result<LockstepReport, LockstepError> {
    lockstep_observed(name, make, set_clock, cycles, seed, stimulus, |_, _| {})
}

/// [`lockstep()`], with a second closure that runs when the cycle's inputs have settled, just before the rising edge: a beat moves in
/// this cycle exactly if `valid` and `ready` are both high then.
///
/// # Errors
/// As [`lockstep()`].
pub fn lockstep_observed<B: Block>(
    name: &str,
    make: impl FnOnce() -> B,
    set_clock: impl Fn(&mut B, bool),
    cycles: u64,
    seed: u64,
    mut stimulus: impl FnMut(&mut B, u64, &mut ChaCha8Rng),
    mut observe: impl FnMut(&B, u64),
) -> Result<LockstepReport, LockstepError> {
    let seed = seed_or(seed);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut run = Run::new(name, make(), seed)?;
    run.settle()?;
    for cycle in 0..cycles {
        run.cycle = cycle;
        // An assertion of the test's own that fails leaves the waveforms too.
        let guarded = catch_unwind(AssertUnwindSafe(|| {
            stimulus(&mut run.rust, cycle, &mut rng);
        }));
        if let Err(panic) = guarded {
            run.give_up(panic);
        }
        run.phase(false)?;
        let guarded = catch_unwind(AssertUnwindSafe(|| observe(&run.rust, cycle)));
        if let Err(panic) = guarded {
            run.give_up(panic);
        }
        set_clock(&mut run.rust, true);
        run.phase(true)?;
        set_clock(&mut run.rust, false);
        run.settle()?;
        if !run.verilog.is_quick() {
            run.verilog.set_clock(false);
            run.verilog.eval();
        }
    }
    let outputs = run.ports.iter().zip(&run.changes);
    Ok(LockstepReport {
        name: name.into(),
        cycles,
        seed,
        outputs: outputs
            .filter(|(port, _)| port.kind == AtomKind::OutputParameter)
            .map(|(port, changes)| (port.name.clone(), *changes))
            .collect(),
    })
}

impl<B: Block> Run<B> {
    fn give_up(&self, panic: Box<dyn std::any::Any + Send>) -> ! {
        let files = self.leave_files();
        eprintln!(
            "lockstep {}: the test stopped in cycle {}; rerun with TOE_SEED={}; waveforms: {}.*",
            self.name,
            self.cycle,
            self.seed,
            files.display()
        );
        resume_unwind(panic)
    }
}
