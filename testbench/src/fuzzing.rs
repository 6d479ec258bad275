//! What the fuzz targets in `testbench/fuzz` do (`make fuzz`): a fuzzer's bytes become frames, an engine gets them, and whatever they were, it must keep its rules,
//! account for each frame, echo only what was sent and take a new connection. `tests/fuzz.rs` runs every seed through the same functions.
//!
//! [`parser`] is the TCP parser's Rust block, stepped directly. [`frames_model`] and [`frames_verilog`] take whole frames and answers to what the engine itself
//! said, on the model and on the compiled Verilog; [`connections_model`] and [`connections_verilog`] whole connections ([`crate::dialogue`]); [`frames_cu`] and [`connections_cu`] are the same with the Alchitry Cu's program and rings on the model. The labels of the program that an event passed count as coverage, for a fuzzer sees nothing else of an interpreter or of a library that was compiled without it.
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::OnceLock;
use std::thread::LocalKey;

use rust_hdl::prelude::*;
use toe_bsp::alchitry_cu;
use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_hdl::tcp::asm::Program;
use toe_hdl::tcp::parser::{Parser, LOOK_UP_CYCLES};
use toe_hdl::tcp::program::program;
use toe_hdl::tcp::scale::LONGEST;
use toe_host::board::{Backend, SimulatedBoard};
use toe_host::demo::CYCLES_PER_TICK;
use toe_sim::gmii::GmiiPort;
use toe_sim::link::{Duration, Frame, Tail};
use toe_sim::time::SimulatedTime;

use crate::dialogue::{converse, VERILOG_TICK};
use crate::liveness::Bench;
use crate::model_world;
use crate::mutate::{byte_at, Mutator, Target};
use crate::targets::{OnBoard, OnModel};
use crate::wire::*;

/// Pieces read from one input; what is behind them does nothing.
const PIECES: usize = 40;

/// A fuzzer's bytes, then zeros.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(crate) fn half(&mut self) -> u16 {
        u16::from(self.byte()) << 8 | u16::from(self.byte())
    }

    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let (now, later) = self.0.split_at(count.min(self.0.len()));
        self.0 = later;
        now
    }

    /// A small step, or one to an edge of the numbers.
    pub(crate) fn offset(&mut self) -> u32 {
        let edges = [1460, 8191, 8192, 8193, 0x7FFF_FFFF, 0x8000_0000, 20_000];
        let n = self.byte();
        match n {
            0..128 => 0,
            128..192 => u32::from(n - 128),
            192..240 => u32::from(n - 192).wrapping_neg(),
            _ => edges[usize::from(n) % 7],
        }
    }
}

// ------------------------------------------------------------------------------------------------ what counts as coverage

/// libFuzzer adds these to its own counters where it finds the section; elsewhere they are only counted.
#[cfg_attr(target_os = "linux", link_section = "__libfuzzer_extra_counters")]
static PASSED: [AtomicU8; 4096] = [const { AtomicU8::new(0) }; 4096];

/// An event went this way through the program.
fn passed(path: &[String]) {
    for pair in path.windows(2) {
        let mut hasher = DefaultHasher::new();
        pair.hash(&mut hasher);
        let counter = &PASSED[(hasher.finish() % PASSED.len() as u64) as usize];
        let _ = counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_add(1));
    }
}

// ------------------------------------------------------------------------------------------------ whole frames

/// A segment that reaches the engine carries what [`byte_at`] says and comes from the one address there is: else the judge could not tell right from wrong.
pub(crate) fn made_true(mut frame: Frame, config: &ToeConfig) -> Frame {
    if fate(&frame, config) != Some(Cause::TcpIn) {
        return frame;
    }
    let p = &mut frame.bytes[14..];
    p[12..16].copy_from_slice(&IP);
    let total = usize::from(u16::from_be_bytes([p[2], p[3]]));
    let header = usize::from(p[0] & 15) * 4;
    let t = &mut p[header..total];
    let port = u16::from_be_bytes([t[0], t[1]]);
    let seq = u32::from_be_bytes([t[4], t[5], t[6], t[7]]);
    let header = usize::from(t[12] >> 4) * 4;
    for (i, byte) in t[header..].iter_mut().enumerate() {
        *byte = byte_at(port, seq.wrapping_add(i as u32));
    }
    mend(&mut frame.bytes);
    if let Tail::Fcs(_) = frame.tail {
        frame.tail = Tail::Sound;
    }
    frame
}

