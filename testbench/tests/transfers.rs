//! Whole transfers through the gates to a TCP stack that is not ours.
use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_host::board::Backend;
use toe_sim::fault::Faults;
use toe_sim::peer::Conversation;
use toe_testbench::transfers::*;

fn config() -> ToeConfig {
    ToeConfig::default()
}

#[test]
fn a_quarter_mebibyte_is_echoed_by_the_rust_blocks() {
    let c = config();
    let talk = echo(&c, bytes(256 * 1024, 1));
    let done = transfer(
        "rust-256k",
        &c,
        board(&c, Backend::Rust),
        vec![talk],
        &Faults::none(),
        1,
        4_000_000,
    );
    assert_eq!(done.counters[&Cause::Opened], 1);
    assert_eq!(done.counters[&Cause::Closed], 1);
    assert_eq!(done.counters[&Cause::Retransmit], 0);
}

#[test]
fn sixteen_mebibytes_are_echoed_by_the_verilog() {
    let c = config();
    let talk = echo(&c, bytes(16 << 20, 2));
    let done = transfer(
        "verilog-16m",
        &c,
        board(&c, Backend::Verilog),
        vec![talk],
        &Faults::none(),
        2,
        200_000_000,
    );
    println!("16 MiB there and back in {} cycles", done.cycles);
}

#[test]
fn both_back_ends_agree_in_every_cycle_of_an_echo() {
    let c = config();
    let talk = echo(&c, bytes(6_000, 3));
    transfer(
        "lockstep",
        &c,
        board(&c, Backend::Lockstep),
        vec![talk],
        &Faults::none(),
        3,
        2_000_000,
    );
}

#[test]
fn four_connections_at_once_and_three_applications() {
    let c = config();
    let talks = vec![
        echo(&c, bytes(200_000, 4)),
        echo(&c, bytes(100_000, 5)),
        Conversation::source_client(ip(&c), 9, bytes(150_000, 6))
            .with_options(toe_host::demo::options()),
        Conversation::sink_client(ip(&c), 19, 150_000).with_options(toe_host::demo::options()),
    ];
    transfer(
        "four",
        &c,
        board(&c, Backend::Verilog),
        talks,
        &Faults::none(),
        4,
        20_000_000,
    );
}

#[test]
fn connections_one_after_another_are_never_refused() {
    let c = config();
    let mut board = board(&c, Backend::Verilog);
    for i in 0..40 {
        let talk = echo(&c, bytes(1 + i * 97, i as u32)).with_local_port(20_000 + i as u16);
        let name = format!("one-after-another-{i}");
        board = transfer(
            &name,
            &c,
            board,
            vec![talk],
            &Faults::none(),
            1 + i as u64,
            3_000_000,
        )
        .board;
    }
    assert_eq!(board.counter(Cause::NoSlot), 0);
    // Each is followed by the one that looks whether the board lives.
    assert_eq!(board.counter(Cause::Opened), 80);
}

#[test]
fn a_peer_with_a_small_window_gets_every_byte() {
    let c = config();
    for buffer in [1_000, 1_461, 4_000] {
        let talk = small_echo(&c, bytes(40_000, buffer as u32), buffer);
        let name = format!("window-{buffer}");
        transfer(
            &name,
            &c,
            board(&c, Backend::Verilog),
            vec![talk],
            &Faults::none(),
            5,
            50_000_000,
        );
    }
}

#[test]
fn one_frame_in_a_hundred_lost_each_way() {
    let c = config();
    let mut retransmitted = 0;
    for seed in 1..=20 {
        let talk = echo(&c, bytes(120_000, seed as u32));
        let name = format!("loss-{seed}");
        let done = transfer(
            &name,
            &c,
            jittery(&c, Backend::Verilog, seed),
            vec![talk],
            &Faults::loss(0.01),
            seed,
            400_000_000,
        );
        retransmitted += done.counters[&Cause::Retransmit];
    }
    assert!(
        retransmitted > 0,
        "nothing was lost that mattered: the test tests nothing"
    );
}

/// Four at once fill the record queue: what it has no room for is dropped, and what is in it stays as it was. No peer acknowledges what was
/// never sent to it, so `BadAck` would be an ACK of another's segment.
#[test]
fn four_at_once_with_loss_don_t_mix() {
    let c = config();
    let mut full = 0;
    for seed in 5..=6 {
        let talks = (0..4)
            .map(|i| echo(&c, bytes(150_000, seed as u32 * 4 + i)))
            .collect();
        let name = format!("four-loss-{seed}");
        let done = transfer(
            &name,
            &c,
            board(&c, Backend::Verilog),
            talks,
            &Faults::loss(0.02),
            seed,
            400_000_000,
        );
        assert_eq!(done.counters[&Cause::BadAck], 0, "seed {seed}");
        full += done.counters[&Cause::RecordQueueFull];
    }
    println!("the record queue was full {full} times");
}

#[test]
fn loss_is_made_good_by_the_rust_blocks_too() {
    let c = config();
    let talk = echo(&c, bytes(20_000, 9));
    transfer(
        "rust-loss",
        &c,
        jittery(&c, Backend::Rust, 3),
        vec![talk],
        &Faults::loss(0.05),
        3,
        4_000_000,
    );
}

#[test]
fn the_trace_tells_path_cycles_and_state_of_every_event() {
    let c = config();
    let mut b = board(&c, Backend::Rust);
    b.trace_engine(&c).expect("the trace ports are there");
    let done = transfer(
        "trace",
        &c,
        b,
        vec![echo(&c, bytes(10, 1))],
        &Faults::none(),
        1,
        1_000_000,
    );
    let events = done.board.engine_trace();
    let syn = events.first().expect("events");
    assert_eq!(syn.kind, "stranger", "the SYN belongs to no connection yet");
    assert!(
        !syn.path.is_empty() && syn.cycles >= syn.instructions && syn.instructions > 20,
        "{syn}"
    );
    // Whatever an event leaves, a later one finds.
    let mut known = std::collections::HashMap::new();
    let mut moved = 0;
    for event in events {
        for change in &event.changes {
            assert_ne!(change.before, change.after);
            let key = (change.conn, change.word.clone());
            if let Some(before) = known.insert(key, change.after) {
                assert_eq!(before, change.before, "{event}");
                moved += 1;
            }
        }
    }
    assert!(moved > 5, "state moved only {moved} times");
    // A word of the far bank goes by its own name, and not by that of the near one with its number.
    let far = events.iter().flat_map(|e| &e.changes);
    assert!(far.clone().any(|c| c.word == "max_wnd" && c.after > 0));
    assert!(far.clone().all(|c| c.word != "state" || c.after < 16));
    assert!(
        events
            .iter()
            .any(|e| e.changes.iter().any(|c| c.word.to_lowercase() == "rcv_nxt")),
        "{:?}",
        events[1].changes
    );
}
