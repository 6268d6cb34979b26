//! What a night shows and decides by the frames that it kept for it: the page, the classifiers' criterion, files of another version.

use std::path::Path;

use crate::plant::{Plant, open_store, push};
use seed::night::{NightOutcome, NightProgress, NightStage, describe};
use seed::train::Control;
use serde_json::Value;

fn live(outcome: NightOutcome) -> seed::night::Line {
    match outcome {
        NightOutcome::Live(line) => line,
        other => panic!("expected a new live student, found {other:?}"),
    }
}

/// A station of 90 frames, all labelled.
fn labelled(place: &Path) -> Plant {
    Plant::with_store(place, open_store(place, 90, 1))
}

fn page(plant: &Plant) -> String {
    String::from_utf8(plant.file("report.html")).unwrap()
}

/// The figure of a page whose caption begins so.
fn figure<'a>(page: &'a str, caption: &str) -> &'a str {
    let at = page.find(&format!("<figcaption>{caption}")).unwrap_or_else(|| panic!("no figure {caption:?}"));
    let end = page[at..].find("</figure>").unwrap();
    &page[at..at + end]
}

fn stop_at(stage: NightStage) -> impl FnMut(&NightProgress) -> Control {
    move |progress| if progress.stage == stage { Control::Stop } else { Control::Continue }
}

fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
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

fn said(plant: &Plant) -> Value {
    serde_json::from_str(&describe(&plant.folder).unwrap()).unwrap()
}

#[test]
fn the_page_shows_classes_mistakes_a_map_and_dates() {
    let place = tempfile::tempdir().unwrap();
    let mut plant = labelled(place.path());
    live(plant.run().unwrap());
    plant.options.gate.overlap_margin = 0.25;
    push(&plant.store, 90..150, 1);
    assert_eq!(plant.run_with(None, &mut stop_at(NightStage::Report)).unwrap(), NightOutcome::Cancelled);
    let frames: Value = serde_json::from_slice(&plant.file("night/frames.json")).unwrap();
    let keys = |images: &Value| -> Vec<i64> {
        images.as_array().unwrap().iter().map(|image| image["key"].as_i64().unwrap()).collect()
    };
    let (reference, compared) = (keys(&frames["reference"][0]), keys(&frames["compared"]));
    let mut all = [reference.clone(), compared].concat();
    all.sort_unstable();
    all.dedup();
    let line = live(plant.run().unwrap());

    let page = page(&plant);
    for classifier in ["new", "live"] {
        let matrix = figure(&page, &format!("Reference frames by the {classifier} classifier"));
        assert!(matrix.contains(&format!("{} images, accuracy", reference.len())), "{matrix}");
    }
    let sheet = figure(&page, "Reference frames of each class");
    for part in
        ["most typical", "most unusual", "taken for another class", "columns", "rows", "grid", "data:image/jpeg"]
    {
        assert!(sheet.contains(part), "{part} is missing");
    }
    let map = figure(&page, "Reference and other held-out frames");
    assert_eq!(map.matches("<title>").count(), all.len());
    assert!(map.contains(&format!("{} images", all.len())) && map.contains("no class"), "{map}");
    let overlap = figure(&page, "Overlap with the teacher, over time");
    assert!(overlap.contains("time (UTC)") && overlap.contains("what tonight"), "{overlap}");
    assert_eq!(overlap.matches("<circle class=\"dot").count(), 2, "two nights");
    assert!(overlap.contains(&format!("{} {}", &line.ended[..10], &line.ended[11..16])), "{overlap}");
    for chart in
        ["KL to the teacher", "kNN on the reference", "The classifier on the reference", "Latency of one frame"]
    {
        figure(&page, &format!("{chart}, over time"));
    }
    assert!(!figure(&page, "kNN on the reference").contains("what tonight"), "it decides nothing with so few frames");
    assert!(!figure(&page, "Latency of one frame").contains("what tonight"), "a million times is no limit");
}

