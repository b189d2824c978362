//! What happened to a licence, in the past tense.

/// An event of a licence or of one of its leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// It was issued.
    Created,
    /// It was suspended.
    Suspended,
    /// It holds again.
    Reinstated,
    /// Its expiry was moved.
    Renewed,
    /// It was ended for good.
    Revoked,
    /// It expired; told once per expiry.
    Expired,
    /// Its holder checked in.
    CheckedIn,
    /// A licence file was made.
    CheckedOut,
    /// It was locked to a node, or unlocked.
    NodeChanged,
    /// A user got a seat.
    UserAttached,
    /// A user lost a seat.
    UserDetached,
    /// An entitlement was added.
    EntitlementAttached,
    /// An entitlement was taken away.
    EntitlementDetached,
    /// An enclave took one of its places.
    LeaseTaken,
    /// The pings of an enclave stayed away; told once per life.
    HeartbeatDied,
    /// They came back in time.
    HeartbeatResurrected,
    /// An enclave will be stopped.
    StopAnnounced,
    /// It will not.
    StopWithdrawn,
    /// An enclave was stopped because of the licence.
    LeaseStopped,
}

impl Event {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "license.created",
            Self::Suspended => "license.suspended",
            Self::Reinstated => "license.reinstated",
            Self::Renewed => "license.renewed",
            Self::Revoked => "license.revoked",
            Self::Expired => "license.expired",
            Self::CheckedIn => "license.checked-in",
            Self::CheckedOut => "license.checked-out",
            Self::NodeChanged => "license.node.changed",
            Self::UserAttached => "license.users.attached",
            Self::UserDetached => "license.users.detached",
            Self::EntitlementAttached => "license.entitlements.attached",
            Self::EntitlementDetached => "license.entitlements.detached",
            Self::LeaseTaken => "lease.taken",
            Self::HeartbeatDied => "lease.heartbeat.died",
            Self::HeartbeatResurrected => "lease.heartbeat.resurrected",
            Self::StopAnnounced => "lease.stop.announced",
            Self::StopWithdrawn => "lease.stop.withdrawn",
            Self::LeaseStopped => "lease.stopped",
        }
    }
}
