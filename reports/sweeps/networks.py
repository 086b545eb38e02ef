"""Networks of a study's points, each loaded once a run."""

from __future__ import annotations

import json

from reports.network_step import LoadedNetwork, load_network, require_overridden
from reports.study import Study

_FIELDS = {"network", "data_set", "weights", "data", "exclude"}
_loaded: dict[str, LoadedNetwork] = {}


def network_name(study: Study) -> str:
    """Return what tells the network and images of a study from others, as text.

    Args:
        study: of a point.
    """
    return json.dumps(study.model_dump(mode="json", include=_FIELDS), sort_keys=True)


def network_of(study: Study) -> LoadedNetwork:
    """Return the network of a point with its images, kept for the next point with the same.

    Args:
        study: of a point.

    Raises:
        DevicekitError: as for `load_network`.
    """
    name = network_name(study)
    if name not in _loaded:
        _loaded[name] = load_network(study)
    require_overridden(study, _loaded[name].layers)
    return _loaded[name]


def forget_networks() -> None:
    """Load every network anew when it is asked for next: files, weights and registered kinds may have changed since."""
    _loaded.clear()
