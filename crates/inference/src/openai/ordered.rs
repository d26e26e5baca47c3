//! JSON as the client wrote it: the members of an object in their order, no name twice, under limits.
//!
//! The order counts: a model that is held to a schema writes the members in the schema's order, and reasons before it
//! answers only where the schema says so. A name that stands twice is refused, since one of both would be dropped.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserializer, Serialize, Serializer};
use serde_json::{Number, Value};

use super::Limits;

/// One JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number that fits i64, u64 or f64.
    Number(Number),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object, its members in the order in which they were written, each name once.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// Reads one document.
    ///
    /// # Errors
    /// In words: what is no JSON, a name that stands twice, a number that no f64 holds, more nesting or more values than
    /// the limits allow, bytes after the document.
    pub fn from_slice(bytes: &[u8], limits: &Limits) -> Result<Self, String> {
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

    /// An f64 as a number; null for NaN and infinities, which JSON does not have.
    pub fn float(x: f64) -> Self {
        Number::from_f64(x).map_or(Self::Null, Self::Number)
    }

    /// The member of an object.
    pub fn member(&self, name: &str) -> Option<&Self> {
        let Self::Object(members) = self else {
            return None;
        };
        let found = members.iter().find(|(member, _)| member == name);
        found.map(|(_, value)| value)
    }

    /// What kind of value it is, for messages.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// The same value in serde_json's type, where the order of members may be lost.
    pub fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.clone()),
            Self::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Self::Object(members) => {
                let each = members.iter().map(|(name, v)| (name.clone(), v.to_value()));
                Value::Object(each.collect())
            }
        }
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u32> for Json {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl From<i64> for Json {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

/// The compact text, without white space.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(value) => to.serialize_bool(*value),
            Self::Number(number) => number.serialize(to),
            Self::Text(text) => to.serialize_str(text),
            Self::List(items) => {
                let mut list = to.serialize_seq(Some(items.len()))?;
                items
                    .iter()
                    .try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Object(members) => {
                let mut object = to.serialize_map(Some(members.len()))?;
                members
                    .iter()
                    .try_for_each(|(name, value)| object.serialize_entry(name, value))?;
                object.end()
            }
        }
    }
}

/// An object under construction, its members in the order of the calls.
#[derive(Debug, Default)]
pub(super) struct Members(Vec<(String, Json)>);

impl Members {
    /// Adds a member.
    pub(super) fn put(&mut self, name: &str, value: impl Into<Json>) {
        self.0.push((name.into(), value.into()));
    }

    /// Adds a member unless there is no value.
    pub(super) fn put_some(&mut self, name: &str, value: Option<impl Into<Json>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    /// The object.
    pub(super) fn object(self) -> Json {
        Json::Object(self.0)
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
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Json, D::Error> {
        let left = self.left.get().checked_sub(1);
        let left = left.ok_or_else(|| D::Error::custom("there are too many values"))?;
        self.left.set(left);
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json, E> {
        let number = Number::from_f64(value).map(Json::Number);
        number.ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.into()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let seed = self.inner()?;
        let mut items = Vec::new();
        while let Some(item) = from.next_element_seed(seed)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Json, A::Error> {
        let seed = self.inner()?;
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some(name) = from.next_key::<String>()? {
            members.push((name, from.next_value_seed(seed)?));
        }
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        for pair in names.windows(2) {
            if let [first, second] = pair
                && first == second
            {
                let name = super::error::shown(first);
                return Err(A::Error::custom(format!("the name `{name}` stands twice")));
            }
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any JSON value of a few levels.
    pub(in super::super) fn any_json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::Bool),
            any::<i64>().prop_map(Json::from),
            (-1e9f64..1e9).prop_map(Json::float),
            ".{0,8}".prop_map(Json::Text),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let names = proptest::collection::btree_map("[a-z_]{1,6}", inner.clone(), 0..4);
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Json::List),
                names.prop_map(|members| Json::Object(members.into_iter().collect())),
            ]
        })
    }

    fn read(text: &str) -> Result<Json, String> {
        Json::from_slice(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn the_order_of_members_stays() {
        let text = r#"{"z":1,"a":[true,null,-2,0.5,"ö"],"m":{"y":{},"b":[]}}"#;
        assert_eq!(read(text).unwrap().to_string(), text);
        assert_eq!(
            read(text).unwrap().to_value()["m"]["b"],
            Value::Array(vec![])
        );
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
        assert!(Json::from_slice(b"\"\xff\"", &Limits::default()).is_err());
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
            let read = Json::from_slice(text.as_bytes(), &limits);
            assert_eq!(read.is_ok(), accepted, "{text}: {read:?}");
        }
        let deep = "[".repeat(100_000);
        assert!(Json::from_slice(deep.as_bytes(), &Limits::default()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(json in any_json()) {
            prop_assert_eq!(read(&json.to_string()).unwrap(), json);
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Json::from_slice(&bytes, &Limits::default());
        }
    }
}
