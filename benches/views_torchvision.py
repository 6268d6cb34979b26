"""Views a second of one core by torchvision and PIL: read, decode, MoCo-v2's view, tensor. No worker process.

One line of JSON on standard output: {"views_per_s": number}.
"""
import argparse, json, random, time
import torch, torchvision
import torchvision.transforms as T

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", required=True, help="folder of class folders")
parser.add_argument("--size", type=int, default=224)
parser.add_argument("--views", type=int, default=1000)
options = parser.parse_args()
torch.set_num_threads(1)

kernel = 2 * int(.05 * options.size) + 1
view = T.Compose([
    T.RandomResizedCrop(options.size, scale=(.2, 1)),
    T.RandomApply([T.ColorJitter(.4, .4, .4, .1)], p=.8),
    T.RandomGrayscale(p=.2),
    T.RandomApply([T.GaussianBlur(kernel, (.1, 2.))], p=.5),
    T.RandomHorizontalFlip(),
    T.ToTensor(),
    T.Normalize([.485, .456, .406], [.229, .224, .225]),
])
dataset = torchvision.datasets.ImageFolder(options.data, view)
order = random.Random(0).sample(range(len(dataset)), len(dataset))
warm_up = 20
for n in range(warm_up + options.views):
    if n == warm_up:
        start = time.perf_counter()
    dataset[order[n % len(order)]]
print(json.dumps(dict(views_per_s=round(options.views / (time.perf_counter() - start), 2))))
