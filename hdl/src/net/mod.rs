//! Ethernet, ARP, IPv4 and ICMP.
pub mod arp;
pub mod eth_rx;
pub mod eth_tx;
pub mod icmp;
pub mod ipv4_rx;
pub mod ipv4_tx;
pub mod no_arp;
pub mod parts;
#[cfg(test)]
pub(crate) mod testgen;
use rust_hdl::prelude::*;

/// An IP payload on its way out, with what the headers need.
///
/// The stream's contract is that of [`crate::stream`]. `mac_hi` to `length` (payload bytes) are stable from the first `valid` through the last
/// beat of a packet. Once its first beat has been offered, a source never starves: `valid` stays high to the end.
#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "PacketIn"]
pub struct PacketOut {
    pub data: Signal<Out, Bits<8>>,
    pub last: Signal<Out, Bit>,
    pub valid: Signal<Out, Bit>,
    pub ready: Signal<In, Bit>,
    pub mac_hi: Signal<Out, Bits<16>>,
    pub mac_lo: Signal<Out, Bits<32>>,
    pub ip: Signal<Out, Bits<32>>,
    pub protocol: Signal<Out, Bits<8>>,
    pub length: Signal<Out, Bits<16>>,
}

/// The consuming end of [`PacketOut`].
#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "PacketOut"]
pub struct PacketIn {
    pub data: Signal<In, Bits<8>>,
    pub last: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub ready: Signal<Out, Bit>,
    pub mac_hi: Signal<In, Bits<16>>,
    pub mac_lo: Signal<In, Bits<32>>,
    pub ip: Signal<In, Bits<32>>,
    pub protocol: Signal<In, Bits<8>>,
    pub length: Signal<In, Bits<16>>,
}
