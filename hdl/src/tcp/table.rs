//! The connection table: from addresses and ports to a connection id, by a keyed hash with bounded probes; the entries that may be taken; and the ports that are listened on.
//!
//! One RAM of 8 words a row. Of row i the first three are entry i's: ports (remote << 16 | local), remote address, {where its address is counted, held, list, where its slot is}; two are the links
//! of lists. Three are slots of the hash, {valid, tag, entry}, in buckets of six, so two thirds of the slots or more stay empty. A tuple's hash ([`super::toeplitz`]) names two
//! buckets, never the same, and a tag; its slot is the first free one of theirs, looked for in both in turn (so the emptier one gets it).
//! A look-up goes over the same twelve, and compares ports and address where the tag fits. **FREE empties one slot word**: nothing is moved, no tombstone
//! stays, so twelve probes are the bound for ever.
//!
//! Entries from 0 up are connections, the N of the configuration; those behind them are **TIME-WAIT** only, without buffers: MOVE makes the next one's in turn what was a connection's
//! tuple, and the connection free; it says which, and whether it ended the TIME-WAIT that was there, the oldest.
//!
//! Connections that may be taken stand in circular lists: list 0 those that are free, the last freed first; a list for each listener, its half-open ones by age; and one of those in TIME-WAIT
//! where the configuration has no entries for them. The head of list k is row N + k, whose links nobody else uses. ALLOC takes the first of list 0, or if
//! that is empty the oldest in TIME-WAIT, then the oldest of the list of the last LISTEN, else of the next one that has any. RECYCLABLE puts a connection that is in no list to the end of one, KEEP takes it out. A listener that gets more half-open ones than its **backlog** loses
//! the oldest: RECYCLABLE says so (the list was full), and frees it; EVICTED says which that was. ALLOC is refused when all lists are empty, or when all twelve slots are taken. With random tuples and every connection in use that was never seen:
//! not in 20 million replacements each of 16, 64 and 1,024 connections (`a_full_table_of_random_tuples_fits_long`). Who does not know the key can't choose tuples for that (what a linear hash does not give: `toeplitz`).
//!
//! **Crowded** (with [`ToeConfig::syn_cookies`]): LISTEN says besides (`result2` 1) whether a half-open connection more would cost one, for its listener has as many as it may, or none is free and some are half open.
//! Then the program sends a cookie, and asks for no connection. **Limit** (with [`ToeConfig::per_source`]; [`super::sources`]): an ALLOC with a LISTEN between the last LOOKUP and itself is refused (`result2` 2) if its remote
//! address has as many connections as it may: all that ALLOC gave it, less those that were freed or are in TIME-WAIT. The place of its count stands in an entry's third word. Neither takes a cycle.
//!
//! **Latency**, for any number of connections: a look-up is answered 15 + p + 3 f cycles after it was asked, p probes standing before it and f of them having its tag, a miss after 24 + 3 f;
//! at most [`LONGEST`]. So is LOOKUP; LISTEN, EVICTED, FREE, KEEP and RECYCLABLE after 1; MOVE after 15; ALLOC after 13 and one for each slot that is taken, at most 24, and
//! if list 0 is empty 3 more for each list looked at. Afterwards they are at work for some cycles more. The parser's look-up goes first, and waits for one command at most, whose work takes
//! at most [`LONGEST_COMMAND`] cycles: at most [`longest_look_up`] in all. After power-up and `reset`
//! the table is cleared, 8 cycles a row, in which requests wait.
//! **Throughput**: one request at a time. Nothing is aborted.
use super::command::CommandIn;
use super::keyed_hash::Key;
use super::sources::{counts, Sources, SOURCE_BITS};
use super::toeplitz::{Toeplitz, HASH_BITS};
use super::tx_ring::Join;
use crate::config::ToeConfig;
use crate::memory::Memory;
use rust_hdl::prelude::*;

// ---------------------------------------------------------------- types

/// Ports listened on, as wiring.
#[derive(LogicBlock, Debug)]
pub struct Listeners {
    pub port: Signal<In, Bits<16>>,
    pub found: Signal<Out, Bit>,
    pub owner: Signal<Out, Bits<2>>,
    /// The list of its half-open connections: 1 for the first of the configuration, and so on.
    pub list: Signal<Out, Bits<4>>,
    _ports: Vec<(u16, u8)>,
}

impl Listeners {
    /// These ports and their owners.
    pub fn new(ports: &[(u16, u8)]) -> Self {
        Self {
            port: Default::default(),
            found: Default::default(),
            owner: Default::default(),
            list: Default::default(),
            _ports: ports.to_vec(),
        }
    }
}

impl Logic for Listeners {
    fn update(&mut self) {
        let port = self.port.val().to_u64();
        let found = self._ports.iter().position(|(p, _)| u64::from(*p) == port);
        self.found.next = found.is_some();
        self.owner.next = u64::from(found.map_or(0, |i| self._ports[i].1)).into();
        self.list.next = (found.map_or(0, |i| i + 1) as u64).into();
    }

    fn connect(&mut self) {
        self.found.connect();
        self.owner.connect();
        self.list.connect();
    }

    fn hdl(&self) -> Verilog {
        let cases: String = self
            ._ports
            .iter()
            .enumerate()
            .map(|(i, (port, owner))| {
                let list = i + 1;
                format!("        16'd{port}: begin found = 1; owner = 2'd{owner}; list = 4'd{list}; end\n")
            })
            .collect();
        Verilog::Custom(format!(
            "always @(*) begin\n    found = 0; owner = 0; list = 0;\n    case (port)\n{cases}        default: ;\n    endcase\nend\n"
        ))
    }
}

/// How many connections stand in each list that has a bound, and whether that is more than it may have.
#[derive(LogicBlock, Debug)]
struct Backlogs {
    pub clock: Signal<In, Clock>,
    pub clear: Signal<In, Bit>,
    pub list: Signal<In, Bits<4>>,
    /// One more in `list`, or one less.
    pub up: Signal<In, Bit>,
    pub down: Signal<In, Bit>,
    /// There are as many in `list` as it may have; and more.
    pub full: Signal<Out, Bit>,
    pub over: Signal<Out, Bit>,
    /// The list of the listener that is asked for, and whether a half-open connection more would cost one: there are as many in it as it may have, or none is free while some are half open.
    pub asked: Signal<In, Bits<4>>,
    pub crowded: Signal<Out, Bit>,
    /// What lists 1 and following may have.
    _most: Vec<u64>,
    _counts: Vec<u64>,
    /// Connections, if it is built to know `crowded`; then the lists of those that may be taken before any half-open one are counted, too: the free ones, and those in TIME-WAIT behind the listeners'.
    _places: Option<u64>,
    _free: u64,
    _waiting: u64,
}

impl Backlogs {
    fn new(most: &[usize], places: Option<usize>) -> Self {
        let places = places.map(|n| n as u64);
        Self {
            clock: Default::default(),
            clear: Default::default(),
            list: Default::default(),
            up: Default::default(),
            down: Default::default(),
            full: Default::default(),
            over: Default::default(),
            asked: Default::default(),
            crowded: Default::default(),
            _most: most.iter().map(|n| *n as u64).collect(),
            _counts: vec![0; most.len()],
            _places: places,
            _free: places.unwrap_or(0),
            _waiting: 0,
        }
    }

    /// The Verilog of `crowded`.
    fn crowding(&self) -> String {
        let Some(places) = self._places else {
            return "always @(*) crowded = 0;\n".into();
        };
        let (top, waiting) = (places.ilog2(), self._most.len() + 1);
        let each = |text: &dyn Fn(usize) -> String| -> String {
            (1..=self._most.len()).map(text).collect()
        };
        format!(
            "\
reg [{top}:0] free = {places};
reg [{top}:0] waiting = 0;
wire some = 0{some};
always @(*) begin
    crowded = some && free == 0 && waiting == 0;
    case (asked)
{judged}        default: ;
    endcase
end
always @(posedge clock) begin
    if (list == 0) free <= free + up - down;
    if (list == {waiting}) waiting <= waiting + up - down;
    if (clear) begin
        free <= {places};
        waiting <= 0;
    end
end
",
            some = each(&|k| format!(" || count{k} != 0")),
            judged = each(&|k| format!(
                "        4'd{k}: if (count{k} >= {}) crowded = 1;\n",
                self._most[k - 1]
            )),
        )
    }
}

impl Logic for Backlogs {
    fn update(&mut self) {
        let list: u64 = self.list.val().to_u64();
        let at = (list as usize).wrapping_sub(1);
        if self.clock.pos_edge() {
            // Each is as wide as what it may reach.
            let places = self._places.unwrap_or(1);
            let counted = match list as usize {
                0 => Some((&mut self._free, places)),
                k if k == self._counts.len() + 1 => Some((&mut self._waiting, places)),
                _ => (self._counts.get_mut(at)).map(|count| (count, self._most[at] + 1)),
            };
            if self.clear.val() {
                self._counts.fill(0);
                self._free = self._places.unwrap_or(0);
                self._waiting = 0;
            } else if let Some((count, most)) = counted {
                let more = count
                    .wrapping_add(self.up.val().into())
                    .wrapping_sub(self.down.val().into());
                *count = more & ((2 << most.ilog2()) - 1);
            }
        }
        let count = self._counts.get(at);
        self.full.next = count.is_some_and(|n| *n >= self._most[at]);
        self.over.next = count.is_some_and(|n| *n > self._most[at]);
        let asked: u64 = self.asked.val().to_u64();
        let asked = (asked as usize).wrapping_sub(1);
        let at_most = self._counts.get(asked).map(|n| *n >= self._most[asked]);
        let some = self._counts.iter().any(|n| *n > 0);
        self.crowded.next = self._places.is_some()
            && (at_most == Some(true) || some && self._free == 0 && self._waiting == 0);
    }

    fn connect(&mut self) {
        self.full.connect();
        self.over.connect();
        self.crowded.connect();
    }

    fn hdl(&self) -> Verilog {
        let each = |text: &dyn Fn(usize, u64) -> String| -> String {
            (self._most.iter().enumerate())
                .map(|(i, most)| text(i + 1, *most))
                .collect()
        };
        // One more than may be, until the oldest has gone.
        let top = |most: u64| (most + 1).ilog2();
        Verilog::Custom(format!(
            "\
{registers}always @(*) begin
    full = 0;
    over = 0;
    case (list)
{judged}        default: ;
    endcase
end
always @(posedge clock) begin
    case (list)
{counted}        default: ;
    endcase
    if (clear) begin
{cleared}    end
end
{crowding}",
            crowding = self.crowding(),
            registers = each(&|k, most| format!("reg [{}:0] count{k} = 0;\n", top(most))),
            judged = each(&|k, most| format!(
                "        4'd{k}: begin full = count{k} >= {most}; over = count{k} > {most}; end\n"
            )),
            counted = each(&|k, _| format!("        4'd{k}: count{k} <= count{k} + up - down;\n")),
            cleared = each(&|k, _| format!("        count{k} <= 0;\n")),
        ))
    }
}

/// Bits of the hash that a slot keeps: those from [`TAG_AT`] on.
const TAG_BITS: usize = 12;
const TAG_AT: usize = HASH_BITS - TAG_BITS;

/// Slots a tuple may be in: two buckets of six, in turn.
pub const PROBES: usize = 12;

/// Connections that the RAM has room for at least: two buckets, each of two connections' slots.
pub const LEAST: usize = 4;

/// The address of the word that a tuple is looked for in at the `probe`th try: {row, field}, 10 and 3 bits (the RAM takes as many as it has). A bucket is
/// fields 5 to 7 of two rows. Bits 0 to 8 of the hash name the first, 10 to 17 the second, whose lowest bit is the other one's inverse.
pub fn probe_address(hash: u32, probe: u32) -> u32 {
    let bucket = match probe & 1 {
        0 => hash & 0x1FF,
        _ => hash >> 9 & 0x1FE | !hash & 1,
    };
    bucket << 4 | (probe & 2) << 2 | (5 + (probe >> 2 & 3)) & 7
}

