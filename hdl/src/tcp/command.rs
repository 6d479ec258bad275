//! The command bus between the engine and the blocks that work for it.
//!
//! **Contract.** The engine holds `valid`, `code`, `imm`, `conn`, `slot`, `a` and `b` until the cycle in which the addressed
//! block answers `done`; that edge ends the command, and the next may begin in the very next cycle. `done` is high for one cycle a command and may come
//! in the command's first. `ok`, `result`, `result2` have a meaning in the cycle of `done`. A block not addressed drives zeros:
//! answers are ORed. Codes are in [`super::isa::cmd`].
use rust_hdl::prelude::*;

/// The engine's end.
#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "CommandIn"]
pub struct CommandOut {
    pub valid: Signal<Out, Bit>,
    pub code: Signal<Out, Bits<6>>,
    pub imm: Signal<Out, Bits<6>>,
    pub conn: Signal<Out, Bits<10>>,
    pub slot: Signal<Out, Bits<3>>,
    pub a: Signal<Out, Bits<32>>,
    pub b: Signal<Out, Bits<32>>,
    pub done: Signal<In, Bit>,
    pub ok: Signal<In, Bit>,
    pub result: Signal<In, Bits<32>>,
    pub result2: Signal<In, Bits<32>>,
}

/// A working block's end.
#[derive(LogicInterface, Clone, Debug, Default)]
#[join = "CommandOut"]
pub struct CommandIn {
    pub valid: Signal<In, Bit>,
    pub code: Signal<In, Bits<6>>,
    pub imm: Signal<In, Bits<6>>,
    pub conn: Signal<In, Bits<10>>,
    pub slot: Signal<In, Bits<3>>,
    pub a: Signal<In, Bits<32>>,
    pub b: Signal<In, Bits<32>>,
    pub done: Signal<Out, Bit>,
    pub ok: Signal<Out, Bit>,
    pub result: Signal<Out, Bits<32>>,
    pub result2: Signal<Out, Bits<32>>,
}
