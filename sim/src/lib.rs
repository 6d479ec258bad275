//! Runs a rust-hdl design: back ends, links, peers, captures.
//!
//! A design is a [`machine::Machine`], whether Rust itself, CXXRTL or Verilator runs it. [`lockstep()`] holds a block against its
//! own Verilog.
pub mod cxxrtl;
pub mod lockstep;
pub mod machine;
pub mod pair;
pub mod rust;
pub mod time;
pub mod tools;
pub mod vcd;

pub use lockstep::lockstep;
#[doc(hidden)]
pub use rust_hdl;
