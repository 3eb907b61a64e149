//! What a machine without a driver can and cannot do.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests themselves do"
)]

use berth_provisioners_api::{Driver as _, FlagValue, FlagValues, MachineContext, MachineState};
use berth_provisioners_none::NoneDriver;

fn context() -> MachineContext {
    MachineContext {
        name: "far".to_owned(),
        directory: "/store/machines/far".into(),
        store_root: "/store".into(),
    }
}

fn flags(url: &str) -> FlagValues {
    let mut values = FlagValues::defaults(&NoneDriver.flags().unwrap());
    values.set("url", FlagValue::Text(url.to_owned()));
    values
}

#[tokio::test]
async fn machine_is_its_url_and_nothing_else() {
    let machine = NoneDriver
        .configure(&context(), &flags("tcp://192.0.2.7:2380"))
        .unwrap();
    assert_eq!(machine.engine_url().await.unwrap(), "tcp://192.0.2.7:2380");
    assert_eq!(machine.ip().await.unwrap(), "192.0.2.7:2380");
    assert_eq!(machine.engine_port(), 2380);
    assert_eq!(machine.state().await.unwrap(), MachineState::Running);
    assert!(!machine.takes_agent());
    machine.ssh_endpoint().await.unwrap_err();
    let config = machine.config();
    assert_eq!(config["URL"], "tcp://192.0.2.7:2380");
    assert_eq!(config["IPAddress"], "192.0.2.7:2380");
    let again = NoneDriver.load(&context(), config.clone()).unwrap();
    assert_eq!(again.config(), config);
}

#[tokio::test]
async fn nothing_can_be_done_to_it() {
    let mut machine = NoneDriver
        .configure(&context(), &flags("tcp://192.0.2.7:2380"))
        .unwrap();
    let said = [
        machine.start().await.unwrap_err().to_string(),
        machine.stop().await.unwrap_err().to_string(),
        machine.restart().await.unwrap_err().to_string(),
        machine.kill().await.unwrap_err().to_string(),
    ];
    assert_eq!(
        said,
        [
            "hosts without a driver cannot be started",
            "hosts without a driver cannot be stopped",
            "hosts without a driver cannot be restarted",
            "hosts without a driver cannot be killed",
        ]
    );
    machine.remove().await.unwrap();
}

#[test]
fn url_is_needed() {
    let refused = |url| {
        let machine = NoneDriver.configure(&context(), &flags(url));
        machine.unwrap_err().to_string()
    };
    assert_eq!(
        refused(""),
        "--url option is required when no driver is selected"
    );
    assert!(refused("192.0.2.7").contains("tcp://"));
}
