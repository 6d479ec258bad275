//! An assembler embedded in Rust for the engine of [`super::isa`].
//!
//! A program file is a function that takes `&mut Asm` and reads like assembly:
//!
//! ```
//! use toe_hdl::tcp::asm::{flags::*, k, operands::*, Asm, Flag, Operand};
//! use toe_hdl::tcp::isa::{cmd, vector};
//!
//! const RCV_NXT: Operand = Operand::state(4, "rcv_nxt");
//! const OLD: Flag = Flag::new(2, "old");
//!
//! let mut a = Asm::new(1024);
//! a.org(vector::SEGMENT).label("segment");
//! a.ld(SEG_SEQ).sub(RCV_NXT).sign(OLD); //  old := seq < rcv_nxt, modulo 2^32; acc keeps seq
//! a.when(OLD).br("unacceptable");
//! a.cmd(cmd::RX_COMMIT);
//! a.when(OK).ld(RESULT).st(RCV_NXT); //     one word: acc and rcv_nxt := result
//! a.done();
//! a.label("unacceptable").note("RFC 9293 section 3.10.7.4, first check");
//! a.ld(k(0x1234_5678)).add(k(1)); //        constants find their own place in the shared row
//! a.call("send_ack");
//! a.done();
//! a.label("send_ack").ret();
//! let program = a.assemble().expect("sound");
//! println!("{}", program.listing);
//! ```
//!
//! # Rules
//! - **An arithmetic operation writes the accumulator**, unless what is chained to it says otherwise:
//!   `.st(x)` also stores to `x` (the same word), `.to(x)` stores to `x` and leaves the accumulator alone, and `.sign(f)`, `.zero(f)`, `.carry(f)`
//!   (`.not_…` inverted, `.or_…` ORed into the flag) write the flag and leave the accumulator alone. A second flag chained repeats the operation.
//! - **`when(f)` and `unless(f)` govern the next operation** with all that is chained to it, and nothing after.
//!   `a.unless(F).add(K).st(X);` stores under the predicate; `a.unless(F).add(K); a.st(X);` stores always.
//! - **Constants.** [`k`]`(value)` is an operand: the assembler puts each value once into a word of the shared row (48 to 63) that the program uses for
//!   nothing else. `ldi` takes 12 bits and needs none; `li` chooses. [`Asm::constant`] gives a constant a name, [`Asm::init`] gives a shared variable its first value.
//! - **Labels** may be used before they stand. One that begins with a dot is local to the last that doesn't.
//! - **Hazards** ([`super::isa::hazard`]) are the assembler's business: it puts NOPs where the straight-line distance is too short, before the label, if there is one, so that
//!   jumps don't pay. A taken branch, a call and a return flush the pipeline, so nothing is needed across them.
//! - **Errors** are gathered and returned by [`Asm::assemble`], each with the line of Rust it came from.
use super::isa::{self, cmd, hazard, Op, Shift, Write};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::ops::{Deref, DerefMut};
use std::panic::Location;

/// What an instruction reads or stores to: a word with an address and a name, or a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operand {
    place: Place,
    name: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Address(u8),
    Constant(u32),
    FarConstant(u32),
}

impl Operand {
    /// Operand `address` (0 to 63, and 64 more in the far bank) under a name for listings and traces.
    pub const fn new(address: u8, name: &'static str) -> Self {
        assert!(address < 128, "operand addresses are 0 to 127");
        Self {
            place: Place::Address(address),
            name,
        }
    }

    /// Word `n` (0 to 31) of the connection's state.
    pub const fn state(n: u8, name: &'static str) -> Self {
        assert!(n < 32, "state words are 0 to 31");
        Self::new(n, name)
    }

    /// Word `n` (0 to 31) of the connection's state in the far bank.
    pub const fn far_state(n: u8, name: &'static str) -> Self {
        assert!(n < 32, "far state words are 0 to 31");
        Self::new(isa::FAR + n, name)
    }

    /// Word 16 + `n` (0 to 11) of the event's record: the edges of SACK blocks.
    pub const fn far_record(n: u8, name: &'static str) -> Self {
        assert!(n < 12, "far record words are 0 to 11");
        Self::new(isa::FAR + isa::RECORD_BASE + n, name)
    }

    /// Word `n` (0 to 15) of the far row shared by all connections.
    pub const fn far_shared(n: u8, name: &'static str) -> Self {
        assert!(n < 16, "far shared words are 0 to 15");
        Self::new(isa::FAR + isa::SHARED_BASE + n, name)
    }

    /// It lies in the far bank.
    pub const fn is_far(self) -> bool {
        match self.place {
            Place::Address(a) => a >= isa::FAR,
            Place::Constant(_) => false,
            Place::FarConstant(_) => true,
        }
    }

    /// Word `n` (0 to 15) of the row shared by all connections.
    pub const fn shared(n: u8, name: &'static str) -> Self {
        assert!(n < 16, "shared words are 0 to 15");
        Self::new(isa::SHARED_BASE + n, name)
    }

    /// Word `n` (0 to 11) of the event's record.
    pub const fn record(n: u8, name: &'static str) -> Self {
        assert!(n < 12, "record words are 0 to 11");
        Self::new(isa::RECORD_BASE + n, name)
    }

    /// Its address, unless it is a constant, whose address the assembler chooses.
    pub const fn address(self) -> Option<u8> {
        match self.place {
            Place::Address(a) => Some(a),
            Place::Constant(_) | Place::FarConstant(_) => None,
        }
    }

    /// Its name; empty for a constant.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// A constant as an operand; equal values share one word of the shared row.
pub const fn k(value: u32) -> Operand {
    Operand {
        place: Place::Constant(value),
        name: "",
    }
}

/// A constant that stands in the far bank, where there is more room.
pub const fn kf(value: u32) -> Operand {
    Operand {
        place: Place::FarConstant(value),
        name: "",
    }
}

/// One of the sixteen flags, with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag {
    number: u8,
    name: &'static str,
}

impl Flag {
    /// Flag `number` (0 to 15) under a name for listings and traces.
    pub const fn new(number: u8, name: &'static str) -> Self {
        assert!(number < 16, "flags are 0 to 15");
        Self { number, name }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        self.number
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// The operands whose meaning the hardware fixes.
pub mod operands {
    use super::{isa, Operand};
    pub const SEG_PORTS: Operand = Operand::record(isa::seg::PORTS, "seg_ports");
    pub const SEG_SEQ: Operand = Operand::record(isa::seg::SEQ, "seg_seq");
    pub const SEG_ACK: Operand = Operand::record(isa::seg::ACK, "seg_ack");
    pub const SEG_CTL: Operand = Operand::record(isa::seg::CTL, "seg_ctl");
    pub const SEG_MACURG: Operand = Operand::record(isa::seg::MACURG, "seg_macurg");
    pub const SEG_IP: Operand = Operand::record(isa::seg::IP, "seg_ip");
    pub const SEG_MACLO: Operand = Operand::record(isa::seg::MACLO, "seg_maclo");
    pub const SEG_MSSOPT: Operand = Operand::record(isa::seg::MSSOPT, "seg_mssopt");
    pub const SEG_LEN: Operand = Operand::record(isa::seg::LEN, "seg_len");
    pub const SEG_TSVAL: Operand = Operand::record(isa::seg::TSVAL, "seg_tsval");
    pub const SEG_TSECR: Operand = Operand::record(isa::seg::TSECR, "seg_tsecr");
    pub const SEG_WND: Operand = Operand::record(isa::seg::WND, "seg_wnd");
    pub const RESULT: Operand = Operand::new(isa::RESULT, "result");
    pub const RESULT2: Operand = Operand::new(isa::RESULT2, "result2");
    pub const TICK: Operand = Operand::new(isa::TICK, "tick");
    /// All 32 bits of it: a word of the far bank.
    pub const TICK_LONG: Operand = Operand::new(isa::FAR + isa::TICK, "tick_long");
    pub const ISN: Operand = Operand::new(isa::ISN, "isn");
}

/// The flags whose meaning the hardware fixes. Flags 8 to 15 have two: TCP flags in a segment, pending bits else.
pub mod flags {
    use super::{isa, Flag};
    pub const OK: Flag = Flag::new(isa::flag::OK, "ok");
    pub const FIN: Flag = Flag::new(isa::flag::FIN, "fin");
    pub const SYN: Flag = Flag::new(isa::flag::SYN, "syn");
    pub const RST: Flag = Flag::new(isa::flag::RST, "rst");
    pub const ODD: Flag = Flag::new(isa::flag::ODD, "odd");
    pub const ACK: Flag = Flag::new(isa::flag::ACK, "ack");
    pub const P_TIMER: Flag = Flag::new(8 + isa::pending::TIMER, "p_timer");
    pub const P_WRITTEN: Flag = Flag::new(8 + isa::pending::WRITTEN, "p_written");
    pub const P_READ: Flag = Flag::new(8 + isa::pending::READ, "p_read");
    pub const P_CLOSE: Flag = Flag::new(8 + isa::pending::CLOSE, "p_close");
    pub const P_ABORT: Flag = Flag::new(8 + isa::pending::ABORT, "p_abort");
    pub const P_RELEASED: Flag = Flag::new(8 + isa::pending::RELEASED, "p_released");
    pub const P_AGAIN: Flag = Flag::new(8 + isa::pending::AGAIN, "p_again");
}

/// An instruction word taken apart. `imm` of LDI, BR, CALL, JT is `src` and `dst` together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub op: Op,
    pub src: u8,
    pub dst: u8,
    pub wr: Write,
    pub flag: u8,
    pub sense: bool,
}

impl Instruction {
    /// Does nothing: predicated on flag 0 being clear, which it never is. A zero word.
    pub const NOP: Self = Self {
        op: Op::Ld,
        src: 0,
        dst: 0,
        wr: Write::None,
        flag: 0,
        sense: false,
    };

