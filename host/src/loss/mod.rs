//! Goodput over a line that loses, doubles, spoils, delays and mixes up frames: the engine's beside Linux to Linux, on one path.
//!
//! A [`Case`] is a line, a flow and sizes; [`cases`] varies one or two things at a time from a base. What is compared is **who is called** ([`Near`]): in real time the caller is the kernel, so that the one
//! difference between the columns is whether the kernel or the engine stands at the near end; in simulated time the caller is smoltcp. The path ([`toe_sim::path`]) is the same for all.
//!
//! The figure is payload a second, one way, of all connections: from the first connection's being open at the far end until the last one has all bytes (the far end reads) or the near end has read all, compared them and closed
//! (the far end writes). Every byte is compared at whichever end gets it.
use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time;

use anyhow::{anyhow, bail, ensure, Context, Result};
use serde::{Deserialize, Serialize};
use toe_hdl::counters::Cause;
use toe_hdl::tcp::program::program;
use toe_sim::gmii::GmiiPort;
use toe_sim::kernel;
use toe_sim::link::{self, Duration, Instant, Joined, Link};
use toe_sim::path::{Line, Passed, Path, Place, Sighting};
use toe_sim::peer::Peer;
use toe_sim::tap::TapLink;
use toe_sim::time::RealTime;
use toe_sim::world::{Clock, World};

use crate::board::{Backend, SimulatedBoard};
use crate::capture;
use crate::report::{Page, StateWord};

pub mod ends;
mod table;

pub use table::{chart, digest, rows, run, table, Found, Options, Row, OUT};

use ends::{ModelEnd, OnEthernet};

/// Which way the data goes, seen from the near end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// The near end sends.
    Send,
    /// It receives.
    Receive,
    /// It echoes: each byte crosses the path both ways.
    Both,
}

impl Flow {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Send, Self::Receive, Self::Both];

    /// Its word in the names of rows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Both => "both",
        }
    }
}

/// One row of the table: what is moved, over what.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// `3`, `delay200.1` and the like; the row's name is `loss.` and this, `.` and the flow.
    pub key: String,
    /// What differs from the base, in words.
    pub what: String,
    pub flow: Flow,
    pub connections: usize,
    /// Bytes of each of the engine's rings.
    pub ring: usize,
    /// Bytes of the window of every other end.
    pub window: usize,
    pub mtu: u16,
    /// Each way.
    pub line: Line,
    /// Of each connection.
    pub bytes: usize,
    /// How long that is to take if nothing is lost.
    seconds: f64,
}

/// The least that is moved, by four connections at most.
const LEAST: usize = 128 * 1024;

impl Case {
    /// The base: 10 Mb/s, 2 ms each way, 100 frames of queue, 8 KiB of window, one connection, an MTU of 1,500.
    pub fn base(flow: Flow) -> Self {
        let line = Line {
            rate: 10_000_000,
            delay: Duration::from_millis(2),
            ..Line::default()
        };
        Self {
            key: "none".into(),
            what: "no faults".into(),
            flow,
            connections: 1,
            ring: 8192,
            window: 8192,
            mtu: 1500,
            line,
            bytes: 0,
            seconds: 0.45,
        }
        .sized()
    }

    /// Its row's name.
    pub fn name(&self) -> String {
        format!("loss.{}.{}", self.key, self.flow.name())
    }

    /// Longest segment.
    pub fn mss(&self) -> usize {
        usize::from(self.mtu) - 40
    }

    /// Payload a second that there can be at most: of the line, and of a window in each round trip.
    pub fn limit(&self) -> f64 {
        let line = self.line.limit(self.mss());
        let trip = 2.0 * self.line.delay.total_micros() as f64 / 1e6;
        let there = (self.mss() + 78) as f64 * 8.0 / self.line.rate as f64;
        let windows = (self.window.min(self.ring) * self.connections) as f64;
        line.min(windows / (trip + there))
    }

    /// Sets the bytes to what takes so long if nothing is lost, and spares the frames that open the connections: two each way of each.
    fn sized(mut self) -> Self {
        let each = (self.limit() * self.seconds) as usize / self.connections;
        self.bytes = (each / 1024 * 1024).max(LEAST / self.connections.min(4));
        self.line.spared = 2 * self.connections as u64;
        self
    }

