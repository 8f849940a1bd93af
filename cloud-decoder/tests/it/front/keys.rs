//! API keys in front of a small router with REST and gRPC, and of the whole server.

use std::{fs, time::Duration};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use cloud_decoder::{
    auth::{GeneratedKey, KeyFileFault, KeyFileState, Scope, generate_key},
    transport::{FrontEvent, FrontSettings},
};
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{
    protected::{ProtectedRouter, infer},
    service,
};

#[tokio::test]
async fn without_a_valid_key_only_health_checks_are_answered() {
    let key = infer("line-3");
    let protected = ProtectedRouter::new(&key.toml);
    let (status, headers, body) =
        protected.send(Request::get("/v1/bundles").body(Body::empty()).unwrap()).await;
    assert_eq!(
        (status, &headers["www-authenticate"]),
        (StatusCode::UNAUTHORIZED, &"Bearer realm=\"cloud-decoder\"".parse().unwrap())
    );
    assert!(body.contains("\"error\"") && body.contains("x-api-key"), "{body}");
    let (status, headers, _) = protected.get("/v1/bundles", "lps_guessed").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(headers["www-authenticate"].to_str().unwrap().contains("invalid_token"));
    assert_eq!(protected.stats.snapshot().count_of(FrontEvent::Unauthenticated), 2);

    let (status, _, body) = protected.get("/v1/bundles", &key.key).await;
    assert_eq!((status, &body[..]), (StatusCode::OK, "line-3"), "handlers receive the name of the key");
    let request = Request::get("/v1/bundles").header("x-api-key", &key.key).body(Body::empty()).unwrap();
    assert_eq!(protected.send(request).await.0, StatusCode::OK);
    assert_eq!(protected.send(Request::get("/healthz").body(Body::empty()).unwrap()).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_key_is_limited_to_its_scopes() {
    let (reader, operator) =
        (infer("reader"), generate_key("operator", &[Scope::Admin, Scope::Metrics]).unwrap());
    let protected = ProtectedRouter::new(&format!("{}{}", reader.toml, operator.toml));
    let load = |key: &str| {
        let request = Request::post("/v2/repository/models/a/load").header("x-api-key", key);
        protected.send(request.body(Body::empty()).unwrap())
    };
    let (status, headers, body) = load(&reader.key).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(headers["www-authenticate"].to_str().unwrap().contains("scope=\"admin\""));
    assert!(body.contains("admin"), "{body}");
    assert_eq!(load(&operator.key).await.0, StatusCode::OK);
    assert_eq!(protected.get("/metrics", &reader.key).await.0, StatusCode::FORBIDDEN);
    assert_eq!(protected.get("/metrics", &operator.key).await.0, StatusCode::OK);
    assert_eq!(protected.get("/v1/bundles", &operator.key).await.0, StatusCode::FORBIDDEN);
    // A route that does not declare its access is for administrators.
    assert_eq!(protected.get("/forgotten", &reader.key).await.0, StatusCode::FORBIDDEN);
    assert_eq!(protected.get("/forgotten", &operator.key).await.0, StatusCode::OK);
    assert_eq!(protected.stats.snapshot().count_of(FrontEvent::Forbidden), 4);
}

#[tokio::test]
async fn grpc_clients_receive_the_same_refusals_as_status_codes() {
    let key = infer("line-3");
    let protected = ProtectedRouter::new(&format!("{}requests_per_day = 1", key.toml));
    let health = "/grpc.health.v1.Health/Check";
    // The service reports that the message is missing, so the request reached it.
    assert_ne!(protected.grpc(health, None).await.code(), Code::Unauthenticated);
    let decode = "/lopside.v1.DecoderService/Decode";
    assert_eq!(protected.grpc(decode, None).await.code(), Code::Unauthenticated);
    assert_eq!(protected.grpc(decode, Some("wrong")).await.code(), Code::Unauthenticated);
    let load = "/inference.GRPCInferenceService/RepositoryModelLoad";
    assert_eq!(protected.grpc(load, Some(&key.key)).await.code(), Code::PermissionDenied);
    assert_eq!(
        protected.grpc(decode, Some(&key.key)).await.code(),
        Code::Unimplemented,
        "the request reached the router"
    );
    let status = protected.grpc(decode, Some(&key.key)).await;
    assert_eq!(status.code(), Code::ResourceExhausted);
    let delay = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    let pushback: u128 =
        status.metadata().get("grpc-retry-pushback-ms").unwrap().to_str().unwrap().parse().unwrap();
    assert_eq!(delay.as_millis(), pushback);
    assert!(delay <= Duration::from_hours(24));
}

#[tokio::test]
async fn a_key_over_its_rate_or_daily_quota_receives_a_retry_time() {
    let (fast, daily) = (infer("fast"), infer("daily"));
    let protected = ProtectedRouter::new(&format!(
        "{}requests_per_second = 0.001\nburst = 2\n{}requests_per_day = 2\n",
        fast.toml, daily.toml
    ));
    for (key, event) in [(&fast.key, FrontEvent::RateLimited), (&daily.key, FrontEvent::QuotaExceeded)] {
        for _ in 0..2 {
            assert_eq!(protected.get("/v1/bundles", key).await.0, StatusCode::OK);
        }
        let (status, headers, _) = protected.get("/v1/bundles", key).await;
        assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
        assert!(headers["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
        assert_eq!(protected.stats.snapshot().count_of(event), 1);
    }
}

#[tokio::test]
async fn a_changed_key_file_is_used_and_an_invalid_one_is_not() {
    let (old, new) = (infer("old"), infer("new"));
    let limited = |key: &GeneratedKey| format!("{}requests_per_day = 2\n", key.toml);
    let protected = ProtectedRouter::new(&limited(&old));
    let mut reloads = protected.stats.subscribe_reloads();
    assert_eq!(protected.get("/v1/bundles", &old.key).await.0, StatusCode::OK);

    protected.write("[[key]]\nname = 'half");
    reloads.wait_for(|reloads| reloads.failed == 1).await.unwrap();
    assert_eq!(protected.get("/v1/bundles", &old.key).await.0, StatusCode::OK, "the old file remains in use");

    protected.write(&format!("{}{}", limited(&old), new.toml));
    reloads.wait_for(|reloads| reloads.done == 1).await.unwrap();
    assert_eq!(protected.get("/v1/bundles", &new.key).await.0, StatusCode::OK);
    assert_eq!(
        protected.get("/v1/bundles", &old.key).await.0,
        StatusCode::TOO_MANY_REQUESTS,
        "the usage of a key survives a reload"
    );

    protected.write(&new.toml);
    reloads.wait_for(|reloads| reloads.done == 2).await.unwrap();
    assert_eq!(protected.get("/v1/bundles", &old.key).await.0, StatusCode::UNAUTHORIZED);
}

/// A change of the key file.
type Change = fn(&ProtectedRouter);

#[tokio::test]
async fn a_file_that_is_missing_or_without_keys_revokes_all_of_them() {
    let key = infer("line-3");
    let protected = ProtectedRouter::new(&key.toml);
    let mut reloads = protected.stats.subscribe_reloads();
    let state = protected.authenticator.key_file_state().unwrap();
    assert_eq!(*state.borrow(), KeyFileState { accepts_keys: true, fault: None });
    let losses: [(&str, Change); 3] = [
        ("empty", |protected| protected.write("# all keys revoked\n")),
        ("missing", |protected| fs::remove_file(&protected.path).unwrap()),
        ("a folder", |protected| {
            fs::remove_file(&protected.path).unwrap();
            fs::create_dir(&protected.path).unwrap();
        }),
    ];
    for (round, (loss, lose)) in (1..).zip(losses) {
        assert_eq!(protected.get("/v1/bundles", &key.key).await.0, StatusCode::OK);
        let failed = reloads.borrow_and_update().failed;
        lose(&protected);
        reloads.wait_for(|reloads| reloads.failed > failed).await.unwrap();
        assert_eq!(protected.get("/v1/bundles", &key.key).await.0, StatusCode::UNAUTHORIZED, "{loss}");
        let current = state.borrow().clone();
        assert!(!current.accepts_keys && current.fault.is_some(), "{loss}: {current:?}");

        if protected.path.is_dir() {
            fs::remove_dir(&protected.path).unwrap();
        }
        protected.write(&key.toml);
        reloads.wait_for(|reloads| reloads.done == round).await.unwrap();
        assert_eq!(*state.borrow(), KeyFileState { accepts_keys: true, fault: None });
    }
    assert_eq!(protected.get("/v1/bundles", &key.key).await.0, StatusCode::OK);
}

#[tokio::test]
async fn an_invalid_file_does_not_bring_back_keys_that_were_revoked() {
    let key = infer("line-3");
    let protected = ProtectedRouter::new(&key.toml);
    let mut reloads = protected.stats.subscribe_reloads();
    protected.write("");
    reloads.wait_for(|reloads| reloads.failed == 1).await.unwrap();
    protected.write("[[key]]\nname = 'half");
    reloads.wait_for(|reloads| reloads.failed == 2).await.unwrap();
    assert_eq!(protected.get("/v1/bundles", &key.key).await.0, StatusCode::UNAUTHORIZED);
    let state = protected.authenticator.key_file_state().unwrap().borrow().clone();
    assert!(!state.accepts_keys && matches!(state.fault, Some(KeyFileFault::Invalid(_))), "{state:?}");
}

#[tokio::test]
async fn the_whole_server_is_protected_by_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys.toml");
    let key = infer("line-3");
    fs::write(&path, &key.toml).unwrap();
    let server = service::start(FrontSettings { api_keys: Some(path), ..FrontSettings::default() }).await;
    let url = server.url().to_owned();
    tokio::spawn(server.run_until(std::future::pending()));
    assert_eq!(service::status(&url, "/v1/bundles").await, 401);
    assert_eq!(service::status(&url, "/nowhere").await, 401);
    assert_eq!(service::status(&url, "/readyz").await, 200);
    let mut client = service::decoder_client(&url).await;
    let list_request = |key: Option<&str>| {
        let mut request = tonic::Request::new(lopside_proto::v1::ListBundlesRequest {});
        if let Some(key) = key {
            request.metadata_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        request
    };
    assert_eq!(client.list_bundles(list_request(None)).await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(
        client.list_bundles(list_request(Some(&key.key))).await.unwrap().into_inner().bundles.len(),
        1
    );
}
