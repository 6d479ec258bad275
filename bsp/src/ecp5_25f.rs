//! The bare engine on an ECP5, for area and timing: no board is meant, so no pins are fixed and no bitstream is made.
//!
//! An LFE5U-25F of the slowest grade (6) in the CABGA381 package, whose 197 pins are enough for GMII, the host's ports and the counters: 189 are used. Every
//! pin but the clock goes through a register of its own, so that each path into, through and out of the engine is one between registers and counts for Fmax,
//! and nothing can be optimised away but what watches the engine in simulation (the trace ports, which no pin carries).
//! The clock is GMII's, [`CLOCK_HZ`]: a byte a cycle is 1 Gb/s.
//!
//! **Latency**: a cycle at the pins in, a cycle at the pins out, around [`EthernetToe`]. **Throughput**, **abort**: its own.
use rust_hdl::prelude::*;
use toe_hdl::config::{ConfigError, ToeConfig};
use toe_hdl::toe::EthernetToe;

use crate::flow::{Device, Job};
use crate::tick::Tick;

/// GMII's clock.
pub const CLOCK_HZ: u32 = 125_000_000;
/// The placement seeds that the repository builds with; the median counts.
pub const SEEDS: [u32; 5] = [1, 2, 3, 4, 5];

/// 16 connections, with the largest buffers (powers of two) that the 56 block RAMs hold.
pub fn config() -> ToeConfig {
    ToeConfig {
        connections: 16,
        rx_ring_bytes: 4096,
        tx_ring_bytes: 1024,
        ..ToeConfig::default()
    }
}

/// What comes in, a cycle after its pins.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
struct Inputs {
    reset: Bit,
    rx_dv: Bit,
    rx_er: Bit,
    rxd: Bits<8>,
    counter_address: Bits<6>,
    command_valid: Bit,
    command_ports: Bits<32>,
    command_ip: Bits<32>,
    command_owner: Bits<8>,
    program_write: Bit,
    program_address: Bits<12>,
    program_data: Bits<24>,
    key_write: Bit,
    key_word: Bits<2>,
}

/// What goes out, a cycle before its pins.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
struct Outputs {
    tx_en: Bit,
    tx_er: Bit,
    txd: Bits<8>,
    counter_data: Bits<32>,
    counter_lost: Bit,
    command_ready: Bit,
    key_ready: Bit,
    any_open: Bit,
    pace_conn: Bits<10>,
    pace_wake_ready: Bit,
    pace_sent: Bit,
}

/// The top. Ports as in [`EthernetToe`], a cycle off; the tick is made here. The package has 197 pins, 81 fewer than all ports would take: so `key_data` comes over those of `command_ip`,
/// `command_option` over those of `program_data`, a pacer's over those of `program_address`, and of what leaves the pins tell only that it does.
#[derive(LogicBlock)]
pub struct Ecp5Bare {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub rx_dv: Signal<In, Bit>,
    pub rx_er: Signal<In, Bit>,
    pub rxd: Signal<In, Bits<8>>,
    pub tx_en: Signal<Out, Bit>,
    pub tx_er: Signal<Out, Bit>,
    pub txd: Signal<Out, Bits<8>>,
    pub counter_address: Signal<In, Bits<6>>,
    pub counter_data: Signal<Out, Bits<32>>,
    pub counter_lost: Signal<Out, Bit>,
    pub command_valid: Signal<In, Bit>,
    pub command_ports: Signal<In, Bits<32>>,
    pub command_ip: Signal<In, Bits<32>>,
    pub command_owner: Signal<In, Bits<8>>,
    pub command_ready: Signal<Out, Bit>,
    pub program_write: Signal<In, Bit>,
    pub program_address: Signal<In, Bits<12>>,
    pub program_data: Signal<In, Bits<24>>,
    pub key_write: Signal<In, Bit>,
    pub key_word: Signal<In, Bits<2>>,
    pub key_ready: Signal<Out, Bit>,
    pub any_open: Signal<Out, Bit>,
    pub pace_conn: Signal<Out, Bits<10>>,
    pub pace_wake_ready: Signal<Out, Bit>,
    pub pace_sent: Signal<Out, Bit>,
    tick: Tick,
    toe: EthernetToe,
    i: DFF<Inputs>,
    o: DFF<Outputs>,
}

impl Ecp5Bare {
    /// The top for [`config`], with a tick a millisecond.
    ///
    /// # Errors
    /// When the configuration is bad.
    pub fn new() -> Result<Self, ConfigError> {
        Self::with(&config(), CLOCK_HZ / 1000)
    }

