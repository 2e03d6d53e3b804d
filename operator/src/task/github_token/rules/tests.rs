use axon_api::v1alpha1::GithubToken;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::images::Images;
use crate::task::build::job;
use crate::task::fixtures::{task, workspace};
use axon_github::ErrorContext;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn minted(renew: i64) -> GithubToken {
    GithubToken {
        secret_name: "t-github-token".into(),
        expiration_time: Time(at(renew + 900)),
        renew_time: Time(at(renew)),
    }
}

fn with_secret() -> Workspace {
    let mut workspace = workspace("https://github.com/o/r");
    workspace.spec.secret_ref = Some(NameRef::new("app"));
    workspace
}

fn running(token: Option<GithubToken>) -> Task {
    let mut task = task("t");
    task.status = Some(TaskStatus {
        phase: Some(TaskPhase::Running),
        job_name: Some("t".into()),
        github_token: token,
        ..TaskStatus::default()
    });
    task
}

fn wait(seconds: u64) -> Step {
    Step::Do(Decision::Wait(Some(Duration::from_secs(seconds))))
}

fn create() -> Decision {
    Decision::CreateJob(Box::default())
}

#[test]
fn secrets_for_http_and_ssh_are_looked_at() {
    assert!(needs_secret(Some(&with_secret())));
    assert!(!needs_secret(None) && !needs_secret(Some(&workspace("https://github.com/o/r"))));
    let mut ssh = with_secret();
    ssh.spec.repo = "git@github.com:o/r".into();
    assert!(needs_secret(Some(&ssh)));
    ssh.spec.repo = "git://example.com/o/r".into();
    assert!(!needs_secret(Some(&ssh)), "it has no use for one");
}

#[test]
fn no_job_before_the_look_and_one_after_it() {
    let (t, w) = (task("t"), with_secret());
    let step = |token: &Token| step(&t, Some(&w), create(), token, at(5));
    assert_eq!(step(&Token::Unasked), Step::Fetch);
    assert_eq!(step(&Token::Plain), Step::Do(create()));
    let other = super::step(&t, None, create(), &Token::Unasked, at(5));
    assert_eq!(other, Step::Do(create()));
}

#[test]
fn a_token_is_noted_before_there_is_a_job() {
    let (mut t, w) = (task("t"), with_secret());
    // The first run, one that waited, and one after a run with a token that is too old.
    let waited = TaskStatus {
        phase: Some(TaskPhase::Waiting),
        ..TaskStatus::default()
    };
    let again = TaskStatus {
        phase: Some(TaskPhase::Pending),
        job_name: Some("t".into()),
        github_token: Some(minted(1)),
        ..TaskStatus::default()
    };
    for old in [None, Some(waited), Some(again)] {
        t.status = old.clone();
        let step = |t: &Task, token| step(t, Some(&w), create(), &Token::Minted(token), at(5));
        let noted = TaskStatus {
            github_token: Some(minted(100)),
            ..old.unwrap_or_default()
        };
        assert_eq!(step(&t, minted(100)), Step::Mark(Box::new(noted.clone())));
        t.status = Some(noted);
        assert_eq!(step(&t, minted(100)), Step::Do(create()));
    }
}

#[test]
fn a_task_waits_for_what_heals_and_fails_of_what_does_not() {
    let (mut t, w) = (task("t"), with_secret());
    let pause = Duration::from_secs(7);
    let token = Token::Wait {
        reason: TaskReason::WaitingForToken,
        message: "m".into(),
        pause,
    };
    let Step::Do(Decision::UpdateStatus(status)) = step(&t, Some(&w), create(), &token, at(5)) else {
        panic!()
    };
    assert_eq!(
        (status.phase, status.reason, status.message.as_deref()),
        (
            Some(TaskPhase::Waiting),
            Some(TaskReason::WaitingForToken),
            Some("m")
        )
    );
    t.status = Some(*status);
    assert_eq!(step(&t, Some(&w), create(), &token, at(9)), wait(7), "told once");
    let refused = Token::Refused {
        reason: TaskReason::AuthFailed,
        message: "no".into(),
    };
    let Step::Do(Decision::UpdateStatus(status)) = step(&t, Some(&w), create(), &refused, at(9)) else {
        panic!()
    };
    assert_eq!(
        (status.phase, status.reason),
        (Some(TaskPhase::Failed), Some(TaskReason::AuthFailed))
    );
    assert!(status.completion_time.is_some());
}

