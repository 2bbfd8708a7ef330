//! What an auditor has to do about a result now. Pure.

use labora_runtime::AccountId;

use crate::types::{JobInfo, WindowInfo};

/// Blocks after the end of an audit in which its worker may end it; then auditors do, in turn.
pub const GRACE: u32 = 3;

/// What has been found of a result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Known {
    /// Nothing yet.
    Nothing,
    /// It holds.
    Holds,
    /// An entry is wrong.
    Wrong,
    /// Its matrices cannot be fetched.
    Missing,
    /// It is none of this auditor's business, or cannot be checked here.
    Left,
}

/// Where this auditor stands with a result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Seat {
    /// Auditors are not drawn yet.
    NotDrawn,
    /// Others were drawn.
    None,
    /// It was drawn, and has said nothing.
    Silent,
    /// It has said that it could not fetch the matrices.
    Unavailable,
    /// It has attested that the result holds.
    Sealed,
    /// It has opened that.
    Opened,
}

/// What to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Duty {
    /// Nothing now.
    Wait,
    /// Nothing any more: others were drawn.
    Leave,
    /// Fetch and check.
    Check,
    /// Attest that it holds.
    Attest,
    /// Attest that its matrices cannot be fetched.
    AttestMissing,
    /// Open what was attested.
    Reveal,
    /// Prove the wrong entry.
    Prove,
    /// End the audit.
    Poke,
}

/// Where an auditor stands with a job's result; none audits for nobody.
pub fn seat(job: &JobInfo, auditor: Option<&AccountId>) -> Seat {
    let Some(auditor) = auditor else {
        return Seat::None;
    };
    let Some(auditors) = &job.auditors else {
        return Seat::NotDrawn;
    };
    let seat = auditors.iter().find(|seat| seat.auditor == *auditor);
    match seat.map(|seat| seat.said.as_str()) {
        None => Seat::None,
        Some("unavailable") => Seat::Unavailable,
        Some("sealed") => Seat::Sealed,
        Some("opened") => Seat::Opened,
        Some(_) => Seat::Silent,
    }
}

/// Whether a job's auditors are written on the chain: until the first of them has spoken, those of a session that begins would be
/// drawn in their stead.
pub fn are_written(job: &JobInfo) -> bool {
    let mut auditors = job.auditors.iter().flatten();
    auditors.any(|seat| seat.said != "nothing")
}

