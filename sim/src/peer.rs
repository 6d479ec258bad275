//! smoltcp as the peer of a board: a TCP/IP stack that is not ours, in the same process, in simulated time.
//!
//! A [`Peer`] is a [`Link`]: what the board sends goes into an interface of smoltcp, what that sends goes to the board. What
//! its sockets do is said by [`App`]s: [`Conversation`] (a TCP connection in either role: echo client, source, sink),
//! [`EchoServer`] and [`Ping`]. An app that makes no progress for the peer's patience fails with the state of every
//! socket and the last frames seen.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::marker::PhantomData;
use std::net::Ipv4Addr;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{self, ChecksumCapabilities, DeviceCapabilities};
use smoltcp::socket::{icmp, tcp, AnySocket, Socket};
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr, IpEndpoint,
};
use thiserror::Error;

use crate::link::{Duration, Frame, Instant, Link, Medium};
use crate::trace;

/// Frames remembered for the error message.
const REMEMBERED: usize = 24;
/// Bytes of each that are kept: headers with options.
const REMEMBERED_BYTES: usize = 14 + 60 + 60;

/// Why an app failed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PeerError {
    /// Nothing moved for the peer's patience.
    #[error("{app} made no progress for {patience}\n{report}")]
    Stalled {
        /// The app and how far it came.
        app: String,
        /// How long it was waited for.
        patience: Duration,
        /// Sockets and last frames.
        report: String,
    },
    /// The connection was reset or refused.
    #[error("{app}: the connection was reset\n{report}")]
    Reset {
        /// The app and how far it came.
        app: String,
        /// Sockets and last frames.
        report: String,
    },
    /// Bytes came back that were not expected.
    #[error("{app}: byte {at} is {found:02x?}, expected {expected:02x?}\n{report}")]
    Differs {
        /// The app and how far it came.
        app: String,
        /// Offset in the stream of the first difference.
        at: usize,
        /// What came, `None` for the end of the stream.
        found: Option<u8>,
        /// What was due, `None` for the end of the stream.
        expected: Option<u8>,
        /// Sockets and last frames.
        report: String,
    },
    /// A socket refused a call.
    #[error("{app}: {cause}")]
    Socket {
        /// The app and how far it came.
        app: String,
        /// smoltcp's words.
        cause: String,
    },
}

/// How an app stands, without the peer's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// See [`PeerError::Reset`].
    Reset,
    /// See [`PeerError::Differs`].
    Differs {
        /// Offset in the stream.
        at: usize,
        /// What came.
        found: Option<u8>,
        /// What was due.
        expected: Option<u8>,
    },
    /// See [`PeerError::Socket`].
    Socket(String),
}

/// What an app may touch while it acts.
pub struct Context<'a> {
    /// The interface.
    pub interface: &'a mut Interface,
    /// All sockets.
    pub sockets: &'a mut SocketSet<'static>,
    /// The time.
    pub now: Instant,
}

/// Something that uses the peer's sockets.
pub trait App: Any {
    /// Does what can be done now. Says whether it did anything.
    fn act(&mut self, context: &mut Context) -> bool;
    /// Whether it has come to its end, well or badly.
    fn is_done(&self) -> bool;
    /// What it failed with.
    fn failure(&self) -> Option<&Failure> {
        None
    }
    /// A number that grows with every step forward; where it stands still for the peer's patience, the app has stalled.
    /// `None`: the app waits for ever, as a server does.
    fn progress(&self) -> Option<u64>;
    /// When it wants to act although nothing arrives.
    fn wake_at(&self) -> Option<Instant> {
        None
    }
    /// Who it is and how far it came, in a line.
    fn describe(&self) -> String;
}

/// Where and how a peer is on the network.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// Ethernet or bare IP packets (SLIP).
    pub medium: Medium,
    /// Its Ethernet address.
    pub mac: [u8; 6],
    /// Its address.
    pub ip: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// Longest IP packet.
    pub mtu: usize,
    /// Seed for sequence numbers and ports.
    pub seed: u64,
    /// How long an app may stand still.
    pub patience: Duration,
    /// Frames that may wait for the board before smoltcp is told to wait.
    pub queue: usize,
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            medium: Medium::Ethernet,
            mac: [0x02, 0, 0, 0, 0, 0x01],
            ip: Ipv4Addr::new(192, 168, 69, 100),
            prefix: 24,
            mtu: 1500,
            seed: 1,
            patience: Duration::from_secs(60),
            queue: 64,
        }
    }
}

/// How a TCP socket is set.
#[derive(Clone, Copy, Debug)]
pub struct TcpOptions {
    /// Bytes of its receive buffer: the window it offers.
    pub receive_buffer: usize,
    /// Bytes of its send buffer.
    pub send_buffer: usize,
    /// Nagle's algorithm (RFC 896).
    pub nagle: bool,
    /// Delay of ACKs (RFC 9293, section 3.8.6.3), `None` for none.
    pub ack_delay: Option<Duration>,
    /// Pause after which the other end is asked whether it is still there (RFC 9293, section 3.8.4), `None` for never. smoltcp 0.14 needs it where ACKs may overtake each
    /// other: one that comes late and says that the window is shut, while something is in flight, makes its timer expire once, send nothing, and
    /// never run again.
    pub keep_alive: Option<Duration>,
    /// Timestamps (RFC 7323 section 3), if the other end has them: those of all sockets of a thread count up together, one with each segment.
    pub timestamps: bool,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            receive_buffer: 65_535,
            send_buffer: 65_535,
            nagle: true,
            ack_delay: Some(Duration::from_millis(10)),
            keep_alive: None,
            timestamps: false,
        }
    }
}

/// The clock of timestamps. smoltcp asks a function without arguments.
fn stamp() -> u32 {
    thread_local! { static LAST: std::cell::Cell<u32> = const { std::cell::Cell::new(0xFFFF_FF00) } }
    LAST.with(|last| {
        last.set(last.get().wrapping_add(1));
        last.get()
    })
}

