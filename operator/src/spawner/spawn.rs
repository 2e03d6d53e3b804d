//! One round of a TaskSpawner: claims and creates the Tasks that its items call for.
//!
//! The steps of a pass are those of [`Round`]: read, choose, prepare, claim, fulfil. A pass is repeated while there is room and
//! items are left. [`super::publish`] writes the status afterwards.

use std::collections::BTreeSet;
use std::time::Duration;

use axon_api::TaskSpawner;
use axon_api::v1alpha1::{Claim, SpawnerReason, TaskSpawnerStatus};
use tokio::time::Instant;

use super::cluster::{self, Created, SpawnerError};
use super::plan::{self, ExistingTask, Ledger, Limits};
use super::render::prepare::prepare;
use super::render::{self, Templates};
use super::round_items::wanted;
use super::source::PolledItems;
use super::source::github::gate::Why;
use super::source::schedule::prefetch::PreparedRun;
use super::state::{Context, SpawnerState};
use super::status::{self, Blocked, Fault, PollOutcome, Waiting};

/// Most Tasks that are claimed at a time: so many claims a status may hold.
const BATCH: usize = 20;
/// Pause before blocked items and claims that are not fulfilled are tried again.
const RETRY: Duration = Duration::from_secs(15);
/// How long a claim that can't be fulfilled stands until it is given back: longer than any request of another owner can
/// be under way, so that nobody creates its Task afterwards.
const GIVE_BACK: Duration = Duration::from_secs(60);

/// A spawner as it was after everything was done that could be.
pub struct Done {
    /// As it was written last.
    pub live: TaskSpawner,
    /// Its Tasks then.
    pub tasks: Vec<ExistingTask>,
    /// When something has to be tried again before the next poll.
    pub again: Option<Duration>,
}

/// The state of one round.
struct Round<'a> {
    context: &'a Context,
    templates: &'a Templates,
    items: &'a mut dyn PolledItems,
    state: &'a mut SpawnerState,
    /// Items that can't become Tasks.
    refused: Vec<Blocked>,
    /// Tasks that the API server would take, and that are not created yet.
    ready: Vec<(Claim, axon_api::Task)>,
}

/// The claims that one pass is about.
struct Choice {
    status: TaskSpawnerStatus,
    ledger: Ledger,
    limits: Limits,
    /// All that the items call for, in the order in which they are tried.
    wanted: Vec<Claim>,
    /// Tasks that the limits allow.
    free: usize,
    /// Tasks that are claimed in this pass at most.
    most: usize,
}

/// Claims and creates the Tasks that the items call for, as far as limits allow, and completes what was claimed
/// before.
///
/// # Errors
/// [`SpawnerError`]; the next reconcile, by any replica, completes what was claimed until then.
pub async fn spawn(
    context: &Context,
    spawner: &TaskSpawner,
    templates: &Templates,
    items: &mut dyn PolledItems,
    state: &mut SpawnerState,
    outcome: &mut PollOutcome,
) -> Result<Done, SpawnerError> {
    items.begin_round(&mut state.gate);
    let mut prepared = items.take_prepared(state, spawner, context.clock.now());
    let mut round = Round {
        context,
        templates,
        items,
        state,
        refused: Vec::new(),
        ready: Vec::new(),
    };
    loop {
        let is_prepared = prepared.is_some();
        let (live, mut tasks) = round.read(spawner, prepared.take()).await?;
        let choice = round.choose(&live, &tasks);
        round.prepare(&live, &choice).await?;
        let claims = round.claims(&choice);
        let (live, has_claimed) = match round.claim(live, &tasks, &choice, &claims).await {
            // What was prepared was read seconds ago: the round begins again with what is there now.
            Err(SpawnerError::Call(error)) if is_prepared && error.is_conflict() => continue,
            claimed => claimed?,
        };
        let (settled, unfinished) = round.fulfil(&live, &mut tasks).await?;
        let stopped = round.is_stopped();
        let left = choice.wanted.len() > claims.len() + round.refused.len() && choice.free > claims.len();
        let is_over = left && !stopped && round.items.is_late();
        let more = left && has_claimed && !stopped && !is_over;
        let live = match settled {
            Some(next) if more => cluster::write(context, &live, &next).await?,
            Some(next) => TaskSpawner {
                status: Some(next),
                ..live
            },
            None => live,
        };
        if more {
            continue;
        }
        let again = round.finish(&choice, &claims, unfinished, outcome);
        let again = again.or(is_over.then_some(Duration::ZERO));
        return Ok(Done { live, tasks, again });
    }
}

