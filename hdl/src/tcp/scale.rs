//! The window scale (RFC 7323 section 2): the shift of each connection's peer, and the window that came, shifted by it, before the engine sees it. So the program pays nothing for it.
//!
//! **What a window becomes.** Its 16 bits are turned to the left, and if anything left at the top, bit 15 is set. So a window below 65,536 is what RFC 7323 has, and any other is 32,768 or more: no send ring holds
//! more, so all of them say the same. Two that differ in more than one bit still differ, though, which 65,535 for all would not: an ACK that moves a large window alone is no duplicate (RFC 5681 section 2).
//!
//! **Contract.** `SCALE` says what the peer's SYN said of it, as `SEG_MSSOPT` has it: bit 24, there is a shift, 23:16, which; above 14 it is 14 (section 2.3). Whatever it says replaces what was. The parser gives the window
//! with `take`; then, once it knows whose it is, `go`, with `plain` if no shift counts: of nobody, or of a SYN (section 2.2). `scaled` is right, and stands until the next `take`, from the first cycle behind `go` in which `busy` is low.
//!
//! **Latency**: `SCALE` is answered in its first cycle, or in its second if `go` comes with it; `busy` for 1 cycle and one for each four bits and each of those left over of the shift, at most [`LONGEST`]: the parser needs as long from the last
//! byte on for its sum. **Throughput**: a window each time. **Abort**: the next `take`. Nothing is reset: what the shifts are is said anew for each connection, and what is under way ends by itself.
//!
//! Built without, it answers nothing, and Yosys leaves nothing of it.
use super::command::CommandIn;
use super::isa::cmd;
use crate::memory::Memory;
use rust_hdl::prelude::*;

/// Cycles that `busy` lasts at most.
pub const LONGEST: usize = 6;

/// RFC 7323 section 2.3: what a larger shift counts as.
pub const MOST: u32 = 14;

/// The shift that a SYN's `SEG_MSSOPT` tells of.
pub const fn shift(options: u32) -> u32 {
    let count = options >> 16 & 0xFF;
    match options >> 24 & 1 {
        0 => 0,
        _ if count > MOST => MOST,
        _ => count,
    }
}

/// What becomes of a window.
pub const fn scaled(window: u16, shift: u32) -> u16 {
    let over = (window as u32) << shift > 0xFFFF;
    window.rotate_left(shift) | (over as u16) << 15
}

/// Turns a word to the left by one bit or by four: wiring and a choice.
#[derive(LogicBlock, Default)]
struct Turn {
    pub word: Signal<In, Bits<16>>,
    pub four: Signal<In, Bit>,
    pub turned: Signal<Out, Bits<16>>,
    /// Something that is not zero left at the top.
    pub over: Signal<Out, Bit>,
}

impl Logic for Turn {
    fn update(&mut self) {
        let word = self.word.val().to_u64() as u16;
        let by = if self.four.val() { 4 } else { 1 };
        self.turned.next = u64::from(word.rotate_left(by)).into();
        self.over.next = word >> (16 - by) != 0;
    }
    fn connect(&mut self) {
        self.turned.connect();
        self.over.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "\
always @(*) begin
    turned = four ? {word[11:0], word[15:12]} : {word[14:0], word[15]};
    over = four ? |word[15:12] : word[15];
end
"
            .into(),
        )
    }
}

#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Window {
    bits: Bits<16>,
    /// Bits still to be turned by.
    left: Bits<4>,
    over: Bit,
    /// The memory gives the shift now.
    counted: Bit,
}

/// See the module.
#[derive(LogicBlock)]
pub struct Scale {
    pub clock: Signal<In, Clock>,
    /// `SCALE`.
    pub command: CommandIn,

    // The parser.
    pub take: Signal<In, Bit>,
    pub window: Signal<In, Bits<16>>,
    pub go: Signal<In, Bit>,
    pub plain: Signal<In, Bit>,
    pub conn: Signal<In, Bits<10>>,
    pub busy: Signal<Out, Bit>,
    pub scaled: Signal<Out, Bits<16>>,

