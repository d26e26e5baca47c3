//! JSON as the client wrote it: the members of an object in their order, no name twice, under limits.
//!
//! The order counts: a model that is held to a schema writes the members in the schema's order, and reasons before it
//! answers only where the schema says so. A name that stands twice is refused, since one of both would be dropped.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Limits;

/// Reads one document.
///
/// # Errors
/// In words: what is no JSON, a name that stands twice, a number that no f64 holds, more nesting or more values than
/// the limits allow, bytes after the document.
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Value, String> {
    let left = Cell::new(limits.values);
    let seed = Seed {
        left: &left,
        depth: limits.depth,
    };
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = seed
        .deserialize(&mut reader)
        .and_then(|json| reader.end().map(|()| json));
    read.map_err(|error| error.to_string())
}

/// What kind of value it is, for messages.
pub(super) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// An object under construction, its members in the order of the calls.
#[derive(Debug, Default)]
pub(super) struct Members(Map<String, Value>);

impl Members {
    /// Adds a member.
    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// Adds a member unless there is no value.
    pub(super) fn put_some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// The object.
    pub(super) fn object(self) -> Value {
        Value::Object(self.0)
    }
}

/// Reads one value, and counts it.
#[derive(Clone, Copy)]
struct Seed<'a> {
    left: &'a Cell<u32>,
    depth: u32,
}

impl Seed<'_> {
    /// What reads the values inside.
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| E::custom("the values are nested too deeply"))?;
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        let left = self.left.get().checked_sub(1);
        let left = left.ok_or_else(|| D::Error::custom("there are too many values"))?;
        self.left.set(left);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).map(Value::Number);
        number.ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let seed = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = from.next_element_seed(seed)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let seed = self.inner()?;
        let mut members = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            if members.contains_key(&name) {
                let name = super::error::shown(&name);
                return Err(A::Error::custom(format!("the name `{name}` stands twice")));
            }
            members.insert(name, from.next_value_seed(seed)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any JSON value of a few levels.
    pub(in super::super) fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            (-1e9f64..1e9).prop_map(Value::from),
            ".{0,8}".prop_map(Value::String),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let names = proptest::collection::btree_map("[a-z_]{1,6}", inner.clone(), 0..4);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::Array),
                names.prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn read(text: &str) -> Result<Value, String> {
        super::read(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn the_order_of_members_stays() {
        let text = r#"{"z":1,"a":[true,null,-2,0.5,"ö"],"m":{"y":{},"b":[]}}"#;
        assert_eq!(read(text).unwrap().to_string(), text);
    }

    #[test]
    fn what_is_no_plain_json_is_refused() {
        for text in [
            "",
            "{",
            "nul",
            "[1,]",
            "{} {}",
            "{'a':1}",
            r#"{"a":1,"b":2,"a":3}"#,
            r#"[{"x":{"k":1,"k":1}}]"#,
            r#"{"a":1,"\u0061":1}"#,
            "1e999",
            "NaN",
            "\"\\ud800\"",
            "\"a\nb\"",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
        assert!(super::read(b"\"\xff\"", &Limits::default()).is_err());
    }

    #[test]
    fn nesting_and_number_of_values_are_limited() {
        let limits = Limits {
            depth: 3,
            values: 5,
            ..Limits::default()
        };
        for (text, accepted) in [
            ("[[[1]]]", true),
            ("[[[[1]]]]", false),
            (r#"{"a":{"b":{"c":1}}}"#, true),
            (r#"{"a":{"b":{"c":{}}}}"#, false),
            ("[1,2,3,4]", true),
            ("[1,2,3,4,5]", false),
        ] {
            let read = super::read(text.as_bytes(), &limits);
            assert_eq!(read.is_ok(), accepted, "{text}: {read:?}");
        }
        let deep = "[".repeat(100_000);
        assert!(super::read(deep.as_bytes(), &Limits::default()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(json in any_json()) {
            prop_assert_eq!(read(&json.to_string()).unwrap(), json);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = super::read(&bytes, &Limits::default());
        }
    }
}
