//! Chains of certificates: one that holds, and what breaks it.

use std::time::Duration;

use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder as _, CertificateBuilder};
use x509_cert::der::asn1::{ObjectIdentifier, OctetString, UtcTime};
use x509_cert::der::flagset::FlagSet;
use x509_cert::der::{DecodePem as _, Encode as _};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};
use x509_cert::{Certificate, TbsCertificate};

use super::*;

/// What a certificate says, to be spoiled by a test.
#[derive(Clone)]
struct Plan {
    subject: &'static str,
    issuer: &'static str,
    from_s: u64,
    until_s: u64,
    extensions: Vec<Extension>,
}

impl BuilderProfile for Plan {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.parse().unwrap()
    }

    fn get_subject(&self) -> Name {
        self.subject.parse().unwrap()
    }

    fn build_extensions(
        &self,
        _: SubjectPublicKeyInfoRef<'_>,
        _: SubjectPublicKeyInfoRef<'_>,
        _: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        Ok(self.extensions.clone())
    }
}

fn extension<'a, E>(value: &'a E) -> Extension
where
    &'a E: ToExtension,
    <&'a E as ToExtension>::Error: std::fmt::Debug,
{
    value.to_extension(&Name::default(), &[]).unwrap()
}

fn constraints(ca: bool, path_len_constraint: Option<u8>) -> Extension {
    extension(&BasicConstraints {
        ca,
        path_len_constraint,
    })
}

fn usage(usage: impl Into<FlagSet<KeyUsages>>) -> Extension {
    extension(&KeyUsage(usage.into()))
}

const CODE_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.3");
const SERVER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const DAY_S: u64 = 86_400;
const BEGIN_S: u64 = 20_000 * DAY_S;

impl Plan {
    fn authority(subject: &'static str, issuer: &'static str) -> Self {
        Self {
            subject,
            issuer,
            from_s: BEGIN_S,
            until_s: BEGIN_S + 100 * DAY_S,
            extensions: vec![constraints(true, None), usage(KeyUsages::KeyCertSign)],
        }
    }

    fn signer(issuer: &'static str) -> Self {
        Self {
            from_s: BEGIN_S + DAY_S,
            until_s: BEGIN_S + 2 * DAY_S,
            extensions: vec![constraints(false, None), usage(KeyUsages::DigitalSignature)],
            ..Self::authority("CN=signer", issuer)
        }
    }

    /// The certificate of key number `subject`, signed by key number `issuer`, in PEM.
    fn made(self, subject: u8, issuer: u8) -> String {
        use p256::pkcs8::{EncodePublicKey as _, LineEnding};
        use x509_cert::der::EncodePem as _;
        let pem = key(subject)
            .verifying_key()
            .to_public_key_pem(LineEnding::LF)
            .unwrap();
        let info = SubjectPublicKeyInfoOwned::from_pem(&pem).unwrap();
        let time = |s| Time::UtcTime(UtcTime::from_unix_duration(Duration::from_secs(s)).unwrap());
        let validity = Validity::new(time(self.from_s), time(self.until_s));
        let builder = CertificateBuilder::new(self, SerialNumber::from(subject), validity, info);
        let signed = builder
            .unwrap()
            .build::<_, p256::ecdsa::DerSignature>(&key(issuer));
        signed.unwrap().to_pem(LineEnding::LF).unwrap()
    }
}

fn key(number: u8) -> p256::ecdsa::SigningKey {
    p256::ecdsa::SigningKey::from_slice(&[number; 32]).unwrap()
}

fn private(number: u8) -> PrivateKey {
    use p256::pkcs8::{EncodePrivateKey as _, LineEnding};
    let secret = p256::SecretKey::from_slice(&[number; 32]).unwrap();
    PrivateKey::from_pem(&secret.to_pkcs8_pem(LineEnding::LF).unwrap()).unwrap()
}

const ROOT: u8 = 1;
const BETWEEN: u8 = 2;
const SIGNER: u8 = 3;

fn root() -> Plan {
    Plan::authority("CN=root", "CN=root")
}

fn between() -> Plan {
    Plan::authority("CN=between", "CN=root")
}

/// Signs the little model under a chain, and verifies by roots.
fn judge(chain: &[String], roots: &[String]) -> Result<Coverage, Error> {
    let chain = Chain::from_pem(&chain.concat())?;
    let bundle = sign(&statement(Layout::FILES), &private(SIGNER), Some(&chain))?;
    let roots = Roots::from_pem(&roots.concat())?;
    verify(&bundle, Trust::Roots(&roots), &FILES)
}

/// The usual three with each of them spoiled in some way.
fn spoiled(root: Plan, between: Plan, signer: Plan) -> Result<Coverage, Error> {
    let root = root.made(ROOT, ROOT);
    judge(
        &[signer.made(SIGNER, BETWEEN), between.made(BETWEEN, ROOT)],
        &[root],
    )
}

