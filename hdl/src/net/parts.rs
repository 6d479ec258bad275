//! Small pieces that headers are made of and taken apart with: constant bytes by index, bytes in and out of words, ones' complement sums.
//!
//! All are combinational: without a clock there is no latency or throughput to state, and nothing to abort. They exist because in a kernel each would cost slices and shifts, which simulate slowly, or a wide multiplexer.
use rust_hdl::prelude::*;

/// Constant bytes by index, and which of them matter: a header's fixed part. Becomes a few LUTs.
#[derive(LogicBlock, Debug)]
pub struct ByteTable<const A: usize> {
    pub index: Signal<In, Bits<A>>,
    /// The byte; 0 where the table says `None`.
    pub value: Signal<Out, Bits<8>>,
    /// The table says something here.
    pub known: Signal<Out, Bit>,
    _bytes: Vec<Option<u8>>,
}

impl<const A: usize> ByteTable<A> {
    /// Beyond its end the table says nothing.
    ///
    /// # Panics
    /// If the bytes do not fit the index.
    pub fn new(bytes: &[Option<u8>]) -> Self {
        assert!(
            bytes.len() <= 1 << A,
            "ByteTable: {} bytes do not fit an index of {A} bits",
            bytes.len()
        );
        Self {
            index: Default::default(),
            value: Default::default(),
            known: Default::default(),
            _bytes: bytes.to_vec(),
        }
    }
}

impl<const A: usize> Logic for ByteTable<A> {
    fn update(&mut self) {
        let byte = self._bytes.get(self.index.val().index()).copied().flatten();
        self.value.next = byte.unwrap_or(0).to_bits();
        self.known.next = byte.is_some();
    }

    fn connect(&mut self) {
        self.value.connect();
        self.known.connect();
    }

    fn hdl(&self) -> Verilog {
        let mut text =
            String::from("always @(*) begin\n    value = 0; known = 0;\n    case (index)\n");
        for (i, byte) in self._bytes.iter().enumerate() {
            if let Some(byte) = byte {
                text += &format!("        {i}: begin value = {byte}; known = 1; end\n");
            }
        }
        Verilog::Custom(text + "        default: ;\n    endcase\nend\n")
    }
}

/// A byte of a six-byte address or of a word of four, first on the wire first: index 0 to 5 the bytes of `hi`, `lo`.
#[derive(LogicBlock, Debug, Default)]
pub struct PickByte {
    pub hi: Signal<In, Bits<16>>,
    pub lo: Signal<In, Bits<32>>,
    pub index: Signal<In, Bits<3>>,
    /// 6 and 7 give the last two bytes of `lo` again.
    pub picked: Signal<Out, Bits<8>>,
}

impl Logic for PickByte {
    fn update(&mut self) {
        let lo = self.lo.val().to_u32().to_be_bytes();
        let hi = self.hi.val().to_u16().to_be_bytes();
        self.picked.next = match self.index.val().index() {
            i @ (0 | 1) => hi[i],
            i @ 2..=5 => lo[i - 2],
            i => lo[i - 4],
        }
        .to_bits();
    }

    fn connect(&mut self) {
        self.picked.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "\
always @(*) case (index)
    0: picked = hi[15:8];
    1: picked = hi[7:0];
    2: picked = lo[31:24];
    3: picked = lo[23:16];
    4, 6: picked = lo[15:8];
    default: picked = lo[7:0];
endcase
"
            .into(),
        )
    }
}

/// A byte appended to a word: `appended = {word[23:0], tail}`, so that after four bytes the first is on top.
#[derive(LogicBlock, Debug, Default)]
pub struct Append {
    pub word: Signal<In, Bits<32>>,
    pub tail: Signal<In, Bits<8>>,
    pub appended: Signal<Out, Bits<32>>,
}

impl Logic for Append {
    fn update(&mut self) {
        let word = self.word.val().to_u32() << 8 | self.tail.val().to_u32();
        self.appended.next = word.to_bits();
    }

    fn connect(&mut self) {
        self.appended.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) appended = {word[23:0], tail};\n".into())
    }
}

/// One step of a ones' complement sum (RFC 1071), a byte at a time.
///
/// The running sum is two bytes and a carry: `sum` of this byte and the byte two back goes to the back of the queue, and the carry goes to the very next byte added.
/// Bytes alternate between the upper and the lower half and the carry out of one half belongs to the other (section 2 (A): end-around), so it is always the next.
#[derive(LogicBlock, Debug, Default)]
pub struct OnesSum {
    /// The half this byte belongs to: the older of the two.
    pub half: Signal<In, Bits<8>>,
    pub addend: Signal<In, Bits<8>>,
    pub carry: Signal<In, Bit>,
    pub sum: Signal<Out, Bits<8>>,
    pub carry_out: Signal<Out, Bit>,
}

