//! The key of an error that does not carry its path. Those about files of data do not: their
//! message begins with the key of the points and names the file.

use influence_data::key::{KeyPath, Part};

use super::{Key, Override, Place, Places};

impl Places {
    /// The place of the key that a message begins with, or of the file under it that it names.
    pub(super) fn of_message(&self, message: &str) -> Option<Place> {
        let (path, part) = leading_key(message)?;
        let decides = |setting: &&Override| {
            path.is_within(&setting.path)
                || setting.path.is_within(&path) && told(setting.value(), message) > 0
        };
        match self.overrides.iter().rev().find(decides) {
            Some(setting) => Some(setting.place()),
            None => self.of_key(&self.named(path, message), part),
        }
    }

    /// The path of the only file under a path that a message names, or else that path.
    fn named(&self, path: KeyPath, message: &str) -> KeyPath {
        let inner = self.keys.iter().filter(|key| key.path.is_within(&path));
        let named = inner.filter_map(|key| {
            let length = told(key.text.as_ref()?, message);
            (length > 0).then_some((length, key))
        });
        let named: Vec<(usize, &Key)> = named.collect();
        let longest = named.iter().map(|(length, _)| *length).max();
        let mut best = named.iter().filter(|(length, _)| Some(*length) == longest);
        match (best.next(), best.next()) {
            (Some((_, key)), None) => key.path.clone(),
            // Two columns of one file, say.
            _ => path,
        }
    }
}

/// The key that a message begins with, if it begins with one.
fn leading_key(message: &str) -> Option<(KeyPath, Part)> {
    let (key, rest) = message.split_at(message.find([':', ' '])?);
    let part = match rest.starts_with(": unknown key") {
        true => Part::Key,
        false => Part::Value,
    };
    let steps = key.split(['.', '[']);
    let path = steps.fold(KeyPath::default(), |path, step| {
        match step.strip_suffix(']').map(str::parse) {
            Some(Ok(index)) => path.index(index),
            _ => path.key(step),
        }
    });
    (rest.starts_with(':') || key.contains('.')).then_some((path, part))
}

/// How much of the path of a file a message repeats: all of it, or what is before `#`.
fn told(value: &str, message: &str) -> usize {
    // A word, such as the name of a method, may be in any message.
    if !value.contains(['.', '/']) {
        return 0;
    }
    let file = value.split('#').next().unwrap_or_default();
    let parts = [value, file].into_iter();
    let repeated = parts.filter(|part| message.contains(part));
    repeated.map(str::len).max().unwrap_or(0)
}
