//! The window scale on the whole engine (RFC 7323 section 2): what it sends follows the windows of a peer that scales them, on the Verilog and in lockstep; and bytes pass to and from a peer with a large buffer.

use toe_hdl::config::ToeConfig;
use toe_host::board::Backend;
use toe_host::demo::{self, CYCLES_PER_TICK};
use toe_sim::link::{Frame, Instant, Link, Medium};
use toe_sim::peer::TcpOptions;
use toe_sim::world::{Clock, World};
use toe_testbench::liveness::Bench;
use toe_testbench::mutate::Target;
use toe_testbench::targets::OnBoard;
use toe_testbench::transfers::*;
use toe_testbench::wire::{Tcp, ACK, SYN};

const PORTS: (u16, u16) = (40_000, 19);

/// A connection with the generator, made by hand: what has come of it so far.
struct Hand {
    board: OnBoard,
    config: ToeConfig,
    next: u32,
    begin: u32,
}

impl Hand {
    /// Opens it from a port, with this shift in the SYN if any; both windows of the handshake are shut.
    fn open(board: OnBoard, config: &ToeConfig, port: u16, shift: Option<u8>) -> Self {
        let mut hand = Self {
            board,
            config: config.clone(),
            next: 0,
            begin: 0,
        };
        let mut syn = hand.segment(port, SYN, 0);
        syn.seq = 0;
        syn.options = vec![2, 4, 1, 0];
        syn.options.extend(shift.iter().flat_map(|n| [1, 3, 3, *n]));
        let [answer] = &hand.say(syn)[..] else {
            panic!("a SYN-ACK");
        };
        assert_eq!(answer.flags, SYN | ACK);
        let ours: &[u8] = if shift.is_some() { &[1, 3, 3, 0] } else { &[] };
        assert_eq!(answer.options[4..], *ours);
        hand.begin = answer.seq.wrapping_add(1);
        hand.next = hand.begin;
        assert_eq!(hand.window(port, 0), 0);
        hand
    }

    fn segment(&self, port: u16, flags: u8, wnd: u16) -> Tcp {
        Tcp {
            ports: (port, PORTS.1),
            seq: 1,
            ack: self.next,
            flags,
            wnd,
            ..Tcp::default()
        }
    }

    fn say(&mut self, segment: Tcp) -> Vec<Tcp> {
        let frame = segment.frame(&self.config);
        self.board.put(Frame::new(frame));
        self.board.rest();
        self.board.answers()
    }

    /// Acknowledges all, with this window: how many bytes come for it, in order.
    fn window(&mut self, port: u16, wnd: u16) -> u32 {
        let ack = self.segment(port, ACK, wnd);
        let from = self.next;
        for text in self.say(ack) {
            assert_eq!((text.flags & !8, text.seq), (ACK, self.next));
            for (i, byte) in text.data.iter().enumerate() {
                let at = self.next.wrapping_sub(self.begin) as usize + i;
                assert_eq!(*byte, chargen(at), "byte {at}");
            }
            self.next = self.next.wrapping_add(text.data.len() as u32);
        }
        self.next.wrapping_sub(from)
    }
}

/// As many bytes as the shifted window takes, for each shift; and the next connection of the same number has its own.
fn by_hand(name: &str, backend: Backend, shifts: &[Option<u8>]) {
    let config = ToeConfig {
        connections: 1,
        ..ToeConfig::default()
    };
    let mut board = OnBoard(Bench::new(name, &config, backend));
    for (n, shift) in shifts.iter().enumerate() {
        let port = PORTS.0 + n as u16;
        let mut hand = Hand::open(board, &config, port, *shift);
        let by = shift.map_or(0, |n| n.min(14));
        let wnd = (1024_u16 >> by).max(1);
        // Whole segments of 256 bytes, for what is less waits for more; at first cwnd has ten of them.
        for wnd in [wnd, wnd * 2] {
            let most = u32::from(wnd) << by;
            let came = hand.window(port, wnd);
            assert!(
                came <= most && came > most.min(2_560) - 256,
                "{came} bytes in a window of {wnd} by {shift:?}"
            );
        }
        assert_eq!(hand.window(port, 0), 0);
        let mut reset = hand.segment(port, 4, 0);
        reset.ack = 0;
        hand.say(reset);
        board = hand.board;
    }
    board.check();
}