    /// The top of another configuration and another tick, for simulation.
    ///
    /// # Errors
    /// When the configuration is bad.
    pub fn with(config: &ToeConfig, cycles_per_tick: u32) -> Result<Self, ConfigError> {
        Ok(Self {
            clock: Default::default(),
            reset: Default::default(),
            rx_dv: Default::default(),
            rx_er: Default::default(),
            rxd: Default::default(),
            tx_en: Default::default(),
            tx_er: Default::default(),
            txd: Default::default(),
            counter_address: Default::default(),
            counter_data: Default::default(),
            counter_lost: Default::default(),
            command_valid: Default::default(),
            command_ports: Default::default(),
            command_ip: Default::default(),
            command_owner: Default::default(),
            command_ready: Default::default(),
            program_write: Default::default(),
            program_address: Default::default(),
            program_data: Default::default(),
            key_write: Default::default(),
            key_word: Default::default(),
            key_ready: Default::default(),
            any_open: Default::default(),
            pace_conn: Default::default(),
            pace_wake_ready: Default::default(),
            pace_sent: Default::default(),
            tick: Tick::new(cycles_per_tick),
            toe: EthernetToe::new(config)?,
            i: Default::default(),
            o: Default::default(),
        })
    }
}

impl Logic for Ecp5Bare {
    #[hdl_gen]
    fn update(&mut self) {
        // Clock, tick.
        self.tick.clock.next = self.clock.val();
        self.toe.clock.next = self.clock.val();
        self.i.clock.next = self.clock.val();
        self.o.clock.next = self.clock.val();
        self.toe.tick.next = self.tick.tick.val();
        // Pins in.
        self.i.d.next = self.i.q.val();
        self.i.d.next.reset = self.reset.val();
        self.i.d.next.rx_dv = self.rx_dv.val();
        self.i.d.next.rx_er = self.rx_er.val();
        self.i.d.next.rxd = self.rxd.val();
        self.i.d.next.counter_address = self.counter_address.val();
        self.i.d.next.command_valid = self.command_valid.val();
        self.i.d.next.command_ports = self.command_ports.val();
        self.i.d.next.command_ip = self.command_ip.val();
        self.i.d.next.command_owner = self.command_owner.val();
        self.i.d.next.program_write = self.program_write.val();
        self.i.d.next.program_address = self.program_address.val();
        self.i.d.next.program_data = self.program_data.val();
        self.i.d.next.key_write = self.key_write.val();
        self.i.d.next.key_word = self.key_word.val();
        self.toe.reset.next = self.i.q.val().reset;
        self.toe.rx_dv.next = self.i.q.val().rx_dv;
        self.toe.rx_er.next = self.i.q.val().rx_er;
        self.toe.rxd.next = self.i.q.val().rxd;
        self.toe.counter_address.next = self.i.q.val().counter_address;
        self.toe.command_valid.next = self.i.q.val().command_valid;
        self.toe.command_ports.next = self.i.q.val().command_ports;
        self.toe.command_ip.next = self.i.q.val().command_ip;
        self.toe.command_owner.next = self.i.q.val().command_owner;
        self.toe.command_option.next = self.i.q.val().program_data;
        self.toe.program_write.next = self.i.q.val().program_write;
        self.toe.program_address.next = self.i.q.val().program_address;
        self.toe.program_data.next = self.i.q.val().program_data;
        self.toe.key_write.next = self.i.q.val().key_write;
        self.toe.key_word.next = self.i.q.val().key_word;
        // No pins are left for the host's streams.
        self.toe.host.take_valid.next = false;
        self.toe.host.take_read.next = bits::<16>(0);
        self.toe.host.take_write.next = bits::<16>(0);
        self.toe.host.take_close.next = false;
        self.toe.host.take_abort.next = false;
        self.toe.host.rx_ready.next = false;
        self.toe.host.tx_valid.next = false;
        self.toe.host.tx_data.next = bits::<8>(0);
        self.toe.host.wake_valid.next = false;
        self.toe.host.wake_conn.next = bits::<10>(0);
        self.toe.pace_hold.next = self.i.q.val().program_address.get_bit(0);
        self.toe.pace_wake.next = self.i.q.val().program_address.get_bit(1);
        self.toe.pace_wake_conn.next = self.i.q.val().program_address.get_bits::<10>(2);
        self.toe.key_data.next = self.i.q.val().command_ip;
        // Pins out.
        self.o.d.next = self.o.q.val();
        self.o.d.next.tx_en = self.toe.tx_en.val();
        self.o.d.next.tx_er = self.toe.tx_er.val();
        self.o.d.next.txd = self.toe.txd.val();
        self.o.d.next.counter_data = self.toe.counter_data.val();
        self.o.d.next.counter_lost = self.toe.counter_lost.val();
        self.o.d.next.command_ready = self.toe.command_ready.val();
        self.o.d.next.key_ready = self.toe.key_ready.val();
        self.o.d.next.any_open = self.toe.any_open.val();
        self.o.d.next.pace_conn = self.toe.pace_conn.val();
        self.o.d.next.pace_wake_ready = self.toe.pace_wake_ready.val();
        self.o.d.next.pace_sent = self.toe.pace_sent.val();
        self.tx_en.next = self.o.q.val().tx_en;
        self.tx_er.next = self.o.q.val().tx_er;
        self.txd.next = self.o.q.val().txd;
        self.counter_data.next = self.o.q.val().counter_data;
        self.counter_lost.next = self.o.q.val().counter_lost;
        self.command_ready.next = self.o.q.val().command_ready;
        self.key_ready.next = self.o.q.val().key_ready;
        self.any_open.next = self.o.q.val().any_open;
        self.pace_conn.next = self.o.q.val().pace_conn;
        self.pace_wake_ready.next = self.o.q.val().pace_wake_ready;
        self.pace_sent.next = self.o.q.val().pace_sent;
    }
}

