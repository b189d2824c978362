//! Object identifiers, as the content bytes of their DER encoding.

/// An object identifier that we know by name, held as the content bytes of its DER encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Oid(&'static [u8]);

/// Our arc, `1.2.840.113556.1.8000.2554.55694.61224.16009.30148.40745.1011567.148589` (made from a UUID, every number
/// below 2^31), followed by two more numbers below 128. Numbers of 128 bits, as below 2.25, make the X.509 code of Go
/// refuse the whole certificate, and with it Kubernetes, cert-manager and SPIRE.
macro_rules! ours {
    ($group:literal, $item:literal) => {
        Oid(&[
            0x2a, 0x86, 0x48, 0x86, 0xf7, 0x14, 0x01, 0xbe, 0x40, 0x93, 0x7a, 0x83, 0xb3, 0x0e, 0x83, 0xde,
            0x28, 0xfd, 0x09, 0x81, 0xeb, 0x44, 0x82, 0xbe, 0x29, 0xbd, 0xde, 0x6f, 0x89, 0x88, 0x6d, $group,
            $item,
        ])
    };
}

impl Oid {
    /// Key purpose of the attestation key that signs enclave tree heads.
    pub const AK_ENCLAVE: Oid = ours!(1, 1);
    /// Key purpose of the attestation key that answers Keylime verifiers.
    pub const AK_KEYLIME: Oid = ours!(1, 2);
    /// The verifier, a part of the control plane.
    pub const PART_VERIFIER: Oid = ours!(2, 1);
    /// The gateway, a part of the control plane.
    pub const PART_GATEWAY: Oid = ours!(2, 2);
    /// The signer, a part of the control plane.
    pub const PART_SIGNER: Oid = ours!(2, 3);
    /// The edge, a part of the control plane.
    pub const PART_EDGE: Oid = ours!(2, 4);
    /// The controller, a part of the control plane.
    pub const PART_CONTROLLER: Oid = ours!(2, 5);

    /// id-kp-serverAuth, RFC 5280, 4.2.1.12.
    pub const SERVER_AUTH: Oid = Oid(&[0x2b, 6, 1, 5, 5, 7, 3, 1]);
    /// id-kp-clientAuth, RFC 5280, 4.2.1.12.
    pub const CLIENT_AUTH: Oid = Oid(&[0x2b, 6, 1, 5, 5, 7, 3, 2]);
    /// tcg-kp-EKCertificate 2.23.133.8.1, TCG EK Credential Profile 2.x, 3.2.16.
    pub const TCG_EK_CERTIFICATE: Oid = Oid(&[0x67, 0x81, 0x05, 8, 1]);
    /// tcg-kp-AIKCertificate 2.23.133.8.3, TCG Credential Profiles.
    pub const TCG_AIK_CERTIFICATE: Oid = Oid(&[0x67, 0x81, 0x05, 8, 3]);

    pub(crate) const COMMON_NAME: Oid = Oid(&[0x55, 4, 3]);
    pub(crate) const SUBJECT_KEY_ID: Oid = Oid(&[0x55, 0x1d, 14]);
    pub(crate) const KEY_USAGE: Oid = Oid(&[0x55, 0x1d, 15]);
    pub(crate) const SUBJECT_ALT_NAME: Oid = Oid(&[0x55, 0x1d, 17]);
    pub(crate) const BASIC_CONSTRAINTS: Oid = Oid(&[0x55, 0x1d, 19]);
    pub(crate) const AUTHORITY_KEY_ID: Oid = Oid(&[0x55, 0x1d, 35]);
    pub(crate) const EXTENDED_KEY_USAGE: Oid = Oid(&[0x55, 0x1d, 37]);

    // RFC 5480 and RFC 5758.
    pub(crate) const EC_PUBLIC_KEY: Oid = Oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]);
    pub(crate) const P256: Oid = Oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]);
    pub(crate) const P384: Oid = Oid(&[0x2b, 0x81, 0x04, 0, 34]);
    pub(crate) const ECDSA_SHA256: Oid = Oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]);
    pub(crate) const ECDSA_SHA384: Oid = Oid(&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3]);
    // RFC 4055.
    pub(crate) const RSA: Oid = Oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]);
    pub(crate) const RSA_SHA256: Oid = Oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11]);
    pub(crate) const RSA_SHA384: Oid = Oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12]);
    pub(crate) const RSA_SHA512: Oid = Oid(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13]);

    /// The content bytes of the DER encoding, without tag and length.
    pub const fn as_bytes(&self) -> &'static [u8] {
        self.0
    }
}
