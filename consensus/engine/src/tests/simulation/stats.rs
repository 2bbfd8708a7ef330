//! What the schedules went through, summed up.

use std::{fmt, ops::AddAssign};

macro_rules! stats {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Counts, of one schedule or of many.
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        pub(super) struct Stats {
            $($(#[$doc])* pub(super) $name: u64,)*
        }

        impl AddAssign for Stats {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
            }
        }

        impl fmt::Display for Stats {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{:>12}  {}", self.$name, stringify!($name).replace('_', " "))?;)*
                Ok(())
            }
        }
    };
}

stats! {
    schedules,
    with_equivocating_stake,
    /// Virtual time.
    seconds,
    blocks_mined,
    imports,
    reorganisations,
    verifications,
    finalisations,
    blocks_finalised,
    finalised_off_the_best_chain,
    best_blocks_missed_because_finality_moved,
    rounds_completed,
    votes,
    equivocations,
    false_commits,
    forgeries_sent,
    proofs_asked_of_peers,
    imports_that_finality_vouched_for,
    /// Headers that nobody mined, imported below a block that was proved final and not known yet.
    forgeries_imported_below_a_trusted_target,
    blocks_stored_beside_a_forged_best_one,
    voters_ended_by_votes_beside_their_base,
    /// With precommits of an equivocating voter on two branches.
    voters_ended_by_their_own_commit,
    commits_imported_as_proofs,
    /// Proofs of branches that finality cut off just before a crash.
    stale_proofs_left_by_crashes,
    announcements,
    announcements_refused,
    delivered,
    dropped,
    doubled,
    partitions,
    crashes,
    peers_banned,
    /// Each is looked at by the checker's rules.
    honest_peers_banned,
    peers_banned_for_silence,
    /// Their answers were lost on the way.
    honest_peers_banned_for_silence,
    blocks_without_evidence,
    /// Their sender had answered, and its or everybody's word on finality was lost.
    honest_blocks_without_evidence,
    blocks_mined_to_heal,
    stalled_after_equivocation,
}
