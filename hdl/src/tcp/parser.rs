//! The TCP parser: turns a segment into a record, its payload into bytes for the receive ring.
//!
//! It checks the sum over pseudo header and segment (RFC 9293 section 3.1), the data offset, and steps over the options: MSS, window scale, SACK permitted and
//! timestamps are taken if their length is the RFCs' own, others skipped by their length. A length of 0 or 1, or past the header's end, voids the segment.
//! So are, if the parser is built for it, the edges of the blocks of the first SACK option (RFC 2018 section 3) whose length is that of 1 to 4 whole ones: each becomes a record word as it comes.
//!
//! **ICMP errors**, if the parser is built for them: destination unreachable, time exceeded, parameter problem (types 3, 11, 12). Each quotes the IPv4 header and 8 bytes of the segment that it is about
//! (RFC 792; RFC 1122 section 3.2.2). If the sum is right and these are an unfragmented TCP segment's, from our address and without IP options, for we send none, a record is made as a segment's would be, of no connection
//! (`record_hit` is low), with flags FIN, SYN and RST and bit 31 of `SEG_MSSOPT`, which no segment has: see [`super::isa::seg::QUOTED`]. Source quench (type 4) and all other messages pass by (RFC 9293 section 3.9.2.2, MUST-55).
//! `error_taken` tells `net/icmp`, in the cycle after the last byte, that the message is counted here; a wrong sum and what is shorter than 8 bytes are counted there.
//!
//! **The window** goes to [`super::scale`], if the parser is built for it, and comes back as `SEG_WND` in the cycle of the push. It is shifted once the look-up says whose it is, in at most 7 cycles ([`super::scale::LONGEST`]): a look-up that is
//! answered two cycles before the last byte or earlier, as always at full rate on Ethernet unless it had to wait, puts nothing off.
//!
//! **ECN** (RFC 3168), if the parser is built for it: bit 24 of `SEG_CTL` says whether the packet came with CE; CWR's place in the flags that it did, or has ECE or CWR, and no SYN, for which PSH's place is set, too; and bit 27 of a SYN's
//! `SEG_MSSOPT` that it is an ECN-setup SYN or SYN-ACK (section 6.1.1), in place of the number of its SACK blocks, which a SYN has no use for.
//!
//! **User timeout** (RFC 5482), if the parser is built for it: the option of a segment without SYN, if its length is 4 and its 15 bits are not all zero (section 3.4), stands in `SEG_MSSOPT` where a SYN has its MSS, as it came, and PSH's place is set, too. Of
//! several the last counts, and an MSS option has no meaning there (RFC 9293 section 3.7.1, MUST-65). A SYN's is stepped over: what is not yet a connection has none (RFC 5482 section 3.3), and the first segment without SYN says it again (section 3).
//!
//! **Latency.** The record is pushed 6 cycles after the last byte's cycle, or as soon as look-up, window and ring are done: at full rate with nothing held at most 12.
//! **Throughput.** A byte each cycle; a segment whose first byte comes before the last record was pushed is dropped whole, as if no slot were free.
//! **Overflow.** Payload bytes that come before the look-up is done wait in the receive ring's queue. If 128 wait and one more comes, the look-up took longer
//! than [`LOOK_UP_CYCLES`]: the frame is dropped whole, counted as if no slot were free, and the queue is ended by a `bytes_last` of its own.
//! **Abort.** A frame that ends in `error` is not counted here (who voided it did); if its payload had begun, `bytes_last` still ends it.
use crate::counters::Cause;
use crate::stream::StreamIn;
use rust_hdl::prelude::*;

/// A look-up answered within so many cycles never costs a frame: it is asked as byte 4 comes, the first payload byte comes 16 cycles later at the earliest,
/// and 128 may wait (one is taken in the cycle after the answer). The queue holds 255: the ring has 127 cycles to begin to empty it, and needs 90
/// ([`super::rx_ring`]: the longest command, 17; another connection, 4; 11 and 10 for 4 held and 3 pending intervals; three more passes over them, 16 each).
pub const LOOK_UP_CYCLES: usize = 16 + 128 - 1;

/// Joins bytes, first the most significant, into a word: wiring only.
#[derive(LogicBlock, Default)]
pub struct JoinBytes {
    pub b3: Signal<In, Bits<8>>,
    pub b2: Signal<In, Bits<8>>,
    pub b1: Signal<In, Bits<8>>,
    pub b0: Signal<In, Bits<8>>,
    pub high: Signal<Out, Bits<16>>,
    pub low: Signal<Out, Bits<16>>,
}

impl Logic for JoinBytes {
    fn update(&mut self) {
        let b3: u64 = self.b3.val().to_u64();
        let b2: u64 = self.b2.val().to_u64();
        let b1: u64 = self.b1.val().to_u64();
        let b0: u64 = self.b0.val().to_u64();
        self.high.next = (b3 * 256 + b2).into();
        self.low.next = (b1 * 256 + b0).into();
    }
    fn connect(&mut self) {
        self.high.connect();
        self.low.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) begin high = {b3, b2}; low = {b1, b0}; end\n".into())
    }
}

/// Joins two halves into a word: wiring only.
#[derive(LogicBlock, Default)]
pub struct JoinHalves {
    pub high: Signal<In, Bits<16>>,
    pub low: Signal<In, Bits<16>>,
    pub word: Signal<Out, Bits<32>>,
}

impl Logic for JoinHalves {
    fn update(&mut self) {
        let high: u64 = self.high.val().to_u64();
        let low: u64 = self.low.val().to_u64();
        self.word.next = (high * 65536 + low).into();
    }
    fn connect(&mut self) {
        self.word.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom("always @(*) word = {high, low};\n".into())
    }
}

/// The upper half of `SEG_MSSOPT`: wiring only.
#[derive(LogicBlock, Default)]
pub struct OptionFlags {
    pub blocks: Signal<In, Bits<3>>,
    pub stamped: Signal<In, Bit>,
    pub sack: Signal<In, Bit>,
    pub scaled: Signal<In, Bit>,
    pub scale: Signal<In, Bits<8>>,
    pub quoted: Signal<In, Bit>,
    pub high: Signal<Out, Bits<16>>,
}

