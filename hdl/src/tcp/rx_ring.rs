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
//! | 1 | `rd_nxt` | held intervals in use, 0 to 4 |
//! | 2–5 | held: start | end |
//!
//! | word of row *slot* | high half | low half |
//! |---|---|---|
//! | 6 | pending: start | end |
//! | 7 | bit 0: valid | connection |
//!
//! Half a sequence number is enough inside a window of at most 32 KiB and segments under 16 KiB: which side of another a point lies is the sign of
//! a 16-bit difference. Only the distance of a segment from `rcv_nxt` needs all 32 bits.
//!
//! **Latency.** `RX_COMMIT` in order with nothing held: 8 cycles; with h held: 8 + 2h; `RX_WINDOW` and a query: 3; `RX_INIT`: 12; each longer by what
//! the state machine is busy with. A segment's first byte is written 9 cycles after `place_valid` with nothing held and
//! nothing pending; each held interval adds 2, each pending one 3, per pass (at most 4 passes, then the payload is dropped as if lost).
//! **Throughput.** A byte in and a byte out each cycle.
//! **Abort.** A bad frame still ends with `bytes_last`; its bytes lie in free space and its slot's interval is never committed.
use super::ring_memory::RingMemory;
use super::word_memory::WordMemory;
use super::{command::CommandIn, isa};
use crate::counters::Cause;
use crate::memory::Memory;
use crate::stream::StreamOut;
use rust_hdl::prelude::*;

/// What the state machine consumes in this cycle.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum State {
    Idle,
    PlaceRcv,
    PlaceRd,
    ClipNext,
    ClipWho,
    Clip,
    PlaceWrite,
    PlaceArm,
    CommitWho,
    CommitPending,
    CommitRcv,
    CommitRd,
    MergeNext,
    Merge,
    CommitEnd,
    CommitCount,
    AnswerRd,
    Answer,
    InitRcv,
    InitRd,
    InitIssue,
    InitCheck,
    InitDone,
    BurstBegin,
    BurstEnd,
}

