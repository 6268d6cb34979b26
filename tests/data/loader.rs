//! Batches: their order, their replay on any number of workers, and what broken images do to them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use seed::ErrorKind;
use seed::data::random::permutation;
use seed::data::{
    Batch, Dataset, EncodedImage, EncodedImages, FrameView, Input, Loader, PixelFormat, Sampling, ViewConfig,
    ViewDevice, Views,
};

/// `len` different grey frames; frame i is level i·10 but for a corner.
fn pushed(len: usize) -> Arc<Dataset> {
    let dataset = Dataset::in_memory();
    for i in 0..len {
        let mut pixels = vec![(i * 10) as u8; 24 * 20];
        pixels[..40].fill(255);
        dataset.push(&format!("{i}"), &FrameView::new(&pixels, 24, 20, 24, PixelFormat::Mono8).unwrap()).unwrap();
    }
    Arc::new(dataset)
}

fn config() -> ViewConfig {
    Input { width: 16, height: 12, ..Input::default() }.into()
}

fn batches(loader: Loader) -> Vec<Batch> {
    loader.map(|batch| batch.unwrap()).collect()
}

/// The sampling of `views` repeated views by one recipe.
fn repeated(seed: u64, views: u64) -> Sampling {
    Sampling { recipes: vec![config()], seed, repeated: views, kept: None }
}

fn views(dataset: &Arc<Dataset>, seed: u64, batch: usize, steps: std::ops::Range<u64>, workers: usize) -> Loader {
    Loader::views(Arc::clone(dataset), config(), seed, batch, steps, workers).unwrap()
}

#[test]
fn the_same_bits_whatever_the_workers() {
    let dataset = pushed(7);
    let one = batches(views(&dataset, 5, 3, 0..9, 1));
    assert_eq!(one.len(), 9);
    for workers in [0, 2, 5, 64] {
        assert!(one == batches(views(&dataset, 5, 3, 0..9, workers)), "{workers} workers");
    }
    // A run that goes on at step 4 is the same run.
    assert!(one[4..] == batches(views(&dataset, 5, 3, 4..9, 2)));
    assert!(one[0].views[0].pixels != batches(views(&dataset, 6, 3, 0..1, 2))[0].views[0].pixels);
}

#[test]
fn epochs_are_permutations_cut_anywhere() {
    let dataset = pushed(7);
    for batch in [1, 3, 7, 16] {
        let steps = 28u64.div_ceil(batch as u64);
        let all = batches(views(&dataset, 5, batch, 0..steps, 3));
        assert!(all.iter().enumerate().all(|(i, b)| b.step == i as u64 && b.indices.len() == batch));
        assert!(all.iter().all(
            |b| b.views[0].pixels.len() == batch * 16 * 12 * 3 && (b.views[0].width, b.views[0].height) == (16, 12)
        ));
        let order: Vec<usize> = all.iter().flat_map(|b| b.indices.clone()).take(28).collect();
        let expected: Vec<usize> = (0..4).flat_map(|epoch| permutation(5, epoch, 7)).collect();
        assert_eq!(order, expected, "batch {batch}");
    }
    // The same image looks different in another epoch, and is the same view whatever the batch size.
    let singles = batches(views(&dataset, 5, 1, 0..14, 2));
    let first = &singles[0];
    let again = singles[7..].iter().find(|b| b.indices == first.indices).unwrap();
    assert_ne!(first.views, again.views);
    let whole = &batches(views(&dataset, 5, 14, 0..1, 2))[0];
    assert!(singles.iter().flat_map(|b| &b.views[0].pixels).eq(&whole.views[0].pixels));
}