impl TcpOptions {
    fn socket(&self) -> tcp::Socket<'static> {
        let mut socket = tcp::Socket::new(
            tcp::SocketBuffer::new(vec![0; self.receive_buffer]),
            tcp::SocketBuffer::new(vec![0; self.send_buffer]),
        );
        socket.set_nagle_enabled(self.nagle);
        socket.set_ack_delay(self.ack_delay);
        socket.set_keep_alive(self.keep_alive);
        if self.timestamps {
            socket.set_tsval_generator(Some(stamp));
        }
        socket
    }
}

/// Two queues of frames as a device of smoltcp.
#[derive(Debug)]
struct Queues {
    medium: Medium,
    mtu: usize,
    limit: usize,
    rx: VecDeque<Vec<u8>>,
    tx: VecDeque<Vec<u8>>,
}

struct RxToken(Vec<u8>);
struct TxToken<'a>(&'a mut VecDeque<Vec<u8>>);

impl phy::RxToken for RxToken {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl phy::TxToken for TxToken<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut bytes = vec![0; len];
        let result = f(&mut bytes);
        self.0.push_back(bytes);
        result
    }
}

impl phy::Device for Queues {
    type RxToken<'a> = RxToken;
    type TxToken<'a> = TxToken<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(RxToken, TxToken<'_>)> {
        let bytes = self.rx.pop_front()?;
        Some((RxToken(bytes), TxToken(&mut self.tx)))
    }
    fn transmit(&mut self, _now: Instant) -> Option<TxToken<'_>> {
        (self.tx.len() < self.limit).then_some(TxToken(&mut self.tx))
    }
    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = self.medium;
        capabilities.max_transmission_unit = match self.medium {
            Medium::Ethernet => self.mtu + 14,
            _ => self.mtu,
        };
        capabilities
    }
}

struct Slot {
    app: Box<dyn App>,
    progress: Option<u64>,
    since: Instant,
}

/// An app's place in its peer.
#[derive(Debug)]
pub struct AppHandle<A>(usize, PhantomData<fn() -> A>);

impl<A> Clone for AppHandle<A> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<A> Copy for AppHandle<A> {}

/// A TCP/IP stack at the far end of the board's line.
pub struct Peer {
    device: Queues,
    interface: Interface,
    sockets: SocketSet<'static>,
    apps: Vec<Slot>,
    error: Option<PeerError>,
    patience: Duration,
    dirty: bool,
    next_poll: Option<Instant>,
    remembered: VecDeque<(Instant, char, Frame)>,
    polls: u64,
    frames: (u64, u64),
}

