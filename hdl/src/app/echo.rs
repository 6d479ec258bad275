//! Echo (RFC 862): sends back what comes, closes after the peer.
//!
//! **Latency.** None: take and bytes pass in the cycle they come. **Throughput.** A byte a cycle. **Abort.** Keeps nothing, so nothing is to be forgotten.
use super::AppIn;
use rust_hdl::prelude::*;

/// Owner 0. No registers, so no clock.
#[derive(LogicBlock, Default)]
pub struct Echo {
    pub app: AppIn,
    less: Signal<Local, Bit>,
    count: Signal<Local, Bits<16>>,
}

impl Logic for Echo {
    #[hdl_gen]
    fn update(&mut self) {
        // ---- named wires ----
        self.less.next = self.app.offer_readable.val() < self.app.offer_writable.val();
        self.count.next = self.app.offer_writable.val();
        if self.less.val() {
            self.count.next = self.app.offer_readable.val();
        }

        // ---- outputs ----
        self.app.take_valid.next = self.app.offer_valid.val();
        self.app.take_read.next = self.count.val();
        self.app.take_write.next = self.count.val();
        // All that came before the FIN has been read, and what is read is written in the same turn.
        self.app.take_close.next = self.app.offer_fin.val();
        self.app.take_abort.next = false;
        self.app.wake_valid.next = false;
        self.app.wake_conn.next = bits::<10>(0);
        self.app.tx_valid.next = self.app.rx_valid.val();
        self.app.tx_data.next = self.app.rx_data.val();
        self.app.rx_ready.next = self.app.tx_ready.val();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    fn settle(uut: &mut Echo) {
        for _ in 0..20 {
            uut.update_all();
            if !uut.has_changed() {
                return;
            }
        }
        panic!("does not settle");
    }

    #[test]
    fn takes_what_fits() {
        let mut uut = Echo::default();
        uut.connect_all();
        for (readable, writable, count) in [
            (0_u64, 0_u64, 0_u64),
            (0, 5, 0),
            (5, 0, 0),
            (1, 2, 1),
            (2, 1, 1),
            (2048, 2048, 2048),
            (2048, 2047, 2047),
            (65535, 65535, 65535),
        ] {
            for fin in [false, true] {
                uut.app.offer_valid.next = true;
                uut.app.offer_readable.next = readable.into();
                uut.app.offer_writable.next = writable.into();
                uut.app.offer_fin.next = fin;
                settle(&mut uut);
                assert!(uut.app.take_valid.val());
                assert_eq!(uut.app.take_read.val(), count.to_bits());
                assert_eq!(uut.app.take_write.val(), count.to_bits());
                assert_eq!(uut.app.take_close.val(), fin);
                assert!(!uut.app.take_abort.val());
            }
        }
        uut.app.offer_valid.next = false;
        settle(&mut uut);
        assert!(!uut.app.take_valid.val());
    }

    #[test]
    fn lockstep() {
        let report = toe_sim::lockstep::lockstep(
            "echo",
            Echo::default,
            |_, _| {},
            10_000,
            1,
            |uut, _, rng| {
                let readable = rng.random_range(0..=2048_u64);
                uut.app.offer_valid.next = rng.random();
                uut.app.offer_readable.next = readable.into();
                uut.app.offer_writable.next = match rng.random_range(0..3) {
                    0 => readable.into(),
                    1 => (readable + 1).into(),
                    _ => rng.random_range(0..=2048_u64).into(),
                };
                uut.app.offer_fin.next = rng.random();
                uut.app.rx_valid.next = rng.random();
                uut.app.rx_data.next = u64::from(rng.random::<u8>()).into();
                uut.app.tx_ready.next = rng.random();
            },
        )
        .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(
            report.never_changed(),
            ["app$take_abort", "app$wake_valid", "app$wake_conn"]
        );
    }
}
