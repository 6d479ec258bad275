//! ARP (RFC 826): answers requests for the own address, announces it once after reset, keeps four neighbours and asks for those the engine wants.
//!
//! All addresses live in one small RAM of 16-bit words. A packet is written into the spare one of five entries as it arrives and, if it proves good,
//! that entry is made valid and another becomes the spare one: the former entry of the same neighbour, else the next in turn (round robin).
//!
//! With `vlan` a packet's tag ([`crate::net`]) is kept with its sender and goes with the reply to it; the engine is told of it, too. Requests and announcements go without one, for whoever is not known has none.
//!
//! Latency: a command is done 14 cycles (15 with `vlan`) after its first for a hit in the first entry, 6 more for each entry after it, 39 for a miss; it may wait for other work
//! and begins anew when a packet comes meanwhile; a reply is offered at most 47 cycles after the request's last beat if the port is free. Throughput: packets may follow each other at the pace of shortest
//! Ethernet frames (38 cycles from the last beat of one to the first of the next); one that comes sooner may be dropped and is counted `ArpMalformed`.
//! While a reply waits to leave, the newest request is answered next, older ones are not: to their senders they were lost.
//!
//! Abort: a void packet leaves nothing and is not counted (the link did). Reset drops all neighbours.
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::link::mac_rx::cause;
use crate::memory::Memory;
use crate::net::parts::{Append, ByteTable, PickByte};
use crate::stream::{StreamIn, StreamOut};
use crate::tcp::command::CommandIn;
use crate::tcp::isa::cmd;
use rust_hdl::prelude::*;

/// An address of the RAM: `{slot, word}`. Words 0 to 2 are the hardware address, 3 and 4 the protocol address, 5 the units of time left, 0 for none,
/// 6 the tag (only of entries; the others have none).
/// Slots 0 to 4 are entries, 5 and 13 the address asked for last and the one looked up now, 6 the announcement.
#[derive(LogicBlock, Debug, Default)]
struct Place {
    slot: Signal<In, Bits<4>>,
    word: Signal<In, Bits<3>>,
    to: Signal<Out, Bits<7>>,
}

impl Logic for Place {
    fn update(&mut self) {
        self.to.next = (self.slot.val().to_u8() << 3 | self.word.val().to_u8()).to_bits();
    }
    fn connect(&mut self) {
        self.to.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) to = {slot, word};\n".into())
    }
}

/// Half a word appended to a word: `to = {word[15:0], half}`.
#[derive(LogicBlock, Debug, Default)]
struct Feed {
    word: Signal<In, Bits<32>>,
    half: Signal<In, Bits<16>>,
    to: Signal<Out, Bits<32>>,
}

impl Logic for Feed {
    fn update(&mut self) {
        let word = self.word.val().to_u32() << 16 | self.half.val().to_u32();
        self.to.next = word.to_bits();
    }
    fn connect(&mut self) {
        self.to.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) to = {word[15:0], half};\n".into())
    }
}

#[derive(LogicState, Clone, Copy, Debug, PartialEq)]
enum Work {
    Idle,
    /// the command's address goes into the RAM, upper half …
    KeyHigh,
    /// … and lower half
    KeyLow,
    /// entry by entry
    Search,
    /// a neighbour found: its hardware address is read for the engine
    Fetch,
    /// the packet's entry becomes valid …
    Learn,
    /// … and another one the spare
    Forget,
    /// one entry's time
    Sweep,
    /// addresses of the packet to send
    Load,
}

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct Registers {
    // packet in
    /// its byte, 28: padding
    index: Bits<5>,
    upper: Bits<8>,
    bad: Bit,
    request: Bit,
    /// a good packet waits to be learnt
    due: Bit,
    // work
    work: Work,
    step: Bits<3>,
    /// what the RAM gave a cycle ago: a word is used two cycles after its address
    word: Bits<16>,
    slot: Bits<3>,
    for_command: Bit,
    same: Bit,
    former: Bits<16>,
    result: Bits<32>,
    // entries
    spare: Bits<3>,
    turn: Bits<3>,
    /// entry whose time is to be counted down, 5: none
    sweep: Bits<3>,
    clearing: Bit,
    /// slot 13, not 5, takes the address looked up
    upper_key: Bit,
    // time
    ticks: Bits<10>,
    holdoff: Bits<7>,
    // packet out
    announce_due: Bit,
    answer_due: Bit,
    answer_slot: Bits<3>,
    ask_due: Bit,
    sending: Bit,
    reply: Bit,
    out_index: Bits<5>,
    dst_hi: Bits<16>,
    dst_lo: Bits<32>,
    dst_tag: Bits<16>,
    target: Bits<32>,
}

/// The beat that came a cycle ago: the link's verdict on a frame comes late in its cycle, and a packet's end is the RAM's write enable here.
#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct Beat {
    data: Bits<8>,
    last: Bit,
    error: Bit,
    valid: Bit,
}

/// The ARP block.
///
/// **Contract.** `arp.ready` is high always; `src_tag` is that of the packet that comes, from its first beat through its last. `dst_hi`, `dst_lo`, `dst_tag` are stable from the first `valid` of a packet through its last beat. Once offered, a packet
/// of 28 bytes never starves. The command answered is `ARP` alone: `a` is the next hop; `ok` says it is known, `result` and `result2` are the
/// lower 32 and upper 16 bits of its hardware address, the upper half of `result2` is its tag. If it is not known a request is sent, but for the address asked for last only after 100 ticks.
/// A neighbour is forgotten 59,392 to 60,416 ticks after it was last heard of.
#[derive(LogicBlock, Debug)]
pub struct Arp {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub tick: Signal<In, Bit>,
    // stream in: a packet and perhaps padding
    pub arp: StreamIn,
    pub src_tag: Signal<In, Bits<16>>,
    // stream out
    pub reply: StreamOut,
    pub dst_hi: Signal<Out, Bits<16>>,
    pub dst_lo: Signal<Out, Bits<32>>,
    pub dst_tag: Signal<Out, Bits<16>>,
    // engine
    pub command: CommandIn,
    // counting
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,