#[test]
fn centres_come_once_in_order_with_a_short_last_batch() {
    let dataset = pushed(7);
    let all = batches(Loader::frames(Arc::clone(&dataset), config().input, 3, 2).unwrap());
    assert_eq!(all.iter().map(|b| b.indices.clone()).collect::<Vec<_>>(), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
    assert_eq!(all[2].views[0].pixels.len(), 16 * 12 * 3);
    assert!(all == batches(Loader::frames(dataset, config().input, 3, 0).unwrap()));
}

fn write(folder: &Path, name: &str, level: Option<u8>) {
    let path = folder.join(name);
    match level {
        Some(level) => image::GrayImage::from_pixel(30, 30, image::Luma([level])).save(path).unwrap(),
        None => std::fs::write(path, b"broken").unwrap(),
    }
}

#[test]
fn the_next_sound_image_takes_a_broken_ones_place() {
    let folder = tempfile::tempdir().unwrap();
    for (name, level) in [("a.png", Some(10)), ("b.png", None), ("c.png", None), ("d.png", Some(200)), ("e.png", None)]
    {
        write(folder.path(), name, level);
    }
    let dataset = Arc::new(Dataset::from_folder(folder.path()).unwrap());
    let one = batches(views(&dataset, 1, 5, 0..4, 1));
    for batch in &one {
        let mut expected = permutation(1, batch.step, 5);
        expected.iter_mut().for_each(|i| *i = [0, 3, 3, 3, 0][*i]);
        assert_eq!(batch.indices, expected);
    }
    let fresh = Arc::new(Dataset::from_folder(folder.path()).unwrap());
    assert!(one == batches(views(&fresh, 1, 5, 0..4, 4)));
    let names = |dataset: &Dataset| dataset.skipped().into_iter().map(|s| s.name).collect::<Vec<_>>();
    assert_eq!(names(&dataset), ["b.png", "c.png", "e.png"]);

    let fresh = Arc::new(Dataset::from_folder(folder.path()).unwrap());
    let centres = batches(Loader::frames(Arc::clone(&fresh), config().input, 5, 2).unwrap());
    let zero = |i: usize| centres[0].views[0].pixels[i * 576..][..576].iter().all(|&v| v == 0.0);
    assert_eq!([0, 1, 2, 3, 4].map(zero), [false, true, true, false, true]);
    assert_eq!(centres[0].broken, [1, 2, 4]);
    assert_eq!(names(&fresh), ["b.png", "c.png", "e.png"]);
}

/// Pictures of which the first two may be away; counts how often the second is asked for.
struct Outage {
    away: AtomicBool,
    asked: AtomicU32,
}

impl EncodedImages for Outage {
    fn read(&self, key: i64) -> seed::Result<Vec<u8>> {
        self.asked.fetch_add(u32::from(key == 1), Ordering::SeqCst);
        if key < 2 && self.away.load(Ordering::SeqCst) {
            return Err(seed::Error::new(ErrorKind::Io, "the disk is away"));
        }
        let mut bytes = std::io::Cursor::new(Vec::new());
        image::GrayImage::from_pixel(30, 30, image::Luma([key as u8 * 50]))
            .write_to(&mut bytes, image::ImageFormat::Png)
            .unwrap();
        Ok(bytes.into_inner())
    }
}

#[test]
fn an_outage_lasts_for_the_pass_in_which_it_shows() {
    let store = Arc::new(Outage { away: AtomicBool::new(true), asked: AtomicU32::new(0) });
    let images = (0..3).map(|key| EncodedImage { key, name: key.to_string(), bytes: 9 }).collect();
    let from: Arc<dyn EncodedImages> = Arc::clone(&store) as _;
    let dataset = Arc::new(Dataset::from_encoded(images, &from).unwrap());
    dataset.set_cache_bytes(0);
    // One view that is shown in every epoch, so that the view does not tell epochs apart.
    let mut loader = Loader::sampled(Arc::clone(&dataset), repeated(1, 1), 3, 0..40, 1).unwrap();
    let first: Vec<Batch> = loader.by_ref().take(3).map(Result::unwrap).collect();
    assert!(first.iter().all(|batch| batch.indices == [2, 2, 2]));
    assert_eq!(dataset.skipped_count(), 2);
    store.away.store(false, Ordering::SeqCst);
    let rest = batches(loader);
    // Up to four batches were being made meanwhile.
    assert!(rest[4..].iter().all(|batch| batch.indices == permutation(1, batch.step, 3)) && rest.len() == 37);
    assert!(dataset.skipped().is_empty());

    // In each of 8 passes over the three images, two places ask for the second one; a read that fails is tried twice at once.
    store.away.store(true, Ordering::SeqCst);
    store.asked.store(0, Ordering::SeqCst);
    batches(Loader::every_view(dataset, vec![config()], 1, 8, 24, 0..1, 1).unwrap());
    assert_eq!(store.asked.load(Ordering::SeqCst), 2 * 8);
}

#[test]
fn nothing_but_broken_images_is_one_error() {
    let folder = tempfile::tempdir().unwrap();
    ["a.png", "b.jpg"].iter().for_each(|name| write(folder.path(), name, None));
    let dataset = Arc::new(Dataset::from_folder(folder.path()).unwrap());
    for workers in [1, 4] {
        let mut loader = views(&dataset, 1, 8, 0..1_000_000_000, workers);
        let error = loader.next().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Format);
        assert!(error.message().contains("none of the 2 images can be read"), "{error}");
        assert!(loader.next().is_none());
    }
}

