//! Buckets with their objects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::policy::Document;

/// All buckets of all accounts by name, because the names are global.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Buckets(BTreeMap<String, Bucket>);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bucket {
    /// Id of the account that owns the bucket.
    pub account: String,
    pub region: String,
    /// Bucket policy, if there is one.
    pub(super) policy: Option<Document>,
    /// True if each write of an object adds a version.
    versioned: bool,
    /// Versions of each object by key, oldest first.
    objects: BTreeMap<String, Vec<ObjectVersion>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct ObjectVersion {
    /// Version id; `None` if the object was written without versioning.
    id: Option<String>,
    text: String,
}

impl Buckets {
    pub fn get(&self, name: &str) -> Option<&Bucket> {
        self.0.get(name)
    }

    pub(super) fn create(&mut self, name: &str, account: &str, region: &str) {
        let (account, region) = (account.to_owned(), region.to_owned());
        let bucket = Bucket { account, region, policy: None, versioned: false, objects: BTreeMap::new() };
        self.0.insert(name.to_owned(), bucket);
    }

    pub(super) fn set_versioned(&mut self, name: &str, versioned: bool) {
        if let Some(bucket) = self.0.get_mut(name) {
            bucket.versioned = versioned;
        }
    }

    pub(super) fn set_policy(&mut self, name: &str, policy: Document) {
        if let Some(bucket) = self.0.get_mut(name) {
            bucket.policy = Some(policy);
        }
    }

    /// Writes an object. Returns its version id, or `None` if the bucket has no versions.
    pub(super) fn put(&mut self, name: &str, key: &str, text: String, version: String) -> Option<String> {
        let bucket = self.0.get_mut(name)?;
        let id = bucket.versioned.then_some(version);
        let versions = bucket.objects.entry(key.to_owned()).or_default();
        if id.is_none() {
            versions.retain(|version| version.id.is_some());
        }
        versions.push(ObjectVersion { id: id.clone(), text });
        id
    }
}

impl Bucket {
    /// Returns the text and the version id of an object, by default of its latest version.
    pub(super) fn object(&self, key: &str, version: Option<&str>) -> Option<(&str, Option<&str>)> {
        let versions = self.objects.get(key)?;
        let object = match version {
            Some(id) => versions.iter().find(|version| version.id.as_deref().unwrap_or("null") == id),
            None => versions.last(),
        }?;
        Some((&object.text, object.id.as_deref()))
    }
}
