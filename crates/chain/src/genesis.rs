//! The genesis file, the keys that go with it, and what the state holds before block 1.
//!
//! The threshold key of this version is made by a trusted dealer ([`deal`]): whoever runs it sees
//! all shares and must forget them (LIMITS.md).

use crate::{
    application::Scheme,
    block::ValidatorKey,
    engine::NAMESPACE,
    error::Error,
    light::Network,
    spec::{
        Allocation, CHECKS, CREDIT, DISPUTES, HUBS, MODEL_REGISTRY, NODE_REGISTRY, PROOFS,
        SETTLEMENT, Spec, address_mapping_slot,
    },
};
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use commonware_codec::{DecodeExt as _, Encode as _, Read as _};
use commonware_cryptography::{
    Signer as _,
    bls12381::{
        dkg::feldman_desmedt,
        primitives::{
            group::Share,
            sharing::{Mode, ModeVersion, Sharing},
            variant::MinSig,
        },
    },
    ed25519,
};
use commonware_utils::{N3f1, TryCollect as _, ordered::Set};
use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Most validators of a network: what the threshold scheme was tried with.
pub const MAX_VALIDATORS: u32 = 100;

/// What every validator of a network must agree on; a file of JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Name of the network, for people.
    pub name: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// Identity keys of the validators (ed25519, 32 bytes each).
    pub validators: Vec<Bytes>,
    /// Public polynomial of the threshold key; its constant is the network's public key.
    pub polynomial: Bytes,
    /// Accounts with means.
    pub accounts: Vec<Account>,
}

/// An account that genesis endows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Its address.
    pub address: Address,
    /// Native balance, wei.
    pub wei: U256,
    /// Assay Credit, in its smallest unit (10^-6).
    pub credits: U256,
}

/// What one validator must keep to itself.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidatorSecret {
    /// Identity key (ed25519 seed).
    pub identity: Bytes,
    /// Share of the threshold key.
    pub share: Bytes,
}

impl std::fmt::Debug for ValidatorSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ValidatorSecret(..)")
    }
}

/// Deals the keys of a network with `validators` validators.
///
/// # Errors
/// [`Error::Config`] if the number is 0 or above [`MAX_VALIDATORS`].
pub fn deal(
    mut rng: impl CryptoRng,
    name: &str,
    chain_id: u64,
    validators: u32,
    accounts: Vec<Account>,
) -> Result<(Genesis, Vec<ValidatorSecret>), Error> {
    if validators == 0 || validators > MAX_VALIDATORS {
        return Err(unusable(format!(
            "{validators} validators; 1 to {MAX_VALIDATORS} are possible"
        )));
    }
    let mut identities: Vec<ed25519::PrivateKey> =
        (0..validators).map(|_| random_identity(&mut rng)).collect();
    identities.sort_by_key(ed25519::PrivateKey::public_key);
    let set = validator_set(identities.iter().map(|key| key.public_key()))?;
    let (output, shares) =
        feldman_desmedt::deal::<MinSig, _, N3f1>(&mut rng, Mode::NonZeroCounter, set)
            .map_err(|error| unusable(format!("the keys could not be dealt: {error:?}")))?;
    let mut secrets = Vec::new();
    for identity in &identities {
        let share = shares
            .get_value(&identity.public_key())
            .ok_or_else(|| unusable("the dealer left a validator out".into()))?;
        secrets.push(ValidatorSecret {
            identity: identity.encode().to_vec().into(),
            share: share.encode().to_vec().into(),
        });
    }
    let genesis = Genesis {
        name: name.into(),
        chain_id,
        validators: identities
            .iter()
            .map(|k| k.public_key().encode().to_vec().into())
            .collect(),
        polynomial: output.public().encode().to_vec().into(),
        accounts,
    };
    Ok((genesis, secrets))
}

fn random_identity(rng: &mut impl CryptoRng) -> ed25519::PrivateKey {
    use commonware_math::algebra::Random as _;
    ed25519::PrivateKey::random(rng)
}

fn validator_set(keys: impl Iterator<Item = ValidatorKey>) -> Result<Set<ValidatorKey>, Error> {
    keys.try_collect()
        .map_err(|_| unusable("two validators have the same key".into()))
}

fn unusable(reason: String) -> Error {
    Error::Config {
        file: "the genesis file",
        reason,
    }
}

impl Genesis {
    /// Identity keys in their order.
    ///
    /// # Errors
    /// [`Error::Config`] if a key does not decode or stands twice.
    pub fn participants(&self) -> Result<Set<ValidatorKey>, Error> {
        let keys: Result<Vec<ValidatorKey>, _> = self
            .validators
            .iter()
            .map(|key| ValidatorKey::decode(key.0.clone()))
            .collect();
        let keys = keys.map_err(|_| unusable("a validator key is not ed25519".into()))?;
        validator_set(keys.into_iter())
    }

    fn sharing(&self) -> Result<Sharing<MinSig>, Error> {
        let most =
            NonZeroU32::new(MAX_VALIDATORS).ok_or_else(|| unusable("no validators".into()))?;
        let mut bytes = self.polynomial.0.clone();
        let sharing = Sharing::read_cfg(&mut bytes, &(most, ModeVersion::v0()));
        match sharing {
            Ok(sharing) if bytes.is_empty() => Ok(sharing),
            _ => Err(unusable("its polynomial does not decode".into())),
        }
    }

