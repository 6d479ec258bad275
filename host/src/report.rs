//! The demo's page: one self-contained HTML file with a time–sequence plot each way, the counters and a block diagram.
use std::fmt::Write as _;

/// A TCP segment as it crossed the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Cycle at which its frame was over.
    pub cycle: u64,
    /// Sent by the engine (else by the peer).
    pub outward: bool,
    /// Sequence number, relative to the sender's initial one.
    pub seq: u32,
    /// Payload bytes.
    pub length: u32,
    /// Acknowledgement number relative to the other side's initial sequence number, if the ACK flag is set.
    pub ack: Option<u32>,
    /// Window as it applies (already shifted).
    pub window: u32,
    pub syn: bool,
    pub fin: bool,
    pub rst: bool,
    /// Some of its bytes had been sent before.
    pub again: bool,
    /// What the SACK option tells of the other side's bytes, relative as `ack`: first number of each block, and the one behind its last.
    pub sack: [Option<(u32, u32)>; 3],
}

/// A word of the connection's state as it became: `cwnd`, `ssthresh`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWord {
    pub cycle: u64,
    pub name: String,
    pub value: u32,
}

/// The words that are plotted over time, with their colours.
const WORDS: [(&str, &str); 2] = [("cwnd", "var(--data)"), ("ssthresh", "var(--edge)")];

/// Whether a word of the program's state is plotted.
pub fn is_plotted(name: &str) -> bool {
    WORDS.iter().any(|(word, _)| *word == name)
}

/// One counter of the engine.
#[derive(Clone, Debug)]
pub struct Counter {
    pub name: &'static str,
    pub meaning: &'static str,
    pub value: u64,
}

/// Everything the page shows.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub title: String,
    /// Label and value, in order.
    pub facts: Vec<(String, String)>,
    pub segments: Vec<Segment>,
    /// Cycles shown on the time axis.
    pub cycles: u64,
    /// What a step of the time axis is, if no cycle.
    pub unit: Option<&'static str>,
    /// Changes of the words that are plotted, in order.
    pub words: Vec<StateWord>,
    /// A part of the time that is plotted once more by itself, where single segments can be told apart, and what it shows.
    pub part: Option<(u64, u64, &'static str)>,
    pub counters: Vec<Counter>,
    /// Bytes on the arrows of the block diagram, if it is shown.
    pub traffic: Option<Traffic>,
}

/// What went over each arrow of the diagram.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    pub frames_in: u64,
    pub frames_out: u64,
    pub segments_in: u64,
    pub segments_out: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub events: u64,
    pub arp: u64,
    pub icmp: u64,
}

