//! The serial line: IP packets framed by SLIP (RFC 1055) at a board's UART pins, bit by bit, 8 data bits, no parity, one stop bit.
//!
//! Cycles are counted as in [`crate::gmii`]. A SLIP line has no FCS: what [`Frame::tail`] says of one is ignored, and a
//! line error ([`Frame::error_at`]) is a byte whose stop bit is missing.

use std::collections::VecDeque;

use thiserror::Error;

use crate::link::{Frame, Medium};
use crate::world::Port;

/// RFC 1055: octal 300, 333, 334, 335.
const END: u8 = 0xC0;
const ESC: u8 = 0xDB;
const ESC_END: u8 = 0xDC;
const ESC_ESC: u8 = 0xDD;

/// What the board did wrong on the line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Violation {
    /// The line went low for less than half a bit.
    #[error("cycle {cycle}: a low pulse shorter than half a bit")]
    Glitch {
        /// Cycle of the falling edge.
        cycle: u64,
    },
    /// The stop bit is low.
    #[error("cycle {cycle}: no stop bit after byte {byte:02x}")]
    Stop {
        /// Cycle of the start bit.
        cycle: u64,
        /// The byte as sampled.
        byte: u8,
    },
    /// ESC followed by neither ESC_END nor ESC_ESC.
    #[error("cycle {cycle}: ESC followed by {byte:02x}")]
    Escape {
        /// Cycle of the start bit of the second byte.
        cycle: u64,
        /// The second byte.
        byte: u8,
    },
    /// A packet over the limit.
    #[error("cycle {cycle}: a packet of over {limit} bytes")]
    Oversize {
        /// Cycle of the start bit of the first byte over the limit.
        cycle: u64,
        /// The longest allowed.
        limit: usize,
    },
}

/// Escapes a packet, with END on both sides: the first flushes line noise (RFC 1055, page 5).
pub fn encode(packet: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(packet.len() + 8);
    line.push(END);
    for &byte in packet {
        match byte {
            END => line.extend([ESC, ESC_END]),
            ESC => line.extend([ESC, ESC_ESC]),
            _ => line.push(byte),
        }
    }
    line.push(END);
    line
}

/// The host's side of the two pins.
#[derive(Debug)]
pub struct SlipPort {
    cycles_per_bit: u32,
    cycle: u64,
    // To the board.
    queue: VecDeque<Frame>,
    line: VecDeque<(u8, bool)>,
    /// Bits to shift out, least significant first, stop bit included; 0 when idle.
    shift: u32,
    bits_left: u32,
    until_bit: u32,
    // From the board.
    last: bool,
    start: u64,
    /// Bits sampled of the present byte; 0 is "waiting for the middle of the start bit".
    sampled: u32,
    byte: u8,
    until_sample: u32,
    receiving: bool,
    packet: Vec<u8>,
    escaped: bool,
    spoiled: bool,
    limit: usize,
    received: VecDeque<Frame>,
    violations: VecDeque<Violation>,
    bytes_to_board: u64,
    bytes_from_board: u64,
    last_byte: u64,
}

impl SlipPort {
    /// An idle line of so many clock cycles a bit (at least 2). Packets from the board may be up to 1006 bytes
    /// (RFC 1055, page 6).
    pub fn new(cycles_per_bit: u32) -> Self {
        Self {
            cycles_per_bit: cycles_per_bit.max(2),
            cycle: 0,
            queue: VecDeque::new(),
            line: VecDeque::new(),
            shift: 0,
            bits_left: 0,
            until_bit: 0,
            last: true,
            start: 0,
            sampled: 0,
            byte: 0,
            until_sample: 0,
            receiving: false,
            packet: Vec::new(),
            escaped: false,
            spoiled: false,
            limit: 1006,
            received: VecDeque::new(),
            violations: VecDeque::new(),
            bytes_to_board: 0,
            bytes_from_board: 0,
            last_byte: 0,
        }
    }

    /// Sets the longest packet the board may send.
    pub fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The number of the next call of [`SlipPort::step`].
    pub fn cycle(&self) -> u64 {
        self.cycle
    }

