//! Names from the cluster. Whatever goes wrong, there are no names.

use std::time::Duration;

use clap::FromArgMatches as _;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::ListParams;

use super::{Candidate, Request, Source};
use crate::cluster::Cluster;
use crate::cluster::connection::ConnectionArgs;
use crate::config_file;
use crate::kinds::Kind;

/// Longest that somebody who has pressed a key is kept waiting.
const PATIENCE: Duration = Duration::from_secs(2);
/// Names that are asked for at most.
const MOST: u32 = 500;

/// Returns the names of a source.
pub(super) fn names(source: &Source, request: &Request) -> Vec<Candidate> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        return Vec::new();
    };
    let found = runtime.block_on(async { tokio::time::timeout(PATIENCE, find(source, request)).await });
    let mut names = found.ok().flatten().unwrap_or_default();
    names.retain(|(name, _)| !request.given.contains(name));
    names
}

async fn find(source: &Source, request: &Request) -> Option<Vec<Candidate>> {
    let line = std::iter::once("options".to_owned()).chain(request.connection.iter().cloned());
    let matches = crate::cli::options().try_get_matches_from(line).ok()?;
    let connection = ConnectionArgs::from_arg_matches(&matches).ok()?.without_blanks();
    if *source == Source::Contexts {
        let names = connection.contexts().ok()?.into_iter();
        return Some(names.map(plain).collect());
    }
    let file = matches.try_get_one::<std::path::PathBuf>("config").ok().flatten();
    // A file that can't be used says nothing about where to look; its warnings are for other times.
    let config = config_file::load(file.map(std::path::PathBuf::as_path))
        .map(|loaded| loaded.config)
        .unwrap_or_default();
    let cluster = connection.connect(config.namespace.as_deref()).await.ok()?;
    match source {
        Source::Objects(kinds) => {
            let (first, others) = kinds.split_first()?;
            let mut names = of_kind(&cluster, *first, "").await?;
            for kind in others {
                let before = format!("{}/", kind.singular());
                names.extend(of_kind(&cluster, *kind, &before).await.unwrap_or_default());
            }
            Some(names)
        }
        Source::Typed(kind, word) => of_kind(&cluster, *kind, &format!("{word}/")).await,
        Source::Namespaces => all(&cluster.cluster_api::<Namespace>(), "").await,
        Source::Secrets => all(&cluster.api::<Secret>(), "").await,
        Source::Contexts | Source::Nothing | Source::Files | Source::Words(_) => None,
    }
}

fn plain(name: String) -> Candidate {
    (name, String::new())
}

async fn of_kind(cluster: &Cluster, kind: Kind, before: &str) -> Option<Vec<Candidate>> {
    all(
        &cluster.dynamic(&kind.resource(), Some(&cluster.namespace)),
        before,
    )
    .await
}

async fn all<K>(api: &Api<K>, before: &str) -> Option<Vec<Candidate>>
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    // Names only: neither prompts nor the values of Secrets travel.
    let list = api.list_metadata(&ListParams::default().limit(MOST)).await.ok()?;
    let names = list.items.into_iter().filter_map(|object| object.metadata.name);
    Some(names.map(|name| plain(format!("{before}{name}"))).collect())
}