/// [`probe_address`], and what a slot holds.
#[derive(LogicBlock, Debug, Default)]
struct Slots {
    pub hash: Signal<In, Bits<HASH_BITS>>,
    pub probe: Signal<In, Bits<4>>,
    pub conn: Signal<In, Bits<10>>,
    /// A word that may be a slot's.
    pub word: Signal<In, Bits<32>>,
    pub address: Signal<Out, Bits<13>>,
    /// The slot word of `conn` and the hash.
    pub filled: Signal<Out, Bits<32>>,
    /// `word` holds a connection; and one with the hash's tag.
    pub taken: Signal<Out, Bit>,
    pub fits: Signal<Out, Bit>,
}

impl Logic for Slots {
    fn update(&mut self) {
        let hash: u64 = self.hash.val().to_u64();
        let probe: u64 = self.probe.val().to_u64();
        let conn: u64 = self.conn.val().to_u64();
        let word: u64 = self.word.val().to_u64();
        let tag = hash >> TAG_AT;
        let address = probe_address(hash as u32, probe as u32);
        self.address.next = u64::from(address).into();
        self.filled.next = (1 << (10 + TAG_BITS) | tag << 10 | conn).into();
        self.taken.next = word >> (10 + TAG_BITS) & 1 == 1;
        self.fits.next = word >> 10 == 1 << TAG_BITS | tag;
    }

    fn connect(&mut self) {
        self.address.connect();
        self.filled.connect();
        self.taken.connect();
        self.fits.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "\
wire [8:0] bucket = probe[0] ? {{hash[17:10], ~hash[0]}} : hash[8:0];
always @(*) begin
    address = {{bucket, probe[1], probe[3:2] == 3 ? 3'd0 : {{1'b1, probe[3:2] != 0, probe[3:2] != 1}}}};
    filled = {{1'b1, hash[{top}:{at}], conn}};
    taken = word[{valid}];
    fits = word[{valid}:10] == {{1'b1, hash[{top}:{at}]}};
end
",
            top = HASH_BITS - 1,
            at = TAG_AT,
            valid = 10 + TAG_BITS,
        ))
    }
}

/// The list of an entry that is in none.
const NO_LIST: u64 = 15;

/// An entry's third word.
#[derive(LogicBlock, Debug, Default)]
struct Status {
    /// It has a slot, at this address.
    pub held: Signal<In, Bit>,
    pub list: Signal<In, Bits<4>>,
    pub slot: Signal<In, Bits<14>>,
    /// Its address is counted, in this place.
    pub counted: Signal<In, Bit>,
    pub source: Signal<In, Bits<SOURCE_BITS>>,
    pub word: Signal<Out, Bits<32>>,
    /// A slot's word with another entry in it.
    pub before: Signal<In, Bits<32>>,
    pub entry: Signal<In, Bits<11>>,
    pub after: Signal<Out, Bits<32>>,
}

impl Logic for Status {
    fn update(&mut self) {
        let slot: u64 = self.slot.val().to_u64();
        let list: u64 = self.list.val().to_u64();
        let held = u64::from(self.held.val());
        let counted = u64::from(self.counted.val());
        let source: u64 = self.source.val().to_u64();
        self.word.next = (source << 20 | counted << 19 | held << 18 | list << 14 | slot).into();
        let before: u64 = self.before.val().to_u64();
        let entry: u64 = self.entry.val().to_u64();
        self.after.next = (before >> 10 << 10 | entry & 0x3FF).into();
    }

    fn connect(&mut self) {
        self.word.connect();
        self.after.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "always @(*) begin\n    word = {source, counted, held, list, slot};\n    after = {before[31:10], entry[9:0]};\nend\n".into(),
        )
    }
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum State {
    /// After power-up and reset: every word gets its first value.
    Clear,
    Idle,
    /// The hash takes byte `probe`.
    Hash,
    /// The first or the last of list `to` is read, in three steps.
    Seek,
    /// The first two probes are on their way.
    FillA,
    FillB,
    /// `shown` is the word of probe `probe` - 2.
    Probe,
    /// It fits: its address is read, its ports are there, its address is there.
    ReadIp,
    PortsShown,
    IpShown,
    /// The words of `x`.
    WritePorts,
    WriteIp,
    WriteSlot,
    /// Status, previous and next of `x` are read, in five steps.
    Load,
    /// The slot that `x` had is empty from here on.
    Erase,
    /// `x` leaves the list.
    LeaveNext,
    LeavePrevious,
    /// `x` stands between `a` and `b`.
    JoinA,
    JoinPrevious,
    JoinNext,
    JoinB,
    WriteStatus,
    /// The tuple of the command's connection becomes `x`'s, in nine steps.
    Copy,
    Answer,
}

#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
struct Registers {
    state: State,
    /// Whom the request is from, and which it is.
    parser: Bit,
    alloc: Bit,
    free: Bit,
    recyclable: Bit,
    keep: Bit,
    moving: Bit,
    /// It is answered as `x` is loaded.
    early: Bit,
    /// The oldest of list `to` must go.
    evicting: Bit,
    /// Byte, then probe; lists looked at.
    probe: Bits<4>,
    step: Bits<4>,
    /// The word read in the cycle before the last.
    shown: Bits<32>,
    same_ports: Bit,
    /// The entry worked on, its neighbours in the list, and which list that is.
    x: Bits<11>,
    a: Bits<11>,
    b: Bits<11>,
    list: Bits<4>,
    slot: Bits<14>,
    held: Bit,
    /// The list it is put into, or where the next one is looked for; that of the last LISTEN.
    to: Bits<4>,
    listened: Bits<4>,
    /// The entry that the next MOVE takes.
    next_wait: Bits<11>,
    /// Who had to go last.
    evicted: Bits<11>,
    /// The answer.
    hit: Bit,
    recycled: Bit,
    limited: Bit,
    /// A LISTEN has come since the last LOOKUP: the next ALLOC is for a SYN.
    passive: Bit,
    /// `x` is counted among those of its address, in this place.
    counted: Bit,
    source: Bits<SOURCE_BITS>,
    /// What of the hash the ports are.
    of_ports: Bits<SOURCE_BITS>,
    /// Tuples it holds.
    filled: Bits<11>,
}

// ---------------------------------------------------------------- ports

/// The table. The parser holds `lookup_valid`, `lookup_ip` and `lookup_ports` until the cycle of `lookup_done`, in which `lookup_hit` and `lookup_conn`
/// have a meaning; the next look-up may follow in the next cycle. Commands: LOOKUP, ALLOC, FREE, RECYCLABLE, EVICTED, KEEP, LISTEN, MOVE.
///
/// The key of the hash begins with the configuration's. In a cycle in which `key_ready` is high a half of it may be replaced: only while no tuple is held, for each is where the key had put it, and
/// nothing is looked for. So during `reset` and the clearing behind it always. A look-up or command that would begin in such a cycle begins in the next.
#[derive(LogicBlock)]
pub struct Table {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,

    pub lookup_valid: Signal<In, Bit>,
    pub lookup_ip: Signal<In, Bits<32>>,
    pub lookup_ports: Signal<In, Bits<32>>,
    pub lookup_done: Signal<Out, Bit>,
    pub lookup_hit: Signal<Out, Bit>,
    pub lookup_conn: Signal<Out, Bits<10>>,

    pub command: CommandIn,

    // A half of the hash's key is replaced.
    pub key_write: Signal<In, Bit>,
    pub key_upper: Signal<In, Bit>,
    pub key_data: Signal<In, Bits<32>>,
    pub key_ready: Signal<Out, Bit>,

    hash_key: Key,
    ram: Memory<Bits<32>, 14>,
    hash: Toeplitz,
    slots: Slots,
    status: Status,
    own: Join<11, 3, 14>,
    listeners: Listeners,
    backlogs: Backlogs,
    sources: Sources,
    r: DFF<Registers>,
    /// Whose key it is, and whether its second word is wanted.
    of_parser: Signal<Local, Bit>,
    second: Signal<Local, Bit>,
    key: Signal<Local, Bits<32>>,
    shown: Signal<Local, Bits<32>>,
    shown_row: Signal<Local, Bits<11>>,
    shown_ten: Signal<Local, Bits<10>>,
    shown_entry: Signal<Local, Bits<11>>,
    shown_slot: Signal<Local, Bits<14>>,
    same: Signal<Local, Bit>,
    probe_word: Signal<Local, Bits<4>>,
    next_probe: Signal<Local, Bits<4>>,
    previous_probe: Signal<Local, Bits<4>>,
    seen_probe: Signal<Local, Bits<4>>,
    next_step: Signal<Local, Bits<4>>,
    step_word: Signal<Local, Bits<4>>,
    next_list: Signal<Local, Bits<4>>,
    probing: Signal<Local, Bit>,
    asked: Signal<Local, Bits<11>>,
    asked_imm: Signal<Local, Bits<6>>,
    /// Row of the head of list `to`.
    head_row: Signal<Local, Bits<11>>,
    to_row: Signal<Local, Bits<11>>,
    is_connection: Signal<Local, Bit>,
    following: Signal<Local, Bits<11>>,
    preceding: Signal<Local, Bits<11>>,
    row: Signal<Local, Bits<11>>,
    field: Signal<Local, Bits<3>>,
    slot_at: Signal<Local, Bits<14>>,
    at: Signal<Local, Bits<14>>,
    link: Signal<Local, Bits<11>>,
    writes: Signal<Local, Bit>,
    as_shown: Signal<Local, Bit>,
    to_slot: Signal<Local, Bit>,
    local_port: Signal<Local, Bits<16>>,
    done: Signal<Local, Bit>,
    more_filled: Signal<Local, Bits<11>>,
    less_filled: Signal<Local, Bits<11>>,
    key_open: Signal<Local, Bit>,
    /// What of the hash the address is; whether its count is in the way; and whether a count is taken back.
    new_source: Signal<Local, Bits<SOURCE_BITS>>,
    hash_low: Signal<Local, Bits<SOURCE_BITS>>,
    stood: Signal<Local, Bit>,
    limited: Signal<Local, Bit>,
    forgets: Signal<Local, Bit>,
    has_limit: Constant<Bit>,
    previous_field: Constant<Bits<4>>,
    next_field: Constant<Bits<4>>,
    last_field: Constant<Bits<4>>,
    past: Constant<Bits<4>>,
    no_list: Constant<Bits<4>>,
    time_waits: Constant<Bits<4>>,
    last_listener: Constant<Bits<4>>,
    others: Constant<Bits<4>>,
    mask: Constant<Bits<11>>,
    heads: Constant<Bits<11>>,
    entries: Constant<Bits<11>>,
    last: Constant<Bits<11>>,
    words: Constant<Bits<14>>,
    lookup: Constant<Bits<6>>,
    alloc: Constant<Bits<6>>,
    free: Constant<Bits<6>>,
    recyclable: Constant<Bits<6>>,
    listen: Constant<Bits<6>>,
    keep: Constant<Bits<6>>,
    moving: Constant<Bits<6>>,
    evicted: Constant<Bits<6>>,
}

/// Cycles of a look-up by itself at most: all twelve slots hold the tag, the last one the tuple or none.
pub const LONGEST: usize = 12 + 4 * PROBES;

/// Cycles of a command and of the work behind it at most: ALLOC that finds the last of ten lists and the last of twelve slots.
pub const LONGEST_COMMAND: usize = 61;

/// Cycles from the parser's question to its answer at most, whatever is in the table: a command that began in the cycle before, then its own.
pub const fn longest_look_up() -> usize {
    LONGEST_COMMAND + LONGEST
}

/// Rows of the RAM: one for each entry, and for each connection and each head of a list.
pub fn rows(config: &ToeConfig) -> usize {
    (config.entries())
        .max(config.connections + lists(config))
        .next_power_of_two()
        .max(LEAST)
}

/// Lists of a configuration: the free, one for each listener, and one of those in TIME-WAIT if they have no entries of their own.
pub fn lists(config: &ToeConfig) -> usize {
    1 + config.listeners.len() + usize::from(config.time_wait() == 0)
}

fn code(value: u8) -> Constant<Bits<6>> {
    Constant::new(u64::from(value).into())
}

