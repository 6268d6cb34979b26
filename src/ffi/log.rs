//! Where the library's log goes: nowhere until the application asks.

use std::ffi::{CString, c_char, c_void};
use std::sync::{Mutex, PoisonError};

use log::{LevelFilter, Log, Metadata, Record};

use super::border::catch_always;
use super::callback::guarded;
use super::error::seed_error;
use super::pointers::text;
use crate::{Error, ErrorKind, Result, shutdown};

/// Nothing is logged.
pub const SEED_LOG_OFF: i32 = 0;
/// Errors that no return value can carry.
pub const SEED_LOG_ERROR: i32 = 1;
/// Broken images and the like.
pub const SEED_LOG_WARN: i32 = 2;
/// What was loaded, recognised, chosen.
pub const SEED_LOG_INFO: i32 = 3;
/// Details for finding faults.
pub const SEED_LOG_DEBUG: i32 = 4;

/// Receives one line of the log: a level (SEED_LOG_*) and UTF-8 text that is valid during the call. It fires on any
/// thread, the library's own workers included, possibly on several at once, and must not call back into the library.
/// What it throws is dropped.
pub type seed_log_callback =
    Option<unsafe extern "C-unwind" fn(level: i32, message: *const c_char, user_data: *mut c_void)>;

enum Sink {
    Nothing,
    Callback { call: unsafe extern "C-unwind" fn(i32, *const c_char, *mut c_void), user_data: *mut c_void },
    Stderr(env_logger::Logger),
}

// SAFETY: the callback's contract says that it fires on any thread, user_data included.
unsafe impl Send for Sink {}

struct Router(Mutex<Sink>);

static ROUTER: Router = Router(Mutex::new(Sink::Nothing));

impl Log for Router {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record) {
        // What the application's callback needs may be gone while the process ends.
        if !self.enabled(record.metadata()) || shutdown::is_ending_elsewhere() {
            return;
        }
        let target = {
            let sink = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match &*sink {
                Sink::Nothing => return,
                Sink::Stderr(logger) => return logger.log(record),
                // Called after the lock is gone: the callback may take as long as it likes.
                Sink::Callback { call, user_data } => (*call, *user_data),
            }
        };
        let message = CString::new(record.args().to_string().replace('\0', "?")).unwrap_or_default();
        // SAFETY: the application gave both; the text lives through the call.
        // What it throws has no other place to be told at.
        drop(guarded(|| unsafe { target.0(record.level() as i32, message.as_ptr(), target.1) }));
    }

    fn flush(&self) {}
}

fn install(sink: Sink, level: LevelFilter) -> Result<()> {
    // A second call finds our own logger; a Rust application may have set another, which then gets our records itself.
    static INSTALLED: Mutex<bool> = Mutex::new(false);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*installed {
        log::set_logger(&ROUTER).map_err(|_| {
            Error::new(
                ErrorKind::Unsupported,
                "this process has a logger of the Rust crate `log` already; configure that one",
            )
        })?;
        *installed = true;
    }
    *ROUTER.0.lock().unwrap_or_else(PoisonError::into_inner) = sink;
    log::set_max_level(level);
    Ok(())
}

/// Sends log lines up to `level` (SEED_LOG_*) to `callback` from now on; NULL or SEED_LOG_OFF ends it. May be called
/// before seed_init. A line that is on its way in another thread may still arrive just after this call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_log_set_callback(
    level: i32,
    callback: seed_log_callback,
    user_data: *mut c_void,
) -> *mut seed_error {
    catch_always(|| {
        let filter = match level {
            SEED_LOG_OFF => LevelFilter::Off,
            SEED_LOG_ERROR => LevelFilter::Error,
            SEED_LOG_WARN => LevelFilter::Warn,
            SEED_LOG_INFO => LevelFilter::Info,
            SEED_LOG_DEBUG => LevelFilter::Debug,
            other => return Err(Error::invalid(format!("level is {other}, expected SEED_LOG_* (0 to 4)"))),
        };
        match callback {
            Some(call) => install(Sink::Callback { call, user_data }, filter),
            None => install(Sink::Nothing, LevelFilter::Off),
        }
    })
}

/// Writes log lines to standard error from now on, chosen by `filter` in env_logger's syntax, such as "info". May be
/// called before seed_init.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn seed_log_to_stderr(filter: *const c_char) -> *mut seed_error {
    catch_always(|| {
        // SAFETY: passed on from the C caller.
        let filter = unsafe { text("filter", filter) }?;
        let mut builder = env_logger::Builder::new();
        builder.try_parse_filter(filter)?;
        let logger = builder.build();
        let level = logger.filter();
        install(Sink::Stderr(logger), level)
    })
}

trait TryParse {
    fn try_parse_filter(&mut self, filter: &str) -> Result<()>;
}

impl TryParse for env_logger::Builder {
    /// env_logger prints a warning for a filter that it cannot read; a library must not, so the words are checked first.
    fn try_parse_filter(&mut self, filter: &str) -> Result<()> {
        for directive in filter.split(',') {
            let level = directive.rsplit('=').next().unwrap_or("");
            if directive.contains('=') || !directive.contains("::") {
                level.parse::<LevelFilter>().map_err(|_| {
                    Error::invalid(format!(
                        "filter is \"{filter}\"; expected a level (off, error, warn, info, debug, trace)"
                    ))
                })?;
            }
        }
        self.parse_filters(filter);
        Ok(())
    }
}
