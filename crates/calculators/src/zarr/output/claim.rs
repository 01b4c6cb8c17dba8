use std::{
    collections::BTreeSet,
    fmt::{self, Debug},
    path::Path,
};

use serde_json::{Map, Value};

use super::options::{IfExists, ZarrOptions};
use crate::{
    Error, Result,
    zarr::{
        format::OWN,
        place::{Location, Lock, Occupant, OpenGroup},
    },
};

/// A place to write to: looked at, nothing in the way, and locked against other runs where it is a
/// folder.
///
/// Long work before the first number, such as fitting a model, is done while the place is
/// claimed: a place that cannot be written to, or that another run writes to, is known beforehand.
/// Dropped without an output it leaves nothing behind.
///
/// # Examples
/// ```
/// use influence_calculators::{Location, ZarrOptions, zarr::Claim};
///
/// let folder = tempfile::tempdir()?;
/// let location = Location::folder(folder.path().join("influences.zarr"));
/// let claim = Claim::new(&location, &ZarrOptions::default())?;
/// assert!(Claim::new(&location, &ZarrOptions::default()).is_err());
/// drop(claim);
/// assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Claim {
    pub(super) group: OpenGroup,
    /// The attributes of an output that is to be resumed.
    pub(super) earlier: Option<Map<String, Value>>,
    pub(super) lock: Option<Lock>,
    /// Whether the output is written together with other runs.
    pub(super) joins: bool,
    /// Whether there was nothing in the place.
    pub(super) is_vacant: bool,
}

impl Claim {
    /// Claims a location for an output with these options, and writes nothing but the lock. Runs
    /// that [join](ZarrOptions::joining) an output share its lock, and exclude any other.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NotZarr`], [`Error::NotDeclared`], [`Error::Locked`],
    /// [`Error::ReadOnly`] and [`Error::Option`]; [`Error::Store`] when the place cannot be looked
    /// at or written to.
    pub fn new(location: &Location, options: &ZarrOptions) -> Result<Self> {
        let joins = options.if_exists() == IfExists::Join;
        if joins {
            // A lock that is shared leaves its file behind: not where there is nothing to join.
            Self::unlocked(location, options)?;
        }
        options.check()?;
        let group = location.open_writable()?;
        // Locked before it is looked at: otherwise another run could begin in between.
        let lock = match location.as_folder() {
            // A file in the way is described by the survey, better than by the failure to lock.
            Some(folder) if folder.is_dir() || !folder.exists() => {
                Some(lock(folder, &group, joins)?)
            }
            _ => None,
        };
        let found = location.survey(&group)?;
        Self::of(group, found, lock, options.if_exists())
    }

    /// Looks at a location as [`new`](Self::new) does, without taking it from others.
    pub(super) fn unlocked(location: &Location, options: &ZarrOptions) -> Result<Self> {
        options.check()?;
        let group = location.open_writable()?;
        let found = location.survey(&group)?;
        Self::of(group, found, None, options.if_exists())
    }

    /// Claims a group within an output that is claimed already, to resume or to join it as well.
    pub(super) fn within(group: OpenGroup, joins: bool) -> Result<Self> {
        let found = group.occupant()?;
        let if_exists = if joins {
            IfExists::Join
        } else {
            IfExists::Resume
        };
        Self::of(group, found, None, if_exists)
    }

    fn of(
        group: OpenGroup,
        found: Occupant,
        lock: Option<Lock>,
        if_exists: IfExists,
    ) -> Result<Self> {
        let is_vacant = matches!(found, Occupant::Nothing);
        let earlier = match (found, if_exists) {
            (Occupant::Other(found), _) => {
                let expected = "nothing or an output of this library; choose another path";
                return Err(Error::NotZarr {
                    path: group.name,
                    expected,
                    found,
                });
            }
            (Occupant::Output(_), IfExists::Refuse) => {
                return Err(Error::Exists { path: group.name });
            }
            // Nothing but the mark is known of an output that was not yet declared when its run
            // ended.
            (Occupant::Output(attributes), IfExists::Resume | IfExists::Join)
                if attributes[OWN]["declared"] != false =>
            {
                Some(attributes)
            }
            (Occupant::Output(_) | Occupant::Nothing, IfExists::Join) => {
                return Err(Error::NotDeclared { path: group.name });
            }
            (Occupant::Output(_) | Occupant::Nothing, _) => None,
        };
        Ok(Self {
            group,
            earlier,
            lock,
            joins: if_exists == IfExists::Join,
            is_vacant,
        })
    }

