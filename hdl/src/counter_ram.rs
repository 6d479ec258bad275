//! The counters: 64 of 32 bits in one RAM, counted up by `K` ports.
//!
//! **Latency**: an occurrence is in the RAM 5 cycles after `count` if no other is waiting; `read_data` follows `read_address` after 6 cycles at most, whatever
//! is counted meanwhile. **Throughput**: one occurrence in 3 cycles, all ports together; a port holds one that waits. The first port, which goes first, may count
//! every 3 cycles, any other every `3 K`, or sooner while the others rest. `lost` rises, for ever, if that was ever not kept. Lower ports go first.
use rust_hdl::prelude::*;

use crate::memory::Memory;

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct State {
    /// The next to be counted.
    due: Bit,
    chosen: Bits<6>,
    /// The counter `cause` appears in this cycle …
    reading: Bit,
    /// … and is in `word`, to be written back, in this.
    writing: Bit,
    cause: Bits<6>,
    word: Bits<32>,
    /// What the RAM gives this cycle is for `outside`.
    fresh: Bit,
    outside: Bits<32>,
    lost: Bit,
}

/// See the module.
#[derive(LogicBlock)]
pub struct CounterRam<const K: usize> {
    pub clock: Signal<In, Clock>,
    /// One cycle an occurrence …
    pub count: [Signal<In, Bit>; K],
    /// … of this [`crate::counters::Cause`].
    pub cause: [Signal<In, Bits<6>>; K],
    pub read_address: Signal<In, Bits<6>>,
    pub read_data: Signal<Out, Bits<32>>,
    /// An occurrence was lost.
    pub lost: Signal<Out, Bit>,
    full: [DFF<Bit>; K],
    waiting: [DFF<Bits<6>>; K],
    r: DFF<State>,
    ram: Memory<Bits<32>, 6>,
    begins: Signal<Local, Bit>,
    found: Signal<Local, Bit>,
    chosen: Signal<Local, Bits<6>>,
    more: Signal<Local, Bits<32>>,
}

impl<const K: usize> Default for CounterRam<K> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            count: std::array::from_fn(|_| Default::default()),
            cause: std::array::from_fn(|_| Default::default()),
            read_address: Default::default(),
            read_data: Default::default(),
            lost: Default::default(),
            full: std::array::from_fn(|_| Default::default()),
            waiting: std::array::from_fn(|_| Default::default()),
            r: Default::default(),
            ram: Memory::new(64),
            begins: Default::default(),
            found: Default::default(),
            chosen: Default::default(),
            more: Default::default(),
        }
    }
}

