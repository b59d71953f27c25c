//! Benchmark of the event feed: compares the time to read pages at the beginning and at the end of the feed.

use std::time::Instant;

use crate::Options;
use crate::client::{Client, get};
use crate::fixture::Installation;
use freehold_tests::benchmark_table::{Table, format_values, median};

/// Number of events per page.
const PAGE_SIZE: u32 = 1000;

/// Number of pages that each round reads at the beginning of the feed, and then at its end.
const PAGES_PER_ROUND: usize = 40;

pub(crate) fn measure(installation: &Installation, options: &Options, table: &mut Table) {
    let token = &installation.tokens(1)[0];
    let request = |after: u32| {
        get(
            &installation.address,
            &format!("/v1/events?after={after}&page_size={PAGE_SIZE}"),
            token,
            "application/json",
        )
    };
    // Feed position before the last full page.
    let depth = options.rows - PAGE_SIZE;
    let mut client = Client::connect(&installation.address).expect("the API");
    let mut seconds = |request: &[u8]| {
        let started = Instant::now();
        let status = client.send(request).expect("a page");
        let duration = started.elapsed().as_secs_f64();
        let entries = client.body().windows(10).filter(|part| *part == br#""sequence""#).count();
        assert_eq!((status, entries), (200, PAGE_SIZE as usize), "status and entries of a page");
        duration
    };
    let (first, deep) = (request(0), request(depth));
    let (mut ratios, mut firsts, mut deeps) = (vec![], vec![], vec![]);
    for _ in 0..=options.rounds {
        let (mut at_first, mut at_depth) = (vec![], vec![]);
        for _ in 0..PAGES_PER_ROUND {
            at_first.push(seconds(&first));
            at_depth.push(seconds(&deep));
        }
        firsts.push(median(&at_first));
        deeps.push(median(&at_depth));
        ratios.push(median(&at_depth) / median(&at_first));
    }
    // The first round warms up the caches.
    let ratios = &ratios[1..];
    let detail = format!(
        "{:.2} ms at position {depth}, {:.2} ms at position 0; rounds: {}",
        median(&deeps[1..]) * 1000.0,
        median(&firsts[1..]) * 1000.0,
        format_values(ratios, 3)
    );
    table.at_most("feed page at the end ÷ at the beginning", median(ratios), 1.2, "", &detail);
}
