//! Views drawn in tiles of a frame: its own pixels at their own size.

use std::sync::Arc;

use seed::config::Config;
use seed::data::augment::Crop;
use seed::data::random::{Purpose, generator};
use seed::data::render::render;
use seed::data::{Dataset, Encoding, Frame, Input, Loader, RawFrame, Roi, Scratch, Tile, ViewConfig, ViewParams};

fn frame(width: u32, height: u32) -> Frame {
    let pixels = (0..width * height).map(|at| (((at % width) * 7) ^ ((at / width) * 13)) as u8).collect();
    Frame::new(width, height, 1, pixels).unwrap()
}

/// Crops as large as the tile, which is as large as the view.
fn native(input: Input) -> ViewConfig {
    ViewConfig {
        tile: input.width.min(input.height),
        crop_scale_min: 1.0,
        crop_scale_max: 1.0,
        crop_ratio_min: 1.0,
        crop_ratio_max: 1.0,
        jitter_probability: 0.0,
        grey_probability: 0.0,
        blur_probability: 0.0,
        flip_probability: 0.0,
        ..ViewConfig::from(input)
    }
}

#[test]
fn a_view_shows_the_frames_own_pixels() {
    let input = Input { width: 48, height: 32, mean: [0.0; 3], std: [1.0; 3], ..Input::default() };
    let config = native(input);
    let (whole, mut scratch) = (frame(500, 300), Scratch::new());
    let (mut view, mut places) = (vec![0f32; input.view_len()], std::collections::BTreeSet::new());
    for index in 0..200 {
        let params = ViewParams::sample(&config, 500, 300, &mut generator(1, 0, index, Purpose::View));
        let Crop { left, top, width, height } = params.crop;
        assert_eq!((width, height), (48, 32));
        render(&whole, &params, &config, &mut view, &mut scratch).unwrap();
        for (at, pixel) in view.chunks_exact(3).enumerate() {
            let (x, y) = (left as usize + at % 48, top as usize + at / 48);
            assert_eq!((pixel[0] * 255.0).round() as u8, whole.pixels()[y * 500 + x], "({x}, {y})");
        }
        places.insert((left, top));
    }
    // All of the frame is seen: a place is drawn twice now and then, and both ends come near.
    assert!(places.len() > 190, "{}", places.len());
    let (lefts, tops): (Vec<u32>, Vec<u32>) = places.into_iter().unzip();
    assert!(*lefts.iter().min().unwrap() < 20 && *lefts.iter().max().unwrap() > 432);
    assert!(*tops.iter().min().unwrap() < 20 && *tops.iter().max().unwrap() > 248);
}

#[test]
fn crops_stay_in_their_tile_and_the_tile_in_the_region() {
    let roi = Roi { x: 30, y: 40, width: 300, height: 200 };
    let config = ViewConfig { tile: 64, ..ViewConfig::from(Input { width: 64, height: 64, roi, ..Input::default() }) };
    let (mut least, mut most) = (u32::MAX, 0);
    for index in 0..500 {
        let Crop { left, top, width, height } =
            ViewParams::sample(&config, 400, 300, &mut generator(1, 0, index, Purpose::View)).crop;
        assert!(left >= 30 && top >= 40 && left + width <= 330 && top + height <= 240);
        assert!(width <= 64 && height <= 64);
        (least, most) = (least.min(width * height), most.max(width * height));
    }
    // A fifth of the tile to all of it.
    assert!(f64::from(least) < 0.25 * 4096.0 && f64::from(least) > 0.18 * 4096.0 && f64::from(most) > 0.9 * 4096.0);
    // A frame that is smaller than the tile is the tile.
    let small = native(Input { width: 64, height: 64, ..Input::default() });
    let small = ViewConfig { tile: 500, ..small };
    let crop = ViewParams::sample(&small, 90, 70, &mut generator(1, 0, 0, Purpose::View)).crop;
    assert_eq!(crop, Crop { left: 0, top: 0, width: 90, height: 70 });
    // Without a tile the draws are those of ever.
    let usual = ViewConfig { tile: 0, ..config };
    assert_eq!(serde_json::to_string(&usual).unwrap(), serde_json::to_string(&ViewConfig::from(usual.input)).unwrap());
    assert!(!serde_json::to_string(&usual).unwrap().contains("tile"));
}

#[test]
fn a_large_jpeg_is_not_decoded_smaller_for_native_views() {
    let jpeg = RawFrame::from(frame(1600, 1200)).encode(Encoding::Jpeg { quality: 90 }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("large.jpg"), &jpeg).unwrap();
    let dataset = Arc::new(Dataset::from_folder(folder.path()).unwrap());
    let input = Input { width: 64, height: 64, mean: [0.0; 3], std: [1.0; 3], ..Input::default() };
    let config = native(input);
    let whole = dataset.load(0).unwrap();
    let batch = Loader::views(Arc::clone(&dataset), config, 3, 1, 0..1, 1).unwrap().next().unwrap().unwrap();
    let found: Vec<u8> = batch.views[0].pixels.chunks_exact(3).map(|p| (p[0] * 255.0).round() as u8).collect();
    let shown = |left: usize, top: usize| {
        (0..64).all(|y| whole.pixels()[(top + y) * 1600 + left..][..64] == found[y * 64..][..64])
    };
    assert!((0..1200 - 63).any(|top| (0..1600 - 63).any(|left| shown(left, top))), "the view is a part of the frame");
}

#[test]
fn the_setting_is_the_tiles() {
    let mut config = Config::default();
    config.parse("view.tile=224").unwrap();
    assert_eq!(config.view.tile, 224);
    assert!(config.parse("view.tile=40000").is_err());
    assert_eq!(config.small.view(&config.view).tile, 224);
}

#[test]
fn a_frame_of_too_many_tiles_is_refused_before_any_is_made() {
    let input = Input { width: 8, height: 8, ..Input::default() };
    let refused = Tile { size: 8, overlap: 0.5 }.grid(&input, 32_768, 32_768).unwrap_err();
    assert!(
        refused.to_string().contains("67092481 tiles") && refused.to_string().contains("at most 65536"),
        "{refused}"
    );
    let line_scan = Input { width: 224, height: 224, ..Input::default() };
    assert_eq!(Tile { size: 224, overlap: 0.5 }.grid(&line_scan, 16_384, 8_192).unwrap().count(), 146 * 73);
}

#[test]
fn a_tile_as_large_as_the_frame_is_the_frame() {
    let input = Input { width: 96, height: 64, ..Input::default() };
    let grid = Tile { size: 128, overlap: 0.5 }.grid(&input, 192, 128).unwrap();
    assert_eq!((grid.count(), grid.roi(0)), (1, Roi { x: 0, y: 0, width: 192, height: 128 }));
    let numbers: Vec<f32> = (0..192 * 128).map(|i| (i as f32).sin()).collect();
    let mut map = vec![0f32; 192 * 128];
    grid.blend(0, &numbers, &mut map, 192).unwrap();
    assert!(map == numbers && grid.own_cells(0, 8, 12).unwrap() == [true; 96]);
}
