//! The one interface that carries bytes, everywhere in the engine.
//!
//! **Contract.** A beat moves on the rising clock edge at which `valid` and `ready` are both high. Once
//! `valid` is high it stays high, with `data`, `last` and `error` unchanged, until the beat has moved; `valid`
//! never depends on `ready` within a cycle. A frame is one or more beats, the final one marked `last`.
//! `error` has a meaning only on the `last` beat: the whole frame is void (the line broke off, a check sum failed) and
//! the data of that beat is not part of it. There is no frame of no bytes.
//!
//! **The receive path cannot wait.** From the link up to the payload queue, a consumer holds `ready` high always;
//! each of those blocks says so above its ports.
use rust_hdl::prelude::*;

/// The producing end of a byte stream.
#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "StreamIn"]
pub struct StreamOut {
    pub data: Signal<Out, Bits<8>>,
    pub last: Signal<Out, Bit>,
    pub error: Signal<Out, Bit>,
    pub valid: Signal<Out, Bit>,
    pub ready: Signal<In, Bit>,
}

/// The consuming end of a byte stream.
#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "StreamOut"]
pub struct StreamIn {
    pub data: Signal<In, Bits<8>>,
    pub last: Signal<In, Bit>,
    pub error: Signal<In, Bit>,
    pub valid: Signal<In, Bit>,
    pub ready: Signal<Out, Bit>,
}
