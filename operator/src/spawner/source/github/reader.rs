//! Reads a spawner's GitHub source.

use axon_api::v1alpha1::SpawnerReason;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axon_api::TaskSpawner;
use axon_api::v1alpha1::{GithubIssues, ItemState, ItemType, People};
use jiff::Timestamp;
use kube::ResourceExt;
use kube_runtime::reflector::ObjectRef;
use tokio::time::Instant;

use super::matched::MatchedItems;
use crate::kube::impersonation::{Identity, IdentityError};
use crate::spawner::plan::match_state::Filter;
use crate::spawner::source::github::approval::Remembered;
use crate::spawner::source::item::{Item, Kind};
use crate::spawner::status::Fault;
use crate::spawner::stores::Stores;
use axon_github::clock::Clock;
use axon_github::{
    self as github, Credential, Exclusion, Github, Heard, ItemKind, ListQuery, Repository, State,
};

/// How long a Secret that was read is good. A changed one counts after that time.
const SECRET_PERIOD: Duration = Duration::from_secs(30);

/// What a preview has in place of a text that the listing had no room for.
const NOT_KEPT: &str = "(the text of this item is read when its turn comes)";

/// A source that can't be read, and when to try again.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// What to tell.
    pub fault: Fault,
    /// Time after which another try is of use; the poll interval if absent.
    pub pause: Option<Duration>,
    /// `HOST/OWNER/NAME`, if it is known.
    pub name: Option<String>,
}

/// How old a listing may be.
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    /// If it was asked for by another spawner.
    pub max_age: Duration,
    /// It must not have been asked for before this moment.
    pub not_before: Option<Instant>,
}

/// All items that have a spawner's labels, for a preview.
pub struct Survey {
    /// Those in the match, the oldest first.
    pub items: Vec<Item>,
    /// Those that something keeps out of it.
    pub excluded: Vec<(Item, Exclusion)>,
    /// The listing that the items come from.
    pub(crate) found: MatchedItems,
    /// SpawnerState for the items.
    _copies: Arc<github::Kept>,
}

/// A repository, and who asks there.
struct RepositoryAccess {
    repository: Repository,
    credential: Credential,
    /// `HOST/OWNER/NAME`.
    name: String,
    namespace: String,
    secret: Option<String>,
    workspace: String,
}

/// Secrets that were read a moment ago, by namespace and name.
type Read = HashMap<(String, String), (Instant, Credential)>;

/// Reads GitHub for all spawners of a replica.
pub struct GithubReader {
    pub(crate) github: Github,
    identity: Identity,
    clock: Clock,
    read: Mutex<Read>,
    /// Counts the items that were left out and are remembered.
    pub(crate) left_out: Remembered,
}

impl GithubReader {
    /// Returns a reader. `clock` is the one that `github` has.
    #[must_use]
    pub fn new(github: Github, identity: Identity, clock: Clock) -> Self {
        Self {
            github,
            identity,
            clock,
            read: Mutex::default(),
            left_out: Remembered::default(),
        }
    }

    /// Finds the repository of a spawner, and the credential to read it with.
    async fn reach(&self, spawner: &TaskSpawner, stores: &Stores) -> Result<RepositoryAccess, Unreadable> {
        let namespace = spawner.namespace().unwrap_or_default();
        let name = spawner
            .spec
            .task_template
            .workspace_ref
            .as_ref()
            .map(|r| r.name.as_str());
        let name = name.unwrap_or_default();
        let workspace = stores
            .workspaces
            .get(&ObjectRef::new(name).within(&namespace))
            .ok_or_else(|| {
                let message =
                    format!("Workspace {name:?} of taskTemplate.workspaceRef does not exist: create it");
                lasting(SpawnerReason::WorkspaceNotFound, message, None)
            })?;
        let repository = Repository::of(&workspace.spec.repo).map_err(|error| {
            lasting(
                SpawnerReason::NotOnGitHub,
                format!("Workspace {name:?}: {error}"),
                None,
            )
        })?;
        let source = format!("{}/{}", repository.host, repository.path());
        let secret = workspace.spec.secret_ref.as_ref().map(|r| r.name.clone());
        let credential = match &secret {
            None => Credential::anonymous().in_namespace(&namespace),
            Some(secret) => self
                .credential(&namespace, secret)
                .await
                .map_err(|unreadable| Unreadable {
                    name: Some(source.clone()),
                    ..unreadable
                })?,
        };
        Ok(RepositoryAccess {
            repository,
            credential,
            name: source,
            namespace,
            secret,
            workspace: name.to_owned(),
        })
    }