    /// Takes a word apart; none if its `wr` field is not one of [`Write`] or it is wider than 24 bits.
    pub const fn decode(word: u32) -> Option<Self> {
        const OPS: [Op; 16] = [
            Op::Ld,
            Op::Add,
            Op::Sub,
            Op::Rsb,
            Op::And,
            Op::Or,
            Op::Xor,
            Op::Bic,
            Op::Shift,
            Op::Ldi,
            Op::Br,
            Op::Call,
            Op::Ret,
            Op::Jt,
            Op::Cmd,
            Op::Done,
        ];
        const WRITES: [Write; 7] = [
            Write::None,
            Write::Acc,
            Write::Mem,
            Write::AccMem,
            Write::Sign,
            Write::Zero,
            Write::Carry,
        ];
        let wr = (word >> 5 & 7) as usize;
        if word >> 24 != 0 || wr == 7 {
            return None;
        }
        Some(Self {
            op: OPS[(word >> 20) as usize],
            src: (word >> 14 & 63) as u8,
            dst: (word >> 8 & 63) as u8,
            wr: WRITES[wr],
            flag: (word >> 1 & 15) as u8,
            sense: word & 1 == 1,
        })
    }

    /// The word.
    pub const fn encode(self) -> u32 {
        isa::encode(self.op, self.src, self.dst, self.wr, self.flag, self.sense)
    }

    /// The 12-bit immediate.
    pub const fn imm(self) -> u16 {
        (self.src as u16) << 6 | self.dst as u16
    }

    /// LD to BIC: operations whose result `wr` sends on.
    pub const fn is_alu(self) -> bool {
        (self.op as u8) < Op::Shift as u8
    }

    /// Acts whatever the flags say.
    pub const fn is_always(self) -> bool {
        self.flag == 0 && self.sense
    }

    /// Acts always, and its addresses are those of the far bank.
    pub fn is_far(self) -> bool {
        self.flag == 0 && !self.sense && self != Self::NOP
    }

    /// An address of its, with [`isa::FAR`] if it is one of the far bank.
    fn banked(self, address: u8) -> u8 {
        let same = (isa::RESULT..isa::SHARED_BASE).contains(&address) && address != isa::TICK;
        if self.is_far() && !same {
            isa::FAR + address
        } else {
            address
        }
    }

    /// The operand it reads, if any: its address, with [`isa::FAR`] in the far bank.
    pub fn loads(self) -> Option<u8> {
        let reads = match self.op {
            Op::Cmd => command(self.dst).is_some_and(|c| c.takes_a),
            Op::Shift => true,
            _ => self.is_alu(),
        };
        (reads && self != Self::NOP).then_some(self.banked(self.src))
    }

    /// The operand it stores to, if any.
    pub fn stores(self) -> Option<u8> {
        (self.is_alu() && matches!(self.wr, Write::Mem | Write::AccMem))
            .then_some(self.banked(self.dst))
    }

    /// The flag it writes, if any (a command's `ok` aside).
    pub fn writes_flag(self) -> Option<u8> {
        (self.is_alu() && matches!(self.wr, Write::Sign | Write::Zero | Write::Carry))
            .then_some(self.dst & 15)
    }

    /// Never falls through to the next word.
    pub fn leaves(self) -> bool {
        self.is_always() && matches!(self.op, Op::Br | Op::Ret | Op::Jt | Op::Done)
    }

    /// The distance at which `later` may follow without meeting a hazard (next word = 1).
    pub fn distance_to(self, later: Self) -> usize {
        let mut distance = 1;
        if let (Some(stored), Some(loaded)) = (self.stores(), later.loads()) {
            if stored == loaded {
                distance = hazard::STORE_TO_LOAD;
            }
        }
        if self.op == Op::Cmd {
            if matches!(later.loads(), Some(isa::RESULT | isa::RESULT2)) {
                distance = distance.max(hazard::COMMAND_TO_RESULT);
            }
            let state = |x: Option<u8>| x.is_some_and(|x| x & 63 < isa::RECORD_BASE);
            if self.dst == cmd::SETCONN && (state(later.loads()) || state(later.stores())) {
                distance = distance.max(hazard::SETCONN_TO_STATE);
            }
        }
        distance
    }
}

/// What is known of a command code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// As in `docs/design.md`, in lower case, with its number where there are several.
    pub name: String,
    /// It reads operand `a`; else the source field is a number.
    pub takes_a: bool,
}

/// Name and operands of a command code; none if there is no such command.
pub fn command(code: u8) -> Option<Command> {
    let (name, takes_a) = match code {
        cmd::SETCONN => ("setconn", true),
        cmd::COUNT => ("count", false),
        cmd::POST => ("post", false),
        cmd::TIMER_TAKE => ("timer_take", false),
        cmd::SEND => ("send", true),
        cmd::NOTIFY => ("notify", false),
        cmd::ARP => ("arp", true),
        cmd::HASH => ("hash", false),
        cmd::LOOKUP => ("lookup", true),
        cmd::ALLOC => ("alloc", true),
        cmd::FREE => ("free", false),
        cmd::RECYCLABLE => ("recyclable", false),
        cmd::LISTEN => ("listen", true),
        cmd::KEEP => ("keep", false),
        cmd::MOVE => ("move", false),
        cmd::EVICTED => ("evicted", false),
        cmd::RX_INIT => ("rx_init", true),
        cmd::RX_COMMIT => ("rx_commit", false),
        cmd::RX_WINDOW => ("rx_window", false),
        cmd::RX_SACK => ("rx_sack", false),
        cmd::TX_INIT => ("tx_init", true),
        cmd::TX_PEEK => ("tx_peek", true),
        cmd::TX_CUT => ("tx_cut", false),
        cmd::TX_FREE => ("tx_free", true),
        cmd::TX_RECUT => ("tx_recut", true),
        cmd::TX_SACK => ("tx_sack", true),
        cmd::TX_PIPE => ("tx_pipe", false),
        cmd::TX_MARK => ("tx_mark", true),
        cmd::TX_NEXT => ("tx_next", true),
        cmd::REPORT => ("report", false),
        cmd::SCALE => ("scale", true),
        cmd::ECN => ("ecn", false),
        cmd::HASH_OF => ("hash_of", true),
        cmd::DIFFSERV => ("diffserv", true),
        0x20..=0x2F => {
            return Some(Command {
                name: format!("out{}", code - cmd::OUT),
                takes_a: true,
            })
        }
        0x30..=0x33 => {
            return Some(Command {
                name: format!("timer_set{}", code - cmd::TIMER_SET),
                takes_a: true,
            })
        }
        0x34..=0x37 => {
            return Some(Command {
                name: format!("timer_clear{}", code - cmd::TIMER_CLEAR),
                takes_a: false,
            })
        }
        _ => return None,
    };
    Some(Command {
        name: name.into(),
        takes_a,
    })
}

