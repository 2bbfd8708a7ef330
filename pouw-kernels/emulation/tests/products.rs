//! The mma product in its four modes against `labora_pouw`, by itself and as the end of a whole mined product.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod card;

use std::path::Path;

use card::{Buffer, Card, MmaTiling, Numbers, ProductArgs, Ticket, new_winners, tile, winners};
use labora_emulation::{LaunchError, Target};
use labora_pouw::reference::{Proved, matrices, multiply, prove, transcripts};
use labora_pouw::transcript::TicketMidstate;
use labora_pouw::{Difficulty, Hash, Shape, U256};

/// A card, and the tile by which it multiplies.
type Way = (Card, MmaTiling);

/// Every tiling on every card.
fn ways() -> impl Iterator<Item = Way> {
    Target::ALL
        .into_iter()
        .flat_map(|target| MmaTiling::ALL.map(|tiling| (Card(target), tiling)))
}

const FOLD: u32 = 1;
const STORE: u32 = 2;
const CORRECT: u32 = 4;
const NOWHERE: *mut u8 = core::ptr::null_mut();

/// A target as big-endian words.
fn target(value: U256) -> Buffer {
    let mut words: Vec<u32> = value
        .0
        .iter()
        .flat_map(|x| [*x as u32, (*x >> 32) as u32])
        .collect();
    words.reverse();
    Buffer::of(&words[..])
}

/// C of `a`·`bt`ᵀ by the plain mode.
fn plain((card, tiling): Way, a: &[i8], bt: &[i8], [m, n, k]: [u32; 3], grid: u32) -> Vec<i32> {
    let (mut a, mut b) = (Buffer::of(a), Buffer::of(bt));
    let mut c = Buffer::new(4 * (m * n) as usize);
    let args = ProductArgs {
        a: a.at(),
        b: b.at(),
        c: c.at(),
        left: NOWHERE,
        right: NOWHERE,
        midstate: NOWHERE,
        target: NOWHERE,
        winners: NOWHERE,
        m,
        n,
        k,
        mode: STORE,
    };
    card.product_mma(tiling, args, grid).unwrap();
    c.i32s()
}

/// What a card makes of one mined product.
struct Mined {
    root_a: Vec<u8>,
    root_b: Vec<u8>,
    seeds: Vec<u8>,
    noised_a: Vec<i8>,
    noised_b: Vec<i8>,
    count: u32,
    winners: Vec<Ticket>,
    product: Option<Vec<i32>>,
}

/// All kernels, one after the other, on `grid` blocks for the product.
fn mine(
    (card, tiling): Way,
    pre_hash: &Hash,
    (a, bt): (&[i8], &[i8]),
    shape: Shape,
    limit: U256,
    (mode, grid): (u32, u32),
) -> Mined {
    let [m, n, k] = [shape.m(), shape.n(), shape.k()];
    let (mut a, mut b) = (Buffer::of(a), Buffer::of(bt));
    let mut root_a = card.root(card.chunks(&mut a));
    let mut root_b = card.root(card.chunks(&mut b));
    let mut seeds = card.seeds(&mut root_a, &mut root_b, pre_hash, [m, n, k]);
    let (seed_a, seed_b) = (seeds.at(), seeds.at().wrapping_add(32));
    let mut sparse_a = card.sparse(seed_a, k / 64);
    let mut sparse_b = card.sparse(seed_b, k / 64);
    let (mut noised_a, mut dense_a) = card.noise(&mut a, k, seed_a, &mut sparse_a);
    let (mut noised_b, mut dense_b) = card.noise(&mut b, k, seed_b, &mut sparse_b);
    let mut left = card.onto(&mut a, k, &mut sparse_b, &mut dense_a, 0);
    let mut right = card.onto(&mut noised_b, k, &mut sparse_a, &mut dense_b, 1);
    let mut c = Buffer::new(4 * (m * n) as usize);
    let mut list = new_winners();
    let mut limit = target(limit);
    let args = ProductArgs {
        a: noised_a.at(),
        b: noised_b.at(),
        c: if mode & STORE == 0 { NOWHERE } else { c.at() },
        left: if mode & CORRECT == 0 {
            NOWHERE
        } else {
            left.at()
        },
        right: if mode & CORRECT == 0 {
            NOWHERE
        } else {
            right.at()
        },
        midstate: seeds.at().wrapping_add(64),
        target: limit.at(),
        winners: list.at(),
        m,
        n,
        k,
        mode,
    };
    card.product_mma(tiling, args, grid).unwrap();
    let (count, winners) = winners(&list);
    Mined {
        root_a: root_a.bytes().to_vec(),
        root_b: root_b.bytes().to_vec(),
        seeds: seeds.bytes()[..64].to_vec(),
        noised_a: noised_a.i8s(),
        noised_b: noised_b.i8s(),
        count,
        winners,
        product: (mode & STORE != 0).then(|| c.i32s()),
    }
}

