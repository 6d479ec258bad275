//! Slots are never lost to peers that vanish: all slots filled with connections whose peers fall silent, in each state, then a newcomer opens within the stated bound.
use toe_hdl::config::{Listener, Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_hdl::tcp::model::toe::ModelToe;
use toe_hdl::tcp::program::constant::KEEPALIVE_BOUND;
use toe_hdl::tcp::program::{program, state, words};
use toe_host::board::{Backend, SimulatedBoard};
use toe_sim::gmii::GmiiPort;
use toe_sim::time::SimulatedTime;
use toe_testbench::liveness::Bench;
use toe_testbench::wire::*;

const HOST: u16 = 100;
/// The peers that vanish come from these ports; the newcomer from another.
const FIRST: u16 = 1_000;
const NEWCOMER: u16 = 2_000;

/// The engine's model with the host on port 100, and its connections' numbers by hand.
struct Model {
    config: ToeConfig,
    toe: ModelToe,
}

impl Model {
    fn new() -> Self {
        let mut config = ToeConfig::default();
        config.listeners.push(Listener::new(HOST, Owner::Host));
        let mut toe = ModelToe::new(&config, &program(&config));
        let peer = u32::from_be_bytes(IP);
        toe.blocks.neighbours.insert(peer, MAC);
        Self { config, toe }
    }

    fn settle(&mut self) {
        assert_eq!(self.toe.settle(10_000), Ok(true));
        assert_eq!(self.toe.blocks.complaints, Vec::<String>::new());
    }

    fn ticks(&mut self, n: u32) {
        for _ in 0..n {
            self.toe.tick();
            self.settle();
        }
    }

    /// The slot whose peer has this port.
    fn slot(&self, port: u16) -> usize {
        let ports = words::PORTS.address().expect("a state word");
        let of = |s: &[u32]| s[usize::from(ports)] >> 16 == u32::from(port);
        let found = self.toe.machine.state.iter().position(|s| of(&s[..]));
        found.expect("a slot")
    }

    fn word(&self, port: u16, word: toe_hdl::tcp::asm::Operand) -> u32 {
        let address = word.address().expect("a state word");
        self.toe.machine.state[self.slot(port)][usize::from(address)]
    }

    /// A segment of the peer with this port, in order and acknowledging all that was sent.
    fn peer_sends(&mut self, port: u16, flags: u8, wnd: u16) {
        let ack = self.word(port, words::SND_MAX);
        self.peer_sends_with(port, flags, wnd, ack);
    }

    fn peer_sends_with(&mut self, port: u16, flags: u8, wnd: u16, ack: u32) {
        let seq = self.word(port, words::RCV_NXT);
        self.put(Tcp {
            ports: (port, HOST),
            seq,
            ack,
            flags,
            wnd,
            ..Tcp::default()
        });
    }

    fn put(&mut self, t: Tcp) {
        let packet = t.packet(&self.config);
        self.toe.packet_in(&packet, MAC);
        self.settle();
    }

    fn syn(&mut self, port: u16) {
        self.put(Tcp {
            ports: (port, HOST),
            seq: 0xFFFF_FFFF,
            flags: SYN,
            wnd: 8_192,
            ..Tcp::default()
        });
    }

    fn open(&mut self, port: u16) {
        self.syn(port);
        self.peer_sends(port, ACK, 8_192);
        assert_eq!(self.state(port), "ESTABLISHED");
    }

    fn state(&self, port: u16) -> &'static str {
        state::name(self.word(port, words::STATE))
    }

    fn write(&mut self, port: u16) {
        let slot = self.slot(port) as u16;
        assert_eq!(self.toe.host_write(slot, &[7; 3_000]), 3_000);
        self.settle();
    }

    fn close(&mut self, port: u16) {
        let slot = self.slot(port) as u16;
        self.toe.host_close(slot);
        self.settle();
    }

    /// Forgets what has left; gives the number of a SYN-ACK for this port, if one was among it.
    fn answered(&mut self, port: u16) -> Option<u32> {
        let mut found = None;
        while let Some(packet) = self.toe.packet_out() {
            let t = Tcp::from_packet(&packet.bytes).expect("a segment");
            if t.ports.1 == port && t.flags == SYN | ACK {
                found = Some(t.seq);
            }
        }
        found
    }
}

