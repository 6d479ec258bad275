//! Four timers a connection: deadlines in RAM, one comparison, a scan of all at each tick.
//!
//! **Latency.** `TIMER_SET` and `TIMER_CLEAR` are done in 1 to 3 cycles, `TIMER_TAKE` in 7 to 9. **Throughput.** The scan looks at a timer every 3 cycles
//! when no command comes and waits while an expiry is being posted. A tick that comes during a scan is remembered; ticks beyond that are made good by the next
//! scan, for deadlines are compared by the sign of the difference (so `a` must stay below 2^23).
//!
//! A timer set to `a` expires at the a-th tick from then. Expiry disarms it, sets its expired bit and posts `timer`. After `reset` all
//! timers are cleared, one a cycle, before commands are answered.
use super::command::CommandIn;
use super::events::PostOut;
use super::gates::Concat;
use super::isa;
use crate::memory::Memory;
use rust_hdl::prelude::*;

/// A timer. Never both armed and expired.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
pub struct Timer {
    deadline: Bits<24>,
    armed: Bit,
    expired: Bit,
}

/// What is being done.
#[derive(LogicState, Copy, Clone, Debug, PartialEq)]
pub enum Step {
    /// Does a command, or reads the scan's next timer.
    Idle,
    /// The scan's timer appears …
    Read,
    /// … and is looked at.
    Check,
    /// The connection's first timer is asked for, and then appears.
    First,
    /// Timer `take` of the connection is there.
    Take,
    /// After reset.
    Clear,
}

/// All registers.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
pub struct Scan {
    step: Step,
    /// What the memory gave a cycle ago.
    word: Bits<26>,
    scanning: Bit,
    /// A tick came during the scan.
    again: Bit,
    at: Bits<12>,
    take: Bits<2>,
    taken0: Bit,
    taken1: Bit,
    taken2: Bit,
    post: Bit,
    post_conn: Bits<10>,
}

/// The upper bits of a timer's address.
#[derive(LogicBlock, Debug, Default)]
pub struct ConnOf {
    pub from: Signal<In, Bits<12>>,
    pub to: Signal<Out, Bits<10>>,
}

impl Logic for ConnOf {
    fn update(&mut self) {
        self.to.next = (self.from.val().to_u64() >> 2).to_bits();
    }

    fn connect(&mut self) {
        self.to.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) to = from[11:2];\n".into())
    }
}

/// The timers of all connections.
#[derive(LogicBlock)]
pub struct Timers {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// High in the cycle whose edge makes `now` one more.
    pub tick: Signal<In, Bit>,
    /// Ticks since reset (from the engine).
    pub now: Signal<In, Bits<24>>,
    /// `TIMER_SET`, `TIMER_CLEAR`, `TIMER_TAKE`.
    pub command: CommandIn,
    pub post: PostOut,

    // Registers and memory.
    scan: DFF<Scan>,
    memory: Memory<Bits<26>, 12>,
    read_timer: AsTimer,
    write_timer: FromTimer,
    command_at: Concat<10, 2, 12>,
    take_at: Concat<10, 2, 12>,
    read_take_at: Concat<10, 2, 12>,
    mask: Mask,
    scan_conn: ConnOf,

    // Named wires.
    step: Signal<Local, Step>,
    code: Signal<Local, Bits<6>>,
    is_take: Signal<Local, Bit>,
    is_timer: Signal<Local, Bit>,
    take: Signal<Local, Bits<2>>,
    next_take: Signal<Local, Bits<2>>,
    read_take: Signal<Local, Bits<2>>,
    deadline: Signal<Local, Bits<24>>,
    late: Signal<Local, Bits<24>>,
    due: Signal<Local, Bit>,
    next_at: Signal<Local, Bits<12>>,
    done: Signal<Local, Bit>,
    write: Signal<Local, Bit>,
    post_bit: Constant<Bits<3>>,
    take_code: Constant<Bits<6>>,
    last: Constant<Bits<12>>,
}

/// Four bits as a number.
#[derive(LogicBlock, Debug, Default)]
pub struct Mask {
    pub bit0: Signal<In, Bit>,
    pub bit1: Signal<In, Bit>,
    pub bit2: Signal<In, Bit>,
    pub bit3: Signal<In, Bit>,
    pub to: Signal<Out, Bits<4>>,
}

