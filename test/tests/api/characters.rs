//! Characters that a status can have when the operator writes it by server-side apply, which is read as YAML.

use axon_api::shown::make_storable;
use axon_test::control_plane;
use serde_json::{Value, json};

use super::manifest::{Manifest, send};

/// Every character below U+0300, and of each block of 256 above that its first and its last.
fn sample() -> String {
    let low = 0..0x300_u32;
    let blocks = (0x300..=0x0010_ffff_u32).filter(|code| matches!(code % 256, 0 | 0xfe | 0xff));
    low.chain(blocks).filter_map(char::from_u32).collect()
}

#[tokio::test]
async fn a_status_with_every_kind_of_character_is_written_and_stays_as_it_is() {
    let namespace = control_plane::namespace().await.unwrap();
    let manifest = Manifest::task().named("t");
    manifest.create(&namespace).await.unwrap();
    let path = format!(
        "{}/t/status?fieldManager=axon-operator&force=true",
        manifest.path(&namespace)
    );
    let apply =
        async |body: &Value| send(&namespace, "PATCH", &path, "application/apply-patch+yaml", body).await;
    let text = sample();
    let mut body = json!({
        "apiVersion": "axon.io/v1alpha1", "kind": "Task", "metadata": {"name": "t"},
        "status": {"phase": "Failed", "message": text, "outputs": [format!("k: {text}")], "results": {"k": text},
            "conditions": [{"type": "Stalled", "status": "True", "reason": "AgentError", "message": "m",
                "lastTransitionTime": "2026-01-02T03:04:05Z"}]},
    });
    // That this is needed: one such character, and nothing of the status is ever written.
    let refused = apply(&body).await.unwrap_err();
    assert_eq!(refused.code, 400, "{refused:?}");
    assert!(
        refused.message.contains("control characters are not allowed"),
        "{}",
        refused.message
    );
    make_storable(&mut body);
    let written = apply(&body).await.unwrap();
    assert_eq!(written["status"], body["status"]);
}
