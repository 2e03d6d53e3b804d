//! A GitHub App's way to a token: a JWT signed with its private key is exchanged for an installation token.
//!
//! ring signs, which is in every build for TLS: what octocrab would use for it is either a second TLS library or an
//! RSA implementation with a known timing leak.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::credential::{App, PRIVATE_KEY_KEY};
use super::error::GithubError;

/// Seconds by which the JWT claims to be older than it is, for clocks that go ahead of GitHub's.
const BACKDATED: i64 = 60;
/// Seconds for which it is good. GitHub takes at most 600 from its own clock.
const LIFETIME: i64 = 540;
/// How long before its end a token that is good for an hour is replaced: time for the kubelet to bring a new one into a
/// pod, and for several tries.
const MARGIN: Duration = Duration::from_secs(15 * 60);

/// A token that GitHub gave for an installation.
#[derive(Clone, Debug)]
pub struct InstallationToken {
    /// The token.
    pub token: SecretString,
    /// When it ends, by GitHub's clock.
    pub expires: Timestamp,
    /// For how long it is good from now on.
    pub lifetime: Duration,
}

impl InstallationToken {
    /// Returns after how long it should be replaced.
    #[must_use]
    pub fn renew_after(&self) -> Duration {
        renew_after(self.lifetime)
    }
}

fn renew_after(lifetime: Duration) -> Duration {
    lifetime.saturating_sub(MARGIN).max(lifetime / 2)
}

/// Returns the JWT with which `app` names itself at `now`, which is GitHub's time.
///
/// # Errors
/// [`GithubError::BadKey`] if the private key is none.
pub fn jwt(app: &App, now: Timestamp) -> Result<SecretString, GithubError> {
    let bad = |said: String| GithubError::BadKey {
        secret: app.secret.clone(),
        key: PRIVATE_KEY_KEY,
        said,
    };
    let der = PrivateKeyDer::from_pem_slice(app.private_key.expose_secret().as_bytes()).map_err(|_| {
        bad("is no private key in PEM form: use the file that GitHub gave for the App".into())
    })?;
    let refused = |error: ring::error::KeyRejected| {
        bad(format!(
            "is no RSA key that can be used ({error}): use the file that GitHub gave for the App"
        ))
    };
    let key = match &der {
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()).map_err(refused)?,
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).map_err(refused)?,
        _ => {
            return Err(bad(
                "is no RSA key: use the file that GitHub gave for the App".into()
            ));
        }
    };
    let issued = now.as_second() - BACKDATED;
    let claims = serde_json::json!({ "iat": issued, "exp": now.as_second() + LIFETIME, "iss": app.app_id });
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!(
        "{}.{}",
        encode(br#"{"alg":"RS256","typ":"JWT"}"#),
        encode(claims.to_string().as_bytes())
    );
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        signed.as_bytes(),
        &mut signature,
    )
    .map_err(|_| bad("could not be used to sign".into()))?;
    Ok(format!("{signed}.{}", encode(&signature)).into())
}

#[derive(Deserialize)]
struct Exchanged {
    token: SecretString,
    expires_at: Timestamp,
}

/// Reads the answer to the exchange, given at `now` by GitHub's clock; `None` if it is not one.
#[must_use]
pub fn read_token(body: &[u8], now: Timestamp) -> Option<InstallationToken> {
    let answer: Exchanged = serde_json::from_slice(body).ok()?;
    let left = answer.expires_at.as_second().saturating_sub(now.as_second());
    Some(InstallationToken {
        token: answer.token,
        expires: answer.expires_at,
        lifetime: Duration::from_secs(u64::try_from(left).unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    const PKCS1: &str = include_str!("testdata/app.pkcs1.pem");
    const PKCS8: &str = include_str!("testdata/app.pkcs8.pem");

    fn app(key: &str) -> App {
        App {
            secret: "gh".into(),
            app_id: "12".into(),
            installation_id: "34".into(),
            private_key: key.to_owned().into(),
            scope: super::super::credential::Scope::default(),
        }
    }

    #[test]
    fn both_forms_of_a_key_sign_claims_that_github_takes() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let der = PrivateKeyDer::from_pem_slice(PKCS8.as_bytes()).unwrap();
        let pair = RsaKeyPair::from_pkcs8(der.secret_der()).unwrap();
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public().as_ref().to_vec());
        for key in [PKCS1, PKCS8] {
            let jwt = jwt(&app(key), now).unwrap();
            let (signed, signature) = jwt.expose_secret().rsplit_once('.').unwrap();
            public
                .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
                .unwrap();
            let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
            let claims: Value = serde_json::from_slice(&claims).unwrap();
            assert_eq!(
                claims,
                serde_json::json!({"iss": "12", "iat": 999_940, "exp": 1_000_540})
            );
        }
    }

    #[test]
    fn what_is_no_key_names_the_secret_and_its_key() {
        let ec = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----\n";
        for key in [
            "",
            "x",
            ec,
            "-----BEGIN RSA PRIVATE KEY-----\nMHcC\n-----END RSA PRIVATE KEY-----\n",
        ] {
            let error = jwt(&app(key), Timestamp::UNIX_EPOCH).unwrap_err();
            assert!(
                error.to_string().starts_with("Secret gh, key privateKey"),
                "{error}"
            );
            assert!(!error.is_transient());
        }
    }

    #[test]
    fn a_token_is_replaced_well_before_its_end() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let body = br#"{"token":"ghs_x","expires_at":"2026-01-01T01:00:00Z","permissions":{}}"#;
        let token = read_token(body, now).unwrap();
        assert_eq!(token.renew_after(), Duration::from_secs(45 * 60));
        assert_eq!(renew_after(Duration::from_secs(20)), Duration::from_secs(10));
        assert_eq!(renew_after(Duration::ZERO), Duration::ZERO);
        assert!(read_token(b"{}", now).is_none() && !format!("{token:?}").contains("ghs_x"));
    }
}
