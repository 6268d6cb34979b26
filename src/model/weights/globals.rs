//! Which names of a pickle mean something here, which are ignored and which are refused.
//!
//! The rule, in this order:
//! 1. A name that exists to run code, open files or load further pickles is refused: nobody's weights need it.
//! 2. torch's functions that rebuild tensors, its storages, dtypes and the plain containers are understood.
//! 3. Every other name is inert: calling it, or filling what it "made", gives an opaque object without any effect. So the
//!    optimiser, the arguments and numpy scalars beside a state dict do no harm; a tensor made of one is an error.

use std::rc::Rc;

use super::fault::{Checked, Fault};
use super::host::HostType;

/// A global that stands on the stack.
#[derive(Clone, Debug)]
pub(super) enum Callable {
    /// `_rebuild_tensor`, `_rebuild_tensor_v2`: (storage, offset, shape, strides, …).
    RebuildTensor,
    /// `_rebuild_tensor_v3`: the same with the dtype as its seventh argument.
    RebuildTensorV3,
    /// `_rebuild_parameter`, `_rebuild_parameter_with_state`: (tensor, …).
    RebuildParameter,
    /// `_rebuild_from_type_v2`: (function, type, arguments, state).
    RebuildFromType,
    /// A class that is filled like a dict.
    Mapping,
    /// A class that is filled like a list.
    Sequence,
    /// A storage class, which says the element type.
    Storage(Element),
    /// A dtype; not callable.
    DType(Element),
    /// Anything else.
    Inert(Rc<str>),
}

/// Element type of a storage or tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// One that weights come in.
    Known(HostType),
    /// Untyped bytes; the tensor says what they are.
    Untyped,
    /// One that is not read; its size lets a legacy file's storages be skipped.
    Foreign { name: &'static str, size: usize },
}

impl Element {
    pub fn size(self) -> usize {
        match self {
            Self::Known(dtype) => dtype.size(),
            Self::Untyped => 1,
            Self::Foreign { size, .. } => size,
        }
    }
}

/// Modules whose every function acts on the machine or executes what it is given.
const REFUSED_MODULES: &[&str] = &[
    "os",
    "posix",
    "nt",
    "sys",
    "subprocess",
    "pty",
    "socket",
    "ssl",
    "shutil",
    "runpy",
    "importlib",
    "imp",
    "ctypes",
    "_ctypes",
    "code",
    "codeop",
    "pdb",
    "bdb",
    "timeit",
    "profile",
    "cProfile",
    "trace",
    "commands",
    "popen2",
    "webbrowser",
    "multiprocessing",
    "_posixsubprocess",
    "threading",
    "_thread",
    "asyncio",
    "signal",
    "pickle",
    "_pickle",
    "cPickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
    "pip",
    "ensurepip",
    "venv",
    "urllib",
    "http",
    "ftplib",
    "smtplib",
    "requests",
    "tempfile",
    "pkgutil",
    "zipimport",
    "torch.hub",
    "torch.utils.cpp_extension",
    "numpy.f2py",
    "numpy.distutils",
    "numpy.testing",
    "torch._inductor",
    "torch._dynamo",
];

/// Functions that do so in modules which are harmless otherwise.
const REFUSED_NAMES: &[(&str, &[&str])] = &[
    (
        "builtins",
        &[
            "eval",
            "exec",
            "execfile",
            "compile",
            "open",
            "file",
            "input",
            "raw_input",
            "breakpoint",
            "getattr",
            "setattr",
            "delattr",
            "__import__",
            "reload",
            "globals",
            "locals",
            "vars",
            "apply",
            "help",
            "exit",
            "quit",
            "__build_class__",
        ],
    ),
    ("operator", &["attrgetter", "methodcaller", "itemgetter", "call"]),
    ("_operator", &["attrgetter", "methodcaller", "itemgetter", "call"]),
    ("functools", &["reduce"]),
    ("types", &["CodeType", "FunctionType", "ModuleType", "LambdaType"]),
    ("io", &["open", "open_code", "FileIO"]),
    ("_io", &["open", "open_code", "FileIO"]),
    ("codecs", &["open"]),
    ("torch.storage", &["_load_from_bytes"]),
    ("torch.serialization", &["load", "_load", "_legacy_load"]),
    ("torch", &["load", "save"]),
    ("torch.jit", &["load", "CompilationUnit"]),
    ("numpy", &["load", "memmap", "fromfile", "loadtxt"]),
];

