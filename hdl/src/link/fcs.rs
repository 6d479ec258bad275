//! The Ethernet frame check sequence, a byte at a time.
//!
//! IEEE 802.3 clause 3.2.9: CRC-32 with polynomial 0x04C11DB7, bits in wire order (least significant first, hence the mirrored polynomial
//! 0xEDB88320), register preset to ones, sequence sent inverted. Run over a frame **and** its sequence, the register ends at [`RESIDUE`].
//!
//! Latency: none, combinational. A byte equal to the register's low byte shifts the register right by 8: that is how a sender shifts the
//! sequence out without a second path.
use rust_hdl::prelude::*;

/// What the register holds after a good frame with its check sequence.
pub const RESIDUE: u32 = 0xDEBB_20E3;

/// One byte further, for each value of the low byte of register XOR data.
const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut c = i as u32;
        let mut bit = 0;
        while bit < 8 {
            c = if c & 1 == 1 {
                (c >> 1) ^ 0xEDB8_8320
            } else {
                c >> 1
            };
            bit += 1;
        }
        table[i] = c;
        i += 1;
    }
    table
}

/// The register after `data`.
const fn advance(crc: u32, data: u8) -> u32 {
    (crc >> 8) ^ TABLE[((crc ^ data as u32) & 0xFF) as usize]
}

/// The step function of the check sequence.
#[derive(LogicBlock, Debug, Default)]
pub struct Fcs {
    pub crc: Signal<In, Bits<32>>,
    pub data: Signal<In, Bits<8>>,
    /// The register's next value.
    pub after: Signal<Out, Bits<32>>,
}

impl Logic for Fcs {
    fn update(&mut self) {
        let crc = self.crc.val().to_u32();
        self.after.next = advance(crc, self.data.val().to_u8()).to_bits();
    }

    fn connect(&mut self) {
        self.after.connect();
    }

    fn hdl(&self) -> Verilog {
        // The step is linear: bit n of the result is the XOR of those inputs which alone set it.
        let mut text = String::from("always @(*) begin\n");
        for n in 0..32 {
            let crc = (0..32)
                .filter(|i| advance(1 << i, 0) >> n & 1 == 1)
                .map(|i| format!("crc[{i}]"));
            let data = (0..8)
                .filter(|i| advance(0, 1 << i) >> n & 1 == 1)
                .map(|i| format!("data[{i}]"));
            let terms: Vec<_> = crc.chain(data).collect();
            text += &format!("    after[{n}] = {};\n", terms.join(" ^ "));
        }
        Verilog::Custom(text + "end\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testgen::{fcs, settle};
    use rand::Rng;

    #[test]
    fn the_published_check_value() {
        // The catalogue's check value of CRC-32 (ISO-HDLC).
        assert_eq!(fcs(b"123456789"), 0xCBF4_3926);
        let crc = b"123456789".iter().fold(u32::MAX, |c, b| advance(c, *b));
        assert_eq!(!crc, 0xCBF4_3926);
    }

    #[test]
    fn a_frame_with_its_sequence_leaves_the_residue() {
        let mut uut = Fcs::default();
        uut.connect_all();
        let mut frame = b"any frame at all".to_vec();
        frame.extend(fcs(&frame).to_le_bytes());
        let mut crc = u32::MAX;
        for byte in frame {
            uut.crc.next = crc.to_bits();
            uut.data.next = byte.to_bits();
            settle(&mut uut);
            crc = uut.after.val().to_u32();
        }
        assert_eq!(crc, RESIDUE);
    }

    #[derive(LogicBlock, Default)]
    struct Clocked {
        clock: Signal<In, Clock>,
        data: Signal<In, Bits<8>>,
        crc: Signal<Out, Bits<32>>,
        fcs: Fcs,
        r: DFF<Bits<32>>,
    }
    impl Logic for Clocked {
        #[hdl_gen]
        fn update(&mut self) {
            self.r.clock.next = self.clock.val();
            self.fcs.crc.next = self.r.q.val();
            self.fcs.data.next = self.data.val();
            self.r.d.next = self.fcs.after.val();
            self.crc.next = self.r.q.val();
        }
    }

    #[test]
    fn lockstep() {
        toe_sim::lockstep!("fcs", Clocked::default(), 10_000, |uut, _, rng| {
            uut.data.next = rng.random::<u8>().to_bits();
        })
        .assert_active();
    }
}
