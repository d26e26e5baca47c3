use proptest::prelude::*;

use super::*;
use crate::tensors::{DType, written};

mod disguised;

/// `os.system("true")` as CPython 3.11 pickles it, protocols 0 to 5.
const CALLS: [&str; 6] = [
    "63706f7369780a73797374656d0a70300a2856747275650a70310a7470320a5270330a2e",
    "63706f7369780a73797374656d0a71002858040000007472756571017471025271032e",
    "800263706f7369780a73797374656d0a710058040000007472756571018571025271032e",
    "800363706f7369780a73797374656d0a710058040000007472756571018571025271032e",
    "8004951f000000000000008c05706f736978948c0673797374656d9493948c047472756594859452942e",
    "8005951f000000000000008c05706f736978948c0673797374656d9493948c047472756594859452942e",
];

/// `[1, 2, {"a": (1.5, None, b"x", "yyy")}]`, protocols 2 to 5; protocol 2 imports an encoder.
const VALUES: [&str; 4] = [
    "80025d7100284b014b027d7101580100000061710228473ff80000000000004e635f636f646563730a656e636f64650a7103580100000078710458060000006c6174696e3171058671065271075803000000797979710874710973652e",
    "80035d7100284b014b027d7101580100000061710228473ff80000000000004e43017871035803000000797979710474710573652e",
    "80049527000000000000005d94284b014b027d948c01619428473ff80000000000004e430178948c0379797994749473652e",
    "80059527000000000000005d94284b014b027d948c01619428473ff80000000000004e430178948c0379797994749473652e",
];

fn unhex(text: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(pair).collect()
}

fn verdict(bytes: &[u8]) -> Verdict {
    inspect(&bytes.to_vec()).unwrap()
}

/// The only reason for taking these bytes for code.
fn code(bytes: &[u8]) -> Reason {
    match verdict(bytes) {
        Verdict::Code { reasons } if reasons.len() == 1 => reasons[0].clone(),
        other => panic!("{other}"),
    }
}

fn scan(bytes: &[u8]) -> Option<Pickle> {
    match pickle::scan(bytes, 0, u64::MAX).unwrap().0 {
        pickle::Scan::Pickle(pickle) => Some(pickle),
        pickle::Scan::Nothing | pickle::Scan::TooMuch => None,
    }
}

fn imports(pickle: &Pickle) -> Vec<String> {
    pickle.imports.iter().map(Import::to_string).collect()
}

fn is_unknown(bytes: &[u8], says: &str) {
    match verdict(bytes) {
        Verdict::Unknown { why } if why.contains(says) => {}
        other => panic!("{other}, not: {says}"),
    }
}

fn is(bytes: &[u8], format: Format) {
    assert_eq!(verdict(bytes), Verdict::Data { format });
}

#[derive(Clone, Copy)]
enum Packing {
    Stored,
    Deflated,
}

/// A zip archive of these parts.
fn zip(parts: &[(&str, &[u8], Packing)]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content, packing) in parts {
        let (method, packed) = match packing {
            Packing::Stored => (0u16, content.to_vec()),
            Packing::Deflated => (8, miniz_oxide::deflate::compress_to_vec(content, 6)),
        };
        let offset = bytes.len() as u32;
        let mut fields = Vec::new();
        fields.extend([20u8, 0, 0, 0]);
        fields.extend(method.to_le_bytes());
        fields.extend([0; 8]);
        fields.extend((packed.len() as u32).to_le_bytes());
        fields.extend((content.len() as u32).to_le_bytes());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0; 2]);
        bytes.extend([b"PK\x03\x04".as_slice(), &fields, name.as_bytes(), &packed].concat());
        directory.extend([b"PK\x01\x02\x14\0".as_slice(), &fields, &[0; 10]].concat());
        directory.extend(offset.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (at, size) = (bytes.len() as u32, directory.len() as u32);
    let count = (parts.len() as u16).to_le_bytes();
    bytes.extend(&directory);
    bytes.extend([b"PK\x05\x06\0\0\0\0".as_slice(), &count, &count].concat());
    bytes.extend([&size.to_le_bytes()[..], &at.to_le_bytes(), &[0; 2]].concat());
    bytes
}

