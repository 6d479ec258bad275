//! What each part of the engine costs on each device, beside its budget: a table and a chart.
//!
//! The budgets are those of the sketch that the design began with (`docs/area.md` tells where they come from and why parts differ).
use std::fmt::Write as _;

use toe_bsp::flow::{Module, Report};

/// A part that has a budget: some modules of the design.
pub struct Part {
    pub name: &'static str,
    /// Instances, by the end of their path.
    pub instances: &'static [&'static str],
    /// Logic cells and block RAMs on the HX8K, LUTs on the ECP5.
    pub budget: (Option<u64>, Option<u64>, Option<u64>),
}

/// The parts, in the order of a frame's way.
pub const PARTS: [Part; 10] = [
    Part {
        name: "MAC with CRC",
        instances: &["toe.mac_rx", "toe.mac_tx"],
        budget: (Some(319), Some(0), Some(307)),
    },
    Part {
        name: "Ethernet, ARP, IPv4, ICMP",
        instances: &[
            "toe.eth_rx",
            "toe.eth_tx",
            "toe.arp",
            "endpoint.ipv4_rx",
            "endpoint.ipv4_tx",
            "endpoint.icmp",
        ],
        budget: (Some(1228), Some(1), Some(1183)),
    },
    Part {
        name: "TCP parser",
        instances: &["endpoint.parser"],
        budget: (Some(517), Some(0), Some(524)),
    },
    Part {
        name: "connection table",
        instances: &["endpoint.table"],
        budget: (Some(166), Some(2), Some(499)),
    },
    Part {
        name: "keyed hash",
        instances: &["endpoint.keyed_hash"],
        budget: (Some(605), Some(0), Some(683)),
    },
    Part {
        name: "engine, its queues",
        instances: &["endpoint.engine", "endpoint.records", "endpoint.events"],
        budget: (Some(852), Some(10), Some(959)),
    },
    Part {
        name: "rings",
        instances: &["endpoint.rx_ring", "endpoint.tx_ring"],
        budget: (Some(663), Some(14), Some(660)),
    },
    Part {
        name: "frame builder",
        instances: &["endpoint.builder"],
        budget: (Some(349), Some(2), None),
    },
    Part {
        name: "timers",
        instances: &["endpoint.timers"],
        budget: (Some(157), Some(1), Some(359)),
    },
    Part {
        name: "UART, SLIP, counters, switch",
        instances: &[
            "toe.uart_rx",
            "toe.uart_tx",
            "toe.slip_rx",
            "toe.slip_tx",
            "endpoint.counters",
            "endpoint.switch",
            "endpoint.chargen",
        ],
        budget: (Some(506), Some(0), Some(311)),
    },
];

impl Part {
    fn holds(&self, module: &Module) -> bool {
        self.instances
            .iter()
            .any(|i| module.name.ends_with(&format!(".{i}")))
    }

    /// Cells, block RAMs and the slowest instance's Fmax; nothing where the design has none of them.
    fn found(&self, report: &Report) -> Option<(u64, u64, Option<f64>)> {
        let mine: Vec<_> = report.modules.iter().filter(|m| self.holds(m)).collect();
        let fmax = mine.iter().filter_map(|m| m.fmax_mhz).reduce(f64::min);
        let sum = |of: fn(&Module) -> u64| mine.iter().map(|m| of(m)).sum();
        (!mine.is_empty()).then(|| (sum(|m| m.cells), sum(|m| m.block_rams), fmax))
    }
}

/// True for a module that has a place in the table.
pub fn counts(module: &Module) -> bool {
    PARTS.iter().any(|part| part.holds(module))
}

fn is_ecp5(report: &Report) -> bool {
    report.device.starts_with("LFE5")
}

fn budget(part: &Part, report: &Report) -> (Option<u64>, Option<u64>) {
    let (cells, rams, luts) = part.budget;
    if is_ecp5(report) {
        (luts, None)
    } else {
        (cells, rams)
    }
}

fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "–".into(), |v| v.to_string())
}

/// The table in Markdown.
pub fn table(report: &Report) -> String {
    let kind = if is_ecp5(report) { "LUTs" } else { "cells" };
    let mut text = format!(
        "| {} | {kind} | budget | block RAMs | budget | Fmax alone, MHz |\n|---|---|---|---|---|---|\n",
        report.device
    );
    for part in &PARTS {
        let Some((cells, rams, fmax)) = part.found(report) else {
            continue;
        };
        let (most, most_rams) = budget(part, report);
        let _ = writeln!(
            text,
            "| {} | {cells} | {} | {rams} | {} | {} |",
            part.name,
            or_dash(most),
            or_dash(most_rams),
            or_dash(fmax.map(|f| format!("{f:.0}"))),
        );
    }
    let fmax = report
        .clocks
        .iter()
        .map(|c| c.fmax_mhz)
        .fold(f64::MAX, f64::min);
    let _ = writeln!(
        text,
        "| **the whole** | {} of {} | | {} of {} | | {fmax:.1} |",
        report.cells, report.cells_available, report.block_rams, report.block_rams_available
    );
    text
}

