//! The report: well formed, self-contained, escaped. `SEED_REPORT=path` keeps the file of the test for a look at it.

use std::path::PathBuf;

use seed::data::{Dataset, Frame};
use seed::eval::report::Figure;
use seed::eval::{Report, SheetRow, Thumbnail};

/// Pictures to look at: real ones where there are any, else gradients.
fn frames() -> Vec<Frame> {
    let root =
        PathBuf::from(std::env::var("SEED_SHARED").unwrap_or_else(|_| "../shared".into())).join("data/magnetic-tile");
    if let Ok(dataset) = Dataset::from_folder(&root) {
        return (0..40).map(|i| (*dataset.load(i * dataset.len() / 40).unwrap()).clone()).collect();
    }
    eprintln!("SKIPPED: no images below {}; the sheet shows gradients", root.display());
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
    let html = report().to_html();
    if let Some(path) = std::env::var_os("SEED_REPORT") {
        std::fs::write(path, &html).unwrap();
    }
    assert!(check_nesting(&html) > 200);
    for forbidden in ["<script", "<link", "<iframe", "http:", "https:", "//", "@import", "url(", "onload", "<b>&"] {
        // Base64 may hold "//" by chance.
        let text: String =
            html.split("base64,").map(|part| part.split_once('"').map_or(part, |(_, rest)| rest)).collect();
        let whole = html.split("base64,").next().unwrap().to_owned() + &text;
        assert!(!whole.contains(forbidden), "{forbidden}");
    }
    assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;more&quot;"));
    assert!(html.contains("<h1>MobileNetV3-Small from MobileNetV2 &lt;b&gt;&amp; more&lt;/b&gt;</h1>"));
    assert_eq!(html.matches("<svg class=\"chart\"").count(), 2, "series of one title share a chart");
    assert!(html.len() < 1_000_000, "{} bytes", html.len());
}

#[test]
fn an_empty_report_is_a_page_too() {
    assert!(check_nesting(&Report::new("").to_html()) > 10);
    let mut report = Report::new("t");
    assert!(report.table("x", &["a", "b"], &[vec!["1".into()]]).is_err());
    report.table("x", &[], &[]).unwrap();
    report.neighbour_sheet("s", &[], Vec::new()).unwrap();
    check_nesting(&report.to_html());
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
