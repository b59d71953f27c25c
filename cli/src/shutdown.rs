//! Handling of Ctrl-C and SIGTERM. The first signal starts a graceful shutdown; the second one exits immediately.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::output;

/// Returns a cancellation token that is cancelled at the first signal.
pub(crate) fn listen_for_signals() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn({
        let token = token.clone();
        async move {
            let mut next_signal = async || {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            };
            next_signal().await;
            token.cancel();
            next_signal().await;
            output::print_note("second signal received; exiting immediately");
            std::process::exit(130);
        }
    });
    Ok(token)
}
