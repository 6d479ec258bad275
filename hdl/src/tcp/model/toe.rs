//! The whole engine, modelled: IP packets in, IP packets out, the program in between.
use super::blocks::{
    application, icmp, parse, quote, user_timeout, Attached, Builder, Events, Head, Offer,
    PacketOut, Records, Table, Timers,
};
use super::rx_ring::RxRing;
use super::tx_ring::TxRing;
use super::{Answer, Coprocessors, Cost, Event, Fault, Machine, Request};
use crate::config::{Owner, ToeConfig};
use crate::counters::Cause;
use crate::tcp::asm::Program;
use crate::tcp::isa::{cmd, mark, notify, pending, seg, TWICE};
use crate::tcp::keyed_hash;
use crate::tcp::program::host::{open, ConnectionOption};
use crate::tcp::scale;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// All that the engine commands. Waits are what the blocks' doc comments plan, to the cycle only where hardware was compared.
#[derive(Clone, Debug)]
pub struct Blocks {
    own_ip: u32,
    /// Built with selective acknowledgements.
    sack: bool,
    /// And to tell what was held already.
    twice: bool,
    /// The send ring keeps the score of the peer's.
    scoreboard: bool,
    /// Built to hear ICMP errors.
    errors: bool,
    /// A message to be answered may be so long.
    icmp_bytes: usize,
    /// Built for 802.1Q tags.
    vlan: bool,
    /// Built for ECN; its marks, by connection.
    ecn: bool,
    pub marks: Vec<u8>,
    /// Built for the user timeout option.
    user_timeout: bool,
    /// Built for differentiated services; DSCPs, by connection.
    diffserv: bool,
    pub classes: Vec<u8>,
    /// What this event sends is no new text.
    again: bool,
    /// Built for a pacer; the connections that it holds.
    pacing: bool,
    held: BTreeSet<u16>,
    pub table: Table,
    pub rx: RxRing,
    pub tx: TxRing,
    pub timers: Timers,
    pub events: Events,
    pub records: Records,
    builder: Builder,
    ttl: u8,
    packets: VecDeque<PacketOut>,
    /// What the application switch knows, by connection.
    pub attached: Vec<Attached>,
    /// Ethernet addresses the ARP cache would answer with.
    pub neighbours: BTreeMap<u32, [u8; 6]>,
    /// The tags it would tell of; of whoever is not here, none.
    pub neighbour_tags: BTreeMap<u32, u16>,
    /// Addresses asked for in vain.
    pub arp_requests: Vec<u32>,
    /// Counters by [`Cause`] number.
    pub counters: [u64; 64],
    /// What applications were told.
    pub reports: Vec<Report>,
    /// The same, and what was sent, whatever is taken of it.
    #[cfg(test)]
    pub told: Vec<Report>,
    #[cfg(test)]
    pub sent: Vec<PacketOut>,
    /// What the program asked of a block that makes no sense: must stay empty.
    pub complaints: Vec<String>,
    isn: u32,
    /// Key of the keyed hash, where there is one; without it F is zero, so that first numbers are the clock's.
    isn_key: Option<u64>,
    /// Built with the keyed hash.
    isn_hash: bool,
    /// What was given to `LOOKUP` or `HASH_OF` last.
    looked_up: (u32, u32),
    /// The shifts of the peers' windows by connection, where they are built in.
    shifts: Option<Vec<u32>>,
}

fn yes(result: u32, result2: u32) -> Answer {
    Answer {
        ok: true,
        result,
        result2,
        wait: 0,
    }
}

fn no() -> Answer {
    Answer::default()
}

/// What was done with an engine from outside, for a machine that is to do the same.
#[cfg(test)]
#[derive(Clone, Debug)]
pub enum Action {
    Packet(Vec<u8>, [u8; 6], Option<u16>),
    /// One tick, and if any timer expired in it.
    Tick(bool),
    Command([u32; seg::WORDS]),
    /// What the host read.
    Read(u16, Vec<u8>),
    Write(u16, Vec<u8>),
    Close(u16),
    Abort(u16),
    Hold(u16, bool),
}

/// What an application is told without having asked ([`crate::tcp::isa::report`], [`crate::tcp::isa::notify`]), as the ports `report_…` say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub conn: u16,
    pub kind: u8,
    pub value: u32,
}

