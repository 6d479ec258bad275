//! The TCP program, on the instruction-level model, talks to smoltcp in simulated time.
use toe_hdl::config::{Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_hdl::tcp::asm::Operand;
use toe_hdl::tcp::isa::out;
use toe_hdl::tcp::model::blocks::{chargen, parse, Builder};
use toe_hdl::tcp::model::tx_ring::sum_of;
use toe_hdl::tcp::program::{program, state, words};
use toe_sim::fault::Faults;
use toe_sim::link::{Duration, Frame, Instant, Link};
use toe_sim::pattern;
use toe_sim::peer::{App, Context, Conversation, EchoServer, TcpOptions};
use toe_testbench::model_world::{config, Host, ModelWorld, PEER};

fn data(seed: u32, count: usize) -> Vec<u8> {
    pattern::bytes(count, seed)
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
        // The fifth comes when the four are open: while they are half open it would take the oldest one's place.
        let begin = Instant::from_micros(if n < 4 { 0 } else { 500 });
        w.peer()
            .add(Conversation::echo_client(ip, 7, data(n, 20_000)).starting_at(begin));
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
    assert_eq!(w.model.toe.blocks.table.waiting(), 3);
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

/// The next hop's Ethernet address is not known at first: the SYN waits, then leaves.
#[test]
fn an_active_open_waits_for_arp() {
    let mut w = sound();
    let neighbours = std::mem::take(&mut w.model.toe.blocks.neighbours);
    let sent = data(10, 5000);
    w.peer()
        .add(Conversation::source_server(5001, sent.clone()));
    w.model
        .toe
        .connect(4001, (PEER.octets(), 5001), Owner::Host);
    w.run_until(MINUTE, |m| m.toe.blocks.arp_requests.len() == 3)
        .unwrap();
    let toe = &mut w.model.toe;
    assert_eq!(toe.counter(Cause::ArpWait), 3);
    assert_eq!(toe.counter(Cause::FrameOut), 0, "nothing leaves before");
    let peer = u32::from_be_bytes(PEER.octets());
    assert_eq!(toe.blocks.arp_requests, [peer; 3]);
    toe.blocks.neighbours = neighbours;
    run(&mut w);
    assert_eq!(w.model.host.received, sent);
    w.come_to_rest(MINUTE).unwrap();
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

/// Three of the first 500 seeds (9, 282, 288) end with smoltcp's waiting for ever: an ACK that shut the window comes late, behind the one that opened it, while text is on its way. When its retransmission timer
/// expires then, smoltcp (0.14) sends nothing, and begins no probe (RFC 9293 section 3.8.6.1), which it does only as the window shuts with no timer running.
#[test]
fn everything_at_once_that_a_network_can_do() {
    for seed in 10..30 {
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

/// The timer fires before the first answers can be there; what is sent again is not timed (Karn), so the back-off has to carry it to the first true
/// measurement. From then on nothing is sent twice.
#[test]
fn round_trips_far_longer_than_the_timer_starts_with() {
    for one_way in [90, 150, 600, 2_500] {
        let faults = Faults {
            delay: Duration::from_millis(one_way),
            ..Faults::none()
        };
        let round_trip = Duration::from_millis(2 * one_way);
        let mut w = world(&config(), 4, faults);
        let ip = w.ip();
        for (bytes, what) in [(100_000, "sink"), (50_000, "echo")] {
            let before = w.model.toe.counter(Cause::RtoExpired);
            let begin = w.now;
            let talk = match what {
                "sink" => Conversation::sink_client(ip, 19, bytes),
                _ => Conversation::echo_client(ip, 7, data(5, bytes)),
            };
            w.peer().add(talk.with_options(TcpOptions {
                ack_delay: None,
                ..TcpOptions::default()
            }));
            w.run(MINUTE * 60)
                .unwrap_or_else(|e| panic!("{what}, round trip {round_trip}: {e}"));
            let rounds = (bytes as u64).div_ceil(8_192) as u32;
            let took = w.now - begin;
            let expired = w.model.toe.counter(Cause::RtoExpired) - before;
            println!(
                "{what}, round trip {round_trip}: {took}, ideal {}, timer {expired} times",
                round_trip * (rounds + 2)
            );
            // A second takes five doublings to 5 s.
            assert!(
                expired <= 5,
                "{what}, round trip {round_trip}: {expired} times, {}",
                w.counters()
            );
            assert!(
                took < round_trip * (rounds * 2 + 8),
                "{what}, round trip {round_trip}: {took}"
            );
        }
    }
}

/// Every sequence number crosses 2^32 on the way.
#[test]
fn our_numbers_wrap() {
    for below in [1, 2, 100, 1461, 30_000] {
        let mut w = sound();
        w.model.toe.set_isn(0u32.wrapping_sub(below));
        let ip = w.ip();
        w.peer()
            .add(Conversation::echo_client(ip, 7, data(below, 65536)));
        run(&mut w);
        assert_eq!(w.model.toe.counter(Cause::Retransmit), 0, "{below}");
        w.come_to_rest(MINUTE).unwrap();
    }
}

#[test]
fn the_smallest_rings_carry_as_well() {
    for (rx, tx, connections, loss) in [
        (256, 256, 1, 0.0),
        (256, 512, 2, 0.02),
        (1024, 256, 4, 0.02),
    ] {
        let config = ToeConfig {
            rx_ring_bytes: rx,
            tx_ring_bytes: tx,
            connections,
            mtu: 576,
            ..config()
        };
        let mut w = world(&config, 3, Faults::loss(loss));
        let ip = w.ip();
        for n in 0..connections as u32 {
            w.peer()
                .add(Conversation::echo_client(ip, 7, data(n, 10_000)));
        }
        w.run(MINUTE * 20)
            .unwrap_or_else(|e| panic!("rings {rx} and {tx}: {e}"));
        w.come_to_rest(MINUTE * 5)
            .unwrap_or_else(|e| panic!("rings {rx} and {tx}: {e}"));
    }
}

/// Connects to the generator with a small buffer, reads nothing for a while, then in small bites.
struct SlowReader {
    ip: std::net::Ipv4Addr,
    handle: Option<smoltcp::iface::SocketHandle>,
    next: Instant,
    came: Vec<u8>,
    wanted: usize,
}

impl App for SlowReader {
    fn act(&mut self, context: &mut Context) -> bool {
        use smoltcp::socket::tcp;
        let Some(handle) = self.handle else {
            let buffer = |n| tcp::SocketBuffer::new(vec![0; n]);
            let mut socket = tcp::Socket::new(buffer(1000), buffer(1000));
            socket
                .connect(context.interface.context(), (self.ip, 19), 50_000)
                .unwrap();
            self.handle = Some(context.sockets.add(socket));
            return true;
        };
        if context.now < self.next || self.is_done() {
            return false;
        }
        self.next = context.now + Duration::from_millis(30);
        let socket = context.sockets.get_mut::<tcp::Socket>(handle);
        let mut bite = [0; 333];
        let count = socket.recv_slice(&mut bite).unwrap_or(0);
        self.came.extend(&bite[..count]);
        if self.is_done() {
            socket.abort();
        }
        count > 0
    }
    fn is_done(&self) -> bool {
        self.came.len() >= self.wanted
    }
    fn progress(&self) -> Option<u64> {
        Some(self.came.len() as u64)
    }
    fn wake_at(&self) -> Option<Instant> {
        Some(self.next)
    }
    fn describe(&self) -> String {
        format!("slow reader: {} bytes", self.came.len())
    }
}

/// The peer's window is shut for longer than a lost peer would be waited for, then opens bite by bite (RFC 9293 section 3.8.6.1).
#[test]
fn a_shut_window_is_probed_and_nothing_is_lost() {
    for loss in [0.0, 0.05] {
        let mut w = world(&config(), 2, Faults::loss(loss));
        let reader = SlowReader {
            ip: w.ip(),
            handle: None,
            next: Instant::from_secs(200),
            came: Vec::new(),
            wanted: 20_000,
        };
        let reader = w.peer().add(reader);
        run(&mut w);
        let came = &w.peer().app(reader).came;
        assert!((0..).map(chargen).zip(came).all(|(a, b)| a == *b));
        // The first probe of each kind, then the same byte again each time the timer expires.
        let toe = &w.model.toe;
        assert!(toe.counter(Cause::ZeroWindowProbe) >= 1, "{}", w.counters());
        assert!(toe.counter(Cause::RtoExpired) > 3, "{}", w.counters());
        assert_eq!(w.model.toe.counter(Cause::GaveUp), 0, "{}", w.counters());
        lives(&mut w, 1);
    }
}

/// Segments nobody would send, most of them near the window: no fault, no wedge, every answer sound, and a fresh connection works.
#[test]
fn no_segment_wedges_it() {
    use rand::{Rng, SeedableRng};
    let own = u32::from_be_bytes(config().ip);
    let peer = u32::from_be_bytes(PEER.octets());
    let word = |w: &ModelWorld, conn: usize, o: Operand| {
        w.model.toe.machine.state[conn][usize::from(o.address().unwrap())]
    };
    let mut states = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let mut r = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut w = world(&config(), seed, Faults::none());
        w.model.toe.set_isn(r.random());
        w.model.host = Host {
            send: data(1, 500),
            close_first: true,
            ..Host::default()
        };
        let mut now = Instant::ZERO;
        let mut answers = 0;
        for _ in 0..5000 {
            let conn = r.random_range(0..config().entries());
            let known = word(&w, conn, words::PORTS);
            let ports = if known != 0 && r.random_bool(0.9) {
                known
            } else {
                let port = [7, 9, 19, 100, 5][r.random_range(0..5)];
                r.random_range(5000..5004) << 16 | port
            };
            let mut near = |base: u32| match r.random_range(0..10) {
                0 => r.random(),
                1..=3 => base
                    .wrapping_add(r.random_range(0..3000))
                    .wrapping_sub(1500),
                4 => base.wrapping_add(1),
                _ => base,
            };
            let seq = near(word(&w, conn, words::RCV_NXT));
            let ack = near(word(&w, conn, words::SND_MAX));
            let flags = match r.random_range(0..20) {
                0 => r.random_range(0..256),
                1 => 0x04,
                2 => 0x11,
                3..=5 => 0x02,
                _ => 0x10,
            };
            let window: u32 = [0, 1, 700, 65535][r.random_range(0..4)];
            let length = [0, 0, 0, 1, 100, 1460][r.random_range(0..6)];
            let mut b = Builder::default();
            b.word(out::IP, own);
            b.word(out::PORTS, ports);
            b.word(out::SEQ, seq);
            b.word(out::ACK, ack);
            b.word(out::CTL, 5 << 28 | flags << 16 | window);
            let payload = vec![0x55; length];
            let packet = b.send(peer, 64, &payload, sum_of(&payload), 0, 0).unwrap();
            w.model.send(Frame::new(packet.bytes), now);
            while let Some(answer) = w.model.receive(now) {
                answers += 1;
                parse(&answer.bytes, [0; 6], None, peer, true, false)
                    .unwrap_or_else(|c| panic!("{}", c.meaning()));
            }
            if r.random_bool(0.1) {
                now += Duration::from_millis(r.random_range(1..2000));
            }
            if let Some(error) = &w.model.error {
                panic!("seed {seed}: {error}");
            }
            states.extend((0..config().entries()).map(|c| word(&w, c, words::STATE)));
        }
        assert!(answers > 1000, "{answers} answers");
        // Every connection that is left is reset exactly in the window.
        for conn in 0..4 {
            let mut b = Builder::default();
            b.word(out::IP, own);
            b.word(out::PORTS, word(&w, conn, words::PORTS));
            b.word(out::SEQ, word(&w, conn, words::RCV_NXT));
            b.word(out::ACK, word(&w, conn, words::SND_MAX));
            b.word(out::CTL, 0x5014_0000);
            let packet = b.send(peer, 64, &[], 0, 0, 0).unwrap();
            w.model.send(Frame::new(packet.bytes), now);
        }
        w.now = now;
        lives(&mut w, seed as u32);
    }
    // Everything but SYN-SENT, which takes a command.
    let names: Vec<_> = states.iter().map(|s| state::name(*s)).collect();
    assert_eq!(names.len(), 9, "{names:?}");
    assert!(!names.contains(&"?"), "{names:?}");
}
