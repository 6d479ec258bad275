//! The counters: 64 of 32 bits in RAM, counted by several blocks at once, read one at a time.
//!
//! Each port holds one event until its turn. Port 0 (the receiving link, which alone can see a shower of runts) goes first, the others go round. An event takes a cycle, two if the one before it was
//! of the same cause. If no two ports share a cause, port 0 loses nothing at 4 cycles between its events, whatever the others do; a port of the K - 1 others at 8(K - 1)/3 cycles, all of them
//! busy at once. A lost event panics the simulation.
//!
//! Latency: a counter has risen 3 cycles after its event, and one for each other event that goes before it; `read_data` shows the counter at `read_address` 2 cycles after the first
//! cycle in which no event takes its turn. Throughput: an event a cycle.
//!
//! Reset does not clear what was counted.
use crate::counters::Cause;
use crate::memory::Memory;
use rust_hdl::prelude::*;

/// One waiting event for each port; the lowest first.
#[derive(LogicBlock, Debug)]
struct Waiting<const K: usize> {
    clock: Signal<In, Clock>,
    count: [Signal<In, Bit>; K],
    cause: [Signal<In, Bits<6>>; K],
    /// the event shown is taken
    take: Signal<In, Bit>,
    any: Signal<Out, Bit>,
    first: Signal<Out, Bits<6>>,
    _held: [Option<Bits<6>>; K],
    /// who had the last turn, of ports 1 and up
    _last: usize,
}

impl<const K: usize> Default for Waiting<K> {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            count: array_init(),
            cause: array_init(),
            take: Default::default(),
            any: Default::default(),
            first: Default::default(),
            _held: [None; K],
            _last: 0,
        }
    }
}

fn array_init<T: Default, const K: usize>() -> [T; K] {
    std::array::from_fn(|_| T::default())
}

impl<const K: usize> Waiting<K> {
    /// Whose turn it is.
    fn turn(&self) -> Option<usize> {
        let above = self._last + 1..K;
        let mut order = (0..1).chain(above).chain(1..K);
        order.find(|i| self._held[*i].is_some())
    }
}

