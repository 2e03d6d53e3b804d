//! One round of a TaskSpawner: claims and creates the Tasks that its items call for, and writes the status.

use std::collections::BTreeSet;
use std::time::Duration;

use axon_api::TaskSpawner;
use axon_api::v1alpha1::{Claim, SpawnerReason, TaskSpawnerStatus};
use kube::ResourceExt;
use tokio::time::Instant;

use super::plan::{self, ExistingTask, Ledger, Limits};
use super::render::{self, Templates};
use super::round_items::{Items, Work, wanted};
use super::status::{self, Blocked, Fault, PollOutcome, Situation, Waiting};
use crate::kube::watch::LENT;
use crate::spawner::cluster::{Created, SpawnerError};
use crate::spawner::source::github::approval::held_back;
use crate::spawner::source::github::gate::Why;
use crate::spawner::source::github::reader::MatchedItems;
use crate::spawner::source::item::tick_of;
use crate::spawner::source::schedule::handled as schedule;
use crate::spawner::state::{Context, SpawnerState};

/// The operator's Deployment, as `status.deploymentName` names it.
const DEPLOYMENT: &str = "axon-operator";
/// Most Tasks that are claimed at a time: so many claims a status may hold.
const BATCH: usize = 20;
/// Pause before blocked items and claims that are not fulfilled are tried again.
const RETRY: Duration = Duration::from_secs(15);
/// How long a claim that can't be fulfilled stands until it is given back: longer than any request of another owner can
/// be under way, so that nobody creates its Task afterwards.
const GIVE_BACK: Duration = Duration::from_secs(60);
/// How much later than a Task was known a listing must have been asked for to prove that its item has left the match.
const SURELY: jiff::SignedDuration = jiff::SignedDuration::from_secs(2);

/// A spawner as it was after everything was done that could be.
pub struct Done {
    /// As it was written last.
    pub live: TaskSpawner,
    /// Its Tasks then.
    pub tasks: Vec<ExistingTask>,
    /// When something has to be tried again before the next poll.
    pub again: Option<Duration>,
}

impl Context {
    /// Writes the marks that follow from a listing, on the newest Task of each item. Returns why that is not allowed, if it
    /// is not.
    pub async fn write_marks(
        &self,
        spawner: &TaskSpawner,
        found: &MatchedItems,
        tasks: &[ExistingTask],
        state: &SpawnerState,
    ) -> Option<Blocked> {
        let matching: BTreeSet<&str> = found.ids.iter().map(String::as_str).collect();
        for (item, task) in plan::newest_of_items(tasks) {
            let known = state.seen.get(&task.uid);
            let later = found.complete && known.is_some_and(|seen| *seen + SURELY < found.asked);
            if let Some(mark) = task.mark.next(matching.contains(item), later, &found.filter) {
                let Err(error) = self.mark(spawner, task, &mark).await else {
                    continue;
                };
                tracing::warn!(task = %task.name, %error, "failed to note whether an item has left the match");
                let is_denied = error.is_denied() || error.is_refused();
                return is_denied.then(|| Blocked {
                    item: item.to_owned(),
                    reason: if error.is_denied() {
                        SpawnerReason::AccessDenied
                    } else {
                        SpawnerReason::TaskRefused
                    },
                    message: format!(
                        "nobody can note that it has left the match, so that it runs again: {error}"
                    ),
                    transient: false,
                    all: false,
                    left_out: false,
                    pause: None,
                });
            }
        }
        None
    }

