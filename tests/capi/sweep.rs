//! Every function of the C ABI with every kind of bad argument, one at a time: a C program written out of seed.h, so that no
//! function can be forgotten. A parameter of a kind that is not known here fails the test.

use std::fmt::Write;
use std::fs;

use crate::programs::{compile, expect_success, quiet, root};
use crate::prototypes::{Prototype, functions, header};

/// (function or "*", parameter): the header says that it may be NULL.
const MAY_BE_NULL: &[(&str, &str)] = &[
    ("*", "cancel"),
    ("*", "outcome"),
    ("*", "user_data"),
    ("*", "callback"),
    ("*", "buffer"),
    ("*", "indices"),
    ("*", "similarities"),
    ("seed_trainer_new", "queue"),
    ("seed_bank_open", "teacher"),
    ("seed_bank_rows", "finished"),
    ("seed_bank_rows", "total"),
    ("seed_trainer_step", "loss"),
    ("seed_image_decode", "image"),
    ("seed_heat_map_picture", "picture"),
    ("seed_dataset_pixels", "image"),
    ("seed_dataset_set_ignored", "mask"),
    ("seed_dataset_push", "name"),
    ("seed_dataset_push", "index"),
    ("seed_dataset_push_encoded", "name"),
    ("seed_dataset_push_encoded", "index"),
    ("seed_teacher_load_torchscript", "output"),
    ("seed_session_stage", "channels"),
    ("seed_session_stage", "stride"),
    ("*", "classes"),
    ("*", "confidences"),
    ("*", "unsure"),
    ("*", "probabilities"),
    ("seed_classifier_fit", "earlier"),
    ("seed_classifier_fit", "teacher"),
    ("seed_classifier_distil", "earlier"),
    ("seed_classifier_distil", "teacher"),
    ("seed_semi_supervised_evaluate", "recalls"),
    ("seed_transfer_evaluate", "recalls"),
    ("seed_transfer_evaluate", "test"),
    ("seed_linear_sgd_evaluate", "recalls"),
    ("seed_mask_overlap", "ious"),
    ("seed_segmentation_evaluate", "ious"),
    ("seed_anomaly_threshold", "threshold"),
    ("seed_anomaly_threshold", "rate"),
    ("seed_anomaly_score", "scores"),
    ("seed_anomaly_score", "alarms"),
    ("seed_anomaly_map", "score"),
    ("seed_anomaly_map", "alarm"),
    ("seed_store_open", "options"),
    ("seed_store_push", "entry"),
    ("seed_store_push", "id"),
    ("seed_store_push_encoded", "entry"),
    ("seed_store_push_encoded", "id"),
    ("seed_store_set_session", "session"),
    ("seed_store_set_label", "label_text"),
    ("seed_store_list", "filter"),
    ("seed_store_pixels", "image"),
    ("seed_store_repair", "list_damaged"),
    ("seed_dataset_open_store", "ids"),
    ("seed_linear_evaluate", "recalls"),
    ("seed_gate_judge", "options"),
    ("seed_report_add_class_sheet", "embeddings"),
    ("seed_report_add_map", "labels"),
    ("seed_report_add_map", "dataset"),
    ("seed_report_add_map", "options"),
    ("seed_report_add_heat_map", "mask"),
    ("seed_night_run", "first"),
    ("seed_night_run", "options"),
    ("seed_night_run", "session"),
    ("seed_night_restore", "session"),
    ("seed_distil", "weights"),
    ("seed_distil", "config"),
];

/// What takes a teacher whose answers are stored; nothing else does.
const TAKES_STORED: &[&str] = &["seed_trainer_new", "seed_bank_open", "seed_teacher_dim", "seed_teacher_warnings"];

