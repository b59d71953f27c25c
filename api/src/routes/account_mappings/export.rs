//! All account mappings in one answer, for billing: NDJSON or CSV, under the names that FOCUS 1.2 has for them.
//!
//! Neither is kept in memory: what PostgreSQL copies out is sent on.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Version, header};
use axum::response::{IntoResponse, Response};
use freehold_tenancy::db::account_mappings::{self, Exported, Snapshot};
use futures::stream;
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;

use super::format::Format;
use crate::app::App;
use crate::problem::{ApiError, Code};

/// How many chunks wait for a caller that reads slowly.
const CHANNEL_CAPACITY: usize = 4;

/// What comes after the last chunk.
const THE_END: Vec<u8> = Vec::new();

/// One account mapping, in the words of FOCUS 1.2; columns of our own begin with `x_`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
#[schema(as = AccountMappingRow)]
pub(crate) struct Row<'a> {
    /// The management account of the organisation, which is billed.
    #[schema(example = "111122223333")]
    billing_account_id: &'a str,
    /// The AWS account.
    #[schema(example = "444455556666")]
    sub_account_id: &'a str,
    /// What Freehold called the account when it asked for it; `null` for one that was there before.
    #[schema(required = true, example = "Example GmbH env_01k2m8v3x9e7rt4s5q6w7y8z9a")]
    sub_account_name: Option<&'a str>,
    /// The tenant.
    #[serde(rename = "x_TenantId")]
    #[schema(example = "ten_01k2m8v3x9e7rt4s5q6w7y8z9b")]
    tenant_id: &'a str,
    /// The id that the SaaS gives the tenant.
    #[serde(rename = "x_ExternalId")]
    #[schema(required = true, example = "customer-4711")]
    external_id: Option<&'a str>,
    /// What the environment is called.
    #[serde(rename = "x_Environment")]
    #[schema(example = "production")]
    environment: &'a str,
    /// The tenant's commercial plan.
    #[serde(rename = "x_Tier")]
    #[schema(example = "standard")]
    tier: &'a str,
    /// Where the environment runs first.
    #[serde(rename = "x_HomeRegion")]
    #[schema(example = "eu-central-1")]
    home_region: &'a str,
    /// Since when the account is the environment's.
    #[serde(rename = "x_EffectiveFrom")]
    #[schema(example = "2026-10-31T00:00:00Z")]
    effective_from: &'a str,
    /// Until when it was; `null` while it is.
    #[serde(rename = "x_EffectiveTo")]
    #[schema(required = true)]
    effective_to: Option<&'a str>,
    /// `active` while the account is the environment's, `released` after.
    #[serde(rename = "x_Status")]
    #[schema(example = "active")]
    status: &'static str,
}

/// The first line of the CSV.
const HEADER: &str = "BillingAccountId,SubAccountId,SubAccountName,x_TenantId,x_ExternalId,x_Environment,x_Tier,\
    x_HomeRegion,x_EffectiveFrom,x_EffectiveTo,x_Status\r\n";

impl Row<'_> {
    /// The fields in the order of the CSV's columns.
    fn columns(&self) -> [&str; 11] {
        [
            self.billing_account_id,
            self.sub_account_id,
            self.sub_account_name.unwrap_or_default(),
            self.tenant_id,
            self.external_id.unwrap_or_default(),
            self.environment,
            self.tier,
            self.home_region,
            self.effective_from,
            self.effective_to.unwrap_or_default(),
            self.status,
        ]
    }
}

