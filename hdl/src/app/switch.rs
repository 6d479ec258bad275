//! The application switch: visits the connections in turn and lets each one's owner read and write.
//!
//! A visit reads the connection's status, asks both rings, makes the owner its offer, runs both bursts and passes on. What the engine notifies is only noted in the
//! status, at any time, and found at the next visit. The status is read *before* the rings are asked, and the engine commits data before it
//! notifies the FIN behind them: so a FIN that is seen with nothing readable has nothing before it.
//!
//! A connection without space or bytes costs its turn and no more: none waits for another's peer. A connection of owner 3 (the host) is noted, but gets no offers here.
//!
//! **Latency.** `NOTIFY` 2 cycles, 3 if a visit is at the status; after a reset the status is cleared first, a cycle a connection. A connection without owner: 2 cycles a visit. An open one: 4 cycles, the
//! longer query, the application's answer, and the longer burst from the cycle after its start to `burst_done`, at least 2. An event posted: until it is accepted. `any_open` follows after a round.
//! **Throughput.** A byte in and a byte out a cycle, [`TURN`] at most a visit.
//! **Abort.** After `CLOSED` or `RESET` the next visit forgets the connection and posts `released`; a burst under way ends first.
use super::AppOut;
use crate::memory::Memory;
use crate::stream::{StreamIn, StreamOut};
use crate::tcp::{command::CommandIn, events::PostOut, isa};
use rust_hdl::prelude::*;

// ---- types ----

/// Bytes of a burst, at most.
pub const TURN: u16 = 2048;