    i: DFF<Beat>,
    r: DFF<Registers>,
    ram: Memory<Bits<16>, 7>,
    read_at: Place,
    write_at: Place,
    /// what a packet must have at 0 to 6 and 24 to 27
    expected: ByteTable<5>,
    /// what a packet sent has at 0 to 6 and 8 to 17
    fixed: ByteTable<5>,
    pick: PickByte,
    gather: Append,
    shift: Append,
    feed_result: Feed,
    feed_dst: Feed,
    feed_target: Feed,
    feed_tag: Feed,
    byte: Signal<Local, Bits<8>>,
    half_index: Signal<Local, Bits<3>>,
    arrived: Signal<Local, Bits<16>>,
    place_tag: Signal<Local, Bit>,
    place_write: Signal<Local, Bit>,
    wrong: Signal<Local, Bit>,
    group: Signal<Local, Bit>,
    ended: Signal<Local, Bit>,
    whole: Signal<Local, Bit>,
    good: Signal<Local, Bit>,
    addressed: Signal<Local, Bit>,
    word: Signal<Local, Bits<16>>,
    equal: Signal<Local, Bit>,
    alive: Signal<Local, Bit>,
    life: Signal<Local, Bits<6>>,
    less: Signal<Local, Bits<6>>,
    asked: Signal<Local, Bit>,
    key_slot: Signal<Local, Bits<4>>,
    search_slot: Signal<Local, Bits<4>>,
    load_slot: Signal<Local, Bits<4>>,
    key_high: Signal<Local, Bits<16>>,
    dst_word: Signal<Local, Bits<32>>,
    dst_upper: Signal<Local, Bits<16>>,
    target_word: Signal<Local, Bits<32>>,
    target_upper: Signal<Local, Bits<16>>,
    target_byte: Signal<Local, Bits<8>>,
    pick_index: Signal<Local, Bits<5>>,
    code: Constant<Bits<6>>,
    arp_in: Constant<Bits<6>>,
    malformed: Constant<Bits<6>>,
    lifetime: Constant<Bits<16>>,
    patience: Constant<Bits<7>>,
    vlan: Constant<Bit>,
    fetched: Constant<Bits<3>>,
}

/// Units of 1,024 ticks a neighbour is kept: 60 seconds at 1 ms, the order RFC 1122 section 2.3.2.1 gives for a cache timeout.
const LIFETIME: u16 = 59;
/// Ticks between two requests for the same address. RFC 1122 section 2.3.2.1 recommends one second; a lost request shall not cost a connection that long.
const PATIENCE: u8 = 100;

impl Arp {
    /// A block for the station `config.mac`, `config.ip`.
    pub fn new(config: &ToeConfig) -> Self {
        // Ethernet, IPv4, lengths 6 and 4 and the operation's upper byte.
        let head = [0, 1, 8, 0, 6, 4, 0];
        let mut expected = head.map(Some).to_vec();
        expected.resize(24, None);
        expected.extend(config.ip.map(Some));
        let mut fixed = head.map(Some).to_vec();
        fixed.push(None);
        fixed.extend(config.mac.map(Some));
        fixed.extend(config.ip.map(Some));
        // What is asked and announced goes to all stations.
        let mut image = vec![Bits::default(); 128];
        for slot in [5, 6, 13] {
            image[8 * slot..8 * slot + 3].fill(0xFFFF_u16.to_bits());
        }
        image[8 * 6 + 3] = u16::from_be_bytes([config.ip[0], config.ip[1]]).to_bits();
        image[8 * 6 + 4] = u16::from_be_bytes([config.ip[2], config.ip[3]]).to_bits();
        Self {
            clock: Default::default(),
            reset: Default::default(),
            tick: Default::default(),
            arp: Default::default(),
            src_tag: Default::default(),
            reply: Default::default(),
            dst_hi: Default::default(),
            dst_lo: Default::default(),
            dst_tag: Default::default(),
            command: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            i: Default::default(),
            r: Default::default(),
            ram: Memory::with_image(128, &image),
            read_at: Default::default(),
            write_at: Default::default(),
            expected: ByteTable::new(&expected),
            fixed: ByteTable::new(&fixed),
            pick: Default::default(),
            gather: Default::default(),
            shift: Default::default(),
            feed_result: Default::default(),
            feed_dst: Default::default(),
            feed_target: Default::default(),
            feed_tag: Default::default(),
            byte: Default::default(),
            half_index: Default::default(),
            arrived: Default::default(),
            place_tag: Default::default(),
            place_write: Default::default(),
            wrong: Default::default(),
            group: Default::default(),
            ended: Default::default(),
            whole: Default::default(),
            good: Default::default(),
            addressed: Default::default(),
            word: Default::default(),
            equal: Default::default(),
            alive: Default::default(),
            life: Default::default(),
            less: Default::default(),
            asked: Default::default(),
            key_slot: Default::default(),
            search_slot: Default::default(),
            load_slot: Default::default(),
            key_high: Default::default(),
            dst_word: Default::default(),
            dst_upper: Default::default(),
            target_word: Default::default(),
            target_upper: Default::default(),
            target_byte: Default::default(),
            pick_index: Default::default(),
            code: Constant::new(cmd::ARP.to_bits()),
            arp_in: cause(Cause::ArpIn),
            malformed: cause(Cause::ArpMalformed),
            lifetime: Constant::new(LIFETIME.to_bits()),
            patience: Constant::new(PATIENCE.to_bits()),
            vlan: Constant::new(config.vlan),
            fetched: Constant::new(if config.vlan { 5_u8 } else { 4 }.to_bits()),
        }
    }
}

