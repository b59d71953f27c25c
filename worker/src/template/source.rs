//! Source of the tenant stack's template. The file is read again for each deployment, so that a corrected template
//! needs no restart of the worker.

use std::sync::{Arc, Mutex, PoisonError};

use freehold_tenancy::Config;
use freehold_tenancy::db::fleet_holds::templates;

use super::{Template, TemplateError, check, read};

/// Valid template with its fingerprint.
#[derive(Debug)]
pub(crate) struct LoadedTemplate {
    /// Text of the template.
    pub(crate) body: String,
    pub(crate) template: Template,
    /// Hash of the text and of the settings in `[stack]` that apply to every tenant.
    pub(crate) fingerprint: String,
}

/// Template to deploy now, with the problem of a newer file that is not valid.
#[derive(Debug, Clone)]
pub(crate) struct CurrentTemplate {
    pub(crate) loaded: Arc<LoadedTemplate>,
    /// Problem of the file, if it is not valid and the previous template remains in use.
    pub(crate) refused: Option<String>,
}

/// Template file of one worker. It keeps the last valid template.
pub(crate) struct TemplateSource {
    config: Arc<Config>,
    state: Mutex<SourceState>,
}

struct SourceState {
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
    /// Reads the template for the first time.
    pub(crate) fn open(config: Arc<Config>) -> Result<Self, TemplateError> {
        let body = read(&config.stack)?;
        let template = Template::parse(&body)?;
        let current = Arc::new(LoadedTemplate { fingerprint: fingerprint(&config, &body), body, template });
        Ok(Self { config, state: Mutex::new(SourceState { current, refused: None }) })
    }

    /// Reads the file again and returns the template to deploy. If the file is not valid, returns the previous template
    /// with the problem of the file, which is logged once.
    pub(crate) async fn current(&self) -> CurrentTemplate {
        let config = Arc::clone(&self.config);
        let file = tokio::task::spawn_blocking(move || read(&config.stack)).await;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(file) = file {
            state.update(&self.config, file);
        }
        state.to_current()
    }
}

impl SourceState {
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
            Ok(body) => match load(config, &body) {
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

/// Validates a template like `freehold config check`. Returns all problems as the error.
fn load(config: &Config, body: &str) -> Result<LoadedTemplate, String> {
    let problems = check::check_text(config, body).problems;
    if !problems.is_empty() {
        return Err(problems.join("; "));
    }
    let template = Template::parse(body).map_err(|error| error.to_string())?;
    Ok(LoadedTemplate { fingerprint: fingerprint(config, body), body: body.to_owned(), template })
}

/// Returns the hash of a template and of the settings that decide whether AWS and Freehold accept it.
fn fingerprint(config: &Config, body: &str) -> String {
    let stack = &config.stack;
    let settings = stack.parameters.iter().flat_map(|(name, value)| [name, value]);
    let settings = settings.chain([&stack.url_output, &stack.function_output]);
    templates::fingerprint(std::iter::once(body).chain(settings.map(String::as_str)))
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
        let first = source.current().await;
        assert_eq!((first.loaded.body.as_str(), &first.refused), (TEMPLATE, &None));

        write("Resources: [");
        let refused = source.current().await;
        assert!(refused.refused.unwrap().starts_with("stack.template: must be YAML or JSON"));
        assert_eq!(refused.loaded.fingerprint, first.loaded.fingerprint, "the previous template stays in use");

        let corrected = format!("Description: corrected\n{TEMPLATE}");
        write(&corrected);
        let second = source.current().await;
        assert_eq!((second.loaded.body.as_str(), &second.refused), (corrected.as_str(), &None));
        assert_ne!(second.loaded.fingerprint, first.loaded.fingerprint);

        std::fs::remove_file(file.path()).unwrap();
        let missing = source.current().await;
        assert!(missing.refused.unwrap().contains("cannot be read"));
        assert_eq!(missing.loaded.body, corrected);
    }
}
