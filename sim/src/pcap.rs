//! Classic pcap files (microsecond stamps) in and out, and the links that write and play them.
//!
//! The format is the one of `pcap-savefile(5)`: a header of 24 bytes, then 16 bytes before each packet. Written here
//! rather than taken from a crate because it is that short and every crate that does it brings pcapng along.

use std::io::{self, Read, Write};

use thiserror::Error;

use crate::link::{Duration, Frame, Instant, Link, Medium};

const MAGIC_MICROS: u32 = 0xA1B2_C3D4;
const MAGIC_NANOS: u32 = 0xA1B2_3C4D;
const SNAPLEN: u32 = 65_535;
/// LINKTYPE_ETHERNET.
const LINKTYPE_ETHERNET: u32 = 1;
/// LINKTYPE_RAW: IPv4 or IPv6 by the version nibble.
const LINKTYPE_RAW: u32 = 101;
/// LINKTYPE_IPV4.
const LINKTYPE_IPV4: u32 = 228;

/// What can be wrong with a capture file.
#[derive(Debug, Error)]
pub enum PcapError {
    /// The file can't be read or written.
    #[error("capture file: {0}")]
    Io(#[from] io::Error),
    /// The first four bytes are none of the classic magics.
    #[error("not a classic pcap file: it begins with {0:#010x} (pcapng begins with 0x0a0d0d0a; convert with `editcap -F pcap`)")]
    Magic(u32),
    /// Frames of a kind no link here carries.
    #[error("link type {0} is neither Ethernet (1) nor raw IP (101, 228)")]
    LinkType(u32),
    /// A packet header that can't be true.
    #[error("packet {packet}: a length of {length} bytes is over the limit of {SNAPLEN}")]
    Length {
        /// Number of the packet, from 0.
        packet: u64,
        /// The length it claims.
        length: u32,
    },
    /// The file ends inside a packet.
    #[error("packet {packet}: the file ends inside it")]
    Broken {
        /// Number of the packet, from 0.
        packet: u64,
    },
}

/// Writes packets into a capture file.
#[derive(Debug)]
pub struct PcapFile<W: Write> {
    out: W,
}

impl<W: Write> PcapFile<W> {
    /// Begins a file of frames of this medium.
    pub fn new(mut out: W, medium: Medium) -> io::Result<Self> {
        let linktype = match medium {
            Medium::Ethernet => LINKTYPE_ETHERNET,
            _ => LINKTYPE_IPV4,
        };
        let mut header = Vec::with_capacity(24);
        header.extend(MAGIC_MICROS.to_le_bytes());
        header.extend(2u16.to_le_bytes()); // version 2.4
        header.extend(4u16.to_le_bytes());
        header.extend([0; 8]); // UTC offset, accuracy: always 0
        header.extend(SNAPLEN.to_le_bytes());
        header.extend(linktype.to_le_bytes());
        out.write_all(&header)?;
        Ok(Self { out })
    }

    /// Adds a packet.
    pub fn write(&mut self, at: Instant, bytes: &[u8]) -> io::Result<()> {
        let kept = bytes.len().min(SNAPLEN as usize);
        let micros = at.total_micros();
        let mut header = [0u8; 16];
        header[0..4].copy_from_slice(&((micros / 1_000_000) as u32).to_le_bytes());
        header[4..8].copy_from_slice(&((micros % 1_000_000) as u32).to_le_bytes());
        header[8..12].copy_from_slice(&(kept as u32).to_le_bytes());
        header[12..16].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        self.out.write_all(&header)?;
        self.out.write_all(&bytes[..kept])
    }

    /// Ends the file and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Reads packets from a capture file of either byte order, stamped in micro- or nanoseconds.
#[derive(Debug)]
pub struct PcapReader<R: Read> {
    input: R,
    medium: Medium,
    swapped: bool,
    nanos: bool,
    packet: u64,
}

impl<R: Read> PcapReader<R> {
    /// Reads the file's header.
    pub fn new(mut input: R) -> Result<Self, PcapError> {
        let mut header = [0u8; 24];
        input.read_exact(&mut header)?;
        let magic = word(&header, 0, false);
        let swapped = matches!(magic.swap_bytes(), MAGIC_MICROS | MAGIC_NANOS);
        let nanos = match if swapped { magic.swap_bytes() } else { magic } {
            MAGIC_MICROS => false,
            MAGIC_NANOS => true,
            _ => return Err(PcapError::Magic(magic)),
        };
        // The upper bits of the field hold the FCS length, if any.
        let medium = match word(&header, 20, swapped) & 0x03FF_FFFF {
            LINKTYPE_ETHERNET => Medium::Ethernet,
            LINKTYPE_RAW | LINKTYPE_IPV4 => Medium::Ip,
            other => return Err(PcapError::LinkType(other)),
        };
        Ok(Self {
            input,
            medium,
            swapped,
            nanos,
            packet: 0,
        })
    }

