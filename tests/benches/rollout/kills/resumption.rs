//! Kills a worker amid a claim, and measures the time until another claim.

use std::time::{Duration, Instant};

use freehold_tenancy::db::PgPool;
use freehold_tests::crash::{Infrastructure, Processes};
use nix::sys::signal::Signal;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Maximum time in which a worker is watched for a claim before it is killed anyway.
const WATCH_DURATION: Duration = Duration::from_millis(1500);

/// Maximum time until a claim counts as not resumed.
const RESUMPTION_TIMEOUT: Duration = Duration::from_mins(2);

/// Operations and rollouts that a worker has claimed, with their fences.
const CLAIMS: &str = "
    select id, fence from operations where lease_until is not null and leased_by like '%-' || $1
    union all
    select id, fence from rollouts where lease_until is not null and leased_by like '%-' || $1";

/// Number of claims in `$1` with the fences `$2` that no worker has claimed since and that have not ended.
const UNCLAIMED: &str = "
    select count(*) from unnest($1::uuid[], $2::bigint[]) as claim (id, fence)
    where exists (select from operations o where o.id = claim.id and o.fence = claim.fence and finished_at is null)
        or exists (select from rollouts r where r.id = claim.id and r.fence = claim.fence and finished_at is null)";

/// Kills a worker, if possible while it has claimed an operation or the rollout, otherwise the one at `usual`. Adds a
/// task to `resumptions` that returns the time until other workers have claimed all of it. Returns the index of the
/// killed worker.
pub(super) async fn kill_amid_claim(
    infrastructure: &Infrastructure,
    processes: &mut Processes,
    usual: usize,
    resumptions: &mut JoinSet<Duration>,
) -> usize {
    let (pool, started) = (&infrastructure.pool, Instant::now());
    while started.elapsed() < WATCH_DURATION {
        for index in 1..processes.all.len() {
            let Some(process) = processes.id(index) else { continue };
            if claims_of(pool, process).await.is_empty() {
                continue;
            }
            processes.signal(index, Signal::SIGSTOP);
            let claims = claims_of(pool, process).await;
            if claims.is_empty() {
                processes.signal(index, Signal::SIGCONT);
                continue;
            }
            processes.kill(index);
            let (pool, killed) = (pool.clone(), Instant::now());
            resumptions.spawn(async move { wait_until_claimed(&pool, claims, killed).await });
            return index;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    processes.kill(usual);
    usual
}

/// Returns the claims of a worker process, with their fences.
async fn claims_of(pool: &PgPool, process: u32) -> Vec<(Uuid, i64)> {
    sqlx::query_as(CLAIMS).bind(process.to_string()).fetch_all(pool).await.unwrap_or_default()
}

async fn wait_until_claimed(pool: &PgPool, claims: Vec<(Uuid, i64)>, killed: Instant) -> Duration {
    let (ids, fences): (Vec<_>, Vec<_>) = claims.into_iter().unzip();
    loop {
        let left: Result<i64, _> = sqlx::query_scalar(UNCLAIMED).bind(&ids).bind(&fences).fetch_one(pool).await;
        if left.is_ok_and(|left| left == 0) || killed.elapsed() > RESUMPTION_TIMEOUT {
            return killed.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
