//! The keyed hash of initial sequence numbers (RFC 6528): HalfSipHash-2-4 with a key of 64 bits over ports and remote address, 32 bits of it.
//!
//! J.-P. Aumasson's HalfSipHash, the SipHash (Aumasson and Bernstein, INDOCRYPT 2012) of words of 32 bits. The message is the 8 bytes of two words, ports first, lowest byte first; behind them
//! stands, as published, a word with their number in its highest byte. RFC 6528 has the own address in it, too: it is the same in all tuples of this
//! engine, and what it would add, that two engines give a peer different numbers, their keys give already. It would cost four cycles. (The table's [`super::toeplitz`] would not do: it is
//! linear, and a few numbers seen would give away the key.)
//!
//! **Contract.** The hash of a tuple begins by itself with each `LOOKUP` of the engine, which brings ports and address and takes 15 cycles or more (those of a tuple that is not there 24 or
//! more): they are read in its first nine. `HASH` gives the hash of the last `LOOKUP`'s tuple. So a SYN's is there before it is asked for. `HASH_OF` has one begin of any two words, without the table.
//!
//! **Latency**: `HASH` is answered in its first cycle, from the 21st after the `LOOKUP`'s or `HASH_OF`'s first on; before that then. `HASH_OF` is answered in its ninth, when its words are taken in. **Throughput**: a hash in 21 cycles,
//! two cycles a round of the ten, in each of which stand two sums of 32 bits side by side. The next `LOOKUP` or `HASH_OF` aborts. `reset` forgets what is under way, but not the key.
//!
//! Built without a key it answers nothing, and Yosys leaves nothing of it.
use super::command::CommandIn;
use super::isa::cmd;
use rust_hdl::prelude::*;

/// Cycles from a `LOOKUP`'s first to the first in which `HASH` is answered at once.
pub const CYCLES: u64 = 21;

/// Cycles of a `HASH_OF`.
pub const TAKEN: u64 = 9;

/// Half rounds: two words and their length, two rounds each, and four rounds to end.
const HALVES: u64 = 20;

/// What the key is mixed with in `v2` and `v3`.
pub(super) const V2: u64 = 0x6C79_6765;
pub(super) const V3: u64 = 0x7465_6462;

/// Behind the message: its length in bytes.
const LENGTH: u64 = 8 << 24;

/// The hash in plain Rust.
pub fn hash(key: u64, ports: u32, ip: u32) -> u32 {
    let (low, high) = (key as u32, (key >> 32) as u32);
    let mut v = [low, high, low ^ V2 as u32, high ^ V3 as u32];
    for word in [ports, ip, LENGTH as u32] {
        v[3] ^= word;
        (0..2).for_each(|_| round(&mut v));
        v[0] ^= word;
    }
    v[2] ^= 0xFF;
    (0..4).for_each(|_| round(&mut v));
    v[1] ^ v[3]
}

fn round(v: &mut [u32; 4]) {
    let sum = |a: u32, b: u32| a.wrapping_add(b);
    (v[0], v[2]) = (sum(v[0], v[1]), sum(v[2], v[3]));
    (v[1], v[3]) = (v[1].rotate_left(5) ^ v[0], v[3].rotate_left(8) ^ v[2]);
    v[0] = v[0].rotate_left(16);
    (v[0], v[2]) = (sum(v[0], v[3]), sum(v[2], v[1]));
    (v[3], v[1]) = (v[3].rotate_left(7) ^ v[0], v[1].rotate_left(13) ^ v[2]);
    v[2] = v[2].rotate_left(16);
}

// ---------------------------------------------------------------- a key

/// 64 bits that begin with a value and are written in halves. No reset: it is data.
#[derive(LogicBlock, Debug)]
pub struct Key {
    pub clock: Signal<In, Clock>,
    pub write: Signal<In, Bit>,
    /// Which half.
    pub upper: Signal<In, Bit>,
    pub data: Signal<In, Bits<32>>,
    pub low: Signal<Out, Bits<32>>,
    pub high: Signal<Out, Bits<32>>,
    _first: u64,
    _key: u64,
}

