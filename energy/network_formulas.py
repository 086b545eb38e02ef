"""Counts, energies and times of a network's layers on cores, and their sums, as formulas.

A layer reads the core that it lies on; the network's totals read nothing but its layers, so that they are the same
whether all layers lie on one kind of core or each on another.

What a layer's MVM costs on the rows and columns it uses comes from the core's own formulas, as ``tile1`` to ``tile4``:
full tiles, tiles at the last rows, at the last columns, and at both; with groups packed block-diagonally, full cores
and the last core.
"""

from __future__ import annotations

from energy.formulas import Formula, Formulas

TILES = ("tile1", "tile2", "tile3", "tile4")

LAYER_FIELDS: dict[str, str] = {
    "rows": "inputs of one group's matrix",
    "columns": "outputs of one group's matrix",
    "groups": "independent matrices of that shape",
    "mvms": "matrix-vector products an inference makes with each",
    "replicas": "copies of the layer that share its products",
    "packed": "1 where groups that fit are packed block-diagonally into one core, 0 where each has its own",
}

LAYER_FORMULAS = (
    Formula("weights", "", "rows * columns * groups", "weights of the layer, biases not counted"),
    Formula("macs", "", "weights * mvms", "multiply-accumulates of one inference"),
    Formula("row_tiles", "", "ceil(rows / core.matrix_rows)", "cores that share the rows of one group"),
    Formula("column_tiles", "", "ceil(columns / core.matrix_columns)", "cores that share the columns of one group"),
    Formula(
        "groups_per_core",
        "",
        "where(packed * (row_tiles * column_tiles == 1) > 0, "
        "min(groups, min(floor(core.matrix_rows / rows), floor(core.matrix_columns / columns))), 1)",
        "groups that lie block-diagonally in one core",
    ),
    Formula("cores_of_groups", "", "ceil(groups / groups_per_core)", "sets of groups that cores hold"),
    Formula("cores_once", "", "cores_of_groups * row_tiles * column_tiles", "cores of one copy of the layer"),
    Formula("cores", "", "cores_once * replicas", "cores of the layer, copies included"),
    Formula("core_mvms", "", "cores_once * mvms", "products that all cores together make for one inference"),
    Formula(
        "places",
        "",
        "cores_once * core.matrix_rows * core.matrix_columns",
        "weights that the cores of one copy of the layer have room for",
    ),
    Formula(
        "possible_macs",
        "",
        "core_mvms * core.matrix_rows * core.matrix_columns",
        "multiply-accumulates that those products have room for",
    ),
    Formula("utilisation", "", "weights / places", "share of the cores' cells in use"),
    Formula("join_additions", "", "groups * columns * (row_tiles - 1) * mvms", "additions that join row tiles"),
    Formula("join_bits", "", "core.output_sum_bits + ceil(log2(row_tiles))", "bits of those additions"),
    Formula(
        "join_j", "J", "join_additions * join_bits * digital.bit_operation", "energy of those additions, an inference"
    ),
    Formula(
        "ungated_j",
        "J",
        "core_mvms * core.energy_j_per_mvm + join_j",
        "energy of an inference when every product costs a whole core's",
    ),
    Formula(
        "gated_j",
        "J",
        "mvms * (" + " + ".join(f"{tile}.count * {tile}.energy_j_per_mvm" for tile in TILES) + ") + join_j",
        "energy of an inference when unused rows and columns are switched off",
    ),
    Formula("energy_ungated_nj", "nJ", "ungated_j * 1e9", "energy of an inference, ungated"),
    Formula("energy_gated_nj", "nJ", "gated_j * 1e9", "energy of an inference, rows and columns gated"),
    Formula(
        "busy_s",
        "s",
        "ceil(mvms / replicas) * core.interval_s",
        "time in which an inference occupies the layer's cores",
    ),
    Formula("busy_us", "us", "busy_s * 1e6", "time in which an inference occupies the layer's cores"),
    Formula(
        "latency_s",
        "s",
        "core.latency_s + (ceil(mvms / replicas) - 1) * core.interval_s + ceil(log2(row_tiles)) * timing.digital_cycle",
        "first input of the layer to its last output",
    ),
    Formula("latency_us", "us", "latency_s * 1e6", "first input of the layer to its last output"),
    Formula("area_mm2", "mm2", "cores * core.area_m2 * 1e6", "area of the layer's cores"),
    Formula(
        "peak_tops",
        "TOPS",
        "cores * core.operations / core.interval_s * 1e-12",
        "operations a second of the layer's cores, always busy",
    ),
    Formula(
        "peak_w",
        "W",
        "cores * core.energy_j_per_mvm / core.interval_s",
        "power of the layer's cores, always busy and full",
    ),
)