/// What was last heard from a port of the board by a port of ours.
fn last_heard(heard: &[Tcp], ports: (u16, u16)) -> Option<&Tcp> {
    let of = |t: &&Tcp| (t.ports.1, t.ports.0) == ports;
    heard.iter().rev().find(of)
}

/// A segment of few bytes of input: an answer to what was heard, bent here and there.
fn segment(r: &mut Reader, kind: u8, heard: &[Tcp]) -> Tcp {
    let who = r.byte();
    let ports = (
        10_000 + u16::from(who & 3),
        [7, 7, 7, 7, 9, 19, 80, 7][usize::from(who >> 2 & 7)],
    );
    let mut t = Tcp {
        ports,
        wnd: [8192, 65_535, 0, 1, 500, 1460, 8192, 30_000][usize::from(who >> 5)],
        ..Tcp::default()
    };
    let mut length = 0;
    match last_heard(heard, ports) {
        Some(said) => {
            let more = said.data.len() as u32
                + u32::from(said.flags & SYN != 0)
                + u32::from(said.flags & FIN);
            t.seq = said.ack.wrapping_add(r.offset());
            t.ack = said.seq.wrapping_add(more).wrapping_add(r.offset());
            t.flags = ACK;
        }
        None => {
            t.seq = u32::from(r.byte()) << 24 | 0x00FF_FF00;
            t.flags = SYN;
            t.options = vec![2, 4, 5, 0xB4];
        }
    }
    match kind {
        0 => {}
        1 => length = usize::from(r.byte()),
        2 => length = usize::from(r.half() % 1461),
        3 => t.flags = r.byte(),
        4 => {
            t.flags = r.byte();
            length = usize::from(r.byte());
        }
        _ => {
            let words = usize::from(r.byte() % 11);
            t.options = r.take(4 * words).to_vec();
            t.options.resize(4 * words, 1);
        }
    }
    t.data = (0..length as u32)
        .map(|i| byte_at(t.ports.0, t.seq.wrapping_add(i)))
        .collect();
    t
}

/// Throws an input at an engine: frames as they are, packets with their sums made right, answers, ICMP errors, pauses. Then all peers vanish, and it must live.
fn throw_at<T: Target>(target: &mut T, input: &[u8], mut pause: impl FnMut(&mut T, u8)) {
    let config = target.config();
    let mut judge = Mutator::new(&config, 0);
    let mut heard: Vec<Tcp> = Vec::new();
    let mut r = Reader(input);
    for _ in 0..PIECES {
        if r.0.is_empty() {
            break;
        }
        let op = r.byte();
        let frame = match op & 15 {
            0 | 1 => {
                let length = usize::from(r.byte());
                let mut f = ethernet(config.mac, 0x0800, r.take(length));
                if f.len() >= 34 {
                    f[26..30].copy_from_slice(&IP);
                }
                mend(&mut f);
                Frame::new(f)
            }
            2 => {
                let length = usize::from(r.byte());
                Frame::new(r.take(length))
            }
            3 => {
                let (length, how, at) = (usize::from(r.byte()), r.byte(), r.byte());
                let mut f = Frame::new(r.take(length));
                match how & 3 {
                    0 => f.error_at = Some(usize::from(at)),
                    1 => f.tail = Tail::Cut,
                    _ => f.tail = Tail::Fcs(f.right_fcs() ^ 1 << (at & 31)),
                }
                f
            }
            4 => {
                let how = r.byte();
                pause(target, how);
                heard.extend(judge.hear(target));
                continue;
            }
            // An ICMP error about a segment that was heard.
            5 if op & 0x40 != 0 => {
                let ports = (10_000 + u16::from(r.byte() & 3), 7);
                let said = last_heard(&heard, ports).map_or(0, |said| said.seq);
                let seq = said.wrapping_add(r.offset());
                let what = ([3, 11, 12, 4][usize::from(op >> 4 & 3)], r.byte() & 15);
                let quoted = quoted(&config, (ports.1, ports.0), seq);
                Frame::new(icmp_error(&config, what, r.half(), &quoted))
            }
            5 => Frame::new(if op & 16 == 0 {
                ping(&config, usize::from(r.half() % 1473))
            } else {
                arp(&config, 1 + (op >> 5 & 1))
            }),
            kind => {
                let t = segment(&mut r, kind - 6, &heard);
                Frame::new(t.frame(&config))
            }
        };
        target.put(made_true(frame, &config));
        // One in two frames comes before the answer to the one before it is known.
        if op & 0x80 == 0 {
            target.answered();
            heard.extend(judge.hear(target));
        }
    }
    judge.finish(target);
}

