//! The send ring: the application's bytes, cut into segments as they are written.
//!
//! The byte with sequence number `s` lies at `s mod T` of its connection's area, so nothing moves. While bytes come in, the tail being cut lives
//! in registers (length, 16-bit ones' complement sum of the payload as if it began on an even byte: parity by offset in the *segment*); at `mss` bytes,
//! or at `TX_CUT`, it becomes a descriptor (length, sum, psh). All else a connection needs is three words of the same memory:
//!
//! | word | low 16 | mid 11 | top 5 |
//! |---|---|---|---|
//! | 0 to 15 | sum | length | psh, bits 1 to 3: S, L, R |
//! | 16 `HEAD` | una | mss | head index |
//! | 17 `TAIL` | wr_nxt | length of the open tail | tail index |
//! | 18 `SUM` | sum of the open tail (void when its length is 0) | | |
//!
//! Indices count modulo 32 and name slots modulo 16. During a burst `TAIL` and `SUM` of its connection live in registers, and commands for that connection
//! look there; everything else is always in memory, so commands and a burst go on at the same time.
//!
//! **Events.** `written` is posted as soon as a burst has filled a segment, and at its end. While bytes are still to come `TX_PEEK` tells of no tail: nobody sends a
//! small segment for want of patience.
//!
//! **Descriptors.** A grant may need two descriptors. `writable` is 0 while more than 11 are used, `TX_CUT` and `TX_RECUT` are refused (`ok` low) while more than 13 are:
//! so an application that writes can't keep `TX_RECUT` from its one, and even when both commands come between grant and burst, 13 + 1 + 2 slots are enough.
//!
//! **A shorter size** (RFC 1191), where the ring is built for it: `TX_RECUT` with `a` 0 splits nothing, but makes `b` the size that segments are cut at. A burst goes by the size that its grant was counted with; what it leaves as an open tail longer than
//! the new size is closed as the next burst begins. Segments that are cut already stay as they are, to be re-cut from the head on. So that a head can always be re-cut, `TX_CUT` is refused while more than 12 descriptors are used in such a ring.
//!
//! **Scoreboard** (RFC 6675), where the ring is built with it. A descriptor's marks say what became of its segment: S, the peer has selectively acknowledged it; L, it is lost; R, it was sent again since.
//! One that is cut, first or again, has none. `TX_SACK` marks S each descriptor that lies wholly inside `[a, b)`. Of both edges the distance from the head's first byte is taken, modulo 2^16, and no byte of a
//! descriptor is further than 32,768 from there: so nothing wraps in what is compared, whatever a peer makes up. An edge below the head seems to lie above all descriptors: a left one marks none, a right one bounds
//! none. `TX_PIPE` (b descriptors are sent, `imm` is the threshold) goes from the last one sent down to the head and counts those with S: what has neither S nor R and as many with S above it as the threshold says gets L; a
//! threshold of 0 is a timeout: each gets L and loses S and R (RFC 2018 section 8). Of the threshold the lower five bits count, so that with [`isa::PIPE_ALL`](super::isa::PIPE_ALL) each that has neither S nor R gets L. It adds up what is on its way (neither S, nor L without R), and ends with the lowest one that has L alone: the next to be sent again.
//! `TX_MARK` marks it R.
//!
//! **Latency.** Query 5 cycles, start to the first byte 6, last byte to `burst_done` 3 (4 if it closes a segment), each behind at most one command. `TX_PEEK` 4, `TX_INIT` 3, `TX_CUT` 5,
//! `TX_FREE` 5 and one for each descriptor freed, `TX_RECUT` 10 + a and the cycles the builder reads, after the burst under way (4 with a 0); `TX_SACK` 5 and one for each descriptor that ends at or below b, `TX_PIPE` 6 + b, `TX_MARK` 5; without scoreboard
//! these three 4; all but `TX_INIT` one more if `HEAD` was not on its way: in the cycle before
//! the bus named another connection, or the ring was at work (a `TX_FREE` or a refused command may have ended in it), and two if a query or a burst begins with the command. Each cycle in which the burst
//! closes a segment may cost a command one more.
//! **Throughput.** One byte a cycle. **Abort.** A burst can't be broken off; `TX_INIT` forgets all that a connection held, and must not come during its burst.
//!
//! **How reading goes.** A word of either memory goes into a register and is used in the cycle after, so addresses are given two cycles ahead: that of `TAIL` while `HEAD` is on its way, the first descriptor's
//! by the head index as it comes, the next ones' on chance. While the ring rests it reads `HEAD` and then `TAIL` of the connection that the bus names, and keeps them: an event's connection is known long before its
//! first command, and no address hangs on a command in the cycle in which it comes.
use super::command::CommandIn;
use super::ring_memory::RingMemory;
use crate::memory::Memory;
use crate::stream::StreamIn;
use rust_hdl::prelude::*;

// ---------------------------------------------------------------- types

/// Two fields side by side: wiring.
#[derive(LogicBlock, Debug, Default)]
pub(crate) struct Join<const H: usize, const L: usize, const O: usize> {
    pub high: Signal<In, Bits<H>>,
    pub low: Signal<In, Bits<L>>,
    pub joined: Signal<Out, Bits<O>>,
}

impl<const H: usize, const L: usize, const O: usize> Logic for Join<H, L, O> {
    fn update(&mut self) {
        let high: u64 = self.high.val().to_u64();
        let low: u64 = self.low.val().to_u64();
        self.joined.next = (high << L | low).into();
    }

    fn connect(&mut self) {
        self.joined.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) joined = {high, low};\n".into())
    }
}

/// Adds two numbers and a carry of 1 bit; the carry out is the next `carry` of a ones' complement sum.
#[derive(LogicBlock, Debug, Default)]
pub(crate) struct AddCarry {
    pub a: Signal<In, Bits<16>>,
    pub b: Signal<In, Bits<16>>,
    pub carry: Signal<In, Bits<1>>,
    pub sum: Signal<Out, Bits<16>>,
    pub carry_out: Signal<Out, Bits<1>>,
}

impl Logic for AddCarry {
    fn update(&mut self) {
        let a: u64 = self.a.val().to_u64();
        let b: u64 = self.b.val().to_u64();
        let carry: u64 = self.carry.val().to_u64();
        let total = a + b + carry;
        self.sum.next = (total & 0xFFFF).into();
        self.carry_out.next = (total >> 16).into();
    }

    fn connect(&mut self) {
        self.sum.connect();
        self.carry_out.connect();
    }

    // The carry goes in below the lowest bit: one carry chain.
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "\
wire [17:0] wide = {1'b0, a, 1'b1} + {1'b0, b, carry};
always @(*) begin
    sum = wide[16:1];
    carry_out = wide[17];
end
"
            .into(),
        )
    }
}

/// The top field of a descriptor: wiring.
#[derive(LogicBlock, Debug, Default)]
struct Marks {
    psh: Signal<In, Bit>,
    sacked: Signal<In, Bit>,
    lost: Signal<In, Bit>,
    again: Signal<In, Bit>,
    top: Signal<Out, Bits<5>>,
}

impl Logic for Marks {
    fn update(&mut self) {
        let bits = [&self.psh, &self.sacked, &self.lost, &self.again];
        let top = bits
            .iter()
            .rev()
            .fold(0, |top, bit| 2 * top + u64::from(bit.val()));
        self.top.next = top.into();
    }

    fn connect(&mut self) {
        self.top.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) top = {1'b0, again, lost, sacked, psh};\n".into())
    }
}

