"""Principal component analysis of images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from runner.errors import DataError

__all__ = ["PrincipalComponents"]

IMAGES_A_PIECE = 4096


class PrincipalComponents(nn.Module):
    """Projects images onto the principal components of the training images, each scaled to unit variance.

    Pearson: On lines and planes of closest fit to systems of points in space, 1901. An exported model
    includes the projection, which moves to the inputs' device automatically.

    Args:
        center: mean training image, flat ``(D,)``, in fractions of 255.
        components: ``(D, k)``.
    """

    center: Tensor
    components: Tensor

    def __init__(self, center: Tensor, components: Tensor) -> None:
        super().__init__()
        self.register_buffer("center", center)
        self.register_buffer("components", components)

    @classmethod
    def fitted(cls, images: Tensor, num_components: int) -> PrincipalComponents:
        """Compute the components of training images.

        Args:
            images: uint8 ``(N, C, H, W)``.
            num_components: k, the number of components.

        Raises:
            DataError: the training images have fewer components.
        """
        num_images, size = len(images), images[0].numel()
        if num_components > min(num_images - 1, size):
            raise DataError(
                f"data.num_components={num_components}: {num_images} training images of {size} numbers have "
                f"at most {min(num_images - 1, size)}."
            )
        flat = images.flatten(1)
        center = flat.double().mean(0) / 255
        covariance = torch.zeros(size, size, dtype=torch.float64)
        for piece in flat.split(IMAGES_A_PIECE):
            centered = piece.double() / 255 - center
            covariance += centered.T @ centered
        variances, vectors = torch.linalg.eigh(covariance / num_images)
        variances, vectors = variances.flip(0)[:num_components], vectors.flip(1)[:, :num_components]
        if variances[-1] <= 1e-10:
            raise DataError(
                f"data.num_components={num_components}: the training images vary in "
                f"{int((variances > 1e-10).sum())} directions only; choose at most this number."
            )
        # eigenvectors have an arbitrary sign; here their largest element is positive
        largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
        return cls(center.float(), (vectors * largest.sign() / variances.sqrt()).float())

    def forward(self, inputs: Tensor) -> Tensor:
        """Projects images with values from 0 to 255, ``(N, C, H, W)`` → ``(N, k)``."""
        if self.center.device != inputs.device:
            self.to(inputs.device)
        return (inputs.flatten(1).float() / 255 - self.center) @ self.components
