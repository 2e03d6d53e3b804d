//! The connection of a program that runs in a pod, where there is no kubeconfig.

use std::path::{Path, PathBuf};

use kube::Config;

use super::{ConnectionArgs, missing};
use crate::error::{CliError, Result};

/// Where the kubelet tells the namespace of the pod's ServiceAccount.
pub(crate) const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

impl ConnectionArgs {
    /// Returns the configuration of the pod's ServiceAccount, with the flags' values in place.
    pub(crate) fn in_cluster(&self) -> Result<Config> {
        self.refuse_names()?;
        let mut config = Config::incluster().map_err(|_| {
            CliError::new("no kubeconfig found, and this is not a pod of a cluster")
                .hint("name a file with --kubeconfig or KUBECONFIG, or a server with --server")
        })?;
        self.override_in_cluster(&mut config);
        Ok(config)
    }

    /// Refuses flags that choose from a kubeconfig, where there is none.
    pub(crate) fn refuse_names(&self) -> Result<()> {
        let given = [
            ("context", &self.context),
            ("cluster", &self.cluster),
            ("user", &self.user),
        ];
        for (what, name) in given {
            if let Some(name) = name {
                return Err(missing(what, name, std::iter::empty()));
            }
        }
        Ok(())
    }

    pub(crate) fn override_in_cluster(&self, config: &mut Config) {
        self.override_user(&mut config.auth_info);
        if let Some(path) = &self.certificate_authority {
            config.root_cert = None;
            config.root_cert_file = Some(PathBuf::from(path));
        }
        if let Some(insecure) = self.insecure_skip_tls_verify {
            config.accept_invalid_certs = insecure;
        }
        if let Some(name) = &self.tls_server_name {
            config.tls_server_name = Some(name.clone());
        }
    }
}

/// Returns the namespace in `file`, the one of the pod's ServiceAccount; `None` outside of pods.
pub(crate) fn namespace(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    Some(text.trim().to_owned()).filter(|namespace| !namespace.is_empty())
}
