//! How EVM state lies in the authenticated database, and the in-memory view one block executes on.
//!
//! One QMDB holds everything: accounts, storage slots and code, each under a SHA-256 key with its
//! own prefix. Execution is synchronous while the database is not, so a [`Frame`] answers only
//! from memory; what it lacks it records, and whoever runs the EVM fetches it.

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, keccak256};
use commonware_cryptography::{Hasher as _, Sha256, sha256};
use revm::{
    Database,
    bytecode::Bytecode,
    context::result::HaltReason,
    database_interface::DBErrorMarker,
    state::{Account, AccountInfo, EvmState},
};
use std::collections::{BTreeMap, HashMap};

/// A key of the state database: SHA-256 of a kind byte and the item's address.
pub type StateKey = sha256::Digest;

/// Why the EVM stopped without finishing.
pub type Halt = HaltReason;

/// A value of the state database: one word, big-endian where it is a number.
pub type Word = [u8; 32];

/// Longest contract code in bytes (EIP-170).
pub const MAX_CODE_BYTES: usize = 24_576;

/// Largest balance in wei: an account's word holds 24 bytes of balance behind 8 of nonce. Nothing
/// mints after genesis, so a genesis within it keeps every balance within it.
pub const MAX_BALANCE: U256 = U256::from_limbs([u64::MAX, u64::MAX, u64::MAX, 0]);

/// Blocks whose digests `BLOCKHASH` can answer, as in the EVM specification.
pub const BLOCK_HASH_WINDOW: u64 = 256;

/// The database could not answer synchronously.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("state item is not loaded yet")]
pub struct NotLoaded;

impl DBErrorMarker for NotLoaded {}

/// One item of EVM state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    /// Balance, nonce and code hash of an account.
    Account(Address),
    /// One 256-bit storage slot of an account.
    Slot(Address, U256),
    /// Contract code by its keccak hash.
    Code(B256),
    /// The digest of the block at a height, kept for [`BLOCK_HASH_WINDOW`] blocks.
    BlockHash(u64),
}

/// Key of an account's first word: nonce (8 bytes) and balance (24 bytes).
fn account_key(address: &Address) -> StateKey {
    Sha256::hash(&[b"a", address.as_slice()])
}

/// Key of an account's second word, its code hash; only contracts have one.
fn code_hash_key(address: &Address) -> StateKey {
    Sha256::hash(&[b"A", address.as_slice()])
}

fn slot_key(address: &Address, slot: &U256) -> StateKey {
    Sha256::hash(&[b"s", address.as_slice(), &slot.to_be_bytes::<32>()])
}

fn block_hash_key(height: u64) -> StateKey {
    Sha256::hash(&[b"h", &(height % BLOCK_HASH_WINDOW).to_be_bytes()])
}

/// Key of the length (`part` 0) or of the words (from 1) of a contract's code.
fn code_key(hash: &B256, part: u32) -> StateKey {
    Sha256::hash(&[b"c", hash.as_slice(), &part.to_be_bytes()])
}

/// Reads raw values of the state database at one fixed state.
pub trait StateReader: Sync {
    /// Returns the values under `keys`, in the same order.
    ///
    /// # Errors
    /// [`StateError`] if the database moved on from the state this reader was cut from or failed.
    fn read_many(
        &self,
        keys: &[StateKey],
    ) -> impl Future<Output = Result<Vec<Option<Word>>, StateError>> + Send;
}

/// The state database did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The reader's state is gone: take a new reader and start again.
    #[error("the state moved on while it was read; read again")]
    Stale,
    /// The database failed or holds bytes we did not write: restore the node from its peers.
    #[error("the state database failed: {0}")]
    Broken(String),
}

/// Values to put (`Some`) or delete (`None`), by key, in key order.
pub type StateDiff = BTreeMap<StateKey, Option<Word>>;

/// An item with what the database holds of it.
#[derive(Debug, Clone)]
pub enum Loaded {
    /// An account, or that there is none.
    Account(Address, Option<AccountInfo>),
    /// A storage slot; zero if it was never written.
    Slot(Address, U256, U256),
    /// A contract's code.
    Code(B256, Bytecode),
    /// The digest of a block; zero if it is not known.
    BlockHash(u64, B256),
}

