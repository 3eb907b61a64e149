//! A machine for builds: real layers, images and database; commands run by chroot(1).

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use berth_agent_build::{
    BuildError, BuildEvent, BuildOptions, Builder, BuilderParts, Ran, Runner, RunnerError,
    StepStatus,
};
use berth_agent_engine::{StepOutput, StepRequest};
use berth_agent_images::{Image, ImageId, Images, ImagesConfig};
use berth_agent_snapshots::{Mounted, Overlay, Snapshotter};
use berth_agent_state::State;
use berth_context::Ignore;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Everything that a builder needs, in a directory that goes away.
pub(crate) struct Machine {
    pub(crate) images: Arc<Images>,
    pub(crate) snapshots: Arc<dyn Snapshotter>,
    pub(crate) builder: Builder,
    state: State,
    pub(crate) root: TempDir,
}

/// What a build said and gave.
pub(crate) struct Outcome {
    pub(crate) result: Result<ImageId, BuildError>,
    pub(crate) events: Vec<BuildEvent>,
}

/// Runs commands in the step's filesystem, without namespaces.
struct Chroot {
    snapshots: Arc<dyn Snapshotter>,
    counter: AtomicU32,
}

/// A small disk.
pub(crate) struct Disk(PathBuf);

/// A directory to build from.
pub(crate) struct Folder(pub(crate) TempDir);

// === impl Machine ===

impl Machine {
    pub(crate) fn new() -> Self {
        Self::on(tempfile::tempdir().expect("temp dir"))
    }

    pub(crate) fn on(root: TempDir) -> Self {
        let snapshots = Overlay::open(&root.path().join("snapshots")).expect("snapshots");
        let snapshots: Arc<dyn Snapshotter> = Arc::new(snapshots);
        let state = State::open(&root.path().join("state.redb")).expect("state");
        let images = Images::open(ImagesConfig {
            root: root.path().join("content"),
            state: state.clone(),
            snapshotter: Arc::clone(&snapshots),
            insecure_registries: Vec::new(),
            mirrors: Vec::new(),
        });
        let images = Arc::new(images.expect("images"));
        let builder = builder(&images, &snapshots, &state, root.path().join("build"));
        Self {
            images,
            snapshots,
            builder,
            state,
            root,
        }
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.root.path().join("build")
    }

    /// Starts the builder anew, as after a restart of the agent.
    pub(crate) fn restart(&mut self) {
        self.builder = builder(&self.images, &self.snapshots, &self.state, self.scratch());
    }

    pub(crate) async fn build(&self, folder: &Folder, options: BuildOptions) -> Outcome {
        let context = folder.pack(&options);
        self.build_from(context, options).await
    }

    pub(crate) async fn build_from(&self, context: Vec<u8>, options: BuildOptions) -> Outcome {
        let (sender, mut receiver) = mpsc::channel(16);
        let collecting = tokio::spawn(async move {
            let mut events = Vec::new();
            while let Some(event) = receiver.recv().await {
                events.push(event);
            }
            events
        });
        let context = std::io::Cursor::new(context);
        let result = self.builder.build(options, context, sender).await;
        Outcome {
            result,
            events: collecting.await.expect("events"),
        }
    }

    pub(crate) fn mount(&self, image: &Image) -> Mounted {
        self.snapshots.mount_layers(&image.layers).expect("mount")
    }

    /// Reads a file of an image.
    pub(crate) fn read(&self, id: &ImageId, path: &str) -> String {
        let image = self.images.get(id).expect("image");
        let mounted = self.mount(&image);
        let mut file = mounted.root().open_file(Path::new(path)).expect(path);
        let mut text = String::new();
        std::io::Read::read_to_string(&mut file, &mut text).expect("text");
        text
    }
}

fn builder(
    images: &Arc<Images>,
    snapshots: &Arc<dyn Snapshotter>,
    state: &State,
    scratch: PathBuf,
) -> Builder {
    let chroot = Chroot {
        snapshots: Arc::clone(snapshots),
        counter: AtomicU32::new(0),
    };
    Builder::new(BuilderParts {
        images: Arc::clone(images),
        snapshots: Arc::clone(snapshots),
        state: state.clone(),
        runner: Arc::new(chroot),
        scratch,
    })
    .expect("builder")
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn image(&self) -> ImageId {
        match &self.result {
            Ok(id) => id.clone(),
            Err(error) => panic!("{error}: {:?}\n{}", error.kind, self.output()),
        }
    }

    pub(crate) fn error(&self) -> &BuildError {
        self.result
            .as_ref()
            .expect_err("the build should have failed")
    }

    pub(crate) fn output(&self) -> String {
        let pieces = self.events.iter().filter_map(|event| match event {
            BuildEvent::Output { data, .. } => Some(String::from_utf8_lossy(data).into_owned()),
            BuildEvent::Step(_) | BuildEvent::Warning(_) => None,
        });
        pieces.collect()
    }

    pub(crate) fn warnings(&self) -> Vec<&str> {
        let warnings = self.events.iter().filter_map(|event| match event {
            BuildEvent::Warning(text) => Some(text.as_str()),
            BuildEvent::Step(_) | BuildEvent::Output { .. } => None,
        });
        warnings.collect()
    }

    /// The instructions that were not done again.
    pub(crate) fn cached(&self) -> Vec<&str> {
        let cached = self.events.iter().filter_map(|event| match event {
            BuildEvent::Step(step) if matches!(step.status, StepStatus::Cached(_)) => {
                Some(step.instruction.as_str())
            }
            _ => None,
        });
        cached.collect()
    }
}

