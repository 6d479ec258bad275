//! A UART: eight data bits, no parity, one stop bit, the least significant bit first.
//!
//! **Latency**: `UartRx` gives a byte in the middle of its stop bit, 9.5 bit times and 4 cycles after the falling edge of its start bit.
//! `UartTx` drives the start bit 2 cycles after it took the byte. **Throughput**: one byte in ten bit times in, in ten bit times and a cycle out.
//! **Abort**: a stop bit that is low is a framing error: the byte comes with `error` high, and the receiver waits for the
//! line to be idle before it looks for a start bit again.
use rust_hdl::prelude::*;

/// A baud rate that the divider cannot make: bit times are whole cycles, 4 to 65,535 of them.
fn check_divider(cycles_per_bit: u32) {
    assert!(
        (4..=65_535).contains(&cycles_per_bit),
        "Uart: cycles_per_bit is {cycles_per_bit}, but must be from 4 to 65535"
    );
}

/// The bits of a timer that are ever set: said, so that synthesis leaves out the others.
fn timer_bits(cycles_per_bit: u32) -> u64 {
    u64::from(cycles_per_bit.next_power_of_two()) - 1
}

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct RxState {
    early: Bit,
    line: Bit,
    busy: Bit,
    broken: Bit,
    bits: Bits<4>,
    timer: Bits<16>,
    data: Bits<8>,
    valid: Bit,
    error: Bit,
}

/// Bits in, bytes out. `valid` is high for one cycle a byte; nobody can make it wait.
#[derive(LogicBlock)]
pub struct UartRx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// The pin, high when idle; synchronised here.
    pub rx: Signal<In, Bit>,
    pub data: Signal<Out, Bits<8>>,
    pub valid: Signal<Out, Bit>,
    /// With `valid`: the stop bit was low, `data` is worth nothing.
    pub error: Signal<Out, Bit>,
    r: DFF<RxState>,
    data_now: Signal<Local, Bits<8>>,
    data_high: Signal<Local, Bits<7>>,
    top: Signal<Local, Bits<8>>,
    timer_down: Signal<Local, Bits<16>>,
    timer_less: Signal<Local, Bits<16>>,
    bits_less: Signal<Local, Bits<4>>,
    whole_bit: Constant<Bits<16>>,
    timer_bits: Constant<Bits<16>>,
    half_bit: Constant<Bits<16>>,
}

impl UartRx {
    /// # Panics
    /// If `cycles_per_bit` is not from 4 to 65,535.
    pub fn new(cycles_per_bit: u32) -> Self {
        check_divider(cycles_per_bit);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            rx: Default::default(),
            data: Default::default(),
            valid: Default::default(),
            error: Default::default(),
            r: Default::default(),
            data_now: Default::default(),
            data_high: Default::default(),
            top: Default::default(),
            timer_down: Default::default(),
            timer_less: Default::default(),
            bits_less: Default::default(),
            whole_bit: Constant::new((u64::from(cycles_per_bit) - 1).into()),
            timer_bits: Constant::new(timer_bits(cycles_per_bit).into()),
            half_bit: Constant::new((u64::from(cycles_per_bit) / 2 - 1).into()),
        }
    }
}

