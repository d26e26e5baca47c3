//! The program that measures what keeping content costs, on little content.

use crate::measure;

#[test]
fn it_measures_everything_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let told = measure::all(folder.path(), 16).unwrap();
    for (part, number) in [
        ("/streaming", "send_slices_cpu_s_per_gb"),
        ("/streaming", "receive_slices_cpu_s_per_gb"),
        ("/streaming", "read_cpu_s_per_gb"),
        ("/erasure_codes/3", "encode_mb_per_cpu_s"),
        ("/erasure_codes/0", "store_rebuild_mb_per_cpu_s"),
        ("/repair", "wall_s"),
        ("/repair", "cpu_s"),
        ("/repair", "most_memory_bytes"),
    ] {
        let measured = told.pointer(part).unwrap()[number].as_f64();
        assert!(measured.unwrap() > 0.0, "{part} {number}: {told}");
    }
    // Three pieces are read for each that is rebuilt, and a piece is a third of its file, filled up to whole stripes.
    let of = |name: &str| told["repair"][name].as_u64().unwrap();
    assert_eq!(of("read_from_other_hubs_bytes"), 3 * of("rebuilt_bytes"));
    let filled = of("read_from_other_hubs_bytes") - of("content_bytes");
    assert!(filled < of("files") * 3 * 65_536, "{told}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(measure::all(folder.path(), 0).is_err());
    assert!(measure::all(folder.path(), u64::MAX).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