// === impl Folder ===

impl Folder {
    /// A folder with a Dockerfile that can be built upon: `FROM scratch` with busybox in it.
    pub(crate) fn new(dockerfile: &str) -> Self {
        let folder = Self(tempfile::tempdir().expect("temp dir"));
        fs::write(folder.0.path().join("root.tar"), root_tar()).expect("root");
        folder.write("Dockerfile", dockerfile);
        folder
    }

    pub(crate) fn write(&self, path: &str, content: &str) -> &Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        fs::File::create(path)
            .expect("file")
            .write_all(content.as_bytes())
            .expect("content");
        self
    }

    fn pack(&self, options: &BuildOptions) -> Vec<u8> {
        let dockerfile = Path::new(options.dockerfile_path());
        let ignore = Ignore::load(self.0.path(), Some(dockerfile)).expect("ignore file");
        let mut bytes = Vec::new();
        berth_context::pack(self.0.path(), Some(dockerfile), &ignore, &mut bytes).expect("packed");
        bytes
    }
}

/// A root filesystem with busybox and nothing else.
fn root_tar() -> Vec<u8> {
    let busybox = fs::read("/bin/busybox").expect("busybox-static is installed");
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = |path: &str, kind: tar::EntryType, mode: u32, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_600_000_000);
        header.set_size(content.len() as u64);
        archive
            .append_data(&mut header, path, content)
            .expect("entry");
    };
    header("tmp", tar::EntryType::Directory, 0o1777, b"");
    header("bin/busybox", tar::EntryType::Regular, 0o755, &busybox);
    header(
        "etc/passwd",
        tar::EntryType::Regular,
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\napp:x:100:101:app:/:/bin/sh\n",
    );
    header(
        "etc/group",
        tar::EntryType::Regular,
        0o644,
        b"root:x:0:\napp:x:101:\nweb:x:7:\n",
    );
    let tools = [
        "sh", "cat", "echo", "mkdir", "ls", "rm", "touch", "env", "stat", "sleep", "id",
    ];
    for tool in tools {
        let mut link = tar::Header::new_gnu();
        link.set_entry_type(tar::EntryType::Symlink);
        link.set_mode(0o777);
        link.set_size(0);
        archive
            .append_link(&mut link, format!("bin/{tool}"), "busybox")
            .expect("link");
    }
    archive.into_inner().expect("archive")
}

// === impl Disk ===

impl Disk {
    /// Mounts a disk of so many mebibytes and gives a directory on it.
    pub(crate) fn of(mebibytes: u32) -> (Self, TempDir) {
        let place = tempfile::tempdir().expect("temp dir").keep();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(&place)
            .status()
            .expect("mount");
        assert!(mounted.success(), "mount");
        let root = tempfile::tempdir_in(&place).expect("temp dir");
        (Self(place), root)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, as a failed test may still hold files in it.
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "umount");
        fs::remove_dir(&self.0).expect("removed");
    }
}

// === impl Chroot ===

#[async_trait]
impl Runner for Chroot {
    async fn run(
        &self,
        request: StepRequest,
        output: mpsc::Sender<StepOutput>,
    ) -> Result<Ran, RunnerError> {
        let key = format!("test-{}", self.counter.fetch_add(1, Ordering::Relaxed));
        let snapshots = Arc::clone(&self.snapshots);
        let (code, prepared, written) = tokio::task::spawn_blocking(move || {
            let prepared = snapshots
                .prepare(&key, &request.parent_layers)
                .expect("prepared");
            let mounted = snapshots.mount_temporarily(&prepared).expect("mounted");
            let root = mounted.path().display().to_string();
            let root = root.replace("/self/", &format!("/{}/", std::process::id()));
            let directory = Some(request.working_dir).filter(|dir| !dir.is_empty());
            let output = Command::new("/usr/sbin/chroot")
                .arg(root)
                .args(["/bin/busybox", "sh", "-c", "cd \"$0\" && exec \"$@\""])
                .arg(directory.unwrap_or_else(|| "/".to_owned()))
                .args(&request.argv)
                .env_clear()
                .envs(request.env.iter().filter_map(|line| line.split_once('=')))
                .stdin(Stdio::null())
                .output()
                .expect("chroot");
            drop(mounted);
            let written = [output.stdout, output.stderr].concat();
            (
                output.status.code().unwrap_or(137),
                (snapshots, key, prepared),
                written,
            )
        })
        .await
        .expect("ran");
        let stream = berth_agent_runtime::log::Stream::Stdout;
        // The receiver may have gone.
        drop(
            output
                .send(StepOutput {
                    stream,
                    data: written,
                })
                .await,
        );
        let (snapshots, key, prepared) = prepared;
        Ok(Ran {
            code,
            oom_killed: false,
            upper: prepared.upper,
            keep: Box::new(Removal { snapshots, key }),
        })
    }
}

struct Removal {
    snapshots: Arc<dyn Snapshotter>,
    key: String,
}

impl Drop for Removal {
    fn drop(&mut self) {
        self.snapshots.remove(&self.key).expect("removed");
    }
}