    fn failed(&self, place: &RepositoryAccess, error: &github::GithubError) -> Unreadable {
        if !error.is_transient()
            && let Some(secret) = &place.secret
        {
            // A new one may be there already.
            self.forget(&place.namespace, secret);
        }
        Unreadable {
            fault: fault(&place.workspace, error),
            pause: error.pause(self.clock.now()),
            name: Some(place.name.clone()),
        }
    }

    /// Lists the items of a spawner's match. A listing that another spawner got will do if it is fresh enough.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn list(
        &self,
        spawner: &TaskSpawner,
        spec: &GithubIssues,
        stores: &Stores,
        freshness: Freshness,
    ) -> Result<MatchedItems, Unreadable> {
        let place = self.reach(spawner, stores).await?;
        let query = query(spec, spawner.uid().unwrap_or_default(), freshness);
        let listing = self
            .github
            .items(&place.repository, &place.credential, &query)
            .await
            .map_err(|error| self.failed(&place, &error))?;
        Ok(MatchedItems {
            ids: listing.items.iter().map(|item| item.number.to_string()).collect(),
            complete: listing.complete,
            asked: listing.fetched,
            at: listing.at,
            filter: Filter::of(&place.name, spec),
            comments_from: spec.trusted_with_comments(),
            labels: spec.labels.clone(),
            exclude_labels: spec.exclude_labels.clone(),
            trusted: spec.trusted_besides_writers(),
            name: place.name,
            _held: listing.held(),
            places: places(&listing.items),
            listed: listing.items,
            repository: place.repository,
            credential: place.credential,
            until: None,
        })
    }

    /// Returns the items of a spawner's match, and those that an excluded label or their author keeps out of it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn survey(
        &self,
        spawner: &TaskSpawner,
        spec: &GithubIssues,
        stores: &Stores,
        freshness: Freshness,
    ) -> Result<Survey, Unreadable> {
        let all = GithubIssues {
            exclude_labels: Vec::new(),
            authors: None,
            ..spec.clone()
        };
        let mut found = self.list(spawner, &all, stores, freshness).await?;
        let copies = self
            .github
            .copies(&found.repository, &found.credential, &found.listed);
        let copies = copies.map_err(|error| Unreadable {
            fault: fault(&found.name, &error),
            pause: self.pause(&error),
            name: Some(found.name.clone()),
        })?;
        let narrow = query(spec, String::new(), freshness);
        let (mut items, mut excluded) = (Vec::new(), Vec::new());
        for listed in &found.listed {
            match narrow.excluded_by(listed) {
                Some(why) => excluded.push((item_of(listed), why)),
                None => items.push(item_of(listed)),
            }
        }
        found.filter = Filter::of(&found.name, spec);
        found.exclude_labels.clone_from(&spec.exclude_labels);
        found.trusted = spec.trusted_besides_writers();
        Ok(Survey {
            items,
            excluded,
            found,
            _copies: copies,
        })
    }

    /// Returns one item by its number, in the match or not, with its comments from these people, if any are wanted.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn item(
        &self,
        spawner: &TaskSpawner,
        stores: &Stores,
        number: u64,
        comments: Option<&People>,
    ) -> Result<Item, Unreadable> {
        let place = self.reach(spawner, stores).await?;
        let (repository, credential) = (&place.repository, &place.credential);
        let read = async {
            let listed = self.github.item(repository, credential, number).await?;
            let mut item = item_of(&listed);
            if let Some(from) = comments {
                // Who names an item has read it.
                let heard = Heard::from(from);
                let comments = self
                    .github
                    .comments(repository, credential, &listed, heard)
                    .await?;
                (item.comments, item.comments_left_out) = (comments.all, comments.left_out);
            }
            Ok(item)
        };
        read.await.map_err(|error| self.failed(&place, &error))
    }

    /// Returns how long to wait after an error before asking again is of use, if that is known.
    #[must_use]
    pub fn pause(&self, error: &github::GithubError) -> Option<Duration> {
        error.pause(self.clock.now())
    }

    /// Adds the text to an item that the listing had no room for.
    ///
    /// # Errors
    /// If it can't be read.
    pub async fn add_text(&self, found: &MatchedItems, item: &mut Item) -> Result<(), github::GithubError> {
        if let Some(listed) = found.of(&item.id) {
            let fresh = self
                .github
                .item(&found.repository, &found.credential, listed.number);
            let fresh = found.in_time(fresh).await?;
            item.body = fresh.body.unwrap_or_default();
        }
        Ok(())
    }

    /// Adds its comments to an item; its author's, if that is somebody who was approved, up to the approval.
    ///
    /// # Errors
    /// If they can't be read.
    pub async fn add_comments(
        &self,
        found: &MatchedItems,
        item: &mut Item,
        author_until: Option<Timestamp>,
    ) -> Result<(), github::GithubError> {
        let Some(listed) = found.of(&item.id) else {
            return Ok(());
        };
        let heard = Heard {
            from: &found.comments_from,
            author_until,
        };
        let comments = self
            .github
            .comments(&found.repository, &found.credential, listed, heard);
        let comments = found.in_time(comments).await?;
        (item.comments, item.comments_left_out) = (comments.all, comments.left_out);
        Ok(())
    }

    async fn credential(&self, namespace: &str, secret: &str) -> Result<Credential, Unreadable> {
        let key = (namespace.to_owned(), secret.to_owned());
        let known = self.lock().get(&key).cloned();
        if let Some((at, credential)) = known
            && at.elapsed() < SECRET_PERIOD
        {
            return Ok(credential);
        }
        let read = self
            .identity
            .secret(namespace, secret)
            .await
            .map_err(|error| denied(&error))?;
        let read = read.ok_or_else(|| {
            let message = format!("Secret {secret:?}, which the Workspace names, does not exist: create it with the key GITHUB_TOKEN");
            lasting(SpawnerReason::SecretNotFound, message, None)
        })?;
        let credential = Credential::of(&read)
            .map_err(|error| lasting(SpawnerReason::InvalidCredential, error.to_string(), None))?;
        self.lock().insert(key, (Instant::now(), credential.clone()));
        Ok(credential)
    }

    fn forget(&self, namespace: &str, secret: &str) {
        self.lock().remove(&(namespace.to_owned(), secret.to_owned()));
    }

    fn lock(&self) -> parking_lot::MutexGuard<'_, Read> {
        self.read.lock()
    }
}