/// A configuration, and its program, which is assembled once.
type Built = (ToeConfig, Program);

fn built(config: ToeConfig) -> Built {
    let program = program(&config);
    (config, program)
}

/// A fresh model, whose events count as coverage if a fuzzer asks.
fn fresh((config, program): &Built) -> OnModel {
    let mut model = OnModel::with_program(config, program);
    if cfg!(fuzzing) {
        model.link.trace();
        model.link.observe = Some(|trace| passed(&trace.path));
    }
    model
}

/// Whole frames to a model.
fn frames_to(built: &Built, input: &[u8]) {
    throw_at(&mut fresh(built), input, |model, how| {
        let base = if how & 0x80 == 0 { 1 } else { 50 };
        model.pass(Duration::from_millis(base * u64::from(how & 0x7F)));
    });
}

/// Whole frames to the model.
///
/// # Panics
/// If it breaks a promise.
pub fn frames_model(input: &[u8]) {
    static BUILT: OnceLock<Built> = OnceLock::new();
    frames_to(BUILT.get_or_init(|| built(ToeConfig::default())), input);
}

/// Whole frames to the model of the Alchitry Cu, as its serial line would bring them: their Ethernet header is for the judge alone.
///
/// # Panics
/// If it breaks a promise.
pub fn frames_cu(input: &[u8]) {
    static BUILT: OnceLock<Built> = OnceLock::new();
    frames_to(BUILT.get_or_init(|| built(alchitry_cu::config())), input);
}

/// Whole frames to the compiled Verilog; its reset is pressed before each input.
///
/// # Panics
/// If it breaks a promise.
pub fn frames_verilog(input: &[u8]) {
    thread_local! {
        static BOARD: RefCell<Option<OnBoard>> = const { RefCell::new(None) };
    }
    on_verilog(&BOARD, CYCLES_PER_TICK, |target| {
        throw_at(target, input, |target, how| {
            target.0.run(64 * u64::from(how));
        });
    });
}

/// With the one board of this thread and kind, after a reset.
fn on_verilog(
    kept: &'static LocalKey<RefCell<Option<OnBoard>>>,
    tick: u64,
    body: impl FnOnce(&mut OnBoard),
) {
    kept.with_borrow_mut(|kept| {
        let mut target = kept.take().unwrap_or_else(|| {
            let config = ToeConfig::default();
            let time = SimulatedTime::new(tick);
            let board = SimulatedBoard::new(&config, Backend::Verilog, GmiiPort::new(), time);
            let board = board.expect("the board can be built");
            let mut bench = Bench::around("fuzz-target", &config, board);
            if cfg!(fuzzing) {
                let traced = bench.board.trace_engine(&config);
                traced.expect("the engine has a trace");
            }
            OnBoard(bench)
        });
        target.0.board.reset(2);
        target.0.segments.clear();
        body(&mut target);
        for event in target.0.board.take_engine_trace() {
            passed(&event.path);
        }
        *kept = Some(target);
    });
}

// ------------------------------------------------------------------------------------------------ whole connections

/// Whole connections with the model ([`crate::dialogue`]), the default configuration and a port for the host, and what states they were seen in.
///
/// # Panics
/// If it breaks a promise.
pub fn states_of(input: &[u8]) -> BTreeSet<&'static str> {
    static BUILT: OnceLock<Built> = OnceLock::new();
    let built = BUILT.get_or_init(|| built(model_world::config()));
    converse(&mut fresh(built), input)
}

/// The same with the Alchitry Cu's program and rings.
///
/// # Panics
/// If it breaks a promise.
pub fn states_of_cu(input: &[u8]) -> BTreeSet<&'static str> {
    static BUILT: OnceLock<Built> = OnceLock::new();
    let built = BUILT.get_or_init(|| built(model_world::alchitry_cu()));
    converse(&mut fresh(built), input)
}

