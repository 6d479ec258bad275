//! The simulated board: the engine on one of the back ends, a line at its pins, a source of time.
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use anyhow::{anyhow, bail, Context, Result};
use rust_hdl::prelude::*;
use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_hdl::tcp::model::toe::Report;
use toe_hdl::tcp::program::host::{open, ConnectionOption};
use toe_hdl::toe::EthernetToe;
use toe_sim::board::GmiiBoard;
use toe_sim::cxxrtl::{CxxrtlMachine, CxxrtlOptions};
use toe_sim::gmii::GmiiPort;
use toe_sim::machine::{Machine, PortId};
use toe_sim::pair;
use toe_sim::rust::RustMachine;
use toe_sim::time::TickSource;
use toe_sim::tools;
use toe_sim::verilator::VerilatorMachine;
use toe_sim::world::Board;

use crate::report::Counter;
use crate::trace::{self, EngineTrace};

/// What runs the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The rust-hdl blocks themselves: needs nothing but cargo.
    Rust,
    /// The generated Verilog, compiled: by Verilator where a new enough one is on PATH, else by CXXRTL.
    Verilog,
    /// The generated Verilog, compiled by Yosys' CXXRTL: needs a C++ compiler and Python 3.
    Cxxrtl,
    /// The generated Verilog, compiled by Verilator.
    Verilator,
    /// The Rust blocks and the Verilog, compared in every cycle; the first difference ends the run with a panic.
    Lockstep,
}

/// Every back end with its name on the command line.
const BACKENDS: [(&str, Backend); 5] = [
    ("rust", Backend::Rust),
    ("verilog", Backend::Verilog),
    ("cxxrtl", Backend::Cxxrtl),
    ("verilator", Backend::Verilator),
    ("lockstep", Backend::Lockstep),
];

impl FromStr for Backend {
    type Err = anyhow::Error;
    fn from_str(s: &str) -> Result<Self> {
        match BACKENDS.iter().find(|(name, _)| *name == s) {
            Some((_, backend)) => Ok(*backend),
            None => bail!(
                "there is no back end `{s}`; there are {}",
                BACKENDS.map(|(name, _)| name).join(", ")
            ),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |(_, backend): &&(&str, Self)| backend == self;
        f.write_str(BACKENDS.iter().find(of).map_or("?", |(name, _)| name))
    }
}

impl Backend {
    /// Whether it runs the compiled Verilog alone, quick enough for runs of millions of cycles.
    pub fn is_compiled(self) -> bool {
        matches!(self, Self::Verilog | Self::Cxxrtl | Self::Verilator)
    }

    /// Which of the two compiles the Verilog, where this back end has any.
    fn compiler(self) -> Option<Self> {
        match self {
            Self::Rust => None,
            Self::Cxxrtl | Self::Verilator => Some(self),
            Self::Verilog | Self::Lockstep if tools::verilator().is_ok() => Some(Self::Verilator),
            Self::Verilog | Self::Lockstep => Some(Self::Cxxrtl),
        }
    }

    /// What runs, with the version: `CXXRTL of Yosys 0.70`.
    ///
    /// # Errors
    /// When a tool is missing.
    pub fn machine_name(self) -> Result<String> {
        let compiled = match self.compiler() {
            None => return Ok("the rust-hdl blocks themselves".into()),
            Some(Self::Verilator) => format!("Verilator {}", tools::verilator()?.version),
            Some(_) => format!("CXXRTL of Yosys {}", tools::yosys()?.version),
        };
        Ok(match self {
            Self::Lockstep => format!("the rust-hdl blocks beside {compiled}"),
            _ => compiled,
        })
    }
}

/// The Verilog of an engine.
///
/// # Errors
/// When the configuration is bad, or rust-hdl finds an unconnected signal or a loop.
pub fn verilog(config: &ToeConfig) -> Result<String> {
    // A benchmark builds the same engine again and again, and describing it takes longer than most of its runs.
    static LAST: Mutex<Option<(String, String)>> = Mutex::new(None);
    let key = format!("{config:?}");
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, verilog)) = last.as_ref().filter(|(of, _)| *of == key) {
        return Ok(verilog.clone());
    }
    let verilog = describe(config)?;
    *last = Some((key, verilog.clone()));
    Ok(verilog)
}

