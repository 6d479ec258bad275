//! The engine's instruction word, operand map and command codes: one table for assembler, model, hardware and trace.
//!
//! A 24-bit word, one accumulator, one 32-bit operation a cycle:
//!
//! | bits | field | |
//! |---|---|---|
//! | 23:20 | `op` | [`Op`] |
//! | 19:14 | `src` | operand address 0 to 63, see below; with `dst` a 12-bit immediate (`src` high) for LDI, BR, CALL, JT |
//! | 13:8 | `dst` | where a result goes: operand address, or flag number (3:0) with bit 4 *or-in* and bit 5 *invert*; shift kind; command code |
//! | 7:5 | `wr` | [`Write`] |
//! | 4:1 | `flag` | predicate: the instruction acts only if this flag … |
//! | 0 | `sense` | … equals this bit. Flag 0 is always set, so (0, 1) is *always*; (0, 0) is *always, far* in an engine that has a far bank, else never |
//!
//! Operand addresses: 0–31 state of the current connection · 32–43 the event's record ([`seg`]) · 44 [`RESULT`], 45 [`RESULT2`] of the last command
//! (RESULT holds the pending mask when a pending event begins) · 46 [`TICK`] · 47 [`ISN`] · 48–63 constants and scratch, shared by all connections.
//! Stores go to 0–31 and 48–63 only.
//!
//! **Far bank** (an engine for large devices has one: 64 words of state, 28 of a record, 32 shared). An instruction that is *always, far* means by each of its
//! addresses the far word of that number: state 32–63, record words 16–27, 16 more constants and scratch; 44–47 are the same, but that [`TICK`] has 32 bits. Here and in the assembler far addresses are
//! those of the near bank and 64 ([`FAR`]). So an instruction that touches a far word can't have a predicate, and all it touches is far.
//! An engine may have the far shared words alone ([`Far::Shared`]), which cost no memory: they lie in the row of the near ones, whose lower half is free. Then 46 has 24 bits in the far bank, too.
//!
//! Flags: 0 always set · 1 `ok` of the last command · 2–7 free, clear when an event begins · 8–15 preset: TCP flags FIN to CWR of a segment ([`preset`]: without PSH and URG,
//! which no program needs; in place of PSH: SYN, RST, URG, no ACK, or SACK blocks), or the pending mask's bits 0 to 7. Flags 1 to 15 may be written.
//!
//! Carry: ADD: out of bit 31. SUB, RSB: set when there is no borrow.

/// Operations. `r` is the result that `wr` sends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Op {
    /// r = src
    Ld = 0,
    /// r = acc + src
    Add = 1,
    /// r = acc - src
    Sub = 2,
    /// r = src - acc
    Rsb = 3,
    /// r = acc & src
    And = 4,
    /// r = acc | src
    Or = 5,
    /// r = acc ^ src
    Xor = 6,
    /// r = acc & !src
    Bic = 7,
    /// acc = src shifted as `dst` ([`Shift`]) says; `wr` must be `Acc`
    Shift = 8,
    /// acc = 12-bit immediate, zero-extended
    Ldi = 9,
    /// pc = immediate
    Br = 10,
    /// as BR, the address of the next word pushed on a stack of 2
    Call = 11,
    /// pc = popped
    Ret = 12,
    /// pc = immediate + acc 3:0
    Jt = 13,
    /// command `dst` with a = src operand, b = acc, imm = `src`; waits until the command is done
    Cmd = 14,
    /// the event is finished
    Done = 15,
}

/// What becomes of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Write {
    None = 0,
    Acc = 1,
    Mem = 2,
    AccMem = 3,
    /// flag(dst) from bit 31 of r: *sequence comparison is the sign of a difference*
    Sign = 4,
    /// flag(dst) from r == 0
    Zero = 5,
    /// flag(dst) from carry
    Carry = 6,
}

/// Shift kinds (low 3 bits of `dst`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Shift {
    Right1 = 0,
    Right3 = 1,
    Right16 = 2,
    Right8 = 3,
    Left1 = 4,
    Left3 = 5,
    Left16 = 6,
    Left8 = 7,
}

/// `dst` bit: the flag keeps what it had, ORed with the new value.
pub const FLAG_OR: u8 = 1 << 4;
/// `dst` bit: the new value is inverted first.
pub const FLAG_INVERT: u8 = 1 << 5;

