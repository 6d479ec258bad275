//! The blocks beside the rings, modelled: segments in and out, connection table, timers, events, applications.
use super::rx_ring::SLOTS;
use super::tx_ring::{fold, sum_of};
use crate::config::{Listener, Owner, ToeConfig};
use crate::counters::Cause;
use crate::tcp::isa::{mark, out, pending, seg, MARKED};
use crate::tcp::{sources, table, toeplitz};
use std::collections::VecDeque;

// ---- segments in --------------------------------------------------------------------------------

/// A segment as the parser hands it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Words of the record, in [`seg`]'s order.
    pub record: [u32; seg::WORDS],
    /// FIN SYN RST, SACK blocks (in place of PSH), ACK URG ECE CWR, bit 0 first; with ECN its marks in place of CWR, and of PSH, too.
    pub flags: u8,
    pub payload: Vec<u8>,
}

fn be16(bytes: &[u8], at: usize) -> u32 {
    u32::from(bytes[at]) << 8 | u32::from(bytes[at + 1])
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    be16(bytes, at) << 16 | be16(bytes, at + 2)
}

/// Sum of the pseudo header (RFC 9293 section 3.1).
fn pseudo_header(source: u32, destination: u32, tcp_length: usize) -> u32 {
    (source >> 16)
        + (source & 0xFFFF)
        + (destination >> 16)
        + (destination & 0xFFFF)
        + 6
        + tcp_length as u32
}

/// IPv4 receive and TCP parser: a packet to `own_ip`, and the Ethernet address it came from; with SACK options read, or stepped over. `tag`, for a parser that tells of it: what [`crate::net`] says. With `ecn` its marks are told.
///
/// # Errors
/// Why it is dropped or passed over.
pub fn parse(
    packet: &[u8],
    source_mac: [u8; 6],
    tag: Option<u16>,
    own_ip: u32,
    sack: bool,
    ecn: bool,
) -> Result<Segment, Cause> {
    if packet.len() < 20 || packet[0] >> 4 != 4 {
        return Err(Cause::Ip4BadHeader);
    }
    let ip_header = (packet[0] & 15) as usize * 4;
    if ip_header < 20 || ip_header > packet.len() || sum_of(&packet[..ip_header]) != 0xFFFF {
        return Err(Cause::Ip4BadHeader);
    }
    if be16(packet, 6) & 0x3FFF != 0 {
        return Err(Cause::Ip4Fragment);
    }
    if be32(packet, 16) != own_ip {
        return Err(Cause::Ip4OtherAddress);
    }
    let total = be16(packet, 2) as usize;
    if total < ip_header || total > packet.len() {
        return Err(Cause::Ip4BadLength);
    }
    if packet[9] != 6 {
        return Err(Cause::Ip4OtherProtocol);
    }

    let remote = be32(packet, 12);
    let tcp = &packet[ip_header..total];
    if tcp.len() < 20 {
        return Err(Cause::TcpBadHeader);
    }
    let header = (tcp[12] >> 4) as usize * 4;
    if header < 20 || header > tcp.len() {
        return Err(Cause::TcpBadHeader);
    }
    let sum = pseudo_header(remote, own_ip, tcp.len()) + u32::from(sum_of(tcp));
    if fold(sum) != 0xFFFF {
        return Err(Cause::TcpBadChecksum);
    }
    let options = options(&tcp[20..header], sack).ok_or(Cause::TcpBadOption)?;

    let mut record = [0; seg::WORDS];
    let mut put = |n: u8, value: u32| record[n as usize] = value;
    put(seg::PORTS, be32(tcp, 0));
    put(seg::SEQ, be32(tcp, 4));
    put(seg::ACK, be32(tcp, 8));
    let ce = packet[1] & 3 == 3;
    let [ece, cwr] = [6, 7].map(|bit| tcp[13] >> bit & 1 == 1);
    let [syn, ack] = [1, 4].map(|bit| tcp[13] >> bit & 1 == 1);
    let ctl = be32(tcp, 12);
    put(
        seg::CTL,
        match ecn {
            true => ctl & !seg::CE | (u32::from(ce) * seg::CE),
            false => ctl,
        },
    );
    let mac_hi = be16(&source_mac, 0);
    put(
        seg::MACURG,
        tag.map_or(mac_hi << 16 | be16(tcp, 18), |tag| {
            u32::from(tag) << 16 | mac_hi
        }),
    );
    put(seg::IP, remote);
    put(seg::MACLO, be32(&source_mac, 2));
    // RFC 3168 section 6.1.1: a SYN asks with both, a SYN-ACK agrees with ECE alone.
    let setup = u32::from(ece && cwr != ack) * seg::ECN_SETUP;
    put(
        seg::MSSOPT,
        match ecn && syn {
            true => options.mss & 0x07FF_FFFF | setup,
            false => options.mss,
        },
    );
    put(seg::LEN, (tcp.len() - header) as u32);
    put(seg::TSVAL, options.ts_val);
    put(seg::TSECR, options.ts_ecr);
    put(seg::WND, be16(tcp, 14));
    for (n, edge) in options.edges.into_iter().enumerate() {
        put(seg::EDGES + n as u8, edge);
    }
    Ok(Segment {
        record,
        flags: match ecn {
            true if (ce || ece || cwr) && !syn => tcp[13] | 8 | MARKED,
            true => tcp[13] & !8 & !MARKED | u8::from(options.mss >> 27 != 0) << 3,
            false => tcp[13] & !8 | u8::from(options.mss >> 27 != 0) << 3,
        },
        payload: tcp[header..].to_vec(),
    })
}

