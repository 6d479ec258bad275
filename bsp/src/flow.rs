//! From Verilog to a bitstream for the iCE40, and what it costs.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toe_sim::tools::{self, ToolError};

/// What a top needs to be built.
#[derive(Clone, Debug)]
pub struct Job {
    /// The board's name on the command line.
    pub board: &'static str,
    /// Verilog of the design; its top module is `top`.
    pub verilog: String,
    /// Pin constraints (PCF).
    pub constraints: String,
    /// The frequency that the engine's clock needs, in MHz.
    pub needed_mhz: f64,
    /// Seed of the placement.
    pub seed: u32,
}

/// One clock of the design.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Clock {
    pub name: String,
    pub fmax_mhz: f64,
    pub needed_mhz: f64,
    pub met: bool,
}

/// What one module instance costs, with all below it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Module {
    /// Path in the design, `top.toe.engine`.
    pub name: String,
    /// Logic cells, counted before the flattening that lets neighbours share: the sum is more than the whole.
    pub cells: u64,
    pub block_rams: u64,
}

/// A tool that took part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ToolUsed {
    pub name: String,
    pub version: String,
}

/// The bitstream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bitstream {
    pub path: PathBuf,
    pub sha256: String,
}

/// What `toe synth --json` writes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    pub board: String,
    pub device: String,
    pub cells: u64,
    pub cells_available: u64,
    pub block_rams: u64,
    pub block_rams_available: u64,
    pub clocks: Vec<Clock>,
    pub modules: Vec<Module>,
    pub tools: Vec<ToolUsed>,
    pub seed: u32,
    pub bitstream: Option<Bitstream>,
}

