"""The methods of an estimator that write it to a file and read it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from sklearn.utils.validation import check_is_fitted

from skhbm._estimators.base import BaseHierarchicalEstimator
from skhbm._estimators.file import read_estimator_file, write_estimator_file

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Saving"]


class Saving(BaseHierarchicalEstimator):
    """A fitted estimator as one file."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted estimator to one file, of arrays and JSON only.

        An older file stays as it was until the new one is complete.

        Parameters
        ----------
        path : str or path-like
            Where to write, any suffix.

        Raises
        ------
        NotFittedError
            Before fit.
        TypeError
            If a parameter is of a type that the file does not hold, as a generator of random
            numbers other than RandomState, or labels are neither strings, numbers, bools,
            datetime64 nor timedelta64. An older file stays as it was.
        ValueError
            If draws or statistics are not as a fit leaves them.
        OSError
            If the file cannot be written.

        See Also
        --------
        HierarchicalNormalRegressor.load : Read the file.

        Notes
        -----
        The file holds the parameters, the statistics of the rows, the draws and diagnostics,
        and the metadata that methods request. It is a zip file of uncompressed ``.npy`` arrays,
        which ``numpy.load`` reads, and ``about.json``. What follows from these, as `coef_`, is
        computed again, the same to the last bit on the same machine. Callbacks and attributes
        that a subclass adds are not in it. Array-likes among the parameters come back as
        arrays.

        Labels and statistics tell of small groups what their rows were:
        :meth:`GroupedStatistics.save` says how much.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from skhbm import HierarchicalNormalRegressor
        >>> from skhbm.datasets import load_radon
        >>> radon = load_radon(as_frame=True)
        >>> model = HierarchicalNormalRegressor(random_state=0)
        >>> model = model.fit(radon.data[["floor"]], radon.target, groups=radon.groups)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "radon.skhbm"
        ...     model.save(path)
        ...     served = HierarchicalNormalRegressor.load(path)
        >>> bool(served.intercept_ == model.intercept_)
        True
        """
        check_is_fitted(self)
        write_estimator_file(path, self)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read the fitted estimator that :meth:`save` wrote.

        Nothing in the file is run, whoever has written it, and neither PyMC nor PyTensor is
        imported.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        HierarchicalNormalRegressor
            Equal to the one that was saved: it predicts, and can be conditioned and fitted
            further. It is of the class that the method is called on.

        Raises
        ------
        ValueError
            If the file is damaged, is not of an estimator, or is of another class with more
            parameters or of a later version.
        OSError
            If there is no such file, or it cannot be read.

        See Also
        --------
        HierarchicalNormalRegressor.save : Write the file.
        """
        estimator: Self = read_estimator_file(cls, path)
        return estimator
