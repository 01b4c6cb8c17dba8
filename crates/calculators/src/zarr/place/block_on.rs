use std::{
    io,
    pin::pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::unconstrained,
};

/// Threads that move bytes; the threads that compute wait for them.
const THREADS: usize = 2;

/// The runtime of all object stores of this process, started when the first of them is opened, and
/// never shut down.
pub(super) fn runtime() -> io::Result<Handle> {
    static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
        Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("influence-store")
            .enable_all()
            .build()
    });
    match &*RUNTIME {
        Ok(runtime) => Ok(runtime.handle().clone()),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits in this thread for a future whose sockets, timers and tasks are those of `runtime`.
///
/// This thread may belong to another runtime: it waits like in any other blocking call, while the
/// threads of `runtime` do the work. `Handle::block_on` would panic there.
pub(super) fn block_on<F: Future>(runtime: &Handle, future: F) -> F::Output {
    let _entered = runtime.enter();
    // A task of another runtime has a budget of steps that is only renewed when it yields, which it
    // does not do while it waits here.
    let mut future = pin!(unconstrained(future));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
