//! Rows of eight 32-bit words in block RAM, each word seen as a whole and as two halves.
//!
//! One write port, one read port, one clock; the word read follows its address at the next rising edge. Reading a word at the very edge
//! that writes it is **undefined on hardware** (`no_rw_check`); in simulation it returns the old word.
//!
//! Latency: 1 cycle. Throughput: one read and one write each cycle. Nothing to abort.
use rust_hdl::prelude::*;

use crate::memory;

/// `rows` rows of eight words, all zero at start. Row bits above what `rows` needs are ignored.
#[derive(LogicBlock, Debug)]
pub struct WordMemory {
    pub clock: Signal<In, Clock>,
    pub write_enable: Signal<In, Bit>,
    pub write_row: Signal<In, Bits<10>>,
    pub write_word: Signal<In, Bits<3>>,
    pub write_high: Signal<In, Bits<16>>,
    pub write_low: Signal<In, Bits<16>>,
    pub read_row: Signal<In, Bits<10>>,
    pub read_word: Signal<In, Bits<3>>,
    /// The word, and its halves.
    pub read_whole: Signal<Out, Bits<32>>,
    pub read_high: Signal<Out, Bits<16>>,
    pub read_low: Signal<Out, Bits<16>>,
    _words: Vec<u32>,
    _rows: usize,
}

impl WordMemory {
    /// A memory of `rows` rows.
    ///
    /// # Panics
    /// If `rows` is not a power of two from 2 to 1024.
    pub fn new(rows: usize) -> Self {
        assert!(
            rows.is_power_of_two() && (2..=1024).contains(&rows),
            "WordMemory: rows is {rows}, but must be a power of two from 2 to 1024"
        );
        Self {
            clock: Default::default(),
            write_enable: Default::default(),
            write_row: Default::default(),
            write_word: Default::default(),
            write_high: Default::default(),
            write_low: Default::default(),
            read_row: Default::default(),
            read_word: Default::default(),
            read_whole: Default::default(),
            read_high: Default::default(),
            read_low: Default::default(),
            _words: vec![0; rows * 8],
            _rows: rows,
        }
    }

    fn address(&self, row: Bits<10>, word: Bits<3>) -> usize {
        let row: u64 = row.to_u64();
        let word: u64 = word.to_u64();
        (row as usize & (self._rows - 1)) * 8 + word as usize
    }
}

