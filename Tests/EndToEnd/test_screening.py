"""`prune --screen`: what is left out is said, the audit's regret is the true one, and nothing depends on workers or a stop."""

from program import espalier, espalier_json, example, scratch


def screened(folder, *options, model="digits-resnet"):
    path, data = example(model)
    return espalier_json(
        "prune", path, "--data", data, "--samples", 128, "--block-size", 32, "--run", folder, *options)


def same(one, other):
    for key in ("base", "path", "screening", "exact"):
        assert one.get(key) == other.get(key), f"{key}: {one.get(key)} and {other.get(key)}"


def test_screening_is_the_same_for_any_number_of_workers_and_after_a_resume():
    options = ("--steps", 3, "--screen", 4, "--audit", 3, "--strategy", "beam", "--beam-width", 2)
    with scratch() as folder:
        alone = screened(folder / "alone", *options, "--workers", 0)
        same(alone, screened(folder / "many", *options, "--workers", 3))
        same(alone, screened(folder / "alone", *options, "--workers", 2, "--resume"))
        assert alone["exact"] is False
        assert "not exact" in (folder / "alone/summary.txt").read_text()


def test_an_audit_of_everything_measures_the_true_regret():
    with scratch() as folder:
        exact = screened(folder / "exact", "--steps", 1, "--workers", 0)
        assert exact["exact"] is True and "screening" not in exact
        assert "is exact" in (folder / "exact/summary.txt").read_text()
        found = screened(folder / "screened", "--steps", 1, "--screen", 2, "--audit", 1000, "--workers", 0)
        level = found["screening"]["levels"][0]
        assert level["measured"] == 2 and level["audited"] == level["skipped"]
        difference = abs(found["path"][0]["lossChange"]) - abs(exact["path"][0]["lossChange"])
        assert abs(level["regret"] - difference) <= 1e-12, f"{level['regret']} is not {difference}"


def test_screening_refuses_what_it_cannot_do():
    path, data = example("digits-resnet")
    for options in (("--screen", 0), ("--screen", 2, "--strategy", "random"), ("--screen", 2, "--audit", -1)):
        answer = espalier("prune", path, "--data", data, *options)
        assert answer.code == 64, f"{options}: {answer.code}"
