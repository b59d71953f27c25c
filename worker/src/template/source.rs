//! Source of the tenant stack's templates. A file is read again for each deployment, so that a corrected template
//! needs no restart of the worker.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_tenancy::config::CheckKind;
use freehold_tenancy::db::fleet_holds::templates;
use freehold_tenancy::release::ReleaseContent;
use freehold_tenancy::{Config, Region};

use super::{Template, TemplateError, TemplateOrigin, check};

/// Valid template with its fingerprint.
#[derive(Debug)]
pub(crate) struct LoadedTemplate {
    /// Text of the template.
    pub(crate) body: String,
    pub(crate) template: Template,
    /// Hash of the text and of the settings in `[stack]` that apply to every tenant.
    pub(crate) fingerprint: String,
    /// Configured regions in which the template is deployed.
    pub(crate) regions: Vec<Region>,
}

impl LoadedTemplate {
    fn new(config: &Config, origin: &TemplateOrigin, body: String, template: Template) -> Self {
        let regions = origin.regions(config);
        Self { fingerprint: fingerprint(config, &regions, &body), body, template, regions }
    }
}

/// Template to deploy now, with the problem of a newer file that is not valid.
#[derive(Debug, Clone)]
pub(crate) struct CurrentTemplate {
    pub(crate) loaded: Arc<LoadedTemplate>,
    /// Problem of the file, if it is not valid and the previous template remains in use.
    pub(crate) refused: Option<String>,
}

/// Templates of one worker. Each origin keeps its last valid template.
pub(crate) struct TemplateSource {
    config: Arc<Config>,
    states: Mutex<SourceStates>,
}

struct SourceStates {
    /// State of the first configured region's origin, which also serves regions that are no longer configured.
    first: SourceState,
    others: BTreeMap<TemplateOrigin, SourceState>,
}

impl SourceStates {
    fn of_origin(&mut self, origin: &TemplateOrigin) -> &mut SourceState {
        self.others.get_mut(origin).unwrap_or(&mut self.first)
    }
}

struct SourceState {
    origin: TemplateOrigin,
    current: Arc<LoadedTemplate>,
    refused: Option<RefusedFile>,
}

/// File that is not valid.
struct RefusedFile {
    /// Text of the file; `None` if the file cannot be read.
    body: Option<String>,
    problem: String,
}

impl TemplateSource {
    /// Reads the templates of all regions for the first time.
    pub(crate) fn open(config: Arc<Config>) -> Result<Self, TemplateError> {
        let mut origins = TemplateOrigin::all(&config).into_iter().map(|(origin, _)| origin);
        let first = origins.next().ok_or(TemplateError::NoRegion)?;
        let first = SourceState::open(&config, first)?;
        let others = origins.map(|origin| Ok((origin.clone(), SourceState::open(&config, origin)?)));
        let others = others.collect::<Result<_, TemplateError>>()?;
        Ok(Self { config, states: Mutex::new(SourceStates { first, others }) })
    }

    /// Reads the file of a region again and returns the template to deploy. If the file is not valid, returns the
    /// previous template with the problem of the file, which is logged once.
    pub(crate) async fn current(&self, region: Region) -> CurrentTemplate {
        let origin = self.lock().of_origin(&TemplateOrigin::of_region(&self.config.stack, region)).origin.clone();
        let file = {
            let origin = origin.clone();
            tokio::task::spawn_blocking(move || origin.read()).await
        };
        let mut states = self.lock();
        let state = states.of_origin(&origin);
        if let Ok(file) = file {
            state.update(&self.config, file);
        }
        state.to_current()
    }

