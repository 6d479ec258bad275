//! Moves registers that only take a block RAM's output into the RAM, whose own they then are.
//!
//! An ECP5's block RAM shows its word 5.8 ns after the edge; through its output register 1.0 ns after the next one (as nextpnr has both). Yosys does not use that register: a design
//! that has one behind a RAM gets it in the fabric, and the way to it takes most of a cycle. So the netlist is changed between synthesis and placing. What the
//! design does is the same in every cycle, and its Verilog says nothing of all this: another flow, simulation or device has its own register there. The one difference: what the
//! RAM's register shows before its first word is not told anywhere, so a block must not use it before it has read (ours are cleared by reset). No simulation covers the changed netlist;
//! the rules below, each with its test, stand for it.
use serde_json::{json, Map, Value};

/// A port of a kind of block RAM.
struct Port {
    kind: &'static str,
    outputs: &'static str,
    clock: &'static str,
    /// The parameter that may turn the clock round.
    clock_mux: &'static str,
    /// Enable and reset of the read.
    read_enable: &'static str,
    reset: &'static str,
    /// Enable of the output register, and the parameter that puts it in.
    enable: &'static str,
    mode: &'static str,
}

const PORTS: [Port; 3] = [
    Port {
        kind: "DP16KD",
        outputs: "DOA",
        clock: "CLKA",
        clock_mux: "CLKAMUX",
        read_enable: "CEA",
        reset: "RSTA",
        enable: "OCEA",
        mode: "REGMODE_A",
    },
    Port {
        kind: "DP16KD",
        outputs: "DOB",
        clock: "CLKB",
        clock_mux: "CLKBMUX",
        read_enable: "CEB",
        reset: "RSTB",
        enable: "OCEB",
        mode: "REGMODE_B",
    },
    Port {
        kind: "PDPW16KD",
        outputs: "DO",
        clock: "CLKR",
        clock_mux: "CLKRMUX",
        read_enable: "CER",
        reset: "RST",
        enable: "OCER",
        mode: "REGMODE",
    },
];

impl Port {
    /// The RAM's register would do what the flip-flop did: the read has no reset, which would be the register's then, the clock is not turned round, and
    /// the read goes on in every cycle or just when the register takes it.
    fn fits(&self, ram: &Value, enable: &Value) -> bool {
        let mux = ram["parameters"][self.clock_mux].as_str().map(str::trim);
        let reads = &ram["connections"][self.read_enable];
        nets(ram, self.reset).iter().all(|n| n == "0")
            && mux.is_none_or(|m| m != "INV")
            && (reads.is_null() || *reads == json!(["1"]) || reads == enable)
    }
}

/// Who reads each net of the top: cells and their ports, `None` for a pin.
type Readers = std::collections::HashMap<u64, Vec<Option<(String, String)>>>;

/// The nets at a port of a cell; constants are strings.
fn nets<'a>(cell: &'a Value, port: &str) -> &'a [Value] {
    cell["connections"][port].as_array().map_or(&[], |n| n)
}

fn readers(module: &Value) -> Readers {
    let mut readers = Readers::new();
    for (name, cell) in module["cells"].as_object().into_iter().flatten() {
        for (port, nets) in cell["connections"].as_object().into_iter().flatten() {
            if cell["port_directions"][port] == "output" {
                continue;
            }
            for net in nets
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_u64)
            {
                let reader = Some((name.clone(), port.clone()));
                readers.entry(net).or_default().push(reader);
            }
        }
    }
    for port in module["ports"].as_object().into_iter().flatten() {
        for net in (port.1["bits"].as_array().into_iter().flatten()).filter_map(Value::as_u64) {
            readers.entry(net).or_default().push(None);
        }
    }
    readers
}

