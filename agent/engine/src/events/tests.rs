//! Events: order, bounds, listeners, filters.

use super::*;
use crate::events::filter::EventFilter;

fn publish(events: &Events, action: &str) {
    events.publish(
        EventKind::Container,
        action,
        "0123",
        attributes([("name", "web"), ("image", "host:5000/app:1"), ("a", "b")]),
    );
}

#[test]
fn the_ring_keeps_the_newest_and_numbers_go_on() {
    let events = Events::default();
    for n in 0..KEPT + 10 {
        publish(&events, &n.to_string());
    }
    let ring = events.lock();
    assert_eq!(ring.events.len(), KEPT);
    assert_eq!(ring.end(), KEPT as u64 + 10);
    // Who asks for an event that is gone gets the oldest that is left.
    let (position, event) = ring.at(0).expect("an event");
    assert_eq!((position, event.action.as_str()), (10, "10"));
    assert!(ring.at(ring.end()).is_none());
    drop(ring);
}

#[test]
fn time_never_goes_back_unless_the_clock_was_far_ahead() {
    let mut ring = Ring {
        events: VecDeque::new(),
        n_gone: 0,
        last: SystemTime::UNIX_EPOCH,
    };
    let now = SystemTime::now();
    let first = ring.next_time(now);
    let second = ring.next_time(now - Duration::from_secs(5));
    assert_eq!(first, now);
    assert_eq!(second, now + Duration::from_nanos(1));
    let corrected = now - Duration::from_secs(3600);
    assert_eq!(ring.next_time(corrected), corrected);
}

#[test]
fn filters_choose_events_as_dockers() {
    let event = |action: &str| Event {
        kind: EventKind::Container,
        action: action.to_owned(),
        actor_id: "0123456789".to_owned(),
        attributes: attributes([("name", "web"), ("image", "host:5000/app:1"), ("a", "b")]),
        time: SystemTime::now(),
    };
    let includes = |texts: &[&str], action: &str| {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        EventFilter::parse(&texts, "me")
            .expect("filters")
            .includes(&event(action))
    };
    for yes in [
        &["container=we"][..],
        &["container=0123"],
        &["image=host:5000/app"],
        &["image=host:5000/app:1"],
        &["type=container", "type=image"],
        &["label=a", "label=a=b"],
        &["event=start", "event=die"],
        &["scope=local", "daemon=me"],
    ] {
        assert!(includes(yes, "die"), "{yes:?}");
    }
    for no in [
        &["container=eb"][..],
        &["image=app"],
        &["type=image"],
        &["label=a", "label=c"],
        &["event=start"],
        &["volume=v"],
        &["daemon=you"],
    ] {
        assert!(!includes(no, "die"), "{no:?}");
    }
    assert!(includes(&["event=exec_start"], "exec_start: sh -c x"));
    assert!(includes(&["event=health_status"], "health_status: healthy"));
    assert!(!includes(&["event=exec"], "exec_start: sh"));
    EventFilter::parse(&["foo=1".to_owned()], "me").expect_err("no such key");
}