    /// Bytes put on the line for the board and taken from it, framing and escapes counted.
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes_to_board, self.bytes_from_board)
    }

    /// Cycle in which the last byte from the board was complete (middle of its stop bit).
    pub fn last_byte(&self) -> u64 {
        self.last_byte
    }

    /// Puts bytes on the line as they are, after all that is queued: noise, broken escapes, packets cut off.
    pub fn queue_raw(&mut self, bytes: &[u8]) {
        while let Some(frame) = self.queue.pop_front() {
            self.load(frame);
        }
        self.line.extend(bytes.iter().map(|&byte| (byte, true)));
    }

    /// One clock cycle: takes the board's `tx`, gives its `rx`.
    #[inline]
    pub fn step(&mut self, tx: bool) -> bool {
        if self.receiving {
            self.until_sample -= 1;
            if self.until_sample == 0 {
                self.sample(tx);
            }
        } else if self.last && !tx {
            // Falling edge: the middle of the start bit is half a bit away.
            self.receiving = true;
            self.start = self.cycle;
            self.sampled = 0;
            self.until_sample = self.cycles_per_bit / 2;
        }
        self.last = tx;

        if self.bits_left == 0 {
            self.next_byte();
        }
        let rx = if self.bits_left == 0 {
            true
        } else {
            let bit = self.shift & 1 == 1;
            self.until_bit -= 1;
            if self.until_bit == 0 {
                self.until_bit = self.cycles_per_bit;
                self.shift >>= 1;
                self.bits_left -= 1;
            }
            bit
        };
        self.cycle += 1;
        rx
    }

    #[inline]
    fn next_byte(&mut self) {
        if self.line.is_empty() {
            match self.queue.pop_front() {
                Some(frame) => self.load(frame),
                None => return,
            }
        }
        if let Some((byte, stop)) = self.line.pop_front() {
            // Start bit 0, eight data bits, stop bit. After a missing stop bit the line must rise before the next
            // start bit can be seen: one idle bit more.
            self.shift = (u32::from(byte) << 1) | (u32::from(stop) << 9) | (1 << 10);
            self.bits_left = if stop { 10 } else { 11 };
            self.until_bit = self.cycles_per_bit;
            self.bytes_to_board += 1;
        }
    }

    fn load(&mut self, frame: Frame) {
        // The index of a spoiled byte is that of the packet; on the line it moves by END and the escapes before it.
        let spoiled = frame.error_at.map(|at| {
            let before = &frame.bytes[..at.min(frame.bytes.len())];
            encode(before).len() - 1
        });
        let bytes = encode(&frame.bytes);
        (self.line)
            .extend((bytes.into_iter().enumerate()).map(|(n, byte)| (byte, Some(n) != spoiled)));
    }

    #[inline]
    fn sample(&mut self, tx: bool) {
        self.until_sample = self.cycles_per_bit;
        match self.sampled {
            0 => {
                if tx {
                    self.receiving = false;
                    self.violations
                        .push_back(Violation::Glitch { cycle: self.start });
                }
            }
            1..=8 => self.byte = (self.byte >> 1) | (u8::from(tx) << 7),
            _ => {
                self.receiving = false;
                self.bytes_from_board += 1;
                self.last_byte = self.cycle;
                if tx {
                    self.unescape(self.byte);
                } else {
                    self.spoiled = true;
                    self.violations.push_back(Violation::Stop {
                        cycle: self.start,
                        byte: self.byte,
                    });
                }
            }
        }
        self.sampled += 1;
    }

    fn unescape(&mut self, byte: u8) {
        let cycle = self.start;
        let plain = match (self.escaped, byte) {
            (_, END) => {
                if self.escaped {
                    self.violations.push_back(Violation::Escape { cycle, byte });
                    self.spoiled = true;
                }
                let packet = std::mem::take(&mut self.packet);
                if !packet.is_empty() && !self.spoiled {
                    self.received.push_back(Frame::new(packet));
                }
                self.escaped = false;
                self.spoiled = false;
                return;
            }
            (false, ESC) => {
                self.escaped = true;
                return;
            }
            (false, byte) => byte,
            (true, ESC_END) => END,
            (true, ESC_ESC) => ESC,
            (true, byte) => {
                self.violations.push_back(Violation::Escape { cycle, byte });
                self.spoiled = true;
                byte
            }
        };
        self.escaped = false;
        if self.packet.len() < self.limit {
            self.packet.push(plain);
        } else if !self.spoiled {
            self.spoiled = true;
            let limit = self.limit;
            self.violations
                .push_back(Violation::Oversize { cycle, limit });
        }
    }
}

impl Port for SlipPort {
    type Violation = Violation;