impl Peer {
    /// A peer without apps.
    pub fn new(config: &PeerConfig) -> Self {
        let mut device = Queues {
            medium: config.medium,
            mtu: config.mtu,
            limit: config.queue.max(1),
            rx: VecDeque::new(),
            tx: VecDeque::new(),
        };
        let address = match config.medium {
            Medium::Ethernet => HardwareAddress::Ethernet(EthernetAddress(config.mac)),
            _ => HardwareAddress::Ip,
        };
        let mut setting = Config::new(address);
        setting.random_seed = config.seed;
        let mut interface = Interface::new(setting, &mut device, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            addresses.clear();
            let cidr = IpCidr::new(IpAddress::Ipv4(config.ip), config.prefix);
            // The list was emptied above and its capacity is not 0.
            let _ = addresses.push(cidr);
        });
        Self {
            device,
            interface,
            sockets: SocketSet::new(Vec::new()),
            apps: Vec::new(),
            error: None,
            patience: config.patience,
            dirty: true,
            next_poll: None,
            remembered: VecDeque::with_capacity(REMEMBERED + 1),
            polls: 0,
            frames: (0, 0),
        }
    }

    /// Adds an app. It acts the next time the peer is asked for frames ([`crate::world::World::wake`]).
    pub fn add<A: App>(&mut self, app: A) -> AppHandle<A> {
        self.apps.push(Slot {
            app: Box::new(app),
            progress: None,
            since: Instant::from_micros(i64::MIN),
        });
        self.dirty = true;
        AppHandle(self.apps.len() - 1, PhantomData)
    }

    /// The app.
    ///
    /// # Panics
    /// If the handle is another peer's.
    pub fn app<A: App>(&self, handle: AppHandle<A>) -> &A {
        let app: &dyn Any = self.apps[handle.0].app.as_ref();
        app.downcast_ref().expect("the handle is of this peer")
    }

    /// The app, to change what it does next.
    ///
    /// # Panics
    /// If the handle is another peer's.
    pub fn app_mut<A: App>(&mut self, handle: AppHandle<A>) -> &mut A {
        self.dirty = true;
        let app: &mut dyn Any = self.apps[handle.0].app.as_mut();
        app.downcast_mut().expect("the handle is of this peer")
    }

    /// Adds an app that pings `ip` `count` times with `length` bytes, each request sent when the last is answered.
    pub fn ping(&mut self, ip: Ipv4Addr, length: usize, count: u16) -> AppHandle<Ping> {
        self.add(Ping::new(ip, length, count))
    }

    /// Whether all apps that can end have ended: `Ok(true)` well, `Err` if one failed or stalled.
    pub fn finished(&self) -> Result<bool, PeerError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        Ok(self
            .apps
            .iter()
            .all(|slot| slot.app.is_done() || slot.app.progress().is_none()))
    }

    /// As [`Peer::finished`], for use as the condition of a run: true when there is nothing more to wait for, well or badly.
    pub fn is_over(&self) -> bool {
        self.finished() != Ok(false)
    }

    /// How often smoltcp was polled.
    pub fn polls(&self) -> u64 {
        self.polls
    }

    /// Frames given to the board, frames taken from it.
    pub fn frames(&self) -> (u64, u64) {
        self.frames
    }

    /// The interface, for what is not offered here.
    pub fn interface(&mut self) -> &mut Interface {
        self.dirty = true;
        &mut self.interface
    }

    /// The sockets, for what is not offered here.
    pub fn sockets(&mut self) -> &mut SocketSet<'static> {
        self.dirty = true;
        &mut self.sockets
    }

    /// State of every socket, and the last frames seen.
    pub fn report(&self) -> String {
        let mut text = String::from("sockets:\n");
        for (handle, socket) in self.sockets.iter() {
            let _ = match socket {
                Socket::Tcp(socket) => {
                    let end = |end: Option<IpEndpoint>| {
                        end.map_or_else(|| "-".to_string(), |end| end.to_string())
                    };
                    writeln!(
                        text,
                        "  {handle} TCP {} {} > {}, {} bytes to send or be acknowledged, {} to read",
                        socket.state(),
                        end(socket.local_endpoint()),
                        end(socket.remote_endpoint()),
                        socket.send_queue(),
                        socket.recv_queue()
                    )
                }
                Socket::Icmp(socket) => writeln!(
                    text,
                    "  {handle} ICMP, {} bytes to send, {} to read",
                    socket.send_queue(),
                    socket.recv_queue()
                ),
                _ => writeln!(text, "  {handle} other"),
            };
        }
        text.push_str("last frames (> to the board, < from it):\n");
        for (at, arrow, frame) in &self.remembered {
            let _ = writeln!(
                text,
                "  {} {arrow} {}",
                trace::stamp(*at),
                trace::describe(frame, self.device.medium)
            );
        }
        text
    }

    fn remember(&mut self, now: Instant, arrow: char, bytes: &[u8]) {
        if self.remembered.len() == REMEMBERED {
            self.remembered.pop_front();
        }
        let kept = Frame::new(&bytes[..bytes.len().min(REMEMBERED_BYTES)]);
        self.remembered.push_back((now, arrow, kept));
    }

    /// Lets smoltcp and the apps do what they can, if anything happened or a timer is due.
    fn service(&mut self, now: Instant) {
        let due = self.next_poll.is_some_and(|at| at <= now);
        if !self.dirty && !due {
            return;
        }
        self.dirty = false;
        // The apps come first: a socket that is to listen does so before the frames that wait are read.
        self.act(now);
        loop {
            self.polls += 1;
            self.interface
                .poll(now, &mut self.device, &mut self.sockets);
            if !self.act(now) {
                break;
            }
        }
        self.judge(now);
        let stack = self.interface.poll_at(now, &self.sockets);
        let waits = self.apps.iter().filter(|slot| !slot.app.is_done());
        let apps = waits.flat_map(|slot| {
            let stall = (slot.progress.is_some()).then(|| slot.since + self.patience);
            [slot.app.wake_at(), stall]
        });
        self.next_poll = apps.chain([stack]).flatten().min();
    }

    fn act(&mut self, now: Instant) -> bool {
        let mut context = Context {
            interface: &mut self.interface,
            sockets: &mut self.sockets,
            now,
        };
        let mut acted = false;
        for slot in &mut self.apps {
            if !slot.app.is_done() {
                acted |= slot.app.act(&mut context);
            }
        }
        acted
    }

    fn judge(&mut self, now: Instant) {
        let mut error = None;
        for slot in &mut self.apps {
            let progress = slot.app.progress();
            if progress != slot.progress || slot.app.is_done() {
                slot.progress = progress;
                slot.since = now;
            }
            let app = || slot.app.describe();
            let report = String::new;
            let failure = match slot.app.failure() {
                Some(Failure::Reset) => PeerError::Reset {
                    app: app(),
                    report: report(),
                },
                Some(&Failure::Differs {
                    at,
                    found,
                    expected,
                }) => PeerError::Differs {
                    app: app(),
                    at,
                    found,
                    expected,
                    report: report(),
                },
                Some(Failure::Socket(cause)) => PeerError::Socket {
                    app: app(),
                    cause: cause.clone(),
                },
                None if !slot.app.is_done()
                    && progress.is_some()
                    && now >= slot.since + self.patience =>
                {
                    PeerError::Stalled {
                        app: app(),
                        patience: self.patience,
                        report: report(),
                    }
                }
                None => continue,
            };
            error.get_or_insert(failure);
        }
        if let (None, Some(mut error)) = (&self.error, error) {
            if let PeerError::Stalled { report, .. }
            | PeerError::Reset { report, .. }
            | PeerError::Differs { report, .. } = &mut error
            {
                *report = self.report();
            }
            self.error = Some(error);
        }
    }
}

impl Link for Peer {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        if self.device.tx.is_empty() || self.dirty {
            self.service(now);
        }
        let bytes = self.device.tx.pop_front()?;
        if self.device.tx.len() + 1 == self.device.limit {
            // smoltcp may have been told to wait.
            self.dirty = true;
        }
        self.frames.0 += 1;
        self.remember(now, '>', &bytes);
        Some(Frame::new(bytes))
    }

    fn send(&mut self, frame: Frame, now: Instant) {
        self.frames.1 += 1;
        self.remember(now, '<', &frame.bytes);
        if frame.is_sound(self.device.medium) {
            self.device.rx.push_back(frame.bytes);
            self.dirty = true;
        }
    }

    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        if self.dirty || !self.device.tx.is_empty() {
            return Some(now);
        }
        self.next_poll
    }

    fn medium(&self) -> Medium {
        self.device.medium
    }
}

/// Which end opens the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Connect(Ipv4Addr, u16),
    Listen(u16),
}

/// What must come in.
#[derive(Clone, Debug)]
enum Expect {
    /// What was sent.
    Echo,
    /// These bytes.
    Bytes(Vec<u8>),
    /// The beginning of this endless stream, as long as is read.
    Stream(fn(usize) -> u8),
    /// Whatever comes, counted.
    Anything,
}

/// When this end closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Close {
    /// When all is handed to the socket: a half-close, FIN after the last byte.
    Sent,
    /// When the other end has closed.
    PeerClosed,
    /// When so many bytes have come.
    Received(usize),
    /// When all that was sent is acknowledged.
    Acknowledged,
}

/// One TCP connection: opened, bytes sent as fast as they go, bytes received and compared, closed in a stated order,
/// done when both ends have closed.
#[derive(Debug)]
pub struct Conversation {
    name: &'static str,
    role: Role,
    options: TcpOptions,
    local_port: u16,
    data: Vec<u8>,
    expect: Expect,
    close: Close,
    begin: Option<Instant>,
    handle: Option<SocketHandle>,
    state: tcp::State,
    sent: usize,
    received: usize,
    kept: Option<Vec<u8>>,
    closed: bool,
    done: bool,
    failure: Option<Failure>,
    times: Times,
    steps: u64,
}

