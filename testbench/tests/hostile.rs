//! Frames that nobody should send, and peers that nobody should be. After each group the accounts balance, every frame ended where it had to, and a new
//! connection works (`liveness`); what is delivered is what was sent.
use std::collections::BTreeMap;

use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_host::board::Backend;
use toe_sim::link::{Frame, Tail};
use toe_testbench::liveness::{class, Bench, Class, Client, Counters, ALIVE_CYCLES};
use toe_testbench::transfers::bytes;
use toe_testbench::wire::*;

/// Cycles between two frames, so that the engine has done with one when the next comes.
const GAP: u64 = 300;

fn bench(name: &str) -> Bench {
    Bench::new(name, &ToeConfig::default(), Backend::Verilog)
}

/// A bench with a client that has opened and sent nothing.
fn with_client(name: &str, data: Vec<u8>) -> (Bench, Client) {
    let mut b = bench(name);
    let mut c = b.client(data);
    open(&mut b, &mut c);
    (b, c)
}

/// Opens a client's connection and sends the last ACK of the handshake, nothing more.
fn open(b: &mut Bench, c: &mut Client) {
    let mut syn = c.segment(SYN);
    syn.options = vec![2, 4, 5, 0xB4];
    let frame = syn.frame(&b.config);
    b.send(frame);
    for _ in 0..5_000 {
        b.cycle();
        for t in std::mem::take(&mut b.segments) {
            c.take(&t).expect("a SYN-ACK");
        }
        if c.is_open() {
            let ack = c.segment(ACK).frame(&b.config);
            b.send(ack);
            b.run(1_000);
            return;
        }
    }
    b.fail("it does not open");
}

/// Frames that must each end at their own counter.
struct Group {
    before: Counters,
    expected: BTreeMap<Cause, u64>,
}

impl Group {
    fn begin(b: &mut Bench) -> Self {
        Self {
            before: b.account(),
            expected: BTreeMap::new(),
        }
    }

    /// Sends one and gives the board time for it.
    fn send(&mut self, b: &mut Bench, frame: Frame) {
        if let Some(cause) = fate(&frame, &b.config) {
            *self.expected.entry(cause).or_default() += 1;
        }
        b.send(frame);
        while !b.is_quiet() {
            b.cycle();
        }
        b.run(GAP);
    }

    /// Every frame ended where it had to; the accounts balance.
    fn end(self, b: &mut Bench) {
        let after = b.account();
        for &cause in Cause::ALL {
            if !matches!(class(cause), Class::Link | Class::Before) && cause != Cause::TcpIn {
                continue;
            }
            let moved = after[&cause] - self.before[&cause];
            let expected = self.expected.get(&cause).copied().unwrap_or(0);
            if moved != expected {
                b.fail(&format!(
                    "{}: {moved} counted, {expected} sent; sent: {:?}",
                    cause.name(),
                    self.expected
                ));
            }
        }
    }
}

/// Every kind of valid frame, those of TCP as the client would send them.
fn kinds(b: &Bench, c: &Client) -> Vec<(&'static str, Vec<u8>)> {
    let config = &b.config;
    let mut syn = Tcp {
        ports: (c.ports.0 ^ 0x100, 7),
        seq: 0x1234_5678,
        flags: SYN,
        wnd: 64_240,
        ..Tcp::default()
    };
    // MSS, SACK permitted, timestamps, window scale: as Linux sends them.
    syn.options = vec![
        2, 4, 5, 0xB4, 4, 2, 8, 10, 1, 2, 3, 4, 0, 0, 0, 0, 1, 3, 3, 7,
    ];
    let mut data = c.segment(ACK | PSH);
    data.data = bytes(100, 11)[..20].to_vec();
    let mut fin = syn.clone();
    fin.flags = FIN | ACK;
    fin.options.clear();
    let mut rst = fin.clone();
    rst.flags = RST;
    vec![
        ("arp request", arp(config, 1)),
        ("arp reply", arp(config, 2)),
        ("icmp echo", ping(config, 40)),
        ("syn", syn.frame(config)),
        ("data", data.frame(config)),
        ("fin", fin.frame(config)),
        ("rst", rst.frame(config)),
    ]
}