    fn with(&self, key: &str, what: &str, change: impl FnOnce(&mut Self)) -> Self {
        let mut case = self.clone();
        case.key = key.into();
        case.what = what.into();
        change(&mut case);
        case.sized()
    }

    /// With so many bytes a connection.
    pub fn of(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }
}

/// Held back by what four full frames take at the base's rate and a half.
pub const HELD: Duration = Duration::from_millis(5);

/// All rows of the table, in its order.
pub fn cases() -> Vec<Case> {
    let two = [Flow::Send, Flow::Receive];
    let mut all = vec![];
    let mut add = |flows: &[Flow], key: &str, what: &str, change: &dyn Fn(&mut Case)| {
        all.extend(
            flows
                .iter()
                .map(|flow| Case::base(*flow).with(key, what, change)),
        );
    };
    let lost = |case: &mut Case, percent: u32| case.line.loss = f64::from(percent) / 100.0;
    add(&Flow::ALL, "none", "no faults", &|_| {});
    for percent in [1, 3, 10] {
        let (key, what) = (percent.to_string(), format!("{percent} % lost"));
        add(&Flow::ALL, &key, &what, &|c| {
            lost(c, percent);
            // Enough for some dozens of losses in each run.
            c.seconds = if percent < 10 { 1.8 } else { 0.45 };
        });
    }
    add(&Flow::ALL, "reorder", "25 % held back 5 ms", &|c| {
        c.line.reorder = 0.25;
        c.line.reorder_by = HELD;
    });
    add(&Flow::ALL, "duplicate", "5 % twice", &|c| {
        c.line.duplicate = 0.05
    });
    add(&Flow::ALL, "corrupt", "1 % corrupted", &|c| {
        c.line.corrupt = 0.01
    });
    for percent in [0, 1] {
        for millis in [0, 20, 200] {
            let (key, what) = match percent {
                0 => (format!("delay{millis}"), format!("{millis} ms each way")),
                _ => (
                    format!("delay{millis}.{percent}"),
                    format!("{millis} ms each way, {percent} % lost"),
                ),
            };
            add(&two, &key, &what, &|c| {
                c.line.delay = Duration::from_millis(millis);
                lost(c, percent);
            });
        }
    }
    for percent in [0, 3] {
        let of = |key: &str, what: &str| match percent {
            0 => (key.to_string(), what.to_string()),
            _ => (
                format!("{key}.{percent}"),
                format!("{what}, {percent} % lost"),
            ),
        };
        let (key, what) = of("mss1", "window of 1 MSS");
        // The engine's own window is two segments at least.
        add(&two[..1], &key, &what, &|c| {
            c.window = 1460;
            lost(c, percent);
        });
        let (key, what) = of("4k", "window of 4 KiB");
        add(&two, &key, &what, &|c| {
            (c.ring, c.window) = (4096, 4096);
            lost(c, percent);
        });
        let (key, what) = of("32k", "window of 32 KiB");
        add(&two, &key, &what, &|c| {
            (c.ring, c.window) = (32_768, 32_768);
            lost(c, percent);
        });
        for connections in [4, 16] {
            let (key, what) = of(
                &format!("x{connections}"),
                &format!("{connections} connections"),
            );
            add(&two, &key, &what, &|c| {
                c.connections = connections;
                lost(c, percent);
            });
        }
        let (key, what) = of("mtu576", "MTU 576");
        add(&two, &key, &what, &|c| {
            c.mtu = 576;
            lost(c, percent);
        });
    }
    all
}

/// Slow enough for a simulated board in real time: the rows that the Verilog runs too.
pub fn slow_cases() -> Vec<Case> {
    let mut all = vec![];
    for percent in [0, 3] {
        for flow in Flow::ALL {
            let (key, what) = match percent {
                0 => ("slow".to_string(), "1 Mb/s".to_string()),
                _ => (
                    format!("slow.{percent}"),
                    format!("1 Mb/s, {percent} % lost"),
                ),
            };
            let case = Case::base(flow).with(&key, &what, |c| {
                c.line.rate = 1_000_000;
                c.line.loss = f64::from(percent) / 100.0;
            });
            all.push(case.of(96 * 1024));
        }
    }
    all
}

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Near {
    /// The Linux kernel.
    Linux,
    /// The engine's program on its instruction-level model.
    Model,
    /// The engine's Verilog, compiled.
    Verilog,
    /// smoltcp.
    Smoltcp,
}

