//! Workspace: a git repository and what is needed to work on it.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::NameRef;
use crate::limits::MAX_CONTENT;

/// Which repository an agent works on.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "axon.io",
    version = "v1alpha1",
    kind = "Workspace",
    plural = "workspaces",
    namespaced,
    shortname = "ws",
    category = "axon",
    derive = "PartialEq",
    doc = "A Workspace is a git repository, with the credentials to clone and push it, that agents work on.",
    printcolumn(json_path = ".spec.repo", name = "Repo", type_ = "string"),
    printcolumn(json_path = ".spec.ref", name = "Ref", type_ = "string"),
    printcolumn(
        json_path = ".spec.secretRef.name",
        name = "Secret",
        type_ = "string",
        priority = 1
    ),
    printcolumn(json_path = ".metadata.creationTimestamp", name = "Age", type_ = "date")
)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceSpec {
    /// URL of the repository: `https://`, `http://`, `git://`, `ssh://` or `git@HOST:PATH`.
    #[schemars(length(max = 2048))]
    #[x_kube(
        validation = Rule::new(repo_rule())
            .message("repo must be a URL that starts with https://, http://, git://, ssh:// or git@, followed by a host of letters, digits, '.' and '-'")
    )]
    pub repo: String,

    /// Branch, tag or commit to check out; the repository's default branch if absent.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    #[x_kube(
        validation = Rule::new(r"!self.matches('^-|[\\s\\x00-\\x1f\\x7f]')")
            .message("ref must not start with '-' or contain spaces: name a branch, a tag or a commit")
    )]
    pub reference: Option<String>,

    /// Secret with the key `GITHUB_TOKEN`, for git and for the `gh` command; or that of a GitHub App, with the keys `appID`,
    /// `installationID` and `privateKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,

    /// Files to write into the clone before the agent starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub files: Vec<WorkspaceFile>,
}

/// Returns the form of a repository's URL in CEL, as [`crate::git::Repository::parse`] reads it.
fn repo_rule() -> String {
    // CEL reads a string before the expression in it: a backslash is written twice.
    let host = r"([A-Za-z0-9][A-Za-z0-9._-]*|\\[[0-9A-Fa-f:.]+\\])";
    let url = format!(r"(https?|git|ssh)://([^\\s\\\\/?#@]*@)?{host}(:[0-9]{{0,5}})?(/[^\\s]*)?");
    let scp = format!(r"git@{host}:[^\\s?#]+");
    format!("self.matches('^({url}|{scp})$')")
}

impl WorkspaceSpec {
    /// Returns the ref, if one is named.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.reference
            .as_deref()
            .filter(|reference| !reference.is_empty())
    }
}

/// A file to write into the clone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkspaceFile {
    /// Path below the root of the repository.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// Content of the file; may be empty. All files of a Workspace travel in one ConfigMap of 1 MiB, packed.
    #[schemars(length(max = MAX_CONTENT))]
    pub content: String,
}
