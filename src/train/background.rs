//! Work that yields to the rest of the machine: on a thread of its own, which the scheduler serves after others.
//!
//! A thread's nice value (setpriority(2)) can be raised by anyone but lowered by the privileged only, so it is never set
//! on the application's threads. Threads inherit it: those that libtorch and the loader start for this work yield too.

use std::sync::mpsc::sync_channel;

use super::progress::Control;
use crate::{Error, ErrorKind, Result, shutdown};

/// Runs `work` on a thread of nice value `nice` (1 to 19) and gives what it gives. What `work` reports is handed to
/// `observe` on the calling thread, and the answer is waited for.
///
/// # Errors
/// Those of `work`; `Io` where no thread can be started. A panic in `work` goes on here.
pub fn in_background<P: Send, R: Send>(
    nice: u64,
    work: impl FnOnce(&mut dyn FnMut(P) -> Control) -> Result<R> + Send,
    mut observe: impl FnMut(P) -> Control,
) -> Result<R> {
    let (reports, inbox) = sync_channel::<P>(0);
    let (answers, replies) = sync_channel::<Control>(0);
    // Both ends move in, so that a panic in `observe` drops them before the thread is joined.
    std::thread::scope(move |scope| {
        let worker = std::thread::Builder::new()
            .name("seed-background".to_owned())
            .spawn_scoped(scope, move || {
                yield_to_others(nice);
                let _running = shutdown::enter("work in the background");
                // A caller that has panicked answers no more.
                work(&mut |report| match reports.send(report) {
                    Ok(()) => shutdown::aside(|| replies.recv()).unwrap_or(Control::Stop),
                    Err(_) => Control::Stop,
                })
            })
            .map_err(|error| Error::new(ErrorKind::Io, format!("cannot start a thread: {error}")))?;
        while let Ok(report) = shutdown::aside(|| inbox.recv()) {
            if answers.send(observe(report)).is_err() {
                break;
            }
        }
        drop((inbox, answers));
        shutdown::aside(|| worker.join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Gives this thread the nice value `nice`, where it has not a higher one already: a station that is run with `nice` is not hurried.
fn yield_to_others(nice: u64) {
    let nice = i32::try_from(nice.min(19)).unwrap_or(19);
    // SAFETY: plain numbers; 0 is the calling thread on Linux, as the man page says under BUGS.
    if unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) } >= nice {
        return;
    }
    // SAFETY: as above.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } != 0 {
        log::warn!("cannot set the nice value {nice}: {}", std::io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nice() -> i32 {
        // SAFETY: plain numbers.
        unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
    }

    #[test]
    fn reports_come_to_the_caller_and_only_the_work_yields() {
        let (before, caller, mut seen) = (nice(), std::thread::current().id(), Vec::new());
        let work = |report: &mut dyn FnMut(i32) -> Control| {
            let mut count = 0;
            while report(count) == Control::Continue {
                count += 1;
            }
            Ok((count, nice(), std::thread::spawn(nice).join().unwrap()))
        };
        let observe = |report| {
            assert_eq!(std::thread::current().id(), caller);
            seen.push(report);
            if report < 3 { Control::Continue } else { Control::Stop }
        };
        let (count, within, inherited) = in_background(7, work, observe).unwrap();
        assert_eq!((count, within, inherited), (3, before.max(7), before.max(7)));
        assert_eq!((seen, nice()), (vec![0, 1, 2, 3], before));
    }

    #[test]
    fn errors_and_panics_come_back() {
        let error = in_background::<(), ()>(1, |_| Err(Error::invalid("no")), |()| Control::Continue).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let panicked =
            std::panic::catch_unwind(|| in_background::<(), ()>(1, |_| panic!("on purpose"), |()| Control::Continue));
        assert!(panicked.is_err());
        let panicked = std::panic::catch_unwind(|| {
            in_background::<(), Control>(1, |report| Ok(report(())), |()| panic!("on purpose"))
        });
        assert!(panicked.is_err());
    }
}
