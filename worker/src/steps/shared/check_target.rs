//! Target of the stack's check: the Function URL or the function that step `verify` calls.

use std::collections::BTreeMap;

use freehold_tenancy::Region;
use freehold_tenancy::config::{CheckKind, Stack};

use crate::template::has_function_urls;

/// Target of the check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::steps) enum CheckTarget {
    /// Function URL, for a signed request.
    Url(String),
    /// Name or ARN of the function, for a signed invocation.
    Function(String),
}

impl CheckTarget {
    /// Returns the URL, or the name or ARN of the function.
    pub(in crate::steps) fn into_name(self) -> String {
        let (Self::Url(name) | Self::Function(name)) = self;
        name
    }
}

/// Returns the target of the check in the outputs of a stack. If the stack lacks it, the error is the name of the
/// missing output.
pub(in crate::steps) fn find<'a>(
    stack: &'a Stack,
    region: Region,
    outputs: &BTreeMap<String, String>,
) -> Result<CheckTarget, &'a str> {
    let url = outputs.get(&stack.url_output).filter(|_| stack.check.kind == CheckKind::Url);
    if let Some(url) = url {
        return Ok(CheckTarget::Url(url.clone()));
    }
    if stack.check.kind == CheckKind::Url && has_function_urls(region) {
        return Err(&stack.url_output);
    }
    let function = outputs.get(&stack.function_output);
    function.map(|function| CheckTarget::Function(function.clone())).ok_or(&stack.function_output)
}

#[cfg(test)]
mod tests {
    use freehold_tenancy::config::StackCheck;

    use super::*;

    #[test]
    fn a_function_is_invoked_only_if_there_is_no_url() {
        let stack = Stack::default();
        let invoking = Stack { check: StackCheck { kind: CheckKind::Invoke, ..stack.check.clone() }, ..stack.clone() };
        let [with_urls, without_urls] = ["eu-central-1", "eu-central-2"].map(|region| region.parse().unwrap());
        let outputs = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), format!("the {name}"))).collect();
        let url = || Ok(CheckTarget::Url("the FunctionUrl".to_owned()));
        let function = || Ok(CheckTarget::Function("the FunctionName".to_owned()));
        let (both, name): (BTreeMap<_, _>, _) = (outputs(&["FunctionUrl", "FunctionName"]), outputs(&["FunctionName"]));
        assert_eq!(find(&stack, with_urls, &both), url());
        assert_eq!(find(&stack, with_urls, &name), Err("FunctionUrl"));
        assert_eq!(find(&stack, without_urls, &both), url());
        assert_eq!(find(&stack, without_urls, &name), function());
        assert_eq!(find(&stack, without_urls, &outputs(&[])), Err("FunctionName"));
        assert_eq!(find(&invoking, with_urls, &both), function());
        assert_eq!(find(&invoking, with_urls, &outputs(&["FunctionUrl"])), Err("FunctionName"));
    }
}
