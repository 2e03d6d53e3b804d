//! What a running template comes back to: scopes, loops, calls.

use super::ast::{Op, Pipe};
use super::value::{List, Map, Slot, Value};

/// What to come back to.
pub(super) enum Frame<'t> {
    /// The scope of an `if`, a `with`, or the `else` of a `range`.
    Scope {
        variables: usize,
        dot: Slot,
        /// For the `else` of a `range`: where a `break` lands.
        broken: Option<usize>,
    },
    Range(Loop<'t>),
    Call {
        running: &'t str,
        ops: &'t [Op],
        next: usize,
        variables: Vec<(u32, Slot)>,
        dot: Slot,
    },
}

/// A `range` under way.
pub(super) struct Loop<'t> {
    pub(super) pipe: &'t Pipe,
    pub(super) items: Items,
    pub(super) done: usize,
    /// Variables before the loop, and with the loop's own.
    pub(super) variables: usize,
    pub(super) inner: usize,
    pub(super) dot: Slot,
    pub(super) body: usize,
    pub(super) next: usize,
    pub(super) close: usize,
}

/// What a `range` goes through.
pub(super) enum Items {
    List(List),
    Map(Map),
    Count(i64),
    Bytes(u8),
}

impl Items {
    /// Returns the index or key, and the element, of an iteration.
    pub(super) fn get(&self, index: usize) -> Option<(Slot, Slot)> {
        match self {
            Self::List(list) => {
                let position = Value::Int(i64::try_from(index).ok()?);
                Some((Slot::Typed(position), list.slot(index)?))
            }
            Self::Map(map) => map.entry(index),
            Self::Bytes(count) => {
                let position = u8::try_from(index).ok().filter(|position| position < count)?;
                Some((Slot::Missing, Slot::Typed(Value::Byte(position))))
            }
            Self::Count(count) => {
                let position = i64::try_from(index).ok().filter(|position| position < count)?;
                Some((Slot::Missing, Slot::Typed(Value::Int(position))))
            }
        }
    }
}