/// An error, and the line of Rust that caused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsmError {
    /// Where the instruction was written.
    pub location: &'static Location<'static>,
    /// What is wrong with it.
    pub message: String,
}

/// All that is wrong with a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsmErrors(pub Vec<AsmError>);

impl fmt::Display for AsmErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, e) in self.0.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{}: {}", e.location, e.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for AsmErrors {}

/// Names for listings, disassembly and traces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbols {
    /// Labels by address; local ones as `outer.inner`.
    pub labels: BTreeMap<u16, Vec<String>>,
    /// Operand names by address; the first one used where there are several.
    pub operands: BTreeMap<u8, String>,
    /// Flag names by number, likewise.
    pub flags: BTreeMap<u8, String>,
}

impl Symbols {
    /// An operand's name, or its address in brackets.
    pub fn operand(&self, address: u8) -> String {
        self.operands
            .get(&address)
            .cloned()
            .unwrap_or_else(|| format!("[{address}]"))
    }

    /// A flag's name, or `f` and its number.
    pub fn flag(&self, number: u8) -> String {
        self.flags
            .get(&number)
            .cloned()
            .unwrap_or_else(|| format!("f{number}"))
    }

    /// The first label at an address, or the address.
    pub fn label(&self, address: u16) -> String {
        self.labels
            .get(&address)
            .map_or_else(|| format!("0x{address:03x}"), |l| l[0].clone())
    }

    /// The address of a label.
    pub fn address(&self, label: &str) -> Option<u16> {
        self.labels
            .iter()
            .find_map(|(address, names)| names.iter().any(|n| n == label).then_some(*address))
    }
}

/// An assembled program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// 24-bit words from address 0.
    pub words: Vec<u32>,
    /// First contents of operands 48 to 63, then of those of the far bank.
    pub shared: [u32; 32],
    /// What it needs of the far bank.
    pub far: isa::Far,
    /// Names.
    pub symbols: Symbols,
    /// Address, word, text, label and comment of every word.
    pub listing: String,
}

/// Text of a word, operands and flags by number.
pub fn disassemble(word: u32) -> String {
    disassemble_with(word, &Symbols::default())
}

/// Text of a word with a program's names.
pub fn disassemble_with(word: u32, symbols: &Symbols) -> String {
    let Some(i) = Instruction::decode(word) else {
        return format!("?{word:06x}");
    };
    if i == Instruction::NOP {
        return "nop".into();
    }
    let mut s = String::new();
    match (i.flag, i.sense) {
        (0, true) => {}
        (0, false) => s += "far ",
        (f, true) => s = format!("when {} ", symbols.flag(f)),
        (f, false) => s = format!("unless {} ", symbols.flag(f)),
    }
    let name = format!("{:?}", i.op).to_lowercase();
    let (src, dst) = (i.banked(i.src), i.banked(i.dst));
    match i.op {
        Op::Br | Op::Call | Op::Jt => s += &format!("{name} {}", symbols.label(i.imm())),
        Op::Ldi => s += &format!("ldi {}", i.imm()),
        Op::Ret | Op::Done => s += &name,
        Op::Shift => {
            const KINDS: [&str; 8] = [
                "shr1", "shr3", "shr16", "shr8", "shl1", "shl3", "shl16", "shl8",
            ];
            s += &format!("{} {}", KINDS[i.dst as usize & 7], symbols.operand(src));
        }
        Op::Cmd => match command(i.dst) {
            Some(c) if c.takes_a => s += &format!("{} {}", c.name, symbols.operand(src)),
            Some(c) => s += &format!("{} {}", c.name, i.src),
            None => s += &format!("cmd 0x{:02x} {}", i.dst, i.src),
        },
        _ => s += &format!("{name} {}", symbols.operand(src)),
    }
    if i.is_alu() {
        match i.wr {
            Write::None => s += " -> nothing",
            Write::Acc => {}
            Write::Mem => s += &format!(" -> {}", symbols.operand(dst)),
            Write::AccMem => s += &format!(" -> acc, {}", symbols.operand(dst)),
            Write::Sign | Write::Zero | Write::Carry => {
                let or = if i.dst & isa::FLAG_OR != 0 {
                    "|="
                } else {
                    ":="
                };
                let not = if i.dst & isa::FLAG_INVERT != 0 {
                    "!"
                } else {
                    ""
                };
                let what = format!("{:?}", i.wr).to_lowercase();
                s += &format!(" -> {} {or} {not}{what}", symbols.flag(i.dst & 15));
            }
        }
    }
    s
}

/// One word to be.
#[derive(Clone, Debug)]
struct Word {
    op: Op,
    src: Source,
    dst: Target,
    wr: Write,
    predicate: (Flag, bool),
    location: &'static Location<'static>,
    comment: String,
}

impl Word {
    fn operands(&self) -> impl Iterator<Item = Operand> {
        let src = match self.src {
            Source::Operand(o) => Some(o),
            _ => None,
        };
        let dst = match self.dst {
            Target::Operand(o) => Some(o),
            _ => None,
        };
        src.into_iter().chain(dst)
    }

    fn is_far(&self) -> bool {
        self.operands().any(Operand::is_far)
    }
}

#[derive(Clone, Debug)]
enum Source {
    Number(u16),
    Operand(Operand),
    Label(String),
    /// The address of the word after this one: a jump table's base.
    Next,
}

#[derive(Clone, Copy, Debug)]
enum Target {
    Number(u8),
    Operand(Operand),
    Flag(Flag, u8),
}

#[derive(Clone, Debug)]
enum Item {
    Word(Word),
    Label(String, &'static Location<'static>),
    Org(u16, &'static Location<'static>),
    Comment(String),
}

const ALWAYS: (Flag, bool) = (Flag::new(0, "always"), true);

/// The builder. See the [module](self) for its rules.
pub struct Asm {
    items: Vec<Item>,
    limit: usize,
    outer: String,
    predicate: Option<(Flag, bool, &'static Location<'static>)>,
    constants: Vec<(Operand, u32)>,
    initial: Vec<(Operand, u32)>,
    errors: Vec<AsmError>,
}

/// The arithmetic operation just written: what is chained to it says where its result goes. Everything of [`Asm`] can be chained as well.
pub struct Ins<'a> {
    asm: &'a mut Asm,
    /// Where in `items` the operation stands.
    at: usize,
}

impl Deref for Ins<'_> {
    type Target = Asm;
    fn deref(&self) -> &Asm {
        self.asm
    }
}

impl DerefMut for Ins<'_> {
    fn deref_mut(&mut self) -> &mut Asm {
        self.asm
    }
}

macro_rules! alu {
    ($($name:ident $op:ident $doc:literal;)*) => { $(
        #[doc = $doc]
        #[track_caller]
        pub fn $name(&mut self, src: Operand) -> Ins<'_> {
            self.value(Op::$op, Source::Operand(src), Target::Number(0))
        }
    )* };
}

macro_rules! shifts {
    ($($name:ident $kind:ident $doc:literal;)*) => { $(
        #[doc = $doc]
        #[track_caller]
        pub fn $name(&mut self, src: Operand) -> Ins<'_> {
            self.shift(src, Shift::$kind)
        }
    )* };
}

macro_rules! flag_writes {
    ($($name:ident $wr:ident $bits:expr, $doc:literal;)*) => { $(
        #[doc = $doc]
        #[track_caller]
        pub fn $name(self, f: Flag) -> Self {
            self.flag_write(Write::$wr, f, $bits)
        }
    )* };
}

impl Asm {
    /// An empty program for a program memory of `limit` words (at most 4,096).
    pub fn new(limit: usize) -> Self {
        assert!(limit <= 4096, "addresses have 12 bits, limit is {limit}");
        Self {
            items: Vec::new(),
            limit,
            outer: String::new(),
            predicate: None,
            constants: Vec::new(),
            initial: Vec::new(),
            errors: Vec::new(),
        }
    }

    // ---- what is declared -------------------------------------------------------------------

