//! The receive ring: places payload as it arrives, keeps what arrives out of order, hands bytes to the application in order.
//!
//! A byte with sequence number `s` lies at address `s mod R` of its connection's area, so nothing is ever copied or moved. The control words
//! of all connections, and the interval each record slot has placed but not committed, share one memory; one state machine serves, in this order, a segment to be
//! placed, an engine command, the application's query, its burst's start and end. The writer (queue to ring) and the reader (ring to
//! application) run beside it.
//!
//! | word of row *conn* | high half | low half |
//! |---|---|---|
//! | 0 | `rcv_nxt` | |
//! | 1 | `rd_nxt` + R, the right edge | held intervals in use, 0 to 4 |
//! | 2–5 | held: start | end, in the order in which they came or last grew |
//!
//! | word of row *slot* | high half | low half |
//! |---|---|---|
//! | 6 | pending: start | end |
//! | 7 | bit 0: valid; bit 1: *twice* | connection |
//!
//! *Twice*, with SACK only, and only where it is asked for: every byte of the segment was there, held or pending, though not below `rcv_nxt`. Start and end are then where that ended, nothing between: the commit merges it into what is held up to there, which so changes
//! nothing but stands last (RFC 2018 section 4: the block of what triggered the ACK is the first), and says so (RFC 2883 section 4).
//!
//! A word read stands in a register two cycles after its address ([`super::piped_memory`]), so the state machine names an address, does something else for a
//! cycle, and takes the word in the next. Words 0 and 1 of the connection served last stay in registers: whatever comes for the same one begins at once, for
//! another they are loaded first.
//!
//! Half a sequence number is enough inside a window of at most 32 KiB and segments under 16 KiB: which side of another a point lies is the sign of
//! a 16-bit difference. Only the distance of a segment from `rcv_nxt` needs all 32 bits.
//!
//! **Latency.** For the connection served last: `RX_COMMIT` in order with nothing held 6 cycles, or which is *twice*, with h held 7 + h; `RX_WINDOW` and a query 2; for another
//! 4 more, `RX_COMMIT` 5; `RX_INIT` 9; `RX_SACK` 4, 2 if there is no such interval, for another connection 4 more; each longer by what the state machine is busy with. A segment's first byte is written 8 cycles after
//! `place_valid` with nothing held and nothing pending; else 11, and one for each held interval and two for each pending one; each further pass over them (at most 4, then the
//! payload is dropped as if lost) takes 6, one and two; a segment for another connection than the last one 4 more.
//! A burst's first byte is offered 6 cycles after `start`; `burst_done` comes 3 after the last byte has moved.
//! **Throughput.** A byte in and a byte out each cycle.
//! **Abort.** A bad frame still ends with `bytes_last`; its bytes lie in free space and its slot's interval is never committed.
use super::parser::JoinHalves;
use super::piped_memory::{PipedRing, PipedWords};
use super::{command::CommandIn, isa};
use crate::counters::Cause;
use crate::memory::Memory;
use crate::stream::StreamOut;
use rust_hdl::prelude::*;

/// What the state machine does in this cycle.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum State {
    Idle,
    LoadRcv,
    LoadRd,
    LoadWait,
    Load,
    PlaceRcv,
    PlaceStart,
    PlaceRd,
    PlaceCheck,
    Scan,
    ScanEnd,
    PlaceNone,
    PlaceWrite,
    PlaceArm,
    CommitWho,
    CommitPending,
    CommitMine,
    Merge,
    MergeEnd,
    CommitEnd,
    CommitCount,
    Answer,
    InitRcv,
    InitRd,
    InitIssue,
    InitCheck,
    InitDone,
    BurstBegin,
    BurstEnd,
    SackAsk,
    SackWait,
    SackAnswer,
}

/// What a word on its way out of the memory is to a segment that is clipped.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum Word {
    Nothing,
    Held,
    Who,
    Pending,
}

/// The application's burst.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum Burst {
    Idle,
    Begin,
    Stream,
    Finish,
    Post,
}

