//! Whatever happens to a Task, in whatever order: it comes to rest after each event, it has one Job at most, it ends once
//! the world lets it, and nothing changes it afterwards.

use std::collections::BTreeSet;

use axon_api::v1alpha1::{RetryPolicy, RetryReason};
use proptest::prelude::*;

use super::*;
use crate::task::decide::dependencies::Satisfied;
use crate::task::decide::status::enter;

#[derive(Clone, Copy, Debug)]
enum Event {
    WorkspaceComes,
    WorkspaceGoes,
    DependenciesSucceed,
    PodComes,
    ImageFails,
    AgentStarts,
    AgentEnds(i32),
    PodIsEvicted,
    PodIsDeleted,
    PodVanishes,
    /// With its pod, which the Job makes up for; whether the operator has seen it go.
    NodeIsLost(bool),
    PodIsRejected,
    DeadlinePasses,
    /// While the node of the pod does not answer.
    DeadlinePassesUnheard,
    JobIsDeleted,
    GarbageIsCollected,
    /// A container of others goes on in the pod; whether the agent leaves a final report.
    AgentEndsAlone(i32, bool),
    /// By a queue; whether the operator sees it before the queue lets the Job run again.
    JobIsSuspended(bool),
    JobIsResumed,
    IsStopped,
    TimePasses(i64),
}

fn any_event() -> impl Strategy<Value = Event> {
    use Event as E;
    prop_oneof![
        Just(E::WorkspaceComes),
        Just(E::WorkspaceGoes),
        Just(E::DependenciesSucceed),
        Just(E::PodComes),
        Just(E::PodComes),
        Just(E::ImageFails),
        Just(E::AgentStarts),
        Just(E::AgentStarts),
        prop_oneof![Just(0), Just(1), Just(137)].prop_map(E::AgentEnds),
        Just(E::PodIsEvicted),
        Just(E::PodIsDeleted),
        Just(E::PodVanishes),
        any::<bool>().prop_map(E::NodeIsLost),
        Just(E::PodIsRejected),
        Just(E::DeadlinePasses),
        Just(E::DeadlinePassesUnheard),
        Just(E::JobIsDeleted),
        (prop_oneof![Just(0), Just(1), Just(255)], any::<bool>())
            .prop_map(|(code, says)| E::AgentEndsAlone(code, says)),
        any::<bool>().prop_map(E::JobIsSuspended),
        Just(E::JobIsResumed),
        Just(E::GarbageIsCollected),
        Just(E::GarbageIsCollected),
        Just(E::IsStopped),
        prop_oneof![Just(1), Just(40), Just(4000)].prop_map(E::TimePasses),
    ]
}

/// A cluster with one Task, as far as the rules see it.
struct World {
    task: Task,
    job: Option<JobView>,
    pods: Vec<PodView>,
    workspace: Option<Workspace>,
    ready: bool,
    now: i64,
    made: usize,
    /// Pods that came.
    came: usize,
    /// Those whose agent ran.
    ran: BTreeSet<String>,
    /// Those of them that ended because the Job was suspended.
    preempted: BTreeSet<String>,
    end: Option<TaskStatus>,
}

impl World {
    fn new(retries: i32) -> Self {
        let mut t = task("t");
        t.spec.retry_policy = (retries > 0).then(|| RetryPolicy {
            limit: retries,
            backoff: "30s".into(),
            on: vec![
                RetryReason::AgentError,
                RetryReason::PodLost,
                RetryReason::ImagePull,
            ],
        });
        Self {
            task: t,
            job: None,
            pods: Vec::new(),
            workspace: None,
            ready: false,
            now: NOW,
            made: 0,
            came: 0,
            ran: BTreeSet::new(),
            preempted: BTreeSet::new(),
            end: None,
        }
    }

    fn newest(&mut self) -> Option<&mut PodView> {
        self.pods.last_mut().filter(|pod| !pod.is_over() && !pod.gone)
    }

