//! The TPM of this machine, where there is one: whether it can be opened, and whether it refuses because of failed tries.

use std::path::Path;
use std::time::Duration;

use hardware::{CharDevice, Lockout, Tpm};

use super::{Finding, Weight};

const DEVICE: &str = "/dev/tpmrm0";

/// Nothing where the machine has no TPM: `up` makes a software one then.
pub(super) fn look() -> Vec<Finding> {
    let path = Path::new(DEVICE);
    if !path.exists() {
        return Vec::new();
    }
    let asked = CharDevice::open(path)
        .map_err(hardware::TpmError::from)
        .and_then(|device| Tpm::start(device)?.lockout());
    match asked {
        Ok(lockout) => vec![counted(&lockout)],
        Err(error) => {
            let found = Err(server::telemetry::chain(&error));
            let mend = "put this user into the device's group (usually tss), or end what holds the device";
            vec![
                Finding::of("TPM", Weight::Wanted, found, mend)
                    .because("`up --tpm device:/dev/tpmrm0` needs it"),
            ]
        }
    }
}

fn counted(lockout: &Lockout) -> Finding {
    let Lockout { failures, most, .. } = lockout;
    let found = match lockout.remaining() {
        None => Ok(format!("{DEVICE}: {failures} of {most} failed authorizations")),
        Some(remaining) => Err(format!(
            "{DEVICE} is in lockout: {failures} of {most} failed authorizations; it forgets one every {}, so it opens in {}",
            human(lockout.forgets_one_after),
            human(remaining)
        )),
    };
    let mend = format!(
        "leave it on for that long, or `tpm2_dictionarylockout --clear-lockout` with the lockout password (after a wrong one \
         that has to wait {}); then find who fails: a password that changed, another program",
        human(lockout.recovers_after)
    );
    Finding::of("TPM", Weight::Needed, found, &mend)
        .because("a TPM in lockout refuses its keys, so no quote is made and no certificate signed")
}

fn human(time: Duration) -> String {
    match time.as_secs() {
        0 => "no time, but a restart".to_owned(),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Lockout = Lockout {
        locked: false,
        failures: 2,
        most: 32,
        forgets_one_after: Duration::from_secs(7200),
        recovers_after: Duration::from_secs(86_400),
    };

    #[test]
    fn a_tpm_that_counts_a_few_failures_is_fine() {
        let finding = counted(&FRESH);
        assert!(finding.ok && finding.mend.is_none());
        assert_eq!(finding.found, "/dev/tpmrm0: 2 of 32 failed authorizations");
    }

    #[test]
    fn a_tpm_in_lockout_says_when_it_opens_and_what_to_do() {
        let finding = counted(&Lockout { locked: true, failures: 32, ..FRESH });
        assert!(!finding.ok && finding.weight == Weight::Needed);
        assert!(finding.found.ends_with("it forgets one every 2 h, so it opens in 2 h"), "{finding:?}");
        assert!(finding.mend.is_some_and(|mend| mend.contains("has to wait 24 h")));
    }
}
