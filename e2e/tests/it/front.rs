//! Access to the decoder, with the shipped binaries: TLS on both sides, API keys, too few file descriptors.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
};

use lopside_e2e::{CloudDecoder, binary_command, in_clone, run_failing, run_stdout, serve_command};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

/// A certificate authority, and the files of its certificates.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the certificate `NAME.pem` and the key `NAME.key`.
    fn identity(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let files = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        fs::write(&files.0, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }
}

fn fashion() -> PathBuf {
    in_clone("bundles/fashion")
}

fn send(url: &str, out: &Path) -> Command {
    let mut command = binary_command("edge-encoder");
    command.args(["send", "--json", "--endpoint", url, "--bundle"]).arg(fashion()).arg("--out").arg(out);
    command.arg(in_clone("samples/fashion/00-ankle-boot.png"));
    command
}

#[test]
fn an_edge_with_certificate_and_key_is_served_over_tls_and_others_are_refused() {
    let authority = Authority::new();
    let (cert, key) = authority.identity("server");
    let api_key = run_stdout(binary_command("cloud-decoder").args(["key", "edge", "--json"]));
    let api_key: serde_json::Value = serde_json::from_str(&api_key).unwrap();
    fs::write(authority.file("keys.toml"), api_key["toml"].as_str().unwrap()).unwrap();
    let mut command = serve_command(&[&fashion()]);
    command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
    command.arg("--tls-client-ca").arg(authority.file("ca.pem"));
    let cloud = CloudDecoder::run(command.arg("--api-keys").arg(authority.file("keys.toml")));
    assert!(cloud.url.starts_with("https://"), "{}", cloud.url);

    let out = tempfile::tempdir().unwrap();
    let (client_cert, client_key) = authority.identity("client");
    let add_identity = |command: &mut Command| {
        command.arg("--ca").arg(authority.file("ca.pem"));
        command.arg("--client-cert").arg(&client_cert).arg("--client-key").arg(&client_key);
    };
    let mut complete = send(&cloud.url, out.path());
    add_identity(&mut complete);
    let report = run_stdout(complete.env("LOPSIDE_API_KEY", api_key["key"].as_str().unwrap()));
    assert!(report.contains("00-ankle-boot"), "{report}");
    assert!(out.path().join("00-ankle-boot.png").is_file());

    let mut without_key = send(&cloud.url, out.path());
    add_identity(&mut without_key);
    let error = run_failing(&mut without_key);
    assert!(error.contains("Unauthenticated") && error.contains("API key"), "{error}");
    let error = run_failing(&mut send(&cloud.url, out.path()));
    assert!(
        error.contains("certificate") && error.contains(&cloud.url),
        "the authority is not one of Mozilla's: {error}"
    );
    let error = run_failing(send(&cloud.url, out.path()).arg("--ca").arg(authority.file("ca.pem")));
    assert!(error.contains("cloud-decoder"), "a client without a certificate must be refused: {error}");
}

#[test]
fn a_lack_of_file_descriptors_does_not_stop_the_server() {
    let program = binary_command("cloud-decoder").get_program().to_owned();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]).arg(program);
    command.args(serve_command(&[&fashion()]).get_args());
    let cloud = CloudDecoder::run(&mut command);
    let address = cloud.url.strip_prefix("http://").unwrap();
    let check_health = || {
        let mut connection = TcpStream::connect(address).unwrap();
        connection.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        connection.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    };
    check_health();
    // More connections than the server has descriptors for: the last ones are not accepted.
    let connections: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    drop(connections);
    check_health();
}