impl Logic for Mask {
    fn update(&mut self) {
        let bits = [
            self.bit0.val(),
            self.bit1.val(),
            self.bit2.val(),
            self.bit3.val(),
        ];
        let sum: u64 = (0..4).map(|i| u64::from(bits[i]) << i).sum();
        self.to.next = sum.to_bits();
    }

    fn connect(&mut self) {
        self.to.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) to = {bit3, bit2, bit1, bit0};\n".into())
    }
}

/// A memory word seen as a timer.
#[derive(LogicBlock, Debug, Default)]
pub struct AsTimer {
    pub from: Signal<In, Bits<26>>,
    pub to: Signal<Out, Timer>,
}

impl Logic for AsTimer {
    fn update(&mut self) {
        let word = self.from.val().to_u64();
        self.to.next = Timer {
            deadline: (word & 0xFF_FFFF).to_bits(),
            armed: word >> 24 & 1 != 0,
            expired: word >> 25 != 0,
        };
    }

    fn connect(&mut self) {
        self.to.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) to = from;\n".into())
    }
}

/// A timer as a memory word.
#[derive(LogicBlock, Debug, Default)]
pub struct FromTimer {
    pub deadline: Signal<In, Bits<24>>,
    pub armed: Signal<In, Bit>,
    pub expired: Signal<In, Bit>,
    pub to: Signal<Out, Bits<26>>,
}

impl Logic for FromTimer {
    fn update(&mut self) {
        let state = u64::from(self.expired.val()) << 1 | u64::from(self.armed.val());
        self.to.next = (state << 24 | self.deadline.val().to_u64()).to_bits();
    }

    fn connect(&mut self) {
        self.to.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) to = {expired, armed, deadline};\n".into())
    }
}

impl Timers {
    /// For `connections` connections, those in TIME-WAIT among them.
    ///
    /// # Panics
    /// If `connections` is not from 1 to 1024.
    pub fn new(connections: usize) -> Self {
        assert!(
            (1..=1024).contains(&connections),
            "Timers: connections is {connections}, but must be from 1 to 1024"
        );
        Self {
            clock: Default::default(),
            reset: Default::default(),
            tick: Default::default(),
            now: Default::default(),
            command: Default::default(),
            post: Default::default(),
            scan: Default::default(),
            memory: Memory::new(4 * connections.next_power_of_two()),
            read_timer: Default::default(),
            write_timer: Default::default(),
            command_at: Default::default(),
            take_at: Default::default(),
            read_take_at: Default::default(),
            mask: Default::default(),
            scan_conn: Default::default(),
            step: Default::default(),
            code: Default::default(),
            is_take: Default::default(),
            is_timer: Default::default(),
            take: Default::default(),
            next_take: Default::default(),
            read_take: Default::default(),
            deadline: Default::default(),
            late: Default::default(),
            due: Default::default(),
            next_at: Default::default(),
            done: Default::default(),
            write: Default::default(),
            post_bit: Constant::new(u64::from(isa::pending::TIMER).to_bits()),
            take_code: Constant::new(u64::from(isa::cmd::TIMER_TAKE).to_bits()),
            last: Constant::new((4 * connections as u64 - 1).to_bits()),
        }
    }
}

impl Logic for Timers {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- Registers ----
        dff_setup!(self, clock, scan);
        self.memory.clock.next = self.clock.val();

        // ---- Named wires ----
        self.step.next = self.scan.q.val().step;
        self.code.next = self.command.code.val();
        self.is_take.next = self.command.valid.val() & (self.code.val() == self.take_code.val());
        // 0x30 to 0x37; bit 2 is CLEAR.
        self.is_timer.next = self.command.valid.val()
            & self.code.val().get_bit(5)
            & self.code.val().get_bit(4)
            & !self.code.val().get_bit(3);
        self.command_at.high.next = self.command.conn.val();
        self.command_at.low.next = bit_cast::<2, 6>(self.code.val());
        self.take.next = self.scan.q.val().take;
        self.next_take.next = self.take.val() + 1;
        self.read_take.next = self.take.val() + 2;
        self.take_at.high.next = self.command.conn.val();
        self.take_at.low.next = self.take.val();
        self.read_take_at.high.next = self.command.conn.val();
        self.read_take_at.low.next = self.read_take.val();
        self.scan_conn.from.next = self.scan.q.val().at;
        self.next_at.next = self.scan.q.val().at + 1;
        self.deadline.next = self.now.val() + bit_cast::<24, 32>(self.command.a.val());
        self.scan.d.next.word = self.memory.read_data.val();
        self.read_timer.from.next = self.scan.q.val().word;
        self.late.next = self.now.val() - self.read_timer.to.val().deadline;
        self.due.next = self.read_timer.to.val().armed & !self.late.val().get_bit(23);
        self.done.next = false;

