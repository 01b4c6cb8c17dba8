//! The files of an output.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// Files by their path below a folder, with their bytes.
pub(crate) type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// Every file below a folder, whatever its name.
pub(crate) fn tree(folder: &Path) -> io::Result<Tree> {
    let (mut files, mut folders) = (Tree::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).map_err(io::Error::other)?;
                files.insert(name.to_owned(), fs::read(&path)?);
            }
        }
    }
    Ok(files)
}