impl Round<'_> {
    /// Reads the TaskSpawner and then its Tasks, or takes what was read for a prepared run.
    async fn read(
        &mut self,
        spawner: &TaskSpawner,
        prepared: Option<PreparedRun>,
    ) -> Result<(TaskSpawner, Vec<ExistingTask>), SpawnerError> {
        let (live, tasks) = match prepared {
            Some(prepared) => {
                self.ready.push(prepared.ready);
                (prepared.live, prepared.tasks)
            }
            None => cluster::fresh(self.context, spawner).await?,
        };
        if self.items.is_listing() && self.state.forget_gone(&tasks, Instant::now()) {
            return Err(SpawnerError::Changed);
        }
        Ok((live, tasks))
    }

    /// Chooses the claims that the items call for.
    fn choose(&mut self, live: &TaskSpawner, tasks: &[ExistingTask]) -> Choice {
        let status = live.status.clone().unwrap_or_default();
        self.items.refresh(live, self.context.clock.now());
        let (ledger, limits) = (Ledger::of(&status), self.context.limits(live));
        let wanted = wanted(live, &*self.items, tasks, &ledger, &self.refused, self.state);
        let free = plan::room(tasks, &ledger, limits).free;
        Choice {
            most: free.min(BATCH.saturating_sub(ledger.claims.len())),
            status,
            ledger,
            limits,
            wanted,
            free,
        }
    }

    /// Prepares Tasks of the chosen claims until there are as many as may be claimed.
    async fn prepare(&mut self, live: &TaskSpawner, choice: &Choice) -> Result<(), SpawnerError> {
        let is_ready = |claim: &&Claim| self.ready.iter().any(|(c, _)| c == *claim);
        // Of a public repository nearly all items may be left out: no step here may cost more with each of them.
        let mut number = choice.wanted.iter().filter(is_ready).count();
        let mut stopped = self.is_stopped();
        for claim in &choice.wanted {
            if number >= choice.most || stopped {
                break;
            }
            if self.ready.iter().any(|(c, _)| c == claim) {
                continue;
            }
            // There may be thousands, and the status shows the first few.
            let with_message = self.refused.len() < status::MAX_NAMED;
            let (github, gate) = (&self.context.github, &mut self.state.gate);
            if let Some(blocked) = self.items.held_back(github, claim, gate, with_message) {
                self.refused.push(blocked);
                continue;
            }
            // What GitHub has answered is used before there is no time left.
            if self.items.is_late() && !self.ready.is_empty() {
                break;
            }
            let prepared = prepare(self.context, live, self.templates, &*self.items, claim, gate);
            match prepared.await? {
                Ok(task) => {
                    number += 1;
                    self.ready.push((claim.clone(), task));
                }
                Err(blocked) => {
                    stopped |= blocked.all;
                    self.refused.push(blocked);
                }
            }
        }
        Ok(())
    }

    /// Returns the chosen claims whose Tasks are ready.
    fn claims(&self, choice: &Choice) -> Vec<Claim> {
        let is_ready = |claim: &&Claim| self.ready.iter().any(|(c, _)| c == *claim);
        choice
            .wanted
            .iter()
            .filter(is_ready)
            .take(choice.most)
            .cloned()
            .collect()
    }

    /// Writes the claims to the status, if anything changes there. Returns the TaskSpawner, and whether there are new claims.
    async fn claim(
        &mut self,
        live: TaskSpawner,
        tasks: &[ExistingTask],
        choice: &Choice,
        claims: &[Claim],
    ) -> Result<(TaskSpawner, bool), SpawnerError> {
        let mut next = choice.status.clone();
        self.items.note_begin(&mut next);
        let claimed = plan::claim(&choice.ledger, tasks, choice.limits, claims);
        let is_dealt_with = choice.wanted.is_empty() && !self.refused.iter().any(|b| self.items.has(&b.item));
        if claimed.is_some() || is_dealt_with {
            let now = self.context.clock.now();
            self.items.note_end(&mut next, live.metadata.generation, now);
        }
        let has_claimed = claimed.is_some();
        if let Some(ledger) = claimed {
            ledger.write(&mut next);
        }
        let live = if next == choice.status {
            live
        } else {
            cluster::write(self.context, &live, &next).await?
        };
        if has_claimed && let Some(run) = self.items.due_at() {
            let late = self.context.clock.now().duration_since(run).as_secs_f64();
            self.context.metrics.spawners.late(late);
        }
        Ok((live, has_claimed))
    }

    /// Creates the Tasks of all claims. Returns the status without the claims that are fulfilled, if there are any, and
    /// whether some are left.
    async fn fulfil(
        &mut self,
        live: &TaskSpawner,
        tasks: &mut Vec<ExistingTask>,
    ) -> Result<(Option<TaskSpawnerStatus>, bool), SpawnerError> {
        let mut status = live.status.clone().unwrap_or_default();
        let (context, before) = (self.context, Ledger::of(&status));
        let (mut there, mut back) = (BTreeSet::new(), BTreeSet::new());
        let mut stop: Option<Blocked> = None;
        for claim in &before.claims {
            if tasks.iter().any(|task| task.name == claim.name) {
                there.insert(claim.name.clone());
                continue;
            }
            // Nothing starts while the spawner is paused, also what was decided on before.
            if context.limits(live).suspended || context.stores.shows_change_of(live) {
                continue;
            }
            let at = self.ready.iter().position(|(c, _)| c == claim);
            let made = match (at, &stop) {
                (Some(at), _) => Ok(self.ready.swap_remove(at).1),
                (None, Some(why)) => Err(Blocked {
                    item: claim.item.clone(),
                    ..why.clone()
                }),
                (None, None) => {
                    self.state.gate.allow();
                    let gate = &mut self.state.gate;
                    prepare(context, live, self.templates, &*self.items, claim, gate).await?
                }
            };
            let created = match made {
                Ok(task) => cluster::create(context, live, claim, &task, false).await?,
                Err(blocked) => Created::Blocked(blocked),
            };
            match created {
                Created::Yes => {
                    self.state.stuck.remove(&claim.name);
                    there.insert(claim.name.clone());
                    tasks.push(ExistingTask {
                        name: claim.name.clone(),
                        item: Some(claim.item.clone()),
                        ..ExistingTask::default()
                    });
                    context.metrics.spawners.spawned(live);
                    context.events.spawned(live, &claim.name);
                }
                Created::Blocked(why) => {
                    let since = *self
                        .state
                        .stuck
                        .entry(claim.name.clone())
                        .or_insert_with(Instant::now);
                    if !why.transient && since.elapsed() >= GIVE_BACK {
                        tracing::warn!(task = %claim.name, reason = %why.reason, "a claim is given back");
                        back.insert(claim.name.clone());
                    }
                    if why.all {
                        stop = Some(why.clone());
                    }
                    self.refused.push(why);
                }
            }
        }
        self.state
            .stuck
            .retain(|name, _| before.claims.iter().any(|c| c.name == *name) && !back.contains(name));
        let after = before.clone().settled(&there).given_back(&back);
        let unfinished = !after.claims.is_empty();
        if after == before {
            return Ok((None, unfinished));
        }
        after.write(&mut status);
        for claim in before.claims.iter().filter(|claim| back.contains(&claim.name)) {
            self.items.note_given_back(&mut status, &claim.item);
        }
        Ok((Some(status), unfinished))
    }

    /// Returns whether an obstacle holds for all items.
    fn is_stopped(&self) -> bool {
        self.refused.iter().any(|b| b.all)
    }

    /// Notes in `outcome` and in the state what could not be created. Returns when to try again before the next poll.
    fn finish(
        self,
        choice: &Choice,
        claims: &[Claim],
        unfinished: bool,
        outcome: &mut PollOutcome,
    ) -> Option<Duration> {
        let held: BTreeSet<&str> = claims.iter().map(|c| c.item.as_str()).collect();
        let blocked: BTreeSet<&str> = self.refused.iter().map(|b| b.item.as_str()).collect();
        let left = choice
            .wanted
            .iter()
            .filter(|claim| !held.contains(claim.item.as_str()))
            .filter(|claim| !blocked.contains(claim.item.as_str()));
        outcome.waiting = Waiting::of(left, |item| self.items.title(item));
        outcome.next_run = self.items.next_run().or(outcome.next_run);
        // What concerns all is tried with the same item again; those that were left out have an order of their own.
        let own = self.refused.iter().filter(|b| !b.all && !b.left_out);
        self.state.blocked = own.map(|b| b.item.clone()).collect();
        let again = again(!self.items.is_listing(), unfinished, &self.refused);
        let of_permission = self.refused.iter().find(|b| b.reason == Why::Unknown.reason());
        outcome.permission_unknown = of_permission.map(|b| b.message.clone());
        outcome.blocked.extend(self.refused);
        again
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