    /// What the packets are.
    pub fn medium(&self) -> Medium {
        self.medium
    }

    fn read(&mut self) -> Result<Option<(Instant, Vec<u8>)>, PcapError> {
        let packet = self.packet;
        let broken = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => PcapError::Broken { packet },
            _ => PcapError::Io(error),
        };
        let mut header = [0u8; 16];
        if self.input.read(&mut header[..1])? == 0 {
            return Ok(None);
        }
        self.input.read_exact(&mut header[1..]).map_err(broken)?;
        let length = word(&header, 8, self.swapped);
        if length > SNAPLEN {
            return Err(PcapError::Length { packet, length });
        }
        let mut bytes = vec![0; length as usize];
        self.input.read_exact(&mut bytes).map_err(broken)?;
        let fraction = word(&header, 4, self.swapped) / if self.nanos { 1000 } else { 1 };
        let seconds = word(&header, 0, self.swapped);
        let at = Instant::from_micros(i64::from(seconds) * 1_000_000 + i64::from(fraction));
        self.packet += 1;
        Ok(Some((at, bytes)))
    }
}

fn word(header: &[u8], at: usize, swapped: bool) -> u32 {
    let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
    if swapped {
        u32::from_be_bytes(bytes)
    } else {
        u32::from_le_bytes(bytes)
    }
}

impl<R: Read> Iterator for PcapReader<R> {
    type Item = Result<(Instant, Vec<u8>), PcapError>;
    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}

/// A link that writes all that passes, both ways, into a capture file. Frames that the line spoils are written with
/// the bytes the line carries, so that a capture shows them.
#[derive(Debug)]
pub struct PcapWriter<L, W: Write> {
    inner: L,
    file: PcapFile<W>,
    error: Option<io::Error>,
}

impl<L: Link, W: Write> PcapWriter<L, W> {
    /// Begins the file.
    pub fn new(inner: L, out: W) -> io::Result<Self> {
        let file = PcapFile::new(out, inner.medium())?;
        Ok(Self {
            inner,
            file,
            error: None,
        })
    }

    fn note(&mut self, bytes: &[u8], now: Instant) {
        if self.error.is_none() {
            self.error = self.file.write(now, bytes).err();
        }
    }

    /// The link inside.
    pub fn inner(&self) -> &L {
        &self.inner
    }

    /// The link inside.
    pub fn inner_mut(&mut self) -> &mut L {
        &mut self.inner
    }

    /// Hands on what is written so far, so that the file can be read while it grows; gives the first error there was.
    pub fn flush(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.file.out.flush(),
        }
    }

    /// Ends the file; gives the first error there was in writing it.
    pub fn finish(self) -> io::Result<(L, W)> {
        match self.error {
            Some(error) => Err(error),
            None => Ok((self.inner, self.file.finish()?)),
        }
    }
}

impl<L: Link, W: Write> Link for PcapWriter<L, W> {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        let frame = self.inner.receive(now)?;
        self.note(&frame, now);
        Some(frame)
    }
    fn send(&mut self, frame: Frame, now: Instant) {
        self.note(&frame, now);
        self.inner.send(frame, now);
    }
    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        self.inner.idle_until(now)
    }
    fn medium(&self) -> Medium {
        self.inner.medium()
    }
}

/// A link that plays a capture to the board, with the spacing the capture has, the first packet at the first call.
#[derive(Debug)]
pub struct PcapPlayer {
    packets: std::collections::VecDeque<(Instant, Vec<u8>)>,
    offset: Option<Duration>,
    medium: Medium,
    /// What the board sent meanwhile.
    pub outgoing: Vec<(Instant, Frame)>,
}

impl PcapPlayer {
    /// Reads the whole capture.
    pub fn new(input: impl Read) -> Result<Self, PcapError> {
        let reader = PcapReader::new(input)?;
        let medium = reader.medium();
        let packets = reader.collect::<Result<_, _>>()?;
        Ok(Self {
            packets,
            offset: None,
            medium,
            outgoing: Vec::new(),
        })
    }

    /// Packets not played yet.
    pub fn left(&self) -> usize {
        self.packets.len()
    }

    fn due(&mut self, now: Instant) -> Option<Instant> {
        let first = self.packets.front()?.0;
        // Captures may carry wall-clock stamps, far after a simulation's zero; both orders are kept apart by sign.
        let shift = *self.offset.get_or_insert_with(|| {
            Duration::from_micros((first.total_micros() - now.total_micros()).max(0) as u64)
        });
        Some(Instant::from_micros(
            first.total_micros() - shift.total_micros() as i64,
        ))
    }
}

