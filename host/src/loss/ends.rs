//! The ends of a path that are compared, near and far. Far is who connects: the kernel in real time, smoltcp in simulated time. Near is who is called: the kernel, smoltcp, or the engine, as
//! its instruction-level model or as its Verilog. Whoever is near has three applications: what comes is echoed, read and compared, or an endless stream is poured.
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::time;

use toe_hdl::config::{Listener, Owner, ToeConfig};
use toe_hdl::tcp::asm::Program;
use toe_hdl::tcp::model::blocks;
use toe_hdl::tcp::model::toe::ModelToe;
use toe_sim::kernel::{self, Setting};
use toe_sim::link::{Duration, Frame, Instant, Link, Medium};
use toe_sim::netns;
use toe_sim::pattern;
use toe_sim::peer::{Conversation, EchoServer, Peer, PeerConfig, TcpOptions};
use toe_sim::tap::{TapError, TapLink};

use super::{Case, Flow};
use crate::report::{self, StateWord};

/// Who is called.
pub const NEAR: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 2);
/// Who calls.
pub const FAR: Ipv4Addr = Ipv4Addr::new(192, 168, 69, 1);
/// The far end's Ethernet address, where there is Ethernet.
const FAR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// The near end's port for a flow: echo, discard and chargen by their RFCs.
pub fn port(flow: Flow) -> u16 {
    match flow {
        Flow::Both => 7,
        Flow::Receive => 9,
        Flow::Send => 19,
    }
}

/// What the near end pours.
pub fn poured(at: usize) -> u8 {
    blocks::chargen(at as u32)
}

/// What the far end sends on each connection.
pub fn sent(case: &Case) -> Vec<u8> {
    pattern::bytes(case.bytes, 1)
}

// ---- the engine's model -------------------------------------------------------------------------

/// More steps than this without a pause are a wedge.
const STEPS: usize = 100_000;

/// The engine's instruction-level model as a link of IP packets. It does at once all that it can do whenever a packet or a tick comes. What comes to port 9 is owned by the host, which reads it at once,
/// compares it, and closes when the other end has closed.
pub struct ModelEnd {
    toe: ModelToe,
    ticks: i64,
    expected: Vec<u8>,
    /// Of each connection, what the host has read.
    read: Vec<usize>,
    /// The words of the state that are plotted, by their place, and their changes in the connection that was the first to be open.
    plotted: Vec<(usize, String)>,
    first: Option<usize>,
    pub words: Vec<StateWord>,
    /// Connections whose bytes were all there when the other end closed.
    pub whole: usize,
    /// What went wrong.
    pub error: Option<String>,
}

/// The engine as a case has it. With the Verilog discard is the engine's own application: nobody is there to read for the host.
pub fn config(case: &Case, host: bool) -> ToeConfig {
    let sink = if host { Owner::Host } else { Owner::Discard };
    ToeConfig {
        connections: case.connections.next_power_of_two().max(4),
        rx_ring_bytes: case.ring,
        tx_ring_bytes: case.ring,
        mtu: case.mtu,
        ip: NEAR.octets(),
        listeners: vec![
            Listener::new(port(Flow::Both), Owner::Echo),
            Listener::new(port(Flow::Receive), sink),
            Listener::new(port(Flow::Send), Owner::Chargen),
        ],
        ..ToeConfig::default()
    }
}

impl ModelEnd {
    /// An engine for this case.
    pub fn new(case: &Case, program: &Program) -> Self {
        let config = config(case, true);
        let mut toe = ModelToe::new(&config, program);
        let far = u32::from_be_bytes(FAR.octets());
        toe.blocks.neighbours.insert(far, FAR_MAC);
        Self {
            toe,
            ticks: 0,
            expected: sent(case),
            read: vec![0; config.connections],
            plotted: (program.symbols.operands.iter())
                .filter(|(place, name)| **place < 32 && report::is_plotted(name))
                .map(|(place, name)| (usize::from(*place), name.clone()))
                .collect(),
            first: None,
            words: vec![],
            whole: 0,
            error: None,
        }
    }

    /// The engine.
    pub fn toe(&self) -> &ModelToe {
        &self.toe
    }

    fn advance(&mut self, now: Instant) {
        while self.ticks < now.total_millis() {
            self.ticks += 1;
            self.toe.tick();
            self.settle(Instant::from_millis(self.ticks));
        }
        self.settle(now);
    }

