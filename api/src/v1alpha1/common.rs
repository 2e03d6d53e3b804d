//! Types that several kinds share.

use kube::KubeSchema;
use kube::core::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// What the agent uses to talk to its model provider.
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

/// Returns the rule of a field that is a duration, for schemas; `crate::godur` reads what it admits.
pub(super) fn positive_duration(field: &str) -> Rule {
    Rule::new(r"self.matches('^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$') && self.matches('[1-9]') && duration(self) <= duration('8784h')")
        .message(format!("{field} must be a positive duration such as 30s, 5m or 1h, of 8784h (366 days) at most").as_str())
}
