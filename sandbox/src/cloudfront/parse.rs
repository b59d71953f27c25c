//! Parsing of the properties `DistributionConfig` and `OriginAccessControlConfig`, with the errors of CloudFormation's
//! schemas.

use serde_json::Value;

use super::{Behavior, DistributionConfig, Origin, OriginAccessControl, OriginGroup};

/// Object of a template with its place, such as `#/DistributionConfig/Origins/0`.
struct Section<'a> {
    value: &'a Value,
    pointer: String,
}

/// Required and optional keys of an object.
type Keys = (&'static [&'static str], &'static [&'static str]);

const ACCESS_CONTROL: Keys =
    (&["Name", "OriginAccessControlOriginType", "SigningBehavior", "SigningProtocol"], &["Description"]);
const DISTRIBUTION: Keys = (
    &["DefaultCacheBehavior", "Enabled"],
    &[
        "Aliases",
        "AnycastIpListId",
        "CNAMEs",
        "CacheBehaviors",
        "Comment",
        "ConnectionMode",
        "ContinuousDeploymentPolicyId",
        "CustomErrorResponses",
        "CustomOrigin",
        "DefaultRootObject",
        "HttpVersion",
        "IPV6Enabled",
        "Logging",
        "OriginGroups",
        "Origins",
        "PriceClass",
        "Restrictions",
        "S3Origin",
        "Staging",
        "TenantConfig",
        "ViewerCertificate",
        "WebACLId",
    ],
);
const ORIGIN: Keys = (
    &["DomainName", "Id"],
    &[
        "ConnectionAttempts",
        "ConnectionTimeout",
        "CustomOriginConfig",
        "OriginAccessControlId",
        "OriginCustomHeaders",
        "OriginPath",
        "OriginShield",
        "ResponseCompletionTimeout",
        "S3OriginConfig",
        "VpcOriginConfig",
    ],
);
const CUSTOM_ORIGIN: Keys = (
    &["OriginProtocolPolicy"],
    &["HTTPPort", "HTTPSPort", "IpAddressType", "OriginKeepaliveTimeout", "OriginReadTimeout", "OriginSSLProtocols"],
);
const BEHAVIOR: [&str; 18] = [
    "AllowedMethods",
    "CachePolicyId",
    "CachedMethods",
    "Compress",
    "DefaultTTL",
    "FieldLevelEncryptionId",
    "ForwardedValues",
    "FunctionAssociations",
    "GrpcConfig",
    "LambdaFunctionAssociations",
    "MaxTTL",
    "MinTTL",
    "OriginRequestPolicyId",
    "RealtimeLogConfigArn",
    "ResponseHeadersPolicyId",
    "SmoothStreaming",
    "TrustedKeyGroups",
    "TrustedSigners",
];
const DEFAULT_BEHAVIOR: Keys = (&["TargetOriginId", "ViewerProtocolPolicy"], &BEHAVIOR);
const PATH_BEHAVIOR: Keys = (&["PathPattern", "TargetOriginId", "ViewerProtocolPolicy"], &BEHAVIOR);
const LIST: Keys = (&["Items", "Quantity"], &[]);
const GROUP: Keys = (&["FailoverCriteria", "Id", "Members"], &["SelectionCriteria"]);
const CRITERIA: Keys = (&["StatusCodes"], &[]);
const MEMBER: Keys = (&["OriginId"], &[]);

/// Parses the property `OriginAccessControlConfig`.
pub(crate) fn parse_access_control(config: &Value) -> Result<OriginAccessControl, String> {
    let config = Section::new(config, "#/OriginAccessControlConfig".into(), ACCESS_CONTROL)?;
    Ok(OriginAccessControl {
        name: config.text("Name"),
        description: config.text("Description"),
        origin_type: config.text("OriginAccessControlOriginType"),
        signing_behavior: config.text("SigningBehavior"),
        signing_protocol: config.text("SigningProtocol"),
    })
}

