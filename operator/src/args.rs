//! Command line and environment of the operator. The only reader of the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Runs AI coding agents as Kubernetes Jobs.
#[derive(Debug, Clone, Parser)]
#[command(name = "axon-operator", version)]
pub struct Args {
    /// Name of this replica, unique among them.
    #[arg(long, env = "POD_NAME")]
    pub identity: String,
    /// Namespace of the operator's own Lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "axon-system")]
    pub namespace: String,
    /// Address of /healthz, /readyz and /metrics.
    #[arg(long, env = "AXON_LISTEN", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// Registry (and path) of the agent and workspace images: REGISTRY/axon-NAME:TAG.
    #[arg(long, env = "AXON_IMAGE_REGISTRY", default_value = "ghcr.io/axon-io")]
    pub image_registry: String,
    /// Tag of the agent and workspace images.
    #[arg(long, env = "AXON_IMAGE_TAG", default_value = concat!("v", env!("CARGO_PKG_VERSION")))]
    pub image_tag: String,
    /// How long an image may fail to be pulled before its Task fails, such as 5m.
    #[arg(long, env = "AXON_IMAGE_PULL_LIMIT", default_value = "5m", value_parser = axon_api::godur::parse)]
    pub image_pull_limit: Duration,
    /// File with prices of models, for estimates of what agents report no cost for; see docs/agents.md.
    #[arg(long, env = "AXON_PRICE_TABLE", value_name = "FILE")]
    pub price_table: Option<PathBuf>,
    /// Pretends that this machine's clock is wrong by so many seconds, for tests of the operator.
    #[arg(long, hide = true, default_value_t = 0, allow_negative_numbers = true)]
    pub clock_skew: i64,
    /// How long records of finished Tasks are kept, such as 2160h (90 days); 0 for ever.
    #[arg(long, env = "AXON_RECORD_RETENTION", default_value = "2160h", value_parser = axon_api::godur::parse)]
    pub record_retention: Duration,
    /// Pause between rounds of the election, and the longest that one may take. Shorter ones elect sooner, with more
    /// calls.
    #[arg(long, env = "AXON_ELECTION_ROUND", default_value = "1500ms", hide = true, value_parser = axon_api::godur::parse)]
    pub election_round: Duration,
    /// Proxy through which GitHub is reached by https, as http://[USER:PASSWORD@]HOST:PORT.
    #[arg(long, env = "HTTPS_PROXY", hide_env_values = true)]
    pub https_proxy: Option<String>,
    /// Hosts, domains and networks that are reached without the proxy, separated by commas.
    #[arg(long, env = "NO_PROXY")]
    pub no_proxy: Option<String>,
    /// What to log: error, warn, info, debug, trace, or a filter such as axon_operator=debug.
    #[arg(long, env = "AXON_LOG", default_value = "info")]
    pub log: String,
}
