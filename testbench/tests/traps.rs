//! Each way in which rust-hdl 0.46 and its Verilog are known to disagree: lockstep must see it, or a tool must refuse it.
//!
//! A row that one day no longer differs is good news, and its test then fails: the trap is gone and the rule that avoids it can go too.
use rand::Rng;
use rust_hdl::prelude::*;
use toe_sim::lockstep::{lockstep, Difference, LockstepError, LockstepReport};

const CYCLES: u64 = 2_000;

fn set_clock<B>(_: &mut B, _: bool) {}

/// The block must run differently from its Verilog, at this port.
#[track_caller]
fn caught(result: Result<LockstepReport, LockstepError>, port: &str) -> Difference {
    match result {
        Err(LockstepError::Difference(difference)) => {
            assert_eq!(difference.port, port, "{difference}");
            assert_ne!(difference.rust, difference.verilog);
            assert!(difference.to_string().contains("TOE_SEED="));
            for ending in ["v", "rust.vcd", "cxxrtl.vcd"] {
                let file = difference.files.with_extension(ending);
                assert!(file.metadata().unwrap().len() > 100, "{}", file.display());
            }
            *difference
        }
        other => panic!("not caught: {other:?}"),
    }
}

/// The block must be refused before it runs, in these words.
#[track_caller]
fn refused(result: Result<LockstepReport, LockstepError>, words: &str) {
    match result {
        Err(LockstepError::Difference(difference)) => panic!("ran: {difference}"),
        Err(error) => assert!(error.to_string().contains(words), "{error}"),
        Ok(report) => panic!("not refused: {report:?}"),
    }
}

/// A combinational block of two inputs `a`, `b` and one output `y`, driven at random, and how it ends.
macro_rules! trap {
    ($test:ident, $in:ty, $out:ty, { $($update:tt)* }, $check:expr) => {
        mod $test {
            use super::*;

            #[derive(LogicBlock, Default)]
            struct Wrong {
                a: Signal<In, $in>,
                b: Signal<In, $in>,
                y: Signal<Out, $out>,
            }

            impl Logic for Wrong {
                $($update)*
            }

            #[test]
            fn test() {
                let result = lockstep(
                    stringify!($test),
                    Wrong::default,
                    set_clock,
                    CYCLES,
                    1,
                    |uut, _, rng| {
                        let limit = 1_u64 << <$in as Synth>::BITS;
                        uut.a.next = rng.random_range(0..limit).to_bits();
                        uut.b.next = rng.random_range(0..limit).to_bits();
                    },
                );
                $check(result);
            }
        }
    };
}

trap!(
    sound,
    Bits<16>,
    Bits<16>,
    {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.a.val() ^ self.b.val();
        }
    },
    |result: Result<LockstepReport, _>| result.unwrap().assert_active()
);

trap!(
    precedence,
    Bits<3>,
    Bit,
    {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.a.val() & self.b.val() == self.b.val();
        }
    },
    |result| caught(result, "y")
);

trap!(
    sum_compared,
    Bits<4>,
    Bit,
    {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.a.val() + self.b.val() == bits::<4>(0);
        }
    },
    |result| caught(result, "y")
);

trap!(
    difference_compared,
    Bits<16>,
    Bit,
    {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.a.val() - self.b.val() < bits::<16>(8000);
        }
    },
    |result| caught(result, "y")
);

trap!(
    sum_cast,
    Bits<16>,
    Bits<32>,
    {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = bit_cast::<32, 16>(self.a.val() + self.b.val());
        }
    },
    |result| caught(result, "y")
);

trap!(
    inverse_cast,
    Bits<16>,
    Bits<32>,
    {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = bit_cast::<32, 16>(!self.a.val());
        }
    },
    |result| caught(result, "y")
);

trap!(
    slice_past_the_top,
    Bits<8>,
    Bits<8>,
    {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.a.val().get_bits::<8>(4);
        }
    },
    |result| refused(result, "out of bounds")
);

mod inclusive_range {
    use super::*;

    #[derive(LogicBlock, Default)]
    struct Wrong {
        a: Signal<In, Bit>,
        y: [Signal<Out, Bit>; 4],
    }

    impl Logic for Wrong {
        #[hdl_gen]
        fn update(&mut self) {
            self.y[3].next = false;
            for i in 0..=3 {
                self.y[i].next = self.a.val();
            }
        }
    }

    #[test]
    fn test() {
        let result = lockstep(
            "inclusive_range",
            Wrong::default,
            set_clock,
            CYCLES,
            1,
            |uut, _, rng| uut.a.next = rng.random(),
        );
        caught(result, "y$3");
    }
}

mod guard {
    use super::*;

    #[derive(LogicState, Copy, Clone, Debug, PartialEq)]
    enum State {
        Idle,
        Busy,
    }

    #[derive(LogicBlock, Default)]
    struct Wrong {
        state: Signal<In, State>,
        condition: Signal<In, Bit>,
        y: Signal<Out, Bit>,
    }

