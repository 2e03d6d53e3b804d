//! What of a page is kept until the next poll. Items are; their texts as long as there is room, and the rest is asked for
//! when an item's turn comes. Pure.

use std::sync::Arc;

use super::budget::Shelf;
use super::listing::{Page, Sum};
use super::query::Item;

/// All that is kept in a replica.
pub(super) const ALL: usize = 48 * 1024 * 1024;
/// Texts are kept as long as less than this is used by everything.
const WITH_TEXTS: usize = 24 * 1024 * 1024;
/// The items of one listing, their texts left out: some 20,000 ordinary ones.
pub(super) const LISTING: usize = 12 * 1024 * 1024;
/// The texts of one listing, and their number: more items than become Tasks within some polls.
const TEXTS: (usize, usize) = (4 * 1024 * 1024, 500);

/// Why a page can't be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// Its listing has more than its share.
    InTheListing,
    /// All listings together have all that there is.
    AtAll,
}

/// Puts the items that are wanted into their page. `before` is what the pages before it take; `make_room` forgets what
/// others can read again.
pub(super) fn page(
    shelf: &Shelf,
    page: Page,
    wanted: Vec<Item>,
    before: Sum,
    make_room: impl Fn(),
) -> Result<Page, NoRoom> {
    let take = |bytes: usize| {
        let kept = shelf.take(bytes, ALL).or_else(|| {
            make_room();
            shelf.take(bytes, ALL)
        });
        kept.map(Arc::new).ok_or(NoRoom::AtAll)
    };
    let (own, mut sum, mut items) = (take(page.bytes())?, Sum::default(), Vec::new());
    for mut item in wanted {
        let (bytes, text) = (item.bytes(), item.body.as_ref().map_or(0, |text| text.len()));
        if before.bytes + sum.bytes + bytes > LISTING {
            return Err(NoRoom::InTheListing);
        }
        let has_share =
            before.text_bytes + sum.text_bytes + text <= TEXTS.0 && before.texts + sum.texts < TEXTS.1;
        let whole = if has_share {
            shelf.take(bytes + text, WITH_TEXTS)
        } else {
            None
        };
        item.kept = match whole {
            Some(whole) => {
                sum.texts += 1;
                sum.text_bytes += text;
                Some(Arc::new(whole))
            }
            None => {
                // An empty text needs no room, and no request.
                item.body = item.body.filter(|text| text.is_empty());
                Some(take(bytes)?)
            }
        };
        sum.bytes += bytes;
        items.push(Arc::new(item));
    }
    Ok(Page {
        items,
        sum,
        _kept: Some(own),
        ..page
    })
}

#[cfg(test)]
mod tests {
    use axon_api::v1alpha1::Writer;

    use super::super::query::ItemKind;
    use super::*;

    fn items(n: usize, text: usize, title: usize) -> Vec<Item> {
        let item = |number| Item {
            kind: ItemKind::Issue,
            number,
            title: "t".repeat(title),
            body: Some("x".repeat(text).into()),
            url: String::new(),
            labels: Vec::new(),
            comments: 0,
            author: Writer::default(),
            author_is_user: true,
            updated: None,
            kept: None,
        };
        (1u64..).take(n).map(item).collect()
    }

    fn with_texts(page: &Page) -> usize {
        page.items.iter().filter(|item| item.body.is_some()).count()
    }

    #[test]
    fn the_first_items_keep_their_texts_and_all_are_given_back() {
        let shelf = Shelf::default();
        let keep =
            |n, text, before| page(&shelf, Page::default(), items(n, text, 10), before, || {}).unwrap();
        let few = keep(100, 1000, Sum::default());
        assert_eq!(
            (with_texts(&few), few.sum.texts, few.sum.text_bytes),
            (100, 100, 100_000)
        );
        let many = keep(600, 10, Sum::default());
        assert_eq!(with_texts(&many), TEXTS.1);
        let long = keep(100, 64 * 1024, Sum::default());
        assert_eq!(with_texts(&long), TEXTS.0 / (64 * 1024));
        let later = keep(10, 10, many.sum);
        assert_eq!(
            with_texts(&later),
            0,
            "the listing's share is used up by earlier pages"
        );
        assert_eq!(
            with_texts(&keep(3, 0, many.sum)),
            3,
            "there is nothing to leave out"
        );
        drop((few, many, long, later));
        assert_eq!(shelf.used(), 0);
    }

    #[test]
    fn a_listing_has_a_share_and_all_have_a_limit() {
        let shelf = Shelf::default();
        let large = || items(100, 0, 1000);
        let (mut pages, mut before) = (Vec::new(), Sum::default());
        let error = loop {
            match page(&shelf, Page::default(), large(), before, || {}) {
                Ok(page) => pages.push(page),
                Err(error) => break error,
            }
            before = pages.iter().map(|page| page.sum).sum();
        };
        assert_eq!(error, NoRoom::InTheListing);
        let error = loop {
            match page(&shelf, Page::default(), large(), Sum::default(), || {}) {
                Ok(page) => pages.push(page),
                Err(error) => break error,
            }
        };
        assert_eq!(error, NoRoom::AtAll);
        assert!(shelf.used() <= ALL && shelf.used() > ALL * 9 / 10);
        let pages = std::cell::RefCell::new(pages);
        assert!(
            page(&shelf, Page::default(), large(), Sum::default(), || pages
                .borrow_mut()
                .clear())
            .is_ok()
        );
    }
}
