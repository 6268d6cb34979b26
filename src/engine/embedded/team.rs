//! Threads that help a pass. They are the process's, sleep while there is none, and help one pass at a time: a pass that finds them busy
//! is computed by its caller alone, so that many callers do not get in each other's way.
//!
//! A pass is a list of stages of items. Whoever is there takes the next item of a stage; who finds none left waits until the others have
//! finished theirs. A helper may come late or not at all: nobody waits for one that has taken nothing.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How often a thread looks for the others' last items before it lets others have the core.
const LOOKS: usize = 2000;

/// Which items of a stage are taken, and how many are finished.
#[derive(Default)]
struct Stage {
    taken: AtomicUsize,
    finished: AtomicUsize,
}

/// What the members of a pass share.
pub struct Crew {
    /// None: one thread.
    stages: Option<Vec<Stage>>,
    members: usize,
    broken: AtomicBool,
}

impl Crew {
    /// One thread.
    pub fn alone() -> Crew {
        Crew { stages: None, members: 1, broken: AtomicBool::new(false) }
    }

    /// As many `members` for so many stages.
    pub fn new(members: usize, stages: usize) -> Crew {
        let stages = (members > 1).then(|| (0..stages).map(|_| Stage::default()).collect());
        Crew { stages, members, broken: AtomicBool::new(false) }
    }

    /// How many there may be.
    pub fn members(&self) -> usize {
        self.members
    }

    /// Does items 0 to `count` of a stage, each once, together with the other members; returns when all are done. Each member passes the stages in
    /// their order.
    pub fn each(&self, stage: usize, count: usize, work: impl Fn(usize)) {
        let Some(stages) = &self.stages else { return (0..count).for_each(work) };
        let Stage { taken, finished } = &stages[stage];
        loop {
            let item = taken.fetch_add(1, Ordering::Relaxed);
            if item >= count {
                break;
            }
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(item))) {
                self.broken.store(true, Ordering::Release);
                resume_unwind(panic);
            }
            finished.fetch_add(1, Ordering::Release);
        }
        let mut looks = 0usize;
        // What the others wrote is seen behind this.
        while finished.load(Ordering::Acquire) < count {
            assert!(!self.broken.load(Ordering::Acquire), "another thread of the pass panicked");
            looks += 1;
            if looks < LOOKS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

/// What helpers run: a function that lives until the caller of [`together`] has seen all of them leave.
#[derive(Clone, Copy)]
struct Job(*const (dyn Fn(usize) + Sync));

// SAFETY: the function may be called by several threads, and outlives its calls, as above.
unsafe impl Send for Job {}

struct State {
    /// Whether a pass has the helpers.
    busy: bool,
    /// What may be joined.
    job: Option<Job>,
    /// Members that joined, and how many may.
    joined: usize,
    most: usize,
    /// Helpers inside of the job.
    inside: usize,
    /// Helpers that there are.
    helpers: usize,
    /// Whether one of them panicked in the job.
    broken: bool,
    /// Counts passes, so that a helper joins each once.
    pass: u64,
}

struct Team {
    state: Mutex<State>,
    come: Condvar,
    left: Condvar,
}

static TEAM: Team = Team {
    state: Mutex::new(State {
        busy: false,
        job: None,
        joined: 0,
        most: 0,
        inside: 0,
        helpers: 0,
        broken: false,
        pass: 0,
    }),
    come: Condvar::new(),
    left: Condvar::new(),
};

/// Nothing that panics runs under the lock.
fn lock() -> MutexGuard<'static, State> {
    TEAM.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `job` on this thread and, where they are free, on up to `members` − 1 helpers at once; each is told its number, this thread 0.
/// Returns when all have left.
///
/// # Panics
/// Where the job does.
pub fn together(members: usize, job: &(dyn Fn(usize) + Sync)) {
    if members <= 1 || !seize(members, job) {
        return job(0);
    }
    let own = catch_unwind(AssertUnwindSafe(|| job(0)));
    lock().job = None;
    // They come out of the last stage together with this thread, sooner than it would fall asleep.
    for _ in 0..LOOKS / 20 {
        if lock().inside == 0 {
            break;
        }
        (0..20).for_each(|_| std::hint::spin_loop());
    }
    let mut state = lock();
    while state.inside > 0 {
        state = TEAM.left.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
    state.busy = false;
    let broken = state.broken;
    drop(state);
    match own {
        Err(panic) => resume_unwind(panic),
        Ok(()) => assert!(!broken, "a thread of the pass panicked"),
    }
}

/// Hands the job to the helpers, unless another pass has them. There are as many as the largest pass asked for, or as the system gave.
fn seize(members: usize, job: &(dyn Fn(usize) + Sync)) -> bool {
    let mut state = lock();
    if state.busy {
        return false;
    }
    while state.helpers + 1 < members {
        let name = format!("seed-embedded-{}", state.helpers + 1);
        match std::thread::Builder::new().name(name).spawn(help) {
            Ok(_detached) => state.helpers += 1,
            Err(error) => {
                log::warn!("the embedded engine goes on with {} threads: {error}", state.helpers + 1);
                break;
            }
        }
    }
    let job: *const (dyn Fn(usize) + Sync + '_) = job;
    // SAFETY: only the lifetime changes. `together` does not return before every helper that took the pointer has left the job, and takes it
    // away from the others before.
    let job =
        Job(unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), *const (dyn Fn(usize) + Sync)>(job) });
    (state.busy, state.job, state.joined, state.most, state.broken) = (true, Some(job), 1, members, false);
    state.pass += 1;
    drop(state);
    TEAM.come.notify_all();
    true
}

/// A helper's life.
fn help() {
    let mut state = lock();
    let mut last = 0;
    loop {
        let open = state.job.filter(|_| state.joined < state.most && last != state.pass);
        let Some(Job(job)) = open else {
            state = TEAM.come.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        last = state.pass;
        let number = state.joined;
        state.joined += 1;
        state.inside += 1;
        drop(state);
        // SAFETY: the caller of `together` waits until `inside` is 0 again.
        let whole = catch_unwind(AssertUnwindSafe(|| unsafe { (*job)(number) })).is_ok();
        state = lock();
        state.broken |= !whole;
        state.inside -= 1;
        if state.inside == 0 {
            TEAM.left.notify_one();
        }
    }
}
