//! What goes wrong in the first hours, checked. Pure: from facts to findings.

pub mod credentials;
pub mod guards;
pub mod network;
pub mod spawners;

use serde::Serialize;

use self::credentials::{GithubFacts, SecretFacts};
use self::guards::{AdmissionFacts, RoleFacts};
use self::network::NetworkFacts;
use self::spawners::SpawnerFacts;

use crate::install::manifests::NAMESPACE;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Works, but is worth a look.
    Warn,
    /// Does not work.
    Fail,
    /// Could not be looked at.
    Unknown,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// A fact, or why it could not be learnt.
pub type Fact<T> = Result<T, String>;

/// The operator's Deployment.
#[derive(Clone, Debug, Default)]
pub struct OperatorFacts {
    /// Version by its image's tag.
    pub version: String,
    /// Where it is.
    pub namespace: String,
    /// Replicas that are wanted.
    pub replicas: i32,
    /// Replicas that are ready.
    pub ready: i32,
    /// Namespaces that it works in; none are all of the cluster.
    pub watches: Vec<String>,
}

/// A right that somebody needs.
#[derive(Clone, Debug)]
pub struct Right {
    /// What for, such as `create tasks`.
    pub what: String,
    /// Whether it is there.
    pub allowed: bool,
    /// True for what only somebody needs who sets up credentials.
    pub is_optional: bool,
}

/// A quota's resource that is used up, or nearly.
#[derive(Clone, Debug)]
pub struct QuotaFacts {
    /// Name of the ResourceQuota.
    pub name: String,
    /// Resources of which all is used, as `pods (10 of 10)`.
    pub exhausted: Vec<String>,
    /// True if pods must say what they request and are limited to.
    pub demands_limits: bool,
    /// True if it bounds the number of Tasks, Jobs or pods.
    pub counts_tasks: bool,
}

/// Everything that was learnt.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Where the cluster is, in words.
    pub server: String,
    /// The namespace that is worked in.
    pub namespace: String,
    /// Flags by which a command to be typed next finds the same cluster, each with a blank before it; often none.
    pub flags: String,
    /// Version of the API server, such as `v1.34.4`.
    pub cluster: Fact<String>,
    /// Resources that are served, and those that should be.
    pub resources: Fact<Vec<String>>,
    /// Fields and values that the served definitions lack of this program's.
    pub lacking: Fact<Vec<String>>,
    /// The operator; `None` if it is not installed.
    pub operator: Fact<Option<OperatorFacts>>,
    /// Version of this program.
    pub client: String,
    /// Seconds since the leader renewed its lease; `None` if there is no leader.
    pub leader: Fact<Option<i64>>,
    /// What the user may do in the namespace.
    pub user: Fact<Vec<Right>>,
    /// What the operator may do.
    pub operator_rights: Fact<Vec<Right>>,
    /// The admission policies.
    pub admission: Fact<AdmissionFacts>,
    /// Who has rights beyond the release's.
    pub roles: Fact<RoleFacts>,
    /// State of the NetworkPolicy of Tasks' pods.
    pub network: Fact<NetworkFacts>,
    /// Level of Pod Security that the namespace enforces; `None` for none.
    pub pod_security: Fact<Option<String>>,
    /// Quotas of the namespace.
    pub quotas: Fact<Vec<QuotaFacts>>,
    /// True if a LimitRange gives containers defaults.
    pub has_limit_range: Fact<bool>,
    /// Pods of Tasks whose image can't be pulled, with what is said about it.
    pub image_faults: Fact<Vec<String>>,
    /// TaskSpawners of the namespace.
    pub spawners: Fact<Vec<SpawnerFacts>>,
    /// Secrets that are named.
    pub secrets: Vec<SecretFacts>,
    /// GitHub, if the configuration file has a token.
    pub github: Option<Fact<GithubFacts>>,
}

/// Oldest Kubernetes that has all that the definitions need.
const OLDEST_MINOR: u64 = 28;
/// A leader renews far more often.
const LEADER_SECONDS: i64 = 60;

fn ok(check: &'static str, detail: impl Into<String>) -> Finding {
    Finding {
        check,
        verdict: Verdict::Ok,
        detail: detail.into(),
        fix: None,
    }
}

fn bad(check: &'static str, verdict: Verdict, detail: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding {
        check,
        verdict,
        detail: detail.into(),
        fix: Some(fix.into()),
    }
}

fn unknown(check: &'static str, why: &str) -> Finding {
    Finding {
        check,
        verdict: Verdict::Unknown,
        detail: format!("not checked: {why}"),
        fix: None,
    }
}

