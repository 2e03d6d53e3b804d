//! Two replicas that both believe to lead, read what is old, and die between any two calls, over a model of the API server: no Task
//! starts beyond a limit, everything that was spent is counted once, and every reservation ends.

use axon_api::agents::AgentType;
use axon_api::money::Money;
use jiff::{Timestamp, ToSpan};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Applicant, Book, Plan, plan};
use crate::budget::amount::{Amount, Limit};
use crate::budget::ledger::Ledger;

const REPLICAS: usize = 2;
const TASKS: usize = 6;
const BUDGETS: usize = 3;

fn dollars(dollars: u64) -> Amount {
    Amount {
        cost: Money::counted(&dollars.to_string()).unwrap(),
        tokens: 0,
        runs: 1,
    }
}

/// What is true of a Task, as the API server has it.
#[derive(Clone, Debug, PartialEq)]
struct Task {
    cap: u64,
    /// Budgets that count it.
    of: Vec<usize>,
    has_job: bool,
    /// What its agent has spent, once it has ended.
    spent: Option<u64>,
    is_terminal: bool,
    is_deleted: bool,
}

#[derive(Clone, Debug)]
struct Stored {
    version: u64,
    limit: u64,
    ledger: Ledger,
}

/// What a replica is about to do, with what it has read.
#[derive(Clone, Debug)]
enum Doing {
    Nothing,
    /// Writes that are left, the Job after them if `then` is true.
    Pass {
        task: usize,
        writes: Vec<(usize, u64, Ledger)>,
        then_job: bool,
    },
    /// Counts a Task that has ended in its budgets, and then ends it.
    Settle {
        task: usize,
        left: Vec<usize>,
    },
}

#[derive(Clone, Debug)]
struct Replica {
    tasks: Vec<Task>,
    budgets: Vec<Stored>,
    doing: Doing,
}

#[derive(Clone, Copy, Debug)]
enum Event {
    /// A replica's caches catch up with one budget, or one Task.
    ReadBudget(usize, usize),
    ReadTask(usize, usize),
    /// A replica reconciles a Task, by what it has read.
    Reconcile(usize, usize),
    /// A replica makes the next call.
    Go(usize),
    /// A replica dies and begins with what is there.
    Die(usize),
    /// The agent of a Task ends and has spent so much of a hundredth of its cap.
    End(usize, u64),
    /// Somebody deletes a Task.
    Delete(usize),
}

struct World {
    tasks: Vec<Task>,
    budgets: Vec<Stored>,
    replicas: Vec<Replica>,
    now: Timestamp,
    admitted: usize,
}

fn until(at: Timestamp) -> Timestamp {
    at.checked_add(24.hours()).unwrap()
}

impl World {
    fn new(tasks: Vec<(u64, u8)>, limits: [u64; BUDGETS]) -> Self {
        let task = |(cap, of): (u64, u8)| Task {
            cap,
            of: (0..BUDGETS).filter(|budget| of & (1 << budget) != 0).collect(),
            has_job: false,
            spent: None,
            is_terminal: false,
            is_deleted: false,
        };
        let tasks: Vec<Task> = tasks.into_iter().map(task).collect();
        let budgets: Vec<Stored> = limits
            .map(|limit| Stored {
                version: 0,
                limit,
                ledger: Ledger::default(),
            })
            .to_vec();
        let replica = Replica {
            tasks: tasks.clone(),
            budgets: budgets.clone(),
            doing: Doing::Nothing,
        };
        Self {
            replicas: vec![replica; REPLICAS],
            tasks,
            budgets,
            now: "2026-12-01T00:00:00Z".parse().unwrap(),
            admitted: 0,
        }
    }

    fn write(&mut self, budget: usize, version: u64, ledger: Ledger) -> bool {
        let stored = &mut self.budgets[budget];
        if stored.version != version {
            return false;
        }
        (stored.version, stored.ledger) = (version + 1, ledger);
        true
    }

