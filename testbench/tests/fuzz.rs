//! Random and mutated frames against the model, the Verilog and the Rust blocks: nothing is echoed that was not sent, every frame is accounted for, nothing wedges.
//!
//! `TOE_SEED=n` reruns with another seed. The full amounts on hardware are ignored by default for the time they take: `cargo test --test fuzz -- --ignored`.
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_host::board::Backend;
use toe_testbench::fuzzing;
use toe_testbench::liveness::{Bench, Counters};
use toe_testbench::mutate::{Mutator, Target};
use toe_testbench::targets::{OnBoard, OnModel};

fn seed() -> u64 {
    let seed = std::env::var("TOE_SEED").map_or(Ok(1), |s| s.parse());
    let seed = seed.expect("TOE_SEED is a number");
    println!("TOE_SEED={seed}");
    seed
}

fn on_model(config: &ToeConfig, frames: u64) {
    let seed = seed();
    let mut target = OnModel::new(config);
    let mut mutator = Mutator::new(&target.config(), seed);
    mutator.run(&mut target, frames, 1_000);
    report(&mutator, target.counters());
}

fn on_board(name: &str, backend: Backend, frames: u64) {
    let seed = seed();
    let mut target = OnBoard(Bench::new(name, &ToeConfig::default(), backend));
    let mut mutator = Mutator::new(&target.config(), seed);
    mutator.run(&mut target, frames, frames.min(1_000));
    report(&mutator, target.0.account());
}

/// The mutations must reach all there is to reach, else the test tests little.
fn report(mutator: &Mutator, counters: Counters) {
    println!(
        "{} bytes echoed\n{}",
        mutator.echoed,
        toe_testbench::liveness::shown(&counters)
    );
    assert!(mutator.echoed > 0);
    for cause in [
        Cause::Opened,
        Cause::Accepted,
        Cause::Unacceptable,
        Cause::BadAck,
        Cause::Stray,
        Cause::ResetIn,
    ] {
        assert!(counters[&cause] > 0, "{} never moved", cause.name());
    }
}

#[test]
fn a_million_frames_on_the_model() {
    on_model(&ToeConfig::default(), 1_000_000);
}

#[test]
fn two_hundred_thousand_frames_on_the_model_of_the_alchitry_cu() {
    on_model(&toe_bsp::alchitry_cu::config(), 200_000);
}

#[test]
fn five_thousand_frames_on_the_verilog() {
    on_board("fuzz-verilog", Backend::Verilog, 5_000);
}

#[test]
#[ignore = "takes minutes; the same with 5,000 frames runs in its place"]
fn a_hundred_thousand_frames_on_the_verilog() {
    on_board("fuzz-verilog-long", Backend::Verilog, 100_000);
}

#[test]
fn two_hundred_frames_on_the_rust_blocks() {
    on_board("fuzz-rust", Backend::Rust, 200);
}

#[test]
#[ignore = "takes a minute or more at some 10,000 cycles a second; the same with 200 frames runs in its place"]
fn two_thousand_frames_on_the_rust_blocks() {
    on_board("fuzz-rust-long", Backend::Rust, 2_000);
}

/// What `make fuzz` found worth keeping, and the hand-made beginnings, through the same functions.
fn seeds(target: &str, body: fn(&[u8])) {
    let folder = toe_sim::tools::workspace()
        .join("testbench/fuzz/seeds")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder of seeds")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert!(files.len() >= 10, "only {} seeds", files.len());
    for file in &files {
        let input = std::fs::read(file).expect("a seed");
        let outcome = std::panic::catch_unwind(|| body(&input));
        assert!(outcome.is_ok(), "{target} failed on {}", file.display());
    }
    println!("{target}: {} seeds", files.len());
}

#[test]
fn every_seed_of_the_parser() {
    seeds("parser", fuzzing::parser);
}

#[test]
fn every_seed_of_frames_on_the_model() {
    seeds("frames_model", fuzzing::frames_model);
}

#[test]
fn every_seed_of_frames_on_the_model_of_the_alchitry_cu() {
    seeds("frames_model", fuzzing::frames_cu);
}

#[test]
fn every_seed_of_frames_on_the_verilog() {
    seeds("frames_verilog", fuzzing::frames_verilog);
}

#[test]
fn every_seed_of_connections_on_the_model() {
    seeds("connections_model", fuzzing::connections_model);
}

#[test]
fn every_seed_of_connections_on_the_model_of_the_alchitry_cu() {
    seeds("connections_model", fuzzing::connections_cu);
}

#[test]
fn every_seed_of_connections_on_the_verilog() {
    seeds("connections_model", fuzzing::connections_verilog);
}