/// Returns what was found, in the order in which it would have to be put right.
#[must_use]
pub fn examine(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![cluster(facts)];
    // Nothing else can be known about a cluster that does not answer.
    if facts.cluster.is_err() {
        return findings;
    }
    findings.extend([resources(facts), operator(facts)]);
    let installed = !matches!(facts.operator, Ok(None));
    findings.extend(installed.then(|| leader(facts)));
    findings.push(rights("your rights", &facts.user, |_| {
        format!(
            "ask an administrator: kubectl create rolebinding NAME --clusterrole=edit --user=YOU -n {}{}",
            facts.namespace, facts.flags
        )
    }));
    findings
        .extend(installed.then(|| rights("operator's rights", &facts.operator_rights, |_| install(facts))));
    if installed {
        findings.extend([
            guards::roles(facts),
            guards::policy(facts),
            network::network(facts),
        ]);
    }
    findings.extend(of_the_system(facts));
    findings.extend([
        pod_security(facts),
        quota(facts),
        guards::limits(facts),
        images(facts),
    ]);
    findings.extend(spawners::spawners(facts));
    findings.extend(credentials::credentials(facts));
    findings
}

/// Says that no Task runs where the admission policies let the operator create no Job.
fn of_the_system(facts: &Facts) -> Option<Finding> {
    let namespace = &facts.namespace;
    let is_system = namespace.starts_with("kube-") || namespace == place(facts);
    is_system.then(|| {
        let state = format!("no task runs in {namespace}: the operator creates nothing in system namespaces");
        bad(
            "namespace",
            Verdict::Fail,
            state,
            format!("use another namespace: -n NAME{}", facts.flags),
        )
    })
}

fn cluster(facts: &Facts) -> Finding {
    let check = "cluster";
    match &facts.cluster {
        Err(why) => bad(
            check,
            Verdict::Fail,
            why.clone(),
            format!("kubectl cluster-info{}", facts.flags),
        ),
        Ok(version) => {
            let mut parts = version.trim_start_matches('v').split('.');
            let major = parts.next().and_then(|p| p.parse::<u64>().ok());
            let digits = |p: &str| p.chars().take_while(char::is_ascii_digit).collect::<String>();
            let minor = parts.next().and_then(|p| digits(p).parse::<u64>().ok());
            let detail = format!("Kubernetes {version} at {}", facts.server);
            match (major, minor) {
                (Some(1), Some(minor)) if minor < OLDEST_MINOR => bad(
                    check,
                    Verdict::Fail,
                    detail,
                    format!("update the cluster to Kubernetes 1.{OLDEST_MINOR} or later"),
                ),
                _ => ok(check, detail),
            }
        }
    }
}

/// Most fields and values that are named of those that definitions lack.
const MOST_LACKING: usize = 3;

fn resources(facts: &Facts) -> Finding {
    let check = "definitions";
    let served = match &facts.resources {
        Ok(served) => served,
        Err(why) => return unknown(check, why),
    };
    let missing: Vec<&str> = crate::kinds::Kind::ALL
        .iter()
        .map(|kind| kind.plural())
        .filter(|plural| !served.iter().any(|s| s == plural))
        .collect();
    if missing.is_empty() {
        // Who may not read the schema learns at least that the kinds are there.
        match facts.lacking.as_deref() {
            Ok([]) | Err(_) => ok(
                check,
                format!("{} serves all {} kinds", axon_api::API_VERSION, served.len()),
            ),
            Ok(lacking) => {
                let first: Vec<&str> = lacking.iter().take(MOST_LACKING).map(String::as_str).collect();
                let more = lacking.len().saturating_sub(MOST_LACKING);
                let more = if more == 0 {
                    String::new()
                } else {
                    format!(" and {more} more")
                };
                let detail = format!("older than {}: without {}{more}", facts.client, first.join(", "));
                bad(check, Verdict::Warn, detail, install(facts))
            }
        }
    } else {
        let detail = format!("{} is without {}", axon_api::API_VERSION, missing.join(", "));
        bad(check, Verdict::Fail, detail, install(facts))
    }
}

/// Returns how to install, or to update what is there.
fn install(facts: &Facts) -> String {
    let place = place(facts);
    if place == NAMESPACE {
        let operator = facts.operator.as_ref().ok().and_then(Option::as_ref);
        let more = match operator.filter(|_| is_unwatched(facts)) {
            Some(operator) => format!(
                " --watch-namespace {},{}",
                operator.watches.join(","),
                facts.namespace
            ),
            None => String::new(),
        };
        format!("kubectl axon install{more}{}", facts.flags)
    } else {
        format!("apply the release to namespace {place} again, as it was done before")
    }
}

/// Returns the operator's namespace.
fn place(facts: &Facts) -> &str {
    let found = facts.operator.as_ref().ok().and_then(Option::as_ref);
    found.map_or(NAMESPACE, |operator| &operator.namespace)
}

fn operators_log(facts: &Facts) -> String {
    format!(
        "kubectl logs deployment/axon-operator -n {}{}",
        place(facts),
        facts.flags
    )
}

/// Returns true if the operator works in some namespaces, and not in this one.
fn is_unwatched(facts: &Facts) -> bool {
    let found = facts.operator.as_ref().ok().and_then(Option::as_ref);
    found.is_some_and(|operator| !operator.watches.is_empty() && !operator.watches.contains(&facts.namespace))
}

