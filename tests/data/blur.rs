//! The blur where it is not cut off, against OpenCV's Gaussian in float64 and PIL's approximation of it (golden/make_blur.py).

use base64::Engine;
use seed::data::augment::Crop;
use seed::data::render::render;
use seed::data::{Frame, Input, Resize, Scratch, ViewConfig, ViewParams};
use serde_json::Value;

fn bytes(value: &Value) -> Vec<u8> {
    base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap()
}

#[test]
fn with_all_of_its_reach_it_is_opencvs_gaussian_and_near_to_pils() {
    let golden: Value = serde_json::from_str(include_str!("../golden/blur.json")).unwrap();
    let mut scratch = Scratch::new();
    let mut cut_off = 0.0f64;
    for case in golden.as_array().unwrap() {
        let [width, height] = ["width", "height"].map(|key| case[key].as_u64().unwrap() as u32);
        let sigma = case["sigma"].as_f64().unwrap();
        let frame = Frame::new(width, height, 1, bytes(&case["image"])).unwrap();
        let crop = Crop { left: 0, top: 0, width, height };
        let params = ViewParams { crop, jitter: None, grey: false, blur_sigma: Some(sigma), flip: false };
        let mut blurred = |reach: f64| -> Vec<u8> {
            let config = ViewConfig {
                input: Input {
                    width,
                    height,
                    channels: 1,
                    mean: [0.0; 3],
                    std: [1.0; 3],
                    resize: Resize::Centre,
                    ..Input::default()
                },
                blur_reach: reach,
                ..ViewConfig::default()
            };
            let mut view = vec![f32::NAN; config.input.view_len()];
            render(&frame, &params, &config, &mut view, &mut scratch).unwrap();
            view.iter().map(|v| (v * 255.0).round() as u8).collect()
        };
        let label = format!("{width}×{height}, σ {sigma}");
        let apart = |a: &[u8], b: &[u8]| {
            let all: Vec<u8> = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).collect();
            let mean = all.iter().map(|&d| f64::from(d)).sum::<f64>() / all.len() as f64;
            (*all.iter().max().unwrap(), mean)
        };
        let (exact, pil) = (bytes(&case["exact"]), bytes(&case["pil"]));
        let whole = blurred(1.0);
        let (worst, mean) = apart(&whole, &exact);
        assert!(worst <= 1 && mean < 0.05, "{label}: {worst} {mean}");
        // PIL repeats the border and takes boxes, which matters most where all of the image is border.
        let (_, mean) = apart(&whole, &pil);
        assert!(mean < if width == 8 { 4.5 } else { 1.5 }, "{label}: {mean}");
        let usual = apart(&blurred(0.05), &pil).1;
        println!("{label}: {mean:.2} levels from PIL's on average, {usual:.2} with the usual reach");
        if width == 32 {
            cut_off = cut_off.max(usual);
        }
    }
    assert!(cut_off > 10.0, "a kernel of three pixels is no Gaussian of σ 2: {cut_off}");
}
