//! Opaque ids of rows: 16 random bytes, 32 lower-case hex.

use std::fmt;
use std::str::FromStr;

use names::{NameError, hex, unhex};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Takes the bytes as they are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The bytes.
            #[must_use]
            pub const fn bytes(&self) -> [u8; 16] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                unhex(text).map(Self)
            }
        }
    };
}

id!(
    /// An account's id; it says nothing about the name.
    UserId
);
id!(
    /// A login session's id; access tokens carry it.
    SessionId
);
id!(
    /// A run of a controller; a new one at each start.
    ControllerId
);
