"""The log density of a PyMC model as a function of one flat vector."""

import numpy as np
from pytensor.compile.mode import Mode

#: Graphs are evaluated as written, by Python: compiling each would take seconds.
PYTHON = Mode(linker="py", optimizer=None)


class FlatModel:
    """Density and natural values of a PyMC model at an unconstrained vector.

    Parameters
    ----------
    model : pm.Model
    names : list of str
        Variables that are its natural values, in this order; of matrices of correlations the
        entries below the diagonal, row by row.
    """

    def __init__(self, model, names):
        self.names, self.shapes = names, {}
        for rv, value in model.rvs_to_values.items():
            if rv in model.free_RVs:
                self.shapes[value.name] = value_shape(model, rv, value)
        outputs = model.replace_rvs_by_values([model[name] for name in names])
        self._values = model.compile_fn(
            outputs, inputs=model.value_vars, on_unused_input="ignore", mode=PYTHON
        )
        self._logp = model.compile_logp(mode=PYTHON)
        self._model, self._dlogp = model, None

    @property
    def n_dim(self):
        return sum(int(np.prod(shape)) for shape in self.shapes.values())

    def point(self, x):
        point, at = {}, 0
        for name, shape in self.shapes.items():
            size = int(np.prod(shape))
            point[name] = x[at : at + size].reshape(shape)
            at += size
        return point

    def logp(self, x):
        return float(self._logp(self.point(x)))

    def natural(self, x):
        parts = []
        for name, value in zip(self.names, self._values(self.point(x)), strict=True):
            if name.startswith("corr"):
                value = value[np.tril_indices(len(value), -1)]
            parts.append(np.ravel(value))
        return np.concatenate(parts)

    def gradient(self, x):
        if self._dlogp is None:
            self._dlogp = self._model.compile_dlogp(mode=PYTHON)
        return self._dlogp(self.point(x))


def value_shape(model, rv, value):
    """Shape of a value variable; `model.initial_point` compiles C code to say the same."""
    if rv.name.startswith("corr"):
        q = len(model.coords[rv.name.removesuffix("_cholesky").replace("corr_", "") + "_term"])
        return (q * (q - 1) // 2,)
    if not value.ndim:
        return ()
    dims = model.named_vars_to_dims.get(rv.name, ())
    return tuple(len(model.coords[dim]) for dim in dims)


def as_sampled(model, name):
    """Name of the variable at the means of X, if it is sampled there, or at x = 0."""
    at_mean = f"{name}_at_mean"
    return at_mean if at_mean in model.named_vars else name


def hyperparameters(model, structure, f):
    """Names of the natural values of the integrated factor f, the coefficients last."""
    names = [as_sampled(model, f"tau_{f}")]
    if structure.n_correlations:
        names.append(as_sampled(model, f"corr_{f}"))
    if structure.hierarchical:
        names += ["log_sigma_mean", "log_sigma_sd"]
    if not structure.known:
        names.append("sigma")
    if structure.intercept:
        names.append(as_sampled(model, "intercept"))
    return [*names, "coef"] if "coef" in model.named_vars else names
