//! SLIP: IP packets on a serial line (RFC 1055).
//!
//! `END` (0xC0) ends a packet; `END` and `ESC` (0xDB) within one are sent as `ESC ESC_END` and `ESC ESC_ESC`. Each packet
//! is also *begun* with `END`, so that noise on an idle line is thrown away with it.
//!
//! **Latency**: `SlipRx` holds one byte back, to know the last one: a byte leaves 1 cycle after the next byte of the packet came in.
//! `SlipTx` offers the opening `END` 1 cycle after `packet.valid`. **Throughput**: one byte a cycle each way; an escaped one two.
//! **Abort**: a byte after `ESC` that is neither `ESC_END` nor `ESC_ESC`, a framing error, and a packet above `mtu` bytes end the packet with
//! `error`; what follows up to the next `END` is thrown away.
use rust_hdl::prelude::*;

use crate::counters::Cause;
use crate::stream::{StreamIn, StreamOut};

/// RFC 1055: frame end.
pub const END: u8 = 0o300;
/// RFC 1055: escape.
pub const ESC: u8 = 0o333;
/// RFC 1055: after ESC, stands for END.
pub const ESC_END: u8 = 0o334;
/// RFC 1055: after ESC, stands for ESC.
pub const ESC_ESC: u8 = 0o335;

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct RxState {
    held: Bits<8>,
    have: Bit,
    escaped: Bit,
    /// Rest of a broken packet: passed over up to END.
    skip: Bit,
    length: Bits<11>,
    data: Bits<8>,
    valid: Bit,
    last: Bit,
    error: Bit,
    count: Bit,
    cause: Bits<6>,
}

/// Line bytes in, packets out. The packet stream cannot wait: the consumer holds `ready` high.
#[derive(LogicBlock)]
pub struct SlipRx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub data: Signal<In, Bits<8>>,
    pub valid: Signal<In, Bit>,
    /// With `valid`: a framing error of the UART.
    pub error: Signal<In, Bit>,
    pub packet: StreamOut,
    /// One cycle for each packet that came whole (`FrameIn`) or was broken (`LinkError`, `LinkOversize`).
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,
    r: DFF<RxState>,
    byte: Signal<Local, Bits<8>>,
    take: Signal<Local, Bit>,
    broken: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
    length_more: Signal<Local, Bits<11>>,
    mtu: Constant<Bits<11>>,
    end: Constant<Bits<8>>,
    esc: Constant<Bits<8>>,
    esc_end: Constant<Bits<8>>,
    esc_esc: Constant<Bits<8>>,
    frame_in: Constant<Bits<6>>,
    link_error: Constant<Bits<6>>,
    link_oversize: Constant<Bits<6>>,
}

fn byte(value: u8) -> Constant<Bits<8>> {
    Constant::new(u64::from(value).into())
}

fn cause(value: Cause) -> Constant<Bits<6>> {
    Constant::new(u64::from(value.number()).into())
}

impl SlipRx {
    /// Packets of up to `mtu` bytes (1 to 2047).
    ///
    /// # Panics
    /// If `mtu` is out of these limits.
    pub fn new(mtu: u16) -> Self {
        assert!(
            (1..2048).contains(&mtu),
            "SlipRx: mtu is {mtu}, but must be from 1 to 2047"
        );
        Self {
            clock: Default::default(),
            reset: Default::default(),
            data: Default::default(),
            valid: Default::default(),
            error: Default::default(),
            packet: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            r: Default::default(),
            byte: Default::default(),
            take: Default::default(),
            broken: Default::default(),
            ends: Default::default(),
            length_more: Default::default(),
            mtu: Constant::new(u64::from(mtu).into()),
            end: byte(END),
            esc: byte(ESC),
            esc_end: byte(ESC_END),
            esc_esc: byte(ESC_ESC),
            frame_in: cause(Cause::FrameIn),
            link_error: cause(Cause::LinkError),
            link_oversize: cause(Cause::LinkOversize),
        }
    }
}

