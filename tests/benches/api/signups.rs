//! Signups as fast as eight clients get them in, in turn with pgbench; then half as many a second.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, signup};
use crate::fixture::Installation;
use crate::postgres_tools::{CLIENTS, checkpoint};
use crate::process::cpu_seconds;
use crate::table::{Table, list, median};
use crate::{Options, constant_rate};

/// Whose tokens the signups come with, in turn: none of them signs up more than a thousand in all.
const TOKENS: usize = 1000;

/// Makes signups that were never sent before.
pub(crate) struct Flow {
    address: String,
    tokens: Vec<String>,
    next: AtomicUsize,
}

impl Flow {
    pub(crate) fn new(house: &Installation) -> Self {
        Self { address: house.address.clone(), tokens: house.tokens(TOKENS), next: AtomicUsize::new(0) }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(&self.address).expect("the API")
    }

    /// A request that was never sent before.
    pub(crate) fn request(&self) -> Vec<u8> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        signup(&self.address, &self.tokens[number % self.tokens.len()], &format!("customer-{number}"))
    }
}

pub(crate) async fn measure(options: &Options, table: &mut Table) {
    let house = Installation::build(options, 0).await;
    let flow = Flow::new(&house);
    let time = Duration::from_secs(options.round_seconds);
    // Connections are made, keys are read, code is touched.
    as_fast_as_it_goes(&flow, Duration::from_secs(2));
    house.tools.insert(CLIENTS, 2, Duration::from_secs(2));

    let (mut ratios, mut signups, mut inserts, mut cpu) = (vec![], vec![], vec![], vec![]);
    for _ in 0..options.rounds {
        checkpoint(&house.infrastructure.pool).await;
        let single_rows = house.tools.insert(CLIENTS, 2, time).per_second;
        checkpoint(&house.infrastructure.pool).await;
        let used = [cpu_seconds(house.api()), cpu_seconds(std::process::id())];
        let per_second = as_fast_as_it_goes(&flow, time);
        let used = [cpu_seconds(house.api()) - used[0], cpu_seconds(std::process::id()) - used[1]];
        cpu.push(used.map(|used| used / time.as_secs_f64() * 100.0));
        ratios.push(per_second / single_rows);
        signups.push(per_second);
        inserts.push(single_rows);
    }
    let share = |of: usize| median(&cpu.iter().map(|used| used[of]).collect::<Vec<_>>());
    let detail = format!(
        "{:.0}/s ÷ {:.0}/s; rounds {}; of one core the API took {:.0} %, the clients {:.0} %",
        median(&signups),
        median(&inserts),
        list(&ratios, 3),
        share(0),
        share(1),
    );
    table.at_least("durable signups ÷ pgbench's single-row inserts, 8 clients", median(&ratios), 0.30, "", &detail);
    constant_rate::measure(&house, &flow, median(&signups) / 2.0, options, table).await;
    house.end().await;
}

/// Signups a second of eight clients, each of whom sends the next when the last was accepted.
fn as_fast_as_it_goes(flow: &Flow, time: Duration) -> f64 {
    let begun = Instant::now();
    let accepted: usize = std::thread::scope(|scope| {
        let client = || {
            let (mut client, mut accepted) = (flow.connect(), 0);
            while begun.elapsed() < time {
                let status = client.ask(&flow.request()).expect("an answer");
                assert_eq!(status, 202, "{}", String::from_utf8_lossy(client.body()));
                accepted += 1;
            }
            accepted
        };
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().expect("a client")).sum()
    });
    #[expect(clippy::cast_precision_loss, reason = "few")]
    let accepted = accepted as f64;
    accepted / begun.elapsed().as_secs_f64()
}