/// The structs of the header, which are no objects.
const STRUCTS: &[&str] = &[
    "seed_image",
    "seed_memory",
    "seed_knn_result",
    "seed_model_info",
    "seed_linear_result",
    "seed_linear_sgd_result",
    "seed_segmentation_result",
    "seed_drift_signal",
    "seed_fidelity",
    "seed_verdict",
    "seed_store_stats",
    "seed_store_record",
    "seed_export_options",
    "seed_store_options",
    "seed_store_entry",
    "seed_store_filter",
    "seed_gate_options",
    "seed_map_options",
    "seed_night_options",
    "seed_night_result",
    "seed_distil_summary",
];

/// (struct that is read, what is wrong with it or at its bounds, what must come of it).
const SPOILT: &[(&str, &str, &str)] = &[
    ("seed_fidelity", "k = 3", "FAILURE"),
    ("seed_fidelity", "kl.low = NAN", "ANYTHING"),
    ("seed_export_options", "format = 0", "FAILURE"),
    ("seed_export_options", "format = 99", "FAILURE"),
    ("seed_export_options", "format = INT32_MIN", "FAILURE"),
    // Classifiers and detectors are written as ONNX only.
    ("seed_export_options", "format = SEED_EXPORT_TORCHSCRIPT", "ANYTHING"),
    ("seed_export_options", "format = SEED_EXPORT_BACKBONE", "ANYTHING"),
    ("seed_export_options", "outputs = SEED_EXPORT_OUTPUT_FEATURES", "ANYTHING"),
    ("seed_export_options", "outputs = SEED_EXPORT_OUTPUT_STAGES", "ANYTHING"),
    ("seed_export_options", "input = SEED_EXPORT_INPUT_BYTES", "SUCCESS"),
    ("seed_export_options", "input = -1", "FAILURE"),
    ("seed_export_options", "input = 99", "FAILURE"),
    ("seed_export_options", "outputs = INT32_MAX", "FAILURE"),
    ("seed_export_options", "reserved = 1", "ANYTHING"),
    ("seed_store_options", "max_bytes = 1", "ANYTHING"),
    ("seed_store_options", "max_bytes = UINT64_MAX", "ANYTHING"),
    ("seed_store_options", "max_frames = UINT64_MAX", "ANYTHING"),
    ("seed_store_options", "max_age_seconds = UINT64_MAX", "ANYTHING"),
    ("seed_store_options", "queue_bytes = UINT64_MAX", "ANYTHING"),
    ("seed_store_options", "queue_frames = UINT32_MAX", "FAILURE"),
    ("seed_store_options", "keep = -1", "FAILURE"),
    ("seed_store_options", "keep = 99", "FAILURE"),
    ("seed_store_options", "keep = SEED_STORE_KEEP_NOVEL", "FAILURE"),
    ("seed_store_options", "encoding = 99", "FAILURE"),
    ("seed_store_options", "encoding = SEED_STORE_JPEG, c_seed_store_options.jpeg_quality = 101", "FAILURE"),
    ("seed_store_options", "encoding = SEED_STORE_JPEG, c_seed_store_options.jpeg_quality = INT32_MIN", "FAILURE"),
    ("seed_store_entry", "name = \"\\xff\"", "REFUSED"),
    ("seed_store_entry", "name = long_text", "ANYTHING"),
    ("seed_store_entry", "metadata = \"\\xff\"", "REFUSED"),
    ("seed_store_entry", "label_text = \"\\xff\"", "REFUSED"),
    ("seed_store_entry", "embedding = NULL", "REFUSED"),
    ("seed_store_entry", "embedding = (const float *)((const char *)f32 + 1)", "REFUSED"),
    ("seed_store_entry", "embedding_dim = 1", "FAILURE"),
    ("seed_store_entry", "embedding_dim = SIZE_MAX", "FAILURE"),
    ("seed_store_entry", "embedding_dim = SIZE_MAX / 4 + 1", "FAILURE"),
    ("seed_store_entry", "label = INT64_MIN", "FAILURE"),
    ("seed_store_entry", "label = INT64_MAX", "ANYTHING"),
    ("seed_store_entry", "time_us = INT64_MIN", "ANYTHING"),
    ("seed_store_entry", "time_us = INT64_MAX", "ANYTHING"),
    ("seed_store_filter", "first_id = INT64_MIN", "ANYTHING"),
    ("seed_store_filter", "first_id = INT64_MAX", "ANYTHING"),
    ("seed_store_filter", "last_id = INT64_MIN", "ANYTHING"),
    ("seed_store_filter", "from_us = INT64_MIN", "ANYTHING"),
    ("seed_store_filter", "until_us = INT64_MAX", "ANYTHING"),
    ("seed_store_filter", "last = UINT64_MAX", "ANYTHING"),
    ("seed_store_filter", "labelled = -1", "FAILURE"),
    ("seed_store_filter", "labelled = 99", "FAILURE"),
    ("seed_gate_options", "k = SIZE_MAX", "FAILURE"),
    ("seed_gate_options", "temperature_student = NAN", "FAILURE"),
    ("seed_gate_options", "temperature_teacher = -1", "FAILURE"),
    ("seed_gate_options", "kl_margin = NAN", "FAILURE"),
    ("seed_gate_options", "overlap_margin = -1", "ANYTHING"),
    ("seed_gate_options", "latency_factor = INFINITY", "ANYTHING"),
    ("seed_gate_options", "seed = UINT64_MAX", "ANYTHING"),
    ("seed_map_options", "max_points = 5001", "FAILURE"),
    ("seed_map_options", "max_points = SIZE_MAX", "FAILURE"),
    ("seed_map_options", "perplexity = NAN", "FAILURE"),
    ("seed_map_options", "perplexity = -1", "FAILURE"),
    ("seed_map_options", "perplexity = 1000", "SUCCESS"),
    ("seed_map_options", "method = -1", "FAILURE"),
    ("seed_map_options", "method = INT32_MAX", "FAILURE"),
    ("seed_map_options", "method = SEED_MAP_PCA", "SUCCESS"),
    ("seed_map_options", "reserved = 1", "ANYTHING"),
    ("seed_night_options", "min_new_frames = UINT64_MAX", "FAILURE"),
    ("seed_night_options", "max_compared = 1", "FAILURE"),
    ("seed_night_options", "min_labels = 1", "FAILURE"),
    ("seed_night_options", "min_reference = UINT64_MAX", "ANYTHING"),
    ("seed_night_options", "queue_frames = UINT64_MAX", "FAILURE"),
    ("seed_night_options", "k = SIZE_MAX", "FAILURE"),
    ("seed_night_options", "held_out = NAN", "FAILURE"),
    ("seed_night_options", "held_out = 1", "FAILURE"),
    ("seed_night_options", "replay = NAN", "FAILURE"),
    ("seed_night_options", "replay = 1", "FAILURE"),
    ("seed_night_options", "kl_margin = NAN", "ANYTHING"),
    ("seed_night_options", "latency_factor = -1", "ANYTHING"),
];

