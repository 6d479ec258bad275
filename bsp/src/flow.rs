//! From Verilog through synthesis, placing and routing to what a design costs, and for the iCE40 to a bitstream.
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use toe_sim::tools::{self, ToolError};

use crate::ram_registers;

/// What can be built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// Lattice iCE40 HX8K in the cb132 package.
    Hx8k,
    /// Lattice LFE5U-25F, speed grade 6, in the CABGA381 package: area and timing alone, no bitstream.
    Lfe5u25f,
}

impl Device {
    /// As its maker calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hx8k => "iCE40HX8K-CB132",
            Self::Lfe5u25f => "LFE5U-25F-6-CABGA381",
        }
    }

    /// What nextpnr calls a logic cell (LUT with flip-flop here, LUT there) and a block RAM.
    fn kinds(self) -> (&'static str, &'static str) {
        match self {
            Self::Hx8k => ("ICESTORM_LC", "ICESTORM_RAM"),
            Self::Lfe5u25f => ("TRELLIS_COMB", "DP16KD"),
        }
    }

    /// What tells our RAM primitives the device, and Yosys's command for it.
    fn synthesis(self) -> (&'static str, &'static str) {
        match self {
            Self::Hx8k => ("TOE_ICE40", "synth_ice40 -device hx"),
            Self::Lfe5u25f => ("TOE_ECP5", "synth_ecp5"),
        }
    }

    fn nextpnr(self) -> Result<tools::Tool, ToolError> {
        match self {
            Self::Hx8k => tools::nextpnr_ice40(),
            Self::Lfe5u25f => tools::nextpnr_ecp5(),
        }
    }
}

/// What a top needs to be built.
#[derive(Clone, Debug)]
pub struct Job {
    /// The board's name on the command line.
    pub board: &'static str,
    pub device: Device,
    /// Verilog of the design; its top module is `top`.
    pub verilog: String,
    /// Pin constraints (PCF; empty where the tool may choose the pins).
    pub constraints: String,
    /// The frequency that the engine's clock needs, in MHz.
    pub needed_mhz: f64,
    /// Seeds of the placement, at least one. The run with the median Fmax (of an even number, the lower of the middle two) is the one that counts.
    pub seeds: Vec<u32>,
}

impl Job {
    /// How many steps [`build`] will announce.
    pub fn steps(&self) -> usize {
        2 + self.seeds.len() + usize::from(self.device == Device::Hx8k)
    }
}

/// One clock of the design.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Clock {
    pub name: String,
    pub fmax_mhz: f64,
    pub needed_mhz: f64,
    pub met: bool,
}

/// What one seed of the placement reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SeedRun {
    pub seed: u32,
    /// Of the slowest clock.
    pub fmax_mhz: f64,
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
    /// Placed and routed alone, between registers at all its ports; only where that was asked for ([`alone`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fmax_mhz: Option<f64>,
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
    /// Of the Verilog that was built ([`digest`]), so that an old report is known for one; empty in reports of before there was one.
    #[serde(default)]
    pub verilog_sha256: String,
    pub device: String,
    pub cells: u64,
    pub cells_available: u64,
    pub block_rams: u64,
    pub block_rams_available: u64,
    pub clocks: Vec<Clock>,
    pub modules: Vec<Module>,
    pub tools: Vec<ToolUsed>,
    /// The seed of the run that is reported: the median of [`Report::seeds`].
    pub seed: u32,
    pub seeds: Vec<SeedRun>,
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

/// What [`build`] may leave in its folder, the sources and `seed-N.*` aside.
const RESULTS: [&str; 7] = [
    "top.bin",
    "top.bin.part",
    "top.json",
    "whole.json",
    "modules.json",
    "synthesis.log",
    "modules.log",
];

