//! The queue of segment records between parser and engine, and the host's command record.
//!
//! Four slots of 32 words, filled in order and emptied in order, and a fifth for a command of the host. **Latency.** A record offered by `push` is at
//! the head in the next cycle if the queue was empty; a word read follows its address by one cycle. **Throughput.** A word written, a word read, a
//! push and a pop each cycle; a host command takes three cycles in which the parser writes nothing.
//!
//! A frame that proves bad is simply not pushed: its words are overwritten by the next. `reset` empties the queue; words stay.
use super::gates::{Concat, HoldMemory};
use super::isa;
use rust_hdl::prelude::*;

/// What the engine knows of a record before it reads a word.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
pub struct Heads {
    oldest: Bits<2>,
    tail: Bits<2>,
    count: Bits<3>,
    /// 0 free, then the word being written, 3: the command waits for the engine.
    command: Bits<3>,
    conn0: Bits<10>,
    conn1: Bits<10>,
    conn2: Bits<10>,
    conn3: Bits<10>,
    hit0: Bit,
    hit1: Bit,
    hit2: Bit,
    hit3: Bit,
    flags0: Bits<8>,
    flags1: Bits<8>,
    flags2: Bits<8>,
    flags3: Bits<8>,
}

/// The queue.
#[derive(LogicBlock)]
pub struct Records {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,

    // Parser. Words go to the free slot at the tail; a `write` while `full` is ignored, `push` then is never given. A `write` with the `push` belongs to
    // the record pushed.
    pub write: Signal<In, Bit>,
    pub word: Signal<In, Bits<5>>,
    pub data: Signal<In, Bits<32>>,
    pub push: Signal<In, Bit>,
    pub push_conn: Signal<In, Bits<10>>,
    pub push_hit: Signal<In, Bit>,
    pub push_flags: Signal<In, Bits<8>>,
    pub full: Signal<Out, Bit>,
    pub tail_slot: Signal<Out, Bits<2>>,

    // Which slots are occupied: `count` of them from `oldest` on.
    pub oldest: Signal<Out, Bits<2>>,
    pub count: Signal<Out, Bits<3>>,

    // Engine: the head stays until `pop`, which is given only while `head_valid`.
    pub head_valid: Signal<Out, Bit>,
    pub head_slot: Signal<Out, Bits<3>>,
    pub head_conn: Signal<Out, Bits<10>>,
    pub head_hit: Signal<Out, Bit>,
    pub head_flags: Signal<Out, Bits<8>>,
    pub pop: Signal<In, Bit>,
    // Words: `read_data` follows slot and word by one cycle and stays while `read_enable` is low.
    pub read_enable: Signal<In, Bit>,
    pub read_slot: Signal<In, Bits<3>>,
    pub read_word: Signal<In, Bits<5>>,
    pub read_data: Signal<Out, Bits<32>>,

    // Host command: held until `command_ready`; then `host_valid` until the engine's `host_pop`.
    pub command_valid: Signal<In, Bit>,
    pub command_ports: Signal<In, Bits<32>>,
    pub command_ip: Signal<In, Bits<32>>,
    pub command_owner: Signal<In, Bits<8>>,
    /// Of a connection that exists: the option's number, and from bit 8 on its value (`program::host::ConnectionOption`). Zero: connect.
    pub command_option: Signal<In, Bits<24>>,
    pub command_ready: Signal<Out, Bit>,
    pub host_valid: Signal<Out, Bit>,
    pub host_pop: Signal<In, Bit>,

    // Registers and memory.
    heads: DFF<Heads>,
    words: HoldMemory<Bits<32>, 8>,
    read_at: Concat<3, 5, 8>,
    write_at: Concat<3, 5, 8>,
    command_word: Concat<24, 8, 32>,

    // Named wires.
    free: Signal<Local, Bits<3>>,
    count_after_pop: Signal<Local, Bits<3>>,
    step: Signal<Local, Bits<3>>,
    writes_command: Signal<Local, Bit>,
    has_room: Signal<Local, Bit>,
    host_slot: Constant<Bits<3>>,
    word_ports: Constant<Bits<5>>,
    word_ip: Constant<Bits<5>>,
    word_ctl: Constant<Bits<5>>,
}

