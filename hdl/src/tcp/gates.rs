//! Small primitives the engine is built on: wiring that rust-hdl kernels cannot express without shifts, one adder, one memory.
//!
//! Each has its Rust `update` and its Verilog side by side; the lockstep tests of the blocks that use them hold the two together. All but
//! [`HoldMemory`] are combinational.
use rust_hdl::prelude::*;

/// As [`crate::memory::Memory`], with a read enable: while it is low, `read_data` keeps its word, so a pipeline can stand still.
///
/// The same promise: a word read at the edge that writes it is undefined on hardware. And `read_data` means nothing before the first read: a first
/// value would cost a cell a bit.
#[derive(LogicBlock, Debug)]
pub struct HoldMemory<D: Synth, const A: usize> {
    pub clock: Signal<In, Clock>,
    pub read_enable: Signal<In, Bit>,
    pub read_address: Signal<In, Bits<A>>,
    pub read_data: Signal<Out, D>,
    pub write_address: Signal<In, Bits<A>>,
    pub write_data: Signal<In, D>,
    pub write_enable: Signal<In, Bit>,
    _words: Vec<D>,
}

impl<D: Synth, const A: usize> HoldMemory<D, A> {
    /// A RAM of `depth` words that begins with `image`; what the image leaves over is zero.
    ///
    /// # Panics
    /// If `depth` is not a power of two of at least 2, does not fit `A` address bits, or is less than the image.
    pub fn with_image(depth: usize, image: &[D]) -> Self {
        assert!(
            depth.is_power_of_two() && depth >= 2 && depth.ilog2() as usize <= A,
            "HoldMemory: depth {depth} must be a power of two, 2 to 2^{A}"
        );
        assert!(
            image.len() <= depth,
            "HoldMemory: an image of {} words does not fit {depth}",
            image.len()
        );
        let mut words = vec![D::default(); depth];
        words[..image.len()].copy_from_slice(image);
        Self {
            clock: Default::default(),
            read_enable: Default::default(),
            read_address: Default::default(),
            read_data: Default::default(),
            write_address: Default::default(),
            write_data: Default::default(),
            write_enable: Default::default(),
            _words: words,
        }
    }

    /// What the simulated RAM holds, for tests and export.
    pub fn words(&self) -> &[D] {
        &self._words
    }
}

impl<D: Synth, const A: usize> Logic for HoldMemory<D, A> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let mask = self._words.len() - 1;
            if self.read_enable.val() {
                let read: u64 = self.read_address.val().to_u64();
                self.read_data.next = self._words[read as usize & mask];
            }
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
    if (read_enable) read_data <= memory[read_address[{high}:0]];
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
                inputs: vec!["read_address".into(), "read_enable".into()],
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

/// `to = {high, low}`.
#[derive(LogicBlock, Debug, Default)]
pub struct Concat<const H: usize, const L: usize, const N: usize> {
    pub high: Signal<In, Bits<H>>,
    pub low: Signal<In, Bits<L>>,
    pub to: Signal<Out, Bits<N>>,
}

impl<const H: usize, const L: usize, const N: usize> Logic for Concat<H, L, N> {
    fn update(&mut self) {
        let (high, low) = (self.high.val().to_u64(), self.low.val().to_u64());
        self.to.next = (high << L | low).to_bits();
    }

    fn connect(&mut self) {
        self.to.connect();
    }

    fn hdl(&self) -> Verilog {
        assert!(H + L == N, "Concat: {H} + {L} bits are not {N}");
        Verilog::Custom("always @(*) to = {high, low};\n".into())
    }
}

/// A sum with carry in and carry out on one carry chain.
#[derive(LogicBlock, Debug, Default)]
pub struct Adder {
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    pub carry_in: Signal<In, Bit>,
    pub sum: Signal<Out, Bits<32>>,
    pub carry: Signal<Out, Bit>,
}

impl Logic for Adder {
    fn update(&mut self) {
        let (a, b) = (self.a.val().to_u64(), self.b.val().to_u64());
        let total = a + b + u64::from(self.carry_in.val());
        self.sum.next = (total & 0xFFFF_FFFF).to_bits();
        self.carry.next = total >> 32 != 0;
    }

    fn connect(&mut self) {
        self.sum.connect();
        self.carry.connect();
    }

    fn hdl(&self) -> Verilog {
        // The carry enters through a 34th bit: written `a + b + carry_in`, it would cost a second chain.
        Verilog::Custom(
            "\
wire [33:0] total = {1'b0, a, 1'b1} + {1'b0, b, carry_in};
always @(*) begin
    sum = total[32:1];
    carry = total[33];
end
"
            .into(),
        )
    }
}

