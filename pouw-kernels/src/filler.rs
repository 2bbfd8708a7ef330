//! Products for when nobody has asked for one.

use std::hash::{BuildHasher, Hasher, RandomState};

use labora_pouw::{Hash, Path, Shape, tree};
use zerocopy::IntoBytes;

use crate::device::Device;
use crate::matrix::Matrix;

/// Copies of A that may be in use at once; one more is made (and dropped after use) where a device holds all of them.
const COPIES: usize = 4;

/// Endless pairs of matrices, each with a commitment of its own.
///
/// B stays, so that its noised form serves a whole template. Of A only the first 1,024 entries are drawn afresh: that is
/// a new commitment, thus new noise on every entry, at the price of one chunk's path to the root. The work that a ticket
/// takes does not depend on what the matrices hold.
pub struct Filler {
    shape: Shape,
    /// Seed of this filler's entries.
    seed: Hash,
    /// Products made so far.
    count: u64,
    copies: Vec<Matrix>,
    /// Opening of A's first chunk; the same for every product.
    path: Path,
    bt: Matrix,
}

impl Filler {
    /// Filler for `device`, of the shape it likes best, unlike that of any other filler.
    pub fn new(device: &(impl Device + ?Sized)) -> Self {
        // Two devices of one node must not do the same products under one template. The standard library's hash keys
        // come from the system and differ for every state; nobody gains by guessing them.
        let mut seed = [0; 32];
        for word in seed.chunks_exact_mut(8) {
            word.copy_from_slice(&RandomState::new().build_hasher().finish().to_le_bytes());
        }
        Self::with_seed(device.info().filler, seed)
    }

    /// Filler of any shape; the same seed gives the same products.
    pub fn with_seed(shape: Shape, seed: Hash) -> Self {
        let mut a = matrix(&seed, b"filler A", shape.m(), shape.k());
        a.found_family();
        let path = tree::open_range(a.data().as_bytes(), 0, tree::CHUNK);
        let bt = matrix(&seed, b"filler B", shape.n(), shape.k());
        Filler {
            shape,
            seed,
            count: 0,
            copies: vec![a],
            path,
            bt,
        }
    }

    /// The shape of every product.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The next product's A (m×k) and Bt (n×k).
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> (Matrix, Matrix) {
        self.count = self.count.wrapping_add(1);
        let mut chunk = [0; tree::CHUNK];
        draw(
            &self.seed,
            &[b"filler chunk ", &self.count.to_le_bytes()[..]].concat(),
            &mut chunk,
        );
        let (path, total) = (&self.path, self.shape.a_len());
        // The path was made for this length and chunk, so there is a root; a hash of zeroes would win nothing.
        let root = |chunk: &[u8]| tree::range_root(total, 0, chunk, path).unwrap_or_default();
        // Devices hold the last few products: the first copy that none of them holds is overwritten.
        for copy in &mut self.copies {
            if copy.replace_chunk(&chunk, root) {
                return (copy.clone(), self.bt.clone());
            }
        }
        let mut copy = self.copies[0].deep_clone();
        copy.replace_chunk(&chunk, root);
        if self.copies.len() < COPIES {
            self.copies.push(copy.clone());
        }
        (copy, self.bt.clone())
    }
}

/// Fills `to` with entries drawn from `seed` and `label`.
fn draw(seed: &Hash, label: &[u8], to: &mut [i8]) {
    blake3::Hasher::new_keyed(seed)
        .update(label)
        .finalize_xof()
        .fill(to.as_mut_bytes());
    for entry in to {
        // A byte mod 127, minus 63: any distribution within [-63, 63] does.
        *entry = ((*entry as u8) % 127) as i8 - 63;
    }
}

fn matrix(seed: &Hash, label: &[u8], rows: u32, k: u32) -> Matrix {
    let mut data = vec![0; rows as usize * k as usize];
    draw(seed, label, &mut data);
    match Matrix::new(rows, k, data) {
        Ok(matrix) => matrix,
        // A shape's sides are multiples of 16 and 64 within a matrix's bounds, and `draw` stays within [-63, 63].
        Err(error) => unreachable!("{error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape::new(48, 32, 320).unwrap()
    }

    #[test]
    fn every_product_commits_to_what_it_holds_and_to_nothing_seen_before() {
        let mut filler = Filler::with_seed(shape(), [7; 32]);
        let mut seen = std::collections::HashSet::new();
        // Some products are held on to, as a device would: their entries must not change.
        let mut held = Vec::new();
        for i in 0..20 {
            let (a, bt) = filler.next();
            assert_eq!(a.root(), tree::root(a.data().as_bytes()));
            assert_eq!(bt.root(), tree::root(bt.data().as_bytes()));
            assert!(seen.insert(a.root()));
            if i % 2 == 0 {
                held.push((a.clone(), a.data().to_vec()));
            }
        }
        assert!(held.iter().all(|(a, data)| a.data() == data));
    }

    #[test]
    fn a_seed_gives_the_same_products_and_another_seed_gives_others() {
        let products = |seed| {
            let mut filler = Filler::with_seed(shape(), seed);
            [(); 3]
                .map(|()| filler.next())
                .map(|(a, bt)| (a.root(), bt.root()))
        };
        assert_eq!(products([1; 32]), products([1; 32]));
        assert!(
            products([1; 32])
                .iter()
                .zip(&products([2; 32]))
                .all(|(x, y)| x.0 != y.0 && x.1 != y.1)
        );
    }
}
