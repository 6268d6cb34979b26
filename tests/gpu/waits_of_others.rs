//! What waits.rs asks of SEED, asked of the other methods, of the linear probe by SGD and of segmentation.

use std::sync::Arc;

use seed::config::Config;
use seed::data::{Dataset, Frame, FrameView, Input, PixelFormat};
use seed::model::student_file::StudentHeader;
use seed::model::{Application, ApplicationOptions, BatchFormat, Teacher};
use seed::train::finetune::Start;
use seed::train::finetune::linear_sgd::linear_sgd;
use seed::train::finetune::protocol::Classed;
use seed::train::segment::{Frames, fit};
use seed::train::{CancelToken, Control};
use tch::{Device, Tensor};

use crate::methods::{ALONE, TAUGHT, alone, taught};
use crate::runs::*;
use crate::stand_in::{Event, Gpu};
use crate::waits::{added, labelled};

#[test]
fn no_method_waits() {
    let gpu = Gpu::take();
    let quiet: Change = |config| config.progress_every = 1000;
    let mut waiting = Vec::new();
    for (method, _) in TAUGHT {
        waiting.push((method, added(&gpu, &mut taught(method, GPU, 20, quiet))));
    }
    for (method, _) in ALONE {
        waiting.push((method, added(&gpu, &mut alone(method, GPU, 20, quiet))));
    }
    assert!(waiting.iter().all(|(_, events)| events.is_empty()), "{waiting:?}");
}

/// The losses are read at the end of a pass, and no other thing is.
#[test]
fn the_probe_by_sgd_does_not_wait() {
    let gpu = Gpu::take();
    let waits_of = |images: usize| {
        let ((dataset, labels), (tests, of_tests)) = (labelled(images), labelled(8));
        let mut config = Config { progress_every: 1000, ..config(GPU, 1) };
        (config.linear.epochs, config.linear.batch_size, config.linear.learning_rate) = (2, 8, 1.0);
        let view = Input { width: 32, height: 32, ..Input::default() };
        let network = network(STUDENT, 3, CPU);
        let start = Start::student(&network, &StudentHeader::new(&network, &view)).unwrap();
        let train = Classed { dataset: &dataset, labels: &labels };
        let test = Classed { dataset: &tests, labels: &of_tests };
        gpu.reset();
        linear_sgd(&config, &start, train, test, &CancelToken::new(), |_| Control::Continue).unwrap();
        assert!(gpu.count(Event::Kernel) > 100);
        gpu.waits()
    };
    // Four steps and six.
    assert_eq!(waits_of(16), waits_of(24));
}

/// Scenes with a mask each: the right half is of class 1.
fn scenes(count: usize) -> (Arc<Dataset>, Vec<Vec<u8>>) {
    let dataset = Dataset::in_memory();
    for number in 0..count {
        dataset.push_frame(&number.to_string(), Frame::new(36, 36, 1, pixels(number, 36)).unwrap()).unwrap();
    }
    (Arc::new(dataset), vec![(0..36 * 36).map(|at| u8::from(at % 36 >= 18)).collect(); count])
}

/// The features of the chosen cells come to the host, where the fit is: once for each group of frames.
#[test]
fn segmentation_waits_once_for_each_group_of_frames() {
    let gpu = Gpu::take();
    let waits_of = |count: usize| {
        let (dataset, masks) = scenes(count);
        let masks: Vec<_> =
            masks.iter().map(|mask| Some(FrameView::new(mask, 36, 36, 36, PixelFormat::Mono8).unwrap())).collect();
        let mut config = config(GPU, 1);
        config.segment.penalty = 100.0;
        let view = Input { width: 32, height: 32, ..Input::default() };
        let network = network("resnet10", 5, GPU);
        let names = ["left", "right"].map(str::to_owned);
        let frames = Frames { dataset: &dataset, masks: &masks, names: &names };
        gpu.reset();
        fit(&network, &StudentHeader::new(&network, &view), &config, &frames, &CancelToken::new(), &mut |_, _| true)
            .unwrap();
        gpu.waits()
    };
    // Eight frames go through the backbone at once.
    assert_eq!(waits_of(1), waits_of(8));
    let of = |waits: &[(Event, u64)], event| waits.iter().find(|(e, _)| *e == event).map_or(0, |(_, n)| *n);
    let [one, two, three] = [8, 16, 24].map(waits_of);
    for event in crate::stand_in::WAITS {
        let wanted = match event {
            // Whether the maps are numbers: there are three.
            Event::Item => 3,
            // The cells.
            Event::StreamWait => 1,
            _ => 0,
        };
        let added = [of(&two, event) - of(&one, event), of(&three, event) - of(&two, event)];
        assert_eq!(added, [wanted; 2], "{event:?}");
    }
}

/// A rest and a callback wait for an event on the run's own stream, and not for what the program runs on others.
#[test]
fn rests_and_callbacks_wait_for_their_own_stream() {
    let gpu = Gpu::take();
    let mut resting = taught("seed", GPU, 20, |config| (config.duty_cycle, config.progress_every) = (0.999, 1000));
    assert_eq!(added(&gpu, &mut resting), [(Event::RecordWait, 4)]);
    let embed = |_: &Tensor, embeddings: &Tensor| {
        let _ones = embeddings.shallow_clone().fill_(1.0);
        Ok(())
    };
    let view = config(CPU, 1).view.input;
    let (identity, device) = ("an engine".to_owned(), Device::Cuda(0));
    let options = ApplicationOptions {
        dim: DIM,
        identity,
        format: BatchFormat::FloatNchw,
        at: device,
        device,
        mean: view.mean,
        std: view.std,
    };
    let teacher = Arc::new(Teacher::from_embedder(Application::new(Box::new(embed), options).unwrap()));
    let config = Config { progress_every: 1000, ..config(GPU, 20) };
    assert_eq!(added(&gpu, &mut run(&config, teacher)), [(Event::RecordWait, 4)]);
}
