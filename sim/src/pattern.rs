//! Bytes for tests and demonstrations: easy to make again, hard to get right by chance.

/// So many bytes that differ everywhere, by seed: neither a shift nor a gap goes unnoticed.
pub fn bytes(count: usize, seed: u32) -> Vec<u8> {
    // Marsaglia's xorshift; its state is never 0.
    let mut state = seed.wrapping_mul(0x9E37_79B9) | 1;
    (0..count)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 11) as u8
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn neither_a_shift_nor_another_seed_looks_the_same() {
        let made = bytes(65_536, 0);
        assert_eq!(made.len(), 65_536);
        assert_eq!(made, bytes(65_536, 0));
        for shift in [1, 256, 1460, 8192, 16_384] {
            let same = made.iter().zip(&made[shift..]).filter(|(a, b)| a == b);
            assert!(same.count() * 64 < made.len(), "{shift}");
        }
        for seed in 1..20 {
            let other = bytes(65_536, seed);
            let same = made.iter().zip(&other).filter(|(a, b)| a == b).count();
            assert!(same * 64 < made.len(), "{seed}: {same}");
        }
    }
}
