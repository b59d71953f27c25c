//! Validated text types, such as [`EmailAddress`] and [`AwsAccountId`]. Input is parsed once at the boundary, so that
//! other code does not validate it again.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::unicode::is_invisible;

/// Error for an invalid text. The message states the rule that the text must follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(String);

macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident by $check:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
        #[serde(try_from = "String", into = "String")]
        #[sqlx(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Accepts a text that was validated before it was stored. The rules may have become stricter since.
            #[allow(dead_code, reason = "not every type had laxer rules")]
            pub(crate) fn from_stored(text: String) -> Self {
                Self(text)
            }
        }

        impl FromStr for $name {
            type Err = InvalidText;

            fn from_str(text: &str) -> Result<Self, InvalidText> {
                $check(text).map_err(InvalidText)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidText;

            fn try_from(text: String) -> Result<Self, InvalidText> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> String {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

texts! {
    /// Id of an AWS account: 12 digits, including leading zeros.
    AwsAccountId by account_id;
    /// E-mail address of at most 254 characters (RFC 5321).
    EmailAddress by email;
    /// Name of a tenant: 1 to 120 characters, at least one of them visible, without control characters.
    CompanyName by company_name;
    /// Name of an environment, unique within its tenant, such as `production`.
    EnvironmentName by check_slug;
    /// Name of a commercial plan in the configuration, such as `standard`.
    Tier by check_slug;
    /// Name of a residency in the configuration, such as `eu`.
    ResidencyName by check_slug;
    /// Name of a plan of rollouts in the configuration, such as `standard`.
    PlanName by check_slug;
    /// Name of a wave, unique within its rollout, such as `canary`.
    WaveName by check_slug;
    /// Id of a tenant in the SaaS: 1 to 128 visible ASCII characters.
    ExternalId by external_id;
}

fn account_id(text: &str) -> Result<(), String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(());
    }
    Err("must be an AWS account id of 12 digits, such as 111122223333".to_owned())
}

fn email(text: &str) -> Result<(), String> {
    let options = email_address::Options::default().without_display_text().with_required_tld();
    if text.len() > 254 {
        return Err("must be an e-mail address of at most 254 characters".to_owned());
    }
    match email_address::EmailAddress::parse_with_options(text, options) {
        Ok(_) if text.contains(char::is_whitespace) => Err("must be an e-mail address without whitespace".to_owned()),
        Ok(_) if text.contains(is_invisible) => {
            Err("must be an e-mail address without control characters and invisible characters".to_owned())
        }
        Ok(_) => Ok(()),
        Err(error) => Err(format!("must be an e-mail address such as admin@example.com: {error}")),
    }
}

/// Characters that change the direction of the text around them, even outside the name that contains them.
const BIDI_CONTROLS: [char; 9] =
    ['\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2067}', '\u{2068}', '\u{2069}'];

static VISIBLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{L}\p{N}\p{P}\p{S}]").ok());

fn is_visible(character: char) -> bool {
    let visible = VISIBLE.as_ref().is_none_or(|visible| visible.is_match(character.encode_utf8(&mut [0; 4])));
    visible && !is_invisible(character)
}

fn company_name(text: &str) -> Result<(), String> {
    if text.contains(BIDI_CONTROLS) {
        return Err("must not contain characters that override the direction of text".to_owned());
    }
    if !text.is_empty() && !text.chars().any(is_visible) {
        return Err("must contain a visible character".to_owned());
    }
    match text.chars().count() {
        1..=120 if text.trim() == text && !text.chars().any(char::is_control) => Ok(()),
        1..=120 => Err("must not start or end with whitespace or contain control characters".to_owned()),
        length => Err(format!("must have 1 to 120 characters, not {length}")),
    }
}

fn check_slug(text: &str) -> Result<(), String> {
    let valid = (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && !text.ends_with('-');
    if valid {
        return Ok(());
    }
    Err("must be 1 to 32 lower-case letters, digits and hyphens, start with a letter and not end with a hyphen"
        .to_owned())
}

fn external_id(text: &str) -> Result<(), String> {
    if (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err("must be 1 to 128 visible ASCII characters without spaces".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_id_keeps_its_leading_zeros() {
        assert_eq!("001122223333".parse::<AwsAccountId>().unwrap().as_str(), "001122223333");
        for text in ["1122223333", "1111222233334", "11112222333x", ""] {
            assert!(text.parse::<AwsAccountId>().is_err(), "{text} was accepted as an account id");
        }
    }

    #[test]
    fn an_email_address_has_a_mailbox_and_a_domain() {
        assert!("admin+eu@example.com".parse::<EmailAddress>().is_ok());
        assert!("jürgen@example.com".parse::<EmailAddress>().is_ok());
        for text in [
            "",
            "admin",
            "admin@",
            "@example.com",
            "admin@example",
            "Ann <ann@example.com>",
            "a b@example.com",
            "ad\u{200b}min@example.com",
            "admin\u{202e}@example.com",
        ] {
            assert!(text.parse::<EmailAddress>().is_err(), "{text} was accepted as an e-mail address");
        }
    }

    #[test]
    fn company_name_length_is_measured_in_characters() {
        assert!("ü".repeat(120).parse::<CompanyName>().is_ok());
        for text in ["", " Example", "Exam\0ple", &"x".repeat(121)] {
            assert!(text.parse::<CompanyName>().is_err(), "{text:?} was accepted as a company name");
        }
    }

    #[test]
    fn a_company_name_is_visible_and_keeps_its_direction() {
        for text in ["株式会社テスト", "می\u{200c}خواهم", "👩\u{200d}🚀", "e\u{301}", "شركة\u{200f}", "?"]
        {
            assert!(text.parse::<CompanyName>().is_ok(), "{text:?} was refused as a company name");
        }
        for text in
            ["\u{200b}", "\u{200d}\u{feff}", "\u{3164}", "\u{301}", "Example \u{202e}elpmaxE", "\u{2066}Example"]
        {
            assert!(text.parse::<CompanyName>().is_err(), "{text:?} was accepted as a company name");
        }
    }

    #[test]
    fn names_in_urls_must_be_lower_case() {
        assert!("production".parse::<EnvironmentName>().is_ok());
        for text in ["", "Production", "-a", "a-", "1a", "a_b", &"a".repeat(33)] {
            assert!(text.parse::<EnvironmentName>().is_err(), "{text} was accepted as a name");
        }
    }
}