use Packing::{Deflated, Stored};

#[test]
fn a_call_is_found_in_every_protocol() {
    for (protocol, hex) in CALLS.iter().enumerate() {
        let reason = code(&unhex(hex));
        assert_eq!(imports(&reason.pickle), ["posix.system"], "{protocol}");
        let expected = if protocol < 2 { 0 } else { protocol as u8 };
        assert_eq!((reason.pickle.protocol, reason.pickle.calls), (expected, 1));
        assert!(reason.pickle.complete);
    }
}

#[test]
fn a_pickle_without_calls_is_still_one() {
    for hex in VALUES {
        assert!(code(&unhex(hex)).pickle.complete);
    }
    assert_eq!(imports(&code(&unhex(VALUES[0])).pickle), ["_codecs.encode"]);
    assert!(code(&unhex(VALUES[3])).pickle.imports.is_empty());
}

#[test]
fn names_are_followed_through_stack_and_memo() {
    let cases: [(&[u8], &str, u64); 12] = [
        // STACK_GLOBAL of strings from the memo, by every way of writing to it.
        (
            b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93)R.",
            "os.system",
            0,
        ),
        (
            b"\x80\x04\x8c\x02osq\x07\x8c\x06systemr\x00\x01\x00\x00h\x07j\x00\x01\x00\x00\x93)R.",
            "os.system",
            0,
        ),
        (
            b"\x80\x04X\x02\x00\x00\x00os\x8d\x06\x00\x00\x00\x00\x00\x00\x00system\x93)R.",
            "os.system",
            0,
        ),
        // MEMOIZE counts the entries, not the writes.
        (
            b"\x80\x04\x8c\x02osq\x00q\x00\x8c\x06system\x94h\x00h\x01\x93)R.",
            "os.system",
            0,
        ),
        // A duplicate, and a string under another that is popped.
        (b"\x80\x04\x8c\x02os2\x93)R.", "os.os", 0),
        (
            b"\x80\x04\x8c\x02os\x8c\x01x0\x8c\x06system\x93)R.",
            "os.system",
            0,
        ),
        // Text forms of protocol 0, and its calls.
        (b"(S'true'\nios\nsystem\n.", "os.system", 0),
        (b"(cos\nsystem\nS'true'\no.", "os.system", 0),
        (b"\x80\x02cos\r\nsystem\r\n)R.", "os.system", 0),
        // Names that are computed, or not text.
        (b"\x80\x04\x8c\x02osK\x01\x93)R.", "", 1),
        (b"\x80\x04\x8c\x02osh\x09\x93)R.", "", 1),
        (b"\x80\x02c\xff\nsystem\n)R.", "", 1),
    ];
    for (bytes, name, hidden) in cases {
        let pickle = code(bytes).pickle;
        let expected: &[&str] = if name.is_empty() { &[] } else { &[name] };
        assert_eq!(imports(&pickle), expected, "{}", bytes.escape_ascii());
        assert_eq!(
            (pickle.hidden_imports, pickle.calls),
            (hidden, 1),
            "{}",
            bytes.escape_ascii()
        );
    }
    // A slot that was overwritten is not remembered.
    let overwritten = b"\x80\x04\x8c\x02osq\x00K\x01q\x00\x8c\x06systemh\x00\x93)R.";
    assert_eq!(code(overwritten).pickle.hidden_imports, 1);
}

