//! What a commit is made of: lines of JSON, each an operation, the first a header.

use std::borrow::Cow;

use assay_blob::Sha256;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::{
    Error, TreePath,
    commit::{MAX_MESSAGE, MAX_TITLE, ShortId},
    error::bounded,
};

/// Longest line, bytes: the content of the largest file that is sent in a commit, in base64, and its path.
pub const MAX_LINE: usize = 16 << 20;
/// Most operations of one commit: as many as a revision may have files.
pub const MAX_OPERATIONS: u64 = crate::tree::MAX_FILES;

/// What a commit says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The one-line text.
    pub title: String,
    /// The longer text.
    pub message: String,
    /// The commit that the client believes the branch to be at, if it cares.
    pub parent: Option<ShortId>,
}

/// One step of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Put a file with this content.
    File {
        /// Where.
        path: TreePath,
        /// Its bytes.
        content: Vec<u8>,
    },
    /// Put a file whose content was uploaded before.
    LargeFile {
        /// Where.
        path: TreePath,
        /// SHA-256 of its content.
        sha256: Sha256,
        /// Its size, if the client says it.
        size: Option<u64>,
    },
    /// Put what another path has.
    Copy {
        /// Where.
        path: TreePath,
        /// From where, in the same repository.
        from: TreePath,
        /// Of which revision; of the branch that is committed to where it is left out.
        revision: Option<String>,
    },
    /// Take a file away.
    DeleteFile(TreePath),
    /// Take a folder away with all in it.
    DeleteFolder(TreePath),
}

/// A line of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The first.
    Header(Header),
    /// Each other.
    Operation(Operation),
}

#[derive(Deserialize)]
#[serde(tag = "key", content = "value", rename_all = "camelCase")]
enum Raw<'a> {
    #[serde(rename_all = "camelCase")]
    Header {
        #[serde(default)]
        summary: String,
        #[serde(default)]
        description: Option<String>,
        #[serde(default)]
        parent_commit: Option<String>,
    },
    File {
        path: String,
        #[serde(borrow)]
        content: Cow<'a, str>,
        #[serde(default)]
        encoding: Option<String>,
    },
    LfsFile {
        path: String,
        #[serde(default)]
        algo: Option<String>,
        oid: String,
        #[serde(default)]
        size: Option<u64>,
    },
    #[serde(rename_all = "camelCase")]
    CopyFile {
        path: String,
        src_path: String,
        #[serde(default)]
        src_revision: Option<String>,
    },
    DeletedFile {
        path: String,
    },
    DeletedFolder {
        path: String,
    },
}

impl Line {
    /// Reads one line, without its end.
    ///
    /// # Errors
    /// [`Error::Malformed`] for what is no line of a commit, [`Error::Path`] for a path, [`Error::TooLarge`].
    pub fn parse(line: &[u8]) -> Result<Self, Error> {
        bounded(
            "bytes of a line of a commit",
            line.len() as u64,
            MAX_LINE as u64,
        )?;
        let raw = serde_json::from_slice(line)
            .map_err(|error| Error::malformed("line of a commit", error))?;
        Ok(match raw {
            Raw::Header {
                summary,
                description,
                parent_commit,
            } => Self::Header(header(
                summary,
                description.unwrap_or_default(),
                parent_commit,
            )?),
            Raw::File {
                path,
                content,
                encoding,
            } => Self::Operation(Operation::File {
                path: path.parse()?,
                content: decoded(&content, encoding.as_deref())?,
            }),
            Raw::LfsFile {
                path,
                algo,
                oid,
                size,
            } => {
                if algo.is_some_and(|algo| algo != "sha256") {
                    return Err(Error::malformed("line of a commit", "algo is not sha256"));
                }
                let sha256 = oid
                    .parse()
                    .map_err(|error| Error::malformed("oid of a large file", error))?;
                Self::Operation(Operation::LargeFile {
                    path: path.parse()?,
                    sha256,
                    size,
                })
            }
            Raw::CopyFile {
                path,
                src_path,
                src_revision,
            } => Self::Operation(Operation::Copy {
                path: path.parse()?,
                from: src_path.parse()?,
                revision: src_revision,
            }),
            Raw::DeletedFile { path } => Self::Operation(Operation::DeleteFile(path.parse()?)),
            // Clients may end a folder in a slash.
            Raw::DeletedFolder { path } => {
                let folder = path.strip_suffix('/').unwrap_or(&path).parse()?;
                Self::Operation(Operation::DeleteFolder(folder))
            }
        })
    }
}

