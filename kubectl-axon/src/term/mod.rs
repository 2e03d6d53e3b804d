//! Terminal output.
//!
//! - [`output`]: data to stdout, talk to stderr; nothing else writes.
//! - [`shown`]: the one type that is printed.
//! - [`table`]: tables as kubectl prints them.

pub mod output;
pub mod shown;
pub mod table;
