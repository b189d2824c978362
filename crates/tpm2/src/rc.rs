//! Response codes (TPM 2.0 Part 2, 6.6).

use core::fmt;

/// A response code other than success.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResponseCode(pub u32);

impl ResponseCode {
    /// TPM_RC_INITIALIZE: to a Startup, that the TPM is started already.
    pub const INITIALIZE: Self = Self(0x100);
    /// TPM_RC_OBJECT_MEMORY: no slot is free for another object.
    pub const OBJECT_MEMORY: Self = Self(0x902);
    /// TPM_RC_SESSION_MEMORY: no slot is free for another session.
    pub const SESSION_MEMORY: Self = Self(0x903);
    /// TPM_RC_YIELDED: the TPM gave up for now.
    pub const YIELDED: Self = Self(0x908);
    /// TPM_RC_TESTING: self tests are running.
    pub const TESTING: Self = Self(0x90a);
    /// TPM_RC_LOCKOUT: too many wrong authorization values.
    pub const LOCKOUT: Self = Self(0x921);
    /// TPM_RC_RETRY: the TPM could not begin.
    pub const RETRY: Self = Self(0x922);
    /// TPM_RC_HANDLE, wherever it is: there is no such object.
    pub const HANDLE: Self = Self(0x08b);
    /// TPM_RC_POLICY_FAIL.
    pub const POLICY_FAIL: Self = Self(0x09d);
    /// TPM_RC_INTEGRITY: a blob or credential is not for this TPM or key.
    pub const INTEGRITY: Self = Self(0x09f);

    /// The code without the number of the handle, session or parameter that it is about.
    pub fn base(self) -> Self {
        if self.0 & 0x080 != 0 { Self(self.0 & 0x0bf) } else { self }
    }

    /// Whether the same bytes may simply be sent again.
    pub fn is_retry(self) -> bool {
        matches!(self, Self::RETRY | Self::YIELDED | Self::TESTING)
    }

    /// Whether the TPM has nothing at this handle or NV index.
    pub fn is_absent(self) -> bool {
        // TPM_RC_REFERENCE_H0..2 stands for transient objects and sessions that are not loaded.
        self.base() == Self::HANDLE || matches!(self.0, 0x910..=0x916)
    }

    /// The name in the specification, without the prefix, for the codes that one meets.
    pub fn name(self) -> Option<&'static str> {
        Some(match self.base().0 {
            0x081 => "ASYMMETRIC",
            0x082 => "ATTRIBUTES",
            0x083 => "HASH",
            0x084 => "VALUE",
            0x085 => "HIERARCHY",
            0x087 => "KEY_SIZE",
            0x089 => "MODE",
            0x08a => "TYPE",
            0x08b => "HANDLE",
            0x08c => "KDF",
            0x08d => "RANGE",
            0x08e => "AUTH_FAIL",
            0x08f => "NONCE",
            0x092 => "SCHEME",
            0x095 => "SIZE",
            0x096 => "SYMMETRIC",
            0x097 => "TAG",
            0x098 => "SELECTOR",
            0x09a => "INSUFFICIENT",
            0x09b => "SIGNATURE",
            0x09c => "KEY",
            0x09d => "POLICY_FAIL",
            0x09f => "INTEGRITY",
            0x0a0 => "TICKET",
            0x0a2 => "BAD_AUTH",
            0x0a3 => "EXPIRED",
            0x0a6 => "CURVE",
            0x0a7 => "ECC_POINT",
            0x100 => "INITIALIZE",
            0x101 => "FAILURE",
            0x103 => "SEQUENCE",
            0x120 => "DISABLED",
            0x124 => "AUTH_TYPE",
            0x125 => "AUTH_MISSING",
            0x126 => "POLICY",
            0x127 => "PCR",
            0x12f => "AUTH_UNAVAILABLE",
            0x130 => "REBOOT",
            0x142 => "COMMAND_SIZE",
            0x143 => "COMMAND_CODE",
            0x144 => "AUTHSIZE",
            0x145 => "AUTH_CONTEXT",
            0x146 => "NV_RANGE",
            0x147 => "NV_SIZE",
            0x148 => "NV_LOCKED",
            0x149 => "NV_AUTHORIZATION",
            0x14a => "NV_UNINITIALIZED",
            0x14b => "NV_SPACE",
            0x14c => "NV_DEFINED",
            0x901 => "CONTEXT_GAP",
            0x902 => "OBJECT_MEMORY",
            0x903 => "SESSION_MEMORY",
            0x904 => "MEMORY",
            0x905 => "SESSION_HANDLES",
            0x906 => "OBJECT_HANDLES",
            0x907 => "LOCALITY",
            0x908 => "YIELDED",
            0x909 => "CANCELED",
            0x90a => "TESTING",
            0x910 => "REFERENCE_H0",
            0x911 => "REFERENCE_H1",
            0x912 => "REFERENCE_H2",
            0x918 => "REFERENCE_S0",
            0x920 => "NV_RATE",
            0x921 => "LOCKOUT",
            0x922 => "RETRY",
            0x923 => "NV_UNAVAILABLE",
            _ => return None,
        })
    }

    /// What a format-one code is about: "parameter 1", "handle 2", "session 1".
    fn subject(self) -> Option<(&'static str, u32)> {
        if self.0 & 0x080 == 0 {
            return None;
        }
        match (self.0 & 0x040 != 0, self.0 >> 8 & 0xf) {
            (_, 0) => None,
            (true, number) => Some(("parameter", number)),
            (false, number @ 8..) => Some(("session", number - 8)),
            (false, number) => Some(("handle", number)),
        }
    }
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "TPM_RC_{name} ({:#05x})", self.0)?,
            None => write!(f, "response code {:#05x}", self.0)?,
        }
        match self.subject() {
            Some((what, number)) => write!(f, " for {what} {number}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
