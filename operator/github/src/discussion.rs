//! Reads what was said on an issue or pull request: the newest comments, whatever form GitHub gives its pages.

use std::collections::VecDeque;

use super::comments::{Comment, MAX_BYTES, Newest, read_page};
use super::query::{Item, PER_PAGE};
use super::target::{PageResponse, Target};
use super::{Comments, Credential, Github, GithubError, Heard, Repository, link};

/// Most pages of comments of one item, the newest ones.
const MAX_PAGES: u64 = 50;
/// Most pages that are read to come to the newest ones, where GitHub does not number them. It takes 2,500 comments.
const MAX_STEPS: usize = 100;

/// The comments of a page that count, and how many were left out.
type Page = (Vec<Comment>, usize);

impl Github {
    /// Returns the comments of an item that count, at most 64 KiB: the newest ones if they are more, the oldest of them
    /// first. Empty, without a request, if it had none when it was listed.
    ///
    /// # Errors
    /// [`GithubError`].
    pub async fn comments(
        &self,
        repository: &Repository,
        credential: &Credential,
        item: &Item,
        heard: Heard<'_>,
    ) -> Result<Comments, GithubError> {
        if item.comments == 0 {
            return Ok(Comments::default());
        }
        let target = Target {
            repository,
            credential,
            what: format!("{}#{}", repository.path(), item.number),
        };
        let mut size = PER_PAGE;
        loop {
            match self.newest_comments(&target, item, heard, size).await {
                Err(GithubError::AnswerTooLarge { .. }) if size > 1 => size /= 4,
                result => return result,
            }
            size = size.max(1);
        }
    }

    async fn newest_comments(
        &self,
        target: &Target<'_>,
        item: &Item,
        heard: Heard<'_>,
        size: usize,
    ) -> Result<Comments, GithubError> {
        let read = async |path: &str| {
            let PageResponse { body, next, last, .. } = self
                .0
                .client
                .get(target, path, None)
                .await?
                .into_changed(target)?;
            // The body is dropped here: nobody waits for a second one with a first one in hand.
            let page = read_page(&body, heard, &item.author).map_err(|error| target.malformed(&error))?;
            Ok::<_, GithubError>((page, next, last))
        };
        let path = |page: u64| {
            let rest = format!("issues/{}/comments?per_page={size}&page={page}", item.number);
            self.path(target.repository, &rest)
        };
        let (oldest, mut next, last) = read(&path(1)).await?;
        let mut newest = Newest::default();
        if let Some(last) = last.as_deref().and_then(link::page_number) {
            let first = last.saturating_sub(MAX_PAGES).max(1) + 1;
            for page in (first..=last).rev() {
                newest.add_older(read(&path(page)).await?.0);
                if newest.is_full() {
                    return Ok(newest.into_comments());
                }
            }
            if first == 2 {
                newest.add_older(oldest);
            }
            return Ok(newest.into_comments());
        }
        // Without a number of the last page there may still be a next one, and the newest comments are behind all of them.
        let mut pages = VecDeque::from([oldest]);
        let mut steps = 0;
        while let Some(path) = next.take() {
            if steps == MAX_STEPS {
                return Err(target.malformed(&format!("more than {MAX_STEPS} pages of comments")));
            }
            let (page, after, _) = read(&path).await?;
            pages.push_back(page);
            drop_what_is_not_shown(&mut pages);
            next = after;
            steps += 1;
        }
        for page in pages.into_iter().rev() {
            newest.add_older(page);
        }
        Ok(newest.into_comments())
    }
}

/// Forgets the oldest pages while the others have more text than is kept, but not how many comments they left out.
fn drop_what_is_not_shown(pages: &mut VecDeque<Page>) {
    let bytes = |page: &Page| page.0.iter().map(|comment| comment.text.len()).sum::<usize>();
    while pages.len() > 1 && pages.iter().skip(1).map(bytes).sum::<usize>() > MAX_BYTES {
        let left_out = pages.pop_front().map_or(0, |page| page.1);
        if let Some(first) = pages.front_mut() {
            first.1 += left_out;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_pages_only_those_are_kept_that_can_be_shown() {
        let page = |bytes: usize| {
            let comment = Comment {
                author: "ann".into(),
                text: "x".repeat(bytes),
            };
            (vec![comment], 1)
        };
        let mut pages = VecDeque::new();
        for _ in 0..100 {
            pages.push_back(page(MAX_BYTES / 2));
            drop_what_is_not_shown(&mut pages);
        }
        assert_eq!(pages.len(), 3);
        assert_eq!(pages.iter().map(|page| page.1).sum::<usize>(), 100);
        let mut few = VecDeque::from([page(1), page(2), page(MAX_BYTES)]);
        drop_what_is_not_shown(&mut few);
        assert_eq!(few.len(), 2, "the first has no room beside the others");
    }
}
