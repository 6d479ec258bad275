//! Pending events: what happened to a connection while the engine was busy, and whose turn is next.
//!
//! Eight pending bits a connection in RAM, and a queue of the connections that have any, each once; so neither can overflow and nothing is lost. The connection at the head
//! has its bits in a register. **Latency.** A bit is taken within 2 cycles of its poster's turn (turns go round, one idle poster a cycle) and offered at the head 3 cycles later if the queue was
//! empty. **Throughput.** A bit every 2 cycles. A poster waits at most 30 cycles: five turns of 2, each behind a loading of the head (3) and a collision with `pop` (1).
//!
//! `pop` takes the mask shown in its cycle; a bit posted in that very cycle is kept for the connection's next turn. After `reset` every connection's
//! bits are cleared, one a cycle, before anything is accepted.
use crate::memory::Memory;
use rust_hdl::prelude::*;

/// The end of a poster: sets one pending bit of one connection. `valid`, `conn` and `bit` stay until the cycle in which `ready` is high.
#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "PostIn"]
pub struct PostOut {
    pub valid: Signal<Out, Bit>,
    pub conn: Signal<Out, Bits<10>>,
    pub bit: Signal<Out, Bits<3>>,
    pub ready: Signal<In, Bit>,
}

/// The end of [`Events`].
#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "PostOut"]
pub struct PostIn {
    pub valid: Signal<In, Bit>,
    pub conn: Signal<In, Bits<10>>,
    pub bit: Signal<In, Bits<3>>,
    pub ready: Signal<Out, Bit>,
}

/// What is being done.
#[derive(LogicState, Copy, Clone, Debug, PartialEq)]
pub enum Step {
    /// Looks at the poster whose turn it is, or at the queue.
    Idle,
    /// The bits of the poster's connection are there: one more.
    Merge,
    /// The queue's first id is there.
    Id,
    /// Its bits are there: into the head.
    Mask,
    /// After reset.
    Clear,
}

/// All registers.
#[derive(LogicStruct, Copy, Clone, Debug, Default, PartialEq)]
pub struct Turn {
    step: Step,
    turn: Bits<3>,
    first: Bits<10>,
    last: Bits<10>,
    count: Bits<11>,
    head_valid: Bit,
    head_conn: Bits<10>,
    head_mask: Bits<8>,
}

/// Pending bits and the queue.
#[derive(LogicBlock)]
pub struct Events {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,

    // Posters, in the order of their turns.
    pub timers: PostIn,
    pub tx_ring: PostIn,
    pub rx_ring: PostIn,
    pub switch: PostIn,
    pub engine: PostIn,

    // Engine: conn stays until `pop`; the mask grows until then.
    pub head_valid: Signal<Out, Bit>,
    pub head_conn: Signal<Out, Bits<10>>,
    pub head_mask: Signal<Out, Bits<8>>,
    pub pop: Signal<In, Bit>,

    // Registers and memories.
    turn: DFF<Turn>,
    pending: Memory<Bits<8>, 10>,
    queue: Memory<Bits<10>, 10>,

    // Named wires.
    step: Signal<Local, Step>,
    whose: Signal<Local, Bits<3>>,
    post_valid: Signal<Local, Bit>,
    post_conn: Signal<Local, Bits<10>>,
    post_bit: Signal<Local, Bits<3>>,
    post_mask: Signal<Local, Bits<8>>,
    merged: Signal<Local, Bits<8>>,
    loads: Signal<Local, Bit>,
    at_head: Signal<Local, Bit>,
    accept: Signal<Local, Bit>,
    last_connection: Constant<Bits<10>>,
}

impl Events {
    /// For `connections` connections, those in TIME-WAIT among them.
    ///
    /// # Panics
    /// If `connections` is not from 1 to 1024.
    pub fn new(connections: usize) -> Self {
        assert!(
            (1..=1024).contains(&connections),
            "Events: connections is {connections}, but must be from 1 to 1024"
        );
        let depth = connections.next_power_of_two().max(2);
        Self {
            clock: Default::default(),
            reset: Default::default(),
            timers: Default::default(),
            tx_ring: Default::default(),
            rx_ring: Default::default(),
            switch: Default::default(),
            engine: Default::default(),
            head_valid: Default::default(),
            head_conn: Default::default(),
            head_mask: Default::default(),
            pop: Default::default(),
            turn: Default::default(),
            pending: Memory::new(depth),
            queue: Memory::new(depth),
            step: Default::default(),
            whose: Default::default(),
            post_valid: Default::default(),
            post_conn: Default::default(),
            post_bit: Default::default(),
            post_mask: Default::default(),
            merged: Default::default(),
            loads: Default::default(),
            at_head: Default::default(),
            accept: Default::default(),
            last_connection: Constant::new((connections as u64 - 1).to_bits()),
        }
    }
}

