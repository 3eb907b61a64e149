//! Hosts of distributions that the tests cannot boot, as their probes would be: `os-release` as the
//! distribution publishes it, mounts and programs as its documentation describes them. None of
//! these files was made by a run on such a host.

use crate::facts::{HostFacts, Init, Privilege, Selinux};
use crate::os_release::Family;

const SIZE: u64 = 12_000_000;

/// What is expected of a host: its family, init, way to be root, SELinux, groups, folder.
type Expected = (Family, Init, Privilege, Selinux, &'static str, &'static str);

fn facts(text: &str) -> HostFacts {
    HostFacts::parse(text).unwrap()
}

macro_rules! host {
    ($name:ident, $file:literal, $expected:expr) => {
        #[test]
        fn $name() {
            let facts = facts(include_str!(concat!(
                "../tests/described/",
                $file,
                ".probe"
            )));
            let (family, init, privilege, selinux, cgroups, folder): Expected = $expected;
            assert_eq!(facts.os.family(), family);
            assert_eq!(facts.init, init);
            assert_eq!(facts.privilege, privilege);
            assert_eq!(facts.selinux, selinux);
            assert_eq!(facts.cgroups, cgroups);
            assert_eq!(facts.folder_for("none", SIZE).unwrap(), folder);
        }
    };
}

use Family::{Alpine, Arch, Debian, Fedora, Other, Suse};
use Init::{OpenRc, Own, Systemd};
use Privilege::{Doas, Root, Sudo};
use Selinux::{Enforcing, Off, Permissive};

const USUAL: &str = "/usr/local/bin";
const OPT: &str = "/opt/berth/bin";

host!(
    debian_12,
    "debian-12",
    (Debian, Systemd, Sudo, Off, "2", USUAL)
);
host!(
    ubuntu_24_04,
    "ubuntu-24.04",
    (Debian, Systemd, Sudo, Off, "2", USUAL)
);
host!(
    raspbian_11,
    "raspbian-11",
    (Debian, Systemd, Sudo, Off, "2", USUAL)
);
host!(
    fedora_41,
    "fedora-41",
    (Fedora, Systemd, Sudo, Enforcing, "2", USUAL)
);
host!(
    fedora_coreos_41,
    "fedora-coreos-41",
    (Fedora, Systemd, Sudo, Enforcing, "2", USUAL)
);
host!(
    rhel_9_with_noexec_tmp,
    "rhel-9",
    (Fedora, Systemd, Sudo, Enforcing, "2", USUAL)
);
host!(
    rocky_8_with_groups_of_version_1,
    "rocky-8",
    (Fedora, Systemd, Root, Permissive, "1", USUAL)
);
host!(
    amazon_2023,
    "amazon-2023",
    (Fedora, Systemd, Sudo, Permissive, "2", USUAL)
);
host!(
    leap_15_6,
    "opensuse-leap-15.6",
    (Suse, Systemd, Root, Off, "hybrid", USUAL)
);
host!(
    microos_with_read_only_usr,
    "opensuse-microos",
    (Suse, Systemd, Root, Enforcing, "2", OPT)
);
host!(
    sles_15_5,
    "sles-15.5",
    (Suse, Systemd, Root, Off, "hybrid", USUAL)
);
host!(arch, "arch", (Arch, Systemd, Sudo, Off, "2", USUAL));
host!(
    alpine_3_20_with_doas,
    "alpine-3.20",
    (Alpine, OpenRc, Doas, Off, "2", USUAL)
);
host!(
    alpine_from_memory,
    "alpine-diskless",
    (Alpine, OpenRc, Root, Off, "2", USUAL)
);
host!(
    flatcar_with_read_only_usr,
    "flatcar",
    (Other, Systemd, Sudo, Permissive, "2", OPT)
);
host!(
    busybox_without_anything,
    "busybox",
    (Other, Own, Root, Off, "", USUAL)
);

#[test]
fn processors_and_names_are_read() {
    let amazon = facts(include_str!("../tests/described/amazon-2023.probe"));
    assert_eq!(amazon.architecture, "aarch64");
    assert_eq!(amazon.os.pretty_name, "Amazon Linux 2023.6.20250218");
    let busybox = facts(include_str!("../tests/described/busybox.probe"));
    assert_eq!((busybox.os.id.as_str(), busybox.has_gzip), ("linux", false));
}

#[test]
fn a_folder_without_room_is_told_with_its_numbers() {
    let ubuntu = facts(include_str!("../tests/described/ubuntu-24.04.probe"));
    let error = ubuntu.folder_for("none", 6_000_000_000).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/usr/local/bin on the host has 5.2 GB free, and 6.0 GB are needed (file system /)"
    );
}
