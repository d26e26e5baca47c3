//! What it takes to compute an answer again: what its node keeps of it on disk, and gives to who was drawn to check it.

use crate::{
    abi::Checks,
    api::{
        Opening,
        generate::{Answer, commit_prompt, parameters_bytes, parameters_digest, prompt_bytes},
    },
    checks::Committed,
    error::Error,
    files::{self, Access},
    problem::Problem,
};
use alloy_primitives::{Address, B256, U256, keccak256};
use assay_inference::language::{Finish, Parameters, Prompt, STEP_BYTES, Step};
use assay_receipt::{
    ChunkChain, Commitment, Domain, NodeAddress, NodeKey, Receipt, ReceiptId, RequestId, Signature,
    SignedProgress,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

/// How long an answer is kept; a check can be asked for 100,000 blocks after settlement, and its vote has to end after that.
const KEPT: Duration = Duration::from_secs(4 * 24 * 3_600);
/// Longest file that is read, bytes.
const MAX_BYTES: usize = 64 << 20;
/// How old a request for material may be, by the asker's clock.
const MAX_AGE_NS: u64 = 60_000_000_000;
/// EIP-712 type of a request for material.
const REQUEST_TYPE: &str = "MaterialRequest(bytes32 receiptId,address asker,uint64 atNs)";

/// What a node was asked, what it answered, and what opens its commitments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Material {
    /// Salt seeds of its receipt's commitments.
    pub opening: Opening,
    /// What the model read.
    pub prompt: Prompt,
    /// How it answered.
    pub parameters: Parameters,
    /// The tokens of the answer.
    pub tokens: Vec<u32>,
    /// The digest of the scores that each was chosen from.
    pub digests: Vec<B256>,
    /// Why it is over.
    pub finish: Finish,
    /// What nodes signed that made earlier parts.
    pub parts: Vec<SignedProgress>,
    /// Its text.
    pub text: String,
}

/// What somebody asks for who was drawn to check a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaterialRequest {
    /// The receipt.
    pub receipt_id: ReceiptId,
    /// Who asks.
    pub asker: NodeAddress,
    /// When, Unix ns.
    pub at_ns: u64,
    /// Its signature over these.
    pub signature: Signature,
}

impl MaterialRequest {
    /// A request by the owner of `key`.
    pub fn sign(receipt_id: ReceiptId, at_ns: u64, key: &NodeKey, domain: &Domain) -> Self {
        let asker = key.address();
        let digest = digest(receipt_id, asker, at_ns, domain);
        Self {
            receipt_id,
            asker,
            at_ns,
            signature: key.sign_digest(&digest.0),
        }
    }

    /// Whether the asker signed it within the last minute.
    ///
    /// # Errors
    /// Why not.
    pub fn verify(&self, now_ns: u64, domain: &Domain) -> Result<(), &'static str> {
        if now_ns.abs_diff(self.at_ns) > MAX_AGE_NS {
            return Err("the request is older than a minute, or a clock is wrong");
        }
        let digest = digest(self.receipt_id, self.asker, self.at_ns, domain);
        match self.signature.recover(&ReceiptId::from(digest)) {
            Ok(signer) if signer == self.asker => Ok(()),
            _ => Err("the signature is not the asker's"),
        }
    }
}

fn digest(id: ReceiptId, asker: NodeAddress, at_ns: u64, domain: &Domain) -> B256 {
    let asker = Address::from(asker).into_word();
    let at = U256::from(at_ns).to_be_bytes();
    let words = [keccak256(REQUEST_TYPE).0, *id.as_bytes(), asker.0, at];
    domain.signing_digest(keccak256(words.as_flattened()))
}

impl Material {
    /// The steps of the answer.
    pub fn steps(&self) -> Vec<[u8; STEP_BYTES]> {
        let pairs = self.tokens.iter().zip(&self.digests);
        pairs
            .map(|(token, digest)| Step::bytes_of(*token, &digest.0))
            .collect()
    }

