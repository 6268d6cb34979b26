//! A station's nights end to end on small drawn frames: two in a row, interruptions, refusals, the way back.

use std::path::Path;

use crate::plant::{DIM, Plant, first, line, open_store, push, runs, teacher};
use seed::ErrorKind;
use seed::distill::queue::Queue;
use seed::night::{NightOutcome, NightStage, describe, last_night, restore};
use seed::train::Control;
use serde_json::Value;
use tch::{Device, Kind};

fn describes(plant: &Plant) -> Value {
    serde_json::from_str(&describe(&plant.folder).unwrap()).unwrap()
}

fn live(outcome: NightOutcome) -> seed::night::Line {
    match outcome {
        NightOutcome::Live(line) => line,
        other => panic!("expected a new live student, found {other:?}"),
    }
}

fn kept(outcome: NightOutcome) -> seed::night::Line {
    match outcome {
        NightOutcome::Kept(line) => line,
        other => panic!("expected the old student to stay, found {other:?}"),
    }
}

#[test]
fn two_nights_build_on_each_other() {
    let place = tempfile::tempdir().unwrap();
    let mut plant = Plant::new(place.path());
    // The first student is random, so a few steps must be shown to be better.
    plant.options.gate.kl_margin = 0.0;
    plant.config.steps = 30;
    let board = place.path().join("board");
    plant.config.tensorboard_folder = board.to_str().unwrap().to_owned();
    let line = line(DIM);
    let one = live(plant.run_with(Some(&line), &mut |_| Control::Continue).unwrap());
    let kl = one.kl.unwrap();
    assert!(kl.new.value < kl.old.value, "{kl:?}");
    assert_eq!((one.night, one.new_frames, one.older_frames, one.swapped.as_str()), (1, 90, 0, "session and files"));
    assert!(one.learned_frames + one.compared_frames <= 90 && one.labelled_frames > 8, "{one:?}");
    assert!(one.reference_frames >= 9 && one.classifier_recall.unwrap().new.is_some(), "{one:?}");
    assert!(runs(&line, &plant.folder.join("live/student.safetensors")));
    assert!(matches!(plant.run().unwrap(), NightOutcome::NothingNew(reason) if reason.starts_with("0 new frames")));
    assert_eq!(describes(&plant)["previous"]["night"], 0);
    let student = plant.file("live/student.safetensors");

    plant.options.gate.kl_margin = 10.0;
    push(&plant.store, 90..150, 0);
    let two = live(plant.run().unwrap());
    assert_eq!((two.night, two.new_frames, two.swapped.as_str()), (2, 60, "files"));
    // As many older frames as new ones, as far as there are.
    let new = two.learned_frames - two.older_frames;
    assert!(two.older_frames == new || two.older_frames == one.learned_frames, "{two:?}");
    assert_eq!(plant.file("previous/student.safetensors"), student);
    assert!(!plant.folder.join("night").exists());
    let said = describes(&plant);
    assert_eq!(
        (&said["nights"], &said["live"]["night"], &said["previous"]["night"]),
        (&2.into(), &2.into(), &1.into())
    );
    assert_eq!((&said["begun"], &said["last"]["night"]), (&Value::Null, &2.into()));
    assert_eq!(String::from_utf8(plant.file("history.jsonl")).unwrap().lines().count(), 2);
    // Both count their steps from 1, so one folder would show the second only.
    for night in ["night-0001", "night-0002"] {
        assert_eq!(std::fs::read_dir(board.join(night)).unwrap().count(), 1, "{night}");
    }
    let page = String::from_utf8(plant.file("report.html")).unwrap();
    for part in
        ["Night 2 of the station", "The new student is live", "The gate", "new classifier", "columns", "over time"]
    {
        assert!(page.contains(part), "{part} is missing");
    }
}

