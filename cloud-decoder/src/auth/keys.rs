//! The API keys of a server, and the decision whether a request is admitted.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{
    Denial, Scope,
    device_patterns::DevicePatterns,
    usage::{CurrentTime, KeyLimits, KeyUsage},
};

/// Maximum number of keys that a warning names.
const MAX_NAMED_KEYS: usize = 5;

/// The SHA-256 digest of a key.
pub(super) type KeyDigest = [u8; 32];

/// All API keys of a server.
#[derive(Debug)]
pub(crate) struct ApiKeys {
    keys: Vec<ApiKey>,
    /// Positions in `keys`, for digests of keys that were admitted before.
    positions: HashMap<KeyDigest, usize>,
}

/// One API key.
#[derive(Debug, Clone)]
pub(super) struct ApiKey {
    pub(super) name: Arc<str>,
    pub(super) digest: KeyDigest,
    pub(super) scopes: Vec<Scope>,
    /// The devices that the key may speak for; `None` is any device.
    pub(super) devices: Option<Arc<DevicePatterns>>,
    pub(super) limits: KeyLimits,
    /// Multiply-accumulates per minute that the requests may cost, in units of 10⁹; `None` is unlimited.
    pub(super) gmacs_per_minute: Option<f64>,
    pub(super) expires: Option<SystemTime>,
    pub(super) disabled: bool,
    pub(super) usage: Arc<KeyUsage>,
}

/// The name of a request's key, in the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(pub Arc<str>);

impl ApiKey {
    /// Returns whether the key is neither disabled nor expired.
    pub(super) fn is_active(&self, now: SystemTime) -> bool {
        !self.disabled && self.expires.is_none_or(|expires| now < expires)
    }

    /// Returns whether the key may upload as any device.
    fn is_unrestricted(&self, now: SystemTime) -> bool {
        self.devices.is_none() && self.scopes.contains(&Scope::Ingest) && self.is_active(now)
    }
}

impl ApiKeys {
    pub(super) fn new(keys: Vec<ApiKey>) -> Self {
        let positions = keys.iter().enumerate().map(|(position, key)| (key.digest, position)).collect();
        Self { keys, positions }
    }

