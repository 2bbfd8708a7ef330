//! What is done to the state before the first block that a runtime of a higher `spec_version` executes.

/// The migrations of this version. They go once every chain is past them.
#[cfg(not(feature = "next"))]
pub type Migrations = ();
#[cfg(feature = "next")]
pub type Migrations = crate::next::Migration;
