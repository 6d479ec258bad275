//! Whole connections for a fuzzer: an input is a program of steps for a small peer that knows TCP. It builds the right answer to what the engine said last (ACK,
//! text, FIN, SYN-ACK, with SACK blocks of what it holds, or a timestamp), and the input's bytes bend that answer, drop it, repeat it, hold it back, change the
//! order; let time pass; lose what the engine sends; shut the window; and have the application write, close, abort and connect.
use std::collections::{BTreeMap, BTreeSet};

use toe_hdl::config::Owner;
use toe_hdl::counters::Cause;
use toe_hdl::tcp::program::{dup, state, words};
use toe_sim::link::{Duration, Frame};

use crate::fuzzing::{made_true, Reader};
use crate::mutate::{byte_at, Mutator, Target};
use crate::targets::{OnBoard, OnModel};
use crate::wire::*;

/// Steps read from one input; what is behind them does nothing.
const STEPS: usize = 60;
/// Active opens of one input: two that nobody answers leave slots for others.
const OPENS: usize = 2;

/// Cycles of a tick of the board that connections are had with: few, so that timers expire within reach.
pub const VERILOG_TICK: u64 = 100;

/// An engine with applications and a clock.
pub trait Engine: Target {
    /// So many ticks pass.
    fn pause(&mut self, ticks: u32);
    /// The host of port 100, where there is one: writes so many bytes, and then this.
    fn application(&mut self, bytes: usize, then: Wish);
    /// An active open from `local` to `remote` at [`IP`].
    fn connect(&mut self, local: u16, remote: u16);
    /// There is a host.
    fn has_host(&self) -> bool;
    /// What connections are in now, if that can be seen.
    fn look(&self, seen: &mut BTreeSet<&'static str>);
}

/// What the application does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Nothing,
    Close,
    Abort,
    /// It reads nothing for now.
    Deaf,
    Read,
}

impl Engine for OnModel {
    fn pause(&mut self, ticks: u32) {
        self.pass(Duration::from_millis(u64::from(ticks)));
    }
    fn application(&mut self, bytes: usize, then: Wish) {
        let host = &mut self.link.host;
        let at = host.send.len();
        host.send.extend((at..at + bytes).map(|n| n as u8));
        match then {
            Wish::Nothing => {}
            Wish::Close => host.close_first = true,
            Wish::Abort => (host.close_first, host.abort) = (true, true),
            Wish::Deaf => host.deaf = true,
            Wish::Read => host.deaf = false,
        }
        self.rest();
    }
    fn connect(&mut self, local: u16, remote: u16) {
        self.link.toe.connect(local, (IP, remote), Owner::Host);
        self.rest();
    }
    fn has_host(&self) -> bool {
        true
    }
    fn look(&self, seen: &mut BTreeSet<&'static str>) {
        let toe = &self.link.toe;
        for words in &toe.machine.state {
            let word = |o: toe_hdl::tcp::asm::Operand| {
                words[usize::from(o.address().expect("a word of state"))]
            };
            let open = word(words::STATE);
            seen.insert(state::name(open));
            let marks = [
                (dup::RECOVERY, "fast recovery"),
                (dup::SCORE, "SACK recovery"),
            ];
            for (bit, name) in marks {
                if open != state::CLOSED
                    && open != state::TIME_WAIT
                    && word(words::DUP_ACKS) & bit != 0
                {
                    seen.insert(name);
                }
            }
        }
        for (cause, name) in [
            (Cause::ZeroWindowProbe, "zero-window probe"),
            (Cause::RtoExpired, "retransmission timeout"),
            (Cause::GaveUp, "given up"),
            (Cause::OutOfOrder, "text ahead of a gap"),
            (Cause::HeldFull, "more gaps than are held"),
            (Cause::ChallengeHeld, "challenge ACK held back"),
            (Cause::BadAck, "bad ACK"),
            (Cause::ResetIn, "reset by the peer"),
            (Cause::Recycled, "made way"),
        ] {
            if toe.counter(cause) > 0 {
                seen.insert(name);
            }
        }
    }
}

