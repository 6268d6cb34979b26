//! The few numbers that a store goes on with when it is opened again.

use rusqlite::{Connection, OptionalExtension};

/// The number under `key`, if there is one.
pub(super) fn get(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    connection.query_row("SELECT value FROM state WHERE key = ?1", [key], |row| row.get(0)).optional()
}

/// Writes the number under `key`.
pub(super) fn put(connection: &Connection, key: &str, value: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO state (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    connection.prepare_cached(sql)?.execute((key, value))?;
    Ok(())
}
