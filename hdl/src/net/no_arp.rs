//! Answers the engine's `ARP` command where the link has no hardware addresses (SLIP): any next hop is a hit, and its address is zero.
//!
//! Latency: none, the answer comes in the command's first cycle. Throughput: a command a cycle. There is nothing to abort.
use crate::tcp::command::CommandIn;
use crate::tcp::isa::cmd;
use rust_hdl::prelude::*;

/// Stands in for [`super::arp`].
///
/// **Contract.** That of [`crate::tcp::command`]; the only code addressed is `ARP`.
#[derive(LogicBlock, Debug)]
pub struct NoArp {
    pub clock: Signal<In, Clock>,
    pub command: CommandIn,

    /// The clock's only load.
    unused: DFF<Bit>,
    arp: Constant<Bits<6>>,
    addressed: Signal<Local, Bit>,
}

impl Default for NoArp {
    fn default() -> Self {
        Self {
            clock: Default::default(),
            command: Default::default(),
            unused: Default::default(),
            arp: Constant::new(cmd::ARP.to_bits()),
            addressed: Default::default(),
        }
    }
}

impl Logic for NoArp {
    #[hdl_gen]
    fn update(&mut self) {
        self.unused.clock.next = self.clock.val();
        self.unused.d.next = false;
        self.addressed.next =
            self.command.valid.val() & (self.command.code.val() == self.arp.val());
        self.command.done.next = self.addressed.val();
        self.command.ok.next = self.addressed.val();
        self.command.result.next = bits::<32>(0);
        self.command.result2.next = bits::<32>(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn every_next_hop_is_known_and_no_other_command_is_answered() {
        let mut uut = NoArp::default();
        uut.connect_all();
        for code in 0..64_u8 {
            for valid in [false, true] {
                uut.command.valid.next = valid;
                uut.command.code.next = code.to_bits();
                uut.command.a.next = 0xC0A8_4564_u32.to_bits();
                while {
                    uut.update_all();
                    uut.has_changed()
                } {}
                let answered = valid && code == cmd::ARP;
                assert_eq!(uut.command.done.val(), answered);
                assert_eq!(uut.command.ok.val(), answered);
                assert_eq!(uut.command.result.val().to_u32(), 0);
                assert_eq!(uut.command.result2.val().to_u32(), 0);
            }
        }
    }

    #[test]
    fn lockstep() {
        toe_sim::lockstep!("no_arp", NoArp::default(), 10_000, |uut, _, rng| {
            uut.command.valid.next = rng.random();
            uut.command.code.next = rng.random_range(4..8_u8).to_bits();
            uut.command.a.next = rng.random::<u32>().to_bits();
        });
    }
}
