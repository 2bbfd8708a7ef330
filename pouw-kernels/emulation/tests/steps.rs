//! Every kernel before the product, by itself, against `labora_pouw`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod card;

use card::{Buffer, Card, Numbers, SPARSE_LEN};
use labora_emulation::{LaunchError, Target, launch_on};
use labora_pouw::noise::{SparseFactor, add_noise, dense_factor, sparse_factor};
use labora_pouw::{Shape, seeds, tree};
use zerocopy::IntoBytes;

const CARDS: [Card; 2] = [Card(Target::Turing), Card(Target::Hopper)];

#[test]
fn a_chunk_has_blake3s_chaining_value() {
    let mut numbers = Numbers::new("chunks");
    for card in CARDS {
        for len in [1025, 1088, 2048, 3 * 1024 + 5, 131 * 1024, 200 * 1024 + 960] {
            let data: Vec<u8> = (0..len).map(|_| numbers.next() as u8).collect();
            let values = card.chunks(&mut Buffer::of(&data[..]));
            for (i, chunk) in data.chunks(1024).enumerate() {
                let expected = tree::subtree(chunk, i as u64);
                assert_eq!(
                    values.bytes()[32 * i..][..32],
                    expected,
                    "chunk {i} of {len} bytes"
                );
            }
        }
    }
}

#[test]
fn the_tree_of_any_number_of_chunks_ends_in_blake3s_hash() {
    let mut numbers = Numbers::new("tree");
    for chunks in (2..20).chain([63, 64, 65, 255, 256, 257, 258, 511, 513, 1021]) {
        let data: Vec<u8> = (0..1024 * chunks).map(|_| numbers.next() as u8).collect();
        let card = CARDS[1];
        let leaves = card.chunks(&mut Buffer::of(&data[..]));
        let root = card.root_by_eights(Buffer::of(leaves.bytes()));
        assert_eq!(
            root.bytes(),
            tree::root(&data),
            "{chunks} chunks, by eights"
        );
        let root = card.root(leaves);
        assert_eq!(root.bytes(), tree::root(&data), "{chunks} chunks");
    }
}

#[test]
fn changed_chunks_alone_can_be_hashed_again() {
    let mut numbers = Numbers::new("changed chunks");
    let card = CARDS[1];
    let mut data: Vec<u8> = (0..300 * 1024).map(|_| numbers.next() as u8).collect();
    let mut values = card.chunks(&mut Buffer::of(&data[..]));
    for byte in &mut data[40 * 1024..190 * 1024] {
        *byte ^= 0x55;
    }
    card.chunks_from(&mut Buffer::of(&data[..]), 40, 150, &mut values);
    assert_eq!(card.root(values).bytes(), tree::root(&data));
}

// The midstate shows in the tickets, which tests/products.rs compares.
#[test]
fn seeds_are_those_of_the_protocol() {
    let mut numbers = Numbers::new("seeds");
    for card in CARDS {
        for _ in 0..8 {
            let (pre_hash, root_a, root_b) = (numbers.hash(), numbers.hash(), numbers.hash());
            let [m, n, k] = [
                16 * numbers.within(2, 65536),
                16 * numbers.within(2, 65536),
                64 * numbers.within(4, 256),
            ];
            let expected = seeds(&pre_hash, &root_a, &root_b, Shape::new(m, n, k).unwrap());
            let out = card.seeds(
                &mut Buffer::of(&root_a),
                &mut Buffer::of(&root_b),
                &pre_hash,
                [m, n, k],
            );
            assert_eq!(out.bytes()[..32], expected.a);
            assert_eq!(out.bytes()[32..64], expected.b);
        }
    }
}

/// Windows of the table, one by one, as `Sparse` of `cuda/types.cuh` lays them out.
fn check_table(table: &Buffer, factor: &SparseFactor) {
    for (w, window) in table.bytes().chunks(SPARSE_LEN).enumerate() {
        let span = 64 * w..64 * (w + 1);
        assert_eq!(window[..64], factor.p[span.clone()], "p of window {w}");
        assert_eq!(window[64..128], factor.q[span.clone()], "q of window {w}");
        let negative = u64::from_le_bytes(window[256..264].try_into().unwrap());
        for c in 0..64 {
            let at = 64 * w + c;
            assert_eq!(
                window[128 + usize::from(factor.p[at])],
                c as u8,
                "inverse of p"
            );
            assert_eq!(
                window[192 + usize::from(factor.q[at])],
                c as u8,
                "inverse of q"
            );
            assert_eq!(
                negative >> c & 1 == 1,
                factor.s[at] < 0,
                "sign of column {at}"
            );
        }
    }
}

#[test]
fn the_sparse_factors_table_is_that_of_the_protocol() {
    let mut numbers = Numbers::new("sparse");
    for card in CARDS {
        for windows in [4, 5, 11, 14, 256] {
            let seed = numbers.hash();
            let table = card.sparse(Buffer::of(&seed).at(), windows);
            check_table(&table, &sparse_factor(&seed, 64 * windows as usize));
        }
    }
}

