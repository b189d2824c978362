//! The counter of failed authorizations, as a real software TPM keeps it.

use tpm2::algorithms::NameAlgorithm;
use tpm2::command::{NvAttributes, NvDefineSpace, NvPublic, NvRead, NvReadPublic};
use tpm2::session::Authorization;
use tpm2::{Entity, Handle, ResponseCode};

use crate::support::software_tpm;

#[test]
fn failed_authorizations_are_counted_until_the_tpm_locks_and_says_for_how_long() {
    let (_folder, mut tpm) = software_tpm();
    let fresh = tpm.lockout().unwrap();
    assert!(!fresh.locked && fresh.most > 0, "{fresh:?}");
    assert_eq!((fresh.failures, fresh.remaining()), (0, None));

    let index = Handle(0x0180_0001);
    let attributes = NvAttributes::AUTH_READ | NvAttributes::AUTH_WRITE;
    let public =
        NvPublic { index, name_algorithm: NameAlgorithm::Sha256, attributes, auth_policy: vec![], size: 1 };
    let define = NvDefineSpace { hierarchy: Handle::OWNER, auth_value: b"right", public: &public };
    tpm.execute(&define, &mut [Authorization::Password(b"")]).unwrap();
    let (_, name) = tpm.execute(&NvReadPublic(index), &mut []).unwrap();
    let index = Entity { handle: index, name };
    let read = NvRead { authorized_by: index.clone(), index, size: 1, offset: 0 };
    for failures in 1..=fresh.most {
        tpm.execute(&read, &mut [Authorization::Password(b"wrong")]).unwrap_err();
        assert_eq!(tpm.lockout().unwrap().failures, failures);
    }
    let locked = tpm.lockout().unwrap();
    assert_eq!(locked.remaining(), Some(locked.forgets_one_after));
    let refused = tpm.execute(&read, &mut [Authorization::Password(b"right")]).unwrap_err();
    assert_eq!(refused.code(), Some(ResponseCode::LOCKOUT));
}
