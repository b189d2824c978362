//! Sessions with encrypted parameters, policies, non-volatile indices: what no method of `Tpm` does yet.

use hardware::{LoadedKey, Recorder, SoftwareTpm, Tpm, TpmError};
use tpm2::algorithms::NameAlgorithm;
use tpm2::command::{
    ContextLoad, ContextSave, Create, Created, EvictControl, FlushContext, GetProperties, Load, NvAttributes,
    NvDefineSpace, NvPublic, NvReadPublic, NvWrite, PolicyGetDigest, PolicyPcr, ReadPublic, SelfTest, Unseal,
};
use tpm2::session::{Authorization, Secrecy, Session, SessionKind};
use tpm2::{Entity, Handle, PcrSelection, ResponseCode, template};

use crate::support::{folder, software_tpm};

const EMPTY: Authorization<'static> = Authorization::Password(&[]);
const SECRET: &[u8] = b"what only this state may read";

fn by(session: &mut Session, secrecy: Secrecy) -> Authorization<'_> {
    let mut nonce = [0; 32];
    getrandom::fill(&mut nonce).unwrap();
    Authorization::Session { session, auth_value: &[], nonce, secrecy }
}

fn policy_digest(tpm: &mut Tpm, selection: &PcrSelection) -> [u8; 32] {
    let digest = tpm.in_session(SessionKind::Trial, None, |tpm, session| {
        tpm.execute(&PolicyPcr { session: session.handle(), digest: &[], selection }, &mut [])?;
        tpm.execute(&PolicyGetDigest(session.handle()), &mut [])
    });
    digest.unwrap().try_into().unwrap()
}

fn seal(tpm: &mut Tpm, root: &LoadedKey, policy: &[u8; 32]) -> Created {
    let template = template::sealed(policy).unwrap();
    tpm.in_session(SessionKind::Hmac, Some(root), |tpm, session| {
        let [parent] = tpm.entities([root])?;
        let request = Create { parent, template: &template, auth_value: &[], data: SECRET };
        tpm.execute(&request, &mut [by(session, Secrecy::Command)])
    })
    .unwrap()
}

fn unseal(
    tpm: &mut Tpm,
    root: &LoadedKey,
    sealed: &Created,
    selection: &PcrSelection,
) -> Result<Vec<u8>, TpmError> {
    let [parent] = tpm.entities([root])?;
    let handle = tpm.execute(&Load { parent, object: sealed }, &mut [EMPTY])?;
    let object = tpm.adopt(handle, sealed.public.clone());
    // The policy session is salted as well, so that its HMAC is checked; a second session encrypts.
    tpm.in_session(SessionKind::Policy, Some(root), |tpm, policy| {
        tpm.execute(&PolicyPcr { session: policy.handle(), digest: &[], selection }, &mut [])?;
        tpm.in_session(SessionKind::Hmac, Some(root), |tpm, protection| {
            let [entity] = tpm.entities([&object])?;
            let mut sessions = [by(policy, Secrecy::Open), by(protection, Secrecy::Response)];
            Ok(tpm.execute(&Unseal(entity), &mut sessions)?.to_vec())
        })
    })
}

#[test]
fn sealed_data_opens_until_the_pcr_changes_and_never_crosses_the_bus() {
    let folder = folder();
    let exchanges = std::sync::Arc::default();
    let device = Recorder::new(SoftwareTpm::start(folder.path()).unwrap(), std::sync::Arc::clone(&exchanges));
    let mut tpm = Tpm::start(device).unwrap();
    let selection = PcrSelection::sha256(&[7]).unwrap();
    let policy = policy_digest(&mut tpm, &selection);
    let root = tpm.create_primary(Handle::OWNER, &template::storage_root_p256().unwrap()).unwrap();
    let sealed = seal(&mut tpm, &root, &policy);
    assert_eq!(unseal(&mut tpm, &root, &sealed, &selection).unwrap(), SECRET);
    for exchange in exchanges.lock().unwrap().iter() {
        for bytes in [&exchange.command, &exchange.response] {
            assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET), "the secret is on the bus");
        }
    }
    tpm.extend(7, &[1; 32]).unwrap();
    let refused = unseal(&mut tpm, &root, &sealed, &selection).unwrap_err();
    assert_eq!(refused.code().map(ResponseCode::base), Some(ResponseCode::POLICY_FAIL));
}