/// What to do about a result, at best block `now`: what is sent is in the next block at the earliest. `watches` is whether
/// results are checked that others audit; `turn` is how many blocks more than its worker is given this one waits until it ends an audit, so
/// that not all do at once.
pub fn duty(
    window: &WindowInfo,
    seat: Seat,
    known: Known,
    watches: bool,
    (now, turn): (u32, u32),
) -> Duty {
    let next = now.saturating_add(1);
    if next > window.ends {
        let is_late = now > window.ends.saturating_add(GRACE + turn);
        return if is_late { Duty::Poke } else { Duty::Wait };
    }
    if known == Known::Wrong {
        return Duty::Prove;
    }
    let can_attest = next <= window.attest_until;
    // Who opens in the block after the last one for attesting has been in time.
    let can_reveal = next > window.attest_until && next <= window.reveal_until;
    // Then it is said that matrices are missing: with a quarter of the time for attesting left.
    let patience = window.since + (window.attest_until.saturating_sub(window.since)) / 4 * 3;
    match (seat, known) {
        (_, Known::Left) => Duty::Wait,
        (Seat::Silent | Seat::Unavailable, Known::Nothing) if can_attest => Duty::Check,
        (Seat::Silent | Seat::Unavailable, Known::Holds) if can_attest => Duty::Attest,
        (Seat::Silent, Known::Missing) if can_attest && next >= patience => Duty::AttestMissing,
        (Seat::Sealed, Known::Nothing) if can_reveal => Duty::Check,
        (Seat::Sealed, Known::Holds) if can_reveal => Duty::Reveal,
        (Seat::None, Known::Nothing) if !watches => Duty::Leave,
        (Seat::NotDrawn, _) if !watches => Duty::Wait,
        (_, Known::Nothing) if watches => Duty::Check,
        _ => Duty::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: WindowInfo = WindowInfo {
        since: 100,
        attest_until: 130,
        reveal_until: 145,
        ends: 160,
    };

    #[test]
    fn what_an_auditor_has_said_is_read_as_the_chain_writes_it() {
        use pallet_jobs::{Batch, Committee, Job, Left, Said, Seat as Place, Stage};
        use sp_keyring::Sr25519Keyring::{Alice, Bob};
        let batch = Batch {
            root_b: [2; 32],
            n: 32,
            k: 256,
            left: vec![Left {
                root: [1; 32],
                m: 32,
            }]
            .try_into()
            .expect("one"),
        };
        let job = Job {
            poster: Alice.to_account_id(),
            payer: None,
            batch,
            fee: 1,
            deposit: 1,
            deadline: 9,
            failed: 0,
            last_failure: None,
            stage: Stage::Open,
        };
        let with = |said: Option<Said>| {
            let place = said.map(|said| Place {
                auditor: Bob.to_account_id(),
                said,
            });
            let committee = Committee {
                session: 1,
                seats: Vec::from_iter(place).try_into().expect("one at most"),
            };
            JobInfo::new(7, &job).with_auditors(Some(&committee))
        };
        let bob = Bob.to_account_id();
        for (said, expected) in [
            (None, Seat::None),
            (Some(Said::Nothing), Seat::Silent),
            (Some(Said::Unavailable), Seat::Unavailable),
            (Some(Said::Sealed([0; 32])), Seat::Sealed),
            (Some(Said::Opened), Seat::Opened),
        ] {
            assert_eq!(seat(&with(said), Some(&bob)), expected);
            assert_eq!(seat(&with(said), None), Seat::None);
            let is_written = said.is_some_and(|said| said != Said::Nothing);
            assert_eq!(are_written(&with(said)), is_written);
        }
        assert_eq!(seat(&JobInfo::new(7, &job), Some(&bob)), Seat::NotDrawn);
    }

    fn at(seat: Seat, known: Known, now: u32) -> Duty {
        duty(&WINDOW, seat, known, false, (now, 0))
    }

    #[test]
    fn an_auditor_checks_attests_and_opens_in_time() {
        assert_eq!(at(Seat::NotDrawn, Known::Nothing, 100), Duty::Wait);
        assert_eq!(at(Seat::None, Known::Nothing, 102), Duty::Leave);
        assert_eq!(at(Seat::Silent, Known::Nothing, 102), Duty::Check);
        assert_eq!(at(Seat::Silent, Known::Holds, 129), Duty::Attest);
        // What is sent now would come too late.
        assert_eq!(at(Seat::Silent, Known::Holds, 130), Duty::Wait);
        assert_eq!(at(Seat::Sealed, Known::Holds, 129), Duty::Wait);
        assert_eq!(at(Seat::Sealed, Known::Holds, 130), Duty::Reveal);
        assert_eq!(at(Seat::Sealed, Known::Holds, 144), Duty::Reveal);
        assert_eq!(at(Seat::Sealed, Known::Holds, 145), Duty::Wait);
        assert_eq!(at(Seat::Opened, Known::Holds, 140), Duty::Wait);
    }

    #[test]
    fn what_was_found_is_found_again_after_a_restart() {
        assert_eq!(at(Seat::Sealed, Known::Nothing, 120), Duty::Wait);
        assert_eq!(at(Seat::Sealed, Known::Nothing, 131), Duty::Check);
    }

    #[test]
    fn missing_matrices_are_told_of_late_and_may_come_later_still() {
        assert_eq!(at(Seat::Silent, Known::Missing, 119), Duty::Wait);
        assert_eq!(at(Seat::Silent, Known::Missing, 120), Duty::AttestMissing);
        assert_eq!(at(Seat::Unavailable, Known::Missing, 125), Duty::Wait);
        assert_eq!(at(Seat::Unavailable, Known::Nothing, 125), Duty::Check);
        assert_eq!(at(Seat::Unavailable, Known::Holds, 125), Duty::Attest);
    }

    #[test]
    fn a_wrong_entry_is_proved_by_whoever_knows_it_until_the_end() {
        for seat in [Seat::NotDrawn, Seat::None, Seat::Silent, Seat::Sealed] {
            assert_eq!(at(seat, Known::Wrong, 159), Duty::Prove);
            assert_eq!(at(seat, Known::Wrong, 160), Duty::Wait);
        }
    }

    #[test]
    fn an_audit_that_nobody_ends_is_ended() {
        assert_eq!(at(Seat::None, Known::Left, 163), Duty::Wait);
        assert_eq!(at(Seat::None, Known::Left, 164), Duty::Poke);
        let third = |now| duty(&WINDOW, Seat::None, Known::Left, false, (now, 2));
        assert_eq!([third(165), third(166)], [Duty::Wait, Duty::Poke]);
    }

    #[test]
    fn who_watches_checks_what_others_audit() {
        let watching = |seat, known, now| duty(&WINDOW, seat, known, true, (now, 0));
        assert_eq!(watching(Seat::NotDrawn, Known::Nothing, 100), Duty::Check);
        assert_eq!(watching(Seat::None, Known::Nothing, 158), Duty::Check);
        assert_eq!(watching(Seat::None, Known::Holds, 120), Duty::Wait);
        assert_eq!(watching(Seat::None, Known::Left, 120), Duty::Wait);
    }
}
