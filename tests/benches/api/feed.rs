//! A page of a thousand events at the beginning of the feed, in turn with one behind a million.

use std::time::Instant;

use crate::Options;
use crate::client::{Client, get};
use crate::fixture::Installation;
use crate::table::{Table, list, median};

/// How many events a page has.
const PAGE: u32 = 1000;

/// How many pages of each a round takes.
const PAGES: usize = 40;

pub(crate) fn measure(house: &Installation, options: &Options, table: &mut Table) {
    let token = &house.tokens(1)[0];
    let request = |after: u32| {
        get(&house.address, &format!("/v1/events?after={after}&page_size={PAGE}"), token, "application/json")
    };
    // The last whole page: what is before it was gone through already.
    let depth = options.rows - PAGE;
    let mut client = Client::connect(&house.address).expect("the API");
    let mut seconds = |request: &[u8]| {
        let begun = Instant::now();
        let status = client.ask(request).expect("a page");
        let took = begun.elapsed().as_secs_f64();
        let entries = client.body().windows(10).filter(|part| *part == br#""sequence""#).count();
        assert_eq!((status, entries), (200, PAGE as usize), "status and entries of a page");
        took
    };
    let (first, deep) = (request(0), request(depth));
    let (mut ratios, mut firsts, mut deeps) = (vec![], vec![], vec![]);
    for _ in 0..=options.rounds {
        let (mut at_first, mut at_depth) = (vec![], vec![]);
        for _ in 0..PAGES {
            at_first.push(seconds(&first));
            at_depth.push(seconds(&deep));
        }
        firsts.push(median(&at_first));
        deeps.push(median(&at_depth));
        ratios.push(median(&at_depth) / median(&at_first));
    }
    // The first round is for whatever is read for the first time.
    let ratios = &ratios[1..];
    let detail = format!(
        "{:.2} ms at {depth}, {:.2} ms at 0; rounds {}",
        median(&deeps[1..]) * 1000.0,
        median(&firsts[1..]) * 1000.0,
        list(ratios, 3)
    );
    table.at_most("a page of the feed at its end ÷ at its beginning", median(ratios), 1.2, "", &detail);
}
