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
    /// Blocks of the SACK option (RFC 2018 section 3), as they came.
    pub sack: Sack,
}

/// First number of each block, and the one behind its last.
pub type Sack = [Option<(u32, u32)>; 3];

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
    parse_ip(frame.payload())
}

/// The same of an IPv4 packet.
pub fn parse_ip(bytes: &[u8]) -> Option<Header> {
    let packet = Ipv4Packet::new_checked(bytes).ok()?;
    if packet.next_header() != IpProtocol::Tcp {
        return None;
    }
    let tcp = TcpPacket::new_checked(packet.payload()).ok()?;
    let mut window_shift = None;
    let mut sack = [None; 3];
    let mut options = tcp.options();
    while !options.is_empty() {
        match TcpOption::parse(options) {
            Ok((_, TcpOption::EndOfList)) | Err(_) => break,
            Ok((rest, option)) => {
                match option {
                    TcpOption::WindowScale(shift) => window_shift = Some(shift),
                    TcpOption::SackRange(blocks) => sack = blocks,
                    _ => {}
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
        sack,
    })
}

/// The segments of the connection whose first SYN is the first in the capture, with relative numbers.
pub fn segments(line: &[OnTheLine]) -> Vec<Segment> {
    let seen = line.iter().filter_map(|f| {
        let header = f.segment?;
        Some((f.stamp.last, f.outward(), header))
    });
    relative(&seen.collect::<Vec<_>>())
}

/// The same of headers with their times, of which each says whether it is the engine's.
pub fn relative(seen: &[(u64, bool, Header)]) -> Vec<Segment> {
    let Some(ports) = seen.iter().find(|s| s.2.syn).map(|s| s.2.ports) else {
        return vec![];
    };
    let mine = |h: &Header| h.ports == ports || h.ports == (ports.1, ports.0);
    // Per direction (index: outward): initial number, highest sent, shift offered.
    let mut initial = [None::<u32>; 2];
    let mut highest = [0u32; 2];
    let mut shift = [None::<u8>; 2];
    let mut out = vec![];
    for (at, outward, h) in seen.iter().filter(|s| mine(&s.2)) {
        let way = usize::from(*outward);
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
        let other = initial[1 - way];
        let edges = |(left, right): (u32, u32)| {
            other.map(|first| (left.wrapping_sub(first), right.wrapping_sub(first)))
        };
        out.push(Segment {
            cycle: *at,
            outward: *outward,
            seq,
            length: h.length,
            ack: h.ack.map(|a| a.wrapping_sub(other.unwrap_or(a))),
            window: u32::from(h.window) << scale,
            syn: h.syn,
            fin: h.fin,
            rst: h.rst,
            again,
            sack: h.sack.map(|block| block.and_then(edges)),
        });
    }
    out
}

/// Byte times that a full-size frame's neighbours may not use: preamble, Ethernet header, FCS and gap (IEEE 802.3 clause 4.4.2), IP and TCP header.
pub const OVERHEAD: u64 = 8 + 14 + 4 + 12 + 20 + 20;

/// What one direction of the line carried between the ends of its first and its last data frame. What came before the first data frame's end is not measured,
/// so its own bytes do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// Cycles between the two ends.
    pub cycles: u64,
    /// Payload bytes of the data frames.
    pub bytes: u64,
    /// Data frames.
    pub data: u64,
    /// Segments without data: ACKs alone.
    pub alone: u64,
    /// Cycles in which nothing left and the gap of 12 cycles after the last frame was over.
    pub idle: u64,
    /// The longest of these pauses.
    pub longest: u64,
}

impl Use {
    /// Payload as a share of what the line can carry in segments of `size` bytes: `size / (size + 78)` of its cycles. **Nothing is deducted**: the line's time
    /// that ACKs without data take, headers of segments shorter than `size`, and pauses all count against the figure.
    pub fn goodput(&self, size: u64) -> f64 {
        self.bytes as f64 / self.cycles as f64 * (size + OVERHEAD) as f64 / size as f64
    }

    /// Share of the cycles in which the line was idle although the gap was over.
    pub fn idle_share(&self) -> f64 {
        self.idle as f64 / self.cycles as f64
    }
}

/// The use of one direction of the line up to the first FIN on either side, for from there on not everybody has something to send; `None` with fewer than
/// two data frames.
pub fn line_use(line: &[OnTheLine], outward: bool) -> Option<Use> {
    let fins = line.iter().filter(|f| f.segment.is_some_and(|h| h.fin));
    let end = fins.map(|f| f.stamp.last).min().unwrap_or(u64::MAX);
    use_until(line, outward, end)
}

fn use_until(line: &[OnTheLine], outward: bool, end: u64) -> Option<Use> {
    const GAP: u64 = 12;
    let is_data = |f: &&OnTheLine| f.segment.is_some_and(|h| h.length > 0);
    let frames: Vec<_> = (line.iter())
        .filter(|f| f.outward() == outward && f.stamp.last <= end)
        .collect();
    let first = frames.iter().position(&is_data)?;
    let last = frames.iter().rposition(is_data)?;
    if first == last {
        return None;
    }
    let mut found = Use {
        cycles: frames[last].stamp.last - frames[first].stamp.last,
        ..Use::default()
    };
    for two in frames[first..=last].windows(2) {
        let idle = (two[1].stamp.first - two[0].stamp.last).saturating_sub(1 + GAP);
        found.idle += idle;
        found.longest = found.longest.max(idle);
        match two[1].segment {
            Some(Header { length: 1.., .. }) => found.data += 1,
            Some(_) => found.alone += 1,
            None => {}
        }
        found.bytes += two[1].segment.map_or(0, |h| u64::from(h.length));
    }
    Some(found)
}

/// [`Use::goodput`] of one direction in segments of 1460 bytes, from its first data frame to its last, FIN or not.
pub fn goodput(line: &[OnTheLine], outward: bool) -> Option<f64> {
    use_until(line, outward, u64::MAX).map(|found| found.goodput(1460))
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
            sack: [None; 3],
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
    fn an_ack_alone_a_pause_and_a_short_segment_count_against_the_line() {
        // Data; an ACK alone and data, without a pause; a pause of 100; 10 bytes.
        let starts = [0, 1538, 1538 + 84, 2 * 1538 + 84 + 100];
        let line: Vec<_> = (starts.into_iter().zip([1460, 0, 1460, 10]))
            .map(|(first, length)| {
                let bytes = 8 + (54 + u64::from(length)).max(60) + 4;
                frame(Way::ToBoard, first, first + bytes - 1, header(0, length))
            })
            .collect();
        let found = line_use(&line, false).unwrap();
        let want = Use {
            // From the end of the first frame: gap, ACK, gap, data, gap and pause, 76 bytes.
            cycles: 12 + 72 + 12 + 1526 + 12 + 100 + 76,
            bytes: 1470,
            data: 2,
            alone: 1,
            idle: 100,
            longest: 100,
        };
        assert_eq!(found, want);
        let share = 1470.0 / 1810.0 * 1538.0 / 1460.0;
        assert!((found.goodput(1460) - share).abs() < 1e-12);
        assert!((found.idle_share() - 100.0 / 1810.0).abs() < 1e-12);
        assert_eq!(line_use(&line, true), None);
        assert_eq!(line_use(&line[..2], false), None);
        // What comes after a FIN, whosever it is, is not measured.
        let fin = Header {
            fin: true,
            ..header(0, 0)
        };
        let mut ended = line.clone();
        ended.push(frame(Way::FromBoard, 2 * 1538, 3 * 1538, fin));
        ended.push(frame(
            Way::ToBoard,
            9 * 1538,
            9 * 1538 + 1525,
            header(0, 1460),
        ));
        assert_eq!(line_use(&ended, false), Some(want));
        // But it is in the goodput of a whole run.
        assert!(goodput(&ended, false).unwrap() < share);
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
            frame(
                Way::FromBoard,
                8,
                9,
                Header {
                    syn: true,
                    ..header(500, 0)
                },
            ),
            frame(
                Way::FromBoard,
                10,
                11,
                Header {
                    sack: [Some((5, 10)), Some((12, 15)), None],
                    ..header(501, 0)
                },
            ),
        ];
        let found = segments(&line);
        // Relative to the first number of the other end, u32::MAX.
        assert_eq!(found[5].sack, [Some((6, 11)), Some((13, 16)), None]);
        let found = &found[..4];
        let brief: Vec<_> = found.iter().map(|s| (s.seq, s.length, s.again)).collect();
        assert_eq!(
            brief,
            [(0, 0, false), (1, 10, false), (1, 10, true), (11, 5, false)]
        );
    }
}
