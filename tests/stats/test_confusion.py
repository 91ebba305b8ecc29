import numpy as np
import pandas as pd
import pytest

from fernet_neuro.stats.confusion import count_confusions, list_confusions


@pytest.mark.parametrize("classes", [("fear", "joy", "rage"), ("rage", "fear", "joy", "calm")])
def test_counts_are_those_of_a_cross_table_in_the_order_of_the_classes(rng, classes):
    true, predicted = rng.choice(["fear", "joy", "rage"], size=(2, 60))
    table = pd.crosstab(pd.Categorical(true, classes), pd.Categorical(predicted, classes), dropna=False)
    counts = count_confusions(true, predicted, classes)
    np.testing.assert_array_equal(counts, table.to_numpy())
    listed = list_confusions(counts, classes).set_index(["true", "predicted"])["count"]
    assert listed[classes[0], classes[1]] == ((true == classes[0]) & (predicted == classes[1])).sum()


def test_what_is_none_of_the_classes_does_not_count():
    assert count_confusions(["a", "c", "b"], ["a", "a", ""], ("a", "b")).tolist() == [[1, 0], [0, 0]]
    assert count_confusions([], [], ("a", "b")).tolist() == [[0, 0], [0, 0]]
