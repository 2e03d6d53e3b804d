//! The NetworkPolicy `axon-agents` of a namespace: what Tasks' pods may reach. Pure.
//!
//! The operator writes it before it creates a Job, and `kubectl axon doctor` compares it with what is there. NetworkPolicies
//! are additive: a second policy that selects the same pods can allow more, and cannot forbid what this one allows.

mod allow;
mod ranges;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::ObjectMeta;

use self::allow::Ports;
pub use self::allow::{Allow, AllowError};
use crate::labels;
pub use crate::managed::Plan;
use crate::managed::is_taken_over;

/// Name of the NetworkPolicy in each namespace.
pub const NAME: &str = "axon-agents";
/// Variable of the operator: `managed` or `off`.
pub const MODE_VARIABLE: &str = "AXON_AGENT_NETWORK_POLICY";
/// Variable of the operator with networks that Tasks' pods of all namespaces may reach, see [`Allow::parse`].
pub const ALLOW_VARIABLE: &str = "AXON_AGENT_NETWORK_ALLOW";
/// Variables of the operator with the proxies that Tasks' pods get.
pub const PROXY_VARIABLES: [&str; 3] = [
    "AXON_POD_HTTPS_PROXY",
    "AXON_POD_HTTP_PROXY",
    "AXON_POD_ALL_PROXY",
];

/// Ports of public addresses: HTTPS and SSH.
const PUBLIC: [u16; 2] = [443, 22];
const DNS: u16 = 53;
/// Ports on which a cluster's own DNS pods listen: CoreDNS, OpenShift's, and Gardener's. A policy sees the port of the pod, not
/// that of its Service.
const DNS_PODS: [u16; 3] = [DNS, 5353, 8053];
/// Name servers on the node: `NodeLocal` DNSCache, and GKE's Cloud DNS. The latter is the metadata server's address too, of which
/// port 53 alone is opened.
const NODE_DNS: [&str; 2] = ["169.254.20.10/32", "169.254.169.254/32"];

/// Why the annotations of a Namespace can't be followed. Nothing is opened then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    /// [`labels::NETWORK_POLICY`] has a value other than `managed` and `off`.
    #[error(
        "annotation {} of namespace {namespace} is {value:?}: write managed or off, or remove it",
        labels::NETWORK_POLICY
    )]
    Mode {
        /// Namespace with the annotation.
        namespace: String,
        /// Value of the annotation, cut to a length that a message can hold.
        value: String,
    },
    /// [`labels::ALLOW_EGRESS`] is no list of networks.
    #[error(
        "annotation {} of namespace {namespace} can't be used: {source}",
        labels::ALLOW_EGRESS
    )]
    Allow {
        /// Namespace with the annotation.
        namespace: String,
        /// Error of the first invalid entry.
        #[source]
        source: AllowError,
    },
}

/// Returns what a Namespace's annotations add to the installation's networks; `None` if they turn the policy off.
///
/// # Errors
/// [`AnnotationError`] for values that can't be used.
pub fn of_namespace(
    namespace: &str,
    annotations: Option<&BTreeMap<String, String>>,
) -> Result<Option<Allow>, AnnotationError> {
    let value = |key: &str| annotations.and_then(|all| all.get(key)).map(String::as_str);
    match value(labels::NETWORK_POLICY) {
        Some("off") => return Ok(None),
        Some("managed") | None => {}
        Some(other) => {
            return Err(AnnotationError::Mode {
                namespace: namespace.to_owned(),
                value: allow::shortened(other),
            });
        }
    }
    match Allow::parse(value(labels::ALLOW_EGRESS).unwrap_or_default()) {
        Ok(allow) => Ok(Some(allow)),
        Err(source) => Err(AnnotationError::Allow {
            namespace: namespace.to_owned(),
            source,
        }),
    }
}

