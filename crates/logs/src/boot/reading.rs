//! What a node policy asks of a boot log. Only data that is bound to its digest is read.

use super::{Binding, CheckedBootLog, EfiVariable, EventKind};

/// PCRs that firmware must close before it hands over (TCG PC Client Platform Firmware Profile 1.06, 3.3.4).
const FIRMWARE_PCRS: u32 = 8;
/// The PCR of Secure Boot's state.
const SECURE_BOOT_PCR: u32 = 7;
/// `EFI_GLOBAL_VARIABLE`, 8be4df61-93ca-11d2-aa0d-00e098032b8c (UEFI 2.10, 3.3).
const GLOBAL_VARIABLE: [u8; 16] =
    [0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c];

/// Whether firmware refused unsigned images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecureBoot {
    /// On.
    Enabled,
    /// Off, or the firmware has no such variable.
    Disabled,
}

/// Why a log does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadingError {
    /// A PCR of the firmware was never closed.
    #[error("no separator in PCR {pcr}")]
    NoSeparator {
        /// The PCR.
        pcr: u32,
    },
    /// A PCR was closed twice: somebody played firmware after the hand-over.
    #[error("event {event} is a second separator in PCR {pcr}")]
    SecondSeparator {
        /// The PCR.
        pcr: u32,
        /// Position of the second one.
        event: usize,
    },
    /// The firmware reports an error, or the value is not one of the profile's.
    #[error("event {event} is no separator of a successful boot")]
    SeparatorValue {
        /// Position of the event.
        event: usize,
    },
    /// Nothing says whether Secure Boot is on.
    #[error("the log does not tell the state of Secure Boot")]
    NoSecureBoot,
    /// A second statement, one after the separator, or one that is neither on nor off.
    #[error("event {event} is no trustworthy state of Secure Boot")]
    SecureBootEvent {
        /// Position of the event.
        event: usize,
    },
}

impl CheckedBootLog<'_, '_> {
    /// Each of PCR 0 to 7 has exactly one separator, and it tells of a boot without errors.
    ///
    /// # Errors
    /// The first PCR or event for which that is not so.
    pub fn separators(&self) -> Result<(), ReadingError> {
        let mut seen = 0u32;
        for (event, binding) in self.events() {
            if event.kind() != EventKind::Separator || event.pcr() >= FIRMWARE_PCRS {
                continue;
            }
            let bit = 1 << event.pcr();
            if seen & bit != 0 {
                return Err(ReadingError::SecondSeparator { pcr: event.pcr(), event: event.position() });
            }
            if binding != Binding::Whole || !matches!(event.data(), [0, 0, 0, 0] | [0xff, 0xff, 0xff, 0xff]) {
                return Err(ReadingError::SeparatorValue { event: event.position() });
            }
            seen |= bit;
        }
        match (0..FIRMWARE_PCRS).find(|pcr| seen & (1 << pcr) == 0) {
            Some(pcr) => Err(ReadingError::NoSeparator { pcr }),
            None => Ok(()),
        }
    }

    /// The `SecureBoot` variable that firmware measured into PCR 7 before it closed it. What comes after the
    /// separator can be extended by anybody who runs on the machine, so it is refused.
    ///
    /// # Errors
    /// No such event, or one that cannot be believed.
    pub fn secure_boot(&self) -> Result<SecureBoot, ReadingError> {
        let mut closed = false;
        let mut state = None;
        for (event, binding) in self.events().filter(|(event, _)| event.pcr() == SECURE_BOOT_PCR) {
            closed |= event.kind() == EventKind::Separator;
            if event.kind() != EventKind::EfiVariableDriverConfig {
                continue;
            }
            let refused = ReadingError::SecureBootEvent { event: event.position() };
            let variable =
                EfiVariable::parse(event.data()).filter(|_| binding == Binding::Whole).ok_or(refused)?;
            if *variable.guid() != GLOBAL_VARIABLE || !variable.is_named("SecureBoot") {
                continue;
            }
            if closed || state.is_some() {
                return Err(refused);
            }
            state = Some(match variable.data() {
                [1] => SecureBoot::Enabled,
                [] | [0] => SecureBoot::Disabled,
                _ => return Err(refused),
            });
        }
        state.filter(|_| closed).ok_or(ReadingError::NoSecureBoot)
    }
}
