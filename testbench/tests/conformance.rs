//! `docs/conformance.md` against the sources: the tests that it names exist and run, each row says where it stands, and the counts at its top are right.
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const STATUSES: [&str; 4] = ["yes", "partly", "no", "not applicable"];

/// Tests by their path, with modules inside a file left out: whether it is ignored.
type Tests = BTreeMap<Vec<String>, bool>;

/// All `#[test]` functions below a folder, whose own name is no part of their paths.
fn tests_below(folder: &Path, path: &[String], into: &mut Tests) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let entry = entry.expect("an entry").path();
        let mut path = path.to_vec();
        let stem = entry.file_stem().and_then(|s| s.to_str()).expect("a name");
        if stem != "mod" {
            path.push(stem.to_string());
        }
        if entry.is_dir() {
            tests_below(&entry, &path, into);
        } else if entry.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&entry).expect("a source");
            for (name, ignored) in tests_in(&text) {
                let test = path.iter().cloned().chain([name]).collect();
                into.insert(test, ignored);
            }
        }
    }
}

/// Names of the tests of a source: `#[test]`, other attributes, `fn`.
fn tests_in(text: &str) -> Vec<(String, bool)> {
    let (mut found, mut test, mut ignored) = (Vec::new(), false, false);
    for line in text.lines().map(str::trim) {
        if line == "#[test]" {
            (test, ignored) = (true, false);
        } else if line.starts_with("#[ignore") || line.contains(", ignore") {
            ignored = true;
        } else if let Some(rest) = function(line).filter(|_| test) {
            let name = rest.split(['(', '<']).next().unwrap_or_default();
            found.push((name.to_string(), ignored));
            test = false;
        }
    }
    found
}

/// What follows `fn`, whoever may call it: some scripts are run again in another program.
fn function(line: &str) -> Option<&str> {
    let line = match line.split_once(") ") {
        Some((who, rest)) if who.starts_with("pub(") => rest,
        _ => line,
    };
    line.strip_prefix("fn ")
}

/// What is wrong with the page.
fn faults(page: &str, tests: &Tests) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut counts = BTreeMap::new();
    let mut told = BTreeMap::new();
    for line in page.lines().filter(|l| l.starts_with('|')) {
        let inner = line.strip_suffix('|').unwrap_or(line);
        let cells: Vec<_> = inner.split('|').skip(1).map(str::trim).collect();
        match cells[..] {
            ["status", _] | ["id", ..] => {}
            _ if cells
                .iter()
                .all(|c| !c.is_empty() && c.chars().all(|c| c == '-')) => {}
            [status, number] => {
                told.insert(status.to_string(), number.to_string());
            }
            [id, level, what, status, named, reason] => {
                let status = status.trim_matches('*');
                let mut say = |fault: String| wrong.push(format!("{id}, {what}: {fault}"));
                if !STATUSES.contains(&status) {
                    say(format!("the status is \"{status}\""));
                }
                *counts.entry(status.to_string()).or_insert(0) += 1;
                *counts.entry("all".to_string()).or_insert(0) += 1;
                let named: Vec<_> = named
                    .split(", ")
                    .map(|n| n.trim_matches('`'))
                    .filter(|n| !n.is_empty())
                    .collect();
                if status == "yes" && named.is_empty() {
                    say("yes, but no test shows it".into());
                }
                if status != "yes" && level != "MAY" && reason.is_empty() {
                    say("a reason is missing".into());
                }
                for name in named {
                    let parts: Vec<_> = name.split("::").map(str::to_string).collect();
                    let found: Vec<_> = tests.iter().filter(|t| t.0.ends_with(&parts)).collect();
                    match found[..] {
                        [(_, true)] if status == "yes" => say(format!("{name} is ignored")),
                        [_] => {}
                        [] => say(format!("there is no test {name}")),
                        _ => say(format!("{} tests are called {name}", found.len())),
                    }
                }
            }
            _ => wrong.push(format!("not a row of six: {line}")),
        }
    }
    for status in STATUSES.into_iter().chain(["all"]) {
        let count = counts.get(status).copied().unwrap_or(0).to_string();
        let top = told.get(status).map_or("nothing", String::as_str);
        if top != count {
            wrong.push(format!(
                "the top counts {top} of {status}, there are {count}"
            ));
        }
    }
    wrong
}