fn header(title: String, message: String, parent: Option<String>) -> Result<Header, Error> {
    bounded(
        "bytes of a commit's title",
        title.len() as u64,
        MAX_TITLE as u64,
    )?;
    bounded(
        "bytes of a commit's message",
        message.len() as u64,
        MAX_MESSAGE as u64,
    )?;
    let parent = parent
        .filter(|parent| !parent.is_empty())
        .map(|parent| parent.parse())
        .transpose()?;
    // What a terminal would act on is no part of a text.
    let plain = |c: char| {
        if c.is_control() && !matches!(c, '\n' | '\t') {
            ' '
        } else {
            c
        }
    };
    let line = |c: char| if c.is_control() { ' ' } else { c };
    Ok(Header {
        title: title.chars().map(line).collect(),
        message: message.chars().map(plain).collect(),
        parent,
    })
}

fn decoded(content: &str, encoding: Option<&str>) -> Result<Vec<u8>, Error> {
    match encoding {
        Some("base64") => STANDARD
            .decode(content)
            .map_err(|error| Error::malformed("content of a file", error)),
        None | Some("utf-8") => Ok(content.as_bytes().to_vec()),
        Some(_) => Err(Error::malformed(
            "content of a file",
            "its encoding is not base64 or utf-8",
        )),
    }
}

