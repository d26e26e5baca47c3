//! A flat view of Rust tokens, so that macro arguments are read like any other code.

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// One token; a group appears as its opening and its closing sign with its content between them.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// What is written.
    pub text: String,
    /// The line, from 1.
    pub line: usize,
}

/// Opens up every group of a stream; `::` becomes one token.
pub(crate) fn flatten(stream: TokenStream) -> Vec<Token> {
    let mut out = Vec::new();
    push_all(stream, &mut out);
    out
}

fn push_all(stream: TokenStream, out: &mut Vec<Token>) {
    let mut open_colon = false;
    for tree in stream {
        let line = tree.span().start().line;
        let colon = matches!(&tree, TokenTree::Punct(punct) if punct.as_char() == ':');
        if open_colon && colon {
            if let Some(last) = out.last_mut() {
                last.text.push(':');
            }
            open_colon = false;
            continue;
        }
        open_colon = colon;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = signs(group.delimiter());
                out.push(Token {
                    text: open.to_owned(),
                    line,
                });
                push_all(group.stream(), out);
                out.push(Token {
                    text: close.to_owned(),
                    line: group.span_close().start().line,
                });
            }
            other => out.push(Token {
                text: other.to_string(),
                line,
            }),
        }
    }
}

fn signs(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// Whether a token is a name rather than a sign or a literal.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first == '_' || first.is_alphabetic())
        && text.chars().all(|c| c == '_' || c.is_alphanumeric())
}

/// Every path `a::b::c` among the tokens, with the line it begins on.
pub(crate) fn paths(tokens: &[Token]) -> Vec<(Vec<&str>, usize)> {
    let mut found: Vec<(Vec<&str>, usize)> = Vec::new();
    let mut joined = false;
    for token in tokens {
        if token.text == "::" {
            joined = true;
            continue;
        }
        if is_name(&token.text) {
            match found.last_mut() {
                Some((path, _)) if joined && !path.is_empty() => path.push(&token.text),
                _ => found.push((vec![&token.text], token.line)),
            }
        } else {
            // A sign ends the path; the empty entry keeps `a) :: b` from joining `a`.
            found.push((Vec::new(), token.line));
        }
        joined = false;
    }
    found.retain(|(path, _)| !path.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths_of(code: &str) -> Vec<String> {
        let tokens = flatten(code.parse().unwrap());
        paths(&tokens)
            .into_iter()
            .map(|(path, _)| path.join("::"))
            .collect()
    }

    #[test]
    fn paths_are_found_in_macro_arguments_and_end_at_signs() {
        for (code, expected) in [
            ("a::b(c)", vec!["a::b", "c"]),
            ("log!(std::fs::read(x))", vec!["log", "std::fs::read", "x"]),
            ("x : y", vec!["x", "y"]),
            ("<T as A>::b", vec!["T", "as", "A", "b"]),
            ("a b", vec!["a", "b"]),
        ] {
            assert_eq!(paths_of(code), expected, "{code}");
        }
    }

    #[test]
    fn lines_are_kept() {
        let tokens = flatten("a\n\nb(c\n)".parse().unwrap());
        let lines: Vec<(&str, usize)> = tokens.iter().map(|t| (t.text.as_str(), t.line)).collect();
        assert_eq!(lines, [("a", 1), ("b", 3), ("(", 3), ("c", 3), (")", 4)]);
    }
}
