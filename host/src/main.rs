//! The `toe` command.
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand};
use serde::Serialize;
use toe_host::board::Backend;
use toe_host::output::{self, Output};
use toe_host::sim::{Cidr, Stop};
use toe_host::{
    bench, connections, demo, exit_code, loss, say, settings, sim, synth, verilog, Refused,
};
use toe_sim::tools;

/// TOE in Rust: a TCP offload engine for FPGAs.
///
/// Exit codes: 0 done, 1 the run failed, 2 the request won't do as given, 3 something is missing or forbidden on this machine.
#[derive(Parser)]
#[command(name = "toe", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The main job: a file through the simulated engine to a TCP peer and back, checked
    Demo {
        /// The file to send (default: 64 KiB made for the purpose)
        #[arg(long)]
        file: Option<PathBuf>,
        /// rust, verilog (by Verilator if there is one, else CXXRTL), cxxrtl, verilator, or lockstep (rust and verilog, compared every cycle)
        #[arg(long, default_value = "rust")]
        backend: String,
        /// The engine's configuration (TOML; `toe verilog --print-config` prints one)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Folder for the Verilog, the pcap and the page
        #[arg(long, default_value = "out/demo")]
        out: PathBuf,
        /// Write the figures as JSON
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// The simulated board on a real Linux network
    Sim {
        /// Name of the TAP device, made if it is not there
        #[arg(long)]
        tap: String,
        /// The board's address and prefix length
        #[arg(long, value_name = "ADDR/LEN")]
        ip: Cidr,
        /// This machine's address on the device (default: the first other one of the network)
        #[arg(long)]
        host_ip: Option<Ipv4Addr>,
        /// rust, verilog (by Verilator if there is one, else CXXRTL), cxxrtl, verilator, or lockstep (rust and verilog, compared every cycle)
        #[arg(long, default_value = "verilog")]
        backend: String,
        /// The engine's configuration (TOML); --ip goes before its addresses
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Only this application: echo, discard or chargen (default: all, each on its own port)
        #[arg(long)]
        app: Option<String>,
        /// Write what crosses the line; it can be read while it grows (`tail -f`, Wireshark)
        #[arg(long)]
        pcap: Option<PathBuf>,
        /// Write a waveform (large, and slow); with lockstep two, X.left.vcd and X.right.vcd
        #[arg(long)]
        vcd: Option<PathBuf>,
        /// Print each event the engine handles: path, cycles
        #[arg(long)]
        trace: bool,
        /// End after so many seconds
        #[arg(long)]
        seconds: Option<u64>,
    },
    /// Verilog, program listing, register map, constraint files
    Verilog {
        /// What the engine is built for, as a TOML file (default: the values that --print-config prints)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print a configuration file with every field, its default and its limits, and end
        #[arg(long, conflicts_with = "config")]
        print_config: bool,
        /// Folder for the files
        #[arg(short, long, default_value = "out/verilog")]
        out: PathBuf,
    },
    /// A bitstream, with area, memory and Fmax against the board's need
    Synth {
        /// The board: alchitry-cu; or ecp5-25f, the bare engine on a chip without a board (no bitstream)
        #[arg(long)]
        board: String,
        /// What the engine is built for, in place of the board's own configuration (TOML; `toe verilog --print-config` prints one). Only alchitry-cu; nothing holds it to the board's budget
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Seed of the placement (default: the board's own, which the report names; the ECP5 has five)
        #[arg(long, allow_negative_numbers = true)]
        seed: Option<u32>,
        /// Several seeds, each placed and routed; the median counts: --seeds 1,2,3,4,5
        #[arg(
            long,
            value_delimiter = ',',
            conflicts_with = "seed",
            allow_negative_numbers = true
        )]
        seeds: Vec<u32>,
        /// Then each module by itself, with its Fmax: area.md and area.svg, beside the budgets, and beside the other board's if it was built so
        #[arg(long)]
        modules: bool,
        /// Folder for the files (default: out/synth/BOARD)
        #[arg(long)]
        out: Option<PathBuf>,
        /// Write the report as JSON
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Every figure, beside its bar; one that is not met is told with its cause, and is no failure (exit code 0)
    Bench {
        /// Only on this back end: rust, verilog, cxxrtl, verilator or lockstep (default: rust, then verilog)
        #[arg(long)]
        backend: Option<String>,
        /// Without synthesis; area and Fmax are then those that `toe synth` left in out/synth, if it was of this very design
        #[arg(long)]
        no_synth: bool,
        /// In place of all that: the whole engine with each of these numbers of connections (4,16,64,256,1024 if none is given), all open: LUTs, memory, cycles
        #[arg(long, value_name = "LIST", value_delimiter = ',', num_args = 0..=1, default_missing_values = ["4", "16", "64", "256", "1024"])]
        connections: Option<Vec<usize>>,
        /// In place of all that: the engine's goodput over a line with loss, delay and the like beside that of Linux to Linux, in real time; takes some minutes
        #[arg(long, conflicts_with_all = ["connections", "backend", "no_synth"])]
        loss: bool,
        /// Runs of each row of --loss, of which the median counts
        #[arg(long, requires = "loss", default_value_t = 7)]
        seeds: u64,
        /// The kernel's congestion control for --loss
        #[arg(long, requires = "loss", default_value = "cubic")]
        congestion: String,
        /// Of --loss only the rows that have one of these in their names: --only delay,loss.3
        #[arg(long, requires = "loss", value_delimiter = ',')]
        only: Vec<String>,
        /// Folder for captures of every run of --loss, as each end saw it, and a page with its time-sequence plots
        #[arg(long, requires = "loss", value_name = "DIR")]
        pcap: Option<PathBuf>,
        /// Folder for connections.md, .svg and .json (default: out/connections), or for loss.md, .svg and .json (out/loss)
        #[arg(long)]
        out: Option<PathBuf>,
        /// Write the rows as JSON
        #[arg(long)]
        json: Option<PathBuf>,
    },
}

