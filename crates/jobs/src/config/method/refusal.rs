//! Refusals of keys that are not those of a method.

use influence_data::key::{KeyError, KeyPath};

use super::{
    MethodName,
    curved::Curved,
    keys::{AskedKey, Keys},
};
use crate::config::mistake::one_of;

/// Refuses keys that are not those of a method. Of several, an unknown one is named first, then one
/// of other methods, then the damping.
pub(super) fn check_keys<'a>(
    given: impl Iterator<Item = &'a str>,
    method: MethodName,
) -> Result<(), KeyError> {
    let (own, shared, known) = (method.keys(), keys_of_curved(), known());
    let foreign = given.filter(|key| find(key, &own).is_none());
    let first = foreign.min_by_key(|key| {
        let is_shared = find(key, &shared).is_some();
        (
            known.contains(key),
            is_shared,
            is_shared && *key != "damping",
        )
    });
    first.map_or(Ok(()), |key| Err(refusal(key, method)))
}

fn refusal(key: &str, method: MethodName) -> KeyError {
    let (path, name) = (KeyPath::from("method").key(key), method.as_str());
    if let Some(shared) = find(key, &keys_of_curved()) {
        return KeyError::sentence(
            path,
            match shared.part {
                Some(part) => format!("is a setting of {part}"),
                None => format!("does not apply to {name}, which inverts no curvature"),
            },
        );
    }
    let owners = owners(key);
    if owners.is_empty() {
        let known = one_of("known", key, &known());
        return KeyError::new(path, format!("unknown key; {known}")).of_key();
    }
    let plural = if owners.len() > 1 { "s" } else { "" };
    let owners = owners.join(", ");
    let wrong = format!("is a setting of the method{plural} {owners}, not of {name}");
    KeyError::sentence(path, wrong)
}

/// The keys of all methods.
pub(super) fn known() -> Vec<&'static str> {
    let mut known = Vec::new();
    for key in MethodName::ALL.into_iter().flat_map(MethodName::keys) {
        if !known.contains(&key.name) {
            known.push(key.name);
        }
    }
    known
}

/// The methods that have a key, those last of which only a part has it.
fn owners(key: &str) -> Vec<&'static str> {
    let each = MethodName::ALL.into_iter();
    let each = each.filter_map(|method| Some((find(key, &method.keys())?, method.as_str())));
    let (whole, part): (Vec<_>, Vec<_>) = each.partition(|(key, _)| key.part.is_none());
    whole
        .into_iter()
        .chain(part)
        .map(|(_, name)| name)
        .collect()
}

/// The keys of all methods that invert a curvature.
fn keys_of_curved() -> Vec<AskedKey> {
    let mut keys = Keys::least(MethodName::default());
    let read = Curved::read(&mut keys);
    debug_assert!(read.is_ok(), "{read:?}");
    keys.asked()
}

fn find(key: &str, keys: &[AskedKey]) -> Option<AskedKey> {
    keys.iter().find(|known| known.name == key).copied()
}
