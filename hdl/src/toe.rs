//! The tops: the engine with a link around it.
//!
//! [`EthernetToe`] speaks GMII (a byte a cycle) and answers ARP; [`SlipToe`] speaks IP packets over a UART's bits.
//!
//! **Latency**, **throughput**, **abort**: those of the blocks on the way; wires add none. Both are compared with their Verilog in
//! `testbench/tests/lockstep_whole.rs`.
use rust_hdl::prelude::*;

use crate::app::AppOut;
use crate::config::{ConfigError, ToeConfig};
use crate::endpoint::Endpoint;
use crate::link::mac_rx::MacRx;
use crate::link::mac_tx::MacTx;
use crate::link::slip::{SlipRx, SlipTx};
use crate::link::uart::{UartRx, UartTx};
use crate::net::arp::Arp;
use crate::net::eth_rx::EthRx;
use crate::net::eth_tx::EthTx;
use crate::net::no_arp::NoArp;
use crate::stream::StreamOut;
use crate::tcp::command::CommandOut;

/// The engine on Ethernet. Ports as in [`Endpoint`], and GMII.
#[derive(LogicBlock)]
pub struct EthernetToe {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub tick: Signal<In, Bit>,

    pub rx_dv: Signal<In, Bit>,
    pub rx_er: Signal<In, Bit>,
    pub rxd: Signal<In, Bits<8>>,
    pub tx_en: Signal<Out, Bit>,
    pub tx_er: Signal<Out, Bit>,
    pub txd: Signal<Out, Bits<8>>,

    pub counter_address: Signal<In, Bits<6>>,
    pub counter_data: Signal<Out, Bits<32>>,
    pub counter_lost: Signal<Out, Bit>,
    pub command_valid: Signal<In, Bit>,
    pub command_ports: Signal<In, Bits<32>>,
    pub command_ip: Signal<In, Bits<32>>,
    pub command_owner: Signal<In, Bits<8>>,
    pub command_option: Signal<In, Bits<24>>,
    pub command_ready: Signal<Out, Bit>,
    pub program_write: Signal<In, Bit>,
    pub program_address: Signal<In, Bits<12>>,
    pub program_data: Signal<In, Bits<24>>,
    pub key_write: Signal<In, Bit>,
    pub key_word: Signal<In, Bits<2>>,
    pub key_data: Signal<In, Bits<32>>,
    pub key_ready: Signal<Out, Bit>,
    pub report_valid: Signal<Out, Bit>,
    pub report_conn: Signal<Out, Bits<10>>,
    pub report_kind: Signal<Out, Bits<6>>,
    pub report_value: Signal<Out, Bits<32>>,
    pub host: AppOut,
    pub pace_hold: Signal<In, Bit>,
    pub pace_wake: Signal<In, Bit>,
    pub pace_wake_conn: Signal<In, Bits<10>>,
    pub pace_conn: Signal<Out, Bits<10>>,
    pub pace_wake_ready: Signal<Out, Bit>,
    pub pace_sent: Signal<Out, Bit>,
    pub pace_sent_conn: Signal<Out, Bits<10>>,
    pub pace_sent_length: Signal<Out, Bits<11>>,
    pub any_open: Signal<Out, Bit>,
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

    mac_rx: MacRx,
    eth_rx: EthRx,
    arp: Arp,
    endpoint: Endpoint,
    eth_tx: EthTx,
    mac_tx: MacTx,
}

impl EthernetToe {
    /// The engine of a configuration, on Ethernet.
    ///
    /// # Errors
    /// When the configuration is bad.
    pub fn new(config: &ToeConfig) -> Result<Self, ConfigError> {
        Ok(Self {
            clock: Default::default(),
            reset: Default::default(),
            tick: Default::default(),
            rx_dv: Default::default(),
            rx_er: Default::default(),
            rxd: Default::default(),
            tx_en: Default::default(),
            tx_er: Default::default(),
            txd: Default::default(),
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
            endpoint: Endpoint::new(config)?,
            mac_rx: MacRx::default(),
            eth_rx: EthRx::new(config),
            arp: Arp::new(config),
            eth_tx: EthTx::new(config),
            mac_tx: MacTx::default(),
        })
    }
}

