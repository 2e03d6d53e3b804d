//! The operator as a process of its own, with the rights that are shipped, which can be killed at any moment.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::Kubeconfig;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::{manifests, paths, wait};

/// Lets an operator talk to the GitHub servers of tests, which have ports of their own on this machine.
pub const GITHUB_HOSTS: &str = "--github-hosts=github.com,*.ghe.com,http://127.0.0.1:*";
/// Value of the annotation [`axon_api::labels::HOSTS`] of Secrets for these servers.
pub const SECRET_HOSTS: &str = "github.com,http://127.0.0.1:*";

/// Applies the operator's namespace, ServiceAccount, rights and admission policies, as they are shipped.
///
/// # Errors
/// If the API refuses them, or a policy is not in force within a minute.
pub async fn install_rights(client: &Client) -> Result<()> {
    let config = paths::root().join("config");
    let apply = async |file: &Path| -> Result<()> {
        let text = std::fs::read_to_string(file)?;
        manifests::apply(client, "axon-system", &text).await.map(drop)
    };
    apply(&config.join("operator/namespace.yaml")).await?;
    for folder in ["rbac", "admission"] {
        let folder = config.join(folder);
        let text = std::fs::read_to_string(folder.join("kustomization.yaml"))?;
        let kustomization: Value = axon_api::yaml::from_str(&text)?;
        let files = kustomization.get("resources").and_then(Value::as_array);
        let files = files.context("it lists files")?;
        for file in files.iter().filter_map(Value::as_str) {
            apply(&folder.join(file)).await?;
        }
    }
    until_bounded(client).await
}

/// Waits until the API server has taken up the admission policies: they come into force some seconds after they are stored,
/// all at once.
async fn until_bounded(client: &Client) -> Result<()> {
    let mut account = ServiceAccount::default();
    account.metadata.name = Some("axon-spawner".into());
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "kube-public");
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let request = TokenRequest::default();
    // Nobody may have a token of this account, and so not an administrator.
    wait::until(
        "the admission policies to be in force",
        Duration::from_secs(60),
        async || {
            if accounts.get_opt("axon-spawner").await?.is_none() {
                accounts.create(&PostParams::default(), &account).await?;
            }
            let answer = accounts.create_token_request("axon-spawner", &params, &request);
            Ok(answer.await.is_err().then_some(()))
        },
    )
    .await
}

/// Returns a token of the operator's ServiceAccount, good for a day.
///
/// # Errors
/// If the API refuses it, as it does before [`install_rights`].
pub async fn token(client: &Client) -> Result<String> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "axon-system");
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(24 * 3600),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let params = PostParams::default();
    let made = accounts.create_token_request("axon-operator", &params, &request);
    Ok(made.await?.status.context("the answer has a status")?.token)
}

/// The arguments of one operator alone. The last one shortens its elections.
const COMMON: &[&str] = &[
    "--identity=operator-0",
    "--listen=127.0.0.1:0",
    "--image-registry=registry.test/axon",
    "--image-tag=v1",
    GITHUB_HOSTS,
    "--election-round=200ms",
];

/// A running operator, or one that was killed.
pub struct Operator {
    folder: tempfile::TempDir,
    program: PathBuf,
    args: Vec<String>,
    cgroup: Option<PathBuf>,
    child: Child,
}

impl Operator {
    /// Starts an operator that reaches the API server at `url` and says with `token` who it is; `more` are further
    /// arguments.
    ///
    /// # Errors
    /// If its program has not been built.
    pub fn start(url: &str, token: &str, more: &[&str]) -> Result<Self> {
        Self::start_in(&json!({ "server": url }), token, more)
    }

    /// Starts an operator that reaches the API server of an administrator's kubeconfig directly.
    ///
    /// # Errors
    /// If its program has not been built, or the kubeconfig can't be read.
    pub fn start_beside(kubeconfig: &Path, token: &str, more: &[&str]) -> Result<Self> {
        Self::start_in(&cluster_of(kubeconfig)?, token, more)
    }

    /// Starts an operator with the times of production in a control group; after each restart it is there again.
    ///
    /// # Errors
    /// As [`Operator::start_beside`].
    pub fn start_within(cgroup: &Path, kubeconfig: &Path, token: &str) -> Result<Self> {
        let (_, args) = COMMON.split_last().context("there are arguments")?;
        Self::start_with(
            paths::operator_program()?,
            &cluster_of(kubeconfig)?,
            token,
            args,
            Some(cgroup),
        )
    }

