//! Peers that come and go for hours, by seed: some open and are echoed, some are opened to by the engine, close first or last, half-close, abort, forget all that
//! they knew, vanish without a word, say nothing for minutes, or do not read so that their window is shut for a while.
//!
//! All of them are sockets of one smoltcp peer, which the one app [`Crowd`] makes and takes away. Every byte that comes is compared with [`sent_by_peer`] or
//! [`sent_by_host`]; a connection that carried bytes may not be reset by the engine, nor stand still for longer than its plan has it and [`PATIENCE`] more.
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;
use std::rc::Rc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp;
use toe_hdl::config::Owner;
use toe_hdl::tcp::model::blocks::chargen;
use toe_sim::link::{Duration, Frame, Instant, Link, Medium};
use toe_sim::peer::{App, Context, Failure, Peer};

use crate::mutate::byte_at;

/// How long a connection may stand still beyond what its plan has it: eight retransmissions of the engine's take 102 s, and smoltcp's wait 60 s at most.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Byte `n` of what the peer with this port sends.
pub fn sent_by_peer(port: u16, n: usize) -> u8 {
    byte_at(port, n as u32)
}

/// Byte `n` of what the engine's host sends to the peer with this port.
pub fn sent_by_host(port: u16, n: usize) -> u8 {
    byte_at(!port, n as u32)
}

/// What the peers and the engine's side of the test know of each other.
#[derive(Default)]
pub struct Shared {
    /// Active opens that the engine is to make: its port, the peer's, for whom.
    pub connects: VecDeque<(u16, u16, Owner)>,
    /// Peers that are no more: their frames go nowhere, and nothing comes of them.
    pub vanished: BTreeSet<u16>,
    /// Whom the engine's host has aborted.
    pub aborted: BTreeSet<u16>,
}

/// Those that vanished hear and say nothing.
pub struct Vanishing {
    pub peer: Peer,
    shared: Rc<RefCell<Shared>>,
}

impl Vanishing {
    /// Around a peer.
    pub fn new(peer: Peer, shared: Rc<RefCell<Shared>>) -> Self {
        Self { peer, shared }
    }

    /// One of a frame's ports is that of one who is no more.
    fn is_void(&self, frame: &Frame) -> bool {
        let ip = match self.peer.medium() {
            Medium::Ethernet => 14,
            _ => 0,
        };
        // Of headers without options, as both ends make them; port `at` is the source's or the destination's.
        let port = |at: usize| Some(u16::from_be_bytes(*frame.get(at..)?.first_chunk()?));
        let vanished = &self.shared.borrow().vanished;
        let tcp = frame.get(ip + 9) == Some(&6);
        let mut ports = [ip + 20, ip + 22].into_iter().filter_map(port);
        tcp && ports.any(|port| vanished.contains(&port))
    }
}

impl Link for Vanishing {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        loop {
            let frame = self.peer.receive(now)?;
            if !self.is_void(&frame) {
                return Some(frame);
            }
        }
    }
    fn send(&mut self, frame: Frame, now: Instant) {
        if !self.is_void(&frame) {
            self.peer.send(frame, now);
        }
    }
    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        self.peer.idle_until(now)
    }
    fn medium(&self) -> Medium {
        self.peer.medium()
    }
}

/// Who comes, how often, and what they do.
#[derive(Clone, Debug)]
pub struct Mix {
    /// So many at once, those that vanished and those in TIME-WAIT not counted.
    pub most: usize,
    /// Pauses between two arrivals, at most.
    pub gap: Duration,
    /// Bytes that one sends, at most.
    pub bytes: usize,
    /// Who has not been let in by then goes elsewhere.
    pub waits: Duration,
    /// A silence, at most.
    pub idle: Duration,
    /// A shut window, at most.
    pub deaf: Duration,
    /// The engine has a host: port 100, and active opens for it.
    pub host: bool,
    /// Some vanish.
    pub vanish: bool,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The peer closes when it has sent all, and reads on.
    First,
    /// … when all that was sent is echoed.
    Echoed,
    /// … when the other end has closed; what has no such end is closed first.
    Last,
    /// A RST when so many bytes were sent.
    Abort,
    /// It knows nothing any more: answers with RST.
    Forget,
    /// It is no more.
    Vanish,
}

/// What the engine does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    Echo,
    Discard,
    Chargen,
    Host,
}

