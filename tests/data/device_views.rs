//! Views that the device finishes in batch, against the workers' own: same crops, same parameters.

use std::sync::Arc;

use seed::data::augment::Adjustment;
use seed::data::{Batch, Dataset, FrameView, Input, Loader, PixelFormat, ViewConfig, ViewDevice};
use seed::distill::device_views;
use tch::{Device, Kind, Tensor};

fn config(device: ViewDevice) -> ViewConfig {
    ViewConfig { device, ..Input { width: 80, height: 60, ..Input::default() }.into() }
}

/// Noise, which has every colour, and smooth frames, which have every hue and level in turn; grey and in colour.
fn dataset(colour: bool, grey: bool) -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    let mut state = 1u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let (width, height) = (120u32, 100u32);
    for number in 0..6u32 {
        if colour {
            let smooth = |x: u32, y: u32, c: u32| {
                (127.5 + 127.5 * ((x * (c + 1) + y * (number + 1)) as f32 * 0.02 + c as f32 * 2.1).sin()) as u8
            };
            let pixels: Vec<u8> = (0..width * height * 3)
                .map(|i| if number < 2 { noise() } else { smooth(i / 3 % width, i / 3 / width, i % 3) })
                .collect();
            let view = FrameView::new(&pixels, width, height, width as usize * 3, PixelFormat::Rgb8).unwrap();
            dataset.push("colour", &view).unwrap();
        }
        if grey {
            let pixels: Vec<u8> =
                (0..width * height).map(|i| if number < 3 { noise() } else { (i / 40) as u8 }).collect();
            let view = FrameView::new(&pixels, width, height, width as usize, PixelFormat::Mono8).unwrap();
            dataset.push("grey", &view).unwrap();
        }
    }
    Arc::new(dataset)
}

fn batches(dataset: &Arc<Dataset>, config: &ViewConfig) -> Vec<Batch> {
    let mut loader = Loader::views(Arc::clone(dataset), config.clone(), 11, 16, 0..8, 2).unwrap();
    let mut batches = Vec::new();
    while let Some(batch) = loader.next() {
        let batch = batch.unwrap();
        batches.push(batch.clone());
        loader.recycle(batch);
    }
    batches
}

/// Levels (B,H,W,3) of normalised (B,3,H,W).
fn levels(views: &Tensor, config: &ViewConfig) -> Vec<f32> {
    let (mean, std) = (Tensor::from_slice(&config.input.mean), Tensor::from_slice(&config.input.std));
    let levels = (views.permute([0, 2, 3, 1]).to_kind(Kind::Double) * std + mean) * 255.0;
    Vec::try_from(levels.round().to_kind(Kind::Float).contiguous().view([-1])).unwrap()
}

/// Compares all views of the data set. Views without blur are the same; of the blurred ones some levels round the other way.
fn compare(label: &str, dataset: &Arc<Dataset>, channels: usize) {
    let config = config(ViewDevice::Device);
    let (mut blurred, mut differing, mut jittered) = (0usize, 0usize, 0usize);
    for (own, crops) in batches(dataset, &self::config(ViewDevice::Workers)).iter().zip(batches(dataset, &config)) {
        assert_eq!((own.step, &own.indices), (crops.step, &crops.indices));
        let parts = crops.views[0].crops.as_ref().unwrap();
        assert!(crops.views[0].pixels.is_empty() && own.views[0].crops.is_none());
        assert_eq!((parts.channels, parts.levels.len()), (channels, 16 * 60 * 80 * channels));
        let views = device_views::finish(parts, &config, Device::Cpu).unwrap();
        assert_eq!((views.size(), views.kind()), (vec![16, 3, 60, 80], Kind::Float));
        assert_eq!(views.stride(), [60 * 80 * 3, 1, 80 * 3, 3]);
        let expected = Tensor::from_slice(&own.views[0].pixels).view([16, 60, 80, 3]).permute([0, 3, 1, 2]);
        let (found, expected) = (levels(&views, &config), levels(&expected, &config));
        for (view, params) in parts.params.iter().enumerate() {
            let range = view * 60 * 80 * 3..(view + 1) * 60 * 80 * 3;
            let differences = || found[range.clone()].iter().zip(&expected[range.clone()]).map(|(a, b)| (a - b).abs());
            let worst = differences().fold(0.0, f32::max);
            jittered += usize::from(params.jitter.is_some_and(|jitter| jitter.order[0] == Adjustment::Hue));
            if params.blur_sigma.is_none() {
                assert_eq!(worst, 0.0, "{label}: {params:?}");
            } else {
                assert!(worst <= 1.0, "{label}: {worst} levels in {params:?}");
                blurred += 60 * 80 * 3;
                differing += differences().filter(|&difference| difference > 0.0).count();
            }
        }
    }
    println!("{label}: {differing} of {blurred} blurred levels differ, by one");
    assert!(blurred > 0 && jittered > 0 && differing < blurred / 1000, "{label}: {differing} of {blurred}");
}

