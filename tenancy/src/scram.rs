//! Verifiers of passwords for SCRAM-SHA-256 (RFC 5802, RFC 7677) in the format of PostgreSQL, so that a password does
//! not appear in its log.

use std::num::NonZeroU32;

use aws_lc_rs::{hmac, pbkdf2};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

/// Default of PostgreSQL.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();

const SALT_LENGTH: usize = 16;

/// Returns a verifier with a random salt, or `None` if the system has no random numbers. The password must be ASCII,
/// which needs no normalisation.
pub(crate) fn verifier(password: &SecretString) -> Option<String> {
    let mut salt = [0; SALT_LENGTH];
    aws_lc_rs::rand::fill(&mut salt).ok()?;
    Some(with_salt(password, &salt))
}

fn with_salt(password: &SecretString, salt: &[u8; SALT_LENGTH]) -> String {
    let mut salted = [0; 32];
    let password = password.expose_secret().as_bytes();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, salt, password, &mut salted);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let stored_key = Sha256::digest(hmac::sign(&key, b"Client Key"));
    let server_key = hmac::sign(&key, b"Server Key");
    let [salt, stored_key, server_key] =
        [&salt[..], &stored_key, server_key.as_ref()].map(|bytes| BASE64_STANDARD.encode(bytes));
    format!("SCRAM-SHA-256${ITERATIONS}:{salt}${stored_key}:{server_key}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_matches_the_example_of_the_rfc() {
        // RFC 7677, section 3.
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let verifier = with_salt(&"pencil".into(), &salt.try_into().unwrap());
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let (prefix, keys) = verifier.rsplit_once('$').unwrap();
        assert_eq!(prefix, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==");
        let (stored, server) = keys.split_once(':').unwrap();
        let sign = |key: &str| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &BASE64_STANDARD.decode(key).unwrap());
            hmac::sign(&key, message.as_bytes())
        };
        assert_eq!(BASE64_STANDARD.encode(sign(server)), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        // The proof of the client, without the signature, is the key whose digest the server stores.
        let proof = BASE64_STANDARD.decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").unwrap();
        let client_key: Vec<u8> = proof.iter().zip(sign(stored).as_ref()).map(|(a, b)| a ^ b).collect();
        assert_eq!(BASE64_STANDARD.encode(Sha256::digest(client_key)), stored);
    }

    #[test]
    fn two_verifiers_of_a_password_have_different_salts() {
        let [one, other] = [verifier(&"pencil".into()), verifier(&"pencil".into())];
        assert!(one.is_some() && one != other);
    }
}
