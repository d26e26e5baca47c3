//! Certificates: from the signer's to a root that the caller trusts (RFC 5280, as far as the tool checks it).
//!
//! As in the tool the time at which validity is judged is the moment at which the signer's certificate became valid: a
//! bundle has no trusted time, and an old model's certificate has expired. [`Identity`] has both ends of its validity, so
//! that whoever reads a verdict can be told.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use x509_cert::Certificate;
use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode as _, Reader as _, SliceReader};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

use super::key::{PublicKey, Sha2};
use super::{Error, MAX_PEM_BYTES};
use crate::Sha256;

/// Most certificates in a bundle: a root, two or three in between and the signer's are usual.
const MAX_CHAIN: usize = 16;

/// Most bytes of a certificate.
const MAX_CERTIFICATE_BYTES: usize = 64 << 10;

/// Most certificates that are trusted; an operating system has about 150.
const MAX_ROOTS: usize = 1024;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Most signatures that are checked while a way to a root is sought.
const MAX_CHECKS: usize = 64;

const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");

/// Extensions that may be critical and say nothing about whether a signature holds: the names of subject and keys.
const HARMLESS: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("2.5.29.17"),
    ObjectIdentifier::new_unwrap("2.5.29.14"),
    ObjectIdentifier::new_unwrap("2.5.29.35"),
];

const SIGNATURES: [(ObjectIdentifier, Sha2); 3] = [
    (
        ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
        Sha2::Sha256,
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
        Sha2::Sha384,
    ),
    (
        ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"),
        Sha2::Sha512,
    ),
];

/// Who a certificate says the signer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The subject (RFC 4514).
    pub subject: String,
    /// The root that vouches for it.
    pub root: String,
    /// Certificates from the signer's to the root, both counted.
    pub chain: usize,
    /// SHA-256 of the certificate's DER.
    pub fingerprint: Sha256,
    /// From when it is valid, seconds since 1970.
    pub not_before_s: u64,
    /// Until when it is valid, seconds since 1970.
    pub not_after_s: u64,
    /// The key with which the signer signs.
    pub key: PublicKey,
}

/// A parsed certificate with its bytes.
#[derive(Debug, Clone)]
struct Parsed {
    der: Vec<u8>,
    certificate: Certificate,
    /// What its issuer signed, byte for byte as it came.
    signed: Vec<u8>,
    extensions: Extensions,
}

#[derive(Debug, Clone, Default)]
struct Extensions {
    constraints: Option<BasicConstraints>,
    usage: Option<KeyUsage>,
    purposes: Option<ExtendedKeyUsage>,
    /// Why it cannot be used whatever else holds.
    refused: Option<String>,
}

/// Certificates that the caller trusts: those that are signed by themselves are roots, others may lie in between.
#[derive(Debug, Clone)]
pub struct Roots {
    certificates: Vec<Parsed>,
}

/// A signer's certificate and those that lead from it towards a root, for signing.
#[derive(Debug, Clone)]
pub struct Chain {
    certificates: Vec<Parsed>,
}

#[derive(Serialize)]
pub(super) struct WrittenCertificate {
    #[serde(rename = "rawBytes")]
    raw_bytes: String,
}

impl Chain {
    /// Reads a PEM file of certificates, the signer's first.
    ///
    /// # Errors
    /// [`Error::Material`] for anything else.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let certificates = read_pem("the certificate chain", pem, MAX_CHAIN)?;
        Ok(Self { certificates })
    }

    /// The certificates for a bundle that `key` signs.
    pub(super) fn certificates_of(
        &self,
        key: &PublicKey,
    ) -> Result<Vec<WrittenCertificate>, Error> {
        let first = self.certificates.first().map(Parsed::key);
        if first.is_none_or(|its| its.as_ref() != Ok(key)) {
            return Err(Error::Material {
                what: "the certificate chain",
                reason: "its first certificate is not of this private key".into(),
            });
        }
        let written = |parsed: &Parsed| WrittenCertificate {
            raw_bytes: BASE64_STANDARD.encode(&parsed.der),
        };
        Ok(self.certificates.iter().map(written).collect())
    }
}

fn read_pem(what: &'static str, pem: &str, most: usize) -> Result<Vec<Parsed>, Error> {
    let unusable = |reason: String| Error::Material { what, reason };
    if pem.len() > MAX_PEM_BYTES {
        return Err(unusable("the file is too large".into()));
    }
    let blocks = pem.split_inclusive(END);
    let blocks = blocks.filter_map(|block| block.get(block.find(BEGIN)?..));
    let read = blocks.map(|block| x509_cert::der::Document::from_pem(block));
    let read: Vec<_> = read
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(error.to_string()))?;
    if read.is_empty() || read.len() > most {
        let reason = format!("it has {} certificates, not 1 to {most}", read.len());
        return Err(unusable(reason));
    }
    // The bytes as they came: writing a certificate again might make others.
    let parsed = read.iter().map(|(_, der)| Parsed::from_der(der.as_bytes()));
    parsed.collect::<Result<_, _>>().map_err(unusable)
}

