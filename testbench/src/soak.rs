//! Hours of a [`Crowd`] on the model, and seconds of it on a board: what must hold all along, and that nothing at all is left when all have gone.
//!
//! At each checkpoint nobody new comes, those there finish, and then as many newcomers as there are slots come at once: they hold their connections until all are
//! open, which they are within [`OPENS_WITHIN`] whoever vanished before, and then echo and close. What is left after that of any connection is a leak.
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use toe_hdl::config::{Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_hdl::tcp::model::blocks::Attached;
use toe_hdl::tcp::model::toe::ModelToe;
use toe_hdl::tcp::program::constant::{KEEPALIVE_BOUND, TIME_WAIT};
use toe_hdl::tcp::program::{program, state, words};
use toe_host::board::{Backend, SimulatedBoard};
use toe_host::demo;
use toe_host::trace::Event;
use toe_sim::fault::{FaultInjector, Faults};
use toe_sim::gmii::GmiiPort;
use toe_sim::link::{join, Duration, Frame, Instant, Joined, Link, Medium};
use toe_sim::peer::{AppHandle, Peer, PeerConfig};

use toe_sim::time::SimulatedTime;
use toe_sim::world::{Clock, World, WorldError};

use crate::crowd::{sent_by_host, sent_by_peer, Crowd, Mix, Shared, Tally, Vanishing};
use crate::liveness::{balance, Bench, Client, Counters};
use crate::lives::{End, Lives};
use crate::model_world::{PEER, PEER_MAC};
use crate::transfers::bytes;
use crate::wire::{Tcp, IP, RST};

/// Newcomers who call again each second have every slot so soon, whatever the peers before them did: [`KEEPALIVE_BOUND`] from the first that is refused, and two of their own calls.
pub const OPENS_WITHIN: Duration = Duration::from_millis(KEEPALIVE_BOUND as u64 + 2_000);
/// Those who are there need so long at most to finish when nobody new comes: one's plan, and what the engine and smoltcp wait for each other.
const FINISH_WITHIN: Duration = Duration::from_secs(900);
/// More steps than this without a pause are a wedge.
const STEPS: usize = 100_000;
/// Ticks in a millisecond of a client's time that its retry is one second.
const CLIENT_TIME: u64 = Client::RETRY / 1_000;

// ------------------------------------------------------------------------------------------------ the engine's host

/// How the host ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    /// When it has written all, and reads on.
    First,
    /// When the peer has closed and all is read.
    Last,
    Abort,
}

/// What the host does with one connection.
#[derive(Clone, Debug)]
struct Host {
    port: u16,
    send: usize,
    sent: usize,
    received: usize,
    leave: Leave,
    left: bool,
    /// It reads nothing from so many bytes on, for so many ticks; until when.
    deaf: Option<(usize, i64)>,
    deaf_until: Option<i64>,
}

/// The model with a host that owns some of its connections.
pub struct ModelEnd {
    pub toe: ModelToe,
    pub lives: Lives,
    hosts: Vec<Option<Host>>,
    rng: ChaCha8Rng,
    shared: Rc<RefCell<Shared>>,
    /// Ticks in which nothing can happen are not run one by one.
    skips: bool,
    ticks: i64,
    ran: u64,
    came: u64,
    left: u64,
    resets: u64,
    /// Of every packet and its time.
    pub digest: DefaultHasher,
    /// To [`IP`], not to the crowd.
    probed: Vec<Tcp>,
    pub error: Option<String>,
    host_received: u64,
}

impl ModelEnd {
    fn new(config: &ToeConfig, seed: u64, shared: Rc<RefCell<Shared>>, skips: bool) -> Self {
        let mut toe = ModelToe::new(config, &program(config));
        for ip in [PEER.octets(), IP] {
            toe.blocks
                .neighbours
                .insert(u32::from_be_bytes(ip), PEER_MAC);
        }
        Self {
            lives: Lives::new(config.entries()),
            hosts: vec![None; config.connections],
            rng: ChaCha8Rng::seed_from_u64(!seed),
            toe,
            shared,
            skips,
            ticks: 0,
            ran: 0,
            came: 0,
            left: 0,
            resets: 0,
            digest: DefaultHasher::new(),
            probed: Vec::new(),
            error: None,
            host_received: 0,
        }
    }

