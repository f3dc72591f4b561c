# Copyright 2026 The RDFER package authors. Licensed under the Apache License, Version 2.0.
from types import SimpleNamespace

import pytest

from tests.helpers.dataset_replicas import DFEW_TEST, DFEW_TRAIN, dfew, write_list
from training.datasets import load
from training.datasets.person_folds import split_by_listed_person
from training.reports.card_facts import facts_of_run
from training.running.arguments import DataArguments, ModelArguments

# Ann is in training and in test of the dataset's own fold.
PEOPLE = {
    1: "Ann",
    22: "Ann",
    8: "Ann",
    333: "Bea",
    90: "Bea",
    4444: "Cem",
    15555: "Dan",
    6: "Eve",
    7: "Eve",
    16000: "Eve",
}


def people_list(folder, people=PEOPLE):
    return write_list(folder / "persons.csv", ["sample_id", "person"], people.items())


def test_nobody_is_in_training_and_in_test(tmp_path):
    root, persons = dfew(tmp_path / "DFEW"), people_list(tmp_path)
    own = load("dfew", root, fold=2)
    splits = load("dfew", root, fold=2, persons=str(persons))
    train, test = (set(splits[name]["person"]) for name in ("train", "test"))
    assert test and not train & test
    every = {f"{number:05d}" for number in (*DFEW_TRAIN, *DFEW_TEST)}
    assert set(splits["train"]["sample_id"]) | set(splits["test"]["sample_id"]) == every
    assert splits["train"].features["label"] == own["train"].features["label"] and set(splits["test"]["fold"]) == {2}


def test_every_clip_is_tested_once_and_folds_are_of_like_size(tmp_path):
    people = {number: f"p{number % 17}" for number in range(100)}
    rows = [{"sample_id": f"{number:05d}", "label": "sad"} for number in people]
    persons = people_list(tmp_path, people)
    folds = [split_by_listed_person({"train": rows[30:], "test": rows[:30]}, persons, n, 5) for n in range(1, 6)]
    tested = [row["sample_id"] for fold in folds for row in fold["test"]]
    assert sorted(tested) == [row["sample_id"] for row in rows]
    assert all(15 <= len(fold["test"]) <= 24 and len(fold["train"]) + len(fold["test"]) == 100 for fold in folds)
    # The dataset's own folds list the clips in other orders, which must not matter.
    again = split_by_listed_person({"train": rows[::-1]}, persons, 3, 5)
    assert {row["sample_id"] for row in again["test"]} == {row["sample_id"] for row in folds[2]["test"]}


@pytest.mark.parametrize(
    "people, message",
    [
        ({1: "Ann"}, "persons.csv: 9 of the 10 clips have no person: 00006"),
        ({**PEOPLE, "00001": "Bea"}, "persons.csv: 00001 has the persons Ann and Bea"),
        (dict.fromkeys(PEOPLE, "Ann"), "1 persons are too few for 5 folds"),
        ({**PEOPLE, 5: ""}, "row 11 has no sample_id or no person"),
    ],
)
def test_a_list_that_does_not_fit_is_refused(tmp_path, people, message):
    with pytest.raises(ValueError, match=message):
        load("dfew", dfew(tmp_path / "DFEW"), fold=2, persons=str(people_list(tmp_path, people)))


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="persons: there is no file .*nobody.csv"):
        load("dfew", dfew(tmp_path / "DFEW"), fold=2, persons=str(tmp_path / "nobody.csv"))


def test_cards_do_not_call_them_the_folds_of_the_dataset(tmp_path):
    data = DataArguments(dataset="dfew", root=str(tmp_path), fold=2, dataset_options="persons=persons.csv")
    facts = facts_of_run(ModelArguments(), data, SimpleNamespace(columns={"split": ["train"]}))
    assert facts.dataset_config == "folds by person" and "persons.csv" not in str(facts)
