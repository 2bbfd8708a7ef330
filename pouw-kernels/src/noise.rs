//! The sparse factor in the orders in which vector code looks things up: by column of the noise when noise is added,
//! by row of the factor (the inverse permutations) when a matrix is multiplied by the factor.

use labora_pouw::noise::sparse_factor;

use crate::layout::WINDOW;

/// One direction of a window: index vectors and signs, 64 of each.
#[derive(Clone, Copy)]
pub(crate) struct Lookup {
    /// First index, in 0..64; its term has the sign +.
    pub p: [u8; WINDOW],
    /// Second index, in 0..64.
    pub q: [u8; WINDOW],
    /// Sign of the second term, +1 or -1.
    pub s: [i8; WINDOW],
    /// The same signs as bits, set where the sign is -.
    pub negative: u64,
}

/// The sparse factor of one seed, for all windows.
pub(crate) struct Sparse {
    /// `noise[c] = dense[p[c]] + s[c]·dense[q[c]]`.
    pub by_column: Vec<Lookup>,
    /// `sums[r] += x[p[r]] + s[r]·x[q[r]]`: the transpose.
    pub by_row: Vec<Lookup>,
}

impl Sparse {
    /// Derives the factor of `seed` for `k` columns.
    pub(crate) fn new(seed: &[u8; 32], k: usize) -> Self {
        let factor = sparse_factor(seed, k);
        let windows = k / WINDOW;
        let mut by_column = Vec::with_capacity(windows);
        let mut by_row = Vec::with_capacity(windows);
        for w in 0..windows {
            let (mut forth, mut back) = (Lookup::EMPTY, Lookup::EMPTY);
            for c in 0..WINDOW {
                let (p, q, s) = (
                    factor.p[w * WINDOW + c],
                    factor.q[w * WINDOW + c],
                    factor.s[w * WINDOW + c],
                );
                forth.set(c, p, q, s);
                back.p[usize::from(p)] = c as u8;
                back.q[usize::from(q)] = c as u8;
                back.s[usize::from(q)] = s;
                back.negative |= u64::from(s < 0) << q;
            }
            by_column.push(forth);
            by_row.push(back);
        }
        Sparse { by_column, by_row }
    }

    /// Columns of the noise.
    pub(crate) fn k(&self) -> usize {
        self.by_column.len() * WINDOW
    }
}

impl Lookup {
    const EMPTY: Self = Lookup {
        p: [0; WINDOW],
        q: [0; WINDOW],
        s: [0; WINDOW],
        negative: 0,
    };

    fn set(&mut self, c: usize, p: u8, q: u8, s: i8) {
        (self.p[c], self.q[c], self.s[c]) = (p, q, s);
        self.negative |= u64::from(s < 0) << c;
    }
}