impl Coprocessors for Blocks {
    fn command(&mut self, request: Request) -> Answer {
        let Request {
            code,
            imm,
            conn,
            slot,
            a,
            b,
        } = request;
        // A new connection's number is only known after ALLOC, so nothing that names one may come with a number out of range; and an entry in TIME-WAIT has neither buffers nor application.
        let bufferless =
            code < cmd::RX_INIT && code != cmd::NOTIFY || code >= cmd::OUT && code != cmd::TX_NEXT;
        let known = if bufferless {
            self.timers.len()
        } else {
            self.attached.len()
        };
        if conn as usize >= known {
            self.complaints
                .push(format!("command {code:#04x} for connection {conn}"));
            return no();
        }
        match code {
            cmd::SCALE => {
                match &mut self.shifts {
                    Some(shifts) => shifts[conn as usize] = scale::shift(a),
                    None => self.complaints.push("SCALE without a window scale".into()),
                }
                no()
            }
            cmd::COUNT => {
                self.counters[imm as usize & 63] += 1;
                let is = |cause: Cause| imm == cause.number();
                self.again |= is(Cause::Retransmit) || is(Cause::ZeroWindowProbe);
                if is(Cause::RtoExpired) {
                    self.marks[conn as usize] |= mark::CWR;
                }
                no()
            }
            cmd::POST => {
                let aside = self.user_timeout && imm & 1 == 1;
                let bit = if aside {
                    pending::ASIDE
                } else {
                    pending::AGAIN
                };
                self.events.post(conn, bit);
                no()
            }
            cmd::TIMER_TAKE => yes(u32::from(self.timers.take(conn)), 0),
            cmd::SEND => self.send(conn, a, b),
            cmd::NOTIFY => {
                self.report(imm, conn, b);
                self.notify(imm, conn, b)
            }
            cmd::REPORT => {
                self.report(imm, conn, b);
                no()
            }
            cmd::ARP => match self.neighbours.get(&a) {
                Some(mac) => yes(
                    u32::from_be_bytes([mac[2], mac[3], mac[4], mac[5]]),
                    u32::from(self.neighbour_tags.get(&a).map_or(0, |tag| !tag)) << 16
                        | u32::from_be_bytes([0, 0, mac[0], mac[1]]),
                ),
                None => {
                    self.arp_requests.push(a);
                    no()
                }
            },
            cmd::HASH => {
                if !self.isn_hash {
                    self.complaints.push("HASH without a keyed hash".into());
                }
                let (ports, ip) = self.looked_up;
                yes(
                    self.isn_key
                        .map_or(0, |key| keyed_hash::hash(key, ports, ip)),
                    0,
                )
            }
            cmd::HASH_OF => {
                self.looked_up = (a, b);
                Answer {
                    wait: keyed_hash::TAKEN - 1,
                    ..yes(0, 0)
                }
            }
            cmd::LOOKUP => {
                self.looked_up = (a, b);
                self.table
                    .engine_lookup(a, b)
                    .map_or_else(no, |c| yes(u32::from(c), 0))
            }
            cmd::ALLOC => match self.table.alloc(a, b) {
                Some((c, recycled)) => yes(u32::from(c), u32::from(recycled)),
                None => Answer {
                    result2: 2 * u32::from(self.table.limited),
                    ..no()
                },
            },
            cmd::FREE => {
                if self.known_to_application(conn) {
                    self.complaints.push(format!(
                        "FREE of connection {conn}, which its application still knows"
                    ));
                }
                self.table.free(conn);
                no()
            }
            cmd::RECYCLABLE => Answer {
                ok: self.table.recyclable(conn, imm == 1).is_some(),
                ..no()
            },
            cmd::EVICTED => Answer {
                ok: false,
                ..yes(self.table.evicted().into(), 0)
            },
            cmd::MOVE => {
                if self.known_to_application(conn) {
                    self.complaints.push(format!(
                        "MOVE of connection {conn}, which its application still knows"
                    ));
                }
                let (entry, before) = self.table.move_out(conn);
                yes(entry.into(), before.into())
            }
            cmd::KEEP => {
                self.table.keep(conn);
                no()
            }
            cmd::LISTEN => self
                .table
                .listen(a as u16)
                .map_or_else(no, |owner| yes(owner as u32, self.table.crowded().into())),
            cmd::RX_INIT => {
                self.rx.init(conn, a);
                self.marks[conn as usize] = 0;
                no()
            }
            cmd::RX_COMMIT => {
                let commit = self.rx.commit(conn, slot);
                if commit.dropped {
                    self.count(Cause::HeldFull);
                }
                let twice = u32::from(commit.twice && self.twice) * TWICE;
                Answer {
                    ok: commit.moved,
                    ..yes(self.rx.rcv_nxt(conn), self.rx.window(conn) | twice)
                }
            }
            cmd::RX_SACK => match self.rx.sack(conn, imm).filter(|_| self.sack) {
                Some((start, end)) => yes(start, end),
                None => Answer {
                    ok: false,
                    ..yes(self.rx.window(conn), self.rx.rcv_nxt(conn))
                },
            },
            cmd::RX_WINDOW => yes(self.rx.window(conn), self.rx.rcv_nxt(conn)),
            cmd::TX_INIT => {
                if b & 0xFFFF == 0 {
                    self.complaints.push("TX_INIT with an MSS of 0".into());
                }
                self.tx.init(conn, a, b as u16);
                no()
            }
            cmd::TX_NEXT if !self.pacing => {
                self.complaints.push("TX_NEXT without pacing".into());
                no()
            }
            cmd::TX_NEXT if self.held.contains(&conn) => {
                let some = self.tx.peek(conn, a).is_some();
                Answer {
                    ok: false,
                    ..yes(if some { 1 } else { self.tx.tail(conn).into() }, 0)
                }
            }
            cmd::TX_CUT if self.held.contains(&conn) => no(),
            cmd::TX_PEEK | cmd::TX_NEXT => match self.tx.peek(conn, a) {
                Some(d) => yes(
                    u32::from(d.length) | u32::from(d.psh) << 16,
                    u32::from(d.sum),
                ),
                None => Answer {
                    ok: false,
                    ..yes(u32::from(self.tx.tail(conn)), 0)
                },
            },
            cmd::TX_CUT => Answer {
                ok: self.tx.cut(conn),
                ..no()
            },
            cmd::TX_FREE => {
                let (count, una) = self.tx.free(conn, a);
                yes(count, una)
            }
            cmd::TX_RECUT if a == 0 => {
                if !self.errors {
                    self.complaints.push("TX_RECUT at 0".into());
                }
                self.tx.shorten(conn, b as u16);
                yes(0, 0)
            }
            cmd::TX_RECUT => Answer {
                ok: self.tx.recut(conn, a),
                wait: u64::from(a),
                ..no()
            },
            // Without them, as a TX_PEEK of none.
            cmd::TX_SACK | cmd::TX_PIPE | cmd::TX_MARK if !self.scoreboard => Answer {
                ok: false,
                ..yes(u32::from(self.tx.tail(conn)), 0)
            },
            cmd::TX_SACK => {
                let (bytes, below) = self.tx.sack(conn, a, b);
                Answer {
                    ok: bytes > 0,
                    wait: u64::from(below),
                    ..yes(bytes, 0)
                }
            }
            cmd::TX_PIPE => {
                let pipe = self.tx.pipe(conn, b & 31, imm);
                let (distance, index) = pipe.next.unwrap_or((0, 0));
                Answer {
                    ok: pipe.next.is_some(),
                    wait: u64::from(b & 31),
                    ..yes(pipe.bytes, distance << 16 | index)
                }
            }
            cmd::TX_MARK => Answer {
                ok: self.tx.mark(conn, a),
                ..no()
            },
            0x20..=0x2F => {
                self.builder.word(code - cmd::OUT, a);
                no()
            }
            0x30..=0x33 => {
                if a == 0 || a > 0xFF_FFFF {
                    self.complaints
                        .push(format!("timer set to {a} ticks, from 1 to {}", 0xFF_FFFF));
                }
                self.timers.set(conn, code - cmd::TIMER_SET, a);
                no()
            }
            0x34..=0x37 => {
                self.timers.clear(conn, code - cmd::TIMER_CLEAR);
                no()
            }
            cmd::ECN => {
                if !self.ecn {
                    self.complaints
                        .push("ECN, for which nothing is built".into());
                }
                let marks = &mut self.marks[conn as usize];
                *marks = (*marks | imm) & !(imm >> 3) & 7;
                Answer { wait: 1, ..no() }
            }
            cmd::DIFFSERV => {
                if !self.diffserv {
                    self.complaints
                        .push("DIFFSERV, for which nothing is built".into());
                }
                self.classes[conn as usize] = (a >> 16 & 63) as u8;
                no()
            }
            _ => {
                self.complaints.push(format!("command {code:#04x}"));
                no()
            }
        }
    }

