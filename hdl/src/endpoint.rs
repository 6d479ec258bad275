//! The engine from IP packets in to IP packets out: everything that does not depend on the link.
//!
//! Wiring only; each block's header says its latency and throughput. Around it stand [`crate::toe`]'s tops: Ethernet with ARP, or SLIP with neither.
//! The receive side never waits: `ip` is taken a byte every cycle.
//!
//! It promises nothing of its own: latency, throughput and abort are the blocks', stated and tested beside each. Those of the whole, at the pins, are asserted in
//! `testbench/tests/numbers.rs`; it is compared with its Verilog as the greatest part of both tops (`testbench/tests/lockstep_whole.rs`).
use rust_hdl::prelude::*;

use crate::app::chargen::Chargen;
use crate::app::discard::Discard;
use crate::app::echo::Echo;
use crate::app::switch::Switch;
use crate::app::AppOut;
use crate::config::{ConfigError, ToeConfig};
use crate::counter_ram::CounterRam;
use crate::net::icmp::Icmp;
use crate::net::ipv4_rx::Ipv4Rx;
use crate::net::ipv4_tx::Ipv4Tx;
use crate::net::PacketOut;
use crate::stream::{StreamIn, StreamOut};
use crate::tcp::builder::Builder;
use crate::tcp::command::CommandOut;
use crate::tcp::engine::Engine;
use crate::tcp::events::{Events, PostOut};
use crate::tcp::isa::cmd;
use crate::tcp::keyed_hash::KeyedHash;
use crate::tcp::pacing::Pacing;
use crate::tcp::parser::Parser;
use crate::tcp::program;
use crate::tcp::records::Records;
use crate::tcp::rx_ring::RxRing;
use crate::tcp::scale::Scale;
use crate::tcp::table::Table;
use crate::tcp::timers::Timers;
use crate::tcp::tx_ring::TxRing;

/// Counting ports that the link's blocks may use.
pub const LINK_PORTS: usize = 4;

/// See the module.
#[derive(LogicBlock)]
pub struct Endpoint {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    /// One cycle a millisecond.
    pub tick: Signal<In, Bit>,

    // Packets in, with the Ethernet source of the frame (0 without Ethernet) and its tag, held until the next frame's header.
    pub ip: StreamIn,
    pub src_hi: Signal<In, Bits<16>>,
    pub src_lo: Signal<In, Bits<32>>,
    pub src_tag: Signal<In, Bits<16>>,
    // Packets out, with the Ethernet destination and the tag.
    pub packet: StreamOut,
    pub dst_hi: Signal<Out, Bits<16>>,
    pub dst_lo: Signal<Out, Bits<32>>,
    pub dst_tag: Signal<Out, Bits<16>>,
    // Next hops are asked for here: only `cmd::ARP` is answered by what is connected.
    pub arp: CommandOut,

    // Counters: the link's occurrences in, any counter out (6 cycles after its address).
    pub link_count: [Signal<In, Bit>; LINK_PORTS],
    pub link_cause: [Signal<In, Bits<6>>; LINK_PORTS],
    pub counter_address: Signal<In, Bits<6>>,
    pub counter_data: Signal<Out, Bits<32>>,
    /// An occurrence came too fast to be counted; never, if the design is sound.
    pub counter_lost: Signal<Out, Bit>,

    // Active open, or an option of a connection that exists: held until `command_ready`.
    pub command_valid: Signal<In, Bit>,
    /// Remote port << 16 | local port.
    pub command_ports: Signal<In, Bits<32>>,
    pub command_ip: Signal<In, Bits<32>>,
    pub command_owner: Signal<In, Bits<8>>,
    /// The option's number, and from bit 8 on its value (`program::host::ConnectionOption`). Zero, or `program::host::open`: open.
    pub command_option: Signal<In, Bits<24>>,
    pub command_ready: Signal<Out, Bit>,

    // Replaces the program.
    pub program_write: Signal<In, Bit>,
    pub program_address: Signal<In, Bits<12>>,
    pub program_data: Signal<In, Bits<24>>,

