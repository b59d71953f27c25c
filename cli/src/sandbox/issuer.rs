//! The sandbox's issuer of tokens: a key made at the first start, its public half as a JWKS, and signing.

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

use super::data_dir::replace;

/// The `iss` of the sandbox's tokens.
pub(super) const ISSUER: &str = "urn:freehold:sandbox";

/// The `aud` of the sandbox's tokens.
pub(super) const AUDIENCE: &str = "freehold";

/// How long the token lasts that the sandbox prints.
pub(super) const USUAL_TTL: Duration = Duration::from_hours(12);

const KEY: &str = "signing-key.der";
const JWKS: &str = "jwks.json";
const TOKEN: &str = "token";

/// Whoever can sign the sandbox's tokens.
pub(crate) struct Issuer {
    directory: PathBuf,
    key: EncodingKey,
    key_id: String,
}

/// What a token says.
#[derive(Debug)]
pub(crate) struct Claims<'a> {
    /// Who it is for.
    pub(crate) subject: &'a str,
    /// The program that sends it.
    pub(crate) client: &'a str,
    /// What it allows.
    pub(crate) scopes: &'a [Scope],
    /// The one tenant that it is for.
    pub(crate) tenant: Option<TenantId>,
    /// How long it lasts, on the wall clock.
    pub(crate) ttl: Duration,
}

/// RFC 9068, section 2.2.
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
    /// The issuer whose key is in `directory`; a new one where there is none.
    pub(crate) fn open(directory: &Path) -> anyhow::Result<Self> {
        let file = directory.join(KEY);
        if !file.exists() {
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
            replace(&file, pkcs8.map_err(|_| anyhow!("a signing key cannot be made"))?.as_ref())?;
        }
        Self::with_key(&file)
    }

    /// The issuer that has this key.
    pub(crate) fn with_key(file: &Path) -> anyhow::Result<Self> {
        let der = std::fs::read(file).with_context(|| format!("the signing key {} cannot be read", file.display()))?;
        let key = EncodingKey::from_ec_der(&der);
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256)
            .with_context(|| format!("{} is no signing key", file.display()))?;
        let key_id = jwk.thumbprint(ThumbprintHash::SHA256)?;
        jwk.common.key_id = Some(key_id.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        let directory = file.parent().unwrap_or(Path::new(".")).to_owned();
        let issuer = Self { directory, key, key_id };
        replace(&issuer.jwks(), &serde_json::to_vec_pretty(&json!({ "keys": [jwk] }))?)?;
        Ok(issuer)
    }

    /// Where the public half is.
    pub(super) fn jwks(&self) -> PathBuf {
        self.directory.join(JWKS)
    }

    /// Where the key is.
    pub(super) fn key(&self) -> PathBuf {
        self.directory.join(KEY)
    }

    /// A token.
    pub(crate) fn sign(&self, claims: &Claims<'_>) -> anyhow::Result<SecretString> {
        // Tokens are judged by the wall clock, whatever the sandbox's clock shows.
        let now = Clock::real().now().timestamp();
        let lasts = i64::try_from(claims.ttl.as_secs()).unwrap_or(i64::MAX);
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
            exp: now.saturating_add(lasts),
        };
        let mut header = Header::new(Algorithm::ES256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(self.key_id.clone());
        Ok(jsonwebtoken::encode(&header, &token, &self.key)?.into())
    }

    /// The token that the sandbox prints: it allows everything.
    pub(super) fn default_token(&self) -> anyhow::Result<SecretString> {
        self.sign(&Claims { subject: "you", client: "freehold-cli", scopes: &Scope::ALL, tenant: None, ttl: USUAL_TTL })
    }

    /// Writes a token where commands find it.
    pub(super) fn keep(&self, token: &SecretString) -> anyhow::Result<PathBuf> {
        let file = self.directory.join(TOKEN);
        replace(&file, token.expose_secret().as_bytes())?;
        Ok(file)
    }
}