/// Reads `items` from `reader`, in one read but for code.
///
/// # Errors
/// [`StateError`] from the reader, or `Broken` if a stored value is none that we write.
pub async fn fetch(reader: &impl StateReader, items: &[Item]) -> Result<Vec<Loaded>, StateError> {
    let mut keys = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Item::Account(address) => keys.extend([account_key(address), code_hash_key(address)]),
            Item::Slot(address, slot) => keys.push(slot_key(address, slot)),
            Item::BlockHash(height) => keys.push(block_hash_key(*height)),
            Item::Code(_) => {}
        }
    }
    let mut words = reader.read_many(&keys).await?.into_iter();
    let mut next = || words.next().flatten();
    let mut loaded = Vec::with_capacity(items.len());
    for item in items {
        loaded.push(match *item {
            Item::Account(address) => Loaded::Account(address, decode_account(next(), next())),
            Item::Slot(address, slot) => {
                let value = U256::from_be_bytes(next().unwrap_or_default());
                Loaded::Slot(address, slot, value)
            }
            Item::BlockHash(height) => {
                Loaded::BlockHash(height, next().map(B256::from).unwrap_or_default())
            }
            Item::Code(hash) => Loaded::Code(hash, fetch_code(reader, hash).await?),
        });
    }
    Ok(loaded)
}

async fn fetch_code(reader: &impl StateReader, hash: B256) -> Result<Bytecode, StateError> {
    let broken = || StateError::Broken(format!("the code {hash} is not whole"));
    let length = reader.read_many(&[code_key(&hash, 0)]).await?;
    let length = length.first().copied().flatten().ok_or_else(broken)?;
    let length = usize::try_from(U256::from_be_bytes(length)).map_err(|_| broken())?;
    if length > MAX_CODE_BYTES {
        return Err(broken());
    }
    let parts = u32::try_from(length.div_ceil(32)).map_err(|_| broken())?;
    let keys: Vec<StateKey> = (1..=parts).map(|part| code_key(&hash, part)).collect();
    let mut code = Vec::with_capacity(length);
    for word in reader.read_many(&keys).await? {
        code.extend_from_slice(&word.ok_or_else(broken)?);
    }
    code.truncate(length);
    if keccak256(&code) != hash {
        return Err(broken());
    }
    Bytecode::new_raw_checked(code.into()).map_err(|_| broken())
}

/// EVM state in memory: what was loaded, and on top what this block wrote.
#[derive(Debug, Default)]
pub struct Frame {
    accounts: HashMap<Address, Option<AccountInfo>>,
    slots: HashMap<(Address, U256), U256>,
    codes: HashMap<B256, Bytecode>,
    hashes: HashMap<u64, B256>,
    missing: Vec<Item>,
    diff: StateDiff,
}

impl Frame {
    /// Takes the items that were asked for and are not here.
    pub fn take_missing(&mut self) -> Vec<Item> {
        std::mem::take(&mut self.missing)
    }

    /// Loads `items` from `reader` into the frame.
    ///
    /// # Errors
    /// Those of [`fetch`].
    pub async fn load(
        &mut self,
        reader: &impl StateReader,
        items: &[Item],
    ) -> Result<(), StateError> {
        self.fill(fetch(reader, items).await?);
        Ok(())
    }

    /// Takes what was fetched.
    pub fn fill(&mut self, items: Vec<Loaded>) {
        for item in items {
            match item {
                Loaded::Account(address, info) => {
                    self.accounts.insert(address, info);
                }
                Loaded::Slot(address, slot, value) => {
                    self.slots.insert((address, slot), value);
                }
                Loaded::Code(hash, code) => {
                    self.codes.insert(hash, code);
                }
                Loaded::BlockHash(height, hash) => {
                    self.hashes.insert(height, hash);
                }
            }
        }
    }

    /// Account as loaded or written, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`NotLoaded`] (and the item is recorded as missing) if it is not in the frame.
    pub fn account(&mut self, address: Address) -> Result<Option<AccountInfo>, NotLoaded> {
        self.basic(address)
    }

    /// Applies the state changes of one transaction.
    pub fn commit(&mut self, changes: EvmState) {
        // Address order, so that two validators build the same frame in the same order.
        let sorted: BTreeMap<Address, Account> = changes.into_iter().collect();
        for (address, account) in sorted {
            if account.is_touched() {
                self.commit_account(address, account);
            }
        }
    }

    fn commit_account(&mut self, address: Address, account: Account) {
        let gone = account.is_selfdestructed() || account.is_empty();
        for (slot, value) in account.changed_storage_slots() {
            let value = if gone {
                U256::ZERO
            } else {
                value.present_value()
            };
            self.put_slot(address, *slot, value);
        }
        if gone {
            self.accounts.insert(address, None);
            self.diff.insert(account_key(&address), None);
            self.diff.insert(code_hash_key(&address), None);
            return;
        }
        let code = account.info.code.clone();
        self.put_account(address, account.info, code);
    }

