//! Releases in the form in which they are deployed. Releases never change, so a worker keeps the latest ones.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use freehold_tenancy::db::{DbError, PgPool, releases};
use freehold_tenancy::operation::Requester;
use freehold_tenancy::release::{Release, ReleaseSource};
use freehold_tenancy::{Region, ReleaseId};
use serde_json::{Map, Value, json};

use super::{CurrentTemplate, LoadedTemplate, Template, TemplateSource};

/// Number of releases that a worker keeps.
const MAX_KEPT: usize = 8;

/// Release with its parsed templates.
#[derive(Debug)]
pub(crate) struct LoadedRelease {
    pub(crate) release: Release,
    templates: BTreeMap<Region, Arc<LoadedTemplate>>,
}

impl LoadedRelease {
    /// Parses the templates of a release for the given regions. A template in S3 is known by its parameters only.
    fn new(release: Release, regions: impl IntoIterator<Item = Region>) -> Self {
        let mut templates = BTreeMap::new();
        for region in regions {
            let (body, template) = match (release.content.text_in(region), release.content.template_in(region)) {
                (Some(text), _) => (text.to_owned(), Template::parse(text).ok()),
                (None, Some(_)) => {
                    let declared = release.declared_parameters.get(&region).into_iter().flatten();
                    let declared: Map<String, Value> = declared.map(|name| (name.clone(), json!({}))).collect();
                    (String::new(), Some(Template::of_parameters(declared)))
                }
                (None, None) => continue,
            };
            let Some(template) = template else { continue };
            let fingerprint = format!("{}-{region}", release.sha256);
            let regions = vec![region];
            templates.insert(region, Arc::new(LoadedTemplate { body, template, fingerprint, regions }));
        }
        Self { release, templates }
    }

    /// Returns the template of a region, or `None` if the release has none for it.
    pub(crate) fn template_in(&self, region: Region) -> Option<CurrentTemplate> {
        let loaded = Arc::clone(self.templates.get(&region)?);
        Some(CurrentTemplate { loaded, refused: None })
    }
}

/// Latest releases of one worker.
#[derive(Debug, Default)]
pub(crate) struct ReleaseCache {
    kept: Mutex<Vec<Arc<LoadedRelease>>>,
}

impl ReleaseCache {
    /// Returns the release of the configured templates, and registers it if it is new.
    pub(crate) async fn of_configuration(
        &self,
        pool: &PgPool,
        source: &TemplateSource,
        now: DateTime<Utc>,
    ) -> Result<Arc<LoadedRelease>, DbError> {
        let content = source.release_content();
        let kept = self.find(|one| one.source == ReleaseSource::Configuration && one.content == content);
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let by = Requester { issuer: "freehold".to_owned(), subject: "configuration".to_owned() };
        let id = releases::of_configuration(pool, &content, &by, now).await?;
        let loaded = self.get(pool, id).await?;
        loaded.ok_or_else(|| DbError::UnexpectedValue(format!("the release {id} is missing")))
    }

    fn find(&self, is_wanted: impl Fn(&Release) -> bool) -> Option<Arc<LoadedRelease>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|one| is_wanted(&one.release)).map(Arc::clone)
    }

    /// Returns a release, or `None` if there is none with this id.
    pub(crate) async fn get(&self, pool: &PgPool, id: ReleaseId) -> Result<Option<Arc<LoadedRelease>>, DbError> {
        if let Some(kept) = self.find(|one| one.id == id) {
            return Ok(Some(kept));
        }
        let Some(release) = releases::find(pool, id).await? else { return Ok(None) };
        let loaded = Arc::new(LoadedRelease::new(release, Region::all()));
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.remove(0);
        }
        kept.push(Arc::clone(&loaded));
        Ok(Some(loaded))
    }
}
