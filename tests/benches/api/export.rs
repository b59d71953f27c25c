//! All account mappings in one answer, in turn with psql's `COPY` of the same rows.

use std::time::Instant;

use freehold_tests::crash::{ApiClient, wait_until_ready};

use crate::Options;
use crate::client::{Client, count_lines, get};
use crate::fixture::Installation;
use crate::process::{forget_peak, peak_megabytes};
use crate::table::{Table, list, median};

/// The first line of the CSV.
const HEADERS: usize = 1;

/// How many rows are few.
const FEW: u32 = 10_000;

/// The columns that the export has, of the mappings that hold.
const SAME_ROWS: &str =
    "select m.aws_account_id, m.tenant_id, m.account_name, t.external_id, t.tier, e.name, e.home_region,
    m.valid_from at time zone 'UTC', m.valid_to at time zone 'UTC'
    from account_mappings m join tenants t on t.id = m.tenant_id join environments e on e.id = m.environment_id
    where m.valid_to is null order by m.id";

pub(crate) async fn measure(house: &Installation, options: &Options, table: &mut Table) {
    let exported = Exports { address: &house.address, token: &house.tokens(1)[0] };
    let rows = options.rows as usize;
    let (mut ndjson, mut csv, mut copy) = (vec![], vec![], vec![]);
    for _ in 0..options.rounds {
        let (copied, took) = house.tools.copy(SAME_ROWS);
        assert_eq!(copied, rows, "psql copied others");
        copy.push(took);
        ndjson.push(exported.all("application/x-ndjson", "", rows));
        csv.push(exported.all("text/csv", "", rows + HEADERS));
    }
    for (format, took) in [("NDJSON", &ndjson), ("CSV", &csv)] {
        let ratios: Vec<_> = copy.iter().zip(took).map(|(copy, took)| copy / took).collect();
        let detail =
            format!("{:.2} s ÷ {:.2} s for {rows} rows; rounds {}", median(&copy), median(took), list(&ratios, 3));
        let figure = format!("rows a second as {format} ÷ psql's COPY");
        table.at_least(&figure, median(&ratios), 0.4, "", &detail);
    }
    for (format, media_type, headers) in [("NDJSON", "application/x-ndjson", 0), ("CSV", "text/csv", HEADERS)] {
        memory(house, &exported, options, (format, media_type, headers), table).await;
    }
}

/// The peak of a process that has only just begun, for few rows and for all of them.
async fn memory(
    house: &Installation,
    exported: &Exports<'_>,
    options: &Options,
    (format, media_type, headers): (&str, &str, usize),
    table: &mut Table,
) {
    let few = FEW.min(options.rows);
    // The mappings were begun a second apart, and those that had begun by then are few.
    let instant = format!(
        "select to_char(valid_from at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
        from account_mappings where opened_at_position = {few}"
    );
    let instant: String = sqlx::query_scalar(sqlx::AssertSqlSafe(instant))
        .fetch_one(&house.infrastructure.pool)
        .await
        .expect("an instant");
    wait_until_ready(&ApiClient::new(&house.processes.api_url, &house.infrastructure.issuer)).await;
    let peak = |query: &str, rows: u32| {
        forget_peak(house.api());
        exported.all(media_type, query, rows as usize + headers);
        peak_megabytes(house.api())
    };
    // The first touches what every export touches.
    peak(&format!("?at={instant}"), few);
    let (of_few, of_all) = (peak(&format!("?at={instant}"), few), peak("", options.rows));
    let detail = format!("{of_few:.1} MB for {few} rows, {of_all:.1} MB for {}", options.rows);
    table.at_most(&format!("more memory for all rows than for few, as {format}"), of_all - of_few, 8.0, "MB", &detail);
}

struct Exports<'a> {
    address: &'a str,
    token: &'a str,
}

impl Exports<'_> {
    /// The seconds that an export takes, which must have so many lines.
    fn all(&self, accept: &str, query: &str, expected: usize) -> f64 {
        let mut client = Client::connect(self.address).expect("the API");
        let request = get(self.address, &format!("/v1/account-mappings{query}"), self.token, accept);
        let (begun, mut lines) = (Instant::now(), 0);
        let status = client.ask_for(&request, |chunk| lines += count_lines(chunk)).expect("an export");
        assert_eq!((status, lines), (200, expected), "status and lines of an export as {accept}");
        begun.elapsed().as_secs_f64()
    }
}
