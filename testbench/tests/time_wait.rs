//! TIME-WAIT on the whole engine. None of its applications closes before its peer, so a word of the program is replaced while it runs: what the application writes counts as its
//! close, too.
use toe_hdl::config::{Listener, Owner, ToeConfig};
use toe_hdl::counters::Cause;
use toe_hdl::tcp::asm::{flags, Instruction};
use toe_hdl::tcp::isa::{pending, Op};
use toe_hdl::tcp::program::program;
use toe_host::board::Backend;
use toe_testbench::liveness::{Bench, Client};
use toe_testbench::transfers::bytes;
use toe_testbench::wire::*;

const TEXT: usize = 100;

/// What a pending CLOSE does is done for WRITTEN: the mask of what is rare has it, and no branch leads around the close.
fn close_when_written(b: &mut Bench) {
    let program = program(&b.config);
    let address = |label| program.symbols.address(label).expect("a label");
    let only = |what: &dyn Fn(u16, &Instruction) -> bool| {
        let found: Vec<_> = (program.words.iter().enumerate())
            .filter_map(|(at, word)| Some((at as u16, Instruction::decode(*word)?)))
            .filter(|(at, i)| what(*at, i))
            .collect();
        let [(at, word)] = found[..] else {
            panic!("{found:?}")
        };
        (at, word)
    };
    let (first, end) = (address("pending"), address("pending.after_close"));
    let (at, mask) = only(&|at, i| (first..end).contains(&at) && i.op == Op::Ldi);
    let bits = mask.imm() | 1 << pending::WRITTEN;
    let patched = Instruction {
        src: (bits >> 6) as u8,
        dst: (bits & 63) as u8,
        ..mask
    };
    b.board.write_program(at, patched.encode());
    let (at, _) = only(&|_, i| {
        i.op == Op::Br && i.imm() == end && i.flag == flags::P_CLOSE.number() && !i.sense
    });
    b.board.write_program(at, Instruction::NOP.encode());
}

/// Sends a segment and gives the answers to this client.
fn ask(b: &mut Bench, c: &Client, t: Tcp) -> Vec<Tcp> {
    let frame = t.frame(&b.config);
    b.send(frame);
    b.rest();
    let segments = std::mem::take(&mut b.segments);
    let to = (c.ports.1, c.ports.0);
    segments.into_iter().filter(|t| t.ports == to).collect()
}

fn open(b: &mut Bench) -> Client {
    let mut c = b.client(bytes(TEXT, 3));
    let mut syn = c.segment(SYN);
    syn.options = vec![2, 4, 5, 0xB4];
    for t in ask(b, &c, syn) {
        c.take(&t).expect("a SYN-ACK");
    }
    assert!(c.is_open(), "no answer to a SYN: {c:?}");
    c
}

/// Opens, sends text, gets it back with a FIN, and closes: the engine closed first.
fn close_last(b: &mut Bench) -> Client {
    let mut c = open(b);
    let mut data = c.segment(ACK | PSH);
    data.data = bytes(TEXT, 3);
    let answers = ask(b, &c, data);
    assert!(answers.iter().any(|t| t.flags & FIN != 0), "{answers:?}");
    for t in &answers {
        c.take(t).expect("the echo");
    }
    assert_eq!(c.received, bytes(TEXT, 3));
    let fin = c.segment(ACK | FIN);
    let answers = ask(b, &c, fin);
    let end = c.snd_una().wrapping_add(1);
    assert!(
        matches!(&answers[..], [t] if t.flags == ACK && t.ack == end),
        "{answers:?}"
    );
    c
}

#[test]
fn time_wait_outlives_its_slot_and_takes_nothing_of_the_next_one_in_it() {
    let config = ToeConfig {
        listeners: vec![Listener::new(7, Owner::Echo)],
        ..ToeConfig::default()
    };
    let mut b = Bench::new("time_wait", &config, Backend::Verilog);
    close_when_written(&mut b);
    let old: Vec<Client> = (0..5).map(|_| close_last(&mut b)).collect();
    let counters = b.account();
    assert_eq!(counters[&Cause::Opened], 5);
    // Three are remembered beside four connections.
    assert_eq!(counters[&Cause::Recycled], 2);
    assert_eq!(counters[&Cause::NoSlot], 0);

    // All four slots are free: they open at once, and a fifth is refused.
    let mut young: Vec<Client> = (0..4).map(|_| open(&mut b)).collect();
    for c in &young {
        let ack = c.segment(ACK);
        assert_eq!(ask(&mut b, c, ack), []);
    }
    let c = b.client(vec![]);
    assert_eq!(ask(&mut b, &c, c.segment(SYN)), []);

    // The FIN of those remembered is answered by an ACK, that of the others by RST; text of theirs is answered and goes nowhere.
    for (n, c) in old.iter().enumerate() {
        let again = c.segment(ACK | FIN);
        let answers = ask(&mut b, c, again);
        let flags = if n < 2 { RST } else { ACK };
        assert!(
            matches!(&answers[..], [t] if t.flags == flags),
            "{n}: {answers:?}"
        );
        if n < 2 {
            continue;
        }
        let mut text = c.segment(ACK | PSH);
        text.seq = text.seq.wrapping_add(1);
        text.data = vec![0xEE; 1_000];
        let answers = ask(&mut b, c, text);
        assert!(
            matches!(&answers[..], [t] if t.flags == ACK && t.ack == c.snd_una().wrapping_add(1)),
            "{n}: {answers:?}"
        );
    }
    // The slots' new owners get their own bytes.
    for c in &mut young {
        let mut data = c.segment(ACK | PSH);
        data.data = bytes(TEXT, 3);
        for t in ask(&mut b, c, data) {
            c.take(&t).expect("the echo");
        }
        assert_eq!(c.received, bytes(TEXT, 3), "{c:?}");
        let fin = c.segment(ACK | FIN);
        ask(&mut b, c, fin);
    }

    // The tuple of the last of them opens anew above all that was sent.
    let last = young.last().expect("four");
    let mut syn = last.segment(SYN);
    syn.seq = syn.seq.wrapping_add(1_000);
    let answers = ask(&mut b, last, syn);
    assert!(
        matches!(&answers[..], [t] if t.flags == SYN | ACK),
        "{answers:?}"
    );
    let counters = b.account();
    assert_eq!(counters[&Cause::Closed], 9);
    b.alive();
}
