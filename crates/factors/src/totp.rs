//! One-time codes of authenticator apps: RFC 6238 with HMAC-SHA-1, six digits and thirty seconds, which is what every app reads.
//!
//! The HMAC is aws-lc's; truncation and steps are the standard's few lines. That a code works once is the store's part: a step that is not newer
//! than the last one used is refused there.

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::spelling::{BASE32, spell};
use crate::{NoRandom, random};

/// Length of a secret (RFC 4226, 4, R6 recommends 160 bits).
pub const SECRET_BYTES: usize = 20;
/// Seconds of one step.
pub const STEP: u64 = 30;
/// Digits of a code.
pub const DIGITS: usize = 6;
/// Steps before and after now that are accepted: clocks drift and people type (RFC 6238, 5.2).
const WINDOW: u64 = 1;

/// A secret that an authenticator app shares. No Debug; wiped when dropped.
pub struct Secret(Zeroizing<[u8; SECRET_BYTES]>);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// [`NoRandom`].
    pub fn generate() -> Result<Self, NoRandom> {
        Ok(Self(Zeroizing::new(random()?)))
    }

    /// From stored bytes; `None` where there are not exactly [`SECRET_BYTES`].
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    /// The bytes, to be sealed.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &*self.0
    }

    /// In base32, to be typed into an app.
    #[must_use]
    pub fn spelled(&self) -> Zeroizing<String> {
        Zeroizing::new(spell(&*self.0, BASE32))
    }

    /// `otpauth://totp/…`, as authenticator apps read it from a QR code. The account has only letters that need no escape but `@`.
    #[must_use]
    pub fn uri(&self, issuer: &str, account: &str) -> Zeroizing<String> {
        let (issuer, account) = (escape(issuer), escape(account));
        let secret = self.spelled();
        Zeroizing::new(format!(
            "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP}",
            *secret
        ))
    }

    /// The step whose code this is, if it is one of those around `now` (unix seconds). Every candidate is compared in full, whichever fits.
    #[must_use]
    pub fn step_of(&self, code: &str, now: u64) -> Option<u64> {
        let present = now / STEP;
        let mut found = None;
        for step in present.saturating_sub(WINDOW)..=present.saturating_add(WINDOW) {
            let same = self.code(step).as_bytes().ct_eq(code.as_bytes());
            if bool::from(same) {
                found = Some(step);
            }
        }
        found
    }

    /// The code of a step.
    #[must_use]
    pub fn code(&self, step: u64) -> Zeroizing<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &*self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let number = truncate(tag.as_ref()) % 10u32.pow(DIGITS as u32);
        Zeroizing::new(format!("{number:0DIGITS$}"))
    }
}

/// RFC 4226, 5.3: four bytes at the place that the last four bits name, without the sign.
fn truncate(tag: &[u8]) -> u32 {
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 15);
    let four = tag.get(offset..).and_then(|rest| rest.first_chunk::<4>()).copied().unwrap_or_default();
    u32::from_be_bytes(four) & 0x7fff_ffff
}

/// RFC 3986, 2.1.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc() -> Secret {
        Secret::from_bytes(b"12345678901234567890").unwrap()
    }

    /// RFC 4226, appendix D.
    #[test]
    fn codes_are_those_of_rfc_4226() {
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (step, code) in (0..).zip(codes) {
            assert_eq!(*rfc().code(step), code);
        }
    }

    /// RFC 6238, appendix B: the last six of its eight digits.
    #[test]
    fn codes_are_those_of_rfc_6238() {
        for (now, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(rfc().step_of(code, now), Some(now / STEP));
        }
    }

    #[test]
    fn codes_hold_one_step_around_now_and_no_longer() {
        let (now, secret) = (1_000_000_020, rfc());
        let present = now / STEP;
        for (step, accepted) in [
            (present - 2, false),
            (present - 1, true),
            (present, true),
            (present + 1, true),
            (present + 2, false),
        ] {
            assert_eq!(
                secret.step_of(&secret.code(step), now).is_some(),
                accepted,
                "{}",
                step as i64 - present as i64
            );
        }
    }

    /// RUSTSEC-2022-0018 was about timing; here also nothing but six digits is ever compared as equal.
    #[test]
    fn only_six_digits_are_a_code() {
        let code = rfc().code(2);
        for wrong in [
            "",
            &code[1..],
            &format!("{}0", *code),
            &format!(" {}", &code[1..]),
            "\u{ff11}\u{ff12}",
            "-59152",
        ] {
            assert_eq!(rfc().step_of(wrong, 60), None, "{wrong:?}");
        }
        assert_eq!(rfc().step_of(&code, 60), Some(2));
    }

    #[test]
    fn an_app_reads_the_address() {
        assert_eq!(
            *rfc().uri("Sealwright", "alice@b.example"),
            "otpauth://totp/Sealwright:alice%40b.example?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Sealwright&algorithm=SHA1&digits=6&period=30"
        );
    }
}
