//! What a mined product takes beside its kernel, each part alone: commitments, noise, the correction's operands, copies.

use std::time::Duration;

use labora_pouw::Shape;

use super::{Prepared, duration, median, timed};
use crate::cuda::driver::{Address, Copied, Driver, Event, Fault, Stream};
use crate::cuda::kernels::{
    self, Bound, CORRECTION, Launch, Noising, Onto, SEEDS_BYTES, SPARSE_BYTES, Side, TREE_VALUES,
};

/// Bytes of one copy, as the device makes them.
const PIECE_BYTES: usize = 8 << 20;

/// Median times of the parts of a product of which nothing is known before.
#[derive(Clone, Copy, Debug, Default)]
pub struct GpuParts {
    /// A and Bt to the device, from memory that it can read.
    pub upload: Duration,
    /// Roots of A and Bt.
    pub commit: Duration,
    /// Seeds, and A and Bt with their noise.
    pub noise: Duration,
    /// Both operands of the correction.
    pub operands: Duration,
    /// C from the device.
    pub download: Duration,
}

/// Where the parts work, within one allocation.
pub(super) struct Scratch {
    values: [Address; 2],
    seeds: Address,
    sparse: Address,
    dense: Address,
}

impl Scratch {
    /// Its bytes.
    pub(super) fn bytes(shape: Shape) -> u64 {
        Self::at(0, shape).1
    }

    /// From an address on that is aligned to 256, and where it ends.
    pub(super) fn at(start: Address, shape: Shape) -> (Scratch, Address) {
        let largest = shape.a_len().max(shape.b_len());
        let rows = u64::from(shape.m().max(shape.n()));
        let mut end = start;
        let mut take = |bytes: u64| {
            let at = end;
            end = (end + bytes).next_multiple_of(256);
            at
        };
        let chunks = largest.div_ceil(1024);
        let scratch = Scratch {
            values: [
                take(32 * chunks),
                take(32 * chunks.div_ceil(u64::from(TREE_VALUES))),
            ],
            // The header's hash and the roots lie before the seeds.
            seeds: take(96 + SEEDS_BYTES) + 96,
            sparse: take(u64::from(shape.k() / 64) * SPARSE_BYTES),
            dense: take(rows * 64),
        };
        (scratch, end)
    }
}

/// Measures each part `rounds` times.
pub(super) fn measure(
    driver: &mut dyn Driver,
    shape: Shape,
    at: &Prepared,
    rounds: usize,
) -> Result<GpuParts, Fault> {
    let events = (driver.event()?, driver.event()?);
    let [commit, noise, operands] = [commitments(shape, at), noises(shape, at), sides(shape, at)]
        .map(|launches| {
            medians(rounds, || {
                timed(driver, events, 1, |driver| {
                    launches.iter().try_for_each(|launch| driver.launch(launch))
                })
            })
        });
    let operand_bytes = shape.a_len() + shape.b_len();
    let c_bytes = 4 * u64::from(shape.m()) * u64::from(shape.n());
    // Within C: every piece goes to the same place.
    let piece = PIECE_BYTES.min(operand_bytes.min(c_bytes) as usize);
    let host = driver.pin(piece)?;
    let one = |stream| Copied {
        stream,
        host,
        offset: 0,
        device: at.product.c,
        bytes: piece,
    };
    let [upload, download] = [(Stream::Up, operand_bytes), (Stream::Down, c_bytes)]
        .map(|(stream, bytes)| medians(rounds, || copied(driver, events, one(stream), bytes)));
    Ok(GpuParts {
        upload: upload?,
        commit: commit?,
        noise: noise?,
        operands: operands?,
        download: download?,
    })
}

/// The median of some measurements; one before them warms up.
fn medians(rounds: usize, mut one: impl FnMut() -> Result<f32, Fault>) -> Result<Duration, Fault> {
    one()?;
    let mut times = (0..rounds.max(1))
        .map(|_| one())
        .collect::<Result<Vec<_>, _>>()?;
    Ok(duration(median(&mut times).unwrap_or(f32::INFINITY)))
}

/// Chunks and trees of both matrices.
fn commitments(shape: Shape, at: &Prepared) -> Vec<Launch> {
    let mut launches = Vec::new();
    for bytes in [shape.a_len(), shape.b_len()] {
        let [mut from, mut to] = at.scratch.values;
        launches.push(kernels::chunks(at.plain, bytes, from));
        let mut count = bytes.div_ceil(1024) as u32;
        while count > TREE_VALUES {
            launches.push(kernels::tree(from, to, count));
            count = count.div_ceil(TREE_VALUES);
            std::mem::swap(&mut from, &mut to);
        }
        launches.push(kernels::tree(from, at.scratch.seeds - 96, count));
    }
    launches
}

/// From roots to noised operands.
fn noises(shape: Shape, at: &Prepared) -> Vec<Launch> {
    let Scratch {
        seeds,
        sparse,
        dense,
        ..
    } = at.scratch;
    let bound = Bound {
        root_a: seeds - 96,
        root_b: seeds - 64,
        pre_hash: seeds - 32,
        m: shape.m(),
        n: shape.n(),
        k: shape.k(),
    };
    let mut launches = vec![kernels::seeds(&bound, seeds)];
    for (to, rows) in [(at.product.a, shape.m()), (at.product.b, shape.n())] {
        launches.push(kernels::sparse(seeds, shape.k(), sparse));
        launches.push(kernels::noise(&Noising {
            from: at.plain,
            to,
            rows,
            k: shape.k(),
            seed: seeds,
            sparse,
            dense,
        }));
    }
    launches
}

/// The correction's operands.
fn sides(shape: Shape, at: &Prepared) -> Vec<Launch> {
    let onto = |from, rows, side, to| {
        kernels::onto(&Onto {
            from,
            rows,
            k: shape.k(),
            sparse: at.scratch.sparse,
            dense: at.scratch.dense,
            side,
            to,
        })
    };
    let product = &at.product;
    vec![
        onto(at.plain, shape.m(), Side::Left, product.left),
        onto(product.b, shape.n(), Side::Right, product.right),
    ]
}

/// Milliseconds of copying so many bytes by pieces like this.
fn copied(
    driver: &mut dyn Driver,
    (from, to): (Event, Event),
    piece: Copied,
    bytes: u64,
) -> Result<f32, Fault> {
    driver.record(from, piece.stream)?;
    let mut left = bytes as usize;
    while left > 0 {
        let bytes = piece.bytes.min(left);
        let copy = Copied { bytes, ..piece };
        match piece.stream {
            Stream::Down => driver.download(copy)?,
            Stream::Up | Stream::Compute => driver.upload(copy)?,
        }
        left -= bytes;
    }
    driver.record(to, piece.stream)?;
    driver.finish(to)?;
    driver.elapsed_ms(from, to)
}

/// Bytes of C and of the correction's operands, which come before the scratch.
pub(super) fn results_bytes(shape: Shape) -> [u64; 3] {
    let (m, n) = (u64::from(shape.m()), u64::from(shape.n()));
    [
        4 * m * n,
        m * u64::from(CORRECTION),
        n * u64::from(CORRECTION),
    ]
    .map(|bytes| bytes.next_multiple_of(256))
}