fn refused(verdict: Result<Coverage, Error>, says: &str) {
    let error = verdict.unwrap_err();
    assert!(
        error.refutes() && error.to_string().contains(says),
        "{error}, not: {says}"
    );
}

#[test]
fn a_chain_to_a_root_holds() {
    let signer = || Plan::signer("CN=between");
    assert!(spoiled(root(), between(), signer()).is_ok());
    // Signed by the root, with the root in the bundle or not.
    let direct = Plan::signer("CN=root").made(SIGNER, ROOT);
    let root = root().made(ROOT, ROOT);
    assert!(judge(std::slice::from_ref(&direct), std::slice::from_ref(&root)).is_ok());
    assert!(judge(&[direct, root.clone()], std::slice::from_ref(&root)).is_ok());
    // What lies between may come from the caller; certificates that lead nowhere are no harm.
    let (between, signer) = (
        between().made(BETWEEN, ROOT),
        signer().made(SIGNER, BETWEEN),
    );
    let stray = Plan::authority("CN=between", "CN=nobody").made(9, 8);
    assert!(
        judge(
            std::slice::from_ref(&signer),
            &[root.clone(), between.clone()]
        )
        .is_ok()
    );
    assert!(judge(&[signer, stray, between], &[root]).is_ok());
    // Code signing instead of digital signatures.
    let mut coder = Plan::signer("CN=between");
    coder.extensions = vec![extension(&ExtendedKeyUsage(vec![SERVER, CODE_SIGNING]))];
    assert!(spoiled(self::root(), self::between(), coder).is_ok());
}

#[test]
fn a_chain_that_leads_elsewhere_does_not_hold() {
    let root_pem = root().made(ROOT, ROOT);
    let between_pem = between().made(BETWEEN, ROOT);
    let signer = Plan::signer("CN=between").made(SIGNER, BETWEEN);
    let none = "no root";
    refused(
        judge(
            std::slice::from_ref(&signer),
            std::slice::from_ref(&root_pem),
        ),
        none,
    );
    // The root in the bundle is the signer's own word.
    let other = Plan::authority("CN=other", "CN=other").made(9, 9);
    refused(
        judge(
            &[signer.clone(), between_pem.clone(), root_pem.clone()],
            &[other],
        ),
        none,
    );
    // A root of the same name with another key.
    let twin = root().made(9, 9);
    refused(
        judge(&[signer.clone(), between_pem.clone()], &[twin]),
        "did not sign it",
    );
    // Not a root but what lies below it is trusted: as in the tool, that is not enough.
    refused(
        judge(
            std::slice::from_ref(&signer),
            std::slice::from_ref(&between_pem),
        ),
        none,
    );
    // A signer who calls himself root.
    let mut own = Plan::signer("CN=signer");
    own.extensions = vec![
        constraints(true, None),
        usage(KeyUsages::DigitalSignature | KeyUsages::KeyCertSign),
    ];
    refused(
        judge(&[own.made(SIGNER, SIGNER)], std::slice::from_ref(&root_pem)),
        none,
    );
    // A signature of another key below the right name.
    let forged = Plan::signer("CN=between").made(SIGNER, 9);
    refused(
        judge(
            &[forged, between_pem.clone()],
            std::slice::from_ref(&root_pem),
        ),
        "did not sign it",
    );
    // Two that vouch for each other.
    let one = Plan::authority("CN=between", "CN=loop").made(BETWEEN, 9);
    let two = Plan::authority("CN=loop", "CN=between").made(9, BETWEEN);
    refused(judge(&[signer, one, two], &[root_pem]), none);
}

#[test]
fn only_an_authority_vouches() {
    let signer = || Plan::signer("CN=between");
    let with = |extensions: Vec<Extension>| Plan {
        extensions,
        ..between()
    };
    let authority = "not one of an authority";
    refused(spoiled(root(), with(vec![]), signer()), authority);
    refused(
        spoiled(root(), with(vec![constraints(false, None)]), signer()),
        authority,
    );
    let signs = usage(KeyUsages::DigitalSignature);
    refused(
        spoiled(root(), with(vec![constraints(true, None), signs]), signer()),
        "may not sign certificates",
    );
    let plain = Plan {
        extensions: vec![],
        ..root()
    };
    refused(spoiled(plain, between(), signer()), authority);
    // A path of no more certificates.
    let short = Plan {
        extensions: vec![constraints(true, Some(0))],
        ..root()
    };
    refused(spoiled(short, between(), signer()), "more certificates");
    let enough = Plan {
        extensions: vec![constraints(true, Some(1))],
        ..root()
    };
    assert!(spoiled(enough, with(vec![constraints(true, Some(0))]), signer()).is_ok());
    // Another signer's certificate is none of an authority, though its key would sign.
    let below = Plan {
        subject: "CN=victim",
        ..Plan::signer("CN=signer")
    };
    let chain = [below.made(SIGNER, 5), Plan::signer("CN=root").made(5, ROOT)];
    refused(judge(&chain, &[root().made(ROOT, ROOT)]), authority);
}

