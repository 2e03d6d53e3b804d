//! kubectl's connection flags, and how they and the kubeconfig files become a connection.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError, NamedAuthInfo, NamedCluster};
use kube::config::{Cluster as KubeCluster, Context, NamedContext};
use kube::{Client, Config};

use crate::cluster::Cluster;
use crate::error::{CliError, Kind, Result, Target};

mod flags;
mod in_cluster;
mod proxy;

pub use flags::ConnectionArgs;
pub(crate) use flags::path;

/// Longest wait for an answer when --request-timeout says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

impl ConnectionArgs {
    /// Connects. The namespace is the flag's, else `configured`, else the context's.
    ///
    /// # Errors
    /// When the flags and files give no usable configuration. The server is not contacted yet.
    pub async fn connect(&self, configured: Option<&str>) -> Result<Cluster> {
        let (config, context) = self.config().await?;
        let namespace = self
            .namespace
            .clone()
            .or_else(|| configured.map(str::to_owned))
            .unwrap_or_else(|| config.default_namespace.clone());
        let target = Target {
            server: config.cluster_url.to_string().trim_end_matches('/').to_owned(),
            context,
            impersonated: self.impersonate.clone(),
            flags: self.flags(),
        };
        let namespace_matters = self.namespace.is_some() || namespace != config.default_namespace;
        let client = Client::try_from(config).map_err(|e| {
            CliError::new(format!("cannot set up the connection to {}: {e}", target.server)).hint(format!(
                "try the same with kubectl: kubectl auth whoami{}",
                target.flags
            ))
        })?;
        Ok(Cluster {
            client,
            namespace,
            namespace_matters,
            target,
            timeout: self.limit(),
        })
    }

    /// Returns the namespace that [`ConnectionArgs::connect`] would, without connecting; `default` if there is neither
    /// a kubeconfig nor a pod.
    ///
    /// # Errors
    /// When a kubeconfig exists and can't be used, or flags name what is in none.
    pub fn namespace_offline(&self, configured: Option<&str>) -> Result<String> {
        if let Some(namespace) = self.namespace.as_deref().or(configured) {
            return Ok(namespace.to_owned());
        }
        self.own_namespace(self.read()?, Path::new(in_cluster::NAMESPACE_FILE))
    }

    /// Returns the namespace of the context, or the one in `pods` where there is none.
    fn own_namespace(&self, found: Option<Kubeconfig>, pods: &Path) -> Result<String> {
        if found.is_none() && self.server.is_none() {
            self.refuse_names()?;
            return Ok(in_cluster::namespace(pods).unwrap_or_else(|| "default".to_owned()));
        }
        let context = self.context(&found.unwrap_or_default())?.1;
        Ok(context
            .namespace
            .filter(|n| !n.is_empty())
            .unwrap_or_else(|| "default".to_owned()))
    }

    /// Returns the names of the contexts, without connecting.
    ///
    /// # Errors
    /// When a kubeconfig exists and can't be used.
    pub fn contexts(&self) -> Result<Vec<String>> {
        let files = self.read()?.unwrap_or_default();
        Ok(files.contexts.into_iter().map(|context| context.name).collect())
    }

    fn limit(&self) -> Option<Duration> {
        Some(self.request_timeout.unwrap_or(DEFAULT_TIMEOUT)).filter(|limit| !limit.is_zero())
    }

    async fn config(&self) -> Result<(Config, Option<String>)> {
        let found = self.read()?;
        if found.is_none() && self.server.is_none() {
            let mut config = self.in_cluster()?;
            self.finish(&mut config, false)?;
            return Ok((config, None));
        }
        let files = found.unwrap_or_default();
        let (name, kubeconfig) = self.selected(&files)?;
        let own_proxy = kubeconfig
            .clusters
            .iter()
            .any(|c| c.cluster.as_ref().is_some_and(|c| c.proxy_url.is_some()));
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(|e| unusable(&e))?;
        self.finish(&mut config, own_proxy)?;
        Ok((config, name))
    }

    /// Sets what a kubeconfig has no place for.
    fn finish(&self, config: &mut Config, own_proxy: bool) -> Result<()> {
        if let Some(limit) = self.limit() {
            config.connect_timeout = Some(limit);
        }
        if !own_proxy && proxy::is_exempt(config.cluster_url.host().unwrap_or_default(), &proxy::no_proxy()) {
            config.proxy_url = None;
        }
        let detail = !self.impersonate_group.is_empty() || self.impersonate_uid.is_some();
        if detail && self.impersonate.is_none() {
            return Err(CliError::usage("--as-group and --as-uid need --as"));
        }
        if let Some(user) = &self.impersonate {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups =
                (!self.impersonate_group.is_empty()).then(|| self.impersonate_group.clone());
        }
        if let Some(uid) = &self.impersonate_uid {
            let value = HeaderValue::from_str(uid).map_err(|_| {
                CliError::usage(format!(
                    "--as-uid {uid:?} has characters that a header can't carry"
                ))
            })?;
            config
                .headers
                .push((HeaderName::from_static("impersonate-uid"), value));
        }
        Ok(())
    }