fn describe(config: &ToeConfig) -> Result<String> {
    let mut uut = EthernetToe::new(config)?;
    uut.connect_all();
    toe_sim::lockstep::check(&uut).map_err(|e| anyhow!("{e}"))?;
    toe_sim::verilog::legal(&generate_verilog(&uut))
        .map_err(|e| anyhow!("the generated Verilog: {e}"))
}

fn rust_machine(config: &ToeConfig) -> Result<Box<dyn Machine>> {
    let ports = toe_sim::rust_ports!(EthernetToe {
        in: [
            reset, tick, rx_dv, rx_er, rxd, counter_address,
            command_valid, command_ports, command_ip, command_owner, command_option,
            program_write, program_address, program_data,
            key_write, key_word, key_data,
            pace_hold, pace_wake, pace_wake_conn,
            host.take_valid, host.take_read, host.take_write, host.take_close, host.take_abort, host.rx_ready, host.tx_valid, host.tx_data, host.wake_valid, host.wake_conn
        ],
        out: [
            tx_en, tx_er, txd, counter_data, counter_lost, command_ready, key_ready, any_open,
            report_valid, report_conn, report_kind, report_value,
            pace_conn, pace_wake_ready, pace_sent, pace_sent_conn, pace_sent_length,
            host.offer_valid, host.offer_conn, host.offer_readable, host.offer_writable, host.offer_fin, host.offer_new, host.rx_valid, host.rx_data, host.tx_ready, host.wake_ready,
            trace_pc, trace_valid, trace_event, trace_kind, trace_conn, trace_done,
            trace_store, trace_store_conn, trace_operand, trace_data
        ],
    });
    let machine = RustMachine::new(EthernetToe::new(config)?, ports, |toe, clk| {
        toe.clock.next = Clock { clk };
    });
    Ok(Box::new(machine.rising_only()))
}

fn cxxrtl_machine(config: &ToeConfig) -> Result<Box<dyn Machine>> {
    let options = CxxrtlOptions {
        optimise: 3,
        ..CxxrtlOptions::default()
    };
    let machine = CxxrtlMachine::new(&verilog(config)?, &options);
    Ok(Box::new(machine.context("the CXXRTL back end")?))
}

fn verilator_machine(config: &ToeConfig) -> Result<Box<dyn Machine>> {
    let machine = VerilatorMachine::new(&verilog(config)?, "top");
    Ok(Box::new(machine.context("the Verilator back end")?))
}

/// The engine's machine on a back end.
///
/// # Errors
/// When the configuration is bad or a tool is missing.
pub fn machine(config: &ToeConfig, backend: Backend) -> Result<Box<dyn Machine>> {
    let compiled = match backend.compiler() {
        None => return rust_machine(config),
        Some(Backend::Verilator) => verilator_machine(config)?,
        Some(_) => cxxrtl_machine(config)?,
    };
    Ok(match backend {
        Backend::Lockstep => {
            Box::new(pair::Lockstep::new(rust_machine(config)?, compiled)?.strict())
        }
        _ => compiled,
    })
}

/// The pins beside the line and the tick, which [`GmiiBoard`] drives.
struct Pins {
    reset: PortId,
    counter_address: PortId,
    counter_data: PortId,
    counter_lost: PortId,
    command_valid: PortId,
    command_ready: PortId,
    command_ports: PortId,
    command_ip: PortId,
    command_owner: PortId,
    command_option: PortId,
    program_write: PortId,
    program_address: PortId,
    program_data: PortId,
    key_write: PortId,
    key_word: PortId,
    key_data: PortId,
    key_ready: PortId,
}

/// The ports of [`SimulatedBoard::keep_reports`].
struct ReportPins {
    valid: PortId,
    conn: PortId,
    kind: PortId,
    value: PortId,
}

/// Decides when a connection's text may leave ([`toe_hdl::tcp::pacing`]). It is asked once a cycle.
pub trait Pacer {
    /// A segment of so many bytes of text of this connection leaves in this cycle.
    fn sent(&mut self, cycle: u64, conn: u16, length: u16);
    /// Its new text is held now.
    fn holds(&mut self, cycle: u64, conn: u16) -> bool;
    /// A connection that is let go and was not told of so far; the same until [`Pacer::woken`].
    fn wakes(&mut self, cycle: u64) -> Option<u16>;
    /// The engine knows.
    fn woken(&mut self, conn: u16);
}

