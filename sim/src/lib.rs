//! Runs a rust-hdl design: back ends, links, peers, captures.
//!
//! A design is a [`machine::Machine`], whether Rust itself, CXXRTL or Verilator runs it. [`lockstep()`] holds a block against its
//! own Verilog. A [`world::World`] ties a design's pins ([`gmii`], [`uart`]) to a [`link::Link`]: a peer in this process, the
//! kernel, a capture file, with faults on the way.
pub mod board;
pub mod cxxrtl;
pub mod fault;
pub mod gmii;
#[cfg(target_os = "linux")]
pub mod kernel;
pub mod link;
pub mod lockstep;
pub mod machine;
#[cfg(target_os = "linux")]
pub mod netns;
pub mod pair;
pub mod path;
pub mod pattern;
pub mod pcap;
pub mod peer;
pub mod rust;
#[cfg(target_os = "linux")]
pub mod skip;
pub mod tap;
pub mod time;
pub mod tools;
pub mod trace;
pub mod uart;
pub mod vcd;
pub mod verilator;
pub mod verilog;
pub mod world;

pub use lockstep::lockstep;
#[doc(hidden)]
pub use rust_hdl;