    /// The network as its clients know it.
    ///
    /// # Errors
    /// [`Error::Config`] if the polynomial does not decode.
    pub fn network(&self) -> Result<Network, Error> {
        let mut content = Vec::new();
        for key in &self.validators {
            content.extend_from_slice(key);
        }
        for account in &self.accounts {
            content.extend_from_slice(account.address.as_slice());
            content.extend_from_slice(&account.wei.to_be_bytes::<32>());
            content.extend_from_slice(&account.credits.to_be_bytes::<32>());
        }
        let key = self.sharing()?.public().encode().to_vec();
        Ok(Network {
            name: self.name.clone(),
            chain_id: self.chain_id,
            genesis: keccak256(content),
            public_key: key.into(),
        })
    }

    /// The rules of execution.
    ///
    /// # Errors
    /// [`Error::Config`] if the polynomial does not decode or a contract artefact is damaged.
    pub fn spec(&self) -> Result<Spec, Error> {
        let network = self.network()?;
        let mut allocation = contracts(B256::from(*network.id().as_bytes()), &self.accounts)?;
        allocation.extend(self.accounts.iter().map(|account| Allocation {
            address: account.address,
            balance: account.wei,
            code: Bytes::new(),
            storage: Vec::new(),
        }));
        Ok(Spec {
            chain_id: self.chain_id,
            network: network.id(),
            domain: network.domain(),
            allocation,
        })
    }

    /// The signing scheme of the validator that holds `secret`.
    ///
    /// # Errors
    /// [`Error::Config`] if the secret does not decode or is not of this network.
    pub fn signer(&self, secret: &ValidatorSecret) -> Result<Scheme, Error> {
        let wrong = |reason: &str| Error::Config {
            file: "the validator's key file",
            reason: reason.into(),
        };
        let share = Share::decode(secret.share.0.clone());
        let share = share.map_err(|_| wrong("its share does not decode"))?;
        Scheme::signer(NAMESPACE, self.participants()?, self.sharing()?, share)
            .ok_or_else(|| wrong("its share is not of this network's key"))
    }
}

impl ValidatorSecret {
    /// The identity key.
    ///
    /// # Errors
    /// [`Error::Config`] if it does not decode.
    pub fn identity(&self) -> Result<ed25519::PrivateKey, Error> {
        ed25519::PrivateKey::decode(self.identity.0.clone()).map_err(|_| Error::Config {
            file: "the validator's key file",
            reason: "its identity is not an ed25519 key".into(),
        })
    }
}

/// Compiled contracts, checked against a recompile by `make test`.
const ARTEFACTS: [(Address, &str); 8] = [
    (
        CREDIT,
        include_str!("../../../contracts/artifacts/Credit.json"),
    ),
    (
        MODEL_REGISTRY,
        include_str!("../../../contracts/artifacts/ModelRegistry.json"),
    ),
    (
        NODE_REGISTRY,
        include_str!("../../../contracts/artifacts/NodeRegistry.json"),
    ),
    (
        SETTLEMENT,
        include_str!("../../../contracts/artifacts/Settlement.json"),
    ),
    (
        PROOFS,
        include_str!("../../../contracts/artifacts/Proofs.json"),
    ),
    (HUBS, include_str!("../../../contracts/artifacts/Hubs.json")),
    (
        CHECKS,
        include_str!("../../../contracts/artifacts/Checks.json"),
    ),
    (
        DISPUTES,
        include_str!("../../../contracts/artifacts/Disputes.json"),
    ),
];

/// `Settlement.networkId` and `Credit.balanceOf`, `Credit.totalSupply`, by their storage layouts.
const NETWORK_ID_SLOT: u64 = 0;
const BALANCES_SLOT: u64 = 0;
const SUPPLY_SLOT: u64 = 1;

#[derive(Deserialize)]
struct Artefact {
    #[serde(rename = "deployedBytecode")]
    code: String,
}

fn contracts(network: B256, accounts: &[Account]) -> Result<Vec<Allocation>, Error> {
    let mut allocation = Vec::new();
    for (address, artefact) in ARTEFACTS {
        let artefact: Artefact = serde_json::from_str(artefact)
            .map_err(|error| unusable(format!("a contract artefact is damaged: {error}")))?;
        let code = hex::decode(artefact.code.trim())
            .map_err(|error| unusable(format!("contract code is damaged: {error}")))?;
        let storage = match address {
            SETTLEMENT => vec![(U256::from(NETWORK_ID_SLOT), network.into())],
            CREDIT => credit_storage(accounts),
            _ => Vec::new(),
        };
        allocation.push(Allocation {
            address,
            balance: U256::ZERO,
            code: code.into(),
            storage,
        });
    }
    Ok(allocation)
}

fn credit_storage(accounts: &[Account]) -> Vec<(U256, U256)> {
    let supply = accounts
        .iter()
        .fold(U256::ZERO, |sum, a| sum.saturating_add(a.credits));
    let balances = accounts.iter().map(|account| {
        (
            address_mapping_slot(account.address, BALANCES_SLOT),
            account.credits,
        )
    });
    let mut storage: Vec<(U256, U256)> = balances.collect();
    storage.push((U256::from(SUPPLY_SLOT), supply));
    storage
}