/// What [`crate::net::icmp`] counts of a message to `own_ip`, whose buffer has `room`, `taken` if it is an error that the parser takes; nothing if it is none. (It answers pings as well, of which an engine knows nothing.)
pub fn icmp(packet: &[u8], own_ip: u32, room: usize, taken: bool) -> Vec<Cause> {
    let Some(Err(Cause::Ip4OtherProtocol)) =
        (packet.get(9) == Some(&1)).then(|| parse(packet, [0; 6], None, own_ip, false, false))
    else {
        return vec![];
    };
    let message = &packet[usize::from(packet[0] & 15) * 4..be16(packet, 2) as usize];
    let outcome = match message {
        [] => return vec![],
        [_, _, _, _, _, _, _, _, ..] if sum_of(message) != 0xFFFF => Some(Cause::IcmpBad),
        [8, 0, _, _, _, _, _, _, ..] if message.len() > room => Some(Cause::IcmpTooLong),
        [8, 0, _, _, _, _, _, _, ..] => Some(Cause::IcmpEcho),
        [_, _, _, _, _, _, _, _, ..] => (!taken).then_some(Cause::IcmpOther),
        _ => return vec![Cause::IcmpBad],
    };
    [Some(Cause::IcmpIn), outcome]
        .into_iter()
        .flatten()
        .collect()
}

/// What a parser that reads the user timeout option (RFC 5482) has besides, of the packet of a segment without SYN: the option in place of the MSS, as it came, but for the reserved one (section 3.4), and the segment is odd.
pub fn user_timeout(packet: &[u8], segment: &mut Segment) {
    let tcp = &packet[(packet[0] & 15) as usize * 4..];
    if tcp[13] & 2 != 0 {
        return;
    }
    let options = options(&tcp[20..(tcp[12] >> 4) as usize * 4], false);
    let timeout = options.map_or(0, |o| o.timeout);
    let mss = &mut segment.record[seg::MSSOPT as usize];
    *mss = *mss & !seg::USER_TIMEOUT | timeout;
    segment.flags |= u8::from(timeout != 0) << 3;
}

/// What an ICMP error to `own_ip` says of a segment of ours. None: it is no ICMP error, or broken, and [`parse`] has the cause.
pub fn quote(packet: &[u8], own_ip: u32) -> Option<Result<Segment, Cause>> {
    let header = (*packet.first()? & 15) as usize * 4;
    let total = be16(packet.get(..20)?, 2) as usize;
    let message = packet.get(header.max(20)..total)?;
    let ours = packet[0] >> 4 == 4
        && header >= 20
        && sum_of(&packet[..header]) == 0xFFFF
        && be16(packet, 6) & 0x3FFF == 0
        && be32(packet, 16) == own_ip
        && packet[9] == 1;
    let error = message.len() >= 8 && matches!(message[0], 3 | 11 | 12);
    if !ours || !error || sum_of(message) != 0xFFFF {
        return None;
    }
    let quoted = &message[8..];
    if quoted.len() < 28
        || quoted[0] != 0x45
        || be16(quoted, 6) & 0x1FFF != 0
        || quoted[9] != 6
        || be32(quoted, 12) != own_ip
    {
        return Some(Err(Cause::IcmpQuoteBad));
    }
    let mut record = [0; seg::WORDS];
    let mut put = |n: u8, value: u32| record[n as usize] = value;
    put(seg::PORTS, be32(quoted, 20).rotate_left(16));
    put(seg::SEQ, be32(quoted, 24));
    put(seg::ACK, be32(message, 0));
    put(seg::IP, be32(quoted, 16));
    put(seg::MSSOPT, seg::QUOTED);
    put(seg::LEN, be16(quoted, 2));
    put(seg::WND, be16(message, 6));
    Some(Ok(Segment {
        record,
        flags: seg::QUOTED_FLAGS,
        payload: vec![],
    }))
}

#[derive(Default)]
struct Options {
    /// As `SEG_MSSOPT`.
    mss: u32,
    ts_val: u32,
    ts_ecr: u32,
    /// Of the blocks of the first SACK option.
    edges: Vec<u32>,
    /// Of the last user timeout (RFC 5482), as it came, but for the reserved value; else 0.
    timeout: u32,
}