/// The ports of [`SimulatedBoard::set_pacer`].
struct PacerPins {
    conn: PortId,
    hold: PortId,
    wake: PortId,
    wake_conn: PortId,
    wake_ready: PortId,
    sent: PortId,
    sent_conn: PortId,
    sent_length: PortId,
}

/// Cycles in which blocks clear their memories after a reset, with 16 for each connection; until then frames may be dropped.
const AWAKE: usize = 256;

/// The engine with a GMII line: a [`GmiiBoard`] whose counters, commands and trace have names.
pub struct SimulatedBoard {
    board: GmiiBoard<Box<dyn Machine>, Box<dyn TickSource>>,
    pins: Pins,
    trace: Option<EngineTrace>,
    reports: Option<(ReportPins, Vec<Report>)>,
    pacer: Option<(PacerPins, Box<dyn Pacer>)>,
    /// Cycles it takes to wake.
    awake: usize,
}

impl SimulatedBoard {
    /// Builds it, holds it in reset for two cycles, and lets it wake.
    ///
    /// # Errors
    /// When the configuration is bad or a tool is missing.
    pub fn new(
        config: &ToeConfig,
        backend: Backend,
        port: GmiiPort,
        time: impl TickSource + 'static,
    ) -> Result<Self> {
        let mut machine = machine(config, backend)?;
        let reset = machine.port("reset")?;
        let p = |name: &str| machine.port(name);
        let pins = Pins {
            reset,
            counter_address: p("counter_address")?,
            counter_data: p("counter_data")?,
            counter_lost: p("counter_lost")?,
            command_valid: p("command_valid")?,
            command_ready: p("command_ready")?,
            command_ports: p("command_ports")?,
            command_ip: p("command_ip")?,
            command_owner: p("command_owner")?,
            command_option: p("command_option")?,
            program_write: p("program_write")?,
            program_address: p("program_address")?,
            program_data: p("program_data")?,
            key_write: p("key_write")?,
            key_word: p("key_word")?,
            key_data: p("key_data")?,
            key_ready: p("key_ready")?,
        };
        machine.poke(reset, 1);
        machine.cycle();
        machine.cycle();
        machine.poke(reset, 0);
        let time: Box<dyn TickSource> = Box::new(time);
        let mut board = Self {
            board: GmiiBoard::new(machine, time, port)?,
            pins,
            trace: None,
            reports: None,
            pacer: None,
            awake: AWAKE + 16 * config.connections,
        };
        board.wake();
        Ok(board)
    }

    fn wake(&mut self) {
        for _ in 0..self.awake {
            self.cycle();
        }
    }

    /// Presses the reset button for so many cycles, and lets the engine wake. Counters count on.
    pub fn reset(&mut self, cycles: usize) {
        self.board.machine.poke(self.pins.reset, 1);
        for _ in 0..cycles {
            self.cycle();
        }
        self.board.machine.poke(self.pins.reset, 0);
        self.wake();
    }

    /// Writes a word of the engine's program, while it runs.
    pub fn write_program(&mut self, address: u16, word: u32) {
        let machine = &mut self.board.machine;
        machine.poke(self.pins.program_address, address.into());
        machine.poke(self.pins.program_data, word.into());
        machine.poke(self.pins.program_write, 1);
        self.cycle();
        self.board.machine.poke(self.pins.program_write, 0);
    }

    /// Gives the engine other keys: of the initial sequence numbers (without `ToeConfig::isn_hash` of nothing) and of the connection table's hash, which must not be zero. They are kept over
    /// a reset.
    ///
    /// # Errors
    /// When a connection, or TIME-WAIT, has been remembered for 1,000 cycles: only an empty table takes a key. Some halves may have been replaced before; nothing goes wrong by that, and it
    /// may be tried again.
    pub fn write_keys(&mut self, isn_key: u64, hash_key: u64) -> Result<()> {
        if hash_key == 0 {
            bail!("the key of the connection table's hash is 0, but must be any other number");
        }
        let halves = [isn_key, isn_key >> 32, hash_key, hash_key >> 32];
        for (word, half) in halves.into_iter().enumerate() {
            let (p, m) = (&self.pins, &mut self.board.machine);
            m.poke(p.key_word, word as u64);
            m.poke(p.key_data, half & 0xFFFF_FFFF);
            m.poke(p.key_write, 1);
            let mut taken = false;
            for _ in 0..1_000 {
                self.board.machine.eval();
                taken = self.board.machine.peek(self.pins.key_ready) == 1;
                self.cycle();
                if taken {
                    break;
                }
            }
            self.board.machine.poke(self.pins.key_write, 0);
            if !taken {
                bail!("the engine takes no keys while it remembers a connection");
            }
        }
        Ok(())
    }