/// The application's burst.
#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum Burst {
    Idle,
    Begin,
    Fetch,
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
    /// The connection being served.
    row: Bits<10>,
    slot: Bits<2>,
    /// Held interval being looked at, and how many there are; those written back.
    index: Bits<3>,
    held: Bits<3>,
    kept: Bits<3>,
    /// Occupied record slots when the clip began, and how many were looked at in this pass.
    first: Bits<2>,
    occupied: Bits<3>,
    looked: Bits<3>,
    changed: Bit,
    passes: Bits<2>,
    /// What of the segment is written: `start` up to `end`, if `any`.
    start: Bits<16>,
    end: Bits<16>,
    any: Bit,
    /// The interval being committed.
    low: Bits<16>,
    high: Bits<16>,
    in_order: Bit,
    moved: Bit,
    rd_nxt: Bits<16>,
    rcv_high: Bits<16>,
    /// Bit 15 of `rcv_nxt`.
    rcv_wraps: Bit,
    /// The answer goes to the application, not to the engine.
    asked: Bit,
    place_wait: Bit,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Writer {
    /// From `place_valid` until the last byte is in the ring.
    busy: Bit,
    armed: Bit,
    fetched: Bit,
    writing: Bit,
    position: Bits<16>,
    head: Bits<8>,
    tail: Bits<8>,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Reader {
    burst: Burst,
    conn: Bits<10>,
    left: Bits<16>,
    position: Bits<16>,
}

/// The receive ring of all connections.
#[derive(LogicBlock)]
pub struct RxRing {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,

    /// A segment: one cycle of `place_valid`, only while `placed`; the other `place_` ports keep still until `placed` is high again. Then
    /// `place_length` bytes (at most 16,383), the last with `bytes_last`, and none if the length is 0. Bytes may come before `place_valid`, up to 256 in
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
    words: WordMemory,
    queue: Memory<Queued, 8>,
    bytes: RingMemory,

    state: Signal<Local, State>,
    high: Signal<Local, Bits<16>>,
    low: Signal<Local, Bits<16>>,
    held_now: Signal<Local, Bits<3>>,
    mine: Signal<Local, Bit>,
    command_row: Signal<Local, Bits<10>>,
    slot_row: Signal<Local, Bits<10>>,
    place_row: Signal<Local, Bits<10>>,
    scan_slot: Signal<Local, Bits<2>>,
    scan_row: Signal<Local, Bits<10>>,
    look_row: Signal<Local, Bits<10>>,
    index_word: Signal<Local, Bits<3>>,
    kept_word: Signal<Local, Bits<3>>,
    index_next: Signal<Local, Bits<3>>,
    seq_low: Signal<Local, Bits<16>>,
    seq_end: Signal<Local, Bits<16>>,
    offset: Signal<Local, Bits<32>>,
    offset_ahead: Signal<Local, Bits<17>>,
    offset_behind: Signal<Local, Bits<18>>,
    interval_start: Signal<Local, Bits<16>>,
    right_edge: Signal<Local, Bits<16>>,
    start_to_interval: Signal<Local, Bits<16>>,
    start_to_its_end: Signal<Local, Bits<16>>,
    interval_to_end: Signal<Local, Bits<16>>,
    start_to_end: Signal<Local, Bits<16>>,
    empty: Signal<Local, Bit>,
    commit_high: Signal<Local, Bits<16>>,
    rcv_high_next: Signal<Local, Bits<16>>,
    unread: Signal<Local, Bits<16>>,
    window: Signal<Local, Bits<16>>,
    on: Signal<Local, Bit>,
    fetch: Signal<Local, Bit>,
    queued: Signal<Local, Queued>,
    read_at: Signal<Local, Bits<16>>,
    streaming: Signal<Local, Bit>,
    last: Signal<Local, Bit>,
    posted: Signal<Local, Bit>,

    ring: Constant<Bits<16>>,
    block: Constant<Bits<3>>,
    init: Constant<Bits<6>>,
    commit: Constant<Bits<6>>,
    read_bit: Constant<Bits<3>>,
    held_full: Constant<Bits<6>>,
}

impl RxRing {
    /// Rings of `ring_bytes` for each of `connections`.
    ///
    /// # Panics
    /// If `connections` is not a power of two from 1 to 1024 or `ring_bytes` not one from 256 to 32,768.
    pub fn new(connections: usize, ring_bytes: usize) -> Self {
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
            words: WordMemory::new(connections.max(4)),
            queue: Memory::new(256),
            bytes: RingMemory::new(connections, ring_bytes),
            state: Default::default(),
            high: Default::default(),
            low: Default::default(),
            held_now: Default::default(),
            mine: Default::default(),
            command_row: Default::default(),
            slot_row: Default::default(),
            place_row: Default::default(),
            scan_slot: Default::default(),
            scan_row: Default::default(),
            look_row: Default::default(),
            index_word: Default::default(),
            kept_word: Default::default(),
            index_next: Default::default(),
            seq_low: Default::default(),
            seq_end: Default::default(),
            offset: Default::default(),
            offset_ahead: Default::default(),
            offset_behind: Default::default(),
            interval_start: Default::default(),
            right_edge: Default::default(),
            start_to_interval: Default::default(),
            start_to_its_end: Default::default(),
            interval_to_end: Default::default(),
            start_to_end: Default::default(),
            empty: Default::default(),
            commit_high: Default::default(),
            rcv_high_next: Default::default(),
            unread: Default::default(),
            window: Default::default(),
            on: Default::default(),
            fetch: Default::default(),
            queued: Default::default(),
            read_at: Default::default(),
            streaming: Default::default(),
            last: Default::default(),
            posted: Default::default(),
            ring: Constant::new((ring_bytes as u64).into()),
            block: Constant::new((isa::cmd::RX_INIT as u64 >> 3).into()),
            init: Constant::new((isa::cmd::RX_INIT as u64).into()),
            commit: Constant::new((isa::cmd::RX_COMMIT as u64).into()),
            read_bit: Constant::new((isa::pending::READ as u64).into()),
            held_full: Constant::new((Cause::HeldFull.number() as u64).into()),
        }
    }
}

impl Logic for RxRing {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers and memories ----
        dff_setup!(self, clock, control, writer, reader);
        clock!(self, clock, words, queue, bytes);

