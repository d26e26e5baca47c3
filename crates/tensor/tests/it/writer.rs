//! A writer of ONNX files, so that tests can make ones that no exporter would.

/// The bytes of a message under construction.
#[derive(Debug, Clone, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    pub fn varint(mut self, field: u64, mut value: u64) -> Self {
        self.raw(field << 3);
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    pub fn bytes(mut self, field: u64, bytes: &[u8]) -> Self {
        self.raw(field << 3 | 2);
        self.raw(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(self, field: u64, text: &str) -> Self {
        self.bytes(field, text.as_bytes())
    }

    pub fn message(self, field: u64, inner: &Message) -> Self {
        self.bytes(field, &inner.0)
    }

    fn raw(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// A node of the standard domain.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    let node = inputs
        .iter()
        .fold(Message::default(), |m, name| m.text(1, name));
    outputs
        .iter()
        .fold(node, |m, name| m.text(2, name))
        .text(3, &format!("the {op}"))
        .text(4, op)
}

/// An attribute of one integer.
pub fn int(name: &str, value: i64) -> Message {
    Message::default()
        .text(1, name)
        .varint(3, value as u64)
        .varint(20, 2)
}

/// An attribute of one text.
pub fn text(name: &str, value: &str) -> Message {
    Message::default()
        .text(1, name)
        .text(4, value)
        .varint(20, 3)
}

/// An attribute that is a list of integers.
pub fn ints(name: &str, values: &[i64]) -> Message {
    let message = values
        .iter()
        .fold(Message::default().text(1, name), |m, v| {
            m.varint(8, *v as u64)
        });
    message.varint(20, 7)
}

/// An attribute that is a list of floats.
pub fn floats(name: &str, values: &[f32]) -> Message {
    let packed: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Message::default()
        .text(1, name)
        .bytes(7, &packed)
        .varint(20, 6)
}

/// An attribute that is a list of texts.
pub fn texts(name: &str, values: &[&str]) -> Message {
    let message = values
        .iter()
        .fold(Message::default().text(1, name), |m, v| m.text(9, v));
    message.varint(20, 8)
}

/// An i64 tensor.
pub fn tensor(name: &str, dims: &[i64], values: &[i64]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    let message = dims
        .iter()
        .fold(Message::default(), |m, d| m.varint(1, *d as u64));
    message.varint(2, 7).text(8, name).bytes(9, &raw)
}

/// A declared value of an ONNX element type with open dimensions.
pub fn value(name: &str, kind: u64, rank: usize) -> Message {
    let shape = (0..rank).fold(Message::default(), |m, _| m.message(1, &Message::default()));
    let tensor = Message::default().varint(1, kind).message(2, &shape);
    Message::default()
        .text(1, name)
        .message(2, &Message::default().message(1, &tensor))
}

/// A graph from `(field, message)` pairs: 1 node, 5 initial tensor, 11 input, 12 output.
pub fn model(parts: &[(u64, Message)], opsets: &[(&str, u64)]) -> Vec<u8> {
    let graph = parts.iter().fold(Message::default(), |m, (field, part)| {
        m.message(*field, part)
    });
    let file = Message::default().varint(1, 8).message(7, &graph);
    let opset =
        |(domain, version): &(&str, u64)| Message::default().text(1, domain).varint(2, *version);
    opsets
        .iter()
        .fold(file, |m, pair| m.message(8, &opset(pair)))
        .0
}

/// Input `x`, output `y`, both f32 of one dimension, and some nodes.
pub fn simple(nodes: &[Message]) -> Vec<u8> {
    let mut parts: Vec<(u64, Message)> = nodes.iter().map(|n| (1, n.clone())).collect();
    parts.push((11, value("x", 1, 1)));
    parts.push((12, value("y", 1, 1)));
    model(&parts, &[("", 17), ("ai.onnx.ml", 3)])
}
