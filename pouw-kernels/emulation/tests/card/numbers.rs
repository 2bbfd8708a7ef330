//! Numbers that look random and come again.

/// Numbers from a seed: splitmix64.
pub struct Numbers(u64);

impl Numbers {
    /// `LABORA_TEST_SEED` from the environment, else a fixed one; printed, so that a failure shows it.
    pub fn new(name: &str) -> Numbers {
        let seed = std::env::var("LABORA_TEST_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or(20_251_125);
        println!("{name}: LABORA_TEST_SEED={seed}");
        Numbers(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ x >> 31
    }

    /// One of `from..=to`.
    pub fn within(&mut self, from: u32, to: u32) -> u32 {
        from + (self.next() % u64::from(to - from + 1)) as u32
    }

    pub fn hash(&mut self) -> [u8; 32] {
        core::array::from_fn(|_| self.next() as u8)
    }

    /// `len` entries of magnitude at most `limit`.
    pub fn entries(&mut self, len: usize, limit: u32) -> Vec<i8> {
        let span = 2 * limit + 1;
        (0..len)
            .map(|_| (i64::from(self.within(0, span - 1)) - i64::from(limit)) as i8)
            .collect()
    }
}
