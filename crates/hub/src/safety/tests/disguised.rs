//! Pickles that look like something else, and what looks like a pickle and is none.

use super::*;

#[test]
fn a_pickle_in_a_well_formed_file_of_data_is_code() {
    let onnx = b"(V2!x\ncos\nsystem\n(S'true        '\ntR.\x08\x08:\x02\x12\x00";
    assert!(formats::known(&onnx.to_vec(), onnx).unwrap().is_some());
    assert_eq!(imports(&code(onnx).pickle), ["os.system"]);
    let evil = [SYSTEM, b"."].concat();
    for low in *b"VBTXUC\x8c\x8a" {
        let file = jumping(low, &evil);
        assert!(formats::known(&file, &file).unwrap().is_some());
        assert_eq!(imports(&code(&file).pickle), ["os.system"], "{low:#x}");
    }
    // GGUF: a number of tensors that jumps to the first pair, whose name has as many bytes as `G` has for its number.
    let tensors = 0x0a_4200u64;
    let name = [b"x".as_slice(), &evil, &[b'N'; 71]].concat();
    let name = std::str::from_utf8(&name[..71]).unwrap();
    let mut gguf = gguf(&[(name, 4, &[0; 4])], &[]);
    gguf[8..16].copy_from_slice(&tensors.to_le_bytes());
    gguf.truncate(24 + 8 + 71 + 8);
    // No name, no dimensions, type and offset 0.
    gguf.extend(vec![0; 24 * tensors as usize + 4096]);
    assert!(formats::known(&gguf, &gguf[..512]).unwrap().is_some());
    assert_eq!(imports(&code(&gguf).pickle), ["os.system"]);
    // Programs and compressed files begin like pickles, too.
    let behind = |begin: &[u8]| [begin, &evil].concat();
    assert!(code(&behind(b"MZ00N0")).pickle.complete);
    assert!(
        code(&behind(&[b"BZh\0\0", &[0; 0x685a][..]].concat()))
            .pickle
            .complete
    );
}

#[test]
fn weights_are_data_whatever_their_headers_length() {
    let mut random = Random::new();
    // Two of the lengths begin a zlib or a gzip stream.
    for round in (0..4096).chain([0x8b1f - 200]) {
        let noise = random.bytes(1 << 16);
        let header = format!(
            "{{\"__metadata__\":{{\"format\":\"pt\"}},\"model.layers.{round}.mlp.weight\":\
             {{\"dtype\":\"BF16\",\"shape\":[128,256],\"data_offsets\":[0,65536]}}}}"
        );
        let header = format!("{header:<0$}", 200 + round);
        let length = (header.len() as u64).to_le_bytes();
        let file = [&length[..], header.as_bytes(), &noise].concat();
        let (verdict, read) = inspect_counting(&file).unwrap();
        let format = Format::Safetensors;
        assert_eq!(verdict, Verdict::Data { format }, "{}", header.len());
        let stream = matches!(header.len(), 0x178 | 0x8b1f);
        assert!(read <= 32 << 10 || stream, "{read}");
    }
}

#[test]
fn what_is_skipped_is_not_read_and_not_hidden() {
    /// A file with nothing between its beginning and its end.
    struct Sparse {
        begin: Vec<u8>,
        end: Vec<u8>,
        size: u64,
    }
    impl Source for Sparse {
        fn size(&self) -> u64 {
            self.size
        }

        fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), Error> {
            let end = self.size - self.end.len() as u64;
            for (byte, at) in into.iter_mut().zip(offset..) {
                let begin = self.begin.get(at as usize);
                let behind = at.checked_sub(end).map(|at| &self.end[at as usize]);
                *byte = *begin.or(behind).unwrap_or(&0);
            }
            Ok(())
        }
    }
    let end = [SYSTEM, b"."].concat();
    let size = 5 + (3 << 30) + end.len() as u64;
    let begin = [b"B".as_slice(), &(3u32 << 30).to_le_bytes()].concat();
    let (verdict, read) = inspect_counting(&Sparse { begin, end, size }).unwrap();
    assert!(matches!(verdict, Verdict::Code { .. }), "{verdict}");
    assert!(read < 4096, "{read}");
    // A line that is longer than what is read.
    let size = 80 << 20;
    let begin = b"V\0\0".to_vec();
    let end = Vec::new();
    let (verdict, read) = inspect_counting(&Sparse { begin, end, size }).unwrap();
    assert!(matches!(&verdict, Verdict::Unknown { why } if why.contains("too much")));
    assert_eq!(read, MAX_SCANNED);
}

