//! Command line and environment of the operator. The only reader of the environment.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axon_api::images::Digests;
use axon_api::network::Allow;
use clap::{Parser, ValueEnum};
use ipnet::IpNet;

use crate::images::Exact;
use crate::kube::watch::Scope;
use crate::task::apply::network_policy;
use crate::task::build::pod_defaults::{PodDefaults, PullSecrets};
use crate::task::build::pod_limits::{Amount, AmountError, PodLimits, ResourceList};
use axon_github::Hosts;

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
    /// Namespaces to work in, separated by commas, instead of all of the cluster. The operator needs its rights in these
    /// alone.
    #[arg(long, env = "AXON_WATCH_NAMESPACES", value_name = "LIST", default_value = "", hide_default_value = true, value_parser = Scope::parse)]
    pub watch_namespaces: Scope,
    /// Address of /healthz, /readyz and /metrics. [::] is IPv6 and IPv4, or IPv4 alone where there is no IPv6.
    #[arg(long, env = "AXON_LISTEN", default_value = "[::]:8080")]
    pub listen: SocketAddr,
    /// Registry (and path) of the agent and workspace images: REGISTRY/axon-NAME:TAG.
    #[arg(long, env = "AXON_IMAGE_REGISTRY", default_value = "ghcr.io/axon-io")]
    pub image_registry: String,
    /// Tag of the agent and workspace images.
    #[arg(long, env = "AXON_IMAGE_TAG", default_value = concat!("v", env!("CARGO_PKG_VERSION")))]
    pub image_tag: String,
    /// Digests of these images, as codex=sha256:DIGEST,workspace=sha256:DIGEST. Nodes pull those by the digest, whatever the
    /// tag says.
    #[arg(long, env = "AXON_IMAGE_DIGESTS", value_name = "LIST", default_value = "", hide_default_value = true, value_parser = Digests::parse)]
    pub image_digests: Digests,
    /// Agent and workspace images that are not REGISTRY/axon-NAME:TAG, as codex=IMAGE@sha256:DIGEST,workspace=IMAGE.
    #[arg(long, env = "AXON_IMAGES", value_name = "LIST", default_value = "", hide_default_value = true, value_parser = Exact::parse)]
    pub images: Exact,
    /// Secrets with which Tasks' pods pull images, each in the Task's namespace, separated by commas. A Task's own come
    /// first.
    #[arg(long, env = "AXON_IMAGE_PULL_SECRETS", value_name = "LIST", default_value = "", hide_default_value = true, value_parser = PullSecrets::parse)]
    pub image_pull_secrets: PullSecrets,
    /// HTTPS_PROXY in the containers of every Task that does not set it itself.
    #[arg(
        long,
        env = "AXON_POD_HTTPS_PROXY",
        value_name = "URL",
        hide_env_values = true
    )]
    pub pod_https_proxy: Option<String>,
    /// The same for HTTP_PROXY.
    #[arg(long, env = "AXON_POD_HTTP_PROXY", value_name = "URL", hide_env_values = true)]
    pub pod_http_proxy: Option<String>,
    /// The same for ALL_PROXY.
    #[arg(long, env = "AXON_POD_ALL_PROXY", value_name = "URL", hide_env_values = true)]
    pub pod_all_proxy: Option<String>,
    /// The same for NO_PROXY.
    #[arg(long, env = "AXON_POD_NO_PROXY", value_name = "LIST")]
    pub pod_no_proxy: Option<String>,
    /// Memory, ephemeral-storage and cpu that the scheduler reserves for a Task that does not say: RESOURCE=AMOUNT, separated
    /// by commas; empty for none.
    #[arg(long, env = "AXON_POD_REQUESTS", value_name = "LIST", default_value = "memory=256Mi", value_parser = ResourceList::parse)]
    pub pod_requests: ResourceList,
    /// The most of these that a Task may use that does not say.
    #[arg(long, env = "AXON_POD_LIMITS", value_name = "LIST", default_value = "memory=4Gi,ephemeral-storage=10Gi", value_parser = ResourceList::parse)]
    pub pod_limits: ResourceList,
    /// Size limit of each empty volume of a Task's pod that has none; 0 for none.
    #[arg(long, env = "AXON_POD_SCRATCH_LIMIT", value_name = "AMOUNT", default_value = "10Gi", value_parser = Scratch::parse)]
    pub pod_scratch_limit: Scratch,
    /// Deadline of a Task without podOverrides.activeDeadlineSeconds, such as 4h; 0 for none.
    #[arg(long, env = "AXON_POD_DEADLINE", value_name = "DURATION", default_value = "4h", value_parser = axon_api::go_duration::parse)]
    pub pod_deadline: Duration,
    /// Longest silence of the agent of a Task without stallTimeout, such as 1h; 0 for no limit.
    #[arg(long, env = "AXON_POD_STALL_TIMEOUT", value_name = "DURATION", default_value = "1h", value_parser = axon_api::go_duration::parse)]
    pub pod_stall_timeout: Duration,
    /// Most Tasks at the same time of a TaskSpawner without maxConcurrency; 0 for no limit.
    #[arg(
        long,
        env = "AXON_DEFAULT_MAX_CONCURRENCY",
        value_name = "NUMBER",
        default_value_t = 10
    )]
    pub default_max_concurrency: u32,
    /// Whether the operator keeps NetworkPolicy axon-agents in each namespace before it creates a Job there.
    #[arg(
        long,
        env = "AXON_AGENT_NETWORK_POLICY",
        value_name = "MODE",
        default_value = "managed"
    )]
    pub agent_network_policy: AgentNetworkPolicy,
    /// What Tasks' pods of all namespaces may reach besides DNS and ports 443 and 22 of public addresses, separated by commas:
    /// CIDR, CIDR:PORT, CIDR:PORT-PORT, or public:PORT.
    #[arg(long, env = "AXON_AGENT_NETWORK_ALLOW", value_name = "LIST", default_value = "", hide_default_value = true, value_parser = Allow::parse)]
    pub agent_network_allow: Allow,
    /// How long an image may fail to be pulled before its Task fails, such as 5m.
    #[arg(long, env = "AXON_IMAGE_PULL_LIMIT", default_value = "5m", value_parser = axon_api::go_duration::parse)]
    pub image_pull_limit: Duration,
    /// File with prices of models, for estimates of what agents report no cost for; see docs/agents.md.
    #[arg(long, env = "AXON_PRICE_TABLE", value_name = "FILE")]
    pub price_table: Option<PathBuf>,
    /// Pretends that this machine's clock is wrong by so many seconds, for tests of the operator.
    #[arg(long, hide = true, default_value_t = 0, allow_negative_numbers = true)]
    pub clock_skew: i64,
    /// How long records of finished Tasks are kept, such as 2160h (90 days); 0 for ever.
    #[arg(long, env = "AXON_RECORD_RETENTION", default_value = "2160h", value_parser = axon_api::go_duration::parse)]
    pub record_retention: Duration,
    /// Pause between rounds of the election, and the longest that one may take. Shorter ones elect sooner, with more
    /// calls.
    #[arg(long, env = "AXON_ELECTION_ROUND", default_value = "1500ms", hide = true, value_parser = axon_api::go_duration::parse)]
    pub election_round: Duration,
    /// Proxy through which GitHub is reached by https, as http://[USER:PASSWORD@]HOST:PORT.
    #[arg(long, env = "HTTPS_PROXY", hide_env_values = true)]
    pub https_proxy: Option<String>,
    /// Hosts, domains and networks that are reached without the proxy, separated by commas.
    #[arg(long, env = "NO_PROXY")]
    pub no_proxy: Option<String>,
    /// GitHub hosts that the operator talks to, separated by commas: HOST, HOST:PORT, *.DOMAIN, or http://HOST for one
    /// without TLS.
    #[arg(long, env = "AXON_GITHUB_HOSTS", value_name = "LIST", default_value = "github.com,*.ghe.com", value_parser = Hosts::parse)]
    pub github_hosts: Hosts,
    /// Private networks in which GitHub hosts may be that --github-hosts names by a wildcard, as CIDRs separated by commas.
    #[arg(
        long,
        env = "AXON_GITHUB_PRIVATE_NETWORKS",
        value_name = "LIST",
        value_delimiter = ','
    )]
    pub github_private_networks: Vec<IpNet>,
    /// What to log: error, warn, info, debug, trace, or a filter such as axon_operator=debug.
    #[arg(long, env = "AXON_LOG", default_value = "info")]
    pub log: String,
}

