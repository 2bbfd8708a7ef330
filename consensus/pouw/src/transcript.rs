//! The transcript of a tile, and the ticket that its hash is.
//!
//! C' = A'·B' accumulates along k. After every window of 64 columns, the XOR of a tile's 256
//! accumulators is rotated into one of 12 words. A tile's ticket is the SHA-256 of a block that the
//! whole product shares, then those words.

use sha2::{Digest, Sha256};

use crate::{Hash, RANK, TAG, TILE, WORDS};

/// Transcript state of one tile.
pub type State = [u32; WORDS];

/// Entries of a tile.
const ENTRIES: usize = TILE * TILE;

/// Folds the XOR of a tile's accumulators after window number `window` into its state.
pub fn fold(state: &mut State, window: usize, xor: u32) {
    let word = &mut state[window % WORDS];
    *word = word.rotate_left(13) ^ xor;
}

/// XOR of a tile's accumulators, as [`fold`] takes it.
pub fn xor_of(accumulators: &[i32]) -> u32 {
    accumulators
        .iter()
        .fold(0, |xor, entry| xor ^ *entry as u32)
}

/// Transcript state of one tile from its noised strips, both 16×k and row-major.
///
/// Columns past the last whole window, or that only one strip has, are left out.
pub fn tile_state(a: &[i8], b: &[i8]) -> State {
    let k = a.len().min(b.len()) / (TILE * RANK) * RANK;
    let mut accumulators = [0_i32; ENTRIES];
    let mut state = State::default();
    for window in 0..k / RANK {
        let a = widened(a, k, window);
        let b = widened(b, k, window);
        for (row, sums) in a.iter().zip(accumulators.as_chunks_mut().0) {
            add_row(row, &b, sums);
        }
        fold(&mut state, window, xor_of(&accumulators));
    }
    state
}

/// One window of a strip in int16, which is what x86's and WASM's widening multiply-add takes.
fn widened(strip: &[i8], k: usize, window: usize) -> [[i16; RANK]; TILE] {
    let mut out = [[0; RANK]; TILE];
    for (row, out) in strip.chunks_exact(k).zip(&mut out) {
        for (entry, out) in row[window * RANK..(window + 1) * RANK].iter().zip(out) {
            *out = i16::from(*entry);
        }
    }
    out
}

/// Adds one row of A' times one window of B' to a row of the tile.
///
/// Products are below 2^14, sums of 64 of them below 2^20: nothing wraps, and said so the loop
/// becomes multiply-adds of vectors. Inlined, the compiler would mix rows and spend most of its
/// time on shuffles (2.5 times slower).
#[inline(never)]
fn add_row(row: &[i16; RANK], columns: &[[i16; RANK]; TILE], sums: &mut [i32; TILE]) {
    for (column, sum) in columns.iter().zip(sums) {
        let products = row
            .iter()
            .zip(column)
            .map(|(a, b)| i32::from(*a).wrapping_mul(i32::from(*b)));
        *sum = sum.wrapping_add(products.fold(0, i32::wrapping_add));
    }
}

/// Ticket of one tile.
pub fn ticket(seed_a: &Hash, state: &State) -> Hash {
    TicketMidstate::new(seed_a).ticket(state)
}

/// SHA-256 after the block that all tickets of one product share: each ticket is then one
/// compression.
#[derive(Clone, Debug)]
pub struct TicketMidstate(Sha256);

impl TicketMidstate {
    /// Hashes the shared 64 bytes: tag, letter, `seed_a`, 16 zeros.
    pub fn new(seed_a: &Hash) -> TicketMidstate {
        TicketMidstate(
            Sha256::new()
                .chain_update(TAG)
                .chain_update(b"T")
                .chain_update(seed_a)
                .chain_update([0; 16]),
        )
    }

    /// Ticket of one tile of the product.
    pub fn ticket(&self, state: &State) -> Hash {
        let mut bytes = [[0; 4]; WORDS];
        for (word, bytes) in state.iter().zip(&mut bytes) {
            *bytes = word.to_le_bytes();
        }
        self.0
            .clone()
            .chain_update(bytes.as_flattened())
            .finalize()
            .into()
    }
}