/// Whole connections with the model.
///
/// # Panics
/// If it breaks a promise.
pub fn connections_model(input: &[u8]) {
    states_of(input);
}

/// Whole connections with the model of the Alchitry Cu.
///
/// # Panics
/// If it breaks a promise.
pub fn connections_cu(input: &[u8]) {
    states_of_cu(input);
}

/// Whole connections with the compiled Verilog, whose host owns nothing.
///
/// # Panics
/// If it breaks a promise.
pub fn connections_verilog(input: &[u8]) {
    thread_local! {
        static BOARD: RefCell<Option<OnBoard>> = const { RefCell::new(None) };
    }
    on_verilog(&BOARD, VERILOG_TICK, |target| {
        converse(target, input);
    });
}

// ------------------------------------------------------------------------------------------------ the parser

/// Its own address, whom it hears, and what the link says of him.
const SOURCE: [u8; 4] = [192, 168, 69, 66];
const SOURCE_MAC: (u16, u32) = (0x0254, 0x1234_5678);

/// What RFC 9293 section 3.1 reads in a sound segment: the record's words 0 to 11, in the order of `docs/design.md`, and the edges of SACK blocks (RFC 2018 section 3).
fn words_of(b: &[u8]) -> ([u32; 12], Vec<u32>) {
    let word = |i: usize| u32::from_be_bytes([b[i], b[i + 1], b[i + 2], b[i + 3]]);
    let header = usize::from(b[12] >> 4) * 4;
    let (mut known, mut stamps, mut edges) = (0u32, (0, 0), vec![]);
    let mut i = 20;
    while i < header && b[i] != 0 {
        if b[i] == 1 {
            i += 1;
            continue;
        }
        match (b[i], b[i + 1]) {
            (2, 4) => known = known & !0xFFFF | u32::from(u16::from_be_bytes([b[i + 2], b[i + 3]])),
            (3, 3) => known = known & !0xFF_0000 | u32::from(b[i + 2]) << 16 | 1 << 24,
            (4, 2) => known |= 1 << 25,
            (8, 10) => {
                known |= 1 << 26;
                stamps = (word(i + 2), word(i + 6));
            }
            (5, n @ (10 | 18 | 26 | 34)) if edges.is_empty() => {
                known |= u32::from(n / 8) << 27;
                edges = (i + 2..i + usize::from(n)).step_by(4).map(word).collect();
            }
            _ => {}
        }
        i += usize::from(b[i + 1]);
    }
    let [syn, ack, ece, cwr] = [SYN, 0x10, 0x40, 0x80].map(|flag| b[13] & flag != 0);
    if syn {
        // RFC 3168 section 6.1.1, in place of the number of blocks.
        known = known & 0x07FF_FFFF | u32::from(ece && cwr != ack) << 27;
    }
    let words = [
        word(0),
        word(4),
        word(8),
        // A reserved bit's place says whether the packet came with CE: none does here.
        word(12) & !(1 << 24),
        u32::from(SOURCE_MAC.0) << 16 | word(16) & 0xFFFF,
        u32::from_be_bytes(SOURCE),
        SOURCE_MAC.1,
        known,
        (b.len() - header) as u32,
        stamps.0,
        stamps.1,
        word(12) & 0xFFFF,
    ];
    (words, edges)
}

/// The parser with a table, a record queue and a ring played around it.
struct ParserBench {
    uut: Parser,
    config: ToeConfig,
}

/// How the blocks around it behave for one segment.
#[derive(Clone, Copy, Debug)]
struct Around {
    full: bool,
    hit: bool,
    look: usize,
    ring: usize,
    /// Idle cycles before each byte, by its number.
    idle: u8,
    error: bool,
}

impl ParserBench {
    fn new() -> Self {
        let config = ToeConfig::default();
        let mut uut = Parser::new(
            config.ip,
            config.scoreboard(),
            config.icmp_errors,
            config.vlan,
            config.window_scale,
        )
        .with_ecn(config.ecn);
        uut.connect_all();
        Self { uut, config }
    }

    fn settle(&mut self) {
        for _ in 0..20 {
            self.uut.update_all();
            if !self.uut.has_changed() {
                return;
            }
        }
        panic!("does not settle");
    }

