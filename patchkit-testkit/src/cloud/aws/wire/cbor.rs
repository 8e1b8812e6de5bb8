//! Errors of Smithy RPC v2 with CBOR (RFC 8949): a map of two texts.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};

use super::{super::AwsError, respond};

pub(super) fn error(error: &AwsError, status: StatusCode, request_id: &str) -> Response<Bytes> {
    let mut body = vec![0xA2];
    for it in ["__type", &*error.name, "message", &*error.message] {
        text(&mut body, it);
    }
    let mut response = respond(status, "application/cbor", request_id, body);
    response.headers_mut().insert("smithy-protocol", HeaderValue::from_static("rpc-v2-cbor"));
    response
}

/// A text after its length, in the shortest form that holds it.
fn text(out: &mut Vec<u8>, text: &str) {
    let length = text.len() as u64;
    let bytes = length.to_be_bytes();
    match length {
        0..24 => out.push(0x60 | bytes[7]),
        24..0x100 => out.extend([0x78, bytes[7]]),
        0x100..0x1_0000 => out.extend([0x79, bytes[6], bytes[7]]),
        _ => {
            out.push(0x7B);
            out.extend(bytes);
        }
    }
    out.extend(text.as_bytes());
}