/// What one run showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub seed: u64,
    /// Payload bits a second, one way; nothing: it was not done in time, or went wrong.
    pub goodput: Option<f64>,
    pub seconds: f64,
    /// Segments with data that those who send data sent, and how many of these had been sent before.
    pub data: u64,
    pub again: u64,
    /// The most that was in flight, in bytes, and the widest window offered behind the first eight segments of each connection.
    pub flight: u64,
    pub window: u64,
    /// Retransmission timers that expired; nothing: it is not known.
    pub timers: Option<u64>,
    /// The longest that the path handed out a frame late, in milliseconds: what this machine owes to the measurement.
    pub late: f64,
    /// Why there is no goodput.
    pub failure: Option<String>,
}

/// A finished run with what was on the line.
pub struct Ran {
    pub sample: Sample,
    pub seen: Vec<Sighting>,
    pub to_near: Passed,
    pub to_far: Passed,
    /// The words of the engine's state that are plotted, in microseconds.
    pub words: Vec<StateWord>,
}

impl Ran {
    /// The page with the time-sequence plots of the first connection, as the near end saw it.
    pub fn page(&self, case: &Case, near: Near) -> Page {
        let seen = self.seen.iter().filter_map(|s| {
            let outward = match s.place {
                Place::NearSent => true,
                Place::NearGot => false,
                Place::FarSent | Place::FarGot => return None,
            };
            let header = capture::parse_ip(&s.bytes)?;
            Some((s.at.total_micros().max(0) as u64, outward, header))
        });
        let seen: Vec<_> = seen.collect();
        let sample = &self.sample;
        let goodput = match (sample.goodput, &sample.failure) {
            (Some(bits), _) => format!("{:.3} Mb/s", bits / 1e6),
            (_, failure) => failure.clone().unwrap_or_default(),
        };
        let facts = [
            ("path", case.what.clone()),
            ("called", format!("{near:?}").to_lowercase()),
            ("seed", sample.seed.to_string()),
            ("goodput", goodput),
            ("sent again", format!("{} of {}", sample.again, sample.data)),
            ("most in flight", format!("{} bytes", sample.flight)),
            (
                "lost on the way to the near end",
                self.to_near.lost.to_string(),
            ),
            (
                "lost on the way to the far end",
                self.to_far.lost.to_string(),
            ),
        ];
        let segments = capture::relative(&seen);
        let again = |mine: bool| segments.iter().find(|s| s.again && (s.outward || !mine));
        let again = again(true).or(again(false)).map(|s| s.cycle);
        Page {
            title: case.name(),
            facts: facts.map(|(label, value)| (label.into(), value)).into(),
            cycles: seen.last().map_or(0, |s| s.0),
            segments,
            part: again.map(|at| {
                // The least retransmission timeout lies before it.
                let (from, to) = (at.saturating_sub(240_000), at + 60_000);
                (from, to, "Round the first segment that was sent again")
            }),
            unit: Some("µs"),
            words: self.words.clone(),
            ..Page::default()
        }
    }
}

/// What the capture shows of those who send data.
#[derive(Default)]
struct OnTheWire {
    data: u64,
    again: u64,
    flight: u64,
    window: u64,
}

fn on_the_wire(seen: &[Sighting]) -> OnTheWire {
    #[derive(Default)]
    struct Sender {
        first: u32,
        /// Behind the last byte sent, and the first not acknowledged, both relative.
        next: u32,
        una: u32,
        shift: u8,
        sent: u64,
    }
    let mut senders: HashMap<(bool, (u16, u16)), Sender> = HashMap::new();
    let mut all = OnTheWire::default();
    for s in seen {
        let Some(h) = capture::parse_ip(&s.bytes) else {
            continue;
        };
        let from_near = match s.place {
            Place::NearSent => true,
            Place::FarSent => false,
            // An acknowledgement counts where it arrives.
            Place::NearGot | Place::FarGot => {
                let mine = (s.place == Place::NearGot, (h.ports.1, h.ports.0));
                if let (Some(sender), Some(ack)) = (senders.get_mut(&mine), h.ack) {
                    let ack = ack.wrapping_sub(sender.first);
                    if ack <= sender.next + 1 {
                        sender.una = sender.una.max(ack);
                    }
                }
                continue;
            }
        };
        let sender = senders.entry((from_near, h.ports)).or_default();
        sender.sent += 1;
        if h.syn {
            sender.first = h.seq.wrapping_add(1);
            sender.shift = h.window_shift.unwrap_or(0);
        } else if sender.sent > 8 && !h.rst {
            all.window = all.window.max(u64::from(h.window) << sender.shift);
        }
        let at = h.seq.wrapping_sub(sender.first);
        // A keepalive's byte lies before all that is new.
        if h.length > 0 && at < u32::MAX / 2 {
            all.data += 1;
            all.again += u64::from(at < sender.next);
            sender.next = sender.next.max(at + h.length);
            all.flight = all
                .flight
                .max(u64::from(sender.next.saturating_sub(sender.una)));
        }
    }
    all
}