    fn fail(&mut self, message: impl Into<String>) {
        self.error.get_or_insert(message.into());
    }

    fn counters(&self) -> Counters {
        let mut all: BTreeMap<_, _> = (Cause::ALL.iter())
            .map(|c| (*c, self.toe.counter(*c)))
            .collect();
        all.insert(Cause::FrameIn, self.came);
        all
    }

    /// Every equation there is.
    fn balance(&self) -> Result<(), String> {
        let counters = self.counters();
        balance(self.came, &counters)?;
        let table = &self.toe.blocks.table;
        self.lives.balance(table.given, table.outlived, &counters)?;
        let kinds = [Cause::SegmentOut, Cause::PureAckOut, Cause::ResetOut];
        let equations = [
            (
                "frames that left; FrameOut",
                self.left,
                counters[&Cause::FrameOut],
            ),
            (
                "RSTs that left; ResetOut",
                self.resets,
                counters[&Cause::ResetOut],
            ),
            (
                "FrameOut; its kinds",
                self.left,
                kinds.iter().map(|c| counters[c]).sum(),
            ),
        ];
        for (what, a, b) in equations {
            if a != b {
                return Err(format!("{what}: {a} and {b}"));
            }
        }
        Ok(())
    }

    fn state(&self, entry: usize) -> u32 {
        let at = words::STATE.address().expect("a word of state");
        self.toe.machine.state[entry][usize::from(at)]
    }

    /// One step of the engine, and what became of whom.
    fn step(&mut self) -> Result<bool, String> {
        let of = |toe: &ModelToe| {
            [
                Cause::Closed,
                Cause::ResetIn,
                Cause::GaveUp,
                Cause::Recycled,
            ]
            .map(|c| toe.counter(c))
        };
        let before = of(&self.toe);
        let (given, outlived) = (self.toe.blocks.table.given, self.toe.blocks.table.outlived);
        let events = self.toe.events;
        let busy = self.toe.step().map_err(|fault| fault.to_string())?;
        if let Some(complaint) = self.toe.blocks.complaints.first() {
            return Err(complaint.clone());
        }
        if self.toe.events == events {
            return Ok(busy);
        }
        let after = of(&self.toe);
        let moved = |n: usize| after[n] > before[n];
        let table = &self.toe.blocks.table;
        let evicted = moved(3) && table.outlived == outlived;
        let end = match () {
            () if moved(0) => End::Closed,
            () if moved(1) => End::Reset,
            () if moved(2) => End::GaveUp,
            () if evicted => End::Recycled,
            () => End::Application,
        };
        let began = table.given > given;
        let lives = self.lives.began;
        for entry in 0..self.toe.machine.state.len() {
            self.lives.now(entry, self.state(entry), end);
        }
        if began && self.lives.began == lives {
            self.lives.replaced();
        }
        Ok(busy)
    }

    fn settle(&mut self) {
        for _ in 0..STEPS {
            if self.error.is_some() {
                return;
            }
            let host = self.serve();
            match self.step() {
                Ok(busy) if !busy && !host => return,
                Ok(_) => {}
                Err(e) => return self.fail(e),
            }
        }
        self.fail("the engine never comes to rest");
    }

    /// When a host that reads nothing begins again.
    fn hears_at(&self) -> Option<i64> {
        let hosts = self.hosts.iter().flatten();
        hosts.filter_map(|h| h.deaf_until).min()
    }

    /// Ticks up to now, and all there is to do.
    fn advance(&mut self, now: Instant) {
        let calls = std::mem::take(&mut self.shared.borrow_mut().connects);
        for (local, remote, owner) in calls {
            self.toe.connect(local, (PEER.octets(), remote), owner);
        }
        self.settle();
        while self.ticks < now.total_millis() {
            self.ticks += 1;
            self.ran += 1;
            self.toe.tick();
            self.settle();
            let end = self.hears_at().unwrap_or(i64::MAX).min(now.total_millis());
            if self.skips && self.ticks + 1 < end {
                let most = u32::try_from(end - 1 - self.ticks).unwrap_or(u32::MAX);
                self.ticks += i64::from(self.toe.skip(most));
            }
        }
    }

