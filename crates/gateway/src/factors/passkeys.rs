//! Passkeys: added to an account, used instead of a password or beside one, removed.
//!
//! The challenge for a sign-in names no passkey, whoever asks: passkeys are found by the authenticator itself, so nothing here depends on a name.

use std::sync::Arc;

use ::factors::challenge::{self, Purpose};
use ::factors::webauthn::{self, AssertionParts, PublicKey, RegistrationParts, Site};
use api::Code;
use api::accounts::Tokens;
use api::bounds::PASSKEY_NAME_BYTES;
use api::factors::{
    AddPasskey, Assertion, CreationOptions, Descriptor, KeyType, Passkey, PasskeySignIn, PasskeyUser, Proof,
    RegistrationChallenge, RelyingParty, RequestOptions, Selection, SignInChallenge,
};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use base64ct::{Base64UrlUnpadded, Encoding};
use http::StatusCode;
use store::{AddedPasskey, PasskeyUse, UserId};

use super::prove;
use crate::certificate::Peer;
use crate::extract::{Caller, Json, OpenJson};
use crate::refusal::Refusal;
use crate::seen::Seen;
use crate::sessions;
use crate::shared::{Shared, now};

/// `PublicKeyCredentialType`.
const KIND: &str = "public-key";
/// What browsers call us.
const SITE_NAME: &str = "Sealwright";

/// Passkeys as their owner sees them.
pub(super) fn view(passkey: &store::Passkey) -> Passkey {
    Passkey {
        id: base64url_of_hex(&passkey.id),
        name: passkey.name.clone(),
        created_at: passkey.created_at,
        used_at: passkey.used_at,
    }
}

/// `POST /v1/me/passkeys/challenge`
pub(super) async fn begin(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Json(proof): Json<Proof>,
) -> Result<axum::Json<RegistrationChallenge>, Refusal> {
    prove(&shared, &caller, proof).await?;
    let user = caller.user.to_string();
    let challenge =
        challenge::make(&shared.sealing, Purpose::Register(&user), now()).map_err(Refusal::internal)?;
    let known = shared.store.passkeys(&caller.user).await?;
    let kind = || KIND.to_owned();
    let public_key = CreationOptions {
        challenge: Base64UrlUnpadded::encode_string(&challenge),
        rp: RelyingParty { id: shared.origin.host().into(), name: SITE_NAME.into() },
        user: PasskeyUser { id: handle(&caller.user), name: caller.name.clone(), display_name: caller.name },
        pub_key_cred_params: webauthn::ALGORITHMS.map(|alg| KeyType { kind: kind(), alg }).into(),
        timeout: challenge::LIFE * 1000,
        attestation: "none".into(),
        authenticator_selection: Selection {
            resident_key: "required".into(),
            require_resident_key: true,
            user_verification: "required".into(),
        },
        exclude_credentials: known
            .iter()
            .map(|passkey| Descriptor { kind: kind(), id: base64url_of_hex(&passkey.id) })
            .collect(),
    };
    Ok(axum::Json(RegistrationChallenge { public_key }))
}

/// `POST /v1/me/passkeys`: that it is the owner was proved when the challenge was asked for.
pub(super) async fn add(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    Json(request): Json<AddPasskey>,
) -> Result<(StatusCode, axum::Json<Passkey>), Refusal> {
    let name = request.name.trim();
    if name.is_empty() || name.len() > PASSKEY_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(Refusal::new(Code::InvalidName, "a passkey's name has 1 to 64 bytes of visible text"));
    }
    let credential = request.credential;
    let refused =
        |error| Refusal::because(Code::InvalidPasskey, format!("the passkey is refused: {error}"), error);
    if credential.kind != KIND || credential.id != credential.raw_id {
        return Err(refused(webauthn::Refused::Malformed));
    }
    let parts = || -> Result<_, webauthn::Refused> {
        let client_data = decode(&credential.response.client_data_json)?;
        Ok((decode(&credential.raw_id)?, decode(&credential.response.attestation_object)?, client_data))
    };
    let (id, attestation_object, client_data) = parts().map_err(refused)?;
    let answered = webauthn::challenge(&client_data).map_err(refused)?;
    let user = caller.user.to_string();
    let fresh = challenge::check(&shared.sealing, Purpose::Register(&user), &answered, now())
        .ok_or_else(|| refused(webauthn::Refused::Challenge))?;
    let parts =
        RegistrationParts { id: &id, client_data: &client_data, attestation_object: &attestation_object };
    let registered = webauthn::register(site(&shared), &answered, &parts).map_err(refused)?;
    let passkey = store::Passkey {
        id: registered.id(),
        user: caller.user,
        name: name.to_owned(),
        public_key: registered.public_key(),
        counter: registered.counter().into(),
        created_at: now(),
        used_at: None,
    };
    let act = seen.done(&caller.user, "passkey.add", &user);
    match shared.store.add_passkey(&passkey, &fresh.hash, fresh.ends_at, act).await? {
        AddedPasskey::Added => {
            tracing::info!(user = %caller.user, "passkey added");
            Ok((StatusCode::CREATED, axum::Json(view(&passkey))))
        }
        AddedPasskey::TooMany => {
            Err(Refusal::new(Code::PasskeyConflict, "the account has as many passkeys as allowed"))
        }
        AddedPasskey::InUse => Err(Refusal::new(Code::PasskeyConflict, "this passkey is registered")),
        AddedPasskey::Spent => Err(refused(webauthn::Refused::Challenge)),
    }
}