    /// Starts a replica of this name with the times of production.
    ///
    /// # Errors
    /// As [`Operator::start_beside`].
    pub fn start_replica(kubeconfig: &Path, token: &str, name: &str) -> Result<Self> {
        Self::start_with(
            paths::operator_program()?,
            &cluster_of(kubeconfig)?,
            token,
            &[
                &format!("--identity={name}"),
                "--listen=127.0.0.1:0",
                "--image-registry=registry.test/axon",
                "--image-tag=v1",
                GITHUB_HOSTS,
            ],
            None,
        )
    }

    /// Starts another version's program, with nothing but what every version knows.
    ///
    /// # Errors
    /// If there is no such program, or the kubeconfig names no cluster.
    pub fn start_program(program: &Path, kubeconfig: &Kubeconfig, token: &str) -> Result<Self> {
        let cluster = kubeconfig
            .clusters
            .first()
            .and_then(|named| named.cluster.as_ref());
        let cluster = serde_json::to_value(cluster.context("the kubeconfig has a cluster")?)?;
        let args = [
            "--identity=operator-0",
            "--listen=127.0.0.1:0",
            "--election-round=200ms",
        ];
        Self::start_with(program.to_owned(), &cluster, token, &args, None)
    }

    fn start_in(cluster: &Value, token: &str, more: &[&str]) -> Result<Self> {
        let args = [COMMON, more].concat();
        Self::start_with(paths::operator_program()?, cluster, token, &args, None)
    }

    fn start_with(
        program: PathBuf,
        cluster: &Value,
        token: &str,
        args: &[&str],
        cgroup: Option<&Path>,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        std::fs::write(folder.path().join("kubeconfig"), kubeconfig.to_string())?;
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let child = spawn(
            &program,
            &folder.path().join("kubeconfig"),
            &folder.path().join("log"),
            &args,
            cgroup,
        )?;
        Ok(Self {
            folder,
            program,
            args,
            cgroup: cgroup.map(Path::to_owned),
            child,
        })
    }

    /// Asks it to end, as a kubelet does.
    ///
    /// # Errors
    /// If it does not run.
    pub fn terminate(&self) -> Result<()> {
        let pid = self.pid().context("the operator has ended")?;
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid)?);
        Ok(nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM)?)
    }

    /// Kills it with SIGKILL, waits until it is gone, and starts it again.
    ///
    /// # Errors
    /// If it can't be started.
    pub async fn kill_and_restart(&mut self) -> Result<()> {
        self.child.kill().await?;
        let kubeconfig = self.folder.path().join("kubeconfig");
        let cgroup = self.cgroup.as_deref();
        self.child = spawn(&self.program, &kubeconfig, &self.log(), &self.args, cgroup)?;
        Ok(())
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// If it can't be waited for.
    pub async fn wait(&mut self) -> Result<()> {
        self.child.wait().await?;
        Ok(())
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// If it can't be killed.
    pub async fn kill(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Returns the URL of its HTTP port, once it has logged that it listens.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        let log = std::fs::read_to_string(self.log()).ok()?;
        let line = log.lines().rev().find(|line| line.contains("listening"))?;
        let at = line.find("127.0.0.1:")?;
        let port = line.get(at + "127.0.0.1:".len()..)?;
        let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
        Some(format!("http://127.0.0.1:{digits}"))
    }

    /// Returns its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Returns the file with what it has logged since its first start.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

fn cluster_of(kubeconfig: &Path) -> Result<Value> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let cluster = kubeconfig
        .clusters
        .into_iter()
        .next()
        .and_then(|named| named.cluster);
    Ok(serde_json::to_value(
        cluster.context("the kubeconfig has a cluster")?,
    )?)
}

fn spawn(
    program: &Path,
    kubeconfig: &Path,
    log: &Path,
    args: &[String],
    cgroup: Option<&Path>,
) -> Result<Child> {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log)?;
    let mut command = match cgroup {
        None => Command::new(program),
        // The shell joins the group before it becomes the operator, so that nothing of it is outside.
        Some(cgroup) => {
            let mut shell = Command::new("/bin/sh");
            shell.args(["-c", r#"echo $$ > "$0" && exec "$@""#]);
            shell.arg(cgroup.join("cgroup.procs")).arg(program);
            shell
        }
    };
    command
        .args(args)
        .env_clear()
        .env("KUBECONFIG", kubeconfig)
        .env("AXON_LOG", "info")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("failed to start {}", program.display()))
}