impl Logic for Arp {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.ram.clock.next = self.clock.val();

        // ---- packet in
        self.arp.ready.next = true;
        self.i.clock.next = self.clock.val();
        self.i.d.next.data = self.arp.data.val();
        self.i.d.next.last = self.arp.last.val();
        self.i.d.next.error = self.arp.error.val();
        self.i.d.next.valid = self.arp.valid.val();
        self.byte.next = self.i.q.val().data;
        self.expected.index.next = self.r.q.val().index;
        self.gather.word.next = bit_cast::<32, 8>(self.r.q.val().upper);
        self.gather.tail.next = self.byte.val();
        self.arrived.next = bit_cast::<16, 32>(self.gather.appended.val());
        self.pick_index.next = self.r.q.val().index;
        // Bytes 9, 11 … 17 complete words 0 to 4; the tag, word 6, is written with byte 21.
        self.half_index.next = self.pick_index.val().get_bits::<3>(1) ^ bits::<3>(4);
        self.place_tag.next = self.vlan.val() & (self.r.q.val().index == bits::<5>(21));
        self.place_write.next = self.i.q.val().valid
            & (((self.r.q.val().index > bits::<5>(7))
                & (self.r.q.val().index < bits::<5>(18))
                & self.pick_index.val().get_bit(0))
                | self.place_tag.val())
            & !self.r.q.val().bad;
        self.group.next = self.byte.val().get_bit(0);
        self.wrong.next =
            self.expected.known.val() & (self.expected.value.val() != self.byte.val());
        if self.r.q.val().index == bits::<5>(7) {
            // Neither request nor reply, or the packet before it still has the spare entry.
            self.wrong.next = ((self.byte.val() != bits::<8>(1))
                & (self.byte.val() != bits::<8>(2)))
                | self.r.q.val().due;
        }
        if (self.r.q.val().index == bits::<5>(8)) & self.group.val() {
            // A group address is nobody's (RFC 1812 section 3.3.2).
            self.wrong.next = true;
        }
        self.whole.next = self.r.q.val().index > bits::<5>(26);
        self.good.next = self.whole.val() & !self.r.q.val().bad & !self.wrong.val();
        self.ended.next = self.i.q.val().valid & self.i.q.val().last & !self.i.q.val().error;
        self.count.next = self.ended.val();
        self.cause.next = self.malformed.val();
        if self.good.val() {
            self.cause.next = self.arp_in.val();
        }
        if self.i.q.val().valid {
            self.r.d.next.upper = self.byte.val();
            if self.r.q.val().index != bits::<5>(28) {
                self.r.d.next.index = self.r.q.val().index + bits::<5>(1);
            }
            if (self.r.q.val().index == bits::<5>(7)) & !self.r.q.val().due {
                self.r.d.next.request = self.group.val();
            }
            if self.wrong.val() {
                self.r.d.next.bad = true;
            }
            if self.i.q.val().last {
                self.r.d.next.index = bits::<5>(0);
                self.r.d.next.bad = false;
                if self.good.val() & !self.i.q.val().error {
                    self.r.d.next.due = true;
                }
            }
        }

        // ---- time
        if self.tick.val() {
            self.r.d.next.ticks = self.r.q.val().ticks + bits::<10>(1);
            if self.r.q.val().ticks.all() & !self.r.q.val().clearing {
                self.r.d.next.sweep = bits::<3>(0);
            }
            if self.r.q.val().holdoff.any() {
                self.r.d.next.holdoff = self.r.q.val().holdoff - bits::<7>(1);
            }
        }

        // ---- whose turn it is to be replaced
        if self.r.q.val().turn == self.r.q.val().spare {
            self.r.d.next.turn = self.r.q.val().turn + bits::<3>(1);
            if self.r.q.val().turn == bits::<3>(4) {
                self.r.d.next.turn = bits::<3>(0);
            }
        }

        // ---- named wires
        self.addressed.next =
            self.command.valid.val() & (self.command.code.val() == self.code.val());
        self.r.d.next.word = self.ram.read_data.val();
        self.word.next = self.r.q.val().word;
        self.equal.next = self.word.val() == self.r.q.val().former;
        self.life.next = bit_cast::<6, 16>(self.word.val());
        self.less.next = self.life.val() - bits::<6>(1);
        self.asked.next = self.r.q.val().slot == bits::<3>(5);
        self.alive.next = self.life.val().any();
        if self.asked.val() {
            self.alive.next = self.r.q.val().holdoff.any();
        }
        self.key_slot.next = bit_cast::<4, 3>(self.r.q.val().spare);
        if self.r.q.val().for_command {
            self.key_slot.next = bits::<4>(5);
            if self.r.q.val().upper_key {
                self.key_slot.next = bits::<4>(13);
            }
        }
        self.search_slot.next = bit_cast::<4, 3>(self.r.q.val().slot);
        if self.asked.val() & !self.r.q.val().upper_key {
            self.search_slot.next = bits::<4>(13);
        }
        self.load_slot.next = bits::<4>(5);
        if !self.r.q.val().upper_key {
            self.load_slot.next = bits::<4>(13);
        }
        if self.r.q.val().answer_due {
            self.load_slot.next = bit_cast::<4, 3>(self.r.q.val().answer_slot);
        }
        if self.r.q.val().announce_due {
            self.load_slot.next = bits::<4>(6);
        }
        self.key_high.next = self.command.a.val().get_bits::<16>(16);
        self.feed_result.word.next = self.r.q.val().result;
        self.feed_result.half.next = self.word.val();
        self.feed_tag.word.next = bits::<32>(0);
        if self.vlan.val() {
            self.feed_tag.word.next = bit_cast::<32, 16>(self.r.q.val().former);
        }
        self.feed_tag.half.next = self.word.val();
        self.target_word.next = self.r.q.val().target;
        self.target_upper.next = self.target_word.val().get_bits::<16>(16);
        self.target_byte.next = self.target_word.val().get_bits::<8>(24);
        self.dst_word.next = self.r.q.val().dst_lo;
        self.dst_upper.next = self.dst_word.val().get_bits::<16>(16);
        self.feed_target.word.next = self.r.q.val().target;
        self.feed_target.half.next = self.word.val();
        self.feed_dst.word.next = self.r.q.val().dst_lo;
        self.feed_dst.half.next = self.target_upper.val();
        self.shift.word.next = self.r.q.val().target;
        self.shift.tail.next = bits::<8>(0);

