//! The bytes of a ring for every connection, in one block RAM.
//!
//! A byte's address is its connection and the low bits of its offset (of a sequence number, say): the two are concatenated by
//! wiring, so no pointer moves and no adder stands before the RAM. Bits of `conn` and `offset` above what the sizes need are ignored.
//!
//! One write port, one read port, one clock; `read_data` follows the read address at the next rising edge. Reading a byte at
//! the very edge that writes it is **undefined on hardware** (`no_rw_check`): users keep the two apart. In simulation such a read returns
//! the old byte.
//!
//! Latency: 1 cycle. Throughput: one read and one write each cycle. Nothing to abort.
use rust_hdl::prelude::*;

/// `connections` rings of `bytes_per_connection` bytes each, all zero at start.
#[derive(LogicBlock, Debug)]
pub struct RingMemory {
    pub clock: Signal<In, Clock>,
    /// A byte is written at each rising edge at which this is high.
    pub write_enable: Signal<In, Bit>,
    pub write_conn: Signal<In, Bits<10>>,
    pub write_offset: Signal<In, Bits<16>>,
    pub write_data: Signal<In, Bits<8>>,
    pub read_conn: Signal<In, Bits<10>>,
    pub read_offset: Signal<In, Bits<16>>,
    /// The byte at (`read_conn`, `read_offset`) as they were one cycle ago.
    pub read_data: Signal<Out, Bits<8>>,
    _bytes: Vec<u8>,
    _connections: usize,
    _ring: usize,
}

