//! The connection table: from addresses and ports to a connection id, by linear search; and the ports that are listened on.
//!
//! An entry is three words of one RAM: ports (remote << 16 | local; 0 is a free entry, since no connection has port 0), remote address, and whether it
//! may be recycled, with a stamp that tells the oldest. So connections cost memory, not logic. The ports of this block are those of a keyed hash.
//!
//! **Latency**, for N connections: a look-up is answered at most 2 N + 1 cycles after it was asked (one entry a cycle, one more for an entry with the same
//! ports; N + 2 if only the last has them), LISTEN, FREE, RECYCLABLE and KEEP after 1, ALLOC after at most 2 N + 4. The parser's look-up goes first, and
//! waits for one command at most: at most 4 N + 5 in all ([`longest_look_up`]). After `reset` every entry is freed, one a cycle, N cycles in which requests
//! wait: those made meanwhile are answered after it.
//! **Throughput**: one request at a time. Nothing is aborted.
use super::command::CommandIn;
use super::tx_ring::Join;
use crate::config::ToeConfig;
use crate::memory::Memory;
use rust_hdl::prelude::*;

// ---------------------------------------------------------------- types

/// Ports listened on, as wiring.
#[derive(LogicBlock, Debug)]
pub struct Listeners {
    pub port: Signal<In, Bits<16>>,
    pub found: Signal<Out, Bit>,
    pub owner: Signal<Out, Bits<2>>,
    _ports: Vec<(u16, u8)>,
}

impl Listeners {
    /// These ports and their owners.
    pub fn new(ports: &[(u16, u8)]) -> Self {
        Self {
            port: Default::default(),
            found: Default::default(),
            owner: Default::default(),
            _ports: ports.to_vec(),
        }
    }
}

impl Logic for Listeners {
    fn update(&mut self) {
        let port = self.port.val().to_u64();
        let found = self._ports.iter().find(|(p, _)| u64::from(*p) == port);
        self.found.next = found.is_some();
        self.owner.next = u64::from(found.map_or(0, |(_, owner)| *owner)).into();
    }

    fn connect(&mut self) {
        self.found.connect();
        self.owner.connect();
    }

    fn hdl(&self) -> Verilog {
        let cases: String = self
            ._ports
            .iter()
            .map(|(port, owner)| {
                format!("        16'd{port}: begin found = 1; owner = 2'd{owner}; end\n")
            })
            .collect();
        Verilog::Custom(format!(
            "always @(*) begin\n    found = 0; owner = 0;\n    case (port)\n{cases}        default: ;\n    endcase\nend\n"
        ))
    }
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum State {
    Idle,
    /// The RAM shows the ports of entry `seen`.
    Scan,
    /// It shows the address of `seen`, whose ports fit.
    Address,
    /// ALLOC: it shows the ports of `seen`.
    Free,
    /// ALLOC: it shows the age of `seen`.
    Age,
    WritePorts,
    WriteAddress,
    /// ALLOC: none was free.
    Decide,
    Answer,
    /// After reset: entry `seen` becomes free.
    Clear,
}

/// Third word of an entry.
#[derive(Copy, Clone, Debug, PartialEq, Default, LogicStruct)]
struct Registers {
    state: State,
    /// Whom the request is from.
    parser: Bit,
    seen: Bits<10>,
    /// The answer.
    hit: Bit,
    conn: Bits<10>,
    recycled: Bit,
    /// ALLOC: the oldest recyclable entry so far.
    have: Bit,
    oldest: Bits<10>,
    oldest_age: Bits<16>,
    /// Next stamp.
    stamp: Bits<16>,
}

// ---------------------------------------------------------------- ports

/// The table. The parser holds `lookup_valid`, `lookup_ip` and `lookup_ports` until the cycle of `lookup_done`, in which `lookup_hit` and `lookup_conn`
/// have a meaning; the next look-up may follow in the next cycle. Commands: LOOKUP, ALLOC, FREE, RECYCLABLE, KEEP, LISTEN.
#[derive(LogicBlock)]
pub struct Table {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,

