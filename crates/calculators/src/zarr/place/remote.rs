use std::{
    fmt::{self, Debug},
    sync::Arc,
};

use tokio::runtime::Handle;
use url::Url;
use zarrs::storage::{
    AsyncListableStorageTraits, AsyncReadableStorageTraits, AsyncWritableStorageTraits, Bytes,
    ListableStorageTraits, MaybeBytes, MaybeBytesIterator, OffsetBytesIterator,
    ReadableStorageTraits, ReadableWritableListableStorage, StorageError, StoreKey, StoreKeys,
    StoreKeysPrefixes, StorePrefix, WritableStorageTraits,
    byte_range::{ByteRangeIterator, extract_byte_ranges},
    store_set_partial_many,
};
use zarrs_object_store::{
    AsyncObjectStore,
    object_store::{
        self, ObjectStore, ObjectStoreScheme, PutMode, local::LocalFileSystem, parse_url_opts,
        path::Path as ObjectPath, prefix::PrefixStore,
    },
};

use super::{
    block_on::{block_on, runtime},
    group::Creation,
    scheme::Scheme,
};
use crate::{Error, Result, error::BoxError};

/// The store of a URL, rooted at its path.
pub(super) struct RemoteStore {
    pub(super) url: String,
    pub(super) storage: ReadableWritableListableStorage,
    pub(super) writable: bool,
    pub(super) creation: Arc<dyn Creation>,
}

/// Opens the store of a URL; nothing is sent.
pub(super) fn open(text: &str, scheme: &Scheme) -> Result<RemoteStore> {
    let url = checked(text, scheme)?;
    let failed = |source: BoxError| Error::store(&url, "set up access to a store", source);
    let (kind, path) = ObjectStoreScheme::parse(&url).map_err(|error| failed(error.into()))?;
    let runtime = runtime().map_err(|error| failed(error.into()))?;
    let store = store(&url, &kind).map_err(|error| failed(error.into()))?;
    let store = Arc::new(PrefixStore::new(store, path));
    let storage = Arc::new(BlockingStore {
        store: AsyncObjectStore::new(store.clone()),
        objects: store,
        runtime,
    });
    let writable = kind != ObjectStoreScheme::Http;
    Ok(RemoteStore {
        url: url.to_string(),
        creation: storage.clone(),
        storage,
        writable,
    })
}

fn store(url: &Url, kind: &ObjectStoreScheme) -> Result<Box<dyn ObjectStore>, object_store::Error> {
    if *kind == ObjectStoreScheme::Local {
        // As durable as a folder, and like there no empty folders stay of arrays that are erased.
        let files = LocalFileSystem::new().with_fsync(true);
        return Ok(Box::new(files.with_automatic_cleanup(true)));
    }
    parse_url_opts(url, settings(kind, url)).map(|(store, _)| store)
}

/// A URL without anything secret or beside the point, since it is shown in messages.
fn checked(text: &str, scheme: &Scheme) -> Result<Url> {
    let refuse = |requirement, got: String| {
        let name = "URL";
        Err(Error::Option {
            name,
            requirement,
            got,
        })
    };
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => return refuse("well-formed", format!("{}://… ({error})", scheme.name)),
    };
    let mut place = url.clone();
    place.set_query(None);
    place.set_fragment(None);
    // These fail only for a URL without a host, which has neither.
    let _ = place.set_password(None);
    // In Azure's URLs the container stands in the place of the user.
    if scheme.feature != "azure" {
        let _ = place.set_username("");
    }
    if place != url {
        let requirement =
            "without user, password, query and fragment; credentials come from the environment";
        return refuse(requirement, place.to_string());
    }
    if scheme.feature == "object-store" && url.has_host() {
        let requirement = "a path after three slashes, as in memory:///path";
        return refuse(requirement, place.to_string());
    }
    Ok(url)
}

