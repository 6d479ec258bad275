//! A [`Machine`] as a [`Board`]: its pins by name, its tick, its port.

use crate::gmii::GmiiPort;
use crate::machine::{Machine, MachineError, PortId, PortInfo};
use crate::time::TickSource;
use crate::uart::SlipPort;
use crate::world::Board;
use std::path::Path;

/// So that a back end chosen at run time fits a board.
impl<M: Machine + ?Sized> Machine for Box<M> {
    fn backend(&self) -> &str {
        (**self).backend()
    }
    fn ports(&self) -> &[PortInfo] {
        (**self).ports()
    }
    fn poke(&mut self, port: PortId, value: u64) {
        (**self).poke(port, value);
    }
    fn peek(&self, port: PortId) -> u64 {
        (**self).peek(port)
    }
    fn eval(&mut self) {
        (**self).eval();
    }
    fn cycle(&mut self) {
        (**self).cycle();
    }
    fn cycles(&self) -> u64 {
        (**self).cycles()
    }
    fn trace_start(&mut self, file: &Path) -> Result<(), MachineError> {
        (**self).trace_start(file)
    }
    fn trace_stop(&mut self) -> Result<(), MachineError> {
        (**self).trace_stop()
    }
}

/// So that simulated or real time is chosen at run time.
impl<T: TickSource + ?Sized> TickSource for Box<T> {
    fn tick(&mut self, cycle: u64) -> bool {
        (**self).tick(cycle)
    }
    fn now_us(&self) -> u64 {
        (**self).now_us()
    }
}

/// A design with GMII pins: outputs `tx_en, tx_er, txd`, inputs `rx_dv, rx_er, rxd`, and `tick` where it has one.
#[derive(Debug)]
pub struct GmiiBoard<M, T> {
    /// The design.
    pub machine: M,
    port: GmiiPort,
    tick: Tick<T>,
    tx: [PortId; 3],
    rx: [PortId; 3],
}

/// A design with the two pins of a UART and `tick` where it has one.
#[derive(Debug)]
pub struct SlipBoard<M, T> {
    /// The design.
    pub machine: M,
    port: SlipPort,
    tick: Tick<T>,
    tx: PortId,
    rx: PortId,
}

#[derive(Debug)]
struct Tick<T> {
    source: T,
    port: Option<PortId>,
}

impl<T: TickSource> Tick<T> {
    /// A design without time, a MAC alone say, has no such port.
    fn find(machine: &impl Machine, source: T) -> Self {
        let port = machine.port("tick").ok();
        Self { source, port }
    }

    #[inline]
    fn drive(&mut self, machine: &mut impl Machine) {
        if let Some(port) = self.port {
            let tick = self.source.tick(machine.cycles());
            machine.poke(port, u64::from(tick));
        }
    }
}

impl<M: Machine, T: TickSource> GmiiBoard<M, T> {
    /// Finds the pins.
    ///
    /// # Errors
    /// [`MachineError::NoPort`] if one is missing.
    pub fn new(machine: M, tick: T, port: GmiiPort) -> Result<Self, MachineError> {
        let find = |name| machine.port(name);
        let tx = [find("tx_en")?, find("tx_er")?, find("txd")?];
        let rx = [find("rx_dv")?, find("rx_er")?, find("rxd")?];
        let tick = Tick::find(&machine, tick);
        Ok(Self {
            machine,
            port,
            tick,
            tx,
            rx,
        })
    }

    /// The line, to read its stamps and usage.
    #[inline]
    pub fn line(&self) -> &GmiiPort {
        &self.port
    }
}

impl<M: Machine, T: TickSource> Board for GmiiBoard<M, T> {
    type Port = GmiiPort;

    #[inline]
    fn cycle(&mut self) {
        let machine = &mut self.machine;
        let [en, er, txd] = self.tx.map(|pin| machine.peek(pin));
        let (dv, er, rxd) = self.port.step(en != 0, er != 0, txd as u8);
        machine.poke(self.rx[0], u64::from(dv));
        machine.poke(self.rx[1], u64::from(er));
        machine.poke(self.rx[2], u64::from(rxd));
        self.tick.drive(machine);
        machine.cycle();
    }

    #[inline]
    fn port(&mut self) -> &mut GmiiPort {
        &mut self.port
    }
}

impl<M: Machine, T: TickSource> SlipBoard<M, T> {
    /// Finds the pins: `tx` is the name of the design's output, `rx` that of its input.
    ///
    /// # Errors
    /// [`MachineError::NoPort`] if one is missing.
    pub fn new(
        machine: M,
        tick: T,
        port: SlipPort,
        tx: &str,
        rx: &str,
    ) -> Result<Self, MachineError> {
        let (tx, rx) = (machine.port(tx)?, machine.port(rx)?);
        let tick = Tick::find(&machine, tick);
        Ok(Self {
            machine,
            port,
            tick,
            tx,
            rx,
        })
    }
}

impl<M: Machine, T: TickSource> Board for SlipBoard<M, T> {
    type Port = SlipPort;

    #[inline]
    fn cycle(&mut self) {
        let machine = &mut self.machine;
        let rx = self.port.step(machine.peek(self.tx) != 0);
        machine.poke(self.rx, u64::from(rx));
        self.tick.drive(machine);
        machine.cycle();
    }

