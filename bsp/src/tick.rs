//! Time enters the engine as one strobe; on a board the clock makes it.
//!
//! **Latency**: the first tick comes `cycles` cycles after the start. **Throughput**: one tick every `cycles` cycles, for ever. It counts down and tests the
//! borrow, so the carry chain is not compared with anything.
use rust_hdl::prelude::*;

/// One cycle of `tick` in every `cycles`.
#[derive(LogicBlock)]
pub struct Tick {
    pub clock: Signal<In, Clock>,
    pub tick: Signal<Out, Bit>,
    left: DFF<Bits<18>>,
    less: Signal<Local, Bits<18>>,
    borrow: Signal<Local, Bit>,
    reload: Constant<Bits<18>>,
}

impl Tick {
    /// # Panics
    /// If `cycles` is not from 2 to 131,072.
    pub fn new(cycles: u32) -> Self {
        assert!(
            (2..=131_072).contains(&cycles),
            "Tick: cycles is {cycles}, but must be from 2 to 131072"
        );
        Self {
            clock: Default::default(),
            tick: Default::default(),
            left: Default::default(),
            less: Default::default(),
            borrow: Default::default(),
            reload: Constant::new((u64::from(cycles) - 2).into()),
        }
    }
}

impl Logic for Tick {
    #[hdl_gen]
    fn update(&mut self) {
        self.left.clock.next = self.clock.val();
        self.less.next = self.left.q.val() - 1;
        self.borrow.next = self.left.q.val().get_bit(17);
        self.left.d.next = self.less.val();
        if self.borrow.val() {
            self.left.d.next = self.reload.val();
        }
        self.tick.next = self.borrow.val();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(cycles: u32, run: u32) -> Vec<u32> {
        let mut uut = Tick::new(cycles);
        uut.connect_all();
        let mut seen = vec![];
        for cycle in 0..run {
            for clk in [true, false] {
                uut.clock.next = Clock { clk };
                uut.update_all();
                while uut.has_changed() {
                    uut.update_all();
                }
            }
            if uut.tick.val() {
                seen.push(cycle);
            }
        }
        seen
    }

    #[test]
    fn one_tick_in_every_so_many_cycles() {
        for cycles in [2, 3, 1000] {
            let seen = ticks(cycles, cycles * 5);
            assert!(seen.len() >= 4, "{cycles}: {seen:?}");
            assert!(seen.windows(2).all(|w| w[1] - w[0] == cycles), "{seen:?}");
        }
    }

    #[test]
    fn equals_its_verilog() {
        toe_sim::lockstep!("tick", Tick::new(37), 10_000, |_uut, _cycle, _rng| {}).assert_active();
    }
}
