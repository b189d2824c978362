//! Paths inside an app's file system: absolute, normalised, never the root itself.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest path and longest symlink target, in bytes: Linux's `PATH_MAX`.
pub const MAX_PATH: usize = 4096;
const MAX_COMPONENT: usize = 255;

/// Why a text is not a path inside an app's file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Does not begin with `/`.
    #[error("the path is not absolute")]
    NotAbsolute,
    /// The root, an empty, `.` or `..` component, or a slash at the end.
    #[error("the path is not in its shortest form")]
    NotNormal,
    /// Holds a NUL byte or a line break.
    #[error("the path holds a control character")]
    Control,
    /// Longer than [`MAX_PATH`], or with a component of more than 255 bytes.
    #[error("the path or one of its components is too long")]
    TooLong,
}

/// An absolute path without `.`, `..`, empty components or a slash at the end; never `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

impl FilePath {
    /// The path, with its leading slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path below the root, without the leading slash: safe to join to a folder of the host.
    #[must_use]
    pub fn relative(&self) -> &str {
        self.0.strip_prefix('/').unwrap_or(&self.0)
    }

    /// The directory that holds it; `None` when that is the root.
    #[must_use]
    pub fn parent(&self) -> Option<FilePath> {
        let (parent, _) = self.0.rsplit_once('/')?;
        (!parent.is_empty()).then(|| Self(parent.to_owned()))
    }

    /// Whether `self` is `directory` or lies below it.
    #[must_use]
    pub fn is_within(&self, directory: &FilePath) -> bool {
        self.0.strip_prefix(directory.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The path of something directly inside this directory.
    ///
    /// # Errors
    /// [`PathError`] where `name` is not one plain component.
    pub fn join(&self, name: &str) -> Result<FilePath, PathError> {
        if name.contains('/') {
            return Err(PathError::NotNormal);
        }
        alloc::format!("{}/{name}", self.0).parse()
    }
}

impl FromStr for FilePath {
    type Err = PathError;
    fn from_str(text: &str) -> Result<Self, PathError> {
        if text.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        let rest = text.strip_prefix('/').ok_or(PathError::NotAbsolute)?;
        for component in rest.split('/') {
            if component.is_empty() || component == "." || component == ".." {
                return Err(PathError::NotNormal);
            }
            if component.len() > MAX_COMPONENT {
                return Err(PathError::TooLong);
            }
        }
        if text.chars().any(char::is_control) {
            return Err(PathError::Control);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_the_shortest_absolute_form_is_a_path() {
        let cases = [
            ("usr/bin", Err(PathError::NotAbsolute)),
            ("", Err(PathError::NotAbsolute)),
            ("/", Err(PathError::NotNormal)),
            ("//usr", Err(PathError::NotNormal)),
            ("/usr/", Err(PathError::NotNormal)),
            ("/usr/../etc", Err(PathError::NotNormal)),
            ("/usr/./bin", Err(PathError::NotNormal)),
            ("/usr\0/bin", Err(PathError::Control)),
            ("/usr\nbin", Err(PathError::Control)),
            ("/usr/bin/..hello", Ok(())),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<FilePath>().map(|_| ()), expected, "{text:?}");
        }
        assert_eq!(alloc::format!("/{}", "a".repeat(256)).parse::<FilePath>(), Err(PathError::TooLong));
        assert_eq!("/a".repeat(2049).parse::<FilePath>(), Err(PathError::TooLong));
    }

    #[test]
    fn a_name_that_only_begins_like_a_directory_is_not_within_it() {
        let within = |path: &str, directory: &str| {
            path.parse::<FilePath>().unwrap().is_within(&directory.parse().unwrap())
        };
        assert!(within("/tmp", "/tmp"));
        assert!(within("/tmp/a", "/tmp"));
        assert!(!within("/tmpfs", "/tmp"));
    }
}