/// When a conversation reached its stages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The socket connects or listens.
    pub opened: Option<Instant>,
    /// First seen established.
    pub established: Option<Instant>,
    /// The first byte was read.
    pub first_byte: Option<Instant>,
    /// The last byte was read.
    pub last_byte: Option<Instant>,
    /// Both ends have closed.
    pub done: Option<Instant>,
}

impl Conversation {
    fn new(name: &'static str, role: Role, data: Vec<u8>, expect: Expect, close: Close) -> Self {
        Self {
            name,
            role,
            options: TcpOptions::default(),
            local_port: 0,
            data,
            expect,
            close,
            begin: None,
            handle: None,
            state: tcp::State::Closed,
            sent: 0,
            received: 0,
            kept: None,
            closed: false,
            done: false,
            failure: None,
            times: Times::default(),
            steps: 0,
        }
    }

    /// Connects, sends `data`, half-closes, and expects the same bytes back and then the other end's FIN.
    pub fn echo_client(ip: Ipv4Addr, port: u16, data: impl Into<Vec<u8>>) -> Self {
        let role = Role::Connect(ip, port);
        Self::new("echo client", role, data.into(), Expect::Echo, Close::Sent)
    }

    /// Connects, sends `data`, half-closes, and expects nothing but the other end's FIN.
    pub fn source_client(ip: Ipv4Addr, port: u16, data: impl Into<Vec<u8>>) -> Self {
        let role = Role::Connect(ip, port);
        let nothing = Expect::Bytes(Vec::new());
        Self::new("source client", role, data.into(), nothing, Close::Sent)
    }

    /// Connects and reads `count` bytes of whatever comes, then closes (chargen; bytes that come later are read and forgotten).
    pub fn sink_client(ip: Ipv4Addr, port: u16, count: usize) -> Self {
        let role = Role::Connect(ip, port);
        let close = Close::Received(count);
        Self::new("sink client", role, Vec::new(), Expect::Anything, close)
    }

    /// Listens for one connection, expects these bytes and the other end's FIN, then closes.
    pub fn sink_server(port: u16, expected: impl Into<Vec<u8>>) -> Self {
        let expect = Expect::Bytes(expected.into());
        let role = Role::Listen(port);
        Self::new("sink server", role, Vec::new(), expect, Close::PeerClosed)
    }

    /// Listens for one connection, sends `data`, half-closes, reads whatever comes.
    pub fn source_server(port: u16, data: impl Into<Vec<u8>>) -> Self {
        let role = Role::Listen(port);
        Self::new(
            "source server",
            role,
            data.into(),
            Expect::Anything,
            Close::Sent,
        )
    }

    /// Listens for one connection, sends `data`, half-closes, and expects the same bytes back and then the other end's FIN: [`Conversation::echo_client`]
    /// with the opening the other way round.
    pub fn echo_listener(port: u16, data: impl Into<Vec<u8>>) -> Self {
        let role = Role::Listen(port);
        let name = "echo listener";
        Self::new(name, role, data.into(), Expect::Echo, Close::Sent)
    }

    /// Listens for one connection and reads `count` bytes of whatever comes, then closes: [`Conversation::sink_client`] with the opening the other way round.
    pub fn sink_listener(port: u16, count: usize) -> Self {
        let role = Role::Listen(port);
        let close = Close::Received(count);
        let name = "sink listener";
        Self::new(name, role, Vec::new(), Expect::Anything, close)
    }

    /// Expects exactly these bytes and then the other end's FIN.
    pub fn expecting(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.expect = Expect::Bytes(bytes.into());
        self
    }

    /// Expects the beginning of an endless stream, byte by byte, as far as it is read.
    pub fn expecting_stream(mut self, stream: fn(usize) -> u8) -> Self {
        self.expect = Expect::Stream(stream);
        self
    }

    /// Sets buffers, Nagle's algorithm and the delay of ACKs.
    pub fn with_options(mut self, options: TcpOptions) -> Self {
        self.options = options;
        self
    }

    /// Sets the local port of a client (otherwise the first ephemeral one that is free).
    pub fn with_local_port(mut self, port: u16) -> Self {
        self.local_port = port;
        self
    }

    /// Opens only at this time.
    pub fn starting_at(mut self, begin: Instant) -> Self {
        self.begin = Some(begin);
        self
    }

    /// Closes only when the other end has closed (the passive role in closing).
    pub fn closing_last(mut self) -> Self {
        self.close = Close::PeerClosed;
        self
    }

    /// Closes when all that was sent is acknowledged, so that no FIN waits while data is sent.
    pub fn closing_when_acknowledged(mut self) -> Self {
        self.close = Close::Acknowledged;
        self
    }

    /// Closes when so many bytes have come, and not when all is sent.
    pub fn closing_after(mut self, bytes: usize) -> Self {
        self.close = Close::Received(bytes);
        self
    }

    /// Keeps what is received ([`Conversation::received_bytes`]).
    pub fn keeping(mut self) -> Self {
        self.kept = Some(Vec::new());
        self
    }

    /// Bytes handed to the socket.
    pub fn sent(&self) -> usize {
        self.sent
    }

    /// Bytes read from the socket.
    pub fn received(&self) -> usize {
        self.received
    }

    /// The bytes read, if asked for by [`Conversation::keeping`].
    pub fn received_bytes(&self) -> &[u8] {
        self.kept.as_deref().unwrap_or(&[])
    }

    /// When it reached its stages.
    pub fn times(&self) -> Times {
        self.times
    }

    /// The socket's state when last looked at.
    pub fn state(&self) -> tcp::State {
        self.state
    }

