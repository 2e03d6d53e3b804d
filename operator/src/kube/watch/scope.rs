//! The namespaces that the operator works in.

use kube::{Client, Resource};

use super::events::Target;

/// Most namespaces of a list. Each is some six watches a replica.
const MOST: usize = 200;

/// All namespaces of the cluster, or some of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All.
    #[default]
    Cluster,
    /// Names of namespaces, without duplicates.
    Namespaces(Vec<String>),
}

impl Scope {
    /// Reads names that are separated by commas; none at all are all namespaces.
    ///
    /// # Errors
    /// If one is no name of a namespace, or if there are more than 200.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut names: Vec<String> = Vec::new();
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if let Some(fault) = axon_api::naming::label_fault(name) {
                return Err(format!("namespace {name:?} {fault}"));
            }
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        match names.len() {
            0 => Ok(Self::Cluster),
            1..=MOST => Ok(Self::Namespaces(names)),
            more => Err(format!(
                "{more} namespaces are too many: {MOST} are the most; leave the option out for all of the cluster"
            )),
        }
    }

    /// Returns each namespace; one `None` for all of them.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Option<&str>> {
        match self {
            Self::Cluster => vec![None],
            Self::Namespaces(names) => names.iter().map(|name| Some(name.as_str())).collect(),
        }
    }

    /// Returns what to watch of a kind.
    #[must_use]
    pub fn target<K: Resource>(&self, client: Client, kind: &K::DynamicType) -> Target {
        let paths = self
            .namespaces()
            .into_iter()
            .map(|namespace| K::url_path(kind, namespace));
        Target {
            client,
            paths: paths.collect(),
            labels: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_namespaces_and_none_are_all() {
        for all in ["", " ", ",, "] {
            assert_eq!(Scope::parse(all).unwrap(), Scope::Cluster, "{all:?}");
        }
        let two = Scope::parse("team-a, b,team-a,").unwrap();
        assert_eq!(two, Scope::Namespaces(vec!["team-a".into(), "b".into()]));
        assert_eq!(two.namespaces(), [Some("team-a"), Some("b")]);
        for (bad, part) in [
            ("a,B", "\"B\""),
            ("a/b", "\"a/b\""),
            ("-a", "\"-a\""),
            ("*", "\"*\""),
        ] {
            let error = Scope::parse(bad).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let many: Vec<String> = (0..=MOST).map(|n| format!("n{n}")).collect();
        assert!(Scope::parse(&many.join(",")).unwrap_err().contains("201"));
    }
}
