//! What must hold: support for the tests in `tests/`.
pub mod crowd;
pub mod dialogue;
pub mod fuzzing;
pub mod liveness;
pub mod lives;
pub mod mixes;
pub mod model_world;
pub mod mutate;
pub mod soak;
pub mod targets;
pub mod transfers;
pub mod wire;
