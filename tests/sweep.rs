//! Every function of the C ABI with every kind of bad argument, one at a time: a C program written out of seed.h, so that no
//! function can be forgotten. A parameter of a kind that is not known here fails the test.

mod programs;
#[allow(dead_code)]
#[path = "../xtask/src/prototypes.rs"]
mod prototypes;

use std::fmt::Write;
use std::fs;

use programs::{compile, expect_success, quiet, root};
use prototypes::{Prototype, functions, header};

type Outcome<T = ()> = Result<T, String>;

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
    ("seed_trainer_new_with_bank", "queue"),
    ("seed_bank_open", "teacher"),
    ("seed_bank_rows", "finished"),
    ("seed_bank_rows", "total"),
    ("seed_trainer_step", "loss"),
    ("seed_image_decode", "image"),
    ("seed_dataset_pixels", "image"),
    ("seed_dataset_push", "name"),
    ("seed_dataset_push", "index"),
    ("seed_dataset_push_encoded", "name"),
    ("seed_dataset_push_encoded", "index"),
];

/// (function or "*", parameter, a good value): what is not chosen by type alone.
const GOOD: &[(&str, &str, &str)] = &[
    // What was filled into the bank must not grow.
    ("seed_dataset_push", "dataset", "g_pushed"),
    ("seed_dataset_push_encoded", "dataset", "g_pushed"),
    ("seed_config_set_float", "value", ".5"),
    ("seed_config_set_int", "key", "\"batch_size\""),
    ("seed_config_get_int", "key", "\"batch_size\""),
    ("seed_config_set_float", "key", "\"momentum\""),
    ("seed_config_get_float", "key", "\"momentum\""),
    ("*", "key", "\"device\""),
    ("seed_config_set_string", "value", "\"cpu\""),
    ("*", "value", "3"),
    ("*", "json", "\"{}\""),
    ("*", "device", "\"cpu\""),
    ("*", "folder", "p_images"),
    ("*", "architecture", "\"mobilenet_v3_small\""),
    ("*", "filter", "\"error\""),
    ("seed_teacher_load", "path", "p_teacher"),
    ("seed_student_load", "path", "p_teacher"),
    ("seed_session_open", "path", "p_teacher"),
    ("seed_queue_load", "path", "p_queue"),
    ("seed_bank_fill", "path", "p_more"),
    ("seed_bank_open", "path", "p_bank"),
    ("seed_trainer_save", "path", "p_checkpoint"),
    ("seed_trainer_resume", "path", "p_checkpoint"),
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
    let plain = ["seed_error", "seed_image", "seed_memory", "seed_knn_result"];
    (name.starts_with("seed_") && !plain.contains(&name)).then_some(name)
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
    let by_kind = match kind {
        "size_t *" => "&o_size",
        "int64_t *" => "&o_i64",
        "uint64_t *" => "&o_u64",
        "int32_t *" => "&o_i32",
        "double *" => "&o_double",
        "seed_image *" => "&o_image",
        "seed_memory *" => "&o_memory",
        "seed_knn_result *" => "&o_knn",
        "const seed_image *" => "images",
        "const char *const *" => "texts",
        "char *" => "b_char",
        "uint8_t *" => "b_u8",
        "float *" => "b_f32",
        "uint32_t *" if name != "out" => "b_u32",
        "const uint8_t *" => "bytes",
        "const float *" => "f32",
        "const int64_t *" => "labels",
        "const uint32_t *" => "zeros",
        "void *" | "seed_log_callback" | "seed_progress_callback" | "seed_bank_callback" | "seed_count_callback" => "0",
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
        None => panic!("{function}: say in tests/sweep.rs what a good {parameter} is"),
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
                let wanted = if change == "struct_size = SIZE_MAX" { "ANYTHING" } else { "FAILURE" };
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
        text += &line(&function.name, "good", "SUCCESS", &call(function, usize::MAX, ""));
    }
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
        for value in ["NULL".to_owned(), format!("({kind}){other}"), format!("({kind})nothing")] {
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
    let run =
        quiet(&program).arg(folder.path()).current_dir(folder.path()).env("OMP_NUM_THREADS", "2").output().unwrap();
    let text = expect_success("the sweep", &run);
    println!("{text}");
}
