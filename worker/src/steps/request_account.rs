//! Asks Organizations for the environment's account.

use super::{StepResult, account};
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    account::find_or_request(context).await
}
