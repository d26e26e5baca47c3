"""Trains the scikit-learn half of the corpus from the data sets that ship inside scikit-learn.

    python -m venv .venv && .venv/bin/pip install -r requirements.lock && .venv/bin/python train.py

Every model is a revision directory beside this script (see revision.py). Scores in the cards are computed here, on
rows that training never saw. The PyTorch half is train_torch.py.
"""

import warnings

import numpy as np
import sklearn
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, SVR

import revision

ROWS = 32
SEED = 0
OPSETS = {"": 17, "ai.onnx.ml": 3}
LICENCES = {
    "digits": "UCI Optical Recognition of Handwritten Digits (CC BY 4.0), as shipped in scikit-learn",
    "cancer": "UCI Breast Cancer Wisconsin Diagnostic (CC BY 4.0), as shipped in scikit-learn",
    "wine": "UCI Wine (CC BY 4.0), as shipped in scikit-learn",
    "iris": "UCI Iris (CC BY 4.0), as shipped in scikit-learn",
    "diabetes": "Efron et al., Least Angle Regression (2004), as shipped in scikit-learn",
}
LOADERS = {
    "digits": load_digits,
    "cancer": load_breast_cancer,
    "wine": load_wine,
    "iris": load_iris,
    "diabetes": load_diabetes,
}


def scaled(estimator):
    """A pipeline that standardises each feature first."""
    return make_pipeline(StandardScaler(), estimator)


def split(data, dtype, names):
    """A fixed 70/30 split; `names` replaces class numbers by the data set's class names."""
    bunch = LOADERS[data]()
    target = np.asarray(bunch.target_names)[bunch.target] if names else bunch.target
    stratify = None if data == "diabetes" else target
    return train_test_split(bunch.data.astype(dtype), target, test_size=0.3, random_state=SEED, stratify=stratify)


def card(estimator, data, score, regression, counts):
    """The card's two sentences, from the numbers of this run."""
    metric = "R²" if regression else "accuracy"
    what = " + ".join(type(step).__name__ for _, step in getattr(estimator, "steps", [("", estimator)]))
    return (
        f"{what} on scikit-learn's `{data}` data, trained by `models/train.py` (scikit-learn {sklearn.__version__}).\n\n"
        f"- Held-out {metric}: {score:.4f} on {counts[1]} rows; trained on {counts[0]} rows"
    )


def train(name, data, estimator, dtype=np.float32, names=False, zipmap=False):
    """Fits, scores, exports and writes one model with a single numeric input `x`."""
    regression = data == "diabetes"
    train_x, test_x, train_y, test_y = split(data, dtype, names)
    estimator.fit(train_x, train_y)
    score = estimator.score(test_x, test_y)
    options = None if regression else {id(estimator): {"zipmap": zipmap}}
    model = to_onnx(estimator, train_x[:1], options=options, target_opset=OPSETS)
    text = card(estimator, data, score, regression, (len(train_x), len(test_x)))
    labels = None if regression else list(getattr(estimator, "classes_"))
    task = "tabular-regression" if regression else "tabular-classification"
    outputs = revision.write(name, model, [test_x[:ROWS]], task, text, labels, LICENCES[data])
    expected = np.asarray(estimator.predict(test_x[:ROWS]))
    if regression:
        assert np.allclose(outputs[0].ravel(), expected, rtol=1e-3), name
    else:
        assert (outputs[0].astype(str) == expected.astype(str)).mean() > 0.99, name


def train_mixed(name):
    """A pipeline with two inputs, one of them text: the patient's sex as a string, the rest as numbers."""
    bunch = load_diabetes(scaled=False)
    numbers = np.delete(bunch.data, 1, axis=1).astype(np.float32)
    sex = np.where(bunch.data[:, 1] == 1, "one", "two").reshape(-1, 1).astype(object)
    table = np.concatenate([numbers.astype(object), sex], axis=1)
    train_x, test_x, train_y, test_y = train_test_split(table, bunch.target, test_size=0.3, random_state=SEED)
    columns = ColumnTransformer([("num", StandardScaler(), list(range(9))), ("cat", OneHotEncoder(), [9])])
    estimator = make_pipeline(columns, Ridge())
    estimator.fit(train_x, train_y)
    score = estimator.score(test_x, test_y)
    types = [("numbers", FloatTensorType([None, 9])), ("sex", StringTensorType([None, 1]))]
    model = to_onnx(estimator, initial_types=types, target_opset=OPSETS)
    text = card(estimator, "diabetes", score, True, (len(train_x), len(test_x)))
    rows = test_x[:ROWS]
    inputs = [rows[:, :9].astype(np.float32), rows[:, 9:].astype(str)]
    revision.write(name, model, inputs, "tabular-regression", text, None, LICENCES["diabetes"])


def main():
    """Every model of the scikit-learn half, smallest first."""
    warnings.filterwarnings("ignore")
    train("iris-logreg", "iris", LogisticRegression(max_iter=1000), names=True, zipmap=True)
    train("diabetes-ridge", "diabetes", scaled(Ridge()))
    train("diabetes-ridge-f64", "diabetes", scaled(Ridge()), dtype=np.float64)
    train_mixed("diabetes-mixed")
    train("cancer-logreg", "cancer", scaled(LogisticRegression()))
    train("cancer-bayes", "cancer", GaussianNB())
    train("wine-mlp", "wine", scaled(MLPClassifier(hidden_layer_sizes=(32,), max_iter=1000, random_state=SEED)), names=True)
    train("diabetes-mlp", "diabetes", scaled(MLPRegressor(hidden_layer_sizes=(64,), max_iter=3000, random_state=SEED)))
    train("diabetes-svr", "diabetes", scaled(SVR(C=100.0)))
    train("diabetes-forest", "diabetes", RandomForestRegressor(50, max_leaf_nodes=64, random_state=SEED))
    train("diabetes-boosting", "diabetes", GradientBoostingRegressor(random_state=SEED))
    train("cancer-boosting", "cancer", GradientBoostingClassifier(random_state=SEED))
    train("cancer-forest", "cancer", RandomForestClassifier(50, random_state=SEED))
    train("digits-logreg", "digits", scaled(LogisticRegression(max_iter=2000)))
    train("digits-pca-logreg", "digits", make_pipeline(PCA(24, random_state=SEED), LogisticRegression(max_iter=4000)))
    train("digits-mlp", "digits", scaled(MLPClassifier(hidden_layer_sizes=(128, 64), max_iter=300, random_state=SEED)))
    train("digits-svc", "digits", SVC(probability=True, random_state=SEED))
    train("digits-boosting", "digits", GradientBoostingClassifier(n_estimators=60, random_state=SEED))
    train("digits-forest", "digits", RandomForestClassifier(100, max_leaf_nodes=96, random_state=SEED))


if __name__ == "__main__":
    main()