    /// What was truly spent, or may yet be, in a budget.
    fn truth(&self, budget: usize) -> u64 {
        let counts = |task: &&Task| task.of.contains(&budget) && task.has_job;
        self.tasks
            .iter()
            .filter(counts)
            .map(|task| task.spent.unwrap_or(task.cap))
            .sum()
    }

    fn reconcile(&mut self, replica: usize, index: usize) {
        let seen = self.replicas[replica].clone();
        let task = &seen.tasks[index];
        let uid = index.to_string();
        let doing = if task.is_terminal || task.is_deleted {
            self.tidy(replica, index);
            return;
        } else if task.has_job {
            if task.spent.is_none() {
                return;
            }
            Doing::Settle {
                task: index,
                left: task.of.clone(),
            }
        } else {
            let book = |budget: &usize| Book {
                name: budget.to_string(),
                limit: Limit {
                    cost: Money::counted(&seen.budgets[*budget].limit.to_string()),
                    ..Limit::default()
                },
                ledger: seen.budgets[*budget].ledger.clone(),
            };
            let books: Vec<Book> = task.of.iter().map(book).collect();
            let who = Applicant {
                uid: &uid,
                task: &uid,
                agent: AgentType::Codex,
                amount: dollars(task.cap),
                set: "all",
                has_run: false,
            };
            let (writes, then_job) = match plan(&who, &books, self.now) {
                Plan::Admit(writes) => (writes, true),
                Plan::Wait { writes, .. } => (writes, false),
                Plan::Over => return,
            };
            let of_budget = |(book, ledger): (usize, Ledger)| {
                let budget = task.of[book];
                (budget, seen.budgets[budget].version, ledger)
            };
            Doing::Pass {
                task: index,
                writes: writes.into_iter().map(of_budget).collect(),
                then_job,
            }
        };
        self.replicas[replica].doing = doing;
    }

    /// Takes a Task that has ended out of the books, as far as a replica knows of both.
    fn tidy(&mut self, replica: usize, index: usize) {
        let uid = index.to_string();
        let (seen, truth) = (self.replicas[replica].clone(), self.tasks[index].clone());
        for budget in 0..BUDGETS {
            let mut ledger = seen.budgets[budget].ledger.clone();
            let Some(entry) = ledger.entry(&uid).cloned() else {
                continue;
            };
            if entry.is_held() {
                // Never counted: it ended before it had a Job, or it was deleted while it ran. A live call tells.
                if truth.is_terminal && truth.spent.is_some() {
                    // Its status says that it is counted here.
                    ledger.release(&uid);
                } else if truth.has_job {
                    let amount = dollars(truth.spent.unwrap_or(truth.cap));
                    ledger.settle(&uid, &uid, AgentType::Codex, amount, until(self.now));
                } else {
                    ledger.release(&uid);
                }
            } else {
                ledger.forget(&uid);
            }
            self.write(budget, seen.budgets[budget].version, ledger);
        }
    }