#[test]
fn noise_and_its_dense_factor_are_those_of_the_protocol() {
    let mut numbers = Numbers::new("noise");
    for card in CARDS {
        for (rows, k) in [
            (32, 256),
            (48, 320),
            (144, 704),
            (16, 16384),
            (80, 1088),
            (208, 64),
        ] {
            let seed = numbers.hash();
            let matrix = numbers.entries(rows * k, 63);
            let mut seed_there = Buffer::of(&seed);
            let mut table = card.sparse(seed_there.at(), k as u32 / 64);
            let (noised, dense) = card.noise(
                &mut Buffer::of(&matrix[..]),
                k as u32,
                seed_there.at(),
                &mut table,
            );
            let expected = add_noise(&matrix, &seed, &sparse_factor(&seed, k), 0);
            assert!(noised.i8s() == expected, "noise of {rows}×{k}");
            let mut factor = vec![0; 64 * rows];
            dense_factor(&seed, 0, rows, &mut factor);
            assert!(dense.i8s() == factor, "dense factor of {rows} rows");
        }
    }
}

/// Rows (·×k) times the transposed sparse factor, by definition: ·×64.
fn onto_factor(rows: &[i8], factor: &SparseFactor) -> Vec<[i32; 64]> {
    rows.chunks(factor.p.len())
        .map(|row| {
            let mut sums = [0; 64];
            for (c, entry) in row.iter().enumerate() {
                sums[usize::from(factor.p[c])] += i32::from(*entry);
                sums[usize::from(factor.q[c])] += i32::from(*entry) * i32::from(factor.s[c]);
            }
            sums
        })
        .collect()
}

/// Where each limb stands in an operand's row, and how often it counts.
fn check_operand(operand: &Buffer, sums: &[[i32; 64]], dense: &[i8], side: u32) {
    let operand = operand.i8s();
    for ((row, sums), dense) in operand.chunks(320).zip(sums).zip(dense.chunks(64)) {
        let part = |i: usize| &row[64 * i..64 * (i + 1)];
        let (high, low, factors) = match side {
            0 => (vec![part(0)], part(3), [part(1), part(2), part(4)].to_vec()),
            _ => (vec![part(1), part(2)], part(4), [part(0), part(3)].to_vec()),
        };
        for factor in factors {
            assert_eq!(factor, dense);
        }
        for j in 0..64 {
            let high: i32 = high.iter().map(|limb| i32::from(limb[j])).sum();
            assert_eq!(256 * high + i32::from(low[j]), sums[j]);
        }
    }
}

#[test]
fn limbs_of_the_correction_add_up() {
    let mut numbers = Numbers::new("onto");
    for card in CARDS {
        for (rows, k) in [(32, 256), (48, 1088), (16, 4096), (144, 64), (80, 2112)] {
            for (side, limit) in [(0, 63), (1, 127)] {
                let matrix = numbers.entries(rows * k, limit);
                let dense = numbers.entries(rows * 64, 32);
                let seed = numbers.hash();
                let mut table = card.sparse(Buffer::of(&seed).at(), k as u32 / 64);
                let operand = card.onto(
                    &mut Buffer::of(&matrix[..]),
                    k as u32,
                    &mut table,
                    &mut Buffer::of(&dense[..]),
                    side,
                );
                let sums = onto_factor(&matrix, &sparse_factor(&seed, k));
                check_operand(&operand, &sums, &dense, side);
            }
        }
    }
}

#[test]
fn limbs_hold_the_largest_sums_that_there_are() {
    let k = 16384;
    let seed = [7; 32];
    let factor = sparse_factor(&seed, k);
    for (side, limit, largest) in [(0, 63, 32_256), (1, 127, 65_024)] {
        // Row r is chosen so that column r of the result is as large as can be; odd rows negative.
        let mut matrix = vec![0_i8; 16 * k];
        for (r, row) in matrix.chunks_mut(k).enumerate() {
            let sign = if r % 2 == 0 { 1 } else { -1 };
            for (c, entry) in row.iter_mut().enumerate() {
                if usize::from(factor.q[c]) == r {
                    *entry = limit * sign * factor.s[c];
                }
                if usize::from(factor.p[c]) == r {
                    *entry = limit * sign;
                }
            }
        }
        let sums = onto_factor(&matrix, &factor);
        // A column that is both rows' own with a minus gives nothing; there are some in 256 windows.
        assert!(
            sums.iter()
                .enumerate()
                .all(|(r, row)| row[r].abs() > largest - 20 * 127)
        );
        let dense = vec![-32; 16 * 64];
        let card = CARDS[1];
        let mut table = card.sparse(Buffer::of(&seed).at(), k as u32 / 64);
        let operand = card.onto(
            &mut Buffer::of(&matrix[..]),
            k as u32,
            &mut table,
            &mut Buffer::of(&dense[..]),
            side,
        );
        check_operand(&operand, &sums, &dense, side);
    }
}

#[test]
fn bytes_of_a_buffer_are_those_it_was_made_of() {
    let words = [1_u32, 2, 3];
    assert_eq!(Buffer::of(&words[..]).bytes(), words.as_bytes());
}

#[test]
fn a_kernel_that_a_target_lacks_is_not_found() {
    for (target, kernel) in [
        (Target::Turing, "labora_product_wgmma_1"),
        (Target::Hopper, "labora_seed"),
        (Target::Hopper, "labora\0seeds"),
    ] {
        // SAFETY: nothing is launched.
        let refused = unsafe { launch_on(target, kernel, [1; 3], [32, 1, 1], 0, &[]) };
        let name = kernel.into();
        assert_eq!(
            refused,
            Err(LaunchError::NoKernel {
                kernel: name,
                target
            })
        );
    }
}
