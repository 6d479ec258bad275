//! The one block RAM primitive: depth and contents are values, not types.
//!
//! One write port, one read port, one clock; a read takes one cycle (`read_data` follows `read_address` at the next
//! rising edge). Reading a word at the very edge that writes it is **undefined on hardware**: users keep the two apart, so
//! that synthesis may drop the collision logic (`no_rw_check`). In simulation such a read returns the old word.
//!
//! Latency: 1 cycle. Throughput: one read and one write each cycle.
use rust_hdl::prelude::*;

/// Words from which on the Verilog clears a memory in pieces: Yosys needs a time that grows with the square of a loop's turns.
const LARGE: usize = 2048;
/// Words of such a piece.
const PIECE: usize = 64;
/// Bits up to which a memory goes into LUTs on an ECP5 (`TOE_ECP5`): 3,584 take 56 small RAMs of 16 x 4 bits. Of block RAMs, each of which they would fill to a fifth, that device has the fewest; on the HX8K,
/// which has no such small RAM, a memory stays where Yosys puts it.
const SMALL: usize = 3584;

/// The Verilog of a memory's words, `name`, with their first values: zero where `image`, which gives indices and values, has none.
///
/// A large one reads quickly where `TOE_ZEROED` is defined: the first zeros are left out then, and whoever defines it sees to it that every memory with the attribute
/// `zeroed` begins with zeros where it has no other value. So do the flows of `toe_sim` and `toe_bsp`.
pub(crate) fn words(name: &str, width: usize, depth: usize, image: &[(usize, String)]) -> String {
    let top = depth - 1;
    let range = format!(
        "reg [{}:0] {name} [{top}:0];\ninteger {name}_i;\n",
        width - 1
    );
    let given = |from: usize, to: usize| -> String {
        (image.iter())
            .filter(|(i, _)| (from..to).contains(i))
            .map(|(i, word)| format!("    {name}[{i}] = {word};\n"))
            .collect()
    };
    if depth < LARGE {
        let image = given(0, depth);
        let small = if width * depth <= SMALL {
            "`ifdef TOE_ECP5\n(* ram_style = \"distributed\" *)\n`endif\n"
        } else {
            ""
        };
        return format!(
            "{small}(* no_rw_check *) {range}initial begin\n    for ({name}_i = 0; {name}_i <= {top}; {name}_i = {name}_i + 1) {name}[{name}_i] = 0;\n{image}end\n"
        );
    }
    let mut text = format!("(* no_rw_check, zeroed *) {range}");
    // Pieces with words of their own are written out, the others between them are a loop of blocks. So is the first: Yosys makes a memory with no first value at all one
    // whose first values are a single x, and not an x a bit that a flow could clear.
    let mut plain = 0;
    for from in (0..=depth).step_by(PIECE) {
        let own = given(from, from + PIECE);
        if own.is_empty() && (1..depth).contains(&from) {
            continue;
        }
        if plain < from {
            text += &format!(
                "\
`ifndef TOE_ZEROED
genvar {name}_{plain};
generate for ({name}_{plain} = {plain}; {name}_{plain} < {from}; {name}_{plain} = {name}_{plain} + {PIECE}) begin : {name}_zeros_{plain}
    integer i;
    initial for (i = {name}_{plain}; i < {name}_{plain} + {PIECE}; i = i + 1) {name}[i] = 0;
end endgenerate
`endif
"
            );
        }
        if from < depth {
            let to = from + PIECE;
            text += &format!(
                "initial begin\n    for ({name}_i = {from}; {name}_i < {to}; {name}_i = {name}_i + 1) {name}[{name}_i] = 0;\n{own}end\n"
            );
        }
        plain = from + PIECE;
    }
    text
}

/// What [`words`] wants of an image.
pub(crate) fn image<D: Synth>(words: &[D]) -> Vec<(usize, String)> {
    let zero = D::default();
    (words.iter().enumerate())
        .filter(|(_, word)| **word != zero)
        .map(|(i, word)| (i, word.verilog().to_string()))
        .collect()
}

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
        Verilog::Custom(format!(
            "\
{words}always @(posedge clock) begin
    read_data <= memory[read_address[{high}:0]];
    if (write_enable) memory[write_address[{high}:0]] <= write_data;
end
",
            words = words("memory", D::BITS, self._words.len(), &image(&self._words)),
            high = self._words.len().ilog2() - 1,
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

    /// Every word of a large memory is read before any is written: zeros, and the image, which fills a piece, crosses from one into the next, and ends in the last.
    #[test]
    fn a_large_memory_begins_as_it_is_told() {
        let mut image = vec![Bits::<8>::default(); LARGE];
        for (i, word) in (1_u64..).zip([0, 63, 64, 128, 129, 200, LARGE - 1]) {
            image[word] = i.to_bits();
        }
        let make = || Memory::<Bits<8>, 12>::with_image(LARGE, &image);
        let state = std::cell::RefCell::new((0, vec![]));
        let report = toe_sim::lockstep::lockstep_observed(
            "memory_large",
            make,
            |uut, clk| uut.clock.next = Clock { clk },
            10_000,
            1,
            |uut, cycle, rng| {
                let read = match cycle < LARGE as u64 {
                    true => cycle,
                    false => rng.random_range(0..4096),
                };
                uut.read_address.next = read.to_bits();
                let write = (read + rng.random_range(1..2048)) % 4096;
                uut.write_address.next = write.to_bits();
                uut.write_data.next = u64::from(rng.random::<u8>()).to_bits();
                uut.write_enable.next = cycle >= LARGE as u64 && rng.random_bool(0.5);
            },
            |uut, cycle| {
                let (at, seen) = &mut *state.borrow_mut();
                if (1..=LARGE as u64).contains(&cycle) {
                    seen.push((*at, uut.read_data.val()));
                }
                *at = uut.read_address.val().to_u64() as usize;
            },
        )
        .unwrap_or_else(|error| panic!("{error}"));
        report.assert_active();
        let (_, seen) = state.into_inner();
        assert_eq!(seen.len(), LARGE);
        for (at, word) in seen {
            assert_eq!(word, image[at], "word {at}");
        }
    }

    /// What is not read with `TOE_ZEROED` has each word's first value once, in its own block or in a loop of blocks.
    #[test]
    fn the_verilog_of_a_large_memory_clears_each_word_once() {
        let image = [(0, "8'h1".to_string()), (4000, "8'h2".to_string())];
        let text = words("memory", 8, 4096, &image);
        let mut cleared = vec![0; 4096];
        let number = |text: &str| -> usize {
            let digits = text.split(|c: char| !c.is_ascii_digit()).next();
            digits.unwrap().parse().unwrap()
        };
        for line in text.lines().map(str::trim) {
            let mut loop_of = None;
            if line.starts_with("generate") || line.starts_with("for (memory_i = ") {
                let (_, from) = line.split_once(" = ").unwrap();
                let (_, to) = line.split_once(" < ").unwrap();
                loop_of = Some(number(from)..number(to));
            }
            for i in loop_of.into_iter().flatten() {
                cleared[i] += 1;
            }
        }
        assert_eq!(cleared, [1; 4096], "{text}");
        assert_eq!(text.matches("memory[0] = 8'h1;").count(), 1);
        assert_eq!(text.matches("memory[4000] = 8'h2;").count(), 1);
    }
}
