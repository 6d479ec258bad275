//! Discard (RFC 863): reads everything, writes nothing, closes after the peer.
//!
//! **Latency.** None. **Throughput.** A byte a cycle. **Abort.** Keeps nothing, so nothing is to be forgotten.
use super::AppIn;
use rust_hdl::prelude::*;

/// Owner 1. No registers, so no clock.
#[derive(LogicBlock, Default)]
pub struct Discard {
    pub app: AppIn,
}

impl Logic for Discard {
    #[hdl_gen]
    fn update(&mut self) {
        self.app.take_valid.next = self.app.offer_valid.val();
        self.app.take_read.next = self.app.offer_readable.val();
        self.app.take_write.next = 0.into();
        self.app.take_close.next = self.app.offer_fin.val();
        self.app.take_abort.next = false;
        self.app.wake_valid.next = false;
        self.app.wake_conn.next = 0.into();
        self.app.rx_ready.next = true;
        self.app.tx_valid.next = false;
        self.app.tx_data.next = 0.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn takes_everything_and_says_nothing() {
        let mut uut = Discard::default();
        uut.connect_all();
        for readable in [0_u64, 1, 2048, 65535] {
            for fin in [false, true] {
                uut.app.offer_valid.next = true;
                uut.app.offer_readable.next = readable.into();
                uut.app.offer_writable.next = 99.into();
                uut.app.offer_fin.next = fin;
                for _ in 0..4 {
                    uut.update_all();
                }
                assert!(!uut.has_changed());
                assert!(uut.app.take_valid.val() && uut.app.rx_ready.val());
                assert_eq!(uut.app.take_read.val(), readable.to_bits());
                assert!(!uut.app.take_write.val().any() && !uut.app.tx_valid.val());
                assert_eq!(uut.app.take_close.val(), fin);
            }
        }
    }

    #[test]
    fn lockstep() {
        let report = toe_sim::lockstep::lockstep(
            "discard",
            Discard::default,
            |_, _| {},
            10_000,
            1,
            |uut, _, rng| {
                uut.app.offer_valid.next = rng.random();
                uut.app.offer_readable.next = u64::from(rng.random::<u16>()).into();
                uut.app.offer_writable.next = u64::from(rng.random::<u16>()).into();
                uut.app.offer_fin.next = rng.random();
                uut.app.rx_valid.next = rng.random();
            },
        )
        .unwrap_or_else(|error| panic!("{error}"));
        let changed = ["take_valid", "take_read", "take_close"];
        let still = report.never_changed();
        assert!(
            changed
                .iter()
                .all(|name| still.iter().all(|port| !port.contains(name))),
            "{still:?}"
        );
    }
}
