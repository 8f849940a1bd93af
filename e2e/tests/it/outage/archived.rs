//! The archive of a cloud-decoder.

use std::path::Path;

use lopside_archive::{Archive, FrameQuery, Settings};
use lopside_e2e::{CloudDecoder, in_clone, serve_command_on};

/// The port and the archive of a cloud-decoder, which stay the same across restarts.
pub(crate) struct Site {
    folder: tempfile::TempDir,
    pub(crate) port: u16,
}

/// The archived frames of one device.
pub(crate) struct Archived {
    /// Number of frames ever applied.
    pub(crate) applied: u64,
    /// The bytes of the archived frames.
    pub(crate) frames: Vec<Vec<u8>>,
    /// The sources of the archived frames.
    pub(crate) sources: Vec<String>,
}

impl Site {
    pub(crate) fn new() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { folder: tempfile::tempdir().unwrap(), port }
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("archive.db").display())
    }

    pub(crate) fn start(&self) -> CloudDecoder {
        let bundle = in_clone("bundles/fashion");
        CloudDecoder::run(serve_command_on(self.port, &[Path::new(&bundle)]).args(["--archive", &self.url()]))
    }

    /// Reads the archive after the server has ended.
    pub(crate) async fn archived(&self) -> Archived {
        let archive = Archive::open(&self.url(), Settings::default()).await.unwrap();
        let devices = archive.devices().await.unwrap();
        let names: Vec<&str> = devices.iter().map(|device| &device.name[..]).collect();
        assert_eq!(names, ["gate-7"]);
        let (mut frames, mut sources) = (Vec::new(), Vec::new());
        let mut query = FrameQuery { limit: 1000, ..FrameQuery::default() };
        loop {
            let page = archive.list_frames(&query).await.unwrap();
            for meta in page.frames {
                frames.push(archive.read_frame(meta.id).await.unwrap().unwrap().bytes);
                sources.push(meta.source.to_string());
            }
            let Some(next) = page.next else { break };
            query.after = Some(next);
        }
        archive.close().await;
        Archived { applied: devices[0].applied, frames, sources }
    }
}