    pub lookup_valid: Signal<In, Bit>,
    pub lookup_ip: Signal<In, Bits<32>>,
    pub lookup_ports: Signal<In, Bits<32>>,
    pub lookup_done: Signal<Out, Bit>,
    pub lookup_hit: Signal<Out, Bit>,
    pub lookup_conn: Signal<Out, Bits<10>>,

    pub command: CommandIn,

    ram: Memory<Bits<32>, 12>,
    read_at: Join<10, 2, 12>,
    write_at: Join<10, 2, 12>,
    age_word: Join<16, 16, 32>,
    listeners: Listeners,
    r: DFF<Registers>,
    key_ip: Signal<Local, Bits<32>>,
    key_ports: Signal<Local, Bits<32>>,
    shown: Signal<Local, Bits<32>>,
    same_ports: Signal<Local, Bit>,
    same_ip: Signal<Local, Bit>,
    is_free: Signal<Local, Bit>,
    at_end: Signal<Local, Bit>,
    following: Signal<Local, Bits<10>>,
    step: Signal<Local, Bit>,
    shown_stamp: Signal<Local, Bits<16>>,
    shown_age: Signal<Local, Bits<16>>,
    older: Signal<Local, Bit>,
    next_stamp: Signal<Local, Bits<16>>,
    local_port: Signal<Local, Bits<16>>,
    done: Signal<Local, Bit>,
    last: Constant<Bits<10>>,
    lookup: Constant<Bits<6>>,
    alloc: Constant<Bits<6>>,
    free: Constant<Bits<6>>,
    recyclable: Constant<Bits<6>>,
    listen: Constant<Bits<6>>,
    keep: Constant<Bits<6>>,
}

/// Cycles from the parser's question to its answer at most: an ALLOC that began in the cycle before and recycles, then every entry has the same ports.
/// The N cycles after a reset are fewer than the ALLOC's.
pub const fn longest_look_up(connections: usize) -> usize {
    let alloc = 2 * connections + 4;
    let look_up = 2 * connections + 1;
    alloc + look_up
}

fn code(value: u8) -> Constant<Bits<6>> {
    Constant::new(u64::from(value).into())
}

impl Table {
    /// A table of the configuration's connections and listeners.
    pub fn new(config: &ToeConfig) -> Self {
        use super::isa::cmd;
        let ports: Vec<(u16, u8)> = config
            .listeners
            .iter()
            .map(|(port, owner)| (*port, *owner as u8))
            .collect();
        Self {
            clock: Default::default(),
            reset: Default::default(),
            lookup_valid: Default::default(),
            lookup_ip: Default::default(),
            lookup_ports: Default::default(),
            lookup_done: Default::default(),
            lookup_hit: Default::default(),
            lookup_conn: Default::default(),
            command: Default::default(),
            ram: Memory::new(4 * config.connections),
            read_at: Default::default(),
            write_at: Default::default(),
            age_word: Default::default(),
            listeners: Listeners::new(&ports),
            r: Default::default(),
            key_ip: Default::default(),
            key_ports: Default::default(),
            shown: Default::default(),
            same_ports: Default::default(),
            same_ip: Default::default(),
            is_free: Default::default(),
            at_end: Default::default(),
            following: Default::default(),
            step: Default::default(),
            shown_stamp: Default::default(),
            shown_age: Default::default(),
            older: Default::default(),
            next_stamp: Default::default(),
            local_port: Default::default(),
            done: Default::default(),
            last: Constant::new((config.connections as u64 - 1).into()),
            lookup: code(cmd::LOOKUP),
            alloc: code(cmd::ALLOC),
            free: code(cmd::FREE),
            recyclable: code(cmd::RECYCLABLE),
            listen: code(cmd::LISTEN),
            keep: code(cmd::KEEP),
        }
    }
}

impl Logic for Table {
    #[hdl_gen]
    fn update(&mut self) {
        // ------------------------------------------------------------ registers, defaults
        self.r.clock.next = self.clock.val();
        self.r.d.next = self.r.q.val();
        self.ram.clock.next = self.clock.val();
        // ------------------------------------------------------------ named wires
        self.key_ip.next = self.command.b.val();
        self.key_ports.next = self.command.a.val();
        if self.r.q.val().parser {
            self.key_ip.next = self.lookup_ip.val();
            self.key_ports.next = self.lookup_ports.val();
        }
        self.shown.next = self.ram.read_data.val();
        self.same_ports.next = self.shown.val() == self.key_ports.val();
        self.same_ip.next = self.shown.val() == self.key_ip.val();
        self.is_free.next = !self.shown.val().any();
        self.at_end.next = self.r.q.val().seen == self.last.val();
        self.following.next = self.r.q.val().seen + 1;
        self.shown_stamp.next = self.shown.val().get_bits::<16>(16);
        self.shown_age.next = self.r.q.val().stamp - self.shown_stamp.val();
        self.older.next = self.shown_age.val() > self.r.q.val().oldest_age;
        self.next_stamp.next = self.r.q.val().stamp + 1;
        self.local_port.next = self.command.a.val().get_bits::<16>(0);
        self.listeners.port.next = self.local_port.val();
        // ------------------------------------------------------------ memory, defaults
        self.step.next = false;
        self.read_at.high.next = self.following.val();
        self.read_at.low.next = 0.into();
        self.write_at.high.next = self.r.q.val().conn;
        self.write_at.low.next = 0.into();
        self.age_word.high.next = self.r.q.val().stamp;
        self.age_word.low.next = 0.into();
        self.ram.write_data.next = self.key_ports.val();
        self.ram.write_enable.next = false;
        // ------------------------------------------------------------ state machine
        self.done.next = false;
        match self.r.q.val().state {
            State::Idle => {
                self.read_at.high.next = 0.into();
                self.r.d.next.seen = 0.into();
                self.r.d.next.hit = false;
                self.r.d.next.recycled = false;
                self.r.d.next.have = false;
                self.r.d.next.oldest_age = 0.into();
                self.r.d.next.conn = 0.into();
                self.r.d.next.parser = self.lookup_valid.val();
                self.write_at.high.next = self.command.conn.val();
                if self.lookup_valid.val() {
                    self.r.d.next.state = State::Scan;
                } else {
                    if self.command.valid.val() {
                        if self.command.code.val() == self.lookup.val() {
                            self.r.d.next.state = State::Scan;
                        }
                        if self.command.code.val() == self.alloc.val() {
                            self.r.d.next.state = State::Free;
                        }
                        if self.command.code.val() == self.free.val() {
                            self.ram.write_enable.next = true;
                            self.ram.write_data.next = 0.into();
                            self.r.d.next.state = State::Answer;
                        }
                        if self.command.code.val() == self.recyclable.val() {
                            self.write_at.low.next = 2.into();
                            self.age_word.low.next = 1.into();
                            self.ram.write_enable.next = true;
                            self.ram.write_data.next = self.age_word.joined.val();
                            self.r.d.next.stamp = self.next_stamp.val();
                            self.r.d.next.state = State::Answer;
                        }
                        if self.command.code.val() == self.keep.val() {
                            self.write_at.low.next = 2.into();
                            self.ram.write_data.next = 0.into();
                            self.ram.write_enable.next = true;
                            self.r.d.next.state = State::Answer;
                        }
                        if self.command.code.val() == self.listen.val() {
                            self.r.d.next.hit = self.listeners.found.val();
                            self.r.d.next.conn = bit_cast::<10, 2>(self.listeners.owner.val());
                            self.r.d.next.state = State::Answer;
                        }
                    }
                }
            }
            State::Scan => {
                if self.same_ports.val() {
                    self.read_at.high.next = self.r.q.val().seen;
                    self.read_at.low.next = 1.into();
                    self.r.d.next.state = State::Address;
                } else {
                    self.step.next = true;
                }
            }
            State::Address => {
                if self.same_ip.val() {
                    self.r.d.next.hit = true;
                    self.r.d.next.conn = self.r.q.val().seen;
                    self.r.d.next.state = State::Answer;
                } else {
                    self.r.d.next.state = State::Scan;
                    self.step.next = true;
                }
            }
            State::Free => {
                if self.is_free.val() {
                    self.r.d.next.hit = true;
                    self.r.d.next.conn = self.r.q.val().seen;
                    self.r.d.next.state = State::WritePorts;
                } else {
                    self.read_at.high.next = self.r.q.val().seen;
                    self.read_at.low.next = 2.into();
                    self.r.d.next.state = State::Age;
                }
            }
            State::Age => {
                self.r.d.next.state = State::Free;
                if self.shown.val().get_bit(0) & (self.older.val() | !self.r.q.val().have) {
                    self.r.d.next.have = true;
                    self.r.d.next.oldest = self.r.q.val().seen;
                    self.r.d.next.oldest_age = self.shown_age.val();
                }
                if self.at_end.val() {
                    // None is free: the oldest recyclable one, if this or an earlier entry was one.
                    self.r.d.next.state = State::Decide;
                } else {
                    self.step.next = true;
                }
            }
            State::Decide => {
                // Reached when none was free: decide, then write as for a free one.
                self.r.d.next.hit = self.r.q.val().have;
                self.r.d.next.recycled = self.r.q.val().have;
                self.r.d.next.conn = self.r.q.val().oldest;
                self.r.d.next.state = State::Answer;
                if self.r.q.val().have {
                    self.r.d.next.state = State::WritePorts;
                }
            }
            State::WritePorts => {
                self.ram.write_enable.next = true;
                self.r.d.next.state = State::WriteAddress;
            }
            State::WriteAddress => {
                self.write_at.low.next = 1.into();
                self.ram.write_data.next = self.key_ip.val();
                self.ram.write_enable.next = true;
                self.r.d.next.state = State::Answer;
            }
            State::Answer => {
                self.done.next = true;
                self.r.d.next.state = State::Idle;
                // A new entry is not recyclable; no other command needs this write, and none is hurt by it.
                self.write_at.low.next = 2.into();
                self.ram.write_data.next = 0.into();
                if self.command.code.val() == self.alloc.val() {
                    self.ram.write_enable.next = self.r.q.val().hit & !self.r.q.val().parser;
                }
            }
            State::Clear => {
                self.write_at.high.next = self.r.q.val().seen;
                self.ram.write_data.next = 0.into();
                self.ram.write_enable.next = true;
                self.r.d.next.seen = self.following.val();
                if self.at_end.val() {
                    self.r.d.next.state = State::Idle;
                }
            }
            _ => {
                self.r.d.next.state = State::Idle;
            }
        }
        if self.step.val() {
            self.r.d.next.seen = self.following.val();
            if self.at_end.val() {
                self.r.d.next.state = State::Answer;
            }
        }
        // ------------------------------------------------------------ outputs
        self.ram.read_address.next = self.read_at.joined.val();
        self.ram.write_address.next = self.write_at.joined.val();
        self.lookup_done.next = self.done.val() & self.r.q.val().parser;
        self.lookup_hit.next = self.r.q.val().hit;
        self.lookup_conn.next = self.r.q.val().conn;
        self.command.done.next = false;
        self.command.ok.next = false;
        self.command.result.next = 0.into();
        self.command.result2.next = 0.into();
        if self.done.val() & !self.r.q.val().parser {
            self.command.done.next = true;
            self.command.ok.next = self.r.q.val().hit;
            self.command.result.next = bit_cast::<32, 10>(self.r.q.val().conn);
            if self.r.q.val().recycled {
                self.command.result2.next = 1.into();
            }
        }
        // ------------------------------------------------------------ reset
        if self.reset.val() {
            self.r.d.next.state = State::Clear;
            self.r.d.next.seen = 0.into();
        }
    }
}

// ---------------------------------------------------------------- tests

#[cfg(test)]
mod tests {
    use super::super::isa::cmd;
    use super::*;
    use rand::Rng;

