//! The Verilator back end, for machines that have Verilator 5: it builds slower than CXXRTL and runs a large design faster.
//!
//! A small C++ wrapper gives the compiled design a C interface; the library is cached as CXXRTL's are. Registers and memories without
//! initial value begin at zero.
use crate::cxxrtl::{key, publish, BuildDir, BUILDING, CXX_FLAGS};
use crate::machine::{mask, Machine, MachineError, PortDirection, PortId, PortInfo};
use crate::tools::{self, FileLock, ToolError};
use libloading::Library;
use std::ffi::{c_char, c_void, CString};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The ports of a module, read from its declarations: one port a line, as rust-hdl and `write_verilog` print them.
fn ports_of(verilog: &str, top: &str) -> Vec<PortInfo> {
    let mut ports = vec![];
    let mut inside = false;
    for line in verilog.lines() {
        let words = line.replace([';', ','], " ");
        let mut words = words.split_whitespace();
        let direction = match words.next() {
            Some("module") => {
                let name = words.next().unwrap_or_default();
                inside = name.split('(').next() == Some(top);
                continue;
            }
            Some("endmodule") => {
                inside = false;
                continue;
            }
            Some("input") if inside => PortDirection::In,
            Some("output") if inside => PortDirection::Out,
            _ => continue,
        };
        let mut width = 1;
        for word in words {
            match word {
                "wire" | "reg" | "signed" => {}
                range if range.starts_with('[') => {
                    let high = range.trim_start_matches('[').split(':').next();
                    width = 1 + high.and_then(|n| n.parse().ok()).unwrap_or(0);
                }
                name => {
                    ports.push(PortInfo {
                        name: name.trim_start_matches('\\').into(),
                        width,
                        direction,
                    });
                    break;
                }
            }
        }
    }
    ports
}

/// The name that Verilator gives a port's member.
fn member(name: &str) -> String {
    let mut text = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            text.push(c);
        } else {
            let _ = write!(text, "__{:03x}", u32::from(c));
        }
    }
    text
}

fn wrapper(ports: &[PortInfo]) -> String {
    let members: String = ports
        .iter()
        .map(|port| format!("        &design->top.{},\n", member(&port.name)))
        .collect();
    format!(
        r#"#include "Vdesign.h"
#include "verilated_vcd_c.h"
struct Design {{
    VerilatedContext context;
    Vdesign top{{&context}};
    VerilatedVcdC* vcd = nullptr;
}};
// Verilator remembers a context for each thread, also one that is gone: this one stays.
static VerilatedContext* const idle = new VerilatedContext;
static void stop(Design* design) {{
    if (design->vcd) {{ design->vcd->close(); delete design->vcd; design->vcd = nullptr; }}
}}
extern "C" {{
Design* toe_create() {{
    Design* design = new Design;
    design->context.traceEverOn(true);
    Verilated::threadContextp(idle);
    return design;
}}
void toe_destroy(Design* design) {{
    stop(design);
    design->top.final();
    Verilated::threadContextp(idle);
    delete design;
    Verilated::threadContextp(idle);
}}
void toe_eval(Design* design) {{ design->top.eval(); }}
void* toe_port(Design* design, size_t i) {{
    void* const ports[] = {{
{members}        nullptr}};
    return ports[i];
}}
int toe_trace(Design* design, const char* file) {{
    stop(design);
    if (!file) return 1;
    design->vcd = new VerilatedVcdC;
    design->top.trace(design->vcd, 99);
    design->vcd->open(file);
    return design->vcd->isOpen();
}}
void toe_sample(Design* design, uint64_t time) {{ if (design->vcd) design->vcd->dump(time); }}
}}
"#
    )
}