impl Table {
    /// A table of the configuration's entries and listeners.
    pub fn new(config: &ToeConfig) -> Self {
        use super::isa::cmd;
        let ports: Vec<(u16, u8)> = config
            .listeners
            .iter()
            .map(|l| (l.port, l.owner as u8))
            .collect();
        let backlogs: Vec<usize> = config.listeners.iter().map(|l| config.backlog(l)).collect();
        let lists = lists(config);
        let rows = rows(config);
        let time_waits = if config.time_wait() == 0 {
            lists as u64 - 1
        } else {
            NO_LIST
        };
        Self {
            clock: Default::default(),
            reset: Default::default(),
            lookup_valid: Default::default(),
            lookup_ip: Default::default(),
            lookup_ports: Default::default(),
            lookup_done: Default::default(),
            lookup_hit: Default::default(),
            lookup_conn: Default::default(),
            command: Default::default(),
            key_write: Default::default(),
            key_upper: Default::default(),
            key_data: Default::default(),
            key_ready: Default::default(),
            hash_key: Key::new(config.hash_key),
            ram: Memory::new(8 * rows),
            hash: Default::default(),
            slots: Default::default(),
            status: Default::default(),
            own: Default::default(),
            listeners: Listeners::new(&ports),
            backlogs: Backlogs::new(&backlogs, config.syn_cookies.then_some(config.connections)),
            sources: Sources::new(counts(8 * rows), config.connections, config.per_source),
            r: Default::default(),
            of_parser: Default::default(),
            second: Default::default(),
            key: Default::default(),
            shown: Default::default(),
            shown_row: Default::default(),
            shown_ten: Default::default(),
            shown_entry: Default::default(),
            shown_slot: Default::default(),
            same: Default::default(),
            probe_word: Default::default(),
            next_probe: Default::default(),
            previous_probe: Default::default(),
            seen_probe: Default::default(),
            next_step: Default::default(),
            step_word: Default::default(),
            next_list: Default::default(),
            probing: Default::default(),
            asked: Default::default(),
            asked_imm: Default::default(),
            head_row: Default::default(),
            to_row: Default::default(),
            is_connection: Default::default(),
            following: Default::default(),
            preceding: Default::default(),
            row: Default::default(),
            field: Default::default(),
            slot_at: Default::default(),
            at: Default::default(),
            link: Default::default(),
            writes: Default::default(),
            as_shown: Default::default(),
            to_slot: Default::default(),
            local_port: Default::default(),
            done: Default::default(),
            more_filled: Default::default(),
            less_filled: Default::default(),
            key_open: Default::default(),
            new_source: Default::default(),
            hash_low: Default::default(),
            stood: Default::default(),
            limited: Default::default(),
            forgets: Default::default(),
            has_limit: Constant::new(config.per_source.is_some()),
            previous_field: Constant::new(3.into()),
            next_field: Constant::new(4.into()),
            last_field: Constant::new(7.into()),
            past: Constant::new((PROBES as u64 + 2).into()),
            no_list: Constant::new(NO_LIST.into()),
            time_waits: Constant::new(time_waits.into()),
            last_listener: Constant::new((ports.len() as u64).into()),
            others: Constant::new((lists as u64 - 1).into()),
            mask: Constant::new((rows as u64 - 1).into()),
            heads: Constant::new((config.connections as u64).into()),
            entries: Constant::new((config.entries() as u64).into()),
            last: Constant::new((rows as u64 - 1).into()),
            words: Constant::new((8 * rows as u64 - 1).into()),
            lookup: code(cmd::LOOKUP),
            alloc: code(cmd::ALLOC),
            free: code(cmd::FREE),
            recyclable: code(cmd::RECYCLABLE),
            listen: code(cmd::LISTEN),
            keep: code(cmd::KEEP),
            moving: code(cmd::MOVE),
            evicted: code(cmd::EVICTED),
        }
    }
}

