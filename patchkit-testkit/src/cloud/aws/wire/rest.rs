//! Requests of REST-JSON: the operation is in method and path, the input in path, query and body.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{
    super::{
        AwsError,
        model::{Model, Operation},
    },
    Request,
};

pub(super) fn decode<'m>(
    model: &'m Model,
    request: &Request,
) -> Result<(&'m Operation, Value), AwsError> {
    let (method, path) = (request.method().as_str(), request.uri().path());
    let found = model.operations.values().find_map(|operation| {
        let (wanted, _) =
            operation.http.request_uri.split_once('?').unwrap_or((&operation.http.request_uri, ""));
        let labels = (&*operation.http.method == method).then(|| labels(wanted, path))??;
        Some((operation, labels))
    });
    let Some((operation, labels)) = found else {
        let message = format!("the simulator does not serve {method} {path}");
        return Err(AwsError::new("UnknownOperationException", message).with_status(404));
    };
    let body = request.body();
    let input = if body.is_empty() { Ok(json!({})) } else { serde_json::from_slice(body) };
    let mut input = match input {
        Ok(input @ Value::Object(_)) => input,
        Ok(_) => return Err(AwsError::new("BadRequestException", "the body is not an object")),
        Err(error) => return Err(AwsError::new("BadRequestException", error.to_string())),
    };
    let query = request.uri().query().unwrap_or_default();
    let query: Vec<(Cow<'_, str>, Cow<'_, str>)> =
        form_urlencoded::parse(query.as_bytes()).collect();
    if let Some(shape) = operation.input.as_ref().and_then(|it| model.shape(it)) {
        for (name, member) in &shape.members {
            let on_wire = member.location_name.as_deref().unwrap_or(name);
            let text = match member.location.as_deref() {
                Some("uri") => {
                    labels.iter().find(|(it, _)| it == on_wire).map(|(_, text)| text.clone())
                }
                Some("querystring") => query
                    .iter()
                    .find(|(it, _)| it == on_wire)
                    .map(|(_, text)| text.clone().into_owned()),
                _ => None,
            };
            if let Some(text) = text {
                // Numbers come as text here.
                let integer = model
                    .shape(member)
                    .is_some_and(|it| it.kind == super::super::model::Kind::Integer);
                let value = text.parse::<i64>().ok().filter(|_| integer).map(Value::from);
                input[&**name] = value.unwrap_or(Value::String(text));
            }
        }
    }
    Ok((operation, input))
}

/// The labels of a path template in a path; none where the path is not of the template.
///
/// A label may hold slashes: clients leave those of an ARN unencoded.
fn labels(template: &str, path: &str) -> Option<Vec<(String, String)>> {
    let Some((before, rest)) = template.split_once('{') else {
        return (template == path).then(Vec::new);
    };
    let (name, after) = rest.split_once('}')?;
    let value = path.strip_prefix(before)?.strip_suffix(after)?;
    let value = percent_decode_str(value).decode_utf8().ok()?;
    (!value.is_empty()).then(|| vec![(name.trim_end_matches('+').to_owned(), value.into_owned())])
}
