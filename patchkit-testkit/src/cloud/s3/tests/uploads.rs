use super::{BUCKET, S3Server, body, element, get, options, raw, start, status, with_headers};

const LARGE: usize = 5 << 20;

/// Begins the upload of an object; its id.
async fn begin(server: &S3Server, key: &str) -> String {
    let answer = raw(server, "POST", &format!("/{BUCKET}/{key}?uploads"), "").await;
    element(&answer, "UploadId").unwrap()
}

/// Uploads a part; its tag.
async fn put(server: &S3Server, target: &str, content: &str) -> String {
    let answer = raw(server, "PUT", target, content).await;
    assert_eq!(status(&answer), "200", "{answer}");
    let (_, tag) = answer.split_once("etag: \"").unwrap();
    tag.split('"').next().unwrap().to_owned()
}

fn list_of(parts: &[(u32, &str)]) -> String {
    let part = |(number, tag): &(u32, &str)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>\"{tag}\"</ETag></Part>")
    };
    let parts: String = parts.iter().map(part).collect();
    format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>")
}

fn code(answer: &str) -> String {
    format!("{} {}", status(answer), element(answer, "Code").unwrap_or_default())
}

#[tokio::test]
async fn an_upload_that_is_not_there_is_told_whatever_is_done_with_it() {
    let server = start(options()).await;
    let known = begin(&server, "known").await;
    assert_eq!(code(&raw(&server, "POST", "/no-bucket/a?uploads", "").await), "404 NoSuchBucket");
    let unknown = "12345678-1234-1234-1234-123456789012".to_owned();
    for (key, id) in [("a", &unknown), ("a", &"any".to_owned()), ("a", &known)] {
        let target = format!("/{BUCKET}/{key}?uploadId={id}");
        let source = format!("x-amz-copy-source: {BUCKET}/known\r\n");
        let part = format!("{target}&partNumber=1");
        let answers = [
            raw(&server, "PUT", &part, "x").await,
            with_headers(&server, "PUT", &part, &source, "").await,
            raw(&server, "GET", &target, "").await,
            raw(&server, "POST", &target, &list_of(&[(1, "x")])).await,
            raw(&server, "DELETE", &target, "").await,
        ];
        assert_eq!(answers.map(|it| code(&it)), ["404 NoSuchUpload"; 5], "{key} {id}");
    }
    let target = format!("/{BUCKET}/known?uploadId={known}");
    assert_eq!(status(&raw(&server, "DELETE", &target, "").await), "204");
    assert_eq!(code(&raw(&server, "DELETE", &target, "").await), "404 NoSuchUpload");
}

#[tokio::test]
async fn a_completion_that_is_refused_leaves_the_upload_as_it_was() {
    let server = start(options()).await;
    let id = begin(&server, "it").await;
    let target = format!("/{BUCKET}/it?uploadId={id}");
    let part = |number: u32| format!("{target}&partNumber={number}");
    let large = "l".repeat(LARGE);
    let first = put(&server, &part(2), &large).await;
    let small = put(&server, &part(4), "small").await;
    let last = put(&server, &part(7), "last").await;
    for (parts, expected) in [
        (vec![(7, &*last), (2, &*first)], "400 InvalidPartOrder"),
        (vec![(2, &*first), (2, &*first)], "400 InvalidPartOrder"),
        (vec![(2, &*first), (3, &*small)], "400 InvalidPart"),
        (vec![(2, &*first), (4, &*last)], "400 InvalidPart"),
        (vec![(2, &*first), (4, &*small), (7, &*last)], "400 EntityTooSmall"),
    ] {
        let answer = raw(&server, "POST", &target, &list_of(&parts)).await;
        assert_eq!(code(&answer), expected, "{answer}");
    }
    let listed = raw(&server, "GET", &target, "").await;
    for tag in [&first, &small, &last] {
        assert!(listed.contains(&**tag), "no {tag} in {listed}");
    }
    // A condition is looked at last, when parts have been put in line.
    server.writer().put(BUCKET, "it", b"there").unwrap();
    server.writer().put(BUCKET, "it/below", b"there too").unwrap();
    let condition = "if-none-match: *\r\n";
    for parts in [[(2, &*first), (7, &*last)], [(2, &*first), (4, &*small)]] {
        let list = list_of(&parts);
        let answer = with_headers(&server, "POST", &target, condition, &list).await;
        assert_eq!(code(&answer), "412 PreconditionFailed", "{answer}");
        let told = raw(&server, "GET", &target, "").await;
        let numbers: Vec<&str> =
            told.split("<PartNumber>").skip(1).map(|it| it.split('<').next().unwrap()).collect();
        assert_eq!(numbers, ["2", "4", "7"], "{told}");
    }
    // Numbers need not follow one another, and a part may be left out.
    let answer = raw(&server, "POST", &target, &list_of(&[(2, &first), (7, &last)])).await;
    assert_eq!(status(&answer), "200", "{answer}");
    assert_eq!(body(&get(&server, "it").await), format!("{large}last"));
    assert_eq!(code(&raw(&server, "GET", &target, "").await), "404 NoSuchUpload");
}
