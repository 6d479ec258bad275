//! Frames for tests, built and checked without any of the hardware's own parts.
use rand::Rng;
use rust_hdl::prelude::*;

/// The station the tests configure.
pub const MAC: [u8; 6] = [0x02, 0x54, 0x4F, 0x45, 0x00, 0x01];
/// Its address.
pub const IP: [u8; 4] = [192, 168, 69, 2];
/// A peer.
pub const PEER_MAC: [u8; 6] = [0x02, 0x11, 0x22, 0x33, 0x44, 0x55];
/// Its address.
pub const PEER_IP: [u8; 4] = [192, 168, 69, 100];
pub const BROADCAST: [u8; 6] = [0xFF; 6];

/// Settles combinational logic.
pub fn settle(uut: &mut dyn Block) {
    for _ in 0..100 {
        uut.update_all();
        if !uut.has_changed() {
            return;
        }
    }
    panic!("does not settle");
}

/// One clock period of a block with a field `clock`; inputs set before take effect at its rising edge.
macro_rules! cycle {
    ($uut:expr) => {{
        $crate::net::testgen::settle(&mut $uut);
        $uut.clock.next = rust_hdl::prelude::Clock { clk: true };
        $crate::net::testgen::settle(&mut $uut);
        $uut.clock.next = rust_hdl::prelude::Clock { clk: false };
        $crate::net::testgen::settle(&mut $uut);
    }};
}
pub(crate) use cycle;

/// Bit by bit, as IEEE 802.3 clause 3.2.9 describes it.
pub fn fcs(data: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in data {
        for bit in 0..8 {
            let feedback = (crc & 1 == 1) != (byte >> bit & 1 == 1);
            crc >>= 1;
            if feedback {
                crc ^= 0xEDB8_8320;
            }
        }
    }
    !crc
}

/// RFC 1071, by words of 16 bits.
pub fn checksum(data: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in data.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum > 0xFFFF {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    !(sum as u16)
}

/// A frame without FCS, not padded.
pub fn ethernet(dst: [u8; 6], src: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&dst[..], &src, &ethertype.to_be_bytes(), payload].concat()
}

/// The same with an 802.1Q tag of this control information.
pub fn tagged(dst: [u8; 6], src: [u8; 6], control: u16, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let behind = [
        &control.to_be_bytes(),
        &ethertype.to_be_bytes()[..],
        payload,
    ]
    .concat();
    ethernet(dst, src, 0x8100, &behind)
}

/// Padded to 60 bytes and with its FCS.
pub fn with_fcs(mut frame: Vec<u8>) -> Vec<u8> {
    if frame.len() < 60 {
        frame.resize(60, 0);
    }
    let sequence = fcs(&frame).to_le_bytes();
    frame.extend(sequence);
    frame
}

/// An IPv4 header's fields and the payload.
#[derive(Clone, Debug)]
pub struct Ip {
    pub src: [u8; 4],
    pub dst: [u8; 4],
    pub protocol: u8,
    /// DSCP and ECN
    pub tos: u8,
    /// Multiple of 4 bytes, at most 40.
    pub options: Vec<u8>,
    /// Flags and offset.
    pub fragment: u16,
    pub ttl: u8,
    pub id: u16,
    pub payload: Vec<u8>,
}

impl Ip {
    pub fn to_us(protocol: u8, payload: &[u8]) -> Self {
        Self {
            src: PEER_IP,
            dst: IP,
            protocol,
            tos: 0,
            options: vec![],
            fragment: 0x4000,
            ttl: 64,
            id: 0,
            payload: payload.to_vec(),
        }
    }

    pub fn build(&self) -> Vec<u8> {
        let header = 20 + self.options.len();
        let mut p = vec![0x40 | (header / 4) as u8, self.tos];
        p.extend(((header + self.payload.len()) as u16).to_be_bytes());
        p.extend(self.id.to_be_bytes());
        p.extend(self.fragment.to_be_bytes());
        p.extend([self.ttl, self.protocol, 0, 0]);
        p.extend(self.src);
        p.extend(self.dst);
        p.extend(&self.options);
        let sum = checksum(&p).to_be_bytes();
        p[10..12].copy_from_slice(&sum);
        p.extend(&self.payload);
        p
    }
}

/// An ICMP message with its checksum.
pub fn icmp(kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let mut m = [&[kind, code, 0, 0], rest].concat();
    let sum = checksum(&m).to_be_bytes();
    m[2..4].copy_from_slice(&sum);
    m
}

/// An ARP packet (RFC 826).
pub fn arp(operation: u16, sha: [u8; 6], spa: [u8; 4], tha: [u8; 6], tpa: [u8; 4]) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4];
    [&head[..], &operation.to_be_bytes(), &sha, &spa, &tha, &tpa].concat()
}

pub fn random_bytes(rng: &mut impl Rng, length: usize) -> Vec<u8> {
    (0..length).map(|_| rng.random()).collect()
}