/// Steps over the options; none if a length is 0, 1 or past the header's end.
fn options(mut bytes: &[u8], sack: bool) -> Option<Options> {
    let mut o = Options::default();
    while let Some(&kind) = bytes.first() {
        match kind {
            0 => break,
            1 => bytes = &bytes[1..],
            _ => {
                let length = *bytes.get(1)? as usize;
                if length < 2 || length > bytes.len() {
                    return None;
                }
                match (kind, length) {
                    (2, 4) => o.mss |= be16(bytes, 2),
                    (3, 3) => o.mss |= u32::from(bytes[2]) << 16 | 1 << 24,
                    (4, 2) => o.mss |= 1 << 25,
                    (28, 4) if be16(bytes, 2) & 0x7FFF != 0 => o.timeout = be16(bytes, 2),
                    (8, 10) => {
                        o.mss |= 1 << 26;
                        o.ts_val = be32(bytes, 2);
                        o.ts_ecr = be32(bytes, 6);
                    }
                    (5, 10 | 18 | 26 | 34) if sack && o.edges.is_empty() => {
                        o.mss |= (length as u32 / 8) << 27;
                        o.edges = (2..length).step_by(4).map(|at| be32(bytes, at)).collect();
                    }
                    _ => {}
                }
                bytes = &bytes[length..];
            }
        }
    }
    Some(o)
}

// ---- segments out -------------------------------------------------------------------------------

/// The header words of a segment being made.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    words: [u32; 16],
    written: u16,
    twice: u16,
}

/// A packet and the Ethernet address it goes to, and the 802.1Q tag of its frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PacketOut {
    pub mac: [u8; 6],
    pub tag: Option<u16>,
    pub bytes: Vec<u8>,
}

impl Builder {
    /// `OUT n`.
    pub fn word(&mut self, n: u8, value: u32) {
        self.words[n as usize & 15] = value;
        self.twice |= self.written & 1 << (n & 15);
        self.written |= 1 << (n & 15);
    }

    /// The segment being made is a SYN or a RST.
    pub fn is_bare(&self) -> bool {
        self.words[out::CTL as usize] >> 17 & 3 != 0
    }

    /// It is neither RST nor SYN-ACK.
    pub fn is_own(&self) -> bool {
        let ctl = self.words[out::CTL as usize];
        ctl >> 18 & 1 == 0 && ctl >> 16 & 0x12 != 0x12
    }

    /// Sequence number of the segment being made.
    pub fn seq(&self) -> u32 {
        self.words[out::SEQ as usize]
    }

    /// `SEND`: the packet, with the payload's sum as the engine says it, the marks of ECN that the segment has, and its packet's DSCP and ECN. The words are used up.
    ///
    /// # Errors
    /// Names a header word that was not written since the last SEND, or twice, or one beyond the header (its sum is taken as it comes), or a data offset below 5.
    pub fn send(
        &mut self,
        own_ip: u32,
        ttl: u8,
        payload: &[u8],
        payload_sum: u16,
        seen: u8,
        tos: u8,
    ) -> Result<PacketOut, String> {
        let Builder {
            words: w,
            written,
            twice,
        } = std::mem::take(self);
        if twice != 0 {
            return Err(format!("OUT {} twice before SEND", twice.trailing_zeros()));
        }
        let word = |n: u8| w[n as usize];
        let ctl = word(out::CTL)
            | u32::from(seen & mark::ECE != 0) << 22
            | u32::from(seen & mark::CWR != 0) << 23;
        let offset = ctl >> 28;
        if offset < 5 {
            return Err(format!("SEND with a data offset of {offset}"));
        }
        let last = out::OPTION + (offset - 5) as u8;
        if let Some(n) = (out::IP..last).find(|n| *n > 15 || written >> n & 1 == 0) {
            return Err(format!("SEND without OUT {n}"));
        }
        if let Some(n) = (last..16).find(|n| written >> n & 1 == 1) {
            return Err(format!("OUT {n} is none of the header's words"));
        }

        let tcp_length = offset as usize * 4 + payload.len();
        let remote = word(out::IP);
        let mut tcp = Vec::with_capacity(tcp_length);
        for n in [out::PORTS, out::SEQ, out::ACK] {
            tcp.extend(word(n).to_be_bytes());
        }
        // Offset and flags; the four reserved bits between them are zero.
        tcp.extend((ctl & 0xF0FF_FFFF).to_be_bytes());
        tcp.extend([0; 4]);
        for n in out::OPTION..last {
            tcp.extend(word(n).to_be_bytes());
        }
        let sum = pseudo_header(own_ip, remote, tcp_length)
            + u32::from(sum_of(&tcp))
            + u32::from(payload_sum);
        tcp[16..18].copy_from_slice(&(!fold(sum)).to_be_bytes());
        tcp.extend(payload);

        // RFC 791: version 4, no options; RFC 6864: DF set, identification 0.
        let mut bytes = vec![0x45, tos];
        bytes.extend((20 + tcp_length as u16).to_be_bytes());
        bytes.extend([0, 0, 0x40, 0, ttl, 6, 0, 0]);
        bytes.extend(own_ip.to_be_bytes());
        bytes.extend(remote.to_be_bytes());
        let checksum = !sum_of(&bytes);
        bytes[10..12].copy_from_slice(&checksum.to_be_bytes());
        bytes.extend(tcp);

        let mut mac = [0; 6];
        mac[..2].copy_from_slice(&word(out::MAC_HI).to_be_bytes()[2..]);
        mac[2..].copy_from_slice(&word(out::MAC_LO).to_be_bytes());
        let tag = (word(out::MAC_HI) >> 16) as u16;
        let tag = (tag != 0).then_some(!tag);
        Ok(PacketOut { mac, tag, bytes })
    }
}

