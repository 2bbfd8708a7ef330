//! SHA-256 with the CPU's own instructions, two tickets at a time: one alone waits for itself in every round,
//! and more than two take no less time each.

use core::arch::x86_64::*;

use labora_pouw::WORDS;

use crate::layout::State;

/// Tickets drawn at once.
pub(crate) const AT_ONCE: usize = 2;
/// Bits of a ticket's message: the block that all tickets of a product share, then 48 bytes of state.
const MESSAGE_BITS: u32 = 8 * (64 + 4 * WORDS as u32);
/// Initial state and round constants: FIPS 180-4, 5.3.3 and 4.2.2.
const INITIAL: [u32; 8] = [
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
];
const ROUNDS: [u32; 64] = [
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
];

/// The state after the block that a product's tickets share.
pub(crate) struct Midstate([u32; 8]);

impl Midstate {
    /// Hashes the shared block, where the CPU has the instructions.
    pub(crate) fn new(shared: &[u8; 64]) -> Option<Self> {
        let has = std::is_x86_feature_detected!("sha")
            && std::is_x86_feature_detected!("sse4.1")
            && std::is_x86_feature_detected!("ssse3");
        has.then(|| {
            let mut block = [0; 16];
            for (word, bytes) in block.iter_mut().zip(shared.as_chunks().0) {
                *word = u32::from_be_bytes(*bytes);
            }
            // SAFETY: the features have just been detected.
            let [state] = unsafe { compress(&INITIAL, [&block]) };
            Midstate(state)
        })
    }

    /// The digests of tiles with these transcripts, as SHA-256's words.
    pub(crate) fn digests(&self, states: [&State; AT_ONCE]) -> [[u32; 8]; AT_ONCE] {
        let blocks = states.map(|state| {
            let mut block = [0; 16];
            for (word, state) in block.iter_mut().zip(state) {
                *word = state.swap_bytes();
            }
            block[12] = 0x8000_0000;
            block[15] = MESSAGE_BITS;
            block
        });
        // SAFETY: a midstate is only made where the features were detected.
        unsafe { compress(&self.0, blocks.each_ref()) }
    }
}

/// Compresses one block each into N copies of `from`; blocks are given as words.
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn compress<const N: usize>(from: &[u32; 8], blocks: [&[u32; 16]; N]) -> [[u32; 8]; N] {
    let word = |at: usize| from[at] as i32;
    let first = [
        _mm_set_epi32(word(0), word(1), word(4), word(5)),
        _mm_set_epi32(word(2), word(3), word(6), word(7)),
    ];
    let (mut abef, mut cdgh) = ([first[0]; N], [first[1]; N]);
    let mut w = [[_mm_setzero_si128(); 4]; N];
    for four in 0..16 {
        // SAFETY: four words from 4·four on lie within the 64.
        let constants = unsafe { _mm_loadu_si128(ROUNDS.as_ptr().add(4 * four).cast()) };
        for n in 0..N {
            let w = &mut w[n];
            w[four % 4] = if four < 4 {
                // SAFETY: four words from 4·four on lie within the 16.
                unsafe { _mm_loadu_si128(blocks[n].as_ptr().add(4 * four).cast()) }
            } else {
                // The schedule's four words from 16, 12, 8 and 4 words before them.
                let last = w[(four + 3) % 4];
                let sum = _mm_sha256msg1_epu32(w[four % 4], w[(four + 1) % 4]);
                let sum = _mm_add_epi32(sum, _mm_alignr_epi8::<4>(last, w[(four + 2) % 4]));
                _mm_sha256msg2_epu32(sum, last)
            };
            let sum = _mm_add_epi32(w[four % 4], constants);
            cdgh[n] = _mm_sha256rnds2_epu32(cdgh[n], abef[n], sum);
            abef[n] = _mm_sha256rnds2_epu32(abef[n], cdgh[n], _mm_shuffle_epi32::<0x0e>(sum));
        }
    }
    let mut out = [[0; 8]; N];
    for n in 0..N {
        let (x, y) = (
            _mm_add_epi32(abef[n], first[0]),
            _mm_add_epi32(cdgh[n], first[1]),
        );
        out[n] = [
            _mm_extract_epi32::<3>(x),
            _mm_extract_epi32::<2>(x),
            _mm_extract_epi32::<3>(y),
            _mm_extract_epi32::<2>(y),
            _mm_extract_epi32::<1>(x),
            _mm_extract_epi32::<0>(x),
            _mm_extract_epi32::<1>(y),
            _mm_extract_epi32::<0>(y),
        ]
        .map(|word| word as u32);
    }
    out
}