    fn queue(&mut self, frame: Frame) {
        self.queue.push_back(frame);
    }
    fn queued(&self) -> usize {
        self.queue.len()
    }
    #[inline]
    fn has_news(&self) -> bool {
        !self.received.is_empty() || !self.violations.is_empty()
    }
    fn take(&mut self) -> Option<Frame> {
        self.received.pop_front()
    }
    fn take_violation(&mut self) -> Option<Violation> {
        self.violations.pop_front()
    }
    fn is_quiet(&self) -> bool {
        self.queue.is_empty() && self.line.is_empty() && self.bits_left == 0 && !self.receiving
    }
    fn medium(&self) -> Medium {
        Medium::Ip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loop_back(port: &mut SlipPort) {
        let mut pin = true;
        while !port.is_quiet() || !pin {
            pin = port.step(pin);
        }
        for _ in 0..20 {
            pin = port.step(pin);
        }
    }

    /// The bits a board would send, each held for `width` cycles.
    fn send(port: &mut SlipPort, bits: &[u8], width: u32) {
        for &bit in bits {
            for _ in 0..width {
                port.step(bit == 1);
            }
        }
    }

    fn bits(byte: u8) -> Vec<u8> {
        let mut bits = vec![0];
        bits.extend((0..8).map(|n| (byte >> n) & 1));
        bits.push(1);
        bits
    }

    #[test]
    fn escapes_are_those_of_the_rfc() {
        assert_eq!(
            encode(&[0xC0, 0x01, 0xDB, 0xDC]),
            [0o300, 0o333, 0o334, 0x01, 0o333, 0o335, 0xDC, 0o300]
        );
    }

    #[test]
    fn packets_come_back_at_every_speed() {
        for cycles_per_bit in [2, 3, 8, 100] {
            let mut port = SlipPort::new(cycles_per_bit);
            let all: Vec<u8> = (0..=255).collect();
            for packet in [&all[..], &[END], &[ESC; 9]] {
                port.queue(Frame::new(packet));
            }
            loop_back(&mut port);
            for packet in [&all[..], &[END], &[ESC; 9]] {
                assert_eq!(port.take().unwrap().bytes, packet);
            }
            assert!(!port.has_news());
            assert_eq!(port.bytes().0, port.bytes().1);
        }
    }

    #[test]
    fn a_byte_takes_ten_bits() {
        let mut port = SlipPort::new(7);
        port.queue_raw(&[0x55, 0xC1]);
        let seen: Vec<u8> = (0..150).map(|_| u8::from(port.step(true))).collect();
        let expected = [bits(0x55), bits(0xC1), vec![1; 2]].concat();
        for (n, bit) in seen.iter().enumerate() {
            assert_eq!(*bit, *expected.get(n / 7).unwrap_or(&1), "cycle {n}");
        }
    }

    #[test]
    fn a_board_whose_clock_is_four_percent_off_is_heard() {
        for width in [96, 104] {
            let mut port = SlipPort::new(100);
            for byte in encode(&[0x00, 0xFF, 0xA5, END]) {
                send(&mut port, &bits(byte), width);
            }
            assert_eq!(port.take().unwrap().bytes, [0x00, 0xFF, 0xA5, END]);
            assert_eq!(port.take_violation(), None);
        }
    }

    #[test]
    fn every_violation_is_told_and_spoils_its_packet_alone() {
        let mut port = SlipPort::new(10).with_limit(4);
        send(&mut port, &[1, 1], 10);
        send(&mut port, &[0], 3);
        send(&mut port, &[1], 10);
        assert_eq!(port.take_violation(), Some(Violation::Glitch { cycle: 20 }));
        let mut no_stop = bits(0x31);
        no_stop[9] = 0;
        no_stop.push(1);
        send(&mut port, &no_stop, 10);
        assert!(matches!(
            port.take_violation(),
            Some(Violation::Stop { byte: 0x31, .. })
        ));
        for byte in [0x32, END] {
            send(&mut port, &bits(byte), 10);
        }
        assert!(!port.has_news());
        for byte in [1, ESC, 7, END, ESC, END] {
            send(&mut port, &bits(byte), 10);
        }
        assert!(matches!(
            port.take_violation(),
            Some(Violation::Escape { byte: 7, .. })
        ));
        assert!(matches!(
            port.take_violation(),
            Some(Violation::Escape { byte: END, .. })
        ));
        for byte in encode(&[1, 2, 3, 4, 5]) {
            send(&mut port, &bits(byte), 10);
        }
        assert!(matches!(
            port.take_violation(),
            Some(Violation::Oversize { limit: 4, .. })
        ));
        assert!(!port.has_news());
        for byte in encode(&[1, 2, 3, 4]) {
            send(&mut port, &bits(byte), 10);
        }
        assert_eq!(port.take().unwrap().bytes, [1, 2, 3, 4]);
        assert!(!port.has_news());
    }

    #[test]
    fn a_line_error_is_a_missing_stop_bit_of_that_byte() {
        let mut port = SlipPort::new(4);
        let mut frame = Frame::new(vec![END, 0x31, 0x32]);
        frame.error_at = Some(1);
        port.queue(frame);
        port.queue(Frame::new(vec![5]));
        loop_back(&mut port);
        assert!(matches!(
            port.take_violation(),
            Some(Violation::Stop { byte: 0x31, .. })
        ));
        assert_eq!(port.take().unwrap().bytes, [5]);
        assert!(!port.has_news());
    }
}