    fn settle(&mut self, now: Instant) {
        self.work();
        if self.plotted.is_empty() {
            return;
        }
        let attached = &self.toe.blocks.attached;
        if self.first.is_none() {
            self.first = attached.iter().position(|a| a.owner.is_some());
        }
        let open = self.first.filter(|conn| attached[*conn].owner.is_some());
        let Some(conn) = open else { return };
        for (place, name) in &self.plotted {
            let value = self.toe.machine.state[conn][*place];
            let last = self.words.iter().rev().find(|w| w.name == *name);
            if last.is_none_or(|w| w.value != value) {
                self.words.push(StateWord {
                    cycle: now.total_micros().max(0) as u64,
                    name: name.clone(),
                    value,
                });
            }
        }
    }

    fn work(&mut self) {
        for _ in 0..STEPS {
            if self.error.is_some() {
                return;
            }
            let host = self.serve();
            match self.toe.step() {
                Ok(busy) if busy || host => {}
                Ok(_) => return,
                Err(fault) => self.fail(&fault.to_string()),
            }
            if let Some(complaint) = self.toe.blocks.complaints.first() {
                let complaint = complaint.clone();
                self.fail(&complaint);
            }
        }
        self.fail("the engine never comes to rest");
    }

    fn fail(&mut self, why: &str) {
        self.error.get_or_insert_with(|| why.into());
    }

    /// The host's part.
    fn serve(&mut self) -> bool {
        let mut busy = false;
        for conn in 0..self.read.len() {
            let attached = self.toe.blocks.attached[conn];
            if attached.owner != Some(Owner::Host as u8) || attached.over {
                self.read[conn] = 0;
                continue;
            }
            let came = self.toe.host_read(conn as u16, usize::MAX);
            let at = self.read[conn];
            if self.expected.get(at..at + came.len()) != Some(&came[..]) {
                self.fail("other bytes came to the engine");
            }
            self.read[conn] += came.len();
            busy |= !came.is_empty();
            if attached.peer_fin && !attached.closed {
                self.whole += usize::from(self.read[conn] == self.expected.len());
                self.toe.host_close(conn as u16);
                busy = true;
            }
        }
        busy
    }
}

impl Link for ModelEnd {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        self.advance(now);
        self.toe.packet_out().map(|packet| Frame::new(packet.bytes))
    }

    fn send(&mut self, frame: Frame, now: Instant) {
        self.advance(now);
        self.toe.packet_in(&frame.bytes, FAR_MAC);
        self.settle(now);
    }

    fn idle_until(&mut self, _now: Instant) -> Option<Instant> {
        let ticks = self.toe.blocks.timers.next()?;
        Some(Instant::from_millis(self.ticks + i64::from(ticks.max(1))))
    }

    fn medium(&self) -> Medium {
        Medium::Ip
    }
}

// ---- Ethernet in front of a link of IP packets ------------------------------------------------------

/// Gives a board on Ethernet the IP packets of a link: headers are put on and taken off, and who has the far end's address is answered here, so that the path carries the
/// same packets for every near end.
pub struct OnEthernet<L> {
    inner: L,
    board: [u8; 6],
    answers: VecDeque<Frame>,
}

impl<L: Link> OnEthernet<L> {
    /// For a board of this address.
    pub fn new(inner: L, board: [u8; 6]) -> Self {
        Self {
            inner,
            board,
            answers: VecDeque::new(),
        }
    }

    /// The link.
    pub fn inner(&self) -> &L {
        &self.inner
    }

    /// The link.
    pub fn into_inner(self) -> L {
        self.inner
    }

    /// Answers a request for the far end's address (RFC 826: operation 1, answered by 2).
    fn answer(&mut self, frame: &[u8]) {
        let Some(arp) = frame.get(14..42) else { return };
        if arp[6..8] != [0, 1] || arp[24..28] != FAR.octets() {
            return;
        }
        let mut reply = [&arp[8..14], &FAR_MAC, &[8, 6], &arp[..6], &[0, 2]].concat();
        reply.extend(FAR_MAC);
        reply.extend(FAR.octets());
        reply.extend(&arp[8..18]);
        self.answers.push_back(Frame::new(reply));
    }
}