    /// Gives a shared word a value that the program may not overwrite.
    #[track_caller]
    pub fn constant(&mut self, operand: Operand, value: u32) -> &mut Self {
        self.must_be_shared(operand);
        self.constants.push((operand, value));
        self
    }

    /// Gives a shared word its first value; the program may overwrite it.
    #[track_caller]
    pub fn init(&mut self, operand: Operand, value: u32) -> &mut Self {
        self.must_be_shared(operand);
        self.initial.push((operand, value));
        self
    }

    /// The next word stands at `address` (words skipped are NOPs).
    #[track_caller]
    pub fn org(&mut self, address: u16) -> &mut Self {
        self.no_predicate("org");
        self.items.push(Item::Org(address, Location::caller()));
        self
    }

    /// Names the next word.
    #[track_caller]
    pub fn label(&mut self, name: &str) -> &mut Self {
        self.no_predicate("a label");
        let name = self.qualify(name);
        if !name.contains('.') {
            self.outer.clone_from(&name);
        }
        self.items.push(Item::Label(name, Location::caller()));
        self
    }

    /// A line of comment for the listing, above the next word.
    pub fn note(&mut self, text: &str) -> &mut Self {
        self.items.push(Item::Comment(text.into()));
        self
    }

    // ---- predicates -------------------------------------------------------------------------

    /// The next operation acts only if the flag is set.
    #[track_caller]
    pub fn when(&mut self, f: Flag) -> &mut Self {
        self.no_predicate("another predicate");
        self.predicate = Some((f, true, Location::caller()));
        self
    }

    /// The next operation acts only if the flag is clear.
    #[track_caller]
    pub fn unless(&mut self, f: Flag) -> &mut Self {
        self.no_predicate("another predicate");
        self.predicate = Some((f, false, Location::caller()));
        self
    }

    // ---- arithmetic -------------------------------------------------------------------------

    alu! {
        ld Ld "r = src";
        add Add "r = acc + src";
        sub Sub "r = acc - src";
        rsb Rsb "r = src - acc";
        and And "r = acc & src";
        or Or "r = acc | src";
        xor Xor "r = acc ^ src";
        bic Bic "r = acc & !src";
    }

    shifts! {
        shr1 Right1 "acc = src >> 1";
        shr3 Right3 "acc = src >> 3";
        shr8 Right8 "acc = src >> 8";
        shr16 Right16 "acc = src >> 16";
        shl1 Left1 "acc = src << 1";
        shl3 Left3 "acc = src << 3";
        shl8 Left8 "acc = src << 8";
        shl16 Left16 "acc = src << 16";
    }

    /// acc = `src` shifted.
    #[track_caller]
    pub fn shift(&mut self, src: Operand, kind: Shift) -> Ins<'_> {
        self.value(Op::Shift, Source::Operand(src), Target::Number(kind as u8))
    }

    /// acc = `value`, of 12 bits.
    #[track_caller]
    pub fn ldi(&mut self, value: u32) -> Ins<'_> {
        if value > 0xFFF {
            self.error(format!(
                "ldi takes 12 bits, {value:#x} is wider: use li or ld(k(…))"
            ));
        }
        self.value(
            Op::Ldi,
            Source::Number((value & 0xFFF) as u16),
            Target::Number(0),
        )
    }

    /// acc = `value`: an `ldi` if it has 12 bits, else through a constant of the shared row.
    #[track_caller]
    pub fn li(&mut self, value: u32) -> Ins<'_> {
        if value <= 0xFFF {
            self.ldi(value)
        } else {
            self.ld(k(value))
        }
    }

    /// r = acc, for a flag to be taken from it: `a.acc().zero(F)`.
    #[track_caller]
    pub fn acc(&mut self) -> Ins<'_> {
        self.or(k(0))
    }

    /// Stores the accumulator (an OR with the constant zero).
    #[track_caller]
    pub fn st(&mut self, dst: Operand) -> &mut Self {
        self.check_store(dst);
        let mut ins = self.or(k(0));
        let w = ins.word();
        w.dst = Target::Operand(dst);
        w.wr = Write::Mem;
        self
    }

    /// Sets a flag (a load of the constant zero).
    #[track_caller]
    pub fn set(&mut self, f: Flag) -> &mut Self {
        self.ld(k(0)).zero(f);
        self
    }

    /// Clears a flag.
    #[track_caller]
    pub fn clear(&mut self, f: Flag) -> &mut Self {
        self.ld(k(0)).sign(f);
        self
    }

    /// Nothing, for one cycle.
    #[track_caller]
    pub fn nop(&mut self) -> &mut Self {
        self.no_predicate("nop");
        let never = (ALWAYS.0, false);
        self.push(
            Op::Ld,
            Source::Number(0),
            Target::Number(0),
            Write::None,
            Some(never),
        );
        self
    }

    // ---- control ----------------------------------------------------------------------------

    /// Goes to a label.
    #[track_caller]
    pub fn br(&mut self, label: &str) -> &mut Self {
        let label = Source::Label(self.qualify(label));
        self.plain(Op::Br, label)
    }

    /// Calls a routine; at most two calls are open at a time.
    #[track_caller]
    pub fn call(&mut self, label: &str) -> &mut Self {
        let label = Source::Label(self.qualify(label));
        self.plain(Op::Call, label)
    }

    /// Returns behind the last call.
    #[track_caller]
    pub fn ret(&mut self) -> &mut Self {
        self.plain(Op::Ret, Source::Number(0))
    }

    /// Goes to the label whose number (0 to 15) the accumulator's low four bits hold. A number past the list's end runs into what follows it.
    #[track_caller]
    pub fn jt(&mut self, labels: &[&str]) -> &mut Self {
        self.no_predicate("jt, which would fall into its own table,");
        if labels.is_empty() || labels.len() > 16 {
            self.error(format!("jt takes 1 to 16 labels, not {}", labels.len()));
        }
        self.plain(Op::Jt, Source::Next);
        for label in labels {
            self.br(label);
        }
        self
    }

    /// The event is finished.
    #[track_caller]
    pub fn done(&mut self) -> &mut Self {
        self.plain(Op::Done, Source::Number(0))
    }

    // ---- commands ---------------------------------------------------------------------------

    /// A command that takes no operand `a` (`b` is always the accumulator).
    #[track_caller]
    pub fn cmd(&mut self, code: u8) -> &mut Self {
        self.cmd_imm(code, 0)
    }

    /// A command with operand `a`.
    #[track_caller]
    pub fn cmd_a(&mut self, code: u8, a: Operand) -> &mut Self {
        self.check_command(code, true);
        self.command_word(code, Source::Operand(a))
    }

    /// A command with a number of 6 bits.
    #[track_caller]
    pub fn cmd_imm(&mut self, code: u8, imm: u8) -> &mut Self {
        self.check_command(code, false);
        if imm > 63 {
            self.error(format!("a command's number has 6 bits, {imm} is wider"));
        }
        self.command_word(code, Source::Number(imm as u16))
    }

    /// Header word `n` of the segment being made := `a`.
    #[track_caller]
    pub fn out(&mut self, n: u8, a: Operand) -> &mut Self {
        if n > 15 {
            self.error(format!("header words are 0 to 15, not {n}"));
        }
        self.cmd_a(cmd::OUT + (n & 15), a)
    }

    /// Timer `t` of this connection expires `a` ticks from now.
    #[track_caller]
    pub fn timer_set(&mut self, t: u8, a: Operand) -> &mut Self {
        if t > 3 {
            self.error(format!("timers are 0 to 3, not {t}"));
        }
        self.cmd_a(cmd::TIMER_SET + (t & 3), a)
    }

    /// Stops timer `t` of this connection.
    #[track_caller]
    pub fn timer_clear(&mut self, t: u8) -> &mut Self {
        if t > 3 {
            self.error(format!("timers are 0 to 3, not {t}"));
        }
        self.cmd(cmd::TIMER_CLEAR + (t & 3))
    }

    /// Counts a cause ([`crate::counters::Cause`] as its number).
    #[track_caller]
    pub fn count(&mut self, cause: u8) -> &mut Self {
        self.cmd_imm(cmd::COUNT, cause)
    }

    /// Tells the application switch ([`isa::notify`]).
    #[track_caller]
    pub fn notify(&mut self, kind: u8) -> &mut Self {
        self.cmd_imm(cmd::NOTIFY, kind)
    }

    // ---- inner workings ---------------------------------------------------------------------

    fn qualify(&self, label: &str) -> String {
        if label.starts_with('.') {
            format!("{}{label}", self.outer)
        } else {
            label.into()
        }
    }

    #[track_caller]
    fn error(&mut self, message: String) {
        self.errors.push(AsmError {
            location: Location::caller(),
            message,
        });
    }

    #[track_caller]
    fn no_predicate(&mut self, what: &str) {
        if let Some((f, _, location)) = self.predicate.take() {
            self.errors.push(AsmError {
                location,
                message: format!("predicate on {} stands before {what}", f.name),
            });
        }
    }

    #[track_caller]
    fn must_be_shared(&mut self, operand: Operand) {
        if operand.address().is_none_or(|a| a & 63 < isa::SHARED_BASE) {
            self.error(format!(
                "{} is not in the shared row (48 to 63)",
                operand.name
            ));
        }
    }

    #[track_caller]
    fn check_store(&mut self, dst: Operand) {
        match dst.place {
            Place::Constant(value) | Place::FarConstant(value) => {
                self.error(format!("store to the constant {value:#x}"));
            }
            Place::Address(a) if (isa::RECORD_BASE..isa::SHARED_BASE).contains(&(a & 63)) => {
                self.error(format!("{} (operand {a}) is read-only", dst.name));
            }
            Place::Address(_) => {}
        }
    }

    #[track_caller]
    fn check_command(&mut self, code: u8, with_a: bool) {
        match command(code) {
            None => self.error(format!("there is no command {code:#04x}")),
            Some(c) if c.takes_a && !with_a => {
                self.error(format!("{} takes an operand: use cmd_a", c.name));
            }
            Some(c) if !c.takes_a && with_a => {
                self.error(format!("{} takes no operand: use cmd or cmd_imm", c.name));
            }
            Some(_) => {}
        }
    }

    #[track_caller]
    fn push(
        &mut self,
        op: Op,
        src: Source,
        dst: Target,
        wr: Write,
        predicate: Option<(Flag, bool)>,
    ) -> usize {
        let taken = self.predicate.take().map(|(f, sense, _)| (f, sense));
        self.items.push(Item::Word(Word {
            op,
            src,
            dst,
            wr,
            predicate: predicate.or(taken).unwrap_or(ALWAYS),
            location: Location::caller(),
            comment: String::new(),
        }));
        self.items.len() - 1
    }

    #[track_caller]
    fn value(&mut self, op: Op, src: Source, dst: Target) -> Ins<'_> {
        let at = self.push(op, src, dst, Write::Acc, None);
        Ins { asm: self, at }
    }

    #[track_caller]
    fn plain(&mut self, op: Op, src: Source) -> &mut Self {
        self.push(op, src, Target::Number(0), Write::None, None);
        self
    }

    #[track_caller]
    fn command_word(&mut self, code: u8, src: Source) -> &mut Self {
        let code = Target::Number(code & 63);
        self.push(Op::Cmd, src, code, Write::None, None);
        self
    }

    /// Turns what was written into words.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the program's lines.
    pub fn assemble(mut self) -> Result<Program, AsmErrors> {
        self.no_predicate("the program's end");
        Assembly::of(self)
    }
}