fn fault(workspace: &str, error: &github::GithubError) -> Fault {
    Fault {
        reason: error.reason(),
        message: match error {
            github::GithubError::NotInstalled { .. } | github::GithubError::NotGranted { .. } => {
                format!("Workspace {workspace:?}: {error}")
            }
            error => error.to_string(),
        },
        transient: error.is_transient(),
    }
}

fn lasting(reason: SpawnerReason, message: String, name: Option<String>) -> Unreadable {
    Unreadable {
        fault: Fault {
            reason,
            message,
            transient: false,
        },
        pause: None,
        name,
    }
}

fn denied(error: &IdentityError) -> Unreadable {
    if error.is_denied() {
        return lasting(SpawnerReason::AccessDenied, error.to_string(), None);
    }
    Unreadable {
        fault: Fault {
            reason: SpawnerReason::ApiServerUnreachable,
            message: error.to_string(),
            transient: true,
        },
        pause: Some(Duration::from_secs(5)),
        name: None,
    }
}

fn places(listed: &[Arc<github::Item>]) -> HashMap<u64, usize> {
    let places = listed.iter().enumerate();
    places.map(|(place, item)| (item.number, place)).collect()
}

fn query(spec: &GithubIssues, caller: String, freshness: Freshness) -> ListQuery {
    ListQuery {
        state: match spec.state {
            ItemState::Open => State::Open,
            ItemState::Closed => State::Closed,
            ItemState::All => State::All,
        },
        labels: spec.labels.clone(),
        exclude_labels: spec.exclude_labels.clone(),
        // Who may write is asked when everything else is settled.
        authors: spec.authors.clone().filter(|people| !people.include_writers()),
        // Like the original: no kinds at all means issues.
        issues: spec.types.is_empty() || spec.types.contains(&ItemType::Issues),
        pulls: spec.types.contains(&ItemType::Pulls),
        caller,
        max_age: freshness.max_age,
        not_before: freshness.not_before,
    }
}

pub(super) fn item_of(listed: &github::Item) -> Item {
    Item {
        id: listed.number.to_string(),
        number: i64::try_from(listed.number).unwrap_or_default(),
        title: listed.title.clone(),
        // Nothing is rendered with this but a preview: `prepare` asks for the text before.
        body: listed.body.clone().unwrap_or_else(|| Arc::from(NOT_KEPT)),
        author: listed.author.login.clone(),
        url: listed.url.clone(),
        labels: listed.labels.clone(),
        kind: match listed.kind {
            ItemKind::Issue => Kind::Issue,
            ItemKind::PullRequest => Kind::Pull,
        },
        ..Item::default()
    }
}