/// Mostly sound IP packets, to us or not, of every protocol, with faults in the header now and then; padding may follow.
pub fn random_ip(rng: &mut impl Rng, longest: usize) -> Vec<u8> {
    let length = rng.random_range(0..=longest);
    let mut ip = Ip::to_us(6, &random_bytes(rng, length));
    ip.src = rng.random();
    ip.id = rng.random();
    ip.tos = rng.random();
    match rng.random_range(0..8) {
        0..3 => ip.protocol = 1,
        3 => ip.protocol = rng.random(),
        _ => {}
    }
    if ip.protocol == 1 && length >= 8 {
        let kind = if rng.random_bool(0.9) { 8 } else { 0 };
        ip.payload = icmp(kind, 0, &random_bytes(rng, length - 4));
        if rng.random_bool(0.1) {
            ip.payload[length / 2] ^= 1 << rng.random_range(0..8);
        }
    }
    if rng.random_bool(0.2) {
        let words = rng.random_range(1..=10);
        ip.options = random_bytes(rng, 4 * words);
    }
    match rng.random_range(0..20) {
        0 => ip.fragment = rng.random(),
        1 => ip.dst[rng.random_range(0..4)] ^= 1,
        2 => ip.dst = [255; 4],
        _ => {}
    }
    let mut packet = ip.build();
    if rng.random_bool(0.1) {
        let header = 20 + ip.options.len();
        packet[rng.random_range(0..header)] ^= 1 << rng.random_range(0..8);
    }
    if rng.random_bool(0.1) {
        packet.truncate(rng.random_range(1..=packet.len()));
    } else if rng.random_bool(0.3) {
        let padding = rng.random_range(1..30);
        packet.extend(vec![0; padding]);
    }
    packet
}

/// [`random_frame`], a part of them with a tag, two, or one of a reserved VLAN id.
pub fn random_tagged_frame(rng: &mut impl Rng, longest: usize) -> Vec<u8> {
    let mut frame = random_frame(rng, longest);
    let mut tags = rng.random_range(0..4_usize);
    while tags > 1 {
        let mut control: u16 = rng.random();
        if rng.random_bool(0.1) {
            control |= 0x0FFF;
        }
        frame.splice(12..12, [0x8100_u16, control].map(u16::to_be_bytes).concat());
        tags -= 1;
    }
    frame
}

/// Mostly sound frames without FCS, for us and others.
pub fn random_frame(rng: &mut impl Rng, longest: usize) -> Vec<u8> {
    let dst = match rng.random_range(0..10) {
        0 => BROADCAST,
        1 => rng.random(),
        2 => {
            let mut near = MAC;
            near[rng.random_range(0..6)] ^= 1 << rng.random_range(0..8);
            near
        }
        _ => MAC,
    };
    let src = rng.random();
    match rng.random_range(0..8) {
        0 | 1 => ethernet(dst, src, 0x0806, &random_arp(rng, src)),
        2 => {
            let length = rng.random_range(1..longest);
            ethernet(dst, src, rng.random(), &random_bytes(rng, length))
        }
        _ => ethernet(dst, src, 0x0800, &random_ip(rng, longest)),
    }
}

/// Mostly sound ARP packets from a few addresses, mostly for us.
pub fn random_arp(rng: &mut impl Rng, sha: [u8; 6]) -> Vec<u8> {
    let operation = rng.random_range(1..=2);
    let spa = [192, 168, 69, rng.random_range(96..112)];
    let tpa = if rng.random_bool(0.8) {
        IP
    } else {
        rng.random()
    };
    let mut packet = arp(operation, sha, spa, rng.random(), tpa);
    if rng.random_bool(0.1) {
        packet[rng.random_range(0..8)] ^= 1 << rng.random_range(0..8);
    }
    if rng.random_bool(0.1) {
        packet.truncate(rng.random_range(1..28));
    } else if rng.random_bool(0.7) {
        packet.resize(46, 0);
    }
    packet
}

/// A frame of a byte stream as received: the bytes that count, and whether it was void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub data: Vec<u8>,
    pub error: bool,
}

/// Gathers beats into frames. Each frame also remembers nothing of the void last byte.
#[derive(Default, Debug)]
pub struct Collector {
    beats: Vec<u8>,
    pub frames: Vec<Received>,
}

impl Collector {
    pub fn beat(&mut self, data: u8, last: bool, error: bool) {
        if !(last && error) {
            self.beats.push(data);
        }
        if last {
            let data = std::mem::take(&mut self.beats);
            self.frames.push(Received { data, error });
        }
    }

    /// The good frames; panics if one was void.
    pub fn good(&mut self) -> Vec<Vec<u8>> {
        let frames = std::mem::take(&mut self.frames);
        assert!(frames.iter().all(|f| !f.error), "void frame: {frames:02x?}");
        frames.into_iter().map(|f| f.data).collect()
    }

    /// A frame has begun and not ended.
    pub fn open(&self) -> bool {
        !self.beats.is_empty()
    }
}

/// Plays frames as beats for random stimulus: one after another from a generator, with idle cycles and ready.
#[derive(Default)]
pub struct Player {
    frame: Vec<u8>,
    at: usize,
    void: bool,
}

/// A beat offered: data, last, error.
pub type Beat = (u8, bool, bool);

impl Player {
    /// The beat on offer; draws a new frame when the former is over.
    pub fn beat<R: Rng>(&mut self, rng: &mut R, make: impl FnOnce(&mut R) -> Vec<u8>) -> Beat {
        if self.at == self.frame.len() {
            self.frame = make(rng);
            self.at = 0;
            self.void = rng.random_bool(0.05);
        }
        let last = self.at + 1 == self.frame.len();
        (self.frame[self.at], last, last && self.void)
    }

    /// The beat on offer moved.
    pub fn moved(&mut self) {
        self.at += 1;
    }

    /// Between two frames.
    pub fn idle(&self) -> bool {
        self.at == self.frame.len()
    }
}
