use std::time::Duration;

use super::server::ServeArgs;
use crate::{StartError, transport::FrontSettings};

/// Returns the settings of the layer before the router: the options over the defaults.
///
/// # Errors
/// [`StartError::IncompleteTls`], [`StartError::InvalidSetting`].
pub(super) fn resolve_front(args: &ServeArgs) -> Result<FrontSettings, StartError> {
    let default = FrontSettings::default();
    Ok(FrontSettings {
        limits: args.connections.resolve()?,
        tls: args.tls.resolve()?,
        api_keys: args.api_keys.clone(),
        reload_interval: args
            .reload_seconds
            .map_or(default.reload_interval, |seconds| Duration::from_secs(seconds.get().into())),
        drain_wait: args
            .drain_wait_seconds
            .map_or(default.drain_wait, |seconds| Duration::from_secs(seconds.into())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_win_over_the_defaults() {
        assert_eq!(resolve_front(&ServeArgs::default()).unwrap(), FrontSettings::default());
        let args = "api_keys = 'keys'\nreload_seconds = 7\ndrain_wait_seconds = 9";
        let expected = FrontSettings {
            api_keys: Some("keys".into()),
            reload_interval: Duration::from_secs(7),
            drain_wait: Duration::from_secs(9),
            ..FrontSettings::default()
        };
        assert_eq!(resolve_front(&toml::from_str(args).unwrap()).unwrap(), expected);
    }
}