impl<const K: usize> Logic for CounterRam<K> {
    #[hdl_gen]
    fn update(&mut self) {
        // Registers, defaults.
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.ram.clock.next = self.clock.val();
        // Choose the lowest port that waits, as soon as the one chosen before is read.
        self.begins.next = self.r.q.val().due & !self.r.q.val().reading & !self.r.q.val().writing;
        self.found.next = self.r.q.val().due;
        self.chosen.next = 0.into();
        for i in 0..K {
            self.full[i].clock.next = self.clock.val();
            self.full[i].d.next = self.full[i].q.val();
            self.waiting[i].clock.next = self.clock.val();
            self.waiting[i].d.next = self.waiting[i].q.val();
            if self.full[i].q.val() & !self.found.val() {
                self.found.next = true;
                self.chosen.next = self.waiting[i].q.val();
                self.full[i].d.next = false;
                if self.count[i].val() {
                    self.full[i].d.next = true;
                    self.waiting[i].d.next = self.cause[i].val();
                }
            } else {
                if self.count[i].val() {
                    self.full[i].d.next = true;
                    self.waiting[i].d.next = self.cause[i].val();
                    if self.full[i].q.val() {
                        self.r.d.next.lost = true;
                    }
                }
            }
        }
        if self.found.val() & !self.r.q.val().due {
            self.r.d.next.due = true;
            self.r.d.next.chosen = self.chosen.val();
        }
        // Read a counter, then write it back one higher; the reader has the RAM whenever it is not read for counting and its word is not written.
        self.more.next = self.r.q.val().word + 1;
        self.r.d.next.word = self.ram.read_data.val();
        self.ram.write_address.next = self.r.q.val().cause;
        self.ram.write_data.next = self.more.val();
        self.ram.write_enable.next = self.r.q.val().writing;
        self.ram.read_address.next = self.read_address.val();
        self.r.d.next.reading = self.begins.val();
        self.r.d.next.writing = self.r.q.val().reading;
        self.r.d.next.fresh = true;
        if self.begins.val() {
            self.r.d.next.due = false;
            self.r.d.next.cause = self.r.q.val().chosen;
            self.ram.read_address.next = self.r.q.val().chosen;
            self.r.d.next.fresh = false;
        }
        if self.r.q.val().writing & (self.r.q.val().cause == self.read_address.val()) {
            self.r.d.next.fresh = false;
        }
        if self.r.q.val().fresh {
            self.r.d.next.outside = self.ram.read_data.val();
        }
        // Outputs.
        self.read_data.next = self.r.q.val().outside;
        self.lost.next = self.r.q.val().lost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    fn cycle<const K: usize>(uut: &mut CounterRam<K>) {
        for clk in [true, false] {
            uut.clock.next = Clock { clk };
            uut.update_all();
            while uut.has_changed() {
                uut.update_all();
            }
        }
    }

    fn read<const K: usize>(uut: &mut CounterRam<K>, address: u64) -> u64 {
        uut.read_address.next = address.into();
        for _ in 0..6 {
            cycle(uut);
        }
        uut.read_data.val().to_u64()
    }

    #[test]
    fn every_occurrence_counts_once() {
        let mut uut = CounterRam::<5>::default();
        uut.connect_all();
        let mut rng = rand::rngs::StdRng::seed_from_u64(7);
        let mut expected = [0u64; 64];
        let mut last = [-100i64; 5];
        for now in 0..4000i64 {
            for (port, last) in last.iter_mut().enumerate() {
                let due = now - *last >= 15 && rng.random_bool(0.3);
                let cause = rng.random_range(0..64u64);
                uut.count[port].next = due;
                uut.cause[port].next = cause.into();
                if due {
                    expected[cause as usize] += 1;
                    *last = now;
                }
            }
            cycle(&mut uut);
        }
        uut.count.iter_mut().for_each(|c| c.next = false);
        assert!(!uut.lost.val());
        let got: Vec<u64> = (0..64).map(|a| read(&mut uut, a)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn all_ports_at_once_in_the_same_cycle_and_the_same_counter() {
        let mut uut = CounterRam::<5>::default();
        uut.connect_all();
        for _ in 0..3 {
            for port in 0..5 {
                uut.count[port].next = true;
                uut.cause[port].next = 9.into();
            }
            cycle(&mut uut);
            uut.count.iter_mut().for_each(|c| c.next = false);
            for _ in 0..15 {
                cycle(&mut uut);
            }
        }
        assert_eq!(read(&mut uut, 9), 15);
        assert!(!uut.lost.val());
    }

    #[test]
    fn a_reader_is_served_while_the_same_counter_runs() {
        let mut uut = CounterRam::<1>::default();
        uut.connect_all();
        uut.read_address.next = 3.into();
        uut.cause[0].next = 3.into();
        let mut counted = 0;
        for now in 0..600u64 {
            uut.count[0].next = now % 3 == 0;
            counted += u64::from(now % 3 == 0);
            cycle(&mut uut);
            // 5 cycles into the RAM, 6 out of it: so much may be missing yet.
            let seen = uut.read_data.val().to_u64();
            assert!((counted.saturating_sub(4)..=counted).contains(&seen));
        }
        uut.count[0].next = false;
        assert!(!uut.lost.val());
        assert_eq!(read(&mut uut, 3), 200);
    }

    #[test]
    fn too_much_is_told() {
        let mut uut = CounterRam::<2>::default();
        uut.connect_all();
        for _ in 0..8 {
            uut.count[0].next = true;
            uut.count[1].next = true;
            cycle(&mut uut);
        }
        assert!(uut.lost.val());
    }

    #[test]
    fn equals_its_verilog() {
        let make = CounterRam::<4>::default;
        let report = toe_sim::lockstep!("counter_ram", make(), 12_000, |uut, _cycle, rng| {
            for port in 0..4 {
                uut.count[port].next = rng.random_ratio(1, 6);
                uut.cause[port].next = rng.random_range(0..8u64).into();
            }
            uut.read_address.next = rng.random_range(0..8u64).into();
        });
        report.assert_active();
    }
}