    /// Returns all keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = &ApiKey> {
        self.keys.iter()
    }

    /// Returns the number of keys.
    pub(crate) fn count(&self) -> usize {
        self.keys.len()
    }

    /// Returns the names of the keys of `previous` that were active and are not any more.
    pub(super) fn revoked_since<'a>(&self, previous: &'a Self) -> Vec<&'a str> {
        let now = SystemTime::now();
        let active = previous.keys.iter().filter(|key| key.is_active(now));
        let revoked =
            active.filter(|key| self.find_by_digest(&key.digest).is_none_or(|key| !key.is_active(now)));
        revoked.map(|key| &*key.name).collect()
    }

    /// Returns the same keys, all disabled. Their usage of the limits is kept for the time when they are back.
    pub(super) fn to_disabled(&self) -> Self {
        Self::new(self.keys.iter().map(|key| ApiKey { disabled: true, ..key.clone() }).collect())
    }

    /// Takes over the usage of the limits from the keys with the same digests.
    pub(super) fn keep_usage_of(&mut self, previous: &Self) {
        for key in &mut self.keys {
            if let Some(previous) = previous.find_by_digest(&key.digest) {
                key.usage = Arc::clone(&previous.usage);
            }
        }
    }

    /// Admits a request and counts it, or returns the reason for the refusal. The scope and the limits are
    /// revealed only to clients with a known key.
    pub(super) fn admit(
        &self,
        presented: Option<&[u8]>,
        scope: Scope,
        now: CurrentTime,
    ) -> Result<&ApiKey, Denial> {
        let key = self.find_key(presented.ok_or(Denial::Missing)?).ok_or(Denial::Unknown)?;
        if !key.is_active(now.date) {
            return Err(Denial::Inactive);
        }
        if !key.scopes.contains(&scope) {
            return Err(Denial::MissingScope(scope));
        }
        key.usage.count_request(&key.limits, now)?;
        Ok(key)
    }

    /// Returns the key with this digest, which must be that of a key that was admitted before: the time of the
    /// search depends on it.
    pub(super) fn find_by_digest(&self, digest: &KeyDigest) -> Option<&ApiKey> {
        self.positions.get(digest).map(|&position| &self.keys[position])
    }

    /// Returns a warning about keys that may upload as any device; `None` if there are none.
    pub(crate) fn unrestricted_warning(&self) -> Option<String> {
        let now = SystemTime::now();
        let unrestricted = self.keys.iter().filter(|key| key.is_unrestricted(now));
        let names: Vec<&str> = unrestricted.map(|key| &*key.name).collect();
        let named = names.iter().take(MAX_NAMED_KEYS).map(|name| format!("{name:?}"));
        let named = named.collect::<Vec<_>>().join(", ");
        let more = match names.len().saturating_sub(MAX_NAMED_KEYS) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!names.is_empty()).then(|| {
            format!(
                "keys with the scope \"ingest\" and without devices may upload as any device: {named}{more}; add \
                 devices = [\"NAME\"] to each of them"
            )
        })
    }

    /// Compares the digest with every key; the time does not depend on whether and where one matches.
    fn find_key(&self, presented: &[u8]) -> Option<&ApiKey> {
        let digest: KeyDigest = Sha256::digest(presented).into();
        self.keys
            .iter()
            .fold(None, |found, key| if bool::from(key.digest.ct_eq(&digest)) { Some(key) } else { found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{GeneratedKey, file::parse_keys, generate_key};

    fn load(generated: &GeneratedKey, more: &str) -> ApiKeys {
        parse_keys(&format!("{}{more}", generated.toml)).unwrap()
    }

    fn admit(keys: &ApiKeys, key: &str, scope: Scope) -> Result<Arc<str>, Denial> {
        keys.admit(Some(key.as_bytes()), scope, CurrentTime::read()).map(|key| Arc::clone(&key.name))
    }

    #[test]
    fn keys_are_found_by_their_digest_and_refused_after_their_end() {
        let generated = generate_key("line-3", &[Scope::Infer, Scope::Metrics]).unwrap();
        let keys = load(&generated, "");
        assert_eq!(admit(&keys, &generated.key, Scope::Metrics), Ok("line-3".into()));
        assert_eq!(admit(&keys, &generated.key, Scope::Admin), Err(Denial::MissingScope(Scope::Admin)));
        assert_eq!(admit(&keys, &generated.sha256, Scope::Infer), Err(Denial::Unknown));
        assert!(matches!(keys.admit(None, Scope::Infer, CurrentTime::read()), Err(Denial::Missing)));
        for inactive in ["disabled = true", "expires = 2020-01-01"] {
            let found = admit(&load(&generated, inactive), &generated.key, Scope::Infer);
            assert_eq!(found, Err(Denial::Inactive), "{inactive}");
        }
        assert!(admit(&load(&generated, "expires = 9999-01-01"), &generated.key, Scope::Infer).is_ok());
        assert_eq!(admit(&keys.to_disabled(), &generated.key, Scope::Infer), Err(Denial::Inactive));
    }

    #[test]
    fn usage_survives_a_time_without_keys() {
        let generated = generate_key("line-3", &[Scope::Infer]).unwrap();
        let first = load(&generated, "requests_per_day = 1");
        assert!(admit(&first, &generated.key, Scope::Infer).is_ok());
        let mut again = load(&generated, "requests_per_day = 1");
        again.keep_usage_of(&first.to_disabled());
        let found = admit(&again, &generated.key, Scope::Infer);
        assert!(matches!(found, Err(Denial::QuotaExceeded(_))), "{found:?}");
    }

    #[test]
    fn removed_and_disabled_keys_are_revoked() {
        let [kept, removed, disabled] =
            ["kept", "removed", "disabled"].map(|name| generate_key(name, &[Scope::Infer]).unwrap().toml);
        let before = parse_keys(&format!("{kept}{removed}{disabled}")).unwrap();
        let after = parse_keys(&format!("{kept}{disabled}disabled = true")).unwrap();
        assert_eq!(after.revoked_since(&before), ["removed", "disabled"]);
        assert!(before.revoked_since(&after).is_empty());
    }

    #[test]
    fn only_active_ingest_keys_without_devices_are_warned_about() {
        let ingest = |name: &str| generate_key(name, &[Scope::Ingest]).unwrap().toml;
        let reader = generate_key("reader", &[Scope::Infer]).unwrap().toml;
        let limited = format!("{}devices = ['gate-*']\n", ingest("limited"));
        let disabled = format!("{}disabled = true\n", ingest("disabled"));
        let harmless = format!("{reader}{limited}{disabled}");
        assert_eq!(parse_keys(&harmless).unwrap().unrestricted_warning(), None);
        let open: String = (0..7).map(|number| ingest(&format!("open-{number}"))).collect();
        let warning = parse_keys(&format!("{harmless}{open}")).unwrap().unrestricted_warning().unwrap();
        assert!(warning.contains("\"open-0\"") && warning.contains("\"open-4\" and 2 more"), "{warning}");
        assert!(!warning.contains("limited\"") && !warning.contains("disabled\""), "{warning}");
    }
}