impl Logic for EthernetToe {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, mac_rx, eth_rx, arp, endpoint, eth_tx, mac_tx);
        self.mac_rx.reset.next = self.reset.val();
        self.eth_rx.reset.next = self.reset.val();
        self.arp.reset.next = self.reset.val();
        self.endpoint.reset.next = self.reset.val();
        self.eth_tx.reset.next = self.reset.val();
        self.mac_tx.reset.next = self.reset.val();
        self.arp.tick.next = self.tick.val();
        self.endpoint.tick.next = self.tick.val();
        // Frames in.
        self.mac_rx.rx_dv.next = self.rx_dv.val();
        self.mac_rx.rx_er.next = self.rx_er.val();
        self.mac_rx.rxd.next = self.rxd.val();
        StreamOut::join(&mut self.mac_rx.frame, &mut self.eth_rx.frame);
        StreamOut::join(&mut self.eth_rx.ip, &mut self.endpoint.ip);
        StreamOut::join(&mut self.eth_rx.arp, &mut self.arp.arp);
        self.endpoint.src_hi.next = self.eth_rx.src_hi.val();
        self.endpoint.src_lo.next = self.eth_rx.src_lo.val();
        self.endpoint.src_tag.next = self.eth_rx.src_tag.val();
        self.arp.src_tag.next = self.eth_rx.src_tag.val();
        CommandOut::join(&mut self.endpoint.arp, &mut self.arp.command);
        // Frames out.
        StreamOut::join(&mut self.endpoint.packet, &mut self.eth_tx.ip);
        self.eth_tx.ip_dst_hi.next = self.endpoint.dst_hi.val();
        self.eth_tx.ip_dst_lo.next = self.endpoint.dst_lo.val();
        self.eth_tx.ip_dst_tag.next = self.endpoint.dst_tag.val();
        StreamOut::join(&mut self.arp.reply, &mut self.eth_tx.arp);
        self.eth_tx.arp_dst_hi.next = self.arp.dst_hi.val();
        self.eth_tx.arp_dst_lo.next = self.arp.dst_lo.val();
        self.eth_tx.arp_dst_tag.next = self.arp.dst_tag.val();
        StreamOut::join(&mut self.eth_tx.frame, &mut self.mac_tx.frame);
        self.tx_en.next = self.mac_tx.tx_en.val();
        self.tx_er.next = self.mac_tx.tx_er.val();
        self.txd.next = self.mac_tx.txd.val();
        // Counters.
        self.endpoint.link_count[0].next = self.mac_rx.count.val();
        self.endpoint.link_cause[0].next = self.mac_rx.cause.val();
        self.endpoint.link_count[1].next = self.eth_rx.count.val();
        self.endpoint.link_cause[1].next = self.eth_rx.cause.val();
        self.endpoint.link_count[2].next = self.arp.count.val();
        self.endpoint.link_cause[2].next = self.arp.cause.val();
        self.endpoint.link_count[3].next = self.mac_tx.count.val();
        self.endpoint.link_cause[3].next = self.mac_tx.cause.val();
        self.endpoint.counter_address.next = self.counter_address.val();
        self.counter_data.next = self.endpoint.counter_data.val();
        self.counter_lost.next = self.endpoint.counter_lost.val();
        // Host.
        self.endpoint.command_valid.next = self.command_valid.val();
        self.endpoint.command_ports.next = self.command_ports.val();
        self.endpoint.command_ip.next = self.command_ip.val();
        self.endpoint.command_owner.next = self.command_owner.val();
        self.endpoint.command_option.next = self.command_option.val();
        self.command_ready.next = self.endpoint.command_ready.val();
        self.endpoint.program_write.next = self.program_write.val();
        self.endpoint.program_address.next = self.program_address.val();
        self.endpoint.program_data.next = self.program_data.val();
        self.endpoint.key_write.next = self.key_write.val();
        self.endpoint.key_word.next = self.key_word.val();
        self.endpoint.key_data.next = self.key_data.val();
        self.key_ready.next = self.endpoint.key_ready.val();
        self.report_valid.next = self.endpoint.report_valid.val();
        self.report_conn.next = self.endpoint.report_conn.val();
        self.report_kind.next = self.endpoint.report_kind.val();
        self.report_value.next = self.endpoint.report_value.val();
        AppOut::link(&mut self.host, &mut self.endpoint.host);
        self.endpoint.pace_hold.next = self.pace_hold.val();
        self.endpoint.pace_wake.next = self.pace_wake.val();
        self.endpoint.pace_wake_conn.next = self.pace_wake_conn.val();
        self.pace_conn.next = self.endpoint.pace_conn.val();
        self.pace_wake_ready.next = self.endpoint.pace_wake_ready.val();
        self.pace_sent.next = self.endpoint.pace_sent.val();
        self.pace_sent_conn.next = self.endpoint.pace_sent_conn.val();
        self.pace_sent_length.next = self.endpoint.pace_sent_length.val();
        self.any_open.next = self.endpoint.any_open.val();
        self.trace_valid.next = self.endpoint.trace_valid.val();
        self.trace_pc.next = self.endpoint.trace_pc.val();
        self.trace_event.next = self.endpoint.trace_event.val();
        self.trace_kind.next = self.endpoint.trace_kind.val();
        self.trace_conn.next = self.endpoint.trace_conn.val();
        self.trace_done.next = self.endpoint.trace_done.val();
        self.trace_store.next = self.endpoint.trace_store.val();
        self.trace_store_conn.next = self.endpoint.trace_store_conn.val();
        self.trace_operand.next = self.endpoint.trace_operand.val();
        self.trace_data.next = self.endpoint.trace_data.val();
    }
}

