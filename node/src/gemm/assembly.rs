//! Adds up the pieces of a product: limbs weighed, blocks put in their place, padding dropped.

use super::{GemmError, Piece, Plan, plan::BASE};

/// Largest k whose every sum fits into an int32 whatever the entries: k·128·128 ≤ 2³¹ - 1.
const MAX_NARROW_K: usize = 131_071;

/// Sums of the pieces so far, m×n.
#[derive(Debug)]
pub struct Assembly {
    sums: Sums,
    columns: usize,
    row: Vec<i32>,
}

#[derive(Debug)]
enum Sums {
    Narrow(Vec<i32>),
    /// Long k may leave int32, which is only known at the end.
    Wide(Vec<i64>),
}

impl Assembly {
    /// All zeros.
    pub fn new(plan: &Plan) -> Self {
        let dimensions = plan.dimensions();
        let entries = dimensions.m() * dimensions.n();
        let sums = if dimensions.k() <= MAX_NARROW_K {
            Sums::Narrow(vec![0; entries])
        } else {
            Sums::Wide(vec![0; entries])
        };
        Self {
            sums,
            columns: dimensions.n(),
            row: Vec::new(),
        }
    }

    /// Adds one piece. `product`: the device's answer for the piece's packed operands, row-major.
    ///
    /// Gives the answer's memory back, for the device to use again, unless the answer became the product itself. Fails if
    /// the answer has not as many entries as the packed operands ask for.
    pub fn add(
        &mut self,
        plan: &Plan,
        piece: Piece,
        mut product: Vec<i32>,
    ) -> Result<Option<Vec<i32>>, GemmError> {
        let (left, right) = (plan.left(piece), plan.right(piece));
        let stride = right.packed_rows();
        let expected = left.packed_rows() * stride;
        if product.len() != expected {
            let (name, got) = ("the device's product", product.len());
            return Err(GemmError::Length {
                name,
                got,
                expected,
            });
        }
        // Most products: one piece without limbs and without padding but for rows at the end.
        if plan.count() == 1 && stride == self.columns && left.wide.is_empty() {
            product.truncate(left.rows.len() * stride);
            self.sums = Sums::Narrow(product);
            return Ok(None);
        }
        self.add_rows(plan, piece, &product);
        Ok(Some(product))
    }

    fn add_rows(&mut self, plan: &Plan, piece: Piece, product: &[i32]) {
        let (left, right) = (plan.left(piece), plan.right(piece));
        let stride = right.packed_rows();
        let packed_row = |row: usize| &product[row * stride..(row + 1) * stride];
        let mut wide = left.wide.iter().enumerate().peekable();
        for row in 0..left.rows.len() {
            self.row.clear();
            self.row.resize(right.rows.len(), 0);
            add_row(&mut self.row, packed_row(row), 1, &right.wide);
            if let Some((limb, _)) = wide.next_if(|(_, wide)| **wide == row) {
                add_row(
                    &mut self.row,
                    packed_row(left.rows.len() + limb),
                    BASE,
                    &right.wide,
                );
            }
            let start = (left.rows.start + row) * self.columns + right.rows.start;
            let place = start..start + right.rows.len();
            match &mut self.sums {
                // Exact: no partial sum over k ≤ MAX_NARROW_K leaves int32.
                Sums::Narrow(sums) => {
                    for (sum, value) in sums[place].iter_mut().zip(&self.row) {
                        *sum = sum.wrapping_add(*value);
                    }
                }
                Sums::Wide(sums) => {
                    for (sum, value) in sums[place].iter_mut().zip(&self.row) {
                        *sum += i64::from(*value);
                    }
                }
            }
        }
    }

    /// The product, m×n, row-major, once all pieces were added.
    pub fn finish(self) -> Result<Vec<i32>, GemmError> {
        let columns = self.columns;
        match self.sums {
            Sums::Narrow(sums) => Ok(sums),
            Sums::Wide(sums) => sums
                .into_iter()
                .enumerate()
                .map(|(at, value)| {
                    let overflow = |_| GemmError::Overflow {
                        row: at / columns,
                        column: at % columns,
                        value,
                    };
                    i32::try_from(value).map_err(overflow)
                })
                .collect(),
        }
    }
}

/// Adds `weight` times one packed row, whose wide columns' high limbs stand behind its plain ones.
///
/// Wrapping, so that it is vectorised; nothing wraps: a piece's sums are below 16,384·2¹⁴ = 2²⁸ and each limb product
/// with its weight (at most 2¹²·4·16,384 = 2²⁸) is too.
fn add_row(row: &mut [i32], packed: &[i32], weight: i32, wide: &[usize]) {
    let (plain, rest) = packed.split_at(row.len());
    for (sum, value) in row.iter_mut().zip(plain) {
        *sum = sum.wrapping_add(value.wrapping_mul(weight));
    }
    for (column, value) in wide.iter().zip(rest) {
        row[*column] = row[*column].wrapping_add(value.wrapping_mul(weight * BASE));
    }
}
