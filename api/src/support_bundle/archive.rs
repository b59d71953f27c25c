//! Writes the files of a support bundle as a ZIP archive.

use std::io::{self, Cursor, Write};

use chrono::{DateTime, Datelike, Timelike, Utc};
use freehold_tenancy::support_bundle::{BundleConfig, SupportBundle};
use serde::Serialize;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::contents::{AUDIT, CONFIG, EVENTS, INDEX, OPERATION, STEPS, VERSIONS};
use super::page;

/// Returns the archive of a bundle that was read at `read_at`.
pub(crate) fn write_archive(
    bundle: &SupportBundle,
    config: &BundleConfig,
    read_at: DateTime<Utc>,
) -> io::Result<Vec<u8>> {
    let files = [
        (INDEX, page::render(bundle, read_at)?),
        (OPERATION, json(&bundle.operation)?),
        (STEPS, json(&bundle.steps)?),
        (EVENTS, json_lines(&bundle.events)?),
        (AUDIT, json_lines(&bundle.audit_entries)?),
        (CONFIG, json(config)?),
        (VERSIONS, json(&bundle.versions)?),
    ];
    let mut options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    if let Some(time) = zip_time(read_at) {
        options = options.last_modified_time(time);
    }
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        archive.start_file(name, options)?;
        archive.write_all(&content)?;
    }
    Ok(archive.finish()?.into_inner())
}

fn json(content: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(content)?;
    text.push(b'\n');
    Ok(text)
}

fn json_lines(lines: &[impl Serialize]) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line)?;
        text.push(b'\n');
    }
    Ok(text)
}

/// Returns the time in the form of ZIP archives, or `None` before 1980.
fn zip_time(at: DateTime<Utc>) -> Option<zip::DateTime> {
    let part = |value: u32| u8::try_from(value).ok();
    let year = u16::try_from(at.year()).ok()?;
    let (month, day) = (part(at.month())?, part(at.day())?);
    let (hour, minute, second) = (part(at.hour())?, part(at.minute())?, part(at.second())?);
    zip::DateTime::from_date_and_time(year, month, day, hour, minute, second).ok()
}
