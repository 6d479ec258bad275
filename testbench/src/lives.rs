//! The lives of connections: what the words `state` went through, held against what the program counted.
//!
//! **The equations**, at any moment between two events. A connection begins with the ALLOC of its SYN, or of its active open; it is *half open* in SYN-SENT and
//! SYN-RECEIVED, *open* from ESTABLISHED to LAST-ACK, and has ended in CLOSED and TIME-WAIT:
//! - begun = `Opened` + half-open ones that ended + half open now;
//! - `Opened` = open ones that ended + open now;
//! - `Closed` = open ones that ended in order;
//! - `ResetIn` = half-open ones + open ones that the peer's RST (or a half-open one's second SYN) ended;
//! - `GaveUp` = half-open ones + open ones that were given up;
//! - `Recycled` = half-open ones that made way + TIME-WAITs that did;
//!
//! so that `Opened` = `Closed` + (`ResetIn` - those half open) + (`GaveUp` - those half open) + what the application aborted + open now.
use std::collections::BTreeMap;

use toe_hdl::counters::Cause;
use toe_hdl::tcp::program::state;

use crate::liveness::{shown, Counters};

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Both FINs came through.
    Closed,
    /// The peer's RST.
    Reset,
    /// Nobody answered.
    GaveUp,
    /// A half-open one made way.
    Recycled,
    /// Its application's wish, the close of an open that is not answered included.
    Application,
}

/// Half open, open, or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Over,
    Half,
    Open,
}

fn phase(word: u32) -> Phase {
    match word {
        state::SYN_SENT | state::SYN_RECEIVED => Phase::Half,
        state::CLOSED | state::TIME_WAIT => Phase::Over,
        _ => Phase::Open,
    }
}

/// The lives so far.
#[derive(Clone, Debug, Default)]
pub struct Lives {
    states: Vec<u32>,
    /// Lives that began in an entry without one.
    pub began: u64,
    opened: u64,
    half: BTreeMap<End, u64>,
    open: BTreeMap<End, u64>,
    /// Events in which a state was entered, by its name.
    pub entered: BTreeMap<&'static str, u64>,
}

impl Lives {
    /// Of so many entries, those of TIME-WAIT included.
    pub fn new(entries: usize) -> Self {
        Self {
            states: vec![state::CLOSED; entries],
            ..Self::default()
        }
    }

    /// An event left this state in this entry. If a life ended by it, it ended so.
    pub fn now(&mut self, entry: usize, word: u32, end: End) {
        let before = std::mem::replace(&mut self.states[entry], word);
        if before == word {
            return;
        }
        self.began += u64::from(phase(before) == Phase::Over && phase(word) == Phase::Half);
        *self.entered.entry(state::name(word)).or_default() += 1;
        match (phase(before), phase(word)) {
            (Phase::Half, Phase::Open) => self.opened += 1,
            (Phase::Half, Phase::Over) => *self.half.entry(end).or_default() += 1,
            (Phase::Open, Phase::Over) => *self.open.entry(end).or_default() += 1,
            (Phase::Over, Phase::Open) => {
                panic!("entry {entry} opened out of {}", state::name(before))
            }
            (Phase::Open, Phase::Half) => {
                panic!("entry {entry} began anew in {}", state::name(before))
            }
            _ => {}
        }
    }

    /// Half-open ones that made way to one in the same slot: no state tells of them.
    pub fn replaced(&mut self) {
        *self.half.entry(End::Recycled).or_default() += 1;
    }

    /// The state of an entry.
    pub fn state(&self, entry: usize) -> u32 {
        self.states[entry]
    }

    /// No connection lives: all is over but TIME-WAITs.
    pub fn rest_in_time_wait(&self) -> bool {
        self.states.iter().all(|s| phase(*s) == Phase::Over)
    }

    /// All is over, TIME-WAIT too.
    pub fn is_over(&self) -> bool {
        self.states.iter().all(|s| *s == state::CLOSED)
    }

    fn count(&self, wanted: Phase) -> u64 {
        self.states.iter().filter(|s| phase(**s) == wanted).count() as u64
    }

    /// The equations, for so many ALLOCs and so many TIME-WAITs that made way.
    ///
    /// # Errors
    /// The one that does not hold.
    pub fn balance(&self, begun: u64, outlived: u64, counters: &Counters) -> Result<(), String> {
        let of = |ends: &BTreeMap<End, u64>, end| ends.get(&end).copied().unwrap_or(0);
        let ended = |end| of(&self.half, end) + of(&self.open, end);
        let equations = [
            (
                "begun; opened, ended half open, half open now",
                begun,
                self.opened + self.half.values().sum::<u64>() + self.count(Phase::Half),
            ),
            (
                "Opened; states that opened",
                counters[&Cause::Opened],
                self.opened,
            ),
            (
                "Opened; ended, open now",
                counters[&Cause::Opened],
                self.open.values().sum::<u64>() + self.count(Phase::Open),
            ),
            (
                "Closed; states that ended in order",
                counters[&Cause::Closed],
                of(&self.open, End::Closed),
            ),
            (
                "ResetIn; states that a RST ended",
                counters[&Cause::ResetIn],
                ended(End::Reset),
            ),
            (
                "GaveUp; states that were given up",
                counters[&Cause::GaveUp],
                ended(End::GaveUp),
            ),
            (
                "Recycled; half-open ones and TIME-WAITs that made way",
                counters[&Cause::Recycled],
                ended(End::Recycled) + outlived,
            ),
        ];
        for (what, left, right) in equations {
            if left != right {
                return Err(format!(
                    "{what}: {left} and {right}\n{self:?}\n{}",
                    shown(counters)
                ));
            }
        }
        Ok(())
    }

    /// How lives ended, in a line.
    pub fn told(&self) -> String {
        format!(
            "{} opened; ended half open {:?}, open {:?}",
            self.opened, self.half, self.open
        )
    }
}