/// The eight shifts of [`super::isa::Shift`], zero when none is asked for: a gate a source, because a multiplexer of eight costs twice as much.
///
/// Left by 1 is right by 3 of what stands 4 higher, left by 3 is right by 1 of it.
#[derive(LogicBlock, Debug, Default)]
pub struct Shifter {
    pub from: Signal<In, Bits<32>>,
    /// By 1 or 3: left, and by 3 right after `left` moved all 4 up.
    pub fine: Signal<In, Bit>,
    pub left: Signal<In, Bit>,
    pub three: Signal<In, Bit>,
    pub right8: Signal<In, Bit>,
    pub left8: Signal<In, Bit>,
    pub right16: Signal<In, Bit>,
    pub left16: Signal<In, Bit>,
    pub to: Signal<Out, Bits<32>>,
}

impl Logic for Shifter {
    fn update(&mut self) {
        let from = self.from.val().to_u64();
        let mut to = 0;
        if self.fine.val() {
            let up = if self.left.val() { from << 4 } else { from };
            to |= if self.three.val() { up >> 3 } else { up >> 1 };
        }
        if self.right8.val() {
            to |= from >> 8;
        }
        if self.left8.val() {
            to |= from << 8;
        }
        if self.right16.val() {
            to |= from >> 16;
        }
        if self.left16.val() {
            to |= from << 16;
        }
        self.to.next = (to & 0xFFFF_FFFF).to_bits();
    }

    fn connect(&mut self) {
        self.to.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "\
wire [36:0] up = left ? {1'b0, from, 4'd0} : {5'd0, from};
wire [31:0] moved = three ? up[34:3] : up[32:1];
always @(*) to = (moved & {32{fine}})
    | ((from >> 8) & {32{right8}}) | ((from << 8) & {32{left8}})
    | ((from >> 16) & {32{right16}}) | ((from << 16) & {32{left16}});
"
            .into(),
        )
    }
}

/// The operand: one of its sources, each with its gate, inverted or not.
#[derive(LogicBlock, Debug, Default)]
pub struct Gather {
    pub state: Signal<In, Bits<32>>,
    pub record: Signal<In, Bits<32>>,
    pub result: Signal<In, Bits<32>>,
    pub result2: Signal<In, Bits<32>>,
    pub ticks: Signal<In, Bits<24>>,
    pub cycles: Signal<In, Bits<8>>,
    pub high: Signal<In, Bits<6>>,
    pub low: Signal<In, Bits<6>>,
    pub is_state: Signal<In, Bit>,
    pub is_record: Signal<In, Bit>,
    pub is_result: Signal<In, Bit>,
    pub is_result2: Signal<In, Bit>,
    /// `ticks`
    pub is_tick: Signal<In, Bit>,
    /// `{ticks, cycles}`
    pub is_isn: Signal<In, Bit>,
    /// `{high, low}`
    pub is_immediate: Signal<In, Bit>,
    pub invert: Signal<In, Bit>,
    pub to: Signal<Out, Bits<32>>,
}

impl Logic for Gather {
    fn update(&mut self) {
        let mut to = 0;
        if self.is_state.val() {
            to |= self.state.val().to_u64();
        }
        if self.is_record.val() {
            to |= self.record.val().to_u64();
        }
        if self.is_result.val() {
            to |= self.result.val().to_u64();
        }
        if self.is_result2.val() {
            to |= self.result2.val().to_u64();
        }
        if self.is_tick.val() {
            to |= self.ticks.val().to_u64();
        }
        if self.is_isn.val() {
            to |= self.ticks.val().to_u64() << 8 | self.cycles.val().to_u64();
        }
        if self.is_immediate.val() {
            to |= self.high.val().to_u64() << 6 | self.low.val().to_u64();
        }
        if self.invert.val() {
            to ^= 0xFFFF_FFFF;
        }
        self.to.next = to.to_bits();
    }

