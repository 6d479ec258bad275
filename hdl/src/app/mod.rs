//! Applications and the switch that serves them.
//!
//! **A turn.** The switch makes an application an *offer*: so much may be read from a connection, so much written to it. The application answers with a
//! *take*. Then exactly the taken bytes flow, reading and writing at the same time, and the turn is over; the application's next offer may be for
//! another connection. All an application must keep between turns it keeps by connection.
//!
//! **Contract.** `offer_valid` is high, with the other `offer_` ports steady, until the cycle of `take_valid`, which may be the first and is only one.
//! `take_read` and `take_write` are at most what was offered. A take of nothing ends the turn. `offer_conn` stays until the turn is over.
//! Bytes move in cycles with valid and ready both high, only after the take, and not one more than taken: of an application that holds `tx_valid` or `rx_ready` on for longer, nothing
//! is taken and to it nothing is given. So it need not count. It must not make one direction wait for bytes of the other that were not taken.
//!
//! `take_close`: nothing more will be written; the FIN follows what is written by now, this take's bytes included. From then on nothing can be written
//! and a further `take_close` does nothing. `take_abort`: away with the connection, by RST.
//!
//! **Lingering.** A connection that was closed stays until all that was written is acknowledged, or the user timeout ends it (an option of the connection, else R2). Who will wait no longer than so long (SO_LINGER) wakes it then and aborts; at once, with a linger time of none.
//!
//! **When offers come.** When something may have changed for the connection: it was opened, bytes have come, room has come, the peer's FIN came; and again after each turn in which bytes were
//! taken, or the connection closed. After a take of nothing no other comes until one of these. So an application that only answers need do nothing for it; one that will read or write of its own accord
//! what it has declined asks for an offer: `wake_valid` with `wake_conn`, both steady until the cycle of `wake_ready`. An offer *after* that cycle follows; one before it, or under way as `wake_valid` rises, does not count for it, so
//! that a wake in the connection's own turn is not lost. Wakes are taken between turns, each application's within four: a take must not wait for `wake_ready`. Only connections that were offered may be woken;
//! if the connection is over by then, or another's, nothing follows for the application. Waking more often than needed is harmless.
pub mod chargen;
pub mod discard;
pub mod echo;
pub mod switch;

use rust_hdl::prelude::*;

/// The switch's end.
#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "AppIn"]
pub struct AppOut {
    pub offer_valid: Signal<Out, Bit>,
    pub offer_conn: Signal<Out, Bits<10>>,
    pub offer_readable: Signal<Out, Bits<16>>,
    pub offer_writable: Signal<Out, Bits<16>>,
    /// The peer's FIN came and all before it is read.
    pub offer_fin: Signal<Out, Bit>,
    /// The first offer for this connection.
    pub offer_new: Signal<Out, Bit>,
    pub take_valid: Signal<In, Bit>,
    pub take_read: Signal<In, Bits<16>>,
    pub take_write: Signal<In, Bits<16>>,
    pub take_close: Signal<In, Bit>,
    pub take_abort: Signal<In, Bit>,
    pub rx_valid: Signal<Out, Bit>,
    pub rx_data: Signal<Out, Bits<8>>,
    pub rx_ready: Signal<In, Bit>,
    pub tx_valid: Signal<In, Bit>,
    pub tx_data: Signal<In, Bits<8>>,
    pub tx_ready: Signal<Out, Bit>,
    /// An offer for this connection is wanted; both held until the cycle of `wake_ready`.
    pub wake_valid: Signal<In, Bit>,
    pub wake_conn: Signal<In, Bits<10>>,
    pub wake_ready: Signal<Out, Bit>,
}

/// The application's end.
#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "AppOut"]
pub struct AppIn {
    pub offer_valid: Signal<In, Bit>,
    pub offer_conn: Signal<In, Bits<10>>,
    pub offer_readable: Signal<In, Bits<16>>,
    pub offer_writable: Signal<In, Bits<16>>,
    pub offer_fin: Signal<In, Bit>,
    pub offer_new: Signal<In, Bit>,
    pub take_valid: Signal<Out, Bit>,
    pub take_read: Signal<Out, Bits<16>>,
    pub take_write: Signal<Out, Bits<16>>,
    pub take_close: Signal<Out, Bit>,
    pub take_abort: Signal<Out, Bit>,
    pub rx_valid: Signal<In, Bit>,
    pub rx_data: Signal<In, Bits<8>>,
    pub rx_ready: Signal<Out, Bit>,
    pub tx_valid: Signal<Out, Bit>,
    pub tx_data: Signal<Out, Bits<8>>,
    pub tx_ready: Signal<In, Bit>,
    pub wake_valid: Signal<Out, Bit>,
    pub wake_conn: Signal<Out, Bits<10>>,
    pub wake_ready: Signal<In, Bit>,
}