impl Link for PcapPlayer {
    fn receive(&mut self, now: Instant) -> Option<Frame> {
        if self.due(now)? > now {
            return None;
        }
        self.packets.pop_front().map(|(_, bytes)| Frame::new(bytes))
    }
    fn send(&mut self, frame: Frame, now: Instant) {
        self.outgoing.push((now, frame));
    }
    fn idle_until(&mut self, now: Instant) -> Option<Instant> {
        self.due(now)
    }
    fn medium(&self) -> Medium {
        self.medium
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Queues;

    #[test]
    fn what_is_written_is_read_back() {
        for medium in [Medium::Ethernet, Medium::Ip] {
            let packets = [
                (Instant::from_micros(0), vec![]),
                (Instant::from_micros(999_999), vec![1; 60]),
                (Instant::from_micros(1_000_000), vec![2; 1514]),
            ];
            let mut file = PcapFile::new(Vec::new(), medium).unwrap();
            for (at, bytes) in &packets {
                file.write(*at, bytes).unwrap();
            }
            let bytes = file.finish().unwrap();
            assert_eq!(bytes.len(), 24 + 3 * 16 + 1574);
            let reader = PcapReader::new(&bytes[..]).unwrap();
            assert_eq!(reader.medium(), medium);
            let back: Vec<_> = reader.map(Result::unwrap).collect();
            assert_eq!(back, packets);
        }
    }

    /// Bytes laid out by hand after `pcap-savefile(5)`: big-endian, nanoseconds.
    #[test]
    fn the_other_byte_order_and_nanoseconds_are_read() {
        let mut bytes = vec![0xA1, 0xB2, 0x3C, 0x4D, 0, 2, 0, 4];
        bytes.extend([0; 8]);
        bytes.extend([0, 0, 0xFF, 0xFF, 0, 0, 0, 1]);
        bytes.extend([0, 0, 0, 2, 0, 0, 0x0B, 0xB8, 0, 0, 0, 1, 0, 0, 0, 1, 0xEE]);
        let mut reader = PcapReader::new(&bytes[..]).unwrap();
        assert_eq!(
            reader.next().unwrap().unwrap(),
            (Instant::from_micros(2_000_003), vec![0xEE])
        );
        assert!(reader.next().is_none());
    }

    #[test]
    fn bad_files_are_told_apart() {
        let file = PcapFile::new(Vec::new(), Medium::Ethernet).unwrap();
        let good = file.finish().unwrap();
        let mut other = good.clone();
        other[0] = 0;
        assert!(matches!(
            PcapReader::new(&other[..]),
            Err(PcapError::Magic(_))
        ));
        let mut other = good.clone();
        other[20] = 105;
        assert!(matches!(
            PcapReader::new(&other[..]),
            Err(PcapError::LinkType(105))
        ));
        let mut other = good.clone();
        other.extend([0; 5]);
        let mut reader = PcapReader::new(&other[..]).unwrap();
        assert!(matches!(
            reader.next(),
            Some(Err(PcapError::Broken { packet: 0 }))
        ));
        let mut other = good;
        other.extend([0xFF; 16]);
        let mut reader = PcapReader::new(&other[..]).unwrap();
        assert!(matches!(
            reader.next(),
            Some(Err(PcapError::Length { packet: 0, .. }))
        ));
    }

    #[test]
    fn the_player_keeps_the_spacing_and_the_writer_sees_both_ways() {
        let mut file = PcapFile::new(Vec::new(), Medium::Ip).unwrap();
        file.write(Instant::from_secs(1000), &[1]).unwrap();
        file.write(Instant::from_micros(1_000_000_007), &[2])
            .unwrap();
        let player = PcapPlayer::new(&file.finish().unwrap()[..]).unwrap();
        let mut link = PcapWriter::new(player, Vec::new()).unwrap();
        let at = Instant::from_micros;
        assert_eq!(link.receive(at(50)), Some(Frame::new(vec![1])));
        assert_eq!(link.receive(at(56)), None);
        assert_eq!(link.idle_until(at(56)), Some(at(57)));
        link.send(Frame::new(vec![3]), at(56));
        assert_eq!(link.receive(at(57)), Some(Frame::new(vec![2])));
        assert_eq!(link.idle_until(at(57)), None);
        let (player, bytes) = link.finish().unwrap();
        assert_eq!(player.outgoing, [(at(56), Frame::new(vec![3]))]);
        let seen: Vec<_> = PcapReader::new(&bytes[..])
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            seen,
            [(at(50), vec![1]), (at(56), vec![3]), (at(57), vec![2])]
        );
    }

    #[test]
    fn a_full_disk_is_told_at_the_end() {
        let mut space = [0u8; 30];
        let queues = Queues::new(Medium::Ethernet);
        let mut link = PcapWriter::new(queues, &mut space[..]).unwrap();
        link.send(Frame::new(vec![3; 60]), Instant::ZERO);
        assert_eq!(link.inner().outgoing.len(), 1);
        assert!(link.finish().is_err());
    }
}
