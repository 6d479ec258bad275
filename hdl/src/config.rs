//! The engine's configuration: one checked value.
use std::fmt;

use crate::tcp::{parser::LOOK_UP_CYCLES, program, table::longest_look_up};

/// The largest number of connections: what a connection's number of 10 bits can tell apart.
pub const MAX_CONNECTIONS: usize = 1024;

/// How many words a program memory may have: powers of two, and those with a second bank: above 1,024, for which an HX8K needs three block RAMs more, and above 2,048, for which an ECP5 needs one or two.
pub const PROGRAM_WORDS: [usize; 6] = [1024, 1536, 2048, 2560, 3072, 4096];

// The connection table's longest look-up is over before the parser's payload queue must give up.
const _: () = assert!(longest_look_up() <= LOOK_UP_CYCLES);

/// Which application owns a listening port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Owner {
    Echo = 0,
    Discard = 1,
    Chargen = 2,
    Host = 3,
}

/// A port that is listened on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    pub port: u16,
    /// Who serves its connections.
    pub owner: Owner,
    /// Half-open connections it may have at once, 1 or more; for one more there is a cookie ([`ToeConfig::syn_cookies`]), or the oldest of them gives way. Without a number: as many as there are connections.
    pub backlog: Option<usize>,
}

impl Listener {
    /// A listener without a backlog of its own.
    pub const fn new(port: u16, owner: Owner) -> Self {
        Self {
            port,
            owner,
            backlog: None,
        }
    }

    /// With this backlog.
    pub const fn backlog(self, backlog: usize) -> Self {
        Self {
            backlog: Some(backlog),
            ..self
        }
    }
}

