//! Tasks that wait for a budget. Pure.
//!
//! In memory alone: a new leader fills it when it reconciles what waits. Only the order depends on it, never the limit.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

/// A Task's place: when it was created, and its name.
pub type Place = (Option<Timestamp>, String);

/// What a Task waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Name of the TaskBudget.
    pub budget: String,
    /// True if the Task starts as soon as there is room; false if somebody has to change something first. Such a Task holds up
    /// nobody.
    pub for_room: bool,
}

/// Who waits for what.
#[derive(Debug, Default)]
pub struct Queue {
    waits: BTreeMap<Place, Wait>,
    places: HashMap<String, Place>,
}

impl Queue {
    /// Notes that the Task `uid` waits.
    pub fn wait(&mut self, uid: &str, place: Place, wait: Wait) {
        self.leave(uid);
        self.waits.insert(place.clone(), wait);
        self.places.insert(uid.to_owned(), place);
    }

    /// Takes a Task out.
    pub fn leave(&mut self, uid: &str) {
        if let Some(place) = self.places.remove(uid) {
            self.waits.remove(&place);
        }
    }

    /// Returns the first of `budgets` for whose room an older Task waits.
    #[must_use]
    pub fn is_behind<'a>(
        &self,
        place: &Place,
        mut budgets: impl Iterator<Item = &'a str>,
    ) -> Option<&'a str> {
        let older = || self.waits.range(..place.clone()).map(|(_, wait)| wait);
        budgets.find(|budget| older().any(|wait| wait.for_room && wait.budget == *budget))
    }

    /// Returns the names of the `most` oldest Tasks that wait for a budget, for room or, if not `for_room`, for a change.
    #[must_use]
    pub fn first(&self, budget: &str, for_room: bool, most: usize) -> Vec<String> {
        let of_budget = self.waits.iter();
        let of_budget = of_budget.filter(|(_, wait)| wait.budget == budget && wait.for_room == for_room);
        of_budget.take(most).map(|((_, name), _)| name.clone()).collect()
    }

    /// Returns how many Tasks wait for room in a budget.
    #[must_use]
    pub fn len(&self, budget: &str) -> usize {
        let waits = self.waits.values();
        waits
            .filter(|wait| wait.for_room && wait.budget == budget)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_goes_first_and_only_within_its_budget() {
        let at = |second| Some(Timestamp::from_second(second).unwrap());
        let for_room = |budget: &str| Wait {
            budget: budget.into(),
            for_room: true,
        };
        let mut queue = Queue::default();
        let never = Wait {
            for_room: false,
            ..for_room("money")
        };
        queue.wait("u0", (at(0), "z".into()), never);
        queue.wait("u2", (at(2), "b".into()), for_room("money"));
        queue.wait("u1", (at(1), "a".into()), for_room("money"));
        queue.wait("u3", (at(3), "c".into()), for_room("tokens"));
        assert_eq!(queue.first("money", true, 9), ["a", "b"]);
        assert_eq!(queue.first("money", false, 9), ["z"]);
        assert_eq!((queue.first("money", true, 1).len(), queue.len("money")), (1, 2));
        let place = (at(2), "b".to_owned());
        assert_eq!(queue.is_behind(&place, ["money"].into_iter()), Some("money"));
        assert_eq!(queue.is_behind(&place, ["tokens"].into_iter()), None);
        queue.leave("u1");
        let behind = queue.is_behind(&place, ["money"].into_iter());
        assert_eq!(
            behind, None,
            "neither behind itself nor behind one that nothing but a change helps"
        );
        queue.wait("u2", place, for_room("tokens"));
        assert_eq!((queue.len("money"), queue.first("tokens", true, 9).len()), (0, 2));
    }
}
