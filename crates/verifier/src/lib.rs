//! Enrols nodes by credential activation, appraises their logs, signs verdicts.
