//! Goodput over a line with loss, delay and the like: a short form of the rows of `toe bench --loss` against the kernel, and the same rows in simulated time, where smoltcp calls the engine's model and itself.
use std::fmt::Write as _;

use toe_host::loss::{self, Case, Flow, Near, Ran, HELD};
use toe_sim::link::Duration;
use toe_sim::netns::in_namespace;
use toe_sim::path::write_pcap;
use toe_testbench::transfers::capture_file;

/// The table's rows that the tests run, smaller.
fn rows(keys: &[&str], bytes: usize) -> Vec<Case> {
    let cases = loss::cases().into_iter();
    let wanted = cases.filter(|case| keys.contains(&&*case.key));
    wanted
        .map(|case| {
            let each = bytes / case.connections;
            case.of(each)
        })
        .collect()
}

/// What both ends saw of a run that failed.
///
/// # Panics
/// Always.
fn failed(case: &Case, near: Near, ran: &Ran) -> ! {
    let mut files = vec![];
    for (is_near, end) in [(true, "near"), (false, "far")] {
        let file = capture_file(&format!(
            "{}-{near:?}-{}-{end}",
            case.name(),
            ran.sample.seed
        ));
        let mut bytes = vec![];
        let medium = toe_sim::link::Medium::Ip;
        write_pcap(&ran.seen, is_near, medium, &mut bytes).expect("memory can be written");
        std::fs::write(&file, bytes).expect("target can be written");
        files.push(file.display().to_string());
    }
    panic!(
        "{}, {near:?}, seed {}: {}\nto the near end {:?}\nto the far end {:?}\ncaptures: {}",
        case.name(),
        ran.sample.seed,
        ran.sample.failure.as_deref().unwrap_or_default(),
        ran.to_near,
        ran.to_far,
        files.join(", ")
    );
}

/// Every kind of row against the kernel in real time. What is asserted is that every byte came once and in order, which each run compares; times are shown.
#[test]
fn every_byte_comes_between_the_kernel_and_the_engine_and_between_two_kernels() {
    let name = "every_byte_comes_between_the_kernel_and_the_engine_and_between_two_kernels";
    in_namespace(name, || {
        let keys = [
            "3",
            "reorder",
            "duplicate",
            "corrupt",
            "mss1",
            "x4",
            "mtu576.3",
        ];
        let cases = rows(&keys, 48 * 1024);
        assert_eq!(cases.len(), 3 * 4 + 1 + 2 + 2);
        let seed = 1;
        println!("seed {seed}\nrow | engine and Linux, Mb/s | Linux and Linux, Mb/s");
        for pair in cases.chunks(4) {
            // Most of each is waiting.
            std::thread::scope(|scope| {
                let runs: Vec<_> = (pair.iter())
                    .map(|case| {
                        let of = |near| {
                            scope.spawn(move || {
                                loss::real(case, near, seed, "reno").expect("the ends can be made")
                            })
                        };
                        (case, of(Near::Model), of(Near::Linux))
                    })
                    .collect();
                for (case, engine, linux) in runs {
                    let mut line = case.name();
                    for (near, run) in [(Near::Model, engine), (Near::Linux, linux)] {
                        let ran = run.join().expect("a run ends");
                        let Some(goodput) = ran.sample.goodput else {
                            failed(case, near, &ran);
                        };
                        let _ = write!(line, " | {:.2}", goodput / 1e6);
                    }
                    println!("{line}");
                }
            });
        }
    });
}