/// The client still gets every byte, and so does a new one.
fn end_well(b: &mut Bench, mut c: Client) {
    b.converse(&mut c, || None, 100_000);
    b.alive();
}

#[test]
fn every_truncation_of_every_kind_of_frame() {
    let (mut b, c) = with_client("truncations", bytes(100, 11));
    for (kind, frame) in kinds(&b, &c) {
        println!("{kind}");
        let line = on_the_line(&Frame::new(frame.clone()));
        let mut g = Group::begin(&mut b);
        for n in 0..line.len() {
            g.send(&mut b, Frame::cut(&line[..n]));
        }
        // Cut before it was padded and its FCS made: only lengths and checksums tell.
        for n in 0..=frame.len() {
            g.send(&mut b, Frame::new(&frame[..n]));
        }
        g.end(&mut b);
    }
    end_well(&mut b, c);
}

#[test]
fn every_bit_of_every_kind_of_frame() {
    let (mut b, c) = with_client("flips", bytes(100, 11));
    for (kind, frame) in kinds(&b, &c) {
        println!("{kind}");
        let sound = Frame::new(frame.clone());
        let fcs = sound.right_fcs();
        let mut g = Group::begin(&mut b);
        for bit in 0..32 {
            let tail = Tail::Fcs(fcs ^ 1 << bit);
            let frame = Frame {
                tail,
                ..sound.clone()
            };
            g.send(&mut b, frame);
        }
        for bit in 0..frame.len() * 8 {
            let mut bytes = frame.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let spoilt = Frame {
                tail: Tail::Fcs(fcs),
                ..Frame::new(bytes.clone())
            };
            g.send(&mut b, spoilt);
            g.send(&mut b, Frame::new(bytes));
        }
        g.end(&mut b);
    }
    end_well(&mut b, c);
}

#[test]
fn every_bit_with_the_checksums_made_right() {
    let mut b = bench("mended-flips");
    let mut victim = b.client(vec![]);
    open(&mut b, &mut victim);
    for (kind, frame) in kinds(&b, &victim) {
        println!("{kind}");
        let mut g = Group::begin(&mut b);
        for bit in 0..frame.len() * 8 {
            let mut bytes = frame.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            mend(&mut bytes);
            g.send(&mut b, Frame::new(bytes));
        }
        g.end(&mut b);
        b.alive();
    }
}

#[test]
fn options_of_every_kind_and_length() {
    let (mut b, c) = with_client("options", bytes(100, 11));
    let mut g = Group::begin(&mut b);
    let mut send = |b: &mut Bench, options: Vec<u8>| {
        let mut ack = c.segment(ACK);
        ack.options = options;
        let frame = ack.frame(&b.config);
        g.send(b, Frame::new(frame));
    };
    for kind in 0..=255u8 {
        for length in [0, 1, 2, 3, 4, 10, 39, 40, 41, 255] {
            let mut options = vec![1; 40];
            options[..2].copy_from_slice(&[kind, length]);
            send(&mut b, options);
        }
    }
    for kind in [2, 3, 4, 5, 8, 254] {
        for length in 0..=42 {
            // Behind a NOP, in the shortest header it fits in and in one too short by a word.
            for words in [
                usize::from(length).div_ceil(4).max(1),
                usize::from(length) / 4 + 1,
            ] {
                let mut options = vec![1; 4 * words.min(10)];
                options[1..3].copy_from_slice(&[kind, length]);
                send(&mut b, options);
            }
        }
        // The kind alone in the header's last byte.
        for words in 1..=10 {
            let mut options = vec![1; 4 * words];
            options[4 * words - 1] = kind;
            send(&mut b, options);
        }
    }
    g.end(&mut b);
    end_well(&mut b, c);
}

