"""Built-in tasks: small learning problems, each an experiment for `tn.ablate`."""

from inspect import isabstract

from tokennet.tasks.base import Data, Reference, Task, TaskExperiment
from tokennet.tasks.counting import Counting, Majority, Parity
from tokennet.tasks.graph_probes import NeighbourMean, ShortestPath
from tokennet.tasks.graphs import MUTAG, PROTEINS, Citations, CiteSeer, Cora, GraphClasses
from tokennet.tasks.images import CIFAR, MNIST, Digits, ImageTask
from tokennet.tasks.molecules import ESOL, Molecules
from tokennet.tasks.order import Copying, Sorting
from tokennet.tasks.probes import Probe
from tokennet.tasks.recall import AssociativeRecall, PatchQuestion
from tokennet.tasks.samples import Arrays, Batch, Chosen, Graphs, OneGraph, Ragged, Samples
from tokennet.tasks.series import ETTh1, LastReadout, Windows
from tokennet.tasks.symmetry import permutation_error
from tokennet.tasks.text import Names, Sentiment, Shakespeare
from tokennet.tasks.training import Recipe
from tokennet.tasks.translation import Scan

__all__ = [
    "CIFAR",
    "ESOL",
    "MNIST",
    "MUTAG",
    "PROTEINS",
    "TASKS",
    "Arrays",
    "AssociativeRecall",
    "Batch",
    "Chosen",
    "Citations",
    "CiteSeer",
    "Copying",
    "Cora",
    "Counting",
    "Data",
    "Digits",
    "ETTh1",
    "GraphClasses",
    "Graphs",
    "ImageTask",
    "LastReadout",
    "Majority",
    "Molecules",
    "Names",
    "NeighbourMean",
    "OneGraph",
    "Parity",
    "PatchQuestion",
    "Probe",
    "Ragged",
    "Recipe",
    "Reference",
    "Samples",
    "Scan",
    "Sentiment",
    "Shakespeare",
    "ShortestPath",
    "Sorting",
    "Task",
    "TaskExperiment",
    "Windows",
    "permutation_error",
]

TASKS: dict[str, type[Task]] = {  # what the command line offers
    name: found
    for name in __all__
    if isinstance(found := globals().get(name), type)
    and issubclass(found, Task)
    and not isabstract(found)
    and hasattr(found, "reference")
}