/// The engine on a serial line: SLIP over a UART, MTU 576 by convention.
#[derive(LogicBlock)]
pub struct SlipToe {
    pub clock: Signal<In, Clock>,
    pub reset: Signal<In, Bit>,
    pub tick: Signal<In, Bit>,
    /// The line in, high when idle.
    pub rx: Signal<In, Bit>,
    /// The line out.
    pub tx: Signal<Out, Bit>,
    /// A packet came whole, one cycle.
    pub packet_in: Signal<Out, Bit>,
    /// A packet was sent, one cycle.
    pub packet_out: Signal<Out, Bit>,
    /// A packet was broken on the line, one cycle.
    pub packet_bad: Signal<Out, Bit>,
    pub report_valid: Signal<Out, Bit>,
    pub report_conn: Signal<Out, Bits<10>>,
    pub report_kind: Signal<Out, Bits<6>>,
    pub report_value: Signal<Out, Bits<32>>,
    pub any_open: Signal<Out, Bit>,
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
    uart_rx: UartRx,
    slip_rx: SlipRx,
    no_arp: NoArp,
    endpoint: Endpoint,
    slip_tx: SlipTx,
    uart_tx: UartTx,
    whole: Signal<Local, Bit>,
    frame_in: Constant<Bits<6>>,
}

impl SlipToe {
    /// The engine of a configuration, with a bit of the line so many cycles long.
    ///
    /// # Errors
    /// When the configuration is bad.
    ///
    /// # Panics
    /// If `cycles_per_bit` is not from 4 to 65,535.
    pub fn new(config: &ToeConfig, cycles_per_bit: u32) -> Result<Self, ConfigError> {
        Ok(Self {
            clock: Default::default(),
            reset: Default::default(),
            tick: Default::default(),
            rx: Default::default(),
            tx: Default::default(),
            packet_in: Default::default(),
            packet_out: Default::default(),
            packet_bad: Default::default(),
            report_valid: Default::default(),
            report_conn: Default::default(),
            report_kind: Default::default(),
            report_value: Default::default(),
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
            endpoint: Endpoint::new(config)?,
            uart_rx: UartRx::new(cycles_per_bit),
            slip_rx: SlipRx::new(config.mtu),
            no_arp: NoArp::default(),
            slip_tx: SlipTx::default(),
            uart_tx: UartTx::new(cycles_per_bit),
            whole: Default::default(),
            frame_in: Constant::new(u64::from(crate::counters::Cause::FrameIn.number()).into()),
        })
    }
}

