"""The families by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skhbm._families.bernoulli import BERNOULLI
from skhbm._families.binomial import BINOMIAL
from skhbm._families.negative_binomial import NEGATIVE_BINOMIAL
from skhbm._families.poisson import POISSON
from skhbm._families.student_t import STUDENT_T

if TYPE_CHECKING:
    from skhbm._families.family import Family

__all__ = ["FAMILIES"]

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (BERNOULLI, BINOMIAL, POISSON, NEGATIVE_BINOMIAL, STUDENT_T)
}