impl Logic for SlipRx {
    #[hdl_gen]
    fn update(&mut self) {
        // Registers, defaults.
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.r.d.next.valid = false;
        self.r.d.next.last = false;
        self.r.d.next.error = false;
        self.r.d.next.count = false;
        // What this byte is: `take` a byte of the packet, `ends` the packet, or `broken`.
        self.byte.next = self.data.val();
        self.take.next = false;
        self.broken.next = false;
        self.ends.next = false;
        self.length_more.next = self.r.q.val().length + 1;
        if self.valid.val() {
            self.r.d.next.escaped = false;
            if self.error.val() {
                self.broken.next = true;
            } else {
                if self.data.val() == self.end.val() {
                    // ESC END is a protocol violation (RFC 1055), but END always ends.
                    self.ends.next = true;
                } else {
                    if self.r.q.val().escaped {
                        if self.data.val() == self.esc_end.val() {
                            self.byte.next = self.end.val();
                            self.take.next = true;
                        } else {
                            if self.data.val() == self.esc_esc.val() {
                                self.byte.next = self.esc.val();
                                self.take.next = true;
                            } else {
                                self.broken.next = true;
                            }
                        }
                    } else {
                        if self.data.val() == self.esc.val() {
                            self.r.d.next.escaped = true;
                        } else {
                            self.take.next = true;
                        }
                    }
                }
            }
        }
        if self.take.val() & !self.r.q.val().skip {
            if self.r.q.val().length == self.mtu.val() {
                self.r.d.next.valid = true;
                self.r.d.next.last = true;
                self.r.d.next.error = true;
                self.r.d.next.have = false;
                self.r.d.next.skip = true;
                self.r.d.next.count = true;
                self.r.d.next.cause = self.link_oversize.val();
            } else {
                self.r.d.next.data = self.r.q.val().held;
                self.r.d.next.valid = self.r.q.val().have;
                self.r.d.next.held = self.byte.val();
                self.r.d.next.have = true;
                self.r.d.next.length = self.length_more.val();
            }
        }
        // Noise between packets is no packet: nothing is counted for it.
        if self.broken.val() & !self.r.q.val().skip {
            self.r.d.next.skip = true;
            if self.r.q.val().have {
                self.r.d.next.valid = true;
                self.r.d.next.last = true;
                self.r.d.next.error = true;
                self.r.d.next.have = false;
                self.r.d.next.count = true;
                self.r.d.next.cause = self.link_error.val();
            }
        }
        if self.ends.val() {
            self.r.d.next.skip = false;
            self.r.d.next.have = false;
            self.r.d.next.length = 0.into();
            if self.r.q.val().have {
                self.r.d.next.data = self.r.q.val().held;
                self.r.d.next.valid = true;
                self.r.d.next.last = true;
                self.r.d.next.error = self.r.q.val().escaped;
                self.r.d.next.count = true;
                if self.r.q.val().escaped {
                    self.r.d.next.cause = self.link_error.val();
                } else {
                    self.r.d.next.cause = self.frame_in.val();
                }
            }
        }
        // Outputs.
        self.packet.data.next = self.r.q.val().data;
        self.packet.valid.next = self.r.q.val().valid;
        self.packet.last.next = self.r.q.val().last;
        self.packet.error.next = self.r.q.val().error;
        self.count.next = self.r.q.val().count;
        self.cause.next = self.r.q.val().cause;
        // Reset.
        if self.reset.val() {
            self.r.d.next.have = false;
            self.r.d.next.escaped = false;
            self.r.d.next.skip = false;
            self.r.d.next.length = 0.into();
            self.r.d.next.valid = false;
            self.r.d.next.count = false;
        }
    }
}

#[derive(LogicState, Clone, Copy, Debug, PartialEq)]
enum TxPhase {
    Idle,
    Bytes,
    Escaped,
    Close,
}

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct TxState {
    phase: TxPhase,
    /// The second byte of an escaped pair.
    second: Bits<8>,
    last: Bit,
}

/// Packets in, line bytes out. A byte moves when `valid` and `ready` are both high.
///
/// A packet that ends in `error` is ended like any other: its checksum is what stops it (nothing upstream of this block makes one).
#[derive(LogicBlock)]
pub struct SlipTx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub packet: StreamIn,
    pub data: Signal<Out, Bits<8>>,
    pub valid: Signal<Out, Bit>,
    pub ready: Signal<In, Bit>,
    /// One cycle for each packet sent (`FrameOut`).
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,
    r: DFF<TxState>,
    end: Constant<Bits<8>>,
    esc: Constant<Bits<8>>,
    esc_end: Constant<Bits<8>>,
    esc_esc: Constant<Bits<8>>,
    frame_out: Constant<Bits<6>>,
}

impl Default for SlipTx {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            reset: Default::default(),
            packet: Default::default(),
            data: Default::default(),
            valid: Default::default(),
            ready: Default::default(),
            count: Default::default(),
            cause: Default::default(),
            r: Default::default(),
            end: byte(END),
            esc: byte(ESC),
            esc_end: byte(ESC_END),
            esc_esc: byte(ESC_ESC),
            frame_out: cause(Cause::FrameOut),
        }
    }
}

impl Logic for SlipTx {
    #[hdl_gen]
    fn update(&mut self) {
        // Registers, defaults.
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.data.next = self.packet.data.val();
        self.valid.next = false;
        self.packet.ready.next = false;
        self.count.next = false;
        self.cause.next = self.frame_out.val();
        // State machine: END, the bytes, END. An END or ESC among them is offered as ESC; when that has moved, its packet byte has too.
        match self.r.q.val().phase {
            TxPhase::Idle => {
                self.data.next = self.end.val();
                if self.packet.valid.val() {
                    self.valid.next = true;
                    if self.ready.val() {
                        self.r.d.next.phase = TxPhase::Bytes;
                    }
                }
            }
            TxPhase::Bytes => {
                self.valid.next = self.packet.valid.val();
                self.packet.ready.next = self.ready.val();
                if self.packet.data.val() == self.end.val() {
                    self.data.next = self.esc.val();
                }
                if self.packet.valid.val() & self.ready.val() {
                    self.r.d.next.last = self.packet.last.val();
                    if self.packet.last.val() {
                        self.r.d.next.phase = TxPhase::Close;
                    }
                    if self.packet.data.val() == self.end.val() {
                        self.r.d.next.second = self.esc_end.val();
                        self.r.d.next.phase = TxPhase::Escaped;
                    }
                    if self.packet.data.val() == self.esc.val() {
                        self.r.d.next.second = self.esc_esc.val();
                        self.r.d.next.phase = TxPhase::Escaped;
                    }
                }
            }
            TxPhase::Escaped => {
                self.data.next = self.r.q.val().second;
                self.valid.next = true;
                if self.ready.val() {
                    self.r.d.next.phase = TxPhase::Bytes;
                    if self.r.q.val().last {
                        self.r.d.next.phase = TxPhase::Close;
                    }
                }
            }
            TxPhase::Close => {
                self.data.next = self.end.val();
                self.valid.next = true;
                if self.ready.val() {
                    self.count.next = true;
                    self.r.d.next.phase = TxPhase::Idle;
                }
            }
            _ => {
                self.r.d.next.phase = TxPhase::Idle;
            }
        }
        // Reset.
        if self.reset.val() {
            self.r.d.next.phase = TxPhase::Idle;
        }
    }
}
