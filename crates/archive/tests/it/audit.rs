//! The audit log: rows are added to a chain, listed in pages, and checked.

use std::path::Path;

use lopside_archive::{Archive, ArchiveError, AuditEvent, AuditFault};
use sqlx::{Connection as _, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::task::JoinSet;

use crate::{batch, open, sqlite_file::file};

fn event(subject: &str) -> AuditEvent {
    AuditEvent {
        actor: "line-3".to_owned(),
        certificate: Some("CN=line-3".to_owned()),
        peer: None,
        request_id: Some("0af7651916cd43dd".to_owned()),
        action: "bundle.load".to_owned(),
        subject: subject.to_owned(),
        outcome: "done".to_owned(),
    }
}

/// Adds events with these subjects.
async fn append(archive: &Archive, subjects: &[&str]) {
    for subject in subjects {
        archive.append_audit(&event(subject)).await.unwrap();
    }
}

/// Executes statements past the archive, as someone with access to the database can.
async fn tamper(url: &str, statements: &[&'static str]) {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let options = SqliteConnectOptions::new().filename(path);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        for trigger in ["DROP TRIGGER IF EXISTS audit_update", "DROP TRIGGER IF EXISTS audit_delete"] {
            sqlx::query(trigger).execute(&mut connection).await.unwrap();
        }
        for statement in statements {
            sqlx::query(*statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    } else {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query("DROP TRIGGER IF EXISTS audit_change ON audit").execute(&mut connection).await.unwrap();
        for statement in statements {
            sqlx::query(*statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
    }
}

async fn fault(url: &str) -> Option<AuditFault> {
    Archive::verify_audit(url).await.unwrap().fault
}

pub(crate) async fn audit_entries_come_back_in_pages_as_they_were_added(url: &str) {
    let archive = open(url).await;
    assert_eq!(archive.list_audit(10, None).await.unwrap().entries, []);
    let mut added = Vec::new();
    for subject in ["a", "b", "c", "d", "e"] {
        added.push(archive.append_audit(&event(subject)).await.unwrap());
    }
    added.reverse();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = archive.list_audit(2, after).await.unwrap();
        listed.extend(page.entries);
        // An entry that is added meanwhile does not move others to another page.
        append(&archive, &["late"]).await;
        let Some(next) = page.next else { break };
        after = Some(next.to_string().parse().unwrap());
    }
    assert_eq!(listed, added);
    assert_eq!(added[0].event, event("e"));
    assert_eq!(added.iter().map(|entry| entry.number).collect::<Vec<_>>(), [5, 4, 3, 2, 1]);
    assert_eq!(fault(url).await, None);
}

pub(crate) async fn two_servers_add_to_one_chain(url: &str) {
    let servers = [open(url).await, open(url).await];
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let server = servers[number % 2].clone();
        calls.spawn(async move { server.append_audit(&event("fashion")).await.unwrap().number });
    }
    let mut numbers = calls.join_all().await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    let report = Archive::verify_audit(url).await.unwrap();
    assert_eq!((report.rows, report.fault), (20, None));
    let newest = servers[0].list_audit(1, None).await.unwrap().entries.remove(0);
    assert_eq!(report.hash, newest.hash);
}

pub(crate) async fn a_row_of_the_audit_log_cannot_be_changed(url: &str) {
    let archive = open(url).await;
    append(&archive, &["a", "b"]).await;
    let statements = ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"];
    for statement in statements {
        let result = if let Some(path) = url.strip_prefix("sqlite:") {
            let options = SqliteConnectOptions::new().filename(path);
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            sqlx::query(statement).execute(&mut connection).await.map(drop)
        } else {
            let mut connection = PgConnection::connect(url).await.unwrap();
            sqlx::query(statement).execute(&mut connection).await.map(drop)
        };
        assert!(result.unwrap_err().to_string().contains("never"), "{statement}");
    }
    assert_eq!(fault(url).await, None);
}

pub(crate) async fn changed_rows_of_the_audit_log_are_named(url: &str) {
    let archive = open(url).await;
    append(&archive, &["a", "b", "c", "d"]).await;
    for (statements, expected) in [
        (&["UPDATE audit SET subject = 'x' WHERE number = 2"][..], AuditFault::Altered { number: 2 }),
        (
            &["UPDATE audit SET subject = 'b' WHERE number = 2", "DELETE FROM audit WHERE number = 3"],
            AuditFault::Missing { number: 3 },
        ),
        (&["UPDATE audit SET number = 3 WHERE number = 4"], AuditFault::Altered { number: 3 }),
        (&["DELETE FROM audit WHERE number > 1"], AuditFault::Missing { number: 2 }),
    ] {
        tamper(url, statements).await;
        assert_eq!(fault(url).await, Some(expected));
    }
}

pub(crate) async fn a_row_that_was_added_past_the_server_is_named(url: &str) {
    let archive = open(url).await;
    append(&archive, &["a", "b"]).await;
    tamper(
        url,
        &["INSERT INTO audit (number, time_us, actor, action, subject, outcome, hash) \
           SELECT 3, time_us, actor, action, subject, outcome, hash FROM audit WHERE number = 2"],
    )
    .await;
    assert_eq!(fault(url).await, Some(AuditFault::Altered { number: 3 }));
}

pub(crate) async fn an_audit_text_that_the_database_cannot_store_is_stored_in_part(url: &str) {
    let archive = open(url).await;
    append(&archive, &["a\0b", &"é".repeat(10_000)]).await;
    let entries = archive.list_audit(10, None).await.unwrap().entries;
    assert_eq!(entries[1].event.subject, "a\u{fffd}b");
    assert_eq!(entries[0].event.subject, "é".repeat(512));
    assert_eq!(fault(url).await, None);
}

#[tokio::test]
async fn a_check_of_the_audit_log_neither_creates_nor_changes_an_archive() {
    let (folder, path, url) = file();
    let missing = Archive::verify_audit(&url).await.unwrap_err();
    assert!(matches!(missing, ArchiveError::Unreachable { .. }), "{missing}");
    assert!(!path.exists());
    let archive = open(&url).await;
    append(&archive, &["a"]).await;
    archive.apply(batch("gate", 1, 1)).await.unwrap();
    let generation = archive.identity().generation;
    assert_eq!(Archive::verify_audit(&url).await.unwrap().rows, 1, "while a server uses it");
    archive.close().await;
    assert_eq!(Archive::verify_audit(&url).await.unwrap().rows, 1);
    assert_eq!(open(&url).await.identity().generation, generation + 1);
    let other = folder.path().join("other.db");
    create_empty_database(&other).await;
    let error = Archive::verify_audit(&other.display().to_string()).await.unwrap_err();
    assert!(error.to_string().contains("verify its audit log"), "{error}");
}

async fn create_empty_database(path: &Path) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query("CREATE TABLE something (id INTEGER)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}
