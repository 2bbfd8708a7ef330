//! What is missing of an artifact, in parts that one request asks for.

use std::{collections::VecDeque, ops::Range};

use super::wire::MAX_PART_BYTES;
use crate::GROUP_BYTES;

/// What is missing: not asked for yet, and asked for.
#[derive(Debug, Default)]
pub(super) struct Parts {
    left: VecDeque<Range<u64>>,
    asked: Vec<Range<u64>>,
}

impl Parts {
    /// Of an artifact of so many bytes, of which these ranges are missing, in their order.
    pub(super) fn new(missing: &[Range<u64>], bytes: u64) -> Self {
        let mut left: VecDeque<Range<u64>> = VecDeque::new();
        for range in missing.iter().filter(|range| !range.is_empty()) {
            let start = range.start / GROUP_BYTES * GROUP_BYTES;
            let end = range.end.next_multiple_of(GROUP_BYTES).min(bytes);
            match left.back_mut() {
                Some(last) if last.end >= start => last.end = end,
                _ => left.push_back(start..end),
            }
        }
        Self {
            left,
            asked: Vec::new(),
        }
    }

    /// The next part to ask for: it ends at a multiple of [`MAX_PART_BYTES`], where the tree has a node that is above all of it.
    pub(super) fn next(&mut self) -> Option<Range<u64>> {
        let range = self.left.pop_front()?;
        let end = (range.start / MAX_PART_BYTES + 1) * MAX_PART_BYTES;
        let part = range.start..range.end.min(end);
        if part.end < range.end {
            self.left.push_front(part.end..range.end);
        }
        self.asked.push(part.clone());
        Some(part)
    }

    /// A part came.
    pub(super) fn done(&mut self, part: &Range<u64>) {
        self.asked.retain(|asked| asked != part);
    }

    /// A part did not come: it is to be asked for again.
    pub(super) fn put_back(&mut self, part: Range<u64>) {
        self.done(&part);
        self.left.push_front(part);
    }

    /// How many were asked for and did not come yet.
    pub(super) fn asked(&self) -> usize {
        self.asked.len()
    }

    /// Whether there is more to ask for.
    pub(super) fn has_left(&self) -> bool {
        !self.left.is_empty()
    }

    /// Whether nothing is missing.
    pub(super) fn is_done(&self) -> bool {
        self.left.is_empty() && self.asked.is_empty()
    }

    /// What is missing, in its order: the first `most` ranges.
    pub(super) fn missing(&self, most: usize) -> Vec<Range<u64>> {
        let few = self.left.iter().take(most);
        let mut all: Vec<Range<u64>> = self.asked.iter().chain(few).cloned().collect();
        all.sort_unstable_by_key(|range| range.start);
        let mut joined: Vec<Range<u64>> = Vec::new();
        for range in all {
            match joined.last_mut() {
                Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        joined.truncate(most);
        joined
    }

    /// Bytes that are missing.
    pub(super) fn bytes(&self) -> u64 {
        let all = self.left.iter().chain(&self.asked);
        all.map(|range| range.end - range.start).sum()
    }
}

#[cfg(test)]
#[expect(
    clippy::single_range_in_vec_init,
    reason = "lists of ranges are compared, of which there may be one"
)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = MAX_PART_BYTES;

    #[test]
    fn parts_end_at_mebibytes_and_at_the_end() {
        let mut parts = Parts::new(&[GROUP_BYTES..MIB + 5_000_000], MIB + 5_000_000);
        let mut all = Vec::new();
        while let Some(part) = parts.next() {
            all.push(part);
        }
        let end = MIB + 5_000_000;
        assert_eq!(all[0], GROUP_BYTES..MIB);
        assert_eq!(all[1], MIB..2 * MIB);
        assert_eq!(all.last(), Some(&(5 * MIB..end)));
        assert!(!parts.is_done(), "they are only asked for");
        for part in &all {
            parts.done(part);
        }
        assert!(parts.is_done());
    }

    #[test]
    fn what_did_not_come_is_asked_for_again_first() {
        let mut parts = Parts::new(&[0..3 * MIB], 3 * MIB);
        let (first, second) = (parts.next().expect("one"), parts.next().expect("two"));
        parts.put_back(first.clone());
        assert_eq!(parts.missing(10), [0..3 * MIB]);
        assert_eq!(parts.next(), Some(first.clone()));
        parts.done(&first);
        assert_eq!(parts.missing(10), [MIB..3 * MIB]);
        parts.done(&second);
        assert_eq!(
            (parts.missing(10), parts.bytes()),
            (vec![2 * MIB..3 * MIB], MIB)
        );
    }

    proptest! {
        #[test]
        fn parts_cover_what_is_missing_once(
            bytes in 1u64..20_000_000,
            bounds in prop::collection::btree_set(0u64..20_000_000, 0..20),
        ) {
            let bounds: Vec<u64> = bounds.into_iter().filter(|at| *at < bytes).collect();
            let missing: Vec<Range<u64>> = bounds.chunks_exact(2).map(|it| it[0]..it[1]).collect();
            let mut parts = Parts::new(&missing, bytes);
            let (sum, ranges) = (parts.bytes(), parts.missing(100));
            let mut at = 0;
            let mut total = 0;
            while let Some(part) = parts.next() {
                prop_assert!(part.start >= at && part.start % GROUP_BYTES == 0);
                prop_assert!(part.end % GROUP_BYTES == 0 || part.end == bytes);
                prop_assert!(!part.is_empty() && part.end - part.start <= MAX_PART_BYTES);
                at = part.end;
                total += part.end - part.start;
            }
            prop_assert_eq!(total, sum);
            for range in missing {
                prop_assert!(ranges.iter().any(|it| it.start <= range.start && range.end <= it.end));
            }
        }
    }
}