impl<'a> Ins<'a> {
    flag_writes! {
        sign Sign 0, "flag := bit 31 of the result; the accumulator stays.";
        zero Zero 0, "flag := result is zero; the accumulator stays.";
        carry Carry 0, "flag := carry (of a difference: no borrow); the accumulator stays.";
        not_sign Sign isa::FLAG_INVERT, "flag := not bit 31 of the result; the accumulator stays.";
        not_zero Zero isa::FLAG_INVERT, "flag := result is not zero; the accumulator stays.";
        not_carry Carry isa::FLAG_INVERT, "flag := no carry (of a difference: borrow); the accumulator stays.";
        or_sign Sign isa::FLAG_OR, "flag |= bit 31 of the result; the accumulator stays.";
        or_zero Zero isa::FLAG_OR, "flag |= result is zero; the accumulator stays.";
        or_carry Carry isa::FLAG_OR, "flag |= carry; the accumulator stays.";
        or_not_sign Sign isa::FLAG_OR | isa::FLAG_INVERT, "flag |= not bit 31 of the result; the accumulator stays.";
        or_not_zero Zero isa::FLAG_OR | isa::FLAG_INVERT, "flag |= result is not zero; the accumulator stays.";
        or_not_carry Carry isa::FLAG_OR | isa::FLAG_INVERT, "flag |= no carry; the accumulator stays.";
    }

    fn word(&mut self) -> &mut Word {
        match &mut self.asm.items[self.at] {
            Item::Word(w) => w,
            _ => unreachable!("an Ins always stands at a word"),
        }
    }

    /// Also stores the result, in the same word where the operation can (not `ldi` or shifts, nor from one bank to the other).
    #[track_caller]
    pub fn st(mut self, dst: Operand) -> Ins<'a> {
        self.asm.check_store(dst);
        let w = self.word();
        let same_bank = match w.src {
            Source::Operand(o) => o.is_far() == dst.is_far() || o.name.is_empty() && !o.is_far(),
            _ => true,
        };
        let one_word = (w.op as u8) < Op::Shift as u8 && w.wr == Write::Acc && same_bank;
        if one_word {
            w.wr = Write::AccMem;
            w.dst = Target::Operand(dst);
            return self;
        }
        let predicate = self.repeatable();
        let at = self.asm.push(
            Op::Or,
            Source::Operand(k(0)),
            Target::Operand(dst),
            Write::Mem,
            Some(predicate),
        );
        Ins { asm: self.asm, at }
    }

    /// Stores the result and leaves the accumulator alone.
    #[track_caller]
    pub fn to(mut self, dst: Operand) -> Ins<'a> {
        self.asm.check_store(dst);
        let w = self.word();
        if (w.op as u8) < Op::Shift as u8 && w.wr == Write::Acc {
            w.wr = Write::Mem;
            w.dst = Target::Operand(dst);
        } else {
            self.asm
                .error("to() needs an operation of its own (LD to BIC)".into());
        }
        self
    }

    /// A comment beside this word in the listing.
    pub fn note(mut self, text: &str) -> Ins<'a> {
        self.word().comment = text.into();
        self
    }

    #[track_caller]
    fn flag_write(mut self, wr: Write, f: Flag, bits: u8) -> Self {
        if f.number == 0 {
            self.asm.error("flag 0 is always set".into());
        }
        let target = Target::Flag(f, bits);
        let w = self.word();
        let alu = (w.op as u8) < Op::Shift as u8;
        if alu && w.wr == Write::Acc {
            w.wr = wr;
            w.dst = target;
            return self;
        }
        // A further result of the same operation: repeated if the accumulator is as it was, else taken from the accumulator.
        let accumulator_changed = !alu || w.wr == Write::AccMem;
        let (op, src) = if accumulator_changed {
            if wr == Write::Carry {
                self.asm
                    .error("the carry is lost once the accumulator is written".into());
            }
            (Op::Or, Source::Operand(k(0)))
        } else {
            (w.op, w.src.clone())
        };
        let predicate = self.repeatable();
        let at = self.asm.push(op, src, target, wr, Some(predicate));
        Ins { asm: self.asm, at }
    }

    /// The predicate for a further word of the same operation.
    #[track_caller]
    fn repeatable(&mut self) -> (Flag, bool) {
        let w = self.word();
        let predicate = w.predicate;
        if let Target::Flag(f, _) = w.dst {
            if f.number == predicate.0.number {
                self.asm.error(format!(
                    "the operation wrote {}, on which what is chained to it depends",
                    f.name
                ));
            }
        }
        predicate
    }
}

/// The second pass: addresses, constants, NOPs, checks.
struct Assembly {
    words: Vec<Instruction>,
    /// Per word: what it came from (none for a NOP of ours).
    sources: Vec<Option<Word>>,
    comments: BTreeMap<u16, Vec<String>>,
    labels: BTreeMap<String, u16>,
    symbols: Symbols,
    shared: [u32; 32],
    /// Addresses of constants, by bank and value.
    pool: BTreeMap<(bool, u32), u8>,
    /// Vectors the program speaks of with `org`, and address 0.
    entries: BTreeSet<u16>,
    errors: Vec<AsmError>,
}

