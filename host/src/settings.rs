//! A configuration from a TOML file: the fields of [`ToeConfig`], each of which may be left out.
use std::fmt::Display;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::str::FromStr;

use anyhow::Result;
use serde::{Deserialize, Deserializer};
use toe_hdl::config::{self, ConfigError, Owner, ToeConfig, MAX_CONNECTIONS};

use crate::Refused;

/// The file as it is written. Field for field [`ToeConfig`], with addresses as people write them.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    connections: usize,
    time_wait: Option<usize>,
    rx_ring_bytes: usize,
    tx_ring_bytes: usize,
    mtu: u16,
    #[serde(deserialize_with = "parsed")]
    mac: Mac,
    #[serde(deserialize_with = "parsed")]
    ip: Ipv4Addr,
    #[serde(deserialize_with = "parsed")]
    netmask: Ipv4Addr,
    #[serde(deserialize_with = "parsed")]
    gateway: Ipv4Addr,
    ttl: u8,
    listeners: Vec<Listener>,
    icmp_bytes: usize,
    #[serde(deserialize_with = "parsed")]
    hash_key: Key,
    isn_hash: bool,
    #[serde(deserialize_with = "parsed")]
    isn_key: Key,
    tick_cycles: usize,
    sack: bool,
    timestamps: bool,
    window_scale: bool,
    icmp_errors: bool,
    cubic: bool,
    vlan: bool,
    syn_cookies: bool,
    per_source: Option<usize>,
    ecn: bool,
    user_timeout_option: bool,
    pacing: bool,
    host_port: bool,
    delayed_ack: bool,
    ethernet: bool,
    program_words: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listener {
    port: u16,
    app: App,
    backlog: Option<usize>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum App {
    Echo,
    Discard,
    Chargen,
    Host,
}

struct Mac([u8; 6]);

impl FromStr for Mac {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let octet = |part: &str| match part.len() {
            2 => u8::from_str_radix(part, 16).ok(),
            _ => None,
        };
        let octets: Option<Vec<u8>> = s.split(':').map(octet).collect();
        octets
            .and_then(|octets| octets.try_into().ok())
            .map(Self)
            .ok_or_else(|| "six octets like 02:54:4f:45:00:01".into())
    }
}

/// 64 bits, which a TOML integer cannot hold.
struct Key(u64);

impl FromStr for Key {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        (s.strip_prefix("0x"))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| "up to 16 hexadecimal digits behind 0x".into())
    }
}

fn parsed<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    let text = String::deserialize(from)?;
    text.parse()
        .map_err(|e| serde::de::Error::custom(format!("`{text}` won't do: {e}")))
}

impl Default for Settings {
    fn default() -> Self {
        let c = ToeConfig::default();
        let app = |owner| match owner {
            Owner::Echo => App::Echo,
            Owner::Host => App::Host,
            Owner::Discard => App::Discard,
            Owner::Chargen => App::Chargen,
        };
        let listeners = c.listeners.iter();
        Self {
            connections: c.connections,
            time_wait: c.time_wait,
            rx_ring_bytes: c.rx_ring_bytes,
            tx_ring_bytes: c.tx_ring_bytes,
            mtu: c.mtu,
            mac: Mac(c.mac),
            ip: c.ip.into(),
            netmask: c.netmask.into(),
            gateway: c.gateway.into(),
            ttl: c.ttl,
            listeners: listeners
                .map(|l| Listener {
                    port: l.port,
                    app: app(l.owner),
                    backlog: l.backlog,
                })
                .collect(),
            icmp_bytes: c.icmp_bytes,
            hash_key: Key(c.hash_key),
            isn_hash: c.isn_hash,
            isn_key: Key(c.isn_key),
            tick_cycles: c.tick_cycles,
            sack: c.sack,
            timestamps: c.timestamps,
            window_scale: c.window_scale,
            icmp_errors: c.icmp_errors,
            cubic: c.cubic,
            vlan: c.vlan,
            syn_cookies: c.syn_cookies,
            per_source: c.per_source,
            ecn: c.ecn,
            user_timeout_option: c.user_timeout_option,
            pacing: c.pacing,
            host_port: c.host_port,
            delayed_ack: c.delayed_ack,
            ethernet: c.ethernet,
            program_words: c.program_words,
        }
    }
}

