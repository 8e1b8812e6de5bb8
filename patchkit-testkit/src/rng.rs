//! Random numbers of our own: what is made of one seed must stay the same for ever.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// Numbers for one purpose, independent of those for others.
    pub(crate) fn stream(seed: u64, purpose: u64, index: u64) -> Self {
        Self(mix(seed ^ mix(purpose ^ mix(index))))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number under `n`, which is not zero.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        // The high half of the product: no bias worth the name for the small `n` used here.
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// A number of the range, its end excluded.
    pub(crate) fn range(&mut self, from: usize, to: usize) -> usize {
        from + self.index(to - from)
    }

    /// A place in a list of this length, which is not zero.
    #[expect(clippy::cast_possible_truncation, reason = "it is below a length")]
    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    pub(crate) fn percent(&mut self, percent: u8) -> bool {
        self.below(100) < u64::from(percent)
    }

    /// One of a list that is not empty.
    pub(crate) fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.index(list.len())]
    }
}

/// A bijection: what differs before it differs after it.
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