impl Parsed {
    fn from_der(der: &[u8]) -> Result<Self, String> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(format!("it has {} bytes", der.len()));
        }
        let text = |error: x509_cert::der::Error| error.to_string();
        let certificate = Certificate::from_der(der).map_err(text)?;
        // What was signed is taken from the bytes for the same reason.
        let outer = AnyRef::from_der(der).map_err(text)?;
        let mut inner = SliceReader::new(outer.value()).map_err(text)?;
        let signed = inner.tlv_bytes().map_err(text)?.to_vec();
        let extensions = Extensions::of(&certificate)?;
        Ok(Self {
            der: der.to_vec(),
            certificate,
            signed,
            extensions,
        })
    }

    fn subject(&self) -> String {
        let name = self.certificate.tbs_certificate().subject().to_string();
        name.escape_debug().to_string()
    }

    fn key(&self) -> Result<PublicKey, String> {
        PublicKey::from_certificate(self.certificate.tbs_certificate().subject_public_key_info())
    }

    fn names_issuer(&self, issuer: &Self) -> bool {
        let issued = self.certificate.tbs_certificate();
        issued.issuer() == issuer.certificate.tbs_certificate().subject()
    }

    fn is_self_issued(&self) -> bool {
        self.names_issuer(self)
    }

    /// Whether `issuer` signed it.
    fn is_signed_by(&self, issuer: &Self) -> Result<(), String> {
        let algorithm = self.certificate.signature_algorithm();
        if algorithm != self.certificate.tbs_certificate().signature() {
            return Err("it names two algorithms of its signature".into());
        }
        let known = SIGNATURES
            .into_iter()
            .find(|(oid, _)| *oid == algorithm.oid);
        let (_, digest) = known.ok_or_else(|| {
            format!(
                "its signature is of kind {}, not ECDSA with SHA-2",
                algorithm.oid
            )
        })?;
        let key = issuer.key()?;
        let signature = self.certificate.signature().as_bytes();
        let good = signature
            .is_some_and(|signature| key.signed_digest(&digest.digest(&self.signed), signature));
        if good {
            return Ok(());
        }
        Err(format!("{} did not sign it", issuer.subject()))
    }

    fn validity_s(&self) -> (u64, u64) {
        let validity = self.certificate.tbs_certificate().validity();
        (
            validity.not_before.to_unix_duration().as_secs(),
            validity.not_after.to_unix_duration().as_secs(),
        )
    }

    fn check_valid(&self, at_s: u64) -> Result<(), String> {
        let (from, until) = self.validity_s();
        if (from..=until).contains(&at_s) {
            return Ok(());
        }
        Err("it was not valid when the signer's certificate became valid".into())
    }

    /// Whether it may vouch for a certificate below which `below` others lie that are not self-issued.
    fn check_issuer(&self, below: usize) -> Result<(), String> {
        let constraints = self.extensions.constraints.as_ref();
        let Some(constraints) = constraints.filter(|constraints| constraints.ca) else {
            return Err("it is not one of an authority".into());
        };
        let longest = constraints.path_len_constraint.map(usize::from);
        if longest.is_some_and(|longest| below > longest) {
            return Err("more certificates lie below it than it allows".into());
        }
        match &self.extensions.usage {
            Some(usage) if !usage.key_cert_sign() => Err("it may not sign certificates".into()),
            _ => Ok(()),
        }
    }

    /// Whether it may sign models, as the tool decides it: for signatures, or else for code.
    fn check_signer(&self) -> Result<(), String> {
        let extensions = &self.extensions;
        let signs = extensions
            .usage
            .as_ref()
            .is_some_and(KeyUsage::digital_signature);
        let signs_code = extensions.purposes.as_ref();
        if signs || signs_code.is_some_and(|purposes| purposes.0.contains(&CODE_SIGNING)) {
            return Ok(());
        }
        Err("it may be used neither for digital signatures nor for code signing".into())
    }
}

