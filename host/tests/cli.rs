//! What the command says, and with which exit code, when something is not as it should be.
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn toe(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_toe"))
        .current_dir(dir)
        .args(args)
        .output()
        .expect("the command starts")
}

#[track_caller]
fn refused(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
}

#[test]
fn bad_arguments_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let d = dir.path();
    refused(&toe(d, &["demo", "--no-such"]), 2, &["--no-such"]);
    refused(
        &toe(d, &["demo", "--backend", "vhdl"]),
        2,
        &["vhdl", "rust", "verilog"],
    );
    refused(
        &toe(d, &["synth", "--board", "etch-a-sketch"]),
        2,
        &["etch-a-sketch", "alchitry-cu", "ecp5-25f"],
    );
    let ecp5 = ["synth", "--board", "ecp5-25f"];
    for (option, value) in [
        ("--seeds", "1,2,x"),
        ("--seeds", "1,,2"),
        ("--seeds", ""),
        ("--seeds", "-1"),
        ("--seed", "1.5"),
        ("--seed", "4294967296"),
    ] {
        refused(
            &toe(d, &[&ecp5[..], &[option, value]].concat()),
            2,
            &[option],
        );
    }
    std::fs::write(d.join("slip.toml"), "ethernet = false").expect("a file");
    std::fs::write(d.join("mac.toml"), "ethernet = true").expect("a file");
    let config = [&ecp5[..], &["--config", "slip.toml"]].concat();
    refused(&toe(d, &config), 2, &["ecp5-25f", "--config"]);
    let config = ["synth", "--board", "alchitry-cu", "--config", "mac.toml"];
    refused(&toe(d, &config), 2, &["ethernet", "serial line"]);
    for file in ["slip.toml", "mac.toml"] {
        std::fs::remove_file(d.join(file)).expect("the file");
    }
    let both = [&ecp5[..], &["--seed", "1", "--seeds", "2,3"]].concat();
    refused(&toe(d, &both), 2, &["--seed", "--seeds"]);
    refused(
        &toe(d, &["sim", "--tap", "t0", "--ip", "10.0.0.1"]),
        2,
        &["10.0.0.1", "/24"],
    );
    refused(
        &toe(
            d,
            &["sim", "--tap", "t0", "--ip", "10.0.0.2/24", "--app", "ftp"],
        ),
        2,
        &["ftp", "chargen"],
    );
    refused(&toe(d, &["frobnicate"]), 2, &["frobnicate"]);
}

#[test]
fn files_that_won_t_do_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let d = dir.path();
    refused(
        &toe(d, &["demo", "--file", "nowhere.bin"]),
        2,
        &["nowhere.bin"],
    );
    fs::write(d.join("empty.bin"), b"").expect("written");
    refused(
        &toe(d, &["demo", "--file", "empty.bin"]),
        2,
        &["empty.bin", "empty"],
    );
    fs::write(d.join("file"), b"x").expect("written");
    refused(
        &toe(d, &["demo", "--out", "file/sub"]),
        2,
        &["file/sub", "--out"],
    );
    refused(
        &toe(d, &["demo", "--json", "file/x.json"]),
        2,
        &["file/x.json"],
    );
    refused(&toe(d, &["verilog", "--out", "file/sub"]), 2, &["file/sub"]);
}

