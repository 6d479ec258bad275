//! Hours of connections that come and go on the model, seconds of them on the Verilog: nothing leaks, everything is accounted for, and who comes gets in.
use std::time::Instant;

use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_hdl::tcp::program::program;
use toe_host::board::Backend;
use toe_sim::fault::Faults;
use toe_sim::link::Duration;
use toe_testbench::crowd::{End, Mix, Service};
use toe_testbench::model_world;
use toe_testbench::soak::{self, Outcome};

fn seed() -> u64 {
    let seed = std::env::var("TOE_SEED").map_or(Ok(1), |s| s.parse());
    let seed = seed.expect("TOE_SEED is a number");
    println!("TOE_SEED={seed}");
    seed
}

fn mix() -> Mix {
    Mix {
        most: 7,
        gap: Duration::from_secs(6),
        bytes: 40_000,
        waits: Duration::from_secs(90),
        idle: Duration::from_secs(300),
        deaf: Duration::from_secs(120),
        host: true,
        vanish: true,
    }
}

/// The line that all go over: one in a hundred lost each way.
fn line() -> Faults {
    Faults::loss(0.01)
}

fn report(o: &Outcome) {
    println!(
        "{:?}\n{}\n{} packets lost, {} ticks of which {} were run; newcomers had every slot after {:?}\n{}",
        o.tally,
        o.told,
        o.lost,
        o.ticks.0,
        o.ticks.1,
        o.opened_after.iter().map(|d| d.total_millis()).collect::<Vec<_>>(),
        toe_testbench::liveness::shown(&o.counters)
    );
}

/// The crowd must have done all it can do, else the test tests little.
fn all_happened(o: &Outcome, causes: &[Cause]) {
    for who in ["peer", "engine"] {
        for service in [
            Service::Echo,
            Service::Discard,
            Service::Chargen,
            Service::Host,
        ] {
            for end in [End::First, End::Abort, End::Forget, End::Vanish] {
                let begun = o.tally.begun.contains_key(&(who, service, end));
                assert!(begun, "none opened by the {who} for {service:?} to {end:?}");
            }
        }
        assert!(o
            .tally
            .begun
            .contains_key(&(who, Service::Echo, End::Echoed)));
        assert!(o.tally.begun.contains_key(&(who, Service::Host, End::Last)));
    }
    for cause in causes {
        assert!(o.counters[cause] > 0, "{} never moved", cause.name());
    }
    assert_eq!(o.entered.len(), 10, "{:?}", o.entered);
    let t = &o.tally;
    for (what, count) in [
        ("turned away", t.turned_away),
        ("closed", t.closed),
        ("reset", t.reset),
        ("aborted", t.aborted),
        ("forgot", t.forgot),
        ("vanished", t.vanished),
        ("shut windows", t.deaf),
        ("silences", t.silent),
        ("bytes", t.received),
        ("bytes to the host", o.host_received),
    ] {
        assert!(count > 0, "none: {what}");
    }
}

/// What a day of it must move.
const CAUSES: [Cause; 18] = [
    Cause::Opened,
    Cause::Closed,
    Cause::ResetIn,
    Cause::ResetOut,
    Cause::NoSlot,
    Cause::Unacceptable,
    Cause::DuplicateAck,
    Cause::Retransmit,
    Cause::RtoExpired,
    Cause::GaveUp,
    Cause::ZeroWindowProbe,
    Cause::SegmentOut,
    Cause::PureAckOut,
    Cause::OutOfOrder,
    Cause::Recycled,
    Cause::Stray,
    Cause::ConnectRefused,
    Cause::Accepted,
];

fn a_day_of(config: &ToeConfig, seed: u64) {
    let began = Instant::now();
    let o = soak::on_model(config, &mix(), line(), seed, 86_400, 3_600, true);
    report(&o);
    println!("seed {seed}: a day in {:?}", began.elapsed());
    all_happened(&o, &CAUSES);
    assert!(o.opened_after.len() > 20);
    // Somebody had vanished, so that the newcomers of some hour had to wait for the probes.
    let longest = o.opened_after.iter().max().expect("a checkpoint");
    assert!(*longest > Duration::from_secs(20), "{longest}");
}

fn a_day(seed: u64) {
    a_day_of(&model_world::config(), seed);
}

#[test]
fn a_day_of_connections_on_the_model_leaves_nothing_behind() {
    a_day(seed());
}

#[test]
#[ignore = "takes minutes; one day of them runs in its place"]
fn a_month_of_connections_on_the_model_leaves_nothing_behind() {
    let seed = seed();
    (seed..seed + 30).for_each(a_day);
}

