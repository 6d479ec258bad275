//! Takes the Ethernet header off: frames for us or for all go on to IPv4 or to ARP.
//!
//! Latency: none, the payload passes through. Throughput: a byte a cycle.
//!
//! Abort: the payload's last beat carries the frame's `error`. A frame that ends within its header leaves nothing. A frame passed over is counted
//! when it ends, unless it was void.
use crate::config::ToeConfig;
use crate::counters::Cause;
use crate::link::mac_rx::cause;
use crate::net::parts::{Append, ByteTable};
use crate::stream::{StreamIn, StreamOut};
use rust_hdl::prelude::*;

#[derive(LogicState, Clone, Copy, Debug, PartialEq)]
enum State {
    Header,
    Ip,
    Arp,
    OtherAddress,
    OtherType,
}

#[derive(LogicStruct, Clone, Copy, Debug, Default, PartialEq)]
struct Registers {
    state: State,
    /// byte of the header
    index: Bits<4>,
    not_us: Bit,
    not_all: Bit,
    /// upper byte of the Ethertype is not 0x08
    not_eight: Bit,
    src_hi: Bits<16>,
    src_lo: Bits<32>,
}

/// The Ethernet parser.
///
/// **Contract.** `frame.ready` is high always; `ip.ready` and `arp.ready` are taken to be. `src_hi`, `src_lo` hold the sender of the frame from its
/// byte 11 until byte 6 of the next frame, so through all of the payload and, on a line with preamble and gap, for 26 cycles after it.
#[derive(LogicBlock, Debug)]
pub struct EthRx {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    // stream in
    pub frame: StreamIn,
    // streams out
    pub ip: StreamOut,
    pub arp: StreamOut,
    pub src_hi: Signal<Out, Bits<16>>,
    pub src_lo: Signal<Out, Bits<32>>,
    // counting
    pub count: Signal<Out, Bit>,
    pub cause: Signal<Out, Bits<6>>,

    r: DFF<Registers>,
    own_mac: ByteTable<4>,
    /// the sender's upper two bytes fall off here
    append: Append,
    top: Signal<Local, Bits<8>>,
    second: Signal<Local, Bits<8>>,
    other_address: Constant<Bits<6>>,
    other_type: Constant<Bits<6>>,
}
