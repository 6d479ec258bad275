//! The CXXRTL back end: Verilog, through Yosys and a C++ compiler, as a shared library.
//!
//! The library is kept under `target/toe-cache`, named by a hash of the Verilog, the options and the tools' versions, so an
//! unchanged design costs nothing the second time. Latches are refused. CXXRTL knows no X: what Verilog leaves undefined is zero, so that
//! `TOE_ZEROED` may be defined, which spares Yosys the first zeros of large memories (`toe_hdl::memory`).
//!
//! A cycle by CXXRTL's own interface evaluates the whole design three times. A design whose registers all follow the rising edge of
//! `clock`, and that settles in one pass, gets a function of its own for a cycle (`clocked`): one evaluation for the edge, and what
//! the outputs need after it. Any other design, and a recorded one, runs the long way.
use crate::machine::{mask, Machine, MachineError, PortDirection, PortId, PortInfo};
use crate::tools::{self, FileLock, Tool, ToolError};
use libloading::Library;
use sha2::{Digest, Sha256};
use std::ffi::{c_char, c_int, c_void, CStr};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

/// How to build.
#[derive(Debug, Clone)]
pub struct CxxrtlOptions {
    /// The name of the top module.
    pub top: String,
    /// The C++ compiler's `-O`: 1 builds faster (small blocks), 3 runs faster (the engine).
    pub optimise: u8,
    /// Yosys commands between `proc` and `flatten`, for netlists.
    pub extra: String,
}

impl Default for CxxrtlOptions {
    fn default() -> Self {
        Self {
            top: "top".into(),
            optimise: 1,
            extra: String::new(),
        }
    }
}

/// What Yosys only warns of and what is never meant: an undeclared name (a Rust constant in a kernel), a slice past the end
/// (zeros in Rust, X in hardware), two drivers.
const FATAL_WARNINGS: [&str; 3] = [
    "implicitly declared",
    "out of bounds",
    "conflicting drivers",
];

#[repr(C)]
struct Object {
    kind: u32,
    flags: u32,
    width: usize,
    lsb_at: usize,
    depth: usize,
    zero_at: usize,
    curr: *mut u32,
    next: *mut u32,
    outline: *mut c_void,
    attrs: *mut c_void,
}

const INPUT: u32 = 1;
const OUTPUT: u32 = 2;
const MEMORY: u32 = 2;

type Handle = *mut c_void;
type Vcd = *mut c_void;
type EnumCallback = extern "C" fn(*mut c_void, *const c_char, *mut Object, usize);

/// What [`clocked`] adds to a design.
#[derive(Clone, Copy)]
struct Quick {
    module: unsafe extern "C" fn(*mut c_void) -> *mut c_void,
    cycle: unsafe extern "C" fn(*mut c_void),
    settle: unsafe extern "C" fn(*mut c_void),
}

/// The C interface of one loaded design; the library outlives the copies of its functions.
struct Api {
    create: unsafe extern "C" fn() -> *mut c_void,
    open: unsafe extern "C" fn(*mut c_void) -> Handle,
    destroy: unsafe extern "C" fn(Handle),
    step: unsafe extern "C" fn(Handle) -> usize,
    enumerate: unsafe extern "C" fn(Handle, *mut c_void, EnumCallback),
    vcd_create: unsafe extern "C" fn() -> Vcd,
    vcd_destroy: unsafe extern "C" fn(Vcd),
    vcd_timescale: unsafe extern "C" fn(Vcd, c_int, *const c_char),
    vcd_add: unsafe extern "C" fn(Vcd, Handle),
    vcd_sample: unsafe extern "C" fn(Vcd, u64),
    vcd_read: unsafe extern "C" fn(Vcd, *mut *const c_char, *mut usize),
    quick: Option<Quick>,
    _library: Library,
}