/// What `module.name` means.
pub(super) fn resolve(module: &str, name: &str) -> Checked<Callable> {
    // Python 2 called it __builtin__.
    let module = if module == "__builtin__" { "builtins" } else { module };
    // Protocol 4 allows "eval.__call__": what counts is where the path begins.
    let head = name.split('.').next().unwrap_or(name);
    let within =
        |refused: &str| module.strip_prefix(refused).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let refused = REFUSED_MODULES.iter().any(|refused| within(refused))
        || REFUSED_NAMES.iter().any(|(owner, names)| module == *owner && names.contains(&head));
    if refused {
        return Err(Fault::new(format!(
            "the pickle asks for {module}.{name}, which can run code: the file is refused, and nothing of it was executed"
        )));
    }
    Ok(match (module, name) {
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Callable::RebuildTensor,
        ("torch._utils", "_rebuild_tensor_v3") => Callable::RebuildTensorV3,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Callable::RebuildParameter,
        ("torch._tensor", "_rebuild_from_type" | "_rebuild_from_type_v2") => Callable::RebuildFromType,
        ("collections", "OrderedDict" | "defaultdict") | ("builtins", "dict") => Callable::Mapping,
        ("builtins", "list" | "tuple" | "set" | "frozenset") | ("torch", "Size") => Callable::Sequence,
        ("torch.storage", "UntypedStorage") | ("torch", "UntypedStorage") => Callable::Storage(Element::Untyped),
        ("torch" | "torch.cuda", _) => match (storage(name), dtype(name)) {
            (Some(element), _) => Callable::Storage(element),
            (None, Some(element)) => Callable::DType(element),
            (None, None) => Callable::Inert(format!("{module}.{name}").into()),
        },
        _ => Callable::Inert(format!("{module}.{name}").into()),
    })
}

fn storage(name: &str) -> Option<Element> {
    let foreign = |name, size| Some(Element::Foreign { name, size });
    match name.strip_suffix("Storage")? {
        "Float" => Some(Element::Known(HostType::F32)),
        "Double" => Some(Element::Known(HostType::F64)),
        "Half" => Some(Element::Known(HostType::F16)),
        "BFloat16" => Some(Element::Known(HostType::BF16)),
        "Long" => Some(Element::Known(HostType::I64)),
        "Int" => Some(Element::Known(HostType::I32)),
        "Short" => Some(Element::Known(HostType::I16)),
        "Char" => Some(Element::Known(HostType::I8)),
        "Byte" => Some(Element::Known(HostType::U8)),
        "Bool" => Some(Element::Known(HostType::Bool)),
        "ComplexFloat" => foreign("complex64", 8),
        "ComplexDouble" => foreign("complex128", 16),
        "QInt8" => foreign("qint8", 1),
        "QUInt8" => foreign("quint8", 1),
        "QInt32" => foreign("qint32", 4),
        "QUInt4x2" => foreign("quint4x2", 1),
        "QUInt2x4" => foreign("quint2x4", 1),
        _ => None,
    }
}

fn dtype(name: &str) -> Option<Element> {
    let foreign = |name, size| Some(Element::Foreign { name, size });
    match name {
        "float32" | "float" => Some(Element::Known(HostType::F32)),
        "float64" | "double" => Some(Element::Known(HostType::F64)),
        "float16" | "half" => Some(Element::Known(HostType::F16)),
        "bfloat16" => Some(Element::Known(HostType::BF16)),
        "int64" | "long" => Some(Element::Known(HostType::I64)),
        "int32" | "int" => Some(Element::Known(HostType::I32)),
        "int16" | "short" => Some(Element::Known(HostType::I16)),
        "int8" => Some(Element::Known(HostType::I8)),
        "uint8" => Some(Element::Known(HostType::U8)),
        "bool" => Some(Element::Known(HostType::Bool)),
        "uint16" => foreign("uint16", 2),
        "uint32" => foreign("uint32", 4),
        "uint64" => foreign("uint64", 8),
        "complex64" | "cfloat" => foreign("complex64", 8),
        "complex128" | "cdouble" => foreign("complex128", 16),
        "float8_e4m3fn" => foreign("float8_e4m3fn", 1),
        "float8_e5m2" => foreign("float8_e5m2", 1),
        _ => None,
    }
}
