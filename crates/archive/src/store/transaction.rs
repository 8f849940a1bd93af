use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;

use super::{
    super::{BEGIN, Db},
    Connection, Store,
};
use crate::ArchiveError;

/// A transaction that writes.
///
/// Its connection is closed unless the commit succeeds, so that every failure ends with the transaction. SQLite
/// rolls a transaction back by itself if the disk is full or fails. It then refuses `ROLLBACK`, and sqlx would count
/// the connection as inside a transaction for ever.
pub(super) struct WriteTransaction<'a> {
    store: &'a Store,
    /// The operation, as in "the archive cannot …".
    operation: &'static str,
    connection: PoolConnection<Db>,
    is_committed: bool,
}

impl<'a> WriteTransaction<'a> {
    pub(super) async fn begin(store: &'a Store, operation: &'static str) -> Result<Self, ArchiveError> {
        // A new connection must not open another file, and the old one must not fill a file without a name.
        store.check_files().await?;
        let connection = store.explain(operation, store.writer.acquire().await).await?;
        let mut transaction = Self { store, operation, connection, is_committed: false };
        transaction.execute(BEGIN).await?;
        Ok(transaction)
    }

    /// Commits if `outcome` is a success, and returns its value after the commit is durable in the files that the
    /// paths name.
    pub(super) async fn finish<T>(mut self, outcome: sqlx::Result<T>) -> Result<T, ArchiveError> {
        let value = self.store.explain(self.operation, outcome).await?;
        self.execute("COMMIT").await?;
        self.is_committed = true;
        self.store.check_files().await?;
        Ok(value)
    }

    async fn execute(&mut self, statement: &'static str) -> Result<(), ArchiveError> {
        let executed = sqlx::query(statement).execute(&mut *self.connection).await;
        self.store.explain(self.operation, executed.map(drop)).await
    }
}

impl Deref for WriteTransaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for WriteTransaction<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Drop for WriteTransaction<'_> {
    fn drop(&mut self) {
        if !self.is_committed {
            self.connection.close_on_drop();
        }
    }
}
