//! Waiting until something is so.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use kube::Api;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_millis(50);

/// Asks again and again until the answer is `Some`.
///
/// # Errors
/// The error of the question, or an error after `limit`.
pub async fn until<T, F>(what: &str, limit: Duration, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<Option<T>>>,
{
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await.with_context(|| format!("while waiting for {what}"))? {
            return Ok(answer);
        }
        if Instant::now() >= end {
            bail!("waited {} s in vain for {what}", limit.as_secs_f32());
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Waits until an object is there and as wanted.
///
/// # Errors
/// If the API refuses the question, or it takes longer than `limit`; the error shows the object.
pub async fn until_object<K>(
    api: &Api<K>,
    name: &str,
    what: &str,
    limit: Duration,
    is_wanted: impl Fn(&K) -> bool,
) -> Result<K>
where
    K: Clone + DeserializeOwned + Debug,
{
    let mut last = None;
    let end = Instant::now() + limit;
    loop {
        let found = api
            .get_opt(name)
            .await
            .with_context(|| format!("while waiting for {name} {what}"))?;
        if let Some(object) = found {
            if is_wanted(&object) {
                return Ok(object);
            }
            last = Some(object);
        }
        if Instant::now() >= end {
            bail!(
                "waited {} s in vain for {name} {what}; it is {last:#?}",
                limit.as_secs_f32()
            );
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Waits until an object has gone.
///
/// # Errors
/// As [`until_object`].
pub async fn until_gone<K>(api: &Api<K>, name: &str, limit: Duration) -> Result<()>
where
    K: Clone + DeserializeOwned + Debug,
{
    until(&format!("the end of {name}"), limit, async || {
        Ok(api.get_opt(name).await?.is_none().then_some(()))
    })
    .await
}
