//! Content of a release in a request body.

use std::collections::BTreeMap;
use std::fmt::Display;

use freehold_tenancy::Region;
use freehold_tenancy::aws::quotas::MAX_TEMPLATE_BYTES;
use freehold_tenancy::config::TemplateUrl;
use freehold_tenancy::release::ReleaseContent;

use crate::extract::Fields;
use crate::problem::ApiError;

const MAX_NOTES_CHARS: usize = 2_000;

/// Maximum number of parameters of a template (AWS), and of the values in each of the objects.
const MAX_PARAMETERS: usize = 200;

/// Maximum length of the value of a parameter in bytes (AWS).
const MAX_VALUE_BYTES: usize = 4_096;

/// Parses the body of a registration. Returns the content and the notes.
pub(super) fn parse(mut fields: Fields) -> Result<(ReleaseContent, Option<String>), ApiError> {
    let template: Option<String> = fields.optional("template");
    if let Some(text) = &template {
        check_size(&mut fields, "template", text);
    }
    let texts = fields.string_map("region_templates").unwrap_or_default();
    for (region, text) in &texts {
        check_size(&mut fields, &format!("region_templates.{region}"), text);
    }
    let region_templates = by_region(&mut fields, "region_templates", texts);
    let urls = fields.object_map::<TemplateUrl>("urls");
    for (region, entry) in &urls {
        for (name, violation) in entry.violations(region) {
            fields.error(format!("urls.{region}.{name}"), "invalid", violation);
        }
    }
    let urls = by_region(&mut fields, "urls", urls);
    let parameters = fields.string_map("parameters").unwrap_or_default();
    check_parameters(&mut fields, "parameters", &parameters);
    let of_regions = fields.object_map::<BTreeMap<String, String>>("region_parameters");
    for (region, values) in &of_regions {
        check_parameters(&mut fields, &format!("region_parameters.{region}"), values);
    }
    let region_parameters = by_region(&mut fields, "region_parameters", of_regions);
    let notes: Option<String> = fields.optional("notes");
    if notes.as_ref().is_some_and(|notes| notes.chars().count() > MAX_NOTES_CHARS) {
        fields.error("notes", "too_long", format!("must have at most {MAX_NOTES_CHARS} characters"));
    }
    if template.is_none() && region_templates.is_empty() && urls.is_empty() {
        fields.error("template", "required", "must be set, unless region_templates or urls cover each region");
    }
    let content = ReleaseContent { template, region_templates, urls, parameters, region_parameters };
    fields.finish(Some((content, notes)))
}

fn check_size(fields: &mut Fields, field: &str, text: &str) {
    if text.trim().is_empty() {
        fields.error(field, "required", "must not be empty");
    } else if text.len() > MAX_TEMPLATE_BYTES {
        let message = format!(
            "must have at most {MAX_TEMPLATE_BYTES} bytes, not {}; put a larger template into S3 and send its urls",
            text.len()
        );
        fields.error(field, "too_long", message);
    }
}

/// Records an error for each invalid name or value of a parameter.
pub(super) fn check_parameters(fields: &mut Fields, field: &str, parameters: &BTreeMap<String, String>) {
    if parameters.len() > MAX_PARAMETERS {
        fields.error(field, "too_many", format!("must have at most {MAX_PARAMETERS} parameters"));
    }
    for (name, value) in parameters {
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) || name.is_empty() || name.len() > 255 {
            fields.error(format!("{field}.{name}"), "invalid", "must be a name of ASCII letters and digits");
        }
        if value.len() > MAX_VALUE_BYTES {
            fields.error(format!("{field}.{name}"), "too_long", format!("must have at most {MAX_VALUE_BYTES} bytes"));
        }
    }
}

/// Parses the keys of an object as regions.
fn by_region<T>(fields: &mut Fields, field: &str, values: BTreeMap<String, T>) -> BTreeMap<Region, T> {
    let mut regions = BTreeMap::new();
    for (key, value) in values {
        match key.parse::<Region>() {
            Ok(region) => _ = regions.insert(region, value),
            Err(error) => {
                let error: &dyn Display = &error;
                fields.error(format!("{field}.{key}"), "unknown_region", error.to_string());
            }
        }
    }
    regions
}
