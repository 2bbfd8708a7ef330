//! Requests and answers, as bytes.

use std::ops::Range;

use parity_scale_codec::{Decode, DecodeAll, Encode};

use crate::{GROUP_BYTES, MAX_BYTES, Root};

/// Groups of one request.
pub const MAX_GROUPS: u8 = 64;

/// Bytes of an artifact that one request asks for at most: a mebibyte.
pub const MAX_PART_BYTES: u64 = MAX_GROUPS as u64 * GROUP_BYTES;

/// Bytes of every request.
pub const REQUEST_BYTES: usize = 32 + 4 + 1;

/// Groups of the largest artifact: 2^28.
const GROUPS: u32 = (MAX_BYTES / GROUP_BYTES) as u32;

/// Bytes of nodes beside the groups, at most: above a part's two ends a way up the tree of 28 levels each, of 64 bytes a node.
const PATH_BYTES: usize = 2 * 28 * 64;

/// Bytes before an encoding: the option's tag, the length of the artifact and that of the encoding.
const HEAD_BYTES: usize = 1 + 8 + 4;

/// Bytes of an answer: the groups, a node for each of them, the ways up the tree, and what is before them; 1,056,269.
pub const MAX_ANSWER_BYTES: usize = most_bytes(MAX_GROUPS) + HEAD_BYTES;

/// Bytes of the encoding of so many groups, at most.
const fn most_bytes(groups: u8) -> usize {
    match groups {
        0 => 0,
        groups => groups as usize * (GROUP_BYTES as usize + 64) + PATH_BYTES,
    }
}

/// What is asked of a peer. Valid once built.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Request {
    root: Root,
    first: u32,
    groups: u8,
}

/// What a peer has of an artifact.
#[derive(Clone, Debug, Eq, PartialEq, Encode, Decode)]
pub struct Part {
    /// Bytes of the whole artifact.
    pub bytes: u64,
    /// The groups that were asked for, as far as the artifact has them, with the nodes that show that they are its own.
    pub encoding: Vec<u8>,
}

/// What does not decode to a request or to its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WireError {
    /// The bytes are no request.
    #[error("{got} bytes are not a request for at most {MAX_GROUPS} groups of an artifact")]
    Request {
        /// Bytes that came.
        got: usize,
    },
    /// The bytes are no answer to what was asked.
    #[error("{got} bytes are not an answer to a request for {groups} groups of an artifact")]
    Answer {
        /// Bytes that came.
        got: usize,
        /// Groups that were asked for.
        groups: u8,
    },
}

impl Request {
    /// Asks whether a peer has an artifact, and how long it is.
    pub fn whether(root: Root) -> Self {
        Self {
            root,
            first: 0,
            groups: 0,
        }
    }

    /// Asks for a range of bytes, widened to whole groups; `None` for one of no bytes, of more than [`MAX_PART_BYTES`] once widened,
    /// or beyond [`MAX_BYTES`].
    pub fn part(root: Root, range: Range<u64>) -> Option<Self> {
        let first = range.start / GROUP_BYTES;
        let groups = range.end.div_ceil(GROUP_BYTES).checked_sub(first)?;
        let request = Self {
            root,
            first: u32::try_from(first).ok()?,
            groups: u8::try_from(groups).ok()?,
        };
        (!range.is_empty() && request.is_valid()).then_some(request)
    }

    fn is_valid(&self) -> bool {
        self.groups <= MAX_GROUPS && self.first <= GROUPS - u32::from(self.groups)
    }

    /// The artifact.
    pub fn root(&self) -> Root {
        self.root
    }

    /// Bytes that are asked for, which may be beyond the artifact's end.
    pub fn range(&self) -> Range<u64> {
        let first = u64::from(self.first) * GROUP_BYTES;
        first..first + u64::from(self.groups) * GROUP_BYTES
    }

    /// Bytes that its answer has at most.
    pub fn most_answered(&self) -> usize {
        HEAD_BYTES + most_bytes(self.groups)
    }

