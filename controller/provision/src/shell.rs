//! The shell that installs, starts, tries and takes back an agent.
//!
//! While a new agent (or its configuration) is tried, what was there before lies in
//! `/etc/berth/previous`, with the former executable beside the new one. It stays there until the
//! controller has spoken to the new agent, so that whoever comes next (this script, another one, or
//! the service's own start after a power cut) can take it back. `/etc/berth/good` says that there
//! is something to go back to.

use crate::facts::Init;

/// What every script has: `say` tells the controller, `restore` takes back what was kept. A script
/// that has begun goes on to its end, also when nobody listens any more.
pub(crate) const TOOLS: &str = r#"
set -eu
umask 077
LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL PATH
trap '' HUP PIPE
etc=/etc/berth
saved=/etc/berth/previous
say() { echo "berth:$1" 2>/dev/null || :; }
within() {
    if command -v timeout >/dev/null; then timeout "$@"; else shift; "$@"; fi
}
# Agents of this host that do not end when they are told to.
kill_agents() {
    for process in /proc/[0-9]*; do
        line=$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null) || continue
        case $line in
            */berthd\ serve\ --config\ /etc/berth/*|*/berthd\ watch\ *--config\ /etc/berth/*|\
                */.berthd-previous\ serve\ --config\ /etc/berth/*)
                if [ "$(readlink "$process/ns/pid")" = "$(readlink /proc/self/ns/pid)" ]; then
                    kill -KILL "${process#/proc/}" 2>/dev/null || :
                fi ;;
        esac
    done
}
"#;

/// Takes back what was kept; begun again after a power cut, it goes on.
const RESTORE: &str = r#"
restore() {
    while read -r name path; do
        if [ -e "$saved/$name" ]; then
            mv -f "$saved/$name" "$path"
        elif [ -e "$saved/$name.absent" ]; then
            rm -f "$path"
        fi
    done <$saved/paths
    before=$(cat $saved/folder)
    if [ -e "$before/.berthd-previous" ]; then
        mv -f "$before/.berthd-previous" "$before/berthd"
    elif [ -e $saved/fresh ]; then
        rm -f "$before/berthd"
    fi
    rm -f "$before/.berthd-next"
    rm -rf $saved $etc/.changed
}
"#;

/// Keeps what is about to be replaced, and replaces it.
pub(crate) const CHANGE: &str = r#"
begin() {
    if [ -e $saved/trying ] || ! [ -e $etc/good ]; then return; fi
    rm -rf $saved
    mkdir $saved
    echo "$folder" >$saved/folder
    former="$folder"
    for other in "$folder" /usr/local/bin /opt/berth/bin /var/lib/berth/bin; do
        if [ -e "$other/berthd" ]; then
            former=$other
            break
        fi
    done
    echo "$former" >$saved/former
    : >$saved/paths
    : >$saved/trying
}
# Keeps the file $2 under the name $1, unless one that was cut off has kept it before.
keep() {
    begin
    if ! [ -e $saved/trying ] || [ -e "$saved/$1" ] || [ -e "$saved/$1.absent" ]; then return; fi
    echo "$1 $2" >>$saved/paths
    if [ -e "$2" ]; then
        cp -p "$2" "$saved/$1.new"
        mv -f "$saved/$1.new" "$saved/$1"
    else
        : >"$saved/$1.absent"
    fi
}
# Writes standard input to the file $2 with mode $3 if it differs; $4 is what people call it.
put() {
    cat >"$2.new"
    chmod "$3" "$2.new"
    if [ -f "$2" ] && [ "$(cat "$2")" = "$(cat "$2.new")" ]; then
        rm -f "$2.new"
        chmod "$3" "$2"
    else
        keep "$1" "$2"
        changed=1
        : >$etc/.changed
        mv -f "$2.new" "$2"
        say "changed=$4"
    fi
}
# Puts the executable that waits in place of the one that is there.
switch() {
    next=$folder/.berthd-next
    [ -e "$next" ] || return 0
    begin
    if [ -e $saved/trying ] && ! [ -e "$folder/.berthd-previous" ] && ! [ -e $saved/fresh ]; then
        if [ -e "$folder/berthd" ]; then
            ln "$folder/berthd" "$folder/.berthd-previous" 2>/dev/null ||
                cp -p "$folder/berthd" "$folder/.berthd-previous"
            # The power may fail at any moment from now on.
            sync "$next" 2>/dev/null || sync
        else
            : >$saved/fresh
        fi
    fi
    changed=1
    : >$etc/.changed
    mv -f "$next" "$folder/berthd"
    say changed=binary
}
"#;

/// `systemctl` returns when the agent has notified systemd, or has failed.
const SYSTEMD: &str = r#"
is_up() { systemctl is-active -q berthd; }
register() { systemctl daemon-reload; systemctl enable -q berthd; }
stop_agent() { systemctl kill -s KILL --kill-who=main berthd 2>/dev/null || :; }
start_agent() {
    systemctl reset-failed berthd 2>/dev/null || :
    within "$1" systemctl restart berthd
}
last_words() { journalctl -u berthd -n 20 --no-pager -o cat || :; }
"#;

/// The pipe is opened before the service is started, so that its word cannot be missed. An agent that
/// cannot start is started over and over, and says nothing.
const OPENRC: &str = r#"
is_up() { rc-service -q berthd status; }
register() { rc-update -q add berthd default; }
stop_agent() { kill_agents; }
start_agent() {
    [ -p /run/berth/ready ] || mkfifo -m 0600 /run/berth/ready
    exec 4<>/run/berth/ready
    : >/var/log/berthd.log
    word=
    if (trap - HUP PIPE; exec rc-service berthd restart) >&2 4<&-; then
        word=$(within "$1" head -n 1 <&4) || :
    fi
    exec 4<&-
    [ "$word" = ready ]
}
last_words() { tail -n 20 /var/log/berthd.log || :; }
"#;

/// The agent's own supervisor leaves this session; what holds the pipe open is only the first
/// agent, so that the end of the pipe without a word means that it has died.
const OWN: &str = r#"
log=/var/log/berthd.log
is_up() {
    old=$(cat /run/berth/watch.pid 2>/dev/null || :)
    case $(readlink "/proc/${old:-none}/exe" 2>/dev/null || :) in
        */berthd*|*/.berthd-*) ;;
        *) old= ;;
    esac
    [ -n "$old" ]
}
register() { :; }
stop_agent() { kill_agents; }
start_agent() {
    mark=$(wc -c <"$log" 2>/dev/null || echo 0)
    if is_up; then
        kill -TERM "$old" 2>/dev/null || :
        tries=0
        while kill -0 "$old" 2>/dev/null; do
            tries=$((tries + 1))
            if [ "$tries" = 200 ]; then
                echo "the former agent (process $old) does not end" >&2
                return 1
            fi
            sleep 0.1 2>/dev/null || sleep 1
        done
    fi
    word=$( (
        trap - HUP PIPE
        umask 022
        set -a
        . /etc/berth/environment
        set +a
        exec "$folder/berthd" watch --config /etc/berth/berthd.json --ready-fd 3
    ) 3>&1 >>"$log" 2>&1 </dev/null | within "$1" head -n 1) || :
    [ "$word" = ready ]
}
last_words() { tail -c "+$((${mark:-0} + 1))" "$log" | tail -n 20 || :; }
"#;