impl Key {
    /// Beginning with this.
    pub fn new(first: u64) -> Self {
        Self {
            clock: Default::default(),
            write: Default::default(),
            upper: Default::default(),
            data: Default::default(),
            low: Default::default(),
            high: Default::default(),
            _first: first,
            _key: first,
        }
    }
}

impl Logic for Key {
    fn update(&mut self) {
        if self.clock.pos_edge() && self.write.val() {
            let data: u64 = self.data.val().to_u64();
            self._key = if self.upper.val() {
                data << 32 | self._key & 0xFFFF_FFFF
            } else {
                self._key >> 32 << 32 | data
            };
        }
        self.low.next = (self._key & 0xFFFF_FFFF).into();
        self.high.next = (self._key >> 32).into();
    }

    fn connect(&mut self) {
        self.low.connect();
        self.high.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "\
initial begin low = 32'h{low:08x}; high = 32'h{high:08x}; end
always @(posedge clock)
    if (write) begin
        if (upper) high <= data; else low <= data;
    end
",
            low = self._first & 0xFFFF_FFFF,
            high = self._first >> 32,
        ))
    }

    fn timing(&self) -> Vec<TimingInfo> {
        vec![TimingInfo {
            name: "key".into(),
            clock: "clock".into(),
            inputs: ["write", "upper", "data"].map(String::from).to_vec(),
            outputs: vec!["low".into(), "high".into()],
        }]
    }
}

// ---------------------------------------------------------------- registers and sums

/// The four words and half a round. `x` and `y` are `v1` and `v3` in turn, so that both halves have the same sums: `v0 + x` and `v2 + y`.
#[derive(LogicBlock, Debug, Default)]
struct HalfRound {
    pub clock: Signal<In, Clock>,
    pub key_low: Signal<In, Bits<32>>,
    pub key_high: Signal<In, Bits<32>>,
    /// Takes key and first word.
    pub load: Signal<In, Bit>,
    pub step: Signal<In, Bit>,
    /// It is a round's second half.
    pub second: Signal<In, Bit>,
    pub ports: Signal<In, Bits<32>>,
    pub ip: Signal<In, Bits<32>>,
    /// The word behind whose rounds this one is the last: ports, address, length.
    pub after0: Signal<In, Bit>,
    pub after1: Signal<In, Bit>,
    pub after2: Signal<In, Bit>,
    pub hash: Signal<Out, Bits<32>>,
    _v0: u32,
    _x: u32,
    _v2: u32,
    _y: u32,
}

impl Logic for HalfRound {
    fn update(&mut self) {
        if self.clock.pos_edge() {
            let word = |signal: u64| signal as u32;
            let low = word(self.key_low.val().to_u64());
            let high = word(self.key_high.val().to_u64());
            let ports = word(self.ports.val().to_u64());
            let ip = word(self.ip.val().to_u64());
            if self.load.val() {
                self._v0 = low;
                self._x = high;
                self._v2 = low ^ V2 as u32;
                self._y = high ^ V3 as u32 ^ ports;
            } else if self.step.val() {
                let s = self._v0.wrapping_add(self._x);
                let t = self._v2.wrapping_add(self._y);
                let (x, y) = (self._x, self._y);
                if self.second.val() {
                    let (mut taken, mut given) = (0, 0);
                    if self.after0.val() {
                        (taken, given) = (taken | ports, given | ip);
                    }
                    if self.after1.val() {
                        (taken, given) = (taken | ip, given | LENGTH as u32);
                    }
                    if self.after2.val() {
                        taken |= LENGTH as u32;
                    }
                    let last = if self.after2.val() { 0xFF } else { 0 };
                    self._v0 = s ^ taken;
                    self._v2 = t.rotate_left(16) ^ last;
                    self._x = y.rotate_left(13) ^ t;
                    self._y = x.rotate_left(7) ^ s ^ given;
                } else {
                    self._v0 = s.rotate_left(16);
                    self._v2 = t;
                    self._x = y.rotate_left(8) ^ t;
                    self._y = x.rotate_left(5) ^ s;
                }
            }
        }
        self.hash.next = u64::from(self._x ^ self._y).into();
    }

