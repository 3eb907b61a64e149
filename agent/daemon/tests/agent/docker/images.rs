//! Images through the docker CLI: builds, names, registries.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use super::Docker;
use crate::client::IMAGE;
use crate::host::Host;

/// A registry on the loopback of a host.
struct Registry {
    child: Child,
}

impl Registry {
    /// Starts one on a port of the host's own.
    fn start(host: &Host) -> Self {
        let config = host.path("registry.yml");
        let storage = host.path("registry");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:5000\n",
            storage.display()
        );
        fs::write(&config, text).expect("file");
        let mut child = host
            .enter("docker-registry")
            .arg("serve")
            .arg(config)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("docker-registry");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let listens = lines.any(|line| line.expect("log").contains("listening on"));
        assert!(listens, "the registry does not start");
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_build_runs_step_by_step() {
    let host = Host::new();
    Docker::with_image(&host);
    for docker in Docker::each(&host) {
        let folder = docker.file("context");
        fs::create_dir(&folder).expect("folder");
        fs::write(folder.join("file"), docker.name).expect("file");
        let dockerfile = format!(
            "FROM {IMAGE}\nARG A\nCOPY file /file\nRUN echo \"building $A\" && cat /file\nCMD [\"cat\", \"/file\"]\n"
        );
        fs::write(folder.join("Dockerfile"), dockerfile).expect("file");
        let tag = format!("app:{}", docker.name);
        let context = folder.to_str().expect("a path");
        let words = [
            "build",
            "-t",
            &tag,
            "--build-arg",
            "A=b",
            "--label",
            "made=here",
            context,
        ];
        let said = docker.ok(&words);
        for wanted in [
            format!("Step 1/5 : FROM {IMAGE}"),
            "building b\n".to_owned(),
            "Successfully built ".to_owned(),
            format!("Successfully tagged {tag}"),
        ] {
            assert!(said.contains(&wanted), "{wanted} in {said}");
        }
        assert!(docker.ok(&words).contains(" ---> Using cache"));
        assert_eq!(docker.ok(&["run", "--rm", &tag]), docker.name);
        let label = docker.ok(&["image", "inspect", "-f", "{{.Config.Labels.made}}", &tag]);
        assert_eq!(label, "here");
        let quiet = docker.ok(&["build", "-q", context]);
        assert!(
            quiet.starts_with("sha256:") && quiet.lines().count() == 1,
            "{quiet}"
        );
        let iid = docker.file("iid");
        docker.ok(&["build", "--iidfile", iid.to_str().expect("a path"), context]);
        assert_eq!(fs::read_to_string(&iid).expect("id"), quiet);
    }
}

#[test]
fn a_build_that_fails_says_why() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    let build = |dockerfile: &str| docker.run_with(&["build", "-"], dockerfile);
    let said = build(&format!("FROM {IMAGE}\nRUN exit 5\n"));
    assert_eq!(said.code, 5, "{said:?}");
    let wanted = "The command '/bin/sh -c exit 5' returned a non-zero code: 5";
    assert!(said.err.contains(wanted), "{said:?}");
    let said = build("FROM scratch\nNONSENSE x\n");
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.err.contains("unknown instruction: NONSENSE"),
        "{said:?}"
    );
    let said = build(&format!("FROM {IMAGE}\nCOPY missing /\n"));
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("missing"), "{said:?}");
}

#[test]
fn images_travel_through_a_registry() {
    let host = Host::new();
    Docker::with_image(&host);
    let _registry = Registry::start(&host);
    for docker in Docker::each(&host) {
        let name = format!("127.0.0.1:5000/box:{}", docker.name);
        docker.ok(&["tag", IMAGE, &name]);
        let pushed = docker.ok(&["push", &name]);
        assert!(
            pushed.contains(&format!("{}: digest: sha256:", docker.name)),
            "{pushed}"
        );
        let removed = docker.ok(&["rmi", &name]);
        assert!(removed.contains(&format!("Untagged: {name}")), "{removed}");
        let pulled = docker.ok(&["pull", &name]);
        assert!(
            pulled.contains(&format!("{}: Pulling from box", docker.name)),
            "{pulled}"
        );
        assert!(
            pulled.contains(&format!("Status: Downloaded newer image for {name}")),
            "{pulled}"
        );
        // A run of what is not here pulls it.
        docker.ok(&["rmi", &name]);
        let said = docker.run(&["run", "--rm", &name, "echo", "ran"]);
        assert_eq!((said.out.as_str(), said.code), ("ran\n", 0), "{said:?}");
        assert!(said.err.contains("Unable to find image"), "{said:?}");
        let error = docker.fails(&["pull", "127.0.0.1:5000/absent"], 1);
        assert!(
            error.contains("manifest for 127.0.0.1:5000/absent:latest not found"),
            "{error}"
        );
        let error = docker.fails(&["push", "127.0.0.1:5000/absent"], 1);
        assert!(error.contains("127.0.0.1:5000/absent"), "{error}");
        docker.ok(&["rmi", &name]);
    }
}

#[test]
fn images_are_listed_named_and_removed() {
    let host = Host::new();
    Docker::with_image(&host);
    for docker in Docker::each(&host) {
        let other = format!("other:{}", docker.name);
        docker.ok(&["tag", IMAGE, &other]);
        let format = "{{.Repository}}:{{.Tag}}";
        let listed = docker.ok(&["images", "--format", format, "other"]);
        assert_eq!(listed, other);
        docker.ok(&["rmi", &other]);
        let error = docker.fails(&["rmi", &other], 1);
        assert!(
            error.contains(&format!("No such image: {other}")),
            "{error}"
        );
        let error = docker.fails(&["tag", IMAGE, "Bad"], 1);
        assert!(
            error.to_lowercase().contains("invalid reference format"),
            "{error}"
        );
        let id = docker.ok(&["create", IMAGE]);
        let error = docker.fails(&["rmi", IMAGE], 1);
        assert!(
            error.contains("unable to remove repository reference"),
            "{error}"
        );
        docker.ok(&["rm", &id]);
    }
}