#[test]
fn runts_giants_and_aborted_frames() {
    let (mut b, c) = with_client("lengths", bytes(100, 11));
    let whole = |length: usize, tag: bool| {
        let mut f = ethernet([2, 0x54, 0x4F, 0x45, 0, 1], 0x0800, &vec![0x45; length]);
        if tag {
            f[12..14].copy_from_slice(&[0x81, 0]);
        }
        f.truncate(length - 4);
        let fcs = Frame {
            tail: Tail::Cut,
            ..Frame::new(f.clone())
        };
        // The FCS of exactly these bytes: a runt is not padded.
        let mut crc = 0xFFFF_FFFFu32;
        for byte in fcs.iter() {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = crc >> 1 ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
            }
        }
        f.extend((!crc).to_le_bytes());
        Frame::cut(f)
    };
    let mut g = Group::begin(&mut b);
    for length in (19..70)
        .chain(1514..1530)
        .chain([1600, 2047, 2048, 2049, 4000])
    {
        g.send(&mut b, whole(length, false));
        g.send(&mut b, whole(length, true));
    }
    for (_, frame) in kinds(&b, &c) {
        let line = on_the_line(&Frame::new(frame.clone())).len();
        for at in 0..line {
            let mut frame = Frame::new(frame.clone());
            frame.error_at = Some(at);
            g.send(&mut b, frame);
        }
    }
    g.end(&mut b);
    end_well(&mut b, c);
}

/// What arrived first stays, whatever comes for the same numbers later.
#[test]
fn contradicting_retransmissions_change_nothing_that_was_held() {
    let data = bytes(600, 21);
    let lie: Vec<u8> = data.iter().map(|b| !b).collect();
    // (from, to, is it true), in order of arrival; the lies all lie on what is held already.
    let rounds: [&[(usize, usize, bool)]; 4] = [
        &[(200, 400, true), (200, 400, false), (250, 300, false)],
        &[(200, 400, true), (100, 200, true), (150, 350, false)],
        &[(0, 200, true), (0, 200, false), (100, 200, false)],
        &[
            (300, 600, true),
            (500, 600, false),
            (0, 300, true),
            (0, 600, false),
        ],
    ];
    let mut b = bench("contradictions");
    for round in rounds {
        let mut c = b.client(data.clone());
        open(&mut b, &mut c);
        let first = c.snd_una();
        for &(from, to, is_true) in round {
            let mut t = c.segment(ACK | PSH);
            t.seq = first.wrapping_add(from as u32);
            t.data = if is_true { &data } else { &lie }[from..to].to_vec();
            let frame = t.frame(&b.config);
            b.send(frame);
            b.run(2_000);
            for t in std::mem::take(&mut b.segments) {
                if let Err(e) = c.take(&t) {
                    b.fail(&e);
                }
            }
        }
        // The rest, byte by byte checked by the client.
        b.converse(&mut c, || None, 200_000);
    }
    b.alive();
}

/// A transfer of 12,000 bytes beside a flood that leaves no cycle of the line free.
fn beside(name: &str, mut flood: impl FnMut(&Client, u32) -> Tcp) {
    let (mut b, mut c) = with_client(name, bytes(12_000, 31));
    let config = b.config.clone();
    let (mut n, still) = (0u32, c.clone());
    let start = b.board.cycles();
    b.converse(
        &mut c,
        || {
            n += 1;
            Some(Frame::new(flood(&still, n).frame(&config)))
        },
        4_000_000,
    );
    println!("{name}: {n} frames, {} cycles", b.board.cycles() - start);
    assert!(n > 100, "no flood");
    b.account();
    b.alive();
}

#[test]
fn a_transfer_beside_a_flood_of_syns() {
    beside("syn-flood", |_, n| Tcp {
        ports: (1024 + (n % 30_000) as u16, 7),
        seq: n.wrapping_mul(0x9E37_79B9),
        flags: SYN,
        wnd: 1000,
        ..Tcp::default()
    });
}

#[test]
fn a_transfer_beside_a_flood_of_resets() {
    beside("rst-flood", |c, n| {
        let mut t = c.segment(RST);
        // Never the exact number: 32 KiB to 2 GiB off.
        t.seq = t
            .seq
            .wrapping_add(0x8000 + n.wrapping_mul(0x9E37_79B9) % 0x7000_0000);
        t
    });
}

