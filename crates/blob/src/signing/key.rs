//! Keys on the curves that model signing knows: P-256, P-384, P-521, each with the SHA-2 of its size.

use std::fmt;

use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use p256::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, EncodePublicKey as _, LineEnding, ObjectIdentifier,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};

use super::{Error, MAX_PEM_BYTES};

/// `id-ecPublicKey` (RFC 5480).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// A curve, by which the digest is fixed, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// secp256r1 with SHA-256.
    P256,
    /// secp384r1 with SHA-384.
    P384,
    /// secp521r1 with SHA-512.
    P521,
}

impl Curve {
    const ALL: [(Self, &'static str, ObjectIdentifier); 3] = [
        (
            Self::P256,
            "P-256",
            ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"),
        ),
        (
            Self::P384,
            "P-384",
            ObjectIdentifier::new_unwrap("1.3.132.0.34"),
        ),
        (
            Self::P521,
            "P-521",
            ObjectIdentifier::new_unwrap("1.3.132.0.35"),
        ),
    ];

    fn of_oid(oid: ObjectIdentifier) -> Option<Self> {
        let known = Self::ALL.into_iter().find(|(.., its)| *its == oid);
        known.map(|(curve, ..)| curve)
    }

    /// The digest of a message under which this curve signs.
    fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::P256 => Sha2::Sha256.digest(message),
            Self::P384 => Sha2::Sha384.digest(message),
            Self::P521 => Sha2::Sha512.digest(message),
        }
    }
}

impl fmt::Display for Curve {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.into_iter().find(|(curve, ..)| curve == self);
        f.write_str(name.map_or("", |(_, name, _)| name))
    }
}

/// A digest of certificates, where curve and digest are not bound to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sha2 {
    Sha256,
    Sha384,
    Sha512,
}

impl Sha2 {
    pub(super) fn digest(self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(message).to_vec(),
            Self::Sha384 => Sha384::digest(message).to_vec(),
            Self::Sha512 => Sha512::digest(message).to_vec(),
        }
    }
}

/// A key by which signatures are checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    point: Point,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Point {
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    P521(p521::ecdsa::VerifyingKey),
}

/// Does the same for each curve: `$do` with the key as `$key` and the curve's crate as `$curve`.
macro_rules! each_curve {
    ($point:expr, $kind:ident, |$key:ident, $curve:ident| $do:expr) => {
        match $point {
            $kind::P256($key) => {
                use p256 as $curve;
                $do
            }
            $kind::P384($key) => {
                use p384 as $curve;
                $do
            }
            $kind::P521($key) => {
                use p521 as $curve;
                $do
            }
        }
    };
}

impl PublicKey {
    /// Reads a PEM file with one `PUBLIC KEY` (SubjectPublicKeyInfo).
    ///
    /// # Errors
    /// [`Error::Material`] for anything else, and for keys on other curves.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let unusable = |reason: String| Error::Material {
            what: "the public key",
            reason,
        };
        if pem.len() > MAX_PEM_BYTES {
            return Err(unusable("the file is too large".into()));
        }
        if pem.contains("PRIVATE KEY") {
            return Err(unusable(
                "it is a private key; give the public one, and keep that one secret".into(),
            ));
        }
        let (label, der) = x509_cert::der::Document::from_pem(pem.trim())
            .map_err(|error| unusable(error.to_string()))?;
        if label != "PUBLIC KEY" {
            return Err(unusable(format!("it is a PEM file of a {label}")));
        }
        let key = SubjectPublicKeyInfoRef::from_der(der.as_bytes())
            .map_err(|error| unusable(error.to_string()))?;
        Self::from_info(key).map_err(unusable)
    }

    /// The key of a certificate.
    pub(super) fn from_certificate(info: &SubjectPublicKeyInfoOwned) -> Result<Self, String> {
        let der = info.to_der().map_err(|error| error.to_string())?;
        let info = SubjectPublicKeyInfoRef::from_der(&der).map_err(|error| error.to_string())?;
        Self::from_info(info)
    }

    fn from_info(info: SubjectPublicKeyInfoRef<'_>) -> Result<Self, String> {
        if info.algorithm.oid != EC_PUBLIC_KEY {
            return Err(format!(
                "its algorithm is {}, not an elliptic curve",
                info.algorithm.oid
            ));
        }
        let oid = info
            .algorithm
            .parameters_oid()
            .map_err(|_| "its curve is not named".to_owned())?;
        let curve = Curve::of_oid(oid)
            .ok_or_else(|| format!("its curve {oid} is none of P-256, P-384, P-521"))?;
        let der = info.to_der().map_err(|error| error.to_string())?;
        let wrong = |error: x509_cert::spki::Error| error.to_string();
        let point = match curve {
            Curve::P256 => p256::ecdsa::VerifyingKey::from_public_key_der(&der).map(Point::P256),
            Curve::P384 => p384::ecdsa::VerifyingKey::from_public_key_der(&der).map(Point::P384),
            Curve::P521 => p521::ecdsa::VerifyingKey::from_public_key_der(&der).map(Point::P521),
        };
        Ok(Self {
            point: point.map_err(wrong)?,
        })
    }

    /// Every key, on each curve, of which this is a signature over the message: at most four a curve.
    pub(super) fn recovered(message: &[u8], signature: &[u8]) -> Vec<Self> {
        let mut keys = Vec::new();
        macro_rules! recover {
            ($curve:ident, $variant:ident) => {
                if let Ok(parsed) = $curve::ecdsa::Signature::from_der(signature) {
                    let digest = Curve::$variant.digest(message);
                    let ids = (0..4).filter_map(p256::ecdsa::RecoveryId::from_byte);
                    keys.extend(ids.filter_map(|id| {
                        let key =
                            $curve::ecdsa::VerifyingKey::recover_from_prehash(&digest, &parsed, id);
                        Some(Self {
                            point: Point::$variant(key.ok()?),
                        })
                    }));
                }
            };
        }
        recover!(p256, P256);
        recover!(p384, P384);
        recover!(p521, P521);
        keys.retain(|key| key.signed(message, signature));
        keys
    }

    /// Its curve.
    pub const fn curve(&self) -> Curve {
        match self.point {
            Point::P256(_) => Curve::P256,
            Point::P384(_) => Curve::P384,
            Point::P521(_) => Curve::P521,
        }
    }

    /// Its PEM form, as OpenSSL writes it.
    ///
    /// # Errors
    /// [`Error::Material`] if the library cannot encode the key, which no key is known to cause.
    pub fn to_pem(&self) -> Result<String, Error> {
        let pem = match &self.point {
            Point::P256(key) => key.to_public_key_pem(LineEnding::LF),
            Point::P384(key) => key.to_public_key_pem(LineEnding::LF),
            Point::P521(key) => key.to_public_key_pem(LineEnding::LF),
        };
        pem.map_err(|error| Error::Material {
            what: "the public key",
            reason: error.to_string(),
        })
    }

    /// SHA-256 of its PEM form, 64 hex digits: the hint by which bundles name it.
    ///
    /// # Errors
    /// As [`PublicKey::to_pem`].
    pub fn hint(&self) -> Result<String, Error> {
        Ok(crate::Sha256::of(self.to_pem()?.as_bytes()).to_string())
    }

    /// Whether `signature`, in DER, is this key's over `message`.
    ///
    /// DER that is not the one encoding of its two numbers is refused; `s` in the upper half is not (see the module).
    pub fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.signed_digest(&self.curve().digest(message), signature)
    }

    pub(super) fn signed_digest(&self, digest: &[u8], signature: &[u8]) -> bool {
        each_curve!(&self.point, Point, |key, curve| {
            curve::ecdsa::Signature::from_der(signature).is_ok_and(|parsed| {
                parsed.to_der().as_bytes() == signature
                    && key.verify_prehash(digest, &parsed).is_ok()
            })
        })
    }
}

