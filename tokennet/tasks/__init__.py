"""Built-in tasks: small learning problems, each an experiment for `tn.ablate`."""

from inspect import isabstract

from tokennet.tasks.base import Data, Reference, Task, TaskExperiment
from tokennet.tasks.counting import Counting, Majority, Parity
from tokennet.tasks.graph_probes import NeighbourMean, ShortestPath
from tokennet.tasks.images import Digits, ImageTask
from tokennet.tasks.order import Copying, Sorting
from tokennet.tasks.probes import Probe
from tokennet.tasks.recall import AssociativeRecall, PatchQuestion
from tokennet.tasks.samples import Arrays, Batch, Graphs, OneGraph, Ragged, Samples
from tokennet.tasks.text import Names, Sentiment, Shakespeare
from tokennet.tasks.training import Recipe
from tokennet.tasks.translation import Scan

__all__ = [
    "TASKS",
    "Arrays",
    "AssociativeRecall",
    "Batch",
    "Copying",
    "Counting",
    "Data",
    "Digits",
    "Graphs",
    "ImageTask",
    "Majority",
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
]

TASKS: dict[str, type[Task]] = {  # what the command line offers
    name: found
    for name in __all__[1:]
    if issubclass(found := globals()[name], Task) and not isabstract(found)
}
