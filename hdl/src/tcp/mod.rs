//! TCP: parser, connection table, engine and its program, rings, timers.
pub mod asm;
pub mod builder;
pub mod command;
pub mod engine;
pub mod events;
pub mod gates;
pub mod isa;
pub mod model;
pub mod parser;
pub mod program;
pub mod records;
pub mod ring_memory;
pub mod rx_ring;
pub mod table;
pub mod timers;
pub mod tx_ring;
pub mod word_memory;
