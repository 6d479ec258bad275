//! The engine: a very small processor that knows only TCP, and the only writer of connection state.
//!
//! It takes one event at a time, runs the program from that event's vector to `DONE`, and takes the next. The instruction set is
//! [`super::isa`]. One 32-bit adder, one accumulator, no barrel shifter.
//!
//! ```text
//!  fetch ──► program RAM ──► decode ──► state RAM, record RAM ──► operand register ──► execute ──► store
//!   pc                       register    (address)        │        (inverted for             │      register ──► state RAM
//!                                            RESULT, TICK …┘         SUB, RSB, BIC)           └─► acc, flags, pc, command
//! ```
//!
//! **Latency.** The first instruction of an event is in execute 5 cycles after the event is taken, and an event is taken one cycle after the
//! `DONE` of the one before: 5 idle cycles between events that wait. **Throughput.** One instruction a cycle; a taken `BR`, `CALL`, `RET` or
//! `JT` costs 4 more; a command stays in execute until `done` (1 cycle if `done` comes at once), and everything behind it stands still.
//! Distances between dependent instructions are those of [`super::isa::hazard`]; flags and accumulator are ready for the next instruction.
//!
//! **Which event.** Segments and pending events take turns when both wait; host commands and pending events take turns when no segment waits. The
//! pending mask is taken (and popped) as the event begins; a segment or host command is popped by its `DONE`, because the record is read meanwhile.
//! While the builder has no free slot nothing begins, so that no event stands still for a busy line.
//!
//! Nothing is aborted: `reset` stops the program between two instructions and empties the pipeline; state RAM, accumulator and results keep
//! what they had.
use super::command::CommandOut;
use super::events::PostOut;
use super::gates::{
    Adder, Concat, Gather, HoldMemory, PresetFlags, SetFlag, Shifter, StateAddress,
};
use super::isa::{self, Far};
use rust_hdl::prelude::*;

/// [`super::isa::Op`], for kernels: the same order.
#[derive(LogicState, Copy, Clone, Debug, PartialEq)]
pub enum Opcode {
    Ld,
    Add,
    Sub,
    Rsb,
    And,
    Or,
    Xor,
    Bic,
    Shift,
    Ldi,
    Br,
    Call,
    Ret,
    Jt,
    Cmd,
    Done,
}

/// A program word by its fields; the first is the lowest.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
pub struct Instruction {
    pub sense: Bit,
    pub flag: Bits<4>,
    pub wr: Bits<3>,
    pub dst: Bits<6>,
    pub src: Bits<6>,
    pub op: Opcode,
}

const OPCODES: [Opcode; 16] = [
    Opcode::Ld,
    Opcode::Add,
    Opcode::Sub,
    Opcode::Rsb,
    Opcode::And,
    Opcode::Or,
    Opcode::Xor,
    Opcode::Bic,
    Opcode::Shift,
    Opcode::Ldi,
    Opcode::Br,
    Opcode::Call,
    Opcode::Ret,
    Opcode::Jt,
    Opcode::Cmd,
    Opcode::Done,
];

/// A program word, seen as its fields.
#[derive(LogicBlock, Debug, Default)]
pub struct Decode {
    pub from: Signal<In, Bits<24>>,
    pub to: Signal<Out, Instruction>,
}

impl Logic for Decode {
    fn update(&mut self) {
        let word = self.from.val().to_u64();
        self.to.next = Instruction {
            sense: word & 1 != 0,
            flag: (word >> 1 & 15).to_bits(),
            wr: (word >> 5 & 7).to_bits(),
            dst: (word >> 8 & 63).to_bits(),
            src: (word >> 14 & 63).to_bits(),
            op: OPCODES[(word >> 20 & 15) as usize],
        };
    }

    fn connect(&mut self) {
        self.to.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) to = from;\n".into())
    }
}

/// Fetch, and everything that changes with an event.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
pub struct Control {
    pc: Bits<12>,
    running: Bit,
    fetched: Bit,
    /// The last event was not a pending one: a pending one goes next.
    segment_last: Bit,
    kind: Bits<2>,
    conn: Bits<10>,
    slot: Bits<3>,
    flags: Bits<16>,
    return0: Bits<12>,
    return1: Bits<12>,
}

/// The decode register.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
pub struct Stage {
    valid: Bit,
    sense: Bit,
    /// Always, with the addresses of the far bank.
    far: Bit,
    flag: Bits<4>,
    wr: Bits<3>,
    dst: Bits<6>,
    src: Bits<6>,
    op: Opcode,
}

/// The select register: an instruction whose operand the memories now show.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
pub struct Select {
    valid: Bit,
    sense: Bit,
    far: Bit,
    flag: Bits<4>,
    wr: Bits<3>,
    dst: Bits<6>,
    src: Bits<6>,
    op: Opcode,
    is_state: Bit,
    is_record: Bit,
    is_result: Bit,
    is_result2: Bit,
    is_tick: Bit,
    is_long: Bit,
    is_isn: Bit,
    is_immediate: Bit,
    invert: Bit,
}

/// The execute register: an instruction with its operand, and what to do as single bits.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
pub struct Execute {
    valid: Bit,
    sense: Bit,
    far: Bit,
    flag: Bits<4>,
    dst: Bits<6>,
    src: Bits<6>,
    op: Opcode,
    operand: Bits<32>,
    /// 0 AND, 1 OR, 2 XOR, 3 operand.
    logic: Bits<2>,
    arithmetic: Bit,
    carry_in: Bit,
    /// Inverts a sum, and lets no logic result through.
    reverse: Bit,
    shift_fine: Bit,
    shift_left: Bit,
    shift_three: Bit,
    shift_right8: Bit,
    shift_left8: Bit,
    shift_right16: Bit,
    shift_left16: Bit,
    write_acc: Bit,
    write_mem: Bit,
    write_flag: Bit,
    /// 0 sign, 1 zero, 2 carry.
    flag_from: Bits<2>,
}

/// A store on its way to the state RAM.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
pub struct Store {
    enable: Bit,
    far: Bit,
    operand: Bits<6>,
    data: Bits<32>,
}

/// Answers of the last command.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
pub struct Results {
    result: Bits<32>,
    result2: Bits<32>,
}

/// The processor.
#[derive(LogicBlock)]
pub struct Engine {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// One cycle a millisecond.
    pub tick: Signal<In, Bit>,
    /// Ticks since reset.
    pub now: Signal<Out, Bits<24>>,

    // Segments (from `records`): the head of the queue is stable from `segment_valid` to `segment_pop`.
    pub segment_valid: Signal<In, Bit>,
    pub segment_slot: Signal<In, Bits<3>>,
    pub segment_conn: Signal<In, Bits<10>>,
    pub segment_hit: Signal<In, Bit>,
    pub segment_flags: Signal<In, Bits<8>>,
    pub segment_pop: Signal<Out, Bit>,
    // Host commands (from `records`, slot 4).
    pub host_valid: Signal<In, Bit>,
    pub host_pop: Signal<Out, Bit>,
    // Record words: `record_data` follows slot and word one cycle later, and stays while `record_enable` is low.
    pub record_enable: Signal<Out, Bit>,
    pub record_slot: Signal<Out, Bits<3>>,
    pub record_word: Signal<Out, Bits<5>>,
    pub record_data: Signal<In, Bits<32>>,
    // Pending events (from `events`): `pending_mask` is right in the cycle of `pending_pop`.
    pub pending_valid: Signal<In, Bit>,
    pub pending_conn: Signal<In, Bits<10>>,
    pub pending_mask: Signal<In, Bits<8>>,
    pub pending_pop: Signal<Out, Bit>,

