//! Requests of the query protocols: `Filter.1.Value.2=x` becomes a tree, the tree an input.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    super::{
        AwsError,
        model::{Kind, Model, Operation, Protocol, Reference, Shape},
        seconds,
    },
    Request,
};

/// How deep names may nest: no served operation needs half of it.
const DEEPEST: usize = 16;

pub(super) fn decode<'m>(
    model: &'m Model,
    request: &Request,
) -> Result<(&'m Operation, Value), AwsError> {
    let query = request.uri().query().unwrap_or_default();
    let pairs =
        form_urlencoded::parse(query.as_bytes()).chain(form_urlencoded::parse(request.body()));
    let mut tree = Node::default();
    for (name, value) in pairs {
        tree.insert(&name, value.into_owned());
    }
    let name = tree.text_of("Action").unwrap_or_default().to_owned();
    let operation = model.operations.get(&*name).ok_or_else(|| {
        AwsError::new(
            "InvalidAction",
            format!("The action {name} is not valid for this web service."),
        )
    })?;
    let reader = Reader { model };
    let input = match operation.input.as_ref().and_then(|it| model.shape(it)) {
        Some(shape) => reader.value(shape, &tree)?,
        None => json!({}),
    };
    Ok((operation, input))
}

/// The dotted names of a request as a tree.
#[derive(Debug, Default)]
struct Node {
    text: Option<String>,
    children: BTreeMap<String, Self>,
}

impl Node {
    fn insert(&mut self, name: &str, value: String) {
        let mut node = self;
        for part in name.splitn(DEEPEST, '.') {
            node = node.children.entry(part.to_owned()).or_default();
        }
        node.text = Some(value);
    }

    fn text_of(&self, name: &str) -> Option<&str> {
        self.children.get(name)?.text.as_deref()
    }

    /// The numbered children, in order of their numbers.
    fn numbered(&self) -> Vec<&Self> {
        let number = |name: &String| name.parse::<u32>().ok();
        let mut found: Vec<_> =
            self.children.iter().filter_map(|(name, node)| Some((number(name)?, node))).collect();
        found.sort_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, node)| node).collect()
    }
}

struct Reader<'m> {
    model: &'m Model,
}

impl Reader<'_> {
    fn value(&self, shape: &Shape, node: &Node) -> Result<Value, AwsError> {
        match shape.kind {
            Kind::Structure => self.structure(shape, node),
            Kind::List => {
                let Some(member) = &shape.member else { return Ok(Value::Null) };
                let items = self.items(shape, member, node);
                let Some(of) = self.model.shape(member) else { return Ok(Value::Null) };
                items.into_iter().map(|item| self.value(of, item)).collect()
            }
            Kind::Map => {
                let (Some(key), Some(value)) = (&shape.key, &shape.value) else {
                    return Ok(Value::Null);
                };
                let key_name = key.location_name.as_deref().unwrap_or("key");
                let value_name = value.location_name.as_deref().unwrap_or("value");
                let Some(of) = self.model.shape(value) else { return Ok(Value::Null) };
                let entries = if shape.flattened { Some(node) } else { node.children.get("entry") };
                let mut map = Map::new();
                for entry in entries.map(Node::numbered).unwrap_or_default() {
                    if let (Some(key), Some(value)) =
                        (entry.text_of(key_name), entry.children.get(value_name))
                    {
                        map.insert(key.to_owned(), self.value(of, value)?);
                    }
                }
                Ok(Value::Object(map))
            }
            kind => scalar(kind, node.text.as_deref().unwrap_or_default()),
        }
    }

    fn structure(&self, shape: &Shape, node: &Node) -> Result<Value, AwsError> {
        let mut members = Map::new();
        for (name, member) in &shape.members {
            let Some(of) = self.model.shape(member) else { continue };
            let on_wire = self.name(name, member);
            if let Some(child) = node.children.get(&*on_wire) {
                members.insert(name.to_string(), self.value(of, child)?);
            }
        }
        Ok(Value::Object(members))
    }

    /// A member's name in a request: EC2 writes `locationName` with a capital letter.
    fn name(&self, name: &str, member: &Reference) -> String {
        let on_wire = member.location_name.as_deref().unwrap_or(name);
        if self.model.metadata.protocol != Protocol::Ec2 {
            return on_wire.to_owned();
        }
        let mut letters = on_wire.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
    }

    /// EC2's lists are flat in requests; others have a level named `member` in between.
    fn items<'n>(&self, shape: &Shape, member: &Reference, node: &'n Node) -> Vec<&'n Node> {
        if self.model.metadata.protocol == Protocol::Ec2 || shape.flattened {
            return node.numbered();
        }
        let level = member.location_name.as_deref().unwrap_or("member");
        node.children.get(level).map(Node::numbered).unwrap_or_default()
    }
}

fn scalar(kind: Kind, text: &str) -> Result<Value, AwsError> {
    let wrong =
        |what: &str| AwsError::new("MalformedInput", format!("{text:?} is not of type {what}"));
    match kind {
        Kind::Integer | Kind::Long => {
            text.parse::<i64>().map(Value::from).map_err(|_| wrong("Integer"))
        }
        Kind::Float | Kind::Double => {
            text.parse::<f64>().map(Value::from).map_err(|_| wrong("Double"))
        }
        Kind::Boolean => match text {
            "true" | "True" => Ok(Value::Bool(true)),
            "false" | "False" => Ok(Value::Bool(false)),
            _ => Err(wrong("Boolean")),
        },
        Kind::Timestamp => {
            let at: Timestamp = text.parse().map_err(|_| wrong("Timestamp"))?;
            Ok(seconds(at))
        }
        _ => Ok(Value::String(text.to_owned())),
    }
}