impl Engine for OnBoard {
    fn pause(&mut self, ticks: u32) {
        // Minutes would take minutes; the first retransmission of a SYN does not.
        self.0.run(VERILOG_TICK * u64::from(ticks.min(1_500)));
    }
    fn application(&mut self, _: usize, _: Wish) {}
    fn connect(&mut self, local: u16, remote: u16) {
        let owner = Owner::Echo as u8;
        let taken = self.0.board.connect(IP, remote, local, owner);
        taken.expect("the engine takes a command");
        self.answered();
        // Its ARP cache asks for us.
        let reply = arp(&self.0.config, 2);
        self.put(Frame::new(reply));
    }
    fn has_host(&self) -> bool {
        false
    }
    fn look(&self, _: &mut BTreeSet<&'static str>) {}
}

/// One connection as the peer sees it.
#[derive(Clone, Debug, Default)]
struct Talk {
    iss: u32,
    snd_nxt: u32,
    rcv_nxt: Option<u32>,
    /// Text ahead of a gap, the latest first.
    held: Vec<(u32, u32)>,
    /// Segments with text of the engine's to be lost.
    lose: u8,
    wnd: u16,
    /// The engine's first number, if its SYN waits for an answer.
    syn: Option<u32>,
    stamp: Option<u32>,
}

impl Talk {
    /// What the engine said.
    fn hear(&mut self, t: &Tcp) {
        if t.flags & RST != 0 {
            *self = Self {
                iss: self.iss.wrapping_add(0x0100_0000),
                wnd: 8_192,
                ..Self::default()
            };
            self.snd_nxt = self.iss;
            return;
        }
        if t.flags & SYN != 0 {
            self.rcv_nxt = Some(t.seq.wrapping_add(1));
            self.syn = (t.flags & ACK == 0).then_some(t.seq);
            return;
        }
        let length = t.data.len() as u32 + u32::from(t.flags & FIN);
        let Some(next) = &mut self.rcv_nxt else {
            return;
        };
        if length == 0 {
            return;
        }
        if self.lose > 0 {
            self.lose -= 1;
            return;
        }
        let (left, right) = (t.seq, t.seq.wrapping_add(length));
        let ahead = |edge: u32, next: u32| (edge.wrapping_sub(next) as i32) > 0;
        if ahead(left, *next) {
            self.held.retain(|h| *h != (left, right));
            self.held.insert(0, (left, right));
            self.held.truncate(8);
            return;
        }
        if ahead(right, *next) {
            *next = right;
        }
        while let Some(at) = self.held.iter().position(|h| !ahead(h.0, *next)) {
            let (_, right) = self.held.remove(at);
            if ahead(right, *next) {
                *next = right;
            }
        }
    }

