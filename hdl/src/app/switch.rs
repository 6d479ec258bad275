//! The application switch: lets each connection's owner read and write, one turn after another.
//!
//! Whose turn is next says a queue, as in `tcp/events`: ids in RAM, each at most once (a bit of the status says that it is in), so it can't overflow, and a turn costs the same however many connections are open.
//! A connection is put in when something may have changed for its application: at `NOTIFY`, when the receive ring's `rcv_nxt` has moved, when the send ring has freed or cut, at the application's own `wake`, and
//! at the end of a turn in which bytes were taken or the connection was closed. After an offer of which nothing is taken it is out until one of these.
//!
//! A turn takes the connection from the queue, asks both rings, makes the owner its offer, runs both bursts and passes on. What the engine notifies is only noted in the
//! status, at any time, and found in the turn that it asks for. The status is read *before* the rings are asked, and the engine commits data before it
//! notifies the FIN behind them: so a FIN that is seen with nothing readable has nothing before it.
//!
//! **No wake is lost.** The bit in the status is cleared before the rings are asked: what comes later puts the connection in again, what came before is seen. Who changes a status reads it in the cycle before;
//! the command bus is never kept waiting, so a turn or an application's wake that the bus comes between reads again.
//!
//! A connection without space or bytes is not in the queue: none waits for another's peer. Where it is built without a port for the host, a connection of owner 3 is noted, but gets no offers: its turn ends after 2 cycles.
//!
//! **Latency.** `NOTIFY` 2 cycles, 4 right behind a ring's answer, which stands in a register before it is noted; after a reset the status is cleared first, a cycle a connection. With the queue empty, from `NOTIFY` to the query 5 cycles, from a ring's answer 6, from `wake_valid` 5 to 8.
//! A turn: 3 cycles (4 alone), the longer query, the application's answer, and the longer burst from the cycle after its start to `burst_done`; more for the cycles of the bus. An event posted: until it is accepted.
//! A `wake` is taken between two turns, the applications in turn: within four, the host's within eight. **Throughput.** A byte in and a byte out a cycle, [`TURN`] at most a turn.
//! **Abort.** After `CLOSED` or `RESET` the next turn forgets the connection and posts `released`; a burst under way ends first.
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
    /// Its id is in the queue.
    queued: Bit,
}

#[derive(Copy, Clone, Debug, PartialEq, LogicState)]
enum State {
    /// After a reset: status by status.
    Clear,
    /// For an application's wake and for the queue's first.
    Look,
    /// The status of what is woken is there.
    Wake,
    /// The status of the queue's first is there.
    Check,
    Query,
    Offer,
    /// At its end the status again: it may have changed meanwhile.
    Burst,
    Post,
}

#[derive(Copy, Clone, Debug, Default, PartialEq, LogicStruct)]
struct Registers {
    state: State,
    /// A ring answered a cycle ago, for this connection: `ok` comes late in its cycle.
    changed: Bit,
    changed_conn: Bits<10>,
    /// The second cycle of a note, and of a `NOTIFY` among them.
    noting: Bit,
    telling: Bit,
    note_conn: Bits<10>,
    /// The cycle after: what is read is what was read beside the note.
    noted: Bit,
    /// The queue's, one bit wider than an id: equal when it is empty.
    first: Bits<11>,
    last: Bits<11>,
    /// The queue's first id is read.
    loaded: Bit,
    /// The application whose wake may be taken; 3: every other time the host's, else none, so that turns come between.
    whose: Bits<2>,
    host_next: Bit,
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
    moved: Bit,
    closing: Bit,
    aborting: Bit,
    post_bit: Bits<3>,
    opened: Bits<11>,
}

/// The switch.
#[derive(LogicBlock)]
pub struct Switch {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,

    /// `NOTIFY`; other commands are not answered. `OPEN` only for a connection that is not open, or was released.
    pub command: CommandIn,
    /// A ring answers the command with `ok`: in its fourth cycle at the earliest, so that turns find a cycle between. `RX_COMMIT`, `TX_CUT` and `TX_FREE` wake the connection.
    pub ring_ok: Signal<In, Bit>,
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
    /// The host's, if the switch is built for it.
    pub app3: AppOut,

    /// A connection is open.
    pub any_open: Signal<Out, Bit>,

    r: DFF<Registers>,
    status: Memory<Status, 10>,
    queue: Memory<Bits<10>, 10>,

    notify: Signal<Local, Bit>,
    note: Signal<Local, Bit>,
    safe: Signal<Local, Bit>,
    told_conn: Signal<Local, Bits<10>>,
    wake: Signal<Local, Bit>,
    wake_port: Signal<Local, Bits<10>>,
    wake_conn: Signal<Local, Bits<10>>,
    woken: Signal<Local, Bit>,
    first_address: Signal<Local, Bits<10>>,
    last_address: Signal<Local, Bits<10>>,
    first_conn: Signal<Local, Bits<10>>,
    after_first: Signal<Local, Bits<11>>,
    after_last: Signal<Local, Bits<11>>,
    filled: Signal<Local, Bit>,
    dequeue: Signal<Local, Bit>,
    subject: Signal<Local, Bits<10>>,
    push: Signal<Local, Bit>,
    again: Signal<Local, Bit>,
    bursts_over: Signal<Local, Bit>,
    opens: Signal<Local, Bit>,
    ends: Signal<Local, Bit>,
    opened: Signal<Local, Bits<11>>,
    known: Signal<Local, Status>,
    written: Signal<Local, Status>,
    readable_high: Signal<Local, Bits<5>>,
    writable_high: Signal<Local, Bits<5>>,
    readable_low: Signal<Local, Bits<11>>,
    writable_low: Signal<Local, Bits<11>>,
    is_0: Signal<Local, Bit>,
    is_1: Signal<Local, Bit>,
    is_2: Signal<Local, Bit>,
    is_3: Signal<Local, Bit>,
    host_woken: Signal<Local, Bit>,
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

    // Bits that are always zero cost nothing.
    with_host: Constant<Bit>,
    id_mask: Constant<Bits<10>>,
    count_mask: Constant<Bits<11>>,
    last_conn: Constant<Bits<10>>,
    notify_code: Constant<Bits<6>>,
    commit_code: Constant<Bits<6>>,
    cut_code: Constant<Bits<6>>,
    free_code: Constant<Bits<6>>,
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
            ring_ok: Default::default(),
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
            app3: Default::default(),
            any_open: Default::default(),
            r: Default::default(),
            status: Memory::new(connections.max(2)),
            queue: Memory::new(connections.max(2)),
            notify: Default::default(),
            note: Default::default(),
            safe: Default::default(),
            told_conn: Default::default(),
            wake: Default::default(),
            wake_port: Default::default(),
            wake_conn: Default::default(),
            woken: Default::default(),
            first_address: Default::default(),
            last_address: Default::default(),
            first_conn: Default::default(),
            after_first: Default::default(),
            after_last: Default::default(),
            filled: Default::default(),
            dequeue: Default::default(),
            subject: Default::default(),
            push: Default::default(),
            again: Default::default(),
            bursts_over: Default::default(),
            opens: Default::default(),
            ends: Default::default(),
            opened: Default::default(),
            known: Default::default(),
            written: Default::default(),
            readable_high: Default::default(),
            writable_high: Default::default(),
            readable_low: Default::default(),
            writable_low: Default::default(),
            is_0: Default::default(),
            is_1: Default::default(),
            is_2: Default::default(),
            is_3: Default::default(),
            host_woken: Default::default(),
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
            with_host: Constant::new(false),
            id_mask: Constant::new((connections as u64 - 1).into()),
            count_mask: Constant::new((2 * connections as u64 - 1).into()),
            last_conn: Constant::new((connections as u64 - 1).into()),
            notify_code: Constant::new((isa::cmd::NOTIFY as u64).into()),
            commit_code: Constant::new((isa::cmd::RX_COMMIT as u64).into()),
            cut_code: Constant::new((isa::cmd::TX_CUT as u64).into()),
            free_code: Constant::new((isa::cmd::TX_FREE as u64).into()),
            close_bit: Constant::new((isa::pending::CLOSE as u64).into()),
            abort_bit: Constant::new((isa::pending::ABORT as u64).into()),
            released_bit: Constant::new((isa::pending::RELEASED as u64).into()),
            open_kind: Constant::new((isa::notify::OPEN as u64).into()),
            fin_kind: Constant::new((isa::notify::PEER_FIN as u64).into()),
        }
    }
}