/// What stands in a folder, hidden names too.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder");
    let name = |e: std::io::Result<fs::DirEntry>| e.expect("an entry").file_name();
    let mut names: Vec<_> = entries
        .map(|e| name(e).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn outputs_that_cannot_be_written_are_known_before_the_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let d = dir.path();
    let start = Instant::now();
    let json = ["--json", "no/x.json"];
    let remedy = ["no/x.json", "mkdir -p no"];
    refused(&toe(d, &[&["demo"], &json[..]].concat()), 2, &remedy);
    refused(&toe(d, &[&["bench"], &json[..]].concat()), 2, &remedy);
    let synth = ["synth", "--board", "alchitry-cu"];
    refused(&toe(d, &[&synth[..], &json].concat()), 2, &remedy);
    refused(&toe(d, &["demo", "--json", "."]), 2, &["folder"]);
    // Neither of these is a TAP device's fault: the device is not even tried.
    let sim = ["sim", "--tap", "toe0", "--ip", "10.0.0.2/24"];
    for option in ["--pcap", "--vcd"] {
        let args = [&sim[..], &[option, "no/x"]].concat();
        refused(&toe(d, &args), 2, &["no/x", "mkdir -p no"]);
    }
    for out in ["/proc/none", "/dev/null/none"] {
        refused(&toe(d, &["demo", "--out", out]), 2, &[out, "--out"]);
        refused(&toe(d, &["verilog", "--out", out]), 2, &[out, "--out"]);
        for synth in [synth, ["synth", "--board", "ecp5-25f"]] {
            let args = [&synth[..], &["--out", out]].concat();
            refused(&toe(d, &args), 2, &[out, "--out"]);
        }
    }
    assert_eq!(names(d), [""; 0]);
    assert!(start.elapsed() < Duration::from_secs(20), "a run was begun");
}

#[test]
fn addresses_that_won_t_do_are_refused_before_the_device_is_tried() {
    let dir = tempfile::tempdir().expect("a folder");
    let sim = |ip: &str, more: &[&str]| {
        let args = [&["sim", "--tap", "toe0", "--ip", ip], more].concat();
        toe(dir.path(), &args)
    };
    for ip in ["10.0.0.0", "10.0.0.255"] {
        let words = ["--ip", ip, "10.0.0.1 to 10.0.0.254"];
        refused(&sim(&format!("{ip}/24"), &[]), 2, &words);
    }
    for ip in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"] {
        refused(&sim(&format!("{ip}/24"), &[]), 2, &[ip, "unicast"]);
    }
    refused(&sim("10.0.0.2/33", &[]), 2, &["10.0.0.2/33", "8 to 30"]);
    for host in ["10.0.0.2", "10.0.1.1", "10.0.0.255", "0.0.0.0"] {
        let output = sim("10.0.0.2/24", &["--host-ip", host]);
        refused(&output, 2, &["--host-ip", host, "must be"]);
    }
    let long = "a-name-that-is-too-long";
    let args = ["sim", "--tap", long, "--ip", "10.0.0.2/24"];
    refused(&toe(dir.path(), &args), 2, &[long, "15", "tap0"]);
}

#[test]
fn files_that_may_not_be_written_are_named_before_the_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let d = dir.path();
    // A folder in a file's place: also root may not write that.
    fs::create_dir_all(d.join("o/demo.pcap")).expect("made");
    refused(
        &toe(d, &["demo", "--out", "o"]),
        2,
        &["o/demo.pcap", "folder"],
    );
    fs::create_dir_all(d.join("v/counters.md")).expect("made");
    let output = toe(d, &["verilog", "--out", "v"]);
    refused(&output, 2, &["v/counters.md", "folder"]);
    assert_eq!(names(&d.join("v")), ["counters.md"]);
    fs::create_dir(d.join("p")).expect("made");
    let twice = toe(d, &["demo", "--out", "p", "--json", "p/demo.html"]);
    refused(&twice, 2, &["p/demo.html", "same file"]);
    let sim = ["sim", "--tap", "toe0", "--ip", "10.0.0.2/24"];
    let twice = toe(d, &[&sim[..], &["--pcap", "x", "--vcd", "./x"]].concat());
    refused(&twice, 2, &["./x", "same file"]);
    for name in [".", ".."] {
        let output = toe(d, &["sim", "--tap", name, "--ip", "10.0.0.2/24"]);
        refused(&output, 2, &["can't name", "tap0"]);
    }
}

