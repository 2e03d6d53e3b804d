//! A CA of the Workspace's own, which vouches for git hosts inside a company. Programs are told of it by variables that
//! name one file: the CAs of the system and this one, so that everything else is reached as before.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use axon_api::contract::{CA_KEY, env as names};

use crate::env::Env;

/// Where distributions keep the CAs of the system.
const SYSTEM: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];
/// Variables for OpenSSL, Go and Rust; git; curl; Node; and Python's requests.
const VARIABLES: [&str; 5] = [
    "SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "REQUESTS_CA_BUNDLE",
];

/// Returns the variables to set, if the Workspace has a CA and they are not there yet. Writes the file that they name.
///
/// # Errors
/// If the CA can't be read or the file not be written.
pub fn variables(env: &Env) -> io::Result<Vec<(&'static str, OsString)>> {
    let Some(ca) = env.path(names::CA_FILE).filter(|file| file.is_file()) else {
        return Ok(Vec::new());
    };
    let missing = missing(env);
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let own = fs::read_to_string(ca)?;
    let system = system(env).and_then(|file| fs::read_to_string(file).ok());
    let file = env.home().join(".axon/ca.crt");
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(&file, bundle(system.as_deref().unwrap_or_default(), &own))?;
    let variable = |name| (name, file.clone().into_os_string());
    Ok(missing.into_iter().map(variable).collect())
}

/// Returns what to do about git's error, if it is about a certificate.
#[must_use]
pub fn advice(stderr: &str) -> Option<String> {
    let text = stderr.to_ascii_lowercase();
    let about = ["certificate verification failed", "ssl certificate problem"];
    about.iter().any(|words| text.contains(words)).then(|| {
        format!("put the certificate of the host's CA, PEM, as key {CA_KEY} into the Secret of the Workspace")
    })
}

/// Returns the variables that nobody has set.
fn missing(env: &Env) -> Vec<&'static str> {
    let unset = |name: &&&str| !env.is_set(name);
    VARIABLES.iter().filter(unset).copied().collect()
}

/// Returns the CAs that programs know so far: those that somebody chose, or the system's.
fn system(env: &Env) -> Option<PathBuf> {
    let chosen = env.path("SSL_CERT_FILE").map(Path::to_owned);
    let usual = SYSTEM.iter().map(PathBuf::from);
    chosen.into_iter().chain(usual).find(|file| file.is_file())
}

fn bundle(system: &str, own: &str) -> String {
    format!("{}\n{}\n", system.trim_end(), own.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_ca_nothing_is_done() {
        let none: Env = std::iter::empty::<(&str, &str)>().collect();
        assert!(variables(&none).unwrap().is_empty());
        let gone: Env = [(names::CA_FILE, "/no/such/file")].into_iter().collect();
        assert!(variables(&gone).unwrap().is_empty());
    }

    #[test]
    fn what_somebody_has_set_stays() {
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.crt");
        fs::write(&ca, "own").unwrap();
        let own = ca.to_str().unwrap();
        let some: Env = [("GIT_SSL_CAINFO", "/mine"), ("SSL_CERT_FILE", own)]
            .into_iter()
            .collect();
        assert_eq!(
            missing(&some),
            ["CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"]
        );
        assert_eq!(system(&some).as_deref(), Some(ca.as_path()));
        // All are there after the program has started itself again: it does so once.
        let all: Env = VARIABLES
            .into_iter()
            .map(|name| (name, "/x"))
            .chain([(names::CA_FILE, own)])
            .collect();
        assert!(variables(&all).unwrap().is_empty());
    }

    #[test]
    fn an_unknown_ca_comes_with_advice() {
        for words in [
            "fatal: unable to access 'https://h/r/': server certificate verification failed. CAfile: none CRLfile: none",
            "fatal: unable to access 'https://h/r/': SSL certificate problem: unable to get local issuer certificate",
        ] {
            assert!(
                advice(words).is_some_and(|advice| advice.contains("ca.crt")),
                "{words}"
            );
        }
        assert_eq!(advice("fatal: repository not found"), None);
    }

    #[test]
    fn the_systems_cas_are_kept() {
        assert_eq!(bundle("a\n\n", "\nb\n"), "a\nb\n");
        assert_eq!(bundle("", "b"), "\nb\n");
    }
}