/// What the engine is built for. Sizes cost memory, not logic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToeConfig {
    /// Connections at once: a power of two, 1 to [`MAX_CONNECTIONS`].
    pub connections: usize,
    /// Connections in TIME-WAIT that are remembered besides, without buffers; at most [`ToeConfig::most_time_wait`]. None: as many as that. With 0 a connection keeps its
    /// slot in TIME-WAIT until another needs it.
    pub time_wait: Option<usize>,
    /// Receive buffer of each connection in bytes: a power of two, 256 to 32,768.
    pub rx_ring_bytes: usize,
    /// Send buffer of each connection in bytes: a power of two, 256 to 32,768.
    pub tx_ring_bytes: usize,
    /// Largest IP packet, 576 to 1500 (RFC 791, RFC 894).
    pub mtu: u16,
    /// The link has Ethernet addresses. Without (SLIP) the program keeps and asks for none, which saves words of it.
    pub ethernet: bool,
    /// Own Ethernet address, in wire order.
    pub mac: [u8; 6],
    /// Own IPv4 address.
    pub ip: [u8; 4],
    /// Network mask.
    pub netmask: [u8; 4],
    /// Gateway, all zero for none.
    pub gateway: [u8; 4],
    /// Time to live of what is sent (RFC 9293 section 3.9.2, MUST-49), at least 1.
    pub ttl: u8,
    /// Ports listened on; at most 8.
    pub listeners: Vec<Listener>,
    /// Longest ICMP echo payload answered, a power of two, 64 to 2048.
    pub icmp_bytes: usize,
    /// Key of the connection table's hash, a secret: not zero, and another one in each device that strangers can reach. What stands here is in the bitstream, so whoever
    /// has that knows it; the default everybody knows. A device that strangers can reach is given another at start, of random numbers (RFC 4086), through the port `key_write` of its top.
    pub hash_key: u64,
    /// Initial sequence numbers are RFC 6528's, a clock and a keyed hash of the tuple; else the clock alone, which anybody can guess. With 1,536 words of program the program computes it ([`ToeConfig::isn_in_program`]).
    pub isn_hash: bool,
    /// Key of that hash at first: for it holds what is said of `hash_key`. Two engines that a peer might take for one have different ones.
    pub isn_key: u64,
    /// Words of the engine's program memory: one of [`PROGRAM_WORDS`], of which an HX8K has room for the first two. With 1,024 the program leaves out what [`ToeConfig::complete`]
    /// lists. A configuration whose program is longer is refused.
    pub program_words: usize,
    /// Text is acknowledged with data, with the second segment, or 40 ms late (RFC 9293 section 3.8.6.3); else every segment at once.
    pub delayed_ack: bool,
    /// Clock cycles from one `tick` to the next: 125,000 is the usual millisecond at 125 MHz. Nothing counts them; the timers of all connections must be looked at in that time.
    pub tick_cycles: usize,
    /// Selective acknowledgements (RFC 2018), both ways: the parser reads their blocks, the rings tell what is held and remember what the peer holds. With 1,536 words of program ours alone ([`ToeConfig::scoreboard`]).
    pub sack: bool,
    /// Timestamps (RFC 7323), with those who have them: round trips of what was sent again, old duplicates told from new text (PAWS), ports used again sooner. Only with `sack`.
    pub timestamps: bool,
    /// Window scale (RFC 7323 section 2), with those who have it: our own shift is 0, the windows of peers with large buffers come shifted. Without it they offer 65,535 at most.
    pub window_scale: bool,
    /// ICMP errors about segments that are on their way are heard (RFC 1122 section 4.2.3.9, RFC 5927): they lower the path MTU (RFC 1191) and end an active open that is refused.
    /// Else they are counted and passed over.
    pub icmp_errors: bool,
    /// Congestion control is CUBIC (RFC 9438) where the application does not choose NewReno for its connection; else NewReno's (RFC 5681). Only with `sack`.
    pub cubic: bool,
    /// A frame with one 802.1Q tag (IEEE 802.1Q clause 9, type 0x8100) is taken as if it had none, and what answers it has the same tag, priority, DEI and VLAN id: ARP and echo replies, the segments of a connection
    /// as its SYN came, a stranger's RST. An active open goes with the tag that ARP last heard of its next hop, or without one; ARP's own requests go without. A tag is not part of a connection's name: its segments are
    /// taken with another one, too. A second tag, and the reserved VLAN id 0xFFF, are other types. The MTU stays: a tagged frame is four bytes longer. Only with `ethernet`. Else tagged frames are of another type, all of them.
    pub vlan: bool,
    /// A SYN for which a half-open connection would have to go is answered with a cookie (RFC 4987 section 3.6) in place of that: whoever acknowledges it has a connection then, without SACK, timestamps and window scale. Only with `isn_hash`, and not with
    /// 1,024 words of program. Else the oldest half-open connection of the listener gives way.
    pub syn_cookies: bool,
    /// Connections that one remote address may have at once, half open and open, 1 to `connections`; a SYN more is dropped. None: as many as there are. What the host opens itself counts, and is never refused for it. Addresses are told apart by a hash: see `tcp::sources`.
    pub per_source: Option<usize>,
    /// Explicit congestion notification (RFC 3168), with those who ask for it, and where a host's command asks. Else a segment's bits of it are of no consequence, and none are sent.
    pub ecn: bool,
    /// The user timeout option (RFC 5482) is read and sent, on connections whose application asks for it (`tcp::program::host`). Else it is stepped over. Not with 1,024 or 1,536 words of program.
    pub user_timeout_option: bool,
    /// A pacer may hold a connection's new text, through the ports `pace_…` ([`crate::tcp::pacing`]). Without one its port `pace_hold` is low.
    pub pacing: bool,
    /// The host is an application, owner 3, by the port `host` of [`crate::toe::EthernetToe`] ([`crate::app`]): logic outside reads, writes, closes and aborts its connections there. Else what owner 3 has nobody serves.
    pub host_port: bool,
}

impl Default for ToeConfig {
    /// Four connections with buffers of 8 KiB on Ethernet; echo, discard and chargen on their well-known ports.
    fn default() -> Self {
        Self {
            connections: 4,
            time_wait: None,
            rx_ring_bytes: 8192,
            tx_ring_bytes: 8192,
            mtu: 1500,
            ethernet: true,
            mac: [0x02, 0x54, 0x4F, 0x45, 0x00, 0x01],
            ip: [192, 168, 69, 2],
            netmask: [255, 255, 255, 0],
            gateway: [0, 0, 0, 0],
            ttl: 64,
            listeners: vec![
                Listener::new(7, Owner::Echo),
                Listener::new(9, Owner::Discard),
                Listener::new(19, Owner::Chargen),
            ],
            icmp_bytes: 512,
            hash_key: 0x5DEE_CE66_D1CE_4E5B,
            isn_hash: true,
            isn_key: 0xB5AD_4ECE_DA1C_E2A9,
            program_words: 3072,
            delayed_ack: true,
            tick_cycles: 125_000,
            sack: true,
            timestamps: true,
            window_scale: true,
            icmp_errors: true,
            cubic: true,
            vlan: false,
            syn_cookies: true,
            per_source: None,
            ecn: true,
            user_timeout_option: false,
            pacing: true,
            host_port: false,
        }
    }
}

