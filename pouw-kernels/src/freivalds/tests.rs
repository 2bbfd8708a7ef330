//! Equality with `labora-pouw`, and with sums made one by one where no sum may overflow.

use labora_pouw::{
    Shape,
    freivalds::{self, Element, P, Verdict, challenge},
    reference::{matrices, multiply},
};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::{avx2, check};

fn element(value: u64) -> Element {
    Element::from_i128(value.into())
}

/// Σ entry·element, as whole numbers.
fn exact<'a, T: Copy + Into<i128> + 'a>(terms: impl Iterator<Item = (T, &'a Element)>) -> Element {
    Element::from_i128(
        terms
            .map(|(entry, element)| entry.into() * i128::from(element.get()))
            .sum(),
    )
}

#[test]
fn digits_stand_for_the_element() {
    for value in [
        0,
        1,
        0x7fff,
        0x8000,
        0xffff,
        1 << 60,
        P - 1,
        0x1000_8000_8000_8000,
    ] {
        let digits = avx2::digits(element(value)).map(i64::from);
        assert_eq!(avx2::joined(digits, 16), element(value));
    }
}

/// The elements whose digits are as far from zero as they can be, and the largest.
const EXTREME: [u64; 3] = [0x0fff_7fff_7fff_8000, 0x0000_8000_8000_8000, P - 1];

#[test]
fn no_sum_overflows_on_the_largest_entries() {
    if !std::arch::is_x86_feature_detected!("avx2") {
        println!("not run: this CPU has no AVX2, and without it the protocol's own sums are used");
        return;
    }
    for value in EXTREME {
        for entry in [i8::MIN, i8::MAX] {
            let (long, columns) = (16_384, 32);
            let v = vec![element(value); long];
            let matrix = vec![entry; long * columns];
            let expected = exact(v.iter().map(|element| (entry, element)));
            // SAFETY: the CPU has AVX2, and the lengths are multiples of 16.
            let (rows, sums) = unsafe {
                (
                    avx2::of_rows(&matrix, &v),
                    avx2::of_columns(&matrix, &v, columns),
                )
            };
            assert!(rows.len() == columns && rows.iter().all(|sum| *sum == expected));
            assert!(sums.len() == columns && sums.iter().all(|sum| *sum == expected));
        }
        for entry in [i32::MIN, i32::MAX] {
            let n = 16_384;
            let r = vec![element(value); n];
            let expected = exact(r.iter().map(|element| (entry, element)));
            // SAFETY: the CPU has AVX2, and C has a row of tiles.
            let sums = unsafe { avx2::of_result(&vec![entry; 16 * n], &r, n) };
            assert!(sums.len() == 16 && sums.iter().all(|sum| *sum == expected));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn it_finds_what_the_protocol_finds(
        m in 2_u32..6, n in 2_u32..20, k in 4_u32..20, seed: u64,
        place in any::<prop::sample::Index>(), wrong: i32,
    ) {
        let shape = Shape::new(16 * m, 16 * n, 64 * k).unwrap();
        let (a, bt) = matrices(&seed.to_string(), shape);
        let mut c = labora_pouw::fraud::tile_major(shape, &multiply(&a, &bt, shape));
        let r = challenge(&[3; 32], &[5; 32], shape.n());
        let found = check(shape, &a, &bt, &c, &r).unwrap();
        prop_assert_eq!(found.verdict, Verdict::Holds);
        prop_assert_eq!(&found.product_times_r, &freivalds::product_times_r(shape, &c, &r).unwrap());

        let at = place.index(c.len());
        c[at] = wrong;
        let found = check(shape, &a, &bt, &c, &r).unwrap();
        prop_assert_eq!(found.verdict, freivalds::check(shape, &a, &bt, &c, &r).unwrap());
        prop_assert_eq!(found.product_times_r, freivalds::product_times_r(shape, &c, &r).unwrap());
    }
}

#[test]
fn lengths_of_another_shape_are_refused() {
    let shape = Shape::new(32, 32, 256).unwrap();
    let (a, bt) = matrices("lengths", shape);
    let (c, r) = (vec![0; 1_024], vec![Element::default(); 32]);
    let refused = |a: &[i8], bt: &[i8], c: &[i32], r: &[Element]| {
        check(shape, a, bt, c, r).unwrap_err().operand
    };
    assert_eq!(refused(&a[1..], &bt, &c, &r), "A");
    assert_eq!(refused(&a, &bt[1..], &c, &r), "Bt");
    assert_eq!(refused(&a, &bt, &c[1..], &r), "C");
    assert_eq!(refused(&a, &bt, &c, &r[1..]), "r");
}