    /// Writes an account, and its code where there is any.
    pub fn put_account(&mut self, address: Address, mut info: AccountInfo, code: Option<Bytecode>) {
        let before = self.accounts.get(&address).and_then(Option::as_ref);
        let had_code = before.is_some_and(|before| before.code_hash != KECCAK256_EMPTY);
        if info.code_hash == KECCAK256_EMPTY {
            // A revoked delegation (EIP-7702) leaves none behind.
            if had_code {
                self.diff.insert(code_hash_key(&address), None);
            }
        } else {
            self.diff
                .insert(code_hash_key(&address), Some(info.code_hash.0));
            if let Some(code) = code
                && !self.codes.contains_key(&info.code_hash)
            {
                self.put_code(info.code_hash, code);
            }
        }
        info.code = None;
        self.diff
            .insert(account_key(&address), Some(encode_account(&info)));
        self.accounts.insert(address, Some(info));
    }

    fn put_code(&mut self, hash: B256, code: Bytecode) {
        let raw = code.original_byte_slice();
        let length = U256::from(raw.len()).to_be_bytes();
        self.diff.insert(code_key(&hash, 0), Some(length));
        for (part, chunk) in (1u32..).zip(raw.chunks(32)) {
            self.diff.insert(
                code_key(&hash, part),
                Some(B256::right_padding_from(chunk).0),
            );
        }
        self.codes.insert(hash, code);
    }

    /// Writes one storage slot; zero deletes it.
    pub fn put_slot(&mut self, address: Address, slot: U256, value: U256) {
        self.slots.insert((address, slot), value);
        let word = (!value.is_zero()).then(|| value.to_be_bytes());
        self.diff.insert(slot_key(&address, &slot), word);
    }

    /// Records the digest of the block at `height`.
    pub fn put_block_hash(&mut self, height: u64, digest: B256) {
        self.hashes.insert(height, digest);
        self.diff.insert(block_hash_key(height), Some(digest.0));
    }

    /// Everything that was written, by key.
    pub fn into_diff(self) -> StateDiff {
        self.diff
    }

    fn lacks<T>(&mut self, item: Item) -> Result<T, NotLoaded> {
        self.missing.push(item);
        Err(NotLoaded)
    }
}