    fn connect(&mut self) {
        self.to.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "\
always @(*) to = {32{invert}} ^ ((state & {32{is_state}}) | (record & {32{is_record}})
    | (result & {32{is_result}}) | (result2 & {32{is_result2}})
    | ({8'd0, ticks} & {32{is_tick}}) | ({ticks, cycles} & {32{is_isn}})
    | ({20'd0, high, low} & {32{is_immediate}}));
"
            .into(),
        )
    }
}

/// Sixteen flags with one of them changed, and flag 1 when a command ends. Flag 0 is always set.
#[derive(LogicBlock, Debug, Default)]
pub struct SetFlag {
    pub from: Signal<In, Bits<16>>,
    pub enable: Signal<In, Bit>,
    pub index: Signal<In, Bits<4>>,
    /// OR `value` into what the flag was.
    pub or_in: Signal<In, Bit>,
    pub value: Signal<In, Bit>,
    pub done: Signal<In, Bit>,
    pub ok: Signal<In, Bit>,
    pub to: Signal<Out, Bits<16>>,
}

impl Logic for SetFlag {
    fn update(&mut self) {
        let mut flags = self.from.val().to_u64();
        let bit = 1 << self.index.val().to_u64();
        if self.enable.val() {
            let old = self.or_in.val() && flags & bit != 0;
            flags = flags & !bit | if self.value.val() || old { bit } else { 0 };
        }
        if self.done.val() {
            flags = flags & !2 | u64::from(self.ok.val()) << 1;
        }
        self.to.next = (flags | 1).to_bits();
    }

    fn connect(&mut self) {
        self.to.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "\
integer i;
always @(*) begin
    for (i = 0; i < 16; i = i + 1)
        to[i] = enable && index == i ? value | or_in & from[i] : from[i];
    if (done) to[1] = ok;
    to[0] = 1'b1;
end
"
            .into(),
        )
    }
}

/// Flags as an event begins: eight presets above, 2 to 7 clear.
#[derive(LogicBlock, Debug, Default)]
pub struct PresetFlags {
    pub from: Signal<In, Bits<8>>,
    /// Flag 1, which an event leaves as it was.
    pub ok: Signal<In, Bit>,
    pub to: Signal<Out, Bits<16>>,
}

impl Logic for PresetFlags {
    fn update(&mut self) {
        self.to.next =
            (self.from.val().to_u64() << 8 | u64::from(self.ok.val()) << 1 | 1).to_bits();
    }

    fn connect(&mut self) {
        self.to.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) to = {from, 6'd0, ok, 1'b1};\n".into())
    }
}

/// Address of an operand in the state RAM: the connection's row, or the shared row for operands from 32.
#[derive(LogicBlock, Debug)]
pub struct StateAddress {
    pub conn: Signal<In, Bits<10>>,
    pub operand: Signal<In, Bits<6>>,
    pub to: Signal<Out, Bits<16>>,
    _shared_row: u64,
}

impl StateAddress {
    /// The shared row lies behind those of the connections.
    pub fn new(connections: usize) -> Self {
        Self {
            conn: Default::default(),
            operand: Default::default(),
            to: Default::default(),
            _shared_row: connections as u64,
        }
    }
}

impl Logic for StateAddress {
    fn update(&mut self) {
        let operand = self.operand.val().to_u64();
        let row = if operand & 32 != 0 {
            self._shared_row
        } else {
            self.conn.val().to_u64()
        };
        self.to.next = (row << 5 | operand & 31).to_bits();
    }

    fn connect(&mut self) {
        self.to.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "always @(*) to = {{operand[5] ? 11'd{} : {{1'b0, conn}}, operand[4:0]}};\n",
            self._shared_row
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::isa::Shift;

    #[test]
    fn shifts_are_those_of_the_instruction_set() {
        let x = 0x8421_F00D_u32;
        for (kind, expected) in [
            (Shift::Right1, x >> 1),
            (Shift::Right3, x >> 3),
            (Shift::Right16, x >> 16),
            (Shift::Right8, x >> 8),
            (Shift::Left1, x << 1),
            (Shift::Left3, x << 3),
            (Shift::Left16, x << 16),
            (Shift::Left8, x << 8),
        ] {
            let mut uut = Shifter::default();
            uut.connect_all();
            uut.from.next = u64::from(x).to_bits();
            uut.fine.next = matches!(
                kind,
                Shift::Right1 | Shift::Right3 | Shift::Left1 | Shift::Left3
            );
            uut.left.next = matches!(kind, Shift::Left1 | Shift::Left3);
            uut.three.next = matches!(kind, Shift::Right3 | Shift::Left1);
            uut.right8.next = kind == Shift::Right8;
            uut.left8.next = kind == Shift::Left8;
            uut.right16.next = kind == Shift::Right16;
            uut.left16.next = kind == Shift::Left16;
            uut.update_all();
            uut.update_all();
            assert_eq!(uut.to.val().to_u64(), u64::from(expected), "{kind:?}");
        }
    }

    #[test]
    #[should_panic(expected = "depth 48 must be a power of two")]
    fn depth_is_a_power_of_two() {
        let _ = HoldMemory::<Bits<8>, 6>::with_image(48, &[]);
    }
}