impl Api {
    fn load(file: &Path) -> Result<Arc<Self>, MachineError> {
        let error = |error: libloading::Error| MachineError::Load {
            file: file.display().to_string(),
            message: error.to_string(),
        };
        // SAFETY: the library was built by `build` from CXXRTL's own sources; its initialisers only set up C++ statics,
        // and each symbol has the type that cxxrtl_capi.h, cxxrtl_capi_vcd.h and `clocked` declare.
        unsafe {
            let library = Library::new(file).map_err(error)?;
            macro_rules! symbol {
                ($name:literal) => {
                    *library.get($name).map_err(error)?
                };
            }
            let quick = match library.get(b"toe_module") {
                Ok(module) => Some(Quick {
                    module: *module,
                    cycle: symbol!(b"toe_cycle"),
                    settle: symbol!(b"toe_settle"),
                }),
                Err(_) => None,
            };
            Ok(Arc::new(Self {
                quick,
                create: symbol!(b"cxxrtl_design_create"),
                open: symbol!(b"cxxrtl_create"),
                destroy: symbol!(b"cxxrtl_destroy"),
                step: symbol!(b"cxxrtl_step"),
                enumerate: symbol!(b"cxxrtl_enum"),
                vcd_create: symbol!(b"cxxrtl_vcd_create"),
                vcd_destroy: symbol!(b"cxxrtl_vcd_destroy"),
                vcd_timescale: symbol!(b"cxxrtl_vcd_timescale"),
                vcd_add: symbol!(b"cxxrtl_vcd_add_from_without_memories"),
                vcd_sample: symbol!(b"cxxrtl_vcd_sample"),
                vcd_read: symbol!(b"cxxrtl_vcd_read"),
                _library: library,
            }))
        }
    }
}

/// Some bits of a port; a netlist may keep a port in several parts.
struct Part {
    lsb: usize,
    width: usize,
    curr: *const u32,
    next: *mut u32,
}

struct Trace {
    vcd: Vcd,
    file: File,
    path: PathBuf,
    /// The first error in writing it; the simulation goes on.
    error: Option<std::io::Error>,
}

/// A design compiled by CXXRTL.
pub struct CxxrtlMachine {
    api: Arc<Api>,
    handle: Handle,
    ports: Vec<PortInfo>,
    parts: Vec<Vec<Part>>,
    clock: Option<*mut u32>,
    /// The short way, with its functions' argument.
    quick: Option<(Quick, *mut c_void)>,
    cycles: u64,
    trace: Option<Trace>,
}

// SAFETY: the handle and all pointers lead into memory that this machine alone owns; CXXRTL keeps no thread-local state.
unsafe impl Send for CxxrtlMachine {}

impl CxxrtlMachine {
    /// Compiles the Verilog, or takes it from the cache, and starts it in its initial state.
    ///
    /// # Errors
    /// When a tool is missing, Yosys refuses the design, or the library cannot be loaded.
    pub fn new(verilog: &str, options: &CxxrtlOptions) -> Result<Self, MachineError> {
        Ok(Self::start(Api::load(&build(verilog, options)?)?))
    }

    /// Another instance of the same design, in its initial state.
    pub fn again(&self) -> Self {
        Self::start(self.api.clone())
    }

    fn start(api: Arc<Api>) -> Self {
        extern "C" fn found(data: *mut c_void, name: *const c_char, object: *mut Object, n: usize) {
            // SAFETY: `data` is the vector below; `name` and the `n` objects live as long as the design.
            let (list, name, objects) = unsafe {
                (
                    &mut *data.cast::<Vec<(String, u32, Vec<Part>)>>(),
                    CStr::from_ptr(name).to_string_lossy().into_owned(),
                    std::slice::from_raw_parts(object, n),
                )
            };
            let flags = objects.iter().fold(0, |all, part| all | part.flags);
            let port = flags & (INPUT | OUTPUT);
            if port == 0 || name.contains(' ') || objects.iter().any(|part| part.kind == MEMORY) {
                return;
            }
            let parts = objects
                .iter()
                .map(|part| Part {
                    lsb: part.lsb_at,
                    width: part.width,
                    curr: part.curr,
                    next: part.next,
                })
                .collect();
            list.push((name, port, parts));
        }
        let mut found_ports: Vec<(String, u32, Vec<Part>)> = vec![];
        // SAFETY: the functions are the library's own; `create`'s result is consumed by `open`; the callback gets the vector.
        let (handle, quick) = unsafe {
            let design = (api.create)();
            let quick = api.quick.map(|quick| (quick, (quick.module)(design)));
            let handle = (api.open)(design);
            (api.step)(handle);
            (api.enumerate)(handle, (&raw mut found_ports).cast(), found);
            (handle, quick)
        };
        found_ports.sort_by(|a, b| a.0.cmp(&b.0));
        let mut machine = Self {
            api,
            handle,
            ports: vec![],
            parts: vec![],
            clock: None,
            quick,
            cycles: 0,
            trace: None,
        };
        for (name, flags, parts) in found_ports {
            if name == "clock" {
                machine.clock = parts.first().map(|part| part.next).filter(|p| !p.is_null());
                continue;
            }
            machine.ports.push(PortInfo {
                name,
                width: parts.iter().map(|part| part.width).sum(),
                direction: if flags & OUTPUT != 0 {
                    PortDirection::Out
                } else {
                    PortDirection::In
                },
            });
            machine.parts.push(parts);
        }
        machine.step();
        machine
    }