    // The keys of the hashes are replaced, 32 bits at a time, each held until `key_ready`: which is high while no connection and no TIME-WAIT is remembered and none is looked for, and
    // during `reset` and the clearing behind it always.
    pub key_write: Signal<In, Bit>,
    /// 0 lower, 1 upper half of `ToeConfig::isn_key`; 2 lower, 3 upper half of `ToeConfig::hash_key`, which must not be zero.
    pub key_word: Signal<In, Bits<2>>,
    pub key_data: Signal<In, Bits<32>>,
    pub key_ready: Signal<Out, Bit>,

    // What an application is told without having asked, each for one cycle: how a connection began and ended (`isa::notify`), and the asynchronous reports of RFC 9293 section 3.9.1.8 (`isa::report`).
    pub report_valid: Signal<Out, Bit>,
    pub report_conn: Signal<Out, Bits<10>>,
    pub report_kind: Signal<Out, Bits<6>>,
    pub report_value: Signal<Out, Bits<32>>,

    /// The host as an application, owner 3: a stream each way for each connection, with [`ToeConfig::host_port`].
    pub host: AppOut,

    // A pacer's ([`crate::tcp::pacing`]): whose event the engine is at, and if its new text is held; whom to ask again, held until `pace_wake_ready`; what leaves.
    pub pace_hold: Signal<In, Bit>,
    pub pace_wake: Signal<In, Bit>,
    pub pace_wake_conn: Signal<In, Bits<10>>,
    pub pace_conn: Signal<Out, Bits<10>>,
    pub pace_wake_ready: Signal<Out, Bit>,
    pub pace_sent: Signal<Out, Bit>,
    pub pace_sent_conn: Signal<Out, Bits<10>>,
    pub pace_sent_length: Signal<Out, Bits<11>>,

    /// A connection is open.
    pub any_open: Signal<Out, Bit>,

    // What a simulation may watch (see `Engine`).
    pub trace_valid: Signal<Out, Bit>,
    pub trace_pc: Signal<Out, Bits<12>>,
    pub trace_event: Signal<Out, Bit>,
    pub trace_kind: Signal<Out, Bits<2>>,
    pub trace_conn: Signal<Out, Bits<10>>,
    pub trace_done: Signal<Out, Bit>,
    pub trace_store: Signal<Out, Bit>,
    pub trace_store_conn: Signal<Out, Bits<10>>,
    pub trace_operand: Signal<Out, Bits<7>>,
    pub trace_data: Signal<Out, Bits<32>>,

    // In the order of the data's way.
    ipv4_rx: Ipv4Rx,
    icmp: Icmp,
    parser: Parser,
    table: Table,
    keyed_hash: KeyedHash,
    scale: Scale,
    rx_ring: RxRing,
    records: Records,
    events: Events,
    timers: Timers,
    engine: Engine,
    switch: Switch,
    echo: Echo,
    discard: Discard,
    chargen: Chargen,
    tx_ring: TxRing,
    pacing: Pacing,
    builder: Builder,
    ipv4_tx: Ipv4Tx,
    counters: CounterRam<9>,
    place_conn: Signal<Local, Bits<11>>,
    reporting: Signal<Local, Bit>,
    notified: Signal<Local, Bit>,
    report_code: Constant<Bits<6>>,
    notify_code: Constant<Bits<6>>,
    send_code: Constant<Bits<6>>,
    connections: Constant<Bits<11>>,
}

