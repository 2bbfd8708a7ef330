//! What it takes to keep a matrix and to read it, in files as the store does, and in RocksDB in pieces of a group: the peer that the
//! node has anyway. Both sync what they write.
//!
//! `LABORA_BENCH_MIB` is the size, 256 by default; docs/benchmarks.md has figures of 1,024.

#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::{hint::black_box, path::Path, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use labora_artifacts::{GROUP_BYTES, Limits, Root, Store};
use rocksdb::{DB, Options, WriteBatch, WriteOptions};

fn bytes() -> Vec<u8> {
    let mib = std::env::var("LABORA_BENCH_MIB").ok();
    let mib = mib.and_then(|mib| mib.parse().ok()).unwrap_or(256usize);
    let mut bytes = vec![0; mib << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

fn store(folder: &Path) -> Store {
    let limits = Limits {
        bytes: 1 << 40,
        artifacts: 1_000,
    };
    Store::open(folder, limits).expect("a folder")
}

fn database(folder: &Path) -> DB {
    let mut options = Options::default();
    options.create_if_missing(true);
    // Matrices of random bytes do not get smaller.
    options.set_compression_type(rocksdb::DBCompressionType::None);
    DB::open(&options, folder).expect("a folder")
}

/// A key: nothing but the number, since there is one matrix.
fn key(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// Pieces of a group under their number, a batch of 16 MiB at a time.
fn put_in_database(database: &DB, bytes: &[u8]) -> Root {
    let mut hasher = blake3::Hasher::new();
    let mut number = 0;
    for batch in bytes.chunks(16 << 20) {
        let mut pieces = WriteBatch::default();
        for piece in batch.chunks(GROUP_BYTES as usize) {
            hasher.update(piece);
            pieces.put(key(number), piece);
            number += 1;
        }
        database.write(pieces).expect("the disk has room");
    }
    let mut sync = WriteOptions::default();
    sync.set_sync(true);
    let root: Root = hasher.finalize().into();
    let named = database.put_opt(b"root", root, &sync);
    named.expect("the disk has room");
    root
}

fn keep(criterion: &mut Criterion) {
    let bytes = bytes();
    let mut group = criterion.benchmark_group("keep");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(20));
    group.bench_function("files", |bencher| {
        let folder = tempfile::tempdir().expect("a folder");
        let store = store(folder.path());
        bencher.iter(|| {
            let put = store.put(&bytes[..], bytes.len() as u64, None);
            let root = put.expect("there is room");
            store.remove(&root).expect("it is there");
        });
    });
    group.bench_function("rocksdb", |bencher| {
        let folder = tempfile::tempdir().expect("a folder");
        let database = database(folder.path());
        bencher.iter(|| {
            put_in_database(&database, &bytes);
            let cleared = database.delete_file_in_range(key(0), key(u64::MAX));
            cleared.expect("the disk is fine");
        });
    });
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let bytes = bytes();
    let mut group = criterion.benchmark_group("read");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(10));
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder.path().join("files"));
    let root = store.put(&bytes[..], bytes.len() as u64, None);
    let root = root.expect("there is room");
    let mut buffer = vec![0; GROUP_BYTES as usize];
    group.bench_function("files", |bencher| {
        bencher.iter(|| {
            let artifact = store.get(&root).expect("it is there");
            let mut at = 0;
            while at < artifact.bytes() {
                let read = artifact.read_at(&mut buffer, at).expect("the disk is fine");
                at += black_box(read) as u64;
            }
        });
    });
    group.bench_function("files, verified and encoded", |bencher| {
        bencher.iter(|| {
            let artifact = store.get(&root).expect("it is there");
            let encoded = artifact.encode(0..artifact.bytes(), std::io::sink());
            encoded.expect("it is as it was");
        });
    });
    let database = database(&folder.path().join("rocksdb"));
    put_in_database(&database, &bytes);
    let pieces = bytes.len() as u64 / GROUP_BYTES;
    group.bench_function("rocksdb", |bencher| {
        bencher.iter(|| {
            for number in 0..pieces {
                let piece = database.get_pinned(key(number)).expect("the disk is fine");
                black_box(piece.map(|piece| piece.len()));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, keep, read);
criterion_main!(benches);