/// What is known of a connection.
#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Status {
    open: Bit,
    owner: Bits<2>,
    /// The peer's FIN came.
    fin: Bit,
    /// No offer was answered yet.
    new: Bit,
    /// The application closed or aborted: it may write no more.
    closed: Bit,
    /// The engine is through with the connection; `released` is owed.
    over: Bit,
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum State {
    /// After a reset: status by status.
    Clear,
    Look,
    Check,
    Query,
    Offer,
    /// The status again: it may have changed meanwhile.
    Again,
    Modify,
    Burst,
    Post,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Registers {
    state: State,
    /// The second cycle of a `NOTIFY`.
    noting: Bit,
    conn: Bits<10>,
    owner: Bits<2>,
    fin: Bit,
    new: Bit,
    closed: Bit,
    readable: Bits<12>,
    writable: Bits<12>,
    rx_asked: Bit,
    tx_asked: Bit,
    rx_busy: Bit,
    tx_busy: Bit,
    closing: Bit,
    aborting: Bit,
    post_bit: Bits<3>,
    seen: Bit,
    any_open: Bit,
}

/// The switch.
#[derive(LogicBlock)]
pub struct Switch {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,

    /// `NOTIFY`; other commands are not answered. `OPEN` only for a connection that is not open, or was released.
    pub command: CommandIn,
    /// `close`, `abort`, `released`.
    pub post: PostOut,

    /// To `rx_ring`: `query_valid` until `query_done`, `start` for one cycle with `start_count` from 1 to what was readable; then the bytes, and `burst_done` in some later cycle.
    pub rx_query_valid: Signal<Out, Bit>,
    pub rx_query_conn: Signal<Out, Bits<10>>,
    pub rx_query_done: Signal<In, Bit>,
    pub rx_readable: Signal<In, Bits<16>>,
    pub rx_start: Signal<Out, Bit>,
    pub rx_start_conn: Signal<Out, Bits<10>>,
    pub rx_start_count: Signal<Out, Bits<16>>,
    pub rx: StreamIn,
    pub rx_burst_done: Signal<In, Bit>,

    /// To `tx_ring`: the same. `last` and `error` are low.
    pub tx_query_valid: Signal<Out, Bit>,
    pub tx_query_conn: Signal<Out, Bits<10>>,
    pub tx_query_done: Signal<In, Bit>,
    pub tx_writable: Signal<In, Bits<16>>,
    pub tx_start: Signal<Out, Bit>,
    pub tx_start_conn: Signal<Out, Bits<10>>,
    pub tx_start_count: Signal<Out, Bits<16>>,
    pub tx: StreamOut,
    pub tx_burst_done: Signal<In, Bit>,

    /// The applications by owner number.
    pub app0: AppOut,
    pub app1: AppOut,
    pub app2: AppOut,

    /// A connection was open in the last round.
    pub any_open: Signal<Out, Bit>,

    r: DFF<Registers>,
    status: Memory<Status, 10>,

    notify: Signal<Local, Bit>,
    note: Signal<Local, Bit>,
    known: Signal<Local, Status>,
    written: Signal<Local, Status>,
    readable_high: Signal<Local, Bits<5>>,
    writable_high: Signal<Local, Bits<5>>,
    readable_low: Signal<Local, Bits<11>>,
    writable_low: Signal<Local, Bits<11>>,
    is_0: Signal<Local, Bit>,
    is_1: Signal<Local, Bit>,
    is_2: Signal<Local, Bit>,
    offering: Signal<Local, Bit>,
    readable: Signal<Local, Bits<16>>,
    writable: Signal<Local, Bits<16>>,
    fin: Signal<Local, Bit>,
    taken: Signal<Local, Bit>,
    take_read: Signal<Local, Bits<12>>,
    take_write: Signal<Local, Bits<12>>,
    take_close: Signal<Local, Bit>,
    take_abort: Signal<Local, Bit>,
    rx_start_now: Signal<Local, Bit>,
    tx_start_now: Signal<Local, Bit>,
    rx_ready: Signal<Local, Bit>,
    tx_valid: Signal<Local, Bit>,
    tx_data: Signal<Local, Bits<8>>,
    pass: Signal<Local, Bit>,
    at_last: Signal<Local, Bit>,
    seen: Signal<Local, Bit>,

    last_conn: Constant<Bits<10>>,
    notify_code: Constant<Bits<6>>,
    close_bit: Constant<Bits<3>>,
    abort_bit: Constant<Bits<3>>,
    released_bit: Constant<Bits<3>>,
    open_kind: Constant<Bits<6>>,
    fin_kind: Constant<Bits<6>>,
}

impl Switch {
    /// For `connections` connections.
    ///
    /// # Panics
    /// If `connections` is not a power of two from 1 to 1024.
    pub fn new(connections: usize) -> Self {
        assert!(
            connections.is_power_of_two() && connections <= 1024,
            "Switch: connections is {connections}, but must be a power of two from 1 to 1024"
        );
        Self {
            clock: Default::default(),
            reset: Default::default(),
            command: Default::default(),
            post: Default::default(),
            rx_query_valid: Default::default(),
            rx_query_conn: Default::default(),
            rx_query_done: Default::default(),
            rx_readable: Default::default(),
            rx_start: Default::default(),
            rx_start_conn: Default::default(),
            rx_start_count: Default::default(),
            rx: Default::default(),
            rx_burst_done: Default::default(),
            tx_query_valid: Default::default(),
            tx_query_conn: Default::default(),
            tx_query_done: Default::default(),
            tx_writable: Default::default(),
            tx_start: Default::default(),
            tx_start_conn: Default::default(),
            tx_start_count: Default::default(),
            tx: Default::default(),
            tx_burst_done: Default::default(),
            app0: Default::default(),
            app1: Default::default(),
            app2: Default::default(),
            any_open: Default::default(),
            r: Default::default(),
            status: Memory::new(connections.max(2)),
            notify: Default::default(),
            note: Default::default(),
            known: Default::default(),
            written: Default::default(),
            readable_high: Default::default(),
            writable_high: Default::default(),
            readable_low: Default::default(),
            writable_low: Default::default(),
            is_0: Default::default(),
            is_1: Default::default(),
            is_2: Default::default(),
            offering: Default::default(),
            readable: Default::default(),
            writable: Default::default(),
            fin: Default::default(),
            taken: Default::default(),
            take_read: Default::default(),
            take_write: Default::default(),
            take_close: Default::default(),
            take_abort: Default::default(),
            rx_start_now: Default::default(),
            tx_start_now: Default::default(),
            rx_ready: Default::default(),
            tx_valid: Default::default(),
            tx_data: Default::default(),
            pass: Default::default(),
            at_last: Default::default(),
            seen: Default::default(),
            last_conn: Constant::new((connections as u64 - 1).into()),
            notify_code: Constant::new((isa::cmd::NOTIFY as u64).into()),
            close_bit: Constant::new((isa::pending::CLOSE as u64).into()),
            abort_bit: Constant::new((isa::pending::ABORT as u64).into()),
            released_bit: Constant::new((isa::pending::RELEASED as u64).into()),
            open_kind: Constant::new((isa::notify::OPEN as u64).into()),
            fin_kind: Constant::new((isa::notify::PEER_FIN as u64).into()),
        }
    }
}

impl Logic for Switch {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers ----
        dff_setup!(self, clock, r);
        self.status.clock.next = self.clock.val();
        self.known.next = self.status.read_data.val();

        // ---- named wires ----
        self.notify.next =
            self.command.valid.val() && (self.command.code.val() == self.notify_code.val());
        self.is_0.next = self.r.q.val().owner == bits::<2>(0);
        self.is_1.next = self.r.q.val().owner == bits::<2>(1);
        self.is_2.next = self.r.q.val().owner == bits::<2>(2);
        self.readable_high.next = self.rx_readable.val().get_bits::<5>(11);
        self.writable_high.next = self.tx_writable.val().get_bits::<5>(11);
        self.readable_low.next = bit_cast::<11, 16>(self.rx_readable.val());
        self.writable_low.next = bit_cast::<11, 16>(self.tx_writable.val());
        self.offering.next = self.r.q.val().state == State::Offer;
        self.readable.next = bit_cast::<16, 12>(self.r.q.val().readable);
        self.writable.next = bit_cast::<16, 12>(self.r.q.val().writable);
        self.fin.next = self.r.q.val().fin & !self.readable.val().any();
        self.at_last.next = self.r.q.val().conn == self.last_conn.val();

        // ---- the owner's answer and its bytes ----
        self.taken.next = false;
        self.take_read.next = bits::<12>(0);
        self.take_write.next = bits::<12>(0);
        self.take_close.next = false;
        self.take_abort.next = false;
        self.rx_ready.next = false;
        self.tx_valid.next = false;
        self.tx_data.next = bits::<8>(0);
        if self.is_0.val() {
            self.taken.next = self.offering.val() & self.app0.take_valid.val();
            self.take_read.next = bit_cast::<12, 16>(self.app0.take_read.val());
            self.take_write.next = bit_cast::<12, 16>(self.app0.take_write.val());
            self.take_close.next = self.app0.take_close.val();
            self.take_abort.next = self.app0.take_abort.val();
            self.rx_ready.next = self.app0.rx_ready.val();
            self.tx_valid.next = self.app0.tx_valid.val();
            self.tx_data.next = self.app0.tx_data.val();
        }
        if self.is_1.val() {
            self.taken.next = self.offering.val() & self.app1.take_valid.val();
            self.take_read.next = bit_cast::<12, 16>(self.app1.take_read.val());
            self.take_write.next = bit_cast::<12, 16>(self.app1.take_write.val());
            self.take_close.next = self.app1.take_close.val();
            self.take_abort.next = self.app1.take_abort.val();
            self.rx_ready.next = self.app1.rx_ready.val();
            self.tx_valid.next = self.app1.tx_valid.val();
            self.tx_data.next = self.app1.tx_data.val();
        }
        if self.is_2.val() {
            self.taken.next = self.offering.val() & self.app2.take_valid.val();
            self.take_read.next = bit_cast::<12, 16>(self.app2.take_read.val());
            self.take_write.next = bit_cast::<12, 16>(self.app2.take_write.val());
            self.take_close.next = self.app2.take_close.val();
            self.take_abort.next = self.app2.take_abort.val();
            self.rx_ready.next = self.app2.rx_ready.val();
            self.tx_valid.next = self.app2.tx_valid.val();
            self.tx_data.next = self.app2.tx_data.val();
        }
        self.rx_start_now.next = self.taken.val() & self.take_read.val().any();
        self.tx_start_now.next = self.taken.val() & self.take_write.val().any();

        // ---- the engine's notes ----
        // A visit in `Check` or `Modify` writes what it has read the cycle before: the note waits. While one is noted, no visit reads.
        self.note.next = self.notify.val()
            & !self.r.q.val().noting
            & (self.r.q.val().state != State::Clear)
            & (self.r.q.val().state != State::Check)
            & (self.r.q.val().state != State::Modify);
        self.r.d.next.noting = self.note.val();
        self.command.done.next = self.r.q.val().noting;
        self.command.ok.next = false;
        self.command.result.next = bits::<32>(0);
        self.command.result2.next = bits::<32>(0);

        // ---- status ----
        self.status.read_address.next = self.r.q.val().conn;
        if self.notify.val() {
            self.status.read_address.next = self.command.conn.val();
        }
        self.status.write_address.next = self.r.q.val().conn;
        self.status.write_enable.next = false;
        self.written.next.open = self.known.val().open;
        self.written.next.owner = self.known.val().owner;
        self.written.next.fin = self.known.val().fin;
        self.written.next.new = self.known.val().new;
        self.written.next.closed = self.known.val().closed;
        self.written.next.over = self.known.val().over;
        if self.r.q.val().noting {
            self.status.write_address.next = self.command.conn.val();
            self.status.write_enable.next = true;
            if self.command.imm.val() == self.open_kind.val() {
                self.written.next.open = true;
                self.written.next.owner = bit_cast::<2, 32>(self.command.b.val());
                self.written.next.fin = false;
                self.written.next.new = true;
                self.written.next.closed = false;
                self.written.next.over = false;
            } else if self.command.imm.val() == self.fin_kind.val() {
                self.written.next.fin = true;
            } else {
                self.written.next.over = true;
            }
        } else if self.r.q.val().state == State::Modify {
            self.status.write_enable.next = true;
            self.written.next.new = false;
            self.written.next.closed =
                self.r.q.val().closed | self.r.q.val().closing | self.r.q.val().aborting;
        } else {
            self.status.write_enable.next = (self.r.q.val().state == State::Clear)
                | ((self.r.q.val().state == State::Check) & self.known.val().over);
            self.written.next.open = false;
            self.written.next.owner = bits::<2>(0);
            self.written.next.fin = false;
            self.written.next.new = false;
            self.written.next.closed = false;
            self.written.next.over = false;
        }
        self.status.write_data.next = self.written.val();

        // ---- state machine ----
        self.pass.next = false;
        self.seen.next = self.r.q.val().seen;
        match self.r.q.val().state {
            State::Clear => {
                self.pass.next = true;
                if !self.at_last.val() {
                    self.r.d.next.state = State::Clear;
                }
            }
            State::Look => {
                if !self.notify.val() {
                    self.r.d.next.state = State::Check;
                }
            }
            State::Check => {
                self.seen.next = self.r.q.val().seen | self.known.val().open;
                self.r.d.next.owner = self.known.val().owner;
                self.r.d.next.fin = self.known.val().fin;
                self.r.d.next.new = self.known.val().new;
                self.r.d.next.closed = self.known.val().closed;
                self.r.d.next.post_bit = self.released_bit.val();
                self.r.d.next.writable = bits::<12>(0);
                self.pass.next = true;
                if self.known.val().over {
                    self.pass.next = false;
                    self.r.d.next.state = State::Post;
                } else if self.known.val().open & (self.known.val().owner != bits::<2>(3)) {
                    self.pass.next = false;
                    self.r.d.next.rx_asked = true;
                    self.r.d.next.tx_asked = !self.known.val().closed;
                    self.r.d.next.state = State::Query;
                }
            }
            State::Query => {
                if self.rx_query_done.val() {
                    self.r.d.next.rx_asked = false;
                    self.r.d.next.readable = bit_cast::<12, 11>(self.readable_low.val());
                    if self.readable_high.val().any() {
                        self.r.d.next.readable = bits::<12>(0x800);
                    }
                }
                if self.tx_query_done.val() {
                    self.r.d.next.tx_asked = false;
                    self.r.d.next.writable = bit_cast::<12, 11>(self.writable_low.val());
                    if self.writable_high.val().any() {
                        self.r.d.next.writable = bits::<12>(0x800);
                    }
                }
                if !self.r.q.val().rx_asked & !self.r.q.val().tx_asked {
                    self.r.d.next.state = State::Offer;
                }
            }
            State::Offer => {
                self.r.d.next.rx_busy = self.rx_start_now.val();
                self.r.d.next.tx_busy = self.tx_start_now.val();
                self.r.d.next.closing = self.take_close.val() & !self.r.q.val().closed;
                self.r.d.next.aborting = self.take_abort.val();
                if self.taken.val() {
                    self.r.d.next.state = State::Again;
                }
            }
            State::Again => {
                if !self.notify.val() {
                    self.r.d.next.state = State::Modify;
                }
            }
            State::Modify => {
                self.r.d.next.post_bit = self.close_bit.val();
                if self.r.q.val().aborting {
                    self.r.d.next.post_bit = self.abort_bit.val();
                }
                self.r.d.next.state = State::Burst;
            }
            State::Burst => {
                if !self.r.q.val().rx_busy & !self.r.q.val().tx_busy {
                    if self.r.q.val().closing | self.r.q.val().aborting {
                        self.r.d.next.state = State::Post;
                    } else {
                        self.pass.next = true;
                    }
                }
            }
            State::Post => {
                self.pass.next = self.post.ready.val();
            }
            _ => {
                self.r.d.next.state = State::Clear;
            }
        }
        if self.rx_burst_done.val() {
            self.r.d.next.rx_busy = false;
        }
        if self.tx_burst_done.val() {
            self.r.d.next.tx_busy = false;
        }
        self.r.d.next.seen = self.seen.val();
        if self.pass.val() {
            self.r.d.next.conn = self.r.q.val().conn + bits::<10>(1);
            if self.r.q.val().state != State::Clear {
                self.r.d.next.state = State::Look;
            }
            if self.at_last.val() {
                self.r.d.next.conn = bits::<10>(0);
                self.r.d.next.state = State::Look;
                self.r.d.next.any_open = self.seen.val();
                self.r.d.next.seen = false;
            }
        }

        // ---- outputs: rings and events ----
        self.rx_query_valid.next = self.r.q.val().rx_asked;
        self.rx_query_conn.next = self.r.q.val().conn;
        self.rx_start.next = self.rx_start_now.val();
        self.rx_start_conn.next = self.r.q.val().conn;
        self.rx_start_count.next = bit_cast::<16, 12>(self.take_read.val());
        self.rx.ready.next = self.rx_ready.val() & self.r.q.val().rx_busy;
        self.tx_query_valid.next = self.r.q.val().tx_asked;
        self.tx_query_conn.next = self.r.q.val().conn;
        self.tx_start.next = self.tx_start_now.val();
        self.tx_start_conn.next = self.r.q.val().conn;
        self.tx_start_count.next = bit_cast::<16, 12>(self.take_write.val());
        self.tx.valid.next = self.tx_valid.val() & self.r.q.val().tx_busy;
        self.tx.data.next = self.tx_data.val();
        self.tx.last.next = false;
        self.tx.error.next = false;
        self.post.valid.next = self.r.q.val().state == State::Post;
        self.post.conn.next = self.r.q.val().conn;
        self.post.bit.next = self.r.q.val().post_bit;
        self.any_open.next = self.r.q.val().any_open;

        // ---- outputs: offers and bytes ----
        self.app0.offer_valid.next = self.offering.val() & self.is_0.val();
        self.app0.offer_conn.next = self.r.q.val().conn;
        self.app0.offer_readable.next = self.readable.val();
        self.app0.offer_writable.next = self.writable.val();
        self.app0.offer_fin.next = self.fin.val();
        self.app0.offer_new.next = self.r.q.val().new;
        self.app0.rx_valid.next = self.rx.valid.val() & self.r.q.val().rx_busy & self.is_0.val();
        self.app0.rx_data.next = self.rx.data.val();
        self.app0.tx_ready.next = self.tx.ready.val() & self.r.q.val().tx_busy & self.is_0.val();
        self.app1.offer_valid.next = self.offering.val() & self.is_1.val();
        self.app1.offer_conn.next = self.r.q.val().conn;
        self.app1.offer_readable.next = self.readable.val();
        self.app1.offer_writable.next = self.writable.val();
        self.app1.offer_fin.next = self.fin.val();
        self.app1.offer_new.next = self.r.q.val().new;
        self.app1.rx_valid.next = self.rx.valid.val() & self.r.q.val().rx_busy & self.is_1.val();
        self.app1.rx_data.next = self.rx.data.val();
        self.app1.tx_ready.next = self.tx.ready.val() & self.r.q.val().tx_busy & self.is_1.val();
        self.app2.offer_valid.next = self.offering.val() & self.is_2.val();
        self.app2.offer_conn.next = self.r.q.val().conn;
        self.app2.offer_readable.next = self.readable.val();
        self.app2.offer_writable.next = self.writable.val();
        self.app2.offer_fin.next = self.fin.val();
        self.app2.offer_new.next = self.r.q.val().new;
        self.app2.rx_valid.next = self.rx.valid.val() & self.r.q.val().rx_busy & self.is_2.val();
        self.app2.rx_data.next = self.rx.data.val();
        self.app2.tx_ready.next = self.tx.ready.val() & self.r.q.val().tx_busy & self.is_2.val();

        // ---- reset ----
        if self.reset.val() {
            self.r.d.next.state = State::Clear;
            self.r.d.next.noting = false;
            self.r.d.next.conn = bits::<10>(0);
            self.r.d.next.rx_asked = false;
            self.r.d.next.tx_asked = false;
            self.r.d.next.rx_busy = false;
            self.r.d.next.tx_busy = false;
            self.r.d.next.seen = false;
            self.r.d.next.any_open = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{chargen::Chargen, discard::Discard, echo::Echo};
    use super::*;
    use crate::tcp::model::blocks::chargen;
    use rand::{rngs::StdRng, Rng, SeedableRng};
    use std::cell::RefCell;
    use std::collections::{BTreeMap, VecDeque};

    /// The switch with its three applications.
    #[derive(LogicBlock)]
    struct Joined {
        pub clock: Signal<In, Clock>,
        pub reset: Signal<In, Bit>,
        pub command: CommandIn,
        pub post: PostOut,
        pub rx_query_valid: Signal<Out, Bit>,
        pub rx_query_conn: Signal<Out, Bits<10>>,
        pub rx_query_done: Signal<In, Bit>,
        pub rx_readable: Signal<In, Bits<16>>,
        pub rx_start: Signal<Out, Bit>,
        pub rx_start_conn: Signal<Out, Bits<10>>,
        pub rx_start_count: Signal<Out, Bits<16>>,
        pub rx: StreamIn,
        pub rx_burst_done: Signal<In, Bit>,
        pub tx_query_valid: Signal<Out, Bit>,
        pub tx_query_conn: Signal<Out, Bits<10>>,
        pub tx_query_done: Signal<In, Bit>,
        pub tx_writable: Signal<In, Bits<16>>,
        pub tx_start: Signal<Out, Bit>,
        pub tx_start_conn: Signal<Out, Bits<10>>,
        pub tx_start_count: Signal<Out, Bits<16>>,
        pub tx: StreamOut,
        pub tx_burst_done: Signal<In, Bit>,
        pub any_open: Signal<Out, Bit>,
        switch: Switch,
        echo: Echo,
        discard: Discard,
        chargen: Chargen,
    }

    impl Joined {
        fn new(connections: usize) -> Self {
            Self {
                clock: Default::default(),
                reset: Default::default(),
                command: Default::default(),
                post: Default::default(),
                rx_query_valid: Default::default(),
                rx_query_conn: Default::default(),
                rx_query_done: Default::default(),
                rx_readable: Default::default(),
                rx_start: Default::default(),
                rx_start_conn: Default::default(),
                rx_start_count: Default::default(),
                rx: Default::default(),
                rx_burst_done: Default::default(),
                tx_query_valid: Default::default(),
                tx_query_conn: Default::default(),
                tx_query_done: Default::default(),
                tx_writable: Default::default(),
                tx_start: Default::default(),
                tx_start_conn: Default::default(),
                tx_start_count: Default::default(),
                tx: Default::default(),
                tx_burst_done: Default::default(),
                any_open: Default::default(),
                switch: Switch::new(connections),
                echo: Default::default(),
                discard: Default::default(),
                chargen: Chargen::new(connections),
            }
        }
    }

    impl Logic for Joined {
        #[hdl_gen]
        fn update(&mut self) {
            self.switch.clock.next = self.clock.val();
            self.chargen.clock.next = self.clock.val();
            self.switch.reset.next = self.reset.val();
            self.chargen.reset.next = self.reset.val();
            AppOut::join(&mut self.switch.app0, &mut self.echo.app);
            AppOut::join(&mut self.switch.app1, &mut self.discard.app);
            AppOut::join(&mut self.switch.app2, &mut self.chargen.app);
            CommandIn::link(&mut self.command, &mut self.switch.command);
            PostOut::link(&mut self.post, &mut self.switch.post);
            StreamIn::link(&mut self.rx, &mut self.switch.rx);
            StreamOut::link(&mut self.tx, &mut self.switch.tx);
            self.rx_query_valid.next = self.switch.rx_query_valid.val();
            self.rx_query_conn.next = self.switch.rx_query_conn.val();
            self.switch.rx_query_done.next = self.rx_query_done.val();
            self.switch.rx_readable.next = self.rx_readable.val();
            self.rx_start.next = self.switch.rx_start.val();
            self.rx_start_conn.next = self.switch.rx_start_conn.val();
            self.rx_start_count.next = self.switch.rx_start_count.val();
            self.switch.rx_burst_done.next = self.rx_burst_done.val();
            self.tx_query_valid.next = self.switch.tx_query_valid.val();
            self.tx_query_conn.next = self.switch.tx_query_conn.val();
            self.switch.tx_query_done.next = self.tx_query_done.val();
            self.switch.tx_writable.next = self.tx_writable.val();
            self.tx_start.next = self.switch.tx_start.val();
            self.tx_start_conn.next = self.switch.tx_start_conn.val();
            self.tx_start_count.next = self.switch.tx_start_count.val();
            self.switch.tx_burst_done.next = self.tx_burst_done.val();
            self.any_open.next = self.switch.any_open.val();
        }
    }

    const ECHO: usize = 0;
    const DISCARD: usize = 1;
    const CHARGEN: usize = 2;
    const HOST: usize = 3;

    #[derive(Clone, Copy, Debug, PartialEq, Default)]
    enum Life {
        /// The engine may open it.
        #[default]
        Free,
        Open,
        /// `CLOSED` or `RESET` was answered.
        Over,
    }

    /// A connection, as its peer and its engine see it.
    #[derive(Clone, Default)]
    struct Peer {
        life: Life,
        owner: usize,
        /// Bytes in the receive ring, and all that ever were.
        ring: VecDeque<u8>,
        sent: Vec<u8>,
        /// Bytes the peer still wants to send before its FIN.
        to_send: usize,
        fin: bool,
        space: usize,
        never_space: bool,
        got: Vec<u8>,
        closes: usize,
        wants_end: bool,
    }

    /// A ring's side facing the switch.
    #[derive(Clone, Copy, Debug, PartialEq, Default)]
    enum Side {
        #[default]
        Idle,
        /// Asked about this connection.
        Query(usize, u32),
        /// Bytes left, and cycles until the first.
        Burst(usize, usize, u32),
        Finish(u32),
    }

    /// Rings, engine and event queue round the switch.
    struct World {
        peers: Vec<Peer>,
        rx: Side,
        tx: Side,
        told_rx: Option<(usize, usize)>,
        told_tx: Option<(usize, usize)>,
        /// Cycles a ring takes, at most; 0: always the least. Idles in the streams if more.
        delays: u32,
        command: Option<(usize, u8)>,
        command_since: u64,
        other_command: bool,
        post_held: Option<(u64, u64)>,
        rx_offered: bool,
        tx_held: Option<u8>,
        starts: Vec<(&'static str, usize, usize)>,
        lives: bool,
        cycle: u64,
        longest_note: u64,
        counts: BTreeMap<&'static str, u64>,
    }

    fn number<const N: usize>(bits: Bits<N>) -> usize {
        let number: u64 = bits.to_u64();
        number as usize
    }

    impl World {
        fn new(connections: usize, delays: u32) -> Self {
            Self {
                peers: vec![Peer::default(); connections],
                rx: Side::Idle,
                tx: Side::Idle,
                told_rx: None,
                told_tx: None,
                delays,
                command: None,
                command_since: 0,
                other_command: false,
                post_held: None,
                rx_offered: false,
                tx_held: None,
                starts: vec![],
                lives: true,
                cycle: 0,
                longest_note: 0,
                counts: BTreeMap::new(),
            }
        }

        fn saw(&mut self, what: &'static str) {
            *self.counts.entry(what).or_default() += 1;
        }

        fn delay(&self, rng: &mut impl Rng) -> u32 {
            rng.random_range(0..=self.delays)
        }

        /// What the engine would tell the switch now.
        fn choose(&mut self, rng: &mut impl Rng) -> Option<(usize, u8)> {
            let conn = rng.random_range(0..self.peers.len());
            let lives = self.lives;
            let peer = &mut self.peers[conn];
            match peer.life {
                Life::Free if lives => {
                    *peer = Peer {
                        owner: [0, 0, 1, 2, 2, 3][rng.random_range(0..6)],
                        to_send: [0, 1, 50, 300, 50, 9, 2500][rng.random_range(0..7)],
                        space: [0, 1, 30, 700, 0, 9, 3000][rng.random_range(0..7)],
                        wants_end: true,
                        ..Peer::default()
                    };
                    Some((conn, isa::notify::OPEN))
                }
                Life::Open if !peer.wants_end => None,
                Life::Open if !peer.fin && peer.to_send == 0 => {
                    peer.fin = true;
                    Some((conn, isa::notify::PEER_FIN))
                }
                // After the FIN of both, or, sometimes, at any time.
                Life::Open if peer.closes > 0 && rng.random_bool(0.2) => {
                    Some((conn, isa::notify::CLOSED))
                }
                Life::Open if rng.random_bool(if peer.owner == HOST { 0.1 } else { 0.003 }) => {
                    Some((conn, isa::notify::RESET))
                }
                _ => None,
            }
        }

        fn drive(&mut self, uut: &mut Joined, rng: &mut impl Rng) {
            uut.reset.next = self.cycle < 2;
            // Peers.
            for peer in &mut self.peers {
                if peer.life == Life::Open && peer.to_send > 0 && rng.random_bool(0.05) {
                    let count = rng.random_range(1..=peer.to_send);
                    let room = 4096 - peer.ring.len();
                    for _ in 0..count.min(room) {
                        let byte = rng.random();
                        peer.ring.push_back(byte);
                        peer.sent.push(byte);
                        peer.to_send -= 1;
                    }
                }
                if !peer.never_space && rng.random_bool(0.003) {
                    peer.space = (peer.space + rng.random_range(1..200)).min(3000);
                }
            }
            // Engine.
            if self.command.is_none()
                && self.cycle > self.peers.len() as u64 + 3
                && rng.random_bool(0.3)
            {
                self.command = self.choose(rng);
                self.command_since = self.cycle;
            }
            self.other_command = self.command.is_none() && rng.random_bool(0.3);
            uut.command.valid.next = self.command.is_some() || self.other_command;
            uut.command.code.next = (isa::cmd::LOOKUP as u64).into();
            uut.command.imm.next = rng.random_range(0..4_u64).into();
            uut.command.conn.next = (rng.random_range(0..self.peers.len()) as u64).into();
            uut.command.b.next = u64::from(rng.random::<u32>()).into();
            if let Some((conn, kind)) = self.command {
                uut.command.code.next = (isa::cmd::NOTIFY as u64).into();
                uut.command.imm.next = u64::from(kind).into();
                uut.command.conn.next = (conn as u64).into();
                uut.command.b.next = (self.peers[conn].owner as u64).into();
            }
            uut.post.ready.next = rng.random_bool(0.4);
            // Receive ring.
            uut.rx_query_done.next = false;
            uut.rx_readable.next = u64::from(rng.random::<u16>()).into();
            uut.rx_burst_done.next = false;
            match self.rx {
                Side::Query(conn, 0) => {
                    uut.rx_query_done.next = true;
                    uut.rx_readable.next = (self.peers[conn].ring.len() as u64).into();
                }
                Side::Burst(conn, _, 0) => {
                    self.rx_offered |= self.delays == 0 || rng.random_bool(0.8);
                    uut.rx.data.next = u64::from(self.peers[conn].ring[0]).into();
                }
                Side::Finish(0) => uut.rx_burst_done.next = true,
                _ => uut.rx.data.next = u64::from(rng.random::<u8>()).into(),
            }
            uut.rx.valid.next = self.rx_offered;
            // Send ring.
            uut.tx_query_done.next = false;
            uut.tx_writable.next = u64::from(rng.random::<u16>()).into();
            uut.tx_burst_done.next = false;
            uut.tx.ready.next = false;
            match self.tx {
                Side::Query(conn, 0) => {
                    uut.tx_query_done.next = true;
                    uut.tx_writable.next = (self.peers[conn].space as u64).into();
                }
                Side::Burst(_, _, 0) => {
                    uut.tx.ready.next = self.delays == 0 || rng.random_bool(0.8);
                }
                Side::Finish(0) => uut.tx_burst_done.next = true,
                _ => {}
            }
        }

        /// Just before the rising edge.
        fn observe(&mut self, uut: &Joined, rng: &mut impl Rng) {
            let cycle = self.cycle;
            self.cycle += 1;
            if cycle < 2 {
                return;
            }
            self.receive_ring(uut, rng);
            self.send_ring(uut, rng);
            self.engine(uut);
        }

        fn receive_ring(&mut self, uut: &Joined, rng: &mut impl Rng) {
            let delay = self.delay(rng);
            let asked = uut.rx_query_valid.val();
            let conn = number(uut.rx_query_conn.val());
            let start = uut.rx_start.val();
            self.rx = match self.rx {
                Side::Idle if asked => Side::Query(conn, 2 + delay),
                Side::Idle => Side::Idle,
                Side::Query(of, left) => {
                    assert!(asked && conn == of, "a query was changed");
                    if left > 0 {
                        Side::Query(of, left - 1)
                    } else {
                        self.told_rx = Some((of, self.peers[of].ring.len()));
                        self.saw("query");
                        Side::Idle
                    }
                }
                Side::Burst(of, left, 0) => {
                    if self.rx_offered && uut.rx.ready.val() {
                        self.rx_offered = false;
                        self.peers[of].ring.pop_front();
                        match left {
                            1 => Side::Finish(2 + delay),
                            _ => Side::Burst(of, left - 1, 0),
                        }
                    } else {
                        self.rx
                    }
                }
                Side::Burst(of, left, wait) => Side::Burst(of, left, wait - 1),
                Side::Finish(0) => Side::Idle,
                Side::Finish(left) => Side::Finish(left - 1),
            };
            if start {
                assert_eq!(self.rx, Side::Idle, "a second burst");
                let (of, most) = self.told_rx.take().expect("a query before a burst");
                let count = number(uut.rx_start_count.val());
                assert_eq!(number(uut.rx_start_conn.val()), of);
                assert!((1..=most.min(TURN.into())).contains(&count));
                assert_ne!(self.peers[of].life, Life::Free);
                self.starts.push(("rx", of, count));
                self.rx = Side::Burst(of, count, 3 + delay);
            }
        }

        fn send_ring(&mut self, uut: &Joined, rng: &mut impl Rng) {
            let delay = self.delay(rng);
            let asked = uut.tx_query_valid.val();
            let conn = number(uut.tx_query_conn.val());
            let start = uut.tx_start.val();
            let valid = uut.tx.valid.val();
            let data = number(uut.tx.data.val()) as u8;
            self.tx = match self.tx {
                Side::Idle if asked => Side::Query(conn, 3 + delay),
                Side::Idle => {
                    assert!(!valid, "a byte outside a burst");
                    Side::Idle
                }
                Side::Query(of, left) => {
                    assert!(asked && conn == of, "a query was changed");
                    if left > 0 {
                        Side::Query(of, left - 1)
                    } else {
                        self.told_tx = Some((of, self.peers[of].space));
                        Side::Idle
                    }
                }
                Side::Burst(of, left, wait) => {
                    if let Some(held) = self.tx_held.take() {
                        assert!(valid && data == held, "a byte was taken back");
                    }
                    if valid && uut.tx.ready.val() {
                        let peer = &mut self.peers[of];
                        assert_eq!(peer.closes, 0, "a byte after the FIN");
                        peer.got.push(data);
                        peer.space -= 1;
                        match left {
                            1 => Side::Finish(1 + delay),
                            _ => Side::Burst(of, left - 1, 0),
                        }
                    } else {
                        self.tx_held = valid.then_some(data);
                        Side::Burst(of, left, wait.saturating_sub(1))
                    }
                }
                Side::Finish(0) => Side::Idle,
                Side::Finish(left) => Side::Finish(left - 1),
            };
            if start {
                assert_eq!(self.tx, Side::Idle, "a second burst");
                let (of, most) = self.told_tx.take().expect("a query before a burst");
                let count = number(uut.tx_start_count.val());
                assert_eq!(number(uut.tx_start_conn.val()), of);
                assert!((1..=most.min(TURN.into())).contains(&count));
                assert_ne!(self.peers[of].life, Life::Free);
                self.starts.push(("tx", of, count));
                self.tx = Side::Burst(of, count, 3 + delay);
            }
        }

        fn engine(&mut self, uut: &Joined) {
            let post = (
                number(uut.post.conn.val()) as u64,
                number(uut.post.bit.val()) as u64,
            );
            if let Some(held) = self.post_held.take() {
                assert!(
                    uut.post.valid.val() && held == post,
                    "an event was taken back"
                );
            }
            if uut.post.valid.val() {
                if uut.post.ready.val() {
                    self.posted(post.0 as usize, post.1 as u8);
                } else {
                    self.post_held = Some(post);
                }
            }
            if !uut.command.done.val() {
                assert!(self.cycle - self.command_since < 50 || self.command.is_none());
                return;
            }
            let (conn, kind) = self.command.take().expect("done without a command");
            self.longest_note = self.longest_note.max(self.cycle - self.command_since);
            let bursting = matches!(self.tx, Side::Burst(of, ..) if of == conn);
            let peer = &mut self.peers[conn];
            match kind {
                isa::notify::OPEN => peer.life = Life::Open,
                isa::notify::PEER_FIN => {}
                _ => peer.life = Life::Over,
            }
            self.saw(["open", "fin", "closed", "reset"][kind as usize]);
            if bursting {
                self.saw("noted in its own burst");
            }
        }

        fn posted(&mut self, conn: usize, bit: u8) {
            let peer = &mut self.peers[conn];
            match bit {
                isa::pending::CLOSE => {
                    assert!(peer.fin, "closed before the peer");
                    peer.closes += 1;
                    assert_eq!(peer.closes, 1, "closed twice");
                    peer.check();
                    assert!(
                        peer.ring.is_empty() && peer.to_send == 0,
                        "closed too early"
                    );
                    if peer.owner == ECHO {
                        assert_eq!(peer.got.len(), peer.sent.len());
                    }
                    let owner = peer.owner;
                    self.saw(["echo closed", "discard closed", "chargen closed"][owner]);
                }
                isa::pending::RELEASED => {
                    assert_eq!(peer.life, Life::Over, "released unasked");
                    peer.check();
                    peer.life = Life::Free;
                    assert!(matches!(self.rx, Side::Idle) && matches!(self.tx, Side::Idle));
                    self.saw("released");
                }
                _ => panic!("event {bit}"),
            }
        }

        fn open(&mut self, uut: &mut Joined, rng: &mut StdRng, conn: usize, peer: Peer) {
            let owner = peer.owner;
            self.peers[conn] = peer;
            self.tell(uut, rng, conn, isa::notify::OPEN);
            assert_eq!(self.peers[conn].owner, owner);
        }

        fn tell(&mut self, uut: &mut Joined, rng: &mut StdRng, conn: usize, kind: u8) {
            self.command = Some((conn, kind));
            self.command_since = self.cycle;
            while self.command.is_some() {
                self.step(uut, rng);
            }
        }

        fn step(&mut self, uut: &mut Joined, rng: &mut StdRng) {
            self.drive(uut, rng);
            settle(uut);
            self.observe(uut, rng);
            uut.clock.next = Clock { clk: true };
            settle(uut);
            uut.clock.next = Clock { clk: false };
            settle(uut);
        }
    }

    impl Peer {
        /// What came back is what its application should have sent.
        fn check(&self) {
            match self.owner {
                ECHO => assert_eq!(self.got, self.sent[..self.got.len()]),
                CHARGEN => {
                    for (n, byte) in self.got.iter().enumerate() {
                        assert_eq!(*byte, chargen(n as u32), "character {n}");
                    }
                }
                _ => assert!(self.got.is_empty()),
            }
        }
    }

    fn settle(uut: &mut Joined) {
        for _ in 0..50 {
            uut.update_all();
            if !uut.has_changed() {
                return;
            }
        }
        panic!("does not settle");
    }

    fn make(connections: usize) -> Joined {
        let mut uut = Joined::new(connections);
        uut.connect_all();
        settle(&mut uut);
        uut
    }

    /// A world in which nothing happens by itself.
    fn quiet(connections: usize, delays: u32) -> (World, Joined, StdRng) {
        let mut world = World::new(connections, delays);
        world.lives = false;
        let mut uut = make(connections);
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..connections + 6 {
            world.step(&mut uut, &mut rng);
        }
        (world, uut, rng)
    }

    /// Connections of all owners come, talk, close and break off; every byte is right, every close in time and once, every release after its end.
    #[test]
    fn serves_many_lives() {
        let mut noted = 0;
        for (connections, delays) in [(1, 0), (2, 5), (4, 0), (16, 3)] {
            let mut world = World::new(connections, delays);
            let mut uut = make(connections);
            let mut rng = StdRng::seed_from_u64(connections as u64);
            for _ in 0..60_000 {
                world.step(&mut uut, &mut rng);
            }
            for what in [
                "echo closed",
                "discard closed",
                "chargen closed",
                "released",
                "reset",
            ] {
                let count = world.counts.get(what).copied().unwrap_or(0);
                assert!(count > 3, "{what}: {:?}", world.counts);
            }
            noted += world.counts.get("noted in its own burst").unwrap_or(&0);
            assert!(world.longest_note <= 3, "{}", world.longest_note);
        }
        assert!(
            noted > 10,
            "{noted} notes during a burst of their connection"
        );
    }

    /// Turns end at 2,048 bytes.
    #[test]
    fn cuts_turns() {
        for count in [0usize, 1, 2047, 2048, 2049, 4096] {
            for owner in [ECHO, DISCARD, CHARGEN] {
                let (mut world, mut uut, mut rng) = quiet(2, 0);
                let sent: Vec<u8> = (0..count).map(|n| (n * 7) as u8).collect();
                let peer = Peer {
                    owner,
                    ring: sent.clone().into(),
                    sent,
                    space: count,
                    never_space: true,
                    ..Peer::default()
                };
                world.open(&mut uut, &mut rng, 1, peer);
                for _ in 0..count + 200 {
                    world.step(&mut uut, &mut rng);
                }
                let mut turns = vec![TURN as usize; count / TURN as usize];
                if count % TURN as usize > 0 {
                    turns.push(count % TURN as usize);
                }
                for (ring, reads) in [("rx", true), ("tx", owner != DISCARD)] {
                    let counts: Vec<usize> = world
                        .starts
                        .iter()
                        .filter(|start| start.0 == ring)
                        .map(|start| start.2)
                        .collect();
                    assert_eq!(counts, if reads { turns.clone() } else { vec![] }, "{ring}");
                }
                world.peers[1].check();
                assert!(world.peers[1].ring.is_empty());
            }
        }
    }

    /// One peer that takes nothing; three echoes go on, and the blocked one is served when it can be.
    #[test]
    fn a_blocked_peer_holds_nobody() {
        let (mut world, mut uut, mut rng) = quiet(4, 0);
        for conn in 0..4 {
            let peer = Peer {
                owner: ECHO,
                to_send: 10_000,
                never_space: conn == 0,
                ..Peer::default()
            };
            world.open(&mut uut, &mut rng, conn, peer);
        }
        for _ in 0..60_000 {
            world.step(&mut uut, &mut rng);
            for peer in &mut world.peers[1..] {
                peer.space = 3000;
            }
        }
        assert!(world.peers[0].got.is_empty());
        for peer in &world.peers[1..] {
            assert_eq!(peer.got.len(), 10_000);
            peer.check();
        }
        world.peers[0].space = 5;
        for _ in 0..200 {
            world.step(&mut uut, &mut rng);
        }
        assert_eq!(world.peers[0].got.len(), 5);
        world.peers[0].check();
    }

    /// The header's numbers.
    #[test]
    fn takes_the_cycles_it_says() {
        let (mut world, mut uut, mut rng) = quiet(8, 0);
        let mut asked = vec![];
        let peer = |owner| Peer {
            owner,
            never_space: true,
            ..Peer::default()
        };
        world.open(&mut uut, &mut rng, 3, peer(ECHO));
        let mut before = false;
        for _ in 0..200 {
            world.step(&mut uut, &mut rng);
            let now = uut.tx_query_valid.val();
            if now && !before {
                asked.push(world.cycle);
            }
            before = now;
        }
        // Seven without owner; query 5 in this model, answer 1, no burst.
        for pair in asked.windows(2) {
            assert_eq!(pair[1] - pair[0], 7 * 2 + 4 + 5 + 1 + 2);
        }
        assert!(asked.len() > 3 && uut.any_open.val());
        // The longer burst: 3 cycles of this model, the bytes, 3 more.
        asked.clear();
        world.peers[3].ring = vec![9; 1000].into();
        world.peers[3].sent = vec![9; 1000];
        world.peers[3].space = 1000;
        while asked.len() < 3 {
            world.step(&mut uut, &mut rng);
            let now = uut.tx_query_valid.val();
            if now && !before {
                asked.push(world.cycle);
            }
            before = now;
        }
        let longest = asked.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert_eq!(longest, Some(7 * 2 + 4 + 5 + 1 + 3 + 1000 + 3));
        world.tell(&mut uut, &mut rng, 3, isa::notify::CLOSED);
        for _ in 0..100 {
            world.step(&mut uut, &mut rng);
        }
        assert_eq!(world.counts["released"], 1);
        assert!(!uut.any_open.val());
    }

    /// An application that aborts: `abort` is posted after its burst, nothing more is offered for writing, and the engine's `RESET` is answered.
    #[test]
    fn an_abort_is_posted_behind_the_bytes_of_its_take() {
        fn step(uut: &mut Switch, at: &mut dyn FnMut(&mut Switch)) {
            for clk in [false, true] {
                uut.clock.next = Clock { clk };
                uut.update_all();
                while uut.has_changed() {
                    uut.update_all();
                }
                if !clk {
                    at(uut);
                    uut.update_all();
                    while uut.has_changed() {
                        uut.update_all();
                    }
                }
            }
        }
        let mut uut = Switch::new(2);
        uut.connect_all();
        uut.rx_readable.next = bits::<16>(0);
        uut.tx_writable.next = bits::<16>(100);
        uut.post.ready.next = true;
        uut.command.conn.next = bits::<10>(1);
        uut.command.code.next = u64::from(isa::cmd::NOTIFY).into();
        uut.command.b.next = (DISCARD as u64).into();
        for _ in 0..5 {
            step(&mut uut, &mut |_| {});
        }
        let notify = |uut: &mut Switch, kind: u8| {
            uut.command.imm.next = u64::from(kind).into();
            uut.command.valid.next = true;
            let mut done = false;
            while !done {
                step(uut, &mut |uut| done = uut.command.done.val());
            }
            uut.command.valid.next = false;
        };
        notify(&mut uut, isa::notify::OPEN);
        let (mut posts, mut began, mut offers) = (vec![], None, 0);
        for cycle in 0..200 {
            step(&mut uut, &mut |uut| {
                uut.rx_query_done.next = uut.rx_query_valid.val();
                uut.tx_query_done.next = uut.tx_query_valid.val();
                // The ring has had the three bytes ten cycles after the take.
                uut.tx_burst_done.next = began.is_some_and(|at| cycle == at + 10);
                uut.app1.take_valid.next = uut.app1.offer_valid.val();
                uut.app1.take_abort.next = began.is_none();
                uut.app1.take_write.next = bits::<16>(0);
                if uut.app1.offer_valid.val() {
                    offers += 1;
                    if began.is_none() {
                        assert_eq!(number(uut.app1.offer_writable.val()), 100);
                        uut.app1.take_write.next = bits::<16>(3);
                        began = Some(cycle);
                    } else {
                        assert_eq!(number(uut.app1.offer_writable.val()), 0);
                    }
                }
                if uut.post.valid.val() {
                    posts.push((
                        cycle,
                        number(uut.post.conn.val()),
                        number(uut.post.bit.val()),
                    ));
                }
            });
        }
        let began = began.expect("an offer");
        assert!(offers > 1);
        let (at, conn, bit) = posts[0];
        assert_eq!(
            (posts.len(), conn, bit),
            (1, 1, isa::pending::ABORT as usize)
        );
        assert!(
            at > began + 10,
            "posted at {at}, the burst began at {began}"
        );
        posts.clear();
        notify(&mut uut, isa::notify::RESET);
        for cycle in 0..50 {
            step(&mut uut, &mut |uut| {
                uut.app1.take_valid.next = false;
                if uut.post.valid.val() {
                    posts.push((
                        cycle,
                        number(uut.post.conn.val()),
                        number(uut.post.bit.val()),
                    ));
                }
            });
        }
        assert_eq!(posts.len(), 1);
        assert_eq!(
            (posts[0].1, posts[0].2),
            (1, isa::pending::RELEASED as usize)
        );
    }

    /// A reset forgets all connections.
    #[test]
    fn a_reset_forgets() {
        let (mut world, mut uut, mut rng) = quiet(4, 0);
        for conn in 0..4 {
            let peer = Peer {
                owner: CHARGEN,
                never_space: true,
                ..Peer::default()
            };
            world.open(&mut uut, &mut rng, conn, peer);
        }
        world.cycle = 0;
        world.command_since = 0;
        for _ in 0..2 {
            world.step(&mut uut, &mut rng);
        }
        world.rx = Side::Idle;
        world.tx = Side::Idle;
        for _ in 0..50 {
            world.step(&mut uut, &mut rng);
            assert!(!uut.rx_query_valid.val() && !uut.tx_query_valid.val());
        }
        assert!(!uut.any_open.val());
    }

    #[test]
    #[should_panic(expected = "connections is 3, but must be a power of two from 1 to 1024")]
    fn refuses_odd_numbers() {
        let _ = Switch::new(3);
    }

    #[test]
    fn equals_its_verilog() {
        let world = RefCell::new(World::new(4, 3));
        let other = RefCell::new(StdRng::seed_from_u64(3));
        let report = toe_sim::lockstep::lockstep_observed(
            "switch",
            || Joined::new(4),
            |uut, clk| uut.clock.next = Clock { clk },
            30_000,
            1,
            |uut, _, rng| world.borrow_mut().drive(uut, rng),
            |uut, _| {
                world.borrow_mut().observe(uut, &mut *other.borrow_mut());
            },
        )
        .unwrap_or_else(|error| panic!("{error}"));
        let world = world.borrow();
        for what in [
            "echo closed",
            "discard closed",
            "chargen closed",
            "released",
        ] {
            assert!(world.counts[what] > 3, "{:?}", world.counts);
        }
        let still = report.never_changed();
        let constant = ["ok", "result", "last", "error"];
        assert!(
            still
                .iter()
                .all(|port| constant.iter().any(|name| port.contains(name))),
            "{still:?}"
        );
    }
}
