//! The words and the bytes of the rings behind one more register: what is read shows early in a cycle, and a whole cycle is left to compute with it.
//!
//! A block RAM shows its word late (5.8 ns after the edge on the ECP5, whose cycle has 8), a register at once. Nothing stands between the RAM's own latch and this
//! register, so that a device whose RAM has such a register inside may use that one (the flow for the ECP5 does: `toe-bsp`'s `flow`).
//!
//! One write port, one read port, one clock. Reading a word at the very edge that writes it is **undefined on hardware** (`no_rw_check`): users keep the two
//! apart. In simulation such a read returns the old one.
//!
//! Latency: 2 cycles. Throughput: one read and one write each cycle. Nothing to abort.
use rust_hdl::prelude::*;

/// `rows` rows of eight 32-bit words, zero at start but for the first two of a row. Row bits above what `rows` needs are ignored.
#[derive(LogicBlock, Debug)]
pub struct PipedWords {
    pub clock: Signal<In, Clock>,
    pub write_enable: Signal<In, Bit>,
    pub write_row: Signal<In, Bits<10>>,
    pub write_word: Signal<In, Bits<3>>,
    pub write_high: Signal<In, Bits<16>>,
    pub write_low: Signal<In, Bits<16>>,
    pub read_row: Signal<In, Bits<10>>,
    pub read_word: Signal<In, Bits<3>>,
    /// The halves of the word at (`read_row`, `read_word`) as they were two cycles ago.
    pub read_high: Signal<Out, Bits<16>>,
    pub read_low: Signal<Out, Bits<16>>,
    _words: Vec<u32>,
    _latched: u32,
    _rows: usize,
}

impl PipedWords {
    /// A memory of `rows` rows that begin with the words `first`.
    ///
    /// # Panics
    /// If `rows` is not a power of two from 2 to 1024.
    pub fn new(rows: usize, first: [u32; 2]) -> Self {
        assert!(
            rows.is_power_of_two() && (2..=1024).contains(&rows),
            "PipedWords: rows is {rows}, but must be a power of two from 2 to 1024"
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
            read_high: Default::default(),
            read_low: Default::default(),
            _words: [first[0], first[1], 0, 0, 0, 0, 0, 0].repeat(rows),
            _latched: 0,
            _rows: rows,
        }
    }

    fn address(&self, row: Bits<10>, word: Bits<3>) -> usize {
        let row: u64 = row.to_u64();
        let word: u64 = word.to_u64();
        (row as usize & (self._rows - 1)) * 8 + word as usize
    }
}

