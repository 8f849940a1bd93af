use super::Settings;

impl Settings {
    /// Returns whether the separate address of the metrics needs a key: if everything else does, and if the address can
    /// be reached from other machines, unless the operator has opened it.
    pub(crate) fn metrics_need_key(&self) -> bool {
        let is_remote = self.metrics_listen.is_some_and(|address| !address.ip().to_canonical().is_loopback());
        is_remote && self.front.api_keys.is_some() && !self.metrics_open
    }

    /// Returns a warning if the separate address of the metrics needs a key, which a Prometheus without one must learn.
    pub(crate) fn metrics_warning(&self) -> Option<String> {
        let address = self.metrics_listen.filter(|_| self.metrics_need_key())?;
        Some(format!(
            "metrics at {address} can be reached from other machines and need an API key with the scope \"metrics\": \
             give one to Prometheus (authorization: credentials_file), or set metrics_open = true (--metrics-open) to \
             serve them to everyone"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ServeArgs;

    #[test]
    fn only_a_remote_address_that_is_not_opened_needs_a_key() {
        for (text, expected) in [
            ("metrics_listen = '0.0.0.0:1'", false),
            ("api_keys = 'keys'", false),
            ("api_keys = 'keys'\nmetrics_listen = '127.0.0.1:1'", false),
            ("api_keys = 'keys'\nmetrics_listen = '127.8.9.1:1'", false),
            ("api_keys = 'keys'\nmetrics_listen = '[::1]:1'", false),
            ("api_keys = 'keys'\nmetrics_listen = '[::ffff:127.0.0.1]:1'", false),
            ("api_keys = 'keys'\nmetrics_listen = '0.0.0.0:1'", true),
            ("api_keys = 'keys'\nmetrics_listen = '[::]:1'", true),
            ("api_keys = 'keys'\nmetrics_listen = '10.0.0.7:1'", true),
            ("api_keys = 'keys'\nmetrics_listen = '10.0.0.7:1'\nmetrics_open = true", false),
        ] {
            let args: ServeArgs = toml::from_str(&format!("bundles = ['a']\n{text}")).unwrap();
            let settings = Settings::merge(args).unwrap();
            assert_eq!(settings.metrics_need_key(), expected, "{text}");
            assert_eq!(settings.metrics_warning().is_some(), expected, "{text}");
        }
    }
}