#[test]
fn a_running_task_is_woken_for_the_renewal_and_gets_the_new_times() {
    let (t, w) = (running(Some(minted(100))), with_secret());
    let net = Decision::Wait(Some(Duration::from_secs(300)));
    let step = |now, token: &Token| step(&t, Some(&w), net.clone(), token, at(now));
    assert_eq!(step(40, &Token::Unasked), wait(60));
    assert_eq!(step(100, &Token::Unasked), Step::Fetch);
    let Step::Do(Decision::UpdateStatus(status)) = step(100, &Token::Minted(minted(200))) else {
        panic!()
    };
    assert_eq!(status.github_token, Some(minted(200)));
    assert_eq!(status.phase, Some(TaskPhase::Running));
    let unreachable = Token::Wait {
        reason: TaskReason::WaitingForToken,
        message: String::new(),
        pause: Duration::from_secs(9),
    };
    assert_eq!(step(100, &unreachable), wait(9));
    let refused = Token::Refused {
        reason: TaskReason::AuthFailed,
        message: String::new(),
    };
    assert_eq!(step(100, &refused), wait(300), "a running agent is left to run");
}

#[test]
fn a_secret_that_can_not_be_seen_for_a_while_does_not_end_the_renewal() {
    let (t, net) = (running(Some(minted(100))), Decision::Wait(None));
    let hidden = unseen(&t, "its Workspace does not exist");
    assert_eq!(
        step(&t, None, net.clone(), &hidden, at(100)),
        wait(60),
        "and its token is kept"
    );
    assert!(matches!(hidden, Token::Wait { message, .. } if message.contains("Workspace does not exist")));
    for never_had_one in [running(None), task("t")] {
        assert_eq!(unseen(&never_had_one, "denied"), Token::Plain);
    }
}

#[test]
fn what_has_no_token_or_has_ended_is_left_alone() {
    let w = with_secret();
    let long = Decision::Wait(None);
    for t in [running(None), task("t")] {
        assert_eq!(
            step(&t, Some(&w), long.clone(), &Token::Unasked, at(500)),
            Step::Do(long.clone())
        );
    }
    let mut over = running(None);
    over.status.as_mut().unwrap().phase = Some(TaskPhase::Succeeded);
    assert_eq!(
        step(&over, Some(&w), long.clone(), &Token::Unasked, at(500)),
        Step::Do(long)
    );
}

#[test]
fn what_has_ended_leaves_no_token_and_renews_none() {
    let w = with_secret();
    for phase in [TaskPhase::Succeeded, TaskPhase::Failed] {
        let mut over = running(Some(minted(100)));
        over.status.as_mut().unwrap().phase = Some(phase);
        let step = |decision, token: &Token| step(&over, Some(&w), decision, token, at(500));
        for nothing_else in [Decision::Wait(None), Decision::Expire] {
            assert_eq!(step(nothing_else, &Token::Unasked), Step::Release);
        }
        // Its pod may still run.
        assert_eq!(
            step(Decision::DeleteJob, &Token::Unasked),
            Step::Do(Decision::DeleteJob)
        );
    }
    // Between two runs it is kept.
    let mut again = running(Some(minted(100)));
    let status = again.status.as_mut().unwrap();
    (status.phase, status.reason) = (Some(TaskPhase::Pending), Some(TaskReason::Retrying));
    assert_eq!(
        step(&again, Some(&w), Decision::Wait(None), &Token::Unasked, at(40)),
        wait(60)
    );
}

#[test]
fn a_token_that_leads_to_no_job_is_noted_too() {
    let (mut t, w, token) = (task("t"), with_secret(), Token::Minted(minted(100)));
    let stopped = TaskStatus {
        phase: Some(TaskPhase::Failed),
        ..TaskStatus::default()
    };
    let stopped = Decision::UpdateStatus(Box::new(stopped));
    for decision in [stopped, Decision::Wait(None)] {
        let Step::Do(Decision::UpdateStatus(status)) = step(&t, Some(&w), decision, &token, at(5)) else {
            panic!()
        };
        assert_eq!(status.github_token, Some(minted(100)));
    }
    t.status = Some(TaskStatus {
        phase: Some(TaskPhase::Waiting),
        github_token: Some(minted(100)),
        ..TaskStatus::default()
    });
    let again = step(&t, Some(&w), Decision::Wait(None), &token, at(5));
    assert_eq!(again, Step::Do(Decision::Wait(None)), "once");
}