impl Service {
    fn owner(self) -> Owner {
        match self {
            Self::Echo => Owner::Echo,
            Self::Discard => Owner::Discard,
            Self::Chargen => Owner::Chargen,
            Self::Host => Owner::Host,
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Echo => 7,
            Self::Discard => 9,
            Self::Chargen => 19,
            Self::Host => 100,
        }
    }
}

struct Member {
    handle: SocketHandle,
    /// The peer's.
    port: u16,
    service: Service,
    end: End,
    bytes: usize,
    /// Where it pauses, and for how long.
    pause: Option<(usize, Duration)>,
    silent_until: Option<Instant>,
    /// After so many bytes read it reads nothing for so long.
    deaf: Option<(usize, Duration)>,
    deaf_until: Option<Instant>,
    sent: usize,
    received: usize,
    /// The engine has taken or sent a byte: it knows the connection.
    confirmed: bool,
    opened: bool,
    closed: bool,
    last: tcp::State,
    turns_away: Instant,
    /// Who waits for the other end to close does so no longer.
    tires: Instant,
    deadline: Instant,
}

/// How many came to what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// By who opened, for what, and the end that was meant.
    pub begun: BTreeMap<(&'static str, Service, End), u64>,
    /// Never let in.
    pub turned_away: u64,
    /// Both ways closed in order.
    pub closed: u64,
    /// By the engine's host, or before the engine had taken a byte.
    pub reset: u64,
    pub aborted: u64,
    pub forgot: u64,
    pub vanished: u64,
    /// A window shut, a silence kept.
    pub deaf: u64,
    pub silent: u64,
    pub received: u64,
}

/// The app.
pub struct Crowd {
    rng: ChaCha8Rng,
    mix: Mix,
    ip: Ipv4Addr,
    shared: Rc<RefCell<Shared>>,
    members: Vec<Member>,
    /// More may come.
    pub open: bool,
    next: Instant,
    port: u16,
    pub tally: Tally,
    failure: Option<Failure>,
    /// What failed, in words.
    pub complaint: Option<String>,
}