#[test]
fn what_python_takes_does_not_stop_the_scan() {
    let behind = |begin: &[u8]| [begin, b"0", SYSTEM, b"."].concat();
    // More values than are remembered, and marks below them.
    let many = [b"(".as_slice(), &[b'N'; (1 << 20) + 1]].concat();
    let below = [&many[..], &[0x86; 1 << 20]].concat();
    for bytes in [
        behind(&many),
        behind(&[&many[..], b"l"].concat()),
        behind(&below),
    ] {
        assert_eq!(imports(&code(&bytes).pickle), ["os.system"]);
    }
    // Numbers as Python and the C library read them.
    for number in [
        "1_0",
        " 10",
        "+10",
        "10 ",
        "\t10",
        "10\0x",
        "\x0b10\x0c",
        "99999999999999999999",
    ] {
        for begin in [format!("Np{number}\n"), format!("Np10\n0g{number}\n")] {
            let bytes = behind(begin.as_bytes());
            assert_eq!(imports(&code(&bytes).pickle), ["os.system"], "{begin:?}");
        }
    }
    for begin in [
        "I\0abc\n", "I01\n", "I 0x_f\n", "L1L\n", "F.5\n", "F inf\n", "Fnan\n", "S\"a\"\n",
    ] {
        let bytes = behind(begin.as_bytes());
        assert_eq!(imports(&code(&bytes).pickle), ["os.system"], "{begin:?}");
    }
    // What is written to an index that is not told may be recalled by another.
    let hidden = b"Vos\np1_0\n0Vsystem\np1_1\n0g10\ng11\n\x93(S'true'\ntR.";
    assert_eq!(code(hidden).pickle.hidden_imports, 1);
    // A last line without its end, which loses a byte.
    let last = code(b"(S'true'\nios\nsystemX").pickle;
    assert_eq!(
        (imports(&last), last.calls),
        (vec!["os.system".to_owned()], 1)
    );
    // A frame that goes on behind STOP is skipped by CPython's unpickler in Python.
    let frame = [b"V\xe9\n\x95\x05\0\0\0\0\0\0\0.p07\n", SYSTEM].concat();
    assert_eq!(imports(&code(&frame).pickle), ["os.system"]);
    // More pickles than anybody has.
    let bytes = [&b"N.".repeat(1000), SYSTEM].concat();
    assert_eq!(imports(&code(&bytes).pickle), ["os.system"]);
}

#[test]
fn what_runs_without_a_call_is_code() {
    let cases: [&[u8]; 13] = [
        // Each changes what it imported, and the last import runs a command.
        b"csys\npath_hooks\ncos\nsystem\na0csys\npath\nS'true'\na0cnonexistent_q\nx\n",
        b"csys\npath_hooks\n(cos\nsystem\ne0csys\npath\n(S'true'\ne0cnonexistent_q\nx\n",
        b"csys\npath_hooks\n(cos\nsystem\ne0csys\npath\nK\x00S'true'\ns0cnonexistent_q\nx\n",
        b"cos\nenviron\nS'LD_PRELOAD'\nS'x'\ns",
        b"cos\nenviron\n(S'LD_PRELOAD'\nS'x'\nu",
        b"cthis\ns\n(S'x'\n\x90",
        // An import that ended well, with anything behind it, and one that did not in what is no text.
        b"cthis\ns\n.",
        b"cthis\ns\n.N",
        b"cthis\ns\n.c\n\n.",
        b"cthis\n!\n\xff",
        // By chance, but Python would import it.
        b"cat\ndog\n.env\n",
        // Marked pickles that are short.
        b"\x80\x04cthis\nx\n\xff",
        b"\x80\x04cctypes\ncdll.dir/file\n\xff",
    ];
    for bytes in cases {
        code(bytes);
    }
    assert!(code(b"cthis\ns\n.N").pickle.complete);
    // A marked one behind another, in what begins like text.
    code(&[&b"N0".repeat(300), &b"N.\x80\x04cthis\nx\n\xff"[..]].concat());
    // Plain containers take what they are given.
    for text in [
        "]N0(dS'a'\nI1\ns.",
        "(lp0\nS'a'\na(I1\nI2\ne.",
        "(dp0\n(S'a'\nI1\nu.",
    ] {
        is(text.as_bytes(), Format::Text);
    }
}

#[test]
fn texts_and_data_are_no_code() {
    for text in [
        // Lists of words, whose first line is an import to the machine.
        "cat\ndog\nbus\nice\nrat\n",
        "cat\ndog\nhead\nheart\n",
        "carl\nanna\nNatalie\n",
        "carl\nbob\nKlaus\n",
        "cat\ndog\nI am\nRome\n",
        "cat\ndog\ngood\nRome\n",
        "cat\ndog\n(eat it)\n",
        "cat\ndog\n(in French\nchien)\n",
        "cat\ndog\nSay what\nabout it\n",
        // A heading of reStructuredText, numbers, a table, programs, and other languages.
        "changelog\n=========\n.. _first:\n",
        "I am\nnot\na\nnumber\n",
        "Name,Value\nN,1\nR,2\n",
        "class A:\n    def b(self):\n        return (R, o)\n",
        "const a = (b) => c;\nimport x\n",
        "(define (square x)\n  (* x x))\n",
        "čau\nahoj\nR\n",
        "你好\n世界\n(tR.\n",
        "привет\nмир\n",
        "Guten Tag\nSo ist es.\n",
        "Voilà\nle texte\n.\n",
        "[1, 2]\n",
        "{\"c\": \"os\\nsystem\\n(tR.\"}\n",
        "]\n",
        "}\n",
        "NaN\n",
    ] {
        is(text.as_bytes(), Format::Text);
    }
    // A table of Parquet, a picture, a sound, a program for another machine.
    let mut random = Random::new();
    for magic in [
        &b"PAR1\x15\x04\x15\x10"[..],
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0",
        b"RIFF\0\0\0\0WAVE",
        b"caff\0\x01\0\0",
        b"\xca\xfe\xba\xbe",
        b"TFL3",
        b"ggml",
        b"%PDF-1.7\n",
        b"SQLite format 3\0",
        b"ARROW1\0\0",
        b"Obj\x01",
        b"OggS\0",
    ] {
        for _ in 0..500 {
            let bytes = [magic, &random.bytes(1024)].concat();
            let verdict = verdict(&bytes);
            assert!(matches!(verdict, Verdict::Unknown { .. }), "{verdict}");
        }
    }
}