    #[inline]
    fn port(&mut self) -> &mut SlipPort {
        &mut self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Frame, Medium, Queues};
    use crate::machine::PortDirection;
    use crate::time::SimulatedTime;
    use crate::world::{Clock, World};

    /// Inputs to outputs through one register each, after a list of (input, output); counts its ticks.
    struct Repeater {
        ports: Vec<PortInfo>,
        values: Vec<u64>,
        pairs: usize,
        ticks: u64,
        cycles: u64,
    }

    impl Repeater {
        /// All inputs, then all outputs, then `tick`.
        fn new(pairs: &[(&str, &str, usize)], tick: bool) -> Self {
            let info = |name: &str, width, direction| PortInfo {
                name: name.into(),
                width,
                direction,
            };
            let inputs = (pairs.iter()).map(|pair| info(pair.0, pair.2, PortDirection::In));
            let outputs = (pairs.iter()).map(|pair| info(pair.1, pair.2, PortDirection::Out));
            let mut ports: Vec<_> = inputs.chain(outputs).collect();
            if tick {
                ports.push(info("tick", 1, PortDirection::In));
            }
            let mut values = vec![0; ports.len()];
            // A serial line is idle when high; GMII doesn't mind: `tx_en` of one cycle would.
            if pairs.len() == 1 {
                values.fill(1);
            }
            Self {
                values,
                ports,
                pairs: pairs.len(),
                ticks: 0,
                cycles: 0,
            }
        }
    }

    impl Machine for Repeater {
        fn backend(&self) -> &str {
            "repeater"
        }
        fn ports(&self) -> &[PortInfo] {
            &self.ports
        }
        fn poke(&mut self, port: PortId, value: u64) {
            assert_eq!(self.ports[port.0].direction, PortDirection::In);
            assert!(value < 1 << self.ports[port.0].width);
            self.values[port.0] = value;
        }
        fn peek(&self, port: PortId) -> u64 {
            self.values[port.0]
        }
        fn eval(&mut self) {}
        fn cycle(&mut self) {
            self.values.copy_within(0..self.pairs, self.pairs);
            self.ticks += self.values.get(2 * self.pairs).unwrap_or(&0);
            self.cycles += 1;
        }
        fn cycles(&self) -> u64 {
            self.cycles
        }
        fn trace_start(&mut self, _file: &Path) -> Result<(), MachineError> {
            Ok(())
        }
        fn trace_stop(&mut self) -> Result<(), MachineError> {
            Ok(())
        }
    }

    const GMII: [(&str, &str, usize); 3] = [
        ("rx_dv", "tx_en", 1),
        ("rx_er", "tx_er", 1),
        ("rxd", "txd", 8),
    ];

    #[test]
    fn a_machine_at_gmii_pins_sends_back_what_it_repeats() {
        for tick in [true, false] {
            let machine: Box<dyn Machine> = Box::new(Repeater::new(&GMII, tick));
            let time: Box<dyn TickSource> = Box::new(SimulatedTime::new(100));
            let board = GmiiBoard::new(machine, time, GmiiPort::new()).unwrap();
            let mut link = Queues::new(Medium::Ethernet);
            let sent: Vec<_> = (60..90u8)
                .map(|n| Frame::new(vec![n; n as usize]))
                .collect();
            link.incoming.extend(sent.clone());
            let mut world = World::new(board, link, Clock::simulated(1_000_000));
            world.run(10_000).unwrap();
            let back: Vec<_> = world.link.outgoing.into_iter().map(|(_, f)| f).collect();
            assert_eq!(back, sent);
            assert_eq!(world.board.machine.cycles(), 10_000);
            if tick {
                // The last cycle of a period ticks.
                let port = world.board.machine.port("tick").unwrap();
                assert_eq!(world.board.machine.peek(port), 1);
            }
            // One register between the pins: the last byte in, the last byte out a cycle later.
            let stamps = world.board.line().stamps();
            assert_eq!(stamps[0].last + 1, stamps[1].last);
        }
    }

    #[test]
    fn a_machine_at_uart_pins_sends_back_what_it_repeats() {
        let machine = Repeater::new(&[("rxd", "txd", 1)], true);
        let (time, port) = (SimulatedTime::new(100), SlipPort::new(8));
        let board = SlipBoard::new(machine, time, port, "txd", "rxd").unwrap();
        let mut link = Queues::new(Medium::Ip);
        let sent = Frame::new((0..=255).collect::<Vec<u8>>());
        link.incoming.push_back(sent.clone());
        let mut world = World::new(board, link, Clock::simulated(1_000_000));
        let back = world.run_until(50_000, |_, link| !link.outgoing.is_empty());
        assert!(back.is_ok(), "{back:?}");
        assert_eq!(world.link.outgoing[0].1, sent);
        let machine = &world.board.machine;
        assert_eq!(machine.ticks, machine.cycles / 100);
    }

    #[test]
    fn a_missing_pin_is_named() {
        let machine = Repeater::new(&GMII[..2], true);
        match GmiiBoard::new(machine, SimulatedTime::new(1), GmiiPort::new()) {
            Err(MachineError::NoPort { port, .. }) => assert_eq!(port, "txd"),
            _ => panic!("found a pin that is not there"),
        }
    }
}
