//! JSON of a signed document: one value has one reading.
//!
//! `serde_json` takes the last of two values under one key, other readers the first; a document that two programs read
//! differently is what a forger wants. Here a key that comes twice is an error, and so is whatever is left over.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use super::Error;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Object(Object),
}

/// A JSON object whose fields are taken out one by one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object {
    fields: BTreeMap<String, Json>,
}

impl Json {
    /// Reads the only value in `bytes`, which are `what`.
    ///
    /// # Errors
    /// [`Error::Malformed`] for anything that is not JSON, has a key twice, goes on, or nests deeper than 128 levels.
    pub fn parse(what: &'static str, bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|error| Error::malformed(what, error))
    }

    /// The object, for the part `what`.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another value.
    pub fn object(self, what: &'static str) -> Result<Object, Error> {
        match self {
            Self::Object(object) => Ok(object),
            _ => Err(Error::malformed(what, "it is not an object")),
        }
    }

    /// The array, for the part `what`.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another value.
    pub fn list(self, what: &'static str) -> Result<Vec<Self>, Error> {
        match self {
            Self::List(list) => Ok(list),
            _ => Err(Error::malformed(what, "it is not a list")),
        }
    }

    /// The string, for the part `what`.
    ///
    /// # Errors
    /// [`Error::Malformed`] for another value.
    pub fn text(self, what: &'static str) -> Result<String, Error> {
        match self {
            Self::Text(text) => Ok(text),
            _ => Err(Error::malformed(what, "it is not a string")),
        }
    }
}

impl Object {
    /// Takes a field out, if it is there; `null` counts as absent, as in the JSON form of protocol buffers.
    pub fn take(&mut self, name: &str) -> Option<Json> {
        self.fields
            .remove(name)
            .filter(|value| *value != Json::Null)
    }

    /// Takes a field out that has to be there.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not.
    pub fn need(&mut self, name: &'static str) -> Result<Json, Error> {
        self.take(name)
            .ok_or_else(|| Error::malformed(name, "the field is missing"))
    }

    /// Ends the reading of `what`, of which every field must have been taken.
    ///
    /// # Errors
    /// [`Error::Malformed`] that names a field that is left.
    pub fn finish(self, what: &'static str) -> Result<(), Error> {
        match self.fields.keys().next() {
            Some(name) => {
                let reason = format!("the field \"{}\" is unknown", name.escape_debug());
                Err(Error::malformed(what, reason))
            }
            None => Ok(()),
        }
    }

    /// Every field that is left, by name.
    pub fn into_fields(self) -> BTreeMap<String, Json> {
        self.fields
    }
}

impl FromIterator<(String, Json)> for Object {
    fn from_iter<T: IntoIterator<Item = (String, Json)>>(fields: T) -> Self {
        Self {
            fields: fields.into_iter().collect(),
        }
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
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

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        let number = serde_json::Number::from_f64(value);
        number
            .map(Json::Number)
            .ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut object = Object::default();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if object.fields.contains_key(&name) {
                let message = format!("the field \"{}\" comes twice", name.escape_debug());
                return Err(de::Error::custom(message));
            }
            object.fields.insert(name, value);
        }
        Ok(Json::Object(object))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyValue)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => to.serialize_unit(),
            Self::Bool(value) => to.serialize_bool(*value),
            Self::Number(value) => value.serialize(to),
            Self::Text(value) => to.serialize_str(value),
            Self::List(values) => to.collect_seq(values),
            Self::Object(object) => to.collect_map(&object.fields),
        }
    }
}