impl Assembly {
    fn of(asm: Asm) -> Result<Program, AsmErrors> {
        let mut s = Self {
            words: Vec::new(),
            sources: Vec::new(),
            comments: BTreeMap::new(),
            labels: BTreeMap::new(),
            symbols: Symbols::default(),
            shared: [0; 32],
            pool: BTreeMap::new(),
            entries: BTreeSet::from([0]),
            errors: asm.errors,
        };
        s.place_constants(&asm.items, &asm.constants, &asm.initial);
        s.place_words(asm.items, asm.limit);
        s.resolve_labels();
        if s.errors.is_empty() {
            s.walk();
        }
        if !s.errors.is_empty() {
            let mut seen = BTreeSet::new();
            s.errors
                .retain(|e| seen.insert((e.location.to_string(), e.message.clone())));
            return Err(AsmErrors(s.errors));
        }
        let words: Vec<u32> = s.words.iter().map(|i| i.encode()).collect();
        let listing = s.listing(&words);
        Ok(Program {
            words,
            shared: s.shared,
            far: s.far(),
            symbols: s.symbols,
            listing,
        })
    }

    /// What the words touch of the far bank.
    fn far(&self) -> isa::Far {
        let of_one = |a: u8| (isa::FAR..isa::FAR + isa::RESULT).contains(&a);
        let touches =
            |i: &Instruction| i.loads().is_some_and(of_one) || i.stores().is_some_and(of_one);
        if self.words.iter().any(touches) {
            isa::Far::Whole
        } else if self.words.iter().any(|i| i.is_far()) {
            isa::Far::Shared
        } else {
            isa::Far::None
        }
    }

    fn error(&mut self, location: &'static Location<'static>, message: String) {
        self.errors.push(AsmError { location, message });
    }

    /// Names and constants: every `k` gets a word of the shared row that nothing else uses.
    fn place_constants(
        &mut self,
        items: &[Item],
        constants: &[(Operand, u32)],
        initial: &[(Operand, u32)],
    ) {
        let declared = constants.iter().chain(initial);
        for (operand, value) in declared {
            if let Some(a) = operand.address().filter(|a| a & 63 >= isa::SHARED_BASE) {
                self.shared[isa::shared_index(a)] = *value;
                self.symbols
                    .operands
                    .entry(a)
                    .or_insert(operand.name.into());
            }
        }
        for (operand, value) in constants {
            if let Some(a) = operand.address() {
                self.pool.entry((operand.is_far(), *value)).or_insert(a);
            }
        }
        let mut wanted: Vec<((bool, u32), &'static Location<'static>)> = Vec::new();
        for w in items.iter().filter_map(|i| match i {
            Item::Word(w) => Some(w),
            _ => None,
        }) {
            let far = w.is_far();
            let mut see = |o: &Operand| match o.place {
                Place::Address(a) => {
                    self.symbols.operands.entry(a).or_insert(o.name.into());
                }
                Place::Constant(v) | Place::FarConstant(v) => {
                    let v = (far, v);
                    if !self.pool.contains_key(&v) && !wanted.iter().any(|(x, _)| *x == v) {
                        wanted.push((v, w.location));
                    }
                }
            };
            if let Source::Operand(o) = &w.src {
                see(o);
            }
            match &w.dst {
                Target::Operand(o) => {
                    see(o);
                    let constant = constants
                        .iter()
                        .any(|(c, _)| c.address().is_some() && c.address() == o.address());
                    if constant {
                        self.errors.push(AsmError {
                            location: w.location,
                            message: format!("{} is a constant", o.name),
                        });
                    }
                }
                Target::Flag(f, _) => {
                    self.symbols.flags.entry(f.number).or_insert(f.name.into());
                }
                Target::Number(_) => {}
            }
            if w.predicate.0.number != 0 {
                let f = w.predicate.0;
                self.symbols.flags.entry(f.number).or_insert(f.name.into());
            }
        }
        // From the top down: the program's own words are declared from the bottom up.
        let mut free = [0, isa::FAR].map(|bank| {
            (bank + isa::SHARED_BASE..bank + 64)
                .rev()
                .filter(|a| !self.symbols.operands.contains_key(a))
                .collect::<Vec<_>>()
                .into_iter()
        });
        for ((far, value), location) in wanted {
            match free[usize::from(far)].next() {
                Some(a) => {
                    self.pool.insert((far, value), a);
                    self.shared[isa::shared_index(a)] = value;
                    let name = if value < 0x1_0000 {
                        format!("#{value}")
                    } else {
                        format!("#{value:#x}")
                    };
                    self.symbols.operands.insert(a, name);
                }
                None => self.error(
                    location,
                    format!("no word of the shared row is left for the constant {value:#x}"),
                ),
            }
        }
    }

    /// Its number in its bank.
    fn address_of(&self, operand: Operand, far: bool) -> u8 {
        63 & match operand.place {
            Place::Address(a) => a,
            Place::Constant(v) | Place::FarConstant(v) => {
                self.pool.get(&(far, v)).copied().unwrap_or(0)
            }
        }
    }

    /// A word that touches the far bank has no predicate and touches nothing near.
    fn check_banks(&mut self, w: &Word) {
        if !w.is_far() {
            return;
        }
        if w.predicate.0.number != 0 {
            let message = format!(
                "a word that touches the far bank acts always: no predicate on {}",
                w.predicate.0.name
            );
            self.error(w.location, message);
        }
        for o in w.operands() {
            let own = [isa::RESULT, isa::RESULT2, isa::ISN];
            if o.address()
                .is_some_and(|a| a < isa::FAR && !own.contains(&a))
            {
                let message = format!("{} is near, and another operand of this word far", o.name);
                self.error(w.location, message);
            }
        }
    }

    fn place_words(&mut self, items: Vec<Item>, limit: usize) {
        let mut labels: Vec<(String, &'static Location<'static>)> = Vec::new();
        let mut comments: Vec<String> = Vec::new();
        let mut org: Option<&'static Location<'static>> = None;
        // First word from which straight-line distances count.
        let mut flushed = 0;
        let mut last = Location::caller();
        for item in items {
            match item {
                Item::Comment(text) => comments.push(text),
                Item::Label(name, location) => labels.push((name, location)),
                Item::Org(address, location) => {
                    self.entries.insert(address);
                    if (address as usize) < self.words.len() {
                        let message = format!(
                            "org {address} lies behind the {} words already placed",
                            self.words.len()
                        );
                        self.error(location, message);
                    } else if address as usize > limit {
                        self.error(location, format!("org {address} is past {limit} words"));
                    }
                    while self.words.len() < (address as usize).min(limit) {
                        self.words.push(Instruction::NOP);
                        self.sources.push(None);
                    }
                    org = Some(location);
                }
                Item::Word(w) => {
                    last = w.location;
                    self.check_banks(&w);
                    let i = self.instruction(&w);
                    let nops = self.nops_before(i, flushed);
                    if nops > 0 && org.is_some() {
                        let message = "a hazard reaches across org: end what is before it".into();
                        self.error(w.location, message);
                    }
                    for _ in 0..nops {
                        self.words.push(Instruction::NOP);
                        self.sources.push(None);
                    }
                    org = None;
                    let here = self.words.len() as u16;
                    for (name, location) in labels.drain(..) {
                        self.bind(name, here, location);
                    }
                    if !comments.is_empty() {
                        self.comments.insert(here, std::mem::take(&mut comments));
                    }
                    self.words.push(i);
                    self.sources.push(Some(w));
                    if i.leaves() || (i.op == Op::Call && i.is_always()) {
                        flushed = self.words.len();
                    }
                }
            }
        }
        for (name, location) in labels {
            self.error(location, format!("label {name} stands before no word"));
        }
        if self.words.len() > limit {
            let message = format!("{} words, only {limit} fit", self.words.len());
            self.error(last, message);
        }
    }

    fn bind(&mut self, name: String, here: u16, location: &'static Location<'static>) {
        if let Some(other) = self.labels.insert(name.clone(), here) {
            let message = format!("label {name} stands already at 0x{other:03x}");
            self.error(location, message);
        }
        self.symbols.labels.entry(here).or_default().push(name);
    }