#[test]
fn what_runs_before_a_pickle_breaks_off_counts() {
    for hex in CALLS {
        let whole = unhex(hex);
        // Without STOP, and with something that is no opcode behind the call.
        let cut = &whole[..whole.len() - 1];
        for bytes in [
            cut.to_vec(),
            [cut, &[0xff; 20]].concat(),
            [cut, b"\n\n"].concat(),
        ] {
            let pickle = code(&bytes).pickle;
            assert_eq!(imports(&pickle), ["posix.system"]);
            assert!(!pickle.complete && pickle.calls == 1, "{pickle}");
        }
    }
    // A stack that is empty when something is taken from it.
    assert!(!code(b"\x80\x04N0N0\x8c\x01aR.").pickle.complete);
    assert!(!code(b"\x80\x04N0N00.").pickle.complete);
    // Too short to be more than chance.
    is_unknown(b"\x80\x04N00.", "no format");
}

#[test]
fn pickles_behind_each_other_are_all_scanned() {
    // As torch.save wrote before 1.6: a number, a version, and then what calls.
    let number = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    let bytes = [&number[..], b"\x80\x02M\xe9\x03.", &unhex(CALLS[2])].concat();
    let pickle = code(&bytes).pickle;
    assert_eq!(imports(&pickle), ["posix.system"]);
    assert!(pickle.complete);
    // Elements behind the last one do not hide it.
    let pickle = code(&[&bytes[..], &[0; 100]].concat()).pickle;
    assert_eq!(
        (imports(&pickle), pickle.complete),
        (vec!["posix.system".to_owned()], true)
    );
}

#[test]
fn text_is_no_pickle() {
    for text in [
        "# A model\n\nc is for cookie.\nIt is good enough.\n",
        "class A:\n    pass\n(R.\n",
        "import os\nos.system('true')\n",
        "{\"a\": 1}",
        "N.",
        "I1\n.",
        "(dp0\nS'a'\np1\nI1\ns.",
        "ü\n",
    ] {
        is(text.as_bytes(), Format::Text);
    }
    is(b"", Format::Empty);
    is_unknown(b"text\x00and more", "no format");
    is_unknown(
        &[&b"a".repeat(600)[..], &[0xff]].concat(),
        "goes on otherwise",
    );
    is_unknown(&[0xff; 40], "no format");
}

#[test]
fn what_imports_nothing_possible_does_not_hide_what_does() {
    let evil = unhex(CALLS[0]);
    // A second pickle, and the same one after its call, that names what nobody can import.
    let second = [&evil[..], b"c\n\n."].concat();
    let after = [&evil[..evil.len() - 1], b"c \n.\n."].concat();
    let computed = b"(cos\ngetcwd\n(tRq\x00h\x00\x93(tR.";
    for bytes in [&second[..], &after[..], &computed[..]] {
        assert!(code(bytes).pickle.calls > 0, "{}", bytes.escape_ascii());
    }
}

#[test]
fn noise_is_no_code() {
    // Calls of what cannot be imported: no text, numbers for names, names that are none.
    let cases: [&[u8]; 5] = [
        b"c\xff\xfe\nabc\n(tR.",
        b"cabc\n\xff\xfe\n(tR",
        b"K\x01K\x02\x93)R.",
        b"(i\xff\n\xff\n.",
        b"c\x01\x02\n~\n)R\xff",
    ];
    for bytes in cases {
        is_unknown(bytes, "no format");
    }
    // Numbers that a generator makes, as weights are in a format that is not known here.
    let mut random = Random::new();
    for _ in 0..200_000 {
        let noise = random.bytes(2048);
        let found = scan(&noise);
        let marked = noise[0] == 0x80;
        assert!(
            marked || found.is_none(),
            "{} is {found:?}",
            noise[..64].escape_ascii()
        );
    }
}

