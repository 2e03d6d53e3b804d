//! Reads all pages of a listing, with their `ETag`s, until they are of one moment.

use tokio::time::Instant;

use super::error::GithubError;
use super::listing::{Page, Scope, Shared, Sum};
use super::query::{self, Item, State};
use super::repository::Repository;
use super::target::{Conditional, PageResponse, Target};
use super::{Github, keep};

/// Pages up to which GitHub takes a page's number; behind them its links name a place in the list.
const NUMBERED_PAGES: usize = 100;
/// Most pages of one listing. A repository with more is an error, not a short listing.
const MAX_PAGES: usize = 1000;
/// Most entries of a listing that are too large to be read one by one; a host with more of them is no GitHub.
const MAX_UNREADABLE: usize = 2;
/// How often pages are read again when they changed while they were read.
const MAX_PASSES: usize = 4;

impl Github {
    /// Reads all pages, again and again until none has changed since the one before it was read: an issue that is
    /// closed moves all later ones up, and one of them may slip from an unread page to one that was read already.
    ///
    /// Returns the pages, and whether that came about. With an error they are those that were read, and behind them
    /// those that were known: the next fetch asks only for what has changed.
    ///
    /// Pages that are too large are asked for in smaller ones, all of them, and from then on.
    pub(super) async fn fetch(
        &self,
        target: &Target<'_>,
        state: State,
        scope: &Scope,
        shared: &mut Shared,
    ) -> (Vec<Page>, Result<bool, GithubError>) {
        loop {
            match self.passes(target, state, scope, shared).await {
                (_, Err(GithubError::AnswerTooLarge { .. })) if shared.shrink(Instant::now()) => {
                    tracing::info!(repository = %target.what, size = shared.size, "a page was too large: smaller ones are asked for");
                }
                (pages, result) => return (pages, result),
            }
        }
    }

    async fn passes(
        &self,
        target: &Target<'_>,
        state: State,
        scope: &Scope,
        known: &Shared,
    ) -> (Vec<Page>, Result<bool, GithubError>) {
        let size = known.size;
        let first = self.first_page(target.repository, state, scope, size);
        let (mut pages, mut are_of_one_fetch) = (known.pages.clone(), known.is_whole());
        for _ in 0..MAX_PASSES {
            let (mut read, changed) = self.pass(target, &first, size, scope, &pages).await;
            match changed {
                Err(error) => {
                    read.extend(pages.into_iter().skip(read.len()));
                    return (read, Err(error));
                }
                Ok(changed) if !changed && are_of_one_fetch || read.len() == 1 => return (read, Ok(true)),
                Ok(_) => (pages, are_of_one_fetch) = (read, true),
            }
        }
        (pages, Ok(false))
    }

