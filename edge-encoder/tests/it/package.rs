//! The Debian package: it contains what its bundles, its service and its config file need.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lopside_bundle::{BundlePart, image_codec::AnyBundle};
use toml::{Table, Value};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn deployed(name: &str) -> String {
    fs::read_to_string(root().join("deploy/systemd").join(name)).unwrap()
}

/// Returns the path in the clone and the target of each asset. A target that ends in a slash is a folder.
fn assets() -> Vec<(String, String)> {
    let manifest: Table =
        toml::from_str(&fs::read_to_string(root().join("edge-encoder/Cargo.toml")).unwrap()).unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let text = |asset: &Value, index: usize| asset[index].as_str().unwrap().to_owned();
    assets.iter().map(|asset| (text(asset, 0), text(asset, 1))).collect()
}

/// Copies the assets of a folder of the package into a folder.
fn install(target: &str, folder: &Path) {
    for (source, to) in assets() {
        let Some(below) = to.strip_prefix(target) else { continue };
        let source = root().join(source.strip_prefix("../").unwrap());
        fs::create_dir_all(folder.join(below)).unwrap();
        let files: Vec<PathBuf> = if source.ends_with("*") {
            let entries = fs::read_dir(source.parent().unwrap()).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        } else {
            vec![source]
        };
        for file in files {
            fs::copy(&file, folder.join(below).join(file.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn the_bundles_of_the_package_are_complete_for_a_device() {
    for name in ["photo", "fashion"] {
        let folder = tempfile::tempdir().unwrap();
        install(&format!("usr/share/lopside/bundles/{name}/"), folder.path());
        let bundle = AnyBundle::load(folder.path(), BundlePart::Encoder).unwrap();
        for golden in bundle.golden() {
            golden.read_verified(folder.path()).unwrap();
        }
        if let AnyBundle::ImageCodec(bundle) = bundle {
            assert!(bundle.fast_encoder.is_some());
        }
    }
    assert!(deployed("edge.toml").contains("bundle = \"/usr/share/lopside/bundles/photo\""));
}

/// Returns the words of a setting of the service.
fn service_words(key: &str) -> Vec<String> {
    let service = deployed("lopside-edge.service");
    let values = service.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn members_of_the_group_and_the_service_can_write_to_the_inbox() {
    let config: Table = toml::from_str(&deployed("edge.toml")).unwrap();
    let inbox = Path::new(config["source"][0]["folder"].as_str().unwrap());
    // The group exists, the folder belongs to it, and the service is a member.
    let groups = service_words("SupplementaryGroups");
    let [group] = &groups[..] else { panic!("{groups:?}") };
    assert!(deployed("sysusers.conf").lines().any(|line| line == format!("g {group} -")));
    let folders = deployed("tmpfiles.conf");
    for folder in ["", "done", "failed", "refused"] {
        let path = inbox.join(folder).display().to_string();
        let line = format!("d {} 2770 root {group} -", path.trim_end_matches('/'));
        assert!(folders.lines().any(|found| found == line), "{line}");
    }
    let is_writable = |path: &String| inbox.starts_with(path.trim_start_matches('-'));
    assert!(service_words("ReadWritePaths").iter().any(is_writable), "ProtectSystem=strict");
    assert_eq!(service_words("UMask"), ["0007"], "the group may write to subfolders of the agent");
    // No other user reaches the state directory of a dynamic user.
    assert!(!inbox.starts_with("/var/lib/lopside"));
    for (source, target) in [
        ("sysusers.conf", "usr/lib/sysusers.d/lopside-edge.conf"),
        ("tmpfiles.conf", "usr/lib/tmpfiles.d/lopside-edge.conf"),
        ("camera.conf", "usr/share/doc/lopside-edge/"),
    ] {
        let asset = (format!("../deploy/systemd/{source}"), target.to_owned());
        assert!(assets().contains(&asset), "{source}");
    }
    let script = deployed("postinst");
    for part in ["systemd-sysusers lopside-edge.conf", "systemd-tmpfiles --create", "#DEBHELPER#"] {
        assert!(script.contains(part), "{part}");
    }
}
