//! Verilog that every tool reads: rust-hdl takes names from the Rust, where `table`, `logic` and `program` are names like others.
//! Yosys reads such a module all the same; Verilator, and others that keep the standard, refuse it. A block also declares the states of
//! the blocks inside it, so that two enums of one name declare their constants twice.
use std::collections::HashMap;

/// Words that (System)Verilog reserves (IEEE 1800-2017, annex B), that rust-hdl and our RAM primitives never mean as keywords, and that a
/// Rust field or block may be called.
const RESERVED: [&str; 104] = [
    "alias",
    "and",
    "assert",
    "assume",
    "before",
    "bind",
    "bins",
    "bit",
    "buf",
    "byte",
    "cell",
    "chandle",
    "checker",
    "class",
    "clocking",
    "config",
    "constraint",
    "context",
    "cover",
    "covergroup",
    "deassign",
    "design",
    "disable",
    "dist",
    "do",
    "edge",
    "eventually",
    "event",
    "expect",
    "export",
    "extends",
    "final",
    "force",
    "forever",
    "fork",
    "global",
    "iff",
    "implements",
    "implies",
    "import",
    "incdir",
    "include",
    "inside",
    "instance",
    "int",
    "interconnect",
    "interface",
    "intersect",
    "join",
    "large",
    "let",
    "liblist",
    "library",
    "local",
    "logic",
    "longint",
    "matches",
    "medium",
    "modport",
    "nand",
    "nettype",
    "new",
    "nexttime",
    "nor",
    "not",
    "null",
    "or",
    "package",
    "packed",
    "primitive",
    "priority",
    "program",
    "property",
    "protected",
    "pure",
    "rand",
    "real",
    "release",
    "repeat",
    "restrict",
    "return",
    "scalared",
    "sequence",
    "shortint",
    "small",
    "soft",
    "solve",
    "specify",
    "string",
    "strong",
    "struct",
    "table",
    "tagged",
    "task",
    "this",
    "time",
    "timeprecision",
    "type",
    "union",
    "unique",
    "var",
    "void",
    "wait",
    "weak",
];

fn is_start(c: u8) -> bool {
    c.is_ascii_alphabetic() || c == b'_'
}

fn goes_on(c: u8) -> bool {
    is_start(c) || c.is_ascii_digit() || c == b'$'
}

/// The same design in words that every tool reads: names that are reserved get a `_`, constants that a module declares and does not use
/// are left out.
///
/// # Errors
/// When a module uses a constant that it declares with two values.
pub fn legal(verilog: &str) -> Result<String, String> {
    let mut out = String::with_capacity(verilog.len());
    let text = unreserved(verilog);
    for module in text.split_inclusive("endmodule") {
        out += &constants(module)?;
    }
    Ok(out)
}

/// The name and the value of a line that declares a constant.
fn constant(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.trim().strip_prefix("localparam ")?.split_once('=')?;
    Some((name.trim(), value.trim()))
}

fn constants(module: &str) -> Result<String, String> {
    let lines = || module.split_inclusive('\n');
    let mut uses: HashMap<&str, u32> = HashMap::new();
    for line in lines().filter(|line| constant(line).is_none()) {
        for word in line.split(|c: char| !c.is_ascii() || !goes_on(c as u8)) {
            *uses.entry(word).or_default() += 1;
        }
    }
    let mut values = HashMap::new();
    let mut out = String::with_capacity(module.len());
    for line in lines() {
        let Some((name, value)) = constant(line) else {
            out += line;
            continue;
        };
        if !uses.contains_key(name) {
            continue;
        }
        match values.insert(name, value) {
            None => out += line,
            Some(before) if before == value => {}
            Some(before) => {
                return Err(format!(
                    "the constant {name} of one module is {before} and {value}: two enums have the same name, rename one"
                ))
            }
        }
    }
    Ok(out)
}

/// The same text, with `_` after every name that is a reserved word. Comments, strings, numbers, directives and escaped names stay.
///
/// `or` in a sensitivity list stays as well.
fn unreserved(verilog: &str) -> String {
    let bytes = verilog.as_bytes();
    let mut out = String::with_capacity(verilog.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let until = |end: &[u8]| {
            let found = rest.windows(end.len()).skip(1).position(|w| w == end);
            found.map_or(rest.len(), |i| i + 1 + end.len())
        };
        let run = |from: usize| {
            let end = rest[from..].iter().position(|c| !goes_on(*c));
            end.map_or(rest.len(), |i| i + from)
        };
        let (length, is_name) = match rest {
            [b'/', b'/', ..] => (until(b"\n"), false),
            [b'/', b'*', ..] => (until(b"*/"), false),
            [b'"', ..] => (until(b"\""), false),
            [b'\\', ..] => (
                rest.iter()
                    .position(u8::is_ascii_whitespace)
                    .unwrap_or(rest.len()),
                false,
            ),
            [b'`', ..] => (until(b"\n"), false),
            [b'$' | b'\'', ..] => (run(1), false),
            [c, ..] if is_start(*c) => (run(0), true),
            [c, ..] if c.is_ascii_digit() => (run(0), false),
            _ => (
                1 + rest[1..].iter().take_while(|c| **c >= 0x80).count(),
                false,
            ),
        };
        let word = &verilog[at..at + length];
        out += word;
        if is_name && RESERVED.contains(&word) && !(word == "or" && in_list(&out)) {
            out.push('_');
        }
        at += length;
    }
    out
}

/// Whether the text ends inside the parentheses of `@(`.
fn in_list(text: &str) -> bool {
    let open = text.rfind('(');
    open.is_some_and(|i| text[..i].trim_end().ends_with('@') && !text[i..].contains(')'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_words_are_no_names_and_all_else_stays() {
        let text = "module top$table(clock, table);\n  input wire clock; // a table of logic\n  /* program */ reg logic; reg [3:0] table$x;\n  \
             always @(posedge clock or negedge table) begin logic = 4'b10; end\n  top$program program(.table(\"table\"), .\\table (1));\n\
             `ifdef table\n`endif\n  initial $table(tables);\nendmodule\n";
        let want = "module top$table(clock, table_);\n  input wire clock; // a table of logic\n  /* program */ reg logic_; reg [3:0] table$x;\n  \
             always @(posedge clock or negedge table_) begin logic_ = 4'b10; end\n  top$program program_(.table_(\"table\"), .\\table (1));\n\
             `ifdef table\n`endif\n  initial $table(tables);\nendmodule\n";
        assert_eq!(legal(text).as_deref(), Ok(want));
        assert_eq!(legal(want).as_deref(), Ok(want));
    }

    #[test]
    fn constants_of_inner_blocks_go_and_two_values_are_refused() {
        let text = "module a;\n  localparam S$A = 1;\n  localparam S$A = 2;\n  localparam S$B = 3;\n  x = S$B;\n  localparam S$B = 3;\nendmodule\n\
             module b;\n  localparam S$A = 1;\n  x = S$A;\nendmodule\n";
        let want = "module a;\n  localparam S$B = 3;\n  x = S$B;\nendmodule\n\
             module b;\n  localparam S$A = 1;\n  x = S$A;\nendmodule\n";
        assert_eq!(legal(text).as_deref(), Ok(want));
        let used = text.replace("x = S$B", "x = S$A");
        let error = legal(&used).unwrap_err();
        assert!(error.contains("S$A") && error.contains("rename"), "{error}");
    }
}
