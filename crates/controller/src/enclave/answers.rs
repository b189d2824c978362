//! What an enclave's task answers.

use store::StoreError;

/// Which controller does what the row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// This one has.
    Here,
    /// The one that has claimed it.
    Elsewhere,
}

/// Why a start is not even tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unstartable {
    /// There is no such row.
    NotFound,
    /// Its user does not want it to run.
    NotWanted,
    /// Another controller has it.
    Elsewhere,
    /// The node has no room.
    NoCapacity,
    /// What a former run left of it does not end.
    LeftOver,
    /// The store does not answer.
    Store,
    /// The controller is stopping.
    Stopping,
}

impl From<StoreError> for Unstartable {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => Self::NotFound,
            StoreError::WrongState => Self::NotWanted,
            StoreError::ClaimLost => Self::Elsewhere,
            _ => Self::Store,
        }
    }
}
