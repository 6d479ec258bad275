//! What must hold: support for the tests in `tests/`.
pub mod fuzzing;
pub mod liveness;
pub mod mixes;
pub mod model_world;
pub mod mutate;
pub mod targets;
pub mod transfers;
pub mod wire;
