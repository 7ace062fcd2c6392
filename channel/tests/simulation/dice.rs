//! Chance, from a seed: the same seed is the same world.

use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use std::time::Duration;

pub struct Dice(TestRng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    /// From 0 up to, not including, `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0.next_u64() % end.max(1)
    }

    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// True so often in a million.
    pub fn ppm(&mut self, often: u32) -> bool {
        often > 0 && self.below(1_000_000) < u64::from(often)
    }

    pub fn percent(&mut self, often: u32) -> bool {
        self.ppm(often * 10_000)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }

    pub fn up_to(&mut self, most: Duration) -> Duration {
        Duration::from_micros(self.below(most.as_micros() as u64 + 1))
    }

    /// The time to the next of events that come by chance, so often on average.
    pub fn wait(&mut self, mean: Duration) -> Duration {
        let part = (self.below(1_000_000) as f64 + 1.0) / 1_000_001.0;
        mean.mul_f64(-part.ln())
    }
}