// ---- record queue -------------------------------------------------------------------------------

/// A parsed segment in its slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub conn: u16,
    pub hit: bool,
    pub flags: u8,
    pub slot: u8,
    pub record: [u32; seg::WORDS],
}

/// Four slots between parser and engine.
#[derive(Clone, Debug, Default)]
pub struct Records {
    queue: VecDeque<Head>,
}

impl Records {
    /// A slot nobody uses.
    pub fn free_slot(&self) -> Option<u8> {
        (0..SLOTS as u8).find(|s| self.queue.iter().all(|h| h.slot != *s))
    }

    /// Behind the others.
    pub fn push(&mut self, head: Head) {
        self.queue.push_back(head);
    }

    /// The oldest, which keeps its slot until [`Records::pop`].
    pub fn head(&self) -> Option<Head> {
        self.queue.front().copied()
    }

    /// Releases the oldest one's slot.
    pub fn pop(&mut self) {
        self.queue.pop_front();
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

// ---- connection table ---------------------------------------------------------------------------

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    ports: u32,
    ip: u32,
    /// The address of its slot, if it is in use.
    slot: Option<usize>,
    /// In a list of those that ALLOC may take.
    listed: bool,
    /// Where its address is counted, unless it is in TIME-WAIT.
    source: Option<usize>,
}

/// Which connection a segment belongs to.
#[derive(Clone, Debug)]
pub struct Table {
    key: u64,
    connections: usize,
    /// Connections, then those in TIME-WAIT only.
    entries: Vec<Entry>,
    /// By address: see [`table::probe_address`].
    slots: Vec<Option<u16>>,
    /// The free ones; those that may be recycled for each listener, and in TIME-WAIT, the oldest first.
    lists: Vec<VecDeque<u16>>,
    /// Of each listener, what its list may hold.
    listeners: Vec<(Listener, usize)>,
    /// The list of the last LISTEN.
    listened: usize,
    /// The entry of the next MOVE.
    next_wait: usize,
    /// Who had to go last.
    evicted: u16,
    /// It tells whether it is crowded.
    cookies: bool,
    /// Connections that an address may have, and what each place of the hash has.
    limit: Option<usize>,
    sources: Vec<usize>,
    /// A LISTEN has come since the last LOOKUP of the engine's.
    passive: bool,
    /// The last ALLOC was refused for the limit.
    pub limited: bool,
    /// Connections that ALLOC gave.
    pub given: u64,
    /// Entries in TIME-WAIT whose place a MOVE took.
    pub outlived: u64,
}

impl Table {
    /// An empty table of this configuration.
    pub fn new(config: &ToeConfig) -> Self {
        let n = config.connections;
        let listeners = config.listeners.iter().map(|l| (*l, config.backlog(l)));
        let mut lists = vec![VecDeque::new(); table::lists(config)];
        lists[0] = (0..n as u16).collect();
        Self {
            key: config.hash_key,
            connections: n,
            entries: vec![
                Entry {
                    listed: true,
                    ..Entry::default()
                };
                config.entries()
            ],
            slots: vec![None; 8 * table::rows(config)],
            lists,
            listeners: listeners.collect(),
            listened: 1,
            next_wait: n,
            evicted: 0,
            cookies: config.syn_cookies,
            limit: config.per_source,
            sources: vec![0; sources::counts(8 * table::rows(config))],
            passive: false,
            limited: false,
            given: 0,
            outlived: 0,
        }
    }

    /// The addresses of the slots where a tuple may be, in order.
    fn probes(&self, ports: u32, ip: u32) -> impl Iterator<Item = usize> {
        let (hash, mask) = (toeplitz::hash(self.key, ports, ip), self.slots.len() - 1);
        (0..table::PROBES as u32).map(move |n| table::probe_address(hash, n) as usize & mask)
    }

    /// `LOOKUP`: `ports` are remote << 16 | local.
    pub fn lookup(&self, ports: u32, ip: u32) -> Option<u16> {
        let mut here = self.probes(ports, ip).filter_map(|at| self.slots[at]);
        here.find(|conn| {
            let entry = &self.entries[*conn as usize];
            entry.ports == ports && entry.ip == ip
        })
    }

    /// `LOOKUP` of the engine: what it asks for next is an active open, unless a LISTEN comes.
    pub fn engine_lookup(&mut self, ports: u32, ip: u32) -> Option<u16> {
        self.passive = false;
        self.lookup(ports, ip)
    }

    /// What `entry` was counted for is taken back.
    fn forget(&mut self, entry: u16) {
        if let Some(source) = self.entries[entry as usize].source.take() {
            self.sources[source] -= 1;
        }
    }