fn finished<L: Link>(
    seed: u64,
    path: &Path<L>,
    seconds: Result<f64>,
    timers: Option<u64>,
    words: Vec<StateWord>,
    case: &Case,
) -> Ran {
    let wire = on_the_wire(path.seen());
    let late = path.to_near().latest.max(path.to_far().latest);
    let bits = (8 * case.bytes * case.connections) as f64;
    let seen = path.seen().to_vec();
    let (seconds, failure) = match seconds {
        Ok(seconds) => (seconds, None),
        Err(error) => (0.0, Some(format!("{error:#}"))),
    };
    Ran {
        sample: Sample {
            seed,
            goodput: failure.is_none().then(|| bits / seconds.max(1e-6)),
            seconds,
            data: wire.data,
            again: wire.again,
            flight: wire.flight,
            window: wire.window,
            timers,
            late: late.total_micros() as f64 / 1e3,
            failure,
        },
        seen,
        to_near: path.to_near(),
        to_far: path.to_far(),
        words,
    }
}

fn seconds_between(start: Option<Instant>, end: Option<Instant>) -> Result<f64> {
    match (start, end) {
        (Some(start), Some(end)) => Ok((end - start).total_micros() as f64 / 1e6),
        _ => bail!("it never opened"),
    }
}

/// One run in simulated time: smoltcp calls the engine's model, or itself.
///
/// # Errors
/// Of what only the pins or the kernel can be.
pub fn simulated(case: &Case, near: Near, seed: u64) -> Result<Ran> {
    let (far, talks) = ends::smoltcp_far(case, seed);
    let mut path = Path::new(far, seed, case.line).keeping();
    let mut failure = None;
    let end = Instant::from_secs(3_600);
    // One that failed is over, too.
    let over = |path: &mut Path<Peer>| path.far().finished().unwrap_or(true);
    let (joined, timers, words) = match near {
        Near::Model => {
            let program = program(&ends::config(case, true));
            let mut model = ModelEnd::new(case, &program);
            let joined = link::join(&mut model, &mut path, Instant::ZERO, end, |model, path| {
                model.error.is_some() || over(path)
            });
            failure.clone_from(&model.error);
            if case.flow == Flow::Receive && model.whole < case.connections {
                failure.get_or_insert("the engine has not got all".into());
            }
            let timers = model.toe().counter(Cause::RtoExpired);
            (joined, Some(timers), model.words)
        }
        Near::Smoltcp => {
            let mut near = ends::smoltcp_near(case, seed);
            let joined = link::join(&mut near, &mut path, Instant::ZERO, end, |near, path| {
                // A far end that closes early is to the near one a reset.
                (case.flow != Flow::Send && near.finished().is_err()) || over(path)
            });
            if case.flow != Flow::Send {
                failure = near.finished().err().map(|e| e.to_string());
            }
            (joined, None, vec![])
        }
        Near::Linux | Near::Verilog => bail!("{near:?} has no simulated time here"),
    };
    let seconds = || {
        if let Some(failure) = failure {
            bail!("{failure}");
        }
        ensure!(
            path.far().finished()?,
            "{joined:?}\n{}",
            path.far().report()
        );
        ensure!(matches!(joined, Joined::Done(_)), "{joined:?}");
        let times = || talks.iter().map(|talk| path.far().app(*talk).times());
        let start = times().filter_map(|t| t.established).min();
        let end = times().filter_map(|t| match case.flow {
            Flow::Receive => t.done,
            _ => t.last_byte,
        });
        seconds_between(start, end.max())
    };
    let seconds = seconds();
    Ok(finished(seed, &path, seconds, timers, words, case))
}