impl From<Settings> for ToeConfig {
    fn from(s: Settings) -> Self {
        let owner = |app| match app {
            App::Echo => Owner::Echo,
            App::Discard => Owner::Discard,
            App::Chargen => Owner::Chargen,
            App::Host => Owner::Host,
        };
        Self {
            connections: s.connections,
            time_wait: s.time_wait,
            rx_ring_bytes: s.rx_ring_bytes,
            tx_ring_bytes: s.tx_ring_bytes,
            mtu: s.mtu,
            mac: s.mac.0,
            ip: s.ip.octets(),
            netmask: s.netmask.octets(),
            gateway: s.gateway.octets(),
            ttl: s.ttl,
            listeners: (s.listeners.iter())
                .map(|l| config::Listener {
                    port: l.port,
                    owner: owner(l.app),
                    backlog: l.backlog,
                })
                .collect(),
            icmp_bytes: s.icmp_bytes,
            hash_key: s.hash_key.0,
            isn_hash: s.isn_hash,
            isn_key: s.isn_key.0,
            tick_cycles: s.tick_cycles,
            sack: s.sack,
            timestamps: s.timestamps,
            window_scale: s.window_scale,
            icmp_errors: s.icmp_errors,
            cubic: s.cubic,
            vlan: s.vlan,
            syn_cookies: s.syn_cookies,
            per_source: s.per_source,
            ecn: s.ecn,
            user_timeout_option: s.user_timeout_option,
            pacing: s.pacing,
            host_port: s.host_port,
            delayed_ack: s.delayed_ack,
            ethernet: s.ethernet,
            program_words: s.program_words,
        }
    }
}

/// Whether `ip` can be a host's address in its network.
///
/// # Errors
/// Names the field, the value and the limit.
pub fn check_host(field: &'static str, ip: Ipv4Addr, netmask: Ipv4Addr) -> Result<(), ConfigError> {
    // A mask with holes is told of by `ToeConfig::check`.
    let host = u32::MAX >> u32::from(netmask).leading_ones().min(31);
    let wrong = |limit: String| {
        Err(ConfigError {
            field,
            value: ip.to_string(),
            limit,
        })
    };
    let part = u32::from(ip) & host;
    if ip.octets()[0] == 0 || ip.is_loopback() || ip.octets()[0] >= 224 {
        return wrong("a unicast address, say 192.168.69.2".into());
    }
    // A network of one or two addresses has neither (RFC 3021).
    if host > 1 && (part == 0 || part == host) {
        let (first, last) = (u32::from(ip) & !host, u32::from(ip) | host);
        return wrong(format!(
            "a host's address: {} is the network itself, {} its broadcast address; take one from {} to {}",
            Ipv4Addr::from(first),
            Ipv4Addr::from(last),
            Ipv4Addr::from(first + 1),
            Ipv4Addr::from(last - 1)
        ));
    }
    Ok(())
}

/// Everything that [`ToeConfig::check`] asks for, and that the addresses fit each other.
///
/// # Errors
/// Names the first field out of its limits, its value, and the limit.
pub fn check(config: &ToeConfig) -> Result<(), ConfigError> {
    let [ip, netmask, gateway] = [config.ip, config.netmask, config.gateway].map(Ipv4Addr::from);
    check_host("ip", ip, netmask)?;
    config.check()?;
    let hosts = config.listeners.iter().find(|l| l.owner == Owner::Host);
    if let Some(listener) = hosts.filter(|_| !config.host_port) {
        return Err(ConfigError {
            field: "host_port",
            value: "false".into(),
            limit: format!(
                "true, as port {} in `listeners` has the application host, which serves through it",
                listener.port
            ),
        });
    }
    if gateway.is_unspecified() {
        return Ok(());
    }
    check_host("gateway", gateway, netmask)?;
    if gateway == ip || (u32::from(gateway) ^ u32::from(ip)) & u32::from(netmask) != 0 {
        return Err(ConfigError {
            field: "gateway",
            value: gateway.to_string(),
            limit: format!(
                "another address of the network of {ip} (netmask {netmask}), or 0.0.0.0 for none"
            ),
        });
    }
    Ok(())
}

