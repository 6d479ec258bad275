//! Hours of connections that come and go on the model, seconds of them on the Verilog: nothing leaks, everything is accounted for, and who comes gets in.
use std::time::Instant;

use toe_hdl::counters::Cause;
use toe_sim::fault::Faults;
use toe_sim::link::Duration;
use toe_testbench::crowd::{End, Mix, Service};
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

fn a_day(seed: u64) {
    let began = Instant::now();
    let o = soak::on_model(&mix(), line(), seed, 86_400, 3_600, true);
    report(&o);
    println!("seed {seed}: a day in {:?}", began.elapsed());
    all_happened(&o, &CAUSES);
    assert!(o.opened_after.len() > 20);
    // Somebody had vanished, so that the newcomers of some hour had to wait for the probes.
    let longest = o.opened_after.iter().max().expect("a checkpoint");
    assert!(*longest > Duration::from_secs(20), "{longest}");
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

/// The same packets at the same times, the same counters and the same state in the end.
#[test]
fn skipping_ticks_in_which_nothing_can_happen_changes_nothing() {
    for seed in 1..=3 {
        let [skipped, ticked] = [true, false].map(|skips| {
            let mut o = soak::on_model(&mix(), line(), seed, 3_000, 1_500, skips);
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