    fn config(connections: usize) -> ToeConfig {
        ToeConfig {
            connections,
            ..ToeConfig::default()
        }
    }

    fn settle(uut: &mut Table) {
        uut.update_all();
        while uut.has_changed() {
            uut.update_all();
        }
    }

    fn edge(uut: &mut Table) {
        for clk in [true, false] {
            uut.clock.next = Clock { clk };
            settle(uut);
        }
    }

    fn table(connections: usize) -> Table {
        let mut uut = Table::new(&config(connections));
        uut.connect_all();
        settle(&mut uut);
        uut
    }

    /// Gives `(ok, result, result2, cycles)`.
    fn command(uut: &mut Table, code: u8, conn: u64, a: u64, b: u64) -> (bool, u64, u64, u64) {
        uut.command.valid.next = true;
        uut.command.code.next = u64::from(code).into();
        uut.command.conn.next = conn.into();
        uut.command.a.next = a.into();
        uut.command.b.next = b.into();
        for cycles in 0..5000 {
            settle(uut);
            if uut.command.done.val() {
                let answer = (
                    uut.command.ok.val(),
                    uut.command.result.val().to_u64(),
                    uut.command.result2.val().to_u64(),
                    cycles,
                );
                edge(uut);
                uut.command.valid.next = false;
                return answer;
            }
            edge(uut);
        }
        panic!("command {code:#x} was not answered");
    }

