//! Addresses of S3 objects, in the virtual-host style and in the path style.

/// Bucket and key of a request or of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectAddress {
    pub(crate) bucket: String,
    /// Key without percent encoding; empty for the bucket itself.
    pub(crate) key: String,
    /// Version id; `None` for the latest version.
    pub(crate) version: Option<String>,
    /// Region of the endpoint; `None` if the host does not name a region.
    pub(crate) region: Option<String>,
}

impl ObjectAddress {
    /// Parses the URI of a request to this server or to a host of S3. Returns `None` without a bucket.
    pub(crate) fn of_request(uri: &str) -> Option<Self> {
        let host = host(uri);
        let (bucket, region) = endpoint(host).unwrap_or((None, None));
        Self::new(uri, bucket, region)
    }

    /// Parses an https URL on a host of S3. Returns `None` for any other URL.
    pub(crate) fn of_url(url: &str) -> Option<Self> {
        let (bucket, region) = url.starts_with("https://").then(|| endpoint(host(url))).flatten()?;
        Self::new(url, bucket, region).filter(|address| !address.key.is_empty())
    }

    fn new(uri: &str, bucket: Option<&str>, region: Option<&str>) -> Option<Self> {
        let path = winterbaume_core::extract_path(uri);
        let path = path.strip_prefix('/').unwrap_or(&path);
        let (bucket, key) = match bucket {
            Some(bucket) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let query = winterbaume_core::extract_query_string(uri);
        let version = query.split('&').find_map(|pair| pair.strip_prefix("versionId="));
        (!bucket.is_empty()).then(|| Self {
            bucket: bucket.to_owned(),
            key: decode(key),
            version: version.map(decode),
            region: region.map(str::to_owned),
        })
    }

    /// Returns the ARN of the object, or of the bucket if there is no key.
    pub(crate) fn arn(&self) -> String {
        if self.key.is_empty() {
            format!("arn:aws:s3:::{}", self.bucket)
        } else {
            format!("arn:aws:s3:::{}/{}", self.bucket, self.key)
        }
    }
}

fn host(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default()
}

/// Returns the bucket and the region in a host of S3, such as `b.s3.eu-west-1.amazonaws.com` or
/// `s3-eu-west-1.amazonaws.com`. Returns `None` for any other host.
fn endpoint(host: &str) -> Option<(Option<&str>, Option<&str>)> {
    let name = host.strip_suffix(".amazonaws.com")?;
    let (bucket, service) = match name.rfind(".s3") {
        Some(at) => (Some(&name[..at]), &name[at + 1..]),
        None => (None, name),
    };
    match service.strip_prefix("s3")? {
        "" => Some((bucket, None)),
        region => Some((bucket, Some(region.strip_prefix(['.', '-'])?))),
    }
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).unwrap_or(0);
                u8::try_from(digit() * 16 + digit()).unwrap_or(b'?')
            }
            other => other,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_of_urls_name_bucket_key_version_and_region() {
        let address = |region: Option<&str>| {
            Some(ObjectAddress {
                bucket: "b.c".into(),
                key: "a b/c.yaml".into(),
                version: Some("1".into()),
                region: region.map(str::to_owned),
            })
        };
        for (url, region) in [
            ("https://b.c.s3.eu-west-1.amazonaws.com/a%20b/c.yaml?versionId=1", Some("eu-west-1")),
            ("https://s3.eu-west-1.amazonaws.com/b.c/a%20b/c.yaml?versionId=1", Some("eu-west-1")),
            ("https://s3-eu-west-1.amazonaws.com/b.c/a%20b/c.yaml?versionId=1", Some("eu-west-1")),
            ("https://b.c.s3.amazonaws.com/a%20b/c.yaml?versionId=1", None),
        ] {
            assert_eq!(ObjectAddress::of_url(url), address(region), "{url}");
        }
        for url in [
            "http://b.s3.eu-west-1.amazonaws.com/a",
            "https://example.com/b/a",
            "s3://b/a",
            "https://s3.amazonaws.com/b",
        ] {
            assert_eq!(ObjectAddress::of_url(url), None, "{url}");
        }
        assert_eq!(ObjectAddress::of_request("http://127.0.0.1:1/b.c/a%20b/c.yaml?versionId=1"), address(None));
    }
}
