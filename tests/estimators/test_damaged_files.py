"""Files that are damaged, or say that they are large: refused, and no memory is filled."""

import tracemalloc
import zipfile
from io import BytesIO

import numpy as np
import pytest
from hostile import FOREIGN, HUGE, archive_of, foreign, header, members_of, npy, rewritten
from persisted import assert_same, fitted, predictions, tables
from refused_files import FACTOR, is_refused, use

#: Bytes that may be allocated while a file of some 100 kB is read.
MOST = 16e6


@pytest.mark.parametrize("name", ["by group", "conditioned, two factors"])
def test_flipped_bytes_never_give_another_estimator(name, bytes_of, load):
    """A damaged file is refused, or the byte is in a place without meaning."""
    data, rng, refused = bytes_of(name), np.random.default_rng(0), 0
    expected = predictions(fitted(name), name)
    for at in [*rng.choice(len(data), 60, replace=False), *range(len(data) - 40, len(data))]:
        damaged = bytearray(data)
        damaged[at] ^= int(rng.integers(1, 256))
        if is_refused(load, damaged):
            refused += 1
        else:
            assert_same(predictions(load(damaged), name), expected)
    assert refused > 80


@pytest.mark.parametrize("name", ["group column", "conditioned, two factors"])
def test_files_cut_anywhere_are_refused(name, bytes_of, load):
    data = bytes_of(name)
    ends = [info.header_offset for info in zipfile.ZipFile(BytesIO(data)).infolist()]
    sizes = {end + shift for end in ends for shift in (-1, 0, 1, 30)}
    sizes |= {*range(0, len(data), len(data) // 40), len(data) - 1, len(data) - 22}
    assert all(is_refused(load, data[:size]) for size in sizes if 0 <= size < len(data))


@pytest.mark.parametrize("name", FOREIGN)
def test_foreign_files_are_refused_and_run_nothing(name, tmp_path, load):
    assert is_refused(load, foreign(name, tmp_path))
    assert not (tmp_path / "ran").exists()


def test_later_versions_are_named(bytes_of, load):
    message = r"in version 4 of its format, but this skhbm reads versions up to 3. Upgrade"
    with pytest.raises(ValueError, match=message):
        load(rewritten(bytes_of("by group"), about={"version": 4}))


def test_rewriting_a_file_does_not_make_it_wrong(bytes_of, load):
    loaded = load(rewritten(bytes_of("by group")))
    assert_same(tables(loaded), tables(fitted("by group")))


def others(name, array):
    """Yield arrays that cannot be this one."""
    yield None
    yield array[None]
    yield array.ravel() if array.ndim > 1 else array[:, None]
    yield array[:-1] if len(array) else np.ones(1)
    if array.ndim > 1:
        yield np.concatenate([array, np.zeros_like(array[..., :1])], axis=-1)
    yield array.astype("M8[s]")
    if "sample_stats" in name:
        return
    yield from (array.astype(kind) for kind in (np.float32, ">f8"))
    if array.dtype == np.float64 and array.size:
        for value in (np.nan, np.inf):
            yield np.where(np.arange(array.size).reshape(array.shape) == 0, value, array)


@pytest.mark.parametrize("name", ["by group", "two factors", "conditioned, two factors"])
def test_arrays_of_other_shapes_and_dtypes_are_refused(name, bytes_of, load):
    data = bytes_of(name)
    accepted = []
    for member, content in members_of(data).items():
        if member == "about.json":
            continue
        for other in others(member, np.load(BytesIO(content))):
            if other is None and member.endswith("posterior/points.npy"):
                continue  # There are none in files of version 2, whose draws have points each.
            changed = None if other is None else npy(other)
            if changed != content and not is_refused(
                load, rewritten(data, **{member.removesuffix(".npy"): changed})
            ):
                accepted.append((member, None if other is None else (other.shape, other.dtype)))
    assert accepted == []


@pytest.mark.parametrize("name", ["known errors", "two factors", "conditioned, by group"])
def test_swapped_arrays_never_crash(name, bytes_of, load):
    """Only arrays of one shape and meaning can be taken for each other."""
    data, rng = bytes_of(name), np.random.default_rng(1)
    members = members_of(data)
    arrays = [member for member in members if member != "about.json"]
    refused = 0
    for _ in range(30):
        first, other = rng.choice(arrays, 2, replace=False)
        swapped = {**members, first: members[other], other: members[first]}
        if is_refused(load, archive_of(swapped)):
            refused += 1
        else:
            use(load(archive_of(swapped)), name)
    assert refused > 10


def zip_bombs(data):
    """Yield small files that hold much, or say so."""
    members = members_of(data)
    many = b"\x00" * 10**8
    yield archive_of({**members, "posterior/coef.npy": many}, zipfile.ZIP_DEFLATED)
    whole = bytearray(archive_of(members))
    # The uncompressed size in the first entry of the central directory.
    at = whole.index(b"PK\x01\x02")
    whole[at + 20 : at + 28] = (10**9).to_bytes(4, "little") * 2
    yield bytes(whole)
    # Every entry of the directory points to the same member.
    twice = bytearray(archive_of(members))
    start = 0
    while (start := twice.find(b"PK\x01\x02", start)) >= 0:
        twice[start + 42 : start + 46] = (0).to_bytes(4, "little")
        start += 4
    yield bytes(twice)
    for text in (
        HUGE,
        "{'descr': '<U1000000000', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 1000000000000), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -100), }",
        f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**62}, 4), }}",
    ):
        yield archive_of({**members, "posterior/coef.npy": header(text)})


def test_bombs_are_refused_and_fill_no_memory(bytes_of, load):
    for data in zip_bombs(bytes_of("two factors")):
        tracemalloc.start()
        assert is_refused(load, data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MOST


def test_terms_for_which_far_more_is_computed_than_was_read_are_refused():
    """The products of the terms of all pairs of factors take far more memory than the file."""
    from skhbm import GroupedStatistics
    from skhbm._posterior.file import unpack_design

    p, n_factors = 200, 60
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((3, p)), rng.standard_normal(3)
    groups = np.array([["a"], ["b"], ["c"]]).repeat(n_factors, axis=1)
    statistics = GroupedStatistics.from_arrays(X, y, groups)
    factor = {**FACTOR, "slopes": list(range(p))}
    about = {
        "features": [f"x{k}" for k in range(p)],
        "intercept": True,
        "residual": "shared",
        "factors": [factor] * n_factors,
        "y_mean": 0.0,
        "y_scale": 1.0,
    }
    arrays = {"x_mean": np.zeros(p), "x_scale": np.ones(p)}
    with pytest.raises(ValueError, match="the number of terms"):
        unpack_design(about, arrays, statistics)