    /// `ALLOC`: the connection, and whether it was recycled.
    pub fn alloc(&mut self, ports: u32, ip: u32) -> Option<(u16, bool)> {
        self.limited = false;
        let source = toeplitz::hash(self.key, 0, ip) as usize & (self.sources.len() - 1);
        let listeners = self.listeners.len();
        let next = (0..listeners).map(|k| 1 + (self.listened - 1 + k) % listeners);
        let list = [0]
            .into_iter()
            .chain(1 + listeners..self.lists.len())
            .chain(next)
            .find(|k| !self.lists[*k].is_empty())?;
        let has = self.sources[source];
        if self.passive && self.limit.is_some_and(|limit| has >= limit) {
            self.limited = true;
            return None;
        }
        let place = self
            .probes(ports, ip)
            .find(|at| self.slots[*at].is_none())?;
        let conn = self.lists[list].pop_front()?;
        self.forget(conn);
        self.sources[source] += 1;
        if let Some(slot) = self.entries[conn as usize].slot {
            self.slots[slot] = None;
        }
        self.entries[conn as usize] = Entry {
            ports,
            ip,
            slot: Some(place),
            listed: false,
            source: Some(source),
        };
        self.slots[place] = Some(conn);
        self.given += 1;
        Some((conn, list != 0))
    }

    /// Takes an entry in use out of its list.
    fn leave(&mut self, conn: u16) {
        for list in &mut self.lists {
            list.retain(|c| *c != conn);
        }
        self.entries[conn as usize].listed = false;
    }

    /// `FREE`.
    pub fn free(&mut self, conn: u16) {
        if let Some(slot) = self.entries[conn as usize].slot {
            self.leave(conn);
            self.forget(conn);
            self.slots[slot] = None;
            self.entries[conn as usize] = Entry {
                listed: true,
                ..Entry::default()
            };
            if usize::from(conn) < self.connections {
                self.lists[0].push_front(conn);
            }
        }
    }

    /// `RECYCLABLE` for the listener of the last LISTEN, or in TIME-WAIT: who had to go for it.
    pub fn recyclable(&mut self, conn: u16, time_wait: bool) -> Option<u16> {
        self.entries[conn as usize].slot?;
        let to = if time_wait {
            self.lists.len() - 1
        } else {
            self.listened
        };
        self.leave(conn);
        if time_wait {
            self.forget(conn);
        }
        self.entries[conn as usize].listed = true;
        self.lists[to].push_back(conn);
        let (_, most) = self.listeners.get(to - 1)?;
        if self.lists[to].len() <= *most {
            return None;
        }
        let oldest = self.lists[to].front().copied()?;
        self.free(oldest);
        self.evicted = oldest;
        Some(oldest)
    }

    /// `EVICTED`: who had to go last.
    pub fn evicted(&self) -> u16 {
        self.evicted
    }

    /// `KEEP`.
    pub fn keep(&mut self, conn: u16) {
        if self.entries[conn as usize].slot.is_some() {
            self.leave(conn);
        }
    }

    /// `MOVE`: the tuple of a connection that is kept becomes that of the next entry behind them: which, and whether another's had to go.
    pub fn move_out(&mut self, conn: u16) -> (u16, bool) {
        let entry = self.next_wait as u16;
        self.next_wait += 1;
        if self.next_wait == self.entries.len() {
            self.next_wait = self.connections;
        }
        let before = self.entries[entry as usize].slot.is_some();
        self.outlived += u64::from(before);
        self.free(entry);
        let moved = self.entries[conn as usize];
        self.free(conn);
        self.entries[entry as usize] = Entry {
            source: None,
            ..moved
        };
        if let Some(slot) = moved.slot {
            self.slots[slot] = Some(entry);
        }
        (entry, before)
    }

    /// A half-open connection more of the listener of the last LISTEN would cost one.
    pub fn crowded(&self) -> bool {
        let (_, most) = self.listeners[self.listened - 1];
        let half_open = 1..=self.listeners.len();
        let none_free = self.lists[0].is_empty()
            && self.lists[half_open.end() + 1..]
                .iter()
                .all(VecDeque::is_empty);
        let some = self.lists[half_open].iter().any(|list| !list.is_empty());
        self.cookies && (self.lists[self.listened].len() >= most || none_free && some)
    }

    /// `LISTEN`.
    pub fn listen(&mut self, port: u16) -> Option<Owner> {
        self.passive = true;
        let found = self.listeners.iter().position(|(l, _)| l.port == port)?;
        self.listened = found + 1;
        Some(self.listeners[found].0.owner)
    }

    /// Connections in use, those that may be recycled not counted.
    pub fn used(&self) -> usize {
        self.entries[..self.connections]
            .iter()
            .filter(|e| !e.listed)
            .count()
    }

    /// Entries beside the connections that are in TIME-WAIT.
    pub fn waiting(&self) -> usize {
        self.entries[self.connections..]
            .iter()
            .filter(|e| e.slot.is_some())
            .count()
    }

    /// No tuple is known, and every connection stands in the free list once.
    pub fn is_empty(&self) -> bool {
        let mut free: Vec<u16> = self.lists[0].iter().copied().collect();
        free.sort_unstable();
        let all = free.into_iter().eq(0..self.connections as u16);
        all && self.slots.iter().all(Option::is_none)
            && self.lists[1..].iter().all(VecDeque::is_empty)
    }
}

// ---- timers -------------------------------------------------------------------------------------

/// Four timers a connection.
#[derive(Clone, Debug)]
pub struct Timers {
    now: u32,
    deadlines: Vec<[Option<u32>; 4]>,
    expired: Vec<u8>,
}

impl Timers {
    /// None running, at tick 0.
    pub fn new(connections: usize) -> Self {
        Self {
            now: 0,
            deadlines: vec![[None; 4]; connections],
            expired: vec![0; connections],
        }
    }

