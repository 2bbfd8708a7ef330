use std::fs;

use labora_pouw::{TILE, fraud::tile_major, reference::multiply};
use proptest::prelude::*;

use super::{npy::*, *};

/// A file as NumPy writes it.
fn file(version: u8, header: &str, entries: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY".to_vec();
    bytes.extend([version, 0]);
    match version {
        1 => bytes.extend((header.len() as u16).to_le_bytes()),
        _ => bytes.extend((header.len() as u32).to_le_bytes()),
    }
    bytes.extend(header.as_bytes());
    bytes.extend(entries);
    bytes
}

fn int8(shape: &str, order: &str) -> String {
    format!("{{'descr': '|i1', 'fortran_order': {order}, 'shape': {shape}, }}   \n")
}

fn read(name: &str, bytes: &[u8], columns: Option<u32>) -> Result<Matrix, MatrixFileError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("written");
    Matrix::read(&path, RawShape { columns })
}

#[test]
fn what_numpy_writes_is_read() {
    let expected = Matrix {
        rows: 2,
        columns: 3,
        entries: vec![1, 2, 3, 4, 5, 255],
    };
    for (version, header) in [
        (1, int8("(2, 3)", "False")),
        (2, int8("(2, 3)", "False")),
        (3, int8("( 2 ,3 , )", "False")),
        (
            1,
            "{\"shape\":(2L,3L),\"descr\":\"<i1\",\"fortran_order\":False}".into(),
        ),
    ] {
        let matrix = read("a.npy", &file(version, &header, &expected.entries), None);
        assert_eq!(matrix.expect(&header), expected);
    }
    let by_columns = file(1, &int8("(2, 3)", "True"), &[1, 4, 2, 5, 3, 255]);
    assert_eq!(
        read("a", &by_columns, None).expect("Fortran's order"),
        expected
    );
    let raw = read("a.bin", &expected.entries, Some(3));
    assert_eq!(raw.expect("raw"), expected);
}

#[test]
fn what_is_no_matrix_of_int8_is_refused_with_what_would_do() {
    let with = |header: &str| read("a.npy", &file(1, header, &[0; 6]), None);
    let words =
        |refused: Result<Matrix, MatrixFileError>| refused.expect_err("no matrix").to_string();
    for (header, word) in [
        (
            String::from("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"),
            "astype",
        ),
        (int8("(6,)", "False"), "1 dimensions"),
        (int8("()", "False"), "0 dimensions"),
        (int8("(1, 2, 3)", "False"), "reshape"),
        (int8("(0, 6)", "False"), "1 to 1048576"),
        (int8("(2, 1048577)", "False"), "1 to 1048576"),
        (int8("(1048576, 1048576)", "False"), "header says"),
        (int8("(99999999999999999999, 1)", "False"), "damaged"),
        (int8("(2, 4)", "False"), "header says"),
        (int8("(2, -3)", "False"), "damaged"),
        (int8("(2, 3", "False"), "damaged"),
        (int8("(2, 3)", "0"), "damaged"),
        (
            String::from(
                "{'descr': '|i1', 'descr': '|i1', 'fortran_order': False, 'shape': (2, 3)}",
            ),
            "damaged",
        ),
        (
            String::from("{'descr': [('x', '|i1')], 'fortran_order': False, 'shape': (2, 3)}"),
            "damaged",
        ),
        (
            String::from("{'descr': '|i1', 'fortran_order': False}"),
            "damaged",
        ),
        (
            String::from("{'descr': '|i1', 'fortran_order': False, 'shape': (2, 3), 'more': 1}"),
            "damaged",
        ),
        (
            String::from("{'descr': '|i1', 'fortran_order': False, 'shape': (2, 3)} x"),
            "damaged",
        ),
        (String::from("{'descr"), "damaged"),
        (String::from("{'descr': 'é"), "damaged"),
        (String::from("é"), "damaged"),
        (String::new(), "damaged"),
    ] {
        let told = words(with(&header));
        assert!(told.contains(word), "{header}: {told}");
    }
    let long = file(2, &" ".repeat(10_001), &[]);
    assert!(words(read("a.npy", &long, None)).contains("more than a matrix needs"));
    let claims_much = [&b"\x93NUMPY\x02\0"[..], &u32::MAX.to_le_bytes()].concat();
    assert!(words(read("a.npy", &claims_much, None)).contains("more than a matrix needs"));
    assert!(words(read("a.npy", &file(9, "", &[]), None)).contains("version 9"));
    assert!(words(read("a.npy", b"", None)).contains("header cannot be read"));
    assert!(words(read("a.npy", b"PK\x03\x04....", None)).contains("numpy.save"));
    assert!(words(read("a.bin", b"1234", None)).contains("--k"));
    assert!(words(read("a.bin", b"12345", Some(2))).contains("--k"));
    assert!(words(read("a.bin", b"", Some(2))).contains("1 to"));
    assert!(words(read("a.bin", b"12", Some(0))).contains("1 to"));
    let folder = tempfile::tempdir().expect("a folder");
    let missing = Matrix::read(&folder.path().join("none.npy"), RawShape::default());
    assert!(words(missing).contains("none.npy"));
    let no_file = Matrix::read(folder.path(), RawShape::default());
    assert!(words(no_file).contains("no file"));
}

