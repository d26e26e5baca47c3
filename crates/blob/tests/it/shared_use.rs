//! Many use a store at once: writers of the same content, readers, and a collection in between.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::content::{bytes, store};

#[test]
fn many_write_read_and_collect_at_once() {
    let (_directory, store) = store();
    let now = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for worker in 0..4u64 {
            let (store, now) = (store.clone(), &now);
            scope.spawn(move || {
                for round in 0..15 {
                    // Content that several workers write at the same time, large and small.
                    let content = bytes(round % 5, 10_000 + 30_000 * usize::from(round % 2 == 0));
                    let stored = store.put(&content).unwrap();
                    let mut reader = store
                        .read(&stored.id)
                        .unwrap()
                        .expect("it is younger than the grace");
                    assert_eq!(reader.read_at(0, content.len()).unwrap(), content);
                    if worker == 0 {
                        let time = now.fetch_add(1, Ordering::Relaxed);
                        store.collect(&|_| false, time, 1_000).unwrap();
                    }
                }
            });
        }
    });
    for stored in store.list(None, 100).unwrap() {
        assert_eq!(store.verify(&stored.id).unwrap().unwrap().rotted, []);
    }
    store.collect(&|_| false, 10_000, 1_000).unwrap();
    assert_eq!(store.usage().unwrap(), Default::default());
}
