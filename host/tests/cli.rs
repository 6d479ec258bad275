//! What the command says, and with which exit code, when something is not as it should be.
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

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
        &["etch-a-sketch", "alchitry-cu"],
    );
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
    refused(
        &toe(
            d,
            &[
                "sim",
                "--tap",
                "a-name-that-is-too-long",
                "--ip",
                "10.0.0.2/24",
            ],
        ),
        2,
        &["a-name-that-is-too-long"],
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

#[test]
fn a_missing_tool_is_named_with_its_remedy() {
    let dir = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_toe"))
        .current_dir(dir.path())
        .args(["demo", "--backend", "verilog"])
        .env("TOE_TOOLS", dir.path().join("none"))
        .env("PATH", "/nowhere")
        .output()
        .expect("the command starts");
    refused(&output, 3, &["missing"]);
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
