//! Ctrl-C and SIGTERM: the first asks to end, the second insists.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::output;

/// A token that is cancelled when somebody asks the process to end.
pub(crate) fn asked() -> anyhow::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::spawn({
        let token = token.clone();
        async move {
            let mut next = async || {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            };
            next().await;
            token.cancel();
            next().await;
            output::note("ending at once");
            std::process::exit(130);
        }
    });
    Ok(token)
}
