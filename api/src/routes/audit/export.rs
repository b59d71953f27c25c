//! Export of the audit trail as NDJSON, with the exact text of each record.

use std::borrow::Cow;
use std::io::Write;
use std::sync::Arc;

use axum::http::Version;
use axum::response::Response;
use chrono::SecondsFormat;
use freehold_tenancy::audit::{Hash, Record};
use freehold_tenancy::db::audit::{self, AuditFilter};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::app::App;
use crate::export::{self, BATCH_ROWS};
use crate::problem::ApiError;
use crate::routes::account_mappings::format::Format;

/// Line of an export of the audit trail. The fields have this order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditExportLine {
    /// Position in the trail: 1, 2, 3, …
    #[schema(example = 4711)]
    pub position: i64,
    /// Time at which the entry was added to the hash chain, in microseconds.
    #[schema(example = "2026-11-01T09:30:00.400000Z")]
    pub recorded_at: String,
    /// Hash of the entry before it; `null` if that entry is missing.
    #[schema(required = true, example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    pub previous_hash: Option<String>,
    /// SHA-256 of the previous hash, the position, `recorded_at` in microseconds and the text of the record.
    #[schema(example = "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752")]
    pub hash: String,
    /// Recorded action, byte for byte as it was hashed; a string with that text if it contains line breaks.
    pub record: Map<String, Value>,
}

/// Responds with the records after the position `after` up to the position `through`.
pub(super) fn respond(
    app: &App,
    version: Version,
    filter: AuditFilter,
    after: i64,
    through: i64,
) -> Result<Response, ApiError> {
    let (pool, filter) = (app.pool.clone(), Arc::new(filter));
    export::respond(app, version, Format::NdJson.media_type(), Vec::new(), after, move |after| {
        let (pool, filter) = (pool.clone(), Arc::clone(&filter));
        async move {
            let mut records = audit::list_with_previous(&pool, &filter, after, BATCH_ROWS).await?;
            records.retain(|(record, _)| record.position <= through);
            let Some(last) = records.last().map(|(record, _)| record.position) else { return Ok(None) };
            let mut batch = Vec::new();
            for (record, previous) in &records {
                write_line(&mut batch, record, previous.as_ref());
            }
            Ok(Some((batch, last)))
        }
    })
}

fn write_line(out: &mut Vec<u8>, record: &Record, previous: Option<&Hash>) {
    let Record { position, hash, .. } = record;
    let recorded_at = record.recorded_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let previous = previous.map_or_else(|| "null".to_owned(), |previous| format!("\"{}\"", hex::encode(previous)));
    let hash = hex::encode(hash);
    // Parsing the record would lose its exact text.
    let text = if record.text.contains(['\n', '\r']) {
        Cow::Owned(Value::from(record.text.as_str()).to_string())
    } else {
        Cow::Borrowed(record.text.as_str())
    };
    // Writing to memory cannot fail.
    _ = write!(out, r#"{{"position":{position},"recorded_at":"{recorded_at}","previous_hash":{previous},"#);
    _ = writeln!(out, r#""hash":"{hash}","record":{text}}}"#);
}
