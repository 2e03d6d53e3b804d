//! `verify-image` where its pods do not start.

use super::*;

/// A cluster without a node that has room.
fn full() -> Fake {
    Fake::start(|request| match request.method.as_str() {
        "POST" => {
            let mut object = request.body.clone();
            if request.path.ends_with("/configmaps") {
                object["metadata"]["name"] = "verify-image-x".into();
                object["metadata"]["uid"] = "u".into();
            }
            Reply::Json(201, object)
        }
        "DELETE" => Reply::Json(200, json!({"kind": "Status", "status": "Success"})),
        _ => {
            let unmet = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
                "message": "0/1 nodes are available"});
            let name = request.path.rsplit('/').next().unwrap();
            let status = json!({"phase": "Pending", "conditions": [unmet]});
            Reply::Json(200, json!({"metadata": {"name": name}, "status": status}))
        }
    })
}

fn deleted(fake: &Fake) -> bool {
    let deletion = "DELETE /api/v1/namespaces/default/configmaps/verify-image-x".to_owned();
    fake.writes().contains(&deletion)
}

#[test]
fn pods_that_never_start_say_nothing_of_the_image() {
    let fake = full();
    let done = Home::new().against(&fake, &["verify-image", "img", "--timeout", "1s"]);
    assert_eq!((done.code, done.out.as_str()), (4, ""), "{}", done.err);
    assert!(
        done.err
            .contains("did not start within 1s: Unschedulable: 0/1 nodes are available"),
        "{}",
        done.err
    );
    assert!(deleted(&fake));
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_no_pods() {
    let fake = full();
    let done = Home::new().interrupted(&fake, &["verify-image", "img"], "trying img in namespace default");
    assert_eq!((done.code, done.out.as_str()), (130, ""), "{}", done.err);
    assert!(
        deleted(&fake),
        "the pods go with their owner: {:?}",
        fake.writes()
    );
}