#[test]
fn the_header_of_a_result_is_numpys() {
    for (rows, columns) in [(1, 1), (32, 1_048_576), (1_048_576, 1_048_576)] {
        let header = Header::int32(rows, columns);
        assert!(header.len().is_multiple_of(64) && header.ends_with(b"\n"));
        let length = u16::from_le_bytes([header[8], header[9]]);
        assert_eq!(usize::from(length) + 10, header.len());
        let text = String::from_utf8_lossy(&header[10..]).into_owned();
        assert!(text.starts_with(&format!(
            "{{'descr': '<i4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}"
        )));
    }
}

#[test]
fn sides_are_padded_to_the_next_that_can_be_proved() {
    for (side, padded) in [
        (1, Some(32)),
        (32, Some(32)),
        (33, Some(48)),
        (1_048_576, Some(1_048_576)),
        (1_048_577, None),
        (u32::MAX, None),
    ] {
        assert_eq!(padded_side(side), padded, "{side}");
    }
    for (k, padded) in [
        (1, Some(256)),
        (256, Some(256)),
        (257, Some(320)),
        (16_384, Some(16_384)),
        (16_385, None),
        (u32::MAX, None),
    ] {
        assert_eq!(padded_k(k), padded, "{k}");
    }
    assert_eq!("1000, 300".parse(), Ok(Sides { m: 1_000, n: 300 }));
    for wrong in ["", "1", "1,", "0,1", "1,1048577", "1,2,3", "-1,2"] {
        assert!(wrong.parse::<Sides>().is_err(), "{wrong}");
    }
}

fn entries(seed: i32, count: u64) -> Vec<u8> {
    let at = |index: u64| (index as i32).wrapping_mul(seed).wrapping_add(seed) as u8;
    (0..count).map(at).collect()
}

#[test]
fn a_padded_product_is_right_and_its_corner_is_the_product() {
    let (m, n, k) = (35, 19, 70);
    let a = Matrix {
        rows: m,
        columns: k,
        entries: entries(7_919, u64::from(m * k)),
    };
    let b = Matrix {
        rows: k,
        columns: n,
        entries: entries(104_729, u64::from(k * n)),
    };
    let exact: Vec<i32> = (0..m * n)
        .map(|at| {
            let (row, column) = (at / n, at % n);
            let pair = |i: u32| {
                let left = a.entries[(row * k + i) as usize].cast_signed();
                let right = b.entries[(i * n + column) as usize].cast_signed();
                i32::from(left) * i32::from(right)
            };
            (0..k).map(pair).sum()
        })
        .collect();
    let sides = |side| padded_side(side).expect("a shape");
    let shape = Shape::new(sides(m), sides(n), padded_k(k).expect("a shape")).expect("a shape");
    let a = a.padded(shape.m(), shape.k()).expect("memory");
    let bt = b
        .transposed()
        .and_then(|bt| bt.padded(shape.n(), shape.k()))
        .expect("memory");
    let signed = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| byte.cast_signed())
            .collect::<Vec<_>>()
    };
    let c = tile_major(
        shape,
        &multiply(&signed(&a.entries), &signed(&bt.entries), shape),
    );
    let mut c: Vec<u8> = c.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    let root = blake3::hash(&c).into();
    assert_eq!(check(shape, (&a.entries, &bt.entries, &c), &root), Ok(()));
    let cropped: Vec<u8> = c
        .chunks_exact(TILE * 4 * shape.n() as usize)
        .zip((0..m as usize).step_by(TILE))
        .flat_map(|(band, top)| rows_of(band, shape.n(), m as usize - top, n))
        .collect();
    let exact: Vec<u8> = exact.iter().flat_map(|entry| entry.to_le_bytes()).collect();
    assert_eq!(cropped, exact);
    c[4 * 300] ^= 1;
    let root = blake3::hash(&c).into();
    let wrong = check(shape, (&a.entries, &bt.entries, &c), &root);
    assert!(
        matches!(wrong, Err(ProductError::Wrong { .. })),
        "{wrong:?}"
    );
    let short = check(shape, (&a.entries, &bt.entries, &c[4..]), &root);
    assert!(matches!(short, Err(ProductError::Length(_))), "{short:?}");
}

proptest! {
    #[test]
    fn no_bytes_are_a_panic(header in "[{}():,'a-z|0-9TF\u{e9} ]{0,80}", version in 0_u8..5, tail in any::<Vec<u8>>()) {
        let bytes = file(version, &header, &tail);
        let _ = Header::read(&mut &bytes[..]);
        let _ = Header::read(&mut &tail[..]);
    }

    #[test]
    fn transposing_twice_changes_nothing(rows in 1_u32..150, columns in 1_u32..150, seed in any::<i32>()) {
        let matrix = Matrix { rows, columns, entries: entries(seed, u64::from(rows * columns)) };
        let once = matrix.transposed().expect("memory");
        prop_assert_eq!(once.entries[(columns as usize - 1) * rows as usize], matrix.entries[columns as usize - 1]);
        prop_assert_eq!(once.transposed().expect("memory"), matrix);
    }
}