impl Default for Records {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            write: Default::default(),
            word: Default::default(),
            data: Default::default(),
            push: Default::default(),
            push_conn: Default::default(),
            push_hit: Default::default(),
            push_flags: Default::default(),
            full: Default::default(),
            tail_slot: Default::default(),
            oldest: Default::default(),
            count: Default::default(),
            head_valid: Default::default(),
            head_slot: Default::default(),
            head_conn: Default::default(),
            head_hit: Default::default(),
            head_flags: Default::default(),
            pop: Default::default(),
            read_enable: Default::default(),
            read_slot: Default::default(),
            read_word: Default::default(),
            read_data: Default::default(),
            command_valid: Default::default(),
            command_ports: Default::default(),
            command_ip: Default::default(),
            command_owner: Default::default(),
            command_option: Default::default(),
            command_ready: Default::default(),
            host_valid: Default::default(),
            host_pop: Default::default(),
            heads: Default::default(),
            words: HoldMemory::with_image(256, &[]),
            read_at: Default::default(),
            write_at: Default::default(),
            command_word: Default::default(),
            free: Default::default(),
            count_after_pop: Default::default(),
            step: Default::default(),
            writes_command: Default::default(),
            has_room: Default::default(),
            host_slot: Constant::new(4_u64.to_bits()),
            word_ports: Constant::new(u64::from(isa::seg::PORTS).to_bits()),
            word_ip: Constant::new(u64::from(isa::seg::IP).to_bits()),
            word_ctl: Constant::new(u64::from(isa::seg::CTL).to_bits()),
        }
    }
}

impl Logic for Records {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- Registers ----
        dff_setup!(self, clock, heads);
        self.words.clock.next = self.clock.val();

        // ---- Queue: the head fields move down at a pop ----
        self.count_after_pop.next = self.heads.q.val().count;
        if self.pop.val() {
            self.count_after_pop.next = self.heads.q.val().count - 1;
            self.heads.d.next.oldest = self.heads.q.val().oldest + 1;
            self.heads.d.next.conn0 = self.heads.q.val().conn1;
            self.heads.d.next.conn1 = self.heads.q.val().conn2;
            self.heads.d.next.conn2 = self.heads.q.val().conn3;
            self.heads.d.next.hit0 = self.heads.q.val().hit1;
            self.heads.d.next.hit1 = self.heads.q.val().hit2;
            self.heads.d.next.hit2 = self.heads.q.val().hit3;
            self.heads.d.next.flags0 = self.heads.q.val().flags1;
            self.heads.d.next.flags1 = self.heads.q.val().flags2;
            self.heads.d.next.flags2 = self.heads.q.val().flags3;
        }
        self.heads.d.next.count = self.count_after_pop.val();
        if self.push.val() {
            self.heads.d.next.count = self.count_after_pop.val() + 1;
            self.heads.d.next.tail = self.heads.q.val().tail + 1;
            if self.count_after_pop.val() == bits::<3>(0) {
                self.heads.d.next.conn0 = self.push_conn.val();
                self.heads.d.next.hit0 = self.push_hit.val();
                self.heads.d.next.flags0 = self.push_flags.val();
            }
            if self.count_after_pop.val() == bits::<3>(1) {
                self.heads.d.next.conn1 = self.push_conn.val();
                self.heads.d.next.hit1 = self.push_hit.val();
                self.heads.d.next.flags1 = self.push_flags.val();
            }
            if self.count_after_pop.val() == bits::<3>(2) {
                self.heads.d.next.conn2 = self.push_conn.val();
                self.heads.d.next.hit2 = self.push_hit.val();
                self.heads.d.next.flags2 = self.push_flags.val();
            }
            if self.count_after_pop.val() == bits::<3>(3) {
                self.heads.d.next.conn3 = self.push_conn.val();
                self.heads.d.next.hit3 = self.push_hit.val();
                self.heads.d.next.flags3 = self.push_flags.val();
            }
        }

        // ---- Host command: a word whenever the parser leaves the port ----
        self.step.next = self.heads.q.val().command;
        self.writes_command.next =
            self.command_valid.val() & !self.write.val() & (self.step.val() != bits::<3>(3));
        if self.writes_command.val() {
            self.heads.d.next.command = self.step.val() + 1;
        }
        if self.host_pop.val() {
            self.heads.d.next.command = bits::<3>(0);
        }
        self.command_ready.next = self.writes_command.val() & (self.step.val() == bits::<3>(2));
        self.host_valid.next = self.step.val() == bits::<3>(3);

