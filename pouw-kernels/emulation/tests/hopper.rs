//! The product by `wgmma` in its four modes: on operands of any origin against plain loops and
//! `labora_pouw::transcript`, and as the end of a whole mined product.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod card;

use core::ffi::c_void;
use std::path::Path;

use card::{Buffer, Card, Numbers, ProductArgs, Ticket, new_winners, tile, winners};
use labora_emulation::{LaunchError, Target, launch_on};
use labora_pouw::reference::{matrices, multiply};
use labora_pouw::transcript::{ticket, tile_state};
use labora_pouw::{Difficulty, Hash, Shape, U256};

const CARD: Card = Card(Target::Hopper);
const FOLD: u32 = 1;
const STORE: u32 = 2;
const CORRECT: u32 = 4;

/// As the emulation reads a tensor map (host/hopper.h), in the 128 bytes of one.
#[repr(C, align(64))]
struct TensorMap {
    base: *mut u8,
    inner: u64,
    outer: u64,
    stride: u64,
    box_inner: u32,
    box_outer: u32,
    swizzle: u32,
    rest: [u32; 19],
}

impl TensorMap {
    fn new(base: *mut u8, rows: u32, columns: u32) -> TensorMap {
        TensorMap {
            base,
            inner: u64::from(columns),
            outer: u64::from(rows),
            stride: u64::from(columns),
            box_inner: 128,
            box_outer: tile("LABORA_WGMMA_BOX_ROWS "),
            swizzle: 128,
            rest: [0; 19],
        }
    }
}

/// Device memory that a product reads.
struct Operands {
    a: Buffer,
    b: Buffer,
    left: Buffer,
    right: Buffer,
    midstate: Buffer,
}

/// Launches the kernel of `mode` on `grid` blocks: C as far as it is stored, how many tickets win,
/// and the list of them.
fn launch(
    operands: &mut Operands,
    [m, n, k]: [u32; 3],
    limit: U256,
    (tiling, mode, grid): (&str, u32, u32),
) -> (Vec<i32>, u32, Vec<Ticket>) {
    let correction = tile("LABORA_CORRECTION ");
    let mut c = Buffer::new(4 * (m * n) as usize);
    let mut list = new_winners();
    let mut words: Vec<u32> = limit
        .0
        .iter()
        .flat_map(|x| [*x as u32, (*x >> 32) as u32])
        .collect();
    words.reverse();
    let mut target = Buffer::of(&words[..]);
    let [a, b] = [operands.a.at(), operands.b.at()];
    let [left, right] = [operands.left.at(), operands.right.at()];
    let maps = [
        TensorMap::new(a, m, k),
        TensorMap::new(b, n, k),
        TensorMap::new(left, m, correction),
        TensorMap::new(right, n, correction),
    ];
    let args = ProductArgs {
        a,
        b,
        c: c.at(),
        left,
        right,
        midstate: operands.midstate.at(),
        target: target.at(),
        winners: list.at(),
        m,
        n,
        k,
        mode,
    };
    let mut arguments: Vec<*const c_void> =
        maps.iter().map(|map| (&raw const *map).cast()).collect();
    arguments.push((&raw const args).cast());
    let kernel = format!("labora_product_wgmma_{tiling}{mode}");
    let threads = [tile("LABORA_WGMMA_THREADS "), 1, 1];
    let shared = tile("LABORA_WGMMA_SHARED ");
    // SAFETY: four maps and ProductArgs are the kernel's parameters, and the buffers are as large as
    // m, n and k say; guards around them tell if the kernel leaves them.
    let end: Result<(), LaunchError> = unsafe {
        launch_on(
            Target::Hopper,
            &kernel,
            [grid, 1, 1],
            threads,
            shared,
            &arguments,
        )
    };
    end.unwrap_or_else(|error| panic!("{m}×{n}×{k}, mode {mode}: {error}"));
    let (count, tickets) = winners(&list);
    (c.i32s(), count, tickets)
}

/// Rows of `a` times rows of `b`, over columns `span` of each.
fn product(a: &[i8], b: &[i8], k: usize, span: core::ops::Range<usize>) -> Vec<i32> {
    let mut out = Vec::with_capacity(a.len() / k * (b.len() / k));
    for a in a.chunks_exact(k) {
        for b in b.chunks_exact(k) {
            let pairs = a[span.clone()].iter().zip(&b[span.clone()]);
            out.push(pairs.map(|(a, b)| i32::from(*a) * i32::from(*b)).sum());
        }
    }
    out
}

/// Whole and ragged tiles of 128×256; from one window to more than twelve, odd and even numbers of
/// them; blocks with one tile, with several, with none.
/// What kernels of the tilings, 128×256 and 128×128, have before the mode in their names.
const TILINGS: [&str; 2] = ["", "128x128_"];