    /// The host's turn.
    fn serve(&mut self) -> bool {
        let mut busy = false;
        for conn in 0..self.hosts.len() {
            let attached: Attached = self.toe.blocks.attached[conn];
            if attached.owner != Some(Owner::Host as u8) || attached.over {
                self.hosts[conn] = None;
                continue;
            }
            let at = usize::from(words::PORTS.address().expect("a word of state"));
            let port = (self.toe.machine.state[conn][at] >> 16) as u16;
            let rng = &mut self.rng;
            let host = self.hosts[conn].get_or_insert_with(|| {
                let send = 20_000f64.powf(rng.random()) as usize - 1;
                let leave = [Leave::First, Leave::Last, Leave::Last, Leave::Abort];
                Host {
                    port,
                    send,
                    sent: 0,
                    received: 0,
                    leave: leave[rng.random_range(0..4)],
                    left: false,
                    deaf: (rng.random_bool(0.4))
                        .then(|| (rng.random_range(0..9_000), rng.random_range(1..20_000))),
                    deaf_until: None,
                }
            });
            if host.deaf_until.is_some_and(|until| self.ticks >= until) {
                (host.deaf, host.deaf_until) = (None, None);
            }
            if host.deaf_until.is_none() {
                let most = host
                    .deaf
                    .map_or(usize::MAX, |(at, _)| at - host.received.min(at));
                let came = self.toe.host_read(conn as u16, most);
                busy |= !came.is_empty();
                self.host_received += came.len() as u64;
                for byte in came {
                    let due = sent_by_peer(host.port, host.received);
                    if byte != due {
                        let message = format!(
                            "the host: byte {} is {byte:#04x}, due is {due:#04x}: {host:?}",
                            host.received
                        );
                        self.error.get_or_insert(message);
                    }
                    host.received += 1;
                }
                if let Some((at, time)) = host.deaf {
                    if host.received >= at {
                        host.deaf_until = Some(self.ticks + time);
                    }
                }
            }
            if host.left {
                continue;
            }
            let next: Vec<u8> = (host.sent..host.send.min(host.sent + 4_096))
                .map(|n| sent_by_host(host.port, n))
                .collect();
            let written = self.toe.host_write(conn as u16, &next);
            host.sent += written;
            busy |= written > 0;
            let read = attached.peer_fin && self.toe.blocks.rx.readable(conn as u16) == 0;
            let all = host.sent == host.send;
            let leaves = match host.leave {
                Leave::First => all,
                Leave::Last => all && read,
                Leave::Abort => all || read,
            };
            if leaves {
                host.left = true;
                busy = true;
                if host.leave == Leave::Abort {
                    self.shared.borrow_mut().aborted.insert(host.port);
                    self.toe.host_abort(conn as u16);
                } else {
                    self.toe.host_close(conn as u16);
                }
            }
        }
        busy
    }

    fn put(&mut self, packet: &[u8], now: Instant) {
        self.advance(now);
        (now.total_micros(), '>', packet).hash(&mut self.digest);
        self.came += 1;
        self.toe.packet_in(packet, PEER_MAC);
        self.settle();
    }
}

impl Link for ModelEnd {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        self.advance(now);
        loop {
            let packet = self.toe.packet_out()?;
            (now.total_micros(), '<', &packet.bytes).hash(&mut self.digest);
            self.left += 1;
            let Some(segment) = Tcp::from_packet(&packet.bytes) else {
                self.fail("a packet that is no segment");
                return None;
            };
            self.resets += u64::from(segment.flags & RST != 0);
            if packet.bytes[16..20] == IP {
                self.probed.push(segment);
                continue;
            }
            return Some(Frame::new(packet.bytes));
        }
    }
    fn send(&mut self, frame: Frame, now: Instant) {
        self.put(&frame.bytes, now);
    }
    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        if !self.shared.borrow().connects.is_empty() {
            return Some(now);
        }
        let timer = self.toe.blocks.timers.next();
        let timer = timer.map(|ticks| self.ticks + i64::from(ticks.max(1)));
        let next = [timer, self.hears_at()].into_iter().flatten().min();
        next.map(Instant::from_millis)
    }
    fn medium(&self) -> Medium {
        Medium::Ip
    }
}