impl Logic for UartRx {
    #[hdl_gen]
    fn update(&mut self) {
        // Registers, defaults.
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.r.d.next.early = self.rx.val();
        self.r.d.next.line = self.r.q.val().early;
        self.r.d.next.valid = false;
        self.r.d.next.error = false;
        // Named wires.
        self.data_now.next = self.r.q.val().data;
        self.data_high.next = self.data_now.val().get_bits::<7>(1);
        self.top.next = 0.into();
        if self.r.q.val().line {
            self.top.next = 0x80.into();
        }
        self.timer_down.next = self.r.q.val().timer - 1;
        self.timer_less.next = self.timer_down.val() & self.timer_bits.val();
        self.bits_less.next = self.r.q.val().bits - 1;
        // Wait for a start bit; sample it and the nine bits after it in their middles.
        if !self.r.q.val().busy {
            if self.r.q.val().line {
                self.r.d.next.broken = false;
            } else {
                if !self.r.q.val().broken {
                    self.r.d.next.busy = true;
                    self.r.d.next.bits = 10.into();
                    self.r.d.next.timer = self.half_bit.val();
                }
            }
        } else {
            self.r.d.next.timer = self.timer_less.val();
            if self.r.q.val().timer == 0 {
                self.r.d.next.timer = self.whole_bit.val();
                self.r.d.next.bits = self.bits_less.val();
                if self.r.q.val().bits == 10 {
                    // A start bit that is gone by its middle was noise.
                    self.r.d.next.busy = !self.r.q.val().line;
                } else {
                    if self.r.q.val().bits == 1 {
                        self.r.d.next.busy = false;
                        self.r.d.next.valid = true;
                        self.r.d.next.error = !self.r.q.val().line;
                        self.r.d.next.broken = !self.r.q.val().line;
                    } else {
                        self.r.d.next.data =
                            bit_cast::<8, 7>(self.data_high.val()) | self.top.val();
                    }
                }
            }
        }
        // Outputs.
        self.data.next = self.r.q.val().data;
        self.valid.next = self.r.q.val().valid;
        self.error.next = self.r.q.val().error;
        // Reset: as after a broken byte, so that a reset within a byte does not read its rest as another.
        if self.reset.val() {
            self.r.d.next.busy = false;
            self.r.d.next.broken = true;
            self.r.d.next.valid = false;
        }
    }
}

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct TxState {
    /// The pin, inverted, so that the power-up value 0 is an idle line.
    low: Bit,
    bits: Bits<4>,
    timer: Bits<16>,
    data: Bits<8>,
}

/// Bytes in, bits out. A byte moves when `valid` and `ready` are both high.
#[derive(LogicBlock)]
pub struct UartTx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub data: Signal<In, Bits<8>>,
    pub valid: Signal<In, Bit>,
    pub ready: Signal<Out, Bit>,
    /// The pin, high when idle.
    pub tx: Signal<Out, Bit>,
    r: DFF<TxState>,
    data_now: Signal<Local, Bits<8>>,
    data_high: Signal<Local, Bits<7>>,
    timer_down: Signal<Local, Bits<16>>,
    timer_less: Signal<Local, Bits<16>>,
    bits_less: Signal<Local, Bits<4>>,
    whole_bit: Constant<Bits<16>>,
    timer_bits: Constant<Bits<16>>,
}

impl UartTx {
    /// # Panics
    /// If `cycles_per_bit` is not from 4 to 65,535.
    pub fn new(cycles_per_bit: u32) -> Self {
        check_divider(cycles_per_bit);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            data: Default::default(),
            valid: Default::default(),
            ready: Default::default(),
            tx: Default::default(),
            r: Default::default(),
            data_now: Default::default(),
            data_high: Default::default(),
            timer_down: Default::default(),
            timer_less: Default::default(),
            bits_less: Default::default(),
            whole_bit: Constant::new((u64::from(cycles_per_bit) - 1).into()),
            timer_bits: Constant::new(timer_bits(cycles_per_bit).into()),
        }
    }
}

