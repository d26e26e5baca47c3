//! Xorbs made by the library that clients use, and ones that nobody should take.

use proptest::prelude::*;
use xet_core_structures::xorb_object::{Chunk, RawXorbData, SerializedXorbObject};

use super::*;

/// Chunks of some sizes: text that packs well, numbers that pack when grouped, and noise.
fn chunks(sizes: &[usize]) -> Vec<Vec<u8>> {
    let noise = |seed: usize, size: usize| {
        let mut bytes = vec![0; size];
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        hasher.finalize_xof().fill(&mut bytes);
        bytes
    };
    let chunk = |(index, size): (usize, &usize)| match index % 3 {
        0 => vec![b'a'; *size],
        1 => {
            let numbers = (0..size / 4 + 1).flat_map(|n| {
                let number = 1.0 + 0.001 * f32::from(u16::try_from(n % 1000).unwrap());
                number.to_le_bytes()
            });
            numbers.take(*size).collect()
        }
        _ => noise(index, *size),
    };
    sizes.iter().enumerate().map(chunk).collect()
}

/// Validates a xorb that comes in pieces of `size` bytes.
fn parse_in(size: usize, hash: &XetHash, bytes: &[u8]) -> Result<(XorbTable, Vec<u8>), Error> {
    let (mut scan, mut content) = (XorbScan::default(), Vec::new());
    for piece in bytes.chunks(size) {
        scan.take(piece, |chunk| {
            content.extend_from_slice(chunk);
            Ok(())
        })?;
    }
    Ok((scan.finish(hash)?, content))
}

/// Validates a xorb that comes in one piece.
pub(crate) fn parse_xorb(hash: &XetHash, bytes: &[u8]) -> Result<(XorbTable, Vec<u8>), Error> {
    parse_in(bytes.len().max(1), hash, bytes)
}

fn xorb(chunks: &[Vec<u8>], packing: &str, footer: bool) -> (XetHash, Vec<u8>) {
    let chunks: Vec<Chunk> = chunks
        .iter()
        .map(|bytes| Chunk::new(bytes.clone().into()))
        .collect();
    let raw = RawXorbData::from_chunks(&chunks, vec![0]);
    let made = SerializedXorbObject::from_xorb(raw, footer, packing, 4).unwrap();
    (made.hash.into(), made.serialized_data)
}

const SIZES: [usize; 7] = [1, 8_192, 70_000, 131_072, 3, 4_097, 65_536];

#[test]
fn what_clients_make_is_taken() {
    for packing in ["auto", "none", "lz4", "bg4-lz4"] {
        let chunks = chunks(&SIZES);
        let (hash, bytes) = xorb(&chunks, packing, false);
        let (table, content) = parse_xorb(&hash, &bytes).unwrap();
        assert_eq!(content, bytes, "{packing}");
        for size in [1, 8, 9, 65_000, 200_000] {
            let found = parse_in(size, &hash, &bytes).unwrap();
            assert_eq!(found, (table.clone(), content.clone()), "{size}");
        }
        let (with_hash, with_footer) = xorb(&chunks, packing, true);
        assert_eq!(with_hash, hash);
        assert_eq!(
            parse_in(1_000, &hash, &with_footer).unwrap(),
            (table.clone(), content.clone())
        );
        for (index, chunk) in (0..).zip(&chunks) {
            let range = table.bytes(&(index..index + 1)).unwrap();
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            assert_eq!(
                &unpack_chunk(&content[range]).unwrap(),
                chunk,
                "{packing} {index}"
            );
        }
        assert_eq!(XorbTable::decode(&table.encode()).unwrap(), table);
        let all = u64::try_from(SIZES.iter().sum::<usize>()).unwrap();
        assert_eq!(table.unpacked(&(0..7)).unwrap(), 0..all);
        assert_eq!(table.unpacked(&(1..2)).unwrap(), 1..8_193);
        assert_eq!(
            [0, 1, 8_192, 8_193].map(|at| table.chunk_at(at)),
            [0, 1, 1, 2]
        );
        for none in [0..0, 7..8, 3..3, 6..8, u32::MAX..u32::MAX] {
            assert_eq!((table.bytes(&none), table.range_hash(&none)), (None, None));
        }
    }
}