#[test]
fn noise_behind_a_mark_is_seldom_code() {
    // Six of 65,536 beginnings are a mark. Of noise behind one, at most 15 in 10,000 are taken for a pickle.
    let mut random = Random::new();
    let mut taken = 0;
    for round in 0..200_000u32 {
        let mut noise = random.bytes(2048);
        noise[0] = 0x80;
        noise[1] = (round % 6) as u8;
        taken += u32::from(scan(&noise).is_some());
    }
    assert!((1..=300).contains(&taken), "{taken} of 200000");
}

/// Numbers that a generator makes (xorshift), the same in every run.
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0u8; length.next_multiple_of(8)];
        for word in bytes.chunks_exact_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

/// A call that CPython 3.11 runs, without STOP.
const SYSTEM: &[u8] = b"cos\nsystem\n(S'true'\ntR";

/// A safetensors file whose header's length has this lowest byte. Its header ends a line just before its last brackets, and
/// has many `N`, where jumps land, before a `V` that takes the rest of the line.
fn jumping(low: u8, weights: &[u8]) -> Vec<u8> {
    let end = format!(
        "V\"}},\"w\":{{\"dtype\":\"U8\",\"shape\":[{0}],\"data_offsets\":[0,{0}]\n}}}}",
        weights.len()
    );
    let begin = "{\"__metadata__\":{\"a\":\"";
    let mut slide = 8192;
    while (begin.len() + slide + end.len()) % 256 != usize::from(low) {
        slide += 1;
    }
    let header = [begin, &"N".repeat(slide), &end].concat();
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), weights].concat()
}

#[test]
fn archives_are_looked_into() {
    let evil = unhex(CALLS[2]);
    let torch = |packing| {
        zip(&[
            ("archive/data.pkl", &evil, packing),
            ("archive/byteorder", b"little", Stored),
            ("archive/data/0", &[0; 64], Stored),
            ("archive/version", b"3\n", Stored),
        ])
    };
    for packing in [Stored, Deflated] {
        let reason = code(&torch(packing));
        assert_eq!(reason.place, "archive/data.pkl");
        assert_eq!(imports(&reason.pickle), ["posix.system"]);
    }
    // In an archive in an archive, and in two places.
    let nested = zip(&[("a.zip", &torch(Deflated), Deflated), ("b", &evil, Stored)]);
    let Verdict::Code { reasons } = verdict(&nested) else {
        panic!("no code");
    };
    let places: Vec<&str> = reasons.iter().map(|reason| reason.place.as_str()).collect();
    assert_eq!(places, ["a.zip!archive/data.pkl", "b"]);
    // Data alone is data, something unknown makes it unknown.
    is(
        &zip(&[
            ("a.txt", b"hello\n", Deflated),
            ("b.npy", &npy("'<f4'"), Stored),
        ]),
        Format::Archive,
    );
    is_unknown(
        &zip(&[("a.txt", b"hello\n", Stored), ("b", &[0xfe; 9], Stored)]),
        "no format",
    );
    let deep = (0..5).fold(evil, |inner, _| zip(&[("x", &inner, Stored)]));
    is_unknown(&deep, "too deep");
}

#[test]
fn archives_that_lie_are_not_data() {
    let good = zip(&[("a.txt", b"hello\n", Stored)]);
    is(&good, Format::Archive);
    let changed = |at: usize, to: u8| {
        let mut bytes = good.clone();
        bytes[at] = to;
        bytes
    };
    let end = good.len();
    // The part's own header: name, method, signature; the directory: sizes, offset, count.
    is_unknown(&changed(30, b'b'), "two things");
    is_unknown(&changed(8, 8), "two things");
    is_unknown(&changed(end - 12, 9), "not well formed");
    is_unknown(&changed(end - 6, 1), "two things");
    let directory = end - 22 - 51;
    is_unknown(&changed(directory + 20, 99), "two things");
    is_unknown(&changed(directory + 24, 99), "two sizes");
    is_unknown(&changed(directory + 42, 1), "two things");
    is_unknown(&changed(directory + 8, 1), "encrypted");
    is_unknown(&changed(directory, b'Q'), "not well formed");
    // A directory, and a part, that lie behind the end.
    is_unknown(&changed(end - 3, 0xff), "");
    is_unknown(&changed(directory + 45, 0xff), "two things");
    for length in 4..end {
        assert!(!verdict(&good[..length]).is_data(), "{length}");
    }
    // Two directories: readers take the last one.
    let evil = unhex(CALLS[4]);
    let both = [good.clone(), zip(&[("a.txt", &evil, Stored)])].concat();
    assert_eq!(code(&both).place, "a.txt");
}