    fn tick(&self) -> u32 {
        self.timers.clock()
    }

    fn isn(&self) -> u32 {
        self.isn
    }
}

impl Blocks {
    fn count(&mut self, cause: Cause) {
        self.counters[cause as usize] += 1;
    }

    fn known_to_application(&self, conn: u16) -> bool {
        let attached = self.attached.get(usize::from(conn));
        attached.is_some_and(|c| c.owner.is_some())
    }

    fn send(&mut self, conn: u16, a: u32, b: u32) -> Answer {
        let payload = match a as u16 {
            0 => Vec::new(),
            length => self.tx.payload(conn, self.builder.seq(), length),
        };
        let marks = &mut self.marks[conn as usize];
        let mut seen = 0;
        if *marks & mark::ECT != 0 && !self.builder.is_bare() {
            let new = !payload.is_empty() && !self.again;
            seen = *marks & if new { 7 } else { mark::ECE };
            *marks &= !(seen & mark::CWR);
        }
        let class = if self.builder.is_own() {
            self.classes[conn as usize]
        } else {
            0
        };
        let tos = class << 2 | (seen & mark::ECT) << 1;
        match (self.builder).send(self.own_ip, self.ttl, &payload, b as u16, seen, tos) {
            Ok(packet) => {
                #[cfg(test)]
                self.sent.push(packet.clone());
                self.packets.push_back(packet);
                self.count(Cause::FrameOut);
            }
            Err(complaint) => self.complaints.push(complaint),
        }
        no()
    }

