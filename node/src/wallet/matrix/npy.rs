//! NumPy's format of files: a magic, a version, and a header that is a literal of Python, which is read without an interpreter.
//!
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use std::io::{self, Read};

/// What every file begins with.
const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// Longest header: NumPy itself reads no more than 10,000 characters from strangers.
const MAX_HEADER: usize = 10_000;

/// Header and what is before it fill a multiple of this.
const ALIGNMENT: usize = 64;

/// What int8 is called: one byte has no order.
const INT8: [&str; 5] = ["|i1", "i1", "<i1", ">i1", "=i1"];

/// Why a header was refused.
#[derive(Debug, thiserror::Error)]
pub enum NpyError {
    /// The system, or the end of the file.
    #[error("its header cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Another format.
    #[error("it does not begin as .npy files do; save it with numpy.save")]
    Magic,
    /// A version that is not known.
    #[error("it has version {0} of the format; save it with numpy.save again")]
    Version(u8),
    /// A header that nobody needs.
    #[error("its header has {0} bytes, more than a matrix needs; save it with numpy.save again")]
    TooLong(u64),
    /// Not what NumPy writes.
    #[error("its header is damaged; save it with numpy.save again")]
    Header,
    /// Another kind of numbers.
    #[error("its entries are `{0}`; convert them to int8 (`array.astype(numpy.int8)`)")]
    Entries(String),
    /// Not two dimensions.
    #[error("it has {0} dimensions; a matrix has two (`array.reshape(rows, columns)`)")]
    Dimensions(usize),
}

/// What a header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    /// Rows.
    pub rows: u64,
    /// Columns.
    pub columns: u64,
    /// Whether columns lie one after the other, not rows.
    pub is_fortran: bool,
    /// Bytes before the first entry.
    pub length: u64,
}

/// Whether what is read begins as such files do.
pub(super) fn begins(from: &mut impl Read) -> io::Result<bool> {
    let mut first = Vec::new();
    from.take(MAGIC.len() as u64).read_to_end(&mut first)?;
    Ok(first == MAGIC)
}

impl Header {
    /// Reads a header, to the first entry.
    ///
    /// # Errors
    ///
    /// [`NpyError`].
    pub(super) fn read(from: &mut impl Read) -> Result<Self, NpyError> {
        let mut start = [0; 8];
        from.read_exact(&mut start)?;
        let (magic, version) = start.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(NpyError::Magic);
        }
        let (length, prefix) = match version[0] {
            1 => {
                let mut length = [0; 2];
                from.read_exact(&mut length)?;
                (u64::from(u16::from_le_bytes(length)), 10)
            }
            2 | 3 => {
                let mut length = [0; 4];
                from.read_exact(&mut length)?;
                (u64::from(u32::from_le_bytes(length)), 12)
            }
            other => return Err(NpyError::Version(other)),
        };
        if length > MAX_HEADER as u64 {
            return Err(NpyError::TooLong(length));
        }
        let mut text = vec![0; length as usize];
        from.read_exact(&mut text)?;
        let text = std::str::from_utf8(&text).map_err(|_| NpyError::Header)?;
        let literal = Literal::read(text).ok_or(NpyError::Header)?;
        if !INT8.contains(&literal.entries) {
            let letters = literal.entries.chars().filter(char::is_ascii_graphic);
            return Err(NpyError::Entries(letters.take(20).collect()));
        }
        let [rows, columns] = literal.shape[..] else {
            return Err(NpyError::Dimensions(literal.shape.len()));
        };
        Ok(Self {
            rows,
            columns,
            is_fortran: literal.is_fortran,
            length: prefix + length,
        })
    }

    /// The header of a matrix of int32, little-endian, row-major.
    pub(crate) fn int32(rows: u32, columns: u32) -> Vec<u8> {
        let mut text =
            format!("{{'descr': '<i4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
        let prefix = MAGIC.len() + 4;
        let used = prefix + text.len() + 1;
        text.push_str(&" ".repeat(used.next_multiple_of(ALIGNMENT) - used));
        text.push('\n');
        let mut header = MAGIC.to_vec();
        header.extend([1, 0]);
        // Some 70 to 120 bytes, whatever the shape.
        header.extend((text.len() as u16).to_le_bytes());
        header.extend(text.as_bytes());
        header
    }
}

/// The three entries of the dictionary.
struct Literal<'a> {
    entries: &'a str,
    is_fortran: bool,
    shape: Vec<u64>,
}

impl<'a> Literal<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut left = Left(text);
        let (mut entries, mut is_fortran, mut shape) = (None, None, None);
        left.take("{")?;
        while left.take("}").is_none() {
            let key = left.string()?;
            left.take(":")?;
            let again = match key {
                "descr" => entries.replace(left.string()?).is_some(),
                "fortran_order" => is_fortran.replace(left.boolean()?).is_some(),
                "shape" => shape.replace(left.numbers()?).is_some(),
                _ => return None,
            };
            if again {
                return None;
            }
            if left.take(",").is_none() {
                left.take("}")?;
                break;
            }
        }
        left.0.trim().is_empty().then_some(())?;
        Some(Self {
            entries: entries?,
            is_fortran: is_fortran?,
            shape: shape?,
        })
    }
}

/// What is left to be read.
struct Left<'a>(&'a str);

impl<'a> Left<'a> {
    /// Takes these letters, after white space.
    fn take(&mut self, letters: &str) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(letters)?;
        Some(())
    }

    /// A string without escapes, in either kind of quotes.
    fn string(&mut self) -> Option<&'a str> {
        let text = self.0.trim_start();
        let quote = text
            .chars()
            .next()
            .filter(|first| matches!(first, '\'' | '"'))?;
        let (inside, rest) = text[1..].split_once(quote)?;
        self.0 = rest;
        (!inside.contains('\\')).then_some(inside)
    }

    fn boolean(&mut self) -> Option<bool> {
        match self.take("True") {
            Some(()) => Some(true),
            None => self.take("False").map(|()| false),
        }
    }

    /// A tuple of numbers: `()`, `(3,)`, `(3, 4)`.
    fn numbers(&mut self) -> Option<Vec<u64>> {
        let mut numbers = Vec::new();
        self.take("(")?;
        while self.take(")").is_none() {
            let text = self.0.trim_start();
            let end = text.find(|letter: char| !letter.is_ascii_digit())?;
            let (digits, rest) = text.split_at(end);
            numbers.push(digits.parse().ok()?);
            // As Python 2 wrote long integers.
            self.0 = rest.strip_prefix('L').unwrap_or(rest);
            if self.take(",").is_none() {
                self.take(")")?;
                break;
            }
        }
        Some(numbers)
    }
}
