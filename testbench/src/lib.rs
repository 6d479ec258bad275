//! What must hold: support for the tests in `tests/`.
pub mod liveness;
pub mod model_world;
pub mod transfers;
pub mod wire;