    /// NOPs needed before `i`, looking back along the straight line to `flushed`.
    fn nops_before(&self, i: Instruction, flushed: usize) -> usize {
        let here = self.words.len();
        (flushed.max(here.saturating_sub(4))..here)
            .map(|at| self.words[at].distance_to(i).saturating_sub(here - at))
            .max()
            .unwrap_or(0)
    }

    /// The word, its label still zero.
    fn instruction(&self, w: &Word) -> Instruction {
        let far = w.is_far();
        let (src, low) = match &w.src {
            Source::Operand(o) => (self.address_of(*o, far), None),
            Source::Number(n) if w.op == Op::Ldi => ((n >> 6) as u8, Some((n & 63) as u8)),
            Source::Number(n) => (*n as u8, None),
            Source::Label(_) | Source::Next => (0, None),
        };
        let dst = match w.dst {
            Target::Number(n) => n,
            Target::Operand(o) => self.address_of(o, far),
            Target::Flag(f, bits) => f.number | bits,
        };
        Instruction {
            op: w.op,
            src,
            dst: low.unwrap_or(dst),
            wr: w.wr,
            flag: w.predicate.0.number,
            sense: w.predicate.1 && !far,
        }
    }

    fn resolve_labels(&mut self) {
        for at in 0..self.words.len() {
            let Some(w) = &self.sources[at] else { continue };
            let target = match &w.src {
                Source::Next => at as u16 + 1,
                Source::Label(name) => match self.labels.get(name) {
                    Some(address) => *address,
                    None => {
                        let (location, message) =
                            (w.location, format!("label {name} stands nowhere"));
                        self.error(location, message);
                        continue;
                    }
                },
                _ => continue,
            };
            self.words[at].src = (target >> 6) as u8;
            self.words[at].dst = (target & 63) as u8;
        }
    }

    /// Follows every path from address 0 and the vectors at which the program has an `org`: calls at most two deep, returns only from calls, RESULT only after a command, no running off the end.
    fn walk(&mut self) {
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        struct Visit {
            at: usize,
            depth: u8,
            answered: bool,
        }
        let mut todo: Vec<Visit> = [
            isa::vector::COMMAND,
            isa::vector::STRANGER,
            isa::vector::PENDING,
            isa::vector::SEGMENT,
        ]
        .iter()
        .map(|v| Visit {
            at: *v as usize,
            depth: 0,
            answered: *v == isa::vector::PENDING,
        })
        .filter(|v| v.at < self.words.len() && self.entries.contains(&(v.at as u16)))
        .collect();
        let mut seen = BTreeSet::new();
        let mut from = BTreeMap::new();
        while let Some(v) = todo.pop() {
            if !seen.insert(v) {
                continue;
            }
            let Some(i) = self.words.get(v.at).copied() else {
                let before: usize = from.get(&v.at).copied().unwrap_or(0);
                if let Some(w) = self.sources.get(before).and_then(|w| w.as_ref()) {
                    let location = w.location;
                    self.error(location, "the program runs past its end".into());
                }
                continue;
            };
            let location = self.sources[v.at].as_ref().map(|w| w.location);
            let reads_answer = matches!(i.loads(), Some(isa::RESULT | isa::RESULT2));
            if let (Some(location), true, false) = (location, reads_answer, v.answered) {
                self.error(location, "RESULT is read where no command was given".into());
            }
            let mut go = |at: usize, depth: u8, answered: bool| {
                from.insert(at, v.at);
                todo.push(Visit {
                    at,
                    depth,
                    answered,
                });
            };
            let answered = v.answered || i.op == Op::Cmd;
            if !i.leaves() {
                go(v.at + 1, v.depth, answered || i.op == Op::Call);
            }
            match i.op {
                Op::Br => go(i.imm() as usize, v.depth, answered),
                Op::Jt => {
                    for n in 0..16 {
                        let at = i.imm() as usize + n;
                        if self.words.get(at).is_some_and(|w| w.op == Op::Br) {
                            go(at, v.depth, answered);
                        } else {
                            break;
                        }
                    }
                }
                Op::Call if v.depth == 2 => {
                    if let Some(location) = location {
                        let message = format!(
                            "call of {} would be the third call open",
                            self.symbols.label(i.imm())
                        );
                        self.error(location, message);
                    }
                }
                Op::Call => go(i.imm() as usize, v.depth + 1, answered),
                Op::Ret if v.depth == 0 => {
                    if let Some(location) = location {
                        self.error(location, "return where no call is open".into());
                    }
                }
                _ => {}
            }
        }
    }

    fn listing(&self, words: &[u32]) -> String {
        let mut s = String::new();
        for (at, word) in words.iter().enumerate() {
            let at = at as u16;
            for label in self.symbols.labels.get(&at).into_iter().flatten() {
                let _ = writeln!(s, "{label}:");
            }
            for comment in self.comments.get(&at).into_iter().flatten() {
                let _ = writeln!(s, "             ; {comment}");
            }
            let text = disassemble_with(*word, &self.symbols);
            let comment = self.sources[at as usize]
                .as_ref()
                .map_or("", |w| w.comment.as_str());
            if comment.is_empty() {
                let _ = writeln!(s, "{at:03x}  {word:06x}  {text}");
            } else {
                let _ = writeln!(s, "{at:03x}  {word:06x}  {text:<40} ; {comment}");
            }
        }
        s
    }
}

#[cfg(test)]
mod tests {
    use super::{flags::*, operands::*, *};

    const X: Operand = Operand::state(1, "x");
    const Y: Operand = Operand::state(2, "y");
    const S: Operand = Operand::shared(0, "s");
    const F: Flag = Flag::new(2, "f");
    const G: Flag = Flag::new(3, "g");

    fn texts(p: &Program) -> Vec<String> {
        p.words
            .iter()
            .map(|w| disassemble_with(*w, &p.symbols))
            .collect()
    }

    fn assembled(f: impl FnOnce(&mut Asm)) -> Program {
        let mut a = Asm::new(64);
        f(&mut a);
        a.assemble().unwrap_or_else(|e| panic!("{e}"))
    }

    fn error(f: impl FnOnce(&mut Asm)) -> String {
        let mut a = Asm::new(64);
        f(&mut a);
        let e = a.assemble().expect_err("must not assemble");
        assert!(e.0[0].location.file().ends_with("asm.rs"), "{e}");
        e.0[0].message.clone()
    }

    #[test]
    fn every_word_decodes_to_itself() {
        for word in 0..1 << 24 {
            match Instruction::decode(word) {
                Some(i) => assert_eq!(i.encode(), word),
                None => assert_eq!(word >> 5 & 7, 7),
            }
        }
        assert_eq!(Instruction::decode(1 << 24), None);
    }

    #[test]
    fn different_words_disassemble_differently() {
        // Canonical words only: unused fields zero.
        let mut texts = BTreeMap::new();
        for word in (0..1 << 24).step_by(1) {
            let Some(i) = Instruction::decode(word) else {
                continue;
            };
            let canonical = match i.op {
                Op::Ldi | Op::Br | Op::Call | Op::Jt => i.wr == Write::None,
                Op::Ret | Op::Done => i.imm() == 0 && i.wr == Write::None,
                Op::Shift => i.dst < 8 && i.wr == Write::Acc,
                Op::Cmd => i.wr == Write::None,
                _ => i.wr != Write::None && (i.wr != Write::Acc || i.dst == 0),
            };
            // A third of the predicates is enough.
            if !canonical || i.flag > 4 || (i.src % 5 != 0) {
                continue;
            }
            if let Some(other) = texts.insert(disassemble(word), word) {
                panic!("{word:06x} and {other:06x} read {}", disassemble(word));
            }
        }
        assert!(texts.len() > 50_000);
    }

    #[test]
    fn a_result_goes_where_the_chain_says() {
        let p = assembled(|a| {
            a.constant(S, 0);
            a.ld(SEG_SEQ).sub(X).sign(F).zero(G);
            a.add(X).st(Y);
            a.when(OK).add(X).to(Y);
            a.unless(F).or_not_zero_test();
            a.ldi(5).st(X);
            a.done();
        });
        assert_eq!(
            texts(&p),
            [
                "ld seg_seq",
                "sub x -> f := sign",
                "sub x -> g := zero",
                "add x -> acc, y",
                "when ok add x -> y",
                "unless f ld x -> g |= !zero",
                "ldi 5",
                "or s -> x",
                "done"
            ]
        );
    }

