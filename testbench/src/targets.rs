//! The engines that a [`crate::mutate::Mutator`] or a fuzz target can throw frames at: the model, and a board on any back end.
use std::collections::BTreeMap;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_hdl::tcp::asm::Program;
use toe_hdl::tcp::program::program;
use toe_sim::link::{Duration, Frame, Instant, Link, Medium};

use crate::liveness::{balance, shown, Bench, Client, Counters};
use crate::model_world::{ModelLink, PEER_MAC};
use crate::mutate::Target;
use crate::transfers::bytes;
use crate::wire::{Tcp, IP};

/// When all peers have gone, and those who were heard of were reset, nothing is left of them after so long: a SYN of the engine's gets 192 s, a SYN-ACK 127 s, TIME-WAIT is 65.5 s.
const FORGOTTEN_WITHIN: Duration = Duration::from_secs(200);

/// The model, from IPv4 upwards.
pub struct OnModel {
    config: ToeConfig,
    /// The model itself.
    pub link: ModelLink,
    now: Instant,
    came: u64,
    out: Vec<Tcp>,
    next_port: u16,
}

impl OnModel {
    /// A fresh one.
    pub fn new(config: &ToeConfig) -> Self {
        Self::with_program(config, &program(config))
    }

    /// The same with its program at hand.
    pub fn with_program(config: &ToeConfig, program: &Program) -> Self {
        let mut link = ModelLink::new(config, program);
        link.toe
            .blocks
            .neighbours
            .insert(u32::from_be_bytes(IP), PEER_MAC);
        Self {
            config: config.clone(),
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

    /// All counters; `FrameIn` is what was put in.
    pub fn counters(&self) -> Counters {
        let mut all: BTreeMap<Cause, u64> = Cause::ALL
            .iter()
            .map(|&c| (c, self.link.toe.counter(c)))
            .collect();
        all.insert(Cause::FrameIn, self.came);
        all
    }

    /// So much time passes.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.link.advance(self.now);
        self.drain();
    }
}

impl Target for OnModel {
    fn config(&self) -> ToeConfig {
        self.config.clone()
    }

    /// The model begins at IPv4: what ends before is not put in, nor what the serial line would drop for its length.
    fn put(&mut self, frame: Frame) {
        let most = 14 + usize::from(self.config.mtu);
        let passes = self.config.ethernet || frame.len() <= most;
        let sound = frame.is_sound(Medium::Ethernet) && passes;
        if sound && frame.len() > 14 && frame[12..14] == [8, 0] {
            self.came += 1;
            self.link.send(Frame::new(&frame[14..]), self.now);
            self.drain();
        }
    }

    fn work(&mut self, rng: &mut ChaCha8Rng) {
        self.pass(Duration::from_millis(match rng.random_range(0..100) {
            0 => rng.random_range(0..3_000),
            1..20 => 1,
            _ => 0,
        }));
    }

    fn rest(&mut self) {
        self.pass(Duration::ZERO);
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
        // Nobody is there any more, so that in the end nothing may be left of anybody; but what was in the rings of those reset lies there until their slots are taken.
        self.pass(FORGOTTEN_WITHIN);
        let left = self.link.toe.leftovers(false);
        if !left.is_empty() {
            self.fail(&format!("left over: {left:?}"));
        }
        let complaints = &self.link.toe.blocks.complaints;
        if !complaints.is_empty() {
            let complaints = complaints.join(", ");
            self.fail(&complaints);
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
            shown(&self.counters())
        );
    }
}

/// A board on any back end.
pub struct OnBoard(pub Bench);

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
    fn answered(&mut self) {
        self.0.rest_for(600);
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