impl Logic for Events {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- Registers ----
        dff_setup!(self, clock, turn);
        self.pending.clock.next = self.clock.val();
        self.queue.clock.next = self.clock.val();

        // ---- The poster whose turn it is ----
        self.step.next = self.turn.q.val().step;
        self.whose.next = self.turn.q.val().turn;
        self.post_valid.next = self.timers.valid.val();
        self.post_conn.next = self.timers.conn.val();
        self.post_bit.next = self.timers.bit.val();
        if self.whose.val() == bits::<3>(1) {
            self.post_valid.next = self.tx_ring.valid.val();
            self.post_conn.next = self.tx_ring.conn.val();
            self.post_bit.next = self.tx_ring.bit.val();
        }
        if self.whose.val() == bits::<3>(2) {
            self.post_valid.next = self.rx_ring.valid.val();
            self.post_conn.next = self.rx_ring.conn.val();
            self.post_bit.next = self.rx_ring.bit.val();
        }
        if self.whose.val() == bits::<3>(3) {
            self.post_valid.next = self.switch.valid.val();
            self.post_conn.next = self.switch.conn.val();
            self.post_bit.next = self.switch.bit.val();
        }
        if self.whose.val() == bits::<3>(4) {
            self.post_valid.next = self.engine.valid.val();
            self.post_conn.next = self.engine.conn.val();
            self.post_bit.next = self.engine.bit.val();
        }
        self.post_mask.next = bits::<8>(1);
        if self.post_bit.val() == bits::<3>(1) {
            self.post_mask.next = bits::<8>(2);
        }
        if self.post_bit.val() == bits::<3>(2) {
            self.post_mask.next = bits::<8>(4);
        }
        if self.post_bit.val() == bits::<3>(3) {
            self.post_mask.next = bits::<8>(8);
        }
        if self.post_bit.val() == bits::<3>(4) {
            self.post_mask.next = bits::<8>(16);
        }
        if self.post_bit.val() == bits::<3>(5) {
            self.post_mask.next = bits::<8>(32);
        }
        if self.post_bit.val() == bits::<3>(6) {
            self.post_mask.next = bits::<8>(64);
        }
        if self.post_bit.val() == bits::<3>(7) {
            self.post_mask.next = bits::<8>(128);
        }

        // ---- Named wires ----
        self.loads.next =
            !self.turn.q.val().head_valid & (self.turn.q.val().count != bits::<11>(0));
        self.at_head.next =
            self.turn.q.val().head_valid & (self.post_conn.val() == self.turn.q.val().head_conn);
        self.merged.next = self.pending.read_data.val() | self.post_mask.val();
        self.accept.next = false;

        // ---- Memories: nothing is read at the edge that writes it ----
        self.pending.read_address.next = self.post_conn.val();
        self.pending.write_address.next = self.post_conn.val();
        self.pending.write_data.next = bits::<8>(0);
        self.pending.write_enable.next = false;
        self.queue.read_address.next = self.turn.q.val().first;
        self.queue.write_address.next = self.turn.q.val().last;
        self.queue.write_data.next = self.post_conn.val();
        self.queue.write_enable.next = false;

        if self.pop.val() {
            self.turn.d.next.head_valid = false;
        }

