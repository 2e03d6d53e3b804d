//! What of a page is kept until the next poll. Items are; their texts as long as there is room, and the rest is asked for
//! when an item's turn comes. Pure.

use std::sync::Arc;

use super::budget::Shelf;
use super::listing::{Page, Sum};
use super::query::Item;

/// All that is kept in a replica.
pub(super) const ALL: usize = 48 * 1024 * 1024;
/// Texts are kept as long as this were enough for everything.
const WITH_TEXTS: usize = 32 * 1024 * 1024;
/// The items of one listing, their texts left out: some 20,000 ordinary ones.
pub(super) const LISTING: usize = 12 * 1024 * 1024;
/// The texts of one listing, and their number: more items than become Tasks within some polls.
const TEXTS: (usize, usize) = (4 * 1024 * 1024, 500);

/// Why a page can't be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// Its listing has more than its share.
    InTheListing,
    /// The namespace has as much as is left free for others.
    AtAll,
}

/// Puts the items that are wanted into their page, for a namespace. `before` is what the pages before it take; `make_room`
/// forgets what can be read again, so that this many bytes fit.
pub(super) fn page(
    shelf: &Shelf,
    namespace: &Arc<str>,
    page: Page,
    wanted: Vec<Item>,
    before: Sum,
    make_room: impl Fn(usize),
) -> Result<Page, NoRoom> {
    let take = |bytes: usize| {
        let kept = shelf.take(namespace, bytes, ALL).or_else(|| {
            make_room(bytes);
            shelf.take(namespace, bytes, ALL)
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
            shelf.take(namespace, bytes + text, WITH_TEXTS)
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

/// Returns whose listing is forgotten next, so that `namespace`, which uses `used`, has room: of those who have one that nobody
/// reads at this moment, who uses most. Nobody loses anything to a namespace that uses as much.
pub(super) fn victim<'a>(
    owners: impl Iterator<Item = (&'a str, usize)>,
    namespace: &str,
    used: usize,
) -> Option<&'a str> {
    owners
        .filter(|(owner, uses)| *owner == namespace || *uses > used)
        .max_by_key(|(_, uses)| *uses)
        .map(|(owner, _)| owner)
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
        let (shelf, a) = (Shelf::default(), Arc::from("a"));
        let keep =
            |n, text, before| page(&shelf, &a, Page::default(), items(n, text, 10), before, |_| {}).unwrap();
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
        let (shelf, a) = (Shelf::default(), Arc::from("a"));
        let large = || items(100, 0, 1000);
        let (mut pages, mut before) = (Vec::new(), Sum::default());
        let error = loop {
            match page(&shelf, &a, Page::default(), large(), before, |_| {}) {
                Ok(page) => pages.push(page),
                Err(error) => break error,
            }
            before = pages.iter().map(|page| page.sum).sum();
        };
        assert_eq!(error, NoRoom::InTheListing);
        let error = loop {
            match page(&shelf, &a, Page::default(), large(), Sum::default(), |_| {}) {
                Ok(page) => pages.push(page),
                Err(error) => break error,
            }
        };
        assert_eq!(error, NoRoom::AtAll);
        assert!(shelf.used() <= ALL / 2 && shelf.used() > ALL * 4 / 10);
        // The listings of others go on.
        let b = Arc::from("b");
        let ordinary = page(&shelf, &b, Page::default(), large(), Sum::default(), |_| {});
        assert!(ordinary.is_ok());
        let pages = std::cell::RefCell::new(pages);
        let make_room = |_| pages.borrow_mut().clear();
        assert!(page(&shelf, &a, Page::default(), large(), Sum::default(), make_room).is_ok());
    }

    #[test]
    fn the_namespace_with_most_loses_its_listing_first() {
        let of = |owners: &[(&'static str, usize)]| victim(owners.iter().copied(), "own", 4);
        assert_eq!(
            of(&[("small", 1), ("large", 9), ("own", 4), ("middle", 5)]),
            Some("large")
        );
        assert_eq!(of(&[("small", 1), ("own", 4)]), Some("own"));
        assert_eq!(of(&[("small", 1)]), None, "who has less loses nothing");
        assert_eq!(
            of(&[("equal", 4)]),
            None,
            "or they would take it from each other by turns"
        );
    }
}