/// Whether the engine can be built at a GMII, as `toe.v` is, and all that is simulated.
///
/// # Errors
/// Without Ethernet.
pub fn check_gmii(config: &ToeConfig) -> Result<(), ConfigError> {
    if !config.ethernet {
        return Err(ConfigError {
            field: "ethernet",
            value: "false".into(),
            limit: "true for an engine at a GMII, which is what this command runs; a board with a serial line is built by `toe synth --board alchitry-cu --config FILE`, and its Verilog written by `toe verilog --config FILE`".into(),
        });
    }
    Ok(())
}

fn parse(text: &str) -> Result<ToeConfig, String> {
    let settings: Settings = toml::from_str(text).map_err(|e| e.to_string())?;
    let config = settings.into();
    check(&config).map_err(|e| e.to_string())?;
    Ok(config)
}

/// Reads a file, or gives the defaults where there is none.
///
/// # Errors
/// Exit code 2; names the file, the field, its value and what it may be.
pub fn load(path: Option<&Path>) -> Result<ToeConfig> {
    let Some(path) = path else {
        return Ok(ToeConfig::default());
    };
    let text = fs::read_to_string(path)
        .map_err(|e| Refused(format!("cannot read {}: {e}", path.display())))?;
    Ok(parse(&text).map_err(|e| {
        Refused(format!(
            "{}: {}\n`toe verilog --print-config` prints a file with every field and its limits",
            path.display(),
            e.trim_end()
        ))
    })?)
}

