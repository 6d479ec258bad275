//! The segment builder: the engine's header words and the send ring's payload become TCP segments with their checksum.
//!
//! `OUT` fills the free one of 4 slots, `SEND` closes it. The checksum is summed as the words come (pseudo header, header words, payload sum from its
//! descriptor; 32 bits a cycle) and folded after `SEND`, so that it is there before the segment's first byte, and segments follow each other with a gap of 9 cycles,
//! less than a frame's own preamble, headers and gap cost on the wire.
//!
//! **ECN** (RFC 3168), if the builder is built for it. It keeps three marks a connection ([`super::isa::mark`]), which command `ECN` sets and clears and `RX_INIT` clears: what a segment has of ECT(0), ECE and CWR is put in with its `SEND`,
//! so that whoever gives the words need not know. It hears what the engine counts: behind `Retransmit` and `ZeroWindowProbe` what the event sends is no new text, and has neither ECT nor CWR; `RtoExpired` sets CWR. SYN and RST have none of all that.
//!
//! **Differentiated services** (RFC 9293 section 3.9.2.1, MUST-48), if it is built for them: six bits a connection, which command `DIFFSERV` sets, go with all that it sends, but RST and SYN-ACK, which may be nobody's.
//!
//! **Latency.** `OUT` 1 cycle and `SEND` 2 when a slot is free and the last `SEND` was done 4 cycles before, else up to 3 longer; `SEND` given → first byte offered, when
//! idle, 9 cycles. `ECN` 2 cycles, `DIFFSERV` 1. **Throughput.** One byte a cycle, from the first to the last, at the pace of `ready`. **Abort.** None: what was sent leaves.
use super::command::CommandIn;
use super::tx_ring::Join;
use crate::counters::Cause;
use crate::memory::Memory;
use crate::net::PacketOut;
use rust_hdl::prelude::*;

// ---------------------------------------------------------------- types

/// 32-bit addition with carry in and out, for a ones' complement sum.
#[derive(LogicBlock, Debug, Default)]
pub(crate) struct AddCarry32 {
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    pub carry: Signal<In, Bits<1>>,
    pub sum: Signal<Out, Bits<32>>,
    pub carry_out: Signal<Out, Bits<1>>,
}

impl Logic for AddCarry32 {
    fn update(&mut self) {
        let a: u64 = self.a.val().to_u64();
        let b: u64 = self.b.val().to_u64();
        let carry: u64 = self.carry.val().to_u64();
        let total = a + b + carry;
        self.sum.next = (total & 0xFFFF_FFFF).into();
        self.carry_out.next = (total >> 32).into();
    }

    fn connect(&mut self) {
        self.sum.connect();
        self.carry_out.connect();
    }

