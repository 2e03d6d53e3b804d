//! Workspace: a git repository and what is needed to work on it.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{NameRef, Trust};
use crate::git::{normalised_ref, ref_rules, repo_rules};
use crate::limits::{MAX_CONTENT, MAX_GITHUB_PERMISSIONS, MAX_GITHUB_REPOSITORIES, MAX_GITHUB_REPOSITORY};

/// The repository that an agent works on.
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
    /// URL of the repository: `https://`, `http://`, `git://`, `ssh://` or `USER@HOST:PATH`.
    #[schemars(length(max = 2048), extend("x-kubernetes-validations" = repo_rules()))]
    pub repo: String,

    /// Branch, tag or commit to check out; the repository's default branch if absent or `HEAD`.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255), extend("x-kubernetes-validations" = ref_rules()))]
    pub reference: Option<String>,

    /// Secret with the key `GITHUB_TOKEN`, for git and for the `gh` command; or that of a GitHub App, with the keys `appID`,
    /// `installationID` and `privateKey`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<NameRef>,

    /// Repositories and permissions of a Task's token of a GitHub App. By default it reaches the repository of `repo`
    /// alone, with the permissions `contents`, `issues` and `pull_requests: write` and `metadata: read`, as far as the
    /// installation has them. Read only if `secretRef` names the key of an App.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub github_app: Option<GithubApp>,

    /// The files that configure the agent's CLI: `Ref`, those of the tree that is checked out, or `Base`, those of the
    /// repository's default branch. If absent, `Base` for refs that anybody may propose, which are those below `refs/` but
    /// `refs/heads/` and `refs/tags/`, such as `refs/pull/7/head`; else `Ref`. `spec.trust` of a Task wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trust>,

    /// Files to write into the clone before the agent starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub files: Vec<WorkspaceFile>,
}

impl WorkspaceSpec {
    /// Returns the ref, if one is named that is not the default branch.
    #[must_use]
    pub fn reference(&self) -> Option<&str> {
        self.reference.as_deref().and_then(normalised_ref)
    }
}

/// Repositories and permissions of a Task's token of a GitHub App, in addition to the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GithubApp {
    /// Names of further repositories that the token reaches, such as those of submodules, without their owner. They belong to
    /// the owner of `repo`, and the App is installed on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = MAX_GITHUB_REPOSITORIES), inner(length(min = 1, max = MAX_GITHUB_REPOSITORY)))]
    #[x_kube(
        validation = Rule::new("self.all(name, name.matches('^[A-Za-z0-9._-]+$'))")
            .message("repositories are names without their owner, such as my-lib")
    )]
    pub repositories: Vec<String>,

    /// Permissions that differ from the default, by their names in GitHub's API, such as `workflows: write`. `none` takes one
    /// of the default away. A Task fails if the installation does not have what is named here.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = MAX_GITHUB_PERMISSIONS))]
    #[x_kube(
        validation = Rule::new("self.all(name, size(name) <= 64 && name.matches('^[a-z_]+$'))")
            .message("permissions have the names of GitHub's API, such as pull_requests")
    )]
    pub permissions: BTreeMap<String, GithubPermission>,
}

/// Level of a permission of a GitHub App's token. Ordered: each includes those before it.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
    strum::Display,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum GithubPermission {
    /// Nothing.
    None,
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
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
