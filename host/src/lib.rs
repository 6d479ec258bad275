//! The toedev driver library.