impl Logic for OptionFlags {
    fn update(&mut self) {
        let scale: u64 = self.scale.val().to_u64();
        let blocks: u64 = self.blocks.val().to_u64();
        let bit = |on: bool, n: u64| if on { 1u64 << n } else { 0 };
        self.high.next = (bit(self.quoted.val(), 15)
            + (blocks << 11)
            + bit(self.stamped.val(), 10)
            + bit(self.sack.val(), 9)
            + bit(self.scaled.val(), 8)
            + scale)
            .into();
    }
    fn connect(&mut self) {
        self.high.connect();
    }
    fn hdl(&self) -> Verilog {
        Verilog::Custom(
            "always @(*) high = {quoted, 1'b0, blocks, stamped, sack, scaled, scale};\n".into(),
        )
    }
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum Phase {
    Wait,
    Header,
    Options,
    Payload,
    SumHigh,
    SumLow,
    SumLength,
    Fold,
    Verdict,
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum Expect {
    Kind,
    Length,
    Body,
    Nothing,
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum Known {
    Other,
    Mss,
    Scale,
    Stamp,
    Timeout,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Segment {
    phase: Phase,
    /// Bytes of the header so far.
    at: Bits<6>,
    odd: Bit,
    header: Bits<6>,
    /// What an option's length may be at most, were this byte the length: what is left of the header, and the kind before it.
    room: Bits<8>,
    bad: Bit,
    /// The frame came whole: it is counted, and pushed if good.
    whole: Bit,
    cause: Bits<6>,
    flags: Bits<8>,
    length: Bits<16>,
    seq_high: Bits<16>,
    seq_low: Bits<16>,
    ports_high: Bits<16>,
    ports_low: Bits<16>,
    b1: Bits<8>,
    b2: Bits<8>,
    b3: Bits<8>,
    sum: Bits<16>,
    carry: Bit,
    looking: Bit,
    hit: Bit,
    conn: Bits<10>,
    place: Bit,
    expect: Expect,
    known: Known,
    kind: Bits<8>,
    left: Bits<8>,
    mss: Bits<16>,
    scale: Bits<8>,
    scaled: Bit,
    sack: Bit,
    stamped: Bit,
    /// Whole blocks of a SACK option, of which the body that comes now is, and how many edges have come.
    blocks: Bits<3>,
    edging: Bit,
    edges: Bits<3>,
    /// It has marks of ECN. It is a SYN that sets ECN up.
    marked: Bit,
    setup: Bit,
    /// It has a user timeout, which stands in the MSS's place.
    timeout: Bit,
    /// This is an ICMP message.
    quote: Bit,
    /// It is none of ours to count: no error, or broken.
    silent: Bit,
    /// The window is in, and nobody has said yet whose it is.
    unscaled: Bit,
    /// A frame that came too early is passing by; one has passed and is still to be counted.
    skipping: Bit,
    skipped: Bit,
}

/// The parser.
#[derive(LogicBlock)]
pub struct Parser {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// The IP payload; `ready` is always high.
    pub payload: StreamIn,
    /// Stable from the first beat until 8 cycles after the last.
    pub info_src: Signal<In, Bits<32>>,
    pub info_length: Signal<In, Bits<16>>,
    pub info_protocol: Signal<In, Bits<8>>,
    /// The packet came with CE.
    pub info_ce: Signal<In, Bit>,
    pub src_hi: Signal<In, Bits<16>>,
    pub src_lo: Signal<In, Bits<32>>,
    pub src_tag: Signal<In, Bits<16>>,
    /// The connection table: held until `lookup_done`, at most [`LOOK_UP_CYCLES`] or the frame is dropped.
    pub lookup_valid: Signal<Out, Bit>,
    pub lookup_ip: Signal<Out, Bits<32>>,
    pub lookup_ports: Signal<Out, Bits<32>>,
    pub lookup_done: Signal<In, Bit>,
    pub lookup_hit: Signal<In, Bit>,
    pub lookup_conn: Signal<In, Bits<10>>,
    /// The record queue: `slot_free` says that there is a free slot, `slot` which; both change only at a push or when a slot is freed.
    pub slot_free: Signal<In, Bit>,
    pub slot: Signal<In, Bits<2>>,
    pub record_write: Signal<Out, Bit>,
    pub record_word: Signal<Out, Bits<5>>,
    pub record_data: Signal<Out, Bits<32>>,
    pub record_push: Signal<Out, Bit>,
    pub record_conn: Signal<Out, Bits<10>>,
    pub record_hit: Signal<Out, Bit>,
    pub record_flags: Signal<Out, Bits<8>>,
    /// The receive ring, as it says.
    pub place_valid: Signal<Out, Bit>,
    pub place_conn: Signal<Out, Bits<10>>,
    pub place_hit: Signal<Out, Bit>,
    pub place_seq: Signal<Out, Bits<32>>,
    pub place_length: Signal<Out, Bits<16>>,
    pub place_slot: Signal<Out, Bits<2>>,
    pub bytes_valid: Signal<Out, Bit>,
    pub bytes_data: Signal<Out, Bits<8>>,
    pub bytes_last: Signal<Out, Bit>,
    pub placed: Signal<In, Bit>,
    /// The window's shift, as [`super::scale`] says; `record_conn` is whose it is.
    pub scale_take: Signal<Out, Bit>,
    pub scale_window: Signal<Out, Bits<16>>,
    pub scale_go: Signal<Out, Bit>,
    pub scale_plain: Signal<Out, Bit>,
    pub scale_busy: Signal<In, Bit>,
    pub scaled: Signal<In, Bits<16>>,
    /// One cause a segment.
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,
    /// In the cycle after the last byte of an ICMP message: it is an error, and counted here if its sum is right.
    pub error_taken: Signal<Out, Bit>,

    s: DFF<Segment>,
    last_four: JoinBytes,
    addend: JoinBytes,
    word: JoinHalves,
    seq: JoinHalves,
    ports: JoinHalves,
    pair: JoinBytes,
    options_word: OptionFlags,

    phase: Signal<Local, Phase>,
    byte: Signal<Local, Bits<8>>,
    beat: Signal<Local, Bit>,
    is_icmp: Signal<Local, Bit>,
    is_error: Signal<Local, Bit>,
    own_byte: Signal<Local, Bits<8>>,
    misquoted: Signal<Local, Bit>,
    live: Signal<Local, Bit>,
    taking: Signal<Local, Bit>,
    final_beat: Signal<Local, Bit>,
    at: Signal<Local, Bits<6>>,
    at_next: Signal<Local, Bits<6>>,
    header_now: Signal<Local, Bits<6>>,
    ends_header: Signal<Local, Bit>,
    header_wide: Signal<Local, Bits<17>>,
    length_wide: Signal<Local, Bits<17>>,
    options_room: Signal<Local, Bits<8>>,
    room_left: Signal<Local, Bits<8>>,
    body_left: Signal<Local, Bits<8>>,
    operand: Signal<Local, Bits<16>>,
    adding: Signal<Local, Bit>,
    sum_wide: Signal<Local, Bits<17>>,
    left: Signal<Local, Bits<8>>,
    edge_word: Signal<Local, Bits<5>>,
    option_fault: Signal<Local, Bit>,
    placing: Signal<Local, Bit>,
    overflow: Signal<Local, Bit>,
    finished: Signal<Local, Bit>,
    voided: Signal<Local, Bit>,
    unreserved: Signal<Local, Bits<16>>,
    unmarked: Signal<Local, Bits<8>>,
    odd_options: Signal<Local, Bit>,
    takes_mss: Signal<Local, Bit>,
    timeout: Signal<Local, Bits<16>>,

    pseudo: Constant<Bits<16>>,
    tcp_in: Constant<Bits<6>>,
    bad_checksum: Constant<Bits<6>>,
    bad_header: Constant<Bits<6>>,
    bad_option: Constant<Bits<6>>,
    queue_full: Constant<Bits<6>>,
    with_sack: Constant<Bit>,
    with_errors: Constant<Bit>,
    with_tags: Constant<Bit>,
    with_scale: Constant<Bit>,
    with_ecn: Constant<Bit>,
    with_timeout: Constant<Bit>,
    /// What takes the pseudo header's constant part out of a sum again.
    no_pseudo: Constant<Bits<16>>,
    own0: Constant<Bits<8>>,
    own1: Constant<Bits<8>>,
    own2: Constant<Bits<8>>,
    own3: Constant<Bits<8>>,
    icmp_error: Constant<Bits<6>>,
    bad_quote: Constant<Bits<6>>,
}

impl Parser {
    /// A parser for segments to `ip`, which reads SACK options or steps over them, takes ICMP errors or lets them pass by, tells of tags in the urgent pointer's place or not, and has windows shifted or not.
    pub fn new(ip: [u8; 4], sack: bool, errors: bool, vlan: bool, scale: bool) -> Self {
        let half = |i: usize| u32::from(u16::from_be_bytes([ip[i], ip[i + 1]]));
        // Own address and protocol: the part of the pseudo header that never changes.
        let sum = half(0) + half(2) + 6;
        let sum = (sum & 0xFFFF) + (sum >> 16);
        let sum = (sum & 0xFFFF) + (sum >> 16);
        let cause = |c: Cause| Constant::<Bits<6>>::new((c.number() as u64).into());
        Self {
            clock: Default::default(),
            reset: Default::default(),
            payload: Default::default(),
            info_src: Default::default(),
            info_length: Default::default(),
            info_protocol: Default::default(),
            info_ce: Default::default(),
            src_hi: Default::default(),
            src_lo: Default::default(),
            src_tag: Default::default(),
            lookup_valid: Default::default(),
            lookup_ip: Default::default(),
            lookup_ports: Default::default(),
            lookup_done: Default::default(),
            lookup_hit: Default::default(),
            lookup_conn: Default::default(),
            slot_free: Default::default(),
            slot: Default::default(),
            record_write: Default::default(),
            record_word: Default::default(),
            record_data: Default::default(),
            record_push: Default::default(),
            record_conn: Default::default(),
            record_hit: Default::default(),
            record_flags: Default::default(),
            place_valid: Default::default(),
            place_conn: Default::default(),
            place_hit: Default::default(),
            place_seq: Default::default(),
            place_length: Default::default(),
            place_slot: Default::default(),
            bytes_valid: Default::default(),
            bytes_data: Default::default(),
            bytes_last: Default::default(),
            placed: Default::default(),
            scale_take: Default::default(),
            scale_window: Default::default(),
            scale_go: Default::default(),
            scale_plain: Default::default(),
            scale_busy: Default::default(),
            scaled: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            error_taken: Default::default(),
            s: Default::default(),
            last_four: Default::default(),
            addend: Default::default(),
            word: Default::default(),
            seq: Default::default(),
            ports: Default::default(),
            pair: Default::default(),
            options_word: Default::default(),
            phase: Default::default(),
            byte: Default::default(),
            beat: Default::default(),
            is_icmp: Default::default(),
            is_error: Default::default(),
            own_byte: Default::default(),
            misquoted: Default::default(),
            live: Default::default(),
            taking: Default::default(),
            final_beat: Default::default(),
            at: Default::default(),
            at_next: Default::default(),
            header_now: Default::default(),
            ends_header: Default::default(),
            header_wide: Default::default(),
            length_wide: Default::default(),
            options_room: Default::default(),
            room_left: Default::default(),
            body_left: Default::default(),
            operand: Default::default(),
            adding: Default::default(),
            sum_wide: Default::default(),
            left: Default::default(),
            edge_word: Default::default(),
            option_fault: Default::default(),
            placing: Default::default(),
            overflow: Default::default(),
            finished: Default::default(),
            voided: Default::default(),
            unreserved: Default::default(),
            unmarked: Default::default(),
            odd_options: Default::default(),
            takes_mss: Default::default(),
            timeout: Default::default(),
            pseudo: Constant::new((sum as u64).into()),
            tcp_in: cause(Cause::TcpIn),
            bad_checksum: cause(Cause::TcpBadChecksum),
            bad_header: cause(Cause::TcpBadHeader),
            bad_option: cause(Cause::TcpBadOption),
            queue_full: cause(Cause::RecordQueueFull),
            with_sack: Constant::new(sack),
            with_errors: Constant::new(errors),
            with_tags: Constant::new(vlan),
            with_scale: Constant::new(scale),
            with_ecn: Constant::new(false),
            with_timeout: Constant::new(false),
            no_pseudo: Constant::new((0xFFFF - sum as u64).into()),
            own0: Constant::new(u64::from(ip[0]).into()),
            own1: Constant::new(u64::from(ip[1]).into()),
            own2: Constant::new(u64::from(ip[2]).into()),
            own3: Constant::new(u64::from(ip[3]).into()),
            icmp_error: cause(Cause::IcmpError),
            bad_quote: cause(Cause::IcmpQuoteBad),
        }
    }

    /// The same, that tells of marks of ECN, or takes no note of them.
    pub fn with_ecn(mut self, ecn: bool) -> Self {
        self.with_ecn = Constant::new(ecn);
        self
    }

    /// The same, that reads the user timeout option (RFC 5482), or steps over it.
    pub fn with_user_timeout(mut self, user_timeout: bool) -> Self {
        self.with_timeout = Constant::new(user_timeout);
        self
    }
}

impl Logic for Parser {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers ----
        dff_setup!(self, clock, s);

        // ---- named wires ----
        self.payload.ready.next = true;
        self.phase.next = self.s.q.val().phase;
        self.byte.next = self.payload.data.val();
        // 1 and 6 come, and no others: a bit tells them apart, early in the cycle.
        self.is_icmp.next = self.with_errors.val() && self.info_protocol.val().get_bit(0);
        self.beat.next = self.payload.valid.val()
            && (!self.info_protocol.val().get_bit(0) || self.is_icmp.val());
        self.live.next = (self.phase.val() == Phase::Header)
            || (self.phase.val() == Phase::Options)
            || (self.phase.val() == Phase::Payload);
        self.taking.next = self.beat.val() && self.live.val() && !self.s.q.val().skipping;
        self.final_beat.next = self.payload.last.val();
        self.voided.next = self.payload.last.val() && self.payload.error.val();
        self.at.next = self.s.q.val().at;
        self.at_next.next = self.at.val() + 1;
        self.header_now.next = self.payload.data.val().get_bits::<6>(2) & 0x3C;
        self.ends_header.next = self.s.q.val().header == 20;
        if self.phase.val() == Phase::Options {
            self.ends_header.next = self.s.q.val().room == 2;
        }
        self.header_wide.next = bit_cast::<17, 6>(self.header_now.val());
        self.length_wide.next = bit_cast::<17, 16>(self.info_length.val()) - self.header_wide.val();
        self.options_room.next = bit_cast::<8, 6>(self.header_now.val()) - 19;
        self.room_left.next = self.s.q.val().room - 1;
        self.body_left.next = self.s.q.val().left - 1;
        self.last_four.b3.next = self.s.q.val().b3;
        self.last_four.b2.next = self.s.q.val().b2;
        self.last_four.b1.next = self.s.q.val().b1;
        self.last_four.b0.next = self.byte.val();
        self.pair.b3.next = self.s.q.val().b2;
        self.pair.b2.next = self.s.q.val().b1;
        self.pair.b1.next = 0.into();
        self.pair.b0.next = 0.into();
        self.left.next = self.s.q.val().left;
        self.unreserved.next = self.last_four.high.val() & 0xFEFF;
        self.unmarked.next = self.s.q.val().flags & 0x77;
        self.takes_mss.next = !self.with_timeout.val() || ((self.s.q.val().flags & 2) != 0);
        self.timeout.next = self.last_four.low.val() & 0x7FFF;
        self.odd_options.next = self.s.q.val().blocks.any() || self.s.q.val().timeout;
        self.edge_word.next = bit_cast::<5, 3>(self.s.q.val().edges) + 16;
        self.options_word.blocks.next = self.s.q.val().blocks;
        self.options_word.stamped.next = self.s.q.val().stamped;
        self.options_word.sack.next = self.s.q.val().sack;
        self.options_word.scaled.next = self.s.q.val().scaled;
        self.options_word.scale.next = self.s.q.val().scale;
        self.options_word.quoted.next = self.s.q.val().quote;
        if self.with_ecn.val() && ((self.s.q.val().flags & 2) != 0) && !self.s.q.val().quote {
            self.options_word.blocks.next = 0.into();
            if self.s.q.val().setup {
                self.options_word.blocks.next = 1.into();
            }
        }

        // ---- the sum: bytes by parity of their offset, the carry one beat later ----
        self.addend.b3.next = 0.into();
        self.addend.b2.next = 0.into();
        self.addend.b1.next = 0.into();
        self.addend.b0.next = 0.into();
        if self.s.q.val().odd {
            self.addend.b0.next = self.byte.val();
        } else {
            self.addend.b1.next = self.byte.val();
        }
        self.operand.next = self.addend.low.val();
        self.adding.next = self.taking.val();
        if self.phase.val() == Phase::SumHigh {
            self.operand.next = self.info_src.val().get_bits::<16>(16);
            // An ICMP message has no pseudo header.
            if self.s.q.val().quote {
                self.operand.next = self.no_pseudo.val();
            }
            self.adding.next = true;
        }
        if self.phase.val() == Phase::SumLow {
            self.operand.next = bit_cast::<16, 32>(self.info_src.val());
            if self.s.q.val().quote {
                self.operand.next = 0.into();
            }
            self.adding.next = true;
        }
        if self.phase.val() == Phase::SumLength {
            self.operand.next = self.info_length.val();
            if self.s.q.val().quote {
                self.operand.next = 0.into();
            }
            self.adding.next = true;
        }
        if self.phase.val() == Phase::Fold {
            self.operand.next = 0.into();
            self.adding.next = true;
        }
        self.sum_wide.next = bit_cast::<17, 16>(self.s.q.val().sum)
            + bit_cast::<17, 16>(self.operand.val())
            + self.s.q.val().carry;
        if self.adding.val() {
            self.s.d.next.sum = bit_cast::<16, 17>(self.sum_wide.val());
            self.s.d.next.carry = self.sum_wide.val().get_bit(16);
        }

        // ---- defaults ----
        self.record_write.next = false;
        self.record_word.next = 0.into();
        self.word.high.next = self.last_four.high.val();
        self.word.low.next = self.last_four.low.val();
        self.record_push.next = false;
        self.count.next = false;
        self.cause.next = self.s.q.val().cause;
        self.bytes_valid.next = false;
        self.option_fault.next = false;
        self.overflow.next = false;

        // ---- look-up and placing ----
        if self.lookup_done.val() && self.s.q.val().looking {
            self.s.d.next.looking = false;
            self.s.d.next.hit = self.lookup_hit.val();
            self.s.d.next.conn = self.lookup_conn.val();
        }
        self.placing.next = self.s.q.val().place && !self.s.q.val().looking && self.placed.val();
        if self.placing.val() {
            self.s.d.next.place = false;
        }
        self.finished.next = !self.s.q.val().place && !self.s.q.val().looking && self.placed.val();
        if self.with_scale.val() && (self.s.q.val().unscaled || self.scale_busy.val()) {
            self.finished.next = false;
        }

        // ---- the window: it goes as soon as the look-up is done, and a SYN's is never scaled ----
        self.scale_take.next = false;
        self.scale_window.next = self.pair.high.val();
        self.scale_go.next = self.s.q.val().unscaled && !self.s.q.val().looking;
        self.scale_plain.next = !self.s.q.val().hit || ((self.s.q.val().flags & 2) != 0);
        if self.scale_go.val() {
            self.s.d.next.unscaled = false;
        }

        // ---- bytes of the segment ----
        if self.taking.val() {
            self.s.d.next.odd = !self.s.q.val().odd;
            self.s.d.next.b1 = self.byte.val();
            self.s.d.next.b2 = self.s.q.val().b1;
            self.s.d.next.b3 = self.s.q.val().b2;
            if self.phase.val() != Phase::Payload {
                self.s.d.next.at = self.at_next.val();
            }
        }

        // ---- state machine ----
        match self.phase.val() {
            Phase::Header => {
                if self.taking.val() && !self.is_icmp.val() {
                    if self.at.val() == 0 {
                        self.record_word.next = 5.into();
                        self.word.high.next = self.info_src.val().get_bits::<16>(16);
                        self.word.low.next = bit_cast::<16, 32>(self.info_src.val());
                        if !self.slot_free.val() {
                            self.s.d.next.bad = true;
                            self.s.d.next.cause = self.queue_full.val();
                        }
                    }
                    if self.at.val() == 1 {
                        self.record_word.next = 6.into();
                        self.word.high.next = self.src_lo.val().get_bits::<16>(16);
                        self.word.low.next = bit_cast::<16, 32>(self.src_lo.val());
                    }
                    if (self.at.val() == 2) || (self.at.val() == 4) {
                        self.record_word.next = 9.into();
                        if self.at.val() == 4 {
                            self.record_word.next = 10.into();
                        }
                        self.word.high.next = 0.into();
                        self.word.low.next = 0.into();
                    }
                    if self.at.val() == 3 {
                        self.s.d.next.ports_high = self.last_four.high.val();
                        self.s.d.next.ports_low = self.last_four.low.val();
                        self.s.d.next.looking = true;
                        self.s.d.next.hit = false;
                    }
                    if self.at.val() == 7 {
                        self.record_word.next = 1.into();
                        self.s.d.next.seq_high = self.last_four.high.val();
                        self.s.d.next.seq_low = self.last_four.low.val();
                    }
                    if self.at.val() == 11 {
                        self.record_word.next = 2.into();
                    }
                    if self.at.val() == 12 {
                        self.s.d.next.header = self.header_now.val();
                        self.s.d.next.room = self.options_room.val();
                        self.s.d.next.length = bit_cast::<16, 17>(self.length_wide.val());
                        if (self.header_now.val() < 20) || self.length_wide.val().get_bit(16) {
                            self.s.d.next.bad = true;
                            if !self.s.q.val().bad {
                                self.s.d.next.cause = self.bad_header.val();
                            }
                        }
                    }
                    if self.at.val() == 13 {
                        self.s.d.next.flags = self.byte.val();
                        self.s.d.next.marked = self.with_ecn.val()
                            && !self.byte.val().get_bit(1)
                            && (self.info_ce.val()
                                || self.byte.val().get_bit(6)
                                || self.byte.val().get_bit(7));
                        // A SYN asks with both bits, a SYN-ACK agrees with ECE alone.
                        self.s.d.next.setup = self.with_ecn.val()
                            && self.byte.val().get_bit(6)
                            && (self.byte.val().get_bit(7) != self.byte.val().get_bit(4));
                    }
                    if self.at.val() == 15 {
                        self.record_word.next = 3.into();
                        if self.with_ecn.val() {
                            self.word.high.next = self.unreserved.val();
                            if self.info_ce.val() {
                                self.word.high.next = self.unreserved.val() | 0x0100;
                            }
                        }
                    }
                    if self.at.val() == 16 {
                        self.record_word.next = 11.into();
                        self.word.high.next = 0.into();
                        self.word.low.next = self.pair.high.val();
                        self.scale_take.next = self.with_scale.val();
                        self.s.d.next.unscaled = self.with_scale.val();
                    }
                    if self.at.val() == 17 {
                        self.record_word.next = 8.into();
                        self.word.high.next = 0.into();
                        self.word.low.next = self.s.q.val().length;
                    }
                    if self.at.val() == 19 {
                        self.record_word.next = 4.into();
                        self.word.high.next = self.src_hi.val();
                        if self.with_tags.val() {
                            self.word.high.next = self.src_tag.val();
                            self.word.low.next = self.src_hi.val();
                        }
                        self.s.d.next.phase = Phase::Options;
                        if self.ends_header.val() || self.s.q.val().bad {
                            self.s.d.next.phase = Phase::Payload;
                            self.s.d.next.place = !self.s.q.val().bad;
                            self.s.d.next.left = 127.into();
                        }
                    }
                    self.record_write.next = (self.at.val() != 5)
                        && (self.at.val() != 6)
                        && (self.at.val() != 8)
                        && (self.at.val() != 9)
                        && (self.at.val() != 10)
                        && (self.at.val() != 12)
                        && (self.at.val() != 13)
                        && (self.at.val() != 14)
                        && (self.at.val() != 18);
                    if self.final_beat.val() && (self.at.val() != 19) {
                        self.s.d.next.bad = true;
                        if !self.s.q.val().bad {
                            self.s.d.next.cause = self.bad_header.val();
                        }
                    }
                }
            }
            Phase::Options => {
                if self.taking.val() {
                    self.s.d.next.room = self.room_left.val();
                    self.record_word.next = 9.into();
                    match self.s.q.val().expect {
                        Expect::Kind => {
                            self.s.d.next.kind = self.byte.val();
                            if self.byte.val() == 0 {
                                self.s.d.next.expect = Expect::Nothing;
                            } else if self.byte.val() != 1 {
                                self.s.d.next.expect = Expect::Length;
                                self.option_fault.next = self.ends_header.val();
                            }
                        }
                        Expect::Length => {
                            self.option_fault.next =
                                (self.byte.val() < 2) || (self.byte.val() > self.s.q.val().room);
                            self.s.d.next.left = self.byte.val() - 2;
                            self.s.d.next.expect = Expect::Body;
                            if self.byte.val() == 2 {
                                self.s.d.next.expect = Expect::Kind;
                            }
                            self.s.d.next.known = Known::Other;
                            if (self.s.q.val().kind == 2)
                                && (self.byte.val() == 4)
                                && self.takes_mss.val()
                            {
                                self.s.d.next.known = Known::Mss;
                            }
                            if self.with_timeout.val()
                                && (self.s.q.val().kind == 28)
                                && (self.byte.val() == 4)
                                && ((self.s.q.val().flags & 2) == 0)
                            {
                                self.s.d.next.known = Known::Timeout;
                            }
                            if (self.s.q.val().kind == 3) && (self.byte.val() == 3) {
                                self.s.d.next.known = Known::Scale;
                            }
                            if (self.s.q.val().kind == 4) && (self.byte.val() == 2) {
                                self.s.d.next.sack = true;
                            }
                            if (self.s.q.val().kind == 8) && (self.byte.val() == 10) {
                                self.s.d.next.known = Known::Stamp;
                            }
                            // A length above 34 is beyond any header's end.
                            self.s.d.next.edging = false;
                            if self.with_sack.val()
                                && (self.s.q.val().kind == 5)
                                && (self.byte.val().get_bits::<3>(0) == 2)
                                && !self.s.q.val().blocks.any()
                            {
                                self.s.d.next.edging = true;
                                self.s.d.next.blocks = self.byte.val().get_bits::<3>(3);
                            }
                        }
                        Expect::Body => {
                            self.s.d.next.left = self.body_left.val();
                            if self.s.q.val().known == Known::Stamp {
                                self.record_write.next =
                                    (self.s.q.val().left == 5) || (self.s.q.val().left == 1);
                            }
                            if self.s.q.val().left == 1 {
                                self.record_word.next = 10.into();
                                self.s.d.next.expect = Expect::Kind;
                                if self.s.q.val().known == Known::Mss {
                                    self.s.d.next.mss = self.last_four.low.val();
                                }
                                if self.s.q.val().known == Known::Scale {
                                    self.s.d.next.scale = self.byte.val();
                                    self.s.d.next.scaled = true;
                                }
                                if self.s.q.val().known == Known::Stamp {
                                    self.s.d.next.stamped = true;
                                }
                                if (self.s.q.val().known == Known::Timeout)
                                    && self.timeout.val().any()
                                {
                                    self.s.d.next.mss = self.last_four.low.val();
                                    self.s.d.next.timeout = true;
                                }
                            }
                            if self.s.q.val().edging {
                                self.record_word.next = self.edge_word.val();
                                if self.left.val().get_bits::<2>(0) == 1 {
                                    self.record_write.next = true;
                                    self.s.d.next.edges = self.s.q.val().edges + 1;
                                }
                            }
                        }
                        _ => {
                            self.option_fault.next = false;
                        }
                    }
                    if self.option_fault.val() {
                        self.s.d.next.bad = true;
                        self.s.d.next.cause = self.bad_option.val();
                        self.s.d.next.phase = Phase::Payload;
                    } else if self.ends_header.val() {
                        self.s.d.next.phase = Phase::Payload;
                        self.s.d.next.place = true;
                        self.s.d.next.left = 127.into();
                    }
                }
            }
            Phase::Payload => {
                self.bytes_valid.next =
                    self.taking.val() && !self.s.q.val().bad && !self.s.q.val().quote;
                // How many more may wait for the look-up.
                if self.bytes_valid.val() && self.s.q.val().place && !self.placing.val() {
                    self.s.d.next.left = self.body_left.val();
                    if (self.s.q.val().left == 255) && !self.final_beat.val() {
                        self.overflow.next = true;
                        self.s.d.next.bad = true;
                        self.s.d.next.cause = self.queue_full.val();
                    }
                }
            }
            Phase::SumHigh => {
                self.s.d.next.phase = Phase::SumLow;
            }
            Phase::SumLow => {
                self.s.d.next.phase = Phase::SumLength;
            }
            Phase::SumLength => {
                self.s.d.next.phase = Phase::Fold;
            }
            Phase::Fold => {
                self.s.d.next.phase = Phase::Verdict;
            }
            Phase::Verdict => {
                self.record_write.next = true;
                self.record_word.next = 7.into();
                self.word.high.next = self.options_word.high.val();
                self.word.low.next = self.s.q.val().mss;
                self.s.d.next.phase = Phase::Wait;
                if !self.s.q.val().bad && !self.s.q.val().sum.all() {
                    self.s.d.next.bad = true;
                    self.s.d.next.cause = self.bad_checksum.val();
                }
                if self.s.q.val().quote && !self.s.q.val().sum.all() {
                    self.s.d.next.bad = true;
                    self.s.d.next.silent = true;
                }
            }
            Phase::Wait => {
                if self.finished.val() {
                    self.count.next = self.s.q.val().whole && !self.s.q.val().silent;
                    self.record_push.next = self.s.q.val().whole && !self.s.q.val().bad;
                    if self.with_scale.val() && !self.s.q.val().quote {
                        self.record_write.next = self.s.q.val().whole && !self.s.q.val().bad;
                        self.record_word.next = 11.into();
                        self.word.high.next = 0.into();
                        self.word.low.next = self.scaled.val();
                    }
                    self.s.d.next.phase = Phase::Header;
                }
            }
            _ => {
                self.s.d.next.phase = Phase::Header;
            }
        }

        // ---- ICMP: the header's bytes of another count ----
        self.is_error.next =
            (self.byte.val() == 3) || (self.byte.val() == 11) || (self.byte.val() == 12);
        self.own_byte.next = self.own0.val();
        if self.at.val().get_bits::<2>(0) == 1 {
            self.own_byte.next = self.own1.val();
        }
        if self.at.val().get_bits::<2>(0) == 2 {
            self.own_byte.next = self.own2.val();
        }
        if self.at.val().get_bits::<2>(0) == 3 {
            self.own_byte.next = self.own3.val();
        }
        self.misquoted.next = false;
        if self.is_icmp.val() && self.taking.val() && (self.phase.val() == Phase::Header) {
            if self.at.val() == 0 {
                self.s.d.next.quote = true;
                self.s.d.next.silent = !self.is_error.val();
                self.s.d.next.bad = !self.is_error.val();
                self.s.d.next.cause = self.icmp_error.val();
                self.s.d.next.flags = 7.into();
                self.s.d.next.hit = false;
                self.s.d.next.length = 0.into();
                if self.is_error.val() && !self.slot_free.val() {
                    self.s.d.next.bad = true;
                    self.s.d.next.cause = self.queue_full.val();
                }
            }
            // type, code
            if self.at.val() == 3 {
                self.record_write.next = true;
                self.record_word.next = 2.into();
            }
            // next-hop MTU (RFC 1191 section 4)
            if self.at.val() == 7 {
                self.record_write.next = true;
                self.record_word.next = 11.into();
                self.word.high.next = 0.into();
            }
            // version and header length, total length, fragment offset, protocol, source, destination; then ports and sequence number
            if self.at.val() == 8 {
                self.misquoted.next = self.byte.val() != 0x45;
            }
            if self.at.val() == 11 {
                self.record_write.next = true;
                self.record_word.next = 8.into();
                self.word.high.next = 0.into();
            }
            if self.at.val() == 14 {
                self.misquoted.next = (self.byte.val() & 0x1F) != 0;
            }
            if self.at.val() == 15 {
                self.misquoted.next = self.byte.val().any();
            }
            if self.at.val() == 17 {
                self.misquoted.next = self.byte.val() != 6;
            }
            if (self.at.val() >= 20) && (self.at.val() < 24) {
                self.misquoted.next = self.byte.val() != self.own_byte.val();
            }
            if self.at.val() == 27 {
                self.record_write.next = true;
                self.record_word.next = 5.into();
            }
            if self.at.val() == 31 {
                self.record_write.next = true;
                self.word.high.next = self.last_four.low.val();
                self.word.low.next = self.last_four.high.val();
            }
            if self.at.val() == 35 {
                self.record_write.next = true;
                self.record_word.next = 1.into();
                self.s.d.next.phase = Phase::Payload;
                self.s.d.next.place = !self.s.q.val().bad;
            }
            if self.final_beat.val() && (self.at.val() != 35) {
                self.misquoted.next = true;
                // No message at all: `net/icmp` counts it.
                if self.at.val() < 7 {
                    self.s.d.next.silent = true;
                }
            }
            if self.misquoted.val() {
                self.s.d.next.bad = true;
                if !self.s.q.val().bad {
                    self.s.d.next.cause = self.bad_quote.val();
                }
            }
        }
        self.error_taken.next =
            self.s.q.val().quote && !self.s.q.val().silent && (self.phase.val() == Phase::SumHigh);

        // ---- the frame's end ----
        if self.taking.val() && self.final_beat.val() {
            self.s.d.next.phase = Phase::SumHigh;
            self.s.d.next.whole = !self.voided.val();
            if (self.phase.val() == Phase::Options)
                && !self.ends_header.val()
                && !self.s.q.val().bad
                && !self.option_fault.val()
            {
                self.s.d.next.bad = true;
                self.s.d.next.cause = self.bad_header.val();
            }
            // Void within the header's last byte: no payload will come, so nothing may be placed.
            if self.voided.val() && (self.phase.val() != Phase::Payload) {
                self.s.d.next.place = false;
            }
            if (self.phase.val() == Phase::Header)
                && (self.at.val() == 19)
                && !self.ends_header.val()
                && !self.is_icmp.val()
            {
                self.s.d.next.bad = true;
                if !self.s.q.val().bad {
                    self.s.d.next.cause = self.bad_header.val();
                }
            }
        }
        if (self.phase.val() == Phase::Wait) && self.finished.val() {
            self.s.d.next.at = 0.into();
            self.s.d.next.odd = false;
            self.s.d.next.bad = false;
            self.s.d.next.cause = self.tcp_in.val();
            self.s.d.next.sum = self.pseudo.val();
            self.s.d.next.carry = false;
            self.s.d.next.expect = Expect::Kind;
            self.s.d.next.mss = 0.into();
            self.s.d.next.scale = 0.into();
            self.s.d.next.scaled = false;
            self.s.d.next.sack = false;
            self.s.d.next.stamped = false;
            self.s.d.next.blocks = 0.into();
            self.s.d.next.edges = 0.into();
            self.s.d.next.marked = false;
            self.s.d.next.setup = false;
            self.s.d.next.timeout = false;
            self.s.d.next.quote = false;
            self.s.d.next.silent = false;
        }

        // ---- a frame that came too early ----
        if self.beat.val() && (!self.live.val() || self.s.q.val().skipping) {
            self.s.d.next.skipping = !self.final_beat.val();
            if self.final_beat.val() && !self.payload.error.val() && !self.is_icmp.val() {
                self.s.d.next.skipped = true;
            }
        }
        if self.s.q.val().skipped && !((self.phase.val() == Phase::Wait) && self.finished.val()) {
            self.count.next = true;
            self.cause.next = self.queue_full.val();
            self.s.d.next.skipped = false;
        }

        // ---- outputs ----
        self.seq.high.next = self.s.q.val().seq_high;
        self.seq.low.next = self.s.q.val().seq_low;
        self.ports.high.next = self.s.q.val().ports_high;
        self.ports.low.next = self.s.q.val().ports_low;
        self.lookup_valid.next = self.s.q.val().looking;
        self.lookup_ip.next = self.info_src.val();
        self.lookup_ports.next = self.ports.word.val();
        self.record_data.next = self.word.word.val();
        self.record_conn.next = self.s.q.val().conn;
        self.record_hit.next = self.s.q.val().hit;
        // PSH's place says that there are SACK blocks, or a user timeout.
        self.record_flags.next = self.s.q.val().flags & 0xF7;
        if self.odd_options.val() {
            self.record_flags.next = self.s.q.val().flags | 0x08;
        }
        // And CWR's that there are marks of ECN.
        if self.with_ecn.val() {
            self.record_flags.next = self.unmarked.val();
            if self.odd_options.val() {
                self.record_flags.next = self.unmarked.val() | 0x08;
            }
            if self.s.q.val().marked {
                self.record_flags.next = self.unmarked.val() | 0x88;
            }
        }
        self.place_valid.next = self.placing.val();
        self.place_conn.next = self.s.q.val().conn;
        self.place_hit.next = self.s.q.val().hit
            && !self.s.q.val().bad
            && ((self.s.q.val().flags & 6) == 0)
            && self.s.q.val().length.any();
        self.place_seq.next = self.seq.word.val();
        self.place_length.next = self.s.q.val().length;
        self.place_slot.next = self.slot.val();
        self.bytes_data.next = self.byte.val();
        self.bytes_last.next = self.final_beat.val() || self.overflow.val();

        // ---- reset ----
        if self.reset.val() {
            self.s.d.next.phase = Phase::Wait;
            self.s.d.next.whole = false;
            self.s.d.next.place = false;
            self.s.d.next.looking = false;
            self.s.d.next.unscaled = false;
            self.s.d.next.skipping = false;
            self.s.d.next.skipped = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;
    use std::collections::VecDeque;

    const IP: [u8; 4] = [192, 168, 69, 2];

    /// What the bench does to a window in place of a shift.
    const SHIFTED: u32 = 0x8421;

    #[derive(Clone, Debug, Default)]
    struct Frame {
        src: u32,
        bytes: Vec<u8>,
        error: bool,
        /// An ICMP message, not a segment.
        icmp: bool,
        /// What is told of its tag to a parser that tells of it.
        tag: Option<u16>,
        /// It came with CE.
        ce: bool,
    }

    /// What must come of a frame: its cause, and if good its record words, flags and payload.
    #[derive(Debug, PartialEq, Clone)]
    struct Outcome {
        cause: Cause,
        record: Option<(Vec<u32>, u8, Vec<u8>)>,
    }

    fn sum(bytes: &[u8]) -> u32 {
        bytes
            .chunks(2)
            .map(|c| u32::from(c[0]) * 256 + u32::from(*c.get(1).unwrap_or(&0)))
            .sum()
    }

    fn folded(mut x: u32) -> u16 {
        while x > 0xFFFF {
            x = (x & 0xFFFF) + (x >> 16);
        }
        x as u16
    }

    fn total(f: &Frame) -> u16 {
        if f.icmp {
            return folded(sum(&f.bytes));
        }
        folded(sum(&f.src.to_be_bytes()) + sum(&IP) + 6 + f.bytes.len() as u32 + sum(&f.bytes))
    }

    fn segment(rng: &mut impl Rng) -> Frame {
        let mut options: Vec<u8> = vec![];
        while rng.random_bool(0.6) && options.len() < 28 {
            match rng.random_range(0..10) {
                0 => options.push(1),
                1 => options.extend([2, 4, rng.random(), rng.random()]),
                2 => options.extend([3, 3, rng.random_range(0..15)]),
                3 => options.extend([4, 2]),
                4 => {
                    options.extend([8, 10]);
                    options.extend((0..8).map(|_| rng.random::<u8>()));
                }
                5 => {
                    let n: u8 = rng.random_range(2..7);
                    options.extend([rng.random_range(5..255), n]);
                    options.extend((2..n).map(|_| rng.random::<u8>()));
                }
                // SACK: none to four whole blocks, and of a length that is none's.
                6 => {
                    let n: u8 = [2, 10, 18, 26, 34][rng.random_range(0..5)];
                    options.extend([5, n]);
                    options.extend((2..n).map(|_| rng.random::<u8>()));
                }
                // A user timeout, and now and then the reserved one.
                9 => {
                    options.extend([28, 4]);
                    let zero = rng.random_bool(0.2);
                    let value: u16 = if zero { 0 } else { rng.random() };
                    options.extend((value | rng.random::<u16>() & 0x8000).to_be_bytes());
                }
                7 if rng.random_bool(0.3) => {
                    let n: u8 = rng.random_range(2..20);
                    options.extend([5, n]);
                    options.extend((2..n).map(|_| rng.random::<u8>()));
                }
                _ if rng.random_bool(0.3) => options.push(0),
                _ => {}
            }
            if rng.random_bool(0.04) {
                options.extend([rng.random::<u8>(), rng.random::<u8>()]);
            }
        }
        while !options.len().is_multiple_of(4) {
            options.push(rng.random_range(0..2));
        }
        options.truncate(40);
        let mut bytes: Vec<u8> = (0..20).map(|_| rng.random()).collect();
        bytes[12] = ((5 + options.len() / 4) as u8) * 16 + rng.random_range(0..16);
        if rng.random_bool(0.03) {
            bytes[12] = rng.random();
        }
        if rng.random_bool(0.8) {
            bytes[13] &= !6;
        }
        bytes.extend(options);
        let n = if rng.random_bool(0.3) {
            0
        } else {
            rng.random_range(0..60)
        };
        bytes.extend((0..n).map(|_| rng.random::<u8>()));
        bytes[16] = 0;
        bytes[17] = 0;
        let mut frame = Frame {
            src: rng.random(),
            bytes,
            error: rng.random_bool(0.05),
            icmp: false,
            tag: None,
            ce: false,
        };
        let check = (!total(&frame)).to_be_bytes();
        frame.bytes[16..18].copy_from_slice(&check);
        if rng.random_bool(0.06) {
            let i = rng.random_range(0..frame.bytes.len());
            frame.bytes[i] ^= 1 << rng.random_range(0..8);
        }
        if rng.random_bool(0.1) {
            frame
                .bytes
                .truncate(rng.random_range(1..=frame.bytes.len()));
        }
        if rng.random_bool(0.05) {
            frame.bytes = (0..rng.random_range(1..80)).map(|_| rng.random()).collect();
        }
        frame
    }

    /// An ICMP message: most often an error that quotes a segment of ours, whole or with one thing wrong.
    fn message(rng: &mut impl Rng) -> Frame {
        let kind = match rng.random_range(0..10) {
            0..6 => [3, 11, 12][rng.random_range(0..3)],
            6 => rng.random(),
            n => [0, 4, 5, 8][n - 6],
        };
        let mut bytes = vec![kind, rng.random(), 0, 0];
        bytes.extend((0..4).map(|_| rng.random::<u8>()));
        let mut quoted: Vec<u8> = (0..28).map(|_| rng.random()).collect();
        quoted[0] = 0x45;
        quoted[6] &= 0xE0;
        quoted[7] = 0;
        quoted[9] = 6;
        quoted[12..16].copy_from_slice(&IP);
        if rng.random_bool(0.4) {
            let at = [0, 6, 7, 9, 12, 13, 14, 15][rng.random_range(0..8)];
            quoted[at] ^= 1 << rng.random_range(0..8);
        }
        quoted.extend((0..rng.random_range(0..60)).map(|_| rng.random::<u8>()));
        bytes.extend(quoted);
        if rng.random_bool(0.2) {
            bytes.truncate(rng.random_range(1..=bytes.len()));
        }
        bytes.resize(bytes.len().max(4), 0);
        let mut frame = Frame {
            src: rng.random(),
            bytes,
            error: rng.random_bool(0.05),
            icmp: true,
            tag: None,
            ce: false,
        };
        let check = (!total(&frame)).to_be_bytes();
        frame.bytes[2..4].copy_from_slice(&check);
        if rng.random_bool(0.06) {
            let i = rng.random_range(0..frame.bytes.len());
            frame.bytes[i] ^= 1 << rng.random_range(0..8);
        }
        if rng.random_bool(0.02) {
            frame.bytes.truncate(rng.random_range(1..4));
        }
        frame
    }

    /// An error, with as many bytes as a message has.
    fn is_error(b: &[u8]) -> bool {
        b.len() >= 8 && [3, 11, 12].contains(&b[0])
    }

    /// Quotes the beginning of a segment that `IP` has sent, in a header without options.
    fn quotes_ours(b: &[u8]) -> bool {
        b.get(8..36).is_some_and(|q| {
            q[0] == 0x45
                && u16::from_be_bytes([q[6], q[7]]) & 0x1FFF == 0
                && q[9] == 6
                && q[12..16] == IP
        })
    }

    /// RFC 792's reading of an ICMP message, for an engine that hears of its own segments only.
    fn expected_of_message(f: &Frame) -> Option<Outcome> {
        let b = &f.bytes;
        if f.error || !is_error(b) || total(f) != 0xFFFF {
            return None;
        }
        if !quotes_ours(b) {
            return Some(Outcome {
                cause: Cause::IcmpQuoteBad,
                record: None,
            });
        }
        let word = |i: usize| u32::from_be_bytes(b[i..i + 4].try_into().unwrap());
        let mut words = vec![0; 12];
        words[0] = word(28).rotate_left(16);
        words[1] = word(32);
        words[2] = word(0);
        words[5] = word(24);
        words[7] = 1 << 31;
        words[8] = word(8) & 0xFFFF;
        words[11] = word(4) & 0xFFFF;
        Some(Outcome {
            cause: Cause::IcmpError,
            record: Some((words, 7, vec![])),
        })
    }

    /// The RFC's reading of a segment, written for clarity and from nothing in the block. Behind the record's first words stand the edges.
    fn expected(f: &Frame, sack: bool, ecn: bool, timeout: bool) -> Option<Outcome> {
        if f.error {
            return None;
        }
        let b = &f.bytes;
        let bad = |cause| {
            Some(Outcome {
                cause,
                record: None,
            })
        };
        let header = b.get(12).map_or(0, |x| (x >> 4) as usize * 4);
        if b.len() < 20 || header < 20 || header > b.len() {
            return bad(Cause::TcpBadHeader);
        }
        let word = |i: usize| u32::from_be_bytes(b[i..i + 4].try_into().unwrap());
        let (mut mss, mut stamps, mut edges) = (0u32, (0, 0), vec![]);
        let mut i = 20;
        while i < header && b[i] != 0 {
            if b[i] == 1 {
                i += 1;
                continue;
            }
            if i + 1 >= header || b[i + 1] < 2 || i + b[i + 1] as usize > header {
                return bad(Cause::TcpBadOption);
            }
            let syn = b[13] & 2 != 0;
            let half = || u16::from_be_bytes([b[i + 2], b[i + 3]]);
            match (b[i], b[i + 1]) {
                // RFC 5482 sections 3.3 and 3.4; the MSS is a SYN's (RFC 9293 section 3.7.1).
                (28, 4) if timeout && !syn && half() & 0x7FFF != 0 => {
                    mss = mss & !0xFFFF | u32::from(half());
                }
                (2, 4) if timeout && !syn => {}
                (2, 4) => mss = mss & !0xFFFF | u32::from(b[i + 2]) << 8 | u32::from(b[i + 3]),
                (3, 3) => mss = mss & !0xFF0000 | u32::from(b[i + 2]) << 16 | 1 << 24,
                (4, 2) => mss |= 1 << 25,
                (8, 10) => {
                    mss |= 1 << 26;
                    stamps = (word(i + 2), word(i + 6));
                }
                (5, n @ (10 | 18 | 26 | 34)) if sack && edges.is_empty() => {
                    edges = (i + 2..i + n as usize).step_by(4).map(word).collect();
                    mss |= u32::from(n / 8) << 27;
                }
                _ => {}
            }
            i += b[i + 1] as usize;
        }
        if total(f) != 0xFFFF {
            return bad(Cause::TcpBadChecksum);
        }
        let [syn, ack, ece, cwr] = [1, 4, 6, 7].map(|bit| b[13] >> bit & 1 == 1);
        let (mut control, mut flags) = (word(12), b[13] & !8);
        if ecn {
            control = control & !(1 << 24) | u32::from(f.ce) << 24;
            flags = flags & !0x80 | u8::from(!syn && (f.ce || ece || cwr)) << 7;
            if syn {
                // RFC 3168 section 6.1.1: ECN-setup SYN, ECN-setup SYN-ACK.
                let setup = if ack { ece && !cwr } else { ece && cwr };
                mss = mss & 0x07FF_FFFF | u32::from(setup) << 27;
            }
        }
        let mut words = vec![
            word(0),
            word(4),
            word(8),
            control,
            match f.tag {
                Some(tag) => u32::from(tag) << 16 | 0x0254,
                None => 0x0254 << 16 | word(16) & 0xFFFF,
            },
            f.src,
            0x1234_5678,
            mss,
            (b.len() - header) as u32,
            stamps.0,
            stamps.1,
            word(12) & 0xFFFF,
        ];
        words.extend(edges);
        Some(Outcome {
            cause: Cause::TcpIn,
            record: Some((words, flags, b[header..].to_vec())),
        })
    }

    /// The sequence number and the payload's length, of a segment whose header is whole.
    fn place_of(b: &[u8]) -> Option<(u32, usize)> {
        let header = (b.get(12)? >> 4) as usize * 4;
        let seq = u32::from_be_bytes(b.get(4..8)?.try_into().unwrap());
        (header >= 20 && header <= b.len()).then(|| (seq, b.len() - header))
    }

    /// Sends frames, plays table, queue and ring, and holds what comes to what must.
    #[derive(Default)]
    struct World {
        queue: VecDeque<Frame>,
        frame: Option<Frame>,
        sent: usize,
        gap: usize,
        idle: bool,
        look: usize,
        placed_wait: usize,
        /// Where the frame under way asks to be placed, and how many bytes.
        expect: Option<(u32, usize)>,
        place: Option<(u32, usize)>,
        words: [u32; 32],
        /// A bit for each word written since the frame began.
        written: u32,
        no_sack: bool,
        /// Tags are told of.
        vlan: bool,
        /// Windows come as they are.
        no_scale: bool,
        /// The window that was taken, that it is nobody's or a SYN's, and cycles until it is shifted.
        window: u64,
        plain: bool,
        shifting: usize,
        /// What the table said last, and windows that were shifted for it.
        hit: bool,
        shifted: usize,
        /// ICMP messages among the segments, taken or not.
        messages: bool,
        no_errors: bool,
        /// Marks of ECN are told of; how many records had some, and how many SYNs set it up.
        ecn: bool,
        marked: usize,
        setups: usize,
        /// User timeouts are read; how many records had one.
        timeout: bool,
        timeouts: usize,
        /// The frame under way: is it a message, an error that quotes ours.
        icmp: bool,
        quotes: bool,
        is_error: bool,
        /// Records of errors.
        errors: usize,
        /// Good records, by their blocks.
        blocks: [usize; 5],
        payload: Vec<u8>,
        outcomes: Vec<Outcome>,
        wanted: Vec<Outcome>,
        since_last: usize,
        frames: usize,
        /// No slot is free as the frame under way begins; how many such there were.
        full: bool,
        full_frames: usize,
        /// Frames broken off by a reset.
        broken_off: usize,
    }

    impl World {
        /// A reset: what is under way is gone, and nothing of it may be heard of again.
        fn reset(&mut self) {
            self.broken_off += usize::from(self.frame.is_some() && self.sent > 0);
            self.frame = None;
            self.icmp = false;
            self.gap = 20;
            self.look = 0;
            self.shifting = 0;
            self.placed_wait = 0;
            self.place = None;
            self.payload.clear();
            self.outcomes.clear();
            self.wanted.clear();
        }

        /// Outputs under this cycle's inputs.
        fn observe(&mut self, uut: &Parser) {
            self.since_last += 1;
            let just_ended = self.since_last == 2 && self.icmp && self.frame.is_none();
            assert_eq!(
                uut.error_taken.val(),
                just_ended && self.is_error && !self.no_errors,
                "frame {}",
                self.frames
            );
            if uut.bytes_valid.val() {
                let byte: u64 = uut.bytes_data.val().to_u64();
                self.payload.push(byte as u8);
            }
            if uut.scale_take.val() {
                assert!(!self.no_scale && !self.icmp);
                self.window = uut.scale_window.val().to_u64();
            }
            if uut.record_write.val() {
                let (n, data): (u64, u64) = (
                    uut.record_word.val().to_u64(),
                    uut.record_data.val().to_u64(),
                );
                self.words[n as usize] = data as u32;
                self.written |= 1 << n;
            }
            if uut.place_valid.val() {
                let (seq, n): (u64, u64) = (
                    uut.place_seq.val().to_u64(),
                    uut.place_length.val().to_u64(),
                );
                self.place = Some((seq as u32, n as usize));
                if self.icmp {
                    assert!(self.quotes && n == 0 && !uut.place_hit.val());
                    self.place = Some((self.words[1], 0));
                } else {
                    assert_eq!(self.place, self.expect, "frame {}", self.frames);
                }
                self.placed_wait = 1;
            }
            if uut.count.val() {
                let cause: u64 = uut.cause.val().to_u64();
                let cause = *Cause::ALL
                    .iter()
                    .find(|c| u64::from(c.number()) == cause)
                    .unwrap();
                let flags: u64 = uut.record_flags.val().to_u64();
                let wanted = [Cause::TcpIn, Cause::IcmpError];
                assert_eq!(uut.record_push.val(), wanted.contains(&cause));
                assert!(!uut.record_push.val() || !self.icmp || !uut.record_hit.val());
                let record = uut.record_push.val().then(|| {
                    assert!(self.since_last <= 12, "pushed after {}", self.since_last);
                    let (seq, n) = self.place.unwrap();
                    assert_eq!((seq, n), (self.words[1], self.payload.len()));
                    let mut blocks = (self.words[7] >> 27) as usize & 15;
                    let syn = self.ecn && !self.icmp && flags & 2 != 0;
                    if syn {
                        // The question stands there; the edges tell how many blocks there were.
                        self.setups += blocks & 1;
                        assert!(blocks < 2);
                        blocks = (self.written >> 16).count_ones() as usize / 2;
                    }
                    let marked = self.ecn && flags & 0x80 != 0;
                    self.marked += usize::from(marked);
                    let timed = self.timeout && !self.icmp && flags & 2 == 0;
                    let timed = timed && self.words[7] & 0x7FFF != 0;
                    self.timeouts += usize::from(timed);
                    let edges = self.words[16..16 + 2 * blocks].to_vec();
                    if self.icmp {
                        self.errors += 1;
                        for n in 0..12 {
                            self.words[n] *= self.written >> n & 1;
                        }
                    } else {
                        assert_eq!(self.written, 0xFFF | ((1 << (2 * blocks)) - 1) << 16);
                        self.blocks[blocks] += 1;
                    }
                    // The window as it was: shifted it is another.
                    if !self.icmp && !self.no_scale {
                        assert_eq!(self.plain, !self.hit || flags & 2 != 0);
                        self.words[11] ^= SHIFTED * u32::from(!self.plain);
                        self.shifted += usize::from(!self.plain);
                    }
                    let words = [&self.words[..12], &edges].concat();
                    assert_eq!(flags >> 3 & 1, u64::from(blocks > 0 || marked || timed));
                    (words, flags as u8 & !8, self.payload.clone())
                });
                self.outcomes.push(Outcome { cause, record });
            }
        }

        fn drive(&mut self, uut: &mut Parser, rng: &mut impl Rng) {
            uut.slot_free.next = true;
            uut.src_hi.next = 0x0254.into();
            uut.src_lo.next = 0x1234_5678.into();
            uut.payload.valid.next = false;
            // The table answers 1 to 9 cycles after it was asked.
            uut.lookup_done.next = false;
            if uut.lookup_valid.val() {
                if self.look == 0 {
                    uut.lookup_done.next = true;
                    self.hit = rng.random_bool(0.8);
                    uut.lookup_hit.next = self.hit;
                    uut.lookup_conn.next = rng.random_range(0u64..1024).into();
                    self.look = rng.random_range(0..9);
                } else {
                    self.look -= 1;
                }
            }
            // The window is shifted some cycles after it was known whose it is; until then it is anything.
            uut.scale_busy.next = self.shifting > 0;
            let shifted = self.window ^ (u64::from(SHIFTED) * u64::from(!self.plain));
            uut.scaled.next = if self.shifting > 0 {
                rng.random_range(0..0x1_0000_u64).into()
            } else {
                shifted.into()
            };
            self.shifting = self.shifting.saturating_sub(1);
            if uut.scale_go.val() {
                self.plain = uut.scale_plain.val();
                self.shifting = if self.plain {
                    0
                } else {
                    rng.random_range(1..=super::super::scale::LONGEST)
                };
            }
            // The ring is done some cycles after the last byte.
            let all = self.place.is_some_and(|p| self.payload.len() >= p.1) || self.frame.is_none();
            if self.placed_wait > 0 && all {
                self.placed_wait += 1;
                if self.placed_wait > 4 {
                    self.placed_wait = 0;
                }
            }
            uut.placed.next = self.placed_wait == 0;
            if self.frame.is_none() {
                if self.gap > 0 {
                    self.gap -= 1;
                    return;
                }
                assert_eq!(self.outcomes, self.wanted, "after frame {}", self.frames);
                self.outcomes.clear();
                self.wanted.clear();
                self.payload.clear();
                self.written = 0;
                self.place = None;
                let mut frame = self.queue.pop_front().unwrap_or_else(|| {
                    if self.messages && rng.random_bool(0.5) {
                        message(rng)
                    } else {
                        segment(rng)
                    }
                });
                let tag: u16 = if rng.random() { rng.random() } else { 0 };
                uut.src_tag.next = u64::from(tag).into();
                frame.tag = self.vlan.then_some(tag);
                frame.ce = rng.random_bool(0.3);
                uut.info_ce.next = frame.ce;
                self.frames += 1;
                self.full = rng.random_bool(0.05);
                self.icmp = frame.icmp;
                self.is_error = is_error(&frame.bytes);
                self.quotes = quotes_ours(&frame.bytes) && self.is_error;
                if frame.icmp {
                    self.expect = None;
                    if !self.no_errors {
                        let mut wanted = expected_of_message(&frame);
                        if let (true, Some(outcome)) = (self.full, &mut wanted) {
                            outcome.cause = Cause::RecordQueueFull;
                            outcome.record = None;
                        }
                        self.wanted.extend(wanted);
                    }
                } else if self.full {
                    self.full_frames += 1;
                    // Whatever else is wrong with it; but a single byte is a bad header, full or not.
                    self.wanted.extend((!frame.error).then_some(Outcome {
                        cause: if frame.bytes.len() == 1 {
                            Cause::TcpBadHeader
                        } else {
                            Cause::RecordQueueFull
                        },
                        record: None,
                    }));
                    self.expect = None;
                } else {
                    self.wanted
                        .extend(expected(&frame, !self.no_sack, self.ecn, self.timeout));
                    self.expect = place_of(&frame.bytes);
                }
                self.idle = rng.random_bool(0.3);
                uut.info_protocol.next = if frame.icmp { 1 } else { 6 }.into();
                uut.info_src.next = (frame.src as u64).into();
                uut.info_length.next = (frame.bytes.len() as u64).into();
                self.sent = 0;
                self.frame = Some(frame);
            }
            if self.idle && rng.random_bool(0.4) {
                return;
            }
            let frame = self.frame.as_ref().unwrap();
            uut.payload.valid.next = true;
            // Only the first byte's cycle matters: a slot that comes free later does not help.
            uut.slot_free.next = !(self.full && self.sent == 0);
            uut.payload.data.next = (frame.bytes[self.sent] as u64).into();
            self.sent += 1;
            let last = self.sent == frame.bytes.len();
            uut.payload.last.next = last;
            uut.payload.error.next = last && frame.error;
            if last {
                self.frame = None;
                self.since_last = 0;
                self.gap = 20;
            }
        }
    }

    fn settle(uut: &mut Parser) {
        for _ in 0..20 {
            uut.update_all();
            if !uut.has_changed() {
                return;
            }
        }
        panic!("does not settle");
    }

    /// With a reset every so many cycles.
    fn run(world: &mut World, cycles: usize, seed: u64, reset: usize) {
        use rand::SeedableRng;
        let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
        world.gap = 20;
        let (sack, errors) = (!world.no_sack, !world.no_errors);
        let mut uut = Parser::new(IP, sack, errors, world.vlan, !world.no_scale)
            .with_ecn(world.ecn)
            .with_user_timeout(world.timeout);
        uut.connect_all();
        for cycle in 1..=cycles {
            world.drive(&mut uut, &mut rng);
            uut.reset.next = cycle % reset == 0;
            settle(&mut uut);
            world.observe(&uut);
            if cycle % reset == 0 {
                world.reset();
            }
            for level in [true, false] {
                uut.clock.next = Clock::from(level);
                settle(&mut uut);
            }
        }
    }

    #[test]
    fn every_segment_has_one_right_outcome() {
        let mut world = World::default();
        run(&mut world, 200_000, 1, usize::MAX);
        assert!(world.frames > 1500, "{}", world.frames);
        assert!(world.full_frames > 50, "{}", world.full_frames);
        assert!(world.blocks.iter().all(|n| *n > 20), "{:?}", world.blocks);
        assert!(world.shifted > 300, "{}", world.shifted);
    }

    /// ICMP errors among them: each that quotes the beginning of a segment of ours becomes a record, all other messages none; and none is mistaken for a segment, or a segment for one.
    #[test]
    fn every_icmp_error_has_one_right_outcome() {
        let mut world = World {
            messages: true,
            ..World::default()
        };
        run(&mut world, 200_000, 7, usize::MAX);
        assert!(world.errors > 300, "{}", world.errors);
        assert!(world.blocks.iter().sum::<usize>() > 300);
        let mut world = World {
            messages: true,
            ..World::default()
        };
        run(&mut world, 100_000, 8, 211);
        assert!(world.errors > 30 && world.broken_off > 100);
    }

    /// The tag stands over the sender's address in the word of the urgent pointer, and all else is as without.
    #[test]
    fn the_tag_takes_the_urgent_pointer_s_place() {
        let mut world = World {
            vlan: true,
            ..World::default()
        };
        run(&mut world, 100_000, 12, usize::MAX);
        assert!(world.blocks.iter().sum::<usize>() > 300);
    }

    /// A parser that is built without it lets them all pass.
    #[test]
    fn marks_of_ecn_are_told() {
        let mut world = World {
            ecn: true,
            messages: true,
            ..World::default()
        };
        run(&mut world, 200_000, 3168, usize::MAX);
        assert!(world.marked > 50, "{}", world.marked);
        assert!(world.setups > 5, "{}", world.setups);
    }

    /// RFC 5482: of segments without SYN, and never the reserved one.
    #[test]
    fn user_timeouts_stand_in_the_place_of_the_mss() {
        let mut world = World {
            timeout: true,
            messages: true,
            ..World::default()
        };
        run(&mut world, 200_000, 5482, usize::MAX);
        assert!(world.timeouts > 50, "{}", world.timeouts);
        // Alone, at each alignment; the last of two; reserved, of a length that is none's, of a SYN, beside an MSS and SACK blocks.
        let mut world = World {
            timeout: true,
            ..World::default()
        };
        let mut told = vec![];
        let mut send = |syn: bool, options: &[u8], want: u32| {
            let mut options = options.to_vec();
            options.resize(options.len().next_multiple_of(4), 0);
            let mut frame = with_options(&options);
            frame.bytes[13] = if syn { 2 } else { 16 };
            frame.bytes[16..18].fill(0);
            let check = (!total(&frame)).to_be_bytes();
            frame.bytes[16..18].copy_from_slice(&check);
            let (words, ..) = expected(&frame, true, false, true).unwrap().record.unwrap();
            assert_eq!(words[7] & 0xFFFF, want, "{options:?}");
            told.push(want);
            world.queue.push_back(frame);
        };
        for nops in 0..4 {
            send(
                false,
                &[&[1; 3][..nops], &[28, 4, 0x12, 0x34]].concat(),
                0x1234,
            );
        }
        send(false, &[28, 4, 0x80, 1], 0x8001);
        send(false, &[28, 4, 0, 5, 28, 4, 0x7F, 0xFF], 0x7FFF);
        send(false, &[28, 4, 0, 5, 28, 4, 0, 0], 5);
        for reserved in [[0, 0], [0x80, 0]] {
            send(false, &[28, 4, reserved[0], reserved[1]], 0);
        }
        send(false, &[28, 3, 5], 0);
        send(false, &[28, 5, 0, 5, 0], 0);
        send(false, &[2, 4, 5, 6], 0);
        send(false, &[28, 4, 0, 9, 2, 4, 5, 6], 9);
        send(false, &[5, 10, 0, 0, 0, 1, 0, 0, 0, 9, 28, 4, 0, 7], 7);
        send(true, &[2, 4, 5, 6, 28, 4, 0, 9], 0x506);
        send(true, &[28, 4, 0, 9], 0);
        let frames = told.len();
        run(&mut world, 200 * frames, 5483, usize::MAX);
        assert!(world.queue.is_empty() && world.frames > frames);
        assert!(world.timeouts >= told.iter().filter(|t| **t != 0).count() - 1);
    }

    #[test]
    fn without_errors_no_message_is_taken() {
        let mut world = World {
            messages: true,
            no_errors: true,
            ..World::default()
        };
        run(&mut world, 100_000, 9, usize::MAX);
        assert!(world.errors == 0 && world.frames > 800);
    }

    /// Every cut of an error, and the very next frame is read right.
    #[test]
    fn every_cut_of_an_error_is_counted_and_forgotten() {
        use rand::SeedableRng;
        let mut rng = rand::rngs::StdRng::seed_from_u64(10);
        let mut world = World::default();
        let sound = |o: Option<Outcome>| o.is_some_and(|o| o.record.is_some());
        for kind in [3, 11, 12] {
            let mut error = message(&mut rng);
            while !sound(expected_of_message(&error)) || error.bytes[0] != kind {
                error = message(&mut rng);
            }
            for n in 1..=error.bytes.len() {
                let mut cut = error.clone();
                cut.bytes.truncate(n);
                if n >= 4 {
                    cut.bytes[2..4].fill(0);
                    let check = (!total(&cut)).to_be_bytes();
                    cut.bytes[2..4].copy_from_slice(&check);
                }
                for void in [false, true] {
                    cut.error = void;
                    world
                        .queue
                        .extend([cut.clone(), plain(n % 5), error.clone()]);
                }
            }
        }
        run(&mut world, 200_000, 11, usize::MAX);
        assert!(world.queue.is_empty(), "{} frames left", world.queue.len());
    }

    /// A parser that is built without it gives windows as they come, once, and waits for nothing.
    #[test]
    fn without_scale_windows_come_as_they_are() {
        let mut world = World {
            no_scale: true,
            ..World::default()
        };
        run(&mut world, 100_000, 13, usize::MAX);
        assert!(world.blocks.iter().sum::<usize>() > 300);
    }

    /// A parser that is built without it steps over SACK options, and writes no word for them.
    #[test]
    fn without_sack_its_option_is_an_unknown_one() {
        let mut world = World {
            no_sack: true,
            ..World::default()
        };
        run(&mut world, 100_000, 6, usize::MAX);
        assert!(world.blocks[0] > 500, "{:?}", world.blocks);
        assert_eq!(world.blocks[1..], [0; 4]);
    }

    /// A sound segment with these options and two bytes of payload.
    fn with_options(options: &[u8]) -> Frame {
        assert!(options.len() <= 40 && options.len().is_multiple_of(4));
        let mut frame = plain(2);
        frame.bytes[12] = (5 + options.len() as u8 / 4) << 4;
        frame.bytes.splice(20..20, options.iter().copied());
        frame.bytes[16..18].fill(0);
        let check = (!total(&frame)).to_be_bytes();
        frame.bytes[16..18].copy_from_slice(&check);
        frame
    }

    /// One to four blocks at each alignment, alone and among others; a second option, and lengths that no whole blocks have.
    #[test]
    fn the_edges_of_sack_blocks_become_words() {
        let block = |n: u8| -> Vec<u8> { (0..8).map(|i| 0x10 * (n + 1) + i).collect() };
        let sack =
            |n: u8| -> Vec<u8> { [vec![5, 2 + 8 * n], (0..n).flat_map(block).collect()].concat() };
        let stamp: &[u8] = &[8, 10, 1, 2, 3, 4, 5, 6, 7, 8];
        let mut wanted = vec![];
        let mut world = World::default();
        let mut send = |options: Vec<u8>, blocks: u32| {
            let mut options = options;
            options.resize(options.len().next_multiple_of(4), 0);
            let frame = with_options(&options);
            let record = expected(&frame, true, false, false).unwrap();
            let record = record.record.unwrap();
            // The first edges are what `block` says, whatever the oracle reads.
            assert_eq!(record.0[7] >> 27, blocks, "{options:?}");
            let edges: Vec<u32> = (0..blocks)
                .flat_map(|n| [0, 4].map(|i| 0x1011_1213 + 0x1010_1010 * n + 0x0404_0404 * (i / 4)))
                .collect();
            assert_eq!(record.0[12..], edges, "{options:?}");
            wanted.push(blocks);
            world.queue.push_back(frame);
        };
        for n in 1..=4 {
            for nops in 0..4 {
                send([vec![1; nops], sack(n)].concat(), n.into());
            }
        }
        for n in 1..=3 {
            send([stamp, &sack(n)].concat(), n.into());
            send([&sack(n), stamp].concat(), n.into());
            send(
                [&[2, 4, 5, 6, 1][..], &sack(n), &[3, 3, 7]].concat(),
                n.into(),
            );
        }
        // The first of two is taken, and of two kinds the right one.
        send([sack(1), sack(2)].concat(), 1);
        send([sack(2), sack(1)].concat(), 2);
        send([vec![5, 2], sack(1)].concat(), 1);
        send([vec![5, 9, 1, 2, 3, 4, 5, 6, 7], sack(3)].concat(), 3);
        for length in (2..=40).filter(|n| *n == 2 || n % 8 != 2) {
            send(
                [vec![5, length], vec![9; usize::from(length) - 2]].concat(),
                0,
            );
        }
        let frames = wanted.len();
        run(&mut world, 200 * frames, 2, usize::MAX);
        assert!(world.queue.is_empty() && world.frames > frames);
    }

    /// After a reset, wherever it comes, the next frame is read as if it were the first.
    #[test]
    fn a_reset_forgets_the_frame_under_way() {
        let mut world = World::default();
        run(&mut world, 100_000, 5, 211);
        assert!(world.broken_off > 100, "{}", world.broken_off);
    }

    /// Every cut of valid segments, and the very next frame is read right.
    #[test]
    fn every_truncation_is_counted_and_forgotten() {
        use rand::SeedableRng;
        let mut rng = rand::rngs::StdRng::seed_from_u64(3);
        let mut world = World::default();
        let mut whole = 0;
        while whole < 8 {
            let frame = segment(&mut rng);
            if expected(&frame, true, false, false).is_some_and(|o| o.record.is_some()) {
                whole += 1;
                for error in [false, true] {
                    for n in 1..=frame.bytes.len() {
                        let mut cut = frame.clone();
                        cut.bytes.truncate(n);
                        cut.error = error;
                        world.queue.extend([cut, frame.clone()]);
                    }
                }
            }
        }
        run(&mut world, 250_000, 4, usize::MAX);
        assert!(world.queue.is_empty(), "{} frames left", world.queue.len());
    }

    /// A sound segment with so many bytes.
    fn plain(payload: usize) -> Frame {
        let mut bytes = vec![0; 20];
        bytes[12] = 5 << 4;
        bytes[13] = 16;
        bytes.extend((0..payload).map(|i| i as u8));
        let mut frame = Frame {
            src: 0x0A00_0001,
            bytes,
            ..Frame::default()
        };
        let check = (!total(&frame)).to_be_bytes();
        frame.bytes[16..18].copy_from_slice(&check);
        frame
    }

    /// Sends one frame without idles; the table answers after so many cycles, the ring is done 3 cycles after both the placing and the last byte.
    /// Gives the cause, whether a record was pushed, how many bytes were queued, and whether they were to be placed.
    fn send(uut: &mut Parser, frame: &Frame, look_up: usize) -> (u64, bool, usize, bool) {
        uut.slot_free.next = true;
        uut.lookup_hit.next = true;
        uut.info_protocol.next = 6.into();
        uut.info_src.next = u64::from(frame.src).into();
        uut.info_length.next = (frame.bytes.len() as u64).into();
        uut.placed.next = true;
        let (mut looked, mut queued, mut ended, mut hit) = (0, 0, 0, None);
        let mut done = 0;
        for cycle in 0..3_000 {
            uut.payload.valid.next = cycle < frame.bytes.len();
            if let Some(byte) = frame.bytes.get(cycle) {
                uut.payload.data.next = u64::from(*byte).into();
            }
            uut.payload.last.next = cycle + 1 == frame.bytes.len();
            uut.payload.error.next = cycle + 1 == frame.bytes.len() && frame.error;
            uut.placed.next = hit.is_none() || done > 3;
            settle(uut);
            uut.lookup_done.next = uut.lookup_valid.val() && looked == look_up;
            looked += usize::from(uut.lookup_valid.val());
            settle(uut);
            if uut.bytes_valid.val() {
                assert_eq!(ended, 0, "a byte after the last one");
                queued += 1;
                ended += usize::from(uut.bytes_last.val());
            }
            if uut.place_valid.val() {
                hit = Some(uut.place_hit.val());
            }
            done += usize::from(hit.is_some() && ended == 1);
            let outcome = (uut.cause.val().to_u64(), uut.record_push.val());
            let counted = uut.count.val();
            let quiet = cycle > frame.bytes.len() + 500;
            for level in [true, false] {
                uut.clock.next = Clock::from(level);
                settle(uut);
            }
            if counted {
                return (outcome.0, outcome.1, queued, hit.unwrap());
            }
            if quiet && frame.error {
                return (0, false, queued, hit.unwrap());
            }
        }
        panic!("it wedges: {queued} bytes, {ended} last, placed {hit:?}");
    }

    #[test]
    fn a_look_up_that_takes_too_long_costs_the_frame_and_no_more() {
        let mut uut = Parser::new(IP, true, true, false, true);
        uut.connect_all();
        let good = u64::from(Cause::TcpIn.number());
        let full = u64::from(Cause::RecordQueueFull.number());
        for _ in 0..20 {
            uut.placed.next = true;
            for level in [true, false] {
                uut.clock.next = Clock::from(level);
                settle(&mut uut);
            }
        }
        for (payload, look_up, error, want) in [
            (1460, LOOK_UP_CYCLES, false, (good, true, 1460, true)),
            (1460, LOOK_UP_CYCLES + 1, false, (full, false, 129, false)),
            (1460, 400, false, (full, false, 129, false)),
            (1460, 2_000, false, (full, false, 129, false)),
            // The link voids it besides: not counted here.
            (1460, 400, true, (0, false, 129, false)),
            // As many as may wait, and the one that ends there.
            (128, 400, false, (good, true, 128, true)),
            (129, 400, false, (good, true, 129, true)),
            (130, 400, false, (full, false, 129, false)),
        ] {
            let mut frame = plain(payload);
            frame.error = error;
            let got = send(&mut uut, &frame, look_up);
            assert_eq!(got, want, "{payload} bytes, {look_up} cycles");
            let got = send(&mut uut, &plain(300), 9);
            assert_eq!(got, (good, true, 300, true), "the frame after it");
        }
    }

    /// The look-up answered in each cycle, the window then shifted as late as it may be: the record is pushed with what became of it, 6 cycles behind the last byte, or as soon as it is there.
    #[test]
    fn a_push_waits_for_its_window_and_only_if_the_look_up_was_late() {
        use super::super::scale::LONGEST;
        for look_up in 0..60 {
            let mut uut = Parser::new(IP, true, true, false, true);
            uut.connect_all();
            uut.slot_free.next = true;
            uut.placed.next = true;
            uut.lookup_hit.next = true;
            uut.info_protocol.next = 6.into();
            for _ in 0..20 {
                for level in [true, false] {
                    uut.clock.next = Clock::from(level);
                    settle(&mut uut);
                }
            }
            let frame = plain(0);
            let last = frame.bytes.len() - 1;
            uut.info_src.next = u64::from(frame.src).into();
            uut.info_length.next = (frame.bytes.len() as u64).into();
            let (mut looked, mut answered, mut busy, mut window) = (0, 0, 0, 0);
            let pushed = (0..200).find(|cycle| {
                uut.payload.valid.next = *cycle <= last;
                if let Some(byte) = frame.bytes.get(*cycle) {
                    uut.payload.data.next = u64::from(*byte).into();
                }
                uut.payload.last.next = *cycle == last;
                uut.scale_busy.next = busy > 0;
                uut.scaled.next = if busy > 0 { 0xBAD0 } else { 0x1234 }.into();
                settle(&mut uut);
                let done = uut.lookup_valid.val() && looked == look_up;
                uut.lookup_done.next = done;
                looked += usize::from(uut.lookup_valid.val());
                answered = if done { *cycle } else { answered };
                settle(&mut uut);
                busy = match uut.scale_go.val() {
                    true => LONGEST,
                    false => busy.saturating_sub(1),
                };
                if uut.record_write.val() && uut.record_word.val().to_u64() == 11 {
                    window = uut.record_data.val().to_u64();
                }
                let push = uut.record_push.val();
                for level in [true, false] {
                    uut.clock.next = Clock::from(level);
                    settle(&mut uut);
                }
                push
            });
            // It goes in the cycle behind the answer, and one more shows that nothing is left to do.
            let due = (last + 6).max(answered + LONGEST + 2);
            assert_eq!(pushed, Some(due), "answered in cycle {answered}");
            assert_eq!(due == last + 6, answered + 2 <= last);
            assert_eq!(window, 0x1234);
        }
    }

    #[test]
    fn equals_its_verilog() {
        for sack in [true, false] {
            let mut world = World {
                no_sack: !sack,
                messages: true,
                no_errors: !sack,
                no_scale: !sack,
                vlan: !sack,
                ecn: sack,
                timeout: sack,
                ..World::default()
            };
            let (mut overflows, mut edges, mut errors) = (0, 0, 0);
            let name = if sack { "parser" } else { "parser_vlan" };
            toe_sim::lockstep!(
                name,
                Parser::new(IP, sack, sack, !sack, sack)
                    .with_ecn(sack)
                    .with_user_timeout(sack),
                30_000,
                |uut, _cycle, rng| {
                    // Coverage only: expectations are held by the other tests, which see settled outputs.
                    world.outcomes.clear();
                    world.wanted.clear();
                    if uut.place_valid.val() {
                        world.placed_wait = 1;
                        world.place = Some((0, 0));
                    }
                    // Now and then a long segment meets a slow look-up.
                    if world.frame.is_none() && world.gap == 1 && rng.random_bool(0.05) {
                        world.queue.push_back(plain(rng.random_range(120..300)));
                        world.look = rng.random_range(100..300);
                    }
                    world.drive(uut, rng);
                    uut.slot_free.next = rng.random_bool(0.95);
                    overflows += usize::from(uut.overflow.val());
                    errors +=
                        usize::from(uut.record_push.val() && uut.record_flags.val().to_u64() == 7);
                    edges +=
                        usize::from(uut.record_write.val() && uut.record_word.val().get_bit(4));
                }
            );
            assert!(world.frames > 150);
            assert!(overflows > 3, "{overflows}");
            assert_eq!(edges > 20, sack, "{edges}");
            assert_eq!(errors > 20, sack, "{errors}");
        }
    }
}