#[test]
fn a_bomb_costs_no_more_than_the_limit() {
    let zeroes = vec![0u8; 80 << 20];
    let bomb = zip(&[("a", &zeroes, Deflated)]);
    assert!(bomb.len() < 200_000);
    assert!(!verdict(&bomb).is_data());
    // Text that goes on as a pickle would not be seen: it is not called text.
    let text = vec![b'a'; 80 << 20];
    is_unknown(&zip(&[("a", &text, Deflated)]), "too large");
    let (_, bytes) = inspect_counting(&zip(&[("a", &text, Deflated)])).unwrap();
    assert!(bytes > 64 << 20, "{bytes}");
    let packed = miniz_oxide::deflate::compress_to_vec(&text, 1);
    let parts: Vec<(String, &[u8])> = (0..8)
        .map(|i| (format!("{i}"), packed.as_slice()))
        .collect();
    let gzip = |bytes: &[u8]| [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], bytes].concat();
    let gzipped: Vec<Vec<u8>> = parts.iter().map(|(_, bytes)| gzip(bytes)).collect();
    let many: Vec<_> = parts
        .iter()
        .zip(&gzipped)
        .map(|((n, _), b)| (n.as_str(), b.as_slice(), Stored))
        .collect();
    assert!(!verdict(&zip(&many)).is_data());
    // A pickle that only pushes.
    assert!(
        !code(&[b"\x80\x04".as_slice(), &[b'N'; 1 << 20]].concat())
            .pickle
            .complete
    );
    let memo: Vec<u8> = (0..(1u32 << 19))
        .flat_map(|i| [b"Nr".as_slice(), &i.to_le_bytes(), b"0"].concat())
        .collect();
    let last = b"\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93)R.";
    assert_eq!(
        code(&[b"\x80\x04", &memo[..], last].concat())
            .pickle
            .hidden_imports,
        1
    );
}

#[test]
fn compressed_pickles_are_unpacked() {
    // As joblib writes them.
    let evil = unhex(CALLS[4]);
    let zlib = miniz_oxide::deflate::compress_to_vec_zlib(&evil, 3);
    assert_eq!(imports(&code(&zlib).pickle), ["posix.system"]);
    let deflated = miniz_oxide::deflate::compress_to_vec(&evil, 6);
    let plain = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &deflated].concat();
    let named = [
        &[0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3][..],
        b"name\0",
        &deflated,
    ]
    .concat();
    for gzip in [plain, named] {
        assert_eq!(imports(&code(&gzip).pickle), ["posix.system"]);
    }
    is_unknown(&zlib[..3], "");
    for magic in [
        &b"BZh91AY"[..],
        b"\xfd7zXZ\0\0",
        b"\x28\xb5\x2f\xfd",
        b"\x89HDF\r\n\x1a\n",
        b"7z\xbc\xaf\x27\x1c",
        b"\x7fELF",
    ] {
        is_unknown(&[magic, &[0; 40]].concat(), "");
    }
    let mut tar = vec![0; 600];
    tar[257..262].copy_from_slice(b"ustar");
    is_unknown(&tar, "tar");
}

fn npy(descr: &str) -> Vec<u8> {
    let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (1,), }}\n");
    [
        b"\x93NUMPY\x01\0".as_slice(),
        &(header.len() as u16).to_le_bytes(),
        header.as_bytes(),
        &[0; 4],
    ]
    .concat()
}