        // ---- named wires ----
        self.state.next = self.control.q.val().state;
        self.high.next = self.words.read_high.val();
        self.low.next = self.words.read_low.val();
        self.held_now.next = bit_cast::<3, 16>(self.words.read_low.val());
        self.mine.next = self.command.valid.val()
            && (self.command.code.val().get_bits::<3>(3) == self.block.val());
        self.command_row.next = bit_cast::<10, 3>(self.command.slot.val() & 3);
        self.slot_row.next = bit_cast::<10, 2>(self.control.q.val().slot);
        self.place_row.next = bit_cast::<10, 2>(self.place_slot.val());
        self.scan_slot.next =
            self.control.q.val().first + bit_cast::<2, 3>(self.control.q.val().looked);
        self.scan_row.next = bit_cast::<10, 2>(self.scan_slot.val());
        self.look_row.next = bit_cast::<10, 3>(self.control.q.val().looked);
        self.index_word.next = self.control.q.val().index + 2;
        self.kept_word.next = self.control.q.val().kept + 2;
        self.index_next.next = self.control.q.val().index + 1;
        self.seq_low.next = bit_cast::<16, 32>(self.place_seq.val());
        self.seq_end.next = self.seq_low.val() + self.place_length.val();
        self.offset.next = self.place_seq.val() - self.words.read_whole.val();
        self.offset_ahead.next = self.offset.val().get_bits::<17>(15);
        self.offset_behind.next = self.offset.val().get_bits::<18>(14);
        // The right edge stands before the segment's end like an interval's start.
        self.right_edge.next = self.high.val() + self.ring.val();
        self.interval_start.next = self.high.val();
        if self.state.val() == State::PlaceRd {
            self.interval_start.next = self.right_edge.val();
        }
        self.start_to_interval.next = self.control.q.val().start - self.interval_start.val();
        self.start_to_its_end.next = self.control.q.val().start - self.low.val();
        self.interval_to_end.next = self.interval_start.val() - self.control.q.val().end;
        self.start_to_end.next = self.control.q.val().start - self.control.q.val().end;
        self.empty.next = !self.start_to_end.val().get_bit(15);
        self.commit_high.next = self.control.q.val().high;
        // `rcv_nxt` moves by at most 32,768: its low half wraps exactly if bit 15 falls.
        self.rcv_high_next.next = self.control.q.val().rcv_high;
        if self.control.q.val().rcv_wraps && !self.commit_high.val().get_bit(15) {
            self.rcv_high_next.next = self.control.q.val().rcv_high + 1;
        }
        self.unread.next = self.low.val() - self.control.q.val().rd_nxt;
        self.window.next = self.ring.val() - self.unread.val();

