//! Labels and annotations that the product writes or reads.

/// Name of the Task that a Job, Pod or ConfigMap belongs to.
pub const TASK: &str = "axon.io/task";
/// Name of the TaskSpawner that created a Task.
pub const TASK_SPAWNER: &str = "axon.io/taskspawner";
/// The item of its TaskSpawner that a Task was created for: an issue's number or a run's time.
pub const ITEM: &str = "axon.io/item";
/// Annotation of a spawned Task: where its item can be read.
pub const ITEM_URL: &str = "axon.io/item-url";
/// Annotation of a spawned Task: whether its item is still in its spawner's match, see `operator::spawner::mark`.
pub const MATCH: &str = "axon.io/match";
/// Annotation of a TaskSpawner: asks the operator what it would do, see [`crate::v1alpha1::Request`].
pub const REQUEST: &str = "axon.io/request";
/// Name of the TaskSpawner by whose template a person made a Task. It is none of the spawner's own Tasks.
pub const RUN_FROM: &str = "axon.io/run-from";
/// Marks the Lease of a replica of the operator.
pub const MEMBER: &str = "axon.io/member";
/// Name of the Task that a Task repeats; the same as `spec.retryOf`, for selectors.
pub const RETRY_OF: &str = "axon.io/retry-of";
/// Kueue's label of a Job: the queue that admits it. The operator copies it from a Task to its Job.
pub const QUEUE: &str = "kueue.x-k8s.io/queue-name";
/// Kueue's label of a Job: its priority in the queue. The operator copies it from a Task to its Job.
pub const QUEUE_PRIORITY: &str = "kueue.x-k8s.io/priority-class";
/// Standard application name label; the value is [`APP_NAME`].
pub const NAME: &str = "app.kubernetes.io/name";
/// Standard component label.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// Standard owner label; the value is [`MANAGER`] on what the operator makes.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// Value of [`NAME`] on every object of the product.
pub const APP_NAME: &str = "axon";
/// Value of [`COMPONENT`] on what runs a Task.
pub const COMPONENT_TASK: &str = "task";
/// Value of [`MANAGED_BY`], and the field manager of the operator's writes.
pub const MANAGER: &str = "axon-operator";

/// Annotation of a Workspace: pauses all TaskSpawners that use it, unless its value is empty, `false`, `no`, `off` or `0`.
pub const PAUSED: &str = "axon.io/paused";
/// Annotation of a Secret: the hosts that its credential is sent to, separated by commas; github.com if absent.
pub const HOSTS: &str = "axon.io/hosts";
/// When the token in a Secret ends, and when it is replaced; RFC 3339.
pub const TOKEN_EXPIRES: &str = "axon.io/token-expires";
/// See [`TOKEN_EXPIRES`].
pub const TOKEN_RENEW: &str = "axon.io/token-renew";

/// Annotation of a RoleBinding or NetworkPolicy that the operator makes; with the value `false` it is an administrator's,
/// and the operator leaves it as it is.
pub const MANAGED: &str = "axon.io/managed";
/// Annotation of a Namespace: further networks that its Tasks' pods may reach, see [`crate::network::Allow`].
pub const ALLOW_EGRESS: &str = "axon.io/allow-egress";
/// Annotation of a Namespace: `off` keeps the operator from writing the NetworkPolicy of Tasks' pods there.
pub const NETWORK_POLICY: &str = "axon.io/network-policy";
