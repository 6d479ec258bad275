//! Character generator (RFC 864): lines of 72 of the 95 printing characters, each line begins one character further; closes after the peer.
//!
//! What comes is read and dropped. The next character and its column are kept by connection, in memory, brought up to date with every byte that moves; so connections
//! take turns as they like. The line's first character is not kept: 72 steps on a circle of 95 lead to 24 before its successor.
//!
//! **Latency.** The take comes one cycle after the offer. **Throughput.** A byte a cycle. **Abort.** The next connection of that number begins anew (`offer_new`).
use super::AppIn;
use crate::memory::Memory;
use rust_hdl::prelude::*;

// ---- types ----

/// Where a connection is.
#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Position {
    /// ASCII, 0x20 to 0x7E.
    character: Bits<7>,
    /// 0 to 71 in the line, 72 carriage return, 73 line feed.
    column: Bits<7>,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Registers {
    /// The position is read; the take goes out.
    loading: Bit,
    character: Bits<7>,
    column: Bits<7>,
}

/// Owner 2.
#[derive(LogicBlock)]
pub struct Chargen {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub app: AppIn,
    r: DFF<Registers>,
    positions: Memory<Position, 10>,
    position: Signal<Local, Position>,
    column: Signal<Local, Bits<7>>,
    control: Signal<Local, Bit>,
    moved: Signal<Local, Bit>,
    last: Signal<Local, Bit>,
    high: Signal<Local, Bit>,
    step: Signal<Local, Bits<7>>,
    stepped: Signal<Local, Bits<7>>,
    following: Signal<Local, Bits<7>>,
    character: Signal<Local, Bits<8>>,
}

impl Chargen {
    /// For `connections` connections.
    ///
    /// # Panics
    /// If `connections` is not a power of two from 1 to 1024.
    pub fn new(connections: usize) -> Self {
        assert!(
            connections.is_power_of_two() && connections <= 1024,
            "Chargen: connections is {connections}, but must be a power of two from 1 to 1024"
        );
        Self {
            clock: Default::default(),
            reset: Default::default(),
            app: Default::default(),
            r: Default::default(),
            positions: Memory::new(connections.max(2)),
            position: Default::default(),
            column: Default::default(),
            control: Default::default(),
            moved: Default::default(),
            last: Default::default(),
            high: Default::default(),
            step: Default::default(),
            stepped: Default::default(),
            following: Default::default(),
            character: Default::default(),
        }
    }
}

impl Logic for Chargen {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers ----
        dff_setup!(self, clock, r);
        self.positions.clock.next = self.clock.val();

        // ---- named wires ----
        self.column.next = self.r.q.val().column;
        // 72 and 73 are the only columns with bits 6 and 3.
        self.control.next = self.column.val().get_bit(6) & self.column.val().get_bit(3);
        self.last.next = self.control.val() & self.column.val().get_bit(0);
        self.moved.next = self.app.tx_ready.val() & !self.r.q.val().loading;
        // One further, or 24 after a line; 95 less past the end.
        self.high.next = self.r.q.val().character == bits::<7>(0x7E);
        self.step.next = bits::<7>(1);
        if self.control.val() {
            self.high.next = bits::<7>(0x66) < self.r.q.val().character;
            self.step.next = bits::<7>(24);
            if self.high.val() {
                self.step.next = bits::<7>(57);
            }
        } else if self.high.val() {
            self.step.next = bits::<7>(34);
        }
        self.stepped.next = self.r.q.val().character + self.step.val();
        self.following.next = self.r.q.val().column + bits::<7>(1);