/// Compiles, or finds, the shared library of a design.
fn build(verilog: &str, top: &str, ports: &[PortInfo]) -> Result<PathBuf, ToolError> {
    let (verilator, cxx) = (tools::verilator()?, tools::compiler()?);
    let wrapper = wrapper(ports);
    let name = key(&[
        "verilator 3",
        verilog,
        top,
        &wrapper,
        &verilator.version,
        &cxx.version,
    ]);
    let cache = tools::target().join("toe-cache");
    let library = cache.join(format!("{name}.so"));
    let _lock = FileLock::take(&cache.join(format!("{name}.lock")))?;
    if library.is_file() {
        return Ok(library);
    }
    let root = verilator.run(&cache, &["--getenv", "VERILATOR_ROOT"])?;
    let include = PathBuf::from(root.trim()).join("include");
    tools::notice(BUILDING);
    let dir = BuildDir::new(&cache)?;
    dir.write("x.v", verilog)?;
    dir.write("wrapper.cpp", &wrapper)?;
    let args = "--cc --trace --no-timing -O3 --x-assign 0 --x-initial 0 -Wno-lint -Wno-style -Wno-UNOPTFLAT --timescale 1ns/1ps \
                --prefix Vdesign --Mdir . --top-module";
    let args: Vec<&str> = args.split_whitespace().chain([top, "x.v"]).collect();
    verilator.run(&dir.0, &args)?;
    let mut sources: Vec<String> = std::fs::read_dir(&dir.0)
        .map_err(ToolError::io("reading a build folder"))?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".cpp"))
        .collect();
    sources.sort();
    for name in ["verilated", "verilated_vcd_c", "verilated_threads"] {
        let file = include.join(format!("{name}.cpp"));
        sources.extend(file.is_file().then(|| file.display().to_string()));
    }
    let mut args: Vec<String> = CXX_FLAGS.map(String::from).to_vec();
    args.extend(["-O2", "-shared", "-pthread", "-DVM_TRACE=1", "-I."].map(String::from));
    args.push(format!("-I{}", include.display()));
    args.push(format!("-I{}", include.join("vltstd").display()));
    args.extend(["-o", "x.so"].map(String::from));
    args.extend(sources);
    cxx.run(&dir.0, &args)?;
    publish(&dir.0.join("x.so"), &library)?;
    Ok(library)
}

type Design = *mut c_void;

/// A design compiled by Verilator.
pub struct VerilatorMachine {
    design: Design,
    ports: Vec<PortInfo>,
    /// Where each port's value is, in the smallest of 8, 16, 32, 64 bits that holds it; wider ones in 32-bit words.
    values: Vec<*mut c_void>,
    clock: Option<*mut u8>,
    cycles: u64,
    tracing: bool,
    eval: unsafe extern "C" fn(Design),
    destroy: unsafe extern "C" fn(Design),
    trace: unsafe extern "C" fn(Design, *const c_char) -> i32,
    sample: unsafe extern "C" fn(Design, u64),
    _library: Library,
}

// SAFETY: the design and all pointers lead into memory that this machine alone owns.
unsafe impl Send for VerilatorMachine {}

impl VerilatorMachine {
    /// Compiles the module `top` of the Verilog, or takes it from the cache, and starts it in its initial state.
    ///
    /// # Errors
    /// When Verilator is missing or refuses the design, or the library cannot be loaded.
    pub fn new(verilog: &str, top: &str) -> Result<Self, MachineError> {
        let mut ports = ports_of(verilog, top);
        let file = build(verilog, top, &ports)?;
        let error = |error: libloading::Error| MachineError::Load {
            file: file.display().to_string(),
            message: error.to_string(),
        };
        // SAFETY: the library was made by `build`; each symbol has the type that `wrapper` gives it, and `toe_port` is asked for
        // the ports it was generated with.
        let mut machine = unsafe {
            let library = Library::new(&file).map_err(error)?;
            macro_rules! symbol {
                ($name:literal: $kind:ty) => {
                    *library.get::<$kind>($name).map_err(error)?
                };
            }
            let create = symbol!(b"toe_create": unsafe extern "C" fn() -> Design);
            let port = symbol!(b"toe_port": unsafe extern "C" fn(Design, usize) -> *mut c_void);
            let (eval, destroy) = (symbol!(b"toe_eval": _), symbol!(b"toe_destroy": _));
            let (trace, sample) = (symbol!(b"toe_trace": _), symbol!(b"toe_sample": _));
            let design = create();
            Self {
                design,
                values: (0..ports.len()).map(|i| port(design, i)).collect(),
                ports: vec![],
                clock: None,
                cycles: 0,
                tracing: false,
                eval,
                destroy,
                trace,
                sample,
                _library: library,
            }
        };
        if let Some(i) = ports.iter().position(|port| port.name == "clock") {
            ports.remove(i);
            machine.clock = Some(machine.values.remove(i).cast());
        }
        machine.ports = ports;
        machine.eval();
        Ok(machine)
    }

