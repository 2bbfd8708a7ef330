//! Tickets by the thousand: one SHA-256 compression each, and which of them win.

use labora_pouw::transcript::TicketMidstate;
use labora_pouw::{Hash, TAG, U256};

use crate::isa::{AT_ONCE, Isa, Midstate};
use crate::layout::State;

/// Draws a product's tickets.
pub(super) struct Tickets {
    midstate: TicketMidstate,
    /// Where the CPU hashes by itself.
    fast: Option<Midstate>,
    /// The highest digest that wins.
    target: U256,
    /// The same as SHA-256's words.
    target_words: [u32; 8],
}

impl Tickets {
    /// Tickets under `seed_a`, of which those up to `target` win.
    pub(super) fn new(isa: Isa, seed_a: &Hash, target: U256) -> Self {
        let mut shared = [0; 64];
        shared[..TAG.len()].copy_from_slice(TAG);
        shared[TAG.len()] = b'T';
        shared[16..48].copy_from_slice(seed_a);
        let mut target_words = [0; 8];
        for (word, bytes) in target_words
            .iter_mut()
            .zip(target.to_big_endian().as_chunks().0)
        {
            *word = u32::from_be_bytes(*bytes);
        }
        let fast = if isa == Isa::portable() {
            None
        } else {
            Midstate::new(&shared)
        };
        Tickets {
            midstate: TicketMidstate::new(seed_a),
            fast,
            target,
            target_words,
        }
    }

    /// Draws the tickets of `states`; `won` is told of those that win, by index.
    pub(super) fn draw(&self, states: &[State], mut won: impl FnMut(usize, Hash)) {
        let Some(fast) = &self.fast else {
            for (index, state) in states.iter().enumerate() {
                let ticket = self.midstate.ticket(state);
                if U256::from_big_endian(&ticket) <= self.target {
                    won(index, ticket);
                }
            }
            return;
        };
        for (batch, states) in states.chunks(AT_ONCE).enumerate() {
            // What is missing from the last batch is filled with its first.
            let batch_of = core::array::from_fn(|at| states.get(at).unwrap_or(&states[0]));
            let digests = fast.digests(batch_of);
            for (at, digest) in digests[..states.len()].iter().enumerate() {
                if *digest <= self.target_words {
                    let mut ticket = [0; 32];
                    for (bytes, word) in ticket.as_chunks_mut().0.iter_mut().zip(digest) {
                        *bytes = word.to_be_bytes();
                    }
                    won(batch * AT_ONCE + at, ticket);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use labora_pouw::transcript::ticket;

    use super::*;

    #[test]
    fn tickets_are_the_protocols_and_win_up_to_the_target_and_not_beyond() {
        for isa in Isa::available() {
            for case in 0..100_u32 {
                let seed_a = *blake3::hash(&case.to_le_bytes()).as_bytes();
                let states: Vec<State> = (0..1 + case % 5)
                    .map(|tile| {
                        let bytes = *blake3::hash(&[case as u8, tile as u8]).as_bytes();
                        core::array::from_fn(|word| {
                            u32::from_le_bytes(bytes[word % 8 * 4..][..4].try_into().unwrap())
                                .rotate_left(word as u32)
                        })
                    })
                    .collect();
                let all: Vec<_> = states.iter().map(|state| ticket(&seed_a, state)).collect();
                let drawn = |target: U256| {
                    let mut won = Vec::new();
                    Tickets::new(isa, &seed_a, target)
                        .draw(&states, |index, ticket| won.push((index, ticket)));
                    won
                };
                let up_to = |target: U256| -> Vec<_> {
                    let wins = |ticket: &Hash| U256::from_big_endian(ticket) <= target;
                    all.iter()
                        .copied()
                        .enumerate()
                        .filter(|(_, ticket)| wins(ticket))
                        .collect()
                };
                assert_eq!(drawn(U256::MAX), up_to(U256::MAX), "{isa}");
                for ticket in &all {
                    let exactly = U256::from_big_endian(ticket);
                    assert_eq!(drawn(exactly), up_to(exactly), "{isa}");
                    assert_eq!(drawn(exactly - 1), up_to(exactly - 1), "{isa}");
                    assert!(drawn(exactly).len() > drawn(exactly - 1).len());
                }
            }
        }
    }
}
