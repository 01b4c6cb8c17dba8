//! The promise that a model may be shared among threads.

/// A promise: concurrent calls on a shared reference give the answers of calls made one after
/// another.
///
/// `Send + Sync` says that sharing is free of data races; this marker says more, that it is free of
/// *races of meaning*: no call changes what another call returns (no global mode flag, no shared
/// random state, no scratch buffer). The parallel calculator demands it at compile time.
pub trait ThreadSafe: Send + Sync {}

impl<T: ThreadSafe + ?Sized> ThreadSafe for &T {}
impl<T: ThreadSafe + ?Sized> ThreadSafe for std::sync::Arc<T> {}
impl<T: ThreadSafe + ?Sized> ThreadSafe for Box<T> {}

/// The reader's own promise that a model is thread-safe where its author made none.
///
/// It lets a model into the parallel calculator on the strength of `Send + Sync` alone. If
/// concurrent calls disturb each other all the same, the numbers are wrong and nothing says so;
/// prefer one replica per thread.
#[derive(Debug, Clone)]
pub struct AssumeThreadSafe<M>(pub M);

impl<M: Send + Sync> ThreadSafe for AssumeThreadSafe<M> {}

impl<M> std::ops::Deref for AssumeThreadSafe<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.0
    }
}