    /// Reads and merges the kubeconfig files; `None` when there are none.
    fn read(&self) -> Result<Option<Kubeconfig>> {
        if let Some(path) = &self.kubeconfig {
            return Kubeconfig::read_from(path).map(Some).map_err(|e| unusable(&e));
        }
        let paths: Vec<PathBuf> = match std::env::var_os("KUBECONFIG").filter(|v| !v.is_empty()) {
            Some(list) => std::env::split_paths(&list).collect(),
            None => std::env::home_dir()
                .map(|home| home.join(".kube").join("config"))
                .into_iter()
                .collect(),
        };
        let mut merged: Option<Kubeconfig> = None;
        // Like kubectl: files of the list that do not exist are no error.
        for path in paths.iter().filter(|p| !p.as_os_str().is_empty() && p.exists()) {
            let next = Kubeconfig::read_from(path).map_err(|e| unusable(&e))?;
            merged = Some(merged.unwrap_or_default().merge(next).map_err(|e| unusable(&e))?);
        }
        Ok(merged)
    }

    /// Returns name and content of the context to use. Flags that name all there is to know need none.
    fn context(&self, files: &Kubeconfig) -> Result<(Option<String>, Context)> {
        let current = files.current_context.clone().filter(|name| !name.is_empty());
        let Some(name) = self.context.clone().or(current) else {
            if self.server.is_some() || self.cluster.is_some() {
                return Ok((None, Context::default()));
            }
            return Err(
                CliError::new("the kubeconfig has no current context").hint(format!(
                    "choose one with --context{}",
                    listed(files.contexts.iter().map(|c| &c.name))
                )),
            );
        };
        let context = files
            .contexts
            .iter()
            .find(|c| c.name == name)
            .and_then(|c| c.context.clone())
            .ok_or_else(|| missing("context", &name, files.contexts.iter().map(|c| &c.name)))?;
        Ok((Some(name), context))
    }

    /// Returns a kubeconfig that holds only what is selected, with the flags' values in place.
    fn selected(&self, files: &Kubeconfig) -> Result<(Option<String>, Kubeconfig)> {
        let (name, context) = self.context(files)?;
        let cluster_name = self.cluster.clone().unwrap_or_else(|| context.cluster.clone());
        let found = files
            .clusters
            .iter()
            .find(|c| c.name == cluster_name)
            .and_then(|c| c.cluster.clone());
        let mut cluster = match found {
            Some(cluster) => cluster,
            None if self.server.is_some() && self.cluster.is_none() => KubeCluster::default(),
            None => {
                return Err(missing(
                    "cluster",
                    &cluster_name,
                    files.clusters.iter().map(|c| &c.name),
                ));
            }
        };
        let user_name = self.user.clone().or_else(|| context.user.clone());
        let found = user_name.as_ref().and_then(|name| {
            let named = files.auth_infos.iter().find(|u| u.name == *name)?;
            named.auth_info.clone()
        });
        let mut user = match (found, &self.user) {
            (Some(user), _) => user,
            (None, Some(name)) => {
                return Err(missing("user", name, files.auth_infos.iter().map(|u| &u.name)));
            }
            (None, None) => AuthInfo::default(),
        };
        self.override_cluster(&mut cluster);
        self.override_user(&mut user);
        let kubeconfig = Kubeconfig {
            clusters: vec![NamedCluster {
                name: "selected".into(),
                cluster: Some(cluster),
                ..NamedCluster::default()
            }],
            auth_infos: vec![NamedAuthInfo {
                name: "selected".into(),
                auth_info: Some(user),
                ..NamedAuthInfo::default()
            }],
            contexts: vec![NamedContext {
                name: "selected".into(),
                context: Some(Context {
                    cluster: "selected".into(),
                    user: Some("selected".into()),
                    namespace: context.namespace.filter(|n| !n.is_empty()),
                    ..Context::default()
                }),
                ..NamedContext::default()
            }],
            current_context: Some("selected".into()),
            ..Kubeconfig::default()
        };
        Ok((name, kubeconfig))
    }

    fn override_cluster(&self, cluster: &mut KubeCluster) {
        if let Some(server) = &self.server {
            cluster.server = Some(server.clone());
        }
        if let Some(name) = &self.tls_server_name {
            cluster.tls_server_name = Some(name.clone());
        }
        if let Some(path) = &self.certificate_authority {
            cluster.certificate_authority = Some(path.clone());
            cluster.certificate_authority_data = None;
        }
        if let Some(insecure) = self.insecure_skip_tls_verify {
            cluster.insecure_skip_tls_verify = Some(insecure);
        }
    }

    fn override_user(&self, user: &mut AuthInfo) {
        if let Some(token) = &self.token {
            // The server would believe a certificate before it looks at a token.
            *user = AuthInfo {
                token: Some(token.clone().into()),
                ..AuthInfo::default()
            };
        }
        if let Some(path) = &self.client_certificate {
            user.client_certificate = Some(path.clone());
            user.client_certificate_data = None;
        }
        if let Some(path) = &self.client_key {
            user.client_key = Some(path.clone());
            user.client_key_data = None;
        }
    }
}

fn missing<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a String>) -> CliError {
    let known = listed(known);
    let error = CliError::of(Kind::Error, format!("{what} {name:?} is not in the kubeconfig"));
    if known.is_empty() {
        return error.hint("there is none in it: name another file with --kubeconfig or KUBECONFIG");
    }
    error.hint(format!("choose another one{known}"))
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).take(8).collect();
    if names.is_empty() {
        String::new()
    } else {
        format!("; there is {}", names.join(", "))
    }
}

fn unusable(error: &KubeconfigError) -> CliError {
    if let KubeconfigError::ReadConfig(cause, path) = error {
        return CliError::new(format!("cannot read kubeconfig {}: {cause}", path.display()));
    }
    // Only the first line: what follows may quote the file, and the file holds credentials.
    let text = error.to_string();
    CliError::new(format!(
        "cannot use the kubeconfig: {}",
        text.lines().next().unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests;
