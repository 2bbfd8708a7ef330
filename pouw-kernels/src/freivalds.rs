//! Freivalds' check of a product, faster than `labora_pouw::freivalds`, and the same to the bit: what an auditor does with
//! every result. With AVX2, a dozen entries at a time; without it, as there.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;

use labora_pouw::{
    Shape,
    freivalds::{self, Element, LengthError, Verdict},
};

/// What a check found, and made on the way.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checked {
    /// Whether C is A·B.
    pub verdict: Verdict,
    /// C·r, one element for each row of C: what auditors commit to.
    pub product_times_r: Vec<Element>,
}

/// Whether `c` is A·B, given a vector `r` that its maker did not know.
///
/// `a`: m×k and `bt`: n×k, row-major, any int8. `c`: m×n int32 in tile-major order. `r`: n elements, of
/// [`freivalds::challenge`].
///
/// # Errors
///
/// If a length is not that of the shape.
pub fn check(
    shape: Shape,
    a: &[i8],
    bt: &[i8],
    c: &[i32],
    r: &[Element],
) -> Result<Checked, LengthError> {
    expect("A", a.len(), shape.a_len())?;
    expect("Bt", bt.len(), shape.b_len())?;
    expect("C", c.len(), shape.c_len() / 4)?;
    expect("r", r.len(), u64::from(shape.n()))?;
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has AVX2.
        let (from_result, from_factors) = unsafe {
            let v = avx2::of_columns(bt, r, shape.k() as usize);
            (
                avx2::of_result(c, r, shape.n() as usize),
                avx2::of_rows(a, &v),
            )
        };
        let pairs = from_result.iter().zip(&from_factors);
        let differs = pairs.into_iter().position(|(c_r, ab_r)| c_r != ab_r);
        return Ok(Checked {
            verdict: match differs {
                None => Verdict::Holds,
                // A position in a vector of m elements.
                Some(row) => Verdict::Wrong { row: row as u32 },
            },
            product_times_r: from_result,
        });
    }
    Ok(Checked {
        verdict: freivalds::check(shape, a, bt, c, r)?,
        product_times_r: freivalds::product_times_r(shape, c, r)?,
    })
}

fn expect(operand: &'static str, got: usize, expected: u64) -> Result<(), LengthError> {
    if got as u64 == expected {
        return Ok(());
    }
    Err(LengthError {
        operand,
        got,
        expected,
    })
}