    /// The builder has no free slot: no event begins, so none ever waits for one.
    pub sender_full: Signal<In, Bit>,
    /// The line is taken for longer than an event lasts: flag 14 of the events that begin now.
    pub sender_busy: Signal<In, Bit>,

    // What the program commands.
    pub command: CommandOut,
    pub post: PostOut,
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,

    // Replaces the program. Undefined for a word that is fetched at that very edge.
    pub program_write: Signal<In, Bit>,
    pub program_address: Signal<In, Bits<12>>,
    pub program_data: Signal<In, Bits<24>>,

    // What a simulation may watch. `trace_kind`: 0 segment, 1 stranger, 2 pending, 3 host command. A store into the current connection's state (or the shared
    // words) shows with `trace_store`, one cycle after its instruction.
    pub trace_valid: Signal<Out, Bit>,
    pub trace_pc: Signal<Out, Bits<12>>,
    pub trace_event: Signal<Out, Bit>,
    pub trace_kind: Signal<Out, Bits<2>>,
    pub trace_conn: Signal<Out, Bits<10>>,
    pub trace_done: Signal<Out, Bit>,
    pub trace_store: Signal<Out, Bit>,
    pub trace_store_conn: Signal<Out, Bits<10>>,
    pub trace_operand: Signal<Out, Bits<7>>,
    pub trace_data: Signal<Out, Bits<32>>,

    // Registers and memories.
    control: DFF<Control>,
    decode: DFF<Stage>,
    select: DFF<Select>,
    execute: DFF<Execute>,
    store: DFF<Store>,
    acc: DFF<Bits<32>>,
    results: DFF<Results>,
    ticks: DFF<Bits<32>>,
    cycles: DFF<Bits<8>>,
    program: HoldMemory<Bits<24>, 12>,
    state: HoldMemory<Bits<32>, 17>,

    // Wiring.
    word: Decode,
    read_at: StateAddress,
    write_at: StateAddress,
    gather: Gather,
    adder: Adder,
    shifter: Shifter,
    set_flag: SetFlag,
    preset: PresetFlags,

    // Named wires: control.
    op: Signal<Local, Opcode>,
    dst: Signal<Local, Bits<6>>,
    flags: Signal<Local, Bits<16>>,
    flag_now: Signal<Local, Bit>,
    active: Signal<Local, Bit>,
    is_command: Signal<Local, Bit>,
    is_post: Signal<Local, Bit>,
    source: Signal<Local, Bits<6>>,
    is_own: Signal<Local, Bit>,
    command_done: Signal<Local, Bit>,
    answered: Signal<Local, Bit>,
    go: Signal<Local, Bit>,
    jump: Signal<Local, Bit>,
    finish: Signal<Local, Bit>,
    flush: Signal<Local, Bit>,
    target: Signal<Local, Bits<12>>,
    offset: Signal<Local, Bits<12>>,
    next_pc: Signal<Local, Bits<12>>,
    return_pc: Signal<Local, Bits<12>>,
    executed_pc: Signal<Local, Bits<12>>,
    idle: Signal<Local, Bit>,
    start: Signal<Local, Bit>,
    start_segment: Signal<Local, Bit>,
    start_pending: Signal<Local, Bit>,
    start_host: Signal<Local, Bit>,
    kind: Signal<Local, Bits<2>>,
    event_kind: Signal<Local, Bits<2>>,
    event_conn: Signal<Local, Bits<10>>,
    event_vector: Signal<Local, Bits<12>>,
    // Named wires: operand.
    src: Signal<Local, Bits<6>>,
    selected: Signal<Local, Opcode>,
    wr: Signal<Local, Bits<3>>,
    is_outside: Signal<Local, Bit>,
    is_register: Signal<Local, Bit>,
    is_own_operand: Signal<Local, Bit>,
    is_immediate: Signal<Local, Bit>,
    decoded: Signal<Local, Opcode>,
    shift_kind: Signal<Local, Bits<3>>,
    is_alu: Signal<Local, Bit>,
    // Named wires: execution.
    operand_now: Signal<Local, Bits<32>>,
    acc_now: Signal<Local, Bits<32>>,
    acc_low: Signal<Local, Bits<4>>,
    logic: Signal<Local, Bits<32>>,
    arithmetic: Signal<Local, Bits<32>>,
    result: Signal<Local, Bits<32>>,
    flag_from: Signal<Local, Bits<2>>,
    flag_value: Signal<Local, Bit>,

    own_bit: Constant<Bits<3>>,
    aside_bit: Constant<Bits<3>>,
    has_aside: Constant<Bit>,
    setconn: Constant<Bits<6>>,
    count_code: Constant<Bits<6>>,
    post_code: Constant<Bits<6>>,
    host_slot: Constant<Bits<3>>,
    pipeline_depth: Constant<Bits<12>>,
    return_distance: Constant<Bits<12>>,
    preset_mask: Constant<Bits<8>>,
    odd: Signal<Local, Bit>,
    odd_bit: Constant<Bits<8>>,
    has_far: Constant<Bit>,
    has_all: Constant<Bit>,
    record_at: Concat<1, 4, 5>,
    stored_at: Concat<1, 6, 7>,
    far_bit: Signal<Local, Bits<1>>,
    store_far_bit: Signal<Local, Bits<1>>,
}