impl Logic for PipedWords {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            self.read_high.next = u64::from(self._latched >> 16).into();
            self.read_low.next = u64::from(self._latched & 0xFFFF).into();
            self._latched = self._words[self.address(self.read_row.val(), self.read_word.val())];
            if self.write_enable.val() {
                let high: u64 = self.write_high.val().to_u64();
                let low: u64 = self.write_low.val().to_u64();
                let write = self.address(self.write_row.val(), self.write_word.val());
                self._words[write] = (high * 65536 + low) as u32;
            }
        }
    }

    fn connect(&mut self) {
        self.read_high.connect();
        self.read_low.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "\
(* no_rw_check *) reg [31:0] memory [{top}:0];
reg [31:0] latched;
integer i;
initial begin
    for (i = 0; i <= {top}; i = i + 1) memory[i] = i % 8 == 0 ? {zeroth} : i % 8 == 1 ? {first} : 0;
end
always @(posedge clock) begin
    latched <= memory[{{read_row[{high}:0], read_word}}];
    {{read_high, read_low}} <= latched;
    if (write_enable) memory[{{write_row[{high}:0], write_word}}] <= {{write_high, write_low}};
end
",
            top = self._words.len() - 1,
            zeroth = self._words[0],
            first = self._words[1],
            high = self._rows.ilog2() - 1,
        ))
    }

    fn timing(&self) -> Vec<TimingInfo> {
        vec![
            TimingInfo {
                name: "read".into(),
                clock: "clock".into(),
                inputs: vec!["read_row".into(), "read_word".into()],
                outputs: vec!["read_high".into(), "read_low".into()],
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

/// The most bytes in one bank: as deep as a block RAM of the ECP5 gets. What chooses between banks stands behind their registers.
const BANK: usize = 16_384;

/// `connections` rings of `bytes_per_connection` bytes each. A byte's address is its connection and the low bits of its offset, concatenated by wiring; bits of
/// both above what the sizes need are ignored. What was never written means nothing.
#[derive(LogicBlock, Debug)]
pub struct PipedRing {
    pub clock: Signal<In, Clock>,
    /// A byte is written at each rising edge at which this is high.
    pub write_enable: Signal<In, Bit>,
    pub write_conn: Signal<In, Bits<10>>,
    pub write_offset: Signal<In, Bits<16>>,
    pub write_data: Signal<In, Bits<8>>,
    /// While this is low the reading stands still: both what is on its way and what has come.
    pub read_enable: Signal<In, Bit>,
    pub read_conn: Signal<In, Bits<10>>,
    pub read_offset: Signal<In, Bits<16>>,
    /// The byte at (`read_conn`, `read_offset`) as they were two enabled cycles ago.
    pub read_data: Signal<Out, Bits<8>>,
    _bytes: Vec<u8>,
    _latched: u8,
    _connections: usize,
    _ring: usize,
}

impl PipedRing {
    /// Rings for `connections` connections.
    ///
    /// # Panics
    /// If `connections` is not a power of two from 1 to 1024, or `bytes_per_connection` not one from 2 to 65,536.
    pub fn new(connections: usize, bytes_per_connection: usize) -> Self {
        assert!(
            connections.is_power_of_two() && connections <= 1024,
            "PipedRing: connections is {connections}, but must be a power of two from 1 to 1024"
        );
        assert!(
            bytes_per_connection.is_power_of_two() && (2..=65536).contains(&bytes_per_connection),
            "PipedRing: bytes_per_connection is {bytes_per_connection}, but must be a power of two from 2 to 65536"
        );
        Self {
            clock: Default::default(),
            write_enable: Default::default(),
            write_conn: Default::default(),
            write_offset: Default::default(),
            write_data: Default::default(),
            read_enable: Default::default(),
            read_conn: Default::default(),
            read_offset: Default::default(),
            read_data: Default::default(),
            _bytes: vec![0; connections * bytes_per_connection],
            _latched: 0,
            _connections: connections,
            _ring: bytes_per_connection,
        }
    }

    fn address(&self, conn: Bits<10>, offset: Bits<16>) -> usize {
        let conn: u64 = conn.to_u64();
        let offset: u64 = offset.to_u64();
        (conn as usize & (self._connections - 1)) * self._ring
            + (offset as usize & (self._ring - 1))
    }
}

impl Logic for PipedRing {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            if self.read_enable.val() {
                self.read_data.next = u64::from(self._latched).into();
                let read = self.address(self.read_conn.val(), self.read_offset.val());
                self._latched = self._bytes[read];
            }
            if self.write_enable.val() {
                let write = self.address(self.write_conn.val(), self.write_offset.val());
                let data: u64 = self.write_data.val().to_u64();
                self._bytes[write] = data as u8;
            }
        }
    }

    fn connect(&mut self) {
        self.read_data.connect();
    }

    fn hdl(&self) -> Verilog {
        let bytes = self._bytes.len();
        let bits = bytes.ilog2();
        let address = |port: &str| {
            let offset = self._ring.ilog2() - 1;
            if self._connections == 1 {
                format!("{port}_offset[{offset}:0]")
            } else {
                let conn = self._connections.ilog2() - 1;
                format!("{{{port}_conn[{conn}:0], {port}_offset[{offset}:0]}}")
            }
        };
        let mut text = format!(
            "wire [{0}:0] read_address = {1};\nwire [{0}:0] write_address = {2};\n",
            bits - 1,
            address("read"),
            address("write"),
        );
        if bytes <= BANK {
            text += &format!(
                "\
(* no_rw_check *) reg [7:0] ring_bytes [{top}:0];
reg [7:0] latched;
always @(posedge clock) begin
    if (read_enable) begin
        latched <= ring_bytes[read_address];
        read_data <= latched;
    end
    if (write_enable) ring_bytes[write_address] <= write_data;
end
",
                top = bytes - 1,
            );
            return Verilog::Custom(text);
        }
        let (bank_top, bank_high) = (BANK - 1, BANK.ilog2() - 1);
        let (high, low) = (bits - 1, BANK.ilog2());
        let width = high - low;
        text += &format!("reg [{width}:0] bank_latched, bank;\n");
        let (mut at_edge, mut choices) = (String::new(), String::new());
        for n in 0..bytes / BANK {
            text += &format!(
                "(* no_rw_check *) reg [7:0] ring_bytes_{n} [{bank_top}:0];\nreg [7:0] latched_{n}, read_{n};\n"
            );
            at_edge += &format!(
                "    if (read_enable) begin
        latched_{n} <= ring_bytes_{n}[read_address[{bank_high}:0]];
        read_{n} <= latched_{n};
    end
    if (write_enable && write_address[{high}:{low}] == {n}) ring_bytes_{n}[write_address[{bank_high}:0]] <= write_data;
"
            );
            choices += &format!("    if (bank == {n}) read_data = read_{n};\n");
        }
        text += &format!(
            "\
always @(posedge clock) begin
{at_edge}    if (read_enable) begin
        bank_latched <= read_address[{high}:{low}];
        bank <= bank_latched;
    end
end
always @(*) begin
    read_data = 8'd0;
{choices}end
"
        );
        Verilog::Custom(text)
    }

    fn timing(&self) -> Vec<TimingInfo> {
        vec![
            TimingInfo {
                name: "read".into(),
                clock: "clock".into(),
                inputs: vec![
                    "read_enable".into(),
                    "read_conn".into(),
                    "read_offset".into(),
                ],
                outputs: vec!["read_data".into()],
            },
            TimingInfo {
                name: "write".into(),
                clock: "clock".into(),
                inputs: vec![
                    "write_conn".into(),
                    "write_offset".into(),
                    "write_data".into(),
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
    use rand::Rng;
    use std::collections::VecDeque;

    /// A read and a write in every cycle, never of one word: what is read is what stood there, two cycles later.
    #[test]
    fn words_come_two_cycles_later_and_equal_their_verilog() {
        let begin = [0xFFFF_FFFE, 0x8000_0001, 0, 0, 0, 0, 0, 0_u64];
        for rows in [2_usize, 4, 16] {
            let state =
                std::cell::RefCell::new((begin.repeat(rows), VecDeque::<Option<u64>>::new()));
            let place = |row: u64, word: u64| row as usize % rows * 8 + word as usize;
            let report = toe_sim::lockstep::lockstep_observed(
                &format!("piped_words_{rows}"),
                || PipedWords::new(rows, [0xFFFF_FFFE, 0x8000_0001]),
                |uut, clk| uut.clock.next = Clock { clk },
                10_000,
                rows as u64,
                |uut, _cycle, rng| {
                    let mut random = || (rng.random_range(0..1024_u64), rng.random_range(0..8_u64));
                    let write = random();
                    let mut read = random();
                    while place(read.0, read.1) == place(write.0, write.1) {
                        read = random();
                    }
                    uut.write_enable.next = rng.random_bool(0.02);
                    uut.write_row.next = write.0.to_bits();
                    uut.write_word.next = write.1.to_bits();
                    uut.write_high.next = u64::from(rng.random::<u16>()).to_bits();
                    uut.write_low.next = u64::from(rng.random::<u16>()).to_bits();
                    uut.read_row.next = read.0.to_bits();
                    uut.read_word.next = read.1.to_bits();
                },
                |uut, cycle| {
                    let (model, coming) = &mut *state.borrow_mut();
                    if coming.len() == 2 {
                        if let Some(Some(word)) = coming.pop_front() {
                            let high: u64 = uut.read_high.val().to_u64();
                            let low: u64 = uut.read_low.val().to_u64();
                            assert_eq!(high * 65536 + low, word, "cycle {cycle}");
                        }
                    }
                    let at = |row: Bits<10>, word: Bits<3>| place(row.to_u64(), word.to_u64());
                    let read = model[at(uut.read_row.val(), uut.read_word.val())];
                    coming.push_back((cycle > 0).then_some(read));
                    if uut.write_enable.val() {
                        let high: u64 = uut.write_high.val().to_u64();
                        let low: u64 = uut.write_low.val().to_u64();
                        model[at(uut.write_row.val(), uut.write_word.val())] = high * 65536 + low;
                    }
                },
            )
            .unwrap_or_else(|error| panic!("{error}"));
            report.assert_active();
        }
    }

    /// The same of the bytes, with pauses; in the last size there are two banks. A byte is read only after it was written.
    #[test]
    fn bytes_come_two_enabled_cycles_later_and_equal_their_verilog() {
        for (connections, ring) in [(1_usize, 256_usize), (4, 64), (2, 16384)] {
            let state = std::cell::RefCell::new((
                vec![None::<u64>; connections * ring],
                VecDeque::<Option<u64>>::new(),
                Vec::<(u64, u64)>::new(),
            ));
            let place = |conn: u64, offset: u64| {
                conn as usize % connections * ring + offset as usize % ring
            };
            let report = toe_sim::lockstep::lockstep_observed(
                &format!("piped_ring_{connections}_{ring}"),
                || PipedRing::new(connections, ring),
                |uut, clk| uut.clock.next = Clock { clk },
                10_000,
                connections as u64,
                |uut, _cycle, rng| {
                    let known = &state.borrow().2;
                    let write = (
                        rng.random_range(0..1024_u64),
                        rng.random_range(0..65536_u64),
                    );
                    uut.write_enable.next = rng.random_bool(0.7);
                    uut.write_conn.next = write.0.to_bits();
                    uut.write_offset.next = write.1.to_bits();
                    uut.write_data.next = u64::from(rng.random::<u8>()).to_bits();
                    uut.read_enable.next = false;
                    if known.len() > 2 {
                        let read = known[rng.random_range(0..known.len())];
                        uut.read_conn.next = read.0.to_bits();
                        uut.read_offset.next = read.1.to_bits();
                        uut.read_enable.next = rng.random_bool(0.7)
                            && place(read.0, read.1) != place(write.0, write.1);
                    }
                },
                |uut, cycle| {
                    let (model, coming, known) = &mut *state.borrow_mut();
                    if coming.len() == 2 {
                        if let Some(Some(byte)) = coming.front() {
                            let data: u64 = uut.read_data.val().to_u64();
                            assert_eq!(data, *byte, "cycle {cycle}");
                        }
                    }
                    if uut.read_enable.val() {
                        let at =
                            place(uut.read_conn.val().to_u64(), uut.read_offset.val().to_u64());
                        coming.push_back(model[at]);
                        if coming.len() > 2 {
                            coming.pop_front();
                        }
                    }
                    if uut.write_enable.val() {
                        let (conn, offset) = (
                            uut.write_conn.val().to_u64(),
                            uut.write_offset.val().to_u64(),
                        );
                        model[place(conn, offset)] = Some(uut.write_data.val().to_u64());
                        known.push((conn, offset));
                    }
                },
            )
            .unwrap_or_else(|error| panic!("{error}"));
            report.assert_active();
        }
    }

    #[test]
    #[should_panic(expected = "rows is 3, but must be a power of two from 2 to 1024")]
    fn refuses_rows_that_are_no_power_of_two() {
        let _ = PipedWords::new(3, [0, 0]);
    }

    #[test]
    #[should_panic(expected = "bytes_per_connection is 100, but must be")]
    fn refuses_a_ring_that_is_no_power_of_two() {
        let _ = PipedRing::new(4, 100);
    }
}
