use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt as _,
};

/// Variables of this process that programs do not get, by the beginning of their names.
const PRIVATE_PREFIXES: [&[u8]; 5] = [
    // The settings of this process, among them the API key.
    b"LOPSIDE_",
    // Its own telemetry: headers and addresses may contain the key of a collector.
    b"OTEL_",
    // The connection to the service manager, for which a program would answer in its place: readiness, the
    // watchdog, sockets that were passed on, and memory pressure.
    b"WATCHDOG_",
    b"LISTEN_",
    b"MEMORY_PRESSURE_",
];
/// The same by their whole names: the socket of the service manager, and the folder of the service's credentials.
const PRIVATE_NAMES: [&[u8]; 2] = [b"NOTIFY_SOCKET", b"CREDENTIALS_DIRECTORY"];

/// Returns those of these variables that a program must not get.
pub(crate) fn private_names(names: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    names.filter(|name| is_private(name))
}

fn is_private(name: &OsStr) -> bool {
    let name = name.as_bytes();
    PRIVATE_NAMES.contains(&name) || PRIVATE_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_neither_keys_nor_the_service_manager() {
        let all = [
            "PATH",
            "LOPSIDE_API_KEY",
            "LOPSIDE_CLIENT_KEY",
            "HOME",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "WATCHDOG_PID",
            "LISTEN_FDS",
            "LISTEN_PID",
            "LISTEN_FDNAMES",
            "CREDENTIALS_DIRECTORY",
            "TRACEPARENT",
            "NOTIFY_SOCKET_OF_ANOTHER",
        ];
        let private: Vec<OsString> = private_names(all.into_iter().map(OsString::from)).collect();
        let kept: Vec<&str> =
            all.into_iter().filter(|name| !private.contains(&OsString::from(name))).collect();
        assert_eq!(kept, ["PATH", "HOME", "TRACEPARENT", "NOTIFY_SOCKET_OF_ANOTHER"]);
    }
}