    /// Returns the templates of all regions with the configured parameters, as they were read last.
    pub(crate) fn release_content(&self) -> ReleaseContent {
        let states = self.lock();
        let of_regions = states
            .others
            .values()
            .flat_map(|state| state.current.regions.iter().map(|region| (*region, state.current.body.clone())));
        ReleaseContent {
            template: Some(states.first.current.body.clone()),
            region_templates: of_regions.collect(),
            urls: self.config.stack.template_urls.clone(),
            parameters: self.config.stack.parameters.clone(),
            region_parameters: BTreeMap::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SourceStates> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SourceState {
    fn open(config: &Config, origin: TemplateOrigin) -> Result<Self, TemplateError> {
        let body = origin.read()?;
        let template = origin.parse(&body)?;
        let current = Arc::new(LoadedTemplate::new(config, &origin, body, template));
        Ok(Self { origin, current, refused: None })
    }

    fn to_current(&self) -> CurrentTemplate {
        CurrentTemplate {
            loaded: Arc::clone(&self.current),
            refused: self.refused.as_ref().map(|refused| refused.problem.clone()),
        }
    }

    fn update(&mut self, config: &Config, file: Result<String, TemplateError>) {
        if let Ok(body) = &file
            && *body == self.current.body
        {
            self.refused = None;
            return;
        }
        let is_known = self.refused.as_ref().is_some_and(|refused| refused.body.as_ref() == file.as_ref().ok());
        if is_known {
            return;
        }
        let (body, problem) = match file {
            Err(error) => (None, error.to_string()),
            Ok(body) => match load(config, &self.origin, &self.current, &body) {
                Ok(loaded) => {
                    tracing::info!(fingerprint = loaded.fingerprint, "the template of the tenant stack has changed");
                    self.current = Arc::new(loaded);
                    self.refused = None;
                    return;
                }
                Err(problem) => (Some(body), problem),
            },
        };
        tracing::error!(
            problem,
            "the changed template of the tenant stack is not valid; the previous one stays in use"
        );
        self.refused = Some(RefusedFile { body, problem });
    }
}

/// Validates a template like `freehold config check`. It must fit each region that the previous template fits, because
/// environments can run there. Returns all problems as the error.
fn load(
    config: &Config,
    origin: &TemplateOrigin,
    previous: &LoadedTemplate,
    body: &str,
) -> Result<LoadedTemplate, String> {
    let fits = |region: &&Region| previous.template.fits(config, **region);
    let must_fit: Vec<Region> = previous.regions.iter().filter(fits).copied().collect();
    let problems = check::problems_of(config, origin, &must_fit, body);
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    let template = origin.parse(body).map_err(|error| error.to_string())?;
    Ok(LoadedTemplate::new(config, origin, body.to_owned(), template))
}

/// Returns the hash of a template and of the settings that decide whether AWS and Freehold accept it. Settings of other
/// regions than `regions` have no influence.
fn fingerprint(config: &Config, regions: &[Region], body: &str) -> String {
    let stack = &config.stack;
    let check_kind = match stack.check.kind {
        CheckKind::Url => "url",
        CheckKind::Invoke => "invoke",
    };
    let copies = regions.iter().filter_map(|region| Some((region, stack.template_urls.get(region)?)));
    let copies = copies.flat_map(|(region, entry)| [region.as_str(), &entry.url, &entry.sha256]);
    let parameters = stack.parameters.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    let capabilities = stack.capabilities.iter().map(|capability| capability.as_str());
    let texts = [body, &stack.url_output, &stack.function_output, check_kind].into_iter();
    // An empty text separates the lists.
    let texts = texts.chain(parameters).chain([""]).chain(copies).chain([""]).chain(capabilities);
    templates::fingerprint(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = include_str!("../../../tenancy/src/config/minimal.toml");
    const TEMPLATE: &str = "Resources: {Logs: {Type: 'AWS::Logs::LogGroup'}}\nOutputs: {FunctionUrl: {Value: x}}\n";

    #[tokio::test]
    async fn a_changed_template_is_used_only_if_it_is_valid() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        write(TEMPLATE);
        let config = format!("{CONFIG}\n[stack]\ntemplate = {:?}\n", file.path().display().to_string());
        let source = TemplateSource::open(Arc::new(Config::parse(&config).unwrap())).unwrap();
        let home = "eu-central-1".parse().unwrap();
        let first = source.current(home).await;
        assert_eq!((first.loaded.body.as_str(), &first.refused), (TEMPLATE, &None));

        write("Resources: [");
        let refused = source.current(home).await;
        assert!(refused.refused.unwrap().starts_with("stack.template: must be YAML or JSON"));
        assert_eq!(refused.loaded.fingerprint, first.loaded.fingerprint, "the previous template stays in use");

        let corrected = format!("Description: corrected\n{TEMPLATE}");
        write(&corrected);
        let second = source.current(home).await;
        assert_eq!((second.loaded.body.as_str(), &second.refused), (corrected.as_str(), &None));
        assert_ne!(second.loaded.fingerprint, first.loaded.fingerprint);

        std::fs::remove_file(file.path()).unwrap();
        let missing = source.current(home).await;
        assert!(missing.refused.unwrap().contains("cannot be read"));
        assert_eq!(missing.loaded.body, corrected);
    }

    #[tokio::test]
    async fn a_changed_template_must_fit_the_regions_of_the_previous_one() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = |text: &str| std::fs::write(file.path(), text).unwrap();
        write(TEMPLATE);
        let config = format!("{CONFIG}\n[stack]\ntemplate = {:?}\n", file.path().display().to_string());
        let config = Arc::new(Config::parse(&config).unwrap());
        let (source, home) = (TemplateSource::open(Arc::clone(&config)).unwrap(), "eu-central-1".parse().unwrap());
        let with_url = TEMPLATE.replace("Resources: {", "Resources: {Url: {Type: 'AWS::Lambda::Url'}, ");
        write(&with_url);
        let refused = source.current(home).await;
        assert!(refused.refused.unwrap().contains("AWS lacks it in eu-central-2"));
        assert_eq!(refused.loaded.body, TEMPLATE);

        // The regions that a worker finds unfit at its start are not offered.
        let source = TemplateSource::open(config).unwrap();
        let corrected = format!("Description: corrected\n{with_url}");
        write(&corrected);
        assert_eq!(source.current(home).await.loaded.body, corrected);
    }

    #[test]
    fn each_setting_that_can_correct_a_fault_changes_the_fingerprint() {
        let of = |stack: &str| {
            let config = Config::parse(&format!("{CONFIG}\n[stack]\n{stack}")).unwrap();
            let origin = TemplateOrigin::of_region(&config.stack, "eu-central-1".parse().unwrap());
            fingerprint(&config, &origin.regions(&config), TEMPLATE)
        };
        let url = |region: &str, version: &str| {
            let host = format!("freehold-templates-example.s3.{region}.amazonaws.com");
            let sha256 = "0".repeat(64);
            format!("{region} = {{url = \"https://{host}/a?versionId={version}\", sha256 = \"{sha256}\"}}")
        };
        let urls = |home: &str, other: &str| {
            let (home, other) = (url("eu-central-1", home), url("eu-central-2", other));
            format!("region_templates = {{eu-central-2 = \"x\"}}\ntemplate_urls = {{{home}, {other}}}\n")
        };
        let all = [
            of(""),
            of("url_output = \"Url\""),
            of("function_output = \"Name\""),
            of("capabilities = []"),
            of("check = {kind = \"invoke\"}"),
            of("parameters = {Size = \"1\"}"),
            of("parameters = {Size = \"2\"}"),
            of(&urls("1", "1")),
            of(&urls("2", "1")),
        ];
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len());
        assert_eq!(of(&urls("1", "1")), of(&urls("1", "2")), "the other region has a template of its own");
    }
}