    /// For how many entries.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.expired.len()
    }

    /// Ticks since start, of which the timers know 24 bits.
    pub fn now(&self) -> u32 {
        self.now & 0xFF_FFFF
    }

    /// All 32 bits of them.
    pub fn clock(&self) -> u32 {
        self.now
    }

    /// A tick: the connections of which a timer expires now.
    pub fn tick(&mut self) -> Vec<u16> {
        self.now = self.now.wrapping_add(1);
        let now = self.now();
        let mut posts = Vec::new();
        for (conn, deadlines) in self.deadlines.iter_mut().enumerate() {
            for (t, deadline) in deadlines.iter_mut().enumerate() {
                if *deadline == Some(now) {
                    *deadline = None;
                    self.expired[conn] |= 1 << t;
                    posts.push(conn as u16);
                }
            }
        }
        posts
    }

    /// `TIMER_SET t`: `ticks` (24 bits, at least 1) from now.
    pub fn set(&mut self, conn: u16, t: u8, ticks: u32) {
        let c = conn as usize;
        self.deadlines[c][t as usize & 3] = Some(self.now.wrapping_add(ticks) & 0xFF_FFFF);
        self.expired[c] &= !(1 << (t & 3));
    }

    /// `TIMER_CLEAR t`.
    pub fn clear(&mut self, conn: u16, t: u8) {
        let c = conn as usize;
        self.deadlines[c][t as usize & 3] = None;
        self.expired[c] &= !(1 << (t & 3));
    }

    /// `TIMER_TAKE`: the expired ones, cleared.
    pub fn take(&mut self, conn: u16) -> u8 {
        std::mem::take(&mut self.expired[conn as usize])
    }

    /// So many ticks at once. In none of them a timer expires: they are fewer than [`Timers::next`].
    pub fn skip(&mut self, ticks: u32) {
        debug_assert!(self.next().is_none_or(|next| ticks < next));
        self.now = self.now.wrapping_add(ticks);
    }

    /// Timers that run, and those that have expired and nobody has taken.
    pub fn in_use(&self) -> usize {
        let running = self.deadlines.iter().flatten().flatten().count();
        let expired = self.expired.iter().map(|e| e.count_ones() as usize);
        running + expired.sum::<usize>()
    }

    /// Ticks until a timer expires, if one runs.
    pub fn next(&self) -> Option<u32> {
        let running = self.deadlines.iter().flatten().flatten();
        running.map(|d| d.wrapping_sub(self.now) & 0xFF_FFFF).min()
    }
}

// ---- events -------------------------------------------------------------------------------------

/// Pending bits a connection, and a queue in which each stands at most once.
#[derive(Clone, Debug)]
pub struct Events {
    pending: Vec<u8>,
    queue: VecDeque<u16>,
}

impl Events {
    /// Nothing pending.
    pub fn new(connections: usize) -> Self {
        Self {
            pending: vec![0; connections],
            queue: VecDeque::new(),
        }
    }

    /// Sets a bit of [`pending`].
    pub fn post(&mut self, conn: u16, bit: u8) {
        let mask = &mut self.pending[conn as usize];
        if *mask == 0 {
            self.queue.push_back(conn);
        }
        *mask |= 1 << bit;
    }

    /// The next connection and its bits, which are cleared.
    pub fn pop(&mut self) -> Option<(u16, u8)> {
        let conn = self.queue.pop_front()?;
        Some((conn, std::mem::take(&mut self.pending[conn as usize])))
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// No bit is set, not even one that nobody would come for.
    pub fn is_clear(&self) -> bool {
        self.queue.is_empty() && self.pending.iter().all(|mask| *mask == 0)
    }
}

// ---- applications -------------------------------------------------------------------------------

/// What the switch knows of a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// Owner number, while the connection is open.
    pub owner: Option<u8>,
    /// The peer's FIN came.
    pub peer_fin: bool,
    /// The application closed or aborted.
    pub closed: bool,
    /// The engine is through with the connection; `released` is owed.
    pub over: bool,
    /// It ended with an error.
    pub reset: bool,
    /// Characters generated (chargen).
    generated: u32,
}

/// An offer of the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    pub readable: usize,
    pub writable: usize,
    /// The peer's FIN came and all before it is read.
    pub fin: bool,
}

/// An application's answer; counts never above the offer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Take {
    pub read: usize,
    pub write: usize,
    pub close: bool,
}

/// What an application of the engine's own takes of an offer.
pub fn application(owner: u8, offer: Offer) -> Take {
    const ECHO: u8 = Owner::Echo as u8;
    const DISCARD: u8 = Owner::Discard as u8;
    const CHARGEN: u8 = Owner::Chargen as u8;
    let Offer {
        readable,
        writable,
        fin,
    } = offer;
    match owner {
        ECHO => {
            let count = readable.min(writable);
            Take {
                read: count,
                write: count,
                close: fin,
            }
        }
        DISCARD => Take {
            read: readable,
            write: 0,
            close: fin,
        },
        CHARGEN => Take {
            read: readable,
            write: if fin { 0 } else { writable },
            close: fin,
        },
        _ => Take::default(),
    }
}