    fn clock(&mut self) {
        for clk in [true, false] {
            self.uut.clock.next = Clock { clk };
            self.settle();
        }
    }

    fn reset(&mut self) {
        let u = &mut self.uut;
        u.payload.valid.next = false;
        u.lookup_done.next = false;
        u.placed.next = true;
        u.slot_free.next = true;
        u.slot.next = 1.into();
        u.info_protocol.next = 6.into();
        u.info_src.next = u64::from(u32::from_be_bytes(SOURCE)).into();
        u.src_hi.next = u64::from(SOURCE_MAC.0).into();
        u.src_lo.next = u64::from(SOURCE_MAC.1).into();
        for reset in [true, false] {
            self.uut.reset.next = reset;
            self.settle();
            self.clock();
        }
    }

    /// One segment, and everything the parser owes the blocks around it.
    fn segment(&mut self, bytes: &[u8], around: Around) {
        let length = bytes.len();
        let pseudo = u32::from(sum(&[SOURCE, self.config.ip].concat(), 6 + length as u32));
        let expected = match (around.error, around.full && length > 1) {
            (true, _) => None,
            (_, true) => Some(Cause::RecordQueueFull),
            _ => Some(fate_tcp(bytes, pseudo)),
        };
        self.uut.info_length.next = (length as u64).into();
        let (mut sent, mut wait, mut since_last) = (0, 0, 0);
        let mut counted: Vec<(u64, bool)> = vec![];
        let mut words = [0u32; 32];
        let mut payload: Vec<u8> = vec![];
        let (mut ends, mut looked, mut answered) = (0, None, false);
        // What a shift is here, the window that it is done to, and how long it takes.
        const SHIFT: u32 = 0x8421;
        let (mut window, mut plain, mut shifting) = (0, true, 0_usize);
        let mut asked = 0;
        // What was placed, and cycles since all of it was there.
        let mut placed: Option<[u64; 5]> = None;
        let mut at_rest = 0;
        for cycle in 0.. {
            assert!(cycle < 10_000, "it never comes to rest: {around:?}");
            // ---- the stream, the table, the ring ----
            let byte = sent < length && wait == 0;
            self.uut.payload.valid.next = byte;
            if byte {
                self.uut.payload.data.next = u64::from(bytes[sent]).into();
            }
            let last = byte && sent + 1 == length;
            self.uut.payload.last.next = last;
            self.uut.payload.error.next = last && around.error;
            self.uut.slot_free.next = !(around.full && sent == 0);
            let done = looked.is_some() && !answered && asked > around.look;
            self.uut.lookup_done.next = done;
            self.uut.lookup_hit.next = done && around.hit;
            self.uut.lookup_conn.next = 3.into();
            let busy = placed.is_some() && at_rest <= around.ring;
            self.uut.placed.next = !busy;
            self.uut.scale_busy.next = shifting > 0;
            self.uut.scaled.next = match (shifting, plain) {
                (0, false) => window ^ u64::from(SHIFT),
                (0, true) => window,
                _ => 0,
            }
            .into();
            shifting = shifting.saturating_sub(1);
            self.settle();

            // ---- what it says in this cycle ----
            let u = &self.uut;
            assert!(u.payload.ready.val(), "it made the payload wait");
            let n = |v: Bits<32>| -> u64 { v.to_u64() };
            if u.lookup_valid.val() {
                let now = (n(u.lookup_ip.val()), n(u.lookup_ports.val()));
                assert_eq!(*looked.get_or_insert(now), now, "the look-up moved");
                assert!(!answered, "asked again");
                asked += 1;
            } else {
                assert!(looked.is_none() || answered, "the look-up was let go");
            }
            answered |= done;
            if u.scale_take.val() {
                window = u.scale_window.val().to_u64();
            }
            if u.scale_go.val() {
                assert!(answered, "nobody has said whose window it is");
                plain = u.scale_plain.val();
                let most = usize::from(!plain) * LONGEST;
                shifting = usize::from(around.idle).min(most).max(most.min(1));
            }
            let place = [
                u.place_conn.val().to_u64(),
                u64::from(u.place_hit.val()),
                n(u.place_seq.val()),
                u.place_length.val().to_u64(),
                u.place_slot.val().to_u64(),
            ];
            if u.place_valid.val() {
                assert!(answered && !busy && placed.is_none(), "placed out of turn");
                placed = Some(place);
            }
            if u.bytes_valid.val() {
                payload.push(u.bytes_data.val().to_u64() as u8);
                ends += u64::from(u.bytes_last.val());
            }
            if u.record_write.val() {
                words[u.record_word.val().to_u64() as usize] = n(u.record_data.val()) as u32;
            }
            if u.count.val() {
                counted.push((u.cause.val().to_u64(), u.record_push.val()));
            } else {
                assert!(!u.record_push.val(), "pushed, not counted");
            }

            // ---- time passes ----
            if byte {
                sent += 1;
                wait = usize::from(around.idle >> (sent % 8) & 1) * 3;
            } else {
                wait = wait.saturating_sub(1);
            }
            if let Some([.., length, _]) = placed {
                at_rest += usize::from(length == 0 || ends > 0);
            }
            self.clock();
            if sent == length {
                since_last += 1;
                let rest = 20 + LOOK_UP_CYCLES + around.ring;
                if since_last > rest || (!counted.is_empty() && since_last > 20) {
                    break;
                }
            }
        }

        // ---- what it owed ----
        let causes: Vec<u64> = counted.iter().map(|(cause, _)| *cause).collect();
        let wanted: Vec<u64> = expected.iter().map(|c| u64::from(c.number())).collect();
        assert_eq!(
            causes, wanted,
            "counted, expected {expected:?}: {bytes:02x?} {around:?}"
        );
        let good = expected == Some(Cause::TcpIn);
        assert_eq!(counted.iter().any(|(_, push)| *push), good);
        if let Some([_, hit, _, length, _]) = placed {
            assert_eq!(
                ends,
                u64::from(length > 0),
                "ends of the payload: {bytes:02x?} {placed:?} {around:?}"
            );
            let plain = bytes[13] & (SYN | RST) == 0;
            let due = around.hit && plain && length > 0;
            // One that was found bad meanwhile need not be placed.
            assert!(
                if good {
                    (hit == 1) == due
                } else {
                    hit == 0 || due
                },
                "{around:?}"
            );
        }
        if good {
            let header = usize::from(bytes[12] >> 4) * 4;
            let (mut first, edges) = words_of(bytes);
            let shifted = around.hit && bytes[13] & SYN == 0;
            first[11] ^= SHIFT * u32::from(shifted);
            assert_eq!(words[..12], first, "the record");
            assert_eq!(words[16..16 + edges.len()], edges, "the edges");
            assert_eq!(payload, bytes[header..], "the payload");
            let [.., seq, length, slot] = placed.expect("a good segment is placed");
            assert_eq!(seq, u64::from(words[1]));
            assert_eq!((length, slot), ((bytes.len() - header) as u64, 1));
        }
    }
}