impl Logic for SlipToe {
    #[hdl_gen]
    fn update(&mut self) {
        clock!(self, clock, uart_rx, slip_rx, no_arp, endpoint, slip_tx, uart_tx);
        self.uart_rx.reset.next = self.reset.val();
        self.slip_rx.reset.next = self.reset.val();
        self.endpoint.reset.next = self.reset.val();
        self.slip_tx.reset.next = self.reset.val();
        self.uart_tx.reset.next = self.reset.val();
        self.endpoint.tick.next = self.tick.val();
        // Bits in.
        self.uart_rx.rx.next = self.rx.val();
        self.slip_rx.data.next = self.uart_rx.data.val();
        self.slip_rx.valid.next = self.uart_rx.valid.val();
        self.slip_rx.error.next = self.uart_rx.error.val();
        StreamOut::join(&mut self.slip_rx.packet, &mut self.endpoint.ip);
        self.endpoint.src_hi.next = 0.into();
        self.endpoint.src_lo.next = 0.into();
        self.endpoint.src_tag.next = 0.into();
        CommandOut::join(&mut self.endpoint.arp, &mut self.no_arp.command);
        // Bits out.
        StreamOut::join(&mut self.endpoint.packet, &mut self.slip_tx.packet);
        self.uart_tx.data.next = self.slip_tx.data.val();
        self.uart_tx.valid.next = self.slip_tx.valid.val();
        self.slip_tx.ready.next = self.uart_tx.ready.val();
        self.tx.next = self.uart_tx.tx.val();
        // Counters; no host to read them here.
        self.endpoint.link_count[0].next = self.slip_rx.count.val();
        self.endpoint.link_cause[0].next = self.slip_rx.cause.val();
        self.endpoint.link_count[1].next = self.slip_tx.count.val();
        self.endpoint.link_cause[1].next = self.slip_tx.cause.val();
        self.endpoint.link_count[2].next = false;
        self.endpoint.link_cause[2].next = 0.into();
        self.endpoint.link_count[3].next = false;
        self.endpoint.link_cause[3].next = 0.into();
        self.endpoint.counter_address.next = 0.into();
        self.endpoint.command_valid.next = false;
        self.endpoint.command_ports.next = 0.into();
        self.endpoint.command_ip.next = 0.into();
        self.endpoint.command_owner.next = 0.into();
        self.endpoint.command_option.next = 0.into();
        self.endpoint.program_write.next = false;
        self.endpoint.program_address.next = 0.into();
        self.endpoint.program_data.next = 0.into();
        self.endpoint.key_write.next = false;
        self.endpoint.key_word.next = 0.into();
        self.endpoint.key_data.next = 0.into();
        // Lights.
        self.whole.next = self.slip_rx.cause.val() == self.frame_in.val();
        self.packet_in.next = self.slip_rx.count.val() & self.whole.val();
        self.packet_bad.next = self.slip_rx.count.val() & !self.whole.val();
        self.packet_out.next = self.slip_tx.count.val();
        self.report_valid.next = self.endpoint.report_valid.val();
        self.report_conn.next = self.endpoint.report_conn.val();
        self.report_kind.next = self.endpoint.report_kind.val();
        self.report_value.next = self.endpoint.report_value.val();
        // Its applications are those inside.
        self.endpoint.host.take_valid.next = false;
        self.endpoint.host.take_read.next = bits::<16>(0);
        self.endpoint.host.take_write.next = bits::<16>(0);
        self.endpoint.host.take_close.next = false;
        self.endpoint.host.take_abort.next = false;
        self.endpoint.host.rx_ready.next = false;
        self.endpoint.host.tx_valid.next = false;
        self.endpoint.host.tx_data.next = bits::<8>(0);
        self.endpoint.host.wake_valid.next = false;
        self.endpoint.host.wake_conn.next = bits::<10>(0);
        // The line is slow enough: nobody paces.
        self.endpoint.pace_hold.next = false;
        self.endpoint.pace_wake.next = false;
        self.endpoint.pace_wake_conn.next = bits::<10>(0);
        self.any_open.next = self.endpoint.any_open.val();
        self.trace_valid.next = self.endpoint.trace_valid.val();
        self.trace_pc.next = self.endpoint.trace_pc.val();
        self.trace_event.next = self.endpoint.trace_event.val();
        self.trace_kind.next = self.endpoint.trace_kind.val();
        self.trace_conn.next = self.endpoint.trace_conn.val();
        self.trace_done.next = self.endpoint.trace_done.val();
        self.trace_store.next = self.endpoint.trace_store.val();
        self.trace_store_conn.next = self.endpoint.trace_store_conn.val();
        self.trace_operand.next = self.endpoint.trace_operand.val();
        self.trace_data.next = self.endpoint.trace_data.val();
    }
}
