//! Reads the marker block of an agent that left no report.

use axon_api::contract::container;
use axon_api::outputs::parse_marker_block;
use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;

use super::pod::PodView;
use crate::kube::call::{CallError, timed};
use crate::task::context::Context;

/// Lines of a log that are read for a marker block.
const LOG_LINES: i64 = 500;
/// Bytes of them that are kept.
const LOG_BYTES: usize = 64 * 1024;
/// Seconds after an agent's end in which its log is tried again.
const LOG_PATIENCE: i64 = 60;

/// Reads the marker block from the end of the agent's log.
///
/// # Errors
/// If the log can't be read now but may be later. A log that is gone, or that can't be read a minute after the agent's
/// end, has no outputs.
pub async fn read_outputs(
    context: &Context,
    namespace: &str,
    pod: &PodView,
) -> Result<Vec<String>, CallError> {
    let api = Api::<Pod>::namespaced(context.client.clone(), namespace);
    let params = LogParams {
        container: Some(container::AGENT.into()),
        tail_lines: Some(LOG_LINES),
        ..LogParams::default()
    };
    let error = match timed("read log", read_end(&api, &pod.name, &params)).await {
        Ok(end) => return Ok(parse_marker_block(&end)),
        Err(error) => error,
    };
    let ended = pod.agent_ended().and_then(|ended| ended.finished);
    let long_ago = ended.is_none_or(|at| context.clock.now().as_second() - at.as_second() > LOG_PATIENCE);
    if long_ago
        || error
            .said()
            .is_some_and(|status| matches!(status.code, 400 | 404))
    {
        tracing::warn!(%namespace, pod = %pod.name, %error, "no outputs: the agent left no report and its log can't be read");
        return Ok(Vec::new());
    }
    Err(error)
}

/// Returns the last [`LOG_BYTES`] of a log. The API's own byte limit would keep the first ones.
async fn read_end(api: &Api<Pod>, pod: &str, params: &LogParams) -> kube::Result<String> {
    let mut stream = api.log_stream(pod, params).await?;
    let (mut end, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        let read = stream.read(&mut buffer).await.map_err(kube::Error::ReadEvents)?;
        if read == 0 {
            return Ok(String::from_utf8_lossy(&end).into_owned());
        }
        end.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let excess = end.len().saturating_sub(LOG_BYTES);
        end.drain(..excess);
    }
}
