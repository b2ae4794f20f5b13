"""What the program says of itself: the help's order, what near misses are told, and completion in a shell."""

import shutil
import subprocess

from needs import need_programs
from program import EXAMPLES, espalier, example, scratch

MODEL, DATA = example("digits-resnet")


def test_help_names_first_what_most_people_use_and_the_cluster_after():
    text = espalier("prune", "--help").succeeded().output
    order = ["--steps", "--until", "--strategy", "--output", "--data", "--units", "--recover", "--beam-width", "--bind", "--log-level"]
    places = [text.index(f"\n  {option} ") for option in order]
    assert places == sorted(places), dict(zip(order, places))
    assert "WORKERS ON OTHER MACHINES:" in text


def test_near_misses_are_told_what_may_have_been_meant():
    for arguments, code, meant in (
            (["prume"], 64, "'prune'"), (["prune", MODEL, "--strategy", "beem"], 64, "'beam'"),
            (["prune", MODEL, "--data", DATA, "--units", "chanels"], 64, "'channels'"),
            (["prune", MODEL, "--data", DATA, "--loss", "croos-entropy"], 64, "'cross-entropy'"),
            (["prune", MODEL, "--data", DATA, "--recover", "least-square"], 64, "'least-squares'"),
            (["prune", MODEL, "--data", DATA, "--stpes", "3"], 64, "'--steps'"),
            (["compare", MODEL, "--data", DATA, "--strategies", "gredy"], 64, "'greedy'"),
            (["inspect", "example:digits-resmet"], 65, "'digits-resnet'")):
        answer = espalier(*arguments)
        assert answer.code == code and "id you mean" in answer.errors and meant in answer.errors, (arguments, answer.errors)
    # What is near nothing gets no suggestion.
    assert "did you mean" not in espalier("zzzzzzzz").errors


def test_options_that_have_no_effect_together_are_refused():
    for options in (
            ["--beam-width", "3"], ["--strategy", "beam:4", "--beam-width", "4"], ["--seed", "1"], ["--best-effort"],
            ["--audit", "3"], ["--within", "wanda"], ["--round-to", "8"], ["--allow-other-version"],
            ["--strategy", "greedy:2"], ["--step-removals", "2", "--strategy", "random"]):
        answer = espalier("prune", MODEL, "--data", DATA, "--steps", "1", *options)
        assert answer.code == 64 and options[0] in answer.errors, (options, answer.errors)
    answer = espalier("compare", MODEL, "--data", DATA, "--strategies", "greedy", "--seeds", "4")
    assert answer.code == 64 and "--seeds" in answer.errors, answer.errors


def test_a_beams_width_stands_behind_its_name():
    with scratch() as folder:
        search = ("prune", MODEL, "--data", DATA, "--samples", 64, "--steps", 2, "--workers", 0)
        for run, options in (("a", ["--strategy", "beam:3"]), ("b", ["--strategy", "beam", "--beam-width", 3])):
            espalier(*search, *options, "--run", run, folder=folder).succeeded()
        assert (folder / "a/path.csv").read_bytes() == (folder / "b/path.csv").read_bytes()
        # One run goes on with the words of the other.
        espalier(*search, "--strategy", "beam", "--beam-width", 3, "--run", "a", "--resume", folder=folder).succeeded()


def test_completion_offers_commands_values_and_files():
    need_programs("bash")
    with scratch() as folder:
        script = espalier("--generate-completion-script", "bash").succeeded().output
        (folder / "complete.bash").write_text(script)
        (folder / "data.npz").touch()
        (folder / "notes.txt").touch()
        shutil.copy(EXAMPLES / "digits-resnet/model.onnx", folder / "model.onnx")

        def offered(*words):
            line = " ".join(f"'{word}'" for word in ("espalier", *words))
            answer = subprocess.run(
                ["bash", "-c", f'source complete.bash; COMP_WORDS=({line}); COMP_CWORD={len(words)}; COMP_LINE="{" ".join(("espalier", *words))}"; '
                 f'COMP_POINT=${{#COMP_LINE}}; _espalier espalier "{words[-1]}" "{(("espalier",) + words)[-2]}"; printf "%s\\n" "${{COMPREPLY[@]}}"'],
                cwd=folder, capture_output=True, text=True, check=True)
            return answer.stdout.split()

        assert offered("pr") == ["prune"]
        assert offered("prune", "m") == ["model.onnx"]
        assert offered("prune", "model.onnx", "--data", "") == ["data.npz"]
        assert "beam:4" in offered("prune", "model.onnx", "--strategy", "")
        assert "least-squares" in offered("prune", "model.onnx", "--recover", "")
        assert "--until" in offered("prune", "model.onnx", "--un")
