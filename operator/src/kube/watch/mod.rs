//! Watches that hold little: lists are read object by object, and of each object only what somebody needs.

mod custom;
mod events;
mod kinds;
mod listing;
mod part;
mod prune;
mod scope;
mod seen;
mod split;
mod whole;

pub use custom::{Watch, is_served, watch_custom};
pub use events::{Target, events};
pub use listing::Listing;
pub use part::{LARGE, LENT, Large, is_large, is_part, keep_metadata, mark};
pub use prune::{Keep, prune};
pub use scope::Scope;
pub use seen::{Guarded, Names, Seen, Unreadable, hollow};
pub use whole::{Whole, clear_in_status, read_as, whole, write_status, write_status_only};

/// The annotation in which kubectl keeps a copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
