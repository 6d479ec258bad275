//! Boards: pins, clocks, tops; build and flash flows.
//!
//! A board is a top ([`alchitry_cu::AlchitryCu`]), the constraints that rust-hdl reads off its ports, and a flow ([`flow`]) that makes a
//! bitstream of it with the open tools and reports what it costs. [`ecp5_25f`] is the bare engine on a chip without a board: area and timing alone.
pub mod alchitry_cu;
pub mod ecp5_25f;
pub mod flow;
pub mod pll;
pub mod ram_registers;
pub mod tick;