        // ---- position ----
        self.position.next.character = self.r.q.val().character;
        if !self.control.val() | self.last.val() {
            self.position.next.character = self.stepped.val();
        }
        self.position.next.column = self.following.val();
        if self.last.val() {
            self.position.next.column = bits::<7>(0);
        }
        if self.r.q.val().loading {
            self.position.next.character = bits::<7>(0x20);
            self.position.next.column = bits::<7>(0);
        }
        self.positions.read_address.next = self.app.offer_conn.val();
        self.positions.write_address.next = self.app.offer_conn.val();
        self.positions.write_data.next = self.position.val();
        self.positions.write_enable.next =
            self.moved.val() | (self.r.q.val().loading & self.app.offer_new.val());
        self.r.d.next.loading = self.app.offer_valid.val() & !self.r.q.val().loading;
        if self.moved.val() | self.r.q.val().loading {
            self.r.d.next.character = self.position.val().character;
            self.r.d.next.column = self.position.val().column;
        }
        if self.r.q.val().loading & !self.app.offer_new.val() {
            self.r.d.next.character = self.positions.read_data.val().character;
            self.r.d.next.column = self.positions.read_data.val().column;
        }

        // ---- outputs ----
        self.app.take_valid.next = self.r.q.val().loading;
        self.app.take_read.next = self.app.offer_readable.val();
        self.app.take_write.next = self.app.offer_writable.val();
        if self.app.offer_fin.val() {
            self.app.take_write.next = bits::<16>(0);
        }
        self.app.take_close.next = self.app.offer_fin.val();
        self.app.take_abort.next = false;
        self.app.wake_valid.next = false;
        self.app.wake_conn.next = bits::<10>(0);
        self.app.rx_ready.next = true;
        self.character.next = bit_cast::<8, 7>(self.r.q.val().character);
        if self.control.val() {
            self.character.next = bits::<8>(0x0D);
            if self.last.val() {
                self.character.next = bits::<8>(0x0A);
            }
        }
        self.app.tx_valid.next = !self.r.q.val().loading;
        self.app.tx_data.next = self.character.val();