    /// Sets an input of any width, 32 bits a word, the lowest first.
    pub fn poke_words(&mut self, port: PortId, words: &[u32]) {
        for part in &self.parts[port.0] {
            if part.next.is_null() {
                continue; // a port that nothing reads
            }
            for (i, at) in (part.lsb..part.lsb + part.width).step_by(32).enumerate() {
                let low = words.get(at / 32).copied().unwrap_or(0);
                let high = words.get(at / 32 + 1).copied().unwrap_or(0);
                let both = (u64::from(high) << 32 | u64::from(low)) >> (at % 32);
                let bits = mask((part.lsb + part.width - at).min(32)) as u32;
                // SAFETY: an object holds `width` bits rounded up to words, and `i` stays below that.
                unsafe { *part.next.add(i) = both as u32 & bits };
            }
        }
    }

    /// Reads a port of any width into `words`, 32 bits a word, the lowest first.
    pub fn peek_words(&self, port: PortId, words: &mut [u32]) {
        words.fill(0);
        for part in &self.parts[port.0] {
            for (i, at) in (part.lsb..part.lsb + part.width).step_by(32).enumerate() {
                // SAFETY: as in `poke_words`; `curr` is never null.
                let bits = u64::from(unsafe { *part.curr.add(i) }) << (at % 32);
                if let Some(word) = words.get_mut(at / 32) {
                    *word |= bits as u32;
                }
                if let Some(word) = words.get_mut(at / 32 + 1) {
                    *word |= (bits >> 32) as u32;
                }
            }
        }
    }

    /// Sets the clock without evaluating; for callers that look between the edges.
    pub fn set_clock(&mut self, level: bool) {
        if let Some(clock) = self.clock {
            // SAFETY: the clock input's word, valid as long as the handle.
            unsafe { *clock = u32::from(level) };
        }
    }

    fn clock_is_high(&self) -> bool {
        // SAFETY: as in `set_clock`.
        self.clock.is_some_and(|clock| unsafe { *clock } != 0)
    }

    /// Has every cycle run the long way, by CXXRTL's own interface alone: what the short one is compared with.
    #[must_use]
    pub fn plainly(mut self) -> Self {
        self.quick = None;
        self
    }

    /// Whether a cycle takes one evaluation and not three.
    pub fn is_quick(&self) -> bool {
        self.quick.is_some()
    }

    fn step(&mut self) {
        // SAFETY: the handle is valid until `drop`.
        unsafe { (self.api.step)(self.handle) };
    }

    /// Records the state under this time stamp, if a recording runs.
    pub fn sample(&mut self, time: u64) {
        if let Some(trace) = &mut self.trace {
            // SAFETY: the recorder is valid until `trace_stop`; `read` lends its buffer until the next call.
            let text = unsafe {
                (self.api.vcd_sample)(trace.vcd, time);
                let (mut data, mut size) = (std::ptr::null(), 0);
                (self.api.vcd_read)(trace.vcd, &raw mut data, &raw mut size);
                std::slice::from_raw_parts(data.cast::<u8>(), size)
            };
            if trace.error.is_none() {
                trace.error = trace.file.write_all(text).err();
            }
        }
    }
}

impl Machine for CxxrtlMachine {
    fn backend(&self) -> &str {
        "cxxrtl"
    }

    fn ports(&self) -> &[PortInfo] {
        &self.ports
    }

    fn poke(&mut self, port: PortId, value: u64) {
        if let [part] = &self.parts[port.0][..] {
            if part.width <= 32 && !part.next.is_null() {
                // SAFETY: one word, valid as long as the handle.
                unsafe { *part.next = (value & mask(part.width)) as u32 };
                return;
            }
        }
        self.poke_words(port, &[value as u32, (value >> 32) as u32]);
    }

