//! Times of single kinds of products, by instruction set: `cargo bench -p labora-kernels --bench products`.
//! For ratios, which is what counts on a machine that does other things too, see `ratios`.
#![allow(missing_docs, clippy::unwrap_used)]

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use labora_kernels::Isa;
use labora_kernels::bench::{Kind, Rig, wall};
use labora_pouw::Shape;

fn products(criterion: &mut Criterion) {
    for isa in Isa::available() {
        // Plain Rust is a fallback and not tuned: a smaller product says as much in less time.
        let side = if isa == Isa::portable() { 512 } else { 2048 };
        let shape = Shape::new(side, side, side).unwrap();
        let mut rig = Rig::new(1, isa, shape, wall).unwrap();
        for kind in Kind::ALL {
            let mut group = criterion.benchmark_group(kind.name());
            group
                .sample_size(10)
                .throughput(Throughput::Elements(shape.macs()));
            group.bench_function(format!("{side}/isa={isa}"), |bencher| {
                bencher.iter_custom(|count| {
                    (0..count).map(|_| rig.run(kind).unwrap()).sum::<Duration>()
                });
            });
        }
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