/// A configuration value out of its limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The field of [`ToeConfig`].
    pub field: &'static str,
    /// The value it had.
    pub value: String,
    /// What it may be.
    pub limit: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {}, but must be {}",
            self.field, self.value, self.limit
        )
    }
}

impl std::error::Error for ConfigError {}

impl ToeConfig {
    /// Largest segment payload this engine sends or asks for before options: `min(mtu - 40, ring / 2)`.
    pub fn receive_mss(&self) -> u16 {
        (self.mtu - 40).min((self.rx_ring_bytes / 2) as u16)
    }

    /// The same for sending; a peer's smaller MSS lowers it further.
    pub fn send_mss(&self) -> u16 {
        (self.mtu - 40).min((self.tx_ring_bytes / 2) as u16)
    }

    /// The largest `time_wait` beside these connections: one less than they are, for which the engine's state has room anyway, and no more than a number of 10 bits can tell apart.
    pub fn most_time_wait(&self) -> usize {
        let beside = MAX_CONNECTIONS.saturating_sub(self.connections);
        self.connections.saturating_sub(1).min(beside)
    }

    /// Connections remembered in TIME-WAIT without buffers.
    pub fn time_wait(&self) -> usize {
        self.time_wait.unwrap_or(self.most_time_wait())
    }

    /// Entries of the connection table: connections, then those in TIME-WAIT. The numbers of the latter begin with [`ToeConfig::connections`].
    pub fn entries(&self) -> usize {
        self.connections + self.time_wait()
    }

    /// Half-open connections that a listener may have.
    pub fn backlog(&self, listener: &Listener) -> usize {
        listener.backlog.unwrap_or(self.connections)
    }

    /// The program is written out whole. With 1,024 words it goes without:
    /// - LISTEN's fourth rule (RFC 9293 section 3.10.7.2): what has neither RST nor ACK nor SYN is reset at a port that is listened on, too.
    /// - Addresses that no peer has (section 3.9.2.3, MUST-46 and MUST-63): strangers' segments from them are answered, and active opens to them are tried.
    /// - The return to LISTEN for a SYN in the window of a passive open in SYN-RECEIVED (section 3.10.7.4, fourth check): it is challenged, as in other states.
    /// - RFC 5961 section 5.2: an ACK however old lets its segment's text in.
    /// - The sender's avoidance of silly windows but for Nagle's algorithm (section 3.8.6.2.1, MUST-38): a window smaller than a segment is filled at once when nothing is on its way.
    /// - The limit on challenge ACKs (RFC 5961 section 7).
    /// - An ACK's place while the peer's window is shut and was probed (section 3.10.7.4): it stands behind the probe, where the peer does not take it.
    /// - What applications are told without having asked, but for how a connection began and ended: urgent text, soft errors, R1 (sections 3.8.5, 3.9.1.8).
    /// - Options of a connection (`tcp::program::host`): Nagle's algorithm is always on, keepalive never, R2 is a number of tries (MUST-17, MUST-24, MUST-21).
    /// - The restart window after a rest (RFC 5681 section 4.1), and limited transmit's share left out of FlightSize (section 3.2, step 2): with rings of that size `cwnd` limits nothing but after a loss.
    ///
    /// With 1,536, the most that an HX8K has room for, it has of these what [`ToeConfig::hardened`] says, limited transmit's share, and the right place of an ACK beside a probe.
    pub fn complete(&self) -> bool {
        self.program_words > 1536
    }

    /// The program has what keeps strangers out, with 1,536 words, too: of what [`ToeConfig::complete`] lists LISTEN's fourth rule, addresses that no peer has, the return to LISTEN, and all of RFC 5961.
    /// First numbers of RFC 6528 are `isn_hash`'s.
    pub fn hardened(&self) -> bool {
        self.program_words > 1024
    }

    /// With [`ToeConfig::sack`] the peer's blocks are heard. With 1,536 words of program they are not: then only ours are sent, and what was lost is found as with NewReno.
    pub fn scoreboard(&self) -> bool {
        self.sack && self.complete()
    }

    /// F of the initial sequence numbers ([`ToeConfig::isn_hash`]) is a routine of the program, which takes no cells and some hundred cycles of a SYN's event: with 1,536 words. Else it is of gates.
    pub fn isn_in_program(&self) -> bool {
        self.isn_hash && self.hardened() && !self.complete()
    }

