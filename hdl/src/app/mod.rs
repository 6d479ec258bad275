//! Applications and the switch that serves them.