impl Database for Frame {
    type Error = NotLoaded;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, NotLoaded> {
        match self.accounts.get(&address) {
            Some(info) => Ok(info.clone()),
            None => self.lacks(Item::Account(address)),
        }
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, NotLoaded> {
        if code_hash == KECCAK256_EMPTY || code_hash.is_zero() {
            return Ok(Bytecode::default());
        }
        match self.codes.get(&code_hash) {
            Some(code) => Ok(code.clone()),
            None => self.lacks(Item::Code(code_hash)),
        }
    }

    fn storage(&mut self, address: Address, index: U256) -> Result<U256, NotLoaded> {
        match self.slots.get(&(address, index)) {
            Some(value) => Ok(*value),
            None => self.lacks(Item::Slot(address, index)),
        }
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, NotLoaded> {
        match self.hashes.get(&number) {
            Some(hash) => Ok(*hash),
            None => self.lacks(Item::BlockHash(number)),
        }
    }
}

fn encode_account(info: &AccountInfo) -> Word {
    let balance = info.balance.min(MAX_BALANCE);
    let nonce = U256::from(info.nonce) << 192_usize;
    (nonce | balance).to_be_bytes()
}

fn decode_account(first: Option<Word>, code_hash: Option<Word>) -> Option<AccountInfo> {
    let word = U256::from_be_bytes(first?);
    let nonce: U256 = word >> 192_usize;
    Some(AccountInfo {
        nonce: nonce.saturating_to(),
        balance: word & MAX_BALANCE,
        code_hash: code_hash.map_or(KECCAK256_EMPTY, B256::from),
        code: None,
        ..Default::default()
    })
}

/// Account with `balance` and, if `code` is not empty, that runtime code.
pub fn genesis_account(balance: U256, code: Bytes) -> (AccountInfo, Option<Bytecode>) {
    let code_hash = if code.is_empty() {
        KECCAK256_EMPTY
    } else {
        keccak256(&code)
    };
    let nonce = u64::from(!code.is_empty());
    let info = AccountInfo {
        balance,
        nonce,
        code_hash,
        code: None,
        ..Default::default()
    };
    let code = (!code.is_empty()).then(|| Bytecode::new_raw(code));
    (info, code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;

    #[derive(Default)]
    struct Map(HashMap<StateKey, Word>);

    impl Map {
        fn of(frame: Frame) -> Self {
            Self(
                frame
                    .into_diff()
                    .into_iter()
                    .filter_map(|(k, v)| Some((k, v?)))
                    .collect(),
            )
        }
    }

    impl StateReader for Map {
        async fn read_many(&self, keys: &[StateKey]) -> Result<Vec<Option<Word>>, StateError> {
            Ok(keys.iter().map(|k| self.0.get(k).copied()).collect())
        }
    }

    const ADDRESS: Address = Address::repeat_byte(7);

    fn contract(code: Vec<u8>) -> (Frame, B256) {
        let mut frame = Frame::default();
        let (info, code) = genesis_account(U256::from(5), code.into());
        let hash = info.code_hash;
        frame.put_account(ADDRESS, info, code);
        frame.put_slot(ADDRESS, U256::from(1), U256::from(300));
        (frame, hash)
    }

    #[test]
    fn a_missing_item_is_named_once_loaded_and_then_answered() {
        let (written, hash) = contract((0..100).collect());
        let map = Map::of(written);
        let mut frame = Frame::default();
        assert!(frame.basic(ADDRESS).is_err());
        assert!(frame.storage(ADDRESS, U256::from(1)).is_err());
        assert!(frame.code_by_hash(hash).is_err());
        let missing = frame.take_missing();
        assert_eq!(missing.len(), 3);
        block_on(frame.load(&map, &missing)).unwrap();
        let info = frame.basic(ADDRESS).unwrap().unwrap();
        assert_eq!(
            (info.balance, info.nonce, info.code_hash),
            (U256::from(5), 1, hash)
        );
        assert_eq!(
            frame.storage(ADDRESS, U256::from(1)).unwrap(),
            U256::from(300)
        );
        let code = frame.code_by_hash(hash).unwrap();
        assert_eq!(code.original_byte_slice(), (0..100).collect::<Vec<u8>>());
        assert!(frame.take_missing().is_empty());
    }

    #[test]
    fn code_that_is_not_whole_is_reported_not_run() {
        let (written, hash) = contract(vec![0x5b; 70]);
        let whole = Map::of(written);
        for part in 0..=3 {
            let mut torn = Map(whole.0.clone());
            torn.0.remove(&code_key(&hash, part));
            let loaded = block_on(Frame::default().load(&torn, &[Item::Code(hash)]));
            assert!(
                matches!(loaded, Err(StateError::Broken(_))),
                "part {part} missing"
            );
            let mut changed = Map(whole.0.clone());
            changed.0.insert(code_key(&hash, part), [0xfe; 32]);
            let loaded = block_on(Frame::default().load(&changed, &[Item::Code(hash)]));
            assert!(
                matches!(loaded, Err(StateError::Broken(_))),
                "part {part} changed"
            );
        }
    }

    #[test]
    fn a_revoked_delegation_is_gone_in_the_next_block_too() {
        let delegation = [&[0xef, 1, 0][..], &[7; 20]].concat();
        let (written, _) = contract(delegation);
        let mut map = Map::of(written);
        let mut frame = Frame::default();
        block_on(frame.load(&map, &[Item::Account(ADDRESS)])).unwrap();
        let info = frame.basic(ADDRESS).unwrap().unwrap();
        let revoked = AccountInfo {
            code_hash: KECCAK256_EMPTY,
            ..info
        };
        frame.put_account(ADDRESS, revoked, Some(Bytecode::default()));
        for (key, value) in frame.into_diff() {
            match value {
                Some(word) => map.0.insert(key, word),
                None => map.0.remove(&key),
            };
        }
        let mut next = Frame::default();
        block_on(next.load(&map, &[Item::Account(ADDRESS)])).unwrap();
        let info = next.basic(ADDRESS).unwrap().unwrap();
        assert_eq!((info.code_hash, info.nonce), (KECCAK256_EMPTY, 1));
    }

    #[test]
    fn nonce_and_balance_share_a_word_without_touching() {
        for (nonce, balance) in [(0, U256::ZERO), (u64::MAX, U256::ZERO), (1, MAX_BALANCE)] {
            let info = AccountInfo {
                nonce,
                balance,
                ..Default::default()
            };
            let read = decode_account(Some(encode_account(&info)), None).unwrap();
            assert_eq!((read.nonce, read.balance), (nonce, balance));
        }
    }
}
