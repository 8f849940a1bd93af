//! Requests of HTTP/1 that another server could understand differently.

use cloud_decoder::transport::FrontSettings;

use super::support::{HELLO, RunningFront};

#[tokio::test]
async fn ambiguous_requests_are_answered_with_400_and_end_the_connection() {
    let front = RunningFront::start(&FrontSettings::default()).await;
    for request in [
        // Without a host, and with two.
        "GET /hello HTTP/1.1\r\n\r\n",
        "GET http://x/hello HTTP/1.1\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: x\r\nhost: y\r\n\r\n",
        // With two ends of the body.
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 5, 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\nhello",
        "POST /echo HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        // With lines that end with a bare LF, everywhere in a head.
        "GET /hello HTTP/1.1\nhost: x\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: x\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: x\r\n\n",
        "\nGET /hello HTTP/1.1\r\nhost: x\r\n\r\n",
        // With other spellings of a field.
        "GET /hello HTTP/1.1\r\nhost : x\r\n\r\n",
        "GET /hello HTTP/1.1\r\nhost: x\r\nx-field: a\r\n b\r\n\r\n",
    ] {
        let mut connection = front.connect().await;
        connection.send(request).await;
        let response = connection.rest().await;
        assert!(response.starts_with("HTTP/1.1 400"), "{request:?}: {response:?}");
        assert_eq!(response.matches("HTTP/1.").count(), 1, "{request:?}: {response:?}");
    }
}

#[tokio::test]
async fn every_request_of_a_connection_is_checked() {
    let front = RunningFront::start(&FrontSettings::default()).await;
    for first in [
        HELLO,
        "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 7\r\n\r\nhello\n\n",
        "POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n2;a=b\r\n\n\n\r\n0\r\n\r\n",
    ] {
        for (second, status) in [
            (HELLO, "200 OK"),
            ("GET /hello HTTP/1.1\nhost: x\r\n\r\n", "400"),
            ("GET / HTTP/1.1\r\n\r\n", "400"),
        ] {
            let mut connection = front.connect().await;
            // The third request is never answered after a refusal, and ends the connection otherwise.
            let last = "GET /hello HTTP/1.0\r\n\r\n";
            connection.send(&format!("{first}{second}{last}")).await;
            let response = connection.rest().await;
            let statuses: Vec<&str> =
                response.split("HTTP/1.").skip(1).filter_map(|part| part.lines().next()?.get(2..)).collect();
            let (expected_count, refused) = if status == "400" { (2, true) } else { (3, false) };
            assert_eq!(statuses.len(), expected_count, "{first:?} {second:?}: {response}");
            assert!(statuses[0].starts_with("200 OK"), "{first:?} {second:?}: {response}");
            assert_eq!(statuses[1].starts_with("400"), refused, "{first:?} {second:?}: {response}");
        }
    }
}

#[tokio::test]
async fn a_request_in_single_bytes_is_read_like_a_whole_one() {
    let front = RunningFront::start(&FrontSettings::default()).await;
    for (request, status) in [
        ("POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n\n\n", "200"),
        ("GET /hello HTTP/1.0\r\n\r\n", "200"),
        ("GET /hello HTTP/1.1\r\nhost: x\n", "400"),
    ] {
        let mut connection = front.connect().await;
        connection.0.set_nodelay(true).unwrap();
        for index in 0..request.len() {
            connection.send(&request[index..=index]).await;
        }
        let response = connection.rest().await;
        assert!(response.get(9..).is_some_and(|rest| rest.starts_with(status)), "{request:?}: {response:?}");
    }
}