const SHAPES: [([u32; 3], u32); 10] = [
    ([128, 256, 128], 1),
    ([16, 16, 64], 1),
    ([32, 48, 256], 2),
    ([144, 272, 192], 3),
    ([272, 80, 960], 1),
    ([48, 560, 1024], 2),
    ([400, 528, 320], 2),
    ([400, 272, 64], 1),
    ([64, 304, 1664], 5),
    ([2080, 16, 128], 1),
];

/// Every shape in one mode.
fn check(mode: u32) {
    let mut numbers = Numbers::new("hopper");
    for (shape, grid) in SHAPES {
        check_one(&mut numbers, shape, (mode, grid));
    }
}

/// Entries of the whole of int8, seeds of nothing in particular, in every tiling.
fn check_one(numbers: &mut Numbers, shape @ [m, n, k]: [u32; 3], (mode, grid): (u32, u32)) {
    let width = tile("LABORA_CORRECTION ");
    let mut bytes = |len: u32| -> Vec<i8> { (0..len).map(|_| numbers.next() as i8).collect() };
    let (a, b) = (bytes(m * k), bytes(n * k));
    let (left, right) = (bytes(m * width), bytes(n * width));
    let (mut root_a, mut root_b) = (Buffer::of(&[1_u8; 32]), Buffer::of(&[2_u8; 32]));
    let seeds = CARD.seeds(&mut root_a, &mut root_b, &[3; 32], shape);
    let mut operands = Operands {
        a: Buffer::of(&a[..]),
        b: Buffer::of(&b[..]),
        left: Buffer::of(&left[..]),
        right: Buffer::of(&right[..]),
        midstate: Buffer::of(&seeds.bytes()[64..]),
    };
    // About half of the tickets win, where there are not too many for the list.
    let limit = U256::MAX >> (1 + m * n / 65536);
    let expected_c = expected_product([&a, &b, &left, &right], k as usize, mode);
    let expected_tickets = match mode & FOLD {
        0 => Vec::new(),
        _ => winning(&seeds.bytes()[..32], (&a, &b), k as usize, limit),
    };
    assert!(
        expected_tickets.len() <= tile("LABORA_MAX_WINNERS ") as usize,
        "choose a harder target for {shape:?}"
    );
    for tiling in TILINGS {
        let what = format!("{m}×{n}×{k}, mode {tiling}{mode}, {grid} blocks");
        let (c, count, mut tickets) = launch(&mut operands, shape, limit, (tiling, mode, grid));
        tickets.sort();
        let wrong = c
            .iter()
            .zip(&expected_c)
            .position(|(found, expected)| found != expected);
        let place = wrong.map(|at| (at / n as usize, at % n as usize));
        assert_eq!(place, None, "{what}: entry of C");
        assert_eq!(count as usize, expected_tickets.len(), "{what}");
        assert!(tickets == expected_tickets, "{what}: winners");
    }
}

/// C as a mode leaves it: without STORE what the buffer was filled with.
fn expected_product([a, b, left, right]: [&[i8]; 4], k: usize, mode: u32) -> Vec<i32> {
    if mode & STORE == 0 {
        return vec![0x5c5c_5c5c; a.len() / k * (b.len() / k)];
    }
    let mut expected = product(a, b, k, 0..k);
    if mode & CORRECT != 0 {
        let width = tile("LABORA_CORRECTION ") as usize;
        let high = tile("LABORA_CORRECTION_HIGH ") as usize;
        let shares = product(left, right, width, 0..high);
        let rest = product(left, right, width, high..width);
        for ((entry, share), rest) in expected.iter_mut().zip(shares).zip(rest) {
            *entry = entry
                .wrapping_sub(share.wrapping_mul(256))
                .wrapping_sub(rest);
        }
    }
    expected
}

/// The tickets that the target lets through, in order.
fn winning(seed_a: &[u8], (a, b): (&[i8], &[i8]), k: usize, limit: U256) -> Vec<Ticket> {
    let seed_a: Hash = seed_a.try_into().unwrap();
    let mut tickets = Vec::new();
    for (row, a) in (0..).zip(a.chunks_exact(16 * k)) {
        for (column, b) in (0..).zip(b.chunks_exact(16 * k)) {
            let digest = ticket(&seed_a, &tile_state(a, b));
            if U256::from_big_endian(&digest) <= limit {
                tickets.push(Ticket {
                    row,
                    column,
                    digest,
                });
            }
        }
    }
    tickets
}