    fn report(&mut self, kind: u8, conn: u16, value: u32) {
        self.reports.push(Report { conn, kind, value });
        #[cfg(test)]
        self.told.push(Report { conn, kind, value });
    }

    fn notify(&mut self, kind: u8, conn: u16, b: u32) -> Answer {
        let c = &mut self.attached[conn as usize];
        match kind {
            notify::OPEN => {
                *c = Attached::default();
                c.owner = Some(b as u8);
            }
            notify::PEER_FIN => c.peer_fin = true,
            notify::CLOSED => c.over = true,
            notify::RESET => {
                c.over = true;
                c.reset = true;
            }
            _ => self.complaints.push(format!("NOTIFY {kind}")),
        }
        no()
    }

    /// One visit of the application switch to a connection; true if anything happened.
    fn visit(&mut self, conn: u16) -> bool {
        let c = &mut self.attached[conn as usize];
        if c.over {
            *c = Attached::default();
            self.events.post(conn, pending::RELEASED);
            return true;
        }
        let Some(owner) = c.owner else { return false };
        if owner == Owner::Host as u8 {
            return false;
        }
        let readable = self.rx.readable(conn);
        let offer = Offer {
            readable,
            writable: if c.closed { 0 } else { self.tx.writable(conn) },
            fin: c.peer_fin && readable == 0,
        };
        let take = application(owner, offer);
        let close = take.close && !c.closed;
        let bytes = self.rx.read(conn, take.read);
        let c = &mut self.attached[conn as usize];
        let written = match owner {
            o if o == Owner::Chargen as u8 => c.generate(take.write),
            _ => bytes[..take.write].to_vec(),
        };
        c.closed |= close;
        self.tx.write(conn, &written);
        if take.read > 0 {
            self.events.post(conn, pending::READ);
        }
        if take.write > 0 {
            self.events.post(conn, pending::WRITTEN);
        }
        if close {
            self.events.post(conn, pending::CLOSE);
        }
        take.read > 0 || take.write > 0 || close
    }
}

/// The engine with its blocks and its program.
#[derive(Clone, Debug)]
pub struct ModelToe {
    pub machine: Machine,
    pub blocks: Blocks,
    commands: VecDeque<[u32; seg::WORDS]>,
    /// The last event was a segment: pending events have precedence now.
    segment_was_last: bool,
    visiting: u16,
    /// What the last event cost.
    pub cost: Cost,
    /// Events run so far.
    pub events: u64,
    /// The dearest event so far.
    pub dearest: Cost,
    /// What was done with it, where somebody reads that.
    #[cfg(test)]
    pub done: Option<Vec<Action>>,
}

impl ModelToe {
    /// An engine built as `config` says, with `program` loaded.
    pub fn new(config: &ToeConfig, program: &Program) -> Self {
        let (n, entries) = (config.connections, config.entries());
        let gates = config.isn_hash && !config.isn_in_program();
        Self {
            machine: Machine::new(program, entries),
            blocks: Blocks {
                own_ip: u32::from_be_bytes(config.ip),
                sack: config.sack,
                twice: config.scoreboard(),
                scoreboard: config.scoreboard(),
                errors: config.icmp_errors,
                icmp_bytes: config.icmp_bytes,
                vlan: config.vlan,
                ecn: config.ecn,
                user_timeout: config.user_timeout_option,
                marks: vec![0; entries],
                diffserv: config.complete(),
                classes: vec![0; entries],
                again: false,
                pacing: config.pacing,
                held: BTreeSet::new(),
                table: Table::new(config),
                rx: RxRing::new(n, config.rx_ring_bytes),
                tx: TxRing::new(n, config.tx_ring_bytes, config.icmp_errors),
                timers: Timers::new(entries),
                events: Events::new(entries),
                records: Records::default(),
                builder: Builder::default(),
                ttl: config.ttl,
                packets: VecDeque::new(),
                attached: vec![Attached::default(); n],
                neighbours: BTreeMap::new(),
                neighbour_tags: BTreeMap::new(),
                arp_requests: Vec::new(),
                counters: [0; 64],
                reports: Vec::new(),
                #[cfg(test)]
                told: Vec::new(),
                #[cfg(test)]
                sent: Vec::new(),
                complaints: Vec::new(),
                isn: 0,
                isn_key: gates.then_some(config.isn_key),
                isn_hash: gates,
                looked_up: (0, 0),
                shifts: config.window_scale.then(|| vec![0; entries]),
            },
            commands: VecDeque::new(),
            segment_was_last: false,
            visiting: 0,
            cost: Cost::default(),
            events: 0,
            dearest: Cost::default(),
            #[cfg(test)]
            done: None,
        }
    }

    #[cfg(test)]
    fn did(&mut self, action: impl FnOnce() -> Action) {
        if let Some(done) = &mut self.done {
            done.push(action());
        }
    }