        // ---- Memory: nothing is read at the edge that writes it ----
        self.write.next = false;
        self.memory.read_address.next = self.scan.q.val().at;
        self.memory.write_address.next = self.command_at.to.val();
        self.write_timer.deadline.next = self.deadline.val();
        self.write_timer.armed.next = false;
        self.write_timer.expired.next = false;

        // ---- Posting ----
        if self.post.ready.val() {
            self.scan.d.next.post = false;
        }

        // ---- State machine ----
        match self.step.val() {
            Step::Idle => {
                if self.is_timer.val() {
                    self.write.next = true;
                    self.write_timer.armed.next = !self.code.val().get_bit(2);
                    self.done.next = true;
                } else if self.is_take.val() {
                    // Two before the first: no address hangs on a command in its first cycle, in which it comes late.
                    self.scan.d.next.take = bits::<2>(2);
                    self.scan.d.next.step = Step::First;
                } else if self.scan.q.val().scanning & !self.scan.q.val().post {
                    self.scan.d.next.step = Step::Read;
                }
            }
            Step::Read => {
                self.scan.d.next.step = Step::Check;
            }
            Step::Check => {
                self.memory.write_address.next = self.scan.q.val().at;
                if self.due.val() {
                    self.write.next = true;
                    self.write_timer.expired.next = true;
                    self.scan.d.next.post = true;
                    self.scan.d.next.post_conn = self.scan_conn.to.val();
                }
                self.scan.d.next.at = self.next_at.val();
                if self.scan.q.val().at == self.last.val() {
                    self.scan.d.next.at = bits::<12>(0);
                    self.scan.d.next.scanning = self.scan.q.val().again;
                    self.scan.d.next.again = false;
                }
                self.scan.d.next.step = Step::Idle;
            }
            Step::First => {
                self.memory.read_address.next = self.read_take_at.to.val();
                self.scan.d.next.take = self.next_take.val();
                if self.take.val() == bits::<2>(3) {
                    self.scan.d.next.step = Step::Take;
                }
            }
            Step::Take => {
                // Timer `take` is there; the next is on its way, the one behind it is asked for.
                self.memory.read_address.next = self.read_take_at.to.val();
                self.memory.write_address.next = self.take_at.to.val();
                self.write.next = self.read_timer.to.val().expired;
                self.scan.d.next.take = self.next_take.val();
                self.scan.d.next.taken0 = self.scan.q.val().taken1;
                self.scan.d.next.taken1 = self.scan.q.val().taken2;
                self.scan.d.next.taken2 = self.read_timer.to.val().expired;
                if self.take.val() == bits::<2>(3) {
                    self.done.next = true;
                    self.scan.d.next.step = Step::Idle;
                }
            }
            _ => {
                self.memory.write_address.next = self.scan.q.val().at;
                self.write.next = true;
                self.scan.d.next.at = self.next_at.val();
                if self.scan.q.val().at == self.last.val() {
                    self.scan.d.next.at = bits::<12>(0);
                    self.scan.d.next.step = Step::Idle;
                }
            }
        }
        self.memory.write_enable.next = self.write.val();
        self.memory.write_data.next = self.write_timer.to.val();

        // ---- Ticks ----
        if self.tick.val() {
            self.scan.d.next.scanning = true;
            self.scan.d.next.again = self.scan.q.val().scanning;
        }