    w: DFF<Window>,
    shifts: Memory<Bits<4>, 10>,
    turn: Turn,

    is_scale: Signal<Local, Bit>,
    taken: Signal<Local, Bit>,
    options: Signal<Local, Bits<32>>,
    count: Signal<Local, Bits<8>>,
    shift: Signal<Local, Bits<4>>,
    left: Signal<Local, Bits<4>>,
    left_less_one: Signal<Local, Bits<4>>,
    left_less_four: Signal<Local, Bits<4>>,
    four: Signal<Local, Bit>,
    turning: Signal<Local, Bit>,

    scale_code: Constant<Bits<6>>,
    with_scale: Constant<Bit>,
}

impl Scale {
    /// For so many entries of the table; built, or left out.
    pub fn new(entries: usize, with_scale: bool) -> Self {
        Self {
            clock: Default::default(),
            command: Default::default(),
            take: Default::default(),
            window: Default::default(),
            go: Default::default(),
            plain: Default::default(),
            conn: Default::default(),
            busy: Default::default(),
            scaled: Default::default(),
            w: Default::default(),
            shifts: Memory::new(entries.next_power_of_two().max(2)),
            turn: Default::default(),
            is_scale: Default::default(),
            taken: Default::default(),
            options: Default::default(),
            count: Default::default(),
            shift: Default::default(),
            left: Default::default(),
            left_less_one: Default::default(),
            left_less_four: Default::default(),
            four: Default::default(),
            turning: Default::default(),
            scale_code: Constant::new(u64::from(cmd::SCALE).to_bits()),
            with_scale: Constant::new(with_scale),
        }
    }
}

impl Logic for Scale {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers ----
        dff_setup!(self, clock, w);
        self.shifts.clock.next = self.clock.val();

        // ---- the command: not at the edge at which its word may be read ----
        self.is_scale.next = self.with_scale.val()
            & self.command.valid.val()
            & (self.command.code.val() == self.scale_code.val());
        self.taken.next = self.is_scale.val() & !self.go.val();
        self.options.next = self.command.a.val();
        self.count.next = self.options.val().get_bits::<8>(16);
        self.shift.next = bit_cast::<4, 8>(self.count.val());
        if self.count.val() > bits::<8>(14) {
            self.shift.next = bits::<4>(14);
        }
        if !self.options.val().get_bit(24) {
            self.shift.next = bits::<4>(0);
        }
        self.shifts.write_enable.next = self.taken.val();
        self.shifts.write_address.next = self.command.conn.val();
        self.shifts.write_data.next = self.shift.val();
        self.command.done.next = self.taken.val();
        self.command.ok.next = false;
        self.command.result.next = bits::<32>(0);
        self.command.result2.next = bits::<32>(0);

        // ---- the window ----
        self.shifts.read_address.next = self.conn.val();
        self.left.next = self.w.q.val().left;
        self.turning.next = self.with_scale.val() & (self.left.val() != bits::<4>(0));
        self.four.next = self.left.val().get_bits::<2>(2) != bits::<2>(0);
        self.left_less_one.next = self.left.val() - 1;
        self.left_less_four.next = self.left.val() - 4;
        self.turn.word.next = self.w.q.val().bits;
        self.turn.four.next = self.four.val();
        self.w.d.next.counted = self.with_scale.val() & self.go.val() & !self.plain.val();
        if self.w.q.val().counted {
            self.w.d.next.left = self.shifts.read_data.val();
        }
        if self.turning.val() {
            self.w.d.next.bits = self.turn.turned.val();
            self.w.d.next.over = self.w.q.val().over | self.turn.over.val();
            self.w.d.next.left = self.left_less_one.val();
            if self.four.val() {
                self.w.d.next.left = self.left_less_four.val();
            }
        }
        if self.take.val() & self.with_scale.val() {
            self.w.d.next.bits = self.window.val();
            self.w.d.next.over = false;
            self.w.d.next.left = bits::<4>(0);
        }

