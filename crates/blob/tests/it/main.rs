//! Scenarios of a store, on real files.

// A list of one range is what is meant where one part of a blob is missing.
#![allow(clippy::single_range_in_vec_init)]

mod bit_rot;
mod bounded_memory;
mod collection;
mod content;
mod full_disk;
mod lost_hubs;
#[path = "../../examples/storage/measure.rs"]
mod measure;
mod measuring;
mod raw_blobs;
mod shared_use;
mod slices;
mod torn_writes;
mod xet_client;
mod xet_uploads;
