//! Tests of `authority`.

use time::Duration;

use super::*;

fn authority() -> Authority {
    Authority::create("me", OffsetDateTime::now_utc()).unwrap()
}

fn identity() -> ServerIdentity {
    let names = ["10.0.0.7", "fd00::7", "db.example.org", "127.0.0.1"];
    ServerIdentity {
        stable_name: stable_name("demo"),
        names: names.map(str::to_owned).to_vec(),
    }
}

#[test]
fn server_certificate_has_all_names_once() {
    let identity = identity();
    let issued = authority()
        .issue_server(&identity, OffsetDateTime::now_utc())
        .unwrap();
    let facts = CertificateFacts::parse(&issued.certificate_pem).unwrap();
    let mut names = facts.names().to_vec();
    names.sort();
    let mut expected = identity.names.clone();
    expected.extend([identity.stable_name, "localhost".to_owned()]);
    expected.sort();
    assert_eq!(names, expected);
    assert!(!facts.is_authority());
}

#[test]
fn loaded_authority_signs_like_the_one_that_was_made() {
    let made = authority();
    let loaded = Authority::load(made.certificate_pem(), made.key_pem()).unwrap();
    let issued = loaded
        .issue_client("me", OffsetDateTime::now_utc())
        .unwrap();
    let facts = CertificateFacts::parse(&issued.certificate_pem).unwrap();
    assert!(facts.is_signed_by(&facts_of(&made)));
    assert!(!facts.is_signed_by(&facts_of(&authority())));
}

fn facts_of(authority: &Authority) -> CertificateFacts {
    CertificateFacts::parse(authority.certificate_pem()).unwrap()
}

#[test]
fn key_finds_its_certificate_among_others() {
    let (one, two) = (authority(), authority());
    let bundle = format!("{}{}", one.certificate_pem(), two.certificate_pem());
    let loaded = Authority::load(&bundle, two.key_pem()).unwrap();
    assert_eq!(facts_of(&loaded), facts_of(&two));
    assert!(!facts_of(&one).names_issuer(&facts_of(&two)));
}

#[test]
fn renewed_authority_vouches_for_what_the_old_one_signed() {
    let now = OffsetDateTime::now_utc();
    let old = Authority::create("me", now - Duration::days(3640)).unwrap();
    let issued = old.issue_server(&identity(), now).unwrap();
    assert!(facts_of(&old).validity().is_ending_for_authority(now));
    let new = old.renewed(now).unwrap();
    assert!(!facts_of(&new).validity().is_ending_for_authority(now));
    assert_ne!(facts_of(&new).serial(), facts_of(&old).serial());
    let facts = CertificateFacts::parse(&issued.certificate_pem).unwrap();
    assert!(facts.is_signed_by(&facts_of(&new)));
    let again = new.issue_client("me", now).unwrap();
    let facts = CertificateFacts::parse(&again.certificate_pem).unwrap();
    assert!(facts.is_signed_by(&facts_of(&old)));
}

#[test]
fn lost_certificate_is_made_again_from_the_key() {
    let now = OffsetDateTime::now_utc();
    let old = authority();
    let client = old.issue_client("me", now).unwrap();
    let again = Authority::from_key("me", old.key_pem(), now).unwrap();
    let facts = CertificateFacts::parse(&client.certificate_pem).unwrap();
    assert!(facts.is_signed_by(&facts_of(&again)));
}

#[test]
fn request_is_signed_for_its_key_and_with_our_names() {
    let authority = authority();
    let key = new_key().unwrap();
    let asked = CertificateParams::new(vec!["bank.example".to_owned()]).unwrap();
    let request = asked.serialize_request(&key).unwrap().pem().unwrap();
    let now = OffsetDateTime::now_utc();
    let signed = authority.sign_server(&request, &identity(), now).unwrap();
    assert!(crate::key_belongs(&key.serialize_pem(), &signed));
    let facts = CertificateFacts::parse(&signed).unwrap();
    assert!(facts.is_signed_by(&facts_of(&authority)));
    assert!(facts.has_name("db.example.org") && !facts.has_name("bank.example"));
    assert!(facts.has_name("FD00:0::7"));

    let other = new_key().unwrap().serialize_pem();
    assert!(!crate::key_belongs(&other, &signed));
    let torn = request.replace("MI", "MJ");
    authority.sign_server(&torn, &identity(), now).unwrap_err();
}

#[test]
fn roles_are_in_the_subject() {
    let identity = ClientIdentity {
        organisation: "ci".to_owned(),
        role: "reader".to_owned(),
    };
    let validity = Validity::lasting(OffsetDateTime::now_utc(), Duration::days(7));
    let issued = authority().issue_client_for(&identity, validity).unwrap();
    let facts = CertificateFacts::parse(&issued.certificate_pem).unwrap();
    assert_eq!(facts.subject(), "O=ci, OU=reader");
    assert_eq!(facts.validity().days_left(OffsetDateTime::now_utc()), 6);
}

#[test]
fn key_of_another_authority_is_refused() {
    let error = Authority::load(authority().certificate_pem(), authority().key_pem()).unwrap_err();
    assert!(matches!(error, AuthorityError::Mismatch), "{error:?}");
}

#[test]
fn names_that_cannot_be_in_a_certificate_are_named() {
    let identity = ServerIdentity {
        names: vec!["ü".to_owned()],
        ..identity()
    };
    let error = authority()
        .issue_server(&identity, OffsetDateTime::now_utc())
        .unwrap_err();
    assert!(error.to_string().contains('ü'), "{error}");
}

#[test]
fn stable_names_are_host_names_and_differ() {
    let long = "a".repeat(128);
    for machine in ["demo", "runner-1x2y.", long.as_str()] {
        let name = stable_name(machine);
        assert_ne!(name, stable_name(machine));
        assert!(
            name.split('.').all(|label| (1..=63).contains(&label.len())),
            "{name}"
        );
    }
}

#[test]
fn debug_output_has_no_key() {
    let issued = authority()
        .issue_client("me", OffsetDateTime::now_utc())
        .unwrap();
    assert!(!format!("{issued:?}{:?}", authority()).contains("PRIVATE"));
}