/// Why there is no bitstream.
#[derive(Debug, thiserror::Error)]
pub enum FlowError {
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("could not {action} {path}: {source}")]
    File {
        action: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{tool} wrote a report that this program cannot read: {what}")]
    Report { tool: &'static str, what: String },
}

/// The steps of [`ice40`], for a progress bar.
pub const STEPS: [&str; 4] = [
    "synthesis",
    "cost of each module",
    "place and route",
    "bitstream",
];

/// nextpnr's own report.
const PLACED: &str = "place-and-route.json";

/// What [`ice40`] leaves in its folder, the sources aside.
pub const RESULTS: [&str; 9] = [
    "top.bin",
    "top.bin.part",
    "top.asc",
    "top.json",
    "whole.json",
    "modules.json",
    PLACED,
    "synthesis.log",
    "place-and-route.log",
];

fn write(path: &Path, text: &str) -> Result<(), FlowError> {
    std::fs::write(path, text).map_err(|source| FlowError::File {
        action: "write",
        path: path.into(),
        source,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, FlowError> {
    std::fs::read(path).map_err(|source| FlowError::File {
        action: "read",
        path: path.into(),
        source,
    })
}

fn json(tool: &'static str, path: &Path) -> Result<serde_json::Value, FlowError> {
    serde_json::from_slice(&read(path)?).map_err(|e| FlowError::Report {
        tool,
        what: e.to_string(),
    })
}

/// Builds for an iCE40 HX8K in the cb132 package, in `dir`; `step` is told what begins.
///
/// # Errors
/// A missing or failing tool, or a folder that cannot be written. Timing that is not met is not an error here: the report says so.
pub fn ice40(job: &Job, dir: &Path, mut step: impl FnMut(&str)) -> Result<Report, FlowError> {
    std::fs::create_dir_all(dir).map_err(|source| FlowError::File {
        action: "create",
        path: dir.into(),
        source,
    })?;
    let yosys = tools::yosys()?;
    let nextpnr = tools::nextpnr_ice40()?;
    let icepack = tools::icepack()?;
    write(&dir.join("top.v"), &job.verilog)?;
    write(&dir.join("top.pcf"), &job.constraints)?;

    step(STEPS[0]);
    let log = yosys.run(
        dir,
        &[
            "-p",
            "read_verilog -D TOE_ICE40 top.v; synth_ice40 -device hx -top top; delete t:$scopeinfo; write_json top.json; tee -o whole.json stat -json",
        ],
    )?;
    write(&dir.join("synthesis.log"), &log)?;

    step(STEPS[1]);
    let log = yosys.run(
        dir,
        &[
            "-p",
            "read_verilog -D TOE_ICE40 top.v; synth_ice40 -device hx -top top -noflatten; tee -o modules.json stat -json",
        ],
    )?;
    write(&dir.join("modules.log"), &log)?;
    let modules = modules(&json("yosys", &dir.join("modules.json"))?)?;

    step(STEPS[2]);
    let frequency = job.needed_mhz.to_string();
    let seed = job.seed.to_string();
    let log = nextpnr.run(
        dir,
        &[
            "--hx8k",
            "--package",
            "cb132",
            "--json",
            "top.json",
            "--pcf",
            "top.pcf",
            "--asc",
            "top.asc",
            "--report",
            PLACED,
            "--freq",
            &frequency,
            "--seed",
            &seed,
            "--timing-allow-fail",
        ],
    )?;
    write(&dir.join("place-and-route.log"), &log)?;
    let placed = json("nextpnr", &dir.join(PLACED))?;
    let tools = [yosys, nextpnr, icepack.clone()].map(|t| ToolUsed {
        name: t.name.into(),
        version: t.version,
    });
    let mut report = report(job, &placed, modules, tools.into())?;

    step(STEPS[3]);
    icepack.run(dir, &["top.asc", "top.bin.part"])?;
    let path = dir.join("top.bin");
    std::fs::rename(dir.join("top.bin.part"), &path).map_err(|source| FlowError::File {
        action: "write",
        path: path.clone(),
        source,
    })?;
    let sha256 = Sha256::digest(read(&path)?)
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    report.bitstream = Some(Bitstream { path, sha256 });
    Ok(report)
}

/// What placing and routing found; there is no bitstream yet.
fn report(
    job: &Job,
    placed: &serde_json::Value,
    modules: Vec<Module>,
    tools: Vec<ToolUsed>,
) -> Result<Report, FlowError> {
    let (cells, cells_available) = used(placed, "ICESTORM_LC")?;
    let (block_rams, block_rams_available) = used(placed, "ICESTORM_RAM")?;
    Ok(Report {
        board: job.board.into(),
        device: "iCE40HX8K-CB132".into(),
        cells,
        cells_available,
        block_rams,
        block_rams_available,
        clocks: clocks(placed, job.needed_mhz)?,
        modules,
        tools,
        seed: job.seed,
        bitstream: None,
    })
}

fn used(report: &serde_json::Value, kind: &str) -> Result<(u64, u64), FlowError> {
    let entry = &report["utilization"][kind];
    match (entry["used"].as_u64(), entry["available"].as_u64()) {
        (Some(used), Some(available)) => Ok((used, available)),
        _ => Err(FlowError::Report {
            tool: "nextpnr",
            what: format!("no utilization of {kind}"),
        }),
    }
}

fn clocks(report: &serde_json::Value, needed_mhz: f64) -> Result<Vec<Clock>, FlowError> {
    let fmax = report["fmax"].as_object().ok_or(FlowError::Report {
        tool: "nextpnr",
        what: "no fmax".into(),
    })?;
    Ok(fmax
        .iter()
        .map(|(name, value)| {
            let fmax_mhz = value["achieved"].as_f64().unwrap_or(0.0);
            Clock {
                name: name.clone(),
                fmax_mhz,
                needed_mhz,
                met: fmax_mhz >= needed_mhz,
            }
        })
        .collect())
}

/// Adds up the cells of each module with all below it, from the statistics of an unflattened synthesis.
fn modules(stat: &serde_json::Value) -> Result<Vec<Module>, FlowError> {
    let table = stat["modules"].as_object().ok_or(FlowError::Report {
        tool: "yosys",
        what: "no modules".into(),
    })?;
    let clean = |name: &str| name.trim_start_matches('\\').to_string();
    let mut kinds: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for (name, module) in table {
        let cells = module["num_cells_by_type"].as_object();
        kinds.insert(
            clean(name),
            cells
                .into_iter()
                .flatten()
                .map(|(k, v)| (clean(k), v.as_u64().unwrap_or(0)))
                .collect(),
        );
    }
    fn total(kinds: &BTreeMap<String, BTreeMap<String, u64>>, name: &str) -> (u64, u64, u64, u64) {
        let mut sum = (0, 0, 0, 0);
        for (kind, n) in &kinds[name] {
            if kinds.contains_key(kind) {
                let t = total(kinds, kind);
                sum = (
                    sum.0 + n * t.0,
                    sum.1 + n * t.1,
                    sum.2 + n * t.2,
                    sum.3 + n * t.3,
                );
            } else if kind == "SB_LUT4" {
                sum.0 += n;
            } else if kind.starts_with("SB_DFF") {
                sum.1 += n;
            } else if kind.starts_with("SB_RAM") {
                sum.2 += n;
            } else if kind == "SB_CARRY" {
                sum.3 += n;
            }
        }
        sum
    }
    Ok(kinds
        .keys()
        .map(|name| {
            let (luts, flops, rams, _) = total(&kinds, name);
            Module {
                name: name.replace('$', "."),
                // A logic cell holds a LUT and a flip-flop; how many share one is known only after packing.
                cells: luts.max(flops),
                block_rams: rams,
            }
        })
        .filter(|m| m.cells + m.block_rams > 0)
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_costs_what_it_and_those_below_it_cost() {
        let stat = serde_json::json!({"modules": {
            "\\top": {"num_cells_by_type": {"\\top$a": 1, "SB_LUT4": 3}},
            "\\top$a": {"num_cells_by_type": {"\\top$a$b": 2, "SB_DFFSR": 9, "SB_RAM40_4K": 1}},
            "\\top$a$b": {"num_cells_by_type": {"SB_LUT4": 5}},
        }});
        let found = modules(&stat).unwrap();
        let cost = |n: &str| {
            found
                .iter()
                .find(|m| m.name == n)
                .map(|m| (m.cells, m.block_rams))
        };
        assert_eq!(cost("top"), Some((13, 1)));
        assert_eq!(cost("top.a"), Some((10, 1)));
        assert_eq!(cost("top.a.b"), Some((5, 0)));
    }

    #[test]
    fn the_report_s_json_keeps_its_contract() {
        // As nextpnr-ice40 0.9 writes it, shortened to what is there for every design.
        let placed = serde_json::json!({
            "critical_paths": [],
            "fmax": {"clock$SB_IO_IN": {"achieved": 55.03, "constraint": 50.0}, "slow": {"achieved": 49.9, "constraint": 50.0}},
            "utilization": {
                "ICESTORM_LC": {"available": 7680, "used": 6243},
                "ICESTORM_RAM": {"available": 32, "used": 30},
                "SB_IO": {"available": 256, "used": 13},
            },
        });
        let job = Job {
            board: "alchitry-cu",
            verilog: String::new(),
            constraints: String::new(),
            needed_mhz: 50.0,
            seed: 7,
        };
        let module = Module {
            name: "top".into(),
            cells: 9,
            block_rams: 1,
        };
        let tool = ToolUsed {
            name: "yosys".into(),
            version: "0.1".into(),
        };
        let mut found = report(&job, &placed, vec![module], vec![tool]).unwrap();
        found.bitstream = Some(Bitstream {
            path: "top.bin".into(),
            sha256: "00".into(),
        });
        let json = serde_json::to_value(&found).unwrap();
        let want = serde_json::json!({
            "board": "alchitry-cu", "device": "iCE40HX8K-CB132", "seed": 7,
            "cells": 6243, "cells_available": 7680, "block_rams": 30, "block_rams_available": 32,
            "clocks": [
                {"name": "clock$SB_IO_IN", "fmax_mhz": 55.03, "needed_mhz": 50.0, "met": true},
                {"name": "slow", "fmax_mhz": 49.9, "needed_mhz": 50.0, "met": false},
            ],
            "modules": [{"name": "top", "cells": 9, "block_rams": 1}],
            "tools": [{"name": "yosys", "version": "0.1"}],
            "bitstream": {"path": "top.bin", "sha256": "00"},
        });
        assert_eq!(json, want);
    }

    #[test]
    fn a_report_without_its_fields_is_an_error_that_names_them() {
        let e = used(&serde_json::json!({}), "ICESTORM_LC").unwrap_err();
        assert!(e.to_string().contains("ICESTORM_LC"), "{e}");
    }
}
