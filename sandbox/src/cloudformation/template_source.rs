//! Text of the template in a request: `TemplateBody`, or an object in S3 that `TemplateURL` names.

use super::rules::constraint_error;
use super::validation;
use crate::s3::{self, ObjectAddress};
use crate::world::{AwsError, Ctx, Request, State, permissions};

/// Maximum size of a template in the body of a request, in bytes (AWS CloudFormation quotas).
const MAX_BODY_BYTES: usize = 51_200;

/// Maximum size of a template in S3, in bytes. The documentation says 1 MB.
const MAX_OBJECT_BYTES: usize = 1_000_000;

/// Returns the template text of a request. An object in S3 is read with the permissions of the caller.
pub(super) fn template_text(
    state: &State,
    ctx: &Ctx,
    request: &Request,
    body: Option<String>,
    url: Option<&String>,
) -> Result<String, AwsError> {
    match (body, url) {
        (Some(_), Some(_)) => Err(validation("Specify only one of TemplateBody and TemplateURL")),
        (None, Some(url)) => read_from_s3(state, ctx, request, url),
        (None, None) => Err(validation("Either Template URL or Template Body must be specified.")),
        (Some(body), None) if body.is_empty() => {
            Err(constraint_error("templateBody", "", "Member must have length greater than or equal to 1"))
        }
        (Some(body), None) if body.len() > MAX_BODY_BYTES => {
            let start: String = body.chars().take(40).collect();
            let limit = format!("Member must have length less than or equal to {MAX_BODY_BYTES}");
            Err(constraint_error("templateBody", &format!("{start}…"), &limit))
        }
        (Some(body), None) => Ok(body),
    }
}

fn read_from_s3(state: &State, ctx: &Ctx, request: &Request, url: &str) -> Result<String, AwsError> {
    let address = ObjectAddress::of_url(url).ok_or_else(|| validation("TemplateURL must be a supported URL."))?;
    // CloudFormation finds the bucket of a URL without a region.
    let region = address.region.clone().or_else(|| state.s3_buckets.get(&address.bucket).map(|one| one.region.clone()));
    let address = ObjectAddress { region, ..address };
    let action = if address.version.is_some() { "s3:GetObjectVersion" } else { "s3:GetObject" };
    permissions::record_template_read(ctx, request, action);
    let (text, _) = s3::read_object(state, ctx, &address).map_err(|error| {
        validation(format!(
            "S3 error: {}\nFor more information check \
             http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html",
            error.message
        ))
    })?;
    if text.len() > MAX_OBJECT_BYTES {
        return Err(validation(format!("Template may not exceed {MAX_OBJECT_BYTES} bytes in size.")));
    }
    Ok(text)
}