    /// Claims and creates the Tasks that the items call for, as far as limits allow, and completes what was claimed
    /// before.
    ///
    /// # Errors
    /// [`SpawnerError`]; what was claimed until then is completed by the next look, whoever makes it.
    pub async fn spawn(
        &self,
        spawner: &TaskSpawner,
        templates: &Templates,
        work: &Work,
        state: &mut SpawnerState,
        outcome: &mut PollOutcome,
    ) -> Result<Done, SpawnerError> {
        let mut refused: Vec<Blocked> = Vec::new();
        let mut ready: Vec<(Claim, axon_api::Task)> = Vec::new();
        if let Work::Github(found) = work {
            state.gate.begin(&found.filter, &found.ids);
        }
        let mut ahead = state
            .ahead
            .take()
            .filter(|ahead| matches!(work, Work::Cron(_)) && ahead.is_of(spawner, self.clock.now()));
        let is_late = || matches!(work, Work::Github(found) if found.is_late(LENT));
        loop {
            let is_ahead = ahead.is_some();
            let (live, mut tasks) = match ahead.take() {
                Some(ahead) => {
                    ready.push(ahead.ready);
                    (ahead.live, ahead.tasks)
                }
                None => self.fresh(spawner).await?,
            };
            if matches!(work, Work::Github(_)) && state.forget_gone(&tasks, Instant::now()) {
                return Err(SpawnerError::Changed);
            }
            let status = live.status.clone().unwrap_or_default();
            let look = match work {
                Work::Github(_) => None,
                Work::Cron(of) => schedule::look(&live, of, &status, self.clock.now()).ok(),
            };
            let items = &Items::of(work, look.as_ref());
            let (ledger, limits) = (Ledger::of(&status), self.limits(&live));
            let wanted = wanted(&live, work, items, &tasks, &ledger, &refused, state);
            let room = plan::room(&tasks, &ledger, limits);
            let want = room.free.min(BATCH.saturating_sub(ledger.claims.len()));
            // Of a public repository nearly all items may be left out: no step here takes longer the more were.
            let mut number = ready.iter().filter(|(c, _)| wanted.contains(c)).count();
            let mut stopped = refused.iter().any(|b| b.all);
            for claim in &wanted {
                if number >= want || stopped {
                    break;
                }
                if ready.iter().any(|(c, _)| c == claim) {
                    continue;
                }
                // There may be thousands, and the status shows the first few.
                let is_told = refused.len() < status::MAX_NAMED;
                if let Some(blocked) = held_back(&self.github, work, claim, &state.gate, is_told) {
                    refused.push(blocked);
                    continue;
                }
                // What GitHub has answered is made use of before there is no time left.
                if is_late() && !ready.is_empty() {
                    break;
                }
                let gate = &mut state.gate;
                match self.prepare(&live, templates, work, items, claim, gate).await? {
                    Ok(task) => {
                        number += 1;
                        ready.push((claim.clone(), task));
                    }
                    Err(blocked) => {
                        stopped |= blocked.all;
                        refused.push(blocked);
                    }
                }
            }
            let claims: Vec<Claim> = wanted
                .iter()
                .filter(|claim| ready.iter().any(|(c, _)| c == *claim))
                .take(want)
                .cloned()
                .collect();
            let mut next = status.clone();
            if let Some(look) = &look {
                look.begin(&mut next);
            }
            let claimed = plan::claim(&ledger, &tasks, limits, &claims);
            let had_its_turn = wanted.is_empty() && !refused.iter().any(|b| items.has(&b.item));
            if let Some(look) = look.as_ref().filter(|_| claimed.is_some() || had_its_turn) {
                look.finish(&mut next, live.metadata.generation, self.clock.now());
            }
            let has_claimed = claimed.is_some();
            if let Some(ledger) = claimed {
                ledger.write(&mut next);
            }
            let live = if next == status {
                live
            } else {
                match self.write(&live, &next).await {
                    Err(SpawnerError::Call(error)) if is_ahead && error.is_conflict() => continue,
                    written => written?,
                }
            };
            if has_claimed && let Some(run) = look.as_ref().and_then(|look| look.due.run) {
                let late = self.clock.now().duration_since(run).as_secs_f64();
                self.metrics.spawners.late(late);
            }
            let (settled, unfinished) = self
                .fulfil(
                    &live,
                    templates,
                    work,
                    items,
                    &mut tasks,
                    &mut ready,
                    state,
                    &mut refused,
                )
                .await?;
            let stopped = refused.iter().any(|b| b.all);
            let left = wanted.len() > claims.len() + refused.len() && room.free > claims.len();
            let is_over = left && !stopped && is_late();
            let more = left && has_claimed && !stopped && !is_over;
            let live = match settled {
                Some(next) if more => self.write(&live, &next).await?,
                Some(next) => TaskSpawner {
                    status: Some(next),
                    ..live
                },
                None => live,
            };
            if more {
                continue;
            }
            let held: BTreeSet<&str> = claims.iter().map(|c| c.item.as_str()).collect();
            let blocked: BTreeSet<&str> = refused.iter().map(|b| b.item.as_str()).collect();
            let left = wanted
                .iter()
                .filter(|claim| !held.contains(claim.item.as_str()))
                .filter(|claim| !blocked.contains(claim.item.as_str()));
            outcome.waiting = Waiting::of(left, |item| items.title(item));
            outcome.next_run = look.and_then(|look| look.due.next).or(outcome.next_run);
            // What concerns all is tried with the same item again; those that were left out have an order of their own.
            let own = refused.iter().filter(|b| !b.all && !b.left_out);
            state.blocked = own.map(|b| b.item.clone()).collect();
            let again = again(matches!(work, Work::Cron(_)), unfinished, &refused)
                .or(is_over.then_some(Duration::ZERO));
            let of_permission = refused.iter().find(|b| b.reason == Why::Unknown.reason());
            outcome.permission_unknown = of_permission.map(|b| b.message.clone());
            outcome.blocked.extend(refused);
            return Ok(Done { live, tasks, again });
        }
    }