/// The settings of a kind of store in the environment, as the builders of `object_store` read them.
fn settings(kind: &ObjectStoreScheme, url: &Url) -> Vec<(String, String)> {
    let prefixes: &[&str] = match kind {
        ObjectStoreScheme::AmazonS3 => &["AWS_"],
        ObjectStoreScheme::GoogleCloudStorage => &["GOOGLE_", "SERVICE_ACCOUNT"],
        ObjectStoreScheme::MicrosoftAzure => &["AZURE_", "IDENTITY_ENDPOINT"],
        _ => &[],
    };
    let texts = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    // Without the prefixes a variable `TOKEN` or `REGION` that means something else would be taken.
    let meant = texts.filter(|(key, _)| prefixes.iter().any(|prefix| key.starts_with(prefix)));
    let plain = (url.scheme() == "http").then(|| ("allow_http".to_owned(), "true".to_owned()));
    meant.chain(plain).collect()
}

/// An object store behind the synchronous traits.
///
/// Every write is one request and hence atomic, every read of a value one request for the whole of
/// it: the adapter of `zarrs` would ask for the size first, then for a range, which not every web
/// server knows.
struct BlockingStore {
    store: AsyncObjectStore<Arc<PrefixStore<Box<dyn ObjectStore>>>>,
    /// The same store, of which `zarrs` asks less than it can do.
    objects: Arc<PrefixStore<Box<dyn ObjectStore>>>,
    runtime: Handle,
}

impl Debug for BlockingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingStore").finish_non_exhaustive()
    }
}

impl BlockingStore {
    fn wait<F: Future>(&self, future: F) -> F::Output {
        block_on(&self.runtime, future)
    }
}

impl Creation for BlockingStore {
    fn create(&self, key: &StoreKey, value: Bytes) -> Result<bool, BoxError> {
        let (path, options) = (ObjectPath::from(key.as_str()), PutMode::Create.into());
        let put = self.objects.put_opts(&path, value.clone().into(), options);
        match self.wait(put) {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(false),
            // A store without conditions: as good as it gets there.
            Err(object_store::Error::NotImplemented { .. }) => {
                self.set(key, value)?;
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl ReadableStorageTraits for BlockingStore {
    fn get(&self, key: &StoreKey) -> Result<MaybeBytes, StorageError> {
        self.wait(self.store.get(key))
    }

    fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        byte_ranges: ByteRangeIterator<'a>,
    ) -> Result<MaybeBytesIterator<'a>, StorageError> {
        let Some(value) = self.get(key)? else {
            return Ok(None);
        };
        let parts = extract_byte_ranges(&value, byte_ranges)?;
        Ok(Some(Box::new(
            parts.into_iter().map(|part| Ok(part.into())),
        )))
    }

    fn size_key(&self, key: &StoreKey) -> Result<Option<u64>, StorageError> {
        self.wait(self.store.size_key(key))
    }

    fn supports_get_partial(&self) -> bool {
        false
    }
}

impl ListableStorageTraits for BlockingStore {
    fn list(&self) -> Result<StoreKeys, StorageError> {
        self.wait(self.store.list())
    }

    fn list_prefix(&self, prefix: &StorePrefix) -> Result<StoreKeys, StorageError> {
        self.wait(self.store.list_prefix(prefix))
    }

    fn list_dir(&self, prefix: &StorePrefix) -> Result<StoreKeysPrefixes, StorageError> {
        self.wait(self.store.list_dir(prefix))
    }

    fn size_prefix(&self, prefix: &StorePrefix) -> Result<u64, StorageError> {
        self.wait(self.store.size_prefix(prefix))
    }
}

impl WritableStorageTraits for BlockingStore {
    fn set(&self, key: &StoreKey, value: Bytes) -> Result<(), StorageError> {
        self.wait(self.store.set(key, value))
    }

    fn set_partial_many(
        &self,
        key: &StoreKey,
        offset_values: OffsetBytesIterator,
    ) -> Result<(), StorageError> {
        store_set_partial_many(self, key, offset_values)
    }

    fn erase(&self, key: &StoreKey) -> Result<(), StorageError> {
        self.wait(self.store.erase(key))
    }

    fn erase_prefix(&self, prefix: &StorePrefix) -> Result<(), StorageError> {
        self.wait(self.store.erase_prefix(prefix))
    }

    fn supports_set_partial(&self) -> bool {
        false
    }
}