/// A state's name, and how a connection gets there.
type Way = (&'static str, fn(&mut Model, u16));

const STATES: [Way; 12] = [
    ("SYN-RECEIVED", Model::syn),
    ("ESTABLISHED", Model::open),
    ("ESTABLISHED", |m, p| {
        // Data on their way.
        m.open(p);
        m.write(p);
    }),
    ("ESTABLISHED", |m, p| {
        // The window shut, and data to send.
        m.open(p);
        m.peer_sends(p, ACK, 0);
        m.write(p);
    }),
    ("ESTABLISHED", |m, p| {
        // The round trip, and so the RTO, as long as a peer can make it.
        m.open(p);
        for _ in 0..12 {
            m.write(p);
            let rto = m.word(p, words::RTO);
            m.ticks(rto - 1);
            while m.word(p, words::SND_UNA) != m.word(p, words::SND_MAX) {
                m.peer_sends(p, ACK, 8_192);
            }
        }
        m.write(p);
    }),
    ("FIN-WAIT-1", |m, p| {
        m.open(p);
        m.close(p);
    }),
    ("FIN-WAIT-2", |m, p| {
        m.open(p);
        m.close(p);
        m.peer_sends(p, ACK, 8_192);
    }),
    ("CLOSE-WAIT", |m, p| {
        m.open(p);
        m.peer_sends(p, ACK | FIN, 8_192);
    }),
    ("CLOSING", |m, p| {
        m.open(p);
        m.close(p);
        let una = m.word(p, words::SND_UNA);
        m.peer_sends_with(p, ACK | FIN, 8_192, una);
    }),
    ("LAST-ACK", |m, p| {
        m.open(p);
        m.peer_sends(p, ACK | FIN, 8_192);
        m.close(p);
    }),
    ("LAST-ACK", |m, p| {
        // The FIN waits behind a shut window.
        m.open(p);
        m.peer_sends(p, ACK | FIN, 0);
        m.close(p);
    }),
    ("TIME-WAIT", |m, p| {
        m.open(p);
        m.close(p);
        m.peer_sends(p, ACK | FIN, 8_192);
    }),
];

/// So many ticks after it was refused the newcomer gets in; gives them. It knows no more than what it is sent: where half-open connections hold the slots its SYN has a cookie, and its ACK the slot of one.
fn newcomer(m: &mut Model, what: &str) -> u32 {
    let mut waited = 0;
    m.answered(NEWCOMER);
    let number = loop {
        m.syn(NEWCOMER);
        if let Some(number) = m.answered(NEWCOMER) {
            break number;
        }
        assert!(waited < KEEPALIVE_BOUND, "{what}: still refused");
        m.ticks(100);
        waited += 100;
    };
    let opened = m.toe.counter(Cause::Opened);
    m.put(Tcp {
        ports: (NEWCOMER, HOST),
        seq: 0,
        ack: number.wrapping_add(1),
        flags: ACK,
        wnd: 8_192,
        ..Tcp::default()
    });
    assert_eq!(m.toe.counter(Cause::Opened), opened + 1, "{what}");
    assert_eq!(m.state(NEWCOMER), "ESTABLISHED", "{what}");
    println!("{what}: {waited} ticks");
    waited
}

#[test]
fn a_newcomer_opens_whatever_state_its_predecessors_vanished_in() {
    for (n, (name, reach)) in STATES.iter().enumerate() {
        // Right after they vanished, and when they have been silent for a while.
        for silent in [0, 1, 999, 70_000] {
            let mut m = Model::new();
            for port in FIRST..FIRST + 4 {
                reach(&mut m, port);
                assert_eq!(m.state(port), *name);
            }
            m.ticks(silent);
            let waited = newcomer(&mut m, &format!("{n} {name}, silent for {silent}"));
            let held = m.toe.counter(Cause::NoSlot) > 0;
            assert_eq!(held, waited > 0);
        }
    }
}

#[test]
fn every_mix_of_states_gives_way() {
    for n in 0..STATES.len() {
        let mut m = Model::new();
        for (i, port) in (FIRST..FIRST + 4).enumerate() {
            let (_, reach) = STATES[(n + i * 5) % STATES.len()];
            reach(&mut m, port);
            m.ticks(n as u32 * 97);
        }
        newcomer(&mut m, &format!("mix {n}"));
    }
}

/// The probes do not tell the living from the dead by luck: four peers that answer stay, however long a fifth asks.
#[test]
fn living_peers_keep_their_slots() {
    let mut m = Model::new();
    for port in FIRST..FIRST + 4 {
        m.open(port);
    }
    for _ in 0..3 * KEEPALIVE_BOUND / 100 {
        m.syn(NEWCOMER);
        m.ticks(100);
        while let Some(packet) = m.toe.packet_out() {
            let t = Tcp::from_packet(&packet.bytes).expect("a segment");
            assert_ne!(t.flags & RST, RST);
            m.peer_sends(t.ports.1, ACK, 8_192);
        }
    }
    assert_eq!(m.toe.counter(Cause::GaveUp), 0);
    for port in FIRST..FIRST + 4 {
        assert_eq!(m.state(port), "ESTABLISHED");
    }
}

/// The same on the hardware, with a tick of few cycles: four peers open and vanish, one of them with bytes on their way to it, one with its window shut.
#[test]
fn a_newcomer_opens_on_the_verilog() {
    const CYCLES_PER_TICK: u64 = 40;
    let config = ToeConfig::default();
    let time = SimulatedTime::new(CYCLES_PER_TICK);
    let board = SimulatedBoard::new(&config, Backend::Verilog, GmiiPort::new(), time)
        .expect("the board can be built");
    let mut b = Bench::around("vanished", &config, board);
    for (port, to, wnd) in [
        (FIRST, 7, 8_192),
        (FIRST + 1, 7, 8_192),
        (FIRST + 2, 19, 8_192),
        (FIRST + 3, 19, 0),
    ] {
        let mut t = Tcp {
            ports: (port, to),
            seq: 99,
            flags: SYN,
            wnd,
            ..Tcp::default()
        };
        b.send(t.frame(&config));
        b.run(1_000);
        let answer = std::mem::take(&mut b.segments);
        let answer = answer.iter().find(|a| a.ports == (to, port));
        let answer = answer.expect("a SYN-ACK");
        (t.seq, t.ack, t.flags) = (100, answer.seq.wrapping_add(1), ACK);
        b.send(t.frame(&config));
        b.run(1_000);
    }
    b.segments.clear();
    let syn = |port| Tcp {
        ports: (port, 7),
        seq: 5,
        flags: SYN,
        wnd: 8_192,
        ..Tcp::default()
    };
    b.send(syn(NEWCOMER).frame(&config));
    b.run(1_000);
    assert_eq!(b.board.counter(Cause::NoSlot), 1);
    b.run(u64::from(KEEPALIVE_BOUND) * CYCLES_PER_TICK);
    assert_eq!(b.board.counter(Cause::GaveUp), 4);
    b.segments.clear();
    b.send(syn(NEWCOMER).frame(&config));
    b.run(1_000);
    let opened = b.segments.iter().any(|t| t.flags == SYN | ACK);
    assert!(opened, "the newcomer is refused");
    b.account();
}
