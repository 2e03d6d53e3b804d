//! The servers that tests need beside a cluster, as one program.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Result;
use axon_test::fixtures::git::{GitHost, ssh};
use axon_test::fixtures::github::GithubHost;
use axon_test::fixtures::model::Model;
use axon_test::fixtures::server;
use axon_test::fixtures::tls::TlsListener;
use clap::{Args, Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Servers for tests: a scripted model, a git host and a GitHub.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a scripted model that speaks the APIs of Anthropic, OpenAI and Google.
    Model {
        /// Address to listen on.
        #[arg(long)]
        listen: SocketAddr,
        #[command(flatten)]
        keys: Keys,
    },
    /// Serve git repositories over smart HTTP, and a GitHub's REST API below /api/v3.
    Git {
        /// Address to listen on.
        #[arg(long)]
        listen: SocketAddr,
        /// Folder of the repositories.
        #[arg(long)]
        root: PathBuf,
    },
    /// Serve a GitHub's REST API.
    Github {
        /// Address to listen on.
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Serve all.
    All {
        /// Address of the model.
        #[arg(long)]
        model_listen: SocketAddr,
        /// Address of the git host.
        #[arg(long)]
        git_listen: SocketAddr,
        /// Folder of the repositories.
        #[arg(long)]
        git_root: PathBuf,
        /// Address of the GitHub.
        #[arg(long)]
        github_listen: SocketAddr,
        /// Address of the git host for HTTPS, with a certificate of the test CA.
        #[arg(long)]
        git_tls_listen: Option<SocketAddr>,
        /// Address of the git host for SSH, with the machine's sshd.
        #[arg(long)]
        ssh_listen: Option<SocketAddr>,
        #[command(flatten)]
        keys: Keys,
    },
    /// Answer an SSH client of the git host; sshd starts it.
    #[command(hide = true)]
    SshSession {
        /// Folder of the repositories.
        #[arg(long)]
        root: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Keys {
    /// API key that the model wants; may be repeated. Without one it answers everyone.
    #[arg(long)]
    require_key: Vec<String>,
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    match Cli::parse().command {
        Command::Model { listen, keys } => model(listen, keys).await,
        Command::Git { listen, root } => git(listen, None, root, &GithubHost::default()).await,
        Command::Github { listen } => github(listen, &GithubHost::default()).await,
        Command::All {
            model_listen,
            git_listen,
            git_root,
            github_listen,
            git_tls_listen,
            ssh_listen,
            keys,
        } => {
            let host = GithubHost::default();
            let _sshd = match ssh_listen {
                Some(listen) => Some(ssh::start(&git_root, listen).await?),
                None => None,
            };
            tokio::try_join!(
                model(model_listen, keys),
                git(git_listen, git_tls_listen, git_root, &host),
                github(github_listen, &host)
            )
            .map(|_| ())
        }
        Command::SshSession { root } => {
            ssh::session(&root, &std::env::var("SSH_ORIGINAL_COMMAND").unwrap_or_default())
        }
    }
}

async fn model(listen: SocketAddr, keys: Keys) -> Result<()> {
    let listener = server::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "model listens");
    server::serve(listener, Model::new(keys.require_key).router(), stopped()).await
}

async fn git(
    listen: SocketAddr,
    tls_listen: Option<SocketAddr>,
    root: PathBuf,
    github: &GithubHost,
) -> Result<()> {
    let host = GitHost::open(root).await?.trusting(github);
    let router = github.beside(host.router());
    let listener = server::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "git host listens");
    let plain = server::serve(listener, router.clone(), stopped());
    let Some(tls_listen) = tls_listen else {
        return plain.await;
    };
    let listener = TlsListener::new(server::bind(tls_listen).await?)?;
    tokio::try_join!(plain, server::serve(listener, router, stopped())).map(|_| ())
}

async fn github(listen: SocketAddr, host: &GithubHost) -> Result<()> {
    let listener = server::bind(listen).await?;
    tracing::info!(address = %listener.local_addr()?, "GitHub listens");
    server::serve(listener, host.router(), stopped()).await
}

/// Waits for a request to stop. As a container's first process the program gets no default for signals.
async fn stopped() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
