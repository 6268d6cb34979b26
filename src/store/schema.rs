//! The tables, and connections that trust nothing they find.
//!
//! ```text
//! frame(id, name, time_us, width, height, channels, bits, encoding, bytes, crc32, priority, label, label_text, metadata)
//! image(id, file)   the encoded image        embedding(id, vector)   float32, little endian, length 1
//! state(key, value) what the writer goes on with
//! ```
//!
//! Pages are 16 KiB: an image of some hundred kilobytes is then some tens of pages. Images have a table of their own, so that a
//! query over frames reads none of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;
use rusqlite::{Connection, OpenFlags};

use super::fault::fault;
use crate::data::absolute;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::memory_file;

/// "SEED": says which program's file this is, for file(1) and for us.
const APPLICATION_ID: i32 = 0x5345_4544;

/// Raised with every change of the tables.
const VERSION: i32 = 1;

/// How long a statement waits for another program's transaction, sqlite3's for instance.
const PATIENCE: Duration = Duration::from_secs(5);

/// The write-ahead log is taken over into the file at this many pages: 16 MiB.
const LOG_PAGES: i32 = 1024;

/// What a store's file holds, by name; compared word by word when one is opened.
const OBJECTS: [(&str, &str); 7] = [
    (
        "frame",
        "CREATE TABLE frame (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  time_us INTEGER NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  channels INTEGER NOT NULL,
  bits INTEGER NOT NULL,
  encoding TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  crc32 INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  label INTEGER,
  label_text TEXT,
  metadata TEXT NOT NULL
) STRICT",
    ),
    ("image", "CREATE TABLE image (id INTEGER PRIMARY KEY, file BLOB NOT NULL) STRICT"),
    ("embedding", "CREATE TABLE embedding (id INTEGER PRIMARY KEY, vector BLOB NOT NULL) STRICT"),
    ("state", "CREATE TABLE state (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT"),
    ("frame_by_label", "CREATE INDEX frame_by_label ON frame(label, id)"),
    ("frame_by_priority", "CREATE INDEX frame_by_priority ON frame(label, priority)"),
    ("frame_by_time", "CREATE INDEX frame_by_time ON frame(time_us)"),
];

/// A connection that may write; makes the file where there is none.
///
/// # Errors
/// `Io` where the file cannot be made or written, `Format` where it is no store, `Mismatch` where it is a newer one's.
pub(super) fn open_to_write(path: &Path) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    let failed = |error| fault("open", path, &error);
    if is_empty(&connection).map_err(failed)? {
        create(&connection).map_err(failed)?;
    }
    check(&connection, path)?;
    let mode = write_ahead(&connection).map_err(failed)?;
    if mode != "wal" {
        return Err(Error::new(
            ErrorKind::Io,
            format!(
                "{}: the journal is {mode:?} and cannot become a write-ahead log; a store must lie on a local disk",
                path.display()
            ),
        ));
    }
    // In a write-ahead log NORMAL loses nothing when the process is killed, and never damages the file when power fails;
    // `flush` syncs by FULL.
    connection
        .execute_batch(&format!(
            "PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = {LOG_PAGES};
             PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -16384"
        ))
        .map_err(failed)?;
    Ok(connection)
}

/// Asks for a write-ahead log and gives the journal that there is now. It is committed behind the one row of the answer, so the
/// statement is run to its end: what fails there would be told to nobody, and the store work without a log.
fn write_ahead(connection: &Connection) -> rusqlite::Result<String> {
    let mut statement = connection.prepare("PRAGMA journal_mode = WAL")?;
    let modes = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    Ok(modes.concat())
}

/// Where the store at `path` lies: the process may change its directory later, and readers open further connections.
///
/// # Errors
/// `InvalidArgument` for a file in memory.
pub(super) fn place(path: &Path) -> Result<PathBuf> {
    memory_file::on_disk(path, "a store is written in place and outlives its process")?;
    Ok(absolute(path))
}

/// A connection that only reads.
///
/// # Errors
/// As [`open_to_write`], and `Io` where there is no file.
pub(super) fn open_to_read(path: &Path) -> Result<Connection> {
    // SQLite's own words for a file that is absent are "unable to open database file".
    std::fs::metadata(path).map_err(|error| Error::io("open the store", path, &error))?;
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    check(&connection, path)?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let failed = |error| fault("open", path, &error);
    // No SQLITE_OPEN_URI: a path is a path, whatever it begins with.
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    // What the file's own schema says may call nothing of ours, and no statement writes to the schema's pages.
    for (setting, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
    ] {
        connection.set_db_config(setting, on).map_err(failed)?;
    }
    for (limit, value) in [(Limit::SQLITE_LIMIT_ATTACHED, 0), (Limit::SQLITE_LIMIT_LENGTH, 1 << 30)] {
        connection.set_limit(limit, value).map_err(failed)?;
    }
    // A page's cells are checked before they are used.
    connection.execute_batch("PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0").map_err(failed)?;
    Ok(connection)
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    let objects: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let identity: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    Ok(objects == 0 && identity == 0)
}

fn create(connection: &Connection) -> rusqlite::Result<()> {
    // Both must be said before the first page is written. Freed pages can be given back later.
    connection.execute_batch("PRAGMA page_size = 16384; PRAGMA auto_vacuum = INCREMENTAL")?;
    let mut script = String::from("BEGIN IMMEDIATE;\n");
    for (_, sql) in OBJECTS {
        script.push_str(sql);
        script.push_str(";\n");
    }
    script.push_str(&format!("PRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {VERSION};\nCOMMIT"));
    connection.execute_batch(&script)
}

/// Refuses what is no store, is a newer one's, or has tables that are not quite ours.
fn check(connection: &Connection, path: &Path) -> Result<()> {
    let failed = |error| fault("open", path, &error);
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i32>(0)).map_err(failed);
    let (identity, version) = (number("PRAGMA application_id")?, number("PRAGMA user_version")?);
    if identity != APPLICATION_ID {
        let reason = format!("an SQLite file of another program (application id {identity:#x}), no store of frames");
        return Err(Error::format(path, reason));
    }
    if version != VERSION {
        return Err(Error::mismatch(format!(
            "{}: a store of version {version}, expected {VERSION}; open it with the libseed that made it",
            path.display()
        )));
    }
    for (name, expected) in OBJECTS {
        let found: Option<String> = connection
            .query_row("SELECT sql FROM sqlite_schema WHERE name = ?1", [name], |row| row.get(0))
            .map(Some)
            .or_else(|error| if error == rusqlite::Error::QueryReturnedNoRows { Ok(None) } else { Err(error) })
            .map_err(failed)?;
        if found.as_deref() != Some(expected) {
            let found = found.map_or_else(|| "is absent".to_owned(), |sql| format!("is {sql:?}"));
            return Err(Error::format(path, format!("{name} of this store {found}, expected {expected:?}")));
        }
    }
    Ok(())
}