impl Switch {
    /// With a port for the host, or without.
    #[must_use]
    pub fn with_host(mut self, host: bool) -> Self {
        self.with_host = Constant::new(host);
        self
    }
}

impl Logic for Switch {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- registers ----
        dff_setup!(self, clock, r);
        self.status.clock.next = self.clock.val();
        self.queue.clock.next = self.clock.val();
        self.known.next = self.status.read_data.val();

        // ---- named wires ----
        self.notify.next =
            self.command.valid.val() && (self.command.code.val() == self.notify_code.val());
        self.is_0.next = self.r.q.val().owner == bits::<2>(0);
        self.is_1.next = self.r.q.val().owner == bits::<2>(1);
        self.is_2.next = self.r.q.val().owner == bits::<2>(2);
        self.is_3.next = self.with_host.val() & (self.r.q.val().owner == bits::<2>(3));
        self.readable_high.next = self.rx_readable.val().get_bits::<5>(11);
        self.writable_high.next = self.tx_writable.val().get_bits::<5>(11);
        self.readable_low.next = bit_cast::<11, 16>(self.rx_readable.val());
        self.writable_low.next = bit_cast::<11, 16>(self.tx_writable.val());
        self.offering.next = self.r.q.val().state == State::Offer;
        self.readable.next = bit_cast::<16, 12>(self.r.q.val().readable);
        self.writable.next = bit_cast::<16, 12>(self.r.q.val().writable);
        self.fin.next = self.r.q.val().fin & !self.readable.val().any();

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
        if self.is_3.val() {
            self.taken.next = self.offering.val() & self.app3.take_valid.val();
            self.take_read.next = bit_cast::<12, 16>(self.app3.take_read.val());
            self.take_write.next = bit_cast::<12, 16>(self.app3.take_write.val());
            self.take_close.next = self.app3.take_close.val();
            self.take_abort.next = self.app3.take_abort.val();
            self.rx_ready.next = self.app3.rx_ready.val();
            self.tx_valid.next = self.app3.tx_valid.val();
            self.tx_data.next = self.app3.tx_data.val();
        }
        self.rx_start_now.next = self.taken.val() & self.take_read.val().any();
        self.tx_start_now.next = self.taken.val() & self.take_write.val().any();

        // ---- the engine's notes ----
        // Nothing keeps them waiting but the note before: a ring's answer comes in a command's last cycle, so that no other follows in the next.
        self.r.d.next.changed_conn = self.command.conn.val() & self.id_mask.val();
        self.told_conn.next = self.command.conn.val() & self.id_mask.val();
        if self.r.q.val().changed {
            self.told_conn.next = self.r.q.val().changed_conn;
        }
        self.r.d.next.changed = self.command.valid.val()
            & self.ring_ok.val()
            & ((self.command.code.val() == self.commit_code.val())
                | (self.command.code.val() == self.cut_code.val())
                | (self.command.code.val() == self.free_code.val()));
        self.note.next = (self.notify.val() | self.r.q.val().changed)
            & !self.r.q.val().noting
            & (self.r.q.val().state != State::Clear);
        self.r.d.next.noting = self.note.val();
        self.r.d.next.telling = self.note.val() & self.notify.val() & !self.r.q.val().changed;
        self.r.d.next.noted = self.r.q.val().noting;
        if self.note.val() {
            self.r.d.next.note_conn = self.told_conn.val();
        }
        self.command.done.next = self.r.q.val().telling;
        self.command.ok.next = false;
        self.command.result.next = bits::<32>(0);
        self.command.result2.next = bits::<32>(0);
        // What a turn or a wake has read the cycle before is still so, and it may be written.
        self.safe.next = !self.note.val() & !self.r.q.val().noting & !self.r.q.val().noted;

        // ---- the applications' wakes ----
        self.wake.next = false;
        self.wake_port.next = self.app0.wake_conn.val();
        if self.r.q.val().whose == bits::<2>(0) {
            self.wake.next = self.app0.wake_valid.val();
        }
        if self.r.q.val().whose == bits::<2>(1) {
            self.wake.next = self.app1.wake_valid.val();
            self.wake_port.next = self.app1.wake_conn.val();
        }
        if self.r.q.val().whose == bits::<2>(2) {
            self.wake.next = self.app2.wake_valid.val();
            self.wake_port.next = self.app2.wake_conn.val();
        }
        self.host_woken.next = self.with_host.val()
            & self.r.q.val().host_next
            & (self.r.q.val().whose == bits::<2>(3));
        if self.host_woken.val() {
            self.wake.next = self.app3.wake_valid.val();
            self.wake_port.next = self.app3.wake_conn.val();
        }
        self.wake_conn.next = self.wake_port.val() & self.id_mask.val();
        self.woken.next = (self.r.q.val().state == State::Wake) & self.safe.val();

        // ---- queue ----
        self.first_address.next = bit_cast::<10, 11>(self.r.q.val().first);
        self.last_address.next = bit_cast::<10, 11>(self.r.q.val().last);
        self.queue.read_address.next = self.first_address.val();
        self.first_conn.next = self.queue.read_data.val() & self.id_mask.val();
        // An id is read from the cycle on in which it stands there.
        self.filled.next = self.r.q.val().first != self.r.q.val().last;
        self.dequeue.next =
            (self.r.q.val().state == State::Look) & self.r.q.val().loaded & !self.wake.val();
        self.r.d.next.loaded = self.filled.val() & !self.dequeue.val();

