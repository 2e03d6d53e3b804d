//! A bare control plane: etcd, kube-apiserver and kube-controller-manager, with no node. Pods are made by the real
//! Job controller and stay `Pending` until [`crate::kubelet`] says otherwise.
//!
//! One is shared by all tests of a process. It ends when the process does, however that ends: its keeper waits for
//! the end of a pipe that only this process holds open.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::{Api, Client, Config};
use kube_runtime::wait::conditions::is_crd_established;
use kube_runtime::wait::{Condition, await_condition};
use tokio::sync::OnceCell;

use crate::namespace::Namespace;
use crate::{manifests, paths, wait};

const PATIENCE: Duration = Duration::from_secs(30);

/// Flags of an API server that checks every field of an object at each write, as all did before Kubernetes 1.30; later ones
/// tolerate what was invalid before and does not change.
pub const WITHOUT_RATCHETING: [&str; 2] = [
    "--emulated-version=1.32",
    "--feature-gates=CRDValidationRatcheting=false",
];

static SHARED: OnceCell<Result<ControlPlane, String>> = OnceCell::const_new();

/// A control plane with the product's CustomResourceDefinitions.
#[derive(Debug)]
pub struct ControlPlane {
    kubeconfig: PathBuf,
    /// Holds the pipe open; see above.
    _keeper: Child,
}

impl ControlPlane {
    /// Returns the control plane that all tests of this process share, and starts it if need be.
    ///
    /// # Errors
    /// If it can't be started, for example because its programs have not been built.
    pub async fn shared() -> Result<&'static Self> {
        let started = SHARED
            .get_or_init(|| async { Self::start(&[]).await.map_err(|error| format!("{error:#}")) })
            .await;
        started.as_ref().map_err(|error| anyhow!("{error}"))
    }

    /// Starts a control plane of the caller's own, with further flags of the API server, such as those of
    /// [`WITHOUT_RATCHETING`].
    ///
    /// # Errors
    /// As [`ControlPlane::shared`].
    pub async fn start(api_server_flags: &[&str]) -> Result<Self> {
        let flags: Vec<String> = api_server_flags
            .iter()
            .map(|flag| format!("--api-server-flag={flag}"))
            .collect();
        let started = tokio::task::spawn_blocking(move || {
            let program = paths::cluster_program()?;
            let (keeper, kubeconfig) = start_keeper(&program, &flags)?;
            anyhow::Ok(Self {
                kubeconfig,
                _keeper: keeper,
            })
        });
        let control_plane = started.await??;
        define_kinds(&control_plane.client().await?).await?;
        Ok(control_plane)
    }

    /// Returns the kubeconfig of its administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Returns a new client. A client belongs to the runtime, and so to the test, that makes it.
    ///
    /// # Errors
    /// If the kubeconfig can't be read.
    pub async fn client(&self) -> Result<Client> {
        client(&self.kubeconfig).await
    }

    /// Returns a fresh namespace.
    ///
    /// # Errors
    /// If the API refuses it.
    pub async fn namespace(&self) -> Result<Namespace> {
        Namespace::create(self.client().await?).await
    }
}

/// Returns a fresh namespace in the shared control plane.
///
/// # Errors
/// As [`ControlPlane::shared`].
pub async fn namespace() -> Result<Namespace> {
    ControlPlane::shared().await?.namespace().await
}

/// Returns a client for the current context of a kubeconfig.
///
/// # Errors
/// If the kubeconfig can't be read.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    // Err means that a provider is there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

fn start_keeper(program: &Path, flags: &[String]) -> Result<(Child, PathBuf)> {
    let folder = tempfile::Builder::new().prefix("axon-control-plane-").tempdir()?;
    // A file, not a pipe: the keeper must be able to write after this process has died.
    let mut complaints = tempfile::tempfile()?;
    let mut keeper = Command::new(program)
        .args(["control-plane", "run", "--dir"])
        .arg(folder.path())
        .args(flags)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(complaints.try_clone()?)
        .spawn()
        .with_context(|| format!("failed to start {}", program.display()))?;
    let stdout = keeper.stdout.take().context("the keeper has a standard output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let kubeconfig = line.trim();
    if kubeconfig.is_empty() {
        let _ = keeper.wait();
        bail!(
            "the control plane did not start: {}",
            read_again(&mut complaints)?
        );
    }
    // From here on the folder is the keeper's, who removes it.
    let _ = folder.keep();
    Ok((keeper, PathBuf::from(kubeconfig)))
}

fn read_again(file: &mut File) -> Result<String> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_string(&mut text)?;
    Ok(text)
}

/// Applies the definitions below `config/crd` and waits until the API serves them.
///
/// # Errors
/// If the API refuses them.
pub async fn define_kinds(client: &Client) -> Result<()> {
    for (file, definition) in axon_api::crds::all() {
        let path = paths::root().join("config/crd").join(file);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
        manifests::apply(client, "default", &text).await?;
        let name = definition.metadata.name.unwrap_or_default();
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let established = await_condition(definitions, &name, is_established());
        tokio::time::timeout(PATIENCE, established)
            .await
            .with_context(|| format!("{name} is not established"))??;
        let kind = GroupVersionKind::gvk(axon_api::GROUP, axon_api::VERSION, &definition.spec.names.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, &definition.spec.names.plural);
        let objects: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        // Established comes a moment before the first request succeeds.
        wait::until(&name, PATIENCE, async || {
            Ok(objects.list(&ListParams::default()).await.ok())
        })
        .await?;
    }
    Ok(())
}

fn is_established() -> impl Condition<CustomResourceDefinition> {
    is_crd_established()
}