/// (function or "*", parameter, a good value): what is not chosen by type alone.
const GOOD: &[(&str, &str, &str)] = &[
    // What was filled into the bank must not grow.
    ("seed_dataset_push", "dataset", "g_pushed"),
    // It forgets which images are broken.
    ("seed_dataset_set_reading", "dataset", "g_pushed"),
    ("seed_dataset_set_ignored", "dataset", "g_pushed"),
    ("seed_dataset_set_ignored", "mask", "NULL"),
    ("seed_polygon_mask", "corners", "triangle"),
    ("seed_polygon_mask", "count", "3"),
    ("seed_polygon_mask", "width", "4"),
    ("seed_polygon_mask", "height", "4"),
    ("seed_dataset_push_encoded", "dataset", "g_pushed"),
    ("seed_dataset_class_name", "dataset", "g_pushed"),
    ("seed_config_set_float", "value", ".5"),
    ("seed_config_set_int", "key", "\"batch_size\""),
    ("seed_config_get_int", "key", "\"batch_size\""),
    ("seed_config_set_float", "key", "\"momentum\""),
    ("seed_config_get_float", "key", "\"momentum\""),
    ("*", "key", "\"device\""),
    ("seed_config_set_string", "value", "\"cpu\""),
    ("seed_config_parse", "pairs", "\"steps=3\""),
    ("*", "value", "3"),
    ("*", "json", "\"{}\""),
    ("*", "device", "\"cpu\""),
    // What others read must stay as it is.
    ("seed_config_preset", "config", "g_planned"),
    ("seed_config_preset", "name", "\"site\""),
    ("seed_config_plan", "config", "g_planned"),
    ("*", "from_weights", "0"),
    ("*", "seconds", "1"),
    ("seed_distil", "folder", "new_path()"),
    ("seed_distil", "weights", "p_teacher"),
    ("seed_night_run", "folder", "p_station"),
    ("seed_night_restore", "folder", "p_station"),
    ("seed_night_describe", "folder", "p_station"),
    ("seed_night_run", "first", "g_seed_student"),
    ("*", "folder", "p_images"),
    ("*", "architecture", "\"mobilenet_v3_small\""),
    ("*", "filter", "\"error\""),
    ("seed_teacher_load", "path", "p_teacher"),
    ("seed_teacher_load_torchscript", "path", "p_script"),
    ("seed_teacher_load_torchscript", "output", "NULL"),
    ("seed_teacher_from_callback", "format", "SEED_BATCH_FLOAT_NCHW"),
    ("seed_teacher_from_callback", "device", "SEED_DEVICE_CPU"),
    ("seed_weights_describe", "path", "p_teacher"),
    ("seed_model_open", "path", "p_teacher"),
    ("seed_student_load_weights", "student", "g_weighted"),
    ("seed_student_load_weights", "path", "p_teacher"),
    ("seed_student_weights_report", "student", "g_weighted"),
    ("seed_embeddings_load", "path", "p_table"),
    ("seed_session_feature_map", "name", "stage"),
    ("seed_classifier_open", "path", "p_classifier"),
    ("seed_classifier_fit", "earlier", "NULL"),
    ("seed_classifier_fit", "teacher", "NULL"),
    ("seed_classifier_fit", "names", "class_names"),
    ("seed_classifier_distil", "earlier", "NULL"),
    ("seed_classifier_distil", "teacher", "NULL"),
    ("seed_classifier_distil", "names", "class_names"),
    ("seed_semi_supervised_evaluate", "recalls", "b_double"),
    ("seed_transfer_evaluate", "recalls", "b_double"),
    ("seed_linear_sgd_evaluate", "recalls", "b_double"),
    ("seed_anomaly_open", "path", "p_anomaly"),
    ("seed_segmenter_open", "path", "p_segmenter"),
    ("seed_segmenter_fit", "masks", "masks"),
    ("seed_segmenter_fit", "names", "class_names"),
    ("seed_segmentation_evaluate", "masks", "masks"),
    ("seed_segmentation_evaluate", "ious", "b_double"),
    ("seed_mask_overlap", "predicted", "flags"),
    ("seed_mask_overlap", "truth", "flags"),
    ("seed_mask_overlap", "ious", "b_double"),
    ("*", "mask_count", "IMAGES + 1"),
    ("seed_drift_load", "path", "p_drift"),
    ("seed_drift_new", "count", "40"),
    ("seed_store_open", "path", "p_store_made"),
    ("seed_store_open_to_read", "path", "p_store"),
    ("seed_store_check", "path", "p_store"),
    ("seed_store_repair", "path", "p_store_copied"),
    ("seed_store_repair", "new_path", "new_path()"),
    // What others read must not go.
    ("seed_store_remove", "ids", "no_ids"),
    ("seed_store_close", "store", "g_reader"),
    ("seed_store_set_label", "id", "6"),
    ("seed_store_remove", "count", "3"),
    ("seed_store_labels", "count", "3"),
    ("seed_store_labels", "labels", "b_i64"),
    ("seed_dataset_open_store", "count", "3"),
    ("seed_linear_evaluate", "recalls", "b_double"),
    ("seed_linear_evaluate", "count", "40"),
    ("seed_region_overlap", "widths", "sides"),
    ("seed_region_overlap", "heights", "sides"),
    ("seed_region_overlap", "masks", "flags"),
    ("seed_auroc", "positives", "flags"),
    ("seed_student_load", "path", "p_teacher"),
    ("seed_session_open", "path", "p_teacher"),
    ("seed_memory_file_put", "path", "\"memory://put\""),
    ("seed_memory_file_get", "path", "IN_MEMORY"),
    ("seed_memory_file_remove", "path", "IN_MEMORY"),
    ("seed_queue_load", "path", "p_queue"),
    ("seed_bank_fill", "path", "p_more"),
    ("seed_bank_open", "path", "p_bank"),
    ("seed_trainer_save", "path", "p_checkpoint"),
    ("seed_trainer_set_world", "trainer", "g_joining"),
    ("*", "rank", "0"),
    ("*", "size", "1"),
    ("*", "address", "world_address()"),
    ("*", "timeout_ms", "60000"),
    ("seed_world_position", "rank", "&o_u32"),
    ("seed_world_position", "size", "b_u32"),
    ("seed_trainer_resume", "path", "p_checkpoint"),
    ("seed_report_add_map", "count", "IMAGES + 1"),
    ("seed_report_add_time_point", "chart", "\"days\""),
    ("seed_report_add_time_point", "value", ".5"),
    ("seed_report_add_drift", "chart", "\"drift\""),
    ("seed_report_add_heat_map", "mask", "flags"),
    ("seed_event_file_new", "folder", "p_board"),
    ("*", "path", "p_out"),
    ("seed_queue_new", "capacity", "10"),
    ("*", "capacity", "ROOM"),
    ("seed_device_count", "out", "&o_u32"),
    ("*", "abi_version", "SEED_ABI_VERSION"),
    ("*", "level", "SEED_LOG_ERROR"),
    ("seed_queue_rows", "count", "4"),
    ("*", "count", "COUNT"),
    ("*", "query_count", "COUNT"),
    ("*", "gallery_count", "COUNT"),
    ("*", "dim", "DIM"),
    ("*", "student_dim", "DIM"),
    ("*", "teacher_dim", "DIM"),
    ("*", "k", "2"),
    ("*", "first", "0"),
    ("*", "index", "0"),
    ("seed_bank_predict_size", "images", "3"),
    ("*", "views", "2"),
    ("*", "columns", "2"),
    ("*", "rows", "1"),
    ("*", "splits", "2"),
    ("*", "seed", "1"),
    ("*", "max_steps", "1"),
    ("*", "max_rows", "1"),
    ("*", "length", "sizeof bytes"),
    ("*", "label_count", "IMAGES + 1"),
    ("*", "test_label_count", "IMAGES + 1"),
    ("*", "class_count", "2"),
    ("*", "queue_count", "20"),
    ("*", "temperature", ".07"),
    ("*", "temperature_student", ".2"),
    ("*", "temperature_teacher", ".01"),
    ("*", "label_fraction", ".5"),
    ("*", "limit", ".3"),
    ("*", "id", "1"),
    ("*", "label", "1"),
    ("*", "wait_ms", "1000"),
    ("*", "which", "SEED_STORE_TEXT_NAME"),
    ("*", "per_class", "2"),
    ("*", "pixels", "WIDTH * HEIGHT"),
    ("*", "score", ".5"),
    ("*", "threshold", ".5"),
    ("*", "time_us", "1"),
    ("*", "low", "NAN"),
    ("*", "high", "NAN"),
    ("*", "first_step", "1"),
    ("*", "step", "1"),
    ("*", "x", ".5"),
    ("*", "y", ".5"),
];