// ------------------------------------------------------------------------------------------------ hours on the model

/// What a soak came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub tally: Tally,
    pub told: String,
    /// Events in which a state was entered, by its name.
    pub entered: BTreeMap<&'static str, u64>,
    pub host_received: u64,
    pub counters: Counters,
    /// Of every packet with its time.
    pub digest: u64,
    /// Of the engine's state at the end.
    pub rest: u64,
    /// Ticks in all, and those not skipped.
    pub ticks: (i64, u64),
    /// Until all newcomers had a slot, at each checkpoint.
    pub opened_after: Vec<Duration>,
    pub lost: u64,
}

struct Soak {
    model: ModelEnd,
    line: FaultInjector<Vanishing>,
    crowd: AppHandle<Crowd>,
    now: Instant,
    seed: u64,
    config: ToeConfig,
    next_port: u16,
}

impl Soak {
    fn fail(&mut self, message: &str) -> ! {
        let crowd = self.line.inner_mut();
        panic!(
            "seed {}, at {}: {message}\n{}\n{}\n{:?}\n{}",
            self.seed,
            self.now,
            crowd
                .peer
                .app(self.crowd)
                .complaint
                .clone()
                .unwrap_or_default(),
            self.model.lives.told(),
            self.model.toe.blocks.attached,
            crowd.peer.report()
        );
    }

    /// Runs until then, or `done` says so; the equations hold once a minute. Whether it said so.
    fn run(&mut self, end: Instant, mut done: impl FnMut(&ModelEnd, &Crowd) -> bool) -> bool {
        let handle = self.crowd;
        let mut minute = self.now;
        let mut error = None;
        let mut said = false;
        let (now, clock) = (self.now, std::cell::Cell::new(self.now));
        let joined = join(&mut self.model, &mut self.line, now, end, |model, line| {
            clock.set(Instant::from_millis(model.ticks));
            error = model.error.clone();
            let peer = &line.inner().peer;
            if let Err(e) = peer.finished() {
                error = Some(e.to_string());
            }
            if clock.get() >= minute && error.is_none() {
                minute = clock.get() + Duration::from_secs(60);
                error = model.balance().err();
            }
            said = done(model, peer.app(handle));
            said || error.is_some()
        });
        self.now = match joined {
            Joined::Done(at) => at,
            Joined::OutOfTime | Joined::Silent(_) => end,
        };
        if let Some(error) = error {
            self.fail(&error);
        }
        self.model.advance(self.now);
        said
    }

    fn crowd(&mut self) -> &mut Crowd {
        self.line.inner_mut().peer.app_mut(self.crowd)
    }

    /// One of those who come at a checkpoint.
    fn newcomer(&mut self) -> Client {
        let next = self.next_port + 1;
        self.next_port = if next > 65_000 { 60_000 } else { next };
        Client::new(&self.config, self.next_port, 7, bytes(100, 7)).in_chunks(1)
    }

