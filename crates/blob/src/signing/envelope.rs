//! DSSE: what is signed is the type and the payload together (DSSE v1.0.0, protocol).

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;

use super::Error;
use super::json::{Json, Object};

/// Payload type of in-toto statements.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The bytes that a DSSE signature is over: type and payload, each with its length.
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    );
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// A payload with its signatures, nothing of it verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What kind of document the payload is.
    pub payload_type: String,
    /// The document.
    pub payload: Vec<u8>,
    /// Who signed it.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// A hint which key made it; not signed, so that it proves nothing.
    pub key_id: String,
    /// The signature's bytes; their form is the scheme's.
    pub bytes: Vec<u8>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    payload: String,
    payload_type: &'a str,
    signatures: Vec<WrittenSignature<'a>>,
}

#[derive(Serialize)]
struct WrittenSignature<'a> {
    keyid: &'a str,
    sig: String,
}

impl Serialize for Envelope {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let signatures = self.signatures.iter().map(|signature| WrittenSignature {
            keyid: &signature.key_id,
            sig: BASE64_STANDARD.encode(&signature.bytes),
        });
        let written = Written {
            payload: BASE64_STANDARD.encode(&self.payload),
            payload_type: &self.payload_type,
            signatures: signatures.collect(),
        };
        written.serialize(to)
    }
}

impl Envelope {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`Error::Malformed`] for JSON that is no envelope, has a field twice or one that is unknown, or base64 that is not
    /// the one encoding of its bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::from_object(Json::parse("envelope", bytes)?.object("envelope")?)
    }

    pub(super) fn from_object(mut object: Object) -> Result<Self, Error> {
        let payload = decoded("payload", object.need("payload")?)?;
        let payload_type = object.need("payloadType")?.text("payloadType")?;
        let listed = object.need("signatures")?.list("signatures")?;
        object.finish("envelope")?;
        let signatures = listed.into_iter().map(EnvelopeSignature::from_json);
        Ok(Self {
            payload_type,
            payload,
            signatures: signatures.collect::<Result<_, _>>()?,
        })
    }

    /// The bytes that its signatures are over.
    pub fn pae(&self) -> Vec<u8> {
        pae(&self.payload_type, &self.payload)
    }

    /// The payload of an in-toto envelope with exactly one signature, and that signature.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another type, and for no or several signatures: which of several would have to hold is a
    /// question that the form does not answer.
    pub fn only_signature(&self) -> Result<&EnvelopeSignature, Error> {
        if self.payload_type != IN_TOTO {
            let found = self.payload_type.escape_debug();
            let reason = format!("the payload is {found}, not {IN_TOTO}");
            return Err(Error::malformed("envelope", reason));
        }
        match self.signatures.as_slice() {
            [only] => Ok(only),
            several => {
                let reason = format!("{} signatures, not one", several.len());
                Err(Error::malformed("envelope", reason))
            }
        }
    }
}

impl EnvelopeSignature {
    fn from_json(json: Json) -> Result<Self, Error> {
        let mut object = json.object("signature")?;
        let key_id = match object.take("keyid") {
            Some(id) => id.text("keyid")?,
            None => String::new(),
        };
        let bytes = decoded("sig", object.need("sig")?)?;
        object.finish("signature")?;
        Ok(Self { key_id, bytes })
    }
}

pub(super) fn decoded(what: &'static str, json: Json) -> Result<Vec<u8>, Error> {
    let text = json.text(what)?;
    BASE64_STANDARD
        .decode(text)
        .map_err(|error| Error::malformed(what, error))
}