#[test]
fn fifty_random_shapes_come_out_equal() {
    let mut numbers = Numbers::new("random shapes");
    for round in 0..50 {
        let [m, n] = [20, 24].map(|most| 16 * numbers.within(1, most));
        let k = 64 * numbers.within(1, 18);
        let mode = [FOLD | STORE | CORRECT, FOLD, STORE, FOLD | STORE][round % 4];
        let grid = numbers.within(1, 5);
        check_one(&mut numbers, [m, n, k], (mode, grid));
    }
}

#[test]
fn filler_finds_the_tickets_that_win_and_writes_nothing_else() {
    check(FOLD);
}

#[test]
fn a_plain_product_is_what_loops_say() {
    check(STORE);
}

#[test]
fn a_folded_product_is_stored_uncorrected() {
    check(FOLD | STORE);
}

#[test]
fn a_mined_product_is_corrected_once_its_tickets_are_safe() {
    check(FOLD | STORE | CORRECT);
}

#[test]
fn winners_past_the_end_of_the_list_are_counted_and_dropped() {
    let mut numbers = Numbers::new("many winners");
    let mut operands = Operands {
        a: Buffer::of(&numbers.entries(272 * 64, 127)[..]),
        b: Buffer::of(&numbers.entries(272 * 64, 127)[..]),
        left: Buffer::new(16),
        right: Buffer::new(16),
        midstate: Buffer::of(&[7_u32; 8]),
    };
    for tiling in TILINGS {
        let how = (tiling, FOLD, 2);
        let (_, count, tickets) = launch(&mut operands, [272, 272, 64], U256::MAX, how);
        assert_eq!(count, 17 * 17);
        let mut places: Vec<_> = tickets
            .iter()
            .map(|ticket| (ticket.row, ticket.column))
            .collect();
        places.dedup();
        assert_eq!(places.len(), tile("LABORA_MAX_WINNERS ") as usize);
        assert!(places.iter().all(|(row, column)| *row < 17 && *column < 17));
    }
}

#[test]
fn every_vector_comes_out_equal() {
    let folder = Path::new("../../consensus/pouw/vectors");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read(entry.unwrap().path()).unwrap();
        let vector: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let number = |name: &str| vector[name].as_u64().unwrap() as u32;
        let text = |name: &str| vector[name].as_str().unwrap().to_owned();
        let [m, n, k] = ["m", "n", "k"].map(number);
        let shape = Shape::new(m, n, k).unwrap();
        let (a, bt) = matrices(&text("seed"), shape);
        let mut pre_hash = [0; 32];
        hex::decode_to_slice(text("pre_hash"), &mut pre_hash).unwrap();
        let difficulty = Difficulty::new(U256::from_dec_str(&text("difficulty")).unwrap()).unwrap();

        let (mut a_at, mut b_at) = (Buffer::of(&a[..]), Buffer::of(&bt[..]));
        let mut root_a = CARD.root(CARD.chunks(&mut a_at));
        let mut root_b = CARD.root(CARD.chunks(&mut b_at));
        let mut seeds = CARD.seeds(&mut root_a, &mut root_b, &pre_hash, [m, n, k]);
        let (seed_a, seed_b) = (seeds.at(), seeds.at().wrapping_add(32));
        let mut sparse_a = CARD.sparse(seed_a, k / 64);
        let mut sparse_b = CARD.sparse(seed_b, k / 64);
        let (noised_a, mut dense_a) = CARD.noise(&mut a_at, k, seed_a, &mut sparse_a);
        let (mut noised_b, mut dense_b) = CARD.noise(&mut b_at, k, seed_b, &mut sparse_b);
        let left = CARD.onto(&mut a_at, k, &mut sparse_b, &mut dense_a, 0);
        let right = CARD.onto(&mut noised_b, k, &mut sparse_a, &mut dense_b, 1);
        let midstate = Buffer::of(&seeds.bytes()[64..]);
        let mut operands = Operands {
            a: noised_a,
            b: noised_b,
            left,
            right,
            midstate,
        };
        let name = text("seed");
        for tiling in TILINGS {
            let how = (tiling, FOLD | STORE | CORRECT, 3);
            let (c, _, tickets) = launch(&mut operands, [m, n, k], difficulty.target(k), how);
            assert!(c == multiply(&a, &bt, shape), "{name}: C");
            let bytes: Vec<u8> = c.iter().flat_map(|entry| entry.to_le_bytes()).collect();
            assert_eq!(
                blake3::hash(&bytes).to_hex().to_string(),
                text("product_blake3"),
                "{name}"
            );
            let found: Vec<_> = tickets
                .iter()
                .map(|winner| {
                    serde_json::json!([winner.row, winner.column, hex::encode(winner.digest)])
                })
                .collect();
            assert_eq!(serde_json::Value::from(found), vector["winners"], "{name}");
        }
        seen += 1;
    }
    assert!(seen >= 18, "the vectors are {seen} files");
}
