//! One block's proof checked on one core, and where the time goes.
#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use labora_pouw::noise::{add_noise, sparse_factor};
use labora_pouw::reference::{matrices, prove};
use labora_pouw::transcript::tile_state;
use labora_pouw::{Difficulty, Shape, TILE, U256, tree, verify};

fn benches(c: &mut Criterion) {
    for k in [1024, 4096, 16384] {
        let shape = Shape::new(256, 256, k).expect("a valid shape");
        let (a, bt) = matrices("bench", shape);
        let difficulty = Difficulty::new(U256::one()).expect("not zero");
        let pre_hash = [7; 32];
        let proved = prove(&pre_hash, &a, &bt, shape, difficulty).expect("made to the shape");
        let winner = proved
            .winners
            .last()
            .expect("at difficulty 1 every tile wins");
        let (seal, proof) = (&winner.seal, &winner.proof);
        c.bench_function(&format!("pouw::verify/k={k}"), |b| {
            b.iter(|| {
                verify(
                    black_box(&pre_hash),
                    black_box(seal),
                    black_box(proof),
                    difficulty,
                )
                .expect("valid")
            })
        });
        let strip = &proof.a;
        c.bench_function(&format!("pouw::tree::range_root/k={k}"), |b| {
            b.iter(|| tree::range_root(shape.a_len(), 0, black_box(strip.bytes()), &proof.a_path))
        });
        c.bench_function(&format!("pouw::noise::sparse_factor/k={k}"), |b| {
            b.iter(|| sparse_factor(black_box(&proved.seeds.a), k as usize))
        });
        let factor = sparse_factor(&proved.seeds.a, k as usize);
        c.bench_function(&format!("pouw::noise::add_noise/k={k}"), |b| {
            b.iter(|| add_noise(black_box(strip.entries()), &proved.seeds.a, &factor, 0))
        });
        let len = TILE * k as usize;
        c.bench_function(&format!("pouw::transcript::tile_state/k={k}"), |b| {
            b.iter(|| {
                tile_state(
                    black_box(&proved.noised_a[..len]),
                    black_box(&proved.noised_b[..len]),
                )
            })
        });
    }
}

criterion_group!(verification, benches);
criterion_main!(verification);
