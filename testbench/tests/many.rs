//! Many connections at once: each echoes its own bytes, none is mixed with another, one more than there is room for is refused, and every slot comes back.
//! And sixteen greedy ones share the line fairly.
use std::ops::Range;

use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_hdl::tcp::table::rows;
use toe_host::board::Backend;
use toe_sim::pattern::bytes;
use toe_testbench::liveness::{Bench, Client};
use toe_testbench::wire::*;

/// So many bytes each sends, and how many a segment: an acknowledgement comes before the echo, so with one segment the client would close before it is seen to be open.
const BYTES: usize = 600;
const CHUNK: usize = 100;
/// So many clients wait for an answer at a time, so that nobody's retry is needed.
const AT_A_TIME: usize = 12;

fn config(connections: usize, rx_ring_bytes: usize, tx_ring_bytes: usize) -> ToeConfig {
    ToeConfig {
        connections,
        rx_ring_bytes,
        tx_ring_bytes,
        ..ToeConfig::default()
    }
}

/// A fresh board whose tables are cleared.
fn bench(name: &str, config: &ToeConfig) -> Bench {
    let mut bench = Bench::new(name, config, Backend::Verilog);
    bench.run(8 * rows(config) as u64 + 1000);
    bench
}

/// Client `n`, with bytes of its own.
fn client(config: &ToeConfig, n: usize) -> Client {
    Client::new(config, 2000 + n as u16, 7, bytes(BYTES, n as u32)).in_chunks(CHUNK)
}

/// Lets these of the clients talk, a few at a time and in order, until `enough` of each; all of them listen.
fn drive(
    bench: &mut Bench,
    clients: &mut [Client],
    who: Range<usize>,
    enough: fn(&Client) -> bool,
) {
    let end = bench.board.cycles() + 10_000 * clients.len() as u64 + 100_000;
    let first = clients[0].ports.0;
    let (mut from, mut turn) = (who.start, 0);
    while from < who.end {
        if bench.is_idle() {
            let active = AT_A_TIME.min(who.end - from);
            for _ in 0..active {
                turn = (turn + 1) % active;
                let client = &mut clients[from + turn];
                let frame = (!enough(client)).then(|| client.poll(bench.board.cycles()));
                if let Some(frame) = frame.flatten() {
                    bench.send(frame);
                    break;
                }
            }
        }
        bench.cycle();
        for segment in std::mem::take(&mut bench.segments) {
            let n = usize::from(segment.ports.1.wrapping_sub(first));
            let Some(client) = clients.get_mut(n) else {
                bench.fail(&format!("for nobody: {segment:?}"));
            };
            if let Err(error) = client.take(&segment) {
                bench.fail(&error);
            }
        }
        while from < who.end && enough(&clients[from]) {
            from += 1;
        }
        if bench.board.cycles() > end {
            bench.fail(&format!("{from} of {who:?} came so far"));
        }
    }
}

fn everyone_at_once(name: &str, config: &ToeConfig) {
    let n = config.connections;
    let mut bench = bench(name, config);
    for round in 0..2 {
        // One more than there is room for.
        let ports = round * (n + 1)..(round + 1) * (n + 1);
        let mut clients: Vec<_> = ports.map(|i| client(config, i)).collect();
        // All but that one open, and have a part of their bytes back, but none closes.
        drive(&mut bench, &mut clients, 0..n, |c| {
            c.received.len() >= CHUNK
        });
        bench.run(10_000);
        let opened = bench.board.counter(Cause::Opened);
        let closed = bench.board.counter(Cause::Closed);
        assert_eq!((opened - closed) as usize, n, "all are open");
        // The last one: no slot, and no answer.
        let before = bench.board.counter(Cause::NoSlot);
        let mut syn = clients[n].segment(SYN);
        syn.options = vec![2, 4, 5, 0xB4];
        bench.send(syn.frame(config));
        bench.run(10_000);
        assert_eq!(
            bench.board.counter(Cause::NoSlot),
            before + 1,
            "not refused"
        );
        for t in &bench.segments {
            assert_ne!(t.ports.1, clients[n].ports.0, "answered: {t:?}");
        }
        // When one has closed it is let in.
        let leaves = n / 2;
        drive(
            &mut bench,
            &mut clients,
            leaves..leaves + 1,
            Client::is_done,
        );
        drive(&mut bench, &mut clients, n..n + 1, Client::is_done);
        drive(&mut bench, &mut clients, 0..n, Client::is_done);
        for (i, client) in clients.iter().enumerate() {
            let own = bytes(BYTES, (round * (n + 1) + i) as u32);
            assert_eq!(client.received, own, "client {i}");
        }
        // A last ACK may have found no room: the FIN comes again then, after an RTO.
        for _ in 0..2_000 * n.div_ceil(64) {
            if bench.board.counter(Cause::Opened) == bench.board.counter(Cause::Closed) {
                break;
            }
            bench.run(1_000);
            drive(&mut bench, &mut clients, 0..n + 1, Client::is_done);
        }
        let counters = bench.account();
        assert_eq!(counters[&Cause::Opened] as usize, (round + 1) * (n + 1));
        assert_eq!(counters[&Cause::Opened], counters[&Cause::Closed]);
    }
    bench.alive();
    println!("{name}: {} cycles", bench.board.cycles());
}

