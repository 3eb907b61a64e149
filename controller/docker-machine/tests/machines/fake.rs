//! A driver whose machines are their own record: enough to be started, stopped and to fail.

use async_trait::async_trait;
use berth_provisioners_api::{
    Driver, DriverError, FlagSpec, FlagValues, Journal, Machine, MachineContext, MachineState,
    SshEndpoint,
};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug)]
pub(crate) struct FakeDriver;

#[derive(Debug)]
struct FakeMachine {
    config: Value,
}

impl Driver for FakeDriver {
    fn name(&self) -> &str {
        "fake"
    }

    fn flags(&self) -> Result<Vec<FlagSpec>, DriverError> {
        Ok(vec![
            FlagSpec::text("fake-url", "tcp://127.0.0.1:1", "Where it answers")
                .with_env("FAKE_URL"),
            FlagSpec::number("fake-size", 3, "How large it is"),
            FlagSpec::switch("fake-gone", "Has no state"),
            FlagSpec::switch("fake-slow", "Takes its time to tell its state"),
            FlagSpec::list("fake-tag", "What it is called").with_env("FAKE_TAGS"),
            FlagSpec::text(
                "fake-fails",
                "",
                "Where it fails: flags, check, create or remove",
            ),
        ])
    }

    fn configure(
        &self,
        context: &MachineContext,
        flags: &FlagValues,
    ) -> Result<Box<dyn Machine>, DriverError> {
        if flags.text("fake-fails") == "flags" {
            return Err(DriverError::Flag {
                flag: "fake-fails".to_owned(),
                problem: "says so".to_owned(),
            });
        }
        Ok(Box::new(FakeMachine {
            config: json!({
                "IPAddress": "127.0.0.1",
                "MachineName": context.name,
                "State": if flags.switch("fake-gone") { "Gone" } else { "Running" },
                "URL": flags.text("fake-url"),
                "Size": flags.number("fake-size"),
                "Tags": flags.list("fake-tag"),
                "Slow": flags.switch("fake-slow"),
                "Fails": flags.text("fake-fails"),
            }),
        }))
    }

    fn load(
        &self,
        _context: &MachineContext,
        config: Value,
    ) -> Result<Box<dyn Machine>, DriverError> {
        Ok(Box::new(FakeMachine { config }))
    }
}

impl FakeMachine {
    fn fails_at(&self, step: &str) -> Result<(), DriverError> {
        if self.config["Fails"] == step {
            return Err(DriverError::failed(format!("cannot {step}"), "out of luck"));
        }
        Ok(())
    }

    fn become_(&mut self, state: &str) {
        self.config["State"] = json!(state);
    }
}

#[async_trait]
impl Machine for FakeMachine {
    fn config(&self) -> Value {
        self.config.clone()
    }

    async fn pre_create_check(&self) -> Result<(), DriverError> {
        self.fails_at("check")
    }

    async fn create(&mut self, journal: &dyn Journal) -> Result<(), DriverError> {
        journal.step("fake", &self.config)?;
        journal.say("Waiting for an IP...");
        self.fails_at("create")
    }

    async fn state(&self) -> Result<MachineState, DriverError> {
        if self.config["Slow"] == true {
            std::future::pending::<()>().await;
        }
        Ok(match self.config["State"].as_str() {
            Some("Stopped") => MachineState::Stopped,
            Some("Gone") => MachineState::NotFound,
            Some("Paused") => MachineState::Paused,
            _ => MachineState::Running,
        })
    }

    async fn start(&mut self) -> Result<(), DriverError> {
        self.become_("Running");
        Ok(())
    }

    async fn stop(&mut self) -> Result<(), DriverError> {
        self.become_("Stopped");
        Ok(())
    }

    async fn kill(&mut self) -> Result<(), DriverError> {
        self.become_("Stopped");
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), DriverError> {
        self.fails_at("remove")
    }

    async fn ip(&self) -> Result<String, DriverError> {
        Ok("127.0.0.1".to_owned())
    }

    async fn ssh_endpoint(&self) -> Result<SshEndpoint, DriverError> {
        Err(DriverError::refused("nobody to log in to"))
    }

    fn takes_agent(&self) -> bool {
        false
    }

    fn state_is_at_hand(&self) -> bool {
        true
    }

    async fn engine_url(&self) -> Result<String, DriverError> {
        Ok(self.config["URL"].as_str().unwrap_or_default().to_owned())
    }
}