#[test]
fn a_reader_that_is_gone_is_no_failure_and_a_full_disk_is_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let printing = |out: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_toe"));
        command.current_dir(dir.path());
        command.args(["verilog", "--print-config"]).stdout(out);
        command.output().expect("the command starts")
    };
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let output = printing(writer.into());
    assert!(output.status.success() && output.stderr.is_empty());
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let output = printing(full.expect("Linux").into());
    refused(&output, 1, &["standard output", "No space left"]);
}

/// The command with no tool in reach.
fn without_tools(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_toe"))
        .current_dir(dir)
        .args(args)
        .env("TOE_TOOLS", dir.join("none"))
        .env("PATH", "/nowhere")
        .output()
        .expect("the command starts")
}

#[test]
fn a_missing_tool_is_named_with_its_remedy() {
    let dir = tempfile::tempdir().expect("a folder");
    for args in [
        &["demo", "--backend", "verilog"][..],
        &["demo", "--backend", "cxxrtl"],
        &["demo", "--backend", "lockstep"],
        &["synth", "--board", "alchitry-cu"],
        &["synth", "--board", "ecp5-25f"],
    ] {
        let words = ["the pinned tool set is missing", "make tools"];
        refused(&without_tools(dir.path(), args), 3, &words);
    }
    let output = without_tools(dir.path(), &["demo", "--backend", "verilator"]);
    let words = ["Verilator 5", "missing", "install", "--backend cxxrtl"];
    refused(&output, 3, &words);
}

#[test]
fn a_verilator_that_is_too_old_is_not_taken() {
    let dir = tempfile::tempdir().expect("a folder");
    let fake = dir.path().join("verilator");
    fs::write(&fake, "#!/bin/sh\necho Verilator 4.038 2020-07-11\n").expect("written");
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).expect("a program");
    let output = Command::new(env!("CARGO_BIN_EXE_toe"))
        .current_dir(dir.path())
        .args(["demo", "--backend", "verilator"])
        .env("PATH", dir.path())
        .output()
        .expect("the command starts");
    let words = [&*fake.to_string_lossy(), "older", "--backend cxxrtl"];
    refused(&output, 3, &words);
}

/// Ends the process when the test does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn within(seconds: u64, what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(seconds), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks a process to end, as Ctrl-C and `kill` do.
fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -s {name} {id}")])
        .status();
    assert!(sent.expect("a shell").success());
}

#[test]
fn a_busy_device_is_refused_and_ctrl_c_ends_a_run_with_whole_files() {
    let name = "a_busy_device_is_refused_and_ctrl_c_ends_a_run_with_whole_files";
    toe_sim::netns::in_namespace(name, || {
        let dir = tempfile::tempdir().expect("a folder");
        let sim = [
            "sim",
            "--tap",
            "toe0",
            "--ip",
            "10.0.0.2/24",
            "--backend",
            "rust",
        ];
        let mut first = Running(
            Command::new(env!("CARGO_BIN_EXE_toe"))
                .current_dir(dir.path())
                .args([&sim[..], &["--pcap", "x.pcap", "--vcd", "x.vcd"]].concat())
                .stdout(Stdio::null())
                .stderr(fs::File::create(dir.path().join("said")).expect("a file"))
                .spawn()
                .expect("the command starts"),
        );
        let said = || fs::read_to_string(dir.path().join("said")).expect("text");
        within(60, "the board did not start", || said().contains("Ctrl-C"));
        let second = toe(dir.path(), &sim);
        refused(&second, 3, &["toe0", "busy", "another name"]);
        let other = toe(dir.path(), &["sim", "--tap", "lo", "--ip", "10.0.0.2/24"]);
        refused(&other, 3, &["'lo'", "a TAP device", "toe0"]);
        // The capture is of use while it grows: its header is there at once, so is every frame soon after it passed.
        let magic = 0xA1B2_C3D4_u32.to_le_bytes();
        within(20, "the capture does not grow", || {
            fs::read(dir.path().join("x.pcap"))
                .is_ok_and(|pcap| pcap.len() > 24 && pcap[..4] == magic)
        });
        assert!(!dir.path().join("x.vcd").exists(), "half-written");
        signal(&first.0, "INT");
        within(60, "Ctrl-C did not end it", || {
            first.0.try_wait().expect("a status").is_some()
        });
        let status = first.0.wait().expect("a status");
        assert!(status.success(), "{status}: {}", said());
        assert_eq!(names(dir.path()), ["said", "x.pcap", "x.vcd"]);
        let vcd = fs::read_to_string(dir.path().join("x.vcd")).expect("text");
        assert!(vcd.contains("$enddefinitions"));
    });
}