impl Logic for Table {
    #[hdl_gen]
    fn update(&mut self) {
        // ------------------------------------------------------------ registers, defaults
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.ram.clock.next = self.clock.val();
        self.hash.clock.next = self.clock.val();
        self.backlogs.clock.next = self.clock.val();
        self.hash_key.clock.next = self.clock.val();
        self.sources.clock.next = self.clock.val();
        // ------------------------------------------------------------ named wires
        self.shown.next = self.r.q.val().shown;
        self.shown_row.next = self.shown.val().get_bits::<11>(0) & self.mask.val();
        self.shown_ten.next = self.shown.val().get_bits::<10>(0);
        self.shown_entry.next = bit_cast::<11, 10>(self.shown_ten.val()) & self.mask.val();
        self.shown_slot.next = self.shown.val().get_bits::<14>(0) & self.words.val();
        self.probe_word.next = self.r.q.val().probe;
        self.next_probe.next = self.r.q.val().probe + 1;
        self.previous_probe.next = self.r.q.val().probe - 1;
        self.seen_probe.next = self.r.q.val().probe - 2;
        self.next_step.next = self.r.q.val().step + 1;
        self.step_word.next = self.r.q.val().step;
        self.more_filled.next = self.r.q.val().filled + 1;
        self.less_filled.next = self.r.q.val().filled - 1;
        // From those in TIME-WAIT to the listener of the last LISTEN, and round from there.
        self.next_list.next = self.r.q.val().to + 1;
        if self.r.q.val().to == self.last_listener.val() {
            self.next_list.next = 1.into();
        }
        if self.r.q.val().to == self.time_waits.val() {
            self.next_list.next = self.r.q.val().listened;
        }
        self.asked.next = bit_cast::<11, 10>(self.command.conn.val());
        self.asked_imm.next = self.command.imm.val();
        self.head_row.next = self.heads.val() + bit_cast::<11, 4>(self.r.q.val().to);
        self.to_row.next = self.head_row.val() & self.mask.val();
        self.is_connection.next = self.r.q.val().x < self.heads.val();
        self.following.next = self.r.q.val().x + 1;
        self.preceding.next = self.r.q.val().x - 1;
        self.local_port.next = self.command.a.val().get_bits::<16>(0);
        self.listeners.port.next = self.local_port.val();
        // Which word of which key: the second one while its bytes are hashed, it is compared or written.
        self.of_parser.next = self.r.q.val().parser;
        self.second.next = false;
        if self.r.q.val().state == State::Idle {
            self.of_parser.next = self.lookup_valid.val();
        }
        if self.r.q.val().state == State::Hash {
            self.second.next = self.probe_word.val().get_bit(2);
        }
        if (self.r.q.val().state == State::IpShown) | (self.r.q.val().state == State::WriteIp) {
            self.second.next = true;
        }
        self.key.next = self.command.a.val();
        if self.of_parser.val() {
            self.key.next = self.lookup_ports.val();
            if self.second.val() {
                self.key.next = self.lookup_ip.val();
            }
        } else {
            if self.second.val() {
                self.key.next = self.command.b.val();
            }
        }
        self.same.next = self.shown.val() == self.key.val();
        self.slots.hash.next = self.hash.hash.val();
        self.slots.probe.next = self.r.q.val().probe;
        self.slots.conn.next = bit_cast::<10, 11>(self.r.q.val().x);
        self.slots.word.next = self.shown.val();
        self.slot_at.next = bit_cast::<14, 13>(self.slots.address.val()) & self.words.val();
        self.status.held.next = !self.r.q.val().free;
        self.status.list.next = self.no_list.val();
        if self.r.q.val().free | self.r.q.val().recyclable {
            self.status.list.next = self.r.q.val().to;
        }
        self.status.slot.next = self.r.q.val().slot;
        // The hash is linear: that of the ports is there when they are all taken, the address's is the rest.
        self.hash_low.next = self.hash.hash.val().get_bits::<SOURCE_BITS>(0);
        self.new_source.next = bits::<SOURCE_BITS>(0);
        if self.has_limit.val() {
            self.new_source.next = self.hash_low.val() ^ self.r.q.val().of_ports;
        }
        // Who is in TIME-WAIT, or free, counts no more.
        self.forgets.next = self.r.q.val().free | self.r.q.val().moving;
        if self.r.q.val().recyclable & (self.r.q.val().to == self.time_waits.val()) {
            self.forgets.next = true;
        }
        self.stood.next = self.has_limit.val() & self.r.q.val().held & self.r.q.val().counted;
        self.limited.next = self.has_limit.val()
            & self.r.q.val().alloc
            & self.r.q.val().passive
            & self.sources.full.val();
        self.status.counted.next =
            self.has_limit.val() & self.r.q.val().counted & !self.forgets.val();
        self.status.source.next = bits::<SOURCE_BITS>(0);
        if self.has_limit.val() {
            self.status.source.next = self.r.q.val().source;
        }
        if self.r.q.val().alloc {
            self.status.counted.next = self.has_limit.val();
            self.status.source.next = self.new_source.val();
        }
        self.status.before.next = self.shown.val();
        self.status.entry.next = self.r.q.val().x;
        // ------------------------------------------------------------ memory, hash and backlogs, defaults
        self.r.d.next.shown = self.ram.read_data.val();
        self.hash.key_low.next = self.hash_key.low.val();
        self.hash.key_high.next = self.hash_key.high.val();
        self.hash.load.next = self.r.q.val().state == State::Idle;
        self.hash.step.next = self.r.q.val().state == State::Hash;
        self.hash.word.next = self.key.val();
        self.hash.select.next = self.probe_word.val().get_bits::<2>(0);
        if self.r.q.val().state == State::Idle {
            self.hash.select.next = 0.into();
        }
        self.backlogs.list.next = self.r.q.val().to;
        self.backlogs.asked.next = self.listeners.list.val();
        self.sources.step.next = false;
        self.sources.up.next = self.r.q.val().alloc & (self.r.q.val().state == State::LeaveNext);
        self.sources.clear.next = self.r.q.val().state == State::Clear;
        self.backlogs.up.next = false;
        self.backlogs.down.next = false;
        self.backlogs.clear.next = self.r.q.val().state == State::Clear;
        self.probing.next = false;
        self.to_slot.next = false;
        self.as_shown.next = false;
        self.row.next = self.r.q.val().x;
        self.field.next = 0.into();
        self.link.next = self.r.q.val().x;
        self.writes.next = false;
        // ------------------------------------------------------------ state machine
        self.done.next = false;
        match self.r.q.val().state {
            State::Clear => {
                // Word `probe` of row `x`: list 0 is in order, from 0, its head behind the last connection; the heads behind it are alone, and nothing else is anywhere.
                self.field.next = self.probe_word.val().get_bits::<3>(0);
                self.writes.next = true;
                self.link.next = 0.into();
                if self.r.q.val().probe == self.previous_field.val() {
                    self.link.next = self.preceding.val();
                    if self.r.q.val().x == bits::<11>(0) {
                        self.link.next = self.heads.val();
                    }
                    if self.r.q.val().x > self.heads.val() {
                        self.link.next = self.r.q.val().x;
                    }
                }
                if self.r.q.val().probe == self.next_field.val() {
                    self.link.next = self.following.val();
                    if self.r.q.val().x == self.heads.val() {
                        self.link.next = 0.into();
                    }
                    if self.r.q.val().x > self.heads.val() {
                        self.link.next = self.r.q.val().x;
                    }
                }
                self.r.d.next.probe = self.next_probe.val();
                self.r.d.next.listened = 1.into();
                self.r.d.next.next_wait = self.heads.val();
                self.r.d.next.filled = 0.into();
                if self.r.q.val().probe == self.last_field.val() {
                    self.r.d.next.probe = 0.into();
                    self.r.d.next.x = self.following.val() & self.mask.val();
                    if self.r.q.val().x == self.last.val() {
                        self.r.d.next.state = State::Idle;
                    }
                }
            }
            State::Idle => {
                // The first of list 0 is read, for an ALLOC.
                self.row.next = self.heads.val();
                self.field.next = 4.into();
                self.r.d.next.x = self.asked.val() & self.mask.val();
                self.r.d.next.parser = self.lookup_valid.val();
                self.r.d.next.alloc = false;
                self.r.d.next.free = false;
                self.r.d.next.recyclable = false;
                self.r.d.next.keep = false;
                self.r.d.next.moving = false;
                self.r.d.next.early = false;
                self.r.d.next.evicting = false;
                self.r.d.next.hit = false;
                self.r.d.next.recycled = false;
                self.r.d.next.limited = false;
                self.r.d.next.probe = 1.into();
                self.r.d.next.step = 0.into();
                self.r.d.next.to = self.r.q.val().listened;
                if self.lookup_valid.val() {
                    self.r.d.next.state = State::Hash;
                } else {
                    if self.command.valid.val() {
                        if self.command.code.val() == self.lookup.val() {
                            self.r.d.next.passive = false;
                            self.r.d.next.state = State::Hash;
                        }
                        if self.command.code.val() == self.alloc.val() {
                            self.r.d.next.alloc = true;
                            if self.time_waits.val() != self.no_list.val() {
                                self.r.d.next.to = self.time_waits.val();
                            }
                            self.r.d.next.state = State::Hash;
                        }
                        if self.command.code.val() == self.free.val() {
                            self.r.d.next.free = true;
                            self.r.d.next.early = true;
                            self.r.d.next.to = 0.into();
                            self.r.d.next.state = State::Load;
                        }
                        if self.command.code.val() == self.recyclable.val() {
                            self.r.d.next.recyclable = true;
                            self.r.d.next.early = true;
                            if self.asked_imm.val().get_bit(0) {
                                self.r.d.next.to = self.time_waits.val();
                            }
                            self.r.d.next.state = State::Load;
                        }
                        if self.command.code.val() == self.keep.val() {
                            self.r.d.next.keep = true;
                            self.r.d.next.early = true;
                            self.r.d.next.state = State::Load;
                        }
                        if self.command.code.val() == self.moving.val() {
                            self.r.d.next.moving = true;
                            self.r.d.next.x = self.r.q.val().next_wait;
                            self.r.d.next.to = 0.into();
                            self.r.d.next.state = State::Load;
                        }
                        if self.command.code.val() == self.evicted.val() {
                            self.r.d.next.x = self.r.q.val().evicted;
                            self.r.d.next.state = State::Answer;
                        }
                        if self.command.code.val() == self.listen.val() {
                            self.r.d.next.hit = self.listeners.found.val();
                            self.r.d.next.x = bit_cast::<11, 2>(self.listeners.owner.val());
                            self.r.d.next.passive = true;
                            if self.listeners.found.val() {
                                self.r.d.next.listened = self.listeners.list.val();
                                self.r.d.next.recycled = self.backlogs.crowded.val();
                            }
                            self.r.d.next.state = State::Answer;
                        }
                    }
                }
            }
            State::Hash => {
                self.r.d.next.probe = self.next_probe.val();
                if self.r.q.val().alloc & (self.r.q.val().probe == bits::<4>(2)) {
                    self.r.d.next.x = self.shown_row.val();
                }
                if self.r.q.val().probe == bits::<4>(5) {
                    self.r.d.next.of_ports = self.hash_low.val();
                }
                if self.probe_word.val().get_bit(3) {
                    self.r.d.next.probe = 0.into();
                    self.r.d.next.state = State::FillA;
                    if self.r.q.val().alloc & (self.r.q.val().x == self.heads.val()) {
                        self.r.d.next.state = State::Seek;
                    }
                }
            }
            State::Seek => {
                // The last of a list, before which a recyclable one is put; else the first.
                self.row.next = self.to_row.val();
                self.field.next = 4.into();
                if self.r.q.val().recyclable & !self.r.q.val().evicting {
                    self.field.next = 3.into();
                }
                self.r.d.next.step = self.next_step.val();
                if self.r.q.val().step == bits::<4>(2) {
                    self.r.d.next.step = 0.into();
                    if self.r.q.val().alloc {
                        self.r.d.next.x = self.shown_row.val();
                        self.r.d.next.recycled = true;
                        self.r.d.next.probe = 0.into();
                        self.r.d.next.state = State::FillA;
                        if self.shown_row.val() == self.to_row.val() {
                            // Nobody is in it: the next one.
                            self.r.d.next.to = self.next_list.val();
                            self.r.d.next.probe = self.next_probe.val();
                            self.r.d.next.state = State::Seek;
                            if self.next_probe.val() == self.others.val() {
                                self.r.d.next.x = 0.into();
                                self.r.d.next.recycled = false;
                                self.r.d.next.state = State::Answer;
                            }
                        }
                    } else {
                        self.r.d.next.state = State::JoinA;
                        self.r.d.next.a = self.to_row.val();
                        self.r.d.next.b = self.shown_row.val();
                        if self.r.q.val().recyclable {
                            self.r.d.next.a = self.shown_row.val();
                            self.r.d.next.b = self.to_row.val();
                        }
                        if self.r.q.val().evicting {
                            self.r.d.next.x = self.shown_row.val();
                            self.r.d.next.evicted = self.shown_row.val();
                            self.r.d.next.early = false;
                            self.r.d.next.evicting = false;
                            self.r.d.next.recyclable = false;
                            self.r.d.next.free = true;
                            self.r.d.next.to = 0.into();
                            self.r.d.next.state = State::Load;
                        }
                    }
                }
            }
            State::FillA => {
                self.probing.next = true;
                self.r.d.next.probe = self.next_probe.val();
                self.r.d.next.state = State::FillB;
            }
            State::FillB => {
                self.probing.next = true;
                self.r.d.next.probe = self.next_probe.val();
                self.r.d.next.state = State::Probe;
            }
            State::Probe => {
                self.probing.next = true;
                self.r.d.next.probe = self.next_probe.val();
                if (self.r.q.val().probe == self.past.val()) | self.limited.val() {
                    // All twelve are seen, or none is wanted.
                    self.r.d.next.x = 0.into();
                    self.r.d.next.recycled = false;
                    self.r.d.next.limited = self.limited.val();
                    self.r.d.next.state = State::Answer;
                } else {
                    if self.r.q.val().alloc {
                        if !self.slots.taken.val() {
                            self.r.d.next.probe = self.seen_probe.val();
                            self.r.d.next.hit = true;
                            self.r.d.next.state = State::WritePorts;
                        }
                    } else {
                        if self.slots.fits.val() {
                            self.probing.next = false;
                            self.row.next = self.shown_entry.val();
                            self.r.d.next.x = self.shown_entry.val();
                            self.r.d.next.probe = self.previous_probe.val();
                            self.r.d.next.state = State::ReadIp;
                        }
                    }
                }
            }
            State::ReadIp => {
                self.field.next = 1.into();
                self.r.d.next.state = State::PortsShown;
            }
            State::PortsShown => {
                self.r.d.next.same_ports = self.same.val();
                self.probing.next = true;
                self.r.d.next.probe = self.next_probe.val();
                self.r.d.next.state = State::IpShown;
            }
            State::IpShown => {
                self.probing.next = true;
                self.r.d.next.probe = self.next_probe.val();
                self.r.d.next.state = State::Probe;
                if self.r.q.val().same_ports & self.same.val() {
                    self.r.d.next.hit = true;
                    self.r.d.next.state = State::Answer;
                }
            }
            State::WritePorts => {
                self.writes.next = true;
                self.r.d.next.state = State::WriteIp;
            }
            State::WriteIp => {
                // ALLOC is answered: the rest needs no key.
                self.done.next = true;
                self.field.next = 1.into();
                self.writes.next = true;
                self.r.d.next.state = State::Load;
            }
            State::WriteSlot => {
                self.probing.next = true;
                self.writes.next = true;
                self.r.d.next.slot = self.slot_at.val();
                self.r.d.next.filled = self.more_filled.val();
                self.r.d.next.state = State::LeaveNext;
            }
            State::Load => {
                // Fields 2, 3 and 4, each there two cycles later.
                self.field.next = self.step_word.val().get_bits::<3>(0) + 2;
                self.r.d.next.step = self.next_step.val();
                if self.r.q.val().step == bits::<4>(0) {
                    self.done.next = self.r.q.val().early;
                }
                if self.r.q.val().step == bits::<4>(2) {
                    self.r.d.next.slot = self.shown_slot.val();
                    self.r.d.next.list = self.shown.val().get_bits::<4>(14);
                    self.r.d.next.held = self.shown.val().get_bit(18);
                    self.r.d.next.counted = self.shown.val().get_bit(19);
                    self.r.d.next.source = self.shown.val().get_bits::<SOURCE_BITS>(20);
                }
                if self.r.q.val().step == bits::<4>(3) {
                    self.r.d.next.a = self.shown_row.val();
                }
                if self.r.q.val().step == bits::<4>(4) {
                    self.r.d.next.b = self.shown_row.val();
                    self.r.d.next.step = 0.into();
                    self.r.d.next.state = State::Erase;
                    if self.r.q.val().moving {
                        self.r.d.next.recycled = self.r.q.val().held;
                    } else {
                        if !self.r.q.val().held & !self.r.q.val().alloc {
                            // It is free: nothing to free, to recycle or to keep.
                            self.r.d.next.state = State::Idle;
                        }
                    }
                }
            }
            State::Erase => {
                self.to_slot.next = true;
                self.link.next = 0.into();
                self.writes.next = self.r.q.val().held
                    & (self.r.q.val().alloc | self.r.q.val().free | self.r.q.val().moving);
                if self.writes.val() {
                    self.r.d.next.filled = self.less_filled.val();
                }
                self.sources.step.next =
                    self.stood.val() & (self.r.q.val().alloc | self.forgets.val());
                self.r.d.next.state = State::LeaveNext;
                if self.r.q.val().alloc {
                    self.r.d.next.state = State::WriteSlot;
                }
                if self.r.q.val().moving {
                    self.r.d.next.state = State::Copy;
                }
            }
            State::LeaveNext => {
                self.row.next = self.r.q.val().a;
                self.field.next = 4.into();
                self.link.next = self.r.q.val().b;
                self.writes.next = self.r.q.val().list != self.no_list.val();
                self.sources.step.next = self.has_limit.val() & self.r.q.val().alloc;
                self.r.d.next.state = State::LeavePrevious;
            }
            State::LeavePrevious => {
                self.row.next = self.r.q.val().b;
                self.field.next = 3.into();
                self.link.next = self.r.q.val().a;
                self.writes.next = self.r.q.val().list != self.no_list.val();
                self.backlogs.list.next = self.r.q.val().list;
                self.backlogs.down.next = true;
                self.r.d.next.state = State::WriteStatus;
                if self.r.q.val().recyclable {
                    self.r.d.next.state = State::Seek;
                }
                if self.r.q.val().free & self.is_connection.val() {
                    self.r.d.next.state = State::Seek;
                }
            }
            State::JoinA => {
                self.row.next = self.r.q.val().a;
                self.field.next = 4.into();
                self.writes.next = true;
                self.r.d.next.state = State::JoinPrevious;
            }
            State::JoinPrevious => {
                self.field.next = 3.into();
                self.link.next = self.r.q.val().a;
                self.writes.next = true;
                self.r.d.next.state = State::JoinNext;
            }
            State::JoinNext => {
                self.field.next = 4.into();
                self.link.next = self.r.q.val().b;
                self.writes.next = true;
                self.r.d.next.state = State::JoinB;
            }
            State::JoinB => {
                self.row.next = self.r.q.val().b;
                self.field.next = 3.into();
                self.writes.next = true;
                self.backlogs.up.next = true;
                self.r.d.next.state = State::WriteStatus;
            }
            State::WriteStatus => {
                self.field.next = 2.into();
                self.writes.next = true;
                self.r.d.next.state = State::Idle;
                if self.r.q.val().recyclable & self.backlogs.over.val() {
                    self.r.d.next.evicting = true;
                    self.r.d.next.state = State::Seek;
                }
            }
            State::Copy => {
                // Of the connection: status, ports and address are read; then the word of its slot.
                self.r.d.next.step = self.next_step.val();
                if self.r.q.val().step < bits::<4>(3) {
                    self.row.next = self.asked.val() & self.mask.val();
                }
                if self.r.q.val().step == bits::<4>(0) {
                    self.field.next = 2.into();
                }
                if self.r.q.val().step == bits::<4>(2) {
                    self.field.next = 1.into();
                    self.r.d.next.slot = self.shown_slot.val();
                    self.r.d.next.counted = self.shown.val().get_bit(19);
                    self.r.d.next.source = self.shown.val().get_bits::<SOURCE_BITS>(20);
                }
                if self.r.q.val().step == bits::<4>(3) {
                    self.as_shown.next = true;
                    self.writes.next = true;
                }
                if self.r.q.val().step == bits::<4>(4) {
                    self.as_shown.next = true;
                    self.field.next = 1.into();
                    self.writes.next = true;
                }
                if self.r.q.val().step == bits::<4>(5) {
                    self.sources.step.next = self.has_limit.val() & self.r.q.val().counted;
                }
                self.to_slot.next =
                    (self.r.q.val().step == bits::<4>(5)) | (self.r.q.val().step == bits::<4>(7));
                if self.r.q.val().step == bits::<4>(7) {
                    self.writes.next = true;
                }
                if self.r.q.val().step == bits::<4>(8) {
                    // What the entry was is told; the connection is put to the free ones.
                    self.r.d.next.next_wait = self.following.val() & self.mask.val();
                    if self.following.val() == self.entries.val() {
                        self.r.d.next.next_wait = self.heads.val();
                    }
                    self.field.next = 2.into();
                    self.writes.next = true;
                    self.done.next = true;
                    self.r.d.next.x = self.asked.val() & self.mask.val();
                    self.r.d.next.moving = false;
                    self.r.d.next.free = true;
                    self.r.d.next.step = 0.into();
                    self.r.d.next.state = State::Seek;
                }
            }
            State::Answer => {
                self.done.next = true;
                self.r.d.next.state = State::Idle;
            }
            _ => {
                self.r.d.next.state = State::Idle;
            }
        }
        // ------------------------------------------------------------ memory
        self.own.high.next = self.row.val();
        self.own.low.next = self.field.val();
        self.at.next = self.own.joined.val();
        if self.probing.val() {
            self.at.next = self.slot_at.val();
        }
        if self.to_slot.val() {
            self.at.next = self.r.q.val().slot;
        }
        self.sources.at.next = self.new_source.val();
        if (self.r.q.val().state == State::Load)
            | (self.r.q.val().state == State::Erase)
            | (self.r.q.val().state == State::Copy)
        {
            self.sources.at.next = self.r.q.val().source;
        }
        if self.r.q.val().state == State::Clear {
            self.sources.at.next = bit_cast::<SOURCE_BITS, 14>(self.own.joined.val());
        }
        // A word is read or written in a cycle, never both.
        self.ram.read_address.next = self.at.val();
        self.ram.write_address.next = self.at.val();
        self.ram.write_enable.next = self.writes.val();
        self.ram.write_data.next = bit_cast::<32, 11>(self.link.val());
        if (self.r.q.val().state == State::WritePorts) | (self.r.q.val().state == State::WriteIp) {
            self.ram.write_data.next = self.key.val();
        }
        if self.r.q.val().state == State::WriteSlot {
            self.ram.write_data.next = self.slots.filled.val();
        }
        if self.r.q.val().state == State::WriteStatus {
            self.ram.write_data.next = self.status.word.val();
        }
        if self.r.q.val().state == State::Copy {
            self.ram.write_data.next = self.status.word.val();
            if self.to_slot.val() {
                self.ram.write_data.next = self.status.after.val();
            }
            if self.as_shown.val() {
                self.ram.write_data.next = self.shown.val();
            }
        }
        // ------------------------------------------------------------ outputs
        self.lookup_done.next = self.done.val() & self.r.q.val().parser;
        self.lookup_hit.next = self.r.q.val().hit;
        self.lookup_conn.next = bit_cast::<10, 11>(self.r.q.val().x);
        self.command.done.next = false;
        self.command.ok.next = false;
        self.command.result.next = 0.into();
        self.command.result2.next = 0.into();
        if self.done.val() & !self.r.q.val().parser {
            self.command.done.next = true;
            self.command.ok.next = self.r.q.val().hit
                | self.r.q.val().moving
                | (self.r.q.val().recyclable & self.backlogs.full.val());
            self.command.result.next = bit_cast::<32, 11>(self.r.q.val().x);
            if self.r.q.val().recycled {
                self.command.result2.next = 1.into();
            }
            if self.r.q.val().limited {
                self.command.result2.next = 2.into();
            }
        }
        // ------------------------------------------------------------ key: a hash begins with what it is in State::Idle
        // What is asked waits while it is replaced: so `key_ready` hangs on registers alone, and not on the engine's command.
        self.key_open.next = self.r.q.val().state == State::Clear;
        if (self.r.q.val().state == State::Idle) & (self.r.q.val().filled == bits::<11>(0)) {
            self.key_open.next = true;
            if self.key_write.val() {
                self.r.d.next.state = State::Idle;
            }
        }
        self.key_ready.next = self.key_open.val();
        self.hash_key.write.next = self.key_write.val() & self.key_open.val();
        self.hash_key.upper.next = self.key_upper.val();
        self.hash_key.data.next = self.key_data.val();
        // ------------------------------------------------------------ reset
        if self.reset.val() {
            self.r.d.next.state = State::Clear;
            self.r.d.next.probe = 0.into();
            self.r.d.next.x = 0.into();
        }
    }
}

