//! Every product put together from pieces equals the one computed plainly, whatever the shape and the entries.

use proptest::prelude::*;

use super::{plan::MAX_PIECE_ROWS, *};

/// C = A·Btᵀ in int64, by definition.
fn plain(a: &[i8], bt: &[i8], k: usize) -> Vec<i64> {
    let dot = |x: &[i8], y: &[i8]| {
        x.iter()
            .zip(y)
            .map(|(x, y)| i64::from(*x) * i64::from(*y))
            .sum()
    };
    a.chunks(k)
        .flat_map(|x| bt.chunks(k).map(move |y| dot(x, y)))
        .collect()
}

/// What a device would answer, having first checked that it would take the operands.
fn device(a: &Packed, bt: &Packed) -> Vec<i32> {
    assert_eq!(a.k, bt.k);
    assert!(
        (256..=16_384).contains(&a.k) && a.k.is_multiple_of(64),
        "k = {}",
        a.k
    );
    for side in [a, bt] {
        assert!(
            (32..=MAX_PIECE_ROWS as u32).contains(&side.rows) && side.rows % 16 == 0,
            "rows = {}",
            side.rows
        );
        assert_eq!(side.data.len(), (side.rows * side.k) as usize);
        assert!(side.data.iter().all(|entry| (-63..=63).contains(entry)));
    }
    let product = plain(&a.data, &bt.data, a.k as usize);
    product
        .into_iter()
        .map(|value| i32::try_from(value).expect("a piece fits int32"))
        .collect()
}

fn pieces(plan: &Plan) -> impl Iterator<Item = Piece> + '_ {
    (0..plan.count()).map(|index| plan.piece(index))
}

fn multiply(
    m: usize,
    n: usize,
    k: usize,
    a: Vec<i8>,
    bt: Vec<i8>,
) -> (Result<Vec<i32>, GemmError>, usize) {
    let dimensions = Dimensions::new(m as u64, n as u64, k as u64).expect("within the bounds");
    let plan = Plan::new(Product::new(dimensions, a, bt).expect("lengths as said"));
    let mut assembly = Assembly::new(&plan);
    for piece in pieces(&plan) {
        let (a, bt) = (plan.pack_a(piece), plan.pack_bt(piece));
        assert_eq!(
            plan.piece_macs(piece),
            u64::from(a.rows) * u64::from(bt.rows) * u64::from(a.k)
        );
        assembly
            .add(&plan, piece, device(&a, &bt))
            .expect("the device's answer has the right length");
    }
    (assembly.finish(), plan.count())
}

fn assert_exact(m: usize, n: usize, k: usize, a: Vec<i8>, bt: Vec<i8>) {
    let expected: Vec<i32> = plain(&a, &bt, k)
        .into_iter()
        .map(|value| i32::try_from(value).expect("fits"))
        .collect();
    assert_eq!(
        multiply(m, n, k, a, bt).0.expect("fits int32"),
        expected,
        "m {m}, n {n}, k {k}"
    );
}

/// A cheap sequence of entries of all of int8; only every `sparse`th row has any beyond ±63.
fn entries(count: usize, k: usize, sparse: usize) -> Vec<i8> {
    let mut state = 0x9E37_79B9u32;
    (0..count)
        .map(|at| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = (state >> 24) as i8;
            if (at / k).is_multiple_of(sparse) {
                value
            } else {
                value / 3
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, rng_seed: proptest::test_runner::RngSeed::Fixed(3), ..ProptestConfig::default() })]

    #[test]
    fn any_small_shape_with_any_entries_is_exact(
        (m, n, k, a, bt) in (1usize..50, 1usize..50, 1usize..400).prop_flat_map(|(m, n, k)| (
            Just(m), Just(n), Just(k),
            proptest::collection::vec(any::<i8>(), m * k),
            proptest::collection::vec(-70i8..=70, n * k),
        ))
    ) {
        assert_exact(m, n, k, a, bt);
    }
}

#[test]
fn every_pair_of_int8_values_multiplies_exactly() {
    let all: Vec<i8> = (i8::MIN..=i8::MAX).collect();
    assert_exact(256, 256, 1, all.clone(), all);
}

#[test]
fn long_k_is_split_and_adds_up() {
    for k in [16_384, 16_385, 32_769, 131_071] {
        assert_exact(2, 3, k, entries(2 * k, k, 1), entries(3 * k, k, 2));
    }
}

#[test]
fn many_rows_are_split_into_blocks_and_put_back_in_place() {
    let (m, n, k) = (MAX_PIECE_ROWS + 7, 17, 3);
    assert_exact(m, n, k, entries(m * k, k, 2), entries(n * k, k, 3));
    assert_exact(n, m, k, entries(n * k, k, 3), entries(m * k, k, 2));
    let (_, pieces) = multiply(m, n, k, vec![-128; m * k], vec![-128; n * k]);
    assert_eq!(pieces, 3, "two limbs a row: 8,206 packed rows");
}

#[test]
fn extremes_up_to_the_largest_narrow_k_fit() {
    assert_exact(
        1,
        2,
        131_071,
        vec![-128; 131_071],
        [vec![-128; 131_071], vec![127; 131_071]].concat(),
    );
}

