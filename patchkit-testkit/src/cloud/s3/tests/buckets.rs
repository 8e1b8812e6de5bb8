use super::{BUCKET, element, options, raw, start, status};

#[tokio::test]
async fn a_bucket_is_where_it_was_made() {
    let server = start(options()).await;
    let made = |bucket: &'static str, region: &'static str| {
        let body = format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
             </CreateBucketConfiguration>"
        );
        let server = &server;
        async move { raw(server, "PUT", &format!("/{bucket}"), &body).await }
    };
    for (bucket, constraint, region) in
        [("of-dublin", "eu-west-1", "eu-west-1"), ("of-old", "EU", "eu-west-1")]
    {
        assert_eq!(status(&made(bucket, constraint).await), "200");
        let told = raw(&server, "GET", &format!("/{bucket}?location"), "").await;
        assert!(told.contains(&format!(">{constraint}</LocationConstraint>")), "{told}");
        let head = raw(&server, "HEAD", &format!("/{bucket}"), "").await;
        assert!(head.contains(&format!("x-amz-bucket-region: {region}\r\n")), "{head}");
    }
    let usual = raw(&server, "HEAD", &format!("/{BUCKET}"), "").await;
    assert!(usual.contains("x-amz-bucket-region: us-east-1"), "{usual}");
    for wrong in ["us-east-1", "nowhere"] {
        let refused = made("of-none", wrong).await;
        assert_eq!(element(&refused, "Code").as_deref(), Some("InvalidLocationConstraint"));
    }
    assert_eq!(status(&raw(&server, "DELETE", "/of-dublin", "").await), "204");
    assert_eq!(status(&raw(&server, "PUT", "/of-dublin", "").await), "200");
    let told = raw(&server, "GET", "/of-dublin?location", "").await;
    assert!(!told.contains("eu-west-1"), "{told}");
}

#[tokio::test]
async fn a_token_that_no_page_gave_is_refused() {
    let server = start(options()).await;
    for key in ["a", "b ü", "c"] {
        server.writer().put(BUCKET, key, b"x").unwrap();
    }
    let list =
        async |more: &str| raw(&server, "GET", &format!("/{BUCKET}?list-type=2{more}"), "").await;
    let token = |page: &str| element(page, "NextContinuationToken").unwrap_or_default();
    let first = list("&max-keys=1").await;
    let second = list(&format!("&max-keys=1&continuation-token={}", token(&first))).await;
    assert_eq!(element(&second, "Key").as_deref(), Some("b ü"));
    let third = list(&format!("&continuation-token={}&start-after=a", token(&second))).await;
    assert_eq!(element(&third, "Key").as_deref(), Some("c"));
    for wrong in ["a", "YQ", "not%20a%20token", ""] {
        let answer = list(&format!("&continuation-token={wrong}")).await;
        assert_eq!(status(&answer), "400", "{answer}");
        assert_eq!(element(&answer, "Code").as_deref(), Some("InvalidArgument"));
    }
    let target = format!("/{BUCKET}?encoding-type=url&max-keys=2");
    let marked = raw(&server, "GET", &target, "").await;
    assert_eq!(element(&marked, "NextMarker").as_deref(), Some("b%20%C3%BC"), "{marked}");
}
