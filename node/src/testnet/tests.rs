//! What the command line takes, what is written, and what is counted.

mod counting;
mod parsing;
mod written;
