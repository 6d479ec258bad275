//! What crossed the line, with the cycle of each frame: the source of the pcap, the plots and the latencies.
use std::io::Write;

use anyhow::Result;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpOption, TcpPacket,
};
use toe_sim::gmii::{Stamp, Way};
use toe_sim::link::{Frame, Instant, Link, Medium};
use toe_sim::pcap::PcapFile;

use crate::report::Segment;

/// A link that keeps every frame that passes, each way in order.
pub struct Recording<L> {
    /// The link inside.
    pub inner: L,
    to_board: Vec<Vec<u8>>,
    from_board: Vec<Vec<u8>>,
}

impl<L: Link> Recording<L> {
    /// Records what passes `inner`.
    pub fn new(inner: L) -> Self {
        Self {
            inner,
            to_board: vec![],
            from_board: vec![],
        }
    }

    /// Joins the frames with the line's stamps: the n-th stamp of a direction is its n-th frame.
    pub fn on_the_line(&self, stamps: &[Stamp]) -> Vec<OnTheLine> {
        let (mut to, mut from) = (self.to_board.iter(), self.from_board.iter());
        stamps
            .iter()
            .filter_map(|stamp| {
                let bytes = match stamp.way {
                    Way::ToBoard => to.next(),
                    Way::FromBoard => from.next(),
                }?;
                Some(OnTheLine {
                    stamp: *stamp,
                    segment: parse(bytes),
                    bytes: bytes.clone(),
                })
            })
            .collect()
    }
}

impl<L: Link> Link for Recording<L> {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        let frame = self.inner.receive(now)?;
        self.to_board.push(frame.to_vec());
        Some(frame)
    }
    fn send(&mut self, frame: Frame, now: Instant) {
        self.from_board.push(frame.to_vec());
        self.inner.send(frame, now);
    }
    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        self.inner.idle_until(now)
    }
    fn medium(&self) -> Medium {
        self.inner.medium()
    }
}

/// The TCP header of a frame, as far as the plots need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Source and destination port.
    pub ports: (u16, u16),
    pub seq: u32,
    pub ack: Option<u32>,
    pub window: u16,
    pub window_shift: Option<u8>,
    pub length: u32,
    pub syn: bool,
    pub fin: bool,
    pub rst: bool,
}

/// A frame and when it was on the line.
#[derive(Clone, Debug)]
pub struct OnTheLine {
    pub stamp: Stamp,
    /// `None` if it is no TCP segment.
    pub segment: Option<Header>,
    pub bytes: Vec<u8>,
}

impl OnTheLine {
    /// Sent by the engine.
    pub fn outward(&self) -> bool {
        self.stamp.way == Way::FromBoard
    }
}

/// Reads the TCP header of an Ethernet frame, if it has one.
pub fn parse(bytes: &[u8]) -> Option<Header> {
    let frame = EthernetFrame::new_checked(bytes).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    if packet.next_header() != IpProtocol::Tcp {
        return None;
    }
    let tcp = TcpPacket::new_checked(packet.payload()).ok()?;
    let mut window_shift = None;
    let mut options = tcp.options();
    while !options.is_empty() {
        match TcpOption::parse(options) {
            Ok((_, TcpOption::EndOfList)) | Err(_) => break,
            Ok((rest, option)) => {
                if let TcpOption::WindowScale(shift) = option {
                    window_shift = Some(shift);
                }
                options = rest;
            }
        }
    }
    Some(Header {
        ports: (tcp.src_port(), tcp.dst_port()),
        seq: tcp.seq_number().0 as u32,
        ack: tcp.ack().then(|| tcp.ack_number().0 as u32),
        window: tcp.window_len(),
        window_shift,
        length: tcp.payload().len() as u32,
        syn: tcp.syn(),
        fin: tcp.fin(),
        rst: tcp.rst(),
    })
}

/// The segments of the connection whose first SYN is the first in the capture, with relative numbers.
pub fn segments(line: &[OnTheLine]) -> Vec<Segment> {
    let Some(ports) = line
        .iter()
        .filter_map(|f| f.segment)
        .find(|h| h.syn)
        .map(|h| h.ports)
    else {
        return vec![];
    };
    let mine = |h: &Header| h.ports == ports || h.ports == (ports.1, ports.0);
    // Per direction (index: outward): initial number, highest sent, shift offered.
    let mut initial = [None::<u32>; 2];
    let mut highest = [0u32; 2];
    let mut shift = [None::<u8>; 2];
    let mut out = vec![];
    for f in line {
        let Some(h) = f.segment.filter(mine) else {
            continue;
        };
        let way = usize::from(f.outward());
        if h.syn {
            initial[way] = Some(h.seq);
            shift[way] = h.window_shift;
        }
        let seq = h.seq.wrapping_sub(initial[way].unwrap_or(h.seq));
        let end = seq.wrapping_add(h.length);
        let again = h.length > 0 && seq < highest[way];
        highest[way] = highest[way].max(end);
        let scale = match shift {
            [Some(a), Some(b)] if !h.syn => [a, b][way],
            _ => 0,
        };
        out.push(Segment {
            cycle: f.stamp.last,
            outward: f.outward(),
            seq,
            length: h.length,
            ack: h.ack.map(|a| a.wrapping_sub(initial[1 - way].unwrap_or(a))),
            window: u32::from(h.window) << scale,
            syn: h.syn,
            fin: h.fin,
            rst: h.rst,
            again,
        });
    }
    out
}