    /// Decodes a request; its length is checked first, and nothing is allocated.
    ///
    /// # Errors
    ///
    /// If the bytes are none.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        let wrong = WireError::Request { got: bytes.len() };
        if bytes.len() != REQUEST_BYTES {
            return Err(wrong);
        }
        let request = Self::decode_all(&mut &bytes[..]).map_err(|_| wrong)?;
        request.is_valid().then_some(request).ok_or(wrong)
    }

    /// Decodes an answer to this request; its length is checked before anything is allocated.
    ///
    /// # Errors
    ///
    /// If the bytes are none.
    pub fn answer_of_bytes(&self, bytes: &[u8]) -> Result<Option<Part>, WireError> {
        let wrong = WireError::Answer {
            got: bytes.len(),
            groups: self.groups,
        };
        if bytes.len() > self.most_answered() {
            return Err(wrong);
        }
        let answer = Option::<Part>::decode_all(&mut &bytes[..]).map_err(|_| wrong)?;
        match &answer {
            Some(part) if part.encoding.len() > most_bytes(self.groups) => Err(wrong),
            _ => Ok(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_has_a_mebibyte_at_most_and_none_is_beyond_the_largest_artifact() {
        let root = [7; 32];
        let part = |range| Request::part(root, range).map(|it| it.range());
        assert_eq!(part(0..1), Some(0..GROUP_BYTES));
        assert_eq!(
            part(GROUP_BYTES - 1..GROUP_BYTES + 1),
            Some(0..2 * GROUP_BYTES)
        );
        assert_eq!(part(0..MAX_PART_BYTES), Some(0..MAX_PART_BYTES));
        assert_eq!(part(0..MAX_PART_BYTES + 1), None);
        assert_eq!(part(1..MAX_PART_BYTES + 1), None, "it is widened");
        assert_eq!(part(5..5), None);
        let last = MAX_BYTES - GROUP_BYTES..MAX_BYTES;
        assert_eq!(part(last.clone()), Some(last));
        assert_eq!(part(MAX_BYTES..MAX_BYTES + 1), None);
        assert_eq!(part(u64::MAX - 1..u64::MAX), None);
        assert_eq!(Request::whether(root).range(), 0..0);
    }

    #[test]
    fn a_request_of_too_many_groups_or_of_another_length_does_not_decode() {
        let good = Request::part([7; 32], 0..MAX_PART_BYTES)
            .expect("it is allowed")
            .encode();
        assert!(Request::of_bytes(&good).is_ok());
        assert!(Request::of_bytes(&good[1..]).is_err());
        assert!(Request::of_bytes(&[&good[..], &[0]].concat()).is_err());
        let mut long = good.clone();
        *long.last_mut().expect("it has bytes") += 1;
        assert!(Request::of_bytes(&long).is_err());
        let mut far = good;
        far[32..36].copy_from_slice(&(GROUPS - 63).to_le_bytes());
        assert!(Request::of_bytes(&far).is_err());
    }

    #[test]
    fn an_answer_says_no_more_than_was_asked() {
        let question = Request::whether([7; 32]);
        let part = |len| {
            Some(Part {
                bytes: 9,
                encoding: vec![1; len],
            })
            .encode()
        };
        assert!(question.answer_of_bytes(&part(0)).is_ok());
        assert!(question.answer_of_bytes(&part(1)).is_err());
        // A length that nothing is behind.
        let mut lie = part(0);
        lie.truncate(9);
        lie.extend([0xfe, 0xff, 0xff, 0xff]);
        assert!(question.answer_of_bytes(&lie).is_err());
        let asked = Request::part([7; 32], 0..GROUP_BYTES).expect("it is allowed");
        assert!(asked.answer_of_bytes(&part(most_bytes(1))).is_ok());
        assert!(asked.answer_of_bytes(&part(most_bytes(1) + 1)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(
            root: Root,
            first in 0..=GROUPS - u32::from(MAX_GROUPS),
            groups in 0..=MAX_GROUPS,
            bytes: u64,
            encoding in prop::collection::vec(any::<u8>(), 0..2_000),
        ) {
            let request = Request { root, first, groups };
            prop_assert_eq!(Request::of_bytes(&request.encode()), Ok(request));
            if groups > 0 {
                prop_assert_eq!(Request::part(root, request.range()), Some(request));
                let answer = Some(Part { bytes, encoding });
                prop_assert_eq!(request.answer_of_bytes(&answer.encode()), Ok(answer));
            }
            prop_assert_eq!(request.answer_of_bytes(&None::<Part>.encode()), Ok(None));
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(request) = Request::of_bytes(&bytes) {
                prop_assert!(request.is_valid());
            }
            let _ = Request::whether([0; 32]).answer_of_bytes(&bytes);
        }
    }
}