    /// Everybody finishes, newcomers take every slot, and nothing is left. How long until they had it.
    fn checkpoint(&mut self) -> Duration {
        self.crowd().open = false;
        let end = self.now + FINISH_WITHIN;
        if !self.run(end, |_, crowd| crowd.has_finished()) {
            self.fail("those who are there do not finish");
        }

        let mut clients: Vec<Client> = (0..self.config.connections)
            .map(|_| self.newcomer())
            .collect();
        let begin = self.now;
        let mut opened = None;
        let mut looked = self.now;
        while !clients.iter().all(Client::is_done) {
            if self.now > begin + OPENS_WITHIN + Duration::from_secs(60)
                || self.now > begin + OPENS_WITHIN && opened.is_none()
            {
                self.fail(&format!("newcomers don't get through: {clients:?}"));
            }
            // Until all are open each does no more than hold what it has.
            let looks = opened.is_some() || self.now >= looked;
            if looks {
                looked = self.now + Duration::from_secs(1);
            }
            for client in &mut clients {
                if client.snd_una() > client.iss() + 1 && !looks {
                    continue;
                }
                let ms = self.now.total_millis() as u64;
                if let Some(frame) = client.poll(ms * CLIENT_TIME) {
                    self.model.put(&frame[14..], self.now);
                }
            }
            let end = self.now + Duration::from_millis(1);
            self.run(end, |_, _| false);
            for segment in std::mem::take(&mut self.model.probed) {
                for client in &mut clients {
                    let Err(e) = client.take(&segment) else {
                        continue;
                    };
                    // Half open it may have to make way for the next one's SYN: then it comes again.
                    if segment.flags & RST == 0 || client.snd_una() > client.iss() + 1 {
                        self.fail(&e);
                    }
                    *client = self.newcomer();
                }
            }
            if opened.is_none() && clients.iter().all(|c| c.snd_una() > c.iss() + 1) {
                opened = Some(self.now - begin);
            }
        }

        // The last TIME-WAIT there can be, and a keepalive timer that finds its connection gone.
        let end = self.now + Duration::from_millis(u64::from(TIME_WAIT) + 5_000);
        self.run(end, |_, _| false);
        let left = self.model.toe.leftovers(true);
        if !left.is_empty() {
            self.fail(&format!("left over: {left:?}"));
        }
        if !self.model.lives.is_over() {
            self.fail("a state word is not CLOSED");
        }
        if let Err(e) = self.model.balance() {
            self.fail(&e);
        }
        let crowd = self.crowd();
        (crowd.open, crowd.tally.closed) = (true, crowd.tally.closed);
        opened.unwrap_or_default()
    }
}

/// So many simulated seconds of a crowd on the model of a configuration with port 100 for the host ([`crate::model_world`] has two), a checkpoint after each `every` and at the end, by seed; `skips`: ticks in which nothing can happen are not run.
///
/// # Panics
/// If anything that must hold does not.
pub fn on_model(
    config: &ToeConfig,
    mix: &Mix,
    faults: Faults,
    seed: u64,
    seconds: u64,
    every: u64,
    skips: bool,
) -> Outcome {
    let shared = Rc::new(RefCell::new(Shared::default()));
    let mut peer = Peer::new(&PeerConfig {
        medium: Medium::Ip,
        ip: PEER,
        seed,
        mtu: usize::from(config.mtu),
        ..PeerConfig::default()
    });
    let ip = config.ip.into();
    let crowd = peer.add(Crowd::new(mix.clone(), ip, seed, shared.clone()));
    let faults = Faults {
        delay: faults.delay.max(Duration::from_micros(100)),
        ..faults
    };
    let vanishing = Vanishing::new(peer, shared.clone());
    let mut soak = Soak {
        model: ModelEnd::new(config, seed, shared, skips),
        line: FaultInjector::new(vanishing, seed, faults, faults),
        crowd,
        now: Instant::ZERO,
        seed,
        config: config.clone(),
        next_port: 60_000,
    };
    let end = Instant::from_secs(seconds as i64);
    let mut opened_after = Vec::new();
    while soak.now < end {
        let next = (soak.now + Duration::from_secs(every)).min(end);
        soak.run(next, |_, _| false);
        opened_after.push(soak.checkpoint());
    }
    let mut rest = DefaultHasher::new();
    soak.model.toe.machine.state.hash(&mut rest);
    soak.model.toe.machine.shared.hash(&mut rest);
    Outcome {
        tally: soak.crowd().tally.clone(),
        told: soak.model.lives.told(),
        entered: soak.model.lives.entered.clone(),
        host_received: soak.model.host_received,
        counters: soak.model.counters(),
        digest: soak.model.digest.finish(),
        rest: rest.finish(),
        ticks: (soak.model.ticks, soak.model.ran),
        opened_after,
        lost: soak.line.to_board().lost + soak.line.from_board().lost,
    }
}

// ------------------------------------------------------------------------------------------------ seconds on a board

/// The crowd's line, and newcomers made by hand beside it.
struct Newcomers {
    line: FaultInjector<Vanishing>,
    clients: Vec<Client>,
    /// When those who hold a connection look at it next; none: they do what there is to do.
    hold: Option<Instant>,
    error: Option<String>,
    next_port: u16,
    config: ToeConfig,
}

