//! Users that are not root.

use std::sync::Mutex;

use berth_controller_provision::{Passwords, ProvisionError, Root, enter};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use zeroize::Zeroizing;

use crate::fixture::{Fixture, host};

const USER: &str = "echo 'guest:x:4321:4321::/:/bin/sh' >>/etc/passwd
    chmod 755 \"$(dirname \"$1\")\"; chmod 644 \"$(dirname \"$1\")\"/authorized_keys
    rm -f /usr/bin/sudo /usr/local/bin/sudo";

#[tokio::test]
async fn user_without_sudo_is_told_what_to_do() {
    let fixture = Fixture::start(USER);
    let session = fixture.session_of("guest").await;
    let error = fixture.run(&session).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "user \"guest\" is not root and cannot become root on the host"
    );
    assert!(
        error.hint().unwrap().contains("install sudo"),
        "{:?}",
        error.hint()
    );
}

#[tokio::test]
async fn sudo_that_wants_a_password_is_answered_with_a_line_for_sudoers() {
    let sudo = "printf '#!/bin/sh\\necho \"sudo: a password is required\" >&2\\nexit 1\\n' \
                >/usr/local/bin/sudo; chmod 755 /usr/local/bin/sudo";
    let fixture = Fixture::start(&format!("{USER}\n{sudo}"));
    let session = fixture.session_of("guest").await;
    let error = fixture.run(&session).await.unwrap_err();
    assert!(
        error.to_string().ends_with("sudo: a password is required"),
        "{error}"
    );
    assert!(
        error.hint().unwrap().contains("NOPASSWD"),
        "{:?}",
        error.hint()
    );
}

/// A `sudo` that wants the password "sesame", and notes what it was called with.
const SUDO: &str = r#"cat >/usr/local/bin/sudo <<'end'
#!/bin/sh
echo "$*" >>/run/sudo-was-called-with
if [ "$1" = -n ]; then echo "sudo: a password is required" >&2; exit 1; fi
printf '[sudo] password for guest: ' >&2
tries=0
while IFS= read -r word; do
    if [ "$word" = sesame ]; then shift 2; exec "$@"; fi
    echo "Sorry, try again." >&2
    tries=$((tries + 1))
    if [ $tries = 3 ]; then break; fi
done
echo "sudo: $tries incorrect password attempts" >&2
exit 1
end
chmod 755 /usr/local/bin/sudo; : >/run/sudo-was-called-with; chmod 666 /run/sudo-was-called-with"#;

#[tokio::test]
async fn wrong_password_is_asked_for_again_and_then_told() {
    let fixture = Fixture::start(&format!("{USER}\n{SUDO}"));
    let session = fixture.session_of("guest").await;
    let asked = Mutex::new(Vec::new());
    let ask = |user: &str, attempt: u32| {
        asked.lock().unwrap().push((user.to_owned(), attempt));
        Some(Zeroizing::new(format!("wrong {attempt}")))
    };
    let found = Mutex::new(None);
    let error = fixture
        .run_with(&session, Passwords::new(&ask, &found))
        .await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, ProvisionError::WrongPassword { .. }),
        "{error:?}"
    );
    let asked = asked.into_inner().unwrap();
    let guest = |attempt| ("guest".to_owned(), attempt);
    assert_eq!(asked, [guest(0), guest(1), guest(2)]);
    // One that is written down somewhere is not tried twice.
    let ask = |_user: &str, _attempt: u32| Some(Zeroizing::new("same".to_owned()));
    let before = host(&session, "grep -c -e -k /run/sudo-was-called-with").await;
    fixture
        .run_with(&session, Passwords::new(&ask, &found))
        .await
        .unwrap_err();
    let after = host(&session, "grep -c -e -k /run/sudo-was-called-with").await;
    assert_eq!((before.trim(), after.trim()), ("3", "4"));
}

#[tokio::test]
async fn password_reaches_sudo_on_standard_input_alone() {
    let fixture = Fixture::start(&format!(
        "{USER}\n{SUDO}\nmkdir -p /etc/berth /var/lib/berth /opt/berth /run/berth; \
         chown -R guest /etc/berth /var/lib/berth /opt/berth /run/berth /usr/local/bin; \
         : >/var/log/berthd.log; chown guest /var/log/berthd.log"
    ));
    let session = fixture.session_of("guest").await;
    let ask = |_user: &str, attempt: u32| {
        let word = if attempt == 0 { "wrong" } else { "sesame" };
        Some(Zeroizing::new(word.to_owned()))
    };
    let found = Mutex::new(None);
    let passwords = Passwords::new(&ask, &found);
    // The double of `sudo` makes nobody root, but everything belongs to the user here.
    let report = fixture.run_with(&session, passwords).await.unwrap();
    assert!(report.restarted);
    let called = host(&session, "cat /run/sudo-was-called-with").await;
    assert!(called.contains("-k -S sh -c"), "{called}");
    assert!(
        !called.contains("sesame") && !called.contains("wrong"),
        "{called}"
    );
    // Whoever orders something later is let in the same way, and sees neither password nor prompt.
    let facts = enter(&session, passwords).await.unwrap();
    let root = Root::new(&session, &facts, passwords);
    let ordered = root.order("echo \"got $0\"; cat").await.unwrap();
    assert_eq!(String::from_utf8_lossy(&ordered.stdout), "got sh\n");
    let mut stream = root.open("exec head -n 1").await.unwrap();
    stream.write_all(b"there and back\n").await.unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).await.unwrap();
    assert_eq!(said, "there and back\n");
    let nowhere = "! grep -rq sesame /etc/berth /var/log/berthd.log /var/lib/berth";
    host(&session, nowhere).await;
}

#[tokio::test]
async fn sudo_that_wants_a_terminal_is_named() {
    let sudo = "printf '#!/bin/sh\\necho \"sudo: sorry, you must have a tty to run sudo\" >&2\\nexit 1\\n' \
                >/usr/local/bin/sudo; chmod 755 /usr/local/bin/sudo";
    let fixture = Fixture::start(&format!("{USER}\n{sudo}"));
    let session = fixture.session_of("guest").await;
    let error = fixture.run(&session).await.unwrap_err();
    assert!(error.to_string().contains("must have a tty"), "{error}");
    assert!(
        error.hint().unwrap().contains("!requiretty"),
        "{:?}",
        error.hint()
    );
}
