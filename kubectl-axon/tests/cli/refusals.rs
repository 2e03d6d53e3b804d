//! What commands say, and how they exit, when the cluster does not do what they ask.

use super::*;

/// Commands that begin with different requests.
const COMMANDS: [&[&str]; 5] = [
    &["get", "tasks"],
    &["get", "tasks", "-w"],
    &["logs", "t", "-f"],
    &["delete", "task", "t"],
    &["run", "-p", "x", "--name", "t"],
];

fn status(code: u16, reason: &str, message: &str, details: &Value) -> Reply {
    Reply::Json(
        code,
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
            "message": message, "details": details}),
    )
}

fn all_say(answer: fn(&Request) -> Reply, code: i32, said: &str, hint: &str) {
    let home = Home::with_config("apiKey: none\n");
    for words in COMMANDS {
        let fake = Fake::start(answer);
        let done = home.against(&fake, words);
        assert_eq!(done.code, code, "{words:?}: {}", done.err);
        assert!(done.err.starts_with("error: "), "{words:?}: {}", done.err);
        assert!(done.err.contains(said), "{words:?}: {}", done.err);
        assert!(
            done.err.contains(&format!("\nhint: {hint}")),
            "{words:?}: {}",
            done.err
        );
        assert_eq!(done.out, "", "{words:?}");
    }
}

#[test]
fn a_denial_names_who_may_not_do_what() {
    all_say(
        |_| {
            status(
                403,
                "Forbidden",
                "tasks.axon.io is forbidden: User \"jane\" cannot x",
                &json!({}),
            )
        },
        1,
        "user \"jane\" is not allowed to ",
        "the role ",
    );
}

#[test]
fn the_check_of_a_denial_is_for_the_same_user() {
    let fake = Fake::start(|_| status(403, "Forbidden", "User \"jane\" cannot list", &json!({})));
    let done = Home::new().against(&fake, &["get", "tasks", "-A", "--as", "jane"]);
    assert!(
        done.err
            .ends_with("kubectl auth can-i list tasks.axon.io --all-namespaces --as jane\n"),
        "{}",
        done.err
    );
}

#[test]
fn who_may_list_and_not_watch_is_told() {
    let fake = Fake::start(|request| {
        if request.query.contains("watch=true") {
            return status(403, "Forbidden", "User \"jane\" cannot watch", &json!({}));
        }
        list(&[task("t", &json!({}))])
    });
    let done = Home::new().against(&fake, &["get", "tasks", "-w", "-o", "name"]);
    assert_eq!((done.code, done.out.as_str()), (1, "task.axon.io/t\n"));
    assert!(
        done.err.contains("\"jane\" is not allowed to watch tasks"),
        "{}",
        done.err
    );
}

#[test]
fn credentials_that_are_not_accepted_are_told_from_permissions() {
    all_say(
        |_| status(401, "Unauthorized", "Unauthorized", &json!({})),
        1,
        "does not accept the credentials",
        "log in again",
    );
}

#[test]
fn a_cluster_without_axon_is_told_how_to_get_it() {
    all_say(
        |_| Reply::Text(404, "404 page not found\n".to_owned()),
        1,
        "does not know axon's resources (axon.io/v1alpha1)",
        "install the operator and its resources: kubectl axon install",
    );
}

#[test]
fn a_namespace_that_does_not_exist_is_named() {
    let fake = Fake::start(|request| match request.method.as_str() {
        "POST" => {
            let details = json!({"name": "nowhere", "kind": "namespaces"});
            status(404, "NotFound", "namespaces \"nowhere\" not found", &details)
        }
        _ => status(404, "NotFound", "not found", &json!({"name": "x"})),
    });
    let home = Home::with_config("apiKey: none\n");
    let done = home.against(&fake, &["run", "-p", "x", "-n", "nowhere"]);
    assert_eq!(
        (done.code, done.err.as_str()),
        (
            5,
            "error: namespace \"nowhere\" does not exist\nhint: create it: kubectl create namespace nowhere\n"
        )
    );
}

#[test]
fn a_server_that_does_not_answer_is_exit_code_4() {
    let fake = Fake::start(|_| {
        std::thread::sleep(std::time::Duration::from_secs(5));
        list(&[])
    });
    let done = Home::new().against(&fake, &["get", "tasks", "--request-timeout", "300ms"]);
    assert_eq!(done.code, 4);
    assert!(
        done.err.contains("within 0.3 s") && done.err.contains("--request-timeout"),
        "{}",
        done.err
    );
}