    /// The fewest words of program memory with which the program has what the switches ask for, however long it is.
    pub fn least_program_words(&self) -> usize {
        let large = self.timestamps || self.cubic || self.icmp_errors;
        let options = self.ecn || self.window_scale || self.user_timeout_option;
        if large || options || self.syn_cookies {
            2048
        } else if self.sack {
            1536
        } else {
            1024
        }
    }

    /// What is built in and takes many words of program, by its fields.
    fn costly(&self) -> Vec<&'static str> {
        [
            ("cubic", self.cubic),
            ("timestamps", self.timestamps),
            ("window_scale", self.window_scale),
            ("sack", self.sack),
            ("ecn", self.ecn),
            ("user_timeout_option", self.user_timeout_option),
            ("icmp_errors", self.icmp_errors),
            ("syn_cookies", self.syn_cookies),
            ("isn_hash", self.isn_hash),
            ("delayed_ack", self.delayed_ack),
            ("ethernet (where the link is SLIP)", self.ethernet),
        ]
        .into_iter()
        .filter_map(|(field, is_on)| is_on.then_some(field))
        .collect()
    }

    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field out of its limits, its value, and the limit.
    pub fn check(&self) -> Result<(), ConfigError> {
        let power = |field, value: usize, low: usize, high: usize| {
            if value.is_power_of_two() && (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError {
                    field,
                    value: value.to_string(),
                    limit: format!("a power of two from {low} to {high}"),
                })
            }
        };
        power("connections", self.connections, 1, MAX_CONNECTIONS)?;
        if self.time_wait() > self.most_time_wait() {
            return Err(ConfigError {
                field: "time_wait",
                value: self.time_wait().to_string(),
                limit: format!(
                    "at most {} beside {} connections: one less than they are, and no more than {MAX_CONNECTIONS} with them",
                    self.most_time_wait(),
                    self.connections
                ),
            });
        }
        power("rx_ring_bytes", self.rx_ring_bytes, 256, 32768)?;
        power("tx_ring_bytes", self.tx_ring_bytes, 256, 32768)?;
        power("icmp_bytes", self.icmp_bytes, 64, 2048)?;
        if !PROGRAM_WORDS.contains(&self.program_words) {
            return Err(ConfigError {
                field: "program_words",
                value: self.program_words.to_string(),
                limit: "1024, 1536, 2048, 2560, 3072 or 4096".into(),
            });
        }
        // Four timers, three cycles each, and a third as much again for the commands between them.
        let scan = 16 * self.entries();
        if self.tick_cycles < scan {
            return Err(ConfigError {
                field: "tick_cycles",
                value: self.tick_cycles.to_string(),
                limit: format!(
                    "at least {scan}, in which the timers of {} connections are looked at: tick more slowly, or have fewer connections",
                    self.entries()
                ),
            });
        }
        if self.hash_key == 0 {
            return Err(ConfigError {
                field: "hash_key",
                value: "0".into(),
                limit: "any other number, or all tuples have one hash".into(),
            });
        }
        if !(576..=1500).contains(&self.mtu) {
            return Err(ConfigError {
                field: "mtu",
                value: self.mtu.to_string(),
                limit: "from 576 to 1500".into(),
            });
        }
        if self.mac[0] & 1 == 1 {
            return Err(ConfigError {
                field: "mac",
                value: format!("{:02x?}", self.mac),
                limit: "a unicast address (first octet even)".into(),
            });
        }
        if self.ip[0] == 0 || self.ip[0] == 127 || self.ip[0] >= 224 {
            return Err(ConfigError {
                field: "ip",
                value: format!("{:?}", self.ip),
                limit: "a unicast address".into(),
            });
        }
        if self.ttl == 0 {
            return Err(ConfigError {
                field: "ttl",
                value: "0".into(),
                limit: "from 1 to 255".into(),
            });
        }
        if self.timestamps && !self.sack {
            return Err(ConfigError {
                field: "timestamps",
                value: "true".into(),
                limit: "false without sack".into(),
            });
        }
        if self.cubic && !self.sack {
            return Err(ConfigError {
                field: "cubic",
                value: "true".into(),
                limit: "false without sack".into(),
            });
        }
        if self.vlan && !self.ethernet {
            return Err(ConfigError {
                field: "vlan",
                value: "true".into(),
                limit: "false without ethernet: tags are of Ethernet frames".into(),
            });
        }
        if self.syn_cookies && !self.isn_hash {
            return Err(ConfigError {
                field: "syn_cookies",
                value: "true".into(),
                limit: "false without isn_hash: cookies are made with it".into(),
            });
        }
        if let Some(most) = self.per_source {
            if !(1..=self.connections).contains(&most) {
                return Err(ConfigError {
                    field: "per_source",
                    value: most.to_string(),
                    limit: format!("from 1 to {}, the number of connections", self.connections),
                });
            }
        }
        let length = program::length(self);
        if length > self.program_words {
            return Err(ConfigError {
                field: "program_words",
                value: self.program_words.to_string(),
                limit: format!("{} or more: what this configuration asks for takes a program of {length} words. Or set to false what it can do without, of {}", PROGRAM_WORDS.into_iter().find(|words| *words >= length).unwrap_or(length), self.costly().join(", ")),
            });
        }
        let least = self.least_program_words();
        if self.program_words < least {
            return Err(ConfigError {
                field: "program_words",
                value: self.program_words.to_string(),
                limit: format!("{least} or more with timestamps, window_scale, cubic, ecn, user_timeout_option, icmp_errors or syn_cookies, and 1536 with sack"),
            });
        }
        let mask = u32::from_be_bytes(self.netmask);
        if mask.leading_ones() + mask.trailing_zeros() < 32 {
            return Err(ConfigError {
                field: "netmask",
                value: format!("{:?}", self.netmask),
                limit: "ones, then zeros".into(),
            });
        }
        if self.listeners.is_empty() || self.listeners.len() > 8 {
            return Err(ConfigError {
                field: "listeners",
                value: format!("{} ports", self.listeners.len()),
                limit: "1 to 8 ports".into(),
            });
        }
        for (i, l) in self.listeners.iter().enumerate() {
            let port = l.port;
            if port == 0 || self.listeners[..i].iter().any(|o| o.port == port) {
                return Err(ConfigError {
                    field: "listeners",
                    value: format!("port {port}"),
                    limit: "ports from 1 to 65535, each once".into(),
                });
            }
            let backlog = self.backlog(l);
            if !(1..=self.connections).contains(&backlog) {
                return Err(ConfigError {
                    field: "listeners",
                    value: format!("port {port} with a backlog of {backlog}"),
                    limit: format!(
                        "ports with backlogs from 1 to {}, the number of connections",
                        self.connections
                    ),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_sound() {
        assert_eq!(ToeConfig::default().check(), Ok(()));
    }

    /// Whatever is switched on or off the program is sound, and with 3,072 words it fits; with 1,024 it does or is told.
    #[test]
    fn every_mix_of_switches_has_a_program_or_is_told() {
        let (mut small, mut middle) = (0, 0);
        for mix in 0..2048u32 {
            let on = |bit: u32| mix >> bit & 1 == 1;
            for program_words in [1024, 1536, 3072] {
                let c = ToeConfig {
                    program_words,
                    sack: on(0),
                    timestamps: on(0) && on(1),
                    icmp_errors: on(2),
                    isn_hash: on(3),
                    delayed_ack: on(4),
                    ethernet: on(5),
                    vlan: on(5) && on(6),
                    window_scale: on(7),
                    cubic: on(0) && on(8),
                    syn_cookies: on(3) && on(9),
                    per_source: on(9).then_some(2),
                    ecn: on(10),
                    user_timeout_option: mix.count_ones() % 2 == 1,
                    gateway: [192, 168, 69, 1],
                    ..ToeConfig::default()
                };
                match c.check() {
                    Ok(()) => {
                        assert!(program::program(&c).words.len() <= program_words);
                        small += usize::from(program_words == 1024);
                        middle += usize::from(program_words == 1536);
                    }
                    Err(e) => {
                        assert_eq!(e.field, "program_words", "{c:?}");
                        assert!(program_words < 3072, "{c:?}: {e}");
                    }
                }
            }
        }
        assert!(small > 0 && middle > small, "{small} {middle}");
    }

    #[test]
    fn what_a_program_can_do_without_is_what_it_has() {
        let config = ToeConfig {
            program_words: 2048,
            cubic: false,
            ..ToeConfig::default()
        };
        let told = config.check().unwrap_err().to_string();
        assert!(told.contains("timestamps, window_scale, sack"), "{told}");
        assert!(!told.contains("cubic"), "{told}");
    }

    #[test]
    fn a_bad_value_is_named_with_its_limit() {
        let c = ToeConfig {
            connections: 3,
            ..ToeConfig::default()
        };
        assert_eq!(
            c.check().unwrap_err().to_string(),
            "connections is 3, but must be a power of two from 1 to 1024"
        );
        for (connections, sound) in [(1, true), (32, true), (1024, true), (2048, false)] {
            let c = ToeConfig {
                connections,
                ..ToeConfig::default()
            };
            assert_eq!(c.check().is_ok(), sound, "{connections}");
        }
        let c = ToeConfig {
            netmask: [255, 0, 255, 0],
            ..ToeConfig::default()
        };
        assert_eq!(c.check().unwrap_err().field, "netmask");
        let mut c = ToeConfig::default();
        c.listeners.push(Listener::new(7, Owner::Discard));
        assert_eq!(c.check().unwrap_err().value, "port 7");
        for (connections, time_wait, sound) in [
            (4, 3, true),
            (4, 4, false),
            (1, 0, true),
            (512, 511, true),
            (1024, 0, true),
            (1024, 1, false),
        ] {
            let c = ToeConfig {
                connections,
                time_wait: Some(time_wait),
                ..ToeConfig::default()
            };
            assert_eq!(c.check().is_ok(), sound, "{connections}, {time_wait}");
        }
        for (backlog, sound) in [(0, false), (1, true), (4, true), (5, false)] {
            let mut c = ToeConfig::default();
            c.listeners[1] = c.listeners[1].backlog(backlog);
            let said = c.check().map_err(|e| e.to_string());
            assert_eq!(said.is_ok(), sound);
            assert!(sound || said.unwrap_err().contains("port 9 with a backlog of"));
        }
        for (connections, tick_cycles, sound) in [
            (1024, 16_384, true),
            (1024, 16_383, false),
            (4, 112, true),
            (4, 111, false),
        ] {
            let c = ToeConfig {
                connections,
                tick_cycles,
                ..ToeConfig::default()
            };
            let got = c.check().map_err(|e| e.to_string());
            let told = got.as_ref().is_err_and(|e| {
                e.starts_with(&format!(
                    "tick_cycles is {tick_cycles}, but must be at least"
                )) && e.contains("fewer connections")
            });
            assert_eq!((got.is_ok(), told), (sound, !sound), "{got:?}");
        }
        let c = ToeConfig {
            program_words: 1024,
            ..ToeConfig::default()
        };
        let told = c.check().unwrap_err().to_string();
        assert!(
            told.starts_with("program_words is 1024, but must be ") && told.contains("or more"),
            "{told}"
        );
        let c = ToeConfig {
            program_words: 1536,
            ethernet: false,
            sack: false,
            timestamps: false,
            window_scale: false,
            cubic: false,
            ecn: false,
            syn_cookies: false,
            ..ToeConfig::default()
        };
        let told = c.check().unwrap_err().to_string();
        assert!(
            told.starts_with("program_words is 1536, but must be 2048 or more with"),
            "{told}"
        );
        let c = ToeConfig {
            sack: true,
            icmp_errors: false,
            ..c
        };
        assert_eq!(c.check(), Ok(()));
        let c = ToeConfig {
            program_words: 1024,
            ethernet: false,
            sack: false,
            timestamps: false,
            window_scale: false,
            cubic: false,
            icmp_errors: false,
            isn_hash: false,
            syn_cookies: false,
            ecn: false,
            ..ToeConfig::default()
        };
        assert_eq!(c.check(), Ok(()));
        let c = ToeConfig {
            sack: false,
            ..ToeConfig::default()
        };
        assert_eq!(
            c.check().unwrap_err().to_string(),
            "timestamps is true, but must be false without sack"
        );
        let c = ToeConfig {
            timestamps: false,
            ..c
        };
        assert_eq!(
            c.check().unwrap_err().to_string(),
            "cubic is true, but must be false without sack"
        );
        let c = ToeConfig {
            hash_key: 0,
            ..ToeConfig::default()
        };
        assert_eq!(c.check().unwrap_err().field, "hash_key");
        let c = ToeConfig {
            mtu: 575,
            ..ToeConfig::default()
        };
        assert_eq!(c.check().unwrap_err().field, "mtu");
        for (vlan, ethernet) in [(true, true), (false, false), (true, false)] {
            let c = ToeConfig {
                vlan,
                ethernet,
                ..ToeConfig::default()
            };
            let said = c.check().map_err(|e| e.to_string());
            let refused =
                "vlan is true, but must be false without ethernet: tags are of Ethernet frames";
            assert_eq!(
                said.err().as_deref(),
                (vlan && !ethernet).then_some(refused)
            );
        }
    }
}
