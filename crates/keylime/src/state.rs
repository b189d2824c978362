//! What a verifier says of an agent, in the numbers of the API.

/// An agent's state at its verifier; the number is what the API carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum OperationalState {
    /// Known to the registrar only.
    Registered = 0,
    /// Added, never asked.
    Start = 1,
    /// Added, to be asked when the verifier runs again.
    Saved = 2,
    /// Its last round was good.
    GetQuote = 3,
    /// It did not answer; asked again.
    GetQuoteRetry = 4,
    /// The key share is on its way.
    ProvideV = 5,
    /// The key share did not arrive; sent again.
    ProvideVRetry = 6,
    /// It does not answer any more.
    Failed = 7,
    /// Taken off.
    Terminated = 8,
    /// Its last round was bad.
    InvalidQuote = 9,
    /// The tenant stopped it.
    TenantFailed = 10,
}

impl OperationalState {
    const ALL: [Self; 11] = [
        Self::Registered,
        Self::Start,
        Self::Saved,
        Self::GetQuote,
        Self::GetQuoteRetry,
        Self::ProvideV,
        Self::ProvideVRetry,
        Self::Failed,
        Self::Terminated,
        Self::InvalidQuote,
        Self::TenantFailed,
    ];

    /// The number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The state with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// As the tenant prints it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registered => "Registered",
            Self::Start => "Start",
            Self::Saved => "Saved",
            Self::GetQuote => "Get Quote",
            Self::GetQuoteRetry => "Get Quote (retry)",
            Self::ProvideV => "Provide V",
            Self::ProvideVRetry => "Provide V (retry)",
            Self::Failed => "Failed",
            Self::Terminated => "Terminated",
            Self::InvalidQuote => "Invalid Quote",
            Self::TenantFailed => "Tenant Quote Failed",
        }
    }

    /// Whether others may rely on the agent, as the SPIRE plugin reads the state: 3 or 4. Whoever sets these sets them only while the last
    /// round is good and recent.
    #[must_use]
    pub const fn is_trusted(self) -> bool {
        matches!(self, Self::GetQuote | Self::GetQuoteRetry)
    }

    /// Whether rounds go on by themselves.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(
            self,
            Self::Start
                | Self::Saved
                | Self::GetQuote
                | Self::GetQuoteRetry
                | Self::ProvideV
                | Self::ProvideVRetry
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_found_by_its_number_and_no_other_number_is_one() {
        for (number, state) in (0u8..).zip(OperationalState::ALL) {
            assert_eq!(state.number(), number);
            assert_eq!(OperationalState::from_number(number), Some(state));
        }
        assert_eq!(OperationalState::from_number(11), None);
        assert_eq!(OperationalState::from_number(255), None);
    }

    /// The SPIRE plugin issues identities by the number alone.
    #[test]
    fn only_get_quote_and_its_retry_are_trusted() {
        let trusted = OperationalState::ALL.into_iter().filter(|state| state.is_trusted());
        assert!(trusted.map(OperationalState::number).eq([3, 4]));
    }
}