/// One row in simulated time: the median of so many seeds, the ends of their spread, and what was sent again.
fn row(case: &Case, near: Near, seeds: u64) -> String {
    let mut samples = vec![];
    for seed in 1..=seeds {
        let ran = loss::simulated(case, near, seed).expect("it runs in simulated time");
        if ran.sample.goodput.is_none() {
            failed(case, near, &ran);
        }
        assert_eq!(ran.sample.late, 0.0, "simulated time is never late");
        samples.push(ran.sample);
    }
    let mut goodput: Vec<_> = samples.iter().filter_map(|s| s.goodput).collect();
    goodput.sort_by(f64::total_cmp);
    let again: u64 = samples.iter().map(|s| s.again).sum();
    let data: u64 = samples.iter().map(|s| s.data).sum();
    let timers: Option<u64> = samples.iter().map(|s| s.timers).sum();
    format!(
        "{:6.3} ({:6.3} {:6.3}) {:5.1} % {:>4}",
        goodput[goodput.len() / 2] / 1e6,
        goodput[0] / 1e6,
        goodput[goodput.len() - 1] / 1e6,
        100.0 * again as f64 / data as f64,
        timers.map_or_else(|| "–".into(), |t| t.to_string()),
    )
}

/// All rows in simulated time. The table changes with everything that changes what the engine sends: look at the goodput, then take it (`make snapshots`).
#[test]
fn goodput_beside_smoltcp_to_smoltcp() {
    const SEEDS: u64 = 7;
    let mut table = format!(
        "seeds 1 to {SEEDS}; Mb/s: median (least, most), segments sent again, timers in all runs\n{:22} | {:35} | {:35}\n",
        "row", "engine (model) and smoltcp", "smoltcp and smoltcp"
    );
    for case in loss::cases() {
        let case = case.clone().of(case.bytes.min(256 * 1024));
        let [engine, smoltcp] = [Near::Model, Near::Smoltcp].map(|near| row(&case, near, SEEDS));
        let _ = writeln!(table, "{:22} | {engine} | {smoltcp}", case.name());
    }
    println!("{table}");
    insta::assert_snapshot!("beside_smoltcp", table);
}

/// A path that is measured must show what is known of it: a window in each round trip, and the line's limit when that is less.
#[test]
fn goodput_without_faults_is_what_window_and_line_allow() {
    for flow in [Flow::Send, Flow::Receive] {
        for (millis, window) in [(0, 32_768), (20, 8192), (200, 8192)] {
            let mut case = Case::base(flow).of(256 * 1024);
            case.line.delay = Duration::from_millis(millis);
            (case.ring, case.window) = (window, window);
            for near in [Near::Model, Near::Smoltcp] {
                let ran = loss::simulated(&case, near, 1).expect("it runs in simulated time");
                let goodput = ran
                    .sample
                    .goodput
                    .unwrap_or_else(|| failed(&case, near, &ran))
                    / 8.0;
                let share = goodput / case.limit();
                println!("{near:?} {flow:?} {millis} ms, {window} bytes: {share:.3}");
                assert!(ran.sample.flight <= window as u64, "{:?}", ran.sample);
                // Segments are whole, and both receivers acknowledge one before their applications have read it, so that what they offer is a segment less than their
                // buffer: of 8 KiB four or five segments are in flight, where 5.6 would fill it.
                assert!((0.65..=1.001).contains(&share), "{share}: {:?}", ran.sample);
                assert_eq!(ran.sample.again, 0);
            }
        }
    }
}

/// What befell the frames is the same for every pair of ends, frame by frame.
#[test]
fn what_is_asked_of_the_line_is_done_for_each_pair() {
    let mut case = Case::base(Flow::Send).of(1024 * 1024);
    case.line.loss = 0.03;
    case.line.reorder = 0.25;
    case.line.reorder_by = HELD;
    case.line.duplicate = 0.05;
    case.line.corrupt = 0.01;
    for near in [Near::Model, Near::Smoltcp] {
        let ran = loss::simulated(&case, near, 3).expect("it runs in simulated time");
        if ran.sample.goodput.is_none() {
            failed(&case, near, &ran);
        }
        let done = ran.to_far;
        let share = |n: u64| n as f64 / done.frames as f64;
        println!("{near:?}: {done:?}");
        assert!((0.005..0.07).contains(&share(done.lost)), "{done:?}");
        assert!((0.15..0.35).contains(&share(done.reordered)), "{done:?}");
        assert!((0.01..0.11).contains(&share(done.duplicated)), "{done:?}");
        assert!(done.corrupted > 0 && ran.sample.again > 0, "{done:?}");
    }
}
