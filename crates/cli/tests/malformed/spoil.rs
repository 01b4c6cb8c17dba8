//! Ways to damage a folder.

use std::{fs, sync::Arc};

use zarrs::{
    array::{ArrayBuilder, codec::Crc32cCodec, data_type},
    filesystem::FilesystemStore,
    group::GroupBuilder,
};

use crate::folder::Folder;

impl Folder {
    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).expect("removed");
    }

    /// A folder instead of a file.
    pub(crate) fn replace_by_folder(&self, name: &str) {
        let _ = fs::remove_file(self.path(name));
        fs::create_dir(self.path(name)).expect("made");
    }

    /// The file cut after this many bytes, or, if negative, this many bytes before its end.
    pub(crate) fn cut(&self, name: &str, length: isize) {
        let whole = fs::read(self.path(name)).expect("readable");
        let length = match usize::try_from(length) {
            Ok(length) => length,
            Err(_) => whole.len() - length.unsigned_abs(),
        };
        self.write(name, &whole[..length]);
    }

    /// A zarr group with the inputs of training as its array `x`, two chunks with checksums.
    pub(crate) fn zarr(&self) {
        let store = Arc::new(FilesystemStore::new(self.path("data.zarr")).expect("a store"));
        let group = GroupBuilder::new()
            .build(store.clone(), "/")
            .expect("a group");
        group.store_metadata().expect("written");
        let array = ArrayBuilder::new(vec![6, 4], vec![3, 4], data_type::float32(), 0.0_f32)
            .bytes_to_bytes_codecs(vec![Arc::new(Crc32cCodec::new())])
            .build(store, "/x")
            .expect("an array");
        array.store_metadata().expect("written");
        let whole = array.subset_all();
        array
            .store_array_subset(&whole, vec![0.5_f32; 24])
            .expect("written");
    }
}
