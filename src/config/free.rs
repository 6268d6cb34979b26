//! The settings that do not shape the numbers of a run.

/// Where and how fast a run works may change between nights, not what it computes.
pub const FREE_SETTINGS: [&str; 17] = [
    "device",
    "engine",
    "workers",
    "cache_mib",
    "checkpoint_every",
    "checkpoint_path",
    "progress_every",
    "tensorboard_folder",
    "duty_cycle",
    "nice",
    // What they change is a part of what the data set is.
    "files",
    "finetune",
    "linear",
    "anomaly",
    "segment",
    "tile",
    // Student and teacher are compared by what they are.
    "embedding_dim",
];