    fn go(&mut self, replica: usize) {
        let doing = std::mem::replace(&mut self.replicas[replica].doing, Doing::Nothing);
        match doing {
            Doing::Nothing => {}
            Doing::Pass {
                task,
                mut writes,
                then_job,
            } if !writes.is_empty() => {
                let (budget, version, ledger) = writes.remove(0);
                // Before an entry is made, a live call asks whether the Task has ended in between: it may be counted and forgotten.
                let is_new = self.replicas[replica].budgets[budget]
                    .ledger
                    .entry(&task.to_string())
                    .is_none();
                let truth = &self.tasks[task];
                if then_job && is_new && (truth.is_terminal || truth.is_deleted) {
                    return;
                }
                if self.write(budget, version, ledger) {
                    self.replicas[replica].doing = Doing::Pass {
                        task,
                        writes,
                        then_job,
                    };
                }
            }
            Doing::Pass { task, then_job, .. } => {
                let truth = &mut self.tasks[task];
                if then_job && !truth.has_job && !truth.is_terminal && !truth.is_deleted {
                    truth.has_job = true;
                    self.admitted += 1;
                    for budget in self.tasks[task].of.clone() {
                        let (total, limit) = (self.truth(budget), self.budgets[budget].limit);
                        assert!(total <= limit, "{total} of {limit} in budget {budget}");
                    }
                }
            }
            Doing::Settle { task, mut left } => {
                let uid = task.to_string();
                let Some(budget) = left.pop() else {
                    if self.tasks[task].spent.is_some() {
                        self.tasks[task].is_terminal = true;
                    }
                    return;
                };
                let seen = self.replicas[replica].budgets[budget].clone();
                let mut ledger = seen.ledger;
                // Without an entry a live call asks whether the Task has ended in between.
                if ledger.entry(&uid).is_none()
                    && (self.tasks[task].is_terminal || self.tasks[task].is_deleted)
                {
                    return;
                }
                let spent = self.tasks[task].spent.unwrap_or_default();
                ledger.settle(&uid, &uid, AgentType::Codex, dollars(spent), until(self.now));
                if self.write(budget, seen.version, ledger) {
                    self.replicas[replica].doing = Doing::Settle { task, left };
                }
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::ReadBudget(replica, budget) => {
                self.replicas[replica].budgets[budget] = self.budgets[budget].clone();
            }
            Event::ReadTask(replica, task) => self.replicas[replica].tasks[task] = self.tasks[task].clone(),
            Event::Reconcile(replica, task) => self.reconcile(replica, task),
            Event::Go(replica) => self.go(replica),
            Event::Die(replica) => {
                self.replicas[replica] = Replica {
                    tasks: self.tasks.clone(),
                    budgets: self.budgets.clone(),
                    doing: Doing::Nothing,
                };
            }
            Event::End(task, percent) => {
                let task = &mut self.tasks[task];
                if task.has_job && task.spent.is_none() && !task.is_deleted {
                    task.spent = Some(task.cap * percent / 100);
                }
            }
            Event::Delete(task) => self.tasks[task].is_deleted = true,
        }
    }

    /// One replica that reads everything works until nothing changes.
    fn rest(&mut self) {
        for _ in 0..12 {
            for task in 0..TASKS {
                self.event(Event::Die(0));
                self.reconcile(0, task);
                for _ in 0..2 * BUDGETS + 2 {
                    self.go(0);
                    self.event(Event::Die(1));
                }
                self.event(Event::End(task, 50));
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let (replica, task, budget) = (0..REPLICAS, 0..TASKS, 0..BUDGETS);
    prop_oneof![
        8 => (replica.clone(), budget).prop_map(|(replica, budget)| Event::ReadBudget(replica, budget)),
        4 => (replica.clone(), task.clone()).prop_map(|(replica, task)| Event::ReadTask(replica, task)),
        8 => (replica.clone(), task.clone()).prop_map(|(replica, task)| Event::Reconcile(replica, task)),
        20 => replica.clone().prop_map(Event::Go),
        1 => replica.prop_map(Event::Die),
        4 => (task.clone(), 0..=100_u64).prop_map(|(task, percent)| Event::End(task, percent)),
        1 => task.prop_map(Event::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_two_replicas_start_more_than_there_is_room_for(
        tasks in vec((1..=5_u64, 1..8_u8), TASKS),
        limits in [5..12_u64, 5..12, 5..12],
        events in vec(event(), 0..240),
    ) {
        let mut world = World::new(tasks, limits);
        for event in events {
            world.event(event);
        }
        world.rest();
        for (index, budget) in world.budgets.iter().enumerate() {
            prop_assert_eq!(budget.ledger.reserved(), Amount::default(), "every reservation ends: {:?}", budget);
            let spent = world.tasks.iter().filter(|task| task.of.contains(&index) && task.has_job);
            let spent: Amount = spent.fold(Amount::default(), |sum, task| sum.plus(dollars(task.spent.unwrap_or(task.cap))));
            prop_assert_eq!(budget.ledger.spent(world.now), spent, "everything is counted once");
        }
    }
}