impl Extensions {
    fn of(certificate: &Certificate) -> Result<Self, String> {
        let mut found = Self::default();
        let mut seen = Vec::new();
        for extension in certificate
            .tbs_certificate()
            .extensions()
            .into_iter()
            .flatten()
        {
            let oid = extension.extn_id;
            if seen.contains(&oid) {
                return Err(format!("it has the extension {oid} twice"));
            }
            seen.push(oid);
            let value = extension.extn_value.as_bytes();
            let text = |error: x509_cert::der::Error| format!("its extension {oid}: {error}");
            match oid {
                BASIC_CONSTRAINTS => {
                    found.constraints = Some(BasicConstraints::from_der(value).map_err(text)?);
                }
                KEY_USAGE => found.usage = Some(KeyUsage::from_der(value).map_err(text)?),
                EXTENDED_KEY_USAGE => {
                    found.purposes = Some(ExtendedKeyUsage::from_der(value).map_err(text)?);
                }
                NAME_CONSTRAINTS => {
                    found.refused = Some("it constrains names, which is not checked here".into());
                }
                _ if extension.critical && !HARMLESS.contains(&oid) => {
                    found.refused = Some(format!("its critical extension {oid} is unknown here"));
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

impl Roots {
    /// Reads a PEM file of certificates.
    ///
    /// # Errors
    /// [`Error::Material`] for anything else.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let certificates = read_pem("the roots", pem, MAX_ROOTS)?;
        Ok(Self { certificates })
    }

    /// Checks the certificates of a bundle, the signer's first.
    pub(super) fn verify(&self, chain: &[Vec<u8>]) -> Result<Identity, Error> {
        if chain.is_empty() || chain.len() > MAX_CHAIN {
            let reason = format!("{} certificates, not 1 to {MAX_CHAIN}", chain.len());
            return Err(Error::malformed("certificate chain", reason));
        }
        let parsed = chain.iter().map(|der| Parsed::from_der(der));
        let parsed: Vec<Parsed> = parsed
            .collect::<Result<_, _>>()
            .map_err(|reason| Error::malformed("certificate", reason))?;
        let Some((signer, between)) = parsed.split_first() else {
            return Err(Error::malformed("certificate chain", "it is empty"));
        };
        let refused = |reason: String| Error::Certificate {
            subject: signer.subject(),
            reason,
        };
        signer.check_signer().map_err(refused)?;
        let (not_before_s, not_after_s) = signer.validity_s();
        let mut search = Search {
            between,
            roots: &self.certificates,
            at_s: not_before_s,
            checks: 0,
            reason: "no root that is trusted vouches for it".into(),
        };
        let Some((root, length)) = search.root_of(signer, &mut vec![signer]) else {
            return Err(refused(search.reason));
        };
        let root = root.subject();
        Ok(Identity {
            subject: signer.subject(),
            root,
            chain: length,
            fingerprint: Sha256::of(&signer.der),
            not_before_s,
            not_after_s,
            key: signer.key().map_err(refused)?,
        })
    }
}

/// The way from a certificate to a root, sought with a bound on its work.
struct Search<'a> {
    between: &'a [Parsed],
    roots: &'a [Parsed],
    at_s: u64,
    checks: usize,
    /// Why the last way failed.
    reason: String,
}

impl<'a> Search<'a> {
    /// The root above `current`, and how many certificates lead there; `way` has those from the signer's to `current`.
    fn root_of(
        &mut self,
        current: &'a Parsed,
        way: &mut Vec<&'a Parsed>,
    ) -> Option<(&'a Parsed, usize)> {
        if let Err(reason) = self.usable(current, way) {
            self.reason = reason;
            return None;
        }
        let trusted = self.roots.iter().any(|root| root.der == current.der);
        if trusted && current.is_self_issued() && self.signed(current, current) {
            return Some((current, way.len()));
        }
        let candidates = self.roots.iter().chain(self.between);
        for issuer in candidates.filter(|issuer| current.names_issuer(issuer)) {
            let passed = way.iter().any(|passed| passed.der == issuer.der);
            if passed || way.len() >= MAX_CHAIN || !self.signed(current, issuer) {
                continue;
            }
            way.push(issuer);
            if let Some(found) = self.root_of(issuer, way) {
                return Some(found);
            }
            way.pop();
        }
        None
    }

    fn signed(&mut self, current: &Parsed, issuer: &Parsed) -> bool {
        self.checks = self.checks.saturating_add(1);
        if self.checks > MAX_CHECKS {
            self.reason = "there are too many ways to a root".into();
            return false;
        }
        match current.is_signed_by(issuer) {
            Ok(()) => true,
            Err(reason) => {
                self.reason = reason;
                false
            }
        }
    }

    fn usable(&self, current: &Parsed, way: &[&Parsed]) -> Result<(), String> {
        let named = |reason: String| match way.len() {
            1 => reason,
            _ => format!("{} vouches for it: {reason}", current.subject()),
        };
        if let Some(reason) = &current.extensions.refused {
            return Err(named(reason.clone()));
        }
        current.check_valid(self.at_s).map_err(named)?;
        let Some((_, above)) = way.split_first().filter(|(_, above)| !above.is_empty()) else {
            return Ok(());
        };
        // The last one is `current` itself; the signer's does not count either.
        let below = above.iter().rev().skip(1);
        let below = below.filter(|passed| !passed.is_self_issued()).count();
        current.check_issuer(below).map_err(named)
    }
}
