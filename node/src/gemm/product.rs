//! What a caller hands in: dimensions that were checked, then two operands of just that size.

use thiserror::Error;

/// Most bytes that both operands may have together: two of 8,192×16,384 entries (128 MiB each).
pub const MAX_OPERAND_BYTES: u64 = 256 << 20;

/// Most bytes that the product may have: 8,192×8,192 entries of four bytes.
pub const MAX_PRODUCT_BYTES: u64 = 256 << 20;

/// Why a product is refused.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum GemmError {
    /// A dimension is zero.
    #[error("{name} is 0, and every dimension must be at least 1")]
    Zero {
        /// Which of `m`, `n` and `k`.
        name: &'static str,
    },
    /// The operands are beyond [`MAX_OPERAND_BYTES`].
    #[error(
        "the operands have (m + n)·k = {got} bytes, and at most {MAX_OPERAND_BYTES} are taken; split the product into smaller ones"
    )]
    OperandsTooLarge {
        /// Bytes of both; `u64::MAX` stands for all that is larger.
        got: u64,
    },
    /// The product is beyond [`MAX_PRODUCT_BYTES`].
    #[error(
        "the product has 4·m·n = {got} bytes, and at most {MAX_PRODUCT_BYTES} are given; split it by rows or columns"
    )]
    ProductTooLarge {
        /// Bytes of the product; `u64::MAX` stands for all that is larger.
        got: u64,
    },
    /// An operand is not as long as its dimensions say.
    #[error("{name} has {got} entries, and its dimensions ask for {expected}")]
    Length {
        /// Which of `A` and `Bt`.
        name: &'static str,
        /// Entries that came.
        got: usize,
        /// Entries that the dimensions ask for.
        expected: usize,
    },
    /// An entry of the product is not an int32. Only k above 131,071 can lead to it.
    #[error(
        "entry ({row}, {column}) of the product is {value} and does not fit into an int32; split k and add in int64"
    )]
    Overflow {
        /// Row of the entry.
        row: usize,
        /// Column of the entry.
        column: usize,
        /// Its exact value.
        value: i64,
    },
}

impl GemmError {
    /// Whether the product is refused for its size alone.
    pub fn is_too_large(&self) -> bool {
        matches!(
            self,
            Self::OperandsTooLarge { .. } | Self::ProductTooLarge { .. }
        )
    }
}

/// Dimensions of a product within the bounds: A is m×k, Bt is n×k, C is m×n.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Dimensions {
    m: usize,
    n: usize,
    k: usize,
}

impl Dimensions {
    /// Checks that none is zero and that neither operands nor product are beyond the bounds.
    pub fn new(m: u64, n: u64, k: u64) -> Result<Self, GemmError> {
        for (name, value) in [("m", m), ("n", n), ("k", k)] {
            if value == 0 {
                return Err(GemmError::Zero { name });
            }
        }
        let operands = m
            .checked_add(n)
            .and_then(|rows| rows.checked_mul(k))
            .unwrap_or(u64::MAX);
        if operands > MAX_OPERAND_BYTES {
            return Err(GemmError::OperandsTooLarge { got: operands });
        }
        let product = m
            .checked_mul(n)
            .and_then(|entries| entries.checked_mul(4))
            .unwrap_or(u64::MAX);
        if product > MAX_PRODUCT_BYTES {
            return Err(GemmError::ProductTooLarge { got: product });
        }
        // All three are at most MAX_OPERAND_BYTES here, which any usize of 32 bits or more holds.
        Ok(Self {
            m: m as usize,
            n: n as usize,
            k: k as usize,
        })
    }

    /// Rows of A and of C.
    pub fn m(&self) -> usize {
        self.m
    }

    /// Rows of Bt, columns of C.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Length of the shared dimension.
    pub fn k(&self) -> usize {
        self.k
    }

    /// Bytes of A and Bt together.
    pub fn operand_bytes(&self) -> usize {
        (self.m + self.n) * self.k
    }

    /// Bytes of the product as int32.
    pub fn product_bytes(&self) -> usize {
        4 * self.m * self.n
    }
}

/// A product to be computed: C = A·Btᵀ.
#[derive(Clone, Debug)]
pub struct Product {
    dimensions: Dimensions,
    a: Vec<i8>,
    bt: Vec<i8>,
}

impl Product {
    /// `a`: m×k, `bt`: n×k (B transposed), both row-major, any int8.
    pub fn new(dimensions: Dimensions, a: Vec<i8>, bt: Vec<i8>) -> Result<Self, GemmError> {
        let operands = [("A", a.len(), dimensions.m), ("Bt", bt.len(), dimensions.n)];
        for (name, got, rows) in operands {
            let expected = rows * dimensions.k;
            if got != expected {
                return Err(GemmError::Length {
                    name,
                    got,
                    expected,
                });
            }
        }
        Ok(Self { dimensions, a, bt })
    }

    /// m, n and k.
    pub fn dimensions(&self) -> Dimensions {
        self.dimensions
    }

    /// A: m×k, row-major.
    pub fn a(&self) -> &[i8] {
        &self.a
    }

    /// Bt: n×k, row-major.
    pub fn bt(&self) -> &[i8] {
        &self.bt
    }
}
