//! SYN floods from everywhere on the whole engine (RFC 4987), beside honest clients, on the Verilog, with the cycles that the events of cookies take; and the limit by source.
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use toe_hdl::config::{Listener, Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_host::board::Backend;
use toe_sim::link::Frame;
use toe_testbench::liveness::{Bench, Client};
use toe_testbench::transfers::bytes;
use toe_testbench::wire::*;

/// Cycles in which a client has opened, has its echo and has closed, whatever flows beside it: lost frames included, which it sends again.
const BOUND: u64 = 400_000;
/// The longest event (`docs/numbers.md`).
const LONGEST: u64 = 170;

fn config() -> ToeConfig {
    ToeConfig {
        listeners: vec![
            Listener::new(7, Owner::Echo).backlog(2),
            Listener::new(9, Owner::Discard),
        ],
        syn_cookies: true,
        ..ToeConfig::default()
    }
}

/// Frames of a flood, each from an address and a port of its own.
struct Flood {
    rng: ChaCha8Rng,
    config: ToeConfig,
    frames: u64,
    asked: u64,
}

impl Flood {
    fn new(config: &ToeConfig) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(4987),
            config: config.clone(),
            frames: 0,
            asked: 0,
        }
    }

    fn anywhere(&mut self, t: &Tcp) -> Frame {
        self.frames += 1;
        let mut frame = t.frame(&self.config);
        frame[26..30].copy_from_slice(&[
            10,
            self.rng.random(),
            self.rng.random(),
            self.rng.random(),
        ]);
        mend(&mut frame);
        Frame::new(frame)
    }

    fn syn(&mut self) -> Frame {
        let syn = Tcp {
            ports: (self.rng.random_range(1024..u16::MAX), 7),
            seq: self.rng.random(),
            flags: SYN,
            wnd: 1000,
            ..Tcp::default()
        };
        self.anywhere(&syn)
    }

    /// A guess at a cookie.
    fn ack(&mut self) -> Frame {
        let ack = Tcp {
            ports: (self.rng.random_range(1024..u16::MAX), 7),
            seq: self.rng.random(),
            ack: self.rng.random(),
            flags: ACK,
            wnd: 1000,
            ..Tcp::default()
        };
        self.anywhere(&ack)
    }

    /// One in some 250 cycles of an idle line, so that the engine loses none: whose last ACK is lost would keep its slot, for the clients here do not stay.
    fn any(&mut self) -> Option<Frame> {
        self.asked += 1;
        if !self.asked.is_multiple_of(250) {
            return None;
        }
        Some(if self.rng.random_bool(0.8) {
            self.syn()
        } else {
            self.ack()
        })
    }
}

/// The cycles that one client takes beside what `beside` gives.
fn client(b: &mut Bench, beside: &mut dyn FnMut() -> Option<Frame>) -> u64 {
    let mut c: Client = b.client(bytes(100, 7));
    let start = b.board.cycles();
    b.converse(&mut c, |_| beside(), BOUND);
    b.board.cycles() - start
}

#[test]
fn every_honest_client_gets_in_before_during_and_after_a_flood() {
    let config = config();
    let mut b = Bench::new("syn-flood-everywhere", &config, Backend::Verilog);
    b.board.trace_engine(&config).expect("traced");
    let mut flood = Flood::new(&config);
    let before = client(&mut b, &mut || None);
    let mut during = vec![];
    for _ in 0..12 {
        during.push(client(&mut b, &mut || flood.any()));
        for _ in 0..40 {
            let frame = flood.syn();
            b.send(frame);
            b.run(300);
        }
        b.run(1_000);
    }
    let counters = b.account();
    println!(
        "{} frames of a flood; clients took {before} cycles, during it {during:?}",
        flood.frames
    );
    println!(
        "CookieOut {}, Opened {}",
        counters[&Cause::CookieOut],
        counters[&Cause::Opened]
    );
    assert!(counters[&Cause::CookieOut] > 300, "no flood");
    assert_eq!(counters[&Cause::Recycled], 0, "nobody was made to go");
    assert_eq!(counters[&Cause::Opened], 13, "each guess was wrong");
    let after = client(&mut b, &mut || None);
    assert!(after < 2 * before + 10_000, "{after}");
    b.account();
    // The three events of cookies, their waits counted.
    let events = b.board.take_engine_trace();
    let cookies = events
        .iter()
        .filter(|e| e.path.iter().any(|label| label.starts_with("cookie")));
    let longest = cookies.map(|e| (e.cycles, &e.path)).max().expect("some");
    println!("longest event: {longest:?}");
    assert!(longest.0 <= LONGEST, "{longest:?}");
}

/// One address can't have all slots, others have theirs.
#[test]
fn a_limit_by_source_leaves_room_for_others() {
    let config = ToeConfig {
        per_source: Some(2),
        ..ToeConfig::default()
    };
    let mut b = Bench::new("per-source", &config, Backend::Verilog);
    let mut peers: Vec<Client> = (0..4).map(|_| b.client(bytes(100, 7))).collect();
    for c in &mut peers {
        let mut syn = c.segment(SYN);
        syn.options = vec![2, 4, 5, 0xB4];
        let frame = syn.frame(&b.config);
        b.send(frame);
    }
    b.run(5_000);
    let answers: Vec<u8> = std::mem::take(&mut b.segments)
        .iter()
        .map(|t| t.flags)
        .collect();
    assert_eq!(answers, [SYN | ACK; 2]);
    assert_eq!(b.account()[&Cause::SourceLimit], 2);
    let mut flood = Flood::new(&config);
    for _ in 0..2 {
        let frame = flood.syn();
        b.send(frame);
    }
    b.run(5_000);
    assert_eq!(b.segments.len(), 2, "other addresses are answered");
    assert_eq!(b.account()[&Cause::SourceLimit], 2);
}