    /// Where the initial sequence number generator stands; it moves on by 250 a tick. First numbers are its own from here on, for every tuple: the keyed hash gives zero.
    pub fn set_isn(&mut self, isn: u32) {
        self.blocks.isn = isn;
        self.blocks.isn_key = None;
    }

    /// The keyed hash of initial sequence numbers has this key from here on, where it is built.
    pub fn set_isn_key(&mut self, key: u64) {
        self.blocks.isn_key = self.blocks.isn_hash.then_some(key);
    }

    /// An IP packet comes in, in a frame without a tag.
    pub fn packet_in(&mut self, packet: &[u8], source_mac: [u8; 6]) {
        self.tagged_in(packet, source_mac, None);
    }

    /// The same with the 802.1Q tag of its frame.
    pub fn tagged_in(&mut self, packet: &[u8], source_mac: [u8; 6], tag: Option<u16>) {
        if tag.is_some() && !self.blocks.vlan {
            return self.blocks.count(Cause::EthOtherType);
        }
        #[cfg(test)]
        self.did(|| Action::Packet(packet.to_vec(), source_mac, tag));
        let b = &mut self.blocks;
        let tag = b.vlan.then(|| tag.map_or(0, |tag| !tag));
        let quote = b.errors.then(|| quote(packet, b.own_ip)).flatten();
        let is_error = quote.is_some();
        let causes = icmp(packet, b.own_ip, b.icmp_bytes, is_error);
        for cause in &causes {
            b.count(*cause);
        }
        if !causes.is_empty() && !is_error {
            return;
        }
        let parsed =
            quote.unwrap_or_else(|| parse(packet, source_mac, tag, b.own_ip, b.scoreboard, b.ecn));
        let mut segment = match parsed {
            Ok(segment) => segment,
            Err(cause) => return b.count(cause),
        };
        let Some(slot) = b.records.free_slot() else {
            return b.count(Cause::RecordQueueFull);
        };
        if is_error {
            b.count(Cause::IcmpError);
            return b.records.push(Head {
                conn: 0,
                hit: false,
                flags: segment.flags,
                slot,
                record: segment.record,
            });
        }
        b.count(Cause::TcpIn);
        if b.user_timeout {
            user_timeout(packet, &mut segment);
        }
        let word = |n: u8| segment.record[n as usize];
        let conn = b.table.lookup(word(seg::PORTS), word(seg::IP));
        if let (Some(conn), Some(shifts), 0) = (conn, &b.shifts, segment.flags & 0b10) {
            let window = &mut segment.record[seg::WND as usize];
            *window = scale::scaled(*window as u16, shifts[usize::from(conn)]).into();
        }
        let word = |n: u8| segment.record[n as usize];
        // SYN and RST are never placed.
        let buffered = conn.filter(|c| usize::from(*c) < b.attached.len());
        if let (Some(conn), false, 0) =
            (buffered, segment.payload.is_empty(), segment.flags & 0b110)
        {
            b.rx.place(conn, slot, word(seg::SEQ), &segment.payload);
        }
        b.records.push(Head {
            conn: conn.unwrap_or(0),
            hit: conn.is_some(),
            flags: segment.flags,
            slot,
            record: segment.record,
        });
    }

    /// The next IP packet out.
    pub fn packet_out(&mut self) -> Option<PacketOut> {
        self.blocks.packets.pop_front()
    }

    /// A tick.
    pub fn tick(&mut self) {
        let b = &mut self.blocks;
        b.isn = b.isn.wrapping_add(250);
        let expired = b.timers.tick();
        #[cfg(test)]
        let any = !expired.is_empty();
        for conn in expired {
            b.events.post(conn, pending::TIMER);
        }
        #[cfg(test)]
        self.did(|| Action::Tick(any));
    }

    /// So many ticks at once, or those before the next in which a timer expires if they are fewer: how many. For an engine that [`ModelToe::settle`] left
    /// with nothing to do, the same as as many [`ModelToe::tick`]s with a settling behind each: in none of them anything begins, and what an event may
    /// read of the time stands where they would have left it.
    pub fn skip(&mut self, ticks: u32) -> u32 {
        let b = &mut self.blocks;
        let before = b.timers.next().map_or(u32::MAX, |next| next - 1);
        let ticks = ticks.min(before);
        b.timers.skip(ticks);
        b.isn = b.isn.wrapping_add(ticks.wrapping_mul(250));
        #[cfg(test)]
        for _ in 0..ticks {
            self.did(|| Action::Tick(false));
        }
        ticks
    }

