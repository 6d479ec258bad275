//! The engine's model on a simulated network: a [`ModelLink`] is a link like any other, so smoltcp, the fault injector and captures plug into it.
//!
//! Time is simulated: the model gets a tick for every millisecond that passes, and does all it can do at once whenever a packet or a tick comes.
//! Bare IP packets; the peer's Ethernet address is made up, so that the engine's use of it can be seen.
use std::collections::VecDeque;
use std::net::Ipv4Addr;

use toe_hdl::config::{Listener, Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_hdl::tcp::asm::Program;
use toe_hdl::tcp::model::blocks::Attached;
use toe_hdl::tcp::model::toe::ModelToe;
use toe_hdl::tcp::model::Trace;
use toe_sim::fault::{FaultInjector, Faults};
use toe_sim::link::{join, Duration, Frame, Instant, Joined, Link, Medium};
use toe_sim::peer::{Peer, PeerConfig};

/// The peer's address.
pub const PEER: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 100);
/// The Ethernet address its packets seem to come from.
pub const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// More steps than this without a pause are a wedge: no amount of buffer and window keeps the engine busy so long.
const STEPS: usize = 100_000;
/// Events remembered for the error message.
const REMEMBERED: usize = 12;

/// What the host does with a connection it owns: sends, closes if told to, and keeps what comes.
#[derive(Clone, Debug, Default)]
pub struct Host {
    pub send: Vec<u8>,
    pub sent: usize,
    pub received: Vec<u8>,
    /// Close when all is written; else when the peer has closed.
    pub close_first: bool,
    /// Abort instead of closing.
    pub abort: bool,
    /// It reads nothing for now.
    pub deaf: bool,
    /// It has closed.
    pub closed: bool,
}

/// The model as a link.
pub struct ModelLink {
    pub toe: ModelToe,
    /// What the host does with connections of owner `Host`.
    pub host: Host,
    /// Sees every event, if they are traced.
    pub observe: Option<fn(&Trace)>,
    /// Ticks in which nothing can happen are not run one by one (default).
    pub skips: bool,
    ticks: i64,
    last: VecDeque<Trace>,
    /// What went wrong, with the last events.
    pub error: Option<String>,
    /// Where all packets must go.
    mac: [u8; 6],
    /// Every packet with its time, if asked for: `>` to the engine, `<` from it.
    pub log: Option<Vec<(Instant, char, Frame)>>,
}

impl ModelLink {
    /// An engine with this program.
    pub fn new(config: &ToeConfig, program: &Program) -> Self {
        let mut toe = ModelToe::new(config, program);
        let peer = u32::from_be_bytes(PEER.octets());
        toe.blocks.neighbours.insert(peer, PEER_MAC);
        Self {
            toe,
            host: Host::default(),
            observe: None,
            skips: true,
            ticks: 0,
            last: VecDeque::new(),
            error: None,
            // Where the link has no addresses the program says none.
            mac: if config.ethernet { PEER_MAC } else { [0; 6] },
            log: None,
        }
    }

    /// Keeps the last events for error messages; several times slower.
    pub fn trace(&mut self) {
        self.toe.machine.tracing = true;
    }

    /// Ticks up to now, and all there is to do.
    pub fn advance(&mut self, now: Instant) {
        while self.ticks < now.total_millis() {
            self.ticks += 1;
            self.toe.tick();
            self.settle();
            let left = now.total_millis() - self.ticks;
            if left > 0 && self.skips {
                let left = u32::try_from(left).unwrap_or(u32::MAX);
                self.ticks += i64::from(self.toe.skip(left));
            }
        }
        self.settle();
    }

