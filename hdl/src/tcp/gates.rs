//! Small primitives the engine is built on: wiring that rust-hdl kernels cannot express without shifts, one adder, one memory.
//!
//! Latency: none, but a cycle in [`HoldMemory`], whose word stands while `read_enable` is low. Throughput: a value a cycle. Nothing to abort.
//! Each has its Rust `update` and its Verilog side by side; the lockstep tests of the blocks that use them hold the two together. All but
//! [`HoldMemory`] are combinational.
use rust_hdl::prelude::*;

use crate::memory;
use crate::tcp::isa::Far;

/// As [`crate::memory::Memory`], with a read enable: while it is low, `read_data` keeps its word, so a pipeline can stand still.
///
/// A depth that is the sum of two powers of two has a second bank for the smaller one, above the first: 2,048 and 1,024 words of 24 bits take five block RAMs of an ECP5, 4,096 would take six; 1,024 and 512 of them take nine of an HX8K. What chooses
/// between them stands behind the words that they show.
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
    /// If `depth` is not a power of two of at least 2 or the sum of two different ones, does not fit `A` address bits, or is less than the image.
    pub fn with_image(depth: usize, image: &[D]) -> Self {
        assert!(
            Self::is_depth(depth) && depth <= 1 << A,
            "HoldMemory: depth {depth} must be a power of two or the sum of two, 2 to 2^{A}"
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

    /// A power of two of at least 2, or the sum of two different ones.
    const fn is_depth(depth: usize) -> bool {
        depth.count_ones() <= 2 && depth >= 2 && depth & 1 == 0
    }

    /// Words of the first bank, the larger one, and of the second.
    fn banks(&self) -> (usize, usize) {
        let first = 1 << self._words.len().ilog2();
        (first, self._words.len() - first)
    }

    /// Which word an address means: bits above what a bank needs are ignored.
    fn index(&self, address: u64) -> usize {
        let (first, second) = self.banks();
        let address = address as usize;
        if second != 0 && address & first != 0 {
            first + (address & (second - 1))
        } else {
            address & (first - 1)
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
            if self.read_enable.val() {
                let read = self.index(self.read_address.val().to_u64());
                self.read_data.next = self._words[read];
            }
            if self.write_enable.val() {
                let write = self.index(self.write_address.val().to_u64());
                self._words[write] = self.write_data.val();
            }
        }
    }

    fn connect(&mut self) {
        self.read_data.connect();
    }

    fn hdl(&self) -> Verilog {
        let (first, second) = self.banks();
        let words = |name: &str, from: usize, depth: usize| {
            let image = memory::image(&self._words[from..from + depth]);
            memory::words(name, D::BITS, depth, &image)
        };
        let low = words("memory", 0, first);
        let high = first.ilog2() - 1;
        if second == 0 {
            return Verilog::Custom(format!(
                "\
{low}always @(posedge clock) begin
    if (read_enable) read_data <= memory[read_address[{high}:0]];
    if (write_enable) memory[write_address[{high}:0]] <= write_data;
end
"
            ));
        }
        Verilog::Custom(format!(
            "\
{low}{above}reg [{top}:0] low_word, above_word;
reg is_above;
always @(posedge clock) begin
    if (read_enable) begin
        low_word <= memory[read_address[{high}:0]];
        above_word <= above[read_address[{above_high}:0]];
        is_above <= read_address[{bank}];
    end
    if (write_enable && !write_address[{bank}]) memory[write_address[{high}:0]] <= write_data;
    if (write_enable && write_address[{bank}]) above[write_address[{above_high}:0]] <= write_data;
end
always @(*) read_data = is_above ? above_word : low_word;
",
            above = words("above", first, second),
            top = D::BITS - 1,
            above_high = second.ilog2() - 1,
            bank = high + 1,
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
    pub ticks: Signal<In, Bits<32>>,
    pub cycles: Signal<In, Bits<8>>,
    pub high: Signal<In, Bits<6>>,
    pub low: Signal<In, Bits<6>>,
    pub is_state: Signal<In, Bit>,
    pub is_record: Signal<In, Bit>,
    pub is_result: Signal<In, Bit>,
    pub is_result2: Signal<In, Bit>,
    /// The lower 24 bits of `ticks`.
    pub is_tick: Signal<In, Bit>,
    /// The upper 8, too.
    pub is_long: Signal<In, Bit>,
    /// `{ticks, cycles}`, of which 24 bits are ticks.
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
            to |= self.ticks.val().to_u64() & 0xFF_FFFF;
        }
        if self.is_long.val() {
            to |= self.ticks.val().to_u64() >> 24 << 24;
        }
        if self.is_isn.val() {
            to |= (self.ticks.val().to_u64() & 0xFF_FFFF) << 8 | self.cycles.val().to_u64();
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
    | (ticks & {{8{is_long}}, {24{is_tick}}}) | ({ticks[23:0], cycles} & {32{is_isn}})
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
    /// Flag 14, in place of bit 6.
    pub busy: Signal<In, Bit>,
    pub to: Signal<Out, Bits<16>>,
}

impl Logic for PresetFlags {
    fn update(&mut self) {
        self.to.next = ((self.from.val().to_u64() & !64 | u64::from(self.busy.val()) << 6) << 8
            | u64::from(self.ok.val()) << 1
            | 1)
        .to_bits();
    }

    fn connect(&mut self) {
        self.to.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) to = {from[7], busy, from[5:0], 6'd0, ok, 1'b1};\n".into())
    }
}

/// Address of an operand in the state RAM: the connection's row, or the shared row for operands from 32. With a whole far bank a row has 64 words, the far ones behind; with its
/// shared words alone these are the lower half of the shared row, which is free.
#[derive(LogicBlock, Debug)]
pub struct StateAddress {
    pub conn: Signal<In, Bits<10>>,
    pub operand: Signal<In, Bits<6>>,
    pub far: Signal<In, Bit>,
    pub to: Signal<Out, Bits<17>>,
    _shared_row: u64,
    _bank: Far,
}

impl StateAddress {
    /// The shared row lies behind those of the connections, at most 1,024.
    pub fn new(connections: usize, bank: Far) -> Self {
        Self {
            conn: Default::default(),
            operand: Default::default(),
            far: Default::default(),
            to: Default::default(),
            _shared_row: connections as u64,
            _bank: bank,
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
        let far = u64::from(self.far.val());
        self.to.next = match self._bank {
            Far::Whole => row << 6 | far << 5 | operand & 31,
            Far::Shared => row << 5 | operand & 31 & !(far << 4),
            Far::None => row << 5 | operand & 31,
        }
        .to_bits();
    }

    fn connect(&mut self) {
        self.to.connect();
    }

    fn hdl(&self) -> Verilog {
        let row = self._shared_row;
        let row = format!("operand[5] ? 11'd{row} : {{1'b0, conn}}");
        Verilog::Custom(match self._bank {
            Far::Whole => format!("always @(*) to = {{{row}, far, operand[4:0]}};\n"),
            Far::Shared => {
                format!("always @(*) to = {{1'b0, {row}, operand[4] & ~far, operand[3:0]}};\n")
            }
            Far::None => format!("always @(*) to = {{1'b0, {row}, operand[4:0]}};\n"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tcp::isa::Shift;
    use rand::Rng;

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

    /// One of each gate, its outputs as ports; `controls` are the single bits.
    #[derive(LogicBlock)]
    struct All {
        clock: Signal<In, Clock>,
        x: Signal<In, Bits<32>>,
        y: Signal<In, Bits<32>>,
        z: Signal<In, Bits<32>>,
        w: Signal<In, Bits<32>>,
        controls: Signal<In, Bits<8>>,
        high: Signal<In, Bits<6>>,
        low: Signal<In, Bits<6>>,
        conn: Signal<In, Bits<10>>,
        pair: Signal<Out, Bits<12>>,
        sum: Signal<Out, Bits<32>>,
        carry: Signal<Out, Bit>,
        shifted: Signal<Out, Bits<32>>,
        gathered: Signal<Out, Bits<32>>,
        flags: Signal<Out, Bits<16>>,
        presets: Signal<Out, Bits<16>>,
        address: Signal<Out, Bits<17>>,
        concat: Concat<6, 6, 12>,
        adder: Adder,
        shifter: Shifter,
        gather: Gather,
        set_flag: SetFlag,
        preset: PresetFlags,
        state_address: StateAddress,
        r: DFF<Bit>,
    }

    impl Logic for All {
        #[hdl_gen]
        fn update(&mut self) {
            self.r.clock.next = self.clock.val();
            self.r.d.next = self.controls.val().get_bit(0);
            self.concat.high.next = self.high.val();
            self.concat.low.next = self.low.val();
            self.pair.next = self.concat.to.val();
            self.adder.a.next = self.x.val();
            self.adder.b.next = self.y.val();
            self.adder.carry_in.next = self.controls.val().get_bit(0);
            self.sum.next = self.adder.sum.val();
            self.carry.next = self.adder.carry.val();
            self.shifter.from.next = self.x.val();
            self.shifter.fine.next = self.controls.val().get_bit(0);
            self.shifter.left.next = self.controls.val().get_bit(1);
            self.shifter.three.next = self.controls.val().get_bit(2);
            self.shifter.right8.next = self.controls.val().get_bit(3);
            self.shifter.left8.next = self.controls.val().get_bit(4);
            self.shifter.right16.next = self.controls.val().get_bit(5);
            self.shifter.left16.next = self.controls.val().get_bit(6);
            self.shifted.next = self.shifter.to.val();
            self.gather.state.next = self.x.val();
            self.gather.record.next = self.y.val();
            self.gather.result.next = self.z.val();
            self.gather.result2.next = self.w.val();
            self.gather.ticks.next = self.x.val();
            self.gather.cycles.next = self.y.val().get_bits::<8>(4);
            self.gather.high.next = self.high.val();
            self.gather.low.next = self.low.val();
            self.gather.is_state.next = self.controls.val().get_bit(0);
            self.gather.is_record.next = self.controls.val().get_bit(1);
            self.gather.is_result.next = self.controls.val().get_bit(2);
            self.gather.is_result2.next = self.controls.val().get_bit(3);
            self.gather.is_tick.next = self.controls.val().get_bit(4);
            self.gather.is_isn.next = self.controls.val().get_bit(5);
            self.gather.is_immediate.next = self.controls.val().get_bit(6);
            self.gather.invert.next = self.controls.val().get_bit(7);
            self.gather.is_long.next = self.low.val().get_bit(0);
            self.gathered.next = self.gather.to.val();
            self.set_flag.from.next = self.z.val().get_bits::<16>(0);
            self.set_flag.enable.next = self.controls.val().get_bit(0);
            self.set_flag.index.next = self.w.val().get_bits::<4>(0);
            self.set_flag.or_in.next = self.controls.val().get_bit(1);
            self.set_flag.value.next = self.controls.val().get_bit(2);
            self.set_flag.done.next = self.controls.val().get_bit(3);
            self.set_flag.ok.next = self.controls.val().get_bit(4);
            self.flags.next = self.set_flag.to.val();
            self.preset.from.next = self.controls.val();
            self.preset.ok.next = self.x.val().get_bit(0);
            self.preset.busy.next = self.y.val().get_bit(0);
            self.presets.next = self.preset.to.val();
            self.state_address.conn.next = self.conn.val();
            self.state_address.operand.next = self.low.val();
            self.state_address.far.next = self.controls.val().get_bit(0);
            self.address.next = self.state_address.to.val();
        }
    }

    impl All {
        fn new(connections: usize, far: Far) -> Self {
            Self {
                clock: Default::default(),
                x: Default::default(),
                y: Default::default(),
                z: Default::default(),
                w: Default::default(),
                controls: Default::default(),
                high: Default::default(),
                low: Default::default(),
                conn: Default::default(),
                pair: Default::default(),
                sum: Default::default(),
                carry: Default::default(),
                shifted: Default::default(),
                gathered: Default::default(),
                flags: Default::default(),
                presets: Default::default(),
                address: Default::default(),
                concat: Default::default(),
                adder: Default::default(),
                shifter: Default::default(),
                gather: Default::default(),
                set_flag: Default::default(),
                preset: Default::default(),
                state_address: StateAddress::new(connections, far),
                r: Default::default(),
            }
        }

        /// What each gate is defined to give, written from its description; that of the shifts stands in their own test.
        fn check(&self, connections: u64, far: Far) {
            let (x, y, z, w) = (
                self.x.val().to_u64() as u32,
                self.y.val().to_u64() as u32,
                self.z.val().to_u64() as u32,
                self.w.val().to_u64() as u32,
            );
            let controls = self.controls.val().to_u64();
            let on = |n: u32| controls >> n & 1 == 1;
            let (high, low) = (self.high.val().to_u64(), self.low.val().to_u64());
            assert_eq!(self.pair.val().to_u64(), high * 64 + low);

            let (sum, first) = x.overflowing_add(y);
            let (sum, second) = sum.overflowing_add(u32::from(on(0)));
            assert_eq!(self.sum.val().to_u64(), u64::from(sum));
            assert_eq!(self.carry.val(), first || second);

            let ticks = x & 0xFF_FFFF;
            let sources = [
                x,
                y,
                z,
                w,
                ticks,
                ticks * 256 + (y >> 4 & 255),
                (high * 64 + low) as u32,
            ];
            let mut gathered = 0;
            for (n, source) in sources.into_iter().enumerate() {
                gathered |= if on(n as u32) { source } else { 0 };
            }
            gathered |= if low & 1 == 1 { x >> 24 << 24 } else { 0 };
            gathered = if on(7) { !gathered } else { gathered };
            assert_eq!(self.gathered.val().to_u64(), u64::from(gathered));

            let mut flags: [bool; 16] = std::array::from_fn(|n| z >> n & 1 == 1);
            if on(0) {
                let flag = &mut flags[w as usize & 15];
                *flag = on(2) || (on(1) && *flag);
            }
            if on(3) {
                flags[1] = on(4);
            }
            flags[0] = true;
            for (n, flag) in flags.into_iter().enumerate() {
                assert_eq!(self.flags.val().get_bit(n), flag, "flag {n}");
            }
            let ok = u64::from(x & 1);
            // Bit 6 is the builder's.
            let above = controls - (controls & 64) + u64::from(y & 1) * 64;
            assert_eq!(self.presets.val().to_u64(), above * 256 + ok * 2 + 1);

            let row = if low < 32 {
                self.conn.val().to_u64()
            } else {
                connections
            };
            let address = match far {
                Far::Whole => row * 64 + 32 * (controls & 1) + low % 32,
                Far::Shared if on(0) => row * 32 + low % 16,
                Far::Shared | Far::None => row * 32 + low % 32,
            };
            assert_eq!(self.address.val().to_u64(), address);
        }
    }

    /// Every gate is what its description says and what its Verilog does, the largest number of connections included.
    #[test]
    fn gates_are_their_definitions_and_their_verilog() {
        for (connections, far) in [
            (4, Far::None),
            (4, Far::Shared),
            (4, Far::Whole),
            (1024, Far::Whole),
            (1024, Far::Shared),
            (1024, Far::None),
        ] {
            let report = toe_sim::lockstep::lockstep_observed(
                &format!("gates_{connections}_{far:?}"),
                || All::new(connections, far),
                |uut, clk| uut.clock.next = Clock { clk },
                10_000,
                connections as u64,
                |uut, _, rng| {
                    // All ones and zeros often: carries run the whole length then.
                    let mut word = || match rng.random_range(0..6) {
                        0 => 0,
                        1 => u64::from(u32::MAX),
                        2 => 1,
                        _ => u64::from(rng.random::<u32>()),
                    };
                    let (x, y, z, w) = (word(), word(), word(), word());
                    uut.x.next = x.to_bits();
                    uut.y.next = y.to_bits();
                    uut.z.next = z.to_bits();
                    uut.w.next = w.to_bits();
                    uut.controls.next = u64::from(rng.random::<u8>()).to_bits();
                    uut.high.next = rng.random_range(0..64_u64).to_bits();
                    uut.low.next = rng.random_range(0..64_u64).to_bits();
                    uut.conn.next = rng.random_range(0..1024_u64).to_bits();
                },
                |uut, _| uut.check(connections as u64, far),
            )
            .unwrap_or_else(|error| panic!("{error}"));
            report.assert_active();
        }
    }

    /// A word is read one cycle after its address if enabled, and else stands; every word has its own place; high bits of addresses are ignored.
    #[test]
    fn hold_memory_keeps_its_word_and_equals_its_verilog() {
        // One bank of 16 words, whose addresses of six bits come four times; 16 and 4, whose upper ones come four times in each upper half.
        let one = |at: u64| at as usize % 16;
        let two = |at: u64| match at % 32 {
            low @ 0..16 => low as usize,
            high => 16 + high as usize % 4,
        };
        for (depth, place) in [(16, &one as &dyn Fn(u64) -> usize), (20, &two)] {
            let mut model = [0; 20];
            model[..4].copy_from_slice(&[0x12, 0, 0xFF, 0x80]);
            model[depth - 3] = 0x5A;
            let image: Vec<Bits<8>> = (model[..depth].iter())
                .map(|word: &u64| word.to_bits())
                .collect();
            let state = std::cell::RefCell::new((model, None, 0));
            let report = toe_sim::lockstep::lockstep_observed(
                &format!("hold_memory_{depth}"),
                || HoldMemory::<Bits<8>, 6>::with_image(depth, &image),
                |uut, clk| uut.clock.next = Clock { clk },
                10_000,
                3,
                |uut, cycle, rng| {
                    let read = rng.random_range(0..64_u64);
                    uut.read_address.next = read.to_bits();
                    uut.read_enable.next = cycle == 0 || rng.random_bool(0.5);
                    let mut write = rng.random_range(0..64_u64);
                    while place(write) == place(read) {
                        write = rng.random_range(0..64);
                    }
                    uut.write_address.next = write.to_bits();
                    uut.write_data.next = u64::from(rng.random::<u8>()).to_bits();
                    // The first cycles read the image.
                    uut.write_enable.next = cycle >= 200 && rng.random_bool(0.5);
                },
                |uut, cycle| {
                    let (model, standing, held) = &mut *state.borrow_mut();
                    if let Some(word) = *standing {
                        assert_eq!(uut.read_data.val().to_u64(), word, "cycle {cycle}");
                    }
                    if uut.read_enable.val() {
                        *standing = Some(model[place(uut.read_address.val().to_u64())]);
                    } else {
                        *held += 1;
                    }
                    if uut.write_enable.val() {
                        let at = place(uut.write_address.val().to_u64());
                        model[at] = uut.write_data.val().to_u64();
                    }
                },
            )
            .unwrap_or_else(|error| panic!("{error}"));
            report.assert_active();
            assert!(state.borrow().2 > 1000, "it hardly ever held");
        }
    }

    #[test]
    #[should_panic(expected = "depth 56 must be a power of two or the sum of two")]
    fn depth_is_a_power_of_two_or_the_sum_of_two() {
        let _ = HoldMemory::<Bits<8>, 6>::with_image(48, &[]);
        let _ = HoldMemory::<Bits<8>, 6>::with_image(56, &[]);
    }
}