// ---------------------------------------------------------------- tests

#[cfg(test)]
mod tests {
    use super::super::isa::cmd;
    use super::*;
    use crate::config::{Listener, Owner};
    use crate::tcp::{model::blocks as model, toeplitz};
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn config(connections: usize) -> ToeConfig {
        ToeConfig {
            connections,
            syn_cookies: true,
            ..ToeConfig::default()
        }
    }

    fn settle(uut: &mut Table) {
        uut.update_all();
        while uut.has_changed() {
            uut.update_all();
        }
    }

    fn edge(uut: &mut Table) {
        for clk in [true, false] {
            uut.clock.next = Clock { clk };
            settle(uut);
        }
    }

    fn table(connections: usize) -> Table {
        table_of(&config(connections))
    }

    fn table_of(config: &ToeConfig) -> Table {
        let mut uut = Table::new(config);
        uut.connect_all();
        settle(&mut uut);
        uut
    }

    /// Gives `(ok, result, result2, cycles)`.
    fn command(uut: &mut Table, code: u8, conn: u64, a: u64, b: u64) -> (bool, u64, u64, u64) {
        command_imm(uut, code, 0, conn, a, b)
    }

    fn command_imm(
        uut: &mut Table,
        code: u8,
        imm: u64,
        conn: u64,
        a: u64,
        b: u64,
    ) -> (bool, u64, u64, u64) {
        uut.command.valid.next = true;
        uut.command.imm.next = imm.into();
        uut.command.code.next = u64::from(code).into();
        uut.command.conn.next = conn.into();
        uut.command.a.next = a.into();
        uut.command.b.next = b.into();
        for cycles in 0..10_000 {
            settle(uut);
            if uut.command.done.val() {
                let answer = (
                    uut.command.ok.val(),
                    uut.command.result.val().to_u64(),
                    uut.command.result2.val().to_u64(),
                    cycles,
                );
                edge(uut);
                uut.command.valid.next = false;
                return answer;
            }
            edge(uut);
        }
        panic!("command {code:#x} was not answered");
    }

    /// Gives `(hit, conn, cycles)`.
    fn look(uut: &mut Table, ip: u64, ports: u64) -> (bool, u64, u64) {
        uut.lookup_valid.next = true;
        uut.lookup_ip.next = ip.into();
        uut.lookup_ports.next = ports.into();
        for cycles in 0..20_000 {
            settle(uut);
            if uut.lookup_done.val() {
                let answer = (uut.lookup_hit.val(), uut.lookup_conn.val().to_u64(), cycles);
                edge(uut);
                uut.lookup_valid.next = false;
                return answer;
            }
            edge(uut);
        }
        panic!("the look-up was not answered");
    }

    const PORTS: u64 = 0x1234_0007;
    const ALLOC_CYCLES: u64 = 13;
    const MISS_CYCLES: u64 = 24;
    /// FREE of a kept connection, and then nothing else.
    const FREE_CYCLES: u64 = 17;

    /// Differences of the remote address that leave the hash as it is: for whoever knows the key.
    fn colliding(key: u64) -> Vec<u64> {
        let mut basis: Vec<(u32, u32)> = vec![];
        let mut kernel = vec![];
        for bit in 0..32 {
            let (mut hash, mut ip) = (toeplitz::hash(key, 0, 1 << bit), 1 << bit);
            for (h, i) in &basis {
                if hash ^ h < hash {
                    (hash, ip) = (hash ^ h, ip ^ i);
                }
            }
            if hash == 0 {
                kernel.push(ip);
            } else {
                basis.push((hash, ip));
                basis.sort_by(|a, b| b.cmp(a));
            }
        }
        let sum = |n: u64| (0..kernel.len()).filter(move |i| n >> i & 1 == 1);
        (0..1 << kernel.len())
            .map(|n| sum(n).fold(0, |ip, i| ip ^ u64::from(kernel[i])))
            .collect()
    }

    #[test]
    fn entries_are_found_by_all_of_their_key_and_by_both_clients() {
        for n in [1, 2, 4, 16] {
            let mut uut = table(n);
            look(&mut uut, 1, 1);
            for i in 0..n as u64 {
                assert!(!look(&mut uut, 10 + i, PORTS).0);
                let (ok, conn, recycled, cycles) = command(&mut uut, cmd::ALLOC, 0, PORTS, 10 + i);
                assert_eq!((ok, conn, recycled), (true, i, 0));
                assert!((ALLOC_CYCLES..=24).contains(&cycles), "{cycles}");
            }
            assert!(!command(&mut uut, cmd::ALLOC, 0, PORTS, 99).0, "full");
            for i in 0..n as u64 {
                let (hit, conn, _) = look(&mut uut, 10 + i, PORTS);
                assert_eq!((hit, conn), (true, i));
                let (hit, conn, ..) = command(&mut uut, cmd::LOOKUP, 0, PORTS, 10 + i);
                assert_eq!((hit, conn), (true, i));
                assert!(!look(&mut uut, 10 + i, PORTS + 1).0, "another local port");
                assert!(
                    !look(&mut uut, 10 + i, PORTS + 0x1_0000).0,
                    "another remote port"
                );
            }
            assert!(!look(&mut uut, 10 + n as u64, PORTS).0);
        }
    }

