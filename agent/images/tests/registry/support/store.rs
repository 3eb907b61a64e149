//! An image store in a temporary directory.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_agent_images::{
    Credentials, Image, Images, ImagesConfig, ProgressSink, PullError, Pulled, Reference,
};
use berth_agent_snapshots::{Overlay, Snapshotter};
use berth_agent_state::{OpenError, State};

pub(crate) struct Store {
    pub(crate) images: Images,
    pub(crate) snapshotter: Arc<dyn Snapshotter>,
    pub(crate) root: PathBuf,
    temp: Option<tempfile::TempDir>,
}

impl Store {
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().expect("temporary directory");
        let mut store = Self::at(temp.path());
        store.temp = Some(temp);
        store
    }

    /// Opens the store in a directory that belongs to somebody else.
    pub(crate) fn at(root: &Path) -> Self {
        Self::open(root, Vec::new())
    }

    pub(crate) fn with_mirrors(mirrors: Vec<String>) -> Self {
        let temp = tempfile::tempdir().expect("temporary directory");
        let mut store = Self::open(temp.path(), mirrors);
        store.temp = Some(temp);
        store
    }

    fn open(root: &Path, mirrors: Vec<String>) -> Self {
        // What settles an earlier store's layers may have the database for a moment longer.
        let state = loop {
            match State::open(&root.join("state.redb")) {
                Err(OpenError::InUse { .. }) => std::thread::yield_now(),
                state => break state.expect("state"),
            }
        };
        let snapshotter: Arc<dyn Snapshotter> =
            Arc::new(Overlay::open(&root.join("snapshots")).expect("snapshots"));
        let images = Images::open(ImagesConfig {
            root: root.join("content"),
            state,
            snapshotter: Arc::clone(&snapshotter),
            insecure_registries: Vec::new(),
            mirrors,
        });
        Self {
            images: images.expect("images"),
            snapshotter,
            root: root.to_owned(),
            temp: None,
        }
    }

    /// Closes the store and opens it again.
    pub(crate) fn reopen(self) -> Self {
        let Self {
            images,
            snapshotter,
            root,
            temp,
        } = self;
        images.wait_until_settled();
        drop((images, snapshotter));
        let mut store = Self::at(&root);
        store.temp = temp;
        store
    }

    pub(crate) async fn pull(&self, reference: &str) -> Result<Pulled, PullError> {
        self.pull_as(reference, &Credentials::default()).await
    }

    pub(crate) async fn pull_as(
        &self,
        reference: &str,
        credentials: &Credentials,
    ) -> Result<Pulled, PullError> {
        let reference = Reference::parse(reference).expect("reference");
        let progress = ProgressSink::none();
        self.images
            .pull(&reference, credentials, None, &progress)
            .await
    }

    pub(crate) fn image(&self, name: &str) -> Image {
        let id = self.images.resolve(name).expect("image");
        self.images.get(&id).expect("image")
    }

    /// Returns a file of an image as a container would see it.
    pub(crate) fn read(&self, image: &Image, path: &str) -> std::io::Result<Vec<u8>> {
        use std::io::Read as _;
        let mounted = self.snapshotter.mount_layers(&image.layers).expect("mount");
        let mut content = Vec::new();
        let mut file = mounted.root().open_file(Path::new(path))?;
        file.read_to_end(&mut content)?;
        Ok(content)
    }

    pub(crate) fn count(&self, directory: &str) -> usize {
        std::fs::read_dir(self.root.join(directory))
            .expect("list")
            .count()
    }

    /// Nothing is left of a failed operation.
    pub(crate) fn assert_empty(&self) {
        assert_eq!(self.images.list().expect("list").len(), 0);
        for directory in [
            "snapshots/staging",
            "snapshots/layers",
            "content/ingest",
            "content/blobs/sha256",
        ] {
            assert_eq!(self.count(directory), 0, "{directory}");
        }
    }
}
