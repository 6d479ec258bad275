//! A TCP offload engine for FPGAs, described with [`rust_hdl`].
//!
//! The folders follow the path of a frame. `docs/design.md` is the map.
pub mod app;
pub mod config;

pub mod counter_ram;
pub mod counters;
pub mod endpoint;
pub mod link;
pub mod memory;
pub mod net;
pub mod stream;
pub mod tcp;
pub mod toe;
