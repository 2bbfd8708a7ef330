//! What an audit costs beside the product that it checks, on one thread: Freivalds' check, the drawing of its vector, and the
//! commitment to its answer, as medians of rounds in which all run in turn. `cargo bench -p labora-kernels --bench freivalds`.
//!
//! `LABORA_BENCH_SIDE` (4096) and `LABORA_BENCH_ROUNDS` (9) set what is measured.
#![allow(missing_docs, clippy::unwrap_used)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use labora_kernels::{
    Isa,
    bench::{Kind, Rig, wall},
    freivalds::check,
};
use labora_pouw::{
    Shape,
    freivalds::{self, Verdict, challenge, commitment},
};

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn timed<T>(times: &mut Vec<Duration>, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let made = black_box(work());
    times.push(start.elapsed());
    made
}

fn number(name: &str, default: u32) -> u32 {
    let value = std::env::var(name).ok();
    value
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

fn main() {
    // `cargo bench` passes `--bench`; `cargo test --benches` does not, and must not take minutes.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (side, rounds) = (
        number("LABORA_BENCH_SIDE", 4096),
        number("LABORA_BENCH_ROUNDS", 9),
    );
    let shape = Shape::new(side, side, side).unwrap();
    let isas: Vec<Isa> = Isa::available()
        .into_iter()
        .filter(|isa| *isa != Isa::portable())
        .collect();
    let mut rigs: Vec<Rig> = isas
        .iter()
        .map(|isa| Rig::new(1, *isa, shape, wall).unwrap())
        .collect();
    let entry = |at: usize| (at.wrapping_mul(2_654_435_761) >> 7) as i8;
    let a: Vec<i8> = (0..shape.a_len() as usize).map(entry).collect();
    let bt: Vec<i8> = (0..shape.b_len() as usize)
        .map(|at| entry(at + 99))
        .collect();
    // Its values take no part in how long the check takes; that zeros are right only for the zero matrix does.
    let c = vec![0x1234_5678_i32; shape.c_len() as usize / 4];
    let mut products = vec![Vec::new(); isas.len()];
    let [mut vectors, mut checks, mut answers, mut plain] = [(); 4].map(|()| Vec::new());
    for _ in 0..=rounds {
        for (rig, times) in rigs.iter_mut().zip(&mut products) {
            times.push(rig.run(Kind::Plain8).unwrap());
        }
        let r = timed(&mut vectors, || challenge(&[7; 32], &[9; 32], shape.n()));
        let found = timed(&mut checks, || check(shape, &a, &bt, &c, &r).unwrap());
        assert_ne!(found.verdict, Verdict::Holds);
        timed(&mut answers, || commitment(&found.product_times_r));
        let same = timed(&mut plain, || {
            freivalds::check(shape, &a, &bt, &c, &r).unwrap()
        });
        assert_eq!(same, found.verdict);
    }
    let all = [vectors, checks, answers, plain];
    let [vector, check, answer, plain] =
        all.map(|mut times| median(&mut times[1..]).as_secs_f64() * 1e3);
    println!("{side}³, one thread, medians of {rounds} rounds");
    println!(
        "  vector {vector:.2} ms, check {check:.2} ms (as the protocol has it {plain:.2} ms), commitment {answer:.2} ms"
    );
    for (isa, mut times) in isas.iter().zip(products) {
        let product = median(&mut times[1..]).as_secs_f64() * 1e3;
        println!(
            "  product by {isa}: {product:.1} ms; all three are {:.4} of it",
            (vector + check + answer) / product
        );
    }
}