#[test]
fn a_longer_k_is_exact_while_it_fits_and_refused_where_it_does_not() {
    let k = 131_072;
    assert_exact(1, 1, k, vec![-128; k], vec![127; k]);
    let (result, _) = multiply(2, 1, k, [vec![0; k], vec![-128; k]].concat(), vec![-128; k]);
    assert_eq!(
        result,
        Err(GemmError::Overflow {
            row: 1,
            column: 0,
            value: 1 << 31
        })
    );
}

#[test]
fn entries_within_63_take_one_piece_that_is_the_matrix_itself() {
    let data: Vec<i8> = entries(48 * 320, 320, 1)
        .into_iter()
        .map(|value| value / 3)
        .collect();
    let dimensions = Dimensions::new(48, 48, 320).expect("valid");
    let plan = Plan::new(Product::new(dimensions, data.clone(), data.clone()).expect("valid"));
    assert_eq!(plan.count(), 1);
    assert_eq!(
        plan.pack_a(plan.piece(0)),
        Packed {
            rows: 48,
            k: 320,
            data
        }
    );
}

#[test]
fn only_rows_beyond_63_get_a_second_limb() {
    let mut data = vec![1i8; 32 * 256];
    data[5 * 256] = 64;
    let dimensions = Dimensions::new(32, 32, 256).expect("valid");
    let plan = Plan::new(Product::new(dimensions, data, vec![1; 32 * 256]).expect("valid"));
    let packed = plan.pack_a(plan.piece(0));
    assert_eq!(packed.rows, 48);
    assert_eq!(
        (
            packed.data[5 * 256],
            packed.data[32 * 256],
            packed.data[32 * 256 + 1]
        ),
        (0, 1, 0)
    );
}

#[test]
fn pieces_that_share_bt_follow_each_other() {
    let (m, k) = (2 * MAX_PIECE_ROWS, 20_000);
    let dimensions = Dimensions::new(m as u64, 1, k as u64).expect("valid");
    let plan = Plan::new(Product::new(dimensions, vec![0; m * k], vec![0; k]).expect("valid"));
    let pieces: Vec<_> = pieces(&plan).collect();
    let changes = pieces
        .windows(2)
        .filter(|pair| !pair[0].shares_bt(&pair[1]))
        .count();
    assert_eq!((pieces.len(), changes), (4, 1));
}

#[test]
fn dimensions_beyond_the_bounds_are_refused_without_overflow() {
    assert_eq!(Dimensions::new(0, 1, 1), Err(GemmError::Zero { name: "m" }));
    assert_eq!(Dimensions::new(1, 0, 1), Err(GemmError::Zero { name: "n" }));
    assert_eq!(Dimensions::new(1, 1, 0), Err(GemmError::Zero { name: "k" }));
    for (m, n, k) in [
        (u64::MAX, 1, 1),
        (1, u64::MAX, u64::MAX),
        (1 << 33, 1 << 33, 1),
        (1, 1, u64::MAX),
    ] {
        assert!(matches!(
            Dimensions::new(m, n, k),
            Err(GemmError::OperandsTooLarge { .. })
        ));
    }
    assert_eq!(
        Dimensions::new(8_193, 8_192, 1),
        Err(GemmError::ProductTooLarge {
            got: 4 * 8_193 * 8_192
        })
    );
    assert!(Dimensions::new(8_192, 8_192, 16_384).is_ok());
}

#[test]
fn operands_of_another_length_are_refused() {
    let dimensions = Dimensions::new(2, 3, 5).expect("valid");
    let refused = Product::new(dimensions, vec![0; 10], vec![0; 14]).expect_err("one entry short");
    assert_eq!(
        refused,
        GemmError::Length {
            name: "Bt",
            got: 14,
            expected: 15
        }
    );
    let refused =
        Product::new(dimensions, vec![0; 11], vec![0; 15]).expect_err("one entry too many");
    assert_eq!(
        refused,
        GemmError::Length {
            name: "A",
            got: 11,
            expected: 10
        }
    );
}

#[test]
fn an_answer_of_the_wrong_size_is_refused() {
    let dimensions = Dimensions::new(1, 1, 1).expect("valid");
    let plan = Plan::new(Product::new(dimensions, vec![1], vec![1]).expect("valid"));
    let mut assembly = Assembly::new(&plan);
    assert!(
        assembly
            .add(&plan, plan.piece(0), vec![0; 32 * 31])
            .is_err()
    );
}

#[test]
fn an_answer_that_is_the_product_is_taken_as_it_is() {
    // (m, n): rows may be padded, since those stand at the end; columns may not.
    for (m, n, is_taken) in [(32, 48, true), (33, 48, true), (32, 47, false)] {
        let a: Vec<i8> = entries(m * 300, 300, 1)
            .iter()
            .map(|value| value / 3)
            .collect();
        let bt: Vec<i8> = entries(n * 300, 300, 1)
            .iter()
            .map(|value| value / 3)
            .collect();
        assert_exact(m, n, 300, a.clone(), bt.clone());
        let dimensions = Dimensions::new(m as u64, n as u64, 300).expect("valid");
        let plan = Plan::new(Product::new(dimensions, a, bt).expect("valid"));
        let piece = plan.piece(0);
        let answer = device(&plan.pack_a(piece), &plan.pack_bt(piece));
        let spare = Assembly::new(&plan)
            .add(&plan, piece, answer)
            .expect("the right length");
        assert_eq!(spare.is_none(), is_taken, "m {m}, n {n}");
    }
}