#[test]
fn a_cancel_in_any_stage_gives_the_same_student_in_the_end() {
    let place = tempfile::tempdir().unwrap();
    let whole = Plant::new(place.path());
    live(whole.run().unwrap());
    let wanted = ["live/student.safetensors", "live/classifier.safetensors", "previous/student.safetensors"];
    let wanted: Vec<(&str, Vec<u8>)> = wanted.map(|name| (name, whole.file(name))).to_vec();

    let mut plant = whole;
    plant.folder = place.path().join("interrupted");
    plant.config.finetune.mode = seed::config::FinetuneMode::Linear;
    // At the first report of each stage, then in its midst.
    let stages = [NightStage::Distil, NightStage::Finetune, NightStage::Evaluate, NightStage::Swap, NightStage::Report];
    let mut seen = Vec::new();
    for (stage, done) in stages.into_iter().flat_map(|stage| [(stage, 0), (stage, 5)]) {
        let outcome = plant.run_with(None, &mut |progress| {
            let stop = progress.stage == stage && progress.done >= done;
            if stop { Control::Stop } else { Control::Continue }
        });
        match outcome.unwrap() {
            NightOutcome::Cancelled => seen.push((stage, done)),
            // Swap and report have no midst.
            other => assert!(done > 0 && stage >= NightStage::Finetune, "{stage:?} {done}: {other:?}"),
        }
        if seen.last() != Some(&(stage, done)) {
            break;
        }
    }
    assert!(seen.len() >= 6, "{seen:?}");
    if describes(&plant)["nights"] == 0 {
        live(plant.run().unwrap());
    }
    for (name, bytes) in &wanted {
        assert!(plant.file(name) == *bytes, "{name} is another after {seen:?}");
    }
    assert_eq!(String::from_utf8(plant.file("history.jsonl")).unwrap().lines().count(), 1);
}

#[test]
fn a_token_cancels_and_its_reset_lets_the_night_go_on() {
    let place = tempfile::tempdir().unwrap();
    let plant = Plant::new(place.path());
    plant.cancel.trigger();
    assert_eq!(plant.run().unwrap(), NightOutcome::Cancelled);
    assert_eq!(describes(&plant)["begun"]["stage"], "distil");
    plant.cancel.reset();
    live(plant.run().unwrap());
}

#[test]
fn a_bad_student_is_refused_and_the_old_one_stays() {
    let place = tempfile::tempdir().unwrap();
    let mut plant = Plant::new(place.path());
    plant.options.gate.kl_margin = 0.0;
    plant.options.gate.overlap_margin = 0.0;
    let line = line(DIM);
    let before_all = line.current();
    // A rate that leaves rubbish, and one at which the loss is not a number.
    for (night, rate) in [(1, 60.0), (2, 1000.0)] {
        plant.config.learning_rate = rate;
        plant.config.weight_decay = if night == 2 { 1.0 } else { 1e-4 };
        let before = (night > 1).then(|| plant.file("live/student.safetensors"));
        let said = kept(plant.run_with(Some(&line), &mut |_| Control::Continue).unwrap());
        assert!(!said.reason.is_empty() && said.swapped == "none", "{said:?}");
        assert!(std::sync::Arc::ptr_eq(&line.current(), &before_all) && !plant.folder.join("previous").exists());
        if let Some(before) = before {
            assert!(plant.file("live/student.safetensors") == before);
            assert!(said.reason.contains("diverged"), "{said:?}");
        }
        assert_eq!(describes(&plant)["live"]["night"], 0);
        assert_eq!(last_night(&plant.folder).unwrap().unwrap().night, night);
        push(&plant.store, 90..130, 0);
    }
    let page = String::from_utf8(plant.file("report.html")).unwrap();
    assert!(page.contains("The old student stays live"));
    assert_eq!(restore(&plant.folder, &plant.config, None).unwrap_err().kind(), ErrorKind::InvalidArgument);
}