    #[test]
    fn a_look_up_is_bounded_whatever_the_table_holds() {
        assert!(longest_look_up() <= crate::tcp::parser::LOOK_UP_CYCLES);
        for n in [4, 16, 64, 1024] {
            let mut uut = table(n);
            look(&mut uut, 1, 1);
            let same = colliding(config(n).hash_key);
            assert!(same.len() >= 64, "{}", same.len());
            // Twelve tuples of one hash and one ports word fill all of its slots.
            let most = n.min(PROBES) as u64;
            for i in 0..most {
                look(&mut uut, 1, 1);
                let (ok, conn, _, cycles) =
                    command(&mut uut, cmd::ALLOC, 0, PORTS, same[i as usize]);
                assert_eq!((ok, conn), (true, i));
                assert_eq!(cycles, ALLOC_CYCLES + i, "as many slots are taken");
            }
            look(&mut uut, 1, 1);
            for i in 0..most {
                let (hit, conn, cycles) = look(&mut uut, same[i as usize], PORTS);
                assert_eq!((hit, conn), (true, i));
                if n >= 16 {
                    assert_eq!(cycles, 15 + 4 * i, "the one after {i} others");
                }
            }
            let (hit, _, cycles) = look(&mut uut, same[20], PORTS);
            assert!(!hit);
            if n < PROBES {
                assert!(cycles <= LONGEST as u64, "{cycles}");
                continue;
            }
            assert_eq!(cycles, LONGEST as u64);
            // The engine's own look-up is no quicker.
            uut.command.valid.next = true;
            uut.command.code.next = u64::from(cmd::LOOKUP).into();
            uut.command.a.next = PORTS.into();
            uut.command.b.next = same[20].into();
            settle(&mut uut);
            edge(&mut uut);
            let (_, _, cycles) = look(&mut uut, same[21], PORTS);
            assert_eq!(cycles, 2 * LONGEST as u64);
            uut.command.valid.next = false;
            // There is no thirteenth slot, though there are connections; each that goes makes room for one.
            let (ok, _, _, cycles) = command(&mut uut, cmd::ALLOC, 0, PORTS, same[20]);
            assert_eq!((ok, cycles), (false, 24));
            for i in [7, 0, 11] {
                command(&mut uut, cmd::FREE, i, 0, 0);
                assert!(!look(&mut uut, same[i as usize], PORTS).0);
                let (ok, conn, recycled, _) =
                    command(&mut uut, cmd::ALLOC, 0, PORTS, same[20 + i as usize]);
                assert_eq!((ok, conn, recycled), (true, i, 0));
                assert!(!command(&mut uut, cmd::ALLOC, 0, PORTS, same[40]).0);
                assert_eq!(look(&mut uut, same[20 + i as usize], PORTS).1, i);
            }
            // Everyone else is as quick as ever.
            let (ok, ..) = command(&mut uut, cmd::ALLOC, 0, PORTS + 0x70_0000, 5);
            assert!(ok);
            let (hit, _, cycles) = look(&mut uut, 5, PORTS + 0x70_0000);
            // ALLOC works on for ten cycles.
            assert!(hit && cycles <= 18 + 10, "{cycles}");
            assert_eq!(look(&mut uut, 6, PORTS + 0x70_0000).2, MISS_CYCLES);
        }
    }

    /// The longest command there is: ALLOC into the last of twelve slots, with somebody in the last of ten lists only. Then the longest look-up.
    #[test]
    fn a_look_up_waits_for_one_command_at_most() {
        let config = ToeConfig {
            connections: 16,
            time_wait: Some(0),
            listeners: (1..=8)
                .map(|port| Listener::new(port, Owner::Echo))
                .collect(),
            ..ToeConfig::default()
        };
        let mut uut = table_of(&config);
        let same = colliding(config.hash_key);
        for ip in &same[..11] {
            assert!(command(&mut uut, cmd::ALLOC, 0, PORTS, *ip).0);
        }
        for i in 11..16 {
            assert!(command(&mut uut, cmd::ALLOC, 0, PORTS + 0x70_0000, i).0);
        }
        // The one before the listener that is asked for last is looked at last.
        assert!(command(&mut uut, cmd::LISTEN, 0, 2, 0).0);
        command(&mut uut, cmd::RECYCLABLE, 15, 0, 0);
        assert!(command(&mut uut, cmd::LISTEN, 0, 3, 0).0);
        look(&mut uut, 1, 1);
        uut.command.valid.next = true;
        uut.command.code.next = u64::from(cmd::ALLOC).into();
        uut.command.a.next = PORTS.into();
        uut.command.b.next = same[20].into();
        settle(&mut uut);
        edge(&mut uut);
        uut.lookup_valid.next = true;
        uut.lookup_ip.next = same[21].into();
        uut.lookup_ports.next = PORTS.into();
        let (mut answered, mut cycles) = (None, 0);
        loop {
            settle(&mut uut);
            if uut.command.done.val() && uut.command.valid.val() {
                answered = Some((uut.command.result.val().to_u64(), cycles));
                assert_eq!(uut.command.result2.val().to_u64(), 1, "recycled");
                edge(&mut uut);
                uut.command.valid.next = false;
            } else if uut.lookup_done.val() {
                break;
            } else {
                edge(&mut uut);
            }
            cycles += 1;
        }
        // A cycle after it was asked the look-up was.
        assert_eq!(answered, Some((15, ALLOC_CYCLES + 11 + 3 * 9 - 1)));
        assert_eq!(cycles, longest_look_up() as u64);
    }

    /// Each listener's own half-open connections give way to its own, the oldest first.
    #[test]
    fn a_listener_has_no_more_half_open_connections_than_its_backlog() {
        let mut config = config(8);
        config.listeners[0] = config.listeners[0].backlog(2);
        config.listeners[1] = config.listeners[1].backlog(1);
        let mut uut = table_of(&config);
        let mut ip = 0;
        let mut half_open = |uut: &mut Table, port: u64| {
            ip += 1;
            assert!(command(uut, cmd::LISTEN, 0, port, 0).0);
            let (ok, conn, ..) = command(uut, cmd::ALLOC, 0, PORTS, ip);
            assert!(ok);
            look(uut, 1, 1);
            let (gone, _, _, cycles) = command(uut, cmd::RECYCLABLE, conn, 0, 0);
            assert_eq!(cycles, 1);
            // What is asked next waits until it is done.
            let (_, who, _, cycles) = command(uut, cmd::EVICTED, 0, 0, 0);
            assert_eq!(cycles, if gone { 35 } else { 16 });
            (conn, gone.then_some(who))
        };
        assert_eq!(half_open(&mut uut, 7), (0, None));
        assert_eq!(half_open(&mut uut, 7), (1, None));
        assert_eq!(half_open(&mut uut, 9), (2, None));
        assert_eq!(half_open(&mut uut, 19), (3, None));
        assert_eq!(half_open(&mut uut, 7), (4, Some(0)));
        assert!(!look(&mut uut, 1, PORTS).0, "it is forgotten");
        assert_eq!(half_open(&mut uut, 9), (0, Some(2)));
        // One that is established makes room in the backlog, one that ends does, too.
        command(&mut uut, cmd::KEEP, 1, 0, 0);
        assert_eq!(half_open(&mut uut, 7), (2, None));
        command(&mut uut, cmd::FREE, 4, 0, 0);
        assert_eq!(half_open(&mut uut, 7), (4, None));
        assert_eq!(half_open(&mut uut, 7), (5, Some(2)));
        // Port 19 may have all there are. When none is free its own oldest goes first, then others' who come next.
        let taken: Vec<_> = (0..5).map(|_| half_open(&mut uut, 19)).collect();
        assert_eq!(
            taken,
            [(2, None), (6, None), (7, None), (3, None), (2, None)]
        );
        assert!(look(&mut uut, 9, PORTS).0, "the others are left alone");
    }

    /// LISTEN tells of a place too few without one being asked for, and each way that one goes or comes.
    #[test]
    fn it_is_crowded_where_a_half_open_connection_more_would_cost_one() {
        for (syn_cookies, time_wait) in [(true, None), (true, Some(0)), (false, None)] {
            let mut config = ToeConfig {
                syn_cookies,
                time_wait,
                ..config(4)
            };
            config.listeners[0] = config.listeners[0].backlog(2);
            let mut uut = table_of(&config);
            let crowded = |uut: &mut Table| {
                [7, 9, 8].map(|port| command(uut, cmd::LISTEN, 0, port, 0).2 == 1)
            };
            let check = |uut: &mut Table, want: [bool; 2], when: &str| {
                let want = [want[0] && syn_cookies, want[1] && syn_cookies, false];
                assert_eq!(crowded(uut), want, "{when}");
            };
            let mut ip = 0;
            let mut open = |uut: &mut Table, port: Option<u64>| {
                ip += 1;
                let (ok, conn, ..) = command(uut, cmd::ALLOC, 0, PORTS, ip);
                assert!(ok);
                if let Some(port) = port {
                    command(uut, cmd::LISTEN, 0, port, 0);
                    command(uut, cmd::RECYCLABLE, conn, 0, 0);
                }
                conn
            };
            check(&mut uut, [false, false], "empty");
            let first = open(&mut uut, Some(7));
            check(&mut uut, [false, false], "one of two");
            open(&mut uut, Some(7));
            check(&mut uut, [true, false], "two of two");
            command(&mut uut, cmd::KEEP, first, 0, 0);
            check(&mut uut, [false, false], "one is open");
            let third = open(&mut uut, Some(9));
            let fourth = open(&mut uut, None);
            check(&mut uut, [true, true], "none is free");
            command(&mut uut, cmd::FREE, fourth, 0, 0);
            check(&mut uut, [false, false], "one is free");
            let fourth = open(&mut uut, None);
            if config.time_wait() == 0 {
                command_imm(&mut uut, cmd::RECYCLABLE, 1, fourth, 0, 0);
                check(&mut uut, [false, false], "one is in TIME-WAIT");
                assert_eq!(open(&mut uut, None), fourth);
                check(&mut uut, [true, true], "none is");
            } else {
                command(&mut uut, cmd::MOVE, fourth, 0, 0);
                check(&mut uut, [false, false], "one has moved");
                assert_eq!(open(&mut uut, None), fourth);
            }
            command(&mut uut, cmd::KEEP, 1, 0, 0);
            check(&mut uut, [true, true], "another listener's is half open");
            command(&mut uut, cmd::KEEP, third, 0, 0);
            check(
                &mut uut,
                [false, false],
                "none is half open: nothing to make way",
            );
            uut.reset.next = true;
            edge(&mut uut);
            uut.reset.next = false;
            check(&mut uut, [false, false], "empty again");
        }
    }

    /// The limit is of passive opens alone, and counts all that are not in TIME-WAIT.
    #[test]
    fn an_address_has_as_many_connections_as_it_may() {
        for time_wait in [None, Some(0)] {
            let config = ToeConfig {
                time_wait,
                per_source: Some(2),
                ..config(8)
            };
            let mut uut = table_of(&config);
            look(&mut uut, 1, 1);
            let mut port = 0;
            let mut syn = |uut: &mut Table, ip: u64| {
                port += 0x1_0000;
                command(uut, cmd::LOOKUP, 0, port | 7, ip);
                command(uut, cmd::LISTEN, 0, 7, 0);
                let (ok, conn, why, cycles) = command(uut, cmd::ALLOC, 0, port | 7, ip);
                // A refusal is quicker, an answer as quick as without a limit.
                let least = ALLOC_CYCLES - u64::from(!ok);
                assert!(ok && cycles < least + 6 || cycles == least, "{cycles}");
                look(uut, 1, 1);
                assert!(ok || why == 2);
                ok.then_some(conn)
            };
            let first = syn(&mut uut, 5).expect("the first");
            let second = syn(&mut uut, 5).expect("the second");
            assert_eq!(syn(&mut uut, 5), None);
            assert!(syn(&mut uut, 6).is_some(), "another's");
            // What is half open, open, or opened by the host counts; what is open stays counted.
            command(&mut uut, cmd::RECYCLABLE, first, 0, 0);
            command(&mut uut, cmd::KEEP, first, 0, 0);
            assert_eq!(syn(&mut uut, 5), None);
            command(&mut uut, cmd::FREE, second, 0, 0);
            command(&mut uut, cmd::LOOKUP, 0, 0x9999_0007, 5);
            for n in 0..2 {
                let (ok, ..) = command(&mut uut, cmd::ALLOC, 0, 0x9999_0007 + n, 5);
                assert!(ok, "an active open is not refused");
            }
            assert_eq!(syn(&mut uut, 5), None);
            command(&mut uut, cmd::FREE, second, 0, 0);
            assert_eq!(syn(&mut uut, 5), None, "two are left");
            if config.time_wait() == 0 {
                command_imm(&mut uut, cmd::RECYCLABLE, 1, first, 0, 0);
            } else {
                command(&mut uut, cmd::MOVE, first, 0, 0);
            }
            assert!(syn(&mut uut, 5).is_some(), "one is in TIME-WAIT");
            assert_eq!(syn(&mut uut, 5), None);
            // One whose slot another gets is another's.
            for conn in 0..8 {
                command(&mut uut, cmd::RECYCLABLE, conn, 0, 0);
            }
            for n in 0..8 {
                assert!(command(&mut uut, cmd::ALLOC, 0, 0x8888_0007, 100 + n).0);
            }
            for conn in 0..8 {
                command(&mut uut, cmd::FREE, conn, 0, 0);
            }
            assert!(syn(&mut uut, 5).is_some() && syn(&mut uut, 5).is_some());
            assert_eq!(syn(&mut uut, 5), None);
            uut.reset.next = true;
            edge(&mut uut);
            uut.reset.next = false;
            look(&mut uut, 1, 1);
            assert!(syn(&mut uut, 5).is_some() && syn(&mut uut, 5).is_some());
        }
    }

