//! Who a process runs as: reads `user[:group]` against the texts of `/etc/passwd` and `/etc/group`.
//! Reading those files safely out of a container is the part of `start::request`.

/// Ids and home of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ResolvedUser {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) additional_gids: Vec<u32>,
    pub(crate) home: String,
}

/// The user or group does not exist in the image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// A name that the image does not know.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    User(String),
    /// A group that the image does not know.
    #[error("unable to find group {0}: no matching entries in group file")]
    Group(String),
    /// A number out of range.
    #[error("uids and gids must be in range 0-2147483647")]
    Range,
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

struct GroupEntry<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

/// Resolves `spec` (empty: root) and further `groups`. Missing files are empty texts.
pub(crate) fn resolve(
    spec: &str,
    groups: &[String],
    passwd: &str,
    group: &str,
) -> Result<ResolvedUser, UserError> {
    let mut user = resolve_user(spec, passwd, group)?;
    for name in groups {
        let gid = resolve_group(name, group)?;
        if !user.additional_gids.contains(&gid) {
            user.additional_gids.push(gid);
        }
    }
    Ok(user)
}

fn resolve_user(spec: &str, passwd: &str, group: &str) -> Result<ResolvedUser, UserError> {
    let (user, group_spec) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|g| !g.is_empty())),
        None => (spec, None),
    };
    let number = number(user)?;
    // A number is looked up as a name first, as useradd permits names of digits.
    let entry = passwd_entries(passwd)
        .find(|e| {
            if user.is_empty() {
                e.uid == 0
            } else {
                e.name == user
            }
        })
        .or_else(|| passwd_entries(passwd).find(|e| Some(e.uid) == number));
    let (uid, gid, home) = match (&entry, number) {
        (Some(entry), _) => (entry.uid, entry.gid, entry.home),
        (None, Some(number)) => (number, 0, "/"),
        (None, None) if user.is_empty() => (0, 0, "/root"),
        (None, None) => return Err(UserError::User(user.to_owned())),
    };
    let home = if home.is_empty() { "/" } else { home }.to_owned();
    if let Some(spec) = group_spec {
        let gid = resolve_group(spec, group)?;
        return Ok(ResolvedUser {
            uid,
            gid,
            additional_gids: vec![gid],
            home,
        });
    }
    let name = entry.map(|e| e.name);
    let mut additional_gids = vec![gid];
    for candidate in group_entries(group) {
        let member = name.is_some_and(|n| candidate.members.split(',').any(|m| m == n));
        if member && !additional_gids.contains(&candidate.gid) {
            additional_gids.push(candidate.gid);
        }
    }
    Ok(ResolvedUser {
        uid,
        gid,
        additional_gids,
        home,
    })
}

fn resolve_group(spec: &str, group: &str) -> Result<u32, UserError> {
    if let Some(entry) = group_entries(group).find(|e| e.name == spec) {
        return Ok(entry.gid);
    }
    number(spec)?.ok_or_else(|| UserError::Group(spec.to_owned()))
}

fn number(text: &str) -> Result<Option<u32>, UserError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id <= i32::MAX.unsigned_abs() => Ok(Some(id)),
        _ => Err(UserError::Range),
    }
}

fn passwd_entries(text: &str) -> impl Iterator<Item = PasswdEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|n| !n.is_empty())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let home = fields.nth(1).unwrap_or_default();
        Some(PasswdEntry {
            name,
            uid,
            gid,
            home,
        })
    })
}

fn group_entries(text: &str) -> impl Iterator<Item = GroupEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|n| !n.is_empty())?;
        let gid = fields.nth(1)?.parse().ok()?;
        Some(GroupEntry {
            name,
            gid,
            members: fields.next().unwrap_or_default(),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/srv/app:/bin/sh\n12:x:77:78::/n:\nbroken\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,app\nstaff:x:50:app\nops:x:60:\n";

    fn ids(spec: &str) -> Result<(u32, u32, Vec<u32>, String), UserError> {
        resolve(spec, &[], PASSWD, GROUP).map(|u| (u.uid, u.gid, u.additional_gids, u.home))
    }

    #[test]
    fn nothing_means_root_with_its_groups() {
        assert_eq!(ids(""), Ok((0, 0, vec![0, 10], "/root".to_owned())));
        assert_eq!(ids("0"), Ok((0, 0, vec![0, 10], "/root".to_owned())));
    }

    #[test]
    fn names_and_numbers_find_the_same_user() {
        let app = (1000, 1001, vec![1001, 10, 50], "/srv/app".to_owned());
        assert_eq!(ids("app"), Ok(app.clone()));
        assert_eq!(ids("1000"), Ok(app));
        assert_eq!(ids("12"), Ok((77, 78, vec![78], "/n".to_owned())));
    }

    #[test]
    fn an_explicit_group_is_the_only_one() {
        assert_eq!(
            ids("app:ops"),
            Ok((1000, 60, vec![60], "/srv/app".to_owned()))
        );
        assert_eq!(ids("5:6"), Ok((5, 6, vec![6], "/".to_owned())));
    }

    #[test]
    fn further_groups_are_found_by_name_and_by_number() {
        let groups = ["ops", "4711", "wheel"].map(str::to_owned);
        let user = resolve("app", &groups, PASSWD, GROUP).expect("all of them");
        assert_eq!(user.additional_gids, [1001, 10, 50, 60, 4711]);
        let unknown = ["nobodys".to_owned()];
        let error = resolve("app", &unknown, PASSWD, GROUP);
        assert_eq!(error, Err(UserError::Group("nobodys".to_owned())));
    }

    #[test]
    fn unknown_names_and_huge_numbers_are_refused() {
        assert_eq!(ids("nobody"), Err(UserError::User("nobody".to_owned())));
        assert_eq!(ids("app:no"), Err(UserError::Group("no".to_owned())));
        assert_eq!(ids("4294967295"), Err(UserError::Range));
        assert_eq!(ids("99999999999"), Err(UserError::Range));
    }

    #[test]
    fn an_image_without_files_still_has_root() {
        let root = resolve("", &[], "", "").expect("root");
        assert_eq!((root.uid, root.gid, root.home.as_str()), (0, 0, "/root"));
    }
}