/// Segments to the parser's Rust block.
///
/// # Panics
/// If it breaks a promise.
pub fn parser(input: &[u8]) {
    thread_local! {
        static BENCH: RefCell<Option<ParserBench>> = const { RefCell::new(None) };
    }
    BENCH.with_borrow_mut(|kept| {
        let mut bench = kept.take().unwrap_or_else(ParserBench::new);
        bench.reset();
        let mut r = Reader(input);
        for _ in 0..8 {
            if r.0.is_empty() {
                break;
            }
            let (how, look, idle) = (r.byte(), r.byte(), r.byte());
            let length = usize::from(r.byte()) + usize::from(how >> 7) * 200;
            let mut bytes = r.take(length).to_vec();
            if bytes.is_empty() {
                bytes.push(how);
            }
            if how & 1 == 0 && bytes.len() >= 20 {
                let pseudo = sum(&[SOURCE, bench.config.ip].concat(), 6 + bytes.len() as u32);
                bytes[16..18].fill(0);
                let check = !sum(&bytes, u32::from(pseudo));
                bytes[16..18].copy_from_slice(&check.to_be_bytes());
            }
            let around = Around {
                full: how & 0x1C == 0x1C,
                hit: how & 2 == 0,
                look: usize::from(look) * (LOOK_UP_CYCLES - 10) / 255,
                ring: usize::from(how >> 5 & 3) * 2 + 1,
                idle: if how & 4 == 0 { 0 } else { idle },
                error: how & 0x18 == 0x10,
            };
            bench.segment(&bytes, around);
        }
        *kept = Some(bench);
    });
}