impl<L: Link> Link for OnEthernet<L> {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        if let Some(answer) = self.answers.pop_front() {
            return Some(answer);
        }
        let packet = self.inner.receive(now)?;
        let header = [&self.board[..], &FAR_MAC, &[8, 0]].concat();
        Some(Frame::new([&header, &packet.bytes[..]].concat()))
    }

    fn send(&mut self, frame: Frame, now: Instant) {
        match frame.bytes.get(12..14) {
            Some([8, 6]) => self.answer(&frame.bytes),
            Some([8, 0]) => {
                // Without the padding of a short frame.
                let length = usize::from(u16::from_be_bytes([frame.bytes[16], frame.bytes[17]]));
                let packet = frame.bytes[14..].iter().take(length).copied();
                self.inner.send(Frame::new(packet.collect::<Vec<_>>()), now);
            }
            _ => {}
        }
    }

    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        match self.answers.is_empty() {
            true => self.inner.idle_until(now),
            false => Some(now),
        }
    }

    fn medium(&self) -> Medium {
        Medium::Ethernet
    }
}

// ---- smoltcp ------------------------------------------------------------------------------------------

fn options(case: &Case) -> TcpOptions {
    let mss = usize::from(case.mtu) - 40;
    TcpOptions {
        receive_buffer: case.window,
        // It ends a segment where its buffer ends.
        send_buffer: 44 * mss,
        ack_delay: None,
        // See there: without it an ACK that was overtaken can stop it for ever.
        keep_alive: Some(Duration::from_secs(10)),
        ..TcpOptions::default()
    }
}

fn smoltcp(case: &Case, ip: Ipv4Addr, seed: u64) -> Peer {
    Peer::new(&PeerConfig {
        medium: Medium::Ip,
        ip,
        seed,
        mtu: usize::from(case.mtu),
        patience: Duration::from_secs(300),
        ..PeerConfig::default()
    })
}

/// smoltcp, called.
pub fn smoltcp_near(case: &Case, seed: u64) -> Peer {
    let mut peer = smoltcp(case, NEAR, seed + 1_000);
    let (port, options) = (port(case.flow), options(case));
    if case.flow == Flow::Both {
        peer.add(EchoServer::new(port, case.connections).with_options(options));
        return peer;
    }
    for _ in 0..case.connections {
        let talk = match case.flow {
            Flow::Receive => Conversation::sink_server(port, sent(case)),
            // A far end that has enough closes.
            _ => Conversation::source_server(port, (0..case.bytes).map(poured).collect::<Vec<_>>()),
        };
        peer.add(talk.with_options(options));
    }
    peer
}

/// smoltcp, calling; with its conversations.
pub fn smoltcp_far(case: &Case, seed: u64) -> (Peer, Vec<toe_sim::peer::AppHandle<Conversation>>) {
    let mut peer = smoltcp(case, FAR, seed);
    let port = port(case.flow);
    let talks = (0..case.connections).map(|_| {
        let talk = match case.flow {
            Flow::Both => Conversation::echo_client(NEAR, port, sent(case)),
            Flow::Receive => Conversation::source_client(NEAR, port, sent(case)),
            Flow::Send => {
                Conversation::sink_client(NEAR, port, case.bytes).expecting_stream(poured)
            }
        };
        peer.add(talk.with_options(options(case)))
    });
    let talks = talks.collect();
    (peer, talks)
}

// ---- the kernel ---------------------------------------------------------------------------------------

/// What the kernel's sockets are held to.
pub fn setting(case: &Case, congestion: &str) -> Setting {
    Setting {
        // Never what bounds the flight: the window is.
        send_buffer: 2 * case.window.max(16_384),
        window: case.window,
        congestion: congestion.into(),
    }
}

/// Makes this thread an end of a network of its own.
///
/// # Errors
/// When the system forbids it.
pub fn network(ip: Ipv4Addr, case: &Case) -> Result<TapLink, TapError> {
    netns::enter_own().map_err(|source| TapError::Other {
        step: "have a network of its own",
        name: "toe0".into(),
        source,
    })?;
    let device = TapLink::open("toe0", Medium::Ip)?.awaited();
    device.without_ipv6()?;
    device.set_mtu(case.mtu)?;
    device.configure(ip, 24, None)?;
    Ok(device)
}

fn unequal(what: &str) -> io::Error {
    io::Error::other(format!("other bytes came to {what}"))
}

/// Reads to the end, or `limit` bytes, each of which must be that of `due`; gives how many came.
fn read_all(
    mut stream: &TcpStream,
    setting: &Setting,
    due: impl Fn(usize) -> Option<u8>,
    limit: usize,
    who: &str,
) -> io::Result<usize> {
    let mut buffer = [0; 16_384];
    let mut at = 0;
    while at < limit {
        let most = buffer.len().min(limit - at);
        let count = stream.read(&mut buffer[..most])?;
        if count == 0 {
            break;
        }
        kernel::hold(stream, setting)?;
        let came = buffer[..count].iter().enumerate();
        if came.clone().any(|(n, byte)| due(at + n) != Some(*byte)) {
            return Err(unequal(who));
        }
        at += count;
    }
    Ok(at)
}

