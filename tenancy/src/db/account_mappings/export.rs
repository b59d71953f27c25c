//! Exports all mappings of a snapshot. The memory use is constant, because PostgreSQL sends the mappings row by row.

use std::borrow::Cow;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use tokio::sync::mpsc::Sender;
use uuid::Uuid;

use super::Snapshot;
use super::copy_text::decode_column;
use crate::TenantId;
use crate::account_mapping::AccountState;
use crate::db::{DbError, PgPool, Result, parse_text};

/// Account mapping with fields that borrow from the row that is being read.
#[derive(Debug)]
pub struct ExportedMapping<'a> {
    pub aws_account_id: &'a str,
    /// Name that Freehold gave the account; `None` for an adopted account.
    pub account_name: Option<&'a str>,
    pub tenant_id: TenantId,
    /// Id of the tenant in the SaaS.
    pub external_id: Option<&'a str>,
    pub tier: &'a str,
    /// Name of the environment.
    pub environment: &'a str,
    pub home_region: &'a str,
    /// Start of the mapping in UTC, such as `2026-10-31 00:00:00.5`.
    pub valid_from: &'a str,
    /// End of the mapping in UTC; `None` while the mapping is valid.
    pub valid_to: Option<&'a str>,
    /// Replica regions of the environment, separated by spaces; `None` if it has none.
    pub replica_regions: Option<&'a str>,
    /// Company name of the tenant; `None` if it was erased.
    pub company_name: Option<&'a str>,
    /// Text of an [`AccountState`].
    pub account_state: &'a str,
    /// Time in UTC at which Freehold first saw the account in this state; `None` while it is in use or unknown.
    pub account_state_since: Option<&'a str>,
    /// Time in UTC at which Freehold last saw the account in this state; `None` while it is in use or unknown.
    pub account_seen_at: Option<&'a str>,
}

/// Minimum size of a chunk in bytes, except for the last chunk.
const CHUNK_BYTES: usize = 64 * 1024;

/// Time after which an export is aborted if its receiver stalls, because the copy occupies a connection and blocks
/// vacuum.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Passes every mapping of the snapshot, oldest first, to `write`, and sends the written chunks to `out`. Returns false
/// if the receiver stopped or stalled.
pub async fn export(
    pool: &PgPool,
    snapshot: &Snapshot,
    mut write: impl FnMut(&mut Vec<u8>, &ExportedMapping<'_>),
    out: &Sender<Result<Vec<u8>>>,
) -> Result<bool> {
    let mut connection = pool.acquire().await?;
    // A connection with a half-read copy cannot be reused.
    connection.close_on_drop();
    let mut copy_text = connection.copy_out_raw(&copy_statement(snapshot)).await?;
    let (mut rest, mut written) = (Vec::new(), Vec::with_capacity(CHUNK_BYTES + 1024));
    while let Some(bytes) = copy_text.try_next().await? {
        // PostgreSQL usually sends one row per message, but this is not guaranteed.
        let mut left: &[u8] = &bytes;
        if !rest.is_empty() {
            rest.extend_from_slice(left);
            left = &rest;
        }
        while let Some(end) = left.iter().position(|byte| *byte == b'\n') {
            write(&mut written, &Fields::read(&left[..end])?.to_mapping()?);
            left = &left[end + 1..];
        }
        rest = left.to_vec();
        if written.len() >= CHUNK_BYTES {
            let chunk = std::mem::replace(&mut written, Vec::with_capacity(CHUNK_BYTES + 1024));
            if out.send_timeout(Ok(chunk), SEND_TIMEOUT).await.is_err() {
                return Ok(false);
            }
        }
    }
    Ok(out.send_timeout(Ok(written), SEND_TIMEOUT).await.is_ok())
}

/// Decoded columns of a row.
struct Fields<'a>([Option<Cow<'a, str>>; COLUMN_COUNT]);

const COLUMN_COUNT: usize = 14;

impl<'a> Fields<'a> {
    fn read(line: &'a [u8]) -> Result<Self> {
        let line = std::str::from_utf8(line).map_err(|error| DbError::UnexpectedValue(error.to_string()))?;
        let mut columns = line.split('\t');
        Ok(Self(std::array::from_fn(|_| columns.next().and_then(decode_column))))
    }

    fn to_mapping(&self) -> Result<ExportedMapping<'_>> {
        Ok(ExportedMapping {
            aws_account_id: self.text(0)?,
            tenant_id: self.id(1)?.into(),
            account_name: self.optional_text(2),
            external_id: self.optional_text(3),
            tier: self.text(4)?,
            environment: self.text(5)?,
            home_region: self.text(6)?,
            valid_from: self.text(7)?,
            valid_to: self.optional_text(8),
            replica_regions: self.optional_text(9),
            company_name: self.optional_text(10).filter(|name| !name.is_empty()),
            account_state: self.text(11)?,
            account_state_since: self.optional_text(12),
            account_seen_at: self.optional_text(13),
        })
    }

    fn optional_text(&self, column: usize) -> Option<&str> {
        self.0.get(column)?.as_deref()
    }

    fn text(&self, column: usize) -> Result<&str> {
        self.optional_text(column)
            .ok_or_else(|| DbError::UnexpectedValue(format!("cannot read column {column} of an account mapping")))
    }

    fn id(&self, column: usize) -> Result<Uuid> {
        parse_text(self.text(column)?.to_owned())
    }
}

/// Builds the `COPY` statement. `COPY` has no parameters, so the values are inserted as text. They need no escaping,
/// because they are numbers, times, ids and fixed words.
fn copy_statement(snapshot: &Snapshot) -> String {
    let Snapshot { position, period, tenant, account_state } = snapshot;
    let text = |time: Option<DateTime<Utc>>| time.map_or("null".to_owned(), |time| format!("'{}'", time.to_rfc3339()));
    let (from, to) = (text(period.map(|period| period.from)), text(period.map(|period| period.to)));
    let tenant = tenant.map_or("null".to_owned(), |tenant| format!("'{}'", tenant.as_uuid()));
    let account_state = account_state.map(AccountState::as_str).map_or("null".to_owned(), |state| format!("'{state}'"));
    format!(
        "/* db::account_mappings::export */
        copy (
            select m.aws_account_id, m.tenant_id, m.account_name, t.external_id, t.tier, e.name,
                e.home_region, m.valid_from at time zone 'UTC',
                case when m.closed_at_position <= {position} then m.valid_to at time zone 'UTC' end, (
                    select string_agg(r.region, ' ' order by r.slot) from environment_replicas r
                    where r.environment_id = e.id), t.company_name, s.state,
                a.state_since at time zone 'UTC', a.seen_at at time zone 'UTC'
            from account_mappings m join tenants t on t.id = m.tenant_id join environments e on e.id = m.environment_id
                left join released_accounts a
                    on a.aws_account_id = m.aws_account_id and m.closed_at_position <= {position}
                cross join lateral (
                    select case when m.closed_at_position <= {position} then coalesce(a.state, 'unknown')
                        else 'in_use' end) s (state)
            where m.opened_at_position <= {position}
              and case when {from}::timestamptz is null
                  then coalesce(m.closed_at_position > {position}, true)
                  else m.valid_from < {to} and (coalesce(m.closed_at_position > {position}, true)
                      or m.valid_to > {from}) end
              and ({tenant}::uuid is null or m.tenant_id = {tenant})
              and ({account_state}::text is null or s.state = {account_state})
            order by m.id
        ) to stdout"
    )
}
