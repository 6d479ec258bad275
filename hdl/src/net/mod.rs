//! Ethernet, ARP, IPv4 and ICMP.
//!
//! **Tags** (IEEE 802.1Q, with [`crate::config::ToeConfig::vlan`]). Beside a frame's Ethernet address goes its tag, 16 bits: the ones' complement of the tag control information (priority, DEI, VLAN id),
//! or 0 for a frame without one. That can't be mistaken for a tag, since it would be VLAN id 0xFFF, which is reserved and never sent (802.1Q table 9-2); VLAN id 0, a tag of priority alone, is one like any other.
//! And what knows nothing of tags, as an ARP answer without one or a word that is zero, says none.
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
    /// See the module; 0 for none.
    pub tag: Signal<Out, Bits<16>>,
    /// DSCP and ECN (RFC 2474 section 3, RFC 3168 section 5).
    pub tos: Signal<Out, Bits<8>>,
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
    pub tag: Signal<In, Bits<16>>,
    pub tos: Signal<In, Bits<8>>,
    pub ip: Signal<In, Bits<32>>,
    pub protocol: Signal<In, Bits<8>>,
    pub length: Signal<In, Bits<16>>,
}