impl Engine {
    /// An engine for `connections` connections, with a program memory of `program_words` words that begins with `program`, and `shared`
    /// as first contents of operands 48 to 63 and, as far as `bank` has them, of those of the far bank.
    ///
    /// # Panics
    /// If `connections` is not 1 to 1024, `program_words` is not from 16 to 4096 and what a [`HoldMemory`] may have, or the program is longer than that or holds a word of more than 24 bits.
    pub fn new(
        connections: usize,
        program_words: usize,
        program: &[u32],
        shared: &[u32; 32],
        bank: Far,
    ) -> Self {
        assert!(
            (1..=1024).contains(&connections),
            "Engine: connections is {connections}, but must be from 1 to 1024"
        );
        assert!(
            (16..=4096).contains(&program_words),
            "Engine: program_words is {program_words}, but must be from 16 to 4096"
        );
        assert!(
            program.len() <= program_words,
            "Engine: program of {} words, but program_words is {program_words}",
            program.len()
        );
        assert!(
            program.iter().all(|word| word >> 24 == 0),
            "Engine: program holds a word of more than 24 bits"
        );
        let image: Vec<Bits<24>> = program
            .iter()
            .map(|word| u64::from(*word).to_bits())
            .collect();
        let rows = (connections + 1).next_power_of_two();
        let row = bank.row();
        let mut state: Vec<Bits<32>> = vec![Default::default(); (connections + 1) * row];
        let words = if bank == Far::None { 16 } else { 32 };
        for (n, word) in shared.iter().take(words).enumerate() {
            state[connections * row + bank.shared_place(n)] = u64::from(*word).to_bits();
        }
        Self {
            clock: Default::default(),
            reset: Default::default(),
            tick: Default::default(),
            now: Default::default(),
            segment_valid: Default::default(),
            segment_slot: Default::default(),
            segment_conn: Default::default(),
            segment_hit: Default::default(),
            segment_flags: Default::default(),
            segment_pop: Default::default(),
            host_valid: Default::default(),
            host_pop: Default::default(),
            record_enable: Default::default(),
            record_slot: Default::default(),
            record_word: Default::default(),
            record_data: Default::default(),
            pending_valid: Default::default(),
            pending_conn: Default::default(),
            pending_mask: Default::default(),
            pending_pop: Default::default(),
            sender_full: Default::default(),
            sender_busy: Default::default(),
            command: Default::default(),
            post: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            program_write: Default::default(),
            program_address: Default::default(),
            program_data: Default::default(),
            trace_valid: Default::default(),
            trace_pc: Default::default(),
            trace_event: Default::default(),
            trace_kind: Default::default(),
            trace_conn: Default::default(),
            trace_done: Default::default(),
            trace_store: Default::default(),
            trace_store_conn: Default::default(),
            trace_operand: Default::default(),
            trace_data: Default::default(),
            control: Default::default(),
            decode: Default::default(),
            select: Default::default(),
            execute: Default::default(),
            store: Default::default(),
            acc: Default::default(),
            results: Default::default(),
            ticks: Default::default(),
            cycles: Default::default(),
            word: Default::default(),
            gather: Default::default(),
            adder: Default::default(),
            shifter: Default::default(),
            set_flag: Default::default(),
            preset: Default::default(),
            op: Default::default(),
            dst: Default::default(),
            flags: Default::default(),
            flag_now: Default::default(),
            active: Default::default(),
            is_command: Default::default(),
            is_post: Default::default(),
            source: Default::default(),
            is_own: Default::default(),
            command_done: Default::default(),
            answered: Default::default(),
            go: Default::default(),
            jump: Default::default(),
            finish: Default::default(),
            flush: Default::default(),
            target: Default::default(),
            offset: Default::default(),
            next_pc: Default::default(),
            return_pc: Default::default(),
            executed_pc: Default::default(),
            idle: Default::default(),
            start: Default::default(),
            start_segment: Default::default(),
            start_pending: Default::default(),
            start_host: Default::default(),
            kind: Default::default(),
            event_kind: Default::default(),
            event_conn: Default::default(),
            event_vector: Default::default(),
            src: Default::default(),
            selected: Default::default(),
            wr: Default::default(),
            is_outside: Default::default(),
            is_register: Default::default(),
            is_own_operand: Default::default(),
            is_immediate: Default::default(),
            decoded: Default::default(),
            shift_kind: Default::default(),
            is_alu: Default::default(),
            operand_now: Default::default(),
            acc_now: Default::default(),
            acc_low: Default::default(),
            logic: Default::default(),
            arithmetic: Default::default(),
            result: Default::default(),
            flag_from: Default::default(),
            flag_value: Default::default(),
            program: HoldMemory::with_image(program_words, &image),
            state: HoldMemory::with_image(rows * row, &state),
            read_at: StateAddress::new(connections, bank),
            write_at: StateAddress::new(connections, bank),
            has_far: Constant::new(bank != Far::None),
            has_all: Constant::new(bank == Far::Whole),
            record_at: Default::default(),
            stored_at: Default::default(),
            far_bit: Default::default(),
            store_far_bit: Default::default(),
            own_bit: Constant::new(u64::from(isa::pending::AGAIN).to_bits()),
            aside_bit: Constant::new(u64::from(isa::pending::ASIDE).to_bits()),
            has_aside: Constant::new(false),
            setconn: Constant::new(u64::from(isa::cmd::SETCONN).to_bits()),
            count_code: Constant::new(u64::from(isa::cmd::COUNT).to_bits()),
            post_code: Constant::new(u64::from(isa::cmd::POST).to_bits()),
            host_slot: Constant::new(4_u64.to_bits()),
            pipeline_depth: Constant::new(4_u64.to_bits()),
            return_distance: Constant::new(3_u64.to_bits()),
            preset_mask: Constant::new(u64::from(isa::PRESET).to_bits()),
            odd: Default::default(),
            odd_bit: Constant::new(u64::from(isa::ODD).to_bits()),
        }
    }

    /// The same, whose `POST` with `imm` 1 posts [`isa::pending::ASIDE`], or any the one bit.
    pub fn with_aside(mut self, aside: bool) -> Self {
        self.has_aside = Constant::new(aside);
        self
    }
}

impl Logic for Engine {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- Registers ----
        dff_setup!(
            self, clock, control, decode, select, execute, store, acc, results, ticks, cycles
        );
        self.program.clock.next = self.clock.val();
        self.state.clock.next = self.clock.val();

        // ---- Time ----
        self.cycles.d.next = self.cycles.q.val() + 1;
        if self.tick.val() {
            self.ticks.d.next = self.ticks.q.val() + 1;
        }
        self.now.next = self.ticks.q.val().get_bits::<24>(0);

        // ---- Predicate: may the instruction in execute act? ----
        self.op.next = self.execute.q.val().op;
        self.dst.next = self.execute.q.val().dst;
        self.flags.next = self.control.q.val().flags;
        self.flag_now.next = self.flags.val().get_bit(self.execute.q.val().flag.index());
        self.active.next = self.execute.q.val().valid
            & ((self.flag_now.val() == self.execute.q.val().sense) | self.execute.q.val().far);

        // ---- Commands ----
        self.is_command.next = self.active.val() & (self.op.val() == Opcode::Cmd);
        self.is_post.next = self.is_command.val() & (self.dst.val() == self.post_code.val());
        self.is_own.next = self.is_command.val()
            & ((self.dst.val() == self.setconn.val()) | (self.dst.val() == self.count_code.val()));
        self.command_done.next = self.is_own.val()
            | (self.is_post.val() & self.post.ready.val())
            | self.command.done.val();
        self.go.next = !self.is_command.val() | self.command_done.val();
        self.operand_now.next = self.execute.q.val().operand;
        self.acc_now.next = self.acc.q.val();
        self.command.valid.next = self.is_command.val() & !self.is_own.val() & !self.is_post.val();
        self.command.code.next = self.dst.val();
        self.command.imm.next = self.execute.q.val().src;
        self.command.conn.next = self.control.q.val().conn;
        self.command.slot.next = self.control.q.val().slot;
        self.command.a.next = self.operand_now.val();
        self.command.b.next = self.acc_now.val();
        self.post.valid.next = self.is_post.val();
        self.post.conn.next = self.control.q.val().conn;
        self.post.bit.next = self.own_bit.val();
        self.source.next = self.execute.q.val().src;
        if self.has_aside.val() & self.source.val().get_bit(0) {
            self.post.bit.next = self.aside_bit.val();
        }
        self.count.next = self.is_own.val() & (self.dst.val() == self.count_code.val());
        self.cause.next = self.execute.q.val().src;
        self.answered.next = self.is_command.val()
            & self.command_done.val()
            & (self.dst.val() != self.setconn.val());
        if self.answered.val() {
            self.results.d.next.result = self.command.result.val();
            self.results.d.next.result2 = self.command.result2.val();
        }

        // ---- Where the program goes on ----
        self.finish.next = self.active.val() & (self.op.val() == Opcode::Done);
        self.jump.next = self.active.val()
            & ((self.op.val() == Opcode::Br)
                | (self.op.val() == Opcode::Call)
                | (self.op.val() == Opcode::Ret)
                | (self.op.val() == Opcode::Jt));
        self.flush.next = self.jump.val() | self.finish.val();
        self.acc_low.next = bit_cast::<4, 32>(self.acc_now.val());
        self.offset.next = bits::<12>(0);
        if self.op.val() == Opcode::Jt {
            self.offset.next = bit_cast::<12, 4>(self.acc_low.val());
        }
        self.target.next = bit_cast::<12, 32>(self.operand_now.val()) + self.offset.val();
        if self.op.val() == Opcode::Ret {
            self.target.next = self.control.q.val().return0;
        }
        // Between two jumps the pipeline is filled from consecutive words: the instruction in execute came from pc - 4.
        self.next_pc.next = self.control.q.val().pc + 1;
        self.return_pc.next = self.control.q.val().pc - self.return_distance.val();
        self.executed_pc.next = self.control.q.val().pc - self.pipeline_depth.val();
        if self.go.val() {
            self.control.d.next.pc = self.next_pc.val();
            self.control.d.next.fetched = self.control.q.val().running & !self.flush.val();
        }
        if self.jump.val() {
            self.control.d.next.pc = self.target.val();
        }
        if self.jump.val() & (self.op.val() == Opcode::Call) {
            self.control.d.next.return0 = self.return_pc.val();
            self.control.d.next.return1 = self.control.q.val().return0;
        }
        if self.jump.val() & (self.op.val() == Opcode::Ret) {
            self.control.d.next.return0 = self.control.q.val().return1;
        }