/// The kernel's applications, on every connection that comes.
pub struct Server {
    listener: TcpListener,
    open: Mutex<Vec<TcpStream>>,
    setting: Setting,
}

impl Server {
    /// Listens, in this thread's network.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(case: &Case, setting: Setting) -> io::Result<Self> {
        let at = SocketAddrV4::new(NEAR, port(case.flow));
        Ok(Self {
            listener: kernel::listen(at, &setting)?,
            open: Mutex::new(vec![]),
            setting,
        })
    }

    /// Serves until [`Server::end`].
    ///
    /// # Errors
    /// If other bytes come than are due.
    pub fn serve(&self, case: &Case) -> io::Result<()> {
        std::thread::scope(|scope| {
            let mut served = vec![];
            while let Ok((stream, _)) = self.listener.accept() {
                if let Ok(second) = stream.try_clone() {
                    let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
                    open.push(second);
                }
                served.push(scope.spawn(move || self.one(case, stream)));
            }
            for one in served {
                match one.join() {
                    // What ends a connection early is the far end's to judge: it closes when it has enough.
                    Ok(Err(error)) if error.kind() == io::ErrorKind::Other => return Err(error),
                    Ok(_) => {}
                    Err(_) => return Err(io::Error::other("an application broke off")),
                }
            }
            Ok(())
        })
    }

    fn one(&self, case: &Case, mut stream: TcpStream) -> io::Result<()> {
        match case.flow {
            Flow::Receive => {
                let data = sent(case);
                let due = |at: usize| data.get(at).copied();
                let came = read_all(&stream, &self.setting, due, usize::MAX, "the near end")?;
                if came < data.len() {
                    return Err(unequal("the near end"));
                }
            }
            Flow::Send => {
                let mut at = 0;
                let mut buffer = [0; 8192];
                loop {
                    for (n, byte) in buffer.iter_mut().enumerate() {
                        *byte = poured(at + n);
                    }
                    stream.write_all(&buffer)?;
                    at += buffer.len();
                }
            }
            Flow::Both => {
                let mut buffer = [0; 8192];
                loop {
                    let count = stream.read(&mut buffer)?;
                    if count == 0 {
                        break;
                    }
                    kernel::hold(&stream, &self.setting)?;
                    stream.write_all(&buffer[..count])?;
                }
            }
        }
        // The other handle of it stays open until the end of all.
        stream.shutdown(Shutdown::Write)
    }

    /// Ends it, whoever waits for what.
    pub fn end(&self) {
        // A listener that is shut down gives its accept back.
        if let Ok(listener) = self.listener.try_clone() {
            let _ = TcpStream::from(OwnedFd::from(listener)).shutdown(Shutdown::Both);
        }
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        for stream in open.iter() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// One connection of the kernel to the near end: when it was open, and when it had all that was due.
///
/// # Errors
/// If other bytes come than are due, or nothing moves for `patience`.
pub fn call(
    case: &Case,
    setting: &Setting,
    patience: time::Duration,
) -> io::Result<(time::Instant, time::Instant)> {
    let to = SocketAddrV4::new(NEAR, port(case.flow));
    let stream = kernel::connect(to, setting)?;
    let begin = time::Instant::now();
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let data = sent(case);
    let send = || {
        (&stream).write_all(&data)?;
        stream.shutdown(Shutdown::Write)
    };
    let whole = |came: usize| match came == case.bytes {
        true => Ok(()),
        false => Err(unequal("the far end")),
    };
    match case.flow {
        Flow::Send => {
            let due = |at| Some(poured(at));
            whole(read_all(&stream, setting, due, case.bytes, "the far end")?)?;
        }
        Flow::Receive => {
            send()?;
            // The near end closes when it has read and compared all.
            if (&stream).read(&mut [0])? != 0 {
                return Err(unequal("the far end"));
            }
        }
        Flow::Both => std::thread::scope(|scope| {
            let sending = scope.spawn(send);
            let due = |at: usize| data.get(at).copied();
            let came = read_all(&stream, setting, due, case.bytes, "the far end");
            let sent = sending.join();
            whole(came?)?;
            sent.unwrap_or_else(|_| Err(io::Error::other("the sender broke off")))
        })?,
    }
    Ok((begin, time::Instant::now()))
}
