//! Files that no container has: archives of zeros, and one folder that refuses everything.

use berth_proto::v1::file_service_server::FileService;
use berth_proto::v1::{
    ChangesRequest, ChangesResponse, CommitRequest, CommitResponse, ExportRequest, ExportResponse,
    GetRequest, GetResponse, PathStat, PutRequest, PutResponse, StatRequest, StatResponse,
    get_response, put_request,
};
use futures::stream::{BoxStream, StreamExt as _, iter};
use tonic::{Code, Request, Response, Status, Streaming};

use super::{Seen, refuse};

/// Bytes of every archive: far more than is on its way at once.
pub(crate) const ARCHIVE: usize = 32 << 20;
const CHUNK: usize = 256 << 10;

/// Go's bit for a folder, with permissions.
const FOLDER: u32 = 1 << 31 | 0o755;

fn chunks() -> impl Iterator<Item = Vec<u8>> + Send {
    (0..ARCHIVE / CHUNK).map(|_| vec![0; CHUNK])
}

fn folder() -> PathStat {
    PathStat {
        name: "folder".to_owned(),
        mode: FOLDER,
        ..PathStat::default()
    }
}

#[tonic::async_trait]
impl FileService for Seen {
    async fn stat(&self, _request: Request<StatRequest>) -> Result<Response<StatResponse>, Status> {
        Ok(Response::new(StatResponse {
            stat: Some(folder()),
        }))
    }

    type GetStream = BoxStream<'static, Result<GetResponse, Status>>;

    async fn get(
        &self,
        _request: Request<GetRequest>,
    ) -> Result<Response<Self::GetStream>, Status> {
        let first = std::iter::once(get_response::Message::Stat(folder()));
        let messages = first.chain(chunks().map(get_response::Message::Chunk));
        let messages = messages.map(|message| {
            Ok(GetResponse {
                message: Some(message),
            })
        });
        Ok(Response::new(iter(messages).boxed()))
    }

    type ExportStream = BoxStream<'static, Result<ExportResponse, Status>>;

    async fn export(
        &self,
        _request: Request<ExportRequest>,
    ) -> Result<Response<Self::ExportStream>, Status> {
        let messages = chunks().map(|chunk| Ok(ExportResponse { chunk }));
        Ok(Response::new(iter(messages).boxed()))
    }

    async fn put(
        &self,
        request: Request<Streaming<PutRequest>>,
    ) -> Result<Response<PutResponse>, Status> {
        let mut requests = request.into_inner();
        while let Some(request) = requests.message().await? {
            match request.message {
                Some(put_request::Message::Options(options)) if options.path == "/refused" => {
                    let text = "container rootfs is marked read-only";
                    return Err(refuse(Code::InvalidArgument, "read-only", text));
                }
                Some(put_request::Message::Chunk(chunk)) => {
                    self.with(|state| state.unpacked.extend(chunk));
                }
                _ => {}
            }
        }
        Ok(Response::new(PutResponse {}))
    }

    async fn changes(
        &self,
        _request: Request<ChangesRequest>,
    ) -> Result<Response<ChangesResponse>, Status> {
        Err(Status::unimplemented("changes"))
    }

    async fn commit(
        &self,
        _request: Request<CommitRequest>,
    ) -> Result<Response<CommitResponse>, Status> {
        Err(Status::unimplemented("commit"))
    }
}