    fn peek(&self, port: PortId) -> u64 {
        if let [part] = &self.parts[port.0][..] {
            if part.width <= 32 {
                // SAFETY: one word, valid as long as the handle.
                return u64::from(unsafe { *part.curr });
            }
        }
        let mut words = [0; 2];
        self.peek_words(port, &mut words);
        u64::from(words[1]) << 32 | u64::from(words[0])
    }

    fn eval(&mut self) {
        if let (Some((quick, module)), false) = (self.quick, self.clock_is_high()) {
            // SAFETY: the module that the handle owns; the function is its own.
            unsafe { (quick.settle)(module) };
            return;
        }
        // The second step: after an edge, combinational outputs still show the state before it.
        self.step();
        self.step();
    }

    fn cycle(&mut self) {
        if let (Some((quick, module)), None) = (self.quick, &self.trace) {
            // SAFETY: the module that the handle owns; the function is its own.
            unsafe { (quick.cycle)(module) };
            self.cycles += 1;
            return;
        }
        self.set_clock(false);
        self.step();
        if self.trace.is_some() {
            self.sample(self.cycles * 10);
        }
        self.set_clock(true);
        self.step();
        if self.trace.is_some() {
            self.step();
            self.sample(self.cycles * 10 + 5);
        }
        self.set_clock(false);
        self.step();
        self.cycles += 1;
    }

    fn cycles(&self) -> u64 {
        self.cycles
    }

    fn trace_start(&mut self, file: &Path) -> Result<(), MachineError> {
        self.trace_stop()?;
        let writer =
            File::create(file).map_err(ToolError::io(format!("creating {}", file.display())))?;
        // SAFETY: a new recorder for the valid handle; the unit's text is terminated.
        let vcd = unsafe {
            let vcd = (self.api.vcd_create)();
            (self.api.vcd_timescale)(vcd, 1, c"ns".as_ptr());
            (self.api.vcd_add)(vcd, self.handle);
            vcd
        };
        self.trace = Some(Trace {
            vcd,
            file: writer,
            path: file.into(),
            error: None,
        });
        Ok(())
    }

    fn trace_stop(&mut self) -> Result<(), MachineError> {
        if let Some(trace) = self.trace.take() {
            // SAFETY: created by `trace_start` and not destroyed before.
            unsafe { (self.api.vcd_destroy)(trace.vcd) };
            if let Some(error) = trace.error {
                return Err(
                    ToolError::io(format!("writing {}", trace.path.display()))(error).into(),
                );
            }
        }
        Ok(())
    }
}

impl Drop for CxxrtlMachine {
    fn drop(&mut self) {
        let _ = self.trace_stop();
        // SAFETY: the handle is valid and not used again; the library is unloaded after it.
        unsafe { (self.api.destroy)(self.handle) };
    }
}

