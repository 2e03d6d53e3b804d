//! Acting in a namespace as that namespace's ServiceAccount `axon-spawner`.
//!
//! The operator itself has no verb on Secrets and creates no Tasks. What it reads or writes of these in a namespace it
//! does by impersonating this one ServiceAccount, which its role limits to that very name, so that the namespace's own
//! RBAC bounds it and the audit log names it. All such clients share the operator's connections: the identity is a
//! header.
//!
//! The operator makes the ServiceAccount and the RoleBinding where it first needs them and repairs drift of what it
//! made. A namespace's administrator who wants less wins: see [`plan`].

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axon_api::labels;
use axon_api::managed::{Plan, is_taken_over};
use http::{HeaderValue, Request};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};
use kube::api::{Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::core::ObjectMeta;
use kube::{Api, Client};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Name of the ServiceAccount, of the RoleBinding and of the ClusterRole that it grants.
pub const NAME: &str = axon_api::SPAWNER_ACCOUNT;

/// Longest that one API call may take.
const CALL_LIMIT: Duration = Duration::from_secs(15);
/// How long a look at ServiceAccount and RoleBinding is good.
const LOOK_PERIOD: Duration = Duration::from_secs(600);
/// Shortest pause between two looks because of a refused call.
const REPAIR_PERIOD: Duration = Duration::from_secs(30);
/// How long fresh rights are given to reach the API server's authorizer.
const RIGHTS_PATIENCE: Duration = Duration::from_secs(5);
/// Most namespaces whose clients are kept; the least recently made are dropped.
const MAX_CLIENTS: usize = 10_000;

/// Something that is done in a namespace, for error messages.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// RBAC verb, such as `get`.
    pub verb: &'static str,
    /// RBAC resource, such as `secrets`.
    pub resource: &'static str,
    /// Name of the object; empty for lists.
    pub name: &'a str,
}

impl std::fmt::Display for Act<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if self.name.is_empty() {
            return Ok(());
        }
        write!(f, " {:?}", self.name)
    }
}

/// Why something could not be done as the namespace's ServiceAccount.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The namespace's administrator, or the cluster's, allows less than the standard role. Heals by their hand only.
    #[error(
        "ServiceAccount {NAME} of namespace {namespace} may not {act}: allow it in the role that RoleBinding {NAME} grants, \
         or delete that RoleBinding to get the standard one back ({said})"
    )]
    Denied {
        /// The namespace.
        namespace: String,
        /// Verb, resource and name.
        act: String,
        /// The API server's words.
        said: String,
    },
    /// The operator may not act as the ServiceAccount at all. Heals when the operator's own role is restored.
    #[error(
        "the operator may not act as ServiceAccount {NAME} of namespace {namespace} to {act}: restore its ClusterRole \
         axon-operator with `kubectl axon install` ({said})"
    )]
    NotAllowed {
        /// The namespace.
        namespace: String,
        /// Verb, resource and name.
        act: String,
        /// The API server's words.
        said: String,
    },
    /// The rights are there; a quota, a policy or a webhook of the cluster says no to this very object.
    #[error("the cluster's rules do not let ServiceAccount {NAME} {act} in namespace {namespace}: {said}")]
    Refused {
        /// The namespace.
        namespace: String,
        /// Verb, resource and name.
        act: String,
        /// The API server's words.
        said: String,
    },
    /// The API server refused for another reason or could not be reached. Worth another try.
    #[error("failed to {act} in namespace {namespace}: {source}")]
    Call {
        /// The namespace.
        namespace: String,
        /// Verb, resource and name.
        act: String,
        /// The error.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer in time. Worth another try.
    #[error("failed to {act} in namespace {namespace}: no answer within {} s", CALL_LIMIT.as_secs())]
    Timeout {
        /// The namespace.
        namespace: String,
        /// Verb, resource and name.
        act: String,
    },
}

