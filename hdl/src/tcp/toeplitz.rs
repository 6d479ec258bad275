//! The keyed hash of the connection table: 24 bits of (ports, remote address).
//!
//! Krawczyk's LFSR-based Toeplitz hash (CRYPTO 1994): bit `i` of the hash is the sum over GF(2) of the message's bits times `key(i + m)`, `m` the bit's
//! number in the message (ports first, bit 0 first), and the key stream is the sequence of x^64 + x^4 + x^3 + x + 1 begun with the 64 secret bits. The register is
//! as long as the message: with 32 bits and a fixed polynomial two messages whose difference is a multiple of it would collide under *every* key, and
//! anybody could make 2^16 such pairs of address and port. With 64, the difference of the hashes of any two tuples is each of the 2^24 values for exactly
//! one key in 2^24.
//!
//! What it does not give: the hash is linear. Who sees hashes, or learns from timing which tuples share a bucket, can solve for the key; a pseudo-random
//! function (HalfSipHash: 605 cells on HX8K against about 200) could not be solved. What the table loses then is bounded: probes do not grow, an ALLOC into a full
//! pair of buckets is refused, and only tuples of those buckets suffer.
//!
//! **Latency**: `load` for a cycle, with `select` 0 of the first word; then `step` for 8 cycles, byte `select` of `word` being taken a cycle ahead; `hash` is complete
//! in the cycle after the last. **Throughput**: a hash in 9 cycles. `load` aborts.
use rust_hdl::prelude::*;

/// Bits of the hash.
pub const HASH_BITS: usize = 24;

fn stepped(window: u64) -> u64 {
    let new = window ^ window >> 1 ^ window >> 3 ^ window >> 4;
    window >> 8 | new << 56
}

/// The hash in plain Rust.
pub fn hash(key: u64, ports: u32, ip: u32) -> u32 {
    let (mut window, mut hash) = (key, 0);
    let message = u64::from(ip) << 32 | u64::from(ports);
    for byte in message.to_le_bytes() {
        hash ^= mixed(byte.into(), window);
        window = stepped(window);
    }
    hash as u32
}

fn mixed(byte: u64, window: u64) -> u64 {
    let bits = (0..8).filter(|j| byte >> j & 1 == 1);
    bits.fold(0, |sum, j| sum ^ window >> j) & ((1 << HASH_BITS) - 1)
}

/// The hash, a byte a cycle.
#[derive(LogicBlock, Debug, Default)]
pub struct Toeplitz {
    pub clock: Signal<In, Clock>,
    /// The key: taken by `load`.
    pub key_low: Signal<In, Bits<32>>,
    pub key_high: Signal<In, Bits<32>>,
    pub load: Signal<In, Bit>,
    pub step: Signal<In, Bit>,
    pub word: Signal<In, Bits<32>>,
    pub select: Signal<In, Bits<2>>,
    pub hash: Signal<Out, Bits<HASH_BITS>>,
    _window: u64,
    _byte: u64,
    _hash: u64,
}

