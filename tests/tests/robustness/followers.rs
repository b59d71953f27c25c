//! Tests of the watcher of an API process: the number of queries does not depend on the number of followers.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use freehold_api::App;
use freehold_tenancy::Clock;
use freehold_tenancy::db::lifecycle::StepDisposition;
use freehold_tenancy::db::notify::ChangeNotifier;
use freehold_tests::api_fixture::{ALL_SCOPES, ApiFixture, read, signup_body};
use freehold_tests::event_stream::EventStream;
use freehold_tests::fixture::Freehold;
use freehold_tests::query_counter::QueryCounter;
use freehold_tests::tokens::Issuer;
use reqwest::{Client, RequestBuilder};
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Maximum time until a state is reached.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Number of events that each follower gets.
const EVENTS: u64 = 10;

/// API process whose queries are counted, on the database of another API process.
struct CountedApi {
    url: String,
    token: String,
    counter: QueryCounter,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
    http: Client,
}

impl CountedApi {
    async fn start(api: &ApiFixture) -> Self {
        let counter = QueryCounter::start(&api.database.api_url);
        let pool = PgPoolOptions::new().max_connections(10).connect_lazy(&counter.url()).expect("a pool");
        let app = App::new(pool, Arc::clone(&api.config), Clock::real()).expect("an app");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shutdown = CancellationToken::new();
        let server = freehold_api::serve(app, listener, shutdown.clone());
        let server = tokio::spawn(async move { server.await.expect("a server") });
        let http = Client::builder().no_proxy().build().expect("a client");
        Self { url, token: token(&api.issuer), counter, shutdown, server, http }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.url)).bearer_auth(&self.token)
    }

    /// Waits until `count` streams and feed requests are open and their queries have ended.
    async fn wait_for_followers(&self, count: u32) {
        let line = format!("freehold_api_streams {count}\n");
        wait_until(async || self.get("/metrics").send().await.unwrap().text().await.unwrap().contains(&line)).await;
        let mut before = 0;
        wait_until(async || {
            tokio::time::sleep(Duration::from_millis(200)).await;
            std::mem::replace(&mut before, self.counter.count()) == self.counter.count()
        })
        .await;
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.server.await.unwrap();
    }
}

fn token(issuer: &Issuer) -> String {
    issuer.token(ALL_SCOPES)
}

async fn wait_until(mut condition: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !condition().await {
        assert!(start.elapsed() < TIMEOUT, "the state was not reached in time");
    }
}

async fn next_name(stream: &mut EventStream) -> String {
    stream.next().await.expect("an event").name
}