        // ---- Events ----
        self.idle.next = !self.control.q.val().running & !self.sender_full.val();
        self.start_segment.next = self.idle.val()
            & self.segment_valid.val()
            & !(self.pending_valid.val() & self.control.q.val().segment_last);
        self.start_host.next = self.idle.val()
            & self.host_valid.val()
            & !self.segment_valid.val()
            & !(self.pending_valid.val() & self.control.q.val().segment_last);
        self.start_pending.next = self.idle.val()
            & self.pending_valid.val()
            & !self.start_segment.val()
            & !self.start_host.val();
        self.start.next =
            self.start_segment.val() | self.start_pending.val() | self.start_host.val();
        self.event_kind.next = bits::<2>(0);
        self.event_vector.next = bits::<12>(12);
        self.event_conn.next = self.segment_conn.val();
        self.preset.from.next = self.segment_flags.val() & self.preset_mask.val();
        // SYN, RST, URG, no ACK, or the parser's word that there are SACK blocks.
        self.odd.next = self.segment_flags.val().get_bit(1)
            | self.segment_flags.val().get_bit(2)
            | self.segment_flags.val().get_bit(3)
            | self.segment_flags.val().get_bit(5)
            | !self.segment_flags.val().get_bit(4);
        if self.odd.val() {
            self.preset.from.next =
                (self.segment_flags.val() & self.preset_mask.val()) | self.odd_bit.val();
        }
        self.preset.ok.next = self.flags.val().get_bit(1);
        self.preset.busy.next = self.sender_busy.val();
        if !self.segment_hit.val() {
            self.event_kind.next = bits::<2>(1);
            self.event_vector.next = bits::<12>(4);
        }
        if self.start_pending.val() {
            self.event_kind.next = bits::<2>(2);
            self.event_vector.next = bits::<12>(8);
            self.event_conn.next = self.pending_conn.val();
            self.preset.from.next = self.pending_mask.val();
        }
        if self.start_host.val() {
            self.event_kind.next = bits::<2>(3);
            self.event_vector.next = bits::<12>(0);
            self.event_conn.next = bits::<10>(0);
            self.preset.from.next = bits::<8>(0);
        }
        self.kind.next = self.control.q.val().kind;
        self.pending_pop.next = self.start_pending.val();
        self.segment_pop.next = self.finish.val() & !self.kind.val().get_bit(1);
        self.host_pop.next =
            self.finish.val() & self.kind.val().get_bit(1) & self.kind.val().get_bit(0);

        // ---- Operand: which ----
        self.src.next = self.decode.q.val().src;
        self.decoded.next = self.decode.q.val().op;
        self.is_immediate.next = (self.decoded.val() == Opcode::Ldi)
            | (self.decoded.val() == Opcode::Br)
            | (self.decoded.val() == Opcode::Call)
            | (self.decoded.val() == Opcode::Jt);
        self.is_outside.next = self.src.val().get_bit(5) & !self.src.val().get_bit(4);
        self.is_register.next = self.src.val().get_bit(3) & self.src.val().get_bit(2);
        self.is_own_operand.next =
            !self.is_immediate.val() & self.is_outside.val() & self.is_register.val();
        self.read_at.conn.next = self.control.q.val().conn;
        self.read_at.operand.next = self.src.val();
        self.read_at.far.next = self.decode.q.val().far;
        self.state.read_enable.next = self.go.val();
        self.state.read_address.next = self.read_at.to.val();
        self.record_enable.next = self.go.val();
        self.record_slot.next = self.control.q.val().slot;
        self.far_bit.next = bits::<1>(0);
        if self.has_all.val() & self.decode.q.val().far {
            self.far_bit.next = bits::<1>(1);
        }
        self.record_at.high.next = self.far_bit.val();
        self.record_at.low.next = bit_cast::<4, 6>(self.src.val());
        self.record_word.next = self.record_at.to.val();

        // ---- Fetch and decode ----
        self.program.read_enable.next = self.go.val();
        self.program.read_address.next = self.control.q.val().pc;
        self.program.write_enable.next = self.program_write.val();
        self.program.write_address.next = self.program_address.val();
        self.program.write_data.next = self.program_data.val();
        self.word.from.next = self.program.read_data.val();
        if self.go.val() {
            self.decode.d.next.valid = self.control.q.val().fetched & !self.flush.val();
            self.decode.d.next.sense = self.word.to.val().sense;
            self.decode.d.next.far = self.has_far.val()
                & !self.word.to.val().sense
                & (self.word.to.val().flag == bits::<4>(0));
            self.decode.d.next.flag = self.word.to.val().flag;
            self.decode.d.next.wr = self.word.to.val().wr;
            self.decode.d.next.dst = self.word.to.val().dst;
            self.decode.d.next.src = self.word.to.val().src;
            self.decode.d.next.op = self.word.to.val().op;
            self.select.d.next.valid = self.decode.q.val().valid & !self.flush.val();
            self.select.d.next.sense = self.decode.q.val().sense;
            self.select.d.next.far = self.decode.q.val().far;
            self.select.d.next.flag = self.decode.q.val().flag;
            self.select.d.next.wr = self.decode.q.val().wr;
            self.select.d.next.dst = self.decode.q.val().dst;
            self.select.d.next.src = self.src.val();
            self.select.d.next.op = self.decoded.val();
            self.select.d.next.is_state = !self.is_immediate.val() & !self.is_outside.val();
            self.select.d.next.is_record =
                !self.is_immediate.val() & self.is_outside.val() & !self.is_register.val();
            self.select.d.next.is_result =
                self.is_own_operand.val() & !self.src.val().get_bit(1) & !self.src.val().get_bit(0);
            self.select.d.next.is_result2 =
                self.is_own_operand.val() & !self.src.val().get_bit(1) & self.src.val().get_bit(0);
            self.select.d.next.is_tick =
                self.is_own_operand.val() & self.src.val().get_bit(1) & !self.src.val().get_bit(0);
            self.select.d.next.is_long = self.is_own_operand.val()
                & self.src.val().get_bit(1)
                & !self.src.val().get_bit(0)
                & self.has_all.val()
                & self.decode.q.val().far;
            self.select.d.next.is_isn =
                self.is_own_operand.val() & self.src.val().get_bit(1) & self.src.val().get_bit(0);
            self.select.d.next.is_immediate = self.is_immediate.val();
            self.select.d.next.invert = (self.decoded.val() == Opcode::Sub)
                | (self.decoded.val() == Opcode::Rsb)
                | (self.decoded.val() == Opcode::Bic);
        }

