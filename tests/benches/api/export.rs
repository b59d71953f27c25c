//! Benchmark of the export of all account mappings, compared with psql's `COPY` of the same rows.

use std::time::Instant;

use freehold_tests::crash::{ApiClient, wait_until_ready};

use crate::Options;
use crate::client::{Client, count_lines, get};
use crate::fixture::Installation;
use crate::process::{peak_memory_megabytes, reset_peak_memory};
use freehold_tests::benchmark_table::{Table, format_values, median};

/// Number of header lines in a CSV export.
const CSV_HEADER_LINES: usize = 1;

/// Number of rows of the small export. Its memory usage is compared with that of the full export.
const SMALL_EXPORT_ROWS: u32 = 10_000;

/// SQL query that returns the same rows and columns as an export; psql's `COPY` runs this query.
const EXPORT_QUERY: &str =
    "select m.aws_account_id, m.tenant_id, m.account_name, t.external_id, t.tier, e.name, e.home_region,
    m.valid_from at time zone 'UTC', m.valid_to at time zone 'UTC', t.company_name, coalesce(r.state, 'in_use')
    from account_mappings m join tenants t on t.id = m.tenant_id join environments e on e.id = m.environment_id
    left join released_accounts r on r.aws_account_id = m.aws_account_id
    where m.valid_to is null order by m.id";

pub(crate) async fn measure(installation: &Installation, options: &Options, table: &mut Table) {
    let exports = Exports { address: &installation.address, token: &installation.tokens(1)[0] };
    let rows = options.rows as usize;
    let (mut ndjson, mut csv, mut copy) = (vec![], vec![], vec![]);
    for _ in 0..options.rounds {
        let (copied, duration) = installation.tools.copy(EXPORT_QUERY);
        assert_eq!(copied, rows, "psql copied a wrong number of rows");
        copy.push(duration);
        ndjson.push(exports.export("application/x-ndjson", "", rows));
        csv.push(exports.export("text/csv", "", rows + CSV_HEADER_LINES));
    }
    for (format, duration) in [("NDJSON", &ndjson), ("CSV", &csv)] {
        let ratios: Vec<_> = copy.iter().zip(duration).map(|(copy, duration)| copy / duration).collect();
        let detail = format!(
            "{:.2} s ÷ {:.2} s for {rows} rows; rounds: {}",
            median(&copy),
            median(duration),
            format_values(&ratios, 3)
        );
        let figure = format!("rows per second as {format} ÷ psql's COPY");
        table.at_least(&figure, median(&ratios), 0.4, "", &detail);
    }
    for (format, media_type, headers) in [("NDJSON", "application/x-ndjson", 0), ("CSV", "text/csv", CSV_HEADER_LINES)]
    {
        measure_memory(installation, &exports, options, (format, media_type, headers), table).await;
    }
}

/// Compares the API's peak memory during a small export with that during the full export.
async fn measure_memory(
    installation: &Installation,
    exports: &Exports<'_>,
    options: &Options,
    (format, media_type, headers): (&str, &str, usize),
    table: &mut Table,
) {
    let small = SMALL_EXPORT_ROWS.min(options.rows);
    // The start times of the mappings are one second apart, so the parameter `at` can limit the export to the first
    // rows.
    let instant = format!(
        "select to_char(valid_from at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
        from account_mappings where opened_at_position = {small}"
    );
    let instant: String = sqlx::query_scalar(sqlx::AssertSqlSafe(instant))
        .fetch_one(&installation.infrastructure.pool)
        .await
        .expect("an instant");
    wait_until_ready(&ApiClient::new(&installation.processes.api_url, &installation.infrastructure.issuer)).await;
    let peak = |query: &str, rows: u32| {
        reset_peak_memory(installation.api_pid());
        exports.export(media_type, query, rows as usize + headers);
        peak_memory_megabytes(installation.api_pid())
    };
    // The first export is a warm-up; its memory usage is ignored.
    peak(&format!("?at={instant}"), small);
    let (small_peak, full_peak) = (peak(&format!("?at={instant}"), small), peak("", options.rows));
    let detail = format!("{small_peak:.1} MB for {small} rows, {full_peak:.1} MB for {}", options.rows);
    table.at_most(
        &format!("additional memory for a large export as {format}"),
        full_peak - small_peak,
        8.0,
        "MB",
        &detail,
    );
}

struct Exports<'a> {
    address: &'a str,
    token: &'a str,
}

impl Exports<'_> {
    /// Exports account mappings and returns the duration in seconds; panics unless the export has `expected` lines.
    fn export(&self, accept: &str, query: &str, expected: usize) -> f64 {
        let mut client = Client::connect(self.address).expect("the API");
        let request = get(self.address, &format!("/v1/account-mappings{query}"), self.token, accept);
        let (started, mut lines) = (Instant::now(), 0);
        let status = client.send_streaming(&request, |chunk| lines += count_lines(chunk)).expect("an export");
        assert_eq!((status, lines), (200, expected), "status and lines of an export as {accept}");
        started.elapsed().as_secs_f64()
    }
}