/// Goes back to what was kept, and starts it.
pub(crate) const GO_BACK: &str = r#"
go_back() {
    stop_agent
    # A former agent of another folder has stayed there.
    folder=$(cat $saved/former 2>/dev/null || cat $saved/folder)
    restore
    register
    if start_agent 60; then
        say went-back=1
    else
        say went-back=0
        echo "the former agent does not start either:" >&2 || :
        last_words >&2
    fi
}
"#;

/// Returns what a script for this kind of host begins with.
pub(crate) fn tools(init: Init, folder: &str) -> String {
    let service = match init {
        Init::Systemd => SYSTEMD,
        Init::OpenRc => OPENRC,
        Init::Own => OWN,
    };
    format!("{TOOLS}folder={folder}\n{RESTORE}{service}")
}

/// Returns the file that services run before the agent: where one that is still being tried has been
/// started five times since the machine was, it takes the former one back and fails, so that the
/// service begins again with what it was before.
pub(crate) fn guard(init: Init) -> String {
    let again = match init {
        Init::Systemd => "systemctl daemon-reload",
        // Its supervisor, of whose processes this is one, has to go first.
        Init::OpenRc => "setsid rc-service berthd restart >/dev/null 2>&1 </dev/null &",
        Init::Own => "",
    };
    format!(
        "#!/bin/sh\n# Written by berth; runs before each start of its agent.\n\
         etc=/etc/berth\nsaved=/etc/berth/previous\n\
         [ -e $saved/trying ] || exit 0\n\
         read -r boot </proc/sys/kernel/random/boot_id\n\
         echo \"$boot\" >>$saved/trying\n\
         [ \"$(grep -c \"$boot\" $saved/trying)\" -gt 5 ] || exit 0\n\
         echo 'berth: the new agent does not start, so the former one is taken back' >&2\n\
         {RESTORE}restore\n{again}\nexit 75\n"
    )
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn scripts_are_shell() {
        for init in [Init::Systemd, Init::OpenRc, Init::Own] {
            for text in [
                format!("{}{CHANGE}{GO_BACK}", tools(init, "/x")),
                guard(init),
            ] {
                let status = Command::new("sh").args(["-n", "-c", &text]).status();
                assert!(status.unwrap().success(), "{text}");
            }
        }
    }
}
