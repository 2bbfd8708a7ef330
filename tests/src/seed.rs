//! Reproducible random choices: a small generator whose seed is printed, and can be given in the environment.

/// A 64-bit seed as decimal digits in this variable replaces a test's own.
pub const SEED_VARIABLE: &str = "LABORA_SEED";

/// SplitMix64 (Steele, Lea, Flood 2014): enough for picking moments and bytes in tests, and the same on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of a test, from its own fixed seed or the environment's; prints which.
    pub fn of_test(fixed: u64) -> Self {
        let seed = std::env::var(SEED_VARIABLE)
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(fixed);
        println!("seed {seed} (another with {SEED_VARIABLE}=…)");
        Self(seed)
    }

    /// A generator of its own for a part of a test, so that parts do not disturb each other's draws.
    pub fn part(&self, label: &str) -> Self {
        let mut part = Self(self.0);
        for byte in label.bytes() {
            part.0 = part.bits() ^ u64::from(byte);
        }
        part
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "{low} is above {high}");
        low + self.bits() % (high - low + 1)
    }

    /// `length` random bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(length + 8);
        while out.len() < length {
            out.extend_from_slice(&self.bits().to_le_bytes());
        }
        out.truncate(length);
        out
    }

    /// Random bytes of a random length of at most `longest`, short ones as likely as long ones.
    pub fn string(&mut self, longest: usize) -> Vec<u8> {
        let bits = u64::from(usize::BITS - longest.leading_zeros());
        let ceiling = 1usize << self.between(0, bits);
        let length = self.between(0, ceiling.min(longest) as u64) as usize;
        self.bytes(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_draws_from_zero_are_those_of_the_published_generator() {
        let mut random = Random(0);
        assert_eq!(random.bits(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(random.bits(), 0x6E78_9E6A_A1B9_65F4);
    }

    #[test]
    fn parts_differ_and_lengths_stay_in_bounds() {
        let random = Random(1);
        assert_ne!(random.part("a").bits(), random.part("b").bits());
        let mut random = random.part("lengths");
        let lengths: Vec<usize> = (0..1_000).map(|_| random.string(100).len()).collect();
        assert!(lengths.iter().all(|length| *length <= 100));
        assert!(lengths.contains(&0) && lengths.iter().any(|length| *length > 60));
    }
}
