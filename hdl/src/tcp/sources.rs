//! How many connections each remote address has: a count in RAM for each value of a keyed hash of the address. Part of [`super::table`], which counts up where it gives a connection
//! a tuple, and down where the tuple goes or is in TIME-WAIT.
//!
//! **Approximate**: two addresses of one hash share a count, so one of them may be refused for what the other has, never let in for it. Of N connections N / limit counts at most can
//! stand at the limit, of 8 N or more (at most 4,096): so it hits a newcomer with a chance of one in eight limits at the very most, and whom it hits nobody can choose who does not know the key.
//!
//! **Contract**: what `step` and `clear` do, they do to the count at `at`; for a `step` that stood there in the cycle before, too, in which nothing was written. **Latency**: `full` is that of the address two
//! cycles ago. **Throughput**: a step in two cycles. There is no reset: each count must be cleared once.
//!
//! Built without a limit nothing of it is there, and `full` is low.
use rust_hdl::prelude::*;

/// Bits of an address: so many counts there are at most.
pub const SOURCE_BITS: usize = 12;

/// Counts for a table of so many words.
pub fn counts(words: usize) -> usize {
    words.min(1 << SOURCE_BITS)
}

/// See the module.
#[derive(LogicBlock, Debug)]
pub struct Sources {
    pub clock: Signal<In, Clock>,
    /// Its upper bits do not matter where there are fewer counts.
    pub at: Signal<In, Bits<SOURCE_BITS>>,
    /// One more or one less.
    pub step: Signal<In, Bit>,
    pub up: Signal<In, Bit>,
    pub clear: Signal<In, Bit>,
    /// As many as may be.
    pub full: Signal<Out, Bit>,
    _limit: Option<u64>,
    _counts: Vec<u64>,
    _count: u64,
    _full: bool,
    _most: u64,
}

impl Sources {
    /// `words` counts, a power of two, each of at most `most`; full at `limit`.
    pub fn new(words: usize, most: usize, limit: Option<usize>) -> Self {
        assert!(words.is_power_of_two() && words <= 1 << SOURCE_BITS);
        Self {
            clock: Default::default(),
            at: Default::default(),
            step: Default::default(),
            up: Default::default(),
            clear: Default::default(),
            full: Default::default(),
            _limit: limit.map(|limit| limit as u64),
            _counts: vec![0; words],
            _count: 0,
            _full: false,
            _most: most as u64,
        }
    }

    fn bits(&self) -> u32 {
        self._most.ilog2() + 1
    }
}

impl Logic for Sources {
    fn update(&mut self) {
        if let (true, Some(limit)) = (self.clock.pos_edge(), self._limit) {
            let at: u64 = self.at.val().to_u64();
            let at = at as usize & (self._counts.len() - 1);
            let (before, mask) = (self._count, (1 << self.bits()) - 1);
            self._full = before >= limit;
            self._count = self._counts[at];
            if self.clear.val() {
                self._counts[at] = 0;
            } else if self.step.val() {
                let change = if self.up.val() { 1 } else { mask };
                self._counts[at] = (before + change) & mask;
            }
        }
        self.full.next = self._full;
    }

    fn connect(&mut self) {
        self.full.connect();
    }

    fn hdl(&self) -> Verilog {
        let Some(limit) = self._limit else {
            return Verilog::Custom("always @(*) full = 0;\n".into());
        };
        let (words, top) = (self._counts.len(), self.bits() - 1);
        let at = words.ilog2() - 1;
        Verilog::Custom(format!(
            "\
(* no_rw_check *) reg [{top}:0] counts [0:{last}];
reg [{top}:0] count;
integer i;
initial begin
    for (i = 0; i < {words}; i = i + 1) counts[i] = 0;
    count = 0;
    full = 0;
end
wire [{at}:0] here = at[{at}:0];
wire [{top}:0] less = count - 1;
wire [{top}:0] more = count + 1;
always @(posedge clock) begin
    full <= count >= {limit};
    count <= counts[here];
    if (clear || step) counts[here] <= clear ? 0 : up ? more : less;
end
",
            last = words - 1,
        ))
    }

    fn timing(&self) -> Vec<TimingInfo> {
        if self._limit.is_none() {
            return vec![];
        }
        vec![TimingInfo {
            name: "counts".into(),
            clock: "clock".into(),
            inputs: ["at", "step", "up", "clear"].map(String::from).to_vec(),
            outputs: vec!["full".into()],
        }]
    }
}

// ---------------------------------------------------------------- tests

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    fn edge(uut: &mut Sources) {
        for clk in [true, false] {
            uut.clock.next = Clock { clk };
            uut.update_all();
            while uut.has_changed() {
                uut.update_all();
            }
        }
    }

    fn sources(limit: Option<usize>) -> Sources {
        let mut uut = Sources::new(64, 16, limit);
        uut.connect_all();
        uut
    }

    /// A step in the two cycles that are promised.
    fn step(uut: &mut Sources, at: u64, up: bool) {
        uut.at.next = at.into();
        edge(uut);
        uut.step.next = true;
        uut.up.next = up;
        edge(uut);
        uut.step.next = false;
    }

    #[test]
    fn it_counts_each_address_and_says_who_has_as_many_as_may_be() {
        let mut rng = StdRng::seed_from_u64(55);
        let mut uut = sources(Some(3));
        let mut golden = [0i32; 64];
        let mut seen = [0; 2];
        for _ in 0..5000 {
            let at = rng.random_range(0..8) * 9 % 64;
            let up = golden[at] == 0 || golden[at] < 16 && rng.random();
            golden[at] += if up { 1 } else { -1 };
            step(&mut uut, at as u64, up);
            let other = rng.random_range(0..64);
            // Upper bits of the address are not looked at.
            uut.at.next = (other as u64 | rng.random_range(0..64) << 6).into();
            edge(&mut uut);
            edge(&mut uut);
            assert_eq!(uut.full.val(), golden[other] >= 3);
            seen[usize::from(uut.full.val())] += 1;
        }
        assert!(seen.iter().all(|n| *n > 100), "{seen:?}");
        for at in 0..64_u64 {
            uut.at.next = at.into();
            uut.clear.next = true;
            edge(&mut uut);
        }
        uut.clear.next = false;
        for at in 0..64_u64 {
            uut.at.next = at.into();
            edge(&mut uut);
            edge(&mut uut);
            assert!(!uut.full.val());
        }
    }

    #[test]
    fn without_a_limit_it_is_never_full() {
        let mut uut = sources(None);
        for _ in 0..20 {
            step(&mut uut, 5, true);
            assert!(!uut.full.val());
        }
    }

    #[test]
    fn equals_its_verilog() {
        let report = toe_sim::lockstep!(
            "sources",
            Sources::new(64, 16, Some(3)),
            20_000,
            |uut, _, rng| {
                uut.at.next = rng.random_range(0..64_u64).into();
                uut.step.next = rng.random_bool(0.4);
                uut.up.next = rng.random_bool(0.6);
                uut.clear.next = rng.random_bool(0.02);
            }
        );
        report.assert_active();
    }
}