/// How long nothing may move at the far end in real time.
const PATIENCE: time::Duration = time::Duration::from_secs(90);

/// What the far end's thread gives back: when the first connection was open, and when the last had all.
type Called = Result<(time::Instant, time::Instant)>;

/// The far end: a network of its own in this thread, whose device it hands over; calls when it is told to.
fn far(
    case: &Case,
    congestion: &str,
    device: std::sync::mpsc::Sender<Result<TapLink>>,
    go: &std::sync::mpsc::Receiver<()>,
) -> Called {
    let opened = ends::network(ends::FAR, case);
    let up = opened.is_ok();
    device.send(opened.map_err(Into::into)).ok();
    drop(device);
    ensure!(up && go.recv().is_ok(), "the path was not made");
    let setting = ends::setting(case, congestion);
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..case.connections)
            .map(|_| scope.spawn(|| ends::call(case, &setting, PATIENCE)))
            .collect();
        let mut span: Option<(time::Instant, time::Instant)> = None;
        for call in calls {
            let (from, to) = call.join().map_err(|_| anyhow!("a caller broke off"))??;
            span = Some(span.map_or((from, to), |s| (s.0.min(from), s.1.max(to))));
        }
        span.context("nobody called")
    })
}

fn seconds_of(called: std::thread::Result<Called>) -> Result<f64> {
    let (from, to) = called.map_err(|_| anyhow!("the far end broke off"))??;
    Ok((to - from).as_secs_f64())
}

