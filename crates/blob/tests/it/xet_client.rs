//! A client of Xet in small: it cuts files into chunks, packs xorbs and writes shards with the library that clients use.

use assay_blob::XetHash;
use xet_core_structures::merklehash::{MerkleHash, file_hash};
use xet_core_structures::metadata_shard::MDBShardFileFooter;
use xet_core_structures::metadata_shard::chunk_verification::range_hash_from_chunks;
use xet_core_structures::metadata_shard::file_structs::{
    FileDataSequenceEntry, FileDataSequenceHeader, FileMetadataExt, FileVerificationEntry,
    MDBFileInfo,
};
use xet_core_structures::metadata_shard::shard_in_memory::MDBInMemoryShard;
use xet_core_structures::xorb_object::{Chunk, RawXorbData, SerializedXorbObject};

pub const CHUNK: usize = 10_000;

/// A xorb as it is sent.
pub struct Xorb {
    pub hash: XetHash,
    pub bytes: Vec<u8>,
    pub chunks: Vec<Chunk>,
}

/// Packs bytes, cut into chunks of [`CHUNK`], into a xorb.
pub fn xorb(content: &[u8]) -> Xorb {
    let chunks: Vec<Chunk> = content
        .chunks(CHUNK)
        .map(|bytes| Chunk::new(bytes.to_vec().into()))
        .collect();
    let raw = RawXorbData::from_chunks(&chunks, vec![0]);
    let made = SerializedXorbObject::from_xorb(raw, false, "auto", 4).unwrap();
    Xorb {
        hash: made.hash.into_hash(),
        bytes: made.serialized_data,
        chunks,
    }
}

/// Between the library's hashes and ours.
pub trait IntoHash {
    fn into_hash(self) -> XetHash;
}

impl IntoHash for MerkleHash {
    fn into_hash(self) -> XetHash {
        XetHash::from_bytes(self.into())
    }
}

/// A file: some chunks of some xorbs.
pub struct File<'a> {
    pub terms: Vec<(&'a Xorb, std::ops::Range<usize>)>,
}

impl File<'_> {
    fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.terms
            .iter()
            .flat_map(|(xorb, range)| &xorb.chunks[range.clone()])
    }

    pub fn content(&self) -> Vec<u8> {
        self.chunks()
            .flat_map(|chunk| chunk.data.to_vec())
            .collect()
    }

    pub fn hash(&self) -> XetHash {
        self.merkle_hash().into_hash()
    }

    fn merkle_hash(&self) -> MerkleHash {
        let sized: Vec<_> = self
            .chunks()
            .map(|chunk| (chunk.hash, u64::try_from(chunk.data.len()).unwrap()))
            .collect();
        file_hash(&sized)
    }

    /// What a shard says of it.
    pub fn info(&self) -> MDBFileInfo {
        let term = |(xorb, range): &(&Xorb, std::ops::Range<usize>)| {
            let size: usize = xorb.chunks[range.clone()]
                .iter()
                .map(|chunk| chunk.data.len())
                .sum();
            let hash = MerkleHash::from(xorb.hash.as_bytes());
            FileDataSequenceEntry::new(hash, size, range.start, range.end)
        };
        let shown = |(xorb, range): &(&Xorb, std::ops::Range<usize>)| {
            let hashes: Vec<_> = xorb.chunks[range.clone()]
                .iter()
                .map(|chunk| chunk.hash)
                .collect();
            FileVerificationEntry::new(range_hash_from_chunks(&hashes))
        };
        let sha256 = assay_blob::Sha256::of(&self.content()).to_string();
        MDBFileInfo {
            metadata: FileDataSequenceHeader::new(self.merkle_hash(), self.terms.len(), true, true),
            segments: self.terms.iter().map(term).collect(),
            verification: self.terms.iter().map(shown).collect(),
            metadata_ext: Some(FileMetadataExt::new(MerkleHash::from_hex(&sha256).unwrap())),
        }
    }
}

/// The shard of some files, as it is sent.
pub fn shard(files: &[MDBFileInfo]) -> Vec<u8> {
    let mut shard = MDBInMemoryShard::default();
    for file in files {
        shard.add_file_reconstruction_info(file.clone()).unwrap();
    }
    let whole = shard.to_bytes().unwrap();
    let footer = whole.len() - size_of::<MDBShardFileFooter>();
    let footer = MDBShardFileFooter::deserialize(&mut &whole[footer..]).unwrap();
    let mut sent = whole[..usize::try_from(footer.file_lookup_offset).unwrap()].to_vec();
    // A header that announces no footer.
    sent[40..48].fill(0);
    sent
}
