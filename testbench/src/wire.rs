//! Frames made and read by hand, right or wrong, and what a frame must be counted as: independent of the hardware and of smoltcp.
use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_sim::gmii::{MAX_FRAME, TAG};
use toe_sim::link::{Frame, Tail, MIN_FRAME};

pub const FIN: u8 = 1;
pub const SYN: u8 = 2;
pub const RST: u8 = 4;
pub const PSH: u8 = 8;
pub const ACK: u8 = 16;

/// Whoever sends frames made by hand.
pub const MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x66];
/// Its address, on the default network.
pub const IP: [u8; 4] = [192, 168, 69, 66];

/// RFC 1071, without the final complement.
pub fn sum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    sum as u16
}

fn half(b: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([b[at], b[at + 1]])
}

fn word(b: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]])
}

/// An Ethernet frame without padding.
pub fn ethernet(to: [u8; 6], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut f = to.to_vec();
    f.extend(MAC);
    f.extend(ethertype.to_be_bytes());
    f.extend(payload);
    f
}

/// An IPv4 packet from [`IP`], header checksum right.
pub fn ipv4(to: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut p = vec![0x45, 0];
    p.extend((20 + payload.len() as u16).to_be_bytes());
    p.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    p.extend(IP);
    p.extend(to);
    p.extend(payload);
    mend_packet(&mut p);
    p
}

/// An ARP packet about the board's address: operation 1 asks, 2 answers.
pub fn arp(config: &ToeConfig, operation: u8) -> Vec<u8> {
    let mut p = vec![0, 1, 8, 0, 6, 4, 0, operation];
    p.extend(MAC);
    p.extend(IP);
    p.extend(if operation == 1 { [0; 6] } else { config.mac });
    p.extend(config.ip);
    let to = if operation == 1 {
        [0xFF; 6]
    } else {
        config.mac
    };
    ethernet(to, 0x0806, &p)
}

/// An ICMP echo request with `length` bytes of data.
pub fn ping(config: &ToeConfig, length: usize) -> Vec<u8> {
    let mut m = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1];
    m.extend((0..length).map(|i| i as u8));
    ethernet(config.mac, 0x0800, &ipv4(config.ip, 1, &m))
}

/// An ICMP error about a segment of the board's: type and code, the next-hop MTU (RFC 1191 section 4), and what it quotes, its IPv4 header first.
pub fn icmp_error(config: &ToeConfig, what: (u8, u8), mtu: u16, quoted: &[u8]) -> Vec<u8> {
    let mut m = vec![what.0, what.1, 0, 0, 0, 0];
    m.extend(mtu.to_be_bytes());
    m.extend(quoted);
    ethernet(config.mac, 0x0800, &ipv4(config.ip, 1, &m))
}

/// The beginning of a segment of the board's as an ICMP error quotes it: ports (the board's first) and sequence number.
pub fn quoted(config: &ToeConfig, ports: (u16, u16), seq: u32) -> Vec<u8> {
    let mut q = ipv4(IP, 6, &[0; 8]);
    q[2..4].copy_from_slice(&1500_u16.to_be_bytes());
    q[12..16].copy_from_slice(&config.ip);
    q[20..22].copy_from_slice(&ports.0.to_be_bytes());
    q[22..24].copy_from_slice(&ports.1.to_be_bytes());
    q[24..28].copy_from_slice(&seq.to_be_bytes());
    q
}

/// A TCP segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// Source, destination.
    pub ports: (u16, u16),
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub wnd: u16,
    /// As they stand in the header, a multiple of four bytes.
    pub options: Vec<u8>,
    pub data: Vec<u8>,
}