/// Cuts a body that arrives in pieces into lines.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes a piece, and gives each line that it ends to `each`. Empty lines are passed over.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for a line over [`MAX_LINE`], and what `each` says.
    pub fn push<E: From<Error>>(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut parts = piece.split(|byte| *byte == b'\n');
        let last = parts.next_back().unwrap_or(&[]);
        for part in parts {
            self.extend(part)?;
            let line = std::mem::take(&mut self.rest);
            if !line.trim_ascii().is_empty() {
                each(&line)?;
            }
        }
        Ok(self.extend(last)?)
    }

    /// Takes the end of the body, and gives what is left to `each`.
    ///
    /// # Errors
    /// What `each` says.
    pub fn finish<E>(self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if self.rest.trim_ascii().is_empty() {
            Ok(())
        } else {
            each(&self.rest)
        }
    }

    fn extend(&mut self, part: &[u8]) -> Result<(), Error> {
        let length = self.rest.len().saturating_add(part.len());
        bounded(
            "bytes of a line of a commit",
            length as u64,
            MAX_LINE as u64,
        )?;
        self.rest.extend_from_slice(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Line, Error> {
        Line::parse(text.as_bytes())
    }

    #[test]
    fn what_clients_send_is_read() {
        let commit = "ab".repeat(20);
        let header = parse(&format!(
            r#"{{"key":"header","value":{{"summary":"a\u0007b","description":"x\ny","parentCommit":"{commit}"}}}}"#
        ));
        let Ok(Line::Header(header)) = header else {
            panic!("{header:?}")
        };
        assert_eq!(
            (header.title.as_str(), header.message.as_str()),
            ("a b", "x\ny")
        );
        assert_eq!(header.parent.unwrap().to_string(), commit);
        let file =
            parse(r#"{"key":"file","value":{"content":"aGk=","path":"a/b","encoding":"base64"}}"#)
                .unwrap();
        let path: TreePath = "a/b".parse().unwrap();
        assert_eq!(
            file,
            Line::Operation(Operation::File {
                path: path.clone(),
                content: b"hi".to_vec()
            })
        );
        let turned = parse(r#"{"value":{"path":"a/b"},"key":"deletedFile"}"#).unwrap();
        assert_eq!(turned, Line::Operation(Operation::DeleteFile(path.clone())));
        let folder = parse(r#"{"key":"deletedFolder","value":{"path":"a/b/"}}"#).unwrap();
        assert_eq!(folder, Line::Operation(Operation::DeleteFolder(path)));
        let sha = "0f".repeat(32);
        let large = parse(&format!(
            r#"{{"key":"lfsFile","value":{{"path":"m","algo":"sha256","oid":"{sha}"}}}}"#
        ))
        .unwrap();
        assert!(matches!(
            large,
            Line::Operation(Operation::LargeFile { size: None, .. })
        ));
        let copy =
            parse(r#"{"key":"copyFile","value":{"path":"a","srcPath":"b","srcRevision":"v1"}}"#)
                .unwrap();
        assert!(matches!(copy, Line::Operation(Operation::Copy { .. })));
    }

    #[test]
    fn what_is_no_line_of_a_commit_is_refused() {
        let sha = "0f".repeat(32);
        for bad in [
            "",
            "{}",
            "[]",
            "null",
            "\"header\"",
            "{\"key\":\"header\"}",
            "{\"key\":\"nonsense\",\"value\":{}}",
            r#"{"key":"file","value":{"path":"a"}}"#,
            r#"{"key":"file","value":{"path":"../a","content":"","encoding":"base64"}}"#,
            r#"{"key":"file","value":{"path":"a","content":"?","encoding":"base64"}}"#,
            r#"{"key":"file","value":{"path":"a","content":"aGk","encoding":"base64"}}"#,
            r#"{"key":"file","value":{"path":"a","content":"","encoding":"hex"}}"#,
            r#"{"key":"file","value":{"path":7,"content":""}}"#,
            r#"{"key":"lfsFile","value":{"path":"a","oid":"ab"}}"#,
            &format!(r#"{{"key":"lfsFile","value":{{"path":"a","oid":"{sha}","algo":"md5"}}}}"#),
            &format!(r#"{{"key":"lfsFile","value":{{"path":"a","oid":"{sha}","size":-1}}}}"#),
            r#"{"key":"deletedFile","value":{"path":""}}"#,
            r#"{"key":"deletedFolder","value":{"path":"/"}}"#,
            r#"{"key":"header","value":{"summary":"a","parentCommit":"main"}}"#,
            r#"{"key":"header","value":{"summary":7}}"#,
            &format!(
                r#"{{"key":"header","value":{{"summary":"{}"}}}}"#,
                "x".repeat(MAX_TITLE + 1)
            ),
            r#"{"key":"deletedFile","value":{"path":"a"}}{"key":"deletedFile","value":{"path":"a"}}"#,
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_line_that_never_ends_is_refused() {
        let mut lines = Lines::default();
        let piece = vec![b' '; 1 << 20];
        let pushed = (0..=16).try_for_each(|_| lines.push::<Error>(&piece, |_| Ok(())));
        assert!(matches!(pushed, Err(Error::TooLarge { .. })));
    }

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_arrive(text in "[a\n ]{0,60}", cut in 1usize..8) {
            let mut found = Vec::new();
            let mut lines = Lines::default();
            let mut keep = |line: &[u8]| { found.push(line.to_vec()); Ok::<_, Error>(()) };
            for piece in text.as_bytes().chunks(cut) {
                lines.push(piece, &mut keep).unwrap();
            }
            lines.finish(&mut keep).unwrap();
            let expected: Vec<_> = text.split('\n').filter(|line| !line.trim().is_empty()).map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn no_line_makes_the_reader_fail_otherwise(line in "\\PC{0,80}|\\{\"key\":\"[a-zA-Z]{0,8}\",\"value\":[^\n]{0,40}\\}") {
            let _ = parse(&line);
        }
    }
}