/// Sets a flag when it goes, however it goes.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// One run in real time: the kernel, with this congestion control, calls itself or the engine. To be called where [`toe_sim::netns::may_enter`].
///
/// # Errors
/// When an end cannot be made; what goes wrong in the run itself is in the sample.
pub fn real(case: &Case, near: Near, seed: u64, congestion: &str) -> Result<Ran> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (device, devices) = channel();
        let (go, may_go) = channel();
        let caller = scope.spawn({
            let over = &over;
            move || {
                let _end = SetOnDrop(over);
                far(case, congestion, device, &may_go)
            }
        });
        let far = devices.recv().context("the far end broke off")??;
        let wakes = far.as_raw_fd();
        let mut path = Path::new(far, seed, case.line).keeping();
        let stop = || over.load(Ordering::Acquire);
        match near {
            Near::Model => {
                let program = program(&ends::config(case, true));
                let mut model = ModelEnd::new(case, &program);
                go.send(()).ok();
                kernel::join(&mut model, &mut path, &[wakes], |model, _| {
                    model.error.is_some() || stop()
                })?;
                let mut seconds = seconds_of(caller.join());
                if case.flow == Flow::Receive && model.whole < case.connections {
                    seconds = seconds.and_then(|_| bail!("the engine has not got all"));
                }
                if let Some(error) = &model.error {
                    seconds = Err(anyhow!("{error}"));
                }
                let timers = Some(model.toe().counter(Cause::RtoExpired));
                Ok(finished(seed, &path, seconds, timers, model.words, case))
            }
            Near::Linux => {
                let (device, devices) = channel();
                let (server, servers) = channel();
                let setting = ends::setting(case, congestion);
                let serving = scope.spawn(move || -> Result<()> {
                    let opened = ends::network(ends::NEAR, case);
                    let up = opened.is_ok();
                    device.send(opened).ok();
                    ensure!(up, "no network");
                    let mine = std::sync::Arc::new(ends::Server::new(case, setting)?);
                    server.send(mine.clone()).ok();
                    Ok(mine.serve(case)?)
                });
                let mut near = devices.recv().context("the near end broke off")??;
                let server = servers.recv().context("the near end does not listen")?;
                let wakes = [wakes, near.as_raw_fd()];
                go.send(()).ok();
                kernel::join(&mut near, &mut path, &wakes, |_, _| stop())?;
                let called = caller.join();
                server.end();
                let served = serving
                    .join()
                    .map_err(|_| anyhow!("the near end broke off"))?;
                let seconds = served.and_then(|()| seconds_of(called));
                Ok(finished(seed, &path, seconds, None, vec![], case))
            }
            Near::Verilog => {
                let config = ends::config(case, false);
                let mac = config.mac;
                let time = RealTime::new();
                let board = SimulatedBoard::new(&config, Backend::Verilog, GmiiPort::new(), time)?;
                let mut world = World::new(board, OnEthernet::new(path, mac), Clock::real());
                go.send(()).ok();
                while !stop() {
                    world.run(2_000)?;
                }
                let timers = Some(world.board.counter(Cause::RtoExpired));
                let seconds = seconds_of(caller.join());
                let path = world.link.into_inner();
                Ok(finished(seed, &path, seconds, timers, vec![], case))
            }
            Near::Smoltcp => bail!("smoltcp is not called in real time"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_row_has_a_name_of_its_own_and_its_sizes_fit() {
        let all: Vec<_> = cases().into_iter().chain(slow_cases()).collect();
        let names: HashSet<_> = all.iter().map(Case::name).collect();
        assert_eq!(names.len(), all.len());
        for case in &all {
            ends::config(case, true)
                .check()
                .unwrap_or_else(|e| panic!("{}: {e}", case.name()));
            assert!(case.bytes >= 32 * 1024, "{case:?}");
            // Nothing takes a minute if nothing is lost.
            let total = (case.bytes * case.connections) as f64;
            assert!(total / case.limit() < 10.0, "{case:?}");
        }
        for wanted in [
            "loss.1.send",
            "loss.10.both",
            "loss.delay200.1.receive",
            "loss.x16.3.send",
        ] {
            assert!(names.contains(wanted), "{wanted}");
        }
    }

    /// A packet of TCP: its flags, the length of its data; ports 1 and 2.
    fn packet(
        ports: (u16, u16),
        seq: u32,
        ack: u32,
        flags: u8,
        window: u16,
        length: usize,
    ) -> Vec<u8> {
        let total = 40 + length as u16;
        let mut p = vec![0x45, 0];
        p.extend(total.to_be_bytes());
        p.extend([0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        p.extend(ports.0.to_be_bytes());
        p.extend(ports.1.to_be_bytes());
        p.extend(seq.to_be_bytes());
        p.extend(ack.to_be_bytes());
        p.extend([0x50, flags]);
        p.extend(window.to_be_bytes());
        p.extend([0, 0, 0, 0]);
        p.resize(usize::from(total), 0);
        p
    }

    /// Three segments, of which the second is sent again; the first is acknowledged before the third leaves. Numbers wrap.
    #[test]
    fn what_was_sent_again_and_in_flight_is_read_off_the_capture() {
        let first = u32::MAX - 50;
        let at = |n: u32| first.wrapping_add(1 + n);
        let near = (9, 8);
        let far = (8, 9);
        let (sent, got) = (Place::NearSent, Place::NearGot);
        let seen = [
            (sent, packet(near, first, 0, 2, 100, 0)),
            (sent, packet(near, at(0), 1, 16, 700, 100)),
            (sent, packet(near, at(100), 1, 16, 700, 100)),
            (Place::FarGot, packet(near, at(0), 1, 16, 700, 100)),
            (got, packet(far, 1, at(100), 16, 500, 0)),
            (sent, packet(near, at(200), 1, 16, 700, 50)),
            (sent, packet(near, at(100), 1, 16, 700, 100)),
            // A keepalive.
            (sent, packet(near, at(0).wrapping_sub(1), 1, 16, 700, 1)),
        ];
        let seen: Vec<_> = (seen.into_iter())
            .map(|(place, bytes)| Sighting {
                at: Instant::ZERO,
                place,
                bytes,
            })
            .collect();
        let found = on_the_wire(&seen);
        assert_eq!((found.data, found.again, found.flight), (4, 1, 200));
    }

    /// A whole run through the page: the plots have the data that was sent again.
    #[test]
    fn a_run_has_a_page() {
        let mut case = Case::base(Flow::Send).of(64 * 1024);
        case.line.loss = 0.05;
        let ran = simulated(&case, Near::Model, 1).unwrap();
        assert!(ran.sample.again > 0, "{:?}", ran.sample);
        let page = ran.page(&case, Near::Model);
        let again = page
            .segments
            .iter()
            .filter(|s| s.outward && s.again)
            .count();
        assert_eq!(again as u64, ran.sample.again);
        let html = crate::report::html(&page);
        assert!(html.contains("µs") && html.contains(", sent again"));
    }
}