/// The TCP flags of a segment that its event begins with; the others are clear, but for [`ODD`].
pub const PRESET: u8 = !(1 << 3 | 1 << 5);
/// PSH's place: set as a segment's event begins if it has SYN, RST, URG, no ACK, SACK blocks, or marks of ECN ([`MARKED`]).
pub const ODD: u8 = 1 << 3;

/// CWR's place in a record, where the parser is built for ECN (RFC 3168): the segment came with CE, ECE or CWR, and has no SYN. [`ODD`]'s place then says so, too.
pub const MARKED: u8 = 1 << 7;

/// The flags that the event of a segment with these begins with. Bit 3, PSH's, stands in a record for SACK blocks.
pub const fn preset(flags: u8) -> u8 {
    let plain = flags & (1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5) == 1 << 4;
    flags & PRESET | if plain { 0 } else { ODD }
}

/// What of the far bank an engine has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Far {
    #[default]
    None,
    /// The shared words, and nothing of a connection or a record.
    Shared,
    /// All of it.
    Whole,
}

impl Far {
    /// Words of state of a connection, and as many of the shared row and what is free there.
    pub const fn row(self) -> usize {
        match self {
            Self::None | Self::Shared => 32,
            Self::Whole => 64,
        }
    }

    /// Where in the shared row the word of a [`shared_index`] stands.
    pub const fn shared_place(self, index: usize) -> usize {
        match self {
            Self::Whole => 16 + (index & 15) + 2 * (index & 16),
            Self::None | Self::Shared => (index & 15) + 16 - (index & 16),
        }
    }
}

/// What a far operand's address has more than the near one of its number.
pub const FAR: u8 = 64;
/// First operand address of the record.
pub const RECORD_BASE: u8 = 32;
/// `result` of the last command; the pending mask at the start of a pending event.
pub const RESULT: u8 = 44;
/// `result2` of the last command.
pub const RESULT2: u8 = 45;
/// Ticks since start: 24 bits, and 32 as a far operand.
pub const TICK: u8 = 46;
/// A number that moves about every 4 µs, for initial sequence numbers (RFC 9293 section 3.4.1).
pub const ISN: u8 = 47;
/// First operand address of constants and scratch.
pub const SHARED_BASE: u8 = 48;

/// Where operand `address`, one of the shared words, stands among them: the near ones first.
pub const fn shared_index(address: u8) -> usize {
    ((address & 15) + 16 * (address / FAR)) as usize
}

/// Flag numbers.
pub mod flag {
    pub const ALWAYS: u8 = 0;
    pub const OK: u8 = 1;
    pub const FIN: u8 = 8;
    pub const SYN: u8 = 9;
    pub const RST: u8 = 10;
    /// Of a segment: [`super::ODD`].
    pub const ODD: u8 = 11;
    pub const ACK: u8 = 12;
}

/// Record words, as offsets from [`RECORD_BASE`].
pub mod seg {
    pub const PORTS: u8 = 0;
    pub const SEQ: u8 = 1;
    pub const ACK: u8 = 2;
    pub const CTL: u8 = 3;
    /// Sender's upper 16 bits << 16 | urgent pointer; with `vlan` the tag ([`crate::net`]) << 16 | sender's upper 16 bits, as [`super::out::MAC_HI`] wants it.
    pub const MACURG: u8 = 4;
    pub const IP: u8 = 5;
    pub const MACLO: u8 = 6;
    pub const MSSOPT: u8 = 7;
    pub const LEN: u8 = 8;
    pub const TSVAL: u8 = 9;
    pub const TSECR: u8 = 10;
    /// The window: shifted by the peer's scale, as far as 16 bits hold that ([`crate::tcp::scale`]).
    pub const WND: u8 = 11;
    /// The left edge of the first SACK block, behind it its right edge, then those of the others: words of the record without operand addresses.
    pub const EDGES: u8 = 16;
    /// Words that a record may have.
    pub const WORDS: usize = 24;

    /// The bit of [`CTL`] that says, where the parser is built for ECN, that the packet came with CE: a reserved bit of the header, whatever stood there.
    pub const CE: u32 = 1 << 24;
    /// The bit of [`MSSOPT`] that makes a SYN an ECN-setup SYN, or a SYN-ACK an ECN-setup SYN-ACK (RFC 3168 section 6.1.1), where the parser is built for ECN. In other segments it is one of the number of SACK blocks.
    pub const ECN_SETUP: u32 = 1 << 27;

