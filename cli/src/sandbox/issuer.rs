//! Token issuer of a sandbox. The first start generates the signing key; the public key is published as a JWKS file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use freehold_api::Scope;
use freehold_tenancy::{Clock, TenantId};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::data_dir::write_private_file;

/// Issuer of sandbox tokens (claim `iss`).
pub(super) const ISSUER: &str = "urn:freehold:sandbox";

/// Audience of sandbox tokens (claim `aud`).
pub(super) const AUDIENCE: &str = "freehold";

/// Lifetime of the token that the sandbox prints at its start.
pub(super) const DEFAULT_TTL: Duration = Duration::from_hours(12);

/// Lifetime of an ID token, which is read once.
const ID_TOKEN_SECONDS: i64 = 300;

const KEY_FILE: &str = "signing-key.der";
const JWKS_FILE: &str = "jwks.json";
const TOKEN_FILE: &str = "token";

pub(crate) struct Issuer {
    directory: PathBuf,
    key: EncodingKey,
    key_id: String,
}

#[derive(Debug)]
pub(crate) struct Claims<'a> {
    pub(crate) subject: &'a str,
    pub(crate) client: &'a str,
    pub(crate) scopes: &'a [Scope],
    /// Tenant that the token is limited to; `None` for a token without a tenant claim.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) ttl: Duration,
}

/// Claims of an access token as defined in RFC 9068, section 2.2.
#[derive(Serialize)]
struct AccessToken<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_id: Option<String>,
    jti: String,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl Issuer {
    /// Opens the issuer in `directory`. Generates the signing key if it does not exist.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<Self> {
        let file = directory.join(KEY_FILE);
        if !file.exists() {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
            write_private_file(&file, pkcs8.map_err(|_| anyhow!("cannot generate a signing key"))?.as_ref())?;
        }
        Self::with_key(&file)
    }

    /// Opens the issuer with the signing key in `file`.
    pub(crate) fn with_key(file: &Path) -> anyhow::Result<Self> {
        let der = std::fs::read(file).with_context(|| format!("cannot read the signing key {}", file.display()))?;
        let key = EncodingKey::from_ec_der(&der);
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256)
            .with_context(|| format!("{} is not an ECDSA P-256 signing key", file.display()))?;
        let key_id = jwk.thumbprint(ThumbprintHash::SHA256)?;
        jwk.common.key_id = Some(key_id.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let directory = file.parent().unwrap_or(Path::new(".")).to_owned();
        let issuer = Self { directory, key, key_id };
        write_private_file(&issuer.jwks_path(), &serde_json::to_vec_pretty(&json!({ "keys": [jwk] }))?)?;
        Ok(issuer)
    }

    pub(super) fn jwks_path(&self) -> PathBuf {
        self.directory.join(JWKS_FILE)
    }

    pub(super) fn key_path(&self) -> PathBuf {
        self.directory.join(KEY_FILE)
    }

    pub(crate) fn sign(&self, claims: &Claims<'_>) -> anyhow::Result<SecretString> {
        // The API checks expiry against real time, not against the simulated clock.
        let now = Clock::real().now().timestamp();
        let ttl = i64::try_from(claims.ttl.as_secs()).unwrap_or(i64::MAX);
        let token = AccessToken {
            iss: ISSUER,
            sub: claims.subject,
            aud: AUDIENCE,
            client_id: claims.client,
            scope: claims.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "),
            tenant_id: claims.tenant.map(|tenant| tenant.to_string()),
            jti: Uuid::now_v7().to_string(),
            iat: now,
            nbf: now,
            exp: now.saturating_add(ttl),
        };
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.key_id.clone());
        Ok(jsonwebtoken::encode(&header, &token, &self.key)?.into())
    }

    /// Signs an ID token (OpenID Connect Core 1.0, section 2).
    pub(super) fn sign_id_token(
        &self,
        subject: &str,
        client: &str,
        nonce: Option<&str>,
    ) -> anyhow::Result<SecretString> {
        let now = Clock::real().now().timestamp();
        let expires = now.saturating_add(ID_TOKEN_SECONDS);
        let claims =
            json!({ "iss": ISSUER, "sub": subject, "aud": client, "nonce": nonce, "iat": now, "exp": expires });
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.key_id.clone());
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?.into())
    }

    /// Returns a token with all scopes, which the sandbox prints at its start.
    pub(super) fn default_token(&self) -> anyhow::Result<SecretString> {
        self.sign(&Claims {
            subject: "you",
            client: "freehold-cli",
            scopes: &Scope::ALL,
            tenant: None,
            ttl: DEFAULT_TTL,
        })
    }

    /// Writes a token to the file that other commands read. Returns the path.
    pub(super) fn write_token(&self, token: &SecretString) -> anyhow::Result<PathBuf> {
        let file = self.directory.join(TOKEN_FILE);
        write_private_file(&file, token.expose_secret().as_bytes())?;
        Ok(file)
    }
}