/// If this flip-flop may be a RAM's on this clock: how it is enabled.
fn enable(cell: &Value, port: &str, clock: &Value) -> Option<Value> {
    let is = |name: &str, values: &[&str]| {
        // Yosys puts a space behind a text that could be read as bits.
        let value = cell["parameters"][name].as_str().map(str::trim);
        value.is_none_or(|v| values.contains(&v))
    };
    let never = |port: &str| nets(cell, port).iter().all(|n| n == "0");
    if cell["type"] != "TRELLIS_FF"
        || !["DI", "M"].contains(&port)
        || !is("CLKMUX", &["CLK"])
        || !is("REGSET", &["RESET"])
        || !is("CEMUX", &["1", "CE"])
        || cell["connections"]["CLK"] != *clock
        || !never("LSR")
    {
        return None;
    }
    let enabled = is("CEMUX", &["1"]) || nets(cell, "CE").is_empty();
    Some(if enabled {
        json!(["1"])
    } else {
        cell["connections"]["CE"].clone()
    })
}

/// Uses the output register of each block RAM port whose outputs in use all go to flip-flops with one enable and to nothing else; tells how many ports there were.
pub fn take(netlist: &mut Value) -> usize {
    let Some(modules) = netlist["modules"].as_object_mut() else {
        return 0;
    };
    modules.values_mut().map(take_in).sum()
}

fn take_in(module: &mut Value) -> usize {
    let readers = readers(module);
    let Some(cells) = module["cells"].as_object_mut() else {
        return 0;
    };
    let names: Vec<_> = cells.keys().cloned().collect();
    let mut taken = 0;
    for name in &names {
        for at in &PORTS {
            let Some(moves) = moves(cells, &readers, name, at) else {
                continue;
            };
            for (port, flop, _) in &moves {
                let Some(flop) = cells.remove(flop) else {
                    continue;
                };
                cells[name]["connections"][port] = flop["connections"]["Q"].clone();
            }
            let ram = &mut cells[name];
            ram["connections"][at.enable] = moves[0].2.clone();
            ram["port_directions"][at.enable] = "input".into();
            ram["parameters"][at.mode] = "OUTREG".into();
            taken += 1;
        }
    }
    taken
}

