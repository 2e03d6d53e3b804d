//! How long a broken connection is borne: pauses grow, and after some minutes it is enough.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::{CliError, Kind, Result};

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A laptop that changes its network, or an API server that is restarted, is back sooner.
const ENOUGH: Duration = Duration::from_secs(300);

/// Failures in a row.
#[derive(Debug, Default)]
pub struct Patience {
    since: Option<Instant>,
    pause: Option<Duration>,
}

impl Patience {
    /// Notes a success.
    pub fn restore(&mut self) {
        *self = Self::default();
    }

    /// Notes a failure. Returns false when it is not worth another try.
    pub fn bears(&mut self, error: &CliError) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        // Asking again does not change a refusal.
        let refused = matches!(
            error.kind,
            Kind::Denied | Kind::Unauthenticated | Kind::NotFound | Kind::BrokenPipe
        );
        !refused && since.elapsed() < ENOUGH
    }

    /// Sleeps, longer each time, or gives the error back when it is not worth another try.
    ///
    /// # Errors
    /// The error that was given.
    pub async fn pause(&mut self, error: CliError) -> Result<()> {
        if !self.bears(&error) {
            return Err(error);
        }
        let pause = self.pause.unwrap_or(FIRST_PAUSE);
        self.pause = Some((pause * 2).min(LONGEST_PAUSE));
        sleep(pause).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_of_minutes_is_borne_and_no_more() {
        let start = Instant::now();
        let mut patience = Patience::default();
        let mut tries = 0;
        while patience.pause(CliError::new("cut")).await.is_ok() {
            tries += 1;
        }
        assert!((ENOUGH..ENOUGH + LONGEST_PAUSE).contains(&start.elapsed()));
        assert!((20..50).contains(&tries), "{tries} tries");
        patience.restore();
        assert!(patience.pause(CliError::new("cut")).await.is_ok());
    }

    #[tokio::test]
    async fn a_refusal_is_final() {
        let mut patience = Patience::default();
        assert!(!patience.bears(&CliError::of(Kind::Denied, "no")));
    }
}
