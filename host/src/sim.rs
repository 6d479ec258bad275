//! The simulated board on a real Linux network, through a TAP device.
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use toe_hdl::config::{ConfigError, Listener, Owner, ToeConfig};
use toe_sim::gmii::GmiiPort;
use toe_sim::link::{Link, Medium};
use toe_sim::pcap::PcapWriter;
use toe_sim::tap::TapLink;
use toe_sim::time::RealTime;
use toe_sim::world::{Clock, Port, World};

use crate::board::{Backend, SimulatedBoard};
use crate::output::{self, Output};
use crate::{say, settings, Refused};

/// An address with the length of its network's prefix: `192.168.69.2/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    pub ip: Ipv4Addr,
    pub prefix: u8,
}

impl std::str::FromStr for Cidr {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{s}` is not an address with a prefix length; write it like 192.168.69.2/24")
        };
        let (ip, prefix) = s.split_once('/').ok_or_else(wrong)?;
        let (ip, prefix) = (
            ip.parse().map_err(|_| wrong())?,
            prefix.parse().map_err(|_| wrong())?,
        );
        if !(8..=30).contains(&prefix) {
            return Err(format!("the prefix length of `{s}` must be from 8 to 30"));
        }
        Ok(Self { ip, prefix })
    }
}

impl Cidr {
    /// The first other address of the network: the kernel's end.
    pub fn neighbour(&self) -> Ipv4Addr {
        let base = u32::from(self.ip) & self.mask();
        let first = Ipv4Addr::from(base + 1);
        if first == self.ip {
            Ipv4Addr::from(base + 2)
        } else {
            first
        }
    }

    fn mask(&self) -> u32 {
        u32::MAX << (32 - self.prefix)
    }
}

/// What to run.
pub struct Options<'a> {
    /// All but the addresses.
    pub config: &'a ToeConfig,
    pub tap: &'a str,
    pub ip: Cidr,
    /// The kernel's address on the TAP device.
    pub host_ip: Option<Ipv4Addr>,
    pub backend: Backend,
    /// One application, or all on their own ports.
    pub app: Option<&'a str>,
    pub pcap: Option<&'a Path>,
    pub vcd: Option<&'a Path>,
    /// End after this long.
    pub duration: Option<Duration>,
    pub trace: bool,
}

/// The engine's configuration for these options.
///
/// # Errors
/// An unknown application, an address that won't do.
pub fn config(base: &ToeConfig, ip: Cidr, app: Option<&str>) -> Result<ToeConfig> {
    let mut config = ToeConfig {
        ip: ip.ip.octets(),
        netmask: ip.mask().to_be_bytes(),
        ..base.clone()
    };
    config.listeners = match app {
        None => config.listeners,
        Some("echo") => vec![Listener::new(7, Owner::Echo)],
        Some("discard") => vec![Listener::new(9, Owner::Discard)],
        Some("chargen") => vec![Listener::new(19, Owner::Chargen)],
        Some(other) => {
            return Err(Refused(format!(
                "there is no application `{other}`; there are echo (port 7), discard (9) and chargen (19)"
            ))
            .into())
        }
    };
    settings::check(&config).map_err(|e| match e.field {
        "ip" => ConfigError { field: "--ip", ..e },
        _ => e,
    })?;
    Ok(config)
}

/// The kernel's address beside the board's.
fn host_address(options: &Options) -> Result<Ipv4Addr> {
    let Some(host) = options.host_ip else {
        return Ok(options.ip.neighbour());
    };
    let (ip, mask) = (options.ip.ip, options.ip.mask());
    settings::check_host("--host-ip", host, mask.into())?;
    if host == ip || (u32::from(host) ^ u32::from(ip)) & mask != 0 {
        return Err(ConfigError {
            field: "--host-ip",
            value: host.to_string(),
            limit: format!(
                "another address than the board's, in its network {}/{}",
                Ipv4Addr::from(u32::from(ip) & mask),
                options.ip.prefix
            ),
        }
        .into());
    }
    Ok(host)
}

/// How a run is ended from outside.
#[derive(Debug, Default)]
pub struct Stop {
    running: AtomicBool,
    asked: AtomicBool,
}

impl Stop {
    /// Asks the run to end. Says whether it will: before it has begun, or asked a second time, it does not listen.
    pub fn ask(&self) -> bool {
        self.running.load(Ordering::Relaxed) && !self.asked.swap(true, Ordering::Relaxed)
    }
}

/// Runs until `stop` is set or the duration is over.
///
/// # Errors
/// When the TAP device cannot be had (exit code 3), an option won't do (2), or the board breaks the rules of its line (1).
pub fn run(options: &Options, stop: &Stop) -> Result<()> {
    let config = config(options.config, options.ip, options.app)?;
    crate::settings::check_gmii(&config)?;
    let host_ip = host_address(options)?;
    let pcap = options.pcap.map(Output::live).transpose()?;
    let vcd = options.vcd.map(Output::new).transpose()?;
    // The right to the device is tried first; it comes up when there is a board behind it.
    let prefix = options.ip.prefix;
    let tap =
        TapLink::open(options.tap, Medium::Ethernet).map_err(|e| e.for_address(host_ip, prefix))?;
    let machine = options.backend.machine_name()?;
    let mut board =
        SimulatedBoard::new(&config, options.backend, GmiiPort::new(), RealTime::new())?;
    if let Some(vcd) = &vcd {
        (board.waveform(vcd.part())).with_context(|| vcd.wrong())?;
    }
    if options.trace {
        board.trace_engine(&config)?;
    }
    tap.configure(host_ip, prefix, None)?;
    let ports: Vec<String> = config
        .listeners
        .iter()
        .map(|l| format!("{:?} on {}", l.owner, l.port).to_lowercase())
        .collect();
    eprintln!(
        "the board is at {}, this machine at {host_ip} on {}; {}; {} back end ({machine}); Ctrl-C ends",
        options.ip.ip,
        options.tap,
        ports.join(", "),
        options.backend
    );
    stop.running.store(true, Ordering::Relaxed);
    let start = Instant::now();
    let mut board = match pcap {
        Some(file) => {
            let link = (file.writer()).and_then(|out| Ok(PcapWriter::new(tap, out)?));
            let world = World::new(board, link.with_context(|| file.wrong())?, Clock::real());
            let flush = |l: &mut PcapWriter<_, _>| l.flush().with_context(|| file.wrong());
            let world = turn(world, options, stop, |l| l.inner(), flush)?;
            (world.link.finish()).with_context(|| file.wrong())?;
            world.board
        }
        None => {
            let world = World::new(board, tap, Clock::real());
            turn(world, options, stop, |l| l, |_| Ok(()))?.board
        }
    };
    if let Some(vcd) = vcd {
        board.end_waveform().with_context(|| vcd.wrong())?;
        vcd.commit()?;
    }
    eprintln!(
        "ended after {:.1} s and {} cycles; the counters that are not 0:",
        start.elapsed().as_secs_f64(),
        board.cycles()
    );
    for c in board.counters().iter().filter(|c| c.value > 0) {
        say!("{:<18} {:>10}  {}", c.name, c.value, c.meaning)?;
    }
    Ok(())
}

/// Cycles between two looks at the stop flag.
const TURN: u64 = 4_000;

fn turn<L: Link>(
    mut world: World<SimulatedBoard, L>,
    options: &Options,
    stop: &Stop,
    tap: impl Fn(&L) -> &TapLink,
    mut flush: impl FnMut(&mut L) -> Result<()>,
) -> Result<World<SimulatedBoard, L>> {
    let start = Instant::now();
    let (mut still, mut flushed) = (0, start);
    while !stop.asked.load(Ordering::Relaxed)
        && options.duration.is_none_or(|d| start.elapsed() < d)
        && !output::closed()
    {
        world.run(TURN)?;
        // What is told is forgotten: a board may run for days.
        for event in world.board.take_engine_trace() {
            say!("{event}")?;
        }
        if flushed.elapsed() > Duration::from_millis(500) {
            flushed = Instant::now();
            flush(&mut world.link)?;
        }
        // A quiet line needs no cycles but those that count the time: sleep until the kernel has something to say.
        let line = world.board.line_mut();
        still = if line.stamps().is_empty() && line.is_quiet() {
            still + 1
        } else {
            0
        };
        line.restart_measurement();
        if still > 10 {
            tap(&world.link).wait(Duration::from_millis(1))?;
        }
        if let Some(error) = tap(&world.link).failure() {
            anyhow::bail!("the TAP device {} failed: {error}", options.tap);
        }
    }
    Ok(world)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_wrong_ones_explained() {
        let c: Cidr = "10.1.2.3/24".parse().unwrap();
        assert_eq!((c.ip, c.prefix), (Ipv4Addr::new(10, 1, 2, 3), 24));
        assert_eq!(c.neighbour(), Ipv4Addr::new(10, 1, 2, 1));
        assert_eq!(
            "10.1.2.1/24".parse::<Cidr>().unwrap().neighbour(),
            Ipv4Addr::new(10, 1, 2, 2)
        );
        for wrong in ["10.1.2.3", "10.1.2/24", "10.1.2.3/x", "10.1.2.3/31"] {
            let e = wrong.parse::<Cidr>().unwrap_err();
            assert!(e.contains(wrong), "{e}");
        }
    }

    #[test]
    fn an_unknown_application_is_refused_with_those_there_are() {
        let e = config(
            &ToeConfig::default(),
            "10.0.0.2/24".parse().unwrap(),
            Some("http"),
        )
        .unwrap_err();
        assert!(e.to_string().contains("chargen"), "{e}");
        assert_eq!(crate::exit_code(&e), 2);
    }
}