#[test]
fn arrays_of_objects_are_pickles() {
    let evil = unhex(CALLS[3]);
    for descr in ["'|O'", "'O'", "\"|O8\"", "[('a', '<f4'), ('b', '|O')]"] {
        let mut bytes = npy(descr);
        bytes.truncate(bytes.len() - 4);
        let reason = code(&[&bytes[..], &evil].concat());
        assert_eq!(imports(&reason.pickle), ["posix.system"], "{descr}");
        is_unknown(&npy(descr), "objects");
    }
    for descr in ["'<f4'", "'|b1'", "[('O1a', '<f4')]", "'<U10'"] {
        is(&npy(descr), Format::Npy);
    }
    let good = npy("'<f4'");
    is_unknown(&good[..20], "not well formed");
    is_unknown(
        &[b"\x93NUMPY\x09\0", &good[8..]].concat(),
        "not well formed",
    );
}

fn gguf(pairs: &[(&str, u32, &[u8])], tensors: &[(&str, u64)]) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let mut bytes = b"GGUF\x03\0\0\0".to_vec();
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((pairs.len() as u64).to_le_bytes());
    for (name, kind, value) in pairs {
        bytes.extend([&text(name)[..], &kind.to_le_bytes(), value].concat());
    }
    for (name, offset) in tensors {
        bytes.extend(
            [
                &text(name)[..],
                &1u32.to_le_bytes(),
                &8u64.to_le_bytes(),
                &0u32.to_le_bytes(),
                &offset.to_le_bytes(),
            ]
            .concat(),
        );
    }
    bytes.resize(bytes.len().next_multiple_of(32) + 64, 0);
    bytes
}

#[test]
fn formats_of_data_are_read_to_the_end_of_their_headers() {
    let safetensors = written(&[("a", DType::F32, &[2], vec![0; 8])]);
    is(&safetensors, Format::Safetensors);
    is_unknown(&[&safetensors[..], &[0]].concat(), "safetensors");
    is_unknown(&safetensors[..safetensors.len() - 1], "safetensors");

    let list = [
        &8u32.to_le_bytes()[..],
        &1u64.to_le_bytes(),
        &3u64.to_le_bytes(),
        b"abc",
    ]
    .concat();
    let good = gguf(
        &[("a", 4, &[1, 0, 0, 0]), ("tokens", 9, &list)],
        &[("w", 0), ("v", 32)],
    );
    is(&good, Format::Gguf);
    for bad in [
        gguf(&[("a", 13, &[1])], &[]),
        gguf(&[("a", 7, &[2])], &[]),
        gguf(
            &[(
                "a",
                9,
                &[&8u32.to_le_bytes()[..], &u64::MAX.to_le_bytes()].concat(),
            )],
            &[],
        ),
        gguf(&[("general.alignment", 4, &[3, 0, 0, 0])], &[]),
        gguf(&[], &[("w", 1)]),
        gguf(&[], &[("w", 1 << 40)]),
        [b"GGUF\x01", &good[5..]].concat(),
        [&good[..8], &[0xff; 8], &good[16..]].concat(),
        [&good[..16], &[0xff; 8], &good[24..]].concat(),
        good[..60].to_vec(),
    ] {
        is_unknown(&bad, "GGUF");
    }

    // ir_version 8, a producer, an operator set, a graph.
    let onnx = b"\x08\x08\x12\x01x\x42\x02\x10\x11\x3a\x04\x0a\x02ab";
    is(onnx, Format::Onnx);
    for bad in [
        &onnx[..9],
        &onnx[..14],
        &onnx[2..],
        &[&onnx[..], &[0x3a, 1, 0]].concat(),
        &[&onnx[..], &[0x4a, 0]].concat(),
    ] {
        assert!(!verdict(bad).is_data(), "{bad:02x?}");
    }
}

