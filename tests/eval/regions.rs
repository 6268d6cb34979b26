//! PRO against its definition, threshold by threshold, with SciPy's regions; see tests/golden/make_anomaly.py.

use seed::eval::regions::{Heat, region_overlap};
use seed::model::weights::read;

#[test]
fn pro_is_that_of_the_definition() {
    let golden = read(&crate::golden::golden("anomaly.safetensors")).unwrap();
    let masks = &golden.tensors["masks"].bytes;
    let heat = golden.tensors["heat"].to_tensor().unwrap();
    let scores = Vec::<f32>::try_from(heat.view([-1])).unwrap();
    let images: Vec<Heat<'_>> = scores
        .chunks_exact(20 * 24)
        .zip(masks.chunks_exact(20 * 24))
        .map(|(scores, mask)| Heat { scores, mask, width: 24 })
        .collect();
    assert_eq!(images.len(), 3);
    let found = region_overlap(&images, 0.3).unwrap();
    let expected = golden.tensors["pro"].to_tensor().unwrap().double_value(&[0]);
    assert!((found - expected).abs() < 1e-5, "{found}, expected {expected}");
}
