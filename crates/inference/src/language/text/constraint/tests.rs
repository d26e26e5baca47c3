use proptest::prelude::*;

use super::*;
use crate::language::text::tokenizer::tests::byte_level;
use crate::language::text::{Controls, Decoder, Piece, ToolCalls};

fn constraints(tokenizer: &Tokenizer) -> Constraints {
    let ends = ["<|im_end|>", "<|eot_id|>"].map(|name| tokenizer.token_of(name).unwrap());
    Constraints::new(tokenizer, &ends).unwrap()
}

/// Answers of random tokens out of those that are allowed, ending where they may once they are long.
fn sampled(tokenizer: &Tokenizer, mut constraint: Constraint, mut seed: u64) -> Option<String> {
    let mut decoder = Decoder::new(tokenizer).showing(tokenizer.token_of("[TOOL_CALLS]").unwrap());
    let mut text = String::new();
    let ends = ["<|im_end|>", "<|eot_id|>"].map(|name| tokenizer.token_of(name).unwrap());
    for step in 0..400 {
        let mask = constraint.allowed().unwrap();
        let complete = constraint.is_complete();
        assert!(
            ends.iter().all(|end| mask.allows(*end) == complete),
            "{text}"
        );
        let closing: Vec<u32> = "\"}]"
            .bytes()
            .map(u32::from)
            .filter(|token| mask.allows(*token))
            .collect();
        let all: Vec<u32> = mask.iter().collect();
        seed = seed
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let draw = (seed >> 33) as usize;
        let choice = match complete && (step > 60 || draw.is_multiple_of(3)) {
            true => ends[draw % 2],
            // What closes is chosen more often, so that answers come to an end.
            false if !closing.is_empty() && (step > 60 || draw.is_multiple_of(2)) => {
                closing[draw / 2 % closing.len()]
            }
            false => all[draw % all.len()],
        };
        constraint.accept(choice).unwrap();
        if ends.contains(&choice) {
            assert_eq!(
                constraint.accept(u32::from(b'a')),
                Err(Error::Token(u32::from(b'a')))
            );
            return Some(text + &decoder.finish());
        }
        text.push_str(&decoder.push(choice));
    }
    None
}

/// Whether a value is one of a schema; of the keywords that the schemas below use.
fn satisfies(value: &Value, schema: &Value, root: &Value) -> bool {
    let length = |text: &str| text.chars().count() as u64;
    let at_least = |key: &str, count: u64| schema[key].as_u64().is_none_or(|limit| count >= limit);
    let at_most = |key: &str, count: u64| schema[key].as_u64().is_none_or(|limit| count <= limit);
    if schema == &json!(true) {
        return true;
    }
    schema
        .as_object()
        .unwrap()
        .keys()
        .all(|keyword| match keyword.as_str() {
            "type" => match schema["type"].as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "null" => value.is_null(),
                "number" => value.is_number(),
                "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
                other => panic!("{other}"),
            },
            "properties" => schema["properties"]
                .as_object()
                .unwrap()
                .iter()
                .all(|(key, inner)| {
                    value
                        .get(key)
                        .is_none_or(|member| satisfies(member, inner, root))
                }),
            "required" => schema["required"]
                .as_array()
                .unwrap()
                .iter()
                .all(|key| value.get(key.as_str().unwrap()).is_some()),
            "additionalProperties" => value.as_object().unwrap().iter().all(|(key, member)| {
                schema["properties"].get(key).is_some()
                    || (schema["additionalProperties"] != json!(false)
                        && satisfies(member, &schema["additionalProperties"], root))
            }),
            "items" => value
                .as_array()
                .unwrap()
                .iter()
                .all(|item| satisfies(item, &schema["items"], root)),
            "minItems" => at_least(keyword, value.as_array().unwrap().len() as u64),
            "maxItems" => at_most(keyword, value.as_array().unwrap().len() as u64),
            "minLength" => at_least(keyword, length(value.as_str().unwrap())),
            "maxLength" => at_most(keyword, length(value.as_str().unwrap())),
            "minimum" => value.as_f64() >= schema["minimum"].as_f64(),
            "maximum" => value.as_f64() <= schema["maximum"].as_f64(),
            "multipleOf" => value.as_f64().unwrap() % schema["multipleOf"].as_f64().unwrap() == 0.0,
            "enum" => schema["enum"].as_array().unwrap().contains(value),
            "const" => &schema["const"] == value,
            "anyOf" => schema["anyOf"]
                .as_array()
                .unwrap()
                .iter()
                .any(|inner| satisfies(value, inner, root)),
            "pattern" => {
                assert_eq!(schema["pattern"], "^[a-c]{2}-[0-9]+$");
                let (head, tail) = value.as_str().unwrap().split_once('-').unwrap_or_default();
                head.len() == 2
                    && head.bytes().all(|c| (b'a'..=b'c').contains(&c))
                    && !tail.is_empty()
                    && tail.bytes().all(|c| c.is_ascii_digit())
            }
            "$ref" => satisfies(
                value,
                root.pointer(schema["$ref"].as_str().unwrap().trim_start_matches('#'))
                    .unwrap(),
                root,
            ),
            "$defs" | "title" | "description" => true,
            other => panic!("{other}"),
        })
}