        // ---- defaults
        self.read_at.slot.next = self.search_slot.val();
        self.read_at.word.next = self.r.q.val().step;
        self.write_at.slot.next = self.key_slot.val();
        self.write_at.word.next = bits::<3>(5);
        self.ram.write_data.next = bits::<16>(0);
        self.ram.write_enable.next = false;
        self.command.done.next = false;
        self.command.ok.next = false;
        self.command.result.next = bits::<32>(0);
        self.command.result2.next = bits::<32>(0);
        self.r.d.next.former = self.word.val();
        self.r.d.next.step = self.r.q.val().step + bits::<3>(1);

        // ---- state machine
        match self.r.q.val().work {
            Work::Idle => {
                self.r.d.next.step = bits::<3>(0);
                self.r.d.next.slot = bits::<3>(0);
                self.r.d.next.for_command = false;
                if self.r.q.val().due {
                    self.r.d.next.work = Work::Search;
                } else if self.r.q.val().sweep != bits::<3>(5) {
                    self.r.d.next.work = Work::Sweep;
                } else if !self.r.q.val().sending
                    & (self.r.q.val().announce_due
                        | self.r.q.val().answer_due
                        | self.r.q.val().ask_due)
                {
                    self.r.d.next.work = Work::Load;
                } else if self.addressed.val() {
                    self.r.d.next.for_command = true;
                    self.r.d.next.work = Work::KeyHigh;
                }
            }
            Work::KeyHigh => {
                self.ram.write_enable.next = true;
                self.write_at.word.next = bits::<3>(3);
                self.ram.write_data.next = self.key_high.val();
                if !self.place_write.val() {
                    self.r.d.next.work = Work::KeyLow;
                }
            }
            Work::KeyLow => {
                self.ram.write_enable.next = true;
                self.write_at.word.next = bits::<3>(4);
                self.ram.write_data.next = bit_cast::<16, 32>(self.command.a.val());
                self.r.d.next.step = bits::<3>(0);
                if !self.place_write.val() {
                    self.r.d.next.work = Work::Search;
                }
            }
            Work::Search => {
                // Key and entry are read in turn; each word meets the one read before it. An entry's last step is the first of the next.
                self.read_at.word.next = bits::<3>(3);
                if (self.r.q.val().step == bits::<3>(2)) | (self.r.q.val().step == bits::<3>(3)) {
                    self.read_at.word.next = bits::<3>(4);
                }
                if self.r.q.val().step == bits::<3>(4) {
                    self.read_at.word.next = bits::<3>(5);
                }
                if (self.r.q.val().step == bits::<3>(0))
                    | (self.r.q.val().step == bits::<3>(2))
                    | (self.r.q.val().step == bits::<3>(6))
                {
                    self.read_at.slot.next = self.key_slot.val();
                }
                if self.r.q.val().step == bits::<3>(3) {
                    self.r.d.next.same = self.equal.val();
                }
                if self.r.q.val().step == bits::<3>(5) {
                    self.r.d.next.same = self.r.q.val().same & self.equal.val();
                }
                if self.r.q.val().step == bits::<3>(6) {
                    self.r.d.next.step = bits::<3>(0);
                    if self.r.q.val().same & self.alive.val() {
                        self.r.d.next.work = Work::Learn;
                        if self.r.q.val().for_command {
                            self.r.d.next.work = Work::Fetch;
                        }
                    } else if (self.r.q.val().slot == bits::<3>(4)) & !self.r.q.val().for_command {
                        self.r.d.next.slot = self.r.q.val().turn;
                        self.r.d.next.work = Work::Learn;
                    } else {
                        self.r.d.next.slot = self.r.q.val().slot + bits::<3>(1);
                        self.r.d.next.step = bits::<3>(1);
                    }
                    if self.asked.val() {
                        self.command.done.next = true;
                        self.r.d.next.work = Work::Idle;
                        if !(self.r.q.val().same & self.alive.val()) {
                            self.r.d.next.ask_due = true;
                            self.r.d.next.upper_key = !self.r.q.val().upper_key;
                            self.r.d.next.holdoff = self.patience.val();
                        }
                    }
                }
                if (self.r.q.val().step == bits::<3>(1))
                    & self.r.q.val().for_command
                    & self.r.q.val().due
                {
                    self.r.d.next.work = Work::Idle;
                }
            }
            Work::Fetch => {
                // Words 1, 2, 0; with a tag 1, 2, 6, 0, of which the third goes past the result.
                self.read_at.word.next = bits::<3>(0);
                if self.r.q.val().step == bits::<3>(0) {
                    self.read_at.word.next = bits::<3>(1);
                }
                if self.r.q.val().step == bits::<3>(1) {
                    self.read_at.word.next = bits::<3>(2);
                }
                if self.vlan.val() & (self.r.q.val().step == bits::<3>(2)) {
                    self.read_at.word.next = bits::<3>(6);
                }
                if !(self.vlan.val() & (self.r.q.val().step == bits::<3>(4))) {
                    self.r.d.next.result = self.feed_result.to.val();
                }
                if self.r.q.val().step == self.fetched.val() {
                    self.command.done.next = true;
                    self.command.ok.next = true;
                    self.command.result.next = self.r.q.val().result;
                    self.command.result2.next = self.feed_tag.to.val();
                    self.r.d.next.work = Work::Idle;
                }
            }
            Work::Learn => {
                // The spare entry is never alive, so `slot` is another.
                self.ram.write_enable.next = true;
                self.ram.write_data.next = self.lifetime.val();
                if !self.place_write.val() {
                    self.r.d.next.work = Work::Forget;
                }
            }
            Work::Forget => {
                self.ram.write_enable.next = true;
                self.write_at.slot.next = self.search_slot.val();
                if !self.place_write.val() {
                    self.r.d.next.spare = self.r.q.val().slot;
                    self.r.d.next.due = false;
                    if self.r.q.val().request {
                        self.r.d.next.answer_due = true;
                        self.r.d.next.answer_slot = self.r.q.val().spare;
                    }
                    self.r.d.next.work = Work::Idle;
                }
            }
            Work::Sweep => {
                self.read_at.slot.next = bit_cast::<4, 3>(self.r.q.val().sweep);
                self.read_at.word.next = bits::<3>(5);
                self.write_at.slot.next = bit_cast::<4, 3>(self.r.q.val().sweep);
                if self.life.val().any() & !self.r.q.val().clearing {
                    self.ram.write_data.next = bit_cast::<16, 6>(self.less.val());
                }
                if self.r.q.val().step == bits::<3>(2) {
                    self.ram.write_enable.next = true;
                    self.r.d.next.step = bits::<3>(2);
                    if !self.place_write.val() {
                        self.r.d.next.sweep = self.r.q.val().sweep + bits::<3>(1);
                        if self.r.q.val().sweep == bits::<3>(4) {
                            self.r.d.next.clearing = false;
                        }
                        self.r.d.next.work = Work::Idle;
                    }
                }
            }
            Work::Load => {
                self.read_at.slot.next = self.load_slot.val();
                // The tag last, and used as it comes.
                if self.vlan.val() & (self.r.q.val().step == bits::<3>(5)) {
                    self.read_at.word.next = bits::<3>(6);
                }
                self.r.d.next.target = self.feed_target.to.val();
                self.r.d.next.dst_lo = self.feed_dst.to.val();
                self.r.d.next.dst_hi = self.dst_upper.val();
                if self.r.q.val().step == bits::<3>(6) {
                    if self.vlan.val() {
                        self.r.d.next.dst_tag = self.ram.read_data.val();
                    }
                    self.r.d.next.sending = true;
                    self.r.d.next.reply = false;
                    self.r.d.next.work = Work::Idle;
                    if self.r.q.val().announce_due {
                        self.r.d.next.announce_due = false;
                    } else if self.r.q.val().answer_due {
                        self.r.d.next.answer_due = false;
                        self.r.d.next.reply = true;
                    } else {
                        self.r.d.next.ask_due = false;
                    }
                }
            }
            _ => {
                self.r.d.next.work = Work::Idle;
            }
        }
        // A packet coming in can't wait: it has the write port first.
        if self.place_write.val() {
            self.ram.write_enable.next = true;
            self.ram.write_data.next = self.arrived.val();
            if self.place_tag.val() {
                self.ram.write_data.next = self.src_tag.val();
            }
            self.write_at.slot.next = bit_cast::<4, 3>(self.r.q.val().spare);
            self.write_at.word.next = self.half_index.val();
        }
        self.ram.read_address.next = self.read_at.to.val();
        self.ram.write_address.next = self.write_at.to.val();