impl Logic for WordMemory {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let read = self._words[self.address(self.read_row.val(), self.read_word.val())] as u64;
            self.read_whole.next = read.into();
            self.read_high.next = (read / 65536).into();
            self.read_low.next = (read % 65536).into();
            if self.write_enable.val() {
                let high: u64 = self.write_high.val().to_u64();
                let low: u64 = self.write_low.val().to_u64();
                let write = self.address(self.write_row.val(), self.write_word.val());
                self._words[write] = (high * 65536 + low) as u32;
            }
        }
    }

    fn connect(&mut self) {
        self.read_whole.connect();
        self.read_high.connect();
        self.read_low.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "\
{words}always @(posedge clock) begin
    read_whole <= memory[{{read_row[{high}:0], read_word}}];
    if (write_enable) memory[{{write_row[{high}:0], write_word}}] <= {{write_high, write_low}};
end
always @(*) begin
    read_high = read_whole[31:16];
    read_low = read_whole[15:0];
end
",
            words = memory::words(32, self._words.len(), &[]),
            high = self._rows.ilog2() - 1,
        ))
    }

    fn timing(&self) -> Vec<TimingInfo> {
        vec![
            TimingInfo {
                name: "read".into(),
                clock: "clock".into(),
                inputs: vec!["read_row".into(), "read_word".into()],
                outputs: vec!["read_whole".into(), "read_high".into(), "read_low".into()],
            },
            TimingInfo {
                name: "write".into(),
                clock: "clock".into(),
                inputs: vec![
                    "write_row".into(),
                    "write_word".into(),
                    "write_high".into(),
                    "write_low".into(),
                    "write_enable".into(),
                ],
                outputs: vec![],
            },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{rngs::StdRng, Rng, SeedableRng};

    fn edge(block: &mut WordMemory) {
        for level in [true, false] {
            block.update_all();
            block.clock.next = Clock::from(level);
            block.update_all();
            block.update_all();
        }
    }

    #[test]
    fn words_and_halves_agree() {
        let mut block = WordMemory::new(4);
        block.connect_all();
        let mut rng = StdRng::seed_from_u64(1);
        let mut model = [0u32; 32];
        for _ in 0..1000 {
            let (row, word, data): (u64, u64, u32) = (
                rng.random_range(0..1024),
                rng.random_range(0..8),
                rng.random(),
            );
            block.write_enable.next = true;
            block.write_row.next = row.into();
            block.write_word.next = word.into();
            block.write_high.next = (data as u64 >> 16).into();
            block.write_low.next = (data as u64 & 65535).into();
            edge(&mut block);
            block.write_enable.next = false;
            model[(row % 4 * 8 + word) as usize] = data;
            let (row, word): (u64, u64) = (rng.random_range(0..1024), rng.random_range(0..8));
            block.read_row.next = row.into();
            block.read_word.next = word.into();
            edge(&mut block);
            let expected = model[(row % 4 * 8 + word) as usize];
            let whole: u64 = block.read_whole.val().to_u64();
            let high: u64 = block.read_high.val().to_u64();
            let low: u64 = block.read_low.val().to_u64();
            assert_eq!(whole as u32, expected);
            assert_eq!((high * 65536 + low) as u32, expected);
        }
    }

    #[test]
    #[should_panic(expected = "rows is 1, but must be a power of two from 2 to 1024")]
    fn refuses_one_row() {
        let _ = WordMemory::new(1);
    }

    /// A read and a write in every cycle, never of one word: the throughput of the header.
    #[test]
    fn equals_its_verilog() {
        let state = std::cell::RefCell::new(([0_u64; 64], 0_u64));
        let report = toe_sim::lockstep::lockstep_observed(
            "word_memory",
            || WordMemory::new(8),
            |uut, clk| uut.clock.next = Clock { clk },
            10_000,
            5,
            |uut, _, rng| {
                let (row, word) = (rng.random_range(0..1024_u64), rng.random_range(0..8_u64));
                uut.write_enable.next = rng.random_bool(0.7);
                uut.write_row.next = row.to_bits();
                uut.write_word.next = word.to_bits();
                uut.write_high.next = u64::from(rng.random::<u16>()).to_bits();
                uut.write_low.next = u64::from(rng.random::<u16>()).to_bits();
                let other = (row % 8 * 8 + word + rng.random_range(1..64)) % 64;
                uut.read_row.next = (other / 8 + 8 * rng.random_range(0..128)).to_bits();
                uut.read_word.next = (other % 8).to_bits();
            },
            |uut, cycle| {
                let (model, expected) = &mut *state.borrow_mut();
                let (whole, high, low): (u64, u64, u64) = (
                    uut.read_whole.val().to_u64(),
                    uut.read_high.val().to_u64(),
                    uut.read_low.val().to_u64(),
                );
                assert_eq!(whole, *expected, "cycle {cycle}");
                assert_eq!((high, low), (whole >> 16, whole & 0xFFFF));
                let at = |row: Bits<10>, word: Bits<3>| -> usize {
                    let (row, word): (u64, u64) = (row.to_u64(), word.to_u64());
                    (row % 8 * 8 + word) as usize
                };
                *expected = model[at(uut.read_row.val(), uut.read_word.val())];
                if uut.write_enable.val() {
                    let (high, low): (u64, u64) =
                        (uut.write_high.val().to_u64(), uut.write_low.val().to_u64());
                    model[at(uut.write_row.val(), uut.write_word.val())] = high << 16 | low;
                }
            },
        )
        .unwrap_or_else(|error| panic!("{error}"));
        report.assert_active();
    }
}