#[test]
fn the_activated_secret_never_crosses_the_bus() {
    let folder = folder();
    let exchanges = std::sync::Arc::default();
    let device = Recorder::new(SoftwareTpm::start(folder.path()).unwrap(), std::sync::Arc::clone(&exchanges));
    let mut tpm = Tpm::start(device).unwrap();
    let ek = tpm.endorsement_key().unwrap();
    let ak = tpm.attestation_key(hardware::AkPurpose::Enclave).unwrap();
    let credential =
        tpm2::make_credential(ek.public(), ak.name(), SECRET, &crate::support::randomness(5)).unwrap();
    assert_eq!(tpm.activate(ek.key(), &ak, &credential).unwrap().as_slice(), SECRET);
    for exchange in exchanges.lock().unwrap().iter() {
        assert!(!exchange.response.windows(SECRET.len()).any(|window| window == SECRET));
    }
}

#[test]
fn an_index_is_written_and_read_in_pieces() {
    let (_folder, mut tpm) = software_tpm();
    let index = Handle(0x0150_0001);
    assert_eq!(tpm.read_nv(index).unwrap(), None);
    for attributes in [
        NvAttributes::OWNER_WRITE | NvAttributes::OWNER_READ | NvAttributes::NO_DA,
        NvAttributes::OWNER_WRITE | NvAttributes::AUTH_READ | NvAttributes::NO_DA,
    ] {
        let index = Handle(index.0 + attributes.0 % 7);
        let public = NvPublic {
            index,
            name_algorithm: NameAlgorithm::Sha256,
            attributes,
            auth_policy: vec![],
            size: 1100,
        };
        let define = NvDefineSpace { hierarchy: Handle::OWNER, auth_value: &[], public: &public };
        tpm.execute(&define, &mut [EMPTY]).unwrap();
        let data: Vec<u8> = (0..1100u16).map(|byte| byte as u8).collect();
        for (number, chunk) in data.chunks(500).enumerate() {
            let (_, name) = tpm.execute(&NvReadPublic(index), &mut []).unwrap();
            let write = NvWrite {
                authorized_by: Entity::permanent(Handle::OWNER),
                index: Entity { handle: index, name },
                data: chunk,
                offset: number as u16 * 500,
            };
            tpm.execute(&write, &mut [EMPTY]).unwrap();
        }
        assert_eq!(tpm.read_nv(index).unwrap(), Some(data));
    }
}

#[test]
fn a_key_is_made_persistent_and_removed_again() {
    let (_folder, mut tpm) = software_tpm();
    let key = tpm.create_primary(Handle::OWNER, &template::storage_root_p256().unwrap()).unwrap();
    let persistent = Handle(0x8100_0001);
    let [object] = tpm.entities([&key]).unwrap();
    tpm.execute(&EvictControl { hierarchy: Handle::OWNER, object, persistent }, &mut [EMPTY]).unwrap();
    assert_eq!(&tpm.execute(&ReadPublic(persistent), &mut []).unwrap(), key.public());
    let object = Entity { handle: persistent, name: key.name().clone() };
    tpm.execute(&EvictControl { hierarchy: Handle::OWNER, object, persistent }, &mut [EMPTY]).unwrap();
    let absent = tpm.execute(&ReadPublic(persistent), &mut []).unwrap_err();
    assert!(absent.code().unwrap().is_absent());
}

#[test]
fn a_saved_context_comes_back_as_the_same_key() {
    let (_folder, mut tpm) = software_tpm();
    let key = tpm.create_primary(Handle::OWNER, &template::storage_root_p256().unwrap()).unwrap();
    let [entity] = tpm.entities([&key]).unwrap();
    let saved = tpm.execute(&ContextSave(entity.handle), &mut []).unwrap();
    let handle = tpm.execute(&ContextLoad(&saved), &mut []).unwrap();
    assert_ne!(handle, entity.handle);
    assert_eq!(&tpm.execute(&ReadPublic(handle), &mut []).unwrap(), key.public());
    tpm.execute(&FlushContext(handle), &mut []).unwrap();
}

#[test]
fn the_tpm_tests_itself_and_says_who_made_it() {
    let (_folder, mut tpm) = software_tpm();
    tpm.execute(&SelfTest, &mut []).unwrap();
    let properties =
        tpm.execute(&GetProperties { first: GetProperties::MANUFACTURER, count: 1 }, &mut []).unwrap();
    assert_eq!(properties, [(GetProperties::MANUFACTURER, u32::from_be_bytes(*b"IBM\0"))]);
}