    #[test]
    fn time_wait_takes_the_tuple_and_leaves_the_connection_free() {
        let mut uut = table(4);
        for i in 0..4 {
            command(&mut uut, cmd::ALLOC, 0, PORTS, i + 1);
        }
        look(&mut uut, 1, 1);
        let (ok, entry, before, cycles) = command(&mut uut, cmd::MOVE, 2, 0, 0);
        assert_eq!((ok, entry, before, cycles), (true, 4, 0, 15));
        let (hit, who, _) = look(&mut uut, 3, PORTS);
        assert_eq!((hit, who), (true, 4));
        // The connection is free, and its new tuple is another one.
        let (ok, conn, recycled, _) = command(&mut uut, cmd::ALLOC, 0, PORTS, 9);
        assert_eq!((ok, conn, recycled), (true, 2, 0));
        assert_eq!(look(&mut uut, 3, PORTS).1, 4);
        assert_eq!(look(&mut uut, 9, PORTS).1, 2);
        assert!(!command(&mut uut, cmd::ALLOC, 0, PORTS, 10).0, "full");
        // There are three such entries. With the fourth the first one ends.
        let moved = [0, 1, 3].map(|conn| command(&mut uut, cmd::MOVE, conn, 0, 0));
        assert_eq!(moved.map(|m| (m.1, m.2)), [(5, 0), (6, 0), (4, 1)]);
        assert!(!look(&mut uut, 3, PORTS).0);
        assert_eq!(look(&mut uut, 4, PORTS).1, 4);
        // Ended, it makes no connection free but its tuple.
        command(&mut uut, cmd::FREE, 5, 0, 0);
        assert!(!look(&mut uut, 1, PORTS).0);
        for conn in [3, 1, 0] {
            assert_eq!(command(&mut uut, cmd::ALLOC, 0, PORTS, 20 + conn).1, conn);
        }
        assert!(!command(&mut uut, cmd::ALLOC, 0, PORTS, 10).0, "full");
    }

    /// Offers the table half a key for a cycle: whether it was taken.
    fn offer_key(uut: &mut Table, upper: bool, half: u32) -> bool {
        uut.key_write.next = true;
        uut.key_upper.next = upper;
        uut.key_data.next = u64::from(half).into();
        settle(uut);
        let taken = uut.key_ready.val();
        edge(uut);
        uut.key_write.next = false;
        taken
    }

    #[test]
    fn another_key_is_taken_while_the_table_is_empty_and_nothing_is_asked() {
        let config = ToeConfig {
            time_wait: Some(1),
            ..config(16)
        };
        let (old, new) = (config.hash_key, 0x0123_4567_89AB_CDEF_u64);
        // Tuples of one hash show in a look-up's cycles which key it is: the second costs a probe and a comparison more.
        let cost = |uut: &mut Table, same: &[u64]| {
            for ip in &same[1..3] {
                assert!(command(uut, cmd::ALLOC, 0, PORTS, *ip).0);
            }
            look(uut, 1, 1);
            let (hit, conn, cycles) = look(uut, same[2], PORTS);
            assert!(hit);
            command(uut, cmd::FREE, conn, 0, 0);
            let other = look(uut, same[1], PORTS).1;
            command(uut, cmd::FREE, other, 0, 0);
            look(uut, 1, 1);
            cycles
        };
        let mut uut = table_of(&config);
        assert!(
            offer_key(&mut uut, false, old as u32),
            "while it is cleared"
        );
        look(&mut uut, 1, 1);
        assert_eq!(cost(&mut uut, &colliding(old)), 15 + 4);
        assert!(offer_key(&mut uut, false, new as u32));
        assert!(offer_key(&mut uut, true, (new >> 32) as u32));
        assert_eq!(cost(&mut uut, &colliding(new)), 15 + 4);
        // Each way of being held keeps the key: connection, recyclable one, entry in TIME-WAIT; and whoever is held is found.
        let refused = |uut: &mut Table, ip| {
            look(uut, 1, 1);
            assert!(!offer_key(uut, false, old as u32));
            assert!(!offer_key(uut, true, (old >> 32) as u32));
            assert!(look(uut, ip, PORTS).0);
        };
        for ip in 1..=2 {
            command(&mut uut, cmd::ALLOC, 0, PORTS, ip);
            refused(&mut uut, ip);
        }
        command(&mut uut, cmd::LISTEN, 0, 7, 0);
        command(&mut uut, cmd::RECYCLABLE, 0, 0, 0);
        command(&mut uut, cmd::MOVE, 1, 0, 0);
        refused(&mut uut, 1);
        command(&mut uut, cmd::FREE, 0, 0, 0);
        refused(&mut uut, 2);
        // The next one's TIME-WAIT ends the one before.
        let (_, conn, ..) = command(&mut uut, cmd::ALLOC, 0, PORTS, 3);
        assert_eq!(command(&mut uut, cmd::MOVE, conn, 0, 0).2, 1);
        refused(&mut uut, 3);
        command(&mut uut, cmd::FREE, 16, 0, 0);
        look(&mut uut, 1, 1);
        // A question in the same cycle waits for the key: where ALLOC puts a tuple a look-up finds it.
        for (ip, half) in (5..9).zip([old as u32, new as u32, old as u32, new as u32]) {
            uut.lookup_valid.next = true;
            assert!(offer_key(&mut uut, false, !half));
            look(&mut uut, ip, PORTS);
            uut.command.code.next = u64::from(cmd::ALLOC).into();
            uut.command.a.next = PORTS.into();
            uut.command.b.next = ip.into();
            uut.command.valid.next = true;
            assert!(offer_key(&mut uut, false, half));
            let (_, conn, ..) = command(&mut uut, cmd::ALLOC, 0, PORTS, ip);
            look(&mut uut, 1, 1);
            assert_eq!(look(&mut uut, ip, PORTS), (true, conn, 15));
            assert!(!offer_key(&mut uut, false, old as u32));
            command(&mut uut, cmd::FREE, conn, 0, 0);
            look(&mut uut, 1, 1);
        }
        command(&mut uut, cmd::ALLOC, 0, PORTS, 5);
        // Reset empties it, and leaves the key.
        uut.reset.next = true;
        edge(&mut uut);
        assert!(offer_key(&mut uut, false, 0x5555));
        assert!(offer_key(&mut uut, false, new as u32));
        uut.reset.next = false;
        look(&mut uut, 1, 1);
        assert_eq!(cost(&mut uut, &colliding(new)), 15 + 4);
        assert!(offer_key(&mut uut, false, old as u32));
    }

    #[test]
    fn it_gives_the_numbers_that_the_model_gives() {
        let mut rng = StdRng::seed_from_u64(3);
        for (n, rounds) in [
            (1, 1000),
            (2, 1000),
            (4, 2000),
            (16, 2000),
            (64, 2000),
            (1024, 4000),
        ] {
            let mut config = config(n);
            // Every other size holds TIME-WAIT in its connections.
            if [2, 16].contains(&n) {
                config.time_wait = Some(0);
            }
            config.listeners[0] = config.listeners[0].backlog(1);
            config.listeners[1] = config.listeners[1].backlog(2.min(n));
            // And every other one of those has a limit, and sources that meet it.
            if [1, 4, 16, 1024].contains(&n) {
                config.per_source = Some(if n > 4 { 2 } else { 1 });
            }
            let mut uut = table_of(&config);
            look(&mut uut, 1, 1);
            let mut model = model::Table::new(&config);
            let mut known = vec![(1, 1)];
            let mut kept = vec![false; n];
            let (mut hits, mut recycled, mut refused, mut evicted, mut ended) = (0, 0, 0, 0, 0);
            let (mut crowded, mut limited) = ([0, 0], 0);
            for _ in 0..rounds {
                let conn = rng.random_range(0..n as u16);
                let (code, op) = (conn.into(), rng.random_range(0..100));
                match op {
                    0..32 => {
                        let (ports, mut ip) = (rng.random::<u32>() | 1, rng.random::<u32>());
                        if config.per_source.is_some() && rng.random() {
                            ip %= 3;
                        }
                        // An active open, and what a SYN does.
                        if rng.random_bool(0.3) {
                            model.engine_lookup(ports, ip);
                            command(&mut uut, cmd::LOOKUP, 0, ports.into(), ip.into());
                        }
                        let want = model.alloc(ports, ip);
                        let (ok, conn, again, cycles) =
                            command(&mut uut, cmd::ALLOC, 0, ports.into(), ip.into());
                        let got = ok.then_some((conn as u16, again == 1));
                        assert_eq!(got, want);
                        if !ok {
                            assert_eq!(again, 2 * u64::from(model.limited));
                            limited += u64::from(model.limited);
                        }
                        // The command before it may still be at work.
                        assert!(cycles <= 24 + 12 + 20, "{cycles}");
                        recycled += u64::from(ok && again == 1);
                        refused += u64::from(!ok);
                        known.push((ports, ip));
                        if ok {
                            kept[conn as usize] = true;
                        }
                    }
                    32..46 => {
                        // One that was there once, and may be gone.
                        let last = known.len().saturating_sub(2 * n);
                        let (ports, ip) = known[rng.random_range(last..known.len())];
                        let want = model.lookup(ports, ip);
                        let (hit, conn, cycles) = look(&mut uut, ip.into(), ports.into());
                        assert_eq!(hit.then_some(conn as u16), want);
                        assert!(cycles <= longest_look_up() as u64);
                        hits += u64::from(hit);
                    }
                    46..54 => {
                        let entry = rng.random_range(0..config.entries() as u16);
                        model.free(entry);
                        // Behind what went before it, it is answered at once.
                        let (.., cycles) = command(&mut uut, cmd::FREE, entry.into(), 0, 0);
                        assert!(cycles <= 1 + 34, "{cycles}");
                        if let Some(kept) = kept.get_mut(entry as usize) {
                            *kept = false;
                        }
                    }
                    54..74 => {
                        let time_wait = config.time_wait() == 0 && rng.random();
                        let want = model.recyclable(conn, time_wait);
                        let (full, ..) =
                            command_imm(&mut uut, cmd::RECYCLABLE, time_wait.into(), code, 0, 0);
                        // (Put again into a full list it makes nobody go.)
                        assert!(full || want.is_none());
                        if want.is_some() {
                            let (_, gone, ..) = command(&mut uut, cmd::EVICTED, 0, 0, 0);
                            assert_eq!(Some(gone as u16), want);
                        }
                        evicted += u64::from(want.is_some());
                        kept[conn as usize] = false;
                    }
                    74..80 => {
                        let port = [7, 9, 19, 1][rng.random_range(0..4)];
                        let want = model.listen(port);
                        let (ok, owner, full, _) =
                            command(&mut uut, cmd::LISTEN, 0, port.into(), 0);
                        assert_eq!(ok.then_some(owner), want.map(|o| o as u64));
                        assert_eq!(full, u64::from(ok && model.crowded()));
                        crowded[full as usize] += u64::from(ok);
                    }
                    80..92 if kept[conn as usize] && config.time_wait() > 0 => {
                        let want = model.move_out(conn);
                        let (_, entry, before, _) = command(&mut uut, cmd::MOVE, code, 0, 0);
                        assert_eq!((entry as u16, before == 1), want);
                        ended += before;
                        kept[conn as usize] = false;
                    }
                    _ => {
                        model.keep(conn);
                        command(&mut uut, cmd::KEEP, code, 0, 0);
                    }
                }
            }
            assert!(hits > 20, "{n}: {hits} hits");
            let least = if n == 1 { 0 } else { 5 };
            assert!(crowded.iter().all(|n| *n > least), "{crowded:?} crowded");
            let some = config.per_source.is_some() && [4, 16].contains(&n);
            assert!(limited > 10 || !some, "{n}: {limited} limited");
            assert!(recycled > 20 || n >= 64, "{n}: {recycled} recycled");
            assert!(refused > 5 || n >= 16, "{n}: {refused} refused");
            assert!(evicted > 5 || n <= 2 || n >= 64, "{n}: {evicted} evicted");
            assert!(
                ended > 5 || n >= 64 || config.time_wait() == 0,
                "{n}: {ended} ended"
            );
        }
    }