impl Newcomers {
    fn newcomer(&mut self) -> Client {
        self.next_port += 1;
        Client::new(&self.config, self.next_port, 7, bytes(100, 7)).in_chunks(1)
    }
}

fn holds(client: &Client) -> bool {
    client.snd_una() > client.iss() + 1
}

impl Link for Newcomers {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        let looks = self.hold.is_none_or(|at| now >= at);
        let ms = now.total_millis() as u64;
        for client in &mut self.clients {
            if looks || !holds(client) {
                if let Some(frame) = client.poll(ms * CLIENT_TIME) {
                    return Some(Frame::new(frame));
                }
            }
        }
        if looks && self.hold.is_some() {
            self.hold = Some(now + Duration::from_secs(1));
        }
        self.line.receive(now)
    }
    fn send(&mut self, frame: Frame, now: Instant) {
        if frame.get(30..34) != Some(&IP) || frame[12..14] != [8, 0] {
            return self.line.send(frame, now);
        }
        let Some(segment) = Tcp::from_frame(&frame) else {
            return;
        };
        for n in 0..self.clients.len() {
            let Err(e) = self.clients[n].take(&segment) else {
                continue;
            };
            if segment.flags & RST == 0 || holds(&self.clients[n]) {
                self.error.get_or_insert(e);
            }
            self.clients[n] = self.newcomer();
        }
    }
    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        let next = self.line.idle_until(now);
        let clients = (!self.clients.is_empty()).then(|| now + Duration::from_millis(1));
        [next, clients].into_iter().flatten().min()
    }
    fn medium(&self) -> Medium {
        Medium::Ethernet
    }
}

/// What the engine's trace tells of lives.
struct Traced {
    lives: Lives,
    begun: u64,
    outlived: u64,
}

impl Traced {
    fn event(&mut self, event: &Event) {
        let through = |label: &str| event.path.iter().any(|l| l == label);
        let begins = through("no_connection.slot")
            || through("cookie_ack.slot")
            || event.kind == "command" && through("connect_route");
        let states = || event.changes.iter().filter(|c| c.word == "state");
        let end = match () {
            () if through("last_ack_over") || through("enter_time_wait") => End::Closed,
            () if through("reset_by_peer") => End::Reset,
            () if through("give_up") => End::GaveUp,
            () if begins => End::Recycled,
            () => End::Application,
        };
        let began = self.lives.began;
        for change in states() {
            self.lives.now(change.conn as usize, change.after, end);
        }
        if begins {
            self.begun += 1;
            if self.lives.began == began {
                self.lives.replaced();
            }
        }
        // The entry that TIME-WAIT moves to was in TIME-WAIT already.
        let moved = states().any(|c| c.after == state::TIME_WAIT);
        self.outlived += u64::from(through("remember") && !moved);
    }
}

/// What a soak on a board is made of.
#[derive(Clone, Debug)]
pub struct OnBoard<'a> {
    pub name: &'a str,
    pub backend: Backend,
    pub seed: u64,
    /// Simulated seconds of arrivals.
    pub seconds: u64,
    /// Fewer than a line of 1 Gb/s has (125,000): it is a slower line and otherwise the same, and a second takes so many thousand cycles.
    pub cycles_per_tick: u64,
}