fn sources() -> Tests {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut tests = Tests::new();
    for folder in ["hdl/src", "testbench/tests"] {
        tests_below(&root.join(folder), &[], &mut tests);
    }
    tests
}

fn page() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::read_to_string(root.join("docs/conformance.md")).expect("the page")
}

#[test]
fn the_page_is_true() {
    let faults = faults(&page(), &sources());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What the engine is known not to do has a row.
#[test]
fn every_packet_script_that_is_ignored_is_named() {
    let page = page();
    let ignored = sources().into_iter().filter(|(test, ignored)| {
        *ignored && test.iter().any(|p| p == "program") && test.iter().any(|p| p == "conformance")
    });
    let missing: Vec<_> = ignored
        .map(|(test, _)| test.join("::"))
        .filter(|test| !page.contains(test.trim_start_matches("tcp::program::")))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn tests_are_found_with_their_attributes() {
    let text = "
        #[test]
        fn plain() {}
        fn no_test() {}
        #[test]
        #[ignore = \"reason: none\"]
        fn later() {}
        #[test]
        #[should_panic(expected = \"x\")]
        fn last() {}
        #[test]
        pub(in super::super) fn open() {}
    ";
    let found = tests_in(text);
    let found: Vec<_> = found.iter().map(|(n, i)| (n.as_str(), *i)).collect();
    assert_eq!(
        found,
        [
            ("plain", false),
            ("later", true),
            ("last", false),
            ("open", false)
        ]
    );
}

#[test]
fn each_fault_of_a_page_is_said() {
    let name = |n: &str| n.split("::").map(str::to_string).collect::<Vec<_>>();
    let tests = Tests::from([
        (name("tcp::a::runs"), false),
        (name("tcp::a::waits"), true),
        (name("tcp::b::runs"), false),
    ]);
    let page = |rows: &[&str], yes: usize, no: usize| {
        let mut page = format!("|yes|{yes}|\n|partly|0|\n|no|{no}|\n|not applicable|0|\n");
        page += &format!("|all|{}|\n", yes + no);
        page + &rows.join("\n")
    };
    let sound = page(
        &["|1|MUST|x|yes|`a::runs`|  |", "|2|MUST|y|**no**||why|"],
        1,
        1,
    );
    assert_eq!(faults(&sound, &tests), Vec::<String>::new());
    for (row, yes, no, said) in [
        (
            "|1|MUST|x|yes|`a::walks`||",
            1,
            0,
            "there is no test a::walks",
        ),
        ("|1|MUST|x|yes|`runs`||", 1, 0, "2 tests are called runs"),
        ("|1|MUST|x|yes|`a::waits`||", 1, 0, "a::waits is ignored"),
        ("|1|MUST|x|yes|||", 1, 0, "no test shows it"),
        ("|1|MUST|x|no|||", 0, 1, "a reason is missing"),
        ("|1|MUST|x||`a::runs`||", 0, 0, "the status is \"\""),
        ("|1|MUST|x|yes|`a::runs`|", 0, 0, "not a row of six"),
        (
            "|1|MUST|x|yes|`a::runs`||",
            2,
            0,
            "the top counts 2 of yes, there are 1",
        ),
        (
            "|1|MAY|x|no|||",
            0,
            0,
            "the top counts 0 of all, there are 1",
        ),
    ] {
        let faults = faults(&page(&[row], yes, no), &tests);
        assert!(faults.iter().any(|f| f.contains(said)), "{row}: {faults:?}");
    }
}