/// Tickets of all tiles, row by row, that the target lets through.
fn expected_tickets(proved: &Proved, limit: U256) -> Vec<Ticket> {
    let midstate = TicketMidstate::new(&proved.seeds.a);
    let columns = proved.shape.tile_columns();
    (0..)
        .zip(&proved.states)
        .map(|(at, state)| Ticket {
            row: at / columns,
            column: at % columns,
            digest: midstate.ticket(state),
        })
        .filter(|ticket| U256::from_big_endian(&ticket.digest) <= limit)
        .collect()
}

fn check(mined: &Mined, proved: &Proved, limit: U256, mode: u32) {
    assert_eq!(mined.root_a, proved.root_a);
    assert_eq!(mined.root_b, proved.root_b);
    assert_eq!(mined.seeds[..32], proved.seeds.a);
    assert_eq!(mined.seeds[32..], proved.seeds.b);
    assert!(mined.noised_a == proved.noised_a, "A'");
    assert!(mined.noised_b == proved.noised_b, "Bt'");
    let expected = expected_tickets(proved, limit);
    assert_eq!(mined.count as usize, expected.len());
    if expected.len() <= tile("LABORA_MAX_WINNERS") as usize {
        assert_eq!(mined.winners, expected);
    } else {
        assert!(mined.winners.iter().all(|ticket| expected.contains(ticket)));
    }
    if let Some(product) = &mined.product {
        let exact = mode & CORRECT != 0;
        let expected = if exact {
            proved.product.clone()
        } else {
            transcripts(&proved.noised_a, &proved.noised_b, proved.shape).1
        };
        assert!(*product == expected, "the product, exact: {exact}");
    }
}

/// What the reference makes of a product; the difficulty does not matter.
fn reference(pre_hash: &Hash, a: &[i8], bt: &[i8], shape: Shape) -> Proved {
    prove(pre_hash, a, bt, shape, Difficulty::new(U256::MAX).unwrap()).unwrap()
}

#[test]
fn every_vector_comes_out_equal_on_every_target() {
    let folder = Path::new("../../consensus/pouw/vectors");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read(entry.unwrap().path()).unwrap();
        let vector: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let number = |name: &str| vector[name].as_u64().unwrap() as u32;
        let hexed = |name: &str| vector[name].as_str().unwrap().to_owned();
        let shape = Shape::new(number("m"), number("n"), number("k")).unwrap();
        let (a, bt) = matrices(&hexed("seed"), shape);
        let mut pre_hash = [0; 32];
        hex::decode_to_slice(hexed("pre_hash"), &mut pre_hash).unwrap();
        let difficulty =
            Difficulty::new(U256::from_dec_str(&hexed("difficulty")).unwrap()).unwrap();
        let limit = difficulty.target(shape.k());
        for way in ways() {
            let mode = FOLD | STORE | CORRECT;
            let mined = mine(way, &pre_hash, (&a, &bt), shape, limit, (mode, 2));
            let name = hexed("seed");
            assert_eq!(hex::encode(&mined.root_a), hexed("root_a"), "{name}");
            assert_eq!(hex::encode(&mined.root_b), hexed("root_b"), "{name}");
            assert_eq!(hex::encode(&mined.seeds[..32]), hexed("seed_a"), "{name}");
            assert_eq!(hex::encode(&mined.seeds[32..]), hexed("seed_b"), "{name}");
            let hash = |entries: &[i8]| {
                let bytes: Vec<u8> = entries.iter().map(|entry| *entry as u8).collect();
                blake3::hash(&bytes).to_hex().to_string()
            };
            assert_eq!(hash(&mined.noised_a), hexed("noised_a_blake3"), "{name}");
            assert_eq!(hash(&mined.noised_b), hexed("noised_b_blake3"), "{name}");
            let product: Vec<u8> = mined
                .product
                .unwrap()
                .iter()
                .flat_map(|entry| entry.to_le_bytes())
                .collect();
            assert_eq!(
                blake3::hash(&product).to_hex().to_string(),
                hexed("product_blake3"),
                "{name}"
            );
            let winners: Vec<serde_json::Value> = mined
                .winners
                .iter()
                .map(|winner| {
                    serde_json::json!([winner.row, winner.column, hex::encode(winner.digest)])
                })
                .collect();
            assert!(mined.count <= tile("LABORA_MAX_WINNERS"), "{name}");
            assert_eq!(
                serde_json::Value::from(winners),
                vector["winners"],
                "{name}"
            );
        }
        seen += 1;
    }
    assert!(seen >= 18, "the vectors are {seen} files");
}

#[test]
fn fifty_random_shapes_come_out_equal_with_all_their_tickets() {
    let mut numbers = Numbers::new("random shapes");
    for round in 0..50 {
        let shape = Shape::new(
            16 * numbers.within(2, 20),
            16 * numbers.within(2, 24),
            64 * numbers.within(4, 18),
        )
        .unwrap();
        let a = numbers.entries(shape.a_len() as usize, 63);
        let bt = numbers.entries(shape.b_len() as usize, 63);
        let pre_hash = numbers.hash();
        let proved = reference(&pre_hash, &a, &bt, shape);
        // Every tile wins, or one in four.
        let limit = if round % 2 == 0 {
            U256::MAX
        } else {
            U256::MAX >> 2
        };
        let grid = numbers.within(1, 5);
        let mode = [FOLD | STORE | CORRECT, FOLD, FOLD | STORE][round % 3];
        let card = Card(Target::ALL[round / 3 % 2]);
        println!("{card:?} {shape:?} mode {mode} grid {grid}");
        for tiling in MmaTiling::ALL {
            let way = (card, tiling);
            let mined = mine(way, &pre_hash, (&a, &bt), shape, limit, (mode, grid));
            check(&mined, &proved, limit, mode);
        }
    }
}

