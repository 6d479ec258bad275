//! The iCE40's phase-locked loop.
//!
//! In simulation the clock passes straight through and `locked` is high: there is one clock, whatever its frequency. In the Verilog the same holds unless
//! `TOE_ICE40` is defined, as the flow for the device does; then it is an `SB_PLL40_CORE`.
//!
//! It carries a clock and no data, so it promises no latency and no throughput. While `locked` is low the board holds its engine in reset.
use rust_hdl::prelude::*;

/// 100 MHz in, `100 MHz × (divf + 1) / ((divr + 1) × 2^divq)` out.
#[derive(LogicBlock)]
pub struct Pll {
    pub clock_in: Signal<In, Clock>,
    pub clock_out: Signal<Out, Clock>,
    pub locked: Signal<Out, Bit>,
    _setting: PllSetting,
}

/// Dividers as in Lattice's FPGA-TN-02052.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PllSetting {
    /// Reference divider less one.
    pub divr: u8,
    /// Feedback divider less one.
    pub divf: u8,
    /// Logarithm of the output divider.
    pub divq: u8,
    /// Loop filter, by the frequency at the phase detector.
    pub filter: u8,
}

impl PllSetting {
    /// The setting that makes exactly `hz` from 100 MHz, if there is one: the phase detector from 10 to 133 MHz, the oscillator from 533 to 1066 MHz.
    pub fn from_100_mhz(hz: u64) -> Option<Self> {
        for divr in 0..10u8 {
            let detector = 100_000_000 / (u64::from(divr) + 1);
            if 100_000_000 % (u64::from(divr) + 1) != 0 {
                continue;
            }
            for divq in 1..=6u8 {
                let oscillator = hz << divq;
                if (533_000_000..=1_066_000_000).contains(&oscillator)
                    && oscillator.is_multiple_of(detector)
                    && oscillator / detector <= 128
                {
                    let filter = match detector {
                        0..17_000_000 => 1,
                        17_000_000..26_000_000 => 2,
                        26_000_000..44_000_000 => 3,
                        44_000_000..66_000_000 => 4,
                        66_000_000..101_000_000 => 5,
                        _ => 6,
                    };
                    return Some(Self {
                        divr,
                        divf: (oscillator / detector - 1) as u8,
                        divq,
                        filter,
                    });
                }
            }
        }
        None
    }
}

impl Pll {
    /// A loop with these dividers.
    pub fn new(setting: PllSetting) -> Self {
        Self {
            clock_in: Default::default(),
            clock_out: Default::default(),
            locked: Default::default(),
            _setting: setting,
        }
    }
}

impl Logic for Pll {
    fn update(&mut self) {
        self.clock_out.next = self.clock_in.val();
        self.locked.next = true;
    }

    fn connect(&mut self) {
        self.clock_out.connect();
        self.locked.connect();
    }

    fn hdl(&self) -> Verilog {
        let PllSetting {
            divr,
            divf,
            divq,
            filter,
        } = self._setting;
        Verilog::Wrapper(Wrapper {
            code: format!(
                "\
`ifdef TOE_ICE40
SB_PLL40_CORE #(
    .FEEDBACK_PATH(\"SIMPLE\"), .DIVR({divr}), .DIVF({divf}), .DIVQ({divq}), .FILTER_RANGE({filter})
) loop (
    .REFERENCECLK(clock_in), .PLLOUTGLOBAL(clock_out), .LOCK(locked), .RESETB(1'b1), .BYPASS(1'b0)
);
`else
assign clock_out = clock_in;
assign locked = 1'b1;
`endif
"
            ),
            cores: String::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_make_the_frequency_asked_for() {
        for mhz in [25u64, 40, 45, 50, 60, 65, 75] {
            let s = PllSetting::from_100_mhz(mhz * 1_000_000)
                .unwrap_or_else(|| panic!("no setting for {mhz} MHz"));
            let made =
                100_000_000u64 * (u64::from(s.divf) + 1) / ((u64::from(s.divr) + 1) << s.divq);
            assert_eq!(made, mhz * 1_000_000);
        }
        assert_eq!(PllSetting::from_100_mhz(1_000_000), None);
    }
}
