//! Event types of boot logs.

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal,)*) => {
        /// What an event says it measured (TCG PC Client Platform Firmware Profile 1.06, 10.4.1).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventKind {
            $($(#[$doc])* $name,)*
            /// A number that the profile does not assign.
            Unknown(u32),
        }

        impl EventKind {
            /// The kind of a number.
            #[must_use]
            pub const fn from_u32(number: u32) -> Self {
                match number {
                    $($number => Self::$name,)*
                    other => Self::Unknown(other),
                }
            }

            /// The number in the log.
            #[must_use]
            pub const fn as_u32(self) -> u32 {
                match self {
                    $(Self::$name => $number,)*
                    Self::Unknown(number) => number,
                }
            }
        }
    };
}

event_kinds! {
    /// `EV_PREBOOT_CERT`.
    PrebootCert = 0x0000_0000,
    /// `EV_POST_CODE`.
    PostCode = 0x0000_0001,
    /// `EV_NO_ACTION`: told, not extended. Nothing vouches for its data.
    NoAction = 0x0000_0003,
    /// `EV_SEPARATOR`: the end of the firmware's part of a PCR.
    Separator = 0x0000_0004,
    /// `EV_ACTION`.
    Action = 0x0000_0005,
    /// `EV_EVENT_TAG`.
    EventTag = 0x0000_0006,
    /// `EV_S_CRTM_CONTENTS`.
    SCrtmContents = 0x0000_0007,
    /// `EV_S_CRTM_VERSION`.
    SCrtmVersion = 0x0000_0008,
    /// `EV_CPU_MICROCODE`.
    CpuMicrocode = 0x0000_0009,
    /// `EV_PLATFORM_CONFIG_FLAGS`.
    PlatformConfigFlags = 0x0000_000a,
    /// `EV_TABLE_OF_DEVICES`.
    TableOfDevices = 0x0000_000b,
    /// `EV_COMPACT_HASH`.
    CompactHash = 0x0000_000c,
    /// `EV_IPL`: what boot loaders (GRUB, shim, systemd-boot) measure.
    Ipl = 0x0000_000d,
    /// `EV_IPL_PARTITION_DATA`.
    IplPartitionData = 0x0000_000e,
    /// `EV_NONHOST_CODE`.
    NonhostCode = 0x0000_000f,
    /// `EV_NONHOST_CONFIG`.
    NonhostConfig = 0x0000_0010,
    /// `EV_NONHOST_INFO`.
    NonhostInfo = 0x0000_0011,
    /// `EV_OMIT_BOOT_DEVICE_EVENTS`.
    OmitBootDeviceEvents = 0x0000_0012,
    /// `EV_POST_CODE2`.
    PostCode2 = 0x0000_0013,
    /// `EV_EFI_VARIABLE_DRIVER_CONFIG`: Secure Boot's variables, in PCR 7.
    EfiVariableDriverConfig = 0x8000_0001,
    /// `EV_EFI_VARIABLE_BOOT`.
    EfiVariableBoot = 0x8000_0002,
    /// `EV_EFI_BOOT_SERVICES_APPLICATION`.
    EfiBootServicesApplication = 0x8000_0003,
    /// `EV_EFI_BOOT_SERVICES_DRIVER`.
    EfiBootServicesDriver = 0x8000_0004,
    /// `EV_EFI_RUNTIME_SERVICES_DRIVER`.
    EfiRuntimeServicesDriver = 0x8000_0005,
    /// `EV_EFI_GPT_EVENT`.
    EfiGptEvent = 0x8000_0006,
    /// `EV_EFI_ACTION`.
    EfiAction = 0x8000_0007,
    /// `EV_EFI_PLATFORM_FIRMWARE_BLOB`.
    EfiPlatformFirmwareBlob = 0x8000_0008,
    /// `EV_EFI_HANDOFF_TABLES`.
    EfiHandoffTables = 0x8000_0009,
    /// `EV_EFI_PLATFORM_FIRMWARE_BLOB2`.
    EfiPlatformFirmwareBlob2 = 0x8000_000a,
    /// `EV_EFI_HANDOFF_TABLES2`.
    EfiHandoffTables2 = 0x8000_000b,
    /// `EV_EFI_VARIABLE_BOOT2`.
    EfiVariableBoot2 = 0x8000_000c,
    /// `EV_EFI_GPT_EVENT2`.
    EfiGptEvent2 = 0x8000_000d,
    /// `EV_EFI_HCRTM_EVENT`.
    EfiHcrtmEvent = 0x8000_0010,
    /// `EV_EFI_VARIABLE_AUTHORITY`: which key let an image start, in PCR 7.
    EfiVariableAuthority = 0x8000_00e0,
    /// `EV_EFI_SPDM_FIRMWARE_BLOB`.
    EfiSpdmFirmwareBlob = 0x8000_00e1,
    /// `EV_EFI_SPDM_FIRMWARE_CONFIG`.
    EfiSpdmFirmwareConfig = 0x8000_00e2,
    /// `EV_EFI_SPDM_DEVICE_POLICY`.
    EfiSpdmDevicePolicy = 0x8000_00e3,
    /// `EV_EFI_SPDM_DEVICE_AUTHORITY`.
    EfiSpdmDeviceAuthority = 0x8000_00e4,
}

#[cfg(test)]
mod tests {
    use super::EventKind;

    #[test]
    fn kinds_and_numbers_map_one_to_one() {
        for number in (0..0x20).chain(0x8000_0000..0x8000_0100) {
            assert_eq!(EventKind::from_u32(number).as_u32(), number);
        }
        assert_eq!(EventKind::from_u32(0x8000_00e0), EventKind::EfiVariableAuthority);
        assert_eq!(EventKind::from_u32(2), EventKind::Unknown(2));
    }
}
