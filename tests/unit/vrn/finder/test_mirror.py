import numpy as np

from vrn.avatar.model import load_model
from vrn.finder.dense import averaged
from vrn.finder.dense_points import INDICES
from vrn.finder.mirror import LANDMARKS, of_dense

MIRRORED = np.array([-1, 1, 1])
APART_CM = 0.5  # the model's own sides differ by so much


def test_mirrored_landmarks_lie_where_the_head_has_their_partners() -> None:
    model = load_model()
    landmarks = model.landmarks(model.neutral)
    np.testing.assert_allclose(landmarks[LANDMARKS] * MIRRORED, landmarks, atol=APART_CM)


def test_mirrored_points_lie_where_the_head_has_their_partners() -> None:
    model = load_model()
    points = model.dense(model.neutral)[list(INDICES)]
    at, partner = of_dense()
    assert len(at) == len(set(at.tolist())) == 142
    np.testing.assert_array_equal(np.sort(at), np.sort(partner))
    away = np.linalg.norm(points[at] - points[partner] * MIRRORED, axis=1)
    assert away.max() < APART_CM
    others = np.linalg.norm(points[None] - (points[at] * MIRRORED)[:, None], axis=2)
    assert (others.argmin(1) == partner).mean() > 0.95


def test_the_mean_of_both_looks_keeps_what_has_no_partner() -> None:
    points = np.random.default_rng(0).normal(size=(len(INDICES), 3))
    at, partner = of_dense()
    mirrored = np.full_like(points, np.nan)
    mirrored[partner] = (points[at] + [0.2, -0.4, 0.6]) * MIRRORED
    both = averaged(points, mirrored)
    np.testing.assert_allclose(both[at] - points[at], np.broadcast_to([0.1, -0.2, 0.3], (len(at), 3)))
    alone = np.setdiff1d(np.arange(len(points)), at)
    np.testing.assert_array_equal(both[alone], points[alone])