#[test]
fn every_mode_is_right_on_every_target() {
    let mut numbers = Numbers::new("modes");
    // Ragged on both sides, an odd number of windows, more than one tile a side.
    let shape = Shape::new(144, 272, 832).unwrap();
    let a = numbers.entries(shape.a_len() as usize, 63);
    let bt = numbers.entries(shape.b_len() as usize, 63);
    let proved = reference(&[3; 32], &a, &bt, shape);
    for way in ways() {
        for mode in [FOLD, FOLD | STORE, FOLD | STORE | CORRECT] {
            let mined = mine(way, &[3; 32], (&a, &bt), shape, U256::MAX, (mode, 3));
            check(&mined, &proved, U256::MAX, mode);
        }
        let dimensions = [shape.m(), shape.n(), shape.k()];
        assert!(plain(way, &a, &bt, dimensions, 3) == multiply(&a, &bt, shape));
    }
}

#[test]
fn a_plain_product_takes_the_whole_range_of_int8_and_small_shapes() {
    let mut numbers = Numbers::new("plain");
    for way in ways() {
        for dimensions in [
            [16, 16, 64],
            [16, 512, 128],
            [272, 16, 192],
            [128, 256, 64],
            [48, 304, 1984],
        ] {
            let [m, n, k] = dimensions.map(|x| x as usize);
            let a: Vec<i8> = (0..m * k).map(|_| numbers.next() as i8).collect();
            let mut bt: Vec<i8> = (0..n * k).map(|_| numbers.next() as i8).collect();
            bt[..k].fill(-128);
            let expected: Vec<i32> = a
                .chunks(k)
                .flat_map(|row| bt.chunks(k).map(move |column| (row, column)))
                .map(|(row, column)| {
                    row.iter()
                        .zip(column)
                        .map(|(x, y)| i32::from(*x) * i32::from(*y))
                        .sum()
                })
                .collect();
            assert!(
                plain(way, &a, &bt, dimensions, 2) == expected,
                "{dimensions:?}"
            );
        }
    }
}

#[test]
fn the_largest_entries_at_the_longest_k_do_not_overflow_a_limb() {
    let shape = Shape::new(32, 32, 16384).unwrap();
    let a = vec![63; shape.a_len() as usize];
    let bt: Vec<i8> = (0..shape.b_len())
        .map(|at| if at / 16384 % 2 == 0 { 63 } else { -63 })
        .collect();
    let proved = reference(&[9; 32], &a, &bt, shape);
    for way in ways() {
        let mode = FOLD | STORE | CORRECT;
        let mined = mine(way, &[9; 32], (&a, &bt), shape, U256::MAX, (mode, 1));
        check(&mined, &proved, U256::MAX, mode);
        assert_eq!(mined.product.unwrap(), multiply(&a, &bt, shape));
    }
}

#[test]
fn tiles_past_a_band_of_the_walk_and_winners_past_the_list_are_counted() {
    // 2,096 rows: more than are walked together.
    let shape = Shape::new(16 * 128 + 48, 288, 256).unwrap();
    let mut numbers = Numbers::new("walk");
    let a = numbers.entries(shape.a_len() as usize, 63);
    let bt = numbers.entries(shape.b_len() as usize, 63);
    let proved = reference(&[4; 32], &a, &bt, shape);
    let mode = FOLD | STORE | CORRECT;
    for tiling in MmaTiling::ALL {
        let way = (Card(Target::Hopper), tiling);
        let mined = mine(way, &[4; 32], (&a, &bt), shape, U256::MAX, (mode, 5));
        assert!(mined.count > tile("LABORA_MAX_WINNERS"));
        check(&mined, &proved, U256::MAX, mode);
    }
}

#[test]
fn a_launch_with_too_little_shared_memory_is_a_fault() {
    for (card, tiling) in ways() {
        let (mut a, mut b, mut c) = (
            Buffer::new(16 * 64),
            Buffer::new(16 * 64),
            Buffer::new(1024),
        );
        let args = ProductArgs {
            a: a.at(),
            b: b.at(),
            c: c.at(),
            left: NOWHERE,
            right: NOWHERE,
            midstate: NOWHERE,
            target: NOWHERE,
            winners: NOWHERE,
            m: 16,
            n: 16,
            k: 64,
            mode: STORE,
        };
        let refused = card.product_mma_with(tiling, args, 1, 10_000).unwrap_err();
        assert!(matches!(refused, LaunchError::Fault { .. }), "{refused}");
    }
}