    impl Logic for Wrong {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = false;
            match self.state.val() {
                State::Idle if self.condition.val() => self.y.next = true,
                _ => self.y.next = false,
            }
        }
    }

    #[test]
    fn test() {
        let result = lockstep(
            "guard",
            Wrong::default,
            set_clock,
            CYCLES,
            1,
            |uut, _, rng| {
                uut.state.next = [State::Idle, State::Busy][rng.random_range(0..2)];
                uut.condition.next = rng.random();
            },
        );
        let difference = caught(result, "y");
        assert_eq!((&*difference.rust, &*difference.verilog), ("0x0", "0x1"));
    }
}

/// Reading a submodule's input: Rust sees the value of the pass before.
mod submodule_input {
    use super::*;

    #[derive(LogicBlock, Default)]
    struct Wrong {
        clock: Signal<In, Clock>,
        reset: Signal<In, Bit>,
        a: Signal<In, Bits<8>>,
        y: Signal<Out, Bits<8>>,
        register: DFF<Bits<8>>,
    }

    impl Logic for Wrong {
        #[hdl_gen]
        fn update(&mut self) {
            dff_setup!(self, clock, register);
            self.register.d.next = self.a.val();
            self.y.next = self.register.d.val();
            if self.reset.val() {
                self.register.d.next = bits::<8>(0);
            }
        }
    }

    #[test]
    fn test() {
        let result = lockstep(
            "submodule_input",
            Wrong::default,
            |uut, clk| uut.clock.next = Clock { clk },
            CYCLES,
            1,
            |uut, _, rng| {
                uut.reset.next = rng.random_bool(0.3);
                uut.a.next = rng.random_range(1..256_u64).to_bits();
            },
        );
        let difference = caught(result, "y");
        assert_eq!(difference.rust, "0x0"); // the settled value, after the reset
    }
}

/// CXXRTL has no X and would read zero too; the text of the memory shows it, and the build refuses it.
mod unwritten_memory {
    use super::*;

    #[derive(LogicBlock, Default)]
    struct Wrong {
        clock: Signal<In, Clock>,
        address: Signal<In, Bits<4>>,
        write_address: Signal<In, Bits<4>>,
        data: Signal<In, Bits<8>>,
        write: Signal<In, Bit>,
        y: Signal<Out, Bits<8>>,
        ram: RAM<Bits<8>, 4>,
    }

    impl Logic for Wrong {
        #[hdl_gen]
        fn update(&mut self) {
            self.ram.read_clock.next = self.clock.val();
            self.ram.write_clock.next = self.clock.val();
            self.ram.read_address.next = self.address.val();
            self.ram.write_address.next = self.write_address.val();
            self.ram.write_data.next = self.data.val();
            self.ram.write_enable.next = self.write.val();
            self.y.next = self.ram.read_data.val();
        }
    }

    #[test]
    fn test() {
        let result = lockstep(
            "unwritten_memory",
            Wrong::default,
            |uut, clk| uut.clock.next = Clock { clk },
            CYCLES,
            1,
            |_, _, _| {},
        );
        refused(result, "without an initial value");
    }
}

// What the tools refuse already must come back as an error that names the place, not as a panic and not as a pass.

trap!(
    latch,
    Bits<8>,
    Bits<8>,
    {
        #[hdl_gen]
        fn update(&mut self) {
            if self.a.val() == self.b.val() {
                self.y.next = self.a.val();
            }
        }
    },
    |result| refused(result, "Latch inferred")
);

const LIMIT: u64 = 3;

trap!(
    constant_by_name,
    Bits<8>,
    Bits<8>,
    {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.a.val() & LIMIT;
        }
    },
    |result| refused(result, "implicitly declared")
);

trap!(
    bit_of_a_sum,
    Bits<8>,
    Bit,
    {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = (self.a.val() + self.b.val()).get_bit(3);
        }
    },
    |result| refused(result, "syntax error")
);

mod read_before_write {
    use super::*;

    #[derive(LogicBlock, Default)]
    struct Wrong {
        a: Signal<In, Bit>,
        early: Signal<Local, Bit>,
        y: Signal<Out, Bit>,
    }

    impl Logic for Wrong {
        #[hdl_gen]
        fn update(&mut self) {
            self.y.next = self.early.val();
            self.early.next = self.a.val();
        }
    }

    #[test]
    fn test() {
        let result = lockstep(
            "read_before_write",
            Wrong::default,
            set_clock,
            CYCLES,
            1,
            |_, _, _| {},
        );
        refused(result, "early");
    }
}

mod never_driven {
    use super::*;

    #[derive(LogicBlock, Default)]
    struct Wrong {
        clock: Signal<In, Clock>,
        y: Signal<Out, Bits<8>>,
        register: DFF<Bits<8>>,
    }

    impl Logic for Wrong {
        #[hdl_gen]
        fn update(&mut self) {
            self.register.clock.next = self.clock.val();
            self.y.next = self.register.q.val();
        }
    }

    #[test]
    fn test() {
        let result = lockstep(
            "never_driven",
            Wrong::default,
            set_clock,
            CYCLES,
            1,
            |_, _, _| {},
        );
        refused(result, "never driven: uut.register.d");
    }
}
