//! The tasks of a server that follow files and folders while it runs.

use std::sync::Arc;

use lopside_decoder::Registry;

use crate::{
    Settings,
    audit::{AuditLog, follow_certificate, follow_channels, follow_keys},
    auth::Authenticator,
    channels::Channels,
    folder_watch::watch_folders,
    health::{Component, HealthState, follow_key_file},
    transport::FrontStats,
};

/// The parts of a server whose files are followed.
pub(crate) struct FollowedParts<'a> {
    pub(crate) registry: &'a Arc<Registry>,
    pub(crate) authenticator: &'a Authenticator,
    pub(crate) channels: &'a Channels,
    pub(crate) stats: &'a FrontStats,
    pub(crate) audit: &'a AuditLog,
    pub(crate) health: &'a HealthState,
}

impl FollowedParts<'_> {
    /// Spawns the tasks, which end when the server begins to stop.
    pub(crate) fn follow(&self, settings: &Settings) {
        let Self { registry, health, audit, .. } = *self;
        if let Some(every) = settings.watch_interval {
            let watching = watch_folders(Arc::downgrade(registry), every, audit.clone(), health.clone());
            health.supervise_until_stop(Component::Folders, watching);
        }
        if let Some(state) = self.authenticator.key_file_state() {
            health.supervise_until_stop(Component::Keys, follow_key_file(state, health.clone()));
        }
        self.audit_files(settings);
    }

    /// Adds the changes of files to the audit log.
    fn audit_files(&self, settings: &Settings) {
        let Self { health, audit, .. } = *self;
        if let Some(path) = &settings.front.api_keys
            && let Some(changes) = self.authenticator.key_changes()
        {
            let following = follow_keys(audit.clone(), path.clone(), changes);
            health.supervise_until_stop(Component::Audit, following);
        }
        if let Some(path) = &settings.channels
            && let Some(file) = self.channels.file_changes()
        {
            let following = follow_channels(audit.clone(), path.clone(), file);
            health.supervise_until_stop(Component::Audit, following);
        }
        if let Some(tls) = &settings.front.tls {
            let end = self.stats.subscribe_certificate_end();
            let following = follow_certificate(audit.clone(), tls.cert.clone(), end);
            health.supervise_until_stop(Component::Audit, following);
        }
    }
}