    /// Creates the Tasks of all claims. Returns the status without the claims that are fulfilled, if there are any, and
    /// whether some are left.
    #[expect(clippy::too_many_arguments, reason = "all of a look's state")]
    async fn fulfil(
        &self,
        live: &TaskSpawner,
        templates: &Templates,
        work: &Work,
        items: &Items<'_>,
        tasks: &mut Vec<ExistingTask>,
        ready: &mut Vec<(Claim, axon_api::Task)>,
        state: &mut SpawnerState,
        refused: &mut Vec<Blocked>,
    ) -> Result<(Option<TaskSpawnerStatus>, bool), SpawnerError> {
        let mut status = live.status.clone().unwrap_or_default();
        let before = Ledger::of(&status);
        let (mut there, mut back) = (BTreeSet::new(), BTreeSet::new());
        let mut stop: Option<Blocked> = None;
        for claim in &before.claims {
            if tasks.iter().any(|task| task.name == claim.name) {
                there.insert(claim.name.clone());
                continue;
            }
            // Nothing starts while the spawner is paused, also what was decided on before.
            if self.limits(live).suspended || self.stores_say_changed(live) {
                continue;
            }
            let at = ready.iter().position(|(c, _)| c == claim);
            let made = match (at, &stop) {
                (Some(at), _) => Ok(ready.swap_remove(at).1),
                (None, Some(why)) => Err(Blocked {
                    item: claim.item.clone(),
                    ..why.clone()
                }),
                (None, None) => {
                    state.gate.allow();
                    let gate = &mut state.gate;
                    self.prepare(live, templates, work, items, claim, gate).await?
                }
            };
            let created = match made {
                Ok(task) => self.create(live, claim, &task, false).await?,
                Err(blocked) => Created::Blocked(blocked),
            };
            match created {
                Created::Yes => {
                    state.stuck.remove(&claim.name);
                    there.insert(claim.name.clone());
                    tasks.push(ExistingTask {
                        name: claim.name.clone(),
                        item: Some(claim.item.clone()),
                        ..ExistingTask::default()
                    });
                    self.metrics.spawners.spawned(live);
                    self.events.spawned(live, &claim.name);
                }
                Created::Blocked(why) => {
                    let since = *state.stuck.entry(claim.name.clone()).or_insert_with(Instant::now);
                    if !why.transient && since.elapsed() >= GIVE_BACK {
                        tracing::warn!(task = %claim.name, reason = %why.reason, "a claim is given back");
                        back.insert(claim.name.clone());
                    }
                    if why.all {
                        stop = Some(why.clone());
                    }
                    refused.push(why);
                }
            }
        }
        state
            .stuck
            .retain(|name, _| before.claims.iter().any(|c| c.name == *name) && !back.contains(name));
        let after = before.clone().settled(&there).given_back(&back);
        let unfinished = !after.claims.is_empty();
        if after == before {
            return Ok((None, unfinished));
        }
        after.write(&mut status);
        for claim in before.claims.iter().filter(|claim| back.contains(&claim.name)) {
            if let Some(run) = tick_of(&claim.item) {
                schedule::take_back(&mut status, run);
            }
        }
        Ok((Some(status), unfinished))
    }

