//! Values of single flags: text in, a typed value or a sentence out.

use std::time::Duration;

use super::typed::{Method, Moment, Tpm};

/// More waiting than this is a mistake in the unit.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn tpm(text: &str) -> Result<Tpm, String> {
    match text.split_once(':') {
        None if text == "swtpm" => Ok(Tpm::Software),
        Some(("device", path)) if !path.is_empty() => Ok(Tpm::Device(path.into())),
        _ => Err("expected `swtpm` or `device:PATH`, for example device:/dev/tpmrm0".into()),
    }
}

pub(crate) fn gateway(text: &str) -> Result<client::Endpoint, String> {
    client::Endpoint::from_url(text).ok_or_else(|| "expected https://HOST:PORT".into())
}

pub(crate) fn method(text: &str) -> Result<Method, String> {
    let upper = text.to_ascii_uppercase();
    match upper.as_str() {
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => Ok(Method(upper)),
        _ => Err("expected GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS".into()),
    }
}

pub(crate) fn path(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    match text.starts_with('/') && printable && !text.contains('#') {
        true => Ok(text.to_owned()),
        false => Err("expected a path that begins with `/`, percent-encoded, without a fragment".into()),
    }
}

/// `90`, `90s`, `5m` or `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("expected a time like 90s, 5m or 1h".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "expected a time like 90s, 5m or 1h".to_owned())?;
    let duration = number.checked_mul(unit).map(Duration::from_secs).ok_or("too long")?;
    match duration.is_zero() || duration > LONGEST_WAIT {
        true => Err("expected between 1s and 24h".into()),
        false => Ok(duration),
    }
}

/// Longest time of a plan: ten years.
const LONGEST_SPAN: u64 = 10 * 366 * 86_400;

/// `90s`, `5m`, `12h` or `30d`, up to ten years.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time like 90s, 5m, 12h or 30d, ten years at most".to_owned();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match seconds {
        Some(seconds) if (1..=LONGEST_SPAN).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        Some(_) | None => Err(wrong()),
    }
}

/// Unix seconds, or `YYYY-MM-DDTHH:MM:SSZ` (RFC 3339, section 5.6, UTC and whole seconds only).
pub(crate) fn moment(text: &str) -> Result<Moment, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Moment).map_err(|_| "that many seconds have never passed".to_owned());
    }
    client::time::parse(text)
        .map(Moment)
        .ok_or_else(|| "expected unix seconds or a UTC time like 2026-11-24T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tpm_is_software_or_a_device() {
        assert_eq!(tpm("swtpm"), Ok(Tpm::Software));
        assert_eq!(tpm("device:/dev/tpmrm0"), Ok(Tpm::Device("/dev/tpmrm0".into())));
        for bad in ["", "device:", "/dev/tpmrm0", "mssim:1"] {
            assert!(tpm(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn path_must_be_absolute_and_encoded() {
        assert!(path("/a?b=c").is_ok());
        for bad in ["", "a", "/a b", "/a#b", "/ä", "http://x/"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn duration_has_a_unit_and_bounds() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        for bad in ["", "0", "s", "1d", "25h", "-1", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_span_has_a_unit_and_may_be_years() {
        assert_eq!(span("30d"), Ok(Duration::from_secs(30 * 86_400)));
        assert_eq!(span("12h"), Ok(Duration::from_secs(43_200)));
        for bad in ["", "0d", "d", "5", "-1d", "4000d", "1y", "18446744073709551615d"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn moment_is_seconds_or_utc() {
        assert_eq!(moment("0"), Ok(Moment(0)));
        assert_eq!(moment("2026-11-24T12:00:00Z"), Ok(Moment(1_795_521_600)));
        for bad in ["", "yesterday", "2026-11-24", "2026-11-24T12:00:00+01:00", "99999999999999999999"] {
            assert!(moment(bad).is_err(), "{bad}");
        }
    }
}
