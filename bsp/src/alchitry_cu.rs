//! The bare Alchitry Cu: the engine over the board's USB serial port, IP packets in SLIP (RFC 1055).
//!
//! 100 MHz from the oscillator go through the PLL to [`CLOCK_HZ`]; the serial line runs at [`BAUD`]. Lights: 0 link (a good packet in the last second), 1 a
//! connection is open, 2 packet in, 3 packet out (each lit some 50 ms), 4 a broken packet (lit 1 s), 7 the clock loop is locked.
//! A button or a clock loop that is not locked holds the engine in reset.
//!
//! It promises nothing of its own: the line's pins pass straight to and from the engine, whose blocks state and test their latency and throughput.
use rust_hdl::prelude::*;
use rust_hdl_bsp_alchitry_cu::pins;
use toe_hdl::config::{ConfigError, ToeConfig};
use toe_hdl::toe::SlipToe;

use crate::flow::{Device, Job};
use crate::pll::{Pll, PllSetting};
use crate::tick::Tick;

/// The engine's clock.
pub const CLOCK_HZ: u32 = 50_000_000;
/// The serial line's rate.
pub const BAUD: u32 = 1_000_000;
/// The placement seed that the repository builds with.
pub const SEEDS: [u32; 1] = [1];

/// What fits on an HX8K: 4 connections, MTU 576 (RFC 1055's usual limit is larger, RFC 791's least is this), NewReno (RFC 5681, RFC 6582), our own SACK blocks (RFC 2018, RFC 2883; the peer's are not heard), and what keeps strangers out
/// ([`ToeConfig::hardened`]): challenge ACKs and their limit (RFC 5961), first numbers of RFC 6528 by the program, no answer to addresses that no peer has, half-open connections that give way.
///
/// What it pays for that is the half of its send buffers: 1,536 words of program take three block RAMs more than 1,024, and all 32 are in use. Timestamps need state of the far bank, two block RAMs more; they, CUBIC, ECN, window scale, ICMP errors, cookies and hearing SACK blocks are for
/// larger devices. `docs/area.md` has what each costs. The keys stand in the bitstream, and nobody replaces them here: a board that strangers can reach is built with keys of its own (`toe synth --config`, with `bsp/alchitry-cu.toml` changed).
pub fn config() -> ToeConfig {
    ToeConfig {
        connections: 4,
        // 1,024 would need 35 of the 32 block RAMs.
        rx_ring_bytes: 512,
        tx_ring_bytes: 256,
        mtu: 576,
        ethernet: false,
        program_words: 1536,
        icmp_bytes: 512,
        tick_cycles: (CLOCK_HZ / 1000) as usize,
        timestamps: false,
        window_scale: false,
        cubic: false,
        icmp_errors: false,
        syn_cookies: false,
        ecn: false,
        pacing: false,
        ..ToeConfig::default()
    }
}

#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
struct Lights {
    /// Cycles of reset still to come after power-up, counted up to 15.
    awake: Bits<4>,
    /// Ticks until the lights are looked at.
    beat: Bits<4>,
    /// So many times sixteen ticks each light still burns.
    link: Bits<6>,
    into: Bits<3>,
    out: Bits<3>,
    bad: Bits<6>,
}

/// The top. Port names are those of the constraint file.
#[derive(LogicBlock)]
pub struct AlchitryCu {
    pub clock: Signal<In, Clock>,
    /// The reset button, low when pressed.
    pub reset_n: Signal<In, Bit>,
    pub usb_rx: Signal<In, Bit>,
    pub usb_tx: Signal<Out, Bit>,
    pub led: Signal<Out, Bits<8>>,
    pll: Pll,
    tick: Tick,
    toe: SlipToe,
    r: DFF<Lights>,
    running: Signal<Local, Bit>,
    awake_more: Signal<Local, Bits<4>>,
    beat_more: Signal<Local, Bits<4>>,
    link_less: Signal<Local, Bits<6>>,
    into_less: Signal<Local, Bits<3>>,
    out_less: Signal<Local, Bits<3>>,
    bad_less: Signal<Local, Bits<6>>,
    link_bit: Signal<Local, Bits<8>>,
    open_bit: Signal<Local, Bits<8>>,
    into_bit: Signal<Local, Bits<8>>,
    out_bit: Signal<Local, Bits<8>>,
    bad_bit: Signal<Local, Bits<8>>,
    locked_bit: Signal<Local, Bits<8>>,
    long: Constant<Bits<6>>,
    short: Constant<Bits<3>>,
}

impl AlchitryCu {
    /// The board as it is built.
    ///
    /// # Errors
    /// When the configuration is bad.
    pub fn new() -> Result<Self, ConfigError> {
        Self::with(&config(), CLOCK_HZ / BAUD, CLOCK_HZ / 1000)
    }