/// A key that signs; erased when dropped, never printed.
pub struct PrivateKey {
    scalar: Scalar,
}

enum Scalar {
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    P521(p521::ecdsa::SigningKey),
}

impl PrivateKey {
    /// Reads a PEM file with one `PRIVATE KEY` (PKCS #8) or `EC PRIVATE KEY` (SEC 1), not encrypted.
    ///
    /// # Errors
    /// [`Error::Material`] for anything else, and for keys on other curves.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let unusable = |reason: &str| Error::Material {
            what: "the private key",
            reason: reason.to_owned(),
        };
        if pem.len() > MAX_PEM_BYTES {
            return Err(unusable("the file is too large"));
        }
        if pem.contains("ENCRYPTED") {
            return Err(unusable("it is encrypted; decrypt it first"));
        }
        // `openssl ecparam -genkey` writes the curve's name before the key.
        let begin = pem.rfind("-----BEGIN").unwrap_or_default();
        let pem = pem.get(begin..).unwrap_or_default().trim();
        read_p256(pem)
            .or_else(|| read_p384(pem))
            .or_else(|| read_p521(pem))
            .map(|scalar| Self { scalar })
            .ok_or_else(|| unusable("it is no PEM file of a private key on P-256, P-384 or P-521"))
    }

    /// The key by which its signatures are checked.
    pub fn public(&self) -> PublicKey {
        let point = match &self.scalar {
            Scalar::P256(key) => Point::P256(*key.verifying_key()),
            Scalar::P384(key) => Point::P384(*key.verifying_key()),
            Scalar::P521(key) => Point::P521(*key.verifying_key()),
        };
        PublicKey { point }
    }

    /// Signs a message: DER, `s` in the lower half. The same message gives the same signature (RFC 6979).
    ///
    /// # Errors
    /// [`Error::Material`] if the library cannot sign, which no key that was read is known to cause.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let digest = self.public().curve().digest(message);
        let signature = each_curve!(&self.scalar, Scalar, |key, curve| {
            let signed: Result<curve::ecdsa::Signature, _> = key.sign_prehash(&digest);
            signed.map(|signature| signature.normalize_s().to_der().as_bytes().to_vec())
        });
        signature.map_err(|error| Error::Material {
            what: "the private key",
            reason: error.to_string(),
        })
    }
}

macro_rules! reader {
    ($name:ident, $curve:ident, $variant:ident) => {
        fn $name(pem: &str) -> Option<Scalar> {
            let key = $curve::SecretKey::from_pkcs8_pem(pem)
                .ok()
                .or_else(|| $curve::SecretKey::from_sec1_pem(pem).ok())?;
            Some(Scalar::$variant(key.into()))
        }
    };
}

reader!(read_p256, p256, P256);
reader!(read_p384, p384, P384);
reader!(read_p521, p521, P521);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrivateKey")
            .field("public", &self.public())
            .finish_non_exhaustive()
    }
}