    /// Cycles run since reset.
    pub fn cycles(&self) -> u64 {
        self.line().cycle()
    }

    /// The line, to read its stamps and usage.
    pub fn line(&self) -> &GmiiPort {
        self.board.line()
    }

    /// The line, to queue frames or restart a measurement.
    pub fn line_mut(&mut self) -> &mut GmiiPort {
        self.board.port()
    }

    /// Begins to record what the engine does, event by event.
    ///
    /// # Errors
    /// When the machine has no trace ports.
    pub fn trace_engine(&mut self, config: &ToeConfig) -> Result<()> {
        self.trace = Some(EngineTrace::new(&*self.board.machine, config)?);
        Ok(())
    }

    /// Begins to keep what applications are told without having asked.
    ///
    /// # Errors
    /// When the machine has no such ports.
    pub fn keep_reports(&mut self) -> Result<()> {
        let p = |name: &str| self.board.machine.port(name);
        let pins = ReportPins {
            valid: p("report_valid")?,
            conn: p("report_conn")?,
            kind: p("report_kind")?,
            value: p("report_value")?,
        };
        self.reports = Some((pins, vec![]));
        Ok(())
    }

    /// From here on a pacer decides when text may leave.
    ///
    /// # Errors
    /// When the machine has no ports for one.
    pub fn set_pacer(&mut self, pacer: impl Pacer + 'static) -> Result<()> {
        let p = |name: &str| self.board.machine.port(name);
        let pins = PacerPins {
            conn: p("pace_conn")?,
            hold: p("pace_hold")?,
            wake: p("pace_wake")?,
            wake_conn: p("pace_wake_conn")?,
            wake_ready: p("pace_wake_ready")?,
            sent: p("pace_sent")?,
            sent_conn: p("pace_sent_conn")?,
            sent_length: p("pace_sent_length")?,
        };
        self.pacer = Some((pins, Box::new(pacer)));
        Ok(())
    }

    /// What was kept, which is forgotten.
    pub fn take_reports(&mut self) -> Vec<Report> {
        let kept = self.reports.as_mut();
        kept.map_or(vec![], |(_, reports)| std::mem::take(reports))
    }

    /// What was recorded.
    pub fn engine_trace(&self) -> &[trace::Event] {
        self.trace.as_ref().map_or(&[], EngineTrace::events)
    }

    /// What was recorded, which is forgotten.
    pub fn take_engine_trace(&mut self) -> Vec<trace::Event> {
        (self.trace.as_mut()).map_or(vec![], EngineTrace::take)
    }