/// Each output of this port in use, the flip-flop behind it, and how that one is enabled; `None` if any of them goes elsewhere, or there are none.
fn moves(
    cells: &Map<String, Value>,
    readers: &Readers,
    name: &str,
    at: &Port,
) -> Option<Vec<(String, String, Value)>> {
    // A flip-flop that went into another RAM is no longer there.
    let ram = cells.get(name)?;
    if ram["type"] != at.kind {
        return None;
    }
    let mut moves: Vec<(String, String, Value)> = vec![];
    for (port, nets) in ram["connections"].as_object()? {
        let number = port.strip_prefix(at.outputs).map(str::parse::<u32>);
        if !matches!(number, Some(Ok(_))) {
            continue;
        }
        let Some(net) = nets[0].as_u64() else {
            continue;
        };
        match readers.get(&net).map(Vec::as_slice) {
            None => {}
            Some([Some((flop, input))]) => {
                let enable = enable(cells.get(flop)?, input, &ram["connections"][at.clock])?;
                if moves.first().is_some_and(|first| first.2 != enable) {
                    return None;
                }
                moves.push((port.clone(), flop.clone(), enable));
            }
            Some(_) => return None,
        }
    }
    (at.fits(ram, &moves.first()?.2)).then_some(moves)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A RAM of two bits whose outputs 10 and 11 go to a flip-flop each; the second's is `second`.
    fn netlist(second: Value) -> Value {
        let flop = |d: u64, q: u64| {
            json!({
                "type": "TRELLIS_FF",
                "parameters": {"CEMUX": "1 ", "CLKMUX": "CLK", "REGSET": "RESET"},
                "port_directions": {"CLK": "input", "DI": "input", "LSR": "input", "Q": "output"},
                "connections": {"CLK": [2], "DI": [d], "LSR": ["0"], "Q": [q]},
            })
        };
        let mut cells = json!({
            "ram": {
                "type": "DP16KD",
                "parameters": {"REGMODE_A": "NOREG", "REGMODE_B": "NOREG"},
                "port_directions": {"CLKA": "input", "CLKB": "input", "DOA0": "output", "DOB0": "output", "DOB1": "output", "DOB2": "output"},
                "connections": {"CLKA": [2], "CLKB": [2], "DOA0": [], "DOB0": [10], "DOB1": [11], "DOB2": [12]},
            },
            "first": flop(10, 20),
            "second": flop(11, 21),
        });
        for (group, values) in second.as_object().unwrap() {
            for (name, value) in values.as_object().unwrap() {
                cells["second"][group][name] = value.clone();
            }
        }
        json!({"modules": {"top": {"ports": {"q": {"direction": "output", "bits": [20, 21]}}, "cells": cells}}})
    }

    #[test]
    fn registers_that_take_a_rams_output_alone_become_the_rams() {
        let mut found = netlist(json!({}));
        assert_eq!(take(&mut found), 1);
        let cells = &found["modules"]["top"]["cells"];
        let names: Vec<_> = cells.as_object().unwrap().keys().collect();
        assert_eq!(names, ["ram"]);
        let ram = &cells["ram"];
        assert_eq!(
            ram["parameters"],
            json!({"REGMODE_A": "NOREG", "REGMODE_B": "OUTREG"})
        );
        assert_eq!(
            ram["connections"],
            json!({"CLKA": [2], "CLKB": [2], "DOA0": [], "DOB0": [20], "DOB1": [21], "DOB2": [12], "OCEB": ["1"]})
        );
        assert_eq!(take(&mut found), 0, "once");
    }

    #[test]
    fn one_enable_of_all_becomes_the_rams() {
        let enabled = json!({"parameters": {"CEMUX": "CE"}, "connections": {"CE": [7]}});
        // The first is always enabled, the second not.
        assert_eq!(take(&mut netlist(enabled.clone())), 0);
        let mut found = netlist(enabled.clone());
        let cells = &mut found["modules"]["top"]["cells"];
        cells["first"]["parameters"]["CEMUX"] = "CE".into();
        cells["first"]["connections"]["CE"] = json!([7]);
        assert_eq!(take(&mut found), 1);
        let ram = &found["modules"]["top"]["cells"]["ram"];
        assert_eq!(ram["connections"]["OCEB"], json!([7]));
    }

    #[test]
    fn a_register_that_could_tell_stays() {
        for (why, second) in [
            ("another clock", json!({"connections": {"CLK": [3]}})),
            ("the other edge", json!({"parameters": {"CLKMUX": "INV"}})),
            ("a reset", json!({"connections": {"LSR": [5]}})),
            ("one at start", json!({"parameters": {"REGSET": "SET"}})),
            ("enabled when low", json!({"parameters": {"CEMUX": "INV"}})),
            ("no register", json!({"x": {}, "parameters": {}})),
        ] {
            let mut found = netlist(second);
            if why == "no register" {
                found["modules"]["top"]["cells"]["second"]["type"] = "LUT4".into();
            }
            let before = found.clone();
            assert_eq!(take(&mut found), 0, "{why}");
            assert_eq!(found, before, "{why}");
        }
        // The RAM itself would do something else with it.
        for (why, group, name, value, taken) in [
            ("a reset of the read", "connections", "RSTB", json!([5]), 0),
            (
                "no reset of the read",
                "connections",
                "RSTB",
                json!(["0"]),
                1,
            ),
            ("the other edge", "parameters", "CLKBMUX", json!("INV"), 0),
            ("the same edge", "parameters", "CLKBMUX", json!("CLKB"), 1),
            ("another enable", "connections", "CEB", json!([7]), 0),
            ("no enable", "connections", "CEB", json!(["1"]), 1),
        ] {
            let mut found = netlist(json!({}));
            found["modules"]["top"]["cells"]["ram"][group][name] = value;
            assert_eq!(take(&mut found), taken, "{why}");
        }
        // The RAM's output is wanted a cycle earlier, too: by logic, or by a pin.
        let mut found = netlist(json!({}));
        found["modules"]["top"]["cells"]["logic"] = json!({
            "type": "LUT4", "port_directions": {"A": "input"}, "connections": {"A": [11]},
        });
        assert_eq!(take(&mut found), 0);
        let mut found = netlist(json!({}));
        found["modules"]["top"]["ports"]["early"] = json!({"direction": "output", "bits": [10]});
        assert_eq!(take(&mut found), 0);
    }
}
