//! Each fault, and which check finds it.

use super::*;

fn healthy() -> Facts {
    let right = |what: &str| Right {
        what: what.to_owned(),
        allowed: true,
        is_optional: false,
    };
    Facts {
        server: "https://host".into(),
        namespace: "team".into(),
        flags: " --context dev".into(),
        cluster: Ok("v1.34.4".into()),
        resources: Ok(crate::kinds::Kind::ALL.map(|k| k.plural().to_owned()).to_vec()),
        lacking: Ok(vec![]),
        operator: Ok(Some(OperatorFacts {
            version: "v0.1.0".into(),
            namespace: NAMESPACE.into(),
            replicas: 2,
            ready: 2,
            watches: Vec::new(),
        })),
        client: "v0.1.0".into(),
        leader: Ok(Some(2)),
        user: Ok(vec![right("create tasks")]),
        operator_rights: Ok(vec![right("create jobs")]),
        admission: Ok(AdmissionFacts::Served {
            missing: vec![],
            weakened: vec![],
            tasks: guards::TaskPolicy::Absent,
        }),
        roles: Ok(RoleFacts::default()),
        network: Ok(NetworkFacts {
            policy: network::PolicyState::Standard,
            others: vec![],
        }),
        pod_security: Ok(Some("restricted".into())),
        quotas: Ok(vec![QuotaFacts {
            name: "team".into(),
            exhausted: vec![],
            demands_limits: false,
            counts_tasks: true,
        }]),
        has_limit_range: Ok(true),
        image_faults: Ok(vec![]),
        spawners: Ok(vec![]),
        secrets: vec![SecretFacts {
            name: "s".into(),
            user: "workspace app".into(),
            wanted: vec!["GITHUB_TOKEN".into()],
            keys: Ok(Some(vec!["GITHUB_TOKEN".into()])),
            reach: None,
        }],
        github: Some(Ok(GithubFacts {
            status: 200,
            scopes: Some("repo, workflow".into()),
            remaining: Some(4000),
        })),
    }
}

fn worst(change: impl Fn(&mut Facts)) -> (Verdict, &'static str) {
    let mut facts = healthy();
    change(&mut facts);
    let findings = examine(&facts);
    let wrong: Vec<&Finding> = findings.iter().filter(|f| f.verdict != Verdict::Ok).collect();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert!(
        wrong[0].verdict == Verdict::Unknown || wrong[0].fix.is_some(),
        "{wrong:?}"
    );
    let fix = wrong[0].fix.clone().unwrap_or_default();
    assert!(
        !fix.contains("kubectl ") || fix.contains(" --context dev"),
        "{fix}"
    );
    (wrong[0].verdict, wrong[0].check)
}

#[test]
fn only_quotas_on_cpu_and_memory_ask_every_pod() {
    for (resource, asks) in [
        ("cpu", true),
        ("memory", true),
        ("requests.cpu", true),
        ("limits.memory", true),
        ("requests.storage", false),
        ("requests.nvidia.com/gpu", false),
        ("limits.ephemeral-storage", false),
        ("count/pods", false),
        ("gold.storageclass.storage.k8s.io/requests.storage", false),
    ] {
        assert_eq!(demands_of_pods(resource), asks, "{resource}");
    }
}

#[test]
fn a_healthy_cluster_has_nothing_to_fix() {
    let findings = examine(&healthy());
    assert!(
        findings
            .iter()
            .all(|f| f.verdict == Verdict::Ok && f.fix.is_none()),
        "{findings:?}"
    );
    assert_eq!(findings.len(), 15);
}

