//! Reasons of a TaskSpawner's conditions, events and answers.

use strum::{AsRefStr, Display, IntoStaticStr, VariantArray};

/// Why a TaskSpawner, or an item of it, is in its state: what conditions, events and answers to requests have as their reason.
/// `docs/taskspawners.md` explains each to users.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, AsRefStr, Display, IntoStaticStr, VariantArray,
)]
pub enum SpawnerReason {
    /// The namespace's ServiceAccount `axon-spawner` lacks a right.
    AccessDenied,
    /// The API server does not store the answer to a request.
    AnswerRefused,
    /// The API server did not answer when the source's Workspace or Secret was read.
    ApiServerUnreachable,
    /// GitHub did not say who approved the item.
    ApprovalUnreadable,
    /// GitHub has not been asked yet whether the author may write.
    AuthorNotChecked,
    /// Only authors who may write, and approved items, start Tasks.
    AuthorsChecked,
    /// `authors.associations` lets everybody start Tasks.
    AuthorsOpen,
    /// `maxTotalTasks` leaves room.
    BudgetAvailable,
    /// `maxTotalTasks` is reached.
    BudgetReached,
    /// GitHub's answer with the item's comments could not be read.
    CommentsUnreadable,
    /// The item waits for `maxConcurrency`.
    ConcurrencyLimited,
    /// The Task could not be created for now.
    CreateFailed,
    /// The item's text was edited after it was approved.
    EditedAfterApproval,
    /// The template's result is empty.
    EmptyPrompt,
    /// The item has a label of `excludeLabels`.
    ExcludedLabel,
    /// GitHub refuses the token this request.
    Forbidden,
    /// The item left the match and came back while its Task runs.
    FormerTaskRuns,
    /// The item has its Task.
    HasTask,
    /// The operator's `--github-hosts` does not list the Workspace's host.
    HostNotAllowed,
    /// The GitHub App is not installed for the owner of the repository.
    InstallationNotFound,
    /// The template makes a branch's name that git refuses.
    InvalidBranch,
    /// The Secret's credential can't be used.
    InvalidCredential,
    /// The request names something that is no item.
    InvalidItem,
    /// The request can't be read.
    InvalidRequest,
    /// `when.cron` is no schedule.
    InvalidSchedule,
    /// A template can't be parsed.
    InvalidTemplate,
    /// The item left the match before its Task was created.
    ItemGone,
    /// The item of a request does not exist.
    ItemMissing,
    /// The item was transferred to another repository.
    ItemTransferred,
    /// GitHub's answer about the item could not be read.
    ItemUnreadable,
    /// `maxConcurrency` is reached.
    LimitReached,
    /// The listing is longer than what the operator reads.
    ListingTooLarge,
    /// GitHub's answer is no valid one, or too long.
    MalformedAnswer,
    /// A Task of another origin has the item's name.
    NameTaken,
    /// The schedule has no time that comes.
    NeverRuns,
    /// Nothing matches.
    NoItems,
    /// No item is blocked.
    NoneBlocked,
    /// The Workspace's repository is not on a GitHub host.
    NotOnGitHub,
    /// All permissions that decide are known.
    NothingUnknown,
    /// No run of the schedule was left out.
    OnTime,
    /// After downtime, only the latest missed run became a Task.
    OneLateRunOnly,
    /// The operator has no memory left for GitHub's answers.
    OutOfMemory,
    /// The GitHub App lacks a permission.
    PermissionNotGranted,
    /// It is not known whether the author may write.
    PermissionUnknown,
    /// The rendered prompt is longer than a Task may have.
    PromptTooLong,
    /// The token may not ask who may write.
    PushAccessNeeded,
    /// A ResourceQuota of the namespace is used up.
    QuotaExceeded,
    /// GitHub's rate limit is used up.
    RateLimited,
    /// The source was read.
    Read,
    /// A condition is well again.
    Recovered,
    /// GitHub has no such repository, or hides it from the token.
    RepositoryNotFound,
    /// The GitHub App is not installed for the repository.
    RepositoryNotInstalled,
    /// `maxConcurrency` leaves room.
    RoomLeft,
    /// The TaskSpawner is not suspended.
    Running,
    /// The Secret is not for the Workspace's host.
    SecretNotForHost,
    /// The Workspace's Secret does not exist.
    SecretNotFound,
    /// The status was stored without some of its members.
    StatusIncomplete,
    /// The API server does not store the status.
    StatusRefused,
    /// The TaskSpawner is suspended.
    Suspended,
    /// `maxTotalTasks` is reached: the item waits.
    TaskBudgetExhausted,
    /// A Task was created.
    TaskCreated,
    /// The API server refuses the item's Task.
    TaskRefused,
    /// The template can't be rendered for the item.
    TemplateFailed,
    /// GitHub refuses the token.
    Unauthorized,
    /// GitHub does not answer.
    Unreachable,
    /// Nobody who may write has opened or approved the item.
    UntrustedAuthor,
    /// `spec.suspend` is true.
    UserSuspended,
    /// The TaskSpawner does its work.
    Working,
    /// The Workspace does not exist.
    WorkspaceNotFound,
    /// The Workspace is paused.
    WorkspacePaused,
}

impl From<SpawnerReason> for String {
    fn from(reason: SpawnerReason) -> Self {
        reason.as_ref().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn every_reason_is_explained_to_users() {
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/taskspawners.md")).unwrap();
        let words: BTreeSet<&str> = page.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let missing: Vec<_> = SpawnerReason::VARIANTS
            .iter()
            .filter(|reason| !words.contains(reason.as_ref()))
            .collect();
        assert!(
            missing.is_empty(),
            "docs/taskspawners.md does not name {missing:?}"
        );
    }
}