    /// Whether it is what the receipt commits to.
    ///
    /// # Errors
    /// What is not.
    pub fn check(&self, of: &Receipt) -> Result<(), &'static str> {
        let problem = |_: Problem| "it is too long";
        if commit_prompt(&self.prompt, &self.opening.input).map_err(problem)? != of.input {
            return Err("the prompt is another one");
        }
        if parameters_digest(&self.parameters).map_err(problem)? != of.parameters {
            return Err("the parameters are others");
        }
        if self.tokens.len() != self.digests.len()
            || self.tokens.len() as u64 != of.usage.output_units
        {
            return Err("it has another number of tokens");
        }
        let heads = heads(of, &self.steps());
        match heads.last() == Some(&of.stream) {
            true => Ok(()),
            false => Err("the tokens are others"),
        }
    }

    /// Input, parameters and output with the seeds of their commitments.
    pub fn committed(&self) -> [Committed<'static>; 3] {
        [
            (
                vec![("prompt", prompt_bytes(&self.prompt))],
                self.opening.input,
            ),
            (
                vec![("parameters", parameters_bytes(&self.parameters))],
                B256::ZERO,
            ),
            (self.answer().fields(), self.opening.output),
        ]
    }

    /// What was laid open on chain, whose contract has compared it with the receipt's commitments. Digests are no part of
    /// it. `None` for what is no question to a language model.
    pub fn opened(opening: &Checks::Opening) -> Option<Self> {
        let field = |fields: &[Checks::Field], name: &str| {
            let found = fields.iter().find(|field| field.disclosure.name == name)?;
            Some(found.value.to_vec())
        };
        let tokens = field(&opening.output, "tokens")?;
        let (tokens, rest) = tokens.as_chunks::<4>();
        let finish = String::from_utf8(field(&opening.output, "finish")?).ok()?;
        Some(Self {
            opening: Opening {
                input: B256::ZERO,
                output: B256::ZERO,
            },
            prompt: serde_json::from_slice(&field(&opening.input, "prompt")?).ok()?,
            parameters: serde_json::from_slice(&field(&opening.parameters, "parameters")?).ok()?,
            tokens: rest.is_empty().then(|| {
                tokens
                    .iter()
                    .map(|token| u32::from_le_bytes(*token))
                    .collect()
            })?,
            digests: Vec::new(),
            finish: serde_json::from_value(finish.into()).ok()?,
            parts: serde_json::from_slice(&field(&opening.output, "parts")?).ok()?,
            text: String::from_utf8(field(&opening.output, "text")?).ok()?,
        })
    }

    fn answer(&self) -> Answer<'_> {
        Answer {
            finish: self.finish,
            parts: &self.parts,
            text: &self.text,
            tokens: &self.tokens,
        }
    }
}

/// The heads of the chain over steps, from the one before the first on.
pub fn heads(of: &Receipt, steps: &[[u8; STEP_BYTES]]) -> Vec<Commitment> {
    let mut chain = ChunkChain::new(of.request);
    let mut heads = vec![chain.head()];
    for step in steps {
        // No stream is longer than a chain may be: it was counted before.
        if chain.push(step).is_err() {
            break;
        }
        heads.push(chain.head());
    }
    heads
}

/// Answers of others that are held for who was drawn to judge over them.
const MAX_NOTED: usize = 64;

/// The answers that a node keeps since it promised that they can be checked, and those of others that it checks.
#[derive(Debug)]
pub struct Kept {
    folder: PathBuf,
    noted: Mutex<VecDeque<(ReceiptId, Material)>>,
}

impl Kept {
    /// In the node's data folder; what is older than it has to be is deleted.
    ///
    /// # Errors
    /// [`Error::Config`] if the disk refuses.
    pub fn open(data: &Path) -> Result<Self, Error> {
        let folder = data.join("answers");
        std::fs::create_dir_all(&folder).map_err(|error| Error::config(&folder, error))?;
        let kept = Self {
            folder,
            noted: Mutex::default(),
        };
        kept.forget_old();
        Ok(kept)
    }