    /// Gives `(hit, conn, cycles)`.
    fn look(uut: &mut Table, ip: u64, ports: u64) -> (bool, u64, u64) {
        uut.lookup_valid.next = true;
        uut.lookup_ip.next = ip.into();
        uut.lookup_ports.next = ports.into();
        for cycles in 0..5000 {
            settle(uut);
            if uut.lookup_done.val() {
                let answer = (uut.lookup_hit.val(), uut.lookup_conn.val().to_u64(), cycles);
                edge(uut);
                uut.lookup_valid.next = false;
                return answer;
            }
            edge(uut);
        }
        panic!("the look-up was not answered");
    }

    const PORTS: u64 = 0x1234_0007;

    #[test]
    fn entries_are_found_by_all_of_their_key_and_by_both_clients() {
        for n in [1, 2, 4, 16] {
            let mut uut = table(n);
            for i in 0..n as u64 {
                assert!(!look(&mut uut, 10 + i, PORTS).0);
                let (ok, conn, recycled, cycles) = command(&mut uut, cmd::ALLOC, 0, PORTS, 10 + i);
                assert_eq!((ok, conn, recycled), (true, i, 0));
                assert!(cycles <= 2 * n as u64 + 4, "ALLOC took {cycles}");
            }
            assert!(!command(&mut uut, cmd::ALLOC, 0, PORTS, 99).0, "full");
            for i in 0..n as u64 {
                let (hit, conn, _) = look(&mut uut, 10 + i, PORTS);
                assert_eq!((hit, conn), (true, i));
                let (hit, conn, ..) = command(&mut uut, cmd::LOOKUP, 0, PORTS, 10 + i);
                assert_eq!((hit, conn), (true, i));
                assert!(!look(&mut uut, 10 + i, PORTS + 1).0, "another local port");
                assert!(
                    !look(&mut uut, 10 + i, PORTS + 0x1_0000).0,
                    "another remote port"
                );
            }
            assert!(!look(&mut uut, 10 + n as u64, PORTS).0);
        }
    }

