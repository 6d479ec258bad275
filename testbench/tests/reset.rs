//! The reset button, pressed in the middle of everything: afterwards the board is as new.
use toe_hdl::config::ToeConfig;
use toe_hdl::counters::Cause;
use toe_host::board::Backend;
use toe_testbench::liveness::{Bench, Client};
use toe_testbench::transfers::bytes;
use toe_testbench::wire::*;

/// A connection opened, with 100 bytes sent and their echo never acknowledged.
fn half_way(b: &mut Bench) -> Client {
    let mut c = b.client(bytes(1_000, 3));
    let mut syn = c.segment(SYN);
    syn.options = vec![2, 4, 5, 0xB4];
    let syn = syn.frame(&b.config);
    b.send(syn);
    b.rest();
    for t in std::mem::take(&mut b.segments) {
        c.take(&t).expect("a SYN-ACK");
    }
    assert!(c.is_open(), "no answer to a SYN: {c:?}");
    let mut data = c.segment(ACK | PSH);
    data.data = bytes(100, 3);
    let data = data.frame(&b.config);
    b.send(data);
    b.rest();
    for t in std::mem::take(&mut b.segments) {
        c.take(&t).expect("an echo");
    }
    assert_eq!(c.received, bytes(100, 3), "the echo");
    c
}

#[test]
fn after_a_reset_with_every_connection_open_new_ones_open() {
    for connections in [1, 4] {
        let config = ToeConfig {
            connections,
            ..ToeConfig::default()
        };
        let name = format!("reset_{connections}");
        let mut b = Bench::new(&name, &config, Backend::Verilog);
        // More than once: what one reset leaves behind, the next might hide.
        for pressed in [1, 5] {
            let mut old: Vec<Client> = (0..connections).map(|_| half_way(&mut b)).collect();
            let full = b.account();
            b.board.reset(pressed);
            b.segments.clear();

            // An old connection is not known any more: RFC 9293, 3.5.2, group 1.
            let c = old.last_mut().expect("a connection");
            let stray = c.segment(ACK | PSH).frame(&config);
            b.send(stray);
            b.rest();
            let answers = std::mem::take(&mut b.segments);
            assert!(
                matches!(&answers[..], [t] if t.flags & RST != 0 && t.seq == c.rcv_nxt()),
                "{answers:?}"
            );

            // As many at once as before, then one that lives and ends.
            for c in (0..connections)
                .map(|_| half_way(&mut b))
                .collect::<Vec<_>>()
            {
                let mut reset = c.segment(RST);
                reset.ack = 0;
                let reset = reset.frame(&config);
                b.send(reset);
                b.rest();
            }
            b.alive();
            let now = b.account();
            let opened = |c: &toe_testbench::liveness::Counters| c[&Cause::Opened];
            assert_eq!(opened(&now), opened(&full) + connections as u64 + 1);
            assert_eq!(now[&Cause::Refused], full[&Cause::Refused]);
        }
    }
}