/// A word of the control memory.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
pub struct Word {
    low: Bits<16>,
    mid: Bits<11>,
    top: Bits<5>,
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum State {
    Idle,
    /// `HEAD` is on its way, `TAIL` is asked for.
    Ask,
    /// `HEAD` is there …
    Head,
    /// … and `TAIL` in the next cycle.
    Tail,
    Peek,
    Free,
    Cut,
    CutNow,
    WriteTail,
    WriteHead,
    Measure,
    Load,
    StoreSum,
    StoreTail,
    Scan,
    RecutFirst,
    RecutSubtract,
    RecutSecond,
    Sack,
    PipeAsk,
    Pipe,
    Mark,
    /// The scoreboard's answers, from registers.
    Told,
}

#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
struct Registers {
    state: State,
    querying: Bit,
    starting: Bit,
    // what the memories gave a cycle ago: nothing is computed with a word in the cycle in which it appears
    low_read: Bits<16>,
    mid_read: Bits<11>,
    top_read: Bits<5>,
    byte_read: Bits<8>,
    // `HEAD` of this connection is on its way, or there and `TAIL` is
    warm: Bit,
    held: Bit,
    warm_conn: Bits<10>,
    // the command was not looked at yet; it is TX_INIT; its `a`, and the low half of its `b`
    command_first: Bit,
    init: Bit,
    a: Bits<32>,
    b: Bits<16>,
    // a pacer holds it; and what there is, for that, is not told
    hold: Bit,
    masked: Bit,
    // the job under way
    owned: Bit,
    low: Bits<16>,
    mss: Bits<11>,
    /// The `mss` that the last query was answered with: the burst behind it is cut at that.
    granted_mss: Bits<11>,
    head: Bits<5>,
    used: Bits<5>,
    tail: Bits<5>,
    open: Bits<11>,
    limit: Bits<12>,
    exists: Bit,
    freed: Bits<5>,
    // from una to the `a` of TX_FREE
    gap: Bits<16>,
    borrow: Bits<1>,
    // the scoreboard: from the left edge to the descriptor's first byte, below 0 before it; from the head to that of the next to be sent again, and which
    distance: Bits<17>,
    index: Bits<5>,
    found: Bit,
    sum: Bits<16>,
    // how many have S above this descriptor, less the threshold
    margin: Bits<7>,
    // the burst, or the scan of a re-cut
    start_due: Bit,
    active: Bit,
    more: Bit,
    issued: Bit,
    appeared: Bit,
    posting: Bit,
    post_conn: Bits<10>,
    w_conn: Bits<10>,
    w_left: Bits<12>,
    w_nxt: Bits<16>,
    // one less than what fills a segment
    w_last: Bits<11>,
    w_len: Bits<11>,
    w_full: Bit,
    w_some: Bit,
    w_tail: Bits<5>,
    w_sum: Bits<16>,
    w_carry: Bits<1>,
}

/// The send ring of all connections.
#[derive(LogicBlock)]
pub struct TxRing {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// Commands `TX_INIT` to `TX_MARK` and `TX_NEXT`, which is `TX_PEEK` where `hold` counts; without a scoreboard the last three do nothing and are answered not `ok`. `mss` is 1 to 2047; the `a` of `TX_PEEK` counts modulo 32; the `a` of `TX_FREE` lies from una
    /// to one past wr_nxt (a FIN); the `a` of `TX_RECUT` between 0 and the head's length, both excluded;
    /// the `b` of `TX_PIPE` is at most the number of descriptors; the `a` of `TX_MARK` counts modulo 32.
    pub command: CommandIn,
    /// A pacer holds the connection on the bus ([`super::pacing`]): `TX_NEXT` tells of no descriptor, `TX_CUT` is refused. Late by two cycles.
    pub hold: Signal<In, Bit>,
    /// How much may be written: held with `query_conn` until `query_done`, with which `writable` has a meaning. Not during a burst.
    pub query_valid: Signal<In, Bit>,
    pub query_conn: Signal<In, Bits<10>>,
    pub query_done: Signal<Out, Bit>,
    pub writable: Signal<Out, Bits<16>>,
    /// High for one cycle to begin a burst of `start_count` bytes, 1 to the `writable` last told for this connection.
    pub start: Signal<In, Bit>,
    pub start_conn: Signal<In, Bits<10>>,
    pub start_count: Signal<In, Bits<16>>,
    /// The burst's bytes; `ready` stays high from its first to its last. `last` and `error` mean nothing here.
    pub bytes: StreamIn,
    /// High for one cycle when all is written; the next query or start may come in the next.
    pub burst_done: Signal<Out, Bit>,
    /// Event `written` after each burst and after each segment that it closes before its end (unless one is still held), held until `post_ready`.
    pub post_valid: Signal<Out, Bit>,
    pub post_conn: Signal<Out, Bits<10>>,
    pub post_bit: Signal<Out, Bits<3>>,
    pub post_ready: Signal<In, Bit>,
    /// The builder reads: `read_data` follows one cycle after an address at which `builder_busy` was high.
    pub builder_busy: Signal<In, Bit>,
    pub read_conn: Signal<In, Bits<10>>,
    pub read_offset: Signal<In, Bits<16>>,
    pub read_data: Signal<Out, Bits<8>>,
    ring_bytes: Constant<Bits<16>>,
    twice_ring_less_one: Constant<Bits<16>>,
    bytes_memory: RingMemory,
    words: Memory<Word, 15>,
    read_at: Join<10, 5, 15>,
    write_at: Join<10, 5, 15>,
    addend: Join<8, 8, 16>,
    first: Join<8, 8, 16>,
    stored_sum: Join<8, 8, 16>,
    twice: Join<11, 1, 12>,
    una: Join<16, 16, 32>,
    psh_length: Join<5, 16, 21>,
    place: Join<16, 16, 32>,
    marks: Marks,
    add: AddCarry,
    r: DFF<Registers>,
    // decode
    addressed: Signal<Local, Bit>,
    is_init: Signal<Local, Bit>,
    is_peek: Signal<Local, Bit>,
    is_next: Signal<Local, Bit>,
    is_cut: Signal<Local, Bit>,
    is_free: Signal<Local, Bit>,
    is_recut: Signal<Local, Bit>,
    choose_command: Signal<Local, Bit>,
    choose_start: Signal<Local, Bit>,
    for_start: Signal<Local, Bit>,
    for_query: Signal<Local, Bit>,
    warm: Signal<Local, Bit>,
    used: Signal<Local, Bits<5>>,
    many: Signal<Local, Bit>,
    full: Signal<Local, Bit>,
    room: Signal<Local, Bit>,
    cut_room: Signal<Local, Bit>,
    a: Signal<Local, Bits<32>>,
    a_low: Signal<Local, Bits<16>>,
    a_high: Signal<Local, Bits<16>>,
    a_mid: Signal<Local, Bits<11>>,
    a_five: Signal<Local, Bits<5>>,
    // descriptor index
    offset: Signal<Local, Bits<4>>,
    base: Signal<Local, Bits<4>>,
    slot: Signal<Local, Bits<4>>,
    prefetch: Signal<Local, Bit>,
    read_index: Signal<Local, Bits<5>>,
    write_index: Signal<Local, Bits<5>>,
    head_slot: Signal<Local, Bits<4>>,
    w_slot: Signal<Local, Bits<4>>,
    down_slot: Signal<Local, Bits<4>>,
    head_down: Signal<Local, Bits<5>>,
    tail_up: Signal<Local, Bits<5>>,
    word: Signal<Local, Word>,
    out: Signal<Local, Word>,
    write_conn: Signal<Local, Bits<10>>,
    tail_slot: Signal<Local, Bits<4>>,
    tail_now: Signal<Local, Bits<5>>,
    used_now: Signal<Local, Bits<5>>,
    // TX_FREE
    ahead: Signal<Local, Bits<16>>,
    gap: Signal<Local, Bits<16>>,
    gap_left: Signal<Local, Bits<17>>,
    una_low: Signal<Local, Bits<17>>,
    takes: Signal<Local, Bit>,
    una_high: Signal<Local, Bits<16>>,
    // query
    write_edge: Signal<Local, Bits<16>>,
    before_edge: Signal<Local, Bits<16>>,
    space: Signal<Local, Bits<16>>,
    limit: Signal<Local, Bits<12>>,
    // the tail being cut
    w_len: Signal<Local, Bits<11>>,
    w_next: Signal<Local, Bits<11>>,
    cut_now: Signal<Local, Bit>,
    close: Signal<Local, Bit>,
    taken: Signal<Local, Bit>,
    scanned: Signal<Local, Bit>,
    issue: Signal<Local, Bit>,
    byte: Signal<Local, Bits<8>>,
    segment: Signal<Local, Bits<11>>,
    segment_last: Signal<Local, Bits<11>>,
    x: Signal<Local, Bits<16>>,
    folded: Signal<Local, Bits<16>>,
    inverted: Signal<Local, Bits<16>>,
    swap: Signal<Local, Bit>,
    rest: Signal<Local, Bits<11>>,
    may_write: Signal<Local, Bit>,
    // the scoreboard
    with_pacer: Constant<Bit>,
    with_scoreboard: Constant<Bit>,
    with_shorter: Constant<Bit>,
    shortens: Signal<Local, Bit>,
    b_mss: Signal<Local, Bits<11>>,
    is_sack: Signal<Local, Bit>,
    is_pipe: Signal<Local, Bit>,
    is_mark: Signal<Local, Bit>,
    answers: Signal<Local, Bit>,
    sacking: Signal<Local, Bit>,
    asking: Signal<Local, Bit>,
    piping: Signal<Local, Bit>,
    marking: Signal<Local, Bit>,
    stall: Signal<Local, Bit>,
    b_five: Signal<Local, Bits<5>>,
    above_sent: Signal<Local, Bits<5>>,
    right: Signal<Local, Bits<16>>,
    ahead_wide: Signal<Local, Bits<17>>,
    short: Signal<Local, Bits<17>>,
    from_left: Signal<Local, Bits<17>>,
    stride: Signal<Local, Bits<17>>,
    distance: Signal<Local, Bits<17>>,
    sum: Signal<Local, Bits<16>>,
    used_down: Signal<Local, Bits<5>>,
    threshold: Signal<Local, Bits<7>>,
    minus_threshold: Signal<Local, Bits<7>>,
    margin: Signal<Local, Bits<7>>,
    margin_up: Signal<Local, Bits<7>>,
    top: Signal<Local, Bits<5>>,
    psh: Signal<Local, Bits<5>>,
    sacked: Signal<Local, Bit>,
    again: Signal<Local, Bit>,
    inside: Signal<Local, Bit>,
    timeout: Signal<Local, Bit>,
    sacked_now: Signal<Local, Bit>,
    lost_now: Signal<Local, Bit>,
    again_now: Signal<Local, Bit>,
    under_way: Signal<Local, Bit>,
    due: Signal<Local, Bit>,
    a_four: Signal<Local, Bits<4>>,
    mark_slot: Signal<Local, Bits<4>>,
}

impl TxRing {
    /// Rings of `ring_bytes` bytes for `connections` connections, with a scoreboard or without, and with a size of segments that may become shorter or stays as it is.
    ///
    /// # Panics
    /// If `connections` is not a power of two from 1 to 1024 or `ring_bytes` not one from 2 to 32,768.
    pub fn new(connections: usize, ring_bytes: usize, scoreboard: bool, shorter: bool) -> Self {
        assert!(
            connections.is_power_of_two() && connections <= 1024,
            "TxRing: connections is {connections}, but must be a power of two from 1 to 1024"
        );
        assert!(
            ring_bytes.is_power_of_two() && (2..=32768).contains(&ring_bytes),
            "TxRing: ring_bytes is {ring_bytes}, but must be a power of two from 2 to 32768"
        );
        Self {
            clock: Default::default(),
            reset: Default::default(),
            command: Default::default(),
            hold: Default::default(),
            query_valid: Default::default(),
            query_conn: Default::default(),
            query_done: Default::default(),
            writable: Default::default(),
            start: Default::default(),
            start_conn: Default::default(),
            start_count: Default::default(),
            bytes: Default::default(),
            burst_done: Default::default(),
            post_valid: Default::default(),
            post_conn: Default::default(),
            post_bit: Default::default(),
            post_ready: Default::default(),
            builder_busy: Default::default(),
            read_conn: Default::default(),
            read_offset: Default::default(),
            read_data: Default::default(),
            ring_bytes: Constant::new((ring_bytes as u64).into()),
            twice_ring_less_one: Constant::new((2 * ring_bytes as u64 - 1).into()),
            bytes_memory: RingMemory::new(connections, ring_bytes),
            words: Memory::new(32 * connections),
            read_at: Default::default(),
            write_at: Default::default(),
            addend: Default::default(),
            first: Default::default(),
            stored_sum: Default::default(),
            twice: Default::default(),
            una: Default::default(),
            psh_length: Default::default(),
            place: Default::default(),
            marks: Default::default(),
            add: Default::default(),
            r: Default::default(),
            addressed: Default::default(),
            is_init: Default::default(),
            is_peek: Default::default(),
            is_next: Default::default(),
            is_cut: Default::default(),
            is_free: Default::default(),
            is_recut: Default::default(),
            choose_command: Default::default(),
            choose_start: Default::default(),
            for_start: Default::default(),
            for_query: Default::default(),
            warm: Default::default(),
            used: Default::default(),
            many: Default::default(),
            full: Default::default(),
            room: Default::default(),
            cut_room: Default::default(),
            a: Default::default(),
            a_low: Default::default(),
            a_high: Default::default(),
            a_mid: Default::default(),
            a_five: Default::default(),
            offset: Default::default(),
            base: Default::default(),
            slot: Default::default(),
            prefetch: Default::default(),
            read_index: Default::default(),
            write_index: Default::default(),
            head_slot: Default::default(),
            w_slot: Default::default(),
            down_slot: Default::default(),
            head_down: Default::default(),
            tail_up: Default::default(),
            word: Default::default(),
            out: Default::default(),
            write_conn: Default::default(),
            tail_slot: Default::default(),
            tail_now: Default::default(),
            used_now: Default::default(),
            ahead: Default::default(),
            gap: Default::default(),
            gap_left: Default::default(),
            una_low: Default::default(),
            takes: Default::default(),
            una_high: Default::default(),
            write_edge: Default::default(),
            before_edge: Default::default(),
            space: Default::default(),
            limit: Default::default(),
            w_len: Default::default(),
            w_next: Default::default(),
            cut_now: Default::default(),
            close: Default::default(),
            taken: Default::default(),
            scanned: Default::default(),
            issue: Default::default(),
            byte: Default::default(),
            segment: Default::default(),
            segment_last: Default::default(),
            x: Default::default(),
            folded: Default::default(),
            inverted: Default::default(),
            swap: Default::default(),
            rest: Default::default(),
            may_write: Default::default(),
            with_pacer: Constant::new(false),
            with_scoreboard: Constant::new(scoreboard),
            with_shorter: Constant::new(shorter),
            shortens: Default::default(),
            b_mss: Default::default(),
            is_sack: Default::default(),
            is_pipe: Default::default(),
            is_mark: Default::default(),
            answers: Default::default(),
            sacking: Default::default(),
            asking: Default::default(),
            piping: Default::default(),
            marking: Default::default(),
            stall: Default::default(),
            b_five: Default::default(),
            above_sent: Default::default(),
            right: Default::default(),
            ahead_wide: Default::default(),
            short: Default::default(),
            from_left: Default::default(),
            stride: Default::default(),
            distance: Default::default(),
            sum: Default::default(),
            used_down: Default::default(),
            threshold: Default::default(),
            minus_threshold: Default::default(),
            margin: Default::default(),
            margin_up: Default::default(),
            top: Default::default(),
            psh: Default::default(),
            sacked: Default::default(),
            again: Default::default(),
            inside: Default::default(),
            timeout: Default::default(),
            sacked_now: Default::default(),
            lost_now: Default::default(),
            again_now: Default::default(),
            under_way: Default::default(),
            due: Default::default(),
            a_four: Default::default(),
            mark_slot: Default::default(),
        }
    }
}

impl TxRing {
    /// The same, that knows `TX_NEXT` and looks at `hold`; or not.
    #[must_use]
    pub fn with_pacer(mut self, pacer: bool) -> Self {
        self.with_pacer = Constant::new(pacer);
        self
    }
}

impl Logic for TxRing {
    #[hdl_gen]
    fn update(&mut self) {
        // ------------------------------------------------ registers
        dff_setup!(self, clock, r);
        self.words.clock.next = self.clock.val();
        self.bytes_memory.clock.next = self.clock.val();
        self.word.next = self.words.read_data.val();

        // ------------------------------------------------ decode
        self.is_init.next = self.command.code.val() == bits::<6>(0x18);
        self.is_next.next = self.with_pacer.val() & (self.command.code.val() == bits::<6>(0x3B));
        self.is_peek.next = (self.command.code.val() == bits::<6>(0x19)) | self.is_next.val();
        self.is_cut.next = self.command.code.val() == bits::<6>(0x1A);
        self.is_free.next = self.command.code.val() == bits::<6>(0x1B);
        self.is_recut.next = self.command.code.val() == bits::<6>(0x1C);
        self.is_sack.next =
            self.with_scoreboard.val() & (self.command.code.val() == bits::<6>(0x1D));
        self.is_pipe.next =
            self.with_scoreboard.val() & (self.command.code.val() == bits::<6>(0x1E));
        self.is_mark.next =
            self.with_scoreboard.val() & (self.command.code.val() == bits::<6>(0x1F));
        self.addressed.next = self.command.valid.val()
            & ((self.command.code.val().get_bits::<3>(3) == bits::<3>(3)) | self.is_next.val());
        // A re-cut borrows the registers of the burst.
        self.choose_command.next =
            self.addressed.val() & (!self.is_recut.val() | !self.r.q.val().active);
        // What is read in `Idle` hangs on no command: that comes late in its cycle. One that finds the memory taken goes first in the next.
        self.choose_start.next =
            self.r.q.val().start_due & !self.r.q.val().active & !self.r.q.val().command_first;
        self.for_start.next = self.r.q.val().starting;
        self.for_query.next = self.r.q.val().querying;
        if self.r.q.val().state == State::Idle {
            self.for_start.next = self.choose_start.val();
            self.for_query.next =
                !self.choose_start.val() & self.query_valid.val() & !self.r.q.val().command_first;
        }
        self.r.d.next.command_first = false;
        self.r.d.next.hold = self.with_pacer.val() & self.hold.val();
        self.r.d.next.init = self.is_init.val();
        self.r.d.next.a = self.command.a.val();
        self.r.d.next.b = bit_cast::<16, 32>(self.command.b.val());
        self.b_five.next = bit_cast::<5, 16>(self.r.q.val().b);
        self.a.next = self.r.q.val().a;
        self.a_low.next = bit_cast::<16, 32>(self.a.val());
        self.a_high.next = self.a.val().get_bits::<16>(16);
        self.a_mid.next = bit_cast::<11, 32>(self.a.val());
        self.a_four.next = bit_cast::<4, 32>(self.a.val());
        self.a_five.next = bit_cast::<5, 32>(self.a.val());
        // Fewer than 14 descriptors, and fewer than 13. What a command that has found its descriptors is answered hangs on registers alone, and on no carry chain: the command's code comes late in its cycle, and the engine waits for the answer.
        self.used.next = self.r.q.val().used;
        self.many.next = self.used.val().get_bit(3) & self.used.val().get_bit(2);
        self.full.next =
            self.used.val().get_bit(4) | (self.many.val() & self.used.val().get_bit(1));
        self.room.next = !self.full.val();
        self.cut_room.next = !self.full.val()
            & !(self.with_shorter.val() & self.many.val() & self.used.val().get_bit(0))
            & !self.r.q.val().hold;
        self.b_mss.next = bit_cast::<11, 16>(self.r.q.val().b);
        self.shortens.next =
            self.with_shorter.val() & self.is_recut.val() & !self.r.q.val().a.any();
        self.r.d.next.owned =
            self.r.q.val().active & (self.r.q.val().w_conn == self.command.conn.val());
        self.warm.next =
            self.r.q.val().warm & (self.r.q.val().warm_conn == self.command.conn.val());

        // What answers for itself, and not for a query or a burst that goes before it.
        self.answers.next = !self.for_start.val() & !self.for_query.val();
        self.sacking.next = self.with_scoreboard.val() & (self.r.q.val().state == State::Sack);
        self.asking.next = self.with_scoreboard.val() & (self.r.q.val().state == State::PipeAsk);
        self.piping.next = self.with_scoreboard.val() & (self.r.q.val().state == State::Pipe);
        self.marking.next = self.with_scoreboard.val() & (self.r.q.val().state == State::Mark);
        // A burst that closes a segment takes the port.
        self.stall.next = (self.sacking.val() | self.piping.val() | self.marking.val())
            & self.r.q.val().active
            & self.r.q.val().w_full;

        // ------------------------------------------------ control memory: read
        // `HEAD` stays for as long as no command comes, `TAIL` behind it.
        if !(((self.r.q.val().state == State::Idle) & self.r.q.val().held) | self.stall.val()) {
            self.r.d.next.low_read = self.word.val().low;
            self.r.d.next.mid_read = self.word.val().mid;
            self.r.d.next.top_read = self.word.val().top;
        }
        self.r.d.next.byte_read = self.bytes_memory.read_data.val();
        self.head_slot.next = bit_cast::<4, 5>(self.r.q.val().head);
        self.base.next = self.head_slot.val();
        self.offset.next = bits::<4>(0);
        self.read_index.next = bits::<5>(16);
        self.prefetch.next = false;
        self.r.d.next.held = false;
        match self.r.q.val().state {
            State::Idle => {
                self.prefetch.next = !self.for_start.val() & !self.for_query.val();
                if self.warm.val() & self.prefetch.val() {
                    self.read_index.next = bits::<5>(17);
                    self.r.d.next.held = true;
                }
            }
            State::Ask => {
                self.read_index.next = bits::<5>(17);
            }
            State::Head => {
                self.base.next = bit_cast::<4, 5>(self.r.q.val().top_read);
                if self.is_peek.val() | self.is_mark.val() {
                    self.offset.next = bit_cast::<4, 32>(self.a.val());
                }
            }
            // TX_FREE gets a descriptor a cycle, each two cycles after its address.
            State::Tail => {
                self.offset.next = bits::<4>(1);
            }
            State::Free => {
                self.offset.next = bits::<4>(2);
            }
            State::Cut => {
                self.read_index.next = bits::<5>(18);
            }
            // Written and read at one edge.
            State::WriteHead => {
                self.prefetch.next = false;
            }
            State::Scan => {
                self.prefetch.next = false;
            }
            _ => {
                self.prefetch.next = true;
            }
        }
        // TX_SACK goes up as TX_FREE does, TX_PIPE down from one above the last one sent. Where it stands still, what is on its way is asked for again.
        if self.sacking.val() {
            self.prefetch.next = false;
            self.offset.next = bits::<4>(2);
            if self.stall.val() {
                self.offset.next = bits::<4>(1);
            }
        }
        if (self.r.q.val().state == State::Tail) & self.is_pipe.val() {
            self.offset.next = bits::<4>(15);
        }
        if self.asking.val() {
            self.prefetch.next = false;
            self.offset.next = bits::<4>(14);
        }
        if self.piping.val() {
            self.prefetch.next = false;
            self.offset.next = bits::<4>(13);
            if self.stall.val() {
                self.offset.next = bits::<4>(14);
            }
        }
        self.slot.next = self.base.val() + self.offset.val();
        if self.sacking.val()
            | self.asking.val()
            | self.piping.val()
            | (self.r.q.val().state == State::Head)
            | (self.r.q.val().state == State::Tail)
            | (self.r.q.val().state == State::Free)
            | (self.r.q.val().state == State::Scan)
            | (self.r.q.val().state == State::RecutFirst)
        {
            self.read_index.next = bit_cast::<5, 4>(self.slot.val());
        }
        if ((self.r.q.val().state == State::Head) | (self.r.q.val().state == State::Tail))
            & (self.for_start.val() | self.is_cut.val())
        {
            self.read_index.next = bits::<5>(18);
        }
        self.r.d.next.warm = self.prefetch.val();
        self.r.d.next.warm_conn = self.command.conn.val();
        self.read_at.low.next = self.read_index.val();
        self.read_at.high.next = self.command.conn.val();
        if self.for_start.val() {
            self.read_at.high.next = self.r.q.val().w_conn;
        }
        if self.for_query.val() {
            self.read_at.high.next = self.query_conn.val();
        }
        self.words.read_address.next = self.read_at.joined.val();

        // ------------------------------------------------ arithmetic
        self.tail_now.next = self.r.q.val().top_read;
        if self.r.q.val().owned {
            // As it was when the descriptor's address was given: what is closed since must not be told of.
            self.tail_now.next = self.r.q.val().tail;
        }
        self.used_now.next = self.tail_now.val() - self.r.q.val().head;
        self.tail_up.next = self.r.q.val().tail + bits::<5>(1);
        self.head_down.next = self.r.q.val().head - bits::<5>(1);
        // What lies between una and wr_nxt, and one more, is less than twice the ring: so many bits are enough, and where writing must stop is one bit off una.
        self.ahead.next = self.a_low.val() - self.r.q.val().low_read;
        self.gap.next = self.ahead.val() & self.twice_ring_less_one.val();
        // How far the edges of TX_SACK lie from una: any 16 bits. The left one with its sign turned, less one, which is made good in the next cycle.
        self.right.next = self.r.q.val().b - self.r.q.val().low_read;
        if self.is_sack.val() {
            self.gap.next = self.right.val();
        }
        self.ahead_wide.next = bit_cast::<17, 16>(self.ahead.val());
        self.short.next = !self.ahead_wide.val();
        self.gap_left.next =
            bit_cast::<17, 16>(self.r.q.val().gap) - bit_cast::<17, 11>(self.r.q.val().mid_read);
        self.takes.next = self.r.q.val().used.any() & !self.gap_left.val().get_bit(16);
        self.una_low.next =
            bit_cast::<17, 16>(self.a_low.val()) - bit_cast::<17, 16>(self.r.q.val().gap);
        self.una_high.next = self.a_high.val() - bit_cast::<16, 1>(self.r.q.val().borrow);
        self.una.high.next = self.una_high.val();
        self.una.low.next = self.r.q.val().low;
        self.write_edge.next = self.r.q.val().low ^ self.ring_bytes.val();
        self.before_edge.next = self.write_edge.val() - self.r.q.val().low_read;
        self.space.next = self.before_edge.val() & self.twice_ring_less_one.val();
        self.top.next = self.r.q.val().top_read;
        self.psh.next = self.r.q.val().top_read & bits::<5>(1);
        self.psh_length.high.next = self.psh.val();
        self.psh_length.low.next = bit_cast::<16, 11>(self.r.q.val().mid_read);
        self.twice.high.next = self.r.q.val().mss;
        self.twice.low.next = bits::<1>(0);
        self.limit.next = self.twice.joined.val() - bit_cast::<12, 11>(self.r.q.val().mid_read);

        // ------------------------------------------------ the scoreboard
        self.from_left.next = self.r.q.val().distance;
        self.stride.next = bit_cast::<17, 11>(self.r.q.val().mid_read);
        if self.r.q.val().state == State::Tail {
            self.stride.next = bits::<17>(1);
        }
        self.distance.next = self.r.q.val().distance + self.stride.val();
        self.sum.next = self.r.q.val().sum + bit_cast::<16, 11>(self.r.q.val().mid_read);
        self.used_down.next = self.r.q.val().used - bits::<5>(1);
        self.above_sent.next = self.r.q.val().top_read + self.b_five.val();
        self.threshold.next = bit_cast::<7, 6>(self.command.imm.val());
        self.minus_threshold.next = bits::<7>(0) - (self.threshold.val() & bits::<7>(31));
        self.margin.next = self.r.q.val().margin;
        self.margin_up.next = self.r.q.val().margin + bits::<7>(1);
        self.sacked.next = self.top.val().get_bit(1);
        self.again.next = self.top.val().get_bit(3);
        self.inside.next = self.takes.val() & !self.from_left.val().get_bit(16);
        self.timeout.next = self.piping.val() & !self.threshold.val().any();
        self.sacked_now.next =
            (self.sacked.val() | (self.sacking.val() & self.inside.val())) & !self.timeout.val();
        self.again_now.next = (self.again.val() | self.marking.val()) & !self.timeout.val();
        self.lost_now.next = self.top.val().get_bit(2)
            | self.timeout.val()
            | (self.piping.val()
                & !self.sacked.val()
                & !self.again.val()
                & !self.margin.val().get_bit(6));
        self.under_way.next =
            !self.sacked_now.val() & (!self.lost_now.val() | self.again_now.val());
        self.due.next = self.lost_now.val() & !self.sacked_now.val() & !self.again_now.val();
        self.marks.psh.next = self.top.val().get_bit(0);
        self.marks.sacked.next = self.sacked_now.val();
        self.marks.lost.next = self.lost_now.val();
        self.marks.again.next = self.again_now.val();
        self.mark_slot.next = self.head_slot.val() + self.a_four.val();
        self.place.high.next = bit_cast::<16, 17>(self.r.q.val().distance);
        self.place.low.next = bit_cast::<16, 5>(self.r.q.val().index);

        // ------------------------------------------------ the tail being cut
        self.w_len.next = self.r.q.val().w_len;
        self.w_next.next = self.r.q.val().w_len + bits::<11>(1);
        self.cut_now.next = (self.r.q.val().state == State::CutNow) & self.r.q.val().w_some;
        self.close.next = self.r.q.val().active & (self.r.q.val().w_full | self.cut_now.val());
        self.may_write.next = !self.close.val();
        self.issue.next = (self.r.q.val().state == State::Scan) & !self.builder_busy.val();
        self.scanned.next = (self.r.q.val().state == State::Scan)
            & self.r.q.val().appeared
            & !self.r.q.val().w_full;
        self.taken.next = self.r.q.val().more & self.bytes.valid.val();
        self.byte.next = self.bytes.data.val();
        if self.r.q.val().state == State::Scan {
            self.byte.next = self.r.q.val().byte_read;
        }
        self.first.high.next = self.byte.val();
        self.first.low.next = bits::<8>(0);
        self.addend.high.next = self.byte.val();
        self.addend.low.next = bits::<8>(0);
        if self.w_len.val().get_bit(0) {
            self.addend.high.next = bits::<8>(0);
            self.addend.low.next = self.byte.val();
        }
        self.x.next = self.addend.joined.val();
        if self.r.q.val().state == State::RecutSubtract {
            self.x.next = self.r.q.val().low_read;
        }
        self.add.a.next = self.r.q.val().w_sum;
        self.add.b.next = self.x.val();
        self.add.carry.next = self.r.q.val().w_carry;
        self.folded.next = self.r.q.val().w_sum + bit_cast::<16, 1>(self.r.q.val().w_carry);
        self.inverted.next = !self.folded.val();
        self.rest.next = self.r.q.val().mid_read - self.r.q.val().w_len;
        self.segment.next = self.a_mid.val();
        if self.r.q.val().state == State::Load {
            self.segment.next = self.r.q.val().mss;
            if self.with_shorter.val() {
                self.segment.next = self.r.q.val().granted_mss;
            }
        }
        self.segment_last.next = self.segment.val() - bits::<11>(1);

        if self.close.val() {
            self.r.d.next.w_len = bits::<11>(0);
            self.r.d.next.w_full = false;
            self.r.d.next.w_some = false;
            self.r.d.next.w_sum = bits::<16>(0);
            self.r.d.next.w_carry = bits::<1>(0);
            self.r.d.next.w_tail = self.r.q.val().w_tail + bits::<5>(1);
        }
        // That a segment is full is seen as its last byte comes.
        if self.taken.val() | self.scanned.val() {
            self.r.d.next.w_some = true;
            if self.close.val() {
                self.r.d.next.w_len = bits::<11>(1);
                self.r.d.next.w_full = !self.r.q.val().w_last.any();
                self.r.d.next.w_sum = self.first.joined.val();
            } else {
                self.r.d.next.w_len = self.w_next.val();
                self.r.d.next.w_full = self.r.q.val().w_len == self.r.q.val().w_last;
                self.r.d.next.w_sum = self.add.sum.val();
                self.r.d.next.w_carry = self.add.carry_out.val();
            }
        }
        if self.taken.val() {
            self.r.d.next.w_left = self.r.q.val().w_left - bits::<12>(1);
            if self.r.q.val().w_left == bits::<12>(1) {
                self.r.d.next.more = false;
            }
        }
        if self.taken.val() | self.issue.val() {
            self.r.d.next.w_nxt = self.r.q.val().w_nxt + bits::<16>(1);
        }
        self.r.d.next.issued = self.issue.val();
        self.r.d.next.appeared = self.r.q.val().issued;

        // ------------------------------------------------ control memory: write
        self.swap.next = (self.r.q.val().state == State::RecutSecond) & self.w_len.val().get_bit(0);
        self.stored_sum.high.next = self.folded.val().get_bits::<8>(8);
        self.stored_sum.low.next = bit_cast::<8, 16>(self.folded.val());
        if self.swap.val() {
            self.stored_sum.high.next = bit_cast::<8, 16>(self.folded.val());
            self.stored_sum.low.next = self.folded.val().get_bits::<8>(8);
        }
        self.tail_slot.next = bit_cast::<4, 5>(self.r.q.val().tail);
        self.w_slot.next = bit_cast::<4, 5>(self.r.q.val().w_tail);
        self.down_slot.next = bit_cast::<4, 5>(self.head_down.val());
        self.out.next.low = self.stored_sum.joined.val();
        self.out.next.mid = self.r.q.val().w_len;
        self.out.next.top = bits::<5>(0);
        self.words.write_enable.next = false;
        self.write_conn.next = self.command.conn.val();
        self.write_index.next = bits::<5>(18);
        if self.close.val() {
            self.words.write_enable.next = true;
            self.write_conn.next = self.r.q.val().w_conn;
            self.write_index.next = bit_cast::<5, 4>(self.w_slot.val());
            if self.cut_now.val() {
                self.out.next.top = bits::<5>(1);
            }
        } else {
            match self.r.q.val().state {
                State::Cut => {
                    self.words.write_enable.next =
                        !self.r.q.val().owned & self.cut_room.val() & self.r.q.val().open.any();
                    self.write_index.next = bit_cast::<5, 4>(self.tail_slot.val());
                    self.out.next.low = self.r.q.val().low_read;
                    self.out.next.mid = self.r.q.val().open;
                    self.out.next.top = bits::<5>(1);
                }
                State::WriteTail => {
                    self.words.write_enable.next = true;
                    self.write_index.next = bits::<5>(17);
                    self.out.next.low = self.r.q.val().low;
                    self.out.next.mid = bits::<11>(0);
                    self.out.next.top = self.tail_up.val();
                }
                State::WriteHead => {
                    self.words.write_enable.next = true;
                    self.write_index.next = bits::<5>(16);
                    self.out.next.low = self.r.q.val().low;
                    self.out.next.mid = self.r.q.val().mss;
                    self.out.next.top = self.r.q.val().head;
                }
                State::StoreSum => {
                    self.words.write_enable.next = true;
                    self.write_conn.next = self.r.q.val().w_conn;
                }
                State::StoreTail => {
                    self.words.write_enable.next = true;
                    self.write_conn.next = self.r.q.val().w_conn;
                    self.write_index.next = bits::<5>(17);
                    self.out.next.low = self.r.q.val().w_nxt;
                    self.out.next.top = self.r.q.val().w_tail;
                }
                State::RecutFirst => {
                    self.words.write_enable.next = true;
                    self.write_index.next = bit_cast::<5, 4>(self.down_slot.val());
                }
                State::RecutSecond => {
                    self.words.write_enable.next = true;
                    self.write_index.next = bit_cast::<5, 4>(self.head_slot.val());
                    self.out.next.mid = self.rest.val();
                    self.out.next.top = self.psh.val();
                }
                _ => {
                    self.words.write_enable.next = false;
                }
            }
            if self.sacking.val() | self.piping.val() | self.marking.val() {
                self.out.next.low = self.r.q.val().low_read;
                self.out.next.mid = self.r.q.val().mid_read;
                self.out.next.top = self.marks.top.val();
            }
            if self.sacking.val() {
                self.words.write_enable.next = self.takes.val();
                self.write_index.next = bit_cast::<5, 4>(self.head_slot.val());
            }
            if self.piping.val() {
                self.words.write_enable.next = self.r.q.val().used.any();
                self.write_index.next = bit_cast::<5, 4>(self.down_slot.val());
            }
            if self.marking.val() {
                self.words.write_enable.next = self.r.q.val().exists;
                self.write_index.next = bit_cast::<5, 4>(self.mark_slot.val());
            }
        }
        self.write_at.high.next = self.write_conn.val();
        self.write_at.low.next = self.write_index.val();
        self.words.write_address.next = self.write_at.joined.val();
        self.words.write_data.next = self.out.val();

        // ------------------------------------------------ answers: defaults
        self.command.done.next = false;
        self.command.ok.next = false;
        self.command.result.next = bits::<32>(0);
        self.command.result2.next = bits::<32>(0);
        self.query_done.next = false;
        self.burst_done.next = false;
        self.writable.next = self.r.q.val().low;
        if bit_cast::<16, 12>(self.r.q.val().limit) < self.r.q.val().low {
            self.writable.next = bit_cast::<16, 12>(self.r.q.val().limit);
        }
        if self.r.q.val().used >= bits::<5>(12) {
            self.writable.next = bits::<16>(0);
        }

        // ------------------------------------------------ state machine
        match self.r.q.val().state {
            State::Idle => {
                self.r.d.next.starting = self.for_start.val();
                self.r.d.next.querying = self.for_query.val();
                self.r.d.next.freed = bits::<5>(0);
                // what TX_INIT writes
                self.r.d.next.low = bit_cast::<16, 32>(self.command.a.val());
                self.r.d.next.mss = bit_cast::<11, 32>(self.command.b.val());
                self.r.d.next.head = bits::<5>(0);
                self.r.d.next.tail = bits::<5>(31);
                if self.r.q.val().active & !self.r.q.val().more & !self.r.q.val().w_full {
                    self.r.d.next.state = State::StoreSum;
                } else if self.choose_command.val() {
                    self.r.d.next.starting = false;
                    self.r.d.next.querying = false;
                    self.r.d.next.state = State::Ask;
                    if self.warm.val() {
                        self.r.d.next.state = State::Head;
                    }
                    if !self.prefetch.val() {
                        self.r.d.next.command_first = true;
                        self.r.d.next.state = State::Idle;
                    }
                    if self.is_init.val() {
                        self.r.d.next.state = State::WriteHead;
                    }
                } else if self.for_start.val() | self.for_query.val() {
                    self.r.d.next.state = State::Ask;
                }
            }
            State::Ask => {
                self.r.d.next.state = State::Head;
            }
            State::Head => {
                self.r.d.next.low = self.r.q.val().low_read;
                self.r.d.next.gap = self.gap.val();
                self.r.d.next.mss = self.r.q.val().mid_read;
                self.r.d.next.head = self.r.q.val().top_read;
                self.r.d.next.tail = self.r.q.val().w_tail;
                // TX_RECUT scans from una on.
                if !self.for_start.val() & !self.for_query.val() & self.is_recut.val() {
                    self.r.d.next.w_nxt = self.r.q.val().low_read;
                }
                self.r.d.next.state = State::Tail;
            }
            State::Tail => {
                self.r.d.next.used = self.used_now.val();
                self.r.d.next.tail = self.tail_now.val();
                self.r.d.next.masked = (self.a_five.val() < self.used_now.val())
                    & self.is_next.val()
                    & self.r.q.val().hold;
                self.r.d.next.exists = (self.a_five.val() < self.used_now.val())
                    & (self.is_peek.val() | self.is_mark.val())
                    & !(self.is_next.val() & self.r.q.val().hold);
                self.r.d.next.open = self.r.q.val().mid_read;
                if self.r.q.val().owned {
                    self.r.d.next.open = self.r.q.val().w_len;
                }
                self.r.d.next.limit = self.limit.val();
                if self.with_shorter.val()
                    & (bit_cast::<12, 11>(self.r.q.val().mid_read) > self.twice.joined.val())
                {
                    self.r.d.next.limit = bits::<12>(0);
                }
                self.r.d.next.starting = false;
                self.r.d.next.querying = false;
                if self.for_query.val() {
                    self.r.d.next.low = self.space.val();
                    self.r.d.next.state = State::Measure;
                } else if self.for_start.val() {
                    self.r.d.next.w_nxt = self.r.q.val().low_read;
                    self.r.d.next.state = State::Load;
                } else if self.is_free.val() {
                    self.r.d.next.state = State::Free;
                } else if self.is_cut.val() {
                    self.r.d.next.low = self.r.q.val().low_read;
                    self.r.d.next.state = State::Cut;
                } else if self.shortens.val() {
                    self.r.d.next.mss = self.b_mss.val();
                    self.r.d.next.state = State::WriteHead;
                } else if self.is_recut.val() {
                    self.r.d.next.w_last = self.segment_last.val();
                    self.r.d.next.w_len = bits::<11>(0);
                    self.r.d.next.w_full = false;
                    self.r.d.next.w_sum = bits::<16>(0);
                    self.r.d.next.w_carry = bits::<1>(0);
                    self.r.d.next.state = State::Scan;
                } else {
                    self.r.d.next.state = State::Peek;
                }
            }
            State::Peek => {
                self.command.done.next = true;
                self.command.ok.next = self.r.q.val().exists;
                if self.r.q.val().exists {
                    self.command.result.next = bit_cast::<32, 21>(self.psh_length.joined.val());
                    self.command.result2.next = bit_cast::<32, 16>(self.r.q.val().low_read);
                } else {
                    // What a burst still adds to is no tail yet.
                    if !(self.r.q.val().owned & self.r.q.val().more) {
                        self.command.result.next = bit_cast::<32, 11>(self.r.q.val().open);
                    }
                    if self.r.q.val().masked {
                        self.command.result.next = bits::<32>(1);
                    }
                }
                self.r.d.next.state = State::Idle;
            }
            State::Free => {
                // In the last of these cycles, in which none is taken, `gap` stays.
                self.r.d.next.low = bit_cast::<16, 17>(self.una_low.val());
                self.r.d.next.borrow = self.una_low.val().get_bits::<1>(16);
                if self.takes.val() {
                    self.r.d.next.gap = bit_cast::<16, 17>(self.gap_left.val());
                    self.r.d.next.head = self.r.q.val().head + bits::<5>(1);
                    self.r.d.next.used = self.r.q.val().used - bits::<5>(1);
                    self.r.d.next.freed = self.r.q.val().freed + bits::<5>(1);
                } else {
                    self.r.d.next.state = State::WriteHead;
                }
            }
            State::Cut => {
                if !self.cut_room.val() | !self.r.q.val().open.any() {
                    self.command.done.next = true;
                    self.r.d.next.state = State::Idle;
                } else if self.r.q.val().owned {
                    self.r.d.next.state = State::CutNow;
                } else if self.may_write.val() {
                    self.r.d.next.state = State::WriteTail;
                }
            }
            State::CutNow => {
                self.command.done.next = true;
                self.command.ok.next = true;
                self.r.d.next.state = State::Idle;
            }
            State::WriteTail => {
                if self.may_write.val() {
                    self.command.done.next = true;
                    self.command.ok.next = true;
                    self.r.d.next.state = State::Idle;
                }
            }
            State::WriteHead => {
                if self.may_write.val() {
                    self.r.d.next.state = State::Idle;
                    if self.r.q.val().init {
                        self.r.d.next.state = State::WriteTail;
                    } else {
                        self.command.done.next = true;
                        self.command.ok.next = true;
                        self.command.result.next = bit_cast::<32, 5>(self.r.q.val().freed);
                        self.command.result2.next = self.una.joined.val();
                    }
                }
            }
            State::Measure => {
                self.r.d.next.granted_mss = self.r.q.val().mss;
                self.query_done.next = true;
                self.r.d.next.state = State::Idle;
            }
            State::Load => {
                self.r.d.next.w_last = self.segment_last.val();
                self.r.d.next.w_full =
                    self.with_shorter.val() & (self.r.q.val().open > self.segment_last.val());
                self.r.d.next.w_some = self.r.q.val().open.any();
                self.r.d.next.w_len = self.r.q.val().open;
                self.r.d.next.w_tail = self.r.q.val().tail;
                self.r.d.next.w_sum = bits::<16>(0);
                if self.r.q.val().open.any() {
                    self.r.d.next.w_sum = self.r.q.val().low_read;
                }
                self.r.d.next.w_carry = bits::<1>(0);
                self.r.d.next.start_due = false;
                self.r.d.next.active = true;
                self.r.d.next.more = true;
                self.r.d.next.state = State::Idle;
            }
            State::StoreSum => {
                self.r.d.next.state = State::StoreTail;
            }
            State::StoreTail => {
                if !self.r.q.val().posting {
                    self.burst_done.next = true;
                    self.r.d.next.active = false;
                    self.r.d.next.posting = true;
                    self.r.d.next.post_conn = self.r.q.val().w_conn;
                    self.r.d.next.state = State::Idle;
                }
            }
            State::Scan => {
                if !self.room.val() | !self.r.q.val().used.any() {
                    self.command.done.next = true;
                    self.r.d.next.state = State::Idle;
                } else if self.r.q.val().w_full {
                    self.r.d.next.state = State::RecutFirst;
                }
            }
            State::RecutFirst => {
                self.r.d.next.w_sum = self.inverted.val();
                self.r.d.next.w_carry = bits::<1>(0);
                self.r.d.next.state = State::RecutSubtract;
            }
            State::RecutSubtract => {
                self.r.d.next.w_sum = self.add.sum.val();
                self.r.d.next.w_carry = self.add.carry_out.val();
                self.r.d.next.state = State::RecutSecond;
            }
            State::RecutSecond => {
                self.r.d.next.head = self.head_down.val();
                self.r.d.next.state = State::WriteHead;
            }
            _ => {
                self.r.d.next.state = State::Idle;
            }
        }

        // The scoreboard's states: outside of the others, so that nothing is left of them where there is none.
        if self.with_scoreboard.val() {
            if self.r.q.val().state == State::Head {
                self.r.d.next.distance = self.short.val();
                if self.answers.val() & self.is_pipe.val() {
                    self.r.d.next.head = self.above_sent.val();
                }
            }
            if self.r.q.val().state == State::Tail {
                self.r.d.next.distance = self.distance.val();
                self.r.d.next.sum = bits::<16>(0);
                self.r.d.next.found = false;
                self.r.d.next.index = bits::<5>(0);
                self.r.d.next.margin = self.minus_threshold.val();
                if self.answers.val() & self.is_sack.val() {
                    self.r.d.next.state = State::Sack;
                }
                if self.answers.val() & self.is_pipe.val() {
                    self.r.d.next.distance = bits::<17>(0);
                    self.r.d.next.used = self.b_five.val();
                    self.r.d.next.state = State::PipeAsk;
                }
                if self.answers.val() & self.is_mark.val() {
                    self.r.d.next.state = State::Mark;
                }
            }
            if self.sacking.val() | self.piping.val() | self.marking.val() {
                self.r.d.next.state = self.r.q.val().state;
            }
            if self.sacking.val() & !self.stall.val() {
                if self.takes.val() {
                    self.r.d.next.gap = bit_cast::<16, 17>(self.gap_left.val());
                    self.r.d.next.distance = self.distance.val();
                    self.r.d.next.head = self.r.q.val().head + bits::<5>(1);
                    self.r.d.next.used = self.used_down.val();
                    if self.inside.val() & !self.sacked.val() {
                        self.r.d.next.sum = self.sum.val();
                        self.r.d.next.found = true;
                    }
                } else {
                    self.r.d.next.distance = bits::<17>(0);
                    self.r.d.next.state = State::Told;
                }
            }
            if self.asking.val() {
                self.r.d.next.state = State::Pipe;
            }
            if self.piping.val() & !self.stall.val() {
                if self.r.q.val().used.any() {
                    self.r.d.next.head = self.head_down.val();
                    self.r.d.next.used = self.used_down.val();
                    if self.sacked.val() {
                        self.r.d.next.margin = self.margin_up.val();
                    }
                    if self.under_way.val() {
                        self.r.d.next.sum = self.sum.val();
                    }
                    // What lies below the lowest that is due.
                    if self.r.q.val().found {
                        self.r.d.next.distance = self.distance.val();
                    }
                    if self.due.val() {
                        self.r.d.next.found = true;
                        self.r.d.next.distance = bits::<17>(0);
                        self.r.d.next.index = self.used_down.val();
                    }
                } else {
                    self.r.d.next.state = State::Told;
                }
            }
            if self.marking.val() & !self.stall.val() {
                self.r.d.next.found = self.r.q.val().exists;
                self.r.d.next.distance = bits::<17>(0);
                self.r.d.next.state = State::Told;
            }
            // Where TX_SACK ends says a long sum, which may be no part of an answer that all blocks' answers are ORed with.
            if self.r.q.val().state == State::Told {
                self.command.done.next = true;
                self.command.ok.next = self.r.q.val().found;
                self.command.result.next = bit_cast::<32, 16>(self.r.q.val().sum);
                self.command.result2.next = self.place.joined.val();
                self.r.d.next.state = State::Idle;
            }
        }

        // ------------------------------------------------ bursts and posts begin
        if self.start.val() {
            self.r.d.next.start_due = true;
            self.r.d.next.w_conn = self.start_conn.val();
            self.r.d.next.w_left = bit_cast::<12, 16>(self.start_count.val());
        }
        if self.r.q.val().posting & self.post_ready.val() {
            self.r.d.next.posting = false;
        }
        // A segment is whole before its burst ends: it need not wait.
        if self.r.q.val().w_full & self.r.q.val().more & !self.r.q.val().posting {
            self.r.d.next.posting = true;
            self.r.d.next.post_conn = self.r.q.val().w_conn;
        }

        // ------------------------------------------------ outputs
        self.bytes.ready.next = self.r.q.val().more;
        self.post_valid.next = self.r.q.val().posting;
        self.post_conn.next = self.r.q.val().post_conn;
        self.post_bit.next = bits::<3>(1);
        self.bytes_memory.write_enable.next = self.taken.val();
        self.bytes_memory.write_conn.next = self.r.q.val().w_conn;
        self.bytes_memory.write_offset.next = self.r.q.val().w_nxt;
        self.bytes_memory.write_data.next = self.bytes.data.val();
        self.bytes_memory.read_conn.next = self.command.conn.val();
        self.bytes_memory.read_offset.next = self.r.q.val().w_nxt;
        if self.builder_busy.val() {
            self.bytes_memory.read_conn.next = self.read_conn.val();
            self.bytes_memory.read_offset.next = self.read_offset.val();
        }
        self.read_data.next = self.bytes_memory.read_data.val();

        // ------------------------------------------------ reset
        if self.reset.val() {
            self.r.d.next.state = State::Idle;
            self.r.d.next.start_due = false;
            self.r.d.next.command_first = false;
            self.r.d.next.active = false;
            self.r.d.next.more = false;
            self.r.d.next.posting = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::isa::{cmd, PIPE_ALL};
    use super::*;
    use rand::{rngs::StdRng, Rng, SeedableRng};
    use std::collections::VecDeque;

    /// A descriptor's marks.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    struct Said {
        sacked: bool,
        lost: bool,
        again: bool,
    }

    /// What a connection must hold.
    #[derive(Clone, Default)]
    struct Model {
        una: u32,
        mss: usize,
        /// The size that the burst under way, or the last one, is cut at.
        cut: usize,
        /// The tail was left that long or longer, before the size became shorter.
        long: bool,
        bytes: VecDeque<u8>,
        descriptors: VecDeque<(usize, bool)>,
        /// What the scoreboard says of each descriptor; of those behind its end, nothing.
        marks: VecDeque<Said>,
        /// The last descriptor was closed in this cycle.
        closing: bool,
    }

    impl Model {
        fn open(&self) -> usize {
            self.bytes.len() - self.descriptors.iter().map(|d| d.0).sum::<usize>()
        }

        /// Sum of descriptor `n` modulo 0xFFFF, independent of how it was made.
        fn sum(&self, n: usize) -> u64 {
            let from: usize = self.descriptors.iter().take(n).map(|d| d.0).sum();
            let segment = self.bytes.range(from..from + self.descriptors[n].0);
            let weighted = segment
                .enumerate()
                .map(|(i, b)| (*b as u64) << (8 * (1 - i % 2)));
            weighted.sum::<u64>() % 0xFFFF
        }

        fn freeable(&self, a: u32) -> usize {
            let mut end = self.una;
            let covered = |d: &&(usize, bool)| {
                end = end.wrapping_add(d.0 as u32);
                a.wrapping_sub(end) as i32 >= 0
            };
            self.descriptors.iter().take_while(covered).count()
        }

        /// Marks what lies inside of two edges, byte by byte, among the first so many descriptors; the bytes of what was not marked before.
        fn sack(&mut self, left: u32, right: u32, among: usize) -> usize {
            let from_head = |edge: u32| edge.wrapping_sub(self.una) as usize % 65536;
            let acknowledged = from_head(left)..from_head(right);
            self.marks.resize(self.descriptors.len(), Said::default());
            let (mut byte, mut newly) = (0, 0);
            for (d, said) in self.descriptors.iter().zip(&mut self.marks).take(among) {
                let mut bytes = byte..byte + d.0;
                if bytes.all(|b| acknowledged.contains(&b)) && !said.sacked {
                    said.sacked = true;
                    newly += d.0;
                }
                byte += d.0;
            }
            newly
        }

        /// Of the first so many descriptors: bytes on their way, and the first that is to be sent again (RFC 6675 section 4: IsLost, SetPipe, NextSeg).
        fn pipe(&mut self, sent: usize, threshold: usize) -> (usize, Option<usize>) {
            self.marks.resize(self.descriptors.len(), Said::default());
            let marks = self.marks.make_contiguous();
            for n in 0..sent {
                let above = marks[n + 1..sent].iter().filter(|said| said.sacked).count();
                let said = &mut marks[n];
                if threshold > 0 && !said.sacked && !said.again && above >= threshold & 31 {
                    said.lost = true;
                }
            }
            if threshold == 0 {
                marks[..sent].fill(Said {
                    lost: true,
                    ..Said::default()
                });
            }
            let sent = &self.marks.make_contiguous()[..sent];
            let on_its_way = |said: &Said| !said.sacked && (!said.lost || said.again);
            let lengths = sent.iter().zip(&self.descriptors);
            let bytes = lengths
                .filter(|(said, _)| on_its_way(said))
                .map(|(_, d)| d.0);
            let due = |said: &Said| said.lost && !said.sacked && !said.again;
            (bytes.sum(), sent.iter().position(due))
        }

        fn writable(&self, ring: usize) -> usize {
            if self.descriptors.len() >= 12 {
                0
            } else {
                (ring - self.bytes.len()).min((2 * self.mss).saturating_sub(self.open()))
            }
        }
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum App {
        Idle,
        Query(usize),
        Granted(usize, usize),
        Burst(usize, usize),
    }

    #[derive(Clone, Copy, Debug)]
    struct Issued {
        code: u8,
        conn: usize,
        a: u32,
        b: u32,
        imm: u64,
        since: u64,
        descriptors: usize,
        /// A pacer holds the connection, for as long as the command lasts.
        hold: bool,
    }

    /// Drives a ring with writers and commands at random and holds it against the models.
    struct Driver {
        ring: usize,
        mss: Vec<usize>,
        models: Vec<Model>,
        app: App,
        started: bool,
        next_byte: u8,
        offered: bool,
        command: Option<Issued>,
        reading: Option<u8>,
        expected: Option<u8>,
        posts: VecDeque<usize>,
        cycle: u64,
        seen_ready: bool,
        /// A segment was closed in this burst since the last post; a post must be held now.
        closed: bool,
        post_due: bool,
        gaps: bool,
        /// The ring has no scoreboard, and cuts at one size for ever.
        plain: bool,
        counts: std::collections::BTreeMap<&'static str, u64>,
    }

    impl Driver {
        fn new(connections: usize, ring: usize, mss: &[usize], gaps: bool) -> Self {
            Self {
                ring,
                mss: mss.to_vec(),
                models: vec![Model::default(); connections],
                app: App::Idle,
                started: false,
                next_byte: 0,
                offered: false,
                command: None,
                reading: None,
                expected: None,
                posts: VecDeque::new(),
                cycle: 0,
                seen_ready: false,
                closed: false,
                post_due: false,
                gaps,
                plain: false,
                counts: Default::default(),
            }
        }

        fn count(&mut self, what: &'static str) {
            *self.counts.entry(what).or_default() += 1;
        }

        fn busy(&self, conn: usize) -> bool {
            matches!(self.app, App::Query(c) | App::Granted(c, _) | App::Burst(c, _) if c == conn)
        }

        fn choose(&mut self, uut: &mut TxRing, rng: &mut impl Rng) {
            let conn = rng.random_range(0..self.models.len());
            let model = &self.models[conn];
            let (mut code, mut a, mut b, mut imm) =
                (cmd::TX_PEEK, 0u32, 0u32, rng.random_range(0..64));
            if model.mss == 0 || (rng.random_bool(0.01) && !self.busy(conn)) {
                if self.busy(conn) {
                    return;
                }
                code = cmd::TX_INIT;
                a = if rng.random() {
                    rng.random()
                } else {
                    0u32.wrapping_sub(rng.random_range(0..2 * self.ring as u32))
                };
                b = self.mss[rng.random_range(0..self.mss.len())] as u32;
            } else {
                let used = model.descriptors.len();
                let starts =
                    |n: usize| -> usize { model.descriptors.iter().take(n).map(|d| d.0).sum() };
                match rng.random_range(0..16) {
                    9..11 => {
                        code = cmd::TX_SACK;
                        let (one, other) = (rng.random_range(0..=used), rng.random_range(0..=used));
                        let mut edge = |n: usize| {
                            let near = starts(n) as i64 + rng.random_range(-1..=1);
                            model.una.wrapping_add(near as u32)
                        };
                        (a, b) = (edge(one.min(other)), edge(one.max(other)));
                        // Nonsense: in the wrong order, or anything at all.
                        match rng.random_range(0..12) {
                            0 => (a, b) = (b, a),
                            1 => a = rng.random(),
                            2 => b = rng.random(),
                            3 => (a, b) = (rng.random(), rng.random()),
                            _ => {}
                        }
                    }
                    11..14 => {
                        code = cmd::TX_PIPE;
                        imm = match rng.random_range(0..20) {
                            0 => 0,
                            1 => rng.random_range(0..64),
                            2 | 3 => PIPE_ALL.into(),
                            _ => rng.random_range(1..4),
                        };
                        b = rng.random_range(0..=used) as u32;
                        if rng.random() {
                            b = used as u32;
                        }
                    }
                    14 => {
                        code = cmd::TX_MARK;
                        a = rng.random_range(0..=used as u32 + 1);
                        let due = |said: &Said| said.lost && !said.sacked && !said.again;
                        if let (true, Some(n)) = (rng.random(), model.marks.iter().position(due)) {
                            a = n as u32;
                        }
                    }
                    0..4 => a = rng.random_range(0..=model.descriptors.len() as u32 + 1),
                    4 => code = cmd::TX_CUT,
                    5..9 => {
                        code = cmd::TX_FREE;
                        // At times only few, so that many are there for the scoreboard.
                        let few = !(self.cycle / 2048).is_multiple_of(4);
                        let most = if few {
                            used.saturating_sub(8).min(2)
                        } else {
                            used
                        };
                        let take = rng.random_range(0..=most);
                        let end: usize = model.descriptors.iter().take(take).map(|d| d.0).sum();
                        let near = end as i64 + rng.random_range(-1..=1);
                        a = model
                            .una
                            .wrapping_add(near.clamp(0, model.bytes.len() as i64 + 1) as u32);
                    }
                    _ => match model.descriptors.front() {
                        _ if !self.plain && model.mss > 1 && rng.random_bool(0.4) => {
                            code = cmd::TX_RECUT;
                            b = rng.random_range(model.mss as u32 / 2..model.mss as u32);
                            if rng.random() && model.open() > 1 {
                                b = rng.random_range(model.open() as u32 / 2..model.open() as u32);
                            }
                            b = b.max(1);
                        }
                        Some((length, _)) if *length >= 2 => {
                            code = cmd::TX_RECUT;
                            a = match rng.random_range(0..3) {
                                0 => 1,
                                1 => *length as u32 - 1,
                                _ => rng.random_range(1..*length as u32),
                            };
                        }
                        _ => {}
                    },
                }
            }
            let hold = rng.random_bool(0.3);
            if code == cmd::TX_PEEK && rng.random() {
                code = cmd::TX_NEXT;
            }
            uut.hold.next = hold;
            uut.command.code.next = (code as u64).into();
            uut.command.conn.next = (conn as u64).into();
            uut.command.a.next = (a as u64).into();
            uut.command.b.next = (b as u64).into();
            uut.command.imm.next = imm.into();
            self.command = Some(Issued {
                code,
                conn,
                a,
                b,
                imm,
                since: self.cycle,
                descriptors: model.descriptors.len(),
                hold,
            });
        }

        fn drive(&mut self, uut: &mut TxRing, rng: &mut impl Rng) {
            uut.reset.next = self.cycle == 0;
            if self.cycle == 0 {
                return;
            }
            if self.command.is_none() && rng.random_bool(if self.gaps { 0.3 } else { 0.8 }) {
                self.choose(uut, rng);
            }
            uut.command.valid.next = self.command.is_some();
            if self.app == App::Idle && rng.random_bool(0.5) {
                let conn = rng.random_range(0..self.models.len());
                let initialising =
                    matches!(self.command, Some(c) if c.conn == conn && c.code == cmd::TX_INIT);
                if self.models[conn].mss > 0 && !initialising {
                    self.app = App::Query(conn);
                }
            }
            uut.query_valid.next = matches!(self.app, App::Query(_));
            uut.start.next = false;
            match self.app {
                App::Query(conn) => uut.query_conn.next = (conn as u64).into(),
                App::Granted(conn, count) if rng.random_bool(0.3) => {
                    uut.start.next = true;
                    uut.start_conn.next = (conn as u64).into();
                    uut.start_count.next = (count as u64).into();
                    self.app = App::Burst(conn, count);
                    self.started = true;
                    self.seen_ready = false;
                }
                _ => {}
            }
            let bursting = matches!(self.app, App::Burst(..));
            self.offered |= bursting && (!self.gaps || rng.random_bool(0.8));
            uut.bytes.valid.next = self.offered;
            uut.bytes.data.next = (self.next_byte as u64).into();
            uut.post_ready.next = rng.random_bool(0.4);
            // The builder reads any byte there is.
            self.reading = None;
            let conn = rng.random_range(0..self.models.len());
            let model = &self.models[conn];
            let busy = rng.random_bool(0.5);
            uut.builder_busy.next = busy;
            if busy && !model.bytes.is_empty() {
                let n = rng.random_range(0..model.bytes.len());
                uut.read_conn.next = (conn as u64).into();
                uut.read_offset.next = (model.una.wrapping_add(n as u32) as u64 & 0xFFFF).into();
                self.reading = Some(model.bytes[n]);
            }
        }

        /// Just before the rising edge.
        fn observe(&mut self, uut: &TxRing) {
            if let Some(byte) = self.expected {
                assert_eq!(
                    uut.read_data.val().to_u64() as u8,
                    byte,
                    "builder's byte, cycle {}",
                    self.cycle
                );
                self.count("read");
            }
            self.expected = self.reading;
            // A full tail is closed in the cycle after its last byte.
            for model in &mut self.models {
                model.long &= model.open() >= model.cut;
                model.closing = model.cut > 0 && model.open() == model.cut && !model.long;
                if model.closing {
                    model.descriptors.push_back((model.cut, false));
                }
                assert!(model.descriptors.len() <= 16);
            }
            // A tail that was left longer is closed as the burst begins.
            if let App::Burst(conn, left) = self.app {
                let model = &mut self.models[conn];
                if model.long && uut.r.q.val().active && uut.r.q.val().w_full {
                    model.long = false;
                    model.closing = true;
                    model.descriptors.push_back((model.open(), false));
                    self.closed |= left > 0;
                    self.count("a long tail closed");
                }
            }
            assert!(
                uut.post_valid.val() || !self.post_due,
                "no post, cycle {}",
                self.cycle
            );
            self.post_due = false;
            if let App::Burst(conn, 1..) = self.app {
                if self.seen_ready && self.models[conn].closing {
                    self.closed = true;
                    self.post_due = !uut.post_valid.val();
                }
            }
            let done = uut.command.done.val();
            assert!(!done || self.command.is_some(), "done without a command");
            if let Some(issued) = self.command {
                assert!(self.cycle - issued.since < 10_000, "{issued:?} hangs");
                if done {
                    self.check(issued, uut);
                    self.command = None;
                }
            }
            if !done {
                assert!(!uut.command.result.val().any() && !uut.command.result2.val().any());
            }
            if let App::Query(conn) = self.app {
                if uut.query_done.val() {
                    let model = &self.models[conn];
                    let writable: u64 = uut.writable.val().to_u64();
                    assert_eq!(
                        writable as usize,
                        model.writable(self.ring),
                        "cycle {}",
                        self.cycle
                    );
                    let model = &mut self.models[conn];
                    model.cut = model.mss;
                    model.long = model.open() >= model.cut;
                    self.app = if writable == 0 {
                        App::Idle
                    } else {
                        let any = 1 + (self.cycle as usize * 7919) % writable as usize;
                        App::Granted(
                            conn,
                            if self.cycle.is_multiple_of(3) {
                                any
                            } else {
                                writable as usize
                            },
                        )
                    };
                    self.count(if writable == 0 {
                        "nothing writable"
                    } else {
                        "granted"
                    });
                }
            }
            if let App::Burst(conn, left) = self.app {
                let ready = uut.bytes.ready.val();
                assert_eq!(
                    ready,
                    (ready || self.seen_ready) && left > 0,
                    "ready fell in a burst"
                );
                self.seen_ready |= ready;
                if ready && self.offered {
                    self.models[conn].bytes.push_back(self.next_byte);
                    self.next_byte = self
                        .next_byte
                        .wrapping_mul(5)
                        .wrapping_add(self.cycle as u8 | 1);
                    self.offered = false;
                    self.app = App::Burst(conn, left - 1);
                }
                if uut.burst_done.val() {
                    assert_eq!(left, 0);
                    self.closed = false;
                    self.app = App::Idle;
                    self.posts.push_back(conn);
                    self.count("burst");
                }
            } else {
                assert!(!uut.bytes.ready.val() && !uut.burst_done.val());
            }
            if uut.post_valid.val() && uut.post_ready.val() {
                let conn: u64 = uut.post_conn.val().to_u64();
                match self.posts.pop_front() {
                    Some(burst) => assert_eq!(conn as usize, burst),
                    None => {
                        assert!(matches!(self.app, App::Burst(c, _) if c == conn as usize));
                        assert!(std::mem::take(&mut self.closed));
                        self.count("post in a burst");
                    }
                }
                assert_eq!(uut.post_bit.val().to_u64(), 1);
            }
            self.cycle += 1;
        }

        fn check(&mut self, issued: Issued, uut: &TxRing) {
            let Issued {
                code,
                conn,
                a,
                b,
                imm,
                ..
            } = issued;
            let at = format!("{issued:?}, cycle {}", self.cycle);
            let ok = uut.command.ok.val();
            let result: u64 = uut.command.result.val().to_u64();
            let result2: u64 = uut.command.result2.val().to_u64();
            let bursting = matches!(self.app, App::Burst(c, _) if c == conn);
            let model = &mut self.models[conn];
            let used = model.descriptors.len();
            let what = match code {
                cmd::TX_INIT => {
                    *model = Model {
                        una: a,
                        mss: {
                            let b: u64 = uut.command.b.val().to_u64();
                            b as usize
                        },
                        ..Model::default()
                    };
                    "init"
                }
                // One that is closed while it is asked for counts or not.
                cmd::TX_NEXT if issued.hold && (a as usize) < used => {
                    assert!(!ok, "{at}");
                    if (a as usize) < issued.descriptors {
                        assert_eq!(result, 1, "{at}");
                    }
                    "held back"
                }
                cmd::TX_PEEK | cmd::TX_NEXT => {
                    if ok {
                        let (length, psh) = model.descriptors[a as usize];
                        assert_eq!(result, length as u64 | (psh as u64) << 16, "{at}");
                        assert_eq!(result2 % 0xFFFF, model.sum(a as usize), "{at}");
                        "peek"
                    } else if bursting {
                        assert!(a as usize >= issued.descriptors, "{at}");
                        if self.seen_ready && matches!(self.app, App::Burst(_, 1..)) {
                            assert_eq!(result, 0, "{at}");
                        }
                        "peek, nothing"
                    } else {
                        assert!(a as usize >= used, "{at}");
                        assert_eq!(result, model.open() as u64, "{at}");
                        "peek, nothing"
                    }
                }
                cmd::TX_CUT if issued.hold => {
                    assert!(!ok, "{at}");
                    "cut, held back"
                }
                cmd::TX_CUT => {
                    let open = model.open();
                    if !bursting {
                        let most = if self.plain { 14 } else { 13 };
                        assert_eq!(ok, open > 0 && used < most, "{at}");
                    }
                    // What was there may have been closed by its last byte, meanwhile or now.
                    if let (true, true, Some(last)) =
                        (ok, model.closing, model.descriptors.back_mut())
                    {
                        last.1 = true;
                    } else if ok && open > 0 {
                        model.descriptors.push_back((open, true));
                    }
                    match (ok, bursting, open) {
                        (true, true, _) => "cut in a burst",
                        (true, false, _) => "cut",
                        (false, _, 0) => "cut, nothing",
                        (false, ..) => "cut, refused",
                    }
                }
                cmd::TX_FREE => {
                    let freeable = model.freeable(a);
                    let number = result as usize;
                    assert!(number <= freeable, "{at}");
                    assert!(
                        number >= freeable.min(issued.descriptors),
                        "{at}: {number} of {freeable}"
                    );
                    for (length, _) in model.descriptors.drain(..number) {
                        model.una = model.una.wrapping_add(length as u32);
                        model.bytes.drain(..length);
                    }
                    model.marks.drain(..number.min(model.marks.len()));
                    assert_eq!(result2 as u32, model.una, "{at}");
                    if number > 0 {
                        "free"
                    } else {
                        "free, none"
                    }
                }
                cmd::TX_RECUT if a == 0 => {
                    assert!(ok, "{at}");
                    if model.open() > b as usize {
                        self.counts
                            .entry("a tail longer than the new size")
                            .and_modify(|n| *n += 1)
                            .or_insert(1);
                    }
                    self.models[conn].mss = b as usize;
                    "shorter"
                }
                cmd::TX_RECUT => {
                    assert_eq!(ok, used < 14, "{at}");
                    if ok {
                        let (length, psh) = model.descriptors[0];
                        model.descriptors[0] = (length - a as usize, psh);
                        model.descriptors.push_front((a as usize, false));
                        model.marks.pop_front();
                        for _ in 0..2 {
                            model.marks.push_front(Said::default());
                        }
                    }
                    if ok {
                        "recut"
                    } else {
                        "recut, refused"
                    }
                }
                _ if self.plain => {
                    assert!(!ok, "{at}");
                    "no scoreboard"
                }
                cmd::TX_SACK => {
                    // What is closed meanwhile may be among them or not.
                    let mut tries = (issued.descriptors..=used).map(|among| {
                        let mut model = model.clone();
                        let newly = model.sack(a, b, among);
                        (newly, model)
                    });
                    let (newly, marked) = tries
                        .find(|(newly, _)| *newly as u64 == result)
                        .unwrap_or_else(|| panic!("{result} bytes: {at}"));
                    assert_eq!(ok, newly > 0, "{at}");
                    *model = marked;
                    match ok {
                        true => "sack",
                        false => "sack, nothing new",
                    }
                }
                cmd::TX_PIPE => {
                    let (bytes, next) = model.pipe(b as usize, imm as usize);
                    let from: usize = model
                        .descriptors
                        .iter()
                        .take(next.unwrap_or(0))
                        .map(|d| d.0)
                        .sum();
                    assert_eq!((ok, result), (next.is_some(), bytes as u64), "{at}");
                    assert_eq!(result2, (from << 16 | next.unwrap_or(0)) as u64, "{at}");
                    match (imm, next) {
                        (0, _) => "pipe after a timeout",
                        (32, Some(_)) => "pipe, all is lost that is not sacked",
                        (_, Some(0)) => "pipe, the head is due",
                        (_, Some(_)) => "pipe, another is due",
                        (_, None) => "pipe, none is due",
                    }
                }
                cmd::TX_MARK => {
                    let n = a as usize;
                    assert!(!ok || n < used, "{at}");
                    assert!(ok || n >= issued.descriptors, "{at}");
                    model.marks.resize(used, Said::default());
                    if ok {
                        model.marks[n].again = true;
                    }
                    match ok {
                        true => "mark",
                        false => "mark, none",
                    }
                }
                _ => unreachable!(),
            };
            self.count(what);
        }
    }

    fn settle(uut: &mut TxRing) {
        for _ in 0..50 {
            uut.update_all();
            if !uut.has_changed() {
                return;
            }
        }
        panic!("does not settle");
    }

    fn edge(uut: &mut TxRing) {
        uut.clock.next = Clock { clk: true };
        settle(uut);
        uut.clock.next = Clock { clk: false };
        settle(uut);
    }

    fn run(mut driver: Driver, cycles: u64, seed: u64) -> Driver {
        let mut uut = TxRing::new(
            driver.models.len(),
            driver.ring,
            !driver.plain,
            !driver.plain,
        )
        .with_pacer(true);
        uut.connect_all();
        let mut rng = StdRng::seed_from_u64(seed);
        settle(&mut uut);
        for _ in 0..cycles {
            driver.drive(&mut uut, &mut rng);
            settle(&mut uut);
            driver.observe(&uut);
            edge(&mut uut);
        }
        driver
    }

    /// Every byte once, in order, with the right lengths, sums and marks, whatever is freed, cut and re-cut meanwhile, across the wraps of
    /// ring and sequence number.
    #[test]
    fn keeps_to_the_model() {
        let mut all = std::collections::BTreeMap::new();
        for (ring, mss, gaps) in [
            (256usize, vec![1usize, 2, 3, 7, 64, 128], true),
            (256, vec![1, 2, 127], false),
            (2048, vec![536, 100, 1024], false),
            (8192, vec![1460, 535], false),
            (32768, vec![1460, 1459, 2047], false),
        ] {
            let driver = run(
                Driver::new(4, ring, &mss, gaps),
                30_000 + 12 * ring as u64,
                ring as u64,
            );
            for what in [
                "read",
                "burst",
                "post in a burst",
                "peek",
                "cut",
                "held back",
                "cut, held back",
                "free",
                "recut",
                "init",
            ] {
                assert!(
                    driver.counts.get(what) > Some(&4),
                    "{what}: {:?}",
                    driver.counts
                );
            }
            for (what, times) in driver.counts {
                *all.entry(what).or_insert(0) += times;
            }
        }
        for what in [
            "sack",
            "sack, nothing new",
            "pipe after a timeout",
            "pipe, all is lost that is not sacked",
            "pipe, the head is due",
            "pipe, another is due",
            "pipe, none is due",
            "mark",
            "mark, none",
        ] {
            assert!(all.get(what) > Some(&50), "{what}: {all:?}");
        }
        for what in [
            "shorter",
            "a tail longer than the new size",
            "a long tail closed",
        ] {
            assert!(all.get(what) > Some(&4), "{what}: {all:?}");
        }
        println!("{all:?}");
    }

    /// Issues a command; cycles from its first to that of `done`, both counted, and `ok`, `result`, `result2`.
    fn command(uut: &mut TxRing, code: u8, a: u64, b: u64) -> (u64, bool, u64, u64) {
        uut.command.valid.next = true;
        uut.command.code.next = u64::from(code).into();
        uut.command.a.next = a.into();
        uut.command.b.next = b.into();
        for cycles in 1..500 {
            settle(uut);
            let (result, result2): (u64, u64) = (
                uut.command.result.val().to_u64(),
                uut.command.result2.val().to_u64(),
            );
            let answer = (cycles, uut.command.ok.val(), result, result2);
            let done = uut.command.done.val();
            edge(uut);
            if done {
                uut.command.valid.next = false;
                settle(uut);
                return answer;
            }
        }
        panic!("command {code:#x} never ends");
    }

    /// Writes so many bytes in one burst: cycles from `start` to the first byte, from the last byte to `burst_done`.
    fn burst(uut: &mut TxRing, count: u64) -> (u64, u64) {
        // Behind no command.
        for _ in 0..3 {
            edge(uut);
        }
        uut.start.next = true;
        uut.start_count.next = count.into();
        uut.bytes.valid.next = true;
        uut.bytes.data.next = 7.into();
        uut.post_ready.next = true;
        let (mut first, mut last, mut moved) = (0, 0, 0);
        for cycle in 0..5_000 {
            settle(uut);
            if uut.bytes.ready.val() {
                first = if moved == 0 { cycle } else { first };
                last = cycle;
                moved += 1;
            }
            let done = uut.burst_done.val();
            edge(uut);
            uut.start.next = false;
            if done {
                assert_eq!(moved, count);
                assert_eq!(last - first, count - 1, "a byte each cycle");
                uut.bytes.valid.next = false;
                // The event is taken.
                for _ in 0..4 {
                    edge(uut);
                }
                return (first, cycle - last);
            }
        }
        panic!("the burst never ends");
    }

    /// The cycle counts of the header.
    #[test]
    fn takes_the_cycles_it_says() {
        let mut uut = TxRing::new(4, 256, true, false);
        uut.connect_all();
        assert_eq!(command(&mut uut, cmd::TX_INIT, 1000, 64).0, 3);
        uut.query_valid.next = true;
        let mut query = 1;
        settle(&mut uut);
        while !uut.query_done.val() {
            edge(&mut uut);
            settle(&mut uut);
            query += 1;
        }
        assert_eq!(query, 5);
        let writable: u64 = uut.writable.val().to_u64();
        assert_eq!(writable, 128);
        edge(&mut uut);
        uut.query_valid.next = false;
        let free = command(&mut uut, cmd::TX_FREE, 1000, 0);
        assert_eq!((free.0, free.2, free.3), (5, 0, 1000));
        // Two whole segments and an open tail of 10.
        assert_eq!(burst(&mut uut, 128), (6, 4));
        assert_eq!(burst(&mut uut, 10), (6, 3));
        let peek = command(&mut uut, cmd::TX_PEEK, 0, 0);
        assert_eq!((peek.0, peek.1, peek.2), (4, true, 64));
        let cut = command(&mut uut, cmd::TX_CUT, 0, 0);
        assert_eq!((cut.0, cut.1), (5, true));
        for a in [1, 2, 33, 63] {
            let mut uut = TxRing::new(4, 256, true, false);
            uut.connect_all();
            command(&mut uut, cmd::TX_INIT, 1000, 64);
            burst(&mut uut, 64);
            let recut = command(&mut uut, cmd::TX_RECUT, a, 0);
            assert_eq!((recut.0, recut.1), (10 + a, true), "{a}");
        }
        // The first alone, then both that are left. What follows a TX_FREE at once finds `HEAD` not on its way, and so does what is for another connection than the cycle before named.
        let free = command(&mut uut, cmd::TX_FREE, 1065, 0);
        assert_eq!((free.0, free.2, free.3), (5 + 1, 1, 1064));
        let peek = command(&mut uut, cmd::TX_PEEK, 1, 0);
        assert_eq!((peek.0, peek.1, peek.2), (5, true, 10 | 1 << 16));
        let peek = command(&mut uut, cmd::TX_PEEK, 0, 0);
        assert_eq!((peek.0, peek.1, peek.2), (4, true, 64));
        uut.command.conn.next = 1.into();
        assert_eq!(command(&mut uut, cmd::TX_INIT, 0xFFFF_FFF0, 64).0, 3);
        uut.command.conn.next = 0.into();
        assert_eq!(command(&mut uut, cmd::TX_PEEK, 2, 0).0, 5);
        uut.command.conn.next = 1.into();
        let free = command(&mut uut, cmd::TX_FREE, 0xFFFF_FFF0, 0);
        assert_eq!((free.0, free.2, free.3), (6, 0, 0xFFFF_FFF0));
        uut.command.conn.next = 0.into();
        let free = command(&mut uut, cmd::TX_FREE, 1138, 0);
        assert_eq!((free.0, free.2, free.3), (6 + 2, 2, 1138));
        // With a query in the command's first cycle, which waits; then alone again.
        uut.query_valid.next = true;
        assert_eq!(command(&mut uut, cmd::TX_PEEK, 0, 0).0, 6);
        uut.query_valid.next = false;
        for _ in 0..8 {
            edge(&mut uut);
        }
        assert_eq!(command(&mut uut, cmd::TX_PEEK, 0, 0).0, 4);
    }

    /// What a grant promises is kept though the size becomes shorter before its burst begins; the next goes by the new size, and closes a tail that was left longer. The cycle counts of the header.
    #[test]
    fn segments_become_shorter() {
        let mut uut = TxRing::new(4, 256, true, true);
        uut.connect_all();
        command(&mut uut, cmd::TX_INIT, 1000, 64);
        let query = |uut: &mut TxRing| -> u64 {
            uut.query_valid.next = true;
            settle(uut);
            while !uut.query_done.val() {
                edge(uut);
                settle(uut);
            }
            let writable = uut.writable.val().to_u64();
            edge(uut);
            uut.query_valid.next = false;
            for _ in 0..3 {
                edge(uut);
            }
            writable
        };
        assert_eq!(query(&mut uut), 128);
        let shorter = command(&mut uut, cmd::TX_RECUT, 0, 20);
        assert_eq!((shorter.0, shorter.1), (4, true));
        burst(&mut uut, 114);
        let lengths = |uut: &mut TxRing| -> Vec<u64> {
            let all = (0..16).map(|n| command(uut, cmd::TX_PEEK, n, 0));
            all.take_while(|peek| peek.1).map(|peek| peek.2).collect()
        };
        assert_eq!(lengths(&mut uut), [64]);
        // An open tail of 50, of which two segments' worth is less: nothing may be written until it is cut.
        assert_eq!(query(&mut uut), 0);
        command(&mut uut, cmd::TX_RECUT, 0, 30);
        assert_eq!(query(&mut uut), 10);
        burst(&mut uut, 10);
        assert_eq!(lengths(&mut uut), [64, 50]);
        assert_eq!(query(&mut uut), 50);
        burst(&mut uut, 50);
        assert_eq!(lengths(&mut uut), [64, 50, 30, 30]);
        // Of a head that is too long the first part is cut off.
        assert!(command(&mut uut, cmd::TX_RECUT, 30, 0).1);
        assert_eq!(lengths(&mut uut), [30, 34, 50, 30, 30]);
    }

    /// A ring whose connection 0 holds eight segments of 10 bytes from number 1000 on, and connection 1 none of 1 byte yet.
    fn eight(scoreboard: bool) -> TxRing {
        let mut uut = TxRing::new(4, 256, scoreboard, false);
        uut.connect_all();
        uut.command.conn.next = 1.into();
        command(&mut uut, cmd::TX_INIT, 0, 1);
        uut.command.conn.next = 0.into();
        command(&mut uut, cmd::TX_INIT, 1000, 10);
        for _ in 0..4 {
            burst(&mut uut, 20);
        }
        uut
    }

    /// `TX_PIPE` of all eight, with this threshold.
    fn pipe(uut: &mut TxRing, threshold: u64) -> (u64, bool, u64, u64) {
        uut.command.imm.next = threshold.into();
        command(uut, cmd::TX_PIPE, 0xFFFF_FFFF, 8)
    }

    /// The cycle counts of the header, and a loss from its beginning to its end.
    #[test]
    fn the_scoreboard_takes_the_cycles_it_says() {
        let mut uut = eight(true);
        assert_eq!(pipe(&mut uut, 3), (6 + 8, false, 80, 0));
        // Five segments end at or below 1050, three lie inside.
        let sack = command(&mut uut, cmd::TX_SACK, 1020, 1050);
        assert_eq!(sack, (5 + 5, true, 30, 0));
        assert_eq!(pipe(&mut uut, 4), (6 + 8, false, 50, 0));
        assert!(pipe(&mut uut, 3).1);
        edge(&mut uut);
        assert_eq!(pipe(&mut uut, 3), (6 + 8, true, 30, 0));
        edge(&mut uut);
        assert_eq!(command(&mut uut, cmd::TX_MARK, 0, 0), (5, true, 0, 0));
        assert_eq!(pipe(&mut uut, 3), (6 + 8, true, 40, 10 << 16 | 1));
        edge(&mut uut);
        assert_eq!(command(&mut uut, cmd::TX_MARK, 1, 0), (5, true, 0, 0));
        assert_eq!(pipe(&mut uut, 3), (6 + 8, false, 50, 0));
        edge(&mut uut);
        assert_eq!(
            command(&mut uut, cmd::TX_SACK, 1070, 1080),
            (5 + 8, true, 10, 0)
        );
        edge(&mut uut);
        // Marks are not shown, and stay with their segments when the head is freed.
        assert_eq!(command(&mut uut, cmd::TX_PEEK, 1, 0).2, 10);
        assert_eq!(command(&mut uut, cmd::TX_FREE, 1010, 0).2, 1);
        uut.command.imm.next = 1.into();
        assert_eq!(
            command(&mut uut, cmd::TX_PIPE, 0, 7),
            (6 + 7 + 1, true, 10, 40 << 16 | 4)
        );
        edge(&mut uut);
        // None are sent: nothing is lost by a timeout.
        uut.command.imm.next = 0.into();
        assert_eq!(command(&mut uut, cmd::TX_PIPE, 0, 0), (6, false, 0, 0));
        edge(&mut uut);
        assert_eq!(command(&mut uut, cmd::TX_PIPE, 0, 7), (6 + 7, true, 0, 0));
        edge(&mut uut);
        // All is lost, nothing is selectively acknowledged any more.
        assert_eq!(command(&mut uut, cmd::TX_SACK, 1010, 1080).2, 70);
        edge(&mut uut);
        assert_eq!(command(&mut uut, cmd::TX_MARK, 7, 0), (5, false, 0, 0));
        edge(&mut uut);
        assert_eq!(
            command(&mut uut, cmd::TX_SACK, 1010, 1080),
            (5 + 7, false, 0, 0)
        );
    }

    /// RFC 8985's rule without its times: what was neither sacked nor sent again is lost.
    #[test]
    fn all_that_is_not_sacked_may_be_lost() {
        let mut uut = eight(true);
        command(&mut uut, cmd::TX_MARK, 0, 0);
        command(&mut uut, cmd::TX_SACK, 1020, 1050);
        edge(&mut uut);
        assert_eq!(pipe(&mut uut, 32), (6 + 8, true, 10, 10 << 16 | 1));
        edge(&mut uut);
        command(&mut uut, cmd::TX_MARK, 1, 0);
        assert_eq!(pipe(&mut uut, 3), (6 + 8, true, 20, 50 << 16 | 5));
    }

    /// A burst that closes a segment costs these commands one cycle, wherever it comes, and nothing else.
    #[test]
    fn a_burst_makes_the_scoreboard_stand_still_for_a_cycle() {
        let mut stood = [0; 3];
        for start in 0..24 {
            for (code, a, b, walk, want) in [
                (cmd::TX_SACK, 1000, 1080, 8 + 1, (true, 50, 0)),
                (cmd::TX_PIPE, 0, 8, 8 + 1, (true, 30, 0)),
                (cmd::TX_MARK, 7, 0, 1, (true, 0, 0)),
            ] {
                let mut uut = eight(true);
                command(&mut uut, cmd::TX_SACK, 1020, 1050);
                for _ in 0..4 {
                    edge(&mut uut);
                }
                // Two segments of a byte each for the other connection: their bytes come so many cycles after the command.
                uut.start_conn.next = 1.into();
                uut.start_count.next = 2.into();
                uut.bytes.valid.next = false;
                uut.start.next = true;
                edge(&mut uut);
                uut.start.next = false;
                for _ in 0..10 {
                    settle(&mut uut);
                    edge(&mut uut);
                }
                uut.command.imm.next = 3.into();
                uut.command.valid.next = true;
                uut.command.code.next = u64::from(code).into();
                uut.command.a.next = a.into();
                uut.command.b.next = b.into();
                let (mut walked, mut closed) = (0, 0);
                for cycle in 0.. {
                    uut.bytes.valid.next = cycle >= start;
                    settle(&mut uut);
                    let state = uut.r.q.val().state;
                    let walks = [State::Sack, State::Pipe, State::Mark].contains(&state);
                    walked += u64::from(walks);
                    closed += u64::from(walks && uut.close.val());
                    if uut.command.done.val() {
                        break;
                    }
                    edge(&mut uut);
                }
                let at = format!("{code:#x}, bytes from cycle {start} on");
                let (result, result2): (u64, u64) = (
                    uut.command.result.val().to_u64(),
                    uut.command.result2.val().to_u64(),
                );
                assert_eq!((uut.command.ok.val(), result, result2), want, "{at}");
                assert_eq!(walked, walk + closed, "{at}");
                stood[usize::from(code - cmd::TX_SACK)] += closed;
                edge(&mut uut);
                uut.command.valid.next = false;
                uut.bytes.valid.next = true;
                for _ in 0..20 {
                    settle(&mut uut);
                    edge(&mut uut);
                }
                assert!(!uut.bytes.ready.val());
                // Each descriptor is marked as it would have been alone.
                let want = match code {
                    cmd::TX_SACK => (false, 0, 0),
                    _ => (true, 30, 0),
                };
                uut.command.imm.next = 1.into();
                let then = command(&mut uut, cmd::TX_PIPE, 0, 8);
                assert_eq!((then.1, then.2, then.3), want, "{at}");
                uut.command.conn.next = 1.into();
                for n in 0..2 {
                    let peek = command(&mut uut, cmd::TX_PEEK, n, 0);
                    assert_eq!((peek.1, peek.2), (true, 1), "{at}");
                }
            }
        }
        assert!(stood.iter().all(|cycles| *cycles > 0), "{stood:?}");
    }

    /// `model::tx_ring`, with which the program is tested, answers as the gates do.
    #[test]
    fn the_program_s_model_has_the_same_scoreboard() {
        use crate::tcp::model::tx_ring::TxRing as InModel;
        let mut seen = [0; 6];
        for seed in 0..6 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (mut uut, mut model) = (
                TxRing::new(4, 256, true, false),
                InModel::new(1, 256, false),
            );
            uut.connect_all();
            let (mut una, mut used) = (0u32.wrapping_sub(200 + seed as u32), 0);
            let mss = [1, 7, 20, 64][seed as usize % 4];
            command(&mut uut, cmd::TX_INIT, una.into(), mss.into());
            model.init(0, una, mss);
            for _ in 0..400 {
                uut.command.imm.next = 0.into();
                match rng.random_range(0..10) {
                    0..4 if used <= 11 => {
                        let most = model
                            .writable(0)
                            .min(2 * usize::from(mss) - usize::from(model.tail(0)));
                        if most > 0 {
                            let count = rng.random_range(1..=most);
                            burst(&mut uut, count as u64);
                            model.write(0, &vec![7; count]);
                        }
                    }
                    4 => assert_eq!(command(&mut uut, cmd::TX_CUT, 0, 0).1, model.cut(0)),
                    5 => {
                        let a = una.wrapping_add(rng.random_range(0..=u32::from(2 * mss)));
                        let got = command(&mut uut, cmd::TX_FREE, a.into(), 0);
                        let (number, to) = model.free(0, a);
                        assert_eq!((got.2, got.3), (number.into(), to.into()));
                        una = to;
                    }
                    6 => {
                        if let Some(head) = model.peek(0, 0).filter(|d| d.length > 1) {
                            let a = rng.random_range(1..u32::from(head.length));
                            let got = command(&mut uut, cmd::TX_RECUT, a.into(), 0).1;
                            assert_eq!(got, model.recut(0, a));
                        }
                    }
                    7 => {
                        let mut edge =
                            || una.wrapping_add(rng.random_range(0..200)).wrapping_sub(20);
                        let (a, b) = (edge(), edge());
                        let got = command(&mut uut, cmd::TX_SACK, a.into(), b.into());
                        let (bytes, _) = model.sack(0, a, b);
                        assert_eq!((got.1, got.2, got.3), (bytes > 0, bytes.into(), 0));
                        seen[usize::from(bytes > 0)] += 1;
                    }
                    8 => {
                        let sent = rng.random_range(0..=used);
                        let threshold = match rng.random_range(0..9) {
                            0 => PIPE_ALL,
                            n => n % 2 * rng.random_range(0..4),
                        };
                        uut.command.imm.next = u64::from(threshold).into();
                        let got = command(&mut uut, cmd::TX_PIPE, 0, u64::from(sent));
                        let pipe = model.pipe(0, sent, threshold);
                        let (distance, index) = pipe.next.unwrap_or((0, 0));
                        let want = (
                            pipe.next.is_some(),
                            pipe.bytes.into(),
                            u64::from(distance << 16 | index),
                        );
                        assert_eq!((got.1, got.2, got.3), want);
                        seen[2 + usize::from(got.1)] += 1;
                    }
                    _ => {
                        let a = rng.random_range(0..=used);
                        let got = command(&mut uut, cmd::TX_MARK, a.into(), 0).1;
                        assert_eq!(got, model.mark(0, a));
                        seen[4 + usize::from(got)] += 1;
                    }
                }
                used = (0..).find(|n| model.peek(0, *n).is_none()).unwrap();
            }
        }
        assert!(seen.iter().all(|n| *n > 20), "{seen:?}");
    }

    /// A ring that is built without one does not know the commands.
    #[test]
    fn without_a_scoreboard_its_commands_do_nothing() {
        let mut uut = eight(false);
        for code in [cmd::TX_SACK, cmd::TX_PIPE, cmd::TX_MARK] {
            for a in [0, 1, 1000] {
                let answer = command(&mut uut, code, a, 8);
                assert_eq!((answer.0, answer.1, answer.3), (4, false, 0));
            }
        }
        for n in 0..8 {
            assert_eq!(
                command(&mut uut, cmd::TX_PEEK, n, 0),
                (4, true, 10, 5 * 0x0707)
            );
        }
        assert_eq!(command(&mut uut, cmd::TX_FREE, 1080, 0).2, 8);
    }

    /// A reset in any cycle of a burst: what comes then finds the ring as new.
    #[test]
    fn a_reset_in_the_middle_of_a_burst_leaves_nothing() {
        for cycles in 1..40 {
            let mut uut = TxRing::new(4, 256, true, false);
            uut.connect_all();
            command(&mut uut, cmd::TX_INIT, 1000, 16);
            uut.start.next = true;
            uut.start_count.next = 30.into();
            uut.bytes.valid.next = true;
            for _ in 0..cycles {
                settle(&mut uut);
                edge(&mut uut);
                uut.start.next = false;
            }
            uut.bytes.valid.next = false;
            uut.reset.next = true;
            settle(&mut uut);
            edge(&mut uut);
            uut.reset.next = false;
            settle(&mut uut);
            assert!(!uut.bytes.ready.val() && !uut.post_valid.val(), "{cycles}");
            assert_eq!(command(&mut uut, cmd::TX_INIT, 5000, 64).0, 3, "{cycles}");
            assert_eq!(burst(&mut uut, 10), (6, 3), "{cycles}");
            assert!(command(&mut uut, cmd::TX_CUT, 0, 0).1, "{cycles}");
            let peek = command(&mut uut, cmd::TX_PEEK, 0, 0);
            // Five words of 0x0707.
            assert_eq!(peek, (4, true, 10 | 1 << 16, 5 * 0x0707), "{cycles}");
            assert!(!command(&mut uut, cmd::TX_PEEK, 1, 0).1, "{cycles}");
        }
    }

    #[test]
    fn equals_its_verilog() {
        for scoreboard in [true, false] {
            let mut driver = Driver::new(4, 256, &[1, 2, 7, 64, 128], true);
            driver.plain = !scoreboard;
            let mut driver = std::cell::RefCell::new(driver);
            let cell = &driver;
            let name = ["tx_ring_plain", "tx_ring"][usize::from(scoreboard)];
            let report = toe_sim::lockstep::lockstep_observed(
                name,
                || TxRing::new(4, 256, scoreboard, scoreboard).with_pacer(true),
                |uut, clk| uut.clock.next = Clock { clk },
                32_000,
                1,
                |uut, _, rng| cell.borrow_mut().drive(uut, rng),
                |uut, _| cell.borrow_mut().observe(uut),
            )
            .unwrap_or_else(|error| panic!("{error}"));
            let counts = &driver.get_mut().counts;
            assert!(counts["recut"] > 10);
            let of_the_board = ["sack", "mark", "pipe, another is due", "shorter"];
            for what in of_the_board {
                assert_eq!(counts.get(what) > Some(&4), scoreboard, "{counts:?}");
            }
            assert_eq!(counts.contains_key("no scoreboard"), !scoreboard);
            let still = report.never_changed();
            assert!(still.iter().all(|port| port.contains("post_")), "{still:?}");
        }
    }
}
