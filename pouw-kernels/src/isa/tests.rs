//! Every path that this machine has, against the protocol's reference.

use labora_pouw::noise::{self, sparse_factor};
use labora_pouw::{Hash, RANK, Shape, TILE, reference};
use zerocopy::IntoBytes;

use super::{Isa, Rows};
use crate::layout::{Buffer, Call, Entries, MAX_SUMMED_WINDOWS, Out, State, WINDOW, panel_bytes};
use crate::noise::Sparse;

/// The paths to be tested; prints which those are.
fn paths() -> Vec<Isa> {
    let paths = Isa::available();
    println!(
        "instruction sets run: {}",
        paths
            .iter()
            .map(Isa::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    );
    paths
}

/// Transcripts (tiles row by row) and product of two matrices, without noise, `together` panels a call.
fn product(
    isa: Isa,
    entries: Entries,
    a: &[i8],
    bt: &[i8],
    k: usize,
    together: usize,
    fold: bool,
) -> (Vec<State>, Vec<i32>) {
    let (strips, panels) = (a.len() / (TILE * k), bt.len() / (TILE * k));
    let (mut left, mut right) = (Buffer::default(), Buffer::default());
    left.resize(isa.strip_bytes(entries, k));
    right.resize(panels * panel_bytes(k));
    for (rows, to) in bt
        .chunks_exact(TILE * k)
        .zip(right.bytes_mut().chunks_exact_mut(panel_bytes(k)))
    {
        isa.pack_panel(entries, Rows::new(rows, k, k), to);
    }
    let mut states = vec![[0; 12]; strips * panels];
    // C starts anywhere within a cache line, and what lies around it must stay as it is.
    let (skew, len) = (
        (k / WINDOW + 5 * panels + together) % TILE,
        strips * panels * TILE * TILE,
    );
    let mut c = vec![0x5a5a_5a5a; skew + len + TILE];
    for strip in 0..strips {
        isa.pack_strip(
            entries,
            Rows::new(&a[strip * TILE * k..][..TILE * k], k, k),
            left.bytes_mut(),
        );
        for first in (0..panels).step_by(together) {
            let count = together.min(panels - first);
            let call = Call {
                k,
                a: left.bytes(),
                b: &right.bytes()[first * panel_bytes(k)..][..count * panel_bytes(k)],
                panels: count,
                fix: None,
                out: Some(Out {
                    first: c[skew + (strip * panels * TILE + first) * TILE..].as_mut_ptr(),
                    stride: panels * TILE,
                }),
            };
            let states = &mut states[strip * panels + first..][..count];
            // SAFETY: the output is 16 rows of 16·count entries of `c`, which nothing else touches.
            unsafe { isa.multiply(entries, &call, fold.then_some(states)) };
        }
    }
    let around = c[..skew].iter().chain(&c[skew + len..]);
    assert!(
        around.into_iter().all(|&entry| entry == 0x5a5a_5a5a),
        "{isa} writes beside C"
    );
    (states, c[skew..skew + len].to_vec())
}

fn check(isa: Isa, entries: Entries, a: &[i8], bt: &[i8], shape: Shape, what: &str) {
    let (states, c) = reference::transcripts(a, bt, shape);
    for together in 1..=isa.panels() {
        let got = product(isa, entries, a, bt, shape.k() as usize, together, true);
        assert!(
            got.0 == states,
            "{isa}, {entries:?}, {together} panels: transcripts of {what} {shape:?}"
        );
        assert!(
            got.1 == c,
            "{isa}, {entries:?}, {together} panels: product of {what} {shape:?}"
        );
        let got = product(isa, entries, a, bt, shape.k() as usize, together, false);
        assert!(
            got.1 == c,
            "{isa}, {entries:?}, {together} panels: product without fold of {what} {shape:?}"
        );
    }
}

/// Entries within ±`limit`, from a seed.
fn draw(seed: u64, limit: i16, len: usize) -> Vec<i8> {
    let mut bytes = vec![0; 2 * len];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut bytes);
    let entry = |two: &[u8]| {
        (i32::from(u16::from_le_bytes([two[0], two[1]])) % (2 * i32::from(limit) + 1)) as i16
            - limit
    };
    bytes.chunks_exact(2).map(|two| entry(two) as i8).collect()
}

fn noised(isa: Isa, rows: &[i8], seed: &Hash, k: usize) -> Vec<i8> {
    let (sparse, mut out, mut dense) = (Sparse::new(seed, k), Vec::new(), [0; TILE * RANK]);
    for (index, rows) in rows.chunks_exact(TILE * k).enumerate() {
        // A stride of its own: what lies between the rows must stay as it is.
        let mut to = vec![77; TILE * (k + 64)];
        noise::dense_factor(seed, (index * TILE) as u64, TILE, &mut dense);
        isa.add_noise(Rows::new(rows, k, k), &dense, &sparse, &mut to, k + 64);
        for row in to.chunks_exact(k + 64) {
            out.extend_from_slice(&row[..k]);
            assert!(row[k..].iter().all(|&entry| entry == 77));
        }
    }
    out
}