    // The carry goes in below the lowest bit: one carry chain.
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "\
wire [33:0] wide = {1'b0, a, 1'b1} + {1'b0, b, carry};
always @(*) begin
    sum = wide[32:1];
    carry_out = wide[33];
end
"
            .into(),
        )
    }
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum Sum {
    /// Words and lengths come.
    Open,
    Header,
    Carry,
    Fold,
    Store,
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum Emit {
    Idle,
    /// The first word is on its way: each is used two cycles after its address.
    Wait,
    MacLo,
    MacHi,
    Ip,
    Length,
    Conn,
    Offset,
    First,
    Header,
    Payload,
}

#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
struct Registers {
    // slots
    fill: Bits<2>,
    count: Bits<3>,
    /// The last that was sent has 256 bytes or more.
    long: Bit,
    // the checksum
    sum: Sum,
    offset: Bits<4>,
    total: Bits<32>,
    carry: Bits<1>,
    // the segment that leaves
    emit: Emit,
    slot: Bits<2>,
    index: Bits<4>,
    words: Bits<4>,
    checked: Bit,
    byte: Bits<2>,
    /// What the slots gave a cycle ago.
    word: Bits<32>,
    shift: Bits<32>,
    /// The payload's byte on offer; the one behind it is on its way.
    payload: Bits<8>,
    left: Bits<16>,
    mac_lo: Bits<32>,
    mac_hi: Bits<16>,
    tag: Bits<16>,
    ip: Bits<32>,
    length: Bits<16>,
    class: Bits<6>,
    ect: Bit,
    ece: Bit,
    cwr: Bit,
    /// The segment that is being made is neither SYN nor RST.
    plain: Bit,
    /// It is neither RST nor SYN-ACK, and so the command's connection's.
    own: Bit,
    /// What this event sends is no new text.
    again: Bit,
    /// The marks of the command's connection have been read.
    marking: Bit,
    conn: Bits<10>,
    position: Bits<16>,
}

/// The segment builder.
#[derive(LogicBlock)]
pub struct Builder {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// Commands `OUT` and `SEND`. Words 0 to 6, and as many options as the data offset of word 6 says (5 to 14 in all), must be written before each `SEND`, each once. Built for ECN, a word 6 without SYN and RST has neither ECE nor CWR: the builder puts them in.
    pub command: CommandIn,
    /// An event begins; what it counts, two cycles later at the earliest.
    pub event: Signal<In, Bit>,
    pub count: Signal<In, Bit>,
    pub cause: Signal<In, Bits<6>>,
    /// No slot is free.
    pub full: Signal<Out, Bit>,
    /// The line is taken for longer than the engine's next event lasts: 256 bytes or more of the segment that leaves are left, or as long a one waits, or two wait.
    /// What is sent once it falls is in time to follow without a pause, and says the latest.
    pub taken: Signal<Out, Bit>,
    /// The segments, as payload of IP packets.
    pub packet: PacketOut,
    /// The send ring's read port: `read_data` follows the address by one cycle; an address counts while `busy`.
    pub busy: Signal<Out, Bit>,
    pub read_conn: Signal<Out, Bits<10>>,
    pub read_offset: Signal<Out, Bits<16>>,
    pub read_data: Signal<In, Bits<8>>,
    /// Own address and the protocol number, the pseudo header's constants (RFC 9293 section 3.1), as one addend.
    pseudo: Constant<Bits<32>>,
    pseudo_carry: Constant<Bits<1>>,
    vlan: Constant<Bit>,
    ecn: Constant<Bit>,
    retransmit: Constant<Bits<6>>,
    window_probe: Constant<Bits<6>>,
    rto_expired: Constant<Bits<6>>,
    marks: Memory<Bits<3>, 10>,
    diffserv: Constant<Bit>,
    classes: Memory<Bits<6>, 10>,
    slots: Memory<Bits<32>, 7>,
    write_at: Join<2, 5, 7>,
    read_at: Join<2, 5, 7>,
    lengths: Join<16, 16, 32>,
    header_bytes: Join<4, 2, 6>,
    e_bytes: Join<4, 2, 6>,
    /// ECE and CWR where they stand in word 6, over the header's bytes.
    header_sum: Join<10, 22, 32>,
    /// What word 17 has over the connection: ECT, ECE, CWR, and over them the DSCP.
    told_high: Join<6, 3, 9>,
    told: Join<22, 10, 32>,
    /// DSCP and ECN of the packet.
    tos: Join<6, 2, 8>,
    rotated: Join<16, 16, 32>,
    shifted: Join<24, 8, 32>,
    check_word: Join<16, 16, 32>,
    add: AddCarry32,
    r: DFF<Registers>,
    is_out: Signal<Local, Bit>,
    is_send: Signal<Local, Bit>,
    is_mark: Signal<Local, Bit>,
    is_init: Signal<Local, Bit>,
    mark: Signal<Local, Bits<3>>,
    set: Signal<Local, Bits<3>>,
    kept: Signal<Local, Bits<3>>,
    payload_bytes: Signal<Local, Bits<16>>,
    /// Text that goes for the first time.
    new_text: Signal<Local, Bit>,
    marked: Signal<Local, Bit>,
    /// ECT, ECE, CWR of the segment that is being sent; ECE and CWR alone.
    seen: Signal<Local, Bits<3>>,
    signs: Signal<Local, Bits<2>>,
    is_class: Signal<Local, Bit>,
    /// The DSCP of the segment that is being sent.
    class: Signal<Local, Bits<6>>,
    syn_ack: Signal<Local, Bit>,
    codepoint: Signal<Local, Bits<2>>,
    head_byte: Signal<Local, Bits<8>>,
    in_control: Signal<Local, Bit>,
    free: Signal<Local, Bit>,
    pushed: Signal<Local, Bit>,
    popped: Signal<Local, Bit>,
    out_number: Signal<Local, Bits<5>>,
    word: Signal<Local, Bits<32>>,
    folding: Signal<Local, Bit>,
    starting: Signal<Local, Bit>,
    adding: Signal<Local, Bit>,
    total: Signal<Local, Bits<32>>,
    shift: Signal<Local, Bits<32>>,
    x: Signal<Local, Bits<32>>,
    rotated_low: Signal<Local, Bits<16>>,
    inverted: Signal<Local, Bits<16>>,
    after: Signal<Local, Bits<16>>,
    moved: Signal<Local, Bit>,
    header_ends: Signal<Local, Bit>,
    last: Signal<Local, Bit>,
    e_index: Signal<Local, Bits<5>>,
    length: Signal<Local, Bits<16>>,
    left: Signal<Local, Bits<16>>,
    many_left: Signal<Local, Bit>,
    streaming: Signal<Local, Bit>,
}

impl Builder {
    /// A builder for the station with address `ip` (wire order), which reads tags or takes them for none.
    pub fn new(ip: [u8; 4], vlan: bool) -> Self {
        let pseudo = u32::from_be_bytes(ip) as u64 + 6;
        Self {
            clock: Default::default(),
            reset: Default::default(),
            command: Default::default(),
            event: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            full: Default::default(),
            taken: Default::default(),
            packet: Default::default(),
            busy: Default::default(),
            read_conn: Default::default(),
            read_offset: Default::default(),
            read_data: Default::default(),
            pseudo: Constant::new((pseudo & 0xFFFF_FFFF).into()),
            pseudo_carry: Constant::new((pseudo >> 32).into()),
            vlan: Constant::new(vlan),
            ecn: Constant::new(false),
            retransmit: Constant::new(u64::from(Cause::Retransmit.number()).into()),
            window_probe: Constant::new(u64::from(Cause::ZeroWindowProbe.number()).into()),
            rto_expired: Constant::new(u64::from(Cause::RtoExpired.number()).into()),
            marks: Memory::new(2),
            diffserv: Constant::new(false),
            classes: Memory::new(2),
            slots: Memory::new(128),
            write_at: Default::default(),
            read_at: Default::default(),
            lengths: Default::default(),
            header_bytes: Default::default(),
            e_bytes: Default::default(),
            header_sum: Default::default(),
            told_high: Default::default(),
            told: Default::default(),
            tos: Default::default(),
            rotated: Default::default(),
            shifted: Default::default(),
            check_word: Default::default(),
            add: Default::default(),
            r: Default::default(),
            is_out: Default::default(),
            is_send: Default::default(),
            is_mark: Default::default(),
            is_init: Default::default(),
            mark: Default::default(),
            set: Default::default(),
            kept: Default::default(),
            payload_bytes: Default::default(),
            new_text: Default::default(),
            marked: Default::default(),
            seen: Default::default(),
            signs: Default::default(),
            is_class: Default::default(),
            class: Default::default(),
            syn_ack: Default::default(),
            codepoint: Default::default(),
            head_byte: Default::default(),
            in_control: Default::default(),
            free: Default::default(),
            pushed: Default::default(),
            popped: Default::default(),
            out_number: Default::default(),
            word: Default::default(),
            folding: Default::default(),
            starting: Default::default(),
            adding: Default::default(),
            total: Default::default(),
            shift: Default::default(),
            x: Default::default(),
            rotated_low: Default::default(),
            inverted: Default::default(),
            after: Default::default(),
            moved: Default::default(),
            header_ends: Default::default(),
            last: Default::default(),
            e_index: Default::default(),
            length: Default::default(),
            left: Default::default(),
            many_left: Default::default(),
            streaming: Default::default(),
        }
    }

    /// The same, that keeps marks of ECN for so many connections, or none.
    pub fn with_ecn(mut self, entries: Option<usize>) -> Self {
        if let Some(entries) = entries {
            self.ecn = Constant::new(true);
            self.marks = Memory::new(entries.next_power_of_two().max(2));
        }
        self
    }

    /// The same, that keeps the DSCP of so many connections, or of none: 0 then.
    pub fn with_diffserv(mut self, entries: Option<usize>) -> Self {
        if let Some(entries) = entries {
            self.diffserv = Constant::new(true);
            self.classes = Memory::new(entries.next_power_of_two().max(2));
        }
        self
    }
}

impl Logic for Builder {
    #[hdl_gen]
    fn update(&mut self) {
        // ------------------------------------------------ registers
        dff_setup!(self, clock, r);
        self.slots.clock.next = self.clock.val();
        self.marks.clock.next = self.clock.val();
        self.classes.clock.next = self.clock.val();
        self.r.d.next.word = self.slots.read_data.val();
        self.word.next = self.r.q.val().word;

        // ------------------------------------------------ marks of ECN: read in a command's first cycle, used in its second
        self.pushed.next = self.r.q.val().sum == Sum::Header;
        self.mark.next = self.marks.read_data.val();
        self.set.next = self.command.imm.val().get_bits::<3>(0);
        self.kept.next = !self.command.imm.val().get_bits::<3>(3);
        self.payload_bytes.next = bit_cast::<16, 32>(self.command.a.val());
        self.new_text.next = self.payload_bytes.val().any() & !self.r.q.val().again;
        self.marked.next = self.ecn.val() & self.r.q.val().plain & self.mark.val().get_bit(0);
        self.seen.next = bits::<3>(0);
        self.signs.next = bits::<2>(0);
        if self.marked.val() {
            if self.new_text.val() {
                self.seen.next = self.mark.val();
            } else {
                self.seen.next = self.mark.val() & bits::<3>(2);
            }
            self.signs.next = self.seen.val().get_bits::<2>(1);
        }
        self.class.next = bits::<6>(0);
        if self.diffserv.val() & self.r.q.val().own {
            self.class.next = self.classes.read_data.val();
        }
        self.told_high.high.next = self.class.val();
        self.told_high.low.next = self.seen.val();
        self.told.high.next = bit_cast::<22, 9>(self.told_high.joined.val());
        self.told.low.next = self.command.conn.val();
        self.is_mark.next = self.ecn.val()
            & self.command.valid.val()
            & (self.command.code.val() == bits::<6>(0x38));
        self.is_init.next = self.ecn.val()
            & self.command.valid.val()
            & (self.command.code.val() == bits::<6>(0x10));
        self.r.d.next.marking = self.is_mark.val() & !self.r.q.val().marking;
        self.marks.read_address.next = self.command.conn.val();
        self.marks.write_address.next = self.command.conn.val();
        self.marks.write_data.next = bits::<3>(0);
        self.marks.write_enable.next = self.is_init.val();
        if self.is_mark.val() & self.r.q.val().marking {
            self.marks.write_data.next = (self.mark.val() | self.set.val()) & self.kept.val();
            self.marks.write_enable.next = true;
        }
        if self.ecn.val() & self.count.val() {
            if (self.cause.val() == self.retransmit.val())
                | (self.cause.val() == self.window_probe.val())
            {
                self.r.d.next.again = true;
            }
            if self.cause.val() == self.rto_expired.val() {
                self.marks.write_data.next = self.mark.val() | bits::<3>(4);
                self.marks.write_enable.next = true;
            }
        }
        if self.event.val() {
            self.r.d.next.again = false;
        }
        // CWR has gone.
        if self.pushed.val() & self.seen.val().get_bit(2) {
            self.marks.write_data.next = self.mark.val() & bits::<3>(3);
            self.marks.write_enable.next = true;
        }

        // ------------------------------------------------ DSCPs: read as the marks are
        self.is_class.next = self.diffserv.val()
            & self.command.valid.val()
            & (self.command.code.val() == bits::<6>(0x3D));
        self.classes.read_address.next = self.command.conn.val();
        self.classes.write_address.next = self.command.conn.val();
        self.classes.write_data.next = self.command.a.val().get_bits::<6>(16);
        self.classes.write_enable.next = self.is_class.val();

        // ------------------------------------------------ commands: words 0 to 15 by OUT, 16 and 17 by SEND; 18 is the checksum
        self.is_send.next = self.command.valid.val() & (self.command.code.val() == bits::<6>(0x04));
        self.is_out.next =
            self.command.valid.val() & (self.command.code.val().get_bits::<2>(4) == bits::<2>(2));
        self.folding.next = (self.r.q.val().sum == Sum::Carry)
            | (self.r.q.val().sum == Sum::Fold)
            | (self.r.q.val().sum == Sum::Store);
        self.free.next = (self.r.q.val().count != bits::<3>(4)) & !self.folding.val();
        self.out_number.next = bit_cast::<5, 6>(self.command.code.val()) & bits::<5>(15);
        self.lengths.high.next = bit_cast::<16, 32>(self.command.a.val());
        self.lengths.low.next = bit_cast::<16, 32>(self.command.b.val());
        self.total.next = self.r.q.val().total;
        self.rotated_low.next = self.total.val().get_bits::<16>(16);
        self.inverted.next = !self.rotated_low.val();
        self.check_word.high.next = self.inverted.val();
        self.check_word.low.next = bits::<16>(0);
        self.write_at.high.next = self.r.q.val().fill;
        self.write_at.low.next = self.out_number.val();
        self.slots.write_data.next = self.command.a.val();
        if self.is_send.val() {
            self.write_at.low.next = bits::<5>(16);
            self.slots.write_data.next = self.lengths.joined.val();
            if self.r.q.val().sum == Sum::Header {
                self.write_at.low.next = bits::<5>(17);
                self.slots.write_data.next = self.told.joined.val();
            }
        }
        if self.r.q.val().sum == Sum::Store {
            self.write_at.low.next = bits::<5>(18);
            self.slots.write_data.next = self.check_word.joined.val();
        }
        self.slots.write_address.next = self.write_at.joined.val();
        self.slots.write_enable.next = ((self.is_out.val() | self.is_send.val()) & self.free.val())
            | (self.r.q.val().sum == Sum::Store);
        self.command.done.next = (self.is_out.val() & self.free.val())
            | self.pushed.val()
            | (self.is_mark.val() & self.r.q.val().marking)
            | self.is_class.val();
        self.command.ok.next = self.command.done.val();
        self.command.result.next = bits::<32>(0);
        self.command.result2.next = bits::<32>(0);

        // ------------------------------------------------ checksum
        self.rotated.high.next = bit_cast::<16, 32>(self.total.val());
        self.rotated.low.next = self.rotated_low.val();
        self.header_bytes.high.next = self.r.q.val().offset;
        self.header_bytes.low.next = bits::<2>(0);
        self.header_sum.high.next = bit_cast::<10, 2>(self.signs.val());
        self.header_sum.low.next = bit_cast::<22, 6>(self.header_bytes.joined.val());
        self.x.next = self.command.a.val();
        self.adding.next =
            self.is_out.val() & self.free.val() & (bits::<5>(1) < self.out_number.val());
        self.starting.next = false;
        self.syn_ack.next = self.command.a.val().get_bit(17) & self.command.a.val().get_bit(20);
        match self.r.q.val().sum {
            Sum::Open => {
                if self.is_send.val() {
                    self.x.next = self.lengths.joined.val();
                    if self.free.val() {
                        self.adding.next = true;
                        self.starting.next = true;
                        self.r.d.next.sum = Sum::Header;
                    }
                }
                if self.adding.val() & (self.out_number.val() == bits::<5>(6)) {
                    self.r.d.next.offset = self.command.a.val().get_bits::<4>(28);
                    self.r.d.next.plain =
                        !self.command.a.val().get_bit(17) & !self.command.a.val().get_bit(18);
                    self.r.d.next.own = !self.command.a.val().get_bit(18) & !self.syn_ack.val();
                }
            }
            Sum::Header => {
                self.x.next = self.header_sum.joined.val();
                self.adding.next = true;
                self.r.d.next.sum = Sum::Carry;
            }
            Sum::Carry => {
                self.x.next = bits::<32>(0);
                self.adding.next = true;
                self.r.d.next.sum = Sum::Fold;
            }
            Sum::Fold => {
                // The upper half becomes upper + lower + the carry of lower + upper.
                self.x.next = self.rotated.joined.val();
                self.adding.next = true;
                self.r.d.next.sum = Sum::Store;
            }
            _ => {
                self.r.d.next.sum = Sum::Open;
            }
        }
        self.add.a.next = self.r.q.val().total;
        self.add.b.next = self.x.val();
        self.add.carry.next = self.r.q.val().carry;
        if self.adding.val() {
            self.r.d.next.total = self.add.sum.val();
            self.r.d.next.carry = self.add.carry_out.val();
        }
        if self.r.q.val().sum == Sum::Store {
            self.r.d.next.total = self.pseudo.val();
            self.r.d.next.carry = self.pseudo_carry.val();
            self.r.d.next.fill = self.r.q.val().fill + bits::<2>(1);
        }

        // ------------------------------------------------ emission
        self.e_bytes.high.next = self.r.q.val().words;
        self.e_bytes.low.next = bits::<2>(0);
        self.shift.next = self.r.q.val().shift;
        self.shifted.high.next = bit_cast::<24, 32>(self.shift.val());
        self.shifted.low.next = bits::<8>(0);
        self.moved.next = self.packet.ready.val()
            & ((self.r.q.val().emit == Emit::Header) | (self.r.q.val().emit == Emit::Payload));
        self.popped.next = false;
        self.last.next = false;
        self.after.next = self.r.q.val().position + bits::<16>(1);
        self.read_offset.next = self.r.q.val().position;
        self.e_index.next = bit_cast::<5, 4>(self.r.q.val().index);
        // The checksum comes before word 7.
        if (self.r.q.val().index == bits::<4>(7)) & !self.r.q.val().checked {
            self.e_index.next = bits::<5>(18);
        }
        self.header_ends.next = (self.r.q.val().emit == Emit::Header)
            & (self.r.q.val().words == bits::<4>(1))
            & (self.r.q.val().byte == bits::<2>(3));
        match self.r.q.val().emit {
            Emit::Idle => {
                self.e_index.next = bits::<5>(0);
                // With SEND the words 0 to 6 are there, and what it writes itself comes before it is read.
                if self.r.q.val().count.any() | self.starting.val() {
                    self.r.d.next.emit = Emit::Wait;
                }
            }
            Emit::Wait => {
                self.e_index.next = bits::<5>(1);
                self.r.d.next.emit = Emit::MacLo;
            }
            Emit::MacLo => {
                self.r.d.next.mac_lo = self.word.val();
                self.e_index.next = bits::<5>(2);
                self.r.d.next.emit = Emit::MacHi;
            }
            Emit::MacHi => {
                self.r.d.next.mac_hi = bit_cast::<16, 32>(self.word.val());
                if self.vlan.val() {
                    self.r.d.next.tag = self.word.val().get_bits::<16>(16);
                }
                self.e_index.next = bits::<5>(16);
                self.r.d.next.emit = Emit::Ip;
            }
            Emit::Ip => {
                self.r.d.next.ip = self.word.val();
                self.e_index.next = bits::<5>(17);
                self.r.d.next.emit = Emit::Length;
            }
            Emit::Length => {
                self.r.d.next.left = self.word.val().get_bits::<16>(16);
                self.e_index.next = bits::<5>(6);
                self.r.d.next.emit = Emit::Conn;
            }
            Emit::Conn => {
                self.r.d.next.conn = bit_cast::<10, 32>(self.word.val());
                if self.ecn.val() {
                    self.r.d.next.ect = self.word.val().get_bit(10);
                    self.r.d.next.ece = self.word.val().get_bit(11);
                    self.r.d.next.cwr = self.word.val().get_bit(12);
                }
                if self.diffserv.val() {
                    self.r.d.next.class = self.word.val().get_bits::<6>(13);
                }
                self.e_index.next = bits::<5>(3);
                self.r.d.next.emit = Emit::Offset;
            }
            Emit::Offset => {
                self.r.d.next.words = self.word.val().get_bits::<4>(28);
                self.e_index.next = bits::<5>(4);
                self.r.d.next.emit = Emit::First;
            }
            Emit::First => {
                self.r.d.next.length =
                    self.r.q.val().left + bit_cast::<16, 6>(self.e_bytes.joined.val());
                self.r.d.next.shift = self.word.val();
                self.r.d.next.byte = bits::<2>(0);
                self.r.d.next.checked = false;
                self.r.d.next.index = bits::<4>(4);
                self.e_index.next = bits::<5>(4);
                self.r.d.next.emit = Emit::Header;
            }
            Emit::Header => {
                self.r.d.next.payload = self.read_data.val();
                if self.header_ends.val() {
                    self.last.next = !self.r.q.val().left.any();
                }
                if self.moved.val() {
                    self.r.d.next.shift = self.shifted.joined.val();
                    self.r.d.next.byte = self.r.q.val().byte + bits::<2>(1);
                    if self.r.q.val().byte == bits::<2>(3) {
                        self.r.d.next.words = self.r.q.val().words - bits::<4>(1);
                        self.r.d.next.shift = self.word.val();
                        // `index` is the word addressed.
                        if (self.r.q.val().index == bits::<4>(7)) & !self.r.q.val().checked {
                            self.r.d.next.checked = true;
                        } else {
                            self.r.d.next.index = self.r.q.val().index + bits::<4>(1);
                        }
                        if self.header_ends.val() {
                            self.r.d.next.position = self.after.val();
                            self.read_offset.next = self.after.val();
                            self.r.d.next.emit = Emit::Payload;
                            if self.last.val() {
                                self.r.d.next.emit = Emit::Idle;
                                self.popped.next = true;
                            }
                        }
                        if self.r.q.val().index == bits::<4>(4) {
                            self.r.d.next.position = bit_cast::<16, 32>(self.word.val());
                        }
                    }
                }
            }
            Emit::Payload => {
                self.last.next = self.r.q.val().left == bits::<16>(1);
                if self.moved.val() {
                    self.r.d.next.payload = self.read_data.val();
                    self.r.d.next.position = self.after.val();
                    self.read_offset.next = self.after.val();
                    self.r.d.next.left = self.r.q.val().left - bits::<16>(1);
                    if self.last.val() {
                        self.r.d.next.emit = Emit::Idle;
                        self.popped.next = true;
                    }
                }
            }
            _ => {
                self.r.d.next.emit = Emit::Idle;
            }
        }
        self.read_at.high.next = self.r.q.val().slot;
        self.read_at.low.next = self.e_index.val();
        self.slots.read_address.next = self.read_at.joined.val();

        // ------------------------------------------------ slots
        self.length.next = bit_cast::<16, 32>(self.command.a.val());
        if self.pushed.val() {
            self.r.d.next.long = bits::<16>(255) < self.length.val();
        }
        if self.popped.val() {
            self.r.d.next.slot = self.r.q.val().slot + bits::<2>(1);
        }
        if self.pushed.val() & !self.popped.val() {
            self.r.d.next.count = self.r.q.val().count + bits::<3>(1);
        }
        if !self.pushed.val() & self.popped.val() {
            self.r.d.next.count = self.r.q.val().count - bits::<3>(1);
        }

        // ------------------------------------------------ outputs
        self.streaming.next =
            (self.r.q.val().emit == Emit::Header) | (self.r.q.val().emit == Emit::Payload);
        self.left.next = self.r.q.val().left;
        self.many_left.next = self.streaming.val() & (bits::<16>(255) < self.left.val());
        self.packet.valid.next = self.streaming.val();
        // The second byte of word 6, behind which comes the checksum.
        self.in_control.next = (self.r.q.val().index == bits::<4>(7))
            & !self.r.q.val().checked
            & (self.r.q.val().byte == bits::<2>(1));
        self.head_byte.next = self.shift.val().get_bits::<8>(24);
        if self.in_control.val() & self.r.q.val().ece {
            self.head_byte.next = self.shift.val().get_bits::<8>(24) | bits::<8>(0x40);
        }
        self.packet.data.next = self.head_byte.val();
        if self.in_control.val() & self.r.q.val().cwr {
            self.packet.data.next = self.head_byte.val() | bits::<8>(0x80);
        }
        if self.r.q.val().emit == Emit::Payload {
            self.packet.data.next = self.r.q.val().payload;
        }
        self.packet.last.next = self.last.val();
        self.packet.mac_hi.next = self.r.q.val().mac_hi;
        self.packet.mac_lo.next = self.r.q.val().mac_lo;
        self.packet.tag.next = self.r.q.val().tag;
        self.codepoint.next = bits::<2>(0);
        if self.r.q.val().ect {
            self.codepoint.next = bits::<2>(2);
        }
        self.tos.high.next = self.r.q.val().class;
        self.tos.low.next = self.codepoint.val();
        self.packet.tos.next = self.tos.joined.val();
        self.packet.ip.next = self.r.q.val().ip;
        self.packet.protocol.next = bits::<8>(6);
        self.packet.length.next = self.r.q.val().length;
        self.full.next = self.r.q.val().count == bits::<3>(4);
        // One alone that does not stream yet is the last that was sent.
        self.taken.next = self.many_left.val()
            | (bits::<3>(2) < self.r.q.val().count)
            | ((self.r.q.val().count == bits::<3>(2)) & self.r.q.val().long)
            | ((self.r.q.val().count == bits::<3>(1))
                & self.r.q.val().long
                & !self.streaming.val());
        self.busy.next = self.streaming.val();
        self.read_conn.next = self.r.q.val().conn;

        // ------------------------------------------------ reset
        if self.reset.val() {
            self.r.d.next.fill = bits::<2>(0);
            self.r.d.next.count = bits::<3>(0);
            self.r.d.next.slot = bits::<2>(0);
            self.r.d.next.sum = Sum::Open;
            self.r.d.next.total = self.pseudo.val();
            self.r.d.next.carry = self.pseudo_carry.val();
            self.r.d.next.emit = Emit::Idle;
            self.r.d.next.marking = false;
            self.r.d.next.again = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::isa::{cmd, mark};
    use super::*;
    use rand::Rng;
    use std::collections::VecDeque;

    const OWN: [u8; 4] = [192, 168, 69, 2];

    /// The send ring's contents: any function of the address.
    fn payload(conn: u64, offset: u64) -> u8 {
        (conn * 37 + offset * 101 + (offset >> 8) * 7) as u8
    }

    /// Sum over pairs of bytes, in 64 bits, folded at the end (RFC 1071).
    fn ones_sum(bytes: &[u8]) -> u64 {
        let pairs = bytes
            .chunks(2)
            .map(|c| (c[0] as u64) << 8 | *c.get(1).unwrap_or(&0) as u64);
        let mut sum: u64 = pairs.sum();
        while sum > 0xFFFF {
            sum = (sum & 0xFFFF) + (sum >> 16);
        }
        sum
    }

    /// No commands: an event begins; a cycle passes.
    const EVENT: u8 = 0xFF;
    const PAUSE: u8 = 0xFE;

    #[derive(Default)]
    struct Driver {
        commands: VecDeque<(u8, u32, u32, u64)>,
        segments: VecDeque<(u64, u32, u32, Vec<u8>)>,
        /// It reads tags.
        vlan: bool,
        /// It keeps marks of ECN; what they are, and how often a segment had each.
        ecn: bool,
        marks: Vec<u8>,
        seen: [u64; 3],
        again: bool,
        /// It keeps DSCPs; what they are, and how many segments had one.
        diffserv: bool,
        classes: Vec<u8>,
        classed: u64,
        /// DSCP and ECN of each segment.
        toses: VecDeque<u8>,
        /// Payload of each.
        bytes: VecDeque<usize>,
        /// Cycles in which the line was taken, by the number of segments.
        takings: [u64; 5],
        received: Vec<u8>,
        address: Option<(u64, u64)>,
        held: Option<u8>,
        started: bool,
        cycle: u64,
        eager: bool,
        sent: Option<u64>,
        completed: u64,
        back_to_back: u64,
        prompt: u64,
        waiting: u64,
        /// Cycles since a byte was offered.
        quiet: u64,
        lengths: Vec<usize>,
        /// Segments that a reset cut off.
        cut_off: u64,
    }

    impl Driver {
        fn queue(&mut self, rng: &mut impl Rng) {
            let options = rng.random_range(0..=9usize);
            let length = match rng.random_range(0..4) {
                0 => 0,
                1 => rng.random_range(1..4),
                2 => rng.random_range(4..80),
                _ => rng.random_range(80..400),
            };
            let mut conn: u64 = rng.random_range(0..1024);
            if self.ecn || self.diffserv {
                // Few, so that marks are met again.
                conn = rng.random_range(0..4);
                if self.diffserv && rng.random_bool(0.3) {
                    let a: u32 = rng.random();
                    self.commands.push_back((cmd::DIFFSERV, a, 0, conn));
                    self.classes[conn as usize] = (a >> 16 & 63) as u8;
                }
                if self.ecn && rng.random_bool(0.3) {
                    let imm: u8 = match rng.random_range(0..4) {
                        0 => rng.random_range(0..64),
                        1 => mark::ECT,
                        2 => mark::ECT | mark::ECE,
                        _ => mark::ECT | mark::CWR,
                    };
                    self.commands.push_back((cmd::ECN, imm.into(), 0, conn));
                    let marks = &mut self.marks[conn as usize];
                    *marks = (*marks | imm) & !(imm >> 3) & 7;
                }
                if rng.random_bool(0.1) {
                    self.commands.push_back((cmd::RX_INIT, 0, 0, conn));
                    self.marks[conn as usize] = 0;
                }
            }
            // The event before may have counted what this one has not.
            let causes = [34, 35, 37, 38];
            if rng.random_bool(0.8) {
                self.commands.push_back((EVENT, 0, 0, conn));
                self.again = false;
            }
            self.commands.push_back((PAUSE, 0, 0, conn));
            for _ in 0..rng.random_range(0..2) {
                let cause: u8 = causes[rng.random_range(0..4)];
                self.commands.push_back((cmd::COUNT, cause.into(), 0, conn));
                self.again |= matches!(cause, 34 | 37);
                if self.ecn && cause == 35 {
                    self.marks[conn as usize] |= mark::CWR;
                }
            }
            let again = self.again;
            // now and then all ones, which make carries
            let mut word = || {
                if rng.random_bool(0.2) {
                    u32::MAX
                } else {
                    rng.random()
                }
            };
            let (mac_lo, mac_hi, ip, ports, seq, ack) =
                (word(), word(), word(), word(), word(), word());
            let tag = if self.vlan { mac_hi >> 16 } else { 0 };
            let control = (5 + options as u32) << 28 | word() & 0x00FF_FFFF;
            let plain = control >> 17 & 3 == 0;
            // Whose are put in have none of their own.
            let control = if self.ecn && plain {
                control & !(3 << 22)
            } else {
                control
            };
            let mut seen = 0;
            if self.ecn && plain && self.marks[conn as usize] & mark::ECT != 0 {
                let new = length > 0 && !again;
                seen = self.marks[conn as usize] & if new { 7 } else { mark::ECE };
                self.marks[conn as usize] &= !(seen & mark::CWR);
                for (n, seen_so_often) in self.seen.iter_mut().enumerate() {
                    *seen_so_often += u64::from(seen >> n & 1);
                }
            }
            let mut class = 0;
            if self.diffserv && control >> 18 & 1 == 0 && control >> 16 & 0x12 != 0x12 {
                class = self.classes[conn as usize];
                self.classed += u64::from(class != 0);
            }
            self.toses.push_back(class << 2 | (seen & mark::ECT) << 1);
            let mut words = vec![mac_lo, mac_hi, ip, ports, seq, ack, control];
            words.extend((0..options).map(|_| word()));
            let data: Vec<u8> = (0..length as u64)
                .map(|i| payload(conn, (seq as u64 + i) & 0xFFFF))
                .collect();
            let sum = ones_sum(&data) as u32;
            let mut segment: Vec<u8> = words[3..7].iter().flat_map(|w| w.to_be_bytes()).collect();
            segment[13] |= u8::from(seen & mark::ECE != 0) << 6;
            segment[13] |= u8::from(seen & mark::CWR != 0) << 7;
            segment.extend([0; 4]);
            segment.extend(words[7..].iter().flat_map(|w| w.to_be_bytes()));
            segment.extend(&data);
            let mut pseudo: Vec<u8> = OWN.into();
            pseudo.extend(ip.to_be_bytes());
            pseudo.extend([0, 6]);
            pseudo.extend((segment.len() as u16).to_be_bytes());
            pseudo.extend(&segment);
            let check = !(ones_sum(&pseudo) as u16);
            segment[16..18].copy_from_slice(&check.to_be_bytes());
            self.lengths.push(length);
            self.bytes.push_back(length);
            self.segments.push_back((
                u64::from(tag) << 48 | u64::from(mac_hi & 0xFFFF) << 32 | u64::from(mac_lo),
                ip,
                check as u32,
                segment,
            ));
            for (n, word) in words.iter().enumerate() {
                self.commands
                    .push_back((cmd::OUT + n as u8, *word, 0, conn));
            }
            self.commands
                .push_back((cmd::SEND, length as u32, sum, conn));
        }

        fn drive(&mut self, uut: &mut Builder, rng: &mut impl Rng) {
            // A reset now and then, wherever it falls: nothing from before it may come after it.
            let reset = self.cycle.is_multiple_of(2_003);
            uut.reset.next = reset;
            if reset {
                self.cut_off += u64::from(!self.received.is_empty());
                self.commands.clear();
                self.segments.clear();
                self.bytes.clear();
                self.toses.clear();
                self.again = false;
                self.received.clear();
                (self.address, self.held, self.sent) = (None, None, None);
                (self.started, self.waiting) = (false, 0);
                uut.command.valid.next = false;
                return;
            }
            if self.cycle % 1024 == 1 {
                self.eager = rng.random_bool(0.5);
            }
            if self.commands.is_empty() && rng.random_bool(if self.eager { 0.9 } else { 0.01 }) {
                self.queue(rng);
            }
            let own = |code: u8| matches!(code, EVENT | PAUSE | cmd::COUNT);
            let front = self.commands.front().map(|c| c.0);
            uut.command.valid.next = front.is_some_and(|code| !own(code));
            uut.event.next = front == Some(EVENT);
            uut.count.next = front == Some(cmd::COUNT);
            if let Some((code, a, b, conn)) = self.commands.front() {
                uut.command.code.next = (*code as u64 & 63).into();
                uut.command.a.next = (*a as u64).into();
                uut.command.b.next = (*b as u64).into();
                uut.command.imm.next = (*a as u64 & 63).into();
                uut.cause.next = (*a as u64 & 63).into();
                uut.command.conn.next = (*conn).into();
            }
            uut.packet.ready.next = rng.random_bool(if self.eager { 0.97 } else { 0.6 });
            let byte = match self.address {
                Some((conn, offset)) => payload(conn, offset),
                None => rng.random(),
            };
            uut.read_data.next = (byte as u64).into();
        }

        fn observe(&mut self, uut: &Builder) {
            if uut.reset.val() {
                self.cycle += 1;
                return;
            }
            let queued = self.segments.len() - usize::from(!self.commands.is_empty());
            assert_eq!(uut.full.val(), queued == 4);
            // What is to be sent yet of those that were, the latest alone and the first as far as it has not left.
            let latest = queued.checked_sub(1).map_or(0, |n| self.bytes[n]);
            let streams = uut.packet.valid.val();
            let (_, _, _, first) = self
                .segments
                .front()
                .map_or(Default::default(), Clone::clone);
            let header = first.len() - self.bytes.front().copied().unwrap_or(0);
            let left = first.len() - self.received.len().max(header);
            let taken = match queued {
                0 => false,
                1 if !streams => latest >= 256,
                1 => left >= 256,
                2 => latest >= 256 || streams && left >= 256,
                _ => true,
            };
            assert_eq!(uut.taken.val(), taken, "cycle {}", self.cycle);
            self.takings[queued] += u64::from(taken);
            let (conn, offset): (u64, u64) =
                (uut.read_conn.val().to_u64(), uut.read_offset.val().to_u64());
            self.address = uut.busy.val().then_some((conn, offset));
            let valid = uut.packet.valid.val();
            self.quiet = if valid { 0 } else { self.quiet + 1 };
            let data: u64 = uut.packet.data.val().to_u64();
            if let Some(byte) = self.held {
                assert!(
                    valid && data as u8 == byte,
                    "a beat changed while it waited, cycle {}",
                    self.cycle
                );
            }
            self.held = (valid && !uut.packet.ready.val()).then_some(data as u8);
            assert!(
                valid || self.received.is_empty(),
                "starved, cycle {}",
                self.cycle
            );
            if valid && !self.started {
                self.started = true;
                if let Some(sent) = self.sent.take() {
                    assert_eq!(self.cycle - sent, 8, "first byte after SEND was done");
                    self.prompt += 1;
                }
                if self.waiting > 0 && self.completed > 0 {
                    assert!(self.waiting <= 9, "gap of {}", self.waiting);
                    self.back_to_back += 1;
                }
            }
            if valid && uut.packet.ready.val() {
                self.received.push(data as u8);
                if uut.packet.last.val() {
                    let (mac, ip, _, segment) =
                        self.segments.pop_front().expect("nothing was sent");
                    self.bytes.pop_front();
                    let hi: u64 = uut.packet.mac_hi.val().to_u64();
                    let lo: u64 = uut.packet.mac_lo.val().to_u64();
                    let tag: u64 = uut.packet.tag.val().to_u64();
                    assert_eq!(tag << 48 | hi << 32 | lo, mac);
                    assert_eq!(uut.packet.ip.val().to_u64(), ip as u64);
                    assert_eq!(uut.packet.protocol.val().to_u64(), 6);
                    let tos: u64 = uut.packet.tos.val().to_u64();
                    assert_eq!(Some(tos as u8), self.toses.pop_front());
                    assert_eq!(uut.packet.length.val().to_u64(), segment.len() as u64);
                    assert_eq!(self.received, segment, "cycle {}", self.cycle);
                    self.received.clear();
                    self.started = false;
                    self.completed += 1;
                    self.sent = None;
                }
            }
            let queued = self.segments.len() - usize::from(!self.commands.is_empty());
            self.waiting = if !valid && queued > 0 {
                self.waiting + 1
            } else {
                0
            };
            let done = [cmd::RX_INIT, cmd::COUNT, EVENT, PAUSE];
            if (self.commands.front()).is_some_and(|c| done.contains(&c.0)) {
                // Another block's, which is done with it at once, or no command.
                assert!(!uut.command.done.val());
                self.commands.pop_front();
            } else if uut.command.done.val() {
                let (code, ..) = self.commands.pop_front().expect("done without a command");
                // Idle since SEND was given.
                if code == cmd::SEND && queued == 0 && self.quiet > 1 {
                    self.sent = Some(self.cycle);
                }
            }
            self.cycle += 1;
        }
    }

    #[test]
    fn builds_what_was_asked_and_equals_its_verilog() {
        for (vlan, ecn, diffserv) in [
            (false, false, false),
            (true, false, false),
            (false, false, true),
            (true, true, true),
        ] {
            builds_and_equals(vlan, ecn, diffserv);
        }
    }

    fn builds_and_equals(vlan: bool, ecn: bool, diffserv: bool) {
        let driver = std::cell::RefCell::new(Driver {
            vlan,
            ecn,
            diffserv,
            marks: vec![0; 4],
            classes: vec![0; 4],
            ..Driver::default()
        });
        let report = toe_sim::lockstep::lockstep_observed(
            match (vlan, ecn, diffserv) {
                (false, _, false) => "builder",
                (false, _, true) => "builder_diffserv",
                (true, false, _) => "builder_vlan",
                (true, true, _) => "builder_ecn",
            },
            || {
                Builder::new(OWN, vlan)
                    .with_ecn(ecn.then_some(4))
                    .with_diffserv(diffserv.then_some(4))
            },
            |uut, clk| uut.clock.next = Clock { clk },
            30_000,
            2,
            |uut, _, rng| driver.borrow_mut().drive(uut, rng),
            |uut, _| driver.borrow_mut().observe(uut),
        )
        .unwrap_or_else(|error| panic!("{error}"));
        let driver = driver.into_inner();
        assert!(driver.completed > 80, "{}", driver.completed);
        assert!(driver.back_to_back > 20, "{}", driver.back_to_back);
        assert!(driver.cut_off > 2, "{}", driver.cut_off);
        assert!(driver.prompt > 5, "{}", driver.prompt);
        assert!(
            driver.takings[1..].iter().all(|n| *n > 50),
            "{:?}",
            driver.takings
        );
        assert!(
            driver.seen.iter().all(|n| (*n > 9) == ecn),
            "{:?}",
            driver.seen
        );
        assert_eq!(driver.classed > 40, diffserv, "{}", driver.classed);
        let still = report.never_changed();
        assert!(
            still.iter().all(|port| port.contains("result")
                || port.contains("tos") && !ecn && !diffserv
                || port.contains("protocol")
                || port.contains("tag") && !vlan),
            "{still:?}"
        );
    }
}
