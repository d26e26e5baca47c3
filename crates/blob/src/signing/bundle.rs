//! The bundle: key or certificate, and the signed statement, in one JSON file.

use serde::Serialize;

use super::certificate::{Chain, Identity, Roots};
use super::content::{Coverage, Tree};
use super::envelope::{Envelope, EnvelopeSignature, IN_TOTO, decoded, pae};
use super::json::{Json, Object};
use super::key::{PrivateKey, PublicKey};
use super::statement::Statement;
use super::{Error, MAX_BUNDLE_BYTES};

/// Media type of Sigstore bundles v0.3.
const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A bundle of which nothing is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    material: Material,
    envelope: Envelope,
}

/// By what the bundle wants to be checked.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    /// A key, named by a hint or not at all.
    Key(Option<String>),
    /// Certificates in DER, the signer's first.
    Chain(Vec<Vec<u8>>),
}

/// What the caller trusts.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'a> {
    /// This key.
    Key(&'a PublicKey),
    /// Whoever has a certificate that leads to one of these.
    Roots(&'a Roots),
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signer {
    /// The holder of the key that the caller trusts.
    Key(PublicKey),
    /// The holder of the key in a certificate.
    Certificate(Box<Identity>),
}

/// A statement with a good signature; only [`Bundle::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentic {
    statement: Statement,
    signer: Signer,
}

impl Authentic {
    /// What was signed.
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Who signed it.
    pub const fn signer(&self) -> &Signer {
        &self.signer
    }

    /// Holds the statement against what is there: every file that was signed, with its bytes, and no other.
    ///
    /// # Errors
    /// [`Error::Content`] with every difference.
    pub fn covers(&self, tree: &Tree) -> Result<Coverage, Error> {
        self.statement.compare(tree)
    }
}

impl Bundle {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::Malformed`], [`Error::Unsupported`] for keyless bundles.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(Error::TooLarge {
                what: "the bundle",
                bytes: bytes.len(),
                most: MAX_BUNDLE_BYTES,
            });
        }
        let mut object = Json::parse("bundle", bytes)?.object("bundle")?;
        let media_type = object.need("mediaType")?.text("mediaType")?;
        if media_type != MEDIA_TYPE {
            let reason = format!("it is {}, not {MEDIA_TYPE}", media_type.escape_debug());
            return Err(Error::malformed("bundle", reason));
        }
        let material = object.need("verificationMaterial")?;
        let material = Material::from_object(material.object("verificationMaterial")?)?;
        let envelope = object.need("dsseEnvelope")?.object("dsseEnvelope")?;
        let envelope = Envelope::from_object(envelope)?;
        // The tool writes what is absent as null.
        _ = object.take("messageSignature");
        object.finish("bundle")?;
        Ok(Self { material, envelope })
    }

    /// Whether it is made with a certificate, not with a bare key.
    pub const fn has_certificates(&self) -> bool {
        matches!(self.material, Material::Chain(_))
    }

    /// The key that the bundle names by its digest, recovered from the signature; `None` where it names none. That the key
    /// signed is settled by this; whose it is, not.
    ///
    /// # Errors
    /// [`Error::BadSignature`] where no key of that digest made this signature.
    pub fn named_key(&self) -> Result<Option<PublicKey>, Error> {
        let Material::Key(Some(hint)) = &self.material else {
            return Ok(None);
        };
        let only = self.envelope.only_signature()?;
        let found = PublicKey::recovered(&self.envelope.pae(), &only.bytes);
        let named = found
            .into_iter()
            .find(|key| key.hint().is_ok_and(|own| own == *hint));
        named.map(Some).ok_or(Error::BadSignature)
    }

    /// Checks the signature, and then the statement in itself.
    ///
    /// # Errors
    /// Whatever speaks against it; see [`Error::refutes`].
    pub fn verify(&self, trust: Trust<'_>) -> Result<Authentic, Error> {
        let only = self.envelope.only_signature()?;
        let (key, signer) = match (&self.material, trust) {
            (Material::Key(hint), Trust::Key(key)) => {
                check_hint(hint.as_deref(), key)?;
                (key.clone(), Signer::Key(key.clone()))
            }
            (Material::Chain(chain), Trust::Roots(roots)) => {
                let identity = roots.verify(chain)?;
                let signer = Signer::Certificate(Box::new(identity.clone()));
                (identity.key, signer)
            }
            (Material::Key(_), Trust::Roots(_)) => {
                return Err(Error::OtherMaterial {
                    made: "a key",
                    given: "certificates",
                });
            }
            (Material::Chain(_), Trust::Key(_)) => {
                return Err(Error::OtherMaterial {
                    made: "a certificate",
                    given: "a key",
                });
            }
        };
        if !key.signed(&self.envelope.pae(), &only.bytes) {
            return Err(Error::BadSignature);
        }
        let statement = Statement::parse(&self.envelope.payload)?;
        Ok(Authentic { statement, signer })
    }
}

fn check_hint(hint: Option<&str>, key: &PublicKey) -> Result<(), Error> {
    let trusted = key.hint()?;
    match hint {
        Some(named) if named != trusted => Err(Error::OtherKey {
            named: named.escape_debug().to_string(),
            trusted,
        }),
        _ => Ok(()),
    }
}

impl Material {
    fn from_object(mut object: Object) -> Result<Self, Error> {
        let what = "verificationMaterial";
        let key = object.take("publicKey");
        let chain = object.take("x509CertificateChain");
        if object.take("certificate").is_some() {
            return Err(Error::Unsupported {
                what: "a keyless signature",
                found: "a certificate of Sigstore with entries in a log".into(),
            });
        }
        // Neither is needed with a key or roots of one's own, and neither is believed.
        if let Some(entries) = object.take("tlogEntries") {
            entries.list("tlogEntries")?;
        }
        _ = object.take("timestampVerificationData");
        object.finish(what)?;
        match (key, chain) {
            (Some(key), None) => {
                let mut key = key.object("publicKey")?;
                let hint = key.take("hint").map(|hint| hint.text("hint")).transpose()?;
                // Earlier versions wrote the key itself, which is no reason to believe it.
                _ = (key.take("rawBytes"), key.take("keyDetails"));
                key.finish("publicKey")?;
                Ok(Self::Key(hint))
            }
            (None, Some(chain)) => {
                let mut chain = chain.object("x509CertificateChain")?;
                let listed = chain.need("certificates")?.list("certificates")?;
                chain.finish("x509CertificateChain")?;
                let listed = listed.into_iter().map(certificate);
                Ok(Self::Chain(listed.collect::<Result<_, _>>()?))
            }
            _ => {
                let reason = "there has to be either a key or a certificate chain";
                Err(Error::malformed(what, reason))
            }
        }
    }
}

fn certificate(json: Json) -> Result<Vec<u8>, Error> {
    let mut object = json.object("certificate")?;
    let bytes = decoded("rawBytes", object.need("rawBytes")?)?;
    object.finish("certificate")?;
    Ok(bytes)
}

/// Signs a statement, and writes the bundle: JSON that ends in a line break. With a chain, its first certificate has to be
/// of this key.
///
/// # Errors
/// [`Error::Material`] for a chain of another key.
pub fn sign(
    statement: &Statement,
    key: &PrivateKey,
    chain: Option<&Chain>,
) -> Result<Vec<u8>, Error> {
    let payload = statement.to_json()?;
    let envelope = Envelope {
        payload_type: IN_TOTO.into(),
        signatures: vec![EnvelopeSignature {
            key_id: String::new(),
            bytes: key.sign(&pae(IN_TOTO, &payload))?,
        }],
        payload,
    };
    let mut material = Written {
        public_key: None,
        x509_certificate_chain: None,
        tlog_entries: [],
    };
    match chain {
        None => {
            let hint = key.public().hint()?;
            material.public_key = Some(WrittenKey { hint });
        }
        Some(chain) => {
            let certificates = chain.certificates_of(&key.public())?;
            material.x509_certificate_chain = Some(WrittenChain { certificates });
        }
    }
    let bundle = WrittenBundle {
        media_type: MEDIA_TYPE,
        verification_material: material,
        dsse_envelope: &envelope,
    };
    let mut bytes =
        serde_json::to_vec(&bundle).map_err(|error| Error::malformed("bundle", error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WrittenBundle<'a> {
    media_type: &'static str,
    verification_material: Written,
    dsse_envelope: &'a Envelope,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<WrittenKey>,
    #[serde(skip_serializing_if = "Option::is_none")]
    x509_certificate_chain: Option<WrittenChain>,
    tlog_entries: [u8; 0],
}

#[derive(Serialize)]
struct WrittenKey {
    hint: String,
}

#[derive(Serialize)]
struct WrittenChain {
    certificates: Vec<super::certificate::WrittenCertificate>,
}
