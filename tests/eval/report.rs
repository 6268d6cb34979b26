//! The report: well formed, self-contained, escaped. `SEED_REPORT=path` keeps the file of the test for a look at it.

use seed::data::random::{Purpose, generator, unit};
use seed::data::{Dataset, Frame};
use seed::eval::{Confusion, Embeddings, MapConfig, MapMethod, embedding_map};
use seed::report::{ClassImages, Figure, HeatFigure, MapImages, Moment, Report, SheetRow, Thumbnail};

/// Names that a folder may have, and what a page must make of them.
const HOSTILE: [&str; 4] =
    ["</title><script>alert(1)</script>", "\" onload=\"x", "a&b <svg/onload='x'> \u{1}", "Ёж · 研磨 \u{202e}evil"];

/// Pictures to look at: real ones where there are any, else gradients.
fn frames() -> Vec<Frame> {
    if let Some(folder) = crate::shared::data("magnetic-tile") {
        let dataset = Dataset::from_folder(&folder).unwrap();
        return (0..40).map(|i| (*dataset.load(i * dataset.len() / 40).unwrap()).clone()).collect();
    }
    (0..40u32)
        .map(|i| {
            Frame::new(60 + i, 80, 1, (0..(60 + i) * 80).map(|p| (p * (i + 1) / 97 % 256) as u8).collect()).unwrap()
        })
        .collect()
}

fn report() -> Report {
    let frames = frames();
    let thumbnail = |key: usize| {
        let caption = if key == 3 {
            "<script>alert('x')</script> & \"more\"".into()
        } else {
            format!("frame {key} · 0.{}", 99 - key)
        };
        Thumbnail::new(key as u64, &frames[key], &caption).unwrap()
    };
    let mut report = Report::new("MobileNetV3-Small from MobileNetV2 <b>& more</b>");
    report.paragraph(
        "Distilled for 1,200 steps on 2,624 images of solar cells, on two cores. The student never saw a label.",
    );
    let figure =
        |label: &str, value: &str, note: &str| Figure { label: label.into(), value: value.into(), note: note.into() };
    report.figures(&[
        figure("neighbours shared", "48.2 %", "7.1 % before"),
        figure("kNN balanced recall", "0.712 ± 0.014", "teacher 0.737"),
        figure("images/s", "412", "teacher 96"),
        figure("parameters", "1.65 M", "teacher 2.22 M"),
    ]);
    report.heading("Quality");
    let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
    let rows = [
        row(["student before", "0.671 ± 0.011", "0.071", "412"]),
        row(["student after", "0.712 ± 0.014", "0.482", "412"]),
        row(["teacher", "0.737 ± 0.012", "—", "96"]),
    ];
    report
        .table("kNN over 5 splits, k = 10", &["network", "balanced recall", "neighbours shared", "images/s"], &rows)
        .unwrap();
    let loss: Vec<(f64, f64)> = (0..5000)
        .map(|step| {
            let x = f64::from(step);
            (x, 7.0 + 4.0 * (-x / 900.0).exp() + 0.25 * (x * 12.9898).sin() * (x * 0.37).cos())
        })
        .collect();
    report.curve("Loss", "step", "cross-entropy", "student", &loss);
    let over_time = |low: f64, high: f64| -> Vec<(f64, f64)> {
        (0..=10).map(|i| (f64::from(i) * 500.0, low + (high - low) * (1.0 - (-f64::from(i) / 3.0).exp()))).collect()
    };
    report.curve(
        "Agreement over time",
        "step",
        "share of the teacher's 10 nearest",
        "embedding",
        &over_time(0.07, 0.52),
    );
    report.curve(
        "Agreement over time",
        "step",
        "share of the teacher's 10 nearest",
        "features",
        &over_time(0.11, 0.44),
    );
    report.curve("Agreement over time", "step", "", "teacher's flipped images", &[(0.0, 0.5), (5000.0, 0.5)]);
    report.heading("By eye");
    let sheet = (0..6).map(|query| SheetRow {
        query: thumbnail(query),
        neighbours: vec![
            (1..6).map(|n| thumbnail((query + 3 * n) % 40)).collect(),
            (1..6).map(|n| thumbnail((query + 2 * n + n % 2 * n) % 40)).collect(),
        ],
    });
    report.neighbour_sheet("Five nearest frames", &["student", "teacher"], sheet.collect()).unwrap();
    report
}