impl Tcp {
    /// As an IPv4 packet to the board.
    pub fn packet(&self, config: &ToeConfig) -> Vec<u8> {
        let mut t = Vec::with_capacity(20 + self.options.len() + self.data.len());
        t.extend(self.ports.0.to_be_bytes());
        t.extend(self.ports.1.to_be_bytes());
        t.extend(self.seq.to_be_bytes());
        t.extend(self.ack.to_be_bytes());
        t.push(((20 + self.options.len()) as u8 / 4) << 4);
        t.push(self.flags);
        t.extend(self.wnd.to_be_bytes());
        t.extend([0; 4]);
        t.extend(&self.options);
        t.extend(&self.data);
        ipv4(config.ip, 6, &t)
    }

    /// As a frame to the board.
    pub fn frame(&self, config: &ToeConfig) -> Vec<u8> {
        ethernet(config.mac, 0x0800, &self.packet(config))
    }

    /// From a packet of the board's; `None` if it is no TCP segment, or its lengths are impossible.
    pub fn from_packet(p: &[u8]) -> Option<Self> {
        if p.len() < 40 || p[0] != 0x45 || p[9] != 6 {
            return None;
        }
        let t = p.get(20..usize::from(half(p, 2)))?;
        let header = usize::from(*t.get(12)? >> 4) * 4;
        Some(Self {
            ports: (half(t, 0), half(t, 2)),
            seq: word(t, 4),
            ack: word(t, 8),
            flags: t[13],
            wnd: half(t, 14),
            options: t.get(20..header)?.to_vec(),
            data: t.get(header..)?.to_vec(),
        })
    }

    /// The same from a frame.
    pub fn from_frame(f: &[u8]) -> Option<Self> {
        (f.len() > 34 && f[12..14] == [8, 0])
            .then(|| Self::from_packet(&f[14..]))
            .flatten()
    }
}

/// Makes the checksums of an IPv4 packet right, those of TCP and ICMP too, as far as its lengths allow.
pub fn mend_packet(p: &mut [u8]) {
    if p.len() < 20 {
        return;
    }
    let header = usize::from(p[0] & 15) * 4;
    if header < 20 || header > p.len() {
        return;
    }
    p[10..12].fill(0);
    let s = !sum(&p[..header], 0);
    p[10..12].copy_from_slice(&s.to_be_bytes());
    let total = usize::from(half(p, 2));
    if total < header || total > p.len() {
        return;
    }
    let pseudo = u32::from(sum(&p[12..20], 6 + (total - header) as u32));
    let (protocol, body) = (p[9], &mut p[header..total]);
    let (at, start) = match protocol {
        6 => (16, pseudo),
        1 => (2, 0),
        _ => return,
    };
    if body.len() >= at + 2 {
        body[at..at + 2].fill(0);
        let s = !sum(body, start);
        body[at..at + 2].copy_from_slice(&s.to_be_bytes());
    }
}

/// The same for an IPv4 frame; others are left alone.
pub fn mend(f: &mut [u8]) {
    if f.len() > 14 && f[12..14] == [8, 0] {
        mend_packet(&mut f[14..]);
    }
}

/// What the line carries between delimiter and gap.
pub fn on_the_line(frame: &Frame) -> Vec<u8> {
    let mut line = frame.bytes.clone();
    if frame.tail != Tail::Cut && line.len() < MIN_FRAME {
        line.resize(MIN_FRAME, 0);
    }
    match frame.tail {
        Tail::Sound => line.extend(frame.right_fcs().to_le_bytes()),
        Tail::Fcs(fcs) => line.extend(fcs.to_le_bytes()),
        Tail::Cut => {}
    }
    line
}