/// Share of the line's limit (1460 payload bytes in 1538 byte times) that the data of one direction reached, from the first data frame to
/// the last. `None` with fewer than two data frames.
pub fn goodput(line: &[OnTheLine], outward: bool) -> Option<f64> {
    let data: Vec<(&Stamp, u32)> = line
        .iter()
        .filter(|f| f.outward() == outward)
        .filter_map(|f| {
            f.segment
                .filter(|h| h.length > 0)
                .map(|h| (&f.stamp, h.length))
        })
        .collect();
    let (first, last) = (data.first()?, data.last()?);
    if data.len() < 2 {
        return None;
    }
    // The first frame marks the beginning: what came before it is not measured, so its own bytes do not count.
    let bytes: u32 = data[1..].iter().map(|(_, n)| n).sum();
    let cycles = last.0.last - first.0.last;
    Some(f64::from(bytes) / cycles as f64 / (1460.0 / 1538.0))
}

/// Cycles from the last byte of the first frame to the board that `asks` to the first byte of the first frame from it after that which `answers`.
pub fn latency(
    line: &[OnTheLine],
    asks: impl Fn(&Header) -> bool,
    answers: impl Fn(&Header) -> bool,
) -> Option<u64> {
    span(line, asks, answers).map(|(asked, answered)| answered - asked)
}

/// The two cycles between which [`latency`] is.
pub fn span(
    line: &[OnTheLine],
    asks: impl Fn(&Header) -> bool,
    answers: impl Fn(&Header) -> bool,
) -> Option<(u64, u64)> {
    let at = line
        .iter()
        .position(|f| !f.outward() && f.segment.as_ref().is_some_and(&asks))?;
    let asked = line[at].stamp.last;
    line.iter()
        .find(|f| f.outward() && f.stamp.first > asked && f.segment.as_ref().is_some_and(&answers))
        .map(|f| (asked, f.stamp.first))
}

/// Writes the frames with simulated times at `hz` cycles a second.
///
/// # Errors
/// When the file cannot be written.
pub fn write_pcap(line: &[OnTheLine], hz: u64, out: impl Write) -> Result<()> {
    let mut file = PcapFile::new(out, Medium::Ethernet)?;
    for f in line {
        let micros = u128::from(f.stamp.last) * 1_000_000 / u128::from(hz);
        file.write(Instant::from_micros(micros as i64), &f.bytes)?;
    }
    file.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(way: Way, first: u64, last: u64, h: Header) -> OnTheLine {
        let stamp = Stamp {
            way,
            first,
            last,
            length: h.length as usize + 54,
        };
        OnTheLine {
            stamp,
            segment: Some(h),
            bytes: vec![],
        }
    }

    fn header(seq: u32, length: u32) -> Header {
        Header {
            ports: (1, 2),
            seq,
            ack: Some(0),
            window: 100,
            window_shift: None,
            length,
            syn: false,
            fin: false,
            rst: false,
        }
    }

    #[test]
    fn a_full_line_is_all_of_the_limit() {
        let line: Vec<_> = (0..10)
            .map(|i| {
                let first = i * 1538;
                frame(
                    Way::FromBoard,
                    first,
                    first + 1525,
                    header(i as u32 * 1460, 1460),
                )
            })
            .collect();
        let share = goodput(&line, true).unwrap();
        assert!((share - 1.0).abs() < 1e-9, "{share}");
        assert_eq!(goodput(&line, false), None);
    }

    #[test]
    fn latency_is_from_last_byte_to_first_byte() {
        let line = [
            frame(Way::ToBoard, 100, 163, header(0, 1)),
            frame(Way::FromBoard, 263, 300, header(0, 0)),
            frame(Way::FromBoard, 400, 450, header(0, 1)),
        ];
        assert_eq!(
            latency(&line, |h| h.length == 1, |h| h.length == 0),
            Some(100)
        );
        assert_eq!(
            latency(&line, |h| h.length == 1, |h| h.length == 1),
            Some(237)
        );
        assert_eq!(latency(&line, |h| h.syn, |_| true), None);
    }

    #[test]
    fn numbers_are_relative_and_wrap_and_repeats_are_seen() {
        let syn = Header {
            syn: true,
            ..header(u32::MAX, 0)
        };
        let line = [
            frame(Way::ToBoard, 0, 1, syn),
            frame(Way::ToBoard, 2, 3, header(0, 10)),
            frame(Way::ToBoard, 4, 5, header(0, 10)),
            frame(Way::ToBoard, 6, 7, header(10, 5)),
        ];
        let found = segments(&line);
        let brief: Vec<_> = found.iter().map(|s| (s.seq, s.length, s.again)).collect();
        assert_eq!(
            brief,
            [(0, 0, false), (1, 10, false), (1, 10, true), (11, 5, false)]
        );
    }
}