#[test]
fn the_way_back_and_forth() {
    let place = tempfile::tempdir().unwrap();
    let plant = Plant::new(place.path());
    live(plant.run().unwrap());
    let [new, old] = ["live/student.safetensors", "previous/student.safetensors"].map(|name| plant.file(name));
    assert!(new != old);
    push(&plant.store, 90..130, 3);
    // A night is under way; it ends with the student that it began from.
    let stop = |progress: &seed::night::NightProgress| match progress.done {
        4.. => Control::Stop,
        _ => Control::Continue,
    };
    assert_eq!(plant.run_with(None, &mut { stop }).unwrap(), NightOutcome::Cancelled);
    let refused = restore(&plant.folder, &plant.config, Some(&line(DIM + 1))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Mismatch);
    assert!(plant.file("live/student.safetensors") == new, "refused, and nothing was changed");
    let line = line(DIM);
    restore(&plant.folder, &plant.config, Some(&line)).unwrap();
    assert!(runs(&line, &plant.folder.join("live/student.safetensors")));
    assert!(plant.file("live/student.safetensors") == old && plant.file("previous/student.safetensors") == new);
    let said = describes(&plant);
    assert_eq!(
        (&said["live"]["night"], &said["previous"]["night"], &said["begun"]),
        (&0.into(), &1.into(), &Value::Null)
    );
    restore(&plant.folder, &plant.config, None).unwrap();
    assert!(plant.file("live/student.safetensors") == new);
    // The frames of the dropped night are new still.
    assert_eq!(live(plant.run().unwrap()).new_frames, 40);
    assert!(plant.file("previous/student.safetensors") == new);
}

/// Gives two folders each other's name, by three renames.
fn exchange(a: &Path, b: &Path) {
    let aside = b.with_extension("aside");
    for (from, to) in [(a, aside.as_path()), (b, a), (aside.as_path(), b)] {
        std::fs::rename(from, to).unwrap();
    }
}