/// `DELETE /v1/me/passkeys/{id}`
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    seen: Seen,
    path: Result<Path<String>, PathRejection>,
    Json(proof): Json<Proof>,
) -> Result<StatusCode, Refusal> {
    let missing = || Refusal::new(Code::NotFound, "the account has no such passkey");
    let id = path.ok().and_then(|Path(text)| decode(&text).ok()).ok_or_else(missing)?;
    prove(&shared, &caller, proof).await?;
    let act = seen.done(&caller.user, "passkey.remove", &caller.user.to_string());
    if !shared.store.remove_passkey(&caller.user, &names::hex(&id), act).await? {
        return Err(missing());
    }
    tracing::info!(user = %caller.user, "passkey removed");
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/sessions/passkey-challenge`: takes nothing, so it can tell nothing.
pub(super) async fn challenge(
    State(shared): State<Arc<Shared>>,
) -> Result<axum::Json<SignInChallenge>, Refusal> {
    let challenge = challenge::make(&shared.sealing, Purpose::SignIn, now()).map_err(Refusal::internal)?;
    Ok(axum::Json(SignInChallenge {
        public_key: RequestOptions {
            challenge: Base64UrlUnpadded::encode_string(&challenge),
            rp_id: shared.origin.host().into(),
            timeout: challenge::LIFE * 1000,
            user_verification: "required".into(),
        },
    }))
}

/// `POST /v1/sessions/passkey`: two factors in one, so nothing else is asked for.
pub(super) async fn sign_in(
    State(shared): State<Arc<Shared>>,
    peer: Peer,
    seen: Seen,
    Json(request): OpenJson<PasskeySignIn>,
) -> Result<axum::Json<Tokens>, Refusal> {
    let refused = || {
        Refusal::new(Code::PasskeyRefused, "the passkey is not known here, or its answer is not acceptable")
    };
    let user = owner(&shared, &request.credential).await?.ok_or_else(refused)?;
    let user = shared.store.user(&user).await?.ok_or_else(refused)?;
    let cnf = peer.certificate().map(|certificate| certificate.thumbprint);
    sessions::open(&shared, &user, store::Proof::Passkey, &seen, cnf, u64::MAX).await.map(axum::Json)
}

/// Whose passkey has answered a challenge of ours, which is used up by this. `None` for everything that is not acceptable; why is in the log.
pub(super) async fn owner(shared: &Shared, assertion: &Assertion) -> Result<Option<UserId>, Refusal> {
    match verify(shared, assertion).await? {
        Ok(user) => Ok(Some(user)),
        Err(why) => {
            tracing::info!(reason = why, "passkey refused");
            Ok(None)
        }
    }
}

async fn verify(shared: &Shared, assertion: &Assertion) -> Result<Result<UserId, &'static str>, Refusal> {
    if assertion.kind != KIND || assertion.id != assertion.raw_id {
        return Ok(Err("malformed"));
    }
    let response = &assertion.response;
    let parts =
        [&assertion.raw_id, &response.client_data_json, &response.authenticator_data, &response.signature];
    let [Ok(id), Ok(client_data), Ok(authenticator_data), Ok(signature)] = parts.map(|text| decode(text))
    else {
        return Ok(Err("malformed"));
    };
    let Ok(answered) = webauthn::challenge(&client_data) else { return Ok(Err("malformed")) };
    let Some(fresh) = challenge::check(&shared.sealing, Purpose::SignIn, &answered, now()) else {
        return Ok(Err("challenge"));
    };
    let Some(passkey) = shared.store.passkey(&names::hex(&id)).await? else { return Ok(Err("unknown")) };
    // WebAuthn L3, 7.2, step 6: the handle has to be there and be its owner's.
    if response.user_handle.as_deref() != Some(handle(&passkey.user).as_str()) {
        return Ok(Err("user handle"));
    }
    let key = PublicKey::from_hex(&passkey.public_key)
        .map_err(|_| Refusal::internal(store::StoreError::Corrupt { column: "public_key" }))?;
    let parts = AssertionParts {
        id: &id,
        client_data: &client_data,
        authenticator_data: &authenticator_data,
        signature: &signature,
    };
    let Ok(asserted) = webauthn::verify(site(shared), &answered, &key, &parts) else {
        return Ok(Err("not acceptable"));
    };
    let counter = asserted.counter().into();
    match shared.store.use_passkey(&passkey.id, counter, &fresh.hash, fresh.ends_at, now()).await? {
        PasskeyUse::Used => Ok(Ok(passkey.user)),
        PasskeyUse::Regressed => {
            tracing::warn!(user = %passkey.user, "a passkey's counter went back: there may be a copy of it");
            Ok(Err("counter"))
        }
        PasskeyUse::Spent => Ok(Err("spent")),
        PasskeyUse::Gone => Ok(Err("gone")),
    }
}

fn site(shared: &Shared) -> Site<'_> {
    Site { origin: shared.origin.as_str(), id: shared.origin.host() }
}

fn decode(text: &str) -> Result<Vec<u8>, webauthn::Refused> {
    Base64UrlUnpadded::decode_vec(text).map_err(|_| webauthn::Refused::Malformed)
}

/// The account's opaque id: no name in it (WebAuthn L3, 14.6.1).
fn handle(user: &UserId) -> String {
    base64url_of_hex(&user.to_string())
}

/// Our own hex; what is no hex would be a row that this version does not write.
fn base64url_of_hex(hex: &str) -> String {
    let bytes: Vec<u8> = hex
        .as_bytes()
        .chunks_exact(2)
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    Base64UrlUnpadded::encode_string(&bytes)
}
