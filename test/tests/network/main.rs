//! Packets of a Task's pod, on a network that enforces NetworkPolicies: the network policy controller of kube-router, on a
//! node of network namespaces. API server, Job controller and operator are real; the pod is a namespace with its address.
//!
//! IPv4 alone: kube-router 2.1 loads no rules with pods for IPv6 (it leaves the prefix out of the names of their sets).
//!
//! Needs root, iptables, ipset, and kube-router as `AXON_KUBE_ROUTER` or in `.cluster/bin`: `make network`.
#![cfg(test)]

mod lab;

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use axon_test::control_plane::ControlPlane;
use axon_test::kubelet::Kubelet;
use axon_test::namespace::Namespace;
use axon_test::operator_process::{self, Operator};
use axon_test::{manifests, paths, wait};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::config::Kubeconfig;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::lab::{Lab, NODE, Netns, address_of};

const PATIENCE: Duration = Duration::from_secs(60);

/// Addresses outside of the node.
const WORLD: [&str; 10] = [
    "140.82.121.3",
    "8.8.8.8",
    "10.20.0.5",
    "10.30.0.5",
    "10.96.0.1",
    "192.168.1.1",
    "172.16.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "169.254.169.254",
];
const PORTS: [u16; 5] = [443, 22, 80, 53, 8080];
const AGENT: &str = "10.244.0.2";
const OTHER: &str = "10.244.0.3";
const DNS: &str = "10.244.0.9";

/// Targets that the agent reaches by the policy and by `--agent-network-allow=10.20.0.0/16:443`.
const OPEN: [&str; 8] = [
    "140.82.121.3:443",
    "140.82.121.3:22",
    "8.8.8.8:443",
    "10.20.0.5:443",
    "10.244.0.9:53",
    "10.244.0.9:53/udp",
    "169.254.169.254:53",
    "169.254.169.254:53/udp",
];
const CLOSED: [&str; 17] = [
    "140.82.121.3:80",
    "140.82.121.3:8080",
    "8.8.8.8:53",
    "8.8.8.8:53/udp",
    "140.82.121.3:443/udp",
    "10.20.0.5:80",
    "10.30.0.5:443",
    "10.96.0.1:443",
    "192.168.1.1:22",
    "172.16.0.1:443",
    "100.100.100.200:443",
    "168.63.129.16:443",
    "169.254.169.254:443",
    "169.254.169.254:80",
    "10.244.0.9:443",
    "10.244.0.3:443",
    "10.250.0.1:443",
];

struct Router {
    child: Child,
    log: PathBuf,
}

impl Router {
    fn said(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    fn explain<T>(&self, result: anyhow::Result<T>) -> T {
        result.unwrap_or_else(|error| panic!("{error}\n{}", self.said().unwrap_or_default()))
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kube_router() -> PathBuf {
    let built = paths::root().join(".cluster/bin/kube-router");
    let program = std::env::var_os("AXON_KUBE_ROUTER").map_or(built, PathBuf::from);
    assert!(
        program.is_file(),
        "{} does not exist: run `make network`",
        program.display()
    );
    program
}

fn start_router(lab: &Lab, control_plane: &ControlPlane, folder: &tempfile::TempDir) -> Router {
    let log = folder.path().join("kube-router.log");
    let mut command = Command::new(kube_router());
    command
        .arg(format!("--kubeconfig={}", control_plane.kubeconfig().display()))
        .args([
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
            "--hostname-override=node",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--health-port=0",
            "--v=1",
        ])
        .stderr(File::create(&log).unwrap());
    let child = lab.node.spawn(command).unwrap();
    Router { child, log }
}

/// Says where a pod is and what its address is, as its kubelet does.
async fn starts(pods: &Api<Pod>, name: &str, address: &str) {
    let status = json!({"status": {"phase": "Running", "hostIP": NODE, "hostIPs": [{"ip": NODE}], "podIP": address,
        "podIPs": [{"ip": address}]}});
    pods.patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
        .await
        .unwrap();
}

async fn pod(client: &Client, namespace: &str, label: &str, address: &str) {
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: p, labels: {{k8s-app: {label}}}}}\nspec:\n  containers: [{{name: c, image: i}}]\n"
    );
    wait::until("the namespace's account", PATIENCE, async || {
        Ok(manifests::apply(client, namespace, &pod).await.ok())
    })
    .await
    .unwrap();
    starts(&Api::namespaced(client.clone(), namespace), "p", address).await;
}