#[test]
fn arguments_are_checked_first() {
    let refused = |dataset, config, batch, steps| Loader::views(dataset, config, 0, batch, steps, 1).err().unwrap();
    let dataset = pushed(2);
    assert!(refused(pushed(0), config(), 1, 0..1).message().contains("empty"));
    assert!(refused(Arc::clone(&dataset), config(), 0, 0..1).message().contains("batch is 0"));
    assert!(refused(Arc::clone(&dataset), config(), usize::MAX / 8, 0..1).message().contains("memory"));
    assert!(refused(Arc::clone(&dataset), config(), 2, 0..u64::MAX).message().contains("64-bit"));
    let wrong = ViewConfig { flip_probability: f64::NAN, ..config() };
    assert_eq!(refused(Arc::clone(&dataset), wrong, 2, 0..1).kind(), ErrorKind::Config);
    assert!(Loader::frames(pushed(0), config().input, 1, 1).is_err());
    // No steps are no error.
    assert!(views(&dataset, 0, 2, 5..5, 2).next().is_none());
}

#[test]
fn dropping_in_the_middle_returns_at_once() {
    let dataset = pushed(9);
    for taken in 0..4 {
        let mut loader = views(&dataset, 0, 4, 0..1 << 40, 3);
        for _ in 0..taken {
            loader.next().unwrap().unwrap();
        }
        let began = Instant::now();
        drop(loader);
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn recycled_buffers_carry_nothing_over() {
    let dataset = pushed(7);
    let expected = batches(views(&dataset, 5, 3, 0..20, 2));
    let mut loader = views(&dataset, 5, 3, 0..20, 2);
    let mut buffers = std::collections::HashSet::new();
    for expected in expected {
        let mut batch = loader.next().unwrap().unwrap();
        assert!(batch == expected);
        buffers.insert(batch.views[0].pixels.as_ptr());
        batch.views[0].pixels.fill(f32::NAN);
        loader.recycle(batch);
    }
    assert!(buffers.len() <= 7, "{} buffers", buffers.len());
    assert!(loader.next().is_none());
    // A buffer of another size is no harm, larger or smaller.
    let mut loader = Loader::frames(Arc::clone(&dataset), config().input, 3, 1).unwrap();
    for pixels in [vec![9.0; 5], vec![9.0; 50_000]] {
        let views = vec![Views { pixels, crops: None, width: 1, height: 1 }];
        loader.recycle(Batch { views, indices: vec![], broken: vec![], slots: vec![], step: 0 });
    }
    assert!(loader.by_ref().map(|b| b.unwrap().views[0].pixels.len()).eq([1728, 1728, 576]));
    assert!(loader.waited() < Duration::from_secs(60));
}

#[test]
fn frames_pushed_meanwhile_belong_to_the_next_loader() {
    let dataset = pushed(3);
    let mut loader = views(&dataset, 2, 2, 0..200, 2);
    let pusher = Arc::clone(&dataset);
    let pushing = std::thread::spawn(move || {
        for i in 0..200 {
            pusher.push(&format!("late {i}"), &FrameView::new(&[3; 9], 3, 3, 3, PixelFormat::Mono8).unwrap()).unwrap();
        }
    });
    assert!(loader.by_ref().all(|batch| batch.unwrap().indices.iter().all(|&i| i < 3)));
    pushing.join().unwrap();
    assert_eq!(dataset.len(), 203);
}

#[test]
fn repeated_views_are_those_of_every_view() {
    let dataset = pushed(5);
    let bank = Loader::every_view(Arc::clone(&dataset), vec![config()], 9, 2, 4, 0..3, 2).unwrap();
    let bank = batches(bank);
    assert_eq!(bank.iter().map(|batch| batch.indices.len()).collect::<Vec<_>>(), [4, 4, 2]);
    let order: Vec<_> = bank.iter().flat_map(|b| b.slots.iter().map(|slot| (slot.view, slot.index))).collect();
    assert_eq!(order, (0..2).flat_map(|view| (0..5).map(move |index| (view, index))).collect::<Vec<_>>());

    let pixels: Vec<f32> = bank.iter().flat_map(|batch| batch.views[0].pixels.clone()).collect();
    let fresh = batches(views(&dataset, 9, 5, 0..6, 1));
    let repeated = Loader::sampled(Arc::clone(&dataset), repeated(9, 2), 5, 0..6, 3).unwrap();
    for (epoch, (repeated, fresh)) in batches(repeated).iter().zip(&fresh).enumerate() {
        assert_eq!(repeated.indices, fresh.indices, "the order of the images is the epoch's own");
        assert_eq!(repeated.views == fresh.views, epoch < 2);
        for (slot, view) in repeated.slots.iter().zip(repeated.views[0].pixels.chunks_exact(16 * 12 * 3)) {
            assert_eq!(slot.view, epoch as u64 % 2);
            let row = slot.view as usize * 5 + slot.index;
            assert!(view == &pixels[row * view.len()..][..view.len()], "view {} of image {}", slot.view, slot.index);
        }
    }
}

#[test]
fn an_image_may_have_several_views_each_by_its_recipe() {
    let dataset = pushed(5);
    let small =
        ViewConfig { input: Input { width: 6, height: 8, ..Input::default() }, crop_scale_max: 0.3, ..config() };
    let recipes = [config(), config(), small.clone()];
    for &device in ViewDevice::ALL {
        let on = |recipe: &ViewConfig| ViewConfig { device, ..recipe.clone() };
        let several = |workers| {
            let recipes = recipes.iter().map(on).collect();
            let sampling = Sampling { recipes, seed: 4, repeated: 0, kept: None };
            batches(Loader::sampled(Arc::clone(&dataset), sampling, 3, 0..7, workers).unwrap())
        };
        let found = several(1);
        assert!(found == several(3), "as many workers as one likes");
        let alone = batches(Loader::views(Arc::clone(&dataset), on(&config()), 4, 3, 0..7, 1).unwrap());
        for (batch, alone) in found.iter().zip(&alone) {
            assert_eq!(batch.indices, alone.indices);
            // The first view is the one that a loader of one view makes; the second is another one by the same recipe.
            assert!(batch.views[0] == alone.views[0] && batch.views[1] != batch.views[0]);
            assert_eq!(
                batch.views.iter().map(|v| (v.width, v.height)).collect::<Vec<_>>(),
                [(16, 12), (16, 12), (6, 8)]
            );
            match &batch.views[2].crops {
                None => assert_eq!(batch.views[2].pixels.len(), 3 * 6 * 8 * 3),
                Some(crops) => assert_eq!((crops.params.len(), crops.levels.len()), (3, 3 * 6 * 8 * crops.channels)),
            }
        }
    }
    let refused = |recipes| {
        let sampling = Sampling { recipes, seed: 4, repeated: 0, kept: None };
        Loader::sampled(Arc::clone(&dataset), sampling, 3, 0..7, 1).err().unwrap()
    };
    assert!(refused(vec![]).message().contains("expected 1 to 64"));
    assert!(refused(vec![small; 65]).message().contains("expected 1 to 64"));
}
