//! Alarms of CloudWatch and their states.

/// State of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlarmState {
    Ok,
    Alarm,
    /// INSUFFICIENT_DATA, or a state that Freehold does not know. It does not fire.
    Unknown,
}

/// Alarm with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    pub arn: String,
    pub state: AlarmState,
    /// AWS's reason of the state.
    pub reason: String,
}
