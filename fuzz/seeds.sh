#!/usr/bin/env bash
# Fills fuzz/corpus with what the tests already have: sound and hostile files, and names of published weights.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p corpus/safetensors corpus/torch corpus/layout
cp ../tests/golden/weights/*.safetensors ../tests/hostile/weights/*.safetensors corpus/safetensors/
cp ../tests/golden/weights/*.pt ../tests/hostile/weights/*.pt ../tests/golden/checkpoints/*.legacy.* corpus/torch/
awk '/^# / { file = "corpus/layout/" $2 } { print > file }' ../tests/golden/layouts.txt
# A Vision Transformer of 384² images under the name of one of 224².
sed 's/position_embeddings 1,197,/position_embeddings 1,577,/' corpus/layout/hugging_face.vit > corpus/layout/other_grid