    fn open(&mut self, context: &mut Context) -> bool {
        if self.begin.is_some_and(|begin| begin > context.now) {
            return false;
        }
        let mut socket = self.options.socket();
        let opened = match self.role {
            Role::Connect(ip, port) => {
                if self.local_port == 0 {
                    self.local_port = free_port(context.sockets);
                }
                socket
                    .connect(
                        context.interface.context(),
                        (IpAddress::Ipv4(ip), port),
                        self.local_port,
                    )
                    .map_err(|error| error.to_string())
            }
            Role::Listen(port) => socket.listen(port).map_err(|error| error.to_string()),
        };
        match opened {
            Ok(()) => {
                self.state = socket.state();
                self.handle = Some(context.sockets.add(socket));
                self.times.opened = Some(context.now);
                self.steps += 1;
            }
            Err(cause) => self.fail(Failure::Socket(cause)),
        }
        true
    }

    fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
        self.done = true;
    }

    /// Compares what came with what was due.
    fn check(&mut self, chunk: &[u8]) {
        let due = match &self.expect {
            // An echo can't come before it was sent.
            Expect::Echo => &self.data[..self.sent],
            Expect::Bytes(bytes) => &bytes[..],
            Expect::Stream(stream) => {
                let found = (self.received..).zip(chunk);
                if let Some((at, byte)) = { found }.find(|(at, byte)| stream(*at) != **byte) {
                    let (found, expected) = (Some(*byte), Some(stream(at)));
                    self.fail(Failure::Differs {
                        at,
                        found,
                        expected,
                    });
                }
                return;
            }
            Expect::Anything => return,
        };
        let due = due.get(self.received..).unwrap_or(&[]);
        if due.starts_with(chunk) {
            return;
        }
        let same = chunk.iter().zip(due).take_while(|(a, b)| a == b).count();
        let failure = Failure::Differs {
            at: self.received + same,
            found: chunk.get(same).copied(),
            expected: due.get(same).copied(),
        };
        self.fail(failure);
    }

    /// The other end has closed: was that all?
    fn check_end(&mut self) {
        let due = match &self.expect {
            Expect::Echo => &self.data,
            Expect::Bytes(bytes) => bytes,
            Expect::Stream(_) | Expect::Anything => return,
        };
        if self.received < due.len() {
            let failure = Failure::Differs {
                at: self.received,
                found: None,
                expected: Some(due[self.received]),
            };
            self.fail(failure);
        }
    }
}

/// The first ephemeral port (RFC 6335, section 6) that no socket uses: the same in every run.
fn free_port(sockets: &SocketSet) -> u16 {
    let used = |port| {
        sockets.iter().any(|(_, socket)| match socket {
            Socket::Tcp(socket) => socket.local_endpoint().is_some_and(|end| end.port == port),
            _ => false,
        })
    };
    (49152..=65535).find(|&port| !used(port)).unwrap_or(49151)
}

impl App for Conversation {
    fn act(&mut self, context: &mut Context) -> bool {
        let Some(handle) = self.handle else {
            return self.open(context);
        };
        let socket = context.sockets.get_mut::<tcp::Socket>(handle);
        let before = (self.sent, self.received, self.closed, self.done);
        let state = socket.state();
        if state != self.state {
            self.steps += 1;
        }
        let was = std::mem::replace(&mut self.state, state);
        if self.times.established.is_none() && socket.may_send() {
            self.times.established = Some(context.now);
        }
        while socket.can_send() && self.sent < self.data.len() {
            match socket.send_slice(&self.data[self.sent..]) {
                Ok(0) | Err(_) => break,
                Ok(count) => self.sent += count,
            }
        }
        while socket.can_recv() && !self.done {
            let chunk = socket.recv(|bytes| (bytes.len(), bytes.to_vec()));
            let Ok(chunk) = chunk else { break };
            self.check(&chunk);
            self.received += chunk.len();
            if let Some(kept) = &mut self.kept {
                kept.extend(&chunk);
            }
            self.times.first_byte.get_or_insert(context.now);
            self.times.last_byte = Some(context.now);
        }
        let peer_closed = matches!(
            state,
            tcp::State::CloseWait
                | tcp::State::LastAck
                | tcp::State::Closing
                | tcp::State::TimeWait
        );
        let opened = self.times.established.is_some();
        let close = match self.close {
            Close::Sent => opened && self.sent == self.data.len(),
            Close::PeerClosed => peer_closed && self.sent == self.data.len(),
            Close::Received(count) => opened && self.received >= count,
            Close::Acknowledged => {
                opened && self.sent == self.data.len() && socket.send_queue() == 0
            }
        };
        if close && !self.closed {
            self.closed = true;
            socket.close();
        }
        // TIME-WAIT: both FINs are acknowledged. Closed, when this end closed last, comes by LAST-ACK.
        let ended = match state {
            tcp::State::TimeWait => true,
            tcp::State::Closed => self.closed && was == tcp::State::LastAck,
            _ => false,
        };
        if ended && !self.done && !socket.can_recv() {
            self.check_end();
            self.done = true;
            self.times.done = Some(context.now);
        } else if state == tcp::State::Closed && !self.done {
            self.fail(Failure::Reset);
        } else if state == tcp::State::Listen && was == tcp::State::SynReceived {
            // Reset while half open: smoltcp listens again, as RFC 9293, section 3.10.7.4 wants.
            self.times.established = None;
        }
        if self.done && self.failure.is_none() && state == tcp::State::Closed {
            context.sockets.remove(handle);
            self.handle = None;
        }
        before != (self.sent, self.received, self.closed, self.done)
    }

    fn is_done(&self) -> bool {
        self.done
    }

    fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    fn progress(&self) -> Option<u64> {
        Some(self.steps + self.sent as u64 + self.received as u64)
    }

    fn wake_at(&self) -> Option<Instant> {
        self.begin.filter(|_| self.handle.is_none())
    }

    fn describe(&self) -> String {
        let role = match self.role {
            Role::Connect(ip, port) => format!("to {ip}:{port} from port {}", self.local_port),
            Role::Listen(port) => format!("on port {port}"),
        };
        format!(
            "{} {role} in {}: {} of {} bytes sent, {} received{}",
            self.name,
            self.state,
            self.sent,
            self.data.len(),
            self.received,
            match &self.expect {
                Expect::Echo => format!(" of {}", self.data.len()),
                Expect::Bytes(bytes) => format!(" of {}", bytes.len()),
                Expect::Stream(_) | Expect::Anything => String::new(),
            }
        )
    }
}