/// Builds the NetworkPolicy of a namespace. `name_servers` are further DNS servers of the cluster's pods, for example the ClusterIP
/// of the DNS Service. The policy always allows the DNS pods and the node-local addresses.
#[must_use]
pub fn policy(namespace: &str, allow: &Allow, name_servers: &[IpAddr]) -> NetworkPolicy {
    let mut egress = vec![
        NetworkPolicyEgressRule {
            to: Some(dns_pods().into()),
            ports: Some(ports(&["UDP", "TCP"], &DNS_PODS.map(Ports::one))),
        },
        NetworkPolicyEgressRule {
            to: Some(node_dns(name_servers)),
            ports: Some(ports(&["UDP", "TCP"], &[Ports::one(DNS)])),
        },
    ];
    let mut open = PUBLIC.map(Ports::one).to_vec();
    open.extend(
        allow
            .public()
            .filter(|more| !PUBLIC.map(Ports::one).contains(more)),
    );
    egress.push(NetworkPolicyEgressRule {
        to: Some(
            ranges::public()
                .into_iter()
                .map(|(net, except)| block(net, &except))
                .collect(),
        ),
        ports: Some(ports(&["TCP"], &open)),
    });
    egress.extend(allow.networks().map(|(network, open)| NetworkPolicyEgressRule {
        to: Some(vec![block(network, &[])]),
        // None are all ports of all protocols.
        ports: open.map(|open| ports(&["TCP"], &[open])),
    }));
    NetworkPolicy {
        metadata: ObjectMeta {
            name: Some(NAME.into()),
            namespace: Some(namespace.into()),
            labels: Some(owned([
                (labels::NAME, labels::APP_NAME),
                (labels::MANAGED_BY, labels::MANAGER),
            ])),
            ..ObjectMeta::default()
        },
        spec: Some(NetworkPolicySpec {
            // Labels that `job` sets last, so that no Task can change them.
            pod_selector: Some(LabelSelector {
                match_labels: Some(owned([
                    (labels::COMPONENT, labels::COMPONENT_TASK),
                    (labels::MANAGED_BY, labels::MANAGER),
                ])),
                match_expressions: None,
            }),
            policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
            // Given, though empty: server-side apply then owns it, and removes rules that somebody adds.
            ingress: Some(Vec::new()),
            egress: Some(egress),
        }),
    }
}

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn dns_pods() -> [NetworkPolicyPeer; 2] {
    let namespace = |name: &str| LabelSelector {
        match_labels: Some(owned([("kubernetes.io/metadata.name", name)])),
        match_expressions: None,
    };
    let cluster_s = LabelSelector {
        match_labels: None,
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: "k8s-app".into(),
            operator: "In".into(),
            // Some networks, such as Cilium's local redirects, send queries to the cache on the node.
            values: Some(vec!["kube-dns".into(), "node-local-dns".into()]),
        }]),
    };
    let open_shift_s = LabelSelector {
        match_labels: Some(owned([("dns.operator.openshift.io/daemonset-dns", "default")])),
        match_expressions: None,
    };
    [("kube-system", cluster_s), ("openshift-dns", open_shift_s)].map(|(place, pods)| NetworkPolicyPeer {
        namespace_selector: Some(namespace(place)),
        pod_selector: Some(pods),
        ip_block: None,
    })
}

/// Returns the DNS servers that the policy allows by address. A node-local cache can answer at the ClusterIP of the DNS Service: the
/// network then matches that address, not a pod.
fn node_dns(name_servers: &[IpAddr]) -> Vec<NetworkPolicyPeer> {
    let mut all: Vec<String> = NODE_DNS.map(str::to_owned).to_vec();
    for server in name_servers {
        let host = IpNet::from(*server).to_string();
        if !server.is_loopback() && !server.is_unspecified() && !all.contains(&host) {
            all.push(host);
        }
    }
    let peer = |cidr: String| NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr, except: None }),
        ..NetworkPolicyPeer::default()
    };
    all.into_iter().map(peer).collect()
}

fn block(network: IpNet, except: &[IpNet]) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: network.to_string(),
            except: (!except.is_empty()).then(|| except.iter().map(ToString::to_string).collect()),
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn ports(protocols: &[&str], all: &[Ports]) -> Vec<NetworkPolicyPort> {
    let of = |open: &Ports, protocol: &str| NetworkPolicyPort {
        port: Some(IntOrString::Int(open.first.into())),
        end_port: (open.last > open.first).then(|| open.last.into()),
        protocol: Some(protocol.to_owned()),
    };
    all.iter()
        .flat_map(|open| protocols.iter().map(|protocol| of(open, protocol)))
        .collect()
}

/// Returns the DNS servers that an existing `axon-agents` policy allows by address. `doctor` passes them to [`policy`] and compares the
/// result with the existing policy.
#[must_use]
pub fn name_servers(found: &NetworkPolicy) -> Vec<IpAddr> {
    let rules = found.spec.iter().flat_map(|spec| spec.egress.iter().flatten());
    let peers = rules.skip(1).take(1).flat_map(|rule| rule.to.iter().flatten());
    let hosts = peers.filter_map(|peer| peer.ip_block.as_ref()?.cidr.parse::<IpNet>().ok());
    hosts
        .filter(|net| net.prefix_len() == net.max_prefix_len())
        .map(|net| net.addr())
        .collect()
}

/// Compares the existing policy, if there is one, with the wanted one.
#[must_use]
pub fn plan(found: Option<&NetworkPolicy>, wanted: &NetworkPolicy) -> Plan {
    let Some(found) = found else {
        return Plan::Apply;
    };
    if is_taken_over(&found.metadata) {
        return Plan::LeaveAlone;
    }
    let has_labels = wanted.metadata.labels.iter().flatten().all(|(key, value)| {
        let own = found.metadata.labels.as_ref();
        own.and_then(|own| own.get(key)) == Some(value)
    });
    // An empty list and none are the same to Kubernetes.
    let spec = |policy: &NetworkPolicy| {
        let mut spec = policy.spec.clone().unwrap_or_default();
        spec.ingress = spec.ingress.filter(|rules| !rules.is_empty());
        spec
    };
    match has_labels && spec(found) == spec(wanted) {
        true => Plan::Keep,
        false => Plan::Apply,
    }
}

#[cfg(test)]
mod tests;