#[test]
fn colour_frames_come_out_as_the_workers_make_them() {
    compare("colour", &dataset(true, false), 3);
}

#[test]
fn grey_frames_stay_one_channel_until_the_end() {
    compare("grey", &dataset(false, true), 1);
}

#[test]
fn frames_of_both_kinds_share_a_batch() {
    compare("mixed", &dataset(true, true), 3);
}

#[test]
fn frames_of_the_application_take_the_same_way() {
    let frames: Vec<_> = (0..4).map(|i| (*dataset(true, true).load(i).unwrap()).clone()).collect();
    let own = Batch::of_frames(&frames, &[config(ViewDevice::Workers)], 3, 5).unwrap();
    let crops = Batch::of_frames(&frames, &[config(ViewDevice::Device)], 3, 5).unwrap();
    let views =
        device_views::finish(crops.views[0].crops.as_ref().unwrap(), &config(ViewDevice::Device), Device::Cpu).unwrap();
    let expected = Tensor::from_slice(&own.views[0].pixels).view([4, 60, 80, 3]).permute([0, 3, 1, 2]);
    let pairs =
        levels(&views, &config(ViewDevice::Device)).into_iter().zip(levels(&expected, &config(ViewDevice::Device)));
    assert!(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) <= 1.0);
}

#[test]
fn the_smallest_views_work_too() {
    for (width, height) in [(1, 1), (1, 9), (9, 1), (21, 20)] {
        let of = |device| ViewConfig {
            input: Input { width, height, ..Input::default() },
            blur_probability: 1.0,
            ..config(device)
        };
        for (own, crops) in batches(&dataset(true, true), &of(ViewDevice::Workers))
            .iter()
            .zip(batches(&dataset(true, true), &of(ViewDevice::Device)))
        {
            let views =
                device_views::finish(crops.views[0].crops.as_ref().unwrap(), &of(ViewDevice::Device), Device::Cpu)
                    .unwrap();
            let expected = Tensor::from_slice(&own.views[0].pixels).view([16, i64::from(height), i64::from(width), 3]);
            let expected = expected.permute([0, 3, 1, 2]);
            let pairs =
                levels(&views, &of(ViewDevice::Device)).into_iter().zip(levels(&expected, &of(ViewDevice::Device)));
            assert!(pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) <= 1.0, "{width}×{height}");
        }
    }
}

#[test]
fn the_place_of_the_views_is_checked() {
    let mut run = seed::config::Config::default();
    run.set_string("view.device", "device").unwrap();
    assert!(run.view.on_device());
    let error = run.set_string("view.device", "gpu").unwrap_err();
    assert_eq!(error.message(), "view.device is \"gpu\", expected one of workers, device");
    assert!(run.view.on_device(), "a refused word changes nothing");
}