/// A value for one parameter and what must come of the call.
struct Case {
    value: String,
    what: String,
    wanted: &'static str,
}

fn case(value: impl Into<String>, what: impl Into<String>, wanted: &'static str) -> Case {
    Case { value: value.into(), what: what.into(), wanted }
}

/// `const seed_queue *queue` as its type and name.
fn split(parameter: &str) -> (&str, &str) {
    let end = parameter.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap() + 1;
    (parameter[..end].trim(), &parameter[end..])
}

fn handle(kind: &str) -> Option<&str> {
    let name = kind.strip_prefix("const ").unwrap_or(kind).strip_suffix(" *")?;
    (name.starts_with("seed_") && name != "seed_error" && !STRUCTS.contains(&name)).then_some(name)
}

/// `const seed_gate_options *` as seed_gate_options and whether it is only read.
fn structure(kind: &str) -> Option<(&str, bool)> {
    let name = kind.strip_suffix(" *")?;
    let (name, read) = name.strip_prefix("const ").map_or((name, false), |name| (name, true));
    (STRUCTS.contains(&name) && name != "seed_image").then_some((name, read))
}

fn good(function: &str, parameter: &str) -> String {
    let (kind, name) = split(parameter);
    let known = |wanted: &str| GOOD.iter().find(|(of, given, _)| *of == wanted && *given == name);
    if let Some((_, _, value)) = known(function) {
        return (*value).to_owned();
    }
    if kind.ends_with("**") && kind.starts_with("seed_") {
        return format!("&o_{}", kind.trim_end_matches(['*', ' ']));
    }
    if let Some(name) = handle(kind) {
        return format!("g_{name}");
    }
    if let Some((name, read)) = structure(kind) {
        return format!("&{}_{name}", if read { "g" } else { "o" });
    }
    let by_kind = match kind {
        "int64_t *" if ["buffer", "classes"].contains(&name) => "b_i64",
        "uint64_t *" if name == "buffer" => "b_u64",
        "size_t *" => "&o_size",
        "int64_t *" => "&o_i64",
        "uint64_t *" => "&o_u64",
        "int32_t *" => "&o_i32",
        "double *" => "&o_double",
        "seed_image *" => "&o_image",
        "const seed_image *" => "images",
        "const char *const *" => "texts",
        "char *" => "b_char",
        "uint8_t *" => "b_u8",
        "float *" => "b_f32",
        "uint32_t *" if name != "out" => "b_u32",
        "const uint8_t *" => "bytes",
        "const float *" => "f32",
        "const int64_t *" if name == "ids" => "ids",
        "const int64_t *" => "labels",
        "const uint32_t *" => "zeros",
        "seed_teacher_callback" => "on_batch",
        "void *" => "0",
        _ if kind.ends_with("_callback") => "0",
        "struct DLManagedTensorVersioned *" => "tensor()",
        "struct DLManagedTensorVersioned **" => "&o_tensor",
        _ => "",
    };
    if !by_kind.is_empty() {
        return by_kind.to_owned();
    }
    match known("*") {
        Some((_, _, value)) => (*value).to_owned(),
        None if kind == "const char *" => "\"text\"".to_owned(),
        None => panic!("{function}: say in tests/capi/sweep.rs what a good {parameter} is"),
    }
}