    /// Begins a waveform of all signals.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn waveform(&mut self, file: &Path) -> Result<()> {
        Ok(self.board.machine.trace_start(file)?)
    }

    /// Ends the waveform.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn end_waveform(&mut self) -> Result<()> {
        Ok(self.board.machine.trace_stop()?)
    }

    /// Whether an occurrence ever came too fast to be counted: 0 if the design is sound.
    pub fn counters_lost(&self) -> u64 {
        self.board.machine.peek(self.pins.counter_lost)
    }

    /// Reads one counter; takes eight cycles, in which the line runs on.
    pub fn counter(&mut self, cause: Cause) -> u64 {
        self.board
            .machine
            .poke(self.pins.counter_address, u64::from(cause.number()));
        for _ in 0..8 {
            self.cycle();
        }
        self.board.machine.peek(self.pins.counter_data)
    }

    /// Reads all counters.
    pub fn counters(&mut self) -> Vec<Counter> {
        Cause::ALL
            .iter()
            .map(|&cause| Counter {
                name: cause.name(),
                meaning: cause.meaning(),
                value: self.counter(cause),
            })
            .collect()
    }

    /// Asks the engine to open a connection (active open) for an application.
    ///
    /// # Errors
    /// When the engine does not take the command within 10,000 cycles.
    pub fn connect(&mut self, ip: [u8; 4], remote: u16, local: u16, owner: u8) -> Result<()> {
        self.command((ip, remote, local), owner, 0)
            .context("the command `connect`")
    }

    /// The same, with ECN if the peer has it.
    ///
    /// # Errors
    /// When the engine does not take the command within 10,000 cycles.
    pub fn connect_with_ecn(
        &mut self,
        ip: [u8; 4],
        remote: u16,
        local: u16,
        owner: u8,
    ) -> Result<()> {
        self.command((ip, remote, local), owner, open(true, 0))
            .context("the command `connect`, with ECN")
    }

    /// The same without ECN, and all that it sends with this DSCP (at most 63).
    ///
    /// # Errors
    /// When the engine does not take the command within 10,000 cycles.
    pub fn connect_with_diffserv(
        &mut self,
        ip: [u8; 4],
        remote: u16,
        local: u16,
        owner: u8,
        dscp: u8,
    ) -> Result<()> {
        self.command((ip, remote, local), owner, open(false, dscp))
            .context("the command `connect`, with a DSCP")
    }

    /// Asks the engine to set an option of the connection that an application has with this peer. Whether it was refused the counter `ConnectRefused` says.
    ///
    /// # Errors
    /// When the engine does not take the command within 10,000 cycles.
    pub fn set_option(
        &mut self,
        ip: [u8; 4],
        remote: u16,
        local: u16,
        owner: u8,
        option: ConnectionOption,
    ) -> Result<()> {
        self.command((ip, remote, local), owner, option.word())
            .with_context(|| format!("the command that sets {option:?}"))
    }

    fn command(
        &mut self,
        (ip, remote, local): ([u8; 4], u16, u16),
        owner: u8,
        option: u32,
    ) -> Result<()> {
        let (p, m) = (&self.pins, &mut self.board.machine);
        m.poke(p.command_ip, u64::from(u32::from_be_bytes(ip)));
        m.poke(p.command_ports, u64::from(remote) << 16 | u64::from(local));
        m.poke(p.command_owner, u64::from(owner));
        m.poke(p.command_option, u64::from(option));
        m.poke(p.command_valid, 1);
        for _ in 0..10_000 {
            self.board.machine.eval();
            let taken = self.board.machine.peek(self.pins.command_ready) == 1;
            self.cycle();
            if taken {
                self.board.machine.poke(self.pins.command_valid, 0);
                return Ok(());
            }
        }
        bail!("the engine did not take it within 10,000 cycles")
    }
}

impl Board for SimulatedBoard {
    type Port = GmiiPort;

    #[inline]
    fn cycle(&mut self) {
        let cycle = self.cycles();
        let mut woken = None;
        if let Some((pins, pacer)) = &mut self.pacer {
            let machine = &mut self.board.machine;
            let conn = machine.peek(pins.conn) as u16;
            machine.poke(pins.hold, pacer.holds(cycle, conn).into());
            let wakes = pacer.wakes(cycle);
            machine.poke(pins.wake, wakes.is_some().into());
            machine.poke(pins.wake_conn, wakes.unwrap_or(0).into());
            machine.eval();
            woken = wakes.filter(|_| machine.peek(pins.wake_ready) == 1);
        }
        self.board.cycle();
        if let Some((pins, pacer)) = &mut self.pacer {
            let machine = &self.board.machine;
            if machine.peek(pins.sent) == 1 {
                let conn = machine.peek(pins.sent_conn) as u16;
                pacer.sent(cycle, conn, machine.peek(pins.sent_length) as u16);
            }
            if let Some(conn) = woken {
                pacer.woken(conn);
            }
        }
        if let Some(trace) = &mut self.trace {
            trace.sample(&*self.board.machine, cycle);
        }
        if let Some((pins, reports)) = &mut self.reports {
            let machine = &self.board.machine;
            if machine.peek(pins.valid) == 1 {
                reports.push(Report {
                    conn: machine.peek(pins.conn) as u16,
                    kind: machine.peek(pins.kind) as u8,
                    value: machine.peek(pins.value) as u32,
                });
            }
        }
    }

    #[inline]
    fn port(&mut self) -> &mut GmiiPort {
        self.board.port()
    }
}