#[test]
fn a_token_that_asks_for_too_much_names_the_workspace_and_the_field() {
    let asked = ErrorContext {
        host: "ghe".into(),
        what: "installation 34 of App 12".into(),
        secret: Some("app".into()),
    };
    let installed = GithubError::NotInstalled {
        asked: asked.clone(),
        repositories: "o/r, o/lib".into(),
        said: "no".into(),
    };
    let granted = GithubError::NotGranted {
        asked,
        said: "it lacks workflows: write".into(),
    };
    for (error, words) in [
        (
            installed,
            ["Workspace w: ", "o/r, o/lib", "spec.githubApp.repositories"],
        ),
        (
            granted,
            ["Workspace w: ", "workflows: write", "spec.githubApp.permissions"],
        ),
    ] {
        let Token::Refused { reason, message } = of_error(&error, "w", at(0)) else {
            panic!()
        };
        assert_eq!(reason, TaskReason::AuthFailed);
        for words in words {
            assert!(message.contains(words), "{message}");
        }
    }
}

#[test]
fn errors_name_the_secret_and_its_keys() {
    let asked = ErrorContext {
        host: "ghe".into(),
        what: "installation 34 of App 12".into(),
        secret: Some("app".into()),
    };
    let said = "Not Found".to_owned();
    let not_found = GithubError::NotFound {
        asked: asked.clone(),
        said: said.clone(),
    };
    let Token::Refused { reason, message } = of_error(&not_found, "w", at(0)) else {
        panic!()
    };
    assert_eq!(reason, TaskReason::AuthFailed);
    for words in ["ghe", "installation 34", "installationID", "Secret app"] {
        assert!(message.contains(words), "{message}");
    }
    let key = GithubError::BadKey {
        secret: "app".into(),
        key: "privateKey",
        said,
    };
    let Token::Refused { reason, message } = of_error(&key, "w", at(0)) else {
        panic!()
    };
    assert_eq!(reason, TaskReason::InvalidConfig);
    assert!(message.contains("Secret app, key privateKey"), "{message}");
    let until = at(50);
    let limited = GithubError::RateLimited {
        asked,
        until,
        secondary: false,
    };
    assert!(matches!(of_error(&limited, "w", at(0)), Token::Wait { pause, .. } if pause.as_secs() == 50));
}

#[test]
fn the_pod_gets_the_minted_secret_as_variables_and_as_a_file() {
    let (t, w, token) = (task("t"), with_secret(), minted(100));
    let seen = seen_by_pod(Some(&w), Some(&token));
    let images = Images::new("r", "v");
    let mut job = job::build(&t, seen.as_ref(), None, &images).unwrap().job;
    mount(&mut job, &token);
    let pod = job.spec.unwrap().template.spec.unwrap();
    let volume = pod
        .volumes
        .unwrap()
        .into_iter()
        .find(|v| v.name == VOLUME)
        .unwrap();
    assert_eq!(
        volume.secret.unwrap().secret_name.as_deref(),
        Some("t-github-token")
    );
    for container in pod.containers.iter().chain(pod.init_containers.iter().flatten()) {
        let variable = |name: &str| container.env.iter().flatten().find(|v| v.name == name).unwrap();
        let source = variable(env::GITHUB_TOKEN).value_from.as_ref().unwrap();
        assert_eq!(source.secret_key_ref.as_ref().unwrap().name, "t-github-token");
        let file = variable(env::GITHUB_TOKEN_FILE).value.as_deref();
        assert_eq!(file, Some("/axon/github/GITHUB_TOKEN"));
        let mount = container
            .volume_mounts
            .iter()
            .flatten()
            .find(|m| m.name == VOLUME);
        // A mount with a subPath would never be renewed.
        assert!(mount.is_some_and(|m| m.sub_path.is_none() && m.mount_path == "/axon/github"));
    }
}
