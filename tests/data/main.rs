//! From a picture's bytes to a batch of views: decoding, loading, augmentation on the processor and on the device.

#[path = "../common/alone.rs"]
mod alone;
#[path = "../common/one_thread.rs"]
mod one_thread;
#[path = "../common/shared.rs"]
mod shared;
#[path = "../common/written.rs"]
mod written;

mod blur;
mod depth;
mod device_views;
mod formats;
mod geometry;
mod images;
mod loader;
mod native;
mod scaled;
mod views;