    fn settle(&mut self) {
        for _ in 0..STEPS {
            if self.error.is_some() {
                return;
            }
            let host = self.serve_host();
            match self.toe.step() {
                Ok(busy) => {
                    if let Some(trace) = self.toe.machine.trace.take() {
                        if let Some(observe) = self.observe {
                            observe(&trace);
                        }
                        self.last.push_back(trace);
                        if self.last.len() > REMEMBERED {
                            self.last.pop_front();
                        }
                    }
                    if let Some(complaint) = self.toe.blocks.complaints.first() {
                        let complaint = complaint.clone();
                        return self.fail(&complaint);
                    }
                    if !busy && !host {
                        return;
                    }
                }
                Err(fault) => return self.fail(&fault.to_string()),
            }
        }
        self.fail("the engine never comes to rest");
    }

    fn serve_host(&mut self) -> bool {
        let mut busy = false;
        for conn in 0..self.toe.blocks.attached.len() as u16 {
            let attached = self.toe.blocks.attached[conn as usize];
            if attached.owner != Some(Owner::Host as u8) || attached.over {
                continue;
            }
            let host = &mut self.host;
            let most = if host.deaf { 0 } else { usize::MAX };
            let came = self.toe.host_read(conn, most);
            busy |= !came.is_empty();
            host.received.extend(came);
            if attached.closed {
                continue;
            }
            let written = self.toe.host_write(conn, &host.send[host.sent..]);
            host.sent += written;
            busy |= written > 0;
            if host.sent == host.send.len() && (host.close_first || attached.peer_fin) {
                host.closed = true;
                busy = true;
                if host.abort {
                    self.toe.host_abort(conn);
                } else {
                    self.toe.host_close(conn);
                }
            }
        }
        busy
    }

    fn fail(&mut self, message: &str) {
        let mut text = format!("{message}\nlast events:\n");
        for trace in &self.last {
            text += &trace.to_string();
        }
        self.error = Some(text);
    }

    /// Nothing is left of any connection: no entry in use, no timer, no application.
    pub fn is_clean(&self) -> bool {
        let b = &self.toe.blocks;
        let nobody = b.attached.iter().all(|a| *a == Attached::default());
        nobody && b.table.used() == 0 && b.events.is_empty()
    }
}

impl Link for ModelLink {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        self.advance(now);
        let packet = self.toe.packet_out()?;
        if packet.mac != self.mac {
            self.fail(&format!("a packet for {:02x?}", packet.mac));
        }
        let frame = Frame::new(packet.bytes);
        if let Some(log) = &mut self.log {
            log.push((now, '<', frame.clone()));
        }
        Some(frame)
    }

    fn send(&mut self, frame: Frame, now: Instant) {
        self.advance(now);
        if let Some(log) = &mut self.log {
            log.push((now, '>', frame.clone()));
        }
        self.toe.packet_in(&frame.bytes, PEER_MAC);
        self.settle();
    }

    fn idle_until(&mut self, _now: Instant) -> Option<Instant> {
        let ticks = self.toe.blocks.timers.next()?;
        Some(Instant::from_millis(self.ticks + i64::from(ticks.max(1))))
    }

    fn medium(&self) -> Medium {
        Medium::Ip
    }
}

/// The model and a smoltcp peer, with a line that takes time and may spoil packets between them.
pub struct ModelWorld {
    pub model: ModelLink,
    pub line: FaultInjector<Peer>,
    pub now: Instant,
    config: ToeConfig,
}

/// The configuration of a [`ModelWorld`]: the default, and port 100 for the host.
pub fn config() -> ToeConfig {
    with_host(ToeConfig::default())
}

/// The Alchitry Cu's own, and port 100 for the host: the small program, rings of 512 and 256 bytes, and a line that knows neither Ethernet nor more than 576 bytes.
/// Listeners stand in the table, so the program is the board's, word for word.
pub fn alchitry_cu() -> ToeConfig {
    with_host(toe_bsp::alchitry_cu::config())
}

fn with_host(mut config: ToeConfig) -> ToeConfig {
    config.listeners.push(Listener::new(100, Owner::Host));
    config
}