        // ---- Operand: its value ----
        self.gather.state.next = self.state.read_data.val();
        self.gather.record.next = self.record_data.val();
        self.gather.result.next = self.results.q.val().result;
        self.gather.result2.next = self.results.q.val().result2;
        self.gather.ticks.next = self.ticks.q.val();
        self.gather.cycles.next = self.cycles.q.val();
        self.gather.high.next = self.select.q.val().src;
        self.gather.low.next = self.select.q.val().dst;
        self.gather.is_state.next = self.select.q.val().is_state;
        self.gather.is_record.next = self.select.q.val().is_record;
        self.gather.is_result.next = self.select.q.val().is_result;
        self.gather.is_result2.next = self.select.q.val().is_result2;
        self.gather.is_tick.next = self.select.q.val().is_tick;
        self.gather.is_long.next = self.select.q.val().is_long;
        self.gather.is_isn.next = self.select.q.val().is_isn;
        self.gather.is_immediate.next = self.select.q.val().is_immediate;
        self.gather.invert.next = self.select.q.val().invert;
        self.selected.next = self.select.q.val().op;
        self.wr.next = self.select.q.val().wr;
        self.shift_kind.next = bit_cast::<3, 6>(self.select.q.val().dst);

        // ---- Into execute ----
        self.is_alu.next = true;
        if self.go.val() {
            self.execute.d.next.valid = self.select.q.val().valid & !self.flush.val();
            self.execute.d.next.sense = self.select.q.val().sense;
            self.execute.d.next.far = self.select.q.val().far;
            self.execute.d.next.flag = self.select.q.val().flag;
            self.execute.d.next.dst = self.select.q.val().dst;
            self.execute.d.next.src = self.select.q.val().src;
            self.execute.d.next.op = self.selected.val();
            self.execute.d.next.operand = self.gather.to.val();
            self.execute.d.next.logic = bits::<2>(3);
            self.execute.d.next.arithmetic = false;
            self.execute.d.next.carry_in = false;
            self.execute.d.next.reverse = false;
            self.execute.d.next.shift_fine = false;
            self.execute.d.next.shift_left = self.shift_kind.val().get_bit(2);
            self.execute.d.next.shift_three =
                self.shift_kind.val().get_bit(2) ^ self.shift_kind.val().get_bit(0);
            self.execute.d.next.shift_right8 = false;
            self.execute.d.next.shift_left8 = false;
            self.execute.d.next.shift_right16 = false;
            self.execute.d.next.shift_left16 = false;
            self.execute.d.next.write_acc = false;
            self.execute.d.next.write_mem = false;
            self.execute.d.next.write_flag = false;
            self.execute.d.next.flag_from = bits::<2>(0);
            match self.selected.val() {
                Opcode::Add => {
                    self.execute.d.next.arithmetic = true;
                }
                Opcode::Sub => {
                    self.execute.d.next.arithmetic = true;
                    self.execute.d.next.carry_in = true;
                }
                // src - acc = !(acc + !src)
                Opcode::Rsb => {
                    self.execute.d.next.arithmetic = true;
                    self.execute.d.next.reverse = true;
                }
                Opcode::And => {
                    self.execute.d.next.logic = bits::<2>(0);
                }
                Opcode::Or => {
                    self.execute.d.next.logic = bits::<2>(1);
                }
                Opcode::Xor => {
                    self.execute.d.next.logic = bits::<2>(2);
                }
                Opcode::Bic => {
                    self.execute.d.next.logic = bits::<2>(0);
                }
                Opcode::Shift => {
                    self.execute.d.next.write_acc = true;
                    self.execute.d.next.reverse = true;
                    self.execute.d.next.shift_fine = !self.shift_kind.val().get_bit(1);
                    self.execute.d.next.shift_right8 = self.shift_kind.val() == bits::<3>(3);
                    self.execute.d.next.shift_left8 = self.shift_kind.val() == bits::<3>(7);
                    self.execute.d.next.shift_right16 = self.shift_kind.val() == bits::<3>(2);
                    self.execute.d.next.shift_left16 = self.shift_kind.val() == bits::<3>(6);
                }
                Opcode::Ldi => {
                    self.execute.d.next.write_acc = true;
                }
                _ => {}
            }
            if self.is_alu.val() {
                self.execute.d.next.write_acc =
                    !self.wr.val().get_bit(2) & self.wr.val().get_bit(0);
                self.execute.d.next.write_mem =
                    !self.wr.val().get_bit(2) & self.wr.val().get_bit(1);
                self.execute.d.next.write_flag = self.wr.val().get_bit(2);
                self.execute.d.next.flag_from = bit_cast::<2, 3>(self.wr.val());
            }
        }

        // ---- Execute ----
        self.adder.a.next = self.acc_now.val();
        self.adder.b.next = self.operand_now.val();
        self.adder.carry_in.next = self.execute.q.val().carry_in;
        self.shifter.from.next = self.operand_now.val();
        self.shifter.fine.next = self.execute.q.val().shift_fine;
        self.shifter.left.next = self.execute.q.val().shift_left;
        self.shifter.three.next = self.execute.q.val().shift_three;
        self.shifter.right8.next = self.execute.q.val().shift_right8;
        self.shifter.left8.next = self.execute.q.val().shift_left8;
        self.shifter.right16.next = self.execute.q.val().shift_right16;
        self.shifter.left16.next = self.execute.q.val().shift_left16;
        self.logic.next = self.operand_now.val();
        if self.execute.q.val().logic == bits::<2>(0) {
            self.logic.next = self.acc_now.val() & self.operand_now.val();
        }
        if self.execute.q.val().logic == bits::<2>(1) {
            self.logic.next = self.acc_now.val() | self.operand_now.val();
        }
        if self.execute.q.val().logic == bits::<2>(2) {
            self.logic.next = self.acc_now.val() ^ self.operand_now.val();
        }
        self.arithmetic.next = self.adder.sum.val();
        if self.execute.q.val().reverse {
            self.arithmetic.next = !self.adder.sum.val();
        }
        self.result.next = self.logic.val();
        if self.execute.q.val().reverse {
            self.result.next = bits::<32>(0);
        }
        if self.execute.q.val().arithmetic {
            self.result.next = self.arithmetic.val();
        }
        if self.active.val() & self.execute.q.val().write_acc {
            self.acc.d.next = self.result.val() | self.shifter.to.val();
        }
        self.flag_from.next = self.execute.q.val().flag_from;
        self.flag_value.next = self.result.val().get_bit(31);
        if self.flag_from.val().get_bit(0) {
            self.flag_value.next = !self.result.val().any();
        }
        if self.flag_from.val().get_bit(1) {
            self.flag_value.next = self.execute.q.val().arithmetic
                & (self.adder.carry.val() ^ self.execute.q.val().reverse);
        }
        self.set_flag.from.next = self.flags.val();
        self.set_flag.enable.next = self.active.val() & self.execute.q.val().write_flag;
        self.set_flag.index.next = bit_cast::<4, 6>(self.dst.val());
        self.set_flag.or_in.next = self.dst.val().get_bit(4);
        self.set_flag.value.next = self.flag_value.val() ^ self.dst.val().get_bit(5);
        self.set_flag.done.next = self.answered.val();
        self.set_flag.ok.next = self.command.ok.val();
        self.control.d.next.flags = self.set_flag.to.val();
        if self.is_own.val() & (self.dst.val() == self.setconn.val()) {
            self.control.d.next.conn = bit_cast::<10, 32>(self.operand_now.val());
        }

        // ---- Store ----
        self.store.d.next.enable = self.active.val() & self.execute.q.val().write_mem;
        self.store.d.next.far = self.execute.q.val().far;
        self.store.d.next.operand = self.dst.val();
        self.store.d.next.data = self.result.val();
        self.write_at.conn.next = self.control.q.val().conn;
        self.write_at.operand.next = self.store.q.val().operand;
        self.write_at.far.next = self.store.q.val().far;
        self.state.write_enable.next = self.store.q.val().enable;
        self.state.write_address.next = self.write_at.to.val();
        self.state.write_data.next = self.store.q.val().data;

