//! It never wedges: the checks that every test may end with.
//!
//! **Accounts.** Each frame that comes in moves exactly one counter of the partition ([`class`]): where its way ended. Three equations hold whenever the
//! board is at rest: frames on the line = ends at the link + `FrameIn`; `FrameIn` = ends between Ethernet and the record queue + `TcpIn` + `IcmpError`;
//! `TcpIn` + `IcmpError` = verdicts of the engine's program. And every frame that left was counted.
//!
//! **Life.** A new connection opens, echoes and closes within [`ALIVE_CYCLES`].
//!
//! **How a test uses it.** [`crate::transfers::transfer`] ends with both checks by itself. A test that drives a board on its own hands it over in the end:
//! [`crate::transfers::still_alive`]`(name, &config, board)` gives it back checked; one that makes frames by hand does so on a [`Bench`] and ends with
//! [`Bench::alive`]. A [`crate::mutate::Target`] has `check`, for the model too. On the model with a smoltcp peer `ModelWorld::come_to_rest` asks for more:
//! that nothing at all is left. Of the tests that feed input only those of the serial tops go without: their line is not Ethernet, and their engine is
//! the same; they are compared with the Rust blocks in every cycle instead, and end with an exchange of their own.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;

use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_host::board::{Backend, SimulatedBoard};
use toe_host::capture::{self, Recording};
use toe_host::demo::{CYCLES_PER_TICK, HZ};
use toe_sim::gmii::{GmiiPort, Way};
use toe_sim::link::{Frame, Instant, Link, Medium, Queues};
use toe_sim::time::SimulatedTime;
use toe_sim::world::{Board, Port};

use crate::transfers::{bytes, capture_file};
use crate::wire::*;

/// Within so many cycles a new connection opens, echoes 100 bytes and closes on a board at rest. It takes four exchanges, each a frame of at most 166 cycles in,
/// an answer within some 200, a frame out; the echo passes the application's switch, which may serve three others first. Behind a thousand half-open
/// connections 1,271 were measured; the bound leaves room for two of the client's own retries ([`Client::RETRY`]).
pub const ALIVE_CYCLES: u64 = 10_000;
/// A line without a frame for so long, each way, is at rest: longer than the longest frame and the longest event (1,538 cycles each).
const QUIET: u64 = 4_000;

/// What a counter says about a frame that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Its way ended at the link.
    Link,
    /// … between Ethernet and the record queue.
    Before,
    /// … with a verdict of the engine's program.
    Verdict,
    /// It passed from one to the next.
    Gate,
    /// Nothing: it counts something else, or something besides.
    Besides,
}

/// The partition.
pub fn class(cause: Cause) -> Class {
    use Cause::*;
    match cause {
        LinkBadFcs | LinkError | LinkRunt | LinkOversize => Class::Link,
        EthOtherAddress | EthOtherType | ArpIn | ArpMalformed => Class::Before,
        Ip4BadHeader | Ip4Fragment | Ip4OtherAddress | Ip4BadLength | Ip4OtherProtocol => {
            Class::Before
        }
        IcmpEcho | IcmpOther | IcmpBad | IcmpTooLong | IcmpQuoteBad => Class::Before,
        TcpBadChecksum | TcpBadHeader | TcpBadOption | RecordQueueFull => Class::Before,
        Accepted | Unacceptable | BadAck | NoAck | Refused | NoSlot | SourceLimit | Stray
        | BadSource | StaleRecord | ResetIn => Class::Verdict,
        IcmpStray | IcmpOutside | IcmpSoft | IcmpRefused | MtuLowered | MtuIgnored => {
            Class::Verdict
        }
        FrameIn | TcpIn | IcmpError => Class::Gate,
        HeldFull
        | Opened
        | Closed
        | ResetOut
        | DuplicateAck
        | Retransmit
        | RtoExpired
        | GaveUp
        | ZeroWindowProbe
        | SegmentOut
        | PureAckOut
        | OutOfOrder
        | ArpWait
        | Recycled
        | ConnectRefused
        | ChallengeHeld
        | FrameOut
        | IcmpIn
        | TailProbe
        | OldTimestamp
        | CookieOut
        | CongestionExperienced => Class::Besides,
    }
}

/// All counters at one moment.
pub type Counters = BTreeMap<Cause, u64>;

fn total(counters: &Counters, wanted: Class) -> u64 {
    counters
        .iter()
        .filter(|(c, _)| class(**c) == wanted)
        .map(|(_, n)| n)
        .sum()
}

