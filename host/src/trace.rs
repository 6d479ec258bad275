//! The engine's trace: every event it handled, by which path, in how many cycles.
use std::collections::HashMap;

use anyhow::Result;
use toe_hdl::config::ToeConfig;
use toe_hdl::tcp::{isa, program};
use toe_sim::machine::{Machine, PortId};

use crate::report::StateWord;

/// One event that the engine has handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Cycle in which it began.
    pub cycle: u64,
    /// Cycles from its beginning to `DONE`, waits counted.
    pub cycles: u64,
    /// Instructions that retired.
    pub instructions: u64,
    /// `segment`, `stranger`, `pending`, `command`.
    pub kind: &'static str,
    /// Connection it began with.
    pub conn: u64,
    /// Labels of the program it went through.
    pub path: Vec<String>,
    /// Words that it left with another value than it found.
    pub changes: Vec<Change>,
}

/// A word of a connection's state (or of the words all share), before and after an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its connection.
    pub conn: u64,
    /// Its name in the program.
    pub word: String,
    pub before: u32,
    pub after: u32,
    operand: u8,
}

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:>10}  conn {:>3}  {:<8} {:>4} cycles {:>4} instructions  {}",
            self.cycle,
            self.conn,
            self.kind,
            self.cycles,
            self.instructions,
            self.path.join(" → ")
        )?;
        for c in &self.changes {
            write!(
                f,
                "\n{:>12}conn {:>3}  {}: {:#x} → {:#x}",
                "", c.conn, c.word, c.before, c.after
            )?;
        }
        Ok(())
    }
}

/// The changes of the words that are `wanted`, by name, of the connection in which one changed first.
pub fn words(events: &[Event], wanted: impl Fn(&str) -> bool) -> Vec<StateWord> {
    let of = |e: &Event| {
        let at = e.cycle + e.cycles;
        let changes = e.changes.iter().filter(|c| wanted(&c.word));
        let words = changes.map(|c| (c.conn, at, c.word.clone(), c.after));
        words.collect::<Vec<_>>()
    };
    let all: Vec<_> = events.iter().flat_map(of).collect();
    let first = all.first().map(|word| word.0);
    let mine = all.into_iter().filter(|word| Some(word.0) == first);
    mine.map(|(_, cycle, name, value)| StateWord { cycle, name, value })
        .collect()
}

struct Ports {
    pc: PortId,
    valid: PortId,
    event: PortId,
    kind: PortId,
    conn: PortId,
    done: PortId,
    store: PortId,
    store_conn: PortId,
    operand: PortId,
    data: PortId,
}

/// Follows the trace ports.
pub struct EngineTrace {
    ports: Ports,
    /// Label of each program word that has one.
    labels: Vec<Option<String>>,
    /// Names of the operands.
    names: Vec<String>,
    /// What the state RAM holds, by (connection, operand); the shared words under [`SHARED`].
    state: HashMap<(u64, u8), u32>,
    events: Vec<Event>,
    open: Option<Event>,
}

/// Stands for the connection of the shared words.
const SHARED: u64 = u64::MAX;

/// An operand of either bank that is none of a connection's words.
fn is_shared(operand: u8) -> bool {
    operand % isa::FAR >= isa::SHARED_BASE
}

impl EngineTrace {
    /// Finds the ports, and the labels of the program.
    ///
    /// # Errors
    /// When the machine has no trace ports or the program does not assemble.
    pub fn new(machine: &dyn Machine, config: &ToeConfig) -> Result<Self> {
        let program = program::program(config);
        let mut labels = vec![None; program.words.len()];
        for (address, names) in &program.symbols.labels {
            if let Some(label) = labels.get_mut(usize::from(*address)) {
                *label = Some(names.join(" = "));
            }
        }
        let p = |name: &str| machine.port(name);
        Ok(Self {
            ports: Ports {
                pc: p("trace_pc")?,
                valid: p("trace_valid")?,
                event: p("trace_event")?,
                kind: p("trace_kind")?,
                conn: p("trace_conn")?,
                done: p("trace_done")?,
                store: p("trace_store")?,
                store_conn: p("trace_store_conn")?,
                operand: p("trace_operand")?,
                data: p("trace_data")?,
            },
            labels,
            names: (0..2 * isa::FAR)
                .map(|o| program.symbols.operand(o))
                .collect(),
            state: (0..2 * isa::FAR)
                .filter(|o| is_shared(*o))
                .map(|o| ((SHARED, o), program.shared[isa::shared_index(o)]))
                .collect(),
            events: vec![],
            open: None,
        })
    }

    /// The events so far.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events so far, which are forgotten.
    pub fn take(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Looks at the ports after a cycle.
    pub fn sample(&mut self, machine: &dyn Machine, cycle: u64) {
        let p = &self.ports;
        if machine.peek(p.event) == 1 {
            const KINDS: [&str; 4] = ["segment", "stranger", "pending", "command"];
            self.open = Some(Event {
                cycle,
                cycles: 0,
                instructions: 0,
                kind: KINDS[machine.peek(p.kind) as usize & 3],
                conn: machine.peek(p.conn),
                path: vec![],
                changes: vec![],
            });
        }
        let Some(open) = &mut self.open else { return };
        if machine.peek(p.valid) == 1 {
            open.instructions += 1;
            if let Some(Some(label)) = self.labels.get(machine.peek(p.pc) as usize) {
                open.path.push(label.clone());
            }
        }
        if machine.peek(p.store) == 1 {
            let operand = machine.peek(p.operand) as u8;
            let conn = machine.peek(p.store_conn);
            let owner = if is_shared(operand) { SHARED } else { conn };
            let after = machine.peek(p.data) as u32;
            let before = self.state.insert((owner, operand), after).unwrap_or(0);
            match open
                .changes
                .iter_mut()
                .find(|c| c.operand == operand && c.conn == conn)
            {
                Some(change) => change.after = after,
                None => open.changes.push(Change {
                    conn,
                    word: self.names[usize::from(operand)].clone(),
                    before,
                    after,
                    operand,
                }),
            }
        }
        if machine.peek(p.done) == 1 {
            open.changes.retain(|c| c.before != c.after);
            open.cycles = cycle - open.cycle + 1;
            self.events.extend(self.open.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the connection in which a word that is wanted changed first, and of no other; at the event's end.
    #[test]
    fn the_words_of_one_connection_are_followed_by_name() {
        let event = |cycle, changes: &[(u64, &str, u32)]| Event {
            cycle,
            cycles: 80,
            instructions: 1,
            kind: "segment",
            conn: 0,
            path: vec![],
            changes: (changes.iter())
                .map(|(conn, word, after)| Change {
                    conn: *conn,
                    word: (*word).into(),
                    before: 0,
                    after: *after,
                    operand: 0,
                })
                .collect(),
        };
        let events = [
            event(100, &[(1, "una", 7)]),
            event(200, &[(3, "cwnd", 2920), (3, "ssthresh", 65_535)]),
            event(300, &[(1, "cwnd", 1)]),
            event(400, &[(3, "cwnd", 4380)]),
        ];
        let found: Vec<_> = words(&events, |name| ["cwnd", "ssthresh"].contains(&name))
            .into_iter()
            .map(|w| (w.cycle, w.name, w.value))
            .collect();
        let want = [
            (280, "cwnd", 2920),
            (280, "ssthresh", 65_535),
            (480, "cwnd", 4380),
        ];
        assert_eq!(
            found,
            want.map(|(at, name, value)| (at, name.into(), value))
        );
    }
}
