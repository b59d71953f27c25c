//! Requests the environment's account from Organizations.

use super::StepResult;
use super::shared::account_request;
use crate::context::StepContext;

pub(crate) async fn run(context: &StepContext) -> StepResult {
    account_request::find_or_request(context).await
}