/// A size limit, or none. clap takes an `Option` for an option that may be absent.
#[derive(Debug, Clone)]
pub struct Scratch(pub Option<Amount>);

impl Scratch {
    fn parse(text: &str) -> Result<Self, AmountError> {
        Amount::parse(text).map(Self)
    }
}

/// Owner of the NetworkPolicy of Tasks' pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AgentNetworkPolicy {
    /// The operator.
    Managed,
    /// Nobody, or the administrator: the operator needs no rights on NetworkPolicies and Namespaces.
    Off,
}

impl Args {
    /// Returns what every Task's pod may use if the Task does not say.
    #[must_use]
    pub fn pod_limits(&self) -> PodLimits {
        PodLimits {
            requests: self.pod_requests.clone(),
            limits: self.pod_limits.clone(),
            scratch: self.pod_scratch_limit.0.clone(),
            deadline: self.pod_deadline,
            stall_timeout: self.pod_stall_timeout,
        }
    }

    /// Returns how many Tasks a TaskSpawner may run at the same time that does not say.
    #[must_use]
    pub fn default_concurrency(&self) -> Option<usize> {
        usize::try_from(self.default_max_concurrency)
            .ok()
            .filter(|max| *max > 0)
    }

    /// Returns what Tasks' pods may reach. A proxy that they get by its address is part of it; `resolv_conf` is the
    /// operator's own file of this name, which has the same name servers as that of pods.
    #[must_use]
    pub fn agent_network(&self, resolv_conf: &str) -> network_policy::Options {
        let mut allow = self.agent_network_allow.clone();
        let is_managed = self.agent_network_policy == AgentNetworkPolicy::Managed;
        let proxies = [&self.pod_https_proxy, &self.pod_http_proxy, &self.pod_all_proxy];
        for url in proxies.into_iter().flatten().filter(|url| !url.is_empty()) {
            if !allow.add_proxy(url) && is_managed {
                // Without the URL, which may have a password.
                tracing::warn!(
                    "a proxy of Tasks' pods is named by its host: if its address is private, add it to --agent-network-allow"
                );
            }
        }
        network_policy::Options {
            is_managed,
            allow,
            name_servers: network_policy::name_servers(resolv_conf),
        }
    }

