//! Reading logs that a writer has made.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

fn writer(dir: &Path, policy: LogPolicy) -> Writer {
    let file = claim(dir).expect("a log").expect("nobody writes");
    Writer::new(dir, file, policy, None).expect("a writer")
}

fn log(records: &[(Stream, u64, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = writer(dir.path(), LogPolicy::default());
    for (stream, second, data) in records {
        writer.append(*stream, at(*second), data).expect("room");
    }
    dir
}

fn small(max_files: u32, compress: bool) -> LogPolicy {
    LogPolicy {
        max_bytes: Some(64 * 1024),
        max_files,
        compress,
        transient: false,
    }
}

fn lines(dir: &Path, selection: &LogSelection) -> Vec<String> {
    let mut found = String::new();
    let mut reader = Reader::open(dir).expect("a log");
    let read = reader.for_each_line(selection, |lines| {
        found.push_str(std::str::from_utf8(&lines.data).expect("text"));
        true
    });
    read.expect("whole");
    found.split_inclusive('\n').map(str::to_owned).collect()
}

fn tail(lines: u64) -> LogSelection {
    LogSelection {
        tail: Some(lines),
        ..LogSelection::default()
    }
}

#[test]
fn lines_are_selected_by_stream_time_and_tail() {
    let dir = log(&[
        (Stream::Stdout, 1, b"a\nb\n"),
        (Stream::Stderr, 2, b"c\n"),
        (Stream::Stdout, 3, b"d\n"),
        (Stream::Stdout, 4, b"e"),
    ]);
    let found = |selection: &LogSelection| lines(dir.path(), selection);
    let all = LogSelection::default();
    assert_eq!(found(&all), ["a\n", "b\n", "c\n", "d\n", "e"]);
    assert_eq!(found(&tail(2)), ["d\n", "e"]);
    assert_eq!(found(&tail(4)), ["b\n", "c\n", "d\n", "e"]);
    assert_eq!(found(&tail(0)), Vec::<String>::new());
    let of_stderr = LogSelection {
        stream: Some(Stream::Stderr),
        ..tail(7)
    };
    assert_eq!(found(&of_stderr), ["c\n"]);
    let some = LogSelection {
        since: Some(at(2)),
        until: Some(at(3)),
        ..all
    };
    assert_eq!(found(&some), ["c\n", "d\n"]);
}

/// Many blocks and segments, both streams, lines in pieces.
fn write_much(writer: &mut Writer) -> Vec<String> {
    let mut expected = Vec::new();
    for number in 0..20_000_u64 {
        if number % 4001 == 0 {
            let text = format!("error {number}\n");
            writer
                .append(Stream::Stderr, at(number), text.as_bytes())
                .expect("room");
            expected.push(text);
        }
        let text = format!(
            "{number} {}\n",
            "x".repeat(usize::try_from(number % 61).expect("few"))
        );
        let (one, other) = text.split_at(text.len() / 2);
        for piece in [one, other] {
            writer
                .append(Stream::Stdout, at(number), piece.as_bytes())
                .expect("room");
        }
        expected.push(text);
    }
    expected
}

#[test]
fn a_tail_is_the_same_wherever_the_log_is_cut_into_blocks_and_segments() {
    for policy in [LogPolicy::default(), small(1000, false)] {
        let dir = tempfile::tempdir().expect("a directory");
        let expected = write_much(&mut writer(dir.path(), policy));
        for count in [1, 2, 10, 999, 5_000, 19_000, 50_000] {
            let from = expected.len().saturating_sub(count);
            let found = lines(dir.path(), &tail(count as u64));
            assert!(found == expected[from..], "{count}: {}", found.len());
        }
        let of_stderr = LogSelection {
            stream: Some(Stream::Stderr),
            ..tail(2)
        };
        let found = lines(dir.path(), &of_stderr);
        assert_eq!(found, ["error 12003\n", "error 16004\n"]);
    }
}

#[test]
fn what_was_there_is_read_to_its_end_while_rotation_removes_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = writer(dir.path(), small(3, false));
    let mut text = Vec::new();
    for number in 0..3000 {
        let line = format!("{number:060}\n");
        writer
            .append(Stream::Stdout, at(1), line.as_bytes())
            .expect("room");
        writer.prune(u64::MAX);
        text.push(line);
    }
    let expected = lines(dir.path(), &LogSelection::default());
    let mut reader = Reader::open(dir.path()).expect("a log");
    for number in 3000..9000 {
        let line = format!("{number:060}\n");
        writer
            .append(Stream::Stdout, at(1), line.as_bytes())
            .expect("room");
        writer.prune(u64::MAX);
    }
    let mut found = Vec::new();
    let mut lost = 0;
    while let Some(record) = reader.next_record().expect("whole") {
        lost += record.lost;
        found.push(String::from_utf8(record.data).expect("text"));
    }
    let n_before = expected.len();
    // The segment that was written then has got more since.
    assert!(found.len() > n_before);
    assert_eq!(found[..n_before], expected[..]);
    assert_eq!(
        found.last().map(String::as_str),
        Some(format!("{:060}\n", 8999).as_str())
    );
    // And what is missing between what was open and what is there now is told.
    let length = 61 + HEADER as u64;
    assert_eq!(lost % length, 0);
    let first: u64 = found[0].trim().parse().expect("a number");
    assert_eq!(first + found.len() as u64 + lost / length, 9000);
}

#[test]
fn compressed_segments_are_read_like_others() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut writer = writer(dir.path(), small(1000, true));
    let expected = write_much(&mut writer);
    let mut packed = 0;
    while let Some(packing) = writer.packing(u64::MAX) {
        packing().expect("compressed");
        packed += 1;
    }
    assert!(packed > 10);
    let names = std::fs::read_dir(dir.path()).expect("a directory");
    let plain = names.filter(|entry| {
        let name = entry.as_ref().expect("an entry").file_name();
        !name.to_string_lossy().ends_with(".gz")
    });
    assert_eq!(plain.count(), 1);
    assert!(lines(dir.path(), &LogSelection::default()) == expected);
    assert!(lines(dir.path(), &tail(7000)) == expected[expected.len() - 7000..]);
    drop(writer);
    // And another writer goes on behind them.
    let mut writer = self::writer(dir.path(), small(1000, true));
    writer
        .append(Stream::Stdout, at(9), b"last\n")
        .expect("room");
    assert_eq!(lines(dir.path(), &tail(1)), ["last\n"]);
}

