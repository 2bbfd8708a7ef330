//! What each call does and refuses, and that every unit is accounted for.

mod api;
mod audits;
mod frauds;
mod sequences;
mod sponsored;
mod stages;
