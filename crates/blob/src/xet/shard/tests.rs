//! Shards made by the library that clients use, and ones that nobody should take.

use proptest::prelude::*;
use xet_core_structures::metadata_shard::file_structs::MDBFileInfo;
use xet_core_structures::metadata_shard::hash_is_global_dedup_eligible;

use super::*;

fn hash(seed: u64) -> MerkleHash {
    MerkleHash::random_from_seed(seed)
}

fn file(seed: u64, terms: u32, verification: bool, sha256: bool) -> MDBFileInfo {
    let count = usize::try_from(terms).unwrap();
    let segments = (0..terms)
        .map(|term| FileDataSequenceEntry::new(hash(term.into()), 100u32, term, term + 3));
    let shown = (0..terms).map(|term| FileVerificationEntry::new(hash(u64::from(term) + 500)));
    MDBFileInfo {
        metadata: FileDataSequenceHeader::new(hash(seed), count, verification, sha256),
        segments: segments.collect(),
        verification: shown.filter(|_| verification).collect(),
        metadata_ext: sha256.then(|| FileMetadataExt::new(hash(seed + 1000))),
    }
}

/// A shard as the client's library writes it, and the form in which it sends it.
fn shard(files: &[MDBFileInfo]) -> (Vec<u8>, Vec<u8>) {
    let mut shard = MDBInMemoryShard::default();
    for file in files {
        shard.add_file_reconstruction_info(file.clone()).unwrap();
    }
    let chunks =
        (0..5u32).map(|chunk| XorbChunkSequenceEntry::new(hash(chunk.into()), 10u32, chunk * 10));
    shard
        .add_xorb_block(MDBXorbInfo {
            metadata: XorbChunkSequenceHeader::new(hash(77), 5u32, 50u32),
            chunks: chunks.collect(),
        })
        .unwrap();
    let whole = shard.to_bytes().unwrap();
    let footer = MDBShardFileFooter::deserialize(
        &mut &whole[whole.len() - size_of::<MDBShardFileFooter>()..],
    )
    .unwrap();
    // The file section, the xorb section, and then what a client leaves out.
    let mut sent = Vec::new();
    let header = MDBShardFileHeader {
        footer_size: 0,
        ..MDBShardFileHeader::default()
    };
    header.serialize(&mut sent).unwrap();
    let sections = usize::try_from(footer.file_info_offset).unwrap()
        ..usize::try_from(footer.file_lookup_offset).unwrap();
    sent.extend_from_slice(&whole[sections]);
    (whole, sent)
}

#[test]
fn what_clients_make_is_read() {
    let files = [file(1, 3, true, true), file(2, 1, true, false)];
    let (whole, sent) = shard(&files);
    let read = Shard::parse(&sent).unwrap();
    assert_eq!(Shard::parse(&whole).unwrap(), read);
    let found: Vec<XetHash> = read.files.iter().map(|file| file.hash).collect();
    let mut expected: Vec<XetHash> = [hash(1), hash(2)].map(XetHash::from).to_vec();
    expected.sort_by_key(|hash| MerkleHash::from(hash));
    assert_eq!(found, expected);
    let first = read
        .files
        .iter()
        .find(|file| file.hash == hash(1).into())
        .unwrap();
    assert_eq!(first.size(), 300);
    assert_eq!(first.terms[2].chunks, 2..5);
    assert_eq!(first.range_hashes[0], hash(500).into());
    assert!(first.sha256.is_some());
}

#[test]
fn a_digest_is_read_as_the_client_writes_it() {
    let found = Sha256::of(b"hello");
    let written = MerkleHash::from_hex(&found.to_string()).unwrap();
    let mut file = ShardFile {
        hash: hash(1).into(),
        terms: vec![],
        range_hashes: vec![],
        sha256: Some(written.into()),
    };
    file.check_sha256(&found).unwrap();
    let error = file
        .check_sha256(&Sha256::of(b"other"))
        .unwrap_err()
        .to_string();
    assert!(error.contains(&found.to_string()), "{error}");
    file.sha256 = Some(*found.as_bytes());
    file.check_sha256(&found).unwrap();
    file.sha256 = None;
    file.check_sha256(&found).unwrap();
}