    /// What is left of connections, none of which lives any more; empty if nothing is. The rings of connections that did not end in order keep what was in
    /// them until the next one in their slot: they are asked for only where `rings` says so.
    pub fn leftovers(&self, rings: bool) -> Vec<String> {
        let b = &self.blocks;
        let mut left = Vec::new();
        let mut ask = |empty: bool, what: &str| {
            if !empty {
                left.push(what.to_string());
            }
        };
        ask(b.table.is_empty(), "the table knows a tuple");
        ask(b.timers.in_use() == 0, "a timer");
        ask(b.events.is_clear(), "a pending bit");
        ask(b.records.is_empty(), "a record");
        ask(b.packets.is_empty(), "a packet");
        ask(self.commands.is_empty(), "a command");
        let nobody = b.attached.iter().all(|a| *a == Attached::default());
        ask(nobody, "the switch knows a connection");
        for conn in 0..b.attached.len() as u16 {
            ask(
                !rings || b.rx.is_empty(conn),
                "bytes or intervals of a receive ring",
            );
            ask(
                !rings || b.tx.is_empty(conn),
                "bytes or descriptors of a send ring",
            );
        }
        left
    }

    /// Host command: open a connection from `local` to `remote`, for `owner`.
    pub fn connect(&mut self, local: u16, remote: ([u8; 4], u16), owner: Owner) {
        self.command(local, remote, owner, 0);
    }

    /// The same, that asks for ECN.
    pub fn connect_with_ecn(&mut self, local: u16, remote: ([u8; 4], u16), owner: Owner) {
        self.command(local, remote, owner, open(true, 0));
    }

    /// Host command with what its port `command_option` has.
    pub(crate) fn command(
        &mut self,
        local: u16,
        remote: ([u8; 4], u16),
        owner: Owner,
        option: u32,
    ) {
        let mut record = [0; seg::WORDS];
        record[seg::PORTS as usize] = u32::from(remote.1) << 16 | u32::from(local);
        record[seg::IP as usize] = u32::from_be_bytes(remote.0);
        record[seg::CTL as usize] = owner as u32 | option << 8;
        self.commands.push_back(record);
        #[cfg(test)]
        self.did(|| Action::Command(record));
    }

    /// Host command: an option of the connection from `local` to `remote`, which `owner` has.
    pub fn set_option(
        &mut self,
        local: u16,
        remote: ([u8; 4], u16),
        owner: Owner,
        option: ConnectionOption,
    ) {
        self.command(local, remote, owner, option.word());
    }

    /// One event of the engine, if there is one, and one visit of the application switch. False if neither had anything to do.
    ///
    /// # Errors
    /// A fault of the program.
    pub fn step(&mut self) -> Result<bool, Fault> {
        let ran = self.event()?;
        let connections = self.blocks.attached.len() as u16;
        let mut visited = false;
        for _ in 0..connections {
            self.visiting = (self.visiting + 1) % connections;
            if self.blocks.visit(self.visiting) {
                visited = true;
                break;
            }
        }
        Ok(ran || visited)
    }