        // ---- defaults ----
        self.words.read_row.next = self.control.q.val().row;
        self.words.read_word.next = 0.into();
        self.words.write_enable.next = false;
        self.words.write_row.next = self.control.q.val().row;
        self.words.write_word.next = 0.into();
        self.words.write_high.next = self.high.val();
        self.words.write_low.next = self.low.val();
        self.command.done.next = false;
        self.command.ok.next = false;
        self.command.result.next = 0.into();
        self.command.result2.next = 0.into();
        self.query_done.next = false;
        self.readable.next = self.unread.val();
        self.count.next = false;
        self.cause.next = self.held_full.val();

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
            if self.queue.read_data.val().last {
                self.writer.d.next.armed = false;
                self.writer.d.next.busy = false;
            }
        }
        self.bytes.write_enable.next = self.writer.q.val().fetched && self.on.val();
        self.bytes.write_conn.next = self.place_conn.val();
        self.bytes.write_offset.next = self.writer.q.val().position;
        self.bytes.write_data.next = self.queue.read_data.val().data;
        if self.place_valid.val() {
            self.control.d.next.place_wait = true;
            self.writer.d.next.busy = true;
        }
        self.placed.next = !self.writer.q.val().busy;

        // ---- the reader ----
        self.streaming.next = self.reader.q.val().burst == Burst::Stream;
        self.last.next = self.reader.q.val().left == 1;
        self.read_at.next = self.reader.q.val().position;
        if self.streaming.val() && self.stream.ready.val() {
            self.read_at.next = self.reader.q.val().position + 1;
            self.reader.d.next.left = self.reader.q.val().left - 1;
            if self.last.val() {
                self.reader.d.next.burst = Burst::Finish;
            }
        }
        self.reader.d.next.position = self.read_at.val();
        if self.reader.q.val().burst == Burst::Fetch {
            self.reader.d.next.burst = Burst::Stream;
        }
        if self.start.val() {
            self.reader.d.next.burst = Burst::Begin;
            self.reader.d.next.conn = self.start_conn.val();
            self.reader.d.next.left = self.start_count.val();
        }
        self.posted.next = (self.reader.q.val().burst == Burst::Post) && self.post_ready.val();
        if self.posted.val() {
            self.reader.d.next.burst = Burst::Idle;
        }
        self.bytes.read_conn.next = self.reader.q.val().conn;
        self.bytes.read_offset.next = self.read_at.val();
        self.stream.valid.next = self.streaming.val();
        self.stream.data.next = self.bytes.read_data.val();
        self.stream.last.next = self.last.val();
        self.stream.error.next = false;
        self.post_valid.next = self.reader.q.val().burst == Burst::Post;
        self.post_conn.next = self.reader.q.val().conn;
        self.post_bit.next = self.read_bit.val();
        self.burst_done.next = self.posted.val();

        // ---- state machine ----
        match self.state.val() {
            State::Idle => {
                self.control.d.next.index = 0.into();
                self.control.d.next.kept = 0.into();
                self.control.d.next.looked = 0.into();
                self.control.d.next.changed = false;
                self.control.d.next.passes = 0.into();
                self.control.d.next.moved = false;
                self.control.d.next.asked = false;
                self.control.d.next.slot = bit_cast::<2, 3>(self.command.slot.val());
                self.control.d.next.row = self.command.conn.val();
                self.words.read_row.next = self.command.conn.val();
                self.words.read_word.next = 1.into();
                if self.control.q.val().place_wait {
                    self.control.d.next.place_wait = false;
                    self.control.d.next.first = self.slots_oldest.val();
                    self.control.d.next.occupied = self.slots_count.val();
                    self.control.d.next.start = self.seq_low.val();
                    self.control.d.next.end = self.seq_end.val();
                    self.control.d.next.any = false;
                    self.control.d.next.row = self.place_conn.val();
                    self.words.read_row.next = self.place_conn.val();
                    self.words.read_word.next = 0.into();
                    self.control.d.next.state = State::PlaceArm;
                    if self.place_hit.val() {
                        self.control.d.next.state = State::PlaceRcv;
                    }
                } else if self.mine.val() {
                    self.control.d.next.state = State::AnswerRd;
                    if self.command.code.val() == self.init.val() {
                        self.control.d.next.state = State::InitRcv;
                    }
                    if self.command.code.val() == self.commit.val() {
                        self.words.read_row.next = self.command_row.val();
                        self.words.read_word.next = 7.into();
                        self.control.d.next.state = State::CommitWho;
                    }
                } else if self.query_valid.val() {
                    self.control.d.next.asked = true;
                    self.control.d.next.row = self.query_conn.val();
                    self.words.read_row.next = self.query_conn.val();
                    self.control.d.next.state = State::AnswerRd;
                } else if self.reader.q.val().burst == Burst::Begin {
                    self.control.d.next.row = self.reader.q.val().conn;
                    self.words.read_row.next = self.reader.q.val().conn;
                    self.control.d.next.state = State::BurstBegin;
                } else if self.reader.q.val().burst == Burst::Finish {
                    self.control.d.next.row = self.reader.q.val().conn;
                    self.words.read_row.next = self.reader.q.val().conn;
                    self.control.d.next.state = State::BurstEnd;
                }
            }
            // A segment: what lies before `rcv_nxt` is cut off, then what lies beyond the right edge.
            State::PlaceRcv => {
                self.words.read_word.next = 1.into();
                self.control.d.next.state = State::PlaceArm;
                if !self.offset_ahead.val().any() {
                    self.control.d.next.state = State::PlaceRd;
                }
                if self.offset_behind.val().all() {
                    self.control.d.next.start = self.low.val();
                    self.control.d.next.state = State::PlaceRd;
                }
            }
            State::PlaceRd => {
                self.control.d.next.held = self.held_now.val();
                if self.interval_to_end.val().get_bit(15) {
                    self.control.d.next.end = self.right_edge.val();
                }
                self.control.d.next.state = State::ClipNext;
                if self.empty.val() || !self.start_to_interval.val().get_bit(15) {
                    self.control.d.next.state = State::PlaceArm;
                }
            }
            State::ClipNext => {
                self.words.read_word.next = self.index_word.val();
                self.control.d.next.state = State::Clip;
                if self.empty.val() {
                    self.control.d.next.state = State::PlaceArm;
                } else if self.control.q.val().index != self.control.q.val().held {
                    self.control.d.next.index = self.index_next.val();
                } else if self.control.q.val().looked != self.control.q.val().occupied {
                    self.words.read_row.next = self.scan_row.val();
                    self.words.read_word.next = 7.into();
                    self.control.d.next.state = State::ClipWho;
                } else if self.control.q.val().changed {
                    // An interval looked at before may contain the new start.
                    self.control.d.next.index = 0.into();
                    self.control.d.next.looked = 0.into();
                    self.control.d.next.changed = false;
                    self.control.d.next.passes = self.control.q.val().passes + 1;
                    self.control.d.next.state = State::ClipNext;
                    if self.control.q.val().passes == 3 {
                        self.control.d.next.state = State::PlaceArm;
                    }
                } else {
                    self.control.d.next.state = State::PlaceWrite;
                }
            }
            State::ClipWho => {
                self.control.d.next.looked = self.control.q.val().looked + 1;
                self.words.read_row.next = self.scan_row.val();
                self.words.read_word.next = 6.into();
                self.control.d.next.state = State::ClipNext;
                if self.high.val().get_bit(0)
                    && (bit_cast::<10, 16>(self.low.val()) == self.control.q.val().row)
                {
                    self.control.d.next.state = State::Clip;
                }
            }
            State::Clip => {
                if self.start_to_interval.val().get_bit(15) {
                    if self.interval_to_end.val().get_bit(15) {
                        self.control.d.next.end = self.high.val();
                    }
                } else if self.start_to_its_end.val().get_bit(15) {
                    self.control.d.next.start = self.low.val();
                    self.control.d.next.changed = true;
                }
                self.control.d.next.state = State::ClipNext;
            }
            State::PlaceWrite => {
                self.words.write_enable.next = true;
                self.words.write_row.next = self.place_row.val();
                self.words.write_word.next = 6.into();
                self.words.write_high.next = self.control.q.val().start;
                self.words.write_low.next = self.control.q.val().end;
                self.control.d.next.any = true;
                self.control.d.next.state = State::PlaceArm;
            }
            State::PlaceArm => {
                self.words.write_enable.next = true;
                self.words.write_row.next = self.place_row.val();
                self.words.write_word.next = 7.into();
                self.words.write_high.next = 0.into();
                if self.control.q.val().any {
                    self.words.write_high.next = 1.into();
                }
                self.words.write_low.next = bit_cast::<16, 10>(self.control.q.val().row);
                self.writer.d.next.position = self.seq_low.val();
                self.writer.d.next.writing = false;
                if self.place_length.val().any() {
                    self.writer.d.next.armed = true;
                } else {
                    self.writer.d.next.busy = false;
                }
                self.control.d.next.state = State::Idle;
            }
            // A commit: what it touches is merged into it, what it does not is written back, closed up.
            State::CommitWho => {
                self.words.read_word.next = 1.into();
                self.control.d.next.state = State::AnswerRd;
                if self.high.val().get_bit(0)
                    && (bit_cast::<10, 16>(self.low.val()) == self.control.q.val().row)
                {
                    self.words.write_enable.next = true;
                    self.words.write_row.next = self.slot_row.val();
                    self.words.write_word.next = 7.into();
                    self.words.write_high.next = 0.into();
                    self.words.read_row.next = self.slot_row.val();
                    self.words.read_word.next = 6.into();
                    self.control.d.next.state = State::CommitPending;
                }
            }
            State::CommitPending => {
                self.control.d.next.low = self.high.val();
                self.control.d.next.high = self.low.val();
                self.control.d.next.state = State::CommitRcv;
            }
            State::CommitRcv => {
                self.control.d.next.rcv_high = self.high.val();
                self.control.d.next.rcv_wraps = self.low.val().get_bit(15);
                self.control.d.next.in_order = self.control.q.val().low == self.low.val();
                self.words.read_word.next = 1.into();
                self.control.d.next.state = State::CommitRd;
            }
            State::CommitRd => {
                self.control.d.next.rd_nxt = self.high.val();
                self.control.d.next.held = self.held_now.val();
                self.control.d.next.state = State::CommitEnd;
                if self.held_now.val().any() {
                    self.control.d.next.state = State::MergeNext;
                }
            }
            State::MergeNext => {
                self.words.read_word.next = self.index_word.val();
                self.control.d.next.index = self.index_next.val();
                self.control.d.next.state = State::Merge;
            }
            State::Merge => {
                if self.low.val() == self.control.q.val().low {
                    self.control.d.next.low = self.high.val();
                } else if self.high.val() == self.control.q.val().high {
                    self.control.d.next.high = self.low.val();
                } else {
                    self.words.write_enable.next = true;
                    self.words.write_word.next = self.kept_word.val();
                    self.control.d.next.kept = self.control.q.val().kept + 1;
                }
                self.control.d.next.state = State::MergeNext;
                if self.control.q.val().index == self.control.q.val().held {
                    self.control.d.next.state = State::CommitEnd;
                }
            }
            State::CommitEnd => {
                self.words.write_low.next = self.control.q.val().high;
                if self.control.q.val().in_order {
                    self.words.write_enable.next = true;
                    self.words.write_high.next = self.rcv_high_next.val();
                    self.control.d.next.moved = true;
                } else {
                    self.words.write_word.next = self.kept_word.val();
                    self.words.write_high.next = self.control.q.val().low;
                    if self.control.q.val().kept == 4 {
                        self.count.next = true;
                    } else {
                        self.words.write_enable.next = true;
                        self.control.d.next.kept = self.control.q.val().kept + 1;
                    }
                }
                self.control.d.next.state = State::CommitCount;
            }
            State::CommitCount => {
                self.words.write_enable.next = true;
                self.words.write_word.next = 1.into();
                self.words.write_high.next = self.control.q.val().rd_nxt;
                self.words.write_low.next = bit_cast::<16, 3>(self.control.q.val().kept);
                self.control.d.next.state = State::Answer;
            }
            State::AnswerRd => {
                self.control.d.next.rd_nxt = self.high.val();
                self.control.d.next.state = State::Answer;
            }
            State::Answer => {
                self.control.d.next.state = State::Idle;
                if self.control.q.val().asked {
                    self.query_done.next = true;
                } else {
                    self.command.done.next = true;
                    self.command.ok.next = self.control.q.val().moved;
                    self.command.result.next = bit_cast::<32, 16>(self.window.val());
                    self.command.result2.next = self.words.read_whole.val();
                    if self.command.code.val() == self.commit.val() {
                        self.command.result.next = self.words.read_whole.val();
                        self.command.result2.next = bit_cast::<32, 16>(self.window.val());
                    }
                }
            }
            // A new connection: what slots still hold of the last one is void.
            State::InitRcv => {
                self.words.write_enable.next = true;
                self.words.write_high.next = self.command.a.val().get_bits::<16>(16);
                self.words.write_low.next = bit_cast::<16, 32>(self.command.a.val());
                self.control.d.next.state = State::InitRd;
            }
            State::InitRd => {
                self.words.write_enable.next = true;
                self.words.write_word.next = 1.into();
                self.words.write_high.next = bit_cast::<16, 32>(self.command.a.val());
                self.words.write_low.next = 0.into();
                self.control.d.next.state = State::InitIssue;
            }
            State::InitIssue => {
                self.words.read_row.next = self.look_row.val();
                self.words.read_word.next = 7.into();
                self.control.d.next.state = State::InitCheck;
            }
            State::InitCheck => {
                self.words.write_enable.next =
                    bit_cast::<10, 16>(self.low.val()) == self.control.q.val().row;
                self.words.write_row.next = self.look_row.val();
                self.words.write_word.next = 7.into();
                self.words.write_high.next = 0.into();
                self.control.d.next.looked = self.control.q.val().looked + 1;
                self.control.d.next.state = State::InitIssue;
                if self.control.q.val().looked == 3 {
                    self.control.d.next.state = State::InitDone;
                }
            }
            State::InitDone => {
                self.command.done.next = true;
                self.control.d.next.state = State::Idle;
            }
            // The application's burst.
            State::BurstBegin => {
                self.reader.d.next.position = self.high.val();
                self.reader.d.next.burst = Burst::Fetch;
                self.control.d.next.state = State::Idle;
            }
            State::BurstEnd => {
                self.words.write_enable.next = true;
                self.words.write_word.next = 1.into();
                self.words.write_high.next = self.reader.q.val().position;
                self.reader.d.next.burst = Burst::Post;
                self.control.d.next.state = State::Idle;
            }
            _ => {
                self.control.d.next.state = State::Idle;
            }
        }

        // ---- reset ----
        if self.reset.val() {
            self.control.d.next.state = State::Idle;
            self.control.d.next.place_wait = false;
            self.writer.d.next.busy = false;
            self.writer.d.next.armed = false;
            self.writer.d.next.fetched = false;
            self.writer.d.next.head = 0.into();
            self.writer.d.next.tail = 0.into();
            self.reader.d.next.burst = Burst::Idle;
        }
    }
}