    /// The right answer, without text.
    fn answer(&self, ports: (u16, u16)) -> Tcp {
        let mut t = Tcp {
            ports,
            seq: self.snd_nxt,
            ack: self.rcv_nxt.unwrap_or(0),
            flags: if self.rcv_nxt.is_some() { ACK } else { 0 },
            wnd: self.wnd,
            ..Tcp::default()
        };
        let blocks = &self.held[..self.held.len().min(3)];
        if !blocks.is_empty() {
            t.options = vec![1, 1, 5, 2 + 8 * blocks.len() as u8];
            for (left, right) in blocks {
                t.options.extend(left.to_be_bytes());
                t.options.extend(right.to_be_bytes());
            }
        } else if let Some(stamp) = self.stamp {
            t.options = vec![1, 1, 8, 10];
            t.options.extend(stamp.to_be_bytes());
            t.options.extend([0; 4]);
        }
        t
    }
}

/// Bends one field as the input says.
fn bend(t: &mut Tcp, r: &mut Reader) {
    let how = r.byte();
    match how & 7 {
        0 => t.seq = t.seq.wrapping_add(r.offset()),
        1 => t.ack = t.ack.wrapping_add(r.offset()),
        2 => t.flags ^= r.byte(),
        3 => t.wnd = r.half(),
        // An edge of a block, or whatever stands there.
        4 if !t.options.is_empty() => {
            let at = usize::from(r.byte()) % t.options.len();
            t.options[at] = t.options[at].wrapping_add(r.byte());
        }
        4 | 5 => {
            let words = usize::from(r.byte() % 11);
            t.options = r.take(4 * words).to_vec();
            t.options.resize(4 * words, 1);
        }
        6 => t.ports.1 = [7, 9, 19, 80][usize::from(how >> 3 & 3)],
        _ => t.data.truncate(usize::from(r.byte())),
    }
    t.data = (0..t.data.len() as u32)
        .map(|i| byte_at(t.ports.0, t.seq.wrapping_add(i)))
        .collect();
}

/// Runs an input: then all peers vanish, accounts and life are checked. Tells what states connections were seen in.
pub fn converse<E: Engine>(engine: &mut E, input: &[u8]) -> BTreeSet<&'static str> {
    let config = engine.config();
    let mut judge = Mutator::new(&config, 0);
    let mut seen = BTreeSet::new();
    let mut talks: BTreeMap<(u16, u16), Talk> = BTreeMap::new();
    let mut held: Vec<Frame> = Vec::new();
    let (mut opens, mut last) = (0, None);
    let mut ports = (10_000, 7);
    let mut r = Reader(input);
    let fresh = |ports: (u16, u16)| Talk {
        iss: u32::from(ports.0) << 20 | 0xFFFF_FF00,
        snd_nxt: u32::from(ports.0) << 20 | 0xFFFF_FF00,
        wnd: 8_192,
        ..Talk::default()
    };
    for _ in 0..STEPS {
        if r.0.is_empty() {
            break;
        }
        let op = r.byte();
        let talk = talks.entry(ports).or_insert_with(|| fresh(ports));
        let mut t = talk.answer(ports);
        let mut rounds = 1;
        match op & 15 {
            0 => {}
            1 => {
                // At most what the engine asks for.
                let length: u16 = [1, 100, 536, 1_460][usize::from(r.byte() & 3)];
                t.data = vec![0; length.min(config.receive_mss()).into()];
            }
            2 => t.flags |= FIN,
            3 => {
                t.flags = SYN | if talk.syn.is_some() { ACK } else { 0 };
                if talk.syn.is_none() {
                    (t.seq, t.ack) = (talk.iss, 0);
                    talk.rcv_nxt = None;
                }
                talk.snd_nxt = talk.iss;
                t.seq = talk.iss;
                t.options = vec![2, 4, 5, 0xB4];
                let kind = r.byte();
                if kind & 1 == 0 {
                    t.options.extend([1, 1, 4, 2]);
                }
                if kind & 2 != 0 {
                    t.options[2..4].copy_from_slice(&200u16.to_be_bytes());
                }
                if kind & 4 != 0 {
                    t.options.extend([1, 3, 3, kind >> 3]);
                }
            }
            4 => {
                talk.lose = r.byte() & 7;
                continue;
            }
            5 => {
                let windows = [0, 1, 100, 536, 1_460, 4_096, 8_192, 65_535];
                talk.wnd = windows[usize::from(r.byte() & 7)];
                continue;
            }
            6 => {
                let how = r.byte();
                let base = [1, 50, 1_000, 1_000][usize::from(how >> 6)];
                engine.pause(base * u32::from(how & 0x3F));
                rounds = 0;
            }
            7 => {
                if let Some(frame) = last.clone() {
                    engine.put(frame);
                }
                rounds = 0;
            }
            // What was held back comes, in its order or the other way round.
            8 => {
                if op & 16 != 0 {
                    held.reverse();
                }
                for frame in held.drain(..) {
                    engine.put(frame);
                    engine.answered();
                }
                rounds = 0;
            }
            9 => {
                let how = r.byte();
                let bytes = [0, 1, 100, 1_460, 6_000, 0, 0, 0][usize::from(how & 7)];
                let wishes = [
                    Wish::Nothing,
                    Wish::Close,
                    Wish::Abort,
                    Wish::Deaf,
                    Wish::Read,
                ];
                let wish = wishes[usize::from(how >> 3) % 5];
                engine.application(bytes, wish);
                rounds = 0;
            }
            10 => {
                if opens < OPENS {
                    opens += 1;
                    ports = (11_000 + opens as u16, 4_000 + opens as u16);
                    engine.connect(ports.1, ports.0);
                    talks.insert(ports, fresh(ports));
                }
                rounds = 0;
            }
            11 => {
                let who = r.byte();
                let to = [7, 100, 19, 9, 7, 100, 19, 80][usize::from(who >> 4 & 7)];
                let to = if to == 100 && !engine.has_host() {
                    19
                } else {
                    to
                };
                ports = match who & 15 {
                    n @ 0..8 => (10_000 + u16::from(n & 3), to),
                    n => (11_000 + u16::from(n & 1) + 1, 4_000 + u16::from(n & 1) + 1),
                };
                continue;
            }
            12 => rounds = 1 + r.byte() % 16,
            13 => {
                t.flags = RST | t.flags & ACK;
            }
            // The same ACK again and again: of text that was lost, duplicates.
            14 => {
                for _ in 0..r.byte() & 7 {
                    let frame = Frame::new(t.frame(&config));
                    engine.put(frame);
                    engine.answered();
                }
                rounds = 0;
            }
            _ => {
                let now = talk.stamp.unwrap_or(0);
                talk.stamp = Some(now.wrapping_add(r.offset()));
            }
        }
        for round in 0..rounds {
            if round > 0 {
                t = talks
                    .entry(ports)
                    .or_insert_with(|| fresh(ports))
                    .answer(ports);
            }
            t.data = (0..t.data.len() as u32)
                .map(|i| byte_at(t.ports.0, t.seq.wrapping_add(i)))
                .collect();
            if let Some(talk) = talks.get_mut(&ports) {
                let more =
                    t.data.len() as u32 + u32::from(t.flags & SYN != 0) + u32::from(t.flags & FIN);
                talk.snd_nxt = t.seq.wrapping_add(more);
                if t.flags & SYN != 0 {
                    talk.syn = None;
                }
            }
            if op & 16 != 0 {
                bend(&mut t, &mut r);
            }
            let frame = made_true(Frame::new(t.frame(&config)), &config);
            last = Some(frame.clone());
            match op >> 5 {
                // Lost, held back, twice; or the next comes before the answer to this is known.
                1 => {}
                2 => held.push(frame),
                3 => {
                    engine.put(frame.clone());
                    engine.put(frame);
                }
                _ => engine.put(frame),
            }
            if op >> 5 < 4 {
                engine.answered();
            }
            hear(engine, &mut judge, &mut talks);
            engine.look(&mut seen);
        }
        if rounds == 0 {
            engine.answered();
            hear(engine, &mut judge, &mut talks);
            engine.look(&mut seen);
        }
    }
    // An open that nobody has answered is refused; the host reads to the end.
    engine.application(0, Wish::Read);
    engine.application(0, Wish::Close);
    for (ports, talk) in &talks {
        if let Some(syn) = talk.syn {
            let refusal = Tcp {
                ports: *ports,
                ack: syn.wrapping_add(1),
                flags: RST | ACK,
                ..Tcp::default()
            };
            engine.put(Frame::new(refusal.frame(&config)));
            engine.answered();
        }
    }
    judge.hear(engine);
    judge.finish(engine);
    seen
}