#[test]
fn what_is_no_shard_is_refused() {
    let (whole, sent) = shard(&[file(1, 3, true, true)]);
    let changed = |at: usize, byte: u8| {
        let mut bytes = sent.clone();
        bytes[at] = byte;
        bytes
    };
    let wrong = [
        (vec![], ""),
        (sent[..47].to_vec(), ""),
        (sent[..48].to_vec(), "cut short"),
        (sent[..sent.len() - 1].to_vec(), "cut short"),
        (sent[..sent.len() - 48].to_vec(), "cut short"),
        ([sent.as_slice(), &[0]].concat(), "left over"),
        (whole[..whole.len() - 200].to_vec(), "left over"),
        (changed(0, 0), "Magic"),
        (changed(32, 1), "version"),
        (changed(40, 1), "left over"),
        // The flags and the number of terms of the file.
        (changed(48 + 32, 1), "flags"),
        (changed(48 + 35, 0x40), "verification"),
        (changed(48 + 36, 0), "terms"),
        (changed(48 + 36, 200), "cut short"),
        (changed(48 + 39, 200), "terms"),
        // A term whose chunks end before they begin.
        (changed(48 + 48 + 44, 0), "without chunks"),
        (shard(&[file(1, 3, false, true)]).1, "verification"),
    ];
    for (index, (bytes, reason)) in wrong.iter().enumerate() {
        let error = Shard::parse(bytes).unwrap_err().to_string();
        assert!(error.contains(reason), "{index}: {error}");
    }
    assert!(matches!(
        Shard::parse(&vec![0; SHARD_BYTES_MAX + 1]),
        Err(Error::Limit { .. })
    ));
}

#[test]
fn a_dedup_answer_is_what_clients_read() {
    let chunks = [vec![1; 100], vec![2; 200]];
    let chunks: Vec<xet_core_structures::xorb_object::Chunk> = chunks
        .iter()
        .map(|bytes| xet_core_structures::xorb_object::Chunk::new(bytes.clone().into()))
        .collect();
    let raw = xet_core_structures::xorb_object::RawXorbData::from_chunks(&chunks, vec![0]);
    let made =
        xet_core_structures::xorb_object::SerializedXorbObject::from_xorb(raw, false, "none", 4)
            .unwrap();
    let xorb = made.hash.into();
    let (table, _) = crate::xet::xorb::tests::parse_xorb(&xorb, &made.serialized_data).unwrap();
    let xorbs = [(xorb, table)];
    let answer = dedup_shard(&xorbs, 1_234).unwrap();
    let read = MDBInMemoryShard::from_reader(&mut answer.as_slice()).unwrap();
    let (count, term) = read
        .chunk_hash_dedup_query(&[chunks[0].hash, chunks[1].hash])
        .unwrap();
    assert_eq!(
        (count, term.xorb_hash, term.unpacked_segment_bytes),
        (2, made.hash, 300)
    );
    let info = xet_core_structures::metadata_shard::MDBShardInfo::load_from_reader(
        &mut std::io::Cursor::new(&answer),
    )
    .unwrap();
    assert_eq!(info.metadata.shard_key_expiry, 1_234);
    assert_eq!(dedup_shard(&xorbs, 1_234).unwrap(), answer);
    let eligible = (0..5_000)
        .map(hash)
        .filter(hash_is_global_dedup_eligible)
        .count();
    assert!((1..20).contains(&eligible), "{eligible}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_changed_shard_never_panics(at in 0usize..10_000, change in 1u8.., cut in 0usize..10_000) {
        let (_, mut sent) = shard(&[file(1, 3, true, true), file(2, 2, true, false)]);
        let length = sent.len();
        sent[at % length] ^= change;
        let _ = Shard::parse(&sent);
        sent.truncate(cut % length);
        prop_assert!(Shard::parse(&sent).is_err());
    }

    #[test]
    fn noise_is_no_shard(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (_, sent) = shard(&[]);
        prop_assert!(Shard::parse(&bytes).is_err());
        let _ = Shard::parse(&[&sent[..48], bytes.as_slice()].concat());
    }
}
