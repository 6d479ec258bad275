//! 802.1Q tags on the whole engine (`ToeConfig::vlan`): peers with tags and without beside each other, frames made by hand, and what an engine without the switch makes of them.
use std::net::Ipv4Addr;

use toe_hdl::config::{Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_host::board::{Backend, SimulatedBoard};
use toe_host::demo::{self, CYCLES_PER_TICK};
use toe_sim::gmii::{MAX_FRAME, TAG};
use toe_sim::link::{Frame, Instant, Link, Medium, MIN_FRAME};
use toe_sim::peer::{Conversation, Peer, PeerConfig};
use toe_sim::world::{Board as _, Clock, Port as _, World};
use toe_testbench::transfers::{board, bytes, ip};
use toe_testbench::wire::*;

fn vlan() -> ToeConfig {
    ToeConfig {
        vlan: true,
        ..ToeConfig::default()
    }
}

/// A frame with a tag of this control information (IEEE 802.1Q clause 9.6).
fn tagged(frame: &[u8], control: u16) -> Vec<u8> {
    let mut f = frame.to_vec();
    f.splice(12..12, [0x8100, control].map(u16::to_be_bytes).concat());
    f
}

fn with(frame: &[u8], tag: Option<u16>) -> Vec<u8> {
    tag.map_or(frame.to_vec(), |control| tagged(frame, control))
}

/// The control information of a frame's tag, and the frame without it and without padding, which must be all that is needed and zeros.
fn untagged(frame: &[u8]) -> (Option<u16>, Vec<u8>) {
    let half = |at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let tag = (half(12) == 0x8100).then(|| half(14));
    let header = if tag.is_some() { 18 } else { 14 };
    let length = match half(header - 2) {
        0x0800 => usize::from(half(header + 2)),
        0x0806 => 28,
        other => panic!("type {other:04x}"),
    };
    assert_eq!(frame.len(), (header + length).max(MIN_FRAME));
    let (body, padding) = frame.split_at(header + length);
    assert!(padding.iter().all(|b| *b == 0), "{padding:02x?}");
    let bare = [&body[..12], &body[header - 2..]].concat();
    (tag, bare)
}

// ---------------------------------------------------------------- peers

/// A peer whose frames have this tag, and what came for it.
struct Station {
    peer: Peer,
    mac: [u8; 6],
    tag: Option<u16>,
    arp: u64,
    icmp: u64,
    tcp: u64,
    /// Bytes of the longest frame with FCS.
    longest: usize,
}

/// Several on one line. Whatever comes for one must have its tag; requests and announcements of the board's, which go to all, have none.
struct Trunk {
    stations: Vec<Station>,
    /// ARP requests of the board.
    asked: u64,
    turn: usize,
}

/// Priority alone, DEI and the last VLAN id, none.
const TAGS: [Option<u16>; 3] = [Some(0x6000), Some(0x1FFE), None];

fn address(n: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 168, 69, 100 + n as u8)
}

impl Trunk {
    fn new(seed: u64) -> Self {
        let station = |(n, tag)| {
            let mac = [2, 0, 0, 0, 0, 1 + n as u8];
            Station {
                peer: Peer::new(&PeerConfig {
                    mac,
                    ip: address(n),
                    seed: seed + n as u64,
                    ..PeerConfig::default()
                }),
                mac,
                tag,
                arp: 0,
                icmp: 0,
                tcp: 0,
                longest: 0,
            }
        };
        Self {
            stations: TAGS.into_iter().enumerate().map(station).collect(),
            asked: 0,
            turn: 0,
        }
    }

    fn finished(&self) -> bool {
        let mut each = self.stations.iter().map(|s| s.peer.finished());
        each.all(|f| f.unwrap_or_else(|e| panic!("{e}\n{}", self.report())))
    }

    fn report(&self) -> String {
        self.stations.iter().map(|s| s.peer.report()).collect()
    }
}

impl Link for Trunk {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        for _ in 0..self.stations.len() {
            self.turn = (self.turn + 1) % self.stations.len();
            let s = &mut self.stations[self.turn];
            if let Some(frame) = s.peer.receive(now) {
                return Some(Frame::new(with(&frame, s.tag)));
            }
        }
        None
    }

    fn send(&mut self, frame: Frame, now: Instant) {
        let (tag, bare) = untagged(&frame);
        if frame[..6] == [0xFF; 6] {
            assert_eq!((tag, &bare[12..14]), (None, &[8, 6][..]));
            assert_eq!(bare[20..22], [0, 1], "a request");
            self.asked += 1;
            for s in &mut self.stations {
                s.peer.send(Frame::new(bare.clone()), now);
            }
            return;
        }
        let mut each = self.stations.iter_mut();
        let s = each.find(|s| s.mac == frame[..6]).expect("somebody");
        assert_eq!(tag, s.tag, "{:02x?}", &frame[..]);
        match (&bare[12..14], bare[23]) {
            ([8, 6], _) => s.arp += 1,
            (_, 1) => s.icmp += 1,
            (_, 6) => s.tcp += 1,
            other => panic!("{other:02x?}"),
        }
        s.longest = s.longest.max(frame.len() + 4);
        s.peer.send(Frame::new(bare), now);
    }

    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        let each = self.stations.iter_mut();
        each.filter_map(|s| s.peer.idle_until(now)).min()
    }

    fn medium(&self) -> Medium {
        Medium::Ethernet
    }
}