/// The Verilog of the top for a configuration, with a tick a millisecond.
///
/// # Errors
/// As [`job`].
pub fn verilog(config: &ToeConfig) -> anyhow::Result<String> {
    let mut top = Ecp5Bare::with(config, CLOCK_HZ / 1000)?;
    top.connect_all();
    toe_sim::lockstep::check(&top).map_err(|e| anyhow::anyhow!("{e}"))?;
    Ok(generate_verilog(&top))
}

/// What the flow needs to build it.
///
/// # Errors
/// When rust-hdl finds an unconnected signal or a loop, or the configuration is bad.
pub fn job(seeds: &[u32]) -> anyhow::Result<Job> {
    Ok(Job {
        board: "ecp5-25f",
        device: Device::Lfe5u25f,
        verilog: verilog(&config())?,
        constraints: String::new(),
        needed_mhz: f64::from(CLOCK_HZ) / 1e6,
        seeds: seeds.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{rngs::StdRng, Rng, SeedableRng};

    type Said = (
        bool,
        bool,
        u64,
        u64,
        bool,
        bool,
        bool,
        bool,
        (u64, bool, bool),
    );

    /// Everything that the pins say, in one cycle.
    fn outputs(top: &Ecp5Bare) -> Said {
        (
            top.tx_en.val(),
            top.tx_er.val(),
            top.txd.val().to_u64(),
            top.counter_data.val().to_u64(),
            top.counter_lost.val(),
            top.command_ready.val(),
            top.key_ready.val(),
            top.any_open.val(),
            (
                top.pace_conn.val().to_u64(),
                top.pace_wake_ready.val(),
                top.pace_sent.val(),
            ),
        )
    }

    fn inner(toe: &EthernetToe) -> Said {
        (
            toe.tx_en.val(),
            toe.tx_er.val(),
            toe.txd.val().to_u64(),
            toe.counter_data.val().to_u64(),
            toe.counter_lost.val(),
            toe.command_ready.val(),
            toe.key_ready.val(),
            toe.any_open.val(),
            (
                toe.pace_conn.val().to_u64(),
                toe.pace_wake_ready.val(),
                toe.pace_sent.val(),
            ),
        )
    }

    fn settle(uut: &mut impl Block) {
        for _ in 0..50 {
            uut.update_all();
            if !uut.has_changed() {
                return;
            }
        }
        panic!("does not settle");
    }

    /// An ARP request for the engine's address, as GMII carries it, with its FCS.
    fn arp_request(config: &ToeConfig) -> Vec<u8> {
        let mut frame = vec![0xff; 6];
        let peer = [0x02, 0, 0, 0, 0, 9];
        frame.extend(peer);
        frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend(peer);
        frame.extend([192, 168, 69, 1]);
        frame.extend([0; 6]);
        frame.extend(config.ip);
        frame.resize(60, 0);
        let fcs = toe_sim::link::Frame::new(frame.clone()).right_fcs();
        frame.extend(fcs.to_le_bytes());
        let mut wire = vec![0x55; 7];
        wire.push(0xd5);
        wire.extend(frame);
        wire
    }

    /// The engine inside, driven by hand with what the pins got a cycle earlier, does what the pins do a cycle later: no pin is crossed with another, none left out.
    #[test]
    fn the_pins_are_the_engine_s_a_cycle_off_each_way() {
        let small = ToeConfig {
            connections: 2,
            rx_ring_bytes: 256,
            tx_ring_bytes: 256,
            ..config()
        };
        let mut top = Ecp5Bare::with(&small, 200).unwrap();
        let mut toe = EthernetToe::new(&small).unwrap();
        let mut tick = Tick::new(200);
        top.connect_all();
        toe.connect_all();
        tick.connect_all();
        let request = arp_request(&small);
        let mut rng = StdRng::seed_from_u64(5);
        let mut before = Inputs::default();
        let mut expected = None;
        let (mut sent, mut ready) = (0, 0);
        for cycle in 0..1_500_usize {
            let at = cycle % 300;
            let byte = (cycle > 20).then(|| request.get(at)).flatten();
            let now = Inputs {
                reset: cycle < 4,
                rx_dv: byte.is_some(),
                rx_er: cycle > 900 && rng.random_bool(0.01),
                rxd: byte.copied().unwrap_or_else(|| rng.random()).to_bits(),
                counter_address: rng.random_range(0..64_u64).to_bits(),
                command_valid: at == 250,
                command_ports: u64::from(rng.random::<u32>()).to_bits(),
                command_ip: u64::from(rng.random::<u32>()).to_bits(),
                command_owner: rng.random_range(0..3_u64).to_bits(),
                // A part of the program that nothing here runs.
                program_write: cycle > 1_200,
                program_address: 1_023_u64.to_bits(),
                program_data: rng.random_range(0..1_u64 << 24).to_bits(),
                key_write: rng.random_bool(0.1),
                key_word: rng.random_range(0..4_u64).to_bits(),
            };
            top.reset.next = now.reset;
            top.rx_dv.next = now.rx_dv;
            top.rx_er.next = now.rx_er;
            top.rxd.next = now.rxd;
            top.counter_address.next = now.counter_address;
            top.command_valid.next = now.command_valid;
            top.command_ports.next = now.command_ports;
            top.command_ip.next = now.command_ip;
            top.command_owner.next = now.command_owner;
            top.program_write.next = now.program_write;
            top.program_address.next = now.program_address;
            top.program_data.next = now.program_data;
            top.key_write.next = now.key_write;
            top.key_word.next = now.key_word;
            toe.reset.next = before.reset;
            toe.rx_dv.next = before.rx_dv;
            toe.rx_er.next = before.rx_er;
            toe.rxd.next = before.rxd;
            toe.counter_address.next = before.counter_address;
            toe.command_valid.next = before.command_valid;
            toe.command_ports.next = before.command_ports;
            toe.command_ip.next = before.command_ip;
            toe.command_owner.next = before.command_owner;
            toe.command_option.next = before.program_data;
            toe.program_write.next = before.program_write;
            toe.program_address.next = before.program_address;
            toe.program_data.next = before.program_data;
            toe.key_write.next = before.key_write;
            toe.key_word.next = before.key_word;
            toe.key_data.next = before.command_ip;
            let pacer = before.program_address;
            toe.pace_hold.next = pacer.get_bit(0);
            toe.pace_wake.next = pacer.get_bit(1);
            toe.pace_wake_conn.next = pacer.get_bits::<10>(2);
            settle(&mut tick);
            toe.tick.next = tick.tick.val();
            settle(&mut top);
            settle(&mut toe);
            if let Some(expected) = expected {
                assert_eq!(outputs(&top), expected, "cycle {cycle}");
            }
            expected = Some(inner(&toe));
            sent += usize::from(top.tx_en.val());
            ready += usize::from(top.command_ready.val());
            before = now;
            for clk in [true, false] {
                top.clock.next = Clock { clk };
                toe.clock.next = Clock { clk };
                tick.clock.next = Clock { clk };
                settle(&mut top);
                settle(&mut toe);
                settle(&mut tick);
            }
        }
        assert!(sent >= 3 * 72, "answers: {sent} bytes");
        assert!(ready > 0, "no command was taken");
    }

    #[test]
    fn the_job_is_whole() {
        let job = job(&SEEDS).unwrap();
        assert!(job.verilog.contains("module top("));
        assert_eq!(
            (job.seeds.len(), job.steps(), job.needed_mhz),
            (5, 7, 125.0)
        );
        // As many pins as the package has for a design.
        let (_, top) = job.verilog.split_once("module top(").unwrap();
        let (top, _) = top.split_once("endmodule").unwrap();
        let pins = top.lines().map(str::trim).filter_map(|line| {
            let line = line.trim_end_matches(';');
            let (way, port) = line.split_once(' ')?;
            if !["input", "output"].contains(&way) {
                return None;
            }
            let range = port.split_once('[').and_then(|(_, r)| r.split_once(':'));
            Some(range.map_or(1, |(high, _)| high.parse::<u32>().unwrap() + 1))
        });
        let pins: u32 = pins.sum();
        assert!((100..=197).contains(&pins), "{pins} pins");
    }
}