/// Character `n` of the generator: lines of 72 of the 95 printing characters, each line begins one further (RFC 864).
pub fn chargen(n: u32) -> u8 {
    let (line, column) = (n / 74, n % 74);
    match column {
        72 => b'\r',
        73 => b'\n',
        _ => b' ' + ((line + column) % 95) as u8,
    }
}

impl Attached {
    /// The generator's next `count` characters.
    pub fn generate(&mut self, count: usize) -> Vec<u8> {
        let from = self.generated;
        self.generated = from.wrapping_add(count as u32);
        (0..count as u32)
            .map(|n| chargen(from.wrapping_add(n)))
            .collect()
    }
}

/// A bit of the pending mask by name, for messages.
pub fn pending_name(bit: u8) -> &'static str {
    match bit {
        pending::TIMER => "timer",
        pending::WRITTEN => "written",
        pending::READ => "read",
        pending::CLOSE => "close",
        pending::ABORT => "abort",
        pending::RELEASED => "released",
        pending::AGAIN => "again",
        _ => "spare",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 0xC0A8_4502;
    const PEER: u32 = 0xC0A8_4501;
    const MAC: [u8; 6] = [2, 3, 4, 5, 6, 7];

    /// A packet from the peer to us, made by the builder with the addresses changed over.
    fn packet(options: &[u32], payload: &[u8]) -> Vec<u8> {
        let mut b = Builder::default();
        let offset = 5 + options.len() as u32;
        for (n, word) in [
            (out::IP, OWN),
            (out::PORTS, 5000 << 16 | 7),
            (out::SEQ, 0xFFFF_FFFE),
            (out::ACK, 0x1234_5678),
            (out::CTL, offset << 28 | 0x18 << 16 | 0xABCD),
        ] {
            b.word(n, word);
        }
        for (n, word) in options.iter().enumerate() {
            b.word(out::OPTION + n as u8, *word);
        }
        b.send(PEER, 64, payload, sum_of(payload), 0, 0)
            .unwrap()
            .bytes
    }

    #[test]
    fn what_the_builder_makes_the_parser_reads() {
        for length in [0, 1, 2, 3, 64, 1459, 1460] {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let s = parse(&packet(&[], &payload), MAC, None, OWN, true, false).unwrap();
            assert_eq!(s.payload, payload);
            assert_eq!(s.flags, 0x10, "PSH is not told");
            assert_eq!(
                s.record[..12],
                [
                    5000 << 16 | 7,
                    0xFFFF_FFFE,
                    0x1234_5678,
                    0x5018_ABCD,
                    0x0203_0000,
                    PEER,
                    0x0405_0607,
                    0,
                    length,
                    0,
                    0,
                    0xABCD
                ]
            );
        }
    }

    #[test]
    fn options_are_read_and_bad_lengths_refused() {
        let read = |options: &[u32]| {
            parse(&packet(options, &[]), MAC, None, OWN, true, false).map(|s| s.record)
        };
        let mss = |options: &[u32]| read(options).unwrap()[seg::MSSOPT as usize];
        assert_eq!(mss(&[0x0204_05B4]), 1460);
        assert_eq!(mss(&[0x0103_0307, 0x0101_0402]), 0x0307_0000);
        assert_eq!(mss(&[0x0000_0000]), 0, "end of list");
        assert_eq!(mss(&[0x0002_0001]), 0, "nothing is read behind the end");
        let stamps = read(&[0x0101_080A, 0x1111_1111, 0x2222_2222]).unwrap();
        assert_eq!(stamps[seg::TSVAL as usize], 0x1111_1111);
        assert_eq!(stamps[seg::TSECR as usize], 0x2222_2222);
        assert_eq!(stamps[seg::MSSOPT as usize], 1 << 26);
        assert_eq!(mss(&[0xFD04_0000]), 0, "unknown ones are stepped over");
        let sack = [
            0x0101_0512,
            1,
            2,
            3,
            4,
            0x050A_0000,
            0x0005_0000,
            0x0006_0000,
        ];
        let (first, blocks) = (seg::EDGES as usize, seg::MSSOPT as usize);
        let record = read(&sack).unwrap();
        assert_eq!(
            record[first..],
            [1, 2, 3, 4, 0, 0, 0, 0],
            "the first option"
        );
        assert_eq!(record[blocks], 2 << 27);
        let without = parse(&packet(&sack, &[]), MAC, None, OWN, false, false).unwrap();
        assert_eq!(without.record[first..], [0; 8]);
        assert_eq!(without.record[blocks], 0);
        let part = read(&[0x0509_0000, 0, 0x0001_0101]).unwrap();
        assert_eq!(part[first..], [0; 8], "no whole block");
        for bad in [0xFD00_0101, 0xFD01_0101, 0xFD05_0101, 0x0101_01FD] {
            assert_eq!(read(&[bad]), Err(Cause::TcpBadOption), "{bad:08x}");
        }
    }

    #[test]
    fn every_damaged_bit_is_noticed() {
        let good = packet(&[], b"payload");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 0x80 >> (bit % 8);
            assert!(
                parse(&bad, MAC, None, OWN, true, false).is_err(),
                "bit {bit}"
            );
        }
        for length in 0..good.len() {
            assert!(
                parse(&good[..length], MAC, None, OWN, true, false).is_err(),
                "{length} bytes"
            );
        }
        let mut padded = good.clone();
        padded.extend([0; 6]);
        assert_eq!(
            parse(&padded, MAC, None, OWN, true, false),
            parse(&good, MAC, None, OWN, true, false)
        );
        assert_eq!(
            parse(&good, MAC, None, PEER, true, false),
            Err(Cause::Ip4OtherAddress)
        );
    }

    #[test]
    fn send_wants_its_words_written_anew() {
        let mut b = Builder::default();
        b.word(out::CTL, 4 << 28);
        assert_eq!(
            b.send(OWN, 64, &[], 0, 0, 0).unwrap_err(),
            "SEND with a data offset of 4"
        );
        for n in out::IP..=out::CTL {
            b.word(n, 5 << 28);
        }
        assert!(b.send(OWN, 64, &[], 0, 0, 0).is_ok());
        b.word(out::CTL, 5 << 28);
        assert_eq!(
            b.send(OWN, 64, &[], 0, 0, 0).unwrap_err(),
            "SEND without OUT 2"
        );
    }

    #[test]
    fn the_table_finds_recycles_the_oldest_and_refuses_when_full() {
        let mut t = Table::new(&ToeConfig {
            connections: 2,
            ..ToeConfig::default()
        });
        assert_eq!(t.lookup(0, 0), None, "a free entry matches nothing");
        assert_eq!(t.alloc(1, 1), Some((0, false)));
        assert_eq!(t.alloc(2, 1), Some((1, false)));
        assert_eq!(t.alloc(3, 1), None);
        assert_eq!((t.lookup(1, 1), t.lookup(2, 1)), (Some(0), Some(1)));
        assert_eq!((t.lookup(1, 2), t.lookup(3, 1)), (None, None));
        t.recyclable(1, false);
        t.keep(1);
        assert_eq!(t.alloc(3, 1), None, "a kept entry is not taken");
        t.recyclable(1, false);
        t.recyclable(0, false);
        assert_eq!(t.lookup(2, 1), Some(1), "recyclable is still there");
        assert_eq!(t.used(), 0);
        assert_eq!(t.alloc(3, 1), Some((1, true)));
        assert_eq!(t.alloc(4, 1), Some((0, true)));
        assert_eq!(t.alloc(5, 1), None);
        t.free(1);
        assert_eq!(t.lookup(3, 1), None);
        assert_eq!(t.alloc(5, 1), Some((1, false)));
        assert_eq!(t.listen(19), Some(Owner::Chargen));
        assert_eq!(t.listen(8), None);
    }

    #[test]
    fn timers_expire_on_their_tick_across_the_wrap() {
        let mut t = Timers::new(2);
        t.now = 0xFF_FFFE;
        t.set(1, 0, 1);
        t.set(1, 3, 2);
        t.set(0, 2, 2);
        t.clear(0, 2);
        assert_eq!(t.next(), Some(1));
        assert_eq!(t.take(1), 0);
        assert_eq!(t.tick(), [1]);
        assert_eq!(t.tick(), [1]);
        assert_eq!(t.now(), 0);
        assert_eq!(t.take(1), 0b1001);
        assert_eq!(t.take(1), 0);
        assert_eq!(t.next(), None);
        t.set(0, 1, 1);
        t.tick();
        t.set(0, 1, 5);
        assert_eq!(t.take(0), 0, "setting clears the expired bit");
    }

    #[test]
    fn a_connection_stands_once_in_the_queue() {
        let mut e = Events::new(3);
        e.post(2, pending::TIMER);
        e.post(1, pending::WRITTEN);
        e.post(2, pending::AGAIN);
        assert_eq!(e.pop(), Some((2, 0b1000_0001)));
        e.post(2, pending::READ);
        assert_eq!(e.pop(), Some((1, 0b10)));
        assert_eq!(e.pop(), Some((2, 0b100)));
        assert!(e.is_empty());
        assert_eq!(e.pop(), None);
    }

    #[test]
    fn applications_take_what_they_are_made_for() {
        let offer = Offer {
            readable: 10,
            writable: 4,
            fin: false,
        };
        let take = |owner, offer| {
            let t = application(owner, offer);
            (t.read, t.write, t.close)
        };
        assert_eq!(take(0, offer), (4, 4, false));
        assert_eq!(take(1, offer), (10, 0, false));
        assert_eq!(take(2, offer), (10, 4, false));
        assert_eq!(take(3, offer), (0, 0, false));
        let end = Offer {
            readable: 0,
            writable: 4,
            fin: true,
        };
        for owner in 0..3 {
            assert_eq!(take(owner, end), (0, 0, true));
        }
        let text: Vec<u8> = (0..148).map(chargen).collect();
        assert_eq!(&text[..3], b" !\"");
        assert_eq!(&text[72..76], b"\r\n!\"");
    }
}
