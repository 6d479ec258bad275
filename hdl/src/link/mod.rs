//! What touches the wire: GMII, SLIP, UART.
pub mod fcs;
pub mod mac_rx;
pub mod mac_tx;
pub mod slip;
pub mod uart;