fn operator(facts: &Facts) -> Finding {
    let check = "operator";
    match &facts.operator {
        Err(why) => unknown(check, why),
        Ok(None) => bad(check, Verdict::Fail, "not installed", install(facts)),
        Ok(Some(operator)) => {
            let mut state = format!(
                "{}, {} of {} ready",
                operator.version, operator.ready, operator.replicas
            );
            if operator.namespace != NAMESPACE {
                state = format!("{state}, in namespace {}", operator.namespace);
            }
            let watches = operator.watches.join(",");
            if is_unwatched(facts) {
                let namespace = &facts.namespace;
                let state = format!("it does not work in namespace {namespace}, only in {watches}");
                return bad(check, Verdict::Fail, state, install(facts));
            }
            if !watches.is_empty() {
                state = format!("{state}, in namespaces {watches} alone");
            }
            if operator.ready == 0 {
                let flags = &facts.flags;
                let fix = format!(
                    "kubectl describe pods -n {}{flags}; {}",
                    operator.namespace,
                    operators_log(facts)
                );
                return bad(check, Verdict::Fail, state, fix);
            }
            if let Some(warning) = crate::install::installed::skew(&facts.client, &operator.version) {
                return bad(check, Verdict::Warn, warning, install(facts));
            }
            ok(check, state)
        }
    }
}

fn leader(facts: &Facts) -> Finding {
    let check = "leader";
    let fix = operators_log(facts);
    match &facts.leader {
        Err(why) => unknown(check, why),
        Ok(None) => bad(
            check,
            Verdict::Fail,
            "no operator leads: no task is taken up",
            fix,
        ),
        Ok(Some(age)) if *age > LEADER_SECONDS => bad(
            check,
            Verdict::Fail,
            format!("the leader was last heard of {age} s ago: no task is taken up"),
            fix,
        ),
        Ok(Some(_)) => ok(check, "an operator leads"),
    }
}

fn rights(check: &'static str, rights: &Fact<Vec<Right>>, fix: impl Fn(&str) -> String) -> Finding {
    let rights = match rights {
        Err(why) => return unknown(check, why),
        Ok(rights) => rights,
    };
    let missing = |optional: bool| {
        let missing = rights.iter().filter(|r| !r.allowed && r.is_optional == optional);
        missing.map(|r| r.what.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (needed, optional) = (missing(false), missing(true));
    if !needed.is_empty() {
        let all = [needed.as_str(), &optional].join(", ");
        let all = all.trim_end_matches(", ");
        bad(check, Verdict::Fail, format!("missing: {all}"), fix(all))
    } else if !optional.is_empty() {
        ok(
            check,
            format!("enough for tasks with credentials that are set up; not: {optional}"),
        )
    } else {
        ok(check, format!("all {} that were looked at", rights.len()))
    }
}

fn pod_security(facts: &Facts) -> Finding {
    let check = "pod security";
    let namespace = &facts.namespace;
    match &facts.pod_security {
        Err(why) => unknown(check, why),
        Ok(None) => ok(
            check,
            format!("namespace {namespace} enforces nothing; task pods fit even restricted"),
        ),
        Ok(Some(level)) => ok(
            check,
            format!("namespace {namespace} enforces {level}; task pods fit restricted"),
        ),
    }
}

/// Returns true for what a quota makes every container name. Of sizes of storage and of devices, pods that name none
/// simply take none (`validationSet` of Kubernetes' quota for pods).
pub(crate) fn demands_of_pods(resource: &str) -> bool {
    let of_container = resource
        .strip_prefix("requests.")
        .or_else(|| resource.strip_prefix("limits."));
    matches!(of_container.unwrap_or(resource), "cpu" | "memory")
}

fn quota(facts: &Facts) -> Finding {
    let check = "quota";
    let (quotas, limited) = match (&facts.quotas, &facts.has_limit_range) {
        (Ok(quotas), limited) => (quotas, limited.clone().unwrap_or(false)),
        (Err(why), _) => return unknown(check, why),
    };
    if let Some(full) = quotas.iter().find(|q| !q.exhausted.is_empty()) {
        return bad(
            check,
            Verdict::Fail,
            format!(
                "resourcequota {} is used up: {}",
                full.name,
                full.exhausted.join(", ")
            ),
            format!(
                "kubectl describe resourcequota {} -n {}{}",
                full.name, facts.namespace, facts.flags
            ),
        );
    }
    if let Some(strict) = quotas.iter().find(|q| q.demands_limits).filter(|_| !limited) {
        return bad(
            check,
            Verdict::Warn,
            format!(
                "resourcequota {} refuses pods without requests and limits",
                strict.name
            ),
            "give the namespace a LimitRange with defaults, or tasks podOverrides.resources",
        );
    }
    ok(
        check,
        match quotas.len() {
            0 => "none in the namespace".to_owned(),
            n => format!("{} with room", crate::format::count(n, "resourcequota")),
        },
    )
}

fn images(facts: &Facts) -> Finding {
    let check = "images";
    match &facts.image_faults {
        Err(why) => unknown(check, why),
        Ok(faults) => match faults.first() {
            None => ok(check, "no task pod waits for an image"),
            Some(first) => bad(
                check,
                Verdict::Fail,
                first.clone(),
                format!(
                    "kubectl axon install --registry REGISTRY{}, or give the nodes access to the registry",
                    facts.flags
                ),
            ),
        },
    }
}

#[cfg(test)]
mod tests;