    /// Deletes what is older than it has to be.
    pub fn forget_old(&self) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        for entry in entries.flatten() {
            let written = entry.metadata().and_then(|metadata| metadata.modified());
            let age = written.map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
            if age.is_ok_and(|age| age > KEPT)
                && let Err(error) = std::fs::remove_file(entry.path())
            {
                tracing::warn!(%error, "an old answer cannot be deleted");
            }
        }
    }

    /// Keeps an answer, before its receipt is signed.
    ///
    /// # Errors
    /// [`Error::Config`] if the disk refuses.
    pub fn keep(&self, id: RequestId, material: &Material) -> Result<(), Error> {
        let path = self.path(id);
        let text = serde_json::to_string(material).unwrap_or_default();
        files::write_text(&path, &text, Access::Owner)
    }

    /// A kept answer, if there is one.
    pub fn load(&self, id: RequestId) -> Option<Material> {
        let path = self.path(id);
        let length = std::fs::metadata(&path).ok()?.len();
        if length > MAX_BYTES as u64 {
            return None;
        }
        let text = std::fs::read_to_string(&path).ok()?;
        serde_json::from_str(&text)
            .inspect_err(|error| tracing::warn!(%error, %id, "a kept answer cannot be read"))
            .ok()
    }

    /// Holds another node's answer; the oldest makes room.
    pub fn note(&self, id: ReceiptId, material: Material) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        noted.retain(|(other, _)| *other != id);
        if noted.len() >= MAX_NOTED {
            noted.pop_front();
        }
        noted.push_back((id, material));
    }

    /// Another node's answer, if it is held.
    pub fn noted(&self, id: ReceiptId) -> Option<Material> {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let found = noted.iter().find(|(other, _)| *other == id)?;
        Some(found.1.clone())
    }

    fn path(&self, id: RequestId) -> PathBuf {
        self.folder.join(format!("{id}.json"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        checks::open_call,
        store::tests::{domain, key, receipt as stored},
    };
    use alloy_sol_types::SolCall as _;
    use proptest::prelude::*;
    use serde_json::json;

    /// An answer of `count` tokens with the receipt that it belongs to.
    pub(in crate::inference_node::checks) fn answered(count: u32) -> (Material, Receipt) {
        let material = Material {
            opening: Opening {
                input: B256::repeat_byte(3),
                output: B256::repeat_byte(4),
            },
            prompt: serde_json::from_value(json!({"text": "Say it"})).unwrap(),
            parameters: Parameters::default(),
            tokens: (0..count).map(|at| at.wrapping_mul(7) % 50).collect(),
            digests: (0..count).map(|at| keccak256(at.to_le_bytes())).collect(),
            finish: Finish::Stop,
            parts: Vec::new(),
            text: "said".into(),
        };
        let mut receipt = stored(1, Default::default(), 1);
        receipt.input = commit_prompt(&material.prompt, &material.opening.input).unwrap();
        receipt.parameters = parameters_digest(&material.parameters).unwrap();
        receipt.output = material.answer().commit(&material.opening.output).unwrap();
        receipt.usage.output_units = count.into();
        receipt.stream = *heads(&receipt, &material.steps()).last().unwrap();
        (material, receipt)
    }

    #[test]
    fn material_is_of_its_receipt_and_of_no_other() {
        let (good, receipt) = answered(9);
        assert_eq!(good.check(&receipt), Ok(()));
        let changes: [fn(&mut Material); 8] = [
            |one| one.opening.input = B256::ZERO,
            |one| one.prompt = serde_json::from_value(json!({"text": "Say it!"})).unwrap(),
            |one| one.parameters.max_tokens = Some(3),
            |one| one.tokens[4] += 1,
            |one| one.digests[0] = B256::ZERO,
            |one| one.tokens.truncate(8),
            |one| one.digests.truncate(8),
            |one| {
                one.tokens.push(1);
                one.digests.push(B256::ZERO);
            },
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut bad = good.clone();
            change(&mut bad);
            assert!(bad.check(&receipt).is_err(), "{at}");
        }
        let text = serde_json::to_string(&good).unwrap();
        assert_eq!(serde_json::from_str::<Material>(&text).unwrap(), good);
        assert!(
            serde_json::from_str::<Material>(
                &text.replace("\"text\":\"said\"", "\"text\":\"said\",\"x\":1")
            )
            .is_err()
        );
    }

    #[test]
    fn what_is_laid_open_on_chain_is_read_again() {
        let (good, receipt) = answered(9);
        let signed = key().sign(receipt, &domain()).unwrap();
        let data = open_call(&signed, good.committed()).unwrap();
        let call = Checks::openCall::abi_decode(&data).unwrap();
        let read = Material::opened(&call.opening).unwrap();
        let expected = Material {
            opening: read.opening.clone(),
            digests: Vec::new(),
            ..good
        };
        assert_eq!(read, expected);
        for at in 0..call.opening.output.len() {
            let mut bad = call.opening.clone();
            bad.output.remove(at);
            assert_eq!(Material::opened(&bad), None, "{at}");
        }
        for bad in [b"".as_slice(), b"{", b"{\"text\":1}", b"[]"] {
            let mut opening = call.opening.clone();
            opening.input[0].value = bad.to_vec().into();
            assert_eq!(Material::opened(&opening), None);
        }
        let mut odd = call.opening.clone();
        let tokens = odd
            .output
            .iter_mut()
            .find(|field| field.disclosure.name == "tokens");
        tokens.unwrap().value = vec![1, 2, 3].into();
        assert_eq!(Material::opened(&odd), None);
    }

    #[test]
    fn what_is_kept_survives_and_what_is_held_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let (good, receipt) = answered(5);
        let kept = Kept::open(folder.path()).unwrap();
        assert_eq!(kept.load(receipt.request), None);
        kept.keep(receipt.request, &good).unwrap();
        drop(kept);
        let again = Kept::open(folder.path()).unwrap();
        assert_eq!(again.load(receipt.request), Some(good.clone()));
        std::fs::write(again.path(receipt.request), "{").unwrap();
        assert_eq!(again.load(receipt.request), None);
        let ids: Vec<ReceiptId> = (0..=MAX_NOTED as u64)
            .map(|at| ReceiptId::from(keccak256(at.to_le_bytes())))
            .collect();
        for id in &ids {
            again.note(*id, good.clone());
        }
        assert_eq!(again.noted(ids[0]), None, "the oldest made room");
        assert_eq!(again.noted(ids[1]), Some(good.clone()));
        assert_eq!(again.noted(ids[MAX_NOTED]), Some(good));
    }

    #[test]
    fn only_who_asks_signs_and_only_for_a_minute() {
        let id = ReceiptId::from(B256::repeat_byte(1));
        let now = 1_000_000_000_000;
        let good = MaterialRequest::sign(id, now, &key(), &domain());
        for at in [now, now + MAX_AGE_NS, now - MAX_AGE_NS] {
            assert_eq!(good.verify(at, &domain()), Ok(()));
        }
        assert!(good.verify(now + MAX_AGE_NS + 1, &domain()).is_err());
        assert!(good.verify(now - MAX_AGE_NS - 1, &domain()).is_err());
        let other = NodeAddress::from_bytes([9; 20]);
        for bad in [
            MaterialRequest {
                receipt_id: ReceiptId::from(B256::ZERO),
                ..good
            },
            MaterialRequest {
                asker: other,
                ..good
            },
            MaterialRequest {
                at_ns: now + 1,
                ..good
            },
        ] {
            assert!(bad.verify(now, &domain()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_no_request_and_no_material(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(serde_json::from_slice::<MaterialRequest>(&bytes).is_err());
            prop_assert!(serde_json::from_slice::<Material>(&bytes).is_err());
        }
    }
}