fn hear<E: Engine>(engine: &mut E, judge: &mut Mutator, talks: &mut BTreeMap<(u16, u16), Talk>) {
    for t in judge.hear(engine) {
        if let Some(talk) = talks.get_mut(&(t.ports.1, t.ports.0)) {
            talk.hear(&t);
        }
    }
}

/// The hand-made beginnings, by name, and what of [`Engine::look`] each is made to reach. The steps are those of [`converse`]: 3 is a SYN, 0 the right ACK, 1 text, 2 a FIN,
/// 11 chooses whom to talk with (the echo as it is, 0x10 the host's port, 0x20 the generator).
pub fn beginnings() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    const OPEN: &[u8] = &[3, 0, 0];
    const HOST: &[u8] = &[11, 0x10, 3, 0, 0];
    const POUR: &[u8] = &[11, 0x20, 3, 0, 0, 12, 3];
    const POUR_PLAINLY: &[u8] = &[11, 0x20, 3, 1, 0, 12, 3];
    let of = |parts: &[&[u8]]| parts.concat();
    vec![
        ("half-open", vec![3, 0], &["SYN-RECEIVED"]),
        (
            "echo",
            of(&[OPEN, &[1, 1, 12, 2, 2, 12, 1]]),
            &["ESTABLISHED", "LAST-ACK"],
        ),
        (
            "echo-mss-200",
            of(&[&[3, 2, 0], &[1, 3, 1, 3, 12, 4, 2, 12, 1]]),
            &["LAST-ACK"],
        ),
        (
            "close-wait",
            of(&[OPEN, &[5, 0, 1, 1, 2, 6, 0x7F, 5, 6, 12, 3]]),
            &["CLOSE-WAIT"],
        ),
        (
            "fast-recovery",
            of(&[POUR_PLAINLY, &[4, 1, 0, 14, 5, 12, 4]]),
            &["fast recovery"],
        ),
        (
            "fast-recovery-lost-again",
            of(&[POUR_PLAINLY, &[4, 3, 0, 14, 5, 4, 1, 12, 4, 6, 0x7F, 12, 4]]),
            &["fast recovery"],
        ),
        (
            "sack-recovery",
            of(&[POUR, &[4, 1, 0, 12, 6]]),
            &["SACK recovery"],
        ),
        (
            "sack-recovery-two-lost",
            of(&[POUR, &[4, 2, 0, 12, 3, 4, 1, 12, 6, 6, 0x7F, 12, 3]]),
            &["SACK recovery"],
        ),
        (
            "sack-renounced",
            of(&[POUR, &[4, 1, 0, 12, 3, 0x10, 5, 0, 6, 0x7F, 12, 4]]),
            &["SACK recovery"],
        ),
        (
            "sack-edges-bent",
            of(&[
                POUR,
                &[4, 1, 0, 12, 2, 0x10, 4, 7, 90, 0x10, 4, 11, 200, 12, 3],
            ]),
            &["SACK recovery"],
        ),
        (
            "timeout",
            of(&[POUR, &[4, 7, 0, 6, 0x7F, 6, 0x7F, 12, 4]]),
            &["retransmission timeout"],
        ),
        (
            "given-up",
            of(&[POUR, &[4, 7, 0, 6, 0xBF, 6, 0xBF, 6, 0xBF]]),
            &["given up"],
        ),
        (
            "zero-window",
            of(&[OPEN, &[5, 0, 1, 1, 6, 0x7F, 0, 6, 0x7F, 0, 5, 6, 12, 3]]),
            &["zero-window probe"],
        ),
        (
            "zero-window-poured",
            of(&[
                POUR,
                &[5, 0, 12, 3, 6, 0xBF, 0, 5, 1, 0, 6, 0x7F, 5, 6, 12, 3],
            ]),
            &["zero-window probe"],
        ),
        (
            "small-windows",
            of(&[POUR, &[5, 2, 12, 4, 6, 0x3F, 6, 0x44, 12, 2, 5, 3, 12, 2]]),
            &["ESTABLISHED"],
        ),
        // Windows of 100 and of 8,192 times eight, of one byte times 2^14, and shut, with something lost.
        (
            "scaled-windows",
            of(&[
                &[11, 0x20, 3, 4 | 3 << 3, 0, 5, 2, 12, 4, 5, 6, 4, 1, 12, 6],
                &[5, 0, 12, 2, 6, 0xBF, 0, 5, 6, 12, 3],
                &[
                    11,
                    0x21,
                    3,
                    5 | 31 << 3,
                    0,
                    5,
                    1,
                    12,
                    4,
                    4,
                    1,
                    0,
                    14,
                    5,
                    12,
                    4,
                ],
            ]),
            &["SACK recovery", "zero-window probe"],
        ),
        (
            "gaps",
            of(&[OPEN, &[0x21, 1, 1, 1].repeat(6), &[12, 1, 6, 0x7F]]),
            &["text ahead of a gap", "more gaps than are held"],
        ),
        // In a small window, too.
        (
            "gaps-of-a-byte",
            of(&[OPEN, &[0x21, 0, 1, 0].repeat(6), &[12, 1, 6, 0x7F]]),
            &["text ahead of a gap", "more gaps than are held"],
        ),
        (
            "backwards",
            of(&[OPEN, &[0x41, 1].repeat(5), &[0x18, 12, 3]]),
            &["text ahead of a gap"],
        ),
        (
            "twice",
            of(&[OPEN, &[0x61, 1, 0x61, 3, 7, 0x62, 0x60]]),
            &["LAST-ACK"],
        ),
        (
            "fin-wait-1",
            of(&[HOST, &[4, 1, 9, 8, 6, 0x7F, 0]]),
            &["FIN-WAIT-1"],
        ),
        (
            "fin-wait-2",
            of(&[HOST, &[9, 3, 0, 9, 8, 0, 1, 1]]),
            &["FIN-WAIT-2"],
        ),
        (
            "fin-wait-2-for-ever",
            of(&[HOST, &[9, 8, 0, 6, 0xBF]]),
            &["FIN-WAIT-2", "given up"],
        ),
        (
            "time-wait",
            of(&[HOST, &[9, 8, 0, 2, 7, 6, 0x7F, 7]]),
            &["TIME-WAIT"],
        ),
        (
            "time-wait-opens-anew",
            of(&[HOST, &[9, 8, 0, 2, 6, 0x7F, 0x13, 0, 0, 244, 0, 1, 1]]),
            &["TIME-WAIT"],
        ),
        (
            "closing",
            of(&[HOST, &[4, 1, 9, 8, 2, 6, 0x7F, 0]]),
            &["CLOSING", "TIME-WAIT"],
        ),
        (
            "host-deaf",
            of(&[
                HOST,
                &[9, 24],
                &[1, 3].repeat(7),
                &[6, 0x7F, 9, 32, 12, 2, 2, 0],
            ]),
            &["ESTABLISHED"],
        ),
        (
            "host-aborts",
            of(&[HOST, &[9, 18, 0]]),
            &["ESTABLISHED", "CLOSED"],
        ),
        (
            "we-connect",
            vec![10, 3, 0, 9, 3, 12, 3, 9, 8, 0, 2, 0],
            &["SYN-SENT", "TIME-WAIT"],
        ),
        (
            "we-connect-refused",
            vec![10, 13],
            &["SYN-SENT", "reset by the peer"],
        ),
        (
            "we-connect-in-vain",
            vec![10, 6, 0xBF, 6, 0xBF, 6, 0xBF, 6, 0xBF, 6, 0xBF],
            &["SYN-SENT", "given up"],
        ),
        (
            "both-connect",
            vec![10, 0x13, 0, 2, 16, 0, 1, 1, 12, 1],
            &["SYN-SENT", "SYN-RECEIVED"],
        ),
        ("reset", of(&[OPEN, &[1, 1, 13]]), &["reset by the peer"]),
        (
            "challenges",
            of(&[OPEN, &[0x7D, 0, 129].repeat(55)]),
            &["challenge ACK held back"],
        ),
        (
            "bad-ack",
            of(&[OPEN, &[0x10, 1, 150, 0x10, 1, 241, 1, 1]]),
            &["bad ACK"],
        ),
        (
            "crowd",
            // Four half open; two have cookies, and acknowledge them.
            [0, 1, 2, 3, 0x10, 0x21]
                .iter()
                .flat_map(|who| [&[11, *who, 3, 0][..], &[0][..usize::from(*who > 3)]].concat())
                .collect(),
            &["made way"],
        ),
        (
            "stamps",
            of(&[OPEN, &[15, 150, 1, 1, 15, 246, 1, 1, 15, 200, 1, 1, 2, 0]]),
            &["LAST-ACK"],
        ),
    ]
}