impl Crowd {
    /// By seed; the engine has this address.
    pub fn new(mix: Mix, ip: Ipv4Addr, seed: u64, shared: Rc<RefCell<Shared>>) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            mix,
            ip,
            shared,
            members: Vec::new(),
            open: true,
            next: Instant::ZERO,
            port: 20_000,
            tally: Tally::default(),
            failure: None,
            complaint: None,
        }
    }

    /// Nobody is there any more but those in TIME-WAIT, who would answer a FIN that comes again.
    pub fn has_finished(&self) -> bool {
        self.members.iter().all(|m| m.last == tcp::State::TimeWait)
    }

    /// Up to `most`, small ones as often as large ones.
    fn up_to(&mut self, most: Duration) -> Duration {
        let most = most.total_millis().max(1) as f64;
        let x: f64 = self.rng.random();
        Duration::from_millis(most.powf(x) as u64)
    }

    fn arrive(&mut self, context: &mut Context) {
        use Service::*;
        self.port = if self.port >= 59_000 {
            20_000
        } else {
            self.port + 1
        };
        let port = self.port;
        let services = [Echo, Echo, Discard, Chargen, Host];
        let most = if self.mix.host { 5 } else { 4 };
        let service = services[self.rng.random_range(0..most)];
        let ends = [
            End::First,
            End::Echoed,
            End::Last,
            End::First,
            End::Echoed,
            End::Abort,
            End::Forget,
            End::Vanish,
        ];
        let end = match ends[self.rng.random_range(0..8)] {
            End::Vanish if !self.mix.vanish || self.rng.random_bool(0.7) => End::First,
            End::Last | End::Echoed if matches!(service, Discard | Chargen) => End::First,
            End::Last if service == Echo => End::Echoed,
            End::Echoed if service == Host => End::Last,
            end => end,
        };
        let bytes = (self.mix.bytes as f64).powf(self.rng.random()) as usize - 1;
        let at = |rng: &mut ChaCha8Rng| rng.random_range(0..=bytes);
        // The generator pours meanwhile: who wants a pause of it does not read.
        let pause = (self.rng.random_bool(0.3) && service != Chargen)
            .then(|| (at(&mut self.rng), self.up_to(self.mix.idle)));
        let deaf =
            (self.rng.random_bool(0.2)).then(|| (at(&mut self.rng), self.up_to(self.mix.deaf)));
        let receive = [1_000, 4_000, 16_000, 65_535][self.rng.random_range(0..4)];
        let buffer = |n| tcp::SocketBuffer::new(vec![0; n]);
        let mut socket = tcp::Socket::new(buffer(receive), buffer(8_192));
        socket.set_nagle_enabled(self.rng.random());
        if self.rng.random() {
            socket.set_ack_delay(None);
        }
        let active = self.rng.random_bool(0.3);
        let outcome = if active {
            let local = 10_000 + port % 10_000;
            let call = (local, port, service.owner());
            self.shared.borrow_mut().connects.push_back(call);
            socket.listen(port).map_err(|e| e.to_string())
        } else {
            let to = (self.ip, service.port());
            socket
                .connect(context.interface.context(), to, port)
                .map_err(|e| e.to_string())
        };
        if let Err(e) = outcome {
            self.failure = Some(Failure::Socket(e));
            return;
        }
        let who = if active { "engine" } else { "peer" };
        *self.tally.begun.entry((who, service, end)).or_default() += 1;
        // Whoever had this port long ago may be forgotten.
        let mut shared = self.shared.borrow_mut();
        shared.vanished.remove(&port);
        shared.aborted.remove(&port);
        let rests = [pause, deaf].into_iter().flatten();
        let plan = rests.fold(Duration::ZERO, |sum, (_, time)| sum + time);
        let turns_away = context.now + self.mix.waits;
        self.members.push(Member {
            handle: context.sockets.add(socket),
            port,
            service,
            end,
            bytes,
            pause,
            silent_until: None,
            deaf,
            deaf_until: None,
            sent: 0,
            received: 0,
            confirmed: false,
            opened: false,
            closed: false,
            last: tcp::State::Closed,
            turns_away,
            tires: turns_away + plan,
            deadline: turns_away + plan + PATIENCE,
        });
    }

    fn complain(&mut self, m: &Member, what: &str) {
        self.failure.get_or_insert(Failure::Reset);
        self.complaint.get_or_insert(format!(
            "peer {}, {:?}, {:?}, {:?}: {what}; {} of {} sent, {} received, pause {:?} {:?}, deaf {:?} {:?}, closed {}",
            m.port, m.service, m.end, m.last, m.sent, m.bytes, m.received, m.pause, m.silent_until, m.deaf, m.deaf_until, m.closed
        ));
    }

    /// One member's turn: whether it did anything, and whether it stays.
    fn turn(&mut self, m: &mut Member, context: &mut Context) -> (bool, bool) {
        let now = context.now;
        let socket = context.sockets.get_mut::<tcp::Socket>(m.handle);
        let state = socket.state();
        let before = std::mem::replace(&mut m.last, state);
        use tcp::State::*;
        if matches!(state, Closed) {
            let orderly = matches!(before, LastAck | TimeWait | Closing);
            let sanctioned = !m.confirmed || self.shared.borrow().aborted.contains(&m.port);
            if !m.opened {
                self.tally.turned_away += 1;
            } else if m.end == End::Abort && m.closed {
                self.tally.aborted += 1;
            } else if orderly {
                self.tally.closed += u64::from(before != TimeWait);
            } else if sanctioned {
                self.tally.reset += 1;
            } else {
                self.complain(m, &format!("reset by the engine in {before}"));
            }
            context.sockets.remove(m.handle);
            return (true, false);
        }
        if state == TimeWait && before != TimeWait {
            self.tally.closed += 1;
        }
        if now >= m.deadline {
            // The engine's application has aborted and its RST was lost: a peer in FIN-WAIT-2 says nothing more, so that nobody tells it again.
            if state == FinWait2 && self.shared.borrow().aborted.contains(&m.port) {
                self.tally.reset += 1;
                context.sockets.remove(m.handle);
                return (true, false);
            }
            self.complain(m, "it stands still");
            return (true, false);
        }
        if matches!(state, Listen | SynSent | SynReceived) {
            if now >= m.turns_away {
                socket.abort();
                return (true, true);
            }
            return (false, true);
        }
        m.opened = true;
        let mut acted = false;

        // ---- to read ----
        if m.deaf_until.is_some_and(|until| now >= until) {
            (m.deaf_until, m.deaf) = (None, None);
        }
        if let (Some((at, time)), None) = (m.deaf, m.deaf_until) {
            if m.received >= at {
                m.deaf_until = Some(now + time);
                self.tally.deaf += 1;
            }
        }
        let mut ended = false;
        if m.deaf_until.is_none() {
            while socket.can_recv() {
                let bytes = socket.recv(|b| (b.len(), b.to_vec())).unwrap_or_default();
                if bytes.is_empty() {
                    break;
                }
                acted = true;
                for byte in bytes {
                    let due = match m.service {
                        Service::Echo if m.received < m.sent => {
                            Some(sent_by_peer(m.port, m.received))
                        }
                        Service::Echo | Service::Discard => None,
                        Service::Chargen => Some(chargen(m.received as u32)),
                        Service::Host => Some(sent_by_host(m.port, m.received)),
                    };
                    if due != Some(byte) {
                        self.complain(m, &format!("{byte:#04x} came, due is {due:02x?}"));
                        return (true, false);
                    }
                    m.received += 1;
                    self.tally.received += 1;
                }
            }
            ended = !socket.may_recv() && !socket.can_recv();
        }

        // ---- to write ----
        if m.silent_until.is_some_and(|until| now >= until) {
            (m.silent_until, m.pause) = (None, None);
        }
        let mut upto = m.bytes;
        if let Some((at, time)) = m.pause {
            upto = upto.min(at);
            if m.sent >= at && m.silent_until.is_none() {
                m.silent_until = Some(now + time);
                self.tally.silent += 1;
            }
        }
        while m.sent < upto && !m.closed && socket.can_send() {
            let chunk: Vec<u8> = (m.sent..upto.min(m.sent + 2_048))
                .map(|n| sent_by_peer(m.port, n))
                .collect();
            match socket.send_slice(&chunk) {
                Ok(count) if count > 0 => {
                    m.sent += count;
                    acted = true;
                }
                _ => break,
            }
        }
        m.confirmed |= m.received > 0 || m.sent > 0 && socket.send_queue() < m.sent;

        // ---- to end ----
        let all = match m.service {
            Service::Chargen => m.received >= m.bytes,
            _ => m.sent == m.bytes && m.pause.is_none(),
        };
        let over = match m.end {
            End::First | End::Abort | End::Forget | End::Vanish => all,
            End::Echoed => all && m.received == m.bytes,
            End::Last => ended || all && now >= m.tires,
        };
        // Who is left by the other end goes, whatever it meant to do.
        if !m.closed && (over || ended) {
            acted = true;
            m.closed = true;
            match m.end {
                End::Abort => socket.abort(),
                End::Forget | End::Vanish => {
                    if m.end == End::Vanish {
                        self.shared.borrow_mut().vanished.insert(m.port);
                        self.tally.vanished += 1;
                    } else {
                        self.tally.forgot += 1;
                    }
                    context.sockets.remove(m.handle);
                    return (true, false);
                }
                _ => socket.close(),
            }
        }
        let state = context.sockets.get::<tcp::Socket>(m.handle).state();
        if state != TimeWait {
            m.last = state;
        }
        if ended && m.service == Service::Echo && m.received != m.sent {
            self.complain(m, "the end came too early");
        }
        (acted, true)
    }
}

