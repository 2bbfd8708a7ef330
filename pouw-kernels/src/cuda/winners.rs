//! From listed tickets to seals and proofs.

use labora_pouw::{Hash, Seal, Shape, reference};
use rayon::prelude::*;

use super::kernels::{MAX_LISTED, WINNER_BYTES, WINNERS_BYTES};
use crate::device::{Job, Winner};

/// A ticket that wins: its digest, then its tile's row and column.
pub(super) type Ticket = (Hash, u32, u32);

/// The winners of one list, whose rows are counted from tile row `first`.
pub(super) fn listed(list: &[u8], first: u32) -> Vec<Ticket> {
    let words: Vec<u32> = list[..WINNERS_BYTES]
        .as_chunks()
        .0
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes))
        .collect();
    let count = (words[0] as usize).min(MAX_LISTED);
    let winner = |words: &[u32]| {
        let mut ticket = [0; 32];
        for (to, word) in ticket.as_chunks_mut().0.iter_mut().zip(&words[2..]) {
            *to = word.to_be_bytes();
        }
        (ticket, first + words[0], words[1])
    };
    words[4..]
        .chunks_exact(WINNER_BYTES / 4)
        .take(count)
        .map(winner)
        .collect()
}

/// Puts the winners' seals and proofs together.
pub(super) fn open(job: &Job, shape: Shape, tickets: Vec<Ticket>) -> Vec<Winner> {
    let (a, bt) = (&job.a, &job.bt);
    let winner = |(ticket, row, column): Ticket| {
        let seal = Seal::new(shape, a.root(), bt.root(), row, column).ok()?;
        let proof = reference::open(a.data(), bt.data(), &seal)?;
        Some(Winner {
            seal,
            proof,
            ticket,
        })
    };
    tickets.into_par_iter().filter_map(winner).collect()
}
