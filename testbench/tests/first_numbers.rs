//! RFC 6528 at the wire: initial sequence numbers of the whole engine, in its Verilog, and the keys that the host gives it.
use toe_hdl::config::ToeConfig;
use toe_hdl::tcp::keyed_hash::hash;
use toe_host::board::Backend;
use toe_testbench::liveness::Bench;
use toe_testbench::wire::*;

/// M of RFC 6528: what is left of the number that a SYN from this port gets, F taken off. The connection is over afterwards, unless it is to be `kept` half open.
fn clock(b: &mut Bench, key: u64, port: u16, kept: bool) -> u32 {
    let mut segment = Tcp {
        ports: (port, 7),
        seq: 1_000,
        flags: SYN,
        wnd: 1_000,
        ..Tcp::default()
    };
    b.send(segment.frame(&b.config));
    b.rest();
    let answers = std::mem::take(&mut b.segments);
    let [answer] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!((answer.flags, answer.ack), (SYN | ACK, 1_001));
    if !kept {
        (segment.flags, segment.seq) = (RST, 1_001);
        b.send(segment.frame(&b.config));
        b.rest();
    }
    let ports = u32::from(port) << 16 | 7;
    let f = hash(key, ports, u32::from_be_bytes(IP));
    answer.seq.wrapping_sub(f)
}

#[test]
fn the_number_is_the_clock_and_the_keyed_hash_and_the_host_gives_the_key() {
    let config = ToeConfig {
        isn_key: 0xFEDC_BA98_7654_3210,
        ..ToeConfig::default()
    };
    let mut b = Bench::new("first_numbers", &config, Backend::Verilog);
    // Ticks of the simulated time so far, each 256.
    let young = 1 << 16;
    let mut before = 0;
    let mut rises = |m: u32| {
        assert!(m < young, "{m:#x}: not the clock");
        // Its lower eight bits count cycles, and go round within a tick.
        assert!(m >> 8 >= before >> 8, "{m:#x} after {before:#x}");
        before = m;
    };
    for port in [1_000, 1_001, 1_000, 40_000, 1_000] {
        rises(clock(&mut b, config.isn_key, port, false));
    }

    // While one is half open no key is taken.
    rises(clock(&mut b, config.isn_key, 2_000, true));
    let key = 0x0123_4567_89AB_CDEF;
    let refused = b.board.write_keys(key, key).unwrap_err();
    assert!(refused.to_string().contains("remembers a connection"));
    rises(clock(&mut b, config.isn_key, 2_001, false));
    let reset = Tcp {
        ports: (2_000, 7),
        seq: 1_001,
        flags: RST,
        ..Tcp::default()
    };
    b.send(reset.frame(&config));
    b.rest();

    // Then it is, and stays over a reset, with which the clock begins anew.
    assert!(b.board.write_keys(key, 0).is_err());
    b.board.write_keys(key, !key).expect("an empty table");
    rises(clock(&mut b, key, 1_000, false));
    rises(clock(&mut b, key, 1_001, false));
    b.alive();
    b.board.reset(3);
    assert!(clock(&mut b, key, 1_000, false) < young);
    b.alive();
}
