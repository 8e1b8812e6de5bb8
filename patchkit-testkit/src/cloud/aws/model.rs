//! The interfaces of the simulated services, read from botocore's models (see `model/README.md`).

use std::{collections::HashMap, sync::OnceLock};

use regex::Regex;
use serde::Deserialize;

/// A service's interface: its operations, and the shapes of what goes in and comes out.
#[derive(Debug, Deserialize)]
pub(crate) struct Model {
    pub(crate) metadata: Metadata,
    pub(crate) operations: HashMap<Box<str>, Operation>,
    shapes: HashMap<Box<str>, Shape>,
    #[serde(default)]
    pub(crate) paginators: HashMap<Box<str>, Paginator>,
}

impl Model {
    /// The members of a listing's input and output that hold the tokens of its pages.
    pub(crate) fn tokens(&self, operation: &Operation) -> Option<[&str; 2]> {
        let input = self.shape(operation.input.as_ref()?)?;
        let token = ["NextToken", "Marker", "PaginationToken"]
            .into_iter()
            .find(|it| input.members.contains_key(*it))?;
        let paginator = self.paginators.get(&operation.name);
        Some([token, paginator.and_then(|it| it.output_token.first()).unwrap_or(token)])
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Metadata {
    pub(crate) endpoint_prefix: Box<str>,
    pub(crate) protocol: Protocol,
    pub(crate) json_version: Option<Box<str>>,
    pub(crate) target_prefix: Option<Box<str>>,
    pub(crate) api_version: Box<str>,
    pub(crate) xml_namespace: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Protocol {
    Json,
    Query,
    Ec2,
    RestJson,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Operation {
    pub(crate) name: Box<str>,
    pub(crate) http: Http,
    pub(crate) input: Option<Reference>,
    pub(crate) output: Option<Reference>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Http {
    pub(crate) method: Box<str>,
    pub(crate) request_uri: Box<str>,
}

/// A shape, named where it is used, with what is particular to that place.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reference {
    pub(crate) shape: Box<str>,
    pub(crate) location_name: Option<Box<str>>,
    /// `uri`, `querystring`, `header`
    pub(crate) location: Option<Box<str>>,
    pub(crate) result_wrapper: Option<Box<str>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shape {
    #[serde(rename = "type")]
    pub(crate) kind: Kind,
    #[serde(default)]
    pub(crate) members: HashMap<Box<str>, Reference>,
    #[serde(default)]
    pub(crate) required: Vec<Box<str>>,
    pub(crate) member: Option<Reference>,
    pub(crate) key: Option<Reference>,
    pub(crate) value: Option<Reference>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
    pub(crate) pattern: Option<Box<str>>,
    #[serde(rename = "enum")]
    pub(crate) one_of: Option<Vec<Box<str>>>,
    #[serde(default)]
    pub(crate) flattened: bool,
    pub(crate) error: Option<ErrorTraits>,
    #[serde(default)]
    pub(crate) fault: bool,
    #[serde(skip)]
    compiled: OnceLock<Option<Regex>>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Structure,
    List,
    Map,
    String,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
    Timestamp,
    Blob,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ErrorTraits {
    pub(crate) code: Option<Box<str>>,
    pub(crate) http_status_code: Option<u16>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Paginator {
    pub(crate) output_token: OneOrMany,
    pub(crate) result_key: OneOrMany,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(Box<str>),
    Many(Vec<Box<str>>),
}

impl OneOrMany {
    pub(crate) fn first(&self) -> Option<&str> {
        match self {
            Self::One(one) => Some(one),
            Self::Many(many) => many.first().map(|it| &**it),
        }
    }
}

impl Model {
    /// Reads a model. The models are part of the program, and a test reads them all.
    pub(crate) fn read(text: &str) -> serde_json::Result<Self> {
        serde_json::from_str(text)
    }

    pub(crate) fn shape(&self, reference: &Reference) -> Option<&Shape> {
        self.shapes.get(&reference.shape)
    }

    /// The shape of an error by its name.
    pub(crate) fn error(&self, name: &str) -> Option<&Shape> {
        self.shapes.get(name)
    }
}

impl Shape {
    /// Whether a text is of the shape's pattern, which is of the whole text.
    ///
    /// Patterns with look-around, which the service's own engine knows and this one does not, let
    /// everything pass: their operations look for themselves.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let Some(pattern) = &self.pattern else { return true };
        let compile = || {
            let whole = format!("^(?:{})$", in_ascii(pattern));
            regex::RegexBuilder::new(&whole).size_limit(8 << 20).build().ok()
        };
        self.compiled.get_or_init(compile).as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

/// A pattern whose `\w` and `\d` are of ASCII alone, as those of the services are (Java's are, unless
/// it is told otherwise); the Unicode ones are also too large to repeat.
fn in_ascii(pattern: &str) -> String {
    let (mut out, mut in_class) = (String::with_capacity(pattern.len()), false);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match (letters.next(), in_class) {
                (Some('w'), true) => out.push_str("a-zA-Z0-9_"),
                (Some('w'), false) => out.push_str("[a-zA-Z0-9_]"),
                (Some('d'), true) => out.push_str("0-9"),
                (Some('d'), false) => out.push_str("[0-9]"),
                (escaped, _) => {
                    out.push('\\');
                    out.extend(escaped);
                }
            },
            letter => {
                in_class = match letter {
                    '[' => true,
                    ']' => false,
                    _ => in_class,
                };
                out.push(letter);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_of_the_whole_text_and_its_words_of_ascii() {
        let shape = |pattern: &str| -> Shape {
            let model = serde_json::json!({"type": "string", "pattern": pattern});
            serde_json::from_value(model).unwrap()
        };
        let id = shape("(^i-(\\w{8}|\\w{17})$)|(^mi-\\w{17}$)");
        assert!(id.matches("i-0123456789abcdef0") && id.matches("mi-0123456789abcdef0"));
        assert!(
            !id.matches("not-an-id")
                && !id.matches("i-0123456789abcdef")
                && !id.matches("i-ä1234567")
        );
        let name = shape("[\\w+=,.@-]+");
        assert!(name.matches("a+b@c") && !name.matches("a/b"));
    }

    #[test]
    fn patterns_that_can_be_read_are_but_for_those_that_look_around() {
        let text = include_str!("model/ssm.json");
        let model = Model::read(text).unwrap();
        let unread: Vec<&str> = model
            .shapes
            .values()
            .filter(|it| {
                it.matches("");
                it.compiled.get().is_some_and(Option::is_none)
            })
            .filter_map(|it| it.pattern.as_deref())
            .filter(|it| !it.contains("(?!") && !it.contains("{1,100000}"))
            .collect();
        assert_eq!(unread, [""; 0]);
    }
}
