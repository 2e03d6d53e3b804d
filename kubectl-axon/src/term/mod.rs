//! What is printed, and how.
//!
//! - [`output`]: data to stdout, talk to stderr; nothing else writes.
//! - [`shown`]: the one type that is printed; [`text_width`]: columns of a terminal that a text takes.
//! - [`table`]: tables as kubectl prints them; [`format`](mod@format): numbers and times.

pub mod format;
pub mod output;
pub mod shown;
pub mod table;
pub mod text_width;