#[test]
fn models_of_this_repository_are_data() {
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../../models");
    let mut seen = 0;
    for entry in std::fs::read_dir(models).unwrap() {
        if let Ok(bytes) = std::fs::read(entry.unwrap().path().join("model.onnx")) {
            is(&bytes, Format::Onnx);
            seen += 1;
        }
    }
    assert!(seen > 10);
}

#[test]
fn an_archive_behind_data_is_no_data() {
    let archive = zip(&[("data.pkl", &unhex(CALLS[2]), Stored)]);
    // A safetensors file whose elements are an archive: readers of archives begin at the end.
    let length = archive.len() as u64;
    let both = written(&[("a", DType::U8, &[length], archive.clone())]);
    is_unknown(&both, "zip archive at its end");
    is_unknown(
        &[npy("'<f4'"), archive.clone()].concat(),
        "zip archive at its end",
    );
    // Behind anything else it is looked into.
    assert_eq!(
        code(&[b"#!/bin/sh\n", &archive[..]].concat()).place,
        "data.pkl"
    );
    assert_eq!(
        code(&[&[0xfe; 30], &archive[..]].concat()).place,
        "data.pkl"
    );
}

#[test]
fn a_verdict_is_told_in_a_line() {
    let text = verdict(&unhex(CALLS[2])).to_string();
    assert_eq!(
        text,
        "code: the file: pickle of protocol 2, 1 calls, imports posix.system;"
    );
    let json = serde_json::to_string(&verdict(&unhex(CALLS[2]))).unwrap();
    assert!(
        json.starts_with("{\"verdict\":\"code\",\"reasons\":[{\"place\":\"\""),
        "{json}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_get_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..300), magic in 0usize..8) {
        let magics: [&[u8]; 8] = [b"", b"PK\x03\x04", b"GGUF\x03\0\0\0", b"\x93NUMPY\x01\0", b"\x80\x04", b"\x1f\x8b\x08\0", b"\x78\x9c", b"\x08\x08\x3a"];
        let _ = verdict(&[magics[magic], &bytes].concat());
    }

    #[test]
    fn a_damaged_archive_with_code_is_never_data(at in any::<prop::sample::Index>(), to: u8, packed: bool) {
        let packing = if packed { Deflated } else { Stored };
        let mut bytes = zip(&[("data.pkl", &unhex(CALLS[2]), packing), ("b", &unhex(CALLS[4]), Stored)]);
        let at = at.index(bytes.len());
        bytes[at] = to;
        prop_assert!(!verdict(&bytes).is_data());
    }

    #[test]
    fn calls_behind_any_start_are_found(values in prop::collection::vec(0u8..6, 0..40), protocol in 2usize..6) {
        // Well-formed pushes and pops before the call.
        let pieces: [&[u8]; 6] = [b"N0", b"K\x010", b"\x8c\x01a0", b"(1", b"]0", b"}\x85\x850"];
        let start: Vec<u8> = values.iter().flat_map(|value| pieces[usize::from(*value)].to_vec()).collect();
        let call = unhex(CALLS[protocol]);
        let bytes = [&call[..2], &start, &call[2..]].concat();
        let pickle = code(&bytes).pickle;
        prop_assert_eq!(imports(&pickle), ["posix.system"]);
        prop_assert!(pickle.complete);
    }
}

#[test]
fn findings_of_an_archive_are_few_and_short() {
    let name = |number: usize| format!("{number}{}", "x".repeat(5_000));
    let reason = |number| Reason {
        place: name(number),
        pickle: scan(b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.").unwrap(),
    };
    let one = |number| Verdict::Code {
        reasons: vec![reason(number)],
    };
    let all = (1..100).fold(one(0), |all, number| all.and(one(number)));
    let Verdict::Code { reasons } = all else {
        panic!("it is code")
    };
    assert_eq!(reasons.len(), MAX_REASONS);
}