#[test]
fn a_run_that_is_broken_off_leaves_nothing_that_looks_whole() {
    for name in ["INT", "TERM"] {
        let dir = tempfile::tempdir().expect("a folder");
        let mut demo = Running(
            Command::new(env!("CARGO_BIN_EXE_toe"))
                .current_dir(dir.path())
                .args(["demo", "--json", "d.json", "--out", "o"])
                .stderr(Stdio::null())
                .spawn()
                .expect("the command starts"),
        );
        within(20, "the run did not begin", || names(dir.path()).len() == 2);
        std::thread::sleep(Duration::from_millis(100));
        signal(&demo.0, name);
        let status = demo.0.wait().expect("a status");
        assert_eq!(status.code(), Some(130), "{name}");
        assert_eq!(names(dir.path()), ["o"]);
        assert_eq!(names(&dir.path().join("o")), [""; 0]);
    }
}

#[test]
fn a_forbidden_device_is_refused() {
    // Nobody may run and read what this needs, wherever the project lies.
    let dir = tempfile::tempdir().expect("a folder");
    let binary = dir.path().join("toe");
    fs::copy(env!("CARGO_BIN_EXE_toe"), &binary).expect("copied");
    let all = fs::Permissions::from_mode(0o755);
    fs::set_permissions(dir.path(), all.clone()).expect("open to all");
    fs::set_permissions(&binary, all).expect("open to all");
    let mut command = Command::new(&binary);
    command
        .current_dir(dir.path())
        .args(["sim", "--tap", "toe0", "--ip", "10.0.0.2/24"])
        .args(["--backend", "rust", "--seconds", "1"]);
    if fs::metadata("/proc/self").expect("Linux").uid() == 0 {
        const NOBODY: u32 = 65_534;
        command.uid(NOBODY).gid(NOBODY);
    }
    match command.output() {
        Ok(output) => refused(&output, 3, &["run as root"]),
        Err(error) => toe_sim::skip::skipped(
            "a_forbidden_device_is_refused",
            format!("no process without rights: {error}"),
        ),
    }
}

