//! A CA of the Workspace's own, which vouches for git hosts inside a company. Programs are told of it by variables that
//! name one file: the CAs of the system and this one, so that everything else is reached as before.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// Starts this program anew with the variables, if the Workspace has a CA and they are not there yet. Every program that
/// is started from here inherits them then.
///
/// # Errors
/// If the CA can't be read or the program not be started again.
pub fn adopt(env: &Env, args: impl IntoIterator<Item = OsString>) -> io::Result<()> {
    let Some(ca) = env.path(names::CA_FILE).filter(|file| file.is_file()) else {
        return Ok(());
    };
    let missing = missing(env);
    if missing.is_empty() {
        return Ok(());
    }
    let own = fs::read_to_string(ca)?;
    let system = system(env).and_then(|file| fs::read_to_string(file).ok());
    let file = env.home().join(".axon/ca.crt");
    if let Some(dir) = file.parent() {
        fs::create_dir_all(dir)?;
    }
    fs::write(&file, bundle(system.as_deref().unwrap_or_default(), &own))?;
    match again(&missing, &file, args) {
        Err(error) => Err(error),
    }
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

fn again(
    variables: &[&str],
    file: &Path,
    args: impl IntoIterator<Item = OsString>,
) -> io::Result<Infallible> {
    let mut args = args.into_iter();
    let mut command = Command::new(std::env::current_exe()?);
    // By its name the program knows what it is to do.
    command.arg0(args.next().unwrap_or_default()).args(args);
    command.envs(variables.iter().map(|name| (name, file)));
    Err(command.exec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_ca_nothing_is_done() {
        let none: Env = std::iter::empty::<(&str, &str)>().collect();
        adopt(&none, []).unwrap();
        let gone: Env = [(names::CA_FILE, "/no/such/file")].into_iter().collect();
        adopt(&gone, []).unwrap();
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
        adopt(&all, []).unwrap();
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