impl ModelWorld {
    /// A fresh engine, a fresh peer, and a line of 100 µs, or the faults' delay if that is longer, with these faults both ways.
    pub fn new(config: &ToeConfig, program: &Program, seed: u64, faults: Faults) -> Self {
        let peer = Peer::new(&PeerConfig {
            medium: Medium::Ip,
            ip: PEER,
            seed,
            mtu: usize::from(config.mtu),
            patience: Duration::from_secs(300),
            ..PeerConfig::default()
        });
        let faults = Faults {
            delay: faults.delay.max(Duration::from_micros(100)),
            ..faults
        };
        let mut model = ModelLink::new(config, program);
        model.trace();
        Self {
            model,
            line: FaultInjector::new(peer, seed, faults, faults),
            now: Instant::ZERO,
            config: config.clone(),
        }
    }

    /// The engine's address.
    pub fn ip(&self) -> Ipv4Addr {
        Ipv4Addr::from(self.config.ip)
    }

    /// The peer.
    pub fn peer(&mut self) -> &mut Peer {
        self.line.inner_mut()
    }

    /// From now on the line is sound.
    pub fn heal(&mut self) {
        let sound = Faults {
            delay: Duration::from_micros(100),
            ..Faults::none()
        };
        self.line.set_faults(sound, sound);
    }

    /// Runs until every app of the peer is done.
    ///
    /// # Errors
    /// What the peer or the model complains of, or that `limit` of simulated time went by.
    pub fn run(&mut self, limit: Duration) -> Result<(), String> {
        self.run_until(limit, |_| false)
    }

    /// Runs until every app of the peer is done, or `done` says so.
    ///
    /// # Errors
    /// As [`ModelWorld::run`].
    pub fn run_until(
        &mut self,
        limit: Duration,
        mut done: impl FnMut(&ModelLink) -> bool,
    ) -> Result<(), String> {
        let end = self.now + limit;
        let mut outcome = Ok(());
        let joined = join(
            &mut self.model,
            &mut self.line,
            self.now,
            end,
            |model, line| {
                if let Some(error) = &model.error {
                    outcome = Err(error.clone());
                    return true;
                }
                match line.inner().finished() {
                    Ok(finished) => finished || done(model),
                    Err(error) => {
                        outcome = Err(error.to_string());
                        true
                    }
                }
            },
        );
        match joined {
            Joined::Done(now) => {
                self.now = now;
                outcome.map_err(|e| format!("at {now}: {e}\n{}", self.counters()))
            }
            Joined::OutOfTime => Err(format!(
                "not done after {limit}\n{}\n{}",
                self.line.inner().report(),
                self.counters()
            )),
            Joined::Silent(now) => Err(format!(
                "silence since {now}\n{}\n{}",
                self.line.inner().report(),
                self.counters()
            )),
        }
    }

    /// Lets time pass, as long as a TIME-WAIT and a timer or two take, and asks that nothing is left of any connection.
    ///
    /// # Errors
    /// What is left.
    pub fn come_to_rest(&mut self, within: Duration) -> Result<(), String> {
        let end = self.now + within;
        let joined = join(
            &mut self.model,
            &mut self.line,
            self.now,
            end,
            |model, _| model.error.is_some() || model.is_clean(),
        );
        if let Joined::Done(now) = joined {
            self.now = now;
        }
        if let Some(error) = &self.model.error {
            return Err(error.clone());
        }
        if self.model.is_clean() {
            return Ok(());
        }
        Err(format!(
            "{joined:?}, and left over: {:?}, {} entries\n{}",
            self.model.toe.blocks.attached,
            self.model.toe.blocks.table.used(),
            self.counters()
        ))
    }

    /// The counters that moved, in a line.
    pub fn counters(&self) -> String {
        let moved = Cause::ALL
            .iter()
            .map(|c| (c.name(), self.model.toe.counter(*c)))
            .filter(|(_, n)| *n > 0);
        let words: Vec<_> = moved.map(|(name, n)| format!("{name} {n}")).collect();
        format!("counters: {}", words.join(", "))
    }
}