    /// Returns the limits of a spawner. A paused Workspace suspends it.
    #[must_use]
    pub fn limits(&self, spawner: &TaskSpawner) -> Limits {
        let limits = Limits::of(&spawner.spec, self.default_concurrency);
        Limits {
            suspended: limits.suspended || self.stores.paused_workspace(spawner).is_some(),
            ..limits
        }
    }

    /// Returns true if the watch already knows of a change that stops this look.
    fn stores_say_changed(&self, live: &TaskSpawner) -> bool {
        let reference = kube_runtime::reflector::ObjectRef::from_obj(live);
        self.stores.spawners.get(&reference).is_none_or(|known| {
            known.uid() == live.uid() && known.metadata.generation > live.metadata.generation
                || known.metadata.deletion_timestamp.is_some()
        })
    }

    /// Writes what is known as the spawner's status, unless it says so already.
    ///
    /// # Errors
    /// [`SpawnerError`].
    pub async fn publish(
        &self,
        stored: Option<&TaskSpawnerStatus>,
        live: &TaskSpawner,
        tasks: &[ExistingTask],
        outcome: &PollOutcome,
    ) -> Result<(), SpawnerError> {
        let old = live.status.clone().unwrap_or_default();
        let paused = self.stores.paused_workspace(live);
        let ledger = Ledger::of(&old);
        let limits = self.limits(live);
        let situation = Situation {
            active: plan::active(tasks, &ledger),
            room: plan::room(tasks, &ledger, limits),
            concurrency: limits.concurrency,
            runner: &self.me,
            deployment: DEPLOYMENT,
            paused: paused.as_deref(),
            now: self.clock.now(),
        };
        let new = status::build(&old, live, outcome, &situation);
        if !status::is_news(stored, &new) {
            return Ok(());
        }
        self.write(live, &new).await?;
        self.events.spawner(live, stored, &new);
        Ok(())
    }
}

/// Returns why templates can't be used.
#[must_use]
pub fn template_fault(error: &render::RenderError) -> Fault {
    Fault {
        reason: SpawnerReason::InvalidTemplate,
        message: error.to_string(),
        transient: false,
    }
}

/// Returns when to try again before the next poll, if that is of use. What only a person or another Task's end can mend waits
/// for that poll, and for a newer listing; a run of a schedule has none to wait for, and a claim waits for nothing.
fn again(is_schedule: bool, unfinished: bool, refused: &[Blocked]) -> Option<Duration> {
    let hopeful = refused
        .iter()
        .filter(|b| unfinished || is_schedule || b.transient);
    let shortest = hopeful.map(|b| b.pause.unwrap_or_default().max(RETRY)).min();
    shortest.or(unfinished.then_some(RETRY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_person_can_mend_waits_for_the_next_poll() {
        let blocked = |transient, pause: Option<u64>| Blocked {
            item: "1".into(),
            reason: SpawnerReason::QuotaExceeded,
            message: String::new(),
            transient,
            all: true,
            left_out: false,
            pause: pause.map(Duration::from_secs),
        };
        let (lasting, passing) = (blocked(false, None), blocked(true, None));
        let (brief, limited) = (blocked(true, Some(2)), blocked(true, Some(900)));
        let minutes = Some(Duration::from_secs(900));
        for (is_schedule, unfinished, refused, pause) in [
            (false, false, vec![], None),
            (false, false, vec![lasting.clone()], None),
            (false, false, vec![lasting.clone(), passing], Some(RETRY)),
            (true, false, vec![lasting.clone()], Some(RETRY)),
            (false, true, vec![], Some(RETRY)),
            (false, true, vec![lasting], Some(RETRY)),
            (false, false, vec![brief], Some(RETRY)),
            (false, false, vec![limited.clone()], minutes),
            (false, true, vec![limited], minutes),
        ] {
            assert_eq!(again(is_schedule, unfinished, &refused), pause, "{refused:?}");
        }
    }
}