/// A hash as a short file name.
pub(crate) fn key(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize()
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// A folder of one's own beside the cached files, removed when dropped.
pub(crate) struct BuildDir(pub PathBuf);

impl BuildDir {
    pub fn new(cache: &Path) -> Result<Self, ToolError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = cache.join(format!("build-{}-{next}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir)
            .map_err(ToolError::io(format!("creating {}", dir.display())))?;
        tools::discard_at_stop(&dir);
        Ok(Self(dir))
    }

    pub fn write(&self, name: &str, text: &str) -> Result<(), ToolError> {
        std::fs::write(self.0.join(name), text).map_err(ToolError::io(format!("writing {name}")))
    }
}

impl Drop for BuildDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A word that is never written reads as 0 in Rust and here, but as X in hardware: only the Verilog's text can show it.
fn refuse_undefined_memories(dir: &Path) -> Result<(), ToolError> {
    let dump = std::fs::read_to_string(dir.join("memories.txt"))
        .map_err(ToolError::io("reading the list of memories"))?;
    let (mut name, mut zeroed) = ("", false);
    for line in dump.lines().map(str::trim) {
        // A cell's attributes stand before it.
        zeroed = (zeroed || line == "attribute \\zeroed 1") && line != "end";
        if let Some(id) = line.strip_prefix("parameter \\MEMID ") {
            name = id;
        }
        let initial = line.strip_prefix("parameter \\INIT ");
        // A ring gives out only bytes that were put in; and a large memory begins with zeros because `TOE_ZEROED` is defined, where this is checked and where it is built.
        let ring = name.contains("ring_bytes");
        if !ring && !zeroed && initial.is_some_and(|value| value.contains('x')) {
            return Err(ToolError::Failed {
                tool: "the check for undefined memories".into(),
                dir: dir.into(),
                status: "refused".into(),
                output: format!("memory {name} has words without an initial value: they read as 0 in Rust and as X in hardware"),
            });
        }
    }
    Ok(())
}

/// What is said before a build that takes long.
pub(crate) const BUILDING: &str =
    "building the compiled engine for this configuration (once; half a minute or more) ...";

pub(crate) const CXX_FLAGS: [&str; 3] = ["-std=c++17", "-fPIC", "-w"];

/// The part that is the same for all designs, compiled once: it takes longer than a small block.
fn runtime(cache: &Path, cxx: &Tool, optimise: &str) -> Result<PathBuf, ToolError> {
    let yosys = tools::yosys()?;
    let name = key(&["cxxrtl run time 1", optimise, &yosys.version, &cxx.version]);
    let object = cache.join(format!("{name}.o"));
    let _lock = FileLock::take(&cache.join(format!("{name}.lock")))?;
    if object.is_file() {
        return Ok(object);
    }
    let dir = BuildDir::new(cache)?;
    dir.write(
        "r.cc",
        "#include <cxxrtl/capi/cxxrtl_capi.cc>\n#include <cxxrtl/capi/cxxrtl_capi_vcd.cc>\n",
    )?;
    let include = format!("-I{}", tools::cxxrtl_include()?.display());
    let args = ["-c", "-o", "r.o", "r.cc", optimise, &include];
    cxx.run(&dir.0, &[&CXX_FLAGS[..], &args].concat())?;
    publish(&dir.0.join("r.o"), &object)?;
    Ok(object)
}

/// Moves a finished file to its place in one step.
pub(crate) fn publish(from: &Path, to: &Path) -> Result<(), ToolError> {
    std::fs::rename(from, to).map_err(ToolError::io(format!("creating {}", to.display())))
}

/// What CXXRTL checks of the design, a word read that a memory does not have, ends the process with or without NDEBUG.
const CHECKS: &str = r#"#include <cstdio>
#include <cstdlib>
#define CXXRTL_ASSERT(x) ((x) ? (void)0 : (void)(std::fputs("CXXRTL: " #x "\n", stderr), std::abort(), 0))
"#;

/// The C++ of a design with a function `toe_cycle` for one cycle, or nothing where that would not be the same as the long way.
///
/// It is the same where the long way evaluates once a step (`converged` is constant: no feedback), and where nothing is stored but at
/// the rising edge of `clock`. Then the body of `eval` is a template of whether this is that edge: without it the compiler keeps of the
/// body only what the ports need.
fn clocked(text: &str, top: &str) -> Option<String> {
    const DECLARED: &str = "\tbool eval(performer *performer = nullptr) override;\n";
    const EDGE: &str = "\tbool posedge_p_clock = this->posedge_p_clock();\n";
    const BODY: &str = "(performer *performer) {\n\tbool converged = true;\n";
    // Its name as CXXRTL writes it: kept to names that need no escapes.
    let plain = top.bytes().all(|c| c.is_ascii_alphanumeric());
    let body = format!("bool p_{top}::eval{BODY}{EDGE}");
    let one = |what: &str| text.matches(what).count() == 1;
    let alone = one(DECLARED)
        && one(&body)
        && text.matches("bool posedge_").count() == 2
        && !text.contains("negedge_")
        && text.matches("converged").count() == 2
        && one("prev_p_clock = p_clock;")
        && text.contains("value<1> p_clock;");
    if !plain || !alone {
        return None;
    }
    let mut at_edge = false;
    for line in text.split_once(&body)?.1.lines() {
        let stores = line.contains(".next") || line.contains(".update(");
        match line {
            "\tif (posedge_p_clock) {" => at_edge = true,
            "\t}" => at_edge = false,
            "}" => break,
            // Nor may the clock be an output, or data: after a cycle it is low.
            _ if (stores && !at_edge) || line.contains("p_clock") => return None,
            _ => {}
        }
    }
    let declared = "\ttemplate<bool posedge_p_clock> bool toe_eval(performer *performer);\n";
    let both = format!(
        "bool p_{top}::eval(performer *performer) {{\n\
         \treturn this->posedge_p_clock() ? toe_eval<true>(performer) : toe_eval<false>(performer);\n}}\n\n\
         template<bool posedge_p_clock> bool p_{top}::toe_eval{BODY}",
    );
    let interface = format!(
        r#"
extern "C" void *toe_module(cxxrtl_toplevel design) {{
	return static_cast<cxxrtl_design::p_{top} *>(design->module.get());
}}

extern "C" void toe_settle(void *module) {{
	auto &top = *static_cast<cxxrtl_design::p_{top} *>(module);
	top.p_clock = top.prev_p_clock = value<1>{{0u}};
	top.toe_eval<false>(nullptr);
}}

extern "C" void toe_cycle(void *module) {{
	auto &top = *static_cast<cxxrtl_design::p_{top} *>(module);
	top.toe_eval<true>(nullptr);
	top.commit();
	toe_settle(module);
}}
"#
    );
    let text = text.replacen(DECLARED, &[DECLARED, declared].concat(), 1);
    Some(text.replacen(&body, &both, 1) + &interface)
}

/// What tells this processor from others of its architecture: code that is compiled for it may run on no other.
fn processor() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let lines = about.lines().take_while(|line| !line.is_empty());
    lines
        .filter(|line| ["model name", "flags"].iter().any(|n| line.starts_with(n)))
        .collect()
}

/// Compiles, or finds, the shared library of a design.
///
/// # Errors
/// When a tool is missing or refuses the design.
pub fn build(verilog: &str, options: &CxxrtlOptions) -> Result<PathBuf, ToolError> {
    let (yosys, cxx) = (tools::yosys()?, tools::compiler()?);
    let optimise = format!("-O{}", options.optimise);
    // Half of it again for what is run long.
    let native = cfg!(target_arch = "x86_64") && options.optimise > 1;
    let (native, processor) = match native {
        true => (Some("-march=native"), processor()),
        false => (None, String::new()),
    };
    // A packed register whose fields feed one another looks like a loop, and costs a pass more each cycle: bit by bit it is none.
    let split = match options.optimise {
        0 | 1 => "",
        _ => "splitnets -driver\nopt -full\n",
    };
    let script = format!(
        "read_verilog -D TOE_ZEROED x.v\nhierarchy -check -top {}\nproc\n{}\n\
         design -push-copy\nmemory_collect\ntee -q -o memories.txt dump t:$mem_v2\ndesign -pop\n\
         select -assert-none t:$dlatch t:$adlatch t:$dlatchsr\n\
         flatten\nopt -full\n{split}clean\nwrite_cxxrtl -O6 -g2 x.cc\n",
        options.top, options.extra,
    );
    let name = key(&[
        "cxxrtl 4",
        verilog,
        &script,
        &FATAL_WARNINGS.join(" "),
        &optimise,
        native.unwrap_or_default(),
        &processor,
        &yosys.version,
        &cxx.version,
    ]);
    let cache = tools::target().join("toe-cache");
    let library = cache.join(format!("{name}.so"));
    if library.is_file() {
        return Ok(library);
    }
    let _lock = FileLock::take(&cache.join(format!("{name}.lock")))?;
    if library.is_file() {
        return Ok(library); // another process was quicker
    }
    if options.optimise > 1 {
        tools::notice(BUILDING);
    }
    let dir = BuildDir::new(&cache)?;
    dir.write("x.v", verilog)?;
    dir.write("x.ys", &script)?;
    let mut args = vec!["-q"];
    for warning in FATAL_WARNINGS {
        args.extend(["-e", warning]);
    }
    args.push("x.ys");
    yosys.run(&dir.0, &args)?;
    refuse_undefined_memories(&dir.0)?;
    let file = dir.0.join("x.cc");
    let text =
        std::fs::read_to_string(&file).map_err(ToolError::io("reading what CXXRTL wrote"))?;
    let text = clocked(&text, &options.top).unwrap_or(text);
    dir.write("x.cc", &[CHECKS, &text].concat())?;
    let runtime = runtime(&cache, &cxx, &optimise)?;
    let include = format!("-I{}", tools::cxxrtl_include()?.display());
    let runtime = runtime.display().to_string();
    // Without the run time's checks of itself; those of the design (`CHECKS`) stay.
    let mut args = vec![
        "-shared", "-o", "x.so", "x.cc", &runtime, &optimise, &include, "-DNDEBUG",
    ];
    args.extend(native);
    cxx.run(&dir.0, &[&CXX_FLAGS[..], &args].concat())?;
    publish(&dir.0.join("x.so"), &library)?;
    Ok(library)
}