/// The three equations, for so many frames on the line.
///
/// # Errors
/// The one that does not hold, and the counters.
pub fn balance(came: u64, counters: &Counters) -> Result<(), String> {
    let get = |c: Cause| counters.get(&c).copied().unwrap_or(0);
    let equations = [
        (
            "frames on the line, ended at the link or passed on",
            came,
            total(counters, Class::Link) + get(Cause::FrameIn),
        ),
        (
            "frames passed on, ended before the engine or handed to it",
            get(Cause::FrameIn),
            total(counters, Class::Before) + get(Cause::TcpIn) + get(Cause::IcmpError),
        ),
        (
            "segments and errors handed to the engine, and its verdicts",
            get(Cause::TcpIn) + get(Cause::IcmpError),
            total(counters, Class::Verdict),
        ),
    ];
    for (what, left, right) in equations {
        if left != right {
            return Err(format!("{what}: {left} and {right}\n{}", shown(counters)));
        }
    }
    Ok(())
}

/// The counters that moved, a line each.
pub fn shown(counters: &Counters) -> String {
    counters
        .iter()
        .filter(|(_, n)| **n > 0)
        .map(|(c, n)| format!("  {} {n}\n", c.name()))
        .collect()
}

/// A board with frames made by hand on its line.
pub struct Bench {
    pub name: String,
    pub board: SimulatedBoard,
    pub config: ToeConfig,
    record: Recording<Queues>,
    /// TCP segments from the board not yet looked at.
    pub segments: Vec<Tcp>,
    /// DSCP and ECN of their packet, of each since the beginning.
    pub tos: Vec<u8>,
    /// Frames from the board.
    pub frames_out: u64,
    last_out: u64,
    next_port: u16,
}

impl Bench {
    /// A fresh board.
    pub fn new(name: &str, config: &ToeConfig, backend: Backend) -> Self {
        // A tick lasts as long as the timers of all connections need (`ToeConfig::tick_cycles`).
        let tick = CYCLES_PER_TICK.max(16 * config.connections as u64);
        let time = SimulatedTime::new(tick);
        let board = SimulatedBoard::new(config, backend, GmiiPort::new(), time)
            .expect("the board can be built");
        Self::around(name, config, board)
    }

    /// A board that has lived already.
    pub fn around(name: &str, config: &ToeConfig, board: SimulatedBoard) -> Self {
        Self {
            name: name.into(),
            config: config.clone(),
            record: Recording::new(Queues::new(Medium::Ethernet)),
            segments: Vec::new(),
            tos: Vec::new(),
            frames_out: 0,
            last_out: board.cycles(),
            next_port: 50_000 + (board.cycles() % 10_000) as u16,
            board,
        }
    }

    /// Puts a frame on the line, behind those that wait.
    pub fn send(&mut self, frame: impl Into<Frame>) {
        self.record.inner.incoming.push_back(frame.into());
        if let Some(frame) = self.record.receive(Instant::ZERO) {
            self.board.line_mut().queue(frame);
        }
    }

    /// One cycle.
    pub fn cycle(&mut self) {
        self.board.cycle();
        if !self.board.line().has_news() {
            return;
        }
        if let Some(violation) = self.board.line_mut().take_violation() {
            self.fail(&format!(
                "the board broke the rules of its line: {violation}"
            ));
        }
        while let Some(frame) = self.board.line_mut().take() {
            self.frames_out += 1;
            self.last_out = self.board.cycles();
            if let Some(segment) = Tcp::from_frame(&frame) {
                self.segments.push(segment);
                self.tos.push(frame[15]);
            }
            self.record.send(frame, Instant::ZERO);
        }
    }

    /// Nothing waits for the board, nothing is on the line.
    pub fn is_quiet(&self) -> bool {
        self.board.line().is_quiet()
    }

    /// No frame waits for the board.
    pub fn is_idle(&self) -> bool {
        self.board.line().queued() == 0
    }

    /// So many cycles.
    pub fn run(&mut self, cycles: u64) {
        for _ in 0..cycles {
            self.cycle();
        }
    }

    /// Runs until the line is at rest.
    pub fn rest(&mut self) {
        self.rest_for(QUIET);
    }

    /// Runs until nothing has been on the line for so many cycles.
    pub fn rest_for(&mut self, quiet: u64) {
        let mut since = self.board.cycles();
        let limit = since + 400_000_000;
        loop {
            if !self.board.line().is_quiet() {
                since = self.board.cycles();
            }
            if self.board.cycles() > since.max(self.last_out) + quiet {
                return;
            }
            if self.board.cycles() > limit {
                self.fail("the line never comes to rest");
            }
            self.cycle();
        }
    }

    /// All counters, on a board at rest.
    pub fn counters(&mut self) -> Counters {
        Cause::ALL
            .iter()
            .map(|&c| (c, self.board.counter(c)))
            .collect()
    }