        // ---- status ----
        self.bursts_over.next = (self.r.q.val().state == State::Burst)
            & !self.r.q.val().rx_busy
            & !self.r.q.val().tx_busy
            & self.safe.val();
        self.again.next = self.bursts_over.val() & (self.r.q.val().moved | self.r.q.val().closing);
        self.opens.next = self.r.q.val().telling & (self.command.imm.val() == self.open_kind.val());
        self.ends.next = (self.r.q.val().state == State::Check)
            & self.safe.val()
            & self.known.val().over
            & self.known.val().open;
        self.status.read_address.next = self.r.q.val().conn;
        if self.note.val() {
            self.status.read_address.next = self.told_conn.val();
        } else if self.r.q.val().state == State::Wake {
            self.status.read_address.next = self.wake_conn.val();
        } else if self.r.q.val().state == State::Look {
            self.status.read_address.next = self.first_conn.val();
            if self.wake.val() {
                self.status.read_address.next = self.wake_conn.val();
            }
        }
        self.subject.next = self.r.q.val().conn;
        if self.r.q.val().noting {
            self.subject.next = self.r.q.val().note_conn;
        } else if self.r.q.val().state == State::Wake {
            self.subject.next = self.wake_conn.val();
        }
        self.status.write_address.next = self.subject.val();
        self.status.write_enable.next = self.r.q.val().noting | self.woken.val();
        self.written.next.open = self.known.val().open;
        self.written.next.owner = self.known.val().owner;
        self.written.next.fin = self.known.val().fin;
        self.written.next.new = self.known.val().new;
        self.written.next.closed = self.known.val().closed;
        self.written.next.over = self.known.val().over;
        self.written.next.queued = true;
        if self.opens.val() {
            self.written.next.open = true;
            self.written.next.owner = bit_cast::<2, 32>(self.command.b.val());
            self.written.next.fin = false;
            self.written.next.new = true;
            self.written.next.closed = false;
            self.written.next.over = false;
        } else if self.r.q.val().telling {
            if self.command.imm.val() == self.fin_kind.val() {
                self.written.next.fin = true;
            } else {
                self.written.next.over = true;
            }
        }
        if self.bursts_over.val() {
            self.status.write_enable.next = true;
            self.written.next.new = false;
            self.written.next.closed =
                self.r.q.val().closed | self.r.q.val().closing | self.r.q.val().aborting;
            self.written.next.queued = self.known.val().queued | self.again.val();
        }
        if self.r.q.val().state == State::Check {
            self.status.write_enable.next = self.r.q.val().noting | self.safe.val();
            if self.safe.val() {
                self.written.next.queued = false;
                if self.known.val().over {
                    self.written.next.open = false;
                    self.written.next.over = false;
                }
            }
        }
        if self.r.q.val().state == State::Clear {
            self.status.write_address.next = self.last_address.val();
            self.status.write_enable.next = true;
            self.written.next.open = false;
            self.written.next.over = false;
            self.written.next.queued = false;
        }
        self.status.write_data.next = self.written.val();
        self.push.next = (self.r.q.val().noting | self.woken.val() | self.again.val())
            & !self.known.val().queued;
        self.queue.write_address.next = self.last_address.val();
        self.queue.write_data.next = self.subject.val();
        self.queue.write_enable.next = self.push.val();
        self.after_last.next = self.r.q.val().last + bits::<11>(1);
        self.after_first.next = self.r.q.val().first + bits::<11>(1);
        if self.push.val() | (self.r.q.val().state == State::Clear) {
            self.r.d.next.last = self.after_last.val() & self.count_mask.val();
        }
        if self.dequeue.val() | (self.r.q.val().state == State::Clear) {
            self.r.d.next.first = self.after_first.val() & self.count_mask.val();
        }
        self.opened.next = self.r.q.val().opened;
        if self.opens.val() {
            self.opened.next = self.r.q.val().opened + bits::<11>(1);
        }
        if self.ends.val() {
            self.opened.next = self.r.q.val().opened - bits::<11>(1);
        }
        self.r.d.next.opened = self.opened.val() & self.count_mask.val();