/// The one counter of [`crate::liveness`]'s partition that this frame must move on a board with time to spare, `TcpIn` for whatever reaches the
/// engine; `None` if there is no frame at all.
pub fn fate(frame: &Frame, config: &ToeConfig) -> Option<Cause> {
    let line = on_the_line(frame);
    if line.is_empty() {
        return None;
    }
    let tagged = line.get(12..14) == Some(&[0x81, 0]);
    let limit = MAX_FRAME + if tagged { TAG } else { 0 };
    Some(match frame.error_at {
        Some(at) if at < line.len() && at <= limit => Cause::LinkError,
        _ if line.len() > limit => Cause::LinkOversize,
        _ if line.len() < MIN_FRAME + 4 => Cause::LinkRunt,
        _ => {
            let (body, fcs) = line.split_at(line.len() - 4);
            if Frame::new(body).right_fcs().to_le_bytes() != fcs {
                return Some(Cause::LinkBadFcs);
            }
            if body[..6] != config.mac && body[..6] != [0xFF; 6] {
                return Some(Cause::EthOtherAddress);
            }
            match half(body, 12) {
                0x0800 => fate_ipv4(&body[14..], config),
                0x0806 => fate_arp(&body[14..], config),
                _ => Cause::EthOtherType,
            }
        }
    })
}

fn fate_arp(p: &[u8], config: &ToeConfig) -> Cause {
    let sound = p[..7] == [0, 1, 8, 0, 6, 4, 0]
        && matches!(p[7], 1 | 2)
        && p[8] & 1 == 0
        && p[24..28] == config.ip;
    if sound {
        Cause::ArpIn
    } else {
        Cause::ArpMalformed
    }
}

fn fate_ipv4(p: &[u8], config: &ToeConfig) -> Cause {
    let header = usize::from(p[0] & 15) * 4;
    let total = usize::from(half(p, 2));
    if p[0] >> 4 != 4 || header < 20 {
        return Cause::Ip4BadHeader;
    }
    if p.len() <= header {
        return Cause::Ip4BadLength;
    }
    if sum(&p[..header], 0) != 0xFFFF {
        return Cause::Ip4BadHeader;
    }
    if total <= header || total > 2047 {
        return Cause::Ip4BadLength;
    }
    if p[16..20] != config.ip {
        return Cause::Ip4OtherAddress;
    }
    if half(p, 6) & 0x3FFF != 0 {
        return Cause::Ip4Fragment;
    }
    if !matches!(p[9], 1 | 6) {
        return Cause::Ip4OtherProtocol;
    }
    if total > p.len() {
        return Cause::Ip4BadLength;
    }
    let body = &p[header..total];
    if p[9] == 1 {
        return if body.len() < 8 || sum(body, 0) != 0xFFFF {
            Cause::IcmpBad
        } else if config.icmp_errors && matches!(body[0], 3 | 11 | 12) {
            let quotes_ours = body.get(8..36).is_some_and(|q| {
                q[0] == 0x45 && half(q, 6) & 0x1FFF == 0 && q[9] == 6 && q[12..16] == config.ip
            });
            if quotes_ours {
                Cause::IcmpError
            } else {
                Cause::IcmpQuoteBad
            }
        } else if body[..2] != [8, 0] {
            Cause::IcmpOther
        } else if body.len() > config.icmp_bytes {
            Cause::IcmpTooLong
        } else {
            Cause::IcmpEcho
        };
    }
    fate_tcp(body, u32::from(sum(&p[12..20], 6 + body.len() as u32)))
}

/// The same for a TCP segment, the sum of its pseudo header given.
pub fn fate_tcp(body: &[u8], pseudo: u32) -> Cause {
    let Some(offset) = body.get(12).filter(|_| body.len() >= 20) else {
        return Cause::TcpBadHeader;
    };
    let data = usize::from(offset >> 4) * 4;
    if data < 20 || data > body.len() {
        Cause::TcpBadHeader
    } else if !options_are_sound(&body[20..data]) {
        Cause::TcpBadOption
    } else if sum(body, pseudo) != 0xFFFF {
        Cause::TcpBadChecksum
    } else {
        Cause::TcpIn
    }
}

fn options_are_sound(mut o: &[u8]) -> bool {
    while let Some(kind) = o.first() {
        let step = match (kind, o.get(1)) {
            (0, _) => return true,
            (1, _) => 1,
            (_, Some(n)) if *n >= 2 && usize::from(*n) <= o.len() => usize::from(*n),
            _ => return false,
        };
        o = &o[step..];
    }
    true
}