    /// Fills of an empty table with random tuples, and of a full one in which one after the other goes and comes; gives the refusals.
    fn refusals(n: usize, fills: u64, churn: usize) -> (u64, u64) {
        let (mut at_fill, mut at_churn) = (0, 0);
        for seed in 0..fills {
            let mut rng = StdRng::seed_from_u64(seed);
            let mut model = model::Table::new(&ToeConfig {
                hash_key: rng.random::<u64>() | 1,
                ..config(n)
            });
            for _ in 0..n {
                at_fill += u64::from(model.alloc(rng.random(), rng.random()).is_none());
            }
            for _ in 0..churn {
                model.free(rng.random_range(0..n as u16));
                at_churn += u64::from(model.alloc(rng.random(), rng.random()).is_none());
            }
        }
        (at_fill, at_churn)
    }

    #[test]
    fn a_full_table_of_random_tuples_fits() {
        assert_eq!(refusals(4, 2000, 20), (0, 0));
        assert_eq!(refusals(16, 2000, 100), (0, 0));
        assert_eq!(refusals(64, 1000, 300), (0, 0));
        assert_eq!(refusals(1024, 50, 2000), (0, 0));
    }

    #[test]
    #[ignore = "20 million replacements a size, half a minute unoptimised; 200,000 and less run in its place"]
    fn a_full_table_of_random_tuples_fits_long() {
        for (n, fills, churn) in [(16, 20_000, 1000), (64, 5000, 4000), (1024, 2000, 10_000)] {
            let (at_fill, at_churn) = refusals(n, fills, churn);
            println!(
                "{n}: {at_fill} refusals in {fills} fills, {at_churn} in {} replacements",
                fills * churn as u64
            );
            assert_eq!((at_fill, at_churn), (0, 0), "{n}");
        }
    }

    #[test]
    fn the_oldest_recyclable_entry_goes_first_and_free_ones_before_it() {
        let mut uut = table(4);
        for i in 0..4 {
            command(&mut uut, cmd::ALLOC, 0, PORTS, i + 1);
        }
        for conn in [2, 0, 3] {
            command(&mut uut, cmd::RECYCLABLE, conn, 0, 0);
        }
        assert!(
            look(&mut uut, 3, PORTS).0,
            "recyclable entries are still found"
        );
        command(&mut uut, cmd::FREE, 1, 0, 0);
        let mut taken = vec![];
        for i in 0..5 {
            let (ok, conn, recycled, _) = command(&mut uut, cmd::ALLOC, 0, PORTS, 100 + i);
            taken.push((ok, conn * u64::from(ok), recycled));
        }
        assert_eq!(
            taken,
            [
                (true, 1, 0),
                (true, 2, 1),
                (true, 0, 1),
                (true, 3, 1),
                (false, 0, 0)
            ]
        );
        assert!(
            !look(&mut uut, 3, PORTS).0,
            "the recycled life is forgotten"
        );
        assert!(look(&mut uut, 101, PORTS).0);
    }

    #[test]
    fn an_entry_that_is_kept_is_not_recycled() {
        let mut uut = table(2);
        command(&mut uut, cmd::ALLOC, 0, PORTS, 1);
        command(&mut uut, cmd::ALLOC, 0, PORTS, 2);
        command(&mut uut, cmd::RECYCLABLE, 0, 0, 0);
        command(&mut uut, cmd::RECYCLABLE, 1, 0, 0);
        look(&mut uut, 1, PORTS);
        assert_eq!(command(&mut uut, cmd::KEEP, 0, 0, 0).3, 1);
        let (ok, conn, recycled, _) = command(&mut uut, cmd::ALLOC, 0, PORTS, 3);
        assert_eq!((ok, conn, recycled), (true, 1, 1));
        assert!(!command(&mut uut, cmd::ALLOC, 0, PORTS, 4).0);
        assert!(look(&mut uut, 1, PORTS).0);
    }

    #[test]
    fn recyclable_said_again_counts_from_then() {
        let mut uut = table(4);
        for i in 0..4 {
            command(&mut uut, cmd::ALLOC, 0, PORTS, i);
        }
        for conn in [0, 1, 2, 0, 1] {
            command(&mut uut, cmd::RECYCLABLE, conn, 0, 0);
        }
        let next = |uut: &mut Table| command(uut, cmd::ALLOC, 0, PORTS, 9).1;
        assert_eq!([next(&mut uut), next(&mut uut), next(&mut uut)], [2, 0, 1]);
    }

    #[test]
    fn what_is_free_already_stays_as_it_is() {
        let mut uut = table(4);
        for code in [cmd::FREE, cmd::RECYCLABLE, cmd::KEEP, cmd::FREE] {
            for conn in [2, 0, 2] {
                command(&mut uut, code, conn, 0, 0);
            }
        }
        for i in 0..4 {
            assert_eq!(command(&mut uut, cmd::ALLOC, 0, PORTS, i + 1).1, i);
        }
        // Kept without having been recyclable.
        command(&mut uut, cmd::KEEP, 2, 0, 0);
        assert!(!command(&mut uut, cmd::ALLOC, 0, PORTS, 9).0);
        for _ in 0..2 {
            command(&mut uut, cmd::FREE, 3, 0, 0);
        }
        assert_eq!(command(&mut uut, cmd::ALLOC, 0, PORTS, 9).1, 3);
        assert!(!command(&mut uut, cmd::ALLOC, 0, PORTS, 10).0);
    }

    #[test]
    fn listeners_are_those_of_the_configuration() {
        let mut uut = table(4);
        look(&mut uut, 1, 1);
        let found: Vec<_> = [7, 9, 19, 8, 0, 0x1_0007]
            .map(|port| {
                let (ok, owner, _, cycles) = command(&mut uut, cmd::LISTEN, 0, port, 0);
                assert_eq!(cycles, 1);
                ok.then_some(owner)
            })
            .to_vec();
        // The remote half of the ports word does not matter.
        assert_eq!(found, [Some(0), Some(1), Some(2), None, None, Some(0)]);
    }

    #[test]
    fn the_parser_goes_first_and_a_command_is_answered_after_it() {
        let mut uut = table(4);
        command(&mut uut, cmd::ALLOC, 0, PORTS, 1);
        // Both at once: the command waits for the look-up; the next look-up waits for the command.
        uut.command.valid.next = true;
        uut.command.code.next = u64::from(cmd::FREE).into();
        uut.command.conn.next = 0.into();
        let (hit, _, cycles) = look(&mut uut, 1, PORTS);
        assert!(hit && cycles <= 18 + 10, "{cycles}");
        assert!(!uut.command.done.val());
        edge(&mut uut);
        uut.lookup_valid.next = true;
        settle(&mut uut);
        assert!(uut.command.done.val());
        edge(&mut uut);
        uut.command.valid.next = false;
        let (hit, _, cycles) = look(&mut uut, 1, PORTS);
        assert!(!hit, "freed");
        // Two of its cycles are over.
        assert_eq!(cycles, FREE_CYCLES - 2 + MISS_CYCLES);
    }

    #[test]
    fn after_a_reset_every_entry_is_free() {
        let mut uut = table(4);
        for i in 0..4 {
            command(&mut uut, cmd::ALLOC, 0, PORTS, i + 1);
        }
        assert!(!command(&mut uut, cmd::ALLOC, 0, PORTS, 5).0, "full");
        uut.reset.next = true;
        settle(&mut uut);
        edge(&mut uut);
        uut.reset.next = false;
        // Asked while the last entry is not yet cleared: it waits, and finds nothing.
        let (hit, _, cycles) = look(&mut uut, 4, PORTS);
        assert!(!hit, "an old connection is found");
        assert_eq!(
            cycles,
            8 * rows(&config(4)) as u64 + MISS_CYCLES,
            "cleared, then searched"
        );
        for i in 0..4 {
            let (ok, conn, recycled, _) = command(&mut uut, cmd::ALLOC, 0, PORTS, 10 + i);
            assert_eq!((ok, conn, recycled), (true, i, 0));
        }
        assert!(!command(&mut uut, cmd::ALLOC, 0, PORTS, 20).0);
    }

    #[test]
    fn a_command_during_clearing_is_answered_after_it() {
        let mut uut = table(16);
        for i in 0..16 {
            command(&mut uut, cmd::ALLOC, 0, PORTS, i + 1);
        }
        // In the middle of another request, and again in the middle of clearing.
        uut.command.valid.next = true;
        uut.command.code.next = u64::from(cmd::LOOKUP).into();
        for cycle in 0..20 {
            uut.reset.next = cycle == 5 || cycle == 15;
            settle(&mut uut);
            if cycle > 5 {
                assert!(!uut.command.done.val(), "answered while clearing");
            }
            edge(&mut uut);
        }
        uut.reset.next = false;
        let (ok, conn, _, cycles) = command(&mut uut, cmd::ALLOC, 0, PORTS, 16);
        assert_eq!((ok, conn), (true, 0));
        // Four of the cycles are over.
        assert_eq!(cycles, 8 * rows(&config(16)) as u64 - 4 + ALLOC_CYCLES);
    }

    #[test]
    fn equals_its_verilog() {
        let mut four = config(4);
        four.listeners[1] = four.listeners[1].backlog(1);
        run_beside_its_verilog("table", &four, 60_000);
        // TIME-WAIT in the slots, and as many lists as there may be.
        let two = ToeConfig {
            time_wait: Some(0),
            listeners: [7, 9, 19, 4, 5, 6, 8, 10]
                .map(|port| Listener::new(port, Owner::Echo).backlog(1))
                .to_vec(),
            ..config(2)
        };
        run_beside_its_verilog("table_2", &two, 30_000);
        let limited = ToeConfig {
            per_source: Some(1),
            ..four
        };
        run_beside_its_verilog("table_limited", &limited, 40_000);
        let neither = ToeConfig {
            syn_cookies: false,
            ..two
        };
        run_beside_its_verilog("table_plain", &neither, 20_000);
    }

    fn run_beside_its_verilog(name: &str, config: &ToeConfig, cycles: u64) {
        let make = || Table::new(config);
        let codes = [
            cmd::LOOKUP,
            cmd::ALLOC,
            cmd::FREE,
            cmd::RECYCLABLE,
            cmd::LISTEN,
            cmd::KEEP,
            cmd::EVICTED,
            cmd::MOVE,
        ];
        // There is nowhere to move to without entries behind the connections.
        let codes = &codes[..codes.len() - usize::from(config.time_wait() == 0)];
        let report = toe_sim::lockstep!(name, make(), cycles, |uut, cycle, rng| {
            uut.reset.next = cycle == 0 || rng.random_bool(0.0005);
            // Requests are held until they are answered, as the contract asks.
            if uut.command.done.val() || !uut.command.valid.val() {
                uut.command.valid.next = rng.random_bool(0.5);
                let code = codes[rng.random_range(0..codes.len())];
                uut.command.code.next = u64::from(code).into();
                uut.command.conn.next = rng.random_range(0..config.connections as u64).into();
                uut.command.imm.next = u64::from(config.time_wait() == 0 && rng.random()).into();
                uut.command.a.next = match code {
                    cmd::LISTEN => [7, 9, 19, 1][rng.random_range(0..4)].into(),
                    _ => (rng.random_range(1..4u64) << 16 | 7).into(),
                };
                uut.command.b.next = rng.random_range(0..3u64).into();
            }
            uut.key_write.next = rng.random_bool(0.2);
            uut.key_upper.next = rng.random();
            uut.key_data.next = u64::from(rng.random::<u32>()).into();
            if uut.lookup_done.val() || !uut.lookup_valid.val() {
                uut.lookup_valid.next = rng.random_bool(0.3);
                uut.lookup_ports.next = (rng.random_range(1..4u64) << 16 | 7).into();
                uut.lookup_ip.next = rng.random_range(0..3u64).into();
            }
        });
        report.assert_active();
    }
}
