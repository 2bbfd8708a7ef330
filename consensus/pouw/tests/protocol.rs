//! The parts of the protocol one by one: seeds, noise, transcript, ticket.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashSet;

use labora_pouw::noise::{add_noise, dense_factor, sparse_factor};
use labora_pouw::reference::{self, matrices};
use labora_pouw::transcript::{State, TicketMidstate, fold, ticket, tile_state};
use labora_pouw::{LIMIT, RANK, Shape, TAG, TILE, WORDS, seeds};
use sha2::{Digest, Sha256};

#[test]
fn seeds_bind_every_input() {
    let shape = |m, n, k| Shape::new(m, n, k).unwrap();
    let base = ([1; 32], [2; 32], [3; 32], shape(32, 48, 256));
    let of = |(pre_hash, a, b, shape)| seeds(&pre_hash, &a, &b, shape);
    let first = of(base);
    let changed = [
        of(([9; 32], base.1, base.2, base.3)),
        of((base.0, [9; 32], base.2, base.3)),
        of((base.0, base.1, [9; 32], base.3)),
        of((base.0, base.1, base.2, shape(64, 48, 256))),
        of((base.0, base.1, base.2, shape(32, 64, 256))),
        of((base.0, base.1, base.2, shape(32, 48, 320))),
    ];
    for (i, seeds) in changed.iter().enumerate() {
        assert_ne!(seeds.a, first.a, "input {i}");
    }
    // One noised Bt serves every A under one template.
    assert_eq!(
        changed.map(|seeds| seeds.b != first.b),
        [true, false, true, false, true, true]
    );
}

#[test]
fn rows_of_the_dense_factor_are_the_same_wherever_one_starts() {
    let mut whole = vec![0; 100 * RANK];
    dense_factor(&[5; 32], 0, 100, &mut whole);
    let mut part = vec![0; 7 * RANK];
    dense_factor(&[5; 32], 41, 7, &mut part);
    assert_eq!(part, whole[41 * RANK..48 * RANK]);
    assert!(whole.iter().all(|entry| (-32..=31).contains(entry)));
    assert_eq!(
        whole.iter().collect::<HashSet<_>>().len(),
        64,
        "all 64 values occur in 6,400 draws"
    );
}

#[test]
fn each_window_of_the_sparse_factor_is_two_permutations_and_signs() {
    let factor = sparse_factor(&[6; 32], 1024);
    for window in factor.p.chunks(RANK).chain(factor.q.chunks(RANK)) {
        assert_eq!(window.iter().collect::<HashSet<_>>().len(), RANK);
    }
    let minus = factor.s.iter().filter(|sign| **sign == -1).count();
    assert!(
        factor.s.iter().all(|sign| sign.abs() == 1) && (400..624).contains(&minus),
        "{minus} of 1024 are -1"
    );
    let longer = sparse_factor(&[6; 32], 2048);
    assert_eq!(
        longer.p[..1024],
        factor.p,
        "a longer factor goes on where a shorter ends"
    );
}

#[test]
fn noise_is_the_product_of_its_factors_and_never_wraps() {
    let (k, seed, first_row) = (256, [7; 32], 21);
    let factor = sparse_factor(&seed, k);
    // 37 rows: two whole bands of 16, and a rest.
    let mut dense = vec![0; 37 * RANK];
    dense_factor(&seed, first_row, 37, &mut dense);
    for entry in [-LIMIT, 0, LIMIT] {
        let noised = add_noise(&vec![entry; 37 * k], &seed, &factor, first_row);
        for (at, found) in noised.iter().enumerate() {
            let (row, c) = (at / k, at % k);
            let of = |index: u8| i16::from(dense[row * RANK + usize::from(index)]);
            let expected =
                i16::from(entry) + of(factor.p[c]) + i16::from(factor.s[c]) * of(factor.q[c]);
            assert_eq!(i16::from(*found), expected, "row {row}, column {c}");
            assert!((-127..=126).contains(&expected));
        }
    }
}

#[test]
fn noise_on_other_than_whole_rows_leaves_the_rest_out() {
    let factor = sparse_factor(&[8; 32], 256);
    assert_eq!(add_noise(&[1; 300], &[8; 32], &factor, 0).len(), 256);
    assert_eq!(
        add_noise(&[1; 300], &[8; 32], &sparse_factor(&[8; 32], 0), 0),
        [0; 0]
    );
}

#[test]
fn the_state_of_a_tile_is_that_of_the_whole_product() {
    let shape = Shape::new(48, 64, 896).unwrap();
    let (a, bt) = matrices("tile", shape);
    let (states, _) = reference::transcripts(&a, &bt, shape);
    let len = shape.strip_len();
    for (at, state) in states.iter().enumerate() {
        let (row, column) = (at / 4, at % 4);
        assert_eq!(
            tile_state(
                &a[row * len..(row + 1) * len],
                &bt[column * len..(column + 1) * len]
            ),
            *state
        );
    }
}

#[test]
fn extreme_entries_do_not_wrap_in_a_tile() {
    let strip = vec![-127; TILE * 16384];
    let state = tile_state(&strip, &strip);
    // All 256 accumulators are equal, so each fold is zero.
    assert_eq!(state, State::default());
    let mut other = strip.clone();
    other[..16384].fill(127);
    // One row of sixteen has the other sign: sixteen accumulators, again an even number.
    assert_eq!(tile_state(&other, &strip), State::default());
    other[0] = 126;
    assert_ne!(tile_state(&other, &other), State::default());
}

#[test]
fn folds_rotate_into_twelve_words_in_turn() {
    let mut state = State::default();
    for window in 0..WORDS {
        fold(&mut state, window, 1 << window);
    }
    assert_eq!(state, core::array::from_fn(|word| 1 << word));
    fold(&mut state, WORDS + 3, 5);
    assert_eq!(state[3], 8 << 13 ^ 5);
}

#[test]
fn a_ticket_is_sha256_of_tag_seed_zeros_and_state() {
    let state: State = core::array::from_fn(|word| 0x0102_0304 * word as u32);
    let mut message = [&TAG[..], b"T", &[9; 32], &[0; 16]].concat();
    assert_eq!(message.len(), 64, "what a product shares is one block");
    message.extend(state.iter().flat_map(|word| word.to_le_bytes()));
    let expected: [u8; 32] = Sha256::digest(&message).into();
    assert_eq!(ticket(&[9; 32], &state), expected);
    assert_eq!(TicketMidstate::new(&[9; 32]).ticket(&state), expected);
}
