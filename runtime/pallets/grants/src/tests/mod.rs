//! What each call does and refuses, and that every unit of the fund is accounted for.

mod api;
mod governance;
mod jobs;
mod people;
mod sequences;
