//! A TCP offload engine for FPGAs, described with [`rust_hdl`].
//!
//! The folders follow the path of a frame. `docs/design.md` is the map.
pub mod memory;
pub mod stream;