/// The same crowd on a board, whose host owns nothing: then those there finish, newcomers take every slot, and the accounts are asked for, those of the engine's
/// trace too. Counters at the end, and how long until the newcomers had every slot.
///
/// # Panics
/// If anything that must hold does not.
pub fn on_board(run: &OnBoard, mix: &Mix, faults: Faults) -> (Tally, Lives, Counters, Duration) {
    let config = ToeConfig::default();
    let time = SimulatedTime::new(run.cycles_per_tick);
    let mut board = SimulatedBoard::new(&config, run.backend, GmiiPort::new(), time)
        .expect("the board can be built");
    board.trace_engine(&config).expect("the engine has a trace");
    let shared = Rc::new(RefCell::new(Shared::default()));
    let mut peer = demo::peer(&config, run.seed);
    let own = demo::peer_ip(&config).octets();
    let crowd = Crowd::new(mix.clone(), config.ip.into(), run.seed, shared.clone());
    let crowd = peer.add(crowd);
    let vanishing = Vanishing::new(peer, shared.clone());
    let link = Newcomers {
        line: FaultInjector::new(vanishing, run.seed, faults, faults),
        clients: vec![],
        hold: None,
        error: None,
        next_port: 60_000,
        config: config.clone(),
    };
    let hz = run.cycles_per_tick * 1_000;
    let mut world = World::new(board, link, Clock::simulated(hz)).with_queue(4);
    let mut traced = Traced {
        lives: Lives::new(config.entries()),
        begun: 0,
        outlived: 0,
    };
    // Runs until `done` or so long; whether it was done.
    let mut go = |world: &mut World<SimulatedBoard, Newcomers>,
                  most: Duration,
                  done: &dyn Fn(&Newcomers) -> bool| {
        let end = world.now() + most;
        let mut said = false;
        while !said && world.now() < end {
            let mut error = None;
            let outcome = world.run_until(10 * run.cycles_per_tick, |board, link| {
                let call = shared.borrow_mut().connects.pop_front();
                if let Some((local, remote, owner)) = call {
                    let taken = board.connect(own, remote, local, owner as u8);
                    error = taken.err().map(|e| e.to_string());
                }
                let vanishing = link.line.inner();
                if let Err(e) = vanishing.peer.finished() {
                    let complaint = &vanishing.peer.app(crowd).complaint;
                    error = Some(format!("{complaint:?} {e}"));
                }
                error = error.take().or(link.error.clone());
                said = done(link);
                said || error.is_some()
            });
            if let Err(WorldError::Line(violation)) = outcome {
                error = Some(violation.to_string());
            }
            for event in world.board.take_engine_trace() {
                traced.event(&event);
            }
            if let Some(error) = error {
                let now = world.now();
                panic!(
                    "{run:?}, at {now}: {error}\n{}\n{}",
                    traced.lives.told(),
                    world.link.line.inner().peer.report()
                );
            }
        }
        said
    };

    go(&mut world, Duration::from_secs(run.seconds), &|_| false);
    world.link.line.inner_mut().peer.app_mut(crowd).open = false;
    let finished = go(&mut world, FINISH_WITHIN, &|link| {
        link.line.inner().peer.app(crowd).has_finished()
    });
    assert!(
        finished,
        "{run:?}: those who are there do not finish\n{}",
        world.link.line.inner().peer.report()
    );

    let begin = world.now();
    let clients = (0..config.connections).map(|_| world.link.newcomer());
    world.link.clients = clients.collect();
    world.link.hold = Some(begin);
    let opened = go(&mut world, OPENS_WITHIN, &|link| {
        link.clients.iter().all(holds)
    });
    assert!(
        opened,
        "{run:?}: newcomers don't get in: {:?}",
        world.link.clients
    );
    let opened_after = world.now() - begin;
    world.link.hold = None;
    let done = go(&mut world, Duration::from_secs(10), &|link| {
        link.clients.iter().all(Client::is_done)
    });
    assert!(
        done,
        "{run:?}: newcomers are not done: {:?}",
        world.link.clients
    );
    world.link.clients.clear();
    go(&mut world, Duration::from_millis(100), &|_| false);
    let tally = world.link.line.inner().peer.app(crowd).tally.clone();

    let now = world.now();
    println!(
        "{} s of arrivals, all at rest after {now}, {} cycles",
        run.seconds,
        world.cycle()
    );
    let mut bench = Bench::around(run.name, &config, world.board);
    let counters = bench.account();
    for event in bench.board.take_engine_trace() {
        traced.event(&event);
    }
    let Traced {
        lives,
        begun,
        outlived,
    } = traced;
    if let Err(e) = lives.balance(begun, outlived, &counters) {
        bench.fail(&e);
    }
    if !lives.rest_in_time_wait() {
        bench.fail(&format!("a connection lives on: {lives:?}"));
    }
    bench.alive();
    (tally, lives, counters, opened_after)
}
