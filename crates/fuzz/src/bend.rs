//! Bends known inputs at random, by a seed: the run that needs no compiler's help.

/// Where inputs come from. Equal seeds bend alike.
pub struct Bender {
    state: u64,
    seeds: Vec<Vec<u8>>,
}

/// Values that stand at edges: of lengths, of CBOR's heads, of signs.
const EDGES: [u8; 12] = [0, 1, 0x17, 0x18, 0x19, 0x1b, 0x5f, 0x7f, 0x80, 0xa0, 0xbf, 0xff];

impl Bender {
    /// Bends `seeds`.
    pub fn new(seed: u64, seeds: Vec<Vec<u8>>) -> Bender {
        Bender { state: seed ^ 0x9e37_79b9_7f4a_7c15, seeds }
    }

    /// SplitMix64 (Steele, Lea and Flood 2014): enough to choose where to bend.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// The next input: one of the seeds, bent one to four times.
    pub fn input(&mut self) -> Vec<u8> {
        let which = self.below(self.seeds.len());
        let mut input = self.seeds.get(which).cloned().unwrap_or_default();
        for _ in 0..=self.below(4) {
            self.bend(&mut input);
        }
        input
    }

    fn bend(&mut self, input: &mut Vec<u8>) {
        let at = self.below(input.len());
        let end = (at + 1 + self.below(16)).min(input.len());
        match self.below(8) {
            0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
            1 if !input.is_empty() => input[at] = EDGES[self.below(EDGES.len())],
            2 => input.insert(at, self.next() as u8),
            3 => drop(input.drain(at.min(end)..end)),
            4 => input.truncate(at),
            5 => {
                let again = input[at.min(end)..end].to_vec();
                input.splice(at..at, again);
            }
            6 => {
                let other = self.below(self.seeds.len());
                let other = self.seeds.get(other).cloned().unwrap_or_default();
                let from = self.below(other.len());
                input.splice(at..end.max(at), other[from..].iter().copied().take(end - at.min(end)));
            }
            _ => input.extend((0..self.below(8)).map(|_| self.state as u8).collect::<Vec<_>>()),
        }
    }
}