        // ---- Outputs ----
        self.mask.bit0.next = self.scan.q.val().taken0;
        self.mask.bit1.next = self.scan.q.val().taken1;
        self.mask.bit2.next = self.scan.q.val().taken2;
        self.mask.bit3.next = self.read_timer.to.val().expired;
        self.command.done.next = self.done.val();
        self.command.ok.next = false;
        self.command.result.next = bits::<32>(0);
        if self.done.val() & self.is_take.val() {
            self.command.result.next = bit_cast::<32, 4>(self.mask.to.val());
        }
        self.command.result2.next = bits::<32>(0);
        self.post.valid.next = self.scan.q.val().post;
        self.post.conn.next = self.scan.q.val().post_conn;
        self.post.bit.next = self.post_bit.val();

        // ---- Reset ----
        if self.reset.val() {
            self.scan.d.next.step = Step::Clear;
            self.scan.d.next.scanning = false;
            self.scan.d.next.again = false;
            self.scan.d.next.at = bits::<12>(0);
            self.scan.d.next.post = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use isa::cmd;
    use rand::Rng;

    struct Bench {
        uut: Timers,
        now: u64,
        /// Connections posted.
        posted: Vec<u64>,
        post_ready: bool,
    }

    impl Bench {
        fn new(connections: usize, now: u64) -> Self {
            let mut uut = Timers::new(connections);
            uut.connect_all();
            Self {
                uut,
                now,
                posted: Vec::new(),
                post_ready: true,
            }
        }

        fn settle(&mut self) {
            for _ in 0..20 {
                self.uut.update_all();
                if !self.uut.has_changed() {
                    return;
                }
            }
            panic!("not settled");
        }

        fn cycle(&mut self, tick: bool) {
            self.uut.tick.next = tick;
            self.uut.now.next = self.now.to_bits();
            self.settle();
            let ready = self.post_ready && self.uut.post.valid.val();
            self.uut.post.ready.next = ready;
            if ready {
                assert_eq!(self.uut.post.bit.val().to_u64(), 0);
                self.posted.push(self.uut.post.conn.val().to_u64());
            }
            self.settle();
            for clk in [true, false] {
                self.uut.clock.next = Clock { clk };
                self.settle();
            }
            self.now = (self.now + u64::from(tick)) & 0xFF_FFFF;
            self.uut.now.next = self.now.to_bits();
            self.uut.post.ready.next = false;
            self.settle();
        }

        /// A command; its cycles and result.
        fn command(&mut self, code: u8, conn: u64, a: u64) -> (u32, u64) {
            self.uut.command.valid.next = true;
            self.uut.command.code.next = u64::from(code).to_bits();
            self.uut.command.conn.next = conn.to_bits();
            self.uut.command.a.next = a.to_bits();
            for cycles in 1..20 {
                self.settle();
                let (done, result) = (
                    self.uut.command.done.val(),
                    self.uut.command.result.val().to_u64(),
                );
                self.cycle(false);
                if done {
                    self.uut.command.valid.next = false;
                    self.settle();
                    return (cycles, result);
                }
            }
            panic!("no answer");
        }

        /// A tick and its scan.
        fn tick(&mut self) {
            self.cycle(true);
            while self.uut.scan.q.val().scanning || self.uut.scan.q.val().post {
                self.cycle(false);
            }
        }
    }

    /// Set to `a`, a timer expires at the a-th tick: not one sooner, not one later, also where the clock wraps.
    #[test]
    fn expires_at_its_tick() {
        for start in [0, 0xFF_FFFD, 0x7F_FFFE] {
            for a in [1_u64, 2, 3, 7] {
                let mut b = Bench::new(4, start);
                let (cycles, _) = b.command(cmd::TIMER_SET + 2, 3, a);
                assert!(cycles <= 3);
                for _ in 0..a - 1 {
                    b.tick();
                    assert_eq!(b.posted, Vec::<u64>::new());
                }
                b.tick();
                assert_eq!(b.posted, [3]);
                let (cycles, mask) = b.command(cmd::TIMER_TAKE, 3, 0);
                assert_eq!((cycles, mask), (7, 4));
                assert_eq!(b.command(cmd::TIMER_TAKE, 3, 0).1, 0, "taken once");
                b.tick();
                assert_eq!(b.posted, [3], "expires once");
            }
        }
    }

    #[test]
    fn the_longest_time_is_not_the_past() {
        let mut b = Bench::new(1, 5);
        b.command(cmd::TIMER_SET, 0, 0x7F_FFFF);
        b.tick();
        assert!(b.posted.is_empty());
        b.now = 5 + 0x7F_FFFF - 2;
        b.tick();
        assert!(b.posted.is_empty());
        b.tick();
        assert_eq!(b.posted, [0]);
    }

    #[test]
    fn clear_disarms_and_forgets_an_expiry_and_set_starts_anew() {
        let mut b = Bench::new(4, 0);
        b.command(cmd::TIMER_SET + 1, 2, 1);
        b.command(cmd::TIMER_CLEAR + 1, 2, 0);
        b.tick();
        assert!(b.posted.is_empty());
        b.command(cmd::TIMER_SET + 1, 2, 1);
        b.command(cmd::TIMER_SET + 3, 2, 1);
        b.command(cmd::TIMER_SET, 2, 2);
        b.tick();
        assert_eq!(b.posted, [2, 2]);
        b.command(cmd::TIMER_CLEAR + 1, 2, 0);
        assert_eq!(b.command(cmd::TIMER_TAKE, 2, 0).1, 8);
        b.tick();
        assert_eq!(b.command(cmd::TIMER_TAKE, 2, 0).1, 1);
    }

    /// While nobody takes the post, commands are answered; a tick meanwhile is not lost, nor is an expiry.
    #[test]
    fn a_blocked_post_blocks_no_command_and_loses_nothing() {
        let mut b = Bench::new(4, 0);
        for conn in 0..4 {
            b.command(cmd::TIMER_SET + conn as u8, conn, 1 + conn % 2);
        }
        b.post_ready = false;
        b.cycle(true);
        for _ in 0..100 {
            b.cycle(false);
        }
        for _ in 0..3 {
            b.cycle(true);
        }
        assert!(b.command(cmd::TIMER_SET + 1, 1, 9).0 <= 3);
        b.post_ready = true;
        for _ in 0..200 {
            b.cycle(false);
        }
        assert_eq!(b.posted, [0, 2, 3]);
    }

    /// Random commands and ticks, ticks sometimes faster than scans, against a table of deadlines.
    #[test]
    fn timers_agree_with_a_table() {
        use rand::SeedableRng;
        let mut rng = rand::rngs::StdRng::seed_from_u64(3);
        let mut b = Bench::new(8, 0xFF_FF00);
        // Deadline as a count of ticks since the beginning.
        let mut table: Vec<Option<u64>> = vec![None; 32];
        let (mut ticks, mut expiries) = (0_u64, 0);
        for round in 0..3_000 {
            let conn = rng.random_range(0..8_u64);
            let t = rng.random_range(0..4_u64);
            let at = (4 * conn + t) as usize;
            match rng.random_range(0..10) {
                0..=4 => {
                    let a = rng.random_range(1..30);
                    b.command(cmd::TIMER_SET + t as u8, conn, a);
                    table[at] = Some(ticks + a);
                }
                5 => {
                    b.command(cmd::TIMER_CLEAR + t as u8, conn, 0);
                    table[at] = None;
                }
                _ => {}
            }
            for _ in 0..rng.random_range(1..4) {
                b.post_ready = rng.random_bool(0.8);
                b.cycle(true);
                ticks += 1;
            }
            b.post_ready = true;
            // Twice the longest scan.
            for _ in 0..200 {
                b.cycle(false);
            }
            // A SET or CLEAR may overtake an expiry that nobody took: its post stays, as in hardware.
            b.posted.retain(|conn| {
                (0..4).any(|t| table[(4 * conn + t) as usize].is_some_and(|d| d <= ticks))
            });
            if round % 3 == 0 {
                for conn in 0..8 {
                    let mut expected = 0;
                    for t in 0..4 {
                        let timer = &mut table[(4 * conn + t) as usize];
                        if timer.is_some_and(|deadline| deadline <= ticks) {
                            expected |= 1 << t;
                            *timer = None;
                        }
                    }
                    expiries += expected;
                    assert_eq!(b.posted.contains(&conn), expected != 0);
                    b.posted.retain(|posted| *posted != conn);
                    assert_eq!(b.command(cmd::TIMER_TAKE, conn, 0).1, expected);
                }
            }
        }
        assert!(expiries > 500);
    }

    #[test]
    fn timers_lockstep() {
        let report = toe_sim::lockstep!("timers", Timers::new(4), 20_000, |uut, cycle, rng| {
            uut.reset.next = rng.random_bool(0.0005);
            let tick = rng.random_bool(0.02);
            if uut.tick.val() {
                uut.now.next = uut.now.val() + 1;
            } else if cycle % 5_000 == 0 {
                uut.now.next = 0xFF_FFF0_u64.to_bits();
            }
            uut.tick.next = tick;
            uut.post.ready.next = uut.post.valid.val() && rng.random_bool(0.3);
            if !uut.command.valid.val() || uut.command.done.val() || rng.random_bool(0.01) {
                uut.command.valid.next = rng.random_bool(0.1);
                let code = match rng.random_range(0..8) {
                    0 => cmd::TIMER_TAKE,
                    1 => rng.random_range(0..64),
                    2 => cmd::TIMER_CLEAR + rng.random_range(0..4),
                    _ => cmd::TIMER_SET + rng.random_range(0..4),
                };
                uut.command.code.next = u64::from(code).to_bits();
                uut.command.conn.next = rng.random_range(0..4_u64).to_bits();
                uut.command.a.next = rng.random_range(1..20_u64).to_bits();
            }
        });
        let still = report.never_changed();
        assert_eq!(still, ["command$ok", "command$result2", "post$bit"]);
    }

    /// The packing blocks, one after the other: address, word, timer, word.
    #[derive(LogicBlock, Default)]
    struct Packing {
        clock: Signal<In, Clock>,
        word: Signal<In, Bits<26>>,
        at: Signal<In, Bits<12>>,
        conn: Signal<Out, Bits<10>>,
        timer: Signal<Out, Timer>,
        again: Signal<Out, Bits<26>>,
        four: Signal<Out, Bits<4>>,
        conn_of: ConnOf,
        as_timer: AsTimer,
        from_timer: FromTimer,
        mask: Mask,
        r: DFF<Bit>,
    }

    impl Logic for Packing {
        #[hdl_gen]
        fn update(&mut self) {
            self.r.clock.next = self.clock.val();
            self.r.d.next = self.word.val().get_bit(0);
            self.conn_of.from.next = self.at.val();
            self.conn.next = self.conn_of.to.val();
            self.as_timer.from.next = self.word.val();
            self.timer.next = self.as_timer.to.val();
            self.from_timer.deadline.next = self.as_timer.to.val().deadline;
            self.from_timer.armed.next = self.as_timer.to.val().armed;
            self.from_timer.expired.next = self.as_timer.to.val().expired;
            self.again.next = self.from_timer.to.val();
            self.mask.bit0.next = self.at.val().get_bit(0);
            self.mask.bit1.next = self.at.val().get_bit(1);
            self.mask.bit2.next = self.at.val().get_bit(2);
            self.mask.bit3.next = self.at.val().get_bit(3);
            self.four.next = self.mask.to.val();
        }
    }

    #[test]
    fn packing_lockstep() {
        let report = toe_sim::lockstep::lockstep_observed(
            "timers_packing",
            Packing::default,
            |uut, clk| uut.clock.next = Clock { clk },
            10_000,
            9,
            |uut, _, rng| {
                uut.word.next = rng.random_range(0..1_u64 << 26).to_bits();
                uut.at.next = rng.random_range(0..4096_u64).to_bits();
            },
            |uut, _| {
                let (word, at) = (uut.word.val().to_u64(), uut.at.val().to_u64());
                let timer = uut.timer.val();
                assert_eq!(timer.deadline.to_u64(), word % (1 << 24));
                assert_eq!(timer.armed, word >> 24 & 1 == 1);
                assert_eq!(timer.expired, word >> 25 & 1 == 1);
                assert_eq!(uut.again.val().to_u64(), word);
                assert_eq!(uut.conn.val().to_u64(), at / 4);
                assert_eq!(uut.four.val().to_u64(), at % 16);
            },
        )
        .unwrap_or_else(|error| panic!("{error}"));
        report.assert_active();
    }
}
