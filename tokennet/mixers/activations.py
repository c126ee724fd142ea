"""Activations that published models use and torch does not have."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class QuickGELU(nn.Module):
    """x sigmoid(1.702 x): Hendrycks and Gimpel 2016, "Gaussian error linear units"; CLIP."""

    def forward(self, x: Float[Tensor, "*any"]) -> Float[Tensor, "*any"]:
        return x * torch.sigmoid(1.702 * x)
