//! One line of text for each frame: who to whom, flags, sequence numbers, length, what is wrong.

use std::fmt::Write as _;
use std::io::Write;

use etherparse::{
    icmpv4::{TYPE_ECHO_REPLY, TYPE_ECHO_REQUEST},
    EtherType, LaxNetSlice, LaxSlicedPacket, TcpOptionElement, TransportSlice,
};

use crate::link::{Frame, Instant, Link, Medium, Tail};

/// The text for one frame. Frames that are cut short are told as far as they go.
pub fn describe(frame: &Frame, medium: Medium) -> String {
    let mut text = describe_bytes(&frame.bytes, medium);
    match frame.tail {
        Tail::Sound => {}
        Tail::Fcs(_) if frame.is_sound(medium) => {}
        Tail::Fcs(_) => text.push_str(" !wrong FCS"),
        Tail::Cut => text.push_str(" !cut"),
    }
    if let Some(at) = frame.error_at {
        let _ = write!(text, " !line error at {at}");
    }
    text
}

fn describe_bytes(bytes: &[u8], medium: Medium) -> String {
    let parsed = match medium {
        Medium::Ethernet => LaxSlicedPacket::from_ethernet(bytes).ok(),
        _ => LaxSlicedPacket::from_ip(bytes).ok(),
    };
    let Some(packet) = parsed else {
        return format!("{} bytes that are no {medium:?} frame", bytes.len());
    };
    let mut text = String::with_capacity(100);
    match &packet.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            let (from, to) = (header.source_addr(), header.destination_addr());
            if header.to_header().calc_header_checksum() != header.header_checksum() {
                text.push_str("!IP checksum ");
            }
            if header.is_fragmenting_payload() {
                let _ = write!(
                    text,
                    "fragment at {} ",
                    header.fragments_offset().byte_offset()
                );
            }
            transport(&mut text, &packet, from, to, header);
        }
        Some(LaxNetSlice::Arp(arp)) => {
            let octets = |bytes: &[u8]| match bytes {
                [a, b, c, d] => format!("{a}.{b}.{c}.{d}"),
                other => format!("{other:02x?}"),
            };
            let (sender, target) = (
                octets(arp.sender_protocol_addr()),
                octets(arp.target_protocol_addr()),
            );
            let _ = match arp.operation().0 {
                1 => write!(text, "ARP who has {target}? tell {sender}"),
                2 => write!(text, "ARP {sender} is at {}", mac(arp.sender_hw_addr())),
                other => write!(text, "ARP operation {other} {sender} > {target}"),
            };
        }
        Some(_) => {
            let _ = write!(text, "IPv6, {} bytes", bytes.len());
        }
        None => match (bytes, medium) {
            ([to @ .., _, _], Medium::Ethernet) if bytes.len() >= 14 => {
                let ether_type = EtherType(u16::from_be_bytes([bytes[12], bytes[13]]));
                let _ = write!(
                    text,
                    "{} > {} {ether_type:?}, {} bytes",
                    mac(&to[6..12]),
                    mac(&to[..6]),
                    bytes.len()
                );
            }
            _ => {
                let _ = write!(text, "{} bytes", bytes.len());
            }
        },
    }
    text
}

fn transport(
    text: &mut String,
    packet: &LaxSlicedPacket,
    from: std::net::Ipv4Addr,
    to: std::net::Ipv4Addr,
    header: etherparse::Ipv4HeaderSlice,
) {
    let _ = match &packet.transport {
        Some(TransportSlice::Tcp(tcp)) => {
            let flags: String = [
                (tcp.syn(), 'S'),
                (tcp.fin(), 'F'),
                (tcp.rst(), 'R'),
                (tcp.psh(), 'P'),
                (tcp.urg(), 'U'),
                (tcp.ece(), 'E'),
                (tcp.cwr(), 'W'),
                (tcp.ack(), '.'),
            ]
            .iter()
            .filter_map(|(set, letter)| set.then_some(*letter))
            .collect();
            let _ = write!(
                text,
                "{from}:{} > {to}:{} [{flags}] seq {} ",
                tcp.source_port(),
                tcp.destination_port(),
                tcp.sequence_number()
            );
            if tcp.ack() {
                let _ = write!(text, "ack {} ", tcp.acknowledgment_number());
            }
            // What the IP header says: a captured frame may be cut short in the last-frames list.
            let length = usize::from(header.total_len())
                .saturating_sub(header.slice().len() + usize::from(tcp.data_offset()) * 4);
            let _ = write!(text, "win {} len {length}", tcp.window_size());
            for option in tcp.options_iterator() {
                let _ = match option {
                    Ok(TcpOptionElement::MaximumSegmentSize(mss)) => write!(text, " mss {mss}"),
                    Ok(TcpOptionElement::WindowScale(shift)) => write!(text, " wscale {shift}"),
                    Ok(TcpOptionElement::SelectiveAcknowledgementPermitted) => {
                        write!(text, " sackOK")
                    }
                    Ok(TcpOptionElement::SelectiveAcknowledgement(first, rest)) => {
                        let _ = write!(text, " sack {}:{}", first.0, first.1);
                        for block in rest.iter().flatten() {
                            let _ = write!(text, ",{}:{}", block.0, block.1);
                        }
                        Ok(())
                    }
                    Ok(TcpOptionElement::Timestamp(value, echo)) => {
                        write!(text, " ts {value}:{echo}")
                    }
                    Ok(TcpOptionElement::Noop) => Ok(()),
                    Err(_) => write!(text, " !bad option"),
                };
            }
            Ok(())
        }
        Some(TransportSlice::Udp(udp)) => write!(
            text,
            "{from}:{} > {to}:{} UDP len {}",
            udp.source_port(),
            udp.destination_port(),
            udp.length().saturating_sub(8)
        ),
        Some(TransportSlice::Icmpv4(icmp)) => {
            let rest = icmp.bytes5to8();
            let word = |at| u16::from_be_bytes([rest[at], rest[at + 1]]);
            match icmp.type_u8() {
                TYPE_ECHO_REQUEST => write!(
                    text,
                    "{from} > {to} ICMP echo request id {} seq {} len {}",
                    word(0),
                    word(2),
                    icmp.payload().len()
                ),
                TYPE_ECHO_REPLY => write!(
                    text,
                    "{from} > {to} ICMP echo reply id {} seq {} len {}",
                    word(0),
                    word(2),
                    icmp.payload().len()
                ),
                other => write!(
                    text,
                    "{from} > {to} ICMP type {other} code {}",
                    icmp.code_u8()
                ),
            }
        }
        _ => write!(
            text,
            "{from} > {to} protocol {}, {} bytes",
            header.protocol().0,
            header.total_len()
        ),
    };
    let stated = usize::from(header.total_len());
    let there = header.slice().len()
        + packet
            .net
            .as_ref()
            .and_then(|net| net.ip_payload_ref())
            .map_or(0, |payload| payload.payload.len());
    if there < stated {
        let _ = write!(text, " !{there} of {stated} bytes");
    }
}

