"""Regions of an image to tokens: superpixels, segments.

Axes: B samples, C channels of an image, H W pixels, P pixels of all images, T regions of all
images, D channels of a token.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tokennet.checks import kind_of, positive, type_error, value_error
from tokennet.mixers.base import check_place
from tokennet.net.images import check_images
from tokennet.net.tokenizers import Tokenizer, ragged_structure
from tokennet.ops.segment import segment_mean
from tokennet.structure import Edges, Structure


class RegionTokenizer(Tokenizer):
    """Every region of a segmented image as a token; touching regions are joined by edges.

    x = W [mean colour, centre, size] + b; the centre (row, column) and the size are fractions of
    the image. Inputs: `(images [B, C, H, W], labels [B, H, W])`, whole numbers, equal within a
    region (of any segmentation, such as scikit-image's `slic`; any numbers). Output `[T, dim]`,
    packed, the regions of an image in the order of their labels. The edges are the region adjacency
    graph in both directions, `weight` the length of the common border in pixel sides. Superpixels
    on graphs as by Monti et al. 2017 (MoNet), section 5.1.
    """

    def __init__(self, channels: int, dim: int):
        super().__init__()
        self.channels = positive("channels", channels)
        self.dim = positive("dim", dim)
        self.map = nn.Linear(channels + 3, dim)

    def forward(
        self,
        inputs: tuple[Float[Tensor, "B C H W"], Int[Tensor, "B H W"]],
        structure: Structure | None = None,
    ) -> tuple[Float[Tensor, "T D"], Structure]:
        images, labels = self._checked(inputs)
        region, lengths = _regions(labels)
        colours = images.movedim(1, -1).reshape(-1, self.channels)  # [P, C]
        features = _features(colours, region.flatten(), labels.shape, sum(lengths))
        edges = _adjacency(region, sum(lengths), images.dtype)
        structure = ragged_structure(lengths, images.device, structure, edges)
        return self.map(features), structure

    def _checked(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        if not isinstance(inputs, (tuple, list)) or len(inputs) != 2:
            raise type_error("inputs", kind_of(inputs), "a pair (images, labels)")
        images, labels = inputs
        check_images(images, self.channels, "images")
        check_place("images", images, self)
        if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.is_complex():
            kind = labels.dtype if isinstance(labels, Tensor) else kind_of(labels)
            raise type_error("labels", kind, "a tensor of whole numbers [B, H, W]")
        shape = (images.shape[0], *images.shape[2:])
        if labels.shape != shape:
            raise value_error("labels.shape", tuple(labels.shape), f"{list(shape)} as the images")
        if labels.device != images.device:
            raise value_error("labels.device", labels.device, f"{images.device} as the images")
        return images, labels


def _regions(labels: Tensor) -> tuple[Tensor, list[int]]:
    """The row of each pixel's token `[B, H, W]`, and the number of regions of each image."""
    batch = labels.shape[0]
    values, place = torch.unique(labels, return_inverse=True)
    image = torch.arange(batch, device=labels.device)[:, None, None]
    used, region = torch.unique(image * len(values) + place, return_inverse=True)
    owner = used.div(max(len(values), 1), rounding_mode="floor")
    return region, torch.bincount(owner, minlength=batch).tolist()


def _features(colours: Tensor, region: Tensor, shape: torch.Size, total: int) -> Tensor:
    """Mean colour, centre and size of each region `[T, C + 3]`, summed in float32 at least."""
    _, height, width = shape
    half = colours.dtype in (torch.float16, torch.bfloat16)
    wide = colours.float() if half else colours
    rows = (torch.arange(height, device=colours.device, dtype=wide.dtype) + 0.5) / max(height, 1)
    columns = (torch.arange(width, device=colours.device, dtype=wide.dtype) + 0.5) / max(width, 1)
    centre = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)  # [H, W, 2]
    centre = centre.expand(*shape, 2).reshape(-1, 2)  # [P, 2]
    mean = segment_mean(torch.cat([wide, centre], 1), region, total)
    size = torch.bincount(region, minlength=total).to(wide.dtype) / max(height * width, 1)
    return torch.cat([mean, size[:, None]], 1).to(colours.dtype)


def _adjacency(region: Tensor, total: int, dtype: torch.dtype) -> Edges:
    """Both directions of each pair of regions with a common border; its length as the weight."""
    across = torch.stack([region[:, :, :-1].flatten(), region[:, :, 1:].flatten()])
    down = torch.stack([region[:, :-1].flatten(), region[:, 1:].flatten()])
    sides = torch.cat([across, down, across.flip(0), down.flip(0)], 1)
    source, target = sides[:, sides[0] != sides[1]]
    pairs, length = torch.unique(source * total + target, return_counts=True)
    ends = [pairs.div(max(total, 1), rounding_mode="floor"), pairs % max(total, 1)]
    return Edges(torch.stack(ends), length.to(dtype))