#[test]
fn what_is_sent_follows_the_scaled_window() {
    let shifts: Vec<_> = [Some(7), None, Some(14), Some(1), Some(0), None]
        .into_iter()
        .chain((2..=15).map(Some))
        .collect();
    by_hand("scale-verilog", Backend::Verilog, &shifts);
}

/// The blocks and their Verilog, compared in every cycle.
#[test]
fn the_blocks_scale_as_their_verilog_does() {
    by_hand("scale-lockstep", Backend::Lockstep, &[Some(7), None]);
}

/// Looks at the segments each way.
struct Look<L> {
    inner: L,
    /// Window scales of the SYNs: the board's, the peer's.
    board: Option<u8>,
    peer: Option<u8>,
    /// The largest window of the peer's, shifted, and the smallest behind the SYN.
    largest: u32,
}

/// The window scale that stands in options.
fn scale_in(mut options: &[u8]) -> Option<u8> {
    while let [kind, rest @ ..] = options {
        options = match (kind, rest) {
            (0, _) => break,
            (1, _) => rest,
            (3, [3, shift, ..]) => return Some(*shift),
            (_, [length, ..]) => &options[usize::from(*length)..],
            _ => break,
        };
    }
    None
}

impl<L: Link> Link for Look<L> {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        let frame = self.inner.receive(now)?;
        if let Some(t) = Tcp::from_frame(&frame) {
            if t.flags & SYN != 0 {
                self.peer = scale_in(&t.options);
            } else {
                let shift = self.peer.unwrap_or(0);
                self.largest = self.largest.max(u32::from(t.wnd) << shift);
            }
        }
        Some(frame)
    }

    fn send(&mut self, frame: Frame, now: Instant) {
        if let Some(t) = Tcp::from_frame(&frame).filter(|t| t.flags & SYN != 0) {
            self.board = scale_in(&t.options);
        }
        self.inner.send(frame, now);
    }

    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        self.inner.idle_until(now)
    }

    fn medium(&self) -> Medium {
        self.inner.medium()
    }
}

/// One transfer with a peer that has 256 KiB to receive into.
fn talk(name: &str, backend: Backend, call: Call) {
    let config = ToeConfig {
        tx_ring_bytes: 32_768,
        ..ToeConfig::default()
    };
    let mut board = board(&config, backend);
    let mut peer = demo::peer(&config, 1);
    let options = TcpOptions {
        receive_buffer: 256 * 1024,
        ..demo::options()
    };
    peer.add(call.talk(ip(&config), 1).with_options(options));
    call.connect(&mut board, demo::peer_ip(&config).octets());
    let look = Look {
        inner: peer,
        board: None,
        peer: None,
        largest: 0,
    };
    let clock = Clock::simulated(CYCLES_PER_TICK * 1_000);
    let mut world = World::new(board, look, clock).with_queue(4);
    let run = world.run_until(100_000_000, |_, look| look.inner.finished() == Ok(true));
    let finished = world.link.inner.finished();
    assert!(
        run.is_ok() && finished == Ok(true),
        "{name}: {run:?}, {finished:?}\n{}",
        world.link.inner.report()
    );
    world.run(1_000).expect("the rules of the line");
    let look = &world.link;
    assert_eq!(look.board, Some(0), "{name}: ours");
    assert!(look.peer.is_some_and(|n| n > 0), "{name}: {:?}", look.peer);
    assert!(look.largest > 200_000, "{name}: {}", look.largest);
    still_alive(name, &config, world.board);
}

#[test]
fn bytes_pass_to_and_from_a_peer_with_a_large_buffer() {
    for (name, role, flow) in [
        ("scaled-echo", Role::Passive, Flow::Both),
        ("scaled-out", Role::Passive, Flow::Out),
        ("scaled-active", Role::Active, Flow::Both),
        ("scaled-active-out", Role::Active, Flow::Out),
    ] {
        let call = Call::new(role, flow, 300_000, 50_001);
        talk(name, Backend::Verilog, call);
    }
}

#[test]
fn and_in_lockstep() {
    let call = Call::new(Role::Passive, Flow::Both, 8_000, 50_001);
    talk("scaled-lockstep", Backend::Lockstep, call);
}