/// Listens with several sockets on one port and sends back what comes, for ever.
#[derive(Debug)]
pub struct EchoServer {
    port: u16,
    backlog: usize,
    options: TcpOptions,
    handles: Vec<SocketHandle>,
    echoed: u64,
    accepted: u64,
    active: Vec<bool>,
}

impl EchoServer {
    /// `backlog` sockets listen on `port`.
    pub fn new(port: u16, backlog: usize) -> Self {
        Self {
            port,
            backlog,
            options: TcpOptions::default(),
            handles: Vec::new(),
            echoed: 0,
            accepted: 0,
            active: vec![false; backlog],
        }
    }

    /// Sets buffers, Nagle's algorithm and the delay of ACKs.
    pub fn with_options(mut self, options: TcpOptions) -> Self {
        self.options = options;
        self
    }

    /// Bytes sent back.
    pub fn echoed(&self) -> u64 {
        self.echoed
    }

    /// Connections seen established.
    pub fn accepted(&self) -> u64 {
        self.accepted
    }
}

impl App for EchoServer {
    fn act(&mut self, context: &mut Context) -> bool {
        let mut acted = false;
        while self.handles.len() < self.backlog {
            self.handles
                .push(context.sockets.add(self.options.socket()));
            acted = true;
        }
        for (handle, active) in self.handles.iter().zip(&mut self.active) {
            let socket = context.sockets.get_mut::<tcp::Socket>(*handle);
            if matches!(socket.state(), tcp::State::Closed | tcp::State::TimeWait) {
                // No connection to this port comes from here, so TIME-WAIT protects nothing.
                socket.abort();
                acted |= socket.listen(self.port).is_ok();
                *active = false;
                continue;
            }
            if socket.may_send() && !*active {
                *active = true;
                self.accepted += 1;
            }
            while socket.can_recv() && socket.can_send() {
                let room = socket.send_capacity() - socket.send_queue();
                let chunk = socket.recv(|bytes| {
                    let count = bytes.len().min(room);
                    (count, bytes[..count].to_vec())
                });
                let Ok(chunk) = chunk else { break };
                if chunk.is_empty() {
                    break;
                }
                // It fits: the room was asked for above.
                let _ = socket.send_slice(&chunk);
                self.echoed += chunk.len() as u64;
                acted = true;
            }
            if socket.state() == tcp::State::CloseWait && !socket.can_recv() {
                socket.close();
                acted = true;
            }
        }
        acted
    }
    fn is_done(&self) -> bool {
        false
    }
    fn progress(&self) -> Option<u64> {
        None
    }
    fn describe(&self) -> String {
        format!(
            "echo server on port {}: {} connections, {} bytes",
            self.port, self.accepted, self.echoed
        )
    }
}

/// Sends ICMP echo requests, one after the answer to the other, and compares what comes back.
#[derive(Debug)]
pub struct Ping {
    ip: Ipv4Addr,
    length: usize,
    count: u16,
    ident: u16,
    timeout: Duration,
    handle: Option<SocketHandle>,
    sent: u16,
    sent_at: Instant,
    waiting: bool,
    answered: u16,
    lost: u16,
    round_trips: Vec<Duration>,
    failure: Option<Failure>,
}

impl Ping {
    /// Pings `ip` `count` times with `length` bytes of data.
    pub fn new(ip: Ipv4Addr, length: usize, count: u16) -> Self {
        Self {
            ip,
            length,
            count,
            ident: 0,
            timeout: Duration::from_secs(1),
            handle: None,
            sent: 0,
            sent_at: Instant::ZERO,
            waiting: false,
            answered: 0,
            lost: 0,
            round_trips: Vec::new(),
            failure: None,
        }
    }

    /// Gives an answer up after so long (default one second).
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Answers that came, with the right bytes.
    pub fn answered(&self) -> u16 {
        self.answered
    }

    /// Requests not answered in time.
    pub fn lost(&self) -> u16 {
        self.lost
    }

    /// How long each answer took.
    pub fn round_trips(&self) -> &[Duration] {
        &self.round_trips
    }

    fn data(&self, sequence: u16) -> Vec<u8> {
        let byte = |n: usize| (n as u8).wrapping_mul(31) ^ (sequence as u8);
        (0..self.length).map(byte).collect()
    }

    fn take_answer(&mut self, bytes: &[u8], now: Instant) {
        let Ok(packet) = Icmpv4Packet::new_checked(bytes) else {
            return;
        };
        let checksums = ChecksumCapabilities::default();
        let Ok(Icmpv4Repr::EchoReply {
            ident,
            seq_no,
            data,
        }) = Icmpv4Repr::parse(&packet, &checksums)
        else {
            return;
        };
        if ident != self.ident || !self.waiting || seq_no + 1 != self.sent {
            return;
        }
        let due = self.data(seq_no);
        if data != due {
            let at = data.iter().zip(&due).take_while(|(a, b)| a == b).count();
            self.failure = Some(Failure::Differs {
                at,
                found: data.get(at).copied(),
                expected: due.get(at).copied(),
            });
        }
        self.waiting = false;
        self.answered += 1;
        self.round_trips.push(now - self.sent_at);
    }
}

