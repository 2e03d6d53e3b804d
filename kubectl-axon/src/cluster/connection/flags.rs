//! The flags that every kubectl command has.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::format;

const HEADING: &str = "Connection options (as in kubectl)";

/// The flags that every kubectl command has; valid in any position.
#[derive(Args, Debug, Clone, Default)]
#[command(next_help_heading = HEADING)]
pub struct ConnectionArgs {
    /// Namespace to work in
    #[arg(short, long, global = true, value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Path of the kubeconfig file
    #[arg(long, global = true, value_name = "FILE", value_parser = path)]
    pub kubeconfig: Option<PathBuf>,
    /// Cluster of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub cluster: Option<String>,
    /// User of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub user: Option<String>,
    /// Address of the API server
    #[arg(short, long, global = true, value_name = "URL")]
    pub server: Option<String>,
    /// Bearer token for the API server
    #[arg(long, global = true, value_name = "TOKEN")]
    pub token: Option<String>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,
    /// Group to impersonate (repeatable)
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub impersonate_group: Vec<String>,
    /// UID to impersonate
    #[arg(long = "as-uid", global = true, value_name = "UID")]
    pub impersonate_uid: Option<String>,
    /// Certificate file of the authority that signed the server's certificate
    #[arg(long, global = true, value_name = "FILE")]
    pub certificate_authority: Option<String>,
    /// Client certificate file
    #[arg(long, global = true, value_name = "FILE")]
    pub client_certificate: Option<String>,
    /// Client key file
    #[arg(long, global = true, value_name = "FILE")]
    pub client_key: Option<String>,
    /// Don't check the server's certificate (insecure)
    #[arg(
        long,
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub insecure_skip_tls_verify: Option<bool>,
    /// Name that the server's certificate must have
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,
    /// Longest time to wait for an answer, such as 30s; 0 for no limit
    #[arg(long, global = true, value_name = "DURATION", value_parser = request_timeout)]
    pub request_timeout: Option<Duration>,
    /// Accepted for kubectl's sake; nothing is cached
    #[arg(long, global = true, value_name = "DIR")]
    pub cache_dir: Option<String>,
    /// Accepted for kubectl's sake; answers are not compressed
    #[arg(
        long,
        global = true,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    pub disable_compression: Option<bool>,
}

/// Reads a path that may be empty, which clap's own parser refuses.
pub(crate) fn path(text: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(PathBuf::from(text))
}

/// Reads a duration, or a bare number of seconds as kubectl takes it.
pub(crate) fn request_timeout(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    axon_api::go_duration::parse(text).map_err(|e| e.to_string())
}

impl ConnectionArgs {
    /// Returns those of the flags that say which cluster it is, for a command to be typed next: each with a blank before
    /// it.
    #[must_use]
    pub fn flags(&self) -> String {
        let kubeconfig = self.kubeconfig.as_ref().map(|path| path.display().to_string());
        let given = [
            ("--context", self.context.as_ref()),
            ("--cluster", self.cluster.as_ref()),
            ("--user", self.user.as_ref()),
            ("--kubeconfig", kubeconfig.as_ref()),
        ];
        let given = given.into_iter().filter_map(|(flag, value)| Some((flag, value?)));
        given
            .map(|(flag, value)| format!(" {flag} {}", format::quoted(value)))
            .collect()
    }

    /// Counts empty texts as absent, as kubectl does: scripts pass `--context "$CONTEXT"` without a look at it.
    #[must_use]
    pub fn without_blanks(mut self) -> Self {
        for field in [
            &mut self.namespace,
            &mut self.context,
            &mut self.cluster,
            &mut self.user,
            &mut self.server,
            &mut self.token,
            &mut self.impersonate,
            &mut self.impersonate_uid,
            &mut self.certificate_authority,
            &mut self.client_certificate,
            &mut self.client_key,
            &mut self.tls_server_name,
        ] {
            field.take_if(|text| text.is_empty());
        }
        self.kubeconfig.take_if(|path| path.as_os_str().is_empty());
        self
    }
}
