//! Input and output of block devices.

use super::DeviceCounters;
use super::text::Files;

/// Files of version 1 with bytes, and with numbers of operations, the best first.
const FILES_V1: [(&str, &str); 3] = [
    (
        "blkio.io_service_bytes_recursive",
        "blkio.io_serviced_recursive",
    ),
    (
        "blkio.throttle.io_service_bytes_recursive",
        "blkio.throttle.io_serviced_recursive",
    ),
    (
        "blkio.throttle.io_service_bytes",
        "blkio.throttle.io_serviced",
    ),
];

pub(super) fn read_v1(files: &mut Files) -> Vec<DeviceCounters> {
    for (bytes, operations) in FILES_V1 {
        let mut devices = Vec::new();
        for (number, read, value) in lines_v1(files.text(bytes)) {
            let device = device(&mut devices, number);
            *(if read {
                &mut device.read_bytes
            } else {
                &mut device.write_bytes
            }) += value;
        }
        if devices.is_empty() {
            continue;
        }
        for (number, read, value) in lines_v1(files.text(operations)) {
            let device = device(&mut devices, number);
            *(if read {
                &mut device.reads
            } else {
                &mut device.writes
            }) += value;
        }
        return devices;
    }
    Vec::new()
}

/// Returns device, whether it is about reads, and value of the lines that are about reads or writes.
fn lines_v1(text: &str) -> impl Iterator<Item = ((u64, u64), bool, u64)> {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let device = number(words.next()?)?;
        let read = match words.next()? {
            "Read" => true,
            "Write" => false,
            _ => return None,
        };
        Some((device, read, words.next()?.parse().ok()?))
    })
}

pub(super) fn read_unified(files: &mut Files) -> Vec<DeviceCounters> {
    let mut devices = Vec::new();
    for line in files.text("io.stat").lines() {
        let mut words = line.split_whitespace();
        let Some(number) = words.next().and_then(number) else {
            continue;
        };
        let device = device(&mut devices, number);
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            let value = value.parse().unwrap_or(0);
            match name {
                "rbytes" => device.read_bytes = value,
                "wbytes" => device.write_bytes = value,
                "rios" => device.reads = value,
                "wios" => device.writes = value,
                _ => {}
            }
        }
    }
    devices
}

fn number(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn device(devices: &mut Vec<DeviceCounters>, (major, minor): (u64, u64)) -> &mut DeviceCounters {
    let known = devices
        .iter()
        .position(|d| (d.major, d.minor) == (major, minor));
    let index = known.unwrap_or(devices.len());
    if known.is_none() {
        devices.push(DeviceCounters {
            major,
            minor,
            ..DeviceCounters::default()
        });
    }
    &mut devices[index]
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const EXPECTED: DeviceCounters = DeviceCounters {
        major: 254,
        minor: 16,
        read_bytes: 4096,
        write_bytes: 8192,
        reads: 1,
        writes: 2,
    };

    #[test]
    fn both_versions_are_read() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            (
                "blkio.throttle.io_service_bytes",
                "254:16 Read 4096\n254:16 Write 8192\n254:16 Sync 1\n254:16 Total 12288\nTotal 12288\n",
            ),
            (
                "blkio.throttle.io_serviced",
                "254:16 Read 1\n254:16 Write 2\nTotal 3\n",
            ),
            (
                "io.stat",
                "254:16 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n",
            ),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let mut files = Files::default();
        files.enter(dir.path());
        assert_eq!(read_v1(&mut files), [EXPECTED]);
        assert_eq!(read_unified(&mut files), [EXPECTED]);
    }
}
