//! The store of this process, and its peers.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use labora_artifacts::{
    Holder, Store, StoreError,
    exchange::{Exchange, FetchError},
};
use labora_pouw::Hash;

use super::{Matrices, MatrixError, check};

/// A store, and the other nodes that its matrices can come from.
#[derive(Clone, Debug)]
pub struct Here {
    store: Store,
    exchange: Option<Exchange>,
}

impl Here {
    /// Without an `exchange`, only what is in the store is there.
    pub fn new(store: Store, exchange: Option<Exchange>) -> Self {
        Self { store, exchange }
    }

    async fn bring(&self, root: Hash, bytes: u64) -> Result<(), MatrixError> {
        let unavailable = |why: String| MatrixError::Unavailable { root, why };
        if let Some(info) = self.store.info(&root) {
            return match info.bytes == bytes {
                true => Ok(()),
                false => Err(unavailable(format!(
                    "it has {} bytes, and the job says {bytes}",
                    info.bytes
                ))),
            };
        }
        let Some(exchange) = &self.exchange else {
            return Err(unavailable("it is not here, and there are no peers".into()));
        };
        let fetched = exchange.fetch(root, bytes).await;
        fetched.map_err(|error: Arc<FetchError>| match &*error {
            FetchError::Store(_) | FetchError::Busy | FetchError::Interrupted => {
                MatrixError::Here(error.to_string())
            }
            error => unavailable(error.to_string()),
        })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        what: impl FnOnce(Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, MatrixError> {
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || what(store)).await;
        let here = |error: &dyn std::fmt::Display| MatrixError::Here(error.to_string());
        done.map_err(|error| here(&error))?
            .map_err(|error| here(&error))
    }
}

fn read(store: &Store, root: Hash, bytes: u64) -> Result<Vec<u8>, StoreError> {
    let artifact = store.get(&root)?;
    // A length that was bounded when the job was chosen, and is the artifact's.
    let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    let mut at = 0;
    while at < buffer.len() {
        match artifact.read_at(&mut buffer[at..], at as u64)? {
            0 => return Err(StoreError::Short { expected: bytes }),
            read => at += read,
        }
    }
    Ok(buffer)
}

impl Matrices for Here {
    /// A slow disk's.
    fn bytes_per_s(&self) -> f64 {
        2e7
    }

    fn fetch(&self, root: Hash, bytes: u64) -> BoxFuture<'_, Result<Vec<u8>, MatrixError>> {
        async move {
            self.bring(root, bytes).await?;
            let whole = self
                .blocking(move |store| read(&store, root, bytes))
                .await?;
            check(root, whole, bytes)
        }
        .boxed()
    }

    fn hold(
        &self,
        root: Hash,
        bytes: u64,
        holder: Holder,
    ) -> BoxFuture<'_, Result<(), MatrixError>> {
        async move {
            self.bring(root, bytes).await?;
            self.blocking(move |store| store.hold(&root, &holder)).await
        }
        .boxed()
    }

    fn keep(&self, bytes: Vec<u8>, holder: Holder) -> BoxFuture<'_, Result<Hash, MatrixError>> {
        self.blocking(move |store| {
            let root = store.put(&bytes[..], bytes.len() as u64, None)?;
            store.hold(&root, &holder)?;
            Ok(root)
        })
        .boxed()
    }

    fn room(&self) -> BoxFuture<'_, Result<u64, MatrixError>> {
        let usage = self.store.usage();
        futures::future::ready(Ok(usage.limit.saturating_sub(usage.pinned))).boxed()
    }

    fn let_go(&self, root: Hash, holder: Holder) -> BoxFuture<'_, ()> {
        async move {
            // Not there, or a disk that cannot be written: then it stays pinned, and its owner sees it in the list.
            let let_go = self.blocking(move |store| store.let_go(&root, &holder));
            let _ = let_go.await;
        }
        .boxed()
    }

    fn held(&self, prefix: String) -> BoxFuture<'_, Result<Vec<(Hash, Holder)>, MatrixError>> {
        let held = self.store.held(Some(&prefix), None, usize::MAX).into_iter();
        let held =
            held.flat_map(|(info, holders)| holders.into_iter().map(move |it| (info.root, it)));
        futures::future::ready(Ok(held.collect())).boxed()
    }
}

#[cfg(test)]
mod tests {
    use labora_artifacts::{Limits, bytes_on_disk};

    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_there_and_what_is_not_is_unavailable() {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = Limits {
            bytes: 1 << 20,
            artifacts: 16,
        };
        let store = Store::open(folder.path(), limits).expect("a store");
        let here = Here::new(store.clone(), None);
        let matrix = vec![7; 40_000];
        let holder = |job: u32| Holder::new(format!("work-5F-{job}")).expect("a name");
        let root = here.keep(matrix.clone(), holder(7)).await.expect("room");
        assert!(store.info(&root).expect("it is there").is_pinned);
        assert_eq!(here.fetch(root, 40_000).await.expect("there"), matrix);
        let other = here.fetch(root, 39_999).await;
        assert!(
            matches!(other, Err(MatrixError::Unavailable { .. })),
            "{other:?}"
        );
        let missing = here.hold([1; 32], 5, holder(7)).await;
        assert!(
            matches!(missing, Err(MatrixError::Unavailable { .. })),
            "{missing:?}"
        );
        // Two jobs want it.
        here.hold(root, 40_000, holder(8)).await.expect("there");
        let held = here.held("work-5F-".into()).await.expect("a list");
        assert_eq!(held, [(root, holder(7)), (root, holder(8))]);
        here.let_go(root, holder(7)).await;
        assert!(store.info(&root).expect("it is there").is_pinned);
        here.let_go(root, holder(8)).await;
        assert!(!store.info(&root).expect("it is there").is_pinned);
        assert_eq!(here.room().await.expect("known"), 1 << 20);
        here.hold(root, 40_000, holder(7)).await.expect("there");
        let room = here.room().await.expect("known");
        assert_eq!(room, (1 << 20) - bytes_on_disk(40_000));
        let too_large = here.keep(vec![1; 2 << 20], holder(7)).await;
        assert!(
            matches!(too_large, Err(MatrixError::Here(_))),
            "{too_large:?}"
        );
    }
}