fn schemas() -> Vec<Value> {
    vec![
        json!({"type": "object"}),
        json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": 8},
            "age": {"type": "integer", "minimum": 0, "maximum": 150}},
            "required": ["name", "age"], "additionalProperties": false}),
        json!({"type": "array", "items": {"type": "number", "minimum": -1.5, "maximum": 2},
            "minItems": 1, "maxItems": 3}),
        json!({"enum": ["a", 1, null, ["x"], {"k": "é"}]}),
        json!({"type": "object", "properties": {"kind": {"const": "circle"},
            "id": {"type": "string", "pattern": "^[a-c]{2}-[0-9]+$"},
            "tags": {"type": "array", "items": {"enum": ["x", "y"]}, "maxItems": 2}}, "required": ["kind", "id"],
            "additionalProperties": {"type": "boolean"}, "title": "t", "description": "d"}),
        json!({"anyOf": [{"type": "integer", "multipleOf": 5, "minimum": -50, "maximum": 5000},
            {"type": "string", "minLength": 2, "maxLength": 4}, {"type": "null"}]}),
        json!({"$defs": {"node": {"type": "object", "properties": {"v": {"type": "boolean"},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["v", "next"], "additionalProperties": false}}, "$ref": "#/$defs/node"}),
        json!(true),
    ]
}

#[test]
fn whatever_is_sampled_is_json_of_the_schema() {
    let tokenizer = byte_level();
    let constraints = constraints(&tokenizer);
    let mut complete = 0;
    for schema in schemas() {
        for seed in 0..12 {
            let Some(text) = sampled(&tokenizer, constraints.json_schema(&schema).unwrap(), seed)
            else {
                continue;
            };
            let value: Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert!(satisfies(&value, &schema, &schema), "{text} of {schema}");
            complete += 1;
        }
    }
    assert!(complete >= 48, "{complete} answers were complete");
}