        // ---- Begin and end of an event ----
        if self.finish.val() {
            self.control.d.next.running = false;
        }
        if self.start.val() {
            self.control.d.next.running = true;
            self.control.d.next.pc = self.event_vector.val();
            self.control.d.next.kind = self.event_kind.val();
            self.control.d.next.conn = self.event_conn.val();
            self.control.d.next.flags = self.preset.to.val();
        }
        if self.start_segment.val() {
            self.control.d.next.slot = self.segment_slot.val();
            self.control.d.next.segment_last = true;
        }
        if self.start_pending.val() {
            self.control.d.next.slot = bits::<3>(0);
            self.control.d.next.segment_last = false;
            self.results.d.next.result = bit_cast::<32, 8>(self.pending_mask.val());
        }
        if self.start_host.val() {
            self.control.d.next.slot = self.host_slot.val();
            // The next turn is the pending event's.
            self.control.d.next.segment_last = true;
        }

        // ---- Trace ----
        self.trace_valid.next = self.execute.q.val().valid & self.go.val();
        self.trace_pc.next = self.executed_pc.val();
        self.trace_event.next = self.start.val();
        self.trace_kind.next = self.event_kind.val();
        self.trace_conn.next = self.event_conn.val();
        self.trace_done.next = self.finish.val();
        self.trace_store.next = self.store.q.val().enable;
        self.trace_store_conn.next = self.control.q.val().conn;
        self.store_far_bit.next = bits::<1>(0);
        if self.store.q.val().far {
            self.store_far_bit.next = bits::<1>(1);
        }
        self.stored_at.high.next = self.store_far_bit.val();
        self.stored_at.low.next = self.store.q.val().operand;
        self.trace_operand.next = self.stored_at.to.val();
        self.trace_data.next = self.store.q.val().data;

