"""libseed's bench programs beside PyTorch, on a machine without Rust; run.sh starts it. Standard library only.

Both sides run in turn as new processes. A cell is the median of the rounds with the lowest and highest, a ratio the median
of the rounds' own ratios, above 1 where libseed is better. Without --oracle only libseed's figures are printed.
"""
import argparse, datetime, json, os, platform, statistics, subprocess, sys

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAMS = os.path.join(os.path.dirname(HERE), "bin")
PAIRS = [("resnet50", "resnet18"), ("resnet50", "mobilenet_v3_large"), ("resnet50", "efficientnet_b0")]
# (name, libseed's precision, the reference's options)
SETTINGS = [("as it comes", "auto", []), ("both fp32, NHWC", "fp32", ["--channels_last"]),
            ("both bf16, NHWC (tuned)", "bf16", ["--channels_last", "--amp", "bfloat16"])]
# cuDNN tries its algorithms on both sides; the reference has no option for it.
REFERENCE = ("import runpy, sys, torch; torch.backends.cudnn.benchmark = True; sys.argv = sys.argv[1:]; "
             "runpy.run_path(sys.argv[0], run_name='__main__')")


def figures(command, own):
    """The numbers in the lines of JSON, and in the reference's `epoch N loss L R images/s`."""
    environment = dict(os.environ)
    if own:
        environment["LD_LIBRARY_PATH"] = os.environ["SEED_BUNDLE_PATH"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    found = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if line.startswith("epoch ") and words[-1] == "images/s":
            found["images_per_s"] = float(words[-2])
        elif line.startswith("{"):
            found.update((k, v) for k, v in json.loads(line).items() if isinstance(v, (int, float)))
    if done.returncode or not found:
        sys.exit(f"{' '.join(command)} gave no figures:\n{done.stderr.strip()}")
    return found


def ours(program, *arguments):
    return [os.path.join(PROGRAMS, program), *arguments, "--cudnn_benchmark"], True


def reference(options, *arguments):
    return [sys.executable, "-c", REFERENCE, options.oracle, *arguments], False


def in_turn(rounds, sides):
    found = [[] for _ in sides]
    for _ in range(rounds):
        for side, results in zip(sides, found):
            results.append(figures(*side))
    return found


def show(values):
    values = [value for value in values if value is not None]
    if not values:
        return ""
    median = statistics.median(values)
    digits = 0 if median >= 100 else 1 if median >= 10 else 2
    text = f"{median:.{digits}f}"
    return text if min(values) == max(values) else f"{text} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def of(results, name):
    return [result.get(name) for result in results]


def ratio(over, under, name):
    pairs = [(a[name], b[name]) for a, b in zip(over, under) if name in a and name in b]
    return show([a / b for a, b in pairs])


def step(options):
    rows = []
    for teacher, student in PAIRS:
        for name, precision, theirs in SETTINGS:
            common = ["--teacher", teacher, "--student", student, "--size", options.size, "--steps", options.steps,
                      "--batch", options.batch, "--queue", options.queue, "--device", options.device]
            sides = [ours("step", *common, "--precision", precision)]
            if options.oracle:
                sides.append(reference(options, "step", *common, *theirs))
            rows.append([f"{teacher} → {student} {options.size}²", name, *compared(options, sides)])
    return "Images/s of a distillation step", ["pair", "settings", "PyTorch", "libseed", "ratio"], rows


def run(options):
    rows = []
    for name, precision, theirs in (SETTINGS[0], SETTINGS[2]):
        common = ["--data", options.data, "--size", options.size, "--epochs", "1", "--batch", options.batch,
                  "--queue", options.queue, "--device", options.device]
        sides = [ours("run", *common, "--precision", precision)]
        if options.oracle:
            sides.append(reference(options, "run", *common, *theirs))
        rows.append([f"resnet50 → resnet18 {options.size}²", name, *compared(options, sides)])
    return f"Images/s of a run from the files in {options.data}", ["pair", "settings", "PyTorch", "libseed", "ratio"], rows


def compared(options, sides):
    found = in_turn(options.rounds, sides)
    theirs = found[1] if len(found) > 1 else []
    return [show(of(theirs, "images_per_s")), show(of(found[0], "images_per_s")), ratio(found[0], theirs, "images_per_s")]


def infer(options):
    columns = ["network", "engine", "whole p50 ms", "whole p99 ms", "network p50 ms", "whole images/s", "network images/s",
               "ratio network images/s"]
    names = ["p50_ms", "p99_ms", "network_p50_ms", "images_per_s", "network_images_per_s"]
    rows = []
    for network in ("resnet18", "mobilenet_v3_large"):
        for precision in ("fp32", "bf16"):
            common = ["--network", network, "--size", options.size, "--batch", options.batch, "--precision", precision,
                      "--repeats", options.repeats, "--threads", options.threads, "--device", options.device]
            sides, labels = [ours("infer", *common)], [f"libseed {precision}"]
            if options.oracle:
                script = [sys.executable, os.path.join(HERE, "infer_engines.py"), *common, "--cudnn_benchmark"]
                sides.append((script + ["--engine", "torchscript"], False))
                labels.append(f"TorchScript {precision} NHWC")
                if precision == "fp32" and options.device == "cpu" and importable("onnx, onnxruntime"):
                    sides.append((script + ["--engine", "onnxruntime"], False))
                    labels.append("ONNX Runtime fp32")
            found = in_turn(options.rounds, sides)
            for label, results in zip(labels, found):
                other = ratio(found[0], results, "network_images_per_s") if results is not found[0] else ""
                rows.append([network, label, *(show(of(results, name)) for name in names), other])
    return f"Inference: latency of one frame, images/s of {options.batch}", columns, rows


def importable(modules):
    return subprocess.run([sys.executable, "-c", f"import {modules}"], capture_output=True).returncode == 0


def machine(device):
    names = {}
    with open("/proc/cpuinfo") as lines:
        names = dict(line.strip().partition("\t: ")[::2] for line in lines if "model name" in line)
    chip = next(iter(names.values()), platform.processor())
    text = f"{datetime.date.today()}, {chip}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release()}"
    if device.startswith("cuda"):
        ask = f"import torch; print(torch.cuda.get_device_name('{device}'))"
        found = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
        text += ", " + found.stdout.strip()
    return text


def main():
    parser = argparse.ArgumentParser(prog="run.sh", description=__doc__)
    parser.add_argument("benches", nargs="*", help="step, run, infer; all that can be run where none is named")
    parser.add_argument("--oracle", help="the file of the PyTorch reference, seed_torch.py")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda:N")
    parser.add_argument("--data", help="folder of class folders of images, for run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", help="a file that the tables are appended to")
    for name, value in dict(steps=10, batch=32, queue=65536, size=224, repeats=100, threads=2).items():
        parser.add_argument("--" + name, type=int, default=value)
    options = parser.parse_args()
    for name in ("steps", "batch", "queue", "size", "repeats", "threads"):
        setattr(options, name, str(getattr(options, name)))
    if options.device == "auto":
        cuda = subprocess.run([sys.executable, "-c", "import torch; assert torch.cuda.is_available()"], capture_output=True)
        options.device = "cpu" if cuda.returncode else "cuda:0"
    known = dict(step=step, run=run, infer=infer)
    names = options.benches or [name for name in known if name != "run" or options.data]
    for name in names:
        if name not in known or (name == "run" and not options.data):
            parser.error(f"{name} cannot be run: it is one of {', '.join(known)}, and run needs --data")
    for name in names:
        title, columns, rows = known[name](options)
        title += f" on {options.device}, batch {options.batch}: median (lowest–highest) of {options.rounds} rounds"
        widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
        print(f"{title}\n")
        for row in [columns, *rows]:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        print(flush=True)
        if options.markdown:
            with open(options.markdown, "a", encoding="utf-8") as file:
                lines = [columns, ["---"] * len(columns), *rows]
                file.write(f"\n{title}\n{machine(options.device)}.\n\n")
                file.writelines("| " + " | ".join(line) + " |\n" for line in lines)


main()
