//! What touches the wire: GMII, SLIP, UART.
