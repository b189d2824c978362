//! Checks, their outcomes, and the stable codes of refusals.

use alloc::string::String;

use evidence::Step;

macro_rules! reasons {
    ($($variant:ident $code:literal $text:literal)*) => {
        /// Why verified evidence is not good enough.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        pub enum Reason {
            $(#[doc = $text] #[error($text)] $variant,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
        }

        /// Every reason code of this crate's trust policies.
        pub const CODES: &[&str] = &[$($code),*];
    };
}

reasons! {
    LevelSimulated "level_simulated" "the TPM is a software one, and that was not allowed"
    LevelTooLow "level_too_low" "the chain of trust anchors is worth less than the policy wants"
    RegistersNotPolicy "pcr_selection_not_policy" "the quote covers other registers than the policy wants"
    EnclaveOther "enclave_other" "it is another enclave"
    OwnerOther "owner_other" "the enclave belongs to somebody else"
    NameOther "dns_name_other" "the enclave's certificate is for another name"
    Rollback "incarnation_rollback" "it is an earlier start of the enclave than one that was seen"
    VersionUnknown "version_unknown" "the running software is not a version that the policy accepts"
    VerdictMissing "verdict_missing" "no verdict about the node, and no logs to appraise it by"
    AgentNotAppraised "agent_not_appraised" "the node's agent is not one that the verifier saw and allows"
    AgentUnknown "agent_unknown" "the node's agent is not one that this policy pins"
    FacadeNotAppraised "facade_not_appraised" "the enclave's facade is not one that the verifier saw and allows"
    FacadeUnknown "facade_unknown" "the enclave's facade is not one that this policy pins"
    LogIncomplete "log_incomplete" "the enclave log does not tell of everything since boot"
}

/// Whether a check passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did.
    Pass,
    /// It did not, and why.
    Fail(Reason),
}

/// One line of a check list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Stable name.
    pub name: &'static str,
    /// What it means when it passes, for people.
    pub meaning: &'static str,
    /// Whether it passed.
    pub outcome: Outcome,
    /// On whose word, for people.
    pub source: String,
}

impl Check {
    /// A step of the verification, which has passed if there is anything to appraise.
    pub(crate) fn of_step(step: Step, source: &str) -> Self {
        Self { name: step.name(), meaning: step.meaning(), outcome: Outcome::Pass, source: source.into() }
    }
}

/// Something that a reader might believe and should not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotProved {
    /// Stable name.
    pub name: &'static str,
    /// The line for people.
    pub text: String,
}