    /// Steps until nothing is left to do before the next tick or packet; at most `limit` steps, then it tells so by false.
    ///
    /// # Errors
    /// A fault of the program.
    pub fn settle(&mut self, limit: usize) -> Result<bool, Fault> {
        for _ in 0..limit {
            if !self.step()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn event(&mut self) -> Result<bool, Fault> {
        let b = &mut self.blocks;
        let segment = b.records.head();
        let take_pending = !b.events.is_empty() && (self.segment_was_last || segment.is_none());
        let event = if take_pending {
            b.events
                .pop()
                .map(|(conn, mask)| Event::Pending { conn, mask })
        } else if let Some(h) = segment {
            Some(Event::Segment {
                conn: h.conn,
                hit: h.hit,
                slot: h.slot,
                flags: h.flags,
                record: h.record,
            })
        } else {
            self.commands
                .pop_front()
                .map(|record| Event::Command { record })
        };
        let Some(event) = event else {
            return Ok(false);
        };
        self.blocks.again = false;
        let cost = self.machine.run(event, &mut self.blocks)?;
        self.segment_was_last = matches!(event, Event::Segment { .. });
        if let Event::Segment { slot, .. } = event {
            self.blocks.rx.release(slot);
            self.blocks.records.pop();
        }
        self.cost = cost;
        self.events += 1;
        if cost.cycles > self.dearest.cycles {
            self.dearest = cost;
        }
        Ok(true)
    }

    // ---- the host as owner of a connection --------------------------------------------------

    /// Reads what has come, up to `limit` bytes.
    pub fn host_read(&mut self, conn: u16, limit: usize) -> Vec<u8> {
        let count = self.blocks.rx.readable(conn).min(limit);
        if count > 0 {
            self.blocks.events.post(conn, pending::READ);
        }
        let bytes = self.blocks.rx.read(conn, count);
        #[cfg(test)]
        self.did(|| Action::Read(conn, bytes.clone()));
        bytes
    }

    /// Writes as many of `bytes` as there is room for, and says how many.
    pub fn host_write(&mut self, conn: u16, bytes: &[u8]) -> usize {
        let count = self.blocks.tx.writable(conn).min(bytes.len());
        if count > 0 {
            self.blocks.tx.write(conn, &bytes[..count]);
            self.blocks.events.post(conn, pending::WRITTEN);
        }
        #[cfg(test)]
        self.did(|| Action::Write(conn, bytes[..count].to_vec()));
        count
    }

    /// No more bytes from the host.
    pub fn host_close(&mut self, conn: u16) {
        self.blocks.attached[conn as usize].closed = true;
        self.blocks.events.post(conn, pending::CLOSE);
        #[cfg(test)]
        self.did(|| Action::Close(conn));
    }

    /// The connection is to end at once.
    pub fn host_abort(&mut self, conn: u16) {
        self.blocks.attached[conn as usize].closed = true;
        self.blocks.events.post(conn, pending::ABORT);
        #[cfg(test)]
        self.did(|| Action::Abort(conn));
    }

    // ---- a pacer -----------------------------------------------------------------------------

    /// From here on a pacer holds the connection's new text, or no longer: then it says so ([`crate::tcp::pacing`]).
    pub fn hold(&mut self, conn: u16, hold: bool) {
        let b = &mut self.blocks;
        if !hold && b.held.remove(&conn) {
            b.events.post(conn, pending::WRITTEN);
        } else if hold && b.pacing {
            b.held.insert(conn);
        }
        #[cfg(test)]
        self.did(|| Action::Hold(conn, hold));
    }

    /// A counter.
    pub fn counter(&self, cause: Cause) -> u64 {
        self.blocks.counters[cause as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tx_ring::sum_of;
    use super::*;
    use crate::tcp::asm::{k, operands::*, Asm, Operand};
    use crate::tcp::isa::{out, vector};

    const STATE: Operand = Operand::state(0, "heard");

    /// A program that answers strangers with a RST, opens a connection for a host command and keeps what its peer sends.
    fn small_program() -> Program {
        let mut a = Asm::new(128);
        a.org(vector::COMMAND).br("command");
        a.org(vector::STRANGER).br("stranger");
        a.org(vector::PENDING).br("pending");
        a.org(vector::SEGMENT).br("segment");
        a.label("segment").cmd(cmd::RX_COMMIT);
        a.ld(SEG_LEN).add(STATE).st(STATE).done();
        a.label("stranger");
        a.count(Cause::ResetOut as u8);
        a.out(out::MAC_LO, SEG_MACLO);
        a.shr16(SEG_MACURG).st(Operand::shared(0, "t"));
        a.out(out::MAC_HI, Operand::shared(0, "t"));
        a.out(out::IP, SEG_IP);
        a.shl16(SEG_PORTS).st(Operand::shared(0, "t"));
        a.shr16(SEG_PORTS)
            .add(Operand::shared(0, "t"))
            .st(Operand::shared(0, "t"));
        a.out(out::PORTS, Operand::shared(0, "t"));
        a.out(out::SEQ, SEG_ACK).out(out::ACK, SEG_SEQ);
        a.out(out::CTL, k(0x5004_0000));
        a.ldi(0).cmd_a(cmd::SEND, k(0));
        a.done();
        a.label("pending").count(63).done();
        a.label("command").ld(SEG_IP).cmd_a(cmd::ALLOC, SEG_PORTS);
        a.unless(crate::tcp::asm::flags::OK).done();
        a.cmd_a(cmd::SETCONN, RESULT).cmd_a(cmd::RX_INIT, k(1000));
        a.ldi(100).cmd_a(cmd::TX_INIT, k(5000));
        a.ld(SEG_CTL).notify(notify::OPEN).done();
        a.assemble().unwrap_or_else(|e| panic!("{e}"))
    }

    fn toe() -> ModelToe {
        ModelToe::new(&ToeConfig::default(), &small_program())
    }

    const PEER: [u8; 4] = [192, 168, 69, 1];
    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

    fn from_peer(flags: u32, ports: u32, seq: u32, payload: &[u8]) -> Vec<u8> {
        let mut b = Builder::default();
        b.word(out::IP, u32::from_be_bytes(ToeConfig::default().ip));
        b.word(out::PORTS, ports);
        b.word(out::SEQ, seq);
        b.word(out::ACK, 77);
        b.word(out::CTL, 5 << 28 | flags << 16 | 500);
        b.send(u32::from_be_bytes(PEER), 64, payload, sum_of(payload), 0, 0)
            .unwrap()
            .bytes
    }

    #[test]
    fn a_stranger_is_answered_at_the_address_it_came_from() {
        let mut toe = toe();
        toe.packet_in(&from_peer(2, 5000 << 16 | 7, 9, &[]), MAC);
        assert!(toe.settle(10).unwrap());
        let p = toe.packet_out().unwrap();
        assert_eq!(p.mac, MAC);
        assert_eq!(&p.bytes[16..20], PEER);
        let s = parse(&p.bytes, MAC, None, u32::from_be_bytes(PEER), true, false).unwrap();
        assert_eq!(s.flags, 4);
        assert_eq!(s.record[..3], [7 << 16 | 5000, 77, 9]);
        assert_eq!(toe.packet_out(), None);
        assert_eq!(toe.counter(Cause::ResetOut), 1);
        assert_eq!(toe.blocks.complaints, Vec::<String>::new());
    }

    #[test]
    fn bytes_reach_the_host_and_pending_bits_the_program() {
        let mut toe = toe();
        toe.connect(4000, (PEER, 80), Owner::Host);
        assert!(toe.settle(10).unwrap());
        assert_eq!(toe.blocks.attached[0].owner, Some(Owner::Host as u8));
        toe.packet_in(&from_peer(0x10, 80 << 16 | 4000, 1000, b"hello"), MAC);
        assert!(toe.settle(10).unwrap());
        assert_eq!(toe.host_read(0, 3), b"hel");
        assert_eq!(toe.host_read(0, 3), b"lo");
        assert_eq!(toe.machine.state[0][0], 5);
        assert_eq!(toe.host_write(0, &[7; 250]), 250);
        assert!(toe.settle(10).unwrap());
        assert_eq!(toe.blocks.counters[63], 1, "read and written together");
        assert_eq!(toe.blocks.tx.peek(0, 1).unwrap().length, 100);
        assert_eq!(toe.blocks.tx.tail(0), 50);
    }

    #[test]
    fn the_fifth_segment_at_once_is_a_counted_drop() {
        let mut toe = toe();
        for n in 0..5 {
            toe.packet_in(&from_peer(2, 5000 << 16 | 7, n, &[]), MAC);
        }
        assert_eq!(toe.counter(Cause::RecordQueueFull), 1);
        assert!(toe.settle(20).unwrap());
        assert_eq!(toe.counter(Cause::ResetOut), 4);
        toe.packet_in(&from_peer(2, 5000 << 16 | 7, 5, &[]), MAC);
        assert_eq!(toe.counter(Cause::RecordQueueFull), 1);
    }

    /// A timer that sets itself again, to as many ticks as the clock's last bits say: each event leaves the time and the generator where the other way would.
    #[test]
    fn skipping_ticks_leaves_what_ticking_leaves() {
        let mut a = Asm::new(128);
        a.org(vector::COMMAND).br("command");
        a.org(vector::STRANGER).done();
        a.org(vector::PENDING).br("pending");
        a.org(vector::SEGMENT).done();
        a.label("command").ldi(900).st(STATE);
        a.timer_set(0, STATE).done();
        a.label("pending").cmd(cmd::TIMER_TAKE);
        a.ldi(0xFFF).and(TICK).st(STATE);
        a.ldi(1).add(STATE).to(STATE);
        a.timer_set(0, STATE);
        a.ld(ISN).to(Operand::state(1, "isn"));
        a.count(63).done();
        let program = a.assemble().unwrap_or_else(|e| panic!("{e}"));
        let mut ticked = ModelToe::new(&ToeConfig::default(), &program);
        // Across the wrap of the clock's 24 bits.
        ticked.blocks.timers.skip(0xFF_0000);
        ticked.connect(4000, (PEER, 80), Owner::Host);
        assert!(ticked.settle(10).unwrap());
        let mut skipped = ticked.clone();
        let (mut steps, mut left) = (0, 200_000);
        for _ in 0..left {
            ticked.tick();
            assert!(ticked.settle(10).unwrap());
        }
        while left > 0 {
            left -= skipped.skip(left);
            if left > 0 {
                left -= 1;
                skipped.tick();
                assert!(skipped.settle(10).unwrap());
            }
            steps += 1;
        }
        assert_eq!(skipped.machine.state, ticked.machine.state);
        assert_eq!(skipped.blocks.isn, ticked.blocks.isn);
        assert_eq!(skipped.blocks.timers.now(), ticked.blocks.timers.now());
        assert_eq!(skipped.blocks.timers.next(), ticked.blocks.timers.next());
        assert_eq!(skipped.blocks.counters, ticked.blocks.counters);
        assert!(ticked.blocks.counters[63] > 20);
        assert!(steps < 1_000, "{steps} steps");
    }

    #[test]
    fn the_echo_application_copies_and_closes_after_the_peer() {
        let mut toe = toe();
        toe.connect(4000, (PEER, 80), Owner::Echo);
        toe.settle(10).unwrap();
        toe.packet_in(&from_peer(0x10, 80 << 16 | 4000, 1000, &[9; 250]), MAC);
        toe.settle(20).unwrap();
        assert_eq!(toe.blocks.tx.payload(0, 5000, 250), [9; 250]);
        let request = |imm| Request {
            code: cmd::NOTIFY,
            imm,
            conn: 0,
            slot: 0,
            a: 0,
            b: 0,
        };
        toe.blocks.command(request(notify::PEER_FIN));
        assert!(toe.settle(20).unwrap());
        assert!(toe.blocks.attached[0].closed);
        toe.blocks.command(request(notify::CLOSED));
        assert!(toe.settle(20).unwrap());
        assert_eq!(toe.blocks.attached[0], Attached::default());
        // read + written, close, released
        assert_eq!(toe.blocks.counters[63], 3);
    }
}
