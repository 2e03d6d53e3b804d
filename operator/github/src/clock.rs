//! The time, as a parameter.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

/// Tells the time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// Returns a clock that tells what `now` gives.
    #[must_use]
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// Returns the machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Timestamp::now)
    }

    /// Returns the machine's clock as if it were wrong by so much.
    #[must_use]
    pub fn skewed(by: SignedDuration) -> Self {
        Self::new(move || {
            let now = Timestamp::now();
            now.checked_add(by).unwrap_or(now)
        })
    }

    /// Returns a clock that stands still.
    #[must_use]
    pub fn fixed(at: Timestamp) -> Self {
        Self::new(move || at)
    }

    /// Returns the time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}