    /// The board with other times, for simulation: a bit of the line and a tick so many cycles long.
    ///
    /// # Errors
    /// When the configuration is bad.
    pub fn with(
        config: &ToeConfig,
        cycles_per_bit: u32,
        cycles_per_tick: u32,
    ) -> Result<Self, ConfigError> {
        let pin = |mut s: Signal<In, Bit>, place: &str| {
            s.add_location(0, place);
            s.connect();
            s
        };
        let mut usb_tx = Signal::<Out, Bit>::default();
        usb_tx.add_location(0, "M9");
        let setting = PllSetting::from_100_mhz(u64::from(CLOCK_HZ)).ok_or(ConfigError {
            field: "CLOCK_HZ",
            value: CLOCK_HZ.to_string(),
            limit: "a frequency that the clock loop can make of 100 MHz".into(),
        })?;
        Ok(Self {
            clock: pins::clock(),
            reset_n: pin(Default::default(), "P8"),
            usb_rx: pin(Default::default(), "P14"),
            usb_tx,
            led: pins::leds(),
            pll: Pll::new(setting),
            tick: Tick::new(cycles_per_tick),
            toe: SlipToe::new(config, cycles_per_bit)?,
            r: Default::default(),
            running: Default::default(),
            awake_more: Default::default(),
            beat_more: Default::default(),
            link_less: Default::default(),
            into_less: Default::default(),
            out_less: Default::default(),
            bad_less: Default::default(),
            link_bit: Default::default(),
            open_bit: Default::default(),
            into_bit: Default::default(),
            out_bit: Default::default(),
            bad_bit: Default::default(),
            locked_bit: Default::default(),
            long: Constant::new(63u64.into()),
            short: Constant::new(4u64.into()),
        })
    }
}

impl Logic for AlchitryCu {
    #[hdl_gen]
    fn update(&mut self) {
        // Clock, reset, tick.
        self.pll.clock_in.next = self.clock.val();
        self.tick.clock.next = self.pll.clock_out.val();
        self.toe.clock.next = self.pll.clock_out.val();
        self.r.clock.next = self.pll.clock_out.val();
        self.r.d.next = self.r.q.val();
        self.running.next = self.r.q.val().awake == 15;
        self.awake_more.next = self.r.q.val().awake + 1;
        if !self.running.val() {
            self.r.d.next.awake = self.awake_more.val();
        }
        if !self.reset_n.val() | !self.pll.locked.val() {
            self.r.d.next.awake = 0.into();
        }
        self.toe.reset.next = !self.running.val();
        self.toe.tick.next = self.tick.tick.val();
        // The line.
        self.toe.rx.next = self.usb_rx.val();
        self.usb_tx.next = self.toe.tx.val();
        // Lights: lit by an occurrence, burning down every sixteen ticks.
        self.link_less.next = self.r.q.val().link - 1;
        self.into_less.next = self.r.q.val().into - 1;
        self.out_less.next = self.r.q.val().out - 1;
        self.bad_less.next = self.r.q.val().bad - 1;
        self.beat_more.next = self.r.q.val().beat + 1;
        if self.tick.tick.val() {
            self.r.d.next.beat = self.beat_more.val();
        }
        if self.tick.tick.val() & (self.r.q.val().beat == 15) {
            if self.r.q.val().link != 0 {
                self.r.d.next.link = self.link_less.val();
            }
            if self.r.q.val().into != 0 {
                self.r.d.next.into = self.into_less.val();
            }
            if self.r.q.val().out != 0 {
                self.r.d.next.out = self.out_less.val();
            }
            if self.r.q.val().bad != 0 {
                self.r.d.next.bad = self.bad_less.val();
            }
        }
        if self.toe.packet_in.val() {
            self.r.d.next.link = self.long.val();
            self.r.d.next.into = self.short.val();
        }
        if self.toe.packet_out.val() {
            self.r.d.next.out = self.short.val();
        }
        if self.toe.packet_bad.val() {
            self.r.d.next.bad = self.long.val();
        }
        self.link_bit.next = 0.into();
        self.open_bit.next = 0.into();
        self.into_bit.next = 0.into();
        self.out_bit.next = 0.into();
        self.bad_bit.next = 0.into();
        self.locked_bit.next = 0.into();
        if self.r.q.val().link != 0 {
            self.link_bit.next = 0x01.into();
        }
        if self.toe.any_open.val() {
            self.open_bit.next = 0x02.into();
        }
        if self.r.q.val().into != 0 {
            self.into_bit.next = 0x04.into();
        }
        if self.r.q.val().out != 0 {
            self.out_bit.next = 0x08.into();
        }
        if self.r.q.val().bad != 0 {
            self.bad_bit.next = 0x10.into();
        }
        if self.pll.locked.val() {
            self.locked_bit.next = 0x80.into();
        }
        self.led.next = self.link_bit.val()
            | self.open_bit.val()
            | self.into_bit.val()
            | self.out_bit.val()
            | self.bad_bit.val()
            | self.locked_bit.val();
    }
}

/// What the flow needs to build the board.
///
/// # Errors
/// When rust-hdl finds an unconnected signal or a loop, or the configuration is bad.
pub fn job(seeds: &[u32]) -> anyhow::Result<Job> {
    job_for(&config(), seeds)
}

/// Whether the board can be built for a configuration that is sound.
///
/// # Errors
/// With Ethernet, which it does not have.
pub fn takes(config: &ToeConfig) -> Result<(), ConfigError> {
    if config.ethernet {
        return Err(ConfigError {
            field: "ethernet",
            value: "true".into(),
            limit: "false: the board has a serial line".into(),
        });
    }
    Ok(())
}

/// What the flow needs to build the board for another configuration. The tick is the board's, whatever `tick_cycles` says.
///
/// # Errors
/// As [`job`] and [`takes`].
pub fn job_for(config: &ToeConfig, seeds: &[u32]) -> anyhow::Result<Job> {
    takes(config)?;
    let mut top = AlchitryCu::with(config, CLOCK_HZ / BAUD, CLOCK_HZ / 1000)?;
    top.connect_all();
    toe_sim::lockstep::check(&top).map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(Job {
        board: "alchitry-cu",
        device: Device::Hx8k,
        verilog: generate_verilog(&top),
        constraints: rust_hdl::fpga::toolchains::icestorm::generate_pcf(&top),
        needed_mhz: f64::from(CLOCK_HZ) / 1e6,
        seeds: seeds.into(),
    })
}