impl Endpoint {
    /// The engine of a configuration.
    ///
    /// # Errors
    /// When the configuration is bad.
    pub fn new(config: &ToeConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let program = program::program(config);
        Ok(Self {
            clock: Default::default(),
            reset: Default::default(),
            tick: Default::default(),
            ip: Default::default(),
            src_hi: Default::default(),
            src_lo: Default::default(),
            src_tag: Default::default(),
            packet: Default::default(),
            dst_hi: Default::default(),
            dst_lo: Default::default(),
            dst_tag: Default::default(),
            arp: Default::default(),
            link_count: std::array::from_fn(|_| Default::default()),
            link_cause: std::array::from_fn(|_| Default::default()),
            counter_address: Default::default(),
            counter_data: Default::default(),
            counter_lost: Default::default(),
            command_valid: Default::default(),
            command_ports: Default::default(),
            command_ip: Default::default(),
            command_owner: Default::default(),
            command_option: Default::default(),
            command_ready: Default::default(),
            program_write: Default::default(),
            program_address: Default::default(),
            program_data: Default::default(),
            key_write: Default::default(),
            key_word: Default::default(),
            key_data: Default::default(),
            key_ready: Default::default(),
            report_valid: Default::default(),
            report_conn: Default::default(),
            report_kind: Default::default(),
            report_value: Default::default(),
            host: Default::default(),
            pace_hold: Default::default(),
            pace_wake: Default::default(),
            pace_wake_conn: Default::default(),
            pace_conn: Default::default(),
            pace_wake_ready: Default::default(),
            pace_sent: Default::default(),
            pace_sent_conn: Default::default(),
            pace_sent_length: Default::default(),
            any_open: Default::default(),
            trace_valid: Default::default(),
            trace_pc: Default::default(),
            trace_event: Default::default(),
            trace_kind: Default::default(),
            trace_conn: Default::default(),
            trace_done: Default::default(),
            trace_store: Default::default(),
            trace_store_conn: Default::default(),
            trace_operand: Default::default(),
            trace_data: Default::default(),
            ipv4_rx: Ipv4Rx::new(config),
            icmp: Icmp::new(config),
            parser: Parser::new(
                config.ip,
                config.scoreboard(),
                config.icmp_errors,
                config.vlan,
                config.window_scale,
            )
            .with_ecn(config.ecn)
            .with_user_timeout(config.user_timeout_option),
            table: Table::new(config),
            keyed_hash: KeyedHash::new(
                (config.isn_hash && !config.isn_in_program()).then_some(config.isn_key),
            ),
            scale: Scale::new(config.entries(), config.window_scale),
            rx_ring: RxRing::new(config.connections, config.rx_ring_bytes, config.sack)
                .with_twice(config.scoreboard()),
            records: Records::default(),
            events: Events::new(config.entries()),
            timers: Timers::new(config.entries()),
            engine: Engine::new(
                config.entries(),
                config.program_words,
                &program.words,
                &program.shared,
                program.far,
            )
            .with_aside(config.user_timeout_option),
            switch: Switch::new(config.connections).with_host(config.host_port),
            echo: Default::default(),
            discard: Default::default(),
            chargen: Chargen::new(config.connections),
            tx_ring: TxRing::new(
                config.connections,
                config.tx_ring_bytes,
                config.scoreboard(),
                config.icmp_errors,
            )
            .with_pacer(config.pacing),
            pacing: Pacing::new(config.pacing),
            builder: Builder::new(config.ip, config.vlan)
                .with_ecn(config.ecn.then_some(config.entries()))
                .with_diffserv(config.complete().then_some(config.entries())),
            ipv4_tx: Ipv4Tx::new(config),
            counters: Default::default(),
            place_conn: Default::default(),
            reporting: Default::default(),
            notified: Default::default(),
            report_code: Constant::new(u64::from(cmd::REPORT).into()),
            notify_code: Constant::new(u64::from(cmd::NOTIFY).into()),
            send_code: Constant::new(u64::from(cmd::SEND).into()),
            connections: Constant::new((config.connections as u64).into()),
        })
    }
}