#[test]
fn each_fault_is_found_by_one_check() {
    use Verdict::{Fail, Unknown, Warn};
    assert_eq!(
        worst(|f| f.cluster = Ok("v1.27.3+k3s1".into())),
        (Fail, "cluster")
    );
    assert_eq!(
        worst(|f| f.resources = Ok(vec!["tasks".into()])),
        (Fail, "definitions")
    );
    assert_eq!(
        worst(|f| f.lacking = Ok(vec!["Task.status.nextRun".into()])),
        (Warn, "definitions")
    );
    assert_eq!(worst(|f| f.operator = Ok(None)), (Fail, "operator"));
    assert_eq!(worst(|f| f.client = "v0.9.0".into()), (Warn, "operator"));
    for system in ["kube-system", NAMESPACE] {
        assert_eq!(
            worst(|f| f.namespace = system.into()),
            (Fail, "namespace"),
            "{system}"
        );
    }
    let watches = |name: &str, f: &mut Facts| {
        let operator = f.operator.as_mut().unwrap().as_mut().unwrap();
        operator.watches = vec![name.to_owned()];
    };
    assert_eq!(worst(|f| watches("elsewhere", f)), (Fail, "operator"));
    let mut elsewhere = healthy();
    watches("elsewhere", &mut elsewhere);
    assert_eq!(
        operator(&elsewhere).fix.unwrap(),
        "kubectl axon install --watch-namespace elsewhere,team --context dev"
    );
    let mut here = healthy();
    watches("team", &mut here);
    assert!(
        examine(&here)
            .iter()
            .all(|finding| finding.verdict == Verdict::Ok)
    );
    assert_eq!(worst(|f| f.leader = Ok(None)), (Fail, "leader"));
    assert_eq!(worst(|f| f.leader = Ok(Some(500))), (Fail, "leader"));
    let missing = |what: &str| {
        Ok(vec![Right {
            what: what.to_owned(),
            allowed: false,
            is_optional: false,
        }])
    };
    assert_eq!(worst(|f| f.user = missing("create tasks")), (Fail, "your rights"));
    assert_eq!(
        worst(|f| f.operator_rights = missing("create jobs")),
        (Fail, "operator's rights")
    );
    assert_eq!(
        worst(|f| f.operator_rights = Err("forbidden".into())),
        (Unknown, "operator's rights")
    );
    let mut tenant = healthy();
    let secrets = Right {
        what: "get secrets".into(),
        allowed: false,
        is_optional: true,
    };
    tenant.user.as_mut().unwrap().push(secrets);
    let yours = examine(&tenant).into_iter().find(|f| f.check == "your rights");
    let yours = yours.unwrap();
    assert_eq!(yours.verdict, Verdict::Ok, "axon-edit reads no Secrets");
    assert!(yours.detail.ends_with("not: get secrets"), "{}", yours.detail);
    let quota = |exhausted: &[&str], demands_limits| {
        Ok(vec![QuotaFacts {
            name: "q".into(),
            exhausted: exhausted.iter().map(|e| (*e).to_owned()).collect(),
            demands_limits,
            counts_tasks: true,
        }])
    };
    assert_eq!(
        worst(|f| f.quotas = quota(&["pods (1 of 1)"], false)),
        (Fail, "quota")
    );
    let demanding = |f: &mut Facts| {
        f.quotas = quota(&[], true);
        f.has_limit_range = Err("forbidden".into());
    };
    let (findings, mut facts) = (Vec::from(["quota", "limits"]), healthy());
    demanding(&mut facts);
    let wrong = examine(&facts);
    let wrong = wrong.iter().filter(|f| f.verdict != Verdict::Ok).map(|f| f.check);
    assert_eq!(wrong.collect::<Vec<_>>(), findings);
    assert_eq!(worst(|f| f.quotas = Ok(vec![])), (Warn, "limits"));
    assert_eq!(worst(|f| f.has_limit_range = Ok(false)), (Warn, "limits"));
    let policy = |missing: &[&str], weakened: &[&str], tasks| {
        let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect();
        Ok(AdmissionFacts::Served {
            missing: names(missing),
            weakened: names(weakened),
            tasks,
        })
    };
    use guards::TaskPolicy::{Absent, WithoutParameters};
    assert_eq!(
        worst(|f| f.admission = Ok(AdmissionFacts::NotServed)),
        (Warn, "policy")
    );
    assert_eq!(
        worst(|f| f.admission = policy(&["p"; 5], &[], Absent)),
        (Warn, "policy")
    );
    assert_eq!(
        worst(|f| f.admission = policy(&[], &["p"], Absent)),
        (Warn, "policy")
    );
    assert_eq!(
        worst(|f| f.admission = policy(&[], &[], WithoutParameters)),
        (Fail, "policy")
    );
    assert_eq!(
        worst(|f| f.admission = Err("forbidden".into())),
        (Unknown, "policy")
    );
    let roles = |widened: &[&str], binding| {
        Ok(RoleFacts {
            widened: widened.iter().map(|right| (*right).to_owned()).collect(),
            binding,
        })
    };
    use guards::BindingState::{Drifted, Standard};
    assert_eq!(
        worst(|f| f.roles = roles(&["axon-edit: create pods"], Standard)),
        (Warn, "roles")
    );
    assert_eq!(
        worst(|f| f.roles = roles(&[], Drifted(vec!["User jane".into()]))),
        (Warn, "roles")
    );
    use network::PolicyState::{Absent as NoPolicy, Differs, Off, TakenOver, Unusable};
    let off = |is_left| Off {
        by: "--agent-network-policy=off".into(),
        is_left,
    };
    let policy = |policy, others: &[&str]| {
        let others = others.iter().map(|name| (*name).to_owned()).collect();
        Ok(NetworkFacts { policy, others })
    };
    for (state, others, verdict) in [
        (off(false), &[][..], Warn),
        (off(true), &["own"], Warn),
        (Differs, &[], Warn),
        (Unusable("annotation".into()), &[], Fail),
    ] {
        assert_eq!(
            worst(|f| f.network = policy(state.clone(), others)),
            (verdict, "network")
        );
    }
    for (state, others) in [
        (off(false), &["own"][..]),
        (NoPolicy, &[]),
        (TakenOver, &["more"]),
    ] {
        let mut facts = healthy();
        facts.network = policy(state, others);
        let found = network::network(&facts);
        assert_eq!((found.verdict, found.fix), (Verdict::Ok, None));
        assert!(
            others.iter().all(|name| found.detail.contains(name)),
            "{}",
            found.detail
        );
    }
    let reader = SpawnerFacts {
        name: "fix".into(),
        reads_github: true,
        ..SpawnerFacts::default()
    };
    let spawner = |change: &dyn Fn(&mut SpawnerFacts)| {
        let mut one = reader.clone();
        change(&mut one);
        worst(|f| f.spawners = Ok(vec![reader.clone(), one.clone()]))
    };
    assert_eq!(spawner(&|s| s.is_open = true), (Warn, "author gate"));
    assert_eq!(
        spawner(&|s| s.permission_unknown = Some("PushAccessNeeded: x".into())),
        (Warn, "author gate")
    );
    assert_eq!(
        spawner(&|s| s.stalled = Some("TemplateInvalid: x".into())),
        (Fail, "taskspawners")
    );
    assert_eq!(
        worst(|f| f.spawners = Err("forbidden".into())),
        (Unknown, "taskspawners")
    );
    assert_eq!(
        worst(|f| f.image_faults = Ok(vec!["pod x".into()])),
        (Fail, "images")
    );
    assert_eq!(worst(|f| f.secrets[0].keys = Ok(None)), (Fail, "secret"));
    assert_eq!(
        worst(|f| f.secrets[0].keys = Ok(Some(vec!["X".into()]))),
        (Fail, "secret")
    );
    let github = |status, scopes: Option<&str>, remaining| {
        Some(Ok(GithubFacts {
            status,
            scopes: scopes.map(str::to_owned),
            remaining: Some(remaining),
        }))
    };
    assert_eq!(worst(|f| f.github = github(401, None, 0)), (Fail, "github token"));
    assert_eq!(
        worst(|f| f.github = github(200, Some("gist"), 9000)),
        (Warn, "github token")
    );
    assert_eq!(worst(|f| f.github = github(200, None, 3)), (Warn, "github token"));
}

#[test]
fn a_cluster_that_does_not_answer_is_the_only_finding() {
    let mut facts = healthy();
    facts.cluster = Err("connection refused".into());
    let findings = examine(&facts);
    assert_eq!((findings.len(), findings[0].verdict), (1, Verdict::Fail));
}
