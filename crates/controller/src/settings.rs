//! What an operator decides about a controller: the same in the file of a controller alone (`controller: settings:`) and in that of `up`
//! (`controller:`).

use lifecycle::{Deadlines, positive};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an operator decides about a controller. Everything has a default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "ControllerSettings")]
pub struct Settings {
    /// How much it does at once, and how long it waits.
    pub limits: Limits,
    /// What licences do to enclaves that run.
    pub licenses: Licenses,
}

/// What licences do to enclaves that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Licenses {
    /// Seconds between the announcement of a stop and the stop.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub warning: u64,
}

impl Default for Licenses {
    fn default() -> Self {
        Self { warning: 60 }
    }
}

/// How much a controller does at once, and how long it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ControllerLimits")]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Starts at one time.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub starts: usize,
    /// Starts that wait; more are refused.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub queue: usize,
    /// Enclaves that run, start or wait; more are refused.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub enclaves: usize,
    /// Seconds after which a controller that shows no life is given up.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub lease: u64,
    /// Seconds after which a measured copy is removed that no enclave has.
    #[serde(deserialize_with = "positive")]
    #[schemars(range(min = 1))]
    pub unused_copies: u64,
    /// Seconds for each state that is no rest.
    pub deadlines: Deadlines,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            starts: 8,
            queue: 128,
            enclaves: 1024,
            lease: 15,
            unused_copies: 86_400,
            deadlines: Deadlines::default(),
        }
    }
}