        // ---- state machine ----
        match self.r.q.val().state {
            State::Clear => {
                if self.last_address.val() == self.last_conn.val() {
                    self.r.d.next.state = State::Look;
                }
            }
            State::Look => {
                self.r.d.next.conn = self.first_conn.val();
                if self.wake.val() {
                    self.r.d.next.state = State::Wake;
                } else {
                    self.r.d.next.whose = self.r.q.val().whose + bits::<2>(1);
                    if self.r.q.val().whose == bits::<2>(3) {
                        self.r.d.next.host_next = self.with_host.val() & !self.r.q.val().host_next;
                    }
                }
                if self.dequeue.val() {
                    self.r.d.next.state = State::Check;
                }
            }
            State::Wake => {
                if self.safe.val() {
                    self.r.d.next.whose = self.r.q.val().whose + bits::<2>(1);
                    if self.r.q.val().whose == bits::<2>(3) {
                        self.r.d.next.host_next = false;
                    }
                    self.r.d.next.state = State::Look;
                }
            }
            State::Check => {
                self.r.d.next.owner = self.known.val().owner;
                self.r.d.next.fin = self.known.val().fin;
                self.r.d.next.new = self.known.val().new;
                self.r.d.next.closed = self.known.val().closed;
                self.r.d.next.post_bit = self.released_bit.val();
                self.r.d.next.writable = bits::<12>(0);
                if self.safe.val() {
                    self.r.d.next.state = State::Look;
                    if self.known.val().over {
                        self.r.d.next.state = State::Post;
                    } else if self.known.val().open
                        & (self.with_host.val() | (self.known.val().owner != bits::<2>(3)))
                    {
                        self.r.d.next.rx_asked = true;
                        self.r.d.next.tx_asked = !self.known.val().closed;
                        self.r.d.next.state = State::Query;
                    }
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
                if (!self.r.q.val().rx_asked | self.rx_query_done.val())
                    & (!self.r.q.val().tx_asked | self.tx_query_done.val())
                {
                    self.r.d.next.state = State::Offer;
                }
            }
            State::Offer => {
                self.r.d.next.rx_busy = self.rx_start_now.val();
                self.r.d.next.tx_busy = self.tx_start_now.val();
                self.r.d.next.moved = self.rx_start_now.val() | self.tx_start_now.val();
                self.r.d.next.closing = self.take_close.val() & !self.r.q.val().closed;
                self.r.d.next.aborting = self.take_abort.val();
                if self.taken.val() {
                    self.r.d.next.state = State::Burst;
                }
            }
            State::Burst => {
                self.r.d.next.post_bit = self.close_bit.val();
                if self.r.q.val().aborting {
                    self.r.d.next.post_bit = self.abort_bit.val();
                }
                if self.bursts_over.val() {
                    self.r.d.next.state = State::Look;
                    if self.r.q.val().closing | self.r.q.val().aborting {
                        self.r.d.next.state = State::Post;
                    }
                }
            }
            State::Post => {
                if self.post.ready.val() {
                    self.r.d.next.state = State::Look;
                }
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
        self.any_open.next = self.r.q.val().opened.any();

        // ---- outputs: offers and bytes ----
        self.app0.offer_valid.next = self.offering.val() & self.is_0.val();
        self.app0.offer_conn.next = self.r.q.val().conn;
        self.app0.offer_readable.next = self.readable.val();
        self.app0.offer_writable.next = self.writable.val();
        self.app0.offer_fin.next = self.fin.val();
        self.app0.offer_new.next = self.r.q.val().new;
        self.app0.wake_ready.next = self.woken.val() & (self.r.q.val().whose == bits::<2>(0));
        self.app0.rx_valid.next = self.rx.valid.val() & self.r.q.val().rx_busy & self.is_0.val();
        self.app0.rx_data.next = self.rx.data.val();
        self.app0.tx_ready.next = self.tx.ready.val() & self.r.q.val().tx_busy & self.is_0.val();
        self.app1.offer_valid.next = self.offering.val() & self.is_1.val();
        self.app1.offer_conn.next = self.r.q.val().conn;
        self.app1.offer_readable.next = self.readable.val();
        self.app1.offer_writable.next = self.writable.val();
        self.app1.offer_fin.next = self.fin.val();
        self.app1.offer_new.next = self.r.q.val().new;
        self.app1.wake_ready.next = self.woken.val() & (self.r.q.val().whose == bits::<2>(1));
        self.app1.rx_valid.next = self.rx.valid.val() & self.r.q.val().rx_busy & self.is_1.val();
        self.app1.rx_data.next = self.rx.data.val();
        self.app1.tx_ready.next = self.tx.ready.val() & self.r.q.val().tx_busy & self.is_1.val();
        self.app2.offer_valid.next = self.offering.val() & self.is_2.val();
        self.app2.offer_conn.next = self.r.q.val().conn;
        self.app2.offer_readable.next = self.readable.val();
        self.app2.offer_writable.next = self.writable.val();
        self.app2.offer_fin.next = self.fin.val();
        self.app2.offer_new.next = self.r.q.val().new;
        self.app2.wake_ready.next = self.woken.val() & (self.r.q.val().whose == bits::<2>(2));
        self.app2.rx_valid.next = self.rx.valid.val() & self.r.q.val().rx_busy & self.is_2.val();
        self.app2.rx_data.next = self.rx.data.val();
        self.app2.tx_ready.next = self.tx.ready.val() & self.r.q.val().tx_busy & self.is_2.val();
        self.app3.offer_valid.next = self.offering.val() & self.is_3.val();
        self.app3.offer_conn.next = self.r.q.val().conn;
        self.app3.offer_readable.next = self.readable.val();
        self.app3.offer_writable.next = self.writable.val();
        self.app3.offer_fin.next = self.fin.val();
        self.app3.offer_new.next = self.r.q.val().new;
        self.app3.wake_ready.next = self.woken.val() & self.host_woken.val();
        self.app3.rx_valid.next = self.rx.valid.val() & self.r.q.val().rx_busy & self.is_3.val();
        self.app3.rx_data.next = self.rx.data.val();
        self.app3.tx_ready.next = self.tx.ready.val() & self.r.q.val().tx_busy & self.is_3.val();

        // ---- reset ----
        if self.reset.val() {
            self.r.d.next.state = State::Clear;
            self.r.d.next.noting = false;
            self.r.d.next.telling = false;
            self.r.d.next.first = bits::<11>(0);
            self.r.d.next.last = bits::<11>(0);
            self.r.d.next.rx_asked = false;
            self.r.d.next.tx_asked = false;
            self.r.d.next.rx_busy = false;
            self.r.d.next.tx_busy = false;
            self.r.d.next.opened = bits::<11>(0);
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
        pub ring_ok: Signal<In, Bit>,
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
                ring_ok: Default::default(),
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
            self.switch.app3.take_valid.next = false;
            self.switch.app3.take_read.next = bits::<16>(0);
            self.switch.app3.take_write.next = bits::<16>(0);
            self.switch.app3.take_close.next = false;
            self.switch.app3.take_abort.next = false;
            self.switch.app3.rx_ready.next = false;
            self.switch.app3.tx_valid.next = false;
            self.switch.app3.tx_data.next = bits::<8>(0);
            self.switch.app3.wake_valid.next = false;
            self.switch.app3.wake_conn.next = bits::<10>(0);
            CommandIn::link(&mut self.command, &mut self.switch.command);
            self.switch.ring_ok.next = self.ring_ok.val();
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

    /// Beside the kinds of `NOTIFY`: the rings' commands that wake a connection. `TX_CUT` changes nothing here.
    const COMMIT: u8 = 4;
    const CUT: u8 = 5;
    const FREE: u8 = 6;

    /// A command's `code` and `imm`.
    fn encoded(kind: u8) -> (u8, u8) {
        match kind {
            COMMIT => (isa::cmd::RX_COMMIT, 0),
            CUT => (isa::cmd::TX_CUT, 0),
            FREE => (isa::cmd::TX_FREE, 0),
            _ => (isa::cmd::NOTIFY, kind),
        }
    }

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
        /// Bytes the peer still wants to send before its FIN, and those that the next `RX_COMMIT` brings.
        to_send: usize,
        coming: usize,
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
        /// Cycles until a ring answers.
        answer_in: u32,
        other_command: bool,
        post_held: Option<(u64, u64)>,
        rx_offered: bool,
        tx_held: Option<u8>,
        starts: Vec<(&'static str, usize, usize)>,
        /// Cycles in which the send ring was asked.
        asked: Vec<u64>,
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
                answer_in: 0,
                other_command: false,
                post_held: None,
                rx_offered: false,
                tx_held: None,
                starts: vec![],
                asked: vec![],
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
            self.answer_in = rng.random_range(3..9);
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
                Life::Open
                    if peer.to_send > 0 && peer.ring.len() < 4096 && rng.random_bool(0.5) =>
                {
                    let room = 4096 - peer.ring.len();
                    peer.coming = rng.random_range(1..=peer.to_send).min(room);
                    Some((conn, COMMIT))
                }
                Life::Open if !peer.never_space && rng.random_bool(0.1) => {
                    Some((conn, [CUT, FREE][rng.random_range(0..2)]))
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
            // Answers to commands that change nothing for an application.
            uut.ring_ok.next = self.other_command && rng.random();
            if let Some((conn, kind)) = self.command {
                let (code, imm) = encoded(kind);
                uut.ring_ok.next = kind >= COMMIT && self.answer_in == 0;
                uut.command.code.next = u64::from(code).into();
                uut.command.imm.next = u64::from(imm).into();
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
            self.engine(uut, rng);
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
                Side::Idle if asked => {
                    self.asked.push(self.cycle);
                    Side::Query(conn, 3 + delay)
                }
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

        fn engine(&mut self, uut: &Joined, rng: &mut impl Rng) {
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
            if let Some((conn, kind @ COMMIT..)) = self.command {
                assert!(!uut.command.done.val(), "done for a ring");
                if self.answer_in == 0 {
                    self.command = None;
                    self.rings_answer(conn, kind, rng);
                }
                self.answer_in = self.answer_in.saturating_sub(1);
                return;
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

        fn rings_answer(&mut self, conn: usize, kind: u8, rng: &mut impl Rng) {
            let peer = &mut self.peers[conn];
            match kind {
                COMMIT => {
                    for _ in 0..peer.coming {
                        let byte = rng.random();
                        peer.ring.push_back(byte);
                        peer.sent.push(byte);
                        peer.to_send -= 1;
                    }
                    peer.coming = 0;
                }
                FREE => peer.space = (peer.space + rng.random_range(1..200)).min(3000),
                _ => {}
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
            self.answer_in = 3;
            while self.command.is_some() {
                self.step(uut, rng);
            }
        }

        fn step(&mut self, uut: &mut Joined, rng: &mut StdRng) {
            self.drive(uut, rng);
            settle(uut);
            self.observe(uut, rng);
            let collides = Collisions::of(&uut.switch);
            uut.clock.next = Clock { clk: true };
            settle(uut);
            collides.spoil(&mut uut.switch, rng);
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

    /// Words read at the edge that writes them: undefined on hardware, so here too.
    struct Collisions {
        status: bool,
        queue: bool,
    }

    impl Collisions {
        fn of(uut: &Switch) -> Self {
            let mask = number(uut.id_mask.val()).max(1);
            let same = |a: Bits<10>, b: Bits<10>| (number(a) ^ number(b)) & mask == 0;
            let (s, q) = (&uut.status, &uut.queue);
            Self {
                status: s.write_enable.val() && same(s.read_address.val(), s.write_address.val()),
                queue: q.write_enable.val() && same(q.read_address.val(), q.write_address.val()),
            }
        }

        /// To be settled after.
        fn spoil(&self, uut: &mut Switch, rng: &mut impl Rng) {
            if self.status {
                uut.status.read_data.next = Status {
                    open: rng.random(),
                    owner: rng.random_range(0..4_u64).into(),
                    fin: rng.random(),
                    new: rng.random(),
                    closed: rng.random(),
                    over: rng.random(),
                    queued: rng.random(),
                };
            }
            if self.queue {
                uut.queue.read_data.next = rng.random_range(0..1024_u64).into();
            }
        }
    }

    fn settle<B: Block>(uut: &mut B) {
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
            assert!(world.longest_note <= 4, "{}", world.longest_note);
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
        world.tell(&mut uut, &mut rng, 0, CUT);
        for _ in 0..200 {
            world.step(&mut uut, &mut rng);
        }
        assert_eq!(world.peers[0].got.len(), 5);
        world.peers[0].check();
    }

    /// The header's numbers of a turn; what stays open and has nothing to do costs nothing.
    #[test]
    fn takes_the_cycles_it_says() {
        let (mut world, mut uut, mut rng) = quiet(8, 0);
        for conn in 0..8 {
            let peer = Peer {
                owner: ECHO,
                never_space: true,
                ..Peer::default()
            };
            world.open(&mut uut, &mut rng, conn, peer);
        }
        for _ in 0..200 {
            world.step(&mut uut, &mut rng);
        }
        assert_eq!(world.counts["query"], 8);
        for _ in 0..2000 {
            world.step(&mut uut, &mut rng);
        }
        assert!(uut.any_open.val());
        assert_eq!(world.counts["query"], 8, "asked without a reason");
        // From the answer of `RX_COMMIT` to the query.
        world.peers[3].to_send = 1000;
        world.peers[3].coming = 1000;
        world.peers[3].space = 1000;
        world.tell(&mut uut, &mut rng, 3, COMMIT);
        let (answered, asked) = (world.cycle, world.asked.len());
        for _ in 0..1200 {
            world.step(&mut uut, &mut rng);
        }
        let asked = world.asked.split_off(asked);
        assert_eq!(asked[0] - answered, 6);
        // The longer query is 5 cycles in this model, the answer 1, the longer burst 3, the bytes, 3 more. Then once in vain.
        assert_eq!(asked.len(), 2);
        assert_eq!(asked[1] - asked[0], 4 + 5 + 1 + 3 + 1000 + 3);
        // One after another: a cycle less.
        let asked = world.asked.len();
        for conn in [1, 2, 4] {
            world.tell(&mut uut, &mut rng, conn, FREE);
        }
        for _ in 0..200 {
            world.step(&mut uut, &mut rng);
        }
        let asked = world.asked.split_off(asked);
        for pair in asked.windows(2) {
            assert_eq!(pair[1] - pair[0], 3 + 5 + 1);
        }
        assert_eq!(asked.len(), 3);
        for conn in 0..8 {
            world.tell(&mut uut, &mut rng, conn, isa::notify::CLOSED);
            assert!(uut.any_open.val());
        }
        for _ in 0..100 {
            world.step(&mut uut, &mut rng);
        }
        assert_eq!(world.counts["released"], 8);
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
        // Nor is there a port for the host here.
        let constant = ["ok", "result", "last", "error", "app3"];
        assert!(
            still
                .iter()
                .all(|port| constant.iter().any(|name| port.contains(name))),
            "{still:?}"
        );
    }

    /// Wakes, answers of the rings and all of the queue's ways, also with one connection.
    #[test]
    fn its_queue_equals_its_verilog() {
        for (connections, host) in [(1, false), (8, false), (8, true)] {
            let rig = RefCell::new(Rig::new(connections, host));
            let other = RefCell::new(StdRng::seed_from_u64(4));
            let report = toe_sim::lockstep::lockstep_observed(
                &format!("switch_queue_{connections}_{host}"),
                || Switch::new(connections).with_host(host),
                |uut, clk| uut.clock.next = Clock { clk },
                20_000,
                1,
                |uut, cycle, rng| {
                    let mut rig = rig.borrow_mut();
                    rig.plan = Plan::Random;
                    let busy = cycle as usize / 1_000 % 3;
                    rig.commands = [0.9, 0.02, 0.3][busy];
                    rig.wakes = [0.01, 0.002, 0.6][busy];
                    rig.drive(uut, rng);
                },
                |uut, _| rig.borrow_mut().observe(uut, &mut *other.borrow_mut()),
            )
            .unwrap_or_else(|error| panic!("{error}"));
            assert!(rig.borrow().turns > 300);
            let still = report.never_changed();
            let mut constant = vec!["ok", "result", "last", "error", "conn"];
            if !host {
                constant.push("app3");
            }
            assert!(
                still
                    .iter()
                    .all(|port| constant.iter().any(|name| port.contains(name))),
                "{still:?}"
            );
        }
    }

    // ---- the queue alone ----

    /// What an application does with its offers.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Plan {
        Random,
        Nothing,
        /// All that is offered, in the first cycle.
        All,
        /// Bytes to write in the next turn.
        Write(u16),
    }

    #[derive(Clone, Default)]
    struct Known {
        life: Life,
        owner: usize,
        told_fin: bool,
        closed: bool,
        /// A turn is owed: how many turns there had been, and the cycle.
        owed: Option<(usize, u64)>,
        /// `released` is owed.
        over: bool,
        readable: u16,
        writable: u16,
    }

    /// The switch with rings, engine and applications of which only the times are simulated, and what it owes to whom.
    struct Rig {
        conns: Vec<Known>,
        plan: Plan,
        /// Chances of a command and of an application's wake in a cycle.
        commands: f64,
        wakes: f64,
        cycle: u64,
        turns: usize,
        reasons: usize,
        command: Option<(usize, u8, u32)>,
        /// Whom a ring's answer a cycle ago was for.
        answered: Option<usize>,
        /// The host has a port.
        host: bool,
        wake: [Option<usize>; 4],
        woken: Vec<(usize, usize, u64)>,
        /// Cycles until a query, a burst is done.
        rx_query: Option<u32>,
        tx_query: Option<u32>,
        rx_burst: Option<u32>,
        tx_burst: Option<u32>,
        offer_wait: Option<u32>,
        taking: bool,
        before: bool,
        visiting: usize,
        /// Cycles in which turns began, of whom.
        began: Vec<(u64, usize)>,
        offers: Vec<(u64, usize, usize, usize)>,
        longest: usize,
        counts: BTreeMap<&'static str, u64>,
    }

    impl Rig {
        fn new(connections: usize, host: bool) -> Self {
            Self {
                conns: vec![Known::default(); connections],
                host,
                plan: Plan::Nothing,
                commands: 0.0,
                wakes: 0.0,
                cycle: 0,
                turns: 0,
                reasons: 0,
                command: None,
                answered: None,
                wake: [None; 4],
                woken: vec![],
                rx_query: None,
                tx_query: None,
                rx_burst: None,
                tx_burst: None,
                offer_wait: None,
                taking: false,
                before: false,
                visiting: 0,
                began: vec![],
                offers: vec![],
                longest: 0,
                counts: BTreeMap::new(),
            }
        }

        fn saw(&mut self, what: &'static str) {
            *self.counts.entry(what).or_default() += 1;
        }

        fn random(&self) -> bool {
            self.plan == Plan::Random
        }

        fn delay(&self, least: u32, most: u32, rng: &mut impl Rng) -> u32 {
            if self.random() {
                rng.random_range(least..=most)
            } else {
                least
            }
        }

        fn choose(&self, rng: &mut impl Rng) -> Option<(usize, u8, u32)> {
            // Few of many, so that they meet.
            let conn = rng.random_range(0..self.conns.len());
            let known = &self.conns[conn];
            let kind = match rng.random_range(0..10) {
                _ if known.life == Life::Free && rng.random_bool(0.7) => isa::notify::OPEN,
                0 => isa::notify::OPEN,
                1 => isa::notify::PEER_FIN,
                2 => isa::notify::CLOSED,
                3 => isa::notify::RESET,
                4..7 => COMMIT,
                7 => CUT,
                _ => FREE,
            };
            let legal = match kind {
                isa::notify::OPEN => known.life == Life::Free,
                isa::notify::PEER_FIN => known.life == Life::Open && !known.told_fin,
                isa::notify::CLOSED => known.life == Life::Open && rng.random_bool(0.3),
                // Also without `OPEN`.
                isa::notify::RESET => known.life != Life::Over && rng.random_bool(0.1),
                _ => true,
            };
            legal.then(|| (conn, kind, rng.random_range(3..9)))
        }

        /// Inputs of this cycle; the outputs it reads come from registers.
        fn drive(&mut self, uut: &mut Switch, rng: &mut impl Rng) {
            let ready = self.cycle > self.conns.len() as u64 + 3;
            uut.reset.next = self.cycle < 2;
            uut.post.ready.next = !self.random() || rng.random_bool(0.4);
            // Engine.
            if self.command.is_none() && ready && rng.random_bool(self.commands) {
                self.command = self.choose(rng);
                if let Some((conn, isa::notify::OPEN, _)) = self.command {
                    self.conns[conn].owner = rng.random_range(0..4);
                }
            }
            uut.command.valid.next = self.command.is_some();
            uut.command.code.next = u64::from(rng.random::<u8>() & 63).into();
            uut.command.conn.next = rng.random_range(0..1024_u64).into();
            uut.command.imm.next = rng.random_range(0..64_u64).into();
            uut.command.b.next = u64::from(rng.random::<u32>()).into();
            uut.ring_ok.next = false;
            if let Some((conn, kind, wait)) = self.command {
                let (code, imm) = encoded(kind);
                uut.command.code.next = u64::from(code).into();
                uut.command.imm.next = u64::from(imm).into();
                uut.command.conn.next = (conn as u64).into();
                uut.command.b.next = (self.conns[conn].owner as u64).into();
                uut.ring_ok.next = kind >= COMMIT && wait == 0;
            } else if self.commands > 0.0 && rng.random_bool(0.1) {
                // Another's command.
                uut.command.valid.next = true;
                uut.command.code.next = (isa::cmd::TX_PEEK as u64).into();
                uut.ring_ok.next = true;
            }
            // Applications' wakes, of any connection.
            for who in 0..if self.host { 4 } else { 3 } {
                if self.wake[who].is_none() && ready && rng.random_bool(self.wakes) {
                    self.wake[who] = Some(rng.random_range(0..self.conns.len()));
                }
                let app = app(uut, who);
                app.wake_valid.next = self.wake[who].is_some();
                app.wake_conn.next = (self.wake[who].unwrap_or(0) as u64).into();
            }
            // Rings.
            let (rx, tx) = (uut.rx_query_valid.val(), uut.tx_query_valid.val());
            let conn = number(uut.rx_query_conn.val());
            if rx && self.rx_query.is_none() {
                self.rx_query = Some(self.delay(2, 6, rng));
            }
            if tx && self.tx_query.is_none() {
                self.tx_query = Some(self.delay(3, 6, rng));
            }
            if self.random() && self.rx_query == Some(0) {
                self.conns[conn].readable = [0, 0, 1, 3000][rng.random_range(0..4)];
            }
            if self.random() && self.tx_query == Some(0) {
                self.conns[conn].writable = [0, 0, 1, 3000][rng.random_range(0..4)];
            }
            uut.rx_query_done.next = self.rx_query == Some(0);
            uut.rx_readable.next = u64::from(rng.random::<u16>()).into();
            if self.rx_query == Some(0) {
                uut.rx_readable.next = u64::from(self.conns[conn].readable).into();
            }
            uut.tx_query_done.next = self.tx_query == Some(0);
            uut.tx_writable.next = u64::from(rng.random::<u16>()).into();
            if self.tx_query == Some(0) {
                uut.tx_writable.next = u64::from(self.conns[conn].writable).into();
            }
            uut.rx_burst_done.next = self.rx_burst == Some(0);
            uut.tx_burst_done.next = self.tx_burst == Some(0);
            uut.rx.valid.next = rng.random();
            uut.rx.data.next = u64::from(rng.random::<u8>()).into();
            uut.tx.ready.next = rng.random();
            // Applications' answers.
            self.taking = false;
            for who in 0..4 {
                let offered = app(uut, who).offer_valid.val();
                if offered && self.offer_wait.is_none() {
                    self.offer_wait = Some(self.delay(0, 3, rng));
                }
                let answers = offered && self.offer_wait == Some(0);
                let of = |bits: Bits<16>| number(bits) as u64;
                let readable = of(app(uut, who).offer_readable.val());
                let writable = of(app(uut, who).offer_writable.val());
                let (mut read, mut write) = (0, 0);
                match self.plan {
                    Plan::Random if rng.random_bool(0.4) => {
                        read = rng.random_range(0..=readable);
                        write = rng.random_range(0..=writable);
                    }
                    Plan::All => (read, write) = (readable, writable),
                    Plan::Write(count) => write = u64::from(count).min(writable),
                    _ => {}
                }
                let (close, abort) = (rng.random_bool(0.1), rng.random_bool(0.02));
                let app = app(uut, who);
                app.take_valid.next = answers;
                app.take_read.next = read.into();
                app.take_write.next = write.into();
                app.take_close.next = self.plan == Plan::Random && close;
                app.take_abort.next = self.plan == Plan::Random && abort;
                app.tx_valid.next = rng.random();
                app.tx_data.next = u64::from(rng.random::<u8>()).into();
                app.rx_ready.next = rng.random();
                self.taking |= answers;
            }
        }

        fn owe(&mut self, conn: usize) {
            self.reasons += 1;
            if self.conns[conn].owed.is_none() {
                self.conns[conn].owed = Some((self.turns, self.cycle));
            }
        }

        fn serve(&mut self, conn: usize) {
            self.turns += 1;
            let (turns, _) = self.conns[conn]
                .owed
                .take()
                .expect("a turn without a reason");
            let waited = self.turns - turns;
            assert!(waited <= self.conns.len(), "{waited} turns until its own");
            self.longest = self.longest.max(waited);
            self.visiting = conn;
        }

        /// Just before the rising edge.
        fn observe(&mut self, uut: &Switch, rng: &mut impl Rng) {
            self.cycle += 1;
            if self.cycle <= 2 {
                return;
            }
            // Turns come before what happens in the cycle of their beginning: the rings are asked now, or later.
            let asks = uut.rx_query_valid.val();
            let conn = number(uut.rx_query_conn.val());
            if asks && !self.before {
                assert_eq!(self.conns[conn].life, Life::Open, "a turn of nobody");
                assert!(self.host || self.conns[conn].owner != HOST);
                self.serve(conn);
                self.began.push((self.cycle, conn));
            }
            self.before = asks;
            self.count_down(uut, rng);
            self.take(uut);
            if uut.post.valid.val() && uut.post.ready.val() {
                let conn = number(uut.post.conn.val());
                if number(uut.post.bit.val()) == usize::from(isa::pending::RELEASED) {
                    assert!(self.conns[conn].over, "released unasked");
                    self.serve(conn);
                    self.conns[conn] = Known::default();
                    self.saw("released");
                }
            }
            self.events(uut);
            for conn in 0..self.conns.len() {
                if let Some((_, since)) = self.conns[conn].owed {
                    let turn = if self.random() { 120 } else { 2300 };
                    let bound = turn * (self.conns.len() as u64 + 1);
                    assert!(
                        self.cycle - since < bound,
                        "{conn} has waited since {since}"
                    );
                }
            }
        }

        fn count_down(&mut self, uut: &Switch, rng: &mut impl Rng) {
            let down = |left: &mut Option<u32>| match left {
                Some(0) => *left = None,
                Some(left) => *left -= 1,
                None => {}
            };
            for left in [
                &mut self.rx_query,
                &mut self.tx_query,
                &mut self.rx_burst,
                &mut self.tx_burst,
            ] {
                down(left);
            }
            if self.taking {
                self.offer_wait = None;
            }
            if let Some(1..) = self.offer_wait {
                down(&mut self.offer_wait);
            }
            let bytes = |count: Bits<16>| number(count) as u32;
            if uut.rx_start.val() {
                let whole = bytes(uut.rx_start_count.val()) + 5;
                self.rx_burst = Some(if self.random() {
                    rng.random_range(1..40)
                } else {
                    whole
                });
            }
            if uut.tx_start.val() {
                let whole = bytes(uut.tx_start_count.val()) + 5;
                self.tx_burst = Some(if self.random() {
                    rng.random_range(1..40)
                } else {
                    whole
                });
            }
        }

        fn take(&mut self, uut: &Switch) {
            for (who, app) in [&uut.app0, &uut.app1, &uut.app2, &uut.app3]
                .into_iter()
                .enumerate()
            {
                if !(app.offer_valid.val() && app.take_valid.val()) {
                    continue;
                }
                let conn = number(app.offer_conn.val());
                assert_eq!((conn, who), (self.visiting, self.conns[conn].owner));
                let read = number(app.take_read.val());
                let write = number(app.take_write.val());
                self.offers.push((self.cycle, conn, read, write));
                let closes = app.take_close.val() && !self.conns[conn].closed;
                self.conns[conn].closed |= closes || app.take_abort.val();
                if read > 0 || write > 0 || closes {
                    self.owe(conn);
                }
                if closes && read == 0 && write == 0 {
                    self.saw("closed");
                }
                if let Plan::Write(_) = self.plan {
                    self.plan = Plan::Nothing;
                }
            }
        }

        /// What happened in this cycle for which a turn is owed.
        fn events(&mut self, uut: &Switch) {
            let known = |rig: &Rig, conn: usize| {
                let known = &rig.conns[conn];
                known.over || (known.life == Life::Open && (rig.host || known.owner != HOST))
            };
            // A ring's answer is noted a cycle late: a turn that begins in its very next cycle has not seen it.
            if let Some(conn) = self.answered.take().filter(|conn| known(self, *conn)) {
                self.owe(conn);
            }
            if let Some((conn, kind, wait)) = self.command {
                if kind >= COMMIT {
                    self.command = Some((conn, kind, wait.saturating_sub(1)));
                    if wait == 0 {
                        self.command = None;
                        self.meets(uut, conn);
                        self.answered = Some(conn);
                    }
                } else {
                    self.command = Some((conn, kind, wait + 1));
                    if uut.command.done.val() {
                        self.command = None;
                        let now = &mut self.conns[conn];
                        match kind {
                            isa::notify::OPEN => now.life = Life::Open,
                            isa::notify::PEER_FIN => now.told_fin = true,
                            _ => (now.life, now.over) = (Life::Over, true),
                        }
                        if known(self, conn) {
                            self.owe(conn);
                        }
                    }
                }
            }
            for (who, app) in [&uut.app0, &uut.app1, &uut.app2, &uut.app3]
                .into_iter()
                .enumerate()
            {
                if !app.wake_ready.val() {
                    continue;
                }
                let conn = self.wake[who].take().expect("a wake answered unasked");
                self.woken.push((who, conn, self.cycle));
                self.saw("woken");
                if known(self, conn) {
                    self.owe(conn);
                }
            }
        }

        /// Where a ring's answer meets the connection's own turn.
        fn meets(&mut self, uut: &Switch, conn: usize) {
            let r = uut.r.q.val();
            let own = number(r.conn) == conn;
            match r.state {
                State::Look if uut.dequeue.val() && number(uut.first_conn.val()) == conn => {
                    self.saw("at its dequeue");
                }
                State::Check if own => self.saw("as its status is there"),
                State::Query | State::Offer if own => self.saw("before its bytes"),
                State::Burst if own && (r.rx_busy || r.tx_busy) => self.saw("in its burst"),
                State::Burst if own => self.saw("at its end"),
                State::Wake => self.saw("beside an application's wake"),
                _ => {}
            }
        }

        fn step(&mut self, uut: &mut Switch, rng: &mut StdRng) {
            self.drive(uut, rng);
            settle(uut);
            self.observe(uut, rng);
            let collides = Collisions::of(uut);
            uut.clock.next = Clock { clk: true };
            settle(uut);
            collides.spoil(uut, rng);
            uut.clock.next = Clock { clk: false };
            settle(uut);
        }

        /// Waits until no turn is owed.
        fn rest(&mut self, uut: &mut Switch, rng: &mut StdRng) {
            while self.command.is_some() || self.conns.iter().any(|known| known.owed.is_some()) {
                self.step(uut, rng);
            }
            for _ in 0..20 {
                self.step(uut, rng);
            }
        }

        fn tell(&mut self, uut: &mut Switch, rng: &mut StdRng, conn: usize, kind: u8) {
            self.command = Some((conn, kind, 3));
            while self.command.is_some() {
                self.step(uut, rng);
            }
        }

        /// All connections open, of this owner, and at rest.
        fn open_all(connections: usize, owner: usize) -> (Self, Switch, StdRng) {
            Self::all_open(connections, owner, false)
        }

        fn all_open(connections: usize, owner: usize, host: bool) -> (Self, Switch, StdRng) {
            let mut rig = Self::new(connections, host);
            let mut rng = StdRng::seed_from_u64(7);
            let mut uut = Switch::new(connections).with_host(host);
            uut.connect_all();
            for _ in 0..connections + 6 {
                rig.step(&mut uut, &mut rng);
            }
            for conn in 0..connections {
                rig.conns[conn].owner = owner;
                rig.tell(&mut uut, &mut rng, conn, isa::notify::OPEN);
            }
            rig.rest(&mut uut, &mut rng);
            (rig, uut, rng)
        }
    }

    fn app(uut: &mut Switch, who: usize) -> &mut AppOut {
        match who {
            0 => &mut uut.app0,
            1 => &mut uut.app1,
            2 => &mut uut.app2,
            _ => &mut uut.app3,
        }
    }

    /// A turn for each reason, none without one, and none later than once round the queue; whenever the reason comes. Once nothing happens any more, nobody is asked.
    #[test]
    fn whoever_has_work_is_served() {
        let mut counts = BTreeMap::new();
        let sizes = [1_usize, 2, 4, 64, 1024].map(|n| (n, false));
        for (connections, host) in sizes.into_iter().chain([(4, true), (64, true)]) {
            let mut rng = StdRng::seed_from_u64(connections as u64);
            let mut rig = Rig::new(connections, host);
            let mut uut = Switch::new(connections).with_host(host);
            uut.connect_all();
            settle(&mut uut);
            rig.plan = Plan::Random;
            let rounds = if connections < 1024 { 60_000 } else { 30_000 };
            for round in 0..rounds {
                let busy = round / 2_000 % 3;
                rig.commands = [0.9, 0.02, 0.3][busy];
                rig.wakes = [0.01, 0.002, 0.6][busy];
                rig.step(&mut uut, &mut rng);
            }
            assert!(rig.turns > 500, "{}", rig.turns);
            assert!(rig.turns <= rig.reasons);
            assert!(
                connections == 1 || rig.longest * 8 > connections,
                "{}",
                rig.longest
            );
            rig.plan = Plan::Nothing;
            (rig.commands, rig.wakes) = (0.0, 0.0);
            while rig.wake.iter().any(Option::is_some) {
                rig.step(&mut uut, &mut rng);
            }
            rig.rest(&mut uut, &mut rng);
            let turns = rig.turns;
            for _ in 0..3_000 {
                rig.step(&mut uut, &mut rng);
            }
            assert_eq!(rig.turns, turns);
            let open = rig.conns.iter().any(|known| known.life == Life::Open);
            assert_eq!(uut.any_open.val(), open);
            for (what, count) in rig.counts {
                *counts.entry(what).or_insert(0) += count;
            }
        }
        for what in [
            "at its dequeue",
            "as its status is there",
            "before its bytes",
            "in its burst",
            "at its end",
            "beside an application's wake",
            "released",
            "closed",
            "woken",
        ] {
            assert!(
                counts.get(what).is_some_and(|n| *n > 10),
                "{what}: {counts:?}"
            );
        }
    }

    /// One that talks among many open ones: so many cycles a turn, however many they are.
    #[test]
    fn a_turn_costs_the_same_among_any_number() {
        for connections in [1_usize, 2, 4, 64, 1024] {
            let (mut rig, mut uut, mut rng) = Rig::open_all(connections, DISCARD);
            let busy = connections / 2;
            rig.plan = Plan::All;
            rig.conns[busy].readable = 5000;
            rig.tell(&mut uut, &mut rng, busy, COMMIT);
            rig.began.clear();
            while rig.began.len() < 5 {
                rig.step(&mut uut, &mut rng);
            }
            for pair in rig.began.windows(2) {
                assert_eq!((pair[0].1, pair[1].1), (busy, busy));
                // The query 4 cycles in this model, the answer 1, and the burst 6 more than its bytes.
                let bytes = u64::from(TURN);
                assert_eq!(
                    pair[1].0 - pair[0].0,
                    4 + 4 + 1 + bytes + 6,
                    "{connections}"
                );
            }
        }
    }

    /// Those with work in turn, whatever the order in which they came by it, and whatever one of them has.
    #[test]
    fn turns_go_round() {
        let (mut rig, mut uut, mut rng) = Rig::open_all(64, DISCARD);
        rig.plan = Plan::All;
        let busy = [9, 3, 60, 31];
        for conn in busy {
            rig.conns[conn].readable = 5000;
            rig.tell(&mut uut, &mut rng, conn, COMMIT);
        }
        rig.began.clear();
        while rig.began.len() < 16 {
            // More for one that has enough: no turn before its own.
            rig.tell(&mut uut, &mut rng, 60, COMMIT);
        }
        let order: Vec<usize> = rig.began.iter().map(|began| began.1).collect();
        for four in order.windows(4) {
            let mut four = four.to_vec();
            four.sort_unstable();
            assert_eq!(four, [3, 9, 31, 60], "{order:?}");
        }
    }

    /// An application that wanted nothing, and later has something to say.
    #[test]
    fn an_application_wakes_its_connection() {
        let (mut rig, mut uut, mut rng) = Rig::open_all(4, ECHO);
        rig.conns[2].writable = 100;
        rig.tell(&mut uut, &mut rng, 2, FREE);
        rig.rest(&mut uut, &mut rng);
        rig.offers.clear();
        for _ in 0..1_000 {
            rig.step(&mut uut, &mut rng);
        }
        assert!(
            rig.offers.is_empty(),
            "offered again unasked: {:?}",
            rig.offers
        );
        let mut latencies = vec![];
        for pause in 0..8 {
            for _ in 0..pause {
                rig.step(&mut uut, &mut rng);
            }
            rig.offers.clear();
            rig.began.clear();
            rig.plan = Plan::Write(3);
            rig.wake[0] = Some(2);
            let since = rig.cycle + 1;
            for _ in 0..100 {
                rig.step(&mut uut, &mut rng);
            }
            // Served, and asked once more, for it had taken.
            let took: Vec<_> = rig.offers.iter().map(|o| (o.1, o.2, o.3)).collect();
            assert_eq!(took, [(2, 0, 3), (2, 0, 0)]);
            latencies.push(rig.began[0].0 - since);
        }
        assert!(
            latencies.iter().all(|n| (5..=8).contains(n)),
            "{latencies:?}"
        );
        assert!(
            latencies.contains(&5) && latencies.contains(&8),
            "{latencies:?}"
        );
        // In the turn itself, behind an answer of nothing: once more.
        rig.offers.clear();
        rig.tell(&mut uut, &mut rng, 2, FREE);
        while rig.offers.is_empty() {
            if uut.app0.offer_valid.val() {
                rig.wake[0] = Some(2);
            }
            rig.step(&mut uut, &mut rng);
        }
        rig.rest(&mut uut, &mut rng);
        assert_eq!(rig.offers.len(), 2);
        // For a connection that is gone: taken, and without consequence.
        rig.tell(&mut uut, &mut rng, 2, isa::notify::RESET);
        rig.rest(&mut uut, &mut rng);
        rig.offers.clear();
        rig.wake[0] = Some(2);
        for _ in 0..100 {
            rig.step(&mut uut, &mut rng);
        }
        assert!(rig.offers.is_empty() && rig.wake[0].is_none());
        assert_eq!(rig.counts["released"], 1);
    }

    /// Those that wake without end: each in turn, and turns of others between them.
    #[test]
    fn wakes_hold_nobody() {
        for host in [false, true] {
            hold_nobody(host);
        }
    }

    fn hold_nobody(host: bool) {
        let all = if host { 4 } else { 3 };
        let (mut rig, mut uut, mut rng) = Rig::all_open(8, DISCARD, host);
        rig.plan = Plan::All;
        rig.conns[7].readable = 5;
        rig.tell(&mut uut, &mut rng, 7, COMMIT);
        rig.began.clear();
        for _ in 0..5_000 {
            for who in 0..all {
                rig.wake[who] = Some(rig.wake[who].unwrap_or(who));
            }
            rig.step(&mut uut, &mut rng);
        }
        for who in 0..all {
            let mine: Vec<_> = rig.woken.iter().filter(|woken| woken.0 == who).collect();
            assert!(mine.len() > 100);
            for pair in mine.windows(2) {
                let turns = rig
                    .began
                    .iter()
                    .filter(|began| (pair[0].2..pair[1].2).contains(&began.0));
                let most = if who == HOST { 8 } else { 4 };
                assert!(turns.count() <= most, "more than {most} turns for a wake");
            }
        }
        // The busy one has one turn of as many as there are with work.
        let order: Vec<usize> = rig.began.iter().map(|began| began.1).collect();
        let share = |some: &[usize]| some.contains(&7);
        assert!(order.windows(all + 1).all(share), "{order:?}");
    }
}