    /// The Job's controller takes note of its pod's end.
    fn job_ends(&mut self, end: JobEnd) {
        if let Some(job) = self
            .job
            .as_mut()
            .filter(|job| job.finished.is_none() && !job.deleting)
        {
            job.finished = Some(job.ending.clone().unwrap_or(end));
        }
    }

    fn fails(&mut self, reason: &str) {
        self.job_ends(JobEnd::Failed {
            reason: reason.into(),
            message: String::new(),
            at: Some(at(self.now)),
        });
    }

    fn happens(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::WorkspaceComes => self.workspace = Some(workspace("https://h/x")),
            Event::WorkspaceGoes => self.workspace = None,
            Event::DependenciesSucceed => self.ready = true,
            Event::TimePasses(seconds) => self.now += seconds,
            Event::IsStopped => {
                self.task.spec.stop = Some(true);
                self.task.metadata.generation = Some(2);
            }
            Event::PodComes => {
                let name = format!("t-{}", self.came);
                let live = self.newest().is_some();
                if let Some(job) = self.job.as_ref().filter(|j| {
                    j.finished.is_none() && j.ending.is_none() && !j.deleting && j.held.is_none() && !live
                }) {
                    self.pods.push(PodView {
                        name,
                        owner_uid: job.uid.clone(),
                        created: Some(at(now + i64::try_from(self.came).unwrap())),
                        ..PodView::default()
                    });
                    self.came += 1;
                }
            }
            Event::ImageFails => {
                if let Some(pod) = self.newest().filter(|pod| !pod.has_started()) {
                    pod.agent = waiting("ErrImagePull", "no such image");
                }
            }
            Event::AgentStarts => {
                if let Some(pod) = self.newest() {
                    pod.agent = ContainerView::Running { since: Some(at(now)) };
                    let name = pod.name.clone();
                    self.ran.insert(name);
                }
            }
            Event::AgentEnds(code) => {
                if let Some(pod) = self.newest() {
                    pod.agent = ContainerView::Terminated(ended(code, 1));
                    match code {
                        0 => self.job_ends(JobEnd::Complete),
                        _ => self.fails("BackoffLimitExceeded"),
                    }
                }
            }
            Event::PodIsEvicted => {
                if let Some(pod) = self.newest() {
                    pod.disruption = Some(("EvictionByEvictionAPI".into(), "drained".into()));
                    pod.agent = ContainerView::Terminated(ended(137, 1));
                }
            }
            Event::PodIsDeleted => {
                if let Some(pod) = self.newest() {
                    pod.deleting = true;
                    let ended = Ended {
                        report: None,
                        ..ended(143, 1)
                    };
                    pod.agent = ContainerView::Terminated(ended);
                    self.fails("BackoffLimitExceeded");
                }
            }
            Event::PodVanishes => {
                if let Some(pod) = self.newest() {
                    pod.gone = true;
                    self.fails("BackoffLimitExceeded");
                }
            }
            Event::NodeIsLost(seen) => {
                if let Some(pod) = self.newest() {
                    pod.failed = true;
                    pod.gone = true;
                    pod.disruption = Some(("DeletionByPodGC".into(), "node no longer exists".into()));
                    if !seen {
                        self.pods.pop();
                    }
                }
            }
            Event::PodIsRejected => {
                if let Some(pod) = self.newest().filter(|pod| !pod.has_started()) {
                    pod.failed = true;
                    pod.failure = Some(("OutOfcpu".into(), "Pod was rejected".into()));
                    self.fails("BackoffLimitExceeded");
                }
            }
            Event::DeadlinePasses => {
                if let Some(pod) = self.newest() {
                    pod.agent = ContainerView::Terminated(ended(143, 1));
                }
                self.fails("DeadlineExceeded");
            }
            Event::DeadlinePassesUnheard => {
                if let Some(job) = self
                    .job
                    .as_mut()
                    .filter(|job| job.finished.is_none() && !job.deleting)
                {
                    let end = JobEnd::Failed {
                        reason: "DeadlineExceeded".into(),
                        message: String::new(),
                        at: Some(at(now)),
                    };
                    job.ending.get_or_insert(end);
                    if let Some(pod) = self.newest() {
                        pod.deleting = true;
                        pod.gone_by.get_or_insert(at(now + 45));
                    }
                }
            }
            Event::AgentEndsAlone(code, says) => {
                if let Some(pod) = self.newest() {
                    let mut end = ended(code, 1);
                    end.finished = Some(at(now));
                    if code == 255 {
                        end.reason = "Unknown".into();
                        end.report = None;
                    }
                    end.report = end.report.filter(|_| says);
                    pod.agent = ContainerView::Terminated(end);
                }
            }
            Event::JobIsSuspended(seen) => {
                let has_started = self.newest().is_some_and(|pod| pod.has_started());
                let goes = |j: &&mut JobView| j.finished.is_none() && j.ending.is_none() && !j.deleting;
                if let Some(job) = self.job.as_mut().filter(goes) {
                    job.held = Some(Held::Suspended);
                    if let Some(pod) = self.newest() {
                        pod.deleting = true;
                        pod.agent = match seen {
                            true => ContainerView::Terminated(ended(143, 1)),
                            false => pod.agent.clone(),
                        };
                        pod.gone = !seen;
                        let name = pod.name.clone();
                        if has_started || seen {
                            self.ran.insert(name.clone());
                            self.preempted.insert(name);
                        }
                    }
                    if !seen {
                        self.now += 60;
                        self.happens(Event::JobIsResumed);
                    }
                }
            }
            Event::JobIsResumed => {
                if let Some(job) = self.job.as_mut().filter(|job| job.held.is_some()) {
                    job.held = None;
                    job.started = Some(at(now));
                    job.resumed = Some(at(now));
                }
            }
            Event::JobIsDeleted => {
                if let Some(job) = &mut self.job {
                    job.deleting = true;
                    job.deleting_since.get_or_insert(at(now));
                }
            }
            Event::GarbageIsCollected => {
                if self.job.as_ref().is_some_and(|job| job.deleting) {
                    if let Some(pod) = self.newest() {
                        pod.deleting = true;
                        pod.agent = ContainerView::Terminated(ended(143, 1));
                    }
                    for pod in &mut self.pods {
                        pod.gone = true;
                    }
                    self.job = None;
                }
            }
        }
        if self.newest().is_none()
            && let Some(end) = self.job.as_ref().and_then(|job| job.ending.clone())
        {
            self.job_ends(end);
        }
    }

    fn decide(&self) -> Decision {
        let status = self.task.status.clone().unwrap_or_default();
        let pods = self.pods.iter().filter(|pod| match &self.job {
            Some(job) => pod.owner_uid == job.uid,
            None => status.pod_name.as_ref() == Some(&pod.name),
        });
        decide(&Observed {
            job: self.job.clone(),
            pods: pods.cloned().collect(),
            workspace: match &self.workspace {
                Some(workspace) => Named::Found(workspace),
                None => Named::Missing("w"),
            },
            dependencies: if self.ready {
                Dependencies::Ready(Satisfied::default())
            } else {
                Dependencies::Waiting {
                    message: "waits for d".into(),
                    satisfied: Satisfied::default(),
                }
            },
            now: at(self.now),
            ..observed(&self.task)
        })
    }

    /// Does what is decided until there is nothing to do.
    fn rests(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..12 {
            match self.decide() {
                Decision::Wait(pause) => {
                    let status = self.task.status.clone().unwrap_or_default();
                    let over = status.phase.is_some_and(TaskPhase::is_terminal);
                    prop_assert!(over || pause.is_some(), "a wait without a net");
                    prop_assert!(
                        over || status.reason.is_some(),
                        "a wait without a word: {:?}",
                        status
                    );
                    return self.every_run_counts(&status);
                }
                Decision::UpdateStatus(status) => self.write(*status)?,
                Decision::CreateJob(known) => {
                    prop_assert!(self.job.is_none(), "two Jobs of one name");
                    let live = self.pods.iter().any(|pod| !pod.is_over() && !pod.gone);
                    prop_assert!(!live, "two pods at a time: {:?}", self.pods);
                    self.made += 1;
                    self.job = Some(JobView {
                        uid: Some(format!("job-{}", self.made)),
                        started: Some(at(self.now)),
                        ..job()
                    });
                    let (phase, reason) = (TaskPhase::Pending, TaskReason::Starting);
                    let mut status = enter(&known, phase, reason, STARTING, Some(1), at(self.now));
                    status.job_name = Some("t".into());
                    self.write(status)?;
                }
                Decision::DeleteJob => {
                    let going = self.job.as_ref().is_some_and(|job| job.deleting);
                    prop_assert!(self.job.is_some() && !going, "nothing to delete");
                    self.happens(Event::JobIsDeleted);
                }
                Decision::Expire => return Ok(()),
            }
        }
        Err(TestCaseError::fail(format!("no rest: {:?}", self.task.status)))
    }

    /// No run goes uncounted, so that none is repeated more often than was promised.
    fn every_run_counts(&self, status: &TaskStatus) -> Result<(), TestCaseError> {
        let retries = self
            .task
            .spec
            .retry_policy
            .as_ref()
            .map_or(0, |policy| policy.limit);
        let limit = crate::task::decide::retry::MAX_DISRUPTIONS + usize::try_from(retries).unwrap();
        let counted = self.ran.difference(&self.preempted).count();
        prop_assert!(counted <= limit, "{:?} ran, {:?}", self.ran, self.preempted);
        for attempt in &status.attempts {
            let queued = attempt.reason == Some(TaskReason::Queued);
            prop_assert!(
                !queued || self.preempted.contains(&attempt.pod_name),
                "{:?}",
                attempt
            );
        }
        let goes_on = !status.phase.is_some_and(TaskPhase::is_terminal);
        // The end of an agent that left no report is given a moment.
        let open = |pod: &&PodView| !pod.gone && (!pod.is_over() || pod.outlives_its_agent());
        let live = self.pods.last().filter(open);
        for name in self.ran.iter().filter(|_| goes_on) {
            let is_live = live.is_some_and(|pod| pod.name == *name);
            // Earlier ones are in the sum of the last.
            let told = status.attempts.iter().any(|a| a.pod_name == *name) || self.preempted.contains(name);
            prop_assert!(is_live || told, "{name} is forgotten: {:?}", status);
        }
        Ok(())
    }

    fn write(&mut self, status: TaskStatus) -> Result<(), TestCaseError> {
        let essence = |status: &TaskStatus| {
            let mut status = status.clone();
            status.observed_generation = None;
            status.conditions.clear();
            status
        };
        if let Some(end) = &self.end {
            prop_assert_eq!(essence(end), essence(&status), "the end was not the end");
        } else if status.phase.is_some_and(TaskPhase::is_terminal) {
            self.end = Some(status.clone());
        }
        prop_assert!(status.attempts.len() <= crate::task::decide::status::MAX_ATTEMPTS);
        self.task.status = Some(status);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_life_comes_to_rest_and_to_an_end(
        events in prop::collection::vec(any_event(), 0..60),
        retries in 0i32..3,
        last in prop_oneof![Just(0), Just(1)],
    ) {
        let mut world = World::new(retries);
        world.rests()?;
        for event in events {
            world.happens(event);
            world.rests()?;
        }
        // The world does its part from here on.
        for _ in 0..12 {
            use Event as E;
            for event in [
                E::GarbageIsCollected, E::JobIsResumed, E::WorkspaceComes, E::DependenciesSucceed, E::TimePasses(4000), E::PodComes,
                E::AgentStarts, E::AgentEnds(last),
            ] {
                world.happens(event);
                world.rests()?;
            }
        }
        prop_assert!(world.end.is_some(), "no end: {:?} {:?}", world.task.status, world.job);
        world.happens(Event::GarbageIsCollected);
        world.rests()?;
        let live = world.pods.iter().any(|pod| !pod.is_over() && !pod.gone);
        prop_assert!(!live, "something is left running");
    }
}