#[test]
fn what_is_no_xorb_is_refused() {
    let (hash, good) = xorb(&chunks(&SIZES), "auto", false);
    let (_, footed) = xorb(&chunks(&SIZES), "auto", true);
    let (other, other_footed) = xorb(&chunks(&[10, 20]), "auto", true);
    let cut = |bytes: &[u8], by: usize| bytes[..bytes.len() - by].to_vec();
    let joined = |parts: &[&[u8]]| parts.concat();
    let header = |scheme: u8, packed: u8, unpacked: [u8; 3]| {
        let [low, middle, high] = unpacked;
        vec![0, packed, 0, 0, scheme, low, middle, high]
    };
    let footer = &footed[good.len()..];
    let wrong = [
        (Vec::new(), "no chunks"),
        (footer.to_vec(), "no chunks"),
        (cut(&good, 1), "cut short"),
        (good[8..].to_vec(), ""),
        (joined(&[&good, &good]), "announced"),
        (joined(&[&good, &[0]]), "cut short"),
        (cut(&footed, 1), ""),
        (cut(&footed, 4), ""),
        (joined(&[&footed, &[0]]), "length"),
        (joined(&[&footed, &[0; 100_000]]), "longer than its chunks"),
        (joined(&[&footed, footer]), "length"),
        (
            joined(&[&good, &other_footed[other_footed.len() - 200..]]),
            "",
        ),
        (header(0, 0, [0, 0, 0]), "0 bytes"),
        (joined(&[&header(0, 1, [2, 0, 0]), b"a"]), "1 bytes"),
        (joined(&[&header(0, 2, [1, 0, 0]), b"ab"]), "2 bytes"),
        (joined(&[&header(1, 1, [1, 0, 0]), b"a"]), ""),
        (joined(&[&header(2, 1, [1, 0, 0]), b"a"]), ""),
        (joined(&[&header(3, 1, [1, 0, 0]), b"a"]), ""),
        (joined(&[&header(99, 1, [1, 0, 0]), b"a"]), "not named"),
        (joined(&[&header(0, 1, [1, 0, 2]), b"a"]), ""),
    ];
    for (index, (bytes, reason)) in wrong.iter().enumerate() {
        let error = parse_xorb(&hash, bytes).unwrap_err().to_string();
        assert!(error.contains(reason), "{index}: {error}");
        let by_seven = parse_in(7, &hash, bytes).unwrap_err().to_string();
        assert!(by_seven.contains(reason), "{index}: {by_seven}");
    }
    assert!(parse_xorb(&other, &good).is_err());
    assert!(parse_xorb(&XetHash::from_bytes([0; 32]), &[]).is_err());
}

#[test]
fn a_footer_that_contradicts_is_refused() {
    let (hash, footed) = xorb(&chunks(&SIZES), "auto", true);
    let (_, good) = xorb(&chunks(&SIZES), "auto", false);
    // The last 20 bytes before its length are room for what is not known yet.
    let mut refused = 0;
    for at in good.len()..footed.len() - 20 {
        let mut changed = footed.clone();
        changed[at] ^= 1;
        refused += usize::from(parse_xorb(&hash, &changed).is_err());
    }
    assert_eq!(refused, footed.len() - 20 - good.len());
}

#[test]
fn a_chunk_that_unpacks_to_more_than_it_says_is_stopped() {
    let zeros = vec![0; 40 << 20];
    let bomb = CompressionScheme::LZ4.compress_from_slice(&zeros).unwrap();
    assert!(bomb.len() < 2 * CHUNK_BYTES_MAX);
    for scheme in [CompressionScheme::LZ4, CompressionScheme::ByteGrouping4LZ4] {
        let header = XorbChunkHeader::new(scheme, u32::try_from(bomb.len()).unwrap(), 100);
        let error = unpack(header, &bomb).unwrap_err().to_string();
        assert!(error.contains("longer than it says"), "{error}");
    }
}

#[test]
fn a_xorb_has_limits() {
    let mut table = XorbTable::default();
    for _ in 0..XORB_CHUNKS_MAX {
        table.push(9, b"a").unwrap();
    }
    assert!(matches!(table.push(9, b"a"), Err(Error::Limit { .. })));
    let mut table = XorbTable::default();
    let chunk = vec![0; CHUNK_BYTES_MAX];
    for _ in 0..XORB_BYTES_MAX / CHUNK_BYTES_MAX {
        table.push(9, &chunk).unwrap();
    }
    assert!(matches!(table.push(9, b"a"), Err(Error::Limit { .. })));
    let long = vec![0; XORB_SENT_BYTES_MAX + 1];
    let refused = parse_xorb(&XetHash::from_bytes([0; 32]), &long);
    assert!(matches!(refused, Err(Error::Limit { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// No change of a xorb makes another one of its hash: what is taken unpacks to the same chunks.
    #[test]
    fn no_changed_xorb_is_taken_for_it(at in 0usize..100_000, change in 1u8.., footer: bool) {
        let chunks = chunks(&[100, 5_000, 300, 2_000]);
        let (hash, mut bytes) = xorb(&chunks, "auto", footer);
        let at = at % bytes.len();
        bytes[at] ^= change;
        if let Ok((table, content)) = parse_xorb(&hash, &bytes) {
            for (index, chunk) in (0..).zip(&chunks) {
                let range = table.bytes(&(index..index + 1)).unwrap();
                let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                prop_assert_eq!(&unpack_chunk(&content[range]).unwrap(), chunk);
            }
        }
    }

    #[test]
    fn noise_is_no_xorb(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(parse_xorb(&XetHash::from_bytes([7; 32]), &bytes).is_err());
        prop_assert!(unpack_chunk(&bytes).is_err() || bytes.len() > 8);
    }

    /// Grouped bytes of any length unpack, whatever they are.
    #[test]
    fn grouped_noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 1..70)) {
        let packed = CompressionScheme::LZ4.compress_from_slice(&bytes).unwrap();
        let size = u32::try_from(bytes.len()).unwrap();
        let header = XorbChunkHeader::new(
            CompressionScheme::ByteGrouping4LZ4,
            u32::try_from(packed.len()).unwrap(),
            size,
        );
        prop_assert_eq!(unpack(header, &packed).unwrap().len(), bytes.len());
    }
}