/// Runs the board and its line until all is done.
fn run(board: SimulatedBoard, trunk: Trunk, cycles: u64) -> (SimulatedBoard, Trunk) {
    let clock = Clock::simulated(CYCLES_PER_TICK * 1_000);
    let mut world = World::new(board, trunk, clock).with_queue(4);
    let run = world.run_until(cycles, |_, trunk| trunk.finished());
    if run.is_err() {
        panic!("{run:?}\n{}", world.link.report());
    }
    // A last ACK that found the queue of records full, as three peers' at once may, is asked for again.
    world.run(400_000).expect("the rules of the line");
    (world.board, world.link)
}

#[test]
fn each_peer_has_its_own_tag_back_in_every_frame() {
    let config = vlan();
    let mut board = board(&config, Backend::Verilog);
    // They begin: ARP, pings (one at a time, for there is one buffer), and all at once an echo in full segments both ways, closed.
    for n in 0..TAGS.len() {
        for length in [1, 500] {
            let mut trunk = Trunk::new(1);
            let s = &mut trunk.stations[n];
            let ping = s.peer.ping(ip(&config), length, 3);
            let after = run(board, trunk, 20_000_000);
            let s = &after.1.stations[n];
            assert_eq!((s.peer.app(ping).answered(), s.icmp), (3, 3));
            assert!(s.arp > 0, "no ARP answer");
            board = after.0;
        }
    }
    let mut trunk = Trunk::new(1);
    for (n, s) in (0..).zip(&mut trunk.stations) {
        let talk = Conversation::echo_client(ip(&config), 7, bytes(40_000, n));
        s.peer.add(talk.with_options(demo::options()));
    }
    let (mut board, trunk) = run(board, trunk, 20_000_000);
    for s in &trunk.stations {
        assert!(s.arp > 0, "no ARP answer");
        // Twenty-eight full segments at least, and the SYN.
        assert!(s.tcp >= 29, "{}", s.tcp);
        // A full segment, and the tag above it.
        let tag = if s.tag.is_some() { TAG } else { 0 };
        assert_eq!(s.longest, MAX_FRAME + tag);
    }
    assert_eq!(board.counter(Cause::EthOtherType), 0);
    assert_eq!(board.counter(Cause::Opened), 3);
    assert_eq!(board.counter(Cause::Closed), 3);
    // The board begins, with what ARP has heard of them.
    let mut trunk = Trunk::new(11);
    call_all(&mut board, &mut trunk);
    let (board, trunk) = run(board, trunk, 20_000_000);
    assert_eq!(trunk.asked, 0, "all are known");
    assert!(trunk.stations.iter().all(|s| s.tcp > 5));
    assert_eq!(board.counters_lost(), 0);
}

/// The board opens a connection to each, whose bytes it sends back.
fn call_all(board: &mut SimulatedBoard, trunk: &mut Trunk) {
    for (n, s) in trunk.stations.iter_mut().enumerate() {
        let port = 40_000 + n as u16;
        let data = bytes(5_000, n as u32);
        s.peer.add(Conversation::echo_listener(port, data));
        let owner = Owner::Echo as u8;
        let peer = address(n).octets();
        board.connect(peer, port, port - 10_000, owner).unwrap();
    }
}

/// A board that has heard of nobody asks without a tag, and then calls with that of the answer.
#[test]
fn an_active_open_takes_the_tag_of_arp_s_answer() {
    let config = vlan();
    let mut board = board(&config, Backend::Verilog);
    let mut trunk = Trunk::new(1);
    call_all(&mut board, &mut trunk);
    let (mut board, trunk) = run(board, trunk, 20_000_000);
    assert!(trunk.asked >= 3);
    assert!(trunk.stations.iter().all(|s| s.tcp > 5));
    assert_eq!(board.counter(Cause::Opened), 3);
}

// ---------------------------------------------------------------- by hand

/// Puts a frame on the line of a board at rest and gives what it answers.
fn ask(board: &mut SimulatedBoard, frame: impl Into<Frame>) -> Vec<Vec<u8>> {
    board.line_mut().queue(frame.into());
    let (mut answers, mut still) = (vec![], 0);
    while still < 700 {
        board.cycle();
        still = if board.line().is_quiet() {
            still + 1
        } else {
            0
        };
        if let Some(violation) = board.line_mut().take_violation() {
            panic!("{violation}");
        }
        while let Some(frame) = board.line_mut().take() {
            answers.push(frame.bytes);
            still = 0;
        }
    }
    answers
}