    /// Returns what every Task's pod gets. An empty value sets nothing.
    #[must_use]
    pub fn pod_defaults(&self) -> PodDefaults {
        let proxies = [
            ("HTTPS_PROXY", &self.pod_https_proxy),
            ("HTTP_PROXY", &self.pod_http_proxy),
            ("ALL_PROXY", &self.pod_all_proxy),
            ("NO_PROXY", &self.pod_no_proxy),
        ];
        let set = proxies.map(|(name, value)| Some((name, value.clone().filter(|v| !v.is_empty())?)));
        PodDefaults {
            pull_secrets: self.image_pull_secrets.clone(),
            proxies: set.into_iter().flatten().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Args, String> {
        let words = [&["axon-operator", "--identity=a"], words].concat();
        Args::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn bad_lists_are_errors_that_name_the_option() {
        for (option, part) in [
            (
                "--images=claude=r/c",
                "'--images <LIST>': \"claude\" is none of the images",
            ),
            (
                "--image-digests=codex=v1",
                "'--image-digests <LIST>': \"codex=v1\" is not NAME=sha256:DIGEST",
            ),
            (
                "--image-pull-secrets=a,B",
                "'--image-pull-secrets <LIST>': \"B\" is no name",
            ),
            (
                "--watch-namespaces=a,B",
                "'--watch-namespaces <LIST>': namespace \"B\" may only have",
            ),
            (
                "--pod-limits=memory=4GiB",
                "'--pod-limits <LIST>': \"4GiB\" is no amount",
            ),
            (
                "--pod-scratch-limit=much",
                "'--pod-scratch-limit <AMOUNT>': \"much\" is no amount",
            ),
            (
                "--agent-network-allow=10.0.0.0/8,x",
                "'--agent-network-allow <LIST>': \"x\" is no CIDR",
            ),
            ("--agent-network-policy=on", "'--agent-network-policy <MODE>'"),
            (
                "--github-hosts=github.com,a/b",
                "'--github-hosts <LIST>': \"a/b\" is no host",
            ),
            (
                "--github-private-networks=10.0.0.0/40",
                "'--github-private-networks <LIST>'",
            ),
        ] {
            let error = parse(&[option]).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn hosts_are_those_of_github_unless_others_are_named() {
        assert_eq!(parse(&[]).unwrap().github_hosts, Hosts::default());
        let args = parse(&[
            "--github-hosts=ghe.example",
            "--github-private-networks=10.0.0.0/8,fd00::/8",
        ])
        .unwrap();
        assert!(args.github_hosts.name(false, "ghe.example") && !args.github_hosts.name(false, "github.com"));
        assert_eq!(args.github_private_networks.len(), 2);
    }

    #[test]
    fn pods_are_bounded_unless_somebody_says_that_they_are_not() {
        let bounded = parse(&[]).unwrap().pod_limits();
        assert!(bounded.scratch.is_some() && bounded.limits != ResourceList::default());
        assert_eq!(bounded.deadline, Duration::from_secs(4 * 3600));
        let options = [
            "--pod-requests=",
            "--pod-limits=",
            "--pod-scratch-limit=0",
            "--pod-deadline=0",
            "--pod-stall-timeout=0",
        ];
        let free = parse(&options).unwrap().pod_limits();
        assert_eq!(
            (free.requests, free.limits),
            (ResourceList::default(), ResourceList::default())
        );
        assert!(free.scratch.is_none() && free.deadline.is_zero() && free.stall_timeout.is_zero());
    }

    #[test]
    fn spawners_are_bounded_unless_somebody_says_that_they_are_not() {
        let default = |words: &[&str]| parse(words).unwrap().default_concurrency();
        assert_eq!(default(&[]), Some(10));
        assert_eq!(default(&["--default-max-concurrency=3"]), Some(3));
        assert_eq!(default(&["--default-max-concurrency=0"]), None);
        let error = parse(&["--default-max-concurrency=-1"]).unwrap_err();
        assert!(error.contains("--default-max-concurrency"), "{error}");
    }

    #[test]
    fn agents_reach_the_networks_and_proxies_that_are_given() {
        let network = parse(&[]).unwrap().agent_network("nameserver 10.96.0.10\n");
        assert!(network.is_managed && network.allow.is_empty() && network.name_servers.len() == 1);
        let network = parse(&[
            "--agent-network-allow=10.1.0.0/16:443",
            "--pod-https-proxy=http://u:p@10.2.0.1:3128",
            "--pod-http-proxy=",
            "--pod-all-proxy=http://proxy:1",
        ]);
        let wanted = Allow::parse("10.1.0.0/16:443,10.2.0.1/32:3128").unwrap();
        assert_eq!(network.unwrap().agent_network("").allow, wanted);
        let off = parse(&["--agent-network-policy=off"]).unwrap().agent_network("");
        assert!(!off.is_managed);
    }

    #[test]
    fn empty_values_set_nothing() {
        let args = parse(&[
            "--images=",
            "--image-digests=",
            "--image-pull-secrets=",
            "--pod-https-proxy=",
        ])
        .unwrap();
        assert_eq!(args.images, Exact::default());
        assert_eq!(args.image_pull_secrets, PullSecrets::default());
        assert_eq!(args.pod_defaults().proxies, []);
        let args = parse(&["--pod-no-proxy=.svc"]).unwrap();
        assert_eq!(args.pod_defaults().proxies, [("NO_PROXY", ".svc".to_owned())]);
    }
}
