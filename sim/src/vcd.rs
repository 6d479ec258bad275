//! Waveforms of a rust-hdl block, with its module hierarchy, of the last cycles only.
//!
//! The recorder keeps segments in memory, each beginning with all values; old ones are dropped, so recording can run all the time and
//! be written when something goes wrong.
use rust_hdl::prelude::*;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

/// The parts of one signal: a leaf has a code, a struct has members.
enum Code {
    Leaf(String),
    Struct(Vec<Code>),
}

struct Header {
    text: String,
    codes: Vec<Code>,
    next: usize,
}

impl Header {
    fn declare(&mut self, name: &str, kind: &TypeKind) -> Code {
        let (class, width) = match kind {
            TypeKind::Composite(fields) => {
                return Code::Struct(
                    fields
                        .iter()
                        .map(|field| {
                            self.declare(&format!("{name}${}", field.fieldname), &field.kind.kind)
                        })
                        .collect(),
                );
            }
            TypeKind::Bits(width) | TypeKind::Signed(width) => ("wire", *width),
            TypeKind::Enum(_) => ("string", 1),
        };
        let mut code = String::new();
        let mut rest = self.next;
        loop {
            code.push(char::from(b'!' + (rest % 94) as u8));
            rest /= 94;
            if rest == 0 {
                break;
            }
        }
        self.next += 1;
        let _ = writeln!(self.text, "$var {class} {width} {code} {name} $end");
        Code::Leaf(code)
    }
}

impl Probe for Header {
    fn visit_start_scope(&mut self, name: &str, _: &dyn Block) {
        let _ = writeln!(self.text, "$scope module {name} $end");
    }
    fn visit_start_namespace(&mut self, name: &str, _: &dyn Block) {
        let _ = writeln!(self.text, "$scope module {name} $end");
    }
    fn visit_atom(&mut self, name: &str, signal: &dyn Atom) {
        let code = self.declare(name, &signal.descriptor().kind);
        self.codes.push(code);
    }
    fn visit_end_namespace(&mut self, _: &str, _: &dyn Block) {
        self.text += "$upscope $end\n";
    }
    fn visit_end_scope(&mut self, _: &str, _: &dyn Block) {
        self.text += "$upscope $end\n";
    }
}

fn write_value(out: &mut String, code: &Code, value: &VCDValue, old: Option<&VCDValue>) {
    if old == Some(value) {
        return;
    }
    match (code, value) {
        (Code::Struct(codes), VCDValue::Composite(values)) => {
            for (i, (code, value)) in codes.iter().zip(values).enumerate() {
                let old = match old {
                    Some(VCDValue::Composite(old)) => old.get(i).map(|old| &**old),
                    _ => None,
                };
                write_value(out, code, value, old);
            }
        }
        (Code::Leaf(code), VCDValue::Single(bit)) => {
            let _ = writeln!(out, "{bit}{code}");
        }
        (Code::Leaf(code), VCDValue::Vector(bits)) => {
            out.push('b');
            for bit in bits {
                let _ = write!(out, "{bit}");
            }
            let _ = writeln!(out, " {code}");
        }
        (Code::Leaf(code), VCDValue::String(text)) => {
            let _ = writeln!(out, "s{text} {code}");
        }
        // A type whose values do not fit its own description: left out of the waveform.
        _ => {}
    }
}

struct Changes<'a> {
    recorder: &'a mut Recorder,
    index: usize,
    all: bool,
}

impl Probe for Changes<'_> {
    fn visit_atom(&mut self, _: &str, signal: &dyn Atom) {
        let (i, value) = (self.index, signal.vcd());
        self.index += 1;
        let Recorder {
            codes,
            last,
            segments,
            ..
        } = &mut *self.recorder;
        if let (Some(code), Some((_, out))) = (codes.get(i), segments.back_mut()) {
            let old = last.get(i).filter(|_| !self.all);
            write_value(out, code, &value, old);
            match last.get_mut(i) {
                Some(old) => *old = value,
                None => last.push(value),
            }
        }
    }
}

/// Records a block.
pub struct Recorder {
    header: String,
    codes: Vec<Code>,
    last: Vec<VCDValue>,
    /// Each segment's first time, and its text.
    segments: VecDeque<(u64, String)>,
    samples: usize,
    keep: Option<usize>,
}

impl Recorder {
    /// Keeps at least the last `keep` samples, or all with `None`.
    pub fn new(block: &dyn Block, keep: Option<usize>) -> Self {
        let mut header = Header {
            text: "$timescale 1 ns $end\n".into(),
            codes: vec![],
            next: 0,
        };
        block.accept("top", &mut header);
        header.text += "$enddefinitions $end\n";
        Self {
            header: header.text,
            codes: header.codes,
            last: vec![],
            segments: VecDeque::new(),
            samples: 0,
            keep,
        }
    }

    /// Records the block's signals under this time stamp. `block` must be the one the recorder was made for.
    pub fn sample(&mut self, block: &dyn Block, time: u64) {
        let all = self.samples == 0 || self.keep.is_some_and(|keep| self.samples >= keep);
        if all {
            self.samples = 0;
            self.segments.push_back((time, String::new()));
            if self.segments.len() > 2 {
                self.segments.pop_front();
            }
        }
        self.samples += 1;
        if let Some((_, out)) = self.segments.back_mut() {
            let _ = writeln!(out, "#{time}");
        }
        block.accept(
            "top",
            &mut Changes {
                recorder: self,
                index: 0,
                all,
            },
        );
    }

    /// The time stamp of the oldest sample kept.
    pub fn begin(&self) -> u64 {
        self.segments.front().map_or(0, |segment| segment.0)
    }

    /// Writes what is kept.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(std::fs::File::create(file)?);
        file.write_all(self.header.as_bytes())?;
        for (_, text) in &self.segments {
            file.write_all(text.as_bytes())?;
        }
        file.flush()
    }
}