/// Parses the property `DistributionConfig`.
pub(crate) fn parse_distribution(config: &Value) -> Result<DistributionConfig, String> {
    let config = Section::new(config, "#/DistributionConfig".into(), DISTRIBUTION)?;
    let groups = match config.child("OriginGroups", LIST)? {
        Some(list) => list.counted_items()?.iter().map(|group| parse_group(group)).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let mut behaviors = Vec::new();
    for behavior in config.items("CacheBehaviors", PATH_BEHAVIOR)? {
        behaviors.push(parse_behavior(&behavior));
    }
    if let Some(default) = config.child("DefaultCacheBehavior", DEFAULT_BEHAVIOR)? {
        behaviors.push(parse_behavior(&default));
    }
    Ok(DistributionConfig {
        enabled: config.flag("Enabled"),
        comment: config.text("Comment"),
        origins: config.items("Origins", ORIGIN)?.iter().map(parse_origin).collect::<Result<_, _>>()?,
        groups,
        behaviors,
    })
}

fn parse_origin(origin: &Section<'_>) -> Result<Origin, String> {
    let custom = origin.child("CustomOriginConfig", CUSTOM_ORIGIN)?;
    let read_timeout = custom.as_ref().map(|custom| custom.number("OriginReadTimeout", 30)).transpose()?;
    let access_control = Some(origin.text("OriginAccessControlId")).filter(|id| !id.is_empty());
    Ok(Origin {
        id: origin.text("Id"),
        domain: origin.text("DomainName"),
        connection_attempts: origin.number("ConnectionAttempts", 3)?,
        connection_timeout: origin.number("ConnectionTimeout", 10)?,
        read_timeout: read_timeout.unwrap_or(30),
        http_only: custom.is_some_and(|custom| custom.text("OriginProtocolPolicy") == "http-only"),
        access_control,
    })
}

fn parse_group(group: &Section<'_>) -> Result<OriginGroup, String> {
    group.check(GROUP)?;
    let criteria = group.child("FailoverCriteria", CRITERIA)?;
    let codes = match criteria.as_ref().map(|criteria| criteria.child("StatusCodes", LIST)).transpose()?.flatten() {
        Some(list) => list.counted_items()?.iter().map(Section::own_number).collect::<Result<_, _>>()?,
        None => Vec::new(),
    };
    let members = match group.child("Members", LIST)? {
        Some(list) => list.counted_items()?,
        None => Vec::new(),
    };
    for member in &members {
        member.check(MEMBER)?;
    }
    Ok(OriginGroup {
        id: group.text("Id"),
        codes,
        members: members.iter().map(|member| member.text("OriginId")).collect(),
    })
}

fn parse_behavior(behavior: &Section<'_>) -> Behavior {
    let methods = behavior.value.get("AllowedMethods").and_then(Value::as_array);
    let methods = methods.map(|methods| methods.iter().filter_map(Value::as_str).map(str::to_owned).collect());
    let id = |key: &str| Some(behavior.text(key)).filter(|id| !id.is_empty());
    Behavior {
        path_pattern: id("PathPattern").unwrap_or_else(|| "*".to_owned()),
        target: behavior.text("TargetOriginId"),
        methods: methods.unwrap_or_else(|| vec!["GET".to_owned(), "HEAD".to_owned()]),
        cache_policy: id("CachePolicyId"),
        has_forwarded_values: behavior.value.get("ForwardedValues").is_some(),
        origin_request_policy: id("OriginRequestPolicyId"),
    }
}

impl<'a> Section<'a> {
    fn new(value: &'a Value, pointer: String, keys: Keys) -> Result<Self, String> {
        let section = Self { value, pointer };
        section.check(keys)?;
        Ok(section)
    }

    /// Checks the keys of an object.
    fn check(&self, (required, optional): Keys) -> Result<(), String> {
        let Some(object) = self.value.as_object() else { return self.refuse("expected type: JSONObject") };
        let extraneous =
            object.keys().find(|key| !required.contains(&key.as_str()) && !optional.contains(&key.as_str()));
        if let Some(key) = extraneous {
            return self.refuse(&format!("extraneous key [{key}] is not permitted"));
        }
        match required.iter().find(|key| !object.contains_key(**key)) {
            Some(missing) => self.refuse(&format!("required key [{missing}] not found")),
            None => Ok(()),
        }
    }

    fn refuse<T>(&self, message: &str) -> Result<T, String> {
        Err(format!("[{}: {message}]", self.pointer))
    }

    fn child(&self, key: &str, keys: Keys) -> Result<Option<Section<'a>>, String> {
        let value = self.value.get(key);
        value.map(|value| Section::new(value, format!("{}/{key}", self.pointer), keys)).transpose()
    }

    /// Returns the objects of a list.
    fn items(&self, key: &str, keys: Keys) -> Result<Vec<Section<'a>>, String> {
        let items = self.unchecked_items(key)?;
        items.iter().try_for_each(|item| item.check(keys))?;
        Ok(items)
    }

    fn unchecked_items(&self, key: &str) -> Result<Vec<Section<'a>>, String> {
        let pointer = format!("{}/{key}", self.pointer);
        match self.value.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                let section = |(at, value)| Section { value, pointer: format!("{pointer}/{at}") };
                Ok(items.iter().enumerate().map(section).collect())
            }
            Some(_) => Err(format!("[{pointer}: expected type: JSONArray]")),
        }
    }

    /// Returns the entries of `Items`, whose number must be `Quantity`.
    fn counted_items(&self) -> Result<Vec<Section<'a>>, String> {
        let items = self.unchecked_items("Items")?;
        let quantity: usize = self.number("Quantity", 0)?;
        if items.len() == quantity { Ok(items) } else { self.refuse("Quantity must be the number of Items") }
    }

    fn text(&self, key: &str) -> String {
        self.value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn flag(&self, key: &str) -> bool {
        self.value.get(key).is_some_and(|flag| flag.as_bool().unwrap_or(flag == "true"))
    }

    fn number<T: TryFrom<i64>>(&self, key: &str, default: i64) -> Result<T, String> {
        let number = self.value.get(key).map_or(Some(default), integer);
        let number = number.and_then(|number| T::try_from(number).ok());
        number.map_or_else(|| self.refuse(&format!("{key}: expected type: Integer")), Ok)
    }

    fn own_number<T: TryFrom<i64>>(&self) -> Result<T, String> {
        let number = integer(self.value).and_then(|number| T::try_from(number).ok());
        number.map_or_else(|| self.refuse("expected type: Integer"), Ok)
    }
}

/// Returns an integer, which a template may also contain as a string.
fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}
