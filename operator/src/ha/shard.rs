//! Which replica runs a spawner: rendezvous hashing, so that a replica that comes or goes moves only its own share.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

/// Returns the member that owns the spawner with this UID; `None` if there is no member.
#[must_use]
pub fn owner<'a>(uid: &str, members: &'a BTreeSet<String>) -> Option<&'a str> {
    members
        .iter()
        .max_by_key(|member| weight(uid, member))
        .map(String::as_str)
}

fn weight(uid: &str, member: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(uid.as_bytes());
    // Neither a UID nor a pod's name has a line break.
    hash.update(b"\n");
    hash.update(member.as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::btree_set;
    use proptest::prelude::*;

    use super::*;

    fn uids() -> impl Iterator<Item = String> {
        (0..300).map(|i| format!("uid-{i}"))
    }

    #[test]
    fn nobody_owns_anything_without_members() {
        assert_eq!(owner("u", &BTreeSet::new()), None);
    }

    #[test]
    fn shares_are_fair() {
        let members: BTreeSet<String> = (0..3).map(|i| format!("axon-operator-{i}")).collect();
        let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
        for i in 0..3000 {
            *shares
                .entry(owner(&format!("uid-{i}"), &members).unwrap())
                .or_default() += 1;
        }
        assert!(
            shares.values().all(|share| (850..1150).contains(share)),
            "{shares:?}"
        );
    }

    proptest! {
        #[test]
        fn a_newcomer_takes_only_what_it_owns(members in btree_set("[a-z]{1,8}", 1..6), newcomer in "[A-Z]{1,8}") {
            let mut more = members.clone();
            more.insert(newcomer.clone());
            for uid in uids() {
                let (before, after) = (owner(&uid, &members), owner(&uid, &more));
                prop_assert!(after == before || after == Some(newcomer.as_str()));
            }
        }

        #[test]
        fn one_that_leaves_moves_only_its_own(members in btree_set("[a-z]{1,8}", 2..6)) {
            let leaving = members.first().unwrap().clone();
            let mut rest = members.clone();
            rest.remove(&leaving);
            for uid in uids() {
                let before = owner(&uid, &members).unwrap();
                if before != leaving {
                    prop_assert_eq!(owner(&uid, &rest).unwrap(), before);
                }
            }
        }
    }
}