    impl Asm {
        fn or_not_zero_test(&mut self) {
            self.ld(X).or_not_zero(G);
        }
    }

    #[test]
    fn a_predicate_covers_the_chain_and_no_more() {
        let p = assembled(|a| {
            a.constant(S, 0);
            a.when(F).ldi(7).st(X);
            a.st(Y);
            a.done();
        });
        assert_eq!(
            texts(&p),
            ["when f ldi 7", "when f or s -> x", "or s -> y", "done"]
        );
    }

    #[test]
    fn constants_share_words_and_keep_clear_of_names() {
        let p = assembled(|a| {
            a.constant(Operand::shared(14, "own_ip"), 0xC0A8_0102);
            a.init(S, 9);
            a.ld(k(0xC0A8_0102)).add(k(70_000)).sub(k(70_000)).st(S);
            a.ld(k(1)).li(0xFFF).li(0x1000).done();
        });
        assert_eq!(p.shared[0], 9);
        assert_eq!(p.shared[14], 0xC0A8_0102);
        assert_eq!(p.shared[15], 70_000);
        assert_eq!(p.shared[13], 1);
        assert_eq!(p.shared[12], 0x1000);
        assert_eq!(texts(&p)[0], "ld own_ip");
        assert_eq!(texts(&p)[4], "ldi 4095");
        let message = error(|a| {
            for v in 0..17 {
                a.ld(k(v));
            }
            a.done();
        });
        assert_eq!(
            message,
            "no word of the shared row is left for the constant 0x10"
        );
    }

    #[test]
    fn labels_reach_both_ways_and_local_ones_belong_to_their_routine() {
        let p = assembled(|a| {
            a.label("one").br(".end").label(".end").br("two");
            a.label("two").br(".end").label(".end").br("one");
        });
        assert_eq!(texts(&p), ["br one.end", "br two", "br two.end", "br one"]);
        assert_eq!(p.words[1] >> 8 & 0xFFF, 2);
        assert_eq!(p.symbols.address("two.end"), Some(3));
    }

    #[test]
    fn nops_keep_the_distances_and_no_more() {
        // STORE_TO_LOAD is 4: three words between.
        let p = assembled(|a| {
            a.ld(X).st(Y).ld(Y).done();
        });
        assert_eq!(
            texts(&p),
            ["ld x -> acc, y", "nop", "nop", "nop", "ld y", "done"]
        );
        let p = assembled(|a| {
            a.ld(X).st(Y).ldi(1).ldi(2).ldi(3).ld(Y).done();
        });
        assert_eq!(p.words.len(), 6);
        let p = assembled(|a| {
            a.ld(X).st(Y).ldi(1).ldi(2).ld(Y).done();
        });
        assert_eq!(p.words.len(), 6);
        // COMMAND_TO_RESULT is 2: one word between.
        let p = assembled(|a| {
            a.cmd(cmd::RX_WINDOW).ld(RESULT).done();
        });
        assert_eq!(texts(&p), ["rx_window 0", "nop", "ld result", "done"]);
        // SETCONN_TO_STATE is 4, for stores as well; a command's own operand is a load.
        let p = assembled(|a| {
            a.constant(S, 0);
            a.cmd_a(cmd::SETCONN, SEG_ACK).st(X).done();
        });
        assert_eq!(p.words.len(), 6);
        let p = assembled(|a| {
            a.ld(X).st(Y).out(0, Y).done();
        });
        assert_eq!(p.words.len(), 6);
        // A command's number is not an operand: no distance.
        let p = assembled(|a| {
            a.ld(X).to(Operand::state(0, "z")).count(0).done();
        });
        assert_eq!(p.words.len(), 3);
    }

    #[test]
    fn jumps_flush_and_labels_let_them_past_the_nops() {
        let p = assembled(|a| {
            a.ld(X).st(Y).br("next").label("next").ld(Y).done();
        });
        assert_eq!(p.words.len(), 4, "a taken branch flushes");
        let p = assembled(|a| {
            a.ld(X).st(Y).when(F).br("load");
            a.label("load").ld(Y).done();
        });
        assert_eq!(
            texts(&p),
            [
                "ld x -> acc, y",
                "when f br load",
                "nop",
                "nop",
                "ld y",
                "done"
            ]
        );
        assert_eq!(p.symbols.address("load"), Some(4));
        let p = assembled(|a| {
            a.ld(X).st(Y).call("r").ld(Y).done();
            a.label("r").ld(Y).ret();
        });
        assert_eq!(p.words.len(), 6, "call and return flush: no NOPs");
    }

    #[test]
    fn org_fills_with_nops_and_a_jump_table_is_its_branches() {
        let p = assembled(|a| {
            a.done();
            a.org(4).label("pick").ldi(1).jt(&["a", "b"]);
            a.label("a").done();
            a.label("b").done();
        });
        assert_eq!(
            texts(&p),
            ["done", "nop", "nop", "nop", "ldi 1", "jt 0x006", "br a", "br b", "done", "done"]
        );
    }

    #[test]
    fn errors_say_what_and_where() {
        let mut a = Asm::new(64);
        a.label("a").nop().label("a").done();
        let line = line!() + 1;
        a.st(SEG_SEQ);
        let e = a.assemble().unwrap_err();
        assert_eq!(e.0[0].location.line(), line);
        assert_eq!(e.0[0].message, "seg_seq (operand 33) is read-only");
        assert_eq!(e.0[1].message, "label a stands already at 0x000");
        assert!(e.to_string().contains("asm.rs:"));

        assert_eq!(
            error(|a| {
                a.br("x");
            }),
            "label x stands nowhere"
        );
        assert_eq!(
            error(|a| {
                a.ldi(0x1000).done();
            }),
            "ldi takes 12 bits, 0x1000 is wider: use li or ld(k(…))"
        );
        assert_eq!(
            error(|a| {
                a.constant(S, 5).ld(X).st(S).done();
            }),
            "s is a constant"
        );
        assert_eq!(
            error(|a| {
                a.ld(X).st(k(5));
            }),
            "store to the constant 0x5"
        );
        assert_eq!(
            error(|a| {
                a.cmd(cmd::ARP);
            }),
            "arp takes an operand: use cmd_a"
        );
        assert_eq!(
            error(|a| {
                a.cmd_a(cmd::FREE, X);
            }),
            "free takes no operand: use cmd or cmd_imm"
        );
        assert_eq!(
            error(|a| {
                a.ld(RESULT).done();
            }),
            "RESULT is read where no command was given"
        );
        assert_eq!(
            error(|a| {
                a.ld(X);
            }),
            "the program runs past its end"
        );
        assert_eq!(
            error(|a| {
                a.ret();
            }),
            "return where no call is open"
        );
        assert_eq!(
            error(|a| {
                a.call("a").done();
                a.label("a").call("b").ret();
                a.label("b").call("c").ret();
                a.label("c").ret();
            }),
            "call of c would be the third call open"
        );
        assert_eq!(
            error(|a| {
                a.when(F).label("x").done();
            }),
            "predicate on f stands before a label"
        );
        assert_eq!(
            error(|a| {
                a.when(F).ld(X).sign(F).zero(G).done();
            }),
            "the operation wrote f, on which what is chained to it depends"
        );
        assert_eq!(
            error(|a| {
                for _ in 0..65 {
                    a.done();
                }
            }),
            "65 words, only 64 fit"
        );
        assert_eq!(
            error(|a| {
                a.done().nop().org(1).done();
            }),
            "org 1 lies behind the 2 words already placed"
        );
    }

    #[test]
    fn result_is_the_pending_mask_where_a_pending_event_begins() {
        let p = assembled(|a| {
            a.done().org(8).ld(RESULT).done();
        });
        assert_eq!(p.words.len(), 10);
    }

    #[test]
    fn the_listing_shows_address_word_text_label_and_comments() {
        let p = assembled(|a| {
            a.label("start").note("begin").ldi(2).note("two");
            a.done();
        });
        assert_eq!(
            p.listing,
            "start:\n             ; begin\n000  900221  ldi 2                                    ; two\n001  f00001  done\n"
        );
    }
}