impl App for Ping {
    fn act(&mut self, context: &mut Context) -> bool {
        let handle = match self.handle {
            Some(handle) => handle,
            None => {
                let buffer = |bytes: usize| {
                    icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; 4], vec![0; bytes])
                };
                let bytes = 4 * (self.length + 64);
                let mut socket = icmp::Socket::new(buffer(bytes), buffer(bytes));
                if self.ident == 0 {
                    // Several pings at once are told apart by their identifier.
                    self.ident = 1 + context.sockets.iter().count() as u16;
                }
                if let Err(error) = socket.bind(icmp::Endpoint::Ident(self.ident)) {
                    self.failure = Some(Failure::Socket(error.to_string()));
                    return false;
                }
                *self.handle.insert(context.sockets.add(socket))
            }
        };
        let socket = context.sockets.get_mut::<icmp::Socket>(handle);
        let mut acted = false;
        while socket.can_recv() {
            let Ok((bytes, _)) = socket.recv() else { break };
            let bytes = bytes.to_vec();
            self.take_answer(&bytes, context.now);
            acted = true;
        }
        if self.waiting && context.now >= self.sent_at + self.timeout {
            self.waiting = false;
            self.lost += 1;
            // The request may still wait for an ARP reply and would fill the socket: a fresh one for the next.
            context.sockets.remove(handle);
            self.handle = None;
            return true;
        }
        if !self.waiting && self.sent < self.count && socket.can_send() {
            let data = self.data(self.sent);
            let request = Icmpv4Repr::EchoRequest {
                ident: self.ident,
                seq_no: self.sent,
                data: &data,
            };
            let address = IpAddress::Ipv4(self.ip);
            match socket.send(request.buffer_len(), address) {
                Ok(buffer) => {
                    let mut packet = Icmpv4Packet::new_unchecked(buffer);
                    request.emit(&mut packet, &ChecksumCapabilities::default());
                    self.sent += 1;
                    self.sent_at = context.now;
                    self.waiting = true;
                }
                Err(error) => self.failure = Some(Failure::Socket(error.to_string())),
            }
            acted = true;
        }
        acted
    }
    fn is_done(&self) -> bool {
        self.failure.is_some() || (self.sent == self.count && !self.waiting)
    }
    fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }
    fn progress(&self) -> Option<u64> {
        Some(u64::from(self.sent) + u64::from(self.answered) + u64::from(self.lost))
    }
    fn wake_at(&self) -> Option<Instant> {
        self.waiting.then(|| self.sent_at + self.timeout)
    }
    fn describe(&self) -> String {
        format!(
            "ping {} with {} bytes: {} of {} sent, {} answered, {} lost",
            self.ip, self.length, self.sent, self.count, self.answered, self.lost
        )
    }
}

