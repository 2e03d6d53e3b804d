//! What the API server's refusal of a Job or ConfigMap means: that it can never be, or not for now.

use kube::core::Status;

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The content is wrong: it would be refused again.
    Never,
    /// A quota, a right or a policy is against it, which others can change.
    ForNow,
}

/// What the API server says for an admission webhook, and for a `ValidatingAdmissionPolicy`. Their codes do not tell them
/// from wrong content: a policy has 422 by default, and a webhook that gives none has 400.
const DENIALS: [&str; 2] = [" denied the request", " denied request"];

/// Returns what this answer to a creation means; `None` if it is no refusal.
#[must_use]
pub fn of(said: &Status) -> Option<Refusal> {
    match said.code {
        400 | 413 | 422 if DENIALS.iter().any(|words| said.message.contains(words)) => Some(Refusal::ForNow),
        400 | 413 | 422 => Some(Refusal::Never),
        403 => Some(Refusal::ForNow),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(code: u16, message: &str) -> Status {
        Status {
            code,
            message: message.into(),
            ..Status::default()
        }
    }

    #[test]
    fn whoever_can_let_it_pass_later_is_asked_again() {
        for (code, message) in [
            (403, r#"jobs.batch "t" is forbidden: exceeded quota: none"#),
            (403, r#"admission webhook "w.example.com" denied the request: no"#),
            (
                400,
                r#"admission webhook "w.example.com" denied the request without explanation"#,
            ),
            (
                422,
                r#"jobs.batch "t" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no Jobs today"#,
            ),
        ] {
            assert_eq!(of(&status(code, message)), Some(Refusal::ForNow), "{message}");
        }
    }

    #[test]
    fn wrong_content_is_final_and_an_answer_in_need_is_none() {
        let invalid = r#"Job.batch "t" is invalid: spec.template.spec.volumes[0].name: Duplicate value: "x""#;
        for code in [400, 413, 422] {
            assert_eq!(of(&status(code, invalid)), Some(Refusal::Never));
        }
        for code in [409, 429, 500, 503] {
            assert_eq!(of(&status(code, "etcd")), None);
        }
    }
}
