//! The URL of an endpoint, as far as it can be judged without asking where it leads.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

/// How long it may be.
const LONGEST: usize = 2048;

/// A URL that events may be sent to, if the addresses that its host has are in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverUrl(Url);

impl ReceiverUrl {
    /// Whether it is `https`; else it is `http`.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Its port, or the scheme's.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(0)
    }

    /// Its host, where that is an address.
    pub fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// Its host, as it is asked for.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The whole.
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
        if text.len() > LONGEST {
            return Err("this has at most 2048 characters");
        }
        // Readers of URLs do not agree on what these mean.
        if text.chars().any(|character| character.is_control() || character.is_whitespace() || character == '\\') {
            return Err("this has no blanks, backslashes or control characters");
        }
        let url = Url::parse(text).map_err(|_| "this is not a URL such as https://example.com/freehold")?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err("this is an https:// URL");
        }
        let host = url.host_str().unwrap_or_default();
        if host.is_empty() || host.ends_with('.') {
            return Err("the host is a name without a dot at its end");
        }
        if !url.username().is_empty()
            || url.password().is_some()
            || text.split(['/', '?', '#']).nth(2).is_some_and(|authority| authority.contains('@'))
        {
            return Err("this has no user name and no password; deliveries are signed");
        }
        if url.fragment().is_some() {
            return Err("this has no #fragment, which is never sent");
        }
        if url.as_str().len() > LONGEST {
            return Err("this has at most 2048 characters");
        }
        Ok(Self(url))
    }
}
