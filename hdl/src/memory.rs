//! The one block RAM primitive: depth and contents are values, not types.
//!
//! One write port, one read port, one clock; a read takes one cycle (`read_data` follows `read_address` at the next
//! rising edge). Reading a word at the very edge that writes it is **undefined on hardware**: users keep the two apart, so
//! that synthesis may drop the collision logic (`no_rw_check`). In simulation such a read returns the old word.
//!
//! Latency: 1 cycle. Throughput: one read and one write each cycle.
use rust_hdl::prelude::*;

/// A simple dual-port RAM of `depth` words of type `D`, addressed by `A` (a `Bits<N>` or a packed `LogicStruct`, of which as many low
/// bits are used as the depth needs).
#[derive(LogicBlock, Debug)]
pub struct Memory<D: Synth, const A: usize> {
    pub clock: Signal<In, Clock>,
    pub read_address: Signal<In, Bits<A>>,
    pub read_data: Signal<Out, D>,
    pub write_address: Signal<In, Bits<A>>,
    pub write_data: Signal<In, D>,
    pub write_enable: Signal<In, Bit>,
    _words: Vec<D>,
}

impl<D: Synth, const A: usize> Memory<D, A> {
    /// A RAM of `depth` words, all zero.
    ///
    /// # Panics
    /// If `depth` is not a power of two of at least 2, or does not fit `A` address bits (checked again, with names, by `ToeConfig`).
    pub fn new(depth: usize) -> Self {
        Self::with_image(depth, &[])
    }

    /// A RAM of `depth` words that begins with `image`; what the image leaves over is zero.
    ///
    /// # Panics
    /// As [`Memory::new`], and if the image is longer than the RAM.
    pub fn with_image(depth: usize, image: &[D]) -> Self {
        assert!(
            depth.is_power_of_two() && depth >= 2 && depth.ilog2() as usize <= A,
            "Memory: depth {depth} must be a power of two, 2 to 2^{A}"
        );
        assert!(
            image.len() <= depth,
            "Memory: an image of {} words does not fit {depth}",
            image.len()
        );
        let mut words = vec![D::default(); depth];
        words[..image.len()].copy_from_slice(image);
        Self {
            clock: Default::default(),
            read_address: Default::default(),
            read_data: Default::default(),
            write_address: Default::default(),
            write_data: Default::default(),
            write_enable: Default::default(),
            _words: words,
        }
    }
}

impl<D: Synth, const A: usize> Logic for Memory<D, A> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let mask = self._words.len() - 1;
            let read: u64 = self.read_address.val().to_u64();
            self.read_data.next = self._words[read as usize & mask];
            if self.write_enable.val() {
                let write: u64 = self.write_address.val().to_u64();
                self._words[write as usize & mask] = self.write_data.val();
            }
        }
    }

    fn connect(&mut self) {
        self.read_data.connect();
    }

    fn hdl(&self) -> Verilog {
        let top = self._words.len() - 1;
        let high = self._words.len().ilog2() - 1;
        let zero = D::default();
        let image: String = self
            ._words
            .iter()
            .enumerate()
            .filter(|(_, word)| **word != zero)
            .map(|(i, word)| format!("    memory[{i}] = {};\n", word.verilog()))
            .collect();
        Verilog::Custom(format!(
            "\
(* no_rw_check *) reg [{width}:0] memory [{top}:0];
integer i;
initial begin
    for (i = 0; i <= {top}; i = i + 1) memory[i] = 0;
{image}end
always @(posedge clock) begin
    read_data <= memory[read_address[{high}:0]];
    if (write_enable) memory[write_address[{high}:0]] <= write_data;
end
",
            width = D::BITS - 1,
        ))
    }

    fn timing(&self) -> Vec<TimingInfo> {
        vec![
            TimingInfo {
                name: "read".into(),
                clock: "clock".into(),
                inputs: vec!["read_address".into()],
                outputs: vec!["read_data".into()],
            },
            TimingInfo {
                name: "write".into(),
                clock: "clock".into(),
                inputs: vec![
                    "write_address".into(),
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

    #[test]
    fn lockstep() {
        let image: Vec<Bits<8>> = [0x12, 0x00, 0xff, 0x80].map(bits).to_vec();
        let report = toe_sim::lockstep!(
            "memory",
            Memory::<Bits<8>, 6>::with_image(16, &image),
            10_000,
            |uut, cycle, rng| {
                // Addresses beyond the depth wrap, in both. The first cycles read the image.
                let read = rng.random_range(0..64_u64);
                uut.read_address.next = read.to_bits();
                let write = (read + rng.random_range(1..16)) % 64;
                uut.write_address.next = write.to_bits();
                uut.write_data.next = u64::from(rng.random::<u8>()).to_bits();
                uut.write_enable.next = cycle >= 100 && rng.random_bool(0.5);
            },
        );
        report.assert_active();
    }
}