/// A payload byte in the queue.
#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Queued {
    data: Bits<8>,
    last: Bit,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Control {
    state: State,
    /// The connection served last, and if its words 0 and 1 stand here: `rcv_nxt`, the right edge, how many intervals are held.
    row: Bits<10>,
    loaded: Bit,
    rcv_high: Bits<16>,
    rcv_low: Bits<16>,
    right_edge: Bits<16>,
    held: Bits<3>,
    /// From `rcv_nxt` to the edge, a cycle late.
    window: Bits<16>,
    /// Held interval to be read, and those written back.
    index: Bits<3>,
    kept: Bits<3>,
    /// Occupied record slots when the clip began, how many were read in this pass, and if only half of the next one was.
    first: Bits<2>,
    occupied: Bits<3>,
    looked: Bits<3>,
    half: Bit,
    /// The words on their way: in the memory's latch, and in its register. The pending interval to come is this connection's.
    latched: Word,
    read: Word,
    mine: Bit,
    changed: Bit,
    passes: Bits<2>,
    /// Where the segment begins: from `rcv_nxt` on, or not far before it.
    ahead: Bit,
    behind: Bit,
    /// All of it lies before `rcv_nxt`, or beyond the right edge.
    outside: Bit,
    /// What of the segment is written: `start` up to `end`, if `any`.
    start: Bits<16>,
    end: Bits<16>,
    any: Bit,
    /// The interval being committed.
    low: Bits<16>,
    high: Bits<16>,
    in_order: Bit,
    merged: Bit,
    moved: Bit,
    /// The segment that is placed, or committed, is *twice*; and it still is where the commit has looked.
    twice: Bit,
    told_twice: Bit,
    /// The answer goes to the application, not to the engine; it is a commit's.
    asked: Bit,
    committing: Bit,
    place_wait: Bit,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Writer {
    /// From `place_valid` until the last byte is in the ring.
    busy: Bit,
    armed: Bit,
    fetched: Bit,
    writing: Bit,
    /// Of the byte in the queue's latch.
    position: Bits<16>,
    /// The byte out of the queue, if it is to be written, and where.
    out: Bit,
    write: Bit,
    offset: Bits<16>,
    data: Bits<8>,
    last: Bit,
    head: Bits<8>,
    tail: Bits<8>,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Reader {
    burst: Burst,
    conn: Bits<10>,
    left: Bits<16>,
    position: Bits<16>,
    /// A byte in the memory's latch and one in its register, if it is the last.
    latched: Bit,
    latched_last: Bit,
    read: Bit,
    read_last: Bit,
    /// The byte on offer, in a register of its own: what follows need not wait for the choice between the memory's banks.
    offered: Bit,
    data: Bits<8>,
    last: Bit,
}

/// A word that is written in the next cycle: what decides it stands a register before the memory. Nobody reads it so soon.
#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Change {
    enable: Bit,
    row: Bits<10>,
    word: Bits<3>,
    high: Bits<16>,
    low: Bits<16>,
}

/// The receive ring of all connections.
#[derive(LogicBlock)]
pub struct RxRing {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,

    /// A segment: one cycle of `place_valid`, only while `placed`; the other `place_` ports keep still until `placed` is high again. Then
    /// `place_length` bytes (at most 16,383), the last with `bytes_last`, and none if the length is 0. Bytes may come before `place_valid`, up to 255 in
    /// all while the segment is being clipped. A frame that breaks off after `place_valid` with a length still sends one `bytes_last`.
    pub place_valid: Signal<In, Bit>,
    pub place_conn: Signal<In, Bits<10>>,
    pub place_hit: Signal<In, Bit>,
    pub place_seq: Signal<In, Bits<32>>,
    pub place_length: Signal<In, Bits<16>>,
    pub place_slot: Signal<In, Bits<2>>,
    pub bytes_valid: Signal<In, Bit>,
    pub bytes_data: Signal<In, Bits<8>>,
    pub bytes_last: Signal<In, Bit>,
    /// Low from the cycle after `place_valid` until all its bytes are written or skipped.
    pub placed: Signal<Out, Bit>,

    /// The record queue: slots `slots_oldest`, … hold records, `slots_count` of them.
    pub slots_oldest: Signal<In, Bits<2>>,
    pub slots_count: Signal<In, Bits<3>>,

    /// Commands `RX_INIT` to `RX_SACK`; the last, if the ring is built without it, and any other code of the block is answered as an `RX_WINDOW` is, which is never `ok`.
    pub command: CommandIn,

    /// How many bytes the application may read: `query_valid` held until `query_done`, with `readable` in that cycle.
    pub query_valid: Signal<In, Bit>,
    pub query_conn: Signal<In, Bits<10>>,
    pub query_done: Signal<Out, Bit>,
    pub readable: Signal<Out, Bits<16>>,

    /// A burst: one cycle of `start` while none runs, `start_count` from 1 to what is readable. `last` marks its last byte. One cycle of `burst_done`
    /// when all have moved, `rd_nxt` is advanced and the `read` event is posted.
    pub start: Signal<In, Bit>,
    pub start_conn: Signal<In, Bits<10>>,
    pub start_count: Signal<In, Bits<16>>,
    pub stream: StreamOut,
    pub burst_done: Signal<Out, Bit>,

    /// The event that the window opened, held until `post_ready`.
    pub post_valid: Signal<Out, Bit>,
    pub post_conn: Signal<Out, Bits<10>>,
    pub post_bit: Signal<Out, Bits<3>>,
    pub post_ready: Signal<In, Bit>,

    /// One cycle an interval dropped because four are held.
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,

    control: DFF<Control>,
    writer: DFF<Writer>,
    reader: DFF<Reader>,
    change: DFF<Change>,
    words: PipedWords,
    queue: Memory<Queued, 8>,
    bytes: PipedRing,
    rcv_nxt: JoinHalves,

    state: Signal<Local, State>,
    high: Signal<Local, Bits<16>>,
    low: Signal<Local, Bits<16>>,
    rcv_low: Signal<Local, Bits<16>>,
    mine: Signal<Local, Bit>,
    commit_now: Signal<Local, Bit>,
    chosen: Signal<Local, Bits<10>>,
    asked_conn: Signal<Local, Bits<10>>,
    drained: Signal<Local, Bit>,
    wanted: Signal<Local, Bit>,
    same: Signal<Local, Bit>,
    start_row: Signal<Local, Bits<10>>,
    command_row: Signal<Local, Bits<10>>,
    place_row: Signal<Local, Bits<10>>,
    scan_slot: Signal<Local, Bits<2>>,
    scan_row: Signal<Local, Bits<10>>,
    void_slot: Signal<Local, Bits<2>>,
    void_row: Signal<Local, Bits<10>>,
    look_slot: Signal<Local, Bits<2>>,
    look_row: Signal<Local, Bits<10>>,
    word_row: Signal<Local, Bits<10>>,
    index_word: Signal<Local, Bits<3>>,
    kept_word: Signal<Local, Bits<3>>,
    index_next: Signal<Local, Bits<3>>,
    held_next: Signal<Local, Bits<3>>,
    seq_low: Signal<Local, Bits<16>>,
    seq_end: Signal<Local, Bits<16>>,
    offset: Signal<Local, Bits<32>>,
    offset_ahead: Signal<Local, Bits<17>>,
    offset_behind: Signal<Local, Bits<18>>,
    start_to_interval: Signal<Local, Bits<16>>,
    start_to_its_end: Signal<Local, Bits<16>>,
    interval_to_end: Signal<Local, Bits<16>>,
    start_to_end: Signal<Local, Bits<16>>,
    empty: Signal<Local, Bit>,
    held_twice: Signal<Local, Bit>,
    window_twice: Signal<Local, Bits<32>>,
    gone: Signal<Local, Bit>,
    clip: Signal<Local, Bit>,
    arm: Signal<Local, Bit>,
    move_on: Signal<Local, Bit>,
    commit_high: Signal<Local, Bits<16>>,
    rcv_high_next: Signal<Local, Bits<16>>,
    init_edge: Signal<Local, Bits<16>>,
    unread: Signal<Local, Bits<16>>,
    on: Signal<Local, Bit>,
    fetch: Signal<Local, Bit>,
    queued: Signal<Local, Queued>,
    advance: Signal<Local, Bit>,
    streaming: Signal<Local, Bit>,
    last: Signal<Local, Bit>,
    posted: Signal<Local, Bit>,
    sack_now: Signal<Local, Bit>,
    sack_word: Signal<Local, Bits<3>>,
    sack_start: Signal<Local, Bits<16>>,
    sack_end: Signal<Local, Bits<16>>,

    ring: Constant<Bits<16>>,
    numbers: Constant<Bits<10>>,
    block: Constant<Bits<3>>,
    init: Constant<Bits<6>>,
    commit: Constant<Bits<6>>,
    sack: Constant<Bits<6>>,
    with_sack: Constant<Bit>,
    with_twice: Constant<Bit>,
    twice_bit: Constant<Bits<32>>,
    read_bit: Constant<Bits<3>>,
    held_full: Constant<Bits<6>>,
}

impl RxRing {
    /// Rings of `ring_bytes` for each of `connections`; with `RX_SACK`, or without.
    ///
    /// # Panics
    /// If `connections` is not a power of two from 1 to 1024 or `ring_bytes` not one from 256 to 32,768.
    pub fn new(connections: usize, ring_bytes: usize, sack: bool) -> Self {
        assert!(
            ring_bytes.is_power_of_two() && (256..=32768).contains(&ring_bytes),
            "RxRing: ring_bytes is {ring_bytes}, but must be a power of two from 256 to 32768"
        );
        Self {
            clock: Default::default(),
            reset: Default::default(),
            place_valid: Default::default(),
            place_conn: Default::default(),
            place_hit: Default::default(),
            place_seq: Default::default(),
            place_length: Default::default(),
            place_slot: Default::default(),
            bytes_valid: Default::default(),
            bytes_data: Default::default(),
            bytes_last: Default::default(),
            placed: Default::default(),
            slots_oldest: Default::default(),
            slots_count: Default::default(),
            command: Default::default(),
            query_valid: Default::default(),
            query_conn: Default::default(),
            query_done: Default::default(),
            readable: Default::default(),
            start: Default::default(),
            start_conn: Default::default(),
            start_count: Default::default(),
            stream: Default::default(),
            burst_done: Default::default(),
            post_valid: Default::default(),
            post_conn: Default::default(),
            post_bit: Default::default(),
            post_ready: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            control: Default::default(),
            writer: Default::default(),
            reader: Default::default(),
            change: Default::default(),
            // Nothing to read and all of the window open, as after an `RX_INIT` of 0.
            words: PipedWords::new(connections.max(4), [0, (ring_bytes as u32) << 16]),
            queue: Memory::new(256),
            bytes: PipedRing::new(connections, ring_bytes),
            rcv_nxt: Default::default(),
            state: Default::default(),
            high: Default::default(),
            low: Default::default(),
            rcv_low: Default::default(),
            mine: Default::default(),
            commit_now: Default::default(),
            chosen: Default::default(),
            asked_conn: Default::default(),
            drained: Default::default(),
            wanted: Default::default(),
            same: Default::default(),
            start_row: Default::default(),
            command_row: Default::default(),
            place_row: Default::default(),
            scan_slot: Default::default(),
            scan_row: Default::default(),
            void_slot: Default::default(),
            void_row: Default::default(),
            look_slot: Default::default(),
            look_row: Default::default(),
            word_row: Default::default(),
            index_word: Default::default(),
            kept_word: Default::default(),
            index_next: Default::default(),
            held_next: Default::default(),
            seq_low: Default::default(),
            seq_end: Default::default(),
            offset: Default::default(),
            offset_ahead: Default::default(),
            offset_behind: Default::default(),
            start_to_interval: Default::default(),
            start_to_its_end: Default::default(),
            interval_to_end: Default::default(),
            start_to_end: Default::default(),
            empty: Default::default(),
            held_twice: Default::default(),
            window_twice: Default::default(),
            gone: Default::default(),
            clip: Default::default(),
            arm: Default::default(),
            move_on: Default::default(),
            commit_high: Default::default(),
            rcv_high_next: Default::default(),
            init_edge: Default::default(),
            unread: Default::default(),
            on: Default::default(),
            fetch: Default::default(),
            queued: Default::default(),
            advance: Default::default(),
            streaming: Default::default(),
            last: Default::default(),
            posted: Default::default(),
            sack_now: Default::default(),
            sack_word: Default::default(),
            sack_start: Default::default(),
            sack_end: Default::default(),
            ring: Constant::new((ring_bytes as u64).into()),
            numbers: Constant::new((connections as u64 - 1).into()),
            block: Constant::new((isa::cmd::RX_INIT as u64 >> 3).into()),
            init: Constant::new((isa::cmd::RX_INIT as u64).into()),
            commit: Constant::new((isa::cmd::RX_COMMIT as u64).into()),
            sack: Constant::new((isa::cmd::RX_SACK as u64).into()),
            with_sack: Constant::new(sack),
            with_twice: Constant::new(sack),
            twice_bit: Constant::new(u64::from(isa::TWICE).into()),
            read_bit: Constant::new((isa::pending::READ as u64).into()),
            held_full: Constant::new((Cause::HeldFull.number() as u64).into()),
        }
    }
}

impl RxRing {
    /// The same, and *twice* is told of, which takes SACK; or not, for forty cells less.
    #[must_use]
    pub fn with_twice(mut self, twice: bool) -> Self {
        self.with_twice = Constant::new(twice);
        self
    }
}

impl Logic for RxRing {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers and memories ----
        dff_setup!(self, clock, control, writer, reader, change);
        clock!(self, clock, words, queue, bytes);

        // ---- named wires ----
        self.state.next = self.control.q.val().state;
        self.high.next = self.words.read_high.val();
        self.low.next = self.words.read_low.val();
        self.rcv_low.next = self.control.q.val().rcv_low;
        self.rcv_nxt.high.next = self.control.q.val().rcv_high;
        self.rcv_nxt.low.next = self.control.q.val().rcv_low;
        self.mine.next = self.command.valid.val()
            && (self.command.code.val().get_bits::<3>(3) == self.block.val());
        self.commit_now.next = self.mine.val()
            && (self.command.code.val() == self.commit.val())
            && !self.control.q.val().place_wait;
        self.drained.next = (self.reader.q.val().burst == Burst::Finish)
            && !self.reader.q.val().latched
            && !self.reader.q.val().read
            && !self.reader.q.val().offered;
        self.wanted.next = self.control.q.val().place_wait
            || self.mine.val()
            || self.query_valid.val()
            || self.drained.val()
            || (self.reader.q.val().burst == Burst::Begin);
        self.chosen.next = self.reader.q.val().conn;
        if self.query_valid.val() {
            self.chosen.next = self.query_conn.val();
        }
        if self.mine.val() {
            self.chosen.next = self.command.conn.val();
        }
        if self.control.q.val().place_wait {
            self.chosen.next = self.place_conn.val();
        }
        self.asked_conn.next = self.chosen.val() & self.numbers.val();
        self.same.next =
            self.control.q.val().loaded && (self.control.q.val().row == self.asked_conn.val());
        self.start_row.next = self.start_conn.val() & self.numbers.val();
        self.command_row.next = bit_cast::<10, 3>(self.command.slot.val() & 3);
        self.place_row.next = bit_cast::<10, 2>(self.place_slot.val());
        self.look_slot.next = bit_cast::<2, 3>(self.control.q.val().looked);
        self.look_row.next = bit_cast::<10, 2>(self.look_slot.val());
        self.scan_slot.next = self.control.q.val().first + self.look_slot.val();
        self.scan_row.next = bit_cast::<10, 2>(self.scan_slot.val());
        // Two cycles after it was asked for.
        self.void_slot.next = self.look_slot.val() - 2;
        self.void_row.next = bit_cast::<10, 2>(self.void_slot.val());
        self.word_row.next = bit_cast::<10, 16>(self.low.val()) & self.numbers.val();
        self.index_word.next = self.control.q.val().index + 2;
        self.kept_word.next = self.control.q.val().kept + 2;
        self.index_next.next = self.control.q.val().index + 1;
        self.held_next.next = self.control.q.val().held + 1;
        self.seq_low.next = bit_cast::<16, 32>(self.place_seq.val());
        self.seq_end.next = self.seq_low.val() + self.place_length.val();
        self.offset.next = self.place_seq.val() - self.rcv_nxt.word.val();
        self.offset_ahead.next = self.offset.val().get_bits::<17>(15);
        self.offset_behind.next = self.offset.val().get_bits::<18>(14);
        // The right edge, word 1, stands before the segment's end like an interval's start.
        self.start_to_interval.next = self.control.q.val().start - self.high.val();
        self.start_to_its_end.next = self.control.q.val().start - self.low.val();
        self.interval_to_end.next = self.high.val() - self.control.q.val().end;
        self.start_to_end.next = self.control.q.val().start - self.control.q.val().end;
        self.empty.next = !self.start_to_end.val().get_bit(15);
        self.held_twice.next =
            self.with_twice.val() && self.high.val().get_bit(1) && self.control.q.val().held.any();
        self.window_twice.next =
            bit_cast::<32, 16>(self.control.q.val().window) | self.twice_bit.val();
        self.gone.next = false;
        // `rcv_nxt` moves by at most 32,768: its low half wraps exactly if bit 15 falls.
        self.commit_high.next = self.control.q.val().high;
        self.rcv_high_next.next = self.control.q.val().rcv_high;
        if self.rcv_low.val().get_bit(15) && !self.commit_high.val().get_bit(15) {
            self.rcv_high_next.next = self.control.q.val().rcv_high + 1;
        }
        self.init_edge.next = bit_cast::<16, 32>(self.command.a.val()) + self.ring.val();
        self.control.d.next.window = self.control.q.val().right_edge - self.control.q.val().rcv_low;
        self.unread.next = self.ring.val() - self.control.q.val().window;
        // The one that changed last stands last.
        self.sack_now.next = self.with_sack.val()
            && (self.command.code.val() == self.sack.val())
            && (self.command.imm.val() < bit_cast::<6, 3>(self.control.q.val().held));
        self.sack_word.next = self.held_next.val() - bit_cast::<3, 6>(self.command.imm.val());
        self.sack_start.next = self.high.val() - self.rcv_low.val();
        self.sack_end.next = self.low.val() - self.rcv_low.val();

        // ---- defaults ----
        self.words.read_row.next = self.control.q.val().row;
        self.words.read_word.next = 0.into();
        self.change.d.next.enable = false;
        self.change.d.next.row = self.control.q.val().row;
        self.change.d.next.word = 0.into();
        self.change.d.next.high = self.high.val();
        self.change.d.next.low = self.low.val();
        self.words.write_enable.next = self.change.q.val().enable;
        self.words.write_row.next = self.change.q.val().row;
        self.words.write_word.next = self.change.q.val().word;
        self.words.write_high.next = self.change.q.val().high;
        self.words.write_low.next = self.change.q.val().low;
        self.command.done.next = false;
        self.command.ok.next = false;
        self.command.result.next = 0.into();
        self.command.result2.next = 0.into();
        self.query_done.next = false;
        self.readable.next = self.unread.val();
        self.count.next = false;
        self.cause.next = self.held_full.val();
        self.arm.next = false;
        self.move_on.next = false;
        self.control.d.next.latched = Word::Nothing;
        self.control.d.next.read = self.control.q.val().latched;

        // ---- the writer ----
        self.queue.write_enable.next = self.bytes_valid.val();
        self.queue.write_address.next = self.writer.q.val().tail;
        self.queued.next.data = self.bytes_data.val();
        self.queued.next.last = self.bytes_last.val();
        self.queue.write_data.next = self.queued.val();
        if self.bytes_valid.val() {
            self.writer.d.next.tail = self.writer.q.val().tail + 1;
        }
        self.queue.read_address.next = self.writer.q.val().head;
        self.fetch.next =
            self.writer.q.val().armed && (self.writer.q.val().head != self.writer.q.val().tail);
        self.writer.d.next.fetched = self.fetch.val();
        if self.fetch.val() {
            self.writer.d.next.head = self.writer.q.val().head + 1;
        }
        self.on.next = self.control.q.val().any
            && (self.writer.q.val().position != self.control.q.val().end)
            && (self.writer.q.val().writing
                || (self.writer.q.val().position == self.control.q.val().start));
        if self.writer.q.val().fetched {
            self.writer.d.next.position = self.writer.q.val().position + 1;
            self.writer.d.next.writing = self.on.val();
        }
        self.writer.d.next.data = self.queue.read_data.val().data;
        self.writer.d.next.last = self.queue.read_data.val().last;
        self.writer.d.next.out = self.writer.q.val().fetched;
        self.writer.d.next.write = self.writer.q.val().fetched && self.on.val();
        self.writer.d.next.offset = self.writer.q.val().position;
        if self.writer.q.val().out && self.writer.q.val().last {
            self.writer.d.next.armed = false;
            self.writer.d.next.busy = false;
        }
        self.bytes.write_enable.next = self.writer.q.val().write;
        self.bytes.write_conn.next = self.place_conn.val();
        self.bytes.write_offset.next = self.writer.q.val().offset;
        self.bytes.write_data.next = self.writer.q.val().data;
        if self.place_valid.val() {
            self.control.d.next.place_wait = true;
            self.writer.d.next.busy = true;
        }
        self.placed.next = !self.writer.q.val().busy;

        // ---- the reader ----
        self.advance.next = !self.reader.q.val().offered || self.stream.ready.val();
        self.streaming.next = self.reader.q.val().burst == Burst::Stream;
        self.last.next = self.reader.q.val().left == 1;
        if self.advance.val() {
            self.reader.d.next.latched = self.streaming.val();
            self.reader.d.next.latched_last = self.last.val();
            self.reader.d.next.read = self.reader.q.val().latched;
            self.reader.d.next.read_last = self.reader.q.val().latched_last;
            self.reader.d.next.offered = self.reader.q.val().read;
            self.reader.d.next.data = self.bytes.read_data.val();
            self.reader.d.next.last = self.reader.q.val().read_last;
            if self.streaming.val() {
                self.reader.d.next.position = self.reader.q.val().position + 1;
                self.reader.d.next.left = self.reader.q.val().left - 1;
                if self.last.val() {
                    self.reader.d.next.burst = Burst::Finish;
                }
            }
        }
        if self.start.val() {
            self.reader.d.next.burst = Burst::Begin;
            self.reader.d.next.conn = self.start_row.val();
            self.reader.d.next.left = self.start_count.val();
        }
        self.posted.next = (self.reader.q.val().burst == Burst::Post) && self.post_ready.val();
        if self.posted.val() {
            self.reader.d.next.burst = Burst::Idle;
        }
        self.bytes.read_enable.next = self.advance.val();
        self.bytes.read_conn.next = self.reader.q.val().conn;
        self.bytes.read_offset.next = self.reader.q.val().position;
        self.stream.valid.next = self.reader.q.val().offered;
        self.stream.data.next = self.reader.q.val().data;
        self.stream.last.next = self.reader.q.val().last;
        self.stream.error.next = false;
        self.post_valid.next = self.reader.q.val().burst == Burst::Post;
        self.post_conn.next = self.reader.q.val().conn;
        self.post_bit.next = self.read_bit.val();
        self.burst_done.next = self.posted.val();

        // ---- the intervals that a segment is clipped against, as they come ----
        if self.control.q.val().read == Word::Who {
            self.control.d.next.mine =
                self.high.val().get_bit(0) && (self.word_row.val() == self.control.q.val().row);
        }
        // Of nothing nothing is cut: half a number would not tell any more where it lies.
        self.clip.next = !self.empty.val()
            && ((self.control.q.val().read == Word::Held)
                || ((self.control.q.val().read == Word::Pending) && self.control.q.val().mine));
        if (self.clip.val() || (self.state.val() == State::PlaceRd))
            && self.start_to_interval.val().get_bit(15)
            && self.interval_to_end.val().get_bit(15)
        {
            self.control.d.next.end = self.high.val();
        }
        if self.clip.val()
            && !self.start_to_interval.val().get_bit(15)
            && self.start_to_its_end.val().get_bit(15)
        {
            self.control.d.next.start = self.low.val();
            self.control.d.next.changed = true;
        }

        // ---- state machine ----
        match self.state.val() {
            State::Idle => {
                self.control.d.next.index = 0.into();
                self.control.d.next.kept = 0.into();
                self.control.d.next.looked = 0.into();
                self.control.d.next.half = false;
                self.control.d.next.changed = false;
                self.control.d.next.passes = 0.into();
                self.control.d.next.merged = false;
                self.control.d.next.moved = false;
                self.control.d.next.twice = false;
                self.control.d.next.told_twice = false;
                self.control.d.next.asked = false;
                self.control.d.next.committing = self.commit_now.val();
                // Word 0, which another connection than the last one needs first; a commit's pending interval.
                self.words.read_row.next = self.asked_conn.val();
                if self.commit_now.val() {
                    self.words.read_row.next = self.command_row.val();
                    self.words.read_word.next = 6.into();
                }
                if self.control.q.val().place_wait {
                    self.control.d.next.first = self.slots_oldest.val();
                    self.control.d.next.occupied = self.slots_count.val();
                    self.control.d.next.start = self.seq_low.val();
                    self.control.d.next.end = self.seq_end.val();
                    self.control.d.next.any = false;
                    self.control.d.next.state = State::LoadRd;
                    if self.same.val() {
                        self.control.d.next.place_wait = false;
                        self.control.d.next.state = State::PlaceRcv;
                    }
                    if !self.place_hit.val() {
                        self.control.d.next.place_wait = false;
                        self.control.d.next.state = State::PlaceNone;
                    }
                } else if self.mine.val() {
                    self.control.d.next.state = State::LoadRd;
                    if self.same.val() {
                        self.control.d.next.state = State::Answer;
                        if self.sack_now.val() {
                            self.control.d.next.state = State::SackAsk;
                        }
                    }
                    if self.commit_now.val() {
                        self.control.d.next.state = State::LoadRcv;
                        if self.same.val() {
                            self.control.d.next.state = State::CommitWho;
                        }
                    }
                    if self.command.code.val() == self.init.val() {
                        self.control.d.next.state = State::InitRcv;
                    }
                } else if self.query_valid.val() {
                    self.control.d.next.asked = true;
                    self.control.d.next.state = State::LoadRd;
                    if self.same.val() {
                        self.control.d.next.state = State::Answer;
                    }
                } else if self.reader.q.val().burst == Burst::Begin {
                    self.control.d.next.state = State::LoadRd;
                    if self.same.val() {
                        self.control.d.next.state = State::BurstBegin;
                    }
                } else if self.drained.val() {
                    self.control.d.next.state = State::LoadRd;
                    if self.same.val() {
                        self.control.d.next.state = State::BurstEnd;
                    }
                }
                if self.wanted.val() {
                    self.control.d.next.row = self.asked_conn.val();
                    self.control.d.next.loaded = self.same.val();
                }
            }
            // Another connection's words.
            State::LoadRcv => {
                self.control.d.next.state = State::LoadRd;
            }
            State::LoadRd => {
                self.words.read_word.next = 1.into();
                self.control.d.next.state = State::LoadWait;
            }
            State::LoadWait => {
                self.control.d.next.rcv_high = self.high.val();
                self.control.d.next.rcv_low = self.low.val();
                self.control.d.next.state = State::Load;
            }
            State::Load => {
                self.control.d.next.right_edge = self.high.val();
                self.control.d.next.held = bit_cast::<3, 16>(self.low.val());
                self.control.d.next.loaded = true;
                self.control.d.next.state = State::Idle;
            }
            // A segment: what lies before `rcv_nxt` is cut off, then what lies beyond the right edge.
            State::PlaceRcv => {
                self.words.read_word.next = 1.into();
                self.control.d.next.ahead = !self.offset_ahead.val().any();
                self.control.d.next.behind = self.offset_behind.val().all();
                self.control.d.next.state = State::PlaceStart;
            }
            State::PlaceStart => {
                self.control.d.next.state = State::PlaceNone;
                if self.control.q.val().ahead {
                    self.control.d.next.state = State::PlaceRd;
                }
                if self.control.q.val().behind {
                    self.control.d.next.start = self.control.q.val().rcv_low;
                    self.control.d.next.state = State::PlaceRd;
                }
            }
            State::PlaceRd => {
                self.control.d.next.outside =
                    self.empty.val() || !self.start_to_interval.val().get_bit(15);
                self.control.d.next.state = State::PlaceCheck;
            }
            State::PlaceCheck => {
                self.control.d.next.any = !self.empty.val() && !self.control.q.val().outside;
                self.control.d.next.twice =
                    self.with_twice.val() && self.empty.val() && self.control.q.val().passes.any();
                self.control.d.next.state = State::Scan;
                if !self.control.q.val().held.any() && !self.control.q.val().occupied.any() {
                    self.arm.next = true;
                    self.control.d.next.state = State::PlaceWrite;
                }
            }
            State::Scan => {
                self.words.read_word.next = self.index_word.val();
                if self.control.q.val().index != self.control.q.val().held {
                    self.control.d.next.latched = Word::Held;
                    self.control.d.next.index = self.index_next.val();
                } else if self.control.q.val().looked != self.control.q.val().occupied {
                    self.words.read_row.next = self.scan_row.val();
                    self.control.d.next.half = !self.control.q.val().half;
                    if self.control.q.val().half {
                        self.words.read_word.next = 6.into();
                        self.control.d.next.latched = Word::Pending;
                        self.control.d.next.looked = self.control.q.val().looked + 1;
                    } else {
                        self.words.read_word.next = 7.into();
                        self.control.d.next.latched = Word::Who;
                    }
                } else if self.control.q.val().latched == Word::Nothing {
                    self.control.d.next.state = State::ScanEnd;
                }
                if !self.control.q.val().any {
                    self.control.d.next.latched = Word::Nothing;
                    self.control.d.next.state = State::PlaceNone;
                }
            }
            State::ScanEnd => {
                if self.control.q.val().changed {
                    // An interval looked at before may contain the new start, and one that ended it may lie below.
                    self.words.read_word.next = 1.into();
                    self.control.d.next.end = self.seq_end.val();
                    self.control.d.next.ahead = true;
                    self.control.d.next.behind = false;
                    self.control.d.next.index = 0.into();
                    self.control.d.next.looked = 0.into();
                    self.control.d.next.changed = false;
                    self.control.d.next.passes = self.control.q.val().passes + 1;
                    self.control.d.next.state = State::PlaceStart;
                    if self.control.q.val().passes == 3 {
                        self.control.d.next.state = State::PlaceNone;
                    }
                } else {
                    self.control.d.next.any = !self.empty.val();
                    self.arm.next = true;
                    self.control.d.next.state = State::PlaceWrite;
                }
            }
            State::PlaceNone => {
                self.arm.next = true;
                self.control.d.next.any = false;
                self.change.d.next.enable = self.control.q.val().twice;
                self.change.d.next.row = self.place_row.val();
                self.change.d.next.word = 6.into();
                self.change.d.next.high = self.control.q.val().start;
                self.change.d.next.low = self.control.q.val().start;
                self.control.d.next.state = State::PlaceArm;
            }
            State::PlaceWrite => {
                self.change.d.next.enable = true;
                self.change.d.next.row = self.place_row.val();
                self.change.d.next.word = 6.into();
                self.change.d.next.high = self.control.q.val().start;
                self.change.d.next.low = self.control.q.val().end;
                self.control.d.next.state = State::PlaceArm;
            }
            State::PlaceArm => {
                self.change.d.next.enable = true;
                self.change.d.next.row = self.place_row.val();
                self.change.d.next.word = 7.into();
                self.change.d.next.high = 0.into();
                if self.control.q.val().any {
                    self.change.d.next.high = 1.into();
                }
                if self.control.q.val().twice {
                    self.change.d.next.high = 2.into();
                }
                self.change.d.next.low = bit_cast::<16, 10>(self.control.q.val().row);
                // No earlier: the `place_` ports may then change.
                if !self.place_length.val().any() {
                    self.writer.d.next.busy = false;
                }
                self.control.d.next.state = State::Idle;
            }
            // A commit: what it touches is merged into it, what it does not is written back, closed up.
            State::CommitWho => {
                self.words.read_row.next = self.command_row.val();
                self.words.read_word.next = 7.into();
                self.control.d.next.state = State::CommitPending;
            }
            State::CommitPending => {
                self.control.d.next.low = self.high.val();
                self.control.d.next.high = self.low.val();
                self.control.d.next.in_order = self.high.val() == self.rcv_low.val();
                self.words.read_word.next = self.index_word.val();
                self.control.d.next.index = self.index_next.val();
                self.control.d.next.state = State::CommitMine;
            }
            State::CommitMine => {
                self.words.read_word.next = self.index_word.val();
                self.control.d.next.index = self.index_next.val();
                self.control.d.next.state = State::Answer;
                if self.high.val().get_bit(0) && (self.word_row.val() == self.control.q.val().row) {
                    self.change.d.next.enable = true;
                    self.control.d.next.merged = true;
                    self.control.d.next.moved = self.control.q.val().in_order;
                    self.move_on.next = self.control.q.val().in_order;
                    self.control.d.next.state = State::CommitEnd;
                    if self.control.q.val().held.any() {
                        self.control.d.next.state = State::Merge;
                    }
                }
                if self.held_twice.val() && (self.word_row.val() == self.control.q.val().row) {
                    self.change.d.next.enable = true;
                    self.control.d.next.merged = true;
                    self.control.d.next.twice = true;
                    self.control.d.next.in_order = false;
                    self.control.d.next.state = State::Merge;
                }
                self.change.d.next.row = self.command_row.val();
                self.change.d.next.word = 7.into();
                self.change.d.next.high = 0.into();
            }
            State::Merge => {
                self.words.read_word.next = self.index_word.val();
                self.control.d.next.index = self.index_next.val();
                self.change.d.next.word = self.kept_word.val();
                if self.low.val() == self.control.q.val().low {
                    self.control.d.next.low = self.high.val();
                } else if (self.high.val() == self.control.q.val().high)
                    && !self.control.q.val().twice
                {
                    self.control.d.next.high = self.low.val();
                } else {
                    self.change.d.next.enable = true;
                    self.control.d.next.kept = self.control.q.val().kept + 1;
                }
                if self.control.q.val().index == self.held_next.val() {
                    self.control.d.next.state = State::MergeEnd;
                }
            }
            State::MergeEnd => {
                self.move_on.next = self.control.q.val().in_order;
                self.control.d.next.state = State::CommitEnd;
            }
            State::CommitEnd => {
                self.change.d.next.word = self.kept_word.val();
                self.change.d.next.high = self.control.q.val().low;
                self.change.d.next.low = self.control.q.val().high;
                // Nothing is held up to there any more.
                self.gone.next = self.control.q.val().twice
                    && (self.control.q.val().low == self.control.q.val().high);
                self.control.d.next.told_twice = self.control.q.val().twice && !self.gone.val();
                if !self.control.q.val().in_order && !self.gone.val() {
                    if self.control.q.val().kept == 4 {
                        self.count.next = true;
                    } else {
                        self.change.d.next.enable = true;
                        self.control.d.next.kept = self.control.q.val().kept + 1;
                    }
                }
                self.control.d.next.state = State::Answer;
            }
            State::Answer => {
                self.change.d.next.enable = self.control.q.val().merged;
                self.change.d.next.high = self.control.q.val().rcv_high;
                self.change.d.next.low = self.control.q.val().rcv_low;
                self.control.d.next.state = State::Idle;
                if self.control.q.val().merged {
                    self.control.d.next.state = State::CommitCount;
                }
                if self.control.q.val().asked {
                    self.query_done.next = true;
                } else {
                    self.command.done.next = true;
                    self.command.ok.next = self.control.q.val().moved;
                    self.command.result.next = bit_cast::<32, 16>(self.control.q.val().window);
                    self.command.result2.next = self.rcv_nxt.word.val();
                    if self.control.q.val().committing {
                        self.command.result.next = self.rcv_nxt.word.val();
                        self.command.result2.next = bit_cast::<32, 16>(self.control.q.val().window);
                        if self.control.q.val().told_twice {
                            self.command.result2.next = self.window_twice.val();
                        }
                    }
                }
            }
            State::CommitCount => {
                self.change.d.next.enable = true;
                self.change.d.next.word = 1.into();
                self.change.d.next.high = self.control.q.val().right_edge;
                self.change.d.next.low = bit_cast::<16, 3>(self.control.q.val().kept);
                self.control.d.next.held = self.control.q.val().kept;
                self.control.d.next.state = State::Idle;
            }
            // A new connection: what slots still hold of the last one is void.
            State::InitRcv => {
                self.control.d.next.rcv_high = self.command.a.val().get_bits::<16>(16);
                self.control.d.next.rcv_low = bit_cast::<16, 32>(self.command.a.val());
                self.control.d.next.right_edge = self.init_edge.val();
                self.control.d.next.held = 0.into();
                self.control.d.next.loaded = true;
                self.control.d.next.state = State::InitRd;
            }
            State::InitRd => {
                self.change.d.next.enable = true;
                self.change.d.next.high = self.control.q.val().rcv_high;
                self.change.d.next.low = self.control.q.val().rcv_low;
                self.words.read_row.next = self.look_row.val();
                self.words.read_word.next = 7.into();
                self.control.d.next.looked = self.control.q.val().looked + 1;
                self.control.d.next.state = State::InitIssue;
            }
            State::InitIssue => {
                self.change.d.next.enable = true;
                self.change.d.next.word = 1.into();
                self.change.d.next.high = self.control.q.val().right_edge;
                self.change.d.next.low = 0.into();
                self.words.read_row.next = self.look_row.val();
                self.words.read_word.next = 7.into();
                self.control.d.next.looked = self.control.q.val().looked + 1;
                self.control.d.next.state = State::InitCheck;
            }
            State::InitCheck => {
                self.words.read_row.next = self.look_row.val();
                self.words.read_word.next = 7.into();
                self.change.d.next.enable = self.word_row.val() == self.control.q.val().row;
                self.change.d.next.row = self.void_row.val();
                self.change.d.next.word = 7.into();
                self.change.d.next.high = 0.into();
                self.control.d.next.looked = self.control.q.val().looked + 1;
                if self.control.q.val().looked == 5 {
                    self.control.d.next.state = State::InitDone;
                }
            }
            State::InitDone => {
                self.command.done.next = true;
                self.control.d.next.state = State::Idle;
            }
            // The application's burst: a byte's address is the low bits of its number, and those of `rd_nxt` and of the edge are the same.
            State::BurstBegin => {
                self.reader.d.next.position = self.control.q.val().right_edge;
                self.reader.d.next.burst = Burst::Stream;
                self.control.d.next.state = State::Idle;
            }
            State::BurstEnd => {
                self.control.d.next.right_edge = self.reader.q.val().position;
                self.change.d.next.enable = true;
                self.change.d.next.word = 1.into();
                self.change.d.next.high = self.reader.q.val().position;
                self.change.d.next.low = bit_cast::<16, 3>(self.control.q.val().held);
                self.reader.d.next.burst = Burst::Post;
                self.control.d.next.state = State::Idle;
            }
            _ => {
                self.control.d.next.state = State::Idle;
            }
        }
        // What is not there must leave no gate: so these states stand outside of what is chosen by state.
        if self.with_sack.val() {
            if self.state.val() == State::SackAsk {
                self.words.read_word.next = self.sack_word.val();
                self.control.d.next.state = State::SackWait;
            }
            if self.state.val() == State::SackWait {
                self.control.d.next.state = State::SackAnswer;
            }
            if self.state.val() == State::SackAnswer {
                self.command.done.next = true;
                self.command.ok.next = true;
                self.command.result.next = bit_cast::<32, 16>(self.sack_start.val());
                self.command.result2.next = bit_cast::<32, 16>(self.sack_end.val());
            }
        }
        if self.move_on.val() {
            self.control.d.next.rcv_high = self.rcv_high_next.val();
            self.control.d.next.rcv_low = self.control.q.val().high;
        }
        if self.arm.val() {
            self.writer.d.next.position = self.seq_low.val();
            self.writer.d.next.writing = false;
            self.writer.d.next.armed = self.place_length.val().any();
        }

        // ---- reset ----
        if self.reset.val() {
            self.control.d.next.state = State::Idle;
            self.control.d.next.loaded = false;
            self.control.d.next.place_wait = false;
            self.change.d.next.enable = false;
            self.control.d.next.latched = Word::Nothing;
            self.control.d.next.read = Word::Nothing;
            self.writer.d.next.busy = false;
            self.writer.d.next.armed = false;
            self.writer.d.next.fetched = false;
            self.writer.d.next.out = false;
            self.writer.d.next.write = false;
            self.writer.d.next.head = 0.into();
            self.writer.d.next.tail = 0.into();
            self.reader.d.next.burst = Burst::Idle;
            self.reader.d.next.latched = false;
            self.reader.d.next.read = false;
            self.reader.d.next.offered = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{rngs::StdRng, Rng, SeedableRng};
    use std::collections::{BTreeMap, VecDeque};

    const COMMIT: u64 = isa::cmd::RX_COMMIT as u64;
    const WINDOW: u64 = isa::cmd::RX_WINDOW as u64;
    const INIT: u64 = isa::cmd::RX_INIT as u64;
    const SACK: u64 = isa::cmd::RX_SACK as u64;

    fn number<const N: usize>(bits: Bits<N>) -> u64 {
        bits.to_u64()
    }

    /// What one connection holds, byte by byte; nothing of the ring's own arithmetic.
    #[derive(Default, Clone)]
    struct Connection {
        rcv_nxt: u32,
        rd_nxt: u32,
        edge: Option<u32>,
        /// Bytes read or readable or held, by sequence number.
        bytes: BTreeMap<u32, u8>,
        /// Distances from `rcv_nxt` are found by walking.
        held: BTreeMap<u32, u8>,
        /// When the run that a held byte belongs to last grew, in commits.
        grown: BTreeMap<u32, u64>,
    }

    impl Connection {
        /// The run of held bytes round one of them grew just now.
        fn grow(&mut self, at: u32, now: u64) {
            for step in [1, u32::MAX] {
                let mut s = at;
                while self.held.contains_key(&s) {
                    self.grown.insert(s, now);
                    s = s.wrapping_add(step);
                }
            }
        }

        /// The runs of held bytes as distances from `rcv_nxt`, the one that grew last first.
        fn blocks(&self) -> Vec<(u32, u32)> {
            let first = |s: &&u32| !self.held.contains_key(&s.wrapping_sub(1));
            let mut first: Vec<u32> = self.held.keys().filter(first).copied().collect();
            first.sort_by_key(|s| std::cmp::Reverse(self.grown[s]));
            let block = |start: u32| {
                let mut end = start;
                while self.held.contains_key(&end) {
                    end = end.wrapping_add(1);
                }
                let from = |s: u32| s.wrapping_sub(self.rcv_nxt);
                (from(start), from(end))
            };
            first.into_iter().map(block).collect()
        }

        fn runs(&self) -> usize {
            self.held
                .keys()
                .filter(|s| !self.held.contains_key(&s.wrapping_sub(1)))
                .count()
        }
    }

    #[derive(Clone, Default)]
    struct Frame {
        conn: usize,
        seq: u32,
        data: Vec<u8>,
        hit: bool,
        good: bool,
        slot: usize,
        delay: usize,
    }

    #[derive(Clone, Copy, PartialEq, Debug, Default)]
    enum Engine {
        #[default]
        Idle,
        Command,
    }

    #[derive(Clone, Copy, PartialEq, Debug, Default)]
    enum App {
        #[default]
        Idle,
        Query,
        Burst,
    }

    /// The parser, the record queue, the engine and the application round the ring, and the model they hold it to.
    #[derive(Default)]
    struct World {
        ring: u32,
        conns: Vec<Connection>,
        /// Pending bytes by slot: connection, first sequence number, bytes.
        pending: Vec<Option<(usize, u32, Vec<u8>)>>,
        slots: VecDeque<usize>,
        owners: [usize; 4],
        oldest: usize,
        scanned: Vec<usize>,
        frame: Option<Frame>,
        sent: usize,
        placed_sent: bool,
        wait: usize,
        frames: usize,
        engine: Engine,
        code: u64,
        command_conn: usize,
        command_a: u32,
        command_imm: u64,
        commit_moved: bool,
        commit_twice: bool,
        commits: u64,
        /// The ring has no `RX_SACK`.
        no_sack: bool,
        app: App,
        app_conn: usize,
        app_left: u32,
        app_at: u32,
        app_query: u32,
        idle_percent: u32,
        seen: BTreeMap<&'static str, u64>,
    }

    impl World {
        fn new(conns: usize, ring: u32) -> Self {
            Self {
                ring,
                conns: vec![Connection::default(); conns],
                pending: vec![None; 4],
                idle_percent: 20,
                ..Default::default()
            }
        }

        fn saw(&mut self, what: &'static str) {
            *self.seen.entry(what).or_default() += 1;
        }

        fn new_frame(&mut self, rng: &mut impl Rng) -> Frame {
            let conn = rng.random_range(0..self.conns.len());
            let c = &self.conns[conn];
            let unread = c.rcv_nxt.wrapping_sub(c.rd_nxt);
            let window = self.ring - unread;
            let small = window.min(rng.random_range(1..2 + self.ring / 12)).min(600);
            let length = match rng.random_range(0..20) {
                0 => 0,
                1 => 1,
                2 if window <= 4000 => window,
                3 if window <= 4000 => window + 1,
                4 if window <= 4000 => window.saturating_sub(1),
                5 => rng.random_range(0..1460),
                _ => small,
            };
            let next = c.rcv_nxt;
            // Now and then a long time in which the next byte does not come.
            self.frames += 1;
            let gap = self.frames / 25 % 3 == 2;
            let seq = match rng.random_range(0..20) {
                0..=7 if !gap => next,
                8 => next.wrapping_sub(rng.random_range(0..300)),
                9 => next.wrapping_add(window).wrapping_sub(1),
                10 => next.wrapping_add(window),
                11 => next.wrapping_add(window).wrapping_add(1),
                12 => next.wrapping_add(window).wrapping_sub(length),
                13 => rng.random(),
                14 => next.wrapping_sub(length),
                15 => next.wrapping_add(rng.random_range(0..100000)),
                _ => next.wrapping_add(rng.random_range(0..window.max(1))),
            };
            // In-window bytes of one connection always say the same; a bad frame says something else.
            let good = rng.random_bool(0.85);
            let salt = if good { 0u8 } else { 0xA5 };
            let data = (0..length)
                .map(|i| {
                    let s = seq.wrapping_add(i);
                    (s ^ (s >> 8) ^ (s >> 17)) as u8 ^ salt ^ (conn as u8 * 17)
                })
                .collect();
            Frame {
                conn,
                seq,
                data,
                hit: rng.random_bool(0.95),
                good,
                slot: (self.oldest + self.slots.len()) % 4,
                delay: if rng.random_bool(0.3) {
                    rng.random_range(0..20)
                } else {
                    0
                },
            }
        }

        fn covered(&self, conn: usize, seq: u32) -> bool {
            self.conns[conn].held.contains_key(&seq)
                || self.scanned.iter().any(|slot| {
                    matches!(&self.pending[*slot], Some((c, start, bytes))
                        if *c == conn && seq.wrapping_sub(*start) < bytes.len() as u32)
                })
        }

        /// What the contract says is placed, found byte by byte.
        fn model_place(&mut self) {
            let frame = self.frame.clone().unwrap();
            self.pending[frame.slot] = None;
            if !frame.hit {
                return;
            }
            let c = &self.conns[frame.conn];
            let window = self.ring - c.rcv_nxt.wrapping_sub(c.rd_nxt);
            let inside = |s: u32| s.wrapping_sub(c.rcv_nxt) < window;
            let mut i = 0;
            let n = frame.data.len();
            let at = |i: usize| frame.seq.wrapping_add(i as u32);
            while i < n && (!inside(at(i)) || self.covered(frame.conn, at(i))) {
                i += 1;
            }
            let first = i;
            while i < n && inside(at(i)) && !self.covered(frame.conn, at(i)) {
                i += 1;
            }
            let clipped = i < n || first > 0;
            if i > first {
                self.pending[frame.slot] =
                    Some((frame.conn, at(first), frame.data[first..i].to_vec()));
                if clipped {
                    self.saw("clipped");
                }
            } else {
                let below = |s: u32| s.wrapping_sub(c.rcv_nxt) >> 31 == 1;
                let there = |s: u32| inside(s) && self.covered(frame.conn, s);
                let twice =
                    (0..n).all(|i| below(at(i)) || there(at(i))) && n > 0 && there(at(n - 1));
                self.saw("nothing placed");
                if twice && !self.no_sack {
                    let mut end = at(n);
                    let run = |s: u32| {
                        self.scanned
                            .iter()
                            .find_map(|slot| match &self.pending[*slot] {
                                Some((conn, start, bytes)) if *conn == frame.conn => {
                                    let within = s.wrapping_sub(*start) < bytes.len() as u32;
                                    within.then(|| start.wrapping_add(bytes.len() as u32))
                                }
                                _ => None,
                            })
                    };
                    match run(at(n - 1)) {
                        Some(its_end) => end = its_end,
                        None => {
                            while self.conns[frame.conn].held.contains_key(&end) {
                                end = end.wrapping_add(1);
                            }
                        }
                    }
                    self.pending[frame.slot] = Some((frame.conn, end, Vec::new()));
                }
            }
        }

        fn model_commit(&mut self, slot: usize, conn: usize) -> bool {
            self.commit_twice = false;
            let Some((c, start, bytes)) = self.pending[slot].take_if(|p| p.0 == conn) else {
                return false;
            };
            if bytes.is_empty() {
                // All of it was there as it came, up to `start`: is it still?
                let k = &mut self.conns[c];
                let last = start.wrapping_sub(1);
                self.commit_twice = k.held.contains_key(&last) && !k.held.contains_key(&start);
                self.commits += 1;
                if self.commit_twice {
                    k.grow(last, self.commits);
                }
                self.saw(if self.commit_twice {
                    "twice"
                } else {
                    "twice, gone"
                });
                return false;
            }
            let k = &mut self.conns[c];
            let before = k.held.clone();
            for (i, b) in bytes.iter().enumerate() {
                k.held.insert(start.wrapping_add(i as u32), *b);
            }
            let mut moved = false;
            while let Some(b) = k.held.remove(&k.rcv_nxt) {
                k.bytes.insert(k.rcv_nxt, b);
                k.rcv_nxt = k.rcv_nxt.wrapping_add(1);
                moved = true;
            }
            self.commits += 1;
            k.grow(start, self.commits);
            let runs = k.runs();
            if k.rcv_nxt < k.rcv_nxt.wrapping_sub(bytes.len() as u32) && moved {
                self.saw("wrapped past 2^32");
            }
            let k = &mut self.conns[c];
            if runs > 4 {
                k.held = before;
                self.saw("a fifth interval");
            } else if runs == 4 {
                self.saw("four intervals");
            }
            if self.conns[c].rcv_nxt.wrapping_sub(self.conns[c].rd_nxt) == self.ring {
                self.saw("window full");
            }
            moved
        }

        fn check_window(&mut self, conn: usize, rcv_nxt: u32, window: u32) {
            let c = &mut self.conns[conn];
            assert_eq!(rcv_nxt, c.rcv_nxt, "rcv_nxt of {conn}");
            assert_eq!(
                window,
                self.ring - c.rcv_nxt.wrapping_sub(c.rd_nxt),
                "window of {conn}"
            );
            let edge = rcv_nxt.wrapping_add(window);
            if let Some(old) = c.edge {
                assert!(edge.wrapping_sub(old) < 1 << 31, "the window shrank");
            }
            c.edge = Some(edge);
        }

        /// Sees the outputs of this cycle and sets its inputs.
        fn drive(&mut self, uut: &mut RxRing, rng: &mut impl Rng) {
            // The order in which the state machine serves is its own; values never come from inside.
            let state = uut.control.q.val().state;
            match state {
                State::PlaceArm => self.model_place(),
                State::CommitWho => {
                    self.commit_moved = self.model_commit(self.oldest, self.command_conn)
                }
                State::InitRcv => {
                    self.conns[self.command_conn] = Connection {
                        rcv_nxt: self.command_a,
                        rd_nxt: self.command_a,
                        edge: Some(self.command_a.wrapping_add(self.ring)),
                        ..Default::default()
                    };
                    for p in &mut self.pending {
                        p.take_if(|p| p.0 == self.command_conn);
                    }
                }
                State::BurstEnd => self.conns[self.app_conn].rd_nxt = self.app_at,
                _ => {}
            }
            if uut.count.val() {
                self.saw("HeldFull");
            }

            // ---- parser ----
            uut.place_valid.next = false;
            uut.bytes_valid.next = false;
            uut.bytes_last.next = rng.random_bool(0.5);
            uut.bytes_data.next = (rng.random::<u8>() as u64).into();
            if self.frame.is_none() && self.slots.len() < 4 {
                if self.wait > 0 {
                    self.wait -= 1;
                } else if uut.placed.val() && rng.random_bool(0.9) {
                    let frame = self.new_frame(rng);
                    uut.place_conn.next = (frame.conn as u64).into();
                    uut.place_hit.next = frame.hit;
                    uut.place_seq.next = (frame.seq as u64).into();
                    uut.place_length.next = (frame.data.len() as u64).into();
                    uut.place_slot.next = (frame.slot as u64).into();
                    self.frame = Some(frame);
                    self.sent = 0;
                    self.placed_sent = false;
                    self.wait = 0;
                }
            }
            if let Some(mut frame) = self.frame.take() {
                let mut ended = false;
                if !self.placed_sent {
                    if frame.delay == 0 {
                        uut.place_valid.next = true;
                        self.placed_sent = true;
                    } else {
                        frame.delay -= 1;
                    }
                } else if self.sent == frame.data.len() && self.wait > 0 && uut.placed.val() {
                    ended = true;
                }
                if self.sent < frame.data.len() {
                    if !rng.random_ratio(self.idle_percent, 100) {
                        uut.bytes_valid.next = true;
                        uut.bytes_data.next = (frame.data[self.sent] as u64).into();
                        self.sent += 1;
                        uut.bytes_last.next = self.sent == frame.data.len();
                    }
                } else if self.placed_sent {
                    self.wait += 1;
                }
                if ended {
                    if frame.good {
                        self.slots.push_back(frame.slot);
                        self.owners[frame.slot] = frame.conn;
                    }
                    self.wait = rng.random_range(1..30);
                } else {
                    self.frame = Some(frame);
                }
            }

            // ---- engine ----
            if self.engine == Engine::Command && uut.command.done.val() {
                // Seen in the cycle of `done`: the command still stands in this cycle.
                let (result, result2) = (
                    number(uut.command.result.val()) as u32,
                    number(uut.command.result2.val()) as u32,
                );
                let conn = self.command_conn;
                match self.code {
                    COMMIT => {
                        assert_eq!(
                            uut.command.ok.val(),
                            self.commit_moved,
                            "ok of {conn}: {:x?}",
                            self.conns[conn].rcv_nxt
                        );
                        let twice = result2 & isa::TWICE != 0;
                        assert_eq!(twice, self.commit_twice, "twice of {conn}");
                        self.check_window(conn, result, result2 & !isa::TWICE);
                        self.slots.pop_front();
                        self.oldest = (self.oldest + 1) % 4;
                    }
                    WINDOW => self.check_window(conn, result2, result),
                    SACK => {
                        let blocks = self.conns[conn].blocks();
                        let block = blocks.get(self.command_imm as usize);
                        let block = block.filter(|_| !self.no_sack).copied();
                        assert_eq!(uut.command.ok.val(), block.is_some(), "{blocks:?}");
                        match block {
                            Some(block) => {
                                assert_eq!((result, result2), block, "{blocks:?}");
                                self.saw(
                                    ["block 0", "block 1", "block 2", "block 3"]
                                        [self.command_imm as usize],
                                );
                            }
                            None => self.check_window(conn, result2, result),
                        }
                    }
                    _ => {}
                }
                self.engine = Engine::Idle;
            } else if self.engine == Engine::Idle {
                uut.command.valid.next = false;
                let busy = self.app != App::Idle;
                let init = rng.random_bool(0.001) || self.conns.iter().any(|c| c.edge.is_none());
                if init {
                    let conn = self.conns.iter().position(|c| c.edge.is_none());
                    let conn = conn.unwrap_or(rng.random_range(0..self.conns.len()));
                    if !(busy && self.app_conn == conn) {
                        self.command_a = match rng.random_range(0..4) {
                            0 => 0u32.wrapping_sub(rng.random_range(0..300)),
                            1 => (0x10000 * rng.random_range(0u32..65536))
                                .wrapping_sub(rng.random_range(0..300)),
                            2 => 0x8000_0000 - rng.random_range(0..300),
                            _ => rng.random(),
                        };
                        self.conns[conn].edge = Some(self.command_a.wrapping_add(self.ring));
                        self.saw("init");
                        self.issue(uut, INIT, conn);
                        uut.command.a.next = (self.command_a as u64).into();
                    }
                } else if !self.slots.is_empty() && rng.random_bool(0.1) {
                    let slot = self.slots[0];
                    if rng.random_bool(0.1) {
                        self.slots.pop_front();
                        self.oldest = (self.oldest + 1) % 4;
                    } else {
                        let conn = self.owners[slot];
                        self.issue(uut, COMMIT, conn);
                    }
                } else if rng.random_bool(0.02) {
                    let conn = rng.random_range(0..self.conns.len());
                    self.issue(uut, WINDOW, conn);
                } else if rng.random_bool(0.05) {
                    let conn = rng.random_range(0..self.conns.len());
                    self.command_imm = match rng.random_range(0..20) {
                        0 => rng.random_range(0..64),
                        _ => rng.random_range(0..5),
                    };
                    uut.command.imm.next = self.command_imm.into();
                    self.issue(uut, SACK, conn);
                }
            }
            uut.command.slot.next = (self.oldest as u64).into();
            uut.slots_oldest.next = (self.oldest as u64).into();
            uut.slots_count.next = (self.slots.len() as u64).into();

            if state == State::Idle {
                self.scanned = self.slots.iter().copied().collect();
            }

            // ---- application ----
            uut.start.next = false;
            uut.stream.ready.next = !rng.random_ratio(self.idle_percent, 100);
            uut.post_ready.next = rng.random_bool(0.5);
            match self.app {
                App::Idle => {
                    uut.query_valid.next = false;
                    if rng.random_bool(0.05) {
                        self.app_conn = rng.random_range(0..self.conns.len());
                        if !(self.engine == Engine::Command && self.code == INIT) {
                            uut.query_valid.next = true;
                            uut.query_conn.next = (self.app_conn as u64).into();
                            self.app = App::Query;
                        }
                    }
                    self.app_query = u32::MAX;
                }
                App::Query => {
                    if self.app_query != u32::MAX {
                        // The cycle after `query_done`.
                        uut.query_valid.next = false;
                        if self.app_query == 0 || rng.random_bool(0.2) {
                            self.app = App::Idle;
                        } else {
                            let most = self.app_query;
                            self.app_left = if rng.random_bool(0.5) {
                                most
                            } else {
                                rng.random_range(1..=most)
                            };
                            self.app_at = self.conns[self.app_conn].rd_nxt;
                            uut.start.next = true;
                            uut.start_conn.next = (self.app_conn as u64).into();
                            uut.start_count.next = (self.app_left as u64).into();
                            self.app = App::Burst;
                        }
                    } else if uut.query_done.val() {
                        let readable = number(uut.readable.val()) as u32;
                        let c = &self.conns[self.app_conn];
                        assert_eq!(readable, c.rcv_nxt.wrapping_sub(c.rd_nxt), "readable");
                        self.app_query = readable;
                    }
                }
                App::Burst => {
                    if uut.stream.valid.val() {
                        assert!(self.app_left > 0, "more bytes than asked for");
                        assert_eq!(uut.stream.last.val(), self.app_left == 1, "last");
                        let expected = self.conns[self.app_conn].bytes[&self.app_at];
                        assert_eq!(
                            number(uut.stream.data.val()) as u8,
                            expected,
                            "byte at {}",
                            self.app_at
                        );
                        if uut.stream.ready.next {
                            self.app_at = self.app_at.wrapping_add(1);
                            self.app_left -= 1;
                            self.saw("byte read");
                        }
                    }
                    if uut.post_valid.val() {
                        assert_eq!(number(uut.post_conn.val()) as usize, self.app_conn);
                        assert_eq!(number(uut.post_bit.val()), isa::pending::READ as u64);
                        if uut.post_ready.next {
                            assert_eq!(self.app_left, 0);
                            self.app = App::Idle;
                            self.saw("burst");
                        }
                    }
                }
            }
        }

        fn issue(&mut self, uut: &mut RxRing, code: u64, conn: usize) {
            uut.command.valid.next = true;
            uut.command.code.next = code.into();
            uut.command.conn.next = (conn as u64).into();
            self.engine = Engine::Command;
            self.code = code;
            self.command_conn = conn;
        }
    }

    fn settle(uut: &mut RxRing) {
        for _ in 0..20 {
            uut.update_all();
            if !uut.has_changed() {
                return;
            }
        }
        panic!("does not settle");
    }

    fn step(uut: &mut RxRing) {
        settle(uut);
        uut.clock.next = Clock::from(true);
        settle(uut);
        uut.clock.next = Clock::from(false);
        settle(uut);
    }

    fn make(connections: usize, ring: usize) -> RxRing {
        let mut uut = RxRing::new(connections, ring, true);
        uut.connect_all();
        uut
    }

    /// Random segments (in the window, overlapping, beyond, repeated, bad), near every wrap, against the byte map.
    #[test]
    fn every_byte_once_in_order() {
        let mut seen: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (seed, connections, ring, idle) in [
            (1, 1, 256, 0),
            (2, 4, 256, 20),
            (3, 2, 1024, 10),
            (4, 8, 4096, 20),
            (5, 1, 32768, 0),
            (6, 4, 512, 60),
        ] {
            let mut uut = make(connections, ring);
            let mut world = World::new(connections, ring as u32);
            world.idle_percent = idle;
            let mut rng = StdRng::seed_from_u64(seed);
            for _ in 0..60_000 {
                world.drive(&mut uut, &mut rng);
                step(&mut uut);
            }
            assert_eq!(
                world.seen.get("HeldFull"),
                world.seen.get("a fifth interval"),
                "seed {seed}"
            );
            for (what, times) in world.seen {
                *seen.entry(what).or_default() += times;
            }
        }
        println!("{seen:?}");
        for what in [
            "HeldFull",
            "four intervals",
            "window full",
            "clipped",
            "nothing placed",
            "wrapped past 2^32",
            "init",
            "block 0",
            "block 1",
            "block 2",
            "block 3",
            "twice",
        ] {
            assert!(
                seen.get(what).is_some_and(|n| *n > 10),
                "too few: {what}: {seen:?}"
            );
        }
        assert!(seen["byte read"] > 20_000, "{seen:?}");
        assert!(seen.get("twice, gone").is_some_and(|n| *n > 4), "{seen:?}");
    }

    #[test]
    fn equals_its_verilog() {
        for sack in [true, false] {
            let mut world = World::new(4, 256);
            world.no_sack = !sack;
            toe_sim::lockstep!(
                if sack { "rx_ring" } else { "rx_ring_no_sack" },
                RxRing::new(4, 256, sack),
                30_000,
                |uut, _cycle, rng| {
                    world.drive(uut, rng);
                }
            );
            let seen = |what, most| world.seen.get(what).is_some_and(|n| *n > most);
            assert!(seen("byte read", 1000), "{:?}", world.seen);
            assert_eq!(seen("block 1", 10), sack, "{:?}", world.seen);
        }
    }

    /// Issues a command; cycles from its first to that of `done`, both counted, and `ok`, `result`, `result2`.
    fn command(uut: &mut RxRing, code: u64, slot: u64, a: u32) -> (u64, bool, u32, u32) {
        uut.command.valid.next = true;
        uut.command.code.next = code.into();
        uut.command.slot.next = slot.into();
        uut.command.a.next = (a as u64).into();
        for cycles in 1..100 {
            settle(uut);
            let done = uut.command.done.val();
            let answer = (
                cycles,
                uut.command.ok.val(),
                number(uut.command.result.val()) as u32,
                number(uut.command.result2.val()) as u32,
            );
            if done {
                step(uut);
                uut.command.valid.next = false;
                settle(uut);
                assert!(!uut.command.done.val());
                return answer;
            }
            step(uut);
        }
        panic!("command {code:#x} never ends");
    }

    /// `RX_SACK` of the connection that the bus names.
    fn sack(uut: &mut RxRing, n: u64) -> (u64, bool, u32, u32) {
        uut.command.imm.next = n.into();
        command(uut, SACK, 0, 0)
    }

    /// Places a segment; cycles from `place_valid` to its first byte written.
    fn place(uut: &mut RxRing, slot: u64, seq: u32, length: u64) -> u64 {
        uut.place_hit.next = true;
        uut.place_slot.next = slot.into();
        uut.place_seq.next = (seq as u64).into();
        uut.place_length.next = length.into();
        uut.place_valid.next = true;
        let mut first = 0;
        for cycle in 0..1000 {
            uut.bytes_valid.next = cycle < length;
            uut.bytes_last.next = cycle + 1 == length;
            settle(uut);
            if uut.bytes.write_enable.val() && first == 0 {
                first = cycle;
            }
            if cycle > length && uut.placed.val() {
                return first;
            }
            step(uut);
            uut.place_valid.next = false;
        }
        panic!("never placed");
    }

    /// The cycle counts of the header.
    #[test]
    fn takes_the_cycles_it_says() {
        let mut uut = make(4, 256);
        uut.slots_count.next = 0.into();
        assert_eq!(command(&mut uut, INIT, 0, 1000).0, 9);
        assert_eq!(command(&mut uut, WINDOW, 0, 0), (2, false, 256, 1000));
        assert_eq!(place(&mut uut, 0, 1000, 10), 8);
        assert_eq!(command(&mut uut, COMMIT, 0, 0), (6, true, 1010, 246));
        // A second commit of the same slot does nothing.
        assert!(!command(&mut uut, COMMIT, 0, 0).1);
        for held in 0..4 {
            assert_eq!(
                place(&mut uut, 0, 1020 + 20 * held, 10),
                8 + if held > 0 { 3 + held as u64 } else { 0 }
            );
            let answer = command(&mut uut, COMMIT, 0, 0);
            let cycles = if held > 0 { 7 + held as u64 } else { 6 };
            assert_eq!(answer, (cycles, false, 1010, 246));
        }
        // A commit writes its last word in the cycle after its answer.
        step(&mut uut);
        uut.query_valid.next = true;
        step(&mut uut);
        settle(&mut uut);
        assert!(uut.query_done.val());
        assert_eq!(number(uut.readable.val()), 10);
        step(&mut uut);
        uut.query_valid.next = false;
        for n in 0..4 {
            let start = 70 - 20 * n as u32;
            assert_eq!(sack(&mut uut, n), (4, true, start, start + 10));
        }
        assert_eq!(sack(&mut uut, 4), (2, false, 246, 1010));
        // The gap is filled: one held interval is absorbed.
        place(&mut uut, 0, 1010, 10);
        assert_eq!(command(&mut uut, COMMIT, 0, 0), (11, true, 1030, 226));
    }

    /// RFC 2018 section 4: the first block holds the segment that came last, then come the others, the one that changed last first.
    #[test]
    fn what_changed_last_is_told_of_first() {
        let mut uut = make(1, 256);
        uut.slots_count.next = 0.into();
        // Number and window wrap among them.
        let rcv_nxt = 0xFFFF_FFD0;
        command(&mut uut, INIT, 0, rcv_nxt);
        // Each segment's distance from `rcv_nxt` and length, and what is held then.
        type Blocks = &'static [(u32, u32)];
        let steps: [(u32, u64, Blocks); 10] = [
            (10, 10, &[(10, 20)]),
            (30, 10, &[(30, 40), (10, 20)]),
            (50, 10, &[(50, 60), (30, 40), (10, 20)]),
            (70, 10, &[(70, 80), (50, 60), (30, 40), (10, 20)]),
            // A fifth finds no room and changes nothing.
            (90, 10, &[(70, 80), (50, 60), (30, 40), (10, 20)]),
            // One that grows at its end, or at its beginning, comes first; the others keep their order.
            (20, 5, &[(10, 25), (70, 80), (50, 60), (30, 40)]),
            (45, 5, &[(45, 60), (10, 25), (70, 80), (30, 40)]),
            // Two become one.
            (60, 10, &[(45, 80), (10, 25), (30, 40)]),
            // What is held already changes nothing, but is told of first.
            (32, 5, &[(30, 40), (45, 80), (10, 25)]),
            (45, 35, &[(45, 80), (30, 40), (10, 25)]),
        ];
        let held = |uut: &mut RxRing| -> Vec<(u32, u32)> {
            let blocks = (0..6).map(|n| sack(uut, n)).take_while(|block| block.1);
            blocks.map(|(_, _, start, end)| (start, end)).collect()
        };
        for (from, length, want) in steps {
            place(&mut uut, 0, rcv_nxt.wrapping_add(from), length);
            let twice = command(&mut uut, COMMIT, 0, 0).3 & isa::TWICE != 0;
            assert_eq!(twice, from == 32 || length == 35, "{from}");
            assert_eq!(held(&mut uut), want, "{from}");
        }
        // `rcv_nxt` moves over the middle one.
        place(&mut uut, 0, rcv_nxt, 10);
        assert!(command(&mut uut, COMMIT, 0, 0).1);
        assert_eq!(held(&mut uut), [(20, 55), (5, 15)]);
        command(&mut uut, INIT, 0, 5);
        assert_eq!(held(&mut uut), []);
    }

    /// `model::rx_ring`, with which the program is tested, holds the same intervals in the same order.
    #[test]
    fn the_program_s_model_tells_of_the_same_intervals() {
        use crate::tcp::model::rx_ring::RxRing as InModel;
        let mut rng = StdRng::seed_from_u64(11);
        let (mut uut, mut model) = (make(1, 256), InModel::new(1, 256));
        uut.slots_count.next = 0.into();
        let (mut told, mut twice) = ([0; 5], 0);
        for round in 0..3_000 {
            if round % 50 == 0 {
                let start = 0u32.wrapping_sub(rng.random_range(0..300));
                command(&mut uut, INIT, 0, start);
                model.init(0, start);
            }
            let ahead = rng.random_range(1..250) * u32::from(rng.random_bool(0.9));
            let seq = model.rcv_nxt(0).wrapping_add(ahead);
            let length = rng.random_range(1..30);
            place(&mut uut, 0, seq, length as u64);
            model.place(0, 0, seq, &vec![0; length]);
            let (_, moved, _, window) = command(&mut uut, COMMIT, 0, 0);
            let commit = model.commit(0, 0);
            assert_eq!(moved, commit.moved);
            assert_eq!(window & isa::TWICE != 0, commit.twice, "{round}");
            twice += u64::from(commit.twice);
            step(&mut uut);
            for n in 0..6 {
                let (_, ok, start, end) = sack(&mut uut, n);
                assert_eq!(
                    ok.then_some((start, end)),
                    model.sack(0, n as u8),
                    "{round}"
                );
            }
            told[model.held(0).len()] += 1;
        }
        assert!(told.iter().all(|n| *n > 20), "{told:?}");
        assert!(twice > 100, "{twice}");
    }

    /// A ring that is built without it does not know the command.
    #[test]
    fn without_sack_nothing_is_told() {
        let mut uut = RxRing::new(4, 256, false);
        uut.connect_all();
        command(&mut uut, INIT, 0, 1000);
        place(&mut uut, 0, 1020, 10);
        command(&mut uut, COMMIT, 0, 0);
        step(&mut uut);
        assert_eq!(sack(&mut uut, 0), (2, false, 256, 1000));
    }

    /// What the header says of passes: 11 cycles and one for a held interval, a second pass 6 and one; two for a pending one.
    #[test]
    fn a_pass_over_the_intervals_takes_the_cycles_it_says() {
        let mut uut = make(4, 256);
        uut.slots_count.next = 0.into();
        command(&mut uut, INIT, 0, 1000);
        place(&mut uut, 0, 1020, 10);
        command(&mut uut, COMMIT, 0, 0);
        step(&mut uut);
        // It begins within the held interval, so that another pass is made; the first 5 bytes are skipped.
        assert_eq!(place(&mut uut, 0, 1025, 20), 11 + 1 + 6 + 1 + 5);
        uut.slots_count.next = 1.into();
        assert_eq!(place(&mut uut, 1, 1000, 10), 11 + 1 + 2);
    }

    /// As the header says, another connection than the last one costs 4 cycles, and a commit of it 5.
    #[test]
    fn another_connection_s_words_are_loaded_first() {
        let mut uut = make(4, 256);
        uut.slots_count.next = 0.into();
        for conn in 0..2_u32 {
            uut.command.conn.next = u64::from(conn).into();
            command(&mut uut, INIT, 0, 1000 + 1000 * conn);
        }
        uut.command.conn.next = 0.into();
        assert_eq!(command(&mut uut, WINDOW, 0, 0), (6, false, 256, 1000));
        assert_eq!(command(&mut uut, WINDOW, 0, 0), (2, false, 256, 1000));
        uut.place_conn.next = 1.into();
        assert_eq!(place(&mut uut, 0, 2000, 10), 12);
        assert_eq!(command(&mut uut, WINDOW, 0, 0), (6, false, 256, 1000));
        uut.command.conn.next = 1.into();
        assert_eq!(command(&mut uut, COMMIT, 0, 0), (11, true, 2010, 246));
        step(&mut uut);
        assert_eq!(command(&mut uut, WINDOW, 0, 0), (2, false, 246, 2010));
        place(&mut uut, 0, 2020, 10);
        command(&mut uut, COMMIT, 0, 0);
        step(&mut uut);
        uut.command.conn.next = 0.into();
        assert_eq!(sack(&mut uut, 0), (6, false, 256, 1000));
        uut.command.conn.next = 1.into();
        assert_eq!(sack(&mut uut, 0), (8, true, 10, 20));
        uut.command.conn.next = 0.into();
        assert_eq!(command(&mut uut, WINDOW, 0, 0), (6, false, 256, 1000));
    }

    /// A reset at any point of a segment's placing: what comes then finds the ring as new, in cycles too.
    #[test]
    fn a_reset_in_the_middle_of_a_segment_leaves_nothing() {
        for bytes in 1..25 {
            let mut uut = make(4, 256);
            command(&mut uut, INIT, 0, 1000);
            uut.place_hit.next = true;
            uut.place_seq.next = 1000.into();
            uut.place_length.next = 20.into();
            uut.place_valid.next = true;
            for n in 1..=bytes {
                uut.bytes_valid.next = n < 20;
                step(&mut uut);
                uut.place_valid.next = false;
            }
            uut.bytes_valid.next = false;
            uut.reset.next = true;
            step(&mut uut);
            uut.reset.next = false;
            settle(&mut uut);
            assert!(uut.placed.val(), "{bytes}");
            assert_eq!(command(&mut uut, INIT, 0, 5000).0, 9, "{bytes}");
            assert_eq!(command(&mut uut, WINDOW, 0, 0), (2, false, 256, 5000));
            assert_eq!(place(&mut uut, 0, 5000, 10), 8, "{bytes}");
            assert_eq!(command(&mut uut, COMMIT, 0, 0), (6, true, 5010, 246));
        }
    }

    /// Held and pending intervals in a chain, so that each pass moves a segment's start past two. Four passes are enough for six of them; one more, and the
    /// payload is dropped as if lost, but nothing of what is held or pending.
    #[test]
    fn a_clip_ends_after_four_passes() {
        for (seventh, reached) in [(false, 1100), (true, 1090)] {
            let mut uut = make(1, 256);
            command(&mut uut, INIT, 0, 1000);
            for held in 0..3 + u32::from(seventh) {
                assert!(place(&mut uut, 0, 1020 + 20 * held, 10) > 0);
                command(&mut uut, COMMIT, 0, 0);
            }
            for pending in 0..3 {
                uut.slots_count.next = (pending as u64).into();
                assert!(place(&mut uut, pending.into(), 1030 + 20 * pending, 10) > 0);
            }
            uut.slots_count.next = 3.into();
            let written = place(&mut uut, 3, 1020, 80) > 0;
            assert_eq!(written, !seventh);
            uut.slots_count.next = 4.into();
            for slot in (0..4).rev() {
                let (_, moved, rcv_nxt, _) = command(&mut uut, COMMIT, slot, 0);
                assert_eq!((moved, rcv_nxt), (false, 1000));
            }
            uut.slots_count.next = 0.into();
            place(&mut uut, 0, 1000, 20);
            let (_, moved, rcv_nxt, _) = command(&mut uut, COMMIT, 0, 0);
            assert_eq!((moved, rcv_nxt), (true, reached));
        }
    }

    /// Inside the window half a sequence number is compared: what is a multiple of 2^16 away, or half the sequence space, must not seem to be inside.
    #[test]
    fn what_only_looks_as_if_in_the_window_is_not_placed() {
        for rcv_nxt in [1000u32, 0, 0xFFFF_FFFE, 0x7FFF_FFF0, 0x8000_0000, 0xFFF8] {
            let mut uut = make(1, 256);
            command(&mut uut, INIT, 0, rcv_nxt);
            for away in [
                1 << 16,
                (1 << 16) + 20,
                1 << 24,
                (1 << 31) - 1,
                1 << 31,
                (1 << 31) + 1,
                0u32.wrapping_sub(1 << 16),
                0u32.wrapping_sub((1 << 16) - 20),
                0u32.wrapping_sub(10),
                256,
            ] {
                let at = rcv_nxt.wrapping_add(away);
                assert_eq!(place(&mut uut, 0, at, 10), 0, "{rcv_nxt:#x} + {away:#x}");
                let answer = command(&mut uut, COMMIT, 0, 0);
                assert_eq!((answer.1, answer.2, answer.3), (false, rcv_nxt, 256));
            }
            // One byte reaches in from the left, and one at the right edge is still inside.
            assert!(place(&mut uut, 0, rcv_nxt.wrapping_add(255), 10) > 0);
            command(&mut uut, COMMIT, 0, 0);
            assert!(place(&mut uut, 0, rcv_nxt.wrapping_sub(9), 10) > 0);
            let answer = command(&mut uut, COMMIT, 0, 0);
            let next = rcv_nxt.wrapping_add(1);
            assert_eq!((answer.1, answer.2, answer.3), (true, next, 255));
        }
    }

    /// A byte each cycle to the application, the last one marked, then the event and `burst_done`.
    #[test]
    fn reads_a_byte_each_cycle() {
        let mut uut = make(1, 256);
        command(&mut uut, INIT, 0, 0xFFFF_FFF0);
        place(&mut uut, 0, 0xFFFF_FFF0, 100);
        assert_eq!(command(&mut uut, COMMIT, 0, 0).2, 84);
        uut.start.next = true;
        uut.start_count.next = 100.into();
        uut.stream.ready.next = true;
        uut.post_ready.next = true;
        let mut moved = vec![];
        for cycle in 0..120 {
            settle(&mut uut);
            if uut.stream.valid.val() {
                moved.push((cycle, uut.stream.last.val()));
            }
            if uut.burst_done.val() {
                assert_eq!(moved.len(), 100);
                assert!(moved[99].1 && !moved[98].1);
                assert_eq!(moved[99].0 - moved[0].0, 99);
                assert_eq!((moved[0].0, cycle - moved[99].0), (6, 3));
                step(&mut uut);
                assert_eq!(command(&mut uut, WINDOW, 0, 0).2, 256);
                return;
            }
            step(&mut uut);
            uut.start.next = false;
        }
        panic!("the burst never ends");
    }

    #[test]
    #[should_panic(expected = "ring_bytes is 65536, but must be a power of two from 256 to 32768")]
    fn refuses_a_ring_beyond_32_kib() {
        let _ = RxRing::new(4, 65536, true);
    }
}
