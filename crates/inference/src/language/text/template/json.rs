//! JSON as Python's `json.dumps` writes it, because models were trained on that.

use std::fmt::Write;

use serde_json::Value;

/// What templates ask for.
#[derive(Debug, Clone, Default)]
pub(super) struct Style {
    /// Spaces of a level; all on one line if there are none.
    pub indent: Option<usize>,
    /// True for keys in order.
    pub sorted: bool,
    /// True to escape what is not ASCII.
    pub ascii: bool,
    /// Between items, and between key and value.
    pub separators: Option<(String, String)>,
}

/// Writes a value.
pub(super) fn write(value: &Value, style: &Style) -> String {
    let mut out = String::new();
    Writer {
        out: &mut out,
        style,
    }
    .value(value, 0);
    out
}

struct Writer<'a> {
    out: &'a mut String,
    style: &'a Style,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, level: usize) {
        match value {
            Value::Array(items) => {
                let write = |writer: &mut Self, item: &Value, inner| writer.value(item, inner);
                self.list('[', items.iter(), ']', level, write);
            }
            Value::Object(members) => {
                let mut members: Vec<(&String, &Value)> = members.iter().collect();
                if self.style.sorted {
                    members.sort_by_key(|(key, _)| *key);
                }
                let colon = match &self.style.separators {
                    Some((_, colon)) => colon.clone(),
                    None => ": ".into(),
                };
                let write = |writer: &mut Self, (key, member): (&String, &Value), inner| {
                    writer.text(key);
                    writer.out.push_str(&colon);
                    writer.value(member, inner);
                };
                self.list('{', members.into_iter(), '}', level, write);
            }
            Value::String(text) => self.text(text),
            Value::Number(number) => match number.as_f64().filter(|_| number.is_f64()) {
                Some(float) => self.out.push_str(&float_text(float)),
                None => self.out.push_str(&number.to_string()),
            },
            Value::Bool(true) => self.out.push_str("true"),
            Value::Bool(false) => self.out.push_str("false"),
            Value::Null => self.out.push_str("null"),
        }
    }

    fn list<T>(
        &mut self,
        open: char,
        items: impl ExactSizeIterator<Item = T>,
        close: char,
        level: usize,
        write: impl Fn(&mut Self, T, usize),
    ) {
        self.out.push(open);
        if items.len() > 0 {
            let inner = level.saturating_add(1);
            let comma = match (&self.style.separators, self.style.indent) {
                (Some((comma, _)), _) => comma.clone(),
                (None, Some(_)) => ",".into(),
                (None, None) => ", ".into(),
            };
            for (item, number) in items.zip(0usize..) {
                if number > 0 {
                    self.out.push_str(&comma);
                }
                self.line(inner);
                write(self, item, inner);
            }
            self.line(level);
        }
        self.out.push(close);
    }

    fn line(&mut self, level: usize) {
        if let Some(indent) = self.style.indent {
            self.out.push('\n');
            let spaces = indent.saturating_mul(level);
            self.out.extend(std::iter::repeat_n(' ', spaces));
        }
    }

    fn text(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                // Stand-ins have to stay what they are, whatever a template asks for.
                c if c < ' '
                    || (self.style.ascii && !c.is_ascii() && !super::is_noncharacter(c)) =>
                {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        // Writing to a string cannot fail.
                        let _ = write!(self.out, "\\u{unit:04x}");
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

/// A float as Python's `repr`: its shortest digits, with an exponent below 1e-4 and from 1e16 on.
fn float_text(float: f64) -> String {
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific
        .split_once('e')
        .unwrap_or((scientific.as_str(), "0"));
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&power) {
        return match format!("{float}") {
            whole if !whole.contains('.') => format!("{whole}.0"),
            text => text,
        };
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_written_as_python_writes_them() {
        let check =
            |value: Value, style: &Style, expect: &str| assert_eq!(write(&value, style), expect);
        let plain = Style::default();
        check(
            json!({"b": [1, 2.0, null], "a": {}}),
            &plain,
            r#"{"b": [1, 2.0, null], "a": {}}"#,
        );
        check(
            json!("é\"\\\n\u{1}\u{7f}/<"),
            &plain,
            "\"é\\\"\\\\\\n\\u0001\u{7f}/<\"",
        );
        for (float, expect) in [
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (1e-4, "0.0001"),
            (1.5e-5, "1.5e-05"),
            (-2.5, "-2.5"),
            (1e100, "1e+100"),
            (0.1, "0.1"),
            (-0.0, "-0.0"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
        ] {
            check(json!(float), &plain, expect);
        }
        check(json!(u64::MAX), &plain, "18446744073709551615");
        let indented = Style {
            indent: Some(2),
            ..Style::default()
        };
        check(
            json!({"a": [1, {}], "b": []}),
            &indented,
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}",
        );
        let other = Style {
            sorted: true,
            ascii: true,
            separators: Some((",".into(), ":".into())),
            indent: None,
        };
        check(
            json!({"b": "é😀", "a": true}),
            &other,
            r#"{"a":true,"b":"\u00e9\ud83d\ude00"}"#,
        );
    }
}