/// Above this many, segments are thinned out for the plot (never those sent again).
const PLOTTED: usize = 3_000;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1d2733;--soft:#5b6b7c;--line:#cfd8e1;--back:#ffffff;--panel:#f5f7fa;--data:#2166ac;--ack:#d6741b;--edge:#4d9a4a;--bad:#c2253c;--sack:#7b4fb5}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa8b6;--line:#3a4653;--back:#12181f;--panel:#1b232c;--data:#6fb1f2;--ack:#f0a45d;--edge:#7fcf7a;--bad:#ff6b7f;--sack:#b99af0}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .2rem}h2{font-size:1.1rem;margin:2rem 0 .4rem}p{margin:.3rem 0 .8rem;color:var(--soft)}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(230px,1fr));gap:.6rem;margin:1rem 0}
dl div{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:.5rem .8rem}dt{font-size:.8rem;color:var(--soft)}dd{margin:0;font-size:1.05rem;font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line)}th{font-weight:600;color:var(--soft)}td.n,th.n{text-align:right}
tr.zero td{color:var(--soft)}details{margin-top:.6rem}summary{cursor:pointer;color:var(--soft)}
svg{width:100%;height:auto;display:block}svg text{fill:var(--ink);font:12px system-ui,sans-serif}svg .soft{fill:var(--soft)}
.grid{stroke:var(--line);stroke-width:1}.axis{stroke:var(--soft);stroke-width:1}
.data{stroke:var(--data);stroke-width:2}.again{stroke:var(--bad);stroke-width:3}.ack{stroke:var(--ack);fill:none;stroke-width:1.5}.edge{stroke:var(--edge);fill:none;stroke-width:1.5;stroke-dasharray:5 3}
.sack{stroke:var(--sack);stroke-width:3;stroke-opacity:.75}.word{fill:none;stroke-width:1.5}.mark{fill:var(--bad)}.box{fill:var(--panel);stroke:var(--soft);stroke-width:1.2}.wire{stroke:var(--soft);stroke-width:1.5;fill:none;marker-end:url(#tip)}svg .flow{fill:var(--data)}.tip{fill:var(--soft)}
";

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// 65536 → "65,536".
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// About `n` round steps from 0 to `max`.
fn ticks(max: f64, n: usize) -> Vec<f64> {
    let rough = (max / n as f64).max(1.0);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|s| *s >= rough)
        .unwrap_or(10.0 * power);
    (0..)
        .map(|i| f64::from(i) * step)
        .take_while(|t| *t <= max)
        .collect()
}

impl Page {
    /// What was on the line between two times.
    fn between(&self, from: u64, to: u64) -> Self {
        let during = |at: u64| (from..=to).contains(&at);
        Self {
            segments: (self.segments.iter())
                .filter(|s| during(s.cycle))
                .copied()
                .collect(),
            cycles: to.min(self.cycles),
            unit: self.unit,
            ..Self::default()
        }
    }
}

/// The time–sequence plot of what one side sent, with the other side's acknowledgements and window edge.
fn plot(page: &Page, outward: bool) -> String {
    let (width, height, left, bottom, top, right) = (1000.0, 380.0, 96.0, 44.0, 14.0, 36.0);
    let sent: Vec<&Segment> = page
        .segments
        .iter()
        .filter(|s| s.outward == outward)
        .collect();
    let answers: Vec<&Segment> = page
        .segments
        .iter()
        .filter(|s| s.outward != outward)
        .collect();
    // From the first segment on: what came before is no part of the conversation.
    let first = page
        .segments
        .first()
        .map_or(0, |s| s.cycle.saturating_sub(200));
    let max_time = page.cycles.saturating_sub(first).max(1) as f64;
    let max_seq = f64::from(
        sent.iter()
            .map(|s| s.seq + s.length)
            .max()
            .unwrap_or(0)
            .max(1),
    );
    // All of it from 0 on; a part of it where it is.
    let low = match sent.iter().map(|s| s.seq).min() {
        Some(seq) if seq > 1 => f64::from(seq) - (max_seq - f64::from(seq)) * 0.05,
        _ => 0.0,
    };
    let max_seq = max_seq + (max_seq - low) * 0.06;
    let x =
        |cycle: u64| left + (width - left - right) * cycle.saturating_sub(first) as f64 / max_time;
    let y = |seq: f64| {
        let share = ((seq - low) / (max_seq - low)).clamp(0.0, 1.0);
        height - bottom - (height - bottom - top) * share
    };
    let mut svg = format!(
        "<svg viewBox='0 0 {width} {height}' role='img' aria-label='time-sequence plot, {}'>",
        if outward {
            "engine to peer"
        } else {
            "peer to engine"
        }
    );
    let steps = ticks(max_seq - low, 6);
    let step = steps.get(1).copied().unwrap_or(1.0);
    let first_step = (low / step).ceil() * step;
    for t in steps
        .iter()
        .map(|t| first_step + t)
        .filter(|t| *t <= max_seq)
    {
        let _ = write!(
            svg,
            "<line class='grid' x1='{left}' x2='{:.1}' y1='{yy:.1}' y2='{yy:.1}'/><text class='soft' text-anchor='end' x='{:.1}' y='{:.1}'>{}</text>",
            width - right,
            left - 8.0,
            y(t) + 4.0,
            grouped(t as u64),
            yy = y(t),
        );
    }
    for t in ticks(max_time, 8) {
        let _ = write!(
            svg,
            "<line class='grid' x1='{xx:.1}' x2='{xx:.1}' y1='{top}' y2='{:.1}'/><text class='soft' text-anchor='middle' x='{xx:.1}' y='{:.1}'>{}</text>",
            height - bottom,
            height - bottom + 17.0,
            grouped(t as u64),
            xx = x(t as u64 + first),
        );
    }
    let _ = write!(
        svg,
        "<text class='soft' text-anchor='middle' x='{:.1}' y='{:.1}'>{}</text><text class='soft' text-anchor='middle' transform='translate(14 {:.1}) rotate(-90)'>sequence number, relative</text>",
        (left + width - right) / 2.0,
        height - 8.0,
        page.unit.unwrap_or("cycles"),
        (height - bottom + top) / 2.0,
    );
    for (class, value) in [
        (
            "edge",
            &(|s: &Segment| s.ack.map(|a| f64::from(a) + f64::from(s.window)))
                as &dyn Fn(&Segment) -> Option<f64>,
        ),
        ("ack", &|s: &Segment| s.ack.map(f64::from)),
    ] {
        let mut path = String::new();
        let mut last = f64::NAN;
        for s in &answers {
            if let Some(v) = value(s).filter(|v| *v != last) {
                last = v;
                let _ = if path.is_empty() {
                    write!(path, "M{:.1} {:.1}", x(s.cycle), y(v))
                } else {
                    write!(path, "H{:.1}V{:.1}", x(s.cycle), y(v))
                };
            }
        }
        if !path.is_empty() {
            let _ = write!(
                svg,
                "<path class='{class}' d='{path}H{:.1}'/>",
                width - right
            );
        }
    }
    for s in &answers {
        for (from, to) in s.sack.iter().flatten() {
            let _ = write!(
                svg,
                "<line class='sack' x1='{xx:.1}' x2='{xx:.1}' y1='{:.1}' y2='{:.1}'><title>{}: SACK {} to {}</title></line>",
                y(f64::from(*from)),
                y(f64::from(*to)),
                grouped(s.cycle),
                grouped(u64::from(*from)),
                grouped(u64::from(*to)),
                xx = x(s.cycle),
            );
        }
    }
    let step = sent.len().div_ceil(PLOTTED).max(1);
    for (i, s) in sent.iter().enumerate() {
        if i % step != 0 && !s.again && !s.syn && !s.fin && !s.rst {
            continue;
        }
        let (from, to) = (y(f64::from(s.seq)), y(f64::from(s.seq + s.length)));
        if s.length > 0 {
            let _ = write!(
                svg,
                "<line class='{}' x1='{xx:.1}' x2='{xx:.1}' y1='{from:.1}' y2='{:.1}'><title>{} {}: {} bytes at {}{}</title></line>",
                if s.again { "again" } else { "data" },
                to.min(from - 1.5),
                page.unit.unwrap_or("cycle"),
                grouped(s.cycle),
                s.length,
                grouped(u64::from(s.seq)),
                if s.again { ", sent again" } else { "" },
                xx = x(s.cycle),
            );
        }
        let flag = match (s.syn, s.fin, s.rst) {
            (true, ..) => "SYN",
            (_, _, true) => "RST",
            (_, true, _) => "FIN",
            _ => continue,
        };
        let right_half = x(s.cycle) > width * 0.8;
        let _ = write!(
            svg,
            "<circle class='mark' cx='{:.1}' cy='{to:.1}' r='3.5'/><text x='{:.1}' y='{:.1}' text-anchor='{}'>{flag}</text>",
            x(s.cycle),
            x(s.cycle) + if right_half { -7.0 } else { 7.0 },
            to - 5.0,
            if right_half { "end" } else { "start" },
        );
    }
    svg += "</svg>";
    svg
}

/// The words of the connection's state over the time of the plots above; a value beyond four times the widest window of the capture, as `ssthresh` has at first, stands at the top.
fn words(page: &Page) -> String {
    let (width, height, left, bottom, top, right) = (1000.0, 200.0, 96.0, 44.0, 14.0, 36.0);
    let first = page
        .segments
        .first()
        .map_or(0, |s| s.cycle.saturating_sub(200));
    let max_time = page.cycles.saturating_sub(first).max(1) as f64;
    let windows = page.segments.iter().filter(|s| !s.syn).map(|s| s.window);
    let beyond = windows.max().unwrap_or(u32::MAX).saturating_mul(4);
    let shown = page.words.iter().map(|w| w.value).filter(|v| *v <= beyond);
    let most = f64::from(shown.max().unwrap_or(1).max(1)) * 1.06;
    let x =
        |cycle: u64| left + (width - left - right) * cycle.saturating_sub(first) as f64 / max_time;
    let y = |value: f64| height - bottom - (height - bottom - top) * (value / most).min(1.0);
    let mut svg = format!(
        "<svg viewBox='0 0 {width} {height}' role='img' aria-label='congestion window over time'>"
    );
    for t in ticks(most, 4) {
        let _ = write!(
            svg,
            "<line class='grid' x1='{left}' x2='{:.1}' y1='{yy:.1}' y2='{yy:.1}'/><text class='soft' text-anchor='end' x='{:.1}' y='{:.1}'>{}</text>",
            width - right,
            left - 8.0,
            y(t) + 4.0,
            grouped(t as u64),
            yy = y(t),
        );
    }
    for t in ticks(max_time, 8) {
        let _ = write!(
            svg,
            "<text class='soft' text-anchor='middle' x='{:.1}' y='{:.1}'>{}</text>",
            x(t as u64 + first),
            height - bottom + 17.0,
            grouped(t as u64),
        );
    }
    for (i, (name, colour)) in WORDS.iter().enumerate() {
        let mut path = String::new();
        for w in page.words.iter().filter(|w| w.name == *name) {
            let at = y(f64::from(w.value));
            let _ = if path.is_empty() {
                write!(path, "M{:.1} {at:.1}", x(w.cycle))
            } else {
                write!(path, "H{:.1}V{at:.1}", x(w.cycle))
            };
        }
        let _ = write!(
            svg,
            "<path class='word' style='stroke:{colour}' d='{path}H{:.1}'/><text style='fill:{colour}' x='{:.1}' y='{:.1}'>{name}</text>",
            width - right,
            left + 90.0 * i as f64,
            height - 8.0,
        );
    }
    svg + "</svg>"
}

/// The engine's blocks, with what went over each arrow.
fn diagram(t: &Traffic) -> String {
    let mut svg = String::from(
        "<svg viewBox='0 0 1000 400' role='img' aria-label='block diagram'><defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto'><path class='tip' d='M0 0L8 4L0 8z'/></marker></defs>",
    );
    let boxes = [
        (20.0, 60.0, 88.0, 46.0, "MAC in", "mac_rx"),
        (
            180.0,
            60.0,
            100.0,
            46.0,
            "Ethernet, IPv4",
            "eth_rx, ipv4_rx",
        ),
        (360.0, 60.0, 100.0, 46.0, "TCP parser", "parser, table"),
        (550.0, 60.0, 110.0, 46.0, "Receive ring", "rx_ring"),
        (850.0, 160.0, 120.0, 60.0, "Applications", "switch, echo …"),
        (550.0, 167.0, 110.0, 46.0, "Engine", "program, timers"),
        (550.0, 280.0, 110.0, 46.0, "Send ring", "tx_ring"),
        (360.0, 280.0, 100.0, 46.0, "Builder", "builder"),
        (
            180.0,
            280.0,
            100.0,
            46.0,
            "IPv4, Ethernet",
            "ipv4_tx, eth_tx",
        ),
        (20.0, 280.0, 88.0, 46.0, "MAC out", "mac_tx"),
        (180.0, 170.0, 100.0, 40.0, "ARP, ICMP", "arp, icmp"),
    ];
    for (x, y, w, h, name, files) in boxes {
        let _ = write!(
            svg,
            "<rect class='box' x='{x}' y='{y}' width='{w}' height='{h}' rx='6'/><text text-anchor='middle' x='{m:.0}' y='{a:.0}'>{name}</text><text class='soft' text-anchor='middle' x='{m:.0}' y='{b:.0}' style='font-size:10px'>{files}</text>",
            m = x + w / 2.0,
            a = y + h / 2.0 - 2.0,
            b = y + h / 2.0 + 13.0,
        );
    }
    let n = grouped;
    let arrows = [
        (
            "M108 83H176",
            142.0,
            74.0,
            format!("{} frames", n(t.frames_in)),
        ),
        (
            "M280 83H356",
            318.0,
            74.0,
            format!("{} seg.", n(t.segments_in)),
        ),
        ("M460 83H546", 503.0, 74.0, format!("{} B", n(t.bytes_in))),
        (
            "M660 83H910V156",
            785.0,
            74.0,
            format!("{} bytes read", n(t.bytes_in)),
        ),
        (
            "M910 220V303H664",
            785.0,
            322.0,
            format!("{} bytes written", n(t.bytes_out)),
        ),
        (
            "M550 303H464",
            506.0,
            294.0,
            format!("{} B", n(t.bytes_out)),
        ),
        (
            "M360 303H284",
            322.0,
            294.0,
            format!("{} seg.", n(t.segments_out)),
        ),
        (
            "M180 303H112",
            144.0,
            294.0,
            format!("{} frames", n(t.frames_out)),
        ),
        (
            "M410 106V190H546",
            478.0,
            182.0,
            format!("{} records", n(t.segments_in)),
        ),
        ("M550 202H430V276", 482.0, 238.0, "headers".into()),
        ("M605 106V163", 644.0, 140.0, "commit".into()),
        ("M605 213V276", 640.0, 250.0, "free, cut".into()),
        ("M850 190H664", 757.0, 182.0, "events".into()),
        ("M215 106V166", 170.0, 140.0, format!("{} ARP", n(t.arp))),
        ("M245 210V276", 208.0, 248.0, format!("{} ICMP", n(t.icmp))),
    ];
    for (path, x, y, label) in arrows {
        let _ = write!(
            svg,
            "<path class='wire' d='{path}'/><text class='flow' text-anchor='middle' x='{x}' y='{y}'>{label}</text>"
        );
    }
    let _ = write!(
        svg,
        "<text class='soft' x='20' y='48'>line</text><text class='soft' x='20' y='268'>line</text><text class='soft' text-anchor='middle' x='605' y='366'>{} events handled by the engine</text></svg>",
        n(t.events)
    );
    svg
}

/// The whole page.
pub fn html(page: &Page) -> String {
    let mut out = format!(
        "<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'><title>{t}</title><style>{STYLE}</style></head><body><h1>{t}</h1><dl>",
        t = escape(&page.title)
    );
    for (label, value) in &page.facts {
        let _ = write!(
            out,
            "<div><dt>{}</dt><dd>{}</dd></div>",
            escape(label),
            escape(value)
        );
    }
    out += "</dl>";
    if let Some(traffic) = &page.traffic {
        out += "<h2>The way of the data</h2>";
        out += &diagram(traffic);
    }
    let legend = "<p>Each bar is a segment, from its first byte to its last. <span style='color:var(--ack)'>Solid line</span>: acknowledged. <span style='color:var(--edge)'>Dashed line</span>: edge of the window. <span style='color:var(--bad)'>Red</span>: sent again, SYN, FIN, RST. <span style='color:var(--sack)'>Violet</span>: acknowledged beyond a gap (SACK).</p>";
    let _ = write!(out, "<h2>Peer to engine</h2>{legend}{}", plot(page, false));
    let _ = write!(out, "<h2>Engine to peer</h2>{legend}{}", plot(page, true));
    if let Some((from, to, what)) = page.part {
        let part = page.between(from, to);
        for (outward, way) in [(false, "peer to engine"), (true, "engine to peer")] {
            let _ = write!(out, "<h2>{what}: {way}</h2>{}", plot(&part, outward));
        }
    }
    if page.words.iter().any(|w| is_plotted(&w.name)) {
        let _ = write!(
            out,
            "<h2>The engine's congestion window</h2><p>In bytes, over the same time.</p>{}",
            words(page)
        );
    }
    if page.counters.is_empty() {
        return out + "</body></html>";
    }
    let rows = |counters: &mut dyn Iterator<Item = &Counter>| {
        counters.fold(String::new(), |mut s, c| {
            let _ = write!(
                s,
                "<tr{}><td>{}</td><td class='n'>{}</td><td>{}</td></tr>",
                if c.value == 0 { " class='zero'" } else { "" },
                c.name,
                grouped(c.value),
                escape(c.meaning)
            );
            s
        })
    };
    let head = "<tr><th>counter</th><th class='n'>value</th><th>what it counts</th></tr>";
    let _ = write!(
        out,
        "<h2>Counters</h2><table>{head}{}</table><details><summary>Counters that stayed at zero</summary><table>{head}{}</table></details></body></html>",
        rows(&mut page.counters.iter().filter(|c| c.value != 0)),
        rows(&mut page.counters.iter().filter(|c| c.value == 0)),
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [0, 7, 999, 1000, 65536, 1234567].map(grouped),
            ["0", "7", "999", "1,000", "65,536", "1,234,567"]
        );
    }

    #[test]
    fn ticks_are_round_and_in_range() {
        assert_eq!(ticks(100.0, 5), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert!(ticks(1.0, 8).len() <= 2);
    }

    #[test]
    fn the_page_shows_each_segment_and_escapes_text() {
        let data = Segment {
            cycle: 50,
            outward: true,
            seq: 1,
            length: 1460,
            ack: Some(1),
            window: 8192,
            syn: false,
            fin: false,
            rst: false,
            again: true,
            sack: [None; 3],
        };
        let page = Page {
            title: "a < b".into(),
            segments: vec![data],
            cycles: 100,
            ..Page::default()
        };
        let html = html(&page);
        assert!(html.contains("a &lt; b") && !html.contains("a < b"));
        assert!(html.contains("1460 bytes at 1, sent again"));
        assert!(html.contains("class='again'") && !html.contains("class='data'"));
    }

    /// The part has the segments of its time alone, on a scale of their own: the same segment is longer there.
    #[test]
    fn a_part_of_the_time_is_plotted_on_a_scale_of_its_own() {
        let segment = |n: u32| Segment {
            cycle: 1_000 * u64::from(n),
            outward: true,
            seq: 1 + 1_000 * n,
            length: 1_000,
            ack: None,
            window: 0,
            syn: false,
            fin: false,
            rst: false,
            again: false,
            sack: [None; 3],
        };
        let page = Page {
            segments: (0..100).map(segment).collect(),
            cycles: 100_000,
            part: Some((40_000, 44_000, "A few")),
            ..Page::default()
        };
        let html = html(&page);
        let part = html.split("A few: engine to peer").nth(1).unwrap();
        assert_eq!(part.matches("class='data'").count(), 5);
        let height = |text: &str| {
            let line = text
                .split("class='data'")
                .find(|l| l.contains("cycle 42,000"))
                .unwrap();
            let of = |name: &str| -> f64 {
                let rest = line.split(name).nth(1).unwrap();
                rest.split('\'').next().unwrap().parse().unwrap()
            };
            of("y1='") - of("y2='")
        };
        let whole = html.split("<h2>Engine to peer").nth(1).unwrap();
        let whole = whole.split("A few").next().unwrap();
        assert!(
            height(part) > 10.0 * height(whole),
            "{} {}",
            height(part),
            height(whole)
        );
    }

    /// What is acknowledged beyond a gap stands in the plot of the other side's data, and the words of the state in one of their own, where there are any.
    #[test]
    fn the_page_shows_sack_blocks_and_the_congestion_window() {
        let answer = Segment {
            cycle: 60,
            outward: false,
            seq: 1,
            length: 0,
            ack: Some(1),
            window: 8192,
            syn: false,
            fin: false,
            rst: false,
            again: false,
            sack: [Some((1461, 4381)), None, None],
        };
        let data = Segment {
            cycle: 50,
            outward: true,
            length: 1460,
            sack: [None; 3],
            ..answer
        };
        let mut page = Page {
            segments: vec![data, answer],
            cycles: 100,
            unit: Some("µs"),
            ..Page::default()
        };
        let bare = html(&page);
        let (inward, outward) = bare.split_once("Engine to peer").unwrap();
        assert!(outward.contains("60: SACK 1,461 to 4,381") && !inward.contains("SACK 1"));
        assert!(outward.contains("µs 50: 1460 bytes") && !bare.contains("congestion window"));
        let word = |cycle, name: &str, value| StateWord {
            cycle,
            name: name.into(),
            value,
        };
        page.words = vec![
            word(10, "cwnd", 2920),
            word(20, "una", 7),
            word(80, "cwnd", 4380),
        ];
        let with = html(&page);
        assert!(with.contains("congestion window over time"));
        // Higher is further up: two corners, the second above the first.
        let path = with.split("class='word'").nth(1).unwrap();
        let path = path
            .split("d='M")
            .nth(1)
            .unwrap()
            .split('\'')
            .next()
            .unwrap();
        let first: f64 = path.split([' ', 'H']).nth(1).unwrap().parse().unwrap();
        let second: f64 = path.split(['V', 'H']).nth(2).unwrap().parse().unwrap();
        assert!(second < first, "{path}");
    }
}
