//! What touches the wire: GMII, SLIP, UART.
pub mod slip;
pub mod uart;