const LEFT: f64 = 210.0;
const WIDE: f64 = 480.0;
const ROW: f64 = 24.0;

/// The chart, as SVG: a bar for each part, a mark at its budget; a panel a device.
pub fn chart(reports: &[Report]) -> String {
    let all = |report: &Report| -> Vec<(&'static str, u64, Option<u64>)> {
        let row = |part: &Part| {
            let (cells, ..) = part.found(report)?;
            Some((part.name, cells, budget(part, report).0))
        };
        PARTS.iter().filter_map(row).collect()
    };
    let rows: usize = reports.iter().map(|r| all(r).len() + 2).sum();
    let most = (reports.iter().flat_map(all))
        .map(|(_, cells, budget)| cells.max(budget.unwrap_or(0)))
        .max()
        .unwrap_or(1) as f64;
    let height = rows as f64 * ROW + 30.0;
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {} {height}' font-family='sans-serif' font-size='13'>\n<rect width='100%' height='100%' fill='#ffffff'/>\n",
        LEFT + WIDE + 70.0
    );
    let mut y = 10.0;
    for report in reports {
        let kind = if is_ecp5(report) {
            "LUTs"
        } else {
            "logic cells"
        };
        y += ROW;
        let _ = writeln!(
            svg,
            "<text x='10' y='{}' font-weight='bold' fill='#1f2328'>{}: {kind} of each part before neighbours share; the mark is its budget</text>",
            y - 7.0,
            report.device
        );
        for (name, cells, budget) in all(report) {
            let length = cells as f64 / most * WIDE;
            let over = budget.is_some_and(|b| cells > b);
            let colour = if over { "#c4572e" } else { "#2f6f9f" };
            let _ = writeln!(
                svg,
                "<text x='{}' y='{}' text-anchor='end' fill='#1f2328'>{name}</text><rect x='{LEFT}' y='{}' width='{length:.1}' height='{}' fill='{colour}'/>",
                LEFT - 8.0,
                y + 16.0,
                y + 3.0,
                ROW - 6.0
            );
            let mut end = length;
            if let Some(budget) = budget {
                let at = budget as f64 / most * WIDE;
                end = end.max(at);
                let _ = writeln!(
                    svg,
                    "<rect x='{:.1}' y='{}' width='3' height='{}' fill='#1f2328'/>",
                    LEFT + at - 1.5,
                    y + 1.0,
                    ROW - 2.0
                );
            }
            let _ = writeln!(
                svg,
                "<text x='{:.1}' y='{}' fill='#59636e'>{cells}</text>",
                LEFT + end + 8.0,
                y + 16.0
            );
            y += ROW;
        }
        y += ROW;
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(device: &str) -> Report {
        let module = |name: &str, cells, block_rams, fmax_mhz| Module {
            name: name.into(),
            cells,
            block_rams,
            fmax_mhz,
        };
        Report {
            board: "b".into(),
            verilog_sha256: String::new(),
            device: device.into(),
            cells: 700,
            cells_available: 7680,
            block_rams: 3,
            block_rams_available: 32,
            clocks: vec![],
            modules: vec![
                module("top", 9000, 9, None),
                module("top.toe.endpoint.rx_ring", 400, 1, Some(91.4)),
                module("top.toe.endpoint.tx_ring", 300, 1, Some(80.6)),
                module("top.toe.endpoint.tx_ring.words", 250, 1, None),
                module("top.toe.endpoint.parser", 500, 0, None),
            ],
            tools: vec![],
            seed: 1,
            seeds: vec![],
            bitstream: None,
        }
    }

    #[test]
    fn a_part_is_the_sum_of_its_instances_and_as_fast_as_the_slowest() {
        let text = table(&report("iCE40HX8K-CB132"));
        assert!(
            text.contains("| rings | 700 | 663 | 2 | 14 | 81 |"),
            "{text}"
        );
        assert!(
            text.contains("| TCP parser | 500 | 517 | 0 | 0 | – |"),
            "{text}"
        );
        assert!(!text.contains("timers"), "{text}");
        let text = table(&report("LFE5U-25F-6-CABGA381"));
        assert!(
            text.contains("| rings | 700 | 660 | 2 | – | 81 |"),
            "{text}"
        );
    }

    #[test]
    fn what_is_over_its_budget_is_seen() {
        let svg = chart(&[report("iCE40HX8K-CB132")]);
        let bars: Vec<_> = svg.lines().filter(|l| l.contains("text-anchor")).collect();
        assert_eq!(bars.len(), 2);
        assert!(bars[0].contains("TCP parser") && bars[0].contains("#2f6f9f"));
        assert!(bars[1].contains("rings") && bars[1].contains("#c4572e"));
    }

    #[test]
    fn every_part_s_instances_are_in_one_of_the_designs() {
        let texts = [
            toe_bsp::alchitry_cu::job(&[1]).unwrap().verilog,
            toe_bsp::ecp5_25f::job(&[1]).unwrap().verilog,
        ];
        for instance in PARTS.iter().flat_map(|p| p.instances) {
            let kind = format!("${}(", instance.replace('.', "$"));
            assert!(texts.iter().any(|t| t.contains(&kind)), "{instance}");
        }
    }
}