impl IdentityError {
    /// Returns true if nothing but a person's change of the rights helps.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Denied { .. } | Self::NotAllowed { .. })
    }

    /// Returns true if a rule of the cluster, which is no right, stands against the object.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Returns true if the same call may go well in a moment.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self.said() {
            Some(said) => said.code == 429 || said.code >= 500,
            None => !self.is_denied() && !self.is_refused(),
        }
    }

    /// Returns what the API server answered, if it is neither a denial nor a silence.
    #[must_use]
    pub fn said(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Call { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status),
                _ => None,
            },
            _ => None,
        }
    }

    fn of(act: Act<'_>, error: kube::Error) -> Self {
        let (namespace, done) = (act.namespace.to_owned(), act.to_string());
        match &error {
            // A namespace that is being deleted refuses new objects in the same way.
            kube::Error::Api(status) if status.is_forbidden() && !is_terminating(status) => {
                let said = status.message.clone();
                if said.contains("cannot impersonate") {
                    return Self::NotAllowed {
                        namespace,
                        act: done,
                        said,
                    };
                }
                // Admission comes after the rights, to writes alone, and answers 403 too.
                if act.verb != "get" && !is_about_rights(&said) {
                    return Self::Refused {
                        namespace,
                        act: done,
                        said,
                    };
                }
                Self::Denied {
                    namespace,
                    act: done,
                    said,
                }
            }
            _ => Self::Call {
                namespace,
                act: done,
                source: Box::new(error),
            },
        }
    }
}

/// Returns whether these are the words with which the API server tells of a missing right. All authorizers have them in
/// common, and so has the rule that nobody grants what they have not.
pub(crate) fn is_about_rights(said: &str) -> bool {
    let cannot = said.split_once(" cannot ").map(|(_, what)| what);
    let verb_and_kind = cannot.map(|what| what.split_whitespace().skip(1).collect::<Vec<_>>());
    verb_and_kind.is_some_and(|words| matches!(words.first(), Some(&("resource" | "path"))))
        || said.contains("attempting to grant RBAC permissions")
}

fn is_terminating(status: &kube::core::Status) -> bool {
    status
        .details
        .iter()
        .flat_map(|details| &details.causes)
        .any(|cause| cause.reason == "NamespaceTerminating")
}

/// Decides about the RoleBinding `axon-spawner` that is there, if one is.
///
/// A missing one is made. One that grants another role than the ClusterRole `axon-spawner`, or that has the annotation
/// [`labels::MANAGED`] with the value `false`, is an administrator's and stays as it is, whatever it grants and to whom. Any
/// other one must grant the role to the namespace's ServiceAccount and to nobody else.
#[must_use]
pub fn plan(namespace: &str, binding: Option<&RoleBinding>) -> Plan {
    let Some(binding) = binding else {
        return Plan::Apply;
    };
    let wanted = wanted_binding(namespace);
    if is_taken_over(&binding.metadata) || binding.role_ref != wanted.role_ref {
        return Plan::LeaveAlone;
    }
    let subject = |s: &Subject| (s.kind.clone(), s.namespace.clone(), s.name.clone());
    let subjects = |b: &RoleBinding| b.subjects.iter().flatten().map(subject).collect::<Vec<_>>();
    if subjects(binding) == subjects(&wanted) {
        Plan::Keep
    } else {
        Plan::Apply
    }
}

fn metadata(namespace: &str) -> ObjectMeta {
    let marks = [
        (labels::NAME, labels::APP_NAME),
        (labels::MANAGED_BY, labels::MANAGER),
    ];
    ObjectMeta {
        name: Some(NAME.into()),
        namespace: Some(namespace.into()),
        labels: Some(
            marks
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
        ),
        ..ObjectMeta::default()
    }
}

fn wanted_account(namespace: &str) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(namespace),
        // Nobody runs as it: a pod that names it gets no token unless it asks for one itself.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

fn wanted_binding(namespace: &str) -> RoleBinding {
    RoleBinding {
        metadata: metadata(namespace),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "ClusterRole".into(),
            name: NAME.into(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: NAME.into(),
            namespace: Some(namespace.into()),
            api_group: None,
        }]),
    }
}