impl Logic for UartTx {
    #[hdl_gen]
    fn update(&mut self) {
        // Registers, defaults.
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        // Named wires.
        self.data_now.next = self.r.q.val().data;
        self.data_high.next = self.data_now.val().get_bits::<7>(1);
        self.timer_down.next = self.r.q.val().timer - 1;
        self.timer_less.next = self.timer_down.val() & self.timer_bits.val();
        self.bits_less.next = self.r.q.val().bits - 1;
        // `bits` counts the bits still to begin or in progress: start, eight of data, stop.
        self.ready.next = false;
        if self.r.q.val().bits == 0 {
            self.ready.next = true;
            if self.valid.val() {
                self.r.d.next.data = self.data.val();
                self.r.d.next.bits = 10.into();
                self.r.d.next.low = true;
                self.r.d.next.timer = self.whole_bit.val();
            }
        } else {
            self.r.d.next.timer = self.timer_less.val();
            if self.r.q.val().timer == 0 {
                self.r.d.next.timer = self.whole_bit.val();
                self.r.d.next.bits = self.bits_less.val();
                // Ones are shifted in behind the data: they are the stop bit.
                self.r.d.next.low = !self.data_now.val().get_bit(0);
                self.r.d.next.data = bit_cast::<8, 7>(self.data_high.val()) | 0x80;
            }
        }
        // Outputs.
        self.tx.next = !self.r.q.val().low;
        // Reset.
        if self.reset.val() {
            self.ready.next = false;
            self.r.d.next.low = false;
            self.r.d.next.bits = 0.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    /// The two of them on one wire.
    #[derive(LogicBlock)]
    struct Loop {
        clock: Signal<In, Clock>,
        reset: Signal<In, Bit>,
        data: Signal<In, Bits<8>>,
        valid: Signal<In, Bit>,
        ready: Signal<Out, Bit>,
        /// High breaks the line.
        noise: Signal<In, Bit>,
        got: Signal<Out, Bits<8>>,
        got_valid: Signal<Out, Bit>,
        got_error: Signal<Out, Bit>,
        tx: UartTx,
        rx: UartRx,
    }

    impl Loop {
        fn new(cycles_per_bit: u32) -> Self {
            Self {
                clock: Default::default(),
                reset: Default::default(),
                data: Default::default(),
                valid: Default::default(),
                ready: Default::default(),
                noise: Default::default(),
                got: Default::default(),
                got_valid: Default::default(),
                got_error: Default::default(),
                tx: UartTx::new(cycles_per_bit),
                rx: UartRx::new(cycles_per_bit),
            }
        }
    }

    impl Logic for Loop {
        #[hdl_gen]
        fn update(&mut self) {
            self.tx.clock.next = self.clock.val();
            self.rx.clock.next = self.clock.val();
            self.tx.reset.next = self.reset.val();
            self.rx.reset.next = self.reset.val();
            self.tx.data.next = self.data.val();
            self.tx.valid.next = self.valid.val();
            self.ready.next = self.tx.ready.val();
            self.rx.rx.next = self.tx.tx.val() & !self.noise.val();
            self.got.next = self.rx.data.val();
            self.got_valid.next = self.rx.valid.val();
            self.got_error.next = self.rx.error.val();
        }
    }

    fn cycle(uut: &mut Loop) {
        for clk in [true, false] {
            uut.clock.next = Clock { clk };
            uut.update_all();
            while uut.has_changed() {
                uut.update_all();
            }
        }
    }

    #[test]
    fn every_byte_crosses_in_ten_bit_times() {
        for cycles_per_bit in [4, 5, 16, 50] {
            let mut uut = Loop::new(cycles_per_bit);
            uut.connect_all();
            uut.reset.next = true;
            cycle(&mut uut);
            uut.reset.next = false;
            for _ in 0..20 * cycles_per_bit {
                cycle(&mut uut);
            }
            let (mut sent, mut got, mut stamps) = (0u32, vec![], vec![]);
            for now in 0..(10 * cycles_per_bit + 1) * 258 {
                uut.valid.next = sent < 256;
                uut.data.next = u64::from(sent & 255).into();
                uut.update_all();
                while uut.has_changed() {
                    uut.update_all();
                }
                let moves = uut.ready.val() && sent < 256;
                cycle(&mut uut);
                sent += u32::from(moves);
                if uut.got_valid.val() {
                    assert!(!uut.got_error.val());
                    got.push(uut.got.val().to_u64() as u32);
                    stamps.push(now);
                }
            }
            assert_eq!(
                got,
                (0..256).collect::<Vec<u32>>(),
                "{cycles_per_bit} cycles a bit"
            );
            // A byte is loaded in the cycle after the last stop bit: ten bit times and that cycle.
            assert!(stamps
                .windows(2)
                .all(|w| w[1] - w[0] == 10 * cycles_per_bit + 1));
        }
    }

    #[test]
    fn a_broken_line_is_one_error_and_then_forgotten() {
        let mut uut = Loop::new(8);
        uut.connect_all();
        let mut seen = vec![];
        for now in 0..1200 {
            uut.noise.next = (100..400).contains(&now);
            uut.valid.next = now == 600;
            uut.data.next = 0x5A.into();
            cycle(&mut uut);
            if uut.got_valid.val() {
                seen.push((uut.got_error.val(), uut.got.val().to_u64()));
            }
        }
        assert_eq!(seen, [(true, 0), (false, 0x5A)]);
    }

    #[test]
    #[should_panic(expected = "cycles_per_bit is 3, but must be from 4 to 65535")]
    fn too_fast_a_line_is_refused() {
        UartTx::new(3);
    }

    #[test]
    fn equals_its_verilog() {
        let report = toe_sim::lockstep!("uart", Loop::new(4), 20_000, |uut, cycle, rng| {
            uut.reset.next = cycle < 2 || rng.random_ratio(1, 2000);
            uut.valid.next = rng.random_bool(0.5);
            uut.data.next = u64::from(rng.random::<u8>()).into();
            uut.noise.next = rng.random_ratio(1, 100);
        });
        report.assert_active();
    }
}
