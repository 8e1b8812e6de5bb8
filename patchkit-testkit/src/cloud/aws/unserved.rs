//! Services that the simulator does not serve: their clients must be able to read that it does not.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use percent_encoding::percent_decode_str;

use super::{
    AwsError, Shared, check_signature,
    sigv4::{Credential, Dialect, Refusal},
    wire::{self, Form, Request},
};
use crate::cloud::record::RecordedCall;

/// A request to such a service. There is no model to ask: how it is made tells how it is answered.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Unserved {
    /// By its signing name, else by its target; empty where the request names none.
    pub(super) service: String,
    operation: String,
    pub(super) form: Form<'static>,
}

impl Unserved {
    pub(super) fn of(request: &Request, credential: Option<&Credential>) -> Self {
        let text = |name| request.headers().get(name).and_then(|it| it.to_str().ok());
        let signed = credential.map(|it| it.service.as_str());
        let (method, path) = (request.method(), request.uri().path());
        let by_target = || {
            let (service, operation) = text("x-amz-target")?.rsplit_once('.')?;
            let form = Form::json(text(header::CONTENT_TYPE.as_str()).unwrap_or_default());
            Some((service.to_owned(), operation.to_owned(), form))
        };
        let by_path = || {
            text("smithy-protocol").filter(|it| *it == "rpc-v2-cbor")?;
            let (service, operation) = path.strip_prefix("/service/")?.split_once("/operation/")?;
            Some((service.to_owned(), operation.to_owned(), Form::Cbor))
        };
        let by_action = || {
            let operation = action(request).filter(|_| signed != Some("s3"))?;
            Some((String::new(), operation, Form::Query { namespace: None }))
        };
        let (named, operation, form) =
            by_target().or_else(by_path).or_else(by_action).unwrap_or_else(|| {
                let path = percent_decode_str(path).decode_utf8_lossy();
                (String::new(), format!("{method} {path}"), of_rest(signed))
            });
        Self { service: signed.map_or(named, ToOwned::to_owned), operation, form }
    }

    /// Answers that it is not served, or what is wrong with the signature where that is checked.
    pub(super) fn answer(
        self,
        shared: &Shared,
        request: &Request,
        credential: Option<&Credential>,
        outcome: &mut RecordedCall,
    ) -> Response<Bytes> {
        let caller = check_signature(shared, request)
            .and_then(|_| shared.keys.caller(credential, shared))
            .map(|caller| outcome.caller = caller.arn);
        let error = caller.map_or_else(|it| self.unauthenticated(&it), |()| self.error());
        let response = wire::encode_error(self.form, None, &error, &outcome.request_id);
        outcome.at = shared.now();
        outcome.service = self.service.into();
        outcome.operation = self.operation;
        outcome.error = Some(error.name.into_owned());
        response
    }

    fn error(&self) -> AwsError {
        let Self { service, operation, form } = self;
        let message = if service.is_empty() {
            format!("the request names no service by its signature or its target: {operation}")
        } else {
            format!("the simulator does not serve {service}: {operation}")
        };
        match form {
            Form::Ec2 | Form::Query { .. } => AwsError::new("InvalidAction", message),
            Form::Cbor | Form::Json(_) => AwsError::new("UnknownOperationException", message),
            Form::RestJson => AwsError::new("UnknownOperationException", message).with_status(404),
            // Amazon S3 API reference, "Error responses".
            Form::S3 => AwsError::new("NotImplemented", message).with_status(501),
        }
    }

    fn unauthenticated(&self, refusal: &Refusal) -> AwsError {
        AwsError::unauthenticated(
            refusal,
            match self.form {
                Form::Ec2 => Dialect::Ec2,
                Form::Cbor | Form::Json(_) => Dialect::Json,
                Form::Query { .. } | Form::S3 => Dialect::Query,
                Form::RestJson => Dialect::RestJson,
            },
        )
    }
}

/// What a query service is asked for; empty where a form does not say.
fn action(request: &Request) -> Option<String> {
    let query = request.uri().query().unwrap_or_default().as_bytes();
    let kind = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_form = kind.map(|it| it.starts_with(b"application/x-www-form-urlencoded"));
    let body: &[u8] = if is_form == Some(false) { &[] } else { request.body() };
    let mut pairs = form_urlencoded::parse(query).chain(form_urlencoded::parse(body));
    let action = pairs.find(|(name, _)| name == "Action").map(|(_, action)| action.into_owned());
    action.or_else(|| is_form.filter(|it| *it).map(|_| String::new()))
}