impl App for Crowd {
    fn act(&mut self, context: &mut Context) -> bool {
        let mut acted = false;
        if self.open && context.now >= self.next {
            let there = self
                .members
                .iter()
                .filter(|m| m.last != tcp::State::TimeWait);
            if there.count() < self.mix.most {
                self.arrive(context);
                acted = true;
            }
            self.next = context.now + self.up_to(self.mix.gap);
        }
        let mut members = std::mem::take(&mut self.members);
        members.retain_mut(|m| {
            let (did, stays) = self.turn(m, context);
            acted |= did;
            stays
        });
        self.members = members;
        acted
    }
    fn is_done(&self) -> bool {
        self.failure.is_some()
    }
    fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
    fn progress(&self) -> Option<u64> {
        None
    }
    fn wake_at(&self) -> Option<Instant> {
        let of = |m: &Member| {
            let opening = (!m.opened).then_some(m.turns_away);
            let tires = (!m.closed && m.end == End::Last).then_some(m.tires);
            let times = [
                m.silent_until,
                m.deaf_until,
                opening,
                tires,
                Some(m.deadline),
            ];
            times.into_iter().flatten().min()
        };
        let next = self.open.then_some(self.next);
        self.members.iter().filter_map(of).chain(next).min()
    }
    fn describe(&self) -> String {
        let complaint = self.complaint.as_deref().unwrap_or("");
        format!("{} peers; {complaint}", self.members.len())
    }
}