impl Logic for OnesSum {
    fn update(&mut self) {
        let sum =
            self.half.val().to_u32() + self.addend.val().to_u32() + u32::from(self.carry.val());
        self.sum.next = (sum & 0xFF).to_bits();
        self.carry_out.next = sum > 0xFF;
    }

    fn connect(&mut self) {
        self.sum.connect();
        self.carry_out.connect();
    }

    fn hdl(&self) -> Verilog {
        // One carry chain: the carry comes in through a bit below.
        Verilog::Custom(
            "\
reg [9:0] total;
always @(*) begin
    total = {1'b0, half, 1'b1} + {1'b0, addend, carry};
    sum = total[8:1];
    carry_out = total[9];
end
"
            .into(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testgen::{checksum, settle};
    use rand::{Rng, SeedableRng};

    #[test]
    fn a_sum_by_bytes_is_the_sum_by_words() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1071);
        let mut uut = OnesSum::default();
        uut.connect_all();
        for case in 0..2_000 {
            // Mostly 0x00 and 0xFF: every carry that can ripple does.
            let data: Vec<u8> = (0..2 * rng.random_range(1..20))
                .map(|_| match rng.random_range(0..4) {
                    0 => 0,
                    1 | 2 => 0xFF,
                    _ => rng.random(),
                })
                .collect();
            let (mut older, mut newer, mut carry) = (0, 0, false);
            // Four zero bytes let the last carry come to rest.
            for byte in data.iter().copied().chain([0; 4]) {
                uut.half.next = u8::to_bits(older);
                uut.addend.next = byte.to_bits();
                uut.carry.next = carry;
                settle(&mut uut);
                older = newer;
                newer = uut.sum.val().to_u8();
                carry = uut.carry_out.val();
            }
            let sum = u16::from_be_bytes([older, newer]);
            assert!(!carry);
            assert_eq!(!sum, checksum(&data), "case {case}: {data:02x?}");
        }
    }

    #[test]
    #[should_panic(expected = "ByteTable: 5 bytes do not fit an index of 2 bits")]
    fn a_table_too_long_is_refused() {
        ByteTable::<2>::new(&[None; 5]);
    }

    #[derive(LogicBlock)]
    struct All {
        clock: Signal<In, Clock>,
        word: Signal<In, Bits<32>>,
        hi: Signal<In, Bits<16>>,
        data: Signal<In, Bits<8>>,
        half: Signal<In, Bits<8>>,
        index: Signal<In, Bits<3>>,
        carry: Signal<In, Bit>,
        table_byte: Signal<Out, Bits<8>>,
        table_known: Signal<Out, Bit>,
        picked: Signal<Out, Bits<8>>,
        appended: Signal<Out, Bits<32>>,
        sum: Signal<Out, Bits<8>>,
        carry_out: Signal<Out, Bit>,
        constants: ByteTable<3>,
        pick: PickByte,
        append: Append,
        ones: OnesSum,
        r: DFF<Bit>,
    }
    impl Logic for All {
        #[hdl_gen]
        fn update(&mut self) {
            self.r.clock.next = self.clock.val();
            self.r.d.next = self.carry.val();
            self.constants.index.next = self.index.val();
            self.table_byte.next = self.constants.value.val();
            self.table_known.next = self.constants.known.val();
            self.pick.hi.next = self.hi.val();
            self.pick.lo.next = self.word.val();
            self.pick.index.next = self.index.val();
            self.picked.next = self.pick.picked.val();
            self.append.word.next = self.word.val();
            self.append.tail.next = self.data.val();
            self.appended.next = self.append.appended.val();
            self.ones.half.next = self.half.val();
            self.ones.addend.next = self.data.val();
            self.ones.carry.next = self.carry.val();
            self.sum.next = self.ones.sum.val();
            self.carry_out.next = self.ones.carry_out.val();
        }
    }

    #[test]
    fn lockstep() {
        let make = || All {
            clock: Default::default(),
            word: Default::default(),
            hi: Default::default(),
            data: Default::default(),
            half: Default::default(),
            index: Default::default(),
            carry: Default::default(),
            table_byte: Default::default(),
            table_known: Default::default(),
            picked: Default::default(),
            appended: Default::default(),
            sum: Default::default(),
            carry_out: Default::default(),
            constants: ByteTable::new(&[Some(0x45), None, Some(0xFF), Some(0), None, Some(1)]),
            pick: Default::default(),
            append: Default::default(),
            ones: Default::default(),
            r: Default::default(),
        };
        toe_sim::lockstep!("parts", make(), 10_000, |uut, _, rng| {
            uut.word.next = rng.random::<u32>().to_bits();
            uut.hi.next = rng.random::<u16>().to_bits();
            uut.data.next = rng.random::<u8>().to_bits();
            uut.half.next = rng.random::<u8>().to_bits();
            uut.index.next = rng.random_range(0..8_u8).to_bits();
            uut.carry.next = rng.random();
        })
        .assert_active();
    }
}