#[test]
fn a_configuration_is_printed_read_and_explained() {
    let dir = tempfile::tempdir().expect("a folder");
    let d = dir.path();
    let printed = toe(d, &["verilog", "--print-config"]);
    assert!(printed.status.success());
    let text = String::from_utf8(printed.stdout).expect("text");
    fs::write(d.join("bad.toml"), text.replace("mtu = 1500", "mtu = 200")).expect("written");
    let bad = toe(d, &["verilog", "--config", "bad.toml", "--out", "v"]);
    refused(
        &bad,
        2,
        &["bad.toml", "mtu", "200", "576", "--print-config"],
    );
    fs::write(d.join("typo.toml"), "conections = 4\n").expect("written");
    for command in [
        &["demo"][..],
        &["verilog"],
        &["sim", "--tap", "toe0", "--ip", "10.0.0.2/24"],
    ] {
        let output = toe(d, &[command, &["--config", "typo.toml"]].concat());
        refused(&output, 2, &["typo.toml", "conections", "connections"]);
        let output = toe(d, &[command, &["--config", "none.toml"]].concat());
        refused(&output, 2, &["none.toml"]);
    }
    assert!(!d.join("v").exists());
    fs::write(
        d.join("mine.toml"),
        text.replace("rx_ring_bytes = 8192", "rx_ring_bytes = 1024"),
    )
    .expect("written");
    fs::write(d.join("same.toml"), text).expect("written");
    let verilog = |config: &str, out: &str| {
        let output = toe(d, &["verilog", "--config", config, "--out", out]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        fs::read_to_string(d.join(out).join("toe.v")).expect("written")
    };
    let (mine, same) = (verilog("mine.toml", "mine"), verilog("same.toml", "same"));
    assert_ne!(mine, same, "the configuration made no difference");
    let default = toe(d, &["verilog", "--out", "default"]);
    assert!(default.status.success());
    let default = fs::read_to_string(d.join("default/toe.v")).expect("written");
    assert_eq!(same, default);
    // No file beside it that knows nothing of the configuration.
    assert!(!d.join("mine/alchitry_cu.v").exists() && d.join("default/alchitry_cu.v").exists());
}

#[test]
fn an_engine_without_ethernet_is_the_board_s_and_none_at_a_gmii() {
    let dir = tempfile::tempdir().expect("a folder");
    let d = dir.path();
    let text = include_str!("../../bsp/alchitry-cu.toml");
    let key = toe_bsp::alchitry_cu::config().hash_key;
    let (old, new) = (format!("{key:#018x}"), "0x0123456789abcdef");
    assert!(text.contains(&old), "{old}");
    fs::write(d.join("cu.toml"), text.replace(&old, new)).expect("written");
    for command in [
        &["demo"][..],
        &["sim", "--tap", "toe0", "--ip", "10.0.0.2/24"],
    ] {
        let output = toe(d, &[command, &["--config", "cu.toml"]].concat());
        refused(&output, 2, &["ethernet", "false", "toe synth --board"]);
    }
    let verilog = |arguments: &[&str]| {
        let output = toe(d, &[&["verilog", "--out", "v"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        assert_eq!(d.join("v/toe.v").exists(), arguments.is_empty());
        let text = fs::read_to_string(d.join("v/alchitry_cu.v")).expect("written");
        fs::remove_dir_all(d.join("v")).expect("removed");
        text
    };
    assert_ne!(
        verilog(&["--config", "cu.toml"]),
        verilog(&[]),
        "its key made no difference"
    );
}

#[test]
fn help_tells_of_every_command() {
    let output = toe(Path::new("."), &["--help"]);
    assert!(output.status.success());
    let text = String::from_utf8_lossy(&output.stdout);
    for command in ["demo", "sim", "verilog", "synth", "bench"] {
        assert!(text.contains(command), "{command}");
        let help = toe(Path::new("."), &[command, "--help"]);
        assert!(help.status.success() && !help.stdout.is_empty());
    }
}

#[test]
fn numbers_of_connections_that_cannot_be_are_refused_before_the_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let d = dir.path();
    for (list, remedy) in [
        (
            "4,3",
            "connections is 3, but must be a power of two from 1 to 1024",
        ),
        (
            "2048",
            "connections is 2048, but must be a power of two from 1 to 1024",
        ),
    ] {
        let args = ["bench", "--connections", list, "--no-synth"];
        refused(&toe(d, &args), 2, &[remedy]);
    }
    assert!(names(d).is_empty(), "something was left");
}

#[test]
fn a_row_beside_linux_is_measured_with_its_captures_or_the_machine_forbids_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let d = dir.path();
    let loss = |more: &[&str]| toe(d, &[&["bench", "--loss", "--seeds", "1"], more].concat());
    let no_such = loss(&["--congestion", "nosuch"]);
    refused(&no_such, 2, &["no congestion control `nosuch`", "reno"]);
    refused(&loss(&["--only", "nosuch"]), 2, &["no row has such a name"]);
    refused(&toe(d, &["bench", "--out", "x"]), 2, &["--loss"]);
    assert!(names(d).is_empty(), "something was left");
    let args = [
        "--only",
        "loss.none.send",
        "--out",
        "out",
        "--pcap",
        "runs",
        "--json",
        "x.json",
    ];
    let output = loss(&args);
    if output.status.code() == Some(3) {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        toe_sim::skip::skipped("a_row_beside_linux", said);
        return;
    }
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(
        table.contains("| `loss.none.send` | no faults | sends |"),
        "{table}"
    );
    let text = fs::read(d.join("x.json")).expect("written");
    let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    let row = &json["rows"][0];
    assert_eq!(row["name"], "loss.none.send");
    assert!(
        row["value"].as_f64().is_some_and(|ratio| ratio > 0.0),
        "{row}"
    );
    for file in ["loss.json", "loss.md", "loss.svg"] {
        assert!(d.join("out").join(file).is_file(), "{file}");
    }
    for who in ["model", "linux"] {
        for what in ["near.pcap", "far.pcap"] {
            let file = d.join(format!("runs/loss.none.send-{who}-1-{what}"));
            let length = fs::metadata(&file).expect("written").len();
            // Half a mebibyte crossed.
            assert!(length > 1 << 19, "{}: {length}", file.display());
        }
        let page = d.join(format!("runs/loss.none.send-{who}-1.html"));
        let page = fs::read_to_string(page).expect("written");
        assert!(page.contains("time-sequence plot"));
    }
}

#[test]
fn the_verilog_and_the_map_are_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = toe(dir.path(), &["verilog", "--out", "v"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let read = |f: &str| fs::read_to_string(dir.path().join("v").join(f)).expect("written");
    assert!(read("toe.v").contains("module top"));
    assert!(read("alchitry_cu.pcf").contains("set_io usb_rx P14"));
    assert!(read("counters.md").contains("RecordQueueFull"));
    assert!(read("program.lst").len() > 1000);
}

#[test]
fn the_demo_s_json_keeps_its_contract() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("in.bin"), [7u8; 4000]).expect("written");
    let output = toe(
        dir.path(),
        &["demo", "--file", "in.bin", "--out", "o", "--json", "d.json"],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.path().join("d.json")).expect("written"))
            .expect("JSON");
    assert_eq!(json["bytes"], 4000);
    assert_eq!(json["identical"], true);
    assert_eq!(json["backend"], "rust");
    assert!(json["machine"].is_string());
    for key in ["cycles", "cycles_per_second"] {
        assert!(json[key].is_number(), "{key}");
    }
    for key in ["syn", "ack", "echo"] {
        assert!(json["latency_cycles"][key].is_number(), "{key}");
    }
    for key in ["send", "receive"] {
        assert!(json["goodput"][key].is_number(), "{key}");
    }
    for file in json["files"].as_array().expect("a list") {
        let path = dir.path().join(file.as_str().expect("a path"));
        assert!(
            fs::metadata(&path).expect("written").len() > 0,
            "{}",
            path.display()
        );
    }
}

#[test]
fn the_whole_engine_echoes_on_verilator() {
    if let Err(why) = toe_sim::tools::verilator() {
        toe_sim::skip::skipped("the_whole_engine_echoes_on_verilator", why);
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    // Beside the Rust blocks, each output compared in every cycle; then alone.
    for backend in ["lockstep", "verilator"] {
        let args = [
            "demo",
            "--backend",
            backend,
            "--out",
            "o",
            "--json",
            "d.json",
        ];
        fs::write(dir.path().join("in.bin"), [0x5Au8; 6_000]).expect("written");
        let output = toe(dir.path(), &[&args[..], &["--file", "in.bin"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{backend}: {said}");
        let json = fs::read_to_string(dir.path().join("d.json")).expect("written");
        assert!(json.contains("Verilator 5") && json.contains("\"identical\": true"));
    }
}