/// Every part that shows images and classes, `classes` of them.
fn grown(classes: usize) -> Report {
    let frames = frames();
    let name =
        |class: usize| format!("{}{}", HOSTILE[class % 4], if class < 4 { String::new() } else { class.to_string() });
    let names: Vec<String> = (0..classes).map(name).collect();
    let mut rng = generator(3, 0, 0, Purpose::Noise);
    let labels: Vec<i32> = (0..frames.len()).map(|i| (i % (classes + 1)) as i32 - 1).collect();
    let rows: Vec<f32> = labels
        .iter()
        .flat_map(|&label| {
            let mut row = [0.0; 8].map(|_: f64| unit(&mut rng) - 0.5);
            row[label.rem_euclid(8) as usize] += 1.5;
            row.map(|value| value as f32)
        })
        .collect();
    let rows = Embeddings::new(&rows, 8).unwrap();
    let answers: Vec<i32> = labels.iter().map(|&label| if unit(&mut rng) < 0.3 { 0 } else { label }).collect();
    let shares: Vec<f32> = labels.iter().map(|_| unit(&mut rng) as f32).collect();

    let mut report = Report::new("By class");
    let images = ClassImages {
        names: &names,
        labels: &labels,
        embeddings: Some(rows),
        answers: Some((&answers, Some(&shares))),
    };
    let thumbnail = |image: usize, caption: &str| {
        Thumbnail::new(image as u64, &frames[image], &format!("{caption} · {}", HOSTILE[image % 4]))
    };
    report.class_sheet("Classes", &images, 3, thumbnail).unwrap();
    let of = |classes: &[i32]| classes.iter().map(|&class| class.max(0) as usize).collect::<Vec<usize>>();
    report.confusion("Confusion", &names, &Confusion::of(&of(&answers), &of(&labels), classes).unwrap()).unwrap();
    for method in [MapMethod::Pca, MapMethod::Tsne] {
        let map = embedding_map(&rows, &labels, &MapConfig { method, ..MapConfig::default() }).unwrap();
        let points = map.rows().iter().map(|&row| HOSTILE[row as usize % 4].to_owned()).collect();
        report.map(&format!("{method:?}"), &map, &MapImages { labels: &labels, classes: &names }, points).unwrap();
    }
    for (number, frame) in frames.iter().take(6).enumerate() {
        let (width, height) = (frame.width() as usize, frame.height() as usize);
        let middle = (width as f32 * 0.6, height as f32 * 0.4);
        let far = |i: usize| ((i % width) as f32 - middle.0).hypot((i / width) as f32 - middle.1) / width as f32;
        let map: Vec<f32> = (0..width * height).map(|i| 1.0 + number as f32 * (-far(i).powi(2) * 40.0).exp()).collect();
        let mask: Vec<u8> = (0..width * height).map(|i| u8::from(far(i) < 0.12)).collect();
        let score = map.iter().copied().fold(0.0, f32::max);
        let figure = HeatFigure::new(HOSTILE[number % 4], frame, &map, score, Some(2.5), Some(&mask)).unwrap();
        report.heat_map("Heat maps", figure).unwrap();
    }
    for day in 0..14 {
        let seconds = 1.7e9 + 86_400.0 * f64::from(day);
        let value = 0.3 + 0.02 * f64::from(day * day % 7);
        for (series, offset) in [(HOSTILE[0], 0.0), ("student of June", 0.2)] {
            let interval = Some((value + offset - 0.05, value + offset + 0.04));
            let moment = Moment { seconds, value: value + offset, interval, alarm: false };
            report.moment("Agreement by night", "mean KL in nats", series, &moment).unwrap();
        }
        let moment = Moment { seconds, value: value * 3.0, interval: None, alarm: value > 0.37 };
        report.moment("Drift", "energy ÷ threshold", "batch", &moment).unwrap();
    }
    report.limit("Drift", HOSTILE[1], 1.1).unwrap();
    report
}

/// Walks the tags and returns how many there were; panics where they do not nest.
fn check_nesting(html: &str) -> usize {
    let mut open: Vec<&str> = Vec::new();
    let mut count = 0;
    // The style sheet is text, not markup.
    let (head, rest) = html.split_once("<style>").unwrap();
    let body = rest.split_once("</style>").unwrap().1;
    let page = format!("{head}{body}");
    for piece in page.strip_prefix("<!doctype html>").unwrap().split('<').skip(1) {
        let (tag, text) = piece.split_once('>').unwrap_or_else(|| panic!("unclosed tag {piece:?}"));
        assert!(!text.contains('>'), "stray > in {text:?}");
        count += 1;
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "closes what is not open");
        } else if !tag.ends_with('/') {
            let name = tag.split([' ', '\n']).next().unwrap();
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            open.push(Box::leak(name.to_owned().into_boxed_str()));
        }
        for entity in text.split('&').skip(1) {
            assert!(entity.split_once(';').is_some_and(|(name, _)| name.len() <= 5), "bare & in {text:?}");
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    count
}