#[test]
fn a_page_that_is_made_again_is_the_same_whatever_lies_there_and_has_gone() {
    let place = tempfile::tempdir().unwrap();
    let plant = labelled(place.path());
    assert_eq!(plant.run_with(None, &mut stop_at(NightStage::Report)).unwrap(), NightOutcome::Cancelled);
    let kept = place.path().join("kept");
    copy(&plant.folder, &kept);
    // From the gate to the charts: before and behind stands the time of day.
    let middle = |plant: &Plant| {
        let page = page(plant);
        let (from, to) = (page.find("<figcaption>The gate").unwrap(), page.find(", over time</figcaption>").unwrap());
        page[from..to].to_owned()
    };
    live(plant.run().unwrap());
    let first = middle(&plant);
    // As if it had been killed before the night was noted as done.
    std::fs::copy(kept.join("night.json"), plant.folder.join("night.json")).unwrap();
    copy(&kept.join("night"), &plant.folder.join("night"));
    live(plant.run().unwrap());
    assert!(middle(&plant) == first, "the second page is another");
    assert_eq!(String::from_utf8(plant.file("history.jsonl")).unwrap().lines().count(), 1);

    // Hostile files cost a part of the page, not the night.
    let shown = kept.join("night/shown.safetensors");
    let sound = std::fs::read(&shown).unwrap();
    let text = String::from_utf8_lossy(&sound).into_owned();
    let swapped = |from: &str, to: &str| {
        let at = text.find(from).unwrap_or_else(|| panic!("{from} is not there"));
        let mut bytes = sound.clone();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    let infinite = {
        let mut bytes = sound.clone();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        bytes
    };
    for (what, bytes) in [
        ("cut", sound[..sound.len() / 2].to_vec()),
        ("empty", Vec::new()),
        ("not a number", infinite),
        ("a foreign class", swapped("\\\"class\\\":0", "\\\"class\\\":9")),
        ("no frames", swapped("frames", "fromes")),
        ("other rows", swapped("embeddings", "embeddongs")),
    ] {
        std::fs::write(&shown, bytes).unwrap();
        copy(&kept, &plant.folder);
        live(plant.run().unwrap());
        assert!(!page(&plant).contains("Reference and other held-out frames"), "{what}");
        assert!(page(&plant).contains("Reference frames by the new classifier"), "{what}");
    }
    std::fs::write(&shown, &sound).unwrap();

    // Frames that have gone leave their points and take their pictures along.
    copy(&kept, &plant.folder);
    let ids = plant.store.list(&Default::default()).unwrap();
    plant.store.remove(&ids).unwrap();
    live(plant.run().unwrap());
    let page = page(&plant);
    assert!(figure(&page, "Reference and other held-out frames").matches("<title>").count() > 20);
    assert!(!page.contains("data:image/jpeg") && page.contains("Reference frames of each class"));
}

#[test]
fn a_worse_classifier_keeps_the_old_pair() {
    let place = tempfile::tempdir().unwrap();
    let mut plant = labelled(place.path());
    plant.options.gate.min_reference = 1;
    // Of both, so that a few steps may not decide.
    plant.options.gate.recall_margin = 0.3;
    let one = live(plant.run().unwrap());
    let first = one.classifier_recall.unwrap().new.unwrap();
    assert!(first > 0.75, "{one:?}");
    let before = ["live/student.safetensors", "live/classifier.safetensors"].map(|name| plant.file(name));
    push(&plant.store, 90..150, 0);
    // More of one class, and a penalty that leaves a classifier nothing but how frequent its classes are.
    for id in (91..=150).filter(|id| id % 3 == 1) {
        plant.store.set_label(id, Some((0, "columns".to_owned()))).unwrap();
    }
    plant.config.finetune.penalty = 1e9;
    let two = match plant.run().unwrap() {
        NightOutcome::Kept(line) => line,
        other => panic!("expected the old pair to stay, found {other:?}"),
    };
    assert_eq!(two.reason, "shown to be worse than the old one by: classifier recall");
    let recall = two.classifier_recall.unwrap();
    assert!(recall.old.unwrap() > 0.75 && recall.new.unwrap() < 0.4, "{recall:?}");
    let page_of_two = page(&plant);
    let gate = figure(&page_of_two, "The gate");
    let row = &gate[gate.find("classifier recall").unwrap()..];
    assert!(row[..row.find("</tr>").unwrap()].contains("does not hold"), "{gate}");
    assert!(figure(&page_of_two, "The classifier on the reference").contains("class=\"alarm\""));
    let after = ["live/student.safetensors", "live/classifier.safetensors"].map(|name| plant.file(name));
    assert!(before == after, "the live pair was touched");
    assert_eq!((&said(&plant)["live"]["night"], &said(&plant)["live"]["classifier"]), (&1.into(), &1.into()));

    // With few frames the same is shown and decides nothing.
    plant.options.gate.min_reference = 1000;
    push(&plant.store, 150..210, 0);
    let three = live(plant.run().unwrap());
    assert!(three.classifier_recall.unwrap().new.unwrap() < 0.4, "{three:?}");
    let page_of_three = page(&plant);
    let gate = figure(&page_of_three, "The gate");
    let row = &gate[gate.find("classifier recall").unwrap()..];
    assert!(row[..row.find("</tr>").unwrap()].contains("too few images to decide"), "{gate}");
}

#[test]
fn a_night_with_too_few_labels_keeps_the_classifier_that_is_live() {
    let place = tempfile::tempdir().unwrap();
    let plant = labelled(place.path());
    live(plant.run().unwrap());
    let classifier = plant.file("live/classifier.safetensors");
    for id in plant.store.list(&Default::default()).unwrap() {
        plant.store.set_label(id, None).unwrap();
    }
    push(&plant.store, 90..150, 0);
    assert_eq!(plant.run_with(None, &mut stop_at(NightStage::Swap)).unwrap(), NightOutcome::Cancelled);
    assert!(!plant.folder.join("night/candidate/classifier.safetensors").exists());
    // As a kill leaves it within the preparation of the exchange.
    std::fs::hard_link(
        plant.folder.join("live/classifier.safetensors"),
        plant.folder.join("night/candidate/classifier.safetensors"),
    )
    .unwrap();
    let two = live(plant.run().unwrap());
    assert_eq!((two.labelled_frames, two.reference_frames, two.classifier_recall), (0, 0, None));
    assert!(plant.file("live/classifier.safetensors") == classifier);
    assert!(plant.file("previous/classifier.safetensors") == classifier);
    let now = said(&plant);
    assert_eq!(now["live"], serde_json::json!({"night": 2, "classifier": 1}));
    assert_eq!(now["previous"], serde_json::json!({"night": 1, "classifier": 1}));
    assert!(!page(&plant).contains("by the new classifier"));
    // The next one with labels is compared with it and takes its place.
    for id in plant.store.list(&Default::default()).unwrap() {
        let class = (id - 1) % 3;
        plant.store.set_label(id, Some((class, ["columns", "rows", "grid"][class as usize].to_owned()))).unwrap();
    }
    push(&plant.store, 150..210, 1);
    let three = live(plant.run().unwrap());
    assert!(three.classifier_recall.unwrap().old.is_some(), "{three:?}");
    assert_eq!(said(&plant)["live"], serde_json::json!({"night": 3, "classifier": 3}));
}

/// `evaluation.json` as versions before wrote it.
fn make_old(folder: &Path) {
    let path = folder.join("night/evaluation.json");
    let mut found: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let gate = found["gate"].as_object_mut().unwrap();
    assert!(gate.remove("classifier").is_some() && gate.remove("classifier_decides").is_some());
    std::fs::write(&path, found.to_string()).unwrap();
    std::fs::remove_file(folder.join("night/shown.safetensors")).unwrap();
}

#[test]
fn a_night_that_another_version_has_left_before_its_end_ends_well() {
    let place = tempfile::tempdir().unwrap();
    let plant = labelled(place.path());
    live(plant.run().unwrap());
    push(&plant.store, 90..130, 1);
    let kept = [NightStage::Swap, NightStage::Report].map(|stage| {
        assert_eq!(plant.run_with(None, &mut stop_at(stage)).unwrap(), NightOutcome::Cancelled);
        let kept = place.path().join(format!("{stage:?}"));
        copy(&plant.folder, &kept);
        kept
    });
    let two = std::fs::read(kept[1].join("live/student.safetensors")).unwrap();
    let garble = |folder: &Path, name: &str, content: &str| {
        std::fs::write(folder.join("night").join(name), content).unwrap();
    };
    let check = |what: &str, figures: bool| {
        let line = live(plant.run().unwrap());
        assert_eq!((line.night, line.kl.is_some()), (2, figures), "{what}: {line:?}");
        assert!(plant.file("live/student.safetensors") == two, "{what}");
        assert_eq!(said(&plant)["previous"]["night"], 1, "{what}");
        assert!(page(&plant).contains("The new student is live."), "{what}");
        line
    };
    for folder in &kept {
        copy(folder, &plant.folder);
        make_old(&plant.folder);
        assert!(check("earlier", true).compared_frames > 0);
    }
    // What a later version says cannot be understood. Nothing was exchanged yet: the night is begun anew, to the same student.
    for content in ["{\"student\": \"\", \"oracle\": 7}", "", "[", "null"] {
        copy(&kept[0], &plant.folder);
        garble(&plant.folder, "evaluation.json", content);
        assert!(check(content, true).compared_frames > 0);
    }
    // The exchange was made: the night ends, without its figures.
    copy(&kept[1], &plant.folder);
    garble(&plant.folder, "evaluation.json", "{}");
    assert_eq!(check("at the report", false).reason, "");
    copy(&kept[1], &plant.folder);
    garble(&plant.folder, "frames.json", "{}");
    assert_eq!(check("without frames", true).learned_frames, 0);
    // It was made, and that was not noted.
    copy(&kept[1], &plant.folder);
    let state = String::from_utf8(plant.file("night.json")).unwrap().replace("\"report\"", "\"swap\"");
    std::fs::write(plant.folder.join("night.json"), state).unwrap();
    garble(&plant.folder, "evaluation.json", "{}");
    check("at the exchange", false);
}
