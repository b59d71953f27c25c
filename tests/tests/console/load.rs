//! Figures of live pages under load, printed on demand. Their bounds are in docs/console.md.
//!
//! `cargo test --workspace --test main -- --ignored --nocapture console::load` prints them.

#![expect(clippy::print_stdout, reason = "the figures are for manual runs")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use freehold_tenancy::attention::Remedy;
use serde_json::json;

use super::browser::Browser;
use super::fixture::{Console, Wrong};
use super::pages::{SUPPORT, parked};

/// Number of open pages beside the measured one.
const OPEN_PAGES: usize = 200;

/// Number of persons who have them open.
const PERSONS: usize = 8;

/// Number of measured changes.
const CHANGES: usize = 60;

/// Number of times that a page is loaded without a cache.
const COLD_LOADS: usize = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints a figure that depends on the machine"]
async fn a_change_is_shown_while_two_hundred_pages_are_open() {
    let mut console = Console::signed_in("sue", SUPPORT).await;
    let (tenant, operation) = parked(&console, "Example GmbH").await;
    let measured_session = console.session().expect("a session").clone();
    let pages = ["/console", "/console/attention", "/console/tenants", &format!("/console/tenants/{tenant}")]
        .map(ToOwned::to_owned);
    let received = Arc::new(AtomicUsize::new(0));
    for person in 0..PERSONS {
        // A sign-in would end the session of the one before.
        console.set_session("");
        console.sign_in("/console", &format!("person-{person}"), SUPPORT, &Wrong::Nothing).await;
        for page in pages.iter().cycle().take(OPEN_PAGES / PERSONS) {
            let (mut stream, received) = (console.follow(page).await, Arc::clone(&received));
            tokio::spawn(async move {
                while stream.receives_more().await {
                    received.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
    console.set_session(&measured_session);
    let mut stream = console.follow(&format!("/console/operations/{operation}")).await;
    stream.until("Nothing until a person decides.").await;
    let mut milliseconds = Vec::new();
    for _ in 0..CHANGES {
        tokio::time::sleep(Duration::from_millis(500)).await;
        // The time of the request counts too, so that the figure is never too small.
        let started = Instant::now();
        console.post(&format!("/console/operations/{operation}/retry"), &[]).await;
        stream.until("in the queue of AWS").await;
        milliseconds.push(started.elapsed().as_millis());
        console.api.park_with_remedies("stack_failed", &[Remedy::Retry]).await;
        stream.until("Nothing until a person decides.").await;
    }
    milliseconds.sort_unstable();
    let connections = "select count(*) from pg_stat_activity
        where datname = current_database() and usename = 'freehold_api'";
    let connections: i64 =
        sqlx::query_scalar(connections).fetch_one(&console.api.database.pool).await.expect("a count");
    println!(
        "request → screen with {OPEN_PAGES} other pages: median {} ms, 95th percentile {} ms, most {} ms; \
         {connections} connections to the database, of which the pool has at most {}; {} contents sent to others",
        milliseconds[CHANGES / 2],
        milliseconds[CHANGES * 95 / 100],
        milliseconds[CHANGES - 1],
        console.api.database.api_pool.options().get_max_connections(),
        received.load(Ordering::Relaxed)
    );
    assert!(received.load(Ordering::Relaxed) > OPEN_PAGES * CHANGES / 4, "the other pages were not kept current");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures that depend on the machine"]
async fn each_cold_load_is_live_and_again_after_a_restart() {
    let mut console = Console::signed_in("sue", SUPPORT).await;
    let (tenant, _) = parked(&console, "Example GmbH").await;
    let Some(browser) = Browser::start(&console).await else { return };
    for _ in 0..COLD_LOADS {
        browser.command("Network.clearBrowserCache", json!({})).await;
        browser.open(&format!("/console/tenants/{tenant}")).await;
        browser.wait_for("Live").await;
    }
    println!("{COLD_LOADS} of {COLD_LOADS} cold loads were live");
    browser.open("/console/attention").await;
    browser.wait_for("Live").await;
    browser.run("window.mark = 1").await;
    console.api.restart_at_same_address().await;
    let restarted = Instant::now();
    parked(&console, "Example Two").await;
    browser.wait_for("Example Two").await;
    println!("an open page was current again {:.1} s after a restart", restarted.elapsed().as_secs_f64());
    assert_eq!(browser.run("return window.mark").await, 1, "the page was loaded again");
    browser.quit().await;
}
