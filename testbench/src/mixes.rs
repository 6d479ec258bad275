//! What a line does to frames, in the mixes that every peer is tried with.
use toe_sim::fault::Faults;
use toe_sim::link::Duration;
use toe_sim::peer::TcpOptions;

/// The percentages of loss that are promised.
pub const RATES: [u32; 3] = [1, 3, 10];

/// A peer's options over a line that lets frames overtake each other.
pub fn options() -> TcpOptions {
    TcpOptions {
        ack_delay: None,
        keep_alive: Some(Duration::from_secs(10)),
        ..TcpOptions::default()
    }
}

/// So many frames in a hundred lost, and with it always 5 % held back for longer than three full frames take, 2 % doubled, 1 % corrupted: half of these before
/// the FCS is made, half after.
pub fn promised(percent: u32, reorder_by: Duration) -> Faults {
    Faults {
        loss: f64::from(percent) / 100.0,
        reorder: 0.05,
        reorder_by,
        duplicate: 0.02,
        corrupt_packet: 0.005,
        corrupt_line: 0.005,
        ..Faults::none()
    }
}

/// Each fault alone at a strong rate, then the promised mixes, then all there is at once; with names.
pub fn all(reorder_by: Duration) -> Vec<(String, Faults)> {
    let none = Faults::none;
    let alone = [
        ("loss", Faults::loss(0.1)),
        (
            "bursts",
            Faults {
                burst: 0.02,
                burst_length: 8,
                ..none()
            },
        ),
        (
            "duplicates",
            Faults {
                duplicate: 0.3,
                ..none()
            },
        ),
        (
            "reordering",
            Faults {
                reorder: 0.25,
                reorder_by,
                ..none()
            },
        ),
        (
            "corruption under a right FCS",
            Faults {
                corrupt_packet: 0.1,
                ..none()
            },
        ),
        (
            "corruption on the line",
            Faults {
                corrupt_line: 0.1,
                ..none()
            },
        ),
        (
            "truncation",
            Faults {
                truncate: 0.1,
                ..none()
            },
        ),
        (
            "line errors",
            Faults {
                line_error: 0.1,
                ..none()
            },
        ),
        (
            "delay",
            Faults {
                delay: reorder_by * 10,
                ..none()
            },
        ),
        (
            "jitter",
            Faults {
                delay: reorder_by,
                jitter: reorder_by * 4,
                ..none()
            },
        ),
    ]
    .map(|(name, faults)| (name.to_string(), faults));
    let promised = RATES.map(|rate| (format!("{rate} %"), promised(rate, reorder_by)));
    let everything = Faults {
        loss: 0.03,
        burst: 0.005,
        burst_length: 6,
        burst_time: Duration::from_millis(50),
        duplicate: 0.05,
        reorder: 0.1,
        reorder_by,
        corrupt_packet: 0.02,
        corrupt_line: 0.01,
        truncate: 0.01,
        line_error: 0.01,
        mark: 0.0,
        delay: reorder_by,
        jitter: reorder_by,
    };
    let everything = ("everything".to_string(), everything);
    alone
        .into_iter()
        .chain(promised)
        .chain([everything])
        .collect()
}
