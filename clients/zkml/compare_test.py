"""Tests of compare.py's and growth.py's arithmetic, and that they never fill a gap with a number; needs nothing but Python.

    python3 clients/zkml/compare_test.py

Ends with "N passed, N failed", as scripts/suites.sh reads it.
"""

import sys
import unittest

import compare
import growth


def ours(**changed):
    """A measurement in which every goal is met."""
    row = {
        "model": "risk-logreg", "mode": "succinct", "simd": "avx512", "batch": 1, "prove_cpu_s": 0.01, "verify_ms": 2.0,
        "proof_bytes": 50_000, "peak_mb": 100.0, "quantised_accuracy": 0.84, "float_accuracy": 0.845,
    }
    return {**row, **changed}


def theirs(**changed):
    """A model that EZKL proved."""
    entry = {
        "model": "risk-logreg", "failed": None, "prove_cpu_s": 16.0, "verify_cpu_ms": 80.0, "peak_mb": 800.0,
        "proof_bytes": 3648, "proving_key_bytes": 327_000_000,
        "accuracy": {"rows": 100, "quantised": 0.85, "float": 0.84, "agreement": 1.0, "max_error": 0.01},
    }
    return {**entry, **changed}


def report(*results):
    machine = {"cpu": "a processor", "cores": 2, "memory_mb": 24000}
    return {"versions": {"ezkl": "23.0.5"}, "machine": machine, "results": list(results)}


def line(text, model, nth=0):
    """The cells of the nth table line of a model."""
    return [c.strip() for c in [l for l in text.splitlines() if l.startswith(f"| {model} ")][nth].strip("|").split("|")]


class Arithmetic(unittest.TestCase):
    def test_a_ratio_is_theirs_over_ours(self):
        self.assertEqual(compare.ratio(16.0, 0.01), 1600.0)
        self.assertEqual(compare.ratio(0.0, 0.01), 0.0)

    def test_a_ratio_needs_both_numbers_and_a_divisor(self):
        for pair in [(None, 1.0), (1.0, None), (1.0, 0), (None, None)]:
            self.assertIsNone(compare.ratio(*pair), pair)

    def test_a_batch_is_divided_by_its_size(self):
        self.assertAlmostEqual(compare.each_s(ours(prove_cpu_s=0.128, batch=32)), 0.004)
        for row in [ours(prove_cpu_s=None), ours(batch=None), ours(batch=0), {}]:
            self.assertIsNone(compare.each_s(row), row)

    def test_accuracy_is_lost_in_percentage_points(self):
        self.assertAlmostEqual(compare.points_lost(ours()), 0.5)
        self.assertAlmostEqual(compare.points_lost(ours(quantised_accuracy=0.855)), -1.0)
        self.assertIsNone(compare.points_lost(ours(float_accuracy=None)))

    def test_numbers_keep_their_figures(self):
        for value, text in [(1178.4, "1,178"), (15.94, "15.9"), (3.648, "3.65"), (0.0123, "0.0123"), (0, "0.0000"), (None, "not run")]:
            self.assertEqual(compare.number(value), text)
        for value, text in [(1600.4, "1,600x"), (2.5, "2.5x"), (0.0729, "0.073x"), (None, "-")]:
            self.assertEqual(compare.times(value), text)


class Choice(unittest.TestCase):
    def test_the_build_that_assay_has_is_shown_whatever_the_order(self):
        rows = [ours(simd="avx2", prove_cpu_s=0.005), ours(), ours(simd="portable")]
        for order in [rows, rows[::-1]]:
            self.assertEqual(compare.chosen(order, "risk-logreg", "succinct")["simd"], "avx2")

    def test_modes_and_batches_do_not_mix(self):
        rows = [ours(mode="zero-knowledge"), ours(batch=32)]
        self.assertEqual(compare.chosen(rows, "risk-logreg", "succinct"), {})
        self.assertEqual(compare.chosen(rows, "risk-logreg", "succinct", 32)["batch"], 32)

    def test_an_unknown_instruction_set_is_an_error(self):
        with self.assertRaises(ValueError):
            compare.chosen([ours(simd="fast")], "risk-logreg", "succinct")