    /// In a segment without SYN, where the parser is built for it, the lower half of [`MSSOPT`] is a user timeout as it came (RFC 5482 section 3.3), or 0.
    pub const USER_TIMEOUT: u32 = 0xFFFF;

    /// The bit of [`MSSOPT`] that makes a record one of an ICMP error, and no segment's: `PORTS`, `IP` and `SEQ` are then those of the segment that it quotes, as one of the peer's would have them,
    /// [`ACK`] is type << 24, code << 16, and whatever; [`WND`] the next-hop MTU, [`LEN`] the total length of the quoted packet. All else is without meaning.
    pub const QUOTED: u32 = 1 << 31;
    /// And its flags: FIN, SYN, RST, and no ACK.
    pub const QUOTED_FLAGS: u8 = 7;
}

/// Bits of a connection's pending mask.
pub mod pending {
    pub const TIMER: u8 = 0;
    pub const WRITTEN: u8 = 1;
    pub const READ: u8 = 2;
    pub const CLOSE: u8 = 3;
    pub const ABORT: u8 = 4;
    pub const RELEASED: u8 = 5;
    /// The program posts it to itself, by `POST` with `imm` 1, for what is rare and asks for an event of its own. Only in an engine built for it.
    pub const ASIDE: u8 = 6;
    pub const AGAIN: u8 = 7;
}

/// A threshold of `TX_PIPE` that is none: all is lost that was neither sacked nor sent again.
pub const PIPE_ALL: u8 = 32;

/// Where the program starts for each kind of event.
pub mod vector {
    /// a segment of no connection
    pub const STRANGER: u16 = 4;
    /// pending bits of a connection
    pub const PENDING: u16 = 8;
    /// a host command (record in slot 4)
    pub const COMMAND: u16 = 0;
    /// a segment of a known connection: the last, so that its program goes straight on
    pub const SEGMENT: u16 = 12;
}

/// Command codes (`dst` of [`Op::Cmd`]). Bits 5:3 choose the block, but for the last of them.
pub mod cmd {
    pub const SETCONN: u8 = 0x00;
    pub const COUNT: u8 = 0x01;
    /// `imm` 1, in an engine built for it: [`super::pending::ASIDE`] in place of [`super::pending::AGAIN`].
    pub const POST: u8 = 0x02;
    pub const TIMER_TAKE: u8 = 0x03;
    pub const SEND: u8 = 0x04;
    pub const NOTIFY: u8 = 0x05;
    pub const ARP: u8 = 0x06;
    pub const HASH: u8 = 0x07;
    pub const LOOKUP: u8 = 0x08;
    pub const ALLOC: u8 = 0x09;
    pub const FREE: u8 = 0x0A;
    pub const RECYCLABLE: u8 = 0x0B;
    pub const LISTEN: u8 = 0x0C;
    pub const KEEP: u8 = 0x0D;
    pub const MOVE: u8 = 0x0E;
    pub const EVICTED: u8 = 0x0F;
    pub const RX_INIT: u8 = 0x10;
    pub const RX_COMMIT: u8 = 0x11;
    pub const RX_WINDOW: u8 = 0x12;
    pub const RX_SACK: u8 = 0x13;
    pub const TX_INIT: u8 = 0x18;
    pub const TX_PEEK: u8 = 0x19;
    pub const TX_CUT: u8 = 0x1A;
    pub const TX_FREE: u8 = 0x1B;
    pub const TX_RECUT: u8 = 0x1C;
    pub const TX_SACK: u8 = 0x1D;
    pub const TX_PIPE: u8 = 0x1E;
    pub const TX_MARK: u8 = 0x1F;
    /// What the peer's SYN says of its window scale.
    pub const SCALE: u8 = 0x39;
    /// `OUT + n` writes header word n.
    pub const OUT: u8 = 0x20;
    /// `TIMER_SET + t`.
    pub const TIMER_SET: u8 = 0x30;
    /// `TIMER_CLEAR + t`.
    pub const TIMER_CLEAR: u8 = 0x34;
    /// Tells whoever owns the connection something that asks for no answer: `imm` is one of [`super::report`], b its value.
    pub const REPORT: u8 = 0x3A;
    /// Sets and clears marks of the connection ([`super::mark`]).
    pub const ECN: u8 = 0x38;
    /// `TX_PEEK` for what a pacer may hold ([`crate::tcp::pacing`]): while it does there is no descriptor, and `RESULT` is not zero if there is one all the same.
    pub const TX_NEXT: u8 = 0x3B;
    /// The keyed hash begins anew, with two words in place of a tuple.
    pub const HASH_OF: u8 = 0x3C;
    /// What the connection sends has the DSCP in bits 21:16 of a from now on, but RST and SYN-ACK, which have 0 (RFC 9293 section 3.9.2.1).
    pub const DIFFSERV: u8 = 0x3D;
}

