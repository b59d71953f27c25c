//! References to tenants on the command line: an id, a company name, the e-mail address of an administrator, an
//! external id or the id of an AWS account.

use std::str::FromStr;

use freehold_api::schema::{Tenant, TenantPage};
use freehold_tenancy::TenantId;
use freehold_tenancy::unicode::comparable;

use crate::client::ApiClient;
use crate::exit::Exit;
use crate::output;

const PATH: &str = "/v1/tenants";

/// Maximum number of pages of one search, with 200 tenants each.
const MAX_PAGES: usize = 10;

/// Maximum length of a search text in characters, which the API determines.
const MAX_SEARCH_LENGTH: usize = 128;

/// Maximum number of tenants that the message about an unknown reference names.
const MAX_NEAR_MATCHES: usize = 5;

/// Minimum length of a word that is searched for near matches, in characters.
const MIN_WORD_LENGTH: usize = 3;

/// Reference to a tenant, as given on the command line.
#[derive(Debug, Clone)]
pub(crate) struct TenantReference(String);

impl FromStr for TenantReference {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let is_valid = !text.is_empty() && !text.chars().any(char::is_control);
        is_valid
            .then(|| Self(text.to_owned()))
            .ok_or("must be the id, company name, administrator e-mail, external id or AWS account id of a tenant")
    }
}

impl TenantReference {
    /// Returns the id of the tenant. An id is returned unchanged, without a request. Fails unless the reference
    /// identifies exactly one tenant.
    pub(crate) async fn resolve(&self, api: &ApiClient) -> anyhow::Result<String> {
        if self.is_id() {
            return Ok(self.0.clone());
        }
        Ok(self.find(api).await?.id)
    }

    /// Returns the id of a tenant that the command changes. Prints the tenant if the reference is not an id, so that
    /// the user can notice a wrong one.
    pub(crate) async fn resolve_for_change(&self, api: &ApiClient) -> anyhow::Result<String> {
        if self.is_id() {
            return Ok(self.0.clone());
        }
        let tenant = self.find(api).await?;
        output::print_note(format!("tenant {} ({})", tenant.company_name, tenant.id));
        Ok(tenant.id)
    }

    /// Returns the id of the tenant of an optional filter.
    pub(crate) async fn resolve_filter(filter: Option<&Self>, api: &ApiClient) -> anyhow::Result<Option<String>> {
        match filter {
            Some(reference) => reference.resolve(api).await.map(Some),
            None => Ok(None),
        }
    }

    fn is_id(&self) -> bool {
        self.0.parse::<TenantId>().is_ok()
    }

    /// Returns the only tenant with this company name, e-mail address, external id or AWS account.
    async fn find(&self, api: &ApiClient) -> anyhow::Result<Tenant> {
        let text = &self.0;
        let found = search(api, text).await?;
        let (mut exact, near): (Vec<_>, Vec<_>) = found.into_iter().partition(|tenant| is_exact_match(tenant, text));
        match (exact.pop(), &exact[..]) {
            (Some(tenant), []) => Ok(tenant),
            (Some(tenant), others) => Err(ambiguous_error(text, others.iter().chain([&tenant]))),
            (None, _) if near.is_empty() => Err(not_found_error(text, &search_words(api, text).await?)),
            (None, _) => Err(not_found_error(text, &near)),
        }
    }
}

/// Returns the tenants that the API finds for a text. Fails if there are more than a search reads.
async fn search(api: &ApiClient, text: &str) -> anyhow::Result<Vec<Tenant>> {
    let (mut found, mut pages, mut has_more) = (Vec::new(), 0, false);
    let shortened: String = text.chars().take(MAX_SEARCH_LENGTH).collect();
    api.for_each_page(PATH, &[("page_size", Some("200".to_owned())), ("q", Some(shortened))], |page| {
        let page: TenantPage = serde_json::from_value(page)?;
        found.extend(page.tenants);
        pages += 1;
        has_more = pages == MAX_PAGES && page.next_page_token.is_some();
        Ok(page.next_page_token.filter(|_| !has_more))
    })
    .await?;
    if has_more {
        return Err(Exit::Usage
            .error(format!("`{text}` occurs in more than {} tenants; use the id of the tenant (ten_…)", found.len())));
    }
    Ok(found)
}

/// Returns tenants that the API finds for one of the words of a text, the longest words first.
async fn search_words(api: &ApiClient, text: &str) -> anyhow::Result<Vec<Tenant>> {
    let mut words: Vec<_> = text.split(|c: char| !c.is_alphanumeric()).collect();
    words.retain(|word| *word != text && word.chars().count() >= MIN_WORD_LENGTH);
    words.sort_by_key(|word| std::cmp::Reverse(word.chars().count()));
    let mut found: Vec<Tenant> = Vec::new();
    for word in words.into_iter().take(MAX_NEAR_MATCHES) {
        let query = [("page_size", Some(MAX_NEAR_MATCHES.to_string())), ("q", Some(word.to_owned()))];
        let page: TenantPage = api.get(PATH, &query).await?;
        found.extend(page.tenants);
        if !found.is_empty() {
            break;
        }
    }
    Ok(found)
}

/// Returns whether a text identifies the tenant. Upper and lower case are equal in names and e-mail addresses.
fn is_exact_match(tenant: &Tenant, text: &str) -> bool {
    let is_equal = |value: &str| comparable(value).to_lowercase() == comparable(text).to_lowercase();
    is_equal(&tenant.company_name)
        || tenant.admin_email.as_deref().is_some_and(is_equal)
        || tenant.external_id.as_deref() == Some(text)
        || tenant.environments.iter().any(|environment| environment.aws_account_id.as_deref() == Some(text))
}

fn not_found_error(text: &str, near: &[Tenant]) -> anyhow::Error {
    let message = format!(
        "no tenant has the company name, administrator e-mail, external id or AWS account `{text}`; search with: \
         freehold tenants list --query TEXT"
    );
    let near = describe(near.iter().take(MAX_NEAR_MATCHES));
    Exit::NotFound.error(if near.is_empty() { message } else { format!("{message}\nnear matches:{near}") })
}

fn ambiguous_error<'a>(text: &str, candidates: impl Iterator<Item = &'a Tenant>) -> anyhow::Error {
    let candidates = describe(candidates);
    Exit::Usage.error(format!("`{text}` means several tenants; use the id of one of them:{candidates}"))
}

/// Returns one line per tenant, each after a line break: id, company name and state.
fn describe<'a>(tenants: impl Iterator<Item = &'a Tenant>) -> String {
    let lines = tenants.map(|tenant| format!("\n  {}  {} ({})", tenant.id, tenant.company_name, tenant.state));
    lines.collect::<Vec<_>>().concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_visible_text() {
        assert!("Example GmbH".parse::<TenantReference>().is_ok());
        assert!(" ten_01k2m8v3x9e7rt4s5q6w7y8z9b ".parse::<TenantReference>().unwrap().is_id());
        assert!(!"ten_1".parse::<TenantReference>().unwrap().is_id());
        for text in ["", " ", "a\nb", "a\0"] {
            assert!(text.parse::<TenantReference>().is_err(), "{text:?}");
        }
    }
}