#[test]
fn a_record_longer_than_what_is_read_ahead_comes_whole() {
    let long = vec![b'x'; 3 * 64 * 1024];
    let dir = log(&[(Stream::Stdout, 1, &long), (Stream::Stderr, 2, b"after")]);
    let mut reader = Reader::open(dir.path()).expect("a log");
    assert_eq!(
        reader.next_record().expect("whole").expect("one").data,
        long
    );
    assert_eq!(
        reader.next_record().expect("whole").expect("one").data,
        b"after"
    );
    assert_eq!(reader.next_record().expect("whole"), None);
}

#[test]
fn a_torn_record_at_the_end_is_not_there_yet() {
    let dir = log(&[
        (Stream::Stdout, 1, b"whole"),
        (Stream::Stdout, 2, b"torn off"),
    ]);
    let path = dir.path().join(FILE_NAME);
    let file = File::options().write(true).open(&path).expect("a log");
    let length = file.metadata().expect("a file").len();
    file.set_len(length - 3).expect("cut");
    let mut reader = Reader::open(dir.path()).expect("a log");
    assert_eq!(
        reader.next_record().expect("whole").expect("one").data,
        b"whole"
    );
    let offset = reader.offset();
    assert_eq!(reader.next_record().expect("no damage"), None);
    assert_eq!(reader.offset(), offset);
    file.write_all_at(b"off", length - 3).expect("written");
    assert_eq!(
        reader.next_record().expect("whole").expect("one").data,
        b"torn off"
    );
}

/// Reads all records; returns their data and how much was missing.
fn read_all(dir: &Path) -> (Vec<u8>, u64) {
    let mut reader = Reader::open(dir).expect("a log");
    let (mut data, mut lost) = (Vec::new(), 0);
    while let Some(record) = reader.next_record().expect("readable") {
        data.extend(record.data);
        lost += record.lost;
    }
    (data, lost)
}