impl Logic for Toeplitz {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            if self.load.val() {
                let low: u64 = self.key_low.val().to_u64();
                let high: u64 = self.key_high.val().to_u64();
                self._window = high << 32 | low;
                self._hash = 0;
            } else if self.step.val() {
                self._hash ^= mixed(self._byte, self._window);
                self._window = stepped(self._window);
            }
            let word: u64 = self.word.val().to_u64();
            let select: u64 = self.select.val().to_u64();
            self._byte = word >> (8 * select) & 255;
            self.hash.next = self._hash.into();
        }
    }

    fn connect(&mut self) {
        self.hash.connect();
    }

    fn hdl(&self) -> Verilog {
        let terms: String = (0..8)
            .map(|j| {
                let (n, top) = (HASH_BITS, HASH_BITS - 1 + j);
                format!("\n            ^ ({{{n}{{taken[{j}]}}}} & window[{top}:{j}])")
            })
            .collect();
        Verilog::Custom(format!(
            "\
reg [63:0] window;
reg [7:0] taken;
initial begin hash = 0; window = 0; taken = 0; end
always @(posedge clock) begin
    taken <= word[{{select, 3'b000}} +: 8];
    if (load) begin
        window <= {{key_high, key_low}};
        hash <= 0;
    end else if (step) begin
        window <= {{window[7:0] ^ window[8:1] ^ window[10:3] ^ window[11:4], window[63:8]}};
        hash <= hash{terms};
    end
end
",
        ))
    }

    fn timing(&self) -> Vec<TimingInfo> {
        vec![TimingInfo {
            name: "hash".into(),
            clock: "clock".into(),
            inputs: ["key_low", "key_high", "load", "step", "word", "select"]
                .map(String::from)
                .to_vec(),
            outputs: vec!["hash".into()],
        }]
    }
}

// ---------------------------------------------------------------- tests

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigUint;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    /// The matrix written out: row `i` is the key stream from its bit `i` on; the product with the message is the parity of row and message.
    fn golden(key: u64, ports: u32, ip: u32) -> u32 {
        let mut stream = BigUint::from(key);
        for n in 64..64 + HASH_BITS as u64 {
            let taps = [n - 64, n - 63, n - 61, n - 60].map(|t| stream.bit(t));
            stream.set_bit(n, taps.iter().filter(|b| **b).count() % 2 == 1);
        }
        let message = (BigUint::from(ip) << 32u8) | BigUint::from(ports);
        (0..HASH_BITS)
            .map(|i| u32::from((&message & (&stream >> i)).count_ones() % 2 == 1) << i)
            .sum()
    }

    fn edge(uut: &mut Toeplitz) {
        for clk in [true, false] {
            uut.clock.next = Clock { clk };
            uut.update_all();
            while uut.has_changed() {
                uut.update_all();
            }
        }
    }

    #[test]
    fn it_is_the_product_of_the_matrix() {
        let mut rng = StdRng::seed_from_u64(1994);
        let mut uut = Toeplitz::default();
        uut.connect_all();
        for round in 0..300 {
            let (key, ports, ip) = match round {
                0 => (u64::MAX, u32::MAX, u32::MAX),
                1..65 => (rng.random(), 0, 0),
                65..129 => (1 << (round - 65), rng.random(), rng.random()),
                _ => (rng.random(), rng.random(), rng.random()),
            };
            // Every single bit of the message once.
            let (ports, ip) = match round {
                1..33 => (1 << (round - 1), 0),
                33..65 => (0, 1 << (round - 33)),
                _ => (ports, ip),
            };
            assert_eq!(hash(key, ports, ip), golden(key, ports, ip));
            uut.key_low.next = (key & 0xFFFF_FFFF).into();
            uut.key_high.next = (key >> 32).into();
            for cycle in 0..9u64 {
                uut.load.next = cycle == 0;
                uut.step.next = cycle > 0;
                uut.word.next = u64::from(if cycle < 4 { ports } else { ip }).into();
                uut.select.next = (cycle % 4).into();
                edge(&mut uut);
            }
            let got: u64 = uut.hash.val().to_u64();
            assert_eq!(got, u64::from(golden(key, ports, ip)), "round {round}");
        }
    }

    /// For a fixed difference the map from key to hash difference has full rank: each value is as likely as any other.
    #[test]
    fn no_difference_collides_for_more_than_its_share_of_keys() {
        let mut rng = StdRng::seed_from_u64(64);
        let mut differences: Vec<u64> = (0..200).map(|_| rng.random()).collect();
        // The polynomial itself and its multiples, and single bits.
        differences.extend([0b11011, 0b11011 << 59, 0b11011 ^ 0b11011 << 13]);
        differences.extend((0..64).map(|i| 1 << i));
        for d in differences {
            // Columns: the hash of `d` under each key of one bit.
            let mut basis = [0u32; HASH_BITS];
            let mut rank = 0;
            for bit in 0..64 {
                let mut v = hash(1 << bit, d as u32, (d >> 32) as u32);
                for i in (0..HASH_BITS).rev() {
                    if v >> i & 1 == 0 {
                        continue;
                    }
                    if basis[i] == 0 {
                        basis[i] = v;
                        rank += 1;
                        break;
                    }
                    v ^= basis[i];
                }
            }
            assert_eq!(rank, HASH_BITS, "{d:#x}");
        }
    }

    #[test]
    fn equals_its_verilog() {
        let report = toe_sim::lockstep!("toeplitz", Toeplitz::default(), 10_000, |uut, _, rng| {
            uut.load.next = rng.random_bool(0.05);
            uut.step.next = rng.random_bool(0.9);
            uut.key_low.next = u64::from(rng.random::<u32>()).into();
            uut.key_high.next = u64::from(rng.random::<u32>()).into();
            uut.word.next = u64::from(rng.random::<u32>()).into();
            uut.select.next = rng.random_range(0..4u64).into();
        });
        report.assert_active();
    }
}
