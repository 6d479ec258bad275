//! The TCP program, on the instruction-level model, talks to smoltcp in simulated time.
use toe_hdl::config::{Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_hdl::tcp::model::blocks::chargen;
use toe_hdl::tcp::program::program;
use toe_sim::fault::Faults;
use toe_sim::link::Duration;
use toe_sim::peer::{Conversation, EchoServer, TcpOptions};
use toe_testbench::model_world::{config, Host, ModelWorld, PEER};

/// Bytes in which no shift goes unnoticed.
fn data(seed: u32, count: usize) -> Vec<u8> {
    let mut x = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    (0..count)
        .map(|_| {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 24) as u8
        })
        .collect()
}

fn world(config: &ToeConfig, seed: u64, faults: Faults) -> ModelWorld {
    ModelWorld::new(config, &program(config), seed, faults)
}

fn sound() -> ModelWorld {
    world(&config(), 1, Faults::none())
}

const MINUTE: Duration = Duration::from_secs(60);

/// A fresh connection works and is gone afterwards: the engine is not wedged.
fn lives(w: &mut ModelWorld, seed: u32) {
    w.heal();
    let ip = w.ip();
    w.peer()
        .add(Conversation::echo_client(ip, 7, data(seed, 3000)));
    w.run(MINUTE).unwrap_or_else(|e| panic!("{e}"));
    w.come_to_rest(MINUTE).unwrap_or_else(|e| panic!("{e}"));
}

