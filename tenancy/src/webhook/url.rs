//! URL of a webhook endpoint, validated without resolving its host name.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

/// Maximum length of a URL in bytes.
const MAX_URL_LENGTH: usize = 2048;

/// Syntactically valid URL of a webhook endpoint. The addresses of its host are checked before each delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverUrl(Url);

impl ReceiverUrl {
    /// Returns true for `https` and false for `http`.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Returns the port of the URL, or the default port of its scheme.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(0)
    }

    /// Returns the IP address if the host is one, or `None` for a host name.
    pub fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// Returns the host name or IP address as written in the URL.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for ReceiverUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReceiverUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > MAX_URL_LENGTH {
            return Err("must have at most 2048 characters");
        }
        // URL parsers disagree about the meaning of these characters.
        if text.chars().any(|character| character.is_control() || character.is_whitespace() || character == '\\') {
            return Err("must not contain whitespace, backslashes or control characters");
        }
        let url = Url::parse(text).map_err(|_| "must be a URL such as https://example.com/freehold")?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err("must be an https:// URL");
        }
        // The parser also accepts one slash, three slashes or none before the host; other parsers read a path then.
        let authority = text.get(url.scheme().len()..).and_then(|rest| rest.strip_prefix("://"));
        let Some(authority) = authority.filter(|rest| !rest.starts_with('/')) else {
            return Err("must begin with https:// and the host name");
        };
        let host = url.host_str().unwrap_or_default();
        if host.is_empty() || host.ends_with('.') {
            return Err("must have a host name that does not end with a dot");
        }
        if !url.username().is_empty()
            || url.password().is_some()
            || authority.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
        {
            return Err("must not contain a user name or password; deliveries are signed instead");
        }
        if url.fragment().is_some() {
            return Err("must not contain a #fragment, because it is never sent");
        }
        if url.as_str().len() > MAX_URL_LENGTH {
            return Err("must have at most 2048 characters");
        }
        Ok(Self(url))
    }
}