        // ---- packet out
        self.fixed.index.next = self.r.q.val().out_index;
        self.pick.hi.next = self.r.q.val().dst_hi;
        self.pick.lo.next = self.r.q.val().dst_lo;
        // Bytes 18 to 23: 18 is 2 modulo 8.
        self.pick.index.next = bit_cast::<3, 5>(self.r.q.val().out_index) - bits::<3>(2);
        self.reply.data.next = self.target_byte.val();
        if self.r.q.val().out_index < bits::<5>(24) {
            // Nobody's address is asked for: zeros (RFC 5227 section 2.3).
            self.reply.data.next = bits::<8>(0);
            if self.r.q.val().reply {
                self.reply.data.next = self.pick.picked.val();
            }
        }
        if self.r.q.val().out_index == bits::<5>(7) {
            self.reply.data.next = bits::<8>(1);
            if self.r.q.val().reply {
                self.reply.data.next = bits::<8>(2);
            }
        }
        if self.fixed.known.val() {
            self.reply.data.next = self.fixed.value.val();
        }
        self.reply.last.next = self.r.q.val().out_index == bits::<5>(27);
        self.reply.error.next = false;
        self.reply.valid.next = self.r.q.val().sending;
        if self.r.q.val().sending & self.reply.ready.val() {
            self.r.d.next.out_index = self.r.q.val().out_index + bits::<5>(1);
            if self.r.q.val().out_index > bits::<5>(23) {
                self.r.d.next.target = self.shift.appended.val();
            }
            if self.r.q.val().out_index == bits::<5>(27) {
                self.r.d.next.out_index = bits::<5>(0);
                self.r.d.next.sending = false;
            }
        }
        self.dst_hi.next = self.r.q.val().dst_hi;
        self.dst_lo.next = self.r.q.val().dst_lo;
        self.dst_tag.next = self.r.q.val().dst_tag;