#[test]
fn a_transfer_beside_a_flood_of_old_duplicates() {
    let data = bytes(12_000, 31);
    beside("duplicate-flood", move |c, n| {
        let mut t = c.segment(ACK | PSH);
        t.data = data[..1 + n as usize % 40].to_vec();
        t
    });
}

#[test]
fn a_transfer_beside_a_flood_out_of_the_window() {
    beside("window-flood", |c, n| {
        let mut t = c.segment(ACK | PSH);
        t.seq = t.seq.wrapping_add(40_000 + n * 97);
        t.data = vec![0xEE; 1 + n as usize % 40];
        t
    });
}

#[test]
fn a_transfer_beside_a_flood_of_strangers() {
    beside("stranger-flood", |c, n| {
        let mut t = c.segment(ACK);
        t.ports.0 = 1024 + (n % 30_000) as u16;
        t
    });
}

/// Half-open connections nobody will finish hold no place that another asks for.
#[test]
fn a_new_connection_opens_behind_a_thousand_unfinished_ones() {
    let mut b = bench("half-open");
    for n in 0..1_000u16 {
        let syn = Tcp {
            ports: (2_000 + n, 7),
            seq: u32::from(n) << 16,
            flags: SYN,
            wnd: 1_000,
            ..Tcp::default()
        };
        let frame = syn.frame(&b.config);
        b.send(frame);
    }
    let took = b.alive();
    println!("{took} of {ALIVE_CYCLES} cycles");
}

/// Runs clients side by side until the last is done; gives the cycles.
fn together(b: &mut Bench, clients: &mut [Client], cycles: u64) -> u64 {
    let start = b.board.cycles();
    let last = clients.len() - 1;
    let mut turn = 0;
    while !clients[last].is_done() {
        if b.is_idle() {
            let now = b.board.cycles();
            for _ in 0..clients.len() {
                turn = (turn + 1) % clients.len();
                if let Some(frame) = clients[turn].poll(now) {
                    b.send(frame);
                    break;
                }
            }
        }
        b.cycle();
        for t in std::mem::take(&mut b.segments) {
            for c in clients.iter_mut() {
                if let Err(e) = c.take(&t) {
                    b.fail(&e);
                }
            }
        }
        if b.board.cycles() > start + cycles {
            b.fail(&format!("not done in {cycles} cycles: {clients:?}"));
        }
    }
    b.board.cycles() - start
}

#[test]
fn four_bad_peers_at_once_cost_a_fifth_at_most_half_its_rate() {
    let config = ToeConfig {
        connections: 8,
        ..ToeConfig::default()
    };
    let mut b = Bench::new("bad-peers", &config, Backend::Verilog);
    let data = bytes(100_000, 41);
    let mut alone = [b.client(data.clone())];
    let alone = together(&mut b, &mut alone, 2_000_000);
    // One opens, sends much and never reads: its window is shut, but it acknowledges nothing more either.
    let mut deaf = b.client(vec![]);
    open(&mut b, &mut deaf);
    let mut t = deaf.segment(ACK | PSH);
    t.wnd = 0;
    t.data = vec![1; 1_000];
    let frame = t.frame(&config);
    b.send(frame);
    // One asks for characters without end and never acknowledges them.
    let mut greedy = Client::new(&config, 49_000, 19, vec![]);
    open(&mut b, &mut greedy);
    // One opens and vanishes, one is half open.
    let mut gone = b.client(vec![]);
    open(&mut b, &mut gone);
    let half_open = b.client(vec![]).segment(SYN).frame(&config);
    b.send(half_open);
    b.run(2_000);
    b.segments.clear();
    // One sends byte by byte.
    let slow = b.client(bytes(10_000, 42)).in_chunks(1);
    let fifth = b.client(data);
    let beside = together(&mut b, &mut [slow, fifth], 4_000_000);
    println!("{alone} cycles alone, {beside} beside four bad peers");
    assert!(beside <= 2 * alone, "{alone} alone, {beside} beside");
    b.alive();
}