/// An output file that can't be written is known before the run, not after.
fn json_output(path: Option<&Path>) -> Result<Option<Output>> {
    path.map(Output::new).transpose()
}

fn write_json(file: Option<Output>, value: &impl Serialize) -> Result<()> {
    let Some(file) = file else { return Ok(()) };
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    file.write(text)
}

fn backend(name: &str) -> Result<Backend> {
    name.parse()
        .map_err(|e: anyhow::Error| Refused(e.to_string()).into())
}

fn run(command: Command, stop: &Stop) -> Result<ExitCode> {
    match command {
        Command::Demo {
            file,
            backend: name,
            config,
            out,
            json,
        } => {
            let config = settings::load(config.as_deref())?;
            let backend = backend(&name)?;
            let json = json_output(json.as_deref())?;
            let outcome = demo::run(&config, file.as_deref(), backend, &out)?;
            write_json(json, &outcome)?;
            for (label, value) in outcome.facts() {
                say!("{label:<26} {value}")?;
            }
            for file in &outcome.files {
                say!("{:<26} {}", "written", file.display())?;
            }
            if !outcome.identical {
                eprintln!("toe: the bytes that came back are not those that were sent");
                return Ok(ExitCode::from(1));
            }
        }
        Command::Sim {
            tap,
            ip,
            host_ip,
            backend: name,
            config,
            app,
            pcap,
            vcd,
            trace,
            seconds,
        } => {
            let config = settings::load(config.as_deref())?;
            let options = sim::Options {
                config: &config,
                tap: &tap,
                ip,
                host_ip,
                backend: backend(&name)?,
                app: app.as_deref(),
                pcap: pcap.as_deref(),
                vcd: vcd.as_deref(),
                duration: seconds.map(Duration::from_secs),
                trace,
            };
            sim::run(&options, stop)?;
        }
        Command::Verilog {
            print_config: true, ..
        } => output::print(format_args!("{}", settings::example()))?,
        Command::Verilog { config, out, .. } => {
            let config = (config.as_deref().map(|file| settings::load(Some(file)))).transpose()?;
            let files = verilog::write(config.as_ref(), &out)?;
            for file in &files {
                say!("{}", file.display())?;
            }
            for file in verilog::left_over(&out, &files) {
                eprintln!(
                    "toe: {} is another engine's, of an earlier run: this configuration writes none",
                    file.display()
                );
            }
        }
        Command::Synth {
            board,
            config,
            seed,
            mut seeds,
            modules,
            out,
            json,
        } => {
            seeds.extend(seed);
            let config = (config.as_deref().map(|file| settings::load(Some(file)))).transpose()?;
            let json = json_output(json.as_deref())?;
            let out = out.unwrap_or_else(|| Path::new("out/synth").join(&board));
            let report = synth::run(&board, config.as_ref(), &seeds, modules, &out)?;
            write_json(json, &report)?;
            synth::print(&report)?;
            if report.clocks.iter().any(|c| !c.met) {
                eprintln!("toe: the timing that the board needs is not met; try another --seed");
                return Ok(ExitCode::from(1));
            }
            if let Some((cells, block_rams)) = synth::budget(&board).filter(|_| config.is_none()) {
                if report.cells > cells || report.block_rams > block_rams {
                    eprintln!("toe: more than the {cells} logic cells and {block_rams} block RAMs that the board is held to");
                    return Ok(ExitCode::from(1));
                }
            }
        }
        Command::Bench {
            backend: name,
            no_synth,
            connections: Some(sizes),
            out,
            json,
            ..
        } => {
            let out = out.unwrap_or_else(|| connections::OUT.into());
            let backend = backend(name.as_deref().unwrap_or("verilog"))?;
            let json = json_output(json.as_deref())?;
            let found = connections::run(&sizes, backend, !no_synth, &out)?;
            write_json(json, &found)?;
            output::print(format_args!("{}", connections::table(&found)))?;
            for size in &found.sizes {
                say!(
                    "{:>5} connections: {:>7} cycles/s, {:>4.0} s until it stood",
                    size.connections,
                    size.cycles_per_second as u64,
                    size.seconds_to_build
                )?;
            }
        }
        Command::Bench {
            loss: true,
            seeds,
            congestion,
            only,
            pcap,
            out,
            json,
            ..
        } => {
            let out = out.unwrap_or_else(|| loss::OUT.into());
            let json = json_output(json.as_deref())?;
            let options = loss::Options {
                seeds,
                congestion,
                only,
                // Most of a run is waiting.
                jobs: 4,
                pcap,
            };
            let found = match loss::run(&options, &out)? {
                Ok(found) => found,
                Err(code) => return Ok(ExitCode::from(code as u8)),
            };
            write_json(json, &serde_json::json!({ "rows": loss::rows(&found) }))?;
            output::print(format_args!("{}", loss::table(&found)))?;
        }
        Command::Bench {
            backend: name,
            no_synth,
            out: None,
            pcap: None,
            only,
            json,
            ..
        } if only.is_empty() => {
            let backends = match name {
                Some(name) => vec![backend(&name)?],
                None => vec![Backend::Rust, Backend::Verilog],
            };
            let json = json_output(json.as_deref())?;
            let rows = bench::run(&backends, !no_synth)?;
            write_json(json, &serde_json::json!({ "rows": rows }))?;
            bench::print(&rows)?;
        }
        Command::Bench { .. } => {
            let text = "--out is for --connections and --loss, --only and --pcap are for --loss";
            return Err(Refused(text.into()).into());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a shell says of a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    tools::set_notice(|text| eprintln!("toe: {text}"));
    let stop = Arc::new(Stop::default());
    let asked = stop.clone();
    let handled = ctrlc::set_handler(move || {
        if !asked.ask() {
            tools::stop_all();
            output::discard_all();
            std::process::exit(INTERRUPTED);
        }
    });
    match handled
        .map_err(Into::into)
        .and_then(|()| run(command, &stop))
    {
        Ok(code) => code,
        Err(error) => {
            eprintln!("toe: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}