/// Whether a socket is a TCP socket (for those who walk [`Peer::sockets`]).
pub fn as_tcp<'a>(socket: &'a Socket<'static>) -> Option<&'a tcp::Socket<'static>> {
    tcp::Socket::downcast(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{FaultInjector, Faults};
    use crate::link::{join, Joined};
    use crate::pcap::{PcapReader, PcapWriter};

    const A: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 1);
    const B: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 2);

    fn peer(ip: Ipv4Addr, medium: Medium, seed: u64) -> Peer {
        Peer::new(&PeerConfig {
            medium,
            ip,
            mac: [2, 0, 0, 0, 0, ip.octets()[3]],
            mtu: if medium == Medium::Ip { 576 } else { 1500 },
            seed,
            ..PeerConfig::default()
        })
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|n| (n * n / 7 + n) as u8).collect()
    }

    type Wire = PcapWriter<FaultInjector<Peer>, Vec<u8>>;

    /// An echo of 100 KiB from A to B through faults on the way; gives the end, the capture and the wire.
    fn echo(seed: u64, medium: Medium, faults: Faults) -> (Joined, Wire) {
        println!("seed {seed}, {medium:?}, {faults:?}");
        let mut client = peer(A, medium, seed);
        let data = bytes(100 * 1024);
        client.add(Conversation::echo_client(B, 7, data));
        let client = FaultInjector::new(client, seed, faults, faults);
        let mut wire = PcapWriter::new(client, Vec::new()).unwrap();
        let mut server = peer(B, medium, seed + 1);
        server.add(EchoServer::new(7, 2));
        let end = join(
            &mut wire,
            &mut server,
            Instant::ZERO,
            Instant::from_secs(3600),
            |wire, _| wire.inner().inner().is_over(),
        );
        assert_eq!(wire.inner().inner().finished(), Ok(true));
        (end, wire)
    }

    #[test]
    fn an_echo_over_a_clean_line_needs_few_polls() {
        for medium in [Medium::Ethernet, Medium::Ip] {
            let delay = Faults {
                delay: Duration::from_micros(100),
                ..Faults::none()
            };
            let (end, wire) = echo(1, medium, delay);
            assert!(matches!(end, Joined::Done(at) if at < Instant::from_secs(1)));
            let peer = wire.inner().inner();
            let (to, from) = peer.frames();
            assert!(peer.polls() < 3 * (to + from), "{} polls", peer.polls());
        }
    }

    #[test]
    fn echoes_survive_faults_and_are_the_same_for_the_same_seed() {
        let faults = Faults {
            loss: 0.04,
            duplicate: 0.04,
            reorder: 0.05,
            corrupt_packet: 0.03,
            corrupt_line: 0.03,
            truncate: 0.03,
            delay: Duration::from_micros(50),
            jitter: Duration::from_micros(20),
            ..Faults::none()
        };
        let captures: Vec<Vec<u8>> = [7, 7, 8]
            .into_iter()
            .map(|seed| {
                let (_, wire) = echo(seed, Medium::Ethernet, faults);
                let done = wire.inner().to_board();
                for count in [done.lost, done.duplicated, done.reordered, done.truncated] {
                    assert!(count > 0, "{done:?}");
                }
                wire.finish().unwrap().1
            })
            .collect();
        assert_eq!(captures[0], captures[1]);
        assert_ne!(captures[0], captures[2]);
        let packets = PcapReader::new(&captures[0][..]).unwrap();
        assert!(packets.map(Result::unwrap).count() > 150);
    }

    #[test]
    fn both_roles_and_both_closing_orders() {
        let data = bytes(20_000);
        let mut client = peer(A, Medium::Ethernet, 1);
        let source = client.add(Conversation::source_client(B, 9, data.clone()));
        let sink = client.add(Conversation::sink_client(B, 19, 5000).keeping());
        let mut server = peer(B, Medium::Ethernet, 2);
        let discard = server.add(Conversation::sink_server(9, data.clone()));
        server.add(Conversation::source_server(19, data.clone()).closing_last());
        let end = join(
            &mut client,
            &mut server,
            Instant::ZERO,
            Instant::from_secs(60),
            |client, server| client.is_over() && server.is_over(),
        );
        assert!(matches!(end, Joined::Done(_)), "{}", client.report());
        assert_eq!(client.finished(), Ok(true));
        assert_eq!(server.finished(), Ok(true));
        assert_eq!(client.app(source).sent(), 20_000);
        assert_eq!(server.app(discard).received(), 20_000);
        assert_eq!(client.app(sink).received_bytes(), data);
        let times = client.app(source).times();
        assert!(times.opened <= times.established && times.established <= times.done);
    }

    /// The board's end of these is an application: here smoltcp plays it.
    #[test]
    fn a_listener_echoes_pours_and_finds_the_wrong_byte() {
        let stream: fn(usize) -> u8 = |n| (n * n / 7 + n) as u8;
        for (wrong, outcome) in [(None, None), (Some(7_000), Some(7_000))] {
            let mut here = peer(A, Medium::Ethernet, 1);
            let data = bytes(20_000);
            here.add(Conversation::echo_listener(5001, data.clone()));
            here.add(Conversation::sink_listener(5002, 20_000).expecting_stream(stream));
            here.add(Conversation::source_server(5003, data.clone()).expecting([]));
            let mut there = peer(B, Medium::Ethernet, 2);
            let mut poured = data.clone();
            if let Some(at) = wrong {
                poured[at] ^= 1;
            }
            let back = Conversation::source_client(A, 5001, data.clone()).expecting(data.clone());
            there.add(back);
            there.add(Conversation::source_client(A, 5002, poured).closing_last());
            there.add(Conversation::source_client(A, 5003, []).expecting(data));
            let end = Instant::from_secs(60);
            join(&mut here, &mut there, Instant::ZERO, end, |here, there| {
                here.is_over() && (there.is_over() || wrong.is_some())
            });
            match (here.finished(), outcome) {
                (Ok(true), None) => {}
                (Err(PeerError::Differs { at, .. }), Some(due)) => assert_eq!(at, due),
                other => panic!("{other:?}\n{}", here.report()),
            }
        }
    }

    #[test]
    fn pings_are_answered_compared_and_given_up() {
        for (ip, answered, lost) in [(B, 5, 0), (Ipv4Addr::new(192, 168, 69, 9), 0, 5)] {
            let mut client = peer(A, Medium::Ethernet, 1);
            let short = client.ping(ip, 0, 5);
            let long = client.ping(ip, 1472, 5);
            let mut server = peer(B, Medium::Ethernet, 2);
            join(
                &mut client,
                &mut server,
                Instant::ZERO,
                Instant::from_secs(60),
                |client, _| client.is_over(),
            );
            assert_eq!(client.finished(), Ok(true));
            for ping in [short, long] {
                let ping = client.app(ping);
                assert_eq!((ping.answered(), ping.lost()), (answered, lost));
            }
        }
    }

    #[test]
    fn wrong_bytes_a_refusal_and_silence_are_told_apart() {
        // Wrong bytes, one too many, one too few.
        for (sent, at, found, expected) in [
            (&b"hellO"[..], 4, Some(b'O'), Some(b'o')),
            (b"hello!", 5, Some(b'!'), None),
            (b"hell", 4, None, Some(b'o')),
        ] {
            let mut client = peer(A, Medium::Ip, 1);
            client.add(Conversation::source_client(B, 9, sent));
            let mut server = peer(B, Medium::Ip, 2);
            server.add(Conversation::sink_server(9, &b"hello"[..]));
            let end = Instant::from_secs(60);
            join(&mut client, &mut server, Instant::ZERO, end, |_, server| {
                server.is_over()
            });
            match server.finished() {
                Err(PeerError::Differs {
                    at: a,
                    found: f,
                    expected: e,
                    ..
                }) => assert_eq!((a, f, e), (at, found, expected)),
                other => panic!("{other:?}"),
            }
        }
        // Nobody listens: the RST is a refusal.
        let mut client = peer(A, Medium::Ip, 1);
        client.add(Conversation::echo_client(B, 7, bytes(10)));
        let mut server = peer(B, Medium::Ip, 2);
        let end = Instant::from_secs(60);
        join(&mut client, &mut server, Instant::ZERO, end, |client, _| {
            client.is_over()
        });
        assert!(matches!(client.finished(), Err(PeerError::Reset { .. })));
        // Nobody is there: it stalls when its patience ends, and says what it saw.
        let mut client = peer(A, Medium::Ip, 1);
        client.add(Conversation::echo_client(B, 7, bytes(10)));
        let mut nobody = crate::link::Queues::new(Medium::Ip);
        let end = Instant::from_secs(600);
        let joined = join(&mut client, &mut nobody, Instant::ZERO, end, |client, _| {
            client.is_over()
        });
        assert_eq!(joined, Joined::Done(Instant::from_secs(60)));
        let Err(error @ PeerError::Stalled { .. }) = client.finished() else {
            panic!("{:?}", client.finished());
        };
        let text = error.to_string();
        assert!(text.contains("SYN-SENT"), "{text}");
        assert!(text.contains("> 192.168.69.2:7 [S]"), "{text}");
    }

    #[test]
    fn small_buffers_and_slow_reading_pass_all_bytes() {
        let options = TcpOptions {
            receive_buffer: 700,
            send_buffer: 900,
            nagle: false,
            ack_delay: None,
            keep_alive: None,
            timestamps: false,
        };
        let mut client = peer(A, Medium::Ethernet, 1);
        let data = bytes(30_001);
        client.add(Conversation::echo_client(B, 7, data).with_options(options));
        let mut server = peer(B, Medium::Ethernet, 2);
        let echo = server.add(EchoServer::new(7, 1).with_options(options));
        let end = Instant::from_secs(600);
        join(&mut client, &mut server, Instant::ZERO, end, |client, _| {
            client.is_over()
        });
        assert_eq!(client.finished(), Ok(true));
        assert_eq!(server.app(echo).echoed(), 30_001);
        assert_eq!(server.app(echo).accepted(), 1);
    }
}
