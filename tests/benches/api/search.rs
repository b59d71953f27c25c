//! Benchmark of the search and of pages of tenants in a large installation.

use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::Options;
use crate::client::{Client, get};
use crate::fixture::Installation;
use freehold_tests::benchmark_table::{Table, median};

/// Number of searches, of different kinds in turn.
const SEARCHES: usize = 600;

/// Number of pages of tenants.
const PAGES: usize = 200;

/// Maximum duration of a search at the 95th percentile, in milliseconds.
const MAX_SEARCH_P95: f64 = 50.0;

/// Maximum duration of a page at the median, in milliseconds.
const MAX_PAGE_MEDIAN: f64 = 20.0;

pub(crate) fn measure(installation: &Installation, options: &Options, table: &mut Table) {
    let token = &installation.tokens(1)[0];
    let mut client = Client::connect(&installation.address).expect("the API");
    let mut milliseconds = |path: &str| {
        let request = get(&installation.address, path, token, "application/json");
        let started = Instant::now();
        let status = client.send(&request).expect("a response");
        assert_eq!(status, 200, "{path}");
        started.elapsed().as_secs_f64() * 1000.0
    };
    let mut random = StdRng::seed_from_u64(7);
    let mut searches = Vec::new();
    for index in 0..SEARCHES {
        let n = random.random_range(1..=options.tenants);
        let text = match index % 8 {
            0 => format!("Example%20{n}"),
            1 => format!("admin-{n}@example.com"),
            2 => format!("customer-{n}"),
            3 => (100_000_000_000_u64 + u64::from(n)).to_string(),
            // The last digits of an account.
            4 => format!("{n:05}"),
            // Texts of all tenants.
            5 => "example".to_owned(),
            6 => "admin".to_owned(),
            _ => format!("nothing-{n}"),
        };
        searches.push(milliseconds(&format!("/v1/search?q={text}")));
    }
    let pages: Vec<_> = (0..PAGES)
        .map(|index| {
            let filters = ["", "&state=ready", "&region=eu-central-1", "&q=customer-4", "&tier=standard"];
            milliseconds(&format!("/v1/tenants?page_size=50{}", filters[index % filters.len()]))
        })
        .collect();
    let mut sorted = searches.clone();
    sorted.sort_by(f64::total_cmp);
    let p95 = sorted[SEARCHES * 95 / 100];
    let detail = format!("{} tenants, {SEARCHES} searches; median {:.1} ms", options.tenants, median(&searches));
    table.at_most("search, 95th percentile", p95, MAX_SEARCH_P95, "ms", &detail);
    let detail = format!("{PAGES} pages of 50 tenants with different filters");
    table.at_most("page of tenants, median", median(&pages), MAX_PAGE_MEDIAN, "ms", &detail);
}