#[test]
fn what_follows_damage_is_shown_and_what_is_missing_is_counted() {
    for junk in [[0_u8; 4096], [0xee; 4096]] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = writer(dir.path(), LogPolicy::default());
        // Records that fill two blocks and more.
        for number in 0..1500_u32 {
            let line = format!("{number:0400}\n");
            let written = log.append(Stream::Stdout, at(1), line.as_bytes());
            written.expect("room");
        }
        let (whole, _) = read_all(dir.path());
        // A power failure has taken a page of the first block.
        let hole = log.file().write_all_at(&junk, 4096);
        hole.expect("written");
        let (read, lost) = read_all(dir.path());
        assert!(lost > 200 * 1024 && lost < segment::BLOCK, "{lost}");
        assert!(read.ends_with(b"1499\n"));
        assert!(whole.starts_with(&read[..3000]));
        // Nothing else is missing.
        let tail_begins =
            read.len() - (whole.len() - usize::try_from(segment::BLOCK).expect("a number"));
        assert!(whole.ends_with(&read[tail_begins..]));
        assert_eq!(lines(dir.path(), &tail(1)), [format!("{:0400}\n", 1499)]);
        log.append(Stream::Stdout, at(1), b"more\n").expect("room");
        assert!(read_all(dir.path()).0.ends_with(b"1499\nmore\n"));
    }
}

#[test]
fn a_compressed_segment_that_cannot_be_read_is_lost_and_no_more() {
    for kept in [0, 1000] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut log = writer(dir.path(), small(5, true));
        let mut number = 0_u32;
        while log.file().metadata().expect("a file").len() > 100 || number < 200 {
            // Not to be compressed to nothing.
            let noise: String = (0..40)
                .map(|n| {
                    format!(
                        "{:x}",
                        u64::from(number + n).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    )
                })
                .collect();
            let line = format!("{number} {noise}\n");
            log.append(Stream::Stdout, at(1), line.as_bytes())
                .expect("room");
            number += 1;
            if number > 2000 {
                break;
            }
        }
        log.append(Stream::Stdout, at(1), b"last\n").expect("room");
        let base = log.beginning();
        log.packing(u64::MAX).expect("a segment")().expect("packed");
        let packed = segment::packed(dir.path(), base);
        let file = File::options().write(true).open(&packed).expect("packed");
        assert!(file.metadata().expect("a file").len() > 2000);
        file.set_len(kept).expect("cut");
        let (read, lost) = read_all(dir.path());
        assert!(read.ends_with(b"last\n") && lost > 0, "{lost}");
        assert_eq!(lines(dir.path(), &tail(1)), ["last\n"]);
        let all = lines(dir.path(), &LogSelection::default());
        assert_eq!(all.last().map(String::as_str), Some("last\n"));
    }
}

#[test]
fn a_rotation_hides_nothing_from_who_opens_the_log_in_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = writer(dir.path(), small(5, false));
    let line = "x".repeat(40 * 1024) + "\n";
    for _ in 0..3 {
        log.append(Stream::Stdout, at(1), line.as_bytes())
            .expect("room");
    }
    // As it is between the two renamings: the last complete segment has no name yet.
    let last = segment::list(dir.path())
        .expect("segments")
        .pop()
        .expect("one");
    std::fs::rename(last.path(dir.path()), dir.path().join(segment::NEXT)).expect("renamed");
    let (read, lost) = read_all(dir.path());
    assert_eq!((read.len(), lost), (3 * line.len(), 0));
}

#[test]
fn a_missing_log_is_empty() {
    let dir = tempfile::tempdir().expect("a directory");
    assert_eq!(
        lines(dir.path(), &LogSelection::default()),
        Vec::<String>::new()
    );
    assert_eq!(lines(dir.path(), &tail(3)), Vec::<String>::new());
}

#[test]
fn what_is_no_record_at_the_end_is_looked_at_again_when_something_else_is_there() {
    let dir = log(&[(Stream::Stdout, 1, b"whole\n")]);
    let path = dir.path().join(FILE_NAME);
    let file = File::options().write(true).open(&path).expect("the log");
    let length = file.metadata().expect("length").len();
    let mut reader = Reader::open(dir.path()).expect("a log");
    file.write_all_at(&[0xff; 100], length).expect("junk");
    let first = reader.next_record().expect("whole").expect("a record");
    assert_eq!(first.data, b"whole\n");
    assert!(reader.next_record().expect("readable").is_none());
    // As the next writer does, which cuts off what is torn.
    file.set_len(length).expect("cut");
    assert!(reader.next_record().expect("readable").is_none());
    let mut writer = writer(dir.path(), LogPolicy::default());
    writer
        .append(Stream::Stdout, at(2), b"next\n")
        .expect("room");
    let next = reader.next_record().expect("readable").expect("a record");
    assert_eq!((next.data.as_slice(), next.lost), (&b"next\n"[..], 0));
}