        // ---- State machine ----
        match self.step.val() {
            Step::Idle => {
                if self.loads.val() {
                    self.turn.d.next.step = Step::Id;
                } else if self.post_valid.val() {
                    // A connection at the head collects there; its bits in the RAM are zero. Not in the cycle that takes them.
                    if self.at_head.val() {
                        if !self.pop.val() {
                            self.accept.next = true;
                            self.turn.d.next.head_mask =
                                self.turn.q.val().head_mask | self.post_mask.val();
                        }
                    } else {
                        self.turn.d.next.step = Step::Merge;
                    }
                } else {
                    self.turn.d.next.turn = self.whose.val() + 1;
                    if self.whose.val() == bits::<3>(4) {
                        self.turn.d.next.turn = bits::<3>(0);
                    }
                }
            }
            Step::Merge => {
                self.accept.next = true;
                self.pending.write_data.next = self.merged.val();
                self.pending.write_enable.next = true;
                // Bits in the RAM mean the connection is queued already.
                if !self.pending.read_data.val().any() {
                    self.queue.write_enable.next = true;
                    self.turn.d.next.last = self.turn.q.val().last + 1;
                    self.turn.d.next.count = self.turn.q.val().count + 1;
                }
                self.turn.d.next.step = Step::Idle;
            }
            Step::Id => {
                self.pending.read_address.next = self.queue.read_data.val();
                self.turn.d.next.head_conn = self.queue.read_data.val();
                self.turn.d.next.first = self.turn.q.val().first + 1;
                self.turn.d.next.count = self.turn.q.val().count - 1;
                self.turn.d.next.step = Step::Mask;
            }
            Step::Mask => {
                self.turn.d.next.head_mask = self.pending.read_data.val();
                self.turn.d.next.head_valid = true;
                self.pending.write_address.next = self.turn.q.val().head_conn;
                self.pending.write_enable.next = true;
                self.turn.d.next.step = Step::Idle;
            }
            _ => {
                self.pending.write_address.next = self.turn.q.val().first;
                self.pending.write_enable.next = true;
                self.turn.d.next.first = self.turn.q.val().first + 1;
                if self.turn.q.val().first == self.last_connection.val() {
                    self.turn.d.next.first = bits::<10>(0);
                    self.turn.d.next.step = Step::Idle;
                }
            }
        }
        // The poster that was served has had its turn.
        if self.accept.val() {
            self.turn.d.next.turn = self.whose.val() + 1;
            if self.whose.val() == bits::<3>(4) {
                self.turn.d.next.turn = bits::<3>(0);
            }
        }

        // ---- Outputs ----
        self.timers.ready.next = self.accept.val() & (self.whose.val() == bits::<3>(0));
        self.tx_ring.ready.next = self.accept.val() & (self.whose.val() == bits::<3>(1));
        self.rx_ring.ready.next = self.accept.val() & (self.whose.val() == bits::<3>(2));
        self.switch.ready.next = self.accept.val() & (self.whose.val() == bits::<3>(3));
        self.engine.ready.next = self.accept.val() & (self.whose.val() == bits::<3>(4));
        self.head_valid.next = self.turn.q.val().head_valid;
        self.head_conn.next = self.turn.q.val().head_conn;
        self.head_mask.next = self.turn.q.val().head_mask;

