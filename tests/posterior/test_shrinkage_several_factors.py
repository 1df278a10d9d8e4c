"""Shrinkage by each of several factors: counts, formulas and least squares."""

import numpy as np
from marks import FEW_DRAWS
from posteriors import dataset
from reference import mcse
from schools_and_years import fit, table_of

pytestmark = FEW_DRAWS


def test_shrinkage_has_a_row_per_factor_group_and_term(schools, school_model, school_terms):
    table = school_model.shrinkage_
    expected = [
        (f, group, term)
        for f in school_terms
        for group in school_model.groups_[f].tolist()
        for term in school_terms[f]
    ]
    assert [
        *zip(table["factor"], table["group"], table["coefficient"], strict=True)
    ] == expected
    counts = {"school": np.bincount(schools.school), "year": np.bincount(schools.year)}
    for f, names in school_terms.items():
        n = table_of(school_model, f)["n"].to_numpy().reshape(5, len(names))
        assert np.all(n == counts[f][:, None])


def test_pooling_is_that_of_the_formula(schools, school_model, school_structure, school_terms):
    """diag((A / sigma^2 + Sigma^-1)^-1 Sigma^-1), averaged over draws.

    Sigma and A belong to terms about the means of the features, where the default priors hold.
    """
    precisions = schools.errors**-2.0 if school_structure.startswith("known") else None
    origin = np.average(schools.X, axis=0, weights=precisions)
    posterior = dataset(school_model)
    codes = {"school": schools.school, "year": schools.year}
    sigma = posterior["sigma"].to_numpy() if "sigma" in posterior else np.ones((4, 1000))
    for f, names in school_terms.items():
        slopes = [int(t[1]) for t in names if t != "intercept"]
        Z, at_mean = schools.X[:, slopes], np.eye(len(names))
        if "intercept" in names:
            Z = np.column_stack([np.ones(len(schools.y)), Z - origin[slopes]])
            at_mean[0, 1:] = origin[slopes]
        tau = posterior[f"tau_{f}"].to_numpy()
        corr = posterior.get(f"corr_{f}", np.eye(len(names)))
        cov = np.asarray(corr) * tau[..., :, None] * tau[..., None, :]
        inverse = np.linalg.inv(at_mean @ cov @ at_mean.T)
        table = table_of(school_model, f)["pooling"].to_numpy().reshape(5, len(names))
        for j in range(5):
            inside = codes[f] == j
            weight = np.ones(inside.sum())
            if school_structure.startswith("known"):
                weight = schools.errors[inside] ** -2.0
            A = (Z[inside].T * weight) @ Z[inside]
            total = np.linalg.inv(A / sigma[..., None, None] ** 2 + inverse) @ inverse
            # Beside correlated terms the diagonal may leave [0, 1] in a draw: it is cut off.
            shares = np.clip(np.einsum("cdaa->cda", total), 0.0, 1.0)
            expected = shares.mean(axis=(0, 1))
            np.testing.assert_allclose(table[j], expected, rtol=1e-7)


def test_estimates_sds_and_intervals_are_those_of_the_draws(school_model, school_terms):
    posterior = dataset(school_model)
    for f, names in school_terms.items():
        table = table_of(school_model, f)
        for term in names:
            population = (
                posterior["intercept"]
                if term == "intercept"
                else posterior["coef"].sel(feature=term)
            )
            draws = posterior[f"effect_{f}"].sel({f"{f}_term": term}).to_numpy()
            draws = draws + population.to_numpy()[..., None]
            of_term = table.xs(term, level="coefficient")
            error = np.abs(of_term["partial_pooling"] - draws.mean(axis=(0, 1)))
            assert np.all(error <= 5 * mcse(draws) + 1e-12)
            error = np.abs(of_term["sd"] - draws.std(axis=(0, 1)))
            assert np.all(error <= 5 * mcse(draws, "sd") + 1e-12)
            for bound, probability in (("lower", 0.05), ("upper", 0.95)):
                below = (draws <= of_term[bound].to_numpy()).astype(float)
                error = np.abs(below.mean(axis=(0, 1)) - probability)
                assert np.all(error <= 5 * mcse(below))


def test_no_pooling_is_least_squares_of_what_the_rest_leaves(
    schools, school_model, school_structure, school_terms
):
    """What does not vary by the factor is held at its posterior mean."""
    weight = (
        schools.errors**-1.0
        if school_structure.startswith("known")
        else np.ones(len(schools.y))
    )
    fitted = {}
    for f, codes in (("school", schools.school), ("year", schools.year)):
        effect = np.column_stack(
            [school_model.group_intercept_[f], school_model.group_coef_[f]]
        )
        effect -= np.append(school_model.intercept_, school_model.coef_)
        fitted[f] = effect[codes, 0] + np.sum(effect[codes, 1:] * schools.X, axis=1)
    for f, other, codes in (
        ("school", "year", schools.school),
        ("year", "school", schools.year),
    ):
        positions = [["intercept", "x0", "x1"].index(t) for t in school_terms[f]]
        H = np.column_stack([np.ones(len(schools.y)), schools.X])
        population = np.append(school_model.intercept_, school_model.coef_)
        table = table_of(school_model, f)["no_pooling"].to_numpy().reshape(5, -1)
        fixed = [k for k in range(3) if k not in positions]
        rest = schools.y - fitted[other] - H[:, fixed] @ population[fixed]
        for j in range(5):
            inside = codes == j
            A = H[inside][:, positions] * weight[inside, None]
            expected = np.linalg.lstsq(A, rest[inside] * weight[inside], rcond=None)[0]
            np.testing.assert_allclose(table[j], expected, rtol=1e-6, atol=1e-8)


def test_a_factor_without_variance_between_groups_is_shrunk_away(schools):
    rng = np.random.default_rng(3)
    model = fit(schools, {**schools.groups, "dice": rng.integers(0, 6, len(schools.y))})
    dice = table_of(model, "dice")["pooling"]
    assert np.all(dice > table_of(model, "school")["pooling"].max())