    #[test]
    fn a_look_up_takes_one_cycle_an_entry() {
        for n in [4, 16] {
            let mut uut = table(n);
            for i in 0..n as u64 {
                command(
                    &mut uut,
                    cmd::ALLOC,
                    0,
                    0x1000_0000 * (i % 15 + 1) + 7 + (i << 16),
                    5,
                );
            }
            let (hit, _, cycles) = look(&mut uut, 5, 0xFFFF_0007);
            assert!(!hit);
            assert_eq!(cycles, n as u64 + 1);
            let last = n as u64 - 1;
            let key = 0x1000_0000 * (last % 15 + 1) + 7 + (last << 16);
            let (hit, conn, cycles) = look(&mut uut, 5, key);
            assert_eq!((hit, conn, cycles), (true, last, n as u64 + 2));
        }
    }

    #[test]
    fn the_oldest_recyclable_entry_goes_first_and_free_ones_before_it() {
        let mut uut = table(4);
        for i in 0..4 {
            command(&mut uut, cmd::ALLOC, 0, PORTS, i + 1);
        }
        for conn in [2, 0, 3] {
            command(&mut uut, cmd::RECYCLABLE, conn, 0, 0);
        }
        assert!(
            look(&mut uut, 3, PORTS).0,
            "recyclable entries are still found"
        );
        command(&mut uut, cmd::FREE, 1, 0, 0);
        let mut taken = vec![];
        for i in 0..5 {
            let (ok, conn, recycled, _) = command(&mut uut, cmd::ALLOC, 0, PORTS, 100 + i);
            taken.push((ok, conn * u64::from(ok), recycled));
        }
        assert_eq!(
            taken,
            [
                (true, 1, 0),
                (true, 2, 1),
                (true, 0, 1),
                (true, 3, 1),
                (false, 0, 0)
            ]
        );
        assert!(
            !look(&mut uut, 3, PORTS).0,
            "the recycled life is forgotten"
        );
        assert!(look(&mut uut, 101, PORTS).0);
    }

