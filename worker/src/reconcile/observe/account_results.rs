//! Results of reads of single accounts.

use std::collections::BTreeMap;

use freehold_tenancy::AwsAccountId;

use super::super::throttle::ObserveError;

/// Splits the results into accounts that were read and accounts that were not. Fails if the process is stopping.
#[expect(clippy::type_complexity, reason = "the results of two kinds of reads")]
pub(super) fn split_results<T>(
    results: Vec<Result<(AwsAccountId, T), (AwsAccountId, ObserveError)>>,
) -> Result<(BTreeMap<AwsAccountId, T>, Vec<(AwsAccountId, String)>), ObserveError> {
    let (mut seen, mut unseen) = (BTreeMap::new(), Vec::new());
    for result in results {
        match result {
            Ok((account, found)) => _ = seen.insert(account, found),
            Err((_, ObserveError::Stopped)) => return Err(ObserveError::Stopped),
            Err((account, ObserveError::Cloud(error))) => unseen.push((account, error.to_string())),
        }
    }
    Ok((seen, unseen))
}