class Text(unittest.TestCase):
    def test_both_measured(self):
        text = compare.render(report(theirs()), [ours(), ours(mode="zero-knowledge", prove_cpu_s=0.05)])
        cells = ["risk-logreg", "16.0", "0.0100", "1,600x", "<= 0.02", "0.0500", "320x", "<= 0.08"]
        self.assertEqual(line(text, "risk-logreg"), cells)
        self.assertEqual(line(text, "risk-logreg", 1), ["risk-logreg", "800", "327", "100", "8x", "100", "8x"])
        self.assertEqual(line(text, "risk-logreg", 2), ["risk-logreg", "80.0", "3.65", "2.00", "40x", "50.0", "2.00", "40x", "50.0"])
        self.assertEqual(line(text, "risk-logreg", 4), ["risk-logreg", "84.5 %", "84.0 %", "84.0 %", "85.0 %", "100"])

    def test_nothing_measured_says_so_everywhere(self):
        text = compare.render(None, [])
        self.assertIn("EZKL: not run.", text)
        for model in compare.PROVE_S:
            self.assertEqual(line(text, model)[1:4], ["not run", "not run", "-"])
            for nth in range(5 if model in compare.GAS_MODELS else 4):
                self.assertFalse(any(c[0].isdigit() for c in line(text, model, nth)[1:] if c), (model, nth))
        self.assertIn("Goals missed: none. Not measured: ", text)

    def test_a_failure_is_named_and_has_no_ratio(self):
        failed = {"model": "risk-logreg", "failed": {"stage": "setup", "reason": "out of memory"}}
        cells = line(compare.render(report(failed), [ours()]), "risk-logreg")
        self.assertEqual(cells[1:4], ["setup: out of memory", "0.0100", "-"])

    def test_what_was_measured_before_a_failure_stays(self):
        failed = theirs(failed={"stage": "verify", "reason": "took longer"}, verify_cpu_ms=None)
        text = compare.render(report(failed), [ours()])
        self.assertEqual(line(text, "risk-logreg")[1], "16.0")
        self.assertEqual(line(text, "risk-logreg", 2)[1:5], ["verify: took longer", "3.65", "2.00", "-"])


class Gas(unittest.TestCase):
    def evm(self, ours=235_000, **theirs):
        return [{"model": "risk-logreg", "ezkl": theirs or {"gas": 610_000}, "ours": {"gas": ours}}]

    def test_both_measured(self):
        text = compare.render(report(theirs()), [ours()], self.evm())
        self.assertEqual(line(text, "risk-logreg", 3), ["risk-logreg", "610,000", "235,000", "2.6x", "<= 260,000"])
        self.assertEqual(line(text, "digits-mlp-64-32-10", 3), ["digits-mlp-64-32-10", "not run", "not run", "-", "<= 260,000"])

    def test_a_failure_is_named_and_has_no_ratio(self):
        text = compare.render(report(theirs()), [ours()], self.evm(failed="stack too deep"))
        self.assertEqual(line(text, "risk-logreg", 3)[1:4], ["stack too deep", "235,000", "-"])

    def test_the_goal_is_judged(self):
        self.assertEqual(compare.gas_goals({}), ([], [f"{model} gas" for model in compare.GAS_MODELS]))
        for most, count in [(260_000, 0), (260_001, 1)]:
            evm = {entry["model"]: entry for entry in self.evm(most)}
            missed, unknown = compare.gas_goals(evm)
            self.assertEqual((len(missed), unknown), (count, ["digits-mlp-64-32-10 gas"]))
        self.assertIn("Goals missed: risk-logreg gas: 300,000 for 260,000", compare.render(None, [], self.evm(300_000)))

    def test_a_given_scale_is_said(self):
        self.assertIn("for digits-block its scale is given (2^10)", compare.render(report(theirs()), []))