/// The hand-made beginnings reach what they are made for, and stand beside what the fuzzer found; `make snapshots` writes them.
#[test]
fn the_seeds_of_connections_reach_every_state_and_way_of_recovery() {
    let folder = toe_sim::tools::workspace().join("testbench/fuzz/seeds/connections_model");
    let mut all = BTreeSet::new();
    for (name, steps, states) in toe_testbench::dialogue::beginnings() {
        let file = folder.join(name);
        if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
            std::fs::create_dir_all(&folder).expect("the folder of seeds");
            std::fs::write(&file, &steps).expect("a seed");
        }
        let kept = std::fs::read(&file).unwrap_or_default();
        assert_eq!(kept, steps, "{name}: `make snapshots` writes it");
        let seen = fuzzing::states_of(&steps);
        println!("{name}: {seen:?}");
        for state in states {
            assert!(
                seen.contains(state),
                "{name} never reaches {state}: {seen:?}"
            );
        }
        all.extend(seen);
    }
    assert_eq!(all.len(), 21, "{all:?}");
}

/// The same beginnings with the small program, which hears no SACK blocks: all there is to reach but that.
#[test]
fn the_seeds_of_connections_reach_every_state_of_the_alchitry_cu() {
    let mut all = BTreeSet::new();
    for (_, steps, _) in toe_testbench::dialogue::beginnings() {
        all.extend(fuzzing::states_of_cu(&steps));
    }
    assert!(!all.contains("SACK recovery"));
    assert_eq!(all.len(), 20, "{all:?}");
}

/// Seeds spliced, with bytes changed, added and taken away: far from the beginnings, but past the handshake. For so long, or so many of them.
fn mutated_seeds(inputs: usize, time: Duration, states_of: fn(&[u8]) -> BTreeSet<&'static str>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let mut corpus: Vec<Vec<u8>> = (toe_testbench::dialogue::beginnings().into_iter())
        .map(|(_, steps, _)| steps)
        .collect();
    let mut known: BTreeSet<BTreeSet<&str>> = BTreeSet::new();
    let began = Instant::now();
    let mut count = 0;
    while count < inputs && began.elapsed() < time {
        let [a, b] = [(); 2].map(|()| &corpus[rng.random_range(0..corpus.len())]);
        let mut input = a[..rng.random_range(0..=a.len())].to_vec();
        input.extend(&b[rng.random_range(0..b.len())..]);
        for _ in 0..rng.random_range(0..6) {
            let at = rng.random_range(0..input.len());
            match rng.random_range(0..4) {
                0 => input[at] = rng.random(),
                1 => input[at] ^= 1 << rng.random_range(0..8),
                2 => input.insert(at, rng.random()),
                _ if input.len() > 1 => {
                    input.remove(at);
                }
                _ => {}
            }
        }
        input.truncate(300);
        let outcome = std::panic::catch_unwind(|| states_of(&input));
        let Ok(seen) = outcome else {
            panic!("input {count}: {input:?}");
        };
        // What reaches a set of states that none did before is begun from, too.
        if known.insert(seen) {
            corpus.push(input);
        }
        count += 1;
    }
    println!(
        "{count} inputs, {} sets of states, {} inputs to begin from",
        known.len(),
        corpus.len()
    );
    assert!(known.len() > 50);
}

#[test]
fn mutated_seeds_of_connections_on_the_model() {
    mutated_seeds(3_000, Duration::from_secs(600), fuzzing::states_of);
}

#[test]
fn mutated_seeds_of_connections_on_the_model_of_the_alchitry_cu() {
    mutated_seeds(3_000, Duration::from_secs(600), fuzzing::states_of_cu);
}

#[test]
#[ignore = "takes ten minutes; 3,000 inputs of it run in its place"]
fn ten_minutes_of_mutated_seeds_of_connections_on_the_model() {
    mutated_seeds(usize::MAX, Duration::from_secs(600), fuzzing::states_of);
}

/// What a fuzzer would do without looking at coverage: random inputs, on stable, so that the targets are seen to hold beyond their seeds.
#[test]
fn random_inputs_to_the_targets() {
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let mut input = |length: usize| -> Vec<u8> {
        let length = rng.random_range(0..length);
        (0..length).map(|_| rng.random()).collect()
    };
    for _ in 0..100 {
        fuzzing::parser(&input(600));
    }
    for _ in 0..2_000 {
        fuzzing::frames_model(&input(400));
        fuzzing::frames_cu(&input(400));
    }
    for _ in 0..5_000 {
        fuzzing::connections_model(&input(200));
        fuzzing::connections_cu(&input(200));
    }
    for _ in 0..10 {
        fuzzing::connections_verilog(&input(60));
    }
}
