"""Matrices that a network multiplies by in its own code rather than in layers: found, and turned into layers.

``F.linear``, ``F.conv2d``, ``x @ w``, ``einsum`` and whatever else ends in one of torch's matrix products is seen where
the product happens, below all of torch's spellings: `look_at` runs a network once and lists each stored matrix that
its code multiplies activations by, `lift` makes linear or convolutional layers of them and sends the products there.
"""

from accuracy.lifting.find import Look, Use, look_at
from accuracy.lifting.lift import hold, is_lifted_owner, lift
from accuracy.lifting.origins import storage_key, stored_tensors

__all__ = ["Look", "Use", "hold", "is_lifted_owner", "lift", "look_at", "storage_key", "stored_tensors"]
