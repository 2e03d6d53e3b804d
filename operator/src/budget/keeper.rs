//! Keeps the books of all budgets: reads them, asks the rules, writes by compare-and-swap. The only place that writes a TaskBudget.
//!
//! Passes of this replica in one namespace follow one another; what another replica writes in between makes a write fail, and the
//! pass begins again with what was read live.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use axon_api::v1alpha1::{Budget, OnExhausted, OnUnknownCost, TaskBudget, TaskBudgetStatus, TaskReason};
use axon_api::{API_VERSION, Task, TaskStatus, labels};
use axon_github::clock::Clock;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{Api, Client, ResourceExt as _};
use kube_runtime::reflector::{ObjectRef, Store};
use parking_lot::Mutex;
use serde_json::json;

use super::admission::{Applicant, Book, Plan, plan};
use super::amount::Limit;
use super::cap::{self, Cap};
use super::condition::{self, Unusable};
use super::ledger::Ledger;
use super::message;
use super::queue::{Place, Queue, Wait};
use super::window::Window;
use crate::kube::call::{CallError, timed};
use crate::kube::watch::write_status_only;

/// Passes that begin again because somebody else has written, before the Task is looked at later.
pub(super) const TRIES: usize = 6;
/// Tasks that are woken by one event of a budget. The oldest goes first, and its start is the next event.
const WOKEN: usize = 8;
/// Longest that a Task waits for room without another look. Events come long before.
const NET: Duration = Duration::from_secs(300);

/// The books of all budgets; clones share them.
#[derive(Clone)]
pub struct Keeper(Arc<Inner>);

struct Inner {
    client: Client,
    clock: Clock,
    budgets: Store<TaskBudget>,
    tasks: Store<Task>,
    /// How long TaskRecords are kept; zero for ever.
    retention: Duration,
    /// Budgets as they were last written or read live, by namespace and name: the watch comes later.
    newest: Mutex<HashMap<(String, String), TaskBudget>>,
    gates: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    queues: Mutex<HashMap<String, Queue>>,
}

/// What the budgets say to a Task that wants to start.
#[derive(Clone, Debug, PartialEq)]
pub enum Admission {
    /// It may: its amount is reserved in these budgets, and this is its cap where a budget gave it.
    Go(Vec<String>, Option<Budget>),
    /// It waits.
    Wait(TaskReason, String, Duration),
    /// It fails.
    Fail(TaskReason, String),
    /// Nobody knows yet: somebody else writes at the same time.
    Again,
}

/// A budget with what was read of its spec.
pub(super) struct Opened {
    pub(super) budget: TaskBudget,
    pub(super) ledger: Ledger,
    limit: Limit,
    length: Duration,
    pub(super) window: Window,
    /// True if the books were added up anew and are not written yet.
    is_added_up: bool,
}

impl Keeper {
    /// Returns a keeper of the budgets in a store. `retention` is that of TaskRecords.
    #[must_use]
    pub fn new(
        client: Client,
        clock: Clock,
        budgets: Store<TaskBudget>,
        tasks: Store<Task>,
        retention: Duration,
    ) -> Self {
        Self(Arc::new(Inner {
            client,
            clock,
            budgets,
            tasks,
            retention,
            newest: Mutex::default(),
            gates: Mutex::default(),
            queues: Mutex::default(),
        }))
    }

    /// Waits until the Tasks are listed: amounts of Tasks that are not known yet would be missing.
    pub(super) async fn tasks_are_known(&self) {
        let _ = self.0.tasks.wait_until_ready().await;
    }

    pub(super) fn now(&self) -> jiff::Timestamp {
        self.0.clock.now()
    }

    pub(super) fn client(&self) -> Client {
        self.0.client.clone()
    }

    pub(super) fn tasks_in(&self, namespace: &str) -> Vec<Arc<Task>> {
        let mut tasks = self.0.tasks.state();
        tasks.retain(|task| task.namespace().as_deref() == Some(namespace));
        tasks
    }

