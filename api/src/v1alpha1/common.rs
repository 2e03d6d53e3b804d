//! Types that several kinds share.

use kube::KubeSchema;
use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SPAWNER_ACCOUNT;
use crate::agents::CredentialType;

/// A reference to an object of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NameRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

impl NameRef {
    /// Returns a reference to `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }
}

/// The agent's credentials for its model provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type == 'none' || has(self.secretRef)")
    .message("secretRef is required unless type is none: name the Secret that holds the agent's credential"))]
pub struct Credentials {
    /// Kind of credential: `api-key`, `oauth`, or `none` when the pod gets its credentials by other means.
    #[serde(rename = "type")]
    pub kind: CredentialType,
    /// Secret with the credential. Its key is the variable that the agent reads, such as `ANTHROPIC_API_KEY`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,
}

/// The files that configure the agent's CLI (hooks, MCP servers, commands, skills, instructions, settings): `Ref`, those of the
/// checked-out tree, or `Base`, those of the repository's default branch. If absent, `Base` for refs that anybody may propose, such
/// as `refs/pull/7/head`, and for Tasks that a TaskSpawner creates for pull requests; `Ref` for all others. A Task's value
/// wins over its Workspace's.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, strum::Display, strum::EnumString,
)]
pub enum Trust {
    /// The tree that is checked out: for refs that only maintainers write.
    Ref,
    /// The repository's default branch, for refs that anybody may propose. Known configuration files of the checked-out tree
    /// are replaced by those of the default branch, or removed, and the CLI runs without settings of the project.
    Base,
}

/// CEL: whether the object at `path`, which has a field `podOverrides`, names the operator's own account.
fn names_the_operators_account(path: &str) -> String {
    let overrides = format!("{path}.podOverrides");
    let account = format!("{overrides}.serviceAccountName");
    format!("has({overrides}) && has({account}) && {account} == '{SPAWNER_ACCOUNT}'")
}

const OPERATORS_ACCOUNT: &str = "serviceAccountName can't be axon-spawner: it is the operator's own account in the namespace, which may \
     write every Secret there; name another ServiceAccount";

/// Returns the rule that a new object does not name the operator's own account. `path` leads from its root to the object
/// with the field `podOverrides`.
///
/// The rule is that of the whole object so that it can leave one alone that has a status: it was stored before the rule was
/// there, and an API server before Kubernetes 1.30 would refuse every write of its status. Nobody but the operator can
/// write a status, and none survives a creation.
pub(super) fn not_the_operators_account(path: &str) -> Rule {
    Rule::new(format!(
        "has(self.status) || !({})",
        names_the_operators_account(path)
    ))
    .message(OPERATORS_ACCOUNT)
    .field_path(format!(
        ".{}.podOverrides.serviceAccountName",
        path.trim_start_matches("self.")
    ))
}

/// Returns the rule that a change does not bring in the operator's own account; see [`not_the_operators_account`].
pub(super) fn still_not_the_operators_account(path: &str) -> Rule {
    let old = path.replacen("self", "oldSelf", 1);
    Rule::new(format!(
        "!({}) || ({})",
        names_the_operators_account(path),
        names_the_operators_account(&old)
    ))
    .message(OPERATORS_ACCOUNT)
}

/// Returns the rule of a field that is a duration, for schemas; `crate::go_duration` reads what it admits.
pub(super) fn positive_duration(field: &str) -> Rule {
    Rule::new(r"self.matches('^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$') && self.matches('[1-9]') && duration(self) <= duration('8784h')")
        .message(format!("{field} must be a positive duration such as 30s, 5m or 1h, of 8784h (366 days) at most").as_str())
}