        // ---- Words ----
        self.free.next = bit_cast::<3, 2>(self.heads.q.val().tail);
        self.write_at.high.next = self.free.val();
        self.write_at.low.next = self.word.val();
        self.words.write_data.next = self.data.val();
        self.command_word.high.next = self.command_option.val();
        self.command_word.low.next = self.command_owner.val();
        if self.writes_command.val() {
            self.write_at.high.next = self.host_slot.val();
            self.write_at.low.next = self.word_ports.val();
            self.words.write_data.next = self.command_ports.val();
            if self.step.val() == bits::<3>(1) {
                self.write_at.low.next = self.word_ip.val();
                self.words.write_data.next = self.command_ip.val();
            }
            if self.step.val() == bits::<3>(2) {
                self.write_at.low.next = self.word_ctl.val();
                self.words.write_data.next = self.command_word.to.val();
            }
        }
        // While the queue is full the slot at the tail is the one the engine reads: a frame that will be dropped must not spoil it.
        self.has_room.next = self.heads.q.val().count != bits::<3>(4);
        self.words.write_enable.next =
            (self.write.val() & self.has_room.val()) | self.writes_command.val();
        self.words.write_address.next = self.write_at.to.val();
        self.read_at.high.next = self.read_slot.val();
        self.read_at.low.next = self.read_word.val();
        self.words.read_enable.next = self.read_enable.val();
        self.words.read_address.next = self.read_at.to.val();
        self.read_data.next = self.words.read_data.val();

        // ---- Outputs ----
        self.full.next = !self.has_room.val();
        self.tail_slot.next = self.heads.q.val().tail;
        self.oldest.next = self.heads.q.val().oldest;
        self.count.next = self.heads.q.val().count;
        self.head_valid.next = self.heads.q.val().count != bits::<3>(0);
        self.head_slot.next = bit_cast::<3, 2>(self.heads.q.val().oldest);
        self.head_conn.next = self.heads.q.val().conn0;
        self.head_hit.next = self.heads.q.val().hit0;
        self.head_flags.next = self.heads.q.val().flags0;