#[test]
fn tool_calls_are_sampled_in_the_models_format() {
    let tokenizer = byte_level();
    let constraints = constraints(&tokenizer);
    let parameters = json!({"type": "object", "additionalProperties": false, "required": ["n"],
        "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}}});
    let tools = [
        ToolSignature {
            name: "first",
            parameters: &parameters,
        },
        ToolSignature {
            name: "second-2",
            parameters: &Value::Null,
        },
    ];
    for format in [ToolFormat::Hermes, ToolFormat::Mistral, ToolFormat::Llama] {
        for (parallel, most) in [(Parallel::One, 1), (Parallel::Many, usize::MAX)] {
            let mut complete = 0;
            for seed in 0..8 {
                let constraint = constraints.tool_call(format, &tools, parallel).unwrap();
                let Some(text) = sampled(&tokenizer, constraint, seed) else {
                    continue;
                };
                complete += 1;
                let mut calls = ToolCalls::new(format);
                let mut pieces = calls.push(&text);
                pieces.extend(calls.finish());
                assert!((1..=most).contains(&pieces.len()), "{text}");
                for piece in pieces {
                    let Piece::Call(call) = piece else {
                        panic!("content in {text}");
                    };
                    let arguments: Value = serde_json::from_str(&call.arguments).unwrap();
                    match call.name.as_str() {
                        "first" => {
                            assert!(satisfies(&arguments, &parameters, &parameters), "{text}")
                        }
                        "second-2" => assert!(arguments.is_object()),
                        other => panic!("{other}"),
                    }
                }
            }
            assert!(complete >= 4, "{format:?} {parallel:?}: {complete}");
        }
    }
    let named = constraints
        .tool_call(ToolFormat::Hermes, &tools[..1], Parallel::One)
        .unwrap();
    let text = sampled(&tokenizer, named, 1).unwrap();
    assert!(
        text.starts_with("<tool_call>\n{\"name\": \"first\", \"arguments\": {"),
        "{text}"
    );
}

#[test]
fn the_same_schema_and_tokens_give_the_same_masks() {
    let tokenizer = byte_level();
    for schema in schemas() {
        let runs: Vec<Vec<Mask>> = (0..3)
            .map(|_| {
                let mut constraint = constraints(&tokenizer).json_schema(&schema).unwrap();
                let mut masks = Vec::new();
                for step in 0..40usize {
                    let mask = constraint.allowed().unwrap();
                    let all: Vec<u32> = mask.iter().collect();
                    masks.push(mask);
                    if constraint.accept(all[step * 7919 % all.len()]).is_err()
                        || constraint.is_complete()
                    {
                        break;
                    }
                }
                masks
            })
            .collect();
        assert!(runs[1..].iter().all(|run| *run == runs[0]));
    }
}

#[test]
fn tokens_are_refused_without_harm() {
    let tokenizer = byte_level();
    let mut constraint = constraints(&tokenizer).json_object().unwrap();
    let control = tokenizer.token_of("<|im_start|>").unwrap();
    let end = tokenizer.token_of("<|im_end|>").unwrap();
    let size = tokenizer.vocabulary() as u32;
    let mask = constraint.allowed().unwrap();
    for token in [
        u32::from(b'a'),
        u32::from(b'}'),
        control,
        end,
        size,
        u32::MAX,
    ] {
        assert!(!mask.allows(token));
        assert_eq!(constraint.accept(token), Err(Error::Token(token)));
    }
    assert!(!constraint.is_complete());
    for token in tokenizer
        .encode("{\"a\": [1, \"é\"]}", Controls::Plain)
        .unwrap()
    {
        assert!(constraint.allowed().unwrap().allows(token));
        constraint.accept(token).unwrap();
    }
    assert!(constraint.is_complete());
    constraint.accept(end).unwrap();
    assert!(Constraints::new(&tokenizer, &[]).is_err());
    assert!(matches!(
        Constraints::new(&tokenizer, &[size]),
        Err(Error::Token(_))
    ));
}

#[test]
fn white_space_is_bounded() {
    let tokenizer = byte_level();
    let mut constraint = constraints(&tokenizer).json_object().unwrap();
    constraint.accept(u32::from(b'{')).unwrap();
    let space = u32::from(b'\n');
    let taken = (0..1000)
        .take_while(|_| constraint.accept(space).is_ok())
        .count();
    assert_eq!(taken, limits::JSON_SPACE_MAX);
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    let tokenizer = byte_level();
    let constraints = constraints(&tokenizer);
    let check = |says: &str, schema: Value| {
        let error = constraints
            .json_schema(&schema)
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(error.contains(says), "{says}: {error}");
    };
    for keyword in [
        "not",
        "if",
        "then",
        "else",
        "uniqueItems",
        "contains",
        "minContains",
        "dependentRequired",
        "dependentSchemas",
        "propertyNames",
        "unevaluatedProperties",
        "unevaluatedItems",
        "$dynamicRef",
        "$anchor",
        "$id",
        "additionalItems",
        "nullable",
        "x-guidance",
        "contentEncoding",
        "anything",
    ] {
        check(
            &format!("`{keyword}` is not supported"),
            json!({"type": "object", keyword: {}}),
        );
        check(
            &format!("/properties/a~1b/{keyword}`"),
            json!({"properties": {"a/b": {keyword: 1}}}),
        );
    }
    check("object is expected", json!("string"));
    check("object is expected", json!(false));
    check(
        "a schema is an object",
        json!({"items": [{"type": "string"}]}),
    );
    check("the types are", json!({"type": "text"}));
    check("the types are", json!({"type": []}));
    check("the formats are", json!({"format": "regex"}));
    check("a number", json!({"minimum": "1"}));
    check("a number", json!({"exclusiveMinimum": true}));
    check("a positive number", json!({"multipleOf": 0}));
    check(
        "whole number",
        json!({"type": "array", "maxItems": 1_000_000}),
    );
    check("whole number", json!({"type": "string", "minLength": -1}));
    check("list with a value", json!({"enum": []}));
    check("list with a schema", json!({"anyOf": []}));
    check("object of schemas", json!({"properties": []}));
    check("list of names", json!({"required": "a"}));
    check("is no schema", json!({"$ref": "#/$defs/a"}));
    check(
        "only references into",
        json!({"$ref": "https://example.com/schema"}),
    );
    check("only references into", json!({"$ref": "#/a~1b"}));
    check("a pattern has at most", json!({"pattern": "a".repeat(513)}));
    check(
        "levels of a schema",
        (0..40).fold(json!({}), |inner, _| json!({"items": inner})),
    );
    check("bytes of a schema", json!({"enum": ["x".repeat(1 << 16)]}));
    check("$schema", json!({"$schema": 1}));
    check("schema", json!({"pattern": "(?=a)"}));
    check("schema", json!({"pattern": "("}));
    check(
        "schema",
        json!({"oneOf": [{"type": "string"}, {"type": "string", "maxLength": 3}]}),
    );
    check("schema", json!({"type": "string", "const": 1}));
    check(
        "schema",
        json!({"type": "integer", "minimum": 2, "maximum": 1}),
    );
    let parameters = json!({"type": "string"});
    for (name, parameters) in [
        ("f", &parameters),
        ("a b", &Value::Null),
        ("", &Value::Null),
        ("\"", &Value::Null),
    ] {
        let tools = [ToolSignature { name, parameters }];
        assert!(
            constraints
                .tool_call(ToolFormat::Llama, &tools, Parallel::One)
                .is_err(),
            "{name}"
        );
    }
    assert!(
        constraints
            .tool_call(ToolFormat::Llama, &[], Parallel::One)
            .is_err()
    );
}

/// Schemas out of known keywords with values that may or may not fit them.
fn any_schema() -> impl Strategy<Value = Value> {
    let keys = [
        "type",
        "items",
        "properties",
        "enum",
        "const",
        "anyOf",
        "oneOf",
        "$ref",
        "minimum",
        "maxLength",
        "minItems",
        "pattern",
        "required",
        "format",
        "allOf",
        "multipleOf",
        "additionalProperties",
        "patternProperties",
        "prefixItems",
    ];
    let scalar = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        prop::sample::select(vec![
            "string", "object", "#", "#/items", "a+", "[", "date", "integer", "array"
        ])
        .prop_map(|s| json!(s)),
    ];
    scalar.prop_recursive(4, 24, 4, move |inner| {
        let members =
            prop::collection::vec((prop::sample::select(keys.to_vec()), inner.clone()), 0..4);
        prop_oneof![
            members.prop_map(|members| members
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect::<Value>()),
            prop::collection::vec(inner, 0..3).prop_map(Value::Array),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_schema_is_followed_or_refused(schema in any_schema()) {
        let tokenizer = byte_level();
        if let Ok(mut constraint) = constraints(&tokenizer).json_schema(&schema) {
            for _ in 0..4 {
                let Ok(mask) = constraint.allowed() else { break };
                prop_assert!(constraint.accept(mask.iter().next().unwrap()).is_ok());
            }
        }
    }
}

#[test]
fn constraints_may_move_between_threads() {
    fn check<T: Send>() {}
    check::<Constraint>();
    check::<Constraints>();
    check::<Tokenizer>();
    fn shared<T: Sync>() {}
    shared::<Constraints>();
    shared::<Tokenizer>();
}