const NODE_OBJECT: &str = "apiVersion: v1\nkind: Node\nmetadata: {name: node}\n";
const OWN: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: more}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/component: task}}
  policyTypes: [Egress]
  egress:
    - to: [{ipBlock: {cidr: 10.30.0.5/32}}]
      ports: [{port: 8080, protocol: TCP}]
";

fn reached(pod: &Netns, all: &[&'static str]) -> Vec<&'static str> {
    let found = all.iter().filter(|to| pod.reaches(to).unwrap());
    found.copied().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_of_a_task_reaches_what_the_policy_allows_and_nothing_else() {
    let mut lab = Lab::new(&WORLD, &PORTS).unwrap();
    let (agent, other, dns) = (
        lab.pod(AGENT).unwrap(),
        lab.pod(OTHER).unwrap(),
        lab.pod(DNS).unwrap(),
    );
    for port in [443, 53] {
        for (server, address) in [(&agent, AGENT), (&other, OTHER), (&dns, DNS), (&lab.node, NODE)] {
            server.serve(address, port).unwrap();
        }
    }

    let control_plane = ControlPlane::start(&[]).await.unwrap();
    let client = control_plane.client().await.unwrap();
    operator_process::install_rights(&client).await.unwrap();
    let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig()).unwrap();
    let server = kubeconfig.clusters[0].cluster.clone().unwrap().server.unwrap();
    lab.relay(address_of(&server).unwrap()).unwrap();
    manifests::apply(&client, "default", NODE_OBJECT).await.unwrap();
    let nodes = Api::<k8s_openapi::api::core::v1::Node>::all(client.clone());
    let addresses = json!({"status": {"addresses": [{"type": "InternalIP", "address": NODE}]}});
    nodes
        .patch_status("node", &PatchParams::default(), &Patch::Merge(&addresses))
        .await
        .unwrap();
    pod(&client, "kube-system", "kube-dns", DNS).await;
    pod(&client, "default", "web", OTHER).await;

    let folder = tempfile::tempdir().unwrap();
    let router = start_router(&lab, &control_plane, &folder);
    let token = operator_process::token(&client).await.unwrap();
    let allow = ["--agent-network-allow=10.20.0.0/16:443"];
    let _operator = Operator::start_beside(control_plane.kubeconfig(), &token, &allow).unwrap();
    let namespace: Namespace = control_plane.namespace().await.unwrap();
    namespace
        .apply(
            "apiVersion: axon.io/v1alpha1\nkind: Task\nmetadata: {name: t}\nspec: {type: codex, prompt: x, credentials: {type: none}}\n",
        )
        .await
        .unwrap();
    let made = Kubelet::new(&namespace).pod_of("t").await.unwrap();

    // Before the network knows the pod, all is open: what is closed below is so by the policy.
    let works = wait::until("kube-router to work", PATIENCE, async || {
        Ok(router.said()?.contains("sync iptables took").then_some(()))
    });
    router.explain(works.await);
    for all in [&OPEN[..], &CLOSED[..]] {
        assert_eq!(reached(&agent, all), all);
    }
    assert!(
        other.reaches("10.244.0.2:443").unwrap() && lab.is_reached_from_outside("10.244.0.2:443").unwrap()
    );

    let since = Instant::now();
    starts(&namespace.api(), &made.name_any(), AGENT).await;
    let holds = wait::until("the policy to hold", PATIENCE, async || {
        Ok((!agent.reaches("169.254.169.254:80")?).then_some(()))
    });
    router.explain(holds.await);
    println!(
        "the policy holds {:?} after the pod has its address",
        since.elapsed()
    );
    assert_eq!(reached(&agent, &CLOSED), [""; 0]);
    assert_eq!(reached(&agent, &OPEN), OPEN);
    for port in [443, 53] {
        let agent_s = format!("{AGENT}:{port}");
        assert!(!other.reaches(&agent_s).unwrap(), "{agent_s}");
        assert!(!lab.is_reached_from_outside(&agent_s).unwrap(), "{agent_s}");
    }
    assert!(
        other.reaches("10.30.0.5:443").unwrap(),
        "pods that are no agent's"
    );

    // A second policy adds to it.
    namespace.apply(OWN).await.unwrap();
    wait::until("the second policy", PATIENCE, async || {
        Ok(agent.reaches("10.30.0.5:8080")?.then_some(()))
    })
    .await
    .unwrap();
    assert_eq!(reached(&agent, &CLOSED), [""; 0]);
    assert_eq!(reached(&agent, &OPEN), OPEN);
}
