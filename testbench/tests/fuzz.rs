//! Random and mutated frames against the model, the Verilog and the Rust blocks: nothing is echoed that was not sent, every frame is accounted for, nothing wedges.
//!
//! `TOE_SEED=n` reruns with another seed. The full amounts on hardware are ignored by default for the time they take: `cargo test --test fuzz -- --ignored`.
use std::collections::BTreeMap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_hdl::tcp::program::program;
use toe_host::board::Backend;
use toe_sim::link::{Duration, Frame, Instant, Link, Medium};
use toe_testbench::liveness::{balance, Bench, Client, Counters};
use toe_testbench::model_world::ModelLink;
use toe_testbench::mutate::{Mutator, Target};
use toe_testbench::transfers::bytes;
use toe_testbench::wire::Tcp;

fn seed() -> u64 {
    let seed = std::env::var("TOE_SEED").map_or(Ok(1), |s| s.parse());
    let seed = seed.expect("TOE_SEED is a number");
    println!("TOE_SEED={seed}");
    seed
}

struct OnModel {
    config: ToeConfig,
    link: ModelLink,
    now: Instant,
    came: u64,
    out: Vec<Tcp>,
    next_port: u16,
}

impl OnModel {
    fn new() -> Self {
        let config = ToeConfig::default();
        let mut link = ModelLink::new(&config, &program(&config));
        let peer = u32::from_be_bytes(toe_testbench::wire::IP);
        link.toe
            .blocks
            .neighbours
            .insert(peer, toe_testbench::model_world::PEER_MAC);
        Self {
            config,
            link,
            now: Instant::ZERO,
            came: 0,
            out: Vec::new(),
            next_port: 50_000,
        }
    }

    fn drain(&mut self) {
        while let Some(frame) = self.link.receive(self.now) {
            self.out.extend(Tcp::from_packet(&frame));
        }
        if let Some(error) = &self.link.error {
            panic!("{error}");
        }
    }

    fn counters(&self) -> Counters {
        let mut all: BTreeMap<Cause, u64> = Cause::ALL
            .iter()
            .map(|&c| (c, self.link.toe.counter(c)))
            .collect();
        all.insert(Cause::FrameIn, self.came);
        all
    }
}

impl Target for OnModel {
    fn config(&self) -> ToeConfig {
        self.config.clone()
    }

    /// The model begins at IPv4: what ends before is not put in.
    fn put(&mut self, frame: Frame) {
        if frame.is_sound(Medium::Ethernet) && frame.len() > 14 && frame[12..14] == [8, 0] {
            self.came += 1;
            self.link.send(Frame::new(&frame[14..]), self.now);
            self.drain();
        }
    }

    fn work(&mut self, rng: &mut ChaCha8Rng) {
        self.now += Duration::from_millis(match rng.random_range(0..100) {
            0 => rng.random_range(0..3_000),
            1..20 => 1,
            _ => 0,
        });
        self.link.advance(self.now);
        self.drain();
    }

    fn rest(&mut self) {
        self.link.advance(self.now);
        self.drain();
    }

    fn check(&mut self) {
        if let Err(e) = balance(self.came, &self.counters()) {
            self.fail(&e);
        }
        self.next_port = self.next_port.checked_add(1).unwrap_or(50_000);
        let mut client = Client::new(&self.config, self.next_port, 7, bytes(100, 7));
        self.out.clear();
        // Four exchanges; each look at the client is one of its retries.
        for turn in 0..40 {
            if client.is_done() {
                break;
            }
            if let Some(frame) = client.poll(turn * 10_000) {
                self.put(Frame::new(frame));
            }
            for t in std::mem::take(&mut self.out) {
                if let Err(e) = client.take(&t) {
                    self.fail(&e);
                }
            }
        }
        if !client.is_done() {
            self.fail(&format!("no new connection: {client:?}"));
        }
        if let Err(e) = balance(self.came, &self.counters()) {
            self.fail(&e);
        }
    }

    fn answers(&mut self) -> Vec<Tcp> {
        std::mem::take(&mut self.out)
    }

    fn fail(&mut self, message: &str) -> ! {
        panic!(
            "after {} packets, {}: {message}\nconnections: {:?}\n{}",
            self.came,
            self.now,
            self.link.toe.blocks.attached,
            toe_testbench::liveness::shown(&self.counters())
        );
    }
}

struct OnBoard(Bench);

impl Target for OnBoard {
    fn config(&self) -> ToeConfig {
        self.0.config.clone()
    }
    fn put(&mut self, frame: Frame) {
        self.0.send(frame);
    }
    /// The line is kept full but for a pause now and then.
    fn work(&mut self, rng: &mut ChaCha8Rng) {
        while !self.0.is_idle() {
            self.0.cycle();
        }
        if rng.random_bool(0.1) {
            self.0.run(rng.random_range(0..1_500));
        }
    }
    fn rest(&mut self) {
        self.0.rest();
    }
    fn check(&mut self) {
        self.0.alive();
    }
    fn answers(&mut self) -> Vec<Tcp> {
        std::mem::take(&mut self.0.segments)
    }
    fn fail(&mut self, message: &str) -> ! {
        self.0.fail(message)
    }
}

fn on_model(frames: u64) {
    let seed = seed();
    let mut target = OnModel::new();
    let mut mutator = Mutator::new(&target.config(), seed);
    mutator.run(&mut target, frames, 1_000);
    report(&mutator, target.counters());
    let b = &target.link.toe.blocks;
    assert_eq!(b.complaints, Vec::<String>::new());
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
    on_model(1_000_000);
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
