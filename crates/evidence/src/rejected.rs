//! Why evidence is rejected: one variant, one stable code, one step of the check each.

/// A step of the check, in the order in which they are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The bundle can be read.
    Form,
    /// It answers this question, asked by this client, now.
    Challenge,
    /// It was made for this connection and its certificate.
    Channel,
    /// A TPM signed it.
    Quote,
    /// The signing key is a certified attestation key of the node.
    Key,
    /// The quoted registers are the ones shown.
    Registers,
    /// The enclave is running, and is the one that was started and keyed.
    EnclaveLog,
    /// The verifier vouches for the node's state.
    Verdict,
    /// Boot log and file measurements replay to the quoted registers.
    NodeLogs,
}

impl Step {
    /// All steps, in order.
    pub const ALL: &[Self] = &[
        Self::Form,
        Self::Challenge,
        Self::Channel,
        Self::Quote,
        Self::Key,
        Self::Registers,
        Self::EnclaveLog,
        Self::Verdict,
        Self::NodeLogs,
    ];

    /// The step's stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Challenge => "challenge",
            Self::Channel => "channel",
            Self::Quote => "quote",
            Self::Key => "key",
            Self::Registers => "registers",
            Self::EnclaveLog => "enclave_log",
            Self::Verdict => "verdict",
            Self::NodeLogs => "node_logs",
        }
    }

    /// What it means when the step passes.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Form => "The bundle can be read",
            Self::Challenge => "It answers this question, asked by this client, now",
            Self::Channel => "It was made for this connection and its certificate",
            Self::Quote => "A TPM signed it",
            Self::Key => "The signing key is a certified attestation key of the node",
            Self::Registers => "The quoted registers are the ones shown",
            Self::EnclaveLog => "The enclave is running, and is the one that was started and keyed",
            Self::Verdict => "The verifier vouches for the node's state",
            Self::NodeLogs => "Boot log and file measurements replay to the quoted registers",
        }
    }
}

macro_rules! rejections {
    ($($variant:ident $code:literal $step:ident $text:literal)*) => {
        /// Why evidence is rejected. The first failing check decides.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        pub enum Rejected {
            $(#[doc = $text] #[error($text)] $variant,)*
        }

        impl Rejected {
            /// Every variant.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable reason code.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }

            /// The step of the check that failed.
            #[must_use]
            pub const fn step(self) -> Step {
                match self { $(Self::$variant => Step::$step,)* }
            }
        }

        /// Every reason code of this crate.
        pub const CODES: &[&str] = &[$($code),*];
    };
}

rejections! {
    TooLarge "evidence_too_large" Form "evidence is larger than any honest one"
    Malformed "evidence_malformed" Form "evidence is not in the documented format"
    StatementMalformed "statement_malformed" Form "the statement can't be read"
    StatementInconsistent "statement_inconsistent" Form "the statement's fields do not fit its purpose"
    ChallengeExpired "challenge_expired" Challenge "the challenge is too old or not yet made"
    PurposeMismatch "purpose_mismatch" Challenge "the evidence was made for another purpose"
    NonceMismatch "nonce_mismatch" Challenge "the evidence answers another nonce"
    AudienceMismatch "audience_mismatch" Challenge "the evidence was made for another asker"
    RequestMismatch "request_mismatch" Challenge "the evidence was made for another request"
    KeyMismatch "request_key_mismatch" Challenge "the request's key is not the enclave's key"
    CertificateMissing "certificate_missing" Channel "the evidence lacks the enclave's certificate"
    CertificateMismatch "certificate_mismatch" Channel "the peer showed another certificate than the evidence speaks of"
    CertificateMalformed "certificate_malformed" Channel "the enclave's certificate can't be read"
    CertificateKeyMismatch "certificate_key_mismatch" Channel "the certificate's key is not the enclave's key"
    CertificateNameMismatch "certificate_name_mismatch" Channel "the certificate does not name the enclave"
    ChannelMissing "channel_missing" Channel "the evidence is bound to no channel, and this client requires one"
    ChannelMismatch "channel_mismatch" Channel "the evidence was made for another connection"
    ProofInvalid "proof_invalid" Quote "the inclusion proof has an impossible form"
    QuoteMalformed "quote_malformed" Quote "the quote can't be read"
    QuoteData "quote_data_mismatch" Quote "the quote does not commit to this statement"
    SignatureMalformed "signature_malformed" Quote "the quote's signature can't be read"
    QuoteSignature "quote_signature" Quote "the quote's signature is wrong"
    KeyMalformed "ak_malformed" Key "the attestation key can't be read"
    KeyAttributes "ak_attributes" Key "the signing key is not a restricted key made in the TPM"
    KeyHierarchy "ak_hierarchy" Key "the signing key is not a primary of the endorsement hierarchy"
    KeyName "ak_name_mismatch" Key "the statement names another attestation key"
    KeyChain "ak_chain" Key "the attestation key's certificate leads to no trusted anchor"
    KeyPurpose "ak_purpose" Key "the attestation key is not certified for statements about enclaves"
    KeyCertificate "ak_certificate_mismatch" Key "the certificate is for another attestation key"
    KeyNode "ak_node_mismatch" Key "the attestation key belongs to another node"
    Selection "pcr_selection" Registers "the quoted registers are not of the SHA-256 bank, or not the ones shown"
    PcrValues "pcr_values" Registers "the shown register values are not the quoted ones"
    LogMalformed "log_malformed" EnclaveLog "the enclave log can't be read"
    LogReplay "log_replay" EnclaveLog "the enclave log does not replay to the quoted register"
    LogCount "log_count" EnclaveLog "the statement speaks for another number of events"
    LogHidden "log_hidden_entry" EnclaveLog "an event of this very enclave is hidden"
    NeverStarted "enclave_never_started" EnclaveLog "the log has no start of this enclave"
    NotKeyed "enclave_not_keyed" EnclaveLog "the log has no key of this enclave's present start"
    Stopped "enclave_stopped" EnclaveLog "the enclave has been stopped"
    LogMismatch "log_statement_mismatch" EnclaveLog "statement and log disagree about the enclave"
    VerdictMalformed "verdict_malformed" Verdict "the verdict can't be read"
    VerdictChain "verdict_chain" Verdict "the verdict's signer leads to no trusted anchor or is no verifier"
    VerdictSignature "verdict_signature" Verdict "the verdict's signature is wrong"
    VerdictExpired "verdict_expired" Verdict "the verdict has expired, lives too long, or is of the future"
    VerdictStatus "verdict_not_affirming" Verdict "the verifier does not affirm the node"
    VerdictKey "verdict_other_key" Verdict "the verdict is about another attestation key"
    VerdictNode "verdict_other_node" Verdict "the verdict is about another node"
    VerdictBoot "verdict_other_boot" Verdict "the node was reset since the verdict"
    VerdictRegisters "verdict_registers" Verdict "the quoted boot registers are not the appraised ones"
    BootLogMalformed "boot_log_malformed" NodeLogs "the boot log can't be read"
    BootLogReplay "boot_log_replay" NodeLogs "the boot log does not replay to the quoted registers"
    BootLogData "boot_log_data" NodeLogs "an event of the boot log holds other data than was measured"
    ImaMalformed "ima_malformed" NodeLogs "the IMA list can't be read"
    ImaReplay "ima_replay" NodeLogs "no prefix of the IMA list replays to the quoted register"
    NodeLogsMissing "node_logs_missing" NodeLogs "evidence about the node lacks its boot log or IMA list"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        for (i, code) in CODES.iter().enumerate() {
            assert!(!CODES[..i].contains(code), "{code}");
        }
    }
}