LAYER_COLUMNS = (
    "rows",
    "columns",
    "groups",
    "mvms",
    "weights",
    "macs",
    "groups_per_core",
    "cores",
    "utilisation",
    "energy_ungated_nj",
    "energy_gated_nj",
    "latency_us",
    "busy_us",
    "area_mm2",
)
"""Numbers of the per-layer table."""

_SUMMED = (
    "weights", "macs", "cores", "places", "possible_macs", "ungated_j", "gated_j", "latency_s", "busy_s", "area_mm2",
    "peak_tops", "peak_w",
)  # fmt: skip
NETWORK_FIELDS: dict[str, str] = {f"layers.{name}": f"{name} of each layer" for name in _SUMMED}

NETWORK_FORMULAS = (
    Formula("weights", "", "total(layers.weights)", "weights of all layers, biases not counted"),
    Formula("macs", "", "total(layers.macs)", "multiply-accumulates of one inference"),
    Formula("cores", "", "total(layers.cores)", "cores, copies included"),
    Formula("energy_ungated_uj", "uJ", "total(layers.ungated_j) * 1e6", "energy of an inference, ungated"),
    Formula("energy_gated_uj", "uJ", "total(layers.gated_j) * 1e6", "energy of an inference, rows and columns gated"),
    Formula("area_mm2", "mm2", "total(layers.area_mm2)", "area of all cores"),
    Formula(
        "spatial_utilisation",
        "",
        "weights / total(layers.places)",
        "share of the cells in use, copies not counted",
    ),
    Formula(
        "operation_utilisation",
        "",
        "macs / total(layers.possible_macs)",
        "share of the cells in use, weighted by how often each core works",
    ),
    Formula("latency_us", "us", "total(layers.latency_s) * 1e6", "latency of an inference, layer by layer"),
    Formula(
        "interval_us", "us", "largest(layers.busy_s) * 1e6", "time between inferences when layers work at the same time"
    ),
    Formula("inferences_per_s", "1/s", "1e6 / interval_us", "inferences a second when layers work at the same time"),
    Formula(
        "peak_tops",
        "TOPS",
        "total(layers.peak_tops)",
        "operations a second of all cores, always busy",
    ),
    Formula(
        "utilised_tops",
        "TOPS",
        "2 * macs * inferences_per_s * 1e-12",
        "operations a second of this network, pipelined",
    ),
    Formula(
        "peak_tops_per_w",
        "TOPS/W",
        "peak_tops / total(layers.peak_w)",
        "operations a joule of all cores, always busy and full",
    ),
    Formula(
        "utilised_tops_per_w_ungated",
        "TOPS/W",
        "2 * macs / energy_ungated_uj * 1e-6",
        "operations a joule of this network, ungated",
    ),
    Formula(
        "utilised_tops_per_w",
        "TOPS/W",
        "2 * macs / energy_gated_uj * 1e-6",
        "operations a joule of this network, gated",
    ),
    Formula(
        "peak_tops_per_mm2",
        "TOPS/mm2",
        "peak_tops / area_mm2",
        "operations a second and mm2 of all cores, always busy",
    ),
    Formula(
        "utilised_tops_per_mm2",
        "TOPS/mm2",
        "utilised_tops / area_mm2",
        "operations a second and mm2 of this network, pipelined",
    ),
    Formula(
        "power_w",
        "W",
        "energy_gated_uj * 1e-6 * inferences_per_s",
        "power of all cores, pipelined at full rate, gated",
    ),
)

CORE_VALUES = (
    "energy_j_per_mvm",
    "operations",
    "area_m2",
    "latency_s",
    "interval_s",
    "output_sum_bits",
    "matrix_rows",
    "matrix_columns",
)
"""What a network reads of its core, as ``core.NAME``."""
CORE_CONSTANTS = ("digital.bit_operation", "timing.digital_cycle")
"""Constants that a network reads itself."""

_TILE_FIELDS = [f"{tile}.{name}" for tile in TILES for name in ("count", "energy_j_per_mvm")]
_CORE_FIELDS = [f"core.{name}" for name in CORE_VALUES]
LAYER_SET = Formulas(LAYER_FORMULAS, (*LAYER_FIELDS, *_TILE_FIELDS, *_CORE_FIELDS, *CORE_CONSTANTS))
"""The formulas of one layer."""
TOTAL_SET = Formulas(NETWORK_FORMULAS, NETWORK_FIELDS)
"""The formulas of a network's totals: all that differs between kinds of cores stands in the layers."""