    /// Comes to rest and checks the accounts.
    ///
    /// # Panics
    /// If they do not balance.
    pub fn account(&mut self) -> Counters {
        self.rest();
        let counters = self.counters();
        let came = (self.board.line().stamps().iter())
            .filter(|s| s.way == Way::ToBoard && s.length > 0)
            .count() as u64;
        if let Err(error) = balance(came, &counters) {
            self.fail(&error);
        }
        if self.board.counters_lost() != 0 {
            self.fail("an occurrence was not counted");
        }
        let (sent, counted) = (
            self.board.line().from_board().frames,
            counters[&Cause::FrameOut],
        );
        if sent != counted {
            self.fail(&format!("{sent} frames left, {counted} were counted"));
        }
        counters
    }

    /// Comes to rest, checks the accounts, and that a new connection opens, echoes and closes within [`ALIVE_CYCLES`]. Gives the cycles it took.
    ///
    /// # Panics
    /// If one of them does not hold.
    pub fn alive(&mut self) -> u64 {
        self.account();
        self.segments.clear();
        let mut client = self.client(bytes(100, 7));
        let start = self.board.cycles();
        self.converse(&mut client, |_| None, ALIVE_CYCLES);
        let took = self.board.cycles() - start;
        self.account();
        took
    }

    /// A client with a port of its own.
    pub fn client(&mut self, data: Vec<u8>) -> Client {
        self.next_port = self.next_port.checked_add(1).unwrap_or(50_000);
        Client::new(&self.config, self.next_port, 7, data)
    }

    /// Runs a client to its end while `beside`, which sees how far it has come, fills the line.
    ///
    /// # Panics
    /// If the client is not done within so many cycles, or got what it did not send.
    pub fn converse(
        &mut self,
        client: &mut Client,
        mut beside: impl FnMut(&Client) -> Option<Frame>,
        cycles: u64,
    ) {
        let end = self.board.cycles() + cycles;
        loop {
            if self.board.line().queued() == 0 {
                let now = self.board.cycles();
                let frame = client.poll(now).map(Frame::new);
                if let Some(frame) = frame.or_else(|| beside(client)) {
                    self.send(frame);
                }
            }
            self.cycle();
            for segment in std::mem::take(&mut self.segments) {
                if let Err(error) = client.take(&segment) {
                    self.fail(&error);
                }
            }
            if client.is_done() {
                return;
            }
            if self.board.cycles() >= end {
                self.fail(&format!("not done in {cycles} cycles: {client:?}"));
            }
        }
    }

    /// Leaves a capture and panics.
    ///
    /// # Panics
    /// Always.
    #[track_caller]
    pub fn fail(&mut self, message: &str) -> ! {
        let file = capture_file(&self.name);
        let stamps = self.board.line().stamps().to_vec();
        let line = self.record.on_the_line(&stamps);
        if let Ok(out) = File::create(&file) {
            let _ = capture::write_pcap(&line, HZ, BufWriter::new(out));
        }
        let counters = self.counters();
        panic!(
            "{}, cycle {}: {message}\ncounters:\n{}capture: {}",
            self.name,
            self.board.cycles(),
            shown(&counters),
            file.display()
        );
    }
}

/// A TCP client that is slow and stubborn: one segment in flight, sent again after [`Client::RETRY`] cycles or somewhat more, so that it gets through whatever else is on
/// the line. It checks every byte it gets.
#[derive(Clone)]
pub struct Client {
    config: ToeConfig,
    /// Its own, the board's.
    pub ports: (u16, u16),
    iss: u32,
    data: Vec<u8>,
    /// What it got.
    pub received: Vec<u8>,
    /// SYN, data and FIN acknowledged, as one run of numbers.
    acknowledged: u32,
    /// The peer's first number, once known.
    irs: Option<u32>,
    fin_in: bool,
    window: u16,
    ack_due: bool,
    sent_at: Option<u64>,
    tries: u32,
    chunk: usize,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "client {:?}: {} of {} acknowledged, {} received, open {}, peer's FIN {}",
            self.ports,
            self.acknowledged,
            self.data.len() + 2,
            self.received.len(),
            self.irs.is_some(),
            self.fin_in
        )
    }
}

impl Client {
    /// Cycles after which it sends again.
    pub const RETRY: u64 = 4_000;

    /// Not open yet; it will send `data` and expect it back.
    pub fn new(config: &ToeConfig, port: u16, to: u16, data: Vec<u8>) -> Self {
        Self {
            config: config.clone(),
            ports: (port, to),
            iss: u32::from(port).wrapping_mul(0x9E37_79B9),
            data,
            received: Vec::new(),
            acknowledged: 0,
            irs: None,
            fin_in: false,
            window: 8192,
            ack_due: false,
            sent_at: None,
            tries: 0,
            chunk: 1_000,
        }
    }

