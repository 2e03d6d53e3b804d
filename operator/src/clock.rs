//! The time, as a parameter.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Returns the machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Timestamp::now))
    }

    /// Returns the machine's clock as if it were wrong by so much.
    #[must_use]
    pub fn skewed(by: SignedDuration) -> Self {
        Self(Arc::new(move || {
            let now = Timestamp::now();
            now.checked_add(by).unwrap_or(now)
        }))
    }

    /// Returns a clock that stands still.
    #[must_use]
    pub fn fixed(at: Timestamp) -> Self {
        Self(Arc::new(move || at))
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}
