//! A test that can't run here says so where everyone sees it.
use std::fmt::Display;
use std::io::Write;

/// Tells that a test, or a part of it, did not run, and why. A passing test's own output is not shown; this goes past the harness.
pub fn skipped(test: &str, reason: impl Display) {
    // Nothing better can be done where even this can't be written.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}