#[test]
fn an_exchange_that_was_cut_short_is_completed() {
    let place = tempfile::tempdir().unwrap();
    let plant = Plant::new(place.path());
    live(plant.run().unwrap());
    let one = plant.file("live/student.safetensors");
    push(&plant.store, 90..130, 0);
    let stop = |progress: &seed::night::NightProgress| match progress.stage {
        NightStage::Swap => Control::Stop,
        _ => Control::Continue,
    };
    assert_eq!(plant.run_with(None, &mut { stop }).unwrap(), NightOutcome::Cancelled);
    let two = plant.file("night/candidate/student.safetensors");
    let [folder, candidate, live_place, previous] =
        ["", "night/candidate", "live", "previous"].map(|name| plant.folder.join(name));
    let kept = place.path().join("kept");
    // As a kill leaves it: before, between and behind the two exchanges, and when the oldest student is gone.
    for steps in 0..=3 {
        copy(&folder, &kept);
        if steps > 0 {
            std::fs::write(candidate.join("about.json"), "{\"night\": 2}").unwrap();
            exchange(&candidate, &live_place);
        }
        if steps > 1 {
            exchange(&candidate, &previous);
        }
        if steps > 2 {
            std::fs::remove_dir_all(&candidate).unwrap();
        }
        let line = line(DIM);
        let said = live(plant.run_with(Some(&line), &mut |_| Control::Continue).unwrap());
        assert!(said.night == 2 && runs(&line, &plant.folder.join("live/student.safetensors")), "{steps}");
        assert!(plant.file("live/student.safetensors") == two, "{steps}");
        assert!(plant.file("previous/student.safetensors") == one, "{steps}");
        assert_eq!(describes(&plant)["live"]["night"], 2, "{steps}");
        assert_eq!(describes(&plant)["previous"]["night"], 1, "{steps}");
        std::fs::remove_dir_all(&folder).unwrap();
        std::fs::rename(&kept, &folder).unwrap();
    }
    // Somebody has put another student there meanwhile: the night begins anew from it.
    let oldest = plant.file("previous/student.safetensors");
    std::fs::write(live_place.join("student.safetensors"), &oldest).unwrap();
    assert_eq!(live(plant.run().unwrap()).new_frames, 40);
    assert!(plant.file("previous/student.safetensors") == oldest);
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

#[test]
fn without_labels_agreement_and_latency_decide() {
    let place = tempfile::tempdir().unwrap();
    let plant = Plant::with_store(place.path(), open_store(place.path(), 90, 0));
    let said = live(plant.run().unwrap());
    assert_eq!((said.knn_recall, said.classifier_recall, said.labelled_frames), (None, None, 0));
    assert!(!plant.folder.join("live/classifier.safetensors").exists());
    // Labels that come later make a classifier; a night without new ones keeps it.
    for id in 1..=60 {
        plant.store.set_label(id, Some(((id - 1) % 3, String::new()))).unwrap();
    }
    push(&plant.store, 90..130, 0);
    let said = live(plant.run().unwrap());
    assert!(said.classifier_recall.unwrap().new.is_some());
    assert!(plant.folder.join("live/classifier.safetensors").exists());
}

#[test]
fn a_classifier_that_is_no_better_than_chance_stays_out() {
    let place = tempfile::tempdir().unwrap();
    let plant = Plant::with_store(place.path(), open_store(place.path(), 90, 0));
    // Labels by lot.
    for id in 1..=60 {
        plant.store.set_label(id, Some(((id * id * 7919 + id * 13) % 101 % 3, String::new()))).unwrap();
    }
    let said = live(plant.run().unwrap());
    assert!(said.classifier_left_out.contains("not shown to be better than chance"), "{said:?}");
    assert!(
        said.classifier_recall.unwrap().new.is_some() && (said.chance.unwrap() - 1.0 / 3.0).abs() < 1e-12,
        "{said:?}"
    );
    assert!(!plant.folder.join("live/classifier.safetensors").exists(), "the student went live alone");
    assert_eq!(describes(&plant)["live"]["classifier"], Value::Null);
    let page = String::from_utf8(plant.file("report.html")).unwrap();
    assert!(page.contains("The new classifier is left out") && page.contains("chance is 0.333"));
    // The labels are put right, and the next night's goes live.
    for id in 1..=60 {
        plant.store.set_label(id, Some(((id - 1) % 3, String::new()))).unwrap();
    }
    push(&plant.store, 90..130, 0);
    let said = live(plant.run().unwrap());
    assert!(
        said.classifier_left_out.is_empty() && plant.folder.join("live/classifier.safetensors").exists(),
        "{said:?}"
    );
}

#[test]
fn a_night_that_a_busy_machine_cost_has_its_frames_again() {
    let place = tempfile::tempdir().unwrap();
    let plant = Plant::new(place.path());
    let stop = |progress: &seed::night::NightProgress| match progress.stage {
        NightStage::Swap => Control::Stop,
        _ => Control::Continue,
    };
    assert_eq!(plant.run_with(None, &mut { stop }).unwrap(), NightOutcome::Cancelled);
    // As a machine leaves it on which no two times are alike (src/gate/latency.rs has the times).
    let path = plant.folder.join("night/evaluation.json");
    let mut found: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let gate = &mut found["gate"];
    assert_eq!((&gate["latency_unclear"], &gate["passes"]), (&false.into(), &true.into()));
    gate["latency_unclear"] = true.into();
    gate["passes"] = false.into();
    gate["latency"]["holds"] = false.into();
    std::fs::write(&path, found.to_string()).unwrap();
    let said = kept(plant.run().unwrap());
    assert!(said.reason.contains("too busy") && !said.frames_seen, "{said:?}");
    assert!(String::from_utf8(plant.file("report.html")).unwrap().contains("the machine was too busy to tell"));
    let again = live(plant.run().unwrap());
    assert_eq!((again.night, again.new_frames, again.frames_seen), (2, 90, true));
}

#[test]
fn a_night_whose_frames_or_settings_are_others_is_begun_anew() {
    let place = tempfile::tempdir().unwrap();
    let mut plant = Plant::new(place.path());
    let stop = |progress: &seed::night::NightProgress| match progress.done {
        4.. => Control::Stop,
        _ => Control::Continue,
    };
    assert_eq!(plant.run_with(None, &mut { stop }).unwrap(), NightOutcome::Cancelled);
    let mut first_step = None;
    plant.config.steps = 8;
    let outcome = plant.run_with(None, &mut |progress| {
        first_step = first_step.or((progress.done > 0).then_some(progress.done));
        stop(progress)
    });
    assert_eq!(
        (outcome.unwrap(), first_step),
        (NightOutcome::Cancelled, Some(1)),
        "other settings, from the first step"
    );
    // A few frames that have gone are broken images; most of them, and the night takes those that are there.
    let ids = plant.store.list(&Default::default()).unwrap();
    plant.store.remove(&ids[..4]).unwrap();
    let mut first_step = None;
    let outcome = plant.run_with(None, &mut |progress| {
        first_step = first_step.or((progress.done > 0).then_some(progress.done));
        if progress.done > 4 { Control::Stop } else { Control::Continue }
    });
    assert_eq!((outcome.unwrap(), first_step), (NightOutcome::Cancelled, Some(4)), "the same night goes on");
    plant.store.remove(&ids[..70]).unwrap();
    push(&plant.store, 90..160, 3);
    assert_eq!(live(plant.run().unwrap()).new_frames, 90);
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let place = tempfile::tempdir().unwrap();
    let mut plant = Plant::new(place.path());
    let mut night = plant.night();
    night.first = None;
    let run = |night: &seed::night::Night<'_>| {
        night
            .run(None, &plant.cancel, &mut |_| Control::Stop)
            .map(|_| ())
            .map_err(|error| (error.kind(), error.message().to_owned()))
    };
    let (kind, message) = run(&night).unwrap_err();
    assert!(kind == ErrorKind::InvalidArgument && message.contains("no student yet"), "{message}");
    // Begun by one, wanted by a second.
    let (folder, config) = (plant.folder.clone(), plant.config.clone());
    let mut inner = None;
    plant
        .run_with(None, &mut |_| {
            inner.get_or_insert_with(|| restore(&folder, &config, None).unwrap_err().kind());
            Control::Stop
        })
        .unwrap();
    assert_eq!(inner, Some(ErrorKind::Busy));
    plant.teacher = teacher(6);
    let error = plant.run().unwrap_err();
    assert!(error.kind() == ErrorKind::Mismatch && error.message().contains("another folder"), "{error}");
    plant.teacher = teacher(5);
    plant.config.view.input.width = 48;
    let error = plant.run().unwrap_err();
    assert!(error.kind() == ErrorKind::Mismatch && error.message().contains("48"), "{error}");
    plant.config.view.input.width = 32;
    let error = plant.run_with(Some(&line(DIM + 1)), &mut |_| Control::Continue).unwrap_err();
    let words = "the session gives 129 numbers, the student in";
    assert!(error.kind() == ErrorKind::Mismatch && error.message().starts_with(words), "before hours of work: {error}");
    for (held_out, replay) in [(0.0, 0.5), (0.3, f64::NAN), (0.3, 1.0)] {
        let before = plant.options.clone();
        (plant.options.held_out, plant.options.replay) = (held_out, replay);
        assert_eq!(plant.run().unwrap_err().kind(), ErrorKind::InvalidArgument);
        plant.options = before;
    }
    let state = plant.folder.join("night.json");
    std::fs::write(&state, "{\"format\": \"libseed.night.99\"}").unwrap();
    assert_eq!(plant.run().unwrap_err().kind(), ErrorKind::Mismatch);
    std::fs::write(&state, "{\"format\": \"libseed.night.1\"}").unwrap();
    assert_eq!(plant.run().unwrap_err().kind(), ErrorKind::Format);
    assert!(describe(place.path()).is_err() && first().1.input.width == 32);
}