#[test]
fn sixteen_at_once_and_again() {
    everyone_at_once("many_16", &config(16, 256, 2048));
}

#[test]
#[ignore = "64 connections take a minute; 16 run in their place"]
fn sixty_four_at_once_and_again() {
    everyone_at_once("many_64", &config(64, 256, 256));
}

#[test]
#[ignore = "1,024 connections take some minutes, compiling them included; 16 run in their place"]
fn a_thousand_and_twenty_four_at_once_and_again() {
    everyone_at_once("many_1024", &config(1024, 256, 256));
}

/// Takes whatever comes, and acknowledges it.
struct Sink {
    port: u16,
    rcv_nxt: Option<u32>,
    /// When it last said something: a SYN may find the record queue full.
    said: u64,
    got: u64,
    due: bool,
}

#[test]
fn sixteen_greedy_ones_share_fairly() {
    let config = config(16, 256, 2048);
    let mut bench = bench("many_fair", &config);
    let mut sinks: Vec<_> = (0..16)
        .map(|i| Sink {
            port: 3000 + i,
            rcv_nxt: None,
            said: 0,
            got: 0,
            due: true,
        })
        .collect();
    let (mut turn, mut checked) = (0, 0);
    let (mut least, mut most) = (1.0f64, 1.0f64);
    while checked < 300 {
        if bench.is_idle() {
            let now = bench.board.cycles();
            let due = |s: &Sink| s.due || now > s.said + Client::RETRY;
            if let Some(i) = (0..16).map(|i| (turn + i) % 16).find(|i| due(&sinks[*i])) {
                turn = i + 1;
                let sink = &mut sinks[i];
                sink.due = false;
                sink.said = now;
                let iss = 7000 + u32::from(sink.port);
                let segment = Tcp {
                    ports: (sink.port, 19),
                    seq: iss + u32::from(sink.rcv_nxt.is_some()),
                    ack: sink.rcv_nxt.unwrap_or(0),
                    flags: if sink.rcv_nxt.is_some() { ACK } else { SYN },
                    wnd: 8192,
                    options: match sink.rcv_nxt {
                        None => vec![2, 4, 5, 0xB4],
                        Some(_) => vec![],
                    },
                    data: vec![],
                };
                bench.send(segment.frame(&config));
            }
        }
        bench.cycle();
        for t in std::mem::take(&mut bench.segments) {
            let sink = &mut sinks[usize::from(t.ports.1 - 3000)];
            assert_eq!(t.flags & (RST | FIN), 0, "{t:?}");
            sink.due = true;
            if t.flags & SYN != 0 {
                sink.rcv_nxt = Some(t.seq.wrapping_add(1));
            } else if Some(t.seq) == sink.rcv_nxt {
                sink.rcv_nxt = Some(t.seq.wrapping_add(t.data.len() as u32));
                sink.got += t.data.len() as u64;
            }
            // A segment more or less must not count: from 16 for each.
            let mean = sinks.iter().map(|s| s.got).sum::<u64>() as f64 / 16.0;
            if mean < 16_384.0 {
                continue;
            }
            checked += 1;
            for sink in &sinks {
                let share = sink.got as f64 / mean;
                (least, most) = (least.min(share), most.max(share));
                if !(0.5..=2.0).contains(&share) {
                    let got: Vec<_> = sinks.iter().map(|s| s.got).collect();
                    bench.fail(&format!(
                        "port {} has {share} of its share: {got:?}",
                        sink.port
                    ));
                }
            }
        }
        if bench.board.cycles() > 5_000_000 {
            bench.fail("they are stuck");
        }
    }
    println!("shares from {least:.3} to {most:.3} of the mean");
}