        // ---- Reset ----
        if self.reset.val() {
            self.control.d.next.running = false;
            self.control.d.next.fetched = false;
            self.control.d.next.segment_last = false;
            self.decode.d.next.valid = false;
            self.select.d.next.valid = false;
            self.execute.d.next.valid = false;
            self.store.d.next.enable = false;
            self.ticks.d.next = bits::<32>(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::asm;
    use crate::tcp::model::{Answer, Coprocessors, Cost, Event, Machine, Registers, Request};
    use isa::{cmd, encode, hazard, Op, Write};
    use rand::Rng;

    const CONNECTIONS: usize = 4;
    const OPS: [Op; 16] = [
        Op::Ld,
        Op::Add,
        Op::Sub,
        Op::Rsb,
        Op::And,
        Op::Or,
        Op::Xor,
        Op::Bic,
        Op::Shift,
        Op::Ldi,
        Op::Br,
        Op::Call,
        Op::Ret,
        Op::Jt,
        Op::Cmd,
        Op::Done,
    ];
    const WRITES: [Write; 7] = [
        Write::None,
        Write::Acc,
        Write::Mem,
        Write::AccMem,
        Write::Sign,
        Write::Zero,
        Write::Carry,
    ];

    /// A random program that ends: jumps go forward, subroutines (from 3/4 of the memory on) do not finish, the deepest (from 7/8 on) do not call, and no operand is read sooner
    /// than the hazards allow. `timed` lets it read TICK and ISN, `far` says what of the far bank the engine has.
    fn random_program(rng: &mut impl Rng, words: usize, timed: bool, far: Far) -> Vec<u32> {
        let mut program: Vec<u32> = Vec::new();
        let mut stored = vec![usize::MAX; 128];
        let (mut commanded, mut moved) = (usize::MAX, usize::MAX);
        let subroutines = words * 3 / 4;
        let deepest = words * 7 / 8;
        let within =
            |at: usize, then: usize, distance: usize| then != usize::MAX && at < then + distance;
        while program.len() < words {
            let at = program.len();
            let sense = rng.random_bool(0.9);
            let flag = if rng.random_bool(0.5) {
                0
            } else {
                rng.random_range(1..16)
            };
            let in_subroutine = at >= subroutines;
            let end = if at >= deepest {
                words
            } else if in_subroutine {
                deepest
            } else {
                subroutines
            };
            let mut op = OPS[rng.random_range(0..16)];
            if rng.random_bool(0.4) {
                op = OPS[rng.random_range(0..8)];
            }
            if at < 16 && rng.random_bool(0.9) && at % 4 < 3 {
                op = Op::Ldi;
            }
            if at >= deepest && op == Op::Call || in_subroutine && op == Op::Done {
                op = Op::Ret;
            }
            if !in_subroutine && op == Op::Ret {
                op = Op::Call;
            }
            let (mut flag, mut sense) = (flag, sense);
            let mut src = rng.random_range(0..64u8);
            let mut dst = rng.random_range(0..64u8);
            let mut wr = Write::None;
            if flag == 0 && op == Op::Cmd {
                // Numbers of connections stand in the near bank.
                sense = true;
            }
            let is_far = far != Far::None && flag == 0 && !sense;
            let bank = if is_far { 64 } else { 0 };
            // What there is of it.
            let low = if is_far && far == Far::Shared { 48 } else { 0 };
            src = src.max(low);
            dst = dst.max(low);
            let free = |src: u8| {
                let too_early = within(at, stored[bank + src as usize], hazard::STORE_TO_LOAD)
                    || (src < 32 && within(at, moved, hazard::SETCONN_TO_STATE))
                    || ((src == isa::RESULT || src == isa::RESULT2)
                        && within(at, commanded, hazard::COMMAND_TO_RESULT));
                !too_early && (timed || (src != isa::TICK && src != isa::ISN))
            };
            if at + 1 == words || at + 1 == deepest {
                (op, flag, sense) = (Op::Ret, 0, true);
            } else if at + 1 == subroutines {
                (op, flag, sense) = (Op::Done, 0, true);
            } else if at + 20 >= end && matches!(op, Op::Jt | Op::Br) {
                op = Op::Add;
            }
            match op {
                Op::Ldi => wr = Write::Acc,
                Op::Br | Op::Call | Op::Jt => {
                    let to = match op {
                        Op::Call if in_subroutine => rng.random_range(deepest..words),
                        Op::Call => rng.random_range(subroutines..deepest),
                        Op::Br => rng.random_range(at + 1..(at + 20).min(end)),
                        _ => at + 1,
                    };
                    src = (to >> 6) as u8;
                    dst = (to & 63) as u8;
                }
                Op::Ret | Op::Done => {}
                Op::Shift => {
                    while !free(src) {
                        src = rng.random_range(low..64);
                    }
                    wr = Write::Acc;
                }
                Op::Cmd => {
                    while !free(src) {
                        src = rng.random_range(0..64);
                    }
                    if rng.random_bool(0.3) {
                        dst = rng.random_range(0..3);
                    }
                    while asm::command(dst).is_none() {
                        dst = rng.random_range(0..64);
                    }
                    // The last four operands are for connection numbers.
                    if dst == cmd::SETCONN {
                        src = rng.random_range(60..64);
                    }
                    commanded = at;
                    if dst == isa::cmd::SETCONN {
                        moved = at;
                    }
                }
                _ => {
                    while !free(src) {
                        src = rng.random_range(low..64);
                    }
                    wr = WRITES[rng.random_range(0..7)];
                    if matches!(wr, Write::Carry) && !matches!(op, Op::Add | Op::Sub | Op::Rsb) {
                        wr = Write::Zero;
                    }
                    if matches!(wr, Write::Mem | Write::AccMem) {
                        while (32..48).contains(&dst)
                            || dst >= 60
                            || (dst < 32 && within(at, moved, hazard::SETCONN_TO_STATE))
                        {
                            dst = rng.random_range(low..64);
                        }
                        stored[bank + dst as usize] = at;
                    }
                }
            }
            program.push(encode(op, src, dst, wr, flag, sense));
        }
        program
    }

    fn shared(rng: &mut impl Rng) -> [u32; 32] {
        std::array::from_fn(|_| rng.random())
    }

    fn rng(seed: u64) -> impl Rng {
        use rand::SeedableRng;
        rand::rngs::StdRng::seed_from_u64(seed)
    }

    fn wide(rng: &mut impl Rng) -> u64 {
        match rng.random_range(0..4) {
            0 => u64::from(rng.random::<u32>()),
            1 => u64::from(u32::MAX - rng.random_range(0..4)),
            _ => rng.random_range(0..8),
        }
    }

    #[test]
    fn engine_lockstep() {
        lockstep_of(Far::None);
    }

    #[test]
    fn engine_with_a_far_bank_lockstep() {
        lockstep_of(Far::Whole);
    }

    #[test]
    fn engine_with_far_shared_words_lockstep() {
        lockstep_of(Far::Shared);
    }

    fn lockstep_of(far: Far) {
        let mut seeds = rng(1);
        let program = random_program(&mut seeds, 1024, true, far);
        let shared = shared(&mut seeds);
        let mut patience = 0_u32;
        let report = toe_sim::lockstep!(
            "engine",
            Engine::new(CONNECTIONS, 1024, &program, &shared, far).with_aside(far == Far::Whole),
            20_000,
            |uut, cycle, rng| {
                uut.reset.next = rng.random_bool(0.0005);
                uut.tick.next = rng.random_bool(0.05);
                if rng.random_bool(0.02) || cycle == 0 {
                    uut.segment_slot.next = rng.random_range(0..4_u64).to_bits();
                    uut.segment_conn.next = rng.random_range(0..4_u64).to_bits();
                    uut.segment_hit.next = rng.random_bool(0.7);
                    uut.segment_flags.next = u64::from(rng.random::<u8>()).to_bits();
                    uut.segment_valid.next = rng.random_bool(0.5);
                    uut.host_valid.next = rng.random_bool(0.5);
                    uut.sender_full.next = rng.random_bool(0.2);
                    uut.sender_busy.next = rng.random_bool(0.5);
                    uut.pending_valid.next = rng.random_bool(0.5);
                    uut.pending_conn.next = rng.random_range(0..4_u64).to_bits();
                    uut.pending_mask.next = u64::from(rng.random::<u8>()).to_bits();
                }
                if uut.record_enable.val() {
                    uut.record_data.next = wide(rng).to_bits();
                }
                if patience == 0 {
                    patience = if rng.random_bool(0.6) {
                        1
                    } else {
                        rng.random_range(1..12)
                    };
                }
                let waits = uut.command.valid.val() || uut.post.valid.val();
                patience -= u32::from(waits);
                let answers = waits && patience == 0;
                uut.command.done.next = answers && uut.command.valid.val();
                uut.post.ready.next = answers && uut.post.valid.val();
                let answers = answers && uut.command.valid.val();
                uut.command.ok.next = answers && rng.random_bool(0.5);
                uut.command.result.next = if answers { wide(rng) } else { 0 }.to_bits();
                uut.command.result2.next = if answers { wide(rng) } else { 0 }.to_bits();
                uut.program_write.next = rng.random_bool(0.05);
                let at = rng.random_range(0..1024_usize);
                uut.program_address.next = (at as u64).to_bits();
                uut.program_data.next = u64::from(program[at]).to_bits();
            }
        );
        report.assert_active();
    }

    /// What the model asked, and what it was told at random.
    struct Oracle {
        rng: rand::rngs::StdRng,
        told: Vec<(Request, Answer)>,
    }

    impl Coprocessors for Oracle {
        fn command(&mut self, request: Request) -> Answer {
            let answer = match request.code {
                cmd::COUNT => Answer::default(),
                cmd::POST => Answer {
                    wait: self.rng.random_range(0..5),
                    ..Answer::default()
                },
                _ => Answer {
                    ok: self.rng.random(),
                    result: wide(&mut self.rng) as u32,
                    result2: wide(&mut self.rng) as u32,
                    wait: if self.rng.random() {
                        0
                    } else {
                        self.rng.random_range(0..9)
                    },
                },
            };
            self.told.push((request, answer));
            answer
        }

        fn tick(&self) -> u32 {
            unreachable!("these programs do not read TICK")
        }

        fn isn(&self) -> u32 {
            unreachable!("these programs do not read ISN")
        }
    }

    fn settle(uut: &mut Engine) {
        for _ in 0..50 {
            uut.update_all();
            if !uut.has_changed() {
                return;
            }
        }
        panic!("not settled");
    }

    fn edge(uut: &mut Engine) {
        for clk in [true, false] {
            uut.clock.next = Clock { clk };
            settle(uut);
        }
    }

    /// Runs one event on the gates, which must ask what the model asked; instructions retired and cycles from the event's choice to the next.
    fn run_event(
        uut: &mut Engine,
        words: &[u32],
        event: Event,
        expected: &[(Request, Answer)],
    ) -> Cost {
        // The model's sixth preset flag is the builder's.
        let preset = match event {
            Event::Segment { flags, .. } => flags,
            Event::Pending { mask, .. } => mask,
            Event::Command { .. } => 0,
        };
        uut.sender_busy.next = preset & 64 != 0;
        let record = match event {
            Event::Segment {
                conn,
                hit,
                slot,
                flags,
                record,
            } => {
                uut.segment_valid.next = true;
                uut.segment_conn.next = u64::from(conn).to_bits();
                uut.segment_hit.next = hit;
                uut.segment_slot.next = u64::from(slot).to_bits();
                uut.segment_flags.next = u64::from(flags ^ 64).to_bits();
                record
            }
            Event::Pending { conn, mask } => {
                uut.pending_valid.next = true;
                uut.pending_conn.next = u64::from(conn).to_bits();
                uut.pending_mask.next = u64::from(mask).to_bits();
                [0; isa::seg::WORDS]
            }
            Event::Command { record } => {
                uut.host_valid.next = true;
                record
            }
        };
        settle(uut);
        assert!(
            uut.trace_event.val(),
            "an idle engine takes an event at once"
        );
        let mut asked = expected.iter();
        let mut answering: Option<(Answer, u64)> = None;
        let mut cost = Cost::default();
        loop {
            cost.cycles += 1;
            assert!(cost.cycles < 20_000, "no DONE");
            let (valid, post, count) = (
                uut.command.valid.val(),
                uut.post.valid.val(),
                uut.count.val(),
            );
            if (valid || post || count) && answering.is_none() {
                let (request, answer) = asked.next().expect("a command the model did not give");
                let takes_a = asm::command(request.code).is_some_and(|c| c.takes_a);
                let seen = Request {
                    code: uut.command.code.val().to_u64() as u8,
                    imm: uut.command.imm.val().to_u64() as u8,
                    conn: uut.command.conn.val().to_u64() as u16,
                    slot: uut.command.slot.val().to_u64() as u8,
                    a: if takes_a {
                        uut.command.a.val().to_u64() as u32
                    } else {
                        0
                    },
                    b: uut.command.b.val().to_u64() as u32,
                };
                assert_eq!(seen, *request);
                assert_eq!(post, request.code == cmd::POST);
                assert_eq!(count, request.code == cmd::COUNT);
                if post {
                    assert_eq!(uut.post.conn.val().to_u64(), u64::from(request.conn));
                    let aside = uut.has_aside.val() && request.imm & 1 == 1;
                    let bit = if aside {
                        isa::pending::ASIDE
                    } else {
                        isa::pending::AGAIN
                    };
                    assert_eq!(uut.post.bit.val().to_u64(), u64::from(bit));
                }
                if count {
                    assert_eq!(uut.cause.val().to_u64(), u64::from(request.imm));
                } else {
                    answering = Some((*answer, answer.wait));
                }
            }
            let mut now = Answer::default();
            let mut done = false;
            if let Some((answer, wait)) = answering.take() {
                done = wait == 0;
                if done {
                    now = answer;
                } else {
                    answering = Some((answer, wait - 1));
                }
            }
            uut.command.done.next = done && valid;
            uut.post.ready.next = done && post;
            uut.command.ok.next = now.ok;
            uut.command.result.next = u64::from(now.result).to_bits();
            uut.command.result2.next = u64::from(now.result2).to_bits();
            settle(uut);
            cost.instructions += u64::from(uut.trace_valid.val());
            let finished = uut.trace_done.val();
            if uut.trace_valid.val() {
                let word = words[uut.trace_pc.val().to_u64() as usize];
                assert!(!finished || word >> 20 == Op::Done as u32, "trace_pc");
            }
            assert_eq!(
                uut.segment_pop.val(),
                finished && matches!(event, Event::Segment { .. })
            );
            assert_eq!(
                uut.host_pop.val(),
                finished && matches!(event, Event::Command { .. })
            );
            assert_eq!(
                uut.pending_pop.val(),
                cost.cycles == 1 && matches!(event, Event::Pending { .. })
            );
            let read = uut
                .record_enable
                .val()
                .then(|| uut.record_word.val().to_u64() as usize);
            edge(uut);
            if let Some(word) = read {
                uut.record_data.next =
                    u64::from(record.get(word).copied().unwrap_or(if word < 16 {
                        0xDEAD_BEEF
                    } else {
                        0
                    }))
                    .to_bits();
            }
            uut.segment_valid.next &= !finished;
            uut.host_valid.next &= !finished;
            uut.pending_valid.next = false;
            uut.command.done.next = false;
            uut.post.ready.next = false;
            settle(uut);
            if finished {
                break;
            }
        }
        assert!(asked.next().is_none(), "a command the gates did not give");
        // The last store is on its way.
        edge(uut);
        cost
    }

    fn random_event(rng: &mut impl Rng) -> Event {
        let record = std::array::from_fn(|_| wide(rng) as u32);
        let conn = rng.random_range(0..CONNECTIONS as u16);
        match rng.random_range(0..5) {
            0 => Event::Command { record },
            1 | 2 => Event::Pending {
                conn,
                mask: rng.random_range(1..=255),
            },
            _ => Event::Segment {
                conn,
                hit: rng.random(),
                slot: rng.random_range(0..4),
                flags: rng.random(),
                record,
            },
        }
    }

    /// Random programs, events, answers and waits: gates and instruction-level model give the same commands, state, accumulator, flags and
    /// results at every DONE, and take the same number of cycles.
    #[test]
    fn engine_equals_the_model() {
        let (mut instructions, mut cycles, mut commands) = (0, 0, 0);
        for seed in 0..90 {
            let far = [Far::None, Far::Shared, Far::Whole][seed as usize / 30];
            let mut rng = rng(seed);
            let mut shared = shared(&mut rng);
            for (conn, word) in shared[12..16].iter_mut().enumerate() {
                *word = conn as u32;
            }
            let program = asm::Program {
                words: random_program(&mut rng, 256, false, far),
                shared,
                far,
                ..asm::Program::default()
            };
            let mut machine = Machine::new(&program, CONNECTIONS);
            let mut uut = Engine::new(CONNECTIONS, 256, &program.words, &shared, far)
                .with_aside(far == Far::Whole);
            uut.connect_all();
            let mut oracle = Oracle {
                rng: rand::SeedableRng::seed_from_u64(seed),
                told: Vec::new(),
            };
            for round in 0..60 {
                let event = random_event(&mut rng);
                oracle.told.clear();
                let told = format!("seed {seed}, event {round}, {event:?}");
                let model = machine
                    .run(event, &mut oracle)
                    .unwrap_or_else(|fault| panic!("{told}: {fault}"));
                let gates = run_event(&mut uut, &program.words, event, &oracle.told);
                assert_eq!(gates, model, "{told}");
                let state = uut.state.words();
                let row = far.row();
                for conn in 0..CONNECTIONS {
                    for n in 0..row {
                        let word = state[row * conn + n].to_u64();
                        assert_eq!(
                            word,
                            u64::from(machine.state[conn][n]),
                            "{told}: {conn}, {n}"
                        );
                    }
                }
                let words = if far == Far::None { 16 } else { 32 };
                for (n, word) in machine.shared.iter().take(words).enumerate() {
                    let at = row * CONNECTIONS + far.shared_place(n);
                    assert_eq!(state[at].to_u64(), u64::from(*word), "{told}: shared {n}");
                }
                let registers = Registers {
                    acc: uut.acc.q.val().to_u64() as u32,
                    flags: uut.control.q.val().flags.to_u64() as u16,
                    result: uut.results.q.val().result.to_u64() as u32,
                    result2: uut.results.q.val().result2.to_u64() as u32,
                };
                assert_eq!(registers, machine.registers(), "{told}");
                instructions += gates.instructions;
                cycles += gates.cycles;
                commands += oracle.told.len();
            }
        }
        println!("{instructions} instructions, {cycles} cycles, {commands} commands");
        assert!(
            instructions > 50_000 && commands > 2_000,
            "{instructions} {commands}"
        );
    }

    /// Segments and pending events take turns, and without segments host commands and pending events; nothing begins while the builder is full.
    #[test]
    fn nobody_starves() {
        let done = encode(Op::Done, 0, 0, Write::None, 0, true);
        let mut uut = Engine::new(CONNECTIONS, 16, &[done; 16], &[0; 32], Far::None);
        uut.connect_all();
        let mut kinds = |full, segment, pending, host| {
            uut.sender_full.next = full;
            uut.segment_valid.next = segment;
            uut.segment_hit.next = true;
            uut.pending_valid.next = pending;
            uut.host_valid.next = host;
            settle(&mut uut);
            let (mut kinds, mut starts) = (Vec::new(), Vec::new());
            for cycle in 0..60 {
                if uut.trace_event.val() {
                    kinds.push(uut.trace_kind.val().to_u64());
                    starts.push(cycle);
                }
                edge(&mut uut);
            }
            assert!(
                starts.windows(2).all(|two| two[1] - two[0] == 6),
                "{starts:?}"
            );
            kinds
        };
        let turns = |kinds: &[u64], both: [u64; 2]| {
            assert!(kinds.len() > 8 && kinds.iter().all(|kind| both.contains(kind)));
            assert!(kinds.windows(2).all(|two| two[0] != two[1]), "{kinds:?}");
        };
        turns(&kinds(false, true, true, true), [0, 2]);
        let only = |kinds: &[u64], kind| kinds.len() > 8 && kinds.iter().all(|k| *k == kind);
        assert!(only(&kinds(false, true, false, true)[1..], 0));
        turns(&kinds(false, false, true, true)[1..], [2, 3]);
        assert!(only(&kinds(false, false, false, true)[1..], 3));
        assert!(kinds(true, true, true, true).len() <= 1);
    }
}
