//! Openings of BLAKE3 trees: complete, unique, total.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use labora_pouw::tree::{CHUNK, open_range, open_range_with, range_root, root, subtree};
use labora_pouw::{Path, Shape};

fn data(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new()
        .update(b"tree")
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

#[test]
fn every_range_of_whole_chunks_opens_to_the_plain_blake3_hash() {
    for chunks in 1..=20 {
        // The last chunk may be short.
        for len in [chunks * CHUNK, chunks * CHUNK - 1, (chunks - 1) * CHUNK + 1] {
            let data = data(len);
            for from in 0..chunks {
                for to in from + 1..=chunks {
                    let (offset, end) = (from * CHUNK, (to * CHUNK).min(len));
                    let path = open_range(&data, offset, end - offset);
                    let opened = range_root(len as u64, offset as u64, &data[offset..end], &path);
                    assert_eq!(opened, Some(root(&data)), "{from}..{to} of {len} bytes");
                }
            }
        }
    }
}

#[test]
fn a_path_with_a_sibling_more_or_less_or_changed_does_not_open() {
    let data = data(13 * CHUNK);
    let path = open_range(&data, 5 * CHUNK, 2 * CHUNK);
    let piece = &data[5 * CHUNK..7 * CHUNK];
    let open = |siblings: Vec<[u8; 32]>| {
        range_root(13 * 1024, 5 * 1024, piece, &Path::new(siblings).unwrap())
    };
    let siblings = path.siblings().to_vec();
    assert_eq!(open(siblings.clone()), Some(root(&data)));
    for i in 0..siblings.len() {
        let mut fewer = siblings.clone();
        fewer.remove(i);
        assert_eq!(open(fewer), None);
        let mut more = siblings.clone();
        more.insert(i, [0; 32]);
        assert_eq!(open(more), None);
        let mut changed = siblings.clone();
        changed[i][0] ^= 1;
        assert_ne!(open(changed), Some(root(&data)));
    }
}

#[test]
fn a_piece_elsewhere_or_of_another_length_does_not_open() {
    let data = data(16 * CHUNK);
    let path = open_range(&data, 4 * CHUNK, 2 * CHUNK);
    let open = |total, offset, piece: &[u8]| range_root(total, offset, piece, &path);
    let piece = &data[4 * CHUNK..6 * CHUNK];
    let good = Some(root(&data));
    assert_eq!(open(16 * 1024, 4 * 1024, piece), good);
    for offset in (0..16).filter(|offset| *offset != 4) {
        assert_ne!(
            open(16 * 1024, offset * 1024, piece),
            good,
            "at chunk {offset}"
        );
    }
    for total in [
        15 * 1024,
        16 * 1024 - 1,
        16 * 1024 + 1,
        17 * 1024,
        32 * 1024,
    ] {
        assert_ne!(
            open(total, 4 * 1024, &data[4 * CHUNK..5 * CHUNK]),
            good,
            "of {total} bytes"
        );
    }
    assert_eq!(open(16 * 1024, 4 * 1024, &piece[..2000]), None);
    assert_eq!(open(16 * 1024, 4 * 1024 + 1, piece), None);
    assert_eq!(open(16 * 1024, 4 * 1024, &[]), None);
}

#[test]
fn no_numbers_make_it_panic() {
    let edges = [
        0,
        1,
        1023,
        1024,
        1025,
        2048,
        1 << 34,
        1 << 42,
        u64::MAX - 1024,
        u64::MAX - 1023,
        u64::MAX,
    ];
    let data = data(3 * CHUNK);
    for total in edges {
        for offset in edges {
            for len in [0, 1, 1024, 2048, 3000, 3072] {
                for siblings in [0, 1, 24, 48] {
                    let path = Path::new(vec![[7; 32]; siblings]).unwrap();
                    let opened = range_root(total, offset, &data[..len], &path);
                    let fits = offset
                        .checked_add(len as u64)
                        .is_some_and(|end| end <= total)
                        && len > 0;
                    assert!(
                        fits || opened.is_none(),
                        "{len} bytes at {offset} of {total}"
                    );
                }
            }
        }
    }
    for (offset, len) in [
        (0, 0),
        (usize::MAX, 1),
        (1, usize::MAX),
        (5000, 10),
        (3072, 1024),
    ] {
        open_range(&data, offset, len);
    }
    open_range(&[], 0, 0);
}

#[test]
fn a_strip_of_the_largest_matrix_has_a_path_within_the_bound() {
    let largest = Shape::new(1 << 20, 32, 16384).unwrap();
    let strip = largest.strip_len() as u64;
    let mut longest = 0;
    // The worst ranges straddle the middle of the tree, or lie just beside it.
    for (total, k) in [
        (largest.a_len(), 16384_u64),
        (((1 << 20) - 16) * 16320, 16320),
    ] {
        let strip = if k == 16384 { strip } else { 16 * k };
        for index in [0, 1, 21845, 32766, 32767, 32768, 43690, 65534] {
            let path = open_range_with(total, index * strip, strip, |_| [0; 32]);
            longest = longest.max(path.siblings().len());
        }
    }
    assert!(longest <= Path::MAX_SIBLINGS, "{longest} siblings");
    assert!(longest > 16, "the case is near the bound, but {longest}");
    let leaf = open_range_with(1 << 42, 1 << 41, 1024, |_| [0; 32]);
    assert_eq!(leaf.siblings().len(), 32);
}

#[test]
fn kept_chaining_values_of_subtrees_serve_an_opening() {
    let data = data(11 * CHUNK);
    let mut asked = Vec::new();
    let path = open_range_with(data.len() as u64, 2 * 1024, 2 * 1024, |chunks| {
        asked.push(chunks.clone());
        let bytes = &data[chunks.start as usize * CHUNK..chunks.end as usize * CHUNK];
        subtree(bytes, chunks.start)
    });
    assert_eq!(asked, [0..2, 4..8, 8..11]);
    assert_eq!(path, open_range(&data, 2 * CHUNK, 2 * CHUNK));
}
