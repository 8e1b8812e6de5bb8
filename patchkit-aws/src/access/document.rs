//! What an IAM policy document allows.
//!
//! Reads just what decides whether an action is allowed at all: effects, actions, whether a statement
//! is for every resource and without condition. IAM user guide, "Policy evaluation logic": a deny
//! anywhere beats every allow.

use globset::GlobBuilder;
use serde::Deserialize;

/// What documents together say of one action.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Allowed {
    /// Nothing allows it, or something denies it.
    #[default]
    No,
    /// Something allows it under conditions, on some resources; or denies it so.
    Partly,
    /// It is allowed, whatever the circumstances.
    Yes,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Document {
    #[serde(default)]
    statement: OneOrMany<Statement>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    effect: String,
    #[serde(default)]
    action: OneOrMany<String>,
    #[serde(default)]
    not_action: OneOrMany<String>,
    #[serde(default)]
    resource: OneOrMany<String>,
    #[serde(default)]
    not_resource: OneOrMany<String>,
    #[serde(default)]
    condition: Option<serde_json::Value>,
    #[serde(default)]
    principal: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> Default for OneOrMany<T> {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl<T> OneOrMany<T> {
    fn as_slice(&self) -> &[T] {
        match self {
            Self::Many(items) => items,
            Self::One(item) => std::slice::from_ref(item),
        }
    }
}

impl Document {
    pub(super) fn read(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    /// Whether a trust policy lets a service assume the role.
    pub(super) fn trusts(&self, service: &str) -> bool {
        self.statement.as_slice().iter().any(|statement| {
            statement.effect == "Allow"
                && statement.names("sts:AssumeRole")
                && statement.principal.as_ref().is_some_and(|it| principal_is(it, service))
        })
    }
}

/// What documents together say of one action.
pub(super) fn allowed<'a>(
    documents: impl IntoIterator<Item = &'a Document>,
    action: &str,
) -> Allowed {
    let (mut allowed, mut denied) = (Allowed::No, Allowed::No);
    let statements = documents.into_iter().flat_map(|it| it.statement.as_slice());
    for statement in statements.filter(|it| it.names(action)) {
        let reach = statement.reach();
        match statement.effect.as_str() {
            "Allow" => allowed = allowed.max(reach),
            "Deny" => denied = denied.max(reach),
            _ => {}
        }
    }
    match denied {
        Allowed::Yes => Allowed::No,
        Allowed::Partly => allowed.min(Allowed::Partly),
        Allowed::No => allowed,
    }
}

impl Statement {
    fn names(&self, action: &str) -> bool {
        let any =
            |patterns: &OneOrMany<String>| patterns.as_slice().iter().any(|it| matches(it, action));
        match self.not_action.as_slice() {
            [] => any(&self.action),
            _ => !any(&self.not_action),
        }
    }

    fn reach(&self) -> Allowed {
        let everywhere = self.not_resource.as_slice().is_empty()
            && self.resource.as_slice().iter().any(|resource| resource == "*");
        let always = match &self.condition {
            None => true,
            Some(condition) => condition.as_object().is_some_and(serde_json::Map::is_empty),
        };
        if everywhere && always { Allowed::Yes } else { Allowed::Partly }
    }
}

fn principal_is(principal: &serde_json::Value, service: &str) -> bool {
    let named = |value: &serde_json::Value| match value {
        serde_json::Value::String(name) => names_service(name, service),
        serde_json::Value::Array(names) => {
            names.iter().filter_map(|it| it.as_str()).any(|name| names_service(name, service))
        }
        _ => false,
    };
    match principal {
        serde_json::Value::Object(kinds) => kinds.get("Service").is_some_and(named),
        _ => false,
    }
}

/// China's Regions have a spelling of their own: `ec2.amazonaws.com.cn`.
fn names_service(name: &str, service: &str) -> bool {
    name.strip_suffix(".cn").unwrap_or(name).eq_ignore_ascii_case(service)
}

/// IAM's wildcards are those of globs; the case of actions does not matter. No action holds a
/// character that a glob reads otherwise.
fn matches(pattern: &str, action: &str) -> bool {
    let glob = GlobBuilder::new(pattern).case_insensitive(true).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(action))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(documents: &[&str], action: &str) -> Allowed {
        let documents: Vec<_> = documents.iter().map(|it| Document::read(it).unwrap()).collect();
        allowed(&documents, action)
    }

    #[test]
    fn a_deny_beats_every_allow() {
        let allow = r#"{"Statement":{"Effect":"Allow","Action":"ssm:*","Resource":"*"}}"#;
        let deny = r#"{"Statement":[{"Effect":"Deny","Action":["ssm:Put*"],"Resource":"*"}]}"#;
        assert_eq!(of(&[allow], "ssm:PutInventory"), Allowed::Yes);
        assert_eq!(of(&[allow, deny], "ssm:PutInventory"), Allowed::No);
        assert_eq!(of(&[allow, deny], "ssm:GetDocument"), Allowed::Yes);
    }

    #[test]
    fn conditions_and_resources_leave_a_doubt() {
        for document in [
            r#"{"Statement":[{"Effect":"Allow","Action":"ssm:*","Resource":"arn:aws:ssm:*:1:*"}]}"#,
            r#"{"Statement":[{"Effect":"Allow","Action":"ssm:*","Resource":"*",
                "Condition":{"Bool":{"aws:SecureTransport":"true"}}}]}"#,
        ] {
            assert_eq!(of(&[document], "ssm:PutInventory"), Allowed::Partly);
        }
    }

    #[test]
    fn not_action_allows_all_others() {
        let document = r#"{"Statement":[{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}]}"#;
        assert_eq!(of(&[document], "ssm:PutInventory"), Allowed::Yes);
        assert_eq!(of(&[document], "iam:PassRole"), Allowed::No);
    }

    #[test]
    fn wildcards_and_case_are_iams() {
        for (pattern, text, yes) in [
            ("*", "ssm:PutInventory", true),
            ("SSM:put*", "ssm:PutInventory", true),
            ("ssm:*Inventory", "ssm:PutInventory", true),
            ("ssm:?utInventory", "ssm:PutInventory", true),
            ("ssm:Put", "ssm:PutInventory", false),
            ("ssm:*x*", "ssm:PutInventory", false),
            ("", "ssm:PutInventory", false),
        ] {
            assert_eq!(matches(pattern, text), yes, "{pattern}");
        }
    }

    #[test]
    fn a_trust_policy_names_its_service() {
        let document = Document::read(
            r#"{"Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",
                "Principal":{"Service":["ec2.amazonaws.com","ssm.amazonaws.com"]}}]}"#,
        )
        .unwrap();
        assert!(document.trusts("ec2.amazonaws.com"));
        assert!(!document.trusts("lambda.amazonaws.com"));
    }
}