impl Logic for Endpoint {
    #[hdl_gen]
    fn update(&mut self) {
        // ------------------------------------------------------------ clock, reset, tick
        clock!(
            self, clock, ipv4_rx, icmp, parser, table, keyed_hash, scale, rx_ring, records, events,
            timers, engine, switch, chargen, tx_ring, pacing, builder, ipv4_tx, counters
        );
        self.ipv4_rx.reset.next = self.reset.val();
        self.icmp.reset.next = self.reset.val();
        self.parser.reset.next = self.reset.val();
        self.table.reset.next = self.reset.val();
        self.keyed_hash.reset.next = self.reset.val();
        self.rx_ring.reset.next = self.reset.val();
        self.records.reset.next = self.reset.val();
        self.events.reset.next = self.reset.val();
        self.timers.reset.next = self.reset.val();
        self.engine.reset.next = self.reset.val();
        self.switch.reset.next = self.reset.val();
        self.chargen.reset.next = self.reset.val();
        self.tx_ring.reset.next = self.reset.val();
        self.pacing.reset.next = self.reset.val();
        self.builder.reset.next = self.reset.val();
        self.ipv4_tx.reset.next = self.reset.val();
        self.engine.tick.next = self.tick.val();
        self.timers.tick.next = self.tick.val();
        self.timers.now.next = self.engine.now.val();
        // ------------------------------------------------------------ packets in: IPv4, then ICMP and the parser side by side
        StreamIn::link(&mut self.ip, &mut self.ipv4_rx.ip);
        self.ipv4_rx.payload.ready.next = true;
        self.icmp.payload.data.next = self.ipv4_rx.payload.data.val();
        self.icmp.payload.last.next = self.ipv4_rx.payload.last.val();
        self.icmp.payload.error.next = self.ipv4_rx.payload.error.val();
        self.icmp.payload.valid.next = self.ipv4_rx.payload.valid.val();
        self.icmp.info_src.next = self.ipv4_rx.info_src.val();
        self.icmp.info_protocol.next = self.ipv4_rx.info_protocol.val();
        self.icmp.info_length.next = self.ipv4_rx.info_length.val();
        self.icmp.src_hi.next = self.src_hi.val();
        self.icmp.src_lo.next = self.src_lo.val();
        self.icmp.src_tag.next = self.src_tag.val();
        self.icmp.taken.next = self.parser.error_taken.val();
        self.parser.payload.data.next = self.ipv4_rx.payload.data.val();
        self.parser.payload.last.next = self.ipv4_rx.payload.last.val();
        self.parser.payload.error.next = self.ipv4_rx.payload.error.val();
        self.parser.payload.valid.next = self.ipv4_rx.payload.valid.val();
        self.parser.info_src.next = self.ipv4_rx.info_src.val();
        self.parser.info_protocol.next = self.ipv4_rx.info_protocol.val();
        self.parser.info_length.next = self.ipv4_rx.info_length.val();
        self.parser.info_ce.next = self.ipv4_rx.info_ce.val();
        self.parser.src_hi.next = self.src_hi.val();
        self.parser.src_lo.next = self.src_lo.val();
        self.parser.src_tag.next = self.src_tag.val();
        // ------------------------------------------------------------ parser: look-up, record, payload
        self.table.lookup_valid.next = self.parser.lookup_valid.val();
        self.table.lookup_ip.next = self.parser.lookup_ip.val();
        self.table.lookup_ports.next = self.parser.lookup_ports.val();
        self.parser.lookup_done.next = self.table.lookup_done.val();
        self.parser.lookup_hit.next = self.table.lookup_hit.val();
        self.parser.lookup_conn.next = self.table.lookup_conn.val();
        self.scale.take.next = self.parser.scale_take.val();
        self.scale.window.next = self.parser.scale_window.val();
        self.scale.go.next = self.parser.scale_go.val();
        self.scale.plain.next = self.parser.scale_plain.val();
        self.scale.conn.next = self.parser.record_conn.val();
        self.parser.scale_busy.next = self.scale.busy.val();
        self.parser.scaled.next = self.scale.scaled.val();
        self.parser.slot_free.next = !self.records.full.val();
        self.parser.slot.next = self.records.tail_slot.val();
        self.records.write.next = self.parser.record_write.val();
        self.records.word.next = self.parser.record_word.val();
        self.records.data.next = self.parser.record_data.val();
        self.records.push.next = self.parser.record_push.val();
        self.records.push_conn.next = self.parser.record_conn.val();
        self.records.push_hit.next = self.parser.record_hit.val();
        self.records.push_flags.next = self.parser.record_flags.val();
        self.rx_ring.place_valid.next = self.parser.place_valid.val();
        self.rx_ring.place_conn.next = self.parser.place_conn.val();
        // TIME-WAIT has entries without buffers, and takes no payload.
        self.place_conn.next = bit_cast::<11, 10>(self.parser.place_conn.val());
        self.rx_ring.place_hit.next =
            self.parser.place_hit.val() & (self.place_conn.val() < self.connections.val());
        self.rx_ring.place_seq.next = self.parser.place_seq.val();
        self.rx_ring.place_length.next = self.parser.place_length.val();
        self.rx_ring.place_slot.next = self.parser.place_slot.val();
        self.rx_ring.bytes_valid.next = self.parser.bytes_valid.val();
        self.rx_ring.bytes_data.next = self.parser.bytes_data.val();
        self.rx_ring.bytes_last.next = self.parser.bytes_last.val();
        self.parser.placed.next = self.rx_ring.placed.val();
        self.rx_ring.slots_oldest.next = self.records.oldest.val();
        self.rx_ring.slots_count.next = self.records.count.val();
        // ------------------------------------------------------------ records and events to the engine
        self.engine.segment_valid.next = self.records.head_valid.val();
        self.engine.segment_slot.next = self.records.head_slot.val();
        self.engine.segment_conn.next = self.records.head_conn.val();
        self.engine.segment_hit.next = self.records.head_hit.val();
        self.engine.segment_flags.next = self.records.head_flags.val();
        self.records.pop.next = self.engine.segment_pop.val();
        self.engine.host_valid.next = self.records.host_valid.val();
        self.records.host_pop.next = self.engine.host_pop.val();
        self.records.read_enable.next = self.engine.record_enable.val();
        self.records.read_slot.next = self.engine.record_slot.val();
        self.records.read_word.next = self.engine.record_word.val();
        self.engine.record_data.next = self.records.read_data.val();
        self.records.command_valid.next = self.command_valid.val();
        self.records.command_ports.next = self.command_ports.val();
        self.records.command_ip.next = self.command_ip.val();
        self.records.command_owner.next = self.command_owner.val();
        self.records.command_option.next = self.command_option.val();
        self.command_ready.next = self.records.command_ready.val();
        self.engine.pending_valid.next = self.events.head_valid.val();
        self.engine.pending_conn.next = self.events.head_conn.val();
        self.engine.pending_mask.next = self.events.head_mask.val();
        self.events.pop.next = self.engine.pending_pop.val();
        self.engine.sender_full.next = self.builder.full.val();
        self.engine.sender_busy.next = self.builder.taken.val();
        PostOut::join(&mut self.timers.post, &mut self.events.timers);
        PostOut::join(&mut self.engine.post, &mut self.events.engine);
        PostOut::join(&mut self.switch.post, &mut self.events.switch);
        self.events.rx_ring.valid.next = self.rx_ring.post_valid.val();
        self.events.rx_ring.conn.next = self.rx_ring.post_conn.val();
        self.events.rx_ring.bit.next = self.rx_ring.post_bit.val();
        self.rx_ring.post_ready.next = self.events.rx_ring.ready.val();
        self.pacing.ring_valid.next = self.tx_ring.post_valid.val();
        self.pacing.ring_conn.next = self.tx_ring.post_conn.val();
        self.pacing.ring_bit.next = self.tx_ring.post_bit.val();
        self.tx_ring.post_ready.next = self.pacing.ring_ready.val();
        PostOut::join(&mut self.pacing.post, &mut self.events.tx_ring);
        // ------------------------------------------------------------ commands: to all, answers ORed
        self.table.command.valid.next = self.engine.command.valid.val();
        self.table.command.code.next = self.engine.command.code.val();
        self.table.command.imm.next = self.engine.command.imm.val();
        self.table.command.conn.next = self.engine.command.conn.val();
        self.table.command.slot.next = self.engine.command.slot.val();
        self.table.command.a.next = self.engine.command.a.val();
        self.table.command.b.next = self.engine.command.b.val();
        self.keyed_hash.command.valid.next = self.engine.command.valid.val();
        self.keyed_hash.command.code.next = self.engine.command.code.val();
        self.keyed_hash.command.imm.next = self.engine.command.imm.val();
        self.keyed_hash.command.conn.next = self.engine.command.conn.val();
        self.keyed_hash.command.slot.next = self.engine.command.slot.val();
        self.keyed_hash.command.a.next = self.engine.command.a.val();
        self.keyed_hash.command.b.next = self.engine.command.b.val();
        self.keyed_hash.looked_up.next = self.table.command.done.val();
        self.scale.command.valid.next = self.engine.command.valid.val();
        self.scale.command.code.next = self.engine.command.code.val();
        self.scale.command.imm.next = self.engine.command.imm.val();
        self.scale.command.conn.next = self.engine.command.conn.val();
        self.scale.command.slot.next = self.engine.command.slot.val();
        self.scale.command.a.next = self.engine.command.a.val();
        self.scale.command.b.next = self.engine.command.b.val();
        self.rx_ring.command.valid.next = self.engine.command.valid.val();
        self.rx_ring.command.code.next = self.engine.command.code.val();
        self.rx_ring.command.imm.next = self.engine.command.imm.val();
        self.rx_ring.command.conn.next = self.engine.command.conn.val();
        self.rx_ring.command.slot.next = self.engine.command.slot.val();
        self.rx_ring.command.a.next = self.engine.command.a.val();
        self.rx_ring.command.b.next = self.engine.command.b.val();
        self.tx_ring.command.valid.next = self.engine.command.valid.val();
        self.tx_ring.command.code.next = self.engine.command.code.val();
        self.tx_ring.command.imm.next = self.engine.command.imm.val();
        self.tx_ring.command.conn.next = self.engine.command.conn.val();
        self.tx_ring.command.slot.next = self.engine.command.slot.val();
        self.tx_ring.command.a.next = self.engine.command.a.val();
        self.tx_ring.command.b.next = self.engine.command.b.val();
        self.builder.event.next = self.engine.trace_event.val();
        self.builder.count.next = self.engine.count.val();
        self.builder.cause.next = self.engine.cause.val();
        self.builder.command.valid.next = self.engine.command.valid.val();
        self.builder.command.code.next = self.engine.command.code.val();
        self.builder.command.imm.next = self.engine.command.imm.val();
        self.builder.command.conn.next = self.engine.command.conn.val();
        self.builder.command.slot.next = self.engine.command.slot.val();
        self.builder.command.a.next = self.engine.command.a.val();
        self.builder.command.b.next = self.engine.command.b.val();
        self.timers.command.valid.next = self.engine.command.valid.val();
        self.timers.command.code.next = self.engine.command.code.val();
        self.timers.command.imm.next = self.engine.command.imm.val();
        self.timers.command.conn.next = self.engine.command.conn.val();
        self.timers.command.slot.next = self.engine.command.slot.val();
        self.timers.command.a.next = self.engine.command.a.val();
        self.timers.command.b.next = self.engine.command.b.val();
        self.switch.command.valid.next = self.engine.command.valid.val();
        self.switch.command.code.next = self.engine.command.code.val();
        self.switch.command.imm.next = self.engine.command.imm.val();
        self.switch.command.conn.next = self.engine.command.conn.val();
        self.switch.command.slot.next = self.engine.command.slot.val();
        self.switch.command.a.next = self.engine.command.a.val();
        self.switch.command.b.next = self.engine.command.b.val();
        self.switch.ring_ok.next = self.rx_ring.command.ok.val() | self.tx_ring.command.ok.val();
        self.arp.valid.next = self.engine.command.valid.val();
        self.arp.code.next = self.engine.command.code.val();
        self.arp.imm.next = self.engine.command.imm.val();
        self.arp.conn.next = self.engine.command.conn.val();
        self.arp.slot.next = self.engine.command.slot.val();
        self.arp.a.next = self.engine.command.a.val();
        self.arp.b.next = self.engine.command.b.val();
        self.reporting.next = self.engine.command.valid.val()
            & (self.engine.command.code.val() == self.report_code.val());
        self.engine.command.done.next = self.table.command.done.val()
            | self.keyed_hash.command.done.val()
            | self.scale.command.done.val()
            | self.rx_ring.command.done.val()
            | self.tx_ring.command.done.val()
            | self.builder.command.done.val()
            | self.timers.command.done.val()
            | self.reporting.val()
            | self.switch.command.done.val()
            | self.arp.done.val();
        self.engine.command.ok.next = self.table.command.ok.val()
            | self.keyed_hash.command.ok.val()
            | self.scale.command.ok.val()
            | self.rx_ring.command.ok.val()
            | self.tx_ring.command.ok.val()
            | self.builder.command.ok.val()
            | self.timers.command.ok.val()
            | self.switch.command.ok.val()
            | self.arp.ok.val();
        self.engine.command.result.next = self.table.command.result.val()
            | self.keyed_hash.command.result.val()
            | self.scale.command.result.val()
            | self.rx_ring.command.result.val()
            | self.tx_ring.command.result.val()
            | self.builder.command.result.val()
            | self.timers.command.result.val()
            | self.switch.command.result.val()
            | self.arp.result.val();
        self.engine.command.result2.next = self.table.command.result2.val()
            | self.keyed_hash.command.result2.val()
            | self.scale.command.result2.val()
            | self.rx_ring.command.result2.val()
            | self.tx_ring.command.result2.val()
            | self.builder.command.result2.val()
            | self.timers.command.result2.val()
            | self.switch.command.result2.val()
            | self.arp.result2.val();
        // ------------------------------------------------------------ applications between the rings
        self.rx_ring.query_valid.next = self.switch.rx_query_valid.val();
        self.rx_ring.query_conn.next = self.switch.rx_query_conn.val();
        self.switch.rx_query_done.next = self.rx_ring.query_done.val();
        self.switch.rx_readable.next = self.rx_ring.readable.val();
        self.rx_ring.start.next = self.switch.rx_start.val();
        self.rx_ring.start_conn.next = self.switch.rx_start_conn.val();
        self.rx_ring.start_count.next = self.switch.rx_start_count.val();
        self.switch.rx_burst_done.next = self.rx_ring.burst_done.val();
        self.tx_ring.query_valid.next = self.switch.tx_query_valid.val();
        self.tx_ring.query_conn.next = self.switch.tx_query_conn.val();
        self.switch.tx_query_done.next = self.tx_ring.query_done.val();
        self.switch.tx_writable.next = self.tx_ring.writable.val();
        self.tx_ring.start.next = self.switch.tx_start.val();
        self.tx_ring.start_conn.next = self.switch.tx_start_conn.val();
        self.tx_ring.start_count.next = self.switch.tx_start_count.val();
        self.switch.tx_burst_done.next = self.tx_ring.burst_done.val();
        StreamOut::join(&mut self.rx_ring.stream, &mut self.switch.rx);
        StreamOut::join(&mut self.switch.tx, &mut self.tx_ring.bytes);
        AppOut::join(&mut self.switch.app0, &mut self.echo.app);
        AppOut::join(&mut self.switch.app1, &mut self.discard.app);
        AppOut::join(&mut self.switch.app2, &mut self.chargen.app);
        AppOut::link(&mut self.host, &mut self.switch.app3);
        // ------------------------------------------------------------ segments out
        self.tx_ring.builder_busy.next = self.builder.busy.val();
        self.tx_ring.read_conn.next = self.builder.read_conn.val();
        self.tx_ring.read_offset.next = self.builder.read_offset.val();
        self.builder.read_data.next = self.tx_ring.read_data.val();
        PacketOut::join(&mut self.builder.packet, &mut self.ipv4_tx.a);
        PacketOut::join(&mut self.icmp.packet, &mut self.ipv4_tx.b);
        StreamOut::link(&mut self.packet, &mut self.ipv4_tx.packet);
        self.dst_hi.next = self.ipv4_tx.dst_hi.val();
        self.dst_lo.next = self.ipv4_tx.dst_lo.val();
        self.dst_tag.next = self.ipv4_tx.dst_tag.val();
        // ------------------------------------------------------------ counters
        self.counters.count[0].next = self.engine.count.val();
        self.counters.cause[0].next = self.engine.cause.val();
        for i in 0..4 {
            self.counters.count[i + 1].next = self.link_count[i].val();
            self.counters.cause[i + 1].next = self.link_cause[i].val();
        }
        self.counters.count[5].next = self.ipv4_rx.count.val();
        self.counters.cause[5].next = self.ipv4_rx.cause.val();
        self.counters.count[6].next = self.icmp.count.val();
        self.counters.cause[6].next = self.icmp.cause.val();
        self.counters.count[7].next = self.parser.count.val();
        self.counters.cause[7].next = self.parser.cause.val();
        self.counters.count[8].next = self.rx_ring.count.val();
        self.counters.cause[8].next = self.rx_ring.cause.val();
        self.counters.read_address.next = self.counter_address.val();
        self.counter_data.next = self.counters.read_data.val();
        self.counter_lost.next = self.counters.lost.val();
        // ------------------------------------------------------------ keys
        self.key_ready.next = self.table.key_ready.val();
        self.keyed_hash.key_write.next =
            self.key_write.val() & self.table.key_ready.val() & !self.key_word.val().get_bit(1);
        self.keyed_hash.key_upper.next = self.key_word.val().get_bit(0);
        self.keyed_hash.key_data.next = self.key_data.val();
        self.table.key_write.next = self.key_write.val() & self.key_word.val().get_bit(1);
        self.table.key_upper.next = self.key_word.val().get_bit(0);
        self.table.key_data.next = self.key_data.val();
        // ------------------------------------------------------------ reports: nobody is asked, nobody answers
        self.notified.next = self.switch.command.done.val()
            & (self.engine.command.code.val() == self.notify_code.val());
        self.report_valid.next = self.reporting.val() | self.notified.val();
        self.report_conn.next = self.engine.command.conn.val();
        self.report_kind.next = self.engine.command.imm.val();
        self.report_value.next = self.engine.command.b.val();
        // ------------------------------------------------------------ a pacer: what it holds, whom it lets go, what leaves
        self.pace_conn.next = self.engine.command.conn.val();
        self.tx_ring.hold.next = self.pace_hold.val();
        self.pacing.wake.next = self.pace_wake.val();
        self.pacing.wake_conn.next = self.pace_wake_conn.val();
        self.pace_wake_ready.next = self.pacing.wake_ready.val();
        self.pacing.send.next = self.builder.command.done.val()
            & (self.engine.command.code.val() == self.send_code.val());
        self.pacing.send_conn.next = self.engine.command.conn.val();
        self.pacing.send_length.next = bit_cast::<11, 32>(self.engine.command.a.val());
        self.pace_sent.next = self.pacing.sent.val();
        self.pace_sent_conn.next = self.pacing.sent_conn.val();
        self.pace_sent_length.next = self.pacing.sent_length.val();
        // ------------------------------------------------------------ program, lights, trace
        self.engine.program_write.next = self.program_write.val();
        self.engine.program_address.next = self.program_address.val();
        self.engine.program_data.next = self.program_data.val();
        self.any_open.next = self.switch.any_open.val();
        self.trace_valid.next = self.engine.trace_valid.val();
        self.trace_pc.next = self.engine.trace_pc.val();
        self.trace_event.next = self.engine.trace_event.val();
        self.trace_kind.next = self.engine.trace_kind.val();
        self.trace_conn.next = self.engine.trace_conn.val();
        self.trace_done.next = self.engine.trace_done.val();
        self.trace_store.next = self.engine.trace_store.val();
        self.trace_store_conn.next = self.engine.trace_store_conn.val();
        self.trace_operand.next = self.engine.trace_operand.val();
        self.trace_data.next = self.engine.trace_data.val();
    }
}