    fn set_clock(&mut self, level: bool) {
        if let Some(clock) = self.clock {
            // SAFETY: the clock's byte, valid as long as the design.
            unsafe { *clock = u8::from(level) };
        }
    }

    fn sample(&mut self, time: u64) {
        if self.tracing {
            // SAFETY: the design is valid until `drop`.
            unsafe { (self.sample)(self.design, time) };
        }
    }
}

impl Machine for VerilatorMachine {
    fn backend(&self) -> &str {
        "verilator"
    }

    fn ports(&self) -> &[PortInfo] {
        &self.ports
    }

    fn poke(&mut self, port: PortId, value: u64) {
        let (width, at) = (self.ports[port.0].width, self.values[port.0]);
        let value = value & mask(width);
        // SAFETY: Verilator keeps a port of this width in this type; the pointer is valid as long as the design.
        unsafe {
            match width {
                0..=8 => *at.cast::<u8>() = value as u8,
                9..=16 => *at.cast::<u16>() = value as u16,
                17..=32 => *at.cast::<u32>() = value as u32,
                33..=64 => *at.cast::<u64>() = value,
                _ => {
                    *at.cast::<u32>() = value as u32;
                    *at.cast::<u32>().add(1) = (value >> 32) as u32;
                }
            }
        }
    }

    fn peek(&self, port: PortId) -> u64 {
        let at = self.values[port.0];
        // SAFETY: as in `poke`.
        unsafe {
            match self.ports[port.0].width {
                0..=8 => u64::from(*at.cast::<u8>()),
                9..=16 => u64::from(*at.cast::<u16>()),
                17..=32 => u64::from(*at.cast::<u32>()),
                33..=64 => *at.cast::<u64>(),
                _ => {
                    let words = at.cast::<u32>();
                    u64::from(*words.add(1)) << 32 | u64::from(*words)
                }
            }
        }
    }

    fn eval(&mut self) {
        // SAFETY: the design is valid until `drop`.
        unsafe { (self.eval)(self.design) };
    }

    fn cycle(&mut self) {
        // Inputs settle before the edge, or it would sample what they were.
        self.eval();
        self.sample(self.cycles * 10);
        self.set_clock(true);
        self.eval();
        self.sample(self.cycles * 10 + 5);
        self.set_clock(false);
        self.eval();
        self.cycles += 1;
    }

    fn cycles(&self) -> u64 {
        self.cycles
    }

    fn trace_start(&mut self, file: &Path) -> Result<(), MachineError> {
        let refused = || ToolError::Io {
            action: format!("creating {}", file.display()),
            message: "Verilator could not open it".into(),
        };
        let path = CString::new(file.as_os_str().as_encoded_bytes()).map_err(|_| refused())?;
        // SAFETY: the design is valid; the path is terminated and outlives the call.
        self.tracing = unsafe { (self.trace)(self.design, path.as_ptr()) } != 0;
        if self.tracing {
            Ok(())
        } else {
            Err(refused().into())
        }
    }

    fn trace_stop(&mut self) -> Result<(), MachineError> {
        self.tracing = false;
        // SAFETY: the design is valid; a null path ends the recording.
        unsafe { (self.trace)(self.design, std::ptr::null()) };
        Ok(())
    }
}

impl Drop for VerilatorMachine {
    fn drop(&mut self) {
        // SAFETY: the design is valid and not used again; the library is unloaded after it.
        unsafe { (self.destroy)(self.design) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_from_either_style() {
        let text = "module other(a);\n input wire a;\nendmodule\n\
                    module top(clock,rx$data,y);\n    // Module arguments\n    input wire  clock;\n    \
                    input wire  [7:0] rx$data;\n    output reg signed [39:0] y;\n  output [1:0] \\z$z ;\n  reg [3:0] s;\nendmodule // top";
        let found: Vec<_> = ports_of(text, "top")
            .into_iter()
            .map(|port| (port.name, port.width, port.direction))
            .collect();
        let (i, o) = (PortDirection::In, PortDirection::Out);
        let want = [
            ("clock", 1, i),
            ("rx$data", 8, i),
            ("y", 40, o),
            ("z$z", 2, o),
        ];
        assert_eq!(
            found,
            want.map(|(name, width, d)| (name.to_owned(), width, d))
        );
        assert_eq!(member("rx$data_1"), "rx__024data_1");
    }
}