    fn connect(&mut self) {
        self.hash.connect();
    }

    fn hdl(&self) -> Verilog {
        Verilog::Custom(format!(
            "\
reg [31:0] v0, x, v2, y;
initial begin v0 = 0; x = 0; v2 = 0; y = 0; end
wire [31:0] s = v0 + x;
wire [31:0] t = v2 + y;
wire [31:0] taken = (ports & {{32{{after0}}}}) | (ip & {{32{{after1}}}}) | (32'h{LENGTH:08x} & {{32{{after2}}}});
wire [31:0] given = (ip & {{32{{after0}}}}) | (32'h{LENGTH:08x} & {{32{{after1}}}});
always @(posedge clock)
    if (load) begin
        v0 <= key_low;
        x <= key_high;
        v2 <= key_low ^ 32'h{V2:08x};
        y <= key_high ^ 32'h{V3:08x} ^ ports;
    end else if (step) begin
        if (second) begin
            v0 <= s ^ taken;
            v2 <= {{t[15:0], t[31:16]}} ^ {{24'd0, {{8{{after2}}}}}};
            x <= {{y[18:0], y[31:19]}} ^ t;
            y <= {{x[24:0], x[31:25]}} ^ s ^ given;
        end else begin
            v0 <= {{s[15:0], s[31:16]}};
            v2 <= t;
            x <= {{y[23:0], y[31:24]}} ^ t;
            y <= {{x[26:0], x[31:27]}} ^ s;
        end
    end
always @(*) hash = x ^ y;
"
        ))
    }

    fn timing(&self) -> Vec<TimingInfo> {
        let inputs = [
            "key_low", "key_high", "load", "step", "second", "ports", "ip", "after0", "after1",
            "after2",
        ];
        vec![TimingInfo {
            name: "hash".into(),
            clock: "clock".into(),
            inputs: inputs.map(String::from).to_vec(),
            outputs: vec!["hash".into()],
        }]
    }
}

// ---------------------------------------------------------------- ports

#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
struct Registers {
    busy: Bit,
    /// The `LOOKUP` or `HASH_OF` on the bus has been seen.
    seen: Bit,
    /// The half round to come.
    half: Bits<5>,
}

/// See the module.
#[derive(LogicBlock)]
pub struct KeyedHash {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// `HASH` and `HASH_OF`; and each `LOOKUP` is watched.
    pub command: CommandIn,
    /// A `LOOKUP` is answered: what stands on the bus in the next cycle is another.
    pub looked_up: Signal<In, Bit>,
    // A half of the key is replaced; a hash that begins in that cycle, or has begun, is the old one's.
    pub key_write: Signal<In, Bit>,
    pub key_upper: Signal<In, Bit>,
    pub key_data: Signal<In, Bits<32>>,

    key: Key,
    rounds: HalfRound,
    r: DFF<Registers>,
    half: Signal<Local, Bits<5>>,
    next_half: Signal<Local, Bits<5>>,
    is_hash_of: Signal<Local, Bit>,
    begins: Signal<Local, Bit>,
    starts: Signal<Local, Bit>,
    taken: Signal<Local, Bit>,
    answers: Signal<Local, Bit>,
    present: Constant<Bit>,
    lookup: Constant<Bits<6>>,
    hash: Constant<Bits<6>>,
    hash_of: Constant<Bits<6>>,
    ports_end: Constant<Bits<5>>,
    ip_end: Constant<Bits<5>>,
    length_end: Constant<Bits<5>>,
    last: Constant<Bits<5>>,
}

impl KeyedHash {
    /// With this key at first; with none nothing is built.
    pub fn new(key: Option<u64>) -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            command: Default::default(),
            looked_up: Default::default(),
            key_write: Default::default(),
            key_upper: Default::default(),
            key_data: Default::default(),
            key: Key::new(key.unwrap_or(0)),
            rounds: Default::default(),
            r: Default::default(),
            half: Default::default(),
            next_half: Default::default(),
            is_hash_of: Default::default(),
            begins: Default::default(),
            starts: Default::default(),
            taken: Default::default(),
            answers: Default::default(),
            present: Constant::new(key.is_some()),
            lookup: Constant::new(u64::from(cmd::LOOKUP).into()),
            hash: Constant::new(u64::from(cmd::HASH).into()),
            hash_of: Constant::new(u64::from(cmd::HASH_OF).into()),
            ports_end: Constant::new(3.into()),
            ip_end: Constant::new(7.into()),
            length_end: Constant::new(11.into()),
            last: Constant::new((HALVES - 1).into()),
        }
    }
}

impl Logic for KeyedHash {
    #[hdl_gen]
    fn update(&mut self) {
        // ------------------------------------------------------------ registers
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.key.clock.next = self.clock.val();
        self.rounds.clock.next = self.clock.val();
        // ------------------------------------------------------------ the key
        self.key.write.next = self.key_write.val() & self.present.val();
        self.key.upper.next = self.key_upper.val();
        self.key.data.next = self.key_data.val();
        self.rounds.key_low.next = self.key.low.val();
        self.rounds.key_high.next = self.key.high.val();
        // ------------------------------------------------------------ a LOOKUP or HASH_OF begins
        self.is_hash_of.next = self.present.val()
            & self.command.valid.val()
            & (self.command.code.val() == self.hash_of.val());
        self.begins.next = self.is_hash_of.val()
            | (self.present.val()
                & self.command.valid.val()
                & (self.command.code.val() == self.lookup.val()));
        self.starts.next = self.begins.val() & !self.r.q.val().seen;
        self.taken.next = self.is_hash_of.val()
            & self.r.q.val().seen
            & (self.r.q.val().half == self.ip_end.val());
        self.r.d.next.seen = self.begins.val() & !self.looked_up.val() & !self.taken.val();
        // ------------------------------------------------------------ rounds
        self.half.next = self.r.q.val().half;
        self.next_half.next = self.half.val() + 1;
        self.rounds.load.next = self.starts.val();
        self.rounds.step.next = self.r.q.val().busy;
        self.rounds.second.next = self.half.val().get_bit(0);
        self.rounds.ports.next = self.command.a.val();
        self.rounds.ip.next = self.command.b.val();
        self.rounds.after0.next = self.half.val() == self.ports_end.val();
        self.rounds.after1.next = self.half.val() == self.ip_end.val();
        self.rounds.after2.next = self.half.val() == self.length_end.val();
        if self.r.q.val().busy {
            self.r.d.next.half = self.next_half.val();
            if self.half.val() == self.last.val() {
                self.r.d.next.busy = false;
            }
        }
        if self.starts.val() {
            self.r.d.next.busy = true;
            self.r.d.next.half = 0.into();
        }
        // ------------------------------------------------------------ HASH
        self.answers.next = self.present.val()
            & self.command.valid.val()
            & (self.command.code.val() == self.hash.val())
            & !self.r.q.val().busy;
        self.command.done.next = self.answers.val() | self.taken.val();
        self.command.ok.next = self.answers.val() | self.taken.val();
        self.command.result.next = 0.into();
        self.command.result2.next = 0.into();
        if self.answers.val() {
            self.command.result.next = self.rounds.hash.val();
        }
        // ------------------------------------------------------------ reset
        if self.reset.val() {
            self.r.d.next.busy = false;
            self.r.d.next.seen = false;
        }
    }
}

// ---------------------------------------------------------------- tests

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    /// HalfSipHash-2-4 of any bytes, with words as `u64` and rotations written out, so that it shares nothing with what it judges.
    fn golden(key: [u8; 8], message: &[u8]) -> [u8; 4] {
        const M: u64 = 0xFFFF_FFFF;
        let le = |bytes: &[u8]| bytes.iter().rev().fold(0, |w, b| w << 8 | u64::from(*b));
        let turn = |w: u64, n: u32| (w << n | w >> (32 - n)) & M;
        let (k0, k1) = (le(&key[..4]), le(&key[4..]));
        // "lyge" and "tedb" of the constants of SipHash.
        let (mut v0, mut v1) = (k0, k1);
        let (mut v2, mut v3) = (k0 ^ le(b"egyl"), k1 ^ le(b"bdet"));
        let mut words: Vec<u64> = message.chunks_exact(4).map(le).collect();
        let rest = message.chunks_exact(4).remainder();
        words.push((message.len() as u64 & 0xFF) << 24 | le(rest));
        for n in 0..=words.len() {
            let rounds = if n < words.len() { 2 } else { 4 };
            match words.get(n) {
                Some(word) => v3 ^= word,
                None => v2 ^= 0xFF,
            }
            for _ in 0..rounds {
                v0 = (v0 + v1) & M;
                v1 = turn(v1, 5) ^ v0;
                v0 = turn(v0, 16);
                v2 = (v2 + v3) & M;
                v3 = turn(v3, 8) ^ v2;
                v0 = (v0 + v3) & M;
                v3 = turn(v3, 7) ^ v0;
                v2 = (v2 + v1) & M;
                v1 = turn(v1, 13) ^ v2;
                v2 = turn(v2, 16);
            }
            v0 ^= words.get(n).unwrap_or(&0);
        }
        ((v1 ^ v3) as u32).to_le_bytes()
    }

    /// The reference implementation's vectors (`vectors_hsip32`): key 00 01 … 07, messages of 0 to 63 bytes 00 01 02 …
    const VECTORS: [u32; 64] = [
        0x5B9F35A9, 0xB85A4727, 0x03A662FA, 0x04E7FE8A, 0x89466E2A, 0x69B6FAC5, 0x23FC6358,
        0xC563CF8B, 0x8F84B8D0, 0x79E706F8, 0x3479B094, 0x50300808, 0x2F87F057, 0xFF63E677,
        0x7CF8FFD6, 0x972BFE74, 0x84ACB5D9, 0x5B6474C4, 0x9B8D5B46, 0x87E3EF7B, 0x45104DE3,
        0xB3623F61, 0xFE67F370, 0xBDB8ADE6, 0x630C4027, 0x75787826, 0x5F7B564F, 0x69E6B03A,
        0x004064B0, 0xB40F67FF, 0x8B339E50, 0x1A9F585D, 0x1221E7FE, 0x59327533, 0x8C4F436A,
        0x29B728FE, 0xECC65CE7, 0x548D7E69, 0x0F8B6863, 0xB4620B65, 0x4018BCB6, 0x0545075D,
        0x2EFD4224, 0x3A86B77B, 0x48D50577, 0xB10852D7, 0xC899D4B6, 0x2E209208, 0xE32CE169,
        0xE580B58D, 0xC6649736, 0x04026E01, 0xD4F3853B, 0xBE66DBFE, 0x3A2A691E, 0xC08489C6,
        0x40B9C5A5, 0x8CE8E99B, 0x4081BC7D, 0xC58E077C, 0x736CE7D4, 0xB9CB8F42, 0x7A9983BD,
        0x744AEA59,
    ];

    const KEY: u64 = 0x0706_0504_0302_0100;

    fn of_words(key: u64, ports: u32, ip: u32) -> u32 {
        let message = [ports.to_le_bytes(), ip.to_le_bytes()].concat();
        u32::from_le_bytes(golden(key.to_le_bytes(), &message))
    }

    fn settle(uut: &mut KeyedHash) {
        uut.update_all();
        while uut.has_changed() {
            uut.update_all();
        }
    }

    fn edge(uut: &mut KeyedHash) {
        for clk in [true, false] {
            uut.clock.next = Clock { clk };
            settle(uut);
        }
    }

    fn hasher(key: u64) -> KeyedHash {
        let mut uut = KeyedHash::new(Some(key));
        uut.connect_all();
        settle(&mut uut);
        uut
    }

    /// A LOOKUP that takes so many cycles.
    fn look_up(uut: &mut KeyedHash, ports: u32, ip: u32, cycles: u64) {
        uut.command.valid.next = true;
        uut.command.code.next = u64::from(cmd::LOOKUP).into();
        uut.command.a.next = u64::from(ports).into();
        uut.command.b.next = u64::from(ip).into();
        for cycle in 1..=cycles {
            uut.looked_up.next = cycle == cycles;
            settle(uut);
            assert!(!uut.command.done.val(), "the LOOKUP is the table's");
            edge(uut);
        }
        uut.looked_up.next = false;
        uut.command.valid.next = false;
        // What stands there afterwards is no longer the tuple.
        uut.command.a.next = 0xDEAD_BEEF_u64.into();
        uut.command.b.next = 0xDEAD_BEEF_u64.into();
    }

    /// A HASH_OF, and the cycles that it takes.
    fn begin(uut: &mut KeyedHash, first: u32, second: u32) -> u64 {
        uut.command.valid.next = true;
        uut.command.code.next = u64::from(cmd::HASH_OF).into();
        uut.command.a.next = u64::from(first).into();
        uut.command.b.next = u64::from(second).into();
        for cycle in 1..100 {
            settle(uut);
            let done = uut.command.done.val();
            assert_eq!(uut.command.ok.val(), done);
            assert_eq!(uut.command.result.val().to_u64(), 0);
            edge(uut);
            if done {
                uut.command.valid.next = false;
                uut.command.a.next = 0xDEAD_BEEF_u64.into();
                uut.command.b.next = 0xDEAD_BEEF_u64.into();
                return cycle;
            }
        }
        panic!("HASH_OF was not answered");
    }

    /// The hash, and the cycles that HASH waits.
    fn hashed(uut: &mut KeyedHash) -> (u32, u64) {
        uut.command.valid.next = true;
        uut.command.code.next = u64::from(cmd::HASH).into();
        for wait in 0..100 {
            settle(uut);
            if uut.command.done.val() {
                assert!(uut.command.ok.val());
                assert_eq!(uut.command.result2.val().to_u64(), 0);
                let hash = uut.command.result.val().to_u64() as u32;
                edge(uut);
                uut.command.valid.next = false;
                settle(uut);
                assert!(!uut.command.done.val());
                assert_eq!(uut.command.result.val().to_u64(), 0);
                return (hash, wait);
            }
            edge(uut);
        }
        panic!("HASH was not answered");
    }

    #[test]
    fn it_is_the_published_function() {
        let bytes: Vec<u8> = (0..64).collect();
        for (length, vector) in VECTORS.into_iter().enumerate() {
            let got = golden(KEY.to_le_bytes(), &bytes[..length]);
            assert_eq!(u32::from_le_bytes(got), vector, "{length} bytes");
        }
        // Two words are eight bytes.
        assert_eq!(hash(KEY, 0x0302_0100, 0x0706_0504), VECTORS[8]);
        let mut uut = hasher(KEY);
        look_up(&mut uut, 0x0302_0100, 0x0706_0504, 24);
        assert_eq!(hashed(&mut uut), (VECTORS[8], 0));
    }

    #[test]
    fn any_key_and_tuple_and_every_single_bit() {
        let mut rng = StdRng::seed_from_u64(6528);
        for round in 0..400 {
            let bit = |from: u32| {
                (from..from + 32)
                    .contains(&round)
                    .then(|| 1 << (round - from))
            };
            let key = match round {
                0 => 0,
                1 => u64::MAX,
                128..192 => 1 << (round - 128),
                _ => rng.random(),
            };
            let ports = bit(32).unwrap_or_else(|| rng.random());
            let ip = bit(64).unwrap_or_else(|| rng.random());
            let want = of_words(key, ports, ip);
            assert_eq!(hash(key, ports, ip), want);
            let mut uut = hasher(key);
            look_up(&mut uut, ports, ip, rng.random_range(15..40));
            assert_eq!(hashed(&mut uut).0, want, "round {round}");
            assert_eq!(hashed(&mut uut), (want, 0), "it stays");
        }
    }

    #[test]
    fn it_takes_the_cycles_that_are_promised() {
        let mut uut = hasher(KEY);
        for cycles in 15..30 {
            look_up(&mut uut, 7, cycles as u32, cycles);
            let (hash, wait) = hashed(&mut uut);
            assert_eq!(hash, of_words(KEY, 7, cycles as u32));
            assert_eq!(wait, CYCLES.saturating_sub(cycles));
        }
        // One that follows at once is another: nothing is left of the first.
        look_up(&mut uut, 1, 2, 15);
        look_up(&mut uut, 3, 4, 15);
        assert_eq!(hashed(&mut uut), (of_words(KEY, 3, 4), CYCLES - 15));
    }

    /// Whatever was under way, or has been asked for: another's words have no part in it.
    #[test]
    fn hash_of_begins_anew() {
        let mut rng = StdRng::seed_from_u64(4987);
        let mut uut = hasher(KEY);
        for round in 0..300 {
            if rng.random() {
                look_up(&mut uut, rng.random(), rng.random(), 15 + round % 20);
            }
            for _ in 0..rng.random_range(0..25) {
                edge(&mut uut);
            }
            if rng.random_bool(0.2) {
                begin(&mut uut, rng.random(), rng.random());
            }
            let (first, second) = (rng.random(), rng.random());
            assert_eq!(begin(&mut uut, first, second), TAKEN, "round {round}");
            let idle = rng.random_range(0..20);
            for _ in 0..idle {
                edge(&mut uut);
            }
            let want = (
                of_words(KEY, first, second),
                (CYCLES - TAKEN).saturating_sub(idle),
            );
            assert_eq!(hashed(&mut uut), want, "round {round}");
        }
    }

    #[test]
    fn the_key_is_replaced_in_halves_and_outlives_a_reset() {
        let mut uut = hasher(KEY);
        for (upper, data, key) in [
            (false, 0x1111_2222_u64, 0x0706_0504_1111_2222),
            (true, 0xFFFF_0001, 0xFFFF_0001_1111_2222),
        ] {
            uut.key_write.next = true;
            uut.key_upper.next = upper;
            uut.key_data.next = data.into();
            edge(&mut uut);
            uut.key_write.next = false;
            uut.reset.next = true;
            edge(&mut uut);
            uut.reset.next = false;
            look_up(&mut uut, 5, 6, 24);
            assert_eq!(hashed(&mut uut).0, of_words(key, 5, 6));
        }
    }

    #[test]
    fn without_a_key_it_answers_nothing() {
        let mut uut = KeyedHash::new(None);
        uut.connect_all();
        settle(&mut uut);
        look_up(&mut uut, 5, 6, 24);
        uut.command.valid.next = true;
        for code in 0..64_u64 {
            uut.command.code.next = code.into();
            settle(&mut uut);
            assert!(!uut.command.done.val() && !uut.command.ok.val());
            assert_eq!(uut.command.result.val().to_u64(), 0);
            edge(&mut uut);
        }
    }

    #[test]
    fn equals_its_verilog() {
        let mut left = 0;
        let report = toe_sim::lockstep!(
            "keyed_hash",
            KeyedHash::new(Some(0xFEDC_BA98_0123_4567)),
            20_000,
            |uut, _, rng| {
                uut.reset.next = rng.random_bool(0.002);
                uut.key_write.next = rng.random_bool(0.01);
                uut.key_upper.next = rng.random();
                uut.key_data.next = u64::from(rng.random::<u32>()).into();
                uut.looked_up.next = false;
                if left == 0 {
                    left = rng.random_range(1..40);
                    uut.command.valid.next = rng.random_bool(0.8);
                    let codes = [cmd::LOOKUP, cmd::HASH, cmd::HASH_OF, cmd::ALLOC];
                    let code = codes[rng.random_range(0..4)];
                    uut.command.code.next = u64::from(code).into();
                    uut.command.a.next = u64::from(rng.random::<u32>()).into();
                    uut.command.b.next = u64::from(rng.random::<u32>()).into();
                }
                left -= 1;
                if left == 0 {
                    uut.looked_up.next = uut.command.valid.val() && rng.random();
                }
            }
        );
        assert_eq!(report.never_changed(), ["command$result2"]);
    }
}