/// Removes what an earlier run left, which must not pass for the result of one that fails.
pub fn clear(dir: &Path) {
    for old in RESULTS {
        let _ = std::fs::remove_file(dir.join(old));
    }
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let seed = name
            .strip_prefix("seed-")
            .and_then(|rest| rest.split_once('.'));
        if let Some((seed, "json" | "log" | "asc")) = seed {
            if seed.parse::<u32>().is_ok() {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

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

/// What a design takes of a device after synthesis alone, fit or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// LUTs, those of carry chains and of small memories among them.
    pub luts: u64,
    pub registers: u64,
    pub block_rams: u64,
    /// Bits of all memories of the description, whatever they became.
    pub memory_bits: u64,
}

/// Synthesises the module `top` of this Verilog in `dir`, without placing; what the same Yosys made of the same Verilog there is taken again.
///
/// # Errors
/// As [`build`].
pub fn synthesise(device: Device, verilog: &str, dir: &Path) -> Result<Cost, FlowError> {
    std::fs::create_dir_all(dir).map_err(|source| FlowError::File {
        action: "create",
        path: dir.into(),
        source,
    })?;
    let yosys = tools::yosys()?;
    let (source_file, log_file) = (dir.join("top.v"), dir.join("synthesis.log"));
    let (define, synth) = device.synthesis();
    let source = reading(verilog, &format!("-D {define} top.v"), "top");
    let script = format!(
        "read_verilog -D TOE_ZEROED top.v; hierarchy -top top; proc; tee -o memory.json stat -json; design -reset; \
         {source}; {synth} -top top; tee -o cost.json stat -json"
    );
    // The log is written last, behind what it came of.
    let text = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let asked = format!("{}: {script}\n", yosys.version);
    if !text(&log_file).starts_with(&asked) || text(&source_file) != verilog {
        let _ = std::fs::remove_file(&log_file);
        write(&source_file, verilog)?;
        let log = yosys.run(dir, &["-p", &script])?;
        write(&log_file, &(asked + &log))?;
    }
    let of_design = |file: &str, what: &str| {
        let stat = json("yosys", &dir.join(file))?;
        let found = stat["design"].get(what).cloned();
        found.ok_or_else(|| FlowError::Report {
            tool: "yosys",
            what: format!("no {what}"),
        })
    };
    let mut sum = Cost {
        luts: 0,
        registers: 0,
        block_rams: 0,
        memory_bits: of_design("memory.json", "num_memory_bits")?
            .as_u64()
            .unwrap_or(0),
    };
    let kinds = of_design("cost.json", "num_cells_by_type")?;
    for (kind, n) in kinds.as_object().into_iter().flatten() {
        let (luts, registers, block_rams) = cost(kind.trim_start_matches('\\'));
        let n = n.as_u64().unwrap_or(0);
        sum.luts += n * luts;
        sum.registers += n * registers;
        sum.block_rams += n * block_rams;
    }
    Ok(sum)
}

/// A name for a description that no other has: the SHA-256 of its text.
pub fn digest(verilog: &str) -> String {
    sha256(verilog.as_bytes())
}

fn sha256(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().map(|b| format!("{b:02x}")).collect()
}

/// The Yosys commands that read a design from these files. Where it has large memories (`toe_hdl::memory`) their first zeros are put in as one value each: read word by word
/// they take Yosys minutes.
fn reading(verilog: &str, files: &str, top: &str) -> String {
    if !verilog.contains("zeroed *)") {
        return format!("read_verilog {files}");
    }
    format!(
        "read_verilog -D TOE_ZEROED {files}; hierarchy -top {top}; proc; memory_collect; setundef -zero -params t:$mem_v2 a:zeroed %i"
    )
}

/// Lets an ECP5's block RAMs use their output registers, in the netlist that Yosys has written.
fn use_ram_registers(job: &Job, netlist: &Path) -> Result<(), FlowError> {
    if job.device != Device::Lfe5u25f {
        return Ok(());
    }
    let mut value = json("yosys", netlist)?;
    ram_registers::take(&mut value);
    write(netlist, &value.to_string())
}

/// Builds in `dir`; `step` is told what begins.
///
/// # Errors
/// A missing or failing tool, or a folder that cannot be written. Timing that is not met is not an error here: the report says so.
///
/// # Panics
/// If the job has no seed.
pub fn build(job: &Job, dir: &Path, mut step: impl FnMut(&str)) -> Result<Report, FlowError> {
    std::fs::create_dir_all(dir).map_err(|source| FlowError::File {
        action: "create",
        path: dir.into(),
        source,
    })?;
    let yosys = tools::yosys()?;
    let nextpnr = job.device.nextpnr()?;
    let mut used = vec![yosys.clone(), nextpnr.clone()];
    let icepack = match job.device {
        Device::Hx8k => Some(tools::icepack()?),
        Device::Lfe5u25f => None,
    };
    used.extend(icepack.clone());
    write(&dir.join("top.v"), &job.verilog)?;
    write(&dir.join("top.pcf"), &job.constraints)?;

    step("synthesis");
    let (define, synth) = job.device.synthesis();
    let source = reading(&job.verilog, &format!("-D {define} top.v"), "top");
    let script = format!(
        "{source}; {synth} -top top; delete t:$scopeinfo; write_json top.json; tee -o whole.json stat -json"
    );
    let log = yosys.run(dir, &["-p", &script])?;
    write(&dir.join("synthesis.log"), &log)?;
    use_ram_registers(job, &dir.join("top.json"))?;

    step("cost of each module");
    let script = format!("{source}; {synth} -top top -noflatten; tee -o modules.json stat -json");
    let log = yosys.run(dir, &["-p", &script])?;
    write(&dir.join("modules.log"), &log)?;
    let modules = modules(&json("yosys", &dir.join("modules.json"))?)?;

    let mut placed = vec![];
    for (i, &seed) in job.seeds.iter().enumerate() {
        step(&match job.seeds.len() {
            1 => "place and route".to_string(),
            n => format!("place and route, seed {} of {n}", i + 1),
        });
        let name = format!("seed-{seed}");
        let files = ("top", true, &*name);
        placed.push((seed, place_and_route(job, &nextpnr, dir, files, seed)?));
    }
    let tools = used
        .into_iter()
        .map(|t| ToolUsed {
            name: t.name.into(),
            version: t.version,
        })
        .collect();
    let mut report = report(job, &placed, modules, tools)?;

    if let Some(icepack) = icepack {
        step("bitstream");
        icepack.run(dir, &[&format!("seed-{}.asc", report.seed), "top.bin.part"])?;
        let path = dir.join("top.bin");
        std::fs::rename(dir.join("top.bin.part"), &path).map_err(|source| FlowError::File {
            action: "write",
            path: path.clone(),
            source,
        })?;
        let sha256 = sha256(&read(&path)?);
        report.bitstream = Some(Bitstream { path, sha256 });
    }
    Ok(report)
}

/// Places and routes `DESIGN.json` with one seed into `NAME.*`; gives nextpnr's own report.
fn place_and_route(
    job: &Job,
    nextpnr: &tools::Tool,
    dir: &Path,
    (design, constraints, name): (&str, bool, &str),
    seed: u32,
) -> Result<serde_json::Value, FlowError> {
    let design = format!("{design}.json");
    let placed = format!("{name}.json");
    let routed = format!("{name}.asc");
    let frequency = job.needed_mhz.to_string();
    let seed = seed.to_string();
    let mut args = vec!["--json", &design, "--report", &placed, "--seed", &seed];
    args.extend(["--freq", &frequency, "--timing-allow-fail"]);
    match job.device {
        Device::Hx8k => {
            args.extend(["--hx8k", "--package", "cb132", "--asc", &routed]);
            if constraints {
                args.extend(["--pcf", "top.pcf"]);
            }
        }
        Device::Lfe5u25f => args.extend(["--25k", "--package", "CABGA381", "--speed", "6"]),
    }
    let log = nextpnr.run(dir, &args)?;
    write(&dir.join(format!("{name}.log")), &log)?;
    json("nextpnr", &dir.join(&placed))
}

/// Synthesises, places and routes each of these modules of a job that [`build`] has built in `dir`, alone, and notes its Fmax.
///
/// All its ports but the clock stand between registers: inputs on a chain that shifts in from one pin, outputs on one that shifts out to another. So few pins are
/// needed, every path counts, and nothing is optimised away that some input could bring about or some output shows.
///
/// # Errors
/// As [`build`]; a module whose ports cannot be read.
pub fn alone<'a>(
    job: &Job,
    dir: &Path,
    modules: impl IntoIterator<Item = &'a mut Module>,
    mut step: impl FnMut(&str),
) -> Result<(), FlowError> {
    let yosys = tools::yosys()?;
    let nextpnr = job.device.nextpnr()?;
    let (define, synth) = job.device.synthesis();
    for module in modules {
        step(&format!("{} alone", module.name));
        let kind = module.name.replace('.', "$");
        let text = frame(&job.verilog, &kind).ok_or_else(|| FlowError::Report {
            tool: "rust-hdl",
            what: format!("the ports of {kind}"),
        })?;
        write(&dir.join("alone.v"), &text)?;
        let source = reading(&job.verilog, &format!("-D {define} top.v alone.v"), "alone");
        let script =
            format!("{source}; {synth} -top alone; delete t:$scopeinfo; write_json alone.json");
        let log = yosys.run(dir, &["-p", &script])?;
        write(&dir.join("alone-synthesis.log"), &log)?;
        use_ram_registers(job, &dir.join("alone.json"))?;
        let seed = job.seeds.first().copied().unwrap_or(1);
        let files = ("alone", false, "alone-placed");
        let placed = place_and_route(job, &nextpnr, dir, files, seed)?;
        let clocks = clocks(&placed, job.needed_mhz)?;
        module.fmax_mhz = clocks.iter().map(|c| c.fmax_mhz).reduce(f64::min);
    }
    Ok(())
}

/// Verilog of a top `alone` that puts this module between two chains of registers.
fn frame(verilog: &str, kind: &str) -> Option<String> {
    let text = verilog.split_once(&format!("module {kind}("))?.1;
    let text = text.split_once("endmodule")?.0;
    let mut ports = String::new();
    let (mut bits_in, mut bits_out) = (0, 0);
    for line in text.lines().map(str::trim) {
        let mut words = line.trim_end_matches(';').split_whitespace();
        let way = words.next();
        if !matches!(way, Some("input" | "output")) {
            continue;
        }
        let (_kind, mut port) = (words.next()?, words.next()?);
        let mut width = 1;
        if let Some(range) = port.strip_prefix('[') {
            width = 1 + range.split_once(':')?.0.parse::<usize>().ok()?;
            port = words.next()?;
        }
        let separator = if ports.is_empty() { "" } else { ", " };
        if port == "clock" {
            ports += &format!("{separator}.clock(clock)");
        } else if way == Some("input") {
            ports += &format!(
                "{separator}.{port}(from[{}:{bits_in}])",
                bits_in + width - 1
            );
            bits_in += width;
        } else {
            ports += &format!(
                "{separator}.{port}(to[{}:{bits_out}])",
                bits_out + width - 1
            );
            bits_out += width;
        }
    }
    if bits_in == 0 || bits_out == 0 {
        return None;
    }
    let (i, o) = (bits_in - 1, bits_out - 1);
    Some(format!(
        "module alone(input clock, input bit_in, input show, output bit_out);
reg [{i}:0] from;
wire [{o}:0] to;
reg [{o}:0] shown;
assign bit_out = shown[{o}];
always @(posedge clock) begin
    from <= {{from, bit_in}};
    shown <= show ? to : {{shown, 1'b0}};
end
{kind} uut({ports});
endmodule
"
    ))
}

/// What placing and routing found with each seed; there is no bitstream yet.
fn report(
    job: &Job,
    placed: &[(u32, serde_json::Value)],
    modules: Vec<Module>,
    tools: Vec<ToolUsed>,
) -> Result<Report, FlowError> {
    let mut runs = vec![];
    for (seed, placed) in placed {
        let clocks = clocks(placed, job.needed_mhz)?;
        let fmax_mhz = clocks.iter().map(|c| c.fmax_mhz).fold(f64::MAX, f64::min);
        runs.push((fmax_mhz, *seed, clocks, placed));
    }
    let seeds = runs
        .iter()
        .map(|(fmax_mhz, seed, ..)| SeedRun {
            seed: *seed,
            fmax_mhz: *fmax_mhz,
            met: *fmax_mhz >= job.needed_mhz,
        })
        .collect();
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (_, seed, clocks, placed) = runs.swap_remove((runs.len() - 1) / 2);
    let (cell, ram) = job.device.kinds();
    let (cells, cells_available) = used(placed, cell)?;
    let (block_rams, block_rams_available) = used(placed, ram)?;
    Ok(Report {
        board: job.board.into(),
        verilog_sha256: digest(&job.verilog),
        device: job.device.name().into(),
        cells,
        cells_available,
        block_rams,
        block_rams_available,
        clocks,
        modules,
        tools,
        seed,
        seeds,
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

/// Look-up tables, flip-flops and block RAMs in one primitive cell of the vendor's.
fn cost(kind: &str) -> (u64, u64, u64) {
    match kind {
        "SB_LUT4" | "LUT4" => (1, 0, 0),
        // Two bits of a carry chain: two LUTs.
        "CCU2C" => (2, 0, 0),
        // Sixteen words of four bits: two slices of RAM and one that drives their write port.
        "TRELLIS_DPR16X4" => (6, 0, 0),
        "TRELLIS_FF" => (0, 1, 0),
        "DP16KD" | "PDPW16KD" => (0, 0, 1),
        _ if kind.starts_with("SB_DFF") => (0, 1, 0),
        _ if kind.starts_with("SB_RAM") => (0, 0, 1),
        _ => (0, 0, 0),
    }
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
    fn total(kinds: &BTreeMap<String, BTreeMap<String, u64>>, name: &str) -> (u64, u64, u64) {
        let mut sum = (0, 0, 0);
        for (kind, n) in &kinds[name] {
            if kinds.contains_key(kind) {
                let t = total(kinds, kind);
                sum = (sum.0 + n * t.0, sum.1 + n * t.1, sum.2 + n * t.2);
            } else {
                let (luts, flops, rams) = cost(kind);
                sum = (sum.0 + n * luts, sum.1 + n * flops, sum.2 + n * rams);
            }
        }
        sum
    }
    Ok(kinds
        .keys()
        .map(|name| {
            let (luts, flops, rams) = total(&kinds, name);
            Module {
                name: name.replace('$', "."),
                // An HX8K's cell holds a LUT and a flip-flop, and how many share one is known only after packing; nextpnr counts the ECP5's LUTs alone.
                cells: luts.max(flops),
                block_rams: rams,
                fmax_mhz: None,
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

    fn job(device: Device, needed_mhz: f64, seeds: &[u32]) -> Job {
        Job {
            board: "some-board",
            device,
            verilog: String::new(),
            constraints: String::new(),
            needed_mhz,
            seeds: seeds.into(),
        }
    }

    fn one_module() -> Vec<Module> {
        vec![Module {
            name: "top".into(),
            cells: 9,
            block_rams: 1,
            fmax_mhz: None,
        }]
    }

    fn one_tool() -> Vec<ToolUsed> {
        vec![ToolUsed {
            name: "yosys".into(),
            version: "0.1".into(),
        }]
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
        let job = job(Device::Hx8k, 50.0, &[7]);
        let mut found = report(&job, &[(7, placed)], one_module(), one_tool()).unwrap();
        found.bitstream = Some(Bitstream {
            path: "top.bin".into(),
            sha256: "00".into(),
        });
        let json = serde_json::to_value(&found).unwrap();
        let want = serde_json::json!({
            "board": "some-board", "device": "iCE40HX8K-CB132", "seed": 7,
            "seeds": [{"seed": 7, "fmax_mhz": 49.9, "met": false}],
            "cells": 6243, "cells_available": 7680, "block_rams": 30, "block_rams_available": 32,
            "clocks": [
                {"name": "clock$SB_IO_IN", "fmax_mhz": 55.03, "needed_mhz": 50.0, "met": true},
                {"name": "slow", "fmax_mhz": 49.9, "needed_mhz": 50.0, "met": false},
            ],
            "modules": [{"name": "top", "cells": 9, "block_rams": 1}],
            "tools": [{"name": "yosys", "version": "0.1"}],
            // Of no text at all.
            "verilog_sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "bitstream": {"path": "top.bin", "sha256": "00"},
        });
        assert_eq!(json, want);
    }

    #[test]
    fn of_several_seeds_the_median_is_reported() {
        // As nextpnr-ecp5 0.11 writes it, shortened likewise.
        let placed = |seed: u32, fmax: f64| {
            let placed = serde_json::json!({
                "fmax": {"$glbnet$clock": {"achieved": fmax, "constraint": 125.0}},
                "utilization": {
                    "TRELLIS_COMB": {"available": 24288, "used": 6000 + seed},
                    "DP16KD": {"available": 56, "used": 52},
                },
            });
            (seed, placed)
        };
        let of = |runs: &[(u32, f64)]| {
            let seeds: Vec<u32> = runs.iter().map(|r| r.0).collect();
            let job = job(Device::Lfe5u25f, 125.0, &seeds);
            let placed: Vec<_> = runs.iter().map(|r| placed(r.0, r.1)).collect();
            report(&job, &placed, one_module(), one_tool()).unwrap()
        };
        let found = of(&[(3, 126.0), (1, 119.0), (4, 131.0), (2, 124.0), (5, 125.0)]);
        let json = serde_json::to_value(&found).unwrap();
        let want = serde_json::json!({
            "board": "some-board", "device": "LFE5U-25F-6-CABGA381", "seed": 5,
            "seeds": [
                {"seed": 3, "fmax_mhz": 126.0, "met": true},
                {"seed": 1, "fmax_mhz": 119.0, "met": false},
                {"seed": 4, "fmax_mhz": 131.0, "met": true},
                {"seed": 2, "fmax_mhz": 124.0, "met": false},
                {"seed": 5, "fmax_mhz": 125.0, "met": true},
            ],
            "cells": 6005, "cells_available": 24288, "block_rams": 52, "block_rams_available": 56,
            "clocks": [{"name": "$glbnet$clock", "fmax_mhz": 125.0, "needed_mhz": 125.0, "met": true}],
            "modules": [{"name": "top", "cells": 9, "block_rams": 1}],
            "tools": [{"name": "yosys", "version": "0.1"}],
            // Of no text at all.
            "verilog_sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "bitstream": null,
        });
        assert_eq!(json, want);
        // Of an even number the lower of the middle two: what half of them don't reach is not claimed.
        assert_eq!(
            of(&[(1, 130.0), (2, 120.0), (3, 126.0), (4, 119.0)]).seed,
            2
        );
        assert_eq!(of(&[(8, 130.0), (9, 120.0)]).seed, 9);
    }

    #[test]
    fn what_an_earlier_run_left_goes_and_nothing_else() {
        let dir = std::env::temp_dir().join(format!("toe-flow-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mine = ["top.json", "seed-12.log", "seed-3.json", "seed-3.asc"];
        let others = ["notes.txt", "seed-x.log", "seed-3.txt", "seed-.json"];
        for name in mine.iter().chain(&others) {
            std::fs::write(dir.join(name), "x").unwrap();
        }
        clear(&dir);
        assert!(mine.iter().all(|name| !dir.join(name).exists()));
        assert!(others.iter().all(|name| dir.join(name).exists()));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_module_alone_stands_between_registers() {
        let verilog =
            "module top$a$b(clock,x);\nendmodule\nmodule top$a(clock,go,c$word,c$ok,last);
    // Module arguments
    input wire  clock;
    input wire  go;
    input wire  [5:0] c$word;
    output reg  c$ok;
    output reg  [31:0] last;
    reg  [3:0] x$q;
endmodule
";
        let text = frame(verilog, "top$a").unwrap();
        assert!(text.contains(
            "top$a uut(.clock(clock), .go(from[0:0]), .c$word(from[6:1]), .c$ok(to[0:0]), .last(to[32:1]));"
        ), "{text}");
        assert!(text.contains("reg [6:0] from;\nwire [32:0] to;\nreg [32:0] shown;"));
        assert_eq!(frame(verilog, "top$a$b"), None, "no ports to stand between");
        assert_eq!(frame(verilog, "top$c"), None);
    }

    #[test]
    fn an_ecp5_module_costs_its_luts_carries_and_small_rams() {
        let stat = serde_json::json!({"modules": {
            "\\top": {"num_cells_by_type": {"\\top$a": 2, "LUT4": 3, "TRELLIS_FF": 2, "CCU2C": 4, "L6MUX21": 7}},
            "\\top$a": {"num_cells_by_type": {"TRELLIS_DPR16X4": 1, "DP16KD": 2, "PDPW16KD": 1}},
        }});
        let found = modules(&stat).unwrap();
        let cost: Vec<_> = found.iter().map(|m| (m.cells, m.block_rams)).collect();
        assert_eq!(cost, [(3 + 8 + 2 * 6, 6), (6, 3)]);
    }

    #[test]
    fn a_report_without_its_fields_is_an_error_that_names_them() {
        let e = used(&serde_json::json!({}), "ICESTORM_LC").unwrap_err();
        assert!(e.to_string().contains("ICESTORM_LC"), "{e}");
    }

    /// Block RAM begins the same whether the first zeros of a large memory were read word by word or put in as one value, all zero but for what the image gives. Each of its parameters
    /// is a string of bits.
    #[test]
    fn a_large_memory_begins_with_zeros_on_the_device() {
        use rust_hdl::prelude::*;
        use toe_hdl::memory::Memory;
        if tools::yosys().is_err() {
            eprintln!("skipped: no Yosys");
            return;
        }
        let mut image = vec![Bits::<8>::default(); 4096];
        for word in [70, 4095] {
            image[word] = 0x55_u64.to_bits();
        }
        let mut uut = Memory::<Bits<8>, 12>::with_image(4096, &image);
        uut.connect_all();
        let verilog = generate_verilog(&uut);
        for device in [Device::Hx8k, Device::Lfe5u25f] {
            let (define, synth) = device.synthesis();
            let (kinds, parameter) = match device {
                Device::Hx8k => ("t:SB_RAM40_4K", "INIT_"),
                Device::Lfe5u25f => ("t:DP16KD", "INITVAL_"),
            };
            let files = format!("-D {define} top.v");
            let first = |read: &str| -> Vec<String> {
                let dir = tempfile::tempdir().unwrap();
                write(&dir.path().join("top.v"), &verilog).unwrap();
                let script = format!("{read}; {synth} -top top; tee -q -o first.txt dump {kinds}");
                (tools::yosys().unwrap())
                    .run(dir.path(), &["-p", &script])
                    .unwrap();
                let text = String::from_utf8(super::read(&dir.path().join("first.txt")).unwrap());
                let text = text.unwrap();
                let values = text.lines().filter_map(|line| {
                    let (name, value) =
                        line.trim().strip_prefix("parameter \\")?.split_once(' ')?;
                    name.starts_with(parameter).then(|| value.to_string())
                });
                values.collect()
            };
            let quick = first(&reading(&verilog, &files, "top"));
            assert!(!quick.is_empty(), "{device:?} has no block RAM");
            assert!(!quick.concat().contains('x'), "{device:?}: {quick:?}");
            let bits = |value: &String| -> usize {
                let (_, bits) = value.split_once('\'').unwrap();
                bits.matches('1').count()
            };
            assert_eq!(quick.iter().map(bits).sum::<usize>(), 8, "{device:?}");
            assert_eq!(quick, first(&format!("read_verilog {files}")), "{device:?}");
        }
    }

    /// Where ICMP errors are not heard nothing of it is built: the parser's two bits and the send ring's size of a grant are gone. (LUTs of the ring go up and down by more with what ABC finds.)
    #[test]
    fn without_icmp_errors_none_of_their_logic_is_left() {
        use rust_hdl::prelude::*;
        use toe_hdl::tcp::{parser::Parser, tx_ring::TxRing};
        if tools::yosys().is_err() {
            eprintln!("skipped: no Yosys");
            return;
        }
        let cost = |verilog: &str| {
            let dir = tempfile::tempdir().unwrap();
            synthesise(Device::Lfe5u25f, verilog, dir.path()).unwrap()
        };
        let [off, on] = [false, true].map(|errors| {
            let mut uut = Parser::new([192, 168, 69, 2], true, errors, false, true);
            uut.connect_all();
            cost(&generate_verilog(&uut))
        });
        println!("parser: {off:?} without, {on:?} with");
        assert_eq!(off.registers + 2, on.registers);
        assert!(off.luts < on.luts);
        let [off, on] = [false, true].map(|shorter| {
            let mut uut = TxRing::new(4, 256, true, shorter);
            uut.connect_all();
            cost(&generate_verilog(&uut))
        });
        println!("tx_ring: {off:?} without, {on:?} with");
        assert_eq!(off.registers + 11, on.registers);
    }

    /// The same of tags: the registers that keep them are gone, and with them what is fed by them. (The parser only chooses between wires; LUTs are asked for only where they are more than what ABC finds or not.)
    #[test]
    fn without_vlan_none_of_its_logic_is_left() {
        use rust_hdl::prelude::*;
        use toe_hdl::config::ToeConfig;
        use toe_hdl::net::{arp::Arp, eth_rx::EthRx, eth_tx::EthTx, icmp::Icmp};
        use toe_hdl::tcp::{builder::Builder, parser::Parser};
        if tools::yosys().is_err() {
            eprintln!("skipped: no Yosys");
            return;
        }
        fn verilog(mut uut: impl Block) -> String {
            uut.connect_all();
            generate_verilog(&uut)
        }
        type Make = fn(&ToeConfig) -> String;
        let blocks: [(&str, Make, u64, u64); 6] = [
            ("eth_rx", |c| verilog(EthRx::new(c)), 18, 15),
            ("eth_tx", |c| verilog(EthTx::new(c)), 1, 10),
            ("arp", |c| verilog(Arp::new(c)), 16, 15),
            ("icmp", |c| verilog(Icmp::new(c)), 16, 0),
            ("builder", |c| verilog(Builder::new(c.ip, c.vlan)), 16, 0),
            (
                "parser",
                |c| verilog(Parser::new(c.ip, true, true, c.vlan, true)),
                0,
                0,
            ),
        ];
        for (name, make, registers, luts) in blocks {
            let [off, on] = [false, true].map(|vlan| {
                let config = ToeConfig {
                    vlan,
                    ..ToeConfig::default()
                };
                let dir = tempfile::tempdir().unwrap();
                synthesise(Device::Lfe5u25f, &make(&config), dir.path()).unwrap()
            });
            println!("{name}: {off:?} without, {on:?} with");
            assert_eq!(off.registers + registers, on.registers, "{name}");
            assert!(luts == 0 || off.luts + luts <= on.luts, "{name}");
        }
    }

    /// And of window scales: of the block nothing is left, its memory neither, and the parser is smaller.
    #[test]
    fn without_window_scale_none_of_its_logic_is_left() {
        use rust_hdl::prelude::*;
        use toe_hdl::tcp::{parser::Parser, scale::Scale};
        if tools::yosys().is_err() {
            eprintln!("skipped: no Yosys");
            return;
        }
        let cost = |device: Device, verilog: &str| {
            let dir = tempfile::tempdir().unwrap();
            synthesise(device, verilog, dir.path()).unwrap()
        };
        for device in [Device::Hx8k, Device::Lfe5u25f] {
            let [off, on] = [false, true].map(|scale| {
                let mut uut = Scale::new(31, scale);
                uut.connect_all();
                cost(device, &generate_verilog(&uut))
            });
            println!("scale: {off:?} without, {on:?} with");
            assert_eq!((off.registers, off.luts, off.block_rams), (0, 0, 0));
            assert!(on.luts > 30 && on.registers >= 22);
        }
        let [off, on] = [false, true].map(|scale| {
            let mut uut = Parser::new([192, 168, 69, 2], true, true, false, scale);
            uut.connect_all();
            cost(Device::Lfe5u25f, &generate_verilog(&uut))
        });
        println!("parser: {off:?} without, {on:?} with");
        assert!(off.registers <= on.registers && off.luts < on.luts);
    }

    /// The same of ECN: what the parser and the builder keep for it is gone, and the receiver's bit, which nobody asks for. And of differentiated services.
    #[test]
    fn without_ecn_none_of_its_logic_is_left() {
        use rust_hdl::prelude::*;
        use toe_hdl::tcp::{builder::Builder, parser::Parser};
        if tools::yosys().is_err() {
            eprintln!("skipped: no Yosys");
            return;
        }
        let cost = |verilog: &str| {
            let dir = tempfile::tempdir().unwrap();
            synthesise(Device::Hx8k, verilog, dir.path()).unwrap()
        };
        let [off, on] = [false, true].map(|ecn| {
            let mut uut = Parser::new([192, 168, 69, 2], true, true, false, false).with_ecn(ecn);
            uut.connect_all();
            cost(&generate_verilog(&uut))
        });
        println!("parser: {off:?} without, {on:?} with");
        assert!(off.registers < on.registers && off.luts < on.luts);
        let [off, on] = [None, Some(4)].map(|ecn| {
            let mut uut = Builder::new([192, 168, 69, 2], false).with_ecn(ecn);
            uut.connect_all();
            cost(&generate_verilog(&uut))
        });
        println!("builder: {off:?} without, {on:?} with");
        // ECT, ECE and CWR of the segment that leaves, no SYN nor RST, no new text, the marks are read: some of them may be one.
        assert!(off.registers < on.registers);
        assert!(off.block_rams <= on.block_rams && off.luts < on.luts);
        let [off, on] = [None, Some(4)].map(|dscp| {
            let mut uut = Builder::new([192, 168, 69, 2], false).with_diffserv(dscp);
            uut.connect_all();
            cost(&generate_verilog(&uut))
        });
        println!("builder: {off:?} without DSCPs, {on:?} with");
        assert!(off.registers < on.registers);
        assert!(off.block_rams <= on.block_rams && off.luts < on.luts);
    }

    /// The counters' RAM, and one of twice as many bits: what an ECP5 has the fewest of is kept for those that fill it.
    #[test]
    fn a_small_memory_takes_no_block_ram_of_an_ecp5() {
        use rust_hdl::prelude::*;
        use toe_hdl::memory::Memory;
        if tools::yosys().is_err() {
            eprintln!("skipped: no Yosys");
            return;
        }
        let block_rams = |device: Device, depth: usize| {
            let mut uut = Memory::<Bits<32>, 8>::new(depth);
            uut.connect_all();
            let dir = tempfile::tempdir().unwrap();
            (synthesise(device, &generate_verilog(&uut), dir.path()).unwrap()).block_rams
        };
        assert_eq!(block_rams(Device::Lfe5u25f, 64), 0);
        assert_eq!(block_rams(Device::Lfe5u25f, 128), 1);
        assert_eq!(block_rams(Device::Hx8k, 64), 2);
    }

    /// Sixteen times the connections widen numbers and addresses by four bits each, and no more: the blocks that keep something for each connection take some LUTs more for each bit. (The
    /// rings and the engine's state are RAM, and so left out.)
    #[test]
    fn logic_grows_with_the_logarithm_of_the_connections() {
        if tools::yosys().is_err() {
            eprintln!("skipped: no Yosys");
            return;
        }
        let luts = |connections: usize, kind: &str| {
            let config = toe_hdl::config::ToeConfig {
                connections,
                rx_ring_bytes: 256,
                tx_ring_bytes: 256,
                ..Default::default()
            };
            let verilog = crate::ecp5_25f::verilog(&config).unwrap();
            let alone = frame(&verilog, &format!("top$toe$endpoint${kind}")).unwrap();
            let alone = alone.replace("module alone(", "module top(");
            // The name of the whole design's top is another then.
            let verilog = verilog.replace("module top(", "module whole(");
            let dir = tempfile::tempdir().unwrap();
            let text = [verilog, alone].concat();
            (synthesise(Device::Lfe5u25f, &text, dir.path()).unwrap()).luts
        };
        for kind in ["table", "timers"] {
            // From 16 on their memories are in block RAM, and not in LUTs.
            let (few, many) = (luts(64, kind), luts(1024, kind));
            println!("{kind}: {few} LUTs for 64 connections, {many} for 1,024");
            assert!(few > 100, "{kind}: {few}");
            assert!(many <= few + 4 * 40, "{kind}: {few}, then {many}");
        }
    }
}