/// Every bad value of a parameter.
fn bad(function: &str, parameter: &str) -> Vec<Case> {
    let (kind, name) = split(parameter);
    let nullable = MAY_BE_NULL.iter().any(|(of, given)| (*of == "*" || *of == function) && *given == name);
    let mut cases = Vec::new();
    let numbers = |values: &[&str]| values.iter().map(|value| case(*value, *value, "ANYTHING")).collect();
    match kind {
        "size_t" => {
            return numbers(
                &["0", "1", "SIZE_MAX", "SIZE_MAX / 2 + 2", "SIZE_MAX / 4 + 1"][..if name == "length" { 4 } else { 5 }],
            );
        }
        "uint32_t" => return numbers(&["0", "1", "UINT32_MAX"]),
        "uint64_t" => return numbers(&["0", "1", "UINT64_MAX", "UINT64_MAX / 2 + 1"]),
        "int32_t" => return numbers(&["INT32_MIN", "-1", "99", "INT32_MAX"]),
        "int64_t" => return numbers(&["INT64_MIN", "-1", "0", "INT64_MAX"]),
        "double" => return numbers(&["NAN", "INFINITY", "-INFINITY", "-1", "DBL_MAX", "0"]),
        "float" => return numbers(&["NAN", "INFINITY", "-INFINITY", "-1", "FLT_MAX", "0"]),
        "void *" => return cases,
        _ if kind.ends_with("_callback") => return cases,
        _ => {}
    }
    cases.push(case("NULL", "NULL", if nullable { "ANYTHING" } else { "REFUSED" }));
    let value = good(function, parameter);
    if let Some(own) = handle(kind) {
        let other = if own == "seed_queue" { "g_seed_config" } else { "g_seed_queue" };
        cases.push(case(format!("({kind}){other}"), "another type", "REFUSED"));
        cases.push(case(format!("({kind})nothing"), "no object", "REFUSED"));
        cases.push(case(format!("({kind})f_{own}"), "freed", "REFUSED"));
        cases.push(case(format!("({kind})1"), "no address", "REFUSED"));
        if own == "seed_teacher" {
            let wanted = if TAKES_STORED.contains(&function) { "ANYTHING" } else { "UNSUPPORTED" };
            cases.push(case("g_stored[0]", "of a bank", wanted));
            cases.push(case("g_stored[1]", "of a table", wanted));
        }
    }
    if let Some((name, read)) = structure(kind) {
        let place = if read { format!("c_{name}") } else { format!("o_{name}") };
        let fresh = if read { format!("{place} = g_{name}, ") } else { String::new() };
        let changes =
            SPOILT.iter().filter(|(of, ..)| read && *of == name).map(|(_, change, wanted)| (*change, *wanted));
        // Whatever is beyond the end of a newer header's struct is not read and not written.
        let sizes =
            [("struct_size = 0", "FAILURE"), ("struct_size = 3", "FAILURE"), ("struct_size = SIZE_MAX", "ANYTHING")];
        for (change, wanted) in sizes.into_iter().chain(changes) {
            let what = change.replace(['"', '\\'], "'");
            cases.push(case(format!("({fresh}{place}.{change}, &{place})"), what, wanted));
        }
    }
    match kind {
        "const char *" => {
            cases.push(case("\"\\xff\\xfe\"", "bad UTF-8", "REFUSED"));
            cases.push(case("\"a\\xc3\"", "cut UTF-8", "REFUSED"));
            cases.push(case("\"\"", "empty", "ANYTHING"));
            cases.push(case("long_text", "very long", "ANYTHING"));
            cases.push(case("\"%s%n%s%n\"", "format", "ANYTHING"));
        }
        "const char *const *" => {
            cases.push(case("(const char *const *)nothing", "array of NULL", "REFUSED"));
            cases.push(case("(const char *const[]){\"\\xff\", \"\\xff\", \"\\xff\", \"\\xff\", \"\\xff\", \"\\xff\", \"\\xff\", \"\\xff\", \"\\xff\", \"\\xff\", \"\\xff\", \"\\xff\"}", "bad UTF-8", "REFUSED"));
        }
        "const seed_image *" => {
            for change in [
                "struct_size = 0",
                "struct_size = 3",
                "struct_size = SIZE_MAX",
                "data = NULL",
                "width = 0",
                "height = 0",
                "width = UINT32_MAX",
                "row_stride = 0",
                "row_stride = SIZE_MAX",
                "format = 0",
                "format = 99",
                "format = INT32_MIN",
                "device = -1",
                "device = 99",
            ] {
                // Whatever is beyond the end of a newer header's struct is not read.
                // A mask without pixels is none.
                let no_mask = name == "masks" && change == "data = NULL";
                let wanted = if change == "struct_size = SIZE_MAX" || no_mask { "ANYTHING" } else { "FAILURE" };
                cases.push(case(format!("(changed = fresh_images(), changed->{change}, changed)"), change, wanted));
            }
        }
        _ => {}
    }
    // char and uint8_t have no alignment, and what is taken over is no array.
    if !kind.contains("char *") && !kind.contains("uint8_t") && !kind.contains("DLManaged")
        || kind.contains("char *const")
    {
        cases.push(case(format!("({kind})((const char *){value} + 1)"), "not aligned", "REFUSED"));
    }
    cases
}

