//! ECN (RFC 3168) end to end, on the instruction-level model: two engines, and between them a line that marks in place of dropping.
use std::collections::VecDeque;

use rand::{Rng, SeedableRng};
use toe_hdl::config::{Listener, Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_hdl::tcp::model::toe::ModelToe;
use toe_hdl::tcp::program::program;
use toe_sim::pattern;

const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];
/// Ticks that a packet takes.
const DELAY: u64 = 10;

/// What the line does to ECN-capable packets, at a rate.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Line {
    Marks,
    Drops,
}

/// Of the segments of an engine.
#[derive(Default, Debug)]
struct Sent {
    capable: u64,
    marked: u64,
    dropped: u64,
    ece: u64,
    cwr: u64,
    /// With text.
    text: u64,
}

/// The first engine connects to the second, with ECN or without, and sends `size` bytes, which are read as they come and must be the same.
///
/// # Panics
/// If they are not, or it takes more than a simulated minute.
fn transfer(
    ecn: bool,
    line: Line,
    rate: f64,
    size: usize,
    seed: u64,
) -> ([ModelToe; 2], [Sent; 2], u64) {
    let configs = [1, 2].map(|host| ToeConfig {
        ip: [192, 168, 69, host],
        rx_ring_bytes: 32768,
        tx_ring_bytes: 32768,
        listeners: vec![Listener::new(100, Owner::Host)],
        ..ToeConfig::default()
    });
    let mut toes = configs.each_ref().map(|c| ModelToe::new(c, &program(c)));
    for (n, toe) in toes.iter_mut().enumerate() {
        let other = u32::from_be_bytes(configs[1 - n].ip);
        toe.blocks.neighbours.insert(other, MACS[1 - n]);
    }
    let peer = (configs[1].ip, 100);
    if ecn {
        toes[0].connect_with_ecn(5_000, peer, Owner::Host);
    } else {
        toes[0].connect(5_000, peer, Owner::Host);
    }
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let data = pattern::bytes(size, seed as u32);
    let (mut written, mut read) = (0, Vec::new());
    let mut sent = [Sent::default(), Sent::default()];
    let mut under_way: VecDeque<(u64, usize, Vec<u8>)> = VecDeque::new();
    for now in 0..60_000 {
        while under_way.front().is_some_and(|packet| packet.0 <= now) {
            let (_, from, bytes) = under_way.pop_front().expect("the first");
            toes[1 - from].packet_in(&bytes, MACS[from]);
            settle(&mut toes[1 - from]);
        }
        if toes[0].blocks.attached[0].owner.is_some() {
            written += toes[0].host_write(0, &data[written..]);
        }
        read.extend(toes[1].host_read(0, usize::MAX));
        for (from, toe) in toes.iter_mut().enumerate() {
            toe.tick();
            settle(toe);
            while let Some(packet) = toe.packet_out() {
                let mut bytes = packet.bytes;
                let seen = &mut sent[from];
                let syn = bytes[33] & 2 != 0;
                seen.ece += u64::from(!syn && bytes[33] & 0x40 != 0);
                seen.cwr += u64::from(!syn && bytes[33] & 0x80 != 0);
                let header = 20 + usize::from(bytes[32] >> 4) * 4;
                let text = bytes.len() > header;
                seen.text += u64::from(text);
                let capable = bytes[1] == 2;
                assert!(capable || bytes[1] == 0, "{:#x}", bytes[1]);
                assert!(text || !capable, "ECT without text");
                seen.capable += u64::from(capable);
                // Without ECN the line has only one way to tell.
                if (capable || line == Line::Drops && text) && rng.random_bool(rate) {
                    if line == Line::Drops {
                        seen.dropped += 1;
                        continue;
                    }
                    seen.marked += 1;
                    bytes[1] = 3;
                    let sum = u32::from(!u16::from_be_bytes([bytes[10], bytes[11]])) + 1;
                    let sum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
                    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
                }
                under_way.push_back((now + DELAY, from, bytes));
            }
        }
        if read.len() >= size {
            assert!(read == data);
            return (toes, sent, now);
        }
    }
    panic!("{} of {size} bytes after a minute: {sent:?}", read.len());
}

fn settle(toe: &mut ModelToe) {
    assert_eq!(toe.settle(100_000), Ok(true));
    assert_eq!(toe.blocks.complaints, Vec::<String>::new());
}

#[test]
fn a_line_that_marks_costs_no_retransmission() {
    for seed in 1..=5 {
        let (toes, sent, took) = transfer(true, Line::Marks, 0.02, 1 << 20, seed);
        let [sender, receiver] = &sent;
        println!("seed {seed}: {took} ms, {sender:?}, {receiver:?}");
        assert!(sender.marked > 5, "{sender:?}");
        for toe in &toes {
            assert_eq!(toe.counter(Cause::Retransmit), 0);
            assert_eq!(toe.counter(Cause::RtoExpired), 0);
        }
        assert_eq!(
            (sender.capable, sender.text),
            (sender.text, sender.capable),
            "all text is new, and so has ECT"
        );
        let [unseen, seen] = toes
            .each_ref()
            .map(|toe| toe.counter(Cause::CongestionExperienced));
        assert_eq!((unseen, seen), (0, sender.marked));
        // One CWR for each time that cwnd became smaller, and no more than marks; ACKs of the time between have ECE.
        assert!((1..=sender.marked).contains(&sender.cwr), "{sender:?}");
        assert!(receiver.ece > sender.cwr, "{receiver:?}");
        assert_eq!((sender.ece, receiver.cwr), (0, 0));
    }
}

#[test]
fn the_same_line_that_drops_has_all_of_it_sent_again() {
    let of = |ecn, line| -> (u64, u64) {
        let runs = (1..=5).map(|seed| {
            let (toes, sent, took) = transfer(ecn, line, 0.02, 1 << 20, seed);
            let again = toes[0].counter(Cause::Retransmit);
            assert_eq!(again > 0, sent[0].dropped > 0);
            assert!(ecn || sent[0].capable + sent[1].capable == 0);
            (took, again)
        });
        runs.fold((0, 0), |sum, run| (sum.0 + run.0, sum.1 + run.1))
    };
    let marked = of(true, Line::Marks);
    let dropped = of(false, Line::Drops);
    println!("marked {marked:?}, dropped {dropped:?}");
    assert_eq!(marked.1, 0);
    assert!(dropped.1 > 0);
}

/// With ECN and losses besides: what goes again has no ECT, so that text and ECT differ by as many.
#[test]
fn what_is_lost_in_a_connection_with_ecn_goes_again_without_ect() {
    for seed in 1..=5 {
        let (toes, sent, _) = transfer(true, Line::Drops, 0.02, 1 << 19, seed);
        let again = toes[0].counter(Cause::Retransmit);
        assert!(again > 0);
        assert_eq!(sent[0].text - sent[0].capable, again, "{sent:?}");
        assert!(sent[0].cwr > 0, "a loss is told of, too");
    }
}
