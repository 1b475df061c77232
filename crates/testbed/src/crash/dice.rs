//! Chance that can be had again: the same seed, the same throws.

/// SplitMix64 (Steele, Lea and Flood, 2014). For plans of faults, never for keys.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The throws of one seed.
    pub fn of(seed: u64) -> Dice {
        Dice(seed)
    }

    /// Others that this one decides, for somebody who throws at their own pace.
    pub fn fork(&mut self) -> Dice {
        Dice(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// One of these.
    pub fn one_of<'a, T>(&mut self, some: &'a [T]) -> &'a T {
        &some[self.below(some.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same() {
        let throws = |seed| {
            let mut dice = Dice::of(seed);
            let mut other = dice.fork();
            [dice.below(1000), other.below(1000), dice.below(1000), *dice.one_of(&[1, 2, 3])]
        };
        assert_eq!(throws(7), throws(7));
        assert_ne!(throws(7), throws(8));
    }
}
