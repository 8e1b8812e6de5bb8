//! Answers of the query protocols.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{Response, StatusCode};
use jiff::Timestamp;
use quick_xml::escape::escape;
use serde_json::Value;

use super::{
    super::{
        AwsError,
        model::{Kind, Model, Operation, Protocol, Reference, Shape},
    },
    Form, NULL, respond,
};

const XML: &str = "text/xml;charset=UTF-8";
const PROLOGUE: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

pub(super) fn encode(
    model: &Model,
    operation: &Operation,
    output: &Value,
    request_id: &str,
) -> Response<Bytes> {
    let name = &operation.name;
    let namespace = model.metadata.xml_namespace.as_deref().unwrap_or_default();
    let mut writer = Writer { model, text: PROLOGUE.to_owned() };
    let _ = write!(writer.text, "<{name}Response xmlns=\"{}\">", escape(namespace));
    let shape = operation.output.as_ref().and_then(|it| model.shape(it));
    if model.metadata.protocol == Protocol::Ec2 {
        writer.element("requestId", request_id);
        match shape {
            Some(shape) => writer.members(shape, output),
            // An operation without an output says that it went well.
            None => writer.element("return", "true"),
        }
    } else {
        if let Some(shape) = shape {
            let wrapper = operation.output.as_ref().and_then(|it| it.result_wrapper.as_deref());
            let wrapper = wrapper.map_or_else(|| format!("{name}Result"), ToOwned::to_owned);
            open(&mut writer.text, &wrapper);
            writer.members(shape, output);
            close(&mut writer.text, &wrapper);
        }
        writer.text.push_str("<ResponseMetadata>");
        writer.element("RequestId", request_id);
        writer.text.push_str("</ResponseMetadata>");
    }
    let _ = write!(writer.text, "</{name}Response>");
    respond(StatusCode::OK, XML, request_id, writer.text)
}

pub(super) fn error(
    form: Form<'_>,
    error: &AwsError,
    known: Option<&Shape>,
    status: StatusCode,
    request_id: &str,
) -> Response<Bytes> {
    let stated = known.and_then(|it| it.error.as_ref()).and_then(|it| it.code.as_deref());
    let code = match &*error.name {
        // Query services have another word for what the model forbids.
        "ValidationException" if form == Form::Ec2 => "InvalidParameterValue",
        "ValidationException" => "ValidationError",
        name => stated.unwrap_or(name),
    };
    let mut text = PROLOGUE.to_owned();
    match form {
        Form::Ec2 => {
            text.push_str("<Response><Errors><Error>");
            element(&mut text, "Code", code);
            element(&mut text, "Message", &error.message);
            text.push_str("</Error></Errors>");
            element(&mut text, "RequestID", request_id);
            text.push_str("</Response>");
        }
        Form::S3 => {
            text.push_str("<Error>");
            element(&mut text, "Code", code);
            element(&mut text, "Message", &error.message);
            element(&mut text, "RequestId", request_id);
            text.push_str("</Error>");
        }
        Form::Query { .. } | Form::Cbor | Form::Json(_) | Form::RestJson => {
            text.push_str("<ErrorResponse");
            if let Form::Query { namespace: Some(namespace) } = form {
                let _ = write!(text, " xmlns=\"{}\"", escape(namespace));
            }
            text.push_str("><Error>");
            element(
                &mut text,
                "Type",
                if status.is_server_error() { "Receiver" } else { "Sender" },
            );
            element(&mut text, "Code", code);
            element(&mut text, "Message", &error.message);
            text.push_str("</Error>");
            element(&mut text, "RequestId", request_id);
            text.push_str("</ErrorResponse>");
        }
    }
    respond(status, XML, request_id, text)
}

fn open(text: &mut String, name: &str) {
    text.push('<');
    text.push_str(name);
    text.push('>');
}

fn close(text: &mut String, name: &str) {
    text.push_str("</");
    text.push_str(name);
    text.push('>');
}

fn element(text: &mut String, name: &str, content: &str) {
    open(text, name);
    text.push_str(&escape(content));
    close(text, name);
}

struct Writer<'m> {
    model: &'m Model,
    text: String,
}

impl Writer<'_> {
    fn element(&mut self, name: &str, content: &str) {
        element(&mut self.text, name, content);
    }

    fn members(&mut self, shape: &Shape, value: &Value) {
        let Value::Object(members) = value else { return };
        for (name, value) in members {
            if let Some(reference) = shape.members.get(name.as_str())
                && !value.is_null()
            {
                let on_wire = reference.location_name.as_deref().unwrap_or(name);
                self.value(on_wire, reference, value);
            }
        }
    }

    fn value(&mut self, name: &str, reference: &Reference, value: &Value) {
        let Some(shape) = self.model.shape(reference) else { return };
        match (shape.kind, value) {
            (Kind::Structure, _) => {
                open(&mut self.text, name);
                self.members(shape, value);
                close(&mut self.text, name);
            }
            (Kind::List, Value::Array(items)) => {
                let Some(member) = &shape.member else { return };
                if shape.flattened {
                    for item in items {
                        self.value(member.location_name.as_deref().unwrap_or(name), member, item);
                    }
                    return;
                }
                open(&mut self.text, name);
                for item in items {
                    self.value(member.location_name.as_deref().unwrap_or("member"), member, item);
                }
                close(&mut self.text, name);
            }
            (Kind::Map, Value::Object(entries)) => {
                let (Some(key), Some(of)) = (&shape.key, &shape.value) else { return };
                open(&mut self.text, name);
                for (word, item) in entries {
                    self.text.push_str("<entry>");
                    self.element(key.location_name.as_deref().unwrap_or("key"), word);
                    self.value(of.location_name.as_deref().unwrap_or("value"), of, item);
                    self.text.push_str("</entry>");
                }
                close(&mut self.text, name);
            }
            (Kind::Timestamp, Value::Number(number)) => {
                #[expect(clippy::cast_possible_truncation, reason = "a float is cut at i64's ends")]
                let millis = (number.as_f64().unwrap_or_default() * 1_000.0).round() as i64;
                let at = Timestamp::from_millisecond(millis).unwrap_or_default();
                self.element(name, &at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string());
            }
            (_, Value::String(text)) if text == NULL => self.element(name, ""),
            (_, Value::String(text)) => self.element(name, text),
            (_, other) => self.element(name, &other.to_string()),
        }
    }
}
