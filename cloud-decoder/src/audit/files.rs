//! Changes of watched files. Their actor is `file`.

use std::{path::PathBuf, sync::Arc};

use tokio::sync::watch;

use super::{
    Actor, AuditLog, Change,
    difference::{Settings, describe_difference},
};
use crate::{
    auth::KeyFileChanges,
    channels::{Channel, ChannelFile},
};

fn file_change(action: &'static str, subject: &str) -> Change {
    Change { actor: Actor::file(), action, subject: subject.to_owned() }
}

/// Records the changes of the key file, until it is not watched any more.
pub(crate) async fn follow_keys(log: AuditLog, path: PathBuf, mut changes: KeyFileChanges) {
    let path = path.display().to_string();
    while let Some(next) = changes.next().await {
        let difference = describe_difference(&next.before, &next.after, false);
        match &next.fault {
            None => log.record_done(file_change("keys.reload", &path), &difference).await,
            Some(fault) => {
                let reason = format!("{fault}; {difference}");
                log.record_refusal(file_change("keys.reload", &path), &reason).await;
            }
        }
    }
}

/// Records the changes of the channel file, until it is not watched any more.
pub(crate) async fn follow_channels(
    log: AuditLog,
    path: PathBuf,
    mut file: watch::Receiver<Arc<ChannelFile>>,
) {
    let path = path.display().to_string();
    let mut before = channel_settings(&file.borrow_and_update());
    while file.changed().await.is_ok() {
        let after = channel_settings(&file.borrow_and_update());
        let difference = describe_difference(&before, &after, true);
        log.record_done(file_change("channels.reload", &path), &difference).await;
        before = after;
    }
}

/// Records that a certificate was replaced, until it is not watched any more. The values are the ends of its validity.
pub(crate) async fn follow_certificate(log: AuditLog, path: PathBuf, mut end: watch::Receiver<Option<i64>>) {
    let path = path.display().to_string();
    end.mark_unchanged();
    while end.changed().await.is_ok() {
        let end = *end.borrow_and_update();
        let details = end.map_or_else(
            || "the end of its validity is unknown".to_owned(),
            |seconds| format!("valid until {seconds} s after 1970"),
        );
        log.record_done(file_change("certificates.reload", &path), &details).await;
    }
}

/// Records a change of the served bundles that was found in their folders. The lists are the bundles before and after it.
pub(crate) async fn record_folders(log: &AuditLog, before: &Settings, after: &Settings) {
    let details = if before == after {
        "files of a served bundle have changed, and it was loaded again".to_owned()
    } else {
        describe_difference(before, after, false)
    };
    log.record_done(file_change("bundle.refresh", "the folders of --bundle"), &details).await;
}

/// Returns what each channel offers.
fn channel_settings(file: &ChannelFile) -> Settings {
    file.channels().map(|channel| (channel.name().to_owned(), describe_channel(channel))).collect()
}

fn describe_channel(channel: &Channel) -> String {
    match channel.bundle_and_version() {
        (bundle, Some(version)) => format!("{bundle} {version}"),
        (bundle, None) => format!("{bundle}, newest version"),
    }
}