        // ---- outputs ----
        self.busy.next = self.w.q.val().counted | self.turning.val();
        self.scaled.next = self.w.q.val().bits;
        if self.w.q.val().over {
            self.scaled.next = self.w.q.val().bits | bits::<16>(0x8000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    fn settle(uut: &mut Scale) {
        for _ in 0..20 {
            uut.update_all();
            if !uut.has_changed() {
                return;
            }
        }
        panic!("does not settle");
    }

    fn clock(uut: &mut Scale) {
        for level in [true, false] {
            uut.clock.next = Clock::from(level);
            settle(uut);
        }
    }

    /// The RFC's arithmetic, as far as 16 bits hold it, and what stands in its place beyond.
    #[test]
    fn a_window_is_shifted_and_beyond_16_bits_larger_than_any_ring() {
        for shift in 0..=MOST {
            let mut seen = std::collections::BTreeMap::<u16, Vec<u16>>::new();
            for window in 0..=u16::MAX {
                let (right, got) = (u32::from(window) << shift, scaled(window, shift));
                if right < 65_536 {
                    assert_eq!(u32::from(got), right);
                } else {
                    assert!(got >= 32_768);
                    seen.entry(got).or_default().push(window);
                }
            }
            // The one bit that is lost is the one that bit 15 stands for.
            assert!(seen.values().all(|of| of.len() <= 2), "shift {shift}");
        }
    }

    #[test]
    fn the_shift_is_what_the_syn_s_options_say() {
        for (options, want) in [
            (0, 0),
            (7 << 16, 0),
            (1 << 24, 0),
            (1 << 24 | 7 << 16 | 0x5B4, 7),
            (7 << 24 | 14 << 16, 14),
            (1 << 24 | 15 << 16, 14),
            (1 << 24 | 16 << 16, 14),
            (1 << 24 | 255 << 16 | 0xFFFF, 14),
        ] {
            assert_eq!(shift(options), want, "{options:#x}");
        }
    }

    /// `SCALE` as the engine holds it: until it is answered. How long that took.
    fn command(uut: &mut Scale, conn: u64, options: u32) -> u64 {
        uut.command.valid.next = true;
        uut.command.code.next = u64::from(cmd::SCALE).to_bits();
        uut.command.conn.next = conn.to_bits();
        uut.command.a.next = u64::from(options).to_bits();
        for cycle in 1..10 {
            settle(uut);
            let done = uut.command.done.val();
            clock(uut);
            uut.go.next = false;
            if done {
                uut.command.valid.next = false;
                settle(uut);
                return cycle;
            }
        }
        panic!("SCALE is not answered");
    }

    /// A window, and what it became in how many cycles of `busy`.
    fn window(uut: &mut Scale, conn: u64, bits: u16, plain: bool) -> (u16, usize) {
        uut.take.next = true;
        uut.window.next = u64::from(bits).to_bits();
        settle(uut);
        clock(uut);
        uut.take.next = false;
        uut.window.next = 0x5A5A_u64.to_bits();
        settle(uut);
        assert!(!uut.busy.val(), "before it goes");
        uut.conn.next = conn.to_bits();
        uut.plain.next = plain;
        uut.go.next = true;
        settle(uut);
        clock(uut);
        uut.go.next = false;
        settle(uut);
        let mut cycles = 0;
        while uut.busy.val() {
            cycles += 1;
            assert!(cycles < 100, "it never ends");
            clock(uut);
        }
        (uut.scaled.val().to_u64() as u16, cycles)
    }

    #[test]
    fn each_connection_s_windows_are_shifted_by_what_its_peer_said_last() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        let mut uut = Scale::new(7, true);
        uut.connect_all();
        let mut shifts = [0; 8];
        let mut longest = 0;
        for _ in 0..6_000 {
            let conn = rng.random_range(0..8);
            if rng.random_bool(0.2) {
                let options = [rng.random(), 1 << 24 | rng.random_range(0..16) << 16];
                let options: u32 = options[rng.random_range(0..2)];
                assert_eq!(command(&mut uut, conn, options), 1);
                shifts[conn as usize] = shift(options);
            }
            let edge = 1u16 << rng.random_range(0..16);
            let bits = match rng.random_range(0..4) {
                0 => rng.random(),
                1 => rng.random_range(0..200),
                2 => edge,
                _ => edge - 1,
            };
            let plain = rng.random_bool(0.2);
            let by = if plain { 0 } else { shifts[conn as usize] };
            let (got, cycles) = window(&mut uut, conn, bits, plain);
            assert_eq!(got, scaled(bits, by), "{bits:#x} by {by}");
            let due = if plain { 0 } else { 1 + by / 4 + by % 4 };
            assert_eq!(cycles as u32, due, "{by}");
            longest = longest.max(cycles);
        }
        assert_eq!(longest, LONGEST);
    }

    /// A command at the very edge at which the parser reads waits for it: the window is shifted by what was, the next one by what is.
    #[test]
    fn a_command_that_meets_a_window_waits_a_cycle() {
        let mut uut = Scale::new(4, true);
        uut.connect_all();
        command(&mut uut, 3, 1 << 24 | 2 << 16);
        uut.take.next = true;
        uut.window.next = 5_u64.to_bits();
        settle(&mut uut);
        clock(&mut uut);
        uut.take.next = false;
        uut.conn.next = 3_u64.to_bits();
        uut.plain.next = false;
        uut.go.next = true;
        assert_eq!(command(&mut uut, 3, 1 << 24 | 3 << 16), 2);
        while uut.busy.val() {
            clock(&mut uut);
        }
        assert_eq!(uut.scaled.val().to_u64(), 5 << 2);
        assert_eq!(window(&mut uut, 3, 5, false).0, 5 << 3);
    }

    #[test]
    fn left_out_it_answers_nothing() {
        let mut uut = Scale::new(4, false);
        uut.connect_all();
        uut.command.valid.next = true;
        uut.command.code.next = u64::from(cmd::SCALE).to_bits();
        uut.command.a.next = (1_u64 << 24 | 7 << 16).to_bits();
        for _ in 0..10 {
            settle(&mut uut);
            assert!(!uut.command.done.val());
            clock(&mut uut);
        }
        uut.command.valid.next = false;
        assert_eq!(window(&mut uut, 0, 100, false), (0, 0));
    }

    #[test]
    fn equals_its_verilog() {
        for on in [true, false] {
            let name = if on { "scale" } else { "scale_off" };
            let (mut asked, mut done, mut over) = (false, 0, 0);
            toe_sim::lockstep!(name, Scale::new(7, on), 20_000, |uut, _cycle, rng| {
                if uut.command.done.val() {
                    asked = false;
                    done += 1;
                }
                if !asked {
                    asked = rng.random_bool(0.2);
                    uut.command.valid.next = asked;
                    let code = if rng.random_bool(0.7) {
                        cmd::SCALE
                    } else {
                        rng.random_range(0..64)
                    };
                    uut.command.code.next = u64::from(code).to_bits();
                    uut.command.conn.next = rng.random_range(0..8_u64).to_bits();
                    let options = rng.random_range(0..1_u64 << 20) << 12;
                    uut.command.a.next = options.to_bits();
                    // What another block would answer.
                    asked = asked && code == cmd::SCALE && on;
                }
                uut.take.next = rng.random_bool(0.1);
                uut.window.next = rng.random_range(0..1_u64 << 16).to_bits();
                uut.go.next = rng.random_bool(0.1);
                uut.plain.next = rng.random_bool(0.2);
                uut.conn.next = rng.random_range(0..8_u64).to_bits();
                over += usize::from(uut.scaled.val().get_bit(15));
            });
            assert_eq!(done > 500, on, "{done}");
            assert_eq!(over > 500, on, "{over}");
        }
    }
}