/// Those that the board answers, each in its way: ARP, the shortest and the longest ping, a port that is refused, a stranger's ACK.
fn questions(config: &ToeConfig) -> Vec<Vec<u8>> {
    let segment = |flags, port, data: &[u8]| {
        let t = Tcp {
            ports: (50_000, port),
            seq: 1_000,
            ack: 77,
            flags,
            wnd: 8_192,
            options: vec![],
            data: data.into(),
        };
        t.frame(config)
    };
    vec![
        arp(config, 1),
        ping(config, 0),
        ping(config, 504),
        segment(SYN, 81, &[]),
        segment(ACK, 7, b"hello"),
        segment(FIN | ACK, 9, &[9; 1_460]),
    ]
}

/// With this tag or that: the same answer, under the tag of the question. On both back ends at once.
#[test]
fn every_kind_of_answer_has_the_tag_of_its_question() {
    let config = vlan();
    let mut board = board(&config, Backend::Lockstep);
    // What it announced itself with.
    let announced = ask(&mut board, arp(&config, 2));
    let [announced] = &announced[..] else {
        panic!("{announced:02x?}")
    };
    assert_eq!(untagged(announced).0, None);
    for question in questions(&config) {
        let bare = ask(&mut board, question.clone());
        let [bare] = &bare[..] else {
            panic!("{} answers to {question:02x?}", bare.len())
        };
        let (tag, bare) = untagged(bare);
        assert_eq!(tag, None);
        for control in [0, 0x1000, 0x0FFE, 0xFFFE, 0x8123, 0x7000] {
            let answers = ask(&mut board, tagged(&question, control));
            let answers: Vec<_> = answers.iter().map(|f| untagged(f)).collect();
            assert_eq!(answers, [(Some(control), bare.clone())]);
        }
        let again = ask(&mut board, question);
        assert_eq!(untagged(&again[0]), (None, bare));
    }
}

/// One counter moves, and it is this one.
fn moves(board: &mut SimulatedBoard, frame: Frame, cause: Cause) {
    let before = board.counter(cause);
    ask(board, frame.clone());
    assert_eq!(
        board.counter(cause),
        before + 1,
        "{} of {:02x?}",
        cause.name(),
        &frame[..frame.len().min(60)]
    );
}

/// A tagged frame is counted as what is in it would be, to the last byte of the longest; two tags, the reserved VLAN id and other types under a tag are another type.
#[test]
fn what_is_under_a_tag_ends_where_it_would_without() {
    let config = vlan();
    let mut board = board(&config, Backend::Verilog);
    let mut frames = questions(&config);
    for at in [14, 15, 17, 20, 23, 24, 30, 34, 37, 38] {
        // What is wrong in each byte of a header, one after the other.
        for question in questions(&config) {
            let mut frame = question;
            frame[at] ^= 0x11;
            frames.push(frame);
        }
    }
    frames.push(ethernet([2, 0x54, 0x4F, 0x45, 0, 9], 0x0800, &[0x45; 60]));
    frames.extend([1_496, 1_500].map(|n| ethernet(config.mac, 0x0800, &vec![0x45; n])));
    let mut causes = std::collections::BTreeSet::new();
    for frame in frames {
        let cause = fate(&Frame::new(frame.clone()), &config).expect("a frame");
        causes.insert(cause.number());
        moves(&mut board, Frame::new(tagged(&frame, 0x2005)), cause);
        moves(&mut board, Frame::new(frame), cause);
    }
    for cause in [
        Cause::EthOtherAddress,
        Cause::ArpIn,
        Cause::ArpMalformed,
        Cause::Ip4BadHeader,
        Cause::IcmpEcho,
        Cause::IcmpBad,
        Cause::TcpIn,
        Cause::TcpBadChecksum,
    ] {
        assert!(causes.contains(&cause.number()), "{}", cause.name());
    }
    // One byte more than the longest, with its tag and without.
    let long = ethernet(config.mac, 0x0800, &vec![0x45; 1_501]);
    moves(
        &mut board,
        Frame::new(tagged(&long, 5)),
        Cause::LinkOversize,
    );
    moves(&mut board, Frame::new(long), Cause::LinkOversize);
    // But for the longest, which two tags would make too long.
    for question in questions(&config).into_iter().filter(|q| q.len() < 1_000) {
        let (twice, reserved) = (tagged(&tagged(&question, 5), 6), tagged(&question, 0x0FFF));
        let mut other = tagged(&question, 5);
        other[16..18].copy_from_slice(&[0x86, 0xDD]);
        for frame in [twice, reserved, other] {
            moves(&mut board, Frame::new(frame.clone()), Cause::EthOtherType);
            assert!(ask(&mut board, frame).is_empty());
        }
    }
}

#[test]
fn without_the_switch_every_tagged_frame_is_of_another_type() {
    let config = ToeConfig::default();
    let mut board = board(&config, Backend::Verilog);
    ask(&mut board, arp(&config, 2));
    for question in questions(&config) {
        for control in [0, 5, 0xFFFE] {
            let frame = tagged(&question, control);
            moves(&mut board, Frame::new(frame.clone()), Cause::EthOtherType);
            assert!(ask(&mut board, frame).is_empty());
        }
        assert_eq!(ask(&mut board, question).len(), 1);
    }
}
