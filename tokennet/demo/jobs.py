"""What a worker process does: train one net with one seed, or verify one net."""

import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F

import tokennet as tn
from tokennet.demo.broken import MaxOfAll, MaxOfSample
from tokennet.demo.data import GRAPHS, Images, digits, shuffle_patches
from tokennet.demo.nets import GRAPH_MIXERS, IMAGE_MIXERS, PATCHES, graph_net, image_net
from tokennet.demo.results import Certificate, Example, Run, Variant


@dataclass(frozen=True)
class Effort:
    """How much is done: epochs, images to fit, inputs tried for each law."""

    image_epochs: int = 18
    graph_epochs: int = 50
    images: int = 1200
    examples: int = 30


EXAMPLES = {"MaxOfAll": MaxOfAll, "MaxOfSample": MaxOfSample}
QUICK = Effort(image_epochs=1, graph_epochs=5, images=192, examples=8)


def start_worker() -> None:
    """One thread each: more threads than cores make small nets many times slower."""
    torch.set_num_threads(1)


def make(variant: Variant) -> tn.TokenNet:
    """The net of a variant, untrained."""
    if variant.task == "digits":
        return image_net(IMAGE_MIXERS[variant.operator], position=variant.position)
    graph = GRAPHS[variant.task]()
    return graph_net(GRAPH_MIXERS[variant.operator], graph.x.shape[1], graph.classes)


def train(variant: Variant, seed: int, effort: Effort) -> Run:
    """The accuracy on held-out data after one training from `seed`."""
    start = time.perf_counter()
    torch.manual_seed(seed)
    net = make(variant)
    if variant.task == "digits":
        data = digits()
        _fit_images(net, data, effort)
        accuracy = _image_accuracy(net, data.test, data.test_labels)
        other = shuffle_patches(data.test, seed)
        shuffled = _image_accuracy(net, other, data.test_labels)
    else:
        accuracy, shuffled = _graph_accuracy(net, variant.task, effort), None
    return Run(variant, seed, accuracy, shuffled, time.perf_counter() - start)


def _fit_images(net: tn.TokenNet, data: Images, effort: Effort, batch: int = 64) -> None:
    images, labels = data.fit[: effort.images], data.fit_labels[: effort.images]
    steps = effort.image_epochs * (len(images) // batch)
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    net.train()
    for _ in range(effort.image_epochs):
        order = torch.randperm(len(images))
        for rows in order[: len(images) // batch * batch].split(batch):
            optimiser.zero_grad()
            F.cross_entropy(net(images[rows]), labels[rows]).backward()
            optimiser.step()
            schedule.step()


def _image_accuracy(net: tn.TokenNet, images: torch.Tensor, labels: torch.Tensor) -> float:
    net.eval()
    with torch.inference_mode():
        return 100 * (net(images).argmax(1) == labels).double().mean().item()


def _graph_accuracy(net: tn.TokenNet, task: str, effort: Effort) -> float:
    graph = GRAPHS[task]()
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2, weight_decay=5e-4)
    net.train()
    for _ in range(effort.graph_epochs):
        optimiser.zero_grad()
        answers = net(graph.x, graph.structure)[graph.fit]
        F.cross_entropy(answers, graph.labels[graph.fit]).backward()
        optimiser.step()
    net.eval()
    with torch.inference_mode():
        right = net(graph.x, graph.structure).argmax(1) == graph.labels
    return 100 * right[graph.test].double().mean().item()


def certify(variant: Variant, effort: Effort) -> Certificate:
    """What `verify` finds for a net, in float64: there, rounding is far below anything else."""
    torch.manual_seed(0)  # `verify` moves biases from where they are
    net = make(variant)
    tokens = PATCHES if variant.task == "digits" else 34
    domain = tn.Domain(
        dim=net.dim,
        num_tokens=(1, tokens),
        facts=frozenset({"edges"}) | (net.reads & {"grid"}),
        grids=(2,),
        dtypes=(torch.float64,),
    )
    report = tn.verify(net, domain=domain, examples=effort.examples)
    found = report["Permutation"]
    return Certificate(
        variant,
        parameters=sum(p.numel() for p in net.parameters()),
        claims=tuple(sorted(law.name for law in net.claims)),
        implied=tuple(sorted({kind.__name__ for law in net.claims for kind in law.implied})),
        reads=tuple(sorted(net.reads)),
        ok=report.ok,
        role=found.role,
        status=found.status,
        error=found.error,
        cases=sum(v.cases for v in report.verdicts),
        report=str(report),
        seconds=report.seconds,
    )


def example(name: str, effort: Effort) -> Example:
    """The report on an operator that the page shows with its code."""
    report = tn.verify(EXAMPLES[name](), dim=4, examples=effort.examples)
    return Example(name, report.ok, report.broken, str(report))