#[test]
fn a_night_begins_with_the_queue_that_the_last_one_ended_with() {
    let place = tempfile::tempdir().unwrap();
    let mut plant = Plant::new(place.path());
    // Of a batch of 8 and a queue of 64, one step changes an eighth.
    (plant.config.batch_size, plant.config.queue_capacity) = (8, 64);
    let one = live(plant.run().unwrap());
    assert_eq!((one.queue_rows, one.queue_left_out.as_str()), (0, ""), "there was none");
    let first = queue_of(&plant.folder.join("queue.safetensors"));
    assert_eq!((first.len(), first.capacity(), first.width()), (64, 64, DIM));

    push(&plant.store, 90..130, 0);
    let stop = |progress: &seed::night::NightProgress| match (progress.stage, progress.done) {
        (NightStage::Distil, 1..) => Control::Stop,
        _ => Control::Continue,
    };
    assert_eq!(plant.run_with(None, &mut { stop }).unwrap(), NightOutcome::Cancelled);
    // One step of eight: the other rows are those of the first night, at their places.
    let now = queue_of(&plant.folder.join("night/checkpoint/queue.safetensors"));
    let same = (first.rows() - now.rows()).abs().amax([1i64].as_slice(), false).eq(0.0);
    assert_eq!(same.sum(Kind::Int64).int64_value(&[]), 56);
    assert!(queue_of(&plant.folder.join("queue.safetensors")).rows() == first.rows(), "a night under way leaves it");
    // Interrupted or not, the student is the same.
    let kept_folder = place.path().join("kept");
    copy(&plant.folder, &kept_folder);
    let two = live(plant.run().unwrap());
    assert_eq!((two.night, two.queue_rows, two.queue_left_out.as_str()), (2, 64, ""));
    assert!(String::from_utf8(plant.file("report.html")).unwrap().contains("rows of the last queue"));
    let (student, second) = (plant.file("live/student.safetensors"), plant.file("queue.safetensors"));
    std::fs::remove_dir_all(&plant.folder).unwrap();
    copy(&kept_folder, &plant.folder);
    std::fs::remove_dir_all(plant.folder.join("night/checkpoint")).unwrap();
    live(plant.run().unwrap());
    assert!(plant.file("live/student.safetensors") == student && plant.file("queue.safetensors") == second);

    // What does not fit or is damaged is left out, and the report says so.
    push(&plant.store, 130..170, 0);
    plant.config.queue_capacity = 32;
    let three = live(plant.run().unwrap());
    assert!(three.queue_rows == 0 && three.queue_left_out.contains("64 rows of 128 numbers"), "{three:?}");
    assert!(String::from_utf8(plant.file("report.html")).unwrap().contains("left out and filled anew"));
    push(&plant.store, 170..210, 0);
    std::fs::write(plant.folder.join("queue.safetensors"), "no queue").unwrap();
    let four = live(plant.run().unwrap());
    assert!(four.queue_rows == 0 && four.queue_left_out.contains("queue.safetensors"), "{four:?}");
    assert_eq!(queue_of(&plant.folder.join("queue.safetensors")).capacity(), 32);

    // A night that diverges keeps the queue for the next one.
    let before = plant.file("queue.safetensors");
    push(&plant.store, 210..250, 0);
    let calm = plant.config.clone();
    (plant.config.learning_rate, plant.config.weight_decay, plant.config.checkpoint_every) = (1000.0, 1.0, 1000);
    let five = kept(plant.run().unwrap());
    assert!(five.reason.contains("diverged") && five.queue_rows == 32, "{five:?}");
    assert!(plant.file("queue.safetensors") == before);
    plant.config = calm;
    push(&plant.store, 250..290, 0);
    assert_eq!(live(plant.run().unwrap()).queue_rows, 32);

    // Standardised targets are another night's: their rows neither come nor stay.
    let before = plant.file("queue.safetensors");
    push(&plant.store, 290..330, 0);
    plant.config.set_string("targets.standardise", "centre").unwrap();
    let seven = live(plant.run().unwrap());
    assert!(seven.queue_rows == 0 && seven.queue_left_out.contains("targets.standardise"), "{seven:?}");
    assert!(plant.file("queue.safetensors") == before);
}

fn queue_of(path: &Path) -> Queue {
    Queue::load(path, Device::Cpu).unwrap()
}
