//! What the creation of Tasks needs of the items of a GitHub listing.

use axon_api::v1alpha1::{Claim, SpawnerReason};
use futures::future::BoxFuture;

use super::approval::{Gate, Standing};
use super::gate::Verdict;
use super::matched::MatchedItems;
use super::reader::GithubReader;
use crate::kube::watch::LENT;
use crate::spawner::cluster::{self, Created, SpawnerError};
use crate::spawner::plan::match_state::Filter;
use crate::spawner::render;
use crate::spawner::render::prepare::{blocked, render_reason};
use crate::spawner::source::item::Item;
use crate::spawner::source::{Admission, PolledItems};
use crate::spawner::status::Blocked;
use axon_github::GithubError;

impl PolledItems for MatchedItems {
    fn is_listing(&self) -> bool {
        true
    }

    fn ids(&self) -> Vec<&str> {
        self.ids.iter().map(String::as_str).collect()
    }

    fn item(&self, id: &str) -> Option<Item> {
        self.item(id)
    }

    fn title(&self, id: &str) -> Option<String> {
        self.title(id).map(str::to_owned)
    }

    fn has(&self, id: &str) -> bool {
        self.of(id).is_some()
    }

    fn filter(&self) -> Option<&Filter> {
        Some(&self.filter)
    }

    fn is_complete(&self) -> bool {
        self.complete
    }

    fn begin_round(&self, gate: &mut Gate) {
        gate.begin(&self.filter, &self.ids);
    }

    fn is_late(&self) -> bool {
        self.is_late(LENT)
    }

    fn held_back(
        &self,
        github: &GithubReader,
        claim: &Claim,
        gate: &Gate,
        with_message: bool,
    ) -> Option<Blocked> {
        self.refusal(claim, github.standing(self, &claim.item, gate), with_message)
    }

    fn admit<'a>(
        &'a self,
        admission: Admission<'a>,
        item: &'a mut Item,
        gate: &'a mut Gate,
    ) -> BoxFuture<'a, Result<Result<(), Blocked>, SpawnerError>> {
        Box::pin(self.read_rest(admission, item, gate))
    }
}

impl MatchedItems {
    /// Reads what the listing lacks of an item. The cheapest check comes first: the API server's dry run costs none of the
    /// requests that GitHub allows, the approval costs one or two, and the comments cost one for each page.
    async fn read_rest(
        &self,
        admission: Admission<'_>,
        item: &mut Item,
        gate: &mut Gate,
    ) -> Result<Result<(), Blocked>, SpawnerError> {
        let Admission {
            context,
            live,
            templates,
            claim,
            mark,
        } = admission;
        let (github, template) = (&context.github, &live.spec.task_template);
        // A limit or a silence holds for the other items too.
        let unread = |reason, error: &GithubError| Blocked {
            all: error.is_transient(),
            pause: github.pause(error),
            ..blocked(claim, reason, error.to_string(), error.is_transient())
        };
        // Read once: an answer that another TaskSpawner gets in between must not make this one skip the question.
        let standing = github.standing(self, &item.id, gate);
        if let Some(why) = self.refusal(claim, standing, true) {
            return Ok(Err(why));
        }
        let must_ask = standing == Standing::Ask;
        let shows_comments = render::shows_comments(template) && self.has_comments(item);
        let mut lacks_text = self.lacks_text(item);
        if lacks_text && !must_ask {
            if let Err(error) = github.add_text(self, item).await {
                return Ok(Err(unread(SpawnerReason::ItemUnreadable, &error)));
            }
            lacks_text = false;
        }
        if (must_ask || shows_comments) && !lacks_text {
            match render::task(live, templates, item, &claim.name, mark) {
                Ok(task) => {
                    if let Created::Blocked(why) = cluster::create(context, live, claim, &task, true).await? {
                        return Ok(Err(why));
                    }
                }
                Err(error) if error.depends_on_comments(template) => {}
                Err(error) => {
                    let why = blocked(claim, render_reason(&error), error.to_string(), false);
                    return Ok(Err(why));
                }
            }
        }
        let mut approved = None;
        if must_ask {
            match github.approve(self, item, gate).await {
                Ok(Verdict::Approved(until)) => (lacks_text, approved) = (false, Some(until)),
                Ok(Verdict::Counts) => {}
                Ok(Verdict::LeftOut(why)) => return Ok(Err(self.left_out(claim, why))),
                Err(error) => return Ok(Err(unread(SpawnerReason::ApprovalUnreadable, &error))),
            }
        }
        if lacks_text && let Err(error) = github.add_text(self, item).await {
            return Ok(Err(unread(SpawnerReason::ItemUnreadable, &error)));
        }
        if shows_comments {
            let added = github.add_comments(self, item, approved).await;
            if let Err(error) = added {
                return Ok(Err(unread(SpawnerReason::CommentsUnreadable, &error)));
            }
        }
        Ok(Ok(()))
    }
}