    /// Whether the output is written together with other runs.
    pub(crate) fn joins(&self) -> bool {
        self.joins
    }

    /// The place, as messages show it.
    pub fn shown(&self) -> &str {
        &self.group.name
    }

    /// The shape of the chunks of an output that is to be resumed.
    pub(crate) fn chunk_shape(&self) -> Option<[usize; 2]> {
        let chunks = &self.earlier.as_ref()?[OWN]["chunks"];
        serde_json::from_value(chunks.clone()).ok()
    }
}

impl Location {
    /// Refuses what writing an output with these options would refuse, and writes nothing.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NotZarr`], [`Error::NotDeclared`], [`Error::ReadOnly`] and
    /// [`Error::Option`]; [`Error::Store`] when the place cannot be looked at.
    pub fn check(&self, options: &ZarrOptions) -> Result<()> {
        Claim::unlocked(self, options).map(drop)
    }
}

impl Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Claim({})", self.group.name)
    }
}

fn lock(folder: &Path, group: &OpenGroup, joins: bool) -> Result<Lock> {
    let lock = if joins {
        Lock::share(folder)
    } else {
        Lock::acquire(folder)
    };
    let lock = lock.map_err(|source| Error::store(&group.name, "lock the output", source))?;
    lock.ok_or_else(|| Error::Locked {
        path: group.name.clone(),
    })
}

/// Refuses to resume an output that was made with other settings, naming the first difference;
/// remarks may differ.
pub(in crate::zarr) fn check_same(
    path: &str,
    stored: &Map<String, Value>,
    given: &Map<String, Value>,
    remarks: &BTreeSet<String>,
) -> Result<()> {
    let settings = |attributes: &Map<String, Value>| {
        let mut attributes = attributes.clone();
        attributes.retain(|name, _| !remarks.contains(name));
        if let Some(own) = attributes.get_mut(OWN).and_then(Value::as_object_mut) {
            own.retain(|name, _| !matches!(name.as_str(), "complete" | "solver"));
        }
        Value::Object(attributes)
    };
    match difference("", &settings(stored), &settings(given)) {
        None => Ok(()),
        Some((setting, stored, given)) => Err(Error::Differs {
            path: path.to_owned(),
            setting,
            stored: stored.to_string(),
            given: given.to_string(),
        }),
    }
}

/// The first key at which two values differ, with both values.
fn difference<'a>(
    at: &str,
    stored: &'a Value,
    given: &'a Value,
) -> Option<(String, &'a Value, &'a Value)> {
    if let (Value::Object(stored), Value::Object(given)) = (stored, given) {
        let keys = stored.keys().chain(given.keys());
        return keys
            .into_iter()
            .find_map(|key| difference(&join(at, key), get(stored, key), get(given, key)));
    }
    (stored != given).then(|| (at.to_owned(), stored, given))
}

fn get<'a>(map: &'a Map<String, Value>, key: &str) -> &'a Value {
    map.get(key).unwrap_or(&Value::Null)
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() {
        key.to_owned()
    } else {
        format!("{at}.{key}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        let map = |value: Value| value.as_object().cloned().unwrap_or_default();
        let stored = map(
            json!({ "damping": 0.1, OWN: { "chunks": [2, 3], "complete": true, "solver": {} } }),
        );
        let same = map(json!({ "damping": 0.1, OWN: { "chunks": [2, 3], "complete": false } }));
        assert!(check_same("out", &stored, &same, &BTreeSet::new()).is_ok());
        for (other, message) in [
            (
                json!({ "damping": 0.2, OWN: { "chunks": [2, 3] } }),
                "damping = 0.1, this run has 0.2",
            ),
            (
                json!({ "damping": 0.1, OWN: { "chunks": [2, 4] } }),
                "influence.chunks = [2,3], this run has [2,4]",
            ),
            (
                json!({ "damping": 0.1, "seed": 1, OWN: { "chunks": [2, 3] } }),
                "seed = null, this run has 1",
            ),
        ] {
            let error =
                check_same("out", &stored, &map(other), &BTreeSet::new()).expect_err(message);
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