        // ---- Reset ----
        if self.reset.val() {
            self.turn.d.next.step = Step::Clear;
            self.turn.d.next.turn = bits::<3>(0);
            self.turn.d.next.first = bits::<10>(0);
            self.turn.d.next.last = bits::<10>(0);
            self.turn.d.next.count = bits::<11>(0);
            self.turn.d.next.head_valid = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    fn cycle(uut: &mut Events) {
        for clk in [true, false] {
            uut.clock.next = Clock { clk };
            settle(uut);
        }
    }

    fn settle(uut: &mut Events) {
        for _ in 0..20 {
            uut.update_all();
            if !uut.has_changed() {
                return;
            }
        }
        panic!("not settled");
    }

    fn post(uut: &mut Events, who: usize) -> &mut PostIn {
        match who {
            0 => &mut uut.timers,
            1 => &mut uut.tx_ring,
            2 => &mut uut.rx_ring,
            3 => &mut uut.switch,
            _ => &mut uut.engine,
        }
    }

    /// Every bit accepted is delivered exactly once by the next pop of its connection, no bit is delivered that nobody posted, no connection waits behind more
    /// pops than there are connections, and posters wait at most a few turns. Pops come as often as they can, rarely, and in the very cycle of a post.
    #[test]
    fn nothing_is_lost_and_nothing_invented() {
        use rand::SeedableRng;
        for connections in [1_usize, 2, 3, 4, 7, 16] {
            let mut rng = rand::rngs::StdRng::seed_from_u64(connections as u64);
            let mut uut = Events::new(connections);
            uut.connect_all();
            let mut owed = vec![0_u64; connections];
            let mut waited = vec![0_usize; connections];
            let mut patience = [0_u32; 5];
            let (mut pops, mut collisions, mut most) = (0, 0, 0);
            for round in 0..20_000 {
                let busy = if round / 2_000 % 2 == 0 { 0.6 } else { 0.02 };
                for (who, patience) in patience.iter_mut().enumerate() {
                    let idle = !post(&mut uut, who).valid.val();
                    if idle && *patience == 0 && rng.random_bool(busy) {
                        let conn = rng.random_range(0..connections as u64);
                        let p = post(&mut uut, who);
                        p.valid.next = true;
                        p.conn.next = conn.to_bits();
                        p.bit.next = rng.random_range(0..8_u64).to_bits();
                    }
                }
                uut.pop.next = false;
                settle(&mut uut);
                uut.pop.next = uut.head_valid.val() && rng.random_bool(0.15);
                settle(&mut uut);
                if uut.pop.val() {
                    let conn = uut.head_conn.val().to_u64() as usize;
                    assert_ne!(owed[conn], 0, "a connection without events");
                    assert_eq!(uut.head_mask.val().to_u64(), owed[conn]);
                    owed[conn] = 0;
                    waited[conn] = 0;
                    for other in 0..connections {
                        waited[other] += usize::from(owed[other] != 0);
                        assert!(waited[other] <= connections, "passed over too often");
                    }
                    pops += 1;
                }
                let mut accepted = [false; 5];
                for who in 0..5 {
                    let at_head = uut.head_conn.val();
                    let popped = uut.pop.val();
                    let p = post(&mut uut, who);
                    if p.valid.val() {
                        collisions += u32::from(popped && p.conn.val() == at_head);
                        patience[who] += 1;
                        most = most.max(patience[who]);
                    }
                    accepted[who] = p.valid.val() && p.ready.val();
                    assert!(p.valid.val() || !p.ready.val(), "ready without valid");
                    if accepted[who] {
                        owed[p.conn.val().to_u64() as usize] |= 1 << p.bit.val().to_u64();
                    }
                }
                cycle(&mut uut);
                for who in 0..5 {
                    if accepted[who] {
                        patience[who] = 0;
                        post(&mut uut, who).valid.next = false;
                    }
                }
            }
            assert!(
                pops > 500 && collisions > 10,
                "{pops} pops, {collisions} collisions"
            );
            assert!(most <= 30, "a poster waited {most} cycles");
        }
    }

    /// 3 cycles from a bit's acceptance to the head of an empty queue.
    #[test]
    fn latency_is_as_documented() {
        let mut uut = Events::new(4);
        uut.connect_all();
        uut.timers.valid.next = true;
        uut.timers.conn.next = 3_u64.to_bits();
        settle(&mut uut);
        assert!(!uut.timers.ready.val());
        cycle(&mut uut);
        assert!(uut.timers.ready.val());
        cycle(&mut uut);
        uut.timers.valid.next = false;
        for _ in 0..3 {
            assert!(!uut.head_valid.val());
            cycle(&mut uut);
        }
        assert!(uut.head_valid.val());
        assert_eq!(uut.head_conn.val().to_u64(), 3);
        assert_eq!(uut.head_mask.val().to_u64(), 1);
    }

    #[test]
    fn reset_forgets_every_bit() {
        let mut uut = Events::new(4);
        uut.connect_all();
        for conn in 0..4_u64 {
            uut.engine.valid.next = true;
            uut.engine.conn.next = conn.to_bits();
            settle(&mut uut);
            while !uut.engine.ready.val() {
                cycle(&mut uut);
            }
            cycle(&mut uut);
        }
        uut.engine.valid.next = false;
        uut.reset.next = true;
        cycle(&mut uut);
        uut.reset.next = false;
        for _ in 0..20 {
            cycle(&mut uut);
            assert!(!uut.head_valid.val());
        }
        // Had a bit stayed, the connection would count as queued and never come up.
        uut.switch.valid.next = true;
        uut.switch.conn.next = 2_u64.to_bits();
        uut.switch.bit.next = 5_u64.to_bits();
        settle(&mut uut);
        while !uut.switch.ready.val() {
            cycle(&mut uut);
        }
        cycle(&mut uut);
        uut.switch.valid.next = false;
        for _ in 0..3 {
            cycle(&mut uut);
        }
        assert!(uut.head_valid.val());
        assert_eq!(uut.head_mask.val().to_u64(), 32);
    }

    #[test]
    #[should_panic(expected = "connections is 1025, but must be from 1 to 1024")]
    fn connections_have_numbers_of_ten_bits() {
        let _ = Events::new(1025);
    }

    #[test]
    fn events_lockstep() {
        let report = toe_sim::lockstep!("events", Events::new(8), 20_000, |uut, cycle, rng| {
            uut.reset.next = rng.random_bool(0.0005);
            let busy = if cycle / 1_000 % 2 == 0 { 0.5 } else { 0.01 };
            for who in 0..5 {
                let p = post(uut, who);
                // A post may be withdrawn here, which no poster does: the two must agree all the same.
                if !p.valid.val() || p.ready.val() || rng.random_bool(0.01) {
                    p.valid.next = rng.random_bool(busy);
                    p.conn.next = rng.random_range(0..8_u64).to_bits();
                    p.bit.next = rng.random_range(0..8_u64).to_bits();
                }
            }
            uut.pop.next = uut.head_valid.val() && rng.random_bool(0.1);
        });
        report.assert_active();
    }
}