/// The bit of `RX_COMMIT`'s `RESULT2`, over the window, that says: every byte of the segment was held already, above `rcv_nxt` (RFC 2883 section 4). What holds them is then the interval number 0 of `RX_SACK`. Only with SACK.
pub const TWICE: u32 = 1 << 31;

/// A connection's marks of ECN (RFC 3168), which the builder keeps: `imm` of [`cmd::ECN`] has those to be set, and three bits higher those to be cleared. `RX_INIT` clears all. What an event sends behind a count of `Retransmit` or `ZeroWindowProbe` is no new text.
pub mod mark {
    /// Both ends do ECN: text that goes for the first time has ECT(0). Without it the others are of no effect.
    pub const ECT: u8 = 1;
    /// Whatever is sent has ECE, but SYN and RST.
    pub const ECE: u8 = 2;
    /// The next text that goes for the first time has CWR, with which this is clear again. The counter `RtoExpired` sets it, too.
    pub const CWR: u8 = 4;
    /// `imm` that clears these.
    pub const fn off(marks: u8) -> u8 {
        marks << 3
    }
}

/// Header words of a segment being made (`cmd::OUT + n`).
pub mod out {
    pub const MAC_LO: u8 = 0;
    /// With `vlan` the tag is the upper half.
    pub const MAC_HI: u8 = 1;
    pub const IP: u8 = 2;
    /// local port << 16, remote port
    pub const PORTS: u8 = 3;
    pub const SEQ: u8 = 4;
    pub const ACK: u8 = 5;
    /// data offset 31:28, flags 23:16, window 15:0
    pub const CTL: u8 = 6;
    /// first of up to 9 option words
    pub const OPTION: u8 = 7;
}

/// Kinds of `cmd::NOTIFY` (its `imm`).
pub mod notify {
    pub const OPEN: u8 = 0;
    pub const PEER_FIN: u8 = 1;
    pub const CLOSED: u8 = 2;
    pub const RESET: u8 = 3;
}

/// What the port `report_kind` says: kinds of [`notify`], as the engine gives them, or of `cmd::REPORT` (its `imm`), the asynchronous reports of RFC 9293 section 3.9.1.8.
pub mod report {
    /// Urgent text: `value` bytes from what had come in order before to its end (MUST-32, MUST-33).
    pub const URGENT: u8 = 8;
    /// An ICMP error that ends nothing: `value` is type << 8, code (MUST-47, SHLD-25).
    pub const SOFT_ERROR: u8 = 9;
    /// So many times (`value`) in a row was something sent again, or a shut window probed, without progress: from R1 on, once in a keepalive interval (SHLD-9).
    pub const RETRYING: u8 = 10;
    /// The connection ends, with [`super::notify::RESET`], because nothing gets through or the peer is silent: R2, the user timeout (section 3.10.8), keepalive. `value` is the number of tries, as for [`RETRYING`]. Without this before it, it was the peer's RST, its host, or the application itself.
    pub const TIMED_OUT: u8 = 11;
    /// The peer's user timeout option (RFC 5482 section 3.1): `value` as it came, 15 bits of seconds, or with bit 15 of minutes.
    pub const USER_TIMEOUT: u8 = 12;
}

/// What the pipeline needs between two instructions; the assembler keeps these distances (next instruction = 1).
pub mod hazard {
    /// From a store to an operand to a load of the same operand.
    pub const STORE_TO_LOAD: usize = 4;
    /// From a command to a read of `RESULT` or `RESULT2`.
    pub const COMMAND_TO_RESULT: usize = 2;
    /// From `SETCONN` to a load or store of connection state.
    pub const SETCONN_TO_STATE: usize = 4;
}

/// Assembles one word; fields are taken modulo their width.
pub const fn encode(op: Op, src: u8, dst: u8, wr: Write, flag: u8, sense: bool) -> u32 {
    (op as u32) << 20
        | ((src & 63) as u32) << 14
        | ((dst & 63) as u32) << 8
        | (wr as u32) << 5
        | ((flag & 15) as u32) << 1
        | sense as u32
}
