//! Signing secrets of webhook endpoints, and signatures of deliveries (Standard Webhooks 1.0).

use std::fmt;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

const PREFIX: &str = "whsec_";

/// Length of a new secret in bytes. The specification permits 24 to 64.
const SECRET_LENGTH: usize = 32;

/// Secret that signs the deliveries of one endpoint.
#[derive(Clone)]
pub struct WebhookSecret(SecretSlice<u8>);

impl WebhookSecret {
    /// Generates a secret. Returns `None` if no random numbers are available.
    pub fn random() -> Option<Self> {
        let mut bytes = vec![0; SECRET_LENGTH];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        Some(Self(bytes.into()))
    }

    pub fn from_bytes(bytes: SecretSlice<u8>) -> Self {
        Self(bytes)
    }

    /// Parses a secret in its text form: `whsec_` and base64.
    pub fn parse(text: &SecretString) -> Option<Self> {
        let bytes = STANDARD.decode(text.expose_secret().strip_prefix(PREFIX)?).ok()?;
        (24..=64).contains(&bytes.len()).then(|| Self(bytes.into()))
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.expose_secret()
    }

    /// Returns the text form, which the API returns only once.
    pub fn to_text(&self) -> SecretString {
        format!("{PREFIX}{}", STANDARD.encode(self.0.expose_secret())).into()
    }

    /// Returns the signature of the delivery `id` that is sent at `timestamp`, in seconds since 1970.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose_secret());
        let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret([REDACTED])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_match_the_example_of_the_specification() {
        let secret = WebhookSecret::parse(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_new_secret_has_32_random_bytes() {
        let (one, other) = (WebhookSecret::random().unwrap(), WebhookSecret::random().unwrap());
        assert_eq!((one.bytes().len(), one.bytes() == other.bytes()), (32, false));
        assert_eq!(WebhookSecret::parse(&one.to_text()).unwrap().bytes(), one.bytes());
        assert_eq!(format!("{one:?}"), "WebhookSecret([REDACTED])");
    }
}
