//! Sides that a product has, and those that it is padded to, since only some can be proved.

use labora_pouw::{RANK, Shape, TILE};
use serde::{Deserialize, Serialize};

/// Rows and columns of a result without its padding.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sides {
    /// Rows.
    pub m: u32,
    /// Columns.
    pub n: u32,
}

impl std::str::FromStr for Sides {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let sentence = "expected rows and columns of the result, such as 1000,300";
        let (m, n) = text.split_once(',').ok_or(sentence)?;
        let side = |text: &str| {
            let side = text.trim().parse::<u32>().ok();
            side.filter(|side| (1..=Shape::MAX_SIDE).contains(side))
        };
        match (side(m), side(n)) {
            (Some(m), Some(n)) => Ok(Self { m, n }),
            _ => Err(sentence),
        }
    }
}

/// The least provable m or n of at least so much; none if there is none.
pub(crate) fn padded_side(side: u32) -> Option<u32> {
    let padded = side
        .checked_next_multiple_of(TILE as u32)?
        .max(Shape::MIN_SIDE);
    (padded <= Shape::MAX_SIDE).then_some(padded)
}

/// The least provable k of at least so much; none if there is none.
pub(crate) fn padded_k(k: u32) -> Option<u32> {
    let padded = k.checked_next_multiple_of(RANK as u32)?.max(Shape::MIN_K);
    (padded <= Shape::MAX_K).then_some(padded)
}
