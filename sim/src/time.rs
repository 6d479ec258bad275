//! What drives the design's one `tick` input: simulated time, or the clock on the wall.
use std::time::{Duration, Instant};

/// The engine's unit of time.
pub const TICK: Duration = Duration::from_millis(1);

/// Says in which cycles `tick` is high, and what time that makes.
pub trait TickSource {
    /// Whether `tick` is high in this cycle. Called once for each, in order.
    fn tick(&mut self, cycle: u64) -> bool;
    /// The time of the cycle asked for last, in microseconds since the start.
    fn now_us(&self) -> u64;
}

/// Time is a count of cycles: the same run every time, as fast as the machine allows.
#[derive(Debug, Clone)]
pub struct SimulatedTime {
    cycles_per_tick: u64,
    cycle: u64,
}

impl SimulatedTime {
    /// One tick every so many cycles, the first at the end of the first period.
    ///
    /// # Panics
    /// If `cycles_per_tick` is zero.
    pub fn new(cycles_per_tick: u64) -> Self {
        assert!(
            cycles_per_tick > 0,
            "SimulatedTime: cycles_per_tick is 0, at least 1 is needed"
        );
        Self {
            cycles_per_tick,
            cycle: 0,
        }
    }
}

impl TickSource for SimulatedTime {
    fn tick(&mut self, cycle: u64) -> bool {
        self.cycle = cycle;
        cycle % self.cycles_per_tick == self.cycles_per_tick - 1
    }

    fn now_us(&self) -> u64 {
        let us = u128::from(self.cycle) * TICK.as_micros() / u128::from(self.cycles_per_tick);
        us as u64
    }
}

/// Time is real: retransmission and keep-alive run at their true pace against a real peer. When the simulation was held up it makes
/// good what it missed, one tick a cycle.
#[derive(Debug, Clone)]
pub struct RealTime {
    start: Instant,
    ticks: u64,
    now: Duration,
    next_look: u64,
}

/// Reading the clock costs as much as a cycle of a small design.
const CYCLES_PER_LOOK: u64 = 16;

impl RealTime {
    /// Starts now.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            ticks: 0,
            now: Duration::ZERO,
            next_look: 0,
        }
    }

    fn tick_at(&mut self, now: Duration) -> bool {
        self.now = now;
        let due = now.as_millis() > u128::from(self.ticks);
        self.ticks += u64::from(due);
        due
    }
}

impl Default for RealTime {
    fn default() -> Self {
        Self::new()
    }
}

impl TickSource for RealTime {
    fn tick(&mut self, cycle: u64) -> bool {
        if cycle >= self.next_look {
            self.next_look = cycle + CYCLES_PER_LOOK;
            self.now = self.start.elapsed();
        }
        self.tick_at(self.now)
    }

    fn now_us(&self) -> u64 {
        self.now.as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simulated_time_ticks_at_the_end_of_each_period() {
        let mut time = SimulatedTime::new(3);
        let ticks: Vec<u64> = (0..10).filter(|&cycle| time.tick(cycle)).collect();
        assert_eq!(ticks, [2, 5, 8]);
        assert_eq!(time.now_us(), 3_000); // cycle 9 begins the fourth millisecond
        let mut every = SimulatedTime::new(1);
        assert!((0..5).all(|cycle| every.tick(cycle)));
    }

    #[test]
    #[should_panic(expected = "cycles_per_tick is 0")]
    fn no_cycles_a_tick_is_refused() {
        SimulatedTime::new(0);
    }

    #[test]
    fn real_time_makes_good_what_it_missed_and_no_more() {
        let mut time = RealTime::new();
        let us = Duration::from_micros;
        assert!(!time.tick_at(us(999)));
        assert!(time.tick_at(us(1_000)));
        assert!(!time.tick_at(us(1_999)));
        let made_good = (0..10).filter(|_| time.tick_at(us(4_500))).count();
        assert_eq!((made_good, time.now_us()), (3, 4_500));
    }

    #[test]
    fn real_time_follows_the_wall() {
        let mut time = RealTime::new();
        let start = Instant::now();
        let (mut cycle, mut ticks) = (0, 0);
        while start.elapsed() < Duration::from_millis(20) {
            ticks += u64::from(time.tick(cycle));
            cycle += 1;
        }
        assert!((10..=21).contains(&ticks), "{ticks} ticks in 20 ms");
    }
}