/// Lets `count` followers of one operation receive events, and returns the number of queries of the API process.
async fn queries_of_followers(count: u32) -> u64 {
    let api = ApiFixture::new().await;
    let counted = CountedApi::start(&api).await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = format!("/v1/operations/{}/events", tenant["environments"][0]["operation_id"].as_str().unwrap());
    let claim = api.claim_operation().await;
    let mut streams = Vec::new();
    for _ in 0..count {
        let mut stream = EventStream::open(counted.get(&path)).await;
        while next_name(&mut stream).await != "step.started" {}
        streams.push(stream);
    }
    counted.wait_for_followers(count).await;
    let (before, notifier) = (counted.counter.count(), ChangeNotifier::new(api.database.pool.clone()));
    for number in 0..EVENTS {
        let why = format!("reason {number}");
        api.record_step(&claim, StepDisposition::Waiting { why, check_at: api.clock.now() }, None).await;
        notifier.notify();
        for stream in &mut streams {
            assert_eq!(stream.next().await.expect("an event").data["waits_for"], format!("reason {number}"));
        }
    }
    let queries = counted.counter.count() - before;
    drop(streams);
    counted.wait_for_followers(0).await;
    counted.stop().await;
    queries
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_number_of_queries_does_not_grow_with_the_followers() {
    let (one, many) = (queries_of_followers(1).await, queries_of_followers(60).await);
    // One query per event, and those of the readings of the metrics and of the slow poll.
    for queries in [one, many] {
        assert!((EVENTS..4 * EVENTS).contains(&queries), "{one} queries for one follower, {many} for 60");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_feed_requests_share_the_queries_of_one_reader() {
    let api = ApiFixture::new().await;
    let counted = CountedApi::start(&api).await;
    api.sign_up(&signup_body()).await;
    assert_eq!(api.get("/v1/events").await.json()["next_after"], 1);
    let waiting: Vec<_> = (0..40)
        .map(|number| {
            let filter = if number % 2 == 0 { "" } else { "&types=tenant.onboarding.accepted" };
            tokio::spawn(counted.get(&format!("/v1/events?after=1&wait=25{filter}")).send())
        })
        .collect();
    counted.wait_for_followers(40).await;
    let before = counted.counter.count();
    let tenant = api.sign_up(&signup_body()).await;
    for response in waiting {
        let page = read(response.await.unwrap().unwrap()).await.json();
        assert_eq!((&page["next_after"], &page["has_more"]), (&2.into(), &false.into()));
        assert_eq!(page["events"][0]["data"]["tenant_id"], tenant["id"]);
    }
    let queries = counted.counter.count() - before;
    assert!(queries < 40, "{queries} queries for one event");
    counted.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_without_followers_makes_no_queries() {
    let api = ApiFixture::new().await;
    let counted = CountedApi::start(&api).await;
    let tenant = api.sign_up(&signup_body()).await;
    let path = format!("/v1/operations/{}/events", tenant["environments"][0]["operation_id"].as_str().unwrap());
    let mut stream = EventStream::open(counted.get(&path)).await;
    assert_eq!(next_name(&mut stream).await, "operation.accepted");
    drop(stream);
    counted.wait_for_followers(0).await;
    // The watcher notices within two seconds that the follower is gone.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let before = counted.counter.count();
    ChangeNotifier::new(api.database.pool.clone()).notify();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(counted.counter.count(), before);
    counted.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_get_events_after_the_database_connections_were_lost() {
    let api = ApiFixture::new().await;
    let id = api.sign_up(&signup_body()).await["environments"][0]["operation_id"].as_str().unwrap().to_owned();
    let mut stream = EventStream::open(api.request(reqwest::Method::GET, &format!("/v1/operations/{id}/events"))).await;
    assert_eq!(next_name(&mut stream).await, "operation.accepted");
    let listeners = "select count(*) from pg_stat_activity
        where datname = current_database() and query ilike 'listen%freehold_changes%'";
    let admin = PgPoolOptions::new().max_connections(1).connect(&api.database.url).await.unwrap();
    let is_listening = async || sqlx::query_scalar::<_, i64>(listeners).fetch_one(&admin).await.unwrap() == 1;
    wait_until(is_listening).await;
    let terminate = "select pg_terminate_backend(pid, 5000) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    sqlx::query(terminate).execute(&admin).await.unwrap();
    wait_until(is_listening).await;
    wait_until(async || api.get("/readyz").await.status == 200).await;

    let claim = api.claim_operation().await;
    assert_eq!(next_name(&mut stream).await, "operation.started");
    assert_eq!(next_name(&mut stream).await, "step.started");
    freehold_tenancy::db::lifecycle::succeed(&api.database.pool, &claim, api.clock.now()).await.unwrap();
    while next_name(&mut stream).await != "end" {}
}

#[tokio::test]
async fn an_event_of_a_newer_version_ends_only_the_streams_of_its_operation() {
    let api = ApiFixture::new().await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let tenant = api.sign_up(&signup_body()).await;
        let id = tenant["environments"][0]["operation_id"].as_str().unwrap().to_owned();
        let path = format!("/v1/operations/{id}/events");
        let mut stream = EventStream::open(api.request(reqwest::Method::GET, &path)).await;
        assert_eq!(next_name(&mut stream).await, "operation.accepted");
        streams.push((tenant, stream));
    }
    let unknown = "with o as (
            update operations set last_seq = last_seq + 1, wake_at = wake_at + interval '1 day' where tenant_id = (
                select tenant_id from operations order by id limit 1) returning *)
        insert into events (operation_id, seq, tenant_id, environment_id, type, occurred_at)
        select id, last_seq, tenant_id, environment_id, 'step.unheard_of', updated_at from o";
    sqlx::query(unknown).execute(&api.database.pool).await.unwrap();
    api.claim_operation().await;
    let (_, mut second) = streams.pop().unwrap();
    assert_eq!(next_name(&mut second).await, "operation.started");
    assert_eq!(next_name(&mut second).await, "step.started");
    let (_, mut first) = streams.pop().unwrap();
    assert!(first.next().await.is_none(), "the stream goes on after an event that it cannot show");
}

#[tokio::test]
async fn a_worker_reports_its_events_to_the_api_processes() {
    let freehold = Freehold::instant().await;
    freehold.sign_up("Example", "eu-central-1", "standard").await;
    let mut listener = PgListener::connect(&freehold.database.url).await.unwrap();
    listener.listen("freehold_changes").await.unwrap();
    freehold.run_until_idle(&freehold.worker("worker-1"), TimeDelta::minutes(1)).await;
    tokio::time::timeout(TIMEOUT, listener.recv()).await.expect("no notification").unwrap();
}