/// Answers with all of them. Where something goes wrong amid the answer, the connection breaks off: a caller that got an end
/// got everything. Over HTTP/1.0 an end is nothing but that, and could not be told from it.
pub(super) fn respond(app: &App, version: Version, format: Format, snapshot: Snapshot) -> Result<Response, ApiError> {
    if version < Version::HTTP_11 {
        return Err(ApiError::new(
            Code::HttpVersionNotSupported,
            "Ask for this with HTTP/1.1 or later, or have your proxy do so (nginx: proxy_http_version 1.1): with less it cannot be \
             told whether all of it has come.",
        ));
    }
    let busy = |_| {
        ApiError::new(Code::TooManyExports, "Others are being sent all account mappings; ask again in a moment.")
            .retry_after(10)
    };
    let turn = Arc::clone(&app.exports).try_acquire_owned().map_err(busy)?;
    let (sender, receiver) = mpsc::channel(CHANNEL_CAPACITY);
    let (pool, billing_account) = (app.pool.clone(), app.config.organization.management_account_id.to_string());
    tokio::spawn(async move {
        let _turn = turn;
        if format == Format::Csv && sender.send(Ok(HEADER.into())).await.is_err() {
            return;
        }
        let write = |out: &mut Vec<u8>, mapping: &Exported<'_>| {
            put(out, format, mapping, &billing_account);
        };
        let last = match account_mappings::export(&pool, &snapshot, write, &sender).await {
            Ok(true) => Ok(THE_END),
            Ok(false) => return,
            Err(error) => {
                tracing::error!(%error, "an export of account mappings broke off");
                Err(error)
            }
        };
        _ = sender.send(last).await;
    });
    let chunks = stream::unfold(Some(receiver), |receiver| async {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Ok(end)) if end == THE_END => None,
            Some(Ok(chunk)) => Some((Ok(chunk), Some(receiver))),
            Some(Err(error)) => Some((Err(io::Error::other(error)), None)),
            None => Some((Err(io::Error::other("the export broke off")), None)),
        }
    });
    Ok(([(header::CONTENT_TYPE, format.media_type())], Body::from_stream(chunks)).into_response())
}

fn put(out: &mut Vec<u8>, format: Format, mapping: &Exported<'_>, billing_account_id: &str) {
    let rfc3339 = |time: &str| {
        let (day, time) = time.split_once(' ').unwrap_or((time, "00:00:00"));
        [day, "T", time, "Z"].concat()
    };
    let (from, to) = (rfc3339(mapping.valid_from), mapping.valid_to.map(rfc3339));
    let row = Row {
        billing_account_id,
        sub_account_id: mapping.aws_account_id,
        sub_account_name: mapping.account_name,
        tenant_id: &mapping.tenant_id.to_string(),
        external_id: mapping.external_id,
        environment: mapping.environment,
        tier: mapping.tier,
        home_region: mapping.home_region,
        effective_from: &from,
        effective_to: to.as_deref(),
        status: if to.is_some() { "released" } else { "active" },
    };
    if format == Format::Csv {
        for (place, field) in row.columns().into_iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            put_field(out, field);
        }
        out.extend_from_slice(b"\r\n");
    } else if serde_json::to_writer(&mut *out, &row).is_ok() {
        out.push(b'\n');
    }
}

/// RFC 4180: what could be taken for the end of a field stands between quotes. And what a spreadsheet could take for a formula
/// is marked as text: names come from customers.
pub(crate) fn put_field(out: &mut Vec<u8>, field: &str) {
    let mark = if field.starts_with(['=', '+', '-', '@']) { "'" } else { "" };
    if !field.contains([',', '"', '\r', '\n']) {
        out.extend_from_slice(mark.as_bytes());
        return out.extend_from_slice(field.as_bytes());
    }
    out.push(b'"');
    out.extend_from_slice(mark.as_bytes());
    out.extend_from_slice(field.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_quoted_where_it_could_be_taken_for_more() {
        for (field, written) in [
            ("Example", "Example"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("a \"b\"", "\"a \"\"b\"\"\""),
            ("a\nb", "\"a\nb\""),
            ("=1+2", "'=1+2"),
            ("@SUM(A1,B1)", "\"'@SUM(A1,B1)\""),
            ("1=2", "1=2"),
        ] {
            let mut out = Vec::new();
            put_field(&mut out, field);
            assert_eq!(String::from_utf8(out).unwrap(), written);
        }
    }
}