class Goals(unittest.TestCase):
    def test_a_goal_met_exactly_is_met(self):
        row = ours(prove_cpu_s=0.02, verify_ms=10, proof_bytes=200_000, peak_mb=500)
        self.assertEqual(compare.goals(["risk-logreg"], [row])[0], [])

    def test_each_miss_is_named(self):
        for changed in [
            {"prove_cpu_s": 0.021}, {"verify_ms": 10.1}, {"proof_bytes": 200_001}, {"peak_mb": 501}, {"quantised_accuracy": 0.83},
        ]:
            self.assertEqual(len(compare.goals(["risk-logreg"], [ours(**changed)])[0]), 1, changed)

    def test_a_batch_is_judged_by_what_each_costs(self):
        row = ours(model="digits-mlp784", batch=32, prove_cpu_s=0.128)
        self.assertEqual(compare.goals([], [row]), ([], []))
        self.assertEqual(len(compare.goals([], [{**row, "prove_cpu_s": 0.13}])[0]), 1)

    def test_what_was_not_measured_is_neither_met_nor_missed(self):
        missed, unknown = compare.goals(["risk-logreg"], [ours(verify_ms=None)])
        self.assertEqual(missed, [])
        self.assertEqual(unknown[:2], ["risk-logreg succinct verify_ms", "risk-logreg zero-knowledge"])


class Predictions(unittest.TestCase):
    def test_what_was_predicted_stands_beside_what_it_came_to(self):
        row = ours(quoted_prove_cpu_s=0.008, quoted_verify_ms=4.0, quoted_proof_bytes=25_000)
        text = compare.predictions(["risk-logreg"], [row])
        cells = ["succinct", "8.00", "10.0", "1.25", "4.00", "2.00", "0.50", "25.0", "50.0", "2.00"]
        self.assertEqual(line(text, "risk-logreg")[1:], cells)

    def test_what_was_not_predicted_or_not_measured_has_no_ratio(self):
        text = compare.predictions(["risk-logreg"], [ours(quoted_verify_ms=0, verify_ms=None)])
        self.assertEqual(line(text, "risk-logreg")[2:], ["not run", "10.0", "not run", "0.0000"] + ["not run"] * 3 + ["50.0", "not run"])
        self.assertEqual(set(line(text, "risk-logreg", 1)[2:]), {"not run"})


def grown(axis, **changed):
    row = {
        "axis": axis, "parameters": 4096, "depth": 2, "batch": 1, "prove_cpu_s": 0.02, "run_cpu_s": 0.00001, "verify_ms": 1.5,
        "proof_bytes": 70_000, "peak_mb": 50.0, "phases": {"run": 0.001, "commit": 0.004, "lookups": 0.01, "openings": 0.005},
    }
    return {**row, **changed}


class Growth(unittest.TestCase):
    def test_a_line_has_the_multiple_of_the_run_and_shares_of_all_phases(self):
        cells = growth.line(grown("depth"))
        self.assertEqual(cells, ["20", "2,000", "1.5", "70", "50", "5 %", "20 %", "50 %", "0 %", "25 %"])

    def test_only_what_was_measured_has_a_table_and_a_plot(self):
        rows = [grown("batch", batch=8), grown("batch", prove_cpu_s=0.01)]
        text, picture = growth.text(rows), growth.picture(rows)
        self.assertNotIn("| layers |", text)
        self.assertLess(text.index("| 1 |"), text.index("| 8 |"))
        self.assertEqual(picture.count("<circle"), 2)
        self.assertEqual(growth.picture([]).count("<rect"), 0)

    def test_axes_are_whole_powers_of_ten_around_the_numbers(self):
        powers, at = growth.scale([0.02, 3.0, 150.0])
        self.assertEqual(list(powers), [-2, -1, 0, 1, 2, 3])
        self.assertAlmostEqual(at(0.01), 0.0)
        self.assertAlmostEqual(at(1000.0), 1.0)
        self.assertEqual(list(growth.scale([1, 1])[0]), [0, 1])


def main():
    result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__]))
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    return 1 if failed or not result.testsRun else 0


if __name__ == "__main__":
    sys.exit(main())