        // ---- reset ----
        if self.reset.val() {
            self.r.d.next.loading = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{rngs::StdRng, Rng, SeedableRng};
    use std::cell::RefCell;

    /// RFC 864, as it says: a ring of the printing characters, lines of 72 out of it.
    fn text(length: usize) -> Vec<u8> {
        let ring: Vec<u8> = (b' '..=b'~').cycle().take(95 * 3).collect();
        let line = |n: usize| [&ring[n % 95..][..72], b"\r\n"].concat();
        (0..).flat_map(line).take(length).collect()
    }

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Turn {
        Pause,
        Offer(u64),
        Burst(usize),
    }

    /// The switch's side: random connections, offers and stalls.
    struct Driver {
        got: Vec<Vec<u8>>,
        new: Vec<bool>,
        turn: Turn,
        conn: usize,
        offer: (u64, u64, bool),
        cycle: u64,
        restarts: usize,
        /// How likely an offer is for a new connection.
        restart: f64,
    }

    impl Driver {
        fn new(connections: usize, restart: f64) -> Self {
            Self {
                restart,
                got: vec![vec![]; connections],
                new: vec![true; connections],
                turn: Turn::Pause,
                conn: 0,
                offer: (0, 0, false),
                cycle: 0,
                restarts: 0,
            }
        }

        fn drive(&mut self, uut: &mut Chargen, rng: &mut impl Rng) {
            uut.reset.next = self.cycle == 0;
            if self.turn == Turn::Pause && self.cycle > 0 && rng.random_bool(0.5) {
                self.turn = Turn::Offer(0);
                self.conn = rng.random_range(0..self.got.len());
                if rng.random_bool(self.restart) {
                    self.new[self.conn] = true;
                    self.restarts += 1;
                }
                if self.new[self.conn] {
                    self.got[self.conn].clear();
                }
                let most = [0, 1, 74, 75, 200][rng.random_range(0..5)];
                self.offer = (
                    rng.random_range(0..50),
                    rng.random_range(0..=most),
                    rng.random_bool(0.1),
                );
            }
            uut.app.offer_valid.next = matches!(self.turn, Turn::Offer(_));
            uut.app.offer_conn.next = (self.conn as u64).into();
            uut.app.offer_readable.next = self.offer.0.into();
            uut.app.offer_writable.next = self.offer.1.into();
            uut.app.offer_fin.next = self.offer.2;
            uut.app.offer_new.next = self.new[self.conn];
            uut.app.tx_ready.next = matches!(self.turn, Turn::Burst(_)) && rng.random_bool(0.8);
            uut.app.rx_valid.next = rng.random();
        }

        fn observe(&mut self, uut: &Chargen) {
            self.cycle += 1;
            let take = uut.app.take_valid.val();
            assert!(uut.app.rx_ready.val());
            match self.turn {
                Turn::Offer(waited) => {
                    assert_eq!(
                        take,
                        waited == 1,
                        "the take comes one cycle after the offer"
                    );
                    self.turn = Turn::Offer(waited + 1);
                    if take {
                        let write = if self.offer.2 { 0 } else { self.offer.1 };
                        assert_eq!(uut.app.take_read.val(), self.offer.0.to_bits());
                        assert_eq!(uut.app.take_write.val(), write.to_bits());
                        assert_eq!(uut.app.take_close.val(), self.offer.2);
                        self.new[self.conn] = false;
                        self.turn = Turn::Burst(write as usize);
                        if write == 0 {
                            self.turn = Turn::Pause;
                        }
                    }
                }
                Turn::Burst(left) => {
                    assert!(!take && uut.app.tx_valid.val(), "a byte each cycle");
                    if uut.app.tx_ready.val() {
                        let byte: u64 = uut.app.tx_data.val().to_u64();
                        self.got[self.conn].push(byte as u8);
                        self.turn = Turn::Burst(left - 1);
                        if left == 1 {
                            self.turn = Turn::Pause;
                        }
                    }
                }
                Turn::Pause => assert!(!take),
            }
        }

        fn check(&self) {
            assert!(self.restarts > 0);
            for got in &self.got {
                assert_eq!(*got, text(got.len()));
            }
        }
    }

    fn settle(uut: &mut Chargen) {
        for _ in 0..20 {
            uut.update_all();
            if !uut.has_changed() {
                return;
            }
        }
        panic!("does not settle");
    }

    /// Past all 95 lines, whichever connection's turn it is.
    #[test]
    fn writes_the_lines_of_the_rfc() {
        let mut uut = Chargen::new(4);
        uut.connect_all();
        let mut driver = Driver::new(4, 0.001);
        let mut rng = StdRng::seed_from_u64(864);
        settle(&mut uut);
        let mut longest = 0;
        for _ in 0..150_000 {
            driver.drive(&mut uut, &mut rng);
            settle(&mut uut);
            driver.observe(&uut);
            longest = longest.max(driver.got.iter().map(Vec::len).max().unwrap_or(0));
            if driver.cycle.is_multiple_of(1000) {
                for got in &driver.got {
                    assert_eq!(*got, text(got.len()));
                }
            }
            for clk in [true, false] {
                uut.clock.next = Clock { clk };
                settle(&mut uut);
            }
        }
        driver.check();
        assert!(longest > 95 * 74, "{longest}");
    }

    #[test]
    fn lockstep() {
        let driver = RefCell::new(Driver::new(4, 0.02));
        let report = toe_sim::lockstep::lockstep_observed(
            "chargen",
            || Chargen::new(4),
            |uut, clk| uut.clock.next = Clock { clk },
            20_000,
            1,
            |uut, _, rng| driver.borrow_mut().drive(uut, rng),
            |uut, _| driver.borrow_mut().observe(uut),
        )
        .unwrap_or_else(|error| panic!("{error}"));
        driver.borrow().check();
        assert_eq!(
            report.never_changed(),
            ["app$take_abort", "app$wake_valid", "app$wake_conn"]
        );
    }
}