    fn first_page(&self, repository: &Repository, state: State, scope: &Scope, size: usize) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("state", state.as_str())
            .append_pair("sort", "created")
            .append_pair("direction", "asc")
            .append_pair("per_page", &size.to_string());
        if !scope.labels.is_empty() {
            let labels: Vec<&str> = scope.labels.iter().map(String::as_str).collect();
            query.append_pair("labels", &labels.join(","));
        }
        self.path(repository, &format!("issues?{}", query.finish()))
    }

    async fn pass(
        &self,
        target: &Target<'_>,
        first: &str,
        size: usize,
        scope: &Scope,
        known: &[Page],
    ) -> (Vec<Page>, Result<bool, GithubError>) {
        let (mut pages, mut changed) = (Vec::<Page>::new(), false);
        let mut path = first.to_owned();
        loop {
            let number = pages.len() + 1;
            let old = known.get(number - 1).filter(|page| page.path == path);
            let before = pages.iter().map(|page| page.sum).sum();
            let ask = |path: String, old| self.page(target, path, size, scope, before, old);
            let (mut page, mut is_new) = match ask(path.clone(), old).await {
                Ok(read) => read,
                Err(error) => return (pages, Err(error)),
            };
            if successor(&page, is_new, number, size, first) == Successor::AskAgain {
                (page, is_new) = match ask(path, None).await {
                    Ok(read) => read,
                    Err(error) => return (pages, Err(error)),
                };
            }
            changed |= is_new;
            let next = successor(&page, is_new, number, size, first);
            pages.push(page);
            if pages.iter().filter(|page| page.is_too_large()).count() > MAX_UNREADABLE {
                return (pages, Err(target.answer_too_large()));
            }
            match next {
                Successor::None | Successor::AskAgain => return (pages, Ok(changed)),
                Successor::At(_) if pages.len() >= MAX_PAGES => {
                    let most = MAX_PAGES * size;
                    let error = target.listing_too_large(format!("more than {most}; select fewer by labels"));
                    return (pages, Err(error));
                }
                Successor::At(next) => path = next,
            }
        }
    }

    /// Reads a page, unless it is as it was. Returns whether it is not.
    async fn page(
        &self,
        target: &Target<'_>,
        path: String,
        size: usize,
        scope: &Scope,
        before: Sum,
        old: Option<&Page>,
    ) -> Result<(Page, bool), GithubError> {
        let etag = old.and_then(|page| page.etag.as_deref());
        let got = match self.0.client.get(target, &path, etag).await {
            Err(GithubError::AnswerTooLarge { .. }) if size == 1 => {
                tracing::warn!(repository = %target.what, %path, "GitHub listed an entry that is too large to be read");
                self.0.client.metrics.odd(1, 0);
                let is_new = old.is_none_or(|old| old.unread == 0);
                return Ok((Page::unreadable(path), is_new));
            }
            got => got?,
        };
        match (got, old) {
            (Conditional::Unchanged, Some(old)) => Ok((old.clone(), false)),
            (got, _) => {
                let page = self.read_page(path, got.into_changed(target)?, scope, before, target)?;
                Ok((page, true))
            }
        }
    }

    fn read_page(
        &self,
        path: String,
        got: PageResponse,
        scope: &Scope,
        before: Sum,
        target: &Target<'_>,
    ) -> Result<Page, GithubError> {
        let found = query::read_page(&got.body).map_err(|error| target.malformed(&error))?;
        // The answer's memory is free for others from here on.
        drop(got.body);
        let (unread, cut) = (found.unread, found.cut);
        if unread + cut > 0 {
            self.0.client.metrics.odd(unread, cut);
            tracing::warn!(repository = %target.what, unread, cut, "GitHub listed entries that can't be read, or are too long");
        }
        let wanted: Vec<Item> = found
            .items
            .into_iter()
            .filter(|item| query::any_wants(scope.covers.iter(), item))
            .collect();
        let page = Page {
            path,
            etag: got.etag,
            next: got.next,
            count: found.count,
            unread,
            ..Page::default()
        };
        let namespace = target.namespace();
        let make_room = |bytes| self.make_room(&namespace, bytes);
        keep::page(&self.0.shelf, &namespace, page, wanted, before, make_room).map_err(|error| match error {
            keep::NoRoom::InTheListing => target.listing_too_large(format!(
                "more than {} MiB without their texts; select fewer by labels",
                keep::LISTING / 1024 / 1024
            )),
            keep::NoRoom::AtAll => target.out_of_memory(),
        })
    }
}

/// What follows a page.
#[derive(Debug, PartialEq, Eq)]
enum Successor {
    None,
    At(String),
    /// Only an unconditional answer to the same question tells.
    AskAgain,
}

/// Returns what follows the page of this number. One that has not changed may have got a successor that its old answer did
/// not know of: that costs nothing to ask for, by its number, as long as GitHub counts pages.
fn successor(page: &Page, is_new: bool, number: usize, size: usize, first: &str) -> Successor {
    match &page.next {
        Some(next) => Successor::At(next.clone()),
        None if page.count < size => Successor::None,
        None if number < NUMBERED_PAGES => Successor::At(format!("{first}&page={}", number + 1)),
        None if is_new => Successor::None,
        None => Successor::AskAgain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_without_a_link_is_the_last_one_if_that_is_known_for_sure() {
        let page = |count, next: Option<&str>| Page {
            path: "/p".into(),
            next: next.map(str::to_owned),
            count,
            ..Page::default()
        };
        let at = |path: &str| Successor::At(path.to_owned());
        for (page, is_new, number, follows) in [
            (page(100, Some("/n")), false, 3, at("/n")),
            (page(99, None), false, 3, Successor::None),
            (page(100, None), true, 3, at("/f&page=4")),
            (page(100, None), false, 3, at("/f&page=4")),
            // GitHub refuses page 101 of what has 10,000 entries.
            (page(100, Some("/n?after=x")), false, 100, at("/n?after=x")),
            (page(100, None), false, 100, Successor::AskAgain),
            (page(100, None), true, 100, Successor::None),
        ] {
            assert_eq!(
                successor(&page, is_new, number, 100, "/f"),
                follows,
                "{number} {is_new}"
            );
        }
    }
}