    #[test]
    fn an_entry_that_is_kept_is_not_recycled() {
        let mut uut = table(2);
        command(&mut uut, cmd::ALLOC, 0, PORTS, 1);
        command(&mut uut, cmd::ALLOC, 0, PORTS, 2);
        command(&mut uut, cmd::RECYCLABLE, 0, 0, 0);
        command(&mut uut, cmd::RECYCLABLE, 1, 0, 0);
        assert_eq!(command(&mut uut, cmd::KEEP, 0, 0, 0).3, 1);
        let (ok, conn, recycled, _) = command(&mut uut, cmd::ALLOC, 0, PORTS, 3);
        assert_eq!((ok, conn, recycled), (true, 1, 1));
        assert!(!command(&mut uut, cmd::ALLOC, 0, PORTS, 4).0);
        assert!(look(&mut uut, 1, PORTS).0);
    }

    #[test]
    fn the_age_counts_across_the_wrap_of_the_stamp() {
        let mut uut = table(2);
        command(&mut uut, cmd::ALLOC, 0, PORTS, 1);
        command(&mut uut, cmd::ALLOC, 0, PORTS, 2);
        for _ in 0..65_535 {
            command(&mut uut, cmd::RECYCLABLE, 0, 0, 0);
        }
        command(&mut uut, cmd::RECYCLABLE, 0, 0, 0);
        command(&mut uut, cmd::RECYCLABLE, 1, 0, 0);
        assert_eq!(command(&mut uut, cmd::ALLOC, 0, PORTS, 3).1, 0);
    }

    #[test]
    fn listeners_are_those_of_the_configuration() {
        let mut uut = table(4);
        let found: Vec<_> = [7, 9, 19, 8, 0, 0x1_0007]
            .map(|port| {
                let (ok, owner, _, cycles) = command(&mut uut, cmd::LISTEN, 0, port, 0);
                assert_eq!(cycles, 1);
                ok.then_some(owner)
            })
            .to_vec();
        // The remote half of the ports word does not matter.
        assert_eq!(found, [Some(0), Some(1), Some(2), None, None, Some(0)]);
    }