    /// At most so many bytes in a segment (default 1,000).
    pub fn in_chunks(mut self, chunk: usize) -> Self {
        self.chunk = chunk;
        self
    }

    /// Both directions are over.
    pub fn is_done(&self) -> bool {
        self.fin_in && self.all_acknowledged() && !self.ack_due
    }

    fn all_acknowledged(&self) -> bool {
        self.acknowledged as usize == self.data.len() + 2
    }

    /// It has opened.
    pub fn is_open(&self) -> bool {
        self.irs.is_some()
    }

    /// Its SYN's number.
    pub fn iss(&self) -> u32 {
        self.iss
    }

    /// The next number it sends.
    pub fn snd_una(&self) -> u32 {
        self.iss.wrapping_add(self.acknowledged)
    }

    /// The next number it expects.
    pub fn rcv_nxt(&self) -> u32 {
        let irs = self.irs.unwrap_or(0);
        irs.wrapping_add(1 + self.received.len() as u32 + u32::from(self.fin_in))
    }

    /// A segment at its place in the connection.
    pub fn segment(&self, flags: u8) -> Tcp {
        Tcp {
            ports: self.ports,
            seq: self.snd_una(),
            ack: if flags & ACK == 0 { 0 } else { self.rcv_nxt() },
            flags,
            wnd: 8192,
            ..Tcp::default()
        }
    }

    /// What it sends now, if anything.
    pub fn poll(&mut self, now: u64) -> Option<Vec<u8>> {
        // Never twice after the same time: the record queue is full in step with a flood at the line's rate, and a step of its own could fit that for ever.
        let patience = Self::RETRY + u64::from(self.tries) * 61 % 1_000;
        let waiting = self.sent_at.is_some_and(|at| now < at + patience);
        if waiting && !self.ack_due {
            return None;
        }
        let mut segment;
        if self.irs.is_none() {
            if waiting {
                return None;
            }
            segment = self.segment(SYN);
            segment.options = vec![2, 4, 5, 0xB4];
        } else {
            segment = self.segment(ACK);
            if !self.all_acknowledged() && !waiting {
                let at = self.acknowledged as usize - 1;
                let room = usize::from(self.window).clamp(1, self.chunk);
                let count = room.min(self.data.len() - at.min(self.data.len()));
                segment.data = self.data[at.min(self.data.len())..][..count].to_vec();
                segment.flags |= PSH;
                if count == 0 {
                    segment.flags = ACK | FIN;
                }
            } else if !self.ack_due && !waiting {
                segment.flags = ACK;
            }
        }
        self.ack_due = false;
        if !waiting {
            self.sent_at = Some(now);
            self.tries = self.tries.wrapping_add(1);
        }
        Some(segment.frame(&self.config))
    }

    /// Takes a segment from the board; others' are ignored.
    ///
    /// # Errors
    /// A byte that it did not send, or a reset.
    pub fn take(&mut self, t: &Tcp) -> Result<(), String> {
        if (t.ports.1, t.ports.0) != self.ports {
            return Ok(());
        }
        if t.flags & RST != 0 {
            return Err(format!("reset: {t:?}, {self:?}"));
        }
        if t.flags & ACK != 0 {
            let up_to = t.ack.wrapping_sub(self.iss);
            if up_to as usize > self.data.len() + 2 {
                return Err(format!("acknowledges what was never sent: {t:?}, {self:?}"));
            }
            if up_to > self.acknowledged {
                self.acknowledged = up_to;
                self.sent_at = None;
            }
            self.window = t.wnd;
        }
        if t.flags & SYN != 0 {
            if self.irs.is_none() {
                self.irs = Some(t.seq);
            }
            self.ack_due = true;
            return Ok(());
        }
        if self.irs.is_none() {
            return Ok(());
        }
        let ahead = t.seq.wrapping_sub(self.rcv_nxt()) as i32;
        let takes = !t.data.is_empty() || t.flags & FIN != 0;
        self.ack_due |= takes;
        if !takes || ahead > 0 || self.fin_in {
            return Ok(());
        }
        let old = ahead.unsigned_abs() as usize;
        if old > t.data.len() {
            return Ok(());
        }
        self.received.extend(&t.data[old..]);
        if !self.data.starts_with(&self.received) {
            return Err(format!("got what was not sent: {t:?}, {self:?}"));
        }
        if t.flags & FIN != 0 {
            if self.received != self.data {
                return Err(format!("the end came too early: {self:?}"));
            }
            self.fin_in = true;
        }
        Ok(())
    }
}