fn run(w: &mut ModelWorld) {
    w.run(MINUTE * 10).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn sixty_four_kibibytes_are_echoed() {
    let mut w = sound();
    let ip = w.ip();
    w.peer()
        .add(Conversation::echo_client(ip, 7, data(1, 65536)));
    run(&mut w);
    let toe = &w.model.toe;
    assert_eq!(toe.counter(Cause::Opened), 1);
    assert_eq!(toe.counter(Cause::Retransmit), 0, "{}", w.counters());
    assert_eq!(toe.counter(Cause::Unacceptable), 0, "{}", w.counters());
    println!(
        "{} events, the dearest {} cycles; {}",
        toe.events,
        toe.dearest.cycles,
        w.counters()
    );
    w.come_to_rest(MINUTE).unwrap();
    assert_eq!(w.model.toe.counter(Cause::Closed), 1);
}

#[test]
fn every_length_around_the_mss_and_nothing_at_all() {
    for length in [
        0, 1, 2, 535, 536, 1459, 1460, 1461, 2919, 2920, 2921, 8191, 8192, 8193,
    ] {
        let mut w = sound();
        let ip = w.ip();
        w.peer()
            .add(Conversation::echo_client(ip, 7, data(2, length)));
        w.run(MINUTE)
            .unwrap_or_else(|e| panic!("{length} bytes: {e}"));
        w.come_to_rest(MINUTE)
            .unwrap_or_else(|e| panic!("{length} bytes: {e}"));
    }
}

#[test]
fn four_connections_at_once_and_a_fifth_waits() {
    let mut w = sound();
    let ip = w.ip();
    for n in 0..5 {
        w.peer()
            .add(Conversation::echo_client(ip, 7, data(n, 20_000)));
    }
    run(&mut w);
    assert_eq!(w.model.toe.counter(Cause::Opened), 5);
    assert!(w.model.toe.counter(Cause::NoSlot) > 0, "{}", w.counters());
    w.come_to_rest(MINUTE).unwrap();
}

#[test]
fn a_hundred_connections_one_after_another() {
    let mut w = sound();
    let ip = w.ip();
    for n in 0..100 {
        // With delayed ACKs smoltcp would let our FIN wait, and the slot with it.
        let prompt = TcpOptions {
            ack_delay: None,
            ..TcpOptions::default()
        };
        w.peer()
            .add(Conversation::echo_client(ip, 7, data(n, 100)).with_options(prompt));
        run(&mut w);
    }
    assert_eq!(w.model.toe.counter(Cause::Opened), 100);
    assert_eq!(w.model.toe.counter(Cause::NoSlot), 0, "{}", w.counters());
    w.come_to_rest(MINUTE).unwrap();
}

#[test]
fn discard_swallows_and_chargen_pours() {
    let mut w = sound();
    let ip = w.ip();
    w.peer()
        .add(Conversation::source_client(ip, 9, data(3, 50_000)));
    let pour = w
        .peer()
        .add(Conversation::sink_client(ip, 19, 30_000).keeping());
    run(&mut w);
    let came = w.peer().app(pour).received_bytes();
    assert!(came.len() >= 30_000);
    assert!((0..).map(chargen).zip(came).all(|(a, b)| a == *b));
    w.come_to_rest(MINUTE).unwrap();
}

/// We close first, so TIME-WAIT is ours: with four slots the oldest must make way, and no SYN is refused.
#[test]
fn time_wait_makes_way() {
    let mut w = sound();
    let ip = w.ip();
    for n in 0..20 {
        w.model.host = Host {
            send: data(n, 100),
            close_first: true,
            ..Host::default()
        };
        let sink = Conversation::sink_client(ip, 100, 0)
            .closing_last()
            .with_local_port(50_000 + n as u16)
            .keeping();
        let sink = w.peer().add(sink);
        run(&mut w);
        assert_eq!(w.peer().app(sink).received_bytes(), data(n, 100));
    }
    assert_eq!(w.model.toe.counter(Cause::Opened), 20);
    assert_eq!(w.model.toe.counter(Cause::NoSlot), 0, "{}", w.counters());
    assert!(w.model.toe.counter(Cause::Recycled) > 0, "{}", w.counters());
    w.come_to_rest(MINUTE).unwrap();
}

/// Active open from our side; the host sends and closes first.
#[test]
fn we_connect_and_close_first() {
    let mut w = sound();
    let sent = data(4, 30_000);
    w.peer().add(Conversation::sink_server(5001, sent.clone()));
    w.model.host = Host {
        send: sent,
        close_first: true,
        ..Host::default()
    };
    w.model
        .toe
        .connect(4001, (PEER.octets(), 5001), Owner::Host);
    run(&mut w);
    w.come_to_rest(MINUTE).unwrap();
    assert_eq!(w.model.toe.counter(Cause::Closed), 1);
    lives(&mut w, 5);
}

/// Active open from our side; the peer sends and closes first.
#[test]
fn we_connect_and_the_peer_closes_first() {
    let mut w = sound();
    let sent = data(6, 30_000);
    w.peer()
        .add(Conversation::source_server(5001, sent.clone()));
    w.model
        .toe
        .connect(4001, (PEER.octets(), 5001), Owner::Host);
    run(&mut w);
    assert_eq!(w.model.host.received, sent);
    w.come_to_rest(MINUTE).unwrap();
    lives(&mut w, 7);
}

/// Our SYN finds nobody: smoltcp answers with a RST.
#[test]
fn a_refused_connect_leaves_nothing_behind() {
    let mut w = sound();
    w.model
        .toe
        .connect(4001, (PEER.octets(), 5999), Owner::Host);
    let refused = |m: &toe_testbench::model_world::ModelLink| m.toe.counter(Cause::ResetIn) == 1;
    // The peer needs an app that is not done.
    w.peer().add(EchoServer::new(5000, 1));
    let ip = w.ip();
    w.peer()
        .add(Conversation::echo_client(ip, 7, data(8, 100_000)));
    w.run_until(MINUTE, refused).unwrap();
    run(&mut w);
    assert!(refused(&w.model), "{}", w.counters());
    w.come_to_rest(MINUTE).unwrap();
}

#[test]
fn an_abort_reaches_the_peer_as_a_reset() {
    let mut w = sound();
    w.peer()
        .add(Conversation::sink_server(5001, data(9, 40_000)));
    w.model.host = Host {
        send: data(9, 3000),
        close_first: true,
        abort: true,
        ..Host::default()
    };
    w.model
        .toe
        .connect(4001, (PEER.octets(), 5001), Owner::Host);
    let error = w.run(MINUTE).unwrap_err();
    assert!(error.contains("reset"), "{error}");
    assert_eq!(w.model.toe.counter(Cause::ResetOut), 1);
    w.come_to_rest(MINUTE).unwrap();
}

#[test]
fn one_in_a_hundred_lost_each_way() {
    let (mut lost, mut again) = (0, 0);
    for seed in 0..20 {
        let mut w = world(&config(), seed, Faults::loss(0.01));
        let ip = w.ip();
        for n in 0..2 {
            w.peer()
                .add(Conversation::echo_client(ip, 7, data(n, 65536)));
        }
        w.run(MINUTE * 10)
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        w.come_to_rest(MINUTE * 5)
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        lost += w.line.to_board().lost + w.line.from_board().lost;
        again += w.model.toe.counter(Cause::Retransmit);
        lives(&mut w, seed as u32);
    }
    println!("{lost} packets lost, {again} segments of ours sent again");
    assert!(lost > 20 && again > 0, "{lost} lost, {again} again");
}

#[test]
fn everything_at_once_that_a_network_can_do() {
    for seed in 0..20 {
        let faults = Faults {
            loss: 0.05,
            duplicate: 0.05,
            reorder: 0.1,
            corrupt_packet: 0.03,
            jitter: Duration::from_micros(300),
            ..Faults::none()
        };
        let mut w = world(&config(), seed, faults);
        let ip = w.ip();
        w.peer()
            .add(Conversation::echo_client(ip, 7, data(1, 30_000)));
        w.peer()
            .add(Conversation::source_client(ip, 9, data(2, 30_000)));
        w.peer().add(Conversation::sink_client(ip, 19, 20_000));
        w.run(MINUTE * 30)
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        w.come_to_rest(MINUTE * 10)
            .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        lives(&mut w, seed as u32);
    }
}
