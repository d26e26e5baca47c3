//! `GET /v1/models` and `GET /v1/models/{model}`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A model that is served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its name, which requests give as `model`.
    pub id: String,
    /// `model`.
    #[serde(default = "model")]
    pub object: String,
    /// When it was published, in seconds since the Unix epoch.
    #[serde(default)]
    pub created: u64,
    /// Its publisher.
    #[serde(default)]
    pub owned_by: String,
    /// Ours: revision, nodes, rungs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assay: Option<Value>,
}

impl Model {
    /// A model without anything of ours.
    pub fn new(id: impl Into<String>, created: u64, owned_by: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            object: model(),
            created,
            owned_by: owned_by.into(),
            assay: None,
        }
    }
}

/// The models that are served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct List {
    /// `list`.
    #[serde(default = "list")]
    pub object: String,
    /// All of them.
    pub data: Vec<Model>,
}

impl List {
    /// A list of models.
    pub fn new(data: Vec<Model>) -> Self {
        let object = list();
        Self { object, data }
    }
}

fn model() -> String {
    "model".into()
}

fn list() -> String {
    "list".into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_is_written_in_openais_shape() {
        let models = List::new(vec![Model::new("a/b", 5, "c")]);
        let expected = json!({
            "object": "list",
            "data": [{"id": "a/b", "object": "model", "created": 5, "owned_by": "c"}],
        });
        assert_eq!(serde_json::to_value(&models).unwrap(), expected);
        let bare: List =
            serde_json::from_value(json!({"data": [{"id": "a", "max_model_len": 1}]})).unwrap();
        assert_eq!(bare.data[0].id, "a");
        assert!(serde_json::from_value::<List>(json!({"data": [{}]})).is_err());
    }
}