fn mac(bytes: &[u8]) -> String {
    let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    parts.join(":")
}

/// A link that writes a line for each frame that passes: time, arrow (`>` to the board, `<` from it), text.
#[derive(Debug)]
pub struct Tracer<L, W: Write> {
    inner: L,
    out: W,
}

impl<L: Link, W: Write> Tracer<L, W> {
    /// Traces `inner` to `out`. Errors in writing are ignored: a trace must not end a run.
    pub fn new(inner: L, out: W) -> Self {
        Self { inner, out }
    }

    /// The link inside.
    pub fn inner(&self) -> &L {
        &self.inner
    }

    /// The link inside.
    pub fn inner_mut(&mut self) -> &mut L {
        &mut self.inner
    }

    /// The link and the writer.
    pub fn into_parts(self) -> (L, W) {
        (self.inner, self.out)
    }

    fn note(&mut self, arrow: char, frame: &Frame, now: Instant) {
        let text = describe(frame, self.inner.medium());
        let _ = writeln!(self.out, "{} {arrow} {text}", stamp(now));
    }
}

/// Seconds with six places.
pub fn stamp(now: Instant) -> String {
    let micros = now.total_micros();
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

impl<L: Link, W: Write> Link for Tracer<L, W> {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        let frame = self.inner.receive(now)?;
        self.note('>', &frame, now);
        Some(frame)
    }
    fn send(&mut self, frame: Frame, now: Instant) {
        self.note('<', &frame, now);
        self.inner.send(frame, now);
    }
    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        self.inner.idle_until(now)
    }
    fn medium(&self) -> Medium {
        self.inner.medium()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Queues;
    use etherparse::PacketBuilder;

    fn tcp() -> Vec<u8> {
        let mut bytes = Vec::new();
        PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(49152, 7, 1000, 4096)
            .syn()
            .ack(77)
            .options(&[
                TcpOptionElement::MaximumSegmentSize(1460),
                TcpOptionElement::WindowScale(2),
            ])
            .unwrap()
            .write(&mut bytes, b"abc")
            .unwrap();
        bytes
    }

    #[test]
    fn a_segment_is_one_line() {
        let line =
            "10.0.0.1:49152 > 10.0.0.2:7 [S.] seq 1000 ack 77 win 4096 len 3 mss 1460 wscale 2";
        let frame = Frame::new(tcp());
        assert_eq!(describe(&frame, Medium::Ethernet), line);
        assert_eq!(describe(&Frame::new(&tcp()[14..]), Medium::Ip), line);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut frame = Frame::new(tcp());
        frame.tail = Tail::Fcs(1);
        frame.error_at = Some(3);
        let text = describe(&frame, Medium::Ethernet);
        assert!(text.ends_with("!wrong FCS !line error at 3"), "{text}");
        let mut bytes = tcp();
        bytes[15] ^= 4;
        let text = describe(&Frame::new(bytes), Medium::Ethernet);
        assert!(text.starts_with("!IP checksum "), "{text}");
        let text = describe(&Frame::cut(&tcp()[..60]), Medium::Ethernet);
        assert!(
            text.contains("of 51 bytes") && text.ends_with("!cut"),
            "{text}"
        );
    }

    /// No byte string makes it panic.
    #[test]
    fn every_prefix_and_every_flipped_byte_is_described() {
        for medium in [Medium::Ethernet, Medium::Ip] {
            let whole = &tcp()[if medium == Medium::Ip { 14 } else { 0 }..];
            for n in 0..=whole.len() {
                describe(&Frame::new(&whole[..n]), medium);
            }
            for at in 0..whole.len() {
                for value in 0..=255 {
                    let mut bytes = whole.to_vec();
                    bytes[at] = value;
                    describe(&Frame::new(bytes), medium);
                }
            }
        }
    }

    #[test]
    fn the_tracer_writes_both_ways_with_times() {
        let mut link = Tracer::new(Queues::new(Medium::Ethernet), Vec::new());
        link.inner_mut().incoming.push_back(Frame::new(tcp()));
        assert!(link.receive(Instant::from_micros(1_000_002)).is_some());
        link.send(Frame::new(vec![0; 60]), Instant::from_micros(3));
        let (queues, text) = link.into_parts();
        assert_eq!(queues.outgoing.len(), 1);
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[0].starts_with("1.000002 > 10.0.0.1:49152 > "),
            "{text}"
        );
        assert!(lines[1].starts_with("0.000003 < 00:00:00"), "{text}");
    }
}
