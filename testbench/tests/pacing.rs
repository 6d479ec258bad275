//! A pacer at the engine's ports `pace_…` ([`toe_hdl::tcp::pacing`]): each connection has a rate of its own, and the line shows it. What waits and what does not, the program's scripts hold.
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_hdl::tcp::pacing::HOLD_CYCLES;
use toe_host::board::{Backend, Pacer};
use toe_sim::fault::Faults;
use toe_testbench::transfers::{self, Call, Flow, Role};

/// When a segment left, whose, and how many bytes of text.
type Left = Vec<(u64, u16, u16)>;

/// The simplest pacer there is: a segment of n bytes, and then none for n times so many cycles.
struct Intervals {
    /// Cycles a byte, by connection; who is not here is never held.
    rates: BTreeMap<u16, u64>,
    until: BTreeMap<u16, u64>,
    /// Held and not let go so far.
    held: BTreeMap<u16, bool>,
    /// The numbers of the last cycles, so that the answer is as late as it may be.
    asked: VecDeque<u16>,
    left: Rc<RefCell<Left>>,
}

impl Intervals {
    fn new(rates: &[(u16, u64)], late: usize) -> (Self, Rc<RefCell<Left>>) {
        let left = Rc::new(RefCell::new(vec![]));
        let pacer = Self {
            rates: rates.iter().copied().collect(),
            until: BTreeMap::new(),
            held: BTreeMap::new(),
            asked: vec![0; late].into(),
            left: left.clone(),
        };
        (pacer, left)
    }
}

impl Pacer for Intervals {
    fn sent(&mut self, cycle: u64, conn: u16, length: u16) {
        self.left.borrow_mut().push((cycle, conn, length));
        if let Some(rate) = self.rates.get(&conn) {
            self.until.insert(conn, cycle + rate * u64::from(length));
            self.held.insert(conn, true);
        }
    }

    fn holds(&mut self, cycle: u64, conn: u16) -> bool {
        self.asked.push_back(conn);
        let conn = self.asked.pop_front().expect("it was put there");
        self.until.get(&conn).is_some_and(|until| cycle < *until)
    }

    fn wakes(&mut self, cycle: u64) -> Option<u16> {
        let over = |conn: &u16| cycle >= self.until[conn];
        self.held.keys().copied().find(over)
    }

    fn woken(&mut self, conn: u16) {
        self.held.remove(&conn);
    }
}

/// Three peers read what is poured, and of two of them the text is paced.
fn paced(
    (name, backend, size): (&str, Backend, usize),
    rates: &[(u16, u64)],
    late: usize,
    faults: &Faults,
) -> (Left, u64) {
    let config = ToeConfig::default();
    let mut board = transfers::board(&config, backend);
    let (pacer, left) = Intervals::new(rates, late);
    board.set_pacer(pacer).expect("there are ports for one");
    let calls = [0, 1, 2].map(|n| Call::new(Role::Passive, Flow::Out, size, 40_000 + n));
    let talks = calls.map(|call| call.talk(transfers::ip(&config), 1));
    let done = transfers::transfer(name, &config, board, talks.into(), faults, 1, 60_000_000);
    let again = done.counters[&Cause::Retransmit];
    let left = left.borrow().clone();
    assert!(left.iter().all(|(.., length)| *length > 0));
    for conn in 0..3 {
        let bytes: usize = left
            .iter()
            .filter(|s| s.1 == conn)
            .map(|s| usize::from(s.2))
            .sum();
        assert!(bytes >= size, "{bytes} of {conn}");
    }
    (left, again)
}

#[test]
fn each_connection_has_the_rate_that_its_pacer_says() {
    for late in [0, HOLD_CYCLES] {
        let rates = [(0, 10), (1, 25)];
        let on = ("pacing", Backend::Verilog, 100_000);
        let (left, again) = paced(on, &rates, late, &Faults::default());
        assert_eq!(again, 0);
        for (conn, rate) in rates {
            // The last are what is left once the peer has read enough.
            let of: Vec<_> = left.iter().filter(|s| s.1 == conn).take(60).collect();
            // Sooner never; and while there is text to be sent hardly later than it may: an event, and what is before it on the line.
            let gaps: Vec<_> = of
                .windows(2)
                .map(|two| (two[1].0 - two[0].0, rate * u64::from(two[0].2)))
                .collect();
            for (gap, due) in &gaps {
                assert!(gap >= due, "{late} late: {conn} {gap} cycles, not {due}");
            }
            // The first ten share the line with the one that is not paced.
            let more: Vec<_> = gaps.iter().skip(10).map(|(gap, due)| gap - due).collect();
            let prompt = more.iter().filter(|more| **more <= 400).count();
            println!(
                "{late} late, {conn}: {} segments, {prompt} at most 400 cycles after they may, {} at most",
                of.len(),
                more.iter().max().unwrap_or(&0)
            );
            assert!(
                10 * prompt >= 9 * more.len(),
                "{late} late, {conn}: {more:?}"
            );
        }
        // Whoever is not paced has the line to himself.
        let took = |conn| {
            let of: Vec<_> = left.iter().filter(|s| s.1 == conn).collect();
            of[59].0 - of[0].0
        };
        assert!(4 * took(2) < took(0), "{}", took(2));
        assert!(2 * took(0) < took(1));
    }
}

#[test]
fn with_loss_every_byte_arrives_all_the_same() {
    let faults = Faults {
        loss: 0.03,
        reorder: 0.05,
        ..Faults::default()
    };
    let rates = [(0, 10), (1, 25), (2, 5)];
    let on = ("pacing-loss", Backend::Verilog, 100_000);
    let (_, again) = paced(on, &rates, HOLD_CYCLES, &faults);
    assert!(again > 0);
}

#[test]
fn paced_the_blocks_and_their_verilog_agree_in_every_cycle() {
    let on = ("pacing-lockstep", Backend::Lockstep, 6_000);
    let (left, _) = paced(on, &[(0, 4), (1, 9)], 2, &Faults::default());
    assert!(left.len() >= 12);
}

/// One who is held for ever holds nobody else, and lets him go no later than he is asked to.
#[test]
fn one_who_is_held_for_ever_holds_nobody_else() {
    struct Never(Option<u16>);
    impl Pacer for Never {
        fn sent(&mut self, _: u64, conn: u16, _: u16) {
            self.0.get_or_insert(conn);
        }
        fn holds(&mut self, _: u64, conn: u16) -> bool {
            self.0 == Some(conn)
        }
        fn wakes(&mut self, _: u64) -> Option<u16> {
            None
        }
        fn woken(&mut self, _: u16) {}
    }
    let config = ToeConfig::default();
    let mut board = transfers::board(&config, Backend::Verilog);
    board
        .set_pacer(Never(None))
        .expect("there are ports for one");
    let mut bench = toe_testbench::liveness::Bench::around("pacing-never", &config, board);
    // The first gets one segment of its echo and no more; then others come and go.
    let mut first = bench.client(vec![5; 4000]);
    for _ in 0..200_000 {
        let now = bench.board.cycles();
        if let Some(frame) = first.poll(now) {
            bench.send(frame);
        }
        bench.cycle();
        for t in std::mem::take(&mut bench.segments) {
            first.take(&t).expect("it keeps to the rules");
        }
    }
    assert!(first.is_open() && !first.is_done());
    for _ in 0..5 {
        bench.alive();
    }
}
