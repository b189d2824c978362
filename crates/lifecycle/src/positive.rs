//! Numbers in a configuration of which none at all makes no sense: bounds and times.

use serde::{Deserialize, Deserializer, de::Error};

/// Reads a number that is not zero; for `#[serde(deserialize_with)]`, so that the parser's word names the place.
///
/// # Errors
/// The parser's; zero.
pub fn positive<'de, D: Deserializer<'de>, N: Deserialize<'de> + Default + PartialEq>(
    deserializer: D,
) -> Result<N, D::Error> {
    let number = N::deserialize(deserializer)?;
    if number == N::default() { Err(D::Error::custom("it must be at least 1")) } else { Ok(number) }
}
