"""What /metrics says, as data."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
Samples = Mapping[tuple[str, Labels], float]


def parse(text: str) -> Samples:
    """Return the samples of an exposition by their names and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """Return the sum of the samples of this name that have these labels, others aside."""
    wanted = set(labels.items())
    return sum(n for (found, pairs), n in samples.items() if found == name and wanted <= pairs)


def label_names(samples: Samples) -> dict[str, set[str]]:
    """Return the names of the labels of each metric."""
    found: dict[str, set[str]] = {}
    for name, pairs in samples:
        found.setdefault(name, set()).update(label for label, _ in pairs)
    return found
