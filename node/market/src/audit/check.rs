//! Whether a result is the product: Freivalds' check with a vector of the auditor's own, and the proof of a wrong entry. Pure.

use labora_kernels::freivalds::check as freivalds_check;
use labora_pouw::{
    Hash, Shape,
    fraud::{self, FraudProof},
    freivalds::{self, LengthError, Verdict},
};

/// What was found of a product.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Finding {
    /// It holds; the answer that shows that it was looked at.
    Holds(Hash),
    /// An entry is wrong; the proof.
    Wrong(Box<FraudProof>),
}

/// Checks C = A·B, with the vector that belongs to `secret` and to C's root.
///
/// `a`: m×k and `bt`: n×k, row-major int8; `c`: m×n int32 little-endian, tile-major.
///
/// # Errors
///
/// If a length is not that of the shape.
pub fn check(
    shape: Shape,
    (a, bt, c): (&[i8], &[i8], &[u8]),
    secret: &Hash,
    root_c: &Hash,
) -> Result<Finding, LengthError> {
    let entries: Vec<i32> = c
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| i32::from_le_bytes(*bytes))
        .collect();
    let r = freivalds::challenge(secret, root_c, shape.n());
    let checked = freivalds_check(shape, a, bt, &entries, &r)?;
    if let Verdict::Wrong { row } = checked.verdict {
        let data = fraud::Data::new(shape, a, bt, &entries)?;
        // An entry of this row is wrong for certain: no chance is in that answer.
        if let Some(proof) = fraud::prove(&data, row..row.saturating_add(1)) {
            return Ok(Finding::Wrong(Box::new(proof)));
        }
    }
    let answer = freivalds::commitment(&checked.product_times_r);
    Ok(Finding::Holds(answer))
}

#[cfg(test)]
mod tests {
    use labora_pouw::{
        fraud::{Claim, tile_major, verify},
        reference::multiply,
    };

    use super::*;

    #[test]
    fn a_right_result_holds_and_one_wrong_entry_is_proved() {
        let shape = Shape::new(48, 32, 256).expect("a shape");
        let entries = |seed: i32, count: u64| -> Vec<i8> {
            let at = |index: u64| (index as i32).wrapping_mul(seed).wrapping_add(seed) as i8;
            (0..count).map(at).collect()
        };
        let (a, bt) = (
            entries(7_919, shape.a_len()),
            entries(104_729, shape.b_len()),
        );
        let c = tile_major(shape, &multiply(&a, &bt, shape));
        let bytes = |c: &[i32]| {
            c.iter()
                .flat_map(|entry| entry.to_le_bytes())
                .collect::<Vec<u8>>()
        };
        let of = |c: &[i32], secret: u8| {
            let c = bytes(c);
            let root = blake3::hash(&c).into();
            (
                check(shape, (&a, &bt, &c), &[secret; 32], &root).expect("lengths"),
                root,
            )
        };
        let (right, _) = of(&c, 1);
        assert!(matches!(right, Finding::Holds(_)));
        assert_ne!(right, of(&c, 2).0, "the answer is the secret's");
        let mut wrong = c.clone();
        wrong[777] ^= 1;
        let (found, root_c) = of(&wrong, 1);
        let Finding::Wrong(proof) = found else {
            panic!("an entry is wrong");
        };
        let signed = |matrix: &[i8]| {
            matrix
                .iter()
                .map(|entry| entry.cast_unsigned())
                .collect::<Vec<u8>>()
        };
        let claim = Claim {
            shape,
            root_a: blake3::hash(&signed(&a)).into(),
            root_b: blake3::hash(&signed(&bt)).into(),
            root_c,
        };
        let fault = verify(&claim, &proof).expect("it shows a wrong entry");
        assert_eq!(fault.committed, fault.exact ^ 1);
        assert!(check(shape, (&a, &bt, &[0; 12]), &[1; 32], &root_c).is_err());
    }
}
