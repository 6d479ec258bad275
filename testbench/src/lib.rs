//! What must hold: support for the tests in `tests/`.
pub mod model_world;
pub mod transfers;
