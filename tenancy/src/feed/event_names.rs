//! Names of the tenant and the environment of an event.

use serde_json::Value;

/// Names of the tenant and the environment of an event at the time at which the event gets its position. They are
/// stored with the event, so that each reader and each delivery gets the same text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventNames {
    /// Id of the tenant in the SaaS; `None` if the tenant has none, or for an event of the fleet.
    pub external_id: Option<String>,
    /// Name of the environment; `None` for an event that concerns no environment.
    pub environment: Option<String>,
    /// Home region of the environment; `None` for an event that concerns no environment.
    pub home_region: Option<String>,
}

impl EventNames {
    /// Adds the names to the data of an event.
    pub fn add_to(self, mut data: Value) -> Value {
        if let Some(fields) = data.as_object_mut() {
            let names = [
                ("external_id", self.external_id),
                ("environment", self.environment),
                ("home_region", self.home_region),
            ];
            fields.extend(names.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))));
        }
        data
    }
}