        // ---- reset
        if self.reset.val() {
            self.r.d.next.work = Work::Idle;
            self.r.d.next.index = bits::<5>(0);
            self.r.d.next.bad = false;
            self.r.d.next.due = false;
            self.r.d.next.spare = bits::<3>(4);
            self.r.d.next.turn = bits::<3>(0);
            self.r.d.next.sweep = bits::<3>(0);
            self.r.d.next.clearing = true;
            self.r.d.next.holdoff = bits::<7>(0);
            self.r.d.next.announce_due = true;
            self.r.d.next.answer_due = false;
            self.r.d.next.ask_due = false;
            self.r.d.next.sending = false;
            self.r.d.next.out_index = bits::<5>(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testgen::*;
    use rand::Rng;

    const NOBODY: [u8; 6] = [0; 6];

    struct Bench {
        uut: Arp,
        out: Collector,
        dst: [u8; 6],
        tag: u16,
        /// packets sent, with their destination
        sent: Vec<([u8; 6], Vec<u8>)>,
        /// their tags
        tags: Vec<u16>,
        /// what a command told of the tag
        told: u16,
        causes: Vec<u8>,
        /// cycles a command took
        took: usize,
    }

    impl Bench {
        /// After reset and the announcement.
        fn new() -> Self {
            Self::with(false)
        }

        fn with(vlan: bool) -> Self {
            let mut uut = Arp::new(&ToeConfig {
                vlan,
                ..ToeConfig::default()
            });
            uut.connect_all();
            uut.reset.next = true;
            uut.reply.ready.next = true;
            cycle!(uut);
            uut.reset.next = false;
            let mut b = Self {
                uut,
                out: Default::default(),
                dst: NOBODY,
                tag: 0,
                sent: vec![],
                tags: vec![],
                told: 0,
                causes: vec![],
                took: 0,
            };
            b.idle(100);
            assert_eq!(b.sent(), [(BROADCAST, arp(1, MAC, IP, NOBODY, IP))]);
            b
        }

        fn step(&mut self) {
            let uut = &mut self.uut;
            settle(uut);
            if uut.reply.valid.val() && uut.reply.ready.val() {
                let hi = uut.dst_hi.val().to_u16().to_be_bytes();
                let lo = uut.dst_lo.val().to_u32().to_be_bytes();
                let dst = [hi[0], hi[1], lo[0], lo[1], lo[2], lo[3]];
                let tag = uut.dst_tag.val().to_u16();
                let same = (dst, tag) == (self.dst, self.tag);
                assert!(!self.out.open() || same, "destination moved");
                (self.dst, self.tag) = (dst, tag);
                let last = uut.reply.last.val();
                self.out
                    .beat(uut.reply.data.val().to_u8(), last, uut.reply.error.val());
                if last {
                    self.sent.push((dst, self.out.good().remove(0)));
                    self.tags.push(tag);
                }
            }
            if uut.count.val() {
                self.causes.push(uut.cause.val().to_u8());
            }
            cycle!(*uut);
        }

        fn idle(&mut self, cycles: usize) {
            for _ in 0..cycles {
                self.step();
            }
        }

        fn sent(&mut self) -> Vec<([u8; 6], Vec<u8>)> {
            std::mem::take(&mut self.sent)
        }

        fn counted(&mut self) -> Vec<u8> {
            std::mem::take(&mut self.causes)
        }

        /// A packet, without a pause after it.
        fn packet(&mut self, bytes: &[u8], error: bool) {
            for (i, byte) in bytes.iter().enumerate() {
                self.uut.arp.valid.next = true;
                self.uut.arp.data.next = byte.to_bits();
                self.uut.arp.last.next = i + 1 == bytes.len();
                self.uut.arp.error.next = error && i + 1 == bytes.len();
                self.step();
            }
            self.uut.arp.valid.next = false;
        }

        fn lookup(&mut self, ip: [u8; 4]) -> Option<[u8; 6]> {
            self.uut.command.valid.next = true;
            self.uut.command.code.next = cmd::ARP.to_bits();
            self.uut.command.a.next = u32::from_be_bytes(ip).to_bits();
            for took in 0..200 {
                settle(&mut self.uut);
                let c = &self.uut.command;
                if c.done.val() {
                    let hi = c.result2.val().to_u32().to_be_bytes();
                    let lo = c.result.val().to_u32().to_be_bytes();
                    let mac = [hi[2], hi[3], lo[0], lo[1], lo[2], lo[3]];
                    self.told = u16::from_be_bytes([hi[0], hi[1]]);
                    let ok = c.ok.val();
                    self.step();
                    self.uut.command.valid.next = false;
                    self.took = took;
                    return ok.then_some(mac);
                }
                self.step();
            }
            panic!("no answer");
        }

        fn ticks(&mut self, ticks: usize) {
            for _ in 0..ticks {
                self.uut.tick.next = true;
                self.step();
                self.uut.tick.next = false;
                self.step();
            }
        }

        fn hears(&mut self, n: u8) {
            self.packet(&arp(2, mac(n), ip(n), MAC, IP), false);
            self.idle(60);
            assert_eq!(self.counted(), [Cause::ArpIn.number()]);
        }
    }

    fn mac(n: u8) -> [u8; 6] {
        [0x02, 0xA1, 0xB2, 0xC3, 0xD4, n]
    }

    fn ip(n: u8) -> [u8; 4] {
        [192, 168, 69, n]
    }

    fn asks(n: u8) -> ([u8; 6], Vec<u8>) {
        (BROADCAST, arp(1, MAC, IP, NOBODY, ip(n)))
    }

    fn answers(n: u8) -> ([u8; 6], Vec<u8>) {
        (mac(n), arp(2, MAC, IP, mac(n), ip(n)))
    }

    #[test]
    fn a_request_is_answered_and_its_sender_known() {
        for vlan in [false, true] {
            is_answered(Bench::with(vlan));
        }
    }

    fn is_answered(mut b: Bench) {
        for padding in [0, 1, 18] {
            let mut request = arp(1, mac(9), ip(9), NOBODY, IP);
            request.resize(28 + padding, 0xEE);
            b.packet(&request, false);
            let mut cycles = 0;
            while {
                settle(&mut b.uut);
                !b.uut.reply.valid.val()
            } {
                cycles += 1;
                b.step();
            }
            assert!(cycles <= 47, "{cycles}");
            b.idle(60);
            assert_eq!(b.sent(), [answers(9)]);
            assert_eq!(b.counted(), [Cause::ArpIn.number()]);
        }
        assert_eq!(b.lookup(ip(9)), Some(mac(9)));
        assert_eq!(b.sent(), []);
    }

    #[test]
    fn a_reply_has_its_request_s_tag_and_the_engine_is_told_it() {
        let mut b = Bench::with(true);
        assert_eq!(std::mem::take(&mut b.tags), [0], "the announcement");
        for (n, tag) in [(1, 0x1234_u16), (2, 0), (3, 0xFFFF), (4, 0xF001)] {
            b.uut.src_tag.next = tag.to_bits();
            b.packet(&arp(1, mac(n), ip(n), NOBODY, IP), false);
            // What comes behind it has another, and is not for us.
            b.uut.src_tag.next = 0x5555_u16.to_bits();
            b.idle(38);
            b.packet(&arp(1, mac(9), ip(9), NOBODY, ip(1)), false);
            b.idle(60);
            assert_eq!(b.sent(), [answers(n)]);
            assert_eq!(std::mem::take(&mut b.tags), [tag]);
        }
        for (n, tag) in [(1, 0x1234), (2, 0), (3, 0xFFFF), (4, 0xF001)] {
            assert_eq!(b.lookup(ip(n)), Some(mac(n)));
            assert_eq!(b.told, tag);
            assert!([15, 21, 27, 33, 39].contains(&b.took), "{}", b.took);
        }
        // Requests have none, whoever was heard before.
        assert_eq!(b.lookup(ip(9)), None);
        assert_eq!(b.took, 39);
        b.idle(60);
        assert_eq!(
            (b.sent(), std::mem::take(&mut b.tags)),
            (vec![asks(9)], vec![0])
        );
        // What was heard last counts; an answer is as good as a request.
        for (n, tag) in [(1, 0), (2, 0x0FF0), (1, 0x4321)] {
            b.uut.src_tag.next = u16::to_bits(tag);
            b.packet(&arp(2, mac(n), ip(n), MAC, IP), false);
            b.idle(60);
            assert_eq!(b.lookup(ip(n)), Some(mac(n)));
            assert_eq!(b.told, tag);
        }
        assert_eq!(b.sent(), []);
    }

    /// The answer waits for the line, and the next requests come with other tags: the newest is answered next.
    #[test]
    fn tags_of_answers_that_wait_are_not_mixed_up() {
        let mut b = Bench::with(true);
        b.tags.clear();
        b.uut.reply.ready.next = false;
        for n in 1..=3_u8 {
            b.uut.src_tag.next = (0x1111 * u16::from(n)).to_bits();
            b.packet(&arp(1, mac(n), ip(n), NOBODY, IP), false);
            b.idle(60);
        }
        b.uut.reply.ready.next = true;
        b.idle(100);
        assert_eq!(b.sent(), [answers(1), answers(3)]);
        assert_eq!(b.tags, [0x1111, 0x3333]);
    }

    #[test]
    fn without_vlan_nothing_is_told_of_tags() {
        let mut b = Bench::new();
        b.uut.src_tag.next = 0x1234_u16.to_bits();
        b.packet(&arp(1, mac(1), ip(1), NOBODY, IP), false);
        b.idle(100);
        assert_eq!((b.sent(), &b.tags[..]), (vec![answers(1)], &[0, 0][..]));
        assert_eq!((b.lookup(ip(1)), b.told), (Some(mac(1)), 0));
        assert!([14, 20, 26, 32, 38].contains(&b.took), "{}", b.took);
    }

    #[test]
    fn what_is_not_known_is_asked_for_in_moderation() {
        let mut b = Bench::new();
        assert_eq!(b.lookup(ip(1)), None);
        assert_eq!(b.took, 39);
        b.idle(60);
        assert_eq!(b.sent(), [asks(1)]);
        b.ticks(99);
        assert_eq!(b.lookup(ip(1)), None);
        b.idle(60);
        assert_eq!(b.sent(), []);
        b.ticks(1);
        assert_eq!(b.lookup(ip(1)), None);
        b.idle(60);
        assert_eq!(b.sent(), [asks(1)]);
        // Another one may be asked for at once, also after an answer to somebody.
        assert_eq!(b.lookup(ip(2)), None);
        b.idle(60);
        assert_eq!(b.sent(), [asks(2)]);
        b.packet(&arp(1, mac(9), ip(9), NOBODY, IP), false);
        b.idle(100);
        assert_eq!(b.sent(), [answers(9)]);
        assert_eq!(b.lookup(ip(2)), None);
        b.idle(60);
        assert_eq!(b.sent(), []);
        b.causes.clear();
        b.hears(2);
        assert_eq!(b.lookup(ip(2)), Some(mac(2)));
        assert_eq!(b.sent(), []);
    }

    #[test]
    fn four_are_kept_and_the_oldest_goes() {
        let mut b = Bench::new();
        for n in 1..=12 {
            b.hears(n);
            for known in 1..=n {
                let expected = (known + 4 > n).then(|| mac(known));
                assert_eq!(b.lookup(ip(known)), expected, "{known} after {n}");
                if expected.is_some() {
                    assert!([14, 20, 26, 32, 38].contains(&b.took), "{}", b.took);
                } else {
                    assert_eq!(b.took, 39);
                }
                b.idle(60);
            }
        }
        // A neighbour heard again, with another station, takes no entry from the others.
        for again in 0..9 {
            b.packet(&arp(2, mac(100 + again), ip(11), MAC, IP), false);
            b.idle(60);
            assert_eq!(b.lookup(ip(11)), Some(mac(100 + again)));
            for known in [9, 10, 12] {
                assert_eq!(b.lookup(ip(known)), Some(mac(known)));
            }
        }
    }

    #[test]
    fn neighbours_are_forgotten_in_time_and_at_reset() {
        let mut b = Bench::new();
        b.hears(1);
        b.ticks(30_000);
        b.hears(2);
        b.ticks(29_391);
        assert_eq!(b.lookup(ip(1)), Some(mac(1)));
        b.ticks(60_416 - 59_391);
        b.idle(60);
        assert_eq!(b.lookup(ip(1)), None);
        assert_eq!(b.lookup(ip(2)), Some(mac(2)));
        b.uut.reset.next = true;
        b.idle(1);
        b.uut.reset.next = false;
        assert_eq!(b.lookup(ip(2)), None);
    }

    #[test]
    fn what_is_not_for_us_or_wrong_leaves_nothing() {
        let mut b = Bench::new();
        let sound = arp(1, mac(9), ip(9), NOBODY, IP);
        let mut wrong: Vec<Vec<u8>> = (1..28).map(|n| sound[..n].to_vec()).collect();
        for bit in (0..64).chain(192..224) {
            let mut p = sound.clone();
            p[bit / 8] ^= 0x80 >> (bit % 8);
            wrong.push(p);
        }
        for operation in [0, 3, 8, 0x0101, 0x0201] {
            wrong.push(arp(operation, mac(9), ip(9), NOBODY, IP));
        }
        wrong.push(arp(1, BROADCAST, ip(9), NOBODY, IP));
        for mut p in wrong {
            for padded in [false, true] {
                if padded && p.len() == 28 {
                    p.resize(46, 0);
                }
                b.packet(&p, false);
                b.idle(50);
                assert_eq!(b.counted(), [Cause::ArpMalformed.number()], "{p:02x?}");
            }
        }
        for length in 1..=28 {
            b.packet(&sound[..length], true);
            b.idle(50);
            assert_eq!(b.counted(), []);
        }
        assert_eq!(b.sent(), []);
        assert_eq!(b.lookup(ip(9)), None);
    }

    #[test]
    fn shortest_frames_back_to_back_are_all_learnt_whatever_the_engine_does() {
        let mut b = Bench::new();
        for n in 0..60 {
            // The engine's command comes at any moment. One cycle more of the 38 goes by behind the packet, when it is counted.
            b.idle(37);
            let mut p = arp(2, mac(n), ip(n), MAC, IP);
            p.resize(46, 0);
            for (i, byte) in p.iter().enumerate() {
                if i == usize::from(n) % 46 && !b.uut.command.valid.val() {
                    b.uut.command.valid.next = true;
                    b.uut.command.code.next = cmd::ARP.to_bits();
                    b.uut.command.a.next = 1_u32.to_bits();
                }
                b.uut.arp.valid.next = true;
                b.uut.arp.data.next = byte.to_bits();
                b.uut.arp.last.next = i == 45;
                b.step();
            }
            b.uut.arp.valid.next = false;
            b.step();
            assert_eq!(b.counted(), [Cause::ArpIn.number()], "{n}");
        }
        b.uut.command.valid.next = false;
        b.idle(60);
        assert_eq!(b.lookup(ip(59)), Some(mac(59)));
    }

    #[test]
    fn a_sender_kept_waiting_wedges_nothing() {
        let mut b = Bench::new();
        b.uut.reply.ready.next = false;
        for n in 1..=6 {
            b.packet(&arp(1, mac(n), ip(n), NOBODY, IP), false);
            b.idle(60);
            assert_eq!(b.lookup(ip(n)), Some(mac(n)));
        }
        b.uut.reply.ready.next = true;
        b.idle(100);
        assert_eq!(b.sent(), [answers(1), answers(6)]);
    }

    #[test]
    fn lockstep() {
        for vlan in [false, true] {
            in_lockstep(vlan);
        }
    }

    fn in_lockstep(vlan: bool) {
        let mut player = Player::default();
        let mut gap = 0;
        let config = ToeConfig {
            vlan,
            ..ToeConfig::default()
        };
        let name = if vlan { "arp_vlan" } else { "arp" };
        toe_sim::lockstep!(name, Arp::new(&config), 30_000, |uut, cycle, rng| {
            if player.idle() && rng.random_bool(0.02) {
                gap = 0;
            }
            let valid = gap == 0 && rng.random_bool(0.9);
            uut.arp.valid.next = valid;
            uut.arp.last.next = false;
            if valid {
                if player.idle() {
                    uut.src_tag.next = rng.random::<u16>().to_bits();
                }
                let (data, last, error) = player.beat(rng, |rng| {
                    let mut sha: [u8; 6] = rng.random();
                    sha[0] &= 0xFE;
                    random_arp(rng, sha)
                });
                uut.arp.data.next = data.to_bits();
                uut.arp.last.next = last;
                uut.arp.error.next = error;
                player.moved();
                if player.idle() {
                    gap = rng.random_range(0..100);
                }
            } else if gap > 0 {
                gap -= 1;
            }
            // A command is held until the cycle after its `done`, or changes: the contract's other side is not at stake here.
            if rng.random_bool(0.01) {
                uut.command.valid.next = rng.random_bool(0.8);
                uut.command.code.next = if rng.random_bool(0.9) { 6_u8 } else { 5 }.to_bits();
                let n = rng.random_range(96..112);
                uut.command.a.next = u32::from_be_bytes(ip(n)).to_bits();
            }
            uut.tick.next = rng.random_bool(0.5);
            uut.reply.ready.next = rng.random_bool(0.7);
            uut.reset.next = cycle < 2 || rng.random_bool(0.0002);
        });
    }
}