impl<const K: usize> Logic for Waiting<K> {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            if self.take.val() {
                if let Some(turn) = self.turn() {
                    self._held[turn] = None;
                    if turn > 0 {
                        self._last = turn;
                    }
                }
            }
            for i in 0..K {
                if self.count[i].val() {
                    assert!(
                        self._held[i].is_none(),
                        "CounterRam: port {i} lost an event: {:?} came before {:?} had its turn",
                        self.cause[i].val(),
                        self._held[i],
                    );
                    self._held[i] = Some(self.cause[i].val());
                }
            }
        }
        let first = self.turn().and_then(|turn| self._held[turn]);
        self.any.next = first.is_some();
        self.first.next = first.unwrap_or_default();
    }

    fn connect(&mut self) {
        self.any.connect();
        self.first.connect();
    }

    fn hdl(&self) -> Verilog {
        let top = K - 1;
        // `above` has the bits of the ports above the one that had the last turn; of port 0 always, for it goes first.
        let mut text = format!(
            "reg [{top}:0] waiting = 0;\nreg [{top}:0] above = {{{K}{{1'b1}}}};\nreg [{top}:0] among;\nreg [{top}:0] turn;\n"
        );
        for i in 0..K {
            text += &format!("reg [5:0] held{i} = 0;\n");
        }
        text += "always @(*) begin
    any = |waiting;
    among = waiting & above;
    if (!(|among)) among = waiting;
    turn = among & (~among + 1'b1);
    first = 0;
";
        for i in 0..K {
            text += &format!("    if (turn[{i}]) first = first | held{i};\n");
        }
        text += "end
always @(posedge clock) begin
    if (take) begin
        waiting <= waiting & ~turn;
        if (!turn[0]) above <= ~(turn | (turn - 1'b1)) | 1'b1;
    end
";
        for i in 0..K {
            text +=
                &format!("    if (count${i}) begin waiting[{i}] <= 1; held{i} <= cause${i}; end\n");
        }
        Verilog::Custom(text + "end\n")
    }

    fn timing(&self) -> Vec<TimingInfo> {
        vec![]
    }
}

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct Registers {
    /// this counter was read for an event and is written back one higher
    busy: Bit,
    cause: Bits<6>,
    /// what was read is for the reader
    reading: Bit,
    read_data: Bits<32>,
}

/// The counters of [`Cause`], with `K` ports that count.
///
/// **Contract.** `count[n]` high for one cycle counts `cause[n]` once. Ports must not share a cause. Hold `read_address` until the data has come.
#[derive(LogicBlock, Debug)]
pub struct CounterRam<const K: usize> {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // counting
    pub count: [Signal<In, Bit>; K],
    pub cause: [Signal<In, Bits<6>>; K],
    // reading
    pub read_address: Signal<In, Bits<6>>,
    pub read_data: Signal<Out, Bits<32>>,

    waiting: Waiting<K>,
    counters: Memory<Bits<32>, 6>,
    r: DFF<Registers>,
    take: Signal<Local, Bit>,
    address: Signal<Local, Bits<6>>,
}

impl<const K: usize> Default for CounterRam<K> {
    fn default() -> Self {
        // The counters' number is the RAM's depth.
        debug_assert!(Cause::ALL.iter().all(|c| c.number() < 64));
        Self {
            clock: Default::default(),
            reset: Default::default(),
            count: array_init(),
            cause: array_init(),
            read_address: Default::default(),
            read_data: Default::default(),
            waiting: Default::default(),
            counters: Memory::new(64),
            r: Default::default(),
            take: Default::default(),
            address: Default::default(),
        }
    }
}

impl<const K: usize> Logic for CounterRam<K> {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.counters.clock.next = self.clock.val();
        self.waiting.clock.next = self.clock.val();
        for i in 0..K {
            self.waiting.count[i].next = self.count[i].val();
            self.waiting.cause[i].next = self.cause[i].val();
        }

        // ---- read for an event, or else for the reader; never what is being written
        self.take.next = self.waiting.any.val()
            && !(self.r.q.val().busy && (self.r.q.val().cause == self.waiting.first.val()));
        self.waiting.take.next = self.take.val();
        self.address.next = self.read_address.val();
        if self.take.val() {
            self.address.next = self.waiting.first.val();
        }
        self.counters.read_address.next = self.address.val();
        self.r.d.next.busy = self.take.val();
        self.r.d.next.cause = self.waiting.first.val();
        self.r.d.next.reading = !self.take.val()
            && !(self.r.q.val().busy && (self.r.q.val().cause == self.read_address.val()));

        // ---- write back
        self.counters.write_enable.next = self.r.q.val().busy;
        self.counters.write_address.next = self.r.q.val().cause;
        self.counters.write_data.next = self.counters.read_data.val() + bits::<32>(1);

        // ---- outputs
        if self.r.q.val().reading {
            self.r.d.next.read_data = self.counters.read_data.val();
        }
        self.read_data.next = self.r.q.val().read_data;

        // ---- reset
        if self.reset.val() {
            self.r.d.next.reading = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testgen::{cycle, settle};
    use rand::{Rng, SeedableRng};

    /// Cycles between two events of a port: as the header promises.
    const SPACING: [u32; 4] = [4, 8, 8, 8];

    fn make() -> CounterRam<4> {
        let mut uut = CounterRam::default();
        uut.connect_all();
        uut
    }

    #[test]
    fn nothing_is_lost_at_the_closest_spacing_promised() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(64);
        let mut uut = make();
        let mut right = [0_u32; 64];
        let mut ago = [9; 4];
        for now in 0..20_000 {
            for port in 0..4 {
                // Half of the time as fast as allowed, all at once.
                let go =
                    ago[port] >= SPACING[port] && (now % 2_000 < 1_000 || rng.random_bool(0.2));
                let cause = 16 * port + rng.random_range(0..2);
                ago[port] = if go { 1 } else { ago[port] + 1 };
                uut.count[port].next = go;
                uut.cause[port].next = cause.to_bits();
                right[cause] += u32::from(go);
            }
            uut.read_address.next = rng.random_range(0..64_u8).to_bits();
            cycle!(uut);
        }
        for port in 0..4 {
            uut.count[port].next = false;
        }
        for _ in 0..8 {
            cycle!(uut);
        }
        assert!(right.iter().sum::<u32>() > 6_000);
        for (at, right) in right.into_iter().enumerate() {
            uut.read_address.next = at.to_bits();
            cycle!(uut);
            cycle!(uut);
            assert_eq!(uut.read_data.val().to_u32(), right, "{at}: 2 cycles");
        }
    }

    #[test]
    fn a_counter_read_while_it_counts_is_right() {
        let mut uut = make();
        uut.read_address.next = 5_u8.to_bits();
        uut.cause[0].next = 5_u8.to_bits();
        let (mut counted, mut seen) = (0, 0);
        for now in 0..404 {
            let count = now < 400 && now % 4 == 0;
            uut.count[0].next = count;
            cycle!(uut);
            counted += u32::from(count);
            let read = uut.read_data.val().to_u32();
            assert!(read >= seen && read <= counted && counted - read <= 2);
            seen = read;
        }
        assert_eq!(seen, 100);
    }

    #[test]
    #[should_panic(expected = "port 3 lost an event")]
    fn a_lost_event_is_no_secret() {
        let mut uut = make();
        for port in 0..4 {
            uut.count[port].next = true;
            uut.cause[port].next = port.to_bits();
        }
        for _ in 0..3 {
            // Ports 0 to 2 must not panic first.
            cycle!(uut);
            for port in 0..3 {
                uut.count[port].next = false;
            }
        }
        settle(&mut uut);
    }

    #[test]
    fn lockstep() {
        let mut ago = [9; 4];
        let make = || CounterRam::<4>::default();
        toe_sim::lockstep!("counter_ram", make(), 20_000, |uut, cycle, rng| {
            for port in 0..4 {
                let go = ago[port] >= SPACING[port] && rng.random_bool(0.4);
                ago[port] = if go { 1 } else { ago[port] + 1 };
                uut.count[port].next = go;
                let cause = 16 * port + rng.random_range(0..3);
                uut.cause[port].next = cause.to_bits();
            }
            if rng.random_bool(0.3) {
                let at = 16 * rng.random_range(0..4_u8) + rng.random_range(0..3_u8);
                uut.read_address.next = at.to_bits();
            }
            uut.reset.next = cycle < 2 || rng.random_bool(0.001);
        });
    }
}
