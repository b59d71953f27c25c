//! Permission sets of IAM Identity Center.

use std::sync::PoisonError;

use super::{Sso, sso};
use crate::aws::Aws;
use crate::aws::cache::{NAME_TTL, PARTIAL_TTL};
use crate::cloud::Result;

pub(in crate::aws) async fn permission_set(aws: &Aws, name: &str) -> Result<Option<String>> {
    let look = async {
        let Some(arn) = find_permission_set(aws, name).await? else { return Ok(None) };
        Ok(Some((arn, aws.clock.now() + NAME_TTL)))
    };
    aws.known.permission_sets.get_or_fetch(&name.to_owned(), &aws.clock, look).await
}

/// Returns the ARN of the permission set `name`, or `None` if it does not exist.
///
/// AWS lists only ARNs, so each name is read with a call of its own. Names never change and are cached without limit.
/// The list of ARNs is cached until the search is complete, so that an interrupted search can continue.
pub(in crate::aws) async fn find_permission_set(aws: &Aws, name: &str) -> Result<Option<String>> {
    let sso = sso(aws).await?;
    let look = async { Ok(Some((permission_set_arns(aws, &sso).await?, aws.clock.now() + PARTIAL_TTL))) };
    let arns = aws.known.permission_set_arns.get_or_fetch(&(), &aws.clock, look).await?.unwrap_or_default();
    let mut found = None;
    for arn in arns {
        if name_of(aws, &sso, &arn).await? == name {
            found = Some(arn);
            break;
        }
    }
    // The next search lists the permission sets again, so that it finds new ones.
    aws.known.permission_set_arns.forget(&());
    Ok(found)
}

async fn permission_set_arns(aws: &Aws, sso: &Sso) -> Result<Vec<String>> {
    let (mut arns, mut token) = (Vec::new(), None);
    loop {
        let request = sso.client.list_permission_sets().instance_arn(&sso.instance.arn).set_next_token(token);
        let page = aws.send(&sso.session, "sso:ListPermissionSets", request.send()).await?;
        arns.extend(page.permission_sets.unwrap_or_default());
        token = page.next_token;
        if token.is_none() {
            return Ok(arns);
        }
    }
}

async fn name_of(aws: &Aws, sso: &Sso, arn: &str) -> Result<String> {
    let names = || aws.known.permission_set_names.lock().unwrap_or_else(PoisonError::into_inner);
    let known = names().get(arn).cloned();
    if let Some(name) = known {
        return Ok(name);
    }
    let request = sso.client.describe_permission_set().instance_arn(&sso.instance.arn).permission_set_arn(arn);
    let answer = aws.send(&sso.session, "sso:DescribePermissionSet", request.send()).await?;
    let name = answer.permission_set.and_then(|set| set.name).unwrap_or_default();
    names().insert(arn.to_owned(), name.clone());
    Ok(name)
}
