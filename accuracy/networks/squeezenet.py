"""SqueezeNet 1.0.

Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", arXiv 1602.07360. Parameter names are
torchvision's; the pruned weights of Deep Compression have Caffe's names, which `from_caffe` turns into them.
"""

from __future__ import annotations

import torch
from torch import nn

# Place in `features`, input channels, squeeze channels, expand channels (for each of 1 x 1 and 3 x 3).
FIRES = (
    (3, 96, 16, 64), (4, 128, 16, 64), (5, 128, 32, 128), (7, 256, 32, 128),
    (8, 256, 48, 192), (9, 384, 48, 192), (10, 384, 64, 256), (12, 512, 64, 256),
)  # fmt: skip


class Fire(nn.Module):
    """Squeeze by 1 x 1, then expand by 1 x 1 and 3 x 3 side by side."""

    def __init__(self, in_planes: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_planes, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (batch, 2 expand, height, width)."""
        x = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.expand1x1(x)), torch.relu(self.expand3x3(x))], dim=1)


class SqueezeNet(nn.Module):
    """Input (batch, 3, 224 or 227, the same)."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        fires = {place: Fire(*sizes) for place, *sizes in FIRES}
        features: list[nn.Module] = [nn.Conv2d(3, 96, 7, stride=2), nn.ReLU()]
        for place in range(2, 13):
            features.append(fires.get(place) or nn.MaxPool2d(3, stride=2, ceil_mode=True))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(512, classes, 1), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (batch, classes)."""
        logits: torch.Tensor = self.classifier(self.features(x)).mean(dim=(2, 3))
        return logits


def from_caffe(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the state under torchvision's names; other names are left as they are.

    ``conv1`` is ``features.0``, ``fire2/squeeze1x1`` is ``features.3.squeeze``, ``conv10`` is ``classifier.1``.

    Args:
        state: tensors by name; shapes are the same in both.
    """
    prefixes = {"conv1.": "features.0.", "conv10.": "classifier.1."}
    for fire, (place, *_) in enumerate(FIRES, start=2):
        prefixes[f"fire{fire}/squeeze1x1."] = f"features.{place}.squeeze."
        prefixes[f"fire{fire}/expand"] = f"features.{place}.expand"
    renamed = {}
    for name, value in state.items():
        prefix = next((known for known in prefixes if name.startswith(known)), "")
        renamed[prefixes.get(prefix, "") + name.removeprefix(prefix)] = value
    return renamed