/// A file with every field, its default and its limits.
pub fn example() -> String {
    let c = ToeConfig::default();
    let [ip, netmask, gateway] = [c.ip, c.netmask, c.gateway].map(Ipv4Addr::from);
    let mac = c.mac.map(|octet| format!("{octet:02x}")).join(":");
    let listeners: String = (c.listeners.iter())
        .map(|l| {
            let (port, app) = (l.port, format!("{:?}", l.owner).to_lowercase());
            format!("    {{ port = {port}, app = \"{app}\" }},\n")
        })
        .collect();
    format!(
        "# What the engine is built for. A field that is left out has the value given here.

# Connections at once: a power of two, 1 to {MAX_CONNECTIONS}.
connections = {}
# Connections in TIME-WAIT remembered besides, without buffers: at most one less than there are connections, and no more than {MAX_CONNECTIONS} with them.
# Left out: as many as that.
# time_wait = {}
# Receive and send buffer of each connection in bytes: powers of two, 256 to 32768.
rx_ring_bytes = {}
tx_ring_bytes = {}
# Largest IP packet, 576 to 1500.
mtu = {}
# Own Ethernet address, not a multicast one.
mac = \"{mac}\"
# Own IPv4 address, its network's mask, and the gateway, 0.0.0.0 for none.
ip = \"{ip}\"
netmask = \"{netmask}\"
gateway = \"{gateway}\"
# Time to live of what is sent, 1 to 255.
ttl = {}
# Ports listened on, 1 to 8 of them, each with its application: echo, discard, chargen, or host for your own logic (with host_port). `backlog = 2` beside them bounds its half-open
# connections to 2; left out, there may be as many as there are connections.
listeners = [
{listeners}]
# Longest ICMP echo answered, in bytes: a power of two, 64 to 2048.
icmp_bytes = {}
# Key of the connection table's hash, a secret of 64 bits, not zero: this one is known to everybody, so take another for a device that strangers can reach.
hash_key = \"{:#018x}\"
# Initial sequence numbers are RFC 6528's, a clock and a keyed hash of addresses and ports; else the clock alone, which anybody can guess.
isn_hash = {}
# Key of that hash, a secret of 64 bits, for which the same holds.
isn_key = \"{:#018x}\"
# Clock cycles from one `tick` to the next, 16 or more for each connection and each entry in TIME-WAIT: what your clock makes of a millisecond.
tick_cycles = {}
# Selective acknowledgements, both ways (RFC 2018, RFC 6675).
sack = {}
# Timestamps (RFC 7323) with those who have them. Only with sack.
timestamps = {}
# Window scale (RFC 7323) with those who have it: windows of more than 65,535 bytes.
window_scale = {}
# ICMP errors: path MTU (RFC 1191), an active open that is refused (RFC 5927).
icmp_errors = {}
# Congestion control is CUBIC (RFC 9438), but where an application chooses NewReno for its connection; false: NewReno. Only with sack.
cubic = {}
# A frame with an 802.1Q tag is answered with the same tag; false: tagged frames are dropped.
vlan = {}
# A SYN for which a half-open connection would have to go is answered with a cookie (RFC 4987); false: the oldest half-open one gives way. Only with isn_hash.
syn_cookies = {}
# Connections that one remote address may have at once, half open and open: a SYN more is dropped. Left out: as many as there are.
# per_source = {}
# Explicit congestion notification (RFC 3168) with those who ask for it.
ecn = {}
# The user timeout option (RFC 5482) is read and sent, where an application asks for it. Not with 1024 or 1536 words of program.
user_timeout_option = {}
# A pacer of your own logic may hold a connection's text, through the ports pace_...
pacing = {}
# Your own logic may serve connections of its own, through the ports host$...
host_port = {}
# Text is acknowledged with data, with the second segment or 40 ms late; else every segment at once.
delayed_ack = {}
# The link has Ethernet addresses; false for SLIP, which saves words of the program.
ethernet = {}
# Words of the engine's program memory: 1024, 1536, 2048, 2560, 3072 or 4096. 1024 do without Ethernet, SACK, timestamps, window scale, ECN, CUBIC, ICMP errors, cookies and the keyed hash; 1536 have the latter, slowly, and of SACK our own blocks alone.
program_words = {}
",
        c.connections, c.time_wait(), c.rx_ring_bytes, c.tx_ring_bytes, c.mtu, c.ttl, c.icmp_bytes, c.hash_key, c.isn_hash, c.isn_key, c.tick_cycles, c.sack, c.timestamps, c.window_scale, c.icmp_errors, c.cubic, c.vlan, c.syn_cookies, c.connections, c.ecn, c.user_timeout_option, c.pacing, c.host_port, c.delayed_ack, c.ethernet,
        c.program_words
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_and_the_empty_file_are_the_defaults() {
        assert_eq!(parse(&example()), Ok(ToeConfig::default()));
        assert_eq!(parse(""), Ok(ToeConfig::default()));
    }

    #[test]
    fn the_board_s_file_is_its_configuration() {
        let text = include_str!("../../bsp/alchitry-cu.toml");
        assert_eq!(parse(text), Ok(toe_bsp::alchitry_cu::config()));
    }

    #[test]
    fn every_field_is_read() {
        let text = "connections = 8\ntime_wait = 5\nrx_ring_bytes = 1024\ntx_ring_bytes = 512\nmtu = 1400\n\
            mac = \"02:aB:00:00:00:09\"\nip = \"10.1.2.3\"\nnetmask = \"255.0.0.0\"\ngateway = \"10.0.0.1\"\nttl = 9\n\
            listeners = [{ port = 80, app = \"discard\" }, { port = 81, app = \"chargen\", backlog = 3 }, { port = 82, app = \"echo\" }, { port = 83, app = \"host\" }]\n\
            icmp_bytes = 64\nhash_key = \"0xFEDCBA9876543210\"\nisn_hash = false\nisn_key = \"0x0123456789ABCDEF\"\ntick_cycles = 50000\nsack = false\ntimestamps = false\nwindow_scale = false\nicmp_errors = false\ncubic = false\nvlan = false\nsyn_cookies = false\nper_source = 3\necn = false\nuser_timeout_option = true\npacing = false\nhost_port = true\ndelayed_ack = false\nethernet = false\nprogram_words = 4096\n";
        let want = ToeConfig {
            connections: 8,
            time_wait: Some(5),
            rx_ring_bytes: 1024,
            tx_ring_bytes: 512,
            mtu: 1400,
            mac: [2, 0xAB, 0, 0, 0, 9],
            ip: [10, 1, 2, 3],
            netmask: [255, 0, 0, 0],
            gateway: [10, 0, 0, 1],
            ttl: 9,
            listeners: vec![
                config::Listener::new(80, Owner::Discard),
                config::Listener::new(81, Owner::Chargen).backlog(3),
                config::Listener::new(82, Owner::Echo),
                config::Listener::new(83, Owner::Host),
            ],
            icmp_bytes: 64,
            hash_key: 0xFEDC_BA98_7654_3210,
            isn_hash: false,
            isn_key: 0x0123_4567_89AB_CDEF,
            tick_cycles: 50_000,
            sack: false,
            timestamps: false,
            window_scale: false,
            icmp_errors: false,
            cubic: false,
            vlan: false,
            syn_cookies: false,
            per_source: Some(3),
            ecn: false,
            user_timeout_option: true,
            pacing: false,
            host_port: true,
            delayed_ack: false,
            ethernet: false,
            program_words: 4096,
        };
        assert_eq!(parse(text), Ok(want));
        // Not without Ethernet.
        assert!(parse("vlan = true").unwrap().vlan);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_it_may_be() {
        for (text, words) in [
            (
                "connections = 3",
                &["connections", "3", "power of two", "1024"][..],
            ),
            ("conections = 4", &["conections", "connections"]),
            ("mtu = \"big\"", &["mtu", "big", "u16"]),
            ("mtu = 70000", &["mtu", "70000", "u16"]),
            ("ttl = 0", &["ttl", "1 to 255"]),
            ("rx_ring_bytes = -1", &["rx_ring_bytes", "-1"]),
            ("mac = \"02:00:00\"", &["mac", "02:00:00", "six octets"]),
            ("mac = \"03:00:00:00:00:01\"", &["mac", "unicast"]),
            ("ip = \"10.0.0\"", &["ip", "10.0.0"]),
            (
                "ip = \"192.168.69.0\"",
                &["ip", "192.168.69.0", "192.168.69.254"],
            ),
            ("ip = \"192.168.69.255\"", &["ip", "broadcast"]),
            ("ip = \"0.0.0.0\"", &["ip", "unicast"]),
            ("netmask = \"255.0.255.0\"", &["netmask", "ones"]),
            (
                "gateway = \"10.0.0.1\"",
                &["gateway", "10.0.0.1", "192.168.69.2"],
            ),
            ("gateway = \"192.168.69.2\"", &["gateway", "another"]),
            ("listeners = []", &["listeners", "1 to 8"]),
            ("hash_key = \"12\"", &["hash_key", "12", "behind 0x"]),
            ("hash_key = \"0x0\"", &["hash_key", "any other"]),
            ("tick_cycles = 111", &["tick_cycles", "111", "112"]),
            ("vlan = true\nethernet = false", &["vlan", "ethernet"]),
            (
                "isn_hash = false\nsyn_cookies = true",
                &["syn_cookies", "isn_hash"],
            ),
            ("per_source = 5", &["per_source", "5", "from 1 to 4"]),
            ("time_wait = 4", &["time_wait", "4", "at most 3"]),
            (
                "listeners = [{ port = 7, app = \"echo\", backlog = 5 }]",
                &["port 7", "backlog of 5", "from 1 to 4"],
            ),
            (
                "listeners = [{ port = 7, app = \"ftp\" }]",
                &["ftp", "chargen"],
            ),
            (
                "listeners = [{ port = 80, app = \"host\" }]",
                &["host_port", "port 80", "true"],
            ),
            (
                "listeners = [{ port = 0, app = \"echo\" }]",
                &["listeners", "port 0"],
            ),
        ] {
            let said = parse(text).unwrap_err();
            for word in words {
                assert!(
                    said.contains(word),
                    "`{word}` is not in what `{text}` gives: {said}"
                );
            }
        }
    }
}
