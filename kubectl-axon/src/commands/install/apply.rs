//! Server-side apply of one object, and whether it changed anything.

use kube::api::{Patch, PatchParams};

use crate::cluster::{Cluster, FIELD_MANAGER};
use crate::error::{Action, Result};
use crate::install::manifests::Manifest;
use crate::term::output::Ui;

/// Applies an object and prints what became of it.
pub(super) async fn apply(ui: &Ui, cluster: &Cluster, manifest: &Manifest) -> Result<()> {
    let resource = manifest.resource();
    let api = cluster.dynamic(&resource, manifest.namespace());
    let action = |verb| Action {
        verb,
        resource: resource.plural.clone(),
        name: Some(manifest.name().to_owned()),
        namespace: manifest.namespace().map(str::to_owned),
    };
    let before = cluster
        .call(&action("get"), api.get_metadata_opt(manifest.name()))
        .await?;
    // The fields are this program's: whoever changed one by hand is overruled, as with any new release.
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let patch = Patch::Apply(&manifest.object);
    let after = cluster
        .call(&action("patch"), api.patch(manifest.name(), &params, &patch))
        .await?;
    let outcome = match before {
        None => "created",
        Some(before) if before.metadata.resource_version == after.metadata.resource_version => "unchanged",
        Some(_) => "configured",
    };
    ui.line(&format!("{} {outcome}", manifest.title()))
}