#[test]
fn the_signer_s_certificate_is_for_signing() {
    let with = |extensions: Vec<Extension>| Plan {
        extensions,
        ..Plan::signer("CN=between")
    };
    let says = "neither for digital signatures";
    refused(spoiled(root(), between(), with(vec![])), says);
    refused(
        spoiled(
            root(),
            between(),
            with(vec![usage(KeyUsages::KeyEncipherment)]),
        ),
        says,
    );
    let server = extension(&ExtendedKeyUsage(vec![SERVER]));
    refused(spoiled(root(), between(), with(vec![server])), says);
    let critical = |oid: &str, critical| Extension {
        extn_id: ObjectIdentifier::new(oid).unwrap(),
        critical,
        extn_value: OctetString::new([5, 0]).unwrap(),
    };
    let signs = || usage(KeyUsages::DigitalSignature);
    let unknown = with(vec![signs(), critical("1.3.6.1.4.1.55555.1", true)]);
    refused(spoiled(root(), between(), unknown), "critical extension");
    assert!(
        spoiled(
            root(),
            between(),
            with(vec![signs(), critical("1.3.6.1.4.1.55555.1", false)])
        )
        .is_ok()
    );
    let names = Plan {
        extensions: vec![constraints(true, None), critical("2.5.29.30", false)],
        ..between()
    };
    refused(
        spoiled(root(), names, Plan::signer("CN=between")),
        "constrains names",
    );
    // Not even a signer puts it into a bundle.
    let garbled = with(vec![signs(), critical("2.5.29.37", false)]);
    let error = spoiled(root(), between(), garbled).unwrap_err().to_string();
    assert!(error.contains("extension 2.5.29.37"), "{error}");
}

#[test]
fn everything_is_valid_when_the_signer_s_begins() {
    let signer = || Plan::signer("CN=between");
    let begin = BEGIN_S + DAY_S;
    let says = "not valid when";
    let early = |plan: Plan| Plan {
        until_s: begin - 1,
        ..plan
    };
    let late = |plan: Plan| Plan {
        from_s: begin + 1,
        ..plan
    };
    refused(spoiled(early(root()), between(), signer()), says);
    refused(spoiled(root(), early(between()), signer()), says);
    refused(spoiled(late(root()), between(), signer()), says);
    refused(spoiled(root(), late(between()), signer()), says);
    // The signer's own, which ends before it begins.
    let never = Plan {
        from_s: begin,
        until_s: begin - 1,
        ..signer()
    };
    refused(spoiled(root(), between(), never), says);
    // Ends that just hold.
    let close = Plan {
        from_s: begin,
        until_s: begin,
        ..between()
    };
    assert!(spoiled(root(), close, signer()).is_ok());
}

#[test]
fn a_chain_belongs_to_the_key_and_is_bounded() {
    let chain = Plan::signer("CN=root").made(SIGNER, ROOT);
    let parsed = Chain::from_pem(&chain).unwrap();
    let error = sign(&statement(Layout::FILES), &private(ROOT), Some(&parsed)).unwrap_err();
    assert!(matches!(error, Error::Material { .. }));
    assert!(Chain::from_pem(&chain.repeat(17)).is_err());
    assert!(Chain::from_pem(&chain.replace("CERTIFICATE", "X509 CRL")).is_err());
    // Text between certificates, as in the files of operating systems.
    let roots = format!("# root\n{}\n# end\n", root().made(ROOT, ROOT));
    assert!(Roots::from_pem(&roots).is_ok());
    // Many that could have vouched do not cost many signatures.
    let twins =
        (0..15).map(|number| Plan::authority("CN=root", "CN=root").made(20 + number, 20 + number));
    let twins: Vec<String> = twins.collect();
    refused(
        judge(&[vec![chain], twins].concat(), &[root().made(9, 9)]),
        "",
    );
}

#[test]
fn bytes_behind_a_certificate_are_refused() {
    let pem = Plan::signer("CN=root").made(SIGNER, ROOT);
    let root = Roots::from_pem(&root().made(ROOT, ROOT)).unwrap();
    let der = Certificate::from_pem(&pem).unwrap().to_der().unwrap();
    assert!(root.verify(std::slice::from_ref(&der)).is_ok());
    let spoiled = |at: usize| {
        let mut der = der.clone();
        der[at] ^= 1;
        der
    };
    for at in 0..der.len() {
        assert!(root.verify(&[spoiled(at)]).is_err(), "byte {at}");
    }
    assert!(root.verify(&[[&der[..], &[0]].concat()]).is_err());
    assert!(root.verify(&[der[..der.len() - 1].to_vec()]).is_err());
    assert!(root.verify(&[]).is_err());
    assert!(root.verify(&vec![der; 17]).is_err());
}
