use super::*;
use crate::ids::{Commitment, EngineId, NetworkId, ParametersDigest, RequestId, RevisionId};
use crate::{Microcredits, Rung, Times, Usage};

/// The order of secp256k1 (SEC 2, section 2.4.1).
const ORDER: [u8; 32] = hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141");

fn domain() -> Domain {
    Domain::new(1, NetworkId::from_bytes([1; 32]), Address::repeat_byte(2))
}

fn key() -> NodeKey {
    NodeKey::from_bytes([0x11; 32]).unwrap()
}

fn receipt() -> Receipt {
    Receipt {
        request: RequestId::from_bytes([1; 32]),
        nonce: 2,
        revision: RevisionId::from_bytes([3; 32]),
        engine: EngineId::from_bytes([4; 32]),
        parameters: ParametersDigest::ZERO,
        seed: 0,
        input: Commitment::from_bytes([5; 32]),
        output: Commitment::from_bytes([6; 32]),
        stream: Commitment::ZERO,
        usage: Usage::default(),
        price: Microcredits(7),
        payer: Commitment::ZERO,
        node: key().address(),
        times: Times {
            request_ns: 1,
            first_output_ns: 2,
            end_ns: 3,
            uncertainty_ns: 4,
        },
        rung: Rung::Signed,
        deadline_ns: 5,
        sequence: 0,
        previous: ReceiptId::ZERO,
    }
}

/// The other signature that plain ECDSA would accept: `s` negated, `v` flipped.
fn malleated(signature: &Signature) -> [u8; SIGNATURE_BYTES] {
    let mut bytes = *signature.as_bytes();
    let mut borrow = 0i32;
    for index in (0..32).rev() {
        let difference = i32::from(ORDER[index]) - i32::from(bytes[32 + index]) - borrow;
        borrow = i32::from(difference < 0);
        bytes[32 + index] = difference.rem_euclid(256) as u8;
    }
    bytes[64] = 55 - bytes[64];
    bytes
}

#[test]
fn a_known_key_has_its_known_address() {
    // The first account of the test mnemonic that Ethereum tools share.
    let secret = hex!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80");
    let address = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
    assert_eq!(
        NodeKey::from_bytes(secret).unwrap().address().to_string(),
        address
    );
}

#[test]
fn signing_and_verifying_agree() {
    let signed = key().sign(receipt(), &domain()).unwrap();
    let verified = signed.verify(&domain()).unwrap();
    assert_eq!(verified.node(), key().address());
    assert_eq!(verified.id(), receipt().id(&domain()));
    assert_eq!(key().sign(receipt(), &domain()).unwrap(), signed);
}

#[test]
fn a_signature_is_for_one_receipt_under_one_domain() {
    let signed = key().sign(receipt(), &domain()).unwrap();
    for other in [
        Domain::new(2, domain().network(), domain().settlement()),
        Domain::new(1, NetworkId::from_bytes([2; 32]), domain().settlement()),
        Domain::new(1, domain().network(), Address::repeat_byte(3)),
    ] {
        assert!(matches!(
            signed.verify(&other),
            Err(Error::WrongSigner { .. })
        ));
    }
    let mut changed = signed.clone();
    changed.receipt.price = Microcredits(8);
    assert!(changed.verify(&domain()).is_err());
    let mut stolen = signed;
    stolen.receipt.node = NodeAddress::from_bytes([9; 20]);
    assert!(matches!(
        stolen.verify(&domain()),
        Err(Error::WrongSigner { .. })
    ));
}

#[test]
fn a_key_signs_only_what_is_its_own_and_well_formed() {
    let foreign = Receipt {
        node: NodeAddress::from_bytes([9; 20]),
        ..receipt()
    };
    assert!(matches!(
        key().sign(foreign, &domain()),
        Err(Error::WrongSigner { .. })
    ));
    let broken = Receipt {
        deadline_ns: 0,
        ..receipt()
    };
    assert!(matches!(
        key().sign(broken, &domain()),
        Err(Error::IllFormed(_))
    ));
}

#[test]
fn only_one_form_of_a_signature_is_read() {
    let good = key().sign(receipt(), &domain()).unwrap().signature;
    assert_eq!(Signature::from_bytes(*good.as_bytes()), Ok(good));
    let expect = |bytes: [u8; SIGNATURE_BYTES], flaw| {
        assert_eq!(Signature::from_bytes(bytes), Err(Error::Signature(flaw)));
    };
    expect(malleated(&good), SignatureFlaw::HighS);
    for v in [0, 1, 26, 29, 30, 37, 255] {
        let mut bytes = *good.as_bytes();
        bytes[64] = v;
        expect(bytes, SignatureFlaw::RecoveryByte);
    }
    let mut zero_r = *good.as_bytes();
    zero_r[..32].fill(0);
    expect(zero_r, SignatureFlaw::Scalar);
    let mut zero_s = *good.as_bytes();
    zero_s[32..64].fill(0);
    expect(zero_s, SignatureFlaw::Scalar);
    let mut large_r = *good.as_bytes();
    large_r[..32].copy_from_slice(&ORDER);
    expect(large_r, SignatureFlaw::Scalar);
}

#[test]
fn keys_out_of_range_are_refused_and_never_printed() {
    assert_eq!(NodeKey::from_bytes([0; 32]).err(), Some(Error::SecretKey));
    assert_eq!(NodeKey::from_bytes(ORDER).err(), Some(Error::SecretKey));
    let printed = format!("{:?}", key());
    assert!(printed.contains(&key().address().to_string()) && !printed.contains("1111"));
}

#[test]
fn binary_and_json_forms_round_trip() {
    let signed = key().sign(receipt(), &domain()).unwrap();
    let bytes = signed.encode();
    assert_eq!(bytes.len(), SIGNED_RECEIPT_BYTES);
    assert_eq!(SignedReceipt::decode(&bytes), Ok(signed.clone()));
    let json = serde_json::to_string(&signed).unwrap();
    assert_eq!(
        serde_json::from_str::<SignedReceipt>(&json).unwrap(),
        signed
    );
}