        // ---- Reset ----
        if self.reset.val() {
            self.heads.d.next.oldest = bits::<2>(0);
            self.heads.d.next.tail = bits::<2>(0);
            self.heads.d.next.count = bits::<3>(0);
            self.heads.d.next.command = bits::<3>(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use std::collections::VecDeque;

    fn cycle(uut: &mut Records) {
        for clk in [false, true, false] {
            uut.clock.next = Clock { clk };
            for _ in 0..20 {
                uut.update_all();
                if !uut.has_changed() {
                    break;
                }
            }
        }
    }

    /// The queue against a `VecDeque`, at all fillings, with a host command now and then.
    #[test]
    fn records_arrive_in_order_and_whole() {
        use rand::SeedableRng;
        let mut rng = rand::rngs::StdRng::seed_from_u64(7);
        let mut uut = Records::default();
        uut.connect_all();
        uut.read_enable.next = true;
        let mut queue: VecDeque<(u64, bool, u64, [u64; 32])> = VecDeque::new();
        let mut filling = [0_u32; 5];
        let mut commands = 0;
        for round in 0..2_000_u64 {
            filling[queue.len()] += 1;
            assert_eq!(uut.full.val(), queue.len() == 4);
            assert_eq!(uut.head_valid.val(), !queue.is_empty());
            assert_eq!(uut.count.val().to_u64(), queue.len() as u64);
            assert_eq!(
                (uut.oldest.val().to_u64() + queue.len() as u64) % 4,
                uut.tail_slot.val().to_u64()
            );
            if queue.len() < 4 && rng.random_bool(0.55) {
                let words: [u64; 32] = std::array::from_fn(|_| u64::from(rng.random::<u32>()));
                for (n, data) in words.iter().enumerate() {
                    uut.write.next = true;
                    uut.word.next = (n as u64).to_bits();
                    uut.data.next = (*data).to_bits();
                    cycle(&mut uut);
                }
                uut.write.next = false;
                let head = (round % 1024, rng.random(), u64::from(rng.random::<u8>()));
                uut.push.next = true;
                uut.push_conn.next = head.0.to_bits();
                uut.push_hit.next = head.1;
                uut.push_flags.next = head.2.to_bits();
                // Half the time with a pop in the same cycle.
                let pops = !queue.is_empty() && rng.random();
                uut.pop.next = pops;
                cycle(&mut uut);
                uut.push.next = false;
                uut.pop.next = false;
                if pops {
                    queue.pop_front();
                }
                queue.push_back((head.0, head.1, head.2, words));
            } else if rng.random_bool(0.1) {
                let words = [rng.random::<u32>(), rng.random(), rng.random()];
                uut.command_valid.next = true;
                uut.command_ports.next = u64::from(words[0]).to_bits();
                uut.command_ip.next = u64::from(words[1]).to_bits();
                uut.command_owner.next = u64::from(words[2] & 0xFF).to_bits();
                uut.command_option.next = u64::from(words[2] >> 8).to_bits();
                for _ in 0..3 {
                    assert!(!uut.host_valid.val());
                    cycle(&mut uut);
                }
                uut.command_valid.next = false;
                cycle(&mut uut);
                assert!(uut.host_valid.val());
                for (n, word) in [isa::seg::PORTS, isa::seg::IP, isa::seg::CTL]
                    .iter()
                    .zip(words)
                {
                    uut.read_slot.next = 4_u64.to_bits();
                    uut.read_word.next = u64::from(*n).to_bits();
                    cycle(&mut uut);
                    assert_eq!(uut.read_data.val().to_u64(), u64::from(word));
                }
                uut.host_pop.next = true;
                cycle(&mut uut);
                uut.host_pop.next = false;
                assert!(!uut.host_valid.val());
                commands += 1;
            } else if let Some((conn, hit, flags, words)) = queue.pop_front() {
                assert_eq!(uut.head_conn.val().to_u64(), conn);
                assert_eq!(uut.head_hit.val(), hit);
                assert_eq!(uut.head_flags.val().to_u64(), flags);
                uut.read_slot.next = uut.head_slot.val();
                for (n, word) in words.iter().enumerate() {
                    uut.read_word.next = (n as u64).to_bits();
                    cycle(&mut uut);
                    assert_eq!(uut.read_data.val().to_u64(), *word);
                }
                uut.pop.next = true;
                cycle(&mut uut);
                uut.pop.next = false;
            }
        }
        assert!(filling.iter().all(|n| *n > 20), "{filling:?}");
        assert!(commands > 20);
    }

    #[test]
    fn a_write_while_full_spoils_nothing() {
        let mut uut = Records::default();
        uut.connect_all();
        uut.read_enable.next = true;
        for record in 0..4_u64 {
            uut.write.next = true;
            uut.word.next = 5_u64.to_bits();
            uut.data.next = (100 + record).to_bits();
            uut.push.next = true;
            cycle(&mut uut);
        }
        uut.push.next = false;
        assert!(uut.full.val());
        // The frame that finds no room.
        uut.data.next = 666_u64.to_bits();
        cycle(&mut uut);
        uut.write.next = false;
        uut.read_word.next = 5_u64.to_bits();
        for record in 0..4_u64 {
            uut.read_slot.next = uut.head_slot.val();
            cycle(&mut uut);
            assert_eq!(uut.read_data.val().to_u64(), 100 + record);
            uut.pop.next = true;
            cycle(&mut uut);
            uut.pop.next = false;
        }
    }

    #[test]
    fn records_lockstep() {
        let report =
            toe_sim::lockstep!("records", Records::default(), 20_000, |uut, _cycle, rng| {
                uut.reset.next = rng.random_bool(0.001);
                uut.write.next = rng.random_bool(0.6);
                uut.word.next = rng.random_range(0..32_u64).to_bits();
                uut.data.next = u64::from(rng.random::<u32>()).to_bits();
                uut.push.next = !uut.full.val() && rng.random_bool(0.2);
                uut.push_conn.next = rng.random_range(0..1024_u64).to_bits();
                uut.push_hit.next = rng.random();
                uut.push_flags.next = u64::from(rng.random::<u8>()).to_bits();
                uut.pop.next = uut.head_valid.val() && rng.random_bool(0.18);
                uut.read_enable.next = rng.random_bool(0.9);
                uut.read_slot.next = rng.random_range(0..5_u64).to_bits();
                uut.read_word.next = rng.random_range(0..32_u64).to_bits();
                if !uut.command_valid.val() || uut.host_valid.val() {
                    uut.command_valid.next = rng.random_bool(0.1);
                    uut.command_ports.next = u64::from(rng.random::<u32>()).to_bits();
                    uut.command_ip.next = u64::from(rng.random::<u32>()).to_bits();
                    uut.command_owner.next = u64::from(rng.random::<u8>()).to_bits();
                    uut.command_option.next = rng.random_range(0..1_u64 << 24).to_bits();
                }
                uut.host_pop.next = uut.host_valid.val() && rng.random_bool(0.2);
            });
        report.assert_active();
    }
}
