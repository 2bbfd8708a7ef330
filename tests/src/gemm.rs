//! Products for the GEMM endpoint: the request, the answer, and the product by definition.

use crate::{
    Outcome,
    http::{Answer, Http},
    seed::Random,
};

/// The one type that the endpoint takes.
pub const OCTETS: &str = "application/octet-stream";

/// Two operands: A is m×k, Bt (B transposed) n×k, row-major.
#[derive(Clone, Debug)]
pub struct Product {
    /// Rows of A.
    pub m: usize,
    /// Rows of Bt.
    pub n: usize,
    /// Length of the rows.
    pub k: usize,
    /// A.
    pub a: Vec<i8>,
    /// Bt.
    pub bt: Vec<i8>,
}

impl Product {
    /// Entries drawn from `low..=high`.
    pub fn random(random: &mut Random, [m, n, k]: [usize; 3], low: i8, high: i8) -> Self {
        let span = (i16::from(high) - i16::from(low) + 1) as u16;
        let mut entries = |count: usize| -> Vec<i8> {
            let bytes = random.bytes(2 * count);
            let draw = |pair: &[u8]| u16::from_le_bytes([pair[0], pair[1]]) % span;
            bytes
                .chunks_exact(2)
                .map(|pair| (i16::from(low) + draw(pair) as i16) as i8)
                .collect()
        };
        Self {
            m,
            n,
            k,
            a: entries(m * k),
            bt: entries(n * k),
        }
    }

    /// The path and query of its request.
    pub fn path(&self) -> String {
        format!("/v1/products?m={}&n={}&k={}", self.m, self.n, self.k)
    }

    /// The body of its request.
    pub fn body(&self) -> Vec<u8> {
        self.a
            .iter()
            .chain(&self.bt)
            .map(|entry| *entry as u8)
            .collect()
    }

    /// C = A·B by definition, m×n, row-major. Overflow of an int32 is an error of the test.
    pub fn by_definition(&self) -> Vec<i32> {
        let dot = |row: &[i8], column: &[i8]| -> i32 {
            row.iter()
                .zip(column)
                .map(|(a, b)| i32::from(*a) * i32::from(*b))
                .sum()
        };
        let rows = self.a.chunks_exact(self.k);
        rows.flat_map(|row| {
            self.bt
                .chunks_exact(self.k)
                .map(move |column| dot(row, column))
        })
        .collect()
    }

    /// Asks for the product.
    pub async fn ask(&self, http: &mut Http) -> Outcome<Answer> {
        http.exchange(&self.path(), OCTETS, &self.body()).await
    }

    /// Asks a node for the product, and fails if it is not exact.
    pub async fn assert_exact_from(&self, http: &mut Http) -> Outcome<Answer> {
        let answer = self.ask(http).await?;
        if answer.status != 200 {
            return Err(format!("{}: {} {}", self.path(), answer.status, answer.text()).into());
        }
        let got = entries_of(&answer.body)?;
        let expected = self.by_definition();
        if got.len() != expected.len() {
            return Err(format!(
                "{}: {} entries instead of {}",
                self.path(),
                got.len(),
                expected.len()
            )
            .into());
        }
        match got
            .iter()
            .zip(&expected)
            .position(|(got, expected)| got != expected)
        {
            None => Ok(answer),
            Some(at) => Err(format!(
                "{}: entry {at} is {} instead of {}",
                self.path(),
                got[at],
                expected[at]
            )
            .into()),
        }
    }
}

/// Little-endian int32 entries.
pub fn entries_of(body: &[u8]) -> Outcome<Vec<i32>> {
    let (entries, rest) = body.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("{} bytes are no whole number of int32", body.len()).into());
    }
    Ok(entries
        .iter()
        .map(|entry| i32::from_le_bytes(*entry))
        .collect())
}
