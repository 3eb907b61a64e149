//! An operator with a store, who types commands.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use berth_controller_docker_machine::{Call, World, run};
use berth_provisioners_api::Registry;
use berth_provisioners_generic::GenericDriver;
use berth_provisioners_none::NoneDriver;
use tempfile::TempDir;

use crate::fake::FakeDriver;

pub(crate) struct Operator {
    home: TempDir,
    env: BTreeMap<String, String>,
    input: String,
    pub(crate) program: String,
}

/// What a command said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) code: u8,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Operator {
    pub(crate) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut operator = Self {
            env: BTreeMap::new(),
            input: String::new(),
            program: "docker-machine".to_owned(),
            home,
        };
        let path = operator.home.path().to_str().unwrap().to_owned();
        operator.set("HOME", &path);
        operator
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), value.to_owned());
    }

    /// What is typed at the next questions.
    pub(crate) fn answer(&mut self, text: &str) {
        text.clone_into(&mut self.input);
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.home.path().join(".docker/machine")
    }

    pub(crate) fn file(&self, path: &str) -> String {
        fs::read_to_string(self.store().join(path)).unwrap()
    }

    /// Types a command; words are separated by blanks.
    pub(crate) fn types(&self, line: &str) -> Said {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.gives(&words)
    }

    /// Gives a command word by word.
    pub(crate) fn gives(&self, words: &[&str]) -> Said {
        let (stdout, stderr) = (Sink::default(), Sink::default());
        let env = self.env.clone();
        let world = World::new(
            Box::new(Cursor::new(self.input.clone())),
            Box::new(stdout.clone()),
            Box::new(stderr.clone()),
            Box::new(move |name| env.get(name).cloned()),
        );
        let drivers = Registry::new()
            .with(NoneDriver)
            .with(GenericDriver)
            .with(FakeDriver);
        let call = Call {
            program: self.program.clone(),
            words: words.iter().map(Into::into).collect(),
        };
        let code = run(call, drivers, &world);
        Said {
            code,
            stdout: stdout.text(),
            stderr: stderr.text(),
        }
    }

    /// Makes a machine that is only a name for an address.
    pub(crate) fn machine(&self, name: &str, url: &str) {
        let made = self.types(&format!("create -d none --url {url} {name}"));
        assert_eq!(
            (made.code, made.stderr.as_str()),
            (0, ""),
            "{}",
            made.stdout
        );
    }
}

impl Said {
    #[track_caller]
    pub(crate) fn is(&self, code: u8, stdout: &str, stderr: &str) {
        assert_eq!(
            (self.code, self.stdout.as_str(), self.stderr.as_str()),
            (code, stdout, stderr)
        );
    }
}
