//! The cloud is told of sources that are silent or were started again.

use std::{fs, time::Duration};

use lopside_proto::v1::{
    SourceReports, UploadRequest, UploadResponse, Welcome,
    ingest_service_server::{IngestService, IngestServiceServer},
    upload_request, upload_response,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Server, server::TcpIncoming},
};

use super::update::{
    agent::Home,
    bundles::{Toy, bundle},
};

/// Time limit of every wait; the test fails after it.
const WAIT_TIMEOUT: Duration = Duration::from_mins(1);

/// A cloud that passes on what devices report of their sources, and acknowledges nothing.
#[derive(Debug, Clone)]
struct ListeningCloud(mpsc::Sender<SourceReports>);

impl ListeningCloud {
    /// Starts a cloud. Returns its address and the reports.
    fn start() -> (String, mpsc::Receiver<SourceReports>) {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let url = format!("http://{}", incoming.local_addr().unwrap());
        let (sender, reports) = mpsc::channel(16);
        let service = IngestServiceServer::new(Self(sender));
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        (url, reports)
    }

    async fn serve(
        self,
        mut messages: Streaming<UploadRequest>,
        responses: mpsc::Sender<Result<UploadResponse, Status>>,
    ) {
        let welcome = Welcome { accepts_source_reports: true, ..Welcome::default() };
        let message = Some(upload_response::Message::Welcome(welcome));
        let _ = responses.send(Ok(UploadResponse { message })).await;
        while let Ok(Some(UploadRequest { message: Some(message) })) = messages.message().await {
            if let upload_request::Message::SourceReports(reports) = message {
                let _ = self.0.send(reports).await;
            }
        }
    }
}

#[tonic::async_trait]
impl IngestService for ListeningCloud {
    type UploadStream = ReceiverStream<Result<UploadResponse, Status>>;

    async fn upload(
        &self,
        request: Request<Streaming<UploadRequest>>,
    ) -> Result<Response<Self::UploadStream>, Status> {
        let (responses, stream) = mpsc::channel(16);
        tokio::spawn(self.clone().serve(request.into_inner(), responses));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cloud_is_told_of_a_source_that_was_started_again() {
    let root = tempfile::tempdir().unwrap();
    let toy = bundle(root.path(), "toy", Toy::Times(1.0));
    let (url, mut reports) = ListeningCloud::start();
    let mut home = Home::new(&url);
    let image = home.path("image.pgm");
    fs::write(&image, [&b"P5 2 2 255\n"[..], &[9; 4]].concat()).unwrap();
    let script = format!("cat {}; exec sleep 1000", image.display());
    home.add_tables(&format!(
        "[[source]]\nname = 'camera'\ncommand = ['sh', '-c', {script:?}]\nsilence_seconds = 0.5\n"
    ));
    let agent = home.start(&toy);
    let camera = loop {
        let report = timeout(WAIT_TIMEOUT, reports.recv()).await.unwrap().unwrap();
        assert_eq!((report.sources.len(), report.omitted), (2, 0), "the folder and the program: {report:?}");
        let camera = report.sources.into_iter().find(|source| source.name == "camera").unwrap();
        if camera.restarts > 0 {
            break camera;
        }
    };
    assert!(camera.problem.contains("silence_seconds"), "{camera:?}");
    agent.stop();
}
