//! From listed tickets to seals and proofs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use labora_pouw::{Hash, Seal, Shape, reference};
use rayon::prelude::*;

use super::Ask;
use super::kernels::{MAX_LISTED, WINNER_BYTES, WINNERS_BYTES};
use crate::device::{Job, Outcome, Winner};

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

/// Outcomes whose winners are opened at a time beside the device's thread. Where more win, as at a low difficulty, the
/// device waits: it would only find more of what nobody needs.
const MAX_OPENING: usize = 4;

/// Answers a job once its winners are opened. That hashes both matrices, tens of milliseconds in which the device's thread
/// would queue nothing, so it is done elsewhere.
pub(super) fn answer(ask: Ask, outcome: Outcome, tickets: Vec<Ticket>, opening: &Arc<AtomicUsize>) {
    if tickets.is_empty() {
        return ask.answer(Ok(outcome));
    }
    let finish = move |ask: Ask| {
        let winners = open(&ask.job, tickets);
        ask.answer(Ok(Outcome { winners, ..outcome }));
    };
    let at_once = opening.fetch_add(1, Ordering::Relaxed);
    let opening = Arc::clone(opening);
    let work = move || {
        // A panic is a defect in this crate: it costs this answer, not the process, as which it would count on rayon's thread.
        let _ = catch_unwind(AssertUnwindSafe(|| finish(ask)));
        opening.fetch_sub(1, Ordering::Relaxed);
    };
    if at_once < MAX_OPENING {
        rayon::spawn(work);
    } else {
        work();
    }
}

/// Puts the winners' seals and proofs together.
fn open(job: &Job, tickets: Vec<Ticket>) -> Vec<Winner> {
    let (a, bt) = (&job.a, &job.bt);
    let Ok(shape) = Shape::new(a.rows(), bt.rows(), a.k()) else {
        return Vec::new();
    };
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