#[test]
fn every_path_gives_the_noise_the_transcripts_and_the_products_of_the_vectors() {
    let paths = paths();
    let folder = "../consensus/pouw/vectors";
    let mut files = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let vector: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let number = |name: &str| vector[name].as_u64().unwrap() as u32;
        let hash = |name: &str| -> Hash {
            hex::decode(vector[name].as_str().unwrap())
                .unwrap()
                .try_into()
                .unwrap()
        };
        let shape = Shape::new(number("m"), number("n"), number("k")).unwrap();
        let (a, bt) = reference::matrices(vector["seed"].as_str().unwrap(), shape);
        let k = shape.k() as usize;
        for &isa in &paths {
            let (a, bt) = (
                noised(isa, &a, &hash("seed_a"), k),
                noised(isa, &bt, &hash("seed_b"), k),
            );
            assert_eq!(
                blake3::hash(a.as_bytes()),
                hash("noised_a_blake3"),
                "{isa}, {}",
                path.display()
            );
            assert_eq!(
                blake3::hash(bt.as_bytes()),
                hash("noised_b_blake3"),
                "{isa}, {}",
                path.display()
            );
            let (states, _) = product(isa, Entries::Full, &a, &bt, k, isa.panels(), true);
            let bytes: Vec<u8> = states
                .as_flattened()
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect();
            assert_eq!(
                blake3::hash(&bytes),
                hash("transcripts_blake3"),
                "{isa}, {}",
                path.display()
            );
        }
        files += 1;
    }
    assert!(files >= 8, "vectors are missing: found {files}");
}

#[test]
fn random_products_have_the_references_transcripts() {
    let paths = paths();
    for case in 0..60_u64 {
        let dice = draw(case, 63, 3)
            .into_iter()
            .map(|x| u32::from(x.unsigned_abs()))
            .collect::<Vec<_>>();
        let shape = Shape::new(
            32 + dice[0] % 5 * 16,
            32 + dice[1] % 8 * 16,
            256 + dice[2] % 16 * 64,
        )
        .unwrap();
        for (entries, limit) in [(Entries::Narrow, 63), (Entries::Full, 127)] {
            let a = draw(1000 + case, limit, shape.a_len() as usize);
            let bt = draw(2000 + case, limit, shape.b_len() as usize);
            for &isa in &paths {
                check(isa, entries, &a, &bt, shape, &format!("case {case}"));
            }
        }
    }
}

#[test]
fn entries_at_the_ends_of_their_range_saturate_nothing() {
    let shape = Shape::new(32, 64, 512).unwrap();
    for isa in paths() {
        for (entries, limit) in [(Entries::Narrow, 63_i8), (Entries::Full, 127)] {
            for (x, y) in [
                (limit, limit),
                (limit, -limit),
                (-limit, limit),
                (-limit, -limit),
            ] {
                let (a, bt) = (
                    vec![x; shape.a_len() as usize],
                    vec![y; shape.b_len() as usize],
                );
                check(isa, entries, &a, &bt, shape, &format!("{x} and {y}"));
            }
            let ends = |seed, len: u64| -> Vec<i8> {
                draw(seed, 1, len as usize)
                    .into_iter()
                    .map(|sign| if sign < 0 { -limit } else { limit })
                    .collect()
            };
            check(
                isa,
                entries,
                &ends(1, shape.a_len()),
                &ends(2, shape.b_len()),
                shape,
                "ends",
            );
        }
    }
}

/// Sixteen rows times the transposed sparse factor, by definition.
fn sums(rows: &[i8], seed: &Hash, k: usize, windows: std::ops::Range<usize>) -> Vec<i16> {
    let factor = sparse_factor(seed, k);
    let mut sums = vec![0_i16; TILE * RANK];
    for r in 0..TILE {
        for c in windows.start * RANK..windows.end * RANK {
            let x = i16::from(rows[r * k + c]);
            sums[r * RANK + usize::from(factor.p[c])] += x;
            sums[r * RANK + usize::from(factor.q[c])] += x * i16::from(factor.s[c]);
        }
    }
    sums
}

#[test]
fn factor_sums_are_right_up_to_the_largest() {
    let seed = [9; 32];
    for isa in paths() {
        for (k, limit, first, windows) in [
            (256, 127, 0, 4),
            (4096, 127, 0, 64),
            (16384, 127, 128, MAX_SUMMED_WINDOWS),
            (16384, 63, 0, 256),
        ] {
            let sparse = Sparse::new(&seed, k);
            let factor = sparse_factor(&seed, k);
            // Rows that draw each sum to its end, for the sums that take every column with a plus; and drawn ones.
            let worst: Vec<i8> = (0..TILE * k).map(|at| factor.s[at % k] * limit).collect();
            for rows in [
                draw(3, limit.into(), TILE * k),
                worst,
                vec![limit; TILE * k],
                vec![-limit; TILE * k],
            ] {
                let mut to = [1; TILE * RANK];
                isa.onto_factor(
                    Rows::new(&rows, k, k),
                    &sparse,
                    first..first + windows,
                    &mut to,
                );
                assert_eq!(
                    to.as_slice(),
                    sums(&rows, &seed, k, first..first + windows),
                    "{isa}, k {k}, ±{limit}"
                );
            }
        }
    }
}