#[test]
fn a_report_is_well_formed_self_contained_and_escaped() {
    let html = report().to_html().unwrap();
    if let Some(path) = std::env::var_os("SEED_REPORT") {
        std::fs::write(path, &html).unwrap();
    }
    assert!(check_nesting(&html) > 200);
    check_contained(&html);
    assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;more&quot;"));
    assert!(html.contains("<h1>MobileNetV3-Small from MobileNetV2 &lt;b&gt;&amp; more&lt;/b&gt;</h1>"));
    assert_eq!(html.matches("<svg class=\"chart\"").count(), 2, "series of one title share a chart");
    assert!(html.len() < 1_000_000, "{} bytes", html.len());
}

/// Nothing that a browser would run or fetch, outside of the pictures' base64, which may hold "//" by chance.
fn check_contained(html: &str) {
    let mut pieces = html.split("base64,");
    let mut text = pieces.next().unwrap().to_owned();
    for piece in pieces {
        text += piece.split_once('"').unwrap().1;
    }
    for forbidden in ["<script", "<link", "<iframe", "http:", "https:", "//", "@import", "url(", " onload=\"", "<b>&"] {
        assert!(!text.contains(forbidden), "{forbidden}");
    }
}

#[test]
fn parts_of_images_and_classes_are_well_formed_self_contained_and_escaped() {
    let html = grown(6).to_html().unwrap();
    if let Some(path) = std::env::var_os("SEED_REPORT_GROWN") {
        std::fs::write(path, &html).unwrap();
    }
    assert!(check_nesting(&html) > 500);
    check_contained(&html);
    assert!(html.contains("&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;"));
    // Every picture says what it shows.
    assert_eq!(html.matches("<img ").count(), html.matches(" alt=\"").count());
    let named = html.matches("aria-label=\"").count() + html.matches("aria-hidden=\"true\"").count();
    assert_eq!(html.matches("<svg ").count(), named);
    assert!(html.len() < 2_000_000, "{} bytes", html.len());
    assert_eq!(grown(6).to_html().unwrap(), html, "the same report again");
    // Many classes with long names.
    check_nesting(&grown(39).to_html().unwrap());
}

#[test]
fn an_interval_holds_its_value_and_a_limit_has_a_chart() {
    let mut report = Report::new("t");
    let good = Moment { seconds: 0.0, value: 1.0, interval: Some((0.5, 1.5)), alarm: false };
    report.moment("c", "y", "s", &good).unwrap();
    report.curve("plain", "x", "y", "s", &[(1.0, 1.0)]);
    for bad in [
        Moment { interval: Some((1.1, 1.5)), ..good },
        Moment { interval: Some((f64::NAN, 1.5)), ..good },
        Moment { seconds: f64::NAN, ..good },
        Moment { seconds: 1e13, ..good },
    ] {
        assert!(report.moment("c", "y", "s", &bad).is_err(), "{bad:?}");
    }
    assert!(report.moment("plain", "y", "s", &good).is_err());
    assert!(report.limit("absent", "l", 1.0).is_err() && report.limit("c", "l", f64::INFINITY).is_err());
    // The first and the last years that a time stamp of C can name are drawn or refused, never hung on.
    for seconds in [i64::MIN as f64 / 1e6, i64::MAX as f64 / 1e6, -377_705_000_000.0, 253_402_000_000.0] {
        let _ = report.moment("c", "y", "s", &Moment { seconds, ..good });
    }
    check_nesting(&report.to_html().unwrap());
}

#[test]
fn an_empty_report_is_a_page_too() {
    assert!(check_nesting(&Report::new("").to_html().unwrap()) > 10);
    let mut report = Report::new("t");
    assert!(report.table("x", &["a", "b"], &[vec!["1".into()]]).is_err());
    report.table("x", &[], &[]).unwrap();
    report.neighbour_sheet("s", &[], Vec::new()).unwrap();
    check_nesting(&report.to_html().unwrap());
}

#[test]
fn writing_replaces_the_old_report_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    Report::new("first").write(&path).unwrap();
    Report::new("second").write(&path).unwrap();
    assert!(std::fs::read_to_string(&path).unwrap().contains("<h1>second</h1>"));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = Report::new("x").write(&folder.path().join("absent/report.html")).unwrap_err();
    assert_eq!(error.kind(), seed::ErrorKind::Io);
}