    #[test]
    fn the_parser_waits_for_one_command_at_most() {
        for n in [1, 4, 32] {
            let mut uut = table(n);
            for i in 0..n as u64 {
                command(&mut uut, cmd::ALLOC, 0, PORTS, i + 1);
                command(&mut uut, cmd::RECYCLABLE, i, 0, 0);
            }
            // A command begins, a cycle later a look-up is asked; both are answered, the look-up before the command's successor.
            uut.command.valid.next = true;
            uut.command.code.next = u64::from(cmd::ALLOC).into();
            uut.command.a.next = PORTS.into();
            uut.command.b.next = 1000_u64.into();
            settle(&mut uut);
            edge(&mut uut);
            let (hit, _, cycles) = look(&mut uut, 2000, PORTS);
            assert!(!hit);
            // The command's own cycles count from the one before the question: the bound is reached.
            assert_eq!(cycles, longest_look_up(n) as u64, "{n} connections");
        }
    }

    #[test]
    fn after_a_reset_every_entry_is_free() {
        let mut uut = table(4);
        for i in 0..4 {
            command(&mut uut, cmd::ALLOC, 0, PORTS, i + 1);
        }
        assert!(!command(&mut uut, cmd::ALLOC, 0, PORTS, 5).0, "full");
        uut.reset.next = true;
        settle(&mut uut);
        edge(&mut uut);
        uut.reset.next = false;
        // Asked while the last entry is not yet cleared: it waits, and finds nothing.
        let (hit, _, cycles) = look(&mut uut, 4, PORTS);
        assert!(!hit, "an old connection is found");
        assert_eq!(cycles, 4 + 5, "cleared, then searched");
        for i in 0..4 {
            let (ok, conn, recycled, _) = command(&mut uut, cmd::ALLOC, 0, PORTS, 10 + i);
            assert_eq!((ok, conn, recycled), (true, i, 0));
        }
        assert!(!command(&mut uut, cmd::ALLOC, 0, PORTS, 20).0);
    }

    #[test]
    fn a_command_during_clearing_is_answered_after_it() {
        let mut uut = table(16);
        for i in 0..16 {
            command(&mut uut, cmd::ALLOC, 0, PORTS, i + 1);
        }
        // In the middle of another request, and again in the middle of clearing.
        uut.command.valid.next = true;
        uut.command.code.next = u64::from(cmd::LOOKUP).into();
        for cycle in 0..20 {
            uut.reset.next = cycle == 5 || cycle == 15;
            settle(&mut uut);
            if cycle > 5 {
                assert!(!uut.command.done.val(), "answered while clearing");
            }
            edge(&mut uut);
        }
        uut.reset.next = false;
        let (ok, conn, _, cycles) = command(&mut uut, cmd::ALLOC, 0, PORTS, 16);
        assert_eq!((ok, conn), (true, 0));
        // Four of the sixteen cycles are over.
        assert_eq!(cycles, 12 + 4);
    }

    #[test]
    fn equals_its_verilog() {
        let make = || Table::new(&config(4));
        let codes = [
            cmd::LOOKUP,
            cmd::ALLOC,
            cmd::FREE,
            cmd::RECYCLABLE,
            cmd::LISTEN,
            cmd::KEEP,
        ];
        let report = toe_sim::lockstep!("table", make(), 20_000, |uut, cycle, rng| {
            uut.reset.next = cycle == 0 || rng.random_bool(0.005);
            // Requests are held until they are answered, as the contract asks.
            if uut.command.done.val() || !uut.command.valid.val() {
                uut.command.valid.next = rng.random_bool(0.5);
                uut.command.code.next = u64::from(codes[rng.random_range(0..6)]).into();
                uut.command.conn.next = rng.random_range(0..4u64).into();
                uut.command.a.next = (rng.random_range(1..4u64) << 16 | 7).into();
                uut.command.b.next = rng.random_range(0..3u64).into();
            }
            if uut.lookup_done.val() || !uut.lookup_valid.val() {
                uut.lookup_valid.next = rng.random_bool(0.3);
                uut.lookup_ports.next = (rng.random_range(1..4u64) << 16 | 7).into();
                uut.lookup_ip.next = rng.random_range(0..3u64).into();
            }
        });
        report.assert_active();
    }
}
