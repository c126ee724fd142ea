"""Built-in tasks: small learning problems, each an experiment for `tn.ablate`."""

from inspect import isabstract

from tokennet.tasks.base import Data, Reference, Task, TaskExperiment
from tokennet.tasks.images import Digits, ImageTask
from tokennet.tasks.samples import Arrays, Batch, Graphs, OneGraph, Ragged, Samples
from tokennet.tasks.training import Recipe

__all__ = [
    "TASKS",
    "Arrays",
    "Batch",
    "Data",
    "Digits",
    "Graphs",
    "ImageTask",
    "OneGraph",
    "Ragged",
    "Recipe",
    "Reference",
    "Samples",
    "Task",
    "TaskExperiment",
]

TASKS: dict[str, type[Task]] = {  # what the command line offers
    name: found
    for name in __all__[1:]
    if issubclass(found := globals()[name], Task) and not isabstract(found)
}