    /// Returns the Tasks that may start after an event of a budget: the oldest that wait for room, and those that wait for a change of
    /// its spec, if it has changed.
    #[must_use]
    pub fn woken_by(&self, budget: &TaskBudget) -> Vec<ObjectRef<Task>> {
        let (namespace, name) = (budget.namespace().unwrap_or_default(), budget.name_any());
        let queues = self.0.queues.lock();
        let Some(queue) = queues.get(&namespace) else {
            return Vec::new();
        };
        let told = budget
            .status
            .as_ref()
            .and_then(|status| status.observed_generation);
        let is_gone = self.0.budgets.get(&ObjectRef::from_obj(budget)).is_none();
        let has_changed =
            is_gone || told != budget.metadata.generation || budget.metadata.deletion_timestamp.is_some();
        let most = if has_changed { usize::MAX } else { WOKEN };
        let mut names = queue.first(&name, true, most);
        if has_changed {
            names.extend(queue.first(&name, false, most));
        }
        names
            .iter()
            .map(|name| ObjectRef::new(name).within(&namespace))
            .collect()
    }

    /// Returns all budgets of the store.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<TaskBudget>> {
        self.0.budgets.state()
    }

    pub(super) fn newest(&self, namespace: &str, name: &str) -> Option<TaskBudget> {
        let mut budgets = self.in_namespace(namespace).into_iter();
        budgets.find(|budget| budget.name_any() == name)
    }

    pub(super) fn task(&self, of: &ObjectRef<Task>) -> Option<Arc<Task>> {
        self.0.tasks.get(of)
    }

    /// Returns true if a write would say more than the budget's status does.
    pub(super) fn says_more(&self, opened: &Opened, ledger: &Ledger) -> bool {
        let old = opened.budget.status.clone().unwrap_or_default();
        let mut new = self.status_of(opened, ledger.clone());
        new.revision = old.revision;
        new != old
    }

    /// Says of a budget that it can't be enforced.
    pub(super) async fn tell_unusable(
        &self,
        (budget, wrong): &(TaskBudget, Unusable),
    ) -> Result<(), CallError> {
        let mut status = budget.status.clone().unwrap_or_default();
        condition::set(budget, &mut status, Some(wrong), 0, self.now());
        if budget.status.as_ref() != Some(&status) {
            self.store(budget, status).await?;
        }
        Ok(())
    }

    /// Forgets that a Task waits.
    pub fn forget(&self, task: &Task) {
        let namespace = task.namespace().unwrap_or_default();
        if let (Some(queue), Some(uid)) = (self.0.queues.lock().get_mut(&namespace), task.uid()) {
            queue.leave(&uid);
        }
    }

    /// Reserves the Task's cap in every budget that counts it. `own` is the Task's cap, or the operator's default; `cost_is_known` is
    /// false if nobody will know what the Task costs.
    ///
    /// # Errors
    /// If the API server does not answer.
    pub async fn admit(&self, task: &Task, own: Cap, cost_is_known: bool) -> Result<Admission, CallError> {
        if self.budgets_of(task).is_empty() {
            self.forget(task);
            return Ok(Admission::Go(Vec::new(), None));
        }
        let gate = self.gate(&task.namespace().unwrap_or_default());
        let _passes_one_by_one = gate.lock().await;
        for _ in 0..TRIES {
            if let Some(admission) = self.try_to_admit(task, own, cost_is_known).await? {
                return Ok(admission);
            }
        }
        Ok(Admission::Again)
    }

    async fn try_to_admit(
        &self,
        task: &Task,
        own: Cap,
        cost_is_known: bool,
    ) -> Result<Option<Admission>, CallError> {
        let (uid, name) = (task.uid().unwrap_or_default(), task.name_any());
        let place: Place = (task.creation_timestamp().map(|time| time.0), name.clone());
        let namespace = task.namespace().unwrap_or_default();
        let budgets = self.budgets_of(task);
        let specs: Vec<_> = budgets
            .iter()
            .map(|budget| (budget.name_any(), budget.spec.clone()))
            .collect();
        let named: Vec<_> = specs.iter().map(|(name, spec)| (name.as_str(), spec)).collect();
        let waits = |budget: &str, for_room, reason, message: String, wake| {
            let wait = Wait {
                budget: budget.to_owned(),
                for_room,
            };
            self.0
                .queues
                .lock()
                .entry(namespace.clone())
                .or_default()
                .wait(&uid, place.clone(), wait);
            Ok(Some(Admission::Wait(reason, message, wake)))
        };
        if let Some((budget, _)) = named.iter().find(|(_, spec)| {
            !cost_is_known && spec.limit.cost_usd.is_some() && spec.on_unknown_cost == OnUnknownCost::Refuse
        }) {
            return waits(
                budget,
                false,
                TaskReason::BudgetNeedsCap,
                message::unknown_cost(budget),
                NET,
            );
        }
        let cap = match cap::cap(own, &named) {
            Ok(cap) => cap,
            Err((budget, of)) => {
                return waits(
                    budget,
                    false,
                    TaskReason::BudgetNeedsCap,
                    message::no_cap(budget, of),
                    NET,
                );
            }
        };
        let mut opened = Vec::new();
        for budget in budgets {
            match self.open(budget).await? {
                Ok(budget) => opened.push(budget),
                Err((budget, wrong)) => {
                    let budget = budget.name_any();
                    let said = message::unusable(&budget, &wrong);
                    return waits(&budget, false, TaskReason::BudgetExhausted, said, NET);
                }
            }
        }
        for opened in opened.iter().filter(|opened| opened.is_added_up) {
            self.write(opened, opened.ledger.clone()).await?;
        }
        if opened.iter().any(|opened| opened.is_added_up) {
            return Ok(None);
        }
        let now = self.0.clock.now();
        let behind = {
            let queues = self.0.queues.lock();
            queues.get(&namespace).and_then(|queue| {
                queue
                    .is_behind(&place, named.iter().map(|(name, _)| *name))
                    .map(str::to_owned)
            })
        };
        let holds_all = opened.iter().all(|opened| opened.ledger.entry(&uid).is_some());
        if let Some(budget) = behind.filter(|_| !holds_all) {
            return waits(
                &budget,
                true,
                TaskReason::BudgetExhausted,
                message::behind(&budget),
                NET,
            );
        }
        let books: Vec<Book> = opened
            .iter()
            .map(|opened| Book {
                name: opened.budget.name_any(),
                limit: opened.limit,
                ledger: opened.ledger.clone(),
            })
            .collect();
        let set = super::basis::of_set(&named.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        let who = Applicant {
            uid: &uid,
            task: &name,
            agent: task.spec.agent,
            amount: cap.amount(),
            set: &set,
            has_run: task
                .status
                .as_ref()
                .is_some_and(|status| status.job_name.is_some()),
        };
        match plan(&who, &books, now) {
            Plan::Over => Ok(Some(Admission::Again)),
            Plan::Admit(writes) => {
                // After the versions that the writes are made on: a Task that has ended may be counted and forgotten by now.
                if !holds_all && self.has_ended_meanwhile(task).await? {
                    return Ok(Some(Admission::Again));
                }
                self.forget(task);
                if !self.write_all(&opened, writes).await? {
                    return Ok(None);
                }
                let names = books.into_iter().map(|book| book.name).collect();
                Ok(Some(Admission::Go(
                    names,
                    (cap != own).then(|| cap.store()).flatten(),
                )))
            }
            Plan::Wait { writes, book, full } => {
                if !self.write_all(&opened, writes).await? {
                    return Ok(None);
                }
                let (Some(budget), Some((_, spec))) = (books.get(book), specs.get(book)) else {
                    return Ok(Some(Admission::Again));
                };
                let message = message::full(&budget.name, &budget.limit, cap.amount(), &full, now);
                if full.never || spec.on_exhausted == OnExhausted::Fail {
                    self.forget(task);
                    return Ok(Some(Admission::Fail(TaskReason::BudgetExhausted, message)));
                }
                let room = full
                    .room_at
                    .and_then(|at| Duration::try_from(at.duration_since(now)).ok());
                let wake = room.map_or(NET, |room| (room + Duration::from_secs(1)).min(NET));
                waits(&budget.name, true, TaskReason::BudgetExhausted, message, wake)
            }
        }
    }

    pub(super) async fn has_ended_meanwhile(&self, task: &Task) -> Result<bool, CallError> {
        let api = Api::<Task>::namespaced(self.0.client.clone(), &task.namespace().unwrap_or_default());
        let live = timed("get task", api.get_opt(&task.name_any())).await?;
        Ok(live.is_none_or(|live| live.uid() != task.uid() || ended(&live)))
    }

    /// Returns the budgets that count a Task, by name, each as new as is known.
    fn budgets_of(&self, task: &Task) -> Vec<TaskBudget> {
        let mut of = self.in_namespace(&task.namespace().unwrap_or_default());
        of.retain(|budget| self.is_of(budget, task));
        of
    }

    pub(super) fn is_of(&self, budget: &TaskBudget, task: &Task) -> bool {
        let labels = task.labels();
        budget.metadata.deletion_timestamp.is_none()
            && cap::counts(
                &budget.spec,
                labels,
                labels.get(labels::TASK_SPAWNER).map(String::as_str),
            )
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> Vec<TaskBudget> {
        let stored = self.0.budgets.state();
        let mut newest = self.0.newest.lock();
        let of = stored
            .iter()
            .filter(|budget| budget.namespace().as_deref() == Some(namespace));
        let mut all: BTreeMap<String, TaskBudget> = BTreeMap::new();
        for budget in of {
            let key = (namespace.to_owned(), budget.name_any());
            let known = newest.get(&key).filter(|known| is_newer(known, budget)).cloned();
            if known.is_none() {
                newest.remove(&key);
            }
            all.insert(budget.name_any(), known.unwrap_or_else(|| (**budget).clone()));
        }
        all.into_values().collect()
    }

    pub(super) fn gate(&self, namespace: &str) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(self.0.gates.lock().entry(namespace.to_owned()).or_default())
    }

    /// Reads the books of a budget; adds them up from TaskRecords if they are for another window or other Tasks.
    pub(super) async fn open(
        &self,
        budget: TaskBudget,
    ) -> Result<Result<Opened, (TaskBudget, Unusable)>, CallError> {
        let window = match self.usable(&budget) {
            Ok(window) => window,
            Err(wrong) => return Ok(Err((budget, wrong))),
        };
        let basis = super::basis::of(&budget.spec);
        let status = budget.status.clone().unwrap_or_default();
        let mut opened = Opened {
            ledger: Ledger::read(&status),
            limit: Limit::of(&budget.spec.limit),
            length: window.length(),
            window,
            is_added_up: false,
            budget,
        };
        if status.basis.as_deref() != Some(basis.as_str()) {
            opened.ledger = self.add_up(&opened).await?;
            opened.is_added_up = true;
        }
        Ok(Ok(opened))
    }

    /// Returns the window of a budget that can be enforced.
    fn usable(&self, budget: &TaskBudget) -> Result<Window, Unusable> {
        let window = Window::read(&budget.spec.window).map_err(|message| Unusable {
            reason: "InvalidWindow",
            message,
        })?;
        let retention = self.0.retention;
        if !retention.is_zero() && retention < window.length() {
            return Err(Unusable {
                reason: "RetentionTooShort",
                message: format!(
                    "the operator keeps TaskRecords for {} h, which is shorter than the window of {} h: set a shorter spec.window, or \
                     have the operator's --record-retention raised",
                    retention.as_secs() / 3600,
                    window.length().as_secs().div_ceil(3600)
                ),
            });
        }
        Ok(window)
    }

    /// Writes books on the version that they were read from. Returns false if somebody else has written.
    pub(super) async fn write(&self, opened: &Opened, ledger: Ledger) -> Result<bool, CallError> {
        self.store(&opened.budget, self.status_of(opened, ledger)).await
    }

    /// Writes several books in this order; returns false at the first that somebody else has written.
    async fn write_all(&self, opened: &[Opened], writes: Vec<(usize, Ledger)>) -> Result<bool, CallError> {
        for (index, ledger) in writes {
            let Some(opened) = opened.get(index) else {
                return Ok(false);
            };
            if !self.write(opened, ledger).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn status_of(&self, opened: &Opened, mut ledger: Ledger) -> TaskBudgetStatus {
        let (namespace, name) = (
            opened.budget.namespace().unwrap_or_default(),
            opened.budget.name_any(),
        );
        let now = self.0.clock.now();
        self.forget_ended(&namespace, &mut ledger);
        ledger.prune(opened.length, now);
        let mut status = opened.budget.status.clone().unwrap_or_default();
        ledger.write(&mut status, now);
        if let Window::Every(..) = opened.window {
            status.reset_time = Some(Time(opened.window.until(now)));
        }
        status.basis = Some(super::basis::of(&opened.budget.spec));
        let waiting = self
            .0
            .queues
            .lock()
            .get(&namespace)
            .map_or(0, |queue| queue.len(&name));
        condition::set(&opened.budget, &mut status, None, waiting, now);
        status
    }

    async fn store(&self, budget: &TaskBudget, status: TaskBudgetStatus) -> Result<bool, CallError> {
        let (namespace, name) = (budget.namespace().unwrap_or_default(), budget.name_any());
        let body = json!({
            "apiVersion": API_VERSION,
            "kind": "TaskBudget",
            "metadata": { "resourceVersion": budget.resource_version() },
            "status": status,
        });
        let call = write_status_only::<TaskBudget>(&self.0.client, &namespace, &name, &body);
        let key = (namespace.clone(), name.clone());
        match timed("write task budget", call).await {
            Ok(version) => {
                let mut written = budget.clone();
                written.metadata.resource_version = version;
                written.status = Some(status);
                self.0.newest.lock().insert(key, written);
                Ok(true)
            }
            Err(error) if error.is_missing_or_replaced() => {
                let api = Api::<TaskBudget>::namespaced(self.0.client.clone(), &namespace);
                let live = timed("get task budget", api.get_opt(&name)).await?;
                let mut newest = self.0.newest.lock();
                match live {
                    Some(live) => newest.insert(key, live),
                    None => newest.remove(&key),
                };
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes Tasks that are known to have ended out of the books. An end is for good, so that what is old here is right all the same.
    fn forget_ended(&self, namespace: &str, ledger: &mut Ledger) {
        let spent: Vec<(String, String)> = ledger
            .entries()
            .filter(|(_, entry)| !entry.is_held())
            .map(|(uid, entry)| (uid.clone(), entry.task.clone()))
            .collect();
        for (uid, name) in spent {
            let task = self.0.tasks.get(&ObjectRef::new(&name).within(namespace));
            if task.is_some_and(|task| task.uid().as_deref() == Some(uid.as_str()) && ended(&task)) {
                ledger.forget(&uid);
            }
        }
    }
}

/// Returns the cap that a Task has: what a status says, else its own, else the default.
pub(super) fn effective(task: &Task, status: &TaskStatus, default: Cap) -> Cap {
    let own = Cap::of(status.budget.as_ref().or(task.spec.budget.as_ref()));
    if own == Cap::default() { default } else { own }
}

pub(super) fn ended(task: &Task) -> bool {
    task.status
        .as_ref()
        .and_then(|status| status.phase)
        .is_some_and(axon_api::TaskPhase::is_terminal)
}

pub(super) fn has_entry(budget: &TaskBudget, uid: &str) -> bool {
    let reservations = budget.status.iter().flat_map(|status| &status.reservations);
    reservations.into_iter().any(|entry| entry.task_uid == uid)
}

/// Returns true if `known` is a later version of the same object. Versions of one resource are numbers that grow.
fn is_newer(known: &TaskBudget, stored: &TaskBudget) -> bool {
    let number = |budget: &TaskBudget| {
        budget
            .resource_version()
            .and_then(|version| version.parse::<u128>().ok())
    };
    known.uid() == stored.uid() && number(known) > number(stored)
}