/// Acts in namespaces. Clones share everything.
#[derive(Clone)]
pub struct Identity {
    client: Client,
    namespaces: Arc<Mutex<HashMap<String, Arc<Namespace>>>>,
}

/// What is known of a namespace.
struct Namespace {
    client: Client,
    /// When ServiceAccount and RoleBinding were last looked at. Held during the look, so that there is one at a time.
    looked: tokio::sync::Mutex<Option<Instant>>,
}

impl Identity {
    /// Returns the identities that `client`, the operator's own, may take.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            namespaces: Arc::default(),
        }
    }

    /// Returns a client that acts as `axon-spawner` of a namespace, whose ServiceAccount and RoleBinding are there
    /// unless the API server refuses them. Prefer [`Identity::call`], which explains refusals.
    ///
    /// # Errors
    /// [`IdentityError`] if the API server can't be reached or the namespace is gone.
    pub async fn client_for(&self, namespace: &str) -> Result<Client, IdentityError> {
        let known = self.namespace(namespace);
        self.look(namespace, &known, LOOK_PERIOD).await?;
        Ok(known.client.clone())
    }

    /// Does one thing as `axon-spawner` of a namespace, within a time limit. After a refusal the RoleBinding is looked
    /// at again, and if that was to repair, the call is made once more.
    ///
    /// # Errors
    /// [`IdentityError`], which says what is not allowed and what to do about it.
    pub async fn call<T, F>(&self, act: Act<'_>, call: impl Fn(Client) -> F) -> Result<T, IdentityError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let known = self.namespace(act.namespace);
        self.look(act.namespace, &known, LOOK_PERIOD).await?;
        let first = timed(act, call(known.client.clone())).await;
        if first.as_ref().is_err_and(IdentityError::is_denied)
            && self.look(act.namespace, &known, REPAIR_PERIOD).await?
        {
            return timed(act, call(known.client.clone())).await;
        }
        first
    }

    /// Reads a Secret; `None` if there is none of this name.
    ///
    /// # Errors
    /// As [`Identity::call`].
    pub async fn secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, IdentityError> {
        let act = Act {
            namespace,
            verb: "get",
            resource: "secrets",
            name,
        };
        self.call(act, async |client| {
            Api::<Secret>::namespaced(client, namespace).get_opt(name).await
        })
        .await
    }

    /// Returns true if there is a Secret of this name, without reading what is in it.
    ///
    /// # Errors
    /// As [`Identity::call`].
    pub async fn has_secret(&self, namespace: &str, name: &str) -> Result<bool, IdentityError> {
        let act = Act {
            namespace,
            verb: "get",
            resource: "secrets",
            name,
        };
        let found = self.call(act, async |client| {
            Api::<Secret>::namespaced(client, namespace)
                .get_metadata_opt(name)
                .await
        });
        Ok(found.await?.is_some())
    }

    fn namespace(&self, namespace: &str) -> Arc<Namespace> {
        let mut all = self.namespaces.lock();
        if let Some(known) = all.get(namespace) {
            return Arc::clone(known);
        }
        if all.len() >= MAX_CLIENTS {
            all.clear();
        }
        let fresh = Arc::new(Namespace {
            client: acting_as(&self.client, namespace),
            looked: tokio::sync::Mutex::default(),
        });
        all.insert(namespace.to_owned(), Arc::clone(&fresh));
        fresh
    }

    /// Makes sure of ServiceAccount and RoleBinding unless that was done within `period`; returns true if rights were
    /// given.
    async fn look(
        &self,
        namespace: &str,
        known: &Namespace,
        period: Duration,
    ) -> Result<bool, IdentityError> {
        let mut looked = known.looked.lock().await;
        if looked.is_some_and(|at| at.elapsed() < period) {
            return Ok(false);
        }
        let applied = self.ensure(namespace).await;
        let given = match applied {
            Ok(given) => given,
            // An administrator may have made both by hand and given the operator no right to; the call itself tells.
            Err(error) if error.is_denied() || error.is_refused() => {
                tracing::warn!(%namespace, %error, "can't set up the namespace's ServiceAccount");
                false
            }
            // What was there a while ago is not gone because nobody can look at it now: the call itself tells.
            Err(error) if error.is_passing() && looked.is_some() => {
                tracing::warn!(%namespace, %error, "can't look at the namespace's ServiceAccount for now");
                *looked = Instant::now().checked_sub(period.saturating_sub(REPAIR_PERIOD));
                return Ok(false);
            }
            Err(error) => return Err(error),
        };
        if given {
            self.until_effective(namespace, &known.client).await;
        }
        *looked = Some(Instant::now());
        Ok(given)
    }

    async fn ensure(&self, namespace: &str) -> Result<bool, IdentityError> {
        let act = |verb, resource| Act {
            namespace,
            verb,
            resource,
            name: NAME,
        };
        let params = PatchParams::apply(labels::MANAGER).force();
        let accounts = Api::<ServiceAccount>::namespaced(self.client.clone(), namespace);
        let account = wanted_account(namespace);
        let apply = Patch::Apply(&account);
        timed(
            act("patch", "serviceaccounts"),
            accounts.patch(NAME, &params, &apply),
        )
        .await?;
        let bindings = Api::<RoleBinding>::namespaced(self.client.clone(), namespace);
        let found = timed(act("get", "rolebindings"), bindings.get_opt(NAME)).await?;
        match plan(namespace, found.as_ref()) {
            Plan::Keep => Ok(false),
            Plan::LeaveAlone => {
                tracing::debug!(%namespace, "the RoleBinding {NAME} is an administrator's and is left alone");
                Ok(false)
            }
            Plan::Apply => {
                let binding = wanted_binding(namespace);
                let apply = Patch::Apply(&binding);
                timed(
                    act("patch", "rolebindings"),
                    bindings.patch(NAME, &params, &apply),
                )
                .await?;
                Ok(true)
            }
        }
    }

    /// Waits until the API server's authorizer has seen a fresh RoleBinding. Gives up silently: the call tells.
    async fn until_effective(&self, namespace: &str, client: &Client) {
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    namespace: Some(namespace.into()),
                    verb: Some("get".into()),
                    resource: Some("secrets".into()),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api = Api::<SelfSubjectAccessReview>::all(client.clone());
        let params = PostParams::default();
        let ask = async {
            loop {
                let answer = api.create(&params, &review).await;
                if answer.is_ok_and(|review| review.status.is_some_and(|status| status.allowed)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let _ = tokio::time::timeout(RIGHTS_PATIENCE, ask).await;
    }
}

async fn timed<T>(act: Act<'_>, call: impl Future<Output = kube::Result<T>>) -> Result<T, IdentityError> {
    match tokio::time::timeout(CALL_LIMIT, call).await {
        Ok(result) => result.map_err(|error| IdentityError::of(act, error)),
        Err(_) => Err(IdentityError::Timeout {
            namespace: act.namespace.to_owned(),
            act: act.to_string(),
        }),
    }
}

/// Returns a client that sends everything through `client`, and so over its connections, as the ServiceAccount.
fn acting_as(client: &Client, namespace: &str) -> Client {
    let user = format!("system:serviceaccount:{namespace}:{NAME}");
    let through = client.clone();
    let service = tower::service_fn(move |mut request: Request<Body>| {
        let (client, user) = (through.clone(), HeaderValue::from_str(&user));
        async move {
            // A namespace's name is always fit for a header; without the header nothing must be sent.
            request.headers_mut().insert("impersonate-user", user?);
            Ok::<_, tower::BoxError>(client.send(request).await?)
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding() -> RoleBinding {
        wanted_binding("team")
    }

    #[test]
    fn what_is_missing_or_has_drifted_is_applied() {
        assert_eq!(plan("team", None), Plan::Apply);
        assert_eq!(plan("team", Some(&binding())), Plan::Keep);
        let mut drifted = binding();
        drifted.subjects = None;
        assert_eq!(plan("team", Some(&drifted)), Plan::Apply);
        let mut widened = binding();
        widened.subjects.as_mut().unwrap().push(Subject {
            kind: "User".into(),
            name: "eve".into(),
            ..Subject::default()
        });
        assert_eq!(plan("team", Some(&widened)), Plan::Apply);
    }

    #[test]
    fn an_administrator_wins_by_another_role_or_by_the_annotation() {
        let mut narrowed = binding();
        narrowed.role_ref.kind = "Role".into();
        assert_eq!(plan("team", Some(&narrowed)), Plan::LeaveAlone);
        let mut taken = binding();
        taken.subjects = None;
        taken.metadata.annotations = Some([(labels::MANAGED.to_owned(), "false".to_owned())].into());
        assert_eq!(plan("team", Some(&taken)), Plan::LeaveAlone);
        taken.metadata.annotations = Some([(labels::MANAGED.to_owned(), "true".to_owned())].into());
        assert_eq!(plan("team", Some(&taken)), Plan::Apply);
    }

    #[test]
    fn an_act_reads_as_a_person_says_it() {
        let act = Act {
            namespace: "team",
            verb: "get",
            resource: "secrets",
            name: "gh",
        };
        assert_eq!(act.to_string(), "get secrets \"gh\"");
        assert_eq!(Act { name: "", ..act }.to_string(), "get secrets");
    }

    fn forbidden(message: &str) -> kube::Error {
        kube::Error::Api(
            kube::core::Status {
                status: Some(kube::core::response::StatusSummary::Failure),
                code: 403,
                message: message.into(),
                reason: "Forbidden".into(),
                ..kube::core::Status::default()
            }
            .boxed(),
        )
    }

    #[test]
    fn a_refusal_says_whose_right_is_missing_and_what_to_do() {
        let act = Act {
            namespace: "team",
            verb: "get",
            resource: "secrets",
            name: "gh",
        };
        let denied = IdentityError::of(act, forbidden("secrets \"gh\" is forbidden: ..."));
        let text = denied.to_string();
        for words in [
            "axon-spawner",
            "namespace team",
            "get secrets \"gh\"",
            "RoleBinding",
        ] {
            assert!(text.contains(words), "{text}");
        }
        let not = IdentityError::of(act, forbidden("User \"x\" cannot impersonate resource"));
        assert!(not.to_string().contains("kubectl axon install"), "{not}");
        assert!(denied.is_denied() && not.is_denied());
    }

    #[test]
    fn a_policy_s_no_is_no_missing_right() {
        let act = Act {
            namespace: "team",
            verb: "create",
            resource: "tasks",
            name: "fix-1",
        };
        for (said, denied) in [
            (
                "tasks.axon.io is forbidden: User \"system:serviceaccount:team:axon-spawner\" cannot create resource \
                 \"tasks\" in API group \"axon.io\" in the namespace \"team\"",
                true,
            ),
            (
                "rolebindings.rbac.authorization.k8s.io \"axon-spawner\" is forbidden: user \"x\" is attempting to grant \
                 RBAC permissions not currently held",
                true,
            ),
            (
                "admission webhook \"validation.gatekeeper.sh\" denied the request: [need-owner] you must provide labels: \
                 {\"owner\"}; an image cannot be latest",
                false,
            ),
            ("tasks.axon.io \"fix-1\" is forbidden: exceeded quota: q", false),
        ] {
            let error = IdentityError::of(act, forbidden(said));
            assert_eq!(
                (error.is_denied(), error.is_refused()),
                (denied, !denied),
                "{said}"
            );
            let text = error.to_string();
            assert!(text.contains(said), "{text}");
            assert_eq!(text.contains("RoleBinding"), denied, "{text}");
        }
    }
}
