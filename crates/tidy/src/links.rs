//! Every relative link in the documents leads somewhere.

use crate::{Finding, Repository, Rule};

/// Finds relative links to files, directories and headings that are not there.
#[must_use]
pub fn check(repository: &Repository) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in repository.texts().filter(|(path, _)| path.ends_with(".md")) {
        for (target, line) in links(text) {
            if let Some(message) = broken(repository, path, target) {
                findings.push(Finding::new(Rule::Links, path, line, message));
            }
        }
    }
    findings
}

fn broken(repository: &Repository, from: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let own = file.is_empty().then(|| from.to_owned());
    let Some(target) = own.or_else(|| resolve(from, file)) else {
        return Some(format!("`{link}` leads out of the repository"));
    };
    if !repository.exists(&target) {
        return Some(format!("`{target}` is not there; repair the link"));
    }
    let text = repository
        .text(&target)
        .filter(|_| target.ends_with(".md"))?;
    let known = heading.is_empty() || headings(text).any(|known| known == heading);
    (!known).then(|| format!("`{target}` has no heading `#{heading}`; repair the link"))
}

/// The path of `link` as seen from the file `from`, or `None` when it leaves the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if link.starts_with('/') {
        return None;
    }
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop()?,
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The lines outside fenced code, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut fenced = false;
    text.lines().zip(1..).filter(move |(line, _)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The targets of `[text](target)`, `![text](target)` and `[name]: target`, with their lines; code is not looked at.
fn links(text: &str) -> Vec<(&str, usize)> {
    let mut found = Vec::new();
    for (line, number) in prose(text) {
        // Every second part between backticks is code, and a link may hold code in its text: so look for `](` first.
        for (at, _) in line.match_indices("](") {
            let (before, rest) = (
                line.get(..at).unwrap_or(""),
                line.get(at + 2..).unwrap_or(""),
            );
            let in_code = before.matches('`').count() % 2 == 1;
            if let Some((inside, _)) = rest.split_once(')').filter(|_| !in_code) {
                found.push((inside.split_whitespace().next().unwrap_or(""), number));
            }
        }
        if let Some((_, target)) = line
            .strip_prefix('[')
            .and_then(|rest| rest.split_once("]: "))
        {
            found.push((target.trim(), number));
        }
    }
    found
}

/// The anchors of a document's headings, as code hosts derive them.
fn headings(text: &str) -> impl Iterator<Item = String> {
    prose(text)
        .filter(|(line, _)| line.starts_with('#'))
        .map(|(line, _)| {
            let words = line.trim_start_matches('#').trim().to_lowercase();
            let kept = words
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(text: &str) -> usize {
        let files = [
            ("docs/a.md", text),
            ("docs/b.md", "# One Heading, two\n"),
            ("src/c.rs", ""),
            ("README.md", ""),
        ];
        check(&Repository::of_texts(&files).unwrap()).len()
    }

    #[test]
    fn links_that_lead_somewhere_pass() {
        for text in [
            "[b](b.md)",
            "![b](./b.md \"title\")",
            "[root](../README.md) and [code](../src/c.rs)",
            "[dir](../src) [dir](../src/) [here](.)",
            "[`b`](b.md#one-heading-two)",
            "# Own\n[own](#own)",
            "[far](https://example.org/x) [mail](mailto:a@example.org)",
            "```\n[gone](gone.md)\n```\nand `[gone](gone.md)`",
            "[b]: b.md",
        ] {
            assert_eq!(check_one(text), 0, "{text}");
        }
    }

    #[test]
    fn links_that_do_not_are_found() {
        for text in [
            "[gone](gone.md)",
            "fine [b](b.md) and [gone](../docs/gone.md)",
            "[out](../../x.md)",
            "[absolute](/docs/b.md)",
            "[heading](b.md#another)",
            "# Own\n[own](#other)",
            "```\ncode\n```\n[gone](gone.md)",
            "[gone]: gone.md",
        ] {
            assert_eq!(check_one(text), 1, "{text}");
        }
    }
}