impl RingMemory {
    /// Rings for `connections` connections.
    ///
    /// # Panics
    /// If `connections` is not a power of two from 1 to 1024, or `bytes_per_connection` not one from 2 to 65,536.
    pub fn new(connections: usize, bytes_per_connection: usize) -> Self {
        assert!(
            connections.is_power_of_two() && connections <= 1024,
            "RingMemory: connections is {connections}, but must be a power of two from 1 to 1024"
        );
        assert!(
            bytes_per_connection.is_power_of_two() && (2..=65536).contains(&bytes_per_connection),
            "RingMemory: bytes_per_connection is {bytes_per_connection}, but must be a power of two from 2 to 65536"
        );
        Self {
            clock: Default::default(),
            write_enable: Default::default(),
            write_conn: Default::default(),
            write_offset: Default::default(),
            write_data: Default::default(),
            read_conn: Default::default(),
            read_offset: Default::default(),
            read_data: Default::default(),
            _bytes: vec![0; connections * bytes_per_connection],
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

impl Logic for RingMemory {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let read = self.address(self.read_conn.val(), self.read_offset.val());
            self.read_data.next = (self._bytes[read] as u64).into();
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
        let top = self._bytes.len() - 1;
        let offset = self._ring.ilog2() - 1;
        let address = |port: &str| {
            if self._connections == 1 {
                format!("{port}_offset[{offset}:0]")
            } else {
                let conn = self._connections.ilog2() - 1;
                format!("{{{port}_conn[{conn}:0], {port}_offset[{offset}:0]}}")
            }
        };
        Verilog::Custom(format!(
            "\
(* no_rw_check *) reg [7:0] ring_bytes [{top}:0];
always @(posedge clock) begin
    read_data <= ring_bytes[{read}];
    if (write_enable) ring_bytes[{write}] <= write_data;
end
",
            read = address("read"),
            write = address("write"),
        ))
    }

    fn timing(&self) -> Vec<TimingInfo> {
        vec![
            TimingInfo {
                name: "read".into(),
                clock: "clock".into(),
                inputs: vec!["read_conn".into(), "read_offset".into()],
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
    use rand::{rngs::StdRng, Rng, SeedableRng};

    fn make(connections: usize, ring: usize) -> RingMemory {
        let mut block = RingMemory::new(connections, ring);
        block.connect_all();
        block
    }

    fn settle(block: &mut RingMemory) {
        for _ in 0..20 {
            block.update_all();
            if !block.has_changed() {
                return;
            }
        }
        panic!("does not settle");
    }

    fn cycle(block: &mut RingMemory) {
        settle(block);
        block.clock.next = !block.clock.val();
        settle(block);
        block.clock.next = !block.clock.val();
        settle(block);
    }

    /// Every byte of every connection has its own place, offsets wrap, high bits of both are ignored; a byte written at one edge
    /// is read at the next: the latency of one cycle.
    #[test]
    fn holds_every_byte_apart_and_wraps() {
        for (connections, ring) in [(1usize, 2usize), (1, 256), (4, 64), (8, 16)] {
            let mut block = make(connections, ring);
            let mut rng = StdRng::seed_from_u64(7);
            let mut model = vec![0u8; connections * ring];
            for _ in 0..2000 {
                let conn: usize = rng.random_range(0..1024);
                let offset: usize = rng.random_range(0..65536);
                let data: u8 = rng.random();
                let at = (conn % connections) * ring + offset % ring;
                block.write_enable.next = true;
                block.write_conn.next = (conn as u64).into();
                block.write_offset.next = (offset as u64).into();
                block.write_data.next = (data as u64).into();
                cycle(&mut block);
                model[at] = data;
                block.write_enable.next = false;
                block.write_data.next = (!data as u64 & 255).into();
                let conn: usize = rng.random_range(0..1024);
                let offset: usize = rng.random_range(0..65536);
                block.read_conn.next = (conn as u64).into();
                block.read_offset.next = (offset as u64).into();
                cycle(&mut block);
                let read: u64 = block.read_data.val().to_u64();
                assert_eq!(
                    read as u8,
                    model[(conn % connections) * ring + offset % ring]
                );
            }
        }
    }

    #[test]
    #[should_panic(expected = "connections is 3, but must be a power of two from 1 to 1024")]
    fn refuses_a_connection_count_that_is_no_power_of_two() {
        let _ = RingMemory::new(3, 16);
    }

    #[test]
    #[should_panic(expected = "bytes_per_connection is 100, but must be")]
    fn refuses_a_ring_that_is_no_power_of_two() {
        let _ = RingMemory::new(4, 100);
    }

    /// The Verilog's address is the concatenation that the simulation computes.
    #[test]
    fn its_verilog_concatenates() {
        let text = generate_verilog(&make(4, 64));
        assert!(
            text.contains("ring_bytes[{write_conn[1:0], write_offset[5:0]}] <= write_data"),
            "{text}"
        );
        assert!(
            text.contains("read_data <= ring_bytes[{read_conn[1:0], read_offset[5:0]}]"),
            "{text}"
        );
        let text = generate_verilog(&make(1, 256));
        assert!(text.contains("ring_bytes[read_offset[7:0]]"), "{text}");
    }

    /// A read and a write in every cycle, never of one byte: the throughput of the header. A byte is read only after it was written once, for
    /// before that it means nothing.
    #[test]
    fn equals_its_verilog() {
        for (connections, ring) in [(1_usize, 256_usize), (4, 64)] {
            let state = std::cell::RefCell::new((vec![0; connections * ring], None));
            let place = |conn: u64, offset: u64| {
                conn as usize % connections * ring + offset as usize % ring
            };
            let first = (connections * ring) as u64;
            let report = toe_sim::lockstep::lockstep_observed(
                &format!("ring_memory_{connections}"),
                || RingMemory::new(connections, ring),
                |uut, clk| uut.clock.next = Clock { clk },
                10_000,
                connections as u64,
                |uut, cycle, rng| {
                    let (mut conn, mut offset) =
                        (rng.random_range(0..1024), rng.random_range(0..65536));
                    if cycle < first {
                        (conn, offset) = (cycle / ring as u64, cycle % ring as u64);
                    }
                    uut.write_enable.next = cycle < first || rng.random_bool(0.7);
                    uut.write_conn.next = conn.to_bits();
                    uut.write_offset.next = offset.to_bits();
                    uut.write_data.next = u64::from(rng.random::<u8>()).to_bits();
                    let before = cycle.clamp(1, first) - 1;
                    let (mut read_conn, mut read_offset) =
                        (before / ring as u64, before % ring as u64);
                    if cycle > first {
                        (read_conn, read_offset) = (conn, offset);
                    }
                    while cycle > first && place(conn, offset) == place(read_conn, read_offset) {
                        (read_conn, read_offset) =
                            (rng.random_range(0..1024), rng.random_range(0..65536));
                    }
                    uut.read_conn.next = read_conn.to_bits();
                    uut.read_offset.next = read_offset.to_bits();
                },
                |uut, cycle| {
                    let (model, expected) = &mut *state.borrow_mut();
                    let read_data: u64 = uut.read_data.val().to_u64();
                    if let Some(byte) = *expected {
                        assert_eq!(read_data, byte, "cycle {cycle}");
                    }
                    let at =
                        |conn: Bits<10>, offset: Bits<16>| place(conn.to_u64(), offset.to_u64());
                    *expected =
                        (cycle > 0).then(|| model[at(uut.read_conn.val(), uut.read_offset.val())]);
                    if uut.write_enable.val() {
                        model[at(uut.write_conn.val(), uut.write_offset.val())] =
                            uut.write_data.val().to_u64();
                    }
                },
            )
            .unwrap_or_else(|error| panic!("{error}"));
            report.assert_active();
        }
    }
}