/// How the services answer whose operations are paths: three of them in XML (botocore's models of
/// the protocol `rest-xml`), of which S3's errors alone have no envelope.
fn of_rest(signed: Option<&str>) -> Form<'static> {
    match signed {
        Some("s3") => Form::S3,
        Some("cloudfront" | "route53") => Form::Query { namespace: None },
        _ => Form::RestJson,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{super::testing::TestCloud, *};

    fn request(head: &[(&str, &str)], uri: &str, service: &str, body: &str) -> Request {
        let scope = format!("20261102/us-east-1/{service}/aws4_request");
        let credential = format!("AWS4-HMAC-SHA256 Credential=any/{scope}");
        let request = http::Request::post(uri).header("authorization", credential);
        let request =
            head.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(Bytes::from(body.to_owned())).unwrap()
    }

    fn answer(request: &Request) -> (u16, String, Bytes) {
        let response = super::super::answer(&TestCloud::new(8).shared, request).response;
        let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
        (response.status().as_u16(), kind, response.into_body())
    }

    fn text(body: &Bytes) -> &str {
        std::str::from_utf8(body).unwrap()
    }

    #[test]
    fn a_service_of_json_answers_in_the_version_that_it_is_asked_in() {
        for version in ["application/x-amz-json-1.0", "application/x-amz-json-1.1"] {
            let head =
                [("x-amz-target", "DynamoDB_20120810.ListTables"), ("content-type", version)];
            let (status, kind, body) = answer(&request(&head, "/", "dynamodb", "{}"));
            assert_eq!((status, kind.as_str()), (400, version));
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["__type"], "UnknownOperationException");
            assert_eq!(body["message"], "the simulator does not serve dynamodb: ListTables");
        }
    }

    #[test]
    fn a_query_service_answers_in_xml() {
        let form = "Action=DescribeLoadBalancers&Version=2015-12-01";
        let (status, kind, body) = answer(&request(&[], "/", "elasticloadbalancing", form));
        assert_eq!((status, kind.as_str()), (400, "text/xml;charset=UTF-8"));
        assert!(text(&body).contains(
            "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code>\
             <Message>the simulator does not serve elasticloadbalancing: DescribeLoadBalancers<"
        ));
    }

    #[test]
    fn a_service_of_paths_answers_in_json_and_three_in_xml() {
        let (status, kind, body) = answer(&request(&[], "/2015-03-31/functions/", "lambda", ""));
        assert_eq!((status, kind.as_str()), (404, "application/json"));
        let body: Value = serde_json::from_slice(&body).unwrap();
        let message = "the simulator does not serve lambda: POST /2015-03-31/functions/";
        assert_eq!(body["message"], message);
        let (status, _, body) = answer(&request(&[], "/bucket/key", "s3", "Action=none"));
        assert_eq!(status, 501);
        assert!(text(&body).contains("<Error><Code>NotImplemented</Code><Message>"));
        let (_, _, body) = answer(&request(&[], "/2013-04-01/hostedzone", "route53", ""));
        assert!(text(&body).contains("<ErrorResponse><Error><Type>Sender</Type>"));
    }

    #[test]
    fn a_service_of_cbor_answers_in_cbor() {
        let path = "/service/GraniteServiceVersion20100801/operation/ListMetrics";
        let head = [("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")];
        let (status, kind, body) = answer(&request(&head, path, "monitoring", "\u{7f}"));
        assert_eq!((status, kind.as_str()), (400, "application/cbor"));
        let start = b"\xA2\x66__type\x78\x19UnknownOperationException\x67message\x78";
        assert_eq!(&body[..start.len()], start);
        assert!(body.ends_with(b"the simulator does not serve monitoring: ListMetrics"));
    }

    #[test]
    fn a_request_that_names_no_service_is_told_so() {
        let bare = http::Request::get("/").body(Bytes::new()).unwrap();
        let (status, _, body) = answer(&bare);
        assert_eq!(status, 404);
        assert!(text(&body).contains("names no service"));
        // Without a signature, a target says which it is.
        let target = "AWSEvents.ListRules";
        let bare = http::Request::post("/").header("x-amz-target", target).body(Bytes::new());
        let (_, _, body) = answer(&bare.unwrap());
        assert!(text(&body).contains("does not serve AWSEvents: ListRules"));
    }

    #[test]
    fn what_is_not_served_is_recorded_as_what_it_is() {
        let cloud = TestCloud::new(8);
        let request = request(&[], "/", "autoscaling", "Action=DescribeAutoScalingGroups");
        super::super::answer(&cloud.shared, &request);
        let calls = cloud.shared.calls();
        let call = calls.iter().next().unwrap();
        assert_eq!(
            (&*call.service, &*call.operation),
            ("autoscaling", "DescribeAutoScalingGroups")
        );
        assert_eq!((call.status, call.error.as_deref()), (Some(400), Some("InvalidAction")));
        assert!(!call.acted);
    }
}