/// The Alchitry Cu's program and rings.
fn a_day_of_the_cu(seed: u64) {
    let config = model_world::alchitry_cu();
    let own = program(&toe_bsp::alchitry_cu::config()).words;
    assert_eq!(program(&config).words, own, "not what is on the board");
    println!("{} words", own.len());
    a_day_of(&config, seed);
}

#[test]
fn a_day_of_connections_on_the_model_of_the_alchitry_cu_leaves_nothing_behind() {
    a_day_of_the_cu(seed());
}

#[test]
#[ignore = "takes minutes; one day of them runs in its place"]
fn a_month_of_connections_on_the_model_of_the_alchitry_cu_leaves_nothing_behind() {
    let seed = seed();
    (seed..seed + 30).for_each(a_day_of_the_cu);
}

/// The same packets at the same times, the same counters and the same state in the end.
#[test]
fn skipping_ticks_in_which_nothing_can_happen_changes_nothing() {
    for seed in 1..=3 {
        let [skipped, ticked] = [true, false].map(|skips| {
            let config = model_world::config();
            let mut o = soak::on_model(&config, &mix(), line(), seed, 3_000, 1_500, skips);
            let (all, ran) = o.ticks;
            println!("seed {seed}: {all} ticks, {ran} run");
            assert_eq!(all == ran as i64, !skips);
            o.ticks = (all, 0);
            o
        });
        assert!(skipped.tally.closed > 100, "{:?}", skipped.tally);
        assert_eq!(skipped, ticked);
    }
}

/// The same crowd for a board: what takes minutes on the model takes a second here, and no host owns a connection.
fn on_board(run: &soak::OnBoard, vanish: bool) {
    let began = Instant::now();
    let mix = Mix {
        most: 7,
        gap: Duration::from_millis(200),
        bytes: 20_000,
        waits: Duration::from_secs(3),
        idle: Duration::from_secs(1),
        deaf: Duration::from_secs(1),
        host: false,
        vanish,
    };
    let (tally, lives, counters, opened_after) = soak::on_board(run, &mix, line());
    println!(
        "{tally:?}\n{}, entered {:?}; newcomers had every slot after {opened_after}\n{}{:?}",
        lives.told(),
        lives.entered,
        toe_testbench::liveness::shown(&counters),
        began.elapsed()
    );
    for who in ["peer", "engine"] {
        for service in [Service::Echo, Service::Discard, Service::Chargen] {
            let begun = tally.begun.keys().any(|k| (k.0, k.1) == (who, service));
            assert!(begun, "none opened by the {who} for {service:?}");
        }
    }
    for cause in [
        Cause::Closed,
        Cause::ResetIn,
        Cause::NoSlot,
        Cause::Retransmit,
        Cause::RtoExpired,
        Cause::Stray,
    ] {
        assert!(counters[&cause] > 0, "{} never moved", cause.name());
    }
    assert_eq!(vanish, tally.vanished > 0);
    assert!(tally.closed > 10, "{tally:?}");
    assert!(tally.aborted > 0 && tally.forgot > 0);
    assert!(tally.deaf > 0 && tally.silent > 0);
}

/// Seconds of it at a tick of 500 cycles, a line of 4 Mb/s.
#[test]
fn six_seconds_of_connections_on_the_verilog() {
    let run = soak::OnBoard {
        name: "soak-verilog",
        backend: Backend::Verilog,
        seed: seed(),
        seconds: 6,
        cycles_per_tick: 500,
    };
    on_board(&run, false);
}

/// 20 million cycles: a second of 125 million would be the line of 1 Gb/s, a tick of 2,000 cycles is one of 16 Mb/s and otherwise the same.
#[test]
#[ignore = "takes a minute or more; six seconds at a quarter of the rate run in its place"]
fn ten_seconds_of_connections_on_the_verilog() {
    let run = soak::OnBoard {
        name: "soak-verilog-long",
        backend: Backend::Verilog,
        seed: seed(),
        seconds: 10,
        cycles_per_tick: 2_000,
    };
    on_board(&run, false);
}

/// With peers that vanish, which takes 40 s to find out.
#[test]
#[ignore = "takes a minute or more; six seconds without those who vanish run in its place"]
fn twenty_seconds_of_connections_that_vanish_on_the_verilog() {
    let run = soak::OnBoard {
        name: "soak-verilog-vanish",
        backend: Backend::Verilog,
        seed: seed(),
        seconds: 20,
        cycles_per_tick: 500,
    };
    on_board(&run, true);
}