fn call(function: &Prototype, changed: usize, value: &str) -> String {
    let arguments = function.parameters.iter().enumerate();
    let arguments = arguments.map(|(i, one)| if i == changed { value.to_owned() } else { good(&function.name, one) });
    format!("{}({})", function.name, arguments.collect::<Vec<_>>().join(", "))
}

/// The program: every function with good values first, then each parameter with its bad ones.
fn program() -> String {
    let functions = functions(&header().unwrap()).unwrap();
    let fallible = || functions.iter().filter(|function| function.returns == "seed_error *");
    assert!(fallible().count() > 80, "the header has shrunk");
    let mut text = "#include \"sweep.h\"\n#include <math.h>\n\nint main(int words, char **word) {\n  if (words < 2) return 2;\n  set_up(word[1]);\n".to_owned();
    let line = |name: &str, what: &str, wanted: &str, call: &str| {
        format!("  begin(\"{name}: {what}\");\n  end({wanted}, {call});\n")
    };
    for function in fallible() {
        // The classifier here is one of few labels: nothing was held out, so it has no confusion matrix to show.
        let wanted = if function.name == "seed_report_add_confusion" { "ANYTHING" } else { "SUCCESS" };
        text += &line(&function.name, "good", wanted, &call(function, usize::MAX, ""));
    }
    text += "  all_freed();\n";
    for function in fallible() {
        for (place, parameter) in function.parameters.iter().enumerate() {
            for case in bad(&function.name, parameter) {
                let what = format!("{} = {}", split(parameter).1, case.what);
                text += &line(&function.name, &what, case.wanted, &call(function, place, &case.value));
            }
        }
    }
    // What is no object is left alone by the functions that free.
    for function in
        functions.iter().filter(|function| function.name.ends_with("_free") && function.name != "seed_error_free")
    {
        let kind = split(&function.parameters[0]).0;
        let other = if kind.contains("queue") { "g_seed_config" } else { "g_seed_queue" };
        let own = handle(kind).unwrap();
        let freed = [format!("({kind}){other}"), format!("({kind})nothing"), format!("f_{own}"), format!("({kind})1")];
        for value in ["NULL".to_owned()].into_iter().chain(freed) {
            writeln!(text, "  now = \"{}\";\n  {}({value});", function.name, function.name).unwrap();
        }
    }
    for function in fallible() {
        text += &line(&function.name, "good again", "ANYTHING", &call(function, usize::MAX, ""));
    }
    text + "  tear_down();\n  return failures != 0;\n}\n"
}

#[test]
fn no_argument_does_harm() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("sweep.c");
    fs::write(&source, program()).unwrap();
    let include = format!("-I{}", root().join("tests/safety").display());
    let program = compile(&source, &["-std=c99", "-Wno-overlength-strings", &include], folder.path());
    for name in ["tensor.pt", "single.npy"] {
        fs::copy(root().join("tests/golden/teachers").join(name), folder.path().join(name)).unwrap();
    }
    let run =
        quiet(&program).arg(folder.path()).current_dir(folder.path()).env("OMP_NUM_THREADS", "2").output().unwrap();
    let text = expect_success("the sweep", &run);
    println!("{text}");
}
