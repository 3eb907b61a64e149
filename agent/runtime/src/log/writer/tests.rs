//! Rotation, blocks, and what a crash or a slow client leaves.

use std::time::{Duration, UNIX_EPOCH};

use super::super::{Reader, claim};
use super::*;

fn writer(dir: &Path, policy: LogPolicy) -> Writer {
    Writer::new(dir, claim(dir).unwrap().unwrap(), policy, None).unwrap()
}

fn texts(dir: &Path) -> Vec<String> {
    let mut reader = Reader::open(dir).unwrap();
    let mut texts = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        texts.push(String::from_utf8(record.data).unwrap());
    }
    texts
}

fn say(writer: &mut Writer, text: &str) {
    let time = UNIX_EPOCH + Duration::from_secs(1);
    writer
        .append(Stream::Stdout, time, text.as_bytes())
        .unwrap();
}

fn small(max_files: u32) -> LogPolicy {
    LogPolicy {
        max_bytes: Some(100),
        max_files,
        ..LogPolicy::default()
    }
}

#[test]
fn what_a_crash_has_torn_is_cut_off_before_new_records() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = writer(dir.path(), LogPolicy::default());
    say(&mut first, "first");
    say(&mut first, "second");
    let length = first.file().metadata().unwrap().len();
    first.file().set_len(length - 2).unwrap();
    drop(first);
    say(&mut writer(dir.path(), LogPolicy::default()), "third");
    assert_eq!(texts(dir.path()), ["first", "third"]);
}

#[test]
fn records_of_any_length_leave_every_block_with_one_at_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = writer(dir.path(), LogPolicy::default());
    let mut written = String::new();
    for number in 0..3000_usize {
        let text = format!("{number:0width$}\n", width = number * 7 % 997);
        say(&mut log, &text);
        written.push_str(&text);
    }
    assert!(log.position() > 4 * BLOCK);
    for block in 1..log.position() / BLOCK {
        let mut bytes = [0; HEADER];
        log.file().read_exact_at(&mut bytes, block * BLOCK).unwrap();
        assert!(Header::decode(bytes).is_some(), "block {block}");
    }
    assert!(texts(dir.path()).concat() == written);
    let end = log.end();
    drop(log);
    assert_eq!(writer(dir.path(), LogPolicy::default()).end(), end);
}

#[test]
fn so_many_segments_are_kept_and_no_more() {
    for (max_files, kept) in [(1, 1), (3, 3)] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(dir.path(), small(max_files));
        for number in 0..10 {
            // Of the length that nothing else goes into a segment.
            say(&mut log, &format!("{number:080}"));
            log.prune(u64::MAX);
        }
        let found: Vec<usize> = texts(dir.path())
            .iter()
            .map(|t| t.parse().unwrap())
            .collect();
        assert_eq!(found, (10 - kept..10).collect::<Vec<_>>());
        let end = log.end();
        drop(log);
        // And the offsets go on after a restart.
        let mut log = writer(dir.path(), small(max_files));
        assert_eq!(log.end(), end);
        say(&mut log, &format!("{:080}", 10));
        log.prune(u64::MAX);
        let last = texts(dir.path()).pop().unwrap();
        assert_eq!(last.parse::<usize>().unwrap(), 10);
    }
}

#[test]
fn what_an_attached_client_needs_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = writer(dir.path(), small(1));
    say(&mut log, &format!("{:080}", 0));
    let needed = log.end();
    for number in 1..4 {
        say(&mut log, &format!("{number:080}"));
        log.prune(needed);
    }
    let Found::Complete(held) = log.find(needed).unwrap() else {
        panic!("it is needed");
    };
    assert_eq!(held.position_of(needed), Some(HEAD));
    assert!(matches!(log.find(0).unwrap(), Found::Gone { next } if next == needed));
    let end = log.end();
    log.prune(end);
    assert!(matches!(log.find(needed).unwrap(), Found::Gone { .. }));
    assert!(matches!(log.find(end).unwrap(), Found::Written));
    assert_eq!(texts(dir.path()).len(), 1);
}

#[test]
fn a_change_of_segments_that_was_cut_off_anywhere_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let next = dir.path().join(NEXT);
    let mut log = writer(dir.path(), small(5));
    say(&mut log, &format!("{:080}", 0));
    let end = log.end();
    drop(log);
    // Before the names were exchanged.
    fs::write(&next, segment::head(end)).unwrap();
    drop(writer(dir.path(), small(5)));
    assert!(!next.exists());
    // After it.
    fs::write(&next, segment::head(end)).unwrap();
    exchange(&next, &dir.path().join(FILE_NAME)).unwrap();
    let mut log = writer(dir.path(), small(5));
    assert!(!next.exists());
    assert_eq!(log.end(), end);
    say(&mut log, "after");
    assert_eq!(
        texts(dir.path()),
        [format!("{:080}", 0), "after".to_owned()]
    );
}

#[test]
fn a_segment_that_did_not_get_its_name_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = writer(dir.path(), small(5));
    // A folder of that name lets the renaming fail.
    let blocked = segment::complete(dir.path(), 0);
    fs::create_dir(&blocked).unwrap();
    for number in 0..4 {
        say(&mut log, &format!("{number:080}"));
    }
    fs::remove_dir(&blocked).unwrap();
    for number in 4..6 {
        say(&mut log, &format!("{number:080}"));
    }
    let found: Vec<usize> = texts(dir.path())
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    assert_eq!(found, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn what_was_given_up_is_told_before_the_next_record() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = writer(dir.path(), LogPolicy::default());
    say(&mut log, "before");
    log.give_up(70);
    log.give_up(7);
    say(&mut log, "after");
    let mut reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.next_record().unwrap().unwrap().lost, 0);
    assert_eq!(reader.next_record().unwrap().unwrap().lost, 77);
}
