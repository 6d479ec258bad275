//! Pending events.
use rust_hdl::prelude::*;

/// The end of a poster: sets one pending bit of one connection. `valid`, `conn` and `bit` stay until the cycle in which `ready` is high.
#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "PostIn"]
pub struct PostOut {
    pub valid: Signal<Out, Bit>,
    pub conn: Signal<Out, Bits<10>>,
    pub bit: Signal<Out, Bits<3>>,
    pub ready: Signal<In, Bit>,
}

/// The end of [`Events`].
#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "PostOut"]
pub struct PostIn {
    pub valid: Signal<In, Bit>,
    pub conn: Signal<In, Bits<10>>,
    pub bit: Signal<In, Bits<3>>,
    pub ready: Signal<Out, Bit>,
}
